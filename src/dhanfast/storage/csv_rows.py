"""CSV files as a `RowTable`.

The bytes are parsed once, natively, every cell as text; only then is text turned into numbers, so
that a cell that is not a number can be shown as it stands, with the line it stands on.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData
from dhanfast.storage.arrow_values import values_of
from dhanfast.storage.rows import PRICES, Defect, RowTable, resolve_columns
from dhanfast.storage.stamps import Stamps, from_texts

NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.I)
DELIMITERS: Final = ",;\t"
WHOLE_MAX: Final = 2.0**53  # above it a double skips whole numbers


@dataclass
class _Text:
    """A file's bytes, and where its rows stand in it: found out only when a message needs it."""

    name: str
    data: bytes
    delimiter: str
    width: int  # cells in the header
    lines: list[int] = field(default_factory=list)  # of the rows as wide as the header
    ragged: list[tuple[int, str]] = field(default_factory=list)  # (line, its text)
    scanned: bool = False

    def scan(self) -> None:
        """Walk the file line by line, once."""
        if self.scanned:
            return
        text = self.data.decode("utf-8-sig", errors="replace")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=self.delimiter)
        try:
            rows = ((reader.line_num, cells) for cells in reader if cells)
            next(rows, None)  # the header
            for line, cells in rows:
                if len(cells) == self.width:
                    self.lines.append(line)
                else:
                    self.ragged.append((line, self.delimiter.join(cells)[:60]))
        except csv.Error as error:
            raise BadData(f"{self.name}: line {reader.line_num}: {error}") from error
        self.scanned = True

    def place(self, rows: Sequence[int]) -> list[int]:
        """Line numbers of rows."""
        self.scan()
        return [self.lines[row] if row < len(self.lines) else row + 2 for row in rows]


def read_csv_rows(
    name: str, data: bytes, sha256: str, columns: Mapping[str, str], tz: str | None
) -> RowTable:
    """Read a CSV file with a header line.

    Args:
        name: of the file, for messages.
        data: its bytes; `sha256`: their hash.
        columns: our column -> the file's, see `rows.resolve_columns`.
        tz: zone of stamps that carry none.

    Raises:
        BadData: empty, not UTF-8 text, columns missing, or zones mixed.
        UsageError: stamps without a zone and no `tz`.
    """
    header, delimiter, body = _split_header(name, data)
    found = resolve_columns(header, columns, name)
    text = _Text(name, data, delimiter, len(header))
    arrays, is_ragged = _parse_cells(name, body, delimiter, len(header), found)
    defects: list[Defect] = []
    if is_ragged:
        text.scan()
        defects.append(_ragged(text))

    def where(row: int) -> str:
        return f"line {text.place([row])[0]}"

    stamps = _stamps(arrays, tz, where, name)
    if stamps.bad.any():
        defects.append(Defect("bad-stamp", "ts", np.flatnonzero(stamps.bad), "is not a time"))
    prices = np.empty((4, len(stamps.ns)))
    for index, column in enumerate(PRICES):
        prices[index], bad = _numbers(arrays[column])
        if bad.any():
            says = "is not a number"
            defects.append(Defect("unparsable", column, np.flatnonzero(bad), says))
    counts = {
        name: _whole(arrays[name], name, defects) for name in ("volume", "oi") if name in found
    }
    codes, names = _instruments(arrays.get("instrument"))
    return RowTable(
        name=name, sha256=sha256, unit="line", ts=stamps.ns, prices=prices,
        volume=counts.get("volume"), oi=counts.get("oi"), codes=codes, names=names,
        generated=False, stamp_column=header[found["ts"]], facts=(stamps.fact,),
        defects=tuple(defects), place=text.place,
        cell=lambda row, column: str(arrays[column][row]),
        header={ours: header[index] for ours, index in found.items()},
    )  # fmt: skip


def _split_header(name: str, data: bytes) -> tuple[list[str], str, memoryview]:
    """Find the header line, the delimiter it uses, and the bytes after it."""
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end].strip(b"\r")
        start = end + 1
        if line:
            break
    else:
        raise BadData(f"{name}: the file is empty; export it again with a header and rows")
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise BadData(f"{name}: line 1 is not UTF-8 text; save it as CSV in UTF-8") from None
    delimiter = max(DELIMITERS, key=text.count)  # the first of equals: the comma
    try:
        header = next(csv.reader([text], delimiter=delimiter))
    except csv.Error as error:
        raise BadData(f"{name}: line 1: {error}; save the file as plain CSV") from error
    body = memoryview(data)[start:]
    if not bytes(body[:4096]).strip() and not bytes(body).strip():
        raise BadData(f"{name}: a header but no rows; export the file again")
    return [cell.strip() for cell in header], delimiter, body


