"""The exchange on one port of this machine: HTTP, WebSockets, and the market's time."""

import asyncio
import math
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dhanfast.clock import PacedClock, SystemClock
from dhanfast.errors import ConfigError, DhanfastError, UsageError
from dhanfast.exchange.answers import Fate, Reply, answer
from dhanfast.exchange.core import ExchangeCore
from dhanfast.exchange.faults import fault_of
from dhanfast.exchange.feeds import FeedLink, kind_of

if TYPE_CHECKING:
    from aiohttp import web

LOOPBACK: Final = "127.0.0.1"
SECOND: Final = 1_000_000_000
STEP_S: Final = (0.0005, 0.02)  # shortest and longest pause between two looks at the market
MAX_STEP_NS: Final = SECOND  # of the market, at full speed
REQUEST_MAX: Final = 1 << 20
LINGER: Final = struct.pack("ii", 1, 0)  # closing sends a reset
KEEP_ALIVE_S: Final = 3_600.0  # of idle HTTP connections: clients keep theirs warm
PING: Final = b"\x89\x00"
CLOSE: Final = b"\x88\x02\x03\xe8"  # 1000


class Connection:
    """A socket and the link of the core behind it.

    Attributes:
        heard_ns: monotonic time of the last sign of life.
    """

    def __init__(self, link: FeedLink, transport: asyncio.Transport, heard_ns: int) -> None:
        self.link, self.transport, self.heard_ns = link, transport, heard_ns

    def flush(self, room_max: int) -> None:
        """Write what waits, unless the socket is full; then close it if nothing more comes."""
        link = self.link
        if self.transport.is_closing():
            return
        if link.bare:
            self.reset()
            return
        if (
            link.lane is not None
            and link.lane.waiting
            and (link.closed or self.transport.get_write_buffer_size() < room_max)
        ):
            self.transport.write(link.lane.take())
        if link.outbox:
            frames = [text_frame(msgspec.json.encode(message)) for message in link.outbox]
            link.outbox.clear()
            self.transport.write(b"".join(frames))
        if link.closed:
            self.transport.write(CLOSE)
            self.transport.close()

    def reset(self) -> None:
        """Close without a word."""
        reset(self.transport)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Close a connection with a TCP reset."""
    if transport is None or transport.is_closing():
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    if isinstance(transport, asyncio.WriteTransport) or hasattr(transport, "abort"):
        transport.abort()


def text_frame(payload: bytes) -> bytes:
    """A whole text message as a server's WebSocket frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", 0x81, 126, size) + payload
    return struct.pack(">BBQ", 0x81, 127, size) + payload


