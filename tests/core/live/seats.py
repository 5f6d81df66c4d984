"""A desk of several Remotes, each with a hand on its wires: one broker and one clock for all."""

from collections.abc import Sequence
from typing import Any

from dhanfast._core.live.desk import Desk as OrderDesk
from dhanfast._core.live.records import IntentKind, Outcome, Seen
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderFlag, OrderKind, Reason

from .desk import GROUP, LOT, OPEN, PLACE, SECOND, SESSION, Desk, plain_requests

SHARED = ("per_second", "per_minute", "per_hour", "per_day", "exits_kept_e2")


class Seat(Desk):
    """One place of the desk, used as a `Desk` of its own is; what it sends goes out at the desk."""

    def __init__(self, seats: "Seats", place: int, contract: int, limits: dict[str, int]) -> None:
        self.seats, self.place, self.gate = seats, place, seats.gate
        self.remote = Remote(seats.gate, desk=seats.desk, place=place, **limits)
        self.session = SESSION | {"contract": 20260714 + contract}
        self.position = 0
        self.move(contract)

    def move(self, contract: int) -> None:
        """Trade another contract: its session, and a first price."""
        self.remote.trade(contract)
        self.remote.start_session(self.session)
        self.quote(10_000, 10_010)

    def exit_of(self) -> int:
        """Leave what is held, in the group of its stop."""
        side = -1 if self.position > 0 else 1
        return self.order(side, LOT, OrderKind.MARKET, flags=OrderFlag.EXIT,
                          group=GROUP + self.place, reason=Reason.EXIT_SIGNAL)  # fmt: skip

    @property
    def now(self) -> int:  # type: ignore[override]
        """One clock for all."""
        return self.seats.now

    @property
    def next_order(self) -> int:  # type: ignore[override]
        """Order numbers of the kernel's side, one source for all."""
        return self.seats.next_order

    @next_order.setter
    def next_order(self, number: int) -> None:
        self.seats.next_order = number


class Seats:
    """The desk and its places; requests come out of it, what the broker says goes into it."""

    def __init__(self, contracts: Sequence[int] = (1, 2), **limits: int) -> None:
        self.now, self.next_order = OPEN + SECOND, 0
        self.gate = Gate(instruments=len(contracts))
        shared = {name: value for name, value in limits.items() if name in SHARED}
        own = {name: value for name, value in limits.items() if name not in SHARED}
        self.desk = OrderDesk(**shared)
        self.seats = [Seat(self, at, of, own) for at, of in enumerate(contracts)]
        self.tell()

    def __getitem__(self, place: int) -> Seat:
        return self.seats[place]

    def tell(self) -> None:
        self.desk.tell(self.now, self.now)

    def wait(self, ns: int) -> None:
        """Time passes; what is due is done."""
        self.now += ns
        self.tell()
        self.desk.go_on()

    def sent(self) -> list[dict[str, Any]]:
        """Requests of all places since the last call."""
        return plain_requests(self.desk.intents())

    def one(self, kind: int) -> dict[str, Any]:
        """The only request since the last call; it is of this kind."""
        made = self.sent()
        assert [IntentKind(row["kind"]).name for row in made] == [IntentKind(kind).name]
        return made[0]

    def answer(self, intent: dict[str, Any], outcome: Outcome = Outcome.TAKEN, **more: Any) -> bool:
        """An answer arrives; a PLACE that is taken gets the broker's id of its number."""
        said = {"intent": intent["id"], "at_ns": self.now, "code": 200, "outcome": outcome} | more
        if outcome == Outcome.TAKEN and intent["kind"] == PLACE:
            said.setdefault("broker_id", f"B{intent['order']}".encode())
        return self.desk.answer(said)

    def update(self, intent: dict[str, Any], seen: Seen = Seen.PENDING, **more: Any) -> bool:
        """The broker shows the order of a request, in these terms unless others are given."""
        shown = {name: intent[name] for name in ("price", "trigger", "qty", "order", "instrument")}
        shown |= {"at_ns": self.now, "seen": seen, "side": intent["side"], "origin": 1,
                  "order_kind": intent["order_kind"],
                  "broker_id": f"B{intent['order']}".encode()}  # fmt: skip
        return self.desk.update(shown | more)

    def fill(self, intent: dict[str, Any], qty: int = 0, price: int = 10_000) -> None:
        """It has filled, all of it unless told otherwise."""
        qty = qty or intent["qty"]
        seen = Seen.TRADED if qty == intent["qty"] else Seen.PENDING
        assert self.update(intent, seen, filled=qty, value=qty * price)
