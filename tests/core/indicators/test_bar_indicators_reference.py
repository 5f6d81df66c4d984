"""Indicators TA-Lib lacks, against plain slow Python written for reading."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.indicators.opening_range import (
    OpeningMinutes,
    OpeningRange,
    opening_minutes,
    opening_range,
)
from dhanfast._core.indicators.pivots import Pivots, pivots
from dhanfast._core.indicators.realised_volatility import (
    Parkinson,
    RealisedVolatility,
    parkinson,
    realised_volatility,
)
from dhanfast._core.indicators.supertrend import Supertrend, supertrend
from dhanfast._core.indicators.vwap import RollingVwap, Vwap, rolling_vwap, vwap

Series = NDArray[np.float64]
NAN = math.nan


def walk(seed: int, n: int) -> tuple[Series, Series, Series, Series]:
    random = np.random.default_rng(seed)
    close = 45_000.0 + np.cumsum(random.normal(0, 12, n))
    high, low = close + random.exponential(9, n), close - random.exponential(9, n)
    return high, low, close, random.integers(0, 500, n).astype(np.float64)


def sessions(n: int, length: int, offset: int = 0) -> NDArray[np.bool_]:
    return (np.arange(n) - offset) % length == 0


# --- Supertrend ---------------------------------------------------------------------------------


def slow_supertrend(
    high: Sequence[float], low: Sequence[float], close: Sequence[float], period: int, factor: float
) -> tuple[list[float], list[float]]:
    ranges = [
        max(h - lo, abs(h - c), abs(lo - c))
        for h, lo, c in zip(high[1:], low[1:], close[:-1], strict=True)
    ]
    lines, trends = [NAN] * period, [NAN] * period
    average = sum(ranges[:period]) / period
    upper = lower = trend = NAN
    for i in range(period, len(close)):
        if i > period:
            average += (ranges[i - 1] - average) / period
        middle = (high[i] + low[i]) / 2
        basic_upper, basic_lower = middle + factor * average, middle - factor * average
        if i == period:
            upper, lower = basic_upper, basic_lower
            trend = 1.0 if close[i] >= middle else -1.0
        else:
            upper = basic_upper if basic_upper < upper or close[i - 1] > upper else upper
            lower = basic_lower if basic_lower > lower or close[i - 1] < lower else lower
            if close[i] > upper:
                trend = 1.0
            elif close[i] < lower:
                trend = -1.0
        lines.append(lower if trend > 0 else upper)
        trends.append(trend)
    return lines, trends


@pytest.mark.parametrize(("period", "factor"), [(10, 3.0), (7, 1.0), (1, 2.0), (30, 0.5)])
def test_supertrend_follows_its_definition(period: int, factor: float) -> None:
    high, low, close, _ = walk(1, 3_000)
    line, direction = supertrend(high, low, close, period, factor)
    lines, trends = slow_supertrend(high.tolist(), low.tolist(), close.tolist(), period, factor)
    np.testing.assert_array_equal(direction, trends)
    np.testing.assert_allclose(line, lines, rtol=1e-13)
    assert (np.diff(direction[period:]) != 0).sum() > 10, (
        "the walk must turn, or this proves little"
    )


def test_supertrend_by_hand() -> None:
    """Period 1: the ATR is the bar's own true range. Bars (high, low, close), factor 1."""
    trend = Supertrend(1, 1.0)
    assert math.isnan(trend.update(11.0, 9.0, 10.0))
    # TR = max(12, 10) - min(10, 10) = 2; middle 11; bands 13 and 9; close 11 >= 11: up.
    assert trend.update(12.0, 10.0, 11.0) == 9.0
    assert (trend.direction, trend.upper, trend.lower) == (1.0, 13.0, 9.0)
    # TR = 11 - 7 = 4; middle 8; bands 12 and 4; upper falls to 12, lower stays 9; close 7.5 < 9.
    assert trend.update(9.0, 7.0, 7.5) == 12.0
    assert trend.direction == -1.0


# --- VWAP ---------------------------------------------------------------------------------------


def slow_vwap(bars: tuple[Series, ...], starts: Sequence[bool], empty: float) -> list[list[float]]:
    rows: list[list[float]] = []
    prices: list[float] | None = None
    weights: list[float] = []
    for high, low, close, volume, start in zip(*bars, starts, strict=True):
        if start:
            prices, weights = [], []
        if prices is not None:
            prices.append((high + low + close) / 3)
            weights.append(volume if volume > 0 else empty)
        total = math.fsum(weights)
        if prices is None or total == 0:
            rows.append([NAN, NAN])
            continue
        mean = math.fsum(w * p for w, p in zip(weights, prices, strict=True)) / total
        square = math.fsum(w * (p - mean) ** 2 for w, p in zip(weights, prices, strict=True))
        rows.append([mean, math.sqrt(square / total)])
    return rows


