"""The other side of `dhanfast bench latency`: a feed that ticks and a broker that refuses.

    python -m dhanfast.app.latency_peer RATE TRADED SECONDS

It prints {"feed": port, "orders": port} and serves one measurement: an echo at /echo, then a feed
of RATE full packets a second over FILLERS + 1 instruments, of which the traded one ticks TRADED
times a second. An order is refused at once, so that every tick of the traded instrument makes the
next one. When the feed ends it prints what it saw on one line:

    sent    packets that left

    echo    ns from a frame's sending to its echo's arrival
    orders  ns from the last traded tick's sending to an order's arrival
"""

import asyncio
import json
import sys
import time
from typing import Any, Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from dhanfast.app.latency_packets import FILLERS, TRADED_ID, full_packet

ECHOES: Final = 500
ECHO_PAUSE_S: Final = 0.002
REFUSED: Final = (
    b'{"errorType":"Order_Error","errorCode":"DH-906","errorMessage":"refused by the bench"}'
)


class Seen:
    """What was measured."""

    def __init__(self) -> None:
        self.tick_ns = self.sent = 0
        self.echo: list[int] = []
        self.orders: list[int] = []


class OrderSide(asyncio.Protocol):
    """Takes requests, one after the other, and refuses each."""

    def __init__(self, seen: Seen) -> None:
        self._seen, self._held = seen, b""

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Stamp first, then answer every whole request."""
        now_ns = time.perf_counter_ns()
        self._held += data
        while b"\r\n\r\n" in self._held:
            head, _, rest = self._held.partition(b"\r\n\r\n")
            size = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.strip().lower() == b"content-length":
                    size = int(value)
            if len(rest) < size:
                return
            self._held = rest[size:]
            if head.startswith(b"POST"):
                self._seen.orders.append(now_ns - self._seen.tick_ns)
            status = b"400 Bad Request" if head.startswith(b"POST") else b"200 OK"
            body = REFUSED if head.startswith(b"POST") else b"{}"
            self._transport.write(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                b"Connection: keep-alive\r\n\r\n%s" % (status, len(body), body)
            )


class FeedSide(WSListener):
    """One connection: an echo, or the feed."""

    def __init__(self, path: str, peer: "Peer") -> None:
        self._path, self._peer = path, peer
        self._sent_ns = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin."""
        work = self._echo(transport) if self._path == "/echo" else self._peer.feed(transport)
        self._peer.tasks.append(asyncio.create_task(work))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """An echo, or a subscription (which is not looked at)."""
        if frame.msg_type == WSMsgType.BINARY and self._sent_ns:
            self._peer.seen.echo.append(time.perf_counter_ns() - self._sent_ns)
        elif frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())

    async def _echo(self, transport: WSTransport) -> None:
        payload = full_packet(TRADED_ID, 1_700_000_000, 60_000.0, 1)
        for _ in range(ECHOES):
            await asyncio.sleep(ECHO_PAUSE_S)
            self._sent_ns = time.perf_counter_ns()
            transport.send(WSMsgType.BINARY, payload)
        await asyncio.sleep(0.1)
        transport.disconnect()


class Peer:
    """Feed and broker of one measurement.

    Args:
        rate: packets a second in all. traded: ticks a second of the traded instrument.
        seconds: how long the feed lasts. first_s: market's time of its first tick, UTC s.
    """

    def __init__(self, rate: int, traded: int, seconds: float, first_s: int) -> None:
        self.seen, self.tasks = Seen(), []  # type: ignore[var-annotated]
        self._rate, self._traded, self._seconds, self._first_s = rate, traded, seconds, first_s

    async def feed(self, transport: WSTransport) -> None:
        """Bursts of a few fillers with the traded instrument's ticks spread among them."""
        step_s = 0.005
        packets_a_step = max(1, round(self._rate * step_s))
        every = max(1, round(1 / (self._traded * step_s)))
        bodies: dict[tuple[int, int], bytes] = {}  # fillers of this second: packing is dear
        loop = asyncio.get_running_loop()
        await asyncio.sleep(1.0)
        begun, step, volume = loop.time(), 0, 1_000
        while loop.time() - begun < self._seconds:
            utc_s = self._first_s + step // every
            for n in range(packets_a_step):
                key = (n % FILLERS, utc_s)
                if key not in bodies:
                    bodies.pop((key[0], utc_s - 1), None)
                    bodies[key] = full_packet(2_000 + key[0], utc_s, 100.0 + key[0], 10 + step)
                transport.send(WSMsgType.BINARY, bodies[key])
            self.seen.sent += packets_a_step
            if step % every == 0:
                volume += 30
                price = 60_000.0 + (step // every) % 20
                packet = full_packet(TRADED_ID, utc_s, price, volume)
                await asyncio.sleep(step_s / 2)  # alone, as a tick of a real feed comes
                self.seen.tick_ns = time.perf_counter_ns()
                transport.send(WSMsgType.BINARY, packet)
                self.seen.sent += 1
            step += 1
            await asyncio.sleep(max(0.0, begun + step * step_s - loop.time()))
        await asyncio.sleep(0.3)
        seen = {"echo": self.seen.echo, "orders": self.seen.orders, "sent": self.seen.sent}
        print(json.dumps(seen), flush=True)
        transport.disconnect()


async def _serve(rate: int, traded: int, seconds: float, first_s: int) -> None:
    peer = Peer(rate, traded, seconds, first_s)
    loop = asyncio.get_running_loop()

    def listener(request: WSUpgradeRequest) -> FeedSide:
        return FeedSide(request.path.decode().partition("?")[0], peer)

    feed = await ws_create_server(listener, "127.0.0.1", 0)
    orders = await loop.create_server(lambda: OrderSide(peer.seen), "127.0.0.1", 0)
    ports = {
        "feed": feed.sockets[0].getsockname()[1],
        "orders": orders.sockets[0].getsockname()[1],
    }
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started us lets go


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
