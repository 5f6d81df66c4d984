"""Intakes against the decoders they drive; gaps, silence, lag, and what they refuse."""

import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.broadcast import BroadcastReader, BroadcastWriter
from dhanfast._core.live.intake import DepthIntake, FeedIntake
from dhanfast._core.live.sink import DepthCall, DepthSink, FeedEvent, TickCall
from dhanfast._core.timing import UtcClock
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE, DepthFlag, Side
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast._core.wire.dhan_depth import DhanDepthDecoder
from dhanfast._core.wire.records import TickFlag
from dhanfast.clock import ManualClock, SystemClock
from dhanfast.errors import UsageError
from tests.brokers.dhan.feed_server import disconnect_packet, ticker
from tests.core.wire.frames import frames

NOW = 1_753_000_000_000_000_000
LTT = NOW // 10**9 + 19_800
S = 10**9


class Got:
    """A sink's Python end."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.times: list[int] = []
        self.events: list[tuple[int, int]] = []

    def rows(self, rows: Any, recv_ns: int) -> None:
        self.batches.append(rows)
        self.times.append(recv_ns)

    def event(self, event: int, at_ns: int) -> None:
        self.events.append((event, at_ns))


def feed(table: list[tuple[int, ...]], **options: Any) -> tuple[FeedIntake, Got, ManualClock]:
    """An intake on a clock that stands."""
    got, clock = Got(), ManualClock(NOW)
    options.setdefault("clock", clock)
    return FeedIntake(DhanDecoder(table), TickCall(got.rows, got.event), **options), got, clock


def full(security: int, ltp: float, bid: float) -> bytes:
    """Packet 8 with one level a side."""
    head = struct.pack("<BHBI", 8, 162, 2, security)
    last = struct.pack("<fHIfIII", ltp, 75, LTT, ltp, 1_000, 10, 20)
    day = struct.pack("<IIIffff", 5, 6, 4, ltp, ltp, ltp, ltp)
    level = struct.pack("<IIHHff", 75, 150, 1, 2, bid, bid + 0.05)
    return head + last + day + level + bytes(80)


def test_more_ticks_in_a_message_than_are_handed_over_at_a_time() -> None:
    intake, got, _ = feed([(1, 7, 0, 5)])
    packets = b"".join(ticker(1, 7, 10.0 + n, LTT + n) for n in range(1_500))
    assert len(intake.receive(packets)) == 0
    assert [len(batch) for batch in got.batches] == [512, 512, 476]
    assert list(np.concatenate(got.batches)["price"]) == [1_000 + 100 * n for n in range(1_500)]
    assert intake.messages == 1 and intake.counters["messages"] == 1


def test_more_notices_in_a_message_than_fit_are_counted_and_nothing_else_is_lost() -> None:
    intake, got, _ = feed([(1, 7, 0, 5)])
    notices = intake.receive(disconnect_packet(805) * 100 + ticker(1, 7, 10.0, LTT))
    assert len(notices) >= 31 and set(notices["reason"]) == {805}
    assert intake.notices_dropped == 100 - len(notices) and len(got.batches) == 1
    assert intake.receive(b"")["code"].size == 0


def test_forgotten_instruments_begin_with_a_seed_and_a_book() -> None:
    intake, got, _ = feed([(2, 7, 3, 5), (2, 8, 4, 5)])
    for _ in range(2):
        intake.receive(full(7, 100.0, 99.95) + full(8, 200.0, 199.95))
    assert list(np.concatenate(got.batches)["flags"]) == [TickFlag.SEED, TickFlag.SEED, 0, 0]
    assert len(intake.levels(3, Side.BUY)) == 1
    intake.forget([3, 99])
    assert len(intake.levels(3, Side.BUY)) == 0 and len(intake.levels(4, Side.BUY)) == 1
    got.batches.clear()
    intake.receive(full(7, 100.0, 99.95) + full(8, 200.0, 199.95))
    ticks = got.batches[0]
    assert list(ticks["flags"]) == [TickFlag.SEED, 0] and list(ticks["price"]) == [10_000, 0]
    assert list(ticks["bid"]) == [9_995, 19_995]
    np.testing.assert_array_equal(intake.levels(3, Side.BUY)["price"], [9_995])


def test_forgotten_books_of_a_decoder_with_rows_come_whole_again() -> None:
    """The rows of the live feed's five levels start over, too."""
    decoder = DhanDecoder([(2, 7, 0, 5)])
    intake = FeedIntake(decoder, clock=ManualClock(NOW))
    whole = decoder.decode(full(7, 100.0, 99.95), NOW).depth
    assert len(decoder.decode(full(7, 100.0, 99.95), NOW).depth) == 0
    intake.forget([0])
    np.testing.assert_array_equal(decoder.decode(full(7, 100.0, 99.95), NOW).depth, whole)
    assert whole["flags"][0] & DepthFlag.SNAPSHOT


