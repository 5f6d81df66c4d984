"""Look-ahead: does a decision change when the bars after it are not there yet?

Four nets, because a strategy can learn of the future in more than one way:
    cut      the run is repeated on data that ends at each of many signals (and some quiet bars).
             Every decision up to the cut, and every indicator and number kept on the last bar, must
             be what the whole run had. Behind the cut stand bars of another market, so that native
             code that reads on finds those.
    repeat   the whole run is made twice: what one run remembers must not reach the next.
    outside  files, sockets and programs that the strategy opens: no cut reaches what they hold.
    blind    the strategy is shown a random walk with the same stamps; decisions that still go with
             the recorded market come from somewhere else (`blind.py`).
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
from dhanfast.engine.checks.blind import Blind, blind_test
from dhanfast.engine.checks.outside import FILES, WORDS
from dhanfast.engine.checks.source import SEES_AHEAD, code_file, source_findings
from dhanfast.engine.checks.stage import (
    TOLD_MAX,
    WARNING,
    Finding,
    Stage,
    Watched,
    action_text,
    bar_text,
    first_difference,
    need_bars,
    with_room_behind,
)
from dhanfast.engine.settings import Settings
from dhanfast.errors import UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.storage.slippage import SlippageStore

CUTS: Final = 60
CUTS_MAX: Final = 100_000
QUIET_SHARE: Final = 4  # one quiet cut for so many at signals
BARS_MIN: Final = 10
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a cut run had otherwise than the whole run.

    Attributes:
        bar_ns: start of the bar on which they differ. cut_ns: of the last bar that was shown.
        what: entry, exit, stop, target, position, indicator or state. name: of the indicator.
        whole, cut: the two values, as text.
    """

    bar_ns: int
    cut_ns: int
    what: str
    name: str
    whole: str
    cut: str

    def as_dict(self) -> dict[str, str]:
        """JSON-able, times Indian."""
        return {
            "bar": bar_text(self.bar_ns), "cut": bar_text(self.cut_ns), "what": self.what,
            "name": self.name, "whole": self.whole, "cut_value": self.cut,
        }  # fmt: skip


@dataclass(frozen=True)
class Lookahead:
    """What the look-ahead check found.

    Attributes:
        title: what was checked. bars, signals: of the whole run. cuts: runs on cut data.
        differences: the first of each kind at each cut, at most 1,000. blind: the blind test; None
        when it could not run, and `blind_why` says why.
    """

    title: str
    bars: int
    signals: int
    cuts: int
    differences: tuple[Difference, ...]
    findings: tuple[Finding, ...]
    blind: Blind | None
    blind_why: str

    @property
    def passed(self) -> bool:
        """True when nothing was found but warnings."""
        return all(one.level == WARNING for one in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "check": "lookahead", "title": self.title, "passed": self.passed, "bars": self.bars,
            "signals": self.signals, "cuts": self.cuts,
            "findings": [one.as_dict() for one in self.findings],
            "differences": [one.as_dict() for one in self.differences],
            "blind": None if self.blind is None else self.blind.as_dict(),
            "blind_why": self.blind_why,
        }  # fmt: skip


