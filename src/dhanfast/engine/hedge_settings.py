"""What `[hedge]` of a legs file says: which contract keeps the delta, by which rule, how much.

Pure values and their checks; `app.legs_file` reads the TOML, `engine.hedging` runs it.
"""

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dhanfast._core.chainday import StrikeRule
from dhanfast._core.hedge import HedgeTo, checked_rules
from dhanfast.errors import ConfigError
from dhanfast.market.optionsessions import EXPIRIES
from dhanfast.strategies.params import unknown

if TYPE_CHECKING:
    from dhanfast.engine.leg_settings import Strike, StructurePlan

FUTURE: Final = "future"
OPTION: Final = "option"
TO: Final = {"centre": HedgeTo.CENTRE, "edge": HedgeTo.EDGE}
_AMOUNT: Final = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*(lots?|units?)?\s*")
_COST: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(pts|points|%)\s*")


@dataclass(frozen=True, slots=True)
class Delta:
    """An amount of delta: units of the underlying, or lots of the hedge.

    Attributes:
        value: of either. lots: it counts lots.
    """

    value: float = 0.0
    lots: bool = False

    @classmethod
    def parse(cls, text: object, name: str) -> "Delta":
        """Of `15`, `"15 units"`, `"0.5 lots"`.

        Raises:
            ConfigError: none of these.
        """
        found = None if isinstance(text, bool) else _AMOUNT.fullmatch(str(text))
        if found is None:
            raise ConfigError(
                f'{name}: {text!r} is not an amount of delta; write "15 units" or "0.5 lots"'
            )
        return cls(float(found[1]), (found[2] or "").startswith("lot"))


@dataclass(frozen=True, slots=True)
class Cost:
    """What trading one unit of the hedge costs: rupees, and a part of its price."""

    points: float = 0.0
    rate: float = 0.0

    @classmethod
    def parse(cls, text: object, name: str) -> "Cost":
        """Of `1.5pts`, `0.01%`.

        Raises:
            ConfigError: neither.
        """
        found = _COST.fullmatch(str(text))
        if found is None or float(found[1]) <= 0.0:
            raise ConfigError(
                f'{name}: {text!r} is not understood; write "1.5pts" a unit, or "0.01%" of its '
                "price, above 0"
            )
        value = float(found[1])
        return cls(rate=0.01 * value) if found[2] == "%" else cls(points=value)


@dataclass(frozen=True, slots=True)
class HedgePlan:
    """How a structure's delta is kept near a target.

    Attributes:
        instrument: future or option. band: fixed, on either side of the target. interval_ns: the
            gap is looked at so often; 0 = with every row. risk_aversion: of the cost-aware band, a
            rupee; cost: of a unit. target: of the net delta. to: centre or edge of the band.
        hysteresis: lots that the gap has to move, besides half a lot.
        pause_ns: between two hedges. hedges_max: a day. lots_max: of the hedge; 0 = as many lots
            as the legs have together.
        start, end: hours, IST; None = of the structure. dry_run: nothing is sent.
        strike, expiry: of the option that is bought.
    """

    instrument: str = FUTURE
    band: Delta = Delta()
    interval_ns: int = 0
    risk_aversion: float = 0.0
    cost: Cost = Cost()
    target: Delta = Delta()
    to: str = "centre"
    hysteresis: float = 0.25
    pause_ns: int = 30_000_000_000
    hedges_max: int = 50
    lots_max: int = 0
    start: dt.time | None = None
    end: dt.time | None = None
    dry_run: bool = False
    strike: "Strike | None" = None
    expiry: str = "nearest"

    def native(self, lots: int) -> dict[str, Any]:
        """Every field of the native HedgeRules.

        Args:
            lots: of all legs together.
        """
        strike = self.strike
        return {
            "band": 0.0 if self.band.lots else self.band.value,
            "band_lots": self.band.value if self.band.lots else 0.0,
            "risk_aversion": self.risk_aversion,
            "cost_points": self.cost.points,
            "cost_rate": self.cost.rate,
            "target": 0.0 if self.target.lots else self.target.value,
            "target_lots": self.target.value if self.target.lots else 0.0,
            "hysteresis": self.hysteresis,
            "interval_ns": self.interval_ns,
            "pause_ns": self.pause_ns,
            "lots_max": self.lots_max or lots,
            "hedges_max": self.hedges_max,
            "to": int(TO[self.to]),
            "dry": int(self.dry_run),
            "right": int(self.instrument == OPTION),
            "strike_rule": 0 if strike is None else int(strike.rule),
            "premium_rule": 0 if strike is None else strike.bound,
            "strike": 0.0 if strike is None else strike.amount,
        }


def checked_hedge(hedge: HedgePlan, plan: "StructurePlan") -> HedgePlan:
    """`hedge`, or a refusal that names the field, the value and what to do.

    Raises:
        ConfigError: a value out of range, two that contradict each other, or no rule.
    """
    for value, name, known in (
        (hedge.instrument, "instrument", (FUTURE, OPTION)),
        (hedge.to, "to", tuple(TO)),
        (hedge.expiry, "expiry", EXPIRIES),
    ):
        if value not in known:
            raise ConfigError(f"hedge: {unknown(name, value, list(known))}")
    if plan.lot and hedge.instrument == FUTURE:
        raise ConfigError(
            f"hedge.instrument: {plan.underlying} is a stock, and futures of indexes are known "
            'only: write instrument = "option" and a strike'
        )
    if hedge.strike is not None and hedge.strike.least:
        raise ConfigError(
            f"hedge.strike: {hedge.strike.text!r}: a hedge that finds no premium in a range would "
            "not be made; write the one it should be near, as 100rs"
        )
    if (hedge.instrument == OPTION) != (hedge.strike is not None):
        raise ConfigError('hedge.strike: an option needs one, as strike = "atm"; a future has none')
    if hedge.strike is not None:
        _check_strike(hedge.strike)
        if hedge.target.lots and hedge.target.value:
            raise ConfigError(
                "hedge.target: which option hedges, and so what a lot of it changes, follows from "
                'the target: write units, as target = "30 units"'
            )
    if hedge.lots_max < 0:
        raise ConfigError(f"hedge.lots_max must be 1 or more, was {hedge.lots_max}")
    start, end = hours_of(hedge, plan)
    if start >= end:
        raise ConfigError(f"hedge.until: {end} must come after {start}")
    if hedge.cost != Cost() and not hedge.risk_aversion:
        raise ConfigError("hedge.cost: only the cost-aware band uses it; give risk_aversion too")
    checked_rules(hedge.native(sum(leg.lots for leg in plan.legs)))
    return hedge


def _check_strike(strike: "Strike") -> None:
    """Calls and puts take turns, so the strike must be one that both have.

    Raises:
        ConfigError: it is bound to one side of the money.
    """
    turns = strike.text.lower().startswith(("atm", "otm", "itm")) and not (
        "+" in strike.text or "-" in strike.text
    )
    if not (turns or strike.rule in (StrikeRule.DELTA, StrikeRule.PREMIUM)):
        raise ConfigError(
            f"hedge.strike: {strike.text!r}: calls and puts take turns; write atm, otm2, itm1, "
            "0.25d or 100rs"
        )


def hours_of(hedge: HedgePlan, plan: "StructurePlan") -> tuple[dt.time, dt.time]:
    """From when until when it may hedge, IST: as it says, else while the structure may be held."""
    last = plan.exit if plan.exit is not None and plan.hold == "day" else dt.time(15, 30)
    return hedge.start or plan.entry, hedge.end or last
