"""What people write in a configuration file, checked once and kept as it was written.

A duration has a unit ("250ms"), a time of day is IST ("15:15"), an amount is rupees or percent
("5000", "5%"), a secret is named and never written ("store:dhan"). `str()` of a value is its text,
so that what is shown is what was typed; its other attributes are what the engine counts in.
"""

import datetime as dt
import re
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, ClassVar, Final

from dhanfast.engine.settings import Slippage, clock_time, duration_ns
from dhanfast.engine.stop_settings import Distance
from dhanfast.errors import ConfigError

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_AMOUNT: Final = r"[0-9][0-9,_]*(\.[0-9]+)?"
PAISE_MAX: Final = 10**15
MULTIPLE_MAX: Final = 10_000  # percent
SLAB_MAX_E4: Final = 5_000


class Written:
    """One setting with the text it was written as; equal when the texts are.

    Args:
        text: as in the file.

    Raises:
        ConfigError: not understood; the message says what is.
    """

    __slots__ = ("text",)
    pattern: ClassVar[str] = ""  # of the JSON Schema
    example: ClassVar[str] = ""
    text: str

    def __init__(self, text: str) -> None:
        self.text = text.strip()

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.text == self.text

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.text))


class Duration(Written):
    """`250ms`, `5s`, `1m`: a length of time.

    Units:
        ns: nanoseconds. seconds: the same as a float.
    """

    __slots__ = ("ns",)
    pattern = r"^\s*[0-9]+(\.[0-9]+)?\s*(ns|us|ms|s|m|h|d)\s*$"
    example = "250ms"
    ns: int

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.ns = duration_ns(text, "duration")

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.ns / 1e9


class Span(Duration):
    """A duration that is longer than nothing."""

    __slots__ = ()

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if self.ns == 0:
            raise ConfigError(f"{text!r} must be longer than nothing")


class Bytes(Written):
    """`512MB`: an amount of memory.

    Units:
        bytes: MB and GB are 2**20 and 2**30 of them.
    """

    __slots__ = ("bytes",)
    pattern = r"^\s*[0-9]+\s*(MB|GB)\s*$"
    example = "512MB"
    bytes: int

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = re.match(r"([0-9]+)\s*(MB|GB)$", self.text)
        if found is None or int(found[1]) > 1_000_000:
            raise ConfigError(f"{text!r} is no amount of memory; write 512MB or 2GB")
        self.bytes = int(found[1]) << (20 if found[2] == "MB" else 30)


class Pause(Written):
    """`30m`, or `session`: until the next session.

    Units:
        ns: nanoseconds; -1 = until the next session.
    """

    __slots__ = ("ns",)
    pattern = r"^\s*(session|[0-9]+(\.[0-9]+)?\s*(ns|us|ms|s|m|h|d))\s*$"
    example = "30m"
    ns: int

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.ns = -1 if self.text == "session" else Span(text).ns


class Sync(Written):
    """`50ms`: the journal reaches the disk at least so often; `each`: before every order.

    Units:
        ns: nanoseconds; 0 = before every order.
    """

    __slots__ = ("ns",)
    pattern = r"^\s*(each|[0-9]+(\.[0-9]+)?\s*(us|ms|s))\s*$"
    example = "50ms"
    ns: int

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.ns = 0 if self.text == "each" else duration_ns(text, "journal_sync")
        if self.text != "each" and not 1_000_000 <= self.ns <= 10_000_000_000:
            raise ConfigError(f"{text!r} must be in 1ms..10s, or each")


class TimeOfDay(Written):
    """`15:15`: a time of day in IST.

    Attributes:
        time: hours and minutes, without a zone.
    """

    __slots__ = ("time",)
    pattern = r"^\s*[0-2][0-9]:[0-5][0-9](:[0-5][0-9])?\s*$"
    example = "15:15"
    time: dt.time

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if not re.match(self.pattern, text):
            raise ConfigError(f"{text!r} is not a time of day; write HH:MM in IST")
        found = clock_time(text, "time")
        if found is None:
            raise ConfigError(f"{text!r} is not a time of day; write HH:MM in IST")
        self.time = found


class TimeOrNone(Written):
    """`15:15`, or `none` for never.

    Attributes:
        time: hours and minutes in IST; None for never.
    """

    __slots__ = ("time",)
    pattern = r"^\s*([0-2][0-9]:[0-5][0-9](:[0-5][0-9])?|none)\s*$"
    example = "15:15"
    time: dt.time | None

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.time = None if self.text == "none" else TimeOfDay(text).time


