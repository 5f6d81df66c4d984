"""Archives as CSV and Parquet: the source as it was, or the rows in units that need no explanation.

Everything is streamed block by block: memory is a few blocks, whatever the size of the file.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dhanfast._core.archive.codec import Block
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import DhanfastError, UsageError
from dhanfast.storage.archive.forms import Texts, cells
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.restoring import original_of, restored
from dhanfast.storage.archive.sources import BOM, Dialect
from dhanfast.storage.durable import TEMP_PREFIX, sync_folder
from dhanfast.storage.parquet_rows import GENERATED_KEY
from dhanfast.storage.tick_parquet import INSTRUMENTS_KEY

FORMATS: Final = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}
PLAIN: Final = Dialect(",", "\n", False, True, "")
MONEY: Final = frozenset(("price", "bid", "ask", "open", "high", "low", "close", "prev_close",
                          "band_low", "band_high"))  # fmt: skip
QUANTITY: Final = frozenset(("qty", "bid_qty", "ask_qty", "volume", "oi", "total_buy_qty",
                             "total_sell_qty"))  # fmt: skip
GROUP_ROWS: Final = 1 << 18  # rows of a Parquet row group
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ExportOptions:
    """What is exported, and how.

    Attributes:
        stream: name of the stream. symbols: only these; start_ns, end_ns: [start, end), UTC ns.
        as_source: give back the file that was imported. raw: fields as the archive holds them.
        level: zstd level of Parquet.
    """

    stream: str | None = None
    symbols: tuple[str, ...] | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    as_source: bool = False
    raw: bool = False
    level: int = 9


@dataclass(frozen=True)
class Exported:
    """What was written."""

    file: str
    rows: int
    bytes: int
    stream: str


def export_archive(
    reader: ArchiveReader,
    target: Path,
    options: ExportOptions,
    progress: Progress = lambda doing, done, total: None,
) -> Exported:
    """Write an archive, or a part of it, as CSV or Parquet.

    Args:
        reader: what is exported.
        target: its suffix says the format: .csv, .parquet. A file of that name is replaced when
            the new one is whole.
        options: what, and how.
        progress: told how many rows are done.

    Raises:
        UsageError: no such stream or symbol, or another suffix.
        BadData: the archive is damaged; nothing is left behind.
        DhanfastError: the disk refuses; nothing is left behind.
    """
    kind = FORMATS.get(target.suffix.lower())
    if kind is None:
        raise UsageError(f"{target}: export writes .csv and .parquet; name the file so")
    if options.raw and kind == "csv":
        raise UsageError(
            f"{target}: a CSV cannot say that its prices are paise; --raw writes .parquet"
        )
    stream = options.stream or next(iter(reader.streams))
    total = reader.rows(stream)
    if options.as_source:
        tables, schema, dialect = _as_source(reader, options)
        stream = "the source"
    else:
        tables, schema = decoded(reader, stream, options)
        dialect = None
    draft = target.with_name(f"{TEMP_PREFIX}{os.getpid()}-{target.name}")
    try:
        counted = _counted(tables, total, progress)
        if kind == "csv":
            rows = _write_csv(draft, counted, schema, dialect or PLAIN)
        else:
            rows = _write_parquet(draft, counted, schema, options.level)
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
        os.replace(draft, target)
        sync_folder(target.parent)
    except OSError as error:
        raise DhanfastError(f"{target}: cannot be written ({error})") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return Exported(str(target), rows, target.stat().st_size, stream)


def _counted(tables: Iterable[Any], total: int, progress: Progress) -> Iterator[Any]:
    done = 0
    for table in tables:
        progress("exporting", done, total)
        done += len(table)
        yield table


def _as_source(
    reader: ArchiveReader, options: ExportOptions
) -> tuple[Iterator[Any], Any, Dialect | None]:
    if options.raw or options.stream is not None:
        raise UsageError("--as-source gives the file back as it was; leave --raw and --stream out")
    original = original_of(reader)
    tables = restored(
        reader, start_ns=options.start_ns, end_ns=options.end_ns, symbols=options.symbols
    )
    return tables, original.schema, original.dialect


def decoded(
    reader: ArchiveReader, stream: str, options: ExportOptions
) -> tuple[Iterator[pa.Table], pa.Schema]:
    """Rows of a stream as tables in clear units, and their schema.

    Prices are rupees (doubles that print as the decimal), quantities units, instruments symbols,
    numbered words words. With `raw` every field is as the archive holds it.

    Raises:
        UsageError: no such stream or symbol.
    """
    described = reader.described(stream)
    maker = _Decoder(reader, described, raw=options.raw)
    symbols = options.symbols if described.key is not None else None
    if options.symbols is not None and symbols is None:
        raise UsageError(f"stream {stream!r} has no instruments to choose by")
    blocks = reader.blocks(
        stream, start_ns=options.start_ns, end_ns=options.end_ns, symbols=symbols
    )
    return (maker.table(block) for block in blocks), maker.schema


class _Decoder:
    """Blocks of a stream as tables."""

    def __init__(self, reader: ArchiveReader, stream: Stream, *, raw: bool) -> None:
        self._stream, self._raw = stream, raw
        listing = reader.instruments
        most = max(listing, default=0)
        self._names = np.array([f"#{at}" for at in range(most + 1)], object)
        self._price_parts, self._qty_parts = np.full(most + 1, 100), np.ones(most + 1)
        for index, entry in listing.items():
            self._names[index] = entry.symbol
            self._price_parts[index], self._qty_parts[index] = entry.price_scale, entry.qty_scale
        self._symbols = pa.array(self._names.tolist(), pa.string())
        self._forms = {} if raw else _own_columns(stream)
        columns = (stream.meaning.get("source") or {}).get("columns", ())
        self._nulls = {form["field"]: form["null"] for form in columns if form.get("null")}
        empty = np.zeros(0, stream.dtype)
        made = self.table(Block(empty, np.zeros(0, np.uint64), b""))
        flag = b"true" if reader.head.get("generated") else b"false"
        told = {"archive": reader.path.name, "stream": stream.name, "digest": reader.digest,
                "units": "as the archive holds them" if raw else "rupees, units"}  # fmt: skip
        facts = {GENERATED_KEY: flag, b"dhanfast.archive": json.dumps(told).encode()}
        if raw:  # numbers, and what they stand for: `data import` takes them back as they are
            entries = [listing[at].to_json() for at in sorted(listing)]
            facts[INSTRUMENTS_KEY] = json.dumps(entries).encode()
        self.schema = made.schema.with_metadata(facts)

    def table(self, block: Block) -> pa.Table:
        """One block."""
        rows, stream = block.rows, self._stream
        columns: dict[str, Any] = {}
        keys = rows[stream.key].astype(np.int64) if stream.key else None
        if keys is not None:
            if len(keys) and int(keys.max()) >= len(self._names):
                keys = np.minimum(keys, len(self._names) - 1)
            columns["symbol"] = pa.DictionaryArray.from_arrays(
                pa.array(keys.astype(np.int32)), self._symbols
            )
        texts = None
        told = stream.meaning.get("source") or {}
        if told.get("texts") and not self._raw:
            texts = Texts(told["texts"], rows, block.blob)
        for name in stream.fields:
            if name == stream.key and not self._raw:
                continue
            if not self._raw and name in self._hidden:
                continue
            columns[name] = self._column(name, rows, keys, texts)
            if name in self._nulls and not self._raw:
                columns[name] = _with_nulls(columns[name], rows[self._nulls[name]] != 0)
        if stream.blob is not None and not self._forms_texts:
            columns["bytes"] = _bytes(block, stream.blob)
        return pa.table(columns)

    @property
    def _forms_texts(self) -> bool:
        return bool((self._stream.meaning.get("source") or {}).get("texts"))

    @property
    def _hidden(self) -> frozenset[str]:
        """Fields that only serve others: lengths of texts, marks of nulls."""
        hidden = set(self._nulls.values())
        if self._forms_texts and self._stream.blob is not None:
            hidden.add(self._stream.blob)
        return frozenset(hidden)

    def _column(
        self, name: str, rows: NDArray[Any], keys: NDArray[np.int64] | None, texts: Texts | None
    ) -> Any:
        form = self._forms.get(name)
        if form is not None:
            return _clear(form, rows, texts)
        values = np.ascontiguousarray(rows[name])
        if not self._raw and keys is not None and values.dtype.kind in "iu":
            if name in MONEY:
                return pa.array(values / self._price_parts[keys])
            if name in QUANTITY and (self._qty_parts != 1).any():
                return pa.array(values / self._qty_parts[keys])
        words = self._stream.meaning.get(name)
        if not self._raw and isinstance(words, dict) and isinstance(words.get("enum"), list):
            names = pa.array([str(word) for word in words["enum"]], pa.string())
            if not len(values) or int(values.max()) < len(names):
                return names.take(pa.array(values.astype(np.int64)))
        if not self._raw and isinstance(words, dict) and isinstance(words.get("digits"), int):
            return pa.array(values / 10.0 ** words["digits"])
        return pa.array(values)


def _own_columns(stream: Stream) -> dict[str, dict[str, Any]]:
    """Forms of the columns that an import put beside the standard fields."""
    told = stream.meaning.get("source") or {}
    found: dict[str, dict[str, Any]] = {}
    standard = {*MONEY, *QUANTITY, "recv_ns", "exch_ns", "instrument", "flags", "seq", "side", "op",
                "orders"}  # fmt: skip
    for form in told.get("columns", ()):
        field = form.get("field")
        if field and field not in standard and field != "what":
            found[field] = form
    return found


def _clear(form: dict[str, Any], rows: NDArray[Any], texts: Texts | None) -> Any:
    """A column of the source's own in its natural type, whatever the source wrote it as."""
    how = form["how"]
    if how in ("enum", "text"):
        made = cells(form | {"null": None}, pa.string(), rows, texts)
    elif how == "scaled":
        digits = form.get("digits", 0)
        values = rows[form["field"]].astype(np.int64)
        made = pa.array(values / 10.0**digits if digits else values)
    else:
        made = pa.array(np.ascontiguousarray(rows[form["field"]]))
    return made


