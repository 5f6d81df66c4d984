"""Our packets in the form of the official client 2.3.0: strings of two decimals, no date."""

from typing import Any

NAMES = {"ltp": "LTP", "ltq": "LTQ", "ltt": "LTT", "atp": "avg_price", "volume": "volume",
         "total_sell_qty": "total_sell_quantity", "total_buy_qty": "total_buy_quantity",
         "oi": "OI", "oi_day_high": "oi_day_high", "oi_day_low": "oi_day_low", "open": "open",
         "close": "close", "high": "high", "low": "low", "prev_close": "prev_close",
         "prev_oi": "prev_OI"}  # fmt: skip
TYPES = {"ticker": "Ticker Data", "quote": "Quote Data", "full": "Full Data", "oi": "OI Data",
         "prev_close": "Previous Close", "legacy_depth": "Market Depth"}  # fmt: skip
RAW_LTP = "legacy_depth"  # the one kind whose LTP it leaves a float


def clock(seconds: int) -> str:
    """Its LTT: the time of day of the raw number."""
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def feed_view(packet: dict[str, Any]) -> Any:
    """A packet of the live feed; None where the client returns None."""
    kind = packet["kind"]
    if kind == "market_status":
        return "Markets Open"
    if kind == "disconnect":
        return None
    view: dict[str, Any] = {
        "type": TYPES[kind],
        "exchange_segment": packet["segment"],
        "security_id": packet["security_id"],
    }
    for ours, theirs in NAMES.items():
        if ours in packet:
            value = packet[ours]
            if ours == "ltt":
                value = clock(value)
            elif isinstance(value, float) and kind != RAW_LTP:
                value = f"{value:.2f}"
            view[theirs] = value
    if "depth" in packet:
        view["depth"] = [
            {
                "bid_quantity": level["bid_qty"],
                "ask_quantity": level["ask_qty"],
                "bid_orders": level["bid_orders"],
                "ask_orders": level["ask_orders"],
                "bid_price": f"{level['bid_price']:.2f}",
                "ask_price": f"{level['ask_price']:.2f}",
            }
            for level in packet["depth"]
        ]
    return view


def depth_view(packet: dict[str, Any]) -> dict[str, Any]:
    """A side of the depth feeds; equal but for what the client does not say."""
    return {name: packet[name] for name in ("exchange_segment", "security_id", "type", "depth")}
