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
        search: what a search tries: of a number (low, high) or (low, high, step) within the
            bounds, of a text or a bool the values. None: low..high where there is a step, else
            nothing; () = nothing.
    Raises:
        UsageError: the declaration contradicts itself.
    """

    default: Value
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    doc: str = ""
    search: tuple[Value, ...] | None = None

    def __post_init__(self) -> None:
        said = self.search or ()
        for step in (self.step, *(said[2:3] if self.numeric else ())):
            if isinstance(step, str) or (step is not None and not 0 < step < math.inf):
                raise UsageError(f"param: step must be above 0, was {step}")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise UsageError(f"param: low {self.low} must not be above high {self.high}")
        if not self.search:
            return
        if not self.numeric:
            for value in self.search:
                if self.accept("search", value) != value:
                    raise UsageError(f"param: search must be values it takes, was {self.search}")
            return
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        ends = [one for one in self.search[:2] if not isinstance(one, str)]
        known = 2 <= len(self.search) <= 3 and len(ends) == 2
        if not known or not low <= ends[0] <= ends[1] <= high or not all(map(math.isfinite, ends)):
            raise UsageError(
                f"param: search must be (low, high) or (low, high, step) inside {low:g}..{high:g}, "
                f"or () for none, was {self.search}"
            )

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers."""
        return isinstance(self.default, int | float) and not isinstance(self.default, bool)

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
    search: tuple[Value, ...] | None = None,
) -> Any:
    """Declare a parameter in a strategy's class body; the instance attribute is its value.

    Args:
        default: int, float, bool or str; also the type.
        low, high: inclusive bounds; step: for searches; choices: for str; doc: one line.
        search: what a search tries: (low, high) or (low, high, step), or the values of a text
            or bool; None = low..high by step where there is one, else nothing.
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
    """{name: Range} of the parameters that declare what a search tries, in the order declared.

    Those with a `search` that is not (), and numbers with a step and both bounds.

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
    if item.search == () or (item.search is None and item.step is None):
        return None
    if not item.numeric:
        return Range(choices=item.search) if item.search else None
    ends = (item.low, item.high) if item.search is None else item.search
    low, high = ends[:2]
    if low is None or high is None:
        return None
    step = float(ends[2] or 0) if len(ends) == 3 else item.step
    if not isinstance(item.default, int):
        return Range(float(low), float(high), step)
    first, last = math.ceil(float(low)), math.floor(float(high))
    return Range(first, last, max(1, round(step or 1)), whole=True) if first <= last else None


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
