"""A trial is the backtest with the same parameters, to the paisa, whoever runs it."""

import datetime as dt
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast.engine.filter_settings import FilterSettings
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.research import pool as pools
from dhanfast.engine.research.objective import SCORES, objective_of
from dhanfast.engine.research.pool import Ask, Here, Processes, Sizer, jobs_of
from dhanfast.engine.research.prepare import Prepared, prepared
from dhanfast.engine.research.search import Engines, optimize
from dhanfast.engine.research.shared import Missing, held_of, holding, mapped
from dhanfast.engine.research.trial import Bench, Row, Span
from dhanfast.engine.research.worker import sendable
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.engine.stop_settings import StopSettings
from dhanfast.errors import BadData, DhanfastError, StrategyError, UsageError
from dhanfast.reports import metrics
from dhanfast.reports.result import RunResult
from dhanfast.storage.bars import write_parquet
from dhanfast.strategies import Rules, RuleStrategy, param
from tests.engine.research.noise import random_walk

RANGES = ["ema=5..25:10", "rsi_long=55..75:10", "stop_atr=1..3:1"]


@pytest.fixture(scope="module")
def bars() -> Any:
    return random_walk(3, "2022-02-01", "2022-03-31")


@pytest.fixture(scope="module")
def made(bars: Any) -> Prepared:
    return prepared("momentum", bars)


@pytest.mark.parametrize("objective", list(SCORES))
def test_the_winner_is_the_backtest_with_its_parameters(bars: Any, objective: str) -> None:
    sweep = optimize(
        prepared("momentum", bars, objective=objective), ranges=RANGES, engines=Engines(jobs=1)
    )
    assert sweep.best is not None and len(sweep.rows) == 27
    run = backtest("momentum", bars, params=sweep.best.params)
    got = metrics.measure(run)
    row = sweep.best
    assert (row.net, row.charges, row.trades, row.wins, row.drawdown, row.sharpe) == (
        got.net, got.charges_total, got.trades.count, got.trades.wins, got.drawdown_amount,
        got.sharpe,
    )  # fmt: skip
    assert row.daily.tolist() == metrics.daily_pnl(run).tolist()
    wanted = {
        "net": got.net, "sharpe": got.sharpe, "sortino": got.sortino, "calmar": got.calmar,
        "profit-factor": got.trades.profit_factor, "expectancy": got.trades.expectancy,
    }  # fmt: skip
    assert row.score == wanted[objective]
    assert all(one.score is None or one.score <= row.score for one in sweep.rows)


@pytest.mark.parametrize(
    "settings",
    [
        Settings(
            lots=2,
            slippage=Slippage(ticks=3),
            timeframe_ns=5 * 60 * 10**9,
            latency_ns=10**9,
            on_opposite="reverse",
            square_off=None,
        ),
        Settings(
            capital=10**9,
            guards=GuardSettings(trades_max=4, day_loss=2_000_000),
            stops=StopSettings(bars_max=15),
            sizing=SizingSettings(method="risk", risk=800_000),
        ),
        Settings(
            capital=10**9,
            filters=FilterSettings(times=("open", "lunch"), momentum="both", expiry="any"),
        ),
    ],
    ids=["fills", "rules", "filters"],
)
def test_settings_that_change_a_backtest_change_a_trial_alike(
    bars: Any, settings: Settings
) -> None:
    """Sizing, stops, guards, slippage, a longer timeframe, finer bars for fills."""
    sweep = optimize(
        prepared("momentum", bars, settings=settings, detail=bars, params={"rsi": 10}),
        ranges=["ema=5..25:10"],
        engines=Engines(jobs=1),
    )
    for row in sweep.rows:
        run = backtest(
            "momentum", bars, settings=settings, detail=bars, params={"rsi": 10, **row.params}
        )
        assert row.net == metrics.measure(run).net
        assert row.daily.tolist() == metrics.daily_pnl(run).tolist()


def test_a_bench_can_run_the_same_trial_again(made: Prepared) -> None:
    """Nothing of one run is left for the next."""
    with holding(made.arrays):
        bench = Bench(made.job)
        first = bench.trial(0, {"ema": 9}, made.whole)
        bench.trial(1, {"ema": 40, "stop_atr": 0.0}, made.whole)
        again = bench.trial(0, {"ema": 9}, made.whole)
    assert first.as_dict() == again.as_dict()


