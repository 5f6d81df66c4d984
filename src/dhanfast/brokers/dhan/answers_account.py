"""What Dhan says of the account: profile, holdings, margins, statements, switches, addresses.

Amounts are paise. Words the broker may change (plan, status) stay words.
"""

from typing import Any

import msgspec

from dhanfast.brokers.base import TradeSeen
from dhanfast.brokers.dhan.answers import trades_seen
from dhanfast.brokers.dhan.fields import Fields, objects
from dhanfast.errors import BadData


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The account and its token. Units: times UTC ns, 0 = not said."""

    client_id: str
    token_ends_ns: int
    segments: tuple[str, ...]
    data_plan: str
    data_ends_ns: int
    ddpi: str
    mtf: str

    @property
    def has_data(self) -> bool:
        """Whether the data plan is active, as far as the profile says."""
        return self.data_plan.lower() == "active"


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """Shares held. Units: shares, paise; last is 0 when not said."""

    exchange: str
    symbol: str
    security_id: str
    isin: str
    qty: int
    in_demat: int
    t1: int
    available: int
    collateral: int
    average: int
    last: int


class Margin(msgspec.Struct, frozen=True, kw_only=True):
    """What an order would block, in paise; leverage as the broker writes it."""

    total: int
    span: int
    exposure: int
    variable: int
    available: int
    short_of: int
    brokerage: int
    leverage: str


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """What orders would block together, in paise."""

    total: int
    span: int
    exposure: int
    equity: int
    fo: int
    commodity: int
    hedge_benefit: int
    currency: str  # "INR", or a number: the sources disagree on what it means


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger. Units: paise."""

    day: str  # as the broker writes it: Jun 22, 2026
    narration: str
    voucher: str
    number: str
    exchange: str
    debit: int
    credit: int
    balance: int


class TradeCharged(msgspec.Struct, frozen=True, kw_only=True):
    """A trade of the statement with what it cost. Units: micro-rupees for the charges."""

    trade: TradeSeen
    isin: str
    instrument: str
    charges: dict[str, int]


class PnlExitState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the account leaves everything at a profit or loss. Units: paise."""

    status: str
    profit: int
    loss: int
    products: tuple[str, ...]
    kill_switch: bool


class IpState(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses orders may come from; what the answer did not say is empty or None."""

    primary: str
    secondary: str
    changed_primary: str
    changed_secondary: str
    detected: str
    matches: bool | None
    orders_allowed: bool | None


