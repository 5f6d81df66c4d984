"""The words of a legs file that end a structure, bring it back or keep its profit: every one
understood, every contradiction refused by name."""

import datetime as dt
from typing import Any

import pytest

from dhanfast._core.chainday import StrikeRule
from dhanfast._core.legs import Again, LegUnit
from dhanfast._core.legwhole import PlanUnit
from dhanfast.app.legs_file import plan_of
from dhanfast.engine.leg_settings import Amount, Lock, Range, Reentry, Strike, StructurePlan, Whole
from dhanfast.engine.leg_size import checked_leg_sizing
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.errors import ConfigError

LEG = {"side": "sell", "right": "CE", "strike": "atm"}
STOPPED = LEG | {"stop": "30%"}


def tree(*legs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"underlying": "NIFTY", "leg": list(legs) or [LEG]} | more


def test_every_word_is_understood() -> None:
    plan = plan_of(tree(
        STOPPED | {
            "stop": "100pts index", "target": "0.5% of index", "wait": "+50pts index",
            "trail": {"every": "20pts index", "step": "10pts index"},
            "after_stop": {"again": "momentum-reverse", "times": 3, "pause": "2m"},
            "after_target": {"again": "leg", "leg": 2},
        },
        LEG | {"lazy": True, "wait": "low 25m"},
        LEG | {"wait": "high 1h index", "stop": "20pts"},
        stop="5000", target="25%", trail={"every": "1000", "step": 500},
        lock={"at": "40%", "keep": "10%", "every": "5%", "step": "2.5%"},
        after_stop={"again": "asap-reverse", "times": 2, "pause": "90s"},
        after_target={"again": "momentum"}, again_until="14:30", move_to_cost="stops",
    ))  # fmt: skip
    leg = plan.legs[0]
    assert leg.stop == Amount(100.0, LegUnit.INDEX_POINTS)
    assert leg.target == Amount(0.5, LegUnit.INDEX_PERCENT)
    assert leg.wait == Amount(50.0, LegUnit.INDEX_POINTS)
    assert leg.trail[1] == Amount(10.0, LegUnit.INDEX_POINTS)
    assert leg.after_stop == Reentry("momentum-reverse", 3, 120 * 10**9)
    assert leg.after_target == Reentry("leg", 1, 0, 2) and plan.legs[1].lazy
    assert (leg.after_stop.way, leg.after_target.way) == (Again.MOMENTUM, Again.ARM)
    assert plan.legs[1].breakout == Range("low", 25 * 60 * 10**9)
    assert plan.legs[2].breakout == Range("high", 3600 * 10**9, True)
    assert plan.trail == (Whole(1000.0, PlanUnit.RUPEES), Whole(500.0, PlanUnit.RUPEES))
    of = PlanUnit.PREMIUM
    assert plan.lock == Lock(Whole(40.0, of), Whole(10.0, of), Whole(5.0, of), Whole(2.5, of))
    assert plan.after_stop == Reentry("asap-reverse", 2, 90 * 10**9)
    assert plan.again_until == dt.time(14, 30)
    assert plan.native()["to_cost"] == 2 and plan.native()["lock_unit"] == 2
    assert leg.native()["again_target_arms"] == 1 and leg.native()["again_stop_turn"] == 1


def test_a_strike_by_a_range_of_premiums() -> None:
    assert Strike.parse("80-120.5rs", "CE", "strike") == Strike(
        "80-120.5rs", StrikeRule.PREMIUM, 120.5, 2, 80.0
    )
    with pytest.raises(ConfigError, match="the smaller premium comes first"):
        Strike.parse("120-80rs", "CE", "strike")
    hedge = {"instrument": "option", "strike": "80-120rs", "band": "10 units"}
    with pytest.raises(ConfigError, match=r"hedge.strike: '80-120rs': .* as 100rs"):
        plan_of(tree(hedge=hedge))


def test_what_is_not_written_is_off() -> None:
    plan = plan_of(tree(STOPPED, move_to_cost=True))
    bare = StructurePlan("legs", "NIFTY", plan.legs)
    for name in ("trail", "lock", "complete", "after_stop", "after_target", "again_until"):
        assert getattr(plan, name) == getattr(bare, name)
    assert plan.native()["to_cost"] == 1
    assert plan_of(tree(move_to_cost="all")).native()["to_cost"] == 1
    assert plan_of(tree(lock={"at": 500, "keep": 0})).lock.keep == Whole(0.0, PlanUnit.RUPEES)
    assert not plan_of(tree(STOPPED, square_off="partial")).complete
    assert plan_of(tree(STOPPED, square_off="complete")).complete


