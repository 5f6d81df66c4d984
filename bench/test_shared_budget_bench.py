"""What it costs to count a request where all engines of an account are counted.

`own` is an engine's budget alone, asked and taken from Python; `shared` the same call on the file.
The difference of the two `life` cases, an order's whole life at a desk, is what an order pays: its
request is counted natively there.
"""

from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.budget import OrderBudget
from dhanfast._core.live.sharedbudget import SharedBudget

from .test_desk_bench import LIVES, OPEN, Cycle

COUNTS = 1_000
LIMITS = {"per_second": 1_000, "per_minute": 4_000, "per_hour": 8_000, "per_day": 100_000}


def test_own(benchmark: Any) -> None:
    made = []

    def fresh() -> None:
        made[:] = [OrderBudget(**LIMITS)]

    def count() -> None:
        budget = made[0]
        for at in range(COUNTS):
            if budget.held_until(OPEN + at * 10**7) == 0:
                budget.take(OPEN + at * 10**7)

    benchmark.extra_info["requests_per_round"] = COUNTS
    benchmark.pedantic(count, setup=fresh, rounds=30)
    assert made[0].used_today == COUNTS


def test_shared(benchmark: Any, tmp_path: Path) -> None:
    """The machine's clock is read each time, as it is live; nothing is refused."""
    made: list[SharedBudget] = []

    def fresh() -> None:
        made.clear()
        (tmp_path / "b").unlink(missing_ok=True)
        made.append(SharedBudget(tmp_path / "b", bytes(32), name="main", **LIMITS))

    def count() -> None:
        budget = made[0]
        for _ in range(COUNTS):
            budget.reserve(OPEN, urgent=True)

    benchmark.extra_info["requests_per_round"] = COUNTS
    benchmark.pedantic(count, setup=fresh, rounds=30)
    assert made[0].own(OPEN) == COUNTS


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_life_of_an_order(benchmark: Any, shared: bool, tmp_path: Path) -> None:
    """ns a life = median / orders_per_round."""
    cycle = Cycle(0)
    made = []

    def fresh() -> tuple[tuple[Any, ...], dict[str, Any]]:
        if shared:
            made.clear()
            (tmp_path / "b").unlink(missing_ok=True)
            made.append(SharedBudget(tmp_path / "b", bytes(32), name="main", **LIMITS))
            cycle.remote.share(made[0])
        return (cycle.approved(),), {}

    benchmark.extra_info["orders_per_round"] = LIVES
    filled = benchmark.pedantic(cycle.live, setup=fresh, rounds=100)
    assert filled == LIVES and (not shared or made[0].used(cycle.now)["hour"] == LIVES)
