"""What a search needs before its first trial, set up as `runs.backtest` sets up its one run."""

import datetime as dt
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dhanfast.engine.chain_input import ChainSeen, whole_chain
from dhanfast.engine.guard_build import recorded_vix, vix_note, vix_values
from dhanfast.engine.measured import with_measured
from dhanfast.engine.provenance import data_of
from dhanfast.engine.research.code import code_of
from dhanfast.engine.research.objective import objective_of
from dhanfast.engine.research.shared import held_of
from dhanfast.engine.research.trial import Job, Span, Work
from dhanfast.engine.runs import (
    at_timeframe,
    bars_of,
    meets_of,
    notes_of,
    refuse_unseen_bars,
    sessions_of,
)
from dhanfast.engine.settings import Settings, checked
from dhanfast.errors import UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.storage.slippage import SlippageStore
from dhanfast.strategies.params import Param
from dhanfast.strategies.plugins import BLEND, Found, find_strategy


@dataclass(frozen=True)
class Prepared:
    """A search's job, and what is around it.

    Attributes:
        declared: the strategy's parameters. arrays: bars to be held by every machine.
        head: what the trials depend on, JSON-able. notes: what a reader must know of the data.
        data: what was read, as a result says it. owner: keeps what `arrays` lie in.
    """

    job: Work
    declared: dict[str, Param]
    arrays: tuple[NDArray[Any], ...]
    head: dict[str, Any]
    notes: tuple[str, ...]
    data: dict[str, Any]
    owner: object = None

    @property
    def whole(self) -> tuple[Span, ...]:
        """All days of the data in one run."""
        return (Span(0, len(self.job.sessions)),)


def prepared(
    strategy: str | type,
    data: str | Path | BarSet,
    *,
    params: Mapping[str, object] | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    settings: Settings | None = None,
    detail: str | Path | BarSet | None = None,
    trade_data: str | Path | BarSet | None = None,
    slippages: SlippageStore | None = None,
    objective: str = "sharpe",
) -> Prepared:
    """Set up a search; arguments as `runs.backtest`.

    Raises:
        as `runs.backtest`; UsageError: an instance, which has its parameters already, or an
        unknown objective.
    """
    settings = checked(settings or Settings())
    if not isinstance(strategy, str | type):
        raise UsageError("a search makes the strategy itself: give its name or its class")
    found = find_strategy(strategy, params or {})
    refuse_blend(found)
    signals = bars_of(data, start, end)
    settings = with_measured(settings, signals.symbol, signals.generated, False, slippages)
    refuse_unseen_bars(settings, signals)
    interval_ns = settings.timeframe_ns or signals.interval_ns
    meets = meets_of(detail, trade_data, signals, interval_ns, start, end)
    sessions = sessions_of(signals, settings, meets.interval_ns if meets else interval_ns)
    shown, _ = at_timeframe(signals, interval_ns, sessions)
    vix = recorded_vix(settings.guards)
    chain = whole_chain(settings.chain, signals)
    notes = notes_of(signals, meets, settings, trade_data is not None)
    read = data_of(signals, meets) | ({} if chain is None else {"chain": chain.data})
    job = Job(
        name=found.name,
        **code_place(found.kind),
        params={name: found.settings()[name] for name in params or {}},
        settings=settings,
        symbol=signals.symbol,
        interval_ns=interval_ns,
        match_interval_ns=meets.interval_ns if meets else 0,
        sessions=sessions,
        bars=held_of(shown),
        meets=None if meets is None else held_of(meets.bars),
        objective=objective_of(objective),
        vix=None if vix is None else vix_values(vix),
        chain=chain,
    )
    return Prepared(
        job=job,
        declared=declared(found.kind),
        arrays=(shown,) if meets is None else (shown, meets.bars),
        head=head_of(job, read),
        notes=notes + _seen(vix, chain),
        data=read,
    )


def refuse_blend(found: Found) -> None:
    """Refuse what a search cannot make anew.

    Raises:
        UsageError: it is a blend of strategies.
    """
    if found.door == BLEND:
        raise UsageError(f"{found.name} is a blend, which a search does not make anew: search its "
                         "members one by one")  # fmt: skip


def declared(kind: type) -> dict[str, Param]:
    """The parameters of a strategy's class."""
    asked = getattr(kind, "params", None)
    found: dict[str, Param] = asked() if asked is not None else {}
    return found


def code_place(kind: type) -> dict[str, Any]:
    """Where workers find a class: in a module that all can import, else in a file's source."""
    module = kind.__module__
    if module != "__main__" and not module.startswith("dhanfast_user_"):
        return {"module": module, "kind": kind.__qualname__, "code": None}
    try:
        path = inspect.getfile(kind)
    except (TypeError, OSError) as error:
        raise UsageError(
            f"{kind.__name__}: its code is in no file that workers could read; put it into one"
        ) from error
    return {"module": module, "kind": kind.__qualname__, "code": code_of(path)}


def _seen(vix: BarSet | None, chain: ChainSeen | None) -> tuple[str, ...]:
    """What a reader must know of what comes from outside the bars."""
    told = () if vix is None else (vix_note(vix),)
    return told if chain is None else (*told, *chain.notes)


def head_of(job: Job, read: dict[str, Any]) -> dict[str, Any]:
    """What the trials of a job depend on.

    Args:
        read: of the data, as `provenance.data_of` says it.
    """
    keys = ("symbol", "interval", "rows", "generated", "first", "last", "sha256")
    objective = job.objective
    return {
        "strategy": job.name,
        "strategy_sha256": job.code.sha256 if job.code is not None else None,
        "params": dict(job.params),
        "objective": objective.name,
        "objective_sha256": objective.code.sha256 if objective.code is not None else None,
        "data": {
            name: one if one is None or name == "chain" else {key: one[key] for key in keys}
            for name, one in read.items()
        },
        "settings": job.settings.as_dict(),
    }
