"""What is wrong with bars we hold: rows against the rules, days against the exchange's calendar.

Two levels. A `defect` is data that is missing or false: something a strategy would suffer from.
A `note` is a normal feature of such data that a reader must know: prints before the open and after
the close (the engine filters them), evening sessions, outages of the exchange itself.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.storage.bars import ReadOptions, infer_interval, interval_name, load_table, rows_of
from dhanfast.storage.catalog import Catalog, Series, locate
from dhanfast.storage.rows import RowTable, RowView, bad_rows, describe, find_defects, view_of
from dhanfast.storage.stamps import DAY_NS, IST_OFFSET_NS, S, ist_text

MINUTE: Final = 60 * S
BEFORE_OPEN: Final = 30 * MINUTE  # a print this close before the open belongs to the pre-open
AFTER_CLOSE: Final = 60 * MINUTE  # a print this close after the close belongs to the closing
SHORT_SHARE: Final = 0.02  # of a session's bars missing: a short day rather than a few minutes
WHOLE_SHARE: Final = 0.3  # of a month's closes in whole rupees: the source has rounded
WHOLE_BARS_MIN: Final = 1000  # bars in a month before that share means anything
TOLD_APART: Final = ("outage", "muhurat", "drill")  # their prints are told with the day
END_SHARE: Final = 0.8  # of the days without their first bar, with one at the close: end stamps
END_DAYS_MIN: Final = 3

MEANING: Final[Mapping[str, str]] = {
    "unparsable": "a cell is not a number",
    "bad-stamp": "a stamp is not a time between 1990 and 2100",
    "ragged": "a line has more or fewer cells than the header",
    "not-finite": "a price is missing, NaN or infinite",
    "not-positive": "a price is zero or negative",
    "too-large": "a price is beyond anything traded: paise instead of rupees?",
    "high-below-low": "high and low are swapped or false",
    "outside-range": "open or close lies outside low..high",
    "bad-volume": "volume or open interest is negative or no whole number",
    "duplicate": "a stamp occurs twice",
    "out-of-order": "a row is earlier than the row before",
    "no-interval": "one stamp does not tell how long a bar is",
    "missing-day": "trading days without any bar",
    "missing-minutes": "minutes of the session without a bar",
    "short-day": "2 % or more of the session without bars",
    "not-a-trading-day": "bars on a day when the exchange was closed",
    "outside-hours": "bars far outside the session: wrong time zone?",
    "off-step": "bars that do not start on a step of the interval from the open",
    "end-stamped": "stamps look like the ends of bars: read the file with --stamp end",
    "pre-open": "prints before the open; not traded on, the engine leaves them out",
    "closing": "prints at or after the close; the engine leaves them out",
    "auction": "bars of the closing auction",
    "special-session": "a special session (evening, drill); no entries are made in it",
    "special-absent": "a special session the source left out",
    "halt": "the exchange itself stopped trading on this day",
    "whole-rupees": "closes are mostly whole rupees: the source has rounded them",
    "off-grid": "prices between two paise; rounded half to even when read",
    "calendar": "days the calendar does not know, or knows with less than full confidence",
}
NOTES: Final = frozenset(
    ("pre-open", "closing", "auction", "special-session", "special-absent", "halt", "whole-rupees",
     "off-grid", "calendar")
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Units:
        `count` is bars (days for missing-day and calendar); dates are IST, empty when none.
    """

    kind: str  # a key of MEANING
    first: str  # first IST date, YYYY-MM-DD
    last: str  # last IST date
    count: int
    detail: str

    @property
    def level(self) -> str:
        """`defect` or `note`."""
        return "note" if self.kind in NOTES else "defect"

    @property
    def meaning(self) -> str:
        """What it means, in a sentence."""
        return MEANING[self.kind]


@dataclass(frozen=True)
class Verified:
    """What was found in one instrument of one source."""

    source: str
    symbol: str
    timeframe: str
    rows: int
    days: int
    first: str
    last: str
    generated: bool
    findings: tuple[Finding, ...]

    @property
    def defects(self) -> int:
        """How many findings are defects."""
        return sum(finding.level == "defect" for finding in self.findings)


