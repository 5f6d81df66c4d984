"""The sim exchange: cost of a tick with no orders, with resting ones, and of a whole order."""

from typing import Any

import numpy as np
import pytest

from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.types import TICK_DTYPE

TICKS = 100_000
SESSION = {"open_ns": 0, "close_ns": 10**18, "lot": 15, "tick": 5, "date": 20240102}


def random_ticks() -> Any:
    rng = np.random.default_rng(7)
    ticks = np.zeros(TICKS, dtype=TICK_DTYPE)
    ticks["recv_ns"] = 1_000_000 * np.arange(1, TICKS + 1)
    ticks["price"] = 4_000_000 + 5 * np.cumsum(rng.integers(-1, 2, TICKS))
    ticks["bid"], ticks["ask"] = ticks["price"] - 5, ticks["price"] + 5
    ticks["qty"] = ticks["bid_qty"] = ticks["ask_qty"] = 15 * rng.integers(1, 20, TICKS)
    return ticks


@pytest.mark.parametrize("resting", [0, 2, 20])
def test_ticks(benchmark: Any, resting: int) -> None:
    """Time a tick = median / ticks_per_round."""
    gate = Gate()
    match, ticks = Match(gate, protection_e4=1_000), random_ticks()
    match.start_session(0, SESSION)
    for number in range(1, resting + 1):
        far = 3_000_000 if number % 2 else 5_000_000
        order = {"id": number, "side": 1 if number % 2 else -1, "qty": 15,
                 "price": far + 5 * number}  # fmt: skip
        match.submit_order(gate.check(order), 0)
    match.reports()
    benchmark.extra_info["ticks_per_round"] = TICKS
    assert benchmark(match.on_ticks, ticks) == TICKS
    assert match.live == resting


def test_order_submit_fill_report(benchmark: Any) -> None:
    """A market order from Python: gate, submit, fill on the next tick, report taken."""
    gate = Gate()
    match, tick = Match(gate, protection_e4=1_000), random_ticks()[:1].copy()
    match.start_session(0, SESSION)
    numbers = iter(range(1, 10**9))

    def one() -> int:
        order = {"id": next(numbers), "side": 1, "qty": 15, "kind": 1}
        match.submit_order(gate.check(order, mark=4_000_000), 1)
        match.on_ticks(tick)
        return len(match.reports())

    assert benchmark(one) == 2
