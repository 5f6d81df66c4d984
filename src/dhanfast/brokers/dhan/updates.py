"""The order-update socket: every order of the account, whichever platform placed it.

    dial -> login message -> on_connected (read orders, trades, positions by REST) and frames
      ^                                                                              |
      +------------------ a pause that grows, jittered <----------- broken ----------+

The broker numbers nothing and repeats nothing, so what happened while the socket was away is only
to be had by REST: `on_connected` runs after every login, beside the frames. The same change told
twice is passed on once. A frame that cannot be read is counted and asked for by REST as well.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from dhanfast._core.live.records import Origin
from dhanfast.brokers.base import OrderSeen
from dhanfast.brokers.dhan.answers import Instruments, order_seen, update_from
from dhanfast.brokers.dhan.errors import BrokerError
from dhanfast.brokers.dhan.fields import Fields
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.web import aiohttp_module
from dhanfast.brokers.link import Backoff, Randomness
from dhanfast.clock import Clock
from dhanfast.errors import BadData, DhanfastError, NotAuthenticated, UsageError
from dhanfast.security.redact import logger, redacted
from dhanfast.security.tokens import Token, TokenSource

LOG: Final = logger("dhanfast.brokers.dhan.updates")
LOGIN_CODE: Final = 42
REMEMBERED: Final = 65_536  # changes that are known to have been told
FRAME_MAX: Final = 1 << 20
YOUNG_S: Final = 5.0  # a connection that dies sooner and silent may have a dead token
PING_S: Final = 20.0
CONNECT_S: Final = 10.0
BLOCKED_S: Final = 60.0  # of silence after a 429 at the handshake

Told = tuple[str, str, str, int, str, str, str, str]
OnUpdate = Callable[[np.void, str], None]  # one UPDATE_DTYPE record, and the broker's words


class Broken(DhanfastError):
    """A connection ended, or could not be made. `status` is of the handshake, 0 = none."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


# What ends one connection and not the whole: all else is a failure of the engine's own. A token
# that is refused, too: the next one is asked for at the next login.
PASSING: Final = (Broken, BrokerError, BadData, NotAuthenticated)


class Line(Protocol):
    """A WebSocket that carries text."""

    async def send(self, text: str) -> None:
        """Send a text frame.

        Raises:
            Broken: the connection is gone.
        """
        ...

    async def receive(self) -> str | bytes:
        """The next frame; answers pings by itself.

        Raises:
            Broken: the connection is gone, or a ping was not answered in time.
        """
        ...

    async def close(self) -> None:
        """End it, within a deadline."""
        ...


Dial = Callable[[str], Awaitable[Line]]  # address -> connection; raises Broken


@dataclass
class UpdateCounts:
    """What the socket has done, for status pages."""

    connected: int = 0
    broken: int = 0
    frames: int = 0
    updates: int = 0
    repeated: int = 0
    foreign: int = 0  # frames of other kinds
    unreadable: int = 0
    last_frame_ns: int = 0
    online: bool = False
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class UpdateSettings:
    """How the socket comes back.

    Units:
        seconds.
    """

    backoff: Backoff = field(default_factory=Backoff)
    young_s: float = YOUNG_S
    blocked_s: float = BLOCKED_S
    partner_id: str = ""  # a partner logs in with its own id and the secret given to `OrderUpdates`


