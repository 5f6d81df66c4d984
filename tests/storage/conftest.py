"""Bars for the tests: small files made here, and recorded data when it is present."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Row = Sequence[object]
MINUTE_NS = 60_000_000_000
OPEN_NS = 1_641_181_500_000_000_000  # 2022-01-03 09:15 IST


@pytest.fixture
def recorded() -> Path:
    """The folder of recorded market data."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("DHANFAST_DATA", beside))
    if not (folder / "index_1m").is_dir():
        pytest.skip(f"no recorded data at {folder}: set DHANFAST_DATA to its folder")
    return folder


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    """A maker of CSV files: header and rows, or rows changed from three good ones."""

    def make(
        rows: Sequence[Row] | None = None,
        header: str = "ts,open,high,low,close,volume",
        name: str = "bars.csv",
    ) -> Path:
        rows = good_rows() if rows is None else rows
        lines = [header, *(",".join(str(cell) for cell in row) for row in rows)]
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return make


def good_rows(count: int = 3) -> list[list[object]]:
    """Bars of one minute each, stamped in UTC nanoseconds, prices in rupees."""
    return [
        [OPEN_NS + n * MINUTE_NS, 100 + n, 102 + n, 99.5 + n, 101 + n, 10 * n] for n in range(count)
    ]


@pytest.fixture
def rows() -> list[list[object]]:
    """Three good rows, to be spoiled by a test."""
    return good_rows()