def _parse_cells(
    name: str, body: memoryview, delimiter: str, width: int, found: Mapping[str, int]
) -> tuple[dict[str, Any], bool]:
    """Parse the needed columns as text; say whether some lines had the wrong number of cells."""
    import pyarrow as pa
    from pyarrow import csv as pa_csv

    ragged = 0

    def skip(_: Any) -> str:
        nonlocal ragged
        ragged += 1
        return "skip"

    labels = [f"c{index}" for index in range(width)]
    needed = [labels[index] for index in found.values()]
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(pa.py_buffer(body)),
            read_options=pa_csv.ReadOptions(use_threads=False, column_names=labels),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
            convert_options=pa_csv.ConvertOptions(
                include_columns=needed,
                column_types=dict.fromkeys(needed, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BadData(f"{name}: not a CSV file we can read: {error}") from error
    columns = {ours: table.column(f"c{index}") for ours, index in found.items()}
    return {ours: column.combine_chunks() for ours, column in columns.items()}, ragged > 0


def _ragged(text: _Text) -> Defect:
    """The lines with more or fewer cells than the header."""
    lines = tuple(line for line, _ in text.ragged)
    texts = tuple(cells for _, cells in text.ragged)
    says = f"has not the {text.width} cells of the header"
    return Defect("ragged", "line", np.empty(0, np.intp), says, lines, texts)


def _stamps(arrays: Mapping[str, Any], tz: str | None, where: Any, name: str) -> Stamps:
    """Read the stamp column, or date and time joined; put the file's name on any complaint."""
    import pyarrow.compute as pc

    texts = arrays["ts"]
    if "time" in arrays:
        texts = pc.binary_join_element_wise(
            pc.replace_substring_regex(texts, r"^\s*(\d{4})(\d\d)(\d\d)\s*$", r"\1-\2-\3"),
            pc.utf8_trim_whitespace(arrays["time"]),
            " ",
        )
    try:
        return from_texts(texts, tz, where)
    except ValueError as error:
        raise type(error)(f"{name}: {error}") from None


def _numbers(texts: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Turn cells into doubles; the mask says which are not numbers (they become NaN)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        values = values_of(pc.cast(texts, pa.float64()), np.float64)
        return values, np.zeros(len(values), bool)
    except pa.ArrowInvalid:
        pass
    cells = [cell.strip() for cell in texts.to_pylist()]
    good = [NUMBER.fullmatch(cell) is not None for cell in cells]
    numbers = [float(cell) if ok else np.nan for cell, ok in zip(cells, good, strict=True)]
    return np.array(numbers), ~np.array(good, bool)


def _whole(texts: Any, column: str, defects: list[Defect]) -> NDArray[np.int64]:
    """Turn cells into whole numbers; 12.0 counts as one, 12.5 and blanks do not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return values_of(pc.cast(texts, pa.int64()), np.int64)
    except pa.ArrowInvalid:
        values, bad = _numbers(texts)
    return whole_numbers(values, bad, column, defects)


def whole_numbers(
    values: NDArray[np.float64], bad: NDArray[np.bool_], column: str, defects: list[Defect]
) -> NDArray[np.int64]:
    """Turn doubles into whole numbers, adding a defect for those that are none."""
    with np.errstate(invalid="ignore"):
        bad = bad | ~((values == np.rint(values)) & (np.abs(values) < WHOLE_MAX))
    if bad.any():
        says = "is not a whole number"
        defects.append(Defect("bad-volume", column, np.flatnonzero(bad), says))
    return np.where(bad, 0, values).astype(np.int64)


def _instruments(texts: Any | None) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Which instrument each row belongs to."""
    if texts is None:
        return None, ()
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = pc.utf8_trim_whitespace(texts).dictionary_encode()
    names = tuple(coded.dictionary.to_pylist())
    codes = values_of(coded.indices.cast(pa.int32()), np.int32)
    return (None if len(names) == 1 else codes), names
