"""The order machine with an algorithm between dealer and desk, and an engine that dies.

    PlainDealer ──orders──▶ Worker ──children──▶ Remote ──native bytes──▶ network ──▶ ExchangeCore

Beside what holds of the machine alone: what the children have filled is what their parent has, no
child leaves when its parent has ended, what is out and what has filled is never above the parent,
and a new life that repeats every input says and asks for the same, and goes on.
`scripts/order-machine --algo twap` runs it often.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from dhanfast._core.execution.schedule import Algo, Remainder
from dhanfast._core.execution.worker import Worker
from dhanfast._core.live.records import Outcome
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderFlag, OrderKind
from tests.core.live.desk import SECOND, Desk
from tests.core.live.order_network import Worked

from .machine import OrderMachine

PROFILE = np.where(np.arange(1_440) % 2, 400, 100).astype(np.int64)
ROOM = 1_000  # ids between two orders of the dealer, for children
INPUTS = ("tell", "start_session", "go_on", "answer", "update", "read_all_again", "begin_life",
          "on_tick", "submit_order", "resize_order", "cancel_order", "wake_up", "hold_orders",
          "hurry_order")  # fmt: skip
OUTPUTS = ("intents", "take_reports")


class Life:
    """One life of worker and desk. `story`: each input with what was said and asked for since."""

    def __init__(self, gate: Gate, rules: dict[str, Any], limits: dict[str, int]) -> None:
        self.far = Remote(gate, **limits)
        self.worker = Worker(self.far, gate, **rules)
        self.story: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]] = []

    def do(self, name: str, *words: Any, **more: Any) -> Any:
        """One call, without a trace."""
        owner = self.worker if hasattr(self.worker, name) else self.far
        return getattr(owner, name)(*words, **more)

    def __getattr__(self, name: str) -> Any:
        if name not in INPUTS and name not in OUTPUTS:
            return getattr(self.far, name)
        return self._told(name)

    def _told(self, name: str) -> Callable[..., Any]:
        def call(*words: Any, **more: Any) -> Any:
            kept = tuple(word.copy() if hasattr(word, "copy") else word for word in words)
            said = self.do(name, *words, **more)
            self.story.append((name, kept, more, said.tobytes() if name in OUTPUTS else None))
            return said

        return call

    @property
    def pending_reports(self) -> int:
        return self.far.pending_reports + self.worker.pending_reports

    def cancel_order(self, order_id: int, now_ns: int) -> None:
        """One that ended unheard is not there any more."""
        if self.worker.live:
            self._told("cancel_order")(order_id, now_ns)

    def repeat(self, story: list[tuple[str, tuple[Any, ...], dict[str, Any], Any]]) -> None:
        """Live the life before again: the same is said, and asked for."""
        for name, words, more, said in story:
            again = self.do(name, *words, **more)
            assert said is None or again.tobytes() == said, f"repeated, {name} gives something else"
        self.story = list(story)


class AlgoDesk(Desk):
    """A worker and a Remote at the exchange's time, session and market."""

    def __init__(self, now_ns: int, session: Any, rules: dict[str, Any], **limits: int) -> None:
        self.gate = Gate(instruments=1)
        self.rules, self.limits = rules, limits
        self.remote: Any = Life(self.gate, rules, limits)
        self.now, self.position, self.next_order = now_ns, 0, 0
        self.session = session
        self.remote.tell(now_ns, now_ns)
        self.remote.start_session(session)

    @property
    def worker(self) -> Worker:
        return self.remote.worker  # type: ignore[no-any-return]

    def order(self, side: int, qty: int, kind: OrderKind, **more: int) -> int:
        self.next_order += ROOM
        if kind == OrderKind.MARKET:
            more["flags"] = more.get("flags", 0) | OrderFlag.WORKED
        return super().order(side, qty, kind, **more)

    def wait(self, ns: int) -> None:
        super().wait(ns)
        self.remote.wake_up(self.now)

    def hold(self, what: int) -> None:
        """What an operator says to all algorithms."""
        self.remote.hold_orders(what, self.now)

    def hurry(self, order: int, reason: int) -> None:
        """An exit at work is now wished for this reason."""
        self.remote.hurry_order(order, flags=0, reason=reason, now_ns=self.now)

    def reborn(self) -> None:
        """Another life repeats this one's inputs and goes on in its place."""
        again = Life(self.gate, self.rules, self.limits)
        again.repeat(self.remote.story)
        self.remote = again
        self.remote.begin_life()


