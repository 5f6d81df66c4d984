"""A search over the parameters of a legs file: its job, and its trials.

A trial is `engine.legs.backtest_legs` of the structure with the trial's values in their places,
over days of a shelf (`chain_shelf`) that all processes of a machine share.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.engine.chain_source import ChainSource, ModelledChains
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.legs import backtest_legs, checked_legs
from dhanfast.engine.research.chain_shelf import Shelf, ShelvedChains
from dhanfast.engine.research.objective import Objective, objective_of
from dhanfast.engine.research.prepare import Prepared
from dhanfast.engine.research.shared import Held, mapped
from dhanfast.engine.research.trial import Row, Span, joined, row_of
from dhanfast.engine.settings import Settings
from dhanfast.errors import ConfigError, DhanfastError, UsageError
from dhanfast.reports import metrics
from dhanfast.reports.result import RunResult
from dhanfast.strategies.params import Param, Value

DAYS: Final = np.dtype([("date", "<i8")])
Planned = Callable[[Mapping[str, object]], StructurePlan]


@dataclass(frozen=True, slots=True)
class LegsJob:
    """What every trial of a search over legs has in common.

    Attributes:
        name: of the structure. plan: makes it of values by name; can be sent to a process.
        params: the values that are not searched. days: the shelf. sessions: a `date` a day of it.
    """

    name: str
    plan: Planned
    params: dict[str, Value]
    settings: Settings
    objective: Objective
    days: Held
    sessions: NDArray[Any]

    @property
    def held(self) -> tuple[Held, ...]:
        """What a machine must hold."""
        return (self.days,)

    def bench(self) -> "LegsBench":
        """What runs its trials in this process."""
        return LegsBench(self)


class LegsBench:
    """Runs trials of one job.

    Args:
        job: what they have in common.
    Raises:
        Missing: this machine does not hold the days.
        UsageError: the objective cannot be imported.
    """

    def __init__(self, job: LegsJob) -> None:
        self.job = job
        self._score = job.objective.load()
        self._source = ShelvedChains(mapped(job.days))

    def trial(self, number: int, params: dict[str, Value], spans: Sequence[Span]) -> Row:
        """Run one trial; as `trial.Bench.trial`.

        Raises:
            BadData: no closing value for a structure that is held to its end.
        """
        try:
            result = self.result(params, spans)
        except (UsageError, ConfigError) as error:
            return Row(number, params, refused=str(error))
        except DhanfastError as error:
            shown = ", ".join(f"{name}={value}" for name, value in params.items())
            raise type(error)(f"trial {number} ({shown}): {error}") from error
        return row_of(number, params, result, self._score(result), metrics.deepest(result)[1])

    def result(self, params: Mapping[str, Value], spans: Sequence[Span]) -> RunResult:
        """What the parameters made of some days; days of a warm-up are not run."""
        plan = self.job.plan({**self.job.params, **params})
        refuse_unheld(plan, self._source.expiries)
        parts = []
        for span in spans:
            self._source.first, self._source.last = span.first, span.last
            parts.append(backtest_legs(plan, self._source, self.job.settings))
        return parts[0] if len(parts) == 1 else joined(parts)


def refuse_unheld(plan: StructurePlan, expiries: set[str]) -> None:
    """Refuse a structure whose expiries the search's data was not made for.

    Raises:
        UsageError: a leg takes another expiry.
    """
    lacking = [name for name in plan.expiries if name not in expiries]
    if lacking:
        raise UsageError(
            f"expiry {lacking[0]!r}: the data of the search has {', '.join(sorted(expiries))}; it "
            "is made for the expiries of the file's defaults: leave expiries out of the search"
        )


def prepared_legs(
    plan: Planned,
    declared: Mapping[str, Param],
    source: ChainSource,
    *,
    sha256: str,
    params: Mapping[str, object] | None = None,
    settings: Settings | None = None,
    objective: str = "sharpe",
) -> Prepared:
    """Set up a search over the parameters of a structure.

    Args:
        plan: makes the structure of values by name. declared: its parameters.
        source: prices, of one grade. params: values that are not searched.
        sha256: of the file that the structure is of.
        settings, objective: as for `prepare.prepared`.
    Raises:
        UsageError: an unknown parameter or objective, a structure that a search does not run.
        ConfigError, BadData: as `engine.legs.backtest_legs`.
    """
    settings = checked_legs(settings or Settings())
    goal = objective_of(objective)
    fixed = {name: declared[name].accept(name, value) if name in declared else value
             for name, value in (params or {}).items()}  # fmt: skip
    first = plan(fixed)
    _refuse_unsearched(first, source)
    shelf = Shelf(source)
    held = ShelvedChains(shelf.rows)
    refuse_unheld(first, held.expiries)
    job = LegsJob(
        name=first.name,
        plan=plan,
        params=fixed,  # type: ignore[arg-type]  # what is not declared was refused by the plan
        settings=settings,
        objective=goal,
        days=shelf.held,
        sessions=np.array([(day,) for day in shelf.dates], DAYS),
    )
    return Prepared(
        job=job,
        declared=dict(declared),
        arrays=(shelf.rows,),
        head=_head(job, first, held, shelf, sha256),
        notes=held.told(),
        data=held.data(),
        owner=shelf,
    )


def _refuse_unsearched(first: StructurePlan, source: ChainSource) -> None:
    """Refuse what a search does not run.

    Raises:
        ConfigError: prices of another underlying.
        UsageError: signals, or modelled prices over night.
    """
    if first.underlying != source.underlying:
        raise ConfigError(
            f"underlying: the legs are of {first.underlying}, the data of {source.underlying}"
        )
    if first.lot != source.contracts.lot:
        raise ConfigError(
            f"lot: the legs have {first.lot} units, the data was read for {source.contracts.lot}"
        )
    if first.hedge is not None:
        raise UsageError(
            "hedge: a search does not run a structure that is hedged: the days that its trials "
            "share have no contracts for a hedge; leave [hedge] out"
        )
    if first.signals:
        raise UsageError(
            f"signals: a search does not run a structure that follows {first.signals}; search the "
            "strategy itself, or give the legs an entry time"
        )
    if isinstance(source, ModelledChains) and first.hold != "day":
        raise UsageError(
            "hold: modelled premiums of what is held over night depend on what is held, and a "
            "search shares one set of prices among all trials; give recorded prices, or hold "
            'with hold = "day"'
        )


def _head(
    job: LegsJob, plan: StructurePlan, source: ShelvedChains, shelf: Shelf, sha256: str
) -> dict[str, Any]:
    """What the trials depend on, in the words of `prepare.head_of`, and the grade."""
    made = next((one for one in source.data().values() if isinstance(one, dict)), {})
    read = {
        "symbol": plan.underlying,
        "interval": source.interval,
        "rows": shelf.held.rows,
        "generated": bool(made.get("generated", False)),
        "first": str(shelf.dates[0]),
        "last": str(shelf.dates[-1]),
        "sha256": source.digest()[0].decode(),
    }
    objective = job.objective
    return {
        "strategy": job.name,
        "strategy_sha256": sha256,
        "params": dict(job.params),
        "objective": objective.name,
        "objective_sha256": objective.code.sha256 if objective.code is not None else None,
        "data": {"signals": read, "fills": None},
        "settings": job.settings.as_dict(),
        "grade": source.grade,
    }
