"""Super, forever and conditional orders as Dhan lists them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from dhanfast.brokers.base import OrderSeen
from dhanfast.brokers.dhan.answers import fields_of, order_seen, status_of
from dhanfast.brokers.dhan.fields import Fields, objects
from dhanfast.errors import BadData


class SuperLeg(msgspec.Struct, frozen=True, kw_only=True):
    """Target or stop of a super order. Units: price and trail in paise, quantities in units."""

    leg: str
    side: str
    price: int
    trail: int
    qty: int  # 0 when the broker leaves it out
    left: int
    triggered: int
    seen: int
    status: str


class SuperOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An entry with its legs. Units: last in paise."""

    entry: OrderSeen
    legs: tuple[SuperLeg, ...]
    last: int


class ForeverOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A leg of an order that waits for its trigger."""

    order: OrderSeen
    flag: str  # SINGLE or OCO


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order. Units: times UTC ns, 0 = not yet; last in paise."""

    alert_id: str
    status: str
    created_ns: int
    triggered_ns: int
    last: int
    condition: dict[str, Any]
    orders: tuple[dict[str, Any], ...]


def super_orders(said: Any) -> list[SuperOrder]:
    """The list of super orders of the day.

    Raises:
        BadData: an entry that cannot be read.
    """
    found = []
    for fields in objects(said, "super order"):
        entry = order_seen(fields.plain())
        legs = tuple(_leg(Fields(row, "leg")) for row in fields.rows("legDetails"))
        found.append(SuperOrder(entry=entry, legs=legs, last=fields.paise("ltp")))
    return found


def forever_orders(said: Any) -> list[ForeverOrder]:
    """The list of forever orders; `orderType` holds SINGLE or OCO there.

    Raises:
        BadData: an entry that cannot be read.
    """
    return [
        ForeverOrder(
            order=order_seen(fields.plain()),
            flag=fields.text("orderFlag", "orderType"),
        )
        for fields in objects(said, "forever order")
    ]


def alerts(said: Any) -> list[Alert]:
    """The list of conditional orders, or one.

    Raises:
        BadData: one without id.
    """
    return [_alert(fields) for fields in objects(said, "alert")]


def _alert(fields: Fields) -> Alert:
    """One conditional order."""
    alert_id = fields.text("alertId")
    if not alert_id:
        raise BadData("alert: alertId is missing in what the broker sent")
    condition = fields.raw("condition")
    return Alert(
        alert_id=alert_id,
        status=fields.text("alertStatus"),
        created_ns=fields.ist_ns("createdTime"),
        triggered_ns=fields.ist_ns("triggeredTime"),
        last=fields.paise("lastPrice"),
        condition=dict(condition) if isinstance(condition, Mapping) else {},
        orders=tuple(dict(fields_of(row)) for row in fields.rows("orders")),
    )


def _leg(fields: Fields) -> SuperLeg:
    """One leg; the broker misspells its quantity."""
    status = fields.text("orderStatus")
    return SuperLeg(
        leg=fields.text("legName"),
        side=fields.text("transactionType"),
        price=fields.paise("price"),
        trail=fields.paise("trailingJump"),
        qty=fields.count("totalQuatity", "totalQuantity"),
        left=fields.count("remainingQuantity"),
        triggered=fields.count("triggeredQuantity"),
        seen=status_of(status),
        status=status,
    )
