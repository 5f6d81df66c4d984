"""A broker that is the truth, over a network that loses, delays, repeats, reorders.

    PlainDealer ──orders──▶ Remote ──requests──▶ network ──▶ PlainBroker (fills at will)
                  ◀─reports──        ◀──answers, updates── network ◀──

One dealer or several, each with a Remote; several share a desk. What must hold at every step is in
the invariants; what must hold when the network is well again and nothing moves is in `heal`.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from dhanfast._core.live.records import IntentKind, Outcome, Seen
from dhanfast._core.types import OrderKind

from .desk import CANCEL, LOT, MS, PLACE, QUERY, SECOND, TICK, Desk
from .order_network import OrderNetwork, picks
from .plain_broker import Held, Message, PlainBroker
from .plain_dealer import PlainDealer
from .seats import Seats

LOST_AFTER = 5 * SECOND
PER_SECOND = 4


class Network(OrderNetwork):
    """The network of all machines, and the broker; a machine that extends it calls `connect`."""

    per_second = PER_SECOND

    def connect(self, hub: Desk | Seats, door: Any, seats: list[Any], *, stop: int,
                goal: int) -> None:  # fmt: skip
        """Wire it up: `hub` has the clock and the requests, `door` takes what the broker says."""
        self.hub, self.door, self.seats = hub, door, seats
        self.broker = PlainBroker()
        self.dealers = [PlainDealer(seat, stop, goal) for seat in seats]
        self.contracts: list[set[int]] = [{seat.remote.contract} for seat in seats]
        self.orders: dict[int, tuple[int, ...]] = {}  # Intent.order: what never changes of it
        self.last_id = 0
        self.wire()
        self.bids = [10_000 for _ in seats]

    def _orders(self, place: int) -> list[Held]:
        """Of the broker, that are or were of this dealer."""
        mine = self.contracts[place]
        return [order for order in self.broker.orders.values() if order.instrument in mine]

    # ---- the wires ------------------------------------------------------------------------------

    def unheard(self) -> bool:
        return any(seat.remote.pending_reports for seat in self.seats)

    def left(self, intent: Message) -> None:
        assert intent["id"] == self.last_id + 1  # none twice, none left out, in order
        self.last_id = intent["id"]
        of = (intent["instrument"], intent["side"], intent["group"])
        assert self.orders.setdefault(intent["order"], of) == of  # a number is one order's

    def show(self, update: Message) -> None:
        super().show(update | {"at_ns": self.hub.now})

    def show_said(self, said: Message) -> None:
        self.show(said)

    def serve_first(self) -> None:
        self.serve(0, "ok")

    # ---- requests -------------------------------------------------------------------------------

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

    @rule(which=picks, move=st.sampled_from([-200, -40, -5, 0, 5, 40, 200]),
          ms=st.sampled_from([0, 10, 700]))  # fmt: skip
    def tick(self, which: int, move: int, ms: int) -> None:
        self.pass_time(ms * MS)
        place = which % len(self.seats)
        dealer, bid = self.dealers[place], max(9_000, min(11_000, self.bids[place] + move))
        self.bids[place] = bid
        self.seats[place].quote(bid, bid + 10)
        if dealer.leaving and dealer.position and not dealer.exit:
            dealer.leave()  # its exit was refused: again
        self.hear()

    # ---- wishes ---------------------------------------------------------------------------------

    @rule(which=picks)
    def leave(self, which: int) -> None:
        self.dealers[which % len(self.dealers)].leave()
        self.hear()

    @rule(which=picks, side=st.sampled_from([1, -1]), lots=st.integers(1, 3))
    def enter(self, which: int, side: int, lots: int) -> None:
        dealer = self.dealers[which % len(self.dealers)]
        if not (dealer.position or dealer.entry or dealer.exit):
            dealer.enter(side, lots * LOT)
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
            assert could <= sum(dealer.entered[group] for dealer in self.dealers) - closed

    @invariant()
    def one_line_of_a_position_at_a_time(self) -> None:
        for group in {order.group for order in self.live() if order.is_exit}:
            assert sum(order.live for order in self.broker.of(group)) <= 1

    @invariant()
    def every_request_is_answered_at_most_once(self) -> None:
        for dealer in self.dealers:
            assert all(a.accepted <= a.requests + a.others for a in dealer.asks.values())

    @invariant()
    def nothing_is_booked_that_has_not_filled(self) -> None:
        for place, dealer in enumerate(self.dealers):
            for side in (1, -1):
                booked = sum(ask.filled for ask in dealer.asks.values() if ask.side == side)
                assert booked <= sum(o.filled for o in self._orders(place) if o.side == side)
            if len(self.contracts[place]) == 1:
                assert self.seats[place].remote.stray_qty == 0

    # ---- when all is well again -----------------------------------------------------------------

    def agree_all(self) -> None:
        for place in range(len(self.dealers)):
            self.agree(place)

    def step_to_quiet(self) -> bool:
        """Time passes, and once everything is read again; False when nothing is left to do."""
        self.read_once = not getattr(self, "read_once", False)
        if self.read_once:
            self.hub.wait(10 * SECOND)
            self.door.read_all_again()
            self.hear()
            return True
        self._tick_all(7_000)
        # An order that the market should have filled is read again and again: that is no unrest.
        unsure = any(line["state"] != "working" for line in self.door.orders_there())
        unrest = unsure or any(made["kind"] != QUERY for made in self.requests)
        self.deliver()
        if not unrest:
            self._tick_all(61_000)  # what the budget of a minute has held back leaves now
            unrest = any(made["kind"] != QUERY for made in self.requests)
            self.deliver()
        return unrest

    def _tick_all(self, ms: int) -> None:
        for place in range(len(self.seats)):
            self.tick(place, 0, ms if place == 0 else 0)

    def agree(self, place: int) -> None:
        """The books of a dealer are the broker's; what it left behind with a contract is stray."""
        dealer, asks = self.dealers[place], self.dealers[place].asks.values()
        orders, stray = self._orders(place), self.seats[place].remote.stray_qty
        assert dealer.position + stray == sum(order.side * order.filled for order in orders)
        for side in (1, -1):
            filled = [order for order in orders if order.side == side]
            mine = [ask for ask in asks if ask.side == side]
            lost = sum(order.filled for order in filled) - sum(ask.filled for ask in mine)
            assert lost >= 0 and (stray or not lost or len(self.contracts[place]) > 1)
            if not lost:
                assert sum(ask.value for ask in mine) == sum(order.value for order in filled)
        assert all(ask.unanswered == 0 for ask in asks if not ask.ended)
        working = [order for order in orders if order.live]
        closing = [order for order in working if order.is_exit]
        if not dealer.position:
            assert closing == []
        else:
            leaving = dealer.asks.get(dealer.exit)
            wanted = leaving.left if leaving else abs(dealer.position)
            assert sum(order.open for order in closing) == wanted <= abs(dealer.position)
            self.terms_are_right(place, closing[0])
        assert len(working) - len(closing) == bool(dealer.entry)
        assert {order.instrument for order in working} <= {self.seats[place].remote.contract}
        there = self.seats[place].remote.orders_there()
        assert {(line["number"], line["instrument"]) for line in there} == {
            (order.number, order.instrument) for order in working
        }

    def terms_are_right(self, place: int, order: Held) -> None:
        """A marketable limit to leave; else the stop, or the target while the market is there."""
        dealer, bid = self.dealers[place], self.bids[place]
        market = bid if order.side < 0 else bid + 10
        marketable = (market - order.price) * order.side <= 0
        if dealer.exit:
            assert order.kind == OrderKind.LIMIT and marketable
            return
        stop, target = dealer.stop_price, dealer.target_price
        if order.kind == OrderKind.SL:
            assert order.trigger == stop
            assert 0 <= (order.price - stop) * order.side < stop // 100 + TICK
        else:
            at_target = dealer.target_points and order.price == target
            assert order.trigger == 0 and (marketable or at_target)

    def teardown(self) -> None:
        """At the end everything is left: flat here and there, to the paisa."""
        if not self.begun:
            return
        self.heal()
        for _ in range(60):
            for dealer in self.dealers:
                dealer.leave()
            self.hear()
            self.heal()
            for order in self.live():
                self.broker.fill(order, order.open, order.price)
            self.updates += self.broker.take_said()
            self.heal()
            if not (any(dealer.position for dealer in self.dealers) or self.live()):
                break
        assert self.live() == []
        assert [dealer.position for dealer in self.dealers] == [0] * len(self.dealers)
        assert self.broker.position == sum(seat.remote.stray_qty for seat in self.seats)
        assert IntentKind.PLACE not in [made["kind"] for made in self.requests]
