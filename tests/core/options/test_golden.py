"""Premiums, greeks and volatilities against a table of 200 digits, by every width of the code."""

import csv
from pathlib import Path

import numpy as np
import pytest

from dhanfast import options
from dhanfast._core.options.door import lane_widths

TABLE = Path(__file__).with_name("golden.csv")
NAMES = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm")


def rows(model: str) -> dict[str, np.ndarray]:
    """Columns of the table."""
    with TABLE.open() as source:
        kept = [row for row in csv.DictReader(source) if row["model"] == model]
    found = {}
    for name in kept[0]:
        values = [row[name] for row in kept]
        found[name] = np.array(values) if name in ("model", "right") else np.array(values, float)
    return found


BLACK, STOCK = rows("black"), rows("stock")


def scale(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The sizes at which a rounding of the inputs shows in each greek: |a| + |b| of their sums."""
    v, u, t = table["volatility"], table["underlying"], table["years"]
    r = np.abs(table["rate"])
    vega, gamma = np.abs(table["vega"]), np.abs(table["gamma"])
    delta, price = np.abs(table["delta"]), np.abs(table["price"])
    # d1 d2 and d2 pass zero: relative to what they are next to the money.
    d = 1.0 + np.abs(np.log(u / table["strike"])) / (v * np.sqrt(t))
    return {
        "price": price, "delta": delta, "gamma": gamma, "vega": vega,
        "theta": np.abs(table["theta"]) + r * price + r * u * delta,
        "rho": np.abs(table["rho"]) + t * price + t * u * delta,
        "vanna": vega / (u * v * np.sqrt(t)) * d,
        "volga": vega / v * d * d,
        "charm": r * delta + vega / (u * t * np.sqrt(t)) * d / 2 + r * u * gamma,
    }  # fmt: skip


def test_the_table_has_wings_minutes_and_both_models() -> None:
    assert len(BLACK["price"]) >= 200 and len(STOCK["price"]) >= 18
    assert BLACK["years"].min() < 2e-6 and 0 < BLACK["price"].min() < 1e-8


@pytest.mark.parametrize("name", NAMES)
def test_black_greeks(name: str) -> None:
    place = [BLACK[key] for key in ("underlying", "strike", "years", "right", "rate")]
    found = getattr(options.greeks(BLACK["volatility"], *place), name)
    assert (np.abs(found - BLACK[name]) <= 2e-12 * scale(BLACK)[name]).all()


@pytest.mark.parametrize("name", NAMES)
def test_stock_greeks(name: str) -> None:
    place = [STOCK[key] for key in ("underlying", "strike", "years", "right", "rate", "dividend")]
    found = getattr(options.stock_greeks(STOCK["volatility"], *place), name)
    assert (np.abs(found - STOCK[name]) <= 1e-12 * scale(STOCK)[name]).all()


def test_one_option_is_the_same_bits_as_in_a_chain() -> None:
    place = [BLACK[key] for key in ("underlying", "strike", "years", "right", "rate")]
    chain = options.greeks(BLACK["volatility"], *place)
    implied = options.implied_volatility(BLACK["price"], *place)
    for i in range(len(BLACK["price"])):
        one = [column[i].item() for column in place]
        alone = options.greeks(float(BLACK["volatility"][i]), *one)
        np.testing.assert_array_equal(list(alone), [column[i] for column in chain])
        assert options.price(float(BLACK["volatility"][i]), *one) == chain.price[i]
        np.testing.assert_equal(
            options.implied_volatility(float(BLACK["price"][i]), *one), implied[i]
        )
    for i in range(len(STOCK["price"])):
        keys = ("volatility", "underlying", "strike", "years", "right", "rate", "dividend")
        one = [STOCK[key][i].item() for key in keys]
        chain = options.stock_greeks(*[STOCK[key] for key in keys])
        np.testing.assert_array_equal(
            list(options.stock_greeks(*one)), [column[i] for column in chain]
        )


@pytest.mark.parametrize("lanes", lane_widths())
def test_volatility_comes_back(lanes: int) -> None:
    """To 1e-12 where the premium holds it: a premium rounded to 16 digits may not."""
    place = [BLACK[key] for key in ("underlying", "strike", "years", "right", "rate")]
    found = options.solve(BLACK["price"], *place, lanes=lanes)
    told = found.status == options.OptionStatus.PRICED
    lost = BLACK["price"] * 4e-16 * np.exp(0.065 * BLACK["years"]) / BLACK["vega"]
    error = np.abs(found.volatility - BLACK["volatility"])
    assert (error[told] <= (1e-12 * BLACK["volatility"] + lost)[told]).all()
    # What has no volatility lies deep in the money, its time value below the last digit.
    assert (lost[~told] > 0.01 * BLACK["volatility"][~told]).all()
    assert told.sum() > 0.8 * told.size


def test_stock_volatility_comes_back() -> None:
    keys = ("underlying", "strike", "years", "right", "rate", "dividend")
    found = options.stock_implied_volatility(STOCK["price"], *[STOCK[key] for key in keys])
    lost = STOCK["price"] * 1e-15 / STOCK["vega"]
    told = lost < 1e-3
    error = np.abs(found - STOCK["volatility"])
    assert told.sum() >= 12 and (error[told] <= 1e-12 + lost[told]).all()


def test_every_width_gives_the_same_bits() -> None:
    """All but the branching code, which differs in the last digits."""
    rng = np.random.default_rng(11)
    n = 3001  # not a whole number of blocks, nor of lanes
    strike = 25_000.0 * np.exp(rng.normal(0.0, 0.08, n))
    years = 10.0 ** rng.uniform(-5.0, 0.3, n)
    right = np.where(rng.random(n) < 0.5, "CE", "PE")
    price = options.price(rng.uniform(0.03, 1.2, n), 25_000.0, strike, years, right, 0.06)
    price = np.round(price * 20.0) / 20.0
    widths = [width for width in lane_widths() if width > 0]
    first = options.solve(price, 25_000.0, strike, years, right, 0.06, lanes=widths[0])
    for width in widths[1:]:
        other = options.solve(price, 25_000.0, strike, years, right, 0.06, lanes=width)
        np.testing.assert_array_equal(first.volatility, other.volatility)
        np.testing.assert_array_equal(first.status, other.status)
        for one, two in zip(first.greeks, other.greeks, strict=True):
            np.testing.assert_array_equal(one, two)
    slow = options.solve(price, 25_000.0, strike, years, right, 0.06, lanes=0)
    told = (first.status == 0) & (first.greeks.vega > 1e-3 * price)
    np.testing.assert_array_equal(first.status, slow.status)
    np.testing.assert_allclose(first.volatility[told], slow.volatility[told], rtol=1e-11)
