"""A search over ticks: set up as `tickruns.TickRun` sets up its one run."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from dhanfast.engine.filter_build import refuse_unseen
from dhanfast.engine.guard_build import recorded_vix, vix_note, vix_values
from dhanfast.engine.measured import measured_notes, with_measured
from dhanfast.engine.research.objective import objective_of
from dhanfast.engine.research.prepare import Prepared, code_place, declared, head_of, refuse_blend
from dhanfast.engine.research.shared import Gathered
from dhanfast.engine.research.trial import Job
from dhanfast.engine.runs import GENERATED, MODELLED, sessions_between
from dhanfast.engine.settings import Settings, checked, duration_ns, timeframe_text
from dhanfast.engine.tick_days import TickDays
from dhanfast.engine.tickruns import MINUTE_NS
from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import exchange_date
from dhanfast.market.sessions import session_notes
from dhanfast.storage.slippage import SlippageStore
from dhanfast.strategies.plugins import Found, find_strategy


def prepared_ticks(
    strategy: str | type,
    days: TickDays,
    *,
    params: Mapping[str, object] | None = None,
    settings: Settings | None = None,
    interval: str = "1m",
    slippages: SlippageStore | None = None,
    objective: str = "sharpe",
) -> Prepared:
    """Set up a search over ticks; a trial is what `tick_ahead.backtest_days` gives.

    The ticks are decoded or generated once, into one memory-mapped file that all processes share:
    72 bytes each in the folder for temporary files, as long as the search lives.

    Args:
        strategy, params, settings, interval, slippages: as for `backtest_days`.
        objective: as for `prepare.prepared`.
    Raises:
        as `backtest_days` and `prepared`; DhanfastError: the ticks do not fit on the disk.
    """
    settings = checked(settings or Settings())
    if not isinstance(strategy, str | type):
        raise UsageError("a search makes the strategy itself: give its name or its class")
    found = find_strategy(strategy, params or {})
    settings = with_measured(
        settings, days.symbol, generated=days.generated, ticks=True, store=slippages
    )
    _refuse_unsearched(found, days, settings)
    goal = objective_of(objective)
    interval_ns = settings.timeframe_ns or duration_ns(interval, "interval")
    gathered = Gathered(days.here(), "ticks")
    first, last, sessions = _sessions(days, gathered, settings, interval_ns)
    vix = recorded_vix(settings.guards)
    job = Job(
        name=found.name,
        **code_place(found.kind),
        params={name: found.settings()[name] for name in params or {}},
        settings=settings,
        symbol=days.symbol,
        interval_ns=interval_ns,
        match_interval_ns=0,
        sessions=sessions,
        bars=gathered.held,
        meets=None,
        objective=goal,
        vix=None if vix is None else vix_values(vix),
        ticks=days.kind,
    )
    notes = _notes(days, settings, first, last)
    return Prepared(
        job=job,
        declared=declared(found.kind),
        arrays=(gathered.rows,),
        head=head_of(job, _read(days, gathered, interval_ns)) | {"ticks": days.kind},
        notes=notes + (() if vix is None else (vix_note(vix),)),
        data=_read(days, gathered, interval_ns),
        owner=gathered,
    )


def _refuse_unsearched(found: Found, days: TickDays, settings: Settings) -> None:
    """Refuse a blend, and filters that look at what ticks of an index do not have.

    Raises:
        UsageError, BadData, ConfigError: one of these.
    """
    refuse_blend(found)
    if days.kind == "IDX":
        refuse_unseen(settings.filters, f"{days.symbol}, ticks of the index", volume=False,
                      oi=False, quotes=False)  # fmt: skip


def _sessions(
    days: TickDays, gathered: Gathered, settings: Settings, interval_ns: int
) -> tuple[dt.date, dt.date, NDArray[Any]]:
    """The first and the last date of the ticks, and the sessions between."""
    first, last = (exchange_date(int(gathered.rows["exch_ns"][at])) for at in (0, -1))
    sessions = sessions_between(days.symbol, first, last, settings, min(interval_ns, MINUTE_NS))
    if len(sessions) == 0:
        raise BadData(f"{days.symbol}: no trading day from {first} to {last}")
    return first, last, sessions


def _read(days: TickDays, gathered: Gathered, interval_ns: int) -> dict[str, Any]:
    """What was read, in the words of `provenance.data_of`; the rows are ticks."""
    stamps = gathered.rows["exch_ns"]
    return {
        "signals": {
            "symbol": days.symbol,
            "interval": timeframe_text(interval_ns),
            "rows": gathered.held.rows,
            "generated": days.generated,
            "first": str(exchange_date(int(stamps[0]))),
            "last": str(exchange_date(int(stamps[-1]))),
            "sources": [{"name": one[0], "sha256": one[1], "rows": one[2]} for one in days.sources],
            "sha256": gathered.held.sha256,
        },
        "fills": None,
    }


def _notes(days: TickDays, settings: Settings, first: dt.date, last: dt.date) -> tuple[str, ...]:
    notes = [GENERATED] if days.generated else []
    notes += [MODELLED] if days.kind == "IDX" else []
    notes += [*days.notes, *measured_notes(settings, int(f"{first:%Y%m%d}"), quoted=True)]
    return (*notes, *session_notes(days.symbol, "FUT", first, last))
