"""Requests about orders and trades."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dhanfast.exchange.answers import Refusal, Reply, answer, bad_input, nothing
from dhanfast.exchange.orders import Ticket, Wish, wish_of
from dhanfast.exchange.routes import Call, Route, order_route
from dhanfast.exchange.views import order_view, trade_view

if TYPE_CHECKING:
    from dhanfast.exchange.core import ExchangeCore


class Trading:
    """Orders: place, change, end, list.

    Args:
        core: whose orders.
    """

    def __init__(self, core: "ExchangeCore") -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            order_route("POST", "/v2/orders", self.place),
            order_route("POST", "/v2/orders/slicing", self.slice),
            order_route("PUT", "/v2/orders/{}", self.modify),
            order_route("DELETE", "/v2/orders/{}", self.cancel),
            Route("GET", "/v2/orders", self.book),
            Route("GET", "/v2/orders/{}", self.one),
            Route("GET", "/v2/orders/external/{}", self.external),
            Route("GET", "/v2/trades", self.trades),
            Route("GET", "/v2/trades/{}", self.trades_of),
        ]

    def place(self, call: Call) -> Reply:
        """`POST /orders`."""
        wish = wish_of(call.raw, self._core.contracts)
        self._core.require_trading(wish)
        ticket = self._core.desk.place(wish, call.now_ns)
        self._core.placed = ticket
        return answer(taken(ticket))

    def slice(self, call: Call) -> Reply:
        """`POST /orders/slicing`: as many orders as the freeze quantity makes of one."""
        wish = wish_of(call.raw, self._core.contracts)
        self._core.require_trading(wish)
        placed: list[Ticket] = []
        for part in sliced(wish):
            try:
                placed.append(self._core.desk.place(part, call.now_ns))
            except Refusal:
                if not placed:
                    raise
                break  # those before are at the exchange: the caller must hear of them
        return answer([taken(ticket) for ticket in placed])

    def modify(self, call: Call) -> Reply:
        """`PUT /orders/{orderId}`."""
        ticket = self._ticket(call.args[0])
        self._core.desk.modify(ticket, call.raw, call.now_ns)
        return answer(taken(ticket))

    def cancel(self, call: Call) -> Reply:
        """`DELETE /orders/{orderId}`."""
        ticket = self._core.desk.cancel(self._ticket(call.args[0]), call.now_ns)
        settings = self._core.settings
        if not settings.cancel_body:
            return nothing(settings.cancel_status)
        return answer({"orderId": ticket.order_id, "orderStatus": "CANCELLED"},
                      settings.cancel_status)  # fmt: skip

    def book(self, call: Call) -> Reply:
        """`GET /orders`, in the order in which they came."""
        return answer([self._view(ticket) for ticket in self._core.desk.blotter.tickets])

    def one(self, call: Call) -> Reply:
        """`GET /orders/{orderId}`."""
        return self._shaped(self._ticket(call.args[0]))

    def external(self, call: Call) -> Reply:
        """`GET /orders/external/{correlationId}`."""
        ticket = self._core.desk.blotter.by_correlation(call.args[0])
        if ticket is None:
            raise Refusal(404, 906, "Incorrect request for order and cannot be processed")
        return self._shaped(ticket)

    def trades(self, call: Call) -> Reply:
        """`GET /trades`."""
        client_id = self._core.settings.client_id
        return answer([trade_view(trade, client_id) for trade in self._core.books.trades])

    def trades_of(self, call: Call) -> Reply:
        """`GET /trades/{orderId}`."""
        client_id = self._core.settings.client_id
        return answer([trade_view(trade, client_id) for trade in self._core.books.trades
                       if trade.ticket.order_id == call.args[0]])  # fmt: skip

    def _view(self, ticket: Ticket) -> dict[str, Any]:
        return order_view(ticket, self._core.settings.client_id)

    def _shaped(self, ticket: Ticket) -> Reply:
        view = self._view(ticket)
        return answer([view] if self._core.settings.order_shape == "array" else view)

    def _ticket(self, order_id: str) -> Ticket:
        ticket = self._core.desk.blotter.find(order_id)
        if ticket is None:
            raise Refusal(404, 906, "Incorrect request for order and cannot be processed")
        return ticket


def taken(ticket: Ticket) -> dict[str, Any]:
    """The answer to an order that was taken in."""
    return {"orderId": ticket.order_id, "orderStatus": ticket.status}


def sliced(wish: Wish) -> list[Wish]:
    """An order in parts that the exchange takes: whole lots, at most the freeze quantity.

    Raises:
        Refusal: DH-905, the freeze quantity is not known or there are too many parts.
    """
    contract = wish.contract
    if not contract.freeze:
        return [wish]
    most = contract.freeze // contract.lot * contract.lot
    if most <= 0 or -(-wish.qty // most) > 100:
        raise bad_input("quantity is invalid")
    whole, rest = divmod(wish.qty, most)
    return [replace(wish, qty=qty) for qty in [most] * whole + [rest] * bool(rest)]
