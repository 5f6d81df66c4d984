"""An asyncio loop whose time jumps to the next timer: hours pass in no time, always the same way.

    loop = VirtualLoop()
    loop.run_until_complete(main())      # asyncio.sleep(3600) returns at once

No selector, no sockets, no threads: what is awaited are timers and futures of the simulation. A
loop that waits for something that can never come raises `Stuck` instead of hanging.
"""

import asyncio
from collections.abc import Callable
from typing import Any

TURNS_MAX = 2_000_000


class Stuck(AssertionError):
    """Nothing is scheduled and somebody still waits, or it never ends."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Deterministic: ready callbacks in order, then the earliest timer.

    Attributes:
        on_turn: called after each round of callbacks.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._turns = 0
        self._selector = self  # what BaseEventLoop waits on
        self._clock_resolution = 1e-9
        self.on_turn: Callable[[], None] | None = None

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Instead of waiting for files: let the time pass."""
        if self.on_turn is not None:
            self.on_turn()
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise Stuck(f"{TURNS_MAX} rounds, and no end at {self._now:.3f} s")
        if timeout is None:
            raise Stuck(f"nothing will ever happen again after {self._now:.3f} s")
        if timeout > 0 and not self._ready:  # type: ignore[attr-defined]
            self._now += timeout
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no files."""

    def _write_to_self(self) -> None:
        """There are no other threads."""


class SimClock:
    """The wall clock of a simulated machine.

    Args:
        loop: whose time passes. base_ns: UTC ns at its beginning.

    Attributes:
        skew_ns: by how much somebody has set it wrong.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, base_ns: int) -> None:
        self._loop, self._base_ns, self.skew_ns = loop, base_ns, 0

    def now_ns(self) -> int:
        """UTC ns as this machine believes."""
        return self.true_ns() + self.skew_ns

    def true_ns(self) -> int:
        """UTC ns as it is."""
        return self._base_ns + round(self._loop.time() * 1e9)

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)
