"""Who runs the trials: this process, processes of this machine, or a cluster (`cluster`).

All of them give the same rows: a trial depends on its job and on nothing else, and rows are put in
the order of their asks whoever finished first.
"""

import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Final, Protocol, Self

from dhanfast.engine.research.trial import Row, Span, Trials, Work
from dhanfast.errors import DhanfastError, UsageError
from dhanfast.strategies.params import Value

JOBS_MAX: Final = 1024
CHUNK_S: Final = 0.25  # of work in one message: large enough that sending costs nothing
CHUNK_MAX: Final = 4096
DEATHS_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Ask:
    """One trial to be run: parameters over some days."""

    number: int
    params: dict[str, Value]
    spans: tuple[Span, ...]


Chunk = list[tuple[int, Ask]]  # places among the asks, and the asks
Done = Iterator[tuple[int, Row]]


class Pool(Protocol):
    """Runs trials."""

    def rows(self, asks: Sequence[Ask]) -> Done:
        """(place among the asks, its row) as they are done.

        Raises:
            StrategyError: the strategy raised.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@dataclass
class Sizer:
    """How many trials go into one message: by how long those before took.

    Args:
        workers: how many share the work. seconds: of work in a message.
    """

    workers: int
    seconds: float = CHUNK_S
    each: float = field(default=0.0, init=False)

    def told(self, trials: int, seconds: float) -> None:
        """A message of so many trials took so long."""
        if trials:
            mine = seconds / trials
            self.each = mine if self.each == 0 else 0.7 * self.each + 0.3 * mine

    def size(self, left: int) -> int:
        """How many of those that are left go into the next one; few at the end, so that all
        workers end together."""
        if self.each == 0:
            return 1
        wanted = max(1, min(CHUNK_MAX, int(self.seconds / self.each)))
        return max(1, min(wanted, left // (2 * self.workers)))


class Here:
    """Runs trials in this process, one after the other.

    Args:
        job: what they have in common.
    """

    def __init__(self, job: Work) -> None:
        self._bench = job.bench()

    def rows(self, asks: Sequence[Ask]) -> Done:
        """In the order of the asks."""
        for place, ask in enumerate(asks):
            yield place, self._bench.trial(ask.number, ask.params, ask.spans)

    def __enter__(self) -> Self:
        """Nothing to start."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to stop."""


class _Worker:
    """A process that runs chunks, and what it is at."""

    def __init__(self, job: Work) -> None:
        mine, its = socket.socketpair()
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with mine, its:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dhanfast.engine.research.worker",
                 str(its.fileno())],
                pass_fds=(its.fileno(),),
                stdin=subprocess.DEVNULL,
                env=environment,
            )  # fmt: skip
            self.line: Connection[Any, Any] = Connection(mine.detach())
        self.chunk: Chunk = []
        with suppress(OSError):  # it died at once: told when it is waited for
            self.line.send((list(sys.path), job))

    def give(self, chunk: Chunk) -> None:
        """Hand over a chunk; a process that has died is told when it is waited for."""
        self.chunk = chunk
        with suppress(OSError):
            self.line.send(chunk)

    def stop(self) -> None:
        """End it, now."""
        self.line.close()
        self.process.kill()
        self.process.wait()


class Processes:
    """Runs trials in processes of this machine, which share one copy of the bars.

    Args:
        job: what they have in common; its bars must be held (`shared.holding`).
        workers: how many.
        hold: called before a process is started in the place of one that died.
    """

    def __init__(self, job: Work, workers: int, hold: Callable[[], None] | None = None) -> None:
        self._job, self._count, self._hold = job, workers, hold
        self._workers: list[_Worker] = []
        self._deaths: dict[int, int] = {}

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes at work."""
        return tuple(worker.process.pid for worker in self._workers)

    def __enter__(self) -> Self:
        """Start the processes."""
        self._workers = [_Worker(self._job) for _ in range(self._count)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them, by their ids."""
        for worker in self._workers:
            worker.stop()
        self._workers = []

    def rows(self, asks: Sequence[Ask]) -> Done:
        """As they are done; a chunk whose process died is run again by another."""
        left = deque(enumerate(asks))
        sizer = Sizer(self._count)
        for worker in self._workers:
            self._next(worker, left, sizer)
        while busy := {worker.line: worker for worker in self._workers if worker.chunk}:
            for line in wait(list(busy)):
                worker = busy[line]  # type: ignore[index]
                try:
                    said, seconds = worker.line.recv()
                except (EOFError, OSError):
                    worker = self._again(worker, left)
                else:
                    if isinstance(said, Exception):
                        raise said
                    sizer.told(len(worker.chunk), seconds)
                    worker.chunk = []
                    yield from said
                self._next(worker, left, sizer)

    @staticmethod
    def _next(worker: _Worker, left: deque[tuple[int, Ask]], sizer: Sizer) -> None:
        if left:
            worker.give([left.popleft() for _ in range(sizer.size(len(left)))])

    def _again(self, worker: _Worker, left: deque[tuple[int, Ask]]) -> _Worker:
        """Put another process in the place of one that died, and its chunk back."""
        first = worker.chunk[0][0]
        self._deaths[first] = self._deaths.get(first, 0) + 1
        left.extendleft(reversed(worker.chunk))
        code = worker.process.wait()
        worker.stop()
        if self._deaths[first] >= DEATHS_MAX:
            ask = worker.chunk[0][1]
            raise DhanfastError(
                f"a worker ended {DEATHS_MAX} times (exit {code}) at trial {ask.number} "
                f"({ask.params}) or soon after it; see its message above, or the machine's memory"
            )
        if self._hold is not None:
            self._hold()
        fresh = _Worker(self._job)
        self._workers[self._workers.index(worker)] = fresh
        return fresh


def work(bench: Trials, chunk: Chunk) -> tuple[list[tuple[int, Row]], float]:
    """Run a chunk: (place, row) of each, and how many seconds it took."""
    started = time.perf_counter()
    rows = [(place, bench.trial(ask.number, ask.params, ask.spans)) for place, ask in chunk]
    return rows, time.perf_counter() - started


def jobs_of(asked: int | None) -> int:
    """How many processes: as asked, else as many as this process may use cores.

    Raises:
        UsageError: out of range.
    """
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if not 1 <= asked <= JOBS_MAX:
        raise UsageError(f"jobs must be in 1..{JOBS_MAX}, was {asked}")
    return asked
