"""A life of a structure at a broker in plain Python, well or badly served."""

import random
from typing import Any

import numpy as np

from dhanfast._core.live.records import ANSWER_DTYPE, UPDATE_DTYPE, Outcome
from dhanfast._core.types import OrderKind
from tests.core.live.leg_world import Wires
from tests.core.live.plain_broker import PlainBroker
from tests.engine.legs_life import Life


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

    @property
    def bare(self) -> int:
        """Units sold at the broker and not bought, of calls or of puts."""
        sums = {"CE": 0, "PE": 0}
        for number, units in self.truth.items():
            sums[self.run.name_of(number)[-2:]] += units
        return max(0, *(-units for units in sums.values()))


class StormLife(FarLife):
    """The same with requests and answers that get lost, late fills and updates that never come.

    Attributes:
        rng: of the storm, and of who plays. calm: all is well again.
    """

    def __init__(self, *words: Any, rng: random.Random, **more: Any) -> None:
        self.rng, self.calm, self.worst = rng, False, 0
        super().__init__(*words, **more)
        self.given = (*self.given[:-1], self.given[-1] | {"rng": rng})

    def hand_on(self, heir: Life) -> None:
        super().hand_on(heir)
        assert isinstance(heir, StormLife)
        heir.calm, heir.worst = self.calm, self.worst

    def serve(self) -> None:
        """Some of what is under way arrives; some orders fill."""
        rng = self.rng
        while self.wires.requests and (self.calm or rng.random() < 0.7):
            made = self.wires.requests.pop(0)
            draw = 1.0 if self.calm else rng.random()
            if draw < 0.06:  # it never arrives
                self.answer(made["id"], {"outcome": Outcome.UNKNOWN, "code": 503})
                continue
            reply = self.broker.serve(made)
            if draw < 0.12:  # its answer never does, and neither does its update
                self.broker.take_said()
                reply = {"outcome": Outcome.UNKNOWN, "code": 503}
            self.hear()
            self.answer(made["id"], reply)
        for order in self.broker.orders.values():
            fills = self.calm or rng.random() < 0.3
            if order.live and order.kind != OrderKind.SL and fills:
                self.broker.fill(order, order.open, order.price)
        if not self.calm and rng.random() < 0.1:
            self.broker.take_said()
        self.hear()
        self.worst = max(self.worst, self.bare)
