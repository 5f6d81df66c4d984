"""Walk-forward: choices of past days, tests of others, figures that are those of the parts."""

import datetime as dt
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dhanfast.engine.research.prepare import Prepared, prepared
from dhanfast.engine.research.search import YEAR, Engines, optimize
from dhanfast.engine.research.walk import WalkForward, walk_forward
from dhanfast.engine.research.windows import Plan
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import UsageError
from dhanfast.reports import metrics
from dhanfast.reports.overfitting import moments
from tests.engine.research.noise import random_walk

RANGES = ["ema=5..50:15", "stop_atr=1..3:1"]
ROLLING = Plan(kind="rolling", train=20, test=6, purge=1, warmup=0)


@pytest.fixture(scope="module")
def bars() -> Any:
    return random_walk(3, "2022-02-01", "2022-03-31")


@pytest.fixture(scope="module")
def made(bars: Any) -> Prepared:
    return prepared("momentum", bars)


def walked(made: Prepared, plan: Plan = ROLLING, jobs: int = 1, **more: Any) -> WalkForward:
    given = {"ranges": RANGES, "method": "grid", **more}
    return walk_forward(made, plan, engines=Engines(jobs=jobs), **given)


def iso(ymd: int) -> dt.date:
    return dt.date.fromisoformat(str(ymd))


def test_each_window_is_a_search_of_its_days_and_a_backtest_of_the_next(
    bars: Any, made: Prepared
) -> None:
    found = walked(made)
    assert len(found.steps) == 3 and found.trials == 36
    pnl: list[int] = []
    for step in found.steps:
        (first, last), (low, high) = step.train_dates[0], step.test_dates[0]
        train = optimize(
            prepared("momentum", bars, start=iso(first), end=iso(last)),
            ranges=RANGES, engines=Engines(jobs=1),
        )  # fmt: skip
        assert train.best is not None and step.chosen is not None
        assert (step.chosen.params, step.chosen.score) == (train.best.params, train.best.score)
        assert step.deflated == train.deflated
        test = backtest("momentum", bars, params=step.chosen.params, start=iso(low), end=iso(high))
        assert step.net == metrics.measure(test).net
        assert step.sharpe == metrics.measure(test).sharpe
        pnl += metrics.daily_pnl(test).tolist()
    assert metrics.daily_pnl(found.stitched).tolist() == pnl
    assert metrics.contradictions(found.stitched) == ()


def test_efficiency_and_stability_by_hand() -> None:
    """On a market with a drift the training wins, so that there is something to be left of it."""
    bars = random_walk(8, "2022-02-01", "2022-03-31")
    made = prepared("momentum", bars, settings=Settings(slippage=Slippage()),
                    params={"stop_atr": 20, "target_atr": 40})  # fmt: skip
    found = walked(made, ranges=["ema=10..130:40", "rsi_long=50..70:10", "rsi_short=30,50"])
    chosen = [step.chosen for step in found.steps if step.chosen is not None]
    train = sum(row.net for row in chosen) / sum(step.train_days for step in found.steps)
    test = sum(step.net for step in found.steps) / sum(step.test_days for step in found.steps)
    assert train > 0
    assert found.efficiency == pytest.approx(test / train)
    for step in found.steps:
        if step.chosen is not None and step.chosen.net > 0:
            assert step.efficiency == pytest.approx(
                (step.net / step.test_days) / (step.chosen.net / step.train_days)
            )
    ema = found.stability[0]
    values = [row.params["ema"] for row in chosen]
    assert ema.values == tuple(values)
    assert ema.share == max(values.count(v) for v in values) / len(values)
    assert ema.changes == sum(a != b for a, b in pairwise(values))


@pytest.mark.parametrize(
    "plan",
    [
        ROLLING,
        Plan(kind="anchored", train=20, test=6),
        Plan(kind="purged", folds=4, purge=1, embargo=1),
        Plan(kind="combinatorial", folds=5, tested=2, purge=1, embargo=1, warmup=2),
    ],
    ids=lambda plan: plan.kind,
)
def test_cores_do_not_show_in_the_result(made: Prepared, plan: Plan) -> None:
    one, two = (walked(made, plan, jobs, method="random", trials=5) for jobs in (1, 2))
    assert one.digest == two.digest
    assert one.stitched.trades.tobytes() == two.stitched.trades.tobytes()
    assert one.resampled == two.resampled


def test_combinatorial_paths_cover_all_days(made: Prepared) -> None:
    found = walked(made, Plan(kind="combinatorial", folds=5, tested=2))
    assert len(found.steps) == 10 and len(found.paths) == 4
    dates = found.stitched.days["date"].tolist()
    assert dates == made.job.sessions["date"].tolist()


def test_deflation_counts_the_trials_of_a_window(made: Prepared) -> None:
    found = walked(made)
    of = moments(metrics.daily_returns(found.stitched))
    assert found.deflated is not None and of is not None
    assert found.deflated.trials == 12
    assert found.deflated.sharpe * YEAR == pytest.approx(metrics.measure(found.stitched).sharpe)


def test_it_goes_on_from_its_study(made: Prepared, tmp_path: Path) -> None:
    path = tmp_path / "w.study"
    whole = walked(made, study=path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:17]) + b"\n" + lines[17][:40])
    counts: list[int] = []
    again = walked(made, study=path, resume=True, told=lambda done, total: counts.append(done))
    assert len(counts) == 20 and counts[-1] == 36
    assert again.digest == whole.digest


def test_bayes_in_windows_is_the_same_on_any_cores(made: Prepared) -> None:
    pytest.importorskip("optuna")
    one, two = (walked(made, jobs=jobs, method="bayes", trials=20) for jobs in (1, 2))
    assert one.digest == two.digest and one.trials == 60


def test_no_choice_anywhere_is_refused(bars: Any) -> None:
    never = prepared("momentum", bars, params={"rsi_long": 100, "rsi_short": 0})
    with pytest.raises(UsageError, match="no trial of any window has a score by sharpe"):
        walked(never, ranges=["ema=5,9"])


def test_the_best_of_many_on_a_random_walk_is_called_noise() -> None:
    """Nothing can be found there. The best looks good by itself, and not by its deflated ratio."""
    looked_good = 0
    for seed in range(4):
        bars = random_walk(seed, "2022-01-01", "2022-04-30")
        made = prepared(
            "momentum", bars, settings=Settings(slippage=Slippage()),
            params={"stop_atr": 20, "target_atr": 40},
        )  # fmt: skip
        sweep = optimize(
            made,
            ranges=["rsi_long=50..80:5", "rsi_short=20..50:5", "ema=10..130:40"],
            engines=Engines(jobs=1),
        )
        assert sweep.best is not None and sweep.best.net > 0
        assert sweep.deflated is not None and sweep.deflated.trials == 196
        assert sweep.deflated.probabilistic is not None and sweep.deflated.deflated is not None
        assert sweep.deflated.deflated < 0.95, "noise is called noise"
        looked_good += sweep.deflated.probabilistic > 0.9
    assert looked_good >= 3, "without deflation it would have passed for something"
