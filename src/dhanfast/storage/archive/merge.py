"""Many files as one stream, by time: days after one another, feeds beside one another."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.archive.merge import DUE, ENDED, FULL, RowMerger
from dhanfast._core.archive.schema import Stream
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.archive.listing import Listing, join_listings
from dhanfast.storage.archive.reader import BATCH_ROWS, THREADS_MAX, ArchiveReader, check_range

FILES_MAX: Final = 65_536
NUMBERS_MAX: Final = 1 << 24


@dataclass
class _Source:
    """A file that takes part."""

    path: Path
    reader: ArchiveReader | None  # None: it is opened when it is due
    identity: tuple[int, int, int]
    stream: Stream
    listing: Listing
    due_ns: int  # no row of it is earlier
    last_ns: int
    rows: int
    used: NDArray[np.uint32]  # its instruments


class Merge(Iterator[NDArray[Any]]):
    """Rows of many files in the order of (time, order of the files, order in the file).

    An iterator of batches; `merge` makes it. A row that is earlier than the row before it in its
    own file (a clock stepped back) follows that row at once: the order in a file never changes.

    Attributes:
        stream: the stream's description, the same in all files.
        instruments: one listing for all of them; the rows have its numbers.
    """

    def __init__(
        self,
        files: Iterable[ArchiveReader | str | os.PathLike[str]],
        stream: str,
        *,
        start_ns: int | None,
        end_ns: int | None,
        symbols: Iterable[str] | None,
        batch_rows: int,
        threads: int,
    ) -> None:
        sources = [_look(file, stream) for file in files]
        if not 1 <= len(sources) <= FILES_MAX:
            raise UsageError(f"files: 1 to {FILES_MAX} of them, there are {len(sources)}")
        self.stream = _one_stream(sources)
        if self.stream.time is None:
            raise UsageError(f"stream {stream!r} has no time to merge by")
        self.instruments = Listing()
        self._numbers: list[NDArray[np.uint32] | None] = [None] * len(sources)
        if self.stream.key is not None:
            self._renumber(sources)
        self._symbols = None if symbols is None else list(symbols)
        for symbol in self._symbols or ():
            self.instruments.number_of(symbol)  # refused here when no file has it
        self._range = (start_ns, end_ns)
        self._threads = threads
        self._ahead = max(1, (threads + 1) // max(1, _overlap(filter(self._wanted, sources))))
        self._batch_rows = batch_rows
        self._sources = sources
        self._made = self._rows()

    def _renumber(self, sources: Sequence[_Source]) -> None:
        named = [(str(source.path), source.listing) for source in sources]
        self.instruments, numbers = join_listings(named)
        for at, (source, mine) in enumerate(zip(sources, numbers, strict=True)):
            missing = [int(key) for key in source.used if int(key) not in mine]
            if missing:
                raise BadData(
                    f"{source.path}: instrument {missing[0]} has rows but is not described: files "
                    "are merged by symbol; read this one alone, or write it again with its "
                    "instruments"
                )
            table = np.zeros(int(source.used[-1]) + 1 if len(source.used) else 1, np.uint32)
            for key in source.used.tolist():
                table[key] = mine[key]
            self._numbers[at] = table

    def __next__(self) -> NDArray[Any]:
        """The next batch: an array of its own, the instruments as `instruments` numbers them."""
        return next(self._made)

    def close(self) -> None:
        """End early: files opened by the merge are closed, threads have ended."""
        self._made.close()

    def _rows(self) -> Generator[NDArray[Any], None, None]:
        stream = self.stream
        assert stream.time is not None
        merger = RowMerger(stream.dtype, stream.time, stream.key, len(self._sources))
        # The earliest last: they are taken off the end.
        waiting = sorted(
            (at for at, source in enumerate(self._sources) if self._wanted(source)),
            key=lambda at: (self._sources[at].due_ns, at),
            reverse=True,
        )
        out = np.empty(self._batch_rows, stream.dtype)
        at = 0
        with _Opened(self._threads) as opened:
            while True:
                until = self._sources[waiting[-1]].due_ns if waiting else None
                at, why = merger.take(out, at, until)
                if why == FULL:
                    yield out
                    out, at = np.empty(self._batch_rows, stream.dtype), 0
                elif why < 0 and not waiting:
                    break
                try:
                    if why >= 0:
                        merger.feed(why, opened.piece(why, out[:0]))
                    elif why in (DUE, ENDED):
                        due = waiting.pop()
                        merger.start(due, self._numbers[due])
                        self._begin(due, opened)
                except BadData:
                    if at:
                        yield out[:at]
                    raise
        if at:
            yield out[:at]

    def _wanted(self, source: _Source) -> bool:
        start, end = self._range
        if source.rows == 0 or (start is not None and source.last_ns < start):
            return False
        if end is not None and source.due_ns >= end:
            return False
        return self._symbols is None or bool(self._symbols_in(source))

    def _symbols_in(self, source: _Source) -> list[str]:
        return [symbol for symbol in self._symbols or () if symbol in source.listing.by_symbol]

    def _begin(self, number: int, opened: "_Opened") -> None:
        """Open a file that is due and begin to read it."""
        source = self._sources[number]
        reader = opened.reader(number, source)
        start, end = self._range
        symbols = None if self._symbols is None else self._symbols_in(source)
        chosen = reader.select(self.stream.name, start_ns=start, end_ns=end, symbols=symbols)
        # A live file may have grown since its instruments were read.
        chosen = reader.blocks_before(chosen, source.identity[2])
        opened.begin(number, reader.pieces(chosen, pool=opened.pool, ahead=self._ahead))


class _Opened:
    """The files that are being read: each closed when its rows have ended, all at the end."""

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="archive") if threads else None
        self._stacks: dict[int, ExitStack] = {}
        self._pieces: dict[int, Generator[NDArray[Any], None, None]] = {}

    def __enter__(self) -> "_Opened":
        return self

    def __exit__(self, *error: object) -> None:
        for stack in self._stacks.values():
            stack.close()
        if self.pool is not None:
            self.pool.shutdown()

    def reader(self, number: int, source: _Source) -> ArchiveReader:
        stack = self._stacks[number] = ExitStack()
        if source.reader is not None:
            return source.reader
        reader = stack.enter_context(ArchiveReader(source.path))
        if reader.identity[:2] != source.identity[:2]:
            raise BadData(f"{source.path}: replaced while it was being merged; begin again")
        return reader

    def begin(self, number: int, pieces: Generator[NDArray[Any], None, None]) -> None:
        self._pieces[number] = self._stacks[number].enter_context(closing(pieces))

    def piece(self, number: int, ended: NDArray[Any]) -> NDArray[Any]:
        """The next rows that are not none; `ended` when there are no more."""
        rows = next(filter(len, self._pieces[number]), None)
        if rows is None:
            self._stacks.pop(number).close()
            return ended
        return rows


def _look(file: ArchiveReader | str | os.PathLike[str], stream: str) -> _Source:
    """What the merge must know of a file before it is due; a path is opened and closed again."""
    if not isinstance(file, ArchiveReader):
        with ArchiveReader(file) as reader:
            found = _look(reader, stream)
        found.reader = None
        return found
    described = file.described(stream)
    due, last = 0, 0
    if described.time is not None:
        due, last = file.time_range(stream) or (0, 0)
    used = file.keys(stream)
    if len(used) and int(used[-1]) >= NUMBERS_MAX:
        raise BadData(
            f"{file.path}: instrument number {used[-1]}; files with numbers from {NUMBERS_MAX} on "
            "cannot be merged"
        )
    return _Source(file.path, file, file.identity, described, file.instruments, due, last,
                   file.rows(stream), used)  # fmt: skip


def _one_stream(sources: Sequence[_Source]) -> Stream:
    first = sources[0]
    for other in sources[1:]:
        for part in ("dtype", "key", "time"):
            if getattr(other.stream, part) != getattr(first.stream, part):
                raise BadData(
                    f"stream {first.stream.name!r} has another {part} in {other.path} than in "
                    f"{first.path}; convert one of them, or merge them apart"
                )
    return first.stream


def _overlap(sources: Iterable[_Source]) -> int:
    """How many files are open at once at most."""
    turns = sorted(
        turn for source in sources for turn in ((source.due_ns, 0), (source.last_ns, 1))
    )  # an opening goes before a closing at one time
    open_now = most = 0
    for _, closes in turns:
        open_now += -1 if closes else 1
        most = max(most, open_now)
    return most


def merge(
    files: Iterable[ArchiveReader | str | os.PathLike[str]],
    stream: str = "ticks",
    *,
    start_ns: int | None = None,
    end_ns: int | None = None,
    symbols: Iterable[str] | None = None,
    batch_rows: int = BATCH_ROWS,
    threads: int = 0,
) -> Merge:
    """Merge a stream of many files into one, by time.

    Each file is opened once at first, for its times and instruments; then not before its rows are
    due, so that a year of days holds one or two open. Memory is a few blocks an open file.

    Args:
        files: paths, opened and closed by the merge, or open readers, left open. Their order
            decides between rows of one time.
        stream: name of the stream, the same fields in all files.
        start_ns, end_ns: [start, end) of its time field, UTC ns; None for open ends.
        symbols: instruments by name; None for all.
        batch_rows: the most rows of a batch.
        threads: how many decompress ahead, for all files together; 0 for none.

    Returns:
        an iterator of batches with `instruments`, the common listing the rows are numbered by.

    Raises:
        UsageError: no files, no such stream or symbol, a number out of range.
        BadData: files disagree about fields or about an instrument's facts (the message names
            both), or one is damaged.
    """
    check_range("batch_rows", batch_rows, 1, 1 << 24)
    check_range("threads", threads, 0, THREADS_MAX)
    if isinstance(files, str | os.PathLike):
        raise UsageError(f"files: a list of them, was {files!r}")
    return Merge(files, stream, start_ns=start_ns, end_ns=end_ns, symbols=symbols,
                 batch_rows=batch_rows, threads=threads)  # fmt: skip
