"""Numbers and times as texts: how a CSV writes them, so that it can be written the same again.

A style is a name: `int` 12; `repr` 12.5 and 12.0, as Python writes; `short` 12.5 and 12; `fixed:3`
12.500; `float` whatever digits give back the same double. A time style says separator, digits of
the second's fraction (-1: six, or none when they are zeros) and zone.
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dhanfast.storage.arrow_values import values_of

DIGITS_MAX: Final = 8  # decimals kept as whole numbers; finer ones are doubles
_DECIMAL: Final = re.compile(r"(-?)(0|[1-9][0-9]{0,18})(?:\.([0-9]{1,18}))?")
_ZONE: Final = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True)
class Decimal:
    """A text that is a decimal number: `scaled` is the number times 10**digits.

    Attributes:
        digits: decimals without zeros at the end. written: decimals as they stand, -1 for no point.
    """

    mantissa: int
    digits: int
    written: int

    def at(self, digits: int) -> int:
        """The number times 10**digits; digits are no fewer than its own."""
        return self.mantissa * int(10 ** (digits - self.digits))


def parse_decimal(text: str) -> Decimal | None:
    """Read a text; None when it is no plain decimal, or -0."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    sign, whole, part = match.groups()
    kept = (part or "").rstrip("0")
    mantissa = int(whole + kept)
    if (sign and not mantissa) or mantissa >= 1 << 63:
        return None
    return Decimal(-mantissa if sign else mantissa, len(kept), -1 if part is None else len(part))


def fits_style(number: Decimal, style: str) -> bool:
    """Whether a number is written as a style writes it."""
    if style == "int":
        return number.written < 0
    if style == "repr":
        return number.written == max(number.digits, 1)
    if style == "short":
        return number.written == (number.digits or -1)
    return number.written == int(style.removeprefix("fixed:"))


def write_decimal(scaled: int, digits: int, style: str) -> str:
    """Write `scaled` / 10**digits in a style."""
    if style == "int":
        return str(scaled)
    text = str(abs(scaled)).rjust(digits + 1, "0")
    whole, part = (text[:-digits], text[-digits:]) if digits else (text, "")
    if style.startswith("fixed:"):
        part = part[: int(style[6:])].ljust(int(style[6:]), "0")
    else:
        part = part.rstrip("0") or ("0" if style == "repr" else "")
    return ("-" if scaled < 0 else "") + whole + (f".{part}" if part else "")


def decimal_texts(scaled: NDArray[np.int64], digits: int, style: str) -> Any:
    """Numbers as an Arrow array of texts; each different number is written once."""
    if style == "int":
        return pc.cast(pa.array(scaled // 10**digits), pa.string())
    coded = pa.array(scaled).dictionary_encode()
    words = [write_decimal(one, digits, style) for one in coded.dictionary.to_pylist()]
    return pa.array(words, pa.string()).take(coded.indices)


def float_texts(values: NDArray[np.float64]) -> Any:
    """Doubles as the shortest texts that give them back, as Python writes them."""
    coded = pa.array(np.ascontiguousarray(values).view(np.int64)).dictionary_encode()
    bits = values_of(coded.dictionary, np.int64).view(np.float64)
    words = [repr(one) for one in bits.tolist()]
    return pa.array(words, pa.string()).take(coded.indices)


@dataclass(frozen=True)
class TimeStyle:
    """How a CSV writes times.

    Attributes:
        separator: between date and clock. digits: of the second's fraction, -1 for Python's way.
        zone: as it stands behind, or empty. offset_s: the clock's distance from UTC.
    """

    separator: str
    digits: int
    zone: str
    offset_s: int

    def texts(self, ns: NDArray[np.int64]) -> Any:
        """UTC nanoseconds as texts."""
        clock = pa.array(ns + self.offset_s * 1_000_000_000).view(pa.timestamp("ns"))
        full = pc.cast(clock, pa.string())  # 2026-07-22 09:01:57.878000000
        if self.digits < 0:
            whole = pc.utf8_slice_codeunits(full, 0, 19)
            fine = pc.utf8_slice_codeunits(full, 0, 26)
            made = pc.if_else(pc.ends_with(fine, ".000000"), whole, fine)
        else:
            made = pc.utf8_slice_codeunits(full, 0, 20 + self.digits if self.digits else 19)
        if self.separator != " ":
            made = pc.replace_substring(made, " ", self.separator, max_replacements=1)
        if self.zone:
            made = pc.binary_join_element_wise(made, pa.scalar(self.zone), "")
        return made


def time_style(text: str, offset_s: int) -> TimeStyle | None:
    """The style of one time; None when it is not written as one of ours."""
    match = re.fullmatch(
        r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?", text
    )
    if match is None:
        return None
    return TimeStyle(match[1], len(match[2] or ""), match[3] or "", offset_s)


def zone_offset_s(text: str) -> int | None:
    """Seconds east of UTC that a time carries; None when it carries none."""
    match = _ZONE.search(text)
    if match is None or len(text) < 16:
        return None
    if match[1] == "Z":
        return 0
    hours, minutes = int(match[1][1:3]), int(match[1][-2:])
    return (-1 if match[1][0] == "-" else 1) * (hours * 3600 + minutes * 60)
