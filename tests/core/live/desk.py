"""A Remote with a hand on every wire: the test is the kernel, the network and the broker."""

from typing import Any

from dhanfast._core.live.records import IntentKind, Origin, Outcome, Seen
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderFlag, OrderKind, Reason, ReportKind

MS = 1_000_000
SECOND = 1_000 * MS
OPEN = 1_784_000_000 * SECOND
TICK, LOT = 5, 75
SESSION = {
    "open_ns": OPEN, "close_ns": OPEN + 22_500 * SECOND, "lot": LOT, "tick": TICK,
    "freeze": 1_800, "date": 20260714,
}  # fmt: skip
PLACE, MODIFY, CANCEL, QUERY = IntentKind
STOP_FLAGS = OrderFlag.EXIT | OrderFlag.STOP
TARGET_FLAGS = OrderFlag.EXIT | OrderFlag.TARGET
GROUP = 900  # of the position that most tests hold


class Desk:
    """Orders go in like the kernel's, requests and reports come out as plain dicts."""

    place = 0

    def __init__(self, *, position: int = 0, session: dict[str, Any] | None = None,
                 **limits: int) -> None:  # fmt: skip
        self.gate = Gate(instruments=1)
        self.remote = Remote(self.gate, **limits)
        self.now = OPEN + SECOND
        self.position = position
        self.next_order = 0
        self.session = SESSION | (session or {})
        self.remote.tell(self.now, self.now)
        self.remote.start_session(self.session)
        self.quote(10_000, 10_010)

    # ---- the kernel's side ----------------------------------------------------------------------

    def order(self, side: int, qty: int, kind: OrderKind, *, price: int = 0, trigger: int = 0,
              flags: int = 0, group: int = 0, reason: int = 0) -> int:  # fmt: skip
        self.next_order += 1
        approved = self.gate.check(
            {"id": self.next_order, "instrument": self.place, "created_ns": self.now,
             "side": side, "qty": qty,
             "kind": kind, "price": price, "trigger": trigger, "flags": flags, "group": group,
             "reason": reason},
            position=self.position, mark=10_000, now_ns=self.now, session=self.session,
        )  # fmt: skip
        self.remote.submit_order(approved, self.now)
        return self.next_order

    def enter(self, side: int = 1, qty: int = LOT) -> int:
        return self.order(side, qty, OrderKind.MARKET)

    def stop(self, trigger: int, qty: int = LOT) -> int:
        side = -1 if self.position > 0 else 1
        return self.order(side, qty, OrderKind.SLM, trigger=trigger, flags=STOP_FLAGS,
                          group=GROUP, reason=Reason.STOP_LOSS)  # fmt: skip

    def target(self, price: int, qty: int = LOT) -> int:
        side = -1 if self.position > 0 else 1
        return self.order(side, qty, OrderKind.LIMIT, price=price, flags=TARGET_FLAGS,
                          group=GROUP, reason=Reason.TAKE_PROFIT)  # fmt: skip

    def exit(self, qty: int = LOT) -> int:
        side = -1 if self.position > 0 else 1
        return self.order(side, qty, OrderKind.MARKET, flags=OrderFlag.EXIT, group=GROUP,
                          reason=Reason.EXIT_SIGNAL)  # fmt: skip

    def resize(self, order: int, qty: int, *, price: int = 0, trigger: int = 0) -> None:
        self.remote.resize_order(order, price=price, trigger=trigger, qty=qty, now_ns=self.now)

    def cancel(self, order: int) -> None:
        self.remote.cancel_order(order, self.now)

    def reports(self) -> list[tuple[str, int, int, int, int]]:
        """(kind, order, qty, price, left) of each report since the last call."""
        return [
            (ReportKind(int(row["kind"])).name, int(row["order_id"]), int(row["qty"]),
             int(row["price"]), int(row["left"]))
            for row in self.remote.take_reports()
        ]  # fmt: skip

    # ---- time and market ------------------------------------------------------------------------

    def wait(self, ns: int) -> None:
        """Time passes; what is due is done."""
        self.now += ns
        self.remote.tell(self.now, self.now)
        self.remote.go_on()

    def quote(self, bid: int, ask: int, last: int = 0) -> None:
        self.remote.on_tick({"exch_ns": self.now, "recv_ns": self.now, "price": last or bid,
                             "bid": bid, "ask": ask})  # fmt: skip

    # ---- the broker's side ----------------------------------------------------------------------

    def sent(self) -> list[dict[str, Any]]:
        """Requests since the last call."""
        return plain_requests(self.remote.intents())

    def one(self, kind: int) -> dict[str, Any]:
        """The only request since the last call; it is of this kind."""
        made = self.sent()
        assert [IntentKind(row["kind"]).name for row in made] == [IntentKind(kind).name]
        return made[0]

    def answer(self, intent: dict[str, Any], outcome: Outcome = Outcome.TAKEN, *,
               broker_id: str = "", code: int = 200, error: int = 0, seen: int = 0,
               retry_after_s: int = 0) -> bool:  # fmt: skip
        if outcome == Outcome.TAKEN and intent["kind"] == PLACE and not broker_id:
            broker_id = f"B{intent['order']}"
        return self.remote.answer(
            {"intent": intent["id"], "at_ns": self.now, "broker_id": broker_id.encode(),
             "code": code, "error": error, "outcome": outcome, "seen": seen,
             "retry_after_s": retry_after_s}
        )  # fmt: skip

    def refuse(self, intent: dict[str, Any], code: int = 400, **more: int) -> bool:
        return self.answer(intent, Outcome.REFUSED, code=code, **more)

    def update(self, intent: dict[str, Any], seen: Seen = Seen.PENDING, *, filled: int = 0,
               value: int = 0, origin: Origin = Origin.SOCKET, broker_id: str = "",
               order: int | None = None, **terms: int) -> bool:  # fmt: skip
        """The broker shows the order of a request; terms are the request's unless given."""
        shown = {
            "order": intent["order"] if order is None else order,
            "at_ns": self.now, "filled": filled, "value": value, "seen": seen, "origin": origin,
            "broker_id": (broker_id or f"B{intent['order']}").encode(),
            "order_kind": intent["order_kind"], "side": intent["side"],
        } | {name: intent[name] for name in ("price", "trigger", "qty")}  # fmt: skip
        return self.remote.update(shown | terms)

    def there(self) -> list[dict[str, Any]]:
        return self.remote.orders_there()

    def resting(self, intent: dict[str, Any]) -> None:
        """Say yes to a place, and forget the reports of it."""
        assert self.answer(intent)
        self.reports()


