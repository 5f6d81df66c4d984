"""Rank and percentile: by hand, and by counting."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast import options
from dhanfast.errors import BadData, UsageError


def test_by_hand() -> None:
    found = options.standing([0.10, 0.12, 0.20, 0.14], 0.15, 4)
    assert found.rank == pytest.approx(50.0) and found.percentile == 75.0
    assert (found.least, found.most, found.days) == (0.10, 0.20, 4)


@given(history=st.lists(st.floats(0.05, 1.0), min_size=30, max_size=60), value=st.floats(0.04, 1.2))
def test_only_the_last_days_count(history: list[float], value: float) -> None:
    found = options.standing(history, value, 30)
    past = history[-30:]
    assert found.percentile == pytest.approx(100.0 * sum(one < value for one in past) / 30)
    low, high = min(*past, value), max(*past, value)
    if high > low:
        assert found.rank == pytest.approx(100.0 * (value - low) / (high - low))
        assert 0.0 <= found.rank <= 100.0


def test_a_history_that_is_too_short_is_refused() -> None:
    with pytest.raises(BadData, match="has 29 sessions: rank and percentile over 30 need 1 more"):
        options.standing([0.1] * 29, 0.1, 30)


def test_what_never_moved_has_no_rank() -> None:
    assert options.standing([0.1, 0.2], 0.15, 2.0).percentile == 50.0  # type: ignore[arg-type]
    assert math.isnan(options.standing([0.1] * 30, 0.1, 30).rank)


@pytest.mark.parametrize(
    ("history", "value", "days"),
    [([0.1] * 9, 0.1, 1), ([0.1, 0.0], 0.1, 2), ([0.1, math.nan], 0.1, 2), ([0.1] * 2, 0.0, 2),
     ([[0.1, 0.1]], 0.1, 2), ([0.1] * 2, math.inf, 2), ([0.1] * 9, 0.1, 2.5)],
)  # fmt: skip
def test_refusals(history: list[float], value: float, days: int) -> None:
    with pytest.raises(UsageError):
        options.standing(history, value, days)
