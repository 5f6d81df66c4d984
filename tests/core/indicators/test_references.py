"""Indicators against plain, slow definitions, on windows chosen to hurt."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from dhanfast._core.indicators.cci import Cci, cci
from dhanfast._core.indicators.ema import ema
from dhanfast._core.indicators.linreg import linreg, linreg_slope
from dhanfast._core.indicators.obv import obv
from dhanfast._core.indicators.percentile import rolling_percentile
from dhanfast._core.indicators.roc import roc
from dhanfast._core.indicators.rolling import rolling_max, rolling_min, rolling_std, zscore
from dhanfast._core.indicators.rsi import rsi
from dhanfast._core.indicators.sma import sma
from dhanfast._core.indicators.stochastic import stochastic
from dhanfast._core.indicators.wma import wma

PRICES = st.lists(
    st.integers(1, 2_000_000).map(lambda ticks: ticks * 0.05), min_size=1, max_size=120
)
PERIODS = st.integers(1, 30)
FEW = settings(max_examples=60, deadline=None)


def windows(prices: list[float], period: int) -> list[list[float] | None]:
    ends = range(1, len(prices) + 1)
    return [prices[end - period : end] if end >= period else None for end in ends]


@FEW
@given(prices=PRICES, period=PERIODS)
def test_sma_std_zscore_are_the_exact_rational_ones(prices: list[float], period: int) -> None:
    means, stds, scores = sma(prices, period), rolling_std(prices, period), zscore(prices, period)
    for i, window in enumerate(windows(prices, period)):
        if window is None:
            assert math.isnan(means[i]) and math.isnan(stds[i]) and math.isnan(scores[i])
            continue
        exact = [Fraction(price) for price in window]
        mean = sum(exact) / period
        std = math.sqrt(sum((x - mean) ** 2 for x in exact) / period)
        reach = max(window) - min(window)
        assert means[i] == pytest.approx(float(mean), rel=1e-15, abs=1e-13 * reach)
        assert stds[i] == pytest.approx(std, rel=1e-9, abs=1e-15)
        if reach == 0.0:
            assert means[i] == window[0] and stds[i] == 0.0 and scores[i] == 0.0
        else:
            want = float(exact[-1] - mean) / std
            assert scores[i] == pytest.approx(want, rel=1e-9, abs=1e-9)


@FEW
@given(prices=PRICES, period=PERIODS)
def test_min_and_max_are_exact(prices: list[float], period: int) -> None:
    least, most = rolling_min(prices, period), rolling_max(prices, period)
    for i, window in enumerate(windows(prices, period)):
        if window is None:
            assert math.isnan(least[i]) and math.isnan(most[i])
        else:
            assert (least[i], most[i]) == (min(window), max(window))


@FEW
@given(prices=PRICES, period=PERIODS, percent=st.floats(0, 100) | st.sampled_from([0, 50, 100]))
def test_percentile_is_numpys(prices: list[float], period: int, percent: float) -> None:
    got = rolling_percentile(prices, period, percent)
    for i, window in enumerate(windows(prices, period)):
        if window is None:
            assert math.isnan(got[i])
        else:
            assert got[i] == pytest.approx(float(np.percentile(window, percent)), rel=1e-12)


@FEW
@given(prices=PRICES, period=PERIODS)
def test_wma_and_the_line_are_the_exact_rational_ones(prices: list[float], period: int) -> None:
    averages = wma(prices, period)
    slopes = linreg_slope(prices, period) if period > 1 else None
    lines = linreg(prices, period) if period > 1 else None
    for i, window in enumerate(windows(prices, period)):
        if window is None:
            assert math.isnan(averages[i])
            continue
        exact = [Fraction(price) for price in window]
        ranks = range(1, period + 1)
        reach = max(window) - min(window)
        want = sum(w * x for w, x in zip(ranks, exact, strict=True)) / sum(ranks)
        assert averages[i] == pytest.approx(float(want), rel=1e-15, abs=1e-13 * reach)
        if slopes is None or lines is None:
            continue
        middle = Fraction(period + 1, 2)
        over = sum((w - middle) ** 2 for w in ranks)
        slope = sum((w - middle) * x for w, x in zip(ranks, exact, strict=True)) / over
        line = sum(exact) / period + slope * (period - middle)
        assert slopes[i] == pytest.approx(float(slope), rel=1e-12, abs=1e-13 * reach)
        assert lines[i] == pytest.approx(float(line), rel=1e-14, abs=1e-12 * reach)


@FEW
@given(prices=PRICES, period=PERIODS)
def test_rsi_is_wilders_table(prices: list[float], period: int) -> None:
    got = rsi(prices, period)
    moves = [new - old for old, new in pairwise(prices)]
    assert np.isnan(got[:period]).all()
    if len(moves) < period:
        return
    gain = sum(max(move, 0.0) for move in moves[:period]) / period
    loss = sum(max(-move, 0.0) for move in moves[:period]) / period
    for i in range(period, len(prices)):
        if i > period:
            gain = (gain * (period - 1) + max(moves[i - 1], 0.0)) / period
            loss = (loss * (period - 1) + max(-moves[i - 1], 0.0)) / period
        want = 100.0 * gain / (gain + loss) if gain + loss > 1e-14 else 0.0
        assert got[i] == pytest.approx(want, rel=1e-9, abs=1e-9)


def test_rsi_at_the_ends() -> None:
    rising, falling, flat = np.arange(1.0, 40.0), np.arange(40.0, 1.0, -1.0), np.full(39, 7.0)
    assert (rsi(rising, 14)[14:] == 100.0).all()
    assert (rsi(falling, 14)[14:] == 0.0).all()
    assert (rsi(flat, 14)[14:] == 0.0).all()


@FEW
@given(prices=PRICES, period=PERIODS)
def test_ema_seeds(prices: list[float], period: int) -> None:
    alpha = 2 / (period + 1)
    first = [prices[0]]
    for price in prices[1:]:
        first.append(alpha * price + (1 - alpha) * first[-1])
    np.testing.assert_allclose(ema(prices, period, "first"), first, rtol=1e-13)
    classic = [math.nan] * len(prices)
    if len(prices) >= period:
        classic[period - 1] = sum(prices[:period]) / period
        for i in range(period, len(prices)):
            classic[i] = alpha * prices[i] + (1 - alpha) * classic[i - 1]
    np.testing.assert_allclose(ema(prices, period), classic, rtol=1e-13)


@FEW
@given(
    bars=st.lists(st.tuples(*[st.integers(1, 4_000)] * 3), min_size=1, max_size=60),
    period=st.integers(1, 12),
    smooth=st.integers(1, 4),
    signal=st.integers(1, 4),
)
def test_stochastic_and_cci_by_hand(
    bars: list[tuple[int, int, int]], period: int, smooth: int, signal: int
) -> None:
    low, close, high = np.sort(np.array(bars, float), axis=1).T * 0.05
    k, d = stochastic(high, low, close, period, smooth, signal)
    raw = []
    for i in range(period - 1, len(close)):
        least = min(low[i - period + 1 : i + 1])
        reach = max(high[i - period + 1 : i + 1]) - least
        raw.append(100 * (close[i] - least) / reach if reach else 0.0)
    ks = [np.mean(raw[i - smooth + 1 : i + 1]) for i in range(smooth - 1, len(raw))]
    ds = [np.mean(ks[i - signal + 1 : i + 1]) for i in range(signal - 1, len(ks))]
    lead = min(period + smooth + signal - 3, len(close))
    assert np.isnan(k[:lead]).all() and np.isnan(d[:lead]).all()
    np.testing.assert_allclose(d[lead:], ds, atol=1e-9)
    np.testing.assert_allclose(k[lead:], ks[signal - 1 :], atol=1e-9)

    index = cci(high, low, close, period)
    typical = (high + low + close) / 3
    for i in range(period - 1, len(close)):
        window = typical[i - period + 1 : i + 1]
        spread = float(np.mean(np.abs(window - window.mean())))
        if spread > 1e-6:
            want = (typical[i] - window.mean()) / (0.015 * spread)
            assert index[i] == pytest.approx(want, rel=1e-6, abs=1e-6)
        elif window.max() == window.min():
            assert index[i] == 0.0


def test_cci_of_a_flat_market_is_zero() -> None:
    cci_of = Cci(20)
    for _ in range(60):
        cci_of.update(101.35, 101.35, 101.35)
    assert cci_of.value == 0.0


def test_roc_of_zero_is_zero_and_obv_ignores_equal_closes() -> None:
    np.testing.assert_array_equal(roc([0.0, 5.0, 10.0], 1), [math.nan, 0.0, 100.0])
    np.testing.assert_array_equal(
        obv([10.0, 11.0, 11.0, 9.0], [5.0, 7.0, 100.0, 3.0]), [5.0, 12.0, 12.0, 9.0]
    )


@pytest.mark.slow
def test_a_million_samples_leave_no_drift() -> None:
    """Against each window summed afresh in extended precision, after sums that would drift."""
    rng = np.random.default_rng(11)
    samples = 40_000.0 + np.cumsum(rng.normal(0.0, 8.0, 1_000_000))
    samples[:500_000:1000] *= 1e6  # what a running sum would never forget
    tail = samples[-2_000:]
    for period in (7, 20, 250):
        view = sliding_window_view(tail, period).astype(np.longdouble)
        mean = view.mean(axis=1)
        gaps = view - mean[:, None]
        reach = float((view.max(axis=1) - view.min(axis=1)).max())
        bound = 2 * period * 2.0**-53 * reach + 2.0**-53 * float(mean.max())
        got = sma(samples, period)[-len(mean) :]
        assert float(np.abs(got - mean).max()) <= bound
        std = np.sqrt((gaps**2).mean(axis=1))
        np.testing.assert_allclose(
            rolling_std(samples, period)[-len(mean) :], std.astype(float), rtol=1e-12 * period
        )
        ranks = np.arange(1, period + 1, dtype=np.longdouble)
        want = (view * ranks).sum(axis=1) / ranks.sum()
        assert float(np.abs(wma(samples, period)[-len(mean) :] - want).max()) <= bound
        centred = ranks - ranks.mean()
        slope = (gaps * centred).sum(axis=1) / (centred**2).sum()
        np.testing.assert_allclose(
            linreg_slope(samples, period)[-len(mean) :], slope.astype(float), rtol=1e-9, atol=1e-12
        )
