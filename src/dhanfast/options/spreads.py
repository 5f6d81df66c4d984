"""Spreads by name: legs chosen from a solved chain by rules, with payoff, greeks and chances.

    spread = build_spread("iron-condor", solved, lots=1, lot=65, strikes=["0.1d", "0.2d"] * 2)

Legs that are bought come first: in that order the margin of the written ones is never naked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Final, NamedTuple

from dhanfast.errors import BadData, UsageError
from dhanfast.options.chain import SolvedChain
from dhanfast.options.payoff import Leg, Payoff, Projection, lognormal_below
from dhanfast.options.smile import Smile

LOTS_MAX: Final = 10_000


class Slot(NamedTuple):
    """A leg of a shape: which right, how many a spread (below 0 sold), at which of its strikes."""

    right: str  # CE, PE, or "" for the right that is asked for
    units: int
    strike: int
    far: bool = False  # of the later expiry


class Shape(NamedTuple):
    """A spread before it has strikes."""

    side: str  # what its counts below are: buy, or sell for shapes known by what is written
    slots: tuple[Slot, ...]
    rules: tuple[str, ...]  # of each strike, by default; as of SolvedChain.select
    words: str


SHAPES: Final = {
    "bull-call": Shape("buy", (Slot("CE", 1, 0), Slot("CE", -1, 1)), ("atm", "otm2"),
                       "a call bought, a higher one sold"),
    "bear-call": Shape("buy", (Slot("CE", -1, 0), Slot("CE", 1, 1)), ("otm1", "otm3"),
                       "a call sold, a higher one bought"),
    "bull-put": Shape("buy", (Slot("PE", 1, 0), Slot("PE", -1, 1)), ("otm3", "otm1"),
                      "a put sold, a lower one bought"),
    "bear-put": Shape("buy", (Slot("PE", -1, 0), Slot("PE", 1, 1)), ("otm2", "atm"),
                      "a put bought, a lower one sold"),
    "straddle": Shape("buy", (Slot("CE", 1, 0), Slot("PE", 1, 0)), ("atm",),
                      "call and put at one strike"),
    "strangle": Shape("buy", (Slot("PE", 1, 0), Slot("CE", 1, 1)), ("otm2", "otm2"),
                      "a put and a higher call"),
    "iron-condor": Shape("sell", (Slot("PE", 1, 0), Slot("PE", -1, 1), Slot("CE", -1, 2),
                                  Slot("CE", 1, 3)), ("otm4", "otm2", "otm2", "otm4"),
                         "a strangle sold within a wider one"),
    "iron-fly": Shape("sell", (Slot("PE", 1, 0), Slot("PE", -1, 1), Slot("CE", -1, 1),
                               Slot("CE", 1, 2)), ("otm3", "atm", "otm3"),
                      "a straddle sold within a strangle"),
    "butterfly": Shape("buy", (Slot("", 1, 0), Slot("", -2, 1), Slot("", 1, 2)),
                       ("atm-2", "atm", "atm+2"), "two sold between two bought"),
    "calendar": Shape("buy", (Slot("", -1, 0), Slot("", 1, 0, True)), ("atm",),
                      "the near expiry sold, the far one bought"),
    "ratio": Shape("buy", (Slot("", 1, 0), Slot("", -2, 1)), ("atm", "otm2"),
                   "one bought, several sold further out"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spread:
    """A spread with its strikes, from one moment's chain.

    Units:
        greeks of the whole position: delta in units, theta a day and vega a point in rupees.
    """

    name: str
    side: str
    underlying: str
    legs: tuple[Leg, ...]  # bought ones first
    near: SolvedChain
    far: SolvedChain | None
    delta: float
    gamma: float
    theta_day: float
    vega_percent: float

    @property
    def premium(self) -> float:
        """Rupees paid for the position; below 0 received."""
        return round(sum(leg.quantity * leg.premium for leg in self.legs), 2)

    def payoff(self) -> Payoff:
        """What it is worth at its expiry, exactly.

        Raises:
            UsageError: it has two expiries.
        """
        return Payoff(self.legs)

    def projection(self, at_years: float | None = None) -> Projection:
        """What it is worth before, by the model, at today's volatilities.

        Args:
            at_years: years from now; at the first expiry unless given.

        Raises:
            UsageError: a moment after the first expiry, or a leg without a volatility.
        """
        moment = self.near.years if at_years is None else at_years
        if not 0.0 <= moment <= self.near.years:
            raise UsageError(f"{moment} years from now: the first expiry is in {self.near.years:g}")
        chains = [self._chain(leg) for leg in self.legs]
        return Projection(
            self.legs,
            [max(one.years - moment, 0.0) for one in chains],
            [one.forward / self.near.forward for one in chains],
            self.near.rate,
        )

    def profit_probability(self, smile: Smile | None = None) -> float:
        """Chance to be in profit at the first expiry.

        Args:
            smile: of the near expiry: its own distribution. Without one, returns are normal with
                the volatility at the money. The market's price of the chance, not a forecast.
        """
        volatility = self.near.at_money_volatility()
        below = (smile.probability_below if smile is not None
                 else lognormal_below(self.near.forward, volatility, self.near.years))  # fmt: skip
        if self.far is None:
            return self.payoff().profit_probability(below)
        low, high = self.span()
        return self.projection().profit_probability(below, low, high)

    def span(self) -> tuple[float, float]:
        """Levels between which a projection is looked at: six deviations of the near expiry."""
        wide = 6.0 * self.near.at_money_volatility() * self.near.years**0.5
        low, high = self.near.forward * 2.0**-wide / (1.0 + wide), self.near.forward * (1.0 + wide)
        strikes = [leg.strike for leg in self.legs]
        return min(low, 0.9 * min(strikes)), max(high, 1.1 * max(strikes))

    def _chain(self, leg: Leg) -> SolvedChain:
        later = self.far is not None and leg.expiry == self.far.snapshot.expiry
        return self.far if later and self.far is not None else self.near


def build_spread(
    name: str,
    near: SolvedChain,
    *,
    lots: int = 1,
    lot: int,
    strikes: Sequence[str] | None = None,
    side: str | None = None,
    right: str = "CE",
    ratio: int = 2,
    far: SolvedChain | None = None,
) -> Spread:
    """Legs of a spread at a chain's prices.

    Args:
        name: of `SHAPES`.
        near: the chain; of a calendar the one that ends first.
        lots, lot: how many, and units a lot.
        strikes: a rule a strike, lowest first (of a ratio of puts highest first), as
            `SolvedChain.select` takes them; the shape's own unless given.
        side: buy or sell; the shape's own unless given. The other one turns every leg round.
        right: CE or PE, of butterfly, calendar and ratio.
        ratio: how many are sold for one that is bought, of ratio.
        far: of a calendar, the chain that ends later.

    Raises:
        UsageError: an unknown name; strikes that are not in order, or not as many as the shape has;
            a number out of range; `far` where it does not belong, or none where it does.
        BadData: an option of it has no quote or no volatility.
    """
    shape = _shape(name)
    if side not in (None, "buy", "sell") or right not in ("CE", "PE"):
        raise UsageError(f"side {side!r}, right {right!r}: give 'buy' or 'sell', 'CE' or 'PE'")
    if not 1 <= lots <= LOTS_MAX or lot < 1 or not 2 <= ratio <= 10:
        raise UsageError(f"lots {lots}, lot {lot}, ratio {ratio}: give 1 to {LOTS_MAX} lots of 1 "
                         "unit or more, and a ratio of 2 to 10")  # fmt: skip
    turned = -1 if (side or shape.side) != shape.side else 1
    later = _later(name, shape, near, far)
    rules = shape.rules if strikes is None else tuple(strikes)
    places = _places(name, shape, near, rules, right)
    legs, sums = [], [0.0] * 4
    for slot in shape.slots:
        which = later if slot.far and later is not None else near
        count = -ratio if name == "ratio" and slot.strike == 1 else slot.units
        level = float(near.snapshot.strike[places[slot.strike]])
        quantity = turned * count * lots * lot
        leg, greeks = _leg(which, slot.right or right, level, quantity)
        legs.append(leg)
        sums = [total + quantity * one for total, one in zip(sums, greeks, strict=True)]
    legs.sort(key=lambda leg: leg.quantity < 0)
    return Spread(name, side or shape.side, near.snapshot.underlying, tuple(legs), near, later,
                  *sums)  # fmt: skip


def _shape(name: str) -> Shape:
    if name not in SHAPES:
        close = get_close_matches(name, SHAPES, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"no spread {name!r}: {hint}there are {', '.join(SHAPES)}")
    return SHAPES[name]


def _later(
    name: str, shape: Shape, near: SolvedChain, far: SolvedChain | None
) -> SolvedChain | None:
    """The later chain, where the shape has one."""
    wanted = any(slot.far for slot in shape.slots)
    if wanted != (far is not None):
        raise UsageError(f"{name} has {'two expiries: give far=' if wanted else 'one expiry'}")
    if far is None:
        return None
    if far.snapshot.underlying != near.snapshot.underlying or not far.years > near.years:
        raise UsageError(f"far is {far.snapshot.underlying} {far.snapshot.expiry}: it must be the "
                         "same underlying and end after near")  # fmt: skip
    return far


def _places(
    name: str, shape: Shape, near: SolvedChain, rules: Sequence[str], right: str
) -> list[int]:
    """Place of each strike of the shape, in order."""
    if len(rules) != len(shape.rules):
        raise UsageError(f"{name} has {len(shape.rules)} strikes, {len(rules)} are given: "
                         f"as {','.join(shape.rules)}")  # fmt: skip
    rights = {slot.strike: slot.right or right for slot in reversed(shape.slots)}
    places = [near.select(rights[i], rule) for i, rule in enumerate(rules)]
    falling = name == "ratio" and right == "PE"
    ordered = places[::-1] if falling else places
    if any(low >= high for low, high in pairwise(ordered)):
        found = ", ".join(f"{near.snapshot.strike[place]:g}" for place in places)
        raise UsageError(f"the strikes of {name} must {'fall' if falling else 'rise'}: "
                         f"{','.join(rules)} gives {found}")  # fmt: skip
    return places


def _leg(
    chain: SolvedChain, right: str, strike: float, quantity: int
) -> tuple[Leg, tuple[float, float, float, float]]:
    """A leg at the chain's last price, and the greeks of one unit."""
    rows = chain.snapshot
    place = chain.select(right, f"{strike:.10g}")
    price = float((rows.call if right == "CE" else rows.put)[place])
    volatility = float(chain.volatility[place])
    what = f"{rows.underlying} {rows.expiry} {strike:g} {right} at {rows.time_text}"
    if not price > 0.0:
        raise BadData(f"{what} has no quote: choose another strike")
    if not volatility > 0.0:
        raise BadData(f"{what} has no volatility: its price is below what exercise is worth")
    table = chain.call if right == "CE" else chain.put
    leg = Leg(right, strike, quantity, round(price, 2), rows.expiry, volatility)
    return leg, (float(table.delta[place]), float(table.gamma[place]),
                 float(table.theta_day[place]), float(table.vega_percent[place]))  # fmt: skip
