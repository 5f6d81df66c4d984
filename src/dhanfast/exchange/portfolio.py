"""Requests about what the account holds: positions, holdings, funds, margins, profile."""

from typing import TYPE_CHECKING, Any, Final

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.exchange.answers import Reply, answer, bad_input, bad_order, nothing
from dhanfast.exchange.contracts import Contract
from dhanfast.exchange.fields import Body, ist, rupees
from dhanfast.exchange.orders import PRODUCTS, SIDES, Wish, contract_of
from dhanfast.exchange.routes import Call, Route, order_route
from dhanfast.exchange.views import funds_view, position_view
from dhanfast.market.margin import future_margin

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

MARGIN_FIELDS: Final = frozenset({
    "exchangeSegment", "transactionType", "quantity", "productType", "securityId", "price",
    "triggerPrice",
})  # fmt: skip
CONVERT_FIELDS: Final = frozenset({
    "fromProductType", "exchangeSegment", "positionType", "securityId", "convertQty",
    "toProductType", "tradingSymbol",
})  # fmt: skip
BROKERAGE: Final = 20_00
HELD_QTY: Final = 100


class Portfolio:
    """Positions, holdings, funds.

    Args:
        core: whose account.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("GET", "/v2/positions", self.positions),
            order_route("DELETE", "/v2/positions", self.exit_all),
            Route("POST", "/v2/positions/convert", self.convert),
            Route("GET", "/v2/holdings", self.holdings),
            Route("GET", "/v2/fundlimit", self.funds),
            Route("POST", "/v2/margincalculator", self.margin),
            Route("POST", "/v2/margincalculator/multi", self.margin_multi),
            Route("GET", "/v2/profile", self.profile),
        ]

    def positions(self, call: Call) -> Reply:
        """`GET /positions`."""
        core = self._core
        return answer([position_view(held, core.last(held.contract), core.settings.client_id)
                       for held in core.books.positions.values()])  # fmt: skip

    def exit_all(self, call: Call) -> Reply:
        """`DELETE /positions`: end all open orders, and close every position at the market."""
        self._core.exit_all(call.now_ns)
        return answer({"status": "SUCCESS",
                       "message": "All orders and positions exited successfully"})  # fmt: skip

    def convert(self, call: Call) -> Reply:
        """`POST /positions/convert`: 202 and an empty body."""
        body = Body(call.raw, CONVERT_FIELDS)
        contract = contract_of(body, self._core.contracts)
        source = body.choice("fromProductType", PRODUCTS)
        target = body.choice("toProductType", PRODUCTS)
        side = {"LONG": 1, "SHORT": -1}[body.choice("positionType", ("LONG", "SHORT"))]
        qty = body.whole("convertQty")
        held = self._core.books.net(contract, source) * side
        if source == target:
            raise bad_input("toProductType is invalid")
        if qty % contract.lot:
            raise bad_order(f"convertQty should be in multiple of lot size {contract.lot}")
        if qty <= 0 or qty > held:
            raise bad_order("Quantity to convert is more than the position")
        self._core.books.convert(contract, qty, side, source, target)
        return nothing()

    def holdings(self, call: Call) -> Reply:
        """`GET /holdings`: a hundred of each share."""
        return answer([self._holding(one) for one in self._core.contracts if one.kind == "EQ"])

    def _holding(self, one: Contract) -> dict[str, Any]:
        face = self._core.shown[one.index]
        cost = int(face["prev_close"] or face["open"] or face["last"])
        return {
            "exchange": "ALL",
            "tradingSymbol": one.symbol,
            "securityId": str(one.security_id),
            "isin": one.isin or "NA",
            "totalQty": HELD_QTY,
            "dpQty": HELD_QTY,
            "t1Qty": 0,
            "availableQty": HELD_QTY,
            "collateralQty": 0,
            "avgCostPrice": rupees(cost),
            "lastTradedPrice": rupees(self._core.last(one)),
        }

    def funds(self, call: Call) -> Reply:
        """`GET /fundlimit`."""
        core = self._core
        return answer(funds_view(core.books, core.desk.blotter.working, core.settings.client_id))

    # ---- margins ----

    def margin(self, call: Call) -> Reply:
        """`POST /margincalculator`."""
        body = Body(call.raw, MARGIN_FIELDS)
        wish = self._asked(body)
        total, span, exposure = self._margins(wish)
        available = self._core.books.available(self._core.desk.blotter.working)
        value = wish.qty * (wish.price or self._core.last(wish.contract))
        leverage = value / total if total else 1.0
        return answer({
            "totalMargin": rupees(total),
            "spanMargin": rupees(span),
            "exposureMargin": rupees(exposure),
            "availableBalance": rupees(available),
            "variableMargin": rupees(total - span - exposure),
            "insufficientBalance": rupees(max(total - available, 0)),
            "brokerage": rupees(BROKERAGE if wish.product != "CNC" else 0),
            "leverage": f"{leverage:.2f}",
        })  # fmt: skip

    def margin_multi(self, call: Call) -> Reply:
        """`POST /margincalculator/multi`: the sum of its scripts; no benefit of a hedge."""
        body = Body(call.raw, {"includePosition", "includeOrder", "includeOrders", "scripList",
                               "scripts"})  # fmt: skip
        scripts = body.records("scripList" if "scripList" in body.raw else "scripts", 100)
        total = span = exposure = equity = 0
        for one in scripts:
            wish = self._asked(Body(one, MARGIN_FIELDS))
            parts = self._margins(wish)
            total, span, exposure = total + parts[0], span + parts[1], exposure + parts[2]
            equity += parts[0] if wish.contract.kind == "EQ" else 0
        orders = "includeOrder" if "includeOrder" in body.raw else "includeOrders"
        working = self._core.desk.blotter.working if body.flag(orders) else []
        if body.flag("includePosition"):
            total += self._core.books.blocked(working)
        names = ("total_margin", "span_margin", "exposure_margin", "equity_margin", "fo_margin")
        amounts = (total, span, exposure, equity, total - equity)
        view = {name: f"{amount / 100:.2f}" for name, amount in zip(names, amounts, strict=True)}
        return answer({**view, "commodity_margin": "0.00", "currency": "INR", "hedge_benefit": ""})

    def _asked(self, body: Body) -> Wish:
        contract = contract_of(body, self._core.contracts)
        body.money("triggerPrice", 0)
        return Wish(contract, SIDES[body.choice("transactionType", tuple(SIDES))],
                    body.choice("productType", PRODUCTS), "LIMIT", "DAY", body.whole("quantity"),
                    body.money("price", 0), 0)  # fmt: skip

    def _margins(self, wish: Wish) -> tuple[int, int, int]:
        """Total, of it the scan range, and of it the exposure margin, paise."""
        contract = wish.contract
        total = self._core.books.need(contract, wish.product, wish.side, wish.qty, wish.price)
        if contract.expiry is None or (contract.is_option and wish.side > 0):
            return total, 0, 0
        try:
            rates = future_margin(contract.underlying, self._core.market.day.date)
        except (OutOfCalendar, UsageError):
            return total, total, 0
        exposure = total * rates.exposure_e9 // rates.rate_e9
        return total, total - exposure, exposure

    def profile(self, call: Call) -> Reply:
        """`GET /profile`."""
        live = self._core.tokens.live
        assert live is not None  # the token was looked at
        validity = ist(live.expires_ns)
        return answer({
            "dhanClientId": self._core.settings.client_id,
            "tokenValidity": f"{validity:%d/%m/%Y %H:%M}",
            "activeSegment": "Equity, Derivative, Currency, Commodity",
            "ddpi": "Active",
            "mtf": "Active",
            "dataPlan": "Active",
            "dataValidity": f"{ist(call.real_ns).year + 1}-12-05 09:37:52.0",
        })  # fmt: skip