def test_days_of_a_span_are_the_backtest_of_those_days(bars: Any, made: Prepared) -> None:
    dates = made.job.sessions["date"]
    first, last = (dt.date.fromisoformat(str(int(dates[at]))) for at in (10, 24))
    with holding(made.arrays):
        got = Bench(made.job).result({"ema": 12}, (Span(10, 25),))
    run = backtest("momentum", bars, params={"ema": 12}, start=first, end=last)
    assert got.trades.tobytes() == run.trades.tobytes()
    assert got.days.tobytes() == run.days.tobytes()
    assert got.equity.tobytes() == run.equity.tobytes()


def test_a_warm_up_has_no_trades_and_no_days_and_warms_the_indicators(made: Prepared) -> None:
    with holding(made.arrays):
        bench = Bench(made.job)
        cold = bench.result({"ema": 200, "macd_slow": 200}, (Span(10, 20),))
        warm = bench.result({"ema": 200, "macd_slow": 200}, (Span(10, 20, warmup=3),))
        whole = bench.result({"ema": 200, "macd_slow": 200}, (Span(7, 20),))
    assert warm.days["date"].tolist() == cold.days["date"].tolist()
    assert warm.trades["entry_ns"].min() >= made.job.sessions["open_ns"][10]
    assert warm.equity["time_ns"].min() > made.job.sessions["open_ns"][10]
    assert int(warm.days["equity"][0]) - warm.capital == int(
        warm.days["gross"][0] - warm.days["charges"][0]
    )
    # From the third day on the indicators are those of a run that began three days before.
    later = made.job.sessions["open_ns"][10]
    mine = set(whole.trades["entry_ns"][whole.trades["entry_ns"] >= later].tolist())
    assert mine == set(warm.trades["entry_ns"].tolist())
    assert mine != set(cold.trades["entry_ns"].tolist())


def test_joined_spans_begin_where_the_one_before_ended(made: Prepared) -> None:
    with holding(made.arrays):
        bench = Bench(made.job)
        parts = [bench.result({}, (span,)) for span in (Span(0, 8), Span(12, 20))]
        both = bench.result({}, (Span(0, 8), Span(12, 20)))
        row = bench.trial(0, {}, (Span(0, 8), Span(12, 20)))
    pnl = [metrics.daily_pnl(part).tolist() for part in parts]
    assert metrics.daily_pnl(both).tolist() == pnl[0] + pnl[1] == row.daily.tolist()
    assert metrics.contradictions(both) == ()
    assert row.drawdown == metrics.deepest(both)[1]


