"""docs/reference/greeks.md: its examples run, and its worked example is right to its digits."""

import doctest
import math
import re
from datetime import date
from pathlib import Path

import pytest

from dhanfast import options
from dhanfast.market.calendar import midnight_ns

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "greeks.md"


def test_examples_run() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted >= 5 and result.failed == 0


def shown() -> dict[str, str]:
    """Rows of the worked example: the name, up to a blank or an equals sign, and its value."""
    part = PAGE.read_text().split("## Worked example")[1].split("\n## ")[0]
    found = {}
    row = re.compile(r"^\| (\S+?)(?: = [^|]*)? \| (\u2212?[\d.]+) \|$", re.MULTILINE)
    for name, value in row.findall(part):
        found[name] = value.replace("\u2212", "-")  # the minus sign
    return found


def test_the_worked_example() -> None:
    """Every number by the standard library's erfc, and by ours."""
    now_ns = midnight_ns(date(2026, 1, 22)) + (11 * 60 + 15) * 60 * 10**9
    years = options.years_to_expiry(now_ns, options.expiry_ns(date(2026, 1, 27)))
    assert years == 447_300 / 31_536_000
    forward, strike, volatility, rate = 25_180.0, 25_200.0, 0.12, 0.0525

    def below(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2.0))

    s = volatility * math.sqrt(years)
    d1 = math.log(forward / strike) / s + 0.5 * s
    d2 = d1 - s
    discount = math.exp(-rate * years)
    density = math.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
    price = discount * (forward * below(d1) - strike * below(d2))
    delta = discount * below(d1)
    vega = discount * forward * density * math.sqrt(years)
    theta = rate * price - discount * forward * density * volatility / (2.0 * math.sqrt(years))
    by_hand = {
        "T": years, "v√T": s, "ln(25180/25200)": math.log(forward / strike), "d1": d1, "d2": d2,
        "Φ(d1)": below(d1), "Φ(d2)": below(d2), "D": discount, "price": price, "delta": delta,
        "gamma": discount * density / (forward * s), "vega": vega, "vega_percent": vega / 100.0,
        "theta": theta, "theta_day": theta / 365.0, "rho": -years * price,
        "vanna": -discount * density * d2 / volatility, "volga": vega * d1 * d2 / volatility,
        "charm": rate * delta + discount * density * d2 / (2.0 * years),
    }  # fmt: skip
    page = shown()
    assert set(page) == set(by_hand)
    for name, text in page.items():
        digits = len(text.split(".")[1])
        assert float(text) == pytest.approx(by_hand[name], abs=0.51 * 10.0**-digits), name
    ours = options.greeks(volatility, forward, strike, years, "CE", rate)
    for name in ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm",
                 "vega_percent", "theta_day"):  # fmt: skip
        assert getattr(ours, name) == pytest.approx(by_hand[name], rel=1e-9), name


def test_every_status_is_on_the_page() -> None:
    text = PAGE.read_text()
    for status in options.OptionStatus:
        assert status.name == "LIMIT" or f"| `{status.name}` |" in text
    results = ("Greeks", "Solved", "OptionStatus")
    pages = text + "".join((PAGE.parent / one).read_text() for one in ("chain.md", "payoff.md"))
    for name in options.__all__:
        assert f"{name}(" in pages or f"`{name}`" in pages or name in results, name
