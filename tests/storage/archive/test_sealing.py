"""Sealing: the same rows in full blocks, whole at every moment, and never written again."""

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dhanfast.errors import BadData, DhanfastError
from dhanfast.storage.archive import sealing
from dhanfast.storage.archive.repair import inspect
from dhanfast.storage.archive.sealing import seal_file

from .plain_codec import chunk
from .ticks import bars, facts, frames, read, ticks, writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "2025-11-24.dfa"


def fill(path: Path) -> None:
    with writer(path, block_rows=3) as out:
        out.add_instruments([{"index": 1, "symbol": "NIFTY"}])
        for n in range(10):
            out.append("ticks", ticks(5 * n, 5))
            out.append("frames", frames(b"x" * n, b"", b"yz"), b"x" * n + b"yz")
            if n % 4 == 0:
                out.append("bars", bars(n, 2))
                out.note({"kind": "marker", "n": n})


def everything(path: Path) -> list[object]:
    return [read(path, name) for name in ("ticks", "bars", "frames")] + [facts(path).notes]


def test_a_sealed_file_says_the_same_in_fewer_blocks(path: Path) -> None:
    fill(path)
    before, size = everything(path), path.stat().st_size
    blocks = inspect(path).blocks
    sealed = seal_file(path)
    assert everything(path) == before
    assert facts(path).sealed  # the plain reader recomputes index, counts and digest
    assert (sealed.rows, sealed.blocks, sealed.live_bytes) == (86, 3, size) and blocks > 20
    data = path.read_bytes()
    assert sealed.sha256 == hashlib.sha256(data[:-88]).hexdigest() == data[-32:].hex()
    assert sealed.sealed_bytes == len(data) < size
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert facts(path).instruments[1]["symbol"] == "NIFTY"
    found = inspect(path, decode=True)
    assert found.sealed and found.damage == [] and found.rows == 86


def test_the_writer_seals_its_own_file(path: Path) -> None:
    out = writer(path, block_rows=2)
    out.append("ticks", ticks(0, 5))
    assert out.seal(level=3).rows == 5
    assert out.state == "sealed" and facts(path).sealed
    assert [seq for seq, _, _ in read(path)] == list(range(5))
    out.close()


def test_a_sealed_file_is_never_written_again(path: Path) -> None:
    fill(path)
    seal_file(path)
    before = path.read_bytes()
    with pytest.raises(DhanfastError, match="sealed"):
        writer(path)
    with pytest.raises(DhanfastError, match="sealed already"):
        seal_file(path)
    assert path.read_bytes() == before


def test_an_empty_day_can_be_sealed(path: Path) -> None:
    writer(path).close()
    assert seal_file(path).rows == 0
    assert facts(path).sealed and inspect(path).sealed


def test_a_file_somebody_writes_is_not_sealed_by_another(path: Path) -> None:
    out = writer(path)
    with pytest.raises(DhanfastError, match="writing it right now"):
        seal_file(path)
    out.close()


def test_torn_and_damaged_files_are_not_sealed(path: Path) -> None:
    fill(path)
    good = path.read_bytes()
    path.write_bytes(good + b"DFCK")
    with pytest.raises(BadData, match="torn tail"):
        seal_file(path)
    path.write_bytes(good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
    with pytest.raises(BadData, match="torn tail"):
        seal_file(path)
    middle = len(good) // 2
    path.write_bytes(good[:middle] + b"\xee" + good[middle + 1 :])
    with pytest.raises(BadData, match=r"byte \d+: .*--repair"):
        seal_file(path)


def test_what_does_not_read_back_is_not_sealed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A draft that went wrong on its way to the disk, or rows that did."""
    fill(path)
    before = path.read_bytes()
    whole = sealing._Draft.finish

    def spoil(draft: sealing._Draft, *arguments: object) -> object:
        sealed = whole(draft, *arguments)  # type: ignore[arg-type]
        draft._file.seek(-200, os.SEEK_END)
        draft._file.write(b"?")
        draft._file.flush()
        return sealed

    with monkeypatch.context() as patch:
        patch.setattr(sealing._Draft, "finish", spoil)
        with pytest.raises(BadData, match="does not read back"):
            seal_file(path)
    room = sealing.Pending.add

    def misread(pending: sealing.Pending, rows: object, seq: object, blob: bytes) -> None:
        rows = rows.copy()  # type: ignore[attr-defined]
        if pending.stream.name == "bars":
            rows["close"] += 5  # type: ignore[index]
        room(pending, rows, seq, blob)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(sealing.Pending, "add", misread)
        with pytest.raises(BadData, match="rows of bars differ"):
            seal_file(path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


KILLED = """
import os, sys
from dhanfast.storage.archive import sealing
steps = int(sys.argv[2])
def counted(call):
    def run(*arguments, **named):
        global steps
        if steps == 0:
            os.kill(os.getpid(), 9)
        steps -= 1
        return call(*arguments, **named)
    return run
for name in ("fsync", "replace", "fchmod", "unlink"):
    setattr(sealing.os, name, counted(getattr(os, name)))
sealing._Draft.put = counted(sealing._Draft.put)
sealing.sync_folder = counted(sealing.sync_folder)
sealing.seal_file(sys.argv[1])
"""


def test_killed_at_every_step_one_whole_file_is_there(path: Path) -> None:
    fill(path)
    live, before = path.read_bytes(), everything(path)
    outcomes = []
    for step in range(40):
        for each in path.parent.iterdir():
            each.unlink()
        path.write_bytes(live)
        done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(step)], check=False)
        assert everything(path) == before
        outcomes.append(facts(path).sealed)
        if not outcomes[-1]:
            assert path.read_bytes() == live
            seal_file(path)  # the draft of the killed one is in nobody's way
            assert everything(path) == before and facts(path).sealed
        if done.returncode == 0:
            break
    assert done.returncode == 0 and outcomes == sorted(outcomes) and len(outcomes) > 8
    assert outcomes.count(True) >= 2, "killed between rename and the folder's sync: sealed"


def test_finishing_cuts_a_torn_tail_and_names_what_it_cannot_seal(path: Path) -> None:
    fill(path)
    before = everything(path)
    with path.open("ab") as file:
        file.write(b"DFCK torn")
    other = path.with_name("other.dfa")
    other.write_bytes(b"nothing")
    command = [sys.executable, "-m", "dhanfast.storage.archive.finish", str(path), str(other)]
    for _ in range(2):  # the second time it is sealed already: nothing to do
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        assert answer.returncode == 1 and str(other) in answer.stderr
        assert str(path) not in answer.stderr
        assert facts(path).sealed and everything(path) == before
    assert other.read_bytes() == b"nothing"


def test_unknown_chunks_are_kept(path: Path) -> None:
    fill(path)
    extra = chunk(77, 0, b"from a later program")
    with path.open("ab") as file:
        file.write(extra)
    seal_file(path)
    assert extra in path.read_bytes() and facts(path).sealed
