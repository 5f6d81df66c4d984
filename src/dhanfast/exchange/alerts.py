"""Conditional orders on a price, and several orders in one request."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dhanfast.exchange.answers import Refusal, Reply, answer, bad_input, bad_order
from dhanfast.exchange.contracts import Contract
from dhanfast.exchange.fields import Body, day_of, ist, paise_of
from dhanfast.exchange.orders import PLACE_FIELDS, Wish, wish_of
from dhanfast.exchange.routes import Call, Route, order_route
from dhanfast.market.calendar import IST_OFFSET_NS, exchange_date

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

ORDERS_MAX: Final = 15
CONDITION: Final = frozenset({
    "comparisonType", "exchangeSegment", "securityId", "indicatorName", "timeFrame", "operator",
    "comparingValue", "comparingIndicatorName", "expDate", "frequency", "userNote",
})  # fmt: skip
COMPARISONS: Final = ("PRICE_WITH_VALUE", "TECHNICAL_WITH_VALUE", "TECHNICAL_WITH_INDICATOR",
                      "TECHNICAL_WITH_CLOSE")  # fmt: skip
FRAMES: Final = ("DAY", "DATE", "ONE_MIN", "FIVE_MIN", "FIFTEEN_MIN")
SEGMENTS: Final = ("NSE_EQ", "BSE_EQ", "IDX_I")
Compare = Callable[[int, int], bool]
LEVELS: Final[dict[str, Compare]] = {
    "GREATER_THAN": operator.gt, "LESS_THAN": operator.lt, "GREATER_THAN_EQUAL": operator.ge,
    "LESS_THAN_EQUAL": operator.le, "EQUAL": operator.eq, "NOT_EQUAL": operator.ne,
}  # fmt: skip
CROSSINGS: Final = ("CROSSING_UP", "CROSSING_DOWN", "CROSSING_ANY_SIDE")
FREQUENCIES: Final = ("ONCE", "ALWAYS")
ORDER_FIELDS: Final = frozenset({
    "transactionType", "exchangeSegment", "productType", "orderType", "securityId", "quantity",
    "validity", "price", "discQuantity", "triggerPrice",
})  # fmt: skip


@dataclass(slots=True)
class Alert:
    """One condition and what is sent when it holds.

    Units:
        value and before in paise: `before` is the price seen last, which a crossing starts from.
    """

    alert_id: str
    contract: Contract
    compare: str
    value: int
    wishes: list[Wish]
    condition: dict[str, Any]
    orders: list[dict[str, Any]]
    created_ns: int
    before: int
    status: str = "ACTIVE"
    triggered_ns: int = 0
    sent: list[str] = field(default_factory=list)

    def holds(self, last: int) -> bool:
        """Whether the condition holds at a price, coming from the one before."""
        up = self.before < self.value <= last
        down = self.before > self.value >= last
        if self.compare == "CROSSING_UP":
            return up
        if self.compare == "CROSSING_DOWN":
            return down
        if self.compare == "CROSSING_ANY_SIDE":
            return up or down
        return LEVELS[self.compare](last, self.value)


class Alerts:
    """`/alerts`.

    Args:
        core: whose account.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core
        self._alerts: dict[str, Alert] = {}
        self._made = 770
        core.watchers.append(self._prices)
        core.on_watch.append(self._on_watch)
        core.on_time.append(self._expire)

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            order_route("POST", "/v2/alerts/orders", self.place),
            order_route("PUT", "/v2/alerts/orders/{}", self.modify),
            order_route("DELETE", "/v2/alerts/orders/{}", self.cancel),
            Route("GET", "/v2/alerts/orders", self.listed),
            Route("GET", "/v2/alerts/orders/{}", self.one),
            order_route("POST", "/v2/alerts/multi/orders", self.multi),
        ]

    # ---- conditions ----

    def place(self, call: Call) -> Reply:
        """`POST /alerts/orders`."""
        self._made += 1
        found = self._read(call, str(self._made))
        self._alerts[found.alert_id] = found
        self._check_now(found, call.now_ns)
        return answer({"alertId": found.alert_id, "alertStatus": found.status})

    def modify(self, call: Call) -> Reply:
        """`PUT /alerts/orders/{alertId}`."""
        old = self._find(call.args[0])
        if old.status != "ACTIVE":
            raise bad_order(f"The alert is {old.status.lower()}")
        found = self._read(call, old.alert_id)
        found.created_ns = old.created_ns
        self._alerts[found.alert_id] = found
        self._check_now(found, call.now_ns)
        return answer({"alertId": found.alert_id, "alertStatus": found.status})

    def cancel(self, call: Call) -> Reply:
        """`DELETE /alerts/orders/{alertId}`."""
        found = self._find(call.args[0])
        if found.status != "ACTIVE":
            raise bad_order(f"The alert is {found.status.lower()}")
        found.status = "CANCELLED"
        return answer({"alertId": found.alert_id, "alertStatus": found.status})

    def listed(self, call: Call) -> Reply:
        """`GET /alerts/orders`."""
        return answer([self._view(one) for one in self._alerts.values()])

    def one(self, call: Call) -> Reply:
        """`GET /alerts/orders/{alertId}`."""
        return answer(self._view(self._find(call.args[0])))

    def _find(self, alert_id: str) -> Alert:
        if alert_id not in self._alerts:
            raise Refusal(404, 905, "Invalid alertId")
        return self._alerts[alert_id]

    def _read(self, call: Call, alert_id: str) -> Alert:
        body = Body(call.raw, {"alertId", "condition", "orders"})
        condition = Body(body.raw.get("condition"), CONDITION)
        if condition.choice("comparisonType", COMPARISONS) != "PRICE_WITH_VALUE":
            raise bad_input("only PRICE_WITH_VALUE is served by this exchange")
        compare = condition.choice("operator", (*LEVELS, *CROSSINGS))
        condition.choice("timeFrame", FRAMES, "DAY")
        condition.choice("frequency", FREQUENCIES, "ONCE")
        if "expDate" in condition.raw:
            day_of(condition.raw["expDate"])
        segment = condition.choice("exchangeSegment", SEGMENTS)
        contract = self._core.contracts.find(segment, condition.text("securityId"))
        value = paise_of(condition.raw.get("comparingValue"))
        if contract is None or value is None:
            raise bad_input(
                "Invalid SecurityId" if contract is None else "comparingValue is invalid"
            )
        orders = body.records("orders", ORDERS_MAX)
        wishes = [self._wish(one) for one in orders]
        return Alert(alert_id, contract, compare, value, wishes, dict(condition.raw), orders,
                     call.real_ns, self._core.last(contract))  # fmt: skip

    def _wish(self, raw: Any) -> Wish:
        """An order of an alert: numbers come as texts."""
        body = Body(raw, ORDER_FIELDS)
        renamed = {"discQuantity": "disclosedQuantity"}
        plain = {renamed.get(name, name): value for name, value in body.raw.items()}
        return wish_of({name: value for name, value in plain.items()
                        if name != "dhanClientId"}, self._core.contracts)  # fmt: skip

    def _view(self, one: Alert) -> dict[str, Any]:
        return {
            "alertId": one.alert_id,
            "alertStatus": one.status,
            "createdTime": _utc(one.created_ns),
            "triggeredTime": _utc(one.triggered_ns) if one.triggered_ns else None,
            "lastPrice": f"{self._core.last(one.contract) / 100:.2f}",
            "condition": one.condition,
            "orders": [{"discQuantity": "0", "triggerPrice": "0", **order} for order in one.orders],
        }

    # ---- the market ----

    def _active(self, contract: Contract) -> list[Alert]:
        return [one for one in self._alerts.values()
                if one.status == "ACTIVE" and one.contract is contract]  # fmt: skip

    def _prices(self, contract: Contract) -> list[int]:
        """Both sides of each value: a paisa on decides between above and at."""
        return [price for one in self._active(contract)
                for price in (one.value - 1, one.value, one.value + 1)]  # fmt: skip

    def _on_watch(self, contract: Contract, now_ns: int) -> None:
        for one in self._active(contract):
            self._check(one, now_ns)

    def _check_now(self, one: Alert, now_ns: int) -> None:
        """A level that holds already is met at once."""
        self._check(one, now_ns)
        self._core.watch(one.contract)

    def _check(self, one: Alert, now_ns: int) -> None:
        last = self._core.last(one.contract)
        if one.holds(last):
            self._fire(one, now_ns)
        one.before = last

    def _fire(self, one: Alert, now_ns: int) -> None:
        one.triggered_ns = self._core.real_ns
        if one.condition.get("frequency", "ONCE") == "ONCE":
            one.status = "TRIGGERED"
        elif one.sent and one.compare not in CROSSINGS:
            return  # a level that goes on holding is met once
        for wish in one.wishes:
            try:
                self._core.require_trading(wish)
                one.sent.append(self._core.desk.place(wish, now_ns).order_id)
            except Refusal as refusal:
                one.sent.append(refusal.text)

    def _expire(self, now_ns: int) -> None:
        today = exchange_date(now_ns) if now_ns else None
        for one in self._alerts.values():
            until = one.condition.get("expDate")
            if one.status == "ACTIVE" and until and today and day_of(until) < today:
                one.status = "EXPIRED"

    # ---- several orders ----

    def multi(self, call: Call) -> Reply:
        """`POST /alerts/multi/orders`: each order on its own; one that is refused says so."""
        body = Body(call.raw, {"orders"})
        found, legs = [], []
        for raw in body.records("orders", ORDERS_MAX):  # all are read before one is sent
            leg = Body(raw, PLACE_FIELDS | {"sequence"})
            plain = {name: value for name, value in leg.raw.items() if name != "sequence"}
            legs.append((leg.text("sequence"), wish_of(plain, self._core.contracts)))
            self._core.require_trading(legs[-1][1])
        for sequence, wish in legs:
            try:
                ticket = self._core.desk.place(wish, call.now_ns)
                found.append({"orderId": ticket.order_id, "sequence": sequence,
                              "orderStatus": ticket.status})  # fmt: skip
            except Refusal:
                found.append({"orderId": "", "sequence": sequence, "orderStatus": "REJECTED"})
        return answer({"orders": found})


def _utc(ns: int) -> str:
    """The only times of the trading API in UTC."""
    return f"{ist(ns - IST_OFFSET_NS):%Y-%m-%dT%H:%M:%SZ}"
