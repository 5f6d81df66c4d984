"""Archives from archives: another block size or level, a cut by time or symbol, several made one.

one file                     rows keep their numbers; the source can still be given back
files one after another      days in a row: the same, numbers go on from file to file
files that overlap in time   a merge by receive time, stream by stream; rows are numbered anew
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast import __version__
from dhanfast._core.archive.schema import Stream
from dhanfast.clock import Clock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.archive.listing import Listing, join_listings
from dhanfast.storage.archive.merge import merge
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.writer import BLOCK_ROWS, ArchiveWriter
from dhanfast.storage.durable import TEMP_PREFIX, sync_folder

NEVER_NS: Final = 1 << 62
Progress = Callable[[str, int, int], None]
Rows = Iterator[tuple[str, NDArray[Any], NDArray[np.uint64], bytes]]  # stream, rows, numbers, bytes


@dataclass(frozen=True)
class ConvertOptions:
    """What is taken over, and how it is written.

    Attributes:
        symbols: only these; without: all but these. start_ns, end_ns: [start, end), UTC ns.
        streams: only these. block_rows, level: of the new file.
    """

    symbols: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    start_ns: int | None = None
    end_ns: int | None = None
    streams: tuple[str, ...] | None = None
    block_rows: int = BLOCK_ROWS
    level: int = 9


@dataclass(frozen=True)
class Converted:
    """What was made: the file, its rows by stream, bytes before and after, and how."""

    file: str
    rows: dict[str, int]
    bytes_before: int
    bytes: int
    how: str
    digest: str


def convert(
    paths: Sequence[Path], target: Path, options: ConvertOptions, clock: Clock,
    progress: Progress = lambda doing, done, total: None, *, instead: bool = False,
) -> Converted:  # fmt: skip
    """Make one sealed archive of one or several.

    Args:
        paths: archives, sealed or not; they are only read.
        target: the new file. instead: it may take the place of one that is there.
        options: what is taken over.
        clock: dates the new file.
        progress: told how many rows are done.

    Raises:
        UsageError: no such stream or symbol, or the target is there.
        BadData: files that do not fit together, or damage; nothing is left behind.
        DhanfastError: the disk refuses; nothing is left behind.
    """
    if not paths:
        raise UsageError("no archive to convert; name at least one")
    if target.exists() and not instead:
        raise UsageError(f"{target}: is there already; choose another name, or remove it first")
    draft = target.with_name(f"{TEMP_PREFIX}{os.getpid()}-{target.name}")
    with ExitStack() as stack:
        readers = [stack.enter_context(ArchiveReader(path)) for path in paths]
        job = _Job(readers, options)
        try:
            sealed = job.write(draft, clock, progress)
            if instead:
                os.replace(draft, target)
            else:
                os.link(draft, target)
                os.unlink(draft)
            sync_folder(target.parent)
        except FileExistsError:
            raise UsageError(f"{target}: is there already; remove it first") from None
        except OSError as error:
            raise DhanfastError(f"{target}: cannot be written ({error})") from error
        finally:
            with suppress(OSError):
                draft.unlink()
    return Converted(str(target), job.rows, sum(path.stat().st_size for path in paths if
                     path.exists()), target.stat().st_size, job.how, sealed)  # fmt: skip


def without_symbols(path: Path, symbols: Sequence[str], clock: Clock) -> Converted:
    """Write an archive anew without some instruments, in its own place.

    Raises:
        BadData, DhanfastError: as for `convert`; the file is as it was.
    """
    return convert([path], path, ConvertOptions(without=tuple(symbols)), clock, instead=True)


class _Job:
    """One conversion: decides how, then writes."""

    def __init__(self, readers: Sequence[ArchiveReader], options: ConvertOptions) -> None:
        self._readers, self._options = readers, options
        self.rows: dict[str, int] = {}
        names = dict.fromkeys(name for reader in readers for name in reader.streams)
        wanted = names if options.streams is None else options.streams
        for name in wanted:
            if name not in names:
                raise UsageError(f"no stream {name!r}; there are {', '.join(names)}")
        self._listing, self._numbers = join_listings(
            [(reader.path.name, reader.instruments) for reader in readers]
        )
        self._streams = [self._stream(name) for name in wanted]
        self._spans = [_span(reader) for reader in readers]
        self._order = sorted(range(len(readers)), key=lambda at: (self._spans[at], at))
        ends = [self._spans[at] for at in self._order]
        apart = all(before[1] < after[0] for before, after in pairwise(ends))
        self.how = "copied" if len(readers) == 1 else "joined" if apart else "merged by time"
        self._taken = self._choice()
        if self.how == "merged by time":
            bytes_of = [stream.name for stream in self._streams if stream.blob]
            if bytes_of:
                raise BadData(
                    f"the files overlap in time, and stream {bytes_of[0]!r} carries bytes: merge "
                    "the other streams with --stream"
                )

    def _stream(self, name: str) -> Stream:
        having = [reader for reader in self._readers if name in reader.streams]
        first = having[0].streams[name]
        if len(self._readers) == 1:
            return first
        plain = _plain_meaning(first)
        for reader in having[1:]:
            other = reader.streams[name]
            if other.dtype != first.dtype or other.key != first.key or other.time != first.time:
                raise BadData(
                    f"stream {name!r} has other columns in {reader.path} than in {having[0].path}; "
                    "convert them one by one"
                )
            if _plain_meaning(other) != plain:
                raise BadData(
                    f"stream {name!r}: the numbers of {reader.path} do not mean the same words as "
                    f"those of {having[0].path}; export both, and import them as one file"
                )
        return replace(first, meaning=plain)

    def _choice(self) -> tuple[str, ...] | None:
        """Symbols that are taken over; None for all."""
        known = self._listing.by_symbol
        for symbol in (*(self._options.symbols or ()), *self._options.without):
            if symbol not in known and self._options.symbols is not None:
                self._listing.number_of(symbol)  # says what is near
        if self._options.symbols is None and not self._options.without:
            return None
        wanted = known if self._options.symbols is None else self._options.symbols
        return tuple(name for name in wanted if name not in self._options.without)

    def write(self, draft: Path, clock: Clock, progress: Progress) -> str:
        """Write and seal the new file; its digest."""
        heads = [reader.head for reader in self._readers]
        day = heads[0].get("day") if len({head.get("day") for head in heads}) == 1 else None
        generated = any(head.get("generated") for head in heads)
        source = "; ".join(dict.fromkeys(str(head.get("source", "")) for head in heads))[:2000]
        total = sum(
            reader.rows(stream.name)
            for reader in self._readers
            for stream in self._streams
            if stream.name in reader.streams
        )
        writer = ArchiveWriter(
            draft, self._streams, clock=clock, day=day, source=source, generated=generated,
            block_rows=self._options.block_rows, flush_ns=NEVER_NS, sync_ns=NEVER_NS, level=1,
        )  # fmt: skip
        try:
            kept = self._listing.values()
            single = len(self._readers) == 1
            table = self._readers[0].instruments.values() if single else kept
            writer.add_instruments([entry.to_json() for entry in table])
            self.rows = {stream.name: 0 for stream in self._streams}
            for name, rows, seq, blob in self._all():
                progress("converting", sum(self.rows.values()), total)
                if writer.append(name, rows, blob, seq=seq) < len(rows):
                    writer.flush()  # says why
                self.rows[name] += len(rows)
            self._notes(writer, clock)
            progress("sealing", 0, 0)
            writer.seal(level=self._options.level)
        except BaseException:
            with suppress(DhanfastError):
                writer.close()
            raise
        with ArchiveReader(draft) as made:
            return made.digest

    def _notes(self, writer: ArchiveWriter, clock: Clock) -> None:
        for reader in self._readers:
            for note in reader.notes:
                if note.get("kind") not in ("closed", "resumed"):
                    writer.note(note)
        told = self._options
        writer.note({
            "kind": "converted", "how": self.how, "by": f"dhanfast {__version__}",
            "at_ns": clock.now_ns(), "symbols": told.symbols, "without": told.without,
            "start_ns": told.start_ns, "end_ns": told.end_ns,
            "from": [{"file": reader.path.name, "digest": reader.digest}
                     for reader in self._readers],
        })  # fmt: skip

    def _all(self) -> Rows:
        if self.how == "merged by time":
            yield from self._merged()
            return
        base = 0
        for at in self._order:
            reader = self._readers[at]
            last = base - 1
            for name, rows, seq, blob in self._copied(reader):
                if len(self._readers) > 1:
                    rows = self._renumbered(name, rows, at)
                    seq = seq + np.uint64(base)
                last = max(last, int(seq[-1]))
                yield name, rows, seq, blob
            base = last + 1

    def _copied(self, reader: ArchiveReader) -> Rows:
        for stream in self._streams:
            if stream.name not in reader.streams:
                continue
            choice: dict[str, Any] = {}
            if stream.time is not None:
                choice = {"start_ns": self._options.start_ns, "end_ns": self._options.end_ns}
            if self._taken is not None and stream.key is not None:
                mine = [name for name in self._taken if name in reader.instruments.by_symbol]
                choice["symbols"] = mine
            for block in reader.blocks(stream.name, **choice):
                yield stream.name, block.rows, block.seq, block.blob

    def _renumbered(self, name: str, rows: NDArray[Any], at: int) -> NDArray[Any]:
        stream = next(one for one in self._streams if one.name == name)
        if stream.key is None:
            return rows
        numbers = self._numbers[at]
        size = max(numbers, default=-1) + 1
        known = np.arange(size, dtype=np.uint32)
        for old, new in numbers.items():
            known[old] = new
        rows = rows.copy()
        rows[stream.key] = known[rows[stream.key]]
        return rows

    def _merged(self) -> Rows:
        """Several streams of several files by time; at one time in the order of the streams."""
        sources = []
        for stream in self._streams:
            having = [one for one in self._readers if stream.name in one.streams]
            taken = None if stream.key is None else self._taken
            made = merge(having, stream.name, start_ns=self._options.start_ns,
                         end_ns=self._options.end_ns, symbols=taken)  # fmt: skip
            sources.append(_Ahead(stream, iter(made), self._mapping(stream, made.instruments)))
        number = 0
        while any(not source.ended for source in sources):
            until = min(source.last_ns for source in sources if not source.ended)
            parts = [source.take(until) for source in sources]
            times = np.concatenate([part[0] for part in parts])
            ranks = np.empty(len(times), np.uint64)
            ranks[np.argsort(times, kind="stable")] = np.arange(
                number, number + len(times), dtype=np.uint64
            )
            at = 0
            for source, (own, rows) in zip(sources, parts, strict=True):
                if len(own):
                    yield source.stream.name, rows, np.sort(ranks[at : at + len(own)]), b""
                at += len(own)
            number += len(times)

    def _mapping(self, stream: Stream, listing: Listing) -> NDArray[np.uint32] | None:
        if stream.key is None:
            return None
        size = max(listing, default=-1) + 1
        known = np.arange(size, dtype=np.uint32)
        for index, entry in listing.items():
            known[index] = self._listing.by_symbol[entry.symbol].index
        return known


class _Ahead:
    """A merged stream, read a batch ahead."""

    def __init__(
        self, stream: Stream, batches: Iterator[NDArray[Any]], numbers: NDArray[np.uint32] | None
    ) -> None:
        self.stream, self._batches, self._numbers = stream, batches, numbers
        self._rows: NDArray[Any] = np.zeros(0, stream.dtype)
        self.ended = False
        self._more()

    def _more(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            self.ended = not len(self._rows)
            self._over = True
            return
        self._over = False
        if self._numbers is not None:
            batch = batch.copy()
            batch[self.stream.key] = self._numbers[batch[self.stream.key]]
        self._rows = np.concatenate([self._rows, batch])

    @property
    def last_ns(self) -> int:
        """Latest time that is known to be complete up to it."""
        if self._over and not len(self._rows):
            return NEVER_NS
        assert self.stream.time is not None
        return int(self._rows[self.stream.time].max())

    def take(self, until: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Rows up to and with a time."""
        if self.ended:
            return np.zeros(0, np.int64), self._rows
        assert self.stream.time is not None
        # Clocks may have run backwards inside a file: the order of the merge is kept.
        times = np.maximum.accumulate(self._rows[self.stream.time])
        cut = int(np.searchsorted(times, until, side="right"))
        own, rows = times[:cut], self._rows[:cut]
        self._rows = self._rows[cut:]
        if not len(self._rows):
            self._more()
        return own, rows


def _span(reader: ArchiveReader) -> tuple[int, int]:
    """First and last time of all streams of a file."""
    spans = [
        span
        for name, stream in reader.streams.items()
        if stream.time is not None and (span := reader.time_range(name))
    ]
    if not spans:
        return (-NEVER_NS, -NEVER_NS)
    return min(one for one, _ in spans), max(one for _, one in spans)


def _plain_meaning(stream: Stream) -> dict[str, Any]:
    """What the numbers mean, without how one source is given back."""
    return {name: what for name, what in stream.meaning.items() if name != "source"}
