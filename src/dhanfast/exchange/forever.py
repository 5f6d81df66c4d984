"""Forever orders: held by the broker until the market reaches their price."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from dhanfast.exchange.answers import Refusal, Reply, answer, bad_input, bad_order
from dhanfast.exchange.contracts import Contract
from dhanfast.exchange.fields import Body, rupees, stamp
from dhanfast.exchange.orders import SIDE_WORDS, SIDES, VALIDITIES, Ticket, Wish, contract_of
from dhanfast.exchange.routes import Call, Route, order_route
from dhanfast.exchange.views import derivative

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

PLACE: Final = frozenset({
    "correlationId", "orderFlag", "transactionType", "exchangeSegment", "productType", "orderType",
    "validity", "securityId", "quantity", "disclosedQuantity", "price", "triggerPrice", "price1",
    "triggerPrice1", "quantity1", "tradingSymbol",
})  # fmt: skip
MODIFY: Final = frozenset({
    "orderId", "orderFlag", "orderType", "legName", "quantity", "price", "triggerPrice",
    "disclosedQuantity", "validity",
})  # fmt: skip
PRODUCTS: Final = ("CNC", "MTF", "MARGIN")
KINDS: Final = ("LIMIT", "MARKET")
MODIFY_KINDS: Final = ("LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_MARKET")
FLAGS: Final = ("SINGLE", "OCO")
LEG_NAMES: Final = ("TARGET_LEG", "STOP_LOSS_LEG")


@dataclass(slots=True)
class Arm:
    """One price that is waited for.

    Attributes:
        wish: what is sent then. above: whether the market must rise to it. state: CONFIRM,
            then what became of it. ticket: what was sent.
    """

    wish: Wish
    trigger: int
    above: bool
    state: str = "CONFIRM"
    ticket: Ticket | None = None

    @property
    def waits(self) -> bool:
        """Whether it is still held."""
        return self.state == "CONFIRM"


@dataclass(slots=True)
class Forever:
    """One forever order: one arm, or two of which one ends the other."""

    order_id: str
    flag: str
    arms: list[Arm]
    created_ns: int
    updated_ns: int = 0
    changes: dict[str, Any] = field(default_factory=dict)


class ForeverOrders:
    """Forever orders of the account.

    Args:
        core: whose account.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core
        self._orders: dict[str, Forever] = {}
        core.watchers.append(self._prices)
        core.on_watch.append(self._on_watch)

    def routes(self) -> list[Route]:
        """What is served: both addresses that the documents name for the list."""
        return [
            order_route("POST", "/v2/forever/orders", self.place),
            order_route("PUT", "/v2/forever/orders/{}", self.modify),
            order_route("DELETE", "/v2/forever/orders/{}", self.cancel),
            Route("GET", "/v2/forever/orders", self.listed),
            Route("GET", "/v2/forever/all", self.listed),
        ]

    def place(self, call: Call) -> Reply:
        """`POST /forever/orders`."""
        body = Body(call.raw, PLACE)
        contract = contract_of(body, self._core.contracts)
        flag = body.choice("orderFlag", FLAGS)
        kind = body.choice("orderType", KINDS)
        body.whole("disclosedQuantity", 0)
        validity = body.choice("validity", VALIDITIES)
        first = Wish(contract, SIDES[body.choice("transactionType", tuple(SIDES))],
                     body.choice("productType", PRODUCTS), kind, validity,
                     body.whole("quantity"), body.money("price", 0) if kind == "LIMIT" else 0, 0,
                     correlation=body.correlation())  # fmt: skip
        arms = [self._arm(first, body.money("triggerPrice"))]
        if flag == "OCO":
            price = body.money("price1") if kind == "LIMIT" else 0
            second = replace(first, qty=body.whole("quantity1"), price=price, correlation=None)
            arms.append(self._arm(second, body.money("triggerPrice1")))
            if arms[0].above == arms[1].above:
                raise bad_input("triggerPrice1 must be on the other side of the market")
        self._core.require_trading(first)
        number = len(self._orders) + 1
        made = Forever(f"{5_132_000_000 + number}", flag, arms, call.now_ns)
        self._orders[made.order_id] = made
        self._core.watch(contract)
        return answer({"orderId": made.order_id, "orderStatus": "PENDING"})

    def _arm(self, wish: Wish, trigger: int) -> Arm:
        """A price to wait for, and on which side of the market it is now."""
        contract, last = wish.contract, self._core.last(wish.contract)
        if wish.qty <= 0 or wish.qty % contract.lot:
            raise bad_order(f"Order quantity should be in multiple of lot size {contract.lot}")
        if trigger <= 0 or (wish.kind == "LIMIT" and wish.price <= 0):
            raise bad_input("triggerPrice is required" if trigger <= 0 else "price is required")
        if trigger % contract.tick or wish.price % contract.tick:
            raise bad_order(f"The price is not a multiple of the tick {contract.tick / 100:.2f}")
        return Arm(wish, trigger, trigger > last)

    def modify(self, call: Call) -> Reply:
        """`PUT /forever/orders/{orderId}`: one leg."""
        found = self._find(call.args[0])
        body = Body(call.raw, MODIFY)
        if body.choice("orderFlag", FLAGS) != found.flag:
            raise bad_input("orderFlag is invalid")
        leg = body.choice("legName", (*LEG_NAMES, "ENTRY_LEG"))
        at = 1 if leg == "STOP_LOSS_LEG" else 0
        if at >= len(found.arms) or not found.arms[at].waits:
            raise bad_order("The leg is not pending")
        kind = body.choice("orderType", MODIFY_KINDS)
        body.whole("disclosedQuantity", 0)
        old = found.arms[at]
        priced = kind in ("LIMIT", "STOP_LOSS")
        wish = replace(old.wish, kind="LIMIT" if priced else "MARKET",
                       validity=body.choice("validity", VALIDITIES),
                       qty=body.whole("quantity", old.wish.qty),
                       price=body.money("price", old.wish.price) if priced else 0)  # fmt: skip
        new = self._arm(wish, body.money("triggerPrice", old.trigger))
        if any(arm.waits and arm.above == new.above for arm in found.arms if arm is not old):
            raise bad_input("triggerPrice must be on the other side of the market")
        found.arms[at] = new
        found.updated_ns = call.now_ns
        self._core.watch(wish.contract)
        return answer({"orderId": found.order_id, "orderStatus": "PENDING"})

    def cancel(self, call: Call) -> Reply:
        """`DELETE /forever/orders/{orderId}`: 202."""
        found = self._find(call.args[0])
        if not any(arm.waits for arm in found.arms):
            raise bad_order("The order is not pending")
        self._end(found, call.now_ns)
        return answer({"orderId": found.order_id, "orderStatus": "CANCELLED"}, 202)

    def _end(self, found: Forever, now_ns: int) -> None:
        for arm in found.arms:
            if arm.waits:
                arm.state = "CANCELLED"
        found.updated_ns = now_ns

    def listed(self, call: Call) -> Reply:
        """`GET /forever/orders`: an entry a leg."""
        return answer([self._view(one, at) for one in self._orders.values()
                       for at in range(len(one.arms))])  # fmt: skip

    def _find(self, order_id: str) -> Forever:
        if order_id not in self._orders:
            raise Refusal(404, 906, "Incorrect request for order and cannot be processed")
        return self._orders[order_id]

    def _view(self, found: Forever, at: int) -> dict[str, Any]:
        arm = found.arms[at]
        wish, contract = arm.wish, arm.wish.contract
        state = arm.ticket.status if arm.ticket is not None else arm.state
        single = found.flag == "SINGLE"
        return {
            "dhanClientId": self._core.settings.client_id,
            "orderId": found.order_id,
            "orderStatus": state,
            "transactionType": SIDE_WORDS[wish.side],
            "exchangeSegment": contract.segment,
            "productType": wish.product,
            "orderType": found.flag,
            "tradingSymbol": contract.trading_symbol,
            "securityId": str(contract.security_id),
            "quantity": wish.qty,
            "price": rupees(wish.price),
            "triggerPrice": rupees(arm.trigger),
            "legName": "ENTRY_LEG" if single else LEG_NAMES[at],
            "createTime": stamp(found.created_ns),
            "updateTime": stamp(found.updated_ns),
            "exchangeTime": stamp(arm.ticket.exchange_ns) if arm.ticket is not None else None,
            **derivative(contract, empty=None),
        }

    # ---- the market ----

    def _prices(self, contract: Contract) -> list[int]:
        return [arm.trigger for one in self._orders.values() for arm in one.arms
                if arm.waits and arm.wish.contract is contract]  # fmt: skip

    def _on_watch(self, contract: Contract, now_ns: int) -> None:
        last = self._core.last(contract)
        for found in self._orders.values():
            for arm in found.arms:
                if not arm.waits or arm.wish.contract is not contract:
                    continue
                if (last >= arm.trigger) if arm.above else (last <= arm.trigger):
                    self._fire(found, arm, now_ns)
                    break

    def _fire(self, found: Forever, arm: Arm, now_ns: int) -> None:
        arm.state = "TRIGGERED"
        self._end(found, now_ns)
        try:
            self._core.require_trading(arm.wish)
            arm.ticket = self._core.desk.place(arm.wish, now_ns)
        except Refusal:
            arm.state = "REJECTED"
