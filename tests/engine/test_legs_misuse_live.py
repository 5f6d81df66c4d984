"""A strategy that legs follow fails while orders work at a broker, and answers are out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.records import ANSWER_DTYPE, UPDATE_DTYPE, IntentKind, Outcome
from dhanfast._core.types import OrderKind
from dhanfast.engine.leg_settings import StructurePlan
from tests.core.live.leg_world import Wires
from tests.core.live.plain_broker import Held, PlainBroker
from tests.engine.legs_life import Life, World, world_in
from tests.engine.test_legs_misuse import STRATEGIES
from tests.engine.test_legs_signals import plan


class FarLife(Life):
    """A life whose orders go to a broker in plain Python, which fills every limit order at once.

    Attributes:
        deaf: requests leave and nothing comes back. unfilled: sides of entries that meet nobody.
    """

    def __init__(self, *words: Any, **more: Any) -> None:
        self.broker, self.wires = PlainBroker(), Wires()
        self.deaf = False
        self.unfilled: set[int] = set()
        super().__init__(*words, **more)

    def wired(self) -> dict[str, Any]:
        return {"limits": {}, "courier": self.wires}

    def hand_on(self, heir: Life) -> None:
        super().hand_on(heir)
        assert isinstance(heir, FarLife)
        for made in self.wires.requests:  # what had left arrives all the same
            self.broker.serve(made)
        self.broker.take_said()
        heir.broker = self.broker

    def on(self, until: Any = lambda: False, step: int = 1) -> "FarLife":
        def served() -> bool:
            if until():
                return True
            self.serve()
            return False

        super().on(served, step)
        return self

    def serve(self) -> None:
        """Requests arrive, are answered, and limit orders fill."""
        if self.deaf:
            return
        while self.wires.requests:
            made = self.wires.requests.pop(0)
            reply = self.broker.serve(made)
            self.hear()
            self.answer(made["id"], reply)
        for order in self.broker.orders.values():
            waits = order.kind == OrderKind.SL or (
                not order.is_exit and order.side in self.unfilled
            )  # fmt: skip
            if order.live and not waits:
                self.broker.fill(order, order.open, order.price)
        self.hear()

    def hear(self) -> None:
        """What the broker has said."""
        for message in self.broker.take_said():
            update = np.zeros(1, UPDATE_DTYPE)[0]
            update["at_ns"] = self.second_ns
            for name, value in message.items():
                update[name] = value
            self.run.loop.use_update(update)

    def answer(self, number: int, fields: dict[str, Any]) -> None:
        answer = np.zeros(1, ANSWER_DTYPE)[0]
        answer["intent"], answer["at_ns"] = number, self.second_ns
        for name, value in fields.items():
            answer[name] = value
        self.run.loop.use_answer(answer)

    @property
    def truth(self) -> dict[int, int]:
        """Units held at the broker, by contract."""
        held: dict[int, int] = {}
        for order in self.broker.orders.values():
            held[order.instrument] = held.get(order.instrument, 0) + order.side * order.filled
        return {number: units for number, units in held.items() if units}


def exits(life: FarLife) -> Iterator[Held]:
    return (order for order in life.broker.orders.values() if order.is_exit)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_in(tmp_path_factory.mktemp("far"), STRATEGIES, ticks=12_000)


def condor(world: World, of: str, *, deadline: str = "5m", **params: Any) -> StructurePlan:
    legs = [{"side": side, "right": right, "strike": strike, "when": "long"}
            for side, right, strike in (("buy", "CE", "atm+4"), ("sell", "CE", "atm+1"),
                                        ("buy", "PE", "atm-4"), ("sell", "PE", "atm-1"))
            ]  # fmt: skip
    return plan(world.path, of, leg=legs, params=params, order={"deadline": deadline})


def once(life: FarLife) -> None:
    """No number was placed twice, and the books are the broker's."""
    assert all(count == 1 for count in life.broker.accepted.values())
    assert life.run.positions() == life.truth


def test_flatten_sells_at_the_broker_once_though_it_dies_on_the_way(
    world: World, tmp_path: Path
) -> None:
    life = FarLife(world, tmp_path / "day.dfj", "Fails", made=condor(world, "Fails", after=1))
    life.on(lambda: len(life.run.positions()) == 4)
    life.on(lambda: bool(life.seat.stops))
    assert life.seat.stops == 1 and life.run.loop.gate_state == 1
    sold = [made for made in life.wires.left if made["kind"] == IntentKind.PLACE][4:]
    assert len(sold) == 2, "sold legs first"
    life.deaf = True  # nobody has heard of it when the process dies
    life = life.again()
    assert life.seat.stopped and life.run.loop.gate_state == 1
    life.on(lambda: life.run.flat)
    once(life)
    assert life.truth == {} and len(list(exits(life))) == 4
    orders = life.broker.orders
    life.on()
    assert len(orders) == 8 and life.run.flat


def test_keep_leaves_whole_legs_where_they_are(world: World, tmp_path: Path) -> None:
    life = FarLife(world, tmp_path / "day.dfj", "Fails", "keep",
                   made=condor(world, "Fails", after=1))  # fmt: skip
    life.on(lambda: bool(life.seat.stops))
    assert len(life.truth) == 4 and not list(exits(life))
    life = life.again()
    end = life.at + 300
    life.on(lambda: life.at >= end)
    once(life)
    assert len(life.truth) == 4 and not list(exits(life))
    life.on(lambda: life.run.flat)
    once(life)
    assert life.truth == {}


@pytest.mark.parametrize("missing", [1, -1])
def test_keep_takes_back_what_is_not_whole(world: World, tmp_path: Path, missing: int) -> None:
    """Bought legs that meet nobody, or sold ones: the strategy fails meanwhile, the engine dies."""
    made = condor(world, "Fails", after=1, deadline="none")
    life = FarLife(world, tmp_path / "day.dfj", "Fails", "keep", made=made)
    life.unfilled = {missing}
    life.on(lambda: bool(life.seat.stops))
    assert life.run.positions() == life.truth and len(life.truth) == (0 if missing > 0 else 2)
    life = life.again()
    life.on(lambda: life.run.flat)
    once(life)
    assert life.truth == {} and life.run._run.uncovered_max == 0
    result = life.on().run.finish()
    assert any("taken back: the strategy that it follows was stopped" in text
               for _, text in result.log)  # fmt: skip


def test_an_answer_that_is_lost_is_asked_for_and_not_sent_again(
    world: World, tmp_path: Path
) -> None:
    life = FarLife(world, tmp_path / "day.dfj", "Fails", made=condor(world, "Fails", after=1))
    life.on(lambda: bool(life.seat.stops))
    for made in life.wires.requests:
        life.broker.serve(made)
        life.answer(made["id"], {"outcome": Outcome.UNKNOWN, "code": 503})
    life.wires.requests.clear()
    life.broker.take_said()
    life.on(lambda: life.run.flat)
    once(life)
    assert life.truth == {} and len(list(exits(life))) == 4