class Rupees(Written):
    """`1000000`, `10,00,000` or `250.50`: an amount of money.

    Units:
        paise: hundredths of a rupee, whole.
    """

    __slots__ = ("paise",)
    pattern = rf"^\s*{_AMOUNT}\s*$"
    example = "10,00,000"
    paise: int

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.paise = _paise(self.text)


class Signed(Written):
    """`500` or `-1500.50`: an amount of money, or of a loss.

    Units:
        paise: hundredths of a rupee, whole; below zero for a loss.
    """

    __slots__ = ("paise",)
    pattern = rf"^\s*-?{_AMOUNT}\s*$"
    example = "-1500"
    paise: int

    def __init__(self, text: str) -> None:
        super().__init__(text)
        paise = _paise(self.text.removeprefix("-"))
        self.paise = -paise if self.text.startswith("-") else paise


class Amount(Written):
    """`5000` rupees, or `5%` of the capital; `0` switches the limit off.

    Attributes:
        rupees: whether it is an absolute amount.
    """

    __slots__ = ("_paise", "_percent")
    pattern = rf"^\s*{_AMOUNT}\s*%?\s*$"
    example = "5%"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._percent: Decimal | None = None
        self._paise = 0
        if self.text.endswith("%"):
            self._percent = _percent(self.text)
        else:
            self._paise = _paise(self.text)

    @property
    def rupees(self) -> bool:
        """Whether it is an absolute amount rather than a share of the capital."""
        return self._percent is None

    @property
    def share_e6(self) -> int:
        """The percentage as 1e-6; 0 of an absolute amount."""
        return 0 if self._percent is None else int(self._percent * 10_000)

    def paise_of(self, capital: int) -> int:
        """The amount in paise.

        Args:
            capital: of the account, paise; used by a percentage only.
        """
        if self._percent is None:
            return self._paise
        return int(Decimal(capital) * self._percent / 100)


class Percent(Written):
    """`5%`, `0.25%`: a share; `0%` or `0` is none.

    Units:
        e4: parts of 10,000.
    """

    __slots__ = ("e4",)
    pattern = r"^\s*(0|[0-9]+(\.[0-9]+)?\s*%)\s*$"
    example = "5%"
    e4: int

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if self.text != "0" and not self.text.endswith("%"):
            raise ConfigError(f"{text!r} is not a percentage; write for example 5%")
        scaled = _percent(self.text if "%" in self.text else "0%") * 100
        if scaled != int(scaled):
            raise ConfigError(f"{text!r} is finer than 0.01%, the smallest step")
        self.e4 = int(scaled)


class Multiple(Written):
    """`200%`: a share that may be more than all of it.

    Units:
        e4: parts of 10,000.
    """

    __slots__ = ("e4",)
    pattern = r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$"
    example = "200%"
    e4: int

    def __init__(self, text: str) -> None:
        super().__init__(text)
        number = self.text.removesuffix("%").strip()
        if not re.match(self.pattern, self.text) or Decimal(number) > MULTIPLE_MAX:
            raise ConfigError(
                f"{text!r} is not a share in 0%..{MULTIPLE_MAX:,}%; write for example 200%"
            )
        scaled = Decimal(number) * 100
        if scaled != int(scaled):
            raise ConfigError(f"{text!r} is finer than 0.01%, the smallest step")
        self.e4 = int(scaled)


class Slabs(Written):
    """`5% below 10, 3% below 100, 2% below 500, 1%`: a share by the premium, from low to high.

    Units:
        pairs: (premium below this, paise; share, parts of 10,000), the last one's premium 0.
    """

    __slots__ = ("pairs",)
    pattern = (
        r"^\s*([0-9]+(\.[0-9]+)?\s*%\s+below\s+[0-9]+(\.[0-9]+)?\s*,\s*){3}"
        r"[0-9]+(\.[0-9]+)?\s*%\s*$"
    )
    example = "5% below 10, 3% below 100, 2% below 500, 1%"
    pairs: tuple[tuple[int, int], ...]

    def __init__(self, text: str) -> None:
        super().__init__(text)
        if not re.match(self.pattern, self.text):
            raise ConfigError(
                f"{text!r} is not three shares with the premium they hold below and one for all "
                f"above; write for example {self.example}"
            )
        words = [part.partition("below") for part in self.text.split(",")]
        self.pairs = tuple(
            (_paise(premium.strip()) if below else 0, Percent(share.strip()).e4)
            for share, below, premium in words
        )
        for low, high in pairwise((0, *(below for below, _ in self.pairs[:-1]))):
            if low >= high:
                raise ConfigError(f"{text!r}: premiums must be above 0 and rise")
        for _, e4 in self.pairs:
            if not 1 <= e4 <= SLAB_MAX_E4:
                raise ConfigError(f"{text!r}: each share must be in 0.01%..{SLAB_MAX_E4 // 100}%")


