"""Implied volatility: the whole domain without arbitrage, its edges, and what is refused."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast import options
from dhanfast._core.options.door import lane_widths
from dhanfast.errors import UsageError
from dhanfast.options import OptionStatus

WIDTHS = st.sampled_from(lane_widths())
RIGHTS = st.sampled_from(["CE", "PE"])


def exact(volatility: float, forward: float, strike: float, years: float, right: str) -> mp.mpf:
    """The textbook premium at 60 digits, not discounted."""
    with mp.workdps(60):
        f, k = mp.mpf(forward), mp.mpf(strike)
        s = mp.mpf(volatility) * mp.sqrt(mp.mpf(years))
        d1 = mp.log(f / k) / s + s / 2
        d2 = d1 - s

        def below(x: mp.mpf) -> mp.mpf:
            return mp.erfc(-x / mp.sqrt(2)) / 2

        if right == "CE":
            return f * below(d1) - k * below(d2)
        return k * below(-d2) - f * below(-d1)


def solved(price: float, forward: float, strike: float, years: float, right: str, lanes: int):
    found = options.solve([price], forward, strike, years, right, lanes=lanes)
    return float(found.volatility[0]), OptionStatus(int(found.status[0]))


@settings(max_examples=400, deadline=None)
@given(
    power=st.floats(-9.0, 1.3), distance=st.floats(-12.0, 2.0), up=st.booleans(),
    at_money=st.booleans(), span=st.floats(-6.3, 1.0), right=RIGHTS, lanes=WIDTHS,
)  # fmt: skip
def test_the_premium_comes_back_over_the_whole_domain(
    power: float, distance: float, up: bool, at_money: bool, span: float, right: str, lanes: int
) -> None:
    """A premium, its volatility, and that volatility's premium: 1e-10 of it at most."""
    years = 10.0**span
    volatility = 10.0**power / math.sqrt(years)
    off = 0.0 if at_money else 10.0**distance
    forward = 100.0 * math.exp(off if up else -off)
    premium = float(exact(volatility, forward, 100.0, years, right))
    if premium < 1e-280:
        return
    found, status = solved(premium, forward, 100.0, years, right, lanes)
    if status in (OptionStatus.AT_INTRINSIC, OptionStatus.AT_BOUND):
        worth = max(forward - 100.0 if right == "CE" else 100.0 - forward, 0.0)
        bound = forward if right == "CE" else 100.0
        edge = worth if status == OptionStatus.AT_INTRINSIC else bound
        assert premium == pytest.approx(edge, rel=1e-14)
        return
    assert status == OptionStatus.PRICED
    back = exact(found, forward, 100.0, years, right)
    assert abs(back / mp.mpf(premium) - 1) < 1e-10


@settings(max_examples=200, deadline=None)
@given(
    power=st.floats(-6.0, 1.2), distance=st.floats(-8.0, 1.5), right=RIGHTS,
    lanes=WIDTHS.filter(lambda width: width > 0), up=st.booleans(),
)  # fmt: skip
def test_the_premium_is_the_textbooks(
    power: float, distance: float, right: str, lanes: int, up: bool
) -> None:
    forward = 100.0 * math.exp(10.0**distance if up else -(10.0**distance))
    wanted = exact(10.0**power, forward, 100.0, 1.0, right)
    if wanted < 1e-280:
        return
    assert abs(options.price(10.0**power, forward, 100.0, 1.0, right) / wanted - 1) < 2e-12
    found = options.solve([float(wanted)], forward, 100.0, 1.0, right, lanes=lanes).greeks
    if found.vega[0] > 1e-3 * float(wanted):
        assert abs(found.price[0] / wanted - 1) < 1e-10


@given(
    volatility=st.floats(0.01, 2.0), strike=st.floats(50.0, 200.0), years=st.floats(0.001, 3.0),
    rate=st.floats(-0.1, 0.3),
)  # fmt: skip
def test_parity_of_premiums_and_greeks(
    volatility: float, strike: float, years: float, rate: float
) -> None:
    place = (volatility, 100.0, strike, years)
    call, put = options.greeks(*place, "CE", rate), options.greeks(*place, "PE", rate)
    discount = math.exp(-rate * years)
    worth = discount * (100.0 - strike)
    assert call.price - put.price == pytest.approx(worth, abs=1e-12 * 200)
    assert call.delta - put.delta == pytest.approx(discount, rel=1e-12)
    assert call.theta - put.theta == pytest.approx(rate * worth, abs=1e-10)
    assert call.rho - put.rho == pytest.approx(-years * worth, abs=1e-10)
    assert call.charm - put.charm == pytest.approx(rate * discount, abs=1e-11)
    for name in ("gamma", "vega", "vanna", "volga"):
        assert getattr(call, name) == getattr(put, name)