@dataclass
class _Day:
    """One IST day's bars, and what its checks add to."""

    day: date
    starts: NDArray[np.int64]
    trading: TradingDay


@dataclass
class _Tally:
    """Prints that occur on many days and are told as one finding."""

    bars: int = 0
    days: list[date] = field(default_factory=list)
    times: list[str] = field(default_factory=list)

    def add(self, day: date, starts: NDArray[np.int64]) -> None:
        """Count a day's prints."""
        if len(starts):
            self.bars += len(starts)
            self.days.append(day)
            self.times += (ist_text(int(starts[0]))[11:16], ist_text(int(starts[-1]))[11:16])

    def findings(self, kind: str) -> list[Finding]:
        """The one finding of this kind, or none."""
        if not self.bars:
            return []
        times = f"{min(self.times)} to {max(self.times)}"
        where = f"on {len(self.days):,} day{'s' if len(self.days) > 1 else ''}, {times}"
        return [Finding(kind, str(self.days[0]), str(self.days[-1]), self.bars, where)]


def verify_source(
    source: str | os.PathLike[str],
    *,
    options: ReadOptions | None = None,
    symbol: str | None = None,
    segment: str = "NSE_INDEX",
    calendar: Calendar | None = None,
) -> list[Verified]:
    """Check a file, a catalog, or a series of one.

    Args:
        source: as for `bars.read_bars`; a catalog folder is checked series by series.
        options: how a file writes its bars.
        symbol: only this instrument.
        segment: whose hours hold, see `market.calendar`.
        calendar: the shipped tables when None.

    Raises:
        BadData: the source cannot be read at all (a bad row is a finding, not an error).
        UsageError: no such source, or an option that does not fit.
    """
    calendar = calendar or Calendar.load()
    path = Path(source)
    if not path.is_file():
        catalog, named, interval = locate(source, symbol, os.environ)
        held = list(catalog.manifest().series.values())
        if named is not None:
            wanted = [s for s in held if s.symbol == named]
            held = [s for s in wanted if interval in (None, interval_name(s.interval_ns))]
            if not held:
                catalog.find(named, interval)  # says what is there instead
        return [_verify_series(catalog, series, segment, calendar) for series in held]
    options = options or ReadOptions()
    table = load_table(path, options)
    if symbol is not None and table.names and symbol not in table.names:
        raise BadData(f"{table.name} holds {', '.join(table.names[:12])}, not {symbol!r}")
    symbols = table.names if symbol is None and table.names else (symbol or path.stem,)
    return [_verify_table(table, one, options, segment, calendar) for one in symbols]


def _verify_series(
    catalog: Catalog, series: Series, segment: str, calendar: Calendar
) -> Verified:  # fmt: skip
    """Check a series of the catalog: reading it proves its hashes, importing checked its rows."""
    bars = catalog.read(series).bars
    findings = verify_days(bars["start_ns"], series.interval_ns, segment, calendar)
    if series.interval_ns < DAY_NS:
        findings += whole_rupees(bars["start_ns"], bars["close"])
    return _verified(
        series.key, series.symbol, series.interval_ns, bars["start_ns"], findings, series.generated
    )


def _verify_table(
    table: RowTable, symbol: str, options: ReadOptions, segment: str, calendar: Calendar
) -> Verified:
    """Check one instrument of a file: its rows, then the days its good rows make."""
    view = view_of(table, rows_of(table, symbol) if len(table) else None)
    defects = find_defects(view)
    findings = [_row_finding(table, defect) for defect in defects]
    # A row with a bad price is there all the same: its minute is not missing.
    starts = np.unique(view.ts[view.ts != 0])
    if view.off_grid is not None:
        rows = int(np.count_nonzero(view.off_grid))
        findings.append(Finding("off-grid", *_span(starts), rows, "rows"))
    try:
        interval, _ = infer_interval(view.ts, table.name)
    except BadData:
        findings.append(Finding("no-interval", *_span(starts), len(starts), "bars"))
        return _verified(table.name, symbol, 0, starts, findings, table.generated)
    shift = interval if options.stamp == "end" else 0
    starts = starts - shift
    findings += verify_days(starts, interval, segment, calendar)
    if interval < DAY_NS:
        stamps, closes = _closes(view, bad_rows(defects))
        findings += whole_rupees(stamps - shift, closes)
    return _verified(table.name, symbol, interval, starts, findings, table.generated)


