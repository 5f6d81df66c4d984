"""A strategy's entries and exits as signals that a structure of legs follows.

The strategy runs on the index as every run does, on bars in a backtest and on ticks live: its stops
and targets are met there. What it entered and left, and when that was known, is all that the legs
see.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from dhanfast._core.loops import TickLoop
from dhanfast._core.types import BAR_DTYPE
from dhanfast.engine.chain_source import ChainSource, ModelledChains, RecordedChains
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.legs import Signals
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import NS_PER_S, Settings, Slippage, timeframe_text
from dhanfast.engine.tickruns import TickRun
from dhanfast.errors import BadData
from dhanfast.storage.bars import BarSet, Source

TIMEFRAME_NS: Final = 60 * NS_PER_S  # of bars made from ticks
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
    settings = settings_of(plan)
    result = backtest(plan.signals, bars, params=dict(plan.params), settings=settings)
    trades = result.trades
    at_ns = np.concatenate([trades["exit_ns"], trades["entry_ns"]])
    side = np.concatenate([np.zeros(len(trades), np.int8), trades["side"].astype(np.int8)])
    order = np.argsort(at_ns, kind="stable")  # of one moment, out before in
    told = told_of(plan, result.timeframe, len(trades))
    return Signals(np.ascontiguousarray(at_ns[order]), np.ascontiguousarray(side[order]), told)


def settings_of(plan: StructurePlan) -> Settings:
    """What the strategy itself runs with: the plan's hours, funds that refuse nothing."""
    return replace(
        Settings(capital=FUNDS, slippage=Slippage()),
        timeframe_ns=plan.timeframe_ns,
        entry_from=plan.entry,
        entry_until=plan.exit or plan.until,
        square_off=plan.exit,
    )


def told_of(plan: StructurePlan, timeframe: str, trades: int) -> str:
    """What a reader of the result must know of the strategy that is followed."""
    return (
        f"The legs follow {plan.signals} on {plan.underlying} {timeframe}: {trades} trades on the "
        "index, where its own stops and targets were met; the options meet their next price"
    )


class Lead(TickRun):
    """The strategy that a live structure follows, on ticks of the index.

    Args:
        plan: with `signals`. first_ns: a time of the trading day, UTC ns. generated: the market is.
    Raises:
        ConfigError: it looks at India VIX, or settings that are impossible.
        BadData: it needs volume, which an index does not have.
        UsageError: no such strategy or parameter.
    """

    def __init__(self, plan: StructurePlan, first_ns: int, *, generated: bool) -> None:
        super().__init__(
            plan.signals,
            symbol=plan.underlying,
            kind="IDX",
            params=dict(plan.params),
            settings=settings_of(plan),
            interval=timeframe_text(TIMEFRAME_NS),
            generated=generated,
            equity_each_bar=False,
        )
        self._plan, self._lead = plan, self._begin(first_ns)
        self._trades = 0

    @property
    def loop(self) -> TickLoop:
        """Takes the ticks of the index, whose number is 0."""
        return self._lead.tick_loop(0)

    def drain(self) -> list[tuple[int, str]]:
        """Take away what it has written: nobody needs its rows, its own lines are handed over."""
        self._trades += len(self._lead.written().trades)
        lines, self._messages[:] = list(self._messages), []
        return lines

    def told(self) -> str:
        """What a reader of the result must know."""
        return told_of(self._plan, timeframe_text(self._interval_ns), self._trades)


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
