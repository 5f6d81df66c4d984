"""Repair: every byte a cut may fall on, every kind of damage, and nothing whole is lost."""

import os
import stat
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.errors import BadData, DhanfastError
from dhanfast.storage.archive.chunks import chunk_at, pack_chunk, scan
from dhanfast.storage.archive.repair import inspect, repair
from dhanfast.storage.archive.sealing import seal_file

from .plain_codec import chunk
from .ticks import bars, facts, listed, read, rows_of, ticks, writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "2025-11-24.dfa"


def fill(path: Path) -> bytes:
    out = writer(path, block_rows=4)
    out.append("ticks", ticks(0, 10))
    out.note({"kind": "marker"})
    out.append("bars", bars(0, 3))
    out.close()
    return path.read_bytes()


def clear(path: Path) -> None:
    for each in path.parent.iterdir():
        each.unlink()


def ends_of(data: bytes) -> list[int]:
    """Where each whole chunk of a whole file ends: by hand, from the lengths."""
    ends, at = [], 8
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at + 8)
        at += 24 + size + -size % 8
        ends.append(at)
    return ends


@pytest.mark.parametrize("sealed", [False, True])
def test_cut_at_every_byte(path: Path, sealed: bool) -> None:
    """After repair: the whole chunks before the cut, to the byte, and a file that goes on."""
    data = fill(path)
    if sealed:
        seal_file(path)
        data = path.read_bytes()
    ends = ends_of(data)
    index_at = ends[-3] if sealed else len(data)  # an INDEX without its SEAL is dropped
    for size in range(len(data) - 1, 0, -1):
        clear(path)
        path.write_bytes(data[:size])
        if size < ends[0]:
            with pytest.raises(BadData, match="nothing can be saved"):
                repair(path)
            assert path.read_bytes() == data[:size]
            continue
        keep = min(index_at, max(end for end in ends if end <= size))
        after = repair(path)
        assert path.read_bytes() == data[:keep]
        assert (after.torn_bytes, after.damage, after.sealed) == (0, [], False)
        assert after.whole_bytes == keep
        left = [each.read_bytes() for each in after.cut]
        assert left == ([data[keep:size]] if size > keep else [])
        if size % 64 == 0:
            assert [row[1] for row in read(path)] == listed(ticks(0, 10))[: len(read(path))]
            with writer(path) as out:
                out.append("ticks", ticks(90, 1))
            assert rows_of(path)[-1] == listed(ticks(90, 1))[0]


def test_a_whole_file_is_left_alone(path: Path) -> None:
    data = fill(path)
    before = os.stat(path)
    assert repair(path).cut == []
    seal_file(path)
    sealed = path.read_bytes()
    assert repair(path).sealed
    assert path.read_bytes() == sealed != data
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert before.st_ino != os.stat(path).st_ino  # sealed by a rename, not in place


@pytest.mark.parametrize("sealed", [False, True])
def test_damage_anywhere_costs_one_chunk(path: Path, sealed: bool) -> None:
    data = fill(path)
    if sealed:
        seal_file(path)
        data = path.read_bytes()
    ends = ends_of(data)
    want = {name: read(path, name) for name in ("ticks", "bars")}
    for place in range(ends[0], len(data), 11):
        clear(path)
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        if sealed:
            path.chmod(0o444)
        number = next(n for n, end in enumerate(ends) if place < end)
        begin = ends[number - 1]
        seen = inspect(path)
        last = number == len(ends) - 1
        assert not seen.sealed
        if not last:
            assert seen.damage[0][0] == begin and seen.damage[0][1]
        after = repair(path)
        assert (after.damage, after.torn_bytes, after.sealed) == ([], 0, False)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
        kind, stream = data[begin + 4], data[begin + 6]
        for name, number in (("ticks", 0), ("bars", 2)):
            hit = kind == 3 and stream == number
            assert read(path, name) == [row for row in want[name] if row in read(path, name)]
            lost = len(want[name]) - len(read(path, name))
            assert 0 < lost <= 10 if hit else lost == 0
        if not last:
            gaps = [note for note in facts(path).notes if note["kind"] == "gap"]
            assert len(gaps) == 1 and gaps[0]["lost"] is None and str(begin) in gaps[0]["reason"]
            assert gaps[0]["from_ns"] <= gaps[0]["to_ns"]
        seal_file(path)


def test_repair_waits_for_no_writer(path: Path) -> None:
    out = writer(path)
    out.append("ticks", ticks(0, 3))
    out.flush()
    assert repair(path).damage == []  # whole: nothing to do, nobody is disturbed
    with path.open("ab") as file:
        file.write(b"half a chunk")
    with pytest.raises(DhanfastError, match="writing it right now"):
        repair(path)
    out.close()


