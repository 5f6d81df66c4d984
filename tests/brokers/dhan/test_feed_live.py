"""The feed on real sockets of loopback, with a real clock: what only picows can do wrong."""

import asyncio
import logging
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import uvloop
from picows import WSCloseCode

from dhanfast._core.broadcast import BroadcastReader, BroadcastWriter
from dhanfast._core.live.intake import DepthIntake, FeedIntake
from dhanfast._core.live.sink import DepthCall, FeedEvent, TickCall
from dhanfast._core.ring import Ring
from dhanfast._core.types import EVENT_DTYPE, TICK_DTYPE
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast._core.wire.dhan_depth import DhanDepthDecoder
from dhanfast.brokers.dhan.feed import DhanFeed, FeedSettings
from dhanfast.brokers.dhan.feed_connection import World
from dhanfast.brokers.dhan.feed_depth import DepthSettings, DhanDepth
from dhanfast.brokers.dhan.feed_door import Door
from dhanfast.brokers.dhan.feed_pool import FeedPool
from dhanfast.brokers.dhan.feed_requests import Mode, Security
from dhanfast.brokers.dhan.feed_socket import ConnectFailed, Line, picows_connect
from dhanfast.brokers.dhan.feed_watch import Hours, WatchSettings
from dhanfast.brokers.link import Backoff
from dhanfast.clock import SystemClock
from dhanfast.errors import DhanfastError, UsageError
from dhanfast.market.calendar import Calendar
from tests.brokers.dhan.feed_net import OPEN, SECRET, FakeTokens
from tests.brokers.dhan.feed_server import FeedServer, disconnect_packet, ticker
from tests.core.wire.frames import frames

NIFTY = Security(0, 13)
FAST = Backoff(0.01, 1.0, 0.01, 0.0)
LTT = 1_784_700_000


class MarketTime:
    """A market that is open, whatever day it is."""

    def now_ns(self) -> int:
        return OPEN

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def world(**options: Any) -> World:
    """What the sockets share, in a hurry."""
    clock, rng = SystemClock(), random.Random(1)
    quick: dict[str, Any] = {
        "door": Door(clock, rng, gap_s=0.0, silence=Backoff(0.3, 1, 0.3, 0.0)),
        "connect": picows_connect, "backoff": FAST, "busy": FAST, **options,
    }  # fmt: skip
    return World(clock, rng, FakeTokens(), **quick)


class Stand:
    """A live feed of Nifty on a server, and what came out of it."""

    def __init__(self, server: FeedServer, settings: FeedSettings | None = None) -> None:
        self.batches: list[Any] = []
        self.events: list[int] = []
        sink = TickCall(lambda t, _: self.batches.append(t), lambda e, _: self.events.append(e))
        self.intake = FeedIntake(DhanDecoder([(0, 13, 0, 5), (2, 7, 1, 5)]), sink)
        self.world = world()
        self.feed = DhanFeed(
            server.base, self.intake, self.world, hours=Hours(Calendar.load()),
            settings=settings, market_clock=MarketTime(),
        )  # fmt: skip
        self.feed.subscribe([NIFTY], Mode.TICKER)


@asynccontextmanager
async def running(feed: FeedPool) -> AsyncIterator[None]:
    """A feed that runs inside, and is closed after."""
    async with asyncio.TaskGroup() as group:
        group.create_task(feed.run())
        yield
        await feed.close()


def play(main: Callable[[FeedServer], Awaitable[None]], *, loop: str = "asyncio") -> None:
    """Run a test with a server."""

    async def whole() -> None:
        async with FeedServer() as server:
            await main(server)

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(whole())


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_from_the_first_packet_over_a_cut_to_the_goodbye(loop: str) -> None:
    async def main(server: FeedServer) -> None:
        stand = Stand(server)
        async with running(stand.feed):
            peer = await server.peer(0)
            assert peer.query == {
                "version": "2", "token": SECRET + "1", "clientId": "1000000001", "authType": "2",
            }  # fmt: skip
            await server.until(lambda: peer.requests)
            assert stand.feed.status().unconfirmed == 1
            peer.send(ticker(0, 13, 24_000.0, LTT))
            peer.ping(b"alive?")
            await server.until(lambda: stand.batches and peer.pongs == [b"alive?"])
            assert stand.feed.status().unconfirmed == 0
            peer.cut()
            again = await server.peer(1)
            await server.until(lambda: again.requests)
            assert again.entries == [(15, "IDX_I", "13")]
            again.send(ticker(0, 13, 24_000.0, LTT))
            await server.until(lambda: len(stand.batches) == 2)
            stand.feed.subscribe([Security(2, 7)], Mode.FULL)
            stand.feed.unsubscribe([NIFTY], Mode.TICKER)
            await server.until(lambda: len(again.requests) == 3)
            assert again.entries[1:] == [(21, "NSE_FNO", "7"), (16, "IDX_I", "13")]
            told = stand.feed.status().connections[0]
            assert (told.messages, told.pings, told.opened, told.failures) == (2, 1, 2, 1)
            assert told.last_ending == "closed 1006" and told.bytes == 32
            assert told.last_message_ns == stand.feed.status().last_message_ns
            assert abs(SystemClock().now_ns() - told.last_message_ns) < 10 * 10**9
        await server.until(lambda: again.closed_by_client)
        assert again.requests[-1] == {"RequestCode": 12}
        assert [int(batch["flags"][0]) for batch in stand.batches] == [1, 1]  # both are seeds
        assert stand.events == [FeedEvent.BACK, FeedEvent.LOST, FeedEvent.BACK, FeedEvent.LOST]

    play(main, loop=loop)


