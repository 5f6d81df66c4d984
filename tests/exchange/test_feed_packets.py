"""Feed packets: their bytes against a plain packer and the official client, their numbers
against the records that made them, and back through our own decoder."""

import datetime as dt
import random
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dhanfast._core.feedout import FACE_DTYPE, FeedLane, FeedMode
from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.tape import Tape
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast._core.wire.dhan_depth import DhanDepthDecoder
from dhanfast.errors import PoolFull, UsageError
from dhanfast.market.calendar import midnight_ns

SECOND = 1_000_000_000
OPEN = midnight_ns(dt.date(2025, 11, 17)) + (9 * 60 + 15) * 60 * SECOND
LEVELS = 5


def tape_of(levels: int = LEVELS) -> Tape:
    match = Match(Gate(instruments=2), instruments=2)
    tape = Tape(match, [(2, 49_081), (0, 13)], OPEN, 375, levels)
    tape.start(0, prev_close=10_000, prev_oi=70_000, prev_volume=5)
    return tape


def ticks_of(seed: int, count: int = 60) -> np.ndarray[Any, Any]:
    """Trades and quotes of instrument 0, one a second."""
    rng = random.Random(seed)
    ticks = np.zeros(count, TICK_DTYPE)
    volume = 0
    for at, tick in enumerate(ticks):
        price = 10_000 + 5 * rng.randrange(-200, 200)
        tick["recv_ns"] = OPEN + at * SECOND + 1
        tick["exch_ns"] = OPEN + at * SECOND
        if rng.random() < 0.6:
            tick["price"], tick["qty"] = price, 75 * rng.randrange(1, 2000)
            volume += int(tick["qty"])
            tick["volume"] = volume
        tick["bid"], tick["ask"] = price - 5, price + 5
        tick["bid_qty"], tick["ask_qty"] = 75 * rng.randrange(1, 9), 75 * rng.randrange(1, 9)
        tick["oi"] = 70_000 + 75 * rng.randrange(-5, 5)
    return ticks


def rows_of(ticks: np.ndarray[Any, Any], levels: int) -> np.ndarray[Any, Any]:
    """A snapshot of a book with each tick."""
    rows = []
    for tick in ticks:
        for side, best in ((1, int(tick["bid"])), (-1, int(tick["ask"]))):
            rows.append((tick["exch_ns"], tick["recv_ns"], 0, 0, 0, 0, 0, side, 1, 2))
            for level in range(levels):
                last = side == -1 and level == levels - 1
                rows.append((tick["exch_ns"], tick["recv_ns"], 0, best - side * 5 * level, 0,
                             75 * (level + 1), level + 1, side, 0, 3 if last else 2))  # fmt: skip
    return np.array(rows, DEPTH_DTYPE)


NO_ROWS = np.empty(0, DEPTH_DTYPE)


class Shown:
    """What a full packet must say, kept by hand."""

    def __init__(self) -> None:
        self.last = self.qty = self.open = self.high = self.volume = self.value = 0
        self.low, self.traded_s = 10**9, 0
        self.oi = self.oi_high = self.oi_low = 70_000

    def take(self, tick: Any) -> None:
        self.oi = int(tick["oi"])
        self.oi_high, self.oi_low = max(self.oi_high, self.oi), min(self.oi_low, self.oi)
        price = int(tick["price"])
        if price:
            self.value += price * (int(tick["volume"]) - self.volume)
            self.volume = int(tick["volume"])
            self.last, self.qty, self.open = price, int(tick["qty"]), self.open or price
            self.high, self.low = max(self.high, price), min(self.low, price)
            self.traded_s = int(tick["exch_ns"]) // SECOND + 19_800

    def full(self, bids: list[tuple[int, int, int]], asks: list[tuple[int, int, int]]) -> bytes:
        """The 162 bytes of `<BHBIfHIfIIIIIIffff` and five levels of `<IIHHff`."""
        atp = self.value / self.volume / 100 if self.volume else 0.0
        head = struct.pack(
            "<BHBIfHIfIIIIIIffff", 8, 162, 2, 49_081, (self.last or 10_000) / 100,
            self.qty & 0xFFFF, self.traded_s, atp, self.volume, sum(qty for _, qty, _ in asks),
            sum(qty for _, qty, _ in bids), self.oi, self.oi_high, self.oi_low, self.open / 100,
            100.0, self.high / 100, (self.low if self.last else 0) / 100)  # fmt: skip
        empty = (0, 0, 0)
        for level in range(5):
            bid = bids[level] if level < len(bids) else empty
            ask = asks[level] if level < len(asks) else empty
            head += struct.pack("<IIHHff", bid[1], ask[1], bid[2], ask[2], bid[0] / 100,
                                ask[0] / 100)  # fmt: skip
        return head


