"""Options on one trading day: which expiries there are, and the native record of each.

The front-month future's table is `sessions.session_table`; an option run asks day by day and expiry
by expiry, because which contracts it trades follows from what the market did.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import SESSION_DTYPE
from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import charges, expiries, instruments
from dhanfast.market.calendar import Calendar, TradingDay
from dhanfast.market.optiontime import expiry_ns
from dhanfast.market.sessions import FLAG_SPECIAL, ymd
from dhanfast.market.tables import read

EXPIRIES: Final = ("nearest", "next", "monthly")
LARGE: Final = 10**9  # paise: a level of the upper tick band
DELIVERY_DAYS: Final = 4  # the last trading days of a stock's contract: margin of delivery is due
AHEAD: Final = timedelta(days=70)  # two monthlies lie in it, whatever the holidays


def is_index(underlying: str) -> bool:
    """Whether options of a name are those of an index: what no table has is taken for a stock."""
    return underlying in _indexes()


def option_segment(underlying: str, lot: int = 0) -> tuple[str, str]:
    """The calendar's and the charges' segment of an underlying's options.

    Args:
        underlying: an index; or, with `lot`, a stock of NSE.
        lot: units of a stock's contract, which no table has; 0: an index.

    Raises:
        UsageError: not an index, or an index with a lot.
    """
    if lot:
        if underlying in _indexes():
            raise UsageError(f"lot: {underlying} is an index, whose lots are known: leave it out")
        return "NSE_FNO", "OPT_STK"
    if underlying not in _indexes():
        raise UsageError(
            f"underlying {underlying!r} is not known. Known: {', '.join(sorted(_indexes()))}; "
            "a stock needs its lot in units, as lot = 500 in the legs file"
        )
    bse = _indexes()[underlying] == "BSE"
    return ("BSE_FNO", "BSE_OPT_IDX") if bse else ("NSE_FNO", "OPT_IDX")


def option_expiries(underlying: str, on: date, lot: int = 0) -> dict[str, date]:
    """The expiries that are traded on a date, by the names of `EXPIRIES`.

    `nearest` ends on that date or later; `next` is the one after; `monthly` the first monthly. A
    stock's options are delivered: the contract that ends on the date itself is none of them.

    Args:
        lot: of a stock, see `option_segment`.

    Raises:
        UsageError: not an index.
        OutOfCalendar: a date outside the rules.
    """
    option_segment(underlying, lot)
    last = max(on, min(on + AHEAD, expiries.validity()[1]))
    rule = expiries.STOCK if lot else underlying
    table = expiries.expiry_table(rule, "M" if lot else "ALL", on, last)
    if lot:
        table = [one for one in table if one.date > on]
    monthlies = [one.date for one in table if one.cycle == "M"]
    if len(table) < 2 or not monthlies:
        raise OutOfCalendar(f"{underlying}: no two expiries are known from {on} to {last}")
    return {"nearest": table[0].date, "next": table[1].date, "monthly": monthlies[0]}


def days_to_expiry(on: date, expiry: date) -> int:
    """Trading days from a date to an expiry: 0 on the day itself.

    Raises:
        UsageError: the expiry is over. OutOfCalendar: outside the calendar.
    """
    if expiry < on:
        raise UsageError(f"expiry {expiry} lies before {on}")
    between = Calendar.load().days(on, expiry)
    return sum(1 for day in between if day.date > on and day.windows and not day.is_special)


def option_sessions(
    underlying: str,
    day: TradingDay,
    dates: list[date],
    broker: str = "dhan",
    *,
    lot: int = 0,
    level: int = 0,
) -> NDArray[Any]:
    """What the native engine must know of each expiry's options on one day.

    Args:
        underlying: an index, or a stock with its lot.
        day: of the calendar, with hours.
        dates: expiries, from that day on.
        broker: whose brokerage.
        lot: of a stock, see `option_segment`.
        level: of a stock, paise: the tick of its options depends on it; 0 = not known, the larger.

    Returns:
        SESSION_DTYPE: hours, lot of the contract, tick, freeze (0 = not known), charges of options.
        No square-off and no margin rate: a legs run keeps its own hours and estimates margins.

    Shape:
        (len(dates),)

    Raises:
        UsageError: not an index; an expiry that does not exist.
        OutOfCalendar: a rule is not known on that date.
    """
    hours, segment = option_segment(underlying, lot)
    table = _sessions(day, dates, hours, segment, broker)
    for row, expiry in zip(table, dates, strict=True):
        cycle = expiries.cycle_of(expiries.STOCK if lot else underlying, expiry)
        if lot:
            row["lot"] = lot
            row["tick"] = instruments.tick("OPT_STK", day.date, level=level or LARGE)
        else:
            row["lot"] = instruments.lot(underlying, expiry, cycle, day.date)
            row["tick"] = instruments.tick("OPT_IDX", day.date, underlying=underlying)
            row["freeze"] = _freeze(underlying, day.date)
    return table


def stock_sessions(
    day: TradingDay, dates: Sequence[date], terms: Sequence[tuple[int, int, int]],
    broker: str = "dhan",
) -> NDArray[Any]:  # fmt: skip
    """As `option_sessions`, of a stock whose contracts somebody has listed.

    Args:
        day, dates, broker: as for `option_sessions`.
        terms: lot, tick and freeze quantity of each date's contracts; freeze 0 = not known.

    Units:
        lot and freeze in units, tick in paise.

    Shape:
        SESSION_DTYPE, (len(dates),)

    Raises:
        OutOfCalendar: charges are not known on the day, or hours on an expiry.
    """
    table = _sessions(day, dates, *option_segment(expiries.STOCK, 1), broker)
    table["lot"], table["tick"], table["freeze"] = np.array(terms, np.int64).reshape(-1, 3).T
    return table


def _sessions(
    day: TradingDay, dates: Sequence[date], hours: str, segment: str, broker: str
) -> NDArray[Any]:
    """Hours, expiry and charges of each expiry's options; without lot, tick and freeze.

    Args:
        hours, segment: as `option_segment` gives them.
    """
    table = np.zeros(len(dates), SESSION_DTYPE)
    windows = day.windows
    second = windows[1] if len(windows) > 1 else (0, 0)
    for row, expiry in zip(table, dates, strict=True):
        row["open_ns"], row["close_ns"] = windows[0]
        row["open2_ns"], row["close2_ns"] = second
        row["entry_from_ns"], row["entry_until_ns"] = windows[0][0], windows[-1][1]
        row["expiry_ns"] = expiry_ns(expiry, hours)
        row["contract"], row["date"] = ymd(expiry), ymd(day.date)
        row["flags"] = FLAG_SPECIAL if day.is_special else 0
        row["charges"] = charges.rates(segment, day.date, broker).values()
    return table


def exercise_stt(underlying: str, on: date, lot: int = 0) -> tuple[int, int]:
    """STT on exercise: its rate in 1e-9, and 1 when it is of the whole settlement value.

    Args:
        lot: of a stock, see `option_segment`.

    Raises:
        UsageError: not an index. OutOfCalendar: not known on that date.
    """
    rate, base = charges.exercise_rate(option_segment(underlying, lot)[1], on)
    return rate, int(base == "settlement")


def option_notes(underlying: str, days: list[date], lot: int = 0) -> tuple[str, ...]:
    """What a reader must know of the tables behind these days, in a fixed order.

    Args:
        lot: of a stock, see `option_segment`.

    Raises:
        UsageError: not an index. OutOfCalendar: a rule is not known on a date.
    """
    segment = option_segment(underlying, lot)[1]
    notes: list[str] = []
    if lot:
        notes.append(
            f"a lot of {underlying} is {lot:,} units on every day, as was said; its freeze "
            "quantity is not known and not enforced; the tick is that of the day's first level"
        )
        near = sum(
            days_to_expiry(on, option_expiries(underlying, on, lot)["nearest"]) <= DELIVERY_DAYS
            for on in days
        )
        if near:
            notes.append(
                f"on {near} of {len(days)} days the nearest contract of {underlying} was at most "
                f"{DELIVERY_DAYS} trading days from its delivery: brokers ask more margin then, "
                "which the estimate does not have, or take no new positions"
            )
    for on in days:
        notes += charges.rates(segment, on).notes
        if not lot and not _freeze(underlying, on):
            notes.append(
                f"freeze quantity of {underlying} is not known before the published points and is "
                "not enforced there"
            )
    return tuple(dict.fromkeys(notes))


@cache
def _indexes() -> dict[str, str]:
    return {row["underlying"]: row["exchange"] for row in read("underlyings")}


@cache
def _freeze(underlying: str, on: date) -> int:
    try:
        return instruments.freeze(underlying, on)
    except OutOfCalendar:
        return 0
