"""What brokers have in common: orders, positions, trades and funds as the engine counts them.

Prices and amounts are paise, quantities units, times UTC nanoseconds. A broker's package turns its
own answers into these; nothing above it sees a rupee or a broker's spelling.

A call that changes something at the broker ends in one of three ways, and which one is never
guessed:

    Accepted   the broker says that it did it
    Refused    the broker proved that it did not, or nothing was sent
    Unknown    nobody can tell: ask for the order by its correlation id, then decide
"""

from typing import Final

import msgspec

NOT_SENT: Final = "NOT_SENT"  # code of a Refused whose bytes never left
NO_NUMBER: Final = 0


class OrderSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One order at the broker.

    Units:
        price, trigger, value: paise; value is of all that has filled. qty and filled: units.
        broker_ns: UTC ns of the broker's last change, 0 when it does not say.
    """

    order_id: str
    correlation: str  # ours, or another program's; empty when there is none
    segment: str
    security_id: str
    symbol: str
    product: str
    side: int  # Side
    kind: int  # OrderKind
    validity: int  # Validity
    seen: int  # Seen, quantities counted before the broker's word
    status: str  # the broker's word
    qty: int
    filled: int
    price: int
    trigger: int
    value: int
    broker_ns: int
    text: str  # why it was refused, empty otherwise
    leg: str = ""  # of a super or forever order

    @property
    def left(self) -> int:
        """Units that have not filled."""
        return self.qty - self.filled


class TradeSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One fill at the broker.

    Units:
        price and value in paise: value is quantity times the broker's price, rounded once.
    """

    trade_id: str
    order_id: str
    segment: str
    security_id: str
    symbol: str
    product: str
    side: int
    qty: int
    price: int
    value: int
    broker_ns: int


class PositionSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of one instrument under one product.

    Units:
        qty: units, negative when short. Values in paise, of today and carried together.
    """

    segment: str
    security_id: str
    symbol: str
    product: str
    qty: int
    bought: int
    sold: int
    buy_value: int  # average x quantity, to the paisa
    sell_value: int
    realised: int
    unrealised: int


class FundsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Money of the account, in paise."""

    available: int
    start_of_day: int
    collateral: int
    receivable: int
    used: int
    blocked: int
    withdrawable: int


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The broker says that it did it.

    `order_id` is empty when the call makes no order or the answer had no body; `more` holds the
    other orders of a request that became several.
    """

    order_id: str = ""
    seen: int = 0  # Seen, when the answer tells it
    status: str = ""  # the broker's word
    text: str = ""
    http: int = 200
    more: "tuple[Accepted, ...]" = ()


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The broker proved that it did not do it, or nothing was sent (code NOT_SENT)."""

    code: str  # as the broker writes it
    text: str
    http: int = 0
    number: int = NO_NUMBER  # 901.. or 8xx; 0 = none
    retry_after_s: int = 0


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody can tell what became of it: never send again, ask."""

    cause: str
    http: int = 0
    number: int = NO_NUMBER


Outcome = Accepted | Refused | Unknown
