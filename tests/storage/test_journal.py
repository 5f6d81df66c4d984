"""Journals as people and programs read them, against a reader by the letter of the page."""

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.records import INTENT_DTYPE
from dhanfast._core.types import TICK_DTYPE
from dhanfast.storage.journal import decision_digest, examine, fields_of, shown
from tests.core.live import plain_journal

SETTINGS = {"segment_bytes": 65_536, "reserve_bytes": 4_096, "sync_ns": 0}


def intent(number: int) -> bytes:
    row = np.zeros(1, INTENT_DTYPE)
    row["id"], row["price"], row["broker_id"] = number, 12_345, b"112111182045"
    return row.tobytes()


def journaled(path: Path, epoch: int, first_noise: int) -> Path:
    """The same three decisions among different noise."""
    header = JournalHeader(epoch, 20260722, "day", bytes(32), 1, "text")
    journal = Journal(str(path), header, **SETTINGS)
    for number in range(first_noise):
        journal.append_record(Kind.TICK, bytes(72), number)
    for number in (1, 2, 3):
        journal.append_record(Kind.INTENT, intent(number), 1_000 + number)
        journal.append_record(Kind.NOTE, b'{"why": "test"}', 1_000)
    journal.close()
    return path


def test_the_finding_counts_what_is_there(tmp_path: Path) -> None:
    found = examine(journaled(tmp_path / "a", 0xAB, 2))
    assert (found.records, found.kinds) == (8, {"INTENT": 3, "NOTE": 3, "TICK": 2})
    assert (found.tag, found.run, found.date, found.closed) == ("df000000ab", "day", 20260722, True)
    assert (found.first_ns, found.last_ns, found.synced_seq) == (0, 1_000, 8)
    assert found.whole and found.tail_bytes == 0 and found.end == (tmp_path / "a").stat().st_size


def test_a_torn_tail_is_told_and_is_no_damage(tmp_path: Path) -> None:
    path = journaled(tmp_path / "a", 0xAB, 2)
    data = path.read_bytes()
    path.write_bytes(data + struct.pack("<I", 40) + bytes(28) + b"torn")
    found = examine(path)
    assert found.whole and found.records == 8
    assert (found.tail_bytes, found.why) == (36, "the file ends inside a record")
    path.write_bytes(data[:-20])
    found = examine(path)
    assert not found.whole and "record 8" in found.damage and found.records == 7


def test_the_digest_is_of_decisions_alone(tmp_path: Path) -> None:
    one, other = journaled(tmp_path / "a", 1, 0), journaled(tmp_path / "b", 2, 9)
    wanted = hashlib.sha256()
    for kind, at_ns, _, payload in plain_journal.records(one):
        if kind == Kind.INTENT:
            wanted.update(struct.pack("<HqI", kind, at_ns, len(payload)) + payload)
    assert decision_digest(one) == decision_digest(other) == wanted.hexdigest()
    assert decision_digest(one, {Kind.TICK}) != decision_digest(other, {Kind.TICK})


def test_records_are_shown_field_by_field(tmp_path: Path) -> None:
    rows = list(shown(journaled(tmp_path / "a", 1, 1), {Kind.INTENT}, first=3))
    assert [row["id"] for row in rows] == [2, 3]
    assert rows[0]["record"] == "INTENT" and rows[0]["time_ns"] == 1_002 and rows[0]["seq"] == 4
    assert rows[0]["price"] == 12_345 and rows[0]["broker_id"] == "112111182045"
    assert "spare" not in rows[0]


@pytest.mark.parametrize(
    ("kind", "payload", "wanted"),
    [
        (Kind.TIMER, b"", {}),
        (Kind.FEED, b"\2\0\0\0", {"event": 2}),
        (Kind.NOTE, b'{"a": [1]}', {"data": {"a": [1]}}),
        (Kind.NOTE, b"{oh", {"hex": "7b6f68"}),
        (Kind.INTENT, b"short", {"hex": "73686f7274"}),
        (999, b"\x00\xff", {"hex": "00ff"}),
    ],
)
def test_every_payload_is_shown_somehow(kind: int, payload: bytes, wanted: object) -> None:
    assert fields_of(kind, payload) == wanted


def test_ticks_of_a_message_are_rows() -> None:
    ticks = np.zeros(2, TICK_DTYPE)
    ticks["price"] = 5, 6
    shown_rows = fields_of(Kind.TICKS, ticks.tobytes())["rows"]
    assert [row["price"] for row in shown_rows] == [5, 6]
    assert "rows" in fields_of(Kind.TICKS, ticks[:1].tobytes())
    assert fields_of(Kind.TICK, ticks[:1].tobytes())["price"] == 5