@given(
    strike=st.floats(60.0, 160.0), years=st.floats(0.0005, 2.0), right=RIGHTS,
    low=st.floats(0.02, 1.5), more=st.floats(1e-6, 0.5),
)  # fmt: skip
def test_more_volatility_costs_more(
    strike: float, years: float, right: str, low: float, more: float
) -> None:
    cheap = options.price(low, 100.0, strike, years, right)
    dear = options.price(low + more, 100.0, strike, years, right)
    assert dear >= cheap
    first = options.implied_volatility(cheap, 100.0, strike, years, right)
    second = options.implied_volatility(dear, 100.0, strike, years, right)
    if cheap > 0.01 and dear > cheap * (1 + 1e-9):
        assert second > first


@pytest.mark.parametrize("lanes", lane_widths())
def test_a_grid_without_a_failure(lanes: int) -> None:
    """A minute to five years, 1 % to 300 %, seven deviations either way, with and without seeds
    from anywhere: a step that is small for other reasons than nearness is not taken for the end."""
    rng = np.random.default_rng(13)
    n = 60_000
    years = 10.0 ** rng.uniform(np.log10(1 / 525_600), np.log10(5.0), n)
    truth = 10.0 ** rng.uniform(-2.0, np.log10(3.0), n)
    strike = 25_180.0 * np.exp(rng.uniform(-7.0, 7.0, n) * truth * np.sqrt(years))
    right = np.where(strike >= 25_180.0, "CE", "PE")
    price = options.price(truth, 25_180.0, strike, years, right)
    for seed in (None, 10.0 ** rng.uniform(-3.0, 1.0, n)):
        found = options.solve(price, 25_180.0, strike, years, right, lanes=lanes, seed=seed)
        assert (found.status == OptionStatus.PRICED).all()
        np.testing.assert_allclose(found.volatility, truth, rtol=4e-12)


def test_a_seed_only_makes_it_sooner() -> None:
    rng = np.random.default_rng(5)
    n = 4000
    strike = 25_000.0 * np.exp(rng.normal(0.0, 0.04, n))
    right = np.where(strike > 25_000.0, "CE", "PE")
    years = rng.uniform(0.002, 0.2, n)
    truth = rng.uniform(0.06, 0.6, n)
    price = options.price(truth, 25_000.0, strike, years, right)
    cold = options.solve(price, 25_000.0, strike, years, right)
    for seed in (
        truth * (1 + rng.normal(0, 0.02, n)),
        np.full(n, 3.0),
        np.zeros(n),
        truth * np.nan,
    ):
        warm = options.solve(price, 25_000.0, strike, years, right, seed=seed)
        told = cold.greeks.vega > 1e-6 * price
        np.testing.assert_allclose(warm.volatility[told], cold.volatility[told], rtol=1e-11)
        np.testing.assert_array_equal(warm.status, cold.status)


@pytest.mark.parametrize("lanes", lane_widths())
def test_every_edge_has_its_value_and_reason(lanes: int) -> None:
    nan, inf = math.nan, math.inf
    cases = [
        # price, forward, strike, years, right, volatility, status
        (25.0, 120.0, 100.0, 0.0, "CE", nan, OptionStatus.NO_TIME),
        (20.0, 120.0, 100.0, 0.0, "CE", nan, OptionStatus.NO_TIME),
        (20.0, 120.0, 100.0, 0.5, "CE", 0.0, OptionStatus.AT_INTRINSIC),
        (0.0, 80.0, 100.0, 0.5, "CE", 0.0, OptionStatus.AT_INTRINSIC),
        (19.9, 120.0, 100.0, 0.5, "CE", nan, OptionStatus.BELOW_INTRINSIC),
        (-0.1, 80.0, 100.0, 0.5, "CE", nan, OptionStatus.BELOW_INTRINSIC),
        (120.0, 120.0, 100.0, 0.5, "CE", inf, OptionStatus.AT_BOUND),
        (100.0, 120.0, 100.0, 0.5, "PE", inf, OptionStatus.AT_BOUND),
        (120.1, 120.0, 100.0, 0.5, "CE", nan, OptionStatus.ABOVE_BOUND),
        (inf, 120.0, 100.0, 0.5, "CE", nan, OptionStatus.ABOVE_BOUND),
        (nan, 120.0, 100.0, 0.5, "CE", nan, OptionStatus.BAD_INPUT),
        (5.0, 0.0, 100.0, 0.5, "CE", nan, OptionStatus.BAD_INPUT),
        (5.0, 100.0, -100.0, 0.5, "CE", nan, OptionStatus.BAD_INPUT),
        (5.0, 100.0, nan, 0.5, "CE", nan, OptionStatus.BAD_INPUT),
        (5.0, inf, 100.0, 0.5, "CE", nan, OptionStatus.BAD_INPUT),
        (5.0, 100.0, 100.0, -0.1, "CE", nan, OptionStatus.BAD_INPUT),
        (5.0, 100.0, 100.0, nan, "CE", nan, OptionStatus.BAD_INPUT),
        (5.0, 100.0, 100.0, inf, "CE", nan, OptionStatus.BAD_INPUT),
    ]
    for price, forward, strike, years, right, volatility, status in cases:
        found, why = solved(price, forward, strike, years, right, lanes)
        assert (why, found) == (status, pytest.approx(volatility, nan_ok=True))
        alone = options.implied_volatility(price, forward, strike, years, right)
        assert alone == pytest.approx(volatility, nan_ok=True)
    found, why = options.implied_volatility_status(5.0, 100.0, 100.0, 0.5, "CE", math.nan)
    assert math.isnan(found) and why == OptionStatus.BAD_INPUT


