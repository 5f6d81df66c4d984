"""Stops in plain, slow Python: what the native rules must agree with, move by move.

`SlowStop` is one position's stop; `SlowStopsModel` is the slow backtest with it in every trade.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from dhanfast._core.indicators.atr import Atr

from .slow_model import Bar, Day, SlowModel, Wish


@dataclass
class SlowRules:
    """Distances as (amount, unit); the rest as `Stops` takes it."""

    stop: tuple[float, str] | None = None
    target: tuple[float, str] | None = None
    trail: tuple[float, str] | None = None
    trail_from: tuple[float, str] | None = None
    cost_at: tuple[float, str] | None = None
    cost_plus: tuple[float, str] | None = None
    override: bool = False
    rest: bool = True
    step_ticks: int = 20
    every_ns: int = 0
    changes_max: int = 15
    atr_period: int = 3
    bars_max: int = 0
    time_max_ns: int = 0
    only_losing: bool = False


def points(distance: tuple[float, str] | None, price: float, atr: float) -> float:
    """A distance in rupees."""
    if distance is None:
        return 0.0
    amount, unit = distance
    return {"points": amount, "percent": 0.01 * amount * price, "atr": amount * atr}[unit]


@dataclass
class SlowStop:
    """One stop and the prices since its position was opened."""

    rules: SlowRules
    side: int
    entry: int
    tick: int
    stop: int
    atr: float
    best: int = 0
    next_ns: int = 0
    moved: list[tuple[int, int]] = field(default_factory=list)  # (from, to)

    def __post_init__(self) -> None:
        self.best = self.entry
        wanted = self.wanted()
        if wanted:
            self.stop = self.tighter([self.stop, *wanted])

    def paise(self, distance: tuple[float, str] | None) -> int:
        return round(100 * points(distance, 0.01 * self.entry, self.atr))

    def away(self, price: Fraction) -> int:
        """The next multiple of the tick away from the market; for a long never below one."""
        down = price // self.tick * self.tick
        return int(down) if self.side > 0 or down == price else int(down) + self.tick

    def tighter(self, prices: list[int]) -> int:
        return max((p for p in prices if p), key=lambda p: self.side * p, default=0)

    def wanted(self) -> list[int]:
        """Where each rule wants the stop by the best price so far."""
        found, rules = [], self.rules
        gain = self.side * (self.best - self.entry)
        if rules.trail is not None and gain >= self.paise(rules.trail_from):
            amount, unit = rules.trail
            if unit == "percent":
                distance = int(Fraction(round(amount * 10_000), 10**6) * self.best)
            else:
                distance = self.paise(rules.trail)
            found.append(self.away(Fraction(self.best - self.side * max(distance, self.tick))))
        if rules.cost_at is not None and gain >= max(self.paise(rules.cost_at), self.tick):
            cost = Fraction(self.entry + self.side * self.paise(rules.cost_plus))
            up = -(-cost // self.tick) * self.tick
            found.append(int(up if self.side > 0 else cost // self.tick * self.tick))
        return [p for p in found if p >= self.tick]

    def nearest(self, last: int) -> int:
        """The nearest multiple of the tick that lies beyond the last price."""
        at = last // self.tick * self.tick + self.side * -self.tick * 2
        while self.side * (last - (at + self.side * self.tick)) > 0:
            at += self.side * self.tick
        return at

    def see(self, low: int, high: int, last: int, now_ns: int) -> bool:
        """Whether the stop moved, now that prices have been between low and high."""
        self.best = max(self.best, high) if self.side > 0 else min(self.best, low)
        want = self.tighter(self.wanted())
        if not want or now_ns < self.next_ns or self.nearest(last) < self.tick:
            return False
        if self.side * (want - self.nearest(last)) > 0:
            want = self.nearest(last)
        if self.stop and self.side * (want - self.stop) < self.rules.step_ticks * self.tick:
            return False
        self.moved.append((self.stop, want))
        self.stop, self.next_ns = want, now_ns + self.rules.every_ns
        return True


@dataclass
class SlowStopsModel(SlowModel):
    """The slow backtest, with the rules; without latency and with full fills, on bars."""

    rules: SlowRules = field(default_factory=SlowRules)
    moving: SlowStop | None = None
    local: int = 0
    changes: int = 0
    held: int = 0
    entry_atr: float = float("nan")
    atr: Any = None
    bar: Bar | None = None
    atr_now: float = float("nan")

    def at_open(self, bar: Bar) -> None:
        self.bar = bar
        if self.fresh and self.open is not None and self.moving is not None and self.rules.rest:
            self.open.stop = self.moving.stop  # it rests anew, where it has got to
            self.local = self.changes = 0
        before = self.open
        super().at_open(bar)
        if self.open is not None and self.open is not before:
            trade = self.open
            self.moving = SlowStop(
                self.rules, trade.side, trade.entry, self.tick, trade.stop, self.entry_atr
            )
            self.local = self.changes = self.held = 0
            trade.stop = self.moving.stop
            if not self.rules.rest:
                self.local, trade.stop = trade.stop, 0

    def inside(self, bar: Bar, end: int) -> None:
        super().inside(bar, end)
        trade, day = self.open, self.last_day
        assert day is not None
        if trade is None or self.moving is None or self.leaving:
            return
        _, _, high, low, close = bar
        if end >= day.close_ns:
            self.moving.best = (
                max(self.moving.best, high) if trade.side > 0 else min(self.moving.best, low)
            )
            return
        if self.local and (low <= self.local if trade.side > 0 else high >= self.local):
            self.leaving = "stop"
            return
        if self.moving.see(low, high, close, end):
            if not self.rules.rest or (trade.stop and self.changes >= self.rules.changes_max):
                self.local = self.moving.stop
            else:
                self.changes += trade.stop != 0
                trade.stop = self.moving.stop

    def decide(self, day: Day, end: int, wish: Wish, close: int) -> None:
        super().decide(day, end, ("", 0.0, 0.0), close)
        assert self.bar is not None
        trade, rules = self.open, self.rules
        if trade is not None:
            over = rules.time_max_ns and end - trade.entry_ns >= rules.time_max_ns
            self.held += 1
            over = over or (rules.bars_max and self.held >= rules.bars_max)
            kept = rules.only_losing and trade.side * (close - trade.entry) > 0
            if over and not kept and not self.leaving and end < day.close_ns:
                self.leaving = "held"
        if self.atr is None:
            self.atr = Atr(rules.atr_period)
        self.atr_now = self.atr.update(0.01 * self.bar[2], 0.01 * self.bar[3], 0.01 * close)
        waits = self.entering
        super().decide(day, end, self.ruled(wish, close), close)
        if self.entering is not waits and self.entering is not None:
            self.entry_atr = self.atr_now
            if any(value != value for value in self.entering):
                self.entering = None  # never in without what was asked for

    def ruled(self, wish: Wish, close: int) -> Wish:
        """The wish with the rules' distances; NaN when one of them is not known."""
        action, stop, target = wish
        if action not in ("long", "short"):
            return wish
        rules, price = self.rules, 0.01 * close
        if rules.stop is not None and (rules.override or stop == 0):
            stop = points(rules.stop, price, self.atr_now)
        if rules.target is not None and (rules.override or target == 0):
            target = points(rules.target, price, self.atr_now)
        known = [stop, target] + [
            points(each, price, self.atr_now)
            for each in (rules.trail, rules.trail_from, rules.cost_at, rules.cost_plus)
        ]
        if any(value != value for value in known):
            stop = float("nan")
        return action, stop, target
