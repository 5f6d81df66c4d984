"""Is a strategy fit to run: the same twice, no error, quick enough, nothing smuggled in.

source       what its source says (`source.py`): chance, clocks, files, state kept in modules
twice        two runs in one process, a new strategy each: they must decide the same
elsewhere    a run in a new process with another hash seed, another state of every random
             generator, and clocks that are three days off: it must decide the same
chance       whether the process-wide random generators were drawn from
hard bars    bars that do not move, a first bar alone, a price ten times as high in the middle:
             real markets have all three
speed        nanoseconds inside on_bar: median, 99 % and largest
"""

import base64
import datetime as dt
import importlib
import json
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.strategy import Action
from dhanfast._core.watch import DECISION_DTYPE
from dhanfast.engine.checks.lookahead import outside_findings
from dhanfast.engine.checks.source import source_findings, sources_of
from dhanfast.engine.checks.stage import (
    WARNING,
    Finding,
    Stage,
    Watched,
    bar_text,
    first_difference,
)
from dhanfast.engine.settings import Settings
from dhanfast.errors import DhanfastError, UsageError, raised_at
from dhanfast.storage.bars import BarSet

SLOW_NS: Final = 1_000_000
CHILD_S_MAX: Final = 600
HASH_SEED: Final = "4242"
_CHILD: Final = (
    "import os, sys; os.environ['PYTHONHASHSEED'] = '" + HASH_SEED + "'; "
    "os.execv(sys.executable, [sys.executable, '-m', 'dhanfast.engine.checks.elsewhere'])"
)


@dataclass(frozen=True, slots=True)
class Speed:
    """Time inside on_bar.

    Units:
        nanoseconds.
    """

    median: int
    p99: int
    most: int


