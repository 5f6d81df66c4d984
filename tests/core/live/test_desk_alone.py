"""A desk of one place asks the broker for the same as a Remote that stands alone, byte for byte."""

import random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.live.desk import Desk as OrderDesk
from dhanfast._core.live.records import Outcome, Seen
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderKind
from dhanfast.errors import OrderRefused, PoolFull

from .desk import LOT, MS, OPEN, SECOND, SESSION

LIMITS = {"per_second": 5, "per_minute": 60}
RULES = {"lost_after_ns": 2 * SECOND, "absents_min": 2, "modifies_max": 3}
FLAGS = {OrderKind.MARKET: 1, OrderKind.LIMIT: 5, OrderKind.SLM: 3}


class Twins:
    """Every input goes to both; what both have said must be the same."""

    def __init__(self) -> None:
        self.gate = Gate(instruments=1)
        self.alone = Remote(self.gate, **LIMITS, **RULES)
        self.desk = OrderDesk(**LIMITS)
        self.placed = Remote(self.gate, desk=self.desk, place=0, **RULES)
        self.now = OPEN + SECOND
        self.waiting: list[np.void] = []
        self.known: list[np.void] = []
        self.orders: list[int] = []
        self.last = 0
        self.date = 20260714
        self.said = b""
        self.tell(0)
        self.new_day(0)

    def tell(self, ms: int) -> None:
        """The clock goes on, and is sometimes set back on the way."""
        self.now += ms * MS
        for door in (self.alone, self.desk):
            door.tell(self.now, self.now)
            door.go_on()

    def new_day(self, days: int) -> None:
        self.date += days
        for remote in (self.alone, self.placed):
            remote.start_session(SESSION | {"date": self.date})

    def both(self, what: str, *values: Any, **more: Any) -> None:
        """Ask the same of both; a refusal is the same, with the same words."""
        outcomes: list[Any] = []
        for remote in (self.alone, self.placed):
            try:
                outcomes.append(getattr(remote, what)(*values, **more))
            except (OrderRefused, PoolFull) as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1]

    def hear(self) -> None:
        """What both ask for and report is the same, and both are due at the same time."""
        mine, theirs = self.desk.intents(), self.alone.intents()
        assert mine.tobytes() == theirs.tobytes()
        self.said += mine.tobytes()
        assert self.placed.take_reports().tobytes() == self.alone.take_reports().tobytes()
        for name in ("due_ns", "odd_count", "doubts", "lost", "requests", "requests_today"):
            assert getattr(self.desk, name) == getattr(self.alone, name), name
        assert self.desk.odd_events() == self.alone.odd_events()
        assert self.desk.orders_there() == self.alone.orders_there()
        assert self.desk.stray_qty == abs(self.alone.stray_qty)
        for urgent in (False, True):
            wait = self.desk.wait_of(self.now, urgent=urgent)
            assert wait == self.alone.wait_of(self.now, urgent=urgent)
        self.waiting += list(mine)
        self.known = (self.known + list(mine))[-40:]


def _order(both: Twins, dice: random.Random) -> None:
    both.last += 1
    kind = dice.choice(list(FLAGS))
    leaves = dice.random() < 0.6
    approved = both.gate.check(
        {"id": both.last, "created_ns": both.now, "side": -1 if leaves else 1, "qty": LOT,
         "kind": kind, "price": 10_050 if kind == OrderKind.LIMIT else 0,
         "trigger": 9_900 if kind == OrderKind.SLM else 0,
         "flags": FLAGS[kind] if leaves else 0, "group": 900 + both.last % 3 if leaves else 0},
        position=4 * LOT if leaves else 0, mark=10_000, now_ns=both.now, session=SESSION,
    )  # fmt: skip
    both.orders.append(both.last)
    both.both("submit_order", approved, both.now)


