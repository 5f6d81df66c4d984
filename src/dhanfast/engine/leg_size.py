"""How many structures an entry takes: what one may lose, and what the rules of sizing make of it.

One structure is the smallest whole proportion of the file's lots: lots 2 and 2 are two structures
of 1 and 1. The rules are those of `_core.sizing`, asked for units of structures.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd, inf
from typing import Any, Final

import numpy as np

from dhanfast._core.legs import LegUnit
from dhanfast._core.legwhole import PlanUnit
from dhanfast._core.sizing import Sizer
from dhanfast._core.types import SESSION_DTYPE
from dhanfast.engine.leg_settings import Amount, LegPlan, StructurePlan
from dhanfast.engine.settings import RiskSettings
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.errors import ConfigError
from dhanfast.options.payoff import Leg, Payoff

LIMITLESS: Final = 1_000_000  # structures; no limit is above it


@dataclass(frozen=True, slots=True)
class Wanted:
    """A contract that an entry asks for.

    Attributes:
        place: of its leg in the plan. number: of its contract. qty: signed units of one structure.
        lot, freeze: units; freeze 0 = none. price: paise, of the row that decides.
    """

    place: int
    number: int
    qty: int
    lot: int
    freeze: int
    price: int


@dataclass(frozen=True, slots=True)
class AtRisk:
    """What one structure may lose, and which of its bounds says so.

    Units:
        rupees.
    """

    rupees: float
    bound: str


def structures_of(plan: StructurePlan) -> int:
    """How many structures the file's own lots are."""
    return gcd(*(leg.lots for leg in plan.legs))


def at_risk(plan: StructurePlan, wanted: Sequence[Wanted], legs: Sequence[Leg]) -> AtRisk | None:
    """The nearest of what bounds the loss of one structure; None: nothing does.

    Bounds are the stop of the whole, the stops of the legs together (a bought leg without one loses
    its premium; a leg that may be entered again loses once more each time), and the payoff at one
    expiry when no leg is entered again. Slippage, gaps and charges come on top.

    Args:
        plan: the structure. wanted: its contracts. legs: the same, as the payoff has them.
    """
    found = [
        one
        for one in (_by_whole(plan, wanted), _by_stops(plan, wanted), _by_payoff(plan, legs))
        if one is not None and 0.0 < one.rupees < inf
    ]
    return min(found, key=lambda one: one.rupees, default=None)


def _by_whole(plan: StructurePlan, wanted: Sequence[Wanted]) -> AtRisk | None:
    """By the stop of all legs together."""
    if plan.stop.unit == PlanUnit.RUPEES:
        return AtRisk(plan.stop.value / structures_of(plan), "the stop of the whole")
    if plan.stop.unit == PlanUnit.PREMIUM:
        net = abs(sum(one.qty * one.price for one in wanted)) / 100.0
        return AtRisk(plan.stop.value / 100.0 * net, "the stop of the whole")
    return None


def _by_stops(plan: StructurePlan, wanted: Sequence[Wanted]) -> AtRisk | None:
    """By what each leg may lose; None when a sold one has no stop of premium, or one is lazy: what
    it costs is not known before it goes in."""
    total = 0.0
    if any(leg.lazy for leg in plan.legs):
        return None
    for one in wanted:
        leg, price = plan.legs[one.place], one.price / 100.0
        far = _distance(leg.stop, price)
        if one.qty > 0:
            far = min(far, price)
        if far == inf:
            return None
        total += far * abs(one.qty) * (1 + leg.after_stop.times + leg.after_target.times)
    return AtRisk(total, "the stops of the legs")


def _distance(amount: Amount, price: float) -> float:
    """Rupees from a price; without end when there is none."""
    if amount.unit == LegUnit.POINTS:
        return amount.value
    return amount.value / 100.0 * price if amount.unit == LegUnit.PERCENT else inf


def _bounds(stop: Amount) -> bool:
    """Whether a stop says how much premium is lost; one on the index does not."""
    return stop.unit in (LegUnit.POINTS, LegUnit.PERCENT)


def _again(leg: LegPlan) -> bool:
    return bool(leg.lazy or leg.after_stop.times or leg.after_target.times)


