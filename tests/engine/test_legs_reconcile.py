"""A structure beside the broker's books: what is told, what is booked, and when all is left."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from dhanfast._core.live.inputs import Command
from dhanfast.clock import ManualClock
from dhanfast.engine.legs_reconcile import LegsReconciler
from dhanfast.engine.reconcile import SLACK_NS

SECOND = 10**9
CALL, PUT, HIGH, LOW = 3, 4, 7, 9  # two sold contracts, two bought ones


class Loop:
    """Takes commands as the native loop does, and books what was closed."""

    def __init__(self, structure: "Structure") -> None:
        self.structure, self.commands, self.books = structure, [], True
        self.uncovered = False
        self.used: list[Any] = []

    def market_time(self, wall_ns: int) -> int:
        return wall_ns + 7 * SECOND

    def use_update(self, update: Any) -> None:
        self.used.append(update)

    def command(self, command: int, wall_ns: int, *, units: int = 0, price: int = 0,
                contract: int = 0) -> None:  # fmt: skip
        self.commands.append((Command(command), contract, units, price))
        if command == Command.CLOSED_ELSEWHERE and self.books:
            left = self.structure.held.get(contract, 0)
            self.structure.held[contract] = left - units if left > 0 else left + units
            self.uncovered |= left > 0
        if command == Command.FLATTEN:
            self.uncovered = False


class Structure:
    """What the comparison asks of a run."""

    def __init__(self, held: dict[int, int]) -> None:
        self.held, self.orders = dict(held), []
        self.remote = SimpleNamespace(orders_there=lambda: self.orders)
        self.loop = Loop(self)

    def positions(self) -> dict[int, int]:
        return {number: units for number, units in self.held.items() if units}

    def name_of(self, number: int) -> str:
        return f"contract {number}"


class Account:
    """The broker: positions, and what others have traded, by contract and side."""

    def __init__(self, held: dict[int, int]) -> None:
        self.held, self.others = dict(held), {}
        self.asked: list[tuple[int, int, int]] = []

    async def updates(self) -> list[Any]:
        return []

    async def positions(self) -> dict[int, int]:
        return dict(self.held)

    async def closed_elsewhere(self, number: int, side: int, since_ns: int) -> tuple[int, int]:
        self.asked.append((number, side, since_ns))
        found: tuple[int, int] = self.others.get((number, side), (0, 0))
        return found

    async def kill_switch(self, on: bool) -> str:
        raise AssertionError("not of a comparison")


CONDOR = {CALL: -30, PUT: -30, HIGH: 30, LOW: 30}


class World:
    """A structure and its broker, which agree to begin with."""

    def __init__(self) -> None:
        self.structure, self.account = Structure(CONDOR), Account(CONDOR)
        self.clock = ManualClock(100 * SECOND)
        run: Any = self.structure
        self.both = LegsReconciler(run, self.clock, self.account)

    def look(self, times: int = 1) -> Any:
        for _ in range(times):
            verdict = asyncio.run(self.both.compare())
        return verdict

    @property
    def commands(self) -> list[tuple[Any, ...]]:
        return self.structure.loop.commands


def test_books_that_agree_agree_and_nothing_is_done() -> None:
    world = World()
    verdict = world.look()
    assert verdict.agreed and verdict.settled and not verdict.note and world.commands == []
    world.account.held[77] = 0
    assert world.look().agreed, "a closed position is none"


def test_a_difference_is_told_when_it_was_seen_twice_and_by_name() -> None:
    world = World()
    world.account.held |= {HIGH: 90, 12: -30}
    assert not world.look().settled
    verdict = world.look()
    assert verdict.settled and not verdict.agreed and world.commands == []
    assert "contract 7: the broker holds +90 units, this engine +30" in verdict.note
    assert "contract 12: the broker holds -30 units, this engine +0" in verdict.note
    world.account.held = dict(CONDOR)
    assert world.look().agreed


def test_a_difference_that_moves_is_looked_at_again() -> None:
    world = World()
    for held in (60, 90, 120, 150):
        world.account.held[HIGH] = held
        assert not world.look().settled
    assert world.look().settled


def test_what_is_on_its_way_is_waited_for() -> None:
    world = World()
    world.structure.orders = [{"number": 1, "waits": True, "state": "working"}]
    world.account.held[HIGH] = 0
    assert not world.look(3).settled


def test_a_sold_leg_that_others_bought_back_is_booked_and_the_rest_goes_on() -> None:
    world = World()
    world.account.held[CALL] = 0
    world.account.others[CALL, 1] = (30, 30 * 12_345)
    agreed_ns = world.clock.now_ns() + 7 * SECOND
    world.look()
    world.clock.advance(60)
    world.look()
    assert world.commands == [(Command.CLOSED_ELSEWHERE, CALL, 30, 12_345)]
    assert world.account.asked[0] == (CALL, 1, agreed_ns - SLACK_NS), "since both agreed"
    assert world.look().agreed and len(world.commands) == 1, "the others are covered"


def test_a_hedge_that_others_sold_ends_the_structure_once_both_agree_on_the_rest() -> None:
    world = World()
    world.account.held[HIGH] = 0
    world.account.others[HIGH, -1] = (30, 30 * 5_000)
    world.look(2)
    assert world.commands == [(Command.CLOSED_ELSEWHERE, HIGH, 30, 5_000)]
    world.look()
    assert world.commands[1:] == [(Command.FLATTEN, 0, 0, 0)]
    world.look(3)
    assert len(world.commands) == 2, "once"


def test_when_the_broker_closed_everything_nothing_is_bought_back() -> None:
    """Its own exit on a loss, or a person: an order now would open a position."""
    world = World()
    world.account.held = {}
    for number, units in CONDOR.items():
        side = -1 if units > 0 else 1
        world.account.others[number, side] = (30, 30 * 5_000)
    world.look(2)
    assert [one[0] for one in world.commands] == [Command.CLOSED_ELSEWHERE] * 4
    assert world.look(2).agreed and len(world.commands) == 4 and not world.structure.positions()


def test_a_hedge_that_is_gone_beside_a_difference_nobody_explains_waits_for_a_person() -> None:
    world = World()
    world.account.held |= {HIGH: 0, CALL: 0}
    world.account.others[HIGH, -1] = (30, 30 * 5_000)
    world.look(2)
    verdict = world.look(2)
    assert "contract 3: the broker holds +0 units, this engine -30" in verdict.note
    assert [one[0] for one in world.commands] == [Command.CLOSED_ELSEWHERE]
    world.account.held[CALL] = -30
    assert world.look().agreed and world.commands[-1][0] is Command.FLATTEN


@pytest.mark.parametrize("others", [(15, 15 * 5_000), (0, 0), (60, 60 * 5_000)])
def test_units_that_trades_do_not_explain_are_told(others: tuple[int, int]) -> None:
    world = World()
    world.account.held[HIGH] = 0
    world.account.others[HIGH, -1] = others
    assert "contract 7" in world.look(2).note and world.commands == []


def test_what_the_engine_does_not_book_is_told() -> None:
    world = World()
    world.structure.loop.books = False
    world.account.held[HIGH] = 0
    world.account.others[HIGH, -1] = (30, 30 * 5_000)
    assert "contract 7" in world.look(2).note
