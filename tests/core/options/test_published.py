"""Worked examples of the literature."""

import pytest

from dhanfast import options


def test_hull_european_options() -> None:
    """Hull, "Options, Futures, and Other Derivatives", example of Black-Scholes-Merton:
    S 42, K 40, r 10 %, v 20 %, six months: call 4.76, put 0.81."""
    place = (42.0, 40.0, 0.5)
    assert options.stock_price(0.2, *place, "CE", 0.1) == pytest.approx(4.76, abs=0.005)
    assert options.stock_price(0.2, *place, "PE", 0.1) == pytest.approx(0.81, abs=0.005)


def test_hull_black_on_a_future() -> None:
    """Hull, example of Black's model: F 60, K 60, four months, r 9 %, v 25 %: put 3.35."""
    assert options.price(0.25, 60.0, 60.0, 4 / 12, "PE", 0.09) == pytest.approx(3.35, abs=0.005)


def test_hull_greeks() -> None:
    """Hull, chapter of the Greek letters: S 49, K 50, r 5 %, v 20 %, 20 weeks:
    delta 0.522, gamma 0.066, vega 12.1, theta -4.31 a year, rho 8.91."""
    found = options.stock_greeks(0.2, 49.0, 50.0, 0.3846, "CE", 0.05)
    assert found.delta == pytest.approx(0.522, abs=0.0005)
    assert found.gamma == pytest.approx(0.066, abs=0.0005)
    assert found.vega == pytest.approx(12.1, abs=0.05)
    assert found.theta == pytest.approx(-4.31, abs=0.005)
    assert found.theta_day == pytest.approx(-0.0118, abs=0.00005)
    assert found.rho == pytest.approx(8.91, abs=0.005)
    assert found.vega_percent == pytest.approx(0.121, abs=0.0005)
    assert found.rho_percent == pytest.approx(0.0891, abs=0.0005)


def test_hull_implied_volatility() -> None:
    """Hull, example of an implied volatility: c 1.875, S 21, K 20, r 10 %, three months: 23.5 %."""
    found = options.stock_implied_volatility(1.875, 21.0, 20.0, 0.25, "CE", 0.1)
    assert found == pytest.approx(0.235, abs=0.0005)


def test_haug_generalised_put() -> None:
    """Haug, "The Complete Guide to Option Pricing Formulas": Black-76, F 19, K 19, nine months,
    r 10 %, v 28 %: call and put 1.7011. Merton: S 100, K 95, half a year, r 10 %, q 5 %, v 20 %:
    put 2.4648."""
    assert options.price(0.28, 19.0, 19.0, 0.75, "CE", 0.1) == pytest.approx(1.7011, abs=5e-5)
    assert options.price(0.28, 19.0, 19.0, 0.75, "PE", 0.1) == pytest.approx(1.7011, abs=5e-5)
    merton = options.stock_price(0.2, 100.0, 95.0, 0.5, "PE", 0.1, 0.05)
    assert merton == pytest.approx(2.4648, abs=5e-5)
