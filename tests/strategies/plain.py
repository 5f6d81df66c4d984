"""The library's rules once more, in plain Python: lists, loops and TA-Lib, one bar at a time.

What a strategy says on each bar is a `Say`; `trades_of` follows it through the slow backtest of
tests/core. Written for reading, and never looked at by the package.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import talib

from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.storage.bars import BarSet

from ..core.slow_model import Day, SlowModel, Wish, days_of

NAN = math.nan
IST_NS, DAY_NS = 19_800 * 10**9, 86_400 * 10**9
Line = Sequence[float]


class Say(NamedTuple):
    """What a strategy says on one bar."""

    long: bool = False
    short: bool = False
    exit_long: bool = False
    exit_short: bool = False
    stop: float = 0.0
    target: float = 0.0


@dataclass
class Candles:
    """Bars as lists, in rupees; `place` is the bar's number within its day."""

    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]
    place: list[int]
    day: list[int]

    @classmethod
    def of(cls, bars: BarSet) -> "Candles":
        prices = [[value / 100.0 for value in bars.bars[name].tolist()]
                  for name in ("open", "high", "low", "close")]  # fmt: skip
        days = [(at + IST_NS) // DAY_NS for at in bars.bars["start_ns"].tolist()]
        place: list[int] = []
        for i, day in enumerate(days):
            place.append(place[-1] + 1 if i and days[i - 1] == day else 0)
        return cls(*prices, bars.bars["volume"].tolist(), place, days)

    def __len__(self) -> int:
        return len(self.close)

    def atr(self, period: int) -> list[float]:
        return list(talib.ATR(*map(np.array, (self.high, self.low, self.close)), period))

    def adx(self, period: int) -> list[float]:
        return list(talib.ADX(*map(np.array, (self.high, self.low, self.close)), period))

    def bands(self, period: int, width: float) -> tuple[list[float], list[float], list[float]]:
        """Lower, middle, upper: mean and population deviations of the last closes."""
        rows = []
        for i in range(len(self)):
            if i + 1 < period:
                rows.append((NAN, NAN, NAN))
                continue
            last = self.close[i + 1 - period : i + 1]
            mean = math.fsum(last) / period
            half = width * math.sqrt(math.fsum((x - mean) ** 2 for x in last) / period)
            rows.append((mean - half, mean, mean + half))
        lower, middle, upper = zip(*rows, strict=True)
        return list(lower), list(middle), list(upper)

    def before(self, name: str, period: int) -> list[float]:
        """The extreme of the `period` bars before each, itself left out."""
        values, pick = getattr(self, name), max if name == "high" else min
        return [pick(values[i - period : i]) if i >= period else NAN for i in range(len(self))]

    def supertrend(self, period: int, width: float) -> tuple[list[float], list[int]]:
        """The line and its direction (0 before there is one), by the page on indicators."""
        atr = self.atr(period)
        line, way = [NAN] * len(self), [0] * len(self)
        up = down = NAN
        for i in range(len(self)):
            if math.isnan(atr[i]):
                continue
            middle = (self.high[i] + self.low[i]) / 2.0
            above, below = middle + width * atr[i], middle - width * atr[i]
            if math.isnan(up):
                up, down = above, below
                way[i] = 1 if self.close[i] >= middle else -1
            else:
                if above < up or self.close[i - 1] > up:
                    up = above
                if below > down or self.close[i - 1] < down:
                    down = below
                way[i] = way[i - 1]
                if way[i - 1] < 0 and self.close[i] > up:
                    way[i] = 1
                elif way[i - 1] > 0 and self.close[i] < down:
                    way[i] = -1
            line[i] = down if way[i] > 0 else up
        return line, way


def crossed(a: Line, b: Line, i: int) -> bool:
    """a goes from at or below b to above it; unknown is never true."""
    return i > 0 and a[i] > b[i] and a[i - 1] <= b[i - 1]


def mean_reversion(c: Candles, period: int = 60, width: float = 2.5, adx: int = 30,
                   adx_max: float = 25.0, atr: int = 30,
                   stop: float = 3.0) -> list[Say]:  # fmt: skip
    lower, middle, upper = c.bands(period, width)
    strength, ranges = c.adx(adx), c.atr(atr)
    return [
        Say(
            crossed(c.close, lower, i) and strength[i] < adx_max,
            crossed(upper, c.close, i) and strength[i] < adx_max,
            c.close[i] >= middle[i],
            c.close[i] <= middle[i],
            stop * ranges[i],
        )
        for i in range(len(c))
    ]


def breakout(c: Candles, lookback: int = 120, buffer: float = 0.25, adx: int = 30,
             adx_min: float = 15.0, leave: int = 60, atr: int = 30, stop: float = 3.0,
             target: float = 9.0) -> list[Say]:  # fmt: skip
    ranges, strength = c.atr(atr), c.adx(adx)
    top = [level + buffer * r for level, r in zip(c.before("high", lookback), ranges, strict=True)]
    floor = [level - buffer * r for level, r in zip(c.before("low", lookback), ranges, strict=True)]
    out_low, out_high = c.before("low", leave), c.before("high", leave)
    return [
        Say(
            crossed(c.close, top, i) and strength[i] > adx_min,
            crossed(floor, c.close, i) and strength[i] > adx_min,
            c.close[i] < out_low[i],
            c.close[i] > out_high[i],
            stop * ranges[i],
            target * ranges[i],
        )
        for i in range(len(c))
    ]


def vwap(c: Candles, weight: str = "volume", slope: int = 30, room: float = 1.0, atr: int = 30,
         stop: float = 3.0, target: float = 9.0) -> list[Say]:  # fmt: skip
    line, ranges = [], c.atr(atr)
    price = weighed = 0.0
    for i in range(len(c)):
        if c.place[i] == 0:
            price = weighed = 0.0
        w = c.volume[i] if weight == "volume" else 1.0
        price += w * (c.high[i] + c.low[i] + c.close[i]) / 3.0
        weighed += w
        line.append(price / weighed if weighed else NAN)
    says = []
    for i in range(len(c)):
        begun = c.place[i] >= slope
        rose = begun and line[i] > line[i - slope]
        fell = begun and line[i] < line[i - slope]
        says.append(
            Say(
                crossed(c.close, line, i) and rose,
                crossed(line, c.close, i) and fell,
                c.close[i] < line[i] - room * ranges[i],
                c.close[i] > line[i] + room * ranges[i],
                stop * ranges[i],
                target * ranges[i],
            )
        )
    return says


def opening_range(c: Candles, minutes: int = 15, last_bar: int = 180, buffer: float = 0.02,
                  height_min: float = 0.15, height_max: float = 1.5,
                  target: float = 2.0) -> list[Say]:  # fmt: skip
    says = []
    high = low = NAN
    broke_up = broke_down = 0
    tops, floors = [NAN] * len(c), [NAN] * len(c)
    for i in range(len(c)):
        if c.place[i] == 0:
            high = low = NAN
            broke_up = broke_down = 0
        if c.place[i] == minutes - 1:
            high, low = max(c.high[i + 1 - minutes : i + 1]), min(c.low[i + 1 - minutes : i + 1])
        tops[i] = high + buffer / 100.0 * c.close[i]
        floors[i] = low - buffer / 100.0 * c.close[i]
        up, down = crossed(c.close, tops, i), crossed(floors, c.close, i)
        broke_up, broke_down = broke_up + up, broke_down + down
        height = 100.0 * (high - low) / c.close[i]
        fits = c.place[i] < last_bar and height_min <= height <= height_max
        says.append(
            Say(
                up and broke_up == 1 and fits,
                down and broke_down == 1 and fits,
                stop=c.close[i] - low if up else high - c.close[i],
                target=target * (high - low),
            )
        )
    return says


def supertrend(c: Candles, period: int = 50, width: float = 7.0, adx: int = 30,
               adx_min: float = 0.0, target: float = 0.0) -> list[Say]:  # fmt: skip
    line, way = c.supertrend(period, width)
    strength, says = c.adx(adx), []
    for i in range(len(c)):
        known = i > 0 and way[i - 1] != 0
        room = abs(c.close[i] - line[i])
        moving = strength[i] >= adx_min
        says.append(
            Say(
                known and way[i] > way[i - 1] and moving,
                known and way[i] < way[i - 1] and moving,
                way[i] < 0,
                way[i] > 0,
                room,
                target * room,
            )
        )
    return says


def vix_regime(c: Candles, vix: Line, calm: float = 16.0, storm: float = 20.0, period: int = 60,
               width: float = 2.5, lookback: int = 120, atr: int = 30,
               stop: float = 3.0) -> list[Say]:  # fmt: skip
    """`vix`: what is known of it on each bar, NaN before anything is."""
    lower, middle, upper = c.bands(period, width)
    top, floor, ranges = c.before("high", lookback), c.before("low", lookback), c.atr(atr)
    says = []
    for i in range(len(c)):
        if vix[i] < calm:
            says.append(
                Say(
                    crossed(c.close, lower, i),
                    crossed(upper, c.close, i),
                    c.close[i] >= middle[i],
                    c.close[i] <= middle[i],
                    stop * ranges[i],
                )
            )
        elif vix[i] >= storm:
            says.append(
                Say(
                    crossed(c.close, top, i),
                    crossed(floor, c.close, i),
                    c.close[i] < lower[i],
                    c.close[i] > upper[i],
                    stop * ranges[i],
                )
            )
        else:
            says.append(Say(stop=stop * ranges[i]))
    return says


@dataclass
class Follower(SlowModel):
    """The slow backtest, told row by row what the strategy says; wishes are rows of `says`."""

    says: Sequence[Say] = ()

    def decide(self, day: Day, end: int, wish: Wish, mark: int) -> None:
        say = self.says[int(wish[1])]
        action = ""
        if self.open is not None and (say.exit_long if self.open.side > 0 else say.exit_short):
            action = "flat"
        elif say.long != say.short and not (say.stop < 0 or math.isnan(say.stop + say.target)):
            action = "long" if say.long else "short"
        super().decide(day, end, (action, say.stop, say.target), mark)


Trade = tuple[int, int, int, float, float]


def trades_of(bars: BarSet, says: Sequence[Say], settings: Settings) -> list[Trade]:
    """(side, entered ns, left ns, entry, exit in paise) of what the slow backtest does."""
    table = sessions_of(bars, settings, bars.interval_ns)
    tick = int(table["tick"][0])
    model = Follower(days_of(table), tick, 1, 0, bars.interval_ns, says=says)
    names = ("start_ns", "open", "high", "low", "close")
    rows = list(zip(*(bars.bars[name].tolist() for name in names), strict=True))
    done = model.run(rows, [("", float(i), 0.0) for i in range(len(rows))])
    return [(one.side, one.entry_ns, one.exit_ns, one.entry, one.exit) for one in done]


def booked(trades: Any) -> list[Trade]:
    """The same of a result's trades."""
    return [
        (int(row["side"]), int(row["entry_ns"]), int(row["exit_ns"]),
         row["entry_value"] / row["qty"], row["exit_value"] / row["qty"])
        for row in trades
    ]  # fmt: skip
