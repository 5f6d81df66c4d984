"""Warm-up: how many bars an indicator, and a decision, need before they are what they will be.

At some bars of the data (probes) the strategy is run with histories of growing length that end
there, and with the longest one, the reference. A value is stable from the shortest history from
which on, at every probe and with every longer history, it lies within the tolerance of the
reference. The tolerance counts in the value's own movement: 1 % of how much it changes from one bar
to the next in the mean, because what a decision sees is movement. Values that hardly move are
compared with their size; true and false must be equal.

Decisions are compared while flat: what is held depends on where a run began, and is no matter of
warm-up.
"""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.strategy import Action
from dhanfast.engine.checks.stage import (
    PROBLEM,
    WARNING,
    Finding,
    Stage,
    Watched,
    bar_text,
    need_bars,
)
from dhanfast.engine.settings import Settings
from dhanfast.errors import UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.strategies.plugins import BLEND

PROBES: Final = 6
MOST: Final = 5000
STEP: Final = 1.25
TOLERANCE: Final = 0.01
MOVES: Final = 60  # bars, and the bars before them, from which a value's movement is taken
BARS_MIN: Final = 50
DECISION: Final = "decision (while flat)"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Need:
    """What one value needs.

    Attributes:
        name: of the indicator, attribute or decision. bars: history from which it is stable; None
        when it never was. first: the shortest history with a value at all; None without one.
        worst: {history: largest distance from the reference, in mean one-bar movements}.
    """

    name: str
    bars: int | None
    first: int | None
    worst: dict[int, float]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; an infinite distance is null."""
        worst = {str(bars): None if math.isinf(away) else float(f"{away:.6g}")
                 for bars, away in self.worst.items()}  # fmt: skip
        return {"name": self.name, "stable_from": self.bars, "first_value": self.first,
                "distance": worst}  # fmt: skip


@dataclass(frozen=True)
class Warmup:
    """What the warm-up check found.

    Attributes:
        title: what was checked. needs: one each value, those that need most first. longest: bars of
        the reference. probes: bars at which it was looked. history: what the user means to give.
    """

    title: str
    needs: tuple[Need, ...]
    longest: int
    probes: tuple[int, ...]
    tolerance: float
    history: int | None
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """True when nothing was found but warnings."""
        return all(one.level == WARNING for one in self.findings)

    @property
    def bars(self) -> int | None:
        """History that everything is stable with; None when something never is."""
        found = [need.bars for need in self.needs]
        return None if None in found else max((n for n in found if n is not None), default=1)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "check": "warmup", "title": self.title, "passed": self.passed, "bars": self.bars,
            "longest": self.longest, "probes": [bar_text(at) for at in self.probes],
            "tolerance": self.tolerance, "history": self.history,
            "findings": [one.as_dict() for one in self.findings],
            "needs": [one.as_dict() for one in self.needs],
        }  # fmt: skip


def ladder(most: int) -> list[int]:
    """Histories to try, each a quarter longer than the one before, up to `most` bars."""
    found = [1]
    while found[-1] < most:
        found.append(min(most, max(found[-1] + 1, math.ceil(found[-1] * STEP))))
    return found


def check_warmup(
    strategy: str | type,
    data: str | Path | BarSet,
    *,
    params: Mapping[str, object] | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    settings: Settings | None = None,
    probes: int = PROBES,
    most: int = MOST,
    tolerance: float = TOLERANCE,
    history: int | None = None,
    progress: Progress | None = None,
) -> Warmup:
    """Find how much history a strategy's values and decisions need.

    Args:
        strategy, data, params, start, end, settings: as for `backtest`; a class, not an instance.
        probes: bars to look at, spread over the last part of the data.
        most: bars of the longest history, which is the reference; less when the data is shorter.
        tolerance: fraction of a value's mean one-bar movement.
        history: bars the strategy will be given; needing more is a problem.
        progress: told (runs done, all).
    Raises:
        UsageError: an argument out of range. BadData: too few bars.
        StrategyError: the strategy cannot be made, or raises.
    """
    _check(probes, most, tolerance, history)
    stage = Stage(strategy, data, params=params, start=start, end=end, settings=settings)
    if stage.found.door == BLEND:
        raise UsageError(f"{stage.found.name} is a blend, without indicators of its own: check the "
                         "warm-up of its members")  # fmt: skip
    need_bars(stage, BARS_MIN)
    whole = stage.run(stage.bars, flat=True)
    if whole.error is not None:
        raise whole.error
    bars, places = _inside(stage, whole)
    longest = min(most, len(bars) * 3 // 4)
    ends = _ends(whole.decisions["action"], longest, probes)
    moves = _movements(stage, bars, places)
    steps = ladder(longest)
    values: dict[int, list[dict[str, float]]] = {}
    for number, length in enumerate(steps):
        values[length] = [_seen(stage, bars[end - length : end]) for end in ends.tolist()]
        if progress is not None:
            progress(number + 1, len(steps))
    needs = needs_of(values, moves, tolerance)
    probed = tuple(bars["start_ns"][ends - 1].tolist())
    return Warmup(stage.title, needs, longest, probed, tolerance, history,
                  tuple(_told(needs, longest, history)))  # fmt: skip


def _ends(actions: NDArray[Any], longest: int, probes: int) -> NDArray[np.int64]:
    """Where histories end: half of the probes behind bars with an entry, the others anywhere."""
    enters = np.flatnonzero((actions == Action.GO_LONG) | (actions == Action.GO_SHORT)) + 1
    enters = enters[enters >= longest]
    some = min(len(enters), probes // 2)
    chosen = enters[np.linspace(0, len(enters) - 1, some).astype(np.int64)] if some else enters[:0]
    spread = np.linspace(longest, len(actions), probes - some).astype(np.int64)
    ends: NDArray[np.int64] = np.unique(np.concatenate((chosen, spread))).astype(np.int64)
    return ends


def _check(probes: int, most: int, tolerance: float, history: int | None) -> None:
    if not 1 <= probes <= 1000:
        raise UsageError(f"probes must be in 1..1,000, was {probes}")
    if not 2 <= most <= 1_000_000:
        raise UsageError(f"most must be in 2..1,000,000 bars, was {most}")
    if not 0 < tolerance <= 1:
        raise UsageError(f"tolerance must be above 0 and at most 1 (100 %), was {tolerance:g}")
    if history is not None and history < 1:
        raise UsageError(f"history must be at least 1 bar, was {history}")


def _inside(stage: Stage, whole: Watched) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Bars that the strategy was shown, and the places whose movement is looked at."""
    at = np.searchsorted(stage.bars["start_ns"], whole.decisions["start_ns"])
    bars = np.ascontiguousarray(stage.bars[at])
    spread = np.linspace(len(bars) // 4 + 1, len(bars) - 1, MOVES).astype(np.int64)
    return bars, np.unique(np.concatenate((spread - 1, spread)))


def _movements(
    stage: Stage, bars: NDArray[Any], places: NDArray[np.int64]
) -> dict[str, tuple[float, float]]:
    """Of each value, its mean change from one bar to the next, and its mean size."""
    states = stage.run(bars, probes=bars["start_ns"][places], flat=True).states
    pairs = [(states.get(int(bars["start_ns"][at - 1])), states.get(int(bars["start_ns"][at])))
             for at in places.tolist() if at]  # fmt: skip
    steps: dict[str, list[float]] = {}
    sizes: dict[str, list[float]] = {}
    for before, after in pairs:
        if before is None or after is None:
            continue
        for name, value in after.items():
            change = abs(value - before.get(name, math.nan))
            if math.isfinite(change):
                steps.setdefault(name, []).append(change)
                sizes.setdefault(name, []).append(abs(value))
    return {name: (float(np.mean(found)), float(np.mean(sizes[name])))
            for name, found in steps.items()}  # fmt: skip


def _seen(stage: Stage, bars: NDArray[Any]) -> dict[str, float]:
    """What the strategy knows and wants on the last of some bars."""
    last = bars["start_ns"][-1:]
    run = stage.run(np.ascontiguousarray(bars), probes=last.copy(), flat=True)
    if run.error is not None:
        raise run.error
    state = dict(list(run.states.get(int(last[0]), {}).items()))
    row = run.decisions[-1]
    state[DECISION] = float(row["action"])
    if row["action"] in (Action.GO_LONG, Action.GO_SHORT):
        state["its stop"], state["its target"] = float(row["stop"]), float(row["target"])
    return state


def needs_of(
    values: Mapping[int, list[dict[str, float]]],
    moves: Mapping[str, tuple[float, float]],
    tolerance: float,
) -> tuple[Need, ...]:
    """What each value needs.

    Args:
        values: {history: [{name: value} at each probe]}; the longest history is the reference.
        moves: {name: (mean one-bar change, mean size)}. tolerance: fraction of the change.
    """
    steps = sorted(values)
    reference = values[steps[-1]]
    fields = set(_FIELD_NAMES)
    found = []
    for name in sorted({name for row in reference for name in row} - fields):
        change, size = moves.get(name, (0.0, 0.0))
        unit = change or size or 1.0
        worst = {
            length: max(
                _distance(row.get(name), true.get(name), unit, name == DECISION)
                for row, true in zip(values[length], reference, strict=True)
            )
            for length in steps[:-1]
        }
        stable: int | None = None
        for length in reversed(steps[:-1]):
            if worst[length] > tolerance:
                break
            stable = length
        valued = (n for n in steps if all(_known(row.get(name)) for row in values[n]))
        found.append(Need(name, stable, next(valued, None), worst))
    return tuple(sorted(found, key=lambda need: (need.bars is not None, -(need.bars or 0),
                                                 need.name)))  # fmt: skip


_FIELD_NAMES: Final = (
    "vix", "open", "high", "low", "close", "volume", "oi", "second", "weekday", "session_start",
    "bar_of_session", "position", "entry_price", "bars_held",
)  # fmt: skip


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _distance(value: float | None, true: float | None, unit: float, exact: bool) -> float:
    """How far a value is from the reference, in units of its movement; inf = one is unknown."""
    if value is None or true is None:
        return 0.0 if value is true else math.inf
    if math.isnan(value) or math.isnan(true):
        return 0.0 if math.isnan(value) and math.isnan(true) else math.inf
    if exact:
        return 0.0 if value == true else math.inf
    return abs(value - true) / unit


def _told(needs: tuple[Need, ...], longest: int, history: int | None) -> list[Finding]:
    found = []
    for need in needs:
        if need.bars is None and need.worst and max(need.worst.values()) > 0:
            found.append(Finding(
                "never-stable", f"{need.name} depends on where the data begins: with "
                f"{longest:,} bars it has not settled; a run that begins elsewhere decides "
                "otherwise", need.name,
                WARNING if "self." in need.name else PROBLEM))  # fmt: skip
        elif history is not None and need.bars is not None and need.bars > history:
            found.append(Finding(
                "needs-more", f"{need.name} is stable from {need.bars:,} bars, and is given "
                f"{history:,}", need.name, PROBLEM))  # fmt: skip
    return found
