"""When a socket of the account may connect: one door for all of them, one at a time.

Sockets that a broker dropped at once would come back at once; they pass the door a moment apart.
After HTTP 429 the door stays shut for everybody: the broker counts the account, not the socket,
and a try during the silence makes it longer.
"""

import logging
from typing import Final

from dhanfast.brokers.link import Backoff, Randomness
from dhanfast.clock import Clock

NS_PER_S: Final = 1_000_000_000
SILENCE: Final = Backoff(first_s=75.0, factor=2.0, most_s=900.0, jitter=0.2, healthy_s=0.0)
log = logging.getLogger("dhanfast.feed")


class Door:
    """Who waits to connect, and since when the account must be silent.

    Args:
        clock: waits are of its time.
        rng: of the jitter.
        gap_s: between two connects of the account.
        silence: after HTTP 429; its shortest pause, jitter taken off, is at least a minute.
    """

    def __init__(
        self, clock: Clock, rng: Randomness, *, gap_s: float = 0.5, silence: Backoff = SILENCE
    ) -> None:
        self._clock, self._rng = clock, rng
        self._gap_ns = round(gap_s * NS_PER_S)
        self._silence = silence
        self._next_ns = 0
        self._silent_until_ns = 0
        self._refusals = 0

    @property
    def silent_until_ns(self) -> int:
        """Until when nobody may connect, UTC ns; 0 when it was never asked for."""
        return self._silent_until_ns

    async def enter(self) -> None:
        """Return when it is this caller's turn to connect."""
        while True:
            now = self._clock.now_ns()
            due = max(now, self._next_ns)
            # A wall clock that was set back must not keep us out: nothing is due that far ahead.
            due = min(due, now + 64 * self._gap_ns)
            if self._silent_until_ns <= due:
                self._next_ns = due + self._gap_ns
                if due > now:
                    await self._clock.sleep((due - now) / NS_PER_S)
                if self._silent_until_ns <= self._clock.now_ns():
                    return
                continue
            left_s = (self._silent_until_ns - now) / NS_PER_S
            await self._clock.sleep(min(left_s, self._silence.most_s))
            if self._clock.now_ns() < now:  # set back meanwhile: the time has been waited for
                self._silent_until_ns = 0

    def refused(self) -> float:
        """HTTP 429 came: silence for everybody; returns how long, in seconds."""
        now = self._clock.now_ns()
        if now < self._silent_until_ns:  # it was on its way when another socket was refused
            return (self._silent_until_ns - now) / NS_PER_S
        self._refusals += 1
        pause_s = self._silence.pause_s(self._refusals, self._rng)
        self._silent_until_ns = now + round(pause_s * NS_PER_S)
        log.warning(
            "the broker limits connects of this account (HTTP 429): silent for %.0f s", pause_s
        )
        return pause_s

    def entered(self) -> None:
        """A socket has connected: the next refusal is a first one again."""
        self._refusals = 0
