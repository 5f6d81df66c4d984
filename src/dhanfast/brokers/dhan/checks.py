"""Checks of what is sent: the broker answers a bad field with DH-905 and does not say which.

Each check names field, value and remedy. Prices come in paise and leave as rupees with two
decimals, quantities are units.
"""

import re
from collections.abc import Collection
from datetime import date, datetime
from typing import Final

from dhanfast.errors import UsageError

SEGMENTS: Final = ("NSE_EQ", "NSE_FNO", "NSE_CURRENCY", "NSE_COMM", "BSE_EQ", "BSE_FNO",
                   "BSE_CURRENCY", "MCX_COMM")  # fmt: skip  # of orders
QUOTE_SEGMENTS: Final = ("IDX_I", *SEGMENTS)
SIDES: Final = ("BUY", "SELL")
PRODUCTS: Final = ("CNC", "INTRADAY", "MARGIN", "MTF", "CO", "BO")
ORDER_TYPES: Final = ("LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_MARKET")
VALIDITIES: Final = ("DAY", "IOC")
AMO_TIMES: Final = ("PRE_OPEN", "OPEN", "OPEN_30", "OPEN_60")
LEGS: Final = ("ENTRY_LEG", "TARGET_LEG", "STOP_LOSS_LEG")
CORRELATION_MAX: Final = 30
PAISE_MAX: Final = 10**12  # ten thousand million rupees: beyond any price or amount
QTY_MAX: Final = 10**9

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
_SECURITY: Final = re.compile(r"[0-9]{1,10}")
_CORRELATION: Final = re.compile(rf"[A-Za-z0-9 _-]{{1,{CORRELATION_MAX}}}")
_ISIN: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{9}[0-9]")


def chosen(field: str, value: str, allowed: Collection[str]) -> str:
    """A word of a list.

    Raises:
        UsageError: another one.
    """
    if value not in allowed:
        raise UsageError(f"{field}: {value!r} is none of {', '.join(allowed)}")
    return value


def whole(field: str, value: int, low: int, high: int, unit: str = "") -> int:
    """A whole number within bounds.

    Raises:
        UsageError: no int (True is none), or out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"{field}: {value!r} must be a whole number{unit and f' of {unit}'}")
    if not low <= value <= high:
        raise UsageError(f"{field}: {value} must be from {low} to {high}{unit and f' {unit}'}")
    return value


def quantity(field: str, value: int) -> int:
    """Units, at least 1."""
    return whole(field, value, 1, QTY_MAX, "units (not lots)")


def price(field: str, paise: int, *, zero: bool = False) -> int:
    """A price in paise; 0 only where `zero` says so.

    Raises:
        UsageError: no whole number of paise, negative, 0 where a price is needed.
    """
    if isinstance(paise, float):
        raise UsageError(f"{field}: {paise!r} must be whole paise, not rupees: 101.50 is 10150")
    if not zero and paise == 0:
        raise UsageError(f"{field}: 0 is no price; this kind of order needs one, in paise")
    return whole(field, paise, 0, PAISE_MAX, "paise")


def rupees(paise: int) -> float:
    """Paise as the broker wants them: at most two decimals, never more."""
    return paise / 100


def order_id(field: str, value: str) -> str:
    """The broker's number of an order or alert, safe inside a path.

    Raises:
        UsageError: empty, or with signs that no such number has.
    """
    return _matching(field, value, _ID, "1 to 40 letters, digits, - or _, as the broker gave it")


def security_id(field: str, value: str) -> str:
    """A security id: text of digits.

    Raises:
        UsageError: anything else; ids are text, because the broker wants them so.
    """
    return _matching(field, value, _SECURITY, "digits as text, such as '49081'")


def correlation_id(field: str, value: str) -> str:
    """Our own name of an order, or empty for none.

    Raises:
        UsageError: too long, or other signs than A-Z a-z 0-9 blank _ -.
    """
    if value == "":
        return value
    return _matching(
        field, value, _CORRELATION, f"at most {CORRELATION_MAX} of A-Z a-z 0-9 blank _ -"
    )


def isin(field: str, value: str) -> str:
    """An ISIN by its shape.

    Raises:
        UsageError: another shape.
    """
    return _matching(field, value, _ISIN, "12 signs such as INE002A01018")


def day(field: str, value: str) -> date:
    """A date written YYYY-MM-DD.

    Raises:
        UsageError: another shape, or no such day.
    """
    try:
        found = date.fromisoformat(value) if len(value) == 10 else None
    except (ValueError, TypeError):
        found = None
    if found is None:
        raise UsageError(f"{field}: {value!r} must be a date such as 2026-07-30")
    return found


def minute(field: str, value: str) -> datetime:
    """A time written YYYY-MM-DD HH:MM:SS, IST; a date alone is its midnight.

    Raises:
        UsageError: another shape, or no such time.
    """
    text = value if len(value) != 10 else f"{value} 00:00:00"
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S")
    except (ValueError, TypeError):
        raise UsageError(f"{field}: {value!r} must be a time such as 2026-07-30 09:15:00") from None


def disclosed(field: str, value: int, of: int) -> int:
    """A disclosed quantity: none, or more than 30 % of the whole and not above it.

    Raises:
        UsageError: anything else.
    """
    whole(field, value, 0, of, "units")
    if value and value * 10 <= of * 3:
        raise UsageError(f"{field}: {value} of {of} must be more than 30 %, or 0 for none")
    return value


def priced(order_type: str, price_paise: int, trigger_paise: int, side: str = "") -> None:
    """Price and trigger that belong to an order type.

    Raises:
        UsageError: a price or trigger is missing or too many, or a stop would fill at once.
    """
    price("price", price_paise, zero=order_type in ("MARKET", "STOP_LOSS_MARKET"))
    stop = order_type.startswith("STOP_LOSS")
    price("triggerPrice", trigger_paise, zero=not stop)
    if not stop and trigger_paise:
        raise UsageError(f"triggerPrice: {trigger_paise} paise has no meaning for {order_type}")
    if order_type in ("MARKET", "STOP_LOSS_MARKET") and price_paise:
        raise UsageError(f"price: {price_paise} paise has no meaning for {order_type}; send 0")
    if order_type == "STOP_LOSS" and side:
        beyond = price_paise < trigger_paise if side == "BUY" else price_paise > trigger_paise
        if beyond:
            need = "at or above" if side == "BUY" else "at or below"
            raise UsageError(
                f"price: {price_paise} paise of a {side} stop must be {need} its trigger of "
                f"{trigger_paise} paise"
            )


def _matching(field: str, value: str, pattern: re.Pattern[str], wanted: str) -> str:
    """A text of a shape."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise UsageError(f"{field}: {value!r} must be {wanted}")
    return value
