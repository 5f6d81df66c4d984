"""What a legs file says: the structure, its times, and the words people write for them.

Pure values and their checks; `app.legs_file` reads the TOML, `engine.legs` runs it.
"""

import datetime as dt
import re
from dataclasses import dataclass, field
from typing import Any, Final

from dhanfast._core.chainday import StrikeRule
from dhanfast._core.legs import Again, LegUnit
from dhanfast._core.legwhole import PlanUnit
from dhanfast.engine.hedge_settings import OPTION, HedgePlan, checked_hedge
from dhanfast.engine.leg_checks import check_again, check_range, check_whole
from dhanfast.engine.settings import duration_ns
from dhanfast.errors import ConfigError
from dhanfast.market.optionsessions import EXPIRIES
from dhanfast.strategies.params import unknown

LEGS_MAX: Final = 10
DTE_MAX: Final = 60
DEADLINE_NS: Final = (1_000_000_000, 600_000_000_000)
LOT_MAX: Final = 1_000_000  # units
REPAIRS_MAX: Final = 10
WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
REVERSE: Final = "-reverse"
AGAIN: Final = {"asap": Again.ASAP, "cost": Again.COST, "momentum": Again.MOMENTUM}
INDEX_UNITS: Final = (LegUnit.INDEX_POINTS, LegUnit.INDEX_PERCENT)
STRIKES: Final = (
    "atm, atm+2, otm3, itm1, 0.25d (delta), 100rs, >=100rs, <=100rs, 80-120rs (premium), +1.5% "
    "(of the index), -1w (straddle widths), or a strike"
)
_STRIKE: Final = re.compile(
    r"(?:(?P<money>atm|itm|otm)(?P<steps>[+-]?\d{1,3})?"
    r"|(?P<delta>0?\.\d+)d"
    r"|(?P<bound>>=|<=)?(?P<premium>\d+(?:\.\d+)?)rs"
    r"|(?P<least>\d+(?:\.\d+)?)-(?P<most>\d+(?:\.\d+)?)rs"
    r"|(?P<percent>[+-]\d+(?:\.\d+)?)%"
    r"|(?P<widths>[+-]\d+(?:\.\d+)?)w"
    r"|(?P<strike>\d+(?:\.\d+)?))",
    re.IGNORECASE,
)
_BOUNDS: Final = {None: 0, ">=": 1, "<=": 2}  # options.board.PremiumRule
_AMOUNT: Final = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*(pts|points|%)\s*(?:(?:of\s+)?(index))?\s*")
_RANGE: Final = re.compile(r"\s*(high|low)\s+(\S+)\s*(?:(?:of\s+)?(index))?\s*")
_MONEY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(rs|%)?\s*")


