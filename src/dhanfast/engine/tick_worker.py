"""A process that makes ticks for `tick_ahead`: `python -m dhanfast.engine.tick_worker FD FD SLOTS`.

It writes each batch into a slot of the memory it shares with the run, and says which. It ends when
its line does: a run that was killed leaves nobody behind, and the memory has no name to be left.
"""

import mmap
import signal
import sys
from collections import deque
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.research.worker import sendable
from dhanfast.engine.tick_days import ROWS, TickPart, Ticks

END: int = -1  # in the place of a slot: the day is over


class Over(Exception):
    """The line has ended: nobody waits for more."""


class Maker:
    """Makes days of ticks in the slots of a memory.

    Args:
        line: gives (place, day, ticks to leave out) and numbers of slots that are free again; gets
            (place, slot, ticks in it), (place, END, 0), or an error.
        slots: TICK_DTYPE[slots, rows], all free.
    """

    def __init__(self, line: "Connection[Any, Any]", slots: Ticks) -> None:
        self._line, self._slots = line, slots
        self._free = list(range(len(slots)))[::-1]  # the one freed last is warm: it goes first
        self._days: deque[tuple[int, TickPart, int]] = deque()
        self._at = 0

    def serve(self) -> None:
        """Make days until the line ends."""
        try:
            while True:
                while not self._days:
                    self._hear()
                self._make(*self._days.popleft())
        except Over:
            return

    def _make(self, place: int, day: TickPart, skip: int) -> None:
        try:
            for batch in day.batches(self._room):
                if skip >= len(batch):
                    skip -= len(batch)
                    continue
                if skip:
                    batch[: len(batch) - skip] = batch[skip:].copy()
                used, skip = len(batch) - skip, 0
                self._free.pop()
                self._say((place, self._at, used))
        except Over:
            raise
        except Exception as error:
            self._say(sendable(error))
            raise Over from error
        self._say((place, END, 0))

    def _room(self) -> Ticks:
        """The next slot; it stays free until it is said to be full."""
        while not self._free or self._line.poll():
            self._hear()
        self._at = self._free[-1]
        slot: Ticks = self._slots[self._at]
        return slot

    def _hear(self) -> None:
        try:
            said = self._line.recv()
        except (EOFError, OSError) as error:
            raise Over from error
        if isinstance(said, int):
            self._free.append(said)
        else:
            self._days.append(said)

    def _say(self, what: object) -> None:
        try:
            self._line.send(what)
        except OSError as error:
            raise Over from error


def main(line_fd: int, memory_fd: int, slots: int) -> None:
    """Serve a run.

    Args:
        line_fd: of the line, which first gives the import path. memory_fd: of slots x ROWS ticks.
    """
    line: Connection[Any, Any] = Connection(line_fd)
    try:
        sys.path[:] = line.recv()
    except (EOFError, OSError):
        return
    memory = mmap.mmap(memory_fd, slots * ROWS * TICK_DTYPE.itemsize)
    Maker(line, np.frombuffer(memory, TICK_DTYPE).reshape(slots, ROWS)).serve()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the run itself ends us
    main(*(int(word) for word in sys.argv[1:4]))
