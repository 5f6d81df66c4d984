"""A plain, slow backtest written for reading: what the kernel must agree with, trade by trade.

One traded instrument, no latency, full fills. Prices and money are whole paise.
"""

from dataclasses import dataclass, field
from typing import Any

Bar = tuple[int, int, int, int, int]  # start_ns, open, high, low, close
Wish = tuple[str, float, float]  # "" | long | short | flat, stop, target (rupees from the fill)


@dataclass
class Day:
    open_ns: int
    close_ns: int
    entry_from_ns: int
    entry_until_ns: int
    square_off_ns: int  # 0 = carry


def days_of(table: Any) -> list[Day]:
    """The days of a SESSION_DTYPE table."""
    names = ("open_ns", "close_ns", "entry_from_ns", "entry_until_ns", "square_off_ns")
    return [Day(*(int(row[name]) for name in names)) for row in table]


@dataclass
class SlowTrade:
    side: int
    qty: int
    entry: int
    entry_ns: int
    stop: int = 0
    target: int = 0
    exit: int = 0
    exit_ns: int = 0
    why: str = ""
    entry_decided: tuple[int, int] = (0, 0)  # when, and at what price the market stood
    exit_decided: tuple[int, int] = (0, 0)
    rests_ns: int = 0  # since when its stop and target rest as they are


@dataclass
class SlowModel:
    """Feed it bars and wishes; read `trades`."""

    days: list[Day]
    tick: int
    qty: int
    slippage: int
    interval_ns: int
    opposite: str = "keep"
    trades: list[SlowTrade] = field(default_factory=list)
    open: SlowTrade | None = None
    entering: tuple[int, float, float] | None = None
    leaving: str = ""
    entering_decided: tuple[int, int] = (0, 0)
    leaving_decided: tuple[int, int] = (0, 0)
    fresh: bool = False
    last_day: Day | None = None

    def run(self, bars: list[Bar], wishes: list[Wish]) -> list[SlowTrade]:
        for bar, wish in zip(bars, wishes, strict=True):
            day = next((d for d in self.days if d.open_ns <= bar[0] < d.close_ns), None)
            if day is None:
                continue
            end = min(bar[0] + self.interval_ns, day.close_ns)
            # A target carried over night rests again at the open, where a better price takes it;
            # one that rested already when the market jumped past it is hit at its own price.
            self.fresh = self.last_day is not day
            self.last_day = day
            self.at_open(bar)
            self.inside(bar, end)
            self.decide(day, end, wish, bar[4])
        return self.trades

    def at_open(self, bar: Bar) -> None:
        start, opened = bar[0], bar[1]
        if self.open is not None:
            trade = self.open
            if self.fresh:
                trade.rests_ns = start
            if self.leaving:
                self.close(opened - trade.side * self.slippage, start, self.leaving)
            elif trade.stop and trade.side * (opened - trade.stop) <= 0:
                self.close(opened - trade.side * self.slippage, start, "stop")
            elif trade.target and trade.side * (opened - trade.target) >= 0:
                self.close(opened if self.fresh else trade.target, start, "target")
        self.leaving = ""
        if self.entering is not None:
            side, stop, target = self.entering
            self.entering = None
            price = opened + side * self.slippage
            self.open = SlowTrade(side, self.qty, price, start)
            self.open.entry_decided, self.open.rests_ns = self.entering_decided, start
            if stop > 0:
                self.open.stop = self.snap(price - side * max(round(stop * 100), self.tick))
            if target > 0:
                self.open.target = self.snap(price + side * max(round(target * 100), self.tick))

    def snap(self, price: int) -> int:
        price = max(price, self.tick)
        return max(self.tick, (price + self.tick // 2) // self.tick * self.tick)

    def inside(self, bar: Bar, end: int) -> None:
        trade = self.open
        if trade is None:
            return
        _, opened, high, low, _ = bar
        worst, best = (low, high) if trade.side > 0 else (high, low)
        if trade.stop and trade.side * (worst - trade.stop) <= 0:
            # Already beyond it when it was set (a fill's slippage): taken at the open.
            reached = trade.stop if trade.side * (opened - trade.stop) >= 0 else opened
            self.close(reached - trade.side * self.slippage, end - 1, "stop")
        elif trade.target and trade.side * (best - trade.target) >= 0:
            self.close(trade.target, end - 1, "target")

    def close(self, price: int, time_ns: int, why: str) -> None:
        trade = self.open
        assert trade is not None
        trade.exit, trade.exit_ns, trade.why = price, time_ns, why
        # A stop was decided to be at its trigger, a target at its limit.
        rest = {"stop": trade.stop, "target": trade.target}.get(why)
        trade.exit_decided = self.leaving_decided if rest is None else (trade.rests_ns, rest)
        self.trades.append(trade)
        self.open = None

    def decide(self, day: Day, end: int, wish: Wish, mark: int) -> None:
        if day.square_off_ns and end >= day.square_off_ns:
            self.entering = None
            if self.open is not None and not self.leaving:
                self.leaving, self.leaving_decided = "time", (end, mark)
        action, stop, target = wish
        if action == "":
            return
        if action == "flat":
            self.entering = None
            if self.open is not None and not self.leaving:
                self.leaving, self.leaving_decided = "exit", (end, mark)
            return
        side = 1 if action == "long" else -1
        can_enter = day.entry_from_ns <= end < day.entry_until_ns and (
            not day.square_off_ns or end < day.square_off_ns
        )
        if self.open is not None and self.open.side != side and self.opposite != "keep":
            if self.leaving:
                return
            self.leaving = "exit" if self.opposite == "close" else "reverse"
            self.leaving_decided = (end, mark)
            if self.opposite == "reverse" and can_enter:
                self.entering, self.entering_decided = (side, stop, target), (end, mark)
            return
        if can_enter and self.open is None and self.entering is None:
            self.entering, self.entering_decided = (side, stop, target), (end, mark)
