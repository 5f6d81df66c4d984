"""Remote against a broker that is the truth, over a network that loses, delays, repeats, reorders.

    PlainDealer ──orders──▶ Remote ──requests──▶ network ──▶ PlainBroker (fills at will)
                  ◀─reports──        ◀──answers, updates── network ◀──

What must hold at every step is in the invariants; what must hold when the network is well again and
nothing moves is in `heal`.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from dhanfast._core.live.records import IntentKind, Outcome, Seen
from dhanfast._core.types import OrderKind

from .desk import CANCEL, LOT, MS, PLACE, QUERY, SECOND, TICK, Desk
from .order_network import OrderNetwork, picks
from .plain_broker import Held, Message, PlainBroker
from .plain_dealer import PlainDealer

LOST_AFTER = 5 * SECOND
PER_SECOND = 4


class Live(OrderNetwork):
    """The desk alone, at a broker in plain Python."""

    per_second = PER_SECOND
    lot = LOT

    @initialize(
        side=st.sampled_from([1, -1]),
        lots=st.integers(1, 4),
        stop=st.sampled_from([50, 100]),
        goal=st.sampled_from([0, 30, 100]),
        modifies=st.sampled_from([1, 3, 22]),
        per_minute=st.sampled_from([6, 240]),
        part=st.sampled_from([1000, 1000, LOT, 10, 0]),
    )
    def begin(self, side: int, lots: int, stop: int, goal: int, modifies: int,
              per_minute: int, part: int) -> None:  # fmt: skip
        self.desk = Desk(per_second=PER_SECOND, lost_after_ns=LOST_AFTER, absents_min=3,
                         modifies_max=modifies, per_minute=per_minute)  # fmt: skip
        self.broker = PlainBroker()
        self.dealer = PlainDealer(self.desk, stop, goal)
        self.wire()
        self.bid = 10_000
        self.dealer.enter(side, lots * LOT)
        self.hear()
        if part:  # most runs begin with something held
            self.deliver()
            self.fill(0, part, 3)
            self.deliver()

    # ---- the broker -----------------------------------------------------------------------------

    def show(self, update: Message) -> None:
        super().show(update | {"at_ns": self.desk.now})

    def show_said(self, said: Message) -> None:
        self.show(said)

    def truth(self, side: int) -> tuple[int, int]:
        orders = [order for order in self.broker.orders.values() if order.side == side]
        return sum(order.filled for order in orders), sum(order.value for order in orders)

    def serve_first(self) -> None:
        self.serve(0, "ok")

    @precondition(lambda self: self.requests)
    @rule(which=picks, fate=st.sampled_from(["ok"] * 6 + ["lost answer", "429", "906", "401"]))
    def serve(self, which: int, fate: str) -> None:
        """A request arrives at the broker."""
        intent = self.requests.pop(which % len(self.requests))
        refusals = {"429": (429, 904), "906": (400, 906), "401": (401, 901)}
        if fate in refusals and intent["id"] in self.open:
            code, error = refusals[fate]
            answer: Message = {"outcome": Outcome.REFUSED, "code": code, "error": error}
        else:
            answer = self.broker.serve(intent)
        said = self.broker.take_said()
        if intent["kind"] != QUERY:
            self.updates += said
        if intent["id"] not in self.open:
            return  # nobody waits any more
        if fate == "lost answer":
            self.answers.append((intent, {"outcome": Outcome.UNKNOWN, "code": 503}))
        elif intent["kind"] == QUERY:
            for update in said:
                self.answers.append((intent, update))
            if not said:
                self.answers.append((intent, answer))
        else:
            self.answers.append((intent, answer))

    def give_answer(self, at: int) -> None:
        intent, answer = self.answers.pop(at)
        if intent["id"] not in self.open:
            return
        if "seen" in answer:  # a QUERY that found it: the state comes first
            self.show(answer)
            answer = {"outcome": Outcome.TAKEN, "code": 200}
        self.tell(intent, **answer)

    # ---- the exchange and the market ------------------------------------------------------------

    def live(self) -> list[Held]:
        return [order for order in self.broker.orders.values() if order.live]

    @precondition(lambda self: self.live())
    @rule(which=picks, part=st.sampled_from([1, 1, LOT, 7, 1000]), better=st.integers(0, 9))
    def fill(self, which: int, part: int, better: int) -> None:
        """At its price or a little better, any quantity."""
        orders = self.live()
        order = orders[which % len(orders)]
        if order.kind == OrderKind.LIMIT or order.triggered or better < 3:
            order.triggered = True
            self.broker.fill(order, min(part, order.open), order.price - order.side * better)
            self.updates += self.broker.take_said()

    @precondition(lambda self: self.live())
    @rule(which=picks, seen=st.sampled_from([Seen.CANCELLED, Seen.REJECTED]))
    def end(self, which: int, seen: Seen) -> None:
        orders = self.live()
        self.broker.end(orders[which % len(orders)], seen)
        self.updates += self.broker.take_said()

    @rule(move=st.sampled_from([-200, -40, -5, 0, 5, 40, 200]), ms=st.sampled_from([0, 10, 700]))
    def tick(self, move: int, ms: int) -> None:
        self.pass_time(ms * MS)
        self.bid = max(9_000, min(11_000, self.bid + move))
        self.desk.quote(self.bid, self.bid + 10)
        self.leave_again()
        self.hear()

    # ---- what holds at every step ---------------------------------------------------------------

    @invariant()
    def no_number_is_placed_twice(self) -> None:
        assert max(self.broker.accepted.values(), default=0) <= 1

    @invariant()
    def closing_orders_never_close_more_than_is_held(self) -> None:
        groups = {order.group for order in self.broker.orders.values() if order.is_exit}
        for group in groups:
            orders = self.broker.of(group)
            changes: dict[str, int] = {}
            placing = 0
            for made in self.requests:
                if made["group"] != group:
                    continue
                if made["kind"] == PLACE and made["flags"]:
                    placing += made["qty"]
                elif made["kind"] not in (CANCEL, QUERY):
                    changes[made["broker_id"]] = max(made["qty"], changes.get(made["broker_id"], 0))
            closed = sum(order.filled for order in orders)
            could = placing + sum(
                max(order.qty, changes.get(order.broker_id, 0)) - order.filled
                for order in orders
                if order.live
            )
            assert could <= self.dealer.entered[group] - closed

    @invariant()
    def one_line_of_a_position_at_a_time(self) -> None:
        for group in {order.group for order in self.live() if order.is_exit}:
            assert sum(order.live for order in self.broker.of(group)) <= 1

    @invariant()
    def every_request_is_answered_at_most_once(self) -> None:
        for ask in self.dealer.asks.values():
            assert ask.accepted <= ask.requests + ask.others

    # ---- when all is well again -----------------------------------------------------------------

    def step_to_quiet(self) -> bool:
        """Time passes, and once everything is read again; False when nothing is left to do."""
        self.read_once = not getattr(self, "read_once", False)
        if self.read_once:
            self.desk.wait(10 * SECOND)
            self.desk.remote.read_all_again()
            self.hear()
            return True
        self.tick(0, 7_000)
        # An order that the market should have filled is read again and again: that is no unrest.
        unsure = any(line["state"] != "working" for line in self.desk.there())
        unrest = unsure or any(made["kind"] != QUERY for made in self.requests)
        self.deliver()
        if not unrest:
            self.tick(0, 61_000)  # what the budget of a minute has held back leaves now
            unrest = any(made["kind"] != QUERY for made in self.requests)
            self.deliver()
        return unrest

    def agree(self) -> None:
        self.books_agree()
        dealer, asks = self.dealer, self.dealer.asks.values()
        assert all(ask.unanswered == 0 for ask in asks if not ask.ended)
        closing = [order for order in self.live() if order.is_exit]
        if not dealer.position:
            assert closing == []
        else:
            leaving = dealer.asks.get(dealer.exit)
            wanted = leaving.left if leaving else abs(dealer.position)
            assert sum(order.open for order in closing) == wanted <= abs(dealer.position)
            self.terms_are_right(closing[0])
        assert len(self.live()) - len(closing) == bool(dealer.entry)
        assert {line["number"] for line in self.desk.there()} == {o.number for o in self.live()}

    def terms_are_right(self, order: Held) -> None:
        """A marketable limit to leave; else the stop, or the target while the market is there."""
        market = self.bid if order.side < 0 else self.bid + 10
        marketable = (market - order.price) * order.side <= 0
        if self.dealer.exit:
            assert order.kind == OrderKind.LIMIT and marketable
            return
        stop, target = self.dealer.stop_price, self.dealer.target_price
        if order.kind == OrderKind.SL:
            assert order.trigger == stop
            assert 0 <= (order.price - stop) * order.side < stop // 100 + TICK
        else:
            at_target = self.dealer.target_points and order.price == target
            assert order.trigger == 0 and (marketable or at_target)

    def teardown(self) -> None:
        """At the end everything is left: flat here and there, to the paisa."""
        if not self.begun:
            return
        self.leave_all(self.all_filled)
        assert self.dealer.position == self.broker.position == 0 and self.live() == []
        assert IntentKind.PLACE not in [made["kind"] for made in self.requests]

    def all_filled(self) -> bool:
        """Whatever is there fills; whether nothing is held."""
        for order in self.live():
            self.broker.fill(order, order.open, order.price)
        self.updates += self.broker.take_said()
        self.heal()
        return not (self.dealer.position or self.live())


TestLive = Live.TestCase
TestLive.settings = settings(max_examples=60, stateful_step_count=40)
