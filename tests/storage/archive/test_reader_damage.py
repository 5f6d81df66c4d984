"""Damage is told with file, byte and remedy; nothing that a file claims is believed unchecked."""

import json
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.archive.crc import crc32c
from dhanfast._core.archive.schema import TICKS
from dhanfast.errors import BadData
from dhanfast.storage.archive.contents import BLOCK_DTYPE
from dhanfast.storage.archive.reader import ArchiveReader

from .built import HEAD, INSTRUMENTS, MAGIC, NOTE, ROWS, SEAL, Built, chunk, ticks

REMEDY = "dhanfast data verify --repair"


def three_blocks(**head: Any) -> Built:
    built = Built(head=head).instruments("A", "B", "C")
    for seed in range(3):
        built.block("ticks", ticks(100, seed=seed))
    return built


def refused(path: Path, offset: int | None = None, said: str = "", *, remedy: bool = True) -> str:
    """Opening or reading must raise BadData that names file, byte and remedy."""
    with pytest.raises(BadData) as caught, ArchiveReader(path) as reader:
        for name in reader.streams:
            reader.to_numpy(name)
    message = str(caught.value)
    assert str(path) in message and said in message, message
    assert (REMEDY in message) == remedy, message
    if offset is not None:
        assert f"byte {offset}" in message, message
    return message


@pytest.mark.parametrize("data", [b"", b"PAR1", b"DFARCH2\n" + bytes(64), bytes(4096)])
def test_a_foreign_file_is_no_archive(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.dfa"
    path.write_bytes(data)
    refused(path, 0, "not a dhanfast archive", remedy=False)


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadData, match="not an ordinary file"):
        ArchiveReader(tmp_path / "pipe")


def test_a_file_without_a_head_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.dfa"
    path.write_bytes(MAGIC)
    refused(path, 8, "no whole HEAD")
    path.write_bytes(MAGIC + chunk(NOTE, 0, b"{}"))
    refused(path, 8, "first chunk is not HEAD")


def test_a_torn_tail_is_left_out_wherever_it_is_torn(tmp_path: Path) -> None:
    """Every length of an unsealed file: whole blocks are read, the rest is counted."""
    built = three_blocks()
    path = tmp_path / "x.dfa"
    ends = [offset for offset, _, _ in built.index[1:]] + [len(built.data)]
    for size in range(built.index[1][0], len(built.data) + 1, 13):
        path.write_bytes(built.data[:size])
        whole = sum(end <= size for end in ends)
        with ArchiveReader(path) as reader:
            assert reader.rows() == 100 * whole
            assert (reader.to_numpy() == built.all()[: 100 * whole]).all()
            assert reader.torn_bytes == size - ends[whole - 1] and not reader.sealed
    path.write_bytes(built.data + bytes(8_192))  # space that was allocated and never written
    with ArchiveReader(path) as reader:
        assert reader.rows() == 300 and reader.torn_bytes == 8_192


def test_a_sealed_file_that_lost_its_end_is_read_like_an_unsealed_one(tmp_path: Path) -> None:
    built = three_blocks().seal()
    path = tmp_path / "x.dfa"
    path.write_bytes(built.data[:-1])
    with ArchiveReader(path) as reader:
        assert not reader.sealed and (reader.to_numpy() == built.all()).all()


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("threads", [0, 2])
def test_a_flipped_bit_in_a_block_is_told_after_the_rows_before_it(
    tmp_path: Path, sealed: bool, threads: int
) -> None:
    built = three_blocks()
    offset = built.index[1][0]
    if sealed:
        built.seal()
    built.data[offset + 24 + 77] ^= 4
    path = built.write(tmp_path / "x.dfa")
    refused(path, offset, "CRC")
    if sealed:
        with ArchiveReader(path) as reader:
            for batch_rows in (30, 65_536):
                got = []
                batches = reader.batches(batch_rows=batch_rows, threads=threads)
                with pytest.raises(BadData, match=f"{path}.*byte {offset}"):
                    while True:
                        got.append(next(batches))
                assert (np.concatenate(got) == built.all()[:100]).all()


def fixed(built: Built, number: int, change: Callable[[bytearray], None]) -> Built:
    """The file with a changed block whose checksums are right again."""
    offset, stream, body = built.index[number]
    changed = bytearray(body)
    change(changed)
    new = chunk(ROWS, stream, bytes(changed))
    built.data[offset : offset + len(new)] = new
    return built


def put(form: str, at: int, value: int) -> Callable[[bytearray], None]:
    return lambda body: struct.pack_into(form, body, at, value)


CLAIMS = [("<I", 0, 0), ("<I", 0, 2**32 - 1), ("<I", 0, (1 << 20) + 1), ("<I", 4, 2**32 - 1),
          ("<H", 48, 65_535), ("<I", 4, 0)]  # fmt: skip


