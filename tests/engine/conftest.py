"""Markets that the engine's tests share, drawn once."""

import datetime as dt
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from dhanfast.engine.generated import generated_bars
from dhanfast.storage.bars import BarSet


@cache
def drawn(symbol: str, first: dt.date, last: dt.date, seed: int, kind: str) -> BarSet:
    """A generated market; tests must not write to its rows."""
    bars = generated_bars(symbol, first, last, seed=seed, kind=kind)
    bars.bars.flags.writeable = False
    return bars


class Draw:
    """Draws markets and takes rows out of them."""

    def __call__(
        self,
        first: str = "2022-02-01",
        last: str = "2022-02-28",
        *,
        symbol: str = "BANKNIFTY",
        seed: int = 1,
        kind: str = "IDX",
    ) -> BarSet:
        """The market of some dates."""
        days = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
        return drawn(symbol, *days, seed, kind)

    def only(self, bars: BarSet, keep: Any) -> BarSet:
        """The same market with some of its rows."""
        return replace(bars, bars=bars.bars[keep].copy())


@pytest.fixture
def draw() -> Draw:
    """A maker of generated markets."""
    return Draw()
