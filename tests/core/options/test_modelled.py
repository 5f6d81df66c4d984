"""Modelled option bars against Black's formula one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast import options
from dhanfast._core.options.modelled import fill_expiry
from dhanfast.errors import UsageError


def plain(
    spot: int,
    strike: int,
    years: float,
    right: str,
    level: float,
    slope: float,
    bend: float,
    rate: float,
) -> float:
    """A premium in paise before rounding: written for reading."""
    forward = spot / 100 * np.exp(rate * years)
    if years == 0:
        inner = spot - strike if right == "CE" else strike - spot
        return max(0.0, inner)
    x = np.log(strike / 100 / forward) / (level * np.sqrt(years))
    x = min(max(x, -4.0), 4.0)
    volatility = level * min(max(1 + slope * x + bend * x * x, 0.6), 3.0)
    return 100 * options.price(volatility, forward, strike / 100, years, right, rate)


@settings(max_examples=60, deadline=None)
@given(
    spot=st.integers(3_000_000, 4_500_000),
    away=st.integers(-8, 8),
    level=st.floats(0.08, 0.6),
    years=st.floats(0.0, 0.12) | st.just(0.0),
    slope=st.floats(-0.1, 0.05),
    bend=st.floats(0.0, 0.1),
    rate=st.floats(0.0, 0.07),
    moves=st.lists(st.integers(-20_000, 20_000), min_size=4, max_size=4),
)
def test_bars_are_the_extremes_of_four_premiums(
    spot: int,
    away: int,
    level: float,
    years: float,
    slope: float,
    bend: float,
    rate: float,
    moves: list[int],
) -> None:
    index = np.array([[spot + move for move in moves]], np.int64)
    strikes = np.array([(spot // 10_000 + away) * 10_000], np.int64)
    span = np.array([years])
    tables = np.zeros((4, 1, 2), np.int64)
    fill_expiry(
        index,
        span,
        span,
        strikes,
        tables,
        0,
        level=level,
        slope=slope,
        bend=bend,
        rate=rate,
        tick=5,
    )
    for column, right in enumerate(("CE", "PE")):
        exact = [
            plain(int(price), int(strikes[0]), years, right, level, slope, bend, rate)
            for price in index[0]
        ]
        wanted = [exact[0], max(exact), min(exact), exact[3]]
        for part in range(4):
            got = int(tables[part, 0, column])
            assert got % 5 == 0 and got >= 5
            assert abs(got - max(5.0, wanted[part])) <= 2.5 + 1e-6


def test_tables_and_numbers_that_do_not_fit_are_refused() -> None:
    one, span, grid = np.ones((1, 4), np.int64), np.ones(1), np.ones(1, np.int64)
    usual = {"level": 0.1, "slope": 0.0, "bend": 0.0, "rate": 0.0, "tick": 5}
    with pytest.raises(UsageError, match="level 0"):
        fill_expiry(
            one, span, span, grid, np.ones((4, 1, 2), np.int64), 0, **usual | {"level": 0.0}
        )
    with pytest.raises(UsageError, match="from column 1"):
        fill_expiry(one, span, span, grid, np.ones((4, 1, 2), np.int64), 1, **usual)
    with pytest.raises(UsageError, match="four, with a row"):
        fill_expiry(one, span, span, grid, np.ones((4, 2, 2), np.int64), 0, **usual)
    with pytest.raises(UsageError, match="years left"):
        fill_expiry(one, np.ones(2), span, grid, np.ones((4, 1, 2), np.int64), 0, **usual)
