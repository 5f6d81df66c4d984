"""Archives as Parquet and CSV: clear units, read by others, and taken back."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dhanfast._core.archive.schema import TICKS
from dhanfast._core.types import TICK_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.errors import UsageError
from dhanfast.storage.archive.exporting import ExportOptions, export_archive
from dhanfast.storage.archive.importing import TickOptions, import_ticks
from dhanfast.storage.archive.reader import ArchiveReader
from dhanfast.storage.archive.writer import ArchiveWriter

OPEN = 1_767_325_500_000_000_000
CLOCK = ManualClock(OPEN)


@pytest.fixture
def day(tmp_path: Path) -> tuple[Path, np.ndarray[Any, Any]]:
    """A generated archive and its ticks."""
    rng = np.random.default_rng(2)
    ticks = np.zeros(500, TICK_DTYPE)
    ticks["recv_ns"] = OPEN + np.arange(500) * 10**9
    ticks["exch_ns"] = ticks["recv_ns"] - 7
    for name in ("price", "bid", "ask"):
        ticks[name] = rng.integers(1, 10**9, 500)
    ticks["instrument"] = rng.integers(0, 2, 500)
    ticks["qty"], ticks["volume"] = 75, np.arange(500) * 75
    path = tmp_path / "day.dfa"
    writer = ArchiveWriter(path, [TICKS], clock=CLOCK, generated=True, block_rows=128)
    writer.add_instruments([{"index": 0, "symbol": "A"}, {"index": 1, "symbol": "B, C"}])
    writer.append("ticks", ticks)
    writer.seal()
    return path, ticks


def export(path: Path, target: Path, **options: Any) -> Path:
    """Export an archive."""
    with ArchiveReader(path) as reader:
        export_archive(reader, target, ExportOptions(**options))
    return target


def test_prices_are_rupees_and_instruments_symbols(
    day: tuple[Path, np.ndarray[Any, Any]], tmp_path: Path
) -> None:
    path, ticks = day
    table = pq.read_table(export(path, tmp_path / "day.parquet"))
    assert table.schema.metadata[b"dhanfast.generated"] == b"true"
    names = ["A", "B, C"]
    for row, tick in zip(table.to_pylist(), ticks, strict=True):
        assert row["symbol"] == names[tick["instrument"]]
        assert row["price"] == float(f"{tick['price'] // 100}.{tick['price'] % 100:02d}")
        assert (row["recv_ns"], row["qty"]) == (tick["recv_ns"], tick["qty"])
    raw = pq.read_table(export(path, tmp_path / "raw.parquet", raw=True))
    assert raw["price"].to_pylist() == ticks["price"].tolist()


def test_csv_says_the_same(day: tuple[Path, np.ndarray[Any, Any]], tmp_path: Path) -> None:
    path, ticks = day
    with open(export(path, tmp_path / "day.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["symbol"] for row in rows] == [["A", "B, C"][k] for k in ticks["instrument"]]
    assert [round(float(row["bid"]) * 100) for row in rows] == ticks["bid"].tolist()
    assert [repr(float(row["bid"])) for row in rows] == [row["bid"] for row in rows]


def test_a_part_of_it(day: tuple[Path, np.ndarray[Any, Any]], tmp_path: Path) -> None:
    path, ticks = day
    start, end = OPEN + 100 * 10**9, OPEN + 300 * 10**9
    part = export(path, tmp_path / "p.parquet", symbols=("B, C",), start_ns=start, end_ns=end)
    wanted = (ticks["recv_ns"] >= start) & (ticks["recv_ns"] < end) & (ticks["instrument"] == 1)
    assert pq.read_table(part)["recv_ns"].to_pylist() == ticks["recv_ns"][wanted].tolist()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_what_was_exported_can_be_imported(
    day: tuple[Path, np.ndarray[Any, Any]], tmp_path: Path, suffix: str
) -> None:
    path, ticks = day
    out = export(path, tmp_path / f"out{suffix}")
    done = import_ticks(out, tmp_path / "again.dfa", TickOptions(), CLOCK)
    assert done.generated == (suffix == ".parquet")  # a CSV cannot say it: --generated
    with ArchiveReader(tmp_path / "again.dfa") as reader:
        again = reader.to_numpy()
        names = [reader.instruments[int(key)].symbol for key in again["instrument"]]
    assert names == [["A", "B, C"][key] for key in ticks["instrument"]]
    again["instrument"] = ticks["instrument"]
    assert again.tobytes() == ticks.tobytes()


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_and_what_they_stand_for_come_back_from_a_raw_export(
    tmp_path: Path, first: int
) -> None:
    """Whichever instrument comes first, and whatever is known of it."""
    ticks = np.zeros(40, TICK_DTYPE)
    ticks["recv_ns"] = ticks["exch_ns"] = OPEN + np.arange(40)
    ticks["price"], ticks["instrument"] = 12_345, 3 + (np.arange(40) + first) % 2 * 4
    path = tmp_path / "day.dfa"
    writer = ArchiveWriter(path, [TICKS], clock=CLOCK)
    option = {"index": 7, "symbol": "B", "kind": "OPT", "tick": 5, "lot": 75, "strike": 2_500_000,
              "expiry": "2026-01-27", "right": "CE", "segment": "NSE_FNO",
              "security_id": "42"}  # fmt: skip
    writer.add_instruments([{"index": 3, "symbol": "A", "kind": "IDX", "tick": 5}, option])
    writer.append("ticks", ticks)
    writer.seal()
    raw = export(path, tmp_path / "raw.parquet", raw=True)
    import_ticks(raw, tmp_path / "again.dfa", TickOptions(), CLOCK)
    with ArchiveReader(path) as before, ArchiveReader(tmp_path / "again.dfa") as after:
        rows = after.to_numpy()
        assert all(rows[name].tolist() == ticks[name].tolist() for name in TICK_DTYPE.names or ())
        for key in (3, 7):
            assert after.instruments[key] == before.instruments[key]


def test_duckdb_and_polars_read_it(day: tuple[Path, np.ndarray[Any, Any]], tmp_path: Path) -> None:
    path, ticks = day
    out = export(path, tmp_path / "day.parquet")
    duckdb = pytest.importorskip("duckdb")
    polars = pytest.importorskip("polars")
    top = duckdb.sql(f"select max(price), count(*) from '{out}'").fetchall()
    assert top == [(ticks["price"].max() / 100, 500)]
    frame = polars.read_parquet(out)
    assert frame["volume"].sum() == int(ticks["volume"].sum())


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("x.xlsx", {}, "export writes .csv and .parquet"),
        ("x.csv", {"stream": "depth"}, "has no stream 'depth'"),
        ("x.csv", {"symbols": ("Z",)}, "symbol 'Z' is not in the archive"),
        ("x.csv", {"as_source": True}, "was not imported from a file"),
        ("x.csv", {"raw": True}, "a CSV cannot say that its prices are paise"),
        ("x.parquet", {"as_source": True, "raw": True}, "leave --raw and --stream out"),
    ],
)
def test_refused(
    day: tuple[Path, np.ndarray[Any, Any]], tmp_path: Path, name: str, options: Any, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        export(day[0], tmp_path / name, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["day.dfa"]
