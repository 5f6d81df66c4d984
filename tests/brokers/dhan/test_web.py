"""Requests over real sockets of this machine: what is proof that nothing was sent, and what is not.

The server is a few lines over asyncio streams, so that it can do what a real one never should.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dhanfast.brokers.base import NOT_SENT, Accepted, Refused, Unknown
from dhanfast.brokers.dhan.caller import CallSettings
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.requests import PlaceOrder
from dhanfast.brokers.dhan.rest import DhanRest
from dhanfast.brokers.dhan.web import AioWeb, NoReply, NotSent, WebRequest
from dhanfast.clock import SystemClock
from dhanfast.errors import ConfigError

from .stage import CLIENT, VALUE, Tokens

pytest.importorskip("aiohttp", reason="needs the extra [live]")

ORDER = PlaceOrder(side="BUY", segment="NSE_FNO", security_id="49081", qty=75, price=10_000,
                   correlation="df1-1")  # fmt: skip
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Act = Callable[[Writer], Awaitable[None]]


class Server:
    """Reads whole requests, keeps them, and answers each by the next act."""

    def __init__(self, acts: list[Act]) -> None:
        self.acts = acts
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.port = 0

    async def serve(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {n.lower(): v.strip() for n, _, v in (x.partition(":") for x in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.requests.append((first, headers, body))
                act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
                await act(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def say(status: int, body: bytes, *headers: str) -> Act:
    """A whole answer; the connection stays."""

    async def act(writer: Writer) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return act


async def reset(writer: Writer) -> None:
    """RST after the request was read."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()
    raise ConnectionError


async def hang_up(writer: Writer) -> None:
    """A clean end without an answer."""
    writer.close()
    raise ConnectionError


async def half(writer: Writer) -> None:
    """Half an answer, then the end."""
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"orderId"')
    await writer.drain()
    raise ConnectionError


async def mute(writer: Writer) -> None:
    """Never answers; ends when the client does."""
    await asyncio.Event().wait()


@asynccontextmanager
async def serving(*acts: Act) -> AsyncIterator[Server]:
    server = Server(list(acts))
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server


def over(server: Server, wait_s: float = 20.0) -> DhanRest:
    """A client of that server; patient, unless it is silence that is tested."""
    fast = CallSettings(tries=1, order_s=wait_s, read_s=wait_s)
    return DhanRest(Hosts.loopback(server.port), Tokens(), SystemClock(), settings=fast)


def run(act: Callable[[], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        return await act()

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (say(200, b'{"orderId":"1","orderStatus":"PENDING"}'), Accepted),
        (say(400, b'{"errorCode":"DH-905","errorMessage":"x"}'), Refused),
        (say(500, b'{"errorCode":"DH-908","errorMessage":"x"}'), Unknown),
        (say(502, b"<html>"), Unknown),
        (say(200, b""), Unknown),
        (reset, Unknown),
        (hang_up, Unknown),
        (half, Unknown),
        (mute, Unknown),
    ],
)
def test_what_an_order_comes_to_over_a_real_connection(act: Act, kind: type) -> None:
    async def go() -> None:
        wait_s = 0.3 if act is mute else 20.0
        async with serving(act) as server, over(server, wait_s) as rest:
            outcome = await rest.place(ORDER)
            assert isinstance(outcome, kind), outcome
            assert len(server.requests) == 1
            first, headers, body = server.requests[0]
            assert first == "POST /v2/orders HTTP/1.1"
            assert (headers["access-token"], headers["client-id"]) == (VALUE, CLIENT)
            assert json.loads(body)["price"] == 100.0

    run(go)


@pytest.mark.parametrize("method", ["cancel", "modify"])
@pytest.mark.parametrize("broken", [hang_up, reset])
def test_a_change_on_a_connection_that_died_is_not_sent_twice(method: str, broken: Act) -> None:
    """aiohttp sends PUT and DELETE again by itself on a kept connection that was closed."""
    from dhanfast.brokers.dhan.requests import ModifyOrder

    async def go() -> None:
        change = ModifyOrder(order_id="1", qty=75, price=1)
        taken = say(200, b'{"orderId":"1"}')
        async with serving(taken, broken, taken) as server, over(server) as rest:

            async def once() -> Any:
                return await (rest.cancel("1") if method == "cancel" else rest.modify(change))

            assert isinstance(await once(), Accepted)
            assert isinstance(await once(), Unknown)
            assert len(server.requests) == 2

    run(go)


def test_no_connection_is_proof_that_nothing_was_sent() -> None:
    async def go() -> None:
        with socket.socket() as unheard:  # bound, but nobody listens
            unheard.bind(("127.0.0.1", 0))
            hosts = Hosts.loopback(unheard.getsockname()[1])
            async with DhanRest(hosts, Tokens(), SystemClock()) as rest:
                outcome = await rest.place(ORDER)
        assert isinstance(outcome, Refused) and outcome.code == NOT_SENT

    run(go)


