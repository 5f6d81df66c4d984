"""Recorded data for benchmarks: the same folder the tests read."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of recorded market data: DHANFAST_DATA, default ../shared/data."""
    root = Path(__file__).parent.parent
    folder = Path(os.environ.get("DHANFAST_DATA") or root / ".." / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip("no recorded data: set DHANFAST_DATA to its folder (default ../shared/data)")
    return folder
