"""Tick archives of a catalog: what is there, finding a day, and pruning that never leaves half."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.archive.schema import TICKS
from dhanfast._core.types import TICK_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.errors import UsageError
from dhanfast.storage.archive.catalog import (
    archives_of_day,
    held_archives,
    import_into,
    is_writing,
    prune,
)
from dhanfast.storage.archive.importing import TickOptions
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.writer import ArchiveWriter

OPEN = 1_767_325_500_000_000_000  # 2026-01-02 09:15 IST
DAY = 86_400_000_000_000
CLOCK = ManualClock(OPEN)


def ticks_of(day: int, rows: int = 30) -> np.ndarray[Any, Any]:
    """Ticks of three instruments on a day after 2026-01-02."""
    made = np.zeros(rows, TICK_DTYPE)
    made["recv_ns"] = made["exch_ns"] = OPEN + day * DAY + np.arange(rows) * 10**9
    made["price"] = np.random.default_rng(day).integers(1, 10**9, rows)
    made["instrument"] = np.arange(rows) % 3
    return made


def archive(root: Path, day: int, *, seal: bool = True, rows: int = 30) -> Path:
    """A day's file as the recorder names it."""
    folder = root / "ticks" / "2026"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"2026-01-{2 + day:02d}.dfa"
    writer = ArchiveWriter(path, [TICKS], clock=CLOCK, day=20260102 + day, source="by hand")
    writer.add_instruments([{"index": at, "symbol": name} for at, name in enumerate("ABC")])
    writer.append("ticks", ticks_of(day, rows))
    writer.note({"kind": "gap", "stream": "ticks", "lost": 4, "from_ns": OPEN, "to_ns": OPEN})
    if seal:
        writer.seal()
    else:
        writer.close()
    return path


def test_what_is_held(tmp_path: Path) -> None:
    archive(tmp_path, 0)
    archive(tmp_path, 1, seal=False)
    (tmp_path / "ticks" / "2026" / "2026-01-09.dfa").write_bytes(b"nothing")
    first, second, bad = held_archives(tmp_path)
    assert (first.rows, first.symbols, first.gaps, first.lost) == ({"ticks": 30}, 3, 1, 4)
    assert (first.first_day, first.last_day) == (date(2026, 1, 2), date(2026, 1, 2))
    assert (first.sealed, second.sealed, second.writing) == (True, False, False)
    assert len(first.digest) == 64 and second.digest == ""
    assert "not a dhanfast archive" in bad.error
    assert archives_of_day(tmp_path, date(2026, 1, 3)) == [second.path]
    with pytest.raises(UsageError, match="no tick archive of 2026-02-01; it has 2026-01-02 to"):
        archives_of_day(tmp_path, date(2026, 2, 1))


def test_an_import_is_held_once(tmp_path: Path) -> None:
    path = tmp_path / "my ticks.csv"
    path.write_text("ts,symbol,ltp\n1767325500,A,1.05\n1767325501,A,1.10\n")
    done = import_into(tmp_path / "cat", path, TickOptions(), CLOCK)
    assert Path(done.archive).relative_to(tmp_path / "cat") == Path(
        "ticks/2026/2026-01-02-my_ticks.dfa"
    )
    assert import_into(tmp_path / "cat", path, TickOptions(), CLOCK).unchanged
    other = import_into(tmp_path / "cat", path, TickOptions(clock="exch"), CLOCK)
    assert not other.unchanged and other.archive.endswith("2026-01-02-my_ticks.2.dfa")
    (held, _) = held_archives(tmp_path / "cat")
    assert held.sources[0]["sha256"] == done.sha256 and held.sources[0]["file"] == path.name


def test_prune_takes_old_days_and_says_how_much(tmp_path: Path) -> None:
    sizes = [archive(tmp_path, day).stat().st_size for day in range(4)]
    planned = prune(tmp_path, date(2026, 1, 4), dry_run=True)
    assert len(held_archives(tmp_path)) == 4
    done = prune(tmp_path, date(2026, 1, 4))
    assert done == planned
    assert [(one.action, one.freed, one.rows) for one in done] == [
        ("removed", size, 30) for size in sizes[:2]
    ]
    assert [str(one.first_day) for one in held_archives(tmp_path)] == ["2026-01-04", "2026-01-05"]


