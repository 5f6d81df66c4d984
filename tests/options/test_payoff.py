"""Payoffs: laws of straight lines, against a payoff looked at everywhere, by hand."""

import math
from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dhanfast import options
from dhanfast.errors import UsageError
from dhanfast.options import Leg, Payoff, Projection

EXPIRY, LATER = date(2026, 1, 27), date(2026, 2, 24)
STRIKES = st.integers(1, 40).map(lambda n: 50.0 * n)
PREMIUMS = st.integers(0, 6_000).map(lambda n: 5 * n / 100)
QUANTITIES = st.integers(-5, 5).filter(bool)
LEGS = st.lists(
    st.builds(Leg, st.sampled_from(["CE", "PE"]), STRIKES, QUANTITIES, PREMIUMS, st.just(EXPIRY)),
    min_size=1, max_size=6,
)  # fmt: skip


def oracle(legs: list[Leg], level: float) -> float:
    """The formula of the module, leg by leg."""
    total = 0.0
    for leg in legs:
        worth = max(level - leg.strike, 0.0) if leg.right == "CE" else max(leg.strike - level, 0.0)
        total += leg.quantity * (worth - leg.premium)
    return total


@given(legs=LEGS, level=st.floats(0.0, 3_000.0))
def test_the_payoff_is_the_sum_of_its_legs(legs: list[Leg], level: float) -> None:
    assert float(Payoff(legs).value(level)) == pytest.approx(oracle(legs, level), abs=1e-6)


@given(legs=LEGS)
def test_kinks_and_slopes_are_the_payoff(legs: list[Leg]) -> None:
    """Drawn from its kinks and slopes alone, the payoff is itself."""
    found = Payoff(legs)
    levels = [kink.level for kink in found.kinks]
    assert levels == sorted({leg.strike for leg in legs}) and len(found.slopes) == len(levels) + 1
    for kink, before, after in zip(found.kinks, found.slopes, found.slopes[1:], strict=False):
        assert kink.value == pytest.approx(oracle(legs, kink.level), abs=1e-6)
        bought = sum(leg.quantity for leg in legs if leg.strike == kink.level)
        assert after - before == bought
        for way, slope in ((-10.0, before), (10.0, after)):
            assert oracle(legs, kink.level + way) == pytest.approx(
                kink.value + way * slope, abs=1e-6
            )


@given(legs=LEGS)
def test_breakevens_are_where_the_sign_changes(legs: list[Leg]) -> None:
    """Exact: at each the payoff is nothing, and between two it keeps its sign."""
    found = Payoff(legs)
    for level in found.breakevens:
        assert oracle(legs, level) == pytest.approx(0.0, abs=1e-6)
    marks = [0.0, *found.breakevens, 4_000.0 if not found.breakevens else
             2.0 * found.breakevens[-1] + 4_000.0]  # fmt: skip
    for low, high in pairwise(marks):
        inside = [round(oracle(legs, low + share * (high - low)), 6)
                  for share in (0.01, 0.2, 0.5, 0.8, 0.99)]  # fmt: skip
        if high - low > 1e-3:
            assert min(inside) >= 0.0 or max(inside) <= 0.0


@given(legs=LEGS)
def test_most_and_least(legs: list[Leg]) -> None:
    found = Payoff(legs)
    everywhere = [oracle(legs, level) for level in (*np.arange(0.0, 2_051.0, 50.0), 1e7)]
    if math.isinf(found.profit_max):
        assert everywhere[-1] > 9e6
    else:
        assert found.profit_max == pytest.approx(max(everywhere), abs=1e-6)
    if math.isinf(found.loss_max):
        assert everywhere[-1] < -9e6
    else:
        assert found.loss_max == pytest.approx(min(everywhere), abs=1e-6)


@given(legs=st.lists(st.builds(Leg, st.sampled_from(["CE", "PE"]), STRIKES, st.integers(1, 5),
                               PREMIUMS, st.just(EXPIRY)), min_size=1, max_size=5))  # fmt: skip
