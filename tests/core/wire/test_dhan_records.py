"""Records of the live feed against a slow decoder, and rows of the book against the book."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.archive.schema import STATS_DTYPE
from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast._core.wire.dhan import DhanCode, DhanDecoder
from dhanfast._core.wire.dhan_packets import decode_many
from dhanfast._core.wire.records import NOTICE_DTYPE, TickFlag
from dhanfast._core.wire.table import WireInstrument, WireTable
from dhanfast.errors import BadData
from tests.core.wire.frames import FEED, frames
from tests.core.wire.rows import RowBook
from tests.core.wire.slow_wire import SIZES, Key, SlowDecoder, steps, valid_side

RECV_NS = 1_750_000_000_123_456_789
NIFTY, OPTION = (0, 13), (2, 55796)
INSTRUMENTS = {NIFTY: (7, 1), OPTION: (3, 5), (1, 1333): (0, 10)}


def table_of(instruments: dict[Key, tuple[int, int]]) -> WireTable:
    return WireTable([(*key, number, tick) for key, (number, tick) in instruments.items()])


def head(code: int, key: Key, size: int | None = None) -> bytes:
    return struct.pack("<BHBI", code, SIZES[code] if size is None else size, *key)


def ticker(key: Key, ltp: float, ltt: int) -> bytes:
    return head(2, key) + struct.pack("<fI", ltp, ltt)


def quote(key: Key, ltp: float, ltt: int, volume: int, ltq: int = 75) -> bytes:
    return head(4, key) + struct.pack(
        "<fHIfIIIffff", ltp, ltq, ltt, ltp, volume, 300, 400, 1.0, 2.0, 3.0, 0.5
    )


def full(key: Key, ltp: float, ltt: int, volume: int, levels: list[tuple[Any, ...]],
         ltq: int = 75) -> bytes:  # fmt: skip
    raw = head(8, key) + struct.pack(
        "<fHIfIIIIIIffff", ltp, ltq, ltt, ltp, volume, 300, 400, 9, 10, 8, 1.0, 2.0, 3.0, 0.5
    )
    return raw + b"".join(struct.pack("<IIHHff", *level) for level in levels)


def ladder(bid: float, ask: float, step: float = 0.05, qty: int = 75) -> list[tuple[Any, ...]]:
    return [(qty, qty, 1, 2, bid - step * i, ask + step * i) for i in range(5)]


def assert_rows(found: Any, expected: list[dict[str, int]], dtype: np.dtype[Any]) -> None:
    """Every field of every row."""
    assert found.dtype == dtype and len(found) == len(expected)
    for row, want in zip(found, expected, strict=True):
        assert {name: int(row[name]) for name in want} == want
        assert set(want) == set(dtype.names or ())


def agree(messages: list[bytes], instruments: dict[Key, tuple[int, int]]) -> DhanDecoder:
    """Both decoders over the same messages."""
    fast, slow, book = DhanDecoder(table_of(instruments)), SlowDecoder(instruments), RowBook()
    agreed: dict[int, tuple[Any, bytes]] = {}  # sides and levels at hand, as they were compared
    for number, message in enumerate(messages):
        found = fast.decode(message, RECV_NS + number)
        slow.ticks, slow.stats, slow.notices = [], [], []
        slow.decode(message, RECV_NS + number)
        assert_rows(found.ticks, slow.ticks, TICK_DTYPE)
        assert_rows(found.stats, slow.stats, STATS_DTYPE)
        assert_rows(found.notices, slow.notices, NOTICE_DTYPE)
        assert found.depth.dtype == DEPTH_DTYPE
        assert set(found.depth["recv_ns"]) <= {RECV_NS + number}
        book.apply(found.depth)
        rows_of = set(found.depth["instrument"].tolist())
        for instrument, sides in slow.books.items():
            at_hand = b"".join(fast.levels(instrument, side).tobytes() for side in (1, -1))
            if instrument in rows_of or agreed.get(instrument) != (sides, at_hand):
                same_book(fast, book, instrument, sides)
                agreed[instrument] = ([list(side) for side in sides], at_hand)
    return fast


def same_book(
    fast: DhanDecoder, book: RowBook, instrument: int, sides: list[list[tuple[int, int, int]]]
) -> None:
    """The rows so far, and the levels at hand, are the side that was sent last."""
    for side, sent in zip((1, -1), sides, strict=True):
        kept = valid_side(sent, side)
        at_hand = [tuple(level) for level in fast.levels(instrument, side).tolist()]
        assert at_hand == (kept or [])
        if kept is None:
            raw = {i: level for i, level in enumerate(sent) if any(level)}
            assert book.raw[instrument, side] == raw
        else:
            levels = {price: (qty, orders) for price, qty, orders in kept}
            assert book.sides[instrument, side] == levels


@pytest.mark.parametrize("name", FEED)
def test_golden_frames_agree_with_the_slow_decoder(name: str) -> None:
    keys = {struct.unpack_from("<BHBI", f, at)[2:] for f in frames(name)
            for verdict, at, _ in steps(f) if verdict == "good"}  # fmt: skip
    chosen = sorted(keys)[::2] if name == "stream_mixed" else sorted(keys)  # some stay unknown
    fast = agree(frames(name), {key: (i, 5) for i, key in enumerate(chosen)})
    assert fast.counters["messages"] == len(frames(name))


bits32 = st.integers(0, 2**32 - 1)


def singles(levels: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Levels whose prices a float32 can hold."""
    return [(*row[:4], *(np.float32(price).item() for price in row[4:])) for row in levels]


