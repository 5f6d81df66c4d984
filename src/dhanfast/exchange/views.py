"""Orders, trades, positions and funds as the broker's REST answers show them."""

from typing import Any, Final

from dhanfast.exchange.contracts import WORDS, Contract
from dhanfast.exchange.fields import average, rupees, stamp
from dhanfast.exchange.orders import SIDE_WORDS, Ticket
from dhanfast.exchange.positions import Books, Position, Trade

NO_DATE: Final = "0001-01-01"


def derivative(contract: Contract, *, empty: str | None) -> dict[str, Any]:
    """Expiry, right and strike; `empty` stands for no expiry."""
    return {
        "drvExpiryDate": str(contract.expiry) if contract.expiry else empty,
        "drvOptionType": WORDS.get(contract.kind),
        "drvStrikePrice": rupees(contract.strike),
    }


def order_view(ticket: Ticket, client_id: str) -> dict[str, Any]:
    """An order of the book."""
    wish, contract = ticket.wish, ticket.contract
    return {
        "dhanClientId": client_id,
        "orderId": ticket.order_id,
        "exchangeOrderId": ticket.exchange_id or None,
        "correlationId": wish.correlation,
        "orderStatus": ticket.status,
        "transactionType": SIDE_WORDS[ticket.side],
        "exchangeSegment": contract.segment,
        "productType": wish.product,
        "orderType": ticket.shown,
        "validity": ticket.validity,
        "tradingSymbol": contract.trading_symbol,
        "securityId": str(contract.security_id),
        "quantity": ticket.qty,
        "disclosedQuantity": ticket.disclosed,
        "price": rupees(ticket.price),
        "triggerPrice": rupees(ticket.trigger),
        "afterMarketOrder": bool(wish.amo),
        "boProfitValue": 0.0,
        "boStopLossValue": 0.0,
        "legName": ticket.leg_name,
        "createTime": stamp(ticket.created_ns),
        "updateTime": stamp(ticket.updated_ns),
        "exchangeTime": stamp(ticket.exchange_ns),
        **derivative(contract, empty=None),
        "omsErrorCode": ticket.error_code,
        "omsErrorDescription": ticket.error_text,
        "algoId": "0",
        "remainingQuantity": ticket.qty - ticket.filled,
        "averageTradedPrice": average(ticket.value, ticket.filled),
        "filledQty": ticket.filled,
    }


def trade_view(trade: Trade, client_id: str) -> dict[str, Any]:
    """A trade of the book."""
    ticket = trade.ticket
    contract = ticket.contract
    return {
        "dhanClientId": client_id,
        "orderId": ticket.order_id,
        "exchangeOrderId": ticket.exchange_id,
        "exchangeTradeId": str(700_000 + trade.number),
        "transactionType": SIDE_WORDS[ticket.side],
        "exchangeSegment": contract.segment,
        "productType": trade.product,
        "orderType": ticket.shown,
        "tradingSymbol": contract.trading_symbol,
        "customSymbol": contract.display,
        "securityId": str(contract.security_id),
        "tradedQuantity": trade.qty,
        "tradedPrice": rupees(trade.price),
        "createTime": stamp(ticket.created_ns),
        "updateTime": stamp(trade.time_ns),
        "exchangeTime": stamp(trade.time_ns),
        **derivative(contract, empty=None),
    }


def position_view(held: Position, last: int, client_id: str) -> dict[str, Any]:
    """A position; everything in it is of today."""
    contract = held.contract
    word = "LONG" if held.net > 0 else "SHORT" if held.net < 0 else "CLOSED"
    return {
        "dhanClientId": client_id,
        "tradingSymbol": contract.trading_symbol,
        "securityId": str(contract.security_id),
        "positionType": word,
        "exchangeSegment": contract.segment,
        "productType": held.product,
        "buyAvg": average(held.buy_value, held.buy_qty),
        "buyQty": held.buy_qty,
        "costPrice": round(held.cost / 100, 4),
        "sellAvg": average(held.sell_value, held.sell_qty),
        "sellQty": held.sell_qty,
        "netQty": held.net,
        "realizedProfit": rupees(held.realized),
        "unrealizedProfit": rupees(held.unrealized(last)),
        "rbiReferenceRate": 1.0,
        "multiplier": 1,
        "carryForwardBuyQty": 0,
        "carryForwardSellQty": 0,
        "carryForwardBuyValue": 0.0,
        "carryForwardSellValue": 0.0,
        "dayBuyQty": held.buy_qty,
        "daySellQty": held.sell_qty,
        "dayBuyValue": rupees(held.buy_value),
        "daySellValue": rupees(held.sell_value),
        **derivative(contract, empty=NO_DATE),
        "crossCurrency": False,
    }


def funds_view(books: Books, working: list[Ticket], client_id: str) -> dict[str, Any]:
    """What the account has and what is blocked."""
    blocked = books.blocked(working)
    available = round(books.funds + books.realized()) - blocked
    return {
        "dhanClientId": client_id,
        "availabelBalance": rupees(available),
        "sodLimit": rupees(books.funds),
        "collateralAmount": 0.0,
        "receiveableAmount": 0.0,
        "utilizedAmount": rupees(blocked),
        "blockedPayoutAmount": 0.0,
        "withdrawableBalance": rupees(max(available, 0)),
    }
