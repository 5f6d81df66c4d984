"""History: an answer of 90 days of minutes read, cleaned, kept, and a file made of a year."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast.brokers.dhan.answers_data import candles_of
from dhanfast.brokers.dhan.history import Ask, asks_of, cleaned
from dhanfast.market.calendar import Calendar
from dhanfast.storage.download_files import make_file
from dhanfast.storage.downloads import BASE, Columns, DownloadFolder, Line, Series

LINE = Line(name="NIFTY", file="NIFTY_1m", kind="INDEX", hours="NSE_INDEX", segment="IDX_I",
            security_id=13, instrument="INDEX", interval_s=60, underlying="NIFTY")  # fmt: skip
FIRST, LAST = dt.date(2022, 1, 1), dt.date(2022, 12, 31)


def minutes(ask: Ask) -> Columns:
    """Bars of every minute of some days."""
    windows = Calendar.load().windows(ask.first, ask.last, "NSE_INDEX")
    starts = np.concatenate([np.arange(opens, closes, 60 * 10**9) for opens, closes in windows])
    close = 4_000_000 + np.random.default_rng(1).integers(-99_999, 99_999, len(starts))
    columns: Columns = dict.fromkeys(BASE, close)
    return columns | {"start_ns": starts, "volume": np.zeros(len(starts), np.int64)}


@pytest.fixture
def asks() -> list[Ask]:
    return asks_of(Series(LINE), FIRST, LAST, Calendar.load())


def test_read_an_answer(benchmark: Any, asks: list[Ask]) -> None:
    columns = minutes(asks[1])
    said: dict[str, Any] = {name: (columns[name] / 100).tolist() for name in BASE[1:5]}
    said |= {"volume": columns["volume"].tolist(),
             "timestamp": (columns["start_ns"] // 10**9).tolist()}  # fmt: skip
    benchmark.extra_info["bars_per_round"] = len(columns["start_ns"])
    found = benchmark(candles_of, said)
    assert np.array_equal(found.close, columns["close"])


def test_clean_an_answer(benchmark: Any, asks: list[Ask]) -> None:
    columns = minutes(asks[1])
    benchmark.extra_info["bars_per_round"] = len(columns["start_ns"])
    assert benchmark(cleaned, columns, asks[1])[1] == ()


def test_make_a_file_of_a_year(benchmark: Any, asks: list[Ask], tmp_path: Path) -> None:
    folder = DownloadFolder(tmp_path / "out")
    with folder.changing("dhan", True):
        series = Series(LINE)
        for ask in asks:
            series = folder.keep(series, ask.first, ask.last, minutes(ask), 1)
        benchmark.extra_info["bars_per_round"] = series.rows
        made = benchmark(make_file, folder, LINE.file, True)
    assert made.rows == series.rows
