"""Work beside the engine's thread: what it returns, what it raises, and that it has an end."""

import asyncio
import sys
import threading

import pytest

from dhanfast.engine.aside import SWITCH_S, aside
from dhanfast.errors import StrategyError, UsageError


def test_it_is_another_thread_and_hands_change_quickly_meanwhile() -> None:
    before = sys.getswitchinterval()

    async def main() -> tuple[str, float]:
        return await aside(lambda: (threading.current_thread().name, sys.getswitchinterval()), 5.0)

    name, interval = asyncio.run(main())
    assert name == "dhanfast-aside" and interval == pytest.approx(SWITCH_S)
    assert sys.getswitchinterval() == before


def test_two_works_at_once_give_the_interval_back_once() -> None:
    before = sys.getswitchinterval()
    first, second = threading.Event(), threading.Event()

    async def main() -> None:
        one = asyncio.ensure_future(aside(lambda: first.wait(5), 5.0))
        two = asyncio.ensure_future(aside(lambda: second.wait(5), 5.0))
        await asyncio.sleep(0)
        first.set()
        await one
        assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
        second.set()
        await two

    asyncio.run(main())
    assert sys.getswitchinterval() == before


@pytest.mark.parametrize(
    ("error", "kind"),
    [(UsageError("no"), UsageError), (KeyError("k"), KeyError), (SystemExit(3), StrategyError)],
)
def test_what_it_raises_is_raised(error: BaseException, kind: type[Exception]) -> None:
    def work() -> None:
        raise error

    with pytest.raises(kind):
        asyncio.run(aside(work, 5.0))


def test_what_takes_too_long_is_ended_and_not_waited_for() -> None:
    ended = threading.Event()

    def work() -> None:
        try:
            while True:
                pass
        except BaseException:
            ended.set()
            raise

    async def main() -> None:
        with pytest.raises(StrategyError, match=r"not ready within 0\.05 s"):
            await aside(work, 0.05)
        await asyncio.sleep(0)  # what the thread says later is not heard

    asyncio.run(main())
    assert ended.wait(10), "the thread has ended"
