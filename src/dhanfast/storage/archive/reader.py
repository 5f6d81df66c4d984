"""Reading an archive: any time range and instrument, in batches of records, without the rest.

Blocks are decompressed one by one, by the caller's thread or ahead by others; memory is a few
blocks, whatever the size of the file. Rows come in the order in which they were recorded.
"""

import os
from collections import namedtuple
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.codec import Block, Codec
from dhanfast._core.archive.merge import sequence_runs
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive.file import ArchiveFile, Selection
from dhanfast.storage.archive.lookahead import in_order

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS: Final = 65_536
THREADS_MAX: Final = 64
EDGE_ROWS: Final = 2_048  # looked at together where a block lies across the edge of a range


class Runs(NamedTuple):
    """Rows of several streams and the order in which they arrived.

    Attributes:
        rows: the rows of each stream, by name.
        runs: dhanfast._core.archive.merge.RUN_DTYPE: slot (of the stream in `streams`), first row,
            how many rows; in the order of the sequence numbers.
        streams: names by slot.
    """

    rows: dict[str, NDArray[Any]]
    runs: NDArray[Any]
    streams: tuple[str, ...]


class ArchiveReader(ArchiveFile):
    """A file of the archive as batches of records, arrays and tables.

    Threads may share a reader for reading; `refresh` and `close` want it alone.

        with ArchiveReader("2026-01-02.dfa") as day:
            for ticks in day.batches("ticks", symbols=["NIFTY"], threads=2):
                ...

    Args:
        path: of the file.

    Raises:
        BadData: it is no archive, or damaged where it must be read to be opened; the message names
            file, byte and remedy.
        FileNotFoundError: there is none.
    """

    def batches(
        self,
        stream: str = "ticks",
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        symbols: Iterable[str] | None = None,
        batch_rows: int = BATCH_ROWS,
        threads: int = 0,
        reuse: bool = False,
    ) -> Iterator[NDArray[Any]]:
        """Rows of a stream in the order they were recorded, a batch at a time.

        Args:
            stream: name of the stream.
            start_ns, end_ns: [start, end) of its time field, UTC ns; None for open ends.
            symbols: instruments by name; None for all.
            batch_rows: the most rows of a batch.
            threads: how many decompress ahead; 0 decodes in this thread, straight into the batch.
            reuse: batches share memory: one is valid until the next is asked for. Otherwise each
                has its own.

        Shape:
            arrays of the stream's dtype, C-contiguous, none empty.

        Raises:
            UsageError: no such stream or symbol, or a number out of range.
            BadData: damage, once the rows before it have been given; the message names file, byte
                and remedy.
        """
        chosen = self.select(stream, start_ns=start_ns, end_ns=end_ns, symbols=symbols)
        check_range("batch_rows", batch_rows, 1, 1 << 24)
        check_range("threads", threads, 0, THREADS_MAX)
        if threads == 0:
            return self._batches_here(chosen, batch_rows, reuse)
        return self._batches_ahead(chosen, batch_rows, threads, reuse)

    def _batches_here(
        self, chosen: Selection, batch_rows: int, reuse: bool
    ) -> Iterator[NDArray[Any]]:
        out = np.empty(batch_rows, chosen.stream.dtype)
        raw, size, at = out.view(np.uint8), out.itemsize, 0
        for number in chosen.blocks:
            try:
                read = self._reading(chosen, number)
                while (rows := read(raw[at * size :])) > 0:
                    at += rows
                    if at == batch_rows:
                        yield out
                        at = 0
                        if not reuse:
                            out = np.empty(batch_rows, chosen.stream.dtype)
                            raw = out.view(np.uint8)
            except BadData:
                if at:
                    yield out[:at]
                raise
        if at:
            yield out[:at]

    def _reading(self, chosen: Selection, number: int) -> Callable[[NDArray[np.uint8]], int]:
        """A function that writes the next chosen rows of a block into a buffer."""
        cursor = self.decoding(number, lambda codec, body: codec.cursor(body, keys=chosen.keys))

        def read(raw: NDArray[np.uint8]) -> int:
            return int(self.blaming(number, cursor.read_into, raw))

        return _Within(read, chosen).read_into if self.at_edge(chosen, number) else read

    def _chosen_block(self, chosen: Selection, number: int) -> Block:
        """The rows of a block that were asked for, with their numbers."""
        block = self.block(number)
        edge = self.at_edge(chosen, number)
        if not edge and chosen.keys is None:
            return block
        keep = _in_range(block.rows, chosen) if edge else np.ones(len(block.rows), bool)
        if chosen.keys is not None:
            keep &= np.isin(block.rows[chosen.stream.key], np.array(chosen.keys, np.uint32))
        blob = block.blob if chosen.stream.blob is None else _kept_bytes(block, chosen, keep)
        return Block(block.rows[keep], block.seq[keep], blob)

    def _batches_ahead(
        self, chosen: Selection, batch_rows: int, threads: int, reuse: bool
    ) -> Iterator[NDArray[Any]]:
        buffers: list[NDArray[Any]] = []
        ahead = threads + 1
        if reuse and chosen.blocks:
            # One is in the caller's hands while `ahead` others are filled.
            most = int(self._contents.blocks["rows"][list(chosen.blocks)].max())
            buffers = [np.empty(most, chosen.stream.dtype) for _ in range(ahead + 1)]
        with ThreadPoolExecutor(threads, thread_name_prefix="archive") as pool:
            pieces = self.pieces(chosen, pool=pool, ahead=ahead, buffers=buffers)
            with closing(pieces):
                yield from _joined(pieces, chosen, batch_rows, reuse)

    def pieces(
        self,
        chosen: Selection,
        *,
        pool: Executor | None,
        ahead: int,
        buffers: Sequence[NDArray[Any]] = (),
    ) -> Generator[NDArray[Any], None, None]:
        """The chosen rows of one block after another.

        Args:
            chosen: by `select`.
            pool: whose threads decode; None: this one does.
            ahead: how many blocks beyond the one in the caller's hands may be begun.
            buffers: `ahead` + 1 arrays, each with room for any of the blocks, to be used in turn;
                none: each block has its own.

        Raises:
            BadData: as for `batches`.
        """
        tasks = (
            partial(self._piece, chosen, number, buffers[at % len(buffers)] if buffers else None)
            for at, number in enumerate(chosen.blocks)
        )
        return in_order(tasks, pool, ahead)

    def _piece(self, chosen: Selection, number: int, buffer: NDArray[Any] | None) -> NDArray[Any]:
        """The chosen rows of one block."""
        if self.at_edge(chosen, number):
            return self._chosen_block(chosen, number).rows

        def fill(codec: Codec, body: memoryview) -> NDArray[Any]:
            cursor = codec.cursor(body, keys=chosen.keys)
            rows = np.empty(cursor.left, chosen.stream.dtype) if buffer is None else buffer
            return rows[: cursor.read_into(rows.view(np.uint8))]

        piece: NDArray[Any] = self.decoding(number, fill)
        return piece

    def blocks(
        self,
        stream: str = "ticks",
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        symbols: Iterable[str] | None = None,
        threads: int = 0,
    ) -> Iterator[Block]:
        """Rows with their sequence numbers and bytes, block by block as they were written.

        Args:
            stream, start_ns, end_ns, symbols, threads: as for `batches`.

        Returns:
            Block(rows, seq, blob), the rows asked for; blocks without one are left out.

        Raises:
            UsageError, BadData: as for `batches`.
        """
        chosen = self.select(stream, start_ns=start_ns, end_ns=end_ns, symbols=symbols)
        check_range("threads", threads, 0, THREADS_MAX)
        return self._blocks(chosen, threads)

    def _blocks(self, chosen: Selection, threads: int) -> Iterator[Block]:
        tasks = (partial(self._chosen_block, chosen, number) for number in chosen.blocks)
        if threads == 0:
            yield from (block for block in in_order(tasks, None, 0) if len(block.rows))
            return
        with (
            ThreadPoolExecutor(threads, thread_name_prefix="archive") as pool,
            closing(in_order(tasks, pool, threads + 1)) as made,
        ):
            yield from (block for block in made if len(block.rows))

    def records(self, stream: str = "ticks", **choice: Any) -> Iterator[Any]:
        """Rows one by one as named tuples of Python numbers, for scripts and tests.

        Args:
            stream: name of the stream.
            choice: start_ns, end_ns, symbols, threads as for `batches`.

        Raises:
            UsageError, BadData: as for `batches`.
        """
        batches = self.batches(stream, reuse=True, **choice)
        record = namedtuple(  # type: ignore[misc]
            "Record", self.streams[stream].fields, rename=True
        )
        return (record._make(row) for batch in batches for row in batch.tolist())

    def __iter__(self) -> Iterator[Any]:
        """Records of the ticks, or of the file's only stream."""
        return self.records(next(iter(self.streams)) if len(self.streams) == 1 else "ticks")

    def frames(self, stream: str = "frames", **choice: Any) -> Iterator[tuple[Any, bytes]]:
        """Rows with the bytes that belong to each.

        Args:
            stream: name of a stream with bytes.
            choice: start_ns, end_ns, threads as for `batches`.

        Raises:
            UsageError: as for `batches`, or the stream has no bytes.
            BadData: as for `batches`, or the bytes are fewer or more than the rows say.
        """
        made = self.described(stream)
        if made.blob is None:
            raise UsageError(f"stream {stream!r} has no bytes; it has rows only")
        return self._frames(self.blocks(stream, **choice), made.blob)

    def _frames(self, blocks: Iterator[Block], size: str) -> Iterator[tuple[Any, bytes]]:
        for block in blocks:
            at = 0
            for row in block.rows:
                yield row, block.blob[at : at + int(row[size])]
                at += int(row[size])

    def to_numpy(
        self,
        stream: str = "ticks",
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        symbols: Iterable[str] | None = None,
        threads: int = 0,
    ) -> NDArray[Any]:
        """The rows asked for in one array.

        Args:
            stream, start_ns, end_ns, symbols, threads: as for `batches`.

        Raises:
            UsageError: as for `batches`, or the rows would not fit into this machine's memory.
            BadData: as for `batches`.
        """
        chosen = self.select(stream, start_ns=start_ns, end_ns=end_ns, symbols=symbols)
        check_range("threads", threads, 0, THREADS_MAX)
        rows = self._contents.blocks["rows"][list(chosen.blocks)].astype(np.int64)
        check_memory(stream, int(rows.sum()) * chosen.stream.dtype.itemsize)
        if chosen.keys is not None:  # most rows of the blocks may be of others
            parts = list(self.batches(stream, start_ns=start_ns, end_ns=end_ns,
                                      symbols=symbols, threads=threads))  # fmt: skip
            return np.concatenate([np.empty(0, chosen.stream.dtype), *parts])
        out = np.empty(int(rows.sum()), chosen.stream.dtype)
        ends = np.cumsum(rows)
        places = zip(chosen.blocks, (ends - rows).tolist(), ends.tolist(), strict=True)
        tasks = (
            partial(self._piece_at, chosen, number, out[first:end]) for number, first, end in places
        )
        if threads == 0:
            counts = list(in_order(tasks, None, 0))
        else:
            with ThreadPoolExecutor(threads, thread_name_prefix="archive") as pool:
                counts = list(in_order(tasks, pool, threads + 1))
        return _closed_up(out, rows, np.array(counts, np.int64))

    def _piece_at(self, chosen: Selection, number: int, out: NDArray[Any]) -> int:
        piece = self._piece(chosen, number, out)
        if len(piece) and not np.shares_memory(piece[:1], out[:1]):
            out[: len(piece)] = piece
        return len(piece)

    def to_arrow(
        self,
        stream: str = "ticks",
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        symbols: Iterable[str] | None = None,
        threads: int = 0,
        seq: bool = False,
    ) -> "pa.Table":
        """The rows asked for as an Arrow table, which DuckDB, Polars and pandas read.

        Each field is a column of its own type. Besides, for each time field (`recv_ns`) the same
        memory as `recv_time`, a timestamp in UTC; `symbol`, a dictionary column, when the rows have
        instruments; `bytes` for a stream with bytes.

        Args:
            stream, start_ns, end_ns, symbols, threads: as for `batches`.
            seq: a column `seq` with the sequence numbers.

        Raises:
            UsageError: as for `batches`, or the rows would not fit into this machine's memory.
            BadData: as for `batches`.
        """
        chosen = self.select(stream, start_ns=start_ns, end_ns=end_ns, symbols=symbols)
        rows = self._contents.blocks["rows"][list(chosen.blocks)]
        check_memory(stream, int(rows.sum(dtype=np.uint64)) * chosen.stream.dtype.itemsize)
        return self.to_batches(
            stream, start_ns=start_ns, end_ns=end_ns, symbols=symbols, threads=threads, seq=seq
        ).read_all()

    def to_batches(
        self,
        stream: str = "ticks",
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        symbols: Iterable[str] | None = None,
        threads: int = 0,
        seq: bool = False,
    ) -> "pa.RecordBatchReader":
        """The same as `to_arrow`, a record batch a block, for files larger than memory.

        Args:
            stream, start_ns, end_ns, symbols, threads, seq: as for `to_arrow`.

        Raises:
            UsageError, BadData: as for `batches`.
        """
        # pyarrow takes a third of a second to import: only those who ask for it pay.
        from dhanfast.storage.archive.arrow_batches import record_batches

        blocks = self.blocks(
            stream, start_ns=start_ns, end_ns=end_ns, symbols=symbols, threads=threads
        )
        return record_batches(self, self.streams[stream], blocks, seq=seq)

    # Several streams in the order of arrival

    def merged(self, streams: Sequence[str], **choice: Any) -> Iterator[tuple[str, NDArray[Any]]]:
        """Rows of several streams in the order in which they arrived.

        Args:
            streams: names; each once.
            choice: start_ns, end_ns, symbols (streams with instruments only), threads as for
                `batches`.

        Returns:
            (name, rows), each run as long as no other stream's row comes between.

        Raises:
            UsageError, BadData: as for `batches`.
        """
        batches = self.merged_batches(streams, **choice)
        return (
            (held.streams[slot], held.rows[held.streams[slot]][first : first + rows])
            for held in batches
            for slot, first, rows in held.runs.tolist()
        )

    def merged_batches(
        self,
        streams: Sequence[str],
        *,
        start_ns: int | None = None,
        end_ns: int | None = None,
        symbols: Iterable[str] | None = None,
        threads: int = 0,
    ) -> Iterator[Runs]:
        """The same for native loops: rows of each stream and a table of runs, no Python a run.

        Args:
            streams, start_ns, end_ns, symbols, threads: as for `merged`.

        Raises:
            UsageError, BadData: as for `batches`.
        """
        names = tuple(streams)
        if isinstance(streams, str) or not names or len(set(names)) < len(names):
            raise UsageError(f"streams: a list of names, each once, was {streams!r}")
        wanted = None if symbols is None else list(symbols)
        blocks = [
            self.blocks(
                name, start_ns=start_ns, end_ns=end_ns, threads=threads,
                symbols=wanted if self.described(name).key is not None else None,
            )
            for name in names
        ]  # fmt: skip
        return _merged(names, blocks)


