"""A disk that refuses: at every call, by a real full file system, and by a limit of the process."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dhanfast.clock import ManualClock
from dhanfast.errors import DhanfastError
from dhanfast.storage.archive.chunkfile import Disk
from dhanfast.storage.archive.repair import inspect
from dhanfast.storage.archive.sealing import seal_file

from .ticks import START_NS, facts, listed, read, rows_of, ticks, writer

SECOND = 1_000_000_000


class BadDisk(Disk):
    """Takes `room` bytes, then refuses; a sync or a cut can be made to fail as well.

    Bytes written since the last good sync are forgotten by a failing one, as the kernel may do.
    """

    def __init__(self, room: int = 1 << 40, error: int = errno.ENOSPC) -> None:
        self.room, self.error = room, error
        self.fail_sync = self.fail_cut = self.piece = 0
        self.dirty: list[tuple[int, int]] = []

    def write(self, handle: int, data: memoryview, offset: int) -> int:
        if self.room == 0:
            raise OSError(self.error, os.strerror(self.error))
        part = data[: min(self.room, self.piece or len(data))]
        self.room -= len(part)
        self.dirty.append((offset, len(part)))
        return os.pwrite(handle, part, offset)

    def sync(self, handle: int) -> None:
        if self.fail_sync:
            self.fail_sync -= 1
            for offset, size in self.dirty:
                os.pwrite(handle, bytes(size), offset)  # lost: the pages never reached the disk
            self.dirty.clear()
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.dirty.clear()
        os.fdatasync(handle)

    def truncate(self, handle: int, size: int) -> None:
        if self.fail_cut:
            self.fail_cut -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.ftruncate(handle, size)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "2025-11-24.dfa"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_a_full_disk_stops_with_an_alarm_and_goes_on_when_there_is_room(
    path: Path, error: int
) -> None:
    clock, disk = ManualClock(START_NS), BadDisk(error=error)
    out = writer(path, clock, disk=disk, block_rows=10, retry_ns=SECOND)
    out.append("ticks", ticks(0, 10))
    size, disk.room = path.stat().st_size, 100
    assert out.append("ticks", ticks(10, 17)) == 10  # a block stays in memory, the rest is dropped
    assert out.state == "alarm" and out.alarm is not None
    assert (out.alarm.errno, out.alarm.doing) == (error, "write")
    assert path.stat().st_size == size, "cut back to the last whole chunk"
    assert (out.rows_written, out.rows_flushed, out.rows_dropped) == (20, 10, 7)
    with pytest.raises(DhanfastError, match=r"10 rows .* 7 were dropped"):
        out.flush()
    disk.room = 1 << 40
    clock.advance(0.5)
    out.poll(clock.now_ns())
    assert out.state == "alarm", "asked again only after retry_ns"
    out.append("ticks", ticks(27, 1))
    clock.advance(0.6)
    out.poll(clock.now_ns())
    assert (out.state, out.alarms, out.rows_synced) == ("open", 1, 20)
    out.append("ticks", ticks(28, 2))
    out.close()
    assert rows_of(path) == listed(ticks(0, 20)) + listed(ticks(28, 2))
    assert [seq for seq, _, _ in read(path)] == [*range(20), 28, 29]
    gap = next(note for note in facts(path).notes if note["kind"] == "gap")
    assert (gap["stream"], gap["lost"]) == ("ticks", 8)
    assert (gap["from_ns"], gap["to_ns"]) == (
        ticks(20, 1)["recv_ns"][0],
        ticks(27, 1)["recv_ns"][0],
    )
    assert os.strerror(error) in gap["reason"]


def test_every_byte_may_be_the_last_one_that_fits(path: Path) -> None:
    """Whatever part of a chunk was taken is undone; what was flushed stays readable."""
    with writer(path, block_rows=4) as out:
        out.append("ticks", ticks(0, 4))
    start = path.read_bytes()
    chunk = None
    room = 0
    while chunk is None or room <= chunk:
        path.write_bytes(start)
        disk = BadDisk(room)
        out = writer(path, disk=disk, block_rows=4)
        taken = out.append("ticks", ticks(4, 4))
        assert taken == 4
        assert len(rows_of(path)) == out.rows_flushed
        assert inspect(path).torn_bytes == 0
        if out.state == "open" and chunk is None:
            chunk = room
        with pytest.raises(DhanfastError) if out.state == "alarm" else _nothing():
            out.flush()
        disk.room = 1 << 40
        out.close()
        assert rows_of(path) == listed(ticks(0, 8))
        room += 1 if chunk is None else 10
        room += 13 * (room % 7 == 0)  # not every one: a third is enough to meet each boundary


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_short_writes_are_finished(path: Path) -> None:
    disk = BadDisk()
    disk.piece = 7
    with writer(path, disk=disk, block_rows=4) as out:
        out.append("ticks", ticks(0, 10))
    assert rows_of(path) == listed(ticks(0, 10))


def test_a_disk_that_cannot_even_cut_is_cut_later(path: Path) -> None:
    clock, disk = ManualClock(START_NS), BadDisk()
    out = writer(path, clock, disk=disk, block_rows=4)
    out.append("ticks", ticks(0, 4))
    disk.room, disk.fail_cut = 50, 2
    out.append("ticks", ticks(4, 4))
    assert inspect(path).torn_bytes == 50
    disk.room = 1 << 40
    clock.advance(1)
    out.poll(clock.now_ns())  # the second cut fails
    assert out.state == "alarm"
    clock.advance(1)
    out.poll(clock.now_ns())
    assert out.state == "open"
    out.close()
    assert rows_of(path) == listed(ticks(0, 8)) and inspect(path).damage == []


@pytest.mark.parametrize("background", [False, True])
def test_what_a_failed_sync_lost_is_written_again(path: Path, background: bool) -> None:
    """After a failed fsync the system may drop pages it calls clean: a plain retry would lie."""
    clock, disk = ManualClock(START_NS), BadDisk()
    out = writer(path, clock, disk=disk, block_rows=4, sync_ns=0, background_sync=background)
    out.append("ticks", ticks(0, 4))
    out.sync()
    out.append("ticks", ticks(4, 8))
    disk.fail_sync = 1
    out.poll(clock.now_ns())
    if background:
        while out.state == "open":
            out.poll(clock.now_ns())
    assert out.alarm is not None and (out.alarm.doing, out.alarm.errno) == ("sync", errno.EIO)
    assert out.rows_synced == 4
    assert len(rows_of(path)) == 4, "the disk forgot"
    clock.advance(1)
    out.poll(clock.now_ns())
    assert (out.state, out.rows_synced) == ("open", 12)
    assert rows_of(path) == listed(ticks(0, 12))
    out.close()


def test_sync_says_so_when_it_fails(path: Path) -> None:
    disk = BadDisk()
    out = writer(path, disk=disk)
    out.append("ticks", ticks(0, 4))
    disk.fail_sync = 3
    for _ in range(2):
        with pytest.raises(DhanfastError, match="4 rows are not durable"):
            out.sync()
    assert (out.rows_flushed, out.rows_synced) == (4, 0)
    with pytest.raises(DhanfastError):
        out.close()
    assert out.state == "closed"


def test_a_writer_that_cannot_write_its_last_rows_says_how_many(path: Path) -> None:
    disk = BadDisk()
    out = writer(path, disk=disk)
    disk.room = 10
    out.append("ticks", ticks(0, 6))
    with pytest.raises(DhanfastError, match="6 rows are not durable"):
        out.close()
    assert inspect(path).torn_bytes == 0
    writer(path).close()  # the lock is free


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)],
                          capture_output=True, check=False)  # fmt: skip
    if made.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def noisy(first: int, count: int) -> np.ndarray:
    """Ticks that do not compress: a small disk fills quickly."""
    rows = ticks(first, count)
    rng = np.random.default_rng(first)
    rows["volume"] = rng.integers(0, 1 << 60, count)
    rows["price"] = rng.integers(0, 1 << 40, count)
    return rows


def test_a_real_full_disk(small_disk: Path) -> None:
    path, clock = small_disk / "2025-11-24.dfa", ManualClock(START_NS)
    out = writer(path, clock, block_rows=1_000)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    first = 0
    while out.rows_dropped == 0:
        out.append("ticks", noisy(first, 1_000))
        first += 1_000
    assert out.alarm is not None and out.alarm.errno == errno.ENOSPC
    kept = out.rows_flushed
    assert inspect(path).rows == kept and inspect(path).torn_bytes == 0
    assert not os.path.exists(f"{path}.sealing")
    ballast.unlink()
    clock.advance(1)
    out.poll(clock.now_ns())
    assert (out.state, out.rows_flushed) == ("open", kept + 1_000)
    out.append("ticks", noisy(first, 10))
    out.close()
    assert len(rows_of(path)) == kept + 1_010
    assert sum(note.get("lost", 0) for note in facts(path).notes) == out.rows_dropped == 1_000


def test_no_room_to_seal_leaves_the_live_file(small_disk: Path) -> None:
    path = small_disk / "2025-11-24.dfa"
    with writer(path, block_rows=500) as out:
        out.append("ticks", noisy(0, 4_000))
    before = path.read_bytes()
    (small_disk / "ballast").write_bytes(bytes(256 * 1024 - len(before) - 20_000 & ~4095))
    with pytest.raises(DhanfastError, match="cannot be sealed"):
        seal_file(path)
    assert path.read_bytes() == before
    assert sorted(each.name for each in small_disk.iterdir()) == ["2025-11-24.dfa", "ballast"]
    (small_disk / "ballast").unlink()
    assert seal_file(path).rows == 4_000


LIMITED = """
import resource, signal, sys
from dhanfast._core.archive.schema import TICKS
from dhanfast.clock import ManualClock
from dhanfast.storage.archive.writer import ArchiveWriter
import numpy as np
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
out = ArchiveWriter(sys.argv[1], [TICKS], clock=ManualClock(), block_rows=100)
rng = np.random.default_rng(1)
while out.rows_dropped == 0:
    rows = np.zeros(100, TICKS.dtype)
    rows["price"] = rng.integers(0, 1 << 60, 100)
    out.append("ticks", rows)
print(out.alarm.errno, out.rows_flushed, out.file_bytes)
"""


def test_a_limit_of_the_process_is_a_full_disk(path: Path) -> None:
    answer = subprocess.run([sys.executable, "-c", LIMITED, str(path)], capture_output=True,
                            text=True, check=True)  # fmt: skip
    code, rows, size = map(int, answer.stdout.split())
    assert code == errno.EFBIG and signal.SIGXFSZ
    assert path.stat().st_size == size <= 20_000
    assert len(rows_of(path)) == rows > 0