prices = st.one_of(
    st.integers(1, 40_000).map(lambda n: n * 0.05),
    st.sampled_from([0.0, -0.0, -1.0, 0.07, 24613.87, 81_999.99, 1e8, 1e30, float("inf")]),
    st.floats(width=32, allow_nan=True),
)
small = st.integers(0, 3)
times = st.sampled_from([0, 1, 19_800, 1_750_000_000, 1_750_000_001, 2**32 - 1])
level = st.tuples(small, small, small, small, prices, prices)
five = st.one_of(
    st.lists(level, min_size=5, max_size=5),
    st.builds(ladder, st.integers(2_000, 2_010).map(lambda n: n * 0.05),
              st.integers(2_011, 2_020).map(lambda n: n * 0.05), st.just(0.05), small),
)  # fmt: skip
keys = st.sampled_from([NIFTY, OPTION, (1, 1333), (2, 13), (9, 1)])
volumes = st.sampled_from([0, 75, 150, 70_000, 2**32 - 1])
packets = st.one_of(
    st.builds(ticker, keys, prices.map(lambda x: np.float32(x).item()), times),
    st.builds(quote, keys, prices.map(lambda x: np.float32(x).item()), times, volumes, small),
    st.builds(full, keys, prices.map(lambda x: np.float32(x).item()), times, volumes,
              five.map(singles),
              small),
    st.builds(lambda key, oi: head(5, key) + struct.pack("<I", oi), keys, bits32),
    st.builds(lambda key, p, oi: head(6, key) + struct.pack("<fI", np.float32(p), oi), keys, prices,
              small),
    st.builds(lambda key: head(7, key), keys),
    st.builds(lambda key, why: head(50, key) + struct.pack("<H", why), keys, st.integers(0, 65535)),
    st.builds(lambda key, ltp, ls: head(3, key) + struct.pack("<f", np.float32(ltp))
              + b"".join(struct.pack("<IIHHff", *row[:4], *np.float32(row[4:])) for row in ls),
              keys, prices, five),
    st.builds(lambda key, n: head(8, key, 8 + n)[:1].replace(b"\x08", b"\x01")
              + head(8, key, 8 + n)[1:] + bytes(n), keys, st.integers(0, 20)),
)  # fmt: skip


@given(st.lists(st.lists(packets, min_size=1, max_size=5).map(b"".join), max_size=12))
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_any_packets_agree_with_the_slow_decoder(messages: list[bytes]) -> None:
    agree(messages, INSTRUMENTS)


