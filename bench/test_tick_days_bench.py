"""Days of ticks through one strategy: made in the run's process, and by others meanwhile."""

import datetime as dt
from functools import cache
from typing import Any

import pytest

from dhanfast.engine.settings import Settings
from dhanfast.engine.tick_ahead import backtest_days
from dhanfast.engine.tick_days import TickDays, generated_days

SETTINGS = Settings(capital=10**13)  # the run trades to its end


@cache
def days() -> TickDays:
    """Eight generated days of two million ticks; a year is 31 times that."""
    return generated_days(
        "BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 10), seed=1, ticks=2_000_000
    )


@pytest.mark.parametrize("jobs", [1, 2])
def test_tick_days(benchmark: Any, jobs: int) -> None:
    """ns a tick = median / ticks_per_round; starting the processes is part of it."""
    benchmark.group = "days of generated ticks, momentum"
    benchmark.extra_info["ticks_per_round"] = days().rows
    result = benchmark.pedantic(
        backtest_days, ("momentum", days()), {"settings": SETTINGS, "jobs": jobs}, rounds=3
    )
    median = benchmark.stats.stats.median
    benchmark.extra_info["ns_a_tick"] = round(median * 1e9 / days().rows, 1)
    benchmark.extra_info["year_of_500_million_s"] = round(median * 5e8 / days().rows, 1)
    assert result.counters["ticks"] == days().rows
    assert len(result.trades) > 20
