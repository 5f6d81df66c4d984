"""Recorded ticks of a run: which files, which instrument, which stretch, and what is missing."""

import datetime as dt
import difflib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.replay import IST, ist
from dhanfast.errors import BadData, OutOfCalendar, UsageError
from dhanfast.market.instruments import Instrument, parse_dhan_symbol, parse_nse_symbol
from dhanfast.storage.archive.listing import Listed
from dhanfast.storage.archive.merge import merge
from dhanfast.storage.archive.reader import ArchiveReader

Moment = dt.date | dt.datetime | dt.time
THREADS: Final = 2
GAPS_SHOWN: Final = 8
NAMES_SHOWN: Final = 8


@dataclass(frozen=True)
class Recorded:
    """The ticks of one instrument in some archives, as often as they are opened.

    Attributes:
        instrument: as the first file lists it.
        paths: of the files, in the order of their first tick.
        start_ns, end_ns: [start, end) of receive times asked for; None for open ends.
        first_ns, last_ns: no tick of the files lies outside these.
        generated: whether any file says that a generator made it.
        gaps: what the files say is missing in the stretch, as sentences.
        sources: (name of the file, SHA-256 of its seal or "" when unsealed, ticks in it).
    """

    instrument: Listed
    paths: tuple[Path, ...]
    start_ns: int | None
    end_ns: int | None
    first_ns: int
    last_ns: int
    generated: bool
    gaps: tuple[str, ...]
    sources: tuple[tuple[str, str, int], ...]

    def open(self, threads: int = THREADS) -> Iterator[NDArray[Any]]:
        """Begin at the first tick: batches of TICK_DTYPE, each valid until the next is asked for.

        The instrument's number is 0 in all of them: a result does not depend on how files number.

        Args:
            threads: how many decompress ahead; 0 for none.

        Raises:
            BadData: a file is damaged; the message names file and byte.
        """
        if len(self.paths) == 1:
            return map(_of_one, self._one(threads))
        merged = merge(
            self.paths,
            "ticks",
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            symbols=[self.instrument.symbol],
            threads=threads,
        )
        return map(_of_one, merged)

    def _one(self, threads: int) -> Iterator[NDArray[Any]]:
        with ArchiveReader(self.paths[0]) as reader:
            batches = reader.batches(
                "ticks",
                start_ns=self.start_ns,
                end_ns=self.end_ns,
                symbols=[self.instrument.symbol],
                threads=threads,
                reuse=True,
            )
            try:
                yield from batches
            finally:
                batches.close()  # type: ignore[attr-defined]  # its threads have ended


def recorded(
    files: Sequence[str | os.PathLike[str]],
    *,
    symbol: str | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
) -> Recorded:
    """Choose the ticks of a run.

    Args:
        files: archives that hold ticks.
        symbol: which instrument; None for the only one, or else the only future, or the only index.
        start, end: a date (both inclusive), or a moment (the end exclusive), in IST unless it has
            a zone; a time of day is one of the files' only day.

    Raises:
        UsageError: no such instrument, or several; an end before its start; no tick in the stretch.
        BadData: a file is damaged, holds no ticks, or the files disagree about the instrument.
    """
    if isinstance(files, str | os.PathLike) or not files:
        raise UsageError(f"files: a list of archives, at least one, was {files!r}")
    with ExitStack() as stack:
        readers = [stack.enter_context(ArchiveReader(path)) for path in files]
        whole, start_ns, end_ns = bounds_of(readers, start, end)
        instrument = _instrument(readers, symbol)
        held = [reader for reader in readers if instrument.symbol in reader.instruments.by_symbol]
        used = [
            reader
            for reader in held
            if reader.select("ticks", start_ns=start_ns, end_ns=end_ns,
                             symbols=[instrument.symbol]).blocks
        ]  # fmt: skip
        if not used:
            raise UsageError(
                f"no tick of {instrument.symbol} from {start or 'the start'} to {end or 'the end'};"
                f" the ticks are of {ist(whole[0])} to {ist(whole[1])} IST"
            )
        first, last = stretch_of(whole, start_ns, end_ns)
        return Recorded(
            instrument=instrument,
            paths=tuple(reader.path for reader in used),
            start_ns=start_ns,
            end_ns=end_ns,
            first_ns=first,
            last_ns=last,
            generated=any(bool(reader.head.get("generated")) for reader in used),
            gaps=tuple(text for reader in used for text in gaps_of(reader, first, last)),
            sources=tuple((reader.path.name, reader.digest, reader.rows("ticks"))
                          for reader in used),
        )  # fmt: skip


def bounds_of(
    readers: Sequence[ArchiveReader], start: Moment | None, end: Moment | None
) -> tuple[tuple[int, int], int | None, int | None]:
    """Receive times of the files' first and last tick, and [start, end) as it was asked for.

    Raises:
        UsageError: an end before its start. BadData: a file without ticks.
    """
    spans = [_span(reader) for reader in readers]
    whole = min(span[0] for span in spans), max(span[1] for span in spans)
    start_ns = _bound(start, whole, "from", after=False)
    end_ns = _bound(end, whole, "to", after=True)
    if start_ns is not None and end_ns is not None and end_ns <= start_ns:
        raise UsageError(f"to {end} lies before from {start}")
    return whole, start_ns, end_ns


