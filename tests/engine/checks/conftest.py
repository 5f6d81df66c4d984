"""A generated market of three months, as bars and as the file that cheats read."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from dhanfast.engine.generated import generated_bars
from dhanfast.storage.bars import BarSet

IST = dt.timezone(dt.timedelta(hours=5, minutes=30))


@pytest.fixture(scope="session")
def bars() -> BarSet:
    return generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 3, 15), seed=11)


@pytest.fixture(scope="session")
def short(bars: BarSet) -> BarSet:
    """Two weeks of it."""
    return generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 12), seed=11)


@pytest.fixture(scope="session")
def record(bars: BarSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same market as a file: start_ns,close and the day's high."""
    path = tmp_path_factory.mktemp("record") / "closes.csv"
    rows = bars.bars
    lines = [f"{at},{close / 100}" for at, close in
             zip(rows["start_ns"].tolist(), rows["close"].tolist(), strict=True)]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def write(tmp_path: Path, record: Path) -> Callable[[str], str]:
    """Writes a strategy's source; RECORD in it becomes the path of the recorded market."""

    def written(source: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(source.replace("RECORD", repr(str(record))))
        return str(path)

    return written
