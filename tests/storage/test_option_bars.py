"""Files of option bars: read, sorted, checked; what breaks a rule is named."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dhanfast.errors import BadData, UsageError
from dhanfast.storage.option_bars import is_option_bars, read_option_bars

AT = 1_769_485_500_000_000_000
MINUTE = 60 * 10**9
ROW: dict[str, Any] = {
    "ts": AT, "open": 10.0, "high": 12.0, "low": 9.05, "close": 11.0, "volume": 60,
    "underlying": "BANKNIFTY", "expiry": dt.date(2026, 1, 27), "strike": 59_100.0, "right": "CE",
}  # fmt: skip
SCHEMA = pa.schema(
    [("ts", pa.int64()), *((name, pa.float64()) for name in ("open", "high", "low", "close")),
     ("volume", pa.int64()), ("underlying", pa.string()), ("expiry", pa.date32()),
     ("strike", pa.float64()), ("right", pa.string())]
)  # fmt: skip


def written(path: Path, rows: list[dict[str, Any]], more: tuple[Any, ...] = ()) -> Path:
    schema = pa.schema([*SCHEMA, *more])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def test_rows_are_sorted_and_come_as_integers(tmp_path: Path) -> None:
    rows = [
        ROW | {"ts": AT + MINUTE, "right": "PE", "spot": 59_000.5},
        ROW | {"spot": float("nan")},
        ROW | {"underlying": "NIFTY"},
        ROW | {"expiry": None},
    ]
    path = written(tmp_path / "o.parquet", rows, (("spot", pa.float64()),))
    bars = read_option_bars(path, "BANKNIFTY")
    assert is_option_bars(path) and bars.ts.tolist() == [AT, AT + MINUTE]
    assert bars.prices[:, 0].tolist() == [1000, 1200, 905, 1100]
    assert (bars.right.tolist(), bars.strike.tolist()) == ([1, -1], [5_910_000] * 2)
    assert (bars.spot.tolist(), bars.has_spot) == ([0, 5_900_050], True)
    assert (
        bars.interval_ns == MINUTE
        and bars.expiry[0] == (dt.date(2026, 1, 27) - dt.date(1970, 1, 1)).days
    )
    assert bars.prices.dtype == np.int64 and not bars.generated


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"close": 13.0}, "row 2: open or close lies outside"),
        ({"low": -1.0}, "low has -1"),
        ({"right": "FUT"}, "row 2: right is 'FUT'"),
        ({"ts": AT}, "bars of one moment"),
    ],
)
def test_what_breaks_a_rule_is_named(change: dict[str, Any], text: str, tmp_path: Path) -> None:
    path = written(tmp_path / "o.parquet", [ROW, ROW | {"ts": AT + MINUTE} | change])
    with pytest.raises(BadData, match=text):
        read_option_bars(path, "BANKNIFTY")


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "o.parquet", [ROW])
    with pytest.raises(UsageError, match="no options of 'NIFTY'; it has BANKNIFTY"):
        read_option_bars(path, "NIFTY")
    with pytest.raises(BadData, match="no such file"):
        read_option_bars(tmp_path / "absent.parquet", "NIFTY")
    other = tmp_path / "text.parquet"
    other.write_text("ts")
    with pytest.raises(BadData, match="not a Parquet file"):
        read_option_bars(other, "NIFTY")
    pq.write_table(pa.table({"ts": [1]}), other)
    with pytest.raises(BadData, match="no column open"):
        read_option_bars(other, "NIFTY")
    assert not is_option_bars(other) and not is_option_bars(tmp_path / "absent")


def test_an_expiry_that_became_a_holiday_is_the_trading_day_before(tmp_path: Path) -> None:
    """Bakri Id of 2023 was moved to the 29th, which contracts had named as their expiry."""
    named = ROW | {"ts": 1_685_936_700_000_000_000, "expiry": dt.date(2023, 6, 29)}
    rows = [named, named | {"ts": named["ts"] + MINUTE}]
    bars = read_option_bars(written(tmp_path / "o.parquet", rows), "BANKNIFTY")
    assert bars.expiry[0] == (dt.date(2023, 6, 28) - dt.date(1970, 1, 1)).days
