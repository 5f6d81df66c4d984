"""What a column of a source holds, found out by looking at every cell once.

The scan only claims what held for all cells: "every one is a whole number", "every one has at most
two decimals and is written so". What it cannot claim is kept as bits or as text, so nothing is
lost.
"""

import math
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dhanfast.storage.archive.texts import (
    DIGITS_MAX,
    fits_style,
    float_texts,
    parse_decimal,
)
from dhanfast.storage.arrow_values import values_of

ENUM_MAX: Final = 65_536  # different texts of a column that are numbered
ENUM_CHARS_MAX: Final = 1 << 20
EXACT: Final = float(1 << 53)
STYLES: Final = ("repr", "short")


class TextScan:
    """Texts of a CSV column, or of a text column of Parquet; empty CSV cells are nulls.

    Attributes:
        nulls: some cell is null.
        styles: number styles that hold for every cell so far; None before the first.
        digits: the most decimals, without zeros at the end.
        low, high: of the numbers, as doubles, for what they are compared with.
        distinct: different texts in order of appearance, None when there are too many.
    """

    def __init__(self, *, numbers: bool) -> None:
        self.nulls = False
        self.digits = 0
        self.low = self.high = 0.0
        self._csv = self.floats = self.decimals = numbers
        self.styles: set[str] | None = None
        self.distinct: dict[str | None, int] | None = {}
        self._chars = 0

    def update(self, column: Any) -> None:
        """Look at more cells."""
        column, nulls = without_nulls(column, empty=self._csv)
        self.nulls |= nulls
        if not len(column):
            return
        if self.decimals and self.styles in (None, {"int"}) and self._all_ints(column):
            self.floats = False
            self.distinct = None  # whole numbers need no list of words
            return
        words = column.dictionary_encode().dictionary
        if self.decimals:
            self._look_at_numbers(words.to_pylist())
        if self.floats:
            self.floats = _all_floats(words)
        self._add_distinct(words)

    def _all_ints(self, column: Any) -> bool:
        try:
            numbers = pc.cast(column, pa.int64())
        except pa.ArrowInvalid:
            return False
        if not pc.all(pc.equal(pc.cast(numbers, pa.string()), column)).as_py():
            return False
        ends = pc.min_max(numbers)
        if ends["min"].as_py() == -(1 << 63):
            return False  # the one number whose negative does not fit
        self._range(float(ends["min"].as_py()), float(ends["max"].as_py()))
        self.styles = {"int"}
        return True

    def _range(self, low: float, high: float) -> None:
        first = self.styles is None
        self.low = low if first else min(self.low, low)
        self.high = high if first else max(self.high, high)

    def _look_at_numbers(self, words: list[str]) -> None:
        numbers = [parse_decimal(word) for word in words]
        known = [number for number in numbers if number is not None]
        if len(known) < len(words) or any(number.digits > DIGITS_MAX for number in known):
            self.decimals = False
            return
        values = [number.mantissa / 10**number.digits for number in known]
        self._range(min(values), max(values))
        self.digits = max(self.digits, max(number.digits for number in known))
        if self.styles == {"int"}:
            self.styles = {"int", "short"}
        if self.styles is None:
            fixed = max(number.written for number in known)
            self.styles = {*STYLES, "int"} | ({f"fixed:{fixed}"} if fixed > 0 else set())
        self.styles = {s for s in self.styles if all(fits_style(one, s) for one in known)}
        most = max(abs(self.low), abs(self.high))
        if not self.styles or most * 10**self.digits >= 2**62:
            self.decimals = False

    def _add_distinct(self, words: Any) -> None:
        if self.distinct is None:
            return
        for word in words.to_pylist():
            if word not in self.distinct:
                self.distinct[word] = len(self.distinct)
                self._chars += len(word)
        if len(self.distinct) > ENUM_MAX or self._chars > ENUM_CHARS_MAX:
            self.distinct = None

    @property
    def style(self) -> str | None:
        """The number style of the column; None when its cells are no decimals."""
        if not self.decimals or not self.styles:
            return None
        return next(s for s in ("int", "repr", "short", *sorted(self.styles)) if s in self.styles)


def _all_floats(words: Any) -> bool:
    """Whether texts are doubles as Python writes them."""
    try:
        values = np.array([float(word) for word in words.to_pylist()])
    except ValueError:
        return False
    return bool(float_texts(values).equals(words))


class NumberScan:
    """Numbers of a Parquet column, whole or not.

    Attributes:
        nulls: some cell is null.
        digits: decimals that give every cell back exactly, None when none up to eight do.
        low, high: smallest and largest; of finite ones.
    """

    def __init__(self) -> None:
        self.nulls = False
        self.digits: int | None = 0
        self.low, self.high = math.inf, -math.inf

    def update(self, column: Any) -> None:
        """Look at more cells."""
        column, nulls = without_nulls(column, empty=False)
        self.nulls |= nulls
        if not len(column):
            return
        values = numpy_of(column)
        if values.dtype.kind == "f":
            finite = values[np.isfinite(values)].astype(np.float64)
            if len(finite) < len(values):
                self.digits = None
            while self.digits is not None and not exact_at(values, self.digits):
                self.digits = self.digits + 1 if self.digits < DIGITS_MAX else None
            values = finite
        if len(values):
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))


def exact_at(values: NDArray[Any], digits: int) -> bool:
    """Whether doubles are multiples of 10**-digits, and come back from the multiple as bits."""
    parts = 10.0**digits
    with np.errstate(over="ignore"):
        scaled = np.rint(values.astype(np.float64) * parts)
    if (np.abs(scaled) >= EXACT).any():
        return False
    # By way of whole numbers, as it is kept: -0.0 comes back as 0.0, which is not the same bits.
    back = (scaled.astype(np.int64) / parts).astype(values.dtype)
    return bool((back.view(f"u{back.itemsize}") == values.view(f"u{back.itemsize}")).all())


def without_nulls(column: Any, *, empty: bool) -> tuple[Any, bool]:
    """The cells that are there; an empty text is not when `empty`."""
    nulls = bool(column.null_count)
    if nulls:
        column = column.drop_null()
    if empty and pa.types.is_string(column.type) and len(column):
        there = pc.not_equal(column, "")
        if not pc.all(there).as_py():
            return column.filter(there), True
    return column, nulls


def numpy_of(column: Any) -> NDArray[Any]:
    """A column without nulls as numpy: numbers, and dates and times as whole numbers."""
    kind = column.type
    if pa.types.is_boolean(kind):
        column, kind = pc.cast(column, pa.uint8()), pa.uint8()
    width = kind.bit_width // 8
    if pa.types.is_floating(kind):
        code = f"f{width}"
    else:
        code = f"{'u' if pa.types.is_unsigned_integer(kind) else 'i'}{width}"
    return values_of(column, np.dtype(code).type)
