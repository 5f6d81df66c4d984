"""A broker in plain Python, written from the documents' words: the truth about orders.

It takes requests as dicts of `Intent` fields and says what became of them; who carries what it
says, when and how often, is up to the test.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from dhanfast._core.live.records import IntentKind, Origin, Outcome, Seen
from dhanfast._core.types import OrderFlag, OrderKind

LIVE = (Seen.TRANSIT, Seen.PENDING)
Message = dict[str, Any]


@dataclass
class Held:
    """One order at the broker."""

    number: int
    broker_id: str
    side: int
    kind: int
    price: int
    trigger: int
    qty: int
    group: int
    is_exit: bool
    instrument: int = 0
    seen: Seen = Seen.PENDING
    filled: int = 0
    value: int = 0
    triggered: bool = False

    @property
    def live(self) -> bool:
        return self.seen in LIVE

    @property
    def open(self) -> int:
        return self.qty - self.filled if self.live else 0


class PlainBroker:
    """Orders by their correlation number. `said` collects updates as they happen."""

    def __init__(self) -> None:
        self.orders: dict[int, Held] = {}
        self.accepted: Counter[int] = Counter()
        self.said: list[Message] = []

    # ---- requests -------------------------------------------------------------------------------

    def serve(self, intent: Message) -> Message:
        """Do what is asked; the fields of its Answer. An update of every change is in `said`."""
        kind = intent["kind"]
        if kind == IntentKind.PLACE:
            return self._place(intent)
        order = self._find(intent)
        if kind == IntentKind.QUERY:
            if order is None:
                return {"outcome": Outcome.ABSENT, "code": 404, "error": 906}
            self._say(order, Origin.REST)
            return {"outcome": Outcome.TAKEN, "code": 200}
        if order is None or not order.live:
            return {"outcome": Outcome.REFUSED, "code": 400, "error": 906}
        if kind == IntentKind.CANCEL:
            self._end(order, Seen.CANCELLED)
            return {"outcome": Outcome.TAKEN, "code": 202}
        if intent["qty"] <= order.filled:
            return {"outcome": Outcome.REFUSED, "code": 400, "error": 905}
        order.kind, order.price = intent["order_kind"], intent["price"]
        order.trigger, order.qty = intent["trigger"], intent["qty"]
        order.triggered = False
        self._say(order)
        return {"outcome": Outcome.TAKEN, "code": 200}

    def _place(self, intent: Message) -> Message:
        number = intent["order"]
        self.accepted[number] += 1
        self.orders[number] = order = Held(
            number,
            f"B{number}",
            intent["side"],
            intent["order_kind"],
            intent["price"],
            intent["trigger"],
            intent["qty"],
            intent["group"],
            bool(intent["flags"] & OrderFlag.EXIT),
            intent["instrument"],
        )
        self._say(order)
        return {"outcome": Outcome.TAKEN, "code": 200, "broker_id": order.broker_id.encode()}

    def _find(self, intent: Message) -> Held | None:
        wanted = intent["broker_id"]
        for order in self.orders.values():
            if order.broker_id == wanted or (not wanted and order.number == intent["order"]):
                return order
        return None

    # ---- what happens at the exchange -----------------------------------------------------------

    def fill(self, order: Held, qty: int, price: int) -> None:
        order.filled += qty
        order.value += qty * price
        if order.filled == order.qty:
            order.seen = Seen.TRADED
        self._say(order)

    def end(self, order: Held, seen: Seen) -> None:
        """Cancelled by another hand, rejected or expired."""
        self._end(order, seen)

    def can_fill(self, order: Held, bid: int, ask: int, last: int) -> int:
        """The price at which it fills now, 0 when it does not."""
        if not order.live:
            return 0
        if order.kind == OrderKind.SL and (last - order.trigger) * order.side >= 0:
            order.triggered = True
        if order.kind == OrderKind.SL and not order.triggered:
            return 0
        market = ask if order.side > 0 else bid
        return market if (order.price - market) * order.side >= 0 else 0

    # ---- what it tells --------------------------------------------------------------------------

    def _end(self, order: Held, seen: Seen) -> None:
        order.seen = seen
        self._say(order)

    def _say(self, order: Held, origin: Origin = Origin.SOCKET) -> None:
        self.said.append(
            {
                "order": order.number,
                "instrument": order.instrument,
                "broker_id": order.broker_id.encode(),
                "side": order.side,
                "order_kind": order.kind,
                "price": order.price,
                "trigger": order.trigger,
                "qty": order.qty,
                "filled": order.filled,
                "value": order.value,
                "seen": order.seen,
                "origin": origin,
            }
        )

    def take_said(self) -> list[Message]:
        """What has been told since the last call."""
        said, self.said = self.said, []
        return said

    # ---- the truth ------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        return sum(order.side * order.filled for order in self.orders.values())

    def of(self, group: int) -> list[Held]:
        return [order for order in self.orders.values() if order.group == group and order.is_exit]
