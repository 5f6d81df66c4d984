"""What a legs file says: the structure, its times, and the words people write for them.

Pure values and their checks; `app.legs_file` reads the TOML, `engine.legs` runs it.
"""

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any, Final

from dhanfast._core.chainday import StrikeRule
from dhanfast._core.legrun import PlanUnit
from dhanfast._core.legs import Again, LegUnit
from dhanfast.engine.hedge_settings import OPTION, HedgePlan, checked_hedge
from dhanfast.errors import ConfigError
from dhanfast.market.optionsessions import EXPIRIES
from dhanfast.strategies.params import unknown

LEGS_MAX: Final = 10
AGAIN_MAX: Final = 20
DTE_MAX: Final = 60
DEADLINE_NS: Final = (1_000_000_000, 600_000_000_000)
LOT_MAX: Final = 1_000_000  # units
REPAIRS_MAX: Final = 10
WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
AGAIN: Final = {"asap": Again.ASAP, "cost": Again.COST}
STRIKES: Final = (
    "atm, atm+2, otm3, itm1, 0.25d (delta), 100rs, >=100rs, <=100rs (premium), +1.5% (of the "
    "index), -1w (straddle widths), or a strike"
)
_STRIKE: Final = re.compile(
    r"(?:(?P<money>atm|itm|otm)(?P<steps>[+-]?\d{1,3})?"
    r"|(?P<delta>0?\.\d+)d"
    r"|(?P<bound>>=|<=)?(?P<premium>\d+(?:\.\d+)?)rs"
    r"|(?P<percent>[+-]\d+(?:\.\d+)?)%"
    r"|(?P<widths>[+-]\d+(?:\.\d+)?)w"
    r"|(?P<strike>\d+(?:\.\d+)?))",
    re.IGNORECASE,
)
_BOUNDS: Final = {None: 0, ">=": 1, "<=": 2}  # options.board.PremiumRule
_AMOUNT: Final = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*(pts|points|%)\s*")
_MONEY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(rs|%)?\s*")


@dataclass(frozen=True, slots=True)
class Strike:
    """How a leg finds its strike.

    Attributes:
        text: as it was written. rule, amount, bound: as the native floor takes them; steps and
            widths count towards higher strikes.
    """

    text: str
    rule: StrikeRule
    amount: float
    bound: int = 0

    @classmethod
    def parse(cls, text: str, right: str, name: str) -> "Strike":
        """Of `atm`, `otm2`, `0.25d`, `100rs`, `+1%`, `-1w`, `52000`.

        Raises:
            ConfigError: none of these.
        """
        found = _STRIKE.fullmatch(str(text).strip())
        if found is None:
            raise ConfigError(f"{name}: {text!r} names no strike; write {STRIKES}")
        outward = 1 if right == "CE" else -1
        if money := found["money"]:
            steps = int(found["steps"] or 0)
            if money.lower() != "atm" and (steps < 1 or "+" in found["steps"]):
                raise ConfigError(f"{name}: {text!r}: write {money}1, {money}2 and so on")
            way = {"atm": 1, "otm": outward, "itm": -outward}[money.lower()]
            return cls(text, StrikeRule.STEPS, float(way * steps))
        for part, rule in (
            ("delta", StrikeRule.DELTA),
            ("percent", StrikeRule.PERCENT),
            ("widths", StrikeRule.STRADDLE),
            ("strike", StrikeRule.EXACT),
        ):
            if found[part]:
                return cls(text, rule, float(found[part]))
        return cls(text, StrikeRule.PREMIUM, float(found["premium"]), _BOUNDS[found["bound"]])


@dataclass(frozen=True, slots=True)
class Amount:
    """A distance of premium: 20 points, or 30 percent of it."""

    value: float = 0.0
    unit: LegUnit = LegUnit.NONE

    @classmethod
    def parse(cls, text: str | None, name: str, *, signed: bool = False) -> "Amount":
        """`20pts`, `30%`; with `signed` `+10%`, `-5pts`; None is none.

        Raises:
            ConfigError: none of these, or not above 0.
        """
        if text is None:
            return cls()
        found = _AMOUNT.fullmatch(str(text))
        if found is None or (signed and found[1][0] not in "+-"):
            example = "+10% or -5pts" if signed else "20pts or 30%"
            raise ConfigError(f"{name}: {text!r} is not understood; write for example {example}")
        value = float(found[1])
        if value == 0.0 or (value < 0.0 and not signed) or abs(value) > 1e6:
            raise ConfigError(f"{name}: {text!r} must be above 0, and at most 1000000")
        return cls(value, LegUnit.PERCENT if found[2] == "%" else LegUnit.POINTS)


