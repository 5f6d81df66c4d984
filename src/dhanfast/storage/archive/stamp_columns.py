"""A source's column of times: read as UTC nanoseconds, and how it is written."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive.forms import Form
from dhanfast.storage.archive.scans import numpy_of
from dhanfast.storage.archive.texts import TimeStyle, time_style, zone_offset_s
from dhanfast.storage.stamps import FIRST_NS, IST_OFFSET_NS, LAST_NS, UNITS, from_texts

UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
NANOSECONDS: Final = ("recv_ns", "exch_ns")  # our own names: no other unit is thought of


class StampColumn:
    """Times of one column.

    Args:
        path: of the file, for messages.
        name: of the column.
        kind: its Arrow type.
        tz: zone of stamps that carry none.

    Attributes:
        fact: how they were read, for the user; empty before the first row.
    """

    def __init__(self, path: Path, name: str, kind: Any, tz: str | None) -> None:
        self._path, self._name, self._kind, self._tz = path, name, kind, tz
        self._unit = self._offset = 0
        self._styles: list[TimeStyle] | None = None
        self._whole = True  # integers, or texts that are
        self._exact = True
        self._rows = 0
        self.fact = ""

    def update(self, column: Any) -> NDArray[np.int64]:
        """Read more of the column, and learn how it is written.

        Raises:
            BadData: a cell is no time.
            UsageError: the times carry no zone and none was said.
        """
        ns = self.read(column)
        if not self._whole:
            self._learn(column, ns)
        return ns

    def read(self, column: Any, start: int | None = None) -> NDArray[np.int64]:
        """Cells as UTC nanoseconds.

        Args:
            column: the cells.
            start: number of its first row in the file; None: it follows the one before.

        Raises:
            BadData, UsageError: as for `update`.
        """
        first = self._rows if start is None else start
        self._rows = first + len(column)
        kind = column.type
        if column.null_count:
            at = int(np.flatnonzero(np.asarray(pc.cast(pc.is_null(column), pa.uint8())))[0])
            raise self._bad(first + at, "is null")
        if pa.types.is_string(kind):
            return self._read_texts(column, first)
        if pa.types.is_timestamp(kind):
            return self._read_timestamps(numpy_of(column), kind)
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise BadData(f"{self._path}: column {self._name!r} is {kind}; a time is needed there")
        values = numpy_of(column)
        if values.dtype.kind == "f":
            self._exact = False
            return self._placed_float(values, first)
        return self._placed(values.astype(np.int64), first)

    def _bad(self, row: int, says: str) -> BadData:
        return BadData(
            f"{self._path}: row {row + 1}, column {self._name!r}: {says}: a tick needs its time; "
            "name another column with --columns, or correct the row"
        )

    def _find_unit(self, value: float, row: int) -> None:
        if self._name in NANOSECONDS:
            self._unit = 1
        for unit, size in UNITS:
            if not self._unit and FIRST_NS // size <= abs(value) < LAST_NS // size:
                self._unit = size
                self.fact = f"{self._name}: {unit} since 1970 UTC"
        if not self._unit:
            raise self._bad(row, f"{value!r} is not a time between 1990 and 2100")
        self.fact = self.fact or f"{self._name}: nanoseconds since 1970 UTC"
        if self._tz == "Asia/Kolkata":
            self._offset = IST_OFFSET_NS
            self.fact += " of an IST clock; 19,800 s taken off"

    def _placed(self, values: NDArray[np.int64], first: int) -> NDArray[np.int64]:
        if not len(values):
            return values
        if not self._unit:
            self._find_unit(int(values[0]), first)
        if self._name not in NANOSECONDS:
            off = (values < FIRST_NS // self._unit) | (values >= LAST_NS // self._unit)
            if off.any():
                at = int(np.flatnonzero(off)[0])
                raise self._bad(first + at, f"{int(values[at])} is not a time in 1990..2100")
        return values * self._unit - self._offset

    def _placed_float(self, values: NDArray[Any], first: int) -> NDArray[np.int64]:
        if not len(values):
            return np.zeros(0, np.int64)
        if not self._unit:
            self._find_unit(float(values[0]), first)
        wrong = ~((values >= FIRST_NS / self._unit) & (values < LAST_NS / self._unit))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise self._bad(first + at, f"{values[at]} is not a time in 1990..2100")
        return np.rint(values.astype(np.float64) * self._unit).astype(np.int64) - self._offset

    def _read_timestamps(self, values: NDArray[np.int64], kind: Any) -> NDArray[np.int64]:
        self._unit = UNIT_NS[kind.unit]
        if kind.tz is None:
            if self._tz is None:
                raise UsageError(
                    f"{self._path}: column {self._name!r} carries no time zone; say which with "
                    "--tz Asia/Kolkata or --tz UTC"
                )
            self._offset = IST_OFFSET_NS if self._tz == "Asia/Kolkata" else 0
        self.fact = f"{self._name}: timestamps, {kind.tz or self._tz}"
        return values * self._unit - self._offset

    def _read_texts(self, column: Any, first: int) -> NDArray[np.int64]:
        if self._whole:
            try:
                numbers = pc.cast(column, pa.int64())
            except pa.ArrowInvalid:
                self._whole = False
                self._exact = not self._unit  # rows before were numbers: no one way to write both
            else:
                if pc.all(pc.equal(pc.cast(numbers, pa.string()), column)).as_py():
                    return self._placed(numpy_of(numbers), first)
                self._exact = False
                return self._placed(numpy_of(numbers), first)
        stamps = from_texts(column, self._tz_of(column), lambda row: f"row {first + row + 1}")
        if stamps.bad.any():
            at = int(np.flatnonzero(stamps.bad)[0])
            raise self._bad(first + at, f"{column[at].as_py()!r} is not a time")
        self.fact = f"{self._name}: {stamps.fact}"
        return stamps.ns

    def _tz_of(self, column: Any) -> str | None:
        """What was said of the zone, unless the stamps carry one themselves."""
        return None if zone_offset_s(column[0].as_py()) is not None else self._tz

    def _learn(self, column: Any, ns: NDArray[np.int64]) -> None:
        if self._styles is None:
            first = column[0].as_py()
            offset = zone_offset_s(first)
            if offset is None:
                offset = 19_800 if self._tz == "Asia/Kolkata" else 0
            style = time_style(first, offset)
            self._styles = []
            if style is not None:
                python = TimeStyle(style.separator, -1, style.zone, offset)
                self._styles = [style, python]
        self._styles = [one for one in self._styles if one.texts(ns).equals(column)]

    def form(self, field: str, *, csv: bool) -> Form | None:
        """The form of the column in a field of UTC ns; None when that does not give it back."""
        if not self._exact or (not self._whole and not self._styles):
            return None
        if not self._whole:
            assert self._styles
            return {"how": "time", "field": field, "time": asdict(self._styles[0])}
        made: Form = {"how": "int", "field": field, "unit": self._unit, "offset": self._offset}
        return made | ({"style": "int"} if csv else {})
