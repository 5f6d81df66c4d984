"""Where a walk-forward trains and where it tests: splits of the sessions of the data.

Purging leaves out sessions beside a test, on the side of the training days before it, so that
nothing decided there can reach into the test; the embargo leaves out sessions after a test, so
that what the test has moved does not teach the training days behind it.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, Final

from dhanfast.engine.research.trial import Span
from dhanfast.errors import UsageError

KINDS: Final = ("rolling", "anchored", "purged", "combinatorial")
WINDOWS_MAX: Final = 10_000
SPLITS_MAX: Final = 5_000
_DAYS: Final = re.compile(r"^\s*(\d{1,5})\s*d?\s*$")
_YEAR: Final = 252


@dataclass(frozen=True, slots=True)
class Plan:
    """How the sessions are split.

    Attributes:
        kind: rolling trains on the last `train` sessions before each test; anchored on all since
            the first; purged on all folds but the tested one; combinatorial on every choice of
            folds but `tested` of them.
        train, test: sessions, of rolling and anchored (of anchored, `train` is the first one's).
        windows: of rolling and anchored: how many; 0 = as many as fit.
        folds, tested: of purged and combinatorial.
        purge, embargo, warmup: sessions. Those of the warm-up are shown to the strategy before a
            stretch of days and let no entry through.
    """

    kind: str = "rolling"
    train: int = _YEAR
    test: int = 21
    windows: int = 0
    folds: int = 6
    tested: int = 2
    purge: int = 0
    embargo: int = 0
    warmup: int = 5

    def as_dict(self) -> dict[str, Any]:
        """JSON-able: what this kind uses."""
        own = ("folds", "tested") if self.kind == "combinatorial" else (
            ("folds",) if self.kind == "purged" else ("train", "test", "windows")
        )  # fmt: skip
        names = ("kind", *own, "purge", "embargo", "warmup")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Window:
    """One choice and its test: stretches of sessions, each in order."""

    train: tuple[Span, ...]
    test: tuple[Span, ...]

    @property
    def train_days(self) -> int:
        """Sessions it trains on."""
        return sum(span.last - span.first for span in self.train)

    @property
    def test_days(self) -> int:
        """Sessions it tests on."""
        return sum(span.last - span.first for span in self.test)


def sessions_count(text: str, name: str) -> int:
    """`60d` or `60` as a number of sessions.

    Raises:
        UsageError: something else.
    """
    found = _DAYS.match(text)
    if not found:
        raise UsageError(f"{name}: {text!r} must be a number of trading days, for example 60d")
    return int(found[1])


def windows_of(plan: Plan, sessions: int) -> list[Window]:
    """The windows of a plan.

    Args:
        sessions: of the data.
    Raises:
        UsageError: a number out of range, or the data are too short; the message names it.
    """
    _check(plan, sessions)
    if plan.kind in ("rolling", "anchored"):
        return _walked(plan, sessions)
    folds = _folds(plan.folds, sessions)
    tested = 1 if plan.kind == "purged" else plan.tested
    found = []
    for chosen in itertools.combinations(range(plan.folds), tested):
        train = _trained(plan, folds, chosen, sessions)
        test = tuple(_span(plan, *folds[at]) for at in chosen)
        if not train:
            raise UsageError(
                f"purge and embargo leave nothing to train on beside folds {chosen}; lower them, "
                "or take fewer folds"
            )
        found.append(Window(train, test))
    return found


def paths_of(plan: Plan, windows: Sequence[Window]) -> list[list[tuple[int, int]]]:
    """How tests are put together into whole histories: (window, its test stretch) by fold.

    Rolling, anchored and purged have one history. Combinatorial ones have
    C(folds, tested) * tested / folds: each takes every fold once, from another window.
    """
    if plan.kind != "combinatorial":
        return [[(at, part) for at, window in enumerate(windows)
                 for part in range(len(window.test))]]  # fmt: skip
    by_fold: list[list[tuple[int, int]]] = [[] for _ in range(plan.folds)]
    chosen = itertools.combinations(range(plan.folds), plan.tested)
    for at, folds in enumerate(chosen):
        for part, fold in enumerate(folds):
            by_fold[fold].append((at, part))
    return [list(path) for path in zip(*by_fold, strict=True)]


def _check(plan: Plan, sessions: int) -> None:
    def need(ok: bool, name: str, value: object, rule: str) -> None:
        if not ok:
            raise UsageError(f"{name} must be {rule}, was {value}")

    need(plan.kind in KINDS, "split", plan.kind, f"one of {', '.join(KINDS)}")
    for name in ("purge", "embargo", "warmup"):
        need(0 <= getattr(plan, name) <= _YEAR, name, getattr(plan, name), f"in 0..{_YEAR} days")
    if plan.kind in ("rolling", "anchored"):
        need(2 <= plan.train <= sessions, "train", plan.train,
             f"in 2..{sessions} days, which the data have")  # fmt: skip
        need(1 <= plan.test <= sessions, "test", plan.test, f"in 1..{sessions} days")
        need(0 <= plan.windows <= WINDOWS_MAX, "windows", plan.windows, f"in 0..{WINDOWS_MAX}")
        return
    need(2 <= plan.folds <= min(100, sessions // 2), "folds", plan.folds,
         f"in 2..{min(100, sessions // 2)}")  # fmt: skip
    if plan.kind == "combinatorial":
        need(1 <= plan.tested < plan.folds, "tested", plan.tested, f"in 1..{plan.folds - 1}")
        splits = comb(plan.folds, plan.tested)
        need(splits <= SPLITS_MAX, "folds", f"{plan.folds} ({splits:,} splits)",
             f"so few that there are at most {SPLITS_MAX:,} splits")  # fmt: skip


def _walked(plan: Plan, sessions: int) -> list[Window]:
    """Tests one behind the other, each trained on what lies before it."""
    first = plan.train + plan.purge
    fits = (sessions - first) // plan.test
    count = plan.windows or fits
    if fits < 1 or count > fits:
        raise UsageError(
            f"{max(count, 1)} windows of {plan.train} + {plan.purge} + {plan.test} days (train, "
            f"purge, test) need {first + max(count, 1) * plan.test} sessions, the data have "
            f"{sessions}: shorten train or test, ask for fewer windows or bring more data"
        )
    found = []
    for at in range(count):
        begin = first + at * plan.test
        end = begin - plan.purge
        low = 0 if plan.kind == "anchored" else end - plan.train
        train = (_span(plan, low, end),)
        found.append(Window(train, (_span(plan, begin, begin + plan.test),)))
    return found


def _folds(count: int, sessions: int) -> list[tuple[int, int]]:
    """Stretches of nearly equal length, in order."""
    edges = [sessions * at // count for at in range(count + 1)]
    return list(itertools.pairwise(edges))


def _trained(
    plan: Plan, folds: list[tuple[int, int]], chosen: tuple[int, ...], sessions: int
) -> tuple[Span, ...]:
    """What is left beside the tested folds, without purge before and purge and embargo after."""
    kept = [True] * sessions
    for fold in chosen:
        low, high = folds[fold]
        for day in range(max(0, low - plan.purge), min(sessions, high + plan.purge + plan.embargo)):
            kept[day] = False
    spans, day = [], 0
    for keep, group in itertools.groupby(kept):
        length = len(list(group))
        if keep:
            spans.append(_span(plan, day, day + length))
        day += length
    return tuple(spans)


def _span(plan: Plan, first: int, last: int) -> Span:
    return Span(first, last, min(plan.warmup, first))
