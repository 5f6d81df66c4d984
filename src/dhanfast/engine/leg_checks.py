"""What of stops, locks and entries again can be meant together, and what contradicts itself.

Of `engine.leg_settings.checked_plan`, which asks for it; the values are its own.
"""

import datetime as dt
from typing import TYPE_CHECKING, Final

from dhanfast._core.legs import Again, LegUnit
from dhanfast._core.legwhole import PlanUnit
from dhanfast.errors import ConfigError
from dhanfast.strategies.params import unknown

if TYPE_CHECKING:
    from dhanfast.engine.leg_settings import Amount, LegPlan, Reentry, StructurePlan

AGAIN_MAX: Final = 20
RANGE_NS: Final = (60_000_000_000, 6 * 3_600_000_000_000)
PAUSE_NS: Final = (1_000_000_000, 6 * 3_600_000_000_000)
OF_LEGS: Final = (
    "asap", "asap-reverse", "cost", "cost-reverse", "momentum", "momentum-reverse", "leg",
)  # fmt: skip
OF_ALL: Final = OF_LEGS[:-1]


def check_again(
    plan: "StructurePlan", number: int, again: "Reentry", what: str, needs: "Amount"
) -> None:
    """Refuse entries again of a leg that cannot be, or that contradict themselves.

    Args:
        number: of the leg, from 1. what: after_stop or after_target. needs: its stop or target.
    Raises:
        ConfigError: names leg, key, value and what to do.
    """
    leg, name = plan.legs[number - 1], f"leg {number}"
    _check_reentry(again, f"{name}: ", what, OF_LEGS)
    if not again.times:
        return
    moved = what == "after_stop" and plan.move_to_cost
    if needs.unit == LegUnit.NONE and not moved:
        raise ConfigError(f"{name}: {what} needs a {what[6:]}")
    if plan.complete:
        raise ConfigError(
            f'{name}: {what}: square_off = "complete" takes all legs out with this one: write '
            f"{what} of the whole, above the legs"
        )
    if again.way == Again.MOMENTUM and not leg.waits:
        raise ConfigError(f'{name}: {what}.again = "{again.how}" needs a wait, from the new strike')
    if again.turn and leg.side == "buy" and any(other.side == "sell" for other in plan.legs):
        raise ConfigError(
            f'{name}: {what}.again = "{again.how}" would sell what covers the sold legs: leave '
            '"-reverse" out'
        )
    if again.way == Again.ARM:
        _check_arms(plan, number, again, f"{name}: {what}")


def _check_arms(plan: "StructurePlan", number: int, again: "Reentry", name: str) -> None:
    """The leg that is let in is another one, and waits for that."""
    if not 1 <= again.leg <= len(plan.legs) or again.leg == number:
        raise ConfigError(
            f"{name}.leg: {again.leg} is not another of the {len(plan.legs)} legs; the first is 1"
        )
    if not plan.legs[again.leg - 1].lazy:
        raise ConfigError(
            f"{name}.leg: leg {again.leg} goes in with the others: write lazy = true in it"
        )


def _check_reentry(again: "Reentry", whose: str, what: str, known: tuple[str, ...]) -> None:
    if again.how not in known:
        raise ConfigError(whose + unknown(f"{what}.again", again.how, list(known)))
    name = whose + what
    if not 0 <= again.times <= AGAIN_MAX:
        raise ConfigError(f"{name}.times must be in 0..{AGAIN_MAX}, was {again.times}")
    if again.pause_ns and not PAUSE_NS[0] <= again.pause_ns <= PAUSE_NS[1]:
        raise ConfigError(f"{name}.pause: {again.pause_ns / 1e9:g} s is not in 1s..6h")
    if bool(again.leg) != (again.how == "leg"):
        raise ConfigError(f'{name}: leg = 2 and again = "leg" belong together')


def check_whole(plan: "StructurePlan") -> None:
    """Refuse what contradicts itself in the rules of all legs together.

    Raises:
        ConfigError: names the key, the value and what to do.
    """
    _check_trail(plan)
    _check_lock(plan)
    _check_lazy(plan)
    if plan.complete:
        if not _ends(plan, "stop") and not _ends(plan, "target"):
            raise ConfigError('square_off: "complete" needs a leg with a stop or a target')
        if plan.move_to_cost:
            raise ConfigError(
                'move_to_cost: with square_off = "complete" no other leg is left whose stop could '
                "move: leave one of the two out"
            )
    _check_all_again(plan)
    if plan.again_until is None:
        return
    again = [plan.after_stop, plan.after_target]
    for leg in plan.legs:
        again += [leg.after_stop, leg.after_target]
    if not any(each.times for each in again):
        raise ConfigError("again_until: nothing is entered again; write after_stop or after_target")
    if plan.again_until < plan.entry or (
        plan.hold == "day" and plan.exit is not None and plan.again_until >= plan.exit
    ):
        raise ConfigError(
            f"again_until: {plan.again_until:%H:%M} must lie between the entry {plan.entry:%H:%M} "
            "and the exit"
        )


