"""Carries the engine's requests to Dhan on connections that are warm before they are needed.

    async with asyncio.TaskGroup() as group:
        group.create_task(courier.run())
        await courier.wait_ready()
        ...
        await courier.close()

Each Intent gets exactly one Answer (`on_answer`); an order that a QUERY found is given to
`on_update` before. Nothing is ever sent twice: a request goes to another connection only when the
first took not one byte of it. The hot half is `order_lines`.
"""

import asyncio
import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from dhanfast._core.live.orderhttp import RequestBook
from dhanfast._core.live.records import IntentKind, Outcome
from dhanfast.brokers.base import Accepted, Refused
from dhanfast.brokers.dhan.answers import status_of, update_of
from dhanfast.brokers.dhan.caller import judged
from dhanfast.brokers.dhan.errors import error_of, is_error_body
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.order_dial import Dialer, DialFailed, ResumingContext
from dhanfast.brokers.dhan.order_lines import OrderDesk, OrderLine
from dhanfast.brokers.dhan.web import WebReply
from dhanfast.clock import Clock
from dhanfast.errors import BadData, ConfigError, NotAuthenticated
from dhanfast.security.redact import logger, redacted
from dhanfast.security.tokens import Token, TokenSource

BROKER_ID_MAX: Final = 24
DEAD_TOKEN: Final = frozenset({901, 807, 808, 809})
# Errors by which a broker says that there is no such order; a 404 of its own shape says so too.
ABSENT: Final = frozenset({906, 907})
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0
SHORT_LIFE_S: Final = 1.0  # a connection that ends sooner counts as a failure to connect
TOKEN_LOOK_S: Final = 5.0
PING_WITHIN_S: Final = 3.0

Verdict = tuple[int, int, int, bytes, int]  # outcome, error, Seen, broker's id, seconds to wait
_LOG: Final = logger("dhanfast.brokers.dhan.courier")


class _Taken(msgspec.Struct):
    """The answer that nearly every order call gets."""

    orderId: str
    orderStatus: str
    errorCode: Any = None
    errorMessage: Any = None
    omsErrorDescription: Any = None


_TAKEN: Final = msgspec.json.Decoder(_Taken)


@dataclass(frozen=True, slots=True)
class CourierSettings:
    """How orders travel.

    Args:
        connections: kept warm, 1..8; each has one request in flight.
        connect_s: to open one. request_s: to answer a request, then its fate is unknown.
        queue_s, queue_max: how long and how many requests may wait for a free connection.
        ping_s: an idle connection is used this often, or sooner when the server names its limit;
            0 for never. ping_path: what is asked for.
        close_s: how long `close` waits for answers.
        leg: legName of a modify: ENTRY_LEG as the broker's client sends, or NA.
        proxy: http://[user:password@]host:port for order calls alone; empty for none.

    Raises:
        ConfigError: a value out of range.
    """

    connections: int = 3
    connect_s: float = 3.0
    request_s: float = 10.0
    queue_s: float = 2.0
    queue_max: int = 64
    ping_s: float = 15.0
    ping_path: str = "/profile"
    close_s: float = 10.0
    leg: str = "ENTRY_LEG"
    proxy: str = ""

    def __post_init__(self) -> None:
        """Check what the desk does not."""
        if not 1 <= self.connections <= 8:
            raise ConfigError(f"connections must be from 1 to 8, was {self.connections}")
        for name, low in (("connect_s", 0.01), ("ping_s", 0.0), ("close_s", 0.0)):
            value = getattr(self, name)
            if not low <= value <= 600:
                raise ConfigError(f"{name} must be from {low} to 600 s, was {value}")

    def __repr__(self) -> str:
        """Without the proxy: it may hold a password."""
        return f"CourierSettings(connections={self.connections}, request_s={self.request_s})"


