"""Schedules of the algorithms: against a plain model, and the laws that their page states."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.execution.schedule import Algo, schedule
from dhanfast.errors import ConfigError

from .plain_schedule import plain_schedule

SECOND = 1_000_000_000
NINE = 1_641_181_500_000_000_000  # 2022-01-03 09:15 IST

spans = st.integers(1, 6 * 3600).map(lambda s: s * SECOND)
intervals = st.integers(1, 3600).map(lambda s: s * SECOND)


@given(
    lots=st.integers(1, 5_000),
    span=spans,
    interval=intervals,
    least=st.integers(1, 50),
    random_e4=st.integers(0, 5_000),
    seed=st.integers(0, 2**63 - 1),
    number=st.integers(1, 2**40),
)
@settings(max_examples=150, deadline=None)
def test_twap_is_the_plain_model(
    lots: int, span: int, interval: int, least: int, random_e4: int, seed: int, number: int
) -> None:
    got = schedule(
        lots, NINE, NINE + span, number=number, algo=Algo.TWAP, interval_ns=interval,
        least_lots=least, random_e4=random_e4, seed=seed,
    )  # fmt: skip
    assert got == plain_schedule(
        lots, NINE, NINE + span, interval=interval, least=least, random_e4=random_e4, seed=seed,
        number=number,
    )  # fmt: skip


@given(
    lots=st.integers(1, 5_000),
    span=spans,
    interval=intervals,
    random_e4=st.integers(0, 5_000),
    volumes=st.lists(st.integers(0, 10**6), min_size=375, max_size=375),
)
@settings(max_examples=40, deadline=None)
def test_vwap_is_the_plain_model(
    lots: int, span: int, interval: int, random_e4: int, volumes: list[int]
) -> None:
    profile = np.zeros(1440, np.int64)
    profile[555:930] = volumes
    profile[555] += 1  # some volume at the start, whatever the rest is
    got = schedule(
        lots, NINE, NINE + span, algo=Algo.VWAP, interval_ns=interval, random_e4=random_e4,
        profile=profile,
    )  # fmt: skip
    assert got == plain_schedule(
        lots, NINE, NINE + span, interval=interval, random_e4=random_e4,
        profile=[int(each) for each in profile],
    )  # fmt: skip


@given(
    lots=st.integers(1, 2_000),
    span=spans,
    interval=intervals,
    random_e4=st.integers(0, 5_000),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=100, deadline=None)
def test_times_and_sizes_rise_and_the_last_is_the_whole(
    lots: int, span: int, interval: int, random_e4: int, seed: int
) -> None:
    plan = schedule(
        lots, NINE, NINE + span, algo=Algo.TWAP, interval_ns=interval, random_e4=random_e4,
        seed=seed,
    )  # fmt: skip
    assert plan[0][0] == NINE and plan[-1][1] == lots
    assert all(a[0] <= b[0] < NINE + span and a[1] <= b[1] for a, b in pairwise(plan))


def test_ten_lots_in_five_minutes_are_two_a_minute() -> None:
    """Worked by hand: five steps of a minute, two lots each."""
    plan = schedule(10, NINE, NINE + 300 * SECOND, algo=Algo.TWAP, interval_ns=60 * SECOND)
    assert plan == [(NINE + k * 60 * SECOND, 2 * (k + 1)) for k in range(5)]


def test_a_vwap_follows_its_volume() -> None:
    """Worked by hand: a minute of 300, then one of 100: three quarters first."""
    profile = np.zeros(1440, np.int64)
    profile[555], profile[556] = 300, 100
    plan = schedule(
        8, NINE, NINE + 120 * SECOND, algo=Algo.VWAP, interval_ns=60 * SECOND, profile=profile
    )
    assert plan == [(NINE, 6), (NINE + 60 * SECOND, 8)]


@pytest.mark.parametrize(
    ("words", "rules"),
    [
        ("execution.random_e4 must be a whole number in 0..5000, was 5001", {"random_e4": 5_001}),
        ("execution.seed must be a whole number", {"seed": -1}),
        ("execution.jitter: no such rule; known: horizon_ns", {"jitter": 1}),
        ("the profile has no volume in this time", {"algo": Algo.VWAP}),
        ("execution.profile must be 1440 whole numbers", {"profile": np.ones(3, np.int64)}),
        ("execution.profile must be 1440", {"profile": np.full(1440, -1)}),
        ("execution.profile must be 1440", {"profile": np.ones(1440)}),
    ],
)
def test_what_cannot_be_planned_is_refused(words: str, rules: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")):
        schedule(10, NINE, NINE + SECOND, **rules)  # type: ignore[arg-type]


def test_a_schedule_needs_lots_and_time() -> None:
    with pytest.raises(ConfigError, match="a start before its end"):
        schedule(10, NINE, NINE)
    with pytest.raises(ConfigError, match="lots in 1"):
        schedule(0, NINE, NINE + SECOND)
