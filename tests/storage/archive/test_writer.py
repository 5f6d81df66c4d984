"""The writer: what is in the file, when, and what it refuses."""

import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from dhanfast.clock import ManualClock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.archive import pending
from dhanfast.storage.archive.repair import inspect

from .plain_codec import archive, chunk
from .plain_reader import archive_read
from .ticks import (
    FRAMES,
    START_NS,
    STREAMS,
    TICKS,
    bars,
    facts,
    frames,
    listed,
    read,
    rows_of,
    ticks,
    writer,
)

SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "2025-11-24.dfa"


def test_rows_come_back_in_order_with_their_numbers(path: Path) -> None:
    with writer(path, block_rows=5) as out:
        out.append("ticks", ticks(0, 7))
        out.append("bars", bars(0, 2))
        out.append("ticks", ticks(7, 6))
        out.append("frames", frames(b"ab", b"", b"cde"), b"abcde")
    assert rows_of(path) == listed(ticks(0, 13))
    assert [seq for seq, _, _ in read(path)] == [*range(7), *range(9, 15)]
    assert [seq for seq, _, _ in read(path, "bars")] == [7, 8]
    assert [blob for _, _, blob in read(path, "frames")] == [b"ab", b"", b"cde"]
    head = facts(path).head
    assert (head["day"], head["generated"], head["source"]) == (20251124, False, "test")
    assert head["producer"].startswith("dhanfast ")
    assert [each["name"] for each in head["streams"]] == ["ticks", "bars", "frames"]


