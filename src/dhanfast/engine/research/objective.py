"""What a search maximises: one figure of a run, ours by name or a function of the user's."""

import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from dhanfast.engine.research.code import Code, code_of
from dhanfast.errors import DhanfastError, StrategyError, UsageError, raised_at
from dhanfast.reports import metrics
from dhanfast.reports.result import RunResult
from dhanfast.strategies.params import unknown

Score = Callable[[RunResult], float | None]


def _net(result: RunResult) -> float:
    """Profit after charges, paise."""
    return float(result.days["gross"].sum() - result.days["charges"].sum())


def _sharpe(result: RunResult) -> float | None:
    return metrics.sharpe(metrics.daily_returns(result))


def _sortino(result: RunResult) -> float | None:
    return metrics.sortino(metrics.daily_returns(result))


def _calmar(result: RunResult) -> float | None:
    growth, (fall, _) = metrics.growth_rate(result), metrics.deepest(result)
    return growth / fall.fraction if growth is not None and fall is not None else None


def _profit_factor(result: RunResult) -> float | None:
    net = metrics.trade_net(result.trades)
    lost = -int(net[net < 0].sum())
    return int(net[net > 0].sum()) / lost if lost else None


def _expectancy(result: RunResult) -> float | None:
    net = metrics.trade_net(result.trades)
    return float(net.mean()) / metrics.UPAISE if len(net) else None


SCORES: Final[Mapping[str, Score]] = {
    "net": _net,
    "sharpe": _sharpe,
    "sortino": _sortino,
    "calmar": _calmar,
    "profit-factor": _profit_factor,
    "expectancy": _expectancy,
}
WHOLE_CURVE: Final = ("calmar",)  # need equity on every bar; a function of the user's gets it too


@dataclass(frozen=True, slots=True)
class Objective:
    """The figure a search maximises.

    Attributes:
        name: of ours, `package.module:function` or `path.py:function`.
        code: of a file, as it was when the search began.
    """

    name: str
    code: Code | None = None

    @property
    def each_bar(self) -> bool:
        """Whether it needs the equity on every bar."""
        return self.name in WHOLE_CURVE or self.own

    @property
    def own(self) -> bool:
        """Whether it is the user's, who may read anything of a result."""
        return self.name not in SCORES

    def load(self) -> Score:
        """The function itself; a value that is no finite number is None.

        Raises:
            UsageError: it cannot be imported or is no function.
        """
        if self.name in SCORES:
            return SCORES[self.name]
        return _guarded(self.name, _function(self.name, self.code))


def objective_of(name: str) -> Objective:
    """An objective by its name.

    Raises:
        UsageError: no such objective, or it cannot be imported.
    """
    if name in SCORES:
        return Objective(name)
    path, colon, _ = name.rpartition(":")
    if not colon:
        raise UsageError(
            unknown("objective", name, list(SCORES))
            + "; one of your own is named as package.module:function or path.py:function"
        )
    made = Objective(name, code_of(path) if path.endswith(".py") else None)
    made.load()
    return made


def _function(name: str, code: Code | None) -> Callable[[RunResult], object]:
    place, _, wanted = name.rpartition(":")
    if code is not None:
        module = code.module()
    else:
        try:
            module = importlib.import_module(place)
        except Exception as error:
            raise UsageError(
                f"objective {name}: {place} cannot be imported: {type(error).__name__}: {error}"
            ) from error
    found = getattr(module, wanted, None)
    if not callable(found):
        raise UsageError(f"objective {name}: {place} has no function {wanted!r}")
    made: Callable[[RunResult], object] = found
    return made


def _guarded(name: str, function: Callable[[RunResult], object]) -> Score:
    """A user's function: its errors name it, its answer is a number or nothing."""

    def score(result: RunResult) -> float | None:
        try:
            value = function(result)
        except DhanfastError:
            raise
        except Exception as error:
            raise StrategyError(
                f"objective {name} raised {type(error).__name__}: {error}{raised_at(error)}"
            ) from error
        if value is None:
            return None
        # What sums and means of a result's columns give are numbers of numpy.
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise UsageError(
                f"objective {name} must return a number (higher is better) or None, was {value!r}"
            )
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond any double
            return None
        return number if math.isfinite(number) else None

    return score
