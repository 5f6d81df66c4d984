"""A strategy that is in and out all the time, by the count of ticks alone."""

from typing import Any

from dhanfast.strategies import Strategy


class Restless(Strategy):
    """Every third tick something else."""

    def on_start(self, m: Any) -> None:
        self.ticks = 0

    def on_tick(self, ctx: Any, tick: Any) -> None:
        self.ticks += 1
        step = self.ticks % 18
        if step == 0:
            ctx.buy(stop=40.0, target=60.0)
        elif step == 9:
            ctx.sell(stop=40.0, target=60.0)
        elif step in (6, 15):
            ctx.exit()