def test_what_is_only_bought_is_convex(legs: list[Leg]) -> None:
    slopes = Payoff(legs).slopes
    assert list(slopes) == sorted(slopes)
    sold = Payoff([Leg(one.right, one.strike, -one.quantity, one.premium, EXPIRY) for one in legs])
    assert sold.slopes == tuple(-one for one in slopes)


@given(legs=LEGS, strike=STRIKES)
def test_a_call_less_a_put_is_a_future(legs: list[Leg], strike: float) -> None:
    """Parity: call bought and put sold at one strike have a future's payoff."""
    pair = [Leg("CE", strike, 3, 12.5, EXPIRY), Leg("PE", strike, -3, 2.5, EXPIRY)]
    future = [Leg("FUT", strike + 10.0, 3, 0.0, EXPIRY)]
    levels = np.linspace(0.0, 3_000.0, 61)
    np.testing.assert_allclose(
        Payoff([*legs, *pair]).value(levels), Payoff([*legs, *future]).value(levels), atol=1e-6
    )


@settings(deadline=None)
@given(legs=LEGS, forward=st.floats(200.0, 1_800.0), deviation=st.floats(0.02, 0.6))
def test_the_chance_of_profit_is_an_integral(
    legs: list[Leg], forward: float, deviation: float
) -> None:
    """By the density, added up over a fine grid where the payoff is above nothing."""
    found = Payoff(legs)
    assume(all(abs(kink.value) > 1e-9 for kink in found.kinks))
    z = np.linspace(-8.0, 8.0, 200_001)
    level = forward * np.exp(deviation * z - 0.5 * deviation**2)
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi) * (z[1] - z[0])
    wanted = float(density[found.value(level) > 0.0].sum())
    chance = found.profit_probability(options.lognormal_below(forward, deviation, 1.0))
    assert chance == pytest.approx(wanted, abs=4e-4)


def test_an_iron_condor_by_hand() -> None:
    """24750/24950/25550/25750, 65 units: 18.40 and 15.95 paid, 38.30 and 38.25 received."""
    legs = [
        Leg("PE", 24_750.0, 65, 18.40, EXPIRY),
        Leg("PE", 24_950.0, -65, 38.30, EXPIRY),
        Leg("CE", 25_550.0, -65, 38.25, EXPIRY),
        Leg("CE", 25_750.0, 65, 15.95, EXPIRY),
    ]
    found = Payoff(legs)
    assert found.premium == -2_743.00  # 65 x 42.20
    assert found.profit_max == 2_743.00 and found.loss_max == -10_257.00  # 65 x (200 - 42.20)
    assert found.breakevens == (24_907.80, 25_592.20)
    assert found.slopes == (0, 65, 0, -65, 0)
    assert found.profit_intervals() == [(24_907.80, 25_592.20)]


def test_flat_stretches_at_nothing_end_in_breakevens() -> None:
    free = Payoff([Leg("CE", 100.0, 1, 0.0, EXPIRY)])
    assert free.breakevens == (100.0,) and free.profit_intervals() == [(100.0, math.inf)]
    box = [Leg("CE", 100.0, 1, 0.0, EXPIRY), Leg("CE", 110.0, -1, 0.0, EXPIRY),
           Leg("CE", 120.0, -1, 0.0, EXPIRY), Leg("CE", 130.0, 1, 0.0, EXPIRY)]  # fmt: skip
    assert Payoff(box).breakevens == (100.0, 130.0)
    nothing = Payoff([Leg("CE", 100.0, 1, 5.0, EXPIRY), Leg("CE", 100.0, -1, 5.0, EXPIRY)])
    assert nothing.breakevens == () and nothing.profit_intervals() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"right": "C"}, "right is 'C'"),
        ({"strike": 0.0}, "strike 0"),
        ({"strike": 100.001}, "strike is 100.001: give whole paise"),
        ({"premium": -1.0}, "premium -1"),
        ({"premium": math.nan}, "premium nan"),
        ({"quantity": 0}, "quantity is 0"),
        ({"quantity": 1.5}, "quantity is 1.5"),
        ({"right": "FUT"}, "premium of a future is 5"),
    ],
)
def test_legs_refuse(change: dict[str, object], message: str) -> None:
    given = {"right": "CE", "strike": 100.0, "quantity": 1, "premium": 5.0, "expiry": EXPIRY}
    with pytest.raises(UsageError, match=message):
        Leg(**(given | change))  # type: ignore[arg-type]