def test_ticks_reach_ring_and_broadcast_and_a_slow_reader_slows_nobody(tmp_path: Any) -> None:
    """A ring of 64 and a broadcast of 64 slots nobody reads: the sink has every tick."""

    async def main(server: FeedServer) -> None:
        ring, got = Ring(64), []
        with_writer = dict(record_bytes=72, slots=64, tag="tick", folder=str(tmp_path))
        writer = BroadcastWriter("feed-test", **with_writer)  # type: ignore[arg-type]
        reader = BroadcastReader("feed-test", dtype=TICK_DTYPE, tag="tick", folder=str(tmp_path))
        table = DhanDecoder([(0, 13, 0, 5)])
        intake = FeedIntake(table, TickCall(lambda t, _: got.append(t)), ring=ring, writer=writer)
        feed = DhanFeed(server.base, intake, world(), hours=Hours(Calendar.load()))
        feed.subscribe([NIFTY], Mode.TICKER)
        async with running(feed):
            peer = await server.peer(0)
            for number in range(1_000):
                peer.send(ticker(0, 13, 24_000.0 + number, LTT + number))
            await server.until(lambda: len(got) == 1_000)
        ticks = np.concatenate(got)
        assert list(ticks["price"]) == [2_400_000 + 100 * n for n in range(1_000)]
        events = ring.take(1_000)
        assert events.dtype == EVENT_DTYPE and len(events) == 64
        kept = np.frombuffer(events["payload"].tobytes(), TICK_DTYPE)
        np.testing.assert_array_equal(kept, ticks[:64])
        assert intake.counters["ring_dropped"] == 936
        records, lost = reader.read(1_000)
        assert lost >= 936 and lost + len(records) == 1_000 and len(records) > 32
        np.testing.assert_array_equal(records, ticks[lost:])
        writer.close()

    play(main)


@pytest.mark.parametrize("reason", [807, 809, 805, 800, 813])
def test_a_reason_that_passes_leads_to_another_socket(reason: int) -> None:
    async def main(server: FeedServer) -> None:
        stand = Stand(server)
        async with running(stand.feed):
            (await server.peer(0)).send(disconnect_packet(reason))
            second = await server.peer(1)
            assert second.query["token"] == SECRET + ("2" if reason in (807, 809) else "1")
        assert str(reason) in stand.feed.status().connections[0].last_ending

    play(main)


@pytest.mark.parametrize("reason", [804, 806, 808, 810])
def test_a_reason_that_stays_ends_the_feed(reason: int) -> None:
    async def main(server: FeedServer) -> None:
        stand = Stand(server)
        server.on_peer = lambda peer: peer.send(disconnect_packet(reason))
        with pytest.raises(DhanfastError, match=str(reason)):
            await stand.feed.run()
        assert server.tries == 1

    play(main)


def test_429_is_silence_with_or_without_its_phrase() -> None:
    async def main(server: FeedServer) -> None:
        stand = Stand(server)
        server.refuse = [429]
        began = asyncio.get_running_loop().time()
        async with running(stand.feed):
            await server.peer(0)
            assert asyncio.get_running_loop().time() - began >= 0.3
        assert server.tries == 2

    play(main)
    assert ending_of(b"HTTP/1.1 429\r\n\r\n") == "handshake refused 429"