def test_one_core_two_cores_and_any_chunks_give_the_same_rows(
    made: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for jobs, chunk_s in ((1, 0.25), (2, 0.25), (2, 0.0)):
        monkeypatch.setattr(pools, "CHUNK_S", chunk_s)
        sweep = optimize(made, ranges=RANGES, engines=Engines(jobs=jobs))
        assert [row.number for row in sweep.rows] == list(range(27))
        digests.add(sweep.digest)
    assert len(digests) == 1


def test_a_killed_worker_changes_nothing(made: Prepared) -> None:
    asks = [Ask(n, {"ema": 5 + n}, made.whole) for n in range(40)]
    with holding(made.arrays):
        with Here(made.job) as here:
            wanted = [row.as_dict() for _, row in here.rows(asks)]
        with Processes(made.job, 2) as pool:
            got: dict[int, Any] = {}
            before = pool.pids
            for place, row in pool.rows(asks):
                got[place] = row.as_dict()
                if len(got) == 5:
                    os.kill(before[0], signal.SIGKILL)
            after = pool.pids
    assert [got[at] for at in range(40)] == wanted
    assert before[1] in after and before[0] not in after


class Deadly(RuleStrategy):
    """Ends its process."""

    def rules(self, m: Any) -> Any:
        os._exit(9)


def test_a_trial_that_kills_every_worker_is_named(bars: Any) -> None:
    made = prepared(Deadly, bars)
    said = r"ended 3 times \(exit 9\) at trial 7"
    with holding(made.arrays), Processes(made.job, 1) as pool:
        rows = pool.rows([Ask(7, {}, made.whole)])
        with pytest.raises(DhanfastError, match=said):
            list(rows)


class Raises(RuleStrategy):
    """Fails when it is set up."""

    def rules(self, m: Any) -> Any:
        raise RuntimeError("no such luck")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_strategy_that_raises_ends_the_search_with_its_parameters(bars: Any, jobs: int) -> None:
    made = prepared(Raises, bars)
    with holding(made.arrays):
        pool: Any = Here(made.job) if jobs == 1 else Processes(made.job, jobs)
        with pool, pytest.raises(StrategyError, match=r"trial 3 \(\): .*no such luck"):
            list(pool.rows([Ask(3, {}, made.whole)]))


class Weighed(RuleStrategy):
    """Asks for volume."""

    def rules(self, m: Any) -> Rules:
        return Rules(long=m.close > m.vwap().middle)


def test_volume_that_is_not_there_is_refused_as_in_a_backtest(bars: Any) -> None:
    none = replace(bars, bars=bars.bars.copy())
    none.bars["volume"] = 0
    with pytest.raises(BadData) as wanted:
        backtest(Weighed, none)
    made = prepared(Weighed, none)
    with holding(made.arrays), pytest.raises(BadData) as found:
        Bench(made.job).trial(0, {}, made.whole)
    assert str(wanted.value) in str(found.value)


class Fearful(RuleStrategy):
    """Buys when India VIX is low."""

    most = param(15.0, low=0, high=100, search=(14, 16, 1))

    def rules(self, m: Any) -> Rules:
        return Rules(long=m.vix < self.most, stop=2.0 * m.atr(14), target=2.0 * m.atr(14))


def test_a_strategy_that_looks_at_vix_sees_it(bars: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none of 3 trials could run: .*looks at India VIX"):
        optimize(prepared(Fearful, bars), engines=Engines(jobs=1))
    rows = bars.bars.copy()
    for name in ("open", "high", "low", "close"):
        rows[name] = 1_500 + (rows[name] - 3_800_000) // 2_000
    write_parquet(tmp_path / "vix.parquet", replace(bars, symbol="INDIAVIX", bars=rows))
    told = GuardSettings(vix_told=1, vix_data=str(tmp_path / "vix.parquet"))
    settings = Settings(guards=told)
    sweep = optimize(prepared(Fearful, bars, settings=settings), engines=Engines(jobs=2))
    runs = [backtest(Fearful, bars, settings=settings, params=row.params) for row in sweep.rows]
    assert [row.net for row in sweep.rows] == [metrics.measure(run).net for run in runs]
    assert len({row.net for row in sweep.rows}) > 1


def test_combinations_that_the_strategy_refuses_are_told_and_left_out(made: Prepared) -> None:
    sweep = optimize(made, ranges=["macd_fast=10..30:10", "macd_slow=20,40"],
                     engines=Engines(jobs=1))  # fmt: skip
    refused = {(r.params["macd_fast"], r.params["macd_slow"]): r.refused for r in sweep.rows}
    assert [key for key, why in refused.items() if why] == [(20, 20), (30, 20)]
    assert "macd: fast must be below slow" in refused[30, 20]
    assert sweep.deflated is not None and sweep.deflated.trials == 4


def test_an_objective_of_ones_own(bars: Any, tmp_path: Path) -> None:
    file = tmp_path / "goal.py"
    file.write_text(
        "def calm(result):\n"
        "    assert len(result.orders) and result.config['params']\n"
        "    return -float(result.equity['equity'].std()) if len(result.trades) > 30 else None\n"
        "def text(result):\n    return 'good'\n"
        "def broken(result):\n    return 1 / 0\n"
        "def summed(result):\n    return result.trades['gross'].sum()\n"
        "def single(result):\n    return result.equity['equity'].astype('f4').max()\n"
        "def vast(result):\n    return 10**400\n"
    )
    made = prepared("momentum", bars, objective=f"{file}:calm")
    assert made.job.objective.each_bar
    sweep = optimize(made, ranges=["ema=5..50:15"], engines=Engines(jobs=2))
    assert sweep.best is not None
    run = backtest("momentum", bars, params=sweep.best.params)
    assert sweep.best.score == -float(run.equity["equity"].std())
    for name, error, said in (
        ("text", UsageError, "must return a number"),
        ("broken", StrategyError, r"raised ZeroDivisionError: .* \(goal.py:7\)"),
    ):
        bad = prepared("momentum", bars, objective=f"{file}:{name}")
        with pytest.raises(error, match=said):
            optimize(bad, ranges=["ema=5..50:15"], engines=Engines(jobs=1))
    # What numpy's sums and extremes give are numbers, too.
    for name, value in (
        ("summed", float(run.trades["gross"].sum())),
        ("single", float(np.float32(run.equity["equity"].max()))),
        ("vast", None),
    ):
        assert objective_of(f"{file}:{name}").load()(run) == value


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sharp", "did you mean sharpe"),
        ("no.such.module:f", "no.such.module cannot be imported"),
        ("math:nothing", "math has no function 'nothing'"),
        ("missing.py:f", "missing.py cannot be read"),
    ],
)
def test_objectives_that_are_none_are_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        objective_of(name)


