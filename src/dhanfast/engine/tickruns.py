"""Runs over ticks: the same engine, strategies and result as on bars, fed batch by batch."""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.broker import Broker
from dhanfast._core.chainfeed import ChainFeed
from dhanfast._core.guards import Guards
from dhanfast._core.risk import Gate
from dhanfast._core.strategy import NativeStrategy
from dhanfast._core.types import BAR_DTYPE, TICK_DTYPE
from dhanfast.engine.chain_input import ChainSeen, chain_of_ticks
from dhanfast.engine.engine import Engine, Written
from dhanfast.engine.filter_build import refuse_unseen
from dhanfast.engine.guard_build import in_order, recorded_guards
from dhanfast.engine.measured import measured_notes, with_measured
from dhanfast.engine.provenance import versions_of
from dhanfast.engine.runs import (
    GENERATED,
    IST,
    MODELLED,
    NO_VOLUME,
    config_of,
    sessions_between,
    with_chain,
)
from dhanfast.engine.settings import Settings, checked, duration_ns, timeframe_text
from dhanfast.errors import BadData, ConfigError, OutOfCalendar, UsageError
from dhanfast.market.sessions import session_notes
from dhanfast.reports.result import RunResult
from dhanfast.storage.bars import Source
from dhanfast.storage.slippage import SlippageStore
from dhanfast.strategies.base import Log
from dhanfast.strategies.plugins import Found, find_strategy, graphs_of

MINUTE_NS = 60_000_000_000
DAY_NS = 86_400_000_000_000
KINDS = ("FUT", "IDX")


def backtest_ticks(
    strategy: str | type | object,
    ticks: Iterable[NDArray[Any]],
    *,
    symbol: str,
    kind: str = "FUT",
    params: Mapping[str, object] | None = None,
    settings: Settings | None = None,
    interval: str = "1m",
    sources: Sequence[Source] = (),
    notes: Sequence[str] = (),
    generated: bool = False,
    equity_each_bar: bool = True,
    slippages: SlippageStore | None = None,
) -> RunResult:
    """Run a strategy over ticks of one instrument with the rules and charges of each date.

    Args:
        strategy: as for `backtest`.
        ticks: TICK_DTYPE batches of any size, in order of time, all of one instrument. Each is
            used and let go: memory does not grow with the number of ticks.
        symbol: an index the market tables know; its front-month future is traded.
        kind: what the ticks are of: FUT, that future; IDX, the index, at whose level the future
            is then modelled.
        params, settings: as for `backtest`; a `timeframe` set there counts before `interval`.
        interval: length of the signal bars that are made of the ticks.
        sources: (name, sha256, rows) of what was read.
        notes: what a reader must know about the ticks.
        generated: True when they are not recorded.
        equity_each_bar: False samples equity once a session and keeps no bars for the chart.
        slippages: measured fills, for a slippage that is to be measured.
    Returns:
        The complete result. Its digest depends on the ticks' bars and on every decision, not on
        how the ticks were cut into batches.
    Raises:
        UsageError, ConfigError: unknown strategy, symbol or kind, impossible settings.
        BadData: no ticks, ticks of two instruments, another dtype, a price below zero.
        OutOfCalendar: a tick of a date outside the tables.
        StrategyError: the strategy raised.
    """
    run = TickRun(
        strategy,
        symbol=symbol,
        kind=kind,
        params=params,
        settings=settings,
        interval=interval,
        sources=sources,
        notes=notes,
        generated=generated,
        equity_each_bar=equity_each_bar,
        slippages=slippages,
    )
    for batch in ticks:
        run.feed(batch)
    return run.finish()