class _Within:
    """Rows of a block that lie in the time range, read as a cursor would.

    A little at a time: the first row of a range comes out before the block is decoded to its end,
    and what is looked at stays in the processor's cache.
    """

    def __init__(self, read: Callable[[NDArray[np.uint8]], int], chosen: Selection) -> None:
        self._read, self._chosen = read, chosen
        self._held = np.empty(EDGE_ROWS, chosen.stream.dtype)
        self._kept = self._held[:0]

    def read_into(self, raw: NDArray[np.uint8]) -> int:
        while not len(self._kept):
            count = self._read(self._held.view(np.uint8))
            if count == 0:
                return 0
            self._kept = self._held[:count][_in_range(self._held[:count], self._chosen)]
        out = raw.view(self._held.dtype)
        count = min(len(out), len(self._kept))
        out[:count] = self._kept[:count]
        self._kept = self._kept[count:]
        return count


def _in_range(rows: NDArray[Any], chosen: Selection) -> NDArray[np.bool_]:
    keep = np.ones(len(rows), bool)
    if chosen.start_ns is not None:
        keep &= rows[chosen.stream.time] >= chosen.start_ns
    if chosen.end_ns is not None:
        keep &= rows[chosen.stream.time] < chosen.end_ns
    return keep


def _joined(
    pieces: Iterator[NDArray[Any]], chosen: Selection, batch_rows: int, reuse: bool
) -> Iterator[NDArray[Any]]:
    """Pieces as batches: cut where they are long, copied together where they are short."""
    out = np.empty(0, chosen.stream.dtype)
    held = 0
    while True:
        try:
            piece = next(pieces, None)
        except BadData:
            if held:
                yield out[:held]
            raise
        long = piece is not None and 2 * len(piece) > batch_rows
        if held and (piece is None or long or len(piece) > batch_rows - held):
            yield out[:held]
            held = 0
            if not reuse:
                out = np.empty(0, chosen.stream.dtype)
        if piece is None:
            return
        if long:
            for first in range(0, len(piece), batch_rows):
                yield piece[first : first + batch_rows]
        elif len(piece):
            if not len(out):
                out = np.empty(batch_rows, chosen.stream.dtype)
            out[held : held + len(piece)] = piece
            held += len(piece)