@dataclass(frozen=True, slots=True)
class Whole:
    """A stop or target of all legs together: rupees, or percent of the net premium."""

    value: float = 0.0
    unit: PlanUnit = PlanUnit.UNSET

    @classmethod
    def parse(cls, text: str | None, name: str) -> "Whole":
        """`5000`, `5000rs`, `25%`; None is none.

        Raises:
            ConfigError: none of these, or not above 0.
        """
        if text is None:
            return cls()
        found = _MONEY.fullmatch(str(text).replace(",", ""))
        if found is None or not 0.0 < float(found[1]) <= 1e9:
            raise ConfigError(
                f"{name}: {text!r} is not understood; write rupees as 5000, or 25% "
                "of the net premium, above 0"
            )
        return cls(float(found[1]), PlanUnit.PREMIUM if found[2] == "%" else PlanUnit.RUPEES)


@dataclass(frozen=True, slots=True)
class Reentry:
    """How often a leg is entered again, and how: asap or cost."""

    how: str = "asap"
    times: int = 0


@dataclass(frozen=True, slots=True)
class LegPlan:
    """One leg.

    Attributes:
        side: buy or sell. right: CE or PE. expiry: of `EXPIRIES`. lots: of the contract.
        trail: (every, step): a gain of `every` moves the stop by `step`.
        wait: the premium has to move so far from where it is at the entry time.
        when: "" always; long or short: on signals of that side.
    """

    side: str
    right: str
    strike: Strike
    expiry: str = "nearest"
    lots: int = 1
    stop: Amount = Amount()
    target: Amount = Amount()
    trail: tuple[Amount, Amount] = (Amount(), Amount())
    wait: Amount = Amount()
    after_stop: Reentry = Reentry()
    after_target: Reentry = Reentry()
    when: str = ""

    def native(self) -> dict[str, Any]:
        """Every field of the native LegRules."""
        return {
            "strike": self.strike.amount,
            "stop": self.stop.value,
            "target": self.target.value,
            "trail_every": self.trail[0].value,
            "trail_step": self.trail[1].value,
            "wait": self.wait.value,
            "lots": self.lots,
            "side": 1 if self.side == "buy" else -1,
            "right": 1 if self.right == "CE" else -1,
            "strike_rule": int(self.strike.rule),
            "premium_rule": self.strike.bound,
            "stop_unit": int(self.stop.unit),
            "target_unit": int(self.target.unit),
            "trail_unit": int(self.trail[0].unit),
            "wait_unit": int(self.wait.unit),
            "again_stop": self.after_stop.times,
            "again_stop_how": int(AGAIN[self.after_stop.how]),
            "again_target": self.after_target.times,
            "again_target_how": int(AGAIN[self.after_target.how]),
            "when": {"": 0, "long": 1, "short": -1}[self.when],
        }

    @property
    def text(self) -> str:
        """As a person says it: sell 1 CE otm2 nearest."""
        return f"{self.side} {self.lots} {self.right} {self.strike.text} {self.expiry}"


@dataclass(frozen=True, slots=True)
class StructurePlan:
    """A structure of legs and its times, as a legs file says it.

    Attributes:
        lot: units of a stock's contract; 0: an index, whose lots the tables know.
        entry: legs are entered at this time, IST; until: not later than this.
        exit: all leave at this time; None with hold = expiry: held to the final settlement.
        hold: day or expiry. weekdays, dte: days that may begin one; () = any. dte counts trading
            days to the nearest expiry.
        stop, target: of all together. move_to_cost: a leg's stop moves the others' to cost.
        signals: a strategy whose entries and exits are followed; "" = by the clock. timeframe_ns:
        length of its bars; 0 = those of the data, live a minute.
        deadline_ns: after which what is not entered whole is unwound, 0 = none. repairs: how often
        a leg that was refused or lost is asked again before.
        source: the file as it was read, for the result. hedge: what keeps its delta; None: nothing.
    """

    name: str
    underlying: str
    legs: tuple[LegPlan, ...]
    entry: dt.time = dt.time(9, 20)
    until: dt.time = dt.time(9, 25)
    exit: dt.time | None = dt.time(15, 15)
    hold: str = "day"
    weekdays: tuple[str, ...] = ()
    dte: tuple[int, ...] = ()
    stop: Whole = Whole()
    target: Whole = Whole()
    move_to_cost: bool = False
    signals: str = ""
    timeframe_ns: int = 0
    deadline_ns: int = 10_000_000_000
    repairs: int = 2
    lot: int = 0
    params: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    hedge: HedgePlan | None = None

    def native(self) -> dict[str, Any]:
        """Every field of the native PlanRules."""
        return {
            "stop": self.stop.value,
            "target": self.target.value,
            "stop_unit": int(self.stop.unit),
            "target_unit": int(self.target.unit),
            "to_cost": int(self.move_to_cost),
            "hold": int(self.hold == "expiry"),
            "settles": int(self.exit is None),
            "signals": int(bool(self.signals)),
            "deadline_ns": self.deadline_ns,
            "repairs": self.repairs,
        }

    @property
    def expiries(self) -> tuple[str, ...]:
        """The expiries that its legs and its hedge take, each once."""
        taken = {leg.expiry for leg in self.legs}
        if self.hedge is not None and self.hedge.instrument == OPTION:
            taken.add(self.hedge.expiry)
        return tuple(name for name in EXPIRIES if name in taken)


