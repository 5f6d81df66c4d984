"""What a generated tick costs: the stream alone, and with a book behind every contract."""

from datetime import date

import pytest

from dhanfast.market.tickday import tick_day

DAY = date(2025, 11, 17)


@pytest.mark.parametrize(("levels", "ticks"), [(0, 2_000_000), (5, 500_000), (20, 500_000),
                                               (200, 200_000)])  # fmt: skip
def test_tick_day(benchmark, levels: int, ticks: int) -> None:
    """Divide by `ticks_per_round`; planning the day, some 30 ms, is outside the timing."""
    day = tick_day("BANKNIFTY", DAY, seed=1, ticks=ticks, depth_levels=levels)
    rows = sum(len(batch.depth) for batch in day)

    def run() -> int:
        return sum(len(batch.ticks) for batch in day)

    benchmark.group = "tick day"
    benchmark.extra_info["ticks_per_round"] = ticks
    benchmark.extra_info["rows_per_round"] = rows
    assert benchmark(run) == ticks


@pytest.mark.parametrize("strikes", [1, 101])
def test_instruments_cost_little(benchmark, strikes: int) -> None:
    """The merge is a tree: a tick of 204 instruments against one of 4."""
    day = tick_day("BANKNIFTY", DAY, seed=1, ticks=1_000_000, strikes=strikes)

    def run() -> int:
        return sum(len(batch.ticks) for batch in day)

    benchmark.group = "tick day, merge"
    benchmark.extra_info["ticks_per_round"] = 1_000_000
    assert benchmark(run) == 1_000_000


def test_plan_a_day(benchmark) -> None:
    """What comes before the first tick: paths, strikes, weights."""
    benchmark.group = "tick day, plan"
    benchmark(tick_day, "BANKNIFTY", DAY, seed=1, ticks=1_000_000)
