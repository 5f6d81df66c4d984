"""Conditional orders, and several orders in one request, as they are sent to Dhan.

The broker writes prices of conditional orders as text and those of a multi order as numbers.
"""

from typing import Final

import msgspec

from dhanfast.brokers.dhan import checks
from dhanfast.brokers.dhan.requests import Body, PlaceOrder
from dhanfast.errors import UsageError

ORDERS_MAX: Final = 15
COMPARISONS: Final = (
    "TECHNICAL_WITH_VALUE", "TECHNICAL_WITH_INDICATOR", "TECHNICAL_WITH_CLOSE", "PRICE_WITH_VALUE",
)  # fmt: skip
INDICATORS: Final = (
    *(f"{name}_{period}" for name in ("SMA", "EMA") for period in (5, 10, 20, 50, 100, 200)),
    "BB_UPPER", "BB_LOWER", "RSI_14", "ATR_14", "STOCHASTIC", "STOCHRSI_14", "MACD_26", "MACD_12",
    "MACD_HIST",
)  # fmt: skip
FRAMES: Final = ("DAY", "DATE", "ONE_MIN", "FIVE_MIN", "FIFTEEN_MIN")
OPERATORS: Final = (
    "CROSSING_UP", "CROSSING_DOWN", "CROSSING_ANY_SIDE", "GREATER_THAN", "LESS_THAN",
    "GREATER_THAN_EQUAL", "LESS_THAN_EQUAL", "EQUAL", "NOT_EQUAL",
)  # fmt: skip
NOTE_MAX: Final = 200


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """When a conditional order is let loose: equities and indices only.

    Args:
        value: what is compared with, in rupees or units of the indicator; None = not given.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    comparison: str
    segment: str
    security_id: str
    operator: str
    expires: str  # YYYY-MM-DD
    value: float | None = None
    indicator: str = ""
    other_indicator: str = ""
    frame: str = "DAY"
    frequency: str = "ONCE"
    note: str = ""

    def __post_init__(self) -> None:
        """Check every field, and that the comparison has its two sides."""
        checks.chosen("comparisonType", self.comparison, COMPARISONS)
        checks.chosen("exchangeSegment", self.segment, ("NSE_EQ", "BSE_EQ", "IDX_I"))
        checks.security_id("securityId", self.security_id)
        checks.chosen("operator", self.operator, OPERATORS)
        checks.chosen("timeFrame", self.frame, FRAMES)
        checks.chosen("frequency", self.frequency, ("ONCE", "ALWAYS"))
        checks.day("expDate", self.expires)
        technical = self.comparison.startswith("TECHNICAL")
        if technical:
            checks.chosen("indicatorName", self.indicator, INDICATORS)
        elif self.indicator:
            raise UsageError(f"indicatorName: has no meaning for {self.comparison}; leave it empty")
        if self.comparison == "TECHNICAL_WITH_INDICATOR":
            checks.chosen("comparingIndicatorName", self.other_indicator, INDICATORS)
        elif self.other_indicator:
            raise UsageError("comparingIndicatorName: only with TECHNICAL_WITH_INDICATOR")
        with_value = self.comparison.endswith("_VALUE")
        if with_value != (self.value is not None):
            need = "needs" if with_value else "takes no"
            raise UsageError(f"comparingValue: {self.comparison} {need} value")
        if self.value is not None and not -1e12 < self.value < 1e12:
            raise UsageError(f"comparingValue: {self.value!r} must be a finite number")
        if len(self.note) > NOTE_MAX or not self.note.isprintable():
            raise UsageError(f"userNote: at most {NOTE_MAX} printable signs")

    def part(self) -> Body:
        """Its part of a body."""
        optional = {
            "indicatorName": self.indicator,
            "comparingValue": self.value,
            "comparingIndicatorName": self.other_indicator,
            "userNote": self.note,
        }
        return {
            "comparisonType": self.comparison,
            "exchangeSegment": self.segment,
            "securityId": self.security_id,
            "operator": self.operator,
            "timeFrame": self.frame,
            "expDate": self.expires,
            "frequency": self.frequency,
            **{name: value for name, value in optional.items() if value not in ("", None)},
        }


class ConditionalOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that wait for a condition (`POST /alerts/orders`, `PUT /alerts/orders/{id}`).

    Raises:
        UsageError: no order, or more than 15; an order with a name or for after the market.
    """

    condition: Condition
    orders: tuple[PlaceOrder, ...]

    def __post_init__(self) -> None:
        """Check the number of orders and what none of them may have."""
        _require_count(self.orders)
        for order in self.orders:
            if order.correlation or order.amo:
                raise UsageError(
                    "correlationId, amoTime: an order of a condition takes neither; leave them out"
                )

    def body(self, client_id: str, alert_id: str = "") -> Body:
        """What is sent; with an alert id, as a change of it."""
        head = {"alertId": checks.order_id("alertId", alert_id)} if alert_id else {}
        return {
            **head,
            "condition": self.condition.part(),
            "orders": [_leg(order) for order in self.orders],
            "dhanClientId": client_id,
        }


class MultiOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 15 plain orders in one request (`POST /alerts/multi/orders`): not all or nothing.

    Raises:
        UsageError: no order, or more than 15; one without correlation id: it could not be found
            again when the answer is lost.
    """

    orders: tuple[PlaceOrder, ...]

    def __post_init__(self) -> None:
        """Check the number of orders, and that each can be found again."""
        _require_count(self.orders)
        names = [order.correlation for order in self.orders]
        if "" in names or len(set(names)) != len(names):
            raise UsageError("correlationId: every order of a multi order needs one of its own")

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "orders": [
                {"sequence": str(place), **_sent(order)}
                for place, order in enumerate(self.orders, 1)
            ],
            "dhanClientId": client_id,
        }


def _require_count(orders: tuple[PlaceOrder, ...]) -> None:
    """From 1 to 15."""
    if not 1 <= len(orders) <= ORDERS_MAX:
        raise UsageError(f"orders: from 1 to {ORDERS_MAX} in one request, got {len(orders)}")


def _leg(order: PlaceOrder) -> Body:
    """An order of a condition: prices and disclosed quantity as text."""
    return {
        "transactionType": order.side,
        "exchangeSegment": order.segment,
        "productType": order.product,
        "orderType": order.order_type,
        "securityId": order.security_id,
        "quantity": order.qty,
        "validity": order.validity,
        "price": _text(order.price),
        **({"discQuantity": str(order.disclosed)} if order.disclosed else {}),
        **({"triggerPrice": _text(order.trigger)} if order.trigger else {}),
    }


def _sent(order: PlaceOrder) -> Body:
    """A plain order inside a multi order: without what only single orders have."""
    body = order.body("")
    for name in ("dhanClientId", "boProfitValue", "boStopLossValue"):
        del body[name]
    return body


def _text(paise: int) -> str:
    """Paise as rupees with two decimals."""
    return f"{paise // 100}.{paise % 100:02}"