def test_what_lies_is_not_sealed(path: Path) -> None:
    """Every chunk is whole, and the whole is false: seen, and not repaired away."""
    fill(path)
    seal_file(path)
    data = path.read_bytes()
    ends = ends_of(data)
    first, second = data[ends[0] : ends[1]], data[ends[1] : ends[2]]
    swapped = data[: ends[0]] + second + first + data[ends[2] :]
    for lie, why in (
        (swapped, "not what it sealed"),
        (data + chunk(6, 0, b'{"kind":"late"}'), "not the last chunk"),
        (data[: ends[1]] + data[ends[-2] :], "not"),
    ):
        path.chmod(0o644)
        path.write_bytes(lie)
        seen = inspect(path)
        assert not seen.sealed and any(why in text for _, text in seen.damage)
        with pytest.raises(BadData, match="changed after"):
            repair(path)
        assert path.read_bytes() == lie


def test_a_block_that_does_not_decode_is_found_and_cut_out(path: Path) -> None:
    """Right CRC, wrong columns: only decoding sees it."""
    data = fill(path)
    ends = ends_of(data)
    body = bytearray(data[ends[0] + 24 : ends[1]])
    body[56 + 16] ^= 0xFF  # the first column's directory entry
    path.write_bytes(data[: ends[0]] + chunk(3, 0, bytes(body)) + data[ends[1] :])
    assert inspect(path).damage == []
    assert inspect(path, decode=True).damage[0][0] == ends[0]


def test_other_damage_is_named(path: Path, tmp_path: Path) -> None:
    data = fill(path)
    head = data[8 : ends_of(data)[0]]
    cases = {
        b"": "empty",
        b"DFAR": "no whole HEAD",
        b"nothing of ours": "where an archive begins",
        data[:8] + data[ends_of(data)[0] :]: "no whole HEAD",
        data + head: "a second HEAD",
        data + chunk(3, 77, data[ends_of(data)[0] + 24 :][:200]): "rows of no stream",
        data[:8] + chunk(1, 0, b'{"format":1}'): "without streams",
        data[:8] + chunk(1, 0, b"{"): "not JSON",
    }
    for content, why in cases.items():
        path.write_bytes(content)
        seen = inspect(path)
        assert any(why in text for _, text in seen.damage), (content[:20], seen)
    with pytest.raises(FileNotFoundError):
        inspect(tmp_path / "none.dfa")
    with pytest.raises(DhanfastError, match="cannot be read"):
        inspect(tmp_path)


def test_a_second_cut_at_one_place_is_kept_too(path: Path) -> None:
    data = fill(path)
    for tail in (b"first....", b"second......"):
        path.write_bytes(data + tail)
        assert [each.read_bytes() for each in repair(path).cut] == [tail]
    kept = sorted(each.name for each in path.parent.glob("*.cut-*"))
    assert kept == [f"{path.name}.cut-{len(data)}", f"{path.name}.cut-{len(data)}-2"]


@given(
    bodies=st.lists(st.binary(max_size=60), max_size=6),
    junk=st.lists(st.binary(min_size=1, max_size=40), max_size=3),
    data=st.data(),
)
def test_whole_chunks_are_found_between_junk(
    bodies: list[bytes], junk: list[bytes], data: st.DataObject
) -> None:
    parts = [("whole", pack_chunk(9, n, body)) for n, body in enumerate(bodies)]
    for each in junk:
        parts.insert(data.draw(st.integers(0, len(parts))), ("junk", each + bytes(-len(each) % 8)))
    whole = b"DFARCH1\n" + b"".join(raw for _, raw in parts)
    found = scan(whole)
    assert [each.stream for each in found.chunks] == list(range(len(bodies)))
    assert [bytes(each.body(whole)) for each in found.chunks] == bodies
    trailing = 0
    for kind, raw in reversed(parts):
        if kind == "whole":
            break
        trailing += len(raw)
    assert found.torn_bytes == trailing and found.end == len(whole) - trailing
    before = parts[: len(parts) - _tail(parts)]
    assert bool(found.damage) == any(kind == "junk" for kind, _ in before)


def _tail(parts: list[tuple[str, bytes]]) -> int:
    """How many parts at the end are junk."""
    kinds = [kind for kind, _ in reversed(parts)]
    return kinds.index("whole") if "whole" in kinds else len(kinds)


@given(st.binary(max_size=200))
def test_chunks_are_those_of_the_format_page(body: bytes) -> None:
    made = pack_chunk(3, 513, body)
    assert made == chunk(3, 513, body)
    found = chunk_at(made, 0)
    assert not isinstance(found, str)
    assert (found.kind, found.stream, found.size, found.end) == (3, 513, len(body), len(made))
    assert isinstance(chunk_at(made[:-1], 0), str)


def test_chunk_numbers_out_of_range_are_refused() -> None:
    for kind, stream in ((256, 0), (-1, 0), (3, 65_536), (3, -1)):
        with pytest.raises(ValueError, match="kind is 0 to 255"):
            pack_chunk(kind, stream, b"")
