"""Replay of an option structure: recorded ticks of its index or stock and options, by `LegsRun`.

The run is the one that trades on paper. Time is that of receiving; the market's seconds pass with
it, also where no tick comes, so that what is decided depends on the ticks alone: not on the pace,
and not on how they are cut into batches.
"""

import datetime as dt
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.live.journal import Journal
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast.clock import Ticking
from dhanfast.engine.hedge_prices import FUT
from dhanfast.engine.leg_risk import recorded_guards_of_legs
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.leg_universe import Universe, universe_of
from dhanfast.engine.legs_live import LegsRun, check_live_plan
from dhanfast.engine.live_prices import REPLAY
from dhanfast.engine.recorded import (
    THREADS,
    Moment,
    as_ticks,
    bounds_of,
    gaps_of,
    kind_of,
    named,
    stretch_of,
)
from dhanfast.engine.replay import MAX, Replay, ist
from dhanfast.engine.seat import Misuse
from dhanfast.engine.settings import Settings
from dhanfast.engine.stock_terms import StockList, Terms, marked
from dhanfast.errors import BadData, UsageError
from dhanfast.market import instruments
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.market.optionsessions import is_index
from dhanfast.reports.result import RunResult
from dhanfast.storage.archive.listing import Listed
from dhanfast.storage.archive.reader import ArchiveReader

SECOND_NS: Final = 1_000_000_000
SEGMENT: Final = "NSE_FNO"
SHARES: Final = "NSE_EQ"
NOBODY: Final = 0xFFFF_FFFF


@dataclass(frozen=True)
class RecordedStructure:
    """A recorded day of an index and the options that a plan needs.

    Attributes:
        instrument: the index or stock, as the file lists it. path: of the file.
        universe: contracts of the day. numbers: feed number by the file's number; NOBODY: not used.
        hours: of the trading day. start_ns, end_ns: [start, end) asked for; None for open ends.
        first_ns, last_ns: no tick lies outside these. generated: a generator made the file.
        gaps: what the file says is missing. source: (name, SHA-256 of its seal, ticks in it).
    """

    instrument: Listed
    path: Path
    universe: Universe
    numbers: NDArray[np.uint32]
    symbols: tuple[str, ...]
    hours: TradingDay
    start_ns: int | None
    end_ns: int | None
    first_ns: int
    last_ns: int
    generated: bool
    gaps: tuple[str, ...]
    source: tuple[str, str, int]

    def open(self, threads: int = THREADS) -> Iterator[NDArray[Any]]:
        """Begin at the first tick: batches of TICK_DTYPE with feed numbers, each of its own memory.

        Raises:
            BadData: the file is damaged; the message names file and byte.
        """
        with ArchiveReader(self.path) as reader:
            for batch in reader.batches(
                "ticks", start_ns=self.start_ns, end_ns=self.end_ns, symbols=self.symbols,
                threads=threads,
            ):  # fmt: skip
                ticks = as_ticks(batch)
                ticks["instrument"] = self.numbers[ticks["instrument"]]
                yield ticks


def recorded_structure(
    plan: StructurePlan,
    files: Sequence[str | os.PathLike[str]],
    *,
    start: Moment | None = None,
    end: Moment | None = None,
) -> RecordedStructure:
    """Choose the ticks of a structure's day.

    Args:
        plan: the structure. files: one archive, of one day. start, end: as for `recorded`.
    Raises:
        UsageError: several files or days, no ticks of the index, an end before its start.
        BadData: a file is damaged; an expiry or strike that the plan needs is not in it.
        OutOfCalendar: a day outside the tables. ConfigError: see `legs_live.check_live_plan`.
    """
    check_live_plan(plan)
    told_lot = plan.lot
    if len(files) != 1:
        raise UsageError(f"--legs replays one archive of one day, and there are {len(files)}")
    with ExitStack() as stack:
        reader = stack.enter_context(ArchiveReader(files[0]))
        whole, start_ns, end_ns = bounds_of([reader], start, end)
        span = stretch_of(whole, start_ns, end_ns)
        if ist(span[0])[:10] != ist(span[1])[:10]:
            raise UsageError(
                f"{reader.path.name} has ticks of {ist(span[0])[:10]} to {ist(span[1])[:10]}: "
                "legs are replayed a day at a time; give --from and --to of one day"
            )
        day = dt.date.fromisoformat(ist(span[0])[:10])
        hours = Calendar.load().day(day, SEGMENT)
        if hours is None:
            raise UsageError(f"{day} is no trading day of options")
        plan = marked(plan)
        index, options = _listed(reader, plan.underlying)
        level = _level(reader, index.symbol, start_ns, end_ns)
        stock = None
        if not is_index(plan.underlying):
            usual = Terms(told_lot, instruments.tick("OPT_STK", day, level=level))
            stock = _stock_list(reader.path.name, options, usual)
        universe = universe_of(plan, day, level, lambda expiry: _strikes(options, expiry), stock)
        numbers, symbols = _numbers(reader, universe, index, options)
        return RecordedStructure(
            instrument=index,
            path=reader.path,
            universe=universe,
            numbers=numbers,
            symbols=symbols,
            hours=hours,
            start_ns=start_ns,
            end_ns=end_ns,
            first_ns=span[0],
            last_ns=span[1],
            generated=bool(reader.head.get("generated")),
            gaps=tuple(gaps_of(reader, *span)),
            source=(reader.path.name, reader.digest, reader.rows("ticks")),
        )


