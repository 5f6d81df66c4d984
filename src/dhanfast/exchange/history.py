"""Days before the exchange's own, generated when asked for: minute bars of every instrument."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import BAR_DTYPE
from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market.calendar import Calendar
from dhanfast.market.tickday import TickInstrument, tick_day

MINUTE_NS: Final = 60_000_000_000
TICKS_A_MINUTE: Final = 12  # of each instrument: prices do not depend on how many are drawn
MINUTES: Final = 375
DAYS_KEPT: Final = 48
SHARE_TICK: Final = 5
SHARE_UNITS: Final = 220  # a tick of history stands for so many traded
GROUPS: Final = (("IDX", "EQ", "FUT"), ("CE", "PE"))  # drawn together
FIRST: Final = ("IDX", "EQ")  # what shares follow
STRIKES_MAX: Final = 61


class History:
    """Earlier days of a generated market, by symbol; the same seed, so that they fit together.

    Args:
        symbol: of the index, or of the stock in its place. seed: of the market.
        strikes: of the market's chain.
        shares: by symbol, and where they open today, paise; they follow the index.
        opened: where the index opens today, paise.
    """

    def __init__(
        self,
        symbol: str,
        seed: int,
        strikes: int,
        shares: Mapping[str, int] | None = None,
        opened: float = 1.0,
    ) -> None:
        self.symbol = symbol
        self._shares = {name: price / opened for name, price in (shares or {}).items()}
        self._seed = seed
        self._strikes = min(3 * strikes, STRIKES_MAX) | 1
        self._days: OrderedDict[date, Day | None] = OrderedDict()

    def day(self, on: date) -> "Day | None":
        """Bars of a day; None when nothing was traded or the tables do not reach it."""
        if on in self._days:
            self._days.move_to_end(on)
            return self._days[on]
        made = self._make(on)
        self._days[on] = made
        if len(self._days) > DAYS_KEPT:
            self._days.popitem(last=False)
        return made

    def previous(self, before: date) -> "Day | None":
        """The last trading day before a date."""
        try:
            return self.day(Calendar.load().previous_trading_day(before, ordinary=True))
        except OutOfCalendar:
            return None

    def days(self, first: date, last: date) -> "list[Day]":
        """Trading days from `first` to `last`, both included."""
        found = (self.day(first + timedelta(days=at)) for at in range((last - first).days + 1))
        return [day for day in found if day is not None]

    def _make(self, on: date) -> "Day | None":
        try:
            chosen = Calendar.load().day(on)
            if chosen is None or not chosen.windows or chosen.is_special:
                return None
            plan = tick_day(self.symbol, on, seed=self._seed, strikes=self._strikes)
        except (OutOfCalendar, UsageError):
            return None
        return Day(on, plan.instruments, self._bars, self._shares)

    def _bars(self, on: date, kinds: tuple[str, ...], count: int) -> NDArray[Any]:
        """Bars of all instruments of some kinds, numbered among themselves."""
        plan = tick_day(self.symbol, on, seed=self._seed, strikes=self._strikes,
                        ticks=count * MINUTES * TICKS_A_MINUTE, instruments=kinds)  # fmt: skip
        return minute_bars(np.concatenate([batch.ticks for batch in plan]))


class Day:
    """One earlier day; its bars are drawn when they are asked for, the options' apart.

    Args:
        make: draws the bars of a day's instruments of some kinds.
        shares: by symbol, and their price in parts of the index's.

    Attributes:
        date: of the day. instruments: that traded, by symbol.
    """

    def __init__(
        self,
        on: date,
        instruments: tuple[TickInstrument, ...],
        make: Callable[[date, tuple[str, ...], int], NDArray[Any]],
        shares: Mapping[str, float],
    ) -> None:
        self.date = on
        self.instruments = {one.symbol: one for one in instruments}
        self._make, self._shares = make, shares
        self._made: dict[tuple[str, ...], dict[str, NDArray[Any]]] = {}

    def bars(self, symbol: str) -> NDArray[Any]:
        """Minutes of an instrument; none when it did not trade.

        Shape:
            BAR_DTYPE[n].
        """
        if symbol in self._shares:
            return self._share(symbol)
        one = self.instruments.get(symbol)
        if one is None:
            return np.empty(0, BAR_DTYPE)
        kinds = next(group for group in GROUPS if one.kind in group)
        if kinds not in self._made:
            drawn = [each for each in self.instruments.values() if each.kind in kinds]
            mine = [each.symbol for each in drawn]
            known = {each.kind for each in drawn}
            bars = self._make(self.date, tuple(kind for kind in kinds if kind in known), len(mine))
            self._made[kinds] = {
                name: bars[bars["instrument"] == place] for place, name in enumerate(mine)
            }
        return self._made[kinds][symbol]

    def _share(self, symbol: str) -> NDArray[Any]:
        index = next(one.symbol for one in self.instruments.values() if one.kind in FIRST)
        bars = self.bars(index).copy()
        for name in ("open", "high", "low", "close"):
            level = bars[name] * self._shares[symbol]
            bars[name] = np.rint(level / SHARE_TICK).astype(np.int64) * SHARE_TICK
        bars["volume"] = bars["ticks"].astype(np.int64) * SHARE_UNITS
        return bars

    def options(self, right: str) -> list[TickInstrument]:
        """Calls (CE) or puts (PE) by strike."""
        found = [one for one in self.instruments.values() if one.kind == right]
        return sorted(found, key=lambda one: one.strike)


def minute_bars(ticks: NDArray[Any]) -> NDArray[Any]:
    """Bars of a minute of all instruments of a day, by instrument and time.

    Args:
        ticks: TICK_DTYPE, in the order received; those without a price only tell open interest.

    Shape:
        BAR_DTYPE[n].
    """
    ticks = ticks[ticks["price"] > 0]
    order = np.lexsort((np.arange(len(ticks)), ticks["recv_ns"] // MINUTE_NS, ticks["instrument"]))
    ticks = ticks[order]
    minute = ticks["recv_ns"] // MINUTE_NS
    new = np.ones(len(ticks), bool)
    new[1:] = (minute[1:] != minute[:-1]) | (ticks["instrument"][1:] != ticks["instrument"][:-1])
    first = np.flatnonzero(new)
    bars = np.zeros(len(first), BAR_DTYPE)
    if not len(first):
        return bars
    last = np.append(first[1:], len(ticks)) - 1
    bars["start_ns"] = minute[first] * MINUTE_NS
    bars["instrument"] = ticks["instrument"][first]
    bars["open"], bars["close"] = ticks["price"][first], ticks["price"][last]
    bars["high"] = np.maximum.reduceat(ticks["price"], first)
    bars["low"] = np.minimum.reduceat(ticks["price"], first)
    bars["oi"], bars["ticks"] = ticks["oi"][last], last - first + 1
    total = ticks["volume"][last].astype(np.int64)
    same = np.zeros(len(first), bool)
    same[1:] = bars["instrument"][1:] == bars["instrument"][:-1]
    bars["volume"] = total - np.where(same, np.roll(total, 1), 0)
    return bars


def daily_bar(bars: NDArray[Any]) -> tuple[int, int, int, int, int, int]:
    """Open, high, low, close, volume and open interest of some bars in a row.

    Units:
        paise and units; there is at least one bar.
    """
    return (int(bars["open"][0]), int(bars["high"].max()), int(bars["low"].min()),
            int(bars["close"][-1]), int(bars["volume"].sum()), int(bars["oi"][-1]))  # fmt: skip
