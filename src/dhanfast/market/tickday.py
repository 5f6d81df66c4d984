"""A seeded day of ticks: index, front-month future and an option chain, of any size.

GENERATED, NOT RECORDED, like everything of `generate.py`, on whose day paths it stands: index and
future follow the same seconds as their bars. Options are priced by Black-76 on the future, with a
smile by strike. How many records there are is free: activity is scaled, prices are not.

    for ticks, depth in tick_day("BANKNIFTY", date(2024, 3, 4), seed=1, ticks=20_000_000):
        ...

The same arguments give the same bytes on any machine and at any batch size. What the numbers are
fitted to, and how well: docs/reference/generator.md.
"""

import datetime
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.flow import TickFlow
from dhanfast._core.lanes import LANE_DTYPE, LANES_MAX, LaneKind
from dhanfast._core.premium import generated_premium, natural_log
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast._core.walk import second_shares
from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market import expiries, instruments
from dhanfast.market.calendar import Calendar
from dhanfast.market.generate import (
    INDEX_TICK,
    MINUTE_NS,
    STOCKS,
    SecondPath,
    carry_to,
    is_broadcast,
    market_of,
    second_path,
    volume_shares,
)
from dhanfast.market.tables import require_name

DEPTHS: Final = (0, 5, 20, 200)
UNDERLYING: Final = ("IDX", "EQ")
BATCH_MAX: Final = 2**24
# Between two strikes, between two round ones (paise), and how much more often those trade.
STRIKES: Final = {
    "BANKNIFTY": (10_000, 50_000, 2.6), "NIFTY": (5_000, 10_000, 1.5),
    "FINNIFTY": (5_000, 10_000, 1.5), "MIDCPNIFTY": (2_500, 10_000, 1.8),
    "NIFTYNXT50": (10_000, 50_000, 2.6), "SENSEX": (10_000, 50_000, 2.6),
    "BANKEX": (10_000, 50_000, 2.6),
    "RELIANCE": (1_000, 5_000, 1.8), "HDFCBANK": (500, 5_000, 1.8), "M&M": (2_500, 10_000, 1.8),
    "BAJAJ-AUTO": (5_000, 50_000, 1.8),
}  # fmt: skip
# Strikes of stocks are listed by a step near the money, and by two of them farther away.
NEAR_STRIKES: Final = 3
INDEX_RATE: Final = 4.0  # records a second when nobody asks for another number
CONTRACT_RATE: Final = 0.95
FUTURE_TRADES: Final = 0.118  # share of the future's records that are trades
# The same of options: a part that dies away within three or four strikes, and a wider one.
OPTION_TRADES: Final = (0.11, 0.02)
FUTURE_SPREAD: Final = 0.000035  # of the level: some ten ticks of 2025
OPENING_WIDTH: Final = (35, 26, 21, 21, 21)  # of quotes in the first minutes, sixteenths
TRADING_DAYS: Final = 252.0
SKEW: Final = -0.04  # of volatility by standardised moneyness, and its square
SMILE: Final = 0.048


class TickBatch(NamedTuple):
    """Some consecutive records of a day, and the depth messages that belong to them.

    Shape:
        ticks is TICK_DTYPE; depth is DEPTH_DTYPE, empty when there are no books.
    """

    ticks: NDArray[Any]
    depth: NDArray[Any]


@dataclass(frozen=True, slots=True)
class TickInstrument:
    """One instrument of a generated day.

    Units:
        tick and strike in paise, lot in units; an index has lot 0, a stock 1, both strike 0 and no
        expiry.
    """

    index: int  # the `instrument` of its records
    symbol: str  # as NSE writes it
    kind: str  # IDX, or EQ in its place; FUT, CE or PE
    tick: int
    lot: int
    expiry: datetime.date | None
    strike: int


@dataclass(frozen=True, slots=True, eq=False)
class TickDay:
    """A generated day: its instruments, and its records as often as one iterates.

    Shape:
        iteration gives `TickBatch`es: every record of the day once, recv_ns increasing over the
        whole day, up to `batch` at a time. Memory does not grow with `ticks`.
    """

    symbol: str
    day: datetime.date
    seed: int
    ticks: int  # records of the whole day
    instruments: tuple[TickInstrument, ...]
    depth_levels: int
    batch: int
    parts: dict[str, Any] = field(repr=False)  # what `TickFlow` is made of

    @property
    def label(self) -> str:
        """What a file or report says about where the records come from."""
        return f"{self.ticks} generated ticks of {self.symbol} on {self.day}, seed {self.seed}"

    def __iter__(self) -> Iterator[TickBatch]:
        flow = TickFlow(**self.parts)
        room = max(2 * self.batch, 4 * flow.rows_max) if self.depth_levels else 0
        none = np.empty(0, DEPTH_DTYPE)
        while True:
            ticks = np.empty(self.batch, TICK_DTYPE)
            depth = np.empty(room, DEPTH_DTYPE) if room else None
            used, rows = flow.fill(ticks, depth)
            if not used:
                return
            yield TickBatch(ticks[:used], none if depth is None else depth[:rows])


