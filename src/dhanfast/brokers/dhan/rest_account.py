"""Calls about the account: positions, funds, margin, statements, switches, eDIS, address."""

from typing import Any

from dhanfast.brokers.base import FundsSeen, Outcome, PositionSeen
from dhanfast.brokers.dhan import checks
from dhanfast.brokers.dhan.answers import funds_seen, positions_seen
from dhanfast.brokers.dhan.answers_account import (
    EdisState,
    Holding,
    IpState,
    LedgerRow,
    Margin,
    Margins,
    PnlExitState,
    Profile,
    edis_of,
    holdings_of,
    ip_of,
    kill_switch_of,
    ledger_of,
    margin_of,
    margins_of,
    pnl_exit_of,
    profile_of,
)
from dhanfast.brokers.dhan.caller import Caller, part
from dhanfast.brokers.dhan.fields import Fields
from dhanfast.brokers.dhan.limits import CallClass
from dhanfast.brokers.dhan.requests_account import (
    ConvertPosition,
    EdisForm,
    MarginQuery,
    MarginsQuery,
    PnlExit,
    StaticIp,
)
from dhanfast.errors import UsageError


class AccountCalls(Caller):
    """The account. Calls that change something return an Outcome and are sent once."""

    async def profile(self) -> Profile:
        """The account and its token: the cheapest way to see whether the token is alive."""
        return profile_of(await self.read("/profile", bare_headers=True))

    async def positions(self) -> list[PositionSeen]:
        """Positions of the day; closed ones too."""
        return positions_seen(await self.read("/positions", empty_on_no_data=True))

    async def holdings(self) -> list[Holding]:
        """Shares held."""
        return holdings_of(await self.read("/holdings", empty_on_no_data=True))

    async def convert(self, change: ConvertPosition) -> Outcome:
        """Move a position to another product; the answer has no body."""
        body = change.body(await self.client_id())
        return await self.submit("POST", "/positions/convert", body, kind=CallClass.OTHER)

    async def exit_all(self) -> Outcome:
        """Close all positions and cancel all open orders; look at both afterwards."""
        return await self.submit("DELETE", "/positions", urgent=True)

    async def funds(self) -> FundsSeen:
        """Money of the account."""
        return funds_seen(await self.read("/fundlimit"))

    async def margin(self, order: MarginQuery) -> Margin:
        """What an order would block."""
        body = order.body(await self.client_id())
        return margin_of(await self.read("/margincalculator", method="POST", body=body))

    async def margins(self, orders: MarginsQuery) -> Margins:
        """What orders would block together."""
        body = orders.body(await self.client_id())
        return margins_of(await self.read("/margincalculator/multi", method="POST", body=body))

    async def ledger(self, first: str, last: str) -> list[LedgerRow]:
        """The ledger between two dates, both included."""
        begin, end = checks.day("from-date", first), checks.day("to-date", last)
        if begin > end:
            raise UsageError(f"to-date: {last} must not be before from-date {first}")
        query = {"from-date": begin.isoformat(), "to-date": end.isoformat()}
        return ledger_of(await self.read("/ledger", query=query, empty_on_no_data=True))

    async def kill_switch(self, on: bool) -> Outcome:
        """Stop all trading of the account for the day, or let it go on.

        The broker wants no open positions and no pending orders.
        """
        query = {"killSwitchStatus": "ACTIVATE" if on else "DEACTIVATE"}
        return await self.submit("POST", "/killswitch", query=query, kind=CallClass.OTHER)

    async def kill_switch_is_on(self) -> bool:
        """Whether trading of the account is stopped."""
        return kill_switch_of(await self.read("/killswitch"))

    async def set_pnl_exit(self, settings: PnlExit) -> Outcome:
        """Leave everything at a profit or loss of today; at once when it is beyond already."""
        body = settings.body(await self.client_id())
        return await self.submit("POST", "/pnlExit", body, kind=CallClass.OTHER)

    async def pnl_exit(self) -> PnlExitState:
        """What is set."""
        return pnl_exit_of(await self.read("/pnlExit"))

    async def stop_pnl_exit(self) -> Outcome:
        """Stay in, whatever the profit or loss."""
        return await self.submit("DELETE", "/pnlExit", kind=CallClass.OTHER)

    async def ip(self) -> IpState:
        """Addresses that orders may come from."""
        return ip_of(await self.read("/ip/getIP"))

    async def set_ip(self, address: StaticIp) -> Outcome:
        """Register an address; it cannot be changed for 7 days."""
        body = address.body(await self.client_id())
        return await self.submit("POST", "/ip/setIP", body, kind=CallClass.OTHER)

    async def modify_ip(self, address: StaticIp) -> Outcome:
        """Change a registered address; it cannot be changed again for 7 days."""
        body = address.body(await self.client_id())
        return await self.submit("PUT", "/ip/modifyIP", body, kind=CallClass.OTHER)

    async def tpin(self) -> None:
        """Have a T-PIN sent to the user's phone; the answer has no body."""
        await self.read("/edis/tpin", body_optional=True)

    async def edis_form(self, form: EdisForm) -> str:
        """The depository's form to permit a sale, as HTML."""
        body = form.body(await self.client_id())
        return _form(await self.read("/edis/form", method="POST", body=body))

    async def edis_bulk_form(self, form: EdisForm) -> str:
        """The depository's form to permit several sales, as HTML."""
        body = form.body(await self.client_id())
        return _form(await self.read("/edis/bulkform", method="POST", body=body))

    async def edis_state(self, isin: str = "ALL") -> list[EdisState]:
        """Which holdings may be sold."""
        if isin != "ALL":
            checks.isin("isin", isin)
        return edis_of(await self.read(f"/edis/inquire/{part(isin)}", empty_on_no_data=True))


def _form(said: Any) -> str:
    """The HTML in an answer, where the broker puts a backslash before every quote."""
    return Fields(said, "edis").text("edisFormHtml").replace("\\", "")
