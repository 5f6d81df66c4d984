"""Walk-forward: choose on some days, trade the choice on others, put the others together."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from dhanfast.engine.research.prepare import Prepared
from dhanfast.engine.research.proposals import RANDOM_TRIALS, check_method, method_head
from dhanfast.engine.research.proposals import proposals_of as proposals
from dhanfast.engine.research.search import (
    YEAR,
    Engines,
    Hunt,
    Told,
    best_of,
    digest_of,
    judge,
    pool_of,
    refuse_all_refused,
    run_hunts,
    table_of,
)
from dhanfast.engine.research.shared import holding
from dhanfast.engine.research.space import Space, space_of
from dhanfast.engine.research.study import Study
from dhanfast.engine.research.trial import Row, Trials, joined
from dhanfast.engine.research.windows import Plan, Window, paths_of, windows_of
from dhanfast.errors import UsageError
from dhanfast.reports import metrics
from dhanfast.reports.montecarlo import RUNS, RUNS_MAX, Resampled, resample
from dhanfast.reports.overfitting import (
    Deflated,
    Overfitting,
    deflated_sharpe,
    moments,
    overfitting_probability,
)
from dhanfast.reports.result import RunResult
from dhanfast.strategies.params import Value

BLOCKS: Final = 12  # of the days of a window: 924 splits


@dataclass(frozen=True)
class Step:
    """One window: what was chosen in it, and what the choice made out of it.

    Attributes:
        dates: (first, last) of each stretch of training and test, YYYYMMDD.
        chosen: the best trial in the training days; None when no trial had a score.
        deflated, overfitting: of the choice among this window's trials.
        net, sharpe, trades: of the test days, net in paise.
        efficiency: net a day in the test over net a day in training; None unless training won.
    """

    train_dates: tuple[tuple[int, int], ...]
    test_dates: tuple[tuple[int, int], ...]
    train_days: int
    test_days: int
    chosen: Row | None
    deflated: Deflated | None
    overfitting: Overfitting | None
    net: int
    sharpe: float | None
    trades: int
    efficiency: float | None


@dataclass(frozen=True)
class Stability:
    """How much one parameter changed from window to window.

    Attributes:
        values: chosen, by window. common, share: the most frequent value, and in how many windows.
        changes: between neighbours. spread: standard deviation over the width of its range; None
            for what is no number.
    """

    name: str
    values: tuple[Value, ...]
    common: Value
    share: float
    changes: int
    spread: float | None


@dataclass(frozen=True)
class WalkForward:
    """A walk-forward, complete.

    Attributes:
        stitched: the tests as one run, each begun with the capital and without positions; of a
            combinatorial one the first path. paths: yearly Sharpe ratio of each path.
        efficiency: net a day of all tests over net a day of all training; None unless that won.
        trials: backtests that were run to choose.
        probabilistic, deflated: of the stitched days; deflated by the trials of one window, which
            is stricter than it must be: these days did not choose.
        overfitting: mean of the windows'.
        digest: of everything it depends on and gave.
    """

    head: dict[str, Any]
    space: Space
    plan: Plan
    capital: int
    steps: tuple[Step, ...]
    stability: tuple[Stability, ...]
    stitched: RunResult
    paths: tuple[float | None, ...]
    efficiency: float | None
    trials: int
    deflated: Deflated | None
    overfitting: float | None
    resampled: tuple[Resampled, ...]
    notes: tuple[str, ...]
    digest: str
    seconds: float


def walk_forward(
    prepared: Prepared,
    plan: Plan,
    *,
    ranges: Sequence[str] = (),
    method: str = "random",
    trials: int | None = None,
    seed: int = 0,
    engines: Engines | None = None,
    study: Path | None = None,
    resume: bool = False,
    runs: int = RUNS,
    told: Told = lambda done, total: None,
) -> WalkForward:
    """Search in every window, trade each choice in its test, and join the tests.

    Args:
        prepared: strategy, data, settings and objective. plan: the windows.
        ranges, method, trials, seed, engines, study, resume, told: as for `search.optimize`; each
            window has as many trials.
        runs: of the Monte-Carlo of the stitched trades.
    Raises:
        as `search.optimize`; UsageError: windows that do not fit, no window with a choice.
    """
    check_method(method, trials, seed)
    if not 1 <= runs <= RUNS_MAX:
        raise UsageError(f"runs must be in 1..{RUNS_MAX:,}, was {runs}")
    space = space_of(prepared.declared, ranges, prepared.job.params)
    windows = windows_of(plan, len(prepared.job.sessions))
    each = (space.size or 0) if method == "grid" else trials or RANDOM_TRIALS
    hunts = [
        Hunt(proposals(method, space, trials, seed), window.train, at * each)
        for at, window in enumerate(windows)
    ]
    head = {**prepared.head, **method_head(method, space, seed), "windows": plan.as_dict(),
            "trials_a_window": each}  # fmt: skip
    started = time.perf_counter()
    with ExitStack() as stack:
        kept = None
        if study is not None:
            kept = stack.enter_context(Study(study, head, resume=resume))
        pool = stack.enter_context(pool_of(prepared, engines or Engines()))
        run_hunts(hunts, pool, kept, told, each * len(windows))
    refuse_all_refused([row for hunt in hunts for row in hunt.rows])
    return _found(prepared, plan, space, windows, hunts, head, runs, seed, started)


def _found(
    prepared: Prepared,
    plan: Plan,
    space: Space,
    windows: Sequence[Window],
    hunts: Sequence[Hunt],
    head: dict[str, Any],
    runs: int,
    seed: int,
    started: float,
) -> WalkForward:
    """Test every choice, join the tests, and judge them."""
    with holding(prepared.arrays):
        tests = _tests(prepared.job.bench(), windows, hunts)
    steps = tuple(_step(prepared, *one) for one in zip(windows, hunts, tests, strict=True))
    paths = [_stitched(tests, path) for path in paths_of(plan, windows)]
    whole = next((path for path in paths if path is not None), None)
    if whole is None:
        raise UsageError(
            f"no trial of any window has a score by {prepared.job.objective.name}: widen the "
            "ranges or the training days"
        )
    rows = [row for hunt in hunts for row in hunt.rows]
    digest = digest_of(
        [
            head,
            *(row.as_dict() for row in rows),
            metrics.daily_pnl(whole).tolist(),
            metrics.trade_net(whole.trades).tolist(),
        ]
    )
    judged = [step.overfitting.probability for step in steps if step.overfitting is not None]
    return WalkForward(
        head=head,
        space=space,
        plan=plan,
        capital=prepared.job.settings.capital,
        steps=steps,
        stability=_stability(space, steps),
        stitched=_told(prepared, whole, len(windows), digest),
        paths=tuple(None if path is None else _sharpe(path) for path in paths),
        efficiency=_efficiency(steps),
        trials=sum(not row.refused for row in rows),
        deflated=_deflated(whole, hunts, head["trials_a_window"]),
        overfitting=_mean(judged),
        resampled=_resampled(whole, runs, seed),
        notes=prepared.notes,
        digest=digest,
        seconds=time.perf_counter() - started,
    )


def _told(prepared: Prepared, whole: RunResult, windows: int, digest: str) -> RunResult:
    """The stitched run with what a report must say of it."""
    note = (
        f"Out of sample: {windows} tests of a walk-forward, one after the other. Each began with "
        "the capital and without positions; its parameters were chosen on other days."
    )
    return replace(
        whole,
        data=prepared.data,
        notes=(note, *prepared.notes),
        config={**whole.config, "params": dict(prepared.job.params)},
        digest=digest,
    )


def _tests(
    bench: Trials, windows: Sequence[Window], hunts: Sequence[Hunt]
) -> list[list[RunResult] | None]:
    """What each choice made of its test stretches; None without a choice."""
    found: list[list[RunResult] | None] = []
    for window, hunt in zip(windows, hunts, strict=True):
        best = best_of(hunt.rows)
        found.append(
            None if best is None else [bench.result(best.params, (span,)) for span in window.test]
        )
    return found


def _step(prepared: Prepared, window: Window, hunt: Hunt, tests: list[RunResult] | None) -> Step:
    dates = prepared.job.sessions["date"]
    best = best_of(hunt.rows)
    made = None if tests is None else joined(tests)
    net = 0 if made is None else int(metrics.daily_pnl(made).sum())
    table = table_of(hunt.rows)
    efficiency = None
    if best is not None and best.net > 0:
        efficiency = (net / window.test_days) / (best.net / window.train_days)

    def stretches(spans: Any) -> tuple[tuple[int, int], ...]:
        return tuple((int(dates[span.first]), int(dates[span.last - 1])) for span in spans)

    return Step(
        train_dates=stretches(window.train),
        test_dates=stretches(window.test),
        train_days=window.train_days,
        test_days=window.test_days,
        chosen=best,
        deflated=judge(hunt.rows, best),
        overfitting=overfitting_probability(table, BLOCKS) if table.shape[1] > 1 else None,
        net=net,
        sharpe=None if made is None else _sharpe(made),
        trades=0 if made is None else len(made.trades),
        efficiency=efficiency,
    )


def _stitched(
    tests: Sequence[list[RunResult] | None], path: Sequence[tuple[int, int]]
) -> RunResult | None:
    """The tests of a path as one run; windows without a choice did not trade."""
    parts = [found[part] for at, part in path if (found := tests[at]) is not None]
    return joined(parts) if parts else None


def _sharpe(result: RunResult) -> float | None:
    return metrics.sharpe(metrics.daily_returns(result))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _efficiency(steps: Sequence[Step]) -> float | None:
    """Net a day of all tests over net a day of all training days."""
    chosen = [step for step in steps if step.chosen is not None]
    train = sum(step.chosen.net for step in chosen if step.chosen is not None)
    days = sum(step.train_days for step in chosen)
    if train <= 0:
        return None
    tested = sum(step.net for step in chosen) / sum(step.test_days for step in chosen)
    return tested / (train / days)


def _deflated(whole: RunResult, hunts: Sequence[Hunt], each: int) -> Deflated | None:
    """The stitched days against the best of one window's trials, had none any skill."""
    of = moments(metrics.daily_returns(whole))
    sharpes = [row.sharpe / YEAR for hunt in hunts for row in hunt.rows if row.sharpe is not None]
    return None if of is None else deflated_sharpe(of, sharpes, each)


def _stability(space: Space, steps: Sequence[Step]) -> tuple[Stability, ...]:
    chosen = [step.chosen for step in steps if step.chosen is not None]
    found = []
    for axis in space.axes if chosen else ():
        values = tuple(row.params[axis.name] for row in chosen)
        common, count = Counter(values).most_common(1)[0]
        ends = (axis.low, axis.high) if axis.continuous else (axis.points[0], axis.points[-1])
        spread = None
        if all(isinstance(value, int | float) and not isinstance(value, bool)
               for value in (*values, *ends)):  # fmt: skip
            width = abs(float(ends[1]) - float(ends[0]))
            spread = float(np.std([float(v) for v in values])) / width if width else None
        found.append(
            Stability(
                name=axis.name,
                values=values,
                common=common,
                share=count / len(values),
                changes=sum(a != b for a, b in pairwise(values)),
                spread=spread,
            )
        )
    return tuple(found)


def _resampled(whole: RunResult, runs: int, seed: int) -> tuple[Resampled, ...]:
    net = metrics.trade_net(whole.trades) / metrics.UPAISE
    made = [resample(net, kind=kind, runs=runs, seed=seed) for kind in ("bootstrap", "shuffle")]
    return tuple(one for one in made if one is not None)