@dataclass(frozen=True, slots=True)
class Strike:
    """How a leg finds its strike.

    Attributes:
        text: as it was written. rule, amount, bound: as the native floor takes them; steps and
            widths count towards higher strikes. least: a premium below it is none, rupees.
    """

    text: str
    rule: StrikeRule
    amount: float
    bound: int = 0
    least: float = 0.0

    @classmethod
    def parse(cls, text: str, right: str, name: str) -> "Strike":
        """Of `atm`, `otm2`, `0.25d`, `100rs`, `80-120rs`, `+1%`, `-1w`, `52000`.

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
        if found["most"]:
            least, most = float(found["least"]), float(found["most"])
            if not 0.0 < least <= most:
                raise ConfigError(f"{name}: {text!r}: the smaller premium comes first: 80-120rs")
            return cls(text, StrikeRule.PREMIUM, most, _BOUNDS["<="], least)
        return cls(text, StrikeRule.PREMIUM, float(found["premium"]), _BOUNDS[found["bound"]])


@dataclass(frozen=True, slots=True)
class Amount:
    """A distance of premium: 20 points, or 30 percent of it; or one of the index."""

    value: float = 0.0
    unit: LegUnit = LegUnit.NONE

    @classmethod
    def parse(cls, text: str | None, name: str, *, signed: bool = False) -> "Amount":
        """`20pts`, `30%`, `100pts index`, `0.5% index`; with `signed` `+10%`; None is none.

        Raises:
            ConfigError: none of these, or not above 0.
        """
        if text is None:
            return cls()
        found = _AMOUNT.fullmatch(str(text))
        if found is None or (signed and found[1][0] not in "+-"):
            example = "+10% or -5pts" if signed else "20pts or 30%"
            raise ConfigError(
                f"{name}: {text!r} is not understood; write for example {example}; of the index "
                f"{'+' if signed else ''}100pts index or {'+' if signed else ''}0.5% index"
            )
        value = float(found[1])
        if value == 0.0 or (value < 0.0 and not signed) or abs(value) > 1e6:
            raise ConfigError(f"{name}: {text!r} must be above 0, and at most 1000000")
        if found[3]:
            unit = LegUnit.INDEX_PERCENT if found[2] == "%" else LegUnit.INDEX_POINTS
            return cls(value, unit)
        return cls(value, LegUnit.PERCENT if found[2] == "%" else LegUnit.POINTS)

    @property
    def on_index(self) -> bool:
        """Whether it counts the underlying, not the premium."""
        return self.unit in INDEX_UNITS


@dataclass(frozen=True, slots=True)
class Range:
    """What a leg waits to be broken: the highest or lowest of a time from the entry on.

    Attributes:
        side: high or low; "" = it waits for none. length_ns: of the range. on_index: of the
            underlying, not of the premium.
    """

    side: str = ""
    length_ns: int = 0
    on_index: bool = False

    @classmethod
    def parse(cls, text: str | None, name: str) -> "Range | None":
        """`high 25m`, `low 1h index`; None: it says something else.

        Raises:
            ConfigError: a length that is not one.
        """
        found = _RANGE.fullmatch("" if text is None else str(text).lower())
        if found is None:
            return None
        return cls(found[1], duration_ns(found[2], name), bool(found[3]))


@dataclass(frozen=True, slots=True)
class Whole:
    """A stop or target of all legs together: rupees, or percent of the net premium."""

    value: float = 0.0
    unit: PlanUnit = PlanUnit.UNSET

    @classmethod
    def parse(cls, text: str | None, name: str, *, least: float = 1e-9) -> "Whole":
        """`5000`, `5000rs`, `25%`; None is none.

        Args:
            least: that it may be.
        Raises:
            ConfigError: none of these, or too small.
        """
        if text is None:
            return cls()
        found = _MONEY.fullmatch(str(text).replace(",", ""))
        if found is None or not least <= float(found[1]) <= 1e9:
            raise ConfigError(
                f"{name}: {text!r} is not understood; write rupees as 5000, or 25% "
                f"of the net premium, {'above 0' if least else '0 or more'}"
            )
        return cls(float(found[1]), PlanUnit.PREMIUM if found[2] == "%" else PlanUnit.RUPEES)


@dataclass(frozen=True, slots=True)
class Reentry:
    """How often a leg, or all of them, is entered again, and how.

    Attributes:
        how: asap, cost or momentum, each with `-reverse`: the other way round; `leg`: another leg
            goes in. leg: which one, from 1. pause_ns: not before so long after the end.
    """

    how: str = "asap"
    times: int = 0
    pause_ns: int = 0
    leg: int = 0

    @property
    def turn(self) -> bool:
        """The other way round: what was sold is bought."""
        return self.how.endswith(REVERSE)

    @property
    def way(self) -> Again:
        """As the native floor takes it."""
        if self.how == "leg":
            return Again.ARM
        return AGAIN[self.how.removesuffix(REVERSE)] if self.times else Again.NEVER

    def native(self, what: str) -> dict[str, Any]:
        """Its fields of LegRules and PlanRules.

        Args:
            what: stop or target.
        """
        return {
            f"again_{what}": self.times,
            f"again_{what}_how": int(self.way),
            f"again_{what}_turn": int(self.turn),
            f"again_{what}_pause": self.pause_ns,
        }


@dataclass(frozen=True, slots=True)
class Lock:
    """What is kept of a profit of the whole: from `at` on `keep`, `step` more every `every`."""

    at: Whole = Whole()
    keep: Whole = Whole()
    every: Whole = Whole()
    step: Whole = Whole()


@dataclass(frozen=True, slots=True)
class LegPlan:
    """One leg.

    Attributes:
        side: buy or sell. right: CE or PE. expiry: of `EXPIRIES`. lots: of the contract.
        trail: (every, step): a gain of `every` moves the stop by `step`.
        wait: the premium, or the index, has to move so far from where it is at the entry time.
        breakout: or it has to leave the range that it has from there.
        when: "" always; long or short: on signals of that side. lazy: goes in only when another
            leg arms it.
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
    lazy: bool = False
    breakout: Range = Range()

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
            "premium_least": self.strike.least,
            "stop_unit": int(self.stop.unit),
            "target_unit": int(self.target.unit),
            "trail_unit": int(self.trail[0].unit),
            "wait_unit": int(self.wait.unit),
            "when": {"": 0, "long": 1, "short": -1}[self.when],
            "lazy": int(self.lazy),
            "range_side": {"": 0, "high": 1, "low": -1}[self.breakout.side],
            "range_index": int(self.breakout.on_index),
            "range_ns": self.breakout.length_ns,
            **self.after_stop.native("stop"),
            **self.after_target.native("target"),
            "again_stop_arms": max(0, self.after_stop.leg - 1),
            "again_target_arms": max(0, self.after_target.leg - 1),
        }

    @property
    def text(self) -> str:
        """As a person says it: sell 1 CE otm2 nearest."""
        lazy = "lazy " if self.lazy else ""
        return f"{lazy}{self.side} {self.lots} {self.right} {self.strike.text} {self.expiry}"

    @property
    def waits(self) -> bool:
        """Whether it waits before it goes in."""
        return self.wait.unit != LegUnit.NONE or bool(self.breakout.side)