def plain_requests(rows: Any) -> list[dict[str, Any]]:
    """INTENT_DTYPE rows as dicts."""
    made = [{name: row[name].item() for name in row.dtype.names if name != "spare"} for row in rows]
    for request in made:
        request["broker_id"] = request["broker_id"].rstrip(b"\0").decode("latin1")
    return made


# ---- where many tests begin ----------------------------------------------------------------------


def held(**limits: int) -> tuple[Desk, int, dict[str, Any]]:
    """A long position of one lot whose stop rests at the broker: (desk, stop, its PLACE)."""
    desk = Desk(position=LOT, **limits)
    stop = desk.stop(9_900)
    placed = desk.one(PLACE)
    desk.resting(placed)
    return desk, stop, placed


def guarded(**limits: int) -> tuple[Desk, int, int, dict[str, Any]]:
    """As `held`, with a target at 10,100: (desk, stop, target, the stop's PLACE)."""
    desk = Desk(position=LOT, **limits)
    stop, target = desk.stop(9_900), desk.target(10_100)
    placed = desk.one(PLACE)
    desk.resting(placed)
    return desk, stop, target, placed


def kinds(desk: Desk) -> list[str]:
    """Of the requests since the last call."""
    return [IntentKind(made["kind"]).name for made in desk.sent()]


def doubtful(**limits: int) -> tuple[Desk, int, dict[str, Any]]:
    """An entry whose place timed out a second ago: (desk, order, its PLACE)."""
    desk = Desk(**limits)
    order = desk.enter()
    made = desk.one(PLACE)
    desk.answer(made, Outcome.UNKNOWN, code=-110)
    assert desk.there()[0]["state"] == "doubt" and desk.sent() == []
    desk.wait(SECOND)
    return desk, order, made
