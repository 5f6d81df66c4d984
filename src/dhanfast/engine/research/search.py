"""Drives searches: rounds of points to a pool, rows into the study, until none is left to try."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast.engine.research.pool import Ask, Here, Pool, Processes, jobs_of
from dhanfast.engine.research.prepare import Prepared
from dhanfast.engine.research.proposals import Proposals, check_method, method_head, proposals_of
from dhanfast.engine.research.shared import holding, put
from dhanfast.engine.research.space import Point, Space, space_of
from dhanfast.engine.research.study import Study
from dhanfast.engine.research.trial import Row, Span
from dhanfast.errors import BadData, UsageError
from dhanfast.reports.overfitting import (
    Deflated,
    Overfitting,
    deflated_sharpe,
    effective_trials,
    moments,
    overfitting_probability,
)

YEAR: float = 252**0.5
Told = Callable[[int, int], None]  # trials done, of how many (0: not known)


@dataclass(frozen=True)
class Engines:
    """Who runs the trials.

    Attributes:
        jobs: processes of this machine; None: one a core. scheduler: address of a dask scheduler
            whose workers run them instead.
    """

    jobs: int | None = None
    scheduler: str | None = None


@dataclass
class Hunt:
    """One search among several that share a pool.

    Attributes:
        proposals: what it tries. spans: days its trials run over. base: number of its first trial.
        rows: what they gave, in order.
    """

    proposals: Proposals
    spans: tuple[Span, ...]
    base: int = 0
    rows: list[Row] = field(default_factory=list)

    def asks(self) -> list[Ask]:
        """The next round."""
        first = self.base + len(self.rows)
        return [
            Ask(first + at, point, self.spans) for at, point in enumerate(self.proposals.next())
        ]


@contextmanager
def pool_of(prepared: Prepared, engines: Engines) -> Iterator[Pool]:
    """A pool that is ready, with the bars where it needs them.

    Raises:
        UsageError: jobs out of range; no cluster at the address, or dask is not installed.
    """
    with ExitStack() as stack:
        if engines.scheduler is not None:
            if engines.jobs is not None:
                raise UsageError("jobs: a cluster has as many workers as it has; leave it out")
            from dhanfast.engine.research.cluster import Cluster

            yield stack.enter_context(Cluster(prepared.job, prepared.arrays, engines.scheduler))
            return
        jobs = jobs_of(engines.jobs)
        stack.enter_context(holding(prepared.arrays))
        if jobs == 1:
            yield stack.enter_context(Here(prepared.job))
            return
        yield stack.enter_context(Processes(prepared.job, jobs, lambda: _hold_again(prepared)))


def _hold_again(prepared: Prepared) -> None:
    """Another search of the same bars may have ended and taken them away."""
    for held, rows in zip(prepared.job.held, prepared.arrays, strict=True):
        put(held, np.ascontiguousarray(rows).view(np.uint8).data)


def run_hunts(
    hunts: Sequence[Hunt], pool: Pool, study: Study | None, told: Told, total: int
) -> None:
    """Run searches to their end, their rounds side by side.

    Args:
        total: trials of all of them, for `told`.
    Raises:
        BadData: the study has other trials than the search asks for.
        StrategyError: the strategy raised.
    """
    done = 0
    known = study.rows if study is not None else {}
    while True:
        rounds = [(hunt, asks) for hunt in hunts if (asks := hunt.asks())]
        if not rounds:
            return
        found = {ask.number: _known(known, ask) for _, asks in rounds for ask in asks}
        open_asks = _distinct([ask for _, asks in rounds for ask in asks
                               if found[ask.number] is None], hunts)  # fmt: skip
        done += sum(row is not None for row in found.values())
        fresh: list[Row] = []
        kept_s = time.perf_counter()
        try:
            for _, row in pool.rows(open_asks):
                found[row.number] = row
                fresh.append(row)
                done += 1
                if study is not None and time.perf_counter() - kept_s > 0.2:
                    study.add(fresh)
                    fresh, kept_s = [], time.perf_counter()
                told(done, total)
        finally:
            if study is not None and fresh:
                study.add(fresh)
        for hunt, asks in rounds:
            rows = [_of(hunt, ask, found) for ask in asks]
            if study is not None:
                study.add(row for row, ask in zip(rows, asks, strict=True)
                          if found[ask.number] is None)  # fmt: skip
            hunt.rows += rows
            hunt.proposals.told(rows)


def _known(rows: Mapping[int, Row], ask: Ask) -> Row | None:
    row = rows.get(ask.number)
    if row is not None and row.params != ask.params:
        raise BadData(
            f"study: trial {ask.number} was run with {row.params}, the search asks for "
            f"{ask.params}; begin a new study"
        )
    return row


def _key(point: Point) -> tuple[Any, ...]:
    return tuple(point.values())


def _distinct(asks: list[Ask], hunts: Sequence[Hunt]) -> list[Ask]:
    """Without those whose point the same search has run, or asks for, before."""
    seen = {(id(hunt.spans), _key(row.params)) for hunt in hunts for row in hunt.rows}
    left = []
    for ask in asks:
        key = (id(ask.spans), _key(ask.params))
        if key not in seen:
            seen.add(key)
            left.append(ask)
    return left


def _of(hunt: Hunt, ask: Ask, found: Mapping[int, Row | None]) -> Row:
    """The row of an ask; of a point that was run before, that row under its own number."""
    row = found[ask.number]
    if row is not None:
        return row
    same = next(
        (one for one in hunt.rows if one.params == ask.params), None
    ) or next(
        one for one in found.values()
        if one is not None and one.params == ask.params and one.number >= hunt.base
    )  # fmt: skip
    return replace(same, number=ask.number)


def best_of(rows: Sequence[Row]) -> Row | None:
    """The highest score, the earliest of equals; None when none has one."""
    scored = [row for row in rows if row.score is not None]
    return max(scored, key=lambda row: (row.score, -row.number)) if scored else None


def refuse_all_refused(rows: Sequence[Row]) -> None:
    """Refuse a search of which no trial could run.

    Raises:
        UsageError: what was said to the first.
    """
    if rows and all(row.refused for row in rows):
        raise UsageError(f"none of {len(rows):,} trials could run: {rows[0].refused}")


def table_of(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Daily profits of the trials that ran: one row a day, one column a trial.

    Units:
        paise.
    """
    ran = [row.daily for row in rows if not row.refused]
    return np.array(ran, np.float64).T if ran else np.zeros((0, 0))