@dataclass(frozen=True)
class Steady:
    """What the strategy check found.

    Attributes:
        title: what was checked. bars, signals: of one run. elsewhere: whether the run in a new
        process was made; else `elsewhere_why` says why not. source: files whose source was read.
    """

    title: str
    door: str
    bars: int
    signals: int
    speed: Speed | None
    elsewhere: bool
    elsewhere_why: str
    source: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """True when nothing was found but warnings."""
        return all(one.level == WARNING for one in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        speed = None if self.speed is None else {
            "median_ns": self.speed.median, "p99_ns": self.speed.p99, "max_ns": self.speed.most,
        }  # fmt: skip
        return {
            "check": "strategy", "title": self.title, "door": self.door, "passed": self.passed,
            "bars": self.bars, "signals": self.signals, "speed": speed,
            "elsewhere": self.elsewhere, "elsewhere_why": self.elsewhere_why,
            "source": list(self.source), "findings": [one.as_dict() for one in self.findings],
        }  # fmt: skip


def check_strategy(
    strategy: str | type,
    data: str | Path | BarSet,
    *,
    params: Mapping[str, object] | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    settings: Settings | None = None,
    slow_ns: int = SLOW_NS,
    allow: tuple[str, ...] = (),
    elsewhere: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Steady:
    """Check that a strategy is fit to run.

    Args:
        strategy, data, params, start, end, settings: as for `backtest`; a class, not an instance.
        slow_ns: 99 % of the bars must take less. allow: files it may read.
        elsewhere: also run it in a new process. progress: told what is done next.
    Raises:
        UsageError: slow_ns is not positive, an instance. StrategyError: it cannot be made.
    """
    if slow_ns < 1:
        raise UsageError(f"slow must be at least 1 ns, was {slow_ns}")
    stage = Stage(strategy, data, params=params, start=start, end=end, settings=settings)
    tell = progress if progress is not None else _nothing
    before = _chance()
    tell("first run")
    one = stage.run(stage.bars)
    drawn = _drawn(before)
    findings = _raised(stage, one, "")
    ran, why = False, "the strategy raised"
    if not findings:
        tell("second run")
        findings += _differs(one.decisions, stage.run(stage.bars).decisions, "second-run",
                             "a second run in the same process")  # fmt: skip
        if drawn:
            findings.append(Finding("random-drawn", f"drew from {drawn}, which no setting seeds"))
        tell("hard bars")
        findings += _hard(stage)
        ran, why = False, "not asked for"
        if elsewhere:
            tell("run in a new process")
            ran, why, more = run_elsewhere(stage, one)
            findings += more
    findings += outside_findings(stage, allow)
    findings += [one for kind in stage.kinds for one in source_findings(kind, allow)]
    speed = speed_of(one.decisions)
    if speed is not None and speed.p99 > slow_ns:
        findings.append(Finding(
            "slow", f"1 % of the bars take more than {speed.p99 / 1000:,.0f} us in on_bar, the "
            f"limit is {slow_ns / 1000:,.0f} us"))  # fmt: skip
    return Steady(
        stage.title, stage.found.door, len(one.decisions),
        int((one.decisions["action"] != Action.HOLD).sum()), speed, ran, why,
        tuple(dict.fromkeys(path.name for kind in stage.kinds for path in sources_of(kind))),
        tuple(findings),
    )  # fmt: skip


def _nothing(what: str) -> None:
    """Tell nobody."""


def speed_of(decisions: NDArray[Any]) -> Speed | None:
    """Median, 99 % and largest of the times inside on_bar; None without a bar."""
    if len(decisions) == 0:
        return None
    took = np.sort(decisions["took_ns"])
    ranks = [(len(took) - 1) // 2, (len(took) - 1) * 99 // 100, -1]
    return Speed(*(int(took[rank]) for rank in ranks))


def _chance() -> tuple[Any, Any]:
    """The states of the process-wide random generators."""
    numpy_state: Any = np.random.get_state(legacy=False)
    return random.getstate(), pickle.dumps(numpy_state)


def _drawn(before: tuple[Any, Any]) -> str:
    after = _chance()
    names = [name for name, old, new in zip(("random", "numpy.random"), before, after, strict=True)
             if old != new]  # fmt: skip
    return " and ".join(names)


def _raised(stage: Stage, run: Watched, on_what: str) -> list[Finding]:
    if run.error is None:
        return []
    where = bar_text(run.decisions["start_ns"][-1]) if len(run.decisions) else ""
    cause = run.error.__cause__ or run.error
    text = f"raises {type(cause).__name__}: {cause}{raised_at(cause)}{on_what}"
    return [Finding("raises", text, where)]


def _differs(one: NDArray[Any], two: NDArray[Any], code: str, words: str) -> list[Finding]:
    differs = first_difference(one, two)
    if differs is None:
        return []
    row, field = differs
    longer = one if row < len(one) else two
    return [Finding(code, f"{words} decides otherwise, first in {field}",
                    bar_text(longer["start_ns"][row]))]  # fmt: skip


def hard_bars(bars: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Bars as markets can have them: {what they are: BAR_DTYPE}."""
    still = bars[: min(len(bars), 2000)].copy()
    for name in ("open", "high", "low", "close"):
        still[name] = bars["close"][0]
    for name in ("volume", "oi"):
        still[name] = 0
    jump = bars[: min(len(bars), 2000)].copy()
    for name in ("open", "high", "low", "close"):
        jump[name][len(jump) // 2 :] *= 10
    return {
        "bars that do not move and have no volume": still,
        "the first bar alone": bars[:1].copy(),
        "a price that is ten times as high from one bar to the next": jump,
    }


def _hard(stage: Stage) -> list[Finding]:
    found = []
    for what, bars in hard_bars(stage.bars).items():
        found += _raised(stage, stage.run(np.ascontiguousarray(bars)), f", on {what}")
    return found


def run_elsewhere(stage: Stage, one: Watched) -> tuple[bool, str, list[Finding]]:
    """Run the strategy in a new process; (made, why not, what differs)."""
    name, why = _name_elsewhere(stage.strategy)
    if name is None:
        return False, why, []
    payload = {
        "strategy": name, "params": stage.params, "settings": stage.settings,
        "bars": stage.signals, "path": list(sys.path),
    }  # fmt: skip
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _CHILD], input=pickle.dumps(payload), capture_output=True,
            timeout=CHILD_S_MAX, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True, "", [Finding("elsewhere", f"did not end within {CHILD_S_MAX} s in a new "
                                  "process")]  # fmt: skip
    line = answer.stdout.rpartition(b"dhanfast-elsewhere:")[2]
    try:
        told = json.loads(line)
    except ValueError:
        last = answer.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no answer"]
        return True, "", [Finding("elsewhere", f"a new process ended without a result: {last[0]}")]
    if told["error"]:
        return True, "", [Finding("elsewhere", f"raises in a new process: {told['error']}")]
    rows = np.frombuffer(base64.b64decode(told["decisions"]), DECISION_DTYPE)
    words = "a run in a new process, with another hash seed, other random states and clocks three "
    return True, "", _differs(one.decisions, rows, "elsewhere", f"{words}days off,")


def _name_elsewhere(strategy: str | type) -> tuple[str | None, str]:
    """How a new process finds the strategy; None when it cannot."""
    if isinstance(strategy, str):
        return strategy, ""
    dotted, name = strategy.__module__, strategy.__qualname__
    try:
        found = getattr(importlib.import_module(dotted), name, None)
    except (ImportError, DhanfastError, ValueError):
        found = None
    if dotted == "__main__" or found is not strategy:
        return None, f"{name} cannot be imported from a module in a new process"
    return f"{dotted}:{name}", ""