@pytest.mark.parametrize("deep", [False, True])
def test_full_packets_are_the_bytes_of_a_plain_packer(deep: bool) -> None:
    tape, lane, shown = tape_of(), FeedLane(2), Shown()
    ticks = ticks_of(1)
    rows = rows_of(ticks, LEVELS) if deep else NO_ROWS
    lane.subscribe(0, FeedMode.FULL)
    tape.attach(lane)
    tape.step(ticks, 0, rows, 0, 2**62)
    messages = lane.messages()
    assert len(messages) == len(ticks)
    for tick, message in zip(ticks, messages, strict=True):
        shown.take(tick)
        levels = LEVELS if deep else 1
        bids = [(int(tick["bid"]) - 5 * at, 75 * (at + 1), at + 1) for at in range(levels)]
        asks = [(int(tick["ask"]) + 5 * at, 75 * (at + 1), at + 1) for at in range(levels)]
        if not deep:
            bids = [(int(tick["bid"]), int(tick["bid_qty"]), 1)]
            asks = [(int(tick["ask"]), int(tick["ask_qty"]), 1)]
        assert message == shown.full(bids, asks)


def test_each_mode_has_its_packets_and_no_other() -> None:
    tape, ticks = tape_of(), ticks_of(2)
    changes = sum(before != after for before, after in
                  zip([70_000, *ticks["oi"][:-1]], ticks["oi"], strict=True))  # fmt: skip
    wanted = {FeedMode.TICKER: {2: 60}, FeedMode.FULL: {8: 60}, FeedMode.QUOTE: {4: 60, 5: changes}}
    lanes = {mode: FeedLane(2) for mode in wanted}
    for mode, lane in lanes.items():
        lane.subscribe(0, mode)
        tape.attach(lane)
    idle = FeedLane(2)
    idle.subscribe(1, 7)
    tape.attach(idle)
    tape.step(ticks, 0, NO_ROWS, 0, 2**62)
    for mode, counts in wanted.items():
        codes = [message[0] for message in lanes[mode].messages()]
        assert {code: codes.count(code) for code in set(codes)} == counts
    assert idle.messages() == []


def test_our_decoder_reads_back_the_ticks() -> None:
    tape, lane, ticks = tape_of(), FeedLane(2), ticks_of(3)
    lane.subscribe(0, FeedMode.FULL)
    tape.attach(lane)
    tape.step(ticks, 0, rows_of(ticks, LEVELS), 0, 2**62)
    decoder = DhanDecoder([(2, 49_081, 0, 5)])
    trades = [tick for tick in ticks if tick["price"]]
    found = [np.array(decoder.decode(message, 1).ticks) for message in lane.messages()]
    decoded = [one for batch in found for one in batch if one["price"] and not one["flags"] & 1]
    assert [int(one["volume"]) for one in decoded] == [int(one["volume"]) for one in trades][
        -len(decoded) :
    ]
    by_volume = {int(one["volume"]): one for one in trades}
    for one in decoded:
        tick = by_volume[int(one["volume"])]
        assert (one["price"], one["exch_ns"]) == (tick["price"], tick["exch_ns"])
    assert not {"off_tick", "bad_price", "cut", "lost"} & set(decoder.counters)


@pytest.mark.parametrize("levels", [20, 200])
def test_depth_messages_come_back_as_the_book(levels: int) -> None:
    tape, lane, ticks = tape_of(levels), FeedLane(2), ticks_of(4, 5)
    lane.subscribe(0, FeedMode.DEPTH20 if levels == 20 else FeedMode.DEPTH200)
    tape.attach(lane)
    tape.step(ticks, 0, rows_of(ticks, levels), 0, 2**62)
    messages = lane.messages()
    assert [len(message) for message in messages] == [2 * (12 + 16 * levels)] * 5
    decoder = DhanDepthDecoder([(2, 49_081, 0, 5)], levels)
    for tick, message in zip(ticks, messages, strict=True):
        decoder.decode(message, 1)
        bids = decoder.levels(0, 1)
        assert bids["price"].tolist() == [int(tick["bid"]) - 5 * at for at in range(levels)]
        assert bids["qty"].tolist() == [75 * (at + 1) for at in range(levels)]
    assert not {"off_tick", "bad_price", "cut", "lost", "raw_side"} & set(decoder.counters)


