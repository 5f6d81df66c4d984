"""Limits: never above a quota in any window, never slower than needed, sane when clocks are not."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.brokers.dhan.limits import CallClass, Limits, LimitSettings, Quota
from dhanfast.clock import ManualClock
from dhanfast.errors import ConfigError, UsageError

from .stage import NOON_NS

S = 1_000_000_000
BROKER = {  # the limits of spec section 4: calls and seconds
    CallClass.ORDER: [(10, 1), (250, 60), (1_000, 3_600), (7_000, 86_400)],
    CallClass.DATA: [(5, 1), (100_000, 86_400)],
    CallClass.QUOTE: [(1, 1)],
    CallClass.CHAIN: [(1, 1)],
    CallClass.OTHER: [(20, 1)],
}


def busiest(times: list[int], window_ns: int) -> int:
    """The most calls in any half-open window, the slow way."""
    return max((sum(t <= u < t + window_ns for u in times) for t in times), default=0)


def hammered(limits: Limits, clock: ManualClock, kind: CallClass, pauses: list[float]) -> list[int]:
    """Calls as fast as they are let, with pauses of the caller's own."""
    times = []
    for pause in pauses:
        clock.advance(pause)
        while wait_ns := limits.take(kind, urgent=True):
            clock.advance(wait_ns / S)
        times.append(clock.now_ns())
    return times


@settings(max_examples=25)
@given(
    kind=st.sampled_from(sorted(BROKER)),
    pauses=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.1, 0.9, 1.0, 7.0]), max_size=400),
)
def test_no_window_ever_holds_more_than_the_broker_allows(
    kind: CallClass, pauses: list[float]
) -> None:
    clock = ManualClock(NOON_NS)
    times = hammered(Limits(clock), clock, kind, pauses)
    for count, window_s in BROKER[kind]:
        assert busiest(times, window_s * S) <= count


@settings(max_examples=25)
@given(
    quotas=st.lists(st.tuples(st.integers(1, 6), st.sampled_from([0.5, 1.0, 5.0])), min_size=1,
                    max_size=3),
    steps=st.lists(st.integers(0, 900), max_size=60),
)  # fmt: skip
def test_a_call_goes_exactly_when_a_plain_count_lets_it(
    quotas: list[tuple[int, float]], steps: list[int]
) -> None:
    """Against a list of all calls: what the plain count allows is taken, the rest is not."""
    plain = {kind: (Quota(1, 1.0),) for kind in CallClass}
    plain[CallClass.DATA] = tuple(Quota(*quota) for quota in quotas)
    clock = ManualClock(NOON_NS)
    limits = Limits(clock, LimitSettings(quotas=plain, per_day={}))
    taken: list[int] = []
    for step_ms in steps:
        clock.advance(step_ms / 1e3)
        now = clock.now_ns()
        free = all(
            sum(now - t < round(window_s * S) for t in taken) < count for count, window_s in quotas
        )
        wait_ns = limits.take(CallClass.DATA)
        assert (wait_ns == 0) is free
        if free:
            taken.append(now)
        else:  # one nanosecond earlier it would not go, at the end of the wait it would
            later = now + wait_ns
            for at, goes in ((later, True), (later - 1, False)):
                room = all(sum(at - t < round(w * S) for t in taken) < c for c, w in quotas)
                assert room is goes


def test_urgent_calls_have_a_part_of_the_window_to_themselves() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock)
    entries = 0
    while limits.take(CallClass.ORDER) == 0:
        entries += 1
    exits = 0
    while limits.take(CallClass.ORDER, urgent=True) == 0:
        exits += 1
    assert (entries, exits) == (8, 1)


def test_the_day_ends_at_midnight_in_india() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock, LimitSettings(per_day={CallClass.DATA: 2}))
    limits.restore(CallClass.DATA, 1)
    assert limits.take(CallClass.DATA) == 0 and limits.used_today(CallClass.DATA) == 2
    wait_ns = limits.take(CallClass.DATA)
    assert wait_ns == 12 * 3_600 * S
    clock.advance(wait_ns / S)
    assert limits.take(CallClass.DATA) == 0


def test_a_chain_waits_for_its_own_key() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock)
    assert limits.take(CallClass.CHAIN, "13/a") == 0
    clock.advance(1.2)
    assert limits.take(CallClass.CHAIN, "13/b") == 0
    clock.advance(1.2)
    assert limits.take(CallClass.CHAIN, "13/a") == pytest.approx(0.7 * S)
    assert limits.take(CallClass.CHAIN, "13/c") == 0


def test_a_429_closes_its_class_alone() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock)
    limits.penalise(CallClass.DATA, 5)
    limits.penalise(CallClass.DATA)
    assert limits.take(CallClass.DATA) == 5 * S and limits.take(CallClass.ORDER) == 0
    clock.advance(5)
    assert limits.take(CallClass.DATA) == 0


def test_a_clock_that_is_set_back_neither_frees_nor_blocks() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock)
    while limits.take(CallClass.DATA) == 0:
        pass
    limits.penalise(CallClass.OTHER, 2)
    before = limits.wait_ns(CallClass.DATA)
    clock.advance(-3_600)
    assert limits.wait_ns(CallClass.DATA) == before <= S
    assert limits.wait_ns(CallClass.OTHER) == 2 * S


def test_an_order_is_modified_at_most_25_times() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock)
    for _ in range(25):
        limits.modify("1")
    with pytest.raises(UsageError, match="order 1 was modified 25 times"):
        limits.modify("1")
    limits.modify("2")
    assert (limits.modifications("1"), limits.modifications("2")) == (25, 1)
    clock.advance(86_400)  # a forever order lives for days
    with pytest.raises(UsageError):
        limits.modify("1")


def test_waiting_ends_when_patience_does() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock)

    async def act() -> tuple[int, int]:
        for _ in range(4):
            assert await limits.taken(CallClass.DATA) == 0
        fifth = await limits.taken(CallClass.DATA)
        limits.penalise(CallClass.DATA, 100)
        return fifth, await limits.taken(CallClass.DATA, patience_s=10)

    fifth, refused = asyncio.run(act())
    assert fifth == 0 and clock.now_ns() - NOON_NS == S and refused == 100 * S


def test_calls_that_went_another_way_count() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock)
    limits.note(CallClass.ORDER, 30)
    assert 0 < limits.wait_ns(CallClass.ORDER, urgent=True) <= S
    assert limits.used_today(CallClass.ORDER) == 30


def test_what_is_remembered_is_bounded() -> None:
    clock = ManualClock(NOON_NS)
    limits = Limits(clock)
    for number in range(5_000):
        limits.modify(str(number))
        clock.advance(2)
        limits.take(CallClass.CHAIN, str(number))
    assert limits.modifications("0") == 0 and limits.modifications("4999") == 1


@pytest.mark.parametrize(
    "bad",
    [lambda: Quota(0, 1), lambda: Quota(1, 0), lambda: LimitSettings(quotas={}),
     lambda: LimitSettings(reserve=1), lambda: LimitSettings(modifications_max=0),
     lambda: LimitSettings(per_day={CallClass.DATA: 0})],
)  # fmt: skip
def test_figures_that_make_no_sense_are_refused(bad: object) -> None:
    with pytest.raises(ConfigError):
        bad()  # type: ignore[operator]