@pytest.mark.parametrize(("form", "at", "value"), CLAIMS)
@pytest.mark.parametrize("sealed", [False, True])
def test_what_a_block_claims_is_checked_before_memory_is_taken(
    tmp_path: Path, form: str, at: int, value: int, sealed: bool
) -> None:
    built = three_blocks()
    offset = built.index[1][0]
    fixed(built, 1, put(form, at, value))
    if sealed:
        built.seal()
    path = built.write(tmp_path / "x.dfa")
    tracemalloc.start()
    message = refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"byte {offset}" in message or f"byte {offset + 24}" in message, message
    assert peak < 4_000_000


def test_a_column_that_claims_much_is_refused(tmp_path: Path) -> None:
    built = three_blocks()
    (keys,) = struct.unpack_from("<I", built.index[1][2], 4)
    entry = 56 + (4 * keys + 7) // 8 * 8
    for at, value in ((12, 2**32 - 1), (16, 2**32 - 1), (8, 2**32 - 1)):
        copy = three_blocks()
        fixed(copy, 1, put("<I", entry + at, value)).seal()
        refused(copy.write(tmp_path / "x.dfa"), copy.index[1][0] + 24)


def test_rows_wider_than_any_writer_makes_are_refused(tmp_path: Path) -> None:
    """Few bytes may stand for many rows, and a foreign stream may have wide ones."""
    wide = TICKS.with_extra([(f"x{n}", "i8") for n in range(200)])
    built = Built((wide,)).instruments("A")
    rows = np.zeros(1 << 19, wide.dtype)
    body = built.block("ticks", rows[:1]).index[0][2]
    built = Built((wide,)).instruments("A").raw_block(0, struct.pack("<I", 1 << 19) + body[4:])
    assert len(built.data) < 20_000
    refused(built.write(tmp_path / "x.dfa"), None, "at most")
    refused(built.seal().write(tmp_path / "x.dfa"), None, "at most")


def entries_of(built: Built) -> np.ndarray[Any, Any]:
    return np.frombuffer(built.index_body(), BLOCK_DTYPE, len(built.index), 8).copy()


@pytest.mark.parametrize(
    ("field", "value"),
    [("offset", 12), ("offset", 2**63), ("offset", 8), ("length", 2**64 - 1), ("length", 1),
     ("rows", 0), ("rows", 99), ("rows", 2**32 - 1), ("stream", 5), ("stream", 1),
     ("first_seq", 1), ("time_min", 0), ("time_max", 0), ("event_max", 1), ("keys", 1),
     ("keys", 2**32 - 1), ("first_key", 7)],
)  # fmt: skip
def test_an_index_that_lies_is_found_out(tmp_path: Path, field: str, value: int) -> None:
    built = three_blocks()
    entries = entries_of(built)
    entries[field][1] = value
    body = built.index_body()
    changed = body[:8] + entries.tobytes() + body[8 + entries.nbytes :]
    refused(built.seal(changed).write(tmp_path / "x.dfa"))


def test_an_index_with_other_blocks_is_found_out(tmp_path: Path) -> None:
    for drop in range(3):
        built = three_blocks()
        rest = built.index[:drop] + built.index[drop + 1 :]
        built.index, whole = rest, built.index
        built.seal()
        refused(built.write(tmp_path / "x.dfa"), whole[drop][0], "index does not have")
    built = three_blocks()
    refused(built.seal(built.index_body()[:-4]).write(tmp_path / "x.dfa"), None, "keys")
    for body in (b"", struct.pack("<Q", 2**60), struct.pack("<Q", 4) + bytes(81)):
        refused(three_blocks().seal(body).write(tmp_path / "x.dfa"), None, "claims")
    refused(three_blocks().seal(rows=301).write(tmp_path / "x.dfa"), None, "the seal 301")
    built = three_blocks()
    built.index.reverse()
    refused(built.seal().write(tmp_path / "x.dfa"), None, "out of order")


def test_keys_of_the_index_must_be_the_blocks_keys(tmp_path: Path) -> None:
    body = bytearray(three_blocks().index_body())
    body[-4:] = struct.pack("<I", 77)
    refused(three_blocks().seal(bytes(body)).write(tmp_path / "x.dfa"), None, "entry in the index")


def test_a_seal_that_points_elsewhere_is_refused(tmp_path: Path) -> None:
    for at in (0, 12, 8, 2**63):
        built = three_blocks()
        built.seal()
        body = bytearray(built.data[-64:])
        struct.pack_into("<Q", body, 8, at)
        built.data[-88:] = chunk(SEAL, 0, bytes(body))
        refused(built.write(tmp_path / "x.dfa"))


