"""Margin of options: the published case, the method written out slowly, its bounds."""

from datetime import date

import numpy as np
import pytest

from dhanfast import options
from dhanfast.errors import UsageError
from dhanfast.market.calendar import midnight_ns
from dhanfast.options import Leg, margin_estimate

EXPIRY, NEXT = date(2026, 1, 27), date(2026, 2, 24)
NOW = midnight_ns(date(2026, 1, 22)) + 11 * 3600 * 10**9
SPOT = 59_000.0


def legs(*rows: tuple[str, float, int, float], expiry: date = EXPIRY, v: float = 0.13) -> list[Leg]:
    return [Leg(right, strike, quantity, premium, expiry, v)
            for right, strike, quantity, premium in rows]  # fmt: skip


def test_the_published_case() -> None:
    """BANKNIFTY long iron condor, spot 51,365.70, 15 units a leg: a broker's figure of 31,522.

    Date and lot are inferred (spec: 2 % of two written legs and the bought premium, 31,525.21).
    """
    day = date(2024, 10, 24)
    rows = [("CE", 51_500.0, 15, 32.0), ("PE", 51_100.0, 15, 15.05),
            ("CE", 51_700.0, -15, 5.0), ("PE", 50_900.0, -15, 4.0)]  # fmt: skip
    found = margin_estimate(
        legs(*rows, expiry=date(2024, 10, 30)), "BANKNIFTY",
        midnight_ns(day) + 11 * 3600 * 10**9, 51_365.7,
    )  # fmt: skip
    assert found.required == pytest.approx(0.02 * 51_365.7 * 30 + 47.05 * 15, rel=1e-9)
    assert found.required == pytest.approx(31_522, rel=2e-4)
    assert found.span == 0.0 and (found.error_low, found.error_high) == (-2, 2)


def slow_scan(rows: list[Leg], *, scan: float = 0.093, shift: float = 0.04) -> float:
    """Sixteen scenarios, one after the other; the next trading day is 23 January."""
    end = options.expiry_ns(EXPIRY)
    now = options.years_to_expiry(NOW, end)
    later = options.years_to_expiry(NOW + 86_400 * 10**9, end)
    losses = []
    for move in (0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0, 2.0, -2.0):
        for change in (shift, -shift) if abs(move) <= 1.0 else (0.0,):
            loss = 0.0
            for leg in rows:
                before = options.price(leg.volatility, SPOT, leg.strike, now, leg.right)
                level = SPOT * (1.0 + move * scan)
                after = options.price(max(leg.volatility + change, 0.01), level, leg.strike, later,
                                      leg.right)  # fmt: skip
                loss -= leg.quantity * (after - before)
            losses.append(loss * (0.35 if abs(move) > 1.0 else 1.0))
    return max(0.0, *losses)


@pytest.mark.parametrize(
    "rows",
    [
        [("CE", 59_000.0, -30, 700.0)],
        [("PE", 58_000.0, -30, 300.0)],
        [("CE", 59_000.0, 30, 700.0)],
        [("CE", 59_000.0, -30, 700.0), ("PE", 59_000.0, -30, 690.0)],
        [("CE", 59_000.0, 30, 700.0), ("CE", 59_500.0, -60, 470.0)],
    ],
)
def test_the_scan(rows: list[tuple[str, float, int, float]]) -> None:
    found = margin_estimate(legs(*rows), "BANKNIFTY", NOW, SPOT)
    assert found.scan == pytest.approx(slow_scan(legs(*rows)), rel=1e-9)
    net = sum(quantity * premium for _, _, quantity, premium in rows)
    assert found.span == pytest.approx(max(0.0, found.scan - net))
    assert found.required == pytest.approx(found.span + found.exposure + found.premium)


def test_a_bought_option_needs_its_premium_alone() -> None:
    found = margin_estimate(legs(("CE", 59_000.0, 30, 700.0)), "BANKNIFTY", NOW, SPOT)
    assert found.required == 21_000.0 and found.written_first == 0.0
    assert (found.error_low, found.error_high) == (0, 0)


def test_a_written_one_and_the_rule_of_thumb() -> None:
    """Near the money a naked short needs about a future's 11.3 % of value, and its premium."""
    found = margin_estimate(legs(("CE", 59_000.0, -30, 700.0)), "BANKNIFTY", NOW, SPOT)
    assert found.exposure == pytest.approx(0.02 * SPOT * 30)
    assert 0.10 < (found.required - 21_000.0) / (SPOT * 30) < 0.125
    assert (found.error_low, found.error_high) == (-5, 20)
    jumped = margin_estimate(legs(("CE", 59_000.0, -30, 700.0)), "BANKNIFTY", NOW, SPOT,
                             sigma_daily=0.02)  # fmt: skip
    assert jumped.scan > 1.5 * found.scan


