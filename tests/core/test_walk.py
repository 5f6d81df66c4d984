"""Price paths against the same model in plain Python: equal to the bit, so equal on any machine."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.walk import DAY_PLAN_DTYPE, DayPath, plan_days

MASK = 2**64 - 1


class Words:
    """splitmix64, as Steele, Lea and Flood (2014) give it."""

    def __init__(self, state: int) -> None:
        self.state = state

    def next(self) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        word = self.state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
        return word ^ (word >> 31)

    def normal(self) -> float:
        word = self.next()
        total = sum((word >> shift) & 0xFFFF for shift in (0, 16, 32, 48))
        return (total - 131070) / 37837.22686584823

    def exponential(self) -> float:
        word = self.next() | 1
        zeros = 64 - word.bit_length()
        part = ((word << zeros) >> 11) / 2.0**53
        s = (part - 1.0) / (part + 1.0)
        q = s * s
        series = 1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q / 9.0)))
        return zeros * 0.6931471805599453 - 2.0 * s * series


def stream(seed: int, day: int, kind: int) -> Words:
    mixed = Words(Words(seed).next() ^ (day * 0xD1342543DE82EF95 & MASK))
    again = Words(mixed.next() ^ (kind * 0xA24BAED4963EE407 & MASK))
    return Words(again.next())


def model_exp(x: float) -> float:
    y = x / 64.0
    y = 1.0 + y * (1.0 + y / 2.0 * (1.0 + y / 3.0 * (1.0 + y / 4.0)))
    for _ in range(6):
        y = y * y
    return y


def snap(level: float, tick: int) -> int:
    return max(math.floor(level / tick + 0.5) * tick, tick)


def model_path(seed: int, day: int, shares: list[float], parts: int, plan: Any) -> Any:
    words = stream(seed, day, 2)
    sigma = float(plan["sigma"])
    heat, level, used = 1.0, 0.0, 0.0
    levels, spent, deviation = [], [], []
    for share in shares:
        variance = share * heat
        if words.next() & 0xFFFF < 1024:
            variance = variance * 9.0
        scale = sigma * math.sqrt(variance / parts)
        before = level
        for _ in range(parts):
            level = level + scale * words.normal()
            used = used + variance / parts
            levels.append(level)
            spent.append(used)
            deviation.append(scale)
        bend = (level - before) * (level - before) / (sigma * sigma * share)
        heat = min((1.0 - 0.09 - 0.80) + 0.09 * bend + 0.80 * heat, 8.0)
    bend = (float(plan["close"]) / float(plan["open"]) - 1.0 - level) / used
    return [x + bend * y for x, y in zip(levels, spent, strict=True)], deviation


def model_bars(
    seed: int, day: int, levels: list[float], deviation: list[float], opened: float, tick: int
) -> list[tuple[int, int, int, int]]:
    words = stream(seed, day, 16)
    first, bars = opened, []
    for i, (level, dev) in enumerate(zip(levels, deviation, strict=True)):
        last = opened * (1.0 + level)
        scale = opened * dev
        if i:
            first = first + 0.118 * scale * words.normal()
        scale = scale * 0.86
        body = last - first
        top = 0.5 * (body + math.sqrt(body * body + 2.0 * scale * scale * words.exponential()))
        low = 0.5 * (body - math.sqrt(body * body + 2.0 * scale * scale * words.exponential()))
        ends = snap(first, tick), snap(last, tick)
        bars.append((ends[0], max(snap(first + top, tick), *ends),
                     min(snap(first + low, tick), *ends), ends[1]))  # fmt: skip
        first = last
    return bars


def plan_of(opened: float, closed: float, sigma: float) -> Any:
    return np.array((opened, closed, sigma, 0.0), DAY_PLAN_DTYPE)


@settings(max_examples=25)
@given(
    seed=st.integers(0, MASK),
    day=st.integers(0, 10**6),
    minutes=st.integers(1, 30),
    parts=st.sampled_from([1, 4, 60]),
    sigma=st.floats(0.001, 0.05),
    change=st.floats(-0.05, 0.05),
    tick=st.sampled_from([1, 5, 100]),
)
def test_bars_equal_the_plain_model_to_the_bit(
    seed: int, day: int, minutes: int, parts: int, sigma: float, change: float, tick: int
) -> None:
    shares = np.linspace(2.0, 1.0, minutes)
    shares /= shares.sum()
    plan = plan_of(4_000_000.0, 4_000_000.0 * (1 + change), sigma)
    path = DayPath(seed, day, shares, parts, plan)
    got = path.bars(0, minutes * parts, 0, 10**9, tick)
    levels, deviation = model_path(seed, day, shares.tolist(), parts, plan)
    want = model_bars(seed, day, levels, deviation, 4_000_000.0, tick)
    assert [tuple(map(int, bar)) for bar in got[["open", "high", "low", "close"]]] == want
    assert got["start_ns"].tolist() == [i * 10**9 for i in range(minutes * parts)]
    assert abs(int(got["close"][-1]) - float(plan["close"])) <= tick  # the path ends on the close


@settings(max_examples=25)
@given(seed=st.integers(0, MASK), days=st.integers(1, 40), pull=st.floats(0, 0.1))
def test_days_equal_the_plain_model_to_the_bit(seed: int, days: int, pull: float) -> None:
    ordinals = np.arange(737_000, 737_000 + days)
    trend = np.linspace(3e6, 4e6, days)
    got = plan_days(seed, ordinals, trend, 0.009, pull)
    slow = fast = 0.0
    level = float(trend[0])
    for row, ordinal, towards in zip(got, ordinals.tolist(), trend.tolist(), strict=True):
        words = stream(seed, ordinal, 1)
        slow = 0.98 * slow + 0.0504691 * words.normal()
        fast = 0.50 * fast + 0.1854957 * words.normal()
        sigma = 0.009 * model_exp(slow + fast)
        night = 0.72 * sigma * words.normal()
        if words.next() & 0xFFFF < 3932:
            night = 2.6 * night
        gap = night + pull * (towards / level - 1.0)
        opened = level * (1.0 + gap)
        level = opened * (1.0 + 1.2 * sigma * words.normal())
        assert (row["open"], row["close"], row["sigma"], row["gap"]) == (opened, level, sigma, gap)


def test_the_deviates_have_the_moments_they_claim() -> None:
    words = Words(12345)
    normals = np.array([words.normal() for _ in range(60_000)])
    assert abs(normals.mean()) < 4 / math.sqrt(60_000)
    assert normals.var() == pytest.approx(1.0, abs=0.02)
    exponentials = np.array([words.exponential() for _ in range(60_000)])
    assert exponentials.min() >= 0
    assert exponentials.mean() == pytest.approx(1.0, abs=0.02)
    assert (exponentials > math.log(2)).mean() == pytest.approx(0.5, abs=0.01)
    for x in (-3.0, -0.5, 0.0, 0.3, 2.5):
        assert model_exp(x) == pytest.approx(math.exp(x), rel=1e-6)


def test_a_window_later_in_the_day_goes_on_where_the_first_ended() -> None:
    shares = np.full(20, 0.05)
    path = DayPath(1, 2, shares, 1, plan_of(1e6, 1.01e6, 0.01))
    whole, late = path.bars(0, 20, 0, 60, 5), path.bars(12, 8, 999, 60, 5)
    np.testing.assert_array_equal(late["close"], whole["close"][12:])
    assert late["open"][0] == whole["close"][11]
    assert late["start_ns"][0] == 999


SHARES = np.full(4, 0.25)
PLAN = plan_of(1e6, 1e6, 0.01)


def fresh() -> DayPath:
    return DayPath(1, 1, SHARES, 1, PLAN)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DayPath(1, 1, SHARES[:0], 1, PLAN), "at least one minute"),
        (lambda: DayPath(1, 1, SHARES * 0, 1, PLAN), "positive share"),
        (lambda: DayPath(1, 1, SHARES, 0, PLAN), "parts is 0"),
        (lambda: DayPath(1, 1, SHARES, 60_001, PLAN), "parts is 60001"),
        (lambda: fresh().bars(0, 5, 0, 1, 5), "outside the day"),
        (lambda: fresh().bars(-1, 2, 0, 1, 5), "outside the day"),
        (lambda: fresh().ticks(0, 0, 0, 1, 5), "outside the day"),
        (lambda: fresh().ticks(0, 4, 0, 1, 0), "tick 0"),
        (lambda: fresh().become_future(0, 0, 0.5, SHARES, 1, 0), "lot is 0"),
        (lambda: fresh().become_future(0, 0, 1.0, SHARES, 1, 5), "keep is 1"),
        (lambda: fresh().become_future(0, 0, 0.5, SHARES[1:], 1, 5),
         "3 shares of volume for 4 minutes"),
        (lambda: plan_days(1, np.zeros(0, np.int64), np.zeros(0), 0.01, 0.0), "at least one"),
        (lambda: plan_days(1, np.zeros(2, np.int64), np.ones(1), 0.01, 0.0), "give one each"),
        (lambda: plan_days(1, np.zeros(1, np.int64), np.zeros(1), 0.01, 0.0), "must be positive"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(OverflowError):
        plan_days(seed, np.zeros(1, np.int64), np.ones(1), 0.01, 0.0)
