"""The recorder: every record of a ring once, or a gap that says how many are missing."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.broadcast import BroadcastWriter, remove
from dhanfast._core.types import BAR_DTYPE, EVENT_DTYPE, TICK_DTYPE, EventKind
from dhanfast.clock import ManualClock
from dhanfast.errors import BadData, DhanfastError
from dhanfast.storage.archive.folder import ArchiveFolder, is_sealed
from dhanfast.storage.archive.recorder import Recorder, Recording
from dhanfast.storage.archive.repair import inspect, repair

from .test_disk_faults import BadDisk
from .ticks import START_NS, bars, facts, listed, read, rows_of, ticks

HOUR = 3_600_000_000_000
PLAIN = Recording(seal=False, source="test", block_rows=64)


class Stand:
    """A ring, a folder and a clock."""

    def __init__(self, folder: Path, *, slots: int = 256, tag: str = "tick") -> None:
        self.folder, self.slots, self.tag = folder, slots, tag
        self.root = folder / "archive"
        self.clock = ManualClock(START_NS + HOUR)
        self.path = self.root / "2025-11-24.dfa"
        self.ring: BroadcastWriter | None = None

    def begin(self) -> BroadcastWriter:
        size = {"tick": 72, "event": 80, "other": 72}[self.tag]
        self.ring = BroadcastWriter("feed", record_bytes=size, slots=self.slots, tag=self.tag,
                                    folder=str(self.folder))  # fmt: skip
        return self.ring

    def recorder(self, what: Recording = PLAIN, **more: Any) -> Recorder:
        return Recorder("feed", self.root, clock=self.clock, what=what,
                        ring_folder=str(self.folder), **more)  # fmt: skip

    def status(self) -> dict[str, Any]:
        told = json.loads((self.folder / "dhanfast-feed.recorder.json").read_text())
        assert isinstance(told, dict)
        return told

    def later(self, seconds: float = 1.0) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_ticks_go_from_the_ring_into_the_day_s_file(stand: Stand) -> None:
    ring = stand.begin()
    ring.put_many(ticks(0, 10))  # before the recorder came, and still there
    recorder = stand.recorder()
    assert recorder.step() == 10
    ring.put_many(ticks(10, 100))
    assert recorder.step() == 100
    recorder.close()
    assert rows_of(stand.path) == listed(ticks(0, 110))
    assert [seq for seq, _, _ in read(stand.path)] == list(range(110))
    assert recorder.lost == 0 and [n["kind"] for n in facts(stand.path).notes] == ["ring", "closed"]
    assert facts(stand.path).head["day"] == 20251124


def test_a_lapped_recorder_says_what_is_missing(stand: Stand) -> None:
    ring = stand.begin()
    recorder = stand.recorder()
    ring.put_many(ticks(0, 50))
    recorder.step()
    ring.put_many(ticks(50, 1_000))
    taken = recorder.step()
    recorder.close()
    rows, (gap,) = read(stand.path), [n for n in facts(stand.path).notes if n["kind"] == "gap"]
    assert gap["lost"] == recorder.lost == 1_000 - taken and gap["stream"] == "ticks"
    assert [row for _, row, _ in rows] == listed(ticks(0, 50)) + listed(ticks(1_050 - taken, taken))
    assert [seq for seq, _, _ in rows] == [*range(50), *range(1_050 - taken, 1_050)]
    assert gap["from_ns"] == ticks(49, 1)["recv_ns"][0]
    assert gap["to_ns"] == ticks(1_050 - taken, 1)["recv_ns"][0]


@pytest.mark.parametrize("clean", [True, False])
def test_a_recorder_that_comes_back_records_everything_once(stand: Stand, clean: bool) -> None:
    """What the dead one had flushed is not recorded again; what it had not is still in the ring."""
    ring = stand.begin()
    first = stand.recorder()
    ring.put_many(ticks(0, 100))
    first.step()  # 64 are a full block and in the file, 36 in memory
    if clean:
        first.close()
    else:
        assert first.writer is not None and first.writer.rows_flushed == 64
        first.writer._file.close()  # as kill -9 leaves it
        with stand.path.open("ab") as file:
            file.write(b"DFCK half a chunk")
    ring.put_many(ticks(100, 60))
    second = stand.recorder()
    second.step()
    second.close()
    assert rows_of(stand.path) == listed(ticks(0, 160))
    assert [seq for seq, _, _ in read(stand.path)] == list(range(160))
    assert second.lost == 0 and not [n for n in facts(stand.path).notes if n["kind"] == "gap"]


def test_a_recorder_that_was_away_too_long_counts_what_is_gone(stand: Stand) -> None:
    ring = stand.begin()
    first = stand.recorder()
    ring.put_many(ticks(0, 100))
    first.step()
    first.close()
    ring.put_many(ticks(100, 500))
    second = stand.recorder()
    taken = second.step()
    second.close()
    (gap,) = [n for n in facts(stand.path).notes if n["kind"] == "gap"]
    assert gap["lost"] == second.lost == 500 - taken > 0
    assert rows_of(stand.path) == listed(ticks(0, 100)) + listed(ticks(600 - taken, taken))


def test_a_new_writer_of_the_ring_is_noted(stand: Stand) -> None:
    ring = stand.begin()
    recorder = stand.recorder()
    ring.put_many(ticks(0, 5))
    recorder.step()
    ring.close()
    ring = stand.begin()
    assert ring.epoch == 2
    ring.put_many(ticks(5, 5))
    stand.later()
    recorder.step()
    recorder.close()
    assert rows_of(stand.path) == listed(ticks(0, 10))
    (mark,) = [n for n in facts(stand.path).notes if n["kind"] == "marker"]
    assert (mark["before"], mark["epoch"]) == (1, 2)


def test_a_ring_that_is_made_anew_goes_on_in_the_same_file(stand: Stand) -> None:
    ring = stand.begin()
    recorder = stand.recorder()
    ring.put_many(ticks(0, 30))
    recorder.step()
    ring.put_many(ticks(30, 5))
    ring.close()
    remove("feed", folder=str(stand.folder))
    recorder.step()  # what the old ring still had
    stand.later()
    recorder.step()
    assert recorder.state == "waiting"
    ring = stand.begin()
    ring.put_many(ticks(35, 5))
    stand.later()
    recorder.step()
    assert recorder.state == "recording"
    recorder.close()
    assert rows_of(stand.path) == listed(ticks(0, 40))
    assert [seq for seq, _, _ in read(stand.path)] == list(range(40))
    assert [n["position"] for n in facts(stand.path).notes if n["kind"] == "ring"] == [0, 0]


def test_the_day_turns_at_midnight_in_india(stand: Stand) -> None:
    ring = stand.begin()
    rows = ticks(0, 100)
    midnight = 1_764_009_000_000_000_000  # 2025-11-25 00:00 IST, 2025-11-24 18:30 UTC
    rows["recv_ns"] = midnight - 60 + np.arange(100)
    stand.clock = ManualClock(midnight + 1_000)
    recorder = stand.recorder(Recording(seal=True, level=1))
    ring.put_many(rows)
    recorder.step()
    ring.put_many(rows[:3])  # late ones: in the new day's file, counted
    recorder.step()
    recorder.close()
    old, new = stand.path, stand.root / "2025-11-25.dfa"
    assert rows_of(old) == listed(rows[:60])
    assert rows_of(new) == listed(rows[60:]) + listed(rows[:3])
    assert recorder.late == 3
    assert is_sealed(old) and is_sealed(new) and facts(old).sealed and facts(new).sealed
    assert [facts(each).head["day"] for each in (old, new)] == [20251124, 20251125]
    assert ArchiveFolder(stand.root).unsealed(midnight + 10**15) == []


def test_a_stamp_of_the_future_does_not_turn_the_day(stand: Stand) -> None:
    ring = stand.begin()
    recorder = stand.recorder()
    rows = ticks(0, 10)
    rows["recv_ns"][5] += 400 * 24 * HOUR
    ring.put_many(rows)
    recorder.step()
    recorder.close()
    assert rows_of(stand.path) == listed(rows)
    assert [each.name for each in stand.root.iterdir()] == [stand.path.name]


def test_events_are_sorted_into_streams(tmp_path: Path) -> None:
    stand = Stand(tmp_path, tag="event")
    ring = stand.begin()
    events = np.zeros(9, EVENT_DTYPE)
    events["kind"] = [EventKind.TICK, EventKind.BAR, EventKind.REPORT] * 3
    tick, bar = ticks(0, 3), bars(0, 3)
    events["payload"][0::3] = tick.view(np.uint8).reshape(3, TICK_DTYPE.itemsize)
    events["payload"][1::3, : BAR_DTYPE.itemsize] = bar.view(np.uint8).reshape(3, -1)
    ring.put_many(events)
    recorder = stand.recorder()
    recorder.step()
    recorder.close()
    assert [(seq, row) for seq, row, _ in read(stand.path)] == list(
        zip([0, 3, 6], listed(tick), strict=True)
    )
    assert [seq for seq, _, _ in read(stand.path, "bars")] == [1, 4, 7]
    assert rows_of(stand.path, "bars") == listed(bar)
    assert (recorder.skipped, recorder.lost) == (3, 0)


def test_a_full_disk_never_stops_the_drain(stand: Stand) -> None:
    ring, disk = stand.begin(), BadDisk()
    recorder = stand.recorder(disk=disk)
    ring.put_many(ticks(0, 64))
    recorder.step()
    disk.room = 0
    for n in range(5):
        ring.put_many(ticks(64 + 50 * n, 50))
        assert recorder.step() == 50, "the ring is drained all the same"
    stand.later()
    recorder.step()
    assert recorder.state == stand.status()["state"] == "alarm"
    assert stand.status()["alarm"]["errno"] == errno.ENOSPC
    assert stand.status()["lost"] == 186
    disk.room = 1 << 40
    stand.later(2)
    recorder.step()
    assert recorder.state == "recording"
    ring.put_many(ticks(314, 6))
    recorder.step()
    recorder.close()
    assert rows_of(stand.path) == listed(ticks(0, 128)) + listed(ticks(314, 6))
    (gap,) = [n for n in facts(stand.path).notes if n["kind"] == "gap"]
    assert (gap["lost"], gap["stream"]) == (186, "ticks")


def test_a_folder_that_cannot_be_written_is_tried_again(stand: Stand) -> None:
    ring = stand.begin()
    recorder = stand.recorder()
    stand.root.rmdir()
    ring.put_many(ticks(0, 10))
    recorder.step()
    assert recorder.state == "alarm" and "No such file" in str(recorder.last_error)
    stand.root.mkdir()
    stand.later(2)
    ring.put_many(ticks(10, 10))
    recorder.step()
    recorder.close()
    assert rows_of(stand.path) == listed(ticks(10, 10)) and recorder.lost == 10
    assert [n["lost"] for n in facts(stand.path).notes if n["kind"] == "gap"] == [10]


@pytest.mark.parametrize("trouble", ["sealed", "damaged", "foreign", "other streams"])
def test_a_file_that_cannot_go_on_gets_a_second_part(stand: Stand, trouble: str) -> None:
    ring = stand.begin()
    first = stand.recorder(Recording(seal=trouble == "sealed", block_rows=4))
    ring.put_many(ticks(0, 20))
    first.step()
    first.close()
    data = stand.path.read_bytes()
    if trouble == "damaged":
        stand.path.write_bytes(data[:-600] + b"\xff" + data[-599:])
    elif trouble == "foreign":
        stand.path.write_bytes(b"somebody else's")
    elif trouble == "other streams":
        ring.close()
        remove("feed", folder=str(stand.folder))
        stand.tag = "event"
        ring = stand.begin()
    left = stand.path.read_bytes()
    second = stand.recorder()
    more = ticks(20, 5)
    if trouble == "other streams":
        more = np.zeros(5, EVENT_DTYPE)
        more["kind"] = EventKind.TICK
        more["payload"] = ticks(20, 5).view(np.uint8).reshape(5, -1)
    ring.put_many(more)
    second.step()
    second.close()
    other = stand.root / "2025-11-24.2.dfa"
    assert stand.path.read_bytes() == left
    assert listed(ticks(20, 5)) == rows_of(other)[-5:]
    third = stand.recorder()
    third.step()
    third.close()
    assert ArchiveFolder(stand.root).parts(_day()) == [stand.path, other]


def _day() -> date:
    return date(2025, 11, 24)


def test_a_second_recorder_is_refused(stand: Stand) -> None:
    ring = stand.begin()
    ring.put_many(ticks(0, 5))
    recorder = stand.recorder()
    recorder.step()
    with pytest.raises(DhanfastError, match=f"process {os.getpid()} is writing it right now"):
        stand.recorder().step()
    recorder.close()


def test_a_ring_of_something_else_is_refused(tmp_path: Path) -> None:
    stand = Stand(tmp_path, tag="other")
    stand.begin()
    with pytest.raises(BadData, match="carries none of tick, depth, event"):
        stand.recorder()


def test_it_waits_for_a_ring_and_tells_what_it_does(stand: Stand) -> None:
    recorder = stand.recorder()
    recorder.step()
    assert stand.status()["state"] == "waiting"
    ring = stand.begin()
    recorder.add_instruments([{"index": 0, "symbol": "NIFTY"}])
    ring.put_many(ticks(0, 80))
    stand.later()
    recorder.step()
    told = stand.status()
    assert told["state"] == "recording" and told["ring_state"] == "live"
    assert (told["records"], told["rows_written"], told["lost"]) == (80, 80, 0)
    assert told["rate_per_s"] == 80.0 and told["pid"] == os.getpid()
    recorder.add_instruments([{"index": 1, "symbol": "BANKNIFTY"}])
    recorder.close()
    assert stand.status()["state"] == "stopped"
    assert {each["symbol"] for each in facts(stand.path).instruments.values()} == {
        "NIFTY", "BANKNIFTY"}  # fmt: skip


def test_files_left_over_from_other_days_are_sealed(stand: Stand) -> None:
    ring = stand.begin()
    first = stand.recorder()
    ring.put_many(ticks(0, 20))
    first.step()
    first.close()
    with stand.path.open("ab") as file:
        file.write(b"torn")
    stand.later(86_400)
    second = stand.recorder(Recording(seal=True))
    second.close()
    assert is_sealed(stand.path) and rows_of(stand.path) == listed(ticks(0, 20))


PROCESS = """
import sys
from dhanfast.storage.archive.recorder import Recording, record_ring
done = record_ring("feed", sys.argv[2], ring_folder=sys.argv[1],
                   what=Recording(seal=sys.argv[3] == "seal", flush_ns=20_000_000))
