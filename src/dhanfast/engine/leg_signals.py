"""A strategy's entries and exits as signals that a structure of legs follows.

The strategy runs on the index as every backtest does: its stops and targets are met there. What it
entered and left, and when that was known, is all that the legs see.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from dhanfast._core.types import BAR_DTYPE
from dhanfast.engine.chain_source import ChainSource, ModelledChains, RecordedChains
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.legs import Signals
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import NS_PER_S, Settings, Slippage
from dhanfast.errors import BadData
from dhanfast.storage.bars import BarSet, Source

SLOT_NS: Final = 300 * NS_PER_S  # of bars made from snapshots, which come 3 to 6 minutes apart
FUNDS: Final = 10**14  # paise: the strategy's own account refuses nothing


def signals_of(plan: StructurePlan, source: ChainSource) -> Signals:
    """Run the plan's strategy on the index and take down what it did.

    Raises:
        BadData: the data has no level of the index.
        UsageError, ConfigError, StrategyError: see `engine.runs.backtest`.
    """
    if isinstance(source, RecordedChains):
        bars = spot_bars(source)
    elif isinstance(source, ModelledChains):
        bars = source.index
    else:
        raise BadData("signals: bars of options have no index to run a strategy on")
    settings = replace(
        Settings(capital=FUNDS, slippage=Slippage()),
        entry_from=plan.entry,
        entry_until=plan.exit or plan.until,
        square_off=plan.exit,
    )
    result = backtest(plan.signals, bars, params=_params(plan.params), settings=settings)
    trades = result.trades
    at_ns = np.concatenate([trades["exit_ns"], trades["entry_ns"]])
    side = np.concatenate([np.zeros(len(trades), np.int8), trades["side"].astype(np.int8)])
    order = np.argsort(at_ns, kind="stable")  # of one moment, out before in
    told = (
        f"The legs follow {plan.signals} on {plan.underlying} {bars.timeframe}: {len(trades)} "
        "trades on the index, where its own stops and targets were met; the options meet their "
        "next price"
    )
    return Signals(np.ascontiguousarray(at_ns[order]), np.ascontiguousarray(side[order]), told)


def spot_bars(source: RecordedChains) -> BarSet:
    """Five-minute bars of the index as snapshots have recorded it: first, extremes, last.

    Raises:
        BadData: no snapshot has a level.
    """
    places = source.places
    level = source.file.spot[places]
    at_ns = source.file.at_ns[places]
    known = level > 0
    if not known.any():
        raise BadData(f"{source.file.name}: no snapshot of {source.underlying} has the index")
    paise = np.rint(100.0 * level[known]).astype(np.int64)
    starts, first = np.unique(at_ns[known] // SLOT_NS * SLOT_NS, return_index=True)
    bars = np.zeros(len(starts), BAR_DTYPE)
    ends = np.append(first[1:], len(paise))
    bars["start_ns"] = starts
    bars["open"], bars["close"] = paise[first], paise[ends - 1]
    bars["high"] = np.maximum.reduceat(paise, first)
    bars["low"] = np.minimum.reduceat(paise, first)
    origin = Source(source.file.name, source.sha256, len(bars))
    notes = ("bars of the index are made of the levels that snapshots have recorded",)
    return BarSet(source.underlying, bars, SLOT_NS, False, (origin,), notes)


def _params(params: Mapping[str, Any]) -> dict[str, object]:
    return dict(params)
