"""The shared budget among real processes: as fast as they can, and killed anywhere."""

import os
import random
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dhanfast._core.live.sharedbudget import SharedBudget

ACCOUNT = bytes(32)
SECOND = 10**9
PAIR = struct.Struct("<qq")


def child(work: Callable[[], None]) -> int:
    """Work in a process of its own; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)  # whatever happened: the test's own process it is not
    return pid


def ended(pid: int) -> int:
    """Wait for a process: the signal that ended it, 0 = none."""
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    assert ended(pid) == signal.SIGKILL


@pytest.mark.slow
def test_two_processes_never_overdraw_a_window(tmp_path: Path) -> None:
    """Each writes down the times before and after what it was given; both lists together are
    looked through by whoever knows nothing of the file."""
    limits = {"per_second": 40, "per_minute": 100, "per_hour": 8_000, "per_day": 100_000}
    path = tmp_path / "b"
    logs = [tmp_path / f"log{one}" for one in range(2)]

    def work(number: int) -> None:
        budget = SharedBudget(path, ACCOUNT, name=f"p{number}", **limits)
        ends = time.monotonic_ns() + 3 * SECOND
        with open(logs[number], "wb", buffering=0) as log:
            while time.monotonic_ns() < ends:
                before = time.monotonic_ns()
                if budget.reserve(time.time_ns(), urgent=number == 0) == 0:
                    log.write(PAIR.pack(before, time.monotonic_ns()))

    pids = [child(lambda number=number: work(number)) for number in range(2)]
    assert [ended(pid) for pid in pids] == [0, 0]
    given = [sorted(PAIR.iter_unpack(log.read_bytes())) for log in logs]
    both = sorted(given[0] + given[1])
    assert 95 <= len(both) <= 100, "a minute's, and no less for the haste"
    assert len(given[1]) <= 80, "the entries of the second have left the kept part"
    for count, span in ((40, SECOND), (100, 60 * SECOND)):
        for at in range(len(both) - count):
            newest = max(after for _, after in both[at : at + count + 1])
            assert newest - both[at][0] >= span, f"{count + 1} in {newest - both[at][0]} ns"
    budget = SharedBudget(path, ACCOUNT, **limits)
    assert budget.used(time.time_ns())["day"] == len(both)


@pytest.mark.slow
def test_kills_anywhere_lose_no_count_and_stop_nobody(tmp_path: Path) -> None:
    """Processes that do nothing but count are killed, over and over. One may have been counted and
    not have written it down; none may have written down what was not counted."""
    path, rng = tmp_path / "b", random.Random(5)
    kills = 60
    looker = SharedBudget(path, ACCOUNT, per_day=100_000)

    def work(number: int) -> None:
        budget = SharedBudget(path, ACCOUNT, name=f"p{number}")
        with open(tmp_path / f"said{number}", "ab", buffering=0) as said:
            while True:
                budget.spend(time.time_ns())
                said.write(b".")

    running = {number: child(lambda number=number: work(number)) for number in range(3)}
    try:
        for _ in range(kills):
            time.sleep(rng.uniform(0.005, 0.03))
            number = rng.randrange(3)
            killed(running.pop(number))
            assert looker.wait_of(time.time_ns(), urgent=True) >= 0 and looker.broken == 0
            running[number] = child(lambda number=number: work(number))
    finally:
        ends = [(os.kill(pid, signal.SIGKILL), ended(pid))[1] for pid in running.values()]
    assert ends == [signal.SIGKILL] * 3
    said = [(tmp_path / f"said{number}").stat().st_size for number in range(3)]
    now = time.time_ns()
    counted = looker.used(now)["day"]
    assert sum(said) > 1_000 and looker.broken == 0
    assert sum(said) <= counted <= sum(said) + kills + 3
    for number, units in enumerate(said):
        own = SharedBudget(path, ACCOUNT, name=f"p{number}").own(now)
        assert units <= own <= units + kills + 3
    assert looker.spend(now) is None and looker.used(now)["day"] == counted + 1


def test_one_that_stands_still_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "b"
    budget = SharedBudget(path, ACCOUNT, name="mine")

    def work() -> None:
        other = SharedBudget(path, ACCOUNT, name="other")
        while True:
            other.spend(time.time_ns())

    pid = child(work)
    try:
        ends = time.monotonic() + 20
        while not budget.by_engine(time.time_ns()).get("other"):
            assert time.monotonic() < ends
            time.sleep(0.01)
        os.kill(pid, signal.SIGSTOP)
        before = budget.used(time.time_ns())["day"]
        for _ in range(1_000):
            budget.spend(time.time_ns())
        assert before + 1_000 <= budget.used(time.time_ns())["day"] <= before + 1_001
    finally:
        killed(pid)
