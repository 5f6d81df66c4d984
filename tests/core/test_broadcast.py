"""Broadcast: exact losses against a list, real processes under load, murders, and forgeries."""

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.broadcast import BroadcastReader, BroadcastWriter, remove
from dhanfast._core.timing import monotonic_ns
from dhanfast.errors import BadData, UsageError

RECORD = np.dtype([("number", "<u8"), ("twice", "<u8")])
PEER = Path(__file__).with_name("broadcast_peer.py")
PEER_RECORD = np.dtype([("words", "<u8", 32)])
A_MINUTE = 60_000_000_000
Peer = Callable[[str, int], "subprocess.Popen[str]"]


def numbered(first: int, count: int) -> np.ndarray:
    made = np.zeros(count, dtype=RECORD)
    made["number"] = np.arange(first, first + count)
    made["twice"] = 2 * made["number"]
    return made


def writer_in(folder: Path, slots: int = 8, **changes: object) -> BroadcastWriter:
    settings = {"record_bytes": 16, "slots": slots, "tag": "test", "folder": str(folder)}
    return BroadcastWriter("ring", **(settings | changes))


def reader_in(folder: Path, **changes: object) -> BroadcastReader:
    settings = {"dtype": RECORD, "tag": "test", "folder": str(folder)}
    return BroadcastReader("ring", **(settings | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for segments. Any file system will do for tests; the product uses /dev/shm."""
    return tmp_path


@settings(max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=25
    ),
    slots=st.sampled_from([2, 4, 16, 64]),
)  # fmt: skip
def test_delivered_and_lost_are_exact(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int]], slots: int
) -> None:
    folder = tmp_path_factory.mktemp("ring")
    writer = writer_in(folder, slots)
    reader = reader_in(folder, oldest=True)
    published = position = 0
    for write, count in steps:
        if write:
            writer.put_many(numbered(published, count))
            published += count
            continue
        behind = published - position
        assert reader.behind == behind
        got, lost = reader.read(count)
        assert bool(lost) == (behind > slots)  # nothing that is still there may be lost
        assert lost <= max(0, behind - slots + 1 + slots // 8)
        position += lost
        want = min(count, published - position)
        assert got.tolist() == numbered(position, want).tolist()
        position += want
    assert reader.delivered + reader.lost == position == reader.position
    writer.close()


def test_a_new_reader_starts_with_the_next_record_unless_told(folder: Path) -> None:
    writer = writer_in(folder)
    writer.put_many(numbered(0, 5))
    fresh, old = reader_in(folder), reader_in(folder, oldest=True)
    writer.put_many(numbered(5, 1))
    assert fresh.read()[0]["number"].tolist() == [5]
    assert old.read()[0]["number"].tolist() == [0, 1, 2, 3, 4, 5]
    assert fresh.read()[1] == 0 and (fresh.lost, old.lost) == (0, 0)


@pytest.fixture
def peer(folder: Path) -> Iterator[Peer]:
    running: list[subprocess.Popen[str]] = []

    def start(role: str, slots: int) -> "subprocess.Popen[str]":
        command = [sys.executable, str(PEER), role, str(folder), "ring", str(slots)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready")
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_for(claim: Callable[[], bool]) -> None:
    deadline = monotonic_ns() + A_MINUTE
    while not claim():
        assert monotonic_ns() < deadline, "did not come true within a minute"
        os.sched_yield()


def stop(process: "subprocess.Popen[str]") -> list[int]:
    """Ask it to end; return the numbers it printed."""
    answer, _ = process.communicate("stop\n", timeout=60)
    assert process.returncode == 0
    return [int(word) for word in answer.split()]


@pytest.mark.parametrize("slots", [4, 256])
def test_processes_under_load_never_see_a_torn_record(folder: Path, peer: Peer, slots: int) -> None:
    writer = peer("write", slots)
    steady, doomed = peer("read", slots), peer("read", slots)
    watch = reader_in(folder, dtype=PEER_RECORD)
    wait_for(lambda: watch.behind > 30_000)
    doomed.kill()  # kill -9 in the middle of a read
    doomed.wait()
    after = watch.behind
    wait_for(lambda: watch.behind > after + 10_000)  # the writer did not notice
    (published,) = stop(writer)
    start, delivered, lost = stop(steady)
    assert delivered > 0
    assert start + delivered + lost == published  # and the reader checked each number itself
    assert watch.state == "closed"


def test_a_killed_writer_is_seen_and_followed(folder: Path, peer: Peer) -> None:
    first = peer("write", 64)
    reader = reader_in(folder, dtype=PEER_RECORD)
    start = reader.position
    wait_for(lambda: reader.behind > 20_000)
    assert (reader.state, reader.epoch, reader.writer_pid) == ("live", 1, first.pid)
    with pytest.raises(UsageError, match=f"live writer .pid {first.pid}"):
        writer_in(folder, 64, record_bytes=PEER_RECORD.itemsize)
    with pytest.raises(UsageError, match="live writer"):
        remove("ring", folder=str(folder))
    first.kill()
    wait_for(lambda: reader.state == "dead")  # even while it is a zombie
    first.wait()
    silent = reader.silent_ns
    assert reader.silent_ns >= silent > 0
    reader.read(4096)
    assert reader.behind == 0
    cut_off = reader.position
    second = peer("write", 64)
    wait_for(lambda: reader.epoch == 2 and reader.behind > 10_000)
    assert (reader.state, reader.writer_pid) == ("live", second.pid)
    # The second goes on where the first was cut off: the numbers it hands out prove it.
    (published,) = stop(second)
    batch, lost = reader.read(4096)
    assert batch["words"][-1, 0] == published - 1
    assert batch["words"][0, 0] == published - len(batch) == cut_off + lost
    assert start + reader.delivered + reader.lost == published
    assert (reader.behind, reader.state) == (0, "closed")


def test_a_second_writer_in_the_same_process_is_refused_until_the_first_closes(
    folder: Path,
) -> None:
    first = writer_in(folder)
    with pytest.raises(UsageError, match=f"pid {os.getpid()}"):
        writer_in(folder)
    first.put_many(numbered(0, 3))
    first.close()
    assert first.closed
    with pytest.raises(UsageError, match="closed"):
        first.put_many(numbered(3, 1))
    second = writer_in(folder)
    assert (second.epoch, second.published) == (2, 3)


def test_a_forked_child_cannot_write_and_does_not_keep_the_lock(folder: Path) -> None:
    writer = writer_in(folder)
    child = os.fork()
    if child == 0:
        os._exit(0 if writer.closed else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not writer.closed
    writer.put_many(numbered(0, 1))
    assert reader_in(folder, oldest=True).read()[0]["number"].tolist() == [0]


def test_removing_tells_the_readers_and_frees_the_name(folder: Path) -> None:
    writer_in(folder).close()
    reader = reader_in(folder)
    remove("ring", folder=str(folder))
    assert reader.state == "removed"
    with pytest.raises(FileNotFoundError):
        reader_in(folder)
    assert writer_in(folder, 16).epoch == 1
    assert os.listdir(folder) == ["dhanfast-ring"]


def test_heartbeat_and_garbage_collection_are_signs_too(folder: Path) -> None:
    writer = writer_in(folder)
    reader = reader_in(folder)
    before = monotonic_ns()
    writer.heartbeat()
    assert reader.silent_ns <= monotonic_ns() - before
    del writer
    assert reader.state == "closed"


def overwrite(path: Path, at: int, raw: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(raw)


@pytest.mark.parametrize(
    ("at", "raw", "says"),
    [
        (0, b"ELF?ELF?", "not a broadcast segment"),
        (8, struct.pack("=I", 0x04030201), "byte order"),
        (12, struct.pack("=I", 2), "version 2"),
        (16, struct.pack("=I", 24), "damaged"),
        (16, struct.pack("=I", 0), "damaged"),
        (20, struct.pack("=I", 2**31), "damaged"),
        (24, struct.pack("=Q", 2**60), "damaged"),
        (24, struct.pack("=Q", 6), "damaged"),
        (50, b"x", "damaged"),
        (32, b"other", "tag"),
    ],
)
def test_a_forged_header_is_refused_and_left_alone(
    folder: Path, at: int, raw: bytes, says: str
) -> None:
    writer_in(folder).close()
    path = folder / "dhanfast-ring"
    overwrite(path, at, raw)
    before = path.read_bytes()
    for attempt in (reader_in, writer_in):
        with pytest.raises(BadData, match=says):
            attempt(folder)
    assert path.read_bytes() == before


def test_foreign_files_are_refused(folder: Path) -> None:
    path = folder / "dhanfast-ring"
    path.write_bytes(b"short")
    with pytest.raises(BadData, match="less than a header"):
        reader_in(folder)
    with pytest.raises(BadData, match="less than a header"):
        writer_in(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadData, match="ordinary file"):
        reader_in(folder)
    path.unlink()
    path.symlink_to(folder / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        writer_in(folder)


def test_a_truncated_segment_is_refused(folder: Path) -> None:
    writer_in(folder).close()
    os.truncate(folder / "dhanfast-ring", 300)
    with pytest.raises(BadData, match="300 bytes"):
        reader_in(folder)


def test_other_sizes_are_refused(folder: Path) -> None:
    writer_in(folder).close()
    with pytest.raises(BadData, match=r"records of 16, wanted 24"):
        writer_in(folder, record_bytes=24)
    with pytest.raises(BadData, match=r"slots 8, wanted 16"):
        writer_in(folder, 16)
    with pytest.raises(BadData, match=r"records of 16, wanted 8"):
        reader_in(folder, dtype="<u8")


def test_bad_arguments_are_refused(folder: Path) -> None:
    for size in (0, 7, 12, 65_544):
        with pytest.raises(UsageError, match="record_bytes"):
            writer_in(folder, record_bytes=size)
    for slots in (0, 1, 3, 2**40):
        with pytest.raises(UsageError, match="slots"):
            writer_in(folder, slots)
    for tag in ("", "x" * 17):
        with pytest.raises(UsageError, match="tag"):
            writer_in(folder, tag=tag)
    for name in ("", "../etc/passwd", "a/b", ".hidden", "x" * 101, None):
        with pytest.raises(UsageError, match="name"):
            BroadcastReader(name, dtype=RECORD, tag="test", folder=str(folder))
    writer = writer_in(folder)
    with pytest.raises(UsageError, match="16 bytes"):
        writer.put_many(np.zeros(3))
    reader = reader_in(folder)
    for limit in (0, 2**24 + 1):
        with pytest.raises(UsageError, match="limit"):
            reader.read(limit)
    with pytest.raises(FileNotFoundError):
        BroadcastReader("absent", dtype=RECORD, tag="test", folder=str(folder))
