"""The native engine's view of the market: one record a trading day for what is traded.

`session_table` joins calendar, contract, lot, tick, freeze, charges and margin of each date into an
array of SESSION_DTYPE, so that the engine looks nothing up while it runs.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import CHARGE_RATES_DTYPE, SESSION_DTYPE
from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import charges, expiries, instruments, margin
from dhanfast.market.calendar import NS_PER_S, Calendar, TradingDay, Window, midnight_ns
from dhanfast.market.tables import in_force, read, require_name

KINDS = ("FUT", "IDX")
FLAG_SPECIAL = 1  # muhurat or drill: no entries
# A square-off at the close could not fill before the next day, so it comes this much earlier.
SQUARE_OFF_LEAD_NS = 60 * NS_PER_S
IDX_TICK = 1  # index values are published to the paisa
Bands = Mapping[date, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Clock:
    """Times of day of a run, in nanoseconds after midnight IST; None = not set."""

    entry_from: int | None
    entry_until: int | None
    square_off: int | None


def session_table(
    underlying: str,
    kind: str,
    first: date,
    last: date,
    *,
    entry_from: time | None = None,
    entry_until: time | None = None,
    square_off: time | None = None,
    band: Bands | None = None,
    roll_days: int = 0,
    broker: str = "dhan",
    levels: Mapping[date, int] | None = None,
) -> NDArray[Any]:
    """One row a trading day from `first` to `last`, in order.

    Args:
        underlying: BANKNIFTY, NIFTY, ...
        kind: FUT for its front-month future; IDX for the index itself, which has windows but no
            contract, lot 1, no charges and no margin.
        first: exchange date.
        last: exchange date.
        entry_from: entries from this time of day, IST; None = from the open.
        entry_until: no entries at or after it; None = until the close or the square-off.
        square_off: positions are closed at or after it; None = carried over night. A time inside
            a halt moves to the reopening; one at or after the close to a minute before it.
        band: operating range (low, high) in paise by date; days that are absent have none.
        roll_days: leave a contract this many trading days before its expiry day.
        broker: whose brokerage.
        levels: month-end closes of the index in paise by date, for the tick and freeze bands; the
            last one of the month before is used. Without it, published points are used.

    Returns:
        Records of SESSION_DTYPE. `freeze` is 0 (no limit known) on dates before the
        freeze table; `basis` is 0 and nothing reads it yet: a future is modelled at the index
        level. Days whose hours were never published have no row: see `session_notes`.

    Shape:
        (trading days,)

    Raises:
        UsageError: unknown underlying, kind or broker; times in the wrong order or with a zone.
        OutOfCalendar: a date or a rule outside the tables.
    """
    require_name(kind, KINDS, "kind")
    require_name(underlying, _underlyings(), "underlying")
    clock = _clock(entry_from, entry_until, square_off)
    segment = _segment(underlying, kind)
    if first > last:
        raise UsageError(f"first {first} is after last {last}; swap them")
    days = [day for day in Calendar.load().days(first, last, segment) if day.windows]
    table = _with_times(days, clock)
    _fill_bands(table, days, band or {})
    if kind == "IDX":
        table["lot"], table["tick"] = 1, IDX_TICK
        return table
    _fill_contract(table, days, underlying, roll_days, levels or {})
    _fill_rates(table, days, underlying, broker)
    return table


def session_notes(underlying: str, kind: str, first: date, last: date) -> tuple[str, ...]:
    """What a reader of a run over these dates must know about its tables, in a fixed order.

    Names days without published hours, rates of confidence C or D, how far the margin may be off,
    and dates on which the freeze quantity is not known.

    Raises:
        UsageError: unknown underlying or kind.
        OutOfCalendar: a date or a rule outside the tables.
    """
    require_name(kind, KINDS, "kind")
    require_name(underlying, _underlyings(), "underlying")
    days = Calendar.load().days(first, last, _segment(underlying, kind))
    notes = [f"{day.date} has no session: {day.note}" for day in days if not day.windows]
    notes += [
        f"{day.date} ({day.kind}): hours have confidence {day.confidence}: {day.note}"
        for day in days
        if day.windows and day.confidence in "CD"
    ]
    if kind == "FUT":
        segment = _charge_segment(underlying)
        for day in days:
            notes += charges.rates(segment, day.date).notes
            notes += _freeze_notes(underlying, day.date)
        notes += _margin_notes(underlying, days)
    return tuple(dict.fromkeys(notes))


def operating_range(
    underlying: str, on: date, base_price: int, *, level: int | None = None
) -> tuple[int, int]:
    """The prices between which an index future may trade on a date.

    Args:
        underlying: an index; its options have no fixed daily band.
        on: exchange date.
        base_price: previous close of the contract, paise.
        level: month-end close of the index, where the tick depends on it; see `instruments.tick`.

    Returns:
        Lowest and highest allowed price, paise, on the tick and inside the range.

    Raises:
        UsageError: unknown underlying; base_price not positive.
        OutOfCalendar: not a trading day, or outside the tables.

    Source:
        tables/bands.csv.
    """
    require_name(underlying, _underlyings(), "underlying")
    if base_price <= 0:
        raise UsageError(f"base_price must be positive paise, got {base_price}")
    day = Calendar.load().day(on)
    if day is None:
        raise OutOfCalendar(f"{on} is not a trading day; take the next trading day")
    what = "drill" if day.kind == "drill" else "normal"
    rows = [row for row in read("bands") if row["day"] == what]
    rate_e4 = int(in_force(rows, on, f"operating range of a {what} day", "bands")["rate_e4"])
    step = instruments.tick("FUT_IDX", on, underlying=underlying, level=level) * 10_000
    low = -(base_price * (rate_e4 - 10_000) // step) * step // 10_000
    high = base_price * (10_000 + rate_e4) // step * step // 10_000
    return low, high


def ymd(day: date) -> int:
    """A date as YYYYMMDD, the form of the native records."""
    return day.year * 10_000 + day.month * 100 + day.day


# ---- columns -----------------------------------------------------------------------------------

_TIME_FIELDS = (
    "open_ns",
    "close_ns",
    "open2_ns",
    "close2_ns",
    "entry_from_ns",
    "entry_until_ns",
    "square_off_ns",
)


def _with_times(days: list[TradingDay], clock: _Clock) -> NDArray[Any]:
    """A new table with date, flags and times; everything else is zero."""
    table = np.zeros(len(days), dtype=SESSION_DTYPE)
    table["date"] = [ymd(day.date) for day in days]
    table["flags"] = [FLAG_SPECIAL if day.is_special else 0 for day in days]
    times = np.array([_times(day, clock) for day in days], dtype=np.int64).reshape(-1, 7)
    for column, name in enumerate(_TIME_FIELDS):
        table[name] = times[:, column]
    return table


def _times(day: TradingDay, clock: _Clock) -> tuple[int, ...]:
    """The seven times of one day, UTC ns, clipped to its windows."""
    windows = day.windows
    second = windows[1] if len(windows) > 1 else (0, 0)
    base = midnight_ns(day.date)
    square_off = 0
    if clock.square_off is not None:
        latest = windows[-1][1] - SQUARE_OFF_LEAD_NS
        square_off = min(_inside(base + clock.square_off, windows), latest)
    opens, closes = windows[0][0], square_off or windows[-1][1]
    entry_from, entry_until = opens, closes
    if clock.entry_from is not None:
        entry_from = _inside(base + clock.entry_from, windows)
    if clock.entry_until is not None:
        entry_until = min(base + clock.entry_until, closes)
    if day.is_special or entry_from >= entry_until:
        entry_from = entry_until = opens
    return (*windows[0], *second, entry_from, entry_until, square_off)


def _inside(instant: int, windows: tuple[Window, ...]) -> int:
    """The first instant at or after one that lies in a window; the last close when none does."""
    for opens, closes in windows:
        if instant < closes:
            return max(instant, opens)
    return windows[-1][1]


def _fill_bands(table: NDArray[Any], days: list[TradingDay], band: Bands) -> None:
    for index, day in enumerate(days):
        low, high = band.get(day.date, (0, 0))
        if low < 0 or high < low:
            raise UsageError(
                f"band of {day.date} must be 0 <= low <= high in paise, got {low}..{high}"
            )
        table[index]["band_low"], table[index]["band_high"] = low, high


def _fill_contract(
    table: NDArray[Any],
    days: list[TradingDay],
    underlying: str,
    roll_days: int,
    levels: Mapping[date, int],
) -> None:
    """Contract, expiry, lot, tick and freeze; one look-up a contract and month, not a day."""
    rows = []
    known: dict[tuple[Any, ...], tuple[int, ...]] = {}
    expiry = date.min
    for day in days:
        on = day.date
        if on > expiry or roll_days:
            expiry = expiries.front_month(underlying, on, roll_days)
        key = (expiry, on.year, on.month, _table_state(on))
        if key not in known:
            level = _level(levels, on)
            known[key] = (
                ymd(expiry),
                _expiry_ns(underlying, expiry),
                instruments.lot(underlying, expiry, "M", on),
                instruments.tick("FUT_IDX", on, underlying=underlying, level=level),
                _freeze(underlying, on, level),
            )
        rows.append(known[key])
    columns = np.array(rows, dtype=np.int64).reshape(-1, 5)
    for column, name in enumerate(("contract", "expiry_ns", "lot", "tick", "freeze")):
        table[name] = columns[:, column]


def _fill_rates(table: NDArray[Any], days: list[TradingDay], underlying: str, broker: str) -> None:
    """Charges and margin; rates are looked up once between two changes."""
    segment = _charge_segment(underlying)
    changes = charges.change_dates(segment, broker)
    rates: dict[int, tuple[int, ...]] = {}
    rows = []
    for day in days:
        span = bisect_right(changes, day.date)
        if span not in rates:
            rates[span] = charges.rates(segment, day.date, broker).values()
        rows.append(rates[span])
    table["charges"] = np.array(rows, dtype=CHARGE_RATES_DTYPE)
    table["margin_rate_e9"] = [margin.future_margin_rate(underlying, day.date) for day in days]


@cache
def _change_days() -> list[date]:
    """Dates inside a month on which a tick, freeze or lot rule may change."""
    starts = {
        row["from"] for name in ("ticks", "tick_points", "freeze_slabs") for row in read(name)
    }
    starts |= {row["effective"] for row in read("freeze_points")}
    starts |= {row["trade_from"] for row in read("lots")}
    return sorted(date.fromisoformat(text) for text in starts)


def _table_state(on: date) -> int:
    return bisect_right(_change_days(), on)


def _level(levels: Mapping[date, int], on: date) -> int | None:
    """The last given close of the month before, or None."""
    before = (on.year, on.month - 1) if on.month > 1 else (on.year - 1, 12)
    found = [day for day in levels if (day.year, day.month) == before]
    return levels[max(found)] if found else None


def _freeze(underlying: str, on: date, level: int | None) -> int:
    try:
        return instruments.freeze(underlying, on, level=level)
    except OutOfCalendar:
        return 0  # not known: no limit is enforced, and `session_notes` says so


@cache
def _expiry_ns(underlying: str, expiry: date) -> int:
    day = Calendar.load().day(expiry, _segment(underlying, "FUT"))
    if day is None:
        raise OutOfCalendar(f"{underlying} expires on {expiry}, which is not a trading day")
    return day.close_ns


# ---- names and notes ---------------------------------------------------------------------------


@cache
def _underlyings() -> dict[str, str]:
    return {row["underlying"]: row["exchange"] for row in read("underlyings")}


def _segment(underlying: str, kind: str) -> str:
    return f"{_underlyings()[underlying]}_{'FNO' if kind == 'FUT' else 'INDEX'}"


def _charge_segment(underlying: str) -> str:
    return "BSE_FUT_IDX" if _underlyings()[underlying] == "BSE" else "FUT_IDX"


def _margin_notes(underlying: str, days: list[TradingDay]) -> list[str]:
    found = {margin.future_margin(underlying, day.date) for day in days}
    if not found:
        return []
    lowest = min(rate.rate_e9 for rate in found) / 1e7
    highest = max(rate.rate_e9 for rate in found) / 1e7
    under = min(rate.error_low for rate in found)
    over = max(rate.error_high for rate in found)
    span = f"{lowest:.2f} %" if lowest == highest else f"{lowest:.2f} % to {highest:.2f} %"
    return [
        f"margin of {underlying} futures is approximated at {span} of value; "
        f"the true one is expected {under:+d} % to {over:+d} % of that"
    ]


@cache
def _freeze_notes(underlying: str, on: date) -> tuple[str, ...]:
    if _freeze(underlying, on, None):
        return ()
    return (
        f"freeze quantity of {underlying} is not known before the published points and is not "
        f"enforced there",
    )


def _clock(entry_from: time | None, entry_until: time | None, square_off: time | None) -> _Clock:
    given = {"entry_from": entry_from, "entry_until": entry_until, "square_off": square_off}
    for name, value in given.items():
        if value is not None and (not isinstance(value, time) or value.tzinfo is not None):
            raise UsageError(f"{name} must be a datetime.time in IST without a zone, got {value!r}")
    order = [(name, value) for name, value in given.items() if value is not None]
    for (before, early), (after, late) in pairwise(order):
        if early > late or (early == late and after == "entry_until"):
            raise UsageError(f"{before} {early} must be before {after} {late}")
    return _Clock(*(None if value is None else _after_midnight(value) for value in given.values()))


def _after_midnight(value: time) -> int:
    seconds = (value.hour * 60 + value.minute) * 60 + value.second
    return seconds * NS_PER_S + value.microsecond * 1000
