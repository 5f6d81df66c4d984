"""The codec gives back every bit of every field, and refuses damage."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dhanfast._core.archive.codec import Codec
from dhanfast._core.archive.schema import (
    BARS,
    DEPTH,
    FRAME_DTYPE,
    FRAMES,
    STATS,
    TICKS,
    Stream,
)
from dhanfast._core.types import TICK_DTYPE
from dhanfast.errors import BadData, UsageError

EVERY_TYPE = Stream(
    9,
    "every",
    np.dtype([(f"f_{kind}", ("|" if kind[1] == "1" else "<") + kind)
              for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8")]),
    "f_u4", "f_i8",
)  # fmt: skip
UNKEYED = Stream(8, "plain", np.dtype([("t", "<i8"), ("a", "<u2"), ("b", "<f8")]), time="t")
MORE = TICKS.with_extra([("total_buy_qty", "i8"), ("note", "u1")])


def walk(count: int, instruments: int, seed: int) -> np.ndarray[Any, Any]:
    """Ticks as a feed delivers them: prices on the tick, quantities in lots, few changes a row."""
    random = np.random.default_rng(seed)
    rows = np.zeros(count, TICK_DTYPE)
    rows["recv_ns"] = 1_763_361_477_000_000_000 + np.cumsum(random.exponential(3e6, count)).astype(
        np.int64
    )
    rows["exch_ns"] = rows["recv_ns"] // 1_000_000_000 * 1_000_000_000
    rows["instrument"] = random.integers(0, instruments, count) * 7 + 3
    for key in np.unique(rows["instrument"]):
        at = np.flatnonzero(rows["instrument"] == key)
        moves = np.where(random.random(len(at)) < 0.2, random.integers(-3, 4, len(at)), 0)
        rows["bid"][at] = 100_000 + 5 * np.cumsum(moves)
        rows["ask"][at] = rows["bid"][at] + 5 * random.integers(1, 4, len(at))
        rows["price"][at] = np.where(random.random(len(at)) < 0.5, rows["bid"][at], rows["ask"][at])
        rows["qty"][at] = 75 * random.integers(1, 40, len(at))
        rows["volume"][at] = np.cumsum(rows["qty"][at], dtype=np.uint64)
        rows["bid_qty"][at] = 75 * random.geometric(0.1, len(at))
        rows["ask_qty"][at] = 75 * random.geometric(0.1, len(at))
        rows["oi"][at] = 75 * (1_000_000 + np.cumsum(random.integers(-2, 3, len(at))))
    return rows


def entries_of(body: bytes) -> list[tuple[int, ...]]:
    """The directory of a body, by the format page: field, predictor, ..., low bits, change bit."""
    keys, columns = struct.unpack_from("<I", body, 4)[0], struct.unpack_from("<H", body, 48)[0]
    at = 56 + 8 * ((keys + 1) // 2)
    return [struct.unpack_from("<8B", body, at + 40 * index) for index in range(columns)]


@pytest.mark.parametrize("stream", [TICKS, DEPTH, BARS, STATS, EVERY_TYPE, UNKEYED, MORE])
@given(data=st.data())
def test_any_bits_come_back(stream: Stream, data: st.DataObject) -> None:
    """Whatever the rows hold: extremes, NaN payloads, clocks that run backwards."""
    count = data.draw(st.integers(1, 60))
    raw = data.draw(st.binary(min_size=1, max_size=200))
    size = count * stream.dtype.itemsize
    rows = np.frombuffer((raw * (size // len(raw) + 1))[:size], stream.dtype)
    if stream.key and data.draw(st.booleans()):
        rows = rows.copy()
        rows[stream.key] = data.draw(
            hnp.arrays(np.uint32, count, elements=st.sampled_from([0, 1, 70_000, 2**32 - 1]))
        )
    block = Codec(stream).decode(Codec(stream).encode(rows, 7))
    assert block.rows.tobytes() == rows.tobytes()
    assert block.seq.tolist() == list(range(7, 7 + count))


@pytest.mark.parametrize("instruments", [1, 2, 300])
@pytest.mark.parametrize("count", [1, 511, 512, 513, 9_000])
def test_ticks_come_back(count: int, instruments: int) -> None:
    rows = walk(count, instruments, count)
    assert Codec(TICKS).decode(Codec(TICKS).encode(rows, 0)).rows.tobytes() == rows.tobytes()


def test_the_fused_loop_gives_what_the_columns_give() -> None:
    """A stream of the same twelve fields under another name of a field takes the general path."""
    rows = walk(5_000, 12, 3)
    renamed = np.dtype([(name if name != "flags" else "marks", TICK_DTYPE[name].str)
                        for name in TICK_DTYPE.names or ()])  # fmt: skip
    general = Stream(0, "ticks", renamed, "instrument", "recv_ns", "exch_ns", None, TICKS.scaling)
    body = Codec(TICKS).encode(rows, 0)
    assert Codec(general).decode(body).rows.tobytes() == rows.tobytes()
    assert Codec(TICKS).decode(body).rows.tobytes() == rows.tobytes()
    other = Codec(general).encode(rows.view(renamed), 0)
    assert Codec(TICKS).decode(other).rows.tobytes() == rows.tobytes()


def test_the_layout_uses_what_it_promises() -> None:
    """Sparse columns, low bits apart and scales all occur: the tests above reach them."""
    entries = entries_of(Codec(TICKS).encode(walk(9_000, 12, 3), 0))
    assert {entry[0] for entry in entries} >= {251, 253, 254, 6}
    assert any(entry[7] for entry in entries) and any(entry[6] for entry in entries)
    assert any(entry[4] & 2 for entry in entries) and any(entry[5] == 1 for entry in entries)
    assert {entry[1] for entry in entries} >= {0, 1, 2}


def test_a_cursor_in_pieces_gives_the_block() -> None:
    rows = walk(3_000, 5, 1)
    codec = Codec(TICKS)
    cursor = codec.cursor(codec.encode(rows, 100))
    parts, numbers = [], []
    for size in [1, 2, 700, 511, 1, 4_000]:
        out, seq = np.empty(size, TICK_DTYPE), np.empty(size, np.uint64)
        count = cursor.read_into(out.view(np.uint8), seq)
        parts.append(out[:count])
        numbers += seq[:count].tolist()
    assert np.concatenate(parts).tobytes() == rows.tobytes()
    assert numbers == list(range(100, 3_100)) and cursor.left == 0
    assert cursor.read_into(np.empty(1, TICK_DTYPE).view(np.uint8)) == 0


@pytest.mark.parametrize("wanted", [[3], [10, 24], [], [5], list(range(200))])
def test_chosen_instruments_only(wanted: list[int]) -> None:
    rows = walk(2_000, 5, 1)
    codec = Codec(TICKS)
    cursor = codec.cursor(codec.encode(rows, 0), keys=wanted)
    out, seq = np.empty(2_000, TICK_DTYPE), np.empty(2_000, np.uint64)
    count = cursor.read_into(out.view(np.uint8), seq)
    chosen = np.isin(rows["instrument"], wanted)
    assert out[:count].tobytes() == rows[chosen].tobytes()
    assert seq[:count].tolist() == np.flatnonzero(chosen).tolist()


@given(seq=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40, unique=True).map(sorted))
def test_sequence_numbers_with_holes(seq: list[int]) -> None:
    rows = walk(len(seq), 2, 1)
    numbers = np.array(seq, np.uint64)
    block = Codec(TICKS).decode(Codec(TICKS).encode(rows, 0, numbers))
    assert block.seq.tolist() == seq


def test_raw_frames_keep_their_bytes() -> None:
    random = np.random.default_rng(5)
    frames = [random.bytes(size) for size in (0, 1, 162, 5_000, 8)]
    rows = np.zeros(len(frames), FRAME_DTYPE)
    rows["recv_ns"], rows["size"] = range(5), [len(frame) for frame in frames]
    block = Codec(FRAMES).decode(Codec(FRAMES).encode(rows, 0, None, b"".join(frames)))
    assert block.blob == b"".join(frames) and block.rows.tobytes() == rows.tobytes()
    with pytest.raises(UsageError, match="5171 long, 3 were given"):
        Codec(FRAMES).encode(rows, 0, None, b"abc")


def test_the_head_says_what_the_rows_say() -> None:
    rows = walk(700, 3, 2)
    head = Codec(TICKS).head(Codec(TICKS).encode(rows, 9))
    assert (head.rows, head.first_seq) == (700, 9)
    assert (head.time_min, head.time_max) == (rows["recv_ns"].min(), rows["recv_ns"].max())
    assert (head.event_min, head.event_max) == (rows["exch_ns"].min(), rows["exch_ns"].max())
    assert head.keys.tolist() == sorted(set(rows["instrument"].tolist()))


def test_refused_input() -> None:
    codec, rows = Codec(TICKS), walk(4, 1, 1)
    with pytest.raises(UsageError, match="0 rows"):
        codec.encode(rows[:0], 0)
    with pytest.raises(UsageError, match="rows are"):
        codec.encode(np.zeros(3, np.int64), 0)
    with pytest.raises(UsageError, match="2 sequence numbers for 4 rows"):
        codec.encode(rows, 0, np.arange(2, dtype=np.uint64))
    with pytest.raises(BadData, match="no block"):
        codec.decode(b"")


@given(at=st.integers(0, 10_000), change=st.integers(1, 255), cut=st.integers(0, 400))
def test_damage_is_refused_or_harmless(at: int, change: int, cut: int) -> None:
    """Chunks carry checksums; below them nothing may crash, hang or return another length."""
    body = bytearray(Codec(TICKS).encode(walk(300, 4, 8), 0))
    body[at % len(body)] ^= change
    for broken in (bytes(body), bytes(body[: len(body) - cut])):
        try:
            block = Codec(TICKS).decode(broken)
        except BadData as error:
            assert "byte " in str(error)
        else:
            assert 0 < len(block.rows) <= 1 << 20


def test_a_frame_that_claims_gigabytes_is_refused_before_it_is_read() -> None:
    body = bytearray(Codec(TICKS).encode(walk(300, 4, 8), 0))
    struct.pack_into("<I", body, 0, 1 << 20)
    with pytest.raises(BadData, match="are needed"):
        Codec(TICKS).decode(bytes(body))


def test_a_block_is_never_larger_than_a_reader_takes() -> None:
    rows = np.zeros(1, FRAME_DTYPE)
    rows["size"] = (1 << 27) + 1
    with pytest.raises(UsageError, match="too large for one block"):
        Codec(FRAMES).encode(rows, 0, None, bytes((1 << 27) + 1))


def test_a_time_that_follows_another_field_takes_the_general_path() -> None:
    """A writer of another making may predict the exchange's time from the price."""
    rows = walk(100, 1, 4)
    rows["exch_ns"] = 7 + rows["price"]
    body = bytearray(Codec(TICKS).encode(rows, 0))
    fields = [entry[0] for entry in entries_of(bytes(body))]
    exch, price = fields.index(0), fields.index(2)
    assert exch < price  # so that a reference to the price is refused where it stands
    body[56 + 8 + 40 * exch + 1 : 56 + 8 + 40 * exch + 3] = bytes([3, 2])
    with pytest.raises(BadData, match="which is not before it"):
        Codec(TICKS).decode(bytes(body))


@pytest.mark.parametrize("keys", [(5, 5), (9, 3)])
def test_instruments_out_of_order_are_refused(keys: tuple[int, int]) -> None:
    rows = walk(50, 2, 1)
    body = bytearray(Codec(TICKS).encode(rows, 0))
    struct.pack_into("<2I", body, 56, *keys)
    with pytest.raises(BadData, match=r"byte 60 of the block: instrument .* not ascending"):
        Codec(TICKS).decode(bytes(body))
    with pytest.raises(BadData, match="not ascending"):
        Codec(TICKS).head(bytes(body))