def test_the_last_minute_has_a_volatility() -> None:
    minute = 1 / 525_600
    premium = options.price(0.14, 25_003.0, 25_000.0, minute, "CE")
    assert options.implied_volatility(
        premium, 25_003.0, 25_000.0, minute, "CE"
    ) == pytest.approx(0.14, rel=1e-9)  # fmt: skip


def test_shapes_broadcast() -> None:
    strikes = np.array([[24_900.0], [25_000.0], [25_100.0]])
    rights = np.array(["CE", "PE"])
    price = options.price(0.2, 25_000.0, strikes, 0.05, rights)
    assert price.shape == (3, 2) and price.dtype == np.float64
    found = options.implied_volatility(price, 25_000.0, strikes, 0.05, rights)
    np.testing.assert_allclose(found, 0.2, rtol=1e-12)
    assert options.greeks(0.2, 25_000.0, strikes, 0.05, "CE").delta.shape == (3, 1)
    assert options.price(0.2, 25_000, 25_100, 1, "CE") == options.price(
        0.2, np.float32(25_000), np.int64(25_100), 1, "CE")  # fmt: skip
    assert isinstance(options.price(0.2, np.int64(25_000), 25_100, 1, "CE"), float)
    every_other = options.price(0.2, 25_000.0, np.arange(24_000.0, 26_000.0, 50.0)[::2], 0.05, "PE")
    assert every_other[3] == options.price(0.2, 25_000.0, 24_300.0, 0.05, "PE")
    for empty in (options.price([], 1.0, 1.0, 1.0, "CE"), options.implied_volatility(
            np.empty((0, 3)), 1.0, 1.0, 1.0, "CE")):  # fmt: skip
        assert empty.size == 0
    assert options.solve(price, 25_000.0, strikes, 0.05, rights).greeks.vega.shape == (3, 2)


@pytest.mark.parametrize("rights", [
    ["CE", "PE", "CE"], np.array(["CE", "PE", "CE"], object), np.array(["CE", "PE", "CE"], "U5"),
    np.array(["CE", "PE", "CE"], ">U2"), np.array(["CE", "x", "PE", "x", "CE", "x"])[::2],
])  # fmt: skip
def test_rights_of_any_array(rights: object) -> None:
    found = options.price(0.2, 100.0, [90.0, 100.0, 110.0], 0.5, rights)
    wanted = [options.price(0.2, 100.0, k, 0.5, r) for k, r in
              zip((90.0, 100.0, 110.0), ("CE", "PE", "CE"), strict=True)]  # fmt: skip
    assert list(found) == wanted


def test_refusals_name_field_value_and_remedy() -> None:
    with pytest.raises(UsageError, match=r"right is 'CALL': give 'CE' for a call or 'PE'"):
        options.price(0.2, 100.0, 100.0, 0.5, "CALL")
    for wrong in (["CE", "XX"], ["CE", "CX"], ["CE", "PEX"], [1, 2], np.array(["CE", None])):
        with pytest.raises(UsageError, match="right is"):
            options.price(0.2, 100.0, [100.0, 101.0], 0.5, wrong)
    with pytest.raises(UsageError, match=r"strike cannot be read as numbers"):
        options.price(0.2, 100.0, "far", 0.5, "CE")
    with pytest.raises(UsageError, match=r"shapes do not fit together: .*strike \(3,\)"):
        options.price([0.2, 0.3], 100.0, [1.0, 2.0, 3.0], 0.5, "CE")
    with pytest.raises(UsageError, match="lanes is 3"):
        options.solve(1.0, 100.0, 100.0, 0.5, "CE", lanes=3)