def test_prune_never_takes_a_file_that_is_being_written(tmp_path: Path) -> None:
    archive(tmp_path, 0)
    path = tmp_path / "ticks" / "2026" / "2026-01-03.dfa"
    with ArchiveWriter(path, [TICKS], clock=CLOCK) as writer:
        writer.append("ticks", ticks_of(1))
        writer.flush()
        assert is_writing(path)
        done = prune(tmp_path, date(2027, 1, 1))
        assert [(one.action, one.why) for one in done] == [
            ("removed", ""), ("kept", "it is being written")
        ]  # fmt: skip
        writer.append("ticks", ticks_of(1))
    with ArchiveReader(path) as reader:
        assert reader.rows() == 60


def test_prune_of_symbols_keeps_the_others(tmp_path: Path) -> None:
    path = archive(tmp_path, 0, rows=3000)
    with ArchiveReader(path) as reader:
        before = reader.to_numpy()
        blocks = list(reader.blocks())
    (done,) = prune(tmp_path, date(2027, 1, 1), symbols=["A", "C"], clock=CLOCK)
    assert (done.action, done.rows) == ("shortened", 2000) and done.freed > 0
    with ArchiveReader(path) as reader:
        kept = before["instrument"] == 1
        assert reader.to_numpy().tobytes() == before[kept].tobytes()
        seq = np.concatenate([block.seq for block in blocks])
        assert np.concatenate([b.seq for b in reader.blocks()]).tolist() == seq[kept].tolist()
        assert reader.sealed and reader.instruments[1].symbol == "B"
        assert {note["kind"] for note in reader.notes} >= {"gap", "converted"}
    (again,) = prune(tmp_path, date(2027, 1, 1), symbols=["A"], clock=CLOCK)
    assert (again.action, again.why) == ("kept", "none of the symbols is in it")
    (gone,) = prune(tmp_path, date(2027, 1, 1), symbols=["B"], clock=CLOCK)
    assert gone.action == "removed" and held_archives(tmp_path) == []


def test_a_draft_at_work_is_left_alone(tmp_path: Path) -> None:
    archive(tmp_path, 0)
    folder = tmp_path / "ticks" / "2026"
    names = [f".new-{os.getppid()}-other.dfa", ".new-k3_x9q1z", ".new-4194304999-dead.dfa"]
    for name in names:
        (folder / name).write_bytes(b"half")
    prune(tmp_path, date(2020, 1, 1))
    assert sorted(path.name for path in folder.glob(".new-*")) == sorted(names[:2])


KILLED = """
import os, sys
from datetime import date
from pathlib import Path
import numpy, dhanfast.storage.archive.converting
from dhanfast.clock import ManualClock
from dhanfast.storage.archive.catalog import prune

left = int(sys.argv[2])

def dying(call):
    def run(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        made = call(*args, **kwargs)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return made
    return run

for name in ("unlink", "replace", "link", "fsync", "fdatasync", "pwrite"):
    setattr(os, name, dying(getattr(os, name)))
prune(Path(sys.argv[1]), date(2026, 1, 4), symbols=["A"] , clock=ManualClock(0))
prune(Path(sys.argv[1]), date(2026, 1, 4))
"""


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8, 11, 13, 14, 16, 18])
def test_a_kill_leaves_whole_files(tmp_path: Path, step: int) -> None:
    for day in range(3):
        archive(tmp_path, day)
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(step)], env=dict(os.environ), check=False
    )
    assert ended.returncode in (-9, 0)
    for held in held_archives(tmp_path):
        assert held.error == "" and held.sealed
        with ArchiveReader(held.path) as reader:
            rows = reader.to_numpy()
        whole = ticks_of(int(held.first_day.day) - 2)  # type: ignore[union-attr]
        short = whole[whole["instrument"] != 0]
        assert rows.tobytes() in (whole.tobytes(), short.tobytes())
    for draft in (tmp_path / "ticks").rglob(".new-*"):
        os.utime(draft, (0, 0))  # a recorder's would be kept for an hour
    prune(tmp_path, date(2026, 1, 4))
    left = [path.name for path in (tmp_path / "ticks").rglob("*") if path.is_file()]
    assert left == ["2026-01-04.dfa"]
