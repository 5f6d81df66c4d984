"""Reading of Dhan's JSON objects, which vary: any case of keys, numbers as text, null, "NA".

What is missing is zero or empty. What is there and cannot be read is an error that names the field:
a broken quantity must not become zero in silence.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from dhanfast.errors import BadData
from dhanfast.market.calendar import IST_OFFSET_NS, NS_PER_S

_NOTHING: Final = frozenset({"", "na", "n/a", "null", "none", "-"})
NUMBER_MAX: Final = 10**15  # beyond any price, amount or time in seconds
EXACT_MAX: Final = 10**11  # up to it a double holds paise exactly
_EPOCH: Final = datetime(1970, 1, 1)
# 2026-07-22 09:15:03[.123] | 2026-07-22T09:15:03[.123][Z|+05:30] | 22/07/2026 09:15[:03]
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:?\d\d)?"
)
_SLASHED: Final = re.compile(r"(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d)(?::(\d\d))?")
_FIRST_YEAR: Final = 1981  # 0001-01-01 and 01/01/1980 mean never


class Fields:
    """One JSON object, read without regard to case and underscores of its keys.

    Of several spellings of one key the first that is not null counts.

    Args:
        said: the object.
        what: its name in messages.

    Raises:
        BadData: it is no object.
    """

    __slots__ = ("_values", "_what")

    def __init__(self, said: Any, what: str) -> None:
        if not isinstance(said, Mapping):
            raise BadData(f"{what}: an object was expected, the broker sent {_shown(said)}")
        self._what = what
        self._values: dict[str, Any] = {}
        for key, value in said.items():
            plain = str(key).replace("_", "").lower()
            if self._values.get(plain) is None:
                self._values[plain] = value

    def has(self, *names: str) -> bool:
        """Whether one of the fields is there and not null."""
        return self.raw(*names) is not None

    def raw(self, *names: str) -> Any:
        """The first of the fields that is there and not null, as it came."""
        for name in names:
            value = self._values.get(name.replace("_", "").lower())
            if value is not None:
                return value
        return None

    def plain(self) -> dict[str, Any]:
        """The object itself, its keys in lower case and without underscores."""
        return dict(self._values)

    def text(self, *names: str) -> str:
        """A text without blanks around it; numbers are written out, missing is empty."""
        value = self.raw(*names)
        if value is None:
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # 5926072200001.0 is an order's number
        text = str(value).strip()
        return "" if text.lower() in ("na", "null") else text

    def whole(self, *names: str) -> int:
        """A whole number: 4, 4.0, "4", "4.00"; missing is 0.

        Raises:
            BadData: it is none.
        """
        plain = self.raw(*names)
        if type(plain) is int and abs(plain) <= EXACT_MAX:  # a chain has thousands: not by Decimal
            return plain
        value = self.decimal(*names)
        if value != value.to_integral_value():
            raise self._bad(names[0], "a whole number")
        return int(value)

    def count(self, *names: str) -> int:
        """A whole number that is not negative.

        Raises:
            BadData: it is none.
        """
        value = self.whole(*names)
        if value < 0:
            raise self._bad(names[0], "a whole number from 0")
        return value

    def decimal(self, *names: str) -> Decimal:
        """A number exactly as it is written; missing is 0.

        Raises:
            BadData: it is none.
        """
        value = self.raw(*names)
        if value is None:
            return Decimal(0)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise self._bad(names[0], "a number")
        text = str(value).strip().replace(",", "")
        if text.lower() in _NOTHING:
            return Decimal(0)
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise self._bad(names[0], "a number") from None
        if not number.is_finite():
            raise self._bad(names[0], "a finite number")
        if abs(number) > NUMBER_MAX:
            raise self._bad(names[0], f"a number below {NUMBER_MAX:.0e}")
        return number

    def number(self, *names: str) -> float:
        """A number that is no money; missing is 0.

        Raises:
            BadData: it is none.
        """
        plain = self.raw(*names)
        if type(plain) is float and abs(plain) <= EXACT_MAX:
            return plain
        return float(self.decimal(*names))

    def paise(self, *names: str) -> int:
        """An amount in rupees, as paise, halves away from zero; missing is 0.

        Raises:
            BadData: it is none.
        """
        plain = self.raw(*names)
        if type(plain) is float and abs(plain) <= EXACT_MAX:
            # Of so few digits a double has one shortest text: if this is it, it has two decimals.
            paise = round(plain * 100.0)
            if paise / 100.0 == plain:
                return paise
        return paise_of(self.decimal(*names))

    def flag(self, *names: str) -> bool:
        """True for true, 1, "1", "true", "Y", "Active"; missing is False."""
        value = self.raw(*names)
        return str(value).strip().lower() in ("true", "1", "y", "yes", "active", "activate")

    def ist_ns(self, *names: str) -> int:
        """UTC ns of a time written in IST; 0 when there is none or it cannot be read."""
        for name in names:
            found = ist_ns(self.text(name))
            if found:
                return found
        return 0

    def rows(self, *names: str) -> list[Any]:
        """A list; one object alone is a list of one, missing is empty."""
        value = self.raw(*names)
        if value is None:
            return []
        return list(value) if isinstance(value, list) else [value]

    def _bad(self, name: str, wanted: str) -> BadData:
        """The error for a field."""
        return BadData(
            f"{self._what}: {name} must be {wanted}, the broker sent {_shown(self.raw(name))}"
        )


def paise_of(rupees: Decimal) -> int:
    """Rupees to paise, halves away from zero."""
    return int((rupees * 100).quantize(Decimal(1), ROUND_HALF_UP))


def ist_ns(text: str) -> int:
    """UTC ns of a time: IST unless it names its zone; 0 when it means never or cannot be read."""
    found = _ISO.fullmatch(text)
    if found:
        year, month, day, hour, minute = (int(part) for part in found.groups()[:5])
        second, fraction, zone = int(found[6] or 0), found[7] or "", found[8]
    else:
        slashed = _SLASHED.fullmatch(text)
        if slashed is None:
            return 0
        day, month, year, hour, minute = (int(part) for part in slashed.groups()[:5])
        second, fraction, zone = int(slashed[6] or 0), "", None
    if year < _FIRST_YEAR:
        return 0
    try:
        since = datetime(year, month, day, hour, minute, second) - _EPOCH
    except ValueError:
        return 0
    whole = (since.days * 86_400 + since.seconds) * NS_PER_S + int(fraction.ljust(9, "0"))
    return whole - _zone_ns(zone)


def _zone_ns(zone: str | None) -> int:
    """How far a zone is ahead of UTC."""
    if zone is None:
        return IST_OFFSET_NS
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return (minutes if zone[0] == "+" else -minutes) * 60 * NS_PER_S


def objects(said: Any, what: str) -> Iterator[Fields]:
    """The objects of an answer: an array, one object alone, or nothing; `data` is looked into.

    Raises:
        BadData: it is neither.
    """
    if isinstance(said, Mapping) and isinstance(said.get("data"), list | Mapping):
        said = said["data"]
    if said is None:
        return
    if isinstance(said, Mapping):
        if said:
            yield Fields(said, what)
        return
    if not isinstance(said, Sequence) or isinstance(said, str):
        raise BadData(f"{what}: a list was expected, the broker sent {_shown(said)}")
    for place, row in enumerate(said):
        yield Fields(row, f"{what}[{place}]")


def _shown(value: Any) -> str:
    """A value for a message, short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
