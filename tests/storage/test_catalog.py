"""The catalog: all or nothing, at every instant, and never two truths about one day."""

import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dhanfast._core.types import BAR_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.bars import BarSet, ReadOptions, Source, read_bars, write_parquet
from dhanfast.storage.catalog import Catalog, default_root
from dhanfast.storage.importing import Imported, ImportOptions, describe_import, import_files

DAY_S = 86_400
OPEN_S = 1_641_181_500  # 2022-01-03 09:15 IST
CLOCK = ManualClock(1_700_000_000_000_000_000)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog")


@pytest.fixture
def day_file(tmp_path: Path) -> Callable[..., Path]:
    """A maker of CSV files: ten one-minute bars on each of some days after 2022-01-03."""

    def make(name: str, *days: int, price: int = 100, bars: int = 10) -> Path:
        lines = ["ts,open,high,low,close"]
        for day in days:
            for minute in range(bars):
                ts = OPEN_S + day * DAY_S + minute * 60
                lines.append(f"{ts},{price},{price + 1},{price},{price + day % 2}")
        path = tmp_path / name
        path.write_text("\n".join(lines))
        return path

    return make


Make = Callable[..., Path]


def bring(catalog: Catalog, *paths: Path, symbol: str | None = "NIFTY", replace: bool = False,
          on_bad: str = "refuse", read: ReadOptions | None = None) -> list[Imported]:  # fmt: skip
    options = ImportOptions(read or ReadOptions(), symbol, on_bad, replace)
    return import_files(catalog, paths, options, CLOCK)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a catalog but the lock, to compare states."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_what_goes_in_comes_out_and_years_have_files(catalog: Catalog, day_file: Make) -> None:
    path = day_file("a.csv", 0, 1, 400)
    (done,) = bring(catalog, path)
    assert (done.rows, done.rows_added, done.key) == (30, 30, "NIFTY/1m")
    back = read_bars(catalog.root)
    direct = read_bars(path, symbol="NIFTY")
    assert back.bars.tobytes() == direct.bars.tobytes()
    assert back.bars.flags.writeable
    series = catalog.find("NIFTY")
    assert [file.year for file in series.files] == [2022, 2023]
    (entry,) = series.sources
    assert entry.sha256 == direct.sources[0].sha256
    assert (entry.first, entry.last) == ("2022-01-03 09:15", "2023-02-07 09:24")
    assert entry.imported_at_ns == CLOCK.now_ns() and entry.imported_by.startswith("dhanfast ")


def test_files_are_plain_memory_mappable_npy(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0))
    series = catalog.find("NIFTY")
    path = catalog.root / series.key / series.files[0].file
    mapped = np.load(path, mmap_mode="r")
    assert isinstance(mapped, np.memmap) and mapped.dtype == BAR_DTYPE
    assert mapped.tobytes() == read_bars(catalog.root).bars.tobytes()


def test_every_way_to_name_a_series(
    catalog: Catalog, day_file: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bring(catalog, day_file("a.csv", 0))
    bring(catalog, day_file("b.csv", 0), symbol="BANKNIFTY")
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path))
    for source, symbol in (
        (catalog.root, "NIFTY"), (catalog.root / "NIFTY", None), (catalog.root / "NIFTY/1m", None),
        ("NIFTY", None), ("NIFTY/1m", None), ("NIFTY", "NIFTY"),
    ):  # fmt: skip
        got = read_bars(source, symbol=symbol)
        assert (got.symbol, len(got.bars)) == ("NIFTY", 10)
    for source, symbol, says in (
        (catalog.root, None, "several that fit"),
        (catalog.root, "SENSEX", "has no SENSEX"),
        ("NIFTY/5m", None, "has no NIFTY/5m"),
        ("NIFTY", "BANKNIFTY", "contradicts"),
        ("SENSEX", None, "no such file"),
        (tmp_path, None, "no catalog"),
    ):
        with pytest.raises(UsageError, match=says):
            read_bars(source, symbol=symbol)
    with pytest.raises(UsageError, match="describe a file"):
        read_bars("NIFTY", tz="UTC")


def test_the_default_place() -> None:
    assert default_root({"DHANFAST_HOME": "/a"}) == Path("/a/catalog")
    assert default_root({"XDG_DATA_HOME": "/b"}) == Path("/b/dhanfast/catalog")
    assert default_root({}) == Path.home() / ".local/share/dhanfast/catalog"


