"""What a search may try: parameters with their ranges, and the points of a grid or a draw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import numpy as np

from dhanfast.errors import UsageError
from dhanfast.strategies.params import Param, Value, search_range, unknown

POINTS_MAX: Final = 1_000_000
DRAWS_MAX: Final = 200  # tries for a point that was not drawn before
EXAMPLE: Final = "write NAME=LOW..HIGH, NAME=LOW..HIGH:STEP or NAME=A,B,C, for example ema=5..50:5"

Point = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter of a search.

    Attributes:
        name: of the parameter. points: the values to try in order; empty: any number between
            `low` and `high`.
    """

    name: str
    points: tuple[Value, ...] = ()
    low: float = 0.0
    high: float = 0.0

    @property
    def continuous(self) -> bool:
        """Whether it has no points to count."""
        return not self.points

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        if self.continuous:
            return {"name": self.name, "low": self.low, "high": self.high}
        return {"name": self.name, "points": list(self.points)}

    def __str__(self) -> str:
        if self.continuous:
            return f"{self.name}={self.low:g}..{self.high:g}"
        shown = [f"{p:g}" if isinstance(p, float) else str(p) for p in self.points]
        if len(shown) > 8:
            shown[4:-2] = ["..."]
        return f"{self.name}={','.join(shown)}"


@dataclass(frozen=True, slots=True)
class Space:
    """The parameters of a search, in the order they were named."""

    axes: tuple[Axis, ...]

    @property
    def size(self) -> int | None:
        """How many points there are; None when an axis has no points to count."""
        total = 1
        for axis in self.axes:
            if axis.continuous:
                return None
            total *= len(axis.points)
        return total

    def as_dict(self) -> list[dict[str, Any]]:
        """JSON-able, in order."""
        return [axis.as_dict() for axis in self.axes]

    def point(self, at: int) -> Point:
        """The grid's point of a number; the last axis turns fastest."""
        found: Point = {}
        for axis in reversed(self.axes):
            at, place = divmod(at, len(axis.points))
            found[axis.name] = axis.points[place]
        return {axis.name: found[axis.name] for axis in self.axes}

    def grid(self) -> list[Point]:
        """Every point, in order.

        Raises:
            UsageError: an axis has no step, or there are too many points.
        """
        for axis in self.axes:
            if axis.continuous:
                raise UsageError(
                    f"parameter {axis.name}: a grid needs a step; write "
                    f"{axis.name}={axis.low:g}..{axis.high:g}:STEP, or use --method random"
                )
        size = self.size or 0
        if size > POINTS_MAX:
            raise UsageError(
                f"the grid has {size:,} points, the most is {POINTS_MAX:,}; take larger steps, or "
                "use --method random with --trials"
            )
        return [self.point(at) for at in range(size)]

    def random(self, trials: int, seed: int) -> list[Point]:
        """Different points, drawn evenly; the first n do not depend on how many are asked for.

        Raises:
            UsageError: there are not so many points.
        """
        size = self.size
        if size is not None and trials > size:
            raise UsageError(
                f"trials: {trials:,} random trials of {size:,} points; ask for fewer, or use "
                "--method grid, which tries each once"
            )
        random = np.random.Generator(np.random.PCG64(seed))
        if size is not None and trials * 2 > size and size <= POINTS_MAX:
            return [self.point(int(at)) for at in random.permutation(size)[:trials]]
        seen: set[tuple[Value, ...]] = set()
        found: list[Point] = []
        while len(found) < trials:
            for _ in range(DRAWS_MAX):
                point = {axis.name: _drawn(axis, random) for axis in self.axes}
                if tuple(point.values()) not in seen:
                    break
            seen.add(tuple(point.values()))
            found.append(point)
        return found


def _drawn(axis: Axis, random: np.random.Generator) -> Value:
    if axis.continuous:
        return float(random.uniform(axis.low, axis.high))
    return axis.points[int(random.integers(len(axis.points)))]