def test_payoffs_refuse() -> None:
    with pytest.raises(UsageError, match="one leg at least"):
        Payoff([])
    two = [Leg("CE", 100.0, 1, 5.0, EXPIRY), Leg("CE", 100.0, 1, 5.0, LATER)]
    with pytest.raises(UsageError, match="use Projection"):
        Payoff(two)
    for level in (-1.0, math.nan):
        with pytest.raises(UsageError, match="below 0"):
            Payoff(two[:1]).value(level)
    for numbers in ((0.0, 0.1, 1.0), (100.0, 0.0, 1.0), (100.0, 0.1, 0.0), (math.nan, 0.1, 1.0)):
        with pytest.raises(UsageError, match="all must be above 0"):
            options.lognormal_below(*numbers)


CALENDAR = [
    Leg("CE", 25_200.0, -65, 150.0, EXPIRY, 0.12),
    Leg("CE", 25_200.0, 65, 380.0, LATER, 0.13),
]


def test_a_projection_is_exercise_and_black() -> None:
    found = Projection(CALENDAR, [0.0, 28 / 365], [1.0, 1.004], 0.05)
    for level in (24_500.0, 25_200.0, 26_000.0):
        far = options.price(0.13, 1.004 * level, 25_200.0, 28 / 365, "CE", 0.05)
        wanted = 65 * (far - 380.0) - 65 * (max(level - 25_200.0, 0.0) - 150.0)
        assert float(found.value(level)) == pytest.approx(wanted, rel=1e-12)
    low, high = found.breakevens(23_000.0, 28_000.0)
    assert low < 25_200.0 < high
    for level in (low, high):
        assert float(found.value(level)) == pytest.approx(0.0, abs=1e-6)
    below = options.lognormal_below(25_200.0, 0.12, 5 / 365)
    chance = found.profit_probability(below, 23_000.0, 28_000.0)
    assert chance == pytest.approx(below(high) - below(low), abs=1e-12)


def test_at_its_end_a_projection_is_the_payoff() -> None:
    legs = [Leg("PE", 24_900.0, 65, 90.0, EXPIRY, 0.13), Leg("CE", 25_400.0, -130, 60.0, EXPIRY)]
    levels = np.linspace(23_000.0, 27_000.0, 401)
    found = Projection(legs, [0.0, 0.0], [1.0, 1.0])
    np.testing.assert_allclose(found.value(levels), Payoff(legs).value(levels), atol=1e-6)
    np.testing.assert_allclose(found.breakevens(23_000.0, 27_000.0),
                               Payoff(legs).breakevens, atol=1e-6)  # fmt: skip


def test_projections_refuse() -> None:
    with pytest.raises(UsageError, match="one of each a leg"):
        Projection(CALENDAR, [0.0], [1.0, 1.0])
    with pytest.raises(UsageError, match="needs a volatility"):
        Projection([Leg("CE", 100.0, 1, 5.0, EXPIRY)], [0.1], [1.0])
    with pytest.raises(UsageError, match="futures"):
        Projection([Leg("FUT", 100.0, 1, 0.0, EXPIRY)], [0.0], [1.0])
    found = Projection(CALENDAR, [0.0, 0.1], [1.0, 1.0])
    with pytest.raises(UsageError, match="not above 0"):
        found.value(0.0)
    with pytest.raises(UsageError, match="the lower first"):
        found.breakevens(100.0, 100.0)