def test_reading_between_dates_opens_only_those_years(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0, 1, 400))
    series = catalog.find("NIFTY")
    (catalog.root / series.key / series.files[1].file).unlink()
    got = read_bars(catalog.root, start="2022-01-04", end="2022-01-04")
    assert len(got.bars) == 10 and got.sources[0].rows == 10
    with pytest.raises(BadData, match="covers 2022-01-03 09:15 to 2023-02-07"):
        read_bars(catalog.root, start="2024-01-01")
    with pytest.raises(BadData, match="missing"):
        read_bars(catalog.root)


def test_the_same_file_again_changes_nothing(catalog: Catalog, day_file: Make) -> None:
    path = day_file("a.csv", 0, 1)
    bring(catalog, path)
    before = tree(catalog.root)
    (done,) = bring(catalog, path)
    assert done.unchanged and "held already (20 bars), nothing changes" in describe_import(done)
    assert tree(catalog.root) == before


def test_new_days_are_added_between_old_ones(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0, 4))
    (done,) = bring(catalog, day_file("b.csv", 1, 2, 4))
    assert (done.rows, done.rows_added, done.days_replaced) == (30, 20, 0)
    starts = read_bars(catalog.root).bars["start_ns"]
    days = [OPEN_S + day * DAY_S for day in (0, 1, 2, 4)]
    assert starts[::10].tolist() == [day * 10**9 for day in days]
    assert (np.diff(starts) > 0).all()


def test_a_day_that_differs_is_refused_unless_replaced(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0, 1, 2))
    before = tree(catalog.root)
    other = day_file("b.csv", 1, 2, 3, price=200)
    with pytest.raises(BadData, match=r"b.csv: 2 days differ from NIFTY/1m") as refused:
        bring(catalog, other)
    assert "2022-01-04: first difference at 09:15" in str(refused.value)
    assert tree(catalog.root) == before
    with pytest.raises(BadData, match="10 bars in the catalog, 4 in the file"):
        bring(catalog, day_file("c.csv", 1, bars=4))
    (done,) = bring(catalog, other, replace=True)
    assert (done.rows_added, done.days_replaced) == (10, 2)
    opens = read_bars(catalog.root).bars["open"][::10]
    assert opens.tolist() == [10000, 20000, 20000, 20000]
    (entry, later) = catalog.find("NIFTY").sources
    assert (entry.days_replaced, later.days_replaced) == (0, 2)


def test_the_first_file_again_after_a_replacement_is_not_held(
    catalog: Catalog, day_file: Make
) -> None:
    first = day_file("a.csv", 0, 1)
    bring(catalog, first)
    bring(catalog, day_file("b.csv", 1, price=300), replace=True)
    with pytest.raises(BadData, match="1 day differs"):
        bring(catalog, first)


def test_one_bad_file_of_three_and_nothing_is_imported(catalog: Catalog, day_file: Make) -> None:
    bad = day_file("bad.csv", 5)
    bad.write_text(bad.read_text() + "\n1641700000,0,0,0,0")
    with pytest.raises(BadData, match=r"bad.csv: 1 bad row"):
        bring(catalog, day_file("a.csv", 0), bad, day_file("c.csv", 2))
    assert tree(catalog.root) == {}
    done = bring(catalog, day_file("a.csv", 0), bad, day_file("c.csv", 2), on_bad="skip")
    assert [item.skipped for item in done] == [0, 1, 0]
    assert done[1].skipped_rows[0] == "line 12: open: '0' is not a positive price"
    assert "1 bad rows left out" in describe_import(done[1])
    got = read_bars(catalog.root)
    assert len(got.bars) == 30 and got.notes == ("bad.csv: 1 bad rows left out",)


def test_skip_keeps_the_first_of_two_rows_with_one_stamp(
    catalog: Catalog, tmp_path: Path
) -> None:  # fmt: skip
    path = tmp_path / "twice.csv"
    rows = [(0, 1), (60, 2), (60, 3), (120, 4), (30, 5), (180, 6)]
    lines = [f"{OPEN_S + at},{p},{p},{p},{p}" for at, p in rows]
    path.write_text("\n".join(["ts,open,high,low,close", *lines]))
    (done,) = bring(catalog, path, on_bad="skip")
    assert done.skipped == 2
    assert read_bars(catalog.root).bars["close"].tolist() == [100, 200, 400, 600]


