"""A strategy on a stage: run again and again over chosen bars, every decision written down."""

import datetime as dt
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.chainfeed import ChainFeed
from dhanfast._core.strategy import Action, NativeStrategy
from dhanfast._core.watch import Watch
from dhanfast.engine.chain_input import ChainSeen, chain_seen, figures_asked
from dhanfast.engine.checks.outside import Outside
from dhanfast.engine.engine import Engine
from dhanfast.engine.guard_build import recorded_guards
from dhanfast.engine.measured import with_measured
from dhanfast.engine.runs import IST, at_timeframe, bars_of, refuse_unseen_bars, sessions_of
from dhanfast.engine.settings import Settings, checked, timeframe_text
from dhanfast.errors import BadData, DhanfastError, StrategyError, UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.storage.slippage import SlippageStore
from dhanfast.strategies.plugins import BLEND, find_strategy, graph_of

PROBLEM: Final = "problem"
WARNING: Final = "warning"
ROOM_BEHIND: Final = 512  # bars: more than a block that a strategy is prepared for
TOLD_MAX: Final = 200  # findings of one kind that a report keeps; the rest are counted
_OF_NATIVE: Final = frozenset(name for name in dir(NativeStrategy) if not name.startswith("__"))
_NUMBERS: Final = (bool, int, float, np.number)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        code: what kind, a stable word. text: one sentence. level: problem or warning.
        where: the bar (IST), or file and line; "" when it is about the whole.
    """

    code: str
    text: str
    where: str = ""
    level: str = PROBLEM

    def as_dict(self) -> dict[str, str]:
        """JSON-able."""
        return {"code": self.code, "level": self.level, "where": self.where, "text": self.text}


@dataclass(frozen=True)
class Watched:
    """One run that was watched.

    Attributes:
        decisions: DECISION_DTYPE, one a bar inside the sessions.
        states: {start of a probed bar: {name: value}}.
        error: what ended it early; None when it came to the end. net: paise, booked at its end.
    """

    decisions: NDArray[Any]
    states: dict[int, dict[str, Any]] = field(default_factory=dict)
    error: DhanfastError | None = None
    net: int = 0


class Stage:
    """Bars, sessions and settings of a check, and the strategy made anew for each run.

    Args:
        strategy: a name, file or module as for `-s`, or a class. An instance is refused: it could
            not be made anew.
        data, params, start, end, settings, slippages: as for `backtest`.
    Attributes:
        bars: BAR_DTYPE at the run's timeframe. outside: what the strategy opened beside its bars.
        sees_vix: the strategy that ran last looks at what comes from outside its bars: India VIX,
            or figures of the option chain.
    Raises:
        UsageError, ConfigError, BadData, OutOfCalendar, StrategyError: as `backtest`.
    """

    def __init__(
        self,
        strategy: str | type,
        data: str | Path | BarSet,
        *,
        params: Mapping[str, object] | None = None,
        start: dt.date | None = None,
        end: dt.date | None = None,
        settings: Settings | None = None,
        slippages: SlippageStore | None = None,
    ) -> None:
        if not isinstance(strategy, str | type):
            raise UsageError(
                f"a check makes the strategy anew for each of its runs: give the class "
                f"{type(strategy).__name__} and its params, not an instance"
            )
        self.strategy, self.params = strategy, dict(params or {})
        self.sees_vix = False
        self.outside = Outside()
        self._chain: ChainSeen | None = None
        self._chain_of: frozenset[str] = frozenset()
        with self.outside:
            self.found = find_strategy(strategy, self.params)
        signals = bars_of(data, start, end)
        settings = checked(settings or Settings())
        settings = with_measured(settings, signals.symbol, signals.generated, False, slippages)
        refuse_unseen_bars(settings, signals)
        self.settings, self.signals = settings, signals
        self.interval_ns = settings.timeframe_ns or signals.interval_ns
        self.sessions = sessions_of(signals, settings, self.interval_ns)
        bars, _ = at_timeframe(signals, self.interval_ns, self.sessions)
        self.bars: NDArray[Any] = with_room_behind(bars)
        self._refuse_ticks_only()

    @property
    def kinds(self) -> list[type]:
        """Classes whose code decides: the strategy's, and of a blend those of its members."""
        if self.found.door == BLEND:
            return list(dict.fromkeys(one.kind for one in self.found.made.found))
        return [self.found.kind]

    @property
    def title(self) -> str:
        """Strategy, symbol, timeframe and dates, in a line."""
        return (
            f"{self.found.name} on {self.signals.symbol}, {timeframe_text(self.interval_ns)}, "
            f"{self.signals.first:%Y-%m-%d} to {self.signals.last:%Y-%m-%d}"
        )

    def run(
        self,
        bars: NDArray[Any],
        *,
        probes: NDArray[np.int64] | None = None,
        flat: bool = False,
    ) -> Watched:
        """Run a new one of the strategy over bars.

        Args:
            bars: BAR_DTYPE at the timeframe of the check.
            probes: ascending starts of the bars on which states are kept.
            flat: its wishes are written down, and no order is made.
        Returns:
            Decisions up to the end, or up to the bar on which it raised.
        """
        with self.outside:
            found = find_strategy(self.strategy, self.params)
            runner = found.runner(lambda at_ns, text: None, self.interval_ns)
        graph = graph_of(runner)
        self.sees_vix = graph is not None and bool({"vix", "chain"} & graph.needs)
        watch = Watch(
            runner, max(1, len(bars)), graph=graph, probes=probes,
            state_of=lambda: state_of(found.made), flat=flat,
        )  # fmt: skip
        guards, _ = recorded_guards(self.settings.guards)
        engine = Engine(
            watch, self.sessions, self.settings, interval_ns=self.interval_ns, bars=len(bars),
            guards=guards, chain=self._chain_feed(runner, bars),
        )  # fmt: skip
        error: DhanfastError | None = None
        net = 0
        with self.outside:
            try:
                engine.feed(bars)
                written = engine.finish()
                net = int((written.days["gross"] - written.days["charges"]).sum())
                found.stopped(runner)
            except StrategyError as raised:
                error = raised
        return Watched(watch.decisions.copy(), dict(watch.states), error, net)

    def _chain_feed(self, runner: NativeStrategy, bars: NDArray[Any]) -> ChainFeed | None:
        """The option chain as a run over these bars knows it: nothing after the last one."""
        asked = frozenset(figures_asked(runner))
        if asked != self._chain_of:
            self._chain, self._chain_of = None, asked
            self._chain = chain_seen(runner, self.settings.chain, self.signals)
        if self._chain is None or not len(bars):
            return None
        return self._chain.feed(int(bars["start_ns"][-1]) + self.interval_ns)

    def _refuse_ticks_only(self) -> None:
        made = self.found.made
        calls = (getattr(made, name, None) for name in ("on_bar", "on_chain"))
        if self.found.door == "python" and not any(calls):
            raise UsageError(
                f"{self.found.name} defines on_tick and no on_bar: a check runs on bars, where it "
                "is never called"
            )


