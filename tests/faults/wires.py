"""The network between engine and broker: what leaves may be late, lost, or answered with nothing.

A connection keeps its order and loses nothing by itself; what is lost is a whole request, a whole
answer, or the connection. Everything here ends with the life of the engine that uses it.
"""

import asyncio
import errno
import random
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec
import numpy as np

from dhanfast._core.live.courier import Courier
from dhanfast._core.live.orderhttp import RequestBook
from dhanfast._core.live.records import ANSWER_DTYPE, IntentKind, Origin, Outcome
from dhanfast.brokers.base import Accepted, Refused
from dhanfast.brokers.dhan.answers import order_seen, update_from
from dhanfast.brokers.dhan.caller import judged
from dhanfast.brokers.dhan.updates import Broken
from dhanfast.brokers.dhan.web import NoReply, NotSent, WebReply, WebRequest
from dhanfast.errors import NotAuthenticated
from dhanfast.exchange.answers import Fate, Reply
from dhanfast.security.tokens import Token

from .plan import Plan
from .simloop import SimClock

TIMEOUT_S = 2.0  # an order request that is not answered in so long is unknown
LATE_MAX_S = 3.0  # nothing is under way for longer: an order lost for 5 s never comes


class Exchange(Protocol):
    """What the wires need of the world."""

    def serve(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply: ...

    def token_is_good(self, value: str) -> bool: ...


class Net:
    """Chances of one run's network. Healed, it is quick and loses nothing."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self._plan, self._rng = plan, rng
        self.healed = False
        self.counts: Counter[str] = Counter()

    def delay_s(self) -> float:
        """One way of one message."""
        if self.healed or self._rng.random() >= self._plan.slow_part:
            return 0.0005 + 0.004 * self._rng.random()
        self.counts["slow message"] += 1
        return 0.05 + (LATE_MAX_S - 0.1) * self._rng.random() ** 2

    def is_lost(self) -> bool:
        """Whether a request, or an answer, gets lost."""
        lost = not self.healed and self._rng.random() < self._plan.lose_part
        self.counts["lost message"] += lost
        return lost

    def is_refused(self) -> bool:
        """Whether no connection can be had: nothing leaves."""
        refused = not self.healed and self._rng.random() < self._plan.refuse_part
        self.counts["no connection"] += refused
        return refused


class SimTokens:
    """The token of the account; a refused one is renewed once, a second later.

    Attributes:
        away_until_s: until this time of the loop there is no login, so that nobody renews.
    """

    def __init__(self, client_id: str, mint: Callable[[], str]) -> None:
        self._client_id, self._mint = client_id, mint
        self.value = mint()
        self.renewed = 0
        self.away_until_s = 0.0

    async def token(self) -> Token:
        return Token.of_jwt(self.value, self._client_id)

    async def refused(self, token: Token) -> Token:
        await asyncio.sleep(1.0)
        if token.reveal() == self.value:
            if asyncio.get_running_loop().time() < self.away_until_s:
                raise NotAuthenticated("no other token; log in again")
            self.value = self._mint()
            self.renewed += 1
        return await self.token()


class SimWeb:
    """Reads of the account (`Web` of `DhanRest`)."""

    def __init__(self, net: Net, exchange: Exchange) -> None:
        self._net, self._exchange = net, exchange

    async def ask(self, request: WebRequest) -> WebReply:
        if self._net.is_refused():
            raise NotSent("no connection")
        await asyncio.sleep(self._net.delay_s())
        if self._net.is_lost():
            await asyncio.sleep(request.read_s)
            raise NoReply("no answer in time")
        url = urlsplit(request.url)
        reply = self._exchange.serve(
            request.method, url.path, dict(parse_qsl(url.query)), dict(request.headers),
            request.body or b"",
        )  # fmt: skip
        if reply.fate is Fate.HANG or self._net.is_lost():
            await asyncio.sleep(request.read_s)
            raise NoReply("no answer in time")
        await asyncio.sleep(self._net.delay_s() + reply.delay_ns / 1e9)
        if reply.fate is Fate.RESET:
            raise NoReply("connection reset")
        return WebReply(status=reply.status, body=reply.body, headers=reply.headers)

    async def close(self) -> None:
        """Nothing is open."""


class SimLine:
    """One connection of the order-update socket: in order, late, mute, or cut."""

    def __init__(self, net: Net, exchange: Exchange) -> None:
        self._net, self._exchange = net, exchange
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._due_s = 0.0
        self.open = False
        self.muted_until_s = 0.0

    async def send(self, text: str) -> None:
        await asyncio.sleep(self._net.delay_s())
        token = msgspec.json.decode(text)["LoginReq"]["Token"]
        if self._exchange.token_is_good(token):
            self.open = True
        else:
            self.cut()  # the broker hangs up without a word

    def tell(self, text: str) -> None:
        """The broker sends a frame."""
        loop = asyncio.get_running_loop()
        if not self.open or loop.time() < self.muted_until_s:
            return
        self._due_s = max(self._due_s, loop.time() + self._net.delay_s())
        loop.call_at(self._due_s, self._queue.put_nowait, text)

    async def receive(self) -> str | bytes:
        frame = await self._queue.get()
        if frame is None:
            raise Broken("connection reset")
        return frame

    def cut(self) -> None:
        self.open = False
        self._queue.put_nowait(None)

    async def close(self) -> None:
        self.open = False


def parsed(raw: bytes) -> tuple[str, str, dict[str, str], bytes]:
    """A request's method, path, headers and body, from its bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers.get("Content-Length", 0)) == len(body)
    return method, path, headers, body


def meaning(
    intent: Any, reply: Reply, tag: str, security: tuple[str, str], now_ns: int
) -> tuple[Any, Outcome, dict[str, Any]]:
    """What a whole answer says: an Update of a QUERY that found it, and the fields of an Answer."""
    is_query = intent["kind"] == IntentKind.QUERY
    if is_query and reply.status == 200:
        update = update_from(order_seen(reply.json()), Origin.REST, tag=tag, at_ns=now_ns,
                             instruments={security: 0})  # fmt: skip
        return update, Outcome.TAKEN, {}
    web = WebReply(status=reply.status, body=reply.body, headers=reply.headers)
    outcome, _ = judged(web, intent["kind"] == IntentKind.PLACE)
    if isinstance(outcome, Accepted):
        return None, Outcome.TAKEN, {"broker_id": outcome.order_id, "seen": int(outcome.seen)}
    if isinstance(outcome, Refused):
        absent = is_query and reply.status == 404
        said = {"error": outcome.number, "retry_after_s": outcome.retry_after_s}
        return None, Outcome.ABSENT if absent else Outcome.REFUSED, said
    return None, Outcome.UNKNOWN, {}


class SimCourier(Courier):
    """Carries requests: the native request bytes go to the exchange, its answer comes back."""

    def __init__(
        self, net: Net, exchange: Exchange, clock: SimClock, tokens: SimTokens,
        book: RequestBook, security: tuple[str, str],
    ) -> None:  # fmt: skip
        self._net, self._exchange, self._clock, self._tokens = net, exchange, clock, tokens
        self._book, self._security = book, security
        self._token = tokens.value  # in the templates
        self._book.set_token(self._token)
        self._renewing = False
        self.on_update: Callable[[Any], None] | None = None
        self.is_dead: Callable[[], bool] = lambda: False
        self.waiting: dict[int, Any] = {}
        self.carried: list[tuple[int, int, int]] = []  # (true ns, intent id, kind)

    def carry_intent(self, intent: Any) -> None:
        if self.is_dead():
            return  # the process died before the bytes left
        number = int(intent["id"])
        self.waiting[number] = intent
        if intent["kind"] != IntentKind.QUERY:
            self.carried.append((self._clock.true_ns(), number, int(intent["kind"])))
        loop = asyncio.get_running_loop()
        if self._net.is_refused():
            loop.call_later(0.001, self._answer, intent, Outcome.REFUSED, -errno.ECONNREFUSED)
            return
        loop.call_later(TIMEOUT_S, self._answer, intent, Outcome.UNKNOWN, -errno.ETIMEDOUT)
        if not self._net.is_lost():
            raw = self._book.request(intent)
            loop.call_later(self._net.delay_s(), self._arrive, intent, raw)

    def _arrive(self, intent: Any, raw: bytes) -> None:
        """At the broker, whether or not the engine still lives."""
        method, path, headers, body = parsed(raw)
        reply = self._exchange.serve(method, path, {}, headers, body)
        if reply.fate is Fate.HANG or self._net.is_lost():
            return
        loop = asyncio.get_running_loop()
        delay_s = self._net.delay_s() + reply.delay_ns / 1e9
        if reply.fate is Fate.RESET:
            loop.call_later(delay_s, self._answer, intent, Outcome.UNKNOWN, -errno.ECONNRESET)
        else:
            loop.call_later(delay_s, self._read, intent, reply, headers["access-token"])

    def _read(self, intent: Any, reply: Reply, token: str) -> None:
        """What the answer means, by the rules of every order call."""
        if int(intent["id"]) not in self.waiting or self.is_dead():
            return
        update, outcome, fields = meaning(
            intent, reply, self._book.tag, self._security, self._clock.now_ns()
        )
        if update is not None and self.on_update is not None:
            self.on_update(update)
        self._answer(intent, outcome, reply.status, **fields)
        if reply.status == 401 and not self._renewing and self.is_of(token):
            self._renewing = True
            self._renewal = asyncio.ensure_future(self._renew())

    def is_of(self, token: str) -> bool:
        """Whether a refusal of this token is news."""
        return token == self._token

    async def _renew(self) -> None:
        try:
            self._token = (await self._tokens.refused(Token.of_jwt(self._token))).reveal()
            self._book.set_token(self._token)
        except NotAuthenticated:
            pass  # the next refusal asks again
        self._renewing = False

    def _answer(self, intent: Any, outcome: Outcome, code: int, *, broker_id: str = "",
                seen: int = 0, error: int = 0, retry_after_s: int = 0) -> None:  # fmt: skip
        if self.waiting.pop(int(intent["id"]), None) is None or self.is_dead():
            return
        record = np.zeros(1, ANSWER_DTYPE)[0]
        record["intent"], record["at_ns"] = intent["id"], self._clock.now_ns()
        record["outcome"], record["code"], record["error"] = outcome, code, error
        record["broker_id"], record["seen"] = broker_id.encode(), seen
        record["retry_after_s"] = min(retry_after_s, 255)
        if self.on_answer is not None:
            self.on_answer(record)
