"""A structure's hedge at a broker far away: deaths between decision and fill, and its end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.hedge import HedgeWhy
from dhanfast._core.hedger import HedgeDone
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.records import IntentKind, Seen
from dhanfast._core.types import OrderFlag

from .leg_world import LOT, MS, SECOND, LegWorld, leg

RULES: dict[str, Any] = {"band": 3.0, "lots_max": 20, "pause_ns": 5 * SECOND, "hedges_max": 60}
CALL = [leg(-1, 1, 110_000, lots=2)]


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> Iterator[LegWorld]:
    world = LegWorld(tmp_path / "legs.dfj", CALL, hedge=RULES)
    yield world
    world.journal.close()


def go_on(world: LegWorld, seconds: int = 2) -> None:
    for _ in range(seconds):
        world.deliver()
        world.meet()
        world.deliver()
        world.pass_time(SECOND)


def until_decided(world: LegWorld) -> Any:
    """The sold call is in, and the hedge's first request has just left."""
    world.quotes()
    world.pass_time(2 * SECOND + 500 * MS)
    for _ in range(60):
        mine = [made for made in world.wires.requests if made["instrument"] == world.future]
        if mine:
            return mine[0]
        world.deliver()
        world.meet()
        world.deliver()
        world.pass_time(200 * MS)
    raise AssertionError("no hedge was decided")


def decided(world: LegWorld) -> int:
    """Units that the decisions of this life have asked for, together."""
    assert world.run.hedge is not None
    rows = world.run.hedge.take_rows()
    return int(rows["units"][rows["done"] == HedgeDone.SENT].sum())


def test_the_hedge_goes_in_once_the_call_is_in(world: LegWorld) -> None:
    made = until_decided(world)
    assert world.at_broker(world.number(CALL[0])) == -2 * LOT
    assert (made["kind"], made["side"]) == (IntentKind.PLACE, 1)  # a sold call: bought against it
    go_on(world)
    assert world.at_broker(world.future) == decided(world) > 0
    assert world.positions() == world.truth()


@pytest.mark.parametrize("arrives", [True, False])
def test_a_kill_between_decision_and_fill_neither_doubles_nor_loses(
    world: LegWorld, arrives: bool
) -> None:
    made = until_decided(world)
    world.wires.requests.clear()
    if arrives:
        world.arrive(made)
        world.meet()  # and fills, while nobody is there to hear of it
    world.updates.clear()
    world.die()
    units = decided(world)  # repeated from the journal
    assert units == made["qty"]
    for _ in range(20):  # what is in doubt is asked for; what never arrived is decided anew
        world.command(Command.READ_ALL)
        go_on(world, 3)
    units += decided(world)
    assert world.positions() == world.truth()
    held = world.at_broker(world.future)
    assert max(world.accepted().values()) == 1
    if arrives:
        assert held == units == made["qty"]
    else:
        assert held == made["qty"]  # the first was lost for good, and one other took its place
        assert units == 2 * made["qty"]


def test_deaths_at_every_step_of_a_hedge_leave_the_same_position(tmp_path: Path) -> None:
    """Killed before each of the first inputs after the decision, each in a world of its own."""
    ends = set()
    for steps in range(10):
        world = LegWorld(tmp_path / f"{steps}.dfj", CALL, hedge=RULES)
        until_decided(world)
        for step in range(steps):
            if world.wires.requests:
                world.serve(0)
            elif world.answers:
                world.give_answer(0)
            elif world.updates:
                world.show(world.updates.pop(0))
            else:
                world.meet()
            assert step < 20
        for made in world.wires.requests:
            world.arrive(made)
        world.wires.requests.clear()
        world.updates.clear()
        world.die()
        for _ in range(6):
            world.command(Command.READ_ALL)
            go_on(world, 3)
        assert world.positions() == world.truth()
        ends.add(world.at_broker(world.future))
        assert max(world.accepted().values()) == 1
        world.journal.close()
    assert len(ends) == 1