def tick_day(
    symbol: str,
    day: date,
    *,
    seed: int,
    ticks: int | None = None,
    strikes: int = 21,
    instruments: Sequence[str] | None = None,
    depth_levels: int = 0,
    batch: int = 65_536,
    repeat_last: bool = False,
) -> TickDay:
    """Plan a generated day; its records are drawn as one iterates.

    Args:
        symbol: BANKNIFTY, NIFTY, ... (the keys of `generate.MARKETS`), or of `generate.STOCKS`.
        day: a trading day.
        seed: which market, 0 to 2**64 - 1; the one of `generate_bars`.
        ticks: records wanted, at least one an instrument; the day is as busy as it takes. None
            for as many as a broker's feed delivers.
        strikes: strikes of the nearest expiry around the money at the open, each a call and a put.
        instruments: only these, by symbol or by kind (IDX, FUT, CE, PE); None for all.
        depth_levels: 5, 20 or 200 levels a side of a book for each contract; 0 for none. Ticks are
            the same with and without.
        batch: most records of an array.
        repeat_last: records without a trade repeat price and quantity of the last one, as a
            broker's full packets do, instead of 0. A simulated exchange would fill against them.

    Units:
        prices in paise on the tick, quantities in units of whole lots, times UTC ns.

    Raises:
        UsageError: unknown symbol or instrument, no trading on that day, or a number out of range.
        OutOfCalendar: outside the calendar, or without an expiry, a lot or a tick in the tables.
    """
    _require_range("strikes", strikes, 0, (LANES_MAX - 2) // 2)
    _require_range("batch", batch, 1, BATCH_MAX)
    if depth_levels not in DEPTHS or isinstance(depth_levels, bool):
        raise UsageError(f"depth_levels is {depth_levels!r}; choose one of {DEPTHS}")
    chain = _Chain.of(symbol, day, seed, strikes)
    chosen = _chosen(chain.listed(), instruments)
    counts, parts = chain.plan(chosen, ticks)
    parts |= {"depth_levels": depth_levels, "repeat_last": repeat_last}
    return TickDay(symbol, day, seed, sum(counts), chosen, depth_levels, batch, parts)


@dataclass(frozen=True, slots=True)
class _Chain:
    """The market of one day, priced at its open."""

    symbol: str
    path: SecondPath
    minutes: NDArray[np.int64]
    strikes: tuple[int, ...]
    expiry: date | None  # of the options; None without strikes
    expiry_ns: int
    forward_ratio: float
    discount: float
    volatility: float  # at the money, a year

    @classmethod
    def of(cls, symbol: str, day: date, seed: int, strikes: int) -> "_Chain":
        path = second_path(symbol, day, seed=seed)
        starts = [
            minute for start, end in path.day.windows for minute in range(start, end, MINUTE_NS)
        ]
        sigma = 0.7 * market_of(symbol).sigma + 0.3 * path.sigma
        expiry, close, ratio, discount = None, path.day.close_ns, 1.0, 1.0
        if strikes:
            expiry = _option_expiry(symbol, day)
            close = _close_ns(expiry)
            carry = carry_to(expiry, day)
            ratio = (1.0 + carry) / (1.0 + carry_to(path.expiry, day))
            discount = 1.0 / (1.0 + carry)
        return cls(
            symbol, path, np.array(starts, np.int64), _strikes(symbol, path, strikes), expiry,
            close, ratio, discount, sigma * math.sqrt(TRADING_DAYS),
        )  # fmt: skip

    def plan(
        self, chosen: Sequence[TickInstrument], ticks: int | None
    ) -> tuple[list[int], dict[str, Any]]:
        """Records of each instrument, and what a `TickFlow` of the day is made of."""
        path, day = self.path, self.path.day.date
        natural, odds = self.activity(chosen)
        totals = [math.fsum(row) for row in natural.tolist()]
        if 0.0 in totals:
            silent = chosen[totals.index(0.0)].symbol
            raise OutOfCalendar(f"hours of {silent} on {day} are not in the calendar")
        counts = _counts(totals, ticks)
        lanes = [self.lane(one, count) for one, count in zip(chosen, counts, strict=True)]
        scale = [(count + 1) / total for count, total in zip(counts, totals, strict=True)]
        return counts, {
            "seed": path.seed, "ordinal": day.toordinal(), "lanes": np.array(lanes, LANE_DTYPE),
            "weights": natural * np.array(scale)[:, None], "odds": odds,
            "wide": _wide(self.minutes), "minutes": self.minutes, "index": path.index,
            "future": path.future,
            "heat": second_shares(path.seed, day.toordinal(), path.index),
            "forward_ratio": self.forward_ratio, "discount": self.discount,
            "expiry_ns": self.expiry_ns,
        }  # fmt: skip

    def listed(self) -> tuple[TickInstrument, ...]:
        """Index, future, then options by strike, the call first."""
        day, path = self.path.day.date, self.path
        future = instruments.Instrument(self.symbol, "FUT", path.expiry, 0, "M")
        found = [
            self.first(),
            TickInstrument(1, future.symbol, "FUT", path.tick, path.lot, path.expiry, 0),
        ]
        if self.expiry is None:
            return tuple(found)
        if self.symbol in STOCKS:
            cycle, lot = "M", path.lot
            tick = instruments.tick("OPT_STK", day, level=path.level)
        else:
            cycle = expiries.cycle_of(self.symbol, self.expiry)
            lot = instruments.lot(self.symbol, self.expiry, cycle, day)
            tick = instruments.tick("OPT_IDX", day)
        for strike in self.strikes:
            for kind in ("CE", "PE"):
                option = instruments.Instrument(self.symbol, kind, self.expiry, strike, cycle)
                found.append(
                    TickInstrument(len(found), option.symbol, kind, tick, lot, self.expiry, strike)
                )
        return tuple(found)

    def first(self) -> TickInstrument:
        """The index, or the stock in its place."""
        if self.symbol not in STOCKS:
            return TickInstrument(0, self.symbol, "IDX", INDEX_TICK, 0, None, 0)
        tick = instruments.tick("EQ", self.path.day.date, level=self.path.level)
        return TickInstrument(0, self.symbol, "EQ", tick, 1, None, 0)

    def activity(
        self, chosen: Sequence[TickInstrument]
    ) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """Records a minute of a broker's feed, and the odds of 65536 that one is a trade."""
        count = len(self.minutes)
        # Records and trades share the day's volume shape evenly: the root of it each.
        busy = np.sqrt(volume_shares(count) * count)
        busy = busy / (math.fsum(busy.tolist()) / count)
        step, apart, boost = STRIKES[self.symbol]
        spot = self.path.index[:-1:60]
        records, trades = np.empty((len(chosen), count)), np.empty((len(chosen), count))
        for row, listed in enumerate(chosen):
            if listed.kind in UNDERLYING:
                records[row] = (
                    60.0 * INDEX_RATE * is_broadcast(self.symbol, self.path.day, self.minutes)
                )
                trades[row] = 0.0
                continue
            records[row] = 60.0 * CONTRACT_RATE * busy
            trades[row] = FUTURE_TRADES * busy
            if listed.strike:
                away = (listed.strike - spot) / step
                is_round = listed.strike % apart == 0
                wide = 0.05 + 0.95 * (1.2 if is_round else 1.0) / (1.0 + away * away / 64.0)
                near, far = OPTION_TRADES
                odds = near / (1.0 + away * away / 12.25) + far / (1.0 + away * away / 144.0)
                records[row] *= wide
                trades[row] = busy * (0.002 + (boost if is_round else 0.85) * odds)
        return records, np.minimum(65536.0 * trades, 40000.0).astype(np.uint16)

    def lane(self, listed: TickInstrument, count: int) -> tuple[Any, ...]:
        """The row of LANE_DTYPE: what fits the records by premium and distance."""
        units = market_of(self.symbol).units
        if listed.kind in UNDERLYING:
            return (0.0, 0.0, listed.tick, 0, count, 0, LaneKind.INDEX, 16, 16, 16, 16, 0)
        if listed.kind == "FUT":
            spread = max(FUTURE_SPREAD * float(self.path.future[0]) / listed.tick, 2.0)
            return (0.0, 0.0, listed.tick, listed.lot, count, int(0.6 * units / listed.lot),
                    LaneKind.FUTURE, int(16 * spread), 16, 16, int(4 * spread), 0)  # fmt: skip
        volatility, premium = self.priced(listed)
        away = (listed.strike - float(self.path.index[0])) / STRIKES[self.symbol][0] / 8.0
        rupees = max(premium, 5.0) / 100.0
        spread = 2.2 + 0.025 * rupees
        shown = min(max(40.0 / math.sqrt(rupees), 1.5), 9.0)
        traded = min(max(math.sqrt(60.0 / rupees), 1.0), 5.0)
        interest = 0.5 * units * (0.1 + 0.9 / (1.0 + away * away)) / listed.lot
        kind = LaneKind.CALL if listed.kind == "CE" else LaneKind.PUT
        return (float(listed.strike), volatility, listed.tick, listed.lot, count, int(interest),
                kind, int(16 * spread), int(16 * shown), int(16 * traded),
                int(16 * max(spread / 4.0, 1.0)), 0)  # fmt: skip

    def priced(self, listed: TickInstrument) -> tuple[float, float]:
        """Volatility of an option's strike, and its premium at the open in paise."""
        forward = float(self.path.future[0]) * self.forward_ratio
        years = (self.expiry_ns - int(self.minutes[0])) / (365.0 * 86_400.0 * 1e9)
        deviation = self.volatility * math.sqrt(max(years, 1.0 / 365.0))
        x = natural_log(listed.strike / forward) / deviation
        x = min(max(x, -4.5), 4.5)
        volatility = self.volatility * max(1.0 + SKEW * x + SMILE * x * x, 0.25)
        deviation = volatility * math.sqrt(max(years, 0.0))
        premium = generated_premium(forward, listed.strike, deviation, listed.kind == "CE")
        return volatility, premium * self.discount


def _strikes(symbol: str, path: SecondPath, count: int) -> tuple[int, ...]:
    step, _, _ = STRIKES[symbol]
    middle = int(path.index[0] / step + 0.5)
    away = (place - count // 2 for place in range(count))
    places = [middle + (_uneven(one) if symbol in STOCKS else one) for one in away]
    if places and places[0] < 1:
        most = 2 * middle - 1
        if symbol in STOCKS:
            most = 2 * (max(middle - 1 - NEAR_STRIKES, 0) // 2 + NEAR_STRIKES) + 1
        raise UsageError(
            f"strikes is {count}: the lowest would not be positive; give at most {most}"
        )
    return tuple(step * place for place in places)


def _uneven(place: int) -> int:
    """Steps from the money of a stock's strike, so many strikes away: by ones, then by twos."""
    near = min(abs(place), NEAR_STRIKES)
    steps = near + 2 * (abs(place) - near)
    return steps if place > 0 else -steps


def _option_expiry(symbol: str, day: date) -> date:
    last = max(day, min(day + timedelta(days=45), expiries.validity()[1]))
    found = expiries.expiries(expiries.STOCK if symbol in STOCKS else symbol, "ALL", day, last)
    if not found:
        raise OutOfCalendar(f"{symbol} has no option expiry within 45 days of {day} in the tables")
    return found[0]


def _close_ns(expiry: date) -> int:
    session = Calendar.load().day(expiry)
    if session is None:
        raise OutOfCalendar(f"hours of the expiry {expiry} are not in the calendar")
    return session.close_ns


def _wide(minutes: NDArray[np.int64]) -> NDArray[np.uint16]:
    wide = np.full(len(minutes), 16, np.uint16)
    opening = OPENING_WIDTH[: len(minutes)]
    wide[: len(opening)] = opening
    return wide


def _counts(natural: list[float], ticks: int | None) -> list[int]:
    """Whole records an instrument, at least one each, that sum to `ticks`: largest remainders."""
    if ticks is None:
        return [max(1, int(total + 0.5)) for total in natural]
    _require_range("ticks", ticks, len(natural), 2**48)
    spread = ticks - len(natural)
    whole = math.fsum(natural)
    quotas = [spread * (total / whole) for total in natural]
    counts = [1 + int(quota) for quota in quotas]
    rest = sorted(range(len(quotas)), key=lambda row: (int(quotas[row]) - quotas[row], row))
    left = ticks - sum(counts)
    for turn in range(abs(left)):  # a rounding may have given one too many
        counts[rest[turn % len(rest)]] += 1 if left > 0 else -1
    return counts


def _chosen(
    listed: tuple[TickInstrument, ...], wanted: Sequence[str] | None
) -> tuple[TickInstrument, ...]:
    if wanted is None:
        return listed
    if isinstance(wanted, str) or not wanted:
        raise UsageError(f"instruments is {wanted!r}; give a list of symbols or kinds, or None")
    names = {one.symbol for one in listed} | {one.kind for one in listed}
    for name in wanted:
        require_name(name, sorted(names), "instruments")
    kept = [one for one in listed if one.symbol in wanted or one.kind in wanted]
    return tuple(
        TickInstrument(place, one.symbol, one.kind, one.tick, one.lot, one.expiry, one.strike)
        for place, one in enumerate(kept)
    )


def _require_range(name: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{name} is {value!r}; give a whole number from {low} to {high}")
