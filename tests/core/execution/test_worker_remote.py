"""Worked orders at a real broker: the worker over `Remote`, a network that fails at random, and a
broker that is the truth. The machine and its invariants are those of the order desk alone
(tests/core/live/network.py); between dealer and desk now stands the worker.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from dhanfast._core.execution.schedule import Algo, Remainder
from dhanfast._core.execution.worker import Worker
from dhanfast._core.live.remote import Remote
from dhanfast._core.types import OrderFlag, OrderKind

from ..live.desk import LOT, SECOND, Desk
from ..live.network import LOST_AFTER, PER_SECOND, Network
from ..live.order_network import Worked


class Both:
    """What the dealer takes for its broker is the worker, what the network knows is the remote."""

    def __init__(self, remote: Remote, worker: Worker) -> None:
        self.far, self.worker = remote, worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self.far, name)

    @property
    def pending_reports(self) -> int:
        return self.far.pending_reports + self.worker.pending_reports

    def start_session(self, session: object) -> None:
        self.worker.start_session(session)

    def on_tick(self, tick: object) -> None:
        self.worker.on_tick(tick)

    def submit_order(self, approved: Any, now_ns: int) -> None:
        self.worker.submit_order(approved, now_ns)

    def resize_order(self, order_id: int, **more: int) -> None:
        self.worker.resize_order(order_id, **more)

    def cancel_order(self, order_id: int, now_ns: int) -> None:
        if self.worker.live:  # one that ended unheard is not there any more
            self.worker.cancel_order(order_id, now_ns)

    def take_reports(self) -> Any:
        return self.worker.take_reports()


class WorkedDesk(Desk):
    """Market orders by signal are worked; ids leave room for children."""

    def __init__(self, rules: dict[str, int], **limits: int) -> None:
        self.rules = rules
        super().__init__(**limits)

    @property
    def remote(self) -> Any:
        return self._remote

    @remote.setter
    def remote(self, made: Remote) -> None:
        self.worker = Worker(made, self.gate, **self.rules)
        self._remote = Both(made, self.worker)

    def order(self, side: int, qty: int, kind: OrderKind, **more: int) -> int:
        self.next_order += 1_000
        if kind == OrderKind.MARKET:
            more["flags"] = more.get("flags", 0) | OrderFlag.WORKED
        return super().order(side, qty, kind, **more)

    def wait(self, ns: int) -> None:
        super().wait(ns)
        self.worker.wake_up(self.now)

    def hold(self, what: int) -> None:
        """What an operator says to all algorithms."""
        self.worker.hold_orders(what, self.now)

    def hurry(self, order: int, reason: int) -> None:
        """An exit at work is now wished for this reason."""
        self.worker.hurry_order(order, flags=0, reason=reason, now_ns=self.now)


class WorkedLive(Worked, Network):
    """One dealer, with an algorithm between."""

    algo = Algo.ICEBERG

    @initialize(
        side=st.sampled_from([1, -1]),
        lots=st.integers(1, 6),
        stop=st.sampled_from([50, 100]),
        goal=st.sampled_from([0, 30, 100]),
        modifies=st.sampled_from([1, 3, 22]),
        per_minute=st.sampled_from([6, 240]),
        part=st.sampled_from([1000, 1000, LOT, 0]),
        urgency=st.integers(0, 2),
        remainder=st.sampled_from(list(Remainder)),
        exits=st.booleans(),
    )
    def begin(
        self, side: int, lots: int, stop: int, goal: int, modifies: int, per_minute: int,
        part: int, urgency: int, remainder: int, exits: bool,
    ) -> None:  # fmt: skip
        rules = {
            "algo": self.algo, "horizon_ns": 30 * SECOND, "interval_ns": 5 * SECOND,
            "reprice_ns": SECOND, "urgency": urgency, "remainder": remainder, "seed": 3,
            "random_e4": 3_000, "display_lots": 2, "floor_e4": 10_000, "exits": int(exits),
        }  # fmt: skip
        self.exits_worked = exits
        self.desk = WorkedDesk(
            rules, per_second=PER_SECOND, lost_after_ns=LOST_AFTER, absents_min=3,
            modifies_max=modifies, per_minute=per_minute,
        )  # fmt: skip
        self.connect(self.desk, self.desk.remote, [self.desk], stop=stop, goal=goal)
        self.dealer = self.dealers[0]
        self.dealer.enter(side, lots * LOT)
        self.hear()
        if part:
            self.deliver()
            self.fill(0, part, 3)
            self.deliver()

    @invariant()
    def a_parent_is_never_exceeded(self) -> None:
        """By what the broker has, done and open, of everything that opens a position."""
        if not self.begun:
            return
        for side in (1, -1):
            asked = sum(
                ask.asked for ask in self.dealer.asks.values()
                if ask.side == side and not ask.flags & OrderFlag.EXIT
            )  # fmt: skip
            there = sum(
                order.filled + order.open for order in self.broker.orders.values()
                if order.side == side and not order.is_exit
            )  # fmt: skip
            assert there <= asked

    def agree(self, place: int) -> None:
        """The books are the broker's to the paisa; what is open there never is too much."""
        dealer, asks = self.dealer, self.dealer.asks.values()
        assert dealer.position == self.broker.position
        for side in (1, -1):
            orders = [order for order in self.broker.orders.values() if order.side == side]
            mine = [ask for ask in asks if ask.side == side]
            assert sum(ask.filled for ask in mine) == sum(order.filled for order in orders)
            assert sum(ask.value for ask in mine) == sum(order.value for order in orders)
        closing = sum(order.open for order in self.live() if order.is_exit)
        assert closing <= abs(dealer.position)
        if dealer.position and not dealer.exit and dealer.stop:
            assert closing == abs(dealer.position)
        opening = sum(order.open for order in self.live() if not order.is_exit)
        parents = {one["id"]: one for one in self.desk.worker.parents_now()}
        assert opening == sum(
            one["out"] for number, one in parents.items() if number == dealer.entry
        )


def machine_of(algo: Algo) -> Any:
    made = type(f"Worked{algo.name.title()}", (WorkedLive,), {"algo": algo})
    made.TestCase.settings = settings(  # type: ignore[attr-defined]
        max_examples=8, stateful_step_count=25, deadline=None
    )
    return made.TestCase  # type: ignore[attr-defined]


TestSlice = machine_of(Algo.SLICE)
TestTwap = machine_of(Algo.TWAP)
TestIceberg = machine_of(Algo.ICEBERG)
