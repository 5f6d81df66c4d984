"""What Dhan says of orders, trades, positions and funds, as the engine counts them.

One reading for all spellings: REST objects, postbacks, order updates in either case of keys.
Quantities count before the status, because the order-update feed has no word for "part traded" and
a status can be late; an unknown status is taken as live and asked again.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import numpy as np

from dhanfast._core.live.records import UPDATE_DTYPE, Origin, Seen
from dhanfast._core.types import OrderKind, Side, Validity
from dhanfast.brokers.base import (
    Accepted,
    FundsSeen,
    OrderSeen,
    PositionSeen,
    TradeSeen,
)
from dhanfast.brokers.dhan.fields import Fields, objects
from dhanfast.brokers.dhan.requests import order_of
from dhanfast.errors import BadData

BROKER_ID_MAX: Final = 24  # bytes of Update.broker_id
NOT_LISTED: Final = 2**32 - 1  # Update.instrument of an instrument the run does not know
Instruments = Mapping[tuple[str, str], int]  # (segment, security id) -> place in the run's table

_STATUSES: Final = {
    "TRANSIT": Seen.TRANSIT, "PENDING": Seen.PENDING, "PART_TRADED": Seen.PENDING,
    "PARTIALLY_TRADED": Seen.PENDING, "MODIFIED": Seen.PENDING, "CONFIRM": Seen.PENDING,
    "TRIGGERED": Seen.PENDING, "TRADED": Seen.TRADED, "CLOSED": Seen.TRADED,
    "CANCELLED": Seen.CANCELLED, "CANCELED": Seen.CANCELLED, "REJECTED": Seen.REJECTED,
    "EXPIRED": Seen.EXPIRED,
}  # fmt: skip
_SIDES: Final = {"BUY": Side.BUY, "B": Side.BUY, "SELL": Side.SELL, "S": Side.SELL}
_KINDS: Final = {
    "LIMIT": OrderKind.LIMIT, "LMT": OrderKind.LIMIT, "MARKET": OrderKind.MARKET,
    "MKT": OrderKind.MARKET, "STOP_LOSS": OrderKind.SL, "SL": OrderKind.SL,
    "STOP_LOSS_MARKET": OrderKind.SLM, "SLM": OrderKind.SLM, "SL-M": OrderKind.SLM,
}  # fmt: skip
_PRODUCTS: Final = {"C": "CNC", "I": "INTRADAY", "M": "MARGIN", "F": "MTF", "V": "CO", "B": "BO"}
_LEGS: Final = {"1": "ENTRY_LEG", "2": "STOP_LOSS_LEG", "3": "TARGET_LEG"}
_MARKETS: Final = {  # of order updates: exchange and letter
    ("NSE", "E"): "NSE_EQ", ("NSE", "D"): "NSE_FNO", ("NSE", "C"): "NSE_CURRENCY",
    ("BSE", "E"): "BSE_EQ", ("BSE", "D"): "BSE_FNO", ("BSE", "C"): "BSE_CURRENCY",
    ("MCX", "M"): "MCX_COMM", ("NSE", "M"): "NSE_COMM", ("NSE", "I"): "IDX_I",
    ("BSE", "I"): "IDX_I",
}  # fmt: skip
_OURS: Final = ("", "NA", "ENTRY_LEG")  # legs that an order of the engine can be


def status_of(word: str) -> Seen:
    """The broker's word for a status; one that no document lists is UNCLEAR."""
    plain = word.strip().upper().replace(" ", "_").replace("-", "_")
    return _STATUSES.get(plain, Seen.UNCLEAR)


def order_seen(said: Mapping[str, Any]) -> OrderSeen:
    """One order: of the order book, a postback, or the `Data` of an order update.

    Raises:
        BadData: no order id, no side, a number that is none, more filled than ordered.
    """
    fields = Fields(said, "order")
    order_id = fields.text("orderId", "orderNo")
    if not order_id:
        raise BadData("order: orderId is missing in what the broker sent")
    qty, filled = fields.count("quantity"), fields.count("filledQty", "tradedQty")
    if filled > qty:
        raise BadData(f"order {order_id}: filled {filled} of {qty}; not used, it is read again")
    status = fields.text("orderStatus", "status")
    price, trigger = fields.paise("price"), fields.paise("triggerPrice")
    average = fields.decimal("averageTradedPrice", "avgTradedPrice")
    return OrderSeen(
        order_id=order_id,
        correlation=fields.text("correlationId"),
        segment=_segment(fields),
        security_id=fields.text("securityId"),
        symbol=fields.text("tradingSymbol", "displayName", "symbol"),
        product=_product(fields),
        side=_side(fields, f"order {order_id}"),
        kind=_kind(fields.text("orderType"), price, trigger),
        validity=Validity.IOC if fields.text("validity").upper() == "IOC" else Validity.DAY,
        seen=_counted(status_of(status), qty, filled, fields),
        status=status,
        qty=qty,
        filled=filled,
        price=price,
        trigger=trigger,
        value=_value(average, filled),
        broker_ns=fields.ist_ns("lastUpdatedTime", "updateTime", "exchangeTime", "exchOrderTime",
                                "createTime", "orderDateTime"),
        text=_reason(fields),
        leg=_LEGS.get(fields.text("legNo"), fields.text("legName")),
    )  # fmt: skip


