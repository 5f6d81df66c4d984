"""Strategies that decide in the fault simulation: a file of a user's, copied and found by path.

Chance is drawn call by call from a seed in the parameters, so that a restart draws the same.
"""

import random
from typing import Any

from dhanfast.errors import CallbackOverdue
from dhanfast.strategies import Rules, RuleStrategy, Strategy, param


class Drawn(Strategy):
    """In and out by chance; misbehaves at one of its calls."""

    seed = param(0, low=0)
    part = param(0.2, low=0.0, high=1.0)
    stop = param(0.0, low=0.0)
    target = param(0.0, low=0.0)
    fails = param(0, low=0, doc="number of the call that fails; 0: none")
    where = param("tick", choices=("start", "tick", "bar", "fill"))
    how = param("raise", choices=("raise", "hang", "exit"))

    def on_start(self, m: Any) -> None:
        self.counts = {"start": 0, "tick": 0, "bar": 0, "fill": 0}
        self.rng = random.Random(f"drawn {self.seed}")
        self.count("start")

    def count(self, where: str) -> None:
        """One more call, which may be the one that fails."""
        self.counts[where] += 1
        if self.where != where or self.counts[where] != self.fails:
            return
        if self.how == "hang":
            raise CallbackOverdue("it ran longer than 250 ms")
        if self.how == "exit":
            raise SystemExit(3)
        raise ArithmeticError(f"{where} {self.fails}")

    def wish(self, ctx: Any) -> None:
        """What chance wants."""
        draw, side = self.rng.random(), self.rng.random()
        if draw >= self.part:
            return
        if side < 0.35:
            ctx.buy(stop=self.stop, target=self.target)
        elif side < 0.7:
            ctx.sell(stop=self.stop, target=self.target)
        else:
            ctx.exit()

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.count("bar")
        self.on_complete(ctx)

    def on_complete(self, ctx: Any) -> None:
        """A bar is complete."""

    def on_fill(self, ctx: Any, fill: Any) -> None:
        self.count("fill")


class Slow(Drawn):
    """Decides on bars alone, as a member of a blend must."""

    def on_complete(self, ctx: Any) -> None:
        self.wish(ctx)


class Quick(Drawn):
    """Decides on every tick."""

    def on_tick(self, ctx: Any, tick: Any) -> None:
        self.count("tick")
        self.wish(ctx)


class Handing(Quick):
    """Hands over what it has counted, and goes on with it."""

    def save(self) -> Any:
        return {"counts": dict(self.counts), "seed": self.seed}

    def load(self, state: dict[str, Any]) -> None:
        self.counts = dict(state["counts"])
        self.rng = random.Random(f"handed {self.seed} {sorted(self.counts.items())}")


class Mute(Handing):
    """Saves what cannot be handed over."""

    def save(self) -> Any:
        return {"counts": (1, 2)}


class Deaf(Handing):
    """Does not take what it is given."""

    def load(self, state: dict[str, Any]) -> None:
        raise LookupError("another kind of state")


class Ruled(RuleStrategy):
    """By the last two bars."""

    stop = param(0.0, low=0.0)
    target = param(0.0, low=0.0)

    def rules(self, m: Any) -> Rules:
        up, down = m.close > m.close.shift(1), m.close < m.close.shift(1)
        return Rules(long=up, short=down, exit_long=down, exit_short=up,
                     stop=self.stop, target=self.target)  # fmt: skip