def checked_plan(plan: StructurePlan) -> StructurePlan:
    """`plan`, or a refusal that names the leg, the field, the value and what to do.

    Raises:
        ConfigError: a value out of range, or two that contradict each other.
    """
    if not 1 <= len(plan.legs) <= LEGS_MAX:
        raise ConfigError(f"leg: a structure has 1 to {LEGS_MAX} legs, this one {len(plan.legs)}")
    if plan.hold not in ("day", "expiry"):
        raise ConfigError(unknown("hold", plan.hold, ["day", "expiry"]))
    if plan.exit is None and plan.hold != "expiry":
        raise ConfigError(
            'exit: "settlement" needs hold = "expiry": what leaves every day is not settled'
        )
    _check_stock(plan)
    if not plan.entry <= plan.until:
        raise ConfigError(f"late: the entry {plan.entry} must not come after {plan.until}")
    if plan.exit is not None and plan.hold == "day" and plan.until >= plan.exit:
        raise ConfigError(f"exit: {plan.exit} must come after the last entry {plan.until}")
    for day in plan.weekdays:
        if day not in WEEKDAYS:
            raise ConfigError(unknown("weekday", day, list(WEEKDAYS)))
    for days in plan.dte:
        if not 0 <= days <= DTE_MAX:
            raise ConfigError(f"dte: {days} is not in 0..{DTE_MAX} trading days")
    if plan.timeframe_ns and not plan.signals:
        raise ConfigError("timeframe: needs signals, it is the length of the bars they come from")
    if plan.deadline_ns and not DEADLINE_NS[0] <= plan.deadline_ns <= DEADLINE_NS[1]:
        raise ConfigError(
            f'order.deadline: {plan.deadline_ns / 1e9:g} s is not in 1s..10m; "none" is without'
        )
    if not 0 <= plan.repairs <= REPAIRS_MAX:
        raise ConfigError(f"order.repairs must be in 0..{REPAIRS_MAX}, was {plan.repairs}")
    for number, leg in enumerate(plan.legs, 1):
        _check_leg(leg, f"leg {number}", plan)
    if plan.hedge is not None:
        checked_hedge(plan.hedge, plan)
    return plan


def _check_stock(plan: StructurePlan) -> None:
    """A stock's options are delivered, not settled: nothing may be held to the expiry."""
    if not 0 <= plan.lot <= LOT_MAX:
        raise ConfigError(f"lot must be in 1..{LOT_MAX} units, was {plan.lot}")
    if plan.lot and (plan.hold != "day" or plan.exit is None):
        raise ConfigError(
            f"hold: options of {plan.underlying} are settled by delivery of the stock: write "
            'hold = "day" and an exit time'
        )
    if plan.lot and plan.signals:
        raise ConfigError(
            f"signals: a strategy runs on an index, and {plan.underlying} is a stock: leave "
            "signals out"
        )


def _check_leg(leg: LegPlan, name: str, plan: StructurePlan) -> None:
    for value, field_name, known in (
        (leg.side, "side", ("buy", "sell")),
        (leg.right, "right", ("CE", "PE")),
        (leg.expiry, "expiry", EXPIRIES),
        (leg.when, "when", ("", "long", "short")),
    ):
        if value not in known:
            raise ConfigError(f"{name}: {unknown(field_name, value, list(known))}")
    if not 1 <= leg.lots <= 10_000:
        raise ConfigError(f"{name}: lots must be in 1..10000, was {leg.lots}")
    for again, field_name, needs in (
        (leg.after_stop, "after_stop", leg.stop),
        (leg.after_target, "after_target", leg.target),
    ):
        if again.how not in AGAIN:
            raise ConfigError(f"{name}: {unknown(f'{field_name}.how', again.how, list(AGAIN))}")
        if not 0 <= again.times <= AGAIN_MAX:
            raise ConfigError(
                f"{name}: {field_name}.times must be in 0..{AGAIN_MAX}, was {again.times}"
            )
        moved = field_name == "after_stop" and plan.move_to_cost
        if again.times and needs.unit == LegUnit.NONE and not moved:
            raise ConfigError(f"{name}: {field_name} needs a {field_name[6:]}")
    falls = leg.stop if leg.side == "buy" else leg.target
    if falls.unit == LegUnit.PERCENT and falls.value >= 100.0:
        what = "stop" if leg.side == "buy" else "target"
        raise ConfigError(
            f"{name}: {what} of {falls.value:g}% lies at or below a premium of 0; "
            "write less than 100%"
        )
    every, step = leg.trail
    if every.unit != step.unit:
        raise ConfigError(f"{name}: trail.every and trail.step must both be points, or both %")
    if every.unit != LegUnit.NONE and leg.stop.unit == LegUnit.NONE:
        raise ConfigError(f"{name}: trail needs a stop to move")
    if leg.wait.unit == LegUnit.PERCENT and leg.wait.value <= -100.0:
        raise ConfigError(f"{name}: wait of {leg.wait.value:g}% never comes; write more than -100%")
    if leg.when and not plan.signals:
        raise ConfigError(f"{name}: when = {leg.when!r} needs signals = a strategy's name")
