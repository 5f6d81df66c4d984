"""Order updates as the broker's socket sends them."""

from typing import Any, Final

from dhanfast.exchange.fields import average, rupees, stamp
from dhanfast.exchange.orders import Ticket

PRODUCT_LETTERS: Final = {"CNC": "C", "INTRADAY": "I", "MARGIN": "M", "MTF": "F", "CO": "V",
                          "BO": "B"}  # fmt: skip
KIND_LETTERS: Final = {"LIMIT": "LMT", "MARKET": "MKT", "STOP_LOSS": "SL",
                       "STOP_LOSS_MARKET": "SLM"}  # fmt: skip
# The second cluster of the broker's sample: these keys come in camel case, some in both.
CLUSTER: Final = {"Series": "series", "GoodTillDaysDate": "goodTillDaysDate",
                  "RefLtp": "refLtp", "TickSize": "tickSize", "AlgoId": "algoId",
                  "Multiplier": "multiplier", "Instrument": "instrumentType"}  # fmt: skip
NEVER: Final = "0001-01-01 00:00:00"


def status_word(ticket: Ticket) -> str:
    """The status on the socket, which has no PART_TRADED."""
    return "PENDING" if ticket.status == "PART_TRADED" else ticket.status


def update_of(
    ticket: Ticket, client_id: str, reason: str, last: int, casing: str
) -> dict[str, Any]:
    """One message.

    Args:
        reason: CONFIRMED or the text of a refusal. last: price of the market, paise.
        casing: "both", "pascal" or "camel".
    """
    data = _pascal(ticket, client_id, reason, last)
    if casing == "camel":
        data = {name[0].lower() + name[1:]: value for name, value in data.items()}
    elif casing == "both":
        data = {camel: data[name] for name, camel in CLUSTER.items()} | data
    return {"Data": data, "Type": "order_alert"}


def _pascal(ticket: Ticket, client_id: str, reason: str, last: int) -> dict[str, Any]:
    contract, wish = ticket.contract, ticket.wish
    option = contract.kind if contract.is_option else "XX"
    changed = stamp(ticket.updated_ns)
    return {
        "Exchange": contract.exchange,
        "Segment": contract.letter,
        "Source": "P",
        "SecurityId": str(contract.security_id),
        "ClientId": client_id,
        "ExchOrderNo": ticket.exchange_id,
        "OrderNo": ticket.order_id,
        "Product": PRODUCT_LETTERS[wish.product],
        "TxnType": "B" if ticket.side > 0 else "S",
        "OrderType": KIND_LETTERS[ticket.shown],
        "Validity": ticket.validity,
        "DiscQuantity": ticket.disclosed,
        "DiscQtyRem": min(ticket.disclosed, ticket.left),
        "RemainingQuantity": ticket.qty - ticket.filled,
        "Quantity": ticket.qty,
        "TradedQty": ticket.filled,
        "Price": rupees(ticket.price),
        "TriggerPrice": rupees(ticket.trigger),
        "TradedPrice": rupees(ticket.last_price),
        "AvgTradedPrice": average(ticket.value, ticket.filled),
        "AlgoOrdNo": ticket.parent,
        "OffMktFlag": "1" if wish.amo else "0",
        "OrderDateTime": stamp(ticket.created_ns),
        "ExchOrderTime": stamp(ticket.exchange_ns) or "",
        "LastUpdatedTime": changed,
        "Remarks": ticket.remark,
        "MktType": "NL",
        "ReasonDescription": reason,
        "LegNo": ticket.leg,
        "Instrument": contract.instrument,
        "Symbol": contract.underlying,
        "ProductName": wish.product,
        "Status": status_word(ticket),
        "LotSize": contract.lot,
        "StrikePrice": rupees(contract.strike) if contract.strike else None,
        "ExpiryDate": f"{contract.expiry} 14:30:00" if contract.expiry else NEVER,
        "OptType": option,
        "DisplayName": contract.display,
        "Isin": contract.isin or "NA",
        "Series": "EQ" if contract.kind == "EQ" else "XX",
        "GoodTillDaysDate": (changed or "")[:10],
        "RefLtp": rupees(last),
        "TickSize": rupees(contract.tick),
        "AlgoId": "0",
        "Multiplier": 1,
        "CorrelationId": wish.correlation or "",
    }
