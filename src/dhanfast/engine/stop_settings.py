"""Settings of stops: where they are first, how they follow the market, how long is long enough."""

import re
from dataclasses import dataclass, fields
from typing import Any

from dhanfast._core.stops import Stops
from dhanfast.errors import ConfigError

_DISTANCE = re.compile(r"^\s*([0-9]+(?:\.[0-9]+)?)\s*(atr|pts?|points?|%)\s*$")
_UNITS = {"atr": "atr", "%": "percent"}
_TEXTS = {"atr": "atr", "percent": "%", "points": "pts"}


@dataclass(frozen=True, slots=True)
class Distance:
    """How far: a number of points (rupees), percent of a price, or average true ranges.

    Attributes:
        amount: above 0. unit: points, percent or atr.
    """

    amount: float
    unit: str

    @classmethod
    def parse(cls, text: str) -> "Distance | None":
        """`20pts`, `0.5%`, `1.5atr`; `none` or `0` is None.

        Raises:
            ConfigError: none of these.
        """
        if text.strip() in ("none", "0"):
            return None
        found = _DISTANCE.match(text)
        if not found:
            raise ConfigError(
                f"{text!r} is not a distance; write for example 20pts, 0.5%, 1.5atr or none"
            )
        return cls(float(found[1]), _UNITS.get(found[2], "points"))

    def __str__(self) -> str:
        return f"{self.amount:g}{_TEXTS[self.unit]}"


@dataclass(frozen=True, slots=True)
class StopSettings:
    """Rules of stops; as they stand here, all are off.

    Attributes:
        stop, target: set when the strategy gives none; override: also when it does.
        trail: distance kept from the best price. trail_from: gain at which that begins.
        cost_at: gain at which the stop goes to what was paid, and cost_plus beyond it; cost_charges
        counts the charges of both sides. rest: the stop rests at the exchange, else it is watched
        here. step_ticks, every_ns: least move, and least time between two. changes_max: changes of
        one order. atr_period: signal bars. bars_max, time_max_ns: a position is left after so long,
        0 = never; only_losing: and only without a profit.
    """

    stop: Distance | None = None
    target: Distance | None = None
    override: bool = False
    trail: Distance | None = None
    trail_from: Distance | None = None
    cost_at: Distance | None = None
    cost_plus: Distance | None = None
    cost_charges: bool = False
    rest: bool = True
    step_ticks: int = 20
    every_ns: int = 5_000_000_000
    changes_max: int = 15
    atr_period: int = 14
    bars_max: int = 0
    time_max_ns: int = 0
    only_losing: bool = False

    def native(self) -> Stops:
        """The rules as the kernel takes them.

        Raises:
            ConfigError: a value out of range, or one without what it belongs to.
        """
        given: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        for name, value in given.items():
            if isinstance(value, Distance):
                given[name] = (value.amount, value.unit)
        return Stops(**given)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, in a fixed order; distances as they are written."""
        given: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            name: str(value) if isinstance(value, Distance) else value
            for name, value in given.items()
        }
