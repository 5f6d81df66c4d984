"""Strikes chosen on a day of a chain, against plain choices; days that are refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast import options
from dhanfast._core.chainday import ChainDay, Missing, StrikeRule
from dhanfast._core.types import SESSION_DTYPE
from dhanfast.errors import BadData, UsageError

DAY = 86_400 * 10**9
AT = 1_700_000_000_000_000_000
STRIKES = np.arange(90, 111) * 100


def made(calls: np.ndarray, puts: np.ndarray, level: int, **more: Any) -> ChainDay:
    sessions = np.zeros(1, SESSION_DTYPE)
    sessions["expiry_ns"] = AT + 7 * DAY
    prices = np.concatenate([calls, puts]).reshape(1, -1).astype(np.int64)
    n = len(STRIKES)
    told: dict[str, Any] = {
        "start_ns": np.array([AT - 10]),
        "end_ns": np.array([AT]),
        "prices": (prices,) * 4,
        "spot": np.array([level]),
        "strike": np.tile(STRIKES * 100, 2),
        "listed": np.arange(2 * n),
        "first": [0],
        "count": [n],
        "sessions": sessions,
        "final_price": [0],
        "exercise_e9": [0],
        "exercise_full": [0],
        **more,
    }
    return ChainDay(**told)


premiums = st.lists(st.integers(0, 40_000).map(lambda x: 5 * x), min_size=21, max_size=21)


def plain(
    rule: StrikeRule,
    amount: float,
    calls: list[int],
    puts: list[int],
    spot: float,
    right: int,
    bound: int,
) -> int | None:
    """The place among the strikes, or None: written for reading."""
    own = calls if right > 0 else puts

    step = STRIKES[1] - STRIKES[0]

    def near(level: float) -> int | None:
        """None where the listing ends before it: one strike more would be nearer."""
        if not STRIKES[0] - step / 2 <= level <= STRIKES[-1] + step / 2:
            return None
        return min(range(len(STRIKES)), key=lambda i: (abs(STRIKES[i] - level), i))

    if rule == StrikeRule.STEPS:
        money = near(spot)
        at = -1 if money is None else money + int(amount)
        return at if 0 <= at < len(STRIKES) else None
    if rule == StrikeRule.PERCENT:
        return near(spot * (1 + amount / 100))
    if rule == StrikeRule.STRADDLE:
        money = near(spot)
        if money is None or not (calls[money] and puts[money]):
            return None
        at = money
        return near(spot + amount * (calls[at] + puts[at]) / 100)
    fits = [
        i
        for i in range(len(STRIKES))
        if own[i] > 0
        and (bound != 1 or own[i] / 100 >= amount)
        and (bound != 2 or own[i] / 100 <= amount)
    ]
    return min(fits, key=lambda i: (abs(own[i] / 100 - amount), i), default=None)


@settings(max_examples=150, deadline=None)
@given(
    calls=premiums,
    puts=premiums,
    spot=st.integers(880_000, 1_120_000),
    right=st.sampled_from([1, -1]),
    bound=st.integers(0, 2),
    asked=st.one_of(
        st.tuples(st.just(StrikeRule.STEPS), st.integers(-25, 25).map(float)),
        st.tuples(st.just(StrikeRule.PERCENT), st.integers(-12, 12).map(float)),
        st.tuples(st.just(StrikeRule.STRADDLE), st.sampled_from([-2.0, -1.0, -0.5, 0.5, 1.0])),
        st.tuples(st.just(StrikeRule.PREMIUM), st.integers(1, 2000).map(float)),
    ),
)
def test_choices_agree_with_plain_ones(
    calls: list[int],
    puts: list[int],
    spot: int,
    right: int,
    bound: int,
    asked: tuple[StrikeRule, float],
) -> None:
    rule, amount = asked
    place = plain(rule, amount, calls, puts, spot / 100, right, bound)
    missing, column, strike = made(np.array(calls), np.array(puts), spot).choose(
        0, 0, right, rule, amount, bound
    )
    if place is None:
        assert (missing, column, strike) == (Missing.NO_STRIKE, -1, 0)
        return
    own = (calls if right > 0 else puts)[place]
    assert strike == STRIKES[place] * 100
    if own:
        assert (missing, column) == (Missing.FOUND, place + (0 if right > 0 else len(STRIKES)))
    else:
        assert (missing, column) == (Missing.NO_QUOTE, -1)


@pytest.mark.parametrize(("rule", "amount"), [
    (StrikeRule.STEPS, 0.0), (StrikeRule.STEPS, -1.0), (StrikeRule.STRADDLE, -1.0),
])  # fmt: skip
def test_an_index_beyond_the_listing_has_no_strike_at_the_money(
    rule: StrikeRule, amount: float
) -> None:
    """The last strike listed would be sold as the one at the money, 300 points off."""
    quotes = np.full(len(STRIKES), 5_000)
    level = int(STRIKES[-1]) * 100 + 30_000
    chosen = made(quotes, quotes, level).choose(0, 0, 1, rule, amount)
    assert chosen == (Missing.NO_STRIKE, -1, 0)


@pytest.mark.parametrize(("right", "target"), [(1, 0.25), (-1, 0.25), (1, 0.5), (-1, 0.1)])
def test_a_delta_is_that_of_the_option_by_its_own_price(right: int, target: float) -> None:
    """Prices of a flat volatility of 20 %: the chosen strike is nearest in Black's delta."""
    years, forward = 7 / 365, 10_020.0
    calls, puts = (
        np.rint(20 * options.price(0.2, forward, STRIKES.astype(float), years, side)) * 5
        for side in ("CE", "PE")
    )
    name = "CE" if right > 0 else "PE"
    deltas = options.greeks(0.2, forward, STRIKES.astype(float), years, name).delta
    wanted = int(np.argmin(np.abs(np.abs(deltas) - target)))
    found = made(calls, puts, 1_000_000).choose(0, 0, right, StrikeRule.DELTA, target)
    assert found[0] == Missing.FOUND and found[2] == STRIKES[wanted] * 100
    assert not math.isnan(deltas[wanted])


def test_an_exact_strike_is_that_or_none() -> None:
    one = made(np.full(21, 100), np.full(21, 100), 1_000_000)
    assert one.choose(0, 0, -1, StrikeRule.EXACT, 10_100.0) == (Missing.FOUND, 32, 1_010_000)
    assert one.choose(0, 0, -1, StrikeRule.EXACT, 10_150.0)[0] == Missing.NO_STRIKE


def test_without_index_or_expiry_there_is_no_choice() -> None:
    one = made(np.full(21, 100), np.full(21, 100), 0)
    assert one.choose(0, 0, 1, StrikeRule.STEPS, 0.0)[0] == Missing.NO_SPOT
    assert one.choose(0, -1, 1, StrikeRule.STEPS, 0.0)[0] == Missing.NO_EXPIRY
    with pytest.raises(UsageError, match="row 1 or expiry 0"):
        one.choose(1, 0, 1, StrikeRule.STEPS, 0.0)


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        ({"end_ns": np.array([AT - 10])}, BadData, "without overlap"),
        ({"spot": np.array([-1])}, BadData, "below zero"),
        ({"count": [22]}, UsageError, "22 strikes from column 0"),
        ({"first": [], "count": []}, UsageError, "1..4 a day"),
        ({"spot": np.array([1, 2])}, UsageError, "spot has shape"),
        ({"strike": np.tile(STRIKES[::-1] * 100, 2)}, BadData, "ascending"),
    ],
)
def test_a_day_that_breaks_a_rule_is_refused(
    more: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        made(np.full(21, 100), np.full(21, 100), 1_000_000, **more)
