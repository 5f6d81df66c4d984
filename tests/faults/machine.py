"""The order machine against the exchange on loopback, with faults, step by step.

    PlainDealer ──orders──▶ Remote ──native bytes──▶ network ──▶ ExchangeCore ◀── a generated market
                 ◀─reports──        ◀──answers, updates── network ◀──┘

Hypothesis chooses the steps: what is wished for, what arrives, gets lost, comes twice or late, and
what the exchange does wrong. What holds at each step is in the invariants, what holds when the
network is well again in `agree`. `scripts/order-machine` runs it often and says how often.
"""

import argparse
import random
import sys
import time
from collections import Counter
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dhanfast._core.live.orderhttp import RequestBook
from dhanfast._core.live.records import IntentKind, Origin, Outcome
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderFlag
from dhanfast.brokers.dhan.answers import order_seen, update_from
from dhanfast.brokers.dhan.requests import order_of
from dhanfast.exchange import core
from dhanfast.exchange.answers import Fate
from dhanfast.exchange.faults import Fault
from dhanfast.exchange.settings import ExchangeSettings
from tests.core.live.desk import MS, Desk
from tests.core.live.order_network import OrderNetwork, picks
from tests.core.live.plain_dealer import PlainDealer

from .market import OneFuture, future_of, window
from .wires import meaning, parsed

TAG = "dfm"
PER_SECOND = 9
MENU = ("http-429", "http-5xx", "http-5xx-after", "timeout", "timeout-after", "reset",
        "reset-after")  # fmt: skip
UPDATES = ("update-drop", "update-delay", "update-duplicate", "update-reorder")


class ExchangeDesk(Desk):
    """A Remote at the exchange's time, session and market."""

    def __init__(self, now_ns: int, session: Any, **limits: int) -> None:
        self.gate = Gate(instruments=1)
        self.remote = Remote(self.gate, **limits)
        self.now, self.position, self.next_order = now_ns, 0, 0
        self.session = session
        self.remote.tell(now_ns, now_ns)
        self.remote.start_session(self.session)


