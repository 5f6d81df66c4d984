"""The trader's control: kill switch, profit and loss exit, and the eDIS pages."""

from typing import TYPE_CHECKING, Any, Final

from dhanfast.exchange.answers import Refusal, Reply, answer, bad_input, bad_order, nothing
from dhanfast.exchange.fields import Body
from dhanfast.exchange.orders import Wish
from dhanfast.exchange.positions import Position
from dhanfast.exchange.routes import Call, Route

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore

SWITCH: Final = ("ACTIVATE", "DEACTIVATE")
PNL_FIELDS: Final = frozenset({"profitValue", "lossValue", "productType", "enableKillSwitch"})
PNL_PRODUCTS: Final = {"INTRADAY": ("INTRADAY", "CO", "BO"), "DELIVERY": ("CNC", "MTF", "MARGIN")}
EDIS_FIELDS: Final = frozenset({"isin", "qty", "exchange", "segment", "bulk"})
FORM: Final = (
    "&lt;!DOCTYPE html&gt; &lt;html&gt; &lt;body&gt; &lt;form name=&quot;frmDIS&quot; "
    "method=&quot;post&quot; action=&quot;/edis&quot;&gt; &lt;input type=&quot;hidden&quot; "
    "name=&quot;isin&quot; value=&quot;{isin}&quot;&gt; &lt;/form&gt; &lt;/body&gt; &lt;/html&gt;"
)


class Control:
    """Kill switch and P&L exit of the account.

    Args:
        core: whose account.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core
        self._killed = False
        self._profit = self._loss = 0
        self._products: list[str] = []
        self._then_kill = False
        self._armed = False
        core.barriers.append(self._barrier)
        core.on_time.append(self._look)

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("POST", "/v2/killswitch", self.switch),
            Route("GET", "/v2/killswitch", self.switched),
            Route("POST", "/v2/pnlExit", self.arm),
            Route("GET", "/v2/pnlExit", self.armed),
            Route("DELETE", "/v2/pnlExit", self.disarm),
            Route("GET", "/v2/edis/tpin", lambda call: nothing()),
            Route("POST", "/v2/edis/form", self.edis_form),
            Route("POST", "/v2/edis/bulkform", self.edis_form),
            Route("GET", "/v2/edis/inquire/{}", self.edis_inquire),
        ]

    # ---- kill switch ----

    def _barrier(self, wish: Wish) -> None:
        if self._killed:
            raise bad_order("Kill Switch is activated for the day")

    def switch(self, call: Call) -> Reply:
        """`POST /killswitch?killSwitchStatus=`: with no position and no order open."""
        wanted = call.query.get("killSwitchStatus", "")
        if wanted not in SWITCH:
            raise bad_input("killSwitchStatus is invalid")
        core = self._core
        open_now = any(held.net for held in core.books.positions.values())
        if wanted == "ACTIVATE" and (open_now or core.desk.blotter.working):
            raise bad_order("Close all positions and cancel all pending orders first")
        self._killed = wanted == "ACTIVATE"
        word = "activated" if self._killed else "deactivated"
        return answer(
            {
                "dhanClientId": core.settings.client_id,
                "killSwitchStatus": f"Kill Switch has been successfully {word}",
            }
        )

    def switched(self, call: Call) -> Reply:
        """`GET /killswitch`."""
        return answer({"dhanClientId": self._core.settings.client_id,
                       "killSwitchStatus": SWITCH[0] if self._killed else SWITCH[1]})  # fmt: skip

    # ---- profit and loss exit ----

    def arm(self, call: Call) -> Reply:
        """`POST /pnlExit`: leave everything at a profit or a loss."""
        body = Body(call.raw, PNL_FIELDS)
        products = body.records("productType", len(PNL_PRODUCTS))
        if any(product not in tuple(PNL_PRODUCTS) for product in products):
            raise bad_input("productType is invalid")
        profit, loss = body.money("profitValue"), body.money("lossValue")
        if profit <= 0 and loss <= 0:
            raise bad_input("profitValue or lossValue is required")
        self._profit, self._loss, self._products = profit, loss, products
        self._then_kill = body.flag("enableKillSwitch")
        self._armed = True
        self._look(call.now_ns)
        return answer({"pnlExitStatus": "ACTIVE" if self._armed else "TRIGGERED",
                       "message": "P&L based exit configured successfully"})  # fmt: skip

    def armed(self, call: Call) -> Reply:
        """`GET /pnlExit`."""
        if not self._armed:
            return answer({"pnlExitStatus": "DISABLED"})
        return answer({
            "pnlExitStatus": "ACTIVE",
            "profit": f"{self._profit / 100:.2f}",
            "loss": f"{self._loss / 100:.2f}",
            "productType": self._products,
            "enable_kill_switch": self._then_kill,
        })  # fmt: skip

    def disarm(self, call: Call) -> Reply:
        """`DELETE /pnlExit`."""
        self._armed = False
        return answer({"pnlExitStatus": "DISABLED",
                       "message": "P&L based exit stopped successfully"})  # fmt: skip

    def _chosen(self) -> list[Position]:
        products = {one for name in self._products for one in PNL_PRODUCTS[name]}
        return [held for held in self._core.books.positions.values() if held.product in products]

    def _look(self, now_ns: int) -> None:
        """Leave when profit or loss has been reached; once."""
        if not self._armed:
            return
        core = self._core
        chosen = self._chosen()
        total = sum(held.realized + held.unrealized(core.last(held.contract)) for held in chosen)
        gained = self._profit > 0 and total >= self._profit
        if not gained and not (self._loss > 0 and total <= -self._loss):
            return
        self._armed = False
        keys = {(held.contract.index, held.product) for held in chosen}
        for ticket in core.desk.blotter.working:
            if ticket.is_open and (ticket.contract.index, ticket.wish.product) in keys:
                core.desk.cancel(ticket, now_ns)
        for held in chosen:
            if held.net:
                core.leave(held.contract, held.product, now_ns)
        self._killed = self._killed or self._then_kill

    # ---- eDIS ----

    def edis_form(self, call: Call) -> Reply:
        """`POST /edis/form`, `/edis/bulkform`: the page, as documented; nothing happens."""
        body = Body(call.raw, EDIS_FIELDS)
        isin = body.text("isin")
        body.whole("qty", 0)
        body.choice("exchange", ("NSE", "BSE", "MCX", "ALL"))
        body.choice("segment", ("EQ", "COMM", "FNO"), "EQ")
        body.flag("bulk")
        return answer({"dhanClientId": self._core.settings.client_id,
                       "edisFormHtml": FORM.format(isin=isin)})  # fmt: skip

    def edis_inquire(self, call: Call) -> Reply:
        """`GET /edis/inquire/{isin|ALL}`: everything is approved."""
        shares = [one for one in self._core.contracts if one.kind == "EQ"]
        found: list[dict[str, Any]] = [
            {"clientId": self._core.settings.client_id, "isin": one.isin, "totalQty": 100,
             "aprvdQty": 100, "status": "SUCCESS", "remarks": "eDIS transaction done successfully"}
            for one in shares if call.args[0] in ("ALL", one.isin)
        ]  # fmt: skip
        if not found:
            raise Refusal(400, 905, "isin is invalid")
        return answer(found[0] if call.args[0] != "ALL" else found)
