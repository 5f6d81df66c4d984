"""Reading a year of minutes: Parquet, CSV and the catalog, made here so that no data is needed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import BAR_DTYPE
from dhanfast.clock import ManualClock
from dhanfast.storage.bars import BarSet, Source, read_bars, write_parquet
from dhanfast.storage.catalog import Catalog
from dhanfast.storage.importing import ImportOptions, import_files

ROWS = 93_338
START_NS = 1_641_181_500_000_000_000


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same bars in the three forms."""
    folder = tmp_path_factory.mktemp("bars")
    walk = 3_500_000 + np.random.default_rng(7).integers(-300, 301, ROWS).cumsum()
    bars = np.zeros(ROWS, BAR_DTYPE)
    bars["start_ns"] = START_NS + np.arange(ROWS) * 60_000_000_000
    for column, offset in (("open", 0), ("high", 150), ("low", -150), ("close", 50)):
        bars[column] = walk + offset
    made = BarSet("NIFTY", bars, 60_000_000_000, True, (Source("bench", "", ROWS),))
    parquet, text = folder / "bars.parquet", folder / "bars.csv"
    write_parquet(parquet, made)
    table = np.column_stack(
        [bars["start_ns"], *(bars[c] for c in ("open", "high", "low", "close"))]
    )
    lines = [f"{ts},{o / 100},{h / 100},{lo / 100},{c / 100}" for ts, o, h, lo, c in table.tolist()]
    text.write_text("\n".join(["ts,open,high,low,close", *lines]))
    catalog = Catalog(folder / "catalog")
    import_files(catalog, [parquet], ImportOptions(), ManualClock())
    return {"parquet": parquet, "csv": text, "catalog": catalog.root}


@pytest.mark.parametrize("form", ["parquet", "csv", "catalog"])
def test_read_a_year(
    benchmark: Callable[..., Any], sources: dict[str, Path], form: str
) -> None:  # fmt: skip
    benchmark.extra_info["bars_per_round"] = ROWS  # type: ignore[attr-defined]
    got = benchmark(read_bars, sources[form], symbol="NIFTY")
    assert len(got.bars) == ROWS