def test_a_repeated_trade_is_no_trade() -> None:
    """A full packet repeats the last trade: paper orders must not fill on it again."""
    decoder = DhanDecoder(table_of(INSTRUMENTS))
    book = ladder(152.25, 152.30)
    messages = [full(OPTION, 152.3, 1_750_000_000, 750, book),
                full(OPTION, 152.3, 1_750_000_000, 750, ladder(152.20, 152.30)),
                full(OPTION, 152.3, 1_750_000_000, 825, book),
                full(OPTION, 152.35, 1_750_000_001, 900, book)]  # fmt: skip
    ticks = np.concatenate([decoder.decode(message, RECV_NS).ticks for message in messages])
    assert ticks["price"].tolist() == [15230, 0, 15230, 15235]
    assert ticks["qty"].tolist() == [75, 0, 75, 75]
    assert ticks["flags"].tolist() == [TickFlag.SEED, 0, 0, 0]
    assert ticks["bid"].tolist() == [15225, 15220, 15225, 15225]
    assert set(ticks["exch_ns"].tolist()) == {(1_750_000_000 - 19_800) * 10**9,
                                              (1_750_000_001 - 19_800) * 10**9}  # fmt: skip
    assert decoder.counters["no_trade"] == 1


def test_times_are_utc_and_never_mixed_up() -> None:
    """issue 51 of the client: 14:53:12 on the wall in India on 2025-07-25 is 09:23:12 UTC."""
    wall = 1_753_455_192  # 2025-07-25 14:53:12 counted as if it were UTC
    decoder = DhanDecoder(table_of(INSTRUMENTS))
    ticks = decoder.decode(ticker(OPTION, 152.3, wall) + ticker(NIFTY, 25_000.5, 0), RECV_NS).ticks
    stamp = np.datetime64(int(ticks[0]["exch_ns"]), "ns")
    assert stamp == np.datetime64("2025-07-25T09:23:12", "ns")
    assert ticks["recv_ns"].tolist() == [RECV_NS] * 2
    assert (ticks[1]["exch_ns"], ticks[1]["flags"]) == (
        RECV_NS, TickFlag.SEED | TickFlag.TIME_RECEIVED)  # fmt: skip


def test_volume_and_open_interest_are_carried_bid_and_ask_are_not() -> None:
    decoder = DhanDecoder(table_of(INSTRUMENTS))
    oi = head(5, OPTION) + struct.pack("<I", 4_321)
    ticks = decoder.decode(
        full(OPTION, 10.0, 1_750_000_000, 750, ladder(9.95, 10.0)) + oi
        + ticker(OPTION, 10.05, 1_750_000_001), RECV_NS).ticks  # fmt: skip
    assert ticks["volume"].tolist() == [750] * 3
    assert ticks["oi"].tolist() == [9, 4_321, 4_321]
    assert ticks["bid"].tolist() == [995, 0, 0] and ticks["price"].tolist() == [1000, 0, 1005]
    assert ticks[1]["exch_ns"] == ticks[0]["exch_ns"]


def test_a_jump_in_volume_marks_a_quantity_of_16_bits() -> None:
    decoder = DhanDecoder(table_of(INSTRUMENTS))
    ticks = decoder.decode(
        quote(OPTION, 10.0, 1_750_000_000, 750)
        + quote(OPTION, 10.0, 1_750_000_000, 750 + 65_536 + 75), RECV_NS).ticks  # fmt: skip
    assert ticks["flags"].tolist() == [TickFlag.SEED, TickFlag.QTY_WRAPPED]
    assert ticks["qty"].tolist() == [75, 75] and decoder.counters["qty_wrap"] == 1
    decoder.decode(quote(OPTION, 10.0, 1_750_000_002, 80), RECV_NS)
    assert decoder.counters["volume_back"] == 1