def test_flatten_buys_the_call_back_before_the_hedge_is_sold(world: LegWorld) -> None:
    until_decided(world)
    go_on(world, 3)
    before = len(world.wires.left)
    world.command(Command.FLATTEN)
    sent = world.wires.left[before:]
    assert [made["instrument"] for made in sent] == [world.number(CALL[0])]
    world.deliver()
    world.pass_time(3 * SECOND)
    assert not [made for made in world.wires.left[before:] if made["instrument"] == world.future]
    go_on(world, 4)
    last = [made for made in world.wires.left[before:] if made["instrument"] == world.future]
    assert len(last) == 1
    assert last[0]["flags"] & OrderFlag.EXIT
    assert world.truth() == world.positions() == {}
    assert world.run.hedge is not None
    assert world.run.hedge.take_rows()[-1]["why"] == HedgeWhy.EMPTY
    assert world.loop.flat


def test_a_hedge_on_its_way_in_when_all_is_left_does_not_stay(world: LegWorld) -> None:
    made = until_decided(world)
    world.command(Command.FLATTEN)
    world.deliver()  # the hedge is at the broker, the way out of the call too
    for order in world.working():
        if order.number == made["order"]:
            world.fill(order, 5)  # a part of it fills late
    go_on(world, 8)
    assert world.truth() == world.positions() == {}
    assert world.loop.flat


def test_a_refused_hedge_is_not_sent_again_before_its_pause(world: LegWorld) -> None:
    made = until_decided(world)
    world.serve(world.wires.requests.index(made), "906")
    world.deliver()
    world.pass_time(3 * SECOND)
    mine = [one for one in world.wires.left if one["instrument"] == world.future]
    assert len(mine) == 1
    assert world.run.counters()["hedge_orders_given_up"] == 1
    world.pass_time(4 * SECOND)
    mine = [one for one in world.wires.left if one["instrument"] == world.future]
    assert len(mine) == 2


def test_a_hedge_whose_order_was_ended_by_the_exchange_keeps_what_has_filled(
    world: LegWorld,
) -> None:
    made = until_decided(world)
    world.deliver()
    order = world.orders[made["order"]]
    world.fill(order, 5)
    world.broker.end(order, Seen.CANCELLED)
    world.updates += world.broker.take_said()
    world.deliver()
    assert world.positions()[world.future] == world.at_broker(world.future) == 5
    go_on(world, 8)  # decided anew, for what is missing
    assert world.positions() == world.truth()
    assert world.at_broker(world.future) == made["qty"]


def test_a_hedge_that_somebody_else_has_closed_is_booked_and_made_again(world: LegWorld) -> None:
    until_decided(world)
    go_on(world, 3)
    held = world.at_broker(world.future)
    world.loop.command(Command.CLOSED_ELSEWHERE, world.now, units=held, price=105_000,
                       contract=world.future)  # fmt: skip
    world.collect()
    assert world.positions().get(world.future, 0) == 0
    assert not world.loop.uncovered
    go_on(world, 8)
    assert world.positions()[world.future] == held


def test_entries_that_are_held_back_make_no_hedge_larger(world: LegWorld) -> None:
    world.quotes()
    world.pass_time(2 * SECOND + 500 * MS)
    world.deliver()
    world.meet()
    world.deliver()
    world.command(Command.STOP_ENTRIES)
    go_on(world, 5)
    assert world.at_broker(world.number(CALL[0])) == -2 * LOT
    assert world.at_broker(world.future) == 0
    assert world.run.hedge is not None
    assert HedgeWhy.SHUT in world.run.hedge.take_rows()["why"].tolist()
    world.command(Command.RESUME)
    go_on(world, 3)
    assert world.at_broker(world.future) > 0


def test_on_paper_the_same_structure_is_hedged_at_its_quotes(tmp_path: Path) -> None:
    world = LegWorld(tmp_path / "legs.dfj", CALL, hedge=RULES, live=False)
    world.quotes()
    world.pass_time(6 * SECOND)
    for _ in range(3):
        world.quotes()
        world.pass_time(2 * SECOND)
    held = world.positions()
    assert held[world.number(CALL[0])] == -2 * LOT
    assert held[world.future] == decided(world) > 0
    world.journal.close()