class OrderUpdates:
    """One lifecycle: `run` once, `close` ends it.

    Args:
        hosts, tokens, clock: where, who, when. The token is asked for at every login.
        tag: of this journal's correlation ids.
        instruments: of the run, by (segment, security id).
        on_update: takes one record of UPDATE_DTYPE and the broker's words; called on the loop.
        on_connected: runs after every login: read by REST what was missed. A BrokerError, BadData
            or NotAuthenticated of it breaks the connection, which comes back after a pause;
            anything else that it or `on_update` raises ends the run.
        probe: asked before coming back when a young connection died in silence, which is how the
            broker shows a dead token: `DhanRest.profile` renews it on the way.
        dial: makes connections; None means aiohttp.
        rng: of the jitter; None is seeded by the clock.

    Raises:
        UsageError: from `run`: it runs already, or has run; aiohttp is not installed.
        NotAuthenticated: from `run`: there is no token to begin with.
    """

    def __init__(
        self, hosts: Hosts, tokens: TokenSource, clock: Clock, *, tag: str,
        instruments: Instruments, on_update: OnUpdate,
        on_connected: Callable[[], Awaitable[None]] | None = None,
        probe: Callable[[], Awaitable[object]] | None = None, dial: Dial | None = None,
        settings: UpdateSettings | None = None, partner_secret: str = "",
        rng: Randomness | None = None,
    ) -> None:  # fmt: skip
        self.counts = UpdateCounts()
        self._hosts = hosts
        self._tokens = tokens
        self._clock = clock
        self._tag = tag
        self._instruments = instruments
        self._on_update = on_update
        self._on_connected = on_connected
        self._probe = probe
        self._dial = dial or dial_aiohttp
        self._settings = settings or UpdateSettings()
        self._partner_secret = partner_secret
        self._rng = rng or random.Random(clock.now_ns())
        self._told: dict[Told, None] = {}
        self._reread = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = self._had_token = False

    @property
    def online(self) -> bool:
        """Whether updates are heard now."""
        return self.counts.online

    async def run(self) -> None:
        """Stay connected until `close`, or until it is cancelled."""
        if self._task is not None or self._closing:
            raise UsageError("order updates run already, have run or was closed; make a new object")
        self._task = asyncio.create_task(self._stay())
        try:
            await self._task
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if not self._closing or (mine is not None and mine.cancelling()):
                raise

    async def close(self) -> None:
        """End it; `run` returns. Before `run`, and twice, is fine."""
        self._closing = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def take(self, frame: str | bytes) -> None:
        """One frame, as it came: parsed, de-duplicated, passed on."""
        self.counts.frames += 1
        self.counts.last_frame_ns = self._clock.now_ns()
        try:
            said = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._not_read("not JSON")
            return
        data = said.get("Data") if isinstance(said, Mapping) else None
        if not isinstance(said, Mapping) or said.get("Type") != "order_alert":
            self.counts.foreign += 1
            return
        if not isinstance(data, Mapping) or not data:
            self.counts.foreign += 1
            return
        try:
            key = told_key(data)
            if key in self._told:
                self.counts.repeated += 1
                return
            order = order_seen(data)
            record = update_from(
                order, Origin.SOCKET, tag=self._tag, at_ns=self.counts.last_frame_ns,
                instruments=self._instruments,
            )  # fmt: skip
        except BadData as error:
            self._not_read(str(error))
            return
        self._remember(key)
        self.counts.updates += 1
        self._on_update(record, words_of(order))

    def _not_read(self, why: str) -> None:
        """A frame that cannot be read: something changed, so read by REST what."""
        self.counts.unreadable += 1
        LOG.warning("order update not read, orders are read by REST instead: %s", why)
        self._reread.set()

    def _remember(self, key: Told) -> None:
        """Keep what was told, the oldest forgotten first."""
        self._told[key] = None
        if len(self._told) > REMEMBERED:
            self._told.pop(next(iter(self._told)))

    async def _stay(self) -> None:
        """Connect, live, pause, again."""
        failures = 0
        while True:
            began_ns = self._clock.now_ns()
            frames = self.counts.frames
            error = await self._ended()
            if self._closing:
                return
            status = error.status if isinstance(error, Broken) else 0
            lived_s = (self._clock.now_ns() - began_ns) / 1e9
            failures = 1 if lived_s >= self._settings.backoff.healthy_s else failures + 1
            pause_s = self._settings.backoff.pause_s(failures, self._rng)
            if status == 429:
                pause_s = max(pause_s, self._settings.blocked_s)
            await self._clock.sleep(pause_s)
            silent = self.counts.frames == frames and lived_s < self._settings.young_s
            if silent and status == 0 and self._probe is not None:
                await self._asked(self._probe)

    async def _ended(self) -> DhanfastError:
        """Live through one connection; why it ended.

        Raises:
            DhanfastError: coming back cannot help: there never was a token, or the engine itself
                failed.
        """
        try:
            await self._live()
        except PASSING as one:
            found: list[BaseException] = [one]
        except BaseExceptionGroup as group:
            found = leaves(group)
            if any(not isinstance(error, DhanfastError) for error in found):
                raise
        for error in found:
            if not isinstance(error, PASSING) or self._is_final(error):
                raise error
        errors = [error for error in found if isinstance(error, DhanfastError)]
        self.counts.broken += 1
        self.counts.last_error = redacted("; ".join(str(error) for error in errors))
        LOG.warning("order updates interrupted: %s", self.counts.last_error)
        return errors[0]

    async def _live(self) -> None:
        """One connection, from dial to its end."""
        token = await self._tokens.token()
        self._had_token = True
        line = await self._dial(self._hosts.order_updates)
        try:
            await line.send(self._login(token))
            self.counts.connected += 1
            self.counts.online = True
            self._reread.set()
            await self._until_broken(self._frames(line), self._missed())
        finally:
            self.counts.online = False
            await line.close()

    async def _until_broken(self, *works: Coroutine[Any, Any, None]) -> None:
        """Do them side by side until one fails; raise what failed.

        Not a TaskGroup: of Python 3.11 it forgets a cancel that comes while a task of it fails.
        """
        tasks = [asyncio.create_task(work) for work in works]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        errors = [task.exception() for task in tasks if not task.cancelled()]
        found = [error for error in errors if error is not None]
        if len(found) == 1:
            raise found[0]
        raise BaseExceptionGroup("order updates", found)

    async def _frames(self, line: Line) -> None:
        """Take frames until the connection breaks."""
        while True:
            self.take(await line.receive())

    async def _missed(self) -> None:
        """Read by REST after the login, and whenever a frame could not be read."""
        while True:
            await self._reread.wait()
            self._reread.clear()
            if self._on_connected is not None:
                await self._on_connected()

    async def _asked(self, probe: Callable[[], Awaitable[object]]) -> None:
        """Whether the token is alive; what it says is for the log, renewal happens on the way."""
        try:
            await probe()
        except DhanfastError as error:
            if self._is_final(error):
                raise
            LOG.warning("the token could not be checked: %s", error)

    def _is_final(self, error: BaseException) -> bool:
        """Whether coming back cannot help: a missing library, no token to begin with. One that is
        lost on the way is waited for: somebody may bring another."""
        if isinstance(error, NotAuthenticated):
            return not self._had_token
        return isinstance(error, DhanfastError) and error.exit_code in (2, 3)

    def _login(self, token: Token) -> str:
        """The login message. It holds the token: never log it."""
        partner = self._settings.partner_id
        said: dict[str, Any] = {
            "LoginReq": {
                "MsgCode": LOGIN_CODE,
                "ClientId": partner or token.client_id,
                "Token": token.reveal(),
            },
            "UserType": "PARTNER" if partner else "SELF",
        }
        if partner:
            del said["LoginReq"]["Token"]
            said["Secret"] = self._partner_secret
        return msgspec.json.encode(said).decode()