def _answer(both: Twins, dice: random.Random) -> None:
    """To a request in flight, or to none; of any outcome, those that do not exist included."""
    intent = dice.randrange(400)
    if both.waiting and dice.random() < 0.9:
        intent = int(both.waiting.pop(dice.randrange(len(both.waiting)))["id"])
    code, error = dice.choice([(200, 0)] * 4 + [(429, 904), (400, 906), (401, 901), (-110, 0),
                                                (400, 805), (503, 0)])  # fmt: skip
    outcome = Outcome.TAKEN if code == 200 else dice.choice([2, 2, 2, 3, 4, 0, 77])
    record = {"intent": intent, "at_ns": both.now, "code": code, "error": error,
              "outcome": outcome, "seen": dice.choice([0, 2, 5]),
              "broker_id": b"B%d" % dice.randrange(30),
              "retry_after_s": dice.choice([0, 0, 2])}  # fmt: skip
    assert both.desk.answer(record) == both.alone.answer(record)


def _update(both: Twins, dice: random.Random) -> None:
    """Of an order that is known, or of none; of any content."""
    record: dict[str, Any] = {"order": dice.randrange(60), "side": 1, "qty": LOT}
    if both.known and dice.random() < 0.9:
        made = dice.choice(both.known)
        record = {name: made[name].item() for name in ("order", "side", "qty", "price", "trigger",
                                                      "order_kind")}  # fmt: skip
        record["broker_id"] = b"B%d" % record["order"]
    filled = dice.choice([0, 0, 25, LOT, 2 * LOT])
    record |= {"at_ns": both.now, "filled": filled, "origin": dice.choice([1, 2]),
               "value": filled * dice.choice([0, 9_990, 10_010]),
               "seen": dice.choice([*Seen, 99]),
               "instrument": dice.choice([0, 0, 1, 0xFFFFFFFF])}  # fmt: skip
    if dice.random() < 0.1:
        record |= {"side": -record["side"], "broker_id": b"OTHER"}
    assert both.desk.update(record) == both.alone.update(record)


def _tick(both: Twins, dice: random.Random) -> None:
    bid = 9_700 + 5 * dice.randrange(120)
    for remote in (both.alone, both.placed):
        remote.on_tick({"exch_ns": both.now, "recv_ns": both.now, "price": bid, "bid": bid,
                        "ask": bid + 10})  # fmt: skip


def _change(both: Twins, dice: random.Random) -> None:
    order = dice.choice(both.orders) if both.orders else 1
    if dice.random() < 0.4:
        both.both("cancel_order", order, both.now)
    else:
        both.both("resize_order", order, price=10_060, trigger=9_890, qty=LOT + 25,
                  now_ns=both.now)  # fmt: skip


def _other(both: Twins, dice: random.Random) -> None:
    what = dice.randrange(20)
    if what == 0:
        both.new_day(1)
    elif what == 1:
        both.desk.begin_life()
        both.alone.begin_life()
    elif what == 2:
        both.desk.spend_requests(2)
        both.alone.spend_requests(2)
    elif what == 3:
        both.now -= 30 * SECOND  # somebody has set the clock back
        both.tell(0)
    else:
        both.desk.read_all_again()
        both.alone.read_all_again()


STEPS = (_order, _answer, _answer, _update, _tick, _change, _other)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1 << 32), steps=st.integers(20, 250))
def test_one_place_is_a_remote_alone(seed: int, steps: int) -> None:
    both, dice = Twins(), random.Random(seed)
    for _ in range(steps):
        dice.choice(STEPS)(both, dice)
        both.hear()
        if dice.random() < 0.5:
            both.tell(dice.choice([1, 50, 300, 1_500]))
            both.hear()


def test_the_inputs_of_that_reach_every_kind_of_request() -> None:
    """What is compared above is not empty: four kinds, and odd events of most kinds."""
    both, dice = Twins(), random.Random(11)
    for _ in range(3_000):
        dice.choice(STEPS)(both, dice)
        both.tell(dice.choice([1, 50, 300]))
        both.hear()
    kinds = np.frombuffer(both.said, both.alone.intents().dtype)["kind"]
    assert set(kinds) == {1, 2, 3, 4} and len(kinds) > 500
    assert len(both.alone.odd_events()) >= 9 and both.alone.lost > 0
