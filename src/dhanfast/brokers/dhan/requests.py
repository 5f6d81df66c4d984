"""Orders as they are sent to Dhan, checked field by field before a byte leaves.

Making one of these is the check: what exists can be sent. Prices are paise here and rupees in
`body`; quantities are units. A body has the keys of the official client in its order, and no other:
the broker refuses unknown keys without naming them.
"""

from typing import Any, Final

import msgspec

from dhanfast.brokers.dhan import checks
from dhanfast.errors import UsageError

Body = dict[str, Any]
FOREVER_FLAGS: Final = ("SINGLE", "OCO")
SUPER_PRODUCTS: Final = ("CNC", "INTRADAY", "MARGIN", "MTF")
FOREVER_PRODUCTS: Final = ("CNC", "MTF", "MARGIN")
ORDER_ID_MAX: Final = 2**64 - 1


def correlation(tag: str, order_id: int) -> str:
    """The name under which the broker knows an order of ours.

    Args:
        tag: of the journal: `df` and eight hex digits.
        order_id: Order.id.

    Raises:
        UsageError: a tag with signs the broker refuses; together longer than 30.
    """
    if "-" in tag or not tag:
        raise UsageError(f"tag: {tag!r} must not be empty and have no '-'")
    if not 1 <= order_id <= ORDER_ID_MAX:
        raise UsageError(f"order: {order_id} must be from 1 to 2**64 - 1")
    return checks.correlation_id("correlationId", f"{tag}-{order_id}")


def order_of(text: str, tag: str) -> int:
    """Order.id behind a correlation id; 0 when it is not of this tag."""
    head, dash, digits = text.partition("-")
    if head != tag or not dash or not (digits.isascii() and digits.isdigit()):
        return 0
    number = int(digits) if len(digits) <= 20 else 0
    return number if str(number) == digits and number <= ORDER_ID_MAX else 0


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A new order (`POST /orders`, and `/orders/slicing` above the freeze quantity).

    Units:
        price, trigger: paise; qty, disclosed: units.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    side: str
    segment: str
    security_id: str
    qty: int
    order_type: str = "LIMIT"
    product: str = "INTRADAY"
    validity: str = "DAY"
    price: int = 0
    trigger: int = 0
    disclosed: int = 0
    correlation: str = ""
    amo: str = ""  # PRE_OPEN, OPEN, OPEN_30, OPEN_60; empty = not after market

    def __post_init__(self) -> None:
        """Check every field."""
        _instrument(self.side, self.segment, self.security_id)
        checks.quantity("quantity", self.qty)
        checks.chosen("orderType", self.order_type, checks.ORDER_TYPES)
        checks.chosen("productType", self.product, checks.PRODUCTS)
        checks.chosen("validity", self.validity, checks.VALIDITIES)
        checks.priced(self.order_type, self.price, self.trigger, self.side)
        checks.disclosed("disclosedQuantity", self.disclosed, self.qty)
        checks.correlation_id("correlationId", self.correlation)
        if self.amo:
            checks.chosen("amoTime", self.amo, checks.AMO_TIMES)

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "transactionType": self.side,
            "exchangeSegment": self.segment,
            "productType": self.product,
            "orderType": self.order_type,
            "validity": self.validity,
            "securityId": self.security_id,
            "quantity": self.qty,
            "disclosedQuantity": self.disclosed,
            "price": checks.rupees(self.price),
            "afterMarketOrder": bool(self.amo),
            **({"amoTime": self.amo} if self.amo else {}),
            "boProfitValue": None,
            "boStopLossValue": None,
            "triggerPrice": checks.rupees(self.trigger),
            **({"correlationId": self.correlation} if self.correlation else {}),
            "dhanClientId": client_id,
        }


class ModifyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a pending order (`PUT /orders/{id}`).

    Units:
        qty: the whole order, what has filled included. price, trigger: paise.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    order_id: str
    qty: int
    order_type: str = "LIMIT"
    validity: str = "DAY"
    price: int = 0
    trigger: int = 0
    disclosed: int = 0
    leg: str = "ENTRY_LEG"

    def __post_init__(self) -> None:
        """Check every field."""
        checks.order_id("orderId", self.order_id)
        checks.quantity("quantity", self.qty)
        checks.chosen("orderType", self.order_type, checks.ORDER_TYPES)
        checks.chosen("validity", self.validity, checks.VALIDITIES)
        checks.priced(self.order_type, self.price, self.trigger)
        checks.disclosed("disclosedQuantity", self.disclosed, self.qty)
        checks.chosen("legName", self.leg, (*checks.LEGS, "NA"))

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "orderId": self.order_id,
            "orderType": self.order_type,
            "legName": self.leg,
            "quantity": self.qty,
            "price": checks.rupees(self.price),
            "disclosedQuantity": self.disclosed,
            "triggerPrice": checks.rupees(self.trigger),
            "validity": self.validity,
            "dhanClientId": client_id,
        }