@pytest.mark.parametrize("levels", [20, 200])
def test_depth_rows_are_those_of_the_decoder_and_whole_after_a_gap(levels: int) -> None:
    golden = frames(f"depth{levels}")
    names = list(dict.fromkeys((f[3], int.from_bytes(f[4:8], "little")) for f in golden))
    table = [(*each, number, 5) for number, each in enumerate(names)]
    got, oracle = Got(), DhanDepthDecoder(table, levels)
    intake = DepthIntake(
        DhanDepthDecoder(table, levels), DepthCall(got.rows, got.event), clock=ManualClock(NOW)
    )
    want = []
    for frame in golden:
        intake.receive(frame)
        want.append(oracle.decode(frame, NOW).depth)
    np.testing.assert_array_equal(np.concatenate(got.batches), np.concatenate(want))
    assert intake.counters == oracle.counters
    intake.forget(range(len(table)))
    assert all(len(intake.levels(number, Side.SELL)) == 0 for number in range(len(table)))
    got.batches.clear()
    intake.receive(golden[-1])
    fresh = DhanDepthDecoder(table, levels).decode(golden[-1], NOW).depth
    np.testing.assert_array_equal(np.concatenate(got.batches), fresh)


def test_silence_is_known_by_instrument() -> None:
    intake, _, clock = feed([(1, 7, 10, 5), (1, 8, 11, 5)])
    assert intake.seen_ns(10) == 0 and intake.seen_ns(99) == 0
    intake.receive(ticker(1, 7, 10.0, LTT))
    clock.advance(5)
    intake.receive(ticker(1, 8, 10.0, LTT))
    assert (intake.seen_ns(10), intake.seen_ns(11)) == (NOW, NOW + 5 * S)

    def quiet(numbers: list[int], since: list[int]) -> list[int]:
        return list(intake.quiet(np.array(numbers, np.uint32), np.array(since, np.int64)))

    assert quiet([10, 11, 99], [NOW, NOW, NOW]) == [2]
    assert quiet([11, 10], [NOW + 1, NOW + 1]) == [1]
    assert quiet([11, 10], [NOW + 6 * S, 0]) == [0]
    with pytest.raises(UsageError, match="2 instruments but 1 times"):
        quiet([1, 2], [NOW])


def test_lag_is_of_new_trades_only() -> None:
    intake, _, clock = feed([(1, 7, 0, 5), (0, 13, 1, 5)])
    intake.receive(ticker(1, 7, 10.0, LTT - 3_600))  # a seed is old: no lag
    intake.receive(ticker(1, 7, 10.0, LTT - 3_600))  # no trade
    intake.receive(ticker(0, 13, 10.0, 0))  # an index without a time
    assert intake.lag.count == 0
    clock.advance(2)
    intake.receive(ticker(1, 7, 10.05, LTT))
    intake.receive(ticker(1, 7, 10.10, LTT + 3))  # the exchange's clock is ahead of ours
    assert intake.lag.count == 1 and intake.lag.min_ns == 2 * S and intake.lag.negative == 1


def test_records_have_the_markets_time_and_silence_has_ours() -> None:
    market = ManualClock(NOW - 86_400 * S)
    intake, got, clock = feed([(1, 7, 0, 5)], market_clock=market)
    intake.receive(ticker(1, 7, 10.0, LTT))
    market.advance(60)
    clock.advance(1)
    intake.receive(ticker(1, 7, 10.5, LTT))
    assert list(np.concatenate(got.batches)["recv_ns"]) == [
        NOW - 86_400 * S, NOW - 86_340 * S,
    ]  # fmt: skip
    assert got.times == [NOW - 86_400 * S, NOW - 86_340 * S]
    assert intake.seen_ns(0) == NOW + S
    intake.tell_event(FeedEvent.LOST)
    assert got.events == [(FeedEvent.LOST, NOW - 86_340 * S)]


@pytest.mark.parametrize("clock", [None, SystemClock(), UtcClock()])
def test_the_machines_clock_is_read_natively(clock: Any) -> None:
    intake, got, _ = feed([(1, 7, 0, 5)], clock=clock, market_clock=clock)
    before = SystemClock().now_ns()
    intake.receive(ticker(1, 7, 10.0, LTT))
    assert abs(got.times[0] - before) < S and got.times[0] == intake.seen_ns(0)
    assert abs(intake.calibrate()) < S


