"""A structure of legs, tick by tick: on paper, and at a broker whose every word is the test's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.legorder import Stage, Told, Unwind
from dhanfast._core.legs import LegUnit
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Kind
from dhanfast._core.live.records import IntentKind, Outcome, Seen
from dhanfast._core.types import OrderFlag
from dhanfast.errors import BadData, UsageError

from .leg_world import LOT, MINUTE, MS, OPEN, SECOND, SPOT, LegWorld, condor, leg, straddle


def world(path: Path, legs: list[dict[str, Any]] | None = None, **more: Any) -> LegWorld:
    """Quoted, a moment before its entry."""
    made = LegWorld(path / "legs.dfj", legs or condor(), **more)
    made.quotes()
    made.pass_time(1_500 * MS)
    return made


def places(made: LegWorld) -> list[tuple[int, int]]:
    """(contract, side) of the placings under way."""
    return [(one["instrument"], one["side"]) for one in made.wires.requests
            if one["kind"] == IntentKind.PLACE]  # fmt: skip


def told(made: LegWorld) -> list[tuple[Told, int]]:
    return [(Told(row["told"]), int(row["why"])) for row in made.run.take_notes()]


def settle(made: LegWorld, times: int = 6) -> None:
    """The wires and the market do their work."""
    for _ in range(times):
        made.deliver()
        made.meet()
        made.pass_time(200 * MS)


# ---- in -----------------------------------------------------------------------------------------


def test_bought_legs_go_first_and_sold_ones_when_those_are_whole(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.pass_time(SECOND)
    assert sorted(places(made)) == [(4, 1), (5, 1)] and made.run.stage == Stage.HEDGES
    made.deliver()
    one, other = made.working()
    made.fill(one, LOT)
    made.deliver()
    assert places(made) == []  # one of two is not enough
    made.fill(other, LOT - 1)
    made.deliver()
    assert places(made) == []  # nor is a part
    made.fill(other, 1)
    made.deliver()
    assert made.run.stage == Stage.SALES
    assert {(made.instrument[order.number], order.side) for order in made.working()} == {
        (3, -1),
        (6, -1),
    }
    made.meet()
    made.deliver()
    assert made.run.stage == Stage.REST and not made.loop.flat
    assert made.positions() == made.truth() == {3: -LOT, 6: -LOT, 4: LOT, 5: LOT}
    assert told(made) == [] and made.run.counters()["uncovered_units_max"] == 0


def test_it_is_left_the_other_way_round(tmp_path: Path) -> None:
    made = world(tmp_path)
    settle(made)
    assert len(made.truth()) == 4
    made.command(Command.FLATTEN)
    assert sorted(places(made)) == [(3, 1), (6, 1)] and made.run.stage == Stage.LEAVE
    made.deliver()
    first, second = made.working()
    made.fill(first, LOT)
    made.deliver()
    assert places(made) == []
    made.fill(second, LOT)
    made.show(made.updates.pop())
    assert sorted(places(made)) == [(4, -1), (5, -1)]
    settle(made)
    assert made.truth() == made.positions() == {} and made.loop.flat


def test_without_bought_legs_the_sold_ones_go_at_once(tmp_path: Path) -> None:
    made = world(tmp_path, straddle())
    made.pass_time(SECOND)
    assert sorted(places(made)) == [(3, -1), (7, -1)] and made.run.stage == Stage.SALES


def test_what_is_not_whole_at_the_deadline_is_unwound(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.pass_time(SECOND)
    made.deliver()
    made.fill(made.working()[0], LOT)  # the other one never fills
    made.deliver()
    made.pass_time(9 * SECOND)
    assert made.run.stage == Stage.HEDGES
    made.pass_time(SECOND)
    assert told(made) == [(Told.UNWOUND, Unwind.DEADLINE)]
    settle(made)
    assert made.truth() == made.positions() == {} and made.loop.flat
    made.pass_time(5 * MINUTE)
    assert made.loop.flat and made.run.counters()["structures"] == 1  # not again today


def test_a_refused_leg_is_asked_again_and_then_all_is_unwound(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.pass_time(SECOND)
    for repair in range(3):
        refused = next(i for i, one in enumerate(made.wires.requests) if one["instrument"] == 4)
        made.serve(refused, "906")
        made.deliver()
        if repair == 0:
            made.meet()  # the other hedge is in
            made.deliver()
        assert made.run.stage == (Stage.HEDGES if repair < 2 else Stage.REST)
        made.pass_time(1_100 * MS)
    assert told(made) == [(Told.REPAIRED, 0), (Told.REPAIRED, 0), (Told.UNWOUND, Unwind.REFUSED)]
    settle(made)
    assert made.truth() == made.positions() == {} and made.loop.flat
    assert not [one for one in made.wires.left if one["side"] < 0 and not one["flags"]]


def test_a_leg_that_ends_with_a_part_takes_all_back(tmp_path: Path) -> None:
    made = world(tmp_path)
    settle(made, 1)
    made.pass_time(SECOND)
    made.deliver()
    order = made.working()[0]
    made.fill(order, 10)
    made.broker.end(order, Seen.REJECTED)
    made.updates += made.broker.take_said()
    made.deliver()
    assert told(made)[-1] == (Told.UNWOUND, Unwind.PARTLY)
    settle(made)
    assert made.truth() == made.positions() == {} and made.loop.flat


def test_an_order_whose_fate_is_unknown_is_neither_doubled_nor_forgotten(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.pass_time(SECOND)
    at = next(i for i, one in enumerate(made.wires.requests) if one["instrument"] == 4)
    made.serve(at, "lost answer")
    made.updates.clear()  # and its update with it
    made.deliver()
    made.meet()
    made.updates = [one for one in made.updates if one["order"] != made.wires.left[0]["order"]]
    settle(made, 20)
    assert made.run.stage == Stage.REST and len(made.truth()) == 4
    assert made.positions() == made.truth()
    assert max(made.accepted().values()) == 1


def test_a_pause_sends_no_leg_and_the_deadline_goes_on(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.command(Command.PAUSE_ORDERS)
    made.pass_time(SECOND)
    assert places(made) == [] and made.run.paused
    made.command(Command.RESUME_ORDERS)
    assert len(places(made)) == 2
    made.command(Command.PAUSE_ORDERS)
    settle(made)
    assert sorted(made.truth()) == [4, 5]  # the sold ones wait
    made.pass_time(10 * SECOND)
    settle(made)
    assert made.truth() == {} and told(made) == [(Told.UNWOUND, Unwind.DEADLINE)]


def test_a_cancel_unwinds(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.pass_time(SECOND)
    made.deliver()
    made.meet()
    made.deliver()
    made.command(Command.CANCEL_ORDERS)
    settle(made)
    assert made.truth() == {} and told(made) == [(Told.UNWOUND, Unwind.CANCELLED)]


def test_entries_that_are_held_back_begin_nothing(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.command(Command.STOP_ENTRIES)
    made.pass_time(MINUTE)
    assert places(made) == [] and made.run.counters()["structures"] == 0
    made.command(Command.RESUME)
    made.pass_time(SECOND)
    assert len(places(made)) == 2


def test_entries_held_back_between_hedges_and_sales_end_in_unwinding(tmp_path: Path) -> None:
    made = world(tmp_path)
    made.pass_time(SECOND)
    made.command(Command.STOP_ENTRIES)
    settle(made, 80)
    assert made.truth() == {} and told(made)[-1][0] == Told.UNWOUND
    assert not [one for one in made.wires.left if one["side"] < 0 and not one["flags"]]


# ---- a strike without a price -----------------------------------------------------------------


def test_nothing_is_sent_until_every_strike_has_a_price(tmp_path: Path) -> None:
    made = LegWorld(tmp_path / "legs.dfj", condor())
    made.tick(0, SPOT)
    for number in (3, 4, 5):
        made.tick(number, 10_000)
    made.pass_time(MINUTE)
    assert made.wires.left == []
    made.tick(6, 10_000)
    made.pass_time(SECOND)
    assert len(places(made)) == 2


def test_given_up_it_says_which_leg_and_why(tmp_path: Path) -> None:
    made = LegWorld(tmp_path / "legs.dfj", condor())
    made.tick(0, SPOT)
    made.pass_time(6 * MINUTE)
    notes = made.run.take_notes()
    assert [Told(row["told"]) for row in notes] == [Told.NOT_ENTERED]
    assert made.wires.left == []


# ---- kills --------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", range(0, 40))
def test_killed_at_any_moment_it_goes_on_where_it_stood(tmp_path: Path, when: int) -> None:
    """The same day, killed after so many steps: whole, covered at each of them, then flat."""
    made = world(tmp_path, condor(stop=50.0))
    steps = 0
    for _ in range(10):
        for act in (lambda: made.pass_time(300 * MS), made.deliver, made.meet, made.deliver):
            act()
            steps += 1
            if steps == when:
                made.die()
            assert made.uncovered() == 0
    settle(made, 20)
    assert made.positions() == made.truth()
    assert len(made.truth()) in (0, 4)
    made.command(Command.HALT)
    settle(made, 60)
    assert made.truth() == made.positions() == {}
    assert max(made.accepted().values()) == 1


def test_the_journal_repeats_every_request(tmp_path: Path) -> None:
    made = world(tmp_path, condor(stop=30.0))
    settle(made)
    made.tick(3, 14_000)
    settle(made)
    before = [one for kind, one in made.records() if kind == Kind.INTENT]
    assert len(before) > 6
    made.die()
    assert [one for kind, one in made.records() if kind == Kind.INTENT][: len(before)] == before
    settle(made, 20)
    assert made.positions() == made.truth()


def test_a_journal_of_another_structure_is_refused(tmp_path: Path) -> None:
    made = world(tmp_path)
    settle(made)
    made.rules = straddle()
    with pytest.raises(BadData, match="other code, another strategy or other settings"):
        made.die()


# ---- paper --------------------------------------------------------------------------------------


def test_on_paper_a_day_by_hand_to_the_paisa(tmp_path: Path) -> None:
    """Bought at the ask, sold at the bid, the stop of a sold leg at its trigger's market."""
    made = world(tmp_path, condor(stop=50.0), live=False)
    for _ in range(4):
        made.pass_time(SECOND)
        made.quotes()
    assert made.positions() == {3: -LOT, 6: -LOT, 4: LOT, 5: LOT}
    made.tick(3, 15_000)  # its stop lies at 15,000: 10,000 and a half
    assert made.positions() == {6: -LOT, 4: LOT, 5: LOT}
    made.command(Command.HALT)
    for _ in range(4):
        made.pass_time(SECOND)
        made.quotes()
    assert made.positions() == {} and made.loop.flat
    trades, orders, _, _ = made.log.take()
    assert len(trades) == 4
    by_side = {side: trades[trades["side"] == side] for side in (1, -1)}
    assert (by_side[1]["entry_value"] == 10_010 * LOT).all()
    assert (by_side[1]["exit_value"] == 10_000 * LOT).all()
    assert (by_side[-1]["entry_value"] == 10_000 * LOT).all()
    assert sorted(by_side[-1]["exit_value"]) == [10_010 * LOT, 15_010 * LOT]
    assert int(trades["gross"].sum()) == LOT * (2 * -10 - 10 - 5_010)
    assert np.isin(orders["instrument"], [3, 4, 5, 6]).all()


