"""Backoff against its formula; a close that nobody answers ends in an abort."""

import asyncio
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.brokers.link import Backoff, close_or_abort
from dhanfast.errors import ConfigError


class Fixed:
    """A source of jitter that says what it is told."""

    def __init__(self, value: float) -> None:
        self.value, self.draws = value, 0

    def random(self) -> float:
        self.draws += 1
        return self.value


@given(
    first=st.integers(1, 5), factor=st.integers(1, 4), most=st.integers(5, 300),
    failures=st.integers(1, 40), draw=st.floats(0, 1, exclude_max=True),
)  # fmt: skip
def test_pauses_follow_the_formula(
    first: int, factor: int, most: int, failures: int, draw: float
) -> None:
    whole = min(Fraction(most), Fraction(first) * Fraction(factor) ** (failures - 1))
    want = float(whole) * (1 + 0.2 * (2 * draw - 1))
    rng = Fixed(draw)
    assert Backoff(first, factor, most).pause_s(failures, rng) == pytest.approx(want)
    assert rng.draws == 1


def test_the_defaults_double_from_one_second_to_sixty() -> None:
    pauses = [Backoff(jitter=0).pause_s(n, random.Random(1)) for n in range(10)]
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_years_of_failures_are_still_a_number() -> None:
    assert Backoff(jitter=0, factor=10).pause_s(10**9, random.Random(1)) == 60


def test_two_sockets_do_not_come_back_together() -> None:
    rng = random.Random(3)
    assert len({Backoff().pause_s(7, rng) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("field", "value"),
    [("first_s", 0.0), ("factor", 0.5), ("most_s", 0.5), ("jitter", 1.0), ("healthy_s", -1.0),
     ("first_s", float("nan"))],
)  # fmt: skip
def test_refuses_and_names_the_field(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        Backoff(**{field: value})


def test_a_close_that_is_answered_aborts_nothing() -> None:
    aborted: list[int] = []

    async def run() -> bool:
        return await close_or_abort(asyncio.sleep(0), lambda: aborted.append(1), 1.0)

    assert asyncio.run(run()) and not aborted


def test_a_close_that_is_never_answered_aborts() -> None:
    aborted: list[int] = []

    async def run() -> bool:
        never = asyncio.get_running_loop().create_future()
        return await close_or_abort(never, lambda: aborted.append(1), 0.01)

    assert not asyncio.run(run()) and aborted == [1]


def test_a_close_that_fails_aborts_and_says_so() -> None:
    aborted: list[int] = []

    async def broken() -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        asyncio.run(close_or_abort(broken(), lambda: aborted.append(1)))
    assert aborted == [1]
