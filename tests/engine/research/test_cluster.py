"""Trials on a dask cluster of this machine: the same digest, also when a worker is killed."""

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dhanfast.engine.research.pool import Ask, Here
from dhanfast.engine.research.prepare import Prepared, prepared
from dhanfast.engine.research.search import Engines, optimize
from dhanfast.engine.research.shared import holding
from dhanfast.engine.research.walk import walk_forward
from dhanfast.engine.research.windows import Plan
from dhanfast.engine.settings import Settings
from dhanfast.errors import DhanfastError, StrategyError, UsageError
from dhanfast.strategies import RuleStrategy
from tests.engine.research.noise import random_walk

pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
# What dask warns about is its own; it may not end a test of ours.
pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]
RANGES = ["ema=5..50:5", "stop_atr=1..3:1"]


class Machine:
    """A scheduler and its workers as processes of this machine, each known by its id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        line = self._start("dask_scheduler", "--port", "0", "--dashboard-address", "127.0.0.1:0")
        self.address = line.rpartition(" ")[2].strip()

    def worker(self) -> int:
        """Start one, wait until the scheduler has it, give its process id."""
        self._start("dask_worker", self.address, "--nthreads", "1", "--no-nanny",
                    "--no-dashboard", "--local-directory", str(self._folder))  # fmt: skip
        return self.processes[-1].pid

    def _start(self, module: str, *words: str) -> str:
        """Start a process; returns the line by which it says that it is there."""
        ready = "Scheduler at:" if module == "dask_scheduler" else "Starting established"
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *words,
             "--host", "127.0.0.1"],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=self._folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        self.processes.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if ready in line:
                return line
        raise AssertionError(f"{module} ended with {process.wait()}")

    def stop(self) -> None:
        """End them, the workers first."""
        for process in reversed(self.processes):
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def made() -> Prepared:
    return prepared("momentum", random_walk(3, "2022-02-01", "2022-03-31"))


def test_a_cluster_searches_and_walks_to_the_same_digest(machine: Machine, made: Prepared) -> None:
    for _ in range(2):
        machine.worker()
    there = Engines(scheduler=machine.address)
    wanted = optimize(made, ranges=RANGES, engines=Engines(jobs=1))
    assert optimize(made, ranges=RANGES, engines=there).digest == wanted.digest
    assert not made.job.bars.path.exists(), "the bars are taken away again"
    # The same workers, the same bars, another setting: nothing of the search before is left.
    rich = prepared("momentum", random_walk(3, "2022-02-01", "2022-03-31"),
                    settings=Settings(lots=2, capital=10**12))  # fmt: skip
    other = optimize(rich, ranges=RANGES, engines=Engines(jobs=1))
    assert optimize(rich, ranges=RANGES, engines=there).digest == other.digest
    assert other.rows[0].net != wanted.rows[0].net
    plan = Plan(kind="rolling", train=20, test=6)
    one = walk_forward(made, plan, ranges=RANGES, engines=Engines(jobs=1), trials=10)
    two = walk_forward(made, plan, ranges=RANGES, engines=there, trials=10)
    assert one.digest == two.digest


def test_a_worker_killed_in_the_middle_changes_nothing(machine: Machine, made: Prepared) -> None:
    from dhanfast.engine.research.cluster import Cluster

    first, _ = machine.worker(), machine.worker()
    asks = [Ask(n, {"ema": 3 + n % 90}, made.whole) for n in range(150)]
    with holding(made.arrays), Here(made.job) as here:
        wanted = [row.as_dict() for _, row in here.rows(asks)]
    got: dict[int, Any] = {}
    with Cluster(made.job, made.arrays, machine.address) as pool:
        for place, row in pool.rows(asks):
            assert place not in got
            got[place] = row.as_dict()
            if len(got) == 20:
                os.kill(first, signal.SIGKILL)
    assert [got[at] for at in range(150)] == wanted


def test_ticks_and_legs_run_on_a_cluster_too(machine: Machine) -> None:
    from dhanfast.engine.research.tick_job import prepared_ticks
    from dhanfast.engine.tick_days import generated_days
    from tests.engine.research import test_legs_search as legs

    machine.worker()
    there = Engines(scheduler=machine.address)
    span = dt.date(2022, 2, 22), dt.date(2022, 2, 24)
    ticks = prepared_ticks("momentum", generated_days("NIFTY", *span, seed=3, ticks=20_000))
    for search, ranges in ((ticks, RANGES), (legs.made(), legs.RANGES)):
        wanted = optimize(search, ranges=ranges, engines=Engines(jobs=1))
        assert optimize(search, ranges=ranges, engines=there).digest == wanted.digest
        assert search.job.held[0].path.exists(), "who prepared the search has it still"


class Raises(RuleStrategy):
    """Fails when it is set up."""

    def rules(self, m: Any) -> Any:
        raise RuntimeError("no such luck")


def test_a_strategy_that_raises_is_told_as_at_home(machine: Machine) -> None:
    from dhanfast.engine.research.cluster import Cluster

    machine.worker()
    broken = prepared(Raises, random_walk(3, "2022-02-01", "2022-02-04"))
    with Cluster(broken.job, broken.arrays, machine.address) as pool:
        rows = pool.rows([Ask(3, {}, broken.whole)])
        with pytest.raises(StrategyError, match=r"trial 3 \(\): .*no such luck"):
            list(rows)


def test_when_all_workers_are_gone_the_search_says_so(
    machine: Machine, made: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dhanfast.engine.research import cluster

    monkeypatch.setattr(cluster, "WAIT_S", 0.5)
    only = machine.worker()
    asks = [Ask(n, {"ema": 3 + n % 90}, made.whole) for n in range(500)]
    with cluster.Cluster(made.job, made.arrays, machine.address) as pool:
        rows = pool.rows(asks)
        next(rows)
        os.kill(only, signal.SIGKILL)
        with pytest.raises(DhanfastError, match="has no workers any more"):
            list(rows)
    assert not made.job.bars.path.exists()


def test_no_workers_and_no_scheduler_are_refused(machine: Machine, made: Prepared) -> None:
    with pytest.raises(UsageError, match="has no workers; start some by `dask worker"):
        optimize(made, ranges=RANGES, engines=Engines(scheduler=machine.address))


def test_nobody_at_the_address_is_refused(made: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dhanfast.engine.research.cluster.CONNECT_S", 0.5)
    with pytest.raises(UsageError, match="nothing answers as a dask scheduler at tcp://127"):
        optimize(made, ranges=RANGES, engines=Engines(scheduler="tcp://127.0.0.1:9"))


def test_other_code_on_a_worker_is_refused(
    machine: Machine, made: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dhanfast.engine.research import cluster

    machine.worker()
    monkeypatch.setattr(cluster, "__version__", "9.9.9")
    with pytest.raises(UsageError, match=r"has dhanfast 0\.1\.0, this machine 9\.9\.9"):
        optimize(made, ranges=RANGES, engines=Engines(scheduler=machine.address))


def test_without_dask_the_message_says_what_to_install(
    made: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'dhanfast\[cluster\]'"):
        optimize(made, ranges=RANGES, engines=Engines(scheduler="tcp://127.0.0.1:9"))


def test_jobs_and_a_scheduler_exclude_each_other(made: Prepared) -> None:
    with pytest.raises(UsageError, match="a cluster has as many workers as it has"):
        optimize(made, ranges=RANGES, engines=Engines(jobs=2, scheduler="tcp://127.0.0.1:9"))