def update_of(
    order: Mapping[str, Any], *, tag: str, at_ns: int, instruments: Instruments
) -> np.void:
    """The state of one order as the engine's record.

    Args:
        order: an order of the order book, or the `Data` of an order update.
        tag: of this journal's correlation ids; orders of others get `order` 0.
        at_ns: when it was received, UTC ns.
        instruments: of the run, by (segment, security id).

    Returns:
        One record of UPDATE_DTYPE.

    Raises:
        BadData: as `order_seen`; an order id that does not fit into 24 bytes.
    """
    socket = "orderid" not in {str(key).replace("_", "").lower() for key in order}
    return update_from(
        order_seen(order), Origin.SOCKET if socket else Origin.REST,
        tag=tag, at_ns=at_ns, instruments=instruments,
    )  # fmt: skip


def update_from(
    order: OrderSeen, origin: int, *, tag: str, at_ns: int, instruments: Instruments
) -> np.void:
    """An order that was read, as the engine's record.

    Raises:
        BadData: an order id that does not fit into 24 bytes.
    """
    broker_id = order.order_id.encode()
    if len(broker_id) > BROKER_ID_MAX:
        raise BadData(f"order {order.order_id}: its id has more than {BROKER_ID_MAX} bytes")
    record = np.zeros(1, UPDATE_DTYPE)
    record["order"] = order_of(order.correlation, tag) if order.leg in _OURS else 0
    record["at_ns"], record["broker_ns"] = at_ns, order.broker_ns
    record["price"], record["trigger"], record["value"] = order.price, order.trigger, order.value
    record["qty"], record["filled"] = order.qty, order.filled
    record["broker_id"] = broker_id
    record["instrument"] = instruments.get((order.segment, order.security_id), NOT_LISTED)
    record["seen"], record["origin"] = order.seen, origin
    record["order_kind"], record["side"] = order.kind, order.side
    one: np.void = record[0]
    return one


def orders_seen(said: Any) -> list[OrderSeen]:
    """The order book: an array, one object, or nothing."""
    return [order_seen(fields_of(row)) for row in _rows(said)]


def trades_seen(said: Any) -> list[TradeSeen]:
    """The trade book.

    Raises:
        BadData: no order id, no side, a number that is none.
    """
    return [_trade(fields) for fields in objects(said, "trade")]


def positions_seen(said: Any) -> list[PositionSeen]:
    """The positions; closed ones too, with qty 0.

    Raises:
        BadData: no security id, or a number that is none.
    """
    return [_position(fields) for fields in objects(said, "position")]


def funds_seen(said: Any) -> FundsSeen:
    """The funds; the broker misspells one key, both spellings are read.

    Raises:
        BadData: no object, or a number that is none.
    """
    fields = Fields(said, "fundlimit")
    if not fields.has("availabelBalance", "availableBalance"):
        raise BadData("fundlimit: neither availabelBalance nor availableBalance is there")
    return FundsSeen(
        available=fields.paise("availabelBalance", "availableBalance"),
        start_of_day=fields.paise("sodLimit"),
        collateral=fields.paise("collateralAmount"),
        receivable=fields.paise("receiveableAmount", "receivableAmount"),
        used=fields.paise("utilizedAmount"),
        blocked=fields.paise("blockedPayoutAmount"),
        withdrawable=fields.paise("withdrawableBalance"),
    )


def accepted_of(said: Any, http: int) -> Accepted | None:
    """What an order call was answered: an order, or several; None without any order id."""
    if said is None:
        return None
    found = []
    for fields in objects(said, "answer"):
        order_id = fields.text("orderId", "alertId")
        if order_id:
            status = fields.text("orderStatus", "alertStatus")
            found.append(
                Accepted(
                    order_id=order_id,
                    seen=status_of(status),
                    status=status,
                    text=_reason(fields),
                    http=http,
                )
            )
    if not found:
        return None
    first, *more = found
    return Accepted(
        order_id=first.order_id, seen=first.seen, status=first.status, text=first.text,
        http=http, more=tuple(more),
    )  # fmt: skip