def check_range(plan: "StructurePlan", leg: "LegPlan", name: str) -> None:
    """Refuse a range that is over before it can be broken, or too short to be one.

    Raises:
        ConfigError: names the leg, the length and what to do.
    """
    length_ns = leg.breakout.length_ns
    if not leg.breakout.side:
        return
    if not RANGE_NS[0] <= length_ns <= RANGE_NS[1]:
        raise ConfigError(f"{name}: wait: a range of {length_ns / 1e9:g} s is not in 1m..6h")
    if plan.hold == "day" and plan.exit is not None:
        day = dt.date(2000, 1, 1)
        over = dt.datetime.combine(day, plan.until) + dt.timedelta(microseconds=length_ns // 1000)
        if over >= dt.datetime.combine(day, plan.exit):
            raise ConfigError(
                f"{name}: wait: a range of {length_ns / 6e10:g} minutes from {plan.until:%H:%M} on "
                f"is not over before the exit {plan.exit:%H:%M}"
            )


def _ends(plan: "StructurePlan", what: str) -> bool:
    """Whether a leg has a stop, or a target."""
    return any(getattr(leg, what).unit != LegUnit.NONE for leg in plan.legs)


def _check_trail(plan: "StructurePlan") -> None:
    every, step = plan.trail
    if every.unit == PlanUnit.UNSET:
        return
    if plan.stop.unit == PlanUnit.UNSET:
        raise ConfigError("trail: needs a stop of the whole to move")
    if {every.unit, step.unit} != {plan.stop.unit}:
        raise ConfigError(
            "trail: every and step must count what the stop does: all rupees, or all %"
        )
    if step.value > every.value:
        raise ConfigError(
            f"trail.step: {step.value:g} is more than every {every.value:g}: the stop would pass "
            "the result"
        )


def _check_lock(plan: "StructurePlan") -> None:
    lock = plan.lock
    given = [one for one in (lock.at, lock.keep, lock.every, lock.step) if one.unit]
    if not given:
        return
    if len({one.unit for one in given}) != 1:
        raise ConfigError("lock: at, keep, every and step must all be rupees, or all %")
    if lock.keep.value >= lock.at.value:
        raise ConfigError(
            f"lock.keep: {lock.keep.value:g} must be less than at {lock.at.value:g}: it would be "
            "left as soon as it locks"
        )
    if lock.step.value > lock.every.value:
        raise ConfigError(
            f"lock.step: {lock.step.value:g} is more than every {lock.every.value:g}: what is kept "
            "would pass the result"
        )


def _check_lazy(plan: "StructurePlan") -> None:
    armed = {
        each.leg for leg in plan.legs for each in (leg.after_stop, leg.after_target) if each.times
    }
    for number, leg in enumerate(plan.legs, 1):
        if leg.lazy and number not in armed:
            raise ConfigError(
                f"leg {number}: lazy: no other leg lets it in; write after_stop = "
                f'{{ again = "leg", leg = {number} }} in one'
            )
        if leg.lazy and leg.when:
            raise ConfigError(f"leg {number}: lazy: goes in behind another leg; leave when out")
    if all(leg.lazy for leg in plan.legs):
        raise ConfigError("lazy: a structure needs a leg that goes in by itself")


def _check_all_again(plan: "StructurePlan") -> None:
    for again, what, has in (
        (
            plan.after_stop,
            "after_stop",
            plan.stop.unit or plan.lock.at.unit or (plan.complete and _ends(plan, "stop")),
        ),
        (
            plan.after_target,
            "after_target",
            plan.target.unit or (plan.complete and _ends(plan, "target")),
        ),
    ):
        _check_reentry(again, "", what, OF_ALL)
        if not again.times:
            continue
        if not has:
            raise ConfigError(
                f'{what}: needs a {what[6:]} of the whole, or square_off = "complete" and a leg '
                "with one"
            )
        if plan.signals:
            raise ConfigError(
                f"{what}: with signals the strategy says when all go in: leave {what} out"
            )
        if again.way == Again.MOMENTUM and not any(leg.waits for leg in plan.legs):
            raise ConfigError(f'{what}.again = "{again.how}" needs a leg with a wait')