class EdisState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether holdings may be sold. Units: shares."""

    isin: str
    total: int
    approved: int
    status: str
    remarks: str


_CHARGES = {
    "sebi": "sebiTax", "stt": "stt", "brokerage": "brokerageCharges", "gst": "serviceTax",
    "exchange": "exchangeTransactionCharges", "stamp": "stampDuty",
}  # fmt: skip


def profile_of(said: Any) -> Profile:
    """The profile.

    Raises:
        BadData: no client id in it.
    """
    fields = Fields(said, "profile")
    client_id = fields.text("dhanClientId")
    if not client_id:
        raise BadData("profile: dhanClientId is missing in what the broker sent")
    segments = fields.text("activeSegment").split(",")
    return Profile(
        client_id=client_id,
        token_ends_ns=fields.ist_ns("tokenValidity"),
        segments=tuple(part.strip() for part in segments if part.strip()),
        data_plan=fields.text("dataPlan"),
        data_ends_ns=fields.ist_ns("dataValidity"),
        ddpi=fields.text("ddpi"),
        mtf=fields.text("mtf"),
    )


def holdings_of(said: Any) -> list[Holding]:
    """The holdings.

    Raises:
        BadData: a number that is none.
    """
    return [
        Holding(
            exchange=fields.text("exchange"),
            symbol=fields.text("tradingSymbol"),
            security_id=fields.text("securityId"),
            isin=fields.text("isin"),
            qty=fields.whole("totalQty"),
            in_demat=fields.whole("dpQty"),
            t1=fields.whole("t1Qty"),
            available=fields.whole("availableQty"),
            collateral=fields.whole("collateralQty"),
            average=fields.paise("avgCostPrice"),
            last=fields.paise("lastTradedPrice"),
        )
        for fields in objects(said, "holding")
    ]


def margin_of(said: Any) -> Margin:
    """The margin of one order.

    Raises:
        BadData: no total in it, or a number that is none.
    """
    fields = Fields(said, "margin")
    _require(fields, "margin", "totalMargin")
    return Margin(
        total=fields.paise("totalMargin"),
        span=fields.paise("spanMargin"),
        exposure=fields.paise("exposureMargin"),
        variable=fields.paise("variableMargin"),
        available=fields.paise("availableBalance", "availabelBalance"),
        short_of=fields.paise("insufficientBalance"),
        brokerage=fields.paise("brokerage"),
        leverage=fields.text("leverage"),
    )


def margins_of(said: Any) -> Margins:
    """The margin of several orders: snake case with text, or camel case with numbers.

    Raises:
        BadData: no total in it, or a number that is none.
    """
    fields = Fields(said, "margins")
    _require(fields, "margins", "totalMargin")
    return Margins(
        total=fields.paise("totalMargin"),
        span=fields.paise("spanMargin"),
        exposure=fields.paise("exposureMargin"),
        equity=fields.paise("equityMargin"),
        fo=fields.paise("foMargin"),
        commodity=fields.paise("commodityMargin"),
        hedge_benefit=fields.paise("hedgeBenefit"),
        currency=fields.text("currency"),
    )


def ledger_of(said: Any) -> list[LedgerRow]:
    """The ledger.

    Raises:
        BadData: an amount that is none.
    """
    return [
        LedgerRow(
            day=fields.text("voucherdate"),
            narration=fields.text("narration"),
            voucher=fields.text("voucherdesc"),
            number=fields.text("vouchernumber"),
            exchange=fields.text("exchange"),
            debit=fields.paise("debit"),
            credit=fields.paise("credit"),
            balance=fields.paise("runbal"),
        )
        for fields in objects(said, "ledger")
    ]


def trades_charged(said: Any) -> list[TradeCharged]:
    """A page of the trade statement.

    Raises:
        BadData: a number that is none.
    """
    rows = list(objects(said, "trade"))
    return [
        TradeCharged(
            trade=trades_seen(fields.plain())[0],
            isin=fields.text("isin"),
            instrument=fields.text("instrument"),
            charges={
                name: int(fields.decimal(key).scaleb(6).to_integral_value())
                for name, key in _CHARGES.items()
            },
        )
        for fields in rows
    ]


def pnl_exit_of(said: Any) -> PnlExitState:
    """The state of the exit on profit or loss."""
    fields = Fields(said, "pnlExit")
    return PnlExitState(
        status=fields.text("pnlExitStatus"),
        profit=fields.paise("profit", "profitValue"),
        loss=fields.paise("loss", "lossValue"),
        products=tuple(str(word) for word in fields.rows("productType")),
        kill_switch=fields.flag("enableKillSwitch"),
    )


def ip_of(said: Any) -> IpState:
    """The addresses; live answers have more keys than the documents."""
    fields = Fields(said, "ip")
    match = fields.text("ipMatchStatus").upper()
    return IpState(
        primary=fields.text("primaryIP", "ip"),
        secondary=fields.text("secondaryIP"),
        changed_primary=fields.text("modifyDatePrimary"),
        changed_secondary=fields.text("modifyDateSecondary"),
        detected=fields.text("detectedIP"),
        matches=None if not match else match == "MATCH",
        orders_allowed=fields.flag("ordersAllowed") if fields.has("ordersAllowed") else None,
    )


def edis_of(said: Any) -> list[EdisState]:
    """Whether holdings may be sold."""
    return [
        EdisState(
            isin=fields.text("isin"),
            total=fields.whole("totalQty"),
            approved=fields.whole("aprvdQty", "approvedQty"),
            status=fields.text("status"),
            remarks=fields.text("remarks"),
        )
        for fields in objects(said, "edis")
    ]


def kill_switch_of(said: Any) -> bool:
    """Whether the kill switch is on; the broker answers a word, or a sentence.

    Raises:
        BadData: neither says so.
    """
    text = Fields(said, "killswitch").text("killSwitchStatus").upper()
    if "DEACTIVATE" in text:
        return False
    if "ACTIVATE" in text:
        return True
    raise BadData(f"killswitch: {text!r} says neither ACTIVATE nor DEACTIVATE")


def _require(fields: Fields, what: str, name: str) -> None:
    """The field the answer is about."""
    if not fields.has(name):
        raise BadData(f"{what}: {name} is missing in what the broker sent")
