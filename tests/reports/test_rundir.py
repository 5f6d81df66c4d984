"""Run directories: whole or not at all, never overwritten, read back to the bit."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast.errors import BadData, UsageError
from dhanfast.reports import columns, metrics, rundir
from dhanfast.reports.result import RunResult
from dhanfast.reports.rundir import read_run, read_summary, write_run
from dhanfast.reports.summary import summary

Build = Callable[..., RunResult]


@pytest.fixture
def written(result: RunResult, tmp_path: Path) -> Path:
    return write_run(result, tmp_path / "runs" / "first")


def test_the_files_are_these(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == [
        "config.json", "days.parquet", "equity.parquet", "orders.parquet", "passages.parquet",
        "report.html", "result.json", "slippage.csv", "trades.parquet",
    ]  # fmt: skip
    assert [path.name for path in written.parent.iterdir()] == ["first"]
    assert json.loads((written / "config.json").read_text())["lots"] == 1


@pytest.mark.parametrize("trades_a_day", [0, 3])
def test_a_run_reads_back_to_the_bit(make_result: Build, tmp_path: Path, trades_a_day: int) -> None:
    made = make_result(trades_a_day=trades_a_day, notes=("modelled",), generated=True)
    got = read_run(write_run(made, tmp_path / "run"))
    for field in dataclasses.fields(RunResult):
        want, have = getattr(made, field.name), getattr(got, field.name)
        if field.name == "bars":
            assert have is None
        elif isinstance(want, np.ndarray):
            assert have.dtype == want.dtype and have.tobytes() == want.tobytes(), field.name
        else:
            assert have == want, field.name
    assert metrics.measure(got) == metrics.measure(made)


def test_result_json_is_the_summary_and_the_sums(written: Path, result: RunResult) -> None:
    out = read_summary(written)
    files = out.pop("files")
    assert out.pop("log") == [list(line) for line in result.log]
    assert out == summary(result)
    for name, told in files.items():
        data = (written / name).read_bytes()
        assert told == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_the_same_run_gives_the_same_bytes(result: RunResult, tmp_path: Path) -> None:
    one, two = write_run(result, tmp_path / "one"), write_run(result, tmp_path / "two")
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes(), path.name


def test_readable_columns_say_what_the_exact_ones_say(written: Path, result: RunResult) -> None:
    import pyarrow.parquet as pq

    rows = pq.ParquetFile(written / "trades.parquet").read(use_threads=False).to_pylist()
    assert len(rows) == 180
    for row, trade in zip(rows, result.trades, strict=True):
        charges = sum(int(trade[name]) for name in metrics.COMPONENTS)
        assert row["entry_time"].value == trade["entry_ns"]
        assert str(row["entry_time"].tz) == "UTC"
        assert row["gross_paise"] == trade["gross"]
        assert row["gross_rupees"] == trade["gross"] / 100
        assert row["net_rupees"] == pytest.approx((trade["gross"] * 10**6 - charges) / 1e8)
        assert row["entry_price"] == trade["entry_value"] / trade["qty"] / 100
        assert row["direction"] == ("long" if trade["side"] > 0 else "short")
        assert row["stt_upaise"] == trade["stt"]
    orders = pq.ParquetFile(written / "orders.parquet").read(use_threads=False).to_pylist()
    assert (orders[0]["order_type"], orders[0]["ended"]) == ("market", "filled")
    assert (orders[-1]["ended"], orders[-1]["refusal"]) == ("rejected", "limit_position")
    equity = pq.ParquetFile(written / "equity.parquet").read(use_threads=False)
    assert equity.column("equity_rupees").to_pylist()[0] == result.equity["equity"][0] / 100


def test_an_empty_folder_is_used(result: RunResult, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert (write_run(result, tmp_path / "run") / "result.json").is_file()


@pytest.mark.parametrize("kind", ["folder", "file", "broken link"])
def test_nothing_is_ever_overwritten(result: RunResult, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "run"
    if kind == "folder":
        place.mkdir()
        (place / "mine.txt").write_text("precious")
    elif kind == "file":
        place.write_text("precious")
    else:
        place.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=r"run exists and is not empty; .* never overwritten"):
        write_run(result, place)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_filled_while_writing_is_not_overwritten(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill = rundir._fill

    def slow(*args: Any) -> None:
        fill(*args)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "theirs").write_text("first")

    monkeypatch.setattr(rundir, "_fill", slow)
    with pytest.raises(UsageError, match="never overwritten"):
        write_run(result, tmp_path / "run")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "run", "run/theirs"
    ]  # fmt: skip


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full for a full disk")
@pytest.mark.parametrize("full", rundir.FILES)
def test_a_full_disk_leaves_nothing(
    result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    staging = rundir._staging

    def with_a_full_file(target: Path) -> Path:
        place = staging(target)
        (place / full).symlink_to("/dev/full")
        return place

    monkeypatch.setattr(rundir, "_staging", with_a_full_file)
    with pytest.raises(OSError, match="No space left"):
        write_run(result, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_in_nobodys_way(result: RunResult, tmp_path: Path) -> None:
    (tmp_path / ".run.part-0").mkdir()
    assert read_run(write_run(result, tmp_path / "run")).digest == result.digest


def test_a_changed_file_is_named(written: Path) -> None:
    path = written / "equity.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadData, match=r"equity\.parquet: changed since the run wrote it"):
        read_run(written)
    path.unlink()
    with pytest.raises(BadData, match=r"equity\.parquet: not there"):
        read_run(written)


def test_what_is_not_a_run_is_refused(written: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="not a run directory"):
        read_summary(tmp_path)
    (written / "result.json").write_text('{"digest": ')
    with pytest.raises(BadData, match=r"result\.json: damaged"):
        read_summary(written)
    (written / "result.json").write_text("[1]")
    with pytest.raises(BadData, match="not a result of dhanfast"):
        read_run(written)


def test_foreign_parquet_is_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(BadData, match="column time is missing"):
        columns.read("equity", tmp_path / "x.parquet")
    (tmp_path / "y.parquet").write_bytes(b"PAR1 not parquet")
    with pytest.raises(BadData, match="not a whole Parquet file"):
        columns.read("equity", tmp_path / "y.parquet")


def test_reports_load_without_arrow() -> None:
    import subprocess
    import sys

    code = "import sys, dhanfast.reports.rundir as _; print('pyarrow' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
