"""Bodies of requests, read strictly: an unknown key is refused, as the broker refuses it."""

import re
from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final

from dhanfast.exchange.answers import Refusal, bad_input
from dhanfast.market.calendar import IST_OFFSET_NS, midnight_ns

CORRELATION: Final = re.compile(r"[A-Za-z0-9 _-]{1,30}")
MONEY_MAX: Final = 10**8  # rupees
QTY_MAX: Final = 10**8
DIGITS_MAX: Final = 18  # of a number in a text; longer ones are out of every range
YEARS: Final = (1900, 2200)  # of a date that a request may name
EPOCH: Final = datetime(1970, 1, 1)


class Body:
    """The fields of a request.

    Args:
        raw: the decoded body. known: keys that may be there; `dhanClientId` always may.

    Raises:
        Refusal: DH-905, not an object, or a key that is not known.
    """

    def __init__(self, raw: Any, known: Collection[str]) -> None:
        if not isinstance(raw, Mapping):
            raise bad_input("Missing required fields, bad values for parameters etc.")
        unknown = sorted(set(raw) - set(known) - {"dhanClientId"})
        if unknown:
            # The broker does not say which; a simulator for developers may.
            raise bad_input(
                f"Missing required fields, bad values for parameters etc. ({unknown[0]})"
            )
        self.raw = raw

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self.raw.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A text; required without a default.

        Raises:
            Refusal: DH-905.
        """
        value = self.raw.get(name)
        if value is None:
            if default is not None and name not in self.raw:
                return default
            raise bad_input(f"{name} is required")
        if not isinstance(value, str):
            raise bad_input(f"{name} must be a string")
        return value

    def choice(self, name: str, choices: Collection[str], default: str | None = None) -> str:
        """One word of some.

        Raises:
            Refusal: DH-905.
        """
        value = self.text(name, default)
        if value not in choices:
            raise bad_input(f"{name} is invalid")
        return value

    def whole(self, name: str, default: int | None = None, most: int = QTY_MAX) -> int:
        """A whole number of 0 or more; the broker takes texts as well.

        Raises:
            Refusal: DH-905.
        """
        value = self.raw.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, str):
            value = number_of(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise bad_input(f"{name} is invalid")
        return value

    def money(self, name: str, default: int | None = None) -> int:
        """An amount of rupees, in paise; parts of a paisa are refused.

        Raises:
            Refusal: DH-905.
        """
        value = self.raw.get(name)
        if value is None and default is not None:
            return default
        paise = paise_of(value)
        if paise is None:
            raise bad_input(f"{name} is invalid")
        return paise

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false.

        Raises:
            Refusal: DH-905.
        """
        value = self.raw.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise bad_input(f"{name} must be true or false")
        return value

    def correlation(self) -> str | None:
        """The caller's own id; None when it is absent.

        Raises:
            Refusal: DH-905, null, empty, too long, or with other letters.
        """
        if "correlationId" not in self.raw:
            return None
        value = self.raw["correlationId"]
        if not isinstance(value, str) or not CORRELATION.fullmatch(value):
            raise bad_input("correlationId is invalid")
        return value

    def records(self, name: str, most: int) -> list[Any]:
        """A list of objects, at least one.

        Raises:
            Refusal: DH-905.
        """
        value = self.raw.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise bad_input(f"{name} must be a list of 1 to {most}")
        return value


def number_of(text: str) -> int | None:
    """A text of digits as a number; None when it is none, or has more digits than any number."""
    return int(text) if len(text) <= DIGITS_MAX and text.isascii() and text.isdecimal() else None


def paise_of(value: Any) -> int | None:
    """Rupees of JSON as paise; None when they are no amount, or hold parts of a paisa."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MONEY_MAX:
        return None
    paise = round(value * 100)
    # A double near a price: rupees of two places come back exactly, others do not.
    return paise if abs(value * 100 - paise) < 1e-4 else None


def day_of(text: Any, code: int = 905) -> date:
    """A date, YYYY-MM-DD; a time of day after it is left out.

    Raises:
        Refusal: DH-905, or the data error `code`.
    """
    try:
        found = date.fromisoformat(text[:10])
        if not YEARS[0] <= found.year <= YEARS[1]:
            raise ValueError(text)
    except (ValueError, TypeError):
        raise Refusal(400, code, "Invalid date" if code > 900 else "") from None
    return found


def moment_of(text: Any, *, end: bool = False) -> int:
    """A moment, `YYYY-MM-DD HH:MM:SS` in IST, or a date, as UTC ns.

    Args:
        end: a date alone means the end of that day.

    Raises:
        Refusal: DH-905.
    """
    day = day_of(text)
    rest = text[10:].strip()
    if not rest:
        return midnight_ns(day + timedelta(days=1) if end else day)
    try:
        time = datetime.strptime(rest, "%H:%M:%S" if rest.count(":") == 2 else "%H:%M")
    except ValueError:
        raise bad_input("Invalid date") from None
    since = (time.hour * 60 + time.minute) * 60 + time.second
    return midnight_ns(day) + since * 1_000_000_000


def ist(ns: int) -> datetime:
    """The wall clock of India, without a zone, in whole microseconds."""
    return EPOCH + timedelta(microseconds=(ns + IST_OFFSET_NS) // 1000)


def stamp(ns: int) -> str | None:
    """`YYYY-MM-DD HH:MM:SS` in IST; None for 0."""
    return f"{ist(ns):%Y-%m-%d %H:%M:%S}" if ns else None


def rupees(paise: float) -> float:
    """Paise as rupees of JSON."""
    return round(paise) / 100


def average(value: int, qty: int) -> float:
    """Rupees a unit of a value in paise; 0 for none."""
    return round(value / qty / 100, 4) if qty else 0.0
