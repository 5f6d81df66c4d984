"""Every indicator that TA-Lib has gives TA-Lib's values, and NaN at TA-Lib's places."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.indicators.cci import cci
from dhanfast._core.indicators.ema import ema
from dhanfast._core.indicators.linreg import Linreg, linreg, linreg_slope
from dhanfast._core.indicators.macd import macd
from dhanfast._core.indicators.obv import obv
from dhanfast._core.indicators.roc import roc
from dhanfast._core.indicators.rolling import rolling_max, rolling_min, rolling_std
from dhanfast._core.indicators.rsi import rsi
from dhanfast._core.indicators.sma import sma
from dhanfast._core.indicators.stochastic import stochastic
from dhanfast._core.indicators.wma import wma

talib = pytest.importorskip("talib")
Bars = dict[str, NDArray[np.float64]]
Series = NDArray[np.float64] | tuple[NDArray[np.float64], ...]


def on_close(
    ours: Callable[..., Series], theirs: Callable[..., Series], *periods: int
) -> Callable[[Bars], tuple[Series, Series]]:
    return lambda bars: (ours(bars["close"], *periods), theirs(bars["close"], *periods))


def hlc(bars: Bars) -> tuple[NDArray[np.float64], ...]:
    return bars["high"], bars["low"], bars["close"]


# name, both series, absolute tolerance (prices near 40,000: a unit in the last place is 7e-12;
# the looser ones are TA-Lib's own rounding, see test_references for ours)
PAIRS = [
    *[(f"ema{n}", on_close(ema, talib.EMA, n), 1e-9) for n in (2, 9, 21, 200)],
    *[(f"sma{n}", on_close(sma, talib.SMA, n), 1e-8) for n in (2, 3, 20, 200, 1000)],
    *[(f"wma{n}", on_close(wma, talib.WMA, n), 1e-7) for n in (2, 3, 20, 200)],
    *[(f"rsi{n}", on_close(rsi, talib.RSI, n), 1e-9) for n in (2, 3, 14, 100)],
    *[(f"roc{n}", on_close(roc, talib.ROC, n), 0.0) for n in (1, 10, 300)],
    *[(f"min{n}", on_close(rolling_min, talib.MIN, n), 0.0) for n in (2, 3, 14, 375)],
    *[(f"max{n}", on_close(rolling_max, talib.MAX, n), 0.0) for n in (2, 3, 14, 375)],
    *[(f"slope{n}", on_close(linreg_slope, talib.LINEARREG_SLOPE, n), 1e-6) for n in (3, 14, 90)],
    *[(f"linreg{n}", on_close(linreg, talib.LINEARREG, n), 1e-6) for n in (3, 14, 90)],
    ("macd", on_close(macd, talib.MACD, 12, 26, 9), 1e-9),
    ("macd-other", on_close(macd, talib.MACD, 3, 50, 2), 1e-9),
    ("obv", lambda b: (obv(b["close"], b["volume"]), talib.OBV(b["close"], b["volume"])), 0.0),
    (
        "stoch",
        lambda b: (stochastic(*hlc(b), 14, 3, 3), talib.STOCH(*hlc(b), 14, 3, 0, 3, 0)),
        1e-8,
    ),
    ("stoch5", lambda b: (stochastic(*hlc(b), 5, 2, 7), talib.STOCH(*hlc(b), 5, 2, 0, 7, 0)), 1e-8),
    ("stochf", lambda b: (stochastic(*hlc(b), 9, 1, 3), talib.STOCHF(*hlc(b), 9, 3, 0)), 1e-8),
]


@pytest.mark.parametrize(("pair", "atol"), [p[1:] for p in PAIRS], ids=[p[0] for p in PAIRS])
def test_equals_talib(
    bars: Bars, pair: Callable[[Bars], tuple[Series, Series]], atol: float
) -> None:
    ours, theirs = pair(bars)
    for got, want in zip(np.atleast_2d(ours), np.atleast_2d(theirs), strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=atol)


@pytest.mark.parametrize("period", [5, 20, 100])
def test_std_equals_talib_where_talib_is_exact_enough(bars: Bars, period: int) -> None:
    ours, theirs = rolling_std(bars["close"], period), talib.STDDEV(bars["close"], period)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    # TA-Lib takes anything below 1e-7 for zero.
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=2e-5)


@pytest.mark.parametrize("period", [5, 14, 20, 33])
def test_cci_equals_talib_unless_the_window_is_flat(bars: Bars, period: int) -> None:
    ours, theirs = cci(*hlc(bars), period), talib.CCI(*hlc(bars), period)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    # In a flat window TA-Lib divides one rounding error by another; ours is exactly zero.
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3
    moving = rolling_max(typical, period) - rolling_min(typical, period) > 1e-3
    np.testing.assert_allclose(ours[moving], theirs[moving], rtol=1e-9, atol=1e-5)
    assert moving.sum() > 0.9 * len(moving)


def test_intercept_equals_talib(bars: Bars) -> None:
    line = Linreg(14)
    want = talib.LINEARREG_INTERCEPT(bars["close"][:3000], 14)
    got = []
    for close in bars["close"][:3000]:
        line.update(close)
        got.append(line.intercept)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-6)
