"""What each end means, and the door that all sockets of an account pass."""

import asyncio
import random

import pytest

from dhanfast.brokers.dhan.feed_door import Door
from dhanfast.brokers.dhan.feed_endings import REASONS, Cause, Ending, Then
from dhanfast.brokers.link import Backoff
from dhanfast.clock import ManualClock
from dhanfast.errors import DhanfastError, NotAuthenticated

STOPS = {804, 806, 808, 810}


@pytest.mark.parametrize("reason", [*REASONS, 0, 42, 65_535])
def test_every_reason_has_a_consequence(reason: int) -> None:
    then = Ending(Cause.NOTICE, reason, True).then
    if reason in STOPS:
        assert then is Then.STOP
    elif reason in (807, 809):
        assert then is Then.RENEW
    else:
        assert then is (Then.LATER if reason == 805 else Then.AGAIN)


@pytest.mark.parametrize(
    ("ending", "then"),
    [(Ending(Cause.HANDSHAKE, 429), Then.SILENCE), (Ending(Cause.HANDSHAKE, 401), Then.RENEW),
     (Ending(Cause.HANDSHAKE, 451), Then.STOP), (Ending(Cause.HANDSHAKE, 502), Then.AGAIN),
     (Ending(Cause.CLOSED, 1006, False), Then.CHECK),
     (Ending(Cause.CLOSED, 1006, True), Then.AGAIN),
     (Ending(Cause.CLOSED, 1011, False), Then.AGAIN), (Ending(Cause.MUTE), Then.AGAIN),
     (Ending(Cause.UNREACHABLE), Then.AGAIN), (Ending(Cause.PROTOCOL), Then.AGAIN)],
)  # fmt: skip
def test_other_ends(ending: Ending, then: Then) -> None:
    assert ending.then is then


@pytest.mark.parametrize("reason", sorted(STOPS))
def test_a_stop_says_what_to_do(reason: int) -> None:
    ending = Ending(Cause.NOTICE, reason)
    error = ending.error("live feed 0", "APP")
    assert isinstance(error, NotAuthenticated if reason in (808, 810) else DhanfastError)
    assert REASONS[reason] in str(error) and "live feed 0" in str(error)
    assert error.exit_code == (4 if reason in (808, 810) else 1)


def test_the_kind_of_token_is_told_when_the_data_plan_is_refused() -> None:
    ending = Ending(Cause.NOTICE, 806)
    assert "made by API" in str(ending.error("x", "APP"))
    assert "made on the website" in str(ending.error("x", "SELF"))
    assert "token" not in str(ending.error("x")).split("plan")[0]


def test_the_door_lets_one_in_at_a_time() -> None:
    clock = ManualClock(10**18)
    door = Door(clock, random.Random(1), gap_s=0.5)

    async def main() -> list[float]:
        times = []
        for _ in range(5):
            await door.enter()
            times.append((clock.now_ns() - 10**18) / 1e9)
        return times

    assert asyncio.run(main()) == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_the_door_stays_shut_after_429_and_forgets_after_success() -> None:
    clock = ManualClock(10**18)
    door = Door(clock, random.Random(1), silence=Backoff(75, 2, 900, 0.2, 0))

    async def main() -> None:
        first = door.refused()
        assert 60 <= first <= 90
        assert door.refused() == pytest.approx(first)  # a second socket's refusal is the same one
        await door.enter()
        assert clock.now_ns() - 10**18 >= 60 * 10**9
        again = door.refused()
        assert 120 <= again <= 180
        await door.enter()
        door.entered()
        assert 60 <= door.refused() <= 90

    asyncio.run(main())


def test_a_clock_set_back_does_not_lock_the_door_for_hours() -> None:
    clock = ManualClock(10**18)
    door = Door(clock, random.Random(1))

    async def main() -> None:
        await door.enter()
        clock.advance(-7_200)
        await door.enter()
        assert clock.now_ns() < 10**18 - 7_000 * 10**9

    asyncio.run(main())