class AlgoMachine(Worked, OrderMachine):
    """Faults at random, an operator, deaths, and an algorithm."""

    algo: ClassVar[Algo] = Algo.TWAP
    desk: Any

    @initialize(
        day=st.integers(0, 2),
        first=st.floats(0, 1),
        side=st.sampled_from([1, -1]),
        lots=st.integers(1, 3),
        stop=st.sampled_from([20, 100, 400]),
        goal=st.sampled_from([0, 20, 100]),
        modifies=st.sampled_from([1, 3, 22]),
        per_minute=st.sampled_from([20, 240]),
        latency_ms=st.sampled_from([0, 0, 5, 300]),
        well=st.integers(0, 4),
        urgency=st.integers(0, 2),
        remainder=st.sampled_from(list(Remainder)),
        random_e4=st.sampled_from([0, 3_000]),
        reprice_s=st.sampled_from([0, 1, 3]),
        interval_s=st.sampled_from([1, 3]),
        child_lots=st.sampled_from([0, 1]),
    )
    def begin(  # type: ignore[override]
        self, urgency: int, remainder: int, random_e4: int, reprice_s: int, interval_s: int,
        child_lots: int, **more: Any,
    ) -> None:  # fmt: skip
        minutes = 10 if self.algo == Algo.VWAP else 1  # a profile is of minutes
        self.rules = {
            "algo": self.algo, "urgency": urgency, "remainder": remainder, "random_e4": random_e4,
            "reprice_ns": reprice_s * SECOND, "interval_ns": minutes * interval_s * SECOND,
            "horizon_ns": minutes * 12 * SECOND, "child_lots": child_lots, "display_lots": 1,
            "seed": 3, "rate_e4": 3_000, "floor_e4": 5_000, "profile": PROFILE,
        }  # fmt: skip
        super().begin(**more)

    def desk_at(self, now_ns: int, **limits: int) -> Any:
        return AlgoDesk(now_ns, self.exchange.sessions[0][0], self.rules, **limits)

    def placed(self, intent: Any) -> None:
        """An entry's child leaves only while its parent lives."""
        self.tally["children and stops placed"] += 1
        if not intent["flags"] & OrderFlag.EXIT:
            assert self.dealer.entry, "a child left, and its parent had ended"

    # ---- wishes and deaths ----------------------------------------------------------------------

    @rule(chance=st.integers(0, 3))
    def die(self, chance: int) -> None:
        """The engine dies and comes back: what has no answer is in doubt, everything is read."""
        if chance:
            return
        self.desk.reborn()
        self.answers.clear()
        for intent in list(self.open.values()):
            self.tell(intent, Outcome.UNKNOWN, -104)
        self.read_all()
        self.tally["deaths"] += 1

    # ---- what holds at every step ---------------------------------------------------------------

    @invariant()
    def a_parent_is_its_children(self) -> None:
        if not self.begun:
            return
        for parent in self.desk.worker.parents_now():
            ask = self.dealer.asks[parent["id"]]
            assert parent["filled"] == ask.filled
            assert 0 < parent["left"] <= parent["qty"] - parent["filled"]
            if not ask.flags & OrderFlag.EXIT:
                assert parent["filled"] + parent["left"] == parent["qty"]
                assert parent["out"] <= parent["left"]
            assert not ask.ended

    @invariant()
    def entries_are_never_exceeded(self) -> None:
        """By what the exchange has of everything that opens a position."""
        if not self.begun:
            return
        for side in (1, -1):
            asked = sum(ask.asked for ask in self.dealer.asks.values()
                        if ask.side == side and not ask.flags & OrderFlag.EXIT)  # fmt: skip
            working = sum(one.left for one in self.exchange.desk.blotter.working
                          if one.is_open and one.side == side
                          and not self.exits[self.number(one)])  # fmt: skip
            done = sum(one.qty for one in self.exchange.books.trades
                       if one.ticket.side == side
                       and not self.exits[self.number(one.ticket)])  # fmt: skip
            assert working + done <= asked

    def teardown(self) -> None:
        if not self.begun:
            return
        super().teardown()
        self.tally["parents"] += self.desk.worker.parents
        self.tally["children"] += self.desk.worker.children_sent
        self.tally["prices changed"] += self.desk.worker.reprices


MACHINES: dict[str, type[AlgoMachine]] = {
    algo.name.lower(): type(f"Algo{algo.name.title()}", (AlgoMachine,), {"algo": algo})
    for algo in Algo
    if algo != Algo.NONE
}