def ending_of(answer: bytes) -> str:
    """How a connect fails that is answered by these bytes, and then by silence or an end."""

    async def main() -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        intake = FeedIntake(DhanDecoder([(0, 13, 0, 5)]))
        line = Line(intake, lambda text: None, lambda notices: None)
        try:
            with pytest.raises(ConnectFailed) as caught:
                await picows_connect(f"ws://127.0.0.1:{port}/?token={SECRET}", line)
        finally:
            server.close()
            await server.wait_closed()
        error = caught.value
        assert SECRET not in str(error) + repr(error) + repr(vars(error))
        assert error.__cause__ is None and (error.__suppress_context__ or not error.__context__)
        return str(error.ending)

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "want"),
    [(b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", "handshake refused 502"),
     (b"HTTP/1.0 401 Unauthorized\r\n\r\n", "handshake refused 401"),
     (b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/\r\n\r\n", "handshake refused 302"),
     (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", "not reachable (not a WebSocket answer)"),
     (b"SSH-2.0-OpenSSH\r\n\r\n", "not reachable (not a WebSocket answer)"),
     (b"", "not reachable (closed during the handshake)")],
)  # fmt: skip
def test_answers_that_are_no_handshake(answer: bytes, want: str) -> None:
    assert ending_of(answer) == want


def test_nobody_listens() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        line = Line(FeedIntake(DhanDecoder([(0, 13, 0, 5)])), lambda t: None, lambda n: None)
        with pytest.raises(ConnectFailed, match="not reachable") as caught:
            await picows_connect(f"ws://127.0.0.1:{port}/?token={SECRET}", line)
        assert SECRET not in str(caught.value)

    asyncio.run(main())


def test_the_token_is_in_no_log_even_when_everything_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(1)
    for name in ("picows", "picows.client", "dhanfast.feed", "dhanfast.feed.picows", "asyncio"):
        logging.getLogger(name).setLevel(1)

    async def main(server: FeedServer) -> None:
        stand = Stand(server)
        server.refuse = [500, 302]
        async with running(stand.feed):
            peer = await server.peer(0)
            peer.raw(b"\xff\xff\xff\xff")  # no frame at all: picows gives its reasons
            await server.peer(1)
        assert "broke the WebSocket protocol" in caplog.text

    play(main)
    client = "\n".join(r.getMessage() for r in caplog.records if "server" not in r.name)
    assert "live feed 0 is up" in client and SECRET not in client


def test_a_mute_socket_is_replaced_although_it_answers_pings() -> None:
    async def main(server: FeedServer) -> None:
        stand = Stand(server, FeedSettings(watch=WatchSettings(mute_s=1.0, look_s=0.05)))
        async with running(stand.feed):
            first = await server.peer(0)
            first.send(ticker(0, 13, 24_000.0, LTT))
            await server.until(lambda: len(first.requests) == 2)
            assert first.entries == [(15, "IDX_I", "13")] * 2
            await server.peer(1)
            assert stand.feed.status().connections[0].last_ending == "mute"

    play(main)


def test_a_dead_peer_at_close_is_dropped_at_the_deadline() -> None:
    async def main(server: FeedServer) -> None:
        stand = Stand(server)
        server.answer_close = False
        async with asyncio.TaskGroup() as group:
            group.create_task(stand.feed.run())
            peer = await server.peer(0)
            began = asyncio.get_running_loop().time()
            await stand.feed.close(0.1)
            assert asyncio.get_running_loop().time() - began < 2
        await server.until(peer.gone.is_set)

    play(main)


def test_close_while_a_handshake_hangs() -> None:
    async def main(server: FeedServer) -> None:
        connected = asyncio.Event()
        gone = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await gone.wait()
            writer.close()

        silent = await asyncio.start_server(hang, "127.0.0.1", 0)
        stand = Stand(server)
        stand.feed.speech = type(stand.feed.speech)(  # type: ignore[call-arg]
            base=f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        )
        async with running(stand.feed):
            await connected.wait()
        gone.set()
        silent.close()
        await silent.wait_closed()

    play(main)


def test_depth_over_a_socket_gives_the_rows_of_the_decoder() -> None:
    golden = frames("depth20")
    names = list(dict.fromkeys((f[3], int.from_bytes(f[4:8], "little")) for f in golden))
    securities = [Security(*each) for each in names]
    table = [(*each, number, 5) for number, each in enumerate(securities)]

    async def main(server: FeedServer) -> None:
        rows: list[Any] = []
        events: list[int] = []
        sink = DepthCall(lambda r, _: rows.append(r), lambda e, _: events.append(e))
        intake = DepthIntake(DhanDepthDecoder(table, 20), sink)
        feed = DhanDepth(server.base + "/twentydepth", intake, world(),
                         hours=Hours(Calendar.load()), settings=DepthSettings(20))  # fmt: skip
        feed.subscribe(each for each in securities if each.segment in (1, 2))
        async with running(feed):
            first = await server.peer(0)
            assert first.path.startswith("/twentydepth?token=")
            for frame in golden:
                first.send(frame)
            await server.until(lambda: intake.messages == len(golden))
            oracle = DhanDepthDecoder(table, 20)
            want = [oracle.decode(frame, 0).depth for frame in golden]
            sent = np.concatenate(rows)
            assert len(sent) > 1_000
            for field in ("price", "qty", "orders", "instrument", "side", "op", "flags"):
                np.testing.assert_array_equal(sent[field], np.concatenate(want)[field])
            first.close(WSCloseCode.SERVICE_RESTART)
            second = await server.peer(1)
            rows.clear()
            second.send(golden[-1])
            await server.until(lambda: rows)
            assert all(int(flags) & 2 for flags in rows[0]["flags"])  # the book comes whole again
        assert events[:3] == [FeedEvent.BACK, FeedEvent.LOST, FeedEvent.BACK]

    play(main)


def test_without_picows_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picows", None)
    line = Line(FeedIntake(DhanDecoder([(0, 13, 0, 5)])), lambda t: None, lambda n: None)
    with pytest.raises(UsageError, match=r"pip install 'dhanfast\[live\]'"):
        asyncio.run(picows_connect("ws://127.0.0.1:1/", line))
