"""Batch indicators beside TA-Lib, scalar updates, and five fused in one pass.

    python -m pytest bench/test_indicators_bench.py --benchmark-group-by=group

Each group holds ours and TA-Lib's on the same series of one run; compare medians within a group.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.indicators.bundle import Bundle
from dhanfast._core.indicators.cci import Cci, cci
from dhanfast._core.indicators.ema import Ema, ema
from dhanfast._core.indicators.linreg import Linreg, linreg, linreg_slope
from dhanfast._core.indicators.macd import Macd, macd
from dhanfast._core.indicators.obv import Obv, obv
from dhanfast._core.indicators.percentile import RollingPercentile, rolling_percentile
from dhanfast._core.indicators.roc import Roc, roc
from dhanfast._core.indicators.rolling import (
    RollingMax,
    RollingMin,
    RollingStd,
    Zscore,
    rolling_max,
    rolling_min,
    rolling_std,
    zscore,
)
from dhanfast._core.indicators.rsi import Rsi, rsi
from dhanfast._core.indicators.sma import Sma, sma
from dhanfast._core.indicators.stochastic import Stochastic, stochastic
from dhanfast._core.indicators.wma import Wma, wma

talib = pytest.importorskip("talib")
ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("DHANFAST_DATA", ROOT.parent / "shared" / "data"))


def series() -> tuple[str, list[Any]]:
    """A recorded year of minutes when it is there, else a random walk as long."""
    path = DATA / "index_1m" / "BANKNIFTY_1m_2022.parquet"
    rng = np.random.default_rng(1)
    if path.exists():
        parquet = pytest.importorskip("pyarrow.parquet")
        table = parquet.read_table(path, columns=["high", "low", "close"])
        prices = [table[name].to_numpy().astype(float) for name in table.column_names]
        return "recorded", [*prices, rng.integers(0, 9_000, len(prices[0])) * 1.0]
    close = 38_000.0 + np.cumsum(rng.normal(0.0, 12.0, 93_000))
    spread = rng.exponential(8.0, (2, len(close)))
    return "walk", [close + spread[0], close - spread[1], close, rng.random(len(close)) * 9_000]


SOURCE, (HIGH, LOW, CLOSE, VOLUME) = series()
BATCH: dict[str, tuple[Callable[[], Any], Callable[[], Any] | None]] = {
    "ema": (lambda: ema(CLOSE, 21), lambda: talib.EMA(CLOSE, 21)),
    "sma": (lambda: sma(CLOSE, 20), lambda: talib.SMA(CLOSE, 20)),
    "wma": (lambda: wma(CLOSE, 20), lambda: talib.WMA(CLOSE, 20)),
    "std": (lambda: rolling_std(CLOSE, 20), lambda: talib.STDDEV(CLOSE, 20)),
    "zscore": (
        lambda: zscore(CLOSE, 20),
        lambda: (CLOSE - talib.SMA(CLOSE, 20)) / talib.STDDEV(CLOSE, 20),
    ),
    "min": (lambda: rolling_min(CLOSE, 14), lambda: talib.MIN(CLOSE, 14)),
    "max": (lambda: rolling_max(CLOSE, 14), lambda: talib.MAX(CLOSE, 14)),
    "rsi": (lambda: rsi(CLOSE, 14), lambda: talib.RSI(CLOSE, 14)),
    "macd": (lambda: macd(CLOSE, 12, 26, 9), lambda: talib.MACD(CLOSE, 12, 26, 9)),
    "roc": (lambda: roc(CLOSE, 10), lambda: talib.ROC(CLOSE, 10)),
    "slope": (lambda: linreg_slope(CLOSE, 14), lambda: talib.LINEARREG_SLOPE(CLOSE, 14)),
    "linreg": (lambda: linreg(CLOSE, 14), lambda: talib.LINEARREG(CLOSE, 14)),
    "obv": (lambda: obv(CLOSE, VOLUME), lambda: talib.OBV(CLOSE, VOLUME)),
    "cci": (lambda: cci(HIGH, LOW, CLOSE, 20), lambda: talib.CCI(HIGH, LOW, CLOSE, 20)),
    "stochastic": (
        lambda: stochastic(HIGH, LOW, CLOSE, 14, 3, 3),
        lambda: talib.STOCH(HIGH, LOW, CLOSE, 14, 3, 0, 3, 0),
    ),
    "percentile-100": (lambda: rolling_percentile(CLOSE, 100, 30.0), None),
}
CASES = [
    (name, who, call)
    for name, pair in BATCH.items()
    for who, call in zip(("dhanfast", "talib"), pair, strict=True)
    if call is not None
]
ONES: dict[str, tuple[Any, int]] = {
    "ema": (Ema(21), 1), "sma": (Sma(20), 1), "wma": (Wma(20), 1), "rsi": (Rsi(14), 1),
    "macd": (Macd(), 1), "roc": (Roc(10), 1), "std": (RollingStd(20), 1),
    "zscore": (Zscore(20), 1), "min": (RollingMin(14), 1), "max": (RollingMax(14), 1),
    "percentile-100": (RollingPercentile(100), 1), "linreg": (Linreg(14), 1), "obv": (Obv(), 2),
    "cci": (Cci(20), 3), "stochastic": (Stochastic(14, 3, 3), 3),
}  # fmt: skip


@pytest.mark.parametrize(("name", "who", "call"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_batch(benchmark: Any, name: str, who: str, call: Callable[[], Any]) -> None:
    benchmark.group = f"batch {name}"
    benchmark.extra_info.update(samples_per_round=len(CLOSE), source=SOURCE)
    benchmark.pedantic(call, rounds=30, warmup_rounds=2)


@pytest.mark.parametrize("name", ["empty call", *ONES])
def test_scalar_update(benchmark: Any, name: str) -> None:
    """One update from Python; the empty call is a C function that takes a number."""
    benchmark.group = "scalar update"
    if name == "empty call":
        benchmark(float.__abs__, 1.0)
        return
    one, inputs = ONES[name]
    sample = (HIGH[0], LOW[0], CLOSE[0])[:inputs]
    one.update_many(*(HIGH, LOW, CLOSE)[:inputs])
    benchmark(one.update, *map(float, sample))


def test_five_fused(benchmark: Any) -> None:
    """EMA, RSI, MACD, z-score and slope in one pass, into arrays that are there already."""
    benchmark.group = "five indicators"
    five, out = Bundle(), np.empty((7, len(CLOSE)))
    benchmark.pedantic(five.update_many, (CLOSE, out), rounds=40, warmup_rounds=2)


def test_five_apart(benchmark: Any) -> None:
    benchmark.group = "five indicators"
    out = np.empty((7, len(CLOSE)))
    one, two, three, four, five = Ema(21), Rsi(14), Macd(), Zscore(20), Linreg(14)

    def apart() -> None:
        one.update_many(CLOSE, out[0])
        two.update_many(CLOSE, out[1])
        three.update_many(CLOSE, out[2], out[3], out[4])
        four.update_many(CLOSE, out[5])
        five.update_many(CLOSE, out[6])

    benchmark.pedantic(apart, rounds=40, warmup_rounds=2)
