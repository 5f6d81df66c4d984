"""scripts/archive-read: the format page is enough to write a reader, and it sees every damage."""

import csv
import io
import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .plain_codec import archive, chunk, crc32c, encode
from .plain_reader import SCRIPT, archive_read

TICKS: dict[str, Any] = {
    "id": 7, "name": "ticks", "key": "who", "time": "t", "event": "e", "blob": None,
    "fields": [["t", "i8"], ["e", "i8"], ["who", "u4"], ["price", "i8"], ["qty", "u4"],
               ["side", "i1"], ["odd", "u8"], ["small", "i2"], ["real", "f8"], ["half", "f4"]],
    "scaling": {"price": "price", "qty": "qty"},
}  # fmt: skip
FRAMES: dict[str, Any] = {
    "id": 9, "name": "frames", "key": None, "time": "t", "event": None, "blob": "size",
    "fields": [["t", "i8"], ["size", "u4"]], "scaling": {},
}  # fmt: skip
HEAD = {"format": 1, "producer": "test", "created_ns": 1, "day": 20261123, "generated": True,
        "source": "test", "streams": [TICKS, FRAMES]}  # fmt: skip


def whole(kind: str) -> st.SearchStrategy[int]:
    """Values of a field type, extremes and small ones mixed; floats as their bits."""
    bits = 8 * int(kind[1])
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind[0] == "i" else (0, (1 << bits) - 1)
    return st.one_of(st.integers(low, high), st.integers(0, 100), st.sampled_from([low, high]))


def tick_rows() -> st.SearchStrategy[list[tuple[int, ...]]]:
    kinds = [kind for _, kind in TICKS["fields"]]
    values = [whole(kind) for kind in kinds]
    values[2] = st.sampled_from([0, 3, 4, 70_000, 2**32 - 1])
    return st.lists(st.tuples(*values), min_size=1, max_size=40)


@given(rows=tick_rows(), seed=st.integers(0, 2**32), data=st.data())
def test_every_freedom_of_the_format_is_read(
    rows: list[tuple[int, ...]], seed: int, data: st.DataObject
) -> None:
    steps = data.draw(st.lists(st.integers(1, 9), min_size=len(rows), max_size=len(rows)))
    seqs = [1_000 + sum(steps[: n + 1]) for n in range(len(rows))]
    given_seqs = data.draw(st.booleans())
    body = encode(TICKS, rows, seqs[0], seqs if given_seqs else None, seed=seed)
    want = seqs if given_seqs else list(range(seqs[0], seqs[0] + len(rows)))
    got = list(archive_read.decode(body, TICKS))
    assert [tuple(row) for _, row, _ in got] == rows
    assert [seq for seq, _, _ in got] == want


@given(blobs=st.lists(st.binary(max_size=50), min_size=1, max_size=20), seed=st.integers(0, 99))
def test_bytes_are_cut_as_they_were(blobs: list[bytes], seed: int) -> None:
    rows = [(n, len(blob)) for n, blob in enumerate(blobs)]
    body = encode(FRAMES, rows, 5, blob=b"".join(blobs), seed=seed)
    assert [blob for _, _, blob in archive_read.decode(body, FRAMES)] == blobs


def rows_of(count: int) -> list[tuple[int, ...]]:
    return [(n, n - 1, 1 + n % 3, 100 + 5 * n, n, -1, n * n, -n, 0x3FF8 << 48, 0x7FC00001)
            for n in range(count)]  # fmt: skip


def small_file(*, sealed: bool) -> bytes:
    instruments = [{"index": 1, "symbol": "A"}, {"index": 1, "symbol": "B"}]
    blocks = [chunk(3, 7, encode(TICKS, rows_of(4), 0)), chunk(99, 0, b"unknown kinds are skipped"),
              chunk(3, 7, encode(TICKS, rows_of(3), 4, seed=1))]  # fmt: skip
    return archive(HEAD, [chunk(2, 0, json.dumps(instruments).encode()), *blocks,
                          chunk(6, 0, b'{"kind": "gap", "lost": 3}')], sealed=sealed)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "day.dfa"


def test_a_sealed_file_is_checked_and_read(path: Path) -> None:
    path.write_bytes(small_file(sealed=True))
    read = archive_read.open_archive(str(path))
    assert (read.sealed, read.torn_bytes) == (True, 0)
    assert read.instruments == {1: {"index": 1, "symbol": "B"}}
    assert read.notes == [{"kind": "gap", "lost": 3}]
    assert [row[1] for row in read.rows("ticks")] == [list(row) for row in rows_of(4) + rows_of(3)]


