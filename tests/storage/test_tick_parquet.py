"""Ticks and rows of books as Parquet: every field back, read by pyarrow itself; all or nothing."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast.errors import DhanfastError
from dhanfast.market.tickday import TickDay, tick_day
from dhanfast.storage.tick_parquet import depth_path, parquet_writer


def day_of(depth_levels: int) -> TickDay:
    return tick_day("NIFTY", date(2025, 11, 17), seed=1, ticks=3_000, strikes=3, batch=700,
                    depth_levels=depth_levels)  # fmt: skip


def read_back(path: Path, dtype: Any) -> Any:
    table = pq.read_table(path, use_threads=False)
    rows = np.zeros(table.num_rows, dtype)
    assert tuple(table.column_names) == dtype.names
    for name in dtype.names:
        column = table.column(name).to_numpy()
        assert column.dtype == dtype[name]
        rows[name] = column
    return rows


@pytest.mark.parametrize("levels", [0, 5])
def test_every_field_comes_back(tmp_path: Path, levels: int) -> None:
    day, path = day_of(levels), tmp_path / "day.parquet"
    with parquet_writer(path, day) as write:
        for batch in day:
            write(batch)
    want = list(day)
    ticks = read_back(path, TICK_DTYPE)
    assert ticks.tobytes() == np.concatenate([b.ticks for b in want]).tobytes()
    assert depth_path(path) == tmp_path / "day.depth.parquet"
    assert depth_path(path).exists() == bool(levels)
    if levels:
        rows = read_back(depth_path(path), DEPTH_DTYPE)
        assert rows.tobytes() == np.concatenate([b.depth for b in want]).tobytes()


def test_the_file_says_what_it_holds(tmp_path: Path) -> None:
    day, path = day_of(0), tmp_path / "day.parquet"
    with parquet_writer(path, day) as write:
        for batch in day:
            write(batch)
    meta = pq.read_schema(path).metadata
    assert meta[b"dhanfast.generated"] == b"true"
    assert meta[b"dhanfast.label"] == b"3000 generated ticks of NIFTY on 2025-11-17, seed 1"
    table = json.loads(meta[b"dhanfast.instruments"])
    assert table[0] == {"index": 0, "symbol": "NIFTY", "kind": "IDX", "tick": 5, "lot": 0,
                        "expiry": None, "strike": 0}  # fmt: skip
    assert [one["symbol"] for one in table] == [one.symbol for one in day.instruments]
    assert table[-1]["expiry"] == "2025-11-18" and table[-1]["lot"] == 75


def test_a_day_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    day, path = day_of(5), tmp_path / "day.parquet"
    path.write_bytes(b"the old one")
    with pytest.raises(KeyboardInterrupt), parquet_writer(path, day) as write:
        write(next(iter(day)))
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["day.parquet"]
    assert path.read_bytes() == b"the old one"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(DhanfastError, match="cannot be written"),
        parquet_writer(tmp_path / "no" / "day.parquet", day_of(0)),
    ):
        pass