def _with_nulls(column: Any, nulls: NDArray[np.bool_]) -> Any:
    if not nulls.any():
        return column
    return pc.if_else(pa.array(nulls), pa.scalar(None, column.type), column)


def _bytes(block: Block, size: str) -> Any:
    ends = np.concatenate([[0], np.cumsum(block.rows[size].astype(np.int64))])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(block.blob)]
    return pa.Array.from_buffers(pa.large_binary(), len(block.rows), buffers)


def _write_parquet(path: Path, tables: Iterable[Any], schema: Any, level: int) -> int:
    rows, held, waiting = 0, [], 0
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=level) as writer:
        for table in tables:
            held.append(table.cast(schema))
            waiting += len(table)
            rows += len(table)
            if waiting >= GROUP_ROWS:
                writer.write_table(pa.concat_tables(held), row_group_size=GROUP_ROWS)
                held, waiting = [], 0
        if held:
            writer.write_table(pa.concat_tables(held), row_group_size=GROUP_ROWS)
    return rows


def _write_csv(path: Path, tables: Iterable[Any], schema: Any, dialect: Dialect) -> int:
    rows = 0
    newline = dialect.newline.encode()
    header = dialect.header or dialect.delimiter.join(schema.names)
    with open(path, "wb") as file:
        file.write((BOM if dialect.bom else b"") + header.encode())
        for table in tables:
            for batch in table.to_batches(max_chunksize=1 << 16):
                lines = _lines(batch.columns, dialect)
                ends = np.frombuffer(lines.buffers()[1], np.int64)[lines.offset :]
                data = memoryview(lines.buffers()[2] or b"")
                file.write(data[int(ends[0]) : int(ends[len(lines)])])
                rows += len(batch)
        if dialect.ends:
            file.write(newline)
    return rows


