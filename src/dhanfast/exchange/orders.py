"""Orders of the account: what was asked, how far it is, and what a request must say."""

from dataclasses import dataclass, field
from typing import Any, Final

from dhanfast.exchange.answers import bad_input
from dhanfast.exchange.contracts import Contract, Contracts
from dhanfast.exchange.fields import Body

BUY, SELL = 1, -1
SIDES: Final = {"BUY": BUY, "SELL": SELL}
SIDE_WORDS: Final = {BUY: "BUY", SELL: "SELL"}
PRODUCTS: Final = ("CNC", "INTRADAY", "MARGIN", "MTF", "CO", "BO")
KINDS: Final = ("LIMIT", "MARKET", "STOP_LOSS", "STOP_LOSS_MARKET")
STOPS: Final = ("STOP_LOSS", "STOP_LOSS_MARKET")
VALIDITIES: Final = ("DAY", "IOC")
AMO_TIMES: Final = ("PRE_OPEN", "OPEN", "OPEN_30", "OPEN_60")
SEGMENT_WORDS: Final = ("NSE_EQ", "NSE_FNO", "NSE_CURRENCY", "BSE_EQ", "BSE_FNO", "BSE_CURRENCY",
                        "MCX_COMM", "IDX_I")  # fmt: skip
OPEN: Final = frozenset({"TRANSIT", "PENDING", "PART_TRADED"})
DONE: Final = frozenset({"TRADED", "CANCELLED", "REJECTED", "EXPIRED"})
MODIFY_MAX: Final = 25
PLACE_FIELDS: Final = frozenset({
    "correlationId", "transactionType", "exchangeSegment", "productType", "orderType", "validity",
    "securityId", "quantity", "disclosedQuantity", "price", "triggerPrice", "afterMarketOrder",
    "amoTime", "boProfitValue", "boStopLossValue", "tradingSymbol", "drvExpiryDate",
    "drvOptionType", "drvStrikePrice",
})  # fmt: skip
MODIFY_FIELDS: Final = frozenset({
    "orderId", "orderType", "legName", "quantity", "price", "disclosedQuantity", "triggerPrice",
    "validity",
})  # fmt: skip
LEGS: Final = ("ENTRY_LEG", "TARGET_LEG", "STOP_LOSS_LEG", "NA")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks for.

    Units:
        qty and disclosed in units, prices in paise; price 0 for MARKET and STOP_LOSS_MARKET.
    """

    contract: Contract
    side: int
    product: str
    kind: str
    validity: str
    qty: int
    price: int
    trigger: int
    disclosed: int = 0
    correlation: str | None = None
    amo: str = ""  # one of AMO_TIMES, "" for an order of market hours


@dataclass(slots=True, eq=False)
class Ticket:
    """One order of the account.

    Attributes:
        number: counts up from 1. order_id: what the broker calls it.
        status: TRANSIT, PENDING, PART_TRADED, TRADED, CANCELLED, REJECTED or EXPIRED.
        shown: order type in the book: a MARKET order shows as LIMIT.
        filled, value: units, and paise x units of them.
        reduced: units that a fill of its other leg took off.
        match_id: the kernel's id of what works now, 0 = none; match_base: filled before it.
        leg, parent, remark: of super orders: 1 entry, 2 stop loss, 3 target.
    """

    number: int
    order_id: str
    wish: Wish
    created_ns: int
    shown: str = ""
    status: str = "TRANSIT"
    qty: int = 0
    price: int = 0
    trigger: int = 0
    validity: str = "DAY"
    disclosed: int = 0
    filled: int = 0
    value: int = 0
    reduced: int = 0
    exchange_id: str = ""
    updated_ns: int = 0
    exchange_ns: int = 0
    last_price: int = 0
    error_code: str | None = None
    error_text: str | None = None
    changes: int = 0
    match_id: int = 0
    match_base: int = 0
    group: int = 0
    leg: int = 1
    leg_name: str | None = None
    parent: str | None = None
    remark: str = "NR"
    replacing: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """What is in force at first is what was asked."""
        wish = self.wish
        self.shown = self.shown or wish.kind
        self.qty, self.price, self.trigger = wish.qty, wish.price, wish.trigger
        self.validity, self.disclosed = wish.validity, wish.disclosed
        self.updated_ns = self.created_ns

    @property
    def contract(self) -> Contract:
        """What it is of."""
        return self.wish.contract

    @property
    def side(self) -> int:
        """+1 buys, -1 sells."""
        return self.wish.side

    @property
    def left(self) -> int:
        """Units that may still fill."""
        return self.qty - self.filled - self.reduced if self.status in OPEN else 0

    @property
    def is_open(self) -> bool:
        """Whether it may still fill."""
        return self.status in OPEN


def contract_of(body: Body, contracts: Contracts) -> Contract:
    """The instrument that `exchangeSegment` and `securityId` name.

    Raises:
        Refusal: DH-905, no such instrument.
    """
    segment = body.choice("exchangeSegment", SEGMENT_WORDS)
    security_id = body.raw.get("securityId")
    if not isinstance(security_id, str | int) or isinstance(security_id, bool):
        raise bad_input("securityId must be a string")
    found = contracts.find(segment, security_id)
    if found is None or not found.tradable:
        raise bad_input("Invalid SecurityId")
    return found


def wish_of(raw: Any, contracts: Contracts) -> Wish:
    """The order that a body of `POST /orders` asks for.

    Raises:
        Refusal: DH-905.
    """
    body = Body(raw, PLACE_FIELDS)
    kind = body.choice("orderType", KINDS)
    price = body.money("price", 0 if kind in ("MARKET", "STOP_LOSS_MARKET") else None)
    trigger = body.money("triggerPrice", 0 if kind not in STOPS else None)
    qty, disclosed = body.whole("quantity"), body.whole("disclosedQuantity", 0)
    for name in ("boProfitValue", "boStopLossValue"):
        body.money(name, 0)
    if qty <= 0:
        raise bad_input("quantity is invalid")
    if kind in ("LIMIT", "STOP_LOSS") and price <= 0:
        raise bad_input("price is required")
    if kind in STOPS and trigger <= 0:
        raise bad_input("triggerPrice is required")
    require_disclosed(disclosed, qty)
    return Wish(
        contract=contract_of(body, contracts),
        side=SIDES[body.choice("transactionType", tuple(SIDES))],
        product=body.choice("productType", PRODUCTS),
        kind=kind,
        validity=body.choice("validity", VALIDITIES),
        qty=qty,
        price=price if kind in ("LIMIT", "STOP_LOSS") else 0,
        trigger=trigger if kind in STOPS else 0,
        disclosed=disclosed,
        correlation=body.correlation(),
        amo=_amo(body),
    )


def require_disclosed(disclosed: int, qty: int) -> None:
    """Refuse to show too little of an order, or more than there is; 0 shows all.

    Raises:
        Refusal: DH-905.
    """
    if disclosed and (disclosed > qty or disclosed * 10 <= qty * 3):
        raise bad_input("disclosedQuantity must be above 30% of quantity")


def _amo(body: Body) -> str:
    if not body.flag("afterMarketOrder"):
        return ""
    return body.choice("amoTime", AMO_TIMES)


class Blotter:
    """All orders of the day, in the order in which they came.

    Args:
        day_text: YYMMDD of the market's day, part of every id.
    """

    def __init__(self, day_text: str) -> None:
        self._day_text = day_text
        self.tickets: list[Ticket] = []
        self._by_id: dict[str, Ticket] = {}
        self._by_correlation: dict[str, Ticket] = {}
        self._live: list[Ticket] = []

    def open(self, wish: Wish, now_ns: int, **given: Any) -> Ticket:
        """Write a new order down."""
        number = len(self.tickets) + 1
        order_id = f"112{self._day_text}{number:06}"
        ticket = Ticket(number, order_id, wish, now_ns, **given)
        self.tickets.append(ticket)
        self._live.append(ticket)
        self._by_id[ticket.order_id] = ticket
        if wish.correlation is not None:
            self._by_correlation[wish.correlation] = ticket
        return ticket

    def find(self, order_id: str) -> Ticket | None:
        """By the broker's id."""
        return self._by_id.get(order_id)

    def by_correlation(self, correlation: str) -> Ticket | None:
        """By the caller's own id; the last one when it was used twice."""
        return self._by_correlation.get(correlation)

    @property
    def working(self) -> list[Ticket]:
        """Orders that may still fill."""
        self._live = [ticket for ticket in self._live if ticket.is_open]
        return list(self._live)
