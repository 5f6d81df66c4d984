"""A kernel on a stand: sessions, bars and wishes made by a test, nothing read from disk."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.broker import Broker
from dhanfast._core.execution.worker import Worker
from dhanfast._core.kernel import Kernel
from dhanfast._core.loops import run_split
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import BAR_DTYPE, SESSION_DTYPE
from dhanfast.strategies import Strategy

MINUTE = 60_000_000_000
DAY = 86_400_000_000_000
OPEN = 1_641_181_500_000_000_000  # Monday 2022-01-03 09:15 IST
TICK = 5


class Wisher(Strategy):
    """Says what a list says, bar by bar."""

    def __init__(self, wishes: list[tuple[str, float, float]]) -> None:
        super().__init__()
        self.wishes = iter(wishes)
        self.seen: list[tuple[int, int, float]] = []

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.seen.append((bar.start_ns, ctx.position, ctx.bars_held))
        action, stop, target = next(self.wishes)
        if action == "long":
            ctx.buy(stop=stop, target=target)
        elif action == "short":
            ctx.sell(stop=stop, target=target)
        elif action == "flat":
            ctx.exit()


def sessions(
    days: int,
    minutes: int,
    *,
    square_off: int = 0,
    entry_until: int | None = None,
    lot: int = 25,
    **fields: Any,
) -> NDArray[Any]:
    """`days` sessions of so many minutes; square_off and entry_until in minutes from the open."""
    rows = np.zeros(days, SESSION_DTYPE)
    rows["open_ns"] = OPEN + np.arange(days) * DAY
    rows["close_ns"] = rows["open_ns"] + minutes * MINUTE
    rows["entry_from_ns"] = rows["open_ns"]
    until = minutes if entry_until is None else entry_until
    rows["entry_until_ns"] = rows["open_ns"] + until * MINUTE
    if square_off:
        rows["square_off_ns"] = rows["open_ns"] + square_off * MINUTE
    rows["lot"], rows["tick"], rows["date"] = lot, TICK, 20220103 + np.arange(days)
    for name, value in fields.items():
        rows[name] = value
    return rows


def bars_of(prices: list[tuple[int, int, int, int]], minutes: int) -> NDArray[Any]:
    """Bars minute by minute through sessions of so many minutes; (open, high, low, close) paise."""
    rows = np.zeros(len(prices), BAR_DTYPE)
    for i, (opened, high, low, close) in enumerate(prices):
        rows[i]["start_ns"] = OPEN + i // minutes * DAY + i % minutes * MINUTE
        rows[i]["open"], rows[i]["high"] = opened, high
        rows[i]["low"], rows[i]["close"] = low, close
    return rows


def make(
    strategy: Any,
    table: NDArray[Any],
    *,
    slippage_ticks: int = 0,
    capital: int = 10**12,
    latency_ns: int = 0,
    log: RunLog | None = None,
    gate: dict[str, Any] | None = None,
    match: dict[str, Any] | None = None,
    worker: dict[str, Any] | None = None,
    **rules: Any,
) -> Kernel:
    """A kernel over a strategy (or a native one) with the gate wide open unless told otherwise."""
    door = Gate(instruments=1, **(gate or {}))
    floor: Broker = Match(
        door, instruments=1, latency_ns=latency_ns, stop_market_ok=True, **(match or {})
    )
    if worker is not None:
        floor = Worker(floor, door, **worker)
    runner = strategy.runner(lambda at_ns, text: None) if hasattr(strategy, "runner") else strategy
    return Kernel(
        runner,
        floor,
        Portfolio(capital, 1),
        door,
        log or RunLog(),
        table,
        slippage_ticks=slippage_ticks,
        **rules,
    )


def run(kernel: Kernel, bars: NDArray[Any], signal_bars: NDArray[Any] | None = None) -> Any:
    """Run to the end; (trades, orders, equity)."""
    parts = []
    raw = bars.view("u1")
    signals = None if signal_bars is None else signal_bars.view("u1")
    while not (kernel.run(raw) if signals is None else run_split(kernel, raw, signals)):
        parts.append(kernel.log.drain())
    kernel.finish()
    parts.append(kernel.log.drain())
    return tuple(np.concatenate(rows) for rows in zip(*parts, strict=True))