print(done.records, done.lost)
"""


def live(first: int, count: int) -> np.ndarray:
    rows = ticks(first, count)
    rows["recv_ns"] = time.time_ns()
    return rows


def wait_for(what: Any, process: "subprocess.Popen[str]") -> None:
    for _ in range(1_000):
        if what():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("the recorder did not get there in 10 s")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_every_record_on_the_disk(stand: Stand, number: int) -> None:
    stand.slots = 1 << 16
    ring = stand.begin()
    process = start(stand, "seal")
    wait_for(lambda: (stand.folder / "dhanfast-feed.recorder.json").exists(), process)
    for n in range(20):
        ring.put_many(live(1_000 * n, 1_000))
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and out.split() == ["20000", "0"]
    (path,) = stand.root.iterdir()
    found = inspect(path, decode=True)
    assert found.sealed and found.rows == 20_000
    assert stand.status()["state"] == "stopped" and stand.status()["rows_synced"] == 20_000


def start(stand: Stand, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(stand.folder), str(stand.root), *more],
        stdout=subprocess.PIPE, text=True)  # fmt: skip


def test_killed_and_started_again_nothing_is_lost_or_doubled(stand: Stand) -> None:
    """Real processes, kill -9, and a ring deep enough to bridge the gap."""
    stand.slots = 1 << 16
    ring = stand.begin()
    published = 0
    for life in range(3):
        process = start(stand, "no")
        want = published
        wait_for(lambda: _rows(stand) >= want, process)  # noqa: B023
        for _ in range(5):
            ring.put_many(live(published, 700))
            published += 700
        wait_for(lambda: _rows(stand) > want, process)  # noqa: B023
        if life < 2:
            process.kill()
            process.communicate()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    (path,) = stand.root.glob("*.dfa")
    assert repair(path).damage == []
    assert [row[5] for row in rows_of(path)] == (75 * np.arange(published)).tolist()
    assert [seq for seq, _, _ in read(path)] == list(range(published))


def _rows(stand: Stand) -> int:
    files = list(stand.root.glob("*.dfa")) if stand.root.exists() else []
    return inspect(files[0]).rows if files else 0
