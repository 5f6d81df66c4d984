"""Which points a search tries, and when: all at once, or in rounds that learn from those before.

A round's points depend only on the seed and on the rows of the rounds before it, never on who ran
them or in which order they were done: one core, many, or a cluster search the same.
"""

import importlib.metadata
import warnings
from collections.abc import Sequence
from typing import Any, Final, Protocol

from dhanfast.engine.research.space import Axis, Point, Space
from dhanfast.engine.research.trial import Row
from dhanfast.errors import UsageError

METHODS: Final = ("grid", "random", "bayes")
ROUND: Final = 16  # points of a Bayesian round
TRIALS_MAX: Final = 1_000_000
RANDOM_TRIALS: Final = 100
SEEDS: Final = 2**32


class Proposals(Protocol):
    """Says what to try next."""

    def next(self) -> list[Point]:
        """The points of the next round; empty at the end."""

    def told(self, rows: Sequence[Row]) -> None:
        """What the points of the last round gave, in their order."""


class Listed:
    """All points in one round.

    Args:
        points: to try, in order.
    """

    def __init__(self, points: list[Point]) -> None:
        self._points = points

    def next(self) -> list[Point]:
        """All of them, once."""
        points, self._points = self._points, []
        return points

    def told(self, rows: Sequence[Row]) -> None:
        """Nothing to learn."""


class Bayes:
    """Optuna's tree-structured Parzen estimator in rounds of 16 points.

    Args:
        space: what to search. trials: how many. seed: equal seeds try equal points.
    Raises:
        UsageError: Optuna is not installed.
    Source:
        Bergstra, J. et al. (2011), "Algorithms for Hyper-Parameter Optimization", NeurIPS 24.
    """

    def __init__(self, space: Space, trials: int, seed: int) -> None:
        self._space, self._left = space, trials
        self._optuna = _optuna()
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant_liar is marked experimental
            sampler = self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._study = self._optuna.create_study(direction="maximize", sampler=sampler)
        self._axes = {axis.name: self._distribution(axis) for axis in space.axes}
        self._asked: list[Any] = []

    def _distribution(self, axis: Axis) -> Any:
        """Points are searched by their place: what lies beside each other is alike."""
        kinds = self._optuna.distributions
        if axis.continuous:
            return kinds.FloatDistribution(axis.low, axis.high)
        if any(isinstance(point, bool | str) for point in axis.points):
            return kinds.CategoricalDistribution(tuple(range(len(axis.points))))
        return kinds.IntDistribution(0, len(axis.points) - 1)

    def next(self) -> list[Point]:
        """The next sixteen, or what is left."""
        count = min(ROUND, self._left)
        self._left -= count
        self._asked = [self._study.ask(dict(self._axes)) for _ in range(count)]
        return [
            {
                axis.name: float(trial.params[axis.name])
                if axis.continuous
                else axis.points[int(trial.params[axis.name])]
                for axis in self._space.axes
            }
            for trial in self._asked
        ]

    def told(self, rows: Sequence[Row]) -> None:
        """Learn from the round; a point without a score is left out."""
        failed = self._optuna.trial.TrialState.FAIL
        for trial, row in zip(self._asked, rows, strict=True):
            if row.score is None:
                self._study.tell(trial, state=failed)
            else:
                self._study.tell(trial, row.score)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            "method bayes needs Optuna, which is not installed: pip install 'dhanfast[search]'; "
            "grid and random need nothing more"
        ) from error
    return optuna


def check_method(method: str, trials: int | None, seed: int = 0) -> None:
    """Refuse a search that is none.

    Raises:
        UsageError: an unknown method, a number of trials out of range or where none belongs, a
            seed out of range.
    """
    if method not in METHODS:
        raise UsageError(f"method must be one of {', '.join(METHODS)}, was {method!r}")
    if trials is not None and not 1 <= trials <= TRIALS_MAX:
        raise UsageError(f"trials must be in 1..{TRIALS_MAX:,}, was {trials}")
    if not 0 <= seed < SEEDS:
        raise UsageError(f"seed must be in 0..{SEEDS - 1}, was {seed}")
    if method == "grid" and trials is not None:
        raise UsageError("trials: a grid tries each of its points; leave it out, or use random")


def proposals_of(method: str, space: Space, trials: int | None, seed: int) -> Proposals:
    """What tries a space.

    Raises:
        UsageError: see `check_method`, `Space.grid`, `Space.random`, `Bayes`.
    """
    check_method(method, trials)
    if method == "grid":
        return Listed(space.grid())
    if method == "random":
        return Listed(space.random(trials or RANDOM_TRIALS, seed))
    return Bayes(space, trials or RANDOM_TRIALS, seed)


def method_head(method: str, space: Space, seed: int) -> dict[str, Any]:
    """What the points of a search depend on, JSON-able."""
    head: dict[str, Any] = {"method": method, "space": space.as_dict()}
    if method != "grid":
        head["seed"] = seed
    if method == "bayes":
        _optuna()
        head["optuna"] = importlib.metadata.version("optuna")
    return head