@pytest.mark.parametrize("empty", [0.0, 1.0])
def test_vwap_follows_its_definition_in_every_session(empty: float) -> None:
    bars = walk(2, 900)
    bars[3][300:340] = 0.0  # a session that begins without volume
    starts = sessions(900, 300, offset=150)
    value, upper, lower = vwap(*bars, starts, 2.0, empty)
    expected = np.array(slow_vwap(bars, starts.tolist(), empty))
    np.testing.assert_allclose(value, expected[:, 0], rtol=1e-14)
    np.testing.assert_allclose(upper, expected[:, 0] + 2 * expected[:, 1], rtol=1e-13)
    np.testing.assert_allclose(lower, expected[:, 0] - 2 * expected[:, 1], rtol=1e-13)
    assert np.isnan(value[:150]).all(), "no value before the first session start"


def test_vwap_without_volume_has_no_value_unless_bars_get_a_weight() -> None:
    high, low, close, _ = walk(3, 50)
    nothing = np.zeros(50)
    assert np.isnan(vwap(high, low, close, nothing)[0]).all()
    typical = (high + low + close) / 3
    running = np.cumsum(typical) / np.arange(1, 51)
    np.testing.assert_allclose(
        vwap(high, low, close, nothing, empty_weight=1.0)[0], running, rtol=1e-14
    )


def test_vwap_bands_keep_their_digits_over_a_million_bars_in_one_session() -> None:
    n = 1_000_000
    random = np.random.default_rng(4)
    close = 45_000.0 + 3.0 * np.sin(np.arange(n)) + random.normal(0, 1, n)
    volume = random.integers(1, 900, n).astype(np.float64)
    value, upper, _ = vwap(close, close, close, volume)
    price, weight = close.astype(np.longdouble), volume.astype(np.longdouble)
    mean = (price * weight).sum() / weight.sum()
    sigma = np.sqrt((weight * (price - mean) ** 2).sum() / weight.sum())
    assert abs(value[-1] / float(mean) - 1) < 1e-14
    assert abs((upper[-1] - value[-1]) / float(sigma) - 1) < 1e-9


@pytest.mark.parametrize("period", [1, 2, 7, 100])
def test_rolling_vwap_is_the_first_versions(period: int) -> None:
    high, low, close, volume = walk(5, 1_000)
    volume[200:320] = 0.0
    got = rolling_vwap(high, low, close, volume, period)
    for i in range(len(close)):
        window = slice(max(0, i - period + 1), i + 1)
        typical = (high[window] + low[window] + close[window]) / 3
        total = math.fsum(volume[window])
        expected = math.fsum(typical * volume[window]) / total if total else NAN
        np.testing.assert_allclose(got[i], expected, rtol=1e-14)


