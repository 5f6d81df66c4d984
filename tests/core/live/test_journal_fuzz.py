"""Hostile journals: whatever the bytes, reading ends; what is read is what was written."""

import struct
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhanfast._core.live.journal import Journal
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.errors import BadData
from dhanfast.storage.journal import examine, shown
from tests.core.live import plain_journal

HEADER = JournalHeader(77, 20260101, "fuzz", bytes(32), 0, "")
PACK = HEADER.pack()
QUIET = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def looked_at(path: Path) -> list[tuple[int, int, int, bytes]]:
    """Every way to read a journal, none of which may fail."""
    with JournalReader(str(path)) as reader:
        got = list(reader)
        end, tail = reader.end, reader.tail()
    assert end <= path.stat().st_size + 7 and tail[0] >= 0
    assert len(list(shown(path))) == len(got) == examine(path).records
    return got


@QUIET
@given(edits=st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 255)), max_size=6),
       cut=st.integers(0, 2_000))  # fmt: skip
def test_edited_records(tmp_path: Path, edits: list[tuple[int, int]], cut: int) -> None:
    wanted = [(3, n, n, bytes([n]) * (n * 13 % 90)) for n in range(1, 20)]
    parts = (plain_journal.record(seq, 77, kind, data, at) for kind, at, seq, data in wanted)
    body = bytearray(b"".join(parts))
    for at, value in edits:
        body[at % len(body)] = value
    path = tmp_path / "f.dfj"
    path.write_bytes(PACK + body[: max(0, len(body) - cut)])
    got = looked_at(path)
    assert got == plain_journal.records(path)
    assert got == wanted[: len(got)]


@QUIET
@given(parts=st.lists(st.tuples(
    st.integers(0, 2**32 - 1) | st.integers(0, 200), st.integers(0, 25), st.binary(max_size=60),
    st.booleans()), max_size=8))  # fmt: skip
def test_crafted_lengths_with_honest_checksums(tmp_path: Path, parts) -> None:
    body = b""
    for length, seq, payload, honest in parts:
        rest = struct.pack("<QqHHI", seq, 5, 9, 0, 77) + payload
        crc = plain_journal.crc32c(rest[: max(0, length - 8)]) if honest else 0
        body += struct.pack("<II", length, crc) + rest
    path = tmp_path / "f.dfj"
    path.write_bytes(PACK + body)
    assert looked_at(path) == plain_journal.records(path)


@QUIET
@given(head=st.binary(max_size=300), at=st.integers(0, 250))
def test_crafted_headers(tmp_path: Path, head: bytes, at: int) -> None:
    raw = bytearray(PACK)
    raw[at : at + len(head)] = head
    path = tmp_path / "f.dfj"
    path.write_bytes(raw)
    try:
        looked_at(path)
        Journal(str(path), segment_bytes=65_536, reserve_bytes=0, sync_ns=0).close()
    except BadData as error:
        assert str(path) in str(error)
