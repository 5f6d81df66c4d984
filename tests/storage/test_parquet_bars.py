"""Parquet in: our schema without options, other types by their meaning, recorded bars exactly."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dhanfast.errors import BadData, DhanfastError, UsageError
from dhanfast.storage.bars import BarSet, read_bars, write_parquet

NS = 1_641_181_500_000_000_000
STEP = 60_000_000_000


@pytest.fixture
def parquet(tmp_path: Path) -> Callable[..., Path]:
    """A maker of Parquet files of three good rows, with columns changed or added."""

    def make(metadata: dict[bytes, bytes] | None = None, **columns: Any) -> Path:
        base: dict[str, Any] = {
            "ts": [NS, NS + STEP, NS + 2 * STEP],
            "instrument": ["NIFTY"] * 3,
            "open": [100.0, 101.0, 102.0],
            "high": [103.0] * 3,
            "low": [99.0] * 3,
            "close": [101.05, 102.0, 103.0],
            "volume": [1, 2, 3],
            "oi": [0, 0, 0],
        }
        base |= columns
        table = pa.table({name: cells for name, cells in base.items() if cells is not None})
        path = tmp_path / "bars.parquet"
        pq.write_table(table.replace_schema_metadata(metadata), path)
        return path

    return make


Make = Callable[..., Path]


def test_our_schema_needs_no_options(parquet: Make) -> None:
    got = read_bars(parquet())
    assert (got.symbol, got.timeframe, got.generated) == ("NIFTY", "1m", False)
    assert got.bars["close"].tolist() == [10105, 10200, 10300]
    assert got.bars["start_ns"].tolist() == [NS, NS + STEP, NS + 2 * STEP]
    assert got.bars["instrument"].tolist() == [0, 0, 0]
    assert got.bars.flags.writeable and got.bars.flags.c_contiguous


IST_CLOCK = [datetime(2022, 1, 3, 9, 15 + n) for n in range(3)]


@pytest.mark.parametrize(
    ("stamps", "more", "tz"),
    [
        (pa.array([NS + n * STEP for n in range(3)], pa.timestamp("ns", "UTC")), {}, None),
        (pa.array([(NS + n * STEP) // 1000 for n in range(3)], pa.timestamp("us", "Asia/Kolkata")),
         {}, None),
        (pa.array(IST_CLOCK, pa.timestamp("ms")), {}, "Asia/Kolkata"),
        (pa.array([(NS + n * STEP) // 10**9 for n in range(3)], pa.int64()), {}, None),
        (pa.array([(NS + n * STEP) // 10**9 for n in range(3)], pa.uint32()), {}, None),
        (pa.array([f"{at} +05:30".replace(" +", "+") for at in IST_CLOCK]), {}, None),
        (pa.array([date(2022, 1, 3)] * 3),
         {"time": pa.array([time(9, 15 + n) for n in range(3)], pa.time64("us"))}, "Asia/Kolkata"),
        (pa.array([20220103] * 3), {"time": ["09:15", "09:16", "09:17"]}, "Asia/Kolkata"),
    ],
    ids=["ns utc", "us ist", "naive ms", "s", "uint32 s", "text", "date32+time64", "number+text"],
)  # fmt: skip
def test_stamps_of_every_type(parquet: Make, stamps: Any, more: dict[str, Any], tz: str) -> None:
    columns = "ts=ts+time" if more else None
    got = read_bars(parquet(ts=stamps, **more), tz=tz, columns=columns)
    assert got.bars["start_ns"].tolist() == [NS, NS + STEP, NS + 2 * STEP]


def test_naive_stamps_need_a_zone(parquet: Make) -> None:
    path = parquet(ts=pa.array(IST_CLOCK, pa.timestamp("ms")))
    with pytest.raises(UsageError, match=r"bars.parquet: .*--tz Asia/Kolkata"):
        read_bars(path)


def test_decimal_and_whole_prices(parquet: Make) -> None:
    exact = pa.array([Decimal("100.05"), Decimal("101.10"), Decimal("102.15")])
    got = read_bars(parquet(open=exact, high=[103, 103, 103]))
    assert got.bars["open"].tolist() == [10005, 10110, 10215]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"ts": [NS, None, NS + STEP]}, r"row 2: ts: 'None' is not a time"),
        ({"close": [101.0, None, 102.0]}, r"row 2: close: '.*' is not a finite number"),
        ({"low": [99.0, 99.0, float("-inf")]}, r"row 3: low: '-inf' is not a finite"),
        ({"volume": [1, None, 3]}, r"row 2: volume: 'None' is not a whole number"),
        ({"volume": [1.0, 2.5, 3.0]}, r"row 2: volume: '2.5' is not a whole number"),
        ({"ts": [NS, NS, NS + STEP]}, r"row 2: ts: '1641181500000000000' repeats"),
        ({"open": ["a", "b", "c"]}, r"column open has the type string"),
        ({"ts": [1.5, 2.5, 3.5]}, r"the stamp column has the type double"),
        ({"instrument": ["A", None, "A"]}, r"row 2: instrument is empty"),
        ({"instrument": [1, 2, 3]}, r"instrument column has the type int64"),
        ({"high": None}, r"no column high"),
    ],
)
def test_bad_columns_and_rows_are_named(
    parquet: Make, columns: dict[str, Any], says: str
) -> None:  # fmt: skip
    with pytest.raises(BadData, match=says):
        read_bars(parquet(**columns))


def test_files_that_are_no_parquet(tmp_path: Path, parquet: Make) -> None:
    text = tmp_path / "text.parquet"
    text.write_text("ts,open\n")
    with pytest.raises(BadData, match="not a Parquet file"):
        read_bars(text)
    cut = parquet()
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(BadData, match="not a Parquet file we can read"):
        read_bars(cut)
    names = ("ts", "open", "high", "low", "close")
    empty = tmp_path / "empty.parquet"
    pq.write_table(pa.table({name: pa.array([], pa.float64()) for name in names}), empty)
    with pytest.raises(BadData, match="has no rows"):
        read_bars(empty)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_damaged_byte_is_refused_or_harmless(parquet: Make, at: int, byte: int) -> None:
    path = parquet()
    data = bytearray(path.read_bytes())
    data[at % len(data)] = byte
    path.write_bytes(bytes(data))
    try:
        assert len(read_bars(path, symbol="NIFTY").bars) == 3
    except DhanfastError as error:
        assert "bars.parquet" in str(error)


def test_one_instrument_of_several(parquet: Make) -> None:
    path = parquet(instrument=["A", "B", "A"])
    got = read_bars(path, symbol="A")
    assert got.bars["close"].tolist() == [10105, 10300]
    assert got.sources[0].rows == 2
    with pytest.raises(UsageError, match=r"holds 2 instruments \(A, B\)"):
        read_bars(path)


def test_long_names_are_not_taken_from_cut_statistics(parquet: Make) -> None:
    long = "X" * 80
    path = parquet(instrument=[long + "A", long + "B", long + "A"])
    with pytest.raises(UsageError, match="holds 2 instruments"):
        read_bars(path)


@pytest.mark.parametrize("generated", [True, False])
def test_written_bars_come_back_with_their_label(tmp_path: Path, generated: bool) -> None:
    rng = np.random.default_rng(5)
    source = tmp_path / "a.csv"
    closes = rng.integers(1_000_000, 5_000_000, 400)
    lines = [f"{1641181500 + 60 * n},{c / 100},{c / 100},{c / 100},{c / 100},{n}"
             for n, c in enumerate(closes.tolist())]  # fmt: skip
    source.write_text("\n".join(["ts,open,high,low,close,volume", *lines]))
    one = read_bars(source, symbol="NIFTY")
    labelled = BarSet(one.symbol, one.bars, one.interval_ns, generated, one.sources)
    path = tmp_path / "b.parquet"
    write_parquet(path, labelled)
    back = read_bars(path)
    assert back.bars.tobytes() == one.bars.tobytes()
    assert (back.generated, back.symbol, back.interval_ns) == (generated, "NIFTY", 60 * 10**9)
    assert back.bars["close"].tolist() == closes.tolist()


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "rows", "sha256"),
    [
        ("BANKNIFTY_1m_2022", 93338,
         "398fda38b1dbf0c81bcfb2170fe5955e6ec683a03de76beacb3ba06bd2822f1d"),
        ("NIFTY_1m_2009", 76897,
         "993bbc67454e34b3fbef19c2b5171046f374bce35aa6d630bf80d6a0e7fba7ad"),
    ],
)  # fmt: skip
def test_recorded_bars_equal_a_plain_reading(
    recorded: Path, name: str, rows: int, sha256: str
) -> None:
    path = recorded / "index_1m" / f"{name}.parquet"
    got = read_bars(path)
    table = pq.read_table(path)
    assert got.sources == ((f"{name}.parquet", sha256, rows),)
    for column in ("open", "high", "low", "close"):
        plain = [int(Decimal(repr(price)) * 100) for price in table[column].to_pylist()]
        assert got.bars[column].tolist() == plain
    assert got.bars["start_ns"].tolist() == table["ts"].to_pylist()


@pytest.mark.data
def test_the_official_close_of_2022_is_read(recorded: Path) -> None:
    got = read_bars(recorded / "index_1m" / "BANKNIFTY_1m_2022.parquet", start="2022-12-30")
    assert got.bars["close"][-1] == 42_986_45
    assert got.first.astimezone(UTC).isoformat() == "2022-12-30T03:37:00+00:00"


@pytest.mark.data
def test_the_fifteen_minute_file_is_refused_for_its_626_rows(recorded: Path) -> None:
    path = recorded / "index_15m" / "BANKNIFTY_15m_2018_2022.parquet"
    with pytest.raises(BadData, match=r"626 bad rows of 30,625") as refused:
        read_bars(path)
    assert "row 12: open: '25540.7' is above the high" in str(refused.value)