def test_a_proxy_that_is_not_there_is_proof_too_and_reads_go_past_it() -> None:
    async def go() -> None:
        with socket.socket() as unheard:
            unheard.bind(("127.0.0.1", 0))
            proxy = f"http://127.0.0.1:{unheard.getsockname()[1]}"
            async with serving(say(200, b"[]")) as server:
                hosts = Hosts.loopback(server.port)
                async with DhanRest(hosts, Tokens(), SystemClock(), order_proxy=proxy) as rest:
                    outcome = await rest.place(ORDER)
                    assert isinstance(outcome, Refused) and outcome.code == NOT_SENT
                    assert await rest.orders() == []

    run(go)


def test_orders_go_by_the_proxy_in_full() -> None:
    """A proxy of plain http sees the whole address; the peer here is that proxy."""

    async def go() -> None:
        async with serving(say(200, b'{"orderId":"1"}')) as proxy:
            hosts = Hosts.loopback(1)
            url = f"http://127.0.0.1:{proxy.port}"
            async with DhanRest(hosts, Tokens(), SystemClock(), order_proxy=url) as rest:
                assert isinstance(await rest.place(ORDER), Accepted)
            assert proxy.requests[0][0] == "POST http://127.0.0.1:1/v2/orders HTTP/1.1"

    run(go)


def test_reads_share_a_kept_connection() -> None:
    async def go() -> None:
        async with serving(say(200, b"[]")) as server, over(server) as rest:
            for _ in range(5):
                assert await rest.orders() == []
            assert server.connections == 1

    run(go)


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async def go() -> None:
        async with serving(say(302, b"", "Location: http://127.0.0.1:1/x")) as server:
            web = AioWeb()
            url = f"http://127.0.0.1:{server.port}/a%20b?token=secret"
            reply = await web.ask(WebRequest(method="GET", url=url, headers={}))
            await web.close()
            assert reply.status == 302 and reply.header("location") == "http://127.0.0.1:1/x"
            assert server.requests[0][0] == "GET /a%20b?token=secret HTTP/1.1"

    run(go)


@pytest.mark.parametrize("act", [reset, mute, half])
def test_no_failure_tells_the_address(act: Act) -> None:
    async def go() -> None:
        async with serving(act) as server:
            web = AioWeb()
            url = f"http://127.0.0.1:{server.port}/x?pin=123456"
            request = WebRequest(method="POST", url=url, headers={"access-token": VALUE},
                                 read_s=0.2, once=True)  # fmt: skip
            with pytest.raises(NoReply) as caught:
                await web.ask(request)
            with pytest.raises(NotSent) as unsent:
                await web.ask(WebRequest(method="POST", headers={}, once=True,
                                         url="http://127.0.0.1:1/x?pin=123456"))  # fmt: skip
            await web.close()
            for text in (str(caught.value), str(unsent.value), repr(request)):
                assert "123456" not in text and VALUE not in text
            assert caught.value.__cause__ is None and unsent.value.__cause__ is None

    run(go)


def test_a_closed_client_sends_nothing() -> None:
    async def go() -> None:
        async with serving(say(200, b"[]")) as server:
            rest = over(server)
            await rest.close()
            outcome = await rest.place(ORDER)
            assert isinstance(outcome, Refused) and server.requests == []

    run(go)


@pytest.mark.parametrize(
    ("name", "url", "says"),
    [
        ("rest", "http://api.dhan.co/v2", "in the clear"),
        ("order_updates", "ws://api-order-update.dhan.co", "in the clear"),
        ("rest", "wss://api.dhan.co", "of the form https"),
        ("feed", "https://api-feed.dhan.co", "of the form wss"),
        ("auth", "https://me@auth.dhan.co", "no user name"),
        ("auth", "https://auth.dhan.co?token=x", "query"),
        ("rest", "https://host:port", "no address"),
        ("rest", "", "of the form"),
    ],
)
def test_addresses_that_would_lose_a_token_are_refused(name: str, url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Hosts(**{name: url})


def test_the_exchange_on_this_machine_is_one_port() -> None:
    hosts = Hosts.loopback(8080)
    assert hosts.rest == "http://127.0.0.1:8080/v2" and hosts.auth == "http://127.0.0.1:8080"
    assert hosts.order_updates == "ws://127.0.0.1:8080/orderupdate"
    assert hosts.is_loopback and not Hosts().is_loopback
    with pytest.raises(ConfigError, match="port"):
        Hosts.loopback(0)