def test_the_official_client_reads_seed_packets() -> None:
    feed = pytest.importorskip("dhanhq.marketfeed").MarketFeed
    tape, lane, ticks = tape_of(), FeedLane(2), ticks_of(5)
    tape.step(ticks, 0, NO_ROWS, 0, 2**62)
    tape.seed(lane, 0, 7)
    client = SimpleNamespace()
    for name in ("process_ticker", "process_quote", "process_oi", "process_full",
                 "process_prev_close", "utc_time"):  # fmt: skip
        setattr(client, name, getattr(feed, name).__get__(client))
    messages = lane.messages()
    assert [message[0] for message in messages] == [6, 2, 4, 5, 8]
    close = client.process_prev_close(messages[0])
    assert (close["prev_close"], close["prev_OI"]) == ("100.00", 70_000)
    ticker = client.process_ticker(messages[1])
    last = next(tick for tick in ticks[::-1] if tick["price"])
    assert ticker["LTP"] == f"{int(last['price']) / 100:.2f}"
    clock = dt.datetime.fromtimestamp(int(last["exch_ns"]) // SECOND + 19_800, dt.UTC)
    assert ticker["LTT"] == f"{clock:%H:%M:%S}"  # the wall clock of India
    assert client.process_full(messages[4])["volume"] == int(last["volume"])


def test_before_the_first_trade_the_previous_close_is_shown() -> None:
    tape, lane = tape_of(), FeedLane(2)
    tape.seed(lane, 0, FeedMode.TICKER)
    tape.seed(lane, 1, FeedMode.TICKER)  # nothing is known of it
    assert lane.messages() == [
        struct.pack("<BHBIfI", 6, 16, 2, 49_081, 100.0, 70_000),
        struct.pack("<BHBIfI", 2, 16, 2, 49_081, 100.0, 0),
    ]


def test_frames_are_whole_websocket_messages() -> None:
    tape, lane, ticks = tape_of(), FeedLane(2), ticks_of(6, 1)
    lane.subscribe(0, FeedMode.TICKER | FeedMode.FULL)
    tape.attach(lane)
    tape.step(ticks, 0, NO_ROWS, 0, 2**62)
    frames = lane.take()
    assert frames[:2] == b"\x82\x10" and frames[18:22] == b"\x82\x7e\x00\xa2"
    assert len(frames) == 2 + 16 + 4 + 162 and lane.take() == b""


def test_a_client_that_does_not_read_is_found_and_never_grows() -> None:
    tape, lane = tape_of(), FeedLane(2, 1 << 13)
    lane.subscribe(0, FeedMode.FULL)
    tape.attach(lane)
    tape.step(ticks_of(7, 400), 0, NO_ROWS, 0, 2**62)
    assert lane.overflow and lane.waiting <= 1 << 13
    lane.end(805)
    assert lane.messages() == [struct.pack("<BHBIH", 50, 10, 0, 0, 805)]
    tape.detach(lane)
    tape.detach(lane)


def test_disconnect_of_a_depth_feed_has_its_reason_at_the_end() -> None:
    lane = FeedLane(2)
    lane.end(807, deep=True)
    assert lane.messages() == [struct.pack("<hBBiIH", 14, 50, 0, 0, 0, 807)]


def test_the_tape_stops_where_something_must_be_done() -> None:
    tape, ticks = tape_of(), ticks_of(8)
    trades = [at for at, tick in enumerate(ticks) if tick["price"]]
    target = int(ticks["price"][trades].max())
    tape.watch(0, 0, target)
    at, _, why = tape.step(ticks, 0, NO_ROWS, 0, 2**62)
    assert why == 2 and tape.watched == 0 and int(ticks["price"][at - 1]) == target
    assert all(int(ticks["price"][one]) < target for one in trades if one < at - 1)
    tape.watch(0, 0, 0)
    assert tape.step(ticks, at, NO_ROWS, 0, 2**62) == (len(ticks), 0, 0)
    half = int(ticks["recv_ns"][30])
    assert tape_of().step(ticks, 0, NO_ROWS, 0, half) == (31, 0, 0)


def test_an_order_meets_the_book_of_its_time_not_an_older_one() -> None:
    """Nothing worked while the book moved away: the kernel must have followed it all the same."""
    gate = Gate(instruments=1)
    match = Match(gate, instruments=1)
    session = {"open_ns": OPEN, "close_ns": OPEN + 3600 * SECOND, "lot": 75, "tick": 5}
    match.start_session(0, session)
    tape = Tape(match, [(2, 49_081)], OPEN, 375, LEVELS)
    ticks = np.zeros(2, TICK_DTYPE)
    ticks["recv_ns"] = ticks["exch_ns"] = OPEN + SECOND, OPEN + 2 * SECOND
    ticks["bid"], ticks["ask"] = (10_000, 9_000), (10_010, 9_010)
    tape.step(ticks, 0, rows_of(ticks, LEVELS), 0, 2**62)
    order = {"id": 1, "created_ns": OPEN + 3 * SECOND, "price": 8_000, "qty": 75, "side": -1}
    approved = gate.check(order, mark=9_000, now_ns=OPEN + 3 * SECOND, session=session)
    match.submit_order(approved, OPEN + 3 * SECOND)
    assert len(match.reports()) == 1  # accepted; the tape waits until it is told
    trade = ticks[1:].copy()
    trade["recv_ns"] = OPEN + 4 * SECOND
    trade["price"], trade["qty"], trade["volume"] = 9_005, 75, 75
    tape.step(trade, 0, NO_ROWS, 0, 2**62)
    fills = [report for report in match.reports() if report["kind"] == 2]
    assert [int(fill["price"]) for fill in fills] == [9_000]


def test_a_repeated_trade_is_no_trade() -> None:
    plain, repeated = ticks_of(11), ticks_of(11)
    for at in range(1, len(repeated)):
        if not repeated["price"][at] and repeated["volume"][at - 1]:
            for name in ("price", "qty", "volume"):
                repeated[name][at] = repeated[name][at - 1]
    tapes = []
    for ticks in (plain, repeated):
        tape = tape_of()
        tape.step(ticks, 0, NO_ROWS, 0, 2**62)
        tapes.append(tape)
    assert (repeated["price"] > 0).sum() > (plain["price"] > 0).sum()
    assert tapes[0].shown.tobytes() == tapes[1].shown.tobytes()
    assert tapes[0].bars_of(0).tobytes() == tapes[1].bars_of(0).tobytes()


def test_minutes_agree_with_a_plain_count() -> None:
    tape, ticks = tape_of(), ticks_of(9, 200)
    tape.step(ticks, 0, NO_ROWS, 0, 2**62)
    bars = tape.bars_of(0)
    plain: dict[int, list[Any]] = {}
    for tick in ticks:
        if tick["price"]:
            plain.setdefault((int(tick["recv_ns"]) - OPEN) // (60 * SECOND), []).append(tick)
    assert len(bars) == len(plain)
    for bar, (minute, found) in zip(bars, plain.items(), strict=True):
        prices = [int(tick["price"]) for tick in found]
        assert bar["start_ns"] == OPEN + minute * 60 * SECOND
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (
            prices[0], max(prices), min(prices), prices[-1])  # fmt: skip
        assert bar["volume"] == sum(int(tick["qty"]) for tick in found)
        assert bar["ticks"] == len(found)


def test_refusals() -> None:
    tape, lane = tape_of(), FeedLane(2)
    for bad in (lambda: FeedLane(0), lambda: FeedLane(2, 5), lambda: lane.subscribe(2, 1),
                lambda: lane.subscribe(0, 64), lambda: tape.side(9, 1),
                lambda: tape.watch(-1, 0, 0),
                lambda: tape.attach(FeedLane(3)), lambda: tape.step([], 0, NO_ROWS, 0, 0),
                lambda: tape.step(ticks_of(1), 61, NO_ROWS, 0, 0),
                lambda: Tape(Match(Gate()), [], OPEN, 375)):  # fmt: skip
        with pytest.raises(UsageError):
            bad()
    with pytest.raises(PoolFull):
        for _ in range(65):
            tape.attach(FeedLane(2))
    with pytest.raises(ValueError):
        tape.shown["last"][0] = 1
    assert tape.shown.dtype == FACE_DTYPE
