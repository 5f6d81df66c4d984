"""The checks over a generated year, and the comparison of two runs of it."""

import datetime as dt
from typing import Any

import pytest

from dhanfast.engine.checks import check_lookahead, check_warmup
from dhanfast.engine.checks.stage import Stage
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.reports.compare import compare_runs
from dhanfast.storage.bars import BarSet

SETTINGS = Settings(capital=10**13)
DOORS = ["momentum", "momentum-cython", "momentum-python"]


@pytest.fixture(scope="module")
def year() -> BarSet:
    """A generated year of BANKNIFTY minutes."""
    return generated_bars("BANKNIFTY", dt.date(2022, 1, 1), dt.date(2022, 12, 31))


@pytest.mark.parametrize("door", DOORS)
def test_watched_run(benchmark: Any, year: BarSet, door: str) -> None:
    """A run with every decision written down; ns a bar = median / bars_per_round."""
    benchmark.group = "watched run"
    stage = Stage(door, year, settings=SETTINGS)
    benchmark.extra_info["bars_per_round"] = len(stage.bars)
    run = benchmark(stage.run, stage.bars)
    assert len(run.decisions) > 90_000 and run.error is None


@pytest.mark.parametrize("door", DOORS)
def test_lookahead_of_a_year(benchmark: Any, year: BarSet, door: str) -> None:
    """60 cuts at signals, 15 at quiet bars, two whole runs, three random walks."""
    benchmark.group = "check lookahead"
    got = benchmark.pedantic(check_lookahead, (door, year), {"settings": SETTINGS}, rounds=3)
    assert got.passed and got.cuts == 75 and got.blind is not None


def test_warmup_of_a_year(benchmark: Any, year: BarSet) -> None:
    """39 histories up to 5,000 bars at 6 probes."""
    got = benchmark.pedantic(check_warmup, ("momentum", year), {"settings": SETTINGS}, rounds=3)
    assert got.passed and got.longest == 5000


def test_compare_two_runs_of_a_year(benchmark: Any, year: BarSet) -> None:
    """Trades a second = trades_per_round / median."""
    one = backtest("momentum", year, settings=SETTINGS)
    slipped = Settings(capital=10**13, slippage=Slippage.parse("5pts"))
    two = backtest("momentum", year, settings=slipped)
    benchmark.extra_info["trades_per_round"] = len(one.trades) + len(two.trades)
    got = benchmark.pedantic(compare_runs, (one, two), rounds=3)
    assert sum(got.totals.values()) == got.difference != 0