def test_bytes_are_cut_with_their_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By rows of a block, and by bytes of a block."""
    blobs = [bytes([n]) * (n % 5) for n in range(23)]
    for limit in (1 << 20, 7):
        monkeypatch.setattr(pending, "BLOB_BYTES_MAX", limit)
        with writer(path, block_rows=4) as out:
            for at in (0, 9, 10):
                part = blobs[at : {0: 9, 9: 10, 10: 23}[at]]
                out.append("frames", frames(*part), b"".join(part))
        assert [blob for _, _, blob in read(path, "frames")] == blobs
        described = FRAMES.to_json()
        blocks = [list(archive_read.decode(body, described)) for *_, body in facts(path).blocks]
        assert max(len(block) for block in blocks) == 4
        assert max(sum(len(blob) for _, _, blob in block) for block in blocks) <= limit
        path.unlink()
    out = writer(path)
    with pytest.raises(UsageError, match="a row of 8 bytes; at most 7"):
        out.append("frames", frames(b"x" * 8), b"x" * 8)
    out.close()


def test_a_block_is_flushed_when_it_is_full_or_old(path: Path) -> None:
    clock = ManualClock(START_NS)
    out = writer(path, clock, block_rows=10, flush_ns=SECOND, sync_ns=2 * SECOND)
    out.append("ticks", ticks(0, 25))
    assert (out.rows_written, out.rows_flushed, out.rows_synced) == (25, 20, 0)
    clock.advance(0.999)
    out.poll(clock.now_ns())
    assert out.rows_flushed == 20
    clock.advance(0.001)
    out.poll(clock.now_ns())
    assert (out.rows_flushed, out.rows_synced) == (25, 0)
    assert rows_of(path) == listed(ticks(0, 25))  # while it is open
    clock.advance(1.0)
    out.poll(clock.now_ns())
    assert out.rows_synced == 25
    out.close()


def test_the_clock_of_a_block_starts_with_its_first_row(path: Path) -> None:
    clock = ManualClock(START_NS)
    out = writer(path, clock)
    out.append("ticks", ticks(0, 1))
    out.flush()
    clock.advance(0.9)
    out.append("ticks", ticks(1, 1))
    clock.advance(0.9)
    out.poll(clock.now_ns())
    assert out.rows_flushed == 1
    clock.advance(0.1)
    out.poll(clock.now_ns())
    assert out.rows_flushed == 2
    out.close()


def test_a_sync_in_the_background_counts_what_it_covers(path: Path) -> None:
    clock = ManualClock(START_NS)
    out = writer(path, clock, flush_ns=0, sync_ns=0, background_sync=True)
    out.append("ticks", ticks(0, 3))
    out.poll(clock.now_ns())
    out.append("ticks", ticks(3, 3))
    assert out.rows_synced == 0
    out.sync()  # waits for the one that runs
    assert out.rows_synced == 6
    out.close()
    assert rows_of(path) == listed(ticks(0, 6))


def test_a_closed_file_goes_on(path: Path) -> None:
    with writer(path) as out:
        out.add_instruments([{"index": 1, "symbol": "NIFTY"}])
        out.append("ticks", ticks(0, 3))
        out.append("bars", bars(0, 2))
    with writer(path) as out:
        assert out.resumed is not None and out.resumed.clean and out.resumed.torn_bytes == 0
        assert out.rows_written == out.rows_flushed == out.rows_synced == 5
        assert (out.next_seq, out.last_seq("ticks"), out.last_seq("frames")) == (5, 2, -1)
        out.add_instruments([{"index": 1, "symbol": "NIFTY"}, {"index": 2, "symbol": "BANKNIFTY"}])
        out.append("ticks", ticks(3, 2))
    assert [seq for seq, _, _ in read(path)] == [0, 1, 2, 5, 6]
    assert [note["kind"] for note in facts(path).notes] == ["closed", "resumed", "closed"]
    assert {n: each["symbol"] for n, each in facts(path).instruments.items()} == {
        1: "NIFTY", 2: "BANKNIFTY"}  # fmt: skip
    assert facts(path).instruments[1]["price_scale"] == 100


def test_a_torn_tail_is_cut_and_kept(path: Path) -> None:
    with writer(path) as out:
        out.append("ticks", ticks(0, 3))
    whole = path.read_bytes()
    path.write_bytes(whole + chunk(3, 0, b"x" * 100)[:90])
    with writer(path) as out:
        assert out.resumed is not None and out.resumed.torn_bytes == 90
        out.append("ticks", ticks(3, 3))
    assert rows_of(path) == listed(ticks(0, 6))
    assert (
        path.with_name(f"{path.name}.cut-{len(whole)}").read_bytes() == chunk(3, 0, b"x" * 100)[:90]
    )


def test_numbers_of_the_caller_are_kept_and_must_ascend(path: Path) -> None:
    with writer(path) as out:
        out.append("ticks", ticks(0, 3), seq=np.array([4, 9, 10], np.uint64))
        out.append("bars", bars(0, 1), seq=np.array([7], np.uint64))
        for bad in ([10], [3], [12, 12], [13, 12]):
            with pytest.raises(UsageError, match="ascend"):
                out.append("ticks", ticks(0, len(bad)), seq=np.array(bad, np.uint64))
        with pytest.raises(UsageError, match="uint64"):
            out.append("ticks", ticks(0, 1), seq=np.array([11]))
        out.append("ticks", ticks(3, 1))
    assert [seq for seq, _, _ in read(path)] == [4, 9, 10, 11]


def test_what_does_not_fit_is_refused(path: Path) -> None:
    out = writer(path)
    with pytest.raises(UsageError, match="no stream 'depth'; the file has ticks, bars, frames"):
        out.append("depth", ticks(0, 1))
    with pytest.raises(UsageError, match="rows of stream 'ticks' are"):
        out.append("ticks", bars(0, 1))
    with pytest.raises(UsageError, match="add up to 2, and 3 bytes"):
        out.append("frames", frames(b"ab"), b"abc")
    with pytest.raises(UsageError, match="has no bytes"):
        out.append("ticks", ticks(0, 1), b"abc")
    for wrong in ({"symbol": "A"}, {"index": -1, "symbol": "A"}, {"index": 2**32, "symbol": "A"},
                  {"index": 1}, {"index": 1, "symbol": ""}, {"index": True, "symbol": "A"},
                  {"index": 1, "symbol": "A", "x": object()}):  # fmt: skip
        with pytest.raises(UsageError):
            out.add_instruments([wrong])
    with pytest.raises(UsageError, match="one instrument's"):
        out.add_instruments([{"index": 1, "symbol": "A"}, {"index": 2, "symbol": "A"}])
    with pytest.raises(UsageError, match="kind"):
        out.note({"text": "a"})
    with pytest.raises(UsageError, match="JSON"):
        out.note({"kind": "a", "x": float("nan")})
    assert out.append("ticks", ticks(0, 0)) == 0
    out.close()
    for call in (lambda: out.append("ticks", ticks(0, 1)), out.flush, out.sync, out.seal,
                 lambda: out.poll(0), lambda: out.note({"kind": "a"})):  # fmt: skip
        with pytest.raises(UsageError, match="closed"):
            call()
    out.close()
    assert read(path) == [] and facts(path).instruments == {}


@pytest.mark.parametrize(
    "wrong", [{"block_rows": 0}, {"block_rows": (1 << 20) + 1}, {"flush_ns": -1}, {"sync_ns": -1},
              {"retry_ns": -1}, {"streams": ()}, {"streams": (TICKS, TICKS)}],
)  # fmt: skip
def test_settings_out_of_range_leave_no_file(path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        writer(path, **wrong)
    assert list(path.parent.iterdir()) == []


def test_a_second_writer_is_refused_and_told_who(path: Path) -> None:
    out = writer(path)
    code = (
        "import sys; from dhanfast._core.archive.schema import TICKS;"
        "from dhanfast.clock import ManualClock;"
        "from dhanfast.storage.archive.writer import ArchiveWriter;"
        "ArchiveWriter(sys.argv[1], [TICKS], clock=ManualClock())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert f"process {os.getpid()} is writing it right now" in answer.stderr
    with pytest.raises(DhanfastError, match="one writer"):
        writer(path)
    out.append("ticks", ticks(0, 2))
    out.close()
    assert rows_of(path) == listed(ticks(0, 2))
    writer(path).close()  # the lock went with the first


def test_a_forked_child_holds_nothing(path: Path) -> None:
    """A child that lives on must not keep the parent's lock."""
    out = writer(path)
    lives, says = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside other threads
        child = os.fork()
    if child == 0:
        os.write(says, b"here")
        signal.pause()
        os._exit(0)
    assert os.read(lives, 4) == b"here"  # it has let go by then
    os.close(lives)
    os.close(says)
    out.append("ticks", ticks(0, 2))
    out.close()
    try:
        again = writer(path)
        assert again.rows_written == 2
        again.close()
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_other_files_are_refused(path: Path) -> None:
    with writer(path, block_rows=2) as out:
        out.append("ticks", ticks(0, 6))
    good = path.read_bytes()
    with pytest.raises(UsageError, match="begun with day 20251124"):
        writer(path, day=20251125)
    with pytest.raises(UsageError, match="begun with streams"):
        writer(path, streams=STREAMS[:2])
    with pytest.raises(UsageError, match="begun with generated False"):
        writer(path, generated=True)
    at = good.index(b"DFCK", 1_200)
    for data, why in (
        (b"", "empty"),
        (b"PAR1 and so on", "byte 0"),
        (good[:50], "no whole HEAD"),
        (archive({"format": 2, "streams": []}, []), "begun with format 2"),
        (good[: at + 40] + b"\xff\xfe" + good[at + 42 :], f"byte {at}: the body .* wrong CRC"),
    ):
        path.write_bytes(data)
        with pytest.raises((BadData, UsageError), match=why):
            writer(path)
        assert path.read_bytes() == data
    path.write_bytes(good)
    writer(path).close()


def test_the_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DhanfastError, match="cannot be begun"):
        writer(tmp_path / "no" / "day.dfa")


def test_a_closed_file_is_whole(path: Path) -> None:
    with writer(path, block_rows=4) as out:
        out.append("ticks", ticks(0, 10))
    found = inspect(path, decode=True)
    assert (found.rows, found.blocks, found.sealed, found.torn_bytes) == (10, 3, False, 0)
    assert found.damage == [] and found.whole_bytes == path.stat().st_size
