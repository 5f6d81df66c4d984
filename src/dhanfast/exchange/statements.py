"""Ledger and trade history of the account: today is all the history it has."""

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.exchange.answers import Reply, answer, bad_input
from dhanfast.exchange.contracts import is_index
from dhanfast.exchange.fields import day_of, number_of
from dhanfast.exchange.positions import Trade
from dhanfast.exchange.routes import Call, Route
from dhanfast.exchange.views import trade_view
from dhanfast.market import charges

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

PAGE: Final = 20
TEXTS: Final = ("serviceTax", "stampDuty")
E9: Final = 1_000_000_000
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Statements:
    """`/ledger` and `/trades/{from}/{to}/{page}`.

    Args:
        core: whose account.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("GET", "/v2/ledger", self.ledger),
            Route("GET", "/v2/trades/{}/{}/{}", self.history),
        ]

    def ledger(self, call: Call) -> Reply:
        """`GET /ledger`: what the account began the day with."""
        if not self._covers(call.query.get("from-date"), call.query.get("to-date")):
            return answer([])
        core = self._core
        day = core.market.day.date
        funds = f"{core.settings.funds / 100:.2f}"
        return answer([{
            "dhanClientId": core.settings.client_id,
            "narration": "FUNDS RECEIVED",
            "voucherdate": f"{MONTHS[day.month - 1]} {day.day:02}, {day.year}",
            "exchange": "NSE-CAPITAL",
            "voucherdesc": "RECBNK",
            "vouchernumber": f"{day:%Y%m%d}0001",
            "debit": "0.00",
            "credit": funds,
            "runbal": funds,
        }])  # fmt: skip

    def history(self, call: Call) -> Reply:
        """`GET /trades/{from}/{to}/{page}`: pages from 0, an empty one ends."""
        first, last, page = call.args
        number = number_of(page)
        if number is None:
            raise bad_input("page is invalid")
        if not self._covers(first, last):
            return answer([])
        start = number * PAGE
        trades = self._core.books.trades[start : start + PAGE]
        return answer([self._view(trade) for trade in trades])

    def _covers(self, first: Any, last: Any) -> bool:
        begin, end = day_of(first), day_of(last)
        if begin > end:
            raise bad_input("from-date is after to-date")
        return begin <= self._core.market.day.date <= end

    def _view(self, trade: Trade) -> dict[str, Any]:
        contract = trade.ticket.contract
        return {
            **trade_view(trade, self._core.settings.client_id),
            "isin": contract.isin or "NA",
            "instrument": contract.instrument,
            **self._charges(trade, self._core.market.day.date),
        }

    def _charges(self, trade: Trade, day: date) -> dict[str, Any]:
        """What the trade costs, rupees; zeros for a segment without a table."""
        names = ("sebiTax", "stt", "brokerageCharges", "serviceTax", "exchangeTransactionCharges",
                 "stampDuty")  # fmt: skip
        segment = _segment(trade)
        try:
            rates = charges.rates(segment, day)
        except (OutOfCalendar, UsageError):
            return dict.fromkeys(names, 0.0)
        value, buys = trade.qty * trade.price, trade.ticket.side > 0
        fee = rates.brokerage_flat
        if rates.brokerage_rate_e9:
            fee = min(fee, value * rates.brokerage_rate_e9 // E9)
        exchange = value * rates.exchange_rate_e9 / E9
        sebi = value * rates.sebi_rate_e9 / E9
        gst = (fee + exchange + (sebi if rates.gst_on_sebi else 0)) * rates.gst_rate_e9 / E9
        stt = value * (rates.stt_buy_e9 if buys else rates.stt_sell_e9) / E9
        stamp = value * (rates.stamp_buy_e9 if buys else rates.stamp_sell_e9) / E9
        amounts = (sebi, stt, fee, gst, exchange, stamp)
        found: dict[str, Any] = {
            name: round(amount / 100, 4) for name, amount in zip(names, amounts, strict=True)
        }
        for name in TEXTS:  # the broker writes some of them as texts
            found[name] = str(found[name])
        return found


def _segment(trade: Trade) -> str:
    """The segment of the table of charges."""
    contract = trade.ticket.contract
    if contract.kind == "EQ":
        return "EQ_INTRADAY" if trade.product == "INTRADAY" else "EQ_DELIVERY"
    of = "IDX" if is_index(contract.underlying) else "STK"
    what = f"{'OPT' if contract.is_option else 'FUT'}_{of}"
    return f"BSE_{what}" if contract.exchange == "BSE" else what