class OrderMachine(OrderNetwork):
    """The desk at the exchange; the rules of the network are `OrderNetwork`'s."""

    tally: ClassVar[Counter[str]] = Counter()
    per_second = PER_SECOND

    @property
    def hub(self) -> ExchangeDesk:  # type: ignore[override]
        return self.desk

    @property
    def door(self) -> Any:  # type: ignore[override]
        return self.desk.remote

    @initialize(
        day=st.integers(0, 2),
        first=st.floats(0, 1),
        side=st.sampled_from([1, -1]),
        lots=st.integers(1, 3),
        stop=st.sampled_from([20, 100, 400]),
        goal=st.sampled_from([0, 20, 100]),
        modifies=st.sampled_from([1, 3, 22]),
        per_minute=st.sampled_from([6, 240]),
        latency_ms=st.sampled_from([0, 0, 5, 300]),
        well=st.integers(0, 4),
    )
    def begin(
        self, day: int, first: float, side: int, lots: int, stop: int, goal: int, modifies: int,
        per_minute: int, latency_ms: int, well: int,
    ) -> None:  # fmt: skip
        self.contract, _ = future_of(day)
        self.ticks = window(day, first, 900)
        self.at = 0
        asked = ExchangeSettings(funds=10**13, latency_ns=latency_ms * MS)
        core.ORDERS_MAX = 512
        market = OneFuture(self.contract, self.ticks)
        self.exchange = core.ExchangeCore(market, asked, random.Random(1))
        self.security = (self.contract.segment, str(self.contract.security_id))
        self.book = RequestBook("sim", "/v2", asked.client_id, TAG, [(*self.security, "INTRADAY")])
        now = int(self.ticks["recv_ns"][0])
        self.exchange.advance(now)
        self.log_in()
        self.desk = self.desk_at(now, per_second=PER_SECOND, modifies_max=modifies,
                                 per_minute=per_minute)  # fmt: skip
        tick = self.contract.tick
        self.dealer = PlainDealer(self.desk, stop * tick, goal * tick, tick)
        self.dealers = [self.dealer]
        self.wire()
        self.exits: dict[int, bool] = {}  # by number
        self.pass_ticks(1)
        self.dealer.enter(side, lots * self.contract.lot)
        self.hear()
        for _ in range(well):  # most runs begin with something held
            self.deliver()
            self.pass_ticks(1)
        self.tally["runs"] += 1

    def desk_at(self, now_ns: int, **limits: int) -> ExchangeDesk:
        return ExchangeDesk(now_ns, self.exchange.sessions[0][0], **limits)

    # ---- the wires ------------------------------------------------------------------------------

    @rule()
    def log_in(self) -> None:
        """A token that is good."""
        self.token = self.exchange.tokens.mint("APP", self.exchange.real_ns).value
        self.book.set_token(self.token)

    @rule(chance=st.integers(0, 3))
    def log_out(self, chance: int) -> None:
        """Now and then the token dies, and everything is refused at the door."""
        if chance:
            return
        self.exchange.tokens.expire(self.exchange.real_ns)
        self.tally["tokens died"] += 1

    @rule(kind=st.sampled_from(MENU + UPDATES), delay_ms=st.sampled_from([50, 700, 4_000]))
    def break_next(self, kind: str, delay_ms: int) -> None:
        """The exchange does something wrong, once."""
        self.exchange.faults.replace([Fault(kind, count=1, delay_s=delay_ms / 1_000)])

    @rule(then=st.sampled_from(["reject", "cancel"]))
    def end_next_in_parts(self, then: str) -> None:
        """The next order fills in part, and the rest is ended."""
        fault = Fault("partial", count=1, method="POST", path="/v2/orders", then=then)
        self.exchange.faults.replace([fault])

    def sent(self) -> Any:
        return self.desk.remote.intents()

    def hear(self) -> None:
        self.tally["steps"] += 1
        super().hear()

    def left(self, intent: Any) -> None:
        self.tally[IntentKind(int(intent["kind"])).name] += 1
        if intent["kind"] == IntentKind.PLACE:
            self.placed(intent)
            self.exits[int(intent["order"])] = bool(intent["flags"] & OrderFlag.EXIT)

    def placed(self, intent: Any) -> None:
        """A new order leaves."""

    def collect(self) -> None:
        """Order updates that the exchange sends now."""
        self.updates += self.exchange.take_updates(self.desk.now)

    @precondition(lambda self: self.requests)
    @rule(which=picks)
    def serve(self, which: int) -> None:
        """A request arrives at the exchange, in the bytes that really leave."""
        intent = self.requests.pop(which % len(self.requests))
        method, path, headers, body = parsed(self.book.request(intent))
        reply = self.exchange.request(method, path, {}, headers, body, self.desk.now)
        self.collect()
        if int(intent["id"]) in self.open and reply.fate is not Fate.HANG:
            self.answers.append((intent, reply))

    def serve_first(self) -> None:
        self.serve(0)

    def give_answer(self, at: int) -> None:
        intent, reply = self.answers.pop(at)
        if int(intent["id"]) not in self.open:
            return
        if reply.fate is Fate.RESET:
            self.tell(intent, Outcome.UNKNOWN, -104)
            return
        update, outcome, fields = meaning(intent, reply, TAG, self.security, self.desk.now)
        if update is not None:
            self.show(update)  # a QUERY that found it: the state comes first
        if int(intent["id"]) in self.open:
            known = {name: min(each, 2**31 - 1) if isinstance(each, int) else each
                     for name, each in fields.items()}  # fmt: skip
            self.tell(intent, outcome, reply.status, **known)

    def show_said(self, said: Any) -> None:
        self.show(update_from(order_seen(said["Data"]), Origin.SOCKET, tag=TAG,
                              at_ns=self.desk.now, instruments={self.security: 0}))  # fmt: skip

    # ---- time and wishes ------------------------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def pass_ticks(self, count: int) -> None:
        """The market goes on."""
        for _ in range(count):
            if self.at >= len(self.ticks):
                return
            tick = self.ticks[self.at]
            self.pass_time(int(tick["recv_ns"]) - self.desk.now)
            self.at += 1
            self.exchange.advance(self.desk.now)
            self.collect()
            self.desk.remote.tell(self.desk.now, self.desk.now)
            self.desk.remote.on_tick(tick)
            if self.dealer.leaving and self.dealer.position and not self.dealer.exit:
                self.dealer.leave()  # its exit was refused: again
            self.hear()

    @rule()
    def leave(self) -> None:
        self.dealer.leave()
        self.hear()

    @rule(side=st.sampled_from([1, -1]), lots=st.integers(1, 3))
    def enter(self, side: int, lots: int) -> None:
        if not (self.dealer.position or self.dealer.entry or self.dealer.exit):
            self.dealer.enter(side, lots * self.contract.lot)
            self.hear()

    def go_on(self, ns: int) -> None:
        until = self.desk.now + ns
        while self.at < len(self.ticks) and self.ticks[self.at]["recv_ns"] <= until:
            self.pass_ticks(1)
        self.pass_time(until - self.desk.now)

    def time_has_passed(self) -> None:
        self.exchange.advance(self.desk.now)
        self.collect()

    # ---- what holds at every step ---------------------------------------------------------------

    def number(self, ticket: Any) -> int:
        return order_of(ticket.wish.correlation or "", TAG)

    @invariant()
    def nothing_is_placed_twice(self) -> None:
        numbers = [self.number(ticket) for ticket in self.exchange.desk.blotter.tickets]
        assert 0 not in numbers and len(numbers) == len(set(numbers))

    @invariant()
    def one_order_closes_a_position(self) -> None:
        working = [ticket for ticket in self.exchange.desk.blotter.working if ticket.is_open]
        assert sum(self.exits[self.number(ticket)] for ticket in working) <= 1

    @invariant()
    def no_fill_turns_a_position_round(self) -> None:
        held = 0
        for trade in self.exchange.books.trades:
            before, held = held, held + trade.ticket.side * trade.qty
            assert before * held >= 0 and abs(held) <= 3 * self.contract.lot

    @invariant()
    def nothing_is_booked_that_has_not_filled(self) -> None:
        for side in (1, -1):
            booked = sum(ask.filled for ask in self.dealer.asks.values() if ask.side == side)
            truth = sum(one.qty for one in self.exchange.books.trades if one.ticket.side == side)
            assert booked <= truth and self.desk.remote.stray_qty == 0

    # ---- when all is well again -----------------------------------------------------------------

    def make_well(self) -> None:
        self.exchange.faults.replace([])
        self.log_in()

    def step_to_quiet(self) -> bool:
        """Time passes, and once everything is read again; False when nothing is left to do."""
        self.read_once = not getattr(self, "read_once", False)
        self.wait(2_500)
        self.deliver()
        if self.read_once:
            self.desk.remote.read_all_again()
            self.hear()
            self.deliver()
            return True
        self.wait(2_500)
        unsure = any(line["state"] != "working" for line in self.desk.there())
        unrest = unsure or any(one["kind"] != IntentKind.QUERY for one in self.requests)
        self.deliver()
        return unrest

    def agree_all(self) -> None:
        asks, books = self.dealer.asks.values(), self.exchange.books
        assert self.dealer.position == books.net(self.contract, "INTRADAY")
        for side in (1, -1):
            theirs = [one for one in books.trades if one.ticket.side == side]
            mine = [ask for ask in asks if ask.side == side]
            assert sum(ask.filled for ask in mine) == sum(one.qty for one in theirs)
            assert sum(ask.value for ask in mine) == sum(one.qty * one.price for one in theirs)
        working = {self.number(one) for one in self.exchange.desk.blotter.working if one.is_open}
        assert {line["number"] for line in self.desk.there()} == working

    def teardown(self) -> None:
        """At the end everything is left: flat here and there, to the paisa."""
        if not self.begun:
            return
        self.heal()
        for _ in range(60):
            self.dealer.leave()
            self.hear()
            self.heal()
            if not (self.dealer.position or self.dealer.entry or self.desk.there()):
                break
        assert self.exchange.books.net(self.contract, "INTRADAY") == 0 == self.dealer.position
        assert [one for one in self.exchange.desk.blotter.working if one.is_open] == []
        self.tally["orders at the exchange"] += len(self.exchange.desk.blotter.tickets)
        self.tally["trades"] += len(self.exchange.books.trades)
        self.tally.update(self.exchange.mishaps.counts)


