"""The one engine: wires gate, exchange, portfolio, log and strategy into a kernel and drives it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.bars import TimeBars
from dhanfast._core.broker import Broker
from dhanfast._core.chainfeed import ChainFeed
from dhanfast._core.execution.worker import Worker
from dhanfast._core.guards import Guards
from dhanfast._core.kernel import Kernel
from dhanfast._core.loops import TickLoop, run_split
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.strategy import NativeStrategy
from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.chain_input import refuse_without_chain
from dhanfast.engine.decisions import Decisions
from dhanfast.engine.execution_settings import worker_of
from dhanfast.engine.filter_build import refuse_unseen
from dhanfast.engine.guard_build import guards_of
from dhanfast.engine.settings import OPPOSITE, RiskSettings, Settings
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.engine.stop_settings import StopSettings
from dhanfast.errors import BadData, ConfigError, OutOfCalendar
from dhanfast.strategies.plugins import graphs_of


@dataclass(frozen=True, slots=True)
class Written:
    """What an engine wrote down: rows of the dtypes in `dhanfast.reports.result`."""

    trades: NDArray[Any]
    orders: NDArray[Any]
    equity: NDArray[Any]
    days: NDArray[Any]
    passages: NDArray[Any]


class Engine:
    """One strategy, one traded instrument, a simulated exchange, from events to booked results.

    Args:
        strategy: as the kernel runs it (`Strategy.runner`, `RuleStrategy.runner`, or native).
        sessions: SESSION_DTYPE, one row a trading day, ascending.
        settings: checked settings.
        interval_ns: length of the bars the strategy sees.
        match_interval_ns: length of the bars orders meet; 0 = the same bars.
        equity_each_bar: False keeps one equity sample a session, for runs of any length.
        bars: how many will come, when that is known: room for all they write, so that nothing is
            gathered from pieces. Memory that is not written to is not used.
        on_bars: given the signal bars that are made from ticks, some at a time (BAR_DTYPE).
        until_ns: the sessions are known before this; 0 = for ever. For ticks only.
        more_sessions: asked for the sessions up to a tick's time at or after `until_ns` and
            beyond; gives (all sessions, the new until_ns), or raises.
        singly: see `TickLoop`.
        broker_of: given the gate, makes what executes its orders; None simulates an exchange.
        guards: of the gate; None makes those of the settings, which see India VIX one by one.
        log: an empty one to write to, of an engine that has finished; None makes one.
        orders: False forgets the orders of a run of which only trades and days are wanted.
        chain: figures of the option chain, for a strategy that asks for some.
    """

    def __init__(
        self,
        strategy: NativeStrategy,
        sessions: NDArray[Any],
        settings: Settings,
        *,
        interval_ns: int,
        match_interval_ns: int = 0,
        equity_each_bar: bool = True,
        bars: int = 0,
        on_bars: Callable[[NDArray[Any]], None] | None = None,
        until_ns: int = 0,
        more_sessions: Callable[[int], tuple[NDArray[Any], int]] | None = None,
        singly: bool = False,
        broker_of: Callable[[Gate], Broker] | None = None,
        guards: Guards | None = None,
        log: RunLog | None = None,
        orders: bool = True,
        chain: ChainFeed | None = None,
    ) -> None:
        risk = {name: getattr(settings.risk, name) for name in RiskSettings.__slots__}
        self.guards = guards if guards is not None else guards_of(settings.guards)
        _told(strategy, self.guards, settings, interval_ns)
        self.gate = Gate(instruments=1, guards=self.guards, **risk)
        inner = broker_of(self.gate) if broker_of is not None else _simulated(self.gate, settings)
        self.broker = worker_of(settings.execution, inner, self.gate)
        self.portfolio = Portfolio(settings.capital, 1)
        self.log = log if log is not None else RunLog(
            trades_max=max(8192, bars // 16),
            orders_max=max(32768, bars // 4),
            equity_max=max(131072, bars + 4096),
        )  # fmt: skip
        self.strategy = strategy
        room = self.log.trades_max
        self.decisions = Decisions(strategy, sessions, settings, interval_ns, bars, room)
        self.kernel = Kernel(
            self.decisions.runs,
            self.broker,
            self.portfolio,
            self.gate,
            self.log,
            sessions,
            lots=settings.lots,
            interval_ns=interval_ns,
            match_interval_ns=match_interval_ns,
            **self._slips(settings),
            on_opposite=OPPOSITE[settings.on_opposite],
            equity_each_bar=equity_each_bar,
            **self._rules(settings, interval_ns),
        )
        _told_chain(self.kernel, strategy, chain, interval_ns)
        self.decisions.attach(self.kernel)
        self.kernel_ns = 0
        self._take = self.log.take if orders else self.log.take_trades
        self._settings, self._sessions, self._interval_ns = settings, sessions, interval_ns
        self._on_bars, self._until_ns, self._more = on_bars, until_ns, more_sessions
        self._singly = singly
        self._ticks: TickLoop | None = None
        self._parts: list[tuple[NDArray[Any], ...]] = []

    @staticmethod
    def _slips(settings: Settings) -> dict[str, Any]:
        """What market fills and triggered stops lose."""
        slip = settings.slippage
        return {
            "slippage": slip.paise, "slippage_ticks": slip.ticks, "stop_more": slip.stop_more,
        }  # fmt: skip

    @staticmethod
    def _rules(settings: Settings, interval_ns: int) -> dict[str, Any]:
        """What sizes entries and moves stops.

        Raises:
            ConfigError: something is set that is of structures.
        """
        if settings.margin.on:
            raise ConfigError(
                "risk.margin.short: is of structures of legs; of one instrument the gate asks for "
                'free margin (risk.margin_check): leave it out, or write "off"'
            )
        return {
            "sizing": settings.sizing.native(settings.lots, interval_ns),
            "stops": settings.stops.native(),
        }

    def feed(self, bars: NDArray[Any], signal_bars: NDArray[Any] | None = None) -> None:
        """Run over more bars (BAR_DTYPE, later than all before).

        Raises:
            BadData, StrategyError: see `Kernel.run`.
            ConfigError: a filter looks at quotes, and bars have none.
        """
        refuse_unseen(self._settings.filters, "a run on bars", volume=True, oi=True, quotes=False)
        raw = bars.view(np.uint8)
        if signal_bars is None:
            self._drive(lambda: self.kernel.run(raw))
        else:
            signals = signal_bars.view(np.uint8)
            self._drive(lambda: run_split(self.kernel, raw, signals))

    def feed_ticks(self, ticks: NDArray[Any]) -> None:
        """Run over more ticks of the traded instrument (TICK_DTYPE), making the signal bars.

        Raises:
            BadData: not TICK_DTYPE, ticks of two instruments, a price below zero.
            OutOfCalendar: a tick beyond the sessions, and there are no more.
            StrategyError: see `Kernel.run`.
        """
        if ticks.dtype != TICK_DTYPE or ticks.ndim != 1:
            raise BadData(f"ticks must be one-dimensional of TICK_DTYPE, were {ticks.dtype}")
        if len(ticks) == 0:
            return
        loop = self.tick_loop(int(ticks["instrument"][0]))
        raw = np.ascontiguousarray(ticks).view(np.uint8)
        self._drive(lambda: self._run_ticks(loop, raw))

    def tick_loop(self, instrument: int) -> TickLoop:
        """The loop that runs ticks of an instrument; made once."""
        if self._ticks is None:
            builder = TimeBars(
                self._interval_ns, self._sessions, instrument=instrument, volume="cumulative"
            )
            self._ticks = TickLoop(
                self.kernel, builder, until_ns=self._until_ns, singly=self._singly
            )
        return self._ticks

    def _run_ticks(self, loop: TickLoop, raw: NDArray[Any]) -> bool:
        """As `TickLoop.run`, with more sessions when the ticks go beyond them."""
        try:
            return loop.run(raw)
        except OutOfCalendar:
            if self._more is None:
                raise
        sessions, until_ns = self._more(loop.beyond_ns)
        loop.extend(sessions, until_ns)
        self.decisions.extend(sessions)
        return False

    def _drive(self, run: Callable[[], bool]) -> None:
        """Run, draining the log whenever it is full; time spent inside is counted."""
        started = time.perf_counter_ns()
        while not run():
            self.drain()
        self.kernel_ns += time.perf_counter_ns() - started

    def drain(self) -> None:
        """Take away what the run has written so far, so that there is room for more."""
        rows = self._take()
        if not self._parts or any(len(each) for each in rows):  # who only looks leaves no trace
            self._parts.append(rows)
        self.decisions.drain()
        if self._ticks is not None:
            made = self._ticks.take_bars()
            if self._on_bars is not None:
                self._on_bars(made)

    def finish(self) -> Written:
        """Close what is open, bill the last day, and hand over everything written."""
        if self._ticks is not None:
            self._ticks.close_bars()
        self.kernel.finish()
        self.decisions.finish()
        return self.written()

    def rows_so_far(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Trades and orders that have ended, since the last `written`."""
        self.drain()
        if len(self._parts) > 1:
            columns = zip(*self._parts, strict=True)
            self._parts = [tuple(np.concatenate(rows) for rows in columns)]
        return self._parts[0][0], self._parts[0][1]

    def written(self) -> Written:
        """Everything written since the last call; nothing is closed for it."""
        self.drain()
        trades, orders, passages, equity = (
            rows[0] if len(rows) == 1 else np.concatenate(rows)
            for rows in zip(*self._parts, strict=True)
        )
        self._parts = []
        return Written(trades, orders, equity, self.portfolio.bills(), passages)

    def counters(self) -> dict[str, int]:
        """How often what happened: bars, signals, orders, refusals by reason."""
        kernel = self.kernel
        found = {
            "bars": kernel.bars_seen,
            "bars_matched": kernel.bars_matched,
            "bars_outside_session": kernel.bars_outside,
            "signals": kernel.signals,
            "signals_outside_entry_window": kernel.signals_late,
            "signals_while_in_position": kernel.signals_held,
            "signals_without_known_stop": kernel.signals_unready,
            "orders_sent": kernel.orders_sent,
            "orders_refused": kernel.orders_refused,
            "rule_conflicts": int(getattr(self.strategy, "conflicts", 0)),
        }
        if self.strategy.wants_chain:
            found["chain_sets"] = kernel.chain_seen
        if self._settings.sizing != SizingSettings():
            found["signals_without_size"] = kernel.signals_unsized
            found |= {f"size_{name.lower()}": count for name, count in kernel.sizes.items()}
        if self._settings.stops != StopSettings():
            found["stops_moved"] = kernel.stops_moved
        found |= self.decisions.counters(kernel.signals_unsized)
        if self._ticks is not None:
            found |= {
                "ticks": self._ticks.ticks_seen,
                "ticks_outside_session": self._ticks.ticks_outside,
                "ticks_late": self._ticks.ticks_late,
            }
        refused = {name: count for name, count in self.gate.verdicts.items() if name != "NONE"}
        found |= {f"risk_{name.lower()}": count for name, count in refused.items() if count}
        if self.guards is not None:
            found |= {"guard_locks": self.guards.locks_made,
                      "guard_alerts": self.guards.alerts_made}  # fmt: skip
        if isinstance(self.broker, Worker):
            found |= {
                "orders_worked": self.broker.parents,
                "children_sent": self.broker.children_sent,
                "children_refused": self.broker.children_refused,
                "children_repriced": self.broker.reprices,
                "exits_hurried": self.broker.hurried,
            }
        return found

    def guard_log(self) -> list[tuple[int, str]]:
        """Locks, alerts and unlocks of the guards since the last call: (UTC ns, text)."""
        if self.guards is None:
            return []
        lost = -self.guards.events_lost
        lines = [(one.time_ns, f"guards: {one.text}") for one in self.guards.events()
                 if one.what != "veto"]  # fmt: skip
        lost += self.guards.events_lost
        if lost:
            lines.insert(0, (lines[0][0], f"guards: {lost:,} earlier lines were not kept"))
        return lines


