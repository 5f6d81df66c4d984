"""The seeded market: bars and ticks of an index and of its front-month future, for any dates.

GENERATED, NOT RECORDED: good for demonstrations, load tests and tests of the machinery, never
evidence that a strategy earns. Whoever shows it must say so.

One seed is one market: the days of a symbol are drawn in order from the first day of the calendar,
each from its own stream of random words, so a day is the same whichever range asks for it, its open
and close the same at every interval, and index and future belong together. The same seed gives the
same bytes on any machine (see `_core/walk.pyx` for why).

    night     gap with fat tails, drawn a little towards a slow trend of the level
    day       log volatility of two speeds (weeks and days), open-to-close return
    minute    U-shape over the session, clustering, jumps; the path ends on the day's close
    future    index * (1 + carry to expiry + mispricing that dies away), volumes in whole lots

What the numbers are fitted to, and how well: docs/reference/generator.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.walk import DayPath, plan_days
from dhanfast.errors import UsageError
from dhanfast.market import instruments
from dhanfast.market.calendar import NS_PER_S, Calendar, TradingDay
from dhanfast.market.expiries import STOCK, front_month
from dhanfast.market.tables import require_date, require_name

MINUTE_NS = 60 * NS_PER_S
INDEX_TICK = 5  # paise: indices are disseminated to the twentieth of a rupee
CARRY_YEARLY = 0.065
BASIS = 0.00035  # deviation of the future around its carry
BASIS_KEEP = 0.97  # of the mispricing after a minute
PULL = 0.01  # share of the distance to the trend made good each night
SEED_MAX = 2**64 - 1
INSTRUMENTS = ("IDX", "FUT")
UNITS = {"s": NS_PER_S, "m": MINUTE_NS, "h": 60 * MINUTE_NS}
# Minutes since the open, and the deviation of a one-minute return there in basis points; the
# second table counts minutes before the close. Between them lies the quiet of noon.
OPENING = ((1, 28.0), (2, 14.0), (5, 9.7), (15, 8.55), (30, 6.97), (45, 6.03), (75, 5.58),
           (105, 4.85))  # fmt: skip
NOON = 4.55
CLOSING = ((5, 4.02), (15, 4.9), (30, 6.27), (90, 5.64), (120, 5.4), (180, 4.93))
# The same of volume, as multiples of the mean.
VOLUME_OPENING = ((1, 6.9), (2, 3.4), (5, 2.6), (15, 2.2), (30, 1.66), (45, 1.23), (75, 0.98),
                  (105, 0.82))  # fmt: skip
VOLUME_NOON = 0.70
VOLUME_CLOSING = ((5, 1.46), (15, 1.97), (30, 1.59), (90, 0.96), (120, 0.89), (180, 0.66))


@dataclass(frozen=True, slots=True)
class Market:
    """What distinguishes the generated market of one symbol.

    Units:
        levels in index points or rupees, sigma as a fraction (median deviation of a day), units a
        day; lot in units, 0 = an index, whose lots are in the dated tables.
    """

    level_2009: float  # the trend on 2009-01-01
    level_2027: float  # and on 2027-01-01, a straight line between
    sigma: float
    units: float
    lot: int = 0


MARKETS = {
    "BANKNIFTY": Market(5_000, 60_000, 0.00857, 3e6),
    "NIFTY": Market(3_000, 26_500, 0.00583, 1e7),
    "FINNIFTY": Market(4_500, 28_000, 0.0076, 2e5),
    "MIDCPNIFTY": Market(1_500, 14_000, 0.0072, 4e5),
    "NIFTYNXT50": Market(5_500, 70_000, 0.0072, 5e4),
    "SENSEX": Market(9_700, 86_000, 0.0058, 2e5),
    "BANKEX": Market(5_600, 68_000, 0.0085, 5e4),
}
# Stocks in the place of an index. Names are real; levels, activity and lots are invented: no table
# has the lots of stocks by date, and a generated day only needs some.
STOCKS = {
    "RELIANCE": Market(240, 1_450, 0.0118, 6e6, 500),
    "HDFCBANK": Market(100, 1_000, 0.0104, 9e6, 550),
    "M&M": Market(140, 3_300, 0.0136, 1.2e6, 200),
    "BAJAJ-AUTO": Market(600, 9_000, 0.0128, 2e5, 75),
}


def market_of(symbol: str) -> Market:
    """The generated market of an index or a stock.

    Raises:
        UsageError: there is none of that name.
    """
    require_name(symbol, [*MARKETS, *STOCKS], "symbol")
    return MARKETS[symbol] if symbol in MARKETS else STOCKS[symbol]


@cache
def _shape(minutes: int, opening: Any, noon: float, closing: Any) -> NDArray[np.float64]:
    """Height of each minute of a session of any length; the opening counts where both would."""
    since = np.arange(minutes)
    height: NDArray[np.float64] = np.full(minutes, noon)
    for until, value in reversed(opening):
        height[since < until] = value
    late: NDArray[np.float64] = np.full(minutes, noon)
    for until, value in reversed(closing):
        late[since >= minutes - until] = value
    early = since < min(opening[-1][0], minutes - closing[0][0])
    late[early] = height[early]
    return late


@cache
def variance_shares(minutes: int) -> NDArray[np.float64]:
    """Share of a day's variance that falls in each minute of a session.

    Shape:
        float64[minutes], summing to 1.
    """
    square = _shape(minutes, OPENING, NOON, CLOSING) ** 2
    shares: NDArray[np.float64] = square / square.sum()
    shares.flags.writeable = False
    return shares


@cache
def volume_shares(minutes: int) -> NDArray[np.float64]:
    """Share of a day's volume that falls in each minute of a session.

    Shape:
        float64[minutes], summing to 1.
    """
    height = _shape(minutes, VOLUME_OPENING, VOLUME_NOON, VOLUME_CLOSING)
    shares: NDArray[np.float64] = height / height.sum()
    shares.flags.writeable = False
    return shares


def interval_ns(interval: str) -> int:
    """Length of an interval: "1s" to "30s" where 60 divides, "1m" to "6h" in whole minutes.

    Raises:
        UsageError: no such interval.
    """
    number, unit = interval[:-1], interval[-1:]
    if not (number.isascii() and number.isdecimal()) or unit not in UNITS or int(number) == 0:
        raise UsageError(f"interval {interval!r} is not a duration; write 1s, 15s, 1m, 5m or 1h")
    length = int(number) * UNITS[unit]
    whole = length % MINUTE_NS == 0 if length > MINUTE_NS else MINUTE_NS % length == 0
    if not whole or length > 6 * 60 * MINUTE_NS:
        raise UsageError(
            f"interval {interval!r} does not divide a minute or is not whole minutes up to 6h; "
            "write 1s, 5s, 15s, 1m, 5m, 15m or 1h"
        )
    return length


def _trend(market: Market, ordinals: NDArray[np.int64]) -> NDArray[np.float64]:
    start, end = date(2009, 1, 1).toordinal(), date(2027, 1, 1).toordinal()
    slope = (market.level_2027 - market.level_2009) / (end - start)
    trend = 100.0 * (market.level_2009 + slope * (ordinals - start))
    return trend.astype(np.float64)


@cache
def _days_until(last: date) -> tuple[TradingDay, ...]:
    """Trading days with known hours from the first of the calendar on, of the derivatives."""
    calendar = Calendar.load()
    return tuple(day for day in calendar.days(calendar.first, last) if day.windows)


def _seed_of(symbol: str, seed: int) -> int:
    """One stream a symbol: the seed and the letters, mixed as FNV-1a mixes bytes."""
    mixed = seed ^ 0xCBF29CE484222325
    for letter in symbol.encode("ascii"):
        mixed = ((mixed ^ letter) * 0x100000001B3) % 2**64
    return mixed


@dataclass(frozen=True, slots=True)
class _Request:
    """One checked call: what to draw, and on which days."""

    symbol: str
    seed: int
    is_future: bool
    parts: int
    days: tuple[TradingDay, ...]
    plans: NDArray[Any]
    levels: NDArray[np.int64]  # of the index at the end of the month before, paise: sets the tick

    def paths(self) -> Iterator[tuple[TradingDay, DayPath, int, int]]:
        """Each day with its path, price step and lot (0 for the index)."""
        for day, plan, level in zip(self.days, self.plans, self.levels.tolist(), strict=True):
            path = self.index_path(day, plan)
            if self.is_future:
                yield day, path, *self.turn(path, day, level)
            else:
                yield day, path, INDEX_TICK, 0

    def index_path(self, day: TradingDay, plan: Any) -> DayPath:
        """The path of the index over one day."""
        shares = variance_shares(_minutes_of(day))
        return DayPath(self.seed, day.date.toordinal(), shares, self.parts, plan)

    def turn(self, path: DayPath, day: TradingDay, level: int) -> tuple[int, int]:
        """Make the path its future's; the future's price step and lot."""
        stock = self.symbol in STOCKS
        expiry = front_month(STOCK if stock else self.symbol, day.date)
        market = market_of(self.symbol)
        lot = market.lot or instruments.lot(self.symbol, expiry, "M", day.date)
        step = instruments.tick("FUT_STK" if stock else "FUT_IDX", day.date, level=level)
        minutes = _minutes_of(day)
        units = market.units * minutes / 375.0
        carry = carry_to(expiry, day.date)
        path.become_future(carry, BASIS, BASIS_KEEP, volume_shares(minutes), units, lot)
        return step, lot


def _minutes_of(day: TradingDay) -> int:
    return sum(end - start for start, end in day.windows) // MINUTE_NS


def carry_to(expiry: date, day: date) -> float:
    """What a contract costs above the index on a day for the time to its expiry, a fraction."""
    return CARRY_YEARLY * (expiry - day).days / 365.0


@dataclass(frozen=True, slots=True)
class SecondPath:
    """Index and future of one generated day, second by second: bars and ticks lie on it.

    Units:
        index and future in paise before they meet the tick; sigma as a fraction a day.

    Shape:
        index and future: float64[seconds + 1], the level at the start of each second and at the
        end of the day.
    """

    day: TradingDay
    seed: int  # of the symbol's own streams
    index: NDArray[np.float64]
    future: NDArray[np.float64]
    expiry: date  # of the future
    tick: int  # of the future, paise
    lot: int  # of the future, units
    sigma: float  # deviation of the index's open-to-close return on this day
    level: int  # of the index at the end of the month before, paise: sets ticks of stocks


def second_path(symbol: str, day: date, *, seed: int) -> SecondPath:
    """The path that `generate_bars` and `generate_ticks` read at an interval of a second.

    Raises:
        UsageError: unknown symbol, a seed out of range, or no trading on that day.
        OutOfCalendar: a date outside the calendar; a future without a lot in the tables.
    """
    request = _request(symbol, day, day, seed, "FUT", 60)
    if not request.days:
        raise UsageError(f"day: no trading on {day}; choose a trading day")
    trading, plan = request.days[0], request.plans[0]
    path = request.index_path(trading, plan)
    index = path.levels()
    tick, lot = request.turn(path, trading, int(request.levels[0]))
    expiry = front_month(STOCK if symbol in STOCKS else symbol, day)
    sigma = float(plan["sigma"])
    level = int(request.levels[0])
    return SecondPath(trading, request.seed, index, path.levels(), expiry, tick, lot, sigma, level)


def _request(
    symbol: str, first: date, last: date, seed: int, instrument: str, parts: int
) -> _Request:
    market = market_of(symbol)
    require_name(instrument, list(INSTRUMENTS), "instrument")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= SEED_MAX:
        raise UsageError(f"seed is {seed!r}; give a whole number from 0 to 2**64 - 1")
    if require_date(first, "first") > require_date(last, "last"):
        raise UsageError(f"first is {first}, after last, {last}; swap them")
    Calendar.load().days(first, first)  # refuses dates outside the calendar
    days = _days_until(last)
    ordinals = np.array([day.date.toordinal() for day in days], np.int64)
    mixed = _seed_of(symbol, seed)
    plans = plan_days(mixed, ordinals, _trend(market, ordinals), market.sigma, PULL)
    levels = _month_levels(days, plans)
    cut = slice(int(np.searchsorted(ordinals, first.toordinal())), None)
    future = instrument == "FUT"
    return _Request(symbol, mixed, future, parts, days[cut], plans[cut], levels[cut])


def _month_levels(days: tuple[TradingDay, ...], plans: NDArray[Any]) -> NDArray[np.int64]:
    """Close of the index on the last trading day of the month before each day (paise)."""
    months = np.array([12 * day.date.year + day.date.month for day in days])
    turns = np.flatnonzero(np.diff(months, prepend=months[0] - 1))  # first day of each month
    closes = np.where(turns > 0, plans["close"][turns - 1], plans["open"][0])
    levels: NDArray[np.int64] = np.repeat(closes, np.diff(np.append(turns, len(days)))).astype(
        np.int64
    )
    return levels


def _merged(bars: NDArray[Any], size: int) -> NDArray[Any]:
    """Whole-minute bars merged `size` at a time; the last of a window may be shorter."""
    firsts = np.arange(0, len(bars), size)
    merged = bars[firsts].copy()
    merged["close"] = bars["close"][np.append(firsts[1:], len(bars)) - 1]
    merged["high"] = np.maximum.reduceat(bars["high"], firsts)
    merged["low"] = np.minimum.reduceat(bars["low"], firsts)
    merged["volume"] = np.add.reduceat(bars["volume"], firsts)
    return merged


def is_broadcast(symbol: str, day: TradingDay, times: NDArray[Any]) -> NDArray[np.bool_]:
    """Which instants lie in the hours of index or stock, which may end before its derivatives'."""
    segment = "BSE_INDEX" if symbol in ("SENSEX", "BANKEX") else "NSE_INDEX"
    segment = "NSE_EQ" if symbol in STOCKS else segment
    hours = Calendar.load().day(day.date, segment)
    inside = np.zeros(len(times), np.bool_)
    for start, end in hours.windows if hours else ():
        inside |= (times >= start) & (times < end)
    return inside


