"""Blocks of an archive as Arrow record batches: one copy out of the rows, none after it."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dhanfast._core.archive.codec import Block
from dhanfast._core.archive.schema import Stream
from dhanfast.storage.archive.file import ArchiveFile

UTC: Final = pa.timestamp("ns", tz="UTC")
DENSE_MAX: Final = 1 << 20  # instruments numbered from 0 up to here are dictionary indices as is


def record_batches(
    source: ArchiveFile, stream: Stream, blocks: Iterable[Block], *, seq: bool
) -> pa.RecordBatchReader:
    """Blocks of a stream as a reader of record batches.

    Args:
        source: the file, for its instruments.
        stream: the blocks' stream.
        blocks: decoded when the reader asks for them.
        seq: a column with the sequence numbers.
    """
    symbols = None if stream.key is None else _Symbols(source, stream)
    schema = _schema(source, stream, symbols, seq)
    return pa.RecordBatchReader.from_batches(schema, _batches(blocks, stream, schema, symbols))


def _times(stream: Stream) -> dict[str, str]:
    """Names of timestamp columns, and the fields whose memory they share."""
    named = {}
    for name in dict.fromkeys((stream.event, stream.time)):
        if name is not None:
            as_time = f"{name.removesuffix('_ns')}_time"
            if as_time not in stream.fields:
                named[as_time] = name
    return named


def _schema(
    source: ArchiveFile, stream: Stream, symbols: "_Symbols | None", seq: bool
) -> pa.Schema:
    fields = [pa.field(name, pa.from_numpy_dtype(stream.dtype[name])) for name in stream.fields]
    fields += [pa.field(name, UTC) for name in _times(stream)]
    if symbols is not None:
        fields.append(pa.field("symbol", symbols.kind))
    if stream.blob is not None:
        fields.append(pa.field("bytes", pa.large_binary()))
    if seq:
        # A stream may have a field `seq` of its own (depth: the message's number).
        fields.append(pa.field("archive_seq" if "seq" in stream.fields else "seq", pa.uint64()))
    told = {"stream": stream.to_json(), "head": source.head}
    return pa.schema(fields, metadata={"dhanfast": json.dumps(told)})


def _batches(
    blocks: Iterable[Block], stream: Stream, schema: pa.Schema, symbols: "_Symbols | None"
) -> Iterator[pa.RecordBatch]:
    times = _times(stream)
    for block in blocks:
        count = len(block.rows)
        made = {name: _column(block.rows[name]) for name in stream.fields}
        columns = [made[name] for name in stream.fields]
        for name in times.values():
            columns.append(pa.Array.from_buffers(UTC, count, [None, made[name].buffers()[1]]))
        if symbols is not None and stream.key is not None:
            columns.append(symbols.column(block.rows[stream.key], made[stream.key]))
        if stream.blob is not None:
            columns.append(_bytes(block, stream.blob))
        if len(columns) < len(schema):
            columns.append(_column(block.seq))
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(values: NDArray[Any]) -> pa.Array:
    """A field as a column: gathered once, then Arrow looks at the same memory."""
    values = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _bytes(block: Block, size: str) -> pa.Array:
    ends = np.zeros(len(block.rows) + 1, np.int64)
    np.cumsum(block.rows[size], out=ends[1:])
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(block.blob)]
    return pa.Array.from_buffers(pa.large_binary(), len(block.rows), buffers)


class _Symbols:
    """The dictionary of symbols, one for all batches of a reading."""

    def __init__(self, source: ArchiveFile, stream: Stream) -> None:
        used = source.keys(stream.name)
        listing = source.instruments
        most = len(listing)
        # Numbered 0, 1, 2 ...: the column of numbers is the column of indices, as it lies there.
        self._dense = most <= DENSE_MAX and all(number in listing for number in range(most)) and (
            len(used) == 0 or int(used[-1]) < most
        )  # fmt: skip
        known = range(most) if self._dense else [int(key) for key in used if int(key) in listing]
        self._names = pa.array([listing[number].symbol for number in known], pa.string())
        self._known = np.array(known, np.uint32)
        self.kind = pa.dictionary(pa.uint32(), pa.string())

    def column(self, keys: NDArray[np.uint32], made: pa.Array) -> pa.Array:
        """Symbols of rows; null where the file does not describe an instrument."""
        if self._dense:
            indices = made
        else:
            found = np.searchsorted(self._known, keys).astype(np.uint32)
            inside = np.minimum(found, max(len(self._known) - 1, 0))
            hit = self._known[inside] == keys if len(self._known) else np.zeros(len(keys), bool)
            indices = pa.array(inside, mask=~hit)
        return pa.DictionaryArray.from_arrays(indices, self._names)