Key = tuple[dt.date, int, str]


def _listed(reader: ArchiveReader, underlying: str) -> tuple[Listed, dict[Key, Listed]]:
    """The index or stock, and its options and futures by (expiry, strike, right).

    Raises:
        UsageError: the file has no ticks of it.
    """
    stock = not is_index(underlying)
    stocks = (underlying,) if stock else ()
    used = {int(key) for key in reader.keys("ticks")}
    index, options = None, {}
    for number, entry in reader.instruments.items():
        if number not in used:
            continue
        if _is_underlying(entry, underlying, stock=stock):
            index = entry
        elif entry.strike and entry.expiry and entry.right:
            found = named(entry.symbol, stocks)
            if found is not None and found.underlying == underlying:
                expiry = dt.date.fromisoformat(entry.expiry)
                options[expiry, entry.strike, entry.right] = entry
        elif kind_of(entry) == FUT and entry.expiry:
            found = named(entry.symbol, stocks)
            if found is not None and found.underlying == underlying:
                options[dt.date.fromisoformat(entry.expiry), 0, FUT] = entry
    if index is None:
        raise UsageError(
            f"{reader.path.name} has no ticks of the {'stock' if stock else 'index'} {underlying}: "
            "strikes are chosen by its level; record it too ([feed] instruments)"
        )
    return index, options


def _is_underlying(entry: Listed, underlying: str, *, stock: bool) -> bool:
    """Whether an entry is the index, or the share of NSE: a recorder that has that of BSE too tells
    them apart by the segment."""
    if not stock:
        return entry.symbol == underlying and kind_of(entry) == "IDX"
    named_so = entry.symbol in (underlying, f"{underlying} {SHARES}")
    return named_so and kind_of(entry) == "EQ" and entry.segment in (None, SHARES)


def _stock_list(name: str, options: dict[Key, Listed], usual: Terms) -> StockList:
    """A stock's options as a file lists them.

    Args:
        usual: for a file that does not say lot or tick: the legs file's lot, 0 when it has none.
    """

    def terms(expiry: dt.date) -> Terms:
        found = {
            (entry.lot or usual.lot, entry.tick or usual.tick)
            for (of, _, right), entry in options.items()
            if of == expiry and right != FUT
        }
        if len(found) != 1:
            raise BadData(
                f"{name}: options of one expiry, {expiry}, have lot and tick of "
                f"{' and '.join(map(str, sorted(found)))}: nothing is traded by such a list"
            )
        ((units, tick),) = found
        if not units:
            raise BadData(
                f"{name} does not list the lot of its contracts: say it in the legs file, as "
                "lot = 500"
            )
        return Terms(units, tick)

    dates = sorted({expiry for expiry, _, right in options if right != FUT})
    return StockList(name, dates, terms)


def _strikes(options: dict[Key, Listed], expiry: dt.date) -> NDArray[np.int64]:
    """Strikes of an expiry that have a call and a put, rising."""
    found = {strike for of, strike, right in options if of == expiry and right == "CE"}
    return np.array(
        sorted(strike for strike in found if (expiry, strike, "PE") in options), np.int64
    )


def _level(reader: ArchiveReader, symbol: str, start_ns: int | None, end_ns: int | None) -> int:
    """The first level of the index, paise.

    Raises:
        UsageError: it has none in the stretch.
    """
    for batch in reader.batches("ticks", start_ns=start_ns, end_ns=end_ns, symbols=[symbol]):
        seen = batch["price"][batch["price"] > 0]
        if len(seen):
            return int(seen[0])
    raise UsageError(f"{reader.path.name}: no price of {symbol} in the stretch that was asked for")


