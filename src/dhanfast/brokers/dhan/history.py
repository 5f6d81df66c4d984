"""Bars of the past: which requests bring them, and what is made of the answers.

A request asks for days of one cell of a grid (90 days of minutes, 30 of expired options, 240 of
days), so that the same days are asked for in the same pieces whatever span a user names: what is
held is not asked for again, what comes before or after it is added.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.brokers.dhan.answers_data import Candles, ExpiredCandles
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind
from dhanfast.brokers.dhan.requests_data import (
    INTRADAY_DAYS_MAX,
    ROLLING_DAYS_MAX,
    DailyQuery,
    ExpiredQuery,
    IntradayQuery,
)
from dhanfast.brokers.dhan.rest_data import DataCalls
from dhanfast.brokers.link import Backoff, Randomness
from dhanfast.clock import Clock
from dhanfast.errors import BadData, DhanfastError
from dhanfast.market.calendar import Calendar, each_date, midnight_ns
from dhanfast.storage.downloads import BASE, ROLLING, Columns, DownloadFolder, Line, Series

DAY_S: Final = 86_400
DAILY_DAYS: Final = 240
MINUTE_NS: Final = 60_000_000_000
SIDES: Final = {"CE": "CALL", "PE": "PUT"}
DERIVATIVES: Final = ("FUTURE", "OPTION", "EXPIRED")
ANSWERS_MAX: Final = 3  # of one request, when what comes is not to be believed
EMPTY_MAX: Final = 2  # of one request that nothing comes for although there was trading
PRICES: Final = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: the bars of a series from `first` to `last`, IST dates, both included."""

    line: Line
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Step:
    """How far a download is.

    Units:
        requests that are done and that there are, bars that came.
    """

    done: int
    total: int
    rows: int
    ask: Ask


@dataclass(slots=True)
class Tally:
    """What a download did.

    Units:
        requests that were kept, bars that came, requests that nothing came for.
    """

    asked: int = 0
    rows: int = 0
    empty: int = 0
    unchanged: int = 0  # asked again, and what came was not more
    notes: list[str] = field(default_factory=list)


class Stopped(DhanfastError):
    """A download that could not go on; what it had is kept, and the next run goes on from there.

    Args:
        ask: what was asked for. cause: why it failed; its exit code is kept.
    """

    def __init__(self, ask: Ask, done: int, total: int, cause: DhanfastError) -> None:
        self.exit_code = cause.exit_code
        remedy = _REMEDY.get(cause.kind, "") if isinstance(cause, BrokerError) else ""
        super().__init__(
            f"{ask.line.name} {ask.first} to {ask.last}: {cause}{remedy}. {done:,} of {total:,} "
            "requests are done and kept; the same command goes on from there"
        )


_REMEDY: Final = {  # kinds whose own words end without one
    ErrorKind.RATE: "; wait some minutes, and stop what else asks with this account",
    ErrorKind.SERVER: "; the broker has trouble: try again later",
    ErrorKind.NETWORK: "; look at the network and try again",
    ErrorKind.ACCOUNT: "; ask the broker whether the account and its segments are active",
    ErrorKind.INPUT: "; is the contract list of today? dhanfast instruments update",
}


# ---- what to ask for ----