def test_a_wing_takes_the_scan_down_to_its_width() -> None:
    years = options.years_to_expiry(NOW, options.expiry_ns(EXPIRY))
    rows = [("CE", strike, units, round(options.price(0.13, SPOT, strike, years, "CE"), 2))
            for strike, units in ((59_500.0, 30), (59_300.0, -30))]  # fmt: skip
    found = margin_estimate(legs(*rows), "BANKNIFTY", NOW, SPOT)
    assert found.span == pytest.approx(200.0 * 30, rel=0.001)
    assert found.exposure == pytest.approx(0.02 * SPOT * 30)  # gross: the wing does not help
    assert found.written_first > 2.0 * found.required


def test_far_out_and_on_the_expiry_day_exposure_grows() -> None:
    far = margin_estimate(legs(("CE", 66_000.0, -30, 5.0)), "BANKNIFTY", NOW, SPOT)
    assert far.exposure == pytest.approx(0.03 * SPOT * 30)
    for day, share in ((EXPIRY, 0.04), (date(2024, 10, 30), 0.02)):
        moment = midnight_ns(day) + 11 * 3600 * 10**9
        ending = margin_estimate(legs(("CE", 59_500.0, -30, 45.0), expiry=day), "BANKNIFTY",
                                 moment, SPOT)  # fmt: skip
        assert ending.exposure == pytest.approx(share * SPOT * 30)


def calendar_at(day: date) -> options.MarginEstimate:
    both = [*legs(("CE", 59_000.0, -30, 300.0)), *legs(("CE", 59_000.0, 30, 1500.0), expiry=NEXT)]
    moment = midnight_ns(day) + 11 * 3600 * 10**9
    return margin_estimate(both, "BANKNIFTY", moment, SPOT)


def test_a_calendar_is_charged_by_its_deltas_and_not_offset_on_the_expiry_day() -> None:
    before, ending = calendar_at(date(2026, 1, 22)), calendar_at(EXPIRY)
    delta = options.greeks(0.13, SPOT, 59_000.0, options.years_to_expiry(
        NOW, options.expiry_ns(EXPIRY)), "CE").delta  # fmt: skip
    assert before.calendar == pytest.approx(0.0175 * SPOT * 30 * delta, rel=0.03)
    assert ending.calendar == 0.0
    alone = margin_estimate(legs(("CE", 59_000.0, -30, 300.0)), "BANKNIFTY",
                            midnight_ns(EXPIRY) + 11 * 3600 * 10**9, SPOT)  # fmt: skip
    assert ending.scan > alone.scan  # the far leg's own scan stands beside it
    assert before.scan < 0.5 * alone.scan


def test_stocks_have_their_own_ranges() -> None:
    found = margin_estimate(legs(("CE", 1_400.0, -500, 30.0), v=0.25), "RELIANCE", NOW, 1_400.0)
    assert found.exposure == pytest.approx(0.035 * 1_400.0 * 500)
    assert 0.10 < found.scan / (1_400.0 * 500) < 0.142
    assert (found.error_low, found.error_high) == (-25, 25)
    rows = [("CE", 1_400.0, -500, 30.0), ("CE", 1_440.0, 500, 16.0)]
    covered = margin_estimate(legs(*rows, v=0.25), "RELIANCE", NOW, 1_400.0)
    assert (covered.error_low, covered.error_high) == (-5, 25)


def test_more_of_a_position_needs_as_much_more() -> None:
    rows = [("PE", 58_000.0, -30, 300.0), ("PE", 57_000.0, 30, 120.0)]
    one = margin_estimate(legs(*rows), "BANKNIFTY", NOW, SPOT)
    ten = margin_estimate(legs(*[(r, k, 10 * q, p) for r, k, q, p in rows]), "BANKNIFTY", NOW, SPOT)
    np.testing.assert_allclose(ten.required, 10 * one.required, rtol=1e-12)


@pytest.mark.parametrize(
    ("rows", "words", "message"),
    [
        ([], {}, "0 legs"),
        (legs(("CE", 59_000.0, 30, 1.0)), {"level": 0.0}, "level 0"),
        (legs(("CE", 59_000.0, 30, 1.0), v=float("nan")), {}, "have a volatility"),
        ([Leg("FUT", 59_000.0, 30, 0.0, EXPIRY)], {}, "takes options"),
        (legs(("CE", 59_000.0, -30, 1.0), expiry=date(2026, 1, 20)), {}, "is over"),
        (legs(("CE", 59_000.0, -30, 1.0)), {"sigma_daily": 1.1}, "sigma_daily"),
        (legs(("CE", 59_000.0, -30, 1.0)), {"underlying": "RELIANCE", "sigma_daily": 1.1},
         "sigma_daily is 1.1"),
    ],
)  # fmt: skip
def test_refusals(rows: list[Leg], words: dict[str, object], message: str) -> None:
    given = {"underlying": "BANKNIFTY", "at_ns": NOW, "level": SPOT} | words
    with pytest.raises(UsageError, match=message):
        margin_estimate(rows, **given)  # type: ignore[arg-type]