def fields_of(row: Any) -> Mapping[str, Any]:
    """An object of a list.

    Raises:
        BadData: it is none.
    """
    if not isinstance(row, Mapping):
        raise BadData(f"an object was expected, the broker sent {type(row).__name__}")
    return row


def _rows(said: Any) -> list[Any]:
    """An array, one object, or nothing; `data` is looked into."""
    if isinstance(said, Mapping) and isinstance(said.get("data"), list | Mapping):
        said = said["data"]
    if said is None or said == {}:
        return []
    if isinstance(said, list):
        return said
    return [said]


def _counted(seen: Seen, qty: int, filled: int, fields: Fields) -> Seen:
    """The status after the quantities were heard."""
    if qty and filled == qty:
        return Seen.TRADED
    if seen is Seen.TRADED and fields.has("filledQty", "tradedQty"):
        return Seen.UNCLEAR  # its own quantities say otherwise: read it again
    if seen is Seen.TRANSIT and filled:
        return Seen.PENDING
    return seen


def _value(average: Decimal, filled: int) -> int:
    """Average price times quantity, to the paisa."""
    return int((average * filled * 100).quantize(Decimal(1), ROUND_HALF_UP))


def _segment(fields: Fields) -> str:
    """The segment's name; of an order update made from exchange and letter."""
    name = fields.text("exchangeSegment")
    if name:
        return name
    exchange, letter = fields.text("exchange").upper(), fields.text("segment").upper()
    return _MARKETS.get((exchange, letter), letter if "_" in letter else f"{exchange}_{letter}")


def _side(fields: Fields, what: str) -> int:
    """BUY or SELL, never a guess."""
    word = fields.text("transactionType", "txnType").upper()
    if word not in _SIDES:
        raise BadData(f"{what}: transactionType {word!r} is neither BUY nor SELL")
    return _SIDES[word]


def _kind(word: str, price: int, trigger: int) -> int:
    """The order type; a word that is none (SINGLE, OCO) is told by price and trigger."""
    found = _KINDS.get(word.upper())
    if found is not None:
        return found
    if trigger:
        return OrderKind.SL if price else OrderKind.SLM
    return OrderKind.LIMIT if price else OrderKind.MARKET


def _product(fields: Fields) -> str:
    """The product's long name."""
    name = fields.text("productType", "productName")
    return name or _PRODUCTS.get(fields.text("product"), fields.text("product"))


def _reason(fields: Fields) -> str:
    """Why an order was refused, as the broker says it."""
    text = fields.text("omsErrorDescription", "reasonDescription")
    return "" if text.upper() == "CONFIRMED" else text


def _trade(fields: Fields) -> TradeSeen:
    """One trade."""
    order_id = fields.text("orderId")
    if not order_id:
        raise BadData("trade: orderId is missing in what the broker sent")
    qty = fields.count("tradedQuantity")
    return TradeSeen(
        trade_id=fields.text("exchangeTradeId"),
        order_id=order_id,
        segment=fields.text("exchangeSegment"),
        security_id=fields.text("securityId"),
        symbol=fields.text("tradingSymbol", "customSymbol"),
        product=fields.text("productType"),
        side=_side(fields, f"trade of order {order_id}"),
        qty=qty,
        price=fields.paise("tradedPrice"),
        value=_value(fields.decimal("tradedPrice"), qty),
        broker_ns=fields.ist_ns("exchangeTime", "updateTime", "createTime"),
    )


def _position(fields: Fields) -> PositionSeen:
    """One position."""
    security_id = fields.text("securityId")
    if not security_id:
        raise BadData("position: securityId is missing in what the broker sent")
    bought, sold = fields.count("buyQty"), fields.count("sellQty")
    qty = fields.whole("netQty") if fields.has("netQty") else bought - sold
    return PositionSeen(
        segment=fields.text("exchangeSegment"),
        security_id=security_id,
        symbol=fields.text("tradingSymbol"),
        product=fields.text("productType"),
        qty=qty,
        bought=bought,
        sold=sold,
        buy_value=_value(fields.decimal("buyAvg"), bought),
        sell_value=_value(fields.decimal("sellAvg"), sold),
        realised=fields.paise("realizedProfit"),
        unrealised=fields.paise("unrealizedProfit"),
    )
