"""The native listener on a real socket: golden frames, and everything a server may do to it."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import uvloop
from picows import WSCloseCode, WSTransport, ws_connect

from dhanfast._core.live.intake import FeedIntake
from dhanfast._core.live.listener import FeedListener
from dhanfast._core.live.sink import TickCall
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast.clock import ManualClock
from tests.brokers.dhan.feed_server import FeedServer, Peer, disconnect_packet, ticker
from tests.core.wire.frames import FEED, frames

GOLDEN = [frame for name in FEED for frame in frames(name)]
NAMES = list(dict.fromkeys(struct.unpack_from("<BI", f, 3) for f in GOLDEN if len(f) >= 8))
TABLE = [(segment, security, number, 5) for number, (segment, security) in enumerate(NAMES)]
NOW = 1_753_000_000_000_000_000


class Told:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasons: list[tuple[int, int]] = []
        self.ended: tuple[int, str] | None = None
        self.gone_ = asyncio.Event()
        self.opened = 0

    def connected(self, transport: WSTransport) -> None:
        self.opened += 1

    def notices(self, notices: Any) -> None:
        self.reasons += [(int(each["code"]), int(each["reason"])) for each in notices]

    def text(self, text: str) -> None:
        self.texts.append(text)

    def gone(self, code: int, reason: str) -> None:
        self.ended = code, reason
        self.gone_.set()


class Stand:
    """A listener connected to a server, with what came out at the other end."""

    def __init__(self, table: list[tuple[int, ...]] | None = None) -> None:
        self.told = Told()
        self.batches: list[Any] = []
        self.clock = ManualClock(NOW)
        self.intake = FeedIntake(
            DhanDecoder(table or TABLE),
            TickCall(lambda ticks, _: self.batches.append(ticks)),
            clock=self.clock,
        )
        self.listener = FeedListener(self.intake, self.told)

    async def connect(self, server: FeedServer) -> Peer:
        await ws_connect(
            lambda *_: self.listener, server.base, enable_auto_pong=False, use_aiofastnet=False
        )
        return await server.peer(0)

    @property
    def ticks(self) -> Any:
        return np.concatenate(self.batches) if self.batches else np.empty(0)


def runs(loop: str, main: Callable[[], Awaitable[None]]) -> None:
    """Run a test on one of the two event loops."""
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())  # type: ignore[arg-type]


LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"])


@LOOPS
def test_golden_frames_over_a_socket_give_the_ticks_of_the_decoder(loop: str) -> None:
    async def main() -> None:
        stand = Stand()
        async with FeedServer() as server:
            peer = await stand.connect(server)
            for frame in GOLDEN:
                peer.send(frame)
            await server.until(lambda: stand.listener.messages == len(GOLDEN))
        oracle = DhanDecoder(TABLE, depth=False, stats=False)
        found = [oracle.decode(frame, NOW) for frame in GOLDEN]
        np.testing.assert_array_equal(stand.ticks, np.concatenate([each.ticks for each in found]))
        notices = np.concatenate([each.notices for each in found])
        assert stand.told.reasons == [(int(n["code"]), int(n["reason"])) for n in notices]
        assert stand.intake.counters == oracle.counters
        assert stand.listener.bytes == sum(map(len, GOLDEN))
        assert len(stand.ticks) > 3_000 and len(notices) > 400

    runs(loop, main)


@LOOPS
def test_one_call_of_the_sink_a_message(loop: str) -> None:
    async def main() -> None:
        stand = Stand([(1, 7, 0, 5), (1, 8, 1, 5)])
        async with FeedServer() as server:
            peer = await stand.connect(server)
            peer.send(ticker(1, 7, 10.0, 50_000) + ticker(1, 8, 20.0, 50_000))
            peer.send(ticker(1, 8, 21.0, 50_001))
            await server.until(lambda: stand.listener.messages == 2)
        assert [list(batch["instrument"]) for batch in stand.batches] == [[0, 1], [1]]
        assert [list(batch["price"]) for batch in stand.batches] == [[1_000, 2_000], [2_100]]

    runs(loop, main)


def whole(frame: bytes, kind: int, *, fin: bool = True, rsv: int = 0) -> bytes:
    """A server's frame on the wire, bit by bit (RFC 6455 section 5.2)."""
    head = (0x80 if fin else 0) | rsv << 4 | kind
    if len(frame) < 126:
        return struct.pack(">BB", head, len(frame)) + frame
    return struct.pack(">BBH", head, 126, len(frame)) + frame


def test_a_message_in_parts_is_one_message() -> None:
    """Cut at every place, with a ping between the parts."""

    async def main() -> None:
        stand = Stand([(1, 7, 0, 5), (1, 8, 1, 5)])
        message = ticker(1, 7, 10.0, 50_000) + ticker(1, 8, 20.0, 50_000)
        async with FeedServer() as server:
            peer = await stand.connect(server)
            for cut in range(1, len(message)):
                peer.parts(message, [cut], ping=b"p%d" % cut)
            peer.parts(message, list(range(1, len(message))))
            count = len(message)
            await server.until(lambda: stand.listener.joined == count)
            await server.until(lambda: len(peer.pongs) == count - 1)
        assert len(stand.batches) == count and all(len(batch) == 2 for batch in stand.batches)
        assert peer.pongs == [b"p%d" % cut for cut in range(1, len(message))]
        assert stand.listener.pings == count - 1 and stand.listener.dropped_frames == 0
        assert "cut" not in stand.intake.counters

    asyncio.run(main())