class TickRun:
    """A run over ticks, step by step: for who paces the ticks or brings them one at a time.

    Args:
        strategy, symbol, ...: as for `backtest_ticks`.
        guards: of the gate; None makes those of the settings.
        source: of a strategy's file, when it may not be what the file says now.
    Raises:
        As `backtest_ticks`.
    """

    def __init__(
        self,
        strategy: str | type | object,
        *,
        symbol: str,
        kind: str = "FUT",
        params: Mapping[str, object] | None = None,
        settings: Settings | None = None,
        interval: str = "1m",
        sources: Sequence[Source] = (),
        notes: Sequence[str] = (),
        generated: bool = False,
        equity_each_bar: bool = True,
        slippages: SlippageStore | None = None,
        guards: Guards | None = None,
        source: bytes = b"",
    ) -> None:
        if kind not in KINDS:
            raise UsageError(f"kind must be one of {', '.join(KINDS)}, was {kind!r}")
        self._settings = with_measured(
            checked(settings or Settings()), symbol, generated=generated, ticks=True,
            store=slippages,
        )  # fmt: skip
        self._interval_ns = self._settings.timeframe_ns or duration_ns(interval, "interval")
        if not 0 < self._interval_ns <= 7 * DAY_NS:
            raise ConfigError(f"interval must be above 0 and at most 7d, was {interval}")
        self._found = find_strategy(strategy, params or {}, source)
        self._symbol, self._kind, self._generated = symbol, kind, generated
        self._sources, self._given_notes = tuple(sources), tuple(notes)
        self._each_bar = equity_each_bar
        self._guards, self._seen = (guards, ()) if guards is not None else self._own_guards()
        self._messages: list[tuple[int, str]] = []
        self._runner = self._runner_of(self._found, self._say)
        if kind == "IDX":
            refuse_unseen(self._settings.filters, f"{symbol}, ticks of the index", volume=False,
                          oi=False, quotes=False)  # fmt: skip
        if kind == "IDX" and any("volume" in graph.needs for graph in graphs_of(self._runner)):
            raise BadData(NO_VOLUME.format(f"{symbol}, ticks of the index"))
        self._chain = self._own_chain()
        self._engine: Engine | None = None
        self._sessions = np.empty(0)
        self._from, self._until = dt.date.min, dt.date.min
        self._kept: list[NDArray[Any]] = []
        self._edges: list[Any] = []  # the first bar and the last
        self._bar_count = 0
        self._hash = hashlib.sha256()
        self._ended = False

    def feed(self, ticks: NDArray[Any]) -> None:
        """Run over the next ticks: any number, later than all before or counted as late.

        Raises:
            BadData, OutOfCalendar, StrategyError: see `backtest_ticks`. The run is then over.
            UsageError: `finish` was called, or the run failed before.
        """
        if self._ended:
            raise UsageError("the run is over: make another TickRun")
        if ticks.dtype != TICK_DTYPE or ticks.ndim != 1:
            raise BadData(f"ticks must be one-dimensional of TICK_DTYPE, were {ticks.dtype}")
        if len(ticks) == 0:
            return
        self._ended = True  # unless all goes well
        if self._engine is None:
            self._engine = self._begin(int(ticks["exch_ns"][0]))
        self._engine.feed_ticks(ticks)
        self._ended = False

    def finish(self) -> RunResult:
        """End of data: close what is open and hand over the result.

        Raises:
            BadData: there were no ticks, or none inside a session.
            StrategyError: `on_stop` or `on_fill` raised. UsageError: called twice.
        """
        if self._ended:
            raise UsageError("the run is over: make another TickRun")
        self._ended = True
        if self._engine is None:
            raise BadData(f"{self._symbol}: no ticks to run on")
        written = self._engine.finish()
        self._found.stopped(self._runner)
        if self._bar_count == 0:
            raise BadData(f"{self._symbol}: no tick with a price lies inside a session")
        return self._result(self._engine, written)

    # ---- sessions, as the ticks reach them -------------------------------------------------------

    def _begin(self, first_ns: int) -> Engine:
        self._from = _date(first_ns)
        sessions, until_ns = self._more(first_ns)
        return Engine(
            self._runner,
            sessions,
            self._settings,
            interval_ns=self._interval_ns,
            equity_each_bar=self._each_bar,
            on_bars=self._take,
            until_ns=until_ns,
            more_sessions=self._more,
            broker_of=self._broker_of(),
            guards=self._guards,
            chain=self._chain_feed(),
        )

    def _own_chain(self) -> ChainSeen | None:
        """The recorded chain that the strategy sees; None when it asks for none."""
        return chain_of_ticks(self._runner, self._settings.chain, self._symbol)

    def _chain_feed(self) -> ChainFeed | None:
        """What tells the strategy of the option chain."""
        return None if self._chain is None else self._chain.feed()

    def _say(self, at_ns: int, text: str) -> None:
        self._messages.append((at_ns, text))

    def _runner_of(self, found: Found, log: Log) -> NativeStrategy:
        """A strategy as the kernel of this run runs it."""
        return found.runner(log, self._interval_ns)

    def _broker_of(self) -> Callable[[Gate], Broker] | None:
        """What executes the orders; None simulates an exchange."""
        return None

    def _own_guards(self) -> tuple[Guards | None, tuple[str, ...]]:
        """Guards of the settings, and what a reader must know of what they see."""
        return recorded_guards(self._settings.guards)

    def _more(self, at_ns: int) -> tuple[NDArray[Any], int]:
        """All sessions to the end of the month of `at_ns`, and the time they are known until."""
        day = _date(at_ns)
        start = self._from if self._until == dt.date.min else self._until
        last = (day.replace(day=1) + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
        try:
            added = self._between(start, last)
        except OutOfCalendar:
            last = day  # the tables end inside this month; or the day itself lies outside them
            added = self._between(start, last)
        begun = len(self._sessions) > 0
        self._sessions = np.concatenate([self._sessions, added]) if begun else added
        if len(self._sessions) == 0:
            raise BadData(f"{self._symbol}: no trading day from {start} to {last}")
        self._until = last + dt.timedelta(days=1)
        return self._sessions, _midnight_ns(self._until)

    def _between(self, first: dt.date, last: dt.date) -> NDArray[Any]:
        step_ns = min(self._interval_ns, MINUTE_NS)
        return sessions_between(self._symbol, first, last, self._settings, step_ns)

    # ---- what came out ---------------------------------------------------------------------------

    def _take(self, bars: NDArray[Any]) -> None:
        if len(bars) == 0:
            return
        self._hash.update(bars.view(np.uint8).data)
        self._edges = [self._edges[0] if self._edges else bars[0].copy(), bars[-1].copy()]
        self._bar_count += len(bars)
        if self._each_bar:
            self._kept.append(bars)

    def _result(self, engine: Engine, written: Written) -> RunResult:
        digest = self._hash.copy()
        for rows in (written.orders, written.trades, written.equity, written.days):
            digest.update(np.ascontiguousarray(rows).view(np.uint8).data)
        bars = np.concatenate([np.empty(0, BAR_DTYPE), *self._kept]) if self._each_bar else None
        counters = engine.counters()
        result = RunResult(
            strategy=self._found.name,
            symbol=self._symbol,
            traded=f"{self._symbol} FUT",
            timeframe=timeframe_text(self._interval_ns),
            capital=self._settings.capital,
            trades=written.trades,
            orders=written.orders,
            equity=written.equity,
            days=written.days,
            passages=written.passages,
            bars=bars,
            counters=counters,
            config=config_of(self._found, self._settings, None, None),
            data=self._data(counters["ticks"]),
            notes=self._notes(engine.kernel.quoted),
            digest=digest.hexdigest(),
            kernel_ns=engine.kernel_ns,
            versions=versions_of(self._found),
            log=in_order(self._messages, engine.guard_log()),
            **engine.decisions.told(len(written.trades)),
        )
        return with_chain(result, self._chain)

    def _data(self, count: int) -> dict[str, Any]:
        """What the run read, in the words of `provenance.data_of`, and how many ticks."""
        return {
            "signals": {
                "symbol": self._symbol,
                "interval": timeframe_text(self._interval_ns),
                "rows": self._bar_count,
                "generated": self._generated,
                "first": _stamp(self._edges[0]),
                "last": _stamp(self._edges[-1]),
                "sources": [{"name": s[0], "sha256": s[1], "rows": s[2]} for s in self._sources],
                "sha256": self._hash.hexdigest(),
            },
            "fills": None,
            "ticks": {"kind": self._kind, "rows": count},
        }

    def _notes(self, quoted: bool) -> tuple[str, ...]:
        notes = [GENERATED] if self._generated else []
        notes += [MODELLED] if self._kind == "IDX" else []
        notes += self._given_notes
        first, last = (_date(int(bar["start_ns"])) for bar in (self._edges[0], self._edges[-1]))
        notes += self._seen
        notes += () if self._chain is None else self._chain.notes
        notes += measured_notes(self._settings, int(f"{first:%Y%m%d}"), quoted=quoted)
        return (*notes, *session_notes(self._symbol, "FUT", first, last))


def _date(at_ns: int) -> dt.date:
    return dt.datetime.fromtimestamp(at_ns // 10**9, IST).date()


def _midnight_ns(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), IST).timestamp()) * 10**9


def _stamp(bar: Any) -> str:
    return dt.datetime.fromtimestamp(int(bar["start_ns"]) // 10**9, IST).isoformat()