def _told(
    strategy: NativeStrategy, guards: Guards | None, settings: Settings, interval_ns: int
) -> None:
    """Have a strategy that looks at India VIX see it.

    Raises:
        ConfigError: nothing tells it.
    """
    graphs = [graph for graph in graphs_of(strategy) if "vix" in graph.needs]
    if not graphs:
        return
    if guards is None or not settings.guards.needs_vix:
        raise ConfigError(
            "the strategy looks at India VIX, and nothing tells it: set risk.guards.vix.told = "
            "true and, of a backtest, risk.guards.vix.data to a file of its bars or a catalog "
            "symbol"
        )
    for graph in graphs:
        graph.compile().see(guards, interval_ns)


def _told_chain(
    kernel: Kernel, strategy: NativeStrategy, chain: ChainFeed | None, interval_ns: int
) -> None:
    """Have a strategy that looks at the option chain see it.

    Raises:
        ConfigError, UsageError: nothing tells it, or not all that it reads.
    """
    refuse_without_chain(strategy, chain)
    if chain is None:
        return
    kernel.see_chain(chain)
    for graph in graphs_of(strategy):
        if "chain" in graph.needs:
            graph.compile().see_chain(chain, interval_ns)


def _simulated(gate: Gate, settings: Settings) -> Match:
    """The exchange of a run without a broker.

    Raises:
        ConfigError: the slippage is to be measured, and was not.
    """
    if settings.slippage.sessions and settings.slippage.measured is None:
        raise ConfigError("slippage: measured, and nothing was: see `engine.measured`")
    return Match(
        gate,
        instruments=1,
        latency_ns=settings.latency_ns,
        slippage_e6=settings.slippage.rate_e6,
        protection_e4=0 if settings.protection_slab else settings.protection_e4,
        protection_slab=settings.protection_slab,
        limit_through=settings.limit_through,
        stop_market_ok=True,
    )
