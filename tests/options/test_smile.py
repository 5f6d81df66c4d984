"""SVI: what is known is found again, published arbitrage is seen, chances are slopes of prices."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast import options
from dhanfast.errors import BadData, UsageError
from dhanfast.options.smile import Smile, durrleman
from tests.options.made import EXPIRY, FORWARD, NEXT, RATE, SVI, chain, total_variance

YEARS = 0.0142
STRIKES = np.arange(23_500.0, 26_901.0, 50.0)


def volatilities(years: float = YEARS) -> np.ndarray:
    return np.sqrt(total_variance(STRIKES) / years)


def test_an_exact_smile_is_found_again() -> None:
    found = options.fit_smile(STRIKES, volatilities(), FORWARD, YEARS)
    np.testing.assert_allclose(found.volatility(STRIKES), volatilities(), atol=2e-6)
    np.testing.assert_allclose([found.a, found.b, found.rho, found.m, found.sigma], SVI, rtol=0.05)
    assert found.used == len(STRIKES) and found.dropped == 0 and found.arbitrage_free
    assert found.error_rms <= found.error_worst < 2e-6
    assert (found.low, found.high) == pytest.approx((STRIKES[0], STRIKES[-1]))


@settings(max_examples=15, deadline=None)
@given(
    level=st.floats(0.08, 0.6), slope=st.floats(0.05, 0.5), rho=st.floats(-0.8, 0.8),
    middle=st.floats(-0.5, 0.5), curve=st.floats(0.3, 2.0), years=st.floats(0.003, 1.0),
)  # fmt: skip
def test_smiles_of_any_shape(
    level: float, slope: float, rho: float, middle: float, curve: float, years: float
) -> None:
    """Parameters in units of the deviation; those without arbitrage come back within a point."""
    unit = level * math.sqrt(years)
    b, m, sigma = slope * unit, middle * unit, curve * unit
    a = unit * unit - b * sigma * math.sqrt(1 - rho * rho)
    k = np.linspace(-3.0, 3.0, 41) * unit
    x, root = k - m, np.hypot(k - m, sigma)
    w, first, second = a + b * (rho * x + root), b * (rho + x / root), b * sigma**2 / root**3
    if w.min() <= 0.05 * unit**2 or durrleman(w, first, second, k).min() < 0.05:
        return
    strike = 100.0 * np.exp(k)
    found = options.fit_smile(strike, np.sqrt(w / years), 100.0, years)
    np.testing.assert_allclose(found.volatility(strike), np.sqrt(w / years), atol=0.01 * level)
    assert found.butterfly > -1e-9


def test_stale_quotes_are_dropped_and_counted() -> None:
    wrong = volatilities()
    wrong[[5, 20, 60]] *= [1.5, 0.8, 1.3]
    found = options.fit_smile(STRIKES, wrong, FORWARD, YEARS)
    assert found.dropped == 3
    np.testing.assert_allclose(found.volatility(STRIKES), volatilities(), atol=1e-4)


def test_weights_follow_the_errors() -> None:
    """A half of the quotes that lies higher draws the curve as far as its weight."""
    shifted = volatilities()
    shifted[::2] += 0.002
    heavy = np.where(np.arange(len(STRIKES)) % 2 == 0, 0.01, 0.001)
    found = options.fit_smile(STRIKES, shifted, FORWARD, YEARS, error=heavy)
    assert abs(found.at_money() - float(np.interp(FORWARD, STRIKES, volatilities()))) < 2e-4


def published() -> Smile:
    """Axel Vogt's parameters, Gatheral and Jacquier (2014), example 3.1: arbitrage."""
    return Smile(-0.0410, 0.1331, 0.3060, 0.3586, 0.4153, 1.0, 1.0, 0.2, 5.0, 9, 0, 0.0, 0.0, 0.0)


def test_published_arbitrage_is_seen() -> None:
    """g falls below nothing near k = 0.8 in the paper's figure 2, and not at -1.5 to 0.3."""
    smile = published()
    k = np.linspace(-1.5, 1.5, 301)
    w = smile.total_variance(np.exp(k))
    slope = np.gradient(w, k)
    g = durrleman(w, slope, np.gradient(slope, k), k)[2:-2]
    inside = k[2:-2]
    assert g[(inside > 0.6) & (inside < 1.1)].min() < -0.01
    assert g[inside < 0.3].min() > 0.0


def test_the_fit_forbids_the_arbitrage_of_its_data() -> None:
    """Fitted to the published smile, the curve gives up error and keeps butterflies above 0."""
    k = np.linspace(-1.2, 1.4, 53)
    found = options.fit_smile(np.exp(k), published().volatility(np.exp(k)), 1.0, 1.0)
    assert found.arbitrage_free
    assert 1e-4 < found.error_rms < 0.02