def test_cut_at_every_byte(path: Path) -> None:
    """All whole blocks before the cut are read; a cut file never counts as sealed."""
    data = small_file(sealed=True)
    counts = set()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        try:
            read = archive_read.open_archive(str(path))
        except archive_read.Damage as error:
            assert size < 8 + len(json.dumps(HEAD)) + 32, error
            continue
        assert not read.sealed
        counts.add(len(list(read.rows("ticks"))))
    assert counts == {0, 4, 7}


def test_a_changed_byte_anywhere_is_damage(path: Path) -> None:
    data = small_file(sealed=True)
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        tail = place >= len(data) - 88  # the seal itself: then it is a torn tail, and not sealed
        if tail:
            assert not archive_read.open_archive(str(path)).sealed
        else:
            with pytest.raises(archive_read.Damage):
                archive_read.open_archive(str(path))


def test_a_seal_or_index_that_lies_is_seen(path: Path) -> None:
    """Chunks with right CRCs and a wrong story."""
    data = small_file(sealed=True)
    seal = bytearray(data[-64:])
    for place in (0, 8, 16, 24, 32):
        lying = bytearray(seal)
        lying[place] ^= 1
        path.write_bytes(data[:-88] + chunk(5, 0, bytes(lying)))
        with pytest.raises(archive_read.Damage, match="seal"):
            archive_read.open_archive(str(path))
    path.write_bytes(data + chunk(6, 0, b"{}"))
    with pytest.raises(archive_read.Damage, match="no place"):
        archive_read.open_archive(str(path))


def test_newer_format_and_foreign_files_are_refused(path: Path) -> None:
    path.write_bytes(b"PAR1 something else")
    with pytest.raises(archive_read.Damage, match="not a dhanfast archive"):
        archive_read.open_archive(str(path))
    path.write_bytes(archive({**HEAD, "format": 2}, []))
    with pytest.raises(archive_read.Damage, match="newer"):
        archive_read.open_archive(str(path))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


def test_the_command_prints_csv_json_and_facts(path: Path) -> None:
    frames = chunk(3, 9, encode(FRAMES, [(1, 2), (2, 0)], 7, blob=b"\x01\xff"))
    path.write_bytes(archive(HEAD, [chunk(3, 7, encode(TICKS, rows_of(4), 0)), frames]))
    table = list(csv.reader(io.StringIO(run(str(path)).stdout)))
    assert table[0] == ["seq", *(name for name, _ in TICKS["fields"])]
    assert table[3] == ["2", "2", "1", "3", "110", "2", "-1", "4", "-2", "1.5", "nan"]
    lines = run(str(path), "--stream", "frames", "--json").stdout.splitlines()
    assert json.loads(lines[0]) == {"seq": 7, "t": 1, "size": 2, "bytes": "01ff"}
    facts = json.loads(run(str(path), "--info").stdout)
    assert (facts["rows"], facts["blocks"]) == ({"7": 4, "9": 2}, 2)
    assert len(run(str(path), "--limit", "1").stdout.splitlines()) == 2


def test_the_command_names_what_is_wrong(path: Path) -> None:
    assert (answer := run(str(path))).returncode == 1 and "day.dfa" in answer.stderr
    data = bytearray(archive(HEAD, [chunk(3, 7, encode(TICKS, rows_of(4), 0))] * 2))
    path.write_bytes(data[:-1])
    answer = run(str(path))
    assert answer.returncode == 0 and "torn bytes left out" in answer.stderr
    place = data.index(b"DFCK", 40)
    data[place + 30] ^= 1
    path.write_bytes(data)
    answer = run(str(path))
    assert answer.returncode == 1 and f"byte {place}: damaged" in answer.stderr
    path.write_bytes(archive(HEAD, []))
    assert "no stream nothing" in run(str(path), "--stream", "nothing").stderr


def test_crc_is_the_published_one() -> None:
    """RFC 3720, appendix B.4, and the check value of the catalogue of CRCs."""
    for crc in (crc32c, archive_read.crc32c):
        assert crc(b"123456789") == 0xE3069283
        assert crc(bytes(32)) == 0x8A9136AA
        assert crc(b"\xff" * 32) == 0x62A8AB43
        assert crc(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"6789", crc32c(b"12345")) == 0xE3069283


def test_the_reader_is_short_and_knows_nothing_of_us() -> None:
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) < 300
    assert not [line for line in lines if "import" in line and "dhanfast" in line]
    assert struct.calcsize("<QQIHHQqqqqIIQ") == 80
