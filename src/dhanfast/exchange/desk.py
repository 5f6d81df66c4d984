"""The broker's desk: checks orders, sends them to the matching kernel, books what it reports."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from numpy.typing import NDArray

from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderKind, RejectReason, ReportKind, Validity
from dhanfast.errors import OrderRefused, PoolFull
from dhanfast.exchange.answers import Refusal, bad_input, bad_order
from dhanfast.exchange.contracts import Contract
from dhanfast.exchange.fields import Body
from dhanfast.exchange.orders import (
    BUY,
    KINDS,
    LEGS,
    MODIFY_FIELDS,
    MODIFY_MAX,
    STOPS,
    VALIDITIES,
    Blotter,
    Ticket,
    Wish,
    require_disclosed,
)
from dhanfast.exchange.positions import Books
from dhanfast.exchange.settings import ExchangeSettings

TEXTS: Final = {
    "lot": "RMS:{id}:Order quantity should be in multiple of lot size {lot}",
    "freeze": "RMS:{id}:Order quantity exceeds the freeze quantity {freeze}",
    "tick": "RMS:{id}:The price is not a multiple of the tick size {tick}",
    "band": "EXCH:16283:The order price is out of the operating range",
    "trigger": "EXCH:17071:The trigger price is on the wrong side of the market",
    "closed": "EXCH:16000:The market is closed",
    "margin": "RMS:{id}:Fund Limit Insufficient, shortfall Rs {short}",
    "kind": "RMS:{id}:Stop loss market orders are not allowed",
}
CODES: Final = {"lot": "RMS:1", "freeze": "RMS:2", "tick": "RMS:3", "band": "EXCH:16283",
                "trigger": "EXCH:17071", "closed": "EXCH:16000", "margin": "RMS:4",
                "kind": "RMS:5"}  # fmt: skip
REASONS: Final = {
    RejectReason.QTY_LOT: "lot", RejectReason.QTY_FREEZE: "freeze",
    RejectReason.PRICE_TICK: "tick", RejectReason.PRICE_BAND: "band",
    RejectReason.TRIGGER_SIDE: "trigger", RejectReason.CLOSED: "closed",
    RejectReason.KIND_REFUSED: "kind", RejectReason.NO_MARKET: "closed",
    RejectReason.MALFORMED: "trigger",
}  # fmt: skip
CONFIRMED: Final = "CONFIRMED"


class Desk:
    """One account's orders at the exchange.

    Args:
        match, gate: of the exchange. sessions: what the kernel was told of each instrument.
        shown: FACE_DTYPE by instrument.
        tell: called with each change of an order and its reason.

    Attributes:
        on_fill, on_end: called after a fill is booked and after an order has ended.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        match: Match,
        gate: Gate,
        blotter: Blotter,
        books: Books,
        sessions: list[NDArray[Any]],
        shown: NDArray[Any],
        tell: Callable[[Ticket, str], None],
    ) -> None:
        self._settings, self._match, self._gate = settings, match, gate
        self.blotter, self.books = blotter, books
        self._sessions, self._shown, self._tell = sessions, shown, tell
        self._by_match: dict[int, Ticket] = {}
        self._last_match = 0
        self._exchange_ids = 0
        self._waiting: list[Ticket] = []
        self.on_fill: list[Callable[[Ticket, int, int, int], None]] = []
        self.on_end: list[Callable[[Ticket, int], None]] = []

    # ---- place ----

    def place(self, wish: Wish, now_ns: int, **given: Any) -> Ticket:
        """Take an order in, check it, and send it to the exchange.

        Args:
            given: fields of the ticket: of a leg of a super order.

        Raises:
            Refusal: DH-906, by a check whose refusal is not written into the book.
        """
        wish, shown = self._priced(wish)
        refusal = self._objection(wish, now_ns)
        if refusal is not None and refusal[0] not in self._settings.in_book:
            raise bad_order(refusal[1].format(id=len(self.blotter.tickets) + 1))
        ticket = self.blotter.open(wish, now_ns, shown=shown, **given)
        self._tell(ticket, "")
        if refusal is not None:
            self._reject(ticket, refusal[0], refusal[1].format(id=ticket.order_id), now_ns)
        elif wish.amo and now_ns < self._open_ns(ticket.contract):
            ticket.status = "PENDING"
            self._waiting.append(ticket)
            self._changed(ticket, CONFIRMED, now_ns)
        else:
            self.send(ticket, now_ns)
        return ticket

    def enter(self, wish: Wish, now_ns: int, **given: Any) -> Ticket:
        """Write an order down that the broker itself makes: it is not checked, nor sent yet.

        Args:
            given: fields of the ticket.
        """
        return self.blotter.open(wish, now_ns, **given)

    def start(self, ticket: Ticket, now_ns: int) -> None:
        """Tell of an order that was entered, and send it."""
        self._tell(ticket, "")
        self.send(ticket, now_ns)

    def shift(self, ticket: Ticket, qty: int, price: int, trigger: int, now_ns: int) -> None:
        """New terms that the broker itself gives an order at the exchange; not counted.

        Args:
            qty: of the whole order, what has filled or was taken off included.
        """
        ticket.extra.setdefault("wanted", []).append((qty, price, trigger))
        self._match.modify_order(ticket.match_id, price=price, trigger=trigger,
                                 qty=qty - ticket.match_base, now_ns=now_ns)  # fmt: skip
        self.drain()

    def release(self, now_ns: int) -> None:
        """Send what was waiting for the open."""
        waits = {"PRE_OPEN": 0, "OPEN": 0, "OPEN_30": 30, "OPEN_60": 60}
        for ticket in self._waiting:
            if ticket.wish.amo and ticket.status == "PENDING" and not ticket.match_id:
                due_ns = self._open_ns(ticket.contract) + waits[ticket.wish.amo] * 60_000_000_000
                if now_ns >= due_ns:
                    self.send(ticket, now_ns)
        self._waiting = [one for one in self._waiting if one.is_open and not one.match_id]

    def _priced(self, wish: Wish) -> tuple[Wish, str]:
        """A market order gets the limit that protects it; so does a stop's, when that is done."""
        if wish.kind == "MARKET":
            price = self.protected(wish.contract, wish.side, 0)
            return (replace(wish, price=price), "LIMIT") if price else (wish, "MARKET")
        if wish.kind == "STOP_LOSS_MARKET" and self._settings.stop_market == "convert":
            price = self.protected(wish.contract, wish.side, wish.trigger)
            return replace(wish, price=price), "STOP_LOSS"
        return wish, wish.kind

    def protected(self, contract: Contract, side: int, price: int) -> int:
        """The limit of a market order, paise: `price`, or the market's, and some more.

        Never beyond the day's range; 0 when there is no price to go by.
        """
        face = self._shown[contract.index]
        if not price:
            price = int(face["last"] or (face["ask"] if side == BUY else face["bid"])
                        or face["prev_close"])  # fmt: skip
        if not price:
            return 0
        steps = self._settings.protection
        part = next(part for most, part in steps if price < most or most == 0)
        tick = contract.tick
        away = max(price * part // 10_000, tick)
        limit = (price + side * away) // tick * tick
        session = self._sessions[contract.index][0]
        if session["band_high"]:
            limit = min(limit, int(session["band_high"]) // tick * tick)
        low = -(-int(session["band_low"]) // tick) * tick
        return max(limit, low, tick)

    def _open_ns(self, contract: Contract) -> int:
        return int(self._sessions[contract.index][0]["open_ns"])

    def _objection(self, wish: Wish, now_ns: int) -> tuple[str, str] | None:
        """The check that an order fails, and the text."""
        failed = self._unfit(wish, now_ns)
        if failed is None and not self._affordable(wish):
            return "margin", TEXTS["margin"].replace("{short}", self._shortfall(wish))
        if failed is None:
            return None
        contract = wish.contract
        text = TEXTS[failed].replace("{lot}", str(contract.lot))
        text = text.replace("{freeze}", str(contract.freeze))
        return failed, text.replace("{tick}", f"{contract.tick / 100:.2f}")

    def _unfit(self, wish: Wish, now_ns: int) -> str | None:
        contract = wish.contract
        session = self._sessions[contract.index][0]
        if wish.kind == "STOP_LOSS_MARKET" and self._settings.stop_market == "refuse":
            return "kind"
        if wish.qty % contract.lot:
            return "lot"
        if contract.freeze and wish.qty > contract.freeze:
            return "freeze"
        if wish.price % contract.tick or wish.trigger % contract.tick:
            return "tick"
        low, high = int(session["band_low"]), int(session["band_high"])
        for price in (wish.price, wish.trigger):
            if price and ((low and price < low) or (high and price > high)):
                return "band"
        if wish.trigger and wish.price and (wish.price - wish.trigger) * wish.side < 0:
            return "trigger"
        last = int(self._shown[contract.index]["last"])
        if wish.trigger and last and (last - wish.trigger) * wish.side > 0:
            return "trigger"
        if not _is_open(session, now_ns) and not (wish.amo and now_ns < session["open_ns"]):
            return "closed"
        if wish.amo and _is_open(session, now_ns):
            return "closed"
        if wish.kind == "MARKET" and not wish.price:
            return "closed"
        return None

    def _affordable(self, wish: Wish) -> bool:
        return self._after(wish) >= 0

    def _after(self, wish: Wish) -> int:
        """Funds left with this order; 0 when it needs none."""
        working = self.blotter.working
        before = self.books.available(working)
        ghost = Ticket(0, "", wish, 0)
        after = self.books.available([*working, ghost])
        return 0 if after >= before else after

    def _shortfall(self, wish: Wish) -> str:
        return f"{-self._after(wish) / 100:.2f}"

    def send(self, ticket: Ticket, now_ns: int) -> None:
        """Hand an order, or what is left of it, to the kernel."""
        self._last_match += 1
        number = self._last_match
        order = {
            "id": number,
            "created_ns": now_ns,
            "price": ticket.price,
            "trigger": ticket.trigger,
            "qty": ticket.qty - ticket.filled,
            "group": ticket.group,
            "instrument": ticket.contract.index,
            "side": ticket.side,
            "kind": int(OrderKind.SL if ticket.trigger else OrderKind.LIMIT),
            "validity": int(Validity.IOC if ticket.validity == "IOC" else Validity.DAY),
        }
        session = self._sessions[ticket.contract.index]
        try:
            approved = self._gate.check(order, mark=ticket.price, now_ns=now_ns, session=session[0])
        except OrderRefused as error:
            reason = RejectReason(int(error.reason))  # type: ignore[attr-defined]
            check = REASONS.get(reason, "closed")
            self._reject(ticket, check, f"RMS:{ticket.order_id}:{reason.name}", now_ns)
            return
        ticket.match_id, ticket.match_base = number, ticket.filled
        self._by_match[number] = ticket
        try:
            self._match.submit_order(approved, now_ns)
        except PoolFull:
            del self._by_match[number]
            ticket.match_id = 0
            raise Refusal(500, 908, "Too many open orders") from None
        self.drain()

    # ---- modify, cancel ----

    def modify(self, ticket: Ticket, raw: Any, now_ns: int) -> Ticket:
        """Change an open order, as `PUT /orders/{orderId}` asks.

        Raises:
            Refusal: DH-905 for the request, DH-906 for the order.
        """
        body = Body(raw, MODIFY_FIELDS)
        if "orderId" in body.raw and str(body.raw["orderId"]) != ticket.order_id:
            raise bad_input("orderId is invalid")
        kind = body.choice("orderType", KINDS)
        validity = body.choice("validity", VALIDITIES)
        if body.raw.get("legName") not in (None, ""):
            body.choice("legName", LEGS)
        qty = body.whole("quantity", ticket.qty) or ticket.qty
        price = body.money("price", ticket.price) or ticket.price
        trigger = body.money("triggerPrice", ticket.trigger) or ticket.trigger
        disclosed = body.whole("disclosedQuantity", min(ticket.disclosed, qty))
        require_disclosed(disclosed, qty)
        if kind in ("MARKET", "STOP_LOSS_MARKET"):
            price = 0
        elif not price:
            raise bad_input("price is required")
        if kind in STOPS and not trigger:
            raise bad_input("triggerPrice is required")
        before, ticket.disclosed = ticket.disclosed, disclosed
        try:
            return self.change(ticket, kind, validity, qty, price, trigger if kind in STOPS else 0,
                               now_ns)  # fmt: skip
        except Refusal:
            ticket.disclosed = before
            raise

    def change(
        self,
        ticket: Ticket,
        kind: str,
        validity: str,
        qty: int,
        price: int,
        trigger: int,
        now_ns: int,
    ) -> Ticket:
        """New terms for an open order: in place, or by another one where the kernel needs it.

        Raises:
            Refusal: DH-906.
        """
        if not ticket.is_open:
            raise bad_order(f"Order {ticket.order_id} is {ticket.status.lower()}, not pending")
        if ticket.changes >= MODIFY_MAX:
            raise bad_order(f"Order {ticket.order_id} was modified {MODIFY_MAX} times already")
        if qty <= ticket.filled + ticket.reduced:
            raise bad_order("quantity must be above what is traded already")
        wish = replace(ticket.wish, kind=kind, validity=validity, qty=qty, price=price,
                       trigger=trigger, amo="")  # fmt: skip
        wish, shown = self._priced(wish)
        # A stop that has been triggered works as a limit: its trigger is past, and stays.
        triggered = bool(ticket.trigger) and bool(ticket.extra.get("triggered"))
        failed = self._unfit(replace(wish, trigger=0) if triggered else wish, now_ns)
        if ticket.wish.amo and not ticket.match_id and failed == "closed":
            failed = None
        if failed is not None:
            text = TEXTS[failed].format(id=ticket.order_id, lot=wish.contract.lot,
                                        freeze=wish.contract.freeze,
                                        tick=f"{wish.contract.tick / 100:.2f}")  # fmt: skip
            raise bad_order(text)
        self._require_funds(ticket, wish)
        ticket.changes += 1
        held = not ticket.match_id
        same = bool(ticket.trigger) == bool(wish.trigger) and validity == ticket.validity
        ticket.shown, ticket.validity = shown, validity
        if held:
            ticket.qty, ticket.price, ticket.trigger = qty, wish.price, wish.trigger
            self._changed(ticket, CONFIRMED, now_ns)
        elif same and "next" not in ticket.extra:
            self.shift(ticket, qty, wish.price, wish.trigger, now_ns)
        else:
            self._replace(ticket, qty, wish, now_ns)
        return ticket

    def _require_funds(self, ticket: Ticket, wish: Wish) -> None:
        working = [one for one in self.blotter.working if one is not ticket]
        now = self.books.available(self.blotter.working)
        ghost = Ticket(0, "", replace(wish, qty=wish.qty - ticket.filled), 0)
        after = self.books.available([*working, ghost])
        if after < 0 and after < now:
            raise bad_order(TEXTS["margin"].format(id=ticket.order_id, short=f"{-after / 100:.2f}"))

    def _replace(self, ticket: Ticket, qty: int, wish: Wish, now_ns: int) -> None:
        """End what works; when the exchange says so, the rest is sent on new terms.

        What fills in between belongs to the order: nothing is sent twice.
        """
        ticket.extra["next"] = (qty, wish)
        self._match.cancel_order(ticket.match_id, now_ns)
        self.drain()

    def _resume(self, ticket: Ticket, now_ns: int) -> None:
        """Send what is left of an order that was ended to be sent again."""
        qty, wish = ticket.extra.pop("next")
        ticket.extra.pop("triggered", None)
        ticket.extra.pop("wanted", None)
        self._by_match.pop(ticket.match_id, None)
        ticket.match_id = 0
        ticket.qty, ticket.price, ticket.trigger = qty, wish.price, wish.trigger
        if ticket.filled >= qty:
            self._end(ticket, "TRADED", CONFIRMED, now_ns)
            return
        ticket.replacing = True
        self.send(ticket, now_ns)

    def cancel(self, ticket: Ticket, now_ns: int) -> Ticket:
        """End an open order.

        Raises:
            Refusal: DH-906, it is not open.
        """
        if not ticket.is_open:
            raise bad_order(f"Order {ticket.order_id} is {ticket.status.lower()}, not pending")
        ticket.extra.pop("next", None)
        if ticket.match_id:
            self._match.cancel_order(ticket.match_id, now_ns)
            self.drain()
        else:
            self._end(ticket, "CANCELLED", "CANCELLED", now_ns)
        return ticket

    def break_up(self, ticket: Ticket, status: str, now_ns: int) -> None:
        """A fault of the exchange: half of an open order fills at its limit, the rest ends.

        Args:
            status: of the rest: REJECTED or CANCELLED.
        """
        ticket.extra["broken"] = status
        if ticket.match_id:
            self._match.cancel_order(ticket.match_id, now_ns)
            self.drain()
        else:
            self._break(ticket, now_ns)

    def _break(self, ticket: Ticket, now_ns: int) -> None:
        """The kernel has let go of an order that is to be broken up."""
        status = ticket.extra.pop("broken")
        half = ticket.left // 2 // ticket.contract.lot * ticket.contract.lot
        if half:
            self._fill(ticket, half, ticket.price, now_ns)
        if status == "REJECTED":
            ticket.error_code = "EXCH:16388"
            ticket.error_text = "EXCH:16388:The rest of the order is rejected by the exchange"
        self._end(ticket, status, ticket.error_text or status, now_ns)

    def expire(self, now_ns: int) -> None:
        """End what was never sent: the day is over."""
        for ticket in self.blotter.working:
            if not ticket.match_id:
                self._end(ticket, "EXPIRED", "EXPIRED", now_ns)

    # ---- what the kernel says ----

    def drain(self) -> None:
        """Book every report of the kernel."""
        while self._match.pending_reports:
            for report in self._match.reports():
                ticket = self._by_match.get(int(report["order_id"]))
                if ticket is not None:
                    self._book(ticket, report)

    def _book(self, ticket: Ticket, report: Any) -> None:
        kind, now_ns = ReportKind(int(report["kind"])), int(report["time_ns"])
        if kind == ReportKind.FILLED:
            self._fill(ticket, int(report["qty"]), int(report["price"]), now_ns)
        elif kind == ReportKind.ACCEPTED:
            self._accepted(ticket, int(report["left"]), now_ns)
        elif kind == ReportKind.TRIGGERED:
            ticket.extra["triggered"] = True
            self._changed(ticket, "TRIGGERED", now_ns)
        elif kind == ReportKind.REJECTED:
            self._refused(ticket, int(report["left"]), RejectReason(int(report["reason"])), now_ns)
        elif kind == ReportKind.CANCELLED and "broken" in ticket.extra:
            self._break(ticket, now_ns)
        elif kind == ReportKind.CANCELLED and "next" in ticket.extra:
            self._resume(ticket, now_ns)
        else:
            ioc = ticket.validity == "IOC" and kind == ReportKind.EXPIRED
            status = "CANCELLED" if kind == ReportKind.CANCELLED else "EXPIRED"
            self._end(ticket, self._settings.ioc_end if ioc else status, status, now_ns)

    def _accepted(self, ticket: Ticket, left: int, now_ns: int) -> None:
        ticket.exchange_ns = now_ns
        if not ticket.exchange_id:
            self._exchange_ids += 1
            ticket.exchange_id = f"{1_300_000_000_000_000 + self._exchange_ids}"
            ticket.status = "PENDING"
        elif ticket.replacing:
            ticket.replacing = False
        elif not self._took_terms(ticket, left):  # a fill of the other leg made this one smaller
            ticket.reduced = ticket.qty - ticket.filled - left
        self._changed(ticket, CONFIRMED, now_ns)

    @staticmethod
    def _took_terms(ticket: Ticket, left: int) -> bool:
        """Whether the kernel says yes to the oldest change under way, which is then in force."""
        wanted = ticket.extra.get("wanted")
        if not wanted or left != wanted[0][0] - ticket.filled - ticket.reduced:
            return False
        ticket.qty, ticket.price, ticket.trigger = wanted.pop(0)
        return True

    def _fill(self, ticket: Ticket, qty: int, price: int, now_ns: int) -> None:
        ticket.filled += qty
        ticket.value += qty * price
        ticket.last_price = price
        ticket.exchange_ns = now_ns
        done = ticket.filled + ticket.reduced >= ticket.qty
        ticket.status = "TRADED" if done else "PART_TRADED"
        self.books.fill(ticket, qty, price, now_ns)
        if done:
            self._by_match.pop(ticket.match_id, None)
            ticket.match_id = 0
        self._changed(ticket, CONFIRMED, now_ns)
        for hook in self.on_fill:
            hook(ticket, qty, price, now_ns)
        if done:
            for end in self.on_end:
                end(ticket, now_ns)

    def _refused(self, ticket: Ticket, left: int, reason: RejectReason, now_ns: int) -> None:
        if ticket.extra.get("wanted"):
            ticket.extra["wanted"].pop(0)
        if left:  # a change came too late or broke a rule: the order goes on as it was
            self._changed(ticket, f"MODIFY REJECTED: {reason.name}", now_ns)
        elif reason != RejectReason.STALE_ORDER:
            check = REASONS.get(reason, "closed")
            contract = ticket.contract
            text = TEXTS[check].format(id=ticket.order_id, lot=contract.lot,
                                       freeze=contract.freeze, short="0.00",
                                       tick=f"{contract.tick / 100:.2f}")  # fmt: skip
            self._reject(ticket, check, text, now_ns)

    def _reject(self, ticket: Ticket, check: str, text: str, now_ns: int) -> None:
        ticket.error_code, ticket.error_text = CODES[check], text
        self._end(ticket, "REJECTED", text, now_ns)

    def _end(self, ticket: Ticket, status: str, reason: str, now_ns: int) -> None:
        self._by_match.pop(ticket.match_id, None)
        ticket.match_id = 0
        ticket.status = status
        self._changed(ticket, reason, now_ns)
        for end in self.on_end:
            end(ticket, now_ns)

    def _changed(self, ticket: Ticket, reason: str, now_ns: int) -> None:
        ticket.updated_ns = now_ns
        self._tell(ticket, reason)


def _is_open(session: Any, now_ns: int) -> bool:
    first = session["open_ns"] <= now_ns < session["close_ns"]
    return bool(first or session["open2_ns"] <= now_ns < session["close2_ns"])
