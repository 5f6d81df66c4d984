"""India VIX's formula: worked by hand, against chains of known volatility, and its filter."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast import options
from dhanfast.errors import BadData, UsageError
from dhanfast.market.volatility_index import Variance, model_free_variance, spline, volatility_index


def chain(volatility: float, years: float, forward: float = 25_123.0, rate: float = 0.06):
    """Dense and wide, so that the sum is the integral."""
    strike = np.arange(15_000.0, 40_001.0, 10.0)
    call = options.price(volatility, forward, strike, years, "CE", rate)
    put = options.price(volatility, forward, strike, years, "PE", rate)
    return strike, call, call, put, put, forward, years, rate


@given(volatility=st.floats(0.09, 0.4), years=st.floats(0.02, 0.12))
def test_a_flat_smile_gives_its_volatility(volatility: float, years: float) -> None:
    found = model_free_variance(*chain(volatility, years))
    assert math.sqrt(found.variance) == pytest.approx(volatility, rel=1e-3)
    assert found.floor_strike == 25_120.0 and not found.clamped


def test_by_hand() -> None:
    """Four strikes a hundred apart, F 1010, T 0.1, no rate: K0 1000.
    sum = 100 (2/810000 + (10+18)/2/1000000 + 9/1210000 + 3/1440000) = 0.0025741085
    2/0.1 x that - (0.01)^2 / 0.1 = 0.051482170 - 0.001."""
    strike = [900.0, 1000.0, 1100.0, 1200.0]
    call, put = [115.0, 18.0, 9.0, 3.0], [2.0, 10.0, 95.0, 190.0]
    total = 100 * (2 / 810_000 + 14 / 1_000_000 + 9 / 1_210_000 + 3 / 1_440_000)
    found = model_free_variance(strike, call, call, put, put, 1010.0, 0.1)
    assert found.variance == pytest.approx(20 * total - 0.001, rel=1e-13)
    assert (found.used, found.filled, found.floor_strike) == (4, 0, 1000.0)


def test_wide_quotes_are_filled_inside_and_left_out_at_the_ends() -> None:
    strike, call, _, put, _, forward, years, rate = chain(0.15, 0.08)
    thin = slice(500, None, 5)  # every fifth strike from 20,000
    strike, call, put = strike[thin], call[thin], put[thin]
    kept = strike < 31_000.0
    strike, call, put = strike[kept], call[kept], put[kept]
    bids, asks = call * 0.99, call * 1.01
    whole = model_free_variance(strike, bids, asks, put, put, forward, years, rate)
    holes = (strike == 25_500.0) | (strike == 26_000.0)
    worse_bids, worse_asks = np.where(holes, 0.0, bids), np.where(holes, 9e3, asks)
    filled = model_free_variance(strike, worse_bids, worse_asks, put, put, forward, years, rate)
    assert filled.filled == 2 and filled.used == whole.used
    assert filled.variance == pytest.approx(whole.variance, rel=2e-4)
    wide = np.where(strike > 27_000.0, bids * 0.5, bids)  # (1.01 - 0.495) / 0.75 > 30 %
    short = model_free_variance(strike, wide, asks, put, put, forward, years, rate)
    assert short.filled == 0 and short.used == whole.used - np.count_nonzero(strike > 27_000.0)
    assert short.variance < whole.variance


@given(days=st.floats(5.0, 29.0), later=st.floats(31.0, 80.0), volatility=st.floats(0.05, 1.0))
def test_one_volatility_at_both_ends_is_the_index(
    days: float, later: float, volatility: float
) -> None:
    near, following = (
        Variance(volatility**2, day / 365, 1.0, 3, 0, False) for day in (days, later)
    )
    assert volatility_index(near, following) == pytest.approx(100 * volatility, rel=1e-12)


def test_thirty_days_between_two_expiries_by_hand() -> None:
    """20 and 50 days, 12 % and 18 %: (20 x 0.0144 x 20 + 50 x 0.0324 x 10) / 30 / 30 a day."""
    near = Variance(0.0144, 20 / 365, 1.0, 3, 0, False)
    following = Variance(0.0324, 50 / 365, 1.0, 3, 0, False)
    wanted = 100 * math.sqrt((20 * 0.0144 * 20 + 50 * 0.0324 * 10) / 30 / 30)
    assert volatility_index(near, following) == pytest.approx(wanted, rel=1e-12)
    with pytest.raises(UsageError, match="give the shorter first"):
        volatility_index(following, near)


def test_the_spline_of_a_natural_cubic_is_the_cubic() -> None:
    """x^3 - 3 b x^2 / 2 ... two pieces meeting with equal slopes: sin's values, and exact lines."""
    x = np.array([0.0, 1.0, 2.5, 4.0])
    np.testing.assert_allclose(spline(x, 3.0 * x - 1.0, np.array([0.5, 2.0, 3.9])),
                               [0.5, 5.0, 10.7], rtol=1e-13)  # fmt: skip
    fine = np.linspace(0.0, np.pi, 41)
    at = np.linspace(0.01, np.pi - 0.01, 200)
    np.testing.assert_allclose(spline(fine, np.sin(fine), at), np.sin(at), atol=1e-6)


def test_refusals() -> None:
    good = ([900.0, 1000.0, 1100.0], *[[5.0, 5.0, 5.0]] * 4)
    with pytest.raises(UsageError, match="all must be above 0"):
        model_free_variance(*good, -1.0, 0.1)
    with pytest.raises(UsageError, match="strike does not ascend"):
        model_free_variance([2.0, 1.0, 3.0], *good[1:], 2.0, 0.1)
    with pytest.raises(UsageError, match=r"put_ask has shape \(2,\)"):
        model_free_variance(*good[:4], [5.0, 5.0], 1000.0, 0.1)
    with pytest.raises(BadData, match="no strike at or below the forward 800"):
        model_free_variance(*good, 800.0, 0.1)
    with pytest.raises(BadData, match="0 usable quotes"):
        model_free_variance(good[0], *[[0.0] * 3] * 4, 1000.0, 0.1)