class PlaceSuper(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with target and stop (`POST /super/orders`).

    Units:
        price, target, stop, trail: paise; 0 = none (but not both of target and stop).

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    side: str
    segment: str
    security_id: str
    qty: int
    price: int
    order_type: str = "LIMIT"
    product: str = "INTRADAY"
    target: int = 0
    stop: int = 0
    trail: int = 0
    correlation: str = ""

    def __post_init__(self) -> None:
        """Check every field, and that target and stop lie on their sides of the price."""
        _instrument(self.side, self.segment, self.security_id)
        checks.quantity("quantity", self.qty)
        checks.chosen("orderType", self.order_type, ("LIMIT", "MARKET"))
        checks.chosen("productType", self.product, SUPER_PRODUCTS)
        checks.price("price", self.price)
        _legs(self.price, self.target, self.stop, self.trail, self.side)
        checks.correlation_id("correlationId", self.correlation)

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "transactionType": self.side,
            "exchangeSegment": self.segment,
            "productType": self.product,
            "orderType": self.order_type,
            "securityId": self.security_id,
            "quantity": self.qty,
            "price": checks.rupees(self.price),
            "targetPrice": checks.rupees(self.target),
            "stopLossPrice": checks.rupees(self.stop),
            "trailingJump": checks.rupees(self.trail),
            **({"correlationId": self.correlation} if self.correlation else {}),
            "dhanClientId": client_id,
        }


