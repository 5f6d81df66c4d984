"""Strike selection and the figures of a chain against slow models written for reading."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast import options
from dhanfast.errors import UsageError

STRIKES = [24_000.0, 24_100.0, 24_200.0, 24_300.0, 24_400.0]
OI = st.integers(0, 10**6)


@given(
    strikes=st.lists(st.integers(1, 2_000), min_size=1, max_size=30, unique=True).map(sorted),
    level=st.floats(0.0, 2_100.0), steps=st.integers(-5, 5), percent=st.floats(-50.0, 50.0),
)  # fmt: skip
def test_strikes_by_level(strikes: list[int], level: float, steps: int, percent: float) -> None:
    def nearest(wanted: float) -> int:
        return min(range(len(strikes)), key=lambda i: (abs(strikes[i] - wanted), i))

    money = nearest(level)
    assert options.atm(strikes, level) == money
    wanted = money + steps
    assert options.strike_by_steps(strikes, level, steps) == (
        wanted if 0 <= wanted < len(strikes) else None
    )
    moved = level * (1.0 + 0.01 * percent)
    assert options.strike_by_percent(strikes, level, percent) == listed(strikes, moved)


def listed(strikes: list[int], level: float) -> int | None:
    """The nearest strike; none where one more at the same distance as the last two were nearer."""
    if len(strikes) > 1:
        before = strikes[0] - (strikes[1] - strikes[0])
        after = strikes[-1] + (strikes[-1] - strikes[-2])
        if level - before < strikes[0] - level or after - level < level - strikes[-1]:
            return None
    return min(range(len(strikes)), key=lambda i: (abs(strikes[i] - level), i))


def test_no_strike_stands_for_a_level_beyond_the_chain() -> None:
    assert options.strike_by_percent(STRIKES, 24_200.0, 20.0) is None
    assert options.strike_by_percent(STRIKES, 24_200.0, -20.0) is None
    assert options.strike_by_percent(STRIKES, 24_450.0, 0.0) == 4  # as near to the next, not listed
    assert options.strike_by_percent(STRIKES, 24_451.0, 0.0) is None
    assert options.strike_by_percent([24_200.0], 24_200.0, 20.0) == 0
    call, put = [150.0] * 5, [150.0] * 5  # a straddle of 300
    assert options.strike_by_straddle(STRIKES, call, put, 24_200.0, 0.5) == 3
    assert options.strike_by_straddle(STRIKES, call, put, 24_200.0, 1.0) is None


def test_a_tie_goes_to_the_lower_strike() -> None:
    assert options.atm(STRIKES, 24_150.0) == 1
    assert options.atm(STRIKES, 0.0) == 0 and options.atm(STRIKES, 1e9) == 4
    assert options.atm([], 100.0) is None and options.atm(STRIKES, math.nan) is None
    assert options.strike_by_steps([], 100.0, 0) is None


@given(
    prices=st.lists(st.one_of(st.just(0.0), st.just(math.nan), st.floats(0.05, 500.0)),
                    min_size=0, max_size=20),
    target=st.floats(0.1, 500.0), rule=st.sampled_from(["nearest", "at_least", "at_most"]),
)  # fmt: skip
def test_strikes_by_premium(prices: list[float], target: float, rule: str) -> None:
    fits = {"nearest": lambda p: True, "at_least": lambda p: p >= target,
            "at_most": lambda p: p <= target}[rule]  # fmt: skip
    kept = [i for i, p in enumerate(prices) if p > 0.0 and fits(p)]
    wanted = min(kept, key=lambda i: (abs(prices[i] - target), i)) if kept else None
    assert options.strike_by_premium(prices, target, rule) == wanted


@given(
    deltas=st.lists(st.one_of(st.just(math.nan), st.floats(-1.0, 1.0)), max_size=20),
    target=st.floats(-1.0, 1.0),
)
def test_strikes_by_delta(deltas: list[float], target: float) -> None:
    kept = [i for i, d in enumerate(deltas) if d == d]
    wanted = min(kept, key=lambda i: (abs(abs(deltas[i]) - abs(target)), i)) if kept else None
    assert options.strike_by_delta(deltas, target) == wanted


def test_straddle_and_strikes_by_its_width() -> None:
    call, put = [300.0, 220.0, 150.0, 90.0, 0.0], [50.0, 80.0, 130.0, 190.0, 260.0]
    assert options.straddle(STRIKES, call, put, 24_210.0) == 280.0
    assert math.isnan(options.straddle(STRIKES, call, put, 24_390.0))
    assert options.strike_by_straddle(STRIKES, call, put, 24_210.0, 0.5) == 3  # 24,350: the lower
    assert options.strike_by_straddle(STRIKES, call, put, 24_210.0, -0.5) == 1
    assert options.strike_by_straddle(STRIKES, call, put, 24_390.0, 1.0) is None
    assert math.isnan(options.straddle([], [], [], 100.0))


@given(rows=st.lists(st.tuples(st.integers(1, 500), OI, OI), min_size=1, max_size=25,
                     unique_by=lambda row: row[0]))  # fmt: skip
def test_max_pain_by_its_definition(rows: list[tuple[int, int, int]]) -> None:
    rows.sort()
    strike, call, put = map(list, zip(*rows, strict=True))

    def paid(level: int) -> int:
        return sum(c * max(level - k, 0) + p * max(k - level, 0) for k, c, p in rows)

    found = options.max_pain(strike, call, put)
    if sum(call) + sum(put) == 0:
        assert math.isnan(found)
    else:
        assert found == min(strike, key=lambda k: (paid(k), k))


@given(rows=st.lists(st.tuples(OI, OI), min_size=1, max_size=20))
def test_put_call_ratio(rows: list[tuple[int, int]]) -> None:
    call, put = map(list, zip(*rows, strict=True))
    found = options.put_call_ratio(call, put)
    if sum(call) == 0:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(sum(put) / sum(call), rel=1e-14)


def test_gamma_exposure_by_hand() -> None:
    """24,000^2 x 0.01 = 5,760,000: 0.001 x 200 - 0.002 x 50 = 0.1 of it, 0.0005 x 100 - 0."""
    found = options.gamma_exposure(
        24_000.0, [0.001, 0.0005], [0.002, math.nan], [200, 100], [50, 9]
    )
    np.testing.assert_allclose(found, [576_000.0, 288_000.0], rtol=1e-14)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="strike does not ascend"):
        options.atm([2.0, 1.0], 1.0)
    with pytest.raises(UsageError, match=r"put_oi has shape \(1,\): give 2 numbers"):
        options.max_pain([1.0, 2.0], [1, 1], [1])
    with pytest.raises(UsageError, match=r"call_oi has -1\.0"):
        options.max_pain([1.0, 2.0], [1, -1], [1, 1])
    with pytest.raises(UsageError, match="call has nan"):
        options.put_call_ratio([math.nan], [1.0])
    with pytest.raises(UsageError, match="rule is 'near': give one of nearest, at_least"):
        options.strike_by_premium([1.0], 1.0, "near")
    with pytest.raises(UsageError, match=r"target is -1\.0: give a premium"):
        options.strike_by_premium([1.0], -1.0)
    with pytest.raises(UsageError, match=r"target is 30\.0: a delta"):
        options.strike_by_delta([0.3], 30.0)
    with pytest.raises(UsageError, match=r"spot is 0\.0"):
        options.gamma_exposure(0.0, [1.0], [1.0], [1], [1])
    with pytest.raises(UsageError, match="price cannot be read"):
        options.strike_by_premium(["a"], 1.0)
