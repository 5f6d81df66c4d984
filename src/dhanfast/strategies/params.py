"""Typed parameters of a strategy, declared on the class, checked before anything runs."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dhanfast.errors import UsageError

Value = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter: its default, its allowed range and, for searches, its step.

    Attributes:
        default: also gives the type (int, float, bool or str).
        low, high: inclusive bounds of a number; None = open.
        step: distance of search points; None = any.
        choices: allowed values of a str; empty = any.
        doc: one line for people.
        search: what a search tries, (low, high) inside the allowed range; () = it is not
            searched, None = the whole allowed range.
    Raises:
        UsageError: the declaration contradicts itself.
    """

    default: Value
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    doc: str = ""
    search: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.step is not None and not (math.isfinite(self.step) and self.step > 0):
            raise UsageError(f"param: step must be above 0, was {self.step}")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise UsageError(f"param: low {self.low} must not be above high {self.high}")
        if self.search is None or self.search == ():
            return
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        known = len(self.search) == 2 and low <= self.search[0] <= self.search[1] <= high
        if not known or not all(map(math.isfinite, self.search)):
            raise UsageError(
                f"param: search must be (low, high) inside {low:g}..{high:g}, or () for none, "
                f"was {self.search}"
            )

    def accept(self, name: str, value: object) -> Value:
        """`value` (text allowed) as this parameter's type.

        Raises:
            UsageError: wrong type or out of range; the message names the parameter and the range.
        """
        kind = type(self.default)
        got = _converted(kind, value)
        if got is None:
            raise UsageError(f"parameter {name} must be {kind.__name__}, was {value!r}")
        if isinstance(got, int | float) and not isinstance(got, bool):
            low = -float("inf") if self.low is None else self.low
            high = float("inf") if self.high is None else self.high
            if not low <= got <= high:
                raise UsageError(f"parameter {name} must be in {low:g}..{high:g}, was {got:g}")
        if self.choices and got not in self.choices:
            raise UsageError(
                f"parameter {name} must be one of {', '.join(self.choices)}, was {got}"
            )
        return got


def _converted(kind: type, value: object) -> Value | None:
    """`value` as `kind`, or None when it is not one; whole floats pass as ints."""
    if isinstance(value, str) and kind is not str:
        text = value.strip().lower()
        if kind is bool:
            return {"true": True, "false": False, "yes": True, "no": False}.get(text)
        try:
            value = float(text) if kind is float or "." in text or "e" in text else int(text)
        except ValueError:
            return None
    if kind is bool or isinstance(value, bool):
        return value if kind is bool and isinstance(value, bool) else None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if kind is int and isinstance(value, int | float) and value == int(value):
        return int(value)
    if kind is float and isinstance(value, int | float):
        return float(value)
    if kind is str and isinstance(value, str):
        return value
    return None


def param(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    choices: tuple[str, ...] = (),
    doc: str = "",
    search: tuple[float, ...] | None = None,
) -> Any:
    """Declare a parameter in a strategy's class body; the instance attribute is its value.

    Args:
        default: int, float, bool or str; also the type.
        low, high: inclusive bounds; step: for searches; choices: for str; doc: one line.
        search: (low, high) that a search tries; None = all that is allowed, () = nothing.
    Raises:
        UsageError: low above high, a step that is not above 0, a search outside the bounds.
    """
    return Param(default, low, high, step, choices, doc, search)


@dataclass(frozen=True, slots=True)
class Range:
    """What a search tries of one parameter.

    Attributes:
        low, high: inclusive bounds of a number; of choices None.
        step: distance of the points from `low` on; None = any number between (continuous).
        choices: the values where it is no number: of a bool False and True; else empty.
        whole: the values are ints.
    """

    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Value, ...] = ()
    whole: bool = False

    @property
    def count(self) -> int:
        """How many points there are; 0 = continuous."""
        if self.choices:
            return len(self.choices)
        if self.low is None or self.high is None or self.step is None:
            return 0
        return math.floor((self.high - self.low) / self.step + 1e-9) + 1

    def at(self, index: int) -> Value:
        """Point `index`, 0 .. count - 1, from low to high or in the order of the choices.

        Raises:
            UsageError: it is continuous, or has no such point.
        """
        if not 0 <= index < self.count:
            what = f"0..{self.count - 1}" if self.count else "none: it has no step"
            raise UsageError(f"point of a search must be in {what}, was {index}")
        if self.choices:
            return self.choices[index]
        # Rounded to what a person would write: 0.1 + 2 * 0.1 is 0.3.
        value = round((self.low or 0.0) + index * (self.step or 0.0), 12)
        return int(value) if self.whole else float(value)

    def values(self) -> tuple[Value, ...]:
        """Every point.

        Raises:
            UsageError: it is continuous.
        """
        if self.count == 0:
            raise UsageError(
                f"a search over every point of {self.low:g}..{self.high:g} needs a step; "
                "declare one, or name it with the search"
            )
        return tuple(self.at(index) for index in range(self.count))


def search_space(strategy: Any) -> dict[str, Range]:
    """{name: Range} of the parameters that a search can try, in the order declared.

    A parameter is in it when it has both bounds (or a `search`), is a bool, or has choices, and
    does not say `search=()`. Ints without a step are tried one by one.

    Args:
        strategy: a class or instance with `params()`, or a name as `find_strategy` takes it.
    Raises:
        UsageError, StrategyError: no strategy of that name.
    """
    if isinstance(strategy, str):
        from dhanfast.strategies.plugins import strategy_params

        declared = strategy_params(strategy)
    else:
        asked = getattr(strategy, "params", None)
        declared = asked() if asked is not None else {}
    ranges = {name: search_range(item) for name, item in declared.items()}
    return {name: found for name, found in ranges.items() if found is not None}


def search_range(item: Param) -> Range | None:
    """What a search tries of one parameter; None when it is not searched."""
    if item.search == ():
        return None
    if isinstance(item.default, bool):
        return Range(choices=(False, True))
    if isinstance(item.default, str):
        return Range(choices=item.choices) if item.choices else None
    low, high = item.search or (item.low, item.high)
    if low is None or high is None:
        return None
    if not isinstance(item.default, int):
        return Range(float(low), float(high), item.step)
    first, last = math.ceil(low), math.floor(high)
    if last < first:
        return None
    return Range(first, last, max(1, round(item.step or 1)), whole=True)


class Parametric:
    """Base of strategy classes: collects `param` declarations and sets their values."""

    def __init__(self, **values: object) -> None:
        declared = self.params()
        for name in values:
            if name not in declared:
                raise UsageError(unknown(f"parameter of {type(self).__name__}", name, declared))
        for name, spec in declared.items():
            value = values.get(name, spec.default)
            object.__setattr__(self, name, spec.accept(name, value))

    @classmethod
    def params(cls) -> dict[str, Param]:
        """{name: Param}, base classes first, in the order written."""
        found: dict[str, Param] = {}
        for base in reversed(cls.__mro__):
            for name, item in vars(base).items():
                if isinstance(item, Param):
                    found[name] = item
        return found

    @classmethod
    def param_like(cls, name: str) -> Any:
        """One of this class's parameters, to be declared by another class as it is here."""
        return cls.params()[name]

    def settings(self) -> dict[str, Value]:
        """{name: value in force}, in the order declared."""
        return {name: getattr(self, name) for name in self.params()}


def unknown(what: str, name: str, known: Mapping[str, object] | list[str]) -> str:
    """The text of a refusal that offers the nearest known name."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    listed = ", ".join(names) if names else "none"
    return f"no {what} is called {name!r}{hint} (known: {listed})"