class ModifySuper(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one leg of a super order (`PUT /super/orders/{id}`).

    A trail that is not given is sent as 0 and so ends; left out it would end as well.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    order_id: str
    leg: str
    order_type: str = "LIMIT"  # the entry's
    qty: int = 0  # the entry's
    price: int = 0  # the entry's
    target: int = 0
    stop: int = 0
    trail: int = 0

    def __post_init__(self) -> None:
        """Check what the leg may change."""
        checks.order_id("orderId", self.order_id)
        checks.chosen("legName", self.leg, checks.LEGS)
        entry = self.leg == "ENTRY_LEG"
        if entry:
            checks.chosen("orderType", self.order_type, ("LIMIT", "MARKET"))
            checks.quantity("quantity", self.qty)
            checks.price("price", self.price)
            _legs(self.price, self.target, self.stop, self.trail)
        elif self.qty or self.price:
            raise UsageError(f"quantity, price: only of ENTRY_LEG, not of {self.leg}; leave 0")
        if self.leg == "TARGET_LEG":
            checks.price("targetPrice", self.target)
            if self.stop or self.trail:
                raise UsageError("stopLossPrice, trailingJump: not of TARGET_LEG; leave 0")
        if self.leg == "STOP_LOSS_LEG":
            checks.price("stopLossPrice", self.stop)
            checks.price("trailingJump", self.trail, zero=True)
            if self.target:
                raise UsageError("targetPrice: not of STOP_LOSS_LEG; leave 0")

    def body(self, client_id: str) -> Body:
        """What is sent: only what the leg may change."""
        body: Body = {"orderId": self.order_id}
        if self.leg == "ENTRY_LEG":
            body |= {
                "orderType": self.order_type,
                "legName": self.leg,
                "quantity": self.qty,
                "price": checks.rupees(self.price),
                "targetPrice": checks.rupees(self.target),
                "stopLossPrice": checks.rupees(self.stop),
                "trailingJump": checks.rupees(self.trail),
            }
        elif self.leg == "TARGET_LEG":
            body |= {"legName": self.leg, "targetPrice": checks.rupees(self.target)}
        else:
            body |= {
                "legName": self.leg,
                "stopLossPrice": checks.rupees(self.stop),
                "trailingJump": checks.rupees(self.trail),
            }
        return {**body, "dhanClientId": client_id}


class PlaceForever(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waits for its trigger for days (`POST /forever/orders`).

    Units:
        prices and triggers in paise; the second set is that of an OCO's other leg.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    side: str
    segment: str
    security_id: str
    qty: int
    price: int
    trigger: int
    flag: str = "SINGLE"
    order_type: str = "LIMIT"
    product: str = "CNC"
    validity: str = "DAY"
    disclosed: int = 0
    price1: int = 0
    trigger1: int = 0
    qty1: int = 0
    correlation: str = ""

    def __post_init__(self) -> None:
        """Check every field."""
        _instrument(self.side, self.segment, self.security_id)
        checks.chosen("orderFlag", self.flag, FOREVER_FLAGS)
        checks.quantity("quantity", self.qty)
        checks.chosen("orderType", self.order_type, ("LIMIT", "MARKET"))
        checks.chosen("productType", self.product, FOREVER_PRODUCTS)
        checks.chosen("validity", self.validity, checks.VALIDITIES)
        market = self.order_type == "MARKET"
        checks.price("price", self.price, zero=market)
        checks.price("triggerPrice", self.trigger)
        checks.disclosed("disclosedQuantity", self.disclosed, self.qty)
        checks.correlation_id("correlationId", self.correlation)
        if self.flag == "OCO":
            checks.price("price1", self.price1, zero=market)
            checks.price("triggerPrice1", self.trigger1)
            checks.quantity("quantity1", self.qty1)
        elif self.price1 or self.trigger1 or self.qty1:
            raise UsageError("price1, triggerPrice1, quantity1: only with orderFlag OCO; leave 0")

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "orderFlag": self.flag,
            "transactionType": self.side,
            "exchangeSegment": self.segment,
            "productType": self.product,
            "orderType": self.order_type,
            "validity": self.validity,
            "securityId": self.security_id,
            "quantity": self.qty,
            "disclosedQuantity": self.disclosed,
            "price": checks.rupees(self.price),
            "triggerPrice": checks.rupees(self.trigger),
            "price1": checks.rupees(self.price1),
            "triggerPrice1": checks.rupees(self.trigger1),
            "quantity1": self.qty1,
            **({"correlationId": self.correlation} if self.correlation else {}),
            "dhanClientId": client_id,
        }


class ModifyForever(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a forever order (`PUT /forever/orders/{id}`).

    Args:
        leg: TARGET_LEG is the only leg of a SINGLE and the first of an OCO, STOP_LOSS_LEG the
            second.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    order_id: str
    leg: str
    qty: int
    price: int
    trigger: int
    flag: str = "SINGLE"
    order_type: str = "LIMIT"
    validity: str = "DAY"
    disclosed: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        checks.order_id("orderId", self.order_id)
        checks.chosen("orderFlag", self.flag, FOREVER_FLAGS)
        checks.chosen("orderType", self.order_type, checks.ORDER_TYPES)
        legs = ("TARGET_LEG",) if self.flag == "SINGLE" else ("TARGET_LEG", "STOP_LOSS_LEG")
        checks.chosen("legName", self.leg, legs)
        checks.quantity("quantity", self.qty)
        checks.price("price", self.price, zero=self.order_type in ("MARKET", "STOP_LOSS_MARKET"))
        checks.price("triggerPrice", self.trigger)
        checks.disclosed("disclosedQuantity", self.disclosed, self.qty)
        checks.chosen("validity", self.validity, checks.VALIDITIES)

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "orderId": self.order_id,
            "orderFlag": self.flag,
            "orderType": self.order_type,
            "legName": self.leg,
            "quantity": self.qty,
            "disclosedQuantity": self.disclosed,
            "price": checks.rupees(self.price),
            "triggerPrice": checks.rupees(self.trigger),
            "validity": self.validity,
            "dhanClientId": client_id,
        }


def _instrument(side: str, segment: str, security_id: str) -> None:
    """What every order names."""
    checks.chosen("transactionType", side, checks.SIDES)
    checks.chosen("exchangeSegment", segment, checks.SEGMENTS)
    checks.security_id("securityId", security_id)


def _legs(price: int, target: int, stop: int, trail: int, side: str = "") -> None:
    """Target, stop and trail of a super order; the side of a change is not known here."""
    checks.price("targetPrice", target, zero=True)
    checks.price("stopLossPrice", stop, zero=True)
    checks.price("trailingJump", trail, zero=True)
    if not (target or stop):
        raise UsageError("targetPrice, stopLossPrice: at least one must be above 0")
    if not side:
        return
    sign = 1 if side == "BUY" else -1
    if target and sign * (target - price) <= 0:
        where = "above" if sign > 0 else "below"
        raise UsageError(f"targetPrice: {target} paise of a {side} must be {where} price {price}")
    if stop and sign * (price - stop) <= 0:
        where = "below" if sign > 0 else "above"
        raise UsageError(f"stopLossPrice: {stop} paise of a {side} must be {where} price {price}")
