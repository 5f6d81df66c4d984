"""Fused equals apart, to the last bit, however the samples arrive."""

from typing import Any

import numpy as np
import pytest

from dhanfast._core.indicators.bundle import NAMES, Bundle, bundle
from dhanfast._core.indicators.ema import ema
from dhanfast._core.indicators.linreg import linreg_slope
from dhanfast._core.indicators.macd import macd
from dhanfast._core.indicators.rolling import zscore
from dhanfast._core.indicators.rsi import rsi
from dhanfast.errors import BadData, UsageError

PRICES = np.round(np.random.default_rng(8).normal(500.0, 9.0, 3000) * 20) / 20
SET: dict[str, Any] = {"ema": 9, "rsi": 7, "macd": (5, 13, 4), "zscore": 11, "slope": 6}


def apart() -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    return [
        ema(PRICES, 9), rsi(PRICES, 7), *macd(PRICES, 5, 13, 4), zscore(PRICES, 11),
        linreg_slope(PRICES, 6),
    ]  # fmt: skip


def test_fused_equals_apart() -> None:
    fused = bundle(PRICES, **SET)
    assert tuple(fused) == NAMES
    for got, want in zip(fused.values(), apart(), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("cut", [0, 1, 5, 1024, 1500, 2999])
def test_cuts_and_steps_equal_apart(cut: int) -> None:
    five, want = Bundle(**SET), np.array(apart())
    out = np.empty((7, cut))
    assert five.update_many(PRICES[:cut], out).base is out or cut == 0
    np.testing.assert_array_equal(out, want[:, :cut])
    for i in range(cut, min(cut + 40, 3000)):
        assert np.array_equal(five.update(PRICES[i]), want[0, i], equal_nan=True)
        np.testing.assert_array_equal(list(five.values.values()), want[:, i])
        assert five.ready == (not np.isnan(want[:, i]).any())
    rest = min(cut + 40, 3000)
    np.testing.assert_array_equal(five.update_many(PRICES[rest:]), want[:, rest:])
    five.reset()
    assert not five.ready
    np.testing.assert_array_equal(five.update_many(PRICES), want)


def test_refusals() -> None:
    five = Bundle()
    for bad in (np.nan, np.inf):
        with pytest.raises(BadData, match="finite"):
            five.update(bad)
        with pytest.raises(BadData, match="finite"):
            five.update_many([1.0, bad])
    with pytest.raises(UsageError, match="shape"):
        five.update_many(PRICES, np.empty((6, 3000)))
    with pytest.raises(UsageError, match="float64"):
        five.update_many(PRICES, np.empty((7, 3000), np.float32))
    whole = np.ones((7, 3000))
    with pytest.raises(UsageError, match="overlaps"):
        five.update_many(whole[2], whole)
    with pytest.raises(UsageError, match="fast must be below slow"):
        Bundle(macd=(9, 9, 3))
    with pytest.raises(UsageError, match="fast, slow, signal"):
        Bundle(macd=5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="rsi must be"):
        Bundle(rsi=0)
