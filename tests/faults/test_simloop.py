"""Virtual time: hours in no time, in order, the same way each time, and no endless waiting."""

import asyncio
import time

import pytest

from .simloop import SimClock, Stuck, VirtualLoop


def test_hours_pass_in_no_time_and_in_order() -> None:
    loop, told = VirtualLoop(), []

    async def after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        told.append((seconds, round(loop.time(), 6)))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds in (7200.0, 0.5, 3600.0, 0.0, 86_400.0 * 3):
                group.create_task(after(seconds))

    began = time.monotonic()
    loop.run_until_complete(main())
    loop.close()
    assert [seconds for seconds, _ in told] == [0.0, 0.5, 3600.0, 7200.0, 259_200.0]
    assert all(seconds == at for seconds, at in told)
    assert time.monotonic() - began < 5


def test_timeouts_are_of_virtual_time() -> None:
    loop = VirtualLoop()

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await asyncio.sleep(11)
        return loop.time()

    assert loop.run_until_complete(main()) == 10
    loop.close()


def test_waiting_for_what_never_comes_is_an_error() -> None:
    loop = VirtualLoop()
    with pytest.raises(Stuck, match="nothing will ever happen"):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_running_in_circles_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.simloop.TURNS_MAX", 1_000)
    loop = VirtualLoop()

    async def circles() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Stuck, match="rounds"):
        loop.run_until_complete(circles())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    monkeypatch.setattr("tests.faults.simloop.TURNS_MAX", 2_000)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_wrong_clock_is_wrong_and_time_goes_on() -> None:
    loop = VirtualLoop()
    clock = SimClock(loop, 1_000)

    async def main() -> None:
        await clock.sleep(2.0)
        assert clock.now_ns() == clock.true_ns() == 2_000_001_000
        clock.skew_ns = -5_000_000_000
        await clock.sleep(1.0)
        assert clock.now_ns() == -1_999_999_000 and clock.true_ns() == 3_000_001_000

    loop.run_until_complete(main())
    loop.close()
