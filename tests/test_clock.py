"""Clocks: the paced one against the formula of its docstring, the system's against itself."""

import math
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast.clock import SPIN_NS, ManualClock, PacedClock, SystemClock, checked_speed
from dhanfast.errors import ConfigError

DAY_NS = 86_400 * 10**9
speeds = st.sampled_from([0.001, 0.5, 1.0, 3.0, 10.0, 1e6])


@given(speed=speeds, start=st.integers(0, 2 * 10**18), gone=st.integers(0, DAY_NS))
def test_market_time_runs_at_its_speed(speed: float, start: int, gone: int) -> None:
    beneath = ManualClock(12_345)
    clock = PacedClock(beneath, speed)
    clock.start(start)
    beneath.advance(gone / 1e9)
    passed = beneath.monotonic_ns() - 12_345
    assert abs(clock.now_ns() - start - passed * speed) <= max(1, passed * speed * 1e-15)


@given(speed=speeds, ahead=st.integers(0, DAY_NS))
def test_an_event_is_due_when_the_market_reaches_it_and_not_before(
    speed: float, ahead: int
) -> None:
    beneath = ManualClock(5)
    clock = PacedClock(beneath, speed)
    clock.start(1_000)
    clock.wait_until(1_000 + ahead, threading.Event())
    waited = beneath.monotonic_ns() - 5
    assert ahead / speed <= waited + 1e-15 * ahead / speed
    assert waited < ahead / speed + 1 + 1e-15 * ahead / speed


def test_a_pause_costs_no_market_time() -> None:
    beneath = ManualClock()
    clock = PacedClock(beneath, 2.0)
    assert not clock.running
    clock.start(100)
    beneath.advance(1e-6)
    clock.pause()
    beneath.advance(3600)
    assert clock.now_ns() == 2_100 and not clock.running
    clock.start(clock.now_ns())
    beneath.advance(1e-6)
    assert clock.now_ns() == 4_100


def test_another_speed_goes_on_from_the_present() -> None:
    beneath = ManualClock()
    clock = PacedClock(beneath, 10.0)
    clock.start(0)
    beneath.advance(1e-6)
    clock.set_speed(1.0)
    beneath.advance(1e-6)
    assert clock.now_ns() == 11_000
    clock.set_speed(math.inf)
    beneath.advance(1.0)
    assert clock.now_ns() == 11_000  # nothing is paced: no time of its own


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, 0.0001, 1e7, -math.inf])
def test_impossible_speeds_are_refused(speed: float) -> None:
    with pytest.raises(ConfigError, match=r"speed must be from 0\.001 to 1,000,000.*max"):
        checked_speed(speed)
    with pytest.raises(ConfigError, match="speed"):
        PacedClock(ManualClock(), speed)


def test_manual_time_does_not_move_for_a_wait_that_was_woken() -> None:
    clock, wake = ManualClock(7), threading.Event()
    wake.set()
    clock.wait_until(1_000, wake)
    clock.wait_until(None, wake)
    assert clock.monotonic_ns() == clock.now_ns() == 7


def test_the_system_clock_waits_to_its_time_and_not_a_moment_less() -> None:
    clock, wake = SystemClock(), threading.Event()
    for wait_ns in (0, 50_000, SPIN_NS + 300_000, 2_000_000):
        due_ns = clock.monotonic_ns() + wait_ns
        clock.wait_until(due_ns, wake)
        assert clock.monotonic_ns() >= due_ns
    before = time.time_ns()
    assert before <= clock.now_ns() <= time.time_ns()


def test_a_sleeping_wait_is_woken() -> None:
    clock, wake = SystemClock(), threading.Event()
    wake.set()
    before = clock.monotonic_ns()
    clock.wait_until(before + 3600 * 10**9, wake)
    clock.wait_until(None, wake)
    assert clock.monotonic_ns() - before < 60 * 10**9
