"""An event loop that never sleeps: a core spent for the time that waking up costs.

A loop with nothing to do sleeps in the kernel, and a packet has to wake it: the scheduler, a core
in a power state, cold caches; tens of microseconds, now and then hundreds. While `BusyPoll` is on
the loop always has something to do, so that it asks its sockets, finds nothing, and asks again.
What is due runs as ever; timers, other threads' calls and the close of the loop work as without.

The price is one core at 100 % for as long as it is on: the setting `[engine] busy_poll`, off
unless asked for, best with `[engine] pin_core` on a core that the kernel keeps free of other work
(isolcpus). On a machine without a core to spare it makes things worse.
"""

import asyncio
import os

from dhanfast.errors import ConfigError, UsageError


class BusyPoll:
    """Keeps one event loop awake.

    Args:
        loop: asyncio's or uvloop's; `start` and `stop` are called on its thread.

    Raises:
        ConfigError: the machine has one core, which would be taken from everything else.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        if os.cpu_count() == 1:
            raise ConfigError(
                "engine.busy_poll would take this machine's only core from everything else; "
                "switch it off"
            )
        self._loop = loop
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
        """Keep the loop awake from now on.

        Raises:
            UsageError: it is on already.
        """
        if self._next is not None:
            raise UsageError("busy polling is on already; stop it first")
        self._next = self._loop.call_soon(self._again)

    def stop(self) -> None:
        """Let the loop sleep again; nothing happens when it does."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _again(self) -> None:
        self._rounds += 1
        self._next = self._loop.call_soon(self._again)