def test_what_cannot_be_a_message_is_dropped_and_counted() -> None:
    good = ticker(1, 7, 10.0, 50_000)

    async def main() -> None:
        stand = Stand([(1, 7, 0, 5)])
        async with FeedServer() as server:
            peer = await stand.connect(server)
            peer.raw(whole(b"lost", 0))  # a part without a beginning: 1
            peer.raw(whole(good[:5], 2, fin=False))  # cut off by the next message: 2
            peer.raw(whole(good, 2))
            peer.raw(whole(good, 2, rsv=4))  # compressed, which was not offered: 3
            peer.raw(whole(good[:5], 2, fin=False, rsv=4))  # the same in parts: 4
            peer.raw(whole(good[5:], 0))
            peer.raw(whole(good[:5], 2, fin=False))  # cut off by a text: 5
            peer.raw(whole(b"hel", 1, fin=False))  # a text in parts: counted, not told
            peer.raw(whole(b"lo", 0))
            peer.raw(whole(good, 2))
            await server.until(lambda: stand.listener.messages == 2)
        assert stand.listener.dropped_frames == 5
        assert stand.listener.texts == 1 and stand.told.texts == []
        assert [len(batch) for batch in stand.batches] == [1, 1]

    asyncio.run(main())


def test_a_message_in_parts_without_end_costs_no_memory() -> None:
    async def main() -> None:
        stand = Stand([(1, 7, 0, 5)])
        part = bytes(60_000)
        async with FeedServer() as server:
            peer = await stand.connect(server)
            peer.raw(whole(part, 2, fin=False))
            for _ in range(40):
                peer.raw(whole(part, 0, fin=False))
            peer.raw(whole(b"", 0))
            peer.send(ticker(1, 7, 10.0, 50_000))
            await server.until(lambda: stand.listener.messages == 1)
        assert stand.listener.dropped_frames == 1 and stand.listener.joined == 0

    asyncio.run(main())


def test_texts_are_told_and_broken_ones_too() -> None:
    async def main() -> None:
        stand = Stand()
        async with FeedServer() as server:
            peer = await stand.connect(server)
            peer.text("maintenance at 17:00")
            peer.raw(whole(b"\xff\xfe ok", 1))
            await server.until(lambda: stand.listener.texts == 2)
        assert stand.told.texts == ["maintenance at 17:00", "�� ok"]

    asyncio.run(main())


def test_the_feed_says_why_it_leaves() -> None:
    async def main() -> None:
        stand = Stand()
        async with FeedServer() as server:
            peer = await stand.connect(server)
            peer.send(disconnect_packet(805))
            peer.close(WSCloseCode.GOING_AWAY, "bye")
            await server.until(stand.told.gone_.is_set)
        assert stand.told.reasons == [(50, 805)] and stand.told.ended == (1001, "bye")

    asyncio.run(main())


@LOOPS
def test_a_bare_end_is_1006(loop: str) -> None:
    async def main() -> None:
        stand = Stand()
        async with FeedServer() as server:
            peer = await stand.connect(server)
            peer.cut()
            await server.until(stand.told.gone_.is_set)
        assert stand.told.ended == (1006, "") and stand.told.opened == 1

    runs(loop, main)


class CountingClock:
    """Says another time at each look."""

    def __init__(self) -> None:
        self.looks = 0

    def now_ns(self) -> int:
        self.looks += 1
        return NOW + self.looks


def test_frames_of_one_read_have_one_time_whatever_stands_between_them() -> None:
    """Every read of the socket has its own time, also when a ping or a pong ends the one before."""

    async def main() -> None:
        stand = Stand()
        clock, batches = CountingClock(), []
        stand.intake = FeedIntake(
            DhanDecoder([(1, 7, 0, 5)]), TickCall(lambda t, _: batches.append(t)), clock=clock
        )
        stand.listener = FeedListener(stand.intake, stand.told)
        async with FeedServer() as server:
            peer = await stand.connect(server)
            ltt = 50_000
            for tail in (b"", whole(b"x", 9), whole(b"", 10), whole(b"t", 1)):
                wire = b""
                for _ in range(3):
                    ltt += 1
                    wire += whole(ticker(1, 7, 10.0, ltt), 2)
                seen = stand.listener.messages
                peer.raw(wire + tail)
                await server.until(lambda seen=seen: stand.listener.messages == seen + 3)
                await asyncio.sleep(0)
        times = [int(batch["recv_ns"][0]) for batch in batches]
        assert len(times) == 12
        for first in range(0, 12, 3):
            assert len(set(times[first : first + 3])) == 1
        assert len(set(times)) == 4

    asyncio.run(main())
