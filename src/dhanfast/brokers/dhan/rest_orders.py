"""Calls about orders and trades: plain, sliced, super, forever, conditional, several at once."""

from typing import Final

from dhanfast.brokers.base import NOT_SENT, Accepted, OrderSeen, Outcome, Refused, TradeSeen
from dhanfast.brokers.dhan import checks
from dhanfast.brokers.dhan.answers import orders_seen, trades_seen
from dhanfast.brokers.dhan.answers_account import TradeCharged, trades_charged
from dhanfast.brokers.dhan.answers_orders import (
    Alert,
    ForeverOrder,
    SuperOrder,
    alerts,
    forever_orders,
    super_orders,
)
from dhanfast.brokers.dhan.caller import Caller, part
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind
from dhanfast.brokers.dhan.limits import CallClass
from dhanfast.brokers.dhan.requests import (
    ModifyForever,
    ModifyOrder,
    ModifySuper,
    PlaceForever,
    PlaceOrder,
    PlaceSuper,
)
from dhanfast.brokers.dhan.requests_alerts import ConditionalOrder, MultiOrder
from dhanfast.errors import BadData, UsageError

PAGES_MAX: Final = 10_000  # of a statement: more would be a server that repeats itself


class OrderCalls(Caller):
    """Orders and trades. Calls that change something return an Outcome and are sent once."""

    async def place(self, order: PlaceOrder) -> Outcome:
        """Place an order.

        A lost answer is Unknown: look with `order_by_correlation` before anything else.
        """
        client = await self.client_id()
        return await self.submit("POST", "/orders", order.body(client), makes_order=True)

    async def place_sliced(self, order: PlaceOrder) -> Outcome:
        """Place an order above the freeze quantity; the broker cuts it into several.

        Every one of them counts against the limit of orders.
        """
        client = await self.client_id()
        body = order.body(client)
        outcome = await self.submit("POST", "/orders/slicing", body, makes_order=True)
        if isinstance(outcome, Accepted) and outcome.more:
            self.limits.note(CallClass.ORDER, len(outcome.more))
        return outcome

    async def modify(self, change: ModifyOrder) -> Outcome:
        """Change a pending order; at most 25 times."""
        refused = self._count_change(change.order_id)
        if refused:
            return refused
        client = await self.client_id()
        return await self.submit("PUT", f"/orders/{change.order_id}", change.body(client))

    async def cancel(self, order_id: str) -> Outcome:
        """Cancel an order; a fill may have been faster, so look at it afterwards."""
        checks.order_id("orderId", order_id)
        return await self.submit("DELETE", f"/orders/{order_id}", urgent=True)

    async def orders(self) -> list[OrderSeen]:
        """The order book of the day."""
        return orders_seen(await self.read("/orders", empty_on_no_data=True))

    async def order(self, order_id: str) -> OrderSeen | None:
        """One order by the broker's number; None when the broker says that there is none."""
        checks.order_id("orderId", order_id)
        return await self._one(f"/orders/{order_id}")

    async def order_by_correlation(self, correlation: str) -> OrderSeen | None:
        """One order by our own name; None when the broker says that there is none.

        None soon after an Unknown may come too early: ask again over some seconds.
        """
        if not correlation:
            raise UsageError("correlationId: empty, but it is what is looked for")
        checks.correlation_id("correlationId", correlation)
        return await self._one(f"/orders/external/{part(correlation)}")

    async def trades(self) -> list[TradeSeen]:
        """The trade book of the day."""
        return trades_seen(await self.read("/trades", empty_on_no_data=True))

    async def trades_of(self, order_id: str) -> list[TradeSeen]:
        """Trades of one order."""
        checks.order_id("orderId", order_id)
        return trades_seen(await self.read(f"/trades/{order_id}", empty_on_no_data=True))

    async def trade_page(self, first: str, last: str, page: int) -> list[TradeCharged]:
        """One page of the trade statement, from 0; an empty one is the end."""
        begin, end = checks.day("from-date", first), checks.day("to-date", last)
        if begin > end:
            raise UsageError(f"to-date: {last} must not be before from-date {first}")
        checks.whole("page", page, 0, PAGES_MAX)
        path = f"/trades/{begin}/{end}/{page}"
        return trades_charged(await self.read(path, empty_on_no_data=True))

    async def trade_history(self, first: str, last: str) -> list[TradeCharged]:
        """The trade statement, all pages.

        Raises:
            BadData: the pages never end, or one is the page before once more.
        """
        found: list[TradeCharged] = []
        previous: list[TradeCharged] = []
        for page in range(PAGES_MAX):
            rows = await self.trade_page(first, last, page)
            if not rows:
                return found
            if rows == previous:
                raise BadData(f"trades: page {page} repeats page {page - 1}; nothing is used")
            found += rows
            previous = rows
        raise BadData(f"trades: more than {PAGES_MAX} pages from {first} to {last}")

    async def place_super(self, order: PlaceSuper) -> Outcome:
        """Place an entry with target and stop."""
        client = await self.client_id()
        return await self.submit("POST", "/super/orders", order.body(client), makes_order=True)

    async def modify_super(self, change: ModifySuper) -> Outcome:
        """Change one leg of a super order."""
        refused = self._count_change(change.order_id)
        if refused:
            return refused
        client = await self.client_id()
        return await self.submit("PUT", f"/super/orders/{change.order_id}", change.body(client))

    async def cancel_super(self, order_id: str, leg: str = "ENTRY_LEG") -> Outcome:
        """Cancel a leg for good; ENTRY_LEG cancels all."""
        checks.order_id("orderId", order_id)
        checks.chosen("legName", leg, checks.LEGS)
        return await self.submit("DELETE", f"/super/orders/{order_id}/{leg}", urgent=True)

    async def super_orders(self) -> list[SuperOrder]:
        """Super orders of the day."""
        return super_orders(await self.read("/super/orders", empty_on_no_data=True))

    async def place_forever(self, order: PlaceForever) -> Outcome:
        """Place an order that waits for its trigger."""
        client = await self.client_id()
        return await self.submit("POST", "/forever/orders", order.body(client), makes_order=True)

    async def modify_forever(self, change: ModifyForever) -> Outcome:
        """Change a forever order."""
        refused = self._count_change(change.order_id)
        if refused:
            return refused
        client = await self.client_id()
        return await self.submit("PUT", f"/forever/orders/{change.order_id}", change.body(client))

    async def cancel_forever(self, order_id: str) -> Outcome:
        """Cancel a forever order."""
        checks.order_id("orderId", order_id)
        return await self.submit("DELETE", f"/forever/orders/{order_id}", urgent=True)

    async def forever_orders(self) -> list[ForeverOrder]:
        """Forever orders; the broker's own page disagrees on the path, so both are tried."""
        try:
            said = await self.read("/forever/orders", empty_on_no_data=True)
        except BrokerError as error:
            if error.http != 404:
                raise
            said = await self.read("/forever/all", empty_on_no_data=True)
        return forever_orders(said)

    async def place_conditional(self, order: ConditionalOrder) -> Outcome:
        """Place orders that wait for a condition; the Outcome's order_id is the alert's."""
        body = order.body(await self.client_id())
        return await self.submit("POST", "/alerts/orders", body, makes_order=True)

    async def modify_conditional(self, alert_id: str, order: ConditionalOrder) -> Outcome:
        """Replace condition and orders of an alert."""
        body = order.body(await self.client_id(), alert_id)
        return await self.submit("PUT", f"/alerts/orders/{alert_id}", body)

    async def cancel_conditional(self, alert_id: str) -> Outcome:
        """Cancel an alert."""
        checks.order_id("alertId", alert_id)
        return await self.submit("DELETE", f"/alerts/orders/{alert_id}", urgent=True)

    async def conditional_orders(self) -> list[Alert]:
        """All alerts."""
        return alerts(await self.read("/alerts/orders", empty_on_no_data=True))

    async def conditional_order(self, alert_id: str) -> Alert | None:
        """One alert; None when there is none."""
        checks.order_id("alertId", alert_id)
        try:
            said = await self.read(f"/alerts/orders/{alert_id}", empty_on_no_data=True)
        except BrokerError as error:
            if _is_absent(error):
                return None
            raise
        found = alerts(said)
        return found[0] if found else None

    async def place_multi(self, orders: MultiOrder) -> Outcome:
        """Place up to 15 orders in one request; some may be taken and others not."""
        body = orders.body(await self.client_id())
        outcome = await self.submit("POST", "/alerts/multi/orders", body, makes_order=True)
        if isinstance(outcome, Accepted) and outcome.more:
            self.limits.note(CallClass.ORDER, len(outcome.more))
        return outcome

    async def _one(self, path: str) -> OrderSeen | None:
        """One order: an object or an array; None when the broker surely has none."""
        try:
            said = await self.read(path, empty_on_no_data=True)
        except BrokerError as error:
            if _is_absent(error):
                return None
            raise
        found = orders_seen(said)
        if len(found) > 1:
            raise BadData(f"{path}: the broker sent {len(found)} orders where there can be one")
        return found[0] if found else None

    def _count_change(self, order_id: str) -> Refused | None:
        """Count a change of an order; refused when the broker allows no more."""
        try:
            self.limits.modify(order_id)
        except UsageError as error:
            return Refused(code=NOT_SENT, text=f"nothing was sent: {error}")
        return None


def _is_absent(error: BrokerError) -> bool:
    """Whether it says that there is no such thing, in the broker's own words and not a proxy's."""
    return error.has_shape and error.http == 404 and error.kind is not ErrorKind.AUTH
