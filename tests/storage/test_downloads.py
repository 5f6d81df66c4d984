"""A folder of downloads against a plain model, and against kills, full disks and strangers."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import textwrap
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.bars import read_bars
from dhanfast.storage.download_files import file_is_current, make_file, rolling_expiry
from dhanfast.storage.downloads import BASE, ROLLING, DownloadFolder, Line, Series

from .download_bars import CALL, FIRST, INDEX, bars, rolling


@pytest.fixture
def folder(tmp_path: Path) -> DownloadFolder:
    made = DownloadFolder(tmp_path / "out")
    with made.changing("dhan", False):
        pass
    return made


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f")
        for name in one
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4), st.integers(0, 3)), max_size=12))
def test_pieces_are_what_a_plain_model_says(steps: list[tuple[int, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = DownloadFolder(place)
        model: dict[tuple[date, date], dict[str, Any]] = {}
        with folder.changing("dhan", False):
            series = Series(INDEX)
            for number, (at, length, count) in enumerate(steps):
                first = FIRST + timedelta(days=at)
                last = first + timedelta(days=length - 1)
                whole = [span for span in model if first <= span[0] and span[1] <= last]
                clash = [span for span in model
                         if span not in whole and span[0] <= last and span[1] >= first]  # fmt: skip
                columns = bars(first, count=count, price=100 + number)
                if clash:
                    with pytest.raises(DhanfastError, match="overlaps"):
                        folder.keep(series, first, last, columns, 1)
                    continue
                series = folder.keep(series, first, last, columns, 1)
                for span in whole:
                    del model[span]
                model[first, last] = columns
        found = folder.find("NIFTY_1m")
        pieces = [] if found is None else list(found.pieces)
        assert [piece.days for piece in pieces] == sorted(model)
        assert all(same(folder.read("NIFTY_1m", piece), model[piece.days]) for piece in pieces)
        names = {path.name for path in Path(place).glob("pieces/*/*.parquet")}
        assert names == {piece.file for piece in pieces}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 10**9), min_size=2, max_size=40))
def test_prices_come_out_to_the_paisa(prices: list[int]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = DownloadFolder(place)
        columns = bars(FIRST, count=len(prices))
        for name in ("open", "high", "low", "close"):
            columns[name] = np.array(prices, np.int64)
        with folder.changing("dhan", False):
            folder.keep(Series(INDEX), FIRST, FIRST, columns, 1)
            made = make_file(folder, "NIFTY_1m", False)
        assert made is not None
        got = read_bars(made.path)
        assert got.bars["close"].tolist() == prices and got.off_grid == 0
        assert got.bars["start_ns"].tolist() == columns["start_ns"].tolist()
        assert (got.symbol, got.generated, got.timeframe) == ("NIFTY", False, "1m")


def test_a_file_is_made_of_all_pieces_and_knows_it(folder: DownloadFolder) -> None:
    with folder.changing("dhan", False):
        series = folder.keep(Series(INDEX), FIRST, FIRST, bars(FIRST), 1)
        first = make_file(folder, "NIFTY_1m", False)
        assert first is not None and first.rows == 3 and file_is_current(folder, "NIFTY_1m")
        later = date(2022, 7, 1)
        folder.keep(series, later, later, bars(later), 2)
        assert not file_is_current(folder, "NIFTY_1m")
        second = make_file(folder, "NIFTY_1m", False)
        assert second is not None and (second.rows, second.last) == (6, "2022-07-01")
        assert file_is_current(folder, "NIFTY_1m")
        second.path.write_bytes(second.path.read_bytes()[:-9])
        assert not file_is_current(folder, "NIFTY_1m")


def test_distances_from_the_money_become_contracts(folder: DownloadFolder) -> None:
    """Worked by hand: weekly BANKNIFTY options of Thursday 2022-06-02, then of the 9th."""
    wednesday, friday = date(2022, 6, 1), date(2022, 6, 3)
    with folder.changing("dhan", False):
        series = folder.keep(Series(CALL), wednesday, wednesday,
                             rolling(wednesday, [3_550_000, 3_560_000, 3_550_000]), 1)  # fmt: skip
        folder.keep(series, friday, friday, rolling(friday, [3_550_000]), 1)
        made = make_file(folder, CALL.file, False)
    assert made is not None and made.instruments == 3
    table = pq.read_table(made.path)
    assert table.column("instrument").to_pylist() == [
        "BANKNIFTY2260235500CE", "BANKNIFTY2260235600CE", "BANKNIFTY2260235500CE",
        "BANKNIFTY2260935500CE",
    ]  # fmt: skip
    assert table.column("expiry").to_pylist() == [date(2022, 6, 2)] * 3 + [date(2022, 6, 9)]
    assert table.column("strike").to_pylist()[1] == 35_600.0
    assert table.column("spot").to_pylist()[0] == 35_512.34
    again = read_bars(made.path, symbol="BANKNIFTY2260235500CE")
    assert again.bars["close"].tolist() == [10_005, 10_005]


@pytest.mark.parametrize(
    ("underlying", "cycle", "code", "day", "expiry"),
    [
        ("BANKNIFTY", "WEEK", 1, date(2022, 6, 2), date(2022, 6, 2)),  # expiry day itself
        ("BANKNIFTY", "WEEK", 2, date(2022, 6, 2), date(2022, 6, 9)),
        ("BANKNIFTY", "WEEK", 1, date(2022, 6, 27), date(2022, 6, 30)),  # the monthly one
        ("BANKNIFTY", "MONTH", 1, date(2022, 6, 1), date(2022, 6, 30)),
        ("BANKNIFTY", "MONTH", 2, date(2022, 6, 1), date(2022, 7, 28)),
        ("HDFCBANK", "MONTH", 1, date(2022, 6, 1), date(2022, 6, 30)),
        ("NIFTY", "WEEK", 1, date(1999, 1, 1), None),
    ],
)
def test_which_expiry_a_code_means(
    underlying: str, cycle: str, code: int, day: date, expiry: date | None
) -> None:
    assert rolling_expiry(underlying, cycle, code, day) == expiry


def test_two_at_once(folder: DownloadFolder) -> None:
    second = DownloadFolder(folder.root).changing("dhan", False)
    with folder.changing("dhan", False):
        with pytest.raises(DhanfastError, match=f"process {os.getpid()} is downloading into it"):
            second.__enter__()
        assert folder.series() == {}  # reading needs no lock


def test_one_folder_has_one_origin(folder: DownloadFolder, tmp_path: Path) -> None:
    generated = folder.changing("dhan", True)
    with pytest.raises(UsageError, match="recorded bars of dhan, not a generated market"):
        generated.__enter__()
    stranger = tmp_path / "mine"
    stranger.mkdir()
    (stranger / "thesis.txt").write_text("years of work")
    into = DownloadFolder(stranger).changing("dhan", False)
    with pytest.raises(UsageError, match=r"thesis\.txt .* name an empty or a new one"):
        into.__enter__()
    assert [one.name for one in stranger.iterdir()] == ["thesis.txt"]
    with pytest.raises(UsageError, match="no folder of downloads"):
        DownloadFolder(stranger).origin()


def test_another_contract_under_the_same_name_is_refused(folder: DownloadFolder) -> None:
    other = Line(**{name: getattr(INDEX, name) for name in INDEX.__struct_fields__}
                 | {"security_id": 14})  # fmt: skip
    with folder.changing("dhan", False):
        folder.keep(Series(INDEX), FIRST, FIRST, bars(FIRST), 1)
        with pytest.raises(UsageError, match="security 13 of IDX_I, and now is 14"):
            folder.agreed(other)


def test_a_damaged_piece_is_never_used(folder: DownloadFolder) -> None:
    with folder.changing("dhan", False):
        series = folder.keep(Series(INDEX), FIRST, FIRST, bars(FIRST), 1)
        (path,) = (folder.root / "pieces" / "NIFTY_1m").glob("*.parquet")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(BadData, match="SHA-256 is not the one noted; delete it"):
            folder.read("NIFTY_1m", series.pieces[0])
        assert folder.agreed(INDEX).pieces == ()  # it is asked for again
        folder.keep(folder.agreed(INDEX), FIRST, FIRST, bars(FIRST), 2)
        assert len(folder.read("NIFTY_1m", folder.agreed(INDEX).pieces[0])["start_ns"]) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda said: said["pieces"][0].update(file="../../../etc/passwd"),
        lambda said: said["pieces"][0].update(first="2022-13-01"),
        lambda said: said["pieces"].append(said["pieces"][0]),
        lambda said: said["line"].update(name="OTHER"),
        lambda said: said.pop("line"),
        lambda said: said["pieces"][0].update(rows="many"),
    ],
)
def test_a_damaged_list_of_pieces_is_refused(folder: DownloadFolder, change: Any) -> None:
    with folder.changing("dhan", False):
        folder.keep(Series(INDEX), FIRST, FIRST, bars(FIRST), 1)
    path = folder.root / "pieces" / "NIFTY_1m" / "series.json"
    said = json.loads(path.read_text())
    change(said)
    path.write_text(json.dumps(said))
    with pytest.raises(BadData, match=r"delete .*NIFTY_1m"):
        folder.series()


# A download of three pieces and their file; dies at its n-th write-like call.
DYING = textwrap.dedent(
    """
    import os, signal, sys
    from datetime import timedelta
    from tests.storage.download_bars import FIRST, INDEX, bars
    from dhanfast.storage.downloads import DownloadFolder, Series
    from dhanfast.storage.download_files import make_file

    left = int(sys.argv[2])
    def deadly(call):
        def run(*args, **kwargs):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return run
    for name in ("replace", "fsync", "unlink", "open", "fchmod"):
        setattr(os, name, deadly(getattr(os, name)))
    folder = DownloadFolder(sys.argv[1])
    with folder.changing("dhan", False):
        series = folder.agreed(INDEX)
        for at in range(3):
            day = FIRST + timedelta(days=at)
            if not any(piece.days[0] == day for piece in series.pieces):
                series = folder.keep(series, day, day, bars(day, price=100 + at), 1)
        make_file(folder, "NIFTY_1m", False)
    print("done")
    """
)


def _child(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], cwd=root, capture_output=True, text=True,
        timeout=120, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip


@pytest.mark.parametrize("after", [0, 3, 7, 12, 18, 24, 30])
def test_killed_anywhere_it_is_whole_and_goes_on(tmp_path: Path, after: int) -> None:
    place = tmp_path / "out"
    died = _child(DYING, place, after)
    folder = DownloadFolder(place)
    held = folder.series() if place.exists() else {}
    for key, series in held.items():
        for at, piece in enumerate(series.pieces):  # every piece that is named is whole
            assert folder.read(key, piece)["close"].tolist() == [100 + at] * 3
    if (place / "NIFTY_1m.parquet").exists():
        assert len(read_bars(place / "NIFTY_1m.parquet").bars) == 9
    assert (died.returncode == -9) == ("done" not in died.stdout), died.stderr
    done = _child(DYING, place, 10_000)
    assert done.returncode == 0, done.stderr
    assert len(read_bars(place / "NIFTY_1m.parquet").bars) == 9
    left = [one.name for one in place.rglob("*") if one.name.startswith(".new-")]
    assert not left and len(folder.series()["NIFTY_1m"].pieces) == 3


def test_a_full_disk_changes_nothing(folder: DownloadFolder) -> None:
    """A limit on the size of files fails in the same place: in the middle of a write."""
    with folder.changing("dhan", False):
        series = folder.keep(Series(INDEX), FIRST, FIRST, bars(FIRST), 1)
        before = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
        later = FIRST + timedelta(days=1)
        many = bars(later, count=2_000)
        many["close"] = np.random.default_rng(5).integers(1, 10**12, 2_000)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
        try:
            with pytest.raises(DhanfastError, match=r"nothing was changed\. Free some space"):
                folder.keep(series, later, later, many, 2)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        after = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
        assert after == before
        folder.keep(series, later, later, many, 2)
    assert folder.series()["NIFTY_1m"].rows == 2_003


def test_rows_of_nothing_are_a_piece_too(folder: DownloadFolder) -> None:
    nothing = {name: np.empty(0, np.int64) for name in (*BASE, *ROLLING)}
    with folder.changing("dhan", False):
        series = folder.keep(Series(CALL), FIRST, FIRST, nothing, 1, ("nothing came",))
        assert series.pieces[0].rows == 0 and make_file(folder, CALL.file, False) is None
        assert file_is_current(folder, CALL.file)
