"""How long an option has to live: the instant it ends, and years until then.

Index and stock options cease at the close of trading on their expiry date, which the calendar knows
by date: 15:30 until 2026-07-31, 15:40 since 2026-08-03, 18:45 or so on a muhurat evening.
"""

from datetime import date
from functools import cache
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market.calendar import NS_PER_S, Calendar, exchange_date
from dhanfast.market.tables import read

YEAR_NS: Final = 365 * 86_400 * NS_PER_S  # ACT/365 fixed
TRADING_DAYS: Final = 252


def segment_of(underlying: str) -> str:
    """The segment an underlying's options are listed in: NSE_FNO, BSE_FNO; stocks NSE_FNO."""
    return _segments().get(underlying, "NSE_FNO")


@cache
def _segments() -> dict[str, str]:
    return {row["underlying"]: row["segment"] for row in read("underlyings")}


def ends_on(expiry: date) -> date:
    """The date that a contract of an expiry ends on, holidays being what they became.

    A holiday that is declared, or moved, after a contract was listed brings its expiry forward to
    the trading day before; data recorded until then names the old date, as that of June 2023 the
    29th. Dates that the calendar does not know are their own.

    Source:
        NSE, contract specification: "if the expiry day is a trading holiday, the previous trading
        day".
    """
    calendar = Calendar.load()
    try:
        if calendar.holiday(expiry) is None:
            return expiry
        return calendar.previous_trading_day(expiry, ordinary=True)
    except OutOfCalendar:
        return expiry


def expiry_ns(expiry: date, segment: str = "NSE_FNO") -> int:
    """When options of an expiry date end: the close of that day's trading.

    Args:
        expiry: exchange date.
        segment: NSE_FNO or BSE_FNO.

    Units:
        nanoseconds UTC.

    Raises:
        OutOfCalendar: outside the calendar, not a trading day, or hours never published.
    """
    day = Calendar.load().day(expiry, segment)
    if day is None:
        raise OutOfCalendar(f"expiry {expiry} is not a trading day; see `expiries`")
    if not day.windows:
        raise OutOfCalendar(f"expiry {expiry} has no published hours: {day.note}")
    return day.close_ns


@overload
def years_to_expiry(now_ns: int, expiry_ns: int) -> float: ...
@overload
def years_to_expiry(
    now_ns: int | NDArray[np.int64], expiry_ns: int | NDArray[np.int64]
) -> float | NDArray[np.float64]: ...
def years_to_expiry(
    now_ns: int | NDArray[np.int64], expiry_ns: int | NDArray[np.int64]
) -> float | NDArray[np.float64]:
    """Years from now to an expiry, by the day count ACT/365 fixed; 0 at and after it.

    Every nanosecond counts, nights and holidays like any other time: a day is 1/365.

    Args:
        now_ns, expiry_ns: nanoseconds UTC, numbers or arrays that broadcast.

    Units:
        years.
    """
    left = np.maximum(np.subtract(expiry_ns, now_ns, dtype=np.int64), 0) / YEAR_NS
    return left if np.ndim(left) else float(left)


def trading_years(
    now_ns: int, expiry_ns: int, segment: str = "NSE_FNO", night: float = 0.0
) -> float:
    """Years from now to an expiry by the trading clock: only the minutes of sessions count.

        (sum over days of the share of the day's minutes that is left) / 252
        + nights x `night` / 252

    So a full day is 1/252 on both sides of a change of hours. Muhurat evenings and drills count
    nothing.

    Args:
        now_ns, expiry_ns: nanoseconds UTC.
        segment: NSE_FNO or BSE_FNO.
        night: what a night between two sessions weighs, as a share of a trading day, 0 to 1.

    Units:
        years.

    Raises:
        UsageError: night outside 0..1.
        OutOfCalendar: a date outside the calendar.
    """
    if not 0.0 <= night <= 1.0:
        raise UsageError(f"night is {night!r}: give a share of a trading day from 0 to 1")
    if expiry_ns <= now_ns:
        return 0.0
    first, last = exchange_date(now_ns), exchange_date(expiry_ns)
    days = 0.0
    nights = 0
    for day in Calendar.load().days(first, last, segment):
        if not day.windows or day.is_special:
            continue
        full = sum(end - start for start, end in day.windows)
        left = sum(max(min(end, expiry_ns) - max(start, now_ns), 0) for start, end in day.windows)
        days += left / full
        nights += day.open_ns > now_ns
    return (days + nights * night) / TRADING_DAYS