def generated_file(tmp_path: Path, day: int) -> Path:
    bars = np.zeros(5, BAR_DTYPE)
    bars["start_ns"] = (OPEN_S + day * DAY_S + np.arange(5) * 60) * 10**9
    for column in ("open", "high", "low", "close"):
        bars[column] = 1_000_00
    path = tmp_path / f"generated{day}.parquet"
    write_parquet(path, BarSet("NIFTY", bars, 60 * 10**9, True, (Source("seed 1", "", 5),)))
    return path


def test_generated_bars_keep_their_label_and_never_mix(
    catalog: Catalog, day_file: Make, tmp_path: Path
) -> None:
    (done,) = bring(catalog, generated_file(tmp_path, 0))
    assert done.generated and "GENERATED" in describe_import(done)
    assert read_bars(catalog.root).generated
    with pytest.raises(BadData, match="never mixed"):
        bring(catalog, day_file("a.csv", 1))


def test_names_that_would_leave_the_folder(catalog: Catalog, day_file: Make) -> None:
    for name in ("../x", "a/b", ".hidden", "", "x" * 65, "nul\0"):
        with pytest.raises(BadData, match="cannot be a name"):
            bring(catalog, day_file("a.csv", 0), symbol=name)
    (done,) = bring(catalog, day_file("a.csv", 0), symbol="M&M-BE 50")
    assert done.key == "M&M-BE 50/1m"


def test_damage_is_seen(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0))
    series = catalog.find("NIFTY")
    path = catalog.root / series.key / series.files[0].file
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadData, match="SHA-256 is not the one"):
        read_bars(catalog.root)
    manifest = catalog.root / "manifest.json"
    good = manifest.read_text()
    for text, says in (
        (good[:-40], "damaged"),
        (good.replace('"format": 1', '"format": 9'), "format 9"),
        (good.replace(series.files[0].file, "../../etc/passwd"), "is damaged"),
        (good.replace('"NIFTY/1m"', '"OTHER/1m"'), "is damaged"),
    ):
        manifest.write_text(text)
        with pytest.raises(BadData, match=says):
            catalog.manifest()