def _numbers(
    reader: ArchiveReader, universe: Universe, index: Listed, options: dict[Key, Listed]
) -> tuple[NDArray[np.uint32], tuple[str, ...]]:
    """Feed numbers by the file's numbers, and the symbols that are used.

    Raises:
        BadData: the future that hedges is not in the file.
    """
    future = universe.future
    if future is not None and (future, 0, FUT) not in options:
        raise BadData(
            f"{reader.path.name}: the structure is hedged with the future of {future}, and there "
            "are no ticks of it: record it too ([feed] instruments), or hedge with options"
        )
    wanted = [index, *(options[key] for key in universe.contracts())]
    known = [number for number, _ in reader.instruments.items()]
    numbers = np.full(max(known) + 1, NOBODY, np.uint32)
    for number, entry in enumerate(wanted):
        numbers[entry.index] = number
    return numbers, tuple(entry.symbol for entry in wanted)


class StructureReplay:
    """One run over recorded ticks: takes them, then hands over what it found.

    Args:
        plan, settings: of the run. ticks: the day.
        misuse: what is done when the strategy that it follows misbehaves; None: the run ends.
    """

    def __init__(
        self, plan: StructurePlan, ticks: RecordedStructure, settings: Settings,
        misuse: Misuse | None = None,
    ) -> None:  # fmt: skip
        self._ticks = ticks
        folder = tempfile.mkdtemp(prefix="dhanfast-replay-")
        # Also when it is dropped, as going backwards does.
        self._removed = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        on = ticks.hours.date
        header = JournalHeader(
            epoch=1, date=int(f"{on:%Y%m%d}"), run="replay", config_digest=bytes(32),
            created_ns=ticks.first_ns, text="",
        )  # fmt: skip
        self._journal = Journal(f"{folder}/replay.dfj", header, sync_ns=60 * SECOND_NS)
        guards, told = recorded_guards_of_legs(settings.guards, plan)
        self._run = LegsRun(
            plan, settings, ticks.universe, ticks.hours, self._journal, guards=guards,
            grade=REPLAY, generated=ticks.generated, notes=(*ticks.gaps, *told), misuse=misuse,
        )  # fmt: skip
        self._second_ns = self._last_ns = 0

    def feed(self, ticks: NDArray[Any]) -> None:
        """Run over more ticks; they are not kept."""
        loop = self._run.loop
        for at, now in enumerate(ticks["recv_ns"].tolist()):
            self._pass_time(now)
            loop.take_ticks(ticks[at : at + 1], now)
            self._last_ns = now
        if loop.error is not None:
            raise loop.error

    def _pass_time(self, now_ns: int) -> None:
        """Every second of the market up to now; nothing happens between two of them by itself."""
        loop = self._run.loop
        if self._second_ns == 0:
            self._second_ns = now_ns - now_ns % SECOND_NS + SECOND_NS
        while self._second_ns <= now_ns:
            loop.poll(self._second_ns)
            self._second_ns += SECOND_NS
        loop.poll(now_ns)

    def close(self) -> None:
        """Let go of its journal, which is of this run only."""
        self._journal.close()
        self._removed()

    def finish(self) -> RunResult:
        """The result; what is open when the ticks end stays open, and a note says so."""
        try:
            flat, held = self._run.flat, self._run.held_text()
            result = self._run.finish()
        finally:
            self.close()
        name, sha256, rows = self._ticks.source
        notes = result.notes
        if not flat:
            until = f"the ticks that were used end at {ist(self._last_ns)[11:]} IST"
            notes = (f"PARTIAL: {until}, before the exit: {held} open, not closed.", *notes)
        data = {**result.data, "sources": [{"name": name, "sha256": sha256, "rows": rows}]}
        return replace(result, data=data, notes=notes)


def replay_structure(
    plan: StructurePlan,
    ticks: RecordedStructure,
    settings: Settings,
    *,
    clock: Ticking,
    speed: float = MAX,
    tell: Callable[[str], None] = lambda text: None,
    threads: int = THREADS,
    misuse: Misuse | None = None,
) -> Replay[RunResult]:
    """A replay of a structure over recorded ticks.

    Args:
        plan, settings: as for `LegsRun`. ticks: chosen by `recorded_structure`.
        misuse: as for `StructureReplay`.
        clock, speed, tell, threads: as for `replay_ticks`.
    Raises:
        ConfigError: a plan or settings that cannot be run, an impossible speed.
        BadData: a leg's expiry is not in the file; recorded India VIX that cannot be read.
    """
    StructureReplay(plan, ticks, settings).close()  # refuses what is wrong before anything runs
    return Replay(
        lambda: ticks.open(threads),
        lambda: StructureReplay(plan, ticks, settings, misuse),
        clock=clock,
        speed=speed,
        tell=tell,
    )
