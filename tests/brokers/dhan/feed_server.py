"""A WebSocket server on loopback that does what a test tells it: the broker's side of a feed."""

import asyncio
import json
import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)


class Peer(WSListener):
    """One connection, seen by the server."""

    def __init__(self, server: "FeedServer", path: str) -> None:
        super().__init__()
        self.server, self.path = server, path
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.requests: list[dict[str, Any]] = []
        self.pongs: list[bytes] = []
        self.pings = 0
        self.closed_by_client = False
        self.gone = asyncio.Event()
        self.transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.server.peers.append(self)
        self.server.wake()
        self.server.on_peer(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.requests.append(json.loads(frame.get_payload_as_utf8_text()))
        elif frame.msg_type == WSMsgType.PONG:
            self.pongs.append(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PING:
            self.pings += 1
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self.closed_by_client = True
            if self.server.answer_close:
                transport.send_close(frame.get_close_code())
                transport.disconnect()
        self.server.wake()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()
        self.server.wake()

    @property
    def entries(self) -> list[tuple[int, str, str]]:
        """(request code, segment, security id) of every entry asked for, in order."""
        return [
            (request["RequestCode"], each["ExchangeSegment"], each["SecurityId"])
            for request in self.requests
            for each in request.get("InstrumentList", ())
        ]

    def send(self, message: bytes) -> None:
        """A binary message in one frame."""
        self.transport.send(WSMsgType.BINARY, message)

    def text(self, text: str) -> None:
        self.transport.send(WSMsgType.TEXT, text)

    def ping(self, payload: bytes = b"") -> None:
        self.transport.send_ping(payload)

    def parts(self, message: bytes, cuts: list[int], *, ping: bytes | None = None) -> None:
        """A binary message in several frames; with `ping`, one between the first two."""
        edges = [0, *cuts, len(message)]
        for number, (start, end) in enumerate(pairwise(edges)):
            kind = WSMsgType.BINARY if number == 0 else WSMsgType.CONTINUATION
            self.transport.send(kind, message[start:end], fin=end == edges[-1])
            if ping is not None and number == 0:
                self.transport.send_ping(ping)

    def raw(self, wire: bytes) -> None:
        """Bytes as they are, past every check."""
        self.transport.underlying_transport.write(wire)

    def cut(self) -> None:
        """Gone without a close frame."""
        self.transport.disconnect(graceful=False)

    def close(self, code: WSCloseCode = WSCloseCode.OK, reason: str = "") -> None:
        self.transport.send_close(code, reason)
        self.transport.disconnect()


def disconnect_packet(reason: int) -> bytes:
    """Packet 50 of the live feed."""
    return struct.pack("<BHBIH", 50, 10, 0, 0, reason)


def ticker(segment: int, security: int, ltp: float, ltt: int) -> bytes:
    """Packet 2."""
    return struct.pack("<BHBIfI", 2, 16, segment, security, ltp, ltt)


class FeedServer:
    """Listens on a port of the system's choice.

    Args:
        on_peer: called with each connection when it is open.
    """

    def __init__(self, on_peer: Callable[[Peer], None] = lambda peer: None) -> None:
        self.on_peer = on_peer
        self.peers: list[Peer] = []
        self.refuse: list[int] = []  # statuses of the next handshakes
        self.tries = 0
        self.answer_close = True
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await ws_create_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for peer in self.peers:
            peer.cut()
        for peer in self.peers:
            await peer.gone.wait()
        await self._server.wait_closed()

    @property
    def base(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def wake(self) -> None:
        self._changed.set()

    async def until(self, true: Callable[[], object], seconds: float = 10.0) -> None:
        """Return when something holds; looked at whenever the server hears anything."""
        async with asyncio.timeout(seconds):
            while not true():
                self._changed.clear()
                looks = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait([looks], timeout=0.005)
                looks.cancel()

    async def peer(self, number: int) -> Peer:
        """The connection of that number, when it has come."""
        await self.until(lambda: len(self.peers) > number)
        return self.peers[number]

    def _accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        self.tries += 1
        if self.refuse:
            status = self.refuse.pop(0)
            return WSUpgradeResponseWithListener(
                WSUpgradeResponse.create_error_response(status, b"no"), None
            )
        return Peer(self, request.path.decode())
