"""Hostile messages, and what must hold for each; tests and scripts/fuzz-wire share it."""

import random
import struct
from collections import Counter
from typing import Any

from numpy.typing import NDArray

from dhanfast._core.live.intake import DepthIntake, FeedIntake, Intake
from dhanfast._core.live.sink import TickCall
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast._core.wire.dhan_depth import DhanDepthDecoder
from dhanfast._core.wire.dhan_packets import depth_packets, feed_packets
from dhanfast._core.wire.records import Decoded
from dhanfast.clock import ManualClock
from tests.core.wire.frames import DEPTH, FEED, Guarded, frames
from tests.core.wire.slow_wire import steps

LOST = ("cut", "short", "lost", "trailing")
WHY = {"good": None, "unknown": "unknown code", "short": "length field too small",
       "cut": "cut short", "lost": "no usable length",
       "tail": "fewer bytes than a header"}  # fmt: skip
INTERESTING = (0, 1, 7, 8, 11, 12, 16, 50, 112, 162, 255, 332, 3212, 0x7FFF, 0x8000, 0xFFFF)


class Hostile:
    """Makes messages from the golden ones and puts them through every decoder."""

    def __init__(self, seed: int) -> None:
        """Args: seed: the same one gives the same messages."""
        self.random = random.Random(seed)
        self.corpus = [frame for name in (*FEED, *DEPTH) for frame in frames(name)]
        self.guarded = Guarded()
        table = [(segment, security, number, 5) for number, (segment, security) in enumerate(
            {struct.unpack_from("<BI", frame, 3) for frame in self.corpus if len(frame) >= 12}
            | {struct.unpack_from("<BI", frame, 3) for name in DEPTH for frame in frames(name)
               if len(frame) >= 12})]  # fmt: skip
        self.feed = DhanDecoder(table[: 1 << 12])
        self.depth = [DhanDepthDecoder(table[-256:], levels) for levels in (20, 200)]
        self.ticks = 0
        clock = ManualClock(1)
        self.intakes: tuple[Intake, ...] = (
            FeedIntake(DhanDecoder(table[: 1 << 12]), TickCall(self._count), clock=clock),
            *(DepthIntake(DhanDepthDecoder(table[-256:], n), clock=clock) for n in (20, 200)),
        )

    def message(self) -> bytes:
        """The next one: noise, or golden messages joined, cut, lengthened and overwritten."""
        rng = self.random
        if rng.random() < 0.1:
            return rng.randbytes(rng.choice((0, 1, 7, 8, 11, 12, 50, 400, 4_000)))
        data = bytearray(b"".join(rng.choices(self.corpus, k=rng.choice((1, 1, 1, 2, 5)))))
        for _ in range(rng.choice((0, 1, 1, 2, 4, 16))):
            if not data:
                break
            at = rng.randrange(len(data))
            way = rng.randrange(6)
            if way == 0:
                data[at] = rng.randrange(256)
            elif way == 1 and at + 2 <= len(data):
                struct.pack_into("<H", data, at, rng.choice(INTERESTING))
            elif way == 2 and len(data) >= 3:
                struct.pack_into("<H", data, rng.randrange(2), rng.choice(INTERESTING))
            elif way == 3:
                del data[at:]
            elif way == 4:
                data[at:at] = rng.randbytes(rng.randrange(1, 40))
            elif at + 4 <= len(data):
                struct.pack_into("<I", data, at, rng.choice((0x7F800000, 0x7FC00000, 0xFFFFFFFF)))
        return bytes(data[: Guarded.ROOM])

    def _count(self, ticks: NDArray[Any], recv_ns: int) -> None:
        self.ticks += len(ticks)

    def check(self, message: bytes) -> int:
        """Put a message through all decoders; returns how many runs that was.

        Raises:
            AssertionError: a decoder and the plain reader of the specification disagree.
        """
        view = self.guarded.put(message)
        expected = [(verdict, at, size) for verdict, at, size in steps(message)]
        packets, skipped = feed_packets(view)
        assert [p["off"] for p in packets] == [at for v, at, _ in expected if v == "good"]
        assert [(s.off, s.size, s.why) for s in skipped] == [
            (at, size, WHY[v]) for v, at, size in expected if v != "good"
        ]
        before = Counter(self.feed.counters)
        found = self.feed.decode(view, 1)
        grown = Counter(self.feed.counters)
        grown.subtract(before)
        assert grown["messages"] == 1 and grown["bytes"] == len(message)
        assert grown["packets"] == len(packets)
        assert grown["dropped_bytes"] == sum(s.size for s in skipped if s.lost)
        assert sum(grown[name] for name in LOST) == sum(s.lost for s in skipped)
        ticking = sum(p["code"] in (2, 3, 4, 5, 8) for p in packets)
        assert len(found.ticks) + len(found.notices) <= len(packets)
        assert len(found.ticks) <= ticking
        for decoder, levels in zip(self.depth, (20, 200), strict=True):
            self._check_depth(decoder, levels, view)
        self._check_intakes(view, found)
        return 5 + 1 + len(self.intakes)

    def _check_intakes(self, view: memoryview, found: Decoded) -> None:
        """The live doors: what is handed over is what was decoded, with gaps thrown in."""
        feed, before = self.intakes[0], self.ticks
        notices = feed.receive(view)
        assert self.ticks - before == len(found.ticks)
        if len(found.notices) < 32:
            assert list(notices["reason"]) == list(found.notices["reason"])
        assert feed.counters.get("packets") == self.feed.counters.get("packets")
        for intake in self.intakes[1:]:
            intake.receive(view)
        if self.random.random() < 0.05:
            for intake in self.intakes:
                intake.forget([self.random.randrange(1 << 13) for _ in range(8)])

    def _check_depth(self, decoder: DhanDepthDecoder, levels: int, view: memoryview) -> None:
        packets, skipped = depth_packets(view, levels)
        covered = sorted([(p["off"], p["len"]) for p in packets]
                         + [(s.off, s.size) for s in skipped])  # fmt: skip
        at = 0
        for off, size in covered:
            assert off == at and size > 0
            at += size
        assert at == len(view)
        before = Counter(decoder.counters)
        found = decoder.decode(view, 1)
        grown = Counter(decoder.counters)
        grown.subtract(before)
        assert grown["packets"] == len(packets) and grown["bytes"] == len(view)
        assert len(found.notices) == sum(p["kind"] == "disconnect" for p in packets)
        assert len(found.depth) <= (2 * levels + 1) * len(packets)