def check_lookahead(
    strategy: str | type,
    data: str | Path | BarSet,
    *,
    params: Mapping[str, object] | None = None,
    start: dt.date | None = None,
    end: dt.date | None = None,
    settings: Settings | None = None,
    slippages: SlippageStore | None = None,
    cuts: int = CUTS,
    seed: int = 0,
    allow: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Lookahead:
    """Look for knowledge of the future in a strategy's decisions.

    Args:
        strategy: a name, file, module or class; it is made anew for each run.
        data, params, start, end, settings, slippages: as for `backtest`.
        cuts: signals at which the data is cut; a quarter as many quiet bars are added.
        seed: chooses the quiet bars and makes the random walks.
        allow: files the strategy may read; what they hold is then your word, not the check's.
        progress: told (cuts done, all).
    Raises:
        UsageError: cuts out of range, an instance instead of a class. BadData: too few bars.
        StrategyError: the strategy cannot be made.
    """
    if not 1 <= cuts <= CUTS_MAX:
        raise UsageError(f"cuts must be in 1..{CUTS_MAX:,}, was {cuts}")
    stage = Stage(strategy, data, params=params, start=start, end=end, settings=settings,
                  slippages=slippages)  # fmt: skip
    need_bars(stage, BARS_MIN)
    whole = stage.run(stage.bars)
    findings = _raised(whole)
    differences: list[Difference] = []
    blind: Blind | None = None
    why = "the strategy raised"
    places = chosen_cuts(whole, cuts, seed)
    if not findings:
        again = stage.run(stage.bars, probes=whole.decisions["start_ns"][places])
        findings += _repeated(whole, again)
        differences = cut_runs(stage, again, places, progress)
        findings += differences_told(differences, len(places))
        blind, why = blind_test(stage, whole.decisions, seed)
        findings += _blind_told(blind)
    findings += outside_findings(stage, allow)
    findings += [one for kind in stage.kinds for one in source_findings(kind, allow)
                 if one.code in SEES_AHEAD]  # fmt: skip
    signals = int((whole.decisions["action"] != Action.HOLD).sum())
    if not signals and not findings:
        findings.append(Finding(
            "no-signals", "the strategy never asked for anything: there was no decision to check; "
            "give data on which it trades"))  # fmt: skip
    return Lookahead(
        stage.title, len(whole.decisions), signals, len(places), tuple(differences[:1000]),
        tuple(findings), blind, why,
    )  # fmt: skip


def _raised(run: Watched) -> list[Finding]:
    if run.error is None:
        return []
    where = bar_text(run.decisions["start_ns"][-1]) if len(run.decisions) else ""
    return [Finding("raised", str(run.error), where)]


def chosen_cuts(whole: Watched, cuts: int, seed: int) -> NDArray[np.int64]:
    """Rows of the decisions at which the data will end: evenly chosen signals, and quiet bars."""
    asked = whole.decisions["action"] != Action.HOLD
    signals, quiet = np.flatnonzero(asked), np.flatnonzero(~asked)
    if len(signals) > cuts:
        signals = signals[np.linspace(0, len(signals) - 1, cuts).astype(np.int64)]
    count = min(len(quiet), max(1, cuts // QUIET_SHARE))
    some = np.random.default_rng(seed).choice(quiet, count, replace=False) if count else quiet[:0]
    places: NDArray[np.int64] = np.unique(np.concatenate((signals, some))).astype(np.int64)
    return places


def cut_runs(
    stage: Stage, whole: Watched, places: NDArray[np.int64], progress: Progress | None = None
) -> list[Difference]:
    """Run on data that ends at each place; what differs from the whole run.

    Args:
        stage: the strategy. whole: its whole run, with the states of the places. places: rows of
            its decisions.
    """
    starts = whole.decisions["start_ns"][places]
    ends = np.searchsorted(stage.bars["start_ns"], starts) + 1
    shown = with_room_behind(another_market(stage.bars))
    found: list[Difference] = []
    done = 0
    for number, (place, start, end) in enumerate(
        zip(places.tolist(), starts.tolist(), ends.tolist(), strict=True)
    ):
        shown[done:end] = stage.bars[done:end]  # the rest of the array stays another market's
        done = end
        run = stage.run(shown[:end], probes=np.array([start], np.int64))
        found += _compared(whole, run, place, start)
        if progress is not None:
            progress(number + 1, len(places))
    return found


def another_market(bars: NDArray[Any]) -> NDArray[Any]:
    """Bars with the same stamps and other prices: the same market backwards, ten rupees up."""
    other = bars[::-1].copy()
    for name in ("open", "high", "low", "close"):
        other[name] += 1000
    other["start_ns"] = bars["start_ns"]
    return other


def _compared(whole: Watched, run: Watched, place: int, cut_ns: int) -> list[Difference]:
    if run.error is not None:
        at = int(run.decisions["start_ns"][-1]) if len(run.decisions) else cut_ns
        return [Difference(at, cut_ns, "raised", "", "", str(run.error))]
    found = []
    differs = first_difference(whole.decisions[: place + 1], run.decisions)
    if differs is not None:
        row, field = differs
        at = int(whole.decisions["start_ns"][row])
        if row >= len(run.decisions):
            found.append(Difference(at, cut_ns, "bar", "", "seen", "not seen"))
        else:
            one, two = whole.decisions[row], run.decisions[row]
            found.append(_decided(field, at, cut_ns, one, two))
    left, right = whole.states.get(cut_ns, {}), run.states.get(cut_ns, {})
    for name in sorted(left.keys() | right.keys()):
        one, two = left.get(name), right.get(name)
        if not same(one, two):
            what = "state" if "self." in name else "indicator"
            found.append(Difference(cut_ns, cut_ns, what, name, number_text(one),
                                    number_text(two)))  # fmt: skip
    return found


def _decided(field: str, at: int, cut_ns: int, one: Any, two: Any) -> Difference:
    if field == "action":
        held = one["position"] != 0
        words = action_text(int(one[field])), action_text(int(two[field]))
        what = "exit" if "exit" in words or held else "entry"
        return Difference(at, cut_ns, what, "", *words)
    return Difference(at, cut_ns, field, "", number_text(one[field]), number_text(two[field]))


def same(one: Any, two: Any) -> bool:
    """Equal numbers; unknown (NaN) equals unknown, missing equals missing."""
    if one is None or two is None:
        return one is two
    return bool(one == two) or (math.isnan(one) and math.isnan(two))


def number_text(value: Any) -> str:
    """A number for people; unknown in warm-up, none when it is not there."""
    if value is None:
        return "none"
    number = float(value)
    return "unknown" if math.isnan(number) else f"{number:.10g}"


def differences_told(differences: list[Difference], cuts: int) -> list[Finding]:
    """One finding for each thing that differs, with its first bar and how often."""
    kinds: dict[tuple[str, str], list[Difference]] = {}
    for one in differences:
        kinds.setdefault((one.what, one.name), []).append(one)
    found = []
    for (what, name), group in list(kinds.items())[:TOLD_MAX]:
        first = min(group, key=lambda one: (one.bar_ns, one.cut_ns))
        named = f"{what} {name}".rstrip()
        found.append(Finding(
            f"lookahead-{what}",
            f"{named} is {first.whole or 'there'} when later bars are there, and {first.cut} when "
            f"the data ends at {bar_text(first.cut_ns)}; so at {len(group):,} of {cuts:,} cuts",
            bar_text(first.bar_ns)))  # fmt: skip
    return found


def _repeated(one: Watched, two: Watched) -> list[Finding]:
    differs = first_difference(one.decisions, two.decisions)
    if differs is None:
        return []
    row, field = differs
    at = one.decisions if row < len(one.decisions) else two.decisions
    return [Finding(
        "unrepeatable",
        f"two runs on the same data differ in {field}: something of the first run, or chance, "
        "reached the second; see `check strategy`", bar_text(at["start_ns"][row]))]  # fmt: skip


def _blind_told(blind: Blind | None) -> list[Finding]:
    if blind is None or not blind.knows:
        return []
    worst = blind.strongest
    return [Finding(
        "knows-record",
        f"shown a random walk with the same times, its {blind.entries:,} entries still go with "
        f"what the recorded market did {worst.what} (z = {worst.z:+.1f}): it takes its decisions "
        "from somewhere else than the bars it is shown")]  # fmt: skip


def outside_findings(stage: Stage, allow: tuple[str, ...]) -> list[Finding]:
    """What the strategy's code opened, but for the files that are allowed."""
    allowed = {str(Path(name).absolute()) for name in allow}
    found: dict[tuple[str, str], Finding] = {}
    for path in dict.fromkeys(code_file(kind) for kind in stage.kinds):
        for one in stage.outside.by(path):
            if one.event in FILES and one.what in allowed:
                continue
            line = one.line_in(path) if path else 0
            where = f"{Path(path).name}:{line}" if path and line else ""
            text = f"{WORDS[one.event]} {one.what}: what it learns there is not cut with the bars"
            text = f"a thread that was begun in the run {text}" if one.begun else text
            found.setdefault((one.event, one.what), Finding("outside", text, where))
    return list(found.values())[:TOLD_MAX]
