"""Generated premiums against libm's error function, and scipy's normal distribution when there."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.premium import generated_premium, natural_log, normal_cdf


def oracle_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def oracle_call(forward: float, strike: float, deviation: float) -> float:
    """Black (1976), as printed."""
    d1 = (math.log(forward / strike) + 0.5 * deviation * deviation) / deviation
    return forward * oracle_cdf(d1) - strike * oracle_cdf(d1 - deviation)


@given(st.floats(-12, 12))
def test_the_normal_distribution_is_libms(x: float) -> None:
    assert abs(normal_cdf(x) - oracle_cdf(x)) < 2e-12


def test_the_normal_distribution_between_all_knots() -> None:
    xs = np.linspace(-8.1, 8.1, 20_001)
    got = np.array([normal_cdf(x) for x in xs.tolist()])
    want = np.array([oracle_cdf(x) for x in xs.tolist()])
    np.testing.assert_allclose(got, want, atol=2e-12, rtol=0)
    assert np.all(np.diff(got) >= -1e-12)
    assert math.isnan(normal_cdf(math.nan))
    assert (normal_cdf(math.inf), normal_cdf(-math.inf), normal_cdf(0.0)) == (1.0, 0.0, 0.5)


def test_the_normal_distribution_is_scipys() -> None:
    special = pytest.importorskip("scipy.special")
    xs = np.linspace(-9, 9, 5_001)
    got = np.array([normal_cdf(x) for x in xs.tolist()])
    np.testing.assert_allclose(got, special.ndtr(xs), atol=2e-12, rtol=0)


@given(st.floats(1e-300, 1e300))
def test_the_logarithm_is_libms(x: float) -> None:
    assert natural_log(x) == pytest.approx(math.log(x), rel=4e-15, abs=4e-15)


@given(
    forward=st.floats(1e5, 1e7),
    moneyness=st.floats(0.7, 1.4),
    deviation=st.floats(1e-4, 0.6),
    call=st.booleans(),
)
def test_premiums_are_those_of_black(
    forward: float, moneyness: float, deviation: float, call: bool
) -> None:
    strike = forward * moneyness
    want = oracle_call(forward, strike, deviation)
    if not call:
        want -= forward - strike
    got = generated_premium(forward, strike, deviation, call)
    assert got == pytest.approx(want, abs=1e-4)  # of a paisa, where a tick is five


def test_at_expiry_only_the_intrinsic_value_is_left() -> None:
    assert generated_premium(5_000_000.0, 4_900_000.0, 0.0) == 100_000.0
    assert generated_premium(5_000_000.0, 5_100_000.0, 0.0) == 0.0
    assert generated_premium(5_000_000.0, 5_100_000.0, 0.0, False) == 100_000.0


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_premiums_of_nothing_are_refused(at: int, bad: float) -> None:
    given = [5e6, 5e6, 0.1]
    given[at] = bad
    with pytest.raises(ValueError, match="give positive forward and strike"):
        generated_premium(*given)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, 1e-310])
def test_logarithms_of_nothing_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="positive normal number"):
        natural_log(bad)
