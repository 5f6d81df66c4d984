"""Twenty and two hundred levels: golden frames, any sides, both ways to be disconnected."""

import math
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.book import Book
from dhanfast._core.types import DepthFlag, DepthOp
from dhanfast._core.wire.dhan_depth import DhanDepthDecoder
from dhanfast._core.wire.dhan_packets import depth_packets, feed_packets
from dhanfast.errors import BadData
from tests.core.wire.frames import cases, frames
from tests.core.wire.rows import RowBook
from tests.core.wire.slow_wire import F64_ERROR, snap, valid_side

RECV_NS = 1_750_000_000_000_000_000
TICK = 5


def packet(code: int, security: int, rows: list[tuple[float, int, int]], last: int = 0) -> bytes:
    body = b"".join(struct.pack("<dII", *row) for row in rows)
    return struct.pack("<HBBII", 12 + len(body), code, 2, security, last or len(rows)) + body


def sent_side(body: bytes, count: int) -> list[tuple[int, int, int]] | None:
    """The rows of a packet in paise; None when one with a quantity has no price."""
    found = []
    for price, qty, orders in list(struct.iter_unpack("<dII", body))[:count]:
        paise = snap(price, TICK, F64_ERROR)
        if paise is None and qty:
            return None
        found.append((paise or 0, qty, orders))
    return found


