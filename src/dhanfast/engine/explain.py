"""The value of every node of a strategy's rules on one bar: the why behind a decision."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.rules.replay import node_values
from dhanfast._core.strategy import NativeStrategy
from dhanfast.engine.chain_input import chain_seen, refuse_without_chain
from dhanfast.engine.chain_settings import ChainSettings
from dhanfast.engine.runs import IST, bars_of, sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.errors import UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.strategies.plugins import find_strategy, graph_of, graphs_of, innermost
from dhanfast.strategies.score import LABEL


@dataclass(frozen=True, slots=True)
class Explained:
    """What a strategy's rules are on one bar.

    Attributes:
        values: {label: value} of every node, NaN in warm-up.
        factors: (name, value, weight as a part of all, their product) of a score; () without one.
    """

    values: dict[str, float]
    factors: tuple[tuple[str, float, float, float], ...] = ()


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
        {label: value}, of a blend {member: label}; NaN in warm-up. Nodes that depend on the
        position are NaN, for this evaluation holds none, and so is India VIX, which a run tells.
    Raises:
        UsageError: no bar starts at `at`, or the strategy has no rules.
        ConfigError: it looks at the option chain, and none is given.
        BadData, OutOfCalendar: the data cannot be used.
    """
    return explained(strategy, data, at, params, chain).values


def explained(
    strategy: str | type | object,
    data: str | Path | BarSet,
    at: dt.datetime,
    params: Mapping[str, object] | None = None,
    chain: ChainSettings | None = None,
) -> Explained:
    """As `explain_bar`, with the factor table of a score."""
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
    seen = chain_seen(runner, chain or ChainSettings(), bars)
    feed = None if seen is None else seen.feed()
    refuse_without_chain(runner, feed)
    if feed is not None:
        for one in graphs:
            one.compile().see_chain(feed, bars.interval_ns)
    before = bars.bars[: int(where[0]) + 1]
    members = getattr(innermost(runner), "inners", ())
    if not members:
        values: dict[str, float] = node_values(graphs[0], before, sessions)
        return Explained(values, _factors(innermost(runner), values))
    values = {}
    for name, member in zip(runner.names, members, strict=True):
        graph = graph_of(member)
        if graph is not None:
            told = node_values(graph, before, sessions)
            values |= {f"{name}: {label}": value for label, value in told.items()}
    return Explained(values)


def _factors(
    runner: NativeStrategy, values: Mapping[str, float]
) -> tuple[tuple[str, float, float, float], ...]:
    """The factor table of a score's rules, of the values of its nodes."""
    factors = getattr(runner, "factors", None)
    if factors is None:
        return ()
    rows = []
    for name, weight in zip(factors.names, factors.weights, strict=True):
        value = values[f"{LABEL}.{name}"]
        rows.append((name, value, weight, value * weight))
    return tuple(rows)
