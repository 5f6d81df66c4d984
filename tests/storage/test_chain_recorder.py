"""Chains appended one by one: what was kept is there, also after a kill in the middle."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage import chain_recorder
from dhanfast.storage.chain_recorder import ChainRecorder
from dhanfast.storage.chain_tail import HEAD, MAGIC, tail_path
from dhanfast.storage.chains import Snapshot, chain_bytes, read_chains, snapshot
from tests.options.made import EXPIRY, NEXT, at, chain, table, write

FEW = [25_000.0, 25_100.0, 25_200.0]
SHOTS = [chain(at("10:00") + i * 5 * 10**9, strikes=FEW, seed=i + 1) for i in range(8)]


def same(path: Path, wanted: list[Snapshot]) -> None:
    """The file holds these and nothing else, to the bit."""
    found = list(read_chains(path))
    assert [one.at_ns for one in found] == [one.at_ns for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert (one.underlying, one.expiry) == (other.underlying, other.expiry)
        np.testing.assert_array_equal(one.spot, other.spot)
        for name in ("strike", "call", "put", "call_oi", "put_oi", "call_volume", "put_volume"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)


def test_a_file_is_whole_after_every_snapshot_and_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "nifty.parquet"
    far = chain(SHOTS[4].at_ns, strikes=FEW, expiry=NEXT, seed=9)
    with ChainRecorder(path) as recorder:
        assert recorder.last_ns == 0
        for i, one in enumerate(SHOTS[:4]):
            assert recorder.append(one)
            same(path, SHOTS[: i + 1])
        assert os.path.getsize(tail_path(path)) > HEAD.size
        assert recorder.append(SHOTS[4], far) and recorder.kept == 6
        assert recorder.last_ns == SHOTS[4].at_ns
        held = chain_bytes(path)
        assert held == path.read_bytes() + Path(tail_path(path)).read_bytes()
    assert not os.path.exists(tail_path(path)) and chain_bytes(path) == path.read_bytes()
    same(path, [*SHOTS[:5], far])
    with ChainRecorder(path) as recorder:  # and it goes on
        assert recorder.last_ns == SHOTS[4].at_ns
        assert recorder.append(SHOTS[5])
    same(path, [*SHOTS[:5], far, SHOTS[5]])
    recorder.close()  # twice is once


def test_what_is_not_known_stays_unknown(tmp_path: Path) -> None:
    bare = snapshot(at("10:00"), "RELIANCE", EXPIRY, [1.0, 2.5], [0.0, 3.0], [np.nan, 0.05],
                    call_oi=[0.0, np.nan])  # fmt: skip
    with ChainRecorder(tmp_path / "a.parquet") as recorder:
        recorder.append(bare)
        recorder.append(replace(bare, at_ns=at("10:01")))
        same(tmp_path / "a.parquet", [bare, replace(bare, at_ns=at("10:01"))])
    same(tmp_path / "a.parquet", [bare, replace(bare, at_ns=at("10:01"))])


@settings(max_examples=25, deadline=None)
@given(fold_rows=st.integers(1, 20), ends=st.lists(st.booleans(), min_size=8, max_size=8),
       cut=st.integers(1, 400))  # fmt: skip
def test_any_folding_any_kill_any_torn_end(
    fold_rows: int, ends: list[bool], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The plain model is the list of what was appended."""
    path = tmp_path_factory.mktemp("fold") / "a.parquet"
    recorder = ChainRecorder(path, fold_rows=fold_rows)
    for i, (one, end) in enumerate(zip(SHOTS, ends, strict=True)):
        assert recorder.append(one)
        same(path, SHOTS[: i + 1])
        if end:  # as a kill leaves it: the tail stands, with a frame that was begun
            os.close(recorder._handle)
            recorder._handle = -1
            with open(tail_path(path), "ab") as tail:
                tail.write(b"\xff\x01\x00\x00" + b"x" * cut)
            same(path, SHOTS[: i + 1])
            recorder = ChainRecorder(path, fold_rows=fold_rows)
            same(path, SHOTS[: i + 1])
    recorder.close()
    same(path, SHOTS)