def follow(messages: list[bytes], levels: int, securities: list[tuple[int, int]]) -> RowBook:
    """The rows of the decoder make the sides that were sent; checked after every packet."""
    table = [(*key, i, TICK) for i, key in enumerate(securities)]
    decoder, book, refused = DhanDepthDecoder(table, levels), RowBook(), 0
    for message in messages:
        at = 0
        while at < len(message):  # one packet at a time: each side is whole at its own end
            size, code, segment, security = struct.unpack_from("<HBBI", message, at)
            one = message[at : at + size]
            rows = decoder.decode(one, RECV_NS).depth
            at += size
            assert set(rows["recv_ns"]) <= {RECV_NS} and set(rows["exch_ns"]) <= {0}
            ended = book.apply(rows)
            count = (size - 12) // 16
            if levels == 200:
                count = min(count, struct.unpack_from("<I", one, 8)[0])
            sent = sent_side(one[12 : 12 + 16 * ((size - 12) // 16)], min(count, levels))
            if sent is None:
                refused += 1
                assert len(rows) == 0
                continue
            assert ended == (len(rows) > 0)
            side = 1 if code == 41 else -1
            same_side(decoder, book, securities.index((segment, security)), side, sent)
    assert decoder.counters.get("bad_price", 0) == refused
    return book


def same_side(
    decoder: DhanDepthDecoder, book: RowBook, number: int, side: int,
    sent: list[tuple[int, int, int]],
) -> None:  # fmt: skip
    kept = valid_side(sent, side)
    assert [tuple(level) for level in decoder.levels(number, side).tolist()] == (kept or [])
    if kept is None:
        assert book.raw[number, side] == {i: level for i, level in enumerate(sent) if any(level)}
    else:
        levels = {price: (qty, orders) for price, qty, orders in kept}
        assert book.sides[number, side] == levels


@pytest.mark.parametrize("levels", [20, 200])
def test_golden_frames_are_followed(levels: int) -> None:
    keys = sorted({(p["client"]["exchange_segment"], p["client"]["security_id"])
                   for case in cases(f"depth{levels}") for p in case["packets"]})  # fmt: skip
    book = follow(frames(f"depth{levels}"), levels, keys)
    assert len(book.sides) > len(keys)  # most are valid books


steps_ = st.integers(1, 3)
row = st.tuples(steps_, st.integers(0, 3), st.integers(0, 2))
odd = st.sampled_from([0.0, -1.5, 1e308, 5e-324, 101.23, math.nan, math.inf, 100.0])


@st.composite
def sides(draw: st.DrawFn) -> bytes:
    """Mostly a book that moved a little; now and then anything."""
    code = draw(st.sampled_from([41, 51]))
    sign = -1 if code == 41 else 1
    rows, ticks = [], 2_000 + draw(st.integers(-3, 3))
    for step, qty, orders in draw(st.lists(row, max_size=24)):
        ticks += sign * step
        price = float(Fraction(ticks * TICK, 100))
        rows.append((draw(odd) if draw(st.integers(0, 40)) == 0 else price, qty, orders))
    return packet(code, draw(st.sampled_from([1, 2])), rows, draw(st.sampled_from([0, 3, 30])))


@given(st.lists(sides(), min_size=1, max_size=10), st.sampled_from([20, 200]))
def test_any_sides_are_followed(messages: list[bytes], levels: int) -> None:
    follow(messages, levels, [(2, 1), (2, 2)])


def test_rows_bring_a_book_along() -> None:
    """SET rows are what Book takes: the same levels come out."""
    ladder = [
        [(100.0 - 0.05 * (i + drop), 75 * (i + 1), 1) for i in range(20)] for drop in range(9)
    ]
    decoder, book = DhanDepthDecoder([(2, 1, 0)], 20), Book(20)
    for rows in ladder:
        for change in decoder.decode(packet(41, 1, rows), RECV_NS).depth:
            if change["op"] == DepthOp.CLEAR:
                book.clear()
            else:
                book.delta(int(change["side"]), int(change["price"]), int(change["qty"]),
                           int(change["orders"]))  # fmt: skip
        assert book.levels(1).tolist() == decoder.levels(0, 1).tolist()


def test_an_empty_side_is_cleared_and_said_once() -> None:
    decoder = DhanDepthDecoder([(2, 1, 0)], 20)
    decoder.decode(packet(51, 1, [(100.0, 75, 1)]), RECV_NS)
    rows = decoder.decode(packet(51, 1, [(0.0, 0, 0)] * 20), RECV_NS).depth
    assert rows["op"].tolist() == [DepthOp.CLEAR] and rows["flags"].tolist() == [DepthFlag.LAST]
    assert len(decoder.decode(packet(51, 1, [(0.0, 0, 0)] * 20), RECV_NS).depth) == 0


def test_a_quantity_at_no_price_is_no_book() -> None:
    """Market orders of an auction: kept as they came, and the book is known again afterwards."""
    decoder = DhanDepthDecoder([(2, 1, 0)], 20)
    for code in (41, 51):
        good = [(100.0, 75, 1)]
        decoder.decode(packet(code, 1, good), RECV_NS)
        rows = decoder.decode(packet(code, 1, [(0.0, 150, 2)]), RECV_NS).depth
        assert rows["op"].tolist() == [DepthOp.RAW]
        assert rows["flags"].tolist() == [DepthFlag.SNAPSHOT | DepthFlag.LAST]
        assert rows[["price", "qty", "orders"]].tolist() == [(0, 150, 2)]
        assert len(decoder.levels(0, 1 if code == 41 else -1)) == 0
        rows = decoder.decode(packet(code, 1, good), RECV_NS).depth
        assert rows["op"].tolist() == [DepthOp.CLEAR, DepthOp.SET]
    assert decoder.counters["raw_side"] == 2


def test_both_layouts_of_a_disconnect_are_read() -> None:
    decoders = {levels: DhanDepthDecoder([], levels) for levels in (20, 200)}
    seen = 0
    for case, frame in zip(cases("depth_edge_cases"), frames("depth_edge_cases"), strict=True):
        notices = decoders[case["level"]].decode(frame, RECV_NS).notices
        if "disconnect" in case["what"]:
            seen += 1
            assert notices["code"].tolist() == [50]
            assert f"disconnect {notices[0]['reason']}," in case["what"]
        else:
            assert len(notices) == 0
    assert seen == 24


def test_rows_beyond_the_levels_are_counted() -> None:
    decoder = DhanDepthDecoder([(2, 1, 0)], 20)
    many = [(100.0 - 0.05 * i, 75, 1) for i in range(25)]
    assert len(decoder.decode(packet(41, 1, many), RECV_NS).depth) == 21  # CLEAR and 20 levels
    assert decoder.counters["rows_cut"] == 5
    assert decoder.codes == {41: 1}


def test_a_long_message_is_decoded_as_its_packets_are() -> None:
    ladder = [[(100.0 - 0.05 * (i + drop % 7), 75 + drop, 1) for i in range(200)]
              for drop in range(40)]  # fmt: skip
    messages = [packet(41, 1, rows) for rows in ladder]
    one, many = (DhanDepthDecoder([(2, 1, 0)], 200) for _ in range(2))
    whole = one.decode(b"".join(messages), RECV_NS).depth
    parts: list[Any] = [many.decode(message, RECV_NS).depth for message in messages]
    assert whole.tobytes() == b"".join(part.tobytes() for part in parts) and len(whole) > 4_096


def test_other_depths_are_refused() -> None:
    with pytest.raises(BadData, match="levels is 5; Dhan's depth feeds have 20 or 200"):
        DhanDepthDecoder([], 5)
    with pytest.raises(BadData, match="levels is 21"):
        depth_packets(b"", 21)
    assert depth_packets(b"", 20) == feed_packets(b"") == ([], [])
