"""Days of ticks made by other processes while the engine runs, handed over in their order.

Every process has a memory of its own, in slots of a batch, which the run maps too: a tick is
written once and read where it lies. A slot goes round:

    free ──made──▶ full, told to the run ──the engine has run over it──▶ free

A process without a free slot waits, so memory is bounded, however far ahead it could go. The run
takes the days in order, whoever made them. The memory has no name: it is gone when the last
process that maps it is, also by a kill. The day of a process that died is made again by another,
less what the engine has had of it.
"""

import mmap
import os
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.research.pool import DEATHS_MAX, jobs_of
from dhanfast.engine.settings import Settings
from dhanfast.engine.tick_days import ROWS, TickDays, TickPart, Ticks
from dhanfast.engine.tick_worker import END
from dhanfast.engine.tickruns import TickRun
from dhanfast.errors import DhanfastError, UsageError
from dhanfast.reports.result import RunResult
from dhanfast.storage.slippage import SlippageStore

SLOT_BYTES: Final = ROWS * TICK_DTYPE.itemsize
# Of each process: it holds a day of two and a half million ticks, so that it need not wait for the
# days before its own.
MEMORY: Final = 40 * SLOT_BYTES
WORTH: Final = 30_000_000  # ticks: fewer are over before other processes have begun