def test_a_kill_between_folding_and_the_new_tail(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    recorder = ChainRecorder(path)
    for one in SHOTS[:3]:
        recorder.append(one)
    old = Path(tail_path(path)).read_bytes()
    recorder.close()  # all folded in
    Path(tail_path(path)).write_bytes(old)  # and the old tail is there still
    same(path, SHOTS[:3])
    with ChainRecorder(path) as recorder:
        recorder.append(SHOTS[3])
    same(path, SHOTS[:4])


def test_a_reader_that_meets_a_folding_reads_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    with ChainRecorder(path, fold_rows=6) as recorder:
        recorder.append(SHOTS[0])
        recorder.append(SHOTS[1])
        read, whole = pq.ParquetFile.read, []

        def slow(self: Any, *args: Any, **kwargs: Any) -> Any:
            found = read(self, *args, **kwargs)
            if not whole:
                whole.append(1)
                recorder.append(SHOTS[2])  # folds
                recorder.append(SHOTS[3])
            return found

        monkeypatch.setattr(pq.ParquetFile, "read", slow)
        same(path, SHOTS[:4])


WRITER = """
import sys
from dataclasses import replace
from dhanfast.storage.chain_recorder import ChainRecorder
from dhanfast.storage.chains import read_chains
first = read_chains(sys.argv[1])[0]
recorder = ChainRecorder(sys.argv[2], fold_rows=30)
for i in range(100000):
    recorder.append(replace(first, at_ns=first.at_ns + i * 10**9))
    print(i, flush=True)
"""


def test_kill_9_costs_nothing_that_was_said_to_be_kept(tmp_path: Path) -> None:
    seed, path = write(tmp_path / "seed.parquet", table(SHOTS[0])), tmp_path / "a.parquet"
    told = -1
    for wanted in (1, 7, 40):
        path.unlink(missing_ok=True)
        Path(tail_path(path)).unlink(missing_ok=True)
        with subprocess.Popen([sys.executable, "-c", WRITER, str(seed), str(path)],
                              stdout=subprocess.PIPE, text=True) as writer:  # fmt: skip
            assert writer.stdout is not None
            for line in writer.stdout:
                told = int(line)
                if told >= wanted:
                    break
            os.kill(writer.pid, signal.SIGKILL)
            told = max([told, *(int(line) for line in writer.stdout if line.endswith("\n"))])
        found = read_chains(path)
        assert len(found) - (told + 1) in (0, 1)  # one may have been kept and not yet told
        assert np.diff(found.at_ns).tolist() == [10**9] * (len(found) - 1)
        with ChainRecorder(path) as recorder:  # nobody holds it any more
            assert recorder.last_ns == found.at_ns[-1]


def test_one_process_a_file(tmp_path: Path) -> None:
    with ChainRecorder(tmp_path / "a.parquet"), pytest.raises(DhanfastError, match="another pro"):
        ChainRecorder(tmp_path / "a.parquet")
    ChainRecorder(tmp_path / "a.parquet").close()
    assert list(tmp_path.iterdir()) == []  # nothing was kept, nothing is left


def test_what_is_not_later_is_not_kept(tmp_path: Path) -> None:
    with ChainRecorder(tmp_path / "a.parquet") as recorder:
        assert recorder.append(SHOTS[1])
        assert not recorder.append(SHOTS[1]) and not recorder.append(SHOTS[0])
        assert not recorder.append()
        with pytest.raises(UsageError, match="order of their time"):
            recorder.append(SHOTS[3], SHOTS[2])
    same(tmp_path / "a.parquet", [SHOTS[1]])


def test_a_disk_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    write_real = os.pwrite
    with ChainRecorder(path) as recorder:
        recorder.append(SHOTS[0])
        recorder.append(SHOTS[1])

        def full(handle: int, data: Any, at: int) -> int:
            if len(data) > 100:
                return write_real(handle, data[:100], at)  # half of it goes
            raise OSError(28, "No space left on device")

        def stuck(handle: int, size: int) -> None:
            raise OSError(5, "Input/output error")

        for truncates in (True, False):
            with monkeypatch.context() as patched:
                patched.setattr(chain_recorder.os, "pwrite", lambda h, d, at: full(h, d[:150], at))
                if not truncates:
                    patched.setattr(chain_recorder.os, "ftruncate", stuck)
                with pytest.raises(DhanfastError, match=r"cannot be kept .No space left"):
                    recorder.append(SHOTS[2])
            same(path, SHOTS[:2])
        assert recorder.append(SHOTS[2])  # there is room again, and what was left is written over
        same(path, SHOTS[:3])
        assert recorder.append(SHOTS[3])
    same(path, SHOTS[:4])


def test_a_folding_that_fails_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    recorder = ChainRecorder(path, fold_rows=6)
    recorder.append(SHOTS[0])
    recorder.append(SHOTS[1])

    def refused(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("replace", "fchmod"):  # the new file's name, the new file
        with monkeypatch.context() as patched:
            if name == "replace":
                patched.setattr("dhanfast.storage.durable.os.replace", refused)
            else:
                patched.setattr("dhanfast.storage.durable.os.fchmod", refused)
            with pytest.raises(DhanfastError, match="cannot be written"):
                recorder.append(SHOTS[2 if name == "replace" else 3])
        same(path, SHOTS[: 3 if name == "replace" else 4])
    assert not recorder.append(SHOTS[3]) and recorder.kept == 4  # it is in
    assert recorder.append(SHOTS[4])
    same(path, SHOTS[:5])
    recorder.close()
    same(path, SHOTS[:5])


def test_a_new_tail_that_fails_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace_real = tmp_path / "a.parquet", os.replace
    recorder = ChainRecorder(path, fold_rows=6)
    for one in SHOTS[:2]:
        recorder.append(one)

    def refused(old: str, new: str) -> None:
        if os.fspath(new).endswith(".tail"):
            raise OSError(28, "No space left on device")
        replace_real(old, new)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refused)
        with pytest.raises(DhanfastError, match=r"a\.parquet\.tail: cannot be written"):
            recorder.append(SHOTS[2])  # folded, but the tail is the old one
        same(path, SHOTS[:3])
        recorder.append(SHOTS[3])
        same(path, SHOTS[:4])
        with pytest.raises(DhanfastError, match="cannot be written"):
            recorder.append(SHOTS[4])
        same(path, SHOTS[:5])
    assert recorder.append(SHOTS[5])
    recorder.close()
    same(path, SHOTS[:6])


def test_generated_and_real_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with ChainRecorder(path, generated=True) as recorder:
        recorder.append(SHOTS[0])
        assert read_chains(path).generated
        recorder.append(SHOTS[1])
    assert read_chains(path).generated
    with pytest.raises(BadData, match=r"holds chains of a generated market and these are of a rea"):
        ChainRecorder(path)
    with ChainRecorder(tmp_path / "b.parquet") as recorder:
        recorder.append(SHOTS[0])
    assert not read_chains(tmp_path / "b.parquet").generated


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"NAME\.parquet"):
        ChainRecorder(tmp_path / "a.csv")
    other = write(tmp_path / "other.parquet", table(*SHOTS[:2]))
    before = other.read_bytes()
    with pytest.raises(BadData, match="not begun by --keep"):
        ChainRecorder(other)
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(BadData, match="not a Parquet file"):
        ChainRecorder(tmp_path / "text.parquet")
    assert other.read_bytes() == before


