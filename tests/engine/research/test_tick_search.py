"""Searches over ticks: a trial is the backtest, one digest whoever runs it, nothing is left."""

import datetime as dt
import os
import signal
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.research import shared
from dhanfast.engine.research.pool import Ask, Processes
from dhanfast.engine.research.prepare import Prepared
from dhanfast.engine.research.search import Engines, optimize
from dhanfast.engine.research.shared import Gathered, held_of, holding, mapped, put, swept
from dhanfast.engine.research.tick_job import prepared_ticks
from dhanfast.engine.research.trial import Span
from dhanfast.engine.research.walk import walk_forward
from dhanfast.engine.research.windows import Plan
from dhanfast.engine.settings import Settings
from dhanfast.engine.tick_ahead import backtest_days
from dhanfast.engine.tick_days import TickDays, generated_days
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.reports import metrics
from tests.engine.research.noise import random_walk

RANGES = ["ema=5..20:5", "stop_atr=1..2:1"]
RICH = Settings(capital=10**12)


@cache
def days(kind: str = "FUT") -> TickDays:
    """Eight days over an expiry, a month's end and a holiday."""
    span = dt.date(2022, 2, 22), dt.date(2022, 3, 4)
    return generated_days("BANKNIFTY", *span, seed=7, ticks=30_000, kind=kind)


@cache
def made() -> Prepared:
    return prepared_ticks("momentum", days(), settings=RICH)


@pytest.mark.parametrize("kind", ["FUT", "IDX"])
def test_a_trial_is_the_backtest_to_the_paisa(kind: str) -> None:
    search = made() if kind == "FUT" else prepared_ticks("momentum", days(kind), settings=RICH)
    for params in ({"ema": 5, "stop_atr": 1.0}, {"ema": 20, "stop_atr": 2.5}):
        row = search.job.bench().trial(3, dict(params), search.whole)
        result = backtest_days("momentum", days(kind), params=params, settings=RICH)
        assert row.net == metrics.daily_pnl(result).sum()
        assert row.trades == len(result.trades) > 3
        assert np.array_equal(row.daily, metrics.daily_pnl(result))
        assert row.drawdown == metrics.deepest(result)[1]
        assert row.sharpe == metrics.sharpe(metrics.daily_returns(result))
    assert search.notes[0].startswith("The market data is generated")


def test_a_span_is_the_backtest_of_its_days() -> None:
    row = made().job.bench().trial(0, {"ema": 5}, (Span(2, 5),))
    part = generated_days("BANKNIFTY", dt.date(2022, 2, 24), dt.date(2022, 2, 28), seed=7,
                          ticks=30_000)  # fmt: skip
    result = backtest_days("momentum", part, params={"ema": 5}, settings=RICH)
    assert (row.net, row.trades) == (metrics.daily_pnl(result).sum(), len(result.trades))


def test_one_process_two_and_a_killed_one_give_one_digest() -> None:
    found = {optimize(made(), ranges=RANGES, engines=Engines(jobs=jobs)).digest for jobs in (1, 2)}
    killed: list[int] = []
    expected = optimize(made(), ranges=RANGES, engines=Engines(jobs=1))
    asks = [Ask(row.number, row.params, made().whole) for row in expected.rows]
    with holding(made().arrays), Processes(made().job, 2) as pool:
        rows = {}
        for place, row in pool.rows(asks):
            rows[place] = row
            if not killed:
                killed.append(pool.pids[0])
                os.kill(pool.pids[0], signal.SIGKILL)
    assert [rows[at].as_dict() for at in range(len(asks))] == [r.as_dict() for r in expected.rows]
    assert found == {expected.digest}
    assert len({row.net for row in expected.rows}) > 2
    assert killed


def test_a_walk_forward_runs_on_ticks() -> None:
    plan = Plan(kind="rolling", train=3, test=2, windows=2, warmup=1)
    digests = {walk_forward(made(), plan, ranges=RANGES, method="grid",
                            engines=Engines(jobs=jobs)).digest for jobs in (1, 2)}  # fmt: skip
    assert len(digests) == 1


