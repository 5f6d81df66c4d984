"""An event loop that never sleeps: a core spent for the time that waking up costs.

A loop with nothing to do sleeps in the kernel, and a packet has to wake it: the scheduler, a core
in a power state, cold caches; tens of microseconds, now and then hundreds. While `BusyPoll` is on
the loop always has something to do, so that it asks its sockets, finds nothing, and asks again.
What is due runs as ever; timers, other threads' calls and the close of the loop work as without.

The price is one core at 100 % for as long as it is on: the setting `[engine] busy_poll`, off
unless asked for, with `[engine] cpu` to say which core. It pays on a machine with a core to spare,
best one that the kernel keeps free of other work (isolcpus); without one it makes things worse.
"""

import asyncio
import os

from dhanfast.errors import ConfigError, UsageError


class BusyPoll:
    """Keeps one event loop awake.

    Args:
        loop: asyncio's or uvloop's; `start` and `stop` are called on its thread.
        cpu: the core to pin that thread to while polling; None leaves the scheduler free.

    Raises:
        ConfigError: a core that this process may not use.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, cpu: int | None = None) -> None:
        allowed = os.sched_getaffinity(0)
        if cpu is not None and cpu not in allowed:
            listed = ", ".join(map(str, sorted(allowed)))
            raise ConfigError(
                f"engine.cpu is {cpu}; this process may use {listed}: choose of these"
            )
        if cpu is not None and len(allowed) == 1:
            raise ConfigError(
                "engine.busy_poll on the only core of this process would starve everything else; "
                "switch it off"
            )
        self._loop, self._cpu = loop, cpu
        self._before: set[int] | None = None
        self._next: asyncio.Handle | None = None
        self._rounds = 0

    @property
    def running(self) -> bool:
        """Whether the loop is kept awake."""
        return self._next is not None

    @property
    def rounds(self) -> int:
        """Times that the loop went round."""
        return self._rounds

    def start(self) -> None:
        """Keep the loop awake from now on, pinned if a core was named.

        Raises:
            UsageError: it is on already.
        """
        if self._next is not None:
            raise UsageError("busy polling is on already; stop it first")
        if self._cpu is not None:
            self._before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, {self._cpu})
        self._next = self._loop.call_soon(self._again)

    def stop(self) -> None:
        """Let the loop sleep again, and the thread run where it might before."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._before is not None:
            os.sched_setaffinity(0, self._before)
            self._before = None

    def _again(self) -> None:
        self._rounds += 1
        self._next = self._loop.call_soon(self._again)
