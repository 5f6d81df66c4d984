"""ATR, ADX, Bollinger, Donchian and Keltner against TA-Lib, on recorded and generated bars."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from dhanfast._core.indicators.adx import Adx, adx
from dhanfast._core.indicators.atr import Atr, atr, true_range
from dhanfast._core.indicators.bollinger import bollinger
from dhanfast._core.indicators.donchian import donchian
from dhanfast._core.indicators.keltner import keltner

Series = NDArray[np.float64]
ROOT = Path(__file__).parents[3]
RECORDED = "index_1m/BANKNIFTY_1m_2022.parquet"


class Bars(NamedTuple):
    high: Series
    low: Series
    close: Series


def recorded() -> Bars:
    folder = Path(os.environ.get("DHANFAST_DATA", ROOT.parent / "shared" / "data"))
    path = folder / RECORDED
    if not path.exists():
        pytest.skip(f"no recorded bars: {path} is absent (set DHANFAST_DATA)")
    import pyarrow.parquet as parquet

    table = parquet.read_table(path, columns=["high", "low", "close"])
    return Bars(*(table[name].to_numpy().astype(np.float64) for name in Bars._fields))


def walk(seed: int, n: int, start: float, step: float) -> Bars:
    random = np.random.default_rng(seed)
    close = start + np.cumsum(random.normal(0, step, n))
    return Bars(close + random.exponential(step, n), close - random.exponential(step, n), close)


def on_ticks() -> Bars:
    """Prices on a coarse grid: equal highs, flat bars and bars without movement."""
    random = np.random.default_rng(5)
    close = 100.0 + np.cumsum(random.integers(-1, 2, 4000)).astype(float)
    return Bars(close + random.integers(0, 2, 4000), close - random.integers(0, 2, 4000), close)


def halted() -> Bars:
    """A market that stands still for 800 bars: sums decay to almost nothing, then it wakes."""
    before, after = walk(6, 200, 500.0, 2.0), walk(7, 200, 500.0, 2.0)
    last = np.full(800, before.close[-1])
    return Bars(*(np.concatenate([a, last, b]) for a, b in zip(before, after, strict=True)))


MARKETS = {
    "recorded": recorded,
    "walk": lambda: walk(1, 20_000, 45_000.0, 12.0),
    "cheap option": lambda: walk(2, 3_000, 3.0, 0.05),
    "on ticks": on_ticks,
    "halted": halted,
}


@pytest.fixture(
    params=[pytest.param(n, marks=pytest.mark.data) if n == "recorded" else n for n in MARKETS]
)
def bars(request: pytest.FixtureRequest) -> Bars:
    return MARKETS[request.param]()


def same_blanks(got: Series, expected: Series) -> None:
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))


def test_true_range_is_talibs_to_the_last_bit(bars: Bars) -> None:
    np.testing.assert_array_equal(true_range(*bars), talib.TRANGE(*bars))


@pytest.mark.parametrize("period", [1, 2, 3, 14, 200])
def test_atr_is_talibs(bars: Bars, period: int) -> None:
    expected = talib.ATR(*bars, period)
    got = atr(*bars, period)
    same_blanks(got, expected)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("period", [2, 3, 14, 50])
def test_adx_and_its_parts_are_talibs(bars: Bars, period: int) -> None:
    got = adx(*bars, period)
    oracles = (talib.ADX, talib.PLUS_DI, talib.MINUS_DI, talib.DX)
    for series, oracle in zip(got, oracles, strict=True):
        expected = oracle(*bars, period)
        same_blanks(series, expected)
        np.testing.assert_allclose(series, expected, rtol=1e-9, atol=1e-9)


def test_adx_after_an_endless_standstill_is_still_a_number() -> None:
    still = walk(6, 100, 500.0, 2.0)
    index = Adx(2)
    for bar in zip(*still, strict=True):
        index.update(*bar)
    for _ in range(1_500):
        last = index.value
        index.update(500.0, 500.0, 500.0)
    assert (index.plus_di, index.minus_di) == (0.0, 0.0)
    assert index.value == last, "nothing moved, so ADX keeps its value"
    assert 0.0 <= last <= 100.0
    index.update(510.0, 505.0, 507.0)
    assert index.plus_di == 100.0
    assert index.minus_di == 0.0


def test_bollinger_is_talibs_to_the_digits_talib_keeps(bars: Bars) -> None:
    for period, up, down in ((5, 2.0, 2.0), (20, 2.0, 2.0), (20, 1.0, 3.0), (2, 2.0, 2.0)):
        expected = talib.BBANDS(bars.close, period, up, down)
        got = bollinger(bars.close, period, up, down)
        # TA-Lib takes sum(x^2)/n - mean^2 of whole prices: near a flat window its deviation is
        # off by up to the root of that cancellation.
        cancelled = 3 * np.sqrt(np.finfo(float).eps * len(bars.close)) * np.max(bars.close) / 10
        for series, oracle in zip(got, expected, strict=True):
            same_blanks(series, oracle)
            np.testing.assert_allclose(series, oracle, rtol=0, atol=cancelled)
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-10)


@pytest.mark.parametrize("period", [5, 20, 21, 100])
def test_bollinger_equals_the_definition_window_by_window(bars: Bars, period: int) -> None:
    close = bars.close[-3_000:]
    windows = np.lib.stride_tricks.sliding_window_view(close, period)
    mean, deviation = windows.mean(axis=1), windows.std(axis=1)
    upper, middle, lower = (band[period - 1 :] for band in bollinger(close, period, 2.5, 1.5))
    np.testing.assert_allclose(middle, mean, rtol=1e-13)
    scale = 1e-12 * np.max(np.abs(close))
    np.testing.assert_allclose(upper, mean + 2.5 * deviation, rtol=0, atol=scale)
    np.testing.assert_allclose(lower, mean - 1.5 * deviation, rtol=0, atol=scale)


@pytest.mark.parametrize("period", [2, 3, 20, 55, 1_500])
def test_donchian_is_talibs_max_and_min(bars: Bars, period: int) -> None:
    upper, middle, lower = donchian(bars.high, bars.low, period)
    highest, lowest = talib.MAX(bars.high, period), talib.MIN(bars.low, period)
    np.testing.assert_array_equal(upper, highest)
    np.testing.assert_array_equal(lower, lowest)
    np.testing.assert_array_equal(middle, 0.5 * (highest + lowest))


def test_donchian_of_one_bar_is_the_bar(bars: Bars) -> None:
    upper, _, lower = donchian(bars.high, bars.low, 1)
    np.testing.assert_array_equal(upper, bars.high)
    np.testing.assert_array_equal(lower, bars.low)


@pytest.mark.parametrize(("period", "atr_period"), [(20, 10), (5, 30), (2, 1)])
def test_keltner_is_talibs_ema_and_atr(bars: Bars, period: int, atr_period: int) -> None:
    upper, middle, lower = keltner(*bars, period, atr_period, 1.5)
    ema, reach = talib.EMA(bars.close, period), 1.5 * talib.ATR(*bars, atr_period)
    blank = np.isnan(ema) | np.isnan(reach)
    assert blank.sum() == max(period - 1, atr_period)
    for got, expected in ((upper, ema + reach), (middle, ema), (lower, ema - reach)):
        expected = np.where(blank, np.nan, expected)
        np.testing.assert_allclose(got, expected, rtol=1e-11)


def test_updates_one_by_one_give_the_batch_and_say_when_they_are_ready() -> None:
    bars = walk(3, 200, 100.0, 1.0)
    average, index = Atr(14), Adx(14)
    averages, indices = atr(*bars, 14), adx(*bars, 14)[0]
    for i, bar in enumerate(zip(*bars, strict=True)):
        np.testing.assert_equal(average.update(*bar), averages[i])
        np.testing.assert_equal(index.update(*bar), indices[i])
        assert average.ready == (i >= 14)
        assert index.ready == (i >= 27)


def test_atr_keeps_its_digits_over_a_million_bars() -> None:
    """Four interleaved chains forget as the plain recursion does: no error outlives its period."""
    bars = walk(8, 1_000_000, 45_000.0, 12.0)
    expected = talib.ATR(*bars, 14)
    got = atr(*bars, 14)
    assert np.nanmax(np.abs(got / expected - 1.0)) < 1e-13