def test_tails_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    recorder = ChainRecorder(path)
    for one in SHOTS[:3]:
        recorder.append(one)
    tail = Path(tail_path(path)).read_bytes()
    recorder.close()
    few = write(tmp_path / "few.parquet", table(chain(at("09:00"), strikes=FEW[:1])))
    Path(tail_path(few)).write_bytes(tail)
    with pytest.raises(BadData, match="another file's tail; move it away"):
        read_chains(few)
    many = write(tmp_path / "many.parquet", table(*SHOTS[:6]))
    Path(tail_path(many)).write_bytes(tail)
    with pytest.raises(BadData, match="another file's tail; move it away"):
        read_chains(many)
    Path(tail_path(many)).write_bytes(b"something else altogether")
    with pytest.raises(BadData, match="not the tail of a chain file"):
        read_chains(many)
    Path(tail_path(many)).write_bytes(HEAD.pack(MAGIC, 0)[:10])  # killed while it was begun
    same(many, SHOTS[:6])
    path.unlink()  # its file was taken away, the tail was left
    Path(tail_path(path)).write_bytes(tail)
    with pytest.raises(BadData, match="another file's tail"):
        ChainRecorder(path)


def test_a_damaged_frame_ends_the_tail(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    recorder = ChainRecorder(path)
    for one in SHOTS[:4]:
        recorder.append(one)
    os.close(recorder._handle)
    tail = bytearray(Path(tail_path(path)).read_bytes())
    tail[-20] ^= 1
    Path(tail_path(path)).write_bytes(tail)
    same(path, SHOTS[:3])


def test_columns_are_those_of_the_reference(tmp_path: Path) -> None:
    with ChainRecorder(tmp_path / "a.parquet") as recorder:
        recorder.append(SHOTS[0])
    held = pq.read_table(tmp_path / "a.parquet")
    assert (held.schema.field("ts").type, held.schema.field("expiry").type) == (
        pa.int64(),
        pa.date32(),
    )
    assert held.column("expiry")[0].as_py() == date(2026, 1, 27)
