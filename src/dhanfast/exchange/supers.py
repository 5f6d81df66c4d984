"""Super orders: an entry, and for what it fills a target and a stop that may trail."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from dhanfast.exchange.answers import Refusal, Reply, answer, bad_input, bad_order
from dhanfast.exchange.contracts import Contract
from dhanfast.exchange.fields import Body, rupees
from dhanfast.exchange.orders import (
    DONE,
    SIDE_WORDS,
    SIDES,
    Ticket,
    Wish,
    contract_of,
)
from dhanfast.exchange.routes import Call, Route, order_route
from dhanfast.exchange.trading import taken
from dhanfast.exchange.views import order_view

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

PLACE: Final = frozenset({
    "correlationId", "transactionType", "exchangeSegment", "productType", "orderType",
    "securityId", "quantity", "price", "targetPrice", "stopLossPrice", "trailingJump", "validity",
})  # fmt: skip
MODIFY: Final = frozenset({
    "orderId", "orderType", "legName", "quantity", "price", "targetPrice", "stopLossPrice",
    "trailingJump",
})  # fmt: skip
PRODUCTS: Final = ("CNC", "INTRADAY", "MARGIN", "MTF")
KINDS: Final = ("LIMIT", "MARKET")
LEGS: Final = ("ENTRY_LEG", "TARGET_LEG", "STOP_LOSS_LEG")
REMARK: Final = "Super Order"
STOP, TARGET = 2, 3


@dataclass(slots=True, eq=False)
class Super:
    """One super order.

    Attributes:
        entry: its entry. target, stop: what they ask, paise; 0 = none, or cancelled.
        jump: of the trail, paise; 0 = none. best: the price that the stop has followed.
        legs: the orders that are at the exchange, by leg number.
        fired: the leg that filled, 0 = none yet. closed: units that legs have filled.
    """

    entry: Ticket
    target: int
    stop: int
    jump: int
    best: int
    legs: dict[int, Ticket]
    fired: int = 0
    closed: int = 0

    @property
    def held(self) -> int:
        """Units of the entry that no leg has closed."""
        return self.entry.filled - self.closed

    @property
    def side(self) -> int:
        """Of the entry."""
        return self.entry.side


class SuperOrders:
    """Super orders of the account.

    Args:
        core: whose account.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core
        self._supers: dict[str, Super] = {}
        self._of_leg: dict[Ticket, Super] = {}
        core.desk.on_fill.append(self._on_fill)
        core.desk.on_end.append(self._on_end)
        core.watchers.append(self._trails)
        core.on_watch.append(self._on_watch)

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            order_route("POST", "/v2/super/orders", self.place),
            order_route("PUT", "/v2/super/orders/{}", self.modify),
            order_route("DELETE", "/v2/super/orders/{}/{}", self.cancel),
            Route("GET", "/v2/super/orders", self.listed),
        ]

    # ---- requests ----

    def place(self, call: Call) -> Reply:
        """`POST /super/orders`."""
        body = Body(call.raw, PLACE)
        contract = contract_of(body, self._core.contracts)
        side = SIDES[body.choice("transactionType", tuple(SIDES))]
        kind = body.choice("orderType", KINDS)
        wish = Wish(contract, side, body.choice("productType", PRODUCTS), kind, "DAY",
                    body.whole("quantity"), body.money("price") if kind == "LIMIT" else 0, 0,
                    correlation=body.correlation())  # fmt: skip
        price = body.money("price", 0)
        target, stop = body.money("targetPrice", 0), body.money("stopLossPrice", 0)
        jump = body.money("trailingJump", 0)
        self._check(contract, side, price, target, stop, jump)
        if wish.qty <= 0 or (kind == "LIMIT" and price <= 0):
            raise bad_input("quantity is invalid" if wish.qty <= 0 else "price is required")
        self._core.require_trading(wish)
        entry = self._core.desk.place(wish, call.now_ns, leg=1, leg_name="ENTRY_LEG",
                                      remark=REMARK)  # fmt: skip
        best = price or self._core.last(contract)
        self._supers[entry.order_id] = Super(entry, target, stop, jump, best, {})
        self._core.watch(contract)
        return answer(taken(entry))

    def _check(
        self, contract: Contract, side: int, price: int, target: int, stop: int, jump: int
    ) -> None:
        """Prices on the tick, and the exits on their sides of the entry."""
        if not target and not stop:
            raise bad_input("targetPrice or stopLossPrice is required")
        for paise in (price, target, stop, jump):
            if paise % contract.tick:
                raise bad_order(
                    f"The price is not a multiple of the tick {contract.tick / 100:.2f}"
                )
        if price and target and (target - price) * side <= 0:
            raise bad_input("targetPrice is on the wrong side of price")
        if price and stop and (price - stop) * side <= 0:
            raise bad_input("stopLossPrice is on the wrong side of price")

    def modify(self, call: Call) -> Reply:
        """`PUT /super/orders/{orderId}`: one leg."""
        found = self._find(call.args[0])
        body = Body(call.raw, MODIFY)
        leg = body.choice("legName", LEGS)
        if leg == "ENTRY_LEG":
            self._modify_entry(found, body, call.now_ns)
        elif found.entry.status != "TRADED":
            raise bad_order("The leg can be modified when the entry is traded")
        elif leg == "TARGET_LEG":
            price = body.money("targetPrice")
            self._check(found.entry.contract, found.side, 0, price, 0, 0)
            self._change_leg(found, TARGET, price, call.now_ns)
        else:
            price = body.money("stopLossPrice")
            jump = body.money("trailingJump", 0)  # absent or 0: the trail ends
            self._check(found.entry.contract, found.side, 0, 0, price, jump)
            self._change_leg(found, STOP, price, call.now_ns)
            found.jump, found.best = jump, self._core.last(found.entry.contract)
        self._core.watch(found.entry.contract)
        return answer(taken(found.entry))

    def _modify_entry(self, found: Super, body: Body, now_ns: int) -> None:
        entry = found.entry
        if entry.status not in ("PENDING", "PART_TRADED"):
            raise bad_order(f"The entry is {entry.status.lower()}")
        kind = body.choice("orderType", KINDS, entry.shown)
        price = body.money("price", entry.price)
        target, stop = body.money("targetPrice", found.target), body.money("stopLossPrice",
                                                                          found.stop)  # fmt: skip
        self._check(entry.contract, found.side, price, target, stop, 0)
        self._core.desk.change(entry, kind, "DAY", body.whole("quantity", entry.qty),
                               price if kind == "LIMIT" else 0, 0, now_ns)  # fmt: skip
        found.target, found.stop = target, stop
        found.jump = body.money("trailingJump", 0)
        for leg, paise in ((TARGET, target), (STOP, stop)):
            if leg in found.legs and found.legs[leg].is_open:
                self._change_leg(found, leg, paise, now_ns)

    def _change_leg(self, found: Super, leg: int, price: int, now_ns: int) -> None:
        """A new price of a leg that is at the exchange."""
        ticket = found.legs.get(leg)
        if ticket is None or not ticket.is_open:
            raise bad_order("The leg is not pending")
        if leg == TARGET:
            self._core.desk.change(ticket, "LIMIT", "DAY", ticket.qty, price, 0, now_ns)
            found.target = price
        else:
            limit = self._core.desk.protected(ticket.contract, ticket.side, price)
            self._core.desk.change(ticket, "STOP_LOSS", "DAY", ticket.qty, limit, price, now_ns)
            found.stop = price

    def cancel(self, call: Call) -> Reply:
        """`DELETE /super/orders/{orderId}/{leg}`: the entry ends everything."""
        found = self._find(call.args[0])
        leg = call.args[1]
        if leg not in LEGS:
            raise bad_input("legName is invalid")
        if leg == "ENTRY_LEG":
            if found.entry.is_open:
                self._core.desk.cancel(found.entry, call.now_ns)
            elif not any(one.is_open for one in found.legs.values()):
                raise bad_order(f"The order is {found.entry.status.lower()}")
            for one in list(found.legs.values()):
                if one.is_open:
                    self._core.desk.cancel(one, call.now_ns)
            found.target = found.stop = 0
        else:
            self._cancel_leg(found, TARGET if leg == "TARGET_LEG" else STOP, call.now_ns)
        return answer({"orderId": found.entry.order_id, "orderStatus": "CANCELLED"}, 202)

    def _cancel_leg(self, found: Super, leg: int, now_ns: int) -> None:
        ticket = found.legs.get(leg)
        asked = found.target if leg == TARGET else found.stop
        if not asked or (ticket is not None and not ticket.is_open):
            raise bad_order("The leg is not pending")
        if leg == TARGET:
            found.target = 0
        else:
            found.stop = found.jump = 0
        if ticket is not None:
            self._core.desk.cancel(ticket, now_ns)

    def listed(self, call: Call) -> Reply:
        """`GET /super/orders`."""
        return answer([self._view(one) for one in self._supers.values()])

    def _find(self, order_id: str) -> Super:
        if order_id not in self._supers:
            raise Refusal(404, 906, "Incorrect request for order and cannot be processed")
        return self._supers[order_id]

    # ---- what happens ----

    def _on_fill(self, ticket: Ticket, qty: int, price: int, now_ns: int) -> None:
        found = self._supers.get(ticket.order_id)
        if found is not None:
            found.best = found.best or price
            self._cover(found, now_ns)
            self._core.watch(ticket.contract)
        elif ticket in self._of_leg:
            self._of_leg[ticket].fired = ticket.leg
            self._of_leg[ticket].closed += qty

    def _cover(self, found: Super, now_ns: int) -> None:
        """Rest target and stop for all that the entry has filled."""
        for leg, price in ((STOP, found.stop), (TARGET, found.target)):
            if not price:
                continue
            ticket = found.legs.get(leg)
            if ticket is None or ticket.status in DONE:
                if found.held > 0:
                    self._rest(found, leg, price, now_ns)
            else:
                whole = ticket.filled + ticket.reduced + found.held
                self._core.desk.shift(ticket, whole, ticket.price, ticket.trigger, now_ns)

    def _rest(self, found: Super, leg: int, price: int, now_ns: int) -> None:
        entry, desk = found.entry, self._core.desk
        side, last = -found.side, self._core.last(entry.contract)
        wish = replace(entry.wish, side=side, qty=found.held, kind="LIMIT", price=price, trigger=0,
                       correlation=None, amo="")  # fmt: skip
        if leg == STOP:
            limit = desk.protected(entry.contract, side, price)
            # A stop that the market has passed already leaves at the market's price.
            passed = bool(last) and (last - price) * side >= 0
            if passed:
                wish = replace(wish, price=desk.protected(entry.contract, side, 0))
            else:
                wish = replace(wish, kind="STOP_LOSS", price=limit, trigger=price)
        ticket = desk.enter(wish, now_ns, leg=leg, leg_name=LEGS[1 if leg == TARGET else 2],
                            parent=entry.order_id, remark=REMARK, group=entry.number)  # fmt: skip
        found.legs[leg] = ticket
        self._of_leg[ticket] = found
        desk.start(ticket, now_ns)

    def _on_end(self, ticket: Ticket, now_ns: int) -> None:
        found = self._supers.get(ticket.order_id)
        if found is not None and not ticket.filled:
            found.target = found.stop = 0

    # ---- the trail ----

    def _trails(self, contract: Contract) -> list[int]:
        """Prices at which a stop moves."""
        return [one.best + one.jump * one.side for one in self._trailing(contract)]

    def _trailing(self, contract: Contract) -> list[Super]:
        return [one for one in self._supers.values()
                if one.jump and one.stop and one.entry.contract is contract and STOP in one.legs
                and one.legs[STOP].is_open]  # fmt: skip

    def _on_watch(self, contract: Contract, now_ns: int) -> None:
        last = self._core.last(contract)
        for found in self._trailing(contract):
            jumps = (last - found.best) * found.side // found.jump
            if jumps > 0:
                found.best += jumps * found.jump * found.side
                stop = found.stop + jumps * found.jump * found.side
                if (last - stop) * found.side > 0:
                    self._move(found, stop, now_ns)

    def _move(self, found: Super, stop: int, now_ns: int) -> None:
        ticket = found.legs[STOP]
        limit = self._core.desk.protected(ticket.contract, ticket.side, stop)
        found.stop = stop
        self._core.desk.shift(ticket, ticket.qty, limit, stop, now_ns)

    # ---- how it looks ----

    def _view(self, found: Super) -> dict[str, Any]:
        entry = found.entry
        view = order_view(entry, self._core.settings.client_id)
        view["orderStatus"] = self._status(found)
        view["remainingQuantity"] = entry.qty - entry.filled
        view["ltp"] = rupees(self._core.last(entry.contract))
        view["legName"] = "ENTRY_LEG"
        view["legDetails"] = [self._leg_view(found, STOP), self._leg_view(found, TARGET)]
        for name in ("disclosedQuantity", "triggerPrice", "boProfitValue", "boStopLossValue"):
            del view[name]
        return view

    def _status(self, found: Super) -> str:
        done = found.entry.status == "TRADED" and found.fired and found.held == 0
        return "CLOSED" if done else found.entry.status

    def _leg_view(self, found: Super, leg: int) -> dict[str, Any]:
        ticket = found.legs.get(leg)
        price = found.target if leg == TARGET else found.stop
        if ticket is None:
            status = "PENDING" if price and found.entry.is_open else "CANCELLED"
        elif found.fired == leg:
            status = "TRIGGERED"
        else:
            status = ticket.status
        left = ticket.left if ticket is not None else 0
        return {
            "orderId": found.entry.order_id,
            "legName": LEGS[1 if leg == TARGET else 2],
            "transactionType": SIDE_WORDS[-found.side],
            "totalQuatity": found.entry.filled,
            "remainingQuantity": left,
            "triggeredQuantity": ticket.filled if ticket is not None else 0,
            "price": rupees(price),
            "orderStatus": status,
            "trailingJump": rupees(found.jump if leg == STOP else 0),
        }
