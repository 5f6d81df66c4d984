"""Searches: one trial, two processes against one, a cluster against processes, a walk-forward.

    scripts/bench bench/test_research_bench.py

The bars of the roadmap: 10,000 sets x a year of minutes in 60 s on two cores, at least 1.9 times
one core; 12 windows x 200 trials x two years in 30 s; a cluster at most 15 % slower. `full` needs
both cores for itself and takes minutes: it runs with DHANFAST_FULL_BENCH=1 only.
"""

import datetime as dt
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dhanfast.engine.generated import generated_bars
from dhanfast.engine.research.memo import Memo
from dhanfast.engine.research.prepare import Prepared, prepared
from dhanfast.engine.research.search import Engines, optimize
from dhanfast.engine.research.shared import holding
from dhanfast.engine.research.trial import Bench, Job
from dhanfast.engine.research.walk import walk_forward
from dhanfast.engine.research.windows import Plan
from dhanfast.engine.settings import Settings
from dhanfast.reports.overfitting import overfitting_probability

FULL = pytest.mark.skipif(
    "DHANFAST_FULL_BENCH" not in os.environ,
    reason="takes minutes of both cores: set DHANFAST_FULL_BENCH=1",
)
# So much capital that every trial trades to its end.
RICH = Settings(capital=10**13)
RANGES = (
    "ema=5..50:5", "rsi_long=55..75:5", "rsi_short=25..45:5", "stop_atr=1..3:0.5",
    "target_atr=2.5..6:0.5",
)  # fmt: skip
SETS = 10_000


@pytest.fixture(scope="module")
def year() -> Prepared:
    """A generated year of BANKNIFTY minutes."""
    bars = generated_bars("BANKNIFTY", dt.date(2022, 1, 1), dt.date(2022, 12, 31))
    return prepared("momentum", bars, settings=RICH)


@pytest.fixture(scope="module")
def years() -> Prepared:
    """Two of them."""
    bars = generated_bars("BANKNIFTY", dt.date(2021, 1, 1), dt.date(2022, 12, 31))
    return prepared("momentum", bars, settings=RICH)


@pytest.mark.parametrize("shared", [True, False])
def test_one_trial(benchmark: Any, year: Prepared, shared: bool) -> None:
    """A year of minutes by the rules `momentum`, from parameters to a row; its indicators are read
    from the trials before, or computed."""
    benchmark.group = "a trial"
    job = year.job
    assert isinstance(job, Job)
    with holding(year.arrays):
        bench = Bench(job, memo=Memo() if shared else Memo(0))
        row = benchmark(bench.trial, 0, {"ema": 12}, year.whole)
    assert row.trades > 1_000


@pytest.mark.parametrize("jobs", [1, 2])
def test_two_hundred_trials(benchmark: Any, year: Prepared, jobs: int) -> None:
    """With the start of the processes: `seconds` is without it."""
    benchmark.group = "200 trials of a year"

    def search() -> float:
        sweep = optimize(year, ranges=RANGES, method="random", trials=200, seed=1,
                         engines=Engines(jobs=jobs))  # fmt: skip
        return sweep.seconds

    benchmark.extra_info["seconds"] = benchmark.pedantic(search, rounds=2)


@FULL
@pytest.mark.parametrize("jobs", [1, 2])
def test_ten_thousand_sets(benchmark: Any, year: Prepared, jobs: int) -> None:
    """The bar: 60 s on two cores, at least 1.9 times one core."""
    benchmark.group = "10,000 sets x a year"

    def search() -> Any:
        return optimize(year, ranges=RANGES, engines=Engines(jobs=jobs))

    sweep = benchmark.pedantic(search, rounds=1)
    assert len(sweep.rows) == SETS
    benchmark.extra_info |= {"seconds": sweep.seconds, "digest": sweep.digest}


@FULL
def test_walk_forward(benchmark: Any, years: Prepared) -> None:
    """The bar: 12 windows x 200 trials x two years in 30 s on two cores."""
    benchmark.group = "walk-forward"
    plan = Plan(kind="rolling", train=240, test=21, windows=12, purge=1)

    def walk() -> Any:
        return walk_forward(years, plan, ranges=RANGES, method="random", trials=200, seed=1,
                            engines=Engines(jobs=2))  # fmt: skip

    found = benchmark.pedantic(walk, rounds=1)
    assert found.trials == 2_400


def test_overfitting_of_a_thousand_trials(benchmark: Any) -> None:
    """12,870 splits of a year of days."""
    import numpy as np

    benchmark.group = "judging"
    table = np.random.default_rng(1).normal(0, 1, (248, 1000))
    benchmark.pedantic(overfitting_probability, (table,), rounds=2)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """A scheduler and two workers of one thread on this machine."""
    pytest.importorskip("distributed")
    processes: list[subprocess.Popen[str]] = []

    def start(module: str, ready: str, *words: str) -> str:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *words,
             "--host", "127.0.0.1"],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=tmp_path,
        )  # fmt: skip
        processes.append(process)
        assert process.stderr is not None
        return next(line for line in process.stderr if ready in line)

    line = start("dask_scheduler", "Scheduler at:", "--port", "0", "--dashboard-address",
                 "127.0.0.1:0")  # fmt: skip
    address = line.rpartition(" ")[2].strip()
    for _ in range(2):
        start("dask_worker", "Starting established", address, "--nthreads", "1", "--no-nanny",
              "--no-dashboard", "--local-directory", str(tmp_path))  # fmt: skip
    yield address
    for process in reversed(processes):
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


@FULL
def test_cluster_against_processes(benchmark: Any, year: Prepared, cluster: str) -> None:
    """The bar: a job of 10 s and more is at most 15 % slower; wall time with every start."""
    benchmark.group = "cluster against processes"
    trials = 3_000

    def seconds(engines: Engines) -> float:
        started = time.perf_counter()
        optimize(year, ranges=RANGES, method="random", trials=trials, seed=1, engines=engines)
        return time.perf_counter() - started

    pairs = []

    def both() -> None:
        pairs.append((seconds(Engines(jobs=2)), seconds(Engines(scheduler=cluster))))

    benchmark.pedantic(both, rounds=2)
    benchmark.extra_info["pairs"] = pairs
    benchmark.extra_info["overhead"] = sorted(there / here - 1 for here, there in pairs)