def test_chunks_after_the_seal_are_refused(tmp_path: Path) -> None:
    built = three_blocks().seal()
    seal = len(built.data)
    for more in (chunk(NOTE, 0, b"{}"), bytes(16)):
        path = tmp_path / "x.dfa"
        path.write_bytes(bytes(built.data) + more)
        refused(path, seal, "seal")


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        (HEAD, b"{}", "second HEAD"),
        (NOTE, b"[]", "NOTE must be an object"),
        (NOTE, b"{", "byte"),
        (NOTE, b"\xff\xfe", "byte"),
        (NOTE, b"[" * 100_000, "byte"),
        (INSTRUMENTS, b"{}", "must be a list"),
        (INSTRUMENTS, b"[1]", "must be an object"),
        (INSTRUMENTS, b'[{"index": 7}]', "no 'symbol'"),
        (INSTRUMENTS, b'[{"index": -1, "symbol": "X"}]', "index is -1"),
        (INSTRUMENTS, b'[{"index": 4294967296, "symbol": "X"}]', "index is 4294967296"),
        (INSTRUMENTS, b'[{"index": 7, "symbol": "A"}]', "one symbol, 'A'"),
        (INSTRUMENTS, b'[{"index": 7, "symbol": ""}]', "symbol is ''"),
        (INSTRUMENTS, b'[{"index": 7, "symbol": "X", "lot": "75"}]', "lot is '75'"),
        (INSTRUMENTS, b'[{"index": 7, "symbol": "X", "price_scale": 0}]', "a scale is below 1"),
        (INSTRUMENTS, b'[{"index": 7, "symbol": "X", "strike": 1e400}]', "strike is inf"),
        (ROWS, b"", "stream 0"),
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_nonsense_in_a_sound_chunk_is_refused(
    tmp_path: Path, kind: int, body: bytes, said: str, sealed: bool
) -> None:
    built = three_blocks()
    at = len(built.data)
    built.data += chunk(kind, 0, body)
    if sealed:
        built.seal()
    message = refused(built.write(tmp_path / "x.dfa"))
    if kind != ROWS:
        assert said in message
        assert "one symbol" in said or f"byte {at + 24}" in message or f"byte {at}" in message


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"format": 2}, "this program reads 1: update dhanfast"),
        ({"format": None}, "an object with a `format`"),
        ({"streams": None}, "no list of `streams`"),
        ({"streams": [1]}, "not the description of a stream"),
        ({"streams": [TICKS.to_json(), TICKS.to_json()]}, "one number or one name"),
        ({"streams": [TICKS.to_json() | {"fields": [["a", "i16"]]}]}, "unknown type"),
        ({"streams": [TICKS.to_json() | {"key": "price"}]}, "must be a field of type u4"),
    ],
)
def test_a_head_that_makes_no_sense_is_refused(
    tmp_path: Path, head: dict[str, Any], said: str
) -> None:
    path = tmp_path / "x.dfa"
    sound = three_blocks()
    told = json.dumps(sound.head | {"format": 1, "streams": [TICKS.to_json()]} | head).encode()
    path.write_bytes(MAGIC + chunk(HEAD, 0, told))
    refused(path, None, said)


def test_unknown_kinds_of_chunks_are_left_alone(tmp_path: Path) -> None:
    built = three_blocks()
    built.data += chunk(200, 9, b"of a later version")
    built.block("ticks", ticks(5, seed=9))
    for name, made in (("u", built), ("s", built.seal())):
        with ArchiveReader(made.write(tmp_path / name)) as reader:
            assert (reader.to_numpy() == built.all()).all()


def test_damage_with_whole_chunks_behind_is_no_torn_tail(tmp_path: Path) -> None:
    for what in range(3):
        built = three_blocks()
        offset = built.index[1][0]
        if what == 0:
            built.data[offset + 9] ^= 1  # the head
        elif what == 1:
            built.data[offset : offset + 64] = bytes(64)  # a page that was never written
        else:
            built.data[offset + 200] ^= 1  # the body
        refused(built.write(tmp_path / "x.dfa"), offset, "whole chunks follow")


def test_a_tail_made_of_heads_costs_no_more_than_its_size(tmp_path: Path) -> None:
    """Every head is sound and claims all the rest: checking each body would take for ever."""
    built = three_blocks()
    at, count = len(built.data), 20_000
    empty = bytearray(24 * (count + 1))
    for number in range(count):
        left = len(empty) - 24 * number - 24
        head = bytearray(chunk(NOTE, 0, b"")[:16]) + bytes(4)
        struct.pack_into("<Q", head, 8, left)
        empty[24 * number : 24 * number + 24] = head + struct.pack("<I", crc32c(bytes(head)))
    built.data += empty
    refused(built.write(tmp_path / "x.dfa"), at)


def test_a_file_cut_while_it_is_mapped_gives_an_error(tmp_path: Path) -> None:
    """Touching a page that is no longer in the file would end the process."""
    built = Built().instruments("A", "B", "C")
    for seed in range(40):
        built.block("ticks", ticks(400, seed=seed))
    path = built.seal().write(tmp_path / "x.dfa")
    with ArchiveReader(path) as reader:
        os.truncate(path, 20_000)
        with pytest.raises(BadData, match=r"cut while it was being read"):
            reader.to_numpy()
    path.write_bytes(three_blocks().data)
    with ArchiveReader(path) as reader:
        os.truncate(path, 100)
        with pytest.raises(BadData, match="cut or replaced"):
            reader.refresh()