class DhanCourier(OrderDesk):
    """Carries requests to Dhan.

    Args:
        hosts: where. tokens: who knows the token in force. clock: stamps, and pauses of retries.
        tag: what this journal's correlation ids begin with.
        instruments: (exchange segment, security id, product) by Intent.instrument.
        settings: how.
        context: settings of encrypted connections; None for the system's.

    Attributes:
        on_answer: called with each Answer. on_update: called with the UPDATE record of an order
            that a QUERY found, before its Answer.

    Raises:
        ConfigError, UsageError: a setting or an instrument that cannot be.
    """

    def __new__(
        cls, hosts: Hosts, tokens: TokenSource, clock: Clock, *, tag: str,
        instruments: Sequence[tuple[str, str, str]],
        settings: CourierSettings | None = None, context: ResumingContext | None = None,
    ) -> "DhanCourier":  # fmt: skip
        """The native half first: its settings are checked there."""
        chosen = settings or CourierSettings()
        made = super().__new__(
            cls, clock, request_s=chosen.request_s, queue_s=chosen.queue_s,
            queue_max=chosen.queue_max,
        )  # fmt: skip
        assert isinstance(made, cls)
        return made

    def __init__(
        self, hosts: Hosts, tokens: TokenSource, clock: Clock, *, tag: str,
        instruments: Sequence[tuple[str, str, str]],
        settings: CourierSettings | None = None, context: ResumingContext | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings or CourierSettings()
        self._dialer = Dialer(hosts.rest, proxy=self._settings.proxy, context=context)
        self._base = hosts.rest.split("://", 1)[1].partition("/")[2].rstrip("/")
        self._tokens, self._time = tokens, clock
        self._tag, self._table = tag, list(instruments)
        self._places: Mapping[tuple[str, str], int] = {
            (segment, security_id): place
            for place, (segment, security_id, _) in enumerate(self._table)
        }
        self._token: Token | None = None
        self._book: RequestBook | None = None
        self._refused = asyncio.Event()
        self._ended = asyncio.Event()
        self._here = asyncio.Event()
        self._connects = 0
        self._trouble = ""
        self.on_update: Callable[[np.void], None] | None = None
        self.on_pong = self._ponged
        self._made("check")  # bad instruments are found here, not at the first order

    def _made(self, client_id: str) -> RequestBook:
        base = f"/{self._base}" if self._base else ""
        return RequestBook(
            self._dialer.name, base, client_id, self._tag, self._table, leg=self._settings.leg
        )

    @property
    def trouble(self) -> str:
        """Empty when all is well, else why orders cannot leave."""
        return self._trouble

    @property
    def connects(self) -> int:
        """Connections made so far."""
        return self._connects

    async def run(self) -> None:
        """Keep the connections and the token until `close` has been called.

        Raises:
            NotAuthenticated: there is no token to begin with.
        """
        self._adopt(await self._tokens.token())
        try:
            async with asyncio.TaskGroup() as group:
                keepers = [
                    group.create_task(self._keep(number))
                    for number in range(self._settings.connections)
                ]
                keepers.append(group.create_task(self._renew()))
                await self._ended.wait()
                for keeper in keepers:
                    keeper.cancel()
        finally:
            # Also when it is cancelled: nobody is left without an answer.
            self.shut()
            for line in self.lines:
                line.give_up(errno.ECONNABORTED)

    async def wait_ready(self, count: int = 1) -> None:
        """Return when so many connections take requests."""
        while self.ready_lines < count:
            self._here.clear()
            await self._here.wait()

    async def close(self) -> None:
        """Take no more, await what is in flight, then end; what is left is answered UNKNOWN."""
        self.shut()
        flying = [line.gone for line in self.lines]
        if flying:
            await asyncio.wait(flying, timeout=self._settings.close_s)
        for line in self.lines:
            line.give_up(errno.ECONNABORTED)
        self._ended.set()

    def judge(self, intent: Any, status: int, body: bytes, retry_after_s: int) -> Verdict:
        """What the broker's answer to a request means; see `OrderDesk.judge`."""
        kind = int(intent["kind"])
        if kind == IntentKind.QUERY:
            return self._judge_query(intent, status, body, retry_after_s)
        if 200 <= status < 300 and body:
            try:
                said = _TAKEN.decode(body)
            except msgspec.DecodeError:
                said = None
            if said is not None and said.orderId and not (said.errorCode or said.errorMessage):
                if said.omsErrorDescription:
                    self._tell(intent, str(said.omsErrorDescription))
                return self._taken(intent, said.orderId, status_of(said.orderStatus))
        return self._judge_slowly(intent, status, body, retry_after_s)

    def _judge_slowly(self, intent: Any, status: int, body: bytes, retry_after_s: int) -> Verdict:
        """Every answer that is not the plain one."""
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
        reply = WebReply(status=status, body=body, headers=headers)
        try:
            found, _ = judged(reply, int(intent["kind"]) == IntentKind.PLACE)
        except BadData as error:
            self._tell(intent, str(error))
            return int(Outcome.UNKNOWN), 0, 0, b"", 0
        if isinstance(found, Accepted):
            return self._taken(intent, found.order_id, int(found.seen))
        text, number = (found.text if isinstance(found, Refused) else found.cause), found.number
        self._tell(intent, text)
        self._look_at_token(number, status)
        if isinstance(found, Refused) or status == 429:
            return int(Outcome.REFUSED), number, 0, b"", retry_after_s
        return int(Outcome.UNKNOWN), number, 0, b"", 0

    def _judge_query(self, intent: Any, status: int, body: bytes, retry_after_s: int) -> Verdict:
        """What was read of one order: an Update, that there is none, or nothing certain."""
        unknown: Verdict = (int(Outcome.UNKNOWN), 0, 0, b"", 0)
        try:
            said = msgspec.json.decode(body) if body.strip() else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            said = None
        if not 200 <= status < 300 or is_error_body(said):
            error = error_of(status, body, str(retry_after_s or ""))
            self._look_at_token(error.number, status)
            if error.has_shape and status < 500 and (error.number in ABSENT or status == 404):
                return int(Outcome.ABSENT), error.number, 0, b"", 0
            self._tell(intent, str(error))
            if error.proves_refusal or status == 429:
                return int(Outcome.REFUSED), error.number, 0, b"", retry_after_s
            return unknown
        if said == []:
            return int(Outcome.ABSENT), 0, 0, b"", 0
        try:
            record = self._order_in(said, intent)
        except BadData as error:
            self._tell(intent, str(error))
            return unknown
        if record is None:
            self._tell(intent, "the broker answers with another order than the one asked for")
            return unknown
        if self.on_update is not None:
            self.on_update(record)
        return int(Outcome.TAKEN), 0, int(record["seen"]), bytes(record["broker_id"]), 0

    def _order_in(self, said: Any, intent: Any) -> np.void | None:
        """The order that was asked for, in an object or an array of them."""
        at_ns = self._time.now_ns()
        for row in said if isinstance(said, list) else [said]:
            if not isinstance(row, Mapping):
                raise BadData(f"an order was expected, the broker sent {type(row).__name__}")
            record = update_of(row, tag=self._tag, at_ns=at_ns, instruments=self._places)
            broker_id = bytes(intent["broker_id"])
            if (
                bytes(record["broker_id"]) == broker_id
                if broker_id
                else (record["order"] == intent["order"])
            ):
                return record
        return None

    def _taken(self, intent: Any, order_id: str, seen: int) -> Verdict:
        raw = order_id.encode()
        if len(raw) > BROKER_ID_MAX:
            self._tell(intent, f"the broker's order id has {len(raw)} bytes, more than fit")
            return int(Outcome.UNKNOWN), 0, 0, b"", 0
        return int(Outcome.TAKEN), 0, int(seen), raw, 0

    def _tell(self, intent: Any, text: str) -> None:
        """The words of a refusal are for people: records have no place for them."""
        kind = IntentKind(int(intent["kind"])).name.lower()
        _LOG.warning("%s of order %d: %s", kind, int(intent["order"]), redacted(text))

    def _look_at_token(self, number: int, status: int) -> None:
        if self.outdated:
            return  # of the token before: that one is known to be dead
        if number in DEAD_TOKEN or status == 401:
            self._refused.set()

    def _ponged(self, status: int, body: bytes) -> None:
        """A ping came back: the token may be dead before an order needs it."""
        self._here.set()
        if status >= 400:
            self._look_at_token(error_of(status, body).number, status)

    def _adopt(self, token: Token) -> None:
        """Requests carry this token from now on."""
        if self._token is not None and self._token == token:
            return
        if self._book is None or self._token is None or self._token.client_id != token.client_id:
            self._book = self._made(token.client_id)
        self._book.set_token(token.reveal())
        self._token = token
        self._trouble = ""
        self.open_book(self._book)

    async def _renew(self) -> None:
        """Ask for a new token when the broker refuses ours, and look for one now and then."""
        while True:
            try:
                async with asyncio.timeout(TOKEN_LOOK_S):
                    await self._refused.wait()
            except TimeoutError:
                pass
            try:
                if self._refused.is_set() and self._token is not None:
                    self._adopt(await self._tokens.refused(self._token))
                else:
                    self._adopt(await self._tokens.token())
            except NotAuthenticated as error:
                if not self._trouble:
                    _LOG.error("orders cannot leave: %s", error)
                self._trouble = str(error)
            self._refused.clear()

    async def _keep(self, number: int) -> None:
        """One place of the pool: a connection, and another when it has ended."""
        failures = 0
        while not self.is_shut:
            try:
                async with asyncio.timeout(self._settings.connect_s):
                    transport, line = await self._dialer.dial(lambda: OrderLine(self, number))
            except (DialFailed, TimeoutError) as error:
                failures += 1
                why = str(error) or "no connection in time"
                _LOG.warning("line %d: %s", number, redacted(why))
            else:
                self._connects += 1
                self._here.set()
                begun_ns = self._time.now_ns()
                await self._attend(transport, line)
                lived_s = (self._time.now_ns() - begun_ns) / 1e9
                failures = failures + 1 if lived_s < SHORT_LIFE_S else 0
            if failures:
                await self._time.sleep(min(PAUSE_MAX_S, PAUSE_FIRST_S * 2 ** (failures - 1)))

    async def _attend(self, transport: Any, line: OrderLine) -> None:
        """Keep a connection warm until it ends."""
        context = self._dialer.context
        if self._settings.ping_s:
            self._ping(line)  # shows a dead token and the server's limit before an order does
        try:
            while not line.gone.done():
                await asyncio.wait({line.gone}, timeout=self._ping_after(line))
                if context is not None and line.requests:
                    context.keep(transport)
                if self._settings.ping_s and line.idle_s >= 0.9 * (self._ping_after(line) or 0):
                    self._ping(line)
        finally:
            line.give_up(errno.ECONNABORTED)

    def _ping_after(self, line: OrderLine) -> float | None:
        if not self._settings.ping_s:
            return None
        # Well before the server's own limit, and not all connections at once.
        limit_s = 0.6 * line.keep_s if line.keep_s else self._settings.ping_s
        return min(self._settings.ping_s, limit_s) * (1.0 - 0.05 * line.number)

    def _ping(self, line: OrderLine) -> None:
        if self._book is not None and not line.gone.done():
            line.ping(self._book.ping(self._settings.ping_path), PING_WITHIN_S)
