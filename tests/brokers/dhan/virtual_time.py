"""An event loop whose time passes only when nothing else can: hours of a feed in no time."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any


class _Jump(selectors.DefaultSelector):
    """Never waits: what it was asked to wait is added to the loop's time."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("every task waits for something that nobody will do")
        if not ready and timeout:
            self.seconds += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time is the selector's."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.seconds


class VirtualClock:
    """A `clock.Clock` of a VirtualLoop."""

    def __init__(self, loop: VirtualLoop, start_ns: int) -> None:
        self._loop, self._start_ns = loop, start_ns

    def now_ns(self) -> int:
        return self._start_ns + round(self._loop.time() * 1e9)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtually(main: Coroutine[Any, Any, None], loop: VirtualLoop) -> None:
    """Run to the end, with no task left."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main)
