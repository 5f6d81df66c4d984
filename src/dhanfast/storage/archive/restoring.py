"""A source given back: the rows of an imported archive as the table they came from."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dhanfast._core.archive.schema import Stream
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive.forms import Texts, cells
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.sources import Dialect


@dataclass(frozen=True)
class Original:
    """What an archive knows of the file it was imported from.

    Attributes:
        kind: csv or parquet. schema: Arrow types; CSV cells are text. rows: it had so many.
        dialect: of a CSV. streams: those its rows are in.
    """

    kind: str
    schema: pa.Schema
    rows: int
    dialect: Dialect | None
    streams: tuple[str, ...]


def original_of(reader: ArchiveReader) -> Original:
    """What the file was.

    Raises:
        UsageError: the archive was not imported from a file.
        BadData: what it says of its source is damaged.
    """
    told = {
        name: stream.meaning["source"]
        for name, stream in reader.streams.items()
        if isinstance(stream.meaning.get("source"), dict)
    }
    first = next((one for one in told.values() if "format" in one), None)
    if first is None:
        raise UsageError(
            f"{reader.path} was not imported from a file, so it has no source to give back; leave "
            "--as-source out"
        )
    try:
        names = [form["name"] for form in first["columns"]]
        dialect = Dialect(**first["csv"]) if "csv" in first else None
        if dialect is None:
            schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(first["schema"])))
        else:
            schema = pa.schema([pa.field(name, pa.string()) for name in names])
        return Original(first["format"], schema, first["rows"], dialect, tuple(told))
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise BadData(f"{reader.path}: what it says of its source is damaged ({error})") from error


def restored(
    reader: ArchiveReader,
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    symbols: Iterable[str] | None = None,
) -> Iterator[pa.Table]:
    """The rows of the source, in its order, a block at a time.

    Args:
        reader: an archive made by `data import`.
        start_ns, end_ns, symbols: only these, as for `ArchiveReader.batches`.

    Raises:
        UsageError: the archive was not imported, or there is no such symbol.
        BadData: damage.
    """
    original = original_of(reader)
    choice: dict[str, Any] = {"start_ns": start_ns, "end_ns": end_ns, "symbols": symbols}
    if len(original.streams) == 1:
        stream = reader.streams[original.streams[0]]
        for block in reader.blocks(stream.name, **choice):
            yield _table(original, [_columns(original, stream, block.rows, block.blob)], None)
        return
    for held in reader.merged_batches(original.streams, **choice):
        yield _merged(original, reader, held)


def _columns(original: Original, stream: Stream, rows: NDArray[Any], blob: bytes) -> list[Any]:
    """The columns of the source from rows of one stream."""
    told = stream.meaning["source"]
    texts = Texts(told["texts"], rows, blob) if told["texts"] else None
    kinds = [None if original.dialect else field.type for field in original.schema]
    return [
        cells(form, kind, rows, texts) for form, kind in zip(told["columns"], kinds, strict=True)
    ]


def _merged(original: Original, reader: ArchiveReader, held: Any) -> pa.Table:
    """Rows of several streams, put in the order in which they arrived."""
    parts, places, base = [], [], 0
    slots = held.runs["slot"].astype(np.int64)
    firsts, sizes = held.runs["first"].astype(np.int64), held.runs["rows"].astype(np.int64)
    order = np.repeat(np.arange(len(slots)), sizes)
    within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    for slot, name in enumerate(held.streams):
        mine = np.flatnonzero(slots == slot)
        if not len(mine):
            continue
        stream = reader.streams[name]
        first, last = int(firsts[mine[0]]), int(firsts[mine[-1]] + sizes[mine[-1]])
        rows, counts = _expanded(stream, held.rows[name][first:last])
        parts.append(_columns(original, stream, rows, b""))
        starts = base + np.cumsum(counts) - counts
        at = np.flatnonzero(slots[order] == slot)
        row = firsts[order[at]] + within[at] - first
        places.append((at, starts[row], counts[row]))
        base += len(rows)
    # in order of arrival: each row's place in the joined parts, and how many rows it stands for
    start, count = np.zeros(len(order), np.int64), np.zeros(len(order), np.int64)
    for at, mine_start, mine_count in places:
        start[at], count[at] = mine_start, mine_count
    ends = np.cumsum(count)
    take = np.repeat(start - (ends - count), count) + np.arange(int(ends[-1]) if len(ends) else 0)
    return _table(original, parts, take)


def _expanded(stream: Stream, rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Rows of a stream as rows of the source, and how many each stands for."""
    told = stream.meaning["source"]
    counts = np.ones(len(rows), np.int64)
    if "skip" in told:
        name, code = told["skip"]
        counts[rows[name] == code] = 0
    if "pairs" in told:
        name = told["pairs"]
        counts[rows[name] == 2] = 2
    expanded = np.repeat(rows, counts)
    if "pairs" in told:
        second = np.cumsum(counts)[counts == 2] - 1
        expanded[told["pairs"]][second] += 1
    return expanded, counts


def _table(original: Original, parts: list[list[Any]], take: NDArray[np.int64] | None) -> pa.Table:
    columns = [pa.chunked_array(list(pieces)) for pieces in zip(*parts, strict=True)]
    if take is not None:
        at = pa.array(take)
        columns = [column.take(at) for column in columns]
    return pa.Table.from_arrays(columns, schema=original.schema)
