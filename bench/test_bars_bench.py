"""Ticks to one-minute bars: one at a time, in blocks, and polars on the same day."""

import numpy as np
import pytest

from dhanfast._core.bars import TimeBars
from dhanfast._core.timeframes import BarSet, aggregate
from dhanfast._core.types import TICK_DTYPE

S = 1_000_000_000
MINUTE = 60 * S
OPEN = 1_767_584_700 * S  # 09:15 IST
COUNT = 1_000_000
SESSIONS = np.array([[OPEN, OPEN + 375 * MINUTE]])


def one_day() -> np.ndarray:
    rng = np.random.default_rng(7)
    ticks = np.zeros(COUNT, dtype=TICK_DTYPE)
    ticks["exch_ns"] = np.sort(OPEN + (rng.random(COUNT) * 375 * MINUTE).astype(np.int64))
    ticks["price"] = 5_000_000 + np.cumsum(rng.integers(-4, 5, COUNT)) * 5
    ticks["qty"] = rng.integers(1, 500, COUNT)
    ticks["volume"] = np.cumsum(ticks["qty"])
    return ticks


def test_batch(benchmark) -> None:
    """`update_many` over a day; ns a tick = median / 1e6."""
    ticks = one_day()
    bars = benchmark(lambda: TimeBars(MINUTE, SESSIONS).update_many(ticks))
    assert len(bars) == 374


def test_streaming(benchmark) -> None:
    """`bars_advance` and `bars_tick` for each tick, as the engine calls them."""
    ticks = one_day()
    assert len(benchmark(lambda: TimeBars(MINUTE, SESSIONS).replay(ticks))) == 374


def test_three_timeframes(benchmark) -> None:
    ticks = one_day()
    frames = [MINUTE, 5 * MINUTE, 15 * MINUTE]
    assert len(benchmark(lambda: BarSet(frames, SESSIONS).update_many(ticks))) == 3


def test_aggregate(benchmark) -> None:
    """A year's 93,750 minutes to five-minute bars."""
    minutes = TimeBars(MINUTE, SESSIONS).update_many(one_day())
    days = np.arange(250) * 86_400 * S
    year = np.concatenate([minutes] * 250)
    year["start_ns"] = (minutes["start_ns"][None, :] + days[:, None]).ravel()
    sessions = SESSIONS + days[:, None]
    assert len(benchmark(aggregate, year, 5 * MINUTE, sessions)[0]) == 250 * 75


def test_polars(benchmark) -> None:
    """polars group_by_dynamic over columns of the same day (its own threads)."""
    polars = pytest.importorskip("polars")
    ticks = one_day()
    frame = polars.DataFrame(
        {"ts": ticks["exch_ns"], "price": ticks["price"], "qty": ticks["qty"]}
    ).with_columns(polars.col("ts").cast(polars.Datetime("ns")).set_sorted())
    price = polars.col("price")

    def grouped() -> object:
        return frame.group_by_dynamic("ts", every="1m").agg(
            price.first().alias("open"),
            price.max().alias("high"),
            price.min().alias("low"),
            price.last().alias("close"),
            polars.col("qty").sum().alias("volume"),
        )

    assert len(benchmark(grouped)) == 375
