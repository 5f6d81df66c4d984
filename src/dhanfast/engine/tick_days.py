"""Ticks of many days, a day at a time: of a folder of archives, or generated.

A day is small and can be sent to another process, which makes its ticks from it (`tick_ahead`).
"""

import datetime as dt
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.flow import TickFlow
from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.recorded import Recorded, named, recorded
from dhanfast.engine.tick_replay import traded
from dhanfast.engine.tickruns import KINDS
from dhanfast.errors import UsageError
from dhanfast.market.calendar import Calendar, exchange_date
from dhanfast.market.expiries import front_month
from dhanfast.market.tickday import tick_day
from dhanfast.storage.archive.catalog import archive_files
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.bars import Source

ROWS: Final = 65_536  # of a batch
DAYS_SHOWN: Final = 8
FRONT: Final = " FUT"  # `BANKNIFTY FUT`: the front-month future of each day

Ticks = NDArray[Any]
Room = Callable[[], Ticks]  # an array of TICK_DTYPE to write the next batch into


class TickPart(Protocol):
    """A day of ticks (or days that one file has), not made yet; can be sent to a process."""

    @property
    def on(self) -> dt.date:
        """The first date."""
        ...

    @property
    def label(self) -> str:
        """How an error calls it."""
        ...

    def batches(self, room: Room | None = None) -> Iterator[Ticks]:
        """The ticks in order, the same at every call.

        Args:
            room: gives the memory of each batch, at least a row, of TICK_DTYPE; None: a batch is
                valid until the next is asked for.
        """
        ...


@dataclass(frozen=True, slots=True)
class TickDays:
    """The ticks of a run, day by day.

    Attributes:
        symbol, kind: the underlying, and FUT or IDX, as `TickRun` takes them.
        parts: in the order of their days. rows: of all of them; 0 = not known before.
        start, end: the first and the last date asked for; None where none was.
        sources, notes: for the result.
    """

    symbol: str
    kind: str
    parts: tuple[TickPart, ...]
    rows: int
    generated: bool
    sources: tuple[Source, ...]
    notes: tuple[str, ...] = ()
    start: dt.date | None = None
    end: dt.date | None = None

    def here(self) -> Iterator[Ticks]:
        """All ticks, made in this process; a batch is valid until the next is asked for."""
        for part in self.parts:
            yield from part.batches()


@dataclass(frozen=True, slots=True)
class ArchivedDay:
    """A day of archives."""

    on: dt.date
    ticks: Recorded

    @property
    def label(self) -> str:
        """How an error calls it."""
        return f"{self.on} ({', '.join(path.name for path in self.ticks.paths)})"

    def batches(self, room: Room | None = None) -> Iterator[Ticks]:
        """As `TickPart`.

        Raises:
            BadData: a file is damaged; the message names file and byte.
        """
        if room is None:
            yield from self.ticks.open()
            return
        for batch in self.ticks.open(threads=0):
            at = 0
            while at < len(batch):
                out = room()
                size = min(len(out), len(batch) - at)
                out[:size] = batch[at : at + size]
                yield out[:size]
                at += size


@dataclass(frozen=True, slots=True)
class GeneratedDay:
    """A day of the generator; `ticks` None: as many as a broker's feed delivers."""

    symbol: str
    on: dt.date
    seed: int
    kind: str
    ticks: int | None

    @property
    def label(self) -> str:
        """How an error calls it."""
        return f"{self.on} (generated, seed {self.seed})"

    def batches(self, room: Room | None = None) -> Iterator[Ticks]:
        """As `TickPart`."""
        day = tick_day(
            self.symbol, self.on, seed=self.seed, ticks=self.ticks, strikes=0,
            instruments=[self.kind],
        )  # fmt: skip
        flow = TickFlow(**day.parts)
        if room is None:
            own = np.empty(ROWS, TICK_DTYPE)
            room = own.view  # the same memory each time
        while True:
            out = room()
            used, _ = flow.fill(out, None)
            if not used:
                return
            yield out[:used]


def generated_days(
    symbol: str, first: dt.date, last: dt.date, *, seed: int, kind: str = "FUT",
    ticks: int | None = None,
) -> TickDays:  # fmt: skip
    """Days of the generator, with the same market as `generate` has for the seed.

    Args:
        symbol: a key of `market.generate.MARKETS`. first, last: inclusive; days without a full
            session are left out. kind: FUT, the front-month future of each day, or IDX.
        ticks: of each day; None for as many as a broker's feed delivers.

    Raises:
        UsageError: an unknown symbol or kind, no trading day, a number out of range.
        OutOfCalendar: outside the tables.
    """
    if kind not in KINDS:
        raise UsageError(f"kind must be one of {', '.join(KINDS)}, was {kind!r}")
    if last < first:
        raise UsageError(f"to {last} lies before from {first}")
    days = [day.date for day in Calendar.load().days(first, last)
            if day.windows and not day.is_special]  # fmt: skip
    if not days:
        raise UsageError(f"{symbol}: no trading day from {first} to {last}")
    tick_day(symbol, days[0], seed=seed, ticks=ticks, strikes=0, instruments=[kind])  # or refuses
    count = "" if ticks is None else f", {ticks:,} ticks a day"
    rows = 0 if ticks is None else ticks * len(days)
    name = f"generated {symbol} {kind}, {days[0]} to {days[-1]}, seed {seed}{count}"
    return TickDays(
        symbol=symbol,
        kind=kind,
        parts=tuple(GeneratedDay(symbol, day, seed, kind, ticks) for day in days),
        rows=rows,
        generated=True,
        sources=(Source(name, "", rows),),
        start=first,
        end=last,
    )