def asks_of(
    series: Series, first: date, last: date, calendar: Calendar,
    again: AbstractSet[date] = frozenset(),
) -> list[Ask]:  # fmt: skip
    """Requests for the trading days of a span that are not held, oldest first.

    A piece that came empty, and one with a day of `again`, is asked for again as it is.

    Args:
        first, last: IST dates, both included.
    """
    line, size = series.line, grid_days(series.line)
    held: set[date] = set()
    found: list[Ask] = []
    for piece in series.pieces:
        days = set(each_date(*piece.days))
        doubted = piece.rows == 0 or bool(days & again)
        if doubted and piece.days[0] <= last and piece.days[1] >= first:
            found.append(Ask(line, *piece.days))
        held |= days
    run: list[date] = []
    for day in each_date(first, last):
        if day not in held and not _trades(day, calendar, line.hours):
            continue
        if run and (day in held or run[-1].toordinal() // size != day.toordinal() // size):
            found.append(Ask(line, run[0], run[-1]))
            run = []
        if day not in held:
            run.append(day)
    if run:
        found.append(Ask(line, run[0], run[-1]))
    return sorted(found, key=lambda ask: ask.first)


def grid_days(line: Line) -> int:
    """Days that one request asks for at most."""
    if line.kind == "EXPIRED":
        return ROLLING_DAYS_MAX
    return DAILY_DAYS if line.interval_s == DAY_S else INTRADAY_DAYS_MAX


def _trades(day: date, calendar: Calendar, hours: str) -> bool:
    """Whether there may be bars of a day; of days outside the calendar, on weekdays."""
    if not calendar.covers(day):
        return day.weekday() < 5
    return calendar.day(day, hours) is not None


# ---- asking ----


async def fetched(rest: DataCalls, ask: Ask) -> Columns:
    """What the broker answers to one request, as it came but for its units.

    Units:
        start_ns UTC ns, prices paise, volume and oi units, iv percent.

    Raises:
        BrokerError, NotAuthenticated: as the call. BadData: the answer cannot be read.
    """
    line = ask.line
    if line.kind == "EXPIRED":
        return _rolling_columns(await rest.expired_options(
            ExpiredQuery(
                underlying=line.security_id, side=SIDES[line.right], first=str(ask.first),
                last=str(ask.last), strike=money_text(line.money), expiry_flag=line.cycle,
                expiry_code=line.code, segment=line.segment, instrument=line.instrument,
                interval=line.interval_s // 60,
            )
        ))  # fmt: skip
    security, interest = str(line.security_id), line.kind in DERIVATIVES
    if line.interval_s == DAY_S:
        return _base_columns(await rest.daily(
            DailyQuery(segment=line.segment, security_id=security, instrument=line.instrument,
                       first=str(ask.first), last=str(ask.last), oi=interest)
        ))  # fmt: skip
    until = ask.last + timedelta(days=1)
    pieces = [_base_columns(piece) for piece in await rest.intraday_pieces(
        IntradayQuery(segment=line.segment, security_id=security, instrument=line.instrument,
                      begin=f"{ask.first} 00:00:00", end=f"{until} 00:00:00",
                      interval=line.interval_s // 60, oi=interest)
    )]  # fmt: skip
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in BASE}


def money_text(steps: int) -> str:
    """ATM, ATM+2, ATM-10."""
    return f"ATM{steps:+d}" if steps else "ATM"


def _base_columns(candles: Candles) -> Columns:
    return {name: getattr(candles, name) for name in BASE}


def _rolling_columns(candles: ExpiredCandles) -> Columns:
    """All columns; one that the broker left out is zeros, of volatilities not-a-number."""
    count = len(candles)
    found: Columns = {"start_ns": candles.start_ns}
    for name in (*BASE[1:], *ROLLING):
        column = candles.columns.get(name)
        if column is None and name in (*PRICES, "strike") and count:
            raise BadData(f"rollingoption: the column {name} is missing for {count:,} candles")
        if column is None:
            column = np.full(count, np.nan) if name == "iv" else np.zeros(count, np.int64)
        found[name] = column
    return found


# ---- what is made of an answer ----


def cleaned(columns: Columns, ask: Ask) -> tuple[Columns, tuple[str, ...]]:
    """Bars in order, each once, of the days asked for, and notes of what was done to get there.

    Left out, and counted: bars of other days, off the grid of minutes, without a price, with open
    or close outside low and high. A bar that comes twice and says the same is kept once.

    Raises:
        BadData: a bar comes twice and says different things: neither can be believed.
    """
    notes: list[str] = []

    def only(keep: NDArray[np.bool_], what: str) -> None:
        nonlocal columns
        lost = int(np.count_nonzero(~keep))
        if lost:
            notes.append(f"{lost:,} {what}")
            columns = {name: values[keep] for name, values in columns.items()}

    starts = columns["start_ns"]
    until_ns = midnight_ns(ask.last + timedelta(days=1))
    only((starts >= midnight_ns(ask.first)) & (starts < until_ns), "bars of other days left out")
    if np.any(np.diff(columns["start_ns"]) < 0):
        order = np.argsort(columns["start_ns"], kind="stable")
        columns = {name: values[order] for name, values in columns.items()}
        notes.append("bars were not in order of time; sorted")
    only(_first_of_each(columns, ask), "bars came twice; kept once")
    only(columns["start_ns"] % MINUTE_NS == 0, "bars that do not start on a minute left out")
    priced = np.min([columns[name] for name in PRICES], axis=0, initial=1 << 62) > 0
    only(priced, "bars without a price left out")
    low, high = columns["low"], columns["high"]
    inside = np.ones(len(low), bool)
    for name in ("open", "close"):
        inside &= (columns[name] >= low) & (columns[name] <= high)
    only(inside, "bars with open or close outside low and high left out")
    if "strike" in columns:
        only(columns["strike"] > 0, "bars without a strike left out")
    return columns, tuple(notes)


def _first_of_each(columns: Columns, ask: Ask) -> NDArray[np.bool_]:
    """The first bar of each start; the others must say the same.

    Raises:
        BadData: they do not.
    """
    starts = columns["start_ns"]
    keep = np.ones(len(starts), bool)
    keep[1:] = starts[1:] != starts[:-1]
    if keep.all():
        return keep
    first = np.flatnonzero(keep)
    origin = first[np.cumsum(keep) - 1]
    for name, values in columns.items():
        same = (values == values[origin]) | (
            (values != values) & (values[origin] != values[origin])
        )
        if not same.all():
            at = int(np.flatnonzero(~same)[0])
            raise BadData(
                f"charts: a bar of {ask.line.name} comes twice with {name} "
                f"{values[origin][at]} and {values[at]}; nothing of the answer is used"
            )
    return keep


# ---- downloading ----


class Downloader:
    """Asks for what is missing and keeps each answer before it asks for the next.

    Args:
        rest: whose calls. folder: where to, held by the caller.
        clock: of pauses and of the time noted with each piece.
        rng: of the pauses' jitter.
        told: called before each request, and once after the last.
    """

    def __init__(
        self, rest: DataCalls, folder: DownloadFolder, clock: Clock, rng: Randomness,
        told: Callable[[Step], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._rest, self._folder, self._clock, self._rng = rest, folder, clock, rng
        self._told = told
        self._backoff = Backoff(first_s=0.5, most_s=10.0)

    async def run(self, asks: Sequence[Ask], calendar: Calendar) -> Tally:
        """Bring what is asked for.

        Raises:
            Stopped: a request failed for good; what came before it is kept.
        """
        tally = Tally()
        held: dict[str, Series] = {}
        for done, ask in enumerate(asks):
            self._told(Step(done, len(asks), tally.rows, ask))
            try:
                series = held.get(ask.line.key) or self._folder.agreed(ask.line)
                held[ask.line.key] = await self._one(ask, series, calendar, tally)
            except DhanfastError as error:
                raise Stopped(ask, done, len(asks), error) from error
        if asks:
            self._told(Step(len(asks), len(asks), tally.rows, asks[-1]))
        return tally

    async def _one(self, ask: Ask, series: Series, calendar: Calendar, tally: Tally) -> Series:
        """One request and its piece."""
        columns, notes = await self._believed(ask, calendar)
        rows = len(columns["start_ns"])
        tally.asked += 1
        tally.rows += rows
        tally.empty += rows == 0
        tally.notes += [f"{ask.line.name} {ask.first} to {ask.last}: {note}" for note in notes]
        before = [one for one in series.pieces
                  if one.days[0] >= ask.first and one.days[1] <= ask.last]  # fmt: skip
        if before and rows <= sum(one.rows for one in before):
            tally.unchanged += 1
            return series
        return self._folder.keep(series, ask.first, ask.last, columns, self._clock.now_ns(), notes)

    async def _believed(self, ask: Ask, calendar: Calendar) -> tuple[Columns, tuple[str, ...]]:
        """An answer that can be used; one that cannot, or is empty for no reason, is asked again.

        Raises:
            BrokerError, NotAuthenticated: as the call. BadData: the third answer was bad as well.
        """
        failures = empties = 0
        while True:
            try:
                columns, notes = cleaned(await fetched(self._rest, ask), ask)
            except BadData:
                failures += 1
                if failures >= ANSWERS_MAX:
                    raise
            else:
                if len(columns["start_ns"]) or not _must_have(ask, calendar):
                    return columns, notes
                empties += 1
                if empties >= EMPTY_MAX:
                    return columns, (*notes, "nothing came")
            await self._clock.sleep(self._backoff.pause_s(failures + empties, self._rng))


def _must_have(ask: Ask, calendar: Calendar) -> bool:
    """Whether there was an ordinary session, so that no bar at all is odd."""
    for day in each_date(ask.first, ask.last):
        if not calendar.covers(day):
            continue
        trading = calendar.day(day, ask.line.hours)
        if trading is not None and trading.windows and not trading.is_special:
            return True
    return False
