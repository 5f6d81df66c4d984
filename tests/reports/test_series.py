"""The charts' data decodes to what the run holds, and thinning never hides an extreme."""

import base64
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.reports import metrics, series
from dhanfast.reports.result import RunResult

Build = Callable[..., RunResult]


def unpack(pack: dict[str, Any]) -> Any:
    """What the page's script does, in Python."""
    values = np.frombuffer(base64.b64decode(pack["b"]), "<" + pack["t"]).astype(np.float64)
    for place, value in zip(pack.get("at", []), pack.get("is", []), strict=True):
        values[place] = value
    return values


whole_numbers = st.lists(st.integers(-(2**50), 2**50) | st.integers(-40_000, 40_000), max_size=200)


@settings(max_examples=80, deadline=None)
@given(values=whole_numbers)
def test_narrow_and_steps_lose_nothing(values: list[int]) -> None:
    array = np.array(values, np.int64)
    assert unpack(series.narrow(array)).tolist() == values
    assert np.cumsum(unpack(series.steps(array))).tolist() == values


def test_a_few_wide_values_do_not_widen_the_rest() -> None:
    array = np.ones(1000, np.int64)
    array[::100] = 10**6
    assert series.narrow(array)["t"] == "i2"
    assert series.narrow(array * 10**6)["t"] == "f8"
    assert series.narrow(array * 100_000 // 2)["t"] == "f8"
    assert series.narrow(array * 50_000 % 10**9)["t"] == "i4"


paths = st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=400)


@settings(max_examples=80, deadline=None)
@given(path=paths, buckets=st.integers(1, 12))
def test_thinning_keeps_every_extreme(path: list[int], buckets: int) -> None:
    equity = np.array(path, np.int64)
    peak = np.maximum.accumulate(equity)
    falls = (peak - equity).astype(np.float64)
    kept = series.kept_rows(equity, falls, buckets)
    assert len(kept) <= min(len(path), 5 * (buckets + 1))
    assert kept[0] == 0 and kept[-1] == len(path) - 1
    assert np.all(np.diff(kept) > 0)
    size = max(1, -(-len(path) // buckets))
    for start in range(0, len(path), size):
        mine = kept[(kept >= start) & (kept < start + size)]
        part = slice(start, start + size)
        assert equity[mine].max() == equity[part].max()
        assert equity[mine].min() == equity[part].min()
        assert falls[mine].max() == falls[part].max()


def test_equity_series_carries_the_true_drawdown(make_result: Build) -> None:
    made = make_result(days=120, bars_a_day=375)
    out = series.equity_series(made)
    rows = unpack(out["row"]).astype(int)
    assert len(rows) < len(made.equity) == out["rows"]
    np.testing.assert_array_equal(unpack(out["value"]), made.equity["equity"][rows])
    np.testing.assert_array_equal(unpack(out["time"]), made.equity["time_ns"][rows] // 10**9)
    fall = metrics.measure(made).drawdown
    assert fall is not None
    assert unpack(out["fall"]).max() == pytest.approx(fall.fraction, rel=1e-6)


def test_price_series_is_every_bar(result: RunResult) -> None:
    out = series.price_series(result)
    assert out is not None and out["merged"] == 1 and result.bars is not None
    close = np.cumsum(unpack(out["close"]))
    np.testing.assert_array_equal(close, result.bars["close"])
    np.testing.assert_array_equal(close + unpack(out["up"]), result.bars["high"])
    np.testing.assert_array_equal(close - unpack(out["down"]), result.bars["low"])
    times = [first + i * step for first, step, count in out["runs"] for i in range(count)]
    assert times == (result.bars["start_ns"] // 10**9).tolist()
    assert len(out["runs"]) == 60
    assert series.price_series(dataclasses.replace(result, bars=None)) is None


@pytest.mark.parametrize("most", [1, 7, 100, 4500])
def test_merged_bars_keep_high_and_low(result: RunResult, most: int) -> None:
    assert result.bars is not None
    merged, size = series.merged_bars(result.bars, most)
    assert len(merged) == -(-4500 // size) <= most
    for number, bar in enumerate(merged[:50]):
        part = result.bars[number * size : (number + 1) * size]
        assert (bar["high"], bar["low"]) == (part["high"].max(), part["low"].min())
        assert (bar["open"], bar["close"]) == (part["open"][0], part["close"][-1])
        assert bar["start_ns"] == part["start_ns"][0]


def test_trades_point_at_their_bars(result: RunResult) -> None:
    out = series.trade_rows(result)
    assert result.bars is not None
    ends = result.bars["start_ns"] + 60 * 10**9
    for i, trade in enumerate(result.trades):
        assert ends[out["from"][i]] == trade["entry_ns"]
        assert ends[out["to"][i]] == trade["exit_ns"]
    assert out["net"] == [round(net / 10**6) for net in metrics.trade_net(result.trades).tolist()]
    assert out["total"] == 180


def test_a_long_list_of_trades_says_how_many_there_are(
    result: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series, "TRADES_MAX", 10)
    out = series.trade_rows(result)
    assert (out["total"], len(out["net"])) == (180, 10)


def test_time_runs_of_nothing_and_of_one() -> None:
    assert series.time_runs(np.zeros(0, np.int64)) == []
    assert series.time_runs(np.array([5])) == [[5, 60, 1]]
