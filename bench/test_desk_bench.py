"""An order's life at a Remote: alone, and at desks of several places, the last of them trading.

Submit, the request, its answer, the update that fills it and the reports, by the Python door: what
differs between the cases is native.
"""

import pytest

from dhanfast._core.live.desk import Desk
from dhanfast._core.live.records import ANSWER_DTYPE, UPDATE_DTYPE, Outcome, Seen
from dhanfast._core.live.remote import Remote
from dhanfast._core.records import record_of
from dhanfast._core.risk import Gate
from dhanfast._core.types import TICK_DTYPE, OrderKind

LIVES = 200
OPEN = 1_784_000_000 * 10**9
SESSION = {
    "open_ns": OPEN, "close_ns": OPEN + 22_500 * 10**9, "lot": 75, "tick": 5, "freeze": 1_800,
    "date": 20260714,
}  # fmt: skip
LIMITS = {"per_day": 100_000}


class Cycle:
    """One place's orders, again and again; a second and more between two of them."""

    def __init__(self, places: int) -> None:
        self.gate = Gate(instruments=max(places, 1))
        self.desk = Desk(**LIMITS) if places else None
        if self.desk is None:
            self.remotes = [Remote(self.gate, **LIMITS)]
        else:
            self.remotes = [Remote(self.gate, desk=self.desk, place=at) for at in range(places)]
        self.remote, self.door = self.remotes[-1], self.desk or self.remotes[-1]
        self.now, self.number = OPEN + 10**9, 0
        self.door.tell(self.now, self.now)
        self.tick = record_of({"recv_ns": self.now, "exch_ns": self.now, "price": 10_000,
                               "bid": 10_000, "ask": 10_010}, TICK_DTYPE, "tick")  # fmt: skip
        for at, remote in enumerate(self.remotes):
            if self.desk is not None:
                remote.trade(at + 1)
            remote.start_session(SESSION)
            remote.on_tick(self.tick)
        self.answer = record_of({"outcome": Outcome.TAKEN, "code": 200}, ANSWER_DTYPE, "answer")
        self.update = record_of({"seen": Seen.TRADED, "filled": 75, "value": 750_000, "qty": 75,
                                 "side": 1, "instrument": 0xFFFFFFFF}, UPDATE_DTYPE,
                                "update")  # fmt: skip

    def approved(self) -> list[object]:
        """Sealed orders for one round."""
        orders = []
        for _ in range(LIVES):
            self.number += 1
            orders.append(self.gate.check(
                {"id": self.number, "instrument": len(self.remotes) - 1, "created_ns": self.now,
                 "side": 1, "qty": 75, "kind": OrderKind.MARKET}, position=0, mark=10_000,
                now_ns=self.now, session=SESSION))  # fmt: skip
        return orders

    def live(self, orders: list[object]) -> int:
        """Each of them from submit to filled; ticks on the way."""
        filled = 0
        for order in orders:
            self.now += 20 * 10**9  # well inside all limits
            self.door.tell(self.now, self.now)
            self.remote.submit_order(order, self.now)
            made = self.door.intents()
            self.answer["intent"], self.update["order"] = made["id"], made["order"]
            self.remote.on_tick(self.tick)
            self.door.answer(self.answer)
            self.remote.on_tick(self.tick)
            self.door.update(self.update)
            filled += len(self.remote.take_reports()) == 2
        return filled


@pytest.mark.parametrize("places", [0, 1, 4, 10], ids=["alone", "one", "four", "ten"])
def test_life(benchmark, places: int) -> None:
    """ns a life = median / lives_per_round."""
    cycle = Cycle(places)
    benchmark.extra_info["lives_per_round"] = LIVES
    filled = benchmark.pedantic(cycle.live, setup=lambda: ((cycle.approved(),), {}), rounds=30)
    assert filled == LIVES
