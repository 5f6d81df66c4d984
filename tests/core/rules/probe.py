"""A door into rule programs: every value of chosen series on every bar of a kernel run."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import BAR_DTYPE
from dhanfast.strategies import Market, Strategy

from ..stand import DAY, MINUTE, OPEN, make, sessions

SESSION_MINUTES = 75
Declare = Callable[[Market], Sequence[Any]]


class Probe(Strategy):
    """Declares series and writes down the value of each on every bar; never trades."""

    def __init__(self, declare: Declare) -> None:
        super().__init__()
        self.declare = declare
        self.rows: list[list[float]] = []

    def on_start(self, m: Market) -> None:
        self.series = list(self.declare(m))

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.rows.append([one.value for one in self.series])


def columns_of(declare: Declare, bars: NDArray[Any], piece: int = 0) -> list[NDArray[np.float64]]:
    """One array a series; fed whole (piece 0) or `piece` bars at a time."""
    probe = Probe(declare)
    days = -(-len(bars) // SESSION_MINUTES)
    kernel = make(probe, sessions(max(days, 1), SESSION_MINUTES))
    step = piece or len(bars)
    for at in range(0, len(bars), step):
        assert kernel.run(bars[at : at + step].view("u1"))
    table = np.array(probe.rows, float)
    assert table.shape == (len(bars), len(probe.series))
    return list(table.T)


def stamped(count: int) -> NDArray[Any]:
    """`count` bars with times only: minutes of sessions of SESSION_MINUTES."""
    rows = np.zeros(count, BAR_DTYPE)
    at = np.arange(count)
    rows["start_ns"] = OPEN + at // SESSION_MINUTES * DAY + at % SESSION_MINUTES * MINUTE
    return rows


def walk(count: int, seed: int, *, volume: bool = True) -> NDArray[Any]:
    """A seeded random walk of bars on the paisa; about one bar in nine has no volume."""
    rng = np.random.default_rng(seed)
    rows = stamped(count)
    close = 50_000_00 + np.cumsum(rng.integers(-900, 901, count))
    opened = np.concatenate(([close[0]], close[:-1])) + rng.integers(-200, 201, count)
    rows["open"], rows["close"] = opened, close
    rows["high"] = np.maximum(opened, close) + rng.integers(0, 500, count)
    rows["low"] = np.minimum(opened, close) - rng.integers(0, 500, count)
    if volume:
        rows["volume"] = rng.integers(0, 400, count) * (rng.random(count) < 8 / 9)
    rows["oi"] = rng.integers(0, 10_000, count)
    return rows


def firsts(count: int) -> NDArray[np.bool_]:
    """True on the first bar of each session of `stamped`."""
    return np.arange(count) % SESSION_MINUTES == 0