def test_rolling_vwap_has_no_drift_over_a_million_bars() -> None:
    """A huge trade leaves the window without a trace: nothing is ever subtracted."""
    n, period = 1_000_000, 50
    high, low, close, volume = walk(6, n)
    volume += 1.0
    volume[::997] = 1e12
    got = rolling_vwap(high, low, close, volume, period)
    typical = (high + low + close) / 3
    for i in (n - 1, n - 500, n - 950, n // 2, n // 3):
        window = slice(i - period + 1, i + 1)
        expected = math.fsum(typical[window] * volume[window]) / math.fsum(volume[window])
        assert abs(got[i] / expected - 1.0) < 1e-14


# --- opening range ------------------------------------------------------------------------------


@pytest.mark.parametrize("bars", [1, 5, 15])
def test_opening_range_is_the_first_bars_and_never_looks_ahead(bars: int) -> None:
    high, low, _, _ = walk(7, 400)
    starts = sessions(400, 75, offset=20)
    got_high, got_low = opening_range(high, low, starts, bars)
    for i in range(400):
        begin = max((s for s in np.flatnonzero(starts) if s <= i), default=None)
        if begin is None or i - begin + 1 < bars:
            assert math.isnan(got_high[i]) and math.isnan(got_low[i])
        else:
            assert got_high[i] == max(high[begin : begin + bars])
            assert got_low[i] == min(low[begin : begin + bars])


def test_opening_minutes_skip_the_pre_open_and_do_not_stretch_over_missing_bars() -> None:
    minute = 60_000_000_000
    #        pre-open, 09:15, 09:16, (09:17 is missing), 09:18, 09:19, 09:20
    times = np.array([-8, 0, 1, 3, 4, 5]) * minute
    high = np.array([500.0, 11.0, 12.0, 10.0, 99.0, 98.0])
    low = np.array([1.0, 9.0, 8.0, 7.0, 6.0, 5.0])
    starts = np.array([True, False, False, False, False, False])
    got_high, got_low = opening_minutes(high, low, times, starts, minutes=4)
    np.testing.assert_array_equal(got_high, [NAN, NAN, NAN, 12.0, 12.0, 12.0])
    np.testing.assert_array_equal(got_low, [NAN, NAN, NAN, 7.0, 7.0, 7.0])
    # When the last bar of the range is the missing one, the next bar completes it.
    got_high, got_low = opening_minutes(high, low, times, starts, minutes=3)
    np.testing.assert_array_equal(got_high, [NAN, NAN, NAN, 12.0, 12.0, 12.0])
    np.testing.assert_array_equal(got_low, [NAN, NAN, NAN, 8.0, 8.0, 8.0])


def test_opening_minutes_without_a_bar_inside_stay_unknown_that_day() -> None:
    minute = 60_000_000_000
    times = np.array([20, 21, 0, 1, 2]) * minute
    starts = np.array([True, False, True, False, False])
    prices = np.array([50.0, 51.0, 10.0, 12.0, 11.0])
    high, _ = opening_minutes(prices, prices, times, starts, minutes=2)
    np.testing.assert_array_equal(high, [NAN, NAN, NAN, 12.0, 12.0])


# --- pivots -------------------------------------------------------------------------------------


def test_pivots_come_from_the_whole_previous_session() -> None:
    high, low, close, _ = walk(8, 500)
    starts = sessions(500, 75, offset=30)
    floor = pivots(high, low, close, starts)
    camarilla = pivots(high, low, close, starts, "camarilla")
    begins = np.flatnonzero(starts)
    for i in range(500):
        session = int(np.searchsorted(begins, i, side="right")) - 1
        if session < 1:
            assert all(math.isnan(level[i]) for level in floor)
            continue
        day = slice(begins[session - 1], begins[session])
        h, lo, c = max(high[day]), min(low[day]), close[day][-1]
        p = (h + lo + c) / 3
        expected = [
            p,
            2 * p - lo,
            p + (h - lo),
            h + 2 * (p - lo),
            NAN,
            2 * p - h,
            p - (h - lo),
            lo - 2 * (h - p),
            NAN,
        ]
        np.testing.assert_allclose([level[i] for level in floor], expected, rtol=1e-15)
        steps = [1.1 * (h - lo) / k for k in (12, 6, 4, 2)]
        expected = [p, *(c + s for s in steps), *(c - s for s in steps)]
        np.testing.assert_allclose([level[i] for level in camarilla], expected, rtol=1e-15)


def test_pivots_by_hand() -> None:
    """Yesterday 110, 90, 100: P = 100, R1 = 110, S1 = 90, R2 = 120, S2 = 80, R3 = 130, S3 = 70."""
    levels = Pivots()
    assert math.isnan(levels.update(105.0, 90.0, 95.0, True))
    assert math.isnan(levels.update(110.0, 95.0, 100.0))
    assert levels.update(101.0, 99.0, 100.0, True) == 100.0
    np.testing.assert_array_equal(levels.resistances, (110.0, 120.0, 130.0, NAN))
    np.testing.assert_array_equal(levels.supports, (90.0, 80.0, 70.0, NAN))


# --- volatility ---------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [2, 20, 375])
def test_realised_volatility_is_the_sample_deviation_of_log_returns(period: int) -> None:
    close = walk(9, 2_000)[2]
    got = realised_volatility(close, period, 252 * 375)
    returns = np.diff(np.log(close.astype(np.longdouble)))
    windows = np.lib.stride_tricks.sliding_window_view(returns, period)
    expected = np.sqrt(np.longdouble(252 * 375)) * windows.std(axis=1, ddof=1)
    assert np.isnan(got[:period]).all()
    np.testing.assert_allclose(got[period:], expected.astype(float), rtol=1e-8)


@pytest.mark.parametrize("period", [1, 20, 375])
def test_parkinson_follows_its_definition(period: int) -> None:
    high, low, _, _ = walk(10, 2_000)
    got = parkinson(high, low, period, 252 * 375)
    squares = np.log(high / low) ** 2
    windows = np.lib.stride_tricks.sliding_window_view(squares, period)
    expected = np.sqrt(252 * 375 / (4 * math.log(2)) * windows.mean(axis=1))
    assert np.isnan(got[: period - 1]).all()
    np.testing.assert_allclose(got[period - 1 :], expected, rtol=1e-9)


def test_volatility_of_a_known_series() -> None:
    """Returns alternate +1 % and -1 % (log): mean 0, so the deviation is 0.01 * sqrt(n/(n-1))."""
    close = 100.0 * np.exp(0.01 * (np.arange(101) % 2))
    got = realised_volatility(close, 100, 252.0)[-1]
    assert got == pytest.approx(0.01 * math.sqrt(100 / 99) * math.sqrt(252), rel=1e-12)


@pytest.mark.parametrize(
    "indicator",
    [
        Supertrend(),
        Vwap(),
        RollingVwap(),
        OpeningRange(),
        OpeningMinutes(),
        Pivots(),
        RealisedVolatility(20, 252),
        Parkinson(20, 252),
    ],
)
def test_a_fresh_indicator_has_no_value(indicator: Supertrend) -> None:
    assert not indicator.ready
    assert math.isnan(indicator.value)