def test_wings_are_bounded() -> None:
    """Lee: no slope of total variance above 2, whatever the quotes say."""
    k = np.linspace(-0.5, 0.5, 21)
    found = options.fit_smile(np.exp(k), np.sqrt(0.01 + 5.0 * np.abs(k)), 1.0, 1.0)
    assert found.b * (1.0 + abs(found.rho)) <= 2.0 + 1e-9


def test_chances_are_slopes_of_put_prices() -> None:
    found = options.fit_smile(STRIKES, volatilities(), FORWARD, YEARS)
    for level in (24_000.0, 24_900.0, 25_180.0, 25_500.0, 26_400.0):
        ends = np.array([level - 0.5, level + 0.5])
        put = options.price(found.volatility(ends), FORWARD, ends, YEARS, "PE")
        assert found.probability_below(level) == pytest.approx(float(np.diff(put)[0]), abs=1e-6)
    chances = [found.probability_below(level) for level in STRIKES]
    assert (np.diff(chances) > 0.0).all()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"volatility": volatilities()[:-1]}, UsageError, "shapes"),
        ({"forward": 0.0}, UsageError, "forward 0"),
        ({"years": 0.0}, UsageError, "years 0"),
        ({"strike": -STRIKES}, UsageError, "strike has a value"),
        ({"error": np.zeros(len(STRIKES))}, UsageError, "error has a value"),
        ({"volatility": np.where(STRIKES < 23_800.0, 0.1, np.nan)}, BadData, "6 volatilities"),
    ],
)
def test_refusals(change: dict[str, object], kind: type[Exception], message: str) -> None:
    given = {"strike": STRIKES, "volatility": volatilities(), "forward": FORWARD, "years": YEARS}
    with pytest.raises(kind, match=message):
        options.fit_smile(**(given | change))  # type: ignore[arg-type]


def test_a_chain_of_ticks() -> None:
    """Premiums rounded to five paise: wings by the ticks are worth little, the middle is exact."""
    solved = options.solve_chain(chain(tick=0.05), RATE)
    found = options.smile_of(solved)
    strike = solved.snapshot.strike
    wanted = np.sqrt(total_variance(strike) / solved.years)
    middle = np.abs(strike / FORWARD - 1.0) < 0.04
    np.testing.assert_allclose(found.volatility(strike)[middle], wanted[middle], atol=2e-4)
    over = options.solve_chain(chain(tick=0.05), RATE, years=0.0, forward=FORWARD)
    with pytest.raises((BadData, UsageError)):
        options.smile_of(over)


def surface() -> options.Surface:
    chains = [chain(), chain(expiry=NEXT, scale=6.0)]
    return options.Surface([options.smile_of(options.solve_chain(one, RATE)) for one in chains])


def test_the_surface_is_linear_in_variance_between_expiries() -> None:
    found = surface()
    near, far = found.smiles
    assert near.years < far.years and found.calendar() > 0.0
    k = np.array([-0.02, 0.0, 0.03])
    w = [smile.total_variance(FORWARD * np.exp(k)) for smile in (near, far)]
    for share in (0.0, 0.3, 1.0):
        years = near.years + share * (far.years - near.years)
        np.testing.assert_allclose(
            found.total_variance(k, years), (1 - share) * w[0] + share * w[1], rtol=1e-6
        )
    half = found.volatility(k, 0.5 * near.years)
    np.testing.assert_allclose(half, found.volatility(k, near.years), rtol=1e-9)


def test_a_surface_that_falls_with_time_is_seen() -> None:
    chains = [chain(), chain(expiry=NEXT, scale=0.5)]
    smiles = [options.smile_of(options.solve_chain(one, RATE)) for one in chains]
    assert options.Surface(smiles).calendar() < 0.0
    assert options.Surface(smiles[:1]).calendar() == math.inf


def test_a_surface_refuses() -> None:
    found = surface()
    for years in (0.0, -1.0, 2.0 * found.smiles[-1].years, math.nan):
        with pytest.raises(UsageError, match="years is"):
            found.volatility(0.0, years)
    with pytest.raises(UsageError, match="one smile at least"):
        options.Surface([])
    with pytest.raises(UsageError, match="one time to expiry"):
        options.Surface([found.smiles[0], found.smiles[0]])
    assert found.smiles[0].years == options.years_to_expiry(
        chain().at_ns, options.expiry_ns(EXPIRY)
    )