def with_room_behind(bars: NDArray[Any]) -> NDArray[Any]:
    """A copy of bars that is followed by memory of ours: native code that reads on stays in it."""
    room = np.zeros(len(bars) + ROOM_BEHIND, bars.dtype)
    room[: len(bars)] = bars
    return room[: len(bars)]


def state_of(made: object) -> dict[str, float]:
    """Numbers that a strategy keeps in its attributes: {self.name: value}.

    Of a list, deque or array its length and last number; of a dict or set its length.
    """
    named = dict(getattr(made, "__dict__", {}))
    if isinstance(made, NativeStrategy):
        for name in dir(type(made)):
            if name not in _OF_NATIVE and not name.startswith("__"):
                item = getattr(type(made), name, None)
                if isinstance(item, types.GetSetDescriptorType | types.MemberDescriptorType):
                    named[name] = getattr(made, name, None)
    found: dict[str, float] = {}
    for name, value in named.items():
        label = f"self.{name}"
        if isinstance(value, _NUMBERS):
            found[label] = float(value)
        elif (isinstance(value, np.ndarray) and value.ndim == 1) or isinstance(value, list):
            found |= _of_row(label, value)
        elif isinstance(value, dict | set):
            found[f"len({label})"] = float(len(value))
        elif hasattr(value, "popleft"):  # a deque
            found |= _of_row(label, value)
    return found


def _of_row(label: str, row: Any) -> dict[str, float]:
    found = {f"len({label})": float(len(row))}
    if len(row) and isinstance(row[-1], _NUMBERS):
        found[f"{label}[-1]"] = float(row[-1])
    return found


def bar_text(start_ns: int) -> str:
    """2022-03-07 10:15, Indian time."""
    return dt.datetime.fromtimestamp(int(start_ns) // 10**9, IST).strftime("%Y-%m-%d %H:%M")


def action_text(action: int) -> str:
    """hold, long, short, exit."""
    names = {Action.HOLD: "hold", Action.GO_LONG: "long", Action.GO_SHORT: "short"}
    return names.get(Action(action), "exit")


def first_difference(one: NDArray[Any], two: NDArray[Any]) -> tuple[int, str] | None:
    """The first bar on which two runs decided otherwise, and in what.

    Returns:
        (row, field), the field one of start_ns, position, action, stop, target; a run that is
        shorter differs where it ends, in start_ns. None when they are equal.
    """
    both = min(len(one), len(two))
    best: tuple[int, str] | None = None
    for name in ("start_ns", "position", "action", "stop", "target"):
        left, right = one[name][:both], two[name][:both]
        differs = left != right
        if left.dtype.kind == "f":
            differs &= ~(np.isnan(left) & np.isnan(right))
        where = np.flatnonzero(differs)
        if len(where) and (best is None or where[0] < best[0]):
            best = int(where[0]), name
    if best is None and len(one) != len(two):
        return both, "start_ns"
    return best


def need_bars(stage: Stage, least: int) -> None:
    """Refuse data that is too short for a check.

    Raises:
        BadData: fewer bars than `least`.
    """
    if len(stage.bars) < least:
        raise BadData(
            f"{stage.signals.symbol}: {len(stage.bars):,} bars are too few, this check needs "
            f"{least:,}: give more data"
        )
