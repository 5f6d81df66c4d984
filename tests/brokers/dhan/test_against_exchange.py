"""The client and the exchange of this project, without sockets: two readings of one document meet.

Order ids, quantities and prices go all the way out and back; each side was written on its own.
"""

import asyncio
import csv
import io
import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dhanfast._core.live.records import Origin, Seen
from dhanfast.brokers.base import Accepted, Refused
from dhanfast.brokers.dhan.answers import update_from
from dhanfast.brokers.dhan.errors import BrokerError, ErrorKind
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.requests import ModifyOrder, PlaceOrder, correlation
from dhanfast.brokers.dhan.requests_account import MarginQuery
from dhanfast.brokers.dhan.requests_data import ChainQuery
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.brokers.dhan.updates import OrderUpdates
from dhanfast.brokers.dhan.web import WebReply, WebRequest
from dhanfast.clock import ManualClock
from dhanfast.security.tokens import FixedToken, Token

from ...exchange.serving import SECOND, Account, make_account
from .stage import CLIENT, NOON_NS

TAG = "df00000001"


class CoreWeb:
    """The exchange's core as a network; every request comes a fifth of a second later."""

    def __init__(self, account: Account) -> None:
        self.core = account.core

    async def ask(self, request: WebRequest) -> WebReply:
        parts = urlsplit(request.url)
        reply = self.core.request(
            request.method, parts.path, dict(parse_qsl(parts.query)), dict(request.headers),
            request.body or b"", self.core.now_ns, real_ns=self.core.real_ns + SECOND // 5,
        )  # fmt: skip
        return WebReply(status=reply.status, body=reply.body, headers=dict(reply.headers))

    async def close(self) -> None:
        """Nothing to end."""


class Desk:
    """A client of that exchange, and what its order updates told."""

    def __init__(self) -> None:
        self.account = make_account(minutes=5)
        clock = ManualClock(NOON_NS)
        hosts = Hosts.loopback(1)
        tokens = FixedToken(Token.of_jwt(self.account.token))
        self.rest = DhanRest(hosts, tokens, clock, session=CoreWeb(self.account))
        self.future = self.account.contract("FUT")
        self.listed = {(self.future.segment, str(self.future.security_id)): 3}
        self.told: list[Any] = []
        self.updates = OrderUpdates(
            hosts, tokens, clock, tag=TAG, instruments=self.listed,
            on_update=lambda record, _: self.told.append(record.copy()),
        )  # fmt: skip

    def order(self, number: int, price: int, lots: int = 1) -> PlaceOrder:
        return PlaceOrder(
            side="BUY", segment=self.future.segment, security_id=str(self.future.security_id),
            qty=self.future.lot * lots, price=price, correlation=correlation(TAG, number),
        )  # fmt: skip

    def run(self, seconds: float) -> None:
        """Let the market go on, and hear what the exchange tells."""
        self.account.run(seconds)
        for said in self.account.core.take_updates():
            self.updates.take(said if isinstance(said, str | bytes) else json.dumps(said))


