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
        search: (low, high) or (low, high, step) that `optimize` tries when it is not told what to
            search; within low..high. None: not searched unless asked.
    """

    default: Value
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    doc: str = ""
    search: tuple[float, ...] | None = None

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
        search: (low, high) or (low, high, step) of a search that is not told another.
    """
    return Param(default, low, high, step, choices, doc, search)


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