STOP = {"after_stop": {"again": "asap"}}
ONE = {"again": "leg", "leg": 2}


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (tree(LEG | {"stop": "10 index"}), "'10 index' is not understood; .* index 100pts index"),
        (tree(LEG | {"stop": "9pts index", "trail": {"every": "9pts", "step": "9pts"}}),
         "leg 1: trail and stop must both count the premium, or both the index"),
        (tree(LEG | {"stop": "9pts index", "trail": {"every": "5pts index",
                                                     "step": "6pts index"}}),
         "trail.step must be at most trail.every"),
        (tree(LEG | {"wait": "-100% index"}), "never comes"),
        (tree(LEG | {"wait": "high 20"}), "wait: '20' is not a duration"),
        (tree(LEG | {"wait": "high 10s"}), "leg 1: wait: a range of 10 s is not in 1m..6h"),
        (tree(LEG | {"wait": "high 5h"}, entry="12:00"), "300 minutes .* before the exit 15:15"),
        (tree(STOPPED | {"after_stop": {"again": "momentum"}}), "momentum\" needs a wait"),
        (tree(STOPPED | {"after_stop": {"again": "asap", "pause": "500ms"}}), "not in 1s..6h"),
        (tree(STOPPED | {"after_stop": {"again": "asap", "leg": 2}}), "belong together"),
        (tree(STOPPED | {"after_stop": {"again": "leg"}}), "belong together"),
        (tree(STOPPED | {"after_stop": ONE}), "leg: 2 is not another of the 1 legs"),
        (tree(STOPPED | {"after_stop": ONE | {"leg": 1}}, LEG), "leg: 1 is not another"),
        (tree(STOPPED | {"after_stop": ONE}, LEG), "leg 2 goes in with the others"),
        (tree(STOPPED, LEG | {"lazy": True}), "leg 2: lazy: no other leg lets it in"),
        (tree(LEG | {"lazy": True}), "no other leg lets it in"),
        (tree(STOPPED | {"lazy": True, "after_stop": ONE},
              STOPPED | {"lazy": True, "after_stop": ONE | {"leg": 1}}),
         "needs a leg that goes in by itself"),
        (tree(LEG, STOPPED | {"side": "buy", "after_stop": {"again": "asap-reverse"}}),
         "leg 2: after_stop.again = \"asap-reverse\" would sell what covers the sold legs"),
        (tree(LEG | {"stop": "150%", "after_stop": {"again": "asap-reverse"}}),
         "stop of 150%, the other way round, lies at or below"),
        (tree(LEG | {"stop": "150%"}, stop="500", after_stop={"again": "asap-reverse"}),
         "the other way round"),
        (tree(square_off="all"), "no square_off is called 'all'"),
        (tree(square_off="complete"), "needs a leg with a stop or a target"),
        (tree(STOPPED, square_off="complete", move_to_cost=True), "leave one of the two out"),
        (tree(STOPPED | STOP, square_off="complete"), "takes all legs out with this one"),
        (tree(move_to_cost="some"), "no move_to_cost is called 'some'"),
        (tree(trail={"every": "5", "step": "5"}), "trail: needs a stop of the whole"),
        (tree(stop="500", trail={"every": "5"}), "trail: write both"),
        (tree(stop="500", trail={"every": "5%", "step": "5%"}), "must count what the stop does"),
        (tree(stop="500", trail={"every": "5", "step": "6"}), "6 is more than every 5"),
        (tree(lock={"at": "500"}), "lock: write at and keep"),
        (tree(lock={"at": "500", "keep": "500"}), "must be less than at 500"),
        (tree(lock={"at": "500", "keep": "5%"}), "must all be rupees, or all %"),
        (tree(lock={"at": "500", "keep": "5", "every": "9"}), "every and step belong together"),
        (tree(lock={"at": "500", "keep": "5", "every": "9", "step": "10"}), "10 is more than"),
        (tree(lock={"from": "5"}), "no key of lock is called 'from'"),
        (tree(**STOP), "after_stop: needs a stop of the whole, or square_off"),
        (tree(stop="5", after_target={"again": "asap"}), "after_target: needs a target of the"),
        (tree(stop="5", after_stop={"again": "leg"}), "no after_stop.again is called 'leg'"),
        (tree(stop="5", after_stop={"again": "momentum"}), "needs a leg with a wait"),
        (tree(stop="5", after_stop={"times": 21}), "after_stop.times must be in 0..20"),
        (tree(stop="5", signals="momentum", **STOP), "the strategy says when all go in"),
        (tree(again_until="14:00"), "again_until: nothing is entered again"),
        (tree(STOPPED | STOP, again_until="09:00"), "must lie between the entry 09:20"),
        (tree(STOPPED | STOP, again_until="15:15"), "must lie between"),
        (tree(STOPPED | STOP, again_until="late"), "not a time of day"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_by_name(made: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        plan_of(made)


def test_a_size_by_risk_needs_a_stop_of_premium() -> None:
    """A stop on the index says where the index is, and not what is lost then."""
    risk = SizingSettings(method="risk", risk_e6=10_000)
    for plan in (
        plan_of(tree(LEG | {"stop": "50pts index"})),
        plan_of(tree(STOPPED | {"after_stop": ONE}, STOPPED | {"lazy": True})),
    ):
        with pytest.raises(ConfigError, match="needs a loss that is bounded"):
            checked_leg_sizing(risk, plan)
    checked_leg_sizing(risk, plan_of(tree(LEG | {"stop": "50pts index"}, stop="5000")))
    checked_leg_sizing(risk, plan_of(tree(STOPPED)))
