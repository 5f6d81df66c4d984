"""What every connection to a broker needs: how long to wait before the next try, how to end one.

A connection that broke is opened again, later each time, and never at the same instant as its
siblings: a broker that drops five sockets at once must not see five come back at once. A close is
a request to the other side, which may be dead: it has a deadline, then the socket is dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from dhanfast.errors import ConfigError

CLOSE_S: Final = 3.0  # what a peer gets to answer a close
DOUBLINGS_MAX: Final = 200  # a factor's power stays a float, however long it has been down


class Randomness(Protocol):
    """Where jitter comes from: `random.Random` and numpy's `Generator` are such."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow: first_s, first_s * factor, ... most_s, each spread by jitter.

    Units:
        seconds; `jitter` is the part of a pause by which it may be shorter or longer.

    Raises:
        ConfigError: a field is out of range.
    """

    first_s: float = 1.0
    factor: float = 2.0
    most_s: float = 60.0
    jitter: float = 0.2
    healthy_s: float = 60.0  # a connection that lived this long has ended its row of failures

    def __post_init__(self) -> None:
        """Refuse what would hammer a broker or never come back."""
        for name, low, high in (
            ("first_s", 0.001, 3_600.0),
            ("factor", 1.0, 10.0),
            ("most_s", self.first_s, 86_400.0),
            ("jitter", 0.0, 0.9),
            ("healthy_s", 0.0, 86_400.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    f"{name} of a backoff must be from {low:g} to {high:g}, was {value!r}"
                )

    def pause_s(self, failures: int, rng: Randomness) -> float:
        """Seconds to wait before the next try.

        Args:
            failures: in a row so far: 1 after the first. 0 (nothing failed) waits for nothing.
            rng: of the jitter; one draw a call.
        """
        if failures <= 0:
            return 0.0
        whole = min(self.most_s, self.first_s * self.factor ** min(failures - 1, DOUBLINGS_MAX))
        return whole * (1.0 + self.jitter * (2.0 * rng.random() - 1.0))


async def close_or_abort(
    closing: Awaitable[object], abort: Callable[[], None], deadline_s: float = CLOSE_S
) -> bool:
    """Wait for a close; drop the connection when it has not come about in time.

    Args:
        closing: ends when the other side has agreed, or the socket is gone.
        abort: drops the connection at once; must not wait.
        deadline_s: seconds of the event loop's own time.

    Returns:
        Whether it closed in time.

    Raises:
        What `closing` raises, and CancelledError; the connection has been dropped then, too.
    """
    try:
        async with asyncio.timeout(deadline_s):
            await closing
    except TimeoutError:
        abort()
        return False
    except BaseException:
        abort()
        raise
    return True