@dataclass(frozen=True, slots=True)
class StructurePlan:
    """A structure of legs and its times, as a legs file says it.

    Attributes:
        lot: units of a stock's contract; 0: an index, whose lots the tables know.
        entry: legs are entered at this time, IST; until: not later than this.
        exit: all leave at this time; None with hold = expiry: held to the final settlement.
        hold: day or expiry. weekdays, dte: days that may begin one; () = any. dte counts trading
            days to the nearest expiry.
        stop, target: of all together. trail: (every, step) of that stop. lock: of their profit.
        move_to_cost: a leg's stop moves the others' to cost; cost_of_stops: of those with a stop.
        complete: a leg's stop or target takes all with it. after_stop, after_target: all are
        entered again after one of the whole. again_until: nothing is entered again after it, IST.
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
    trail: tuple[Whole, Whole] = (Whole(), Whole())
    lock: Lock = Lock()
    cost_of_stops: bool = False
    complete: bool = False
    after_stop: Reentry = Reentry()
    after_target: Reentry = Reentry()
    again_until: dt.time | None = None

    def native(self) -> dict[str, Any]:
        """Every field of the native PlanRules."""
        return {
            "stop": self.stop.value,
            "target": self.target.value,
            "stop_unit": int(self.stop.unit),
            "target_unit": int(self.target.unit),
            "trail_every": self.trail[0].value,
            "trail_step": self.trail[1].value,
            "lock_at": self.lock.at.value,
            "lock_keep": self.lock.keep.value,
            "lock_every": self.lock.every.value,
            "lock_step": self.lock.step.value,
            "lock_unit": int(self.lock.at.unit),
            "to_cost": int(self.move_to_cost) + int(self.move_to_cost and self.cost_of_stops),
            "complete": int(self.complete),
            **self.after_stop.native("stop"),
            **self.after_target.native("target"),
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
        check_again(plan, number, leg.after_stop, "after_stop", leg.stop)
        check_again(plan, number, leg.after_target, "after_target", leg.target)
        check_range(plan, leg, f"leg {number}")
        if turns(plan, leg):
            _check_falls(leg, f"leg {number}", "sell" if leg.side == "buy" else "buy")
    check_whole(plan)
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
    _check_falls(leg, name, leg.side)
    every, step = leg.trail
    if every.unit != step.unit:
        raise ConfigError(f"{name}: trail.every and trail.step must both be points, or both %")
    if every.unit != LegUnit.NONE and leg.stop.unit == LegUnit.NONE:
        raise ConfigError(f"{name}: trail needs a stop to move")
    if every.unit != LegUnit.NONE and every.on_index != leg.stop.on_index:
        raise ConfigError(
            f"{name}: trail and stop must both count the premium, or both the index: "
            "a stop of premium is not moved by the index"
        )
    if every.on_index and step.value > every.value:
        raise ConfigError(
            f"{name}: trail.step must be at most trail.every: it would pass the index"
        )
    if leg.wait.unit in (LegUnit.PERCENT, LegUnit.INDEX_PERCENT) and leg.wait.value <= -100.0:
        raise ConfigError(f"{name}: wait of {leg.wait.value:g}% never comes; write more than -100%")
    if leg.when and not plan.signals:
        raise ConfigError(f"{name}: when = {leg.when!r} needs signals = a strategy's name")


def turns(plan: StructurePlan, leg: LegPlan) -> bool:
    """Whether a leg may be entered the other way round."""
    again = (leg.after_stop, leg.after_target, plan.after_stop, plan.after_target)
    return any(each.turn for each in again)


def _check_falls(leg: LegPlan, name: str, side: str) -> None:
    """A stop of what is bought, and a target of what is sold, lies above a premium of 0."""
    what = "stop" if side == "buy" else "target"
    falls = leg.stop if side == "buy" else leg.target
    if falls.unit == LegUnit.PERCENT and falls.value >= 100.0:
        turned = "" if side == leg.side else ", the other way round,"
        raise ConfigError(
            f"{name}: {what} of {falls.value:g}%{turned} lies at or below a premium of 0; "
            "write less than 100%"
        )