def test_the_same_id_in_two_segments_is_two_instruments() -> None:
    decoder = DhanDecoder([WireInstrument(0, 13, 1, 1), WireInstrument(2, 13, 2, 5)])
    ticks = decoder.decode(
        ticker((0, 13), 24613.87, 1_750_000_000) + ticker((2, 13), 100.05, 1_750_000_000)
        + ticker((1, 13), 1.0, 1_750_000_000), RECV_NS).ticks  # fmt: skip
    assert ticks["instrument"].tolist() == [1, 2]
    assert ticks["price"].tolist() == [2461387, 10005]
    assert decoder.counters["unknown_instrument"] == 1


def test_a_message_of_any_length_is_decoded_as_its_packets_are() -> None:
    """More rows than the door's arrays hold: the decoder is called again where it stopped."""
    rng = np.random.default_rng(4)
    packets = [full(OPTION, 0.05 * n, 1_750_000_000 + i, 75 * i, ladder(0.05 * n, 0.05 * n + 0.05))
               for i, n in enumerate(rng.integers(1_000, 1_010, 900).tolist())]  # fmt: skip
    one, many = DhanDecoder(table_of(INSTRUMENTS)), DhanDecoder(table_of(INSTRUMENTS))
    whole = one.decode(b"".join(packets), RECV_NS)
    parts = [many.decode(packet, RECV_NS) for packet in packets]
    for field in range(4):
        joined = np.concatenate([part[field] for part in parts])
        assert whole[field].tobytes() == joined.tobytes()
    assert len(whole.ticks) == 900 and one.counters["messages"] == 1
    assert {**one.counters, "messages": 900} == many.counters


def test_what_is_not_wanted_is_not_made_and_changes_nothing_else() -> None:
    messages = frames("stream_mixed")[:400]
    keys = sorted({struct.unpack_from("<BHBI", m)[2:] for m in messages})
    table = table_of({key: (i, 5) for i, key in enumerate(keys)})
    every, lean = DhanDecoder(table), DhanDecoder(table, depth=False, stats=False)
    for message in messages:
        one, other = every.decode(message, RECV_NS), lean.decode(message, RECV_NS)
        assert one.ticks.tobytes() == other.ticks.tobytes()
        assert one.notices.tobytes() == other.notices.tobytes()
        assert len(other.depth) == len(other.stats) == 0
    for instrument in range(len(keys)):
        for side in (1, -1):
            assert (every.levels(instrument, side) == lean.levels(instrument, side)).all()


def test_counters_name_what_came() -> None:
    decoder = DhanDecoder(table_of(INSTRUMENTS))
    decoder.decode(ticker(OPTION, float("nan"), 1) + head(1, (0, 0), 8) + head(7, OPTION)
                   + ticker(OPTION, 0.07, 1)[:12], RECV_NS)  # fmt: skip
    decoder.decode(head(9, (0, 0), 3), RECV_NS)
    assert decoder.counters == {
        "messages": 2, "bytes": 52, "packets": 2, "unknown_code": 1, "cut": 1, "lost": 1,
        "dropped_bytes": 20, "bad_price": 1,
    }  # fmt: skip
    assert decoder.codes == {1: 1, DhanCode.TICKER: 1, DhanCode.MARKET_STATUS: 1}


def test_an_instrument_outside_the_table_has_no_levels() -> None:
    decoder = DhanDecoder(table_of(INSTRUMENTS))
    assert len(decoder.levels(99, 1)) == len(decoder.levels(3, -1)) == 0


def test_frames_of_one_size_can_be_timed() -> None:
    decoder = DhanDecoder(table_of(INSTRUMENTS))
    frame = full(OPTION, 10.0, 1_750_000_000, 750, ladder(9.95, 10.0))
    assert decode_many(decoder, frame * 1_000, len(frame), RECV_NS) == 1_000
    assert decode_many(decoder, b"", 10, RECV_NS) == 0
    with pytest.raises(BadData, match="frame_size 100 does not divide 162"):
        decode_many(decoder, frame, 100, RECV_NS)