def test_decisions_are_taken_on_seconds_of_the_market(tmp_path: Path) -> None:
    made = world(tmp_path, [leg(-1, 1, 110_000, wait=5.0, wait_unit=int(LegUnit.POINTS))],
                 live=False)  # fmt: skip
    made.pass_time(SECOND)
    assert made.run.legs_now()[0]["phase"] == 1 and made.positions() == {}
    made.tick(3, 10_500)
    made.tick(3, 10_300)  # back before the second is over: its high has been there
    made.pass_time(SECOND)
    made.tick(3, 10_300)
    assert made.positions() == {3: -LOT}


def test_a_combined_stop_takes_everything_out(tmp_path: Path) -> None:
    made = world(tmp_path, plan={"stop": 500.0, "stop_unit": 1})
    settle(made)
    assert len(made.truth()) == 4
    made.tick(3, 12_500)  # 25 units, 25 rupees against it
    made.pass_time(SECOND)
    assert made.run.stage == Stage.LEAVE
    settle(made)
    assert made.truth() == {} and made.run.counters()["combined_stops"] == 1


# ---- refusals -----------------------------------------------------------------------------------


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    made = world(tmp_path)
    with pytest.raises(UsageError, match="begun already"):
        made.loop.begin_day(slots=[0] * 4, entry_ns=0, until_ns=0, exit_ns=0, trade=True,
                            date=1, open_ns=OPEN, close_ns=OPEN)  # fmt: skip
    assert made.loop.skipped == 0
    made.tick(9, 100)  # no such contract
    assert made.loop.skipped == 1


def test_answers_and_updates_of_nobody_change_nothing(tmp_path: Path) -> None:
    made = world(tmp_path)
    settle(made)
    before = made.positions()
    made.answer({"id": 999}, {"outcome": Outcome.TAKEN})
    made.show({"order": 10**9, "filled": 25, "value": 25, "qty": 25, "seen": Seen.TRADED})
    assert made.positions() == before
    assert made.desk is not None and made.desk.odd_count == 2


def test_exits_are_marked_as_such(tmp_path: Path) -> None:
    made = world(tmp_path)
    settle(made)
    made.command(Command.HALT)
    settle(made)
    exits = [one for one in made.wires.left[4:] if one["kind"] == IntentKind.PLACE]
    assert len(exits) == 4 and all(one["flags"] & OrderFlag.EXIT for one in exits)
