"""Margin rates against the published points."""

import itertools
from datetime import date
from math import sqrt

import pytest

from dhanfast.errors import OutOfCalendar, UsageError
from dhanfast.market.margin import future_margin, future_margin_rate, underlyings


def test_the_published_point_after_the_crash() -> None:
    """BANKNIFTY future 2020-05-20: 23.92 % of value (S95)."""
    assert future_margin_rate("BANKNIFTY", date(2020, 5, 20)) == 239_200_000


def test_the_floor_now() -> None:
    """58,000 x 30: 161,820 scan and 34,800 exposure, 196,620 together (section 4.2)."""
    found = future_margin("BANKNIFTY", date(2026, 6, 1))
    value = 58_000 * 30
    assert value * found.scan_e9 // 10**9 == 161_820
    assert value * found.exposure_e9 // 10**9 == 34_800
    assert value * found.rate_e9 // 10**9 == 196_620
    assert found.error_low < 0 < found.error_high
    assert "S94" in found.source


@pytest.mark.parametrize("underlying", ["BANKNIFTY", "NIFTY"])
def test_the_sigma_term_decays_after_the_crash_to_the_floor(underlying: str) -> None:
    rates = [
        future_margin_rate(underlying, date(year, month, 1))
        for year in range(2020, 2024)
        for month in range(1, 13)
        if (year, month) >= (2020, 6)
    ]
    for earlier, later in itertools.pairwise(rates):
        assert later <= earlier + 3_000_000
    assert rates[0] > 180_000_000
    assert rates[-1] == 113_000_000


def test_a_given_volatility_replaces_a_smaller_scan_range() -> None:
    on = date(2025, 6, 2)
    calm = future_margin("BANKNIFTY", on, sigma_daily=0.008)
    wild = future_margin("BANKNIFTY", on, sigma_daily=0.03)
    assert calm == future_margin("BANKNIFTY", on)
    assert wild.scan_e9 == round(6 * 0.03 * sqrt(2) * 1e9)
    assert future_margin_rate("BANKNIFTY", on, sigma_daily=0.03) == wild.scan_e9 + 20_000_000


def test_every_underlying_has_a_rate_today() -> None:
    for underlying in underlyings():
        assert 100_000_000 < future_margin_rate(underlying, date(2026, 11, 2)) < 300_000_000


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(OutOfCalendar, match=r"2018-12-31; .*margins\.csv covers 2019-01-01"):
        future_margin_rate("BANKNIFTY", date(2018, 12, 31))
    with pytest.raises(UsageError, match="did you mean 'NIFTY'"):
        future_margin_rate("NIFTI", date(2024, 1, 1))
    for sigma in (-0.01, 0.5, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="sigma_daily must be a fraction"):
            future_margin("NIFTY", date(2024, 1, 1), sigma_daily=sigma)
