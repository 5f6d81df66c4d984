"""A strategy's entries and exits as signals that a structure of legs follows.

The strategy runs on the index as every run does, on bars in a backtest and on ticks live: its stops
and targets are met there. What it entered and left, and when that was known, is all that the legs
see.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.kernel import Kernel
from dhanfast._core.live.legloop import LegLoop
from dhanfast._core.loops import TickLoop
from dhanfast._core.strategy import NativeStrategy
from dhanfast._core.types import BAR_DTYPE
from dhanfast.engine.chain_source import ChainSource, ModelledChains, RecordedChains
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.legs import Signals
from dhanfast.engine.runs import NO_VOLUME, backtest
from dhanfast.engine.seat import Misuse, Seat
from dhanfast.engine.settings import NS_PER_S, Settings, Slippage, timeframe_text
from dhanfast.engine.tickruns import TickRun
from dhanfast.errors import BadData
from dhanfast.storage.bars import BarSet, Source
from dhanfast.strategies.base import Log
from dhanfast.strategies.plugins import Found, graphs_of

if TYPE_CHECKING:
    from dhanfast.engine.legs_live import LegsRun

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
    """The strategy that a live structure follows, on ticks of the index; a `seated.Seated`.

    Args:
        plan: with `signals`. first_ns: a time of the trading day, UTC ns. generated: the market is.
        source: of the strategy's file, when it may not be what the file says now.
        tell: given (market's UTC ns, text) of what it logs and of what becomes of it.
    Raises:
        ConfigError: it looks at India VIX, or settings that are impossible.
        BadData: it needs volume, which an index does not have.
        UsageError: no such strategy or parameter.
    """

    def __init__(
        self, plan: StructurePlan, first_ns: int, *, generated: bool, tell: Log,
        source: bytes = b"",
    ) -> None:  # fmt: skip
        self._tell = tell
        super().__init__(
            plan.signals,
            symbol=plan.underlying,
            kind="IDX",
            params=dict(plan.params),
            settings=settings_of(plan),
            interval=timeframe_text(TIMEFRAME_NS),
            generated=generated,
            equity_each_bar=False,
            source=source,
        )
        self._plan, self._lead = plan, self._begin(first_ns)
        self._trades = 0
        self._legs: LegsRun | None = None

    @property
    def ticks(self) -> TickLoop:
        """Takes the ticks of the index, whose number is 0."""
        return self._lead.tick_loop(0)

    def drain(self) -> None:
        """Take away what it has written: nobody needs its rows."""
        self._trades += len(self._lead.written().trades)

    def told(self) -> str:
        """What a reader of the result must know."""
        return told_of(self._plan, timeframe_text(self._interval_ns), self._trades)

    def _say(self, at_ns: int, text: str) -> None:
        self._tell(at_ns, text)

    def _take(self, bars: NDArray[Any]) -> None:
        super()._take(bars)
        if len(bars):
            self._kept.append(bars)

    # ---- who leads, which may change -----------------------------------------------------------

    def lead(
        self, legs: "LegsRun", *, misuse: Misuse | None, watch: CallWatch | None,
        folder: Path | None,
    ) -> Seat:  # fmt: skip
        """Begin to lead legs, whose loop is made.

        Args:
            misuse: what is done when it misbehaves. watch: ends its calls that take too long.
            folder: of the user's strategies.
        Returns:
            Who leads, and how another takes its place.
        """
        self._legs = legs
        return Seat(self, self._found, self._runner, misuse=misuse, watch=watch, folder=folder)

    @property
    def loop(self) -> LegLoop:
        """Takes the inputs of the legs."""
        assert self._legs is not None, "lead() comes first"
        return self._legs.loop

    @property
    def kernel(self) -> Kernel:
        """What runs the strategy on the index."""
        return self._lead.kernel

    @property
    def interval_ns(self) -> int:
        """Length of a signal bar."""
        return self._interval_ns

    def runner_of(self, found: Found, log: Log) -> NativeStrategy:
        """A strategy as it runs on the index.

        Args:
            log: given (market's UTC ns, text).
        Raises:
            StrategyError: it cannot start. BadData: it needs volume, which an index has not.
        """
        runner = self._runner_of(found, log)
        if any("volume" in graph.needs for graph in graphs_of(runner)):
            raise BadData(NO_VOLUME.format(f"{self._plan.underlying}, ticks of the index"))
        return runner

    def bars_so_far(self) -> NDArray[Any]:
        """The signal bars of the day until now, BAR_DTYPE."""
        self.drain()
        if len(self._kept) != 1:
            self._kept = [np.concatenate([np.empty(0, BAR_DTYPE), *self._kept])]
        return self._kept[0]

    def entry_price(self) -> float:
        """Level of the index at which it went in, rupees; NaN when it is flat."""
        place = self._lead.portfolio.position(0)
        return abs(place["cost"] / place["qty"]) / 100 if place["qty"] else float("nan")

    def held_text(self) -> str:
        """What the legs hold, in words."""
        assert self._legs is not None, "lead() comes first"
        return self._legs.held_text()

    def seated(self, found: Found, runner: NativeStrategy) -> None:
        """This one leads from now on."""
        self._found, self._runner = found, runner
        self._lead.strategy = runner

    def tell(self, at_ns: int, text: str) -> None:
        """A line of the result's log.

        Args:
            at_ns: the market's time, UTC ns.
        """
        self._tell(at_ns, text)


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