def run(
    runs: int, steps: int, first: int, machine: type[Any] = OrderMachine,
    *, shrink: bool = True,
) -> Counter[str]:  # fmt: skip
    """So many runs of so many steps; the tally. A failure is made short when `shrink` says so.

    Raises:
        AssertionError: a promise broke; the steps that lead there are on the terminal.
    """
    machine.tally.clear()
    chosen = settings(
        max_examples=runs, stateful_step_count=steps, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
    )  # fmt: skip
    run_state_machine_as_test(seed(first)(machine), settings=chosen)
    return machine.tally


def _machine_of(algo: str, *, legs: bool, hedge: bool) -> type[Any]:
    if legs or hedge:
        from .leg_machine import ExchangeHedgedMachine, ExchangeLegMachine

        return ExchangeHedgedMachine if hedge else ExchangeLegMachine
    if not algo:
        return OrderMachine
    from .algo_machine import MACHINES  # made of the machine above

    return MACHINES[algo]


def main() -> int:
    """Run what was asked for and say what happened; 1 when a promise broke."""
    parser = argparse.ArgumentParser(prog="order-machine")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--algo", default="", choices=["", "slice", "twap", "vwap", "pov", "iceberg"]
    )
    parser.add_argument("--legs", action="store_true")
    parser.add_argument("--hedge", action="store_true")
    asked = parser.parse_args()
    if asked.runs < 1 or asked.steps < 1 or asked.seed < 0:
        parser.error("--runs and --steps must be from 1, --seed from 0")
    machine = _machine_of(asked.algo, legs=asked.legs, hedge=asked.hedge)
    began, violations = time.monotonic(), 0
    try:
        run(asked.runs, asked.steps, asked.seed, machine)
    except AssertionError as error:
        violations = 1
        print(f"violation: {error}", file=sys.stderr)
    tally = machine.tally
    for name in sorted(tally):
        print(f"  {name:<28}{tally[name]:>10,}")
    print(f"runs {tally['runs']:,}, steps {tally['steps']:,}, in {time.monotonic() - began:.1f} s, "
          f"violations {violations}")  # fmt: skip
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
