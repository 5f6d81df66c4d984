"""Timeframes: several at once equal one at a time; aggregation equals building from the ticks."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.bars import TimeBars
from dhanfast._core.timeframes import BarSet, aggregate
from dhanfast._core.types import BAR_DTYPE, TICK_DTYPE
from dhanfast.errors import BadData, UsageError

S = 1_000_000_000
MINUTE = 60 * S
DAY = 86_400 * S
OPEN = 1_767_584_700 * S  # 2026-01-05 09:15 IST
SESSIONS = np.array([[OPEN + d * DAY, OPEN + d * DAY + 375 * MINUTE] for d in range(3)])
DATA = Path(os.environ.get("DHANFAST_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def random_ticks(count: int, seed: int, instruments: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    ticks = np.zeros(count, dtype=TICK_DTYPE)
    day = np.sort(rng.integers(0, len(SESSIONS), count))
    inside = (rng.random(count) * 376 * MINUTE).astype(np.int64)  # the last minute is outside
    ticks["exch_ns"] = np.sort(SESSIONS[day, 0] + inside)
    ticks["price"] = 4_000_000 + np.cumsum(rng.integers(-9, 10, count)) * 5
    ticks["qty"] = rng.integers(1, 99, count)
    ticks["instrument"] = rng.integers(0, instruments, count)
    return ticks


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), count=st.integers(0, 900))
def test_a_set_equals_one_builder_for_each_instrument_and_timeframe(seed: int, count: int) -> None:
    sizes = [MINUTE, 5 * MINUTE, DAY]
    ticks = random_ticks(count, seed, instruments=4)
    bars = BarSet(sizes, SESSIONS, instruments=3, volume="qty")
    far = OPEN + 9 * DAY
    got = [np.concatenate(p) for p in zip(bars.update_many(ticks), bars.advance(far), strict=True)]
    late = outside = 0
    for size, frame in zip(sizes, got, strict=True):
        for instrument in range(3):
            one = TimeBars(size, SESSIONS, instrument=instrument, volume="qty")
            want = np.concatenate([one.update_many(ticks), one.advance(far)])
            np.testing.assert_array_equal(frame[frame["instrument"] == instrument], want)
            late += one.late
            outside += one.outside if size == MINUTE else 0
    assert bars.foreign == (ticks["instrument"] == 3).sum()
    assert (bars.late, bars.outside) == (late, outside)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), minutes=st.sampled_from([1, 2, 3, 7, 15, 60, 375, 1440]))
def test_aggregated_minutes_equal_bars_built_from_the_ticks(seed: int, minutes: int) -> None:
    ticks = random_ticks(600, seed)
    frames = BarSet([MINUTE, minutes * MINUTE], SESSIONS, volume="qty")
    short, long = (
        np.concatenate(parts)
        for parts in zip(frames.update_many(ticks), frames.advance(OPEN + 9 * DAY), strict=True)
    )
    got, outside = aggregate(short, minutes * MINUTE, SESSIONS)
    np.testing.assert_array_equal(got, long)
    assert outside == 0


def minute_bars(count: int, first: int = OPEN) -> np.ndarray:
    bars = np.zeros(count, dtype=BAR_DTYPE)
    bars["start_ns"] = first + np.arange(count) * MINUTE
    bars["open"] = bars["close"] = bars["high"] = bars["low"] = 100 + np.arange(count)
    bars["volume"] = 1
    return bars


def test_bars_outside_the_sessions_are_counted_and_left_out() -> None:
    bars = minute_bars(380, OPEN - 2 * MINUTE)
    got, outside = aggregate(bars, 60 * MINUTE, SESSIONS)
    assert outside == 5
    assert got["start_ns"].tolist() == [OPEN + k * 60 * MINUTE for k in range(7)]
    assert got["volume"].tolist() == [60] * 6 + [15]
    assert got["open"][0] == 102 and got["close"][-1] == 102 + 374


def test_nothing_in_nothing_out() -> None:
    got, outside = aggregate(np.zeros(0, dtype=BAR_DTYPE), 5 * MINUTE, SESSIONS)
    assert (len(got), outside) == (0, 0)


@pytest.mark.parametrize(
    ("column", "row", "value", "says"),
    [
        ("start_ns", 3, OPEN, r"bars\[3\].start_ns"),
        ("instrument", 2, 9, r"bars\[2\].instrument = 9"),
        ("low", 4, 0, r"bars\[4\].low = 0"),
        ("open", 5, -1, r"bars\[5\]"),
        ("low", 6, 10**6, r"bars\[6\].low = 1000000 is above high"),
    ],
)
def test_a_bad_source_bar_is_named(column: str, row: int, value: int, says: str) -> None:
    bars = minute_bars(10)
    bars[column][row] = value
    with pytest.raises(BadData, match=says):
        aggregate(bars, 5 * MINUTE, SESSIONS)


def test_a_source_bar_across_a_boundary_is_refused() -> None:
    with pytest.raises(BadData, match="crosses a boundary"):
        aggregate(minute_bars(10, OPEN + 30 * S), 2 * MINUTE, SESSIONS)


def test_other_refusals_name_the_argument() -> None:
    with pytest.raises(UsageError, match="multiple of source_ns"):
        aggregate(minute_bars(3), 90 * S, SESSIONS)
    with pytest.raises(UsageError, match="bars must be"):
        aggregate(np.zeros(3), 5 * MINUTE, SESSIONS)
    for intervals in ([], [MINUTE] * 33):
        with pytest.raises(UsageError, match=r"1\.\.32"):
            BarSet(intervals, SESSIONS)
    with pytest.raises(UsageError, match="instruments"):
        BarSet([MINUTE], SESSIONS, instruments=0)
    with pytest.raises(UsageError, match="ticks must be"):
        BarSet([MINUTE], SESSIONS).update_many(np.zeros(3))


@pytest.mark.data
def test_recorded_minutes_make_the_recorded_quarter_hours() -> None:
    """BANKNIFTY 2022: 15-minute bars of another source agree with ours (99 % of closes)."""
    minute_file = DATA / "index_1m" / "BANKNIFTY_1m_2022.parquet"
    quarter_file = DATA / "index_15m" / "BANKNIFTY_15m_2018_2022.parquet"
    if not (minute_file.exists() and quarter_file.exists()):
        pytest.skip(f"recorded index bars are not in {DATA}")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(minute_file)
    bars = np.zeros(len(table), dtype=BAR_DTYPE)
    bars["start_ns"] = table["ts"].to_numpy()
    for column in ("open", "high", "low", "close"):
        bars[column] = np.rint(100 * table[column].to_numpy())
    days = np.unique((bars["start_ns"] + 19_800 * S) // DAY) * DAY - 19_800 * S
    sessions = np.column_stack([days + 555 * MINUTE, days + 930 * MINUTE])  # 09:15 to 15:30
    got, outside = aggregate(bars, 15 * MINUTE, sessions)
    assert outside > 2 * 200  # pre-open and closing prints of each day
    quarters = parquet.read_table(quarter_file)
    _, ours, theirs = np.intersect1d(
        got["start_ns"], quarters["ts"].to_numpy(), return_indices=True
    )
    assert len(ours) > 6_000
    closes = np.rint(100 * quarters["close"].to_numpy())[theirs]
    # The other source prints to 0.05, or to 0.1: a few paise apart is the same price.
    assert (np.abs(got["close"][ours] - closes) <= 5).mean() > 0.98
