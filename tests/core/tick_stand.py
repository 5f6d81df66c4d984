"""A kernel on ticks, one tick at a time, with a strategy that says what the test tells it to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.bars import TimeBars
from dhanfast._core.kernel import Kernel
from dhanfast._core.loops import TickLoop
from dhanfast._core.types import TICK_DTYPE
from dhanfast.strategies import Strategy

from .stand import MINUTE, OPEN, make, sessions

SECOND = 1_000_000_000
LOT = 25
Wish = tuple[str, float, float]
QUIET: Wish = ("", 0.0, 0.0)


class Obeys(Strategy):
    """Says `wish` once, on the next tick; keeps every fill it is told of."""

    def __init__(self) -> None:
        super().__init__()
        self.wish: Wish = QUIET
        self.fills: list[tuple[int, int, int]] = []

    def on_tick(self, ctx: Any, tick: Any) -> None:
        (action, stop, target), self.wish = self.wish, QUIET
        if action == "long":
            ctx.buy(stop=stop, target=target)
        elif action == "short":
            ctx.sell(stop=stop, target=target)
        elif action == "flat":
            ctx.exit()

    def on_fill(self, ctx: Any, fill: Any) -> None:
        self.fills.append((fill.qty, fill.reason, fill.time_ns))


class TickStand:
    """Four lots an entry, so that a tick's quantity may fill it in parts."""

    def __init__(self, *, days: int = 3, minutes: int = 12, lots: int = 4, **more: Any) -> None:
        self.strategy = Obeys()
        square_off, freeze = more.pop("square_off", 0), more.pop("freeze", 0)
        self.table = sessions(days, minutes, square_off=square_off, lot=LOT, freeze=freeze)
        self.kernel: Kernel = make(self.strategy, self.table, lots=lots, **more)
        self.loop = TickLoop(self.kernel, TimeBars(MINUTE, self.table))
        self.now = OPEN

    def tick(
        self,
        price: int,
        *,
        qty: int = 0,
        bid: int = 0,
        ask: int = 0,
        bid_qty: int = 0,
        ask_qty: int = 0,
        volume: int = 0,
        wish: Wish = QUIET,
        step: int = SECOND,
    ) -> None:
        """One tick `step` after the one before, and what the strategy says to it."""
        self.now += step
        self.strategy.wish = wish
        record = np.zeros(1, TICK_DTYPE)
        record["exch_ns"] = record["recv_ns"] = self.now
        record["price"], record["qty"] = price, qty
        record["bid"], record["ask"] = bid, ask
        record["bid_qty"], record["ask_qty"], record["volume"] = bid_qty, ask_qty, volume
        assert self.loop.run(record.view("u1"))

    def left(self, order_id: int) -> int:
        """Units that an order at the exchange would still take; 0 when it is not there."""
        return int(self.kernel.broker.working().get(order_id, {"left": 0})["left"])

    def covered(self) -> tuple[int, int]:
        """What stop and target would take."""
        return self.left(self.kernel.stop_id), self.left(self.kernel.target_id)

    def finish(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(trades, orders) of the whole run."""
        self.loop.close_bars()
        self.kernel.finish()
        trades, orders, _ = self.kernel.log.drain()
        return trades, orders
