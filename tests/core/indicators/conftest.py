"""Series that every indicator test measures itself against."""

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("DHANFAST_DATA", ROOT.parent / "shared" / "data"))
Bars = dict[str, NDArray[np.float64]]


def walk(samples: int, seed: int) -> Bars:
    """A generated index: prices on a 0.05 tick, with flat stretches and gaps."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, 12.0, samples) * (rng.random(samples) > 0.05)
    moves[rng.random(samples) > 0.999] += 400.0
    close = np.round((38_000.0 + np.cumsum(moves)) * 20) / 20
    spread = np.round(rng.exponential(8.0, (2, samples)) * 20) / 20
    volume = rng.integers(0, 50_000, samples).astype(np.float64)
    return {"close": close, "high": close + spread[0], "low": close - spread[1], "volume": volume}


def recorded() -> Bars:
    path = DATA / "index_1m" / "BANKNIFTY_1m_2022.parquet"
    if not path.exists():
        pytest.skip(f"recorded data is absent: {path} (set DHANFAST_DATA)")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(path, columns=["high", "low", "close"])
    bars = {name: table[name].to_numpy().astype(np.float64) for name in table.column_names}
    # An index has no volume: any whole numbers serve to compare the arithmetic.
    bars["volume"] = np.random.default_rng(5).integers(0, 9_000, len(bars["close"])) * 1.0
    return bars


@pytest.fixture(
    scope="session",
    params=[pytest.param("recorded", marks=pytest.mark.data), "walk-1", "walk-2"],
)
def bars(request: pytest.FixtureRequest) -> Bars:
    if request.param == "recorded":
        return recorded()
    return walk(20_000, int(request.param[-1]))