def stretch_of(whole: tuple[int, int], start_ns: int | None, end_ns: int | None) -> tuple[int, int]:
    """Times between which the ticks of [start, end) lie."""
    first, last = whole
    return (
        first if start_ns is None else max(first, start_ns),
        last if end_ns is None else min(last, end_ns),
    )


def as_ticks(batch: NDArray[Any]) -> NDArray[Any]:
    """Rows of a stream of ticks as TICK_DTYPE: without the columns that an import kept besides.

    Raises:
        BadData: the rows do not begin with the fields of a tick.
    """
    if batch.dtype == TICK_DTYPE:
        return batch
    names = TICK_DTYPE.names or ()
    fields: Any = batch.dtype.fields or {}
    if any(fields.get(name) != TICK_DTYPE.fields[name] for name in names):  # type: ignore[index]
        raise BadData(f"rows of ticks are {batch.dtype}; they must begin with {TICK_DTYPE}")
    size = TICK_DTYPE.itemsize
    rows = batch.view(np.uint8).reshape(len(batch), batch.dtype.itemsize)[:, :size]
    return np.ascontiguousarray(rows).view(TICK_DTYPE).reshape(len(batch))


def _of_one(batch: NDArray[Any]) -> NDArray[Any]:
    ticks = as_ticks(batch)
    ticks["instrument"] = 0
    return ticks


def gaps_of(reader: ArchiveReader, first_ns: int, last_ns: int) -> list[str]:
    """What a file says is missing between two times, as sentences."""
    name = reader.path.name
    found = []
    for note in reader.notes:
        if note.get("kind") != "gap" or note.get("stream") not in (None, "ticks"):
            continue
        begin, finish = note.get("from_ns"), note.get("to_ns")
        if not isinstance(begin, int) or not isinstance(finish, int):
            begin, finish = first_ns, last_ns
        if finish < first_ns or begin > last_ns:
            continue
        lost = note.get("lost")
        count = f"{lost:,} rows" if isinstance(lost, int) and lost else "rows"
        found.append(
            f"{name}: {count} are missing between {ist(begin)} and {ist(finish)} IST "
            f"({note.get('reason', 'no reason given')})"
        )
    if len(found) > GAPS_SHOWN:
        found[GAPS_SHOWN:] = [f"{name}: and {len(found) - GAPS_SHOWN} more gaps"]
    if not reader.sealed:
        found.append(f"{name} is not sealed: its recorder is at work, or died; what it had is used")
    return found


def _span(reader: ArchiveReader) -> tuple[int, int]:
    if "ticks" not in reader.streams:
        raise BadData(
            f"{reader.path}: holds no ticks; it has {', '.join(reader.streams) or 'no stream'}"
        )
    span = reader.time_range("ticks")
    if span is None:
        raise BadData(f"{reader.path}: holds no tick yet")
    return span


def _instrument(readers: Sequence[ArchiveReader], symbol: str | None) -> Listed:
    """The instrument asked for, or the one that a run would be about."""
    known: dict[str, Listed] = {}
    for reader in readers:
        used = {int(key) for key in reader.keys("ticks")}
        for number, entry in reader.instruments.items():
            if number in used:
                known.setdefault(entry.symbol, entry)
    if symbol is not None:
        if symbol not in known:
            near = difflib.get_close_matches(symbol, known, n=3)
            said = f"near: {', '.join(near)}" if near else f"it has {_some(known)}"
            raise UsageError(f"no ticks of {symbol!r} in {readers[0].path.name}; {said}")
        return known[symbol]
    if len(known) == 1:
        return next(iter(known.values()))
    for kind in ("FUT", "IDX"):
        fits = [entry for entry in known.values() if kind_of(entry) == kind]
        if len(fits) == 1:
            return fits[0]
    if not known:
        raise BadData(f"{readers[0].path}: its instruments are not described; import it again")
    raise UsageError(f"{len(known)} instruments have ticks: {_some(known)}; name one (--symbols)")


def named(symbol: str, stocks: Collection[str] = ()) -> Instrument | None:
    """The contract that a symbol of NSE or Dhan names; None when it names none we know.

    Args:
        stocks: names of stocks to know besides the indexes.
    """
    for parse in (parse_nse_symbol, parse_dhan_symbol):
        with suppress(BadData, OutOfCalendar):
            return parse(symbol, stocks=stocks)
    return None


def kind_of(entry: Listed) -> str:
    """IDX, FUT or another: as the archive says, else as the symbol does; empty when neither."""
    if entry.kind:
        return entry.kind
    found = named(entry.symbol)
    return "" if found is None else found.kind


def _some(names: Iterable[str]) -> str:
    """A few of many names."""
    listed = sorted(names)
    return ", ".join(listed[:NAMES_SHOWN]) + (", ..." if len(listed) > NAMES_SHOWN else "")


def _bound(moment: Moment | None, whole: tuple[int, int], name: str, *, after: bool) -> int | None:
    """A moment as UTC ns; for a date its midnight, or the next one."""
    if moment is None:
        return None
    if isinstance(moment, dt.time):
        days = {ist(at_ns)[:10] for at_ns in whole}
        if len(days) > 1:
            raise UsageError(
                f"{name} {moment}: the ticks are of several days, {' to '.join(sorted(days))}; "
                "write the date too"
            )
        moment = dt.datetime.combine(dt.date.fromisoformat(days.pop()), moment)
    if not isinstance(moment, dt.datetime):
        day = moment + dt.timedelta(1) if after else moment
        moment = dt.datetime.combine(day, dt.time())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=IST)
    since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