def told_key(data: Mapping[str, Any]) -> Told:
    """What makes one change of an order: number, leg, status, filled, time, and what is in force.

    The time has whole seconds: without quantity, price and trigger a change within the second of
    another would pass for a repeat.

    Raises:
        BadData: the filled quantity is no number.
    """
    fields = Fields(data, "order update")
    return (
        fields.text("orderNo", "orderId"),
        fields.text("legNo"),
        fields.text("status", "orderStatus").upper(),
        fields.count("tradedQty", "filledQty"),
        fields.text("lastUpdatedTime", "updateTime"),
        fields.text("quantity"),
        fields.text("price"),
        fields.text("triggerPrice"),
    )


def words_of(order: OrderSeen) -> str:
    """An order's status and reason, for a log."""
    return redacted(f"{order.status}: {order.text}" if order.text else order.status)


def leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    """The exceptions of a group and of the groups in it."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


class AioLine:
    """A WebSocket over aiohttp, with its own session."""

    def __init__(self, session: Any, socket: Any, types: Any) -> None:
        self._session = session
        self._socket = socket
        self._types = types

    async def send(self, text: str) -> None:
        """Send a text frame.

        Raises:
            Broken: the connection is gone.
        """
        try:
            await self._socket.send_str(text)
        except (OSError, RuntimeError) as error:
            raise Broken(f"the connection is gone ({type(error).__name__})") from None

    async def receive(self) -> str | bytes:
        """The next text or binary frame.

        Raises:
            Broken: closed, or a ping was not answered.
        """
        message = await self._socket.receive()
        if message.type in (self._types.TEXT, self._types.BINARY):
            data: str | bytes = message.data
            return data
        code = self._socket.close_code
        raise Broken(f"closed by the broker (code {code})" if code else "closed without a word")

    async def close(self) -> None:
        """End it; aiohttp waits for the other side no longer than it was told."""
        await self._socket.close()
        await self._session.close()


async def dial_aiohttp(url: str) -> Line:
    """A connection over aiohttp: own pings, no compression, no cookies.

    Raises:
        Broken: it cannot be made.
        UsageError: aiohttp is not installed.
    """
    aiohttp = aiohttp_module()
    session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
    try:
        timeout = aiohttp.ClientWSTimeout(ws_close=3.0)
        async with asyncio.timeout(CONNECT_S):
            socket = await session.ws_connect(
                url, heartbeat=PING_S, compress=0, max_msg_size=FRAME_MAX, timeout=timeout
            )
    except aiohttp.WSServerHandshakeError as error:
        await session.close()
        raise Broken(f"handshake refused ({error.status})", error.status) from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        await session.close()
        raise Broken(f"no connection to the broker ({type(error).__name__})") from None
    except BaseException:
        await session.close()
        raise
    return AioLine(session, socket, aiohttp.WSMsgType)