def _lines(columns: Sequence[Any], dialect: Dialect) -> Any:
    """Rows as lines, each with the newline before it."""
    texts = [_quoted(_words(column), dialect) for column in columns]
    between = pa.scalar(dialect.delimiter, pa.large_string())
    first = pc.binary_join_element_wise(*texts, between)
    begun = pa.array([dialect.newline], pa.large_string())[0]
    return pc.binary_join_element_wise(begun, first, pa.scalar("", pa.large_string()))


def _words(column: Any) -> Any:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
    elif pa.types.is_floating(kind):
        from dhanfast.storage.archive.texts import float_texts

        made = float_texts(np.asarray(pc.fill_null(column, 0.0)).astype(np.float64))
        column = pc.if_else(pc.is_null(column), "", made)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        column = pa.array([(one.as_py() or b"").hex() for one in column], pa.string())
    return pc.fill_null(column.cast(pa.large_string()), "")


def _quoted(words: Any, dialect: Dialect) -> Any:
    risky = pc.match_substring_regex(words, f'["\\r\\n{_escaped(dialect.delimiter)}]')
    if not pc.any(risky).as_py():
        return words
    quote = pa.scalar('"', pa.large_string())
    doubled = pc.replace_substring(words, '"', '""')
    wrapped = pc.binary_join_element_wise(quote, doubled, quote, pa.scalar("", pa.large_string()))
    return pc.if_else(risky, wrapped, words)


def _escaped(delimiter: str) -> str:
    return {"\t": "\\t", "|": "\\|"}.get(delimiter, delimiter)