def _kept_bytes(block: Block, chosen: Selection, keep: NDArray[np.bool_]) -> bytes:
    ends = np.cumsum(block.rows[chosen.stream.blob].astype(np.int64))
    starts = ends - block.rows[chosen.stream.blob]
    kept = np.flatnonzero(keep).tolist()
    return b"".join(block.blob[starts[row] : ends[row]] for row in kept)


def _closed_up(
    out: NDArray[Any], rows: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[Any]:
    """Rows written at the places of whole blocks, moved together where blocks gave fewer."""
    at = 0
    for first, count in zip((np.cumsum(rows) - rows).tolist(), counts.tolist(), strict=True):
        if first != at:
            out[at : at + count] = out[first : first + count].copy()
        at += count
    return out[:at]


def _merged(names: tuple[str, ...], blocks: list[Iterator[Block]]) -> Iterator[Runs]:
    with ExitStack() as stack:
        for stream in blocks:
            stack.enter_context(closing(stream))  # type: ignore[type-var]
        held: dict[int, Block] = {}
        starts = [0] * len(names)
        left = list(range(len(names)))
        while True:
            for slot in tuple(left):
                if slot not in held and (block := next(blocks[slot], None)) is not None:
                    held[slot], starts[slot] = block, 0
                elif slot not in held:
                    left.remove(slot)
            if not left:
                return
            begun = [starts[slot] for slot in left]
            runs = sequence_runs([held[slot].seq for slot in left], begun)
            runs["slot"] = np.array(left, np.uint32)[runs["slot"]]
            rows = {names[slot]: held[slot].rows for slot in left}
            for slot, start in zip(left, begun, strict=True):
                starts[slot] = start
                if start == len(held[slot].rows):
                    del held[slot]
            yield Runs(rows, runs, names)


def check_memory(what: str, wanted: int) -> None:
    """Refuse an array that this machine has no memory for, before the system kills the process.

    Args:
        what: how the error names it.
        wanted: bytes.

    Raises:
        UsageError: it is more than the machine has.
    """
    owned = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > owned:
        raise UsageError(
            f"{what}: {wanted / 1e9:,.1f} GB of rows, the machine has {owned / 1e9:,.1f} GB; "
            "choose a time range or symbols, or read batches"
        )


def check_range(name: str, value: int, least: int, most: int) -> None:
    """Refuse a number that is out of range.

    Raises:
        UsageError: it is, or it is no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{name} must be a whole number in {least}..{most}, was {value!r}")