class _Maker:
    """A process, its memory, and the days it has."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.memory_fd = _unnamed(slots * SLOT_BYTES)
        memory = mmap.mmap(self.memory_fd, slots * SLOT_BYTES)
        self.ticks: Ticks = np.frombuffer(memory, TICK_DTYPE).reshape(slots, ROWS)
        self.days: deque[int] = deque()  # places whose end the run has not reached
        self.start()

    def start(self) -> None:
        """Start the process; all slots are free."""
        mine, its = socket.socketpair()
        with mine, its:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dhanfast.engine.tick_worker", str(its.fileno()),
                 str(self.memory_fd), str(self.slots)],
                pass_fds=(its.fileno(), self.memory_fd),
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C of the terminal is for the run, which ends us
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
            self.line: Connection[Any, Any] = Connection(mine.detach())
        self.say(list(sys.path))

    def say(self, what: object) -> None:
        """Send; a process that has died is told when it is heard."""
        with suppress(OSError):
            self.line.send(what)

    def stop(self) -> int:
        """End the process, now; gives its exit code."""
        self.line.close()
        self.process.kill()
        return self.process.wait()


class Ahead:
    """Makes days of ticks in processes, and hands them over in order.

    Args:
        parts: the days. processes: how many make them. memory: of each process, bytes.
    Attributes:
        restarts: processes that died and were started again.
    Raises:
        UsageError: less memory than two slots.
    """

    def __init__(self, parts: Sequence[TickPart], processes: int, memory: int = MEMORY) -> None:
        self._slots = memory // SLOT_BYTES
        if self._slots < 2:
            raise UsageError(
                f"memory must be at least {2 * SLOT_BYTES:,} bytes a process, was {memory:,}"
            )
        self._parts = tuple(parts)
        self._count = max(1, min(processes, len(self._parts)))
        self._makers: list[_Maker] = []
        self._next = 0  # the first day that nobody has
        self._ready: list[deque[tuple[_Maker, int, int]]] = [deque() for _ in self._parts]
        self._made = [False] * len(self._parts)  # told to be over
        self._given = [0] * len(self._parts)  # ticks the engine has had
        self._deaths = [0] * len(self._parts)
        self.restarts = 0

    @property
    def memory(self) -> int:
        """Bytes that the processes can fill together."""
        return self._count * self._slots * SLOT_BYTES

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes at work."""
        return tuple(maker.process.pid for maker in self._makers)

    def __enter__(self) -> Self:
        """Start the processes."""
        try:
            for _ in range(self._count):
                self._makers.append(_Maker(self._slots))
                self._assign(self._makers[-1])
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them, by their ids; their memory goes with them."""
        self._stop()

    def _stop(self) -> None:
        for maker in self._makers:
            maker.stop()
            os.close(maker.memory_fd)
        self._makers = []

    def __iter__(self) -> Iterator[Ticks]:
        """The ticks of all days, once; a batch is valid until the next is asked for.

        Raises:
            DhanfastError: processes died again and again at a day.
            BadData and others of ours: what making a day raised.
        """
        for place, ready in enumerate(self._ready):
            while True:
                self._hear(patient=not ready and not self._made[place])
                if not ready:
                    if self._made[place]:
                        break
                    continue
                maker, slot, used = ready.popleft()
                yield maker.ticks[slot, :used]
                self._given[place] += used
                maker.say(slot)
            self._owner(place).days.remove(place)

    def _owner(self, place: int) -> _Maker:
        return next(maker for maker in self._makers if place in maker.days)

    def _assign(self, maker: _Maker) -> None:
        """Give a process the next day."""
        if self._next < len(self._parts):
            maker.days.append(self._next)
            maker.say((self._next, self._parts[self._next], 0))
            self._next += 1

    def _hear(self, *, patient: bool) -> None:
        """Take what the processes have said; patient: until one has said something."""
        lines = {maker.line: maker for maker in self._makers}
        for line in wait(list(lines), None if patient else 0):
            maker = lines[line]  # type: ignore[index]
            try:
                while True:
                    self._told(maker, maker.line.recv())
                    if not maker.line.poll():
                        break
            except (EOFError, OSError):
                self._again(maker)

    def _told(self, maker: _Maker, said: Any) -> None:
        if isinstance(said, Exception):
            raise said
        place, slot, used = said
        if slot == END:
            self._made[place] = True
            self._assign(maker)
        else:
            self._ready[place].append((maker, slot, used))

    def _again(self, maker: _Maker) -> None:
        """Start a process in the place of one that died; it makes again what was not taken.

        Raises:
            DhanfastError: it died there before.
        """
        code = maker.stop()
        if not maker.days:  # it had nothing to do any more
            os.close(maker.memory_fd)
            self._makers.remove(maker)
            return
        at = next((place for place in maker.days if not self._made[place]), maker.days[0])
        self._deaths[at] += 1
        if self._deaths[at] >= DEATHS_MAX:
            raise DhanfastError(
                f"a process that makes ticks ended {DEATHS_MAX} times (exit {code}) at "
                f"{self._parts[at].label}; see its message above, or the machine's memory"
            )
        self.restarts += 1
        maker.start()
        for place in maker.days:
            self._ready[place].clear()
            self._made[place] = False
            maker.say((place, self._parts[place], self._given[place]))


def processes_of(days: TickDays, jobs: int | None) -> int:
    """How many processes make the ticks of a run: 0 when the run does so itself.

    Args:
        jobs: as for `backtest_days`.
    Raises:
        UsageError: out of range.
    """
    count = jobs_of(jobs)
    if jobs is None and (days.rows or sum(source.rows for source in days.sources)) < WORTH:
        return 0
    return 0 if count == 1 else min(count, len(days.parts))


def backtest_days(
    strategy: str | type | object,
    days: TickDays,
    *,
    params: Mapping[str, object] | None = None,
    settings: Settings | None = None,
    interval: str = "1m",
    jobs: int | None = 1,
    memory: int = MEMORY,
    slippages: SlippageStore | None = None,
    told: Callable[[int, int], None] = lambda ticks, at_ns: None,
) -> RunResult:
    """Run a strategy over days of ticks; what `tickruns.backtest_ticks` gives for all of them.

    Args:
        strategy, params, settings, interval, slippages: as for `backtest_ticks`.
        jobs: processes that make the ticks while this one runs over them; 1: this one makes them
            too; None: one a core when there are so many ticks that it pays. The result is the same.
        memory: of each process, bytes.
        told: called with how many ticks are done, and the receive time of the last.
    Raises:
        As `backtest_ticks`. DhanfastError: a process died at the same day again and again.
    """
    run = TickRun(
        strategy,
        symbol=days.symbol,
        kind=days.kind,
        params=params,
        settings=settings,
        interval=interval,
        sources=days.sources,
        notes=days.notes,
        generated=days.generated,
        slippages=slippages,
    )
    done = 0
    with ExitStack() as stack:
        count = processes_of(days, jobs)
        ticks: Iterable[Ticks] = days.here() if count == 0 else stack.enter_context(
            Ahead(days.parts, count, memory)
        )  # fmt: skip
        for batch in ticks:
            run.feed(batch)
            done += len(batch)
            told(done, int(batch["recv_ns"][-1]))
    result = run.finish()
    stretch = {name: None if day is None else day.isoformat()
               for name, day in (("from", days.start), ("to", days.end))}  # fmt: skip
    data = {**result.data, "ticks": {**result.data["ticks"], "days": len(days.parts)}}
    return replace(result, config={**result.config, **stretch}, data=data)


def _unnamed(size: int) -> int:
    """A file of memory that only those who are given it can find.

    Raises:
        DhanfastError: the system refuses.
    """
    try:
        if hasattr(os, "memfd_create"):
            handle = os.memfd_create("dhanfast-ticks", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                handle = os.dup(file.fileno())
        os.ftruncate(handle, size)
    except OSError as error:
        raise DhanfastError(
            f"{size:,} bytes of memory for ticks made ahead are refused ({error.strerror}): run "
            "with --jobs 1, or free some memory"
        ) from error
    return handle
