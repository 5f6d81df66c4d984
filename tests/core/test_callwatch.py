"""CallWatch: what runs too long is ended, what cannot be ended is told, what is quick is let be."""

import ctypes
import os
import select
import signal
import threading
import time
from collections.abc import Callable

import pytest

from dhanfast._core.callwatch import CallWatch
from dhanfast.errors import CallbackOverdue, UsageError

MS = 1_000_000


def spin() -> None:
    while True:
        pass


def swallow() -> None:
    """A strategy that thinks it can handle anything."""
    ends = 0
    while True:
        try:
            while True:
                pass
        except BaseException:
            ends += 1
            if ends == 3:
                raise


def wait() -> None:
    time.sleep(30)


def lock() -> None:
    held = threading.Lock()
    held.acquire()
    held.acquire(timeout=30)


def read() -> None:
    inward, outward = os.pipe()
    try:
        select.select([inward], [], [], 30)
    finally:
        os.close(inward)
        os.close(outward)


@pytest.mark.parametrize("work", [spin, wait, lock, read, swallow])
def test_a_call_over_its_limit_is_ended(work: Callable[[], None]) -> None:
    begun = time.monotonic()
    with CallWatch(30 * MS, "test") as watch:
        with pytest.raises(CallbackOverdue, match="it ran longer than 30 ms"):
            watch.call(work)
        assert watch.signals >= (3 if work is swallow else 1) and watch.stuck == 0
    assert 0.03 <= time.monotonic() - begun < 10


def test_calls_within_their_limit_are_let_be() -> None:
    with CallWatch(5_000 * MS, "test") as watch:
        for number in range(10_000):
            assert watch.call(lambda number=number: number) == number
        with pytest.raises(KeyError):
            watch.call(lambda: {}[1])
        assert watch.signals == 0


def test_what_is_no_call_takes_as_long_as_it_likes() -> None:
    """The limit is over and over again, and between two calls nothing is raised."""
    with CallWatch(1 * MS, "test") as watch:
        ends = time.monotonic() + 0.1
        while time.monotonic() < ends:
            pass
        assert watch.signals == 0
        watch.idle = True
        assert watch.call(lambda: sum(range(2_000_000))) == 1999999000000
        assert watch.signals == 0


def test_a_signal_that_comes_late_ends_nothing() -> None:
    """Whoever sends it: the handler looks whether the call of now is over its limit."""
    with CallWatch(500 * MS, "test") as watch:
        os.kill(os.getpid(), signal.SIGURG)
        assert watch.call(lambda: os.kill(os.getpid(), signal.SIGURG)) is None


def test_many_calls_around_the_limit_end_or_not_and_nothing_else_is_hit() -> None:
    """A call is ended inside itself or not at all, however close to its end the limit is."""
    ended = 0
    with CallWatch(1 * MS, "test") as watch:
        for number in range(150):
            until = time.perf_counter() + 0.0005 + 0.00003 * number

            def work(until: float = until) -> None:
                while time.perf_counter() < until:
                    pass

            try:
                watch.call(work)
            except CallbackOverdue:
                ended += 1
            sum(range(50))  # here nothing may be raised
    assert 0 < ended <= watch.signals


def test_what_cannot_be_interrupted_is_told_of() -> None:
    """C code that holds the GIL: only a thread without one can tell."""
    inward, outward = os.pipe()
    try:
        held = ctypes.PyDLL(None)  # keeps the GIL while it is called
        with CallWatch(10 * MS, "engine main", outward) as watch:
            begun = time.monotonic()
            ends = begun + 1.3

            def stuck() -> None:
                while time.monotonic() < ends:  # `usleep` is interrupted by the signal, and ends
                    held.usleep(200_000)

            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGURG})  # as C code that looks away
            try:
                watch.call(stuck)
            finally:
                took = time.monotonic() - begun
                assert watch.stuck == 1 and took > 1.2
                assert watch.signals >= 1
        said = os.read(inward, 4096).decode()
    finally:
        os.close(inward)
        os.close(outward)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGURG})  # by default it is let be
    assert said.startswith("dhanfast: engine main: a callback of the strategy has not returned for")
    assert f"kill -9 {os.getpid()}" in said and "rests at the broker" in said
    assert said.count("\n") == 1


def test_a_native_call_is_told_of_and_nothing_is_raised_in_it() -> None:
    inward, outward = os.pipe()
    try:
        with CallWatch(10 * MS, "engine main", outward) as watch:
            watch.call(lambda: time.sleep(1.3), native=True)
            assert (watch.stuck, watch.signals) == (1, 0)
            os.kill(os.getpid(), signal.SIGURG)  # somebody else's
            watch.call(lambda: time.sleep(0.05), native=True)
            assert watch.stuck == 1, "not for long"
        assert os.read(inward, 4096).count(b"\n") == 1
    finally:
        os.close(inward)
        os.close(outward)


def test_the_handler_that_was_there_is_back() -> None:
    before = signal.getsignal(signal.SIGURG)
    with CallWatch(100 * MS, "test"):
        assert signal.getsignal(signal.SIGURG) != before
    assert signal.getsignal(signal.SIGURG) == before


def test_only_the_main_thread_is_watched_and_once() -> None:
    found: list[str] = []

    def start() -> None:
        try:
            CallWatch(100 * MS, "test").__enter__()
        except UsageError as error:
            found.append(str(error))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert found == ["calls are watched in the main thread only: serve the engine there"]
    with CallWatch(100 * MS, "test") as watch, pytest.raises(UsageError, match="started already"):
        watch.__enter__()


@pytest.mark.parametrize("limit", [0, 999_999, 60_000_000_001, -1])
def test_limits_out_of_range_are_refused(limit: int) -> None:
    with pytest.raises(UsageError, match="the limit of a callback must be in 1ms"):
        CallWatch(limit, "test")
