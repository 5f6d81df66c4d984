"""Strategies that wish at random, the same at each replay: chance is drawn tick by tick."""

import random
from typing import Any

from dhanfast.strategies import Strategy


class Wisher(Strategy):
    """In and out by chance, with the stop and target it is given."""

    def __init__(self, seed: int, part: float, stop: float, target: float) -> None:
        super().__init__()
        self._rng = random.Random(f"wishes {seed}")
        self._part, self._stop, self._target = part, stop, target

    def on_tick(self, ctx: Any, tick: Any) -> None:
        draw, side = self._rng.random(), self._rng.random()
        if draw >= self._part:
            return
        if side < 0.35:
            ctx.buy(stop=self._stop, target=self._target)
        elif side < 0.7:
            ctx.sell(stop=self._stop, target=self._target)
        else:
            ctx.exit()


class Eager(Strategy):
    """In as soon as it is flat, one side or the other; only its stop lets it out."""

    def __init__(self, seed: int, stop: float) -> None:
        super().__init__()
        self._rng, self._stop = random.Random(f"eager {seed}"), stop

    def on_tick(self, ctx: Any, tick: Any) -> None:
        enter = ctx.buy if self._rng.random() < 0.5 else ctx.sell
        if ctx.position == 0:
            enter(stop=self._stop)
