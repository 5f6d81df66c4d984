"""The parity forward against a slow model, and against prices made of a known forward."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast import options
from dhanfast.errors import UsageError


def slow(strike, call, put, growth, nearest, spread=None) -> float:  # type: ignore[no-untyped-def]
    """The definition, for reading."""
    paired = [i for i in range(len(strike)) if call[i] > 0 and put[i] > 0]
    if not paired:
        return math.nan
    money = min(paired, key=lambda i: (abs(call[i] - put[i]), i))
    # A tie between below and above goes to below, as strikes are taken outwards one by one.
    order = sorted(paired, key=lambda i: (abs(strike[i] - strike[money]), i > money))
    kept = order[:nearest]
    found = sorted((strike[i] + growth * (call[i] - put[i]),
                    1.0 if spread is None else 1.0 / spread[i]) for i in kept)  # fmt: skip
    total, below = sum(weight for _, weight in found), 0.0
    for place, (value, weight) in enumerate(found):
        below += weight
        if below > 0.5 * total * (1 + 1e-12):
            return value
        if below >= 0.5 * total * (1 - 1e-12) and place + 1 < len(found):
            return 0.5 * (value + found[place + 1][0])
    return found[-1][0]


@settings(max_examples=150, deadline=None)
@given(data=st.data(), n=st.integers(1, 25), nearest=st.integers(1, 9), spreads=st.booleans())
def test_agrees_with_the_slow_model(
    data: st.DataObject, n: int, nearest: int, spreads: bool
) -> None:
    price = st.one_of(st.just(0.0), st.floats(0.05, 900.0))
    strike = [24_000.0 + 100.0 * i for i in range(n)]
    call = data.draw(st.lists(price, min_size=n, max_size=n))
    put = data.draw(st.lists(price, min_size=n, max_size=n))
    spread = data.draw(st.lists(st.floats(0.1, 20.0), min_size=n, max_size=n)) if spreads else None
    found = options.forward_from_parity(
        strike, call, put, 0.05, 0.06, spread=spread, nearest=nearest
    )
    wanted = slow(strike, call, put, math.exp(0.06 * 0.05), nearest, spread)
    assert found == pytest.approx(wanted, rel=1e-14, nan_ok=True)


def test_a_known_forward_comes_back_in_spite_of_a_stale_quote() -> None:
    strike = np.arange(24_000.0, 26_001.0, 50.0)
    place = (25_137.4, strike, 9 / 365)
    call = options.price(0.14, *place, "CE", 0.055)
    put = options.price(0.14, *place, "PE", 0.055)
    call[strike == 25_150.0] += 40.0
    put[strike < 24_500.0] = 0.0
    found = options.forward_from_parity(strike, call, put, 9 / 365, 0.055)
    assert found == pytest.approx(25_137.4, rel=1e-12)


def test_a_narrow_spread_weighs_more() -> None:
    strike, put = [100.0, 101.0, 102.0], [2.0, 2.0, 2.0]
    call = [3.0, 2.0, 1.4]  # forwards 101, 101, 101.4
    assert options.forward_from_parity(strike, call, put, 0.0) == 101.0
    tight = options.forward_from_parity(strike, call, put, 0.0, spread=[5.0, 5.0, 0.05])
    assert tight == pytest.approx(101.4)


def test_no_pair_no_forward() -> None:
    assert math.isnan(options.forward_from_parity([100.0, 101.0], [1.0, 0.0], [0.0, 1.0], 0.1))
    assert math.isnan(options.forward_from_parity([100.0], [math.nan], [1.0], 0.1))
    assert math.isnan(options.forward_from_parity([], [], [], 0.1))


def test_refusals() -> None:
    good = ([100.0, 101.0], [1.0, 1.0], [1.0, 1.0])
    with pytest.raises(UsageError, match="strike does not ascend"):
        options.forward_from_parity([101.0, 100.0], *good[1:], 0.1)
    with pytest.raises(UsageError, match=r"put has shape \(1,\)"):
        options.forward_from_parity(*good[:2], [1.0], 0.1)
    with pytest.raises(UsageError, match="nearest is 0"):
        options.forward_from_parity(*good, 0.1, nearest=0)
    with pytest.raises(UsageError, match=r"years -1\.0"):
        options.forward_from_parity(*good, -1.0)
    with pytest.raises(UsageError, match="call cannot be read"):
        options.forward_from_parity(good[0], ["a", "b"], good[2], 0.1)