class Protection(Percent):
    """`5%`, or `slab` for the share of the premium's slab.

    Units:
        e4: parts of 10,000, 500 for `slab`. slab: whether the premium decides.
    """

    __slots__ = ("slab",)
    pattern = r"^\s*(0|[0-9]+(\.[0-9]+)?\s*%|slab)\s*$"
    slab: bool

    def __init__(self, text: str) -> None:
        self.slab = text.strip() == "slab"
        super().__init__("5%" if self.slab else text)
        if self.slab:
            self.text = "slab"


class Far(Written):
    """`20pts`, `0.5%`, `1.5atr`, or `none`: a distance of prices.

    Attributes:
        distance: as the stop rules take it; None for none.
    """

    __slots__ = ("distance",)
    pattern = r"^\s*(none|0|[0-9]+(\.[0-9]+)?\s*(atr|pts?|points?|%))\s*$"
    example = "1.5atr"
    distance: Distance | None

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.distance = Distance.parse(text)


class Slip(Written):
    """`1tick`, `2pts`, `3bps`, `0.02%`, `0`, `measured`: what a market fill loses.

    Attributes:
        slippage: as the simulated exchange takes it.
    """

    __slots__ = ("slippage",)
    pattern = (
        r"^\s*(0|none|measured(:[0-9]{1,3})?|"
        r"[0-9]+(\.[0-9]+)?\s*(ticks?|pts?|points?|bps|%))\s*$"
    )
    example = "1tick"
    slippage: Slippage

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.slippage = Slippage.parse(text)


class SecretName(Written):
    """`store:dhan`, `keyring:dhan` or `env:NAME`: where a secret is kept; never the secret.

    Attributes:
        place: store (the encrypted file of `dhanfast auth`), keyring (of the desktop) or env.
        name: of the entry, or of the environment variable.
    """

    __slots__ = ("name", "place")
    pattern = r"^(store:|keyring:)[A-Za-z0-9_.-]{1,64}$|^env:[A-Za-z_][A-Za-z0-9_]*$"
    example = "store:dhan"
    place: str
    name: str

    def __init__(self, text: str) -> None:
        super().__init__("")
        if not re.match(self.pattern, text):
            # What was written may be the secret itself: it is not repeated, here or in a cause.
            raise ConfigError(
                "a secret is named and never written here; write store:dhan (after `dhanfast "
                "auth login`), keyring:NAME, or env:NAME for an environment variable. If this was "
                "a token, make a new one now"
            )
        self.text = text
        self.place, _, self.name = text.partition(":")


class MaybeNamed(Written):
    """A value, or `env:NAME` for that of an environment variable.

    Attributes:
        variable: the name, or "" for a plain value.
    """

    __slots__ = ("variable",)
    pattern = rf"^[A-Za-z0-9]{{0,20}}$|^env:{_NAME}$"
    example = "1000000001"
    variable: str

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = re.fullmatch(rf"env:({_NAME})", self.text)
        if not found and not re.fullmatch(r"[A-Za-z0-9]{0,20}", self.text):
            raise ConfigError(
                "must be at most 20 letters and digits, or env: and the name of an environment "
                "variable; what was written is not repeated here, it may be a secret"
            )
        self.variable = found[1] if found else ""


def decode(kind: type, value: Any) -> Any:
    """msgspec's `dec_hook`: a `Written` of text, or of a plain number where a number will do.

    Raises:
        ConfigError: not understood.
    """
    if not issubclass(kind, Written):
        raise ConfigError(f"no setting is of type {kind.__name__}")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and issubclass(kind, Rupees | Signed | Amount | MaybeNamed):
        return kind(str(value))
    if not isinstance(value, str):
        hint = f', for example "{kind.example}"' if kind.example else ""
        raise ConfigError(f"must be text in quotes{hint}")
    return kind(value)


def _paise(text: str) -> int:
    """Rupees as paise."""
    try:
        if not re.fullmatch(_AMOUNT, text):
            raise ValueError
        paise = Decimal(text.replace(",", "").replace("_", "")) * 100
    except (InvalidOperation, ValueError):
        raise ConfigError(
            f"{text!r} is not an amount in rupees; write for example 5000 or 10,00,000"
        ) from None
    if paise != int(paise):
        raise ConfigError(f"{text!r} is finer than a paisa")
    if paise > PAISE_MAX:
        raise ConfigError(f"{text!r} is more than 10,000,000,000,000 rupees")
    return int(paise)


def _percent(text: str) -> Decimal:
    """`5%` as 5."""
    number = text.removesuffix("%").strip()
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", number) or Decimal(number) > 100:
        raise ConfigError(f"{text!r} must be in 0%..100%")
    return Decimal(number)
