"""Bar indicators beside TA-Lib: the same arrays, one run. Compare medians within a group only.

Run: python -m pytest bench/test_indicators_ohlc_bench.py --benchmark-group-by=group \
     --benchmark-columns=median,min,rounds
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import talib
from pytest_benchmark.fixture import BenchmarkFixture

from dhanfast._core.indicators.adx import Adx, adx
from dhanfast._core.indicators.atr import Atr, atr, true_range
from dhanfast._core.indicators.bollinger import Bollinger, bollinger
from dhanfast._core.indicators.donchian import Donchian, donchian
from dhanfast._core.indicators.keltner import Keltner, keltner
from dhanfast._core.indicators.opening_range import opening_range
from dhanfast._core.indicators.pivots import pivots
from dhanfast._core.indicators.realised_volatility import parkinson, realised_volatility
from dhanfast._core.indicators.supertrend import Supertrend, supertrend
from dhanfast._core.indicators.vwap import rolling_vwap, vwap

BARS = 93_000  # a year of minutes
UPDATES = 10_000

random = np.random.default_rng(7)
CLOSE = 45_000.0 + np.cumsum(random.normal(0, 10, BARS))
HIGH = CLOSE + random.exponential(8, BARS)
LOW = CLOSE - random.exponential(8, BARS)
VOLUME = random.integers(1, 900, BARS).astype(np.float64)
STARTS = np.arange(BARS) % 375 == 0
HLC = (HIGH, LOW, CLOSE)


def talib_adx_with_parts() -> None:
    for function in (talib.ADX, talib.PLUS_DI, talib.MINUS_DI, talib.DX):
        function(*HLC, 14)


def talib_channel() -> Any:
    return 0.5 * (talib.MAX(HIGH, 20) + talib.MIN(LOW, 20))


def talib_keltner() -> Any:
    middle, reach = talib.EMA(CLOSE, 20), 2.0 * talib.ATR(*HLC, 10)
    return middle + reach, middle, middle - reach


PAIRS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "true range": (lambda: true_range(*HLC), lambda: talib.TRANGE(*HLC)),
    "atr 14": (lambda: atr(*HLC, 14), lambda: talib.ATR(*HLC, 14)),
    "adx 14 and parts, against ADX": (lambda: adx(*HLC, 14), lambda: talib.ADX(*HLC, 14)),
    "adx 14 and parts, against all four": (lambda: adx(*HLC, 14), talib_adx_with_parts),
    "bollinger 20": (
        lambda: bollinger(CLOSE, 20, 2.0, 2.0),
        lambda: talib.BBANDS(CLOSE, 20, 2.0, 2.0),
    ),
    "donchian 20": (lambda: donchian(HIGH, LOW, 20), talib_channel),
    "keltner 20, 10": (lambda: keltner(*HLC, 20, 10, 2.0), talib_keltner),
}
ALONE: dict[str, Callable[[], Any]] = {
    "supertrend 10": lambda: supertrend(*HLC, 10, 3.0),
    "vwap with bands": lambda: vwap(*HLC, VOLUME, STARTS),
    "rolling vwap 100": lambda: rolling_vwap(*HLC, VOLUME, 100),
    "opening range 15": lambda: opening_range(HIGH, LOW, STARTS, 15),
    "pivots": lambda: pivots(*HLC, STARTS),
    "realised volatility 20": lambda: realised_volatility(CLOSE, 20, 94_500.0),
    "parkinson 20": lambda: parkinson(HIGH, LOW, 20, 94_500.0),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("side", ["dhanfast", "talib"])
def test_batch(benchmark: BenchmarkFixture, name: str, side: str) -> None:
    benchmark.group = f"batch {name}, {BARS} bars"
    benchmark.extra_info["bars"] = BARS
    benchmark(PAIRS[name][side == "talib"])


@pytest.mark.parametrize("name", ALONE)
def test_batch_without_a_peer(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark.group = f"batch without a peer, {BARS} bars"
    benchmark.extra_info["bars"] = BARS
    benchmark(ALONE[name])


class Empty:
    """The cost of the call itself: two arguments in, one double out."""

    def __init__(self) -> None:
        self.update = math.copysign


SCALAR: dict[str, tuple[Any, int]] = {
    "the call itself": (Empty(), 2),
    "atr": (Atr(14), 3),
    "adx": (Adx(14), 3),
    "supertrend": (Supertrend(10, 3.0), 3),
    "keltner": (Keltner(20, 10), 3),
    "donchian": (Donchian(20), 2),
    "bollinger": (Bollinger(20), 1),
}


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_update(benchmark: BenchmarkFixture, name: str) -> None:
    """One update from Python, with the loop around it; nanoseconds = time / UPDATES."""
    indicator, width = SCALAR[name]
    columns = (CLOSE,) if width == 1 else HLC[:width]
    samples = list(zip(*(column[:UPDATES].tolist() for column in columns), strict=True))
    update = indicator.update

    def one() -> None:
        for (sample,) in samples:
            update(sample)

    def two() -> None:
        for high, low in samples:
            update(high, low)

    def three() -> None:
        for high, low, close in samples:
            update(high, low, close)

    benchmark.group = f"scalar, {UPDATES} updates"
    benchmark.extra_info["updates"] = UPDATES
    benchmark({1: one, 2: two, 3: three}[width])