def digest_of(parts: Sequence[object]) -> str:
    """SHA-256 of JSON-able parts: equal searches have equal digests, whoever ran them."""
    total = hashlib.sha256()
    for part in parts:
        total.update(json.dumps(part, separators=(",", ":")).encode() + b"\n")
    return total.hexdigest()


def judge(rows: Sequence[Row], best: Row | None) -> Deflated | None:
    """The chosen trial's Sharpe ratio, deflated by all that ran."""
    if best is None or (of := moments(best.daily)) is None:
        return None
    sharpes = [row.sharpe / YEAR for row in rows if row.sharpe is not None]
    return deflated_sharpe(of, sharpes, sum(not row.refused for row in rows))


@dataclass(frozen=True)
class Sweep:
    """What a search found, and what finding it is worth.

    Attributes:
        head: what was searched. rows: every trial in order. best: the highest score.
        deflated, overfitting, effective: see `reports.overfitting`; None where not defined.
        digest: of everything the trials depend on and gave. seconds: of the trials, this time.
        fresh: trials that were run this time, not taken from the study.
    """

    head: dict[str, Any]
    space: Space
    capital: int
    rows: tuple[Row, ...]
    best: Row | None
    deflated: Deflated | None
    overfitting: Overfitting | None
    effective: float | None
    notes: tuple[str, ...]
    digest: str
    seconds: float
    fresh: int


def optimize(
    prepared: Prepared,
    *,
    ranges: Sequence[str] = (),
    method: str = "grid",
    trials: int | None = None,
    seed: int = 0,
    engines: Engines | None = None,
    study: Path | None = None,
    resume: bool = False,
    told: Told = lambda done, total: None,
) -> Sweep:
    """Search the parameters that maximise the objective.

    Args:
        prepared: strategy, data, settings and objective.
        ranges: `NAME=LOW..HIGH:STEP` and so on; none: the strategy's own search space.
        method: grid, random or bayes. trials: of random and bayes; 100 unless given.
        study: file that keeps each trial. resume: go on with one that is there.
        told: called as trials are done.
    Returns:
        Every trial. The best one's score is the luckiest too: see `deflated` and `overfitting`.
    Raises:
        UsageError, ConfigError, BadData: see `space_of`, `proposals_of`, `Study`.
        StrategyError: the strategy raised; the message names the parameters.
        UsageError: the strategy refuses every point.
    """
    check_method(method, trials, seed)
    space = space_of(prepared.declared, ranges, prepared.job.params)
    hunt = Hunt(proposals_of(method, space, trials, seed), prepared.whole)
    head = {**prepared.head, **method_head(method, space, seed)}
    known = trials or (space.size if method == "grid" else 100) or 0
    with ExitStack() as stack:
        kept = None
        if study is not None:
            kept = stack.enter_context(Study(study, head | {"trials": known}, resume=resume))
        pool = stack.enter_context(pool_of(prepared, engines or Engines()))
        started = time.perf_counter()
        run_hunts([hunt], pool, kept, told, known)
        seconds = time.perf_counter() - started
    rows = tuple(hunt.rows)
    refuse_all_refused(rows)
    table = table_of(rows)
    best = best_of(rows)
    enough = table.shape[1] > 1
    return Sweep(
        head=head,
        space=space,
        capital=prepared.job.settings.capital,
        rows=rows,
        best=best,
        deflated=judge(rows, best),
        overfitting=overfitting_probability(table) if enough else None,
        effective=effective_trials(table) if enough else None,
        notes=prepared.notes,
        digest=digest_of([head, *(row.as_dict() for row in rows)]),
        seconds=seconds,
        fresh=len(rows) - sum(row.number in kept.rows for row in rows) if kept else len(rows),
    )