def is_archive_folder(source: str | os.PathLike[str]) -> bool:
    """Whether a source names a folder that has tick archives."""
    path = Path(source)
    return path.is_dir() and bool(archive_files(path))


def archived_days(
    folder: str | os.PathLike[str],
    *,
    symbol: str | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
) -> TickDays:
    """Days of the tick archives below a folder, or of a catalog; or of one archive.

    Args:
        symbol: the instrument, as the archives call it, or `NAME FUT`: the front-month future of
            each day. None: the only instrument of each day, or else the only future, or index.
        start, end: dates, both inclusive; None for all.

    Raises:
        UsageError: no archive with ticks of these days; no such instrument on a day; days of
            different underlyings. BadData: a file is damaged.
    """
    groups = [
        group
        for group in _groups(Path(folder))
        if (start is None or group.last >= start) and (end is None or group.first <= end)
    ]
    if not groups:
        raise UsageError(
            f"{folder}: no archive has ticks from {start or 'the start'} to {end or 'the end'}"
        )
    parts = [ArchivedDay(group.first, _chosen(group, symbol, start, end)) for group in groups]
    kinds = [traded(part.ticks.instrument) for part in parts]
    for part, kind in zip(parts, kinds, strict=True):
        if kind != kinds[0]:
            raise UsageError(
                f"{part.label} gives {part.ticks.instrument.symbol}, the days before it "
                f"{kinds[0][0]} {kinds[0][1]}: a run is of one underlying; name it by --symbols"
            )
    sources = tuple(Source(*source) for part in parts for source in part.ticks.sources)
    return TickDays(
        symbol=kinds[0][0],
        kind=kinds[0][1],
        parts=tuple(parts),
        rows=0,
        generated=any(part.ticks.generated for part in parts),
        sources=sources,
        notes=(*(gap for part in parts for gap in part.ticks.gaps), *_absent(groups)),
        start=start,
        end=end,
    )


# ---- archives by day -----------------------------------------------------------------------------


@dataclass
class _Group:
    """Files whose dates overlap: they are read together, in one order."""

    first: dt.date
    last: dt.date
    files: list[Path]


def _groups(folder: Path) -> list[_Group]:
    spans = []
    for path in [folder] if folder.is_file() else archive_files(folder):
        with ArchiveReader(path) as reader:
            span = reader.time_range("ticks") if "ticks" in reader.streams else None
        if span is not None:
            spans.append((exchange_date(span[0]), exchange_date(span[1]), path))
    groups: list[_Group] = []
    for first, last, path in sorted(spans):
        if groups and first <= groups[-1].last:
            groups[-1].files.append(path)
            groups[-1].last = max(groups[-1].last, last)
        else:
            groups.append(_Group(first, last, [path]))
    return groups


def _chosen(
    group: _Group, symbol: str | None, start: dt.date | None, end: dt.date | None
) -> Recorded:
    """The ticks of a group's instrument, within the dates."""
    first = start if start is not None and start > group.first else None
    last = end if end is not None and end < group.last else None
    files = list(group.files)
    if symbol is not None and symbol.endswith(FRONT):
        symbol = _front(group, symbol.removesuffix(FRONT))
    try:
        return recorded(files, symbol=symbol, start=first, end=last)
    except UsageError as error:
        raise UsageError(f"{group.first}: {error}") from None


def _front(group: _Group, underlying: str) -> str:
    """What the files of a day call the front-month future."""
    expiry = front_month(underlying, group.first)
    with ExitStack() as stack:
        for path in group.files:
            reader = stack.enter_context(ArchiveReader(path))
            used = {int(key) for key in reader.keys("ticks")}
            for number, entry in reader.instruments.items():
                found = named(entry.symbol) if number in used else None
                if (found is not None and found.kind == "FUT" and found.expiry == expiry
                        and found.underlying == underlying):  # fmt: skip
                    return str(entry.symbol)
    raise UsageError(
        f"{group.first}: no ticks of the future of {underlying} that expires {expiry} in "
        f"{', '.join(path.name for path in group.files)}"
    )


def _absent(groups: Sequence[_Group]) -> tuple[str, ...]:
    """A note of the trading days between the first and the last that no archive has."""
    held = {group.first + dt.timedelta(days=away) for group in groups
            for away in range((group.last - group.first).days + 1)}  # fmt: skip
    days = Calendar.load().days(groups[0].first, groups[-1].last)
    lacking = [str(day.date) for day in days if day.windows and day.date not in held]
    if not lacking:
        return ()
    more = f", and {len(lacking) - DAYS_SHOWN} more" if len(lacking) > DAYS_SHOWN else ""
    return (f"No ticks of {len(lacking)} trading days: {', '.join(lacking[:DAYS_SHOWN])}{more}.",)
