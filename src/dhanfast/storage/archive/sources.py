"""Files of ticks to be imported: CSV or Parquet as record batches, a bounded piece at a time.

A CSV is read as text, cell for cell as it stands, so that it can be given back as it stood; what
the cells mean is found out by `scans.py`.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from dhanfast.errors import BadData, UsageError
from dhanfast.storage.parquet_rows import GENERATED_KEY
from dhanfast.storage.tick_parquet import INSTRUMENTS_KEY

BATCH_ROWS: Final = 65_536
CSV_BLOCK_BYTES: Final = 8 << 20
DELIMITERS: Final = (",", ";", "\t", "|")
PARQUET: Final = (".parquet", ".pq")
BOM: Final = b"\xef\xbb\xbf"

LISTED_ALSO: Final = ("segment", "security_id", "price_scale", "qty_scale")


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written: what is needed to write it so again.

    Attributes:
        delimiter: between cells. newline: between lines. bom: it begins with a byte order mark.
        ends: the last line ends with a newline too. header: the first line as it stands.
    """

    delimiter: str
    newline: str
    bom: bool
    ends: bool
    header: str


@dataclass
class TickSource:
    """A file as record batches; it can be read as often as one likes.

    Attributes:
        path: of the file. kind: csv or parquet. names: of the columns; two may be the same.
        schema: Arrow types of the columns; CSV cells are text.
        generated: the file's metadata says that a generator made it.
        instruments: what our generator's metadata says of the instruments, by number.
        dialect: of a CSV, None for Parquet.
    """

    path: Path
    kind: str
    schema: pa.Schema
    generated: bool
    dialect: Dialect | None = None
    instruments: dict[int, dict[str, Any]] = field(default_factory=dict)
    _sha256: str = field(default="", repr=False)

    @property
    def names(self) -> list[str]:
        """Names of the columns in the order of the file."""
        return list(self.schema.names)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file's bytes, in hex."""
        if not self._sha256:
            digest = hashlib.sha256()
            with open(self.path, "rb") as file:
                while piece := file.read(1 << 20):
                    digest.update(piece)
            self._sha256 = digest.hexdigest()
        return self._sha256

    def batches(self) -> Iterator[list[Any]]:
        """The rows in order: lists of one Arrow array a column, dictionaries decoded.

        Shape:
            at most 65,536 rows of Parquet, 8 MiB of CSV; none empty.

        Raises:
            BadData: the file is damaged, or a line has more or fewer cells than the header.
        """
        try:
            for batch in _csv_batches(self) if self.dialect else _parquet_batches(self.path):
                if batch.num_rows:
                    yield [_plain(column) for column in batch.columns]
        except (pa.ArrowException, OSError) as error:
            raise BadData(f"{self.path}: cannot be read on: {error}") from error


def _plain(column: Any) -> Any:
    kind = column.type
    return column.dictionary_decode() if pa.types.is_dictionary(kind) else column


def open_source(path: Path) -> TickSource:
    """Look at a file: its columns and how it is written.

    Raises:
        UsageError: it cannot be opened.
        BadData: it is neither CSV nor Parquet, is empty, or has columns of lists or records.
    """
    try:
        with open(path, "rb") as file:
            first = file.read(4)
    except OSError as error:
        raise UsageError(f"{path}: cannot be opened: {error.strerror}") from error
    if not first:
        raise BadData(f"{path}: the file is empty; export it again")
    if first == b"PAR1" or path.suffix.lower() in PARQUET:
        return _open_parquet(path)
    return _open_csv(path)


def _open_parquet(path: Path) -> TickSource:
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BadData(f"{path}: not a Parquet file we can read: {error}") from error
    if not rows:
        raise BadData(f"{path}: the file has no rows; export it again")
    for one in schema:
        kind = one.type.value_type if pa.types.is_dictionary(one.type) else one.type
        coded = kind is not one.type and not (
            pa.types.is_string(kind) or pa.types.is_large_string(kind)
        )
        if coded or pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
            raise BadData(
                f"{path}: column {one.name!r} is {kind}; a tick has plain columns: unnest it into "
                "columns of numbers and text first"
            )
    told = schema.metadata or {}
    generated = told.get(GENERATED_KEY, b"").lower() == b"true"
    source = TickSource(path, "parquet", schema, generated)
    source.instruments = _described(told.get(INSTRUMENTS_KEY, b"[]"))
    return source


def _described(told: bytes) -> dict[int, dict[str, Any]]:
    """Instruments as an archive lists them, out of a generated day's metadata or an archive's own
    list (`data export --raw`); none when they cannot be read."""
    try:
        found = {}
        for one in json.loads(told):
            right = one["kind"] if one["kind"] in ("CE", "PE") else one.get("right")
            also = {name: one[name] for name in LISTED_ALSO if one.get(name) is not None}
            found[int(one["index"])] = {
                "symbol": str(one["symbol"]), "kind": "OPT" if right else str(one["kind"]),
                "tick": int(one["tick"]), "lot": int(one["lot"]), "expiry": one["expiry"],
                "strike": int(one["strike"] or 0) or None, "right": right,
            } | also  # fmt: skip
        return found
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def _parquet_batches(path: Path) -> Iterator[Any]:
    with pq.ParquetFile(path, pre_buffer=False) as file:
        yield from file.iter_batches(batch_size=BATCH_ROWS, use_threads=False)


def _open_csv(path: Path) -> TickSource:
    try:
        with pa.input_stream(str(path)) as stream:
            start = stream.read(1 << 20)
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path}: cannot be read: {error}") from error
    bom = start.startswith(BOM)
    line, newline, _ = start[3 * bom :].partition(b"\n")
    if not newline:
        raise BadData(f"{path}: no line of names and rows beneath it; is it a CSV?")
    ending = "\r\n" if line.endswith(b"\r") else "\n"
    try:
        header = line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: its first line is not UTF-8 text; is it a CSV?") from error
    delimiter = max(DELIMITERS, key=header.count)
    names = next(csv.reader([header], delimiter=delimiter))
    dialect = Dialect(delimiter, ending, bom, _ends(path, start), header)
    schema = pa.schema([pa.field(name, pa.string()) for name in names])
    source = TickSource(path, "csv", schema, False, dialect)
    if next(source.batches(), None) is None:
        raise BadData(f"{path}: the file has no rows; export it again")
    return source


def _ends(path: Path, start: bytes) -> bool:
    """Whether the last byte of a plain file is a newline; a compressed one is taken to."""
    with open(path, "rb") as file:
        if file.read(64) != start[:64]:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _csv_batches(source: TickSource) -> Iterator[Any]:
    assert source.dialect is not None
    names = [f"c{at}" for at in range(len(source.names))]
    try:
        reader = pa.csv.open_csv(
            str(source.path),
            read_options=pa.csv.ReadOptions(
                use_threads=False, block_size=CSV_BLOCK_BYTES, skip_rows=1, column_names=names
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=source.dialect.delimiter, newlines_in_values=True, ignore_empty_lines=True
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return
        raise
    yield from reader
