"""Premium and greeks where the formula divides by zero, or where it cannot be used."""

import math

import numpy as np
import pytest

from dhanfast import options

NAMES = options.Greeks._fields


def test_zero_time_or_volatility_is_exercise() -> None:
    for years, volatility in ((0.0, 0.2), (0.5, 0.0), (0.0, 0.0)):
        discount = math.exp(-0.06 * years)
        for right, forward, worth, delta in (
            ("CE", 120.0, 20.0, 1.0), ("CE", 80.0, 0.0, 0.0),
            ("PE", 120.0, 0.0, 0.0), ("PE", 80.0, 20.0, -1.0),
        ):  # fmt: skip
            found = options.greeks(volatility, forward, 100.0, years, right, 0.06)
            assert found.price == pytest.approx(discount * worth)
            assert found.price == options.price(volatility, forward, 100.0, years, right, 0.06)
            assert found.delta == pytest.approx(discount * delta)
            assert found.gamma == found.vega == found.vanna == found.volga == 0.0
            assert found.theta == pytest.approx(0.06 * found.price)
            assert found.charm == pytest.approx(0.06 * found.delta)


def test_limits_at_the_strike_are_those_of_smaller_and_smaller() -> None:
    """What is written for zero is where the formula goes."""
    limit = options.greeks(0.0, 100.0, 100.0, 0.5, "CE", 0.06)
    near = options.greeks(1e-9, 100.0, 100.0, 0.5, "CE", 0.06)
    for name in ("delta", "vega", "vanna"):
        assert getattr(near, name) == pytest.approx(getattr(limit, name), rel=1e-6)
    assert near.gamma > 1e6 and limit.gamma == math.inf
    assert abs(near.volga) < 1e-6 and limit.volga == 0.0
    dying = options.greeks(0.2, 100.0, 100.0, 1e-14, "CE")
    dead = options.greeks(0.2, 100.0, 100.0, 0.0, "CE")
    assert dying.theta < -1e7 and dead.theta == -math.inf
    assert dying.charm < -1e5 and dead.charm == -math.inf
    assert dead.delta == 0.5 and dead.price == 0.0 and dead.vega == 0.0


def test_infinite_volatility_is_the_bound() -> None:
    assert options.price(math.inf, 120.0, 100.0, 0.5, "CE", 0.06) == 120.0 * math.exp(-0.03)
    assert options.price(math.inf, 120.0, 100.0, 0.5, "PE", 0.06) == pytest.approx(
        100.0 * math.exp(-0.03), rel=1e-15
    )
    assert options.price(400.0, 120.0, 100.0, 1.0, "CE") == 120.0


@pytest.mark.parametrize(
    ("volatility", "forward", "strike", "years", "rate"),
    [
        (-0.1, 100.0, 100.0, 0.5, 0.0), (math.nan, 100.0, 100.0, 0.5, 0.0),
        (0.2, 0.0, 100.0, 0.5, 0.0), (0.2, 100.0, -1.0, 0.5, 0.0),
        (0.2, 100.0, 100.0, -1e-9, 0.0), (0.2, 100.0, 100.0, 0.5, math.nan),
        (0.2, 1e200, 100.0, 0.5, 0.0), (0.2, 100.0, 100.0, 0.5, 1e6), (0.2, math.inf, 1.0, 1.0, 0),
    ],
)  # fmt: skip
def test_what_cannot_be_priced_is_nan(
    volatility: float, forward: float, strike: float, years: float, rate: float
) -> None:
    assert math.isnan(options.price(volatility, forward, strike, years, "CE", rate))
    assert np.isnan(options.greeks(volatility, forward, strike, years, "PE", rate)).all()
    many = options.greeks([volatility] * 3, forward, strike, years, "CE", rate)
    assert all(np.isnan(column).all() for column in many)


def test_far_wings_stay_numbers() -> None:
    """Hundreds of deviations away: zeros and ones, never 0 x infinity."""
    for strike in (1e-6, 1.0, 1e4, 1e9):
        for years in (1e-9, 1e-3, 10.0):
            for volatility in (1e-6, 0.2, 50.0):
                for right in ("CE", "PE"):
                    found = options.greeks(volatility, 100.0, strike, years, right, 0.05)
                    assert np.isfinite(found).all(), (strike, years, volatility, right, found)


def test_traders_units() -> None:
    found = options.greeks(0.2, 100.0, 105.0, 0.25, "CE", 0.05)
    assert found.vega_percent == pytest.approx(found.vega / 100)
    assert found.rho_percent == pytest.approx(found.rho / 100)
    assert found.vanna_percent == pytest.approx(found.vanna / 100)
    assert found.volga_percent == pytest.approx(found.volga / 10_000)
    assert found.theta_day == pytest.approx(found.theta / 365)
    assert found.charm_day == pytest.approx(found.charm / 365)
    day_later = options.price(0.2, 100.0, 105.0, 0.25 - 1 / 365, "CE", 0.05)
    assert day_later - found.price == pytest.approx(found.theta_day, rel=0.02)
    more = options.price(0.21, 100.0, 105.0, 0.25, "CE", 0.05)
    assert more - found.price == pytest.approx(found.vega_percent, rel=0.02)
