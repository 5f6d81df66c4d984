"""What a position of options is worth when it ends, exactly, and before, by the model.

At one expiry the payoff is straight between strikes. It is kept in whole paise at its kinks, so
that profits, losses and breakevens are solved, never sampled:

    payoff(S) = sum of quantity x (exercise(S) - premium paid)

Legs of several expiries have no exact payoff: `Projection` values what still lives at the first
expiry by Black's formula, and says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import pairwise
from math import erfc, inf, isfinite, log, sqrt
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dhanfast._core.options.door import price as black_price
from dhanfast.errors import UsageError

Floats = NDArray[np.float64]
RIGHTS: Final = ("CE", "PE", "FUT")
STRIKE_MAX: Final = 1e8
QUANTITY_MAX: Final = 10**9
GRID: Final = 2_001  # places at which a projection is looked at for changes of sign
HALVINGS: Final = 60


@dataclass(frozen=True, slots=True)
class Leg:
    """One option, or the future, held or written.

    Args:
        right: CE, PE or FUT.
        strike: rupees; of a future the price it was dealt at, with a premium of 0.
        quantity: units of the underlying; above 0 bought, below 0 sold.
        premium: rupees a unit, of either side.
        expiry: exchange date.
        volatility: of this option, for models; NaN is not known.

    Raises:
        UsageError: a field out of range, or a price that is not whole paise.
    """

    right: str
    strike: float
    quantity: int
    premium: float
    expiry: date
    volatility: float = float("nan")

    def __post_init__(self) -> None:
        """Refuse what has no payoff."""
        if self.right not in RIGHTS:
            raise UsageError(f"right is {self.right!r}: give one of {', '.join(RIGHTS)}")
        if not 0.0 < self.strike <= STRIKE_MAX or not 0.0 <= self.premium <= STRIKE_MAX:
            raise UsageError(f"strike {self.strike}, premium {self.premium}: give rupees, a strike "
                             "above 0 and a premium from 0")  # fmt: skip
        if self.right == "FUT" and self.premium != 0.0:
            raise UsageError(f"premium of a future is {self.premium}: it has none; its price is "
                             "its strike")  # fmt: skip
        if not 0 < abs(self.quantity) <= QUANTITY_MAX or self.quantity != int(self.quantity):
            raise UsageError(f"quantity is {self.quantity}: give whole units, not 0")
        for name in ("strike", "premium"):
            _paise(name, getattr(self, name))

    @property
    def text(self) -> str:
        """As a table shows it."""
        side = "buy" if self.quantity > 0 else "sell"
        return f"{side} {abs(self.quantity)} {self.strike:g} {self.right}"


class Kink(NamedTuple):
    """Where the payoff bends, and its value there, rupees."""

    level: float
    value: float


def _paise(name: str, rupees: float) -> int:
    whole = round(rupees * 100.0)
    if abs(rupees * 100.0 - whole) > 1e-4:
        raise UsageError(f"{name} is {rupees}: give whole paise")
    return whole


class Payoff:
    """The exact payoff of legs of one expiry, per whole position.

    Args:
        legs: one at least.

    Units:
        rupees; levels of the underlying from 0 up. `profit_max` and `loss_max` are infinite where
        nothing bounds them; a loss is a number below 0.

    Raises:
        UsageError: no legs; several expiries (see `Projection`).
    """

    def __init__(self, legs: Sequence[Leg]) -> None:
        self.legs = tuple(legs)
        if not self.legs:
            raise UsageError("a payoff needs one leg at least")
        if len({leg.expiry for leg in self.legs}) > 1:
            raise UsageError("legs of several expiries have no exact payoff: use Projection")
        self.expiry = self.legs[0].expiry
        bends = {_paise("strike", leg.strike) for leg in self.legs if leg.right != "FUT"}
        self._levels = [0, *sorted(bends)]
        self._values = [self._at(level) for level in self._levels]  # paise, whole
        self._tail = sum(leg.quantity for leg in self.legs if leg.right != "PE")  # slope above all

    def _at(self, level: int) -> int:
        """Worth at a level, both paise."""
        total = 0
        for leg in self.legs:
            strike, premium = _paise("strike", leg.strike), _paise("premium", leg.premium)
            apart = level - strike if leg.right != "PE" else strike - level
            worth = apart if leg.right == "FUT" else max(apart, 0)
            total += leg.quantity * (worth - premium)
        return total

    def value(self, level: ArrayLike) -> Floats:
        """Profit or loss where the underlying ends, rupees.

        Raises:
            UsageError: a level below 0 or not a number.
        """
        at = np.asarray(level, dtype=np.float64)
        if not (at >= 0.0).all():
            raise UsageError("a level is below 0 or not a number")
        total = np.zeros(at.shape)
        for leg in self.legs:
            apart = at - leg.strike if leg.right != "PE" else leg.strike - at
            worth = apart if leg.right == "FUT" else np.maximum(apart, 0.0)
            total = total + leg.quantity * (worth - leg.premium)
        return total

    @property
    def premium(self) -> float:
        """Rupees paid for the position; below 0 received."""
        paise = sum(leg.quantity * _paise("premium", leg.premium) for leg in self.legs)
        return paise / 100.0

    @property
    def kinks(self) -> tuple[Kink, ...]:
        """Strikes, ascending, with the payoff there."""
        pairs = zip(self._levels[1:], self._values[1:], strict=True)
        return tuple(Kink(level / 100.0, value / 100.0) for level, value in pairs)

    @property
    def slopes(self) -> tuple[int, ...]:
        """Rupees a rupee of the underlying: below the first kink, between each two, above the last.

        Whole units: the slope changes by a leg's quantity at its strike.
        """
        pairs = zip(self._levels, self._values, self._levels[1:], self._values[1:], strict=False)
        return (*((high - low) // (end - start) for start, low, end, high in pairs), self._tail)

    @property
    def profit_max(self) -> float:
        """Most that can be earned; infinite where the payoff rises without end."""
        return inf if self._tail > 0 else max(self._values) / 100.0

    @property
    def loss_max(self) -> float:
        """Least that can come out, below 0 for a loss; minus infinity where nothing bounds it."""
        return -inf if self._tail < 0 else min(self._values) / 100.0

    @property
    def breakevens(self) -> tuple[float, ...]:
        """Levels at which the payoff is 0 and is not 0 on one side at least, ascending."""
        return tuple(float(level) / 100.0 for level in self._zeros())

    def _zeros(self) -> list[Fraction]:
        found: set[Fraction] = set()
        flat = [low == high == 0 for low, high in zip(self._values, self._values[1:], strict=False)]
        flat.append(self._values[-1] == 0 and self._tail == 0)
        for i, value in enumerate(self._values):
            if value == 0 and not (flat[i] and (i == 0 or flat[i - 1])):
                found.add(Fraction(self._levels[i]))
        pairs = zip(self._levels, self._values, self._levels[1:], self._values[1:], strict=False)
        for start, low, end, high in pairs:
            if low * high < 0:
                found.add(start + Fraction(-low * (end - start), high - low))
        last = self._values[-1]
        if last * self._tail < 0:
            found.add(self._levels[-1] + Fraction(-last, self._tail))
        return sorted(found)

    def profit_intervals(self) -> list[tuple[float, float]]:
        """Where the payoff is above 0: open intervals, ascending; the last may end at infinity."""
        marks = [Fraction(0), *(zero for zero in self._zeros() if zero > 0)]
        found = []
        for low, high in zip(marks, [*marks[1:], None], strict=True):
            top = max(low, Fraction(self._levels[-1]))
            inside = (low + high) / 2 if high is not None else top + 100
            if self._exact(inside) > 0:
                found.append((float(low) / 100.0, float(high) / 100.0 if high is not None else inf))
        return found

    def _exact(self, level: Fraction) -> Fraction:
        total = Fraction(0)
        for leg in self.legs:
            apart = level - _paise("strike", leg.strike)
            apart = -apart if leg.right == "PE" else apart
            worth = apart if leg.right == "FUT" else max(apart, Fraction(0))
            total += leg.quantity * (worth - _paise("premium", leg.premium))
        return total

    def profit_probability(self, below: Callable[[float], float]) -> float:
        """Chance to end with a profit, under a distribution that you give.

        Args:
            below: chance that the underlying ends below a level: `lognormal_below`, or a smile's
                `probability_below`. Both are the market's prices of chances, not forecasts.

        Returns:
            0 to 1.
        """
        total = 0.0
        for low, high in self.profit_intervals():
            total += (below(high) if isfinite(high) else 1.0) - (below(low) if low > 0.0 else 0.0)
        return min(max(total, 0.0), 1.0)


def lognormal_below(forward: float, volatility: float, years: float) -> Callable[[float], float]:
    """Chance to end below a level when returns are normal: Phi(-d2) of Black's formula.

    Args:
        forward: of the expiry, its mean. volatility: one for all levels. years: to the expiry.

    Raises:
        UsageError: forward, volatility or years not above 0.
    """
    if not (0.0 < forward < 1e100 and 0.0 < volatility < 100.0 and 0.0 < years < 1e4):
        raise UsageError(f"forward {forward}, volatility {volatility}, years {years}: all must be "
                         "above 0")  # fmt: skip
    deviation = volatility * sqrt(years)

    def below(level: float) -> float:
        if level <= 0.0:
            return 0.0
        d2 = log(forward / level) / deviation - 0.5 * deviation
        return 0.5 * erfc(d2 / sqrt(2.0))

    return below


class Projection:
    """A position's worth at a moment up to its first expiry, by Black's formula: not exact.

    Legs that end at the moment are worth exercise; the others are priced at their own volatility,
    on the level times the ratio of the two forwards now, both as they are today (sticky strike).

    Args:
        legs: options, each with a volatility unless it ends at the moment.
        years: from the moment to each leg's expiry, 0 for those that end at it.
        carry: of each leg, the forward of its expiry over that of the first.
        rate: continuous.

    Raises:
        UsageError: lengths that differ; a leg that needs a volatility and has none.
    """

    def __init__(
        self,
        legs: Sequence[Leg],
        years: Sequence[float],
        carry: Sequence[float],
        rate: float = 0.0,
    ) -> None:
        if not legs or not len(legs) == len(years) == len(carry):
            raise UsageError(f"{len(legs)} legs, {len(years)} years, {len(carry)} carries: give "
                             "one of each a leg")  # fmt: skip
        for leg, left in zip(legs, years, strict=True):
            if leg.right == "FUT":
                raise UsageError("a projection takes options; futures have an exact payoff")
            if not left >= 0.0 or (left > 0.0 and not leg.volatility > 0.0):
                raise UsageError(f"{leg.text}: years {left}, volatility {leg.volatility}: what "
                                 "still lives needs a volatility")  # fmt: skip
        self.legs, self._years, self._carry = tuple(legs), tuple(years), tuple(carry)
        self._rate = rate

    def value(self, level: ArrayLike) -> Floats:
        """Profit or loss at levels of the first expiry's forward, rupees.

        Raises:
            UsageError: a level not above 0.
        """
        at = np.asarray(level, dtype=np.float64)
        if not (at > 0.0).all():
            raise UsageError("a level is not above 0")
        total = np.zeros(at.shape)
        for leg, left, carry in zip(self.legs, self._years, self._carry, strict=True):
            apart = at - leg.strike if leg.right == "CE" else leg.strike - at
            worth: Floats = np.maximum(apart, 0.0)
            if left > 0.0:
                worth = np.asarray(black_price(leg.volatility, at * carry, leg.strike, left,
                                               leg.right, self._rate))  # fmt: skip
            total = total + leg.quantity * (worth - leg.premium)
        return total

    def breakevens(self, low: float, high: float) -> tuple[float, ...]:
        """Levels between two where the worth changes sign, to a billionth of them.

        Looked for between `GRID` places and the strikes; two nearer than that are not seen.

        Raises:
            UsageError: not 0 < low < high.
        """
        if not 0.0 < low < high < inf:
            raise UsageError(f"low {low}, high {high}: give two levels, the lower first")
        strikes = [leg.strike for leg in self.legs if low < leg.strike < high]
        grid = np.unique(np.concatenate([np.linspace(low, high, GRID), strikes]))
        worth = self.value(grid)
        found = [float(grid[i]) for i in np.flatnonzero(worth == 0.0)]
        for i in np.flatnonzero(worth[1:] * worth[:-1] < 0.0):
            left, right = float(grid[i]), float(grid[i + 1])
            rising = worth[i + 1] > 0.0
            for _ in range(HALVINGS):
                middle = 0.5 * (left + right)
                above = float(self.value(middle)) > 0.0
                left, right = (left, middle) if above == rising else (middle, right)
            found.append(0.5 * (left + right))
        return tuple(sorted(found))

    def profit_probability(self, below: Callable[[float], float], low: float, high: float) -> float:
        """Chance to be in profit at the moment, counted between two levels only.

        Args:
            below: chance that the first expiry's forward ends below a level.

        Raises:
            UsageError: not 0 < low < high.
        """
        marks = [low, *self.breakevens(low, high), high]
        total = 0.0
        for start, end in pairwise(marks):
            if float(self.value(0.5 * (start + end))) > 0.0:
                total += below(end) - below(start)
        return min(max(total, 0.0), 1.0)
