"""How complete downloaded bars are: minutes of each contract and day against the exchange's hours.

Expected are the steps of the sessions in force on the date: half days, evening sessions and days of
an outage by their own hours, holidays by none. A minute without a bar is one without a trade or one
that the broker did not deliver; it does not tell them apart, and for an index it is always the
second.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from dhanfast.market.calendar import Calendar, TradingDay, midnight_ns
from dhanfast.storage.downloads import DownloadFolder, Series
from dhanfast.storage.stamps import ist_text

S: Final = 1_000_000_000
DAY_S: Final = 86_400
GAPS_SHOWN: Final = 6
WHOLE, SHORT, ABSENT, EXTRA, UNKNOWN, UNASKED = (
    "whole", "short", "absent", "closed", "unknown", "unasked"
)  # fmt: skip
BAD: Final = frozenset((SHORT, ABSENT, EXTRA))
DERIVATIVES: Final = frozenset(("FUTURE", "OPTION", "EXPIRED"))


class DayReport(msgspec.Struct, frozen=True, kw_only=True):
    """One contract on one day.

    Attributes:
        status: whole; short (steps without a bar); absent (no bar at all); closed (bars although
            the exchange was); unknown (its hours are in no table); unasked (never downloaded).
        kind: of the day: normal, muhurat, drill, budget, outage; empty when closed.
        outside: bars outside the sessions, before the open and after the close.
        no_interest: whether every bar of a derivative says an open interest of 0.
        gaps: steps without a bar, as 10:08 to 11:39, 14:02.
    """

    day: str
    status: str
    kind: str
    expected: int
    held: int
    outside: int = 0
    no_interest: bool = False
    gaps: str = ""

    @property
    def missing(self) -> int:
        """Steps without a bar."""
        return self.expected - self.held

    @property
    def is_bad(self) -> bool:
        """Whether it counts as incomplete; a special session that is absent does not."""
        return self.status in BAD and self.kind not in ("muhurat", "drill")


class SeriesReport(msgspec.Struct, frozen=True, kw_only=True):
    """One contract or series over all its days."""

    key: str
    kind: str
    first: str
    last: str
    days: tuple[DayReport, ...]
    notes: tuple[str, ...] = ()

    def count(self, status: str) -> int:
        """Days of a status."""
        return sum(one.status == status for one in self.days)

    @property
    def expected(self) -> int:
        """Bars that there should be."""
        return sum(one.expected for one in self.days)

    @property
    def held(self) -> int:
        """Bars that are there and should be."""
        return sum(one.held for one in self.days)

    @property
    def bad(self) -> int:
        """Days that are incomplete."""
        return sum(one.is_bad for one in self.days)


def examine(
    folder: DownloadFolder, *, first: date | None = None, last: date | None = None, symbol: str = ""
) -> list[SeriesReport]:
    """What is there of what there should be.

    Args:
        first, last: IST dates, both included; None for all that was downloaded.
        symbol: only series that begin with it.

    Raises:
        UsageError: no folder of downloads. BadData: a piece is damaged.
    """
    folder.origin()
    calendar = Calendar.load()
    found = []
    for key, series in folder.series().items():
        if key.startswith(symbol) and series.pieces:
            found.append(examine_series(folder, series, calendar, first, last))
    return found


def examine_series(
    folder: DownloadFolder, series: Series, calendar: Calendar,
    first: date | None = None, last: date | None = None,
) -> SeriesReport:  # fmt: skip
    """One series against the calendar.

    Args:
        first, last: None for the first and last day of its pieces.

    Raises:
        BadData: a piece is damaged.
    """
    spans = [piece.days for piece in series.pieces]
    low = first or spans[0][0]
    high = last or spans[-1][1]
    if series.line.expiry:
        high = min(high, date.fromisoformat(series.line.expiry))
    days: dict[date, DayReport] = {}
    for piece in series.pieces:
        begin, end = max(piece.days[0], low), min(piece.days[1], high)
        if begin > end:
            continue
        columns = folder.read(series.line.key, piece)
        for day in _each(begin, end):
            report = _day(day, columns["start_ns"], columns["oi"], series, calendar)
            if report is not None:
                days[day] = report
    for trading in _trading(calendar, low, high, series.line.hours):
        if trading.date not in days:
            kind = trading.kind
            days[trading.date] = DayReport(
                day=str(trading.date), status=UNASKED, kind=kind, expected=0, held=0
            )
    ordered = tuple(days[day] for day in sorted(days))
    notes = tuple(f"{one.first} to {one.last}: {note}"
                  for one in series.pieces for note in one.notes)  # fmt: skip
    return SeriesReport(key=series.line.key, kind=series.line.kind, first=str(low), last=str(high),
                        days=ordered, notes=notes)  # fmt: skip


def missing_days(
    folder: DownloadFolder, series: Series, calendar: Calendar
) -> set[date]:  # fmt: skip
    """Days of a series that are incomplete and worth asking for again.

    Raises:
        BadData: a piece is damaged.
    """
    if not series.pieces:
        return set()
    report = examine_series(folder, series, calendar)
    return {date.fromisoformat(one.day) for one in report.days
            if one.is_bad and one.status in (SHORT, ABSENT)}  # fmt: skip


def _each(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)


def _trading(calendar: Calendar, low: date, high: date, hours: str) -> list[TradingDay]:
    """Trading days of a span, as far as the calendar knows."""
    low, high = max(low, calendar.first), min(high, calendar.last)
    return calendar.days(low, high, hours) if low <= high else []


def _day(
    day: date, starts: NDArray[np.int64], interest: NDArray[np.int64], series: Series,
    calendar: Calendar,
) -> DayReport | None:  # fmt: skip
    """One day of a piece; None when nothing is expected and nothing is there."""
    low, high = np.searchsorted(starts, [midnight_ns(day), midnight_ns(day + timedelta(days=1))])
    mine, told = starts[low:high], interest[low:high]
    known = calendar.covers(day)
    trading = calendar.day(day, series.line.hours) if known else None
    zero = series.line.kind in DERIVATIVES and len(told) > 0 and not told.any()
    name, count = str(day), len(mine)
    if trading is None or not trading.windows:
        if known and trading is None:
            if not count:
                return None
            return DayReport(day=name, status=EXTRA, kind="", expected=0, held=0, outside=count,
                             no_interest=zero)  # fmt: skip
        if trading is None and not count:
            return None
        return DayReport(day=name, status=UNKNOWN, kind=trading.kind if trading else "",
                         expected=0, held=0, outside=count, no_interest=zero)  # fmt: skip
    if series.line.interval_s == DAY_S:
        status = WHOLE if count else ABSENT
        return DayReport(day=name, status=status, kind=trading.kind, expected=1, held=min(count, 1),
                         no_interest=zero)  # fmt: skip
    expected = expected_steps(trading, series.line.interval_s)
    there = _there(expected, mine)
    held = int(there.sum())
    outside = count - held
    status = WHOLE if held == len(expected) else SHORT if held else ABSENT
    gaps = ""
    if status == SHORT:
        gaps = gap_text(expected[~there], series.line.interval_s * S)
    return DayReport(
        day=name, status=status, kind=trading.kind, expected=len(expected), held=held,
        outside=outside, no_interest=zero, gaps=gaps,
    )  # fmt: skip


def _there(expected: NDArray[np.int64], mine: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the expected starts have a bar; both rise strictly."""
    if not len(mine):
        return np.zeros(len(expected), bool)
    place = np.minimum(np.searchsorted(mine, expected), len(mine) - 1)
    hit: NDArray[np.bool_] = mine[place] == expected
    return hit


@cache
def expected_steps(trading: TradingDay, interval_s: int) -> NDArray[np.int64]:
    """Starts of the bars that a day should have: from each open on, the last may be shorter.

    Units:
        UTC ns. The array is shared: it cannot be written to.
    """
    steps = np.concatenate(
        [np.arange(opens, closes, interval_s * S) for opens, closes in trading.windows]
    )
    steps.flags.writeable = False
    return steps


def gap_text(missing: NDArray[np.int64], step: int) -> str:
    """Write steps without a bar as 10:08 to 11:39, 14:02; the first few gaps.

    Units:
        UTC ns.
    """
    parts = np.split(missing, np.flatnonzero(np.diff(missing) != step) + 1)
    texts = []
    for part in parts[:GAPS_SHOWN]:
        begin, end = (ist_text(int(part[at]))[11:16] for at in (0, -1))
        texts.append(begin if len(part) == 1 else f"{begin} to {end}")
    more = f" and {len(parts) - GAPS_SHOWN} more gaps" if len(parts) > GAPS_SHOWN else ""
    return ", ".join(texts) + more