def test_the_ticks_lie_in_one_file_which_goes_with_the_search() -> None:
    mine = generated_days("BANKNIFTY", dt.date(2022, 2, 22), dt.date(2022, 2, 23), seed=8)
    search = prepared_ticks("momentum", mine, settings=RICH)
    held = search.job.held[0]
    assert held.kind == "ticks"
    assert held.path.stat().st_size == held.rows * TICK_DTYPE.itemsize
    assert np.array_equal(search.arrays[0], np.concatenate([b.copy() for b in mine.here()]))
    with pytest.raises(ValueError, match="read-only"):
        search.arrays[0]["price"] = 0
    optimize(search, ranges=["ema=5..10:5"], engines=Engines(jobs=2))
    assert held.path.exists()  # a search may follow
    del search
    assert not held.path.exists()


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(UsageError, match="give its name or its class"):
        prepared_ticks(object(), days())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="objective"):
        prepared_ticks("momentum", days(), objective="luck")
    with pytest.raises(BadData, match="the data has no ticks"):
        Gathered([np.empty(0, TICK_DTYPE)], "ticks")
    with pytest.raises(BadData, match="rows must be"):
        held_of(np.zeros(3))
    search = prepared_ticks("vwap", days("IDX"))
    with pytest.raises(DhanfastError, match="volume"):
        search.job.bench().trial(0, {}, (Span(0, 2),))


# ---- what a kill leaves --------------------------------------------------------------------------


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for temporary files of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def walk(seed: int) -> NDArray[Any]:
    return random_walk(seed, "2022-02-01", "2022-02-03").bars


def test_what_a_killed_search_left_is_taken_by_the_next(temporary: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from dhanfast.engine.research.shared import Gathered, holding
        from tests.engine.research.noise import random_walk
        bars = random_walk(int(sys.argv[1]), "2022-02-01", "2022-02-03").bars
        kept = Gathered([bars[:100], bars[100:200]], "bars")
        with holding([bars]):
            print("ready", flush=True)
            input()
        """
    )
    root = Path(__file__).parents[3]
    searches = [
        subprocess.Popen([sys.executable, "-c", script, days_], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True, cwd=root,
                         env={**os.environ, "TMPDIR": str(temporary)})
        for days_ in ("3", "4")
    ]  # fmt: skip
    try:
        for one in searches:
            assert one.stdout is not None and one.stdout.readline() == "ready\n"
        assert len(list(temporary.iterdir())) == 4
        (temporary / "dhanfast-notes.bars").write_text("somebody's own")
        searches[0].kill()
        searches[0].wait()
        assert swept() == 2  # of the dead; the living one has its own
        assert len(list(temporary.iterdir())) == 3
        with holding([walk(5)]):
            assert len(list(temporary.iterdir())) == 4
            assert swept() == 0
        searches[1].kill()
        searches[1].wait()
        with holding([walk(5)]):  # the next run does it by itself
            assert len(list(temporary.iterdir())) == 2
    finally:
        for one in searches:
            one.kill()
            one.wait()
            for pipe in (one.stdin, one.stdout):
                assert pipe is not None
                pipe.close()
    assert [path.name for path in temporary.iterdir()] == ["dhanfast-notes.bars"]


def test_a_file_that_is_being_written_is_not_swept(temporary: Path) -> None:
    bars = walk(3)
    seen: list[int] = []

    def batches() -> Any:
        yield bars[:50]
        seen.append(swept())
        yield bars[50:]

    gathered = Gathered(batches(), "bars")
    assert seen == [0]
    assert np.array_equal(gathered.rows, bars)
    assert gathered.held == held_of(bars)
    again = Gathered([bars], "bars")  # the same rows: one file for both
    assert len(list(temporary.iterdir())) == 1
    del gathered
    assert np.array_equal(mapped(again.held), bars)
    del again
    assert not list(temporary.iterdir())


def test_a_full_disk_is_told(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shared.os, "replace", full)
    bars = walk(3)
    for attempt in (lambda: put(held_of(bars), bars.tobytes()), lambda: Gathered([bars], "bars")):
        with pytest.raises(DhanfastError, match=r"the bars .*No space left.*TMPDIR"):
            attempt()
    assert not list(temporary.iterdir())