def _closes(view: RowView, bad: NDArray[np.intp]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Stamps and closes (paise) of the rows without a defect."""
    keep = np.ones(len(view.table), bool)
    keep[bad] = False
    keep = keep if view.rows is None else keep[view.rows]
    return view.ts[keep], view.paise[3][keep]


def _verified(
    source: str, symbol: str, interval: int, starts: NDArray[np.int64],
    findings: Sequence[Finding], generated: bool,
) -> Verified:  # fmt: skip
    """Put the result together, defects first, then by kind and date."""
    order = list(MEANING)
    ordered = sorted(findings, key=lambda f: (f.level, order.index(f.kind), f.first))
    first, last = _span(starts)
    days = len(np.unique(_day_numbers(starts)))
    name = interval_name(interval) if interval else "?"
    return Verified(source, symbol, name, len(starts), days, first, last, generated, tuple(ordered))


def _row_finding(table: RowTable, defect: Any) -> Finding:
    """Tell a broken rule as a finding, with the first places."""
    stamps = table.ts[defect.rows]
    shown = "; ".join(describe(table, [defect], limit=3))
    return Finding(defect.kind, *_span(stamps[stamps != 0]), defect.count, shown)


def _span(starts: NDArray[np.int64]) -> tuple[str, str]:
    """First and last IST date of some stamps."""
    if not len(starts):
        return "", ""
    return ist_text(int(starts.min()))[:10], ist_text(int(starts.max()))[:10]


def _day_numbers(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """IST days since 1970 of some instants."""
    numbers: NDArray[np.int64] = (starts + IST_OFFSET_NS) // DAY_NS
    return numbers


def _date_of(number: int) -> date:
    """The date of a day number."""
    return date(1970, 1, 1) + timedelta(days=number)


def verify_days(
    starts: NDArray[np.int64],
    interval_ns: int,
    segment: str,
    calendar: Calendar,
) -> list[Finding]:
    """Check sorted bars against the calendar.

    Args:
        starts: UTC ns of the bars' starts, strictly increasing.
        interval_ns: of a bar; a day or more is checked by date only.
        segment: whose hours hold.

    Shape:
        `starts` is [n].
    """
    if not len(starts):
        return []
    findings: list[Finding] = []
    numbers = _day_numbers(starts)
    first, last = _date_of(int(numbers[0])), _date_of(int(numbers[-1]))
    findings += _confidence(first, last, calendar)
    first, last = max(first, calendar.first), min(last, calendar.last)
    held = {_date_of(number) for number in np.unique(numbers).tolist()}
    if first <= last:
        trading = {day.date: day for day in calendar.days(first, last, segment)}
        findings += _absent(held, trading)
        findings += _closed(numbers, held, trading, first, last)
        if interval_ns < DAY_NS:
            days = [
                _Day(day, _of_day(starts, numbers, day), trading[day])
                for day in sorted(held & trading.keys())
            ]
            findings += _intraday(days, interval_ns)
    return findings


def _of_day(starts: NDArray[np.int64], numbers: NDArray[np.int64], day: date) -> NDArray[np.int64]:
    """The bars of one day."""
    number = (day - date(1970, 1, 1)).days
    low, high = np.searchsorted(numbers, [number, number + 1])
    return starts[low:high]


def _confidence(first: date, last: date, calendar: Calendar) -> list[Finding]:
    """Say where the calendar is silent or unsure."""
    findings = []
    for year in range(first.year, last.year + 1):
        low, high = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
        count = (high - low).days + 1
        if not calendar.covers(low) or not calendar.covers(high):
            says = "no calendar for these dates: their days and hours were not checked"
        elif calendar.confidence(low) != "A":
            says = f"calendar of confidence {calendar.confidence(low)}"
        else:
            continue
        findings.append(Finding("calendar", str(low), str(high), count, says))
    return findings


def _absent(held: set[date], trading: Mapping[date, TradingDay]) -> list[Finding]:
    """Trading days without a bar: runs of neighbours as one finding."""
    findings: list[Finding] = []
    run: list[date] = []

    def close_run() -> None:
        if run:
            says = f"{len(run)} trading day{'s' if len(run) > 1 else ''}"
            findings.append(Finding("missing-day", str(run[0]), str(run[-1]), len(run), says))
            run.clear()

    for day in sorted(trading):
        if day in held:
            close_run()
        elif trading[day].is_special:
            says = f"{trading[day].kind}: {trading[day].note}"
            findings.append(Finding("special-absent", str(day), str(day), 1, says))
        else:
            run.append(day)
    close_run()
    return findings


def _closed(
    numbers: NDArray[np.int64],
    held: set[date],
    trading: Mapping[date, TradingDay],
    first: date,
    last: date,
) -> list[Finding]:
    """Bars on days without trading."""
    findings = []
    for day in sorted(held - trading.keys()):
        if first <= day <= last:
            count = int(np.count_nonzero(numbers == (day - date(1970, 1, 1)).days))
            says = f"a {day:%A}" if day.weekday() > 4 else "a holiday"
            findings.append(Finding("not-a-trading-day", str(day), str(day), count, says))
    return findings


def _intraday(days: Sequence[_Day], interval: int) -> list[Finding]:
    """Check each day's bars against its hours."""
    findings: list[Finding] = []
    before, after, auction = _Tally(), _Tally(), _Tally()
    end_like = 0
    for item in days:
        trading = item.trading
        if not trading.windows:
            findings.append(_of(item, "calendar", 1, f"hours unknown: {trading.note}"))
            continue
        starts, inside = item.starts, _inside(item.starts, trading)
        opens, closes = trading.open_ns, trading.close_ns
        early, late = starts[starts < opens], starts[starts >= closes]
        if trading.auction is not None:
            low, high = trading.auction
            auction.add(item.day, late[(late >= low) & (late < high)])
            late, closes = late[late >= high], high
        near = (early[early >= opens - BEFORE_OPEN], late[late < closes + AFTER_CLOSE])
        if trading.kind not in TOLD_APART:
            before.add(item.day, near[0])
            after.add(item.day, near[1])
        far = int(np.count_nonzero(early < opens - BEFORE_OPEN))
        far += int(np.count_nonzero(late >= closes + AFTER_CLOSE))
        if far:
            span = f"{ist_text(int(starts[0]))[11:16]} to {ist_text(int(starts[-1]))[11:16]}"
            findings.append(_of(item, "outside-hours", far, f"bars of the day: {span}"))
        missing = _missing(inside, trading, interval)
        findings += _session(item, inside, missing, interval, (len(near[0]), len(near[1])))
        end_like += bool(len(missing) and missing[0] == opens and closes in late)
    if end_like >= END_DAYS_MIN and end_like >= END_SHARE * len(days):
        first, last = str(days[0].day), str(days[-1].day)
        says = "days without a bar at the open and with one at the close"
        findings.append(Finding("end-stamped", first, last, end_like, says))
    findings += before.findings("pre-open") + after.findings("closing")
    return findings + auction.findings("auction")


def _of(item: _Day, kind: str, count: int, detail: str) -> Finding:
    """A finding of one day."""
    return Finding(kind, str(item.day), str(item.day), count, detail)


def _inside(starts: NDArray[np.int64], trading: TradingDay) -> NDArray[np.int64]:
    """The bars within the day's windows."""
    parts = [starts[(starts >= opens) & (starts < closes)] for opens, closes in trading.windows]
    return np.concatenate(parts)


def _missing(
    inside: NDArray[np.int64], trading: TradingDay, interval: int
) -> NDArray[np.int64]:  # fmt: skip
    """Steps of the session without a bar. Bars under a minute are checked minute by minute."""
    step = max(interval, MINUTE)
    expected = [np.arange(opens, closes, step) for opens, closes in trading.windows]
    anchored = [
        opens + (inside[(inside >= opens) & (inside < closes)] - opens) // step * step
        for opens, closes in trading.windows
    ]
    return np.setdiff1d(np.concatenate(expected), np.concatenate(anchored))


def _session(
    item: _Day,
    inside: NDArray[np.int64],
    missing: NDArray[np.int64],
    interval: int,
    prints: tuple[int, int],
) -> list[Finding]:
    """What is to say about the hours of one day; `prints` are those before and after them."""
    findings: list[Finding] = []
    trading, starts = item.trading, item.starts
    within = (starts >= trading.open_ns) & (starts < trading.close_ns)
    between = int(np.count_nonzero(within)) - len(inside)
    gaps = _runs(missing, max(interval, MINUTE))
    around = f"{prints[0]} prints before, {prints[1]} after"
    if trading.kind == "outage":
        says = f"{trading.note}; {around}"
        if len(missing):
            says += f"; {len(missing)} bars absent in its sessions: {gaps}"
        if between:
            says += f"; {between} between its sessions"
        return [_of(item, "halt", len(inside), says)]
    if trading.is_special:
        findings.append(_of(item, "special-session", len(inside), f"{trading.kind}; {around}"))
    off = _off_step(inside, trading, interval)
    if off:
        findings.append(_of(item, "off-step", off, f"step {interval_name(interval)}"))
    if between:
        findings.append(_of(item, "outside-hours", between, "between two sessions"))
    if len(missing):
        total = len(missing) + len(inside)
        kind = "short-day" if len(missing) >= SHORT_SHARE * total else "missing-minutes"
        findings.append(_of(item, kind, len(missing), f"absent: {gaps}"))
    return findings


def _off_step(inside: NDArray[np.int64], trading: TradingDay, interval: int) -> int:
    """How many bars do not start on a step from their window's open."""
    parts = [
        (inside[(inside >= opens) & (inside < closes)] - opens) % interval
        for opens, closes in trading.windows
    ]
    return int(np.count_nonzero(np.concatenate(parts)))


def _runs(missing: NDArray[np.int64], step: int, limit: int = 6) -> str:
    """Write gaps as 10:08 to 11:39, 14:02."""
    if not len(missing):
        return ""
    parts = np.split(missing, np.flatnonzero(np.diff(missing) != step) + 1)
    texts = []
    for part in parts[:limit]:
        first, last = (ist_text(int(part[at]))[11:16] for at in (0, -1))
        texts.append(first if len(part) == 1 else f"{first} to {last}")
    more = f" and {len(parts) - limit} more gaps" if len(parts) > limit else ""
    return ", ".join(texts) + more


def whole_rupees(starts: NDArray[np.int64], closes: NDArray[Any]) -> list[Finding]:
    """Find months whose closes are whole rupees far more often than chance would make them.

    Args:
        starts: UTC ns; `closes`: paise.

    Shape:
        both are [n].
    """
    local = (starts + IST_OFFSET_NS).astype("datetime64[ns]").astype("datetime64[M]")
    whole = closes.astype(np.int64) % 100 == 0
    findings = []
    for month in np.unique(local):
        mine = local == month
        count, hits = int(np.count_nonzero(mine)), int(np.count_nonzero(whole & mine))
        if count >= WHOLE_BARS_MIN and hits >= WHOLE_SHARE * count:
            first, last = _span(starts[mine])
            share = f"{100 * hits / count:.0f} % of {count:,} closes"
            findings.append(Finding("whole-rupees", first, last, hits, share))
    return findings
