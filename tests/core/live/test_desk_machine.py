"""Two or three Remotes on one desk against one broker: network.py has the faults and the laws.

What the desk adds to them: the limits hold over all legs, requests leave in the order in which they
were made, a number is one order's, and each leg's books are the broker's of its own contracts,
also when it moves on to another contract in the day and leaves an order behind.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from .desk import LOT, SECOND
from .network import LOST_AFTER, PER_SECOND, Network, picks
from .seats import Seats

PER_MINUTE = (12, 240)


class Legs(Network):
    """A dealer a leg."""

    @initialize(
        sides=st.lists(st.sampled_from([1, -1]), min_size=2, max_size=3),
        lots=st.integers(1, 3),
        stop=st.sampled_from([50, 100]),
        goal=st.sampled_from([0, 30]),
        modifies=st.sampled_from([3, 22]),
        per_minute=st.sampled_from(PER_MINUTE),
        parts=st.lists(st.sampled_from([1000, LOT, 10, 0, 0]), min_size=3, max_size=3),
    )
    def begin(self, sides: list[int], lots: int, stop: int, goal: int, modifies: int,
              per_minute: int, parts: list[int]) -> None:  # fmt: skip
        hub = Seats(range(1, len(sides) + 1), per_second=PER_SECOND, lost_after_ns=LOST_AFTER,
                    absents_min=3, modifies_max=modifies, per_minute=per_minute)  # fmt: skip
        self.connect(hub, hub.desk, hub.seats, stop=stop, goal=goal)
        self.per_minute = per_minute
        self.next_contract = len(sides) + 1
        for dealer, side in zip(self.dealers, sides, strict=True):
            dealer.enter(side, lots * LOT)
        self.hear()
        for at, part in zip(range(len(self.requests)), parts, strict=False):
            self.deliver()
            if part and at < len(self.live()):
                self.fill(at, part, 3)
        self.deliver()

    @rule(which=picks, side=st.sampled_from([1, -1, 0]))
    def move_on(self, which: int, side: int) -> None:
        """A leg that holds nothing takes another contract, and enters there unless `side` is 0;
        what it had asked for is left behind."""
        place = which % len(self.dealers)
        dealer = self.dealers[place]
        if dealer.position or dealer.exit:
            return
        self.seats[place].move(self.next_contract)
        self.contracts[place].add(self.next_contract)
        self.bids[place] = 10_000
        self.next_contract += 1
        self.hear()
        if side:
            dealer.enter(side, LOT)
            self.hear()

    @rule(which=picks)
    def close(self, which: int) -> None:
        """A leg leaves, and for once nothing goes wrong on the way."""
        place = which % len(self.dealers)
        self.dealers[place].leave()
        self.hear()
        self.deliver()
        for order in self._orders(place):
            if order.live and order.is_exit:
                order.triggered = True
                self.broker.fill(order, order.open, order.price)
        self.updates += self.broker.take_said()
        self.deliver()

    @rule(which=picks, of=picks)
    def foreign(self, which: int, of: int) -> None:
        """An update with the number of one order and the contract of another has no effect."""
        orders = list(self.broker.orders.values())
        if not orders:
            return
        order, other = orders[which % len(orders)], orders[of % len(orders)]
        if order.instrument == other.instrument:
            return
        books = [dealer.position for dealer in self.dealers]
        self.show({"order": order.number, "instrument": other.instrument, "side": order.side,
                   "broker_id": order.broker_id.encode(), "order_kind": order.kind,
                   "price": order.price, "trigger": order.trigger, "qty": order.qty, "seen": 3,
                   "filled": order.qty, "value": order.qty * 10_000})  # fmt: skip
        assert books == [dealer.position for dealer in self.dealers]

    @invariant()
    def a_minute_is_kept_over_all_legs(self) -> None:
        for at, first in enumerate(self.left_at[: -self.per_minute]):
            assert self.left_at[at + self.per_minute] - first >= 60 * SECOND

    @invariant()
    def the_desk_adds_up(self) -> None:
        desk, remotes = self.door, [seat.remote for seat in self.seats]
        assert desk.requests == sum(r.requests for r in remotes) == self.last_id
        assert desk.due_ns == min(r.due_ns for r in remotes)
        assert desk.odd_count == sum(desk.odd_events().values())
        assert desk.requests_today == len(self.left_at)


TestLegs = Legs.TestCase
TestLegs.settings = settings(max_examples=60, stateful_step_count=40)