def test_a_second_import_is_told_to_wait(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0))
    with open(catalog.root / ".lock", "r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("4711      ")
        held.flush()
        with pytest.raises(DhanfastError, match="process 4711 is importing right now"):
            bring(catalog, day_file("b.csv", 1))
        assert len(read_bars(catalog.root).bars) == 10  # reading needs no lock
    bring(catalog, day_file("b.csv", 1))


def test_a_full_disk_leaves_the_old_state(
    catalog: Catalog, day_file: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(catalog, day_file("a.csv", 0))
    before = tree(catalog.root)
    more = day_file("b.csv", 1, 400)
    real = os.fsync
    for failing in range(1, 20):
        calls = 0

        def fsync(handle: int, failing: int = failing) -> None:
            nonlocal calls
            calls += 1
            if calls == failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)
        try:
            bring(catalog, more)
        except DhanfastError as error:
            assert "No space left" in str(error)
            monkeypatch.setattr(os, "fsync", real)
            committed = len(catalog.find("NIFTY").files) == 2
            assert committed == (len(read_bars(catalog.root).bars) == 30)
            if not committed:
                assert tree(catalog.root) == before
        else:
            break
        finally:
            monkeypatch.setattr(os, "fsync", real)
    assert failing > 4
    assert len(read_bars(catalog.root).bars) == 30


LIMITED = """
import resource, sys
from pathlib import Path
from dhanfast.clock import ManualClock
from dhanfast.errors import DhanfastError
from dhanfast.storage.catalog import Catalog
from dhanfast.storage.importing import ImportOptions, import_files
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    import_files(Catalog(sys.argv[1]), [Path(sys.argv[2])], ImportOptions(symbol="NIFTY"),
                 ManualClock(1))
except DhanfastError as error:
    print(error)
    sys.exit(7)
"""


def test_a_file_that_cannot_grow_is_not_left_behind(catalog: Catalog, day_file: Make) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096
    path = day_file("a.csv", *range(20))
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(catalog.root), str(path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 7, done.stderr
    assert "cannot be written" in done.stdout
    assert tree(catalog.root) == {}


def killed_at(step: int, catalog: Catalog, path: Path) -> bool:
    """Import in a child that dies by SIGKILL before its step-th system call; say if it lived."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        seen = 0

        def watched(call: Callable[..., object]) -> Callable[..., object]:
            def run(*args: object, **kwargs: object) -> object:
                nonlocal seen
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*args, **kwargs)

            return run

        try:
            for name in ("fsync", "replace", "unlink", "fchmod", "fdopen", "mkdir"):
                setattr(os, name, watched(getattr(os, name)))
            bring(catalog, path, replace=True)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return not os.WIFSIGNALED(status)


def test_a_kill_at_any_step_leaves_the_old_or_the_new(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0, 1, 400))
    start = catalog.root.with_name("start")
    shutil.copytree(catalog.root, start)
    old = read_bars(catalog.root).bars.tobytes()
    change = day_file("b.csv", 1, 2, 400, 800, price=300)
    bring(catalog, change, replace=True)
    new = read_bars(catalog.root).bars.tobytes()
    states = []
    for step in range(1, 60):
        shutil.rmtree(catalog.root)
        shutil.copytree(start, catalog.root)
        lived = killed_at(step, catalog, change)
        states.append(read_bars(catalog.root).bars.tobytes())
        assert states[-1] in (old, new), f"step {step}"
        bring(catalog, change, replace=True)
        bring(catalog, day_file("d.csv", 9, price=50))  # any later change sweeps what was left
        named = {file.file for file in catalog.find("NIFTY").files}
        left = {path.name for path in (catalog.root / "NIFTY/1m").iterdir()}
        assert left == named, f"step {step}"
        if lived:
            break
    assert lived and step > 12
    assert states[0] == old and states[-1] == new


def test_a_reader_survives_a_replacement(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0))
    stale = catalog.find("NIFTY")
    bring(catalog, day_file("b.csv", 0, price=500), replace=True)
    assert stale.files != catalog.find("NIFTY").files
    assert catalog.read(stale).bars["open"].tolist() == [50000] * 10


def test_the_manifest_is_readable_by_people(catalog: Catalog, day_file: Make) -> None:
    bring(catalog, day_file("a.csv", 0), read=ReadOptions(stamp="end"))
    plain = json.loads((catalog.root / "manifest.json").read_text())
    entry = plain["series"]["NIFTY/1m"]["sources"][0]
    assert entry["stamp"] == "end" and entry["first"] == "2022-01-03 09:14"


def test_no_file_and_no_name(catalog: Catalog, day_file: Make) -> None:
    with pytest.raises(UsageError, match="no file to import"):
        bring(catalog)
    with pytest.raises(UsageError, match="say it with --symbol"):
        bring(catalog, day_file("a.csv", 0), symbol=None)
    with pytest.raises(UsageError, match="'drop' is not known"):
        bring(catalog, day_file("a.csv", 0), on_bad="drop")


@pytest.mark.data
def test_the_fifteen_minute_file_comes_in_without_its_626_bad_rows(
    catalog: Catalog, recorded: Path
) -> None:
    path = recorded / "index_15m" / "BANKNIFTY_15m_2018_2022.parquet"
    with pytest.raises(BadData, match="626 bad rows"):
        bring(catalog, path, symbol=None)
    assert tree(catalog.root) == {}
    (done,) = bring(catalog, path, symbol=None, on_bad="skip")
    assert (done.key, done.skipped, done.rows) == ("BANKNIFTY/15m", 626, 30_625 - 626)
    assert len(done.skipped_rows) == 10


@pytest.mark.data
def test_every_instrument_of_a_file_comes_in(catalog: Catalog, recorded: Path) -> None:
    path = recorded / "equity_1m" / "bank_stocks_1m_2023-04_2023-05.parquet"
    done = bring(catalog, path, symbol=None)
    assert len(done) == 12 and {item.rows_added for item in done} == {375 * 29}
    got = read_bars(catalog.root, symbol="SBIN")
    direct = read_bars(path, symbol="SBIN")
    assert got.bars.tobytes() == direct.bars.tobytes()
    assert got.bars["volume"].sum() > 0