def test_a_broadcast_carries_the_time_of_a_market_on_its_own_clock(tmp_path: Path) -> None:
    """The engine's sink sees the machine's time; readers of the ring the market's."""
    writer = BroadcastWriter("own", record_bytes=TICK_DTYPE.itemsize, slots=8, tag="tick",
                             folder=str(tmp_path))  # fmt: skip
    reader = BroadcastReader("own", dtype=TICK_DTYPE, tag="tick", oldest=True, folder=str(tmp_path))
    got, clock = Got(), ManualClock(NOW)
    intake = FeedIntake(DhanDecoder([(1, 7, 0, 5)], depth=False, stats=False),
                        TickCall(got.rows, got.event), writer=writer, clock=clock)  # fmt: skip
    intake.receive(ticker(1, 7, 10.0, LTT))
    intake.set_market(NOW, NOW - 86_400 * S, 40.0)
    clock.advance(3)
    intake.receive(ticker(1, 7, 10.5, LTT + 1))
    rows, _ = reader.read()
    assert list(rows["recv_ns"]) == [NOW, NOW - 86_400 * S + 120 * S]
    assert list(np.concatenate(got.batches)["recv_ns"]) == [NOW, NOW + 3 * S]
    assert list(rows["price"]) == [1_000, 1_050]
    for speed in (0.0, -1.0, float("nan")):
        with pytest.raises(UsageError, match="speed must be above 0"):
            intake.set_market(NOW, NOW, speed)
    writer.close()


def test_refuses_a_broadcast_of_other_records(tmp_path: Path) -> None:
    writer = BroadcastWriter("other", record_bytes=80, slots=8, tag="event", folder=str(tmp_path))
    for make in (
        lambda: FeedIntake(DhanDecoder([(1, 7, 0, 5)]), writer=writer),
        lambda: DepthIntake(DhanDepthDecoder([(1, 7, 0, 5)], 20), writer=writer),
    ):
        with pytest.raises(UsageError, match="records of 80 bytes"):
            make()
    writer.close()


def test_sinks_take_arrays_as_decoders_do() -> None:
    got = Got()
    rows = np.zeros(3, DEPTH_DTYPE)
    rows["qty"] = [1, 2, 3]
    sink = DepthCall(got.rows, got.event)
    sink.take_rows(rows, 5)
    sink.take_rows(rows[:0], 6)
    sink.tell_event(FeedEvent.BACK, 7)
    np.testing.assert_array_equal(got.batches[0], rows)
    assert got.times == [5] and got.events == [(FeedEvent.BACK, 7)]
    DepthSink().take_rows(rows, 5)
    for wrong in (rows[::2], np.zeros(1, TICK_DTYPE), [1]):
        with pytest.raises(UsageError, match="DEPTH_DTYPE"):
            sink.take_rows(wrong, 5)  # type: ignore[arg-type]
    TickCall(got.rows).tell_event(FeedEvent.BACK, 7)


def lively(seed: int, count: int) -> list[bytes]:
    """Full packets of three securities: books that stand, move, thin out, and leave the tick."""
    rng = random.Random(seed)
    found, last = [], b""
    for number in range(count):
        if last and rng.random() < 0.2:
            found.append(last)
            continue
        price = 0.05 * rng.randint(1_000, 1_200) + (0.013 if rng.random() < 0.1 else 0)
        head = struct.pack("<BHBI", 8, 162, 2, 7 + number % 3)
        body = struct.pack("<fHIfIIIIIIffff", price, 75, LTT, price, number, 1, 2, 3, 4, 5,
                           price, price, price, price)  # fmt: skip
        book = b"".join(
            struct.pack("<IIHHff", 75 * rng.randint(0, 4), 75 * rng.randint(0, 4), 1, 2,
                        price - 0.05 * level, price + 0.05 * (level + 1))
            for level in range(5)
        )  # fmt: skip
        last = head + body + book
        found.append(last)
    return found


def test_levels_made_when_asked_for_are_those_made_at_once() -> None:
    """A decoder without rows converts the deeper levels late: same ticks, levels and counts."""
    golden = [f for name in ("full", "legacy_depth", "stream_mixed") for f in frames(name)]
    packets = golden + lively(5, 2_000)
    names = list(dict.fromkeys(struct.unpack_from("<BI", f, 3) for f in packets))
    table = [(*each, number, 5) for number, each in enumerate(names)]
    number_of = {each: number for number, each in enumerate(names)}
    at_once, late = DhanDecoder(table), DhanDecoder(table, depth=False)
    seen = 0
    for frame in packets:
        np.testing.assert_array_equal(
            late.decode(frame, NOW).ticks, at_once.decode(frame, NOW).ticks
        )
        instrument = number_of[struct.unpack_from("<BI", frame, 3)]
        for side in (Side.BUY, Side.SELL):
            want = at_once.levels(instrument, side)
            np.testing.assert_array_equal(late.levels(instrument, side), want)
            seen += len(want)
    assert seen > 10_000
    without = {name: n for name, n in at_once.counters.items() if name != "raw_side"}
    assert late.counters == without and without["off_tick"] > 100
