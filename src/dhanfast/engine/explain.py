"""The value of every node of a strategy's rules on one bar: the why behind a decision."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.rules.replay import node_values
from dhanfast.engine.chain_input import chain_seen, refuse_without_chain
from dhanfast.engine.chain_settings import ChainSettings
from dhanfast.engine.runs import IST, bars_of, sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.errors import UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.strategies.plugins import find_strategy, graph_of


def explain_bar(
    strategy: str | type | object,
    data: str | Path | BarSet,
    at: dt.datetime,
    params: Mapping[str, object] | None = None,
    chain: ChainSettings | None = None,
) -> dict[str, float]:
    """Evaluate a strategy's rules up to one bar and return every node.

    Args:
        strategy, data, params: as for `backtest`.
        at: start of the bar; a time without a zone is IST.
        chain: the option chain that the strategy sees, as of `Settings`.
    Returns:
        {label: value}, NaN in warm-up; nodes that depend on the position are NaN, for this
        evaluation holds none, and so is India VIX, which is told by a run.
    Raises:
        UsageError: no bar starts at `at`, or the strategy has no rules.
        ConfigError: it looks at the option chain, and none is given.
        BadData, OutOfCalendar: the data cannot be used.
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
    graph = graph_of(runner)
    if graph is None:
        raise UsageError(f"{found.name} is a native strategy: it has no rule nodes to show")
    sessions = sessions_of(bars, Settings(), bars.interval_ns)
    seen = chain_seen(runner, chain or ChainSettings(), bars)
    feed = None if seen is None else seen.feed()
    refuse_without_chain(runner, feed)
    if feed is not None:
        graph.compile().see_chain(feed, bars.interval_ns)
    values: dict[str, float] = node_values(graph, bars.bars[: int(where[0]) + 1], sessions)
    return values