def _by_payoff(plan: StructurePlan, legs: Sequence[Leg]) -> AtRisk | None:
    """By the worst that expiry can bring; None with several expiries or legs entered again."""
    if len({leg.expiry for leg in legs}) != 1 or any(_again(leg) for leg in plan.legs):
        return None
    return AtRisk(-Payoff(legs).loss_max, "the most its payoff can lose")


def checked_leg_sizing(sizing: SizingSettings, plan: StructurePlan | None = None) -> SizingSettings:
    """`sizing`, or a refusal of what says nothing about a structure.

    Args:
        plan: the structure, when it is known.
    Raises:
        ConfigError: a volatility of prices as target; a stop that would be needed is missing; a
            hedge whose limit would not grow with the structure.
    """
    if sizing.method == "volatility":
        raise ConfigError(
            "sizing.method: volatility is that of one instrument's prices, and the result of a "
            "structure does not follow one; use risk, kelly or lots"
        )
    if sizing.method != "lots" and plan is not None and plan.hedge and not plan.hedge.lots_max:
        raise ConfigError(
            f"hedge.lots_max: with sizing.method = {sizing.method!r} a structure has another size "
            "each time, and the usual limit of its hedge is the file's own lots: write how many "
            "lots the hedge may have at most"
        )
    if sizing.method == "risk" and plan is not None:
        # What premiums and strikes will be does not matter to whether a bound exists.
        unbound = plan.stop.unit == PlanUnit.UNSET and any(
            leg.lazy or (leg.side == "sell" and not _bounds(leg.stop)) for leg in plan.legs
        )
        covered = all(
            sum(leg.lots for leg in plan.legs if leg.right == right and leg.side == "buy")
            >= sum(leg.lots for leg in plan.legs if leg.right == right and leg.side == "sell")
            for right in ("CE", "PE")
        )
        if unbound and not (covered and not any(leg.lazy for leg in plan.legs)):
            raise ConfigError(
                "sizing.method: risk needs a loss that is bounded, and this structure has sold "
                "legs without a stop that nothing covers, or a lazy leg: give the whole a stop, or "
                "each of them one of premium: a stop on the index bounds no loss"
            )
    return sizing


class StructureSizer:
    """How many structures an entry takes.

    Args:
        sizing: rules. plan: the structure. risk: limits that `fit` cuts to, of each leg.
    Raises:
        ConfigError: see `SizingSettings.native`, `checked_leg_sizing`.
    """

    def __init__(self, sizing: SizingSettings, plan: StructurePlan, risk: RiskSettings) -> None:
        self._sizing, self._plan, self._risk = checked_leg_sizing(sizing, plan), plan, risk
        # The freeze quantity always cuts: a leg is one order.
        native = replace(sizing, fit=True).native(structures_of(plan), 1_000_000_000)
        self._sizer = Sizer(native)
        self._session: Any = np.zeros(1, SESSION_DTYPE)[0]
        self._session["lot"] = 1

    def size(
        self, wanted: Sequence[Wanted], risk: AtRisk | None, equity: int
    ) -> tuple[int, dict[str, Any]]:
        """Structures of an entry, and how that came (`Kernel.size_explained`, of structures).

        Args:
            wanted: contracts of one structure. risk: what it may lose; None: nothing bounds it.
            equity: paise.
        """
        self._session["freeze"] = most = self._most(wanted)
        if most == 0:
            return 0, {"method": self._sizing.method, "reason": "LIMITS", "cut": "FREEZE"}
        stop = 0.0 if risk is None else risk.rupees
        made = self._sizer.entry(self._session, price=1, equity=equity, stop=stop)
        return int(made), dict(self._sizer.explained)

    def _most(self, wanted: Sequence[Wanted]) -> int:
        """Structures whose every leg is within one order's freeze quantity, and the limits."""
        most = LIMITLESS
        for one in wanted:
            units = abs(one.qty)
            if one.freeze:
                most = min(most, one.freeze // units)
            if self._sizing.fit:
                limits = [limit for limit in (self._risk.qty_max, self._risk.position_max) if limit]
                if self._risk.notional_max and one.price:
                    limits.append(self._risk.notional_max // one.price)
                most = min([most, *(limit // units for limit in limits)])
        return most

    def closed(self, net: int, structures: int) -> None:
        """An entry of so many structures has ended with a result after charges, paise."""
        self._sizer.closed(net / structures)

    @property
    def explained(self) -> dict[str, Any]:
        """What is known of the entries that have closed, and of the last size."""
        return dict(self._sizer.explained)
