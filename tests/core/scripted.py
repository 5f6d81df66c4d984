"""A strategy that wishes what it is told, bar by bar."""

import random
from typing import Any

from dhanfast.strategies import Context, Strategy

Wish = tuple[int, float, float]  # side (2 = flat, 0 = nothing), stop, target


class Scripted(Strategy):
    """Wishes on each bar what `wishes` holds for it; nothing beyond."""

    def __init__(self, wishes: list[Wish]) -> None:
        super().__init__()
        self.wishes = wishes
        self.at = 0
        self.seen: list[tuple[int, int]] = []  # (time, position) of each bar

    def on_bar(self, ctx: Context, bar: Any) -> None:
        """The next wish."""
        self.seen.append((ctx.now_ns, ctx.position))
        side, stop, target = self.wishes[self.at] if self.at < len(self.wishes) else (0, 0.0, 0.0)
        self.at += 1
        if side == 1:
            ctx.buy(stop=stop, target=target)
        elif side == -1:
            ctx.sell(stop=stop, target=target)
        elif side == 2:
            ctx.exit()


def wishes(seed: int, bars: int, often: float = 0.2, exits: float = 0.1) -> list[Wish]:
    """Random wishes: entries of both sides with and without stop and target, and exits."""
    draw = random.Random(seed)
    found: list[Wish] = []
    for _ in range(bars):
        rolled = draw.random()
        if rolled < often:
            stop = draw.choice((0.0, 15.0, 40.0, 90.0))
            found.append((draw.choice((1, -1)), stop, draw.choice((0.0, 25.0, 80.0))))
        else:
            found.append((2 if rolled < often + exits else 0, 0.0, 0.0))
    return found


def unheard(at_ns: int, text: str) -> None:
    """A log that nobody reads."""
