"""The value of every node of a strategy's rules on one bar: the why behind a decision."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.rules.replay import node_values
from dhanfast.engine.runs import IST, bars_of, sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.errors import UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.strategies.plugins import find_strategy, graph_of, graphs_of, innermost


def explain_bar(
    strategy: str | type | object,
    data: str | Path | BarSet,
    at: dt.datetime,
    params: Mapping[str, object] | None = None,
) -> dict[str, float]:
    """Evaluate a strategy's rules up to one bar and return every node.

    Args:
        strategy, data, params: as for `backtest`.
        at: start of the bar; a time without a zone is IST.
    Returns:
        {label: value}, of a blend {member: label}; NaN in warm-up; nodes that depend on the position are NaN, for this
        evaluation holds none, and so is India VIX, which is told by a run.
    Raises:
        UsageError: no bar starts at `at`, or the strategy has no rules.
    """
    found = find_strategy(strategy, params or {})
    bars = bars_of(data, None, None)
    moment = at if at.tzinfo else at.replace(tzinfo=IST)
    start_ns = round(moment.timestamp()) * 10**9
    where = np.flatnonzero(bars.bars["start_ns"] == start_ns)
    if not len(where):
        raise UsageError(
            f"no bar of {bars.symbol} starts at {moment:%Y-%m-%d %H:%M} IST; the data "
            f"covers {bars.first:%Y-%m-%d %H:%M} to {bars.last:%Y-%m-%d %H:%M}"
        )
    runner: Any = found.runner(lambda at_ns, text: None, bars.interval_ns)
    graphs = graphs_of(runner)
    if not graphs:
        raise UsageError(f"{found.name} is a native strategy: it has no rule nodes to show")
    sessions = sessions_of(bars, Settings(), bars.interval_ns)
    before = bars.bars[: int(where[0]) + 1]
    members = getattr(innermost(runner), "inners", ())
    if not members:
        values: dict[str, float] = node_values(graphs[0], before, sessions)
        return values
    values = {}
    for name, member in zip(runner.names, members, strict=True):
        graph = graph_of(member)
        if graph is not None:
            told = node_values(graph, before, sessions)
            values |= {f"{name}: {label}": value for label, value in told.items()}
    return values