def space_of(
    declared: Mapping[str, Param], asked: Sequence[str], fixed: Iterable[str] = ()
) -> Space:
    """The space of a search: as asked for, else as the strategy declares it.

    Args:
        declared: parameters of the strategy. asked: `NAME=LOW..HIGH:STEP` and so on.
        fixed: parameters whose value was given; they are not searched.
    Raises:
        UsageError: an unknown parameter, a range that is none or leaves the parameter's own, a
            parameter twice, or nothing to search.
    """
    held = set(fixed)
    axes: dict[str, Axis] = {}
    for text in asked:
        axis = parse_axis(text, declared)
        if axis.name in axes:
            raise UsageError(f"parameter {axis.name}: two ranges were given, write one")
        if axis.name in held:
            raise UsageError(
                f"parameter {axis.name} has both a value (--set) and a range; leave one out"
            )
        axes[axis.name] = axis
    if not asked:
        own = {name: _own(name, spec) for name, spec in declared.items() if name not in held}
        axes = {name: axis for name, axis in own.items() if axis is not None}
    if not axes:
        listed = ", ".join(sorted(declared)) or "none"
        raise UsageError(
            "nothing to search: the strategy declares no search space; give ranges with --param: "
            f"{EXAMPLE} (parameters: {listed})"
        )
    return Space(tuple(axes.values()))


def _own(name: str, spec: Param) -> Axis | None:
    """The search space that a parameter declares for itself."""
    found = search_range(spec)
    if found is None:
        return None
    if found.count == 0:
        return Axis(name, (), float(found.low or 0.0), float(found.high or 0.0))
    if found.count > POINTS_MAX:
        raise UsageError(
            f"parameter {name}: its search has {found.count:,} values, the most is "
            f"{POINTS_MAX:,}; name a range with --param"
        )
    return Axis(name, tuple(spec.accept(name, value) for value in found.values()))


def parse_axis(text: str, declared: Mapping[str, Param]) -> Axis:
    """One parameter's range as it is written.

    Raises:
        UsageError: as for `space_of`; the message names the parameter.
    """
    name, equals, said = text.partition("=")
    name, said = name.strip(), said.strip()
    if not equals or not name or not said:
        raise UsageError(f"range {text!r} is not understood; {EXAMPLE}")
    if name not in declared:
        raise UsageError(unknown("parameter of the strategy", name, declared))
    spec = declared[name]
    if ".." in said and not isinstance(spec.default, str):
        return _ranged(name, said, spec)
    values = [part.strip() for part in said.split(",")]
    if said == "*" and (spec.choices or isinstance(spec.default, bool)):
        values = list(spec.choices) or ["false", "true"]
    points = tuple(spec.accept(name, value) for value in values)
    if len(set(points)) != len(points):
        raise UsageError(f"parameter {name}: {said} names a value twice")
    return Axis(name, points)


def _ranged(name: str, said: str, spec: Param) -> Axis:
    if isinstance(spec.default, bool):
        raise UsageError(f"parameter {name} is true or false; write {name}=* or {name}=true,false")
    ends, _, step_text = said.partition(":")
    low_text, _, high_text = ends.partition("..")
    low, high = _number(name, low_text, "low"), _number(name, high_text, "high")
    spec.accept(name, float(low))
    spec.accept(name, float(high))
    if low >= high:
        raise UsageError(f"parameter {name}: the low end {low} must be below the high end {high}")
    if not step_text and isinstance(spec.default, float):
        return Axis(name, (), float(low), float(high))
    step = _number(name, step_text, "step") if step_text else Decimal(1)
    if step <= 0:
        raise UsageError(f"parameter {name}: the step must be above 0, was {step}")
    if step > high - low:
        raise UsageError(
            f"parameter {name}: the step {step} is larger than the range {low}..{high}"
        )
    count = int((high - low) / step) + 1
    if count > POINTS_MAX:
        raise UsageError(
            f"parameter {name}: {count:,} values, the most is {POINTS_MAX:,}; take a larger step"
        )
    return Axis(name, tuple(spec.accept(name, float(low + at * step)) for at in range(count)))


def _number(name: str, text: str, what: str) -> Decimal:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise UsageError(f"parameter {name}: {what} {text.strip()!r} is not a number; {EXAMPLE}")
    return number
