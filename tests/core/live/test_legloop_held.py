"""A structure while entries are held back, and when another hand closes what a leg holds."""

from pathlib import Path

import pytest

from dhanfast._core.legorder import Stage, Told, Unwind
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.records import IntentKind
from dhanfast._core.runlog import TRADE_DTYPE

from .leg_world import LOT, MS, SECOND, LegWorld, condor
from .test_legloop import places, settle, told, world

PLACED = IntentKind.PLACE


def hedged(path: Path, deadline: int = 60 * SECOND) -> LegWorld:
    """Both bought legs are at the broker and whole there; the engine does not know it yet."""
    made = world(path, plan={"deadline_ns": deadline})
    made.pass_time(SECOND)
    made.deliver()
    made.meet()
    return made


# ---- the gate is closed in the middle of an entry ------------------------------------------------


def test_sold_legs_wait_while_entries_are_held_and_go_when_they_are_not(tmp_path: Path) -> None:
    made = hedged(tmp_path)
    made.command(Command.STOP_ENTRIES)
    made.deliver()
    made.pass_time(20 * SECOND)
    assert places(made) == [] and made.positions() == {4: LOT, 5: LOT}
    assert told(made) == [], "a repair that the gate would refuse is none"
    made.command(Command.RESUME)
    assert sorted(places(made)) == [(3, -1), (6, -1)]
    settle(made)
    assert made.positions() == made.truth() == {3: -LOT, 6: -LOT, 4: LOT, 5: LOT}


def test_the_deadline_goes_on_while_entries_are_held(tmp_path: Path) -> None:
    made = hedged(tmp_path, 10 * SECOND)
    made.command(Command.STOP_ENTRIES)
    made.deliver()
    made.pass_time(11 * SECOND)
    assert told(made) == [(Told.UNWOUND, Unwind.DEADLINE)]
    settle(made)
    assert made.positions() == made.truth() == {} and made.loop.flat


def test_a_refused_leg_costs_no_repair_while_entries_are_held(tmp_path: Path) -> None:
    made = hedged(tmp_path)
    while made.updates:
        made.show(made.updates.pop(0))
    assert len(places(made)) == 2 and made.run.stage == Stage.SALES
    for _ in range(2):
        made.serve(0, "906")
    made.command(Command.STOP_ENTRIES)
    made.deliver()
    made.pass_time(10 * SECOND)
    assert told(made) == [] and made.run.stage == Stage.SALES
    made.command(Command.RESUME)
    made.pass_time(1_100 * MS)
    assert [kind for kind, _ in told(made)] == [Told.REPAIRED] * 2
    settle(made)
    assert made.positions() == made.truth() == {3: -LOT, 6: -LOT, 4: LOT, 5: LOT}


def test_a_new_life_whose_entries_are_held_goes_on_when_they_are_not(tmp_path: Path) -> None:
    """As a restart does: dead between hedges and sales, held until the books were compared."""
    made = hedged(tmp_path)
    made.die()
    made.command(Command.STOP_ENTRIES)
    settle(made)
    made.pass_time(5 * SECOND)
    assert made.positions() == made.truth() == {4: LOT, 5: LOT}
    made.command(Command.RESUME)
    settle(made)
    assert made.positions() == made.truth() == {3: -LOT, 6: -LOT, 4: LOT, 5: LOT}


# ---- another hand --------------------------------------------------------------------------------


def whole(path: Path) -> LegWorld:
    made = world(path)
    settle(made)
    assert len(made.positions()) == 4
    return made


def elsewhere(made: LegWorld, number: int, units: int, price: int = 12_345) -> None:
    made.loop.command(
        Command.CLOSED_ELSEWHERE, made.now, units=units, price=price, contract=number
    )  # fmt: skip
    made.collect()


@pytest.mark.parametrize("number", [3, 4, 5, 6])
def test_a_leg_without_a_resting_exit_is_booked_and_nothing_is_sent(
    tmp_path: Path, number: int
) -> None:
    made = whole(tmp_path)
    sent, held = len(made.wires.left), made.positions()
    elsewhere(made, number, LOT)
    made.pass_time(3 * SECOND)
    assert made.positions() == {key: units for key, units in held.items() if key != number}
    assert len(made.wires.left) == sent, "it is gone at the broker: no order may leave"
    assert made.run.stage == Stage.REST and made.desk is not None
    assert made.loop.uncovered is (number in (4, 5)), "a bought one covers what is sold"
    assert made.desk.orders_there() == []
    (trade,) = made.log.take()[0]
    assert trade.dtype == TRADE_DTYPE and int(trade["exit_value"]) == LOT * 12_345


def test_a_new_life_books_it_again(tmp_path: Path) -> None:
    made = whole(tmp_path)
    elsewhere(made, 4, LOT)
    sent, held = len(made.wires.left), made.positions()
    made.die()
    made.pass_time(SECOND)
    asked = [one for one in made.wires.left[sent:] if one["kind"] == PLACED]
    assert made.positions() == held and asked == [] and made.loop.uncovered
    made.command(Command.FLATTEN)
    assert not made.loop.uncovered


@pytest.mark.parametrize(("units", "price"), [(LOT - 1, 100), (LOT + 1, 100), (0, 100), (LOT, 0)])
def test_units_that_are_not_all_of_a_leg_are_not_booked(
    tmp_path: Path, units: int, price: int
) -> None:
    made = whole(tmp_path)
    sent, held = len(made.wires.left), made.positions()
    elsewhere(made, 4, units, price)
    made.pass_time(SECOND)
    assert made.positions() == held and len(made.wires.left) == sent and not made.loop.uncovered
    elsewhere(made, 2, LOT)  # a contract that no leg holds
    assert made.positions() == held


def test_what_is_left_is_left_in_order_and_the_closed_leg_is_not_sent(tmp_path: Path) -> None:
    made = whole(tmp_path)
    elsewhere(made, 4, LOT)
    made.wires.left.clear()
    made.collected = 0
    made.command(Command.FLATTEN)
    settle(made)
    assert made.loop.flat and made.positions() == {}
    placed = [(one["instrument"], one["side"]) for one in made.wires.left
              if one["kind"] == PLACED]  # fmt: skip
    assert sorted(placed[:2]) == [(3, 1), (6, 1)] and placed[2:] == [(5, -1)]


def test_a_leg_with_a_stop_is_booked_by_it(tmp_path: Path) -> None:
    made = world(tmp_path, condor(stop=50.0))
    settle(made)
    assert len(made.working()) == 2, "the sold legs' stops rest"
    elsewhere(made, 3, LOT)
    settle(made)
    assert 3 not in made.positions() and [
        made.instrument[order.number] for order in made.working()
    ] == [6]