def test_an_order_from_its_placing_to_its_end() -> None:
    async def act() -> None:
        desk = Desk()
        rest, mid, tick = desk.rest, desk.account.mid(desk.future), desk.future.tick
        deep, rich = mid - 2_000 * tick, mid + 400 * tick
        resting, taken = [await rest.place(desk.order(n, price))
                          for n, price in ((7, deep), (8, rich))]  # fmt: skip
        assert isinstance(resting, Accepted) and isinstance(taken, Accepted)
        desk.run(2)
        done = await rest.order_by_correlation(correlation(TAG, 8))
        assert done is not None and done.order_id == taken.order_id and done.seen == Seen.TRADED
        (trade,) = await rest.trades_of(taken.order_id)
        (held,) = await rest.positions()
        assert trade.qty == held.qty == done.filled == desk.future.lot
        assert trade.value == held.buy_value == done.value and trade.price <= rich
        change = ModifyOrder(order_id=resting.order_id, qty=desk.future.lot, price=deep + tick)
        assert isinstance(await rest.modify(change), Accepted)
        waiting = await rest.order(resting.order_id)
        assert waiting is not None and (waiting.seen, waiting.price) == (Seen.PENDING, deep + tick)
        assert isinstance(await rest.cancel(resting.order_id), Accepted)
        again = await rest.cancel(resting.order_id)
        assert isinstance(again, Refused) and again.number == 906
        desk.run(1)
        book = {order.order_id: order for order in await rest.orders()}
        assert book[resting.order_id].seen == Seen.CANCELLED
        last = {int(record["order"]): record for record in desk.told}
        for order in book.values():  # the socket's last word is the book's, to the field
            record = update_from(order, Origin.SOCKET, tag=TAG, at_ns=0, instruments=desk.listed)
            names = [n for n in record.dtype.names or () if n not in ("at_ns", "broker_ns")]
            heard = last[int(record["order"])]
            assert [heard[n].item() for n in names] == [record[n].item() for n in names]
        assert desk.updates.counts.unreadable == 0

    asyncio.run(act())


def test_what_the_exchange_refuses_is_refused() -> None:
    async def act() -> None:
        desk = Desk()
        mid = desk.account.mid(desk.future)
        security = str(desk.future.security_id)
        odd = PlaceOrder(side="BUY", segment=desk.future.segment, security_id=security, price=mid,
                         qty=desk.future.lot + 1)  # fmt: skip
        outcome = await desk.rest.place(odd)
        assert isinstance(outcome, Refused) and "lot size" in outcome.text
        assert await desk.rest.order_by_correlation(correlation(TAG, 99)) is None
        assert not await desk.rest.kill_switch_is_on()

    asyncio.run(act())


def test_the_account_and_the_market_are_read() -> None:
    async def act() -> None:
        desk = Desk()
        rest, future = desk.rest, desk.future
        assert (await rest.profile()).client_id == CLIENT
        funds = await rest.funds()
        assert funds.available == funds.start_of_day > 0
        assert await rest.orders() == [] and await rest.trades() == []
        rows = csv.DictReader(io.StringIO((await rest.instruments(future.segment)).decode()))
        listed = {int(row["SECURITY_ID"]) for row in rows}
        assert future.security_id in listed
        key = (future.segment, future.security_id)
        shot = (await rest.quote({future.segment: [future.security_id]}))[key]
        face = desk.account.core.shown[future.index]
        assert (shot.bids[0].price, shot.asks[0].price) == (face["bid"], face["ask"])
        query = MarginQuery(side="BUY", segment=future.segment, qty=future.lot, price=shot.last,
                            security_id=str(future.security_id))  # fmt: skip
        margin = await rest.margin(query)
        assert 0 < margin.total < funds.available and margin.available == funds.available
        underlying = desk.account.core.contracts[0].security_id
        days = await rest.expiries(ChainQuery(underlying=underlying))
        chain = await rest.chain(ChainQuery(underlying=underlying, expiry=days[0]))
        assert len(chain.rows) == 11 and abs(chain.last - shot.last) < chain.last // 20
        ids = {side.security_id for row in chain.rows for side in (row.call, row.put) if side}
        assert ids <= listed and len(ids) == 22

    asyncio.run(act())


def test_a_dead_token_is_told_from_other_refusals() -> None:
    async def act() -> None:
        desk = Desk()
        core = desk.account.core
        core.tokens.mint("SELF", core.real_ns)  # which ends ours
        with pytest.raises(Exception, match="dhanfast auth login") as caught:
            await desk.rest.orders()
        assert getattr(caught.value, "exit_code", 0) == 4
        outcome = await desk.rest.place(desk.order(1, desk.account.mid(desk.future)))
        assert isinstance(outcome, Refused) and outcome.number == 901
        assert not isinstance(caught.value, BrokerError) or caught.value.kind is ErrorKind.AUTH

    asyncio.run(act())