def test_an_objective_without_a_value_is_none(bars: Any) -> None:
    """No trades: no Sharpe ratio, no profit factor; the trial ran and has no score."""
    sweep = optimize(prepared("momentum", bars, params={"rsi_long": 100, "rsi_short": 0}),
                     ranges=["ema=5,9"], engines=Engines(jobs=1))  # fmt: skip
    assert [row.score for row in sweep.rows] == [None, None]
    assert sweep.best is None and sweep.deflated is None


def test_a_strategy_of_a_file_runs_as_it_was_when_the_search_began(
    bars: Any, tmp_path: Path
) -> None:
    file = tmp_path / "mine.py"
    source = (
        "from dhanfast.strategies import RuleStrategy, Rules, param\n"
        "class Mine(RuleStrategy):\n"
        "    n = param(9, low=2, high=50, search=(5, 20, 5))\n"
        "    def rules(self, m):\n"
        "        return Rules(long=m.close > m.ema(self.n), stop=2.0 * m.atr(14))\n"
    )
    file.write_text(source)
    run = backtest(str(file), bars, params={"n": 10})
    made = prepared(str(file), bars)
    file.write_text("raise RuntimeError('changed')")
    sweep = optimize(made, engines=Engines(jobs=2))
    assert [row.params["n"] for row in sweep.rows] == [5, 10, 15, 20]
    assert sweep.rows[1].net == metrics.measure(run).net


def test_rows_survive_being_written_down(made: Prepared) -> None:
    with holding(made.arrays):
        row = Bench(made.job).trial(5, {"ema": 7, "stop_atr": 0.1}, made.whole)
    again = Row.of_dict(row.as_dict())
    assert again.as_dict() == row.as_dict() and again.daily.tolist() == row.daily.tolist()
    for daily in ("AAAA", [1.5], [2**70], None):
        with pytest.raises((ValueError, OverflowError)):
            Row.of_dict({**row.as_dict(), "daily": daily})


@pytest.fixture
def own(bars: Any) -> Any:
    """Bars that no other process of these tests holds."""
    changed = bars.bars.copy()
    changed["volume"][0] = os.getpid()
    return changed


def test_bars_are_held_once_and_taken_away_by_the_last(own: Any) -> None:
    held = held_of(own)
    with holding([own]):
        with holding([own]):
            assert mapped(held).tobytes() == own.tobytes()
            assert not mapped(held).flags.writeable
        assert held.path.exists()
    assert not held.path.exists()
    with pytest.raises(Missing, match="gone"):
        mapped(held)


def test_bars_that_are_something_else_are_not_used(own: Any) -> None:
    held = held_of(own)
    held.path.write_bytes(b"x" * own.nbytes)
    try:
        with pytest.raises(Missing, match="does not hold the bars"):
            mapped(held)
        with holding([own]):  # put right
            assert len(mapped(held)) == len(own)
    finally:
        held.path.unlink(missing_ok=True)


def test_chunks_grow_with_speed_and_shrink_at_the_end() -> None:
    sizer = Sizer(workers=2, seconds=0.25)
    assert sizer.size(1000) == 1
    sizer.told(1, 0.005)
    assert sizer.size(1000) == 50
    assert sizer.size(40) == 10 and sizer.size(1) == 1
    sizer.told(1, 10.0)
    assert sizer.size(1000) == 1


def test_jobs_out_of_range_are_refused() -> None:
    with pytest.raises(UsageError, match=r"jobs must be in 1\.\.1024, was 0"):
        jobs_of(0)
    assert jobs_of(None) >= 1


def test_an_instance_has_its_parameters_already(bars: Any) -> None:
    from dhanfast.strategies.library.momentum import Momentum

    with pytest.raises(UsageError, match="give its name or its class"):
        prepared(Momentum(), bars)  # type: ignore[arg-type]


class Odd(Exception):
    """Cannot be made from its own arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def goal(result: RunResult) -> float:
    """An objective that is named by its module."""
    if not len(result.trades):
        raise Odd(1, 2)
    return float(np.sum(result.trades["gross"]))


def test_an_objective_of_a_module_and_an_error_that_cannot_travel(bars: Any) -> None:
    named = f"{__name__}:goal"
    sweep = optimize(prepared("momentum", bars, objective=named), ranges=["ema=5,9"],
                     engines=Engines(jobs=2))  # fmt: skip
    assert sweep.best is not None and sweep.best.score is not None
    assert sweep.best.score == sweep.best.net + sweep.best.charges
    assert str(sendable(Odd(3, 4))) == "Odd: 3 and 4"
    told = sendable(StrategyError("said"))
    assert type(told) is StrategyError and str(told) == "said"
