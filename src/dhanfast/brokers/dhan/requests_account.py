"""Requests about the account: conversion, margin, exit on profit or loss, address, eDIS."""

import ipaddress
from typing import Final

import msgspec

from dhanfast.brokers.dhan import checks
from dhanfast.brokers.dhan.requests import Body
from dhanfast.errors import UsageError

SCRIPS_MAX: Final = 1_000
PNL_PRODUCTS: Final = ("INTRADAY", "DELIVERY")
IP_FLAGS: Final = ("PRIMARY", "SECONDARY")


class ConvertPosition(msgspec.Struct, frozen=True, kw_only=True):
    """A position moved to another product (`POST /positions/convert`).

    Units:
        qty: units.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    from_product: str
    to_product: str
    segment: str
    position: str  # LONG or SHORT
    security_id: str
    qty: int

    def __post_init__(self) -> None:
        """Check every field."""
        checks.chosen("fromProductType", self.from_product, checks.PRODUCTS)
        checks.chosen("toProductType", self.to_product, checks.PRODUCTS)
        if self.from_product == self.to_product:
            raise UsageError(f"toProductType: {self.to_product!r} is what the position has already")
        checks.chosen("exchangeSegment", self.segment, checks.SEGMENTS)
        checks.chosen("positionType", self.position, ("LONG", "SHORT"))
        checks.security_id("securityId", self.security_id)
        checks.quantity("convertQty", self.qty)

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "fromProductType": self.from_product,
            "exchangeSegment": self.segment,
            "positionType": self.position,
            "securityId": self.security_id,
            "convertQty": self.qty,
            "toProductType": self.to_product,
            "dhanClientId": client_id,
        }


class MarginQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would block (`POST /margincalculator`).

    Units:
        price, trigger: paise; qty: units.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    side: str
    segment: str
    security_id: str
    qty: int
    price: int
    product: str = "INTRADAY"
    trigger: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        checks.chosen("transactionType", self.side, checks.SIDES)
        checks.chosen("exchangeSegment", self.segment, checks.SEGMENTS)
        checks.security_id("securityId", self.security_id)
        checks.quantity("quantity", self.qty)
        checks.chosen("productType", self.product, checks.PRODUCTS)
        checks.price("price", self.price)
        checks.price("triggerPrice", self.trigger, zero=True)

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "securityId": self.security_id,
            "exchangeSegment": self.segment,
            "transactionType": self.side,
            "quantity": self.qty,
            "productType": self.product,
            "price": checks.rupees(self.price),
            "triggerPrice": checks.rupees(self.trigger),
            "dhanClientId": client_id,
        }

    def part(self) -> Body:
        """As one of several."""
        body = self.body("")
        del body["dhanClientId"]
        if not self.trigger:
            del body["triggerPrice"]
        return body


class MarginsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What orders would block together (`POST /margincalculator/multi`).

    Args:
        classic: send the names of the classic site's table (`includeOrders`, `scripts`) instead of
            those of the official client (`includeOrder`, `scripList`): the sources disagree.

    Raises:
        UsageError: none or too many.
    """

    orders: tuple[MarginQuery, ...]
    with_positions: bool = False
    with_orders: bool = False
    classic: bool = False

    def __post_init__(self) -> None:
        """Check the number."""
        if not 1 <= len(self.orders) <= SCRIPS_MAX:
            raise UsageError(f"scripList: from 1 to {SCRIPS_MAX} orders, got {len(self.orders)}")

    def body(self, client_id: str) -> Body:
        """What is sent."""
        orders, scrips = (
            ("includeOrders", "scripts") if self.classic else ("includeOrder", "scripList")
        )
        return {
            "includePosition": self.with_positions,
            orders: self.with_orders,
            scrips: [order.part() for order in self.orders],
            "dhanClientId": client_id,
        }


class PnlExit(msgspec.Struct, frozen=True, kw_only=True):
    """Leave everything at a profit or loss of the day (`POST /pnlExit`).

    Units:
        profit, loss: paise, both positive.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    profit: int
    loss: int
    products: tuple[str, ...] = ("INTRADAY",)
    kill_switch: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        checks.price("profitValue", self.profit)
        checks.price("lossValue", self.loss)
        if not self.products or len(set(self.products)) != len(self.products):
            raise UsageError(f"productType: {self.products} must name INTRADAY, DELIVERY or both")
        for product in self.products:
            checks.chosen("productType", product, PNL_PRODUCTS)

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "profitValue": checks.rupees(self.profit),
            "lossValue": checks.rupees(self.loss),
            "productType": list(self.products),
            "enableKillSwitch": self.kill_switch,
            "dhanClientId": client_id,
        }


class StaticIp(msgspec.Struct, frozen=True, kw_only=True):
    """The address orders come from (`POST /ip/setIP`, `PUT /ip/modifyIP`); fixed for 7 days.

    Raises:
        UsageError: no address, or one that cannot be reached from outside.
    """

    ip: str
    flag: str = "PRIMARY"

    def __post_init__(self) -> None:
        """Check the address."""
        checks.chosen("ipFlag", self.flag, IP_FLAGS)
        try:
            address = ipaddress.ip_address(self.ip)
        except ValueError:
            raise UsageError(f"ip: {self.ip!r} is no IPv4 or IPv6 address") from None
        if address.is_loopback or address.is_multicast or address.is_unspecified:
            raise UsageError(f"ip: {self.ip} is no address others can see; give the public one")

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {"ip": self.ip, "ipFlag": self.flag, "dhanClientId": client_id}


class EdisForm(msgspec.Struct, frozen=True, kw_only=True):
    """A form to permit the sale of holdings (`POST /edis/form`).

    Units:
        qty: shares.

    Raises:
        UsageError: names the field, its value and what it must be.
    """

    isin: str
    qty: int
    exchange: str = "NSE"
    segment: str = "EQ"
    bulk: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        checks.isin("isin", self.isin)
        checks.quantity("qty", self.qty)
        checks.chosen("exchange", self.exchange, ("NSE", "BSE", "ALL"))
        checks.chosen("segment", self.segment, ("EQ",))

    def body(self, client_id: str) -> Body:
        """What is sent."""
        return {
            "isin": self.isin,
            "qty": self.qty,
            "exchange": self.exchange,
            "segment": self.segment,
            "bulk": self.bulk,
            "dhanClientId": client_id,
        }