def _broadcast(bars: NDArray[Any], day: TradingDay, symbol: str) -> NDArray[Any]:
    stamp = "start_ns" if "start_ns" in (bars.dtype.names or ()) else "exch_ns"
    inside = is_broadcast(symbol, day, bars[stamp])
    return bars if inside.all() else bars[inside]


def generate_bars(
    symbol: str,
    first: date,
    last: date,
    *,
    seed: int,
    interval: str = "1m",
    instrument: str = "IDX",
) -> Iterator[NDArray[Any]]:
    """Draw the bars of a generated market, one array a trading day.

    Args:
        symbol: BANKNIFTY, NIFTY, ... (the keys of MARKETS and STOCKS).
        first: exchange date of the first day.
        last: exchange date of the last day, included.
        seed: which market, 0 to 2**64 - 1.
        interval: "1s" to "6h"; bars above a minute are merged from minutes, bars below one have a
            path of their own between the same open and close of the day.
        instrument: "IDX" for the index, "FUT" for its front-month future with volumes.

    Units:
        prices in paise on the tick; volume in units, whole lots, 0 for the index; oi is 0.

    Shape:
        BAR_DTYPE, stamped with the bar's start; memory does not grow with the range.

    Raises:
        UsageError: unknown symbol, instrument or interval; first after last; a seed out of range.
        OutOfCalendar: dates outside the calendar; a future without a lot in the tables.
    """
    length = interval_ns(interval)
    step = min(length, MINUTE_NS)
    request = _request(symbol, first, last, seed, instrument, MINUTE_NS // step)
    return _day_bars(request, step, length // step)


def _day_bars(request: _Request, step: int, size: int) -> Iterator[NDArray[Any]]:
    for day, path, tick, _ in request.paths():
        parts, at = [], 0
        for start, end in day.windows:
            count = (end - start) // step
            bars = path.bars(at, count, start, step, tick)
            at += count
            bars = bars if request.is_future else _broadcast(bars, day, request.symbol)
            if len(bars):
                parts.append(_merged(bars, size) if size > 1 else bars)
        if parts:
            yield parts[0] if len(parts) == 1 else np.concatenate(parts)


def generate_ticks(
    symbol: str,
    first: date,
    last: date,
    *,
    seed: int,
    interval: str = "1s",
    instrument: str = "IDX",
) -> Iterator[NDArray[Any]]:
    """Draw the ticks of a generated market, one array a trading day.

    Args:
        symbol: BANKNIFTY, NIFTY, ... (the keys of MARKETS and STOCKS).
        first: exchange date of the first day.
        last: exchange date of the last day, included.
        seed: which market; ticks and bars of one interval share their path.
        interval: one tick at a random instant of each, "1s" to "1m".
        instrument: "IDX" (no quotes, no volume) or "FUT" (best bid and ask, cumulative volume).

    Units:
        prices in paise on the tick; times UTC ns; recv_ns 8 to 25 ms after exch_ns.

    Shape:
        TICK_DTYPE in order of time; memory does not grow with the range.

    Raises:
        UsageError: unknown symbol, instrument or interval; first after last; a seed out of range.
        OutOfCalendar: dates outside the calendar; a future without a lot in the tables.
    """
    step = interval_ns(interval)
    if step > MINUTE_NS:
        raise UsageError(f"interval {interval!r} is too long for ticks; 1s to 1m")
    request = _request(symbol, first, last, seed, instrument, MINUTE_NS // step)
    return _day_ticks(request, step)


def _day_ticks(request: _Request, step: int) -> Iterator[NDArray[Any]]:
    for day, path, tick, lot in request.paths():
        parts: list[NDArray[Any]] = []
        at = traded = 0
        for start, end in day.windows:
            count = (end - start) // step
            ticks = path.ticks(at, count, start, step, tick, lot, traded)
            at, traded = at + count, int(ticks["volume"][-1])
            ticks = ticks if request.is_future else _broadcast(ticks, day, request.symbol)
            if len(ticks):
                parts.append(ticks)
        if parts:
            yield parts[0] if len(parts) == 1 else np.concatenate(parts)
