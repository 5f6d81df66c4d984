"""The built-in strategies against their written rules: plain code, one bar at a time."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast.strategies import Market, Rules
from dhanfast.strategies.library.momentum import Momentum
from dhanfast.strategies.library.v1 import V1

from ..core.rules.probe import columns_of, walk

KEPT = 100  # candles that version 1 kept in memory
Candle = tuple[float, float, float, float]  # high, low, close, volume


def ema_of(closes: list[float], period: int) -> float:
    """Version 1: the mean of the first `period`, then the recursion, from scratch."""
    value = math.fsum(closes[:period]) / period
    for close in closes[period:]:
        value += 2.0 / (period + 1) * (close - value)
    return value


def rsi_of(closes: list[float], period: int) -> float:
    """Wilder's, seeded with the plain means of the first `period` gains and losses."""
    moves = [b - a for a, b in pairwise(closes)]
    gain = math.fsum(max(x, 0.0) for x in moves[:period]) / period
    loss = math.fsum(max(-x, 0.0) for x in moves[:period]) / period
    for move in moves[period:]:
        gain = (gain * (period - 1) + max(move, 0.0)) / period
        loss = (loss * (period - 1) + max(-move, 0.0)) / period
    return 100.0 if loss == 0 else 100.0 - 100.0 / (1.0 + gain / loss)


def vwap_of(candles: list[Candle]) -> float:
    """Volume-weighted typical price; a candle without volume weighs 1, as its ticks did."""
    weights = [volume or 1.0 for *_, volume in candles]
    typical = [(high + low + close) / 3.0 for high, low, close, _ in candles]
    return math.fsum(w * t for w, t in zip(weights, typical, strict=True)) / math.fsum(weights)


def candles_of(bars: NDArray[Any]) -> list[Candle]:
    return [(b["high"] / 100, b["low"] / 100, b["close"] / 100, float(b["volume"])) for b in bars]


@given(seed=st.integers(0, 10**6), volume=st.booleans(), count=st.integers(20, KEPT))
@settings(max_examples=15)
def test_v1_decides_as_version_1_did_while_it_remembered_every_candle(
    seed: int, volume: bool, count: int
) -> None:
    bars = walk(count, seed, volume=volume)
    candles = candles_of(bars)
    long, short = columns_of(lambda m: _sides(V1().rules(m)), bars)
    for i in range(count):
        closes = [close for _, _, close, _ in candles[: i + 1]]
        if i + 1 < 15:
            assert (long[i], short[i]) == (0, 0)
            continue
        close, ema = closes[-1], ema_of(closes, 9)
        rsi, vwap = rsi_of(closes, 14), vwap_of(candles[: i + 1])
        assert long[i] == (close > ema and close > vwap and rsi > 60)
        assert short[i] == (close < ema and close < vwap and rsi < 40)


def test_v1_vwap_rolls_over_100_candles_with_and_without_volume() -> None:
    for volume in (True, False):
        bars = walk(350, 8, volume=volume)
        (got,) = columns_of(lambda m: [m.rolling_vwap(KEPT)], bars)
        candles = candles_of(bars)
        expected = [vwap_of(candles[max(0, i + 1 - KEPT) : i + 1]) for i in range(len(bars))]
        np.testing.assert_allclose(got, expected, rtol=1e-12)
        if not volume:
            assert got[-1] == pytest.approx(np.mean([sum(c[:3]) / 3 for c in candles[-KEPT:]]))


def test_v1_rsi_is_wilders_over_all_history_where_version_1_kept_100_candles() -> None:
    bars = walk(400, 21)
    closes = [close for _, _, close, _ in candles_of(bars)]
    rsi, ema = columns_of(lambda m: [m.rsi(14), m.ema(9)], bars)
    np.testing.assert_allclose(rsi[14:], talib.RSI(np.array(closes), 14)[14:], rtol=1e-9)
    windowed = [rsi_of(closes[max(0, i + 1 - KEPT) : i + 1], 14) for i in range(14, 400)]
    apart = np.abs(rsi[14:] - windowed)
    assert apart[: KEPT - 14].max() < 1e-9  # nothing forgotten yet
    assert 1e-6 < apart.max() < 1.0  # tenths of a point afterwards
    averages = [ema_of(closes[max(0, i + 1 - KEPT) : i + 1], 9) for i in range(14, 400)]
    np.testing.assert_allclose(ema[14:], averages, rtol=1e-9)


@pytest.mark.parametrize("warmup", [1, 2, 15, 40])
def test_v1_waits_for_its_candles(warmup: int) -> None:
    bars = walk(60, 5)
    quick = {"ema": 2, "rsi": 2, "rsi_long": 0.0, "rsi_short": 100.0, "vwap": 2}
    long, short = columns_of(lambda m: _sides(V1(warmup=warmup, **quick).rules(m)), bars)
    free, other = columns_of(lambda m: _sides(V1(warmup=1, **quick).rules(m)), bars)
    seen = np.arange(1, 61) >= warmup
    np.testing.assert_array_equal(long, free * seen)
    np.testing.assert_array_equal(short, other * seen)
    assert long.any() and short.any()


def test_v1_asks_for_its_stop_and_target_in_points() -> None:
    stop, target = columns_of(
        lambda m: [m.constant(x) for x in _distances(V1().rules(m))], walk(3, 1)
    )
    assert (stop[0], target[0]) == (20.0, 40.0)


def _sides(rules: Rules) -> list[Any]:
    return [rules.long, rules.short]


def _distances(rules: Rules) -> list[Any]:
    return [rules.stop, rules.target]


def test_momentum_is_its_hypothesis_by_talib() -> None:
    bars = walk(600, 31)
    high, low, close = (bars[name] / 100.0 for name in ("high", "low", "close"))

    def declare(m: Market) -> list[Any]:
        rules = Momentum().rules(m)
        return [rules.long, rules.short, rules.stop, rules.target]

    long, short, stop, target = columns_of(declare, bars)
    ema, rsi = talib.EMA(close, 9), talib.RSI(close, 14)
    *_, hist = talib.MACD(close, 12, 26, 9)
    atr = talib.ATR(high, low, close, 14)
    np.testing.assert_array_equal(long, (close > ema) & (rsi > 60) & (hist > 0))
    np.testing.assert_array_equal(short, (close < ema) & (rsi < 40) & (hist < 0))
    np.testing.assert_allclose(stop, 1.5 * atr, rtol=1e-9)
    np.testing.assert_allclose(target, 3.0 * atr, rtol=1e-9)
    assert long.sum() > 20 and short.sum() > 20