def first_of(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first exception of a group that is not one itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def require_aiohttp() -> Any:
    """The library behind the server.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from aiohttp import web
    except ImportError as error:
        raise UsageError("the exchange needs `pip install 'dhanfast[live]'` (aiohttp)") from error
    return web


class ExchangeServer:
    """Serves a core on one port.

    Args:
        core: the exchange.
        clock: of the machine. market: of the market; started by `run`.
        host: an address of this machine. port: 0 lets the system choose.
        start_ns: time of the market at which it opens its doors.

    Attributes:
        port: where it listens, once it does.
    """

    def __init__(
        self,
        core: ExchangeCore,
        clock: SystemClock,
        market: PacedClock,
        *,
        start_ns: int,
        host: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        self.core, self.port = core, port
        self._clock, self._market, self._host, self._start_ns = clock, market, host, start_ns
        self._connections: dict[FeedLink, Connection] = {}
        self._web = require_aiohttp()
        self._stop = asyncio.Event()
        core.feeds.wake = self._wake

    def stop(self) -> None:
        """Ask `run` to come to an end."""
        self._stop.set()

    async def run(self, started: Callable[["ExchangeServer"], None] = lambda server: None) -> None:
        """Listen and serve until `stop`.

        Args:
            started: called once it listens.

        Raises:
            OSError: the port is taken.
        """
        web = self._web
        app = web.Application(client_max_size=REQUEST_MAX)
        app.router.add_route("*", "/{tail:.*}", self._serve)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None,
                               keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=0.5)  # fmt: skip
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self.port, reuse_address=True)
            await site.start()
            self.port = runner.addresses[0][1]
            self.core.advance(self._start_ns, self._clock.now_ns())
            self._market.start(self._start_ns)
            started(self)
            async with asyncio.TaskGroup() as tasks:
                work = [tasks.create_task(self._pump()), tasks.create_task(self._keep_alive())]
                await self._stop.wait()
                for task in work:
                    task.cancel()
        except* DhanfastError as group:
            raise first_of(group) from None
        finally:
            for connection in list(self._connections.values()):
                connection.link.close()
                connection.flush(1)
            await runner.cleanup()

    # ---- time ----

    async def _pump(self) -> None:
        """Let the market go on, and send what comes of it."""
        while True:
            self._look()
            await self._clock.sleep(self._pause_s())

    def _look(self) -> None:
        if math.isinf(self._market.speed):
            next_ns = self.core.next_ns
            if next_ns is not None:
                self._market.start(max(next_ns, self.core.now_ns) + MAX_STEP_NS)
            elif not self.core.closed:
                self._market.start(self.core.market.day.windows[-1][1])
        self.core.advance(self._market.now_ns(), self._clock.now_ns())
        self._flush()

    def _pause_s(self) -> float:
        if math.isinf(self._market.speed):
            return 0.0 if not self.core.ended else STEP_S[1]
        next_ns = self.core.next_ns
        if next_ns is None:
            return STEP_S[1]
        ahead_s = (next_ns - self._market.now_ns()) / SECOND / self._market.speed
        return min(max(ahead_s, STEP_S[0]), STEP_S[1])

    async def _keep_alive(self) -> None:
        """Ping every client; close those that do not answer."""
        settings = self.core.settings
        while True:
            await self._clock.sleep(settings.ping_s)
            now_ns = self._clock.monotonic_ns()
            for connection in list(self._connections.values()):
                if now_ns - connection.heard_ns > settings.pong_s * SECOND:
                    self.core.feeds.forget(connection.link)
                    connection.reset()
                elif not connection.transport.is_closing():
                    connection.transport.write(PING)

    def _flush(self) -> None:
        self.core.take_updates(self._clock.now_ns())
        for connection in list(self._connections.values()):
            connection.flush(self.core.settings.room_max)

    def _wake(self, link: FeedLink) -> None:
        connection = self._connections.get(link)
        if connection is not None:
            connection.flush(self.core.settings.room_max)

    # ---- HTTP ----

    async def _serve(self, request: "web.Request") -> "web.StreamResponse":
        if request.headers.get("upgrade", "").lower() == "websocket":
            return await self._socket(request)
        body = await request.read()
        if request.path.startswith("/exchange/"):
            reply = self._own(request.method, request.path, body)
        else:
            reply = self.core.request(
                request.method, request.path, dict(request.query), dict(request.headers), body,
                self._market.now_ns(), real_ns=self._clock.now_ns(),
                peer=request.remote or "",
            )  # fmt: skip
            self._flush()
        if reply.delay_ns:
            await self._clock.sleep(reply.delay_ns / SECOND)
        if reply.fate is Fate.HANG:
            await asyncio.Event().wait()  # until the caller gives up: its handler is cancelled
        if reply.fate is Fate.RESET:
            reset(request.transport)
        if reply.fate is Fate.CUT:
            return await self._half(request, reply)
        response: web.StreamResponse = self._web.Response(
            status=reply.status or 500, headers=reply.headers, body=reply.body
        )
        return response

    async def _half(self, request: "web.Request", reply: Reply) -> "web.StreamResponse":
        """Announce a whole body, send half of it, and close the connection."""
        response: web.StreamResponse = self._web.StreamResponse(
            status=reply.status, headers=reply.headers
        )
        response.content_length = len(reply.body)
        await response.prepare(request)
        await response.write(reply.body[: len(reply.body) // 2])
        reset(request.transport)
        return response

    def _own(self, method: str, path: str, body: bytes) -> Reply:
        """Our own paths: the market's time, how things are, the fault menu."""
        core = self.core
        if (method, path) == ("GET", "/exchange/clock"):
            speed = self._market.speed
            return answer({
                "market_ns": self._market.now_ns() + core.mishaps.step_ns,
                "speed": None if math.isinf(speed) else speed,
                "running": self._market.running and not core.closed,
            })  # fmt: skip
        if (method, path) == ("GET", "/exchange/status"):
            return answer(core.status() | {"connections": len(self._connections)})
        if (method, path) == ("POST", "/exchange/faults"):
            return self._menu(body)
        return answer({"error": f"not served: {method} {path}"}, 404)

    def _menu(self, body: bytes) -> Reply:
        try:
            entries = msgspec.json.decode(body)
            if not isinstance(entries, list):
                raise ConfigError("faults: send a list of objects, [] for none")
            faults = [fault_of(entry) for entry in entries]
        except (msgspec.DecodeError, UnicodeDecodeError, ConfigError, TypeError) as error:
            return answer({"error": str(error)}, 400)
        self.core.faults.replace(faults)
        return answer({"faults": len(faults)})

    # ---- WebSockets ----

    async def _socket(self, request: "web.Request") -> "web.StreamResponse":
        if kind_of(request.path, request.query) is None:
            missing: web.StreamResponse = self._web.Response(status=404)
            return missing
        if self.core.mishaps.for_handshake(request.path) is not None:
            refused: web.StreamResponse = self._web.Response(status=429)
            return refused
        # Frames are written to the transport as they were made: never masked, never compressed.
        ws = self._web.WebSocketResponse(autoping=False, compress=False, timeout=1.0)
        await ws.prepare(request)
        transport = request.transport
        link = self.core.connect(request.path, dict(request.query), self._clock.now_ns())
        if transport is None or link is None or link.closed:
            reset(transport)
            return ws  # type: ignore[no-any-return]
        connection = Connection(link, transport, self._clock.monotonic_ns())
        self._connections[link] = connection
        try:
            await self._listen(ws, connection)
        finally:
            self.core.feeds.forget(link)
            self._connections.pop(link, None)
        return ws  # type: ignore[no-any-return]

    async def _listen(self, ws: Any, connection: Connection) -> None:
        from aiohttp import WSMsgType

        async for message in ws:
            connection.heard_ns = self._clock.monotonic_ns()
            if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                # What is subscribed now must not begin before what the market has done by now.
                self.core.advance(self._market.now_ns(), self._clock.now_ns())
                self.core.receive(connection.link, message.data, self._clock.now_ns())
                self._flush()
            elif message.type == WSMsgType.PING:
                await ws.pong(message.data)
            if connection.link.closed:
                return
