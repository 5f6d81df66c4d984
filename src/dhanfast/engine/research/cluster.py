"""Trials on the workers of a dask scheduler: the same job, the same rows, on as many machines.

The bars travel to each machine once, into its memory-mapped file (`shared`), and not with every
message. A worker that is lost takes its trials with it: dask runs them again elsewhere, and a row
depends on its trial alone. Every worker must have the client's version of dhanfast and of numpy,
and the same compiled code, or nothing is begun.
"""

import hashlib
import importlib
import os
import pickle
import platform
import socket
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from dhanfast import __version__
from dhanfast.engine.research.pool import DEATHS_MAX, Ask, Chunk, Done, Sizer, work
from dhanfast.engine.research.shared import Held, Missing, kept, present, put, swept
from dhanfast.engine.research.trial import Row, Work
from dhanfast.errors import DhanfastError, UsageError

CONNECT_S: Final = 10
WAIT_S: Final = 60  # without anything done: then it is looked whether workers are left
CHUNK_S: Final = 0.4
AHEAD: Final = 2  # messages a thread has, so that it never waits for the next one
# What decides a trial: their files must be the same everywhere.
DECIDES: Final = (
    "dhanfast._core.kernel", "dhanfast._core.dealer", "dhanfast._core.match",
    "dhanfast._core.portfolio", "dhanfast._core.risk", "dhanfast._core.guards",
    "dhanfast._core.sizing", "dhanfast._core.stops", "dhanfast._core.rules.program",
    "dhanfast._core.rules.studies", "dhanfast._core.rules.bar_studies",
    "dhanfast._core.rules.runner", "dhanfast._core.loops", "dhanfast._core.bars",
    "dhanfast._core.legs", "dhanfast._core.legrun", "dhanfast._core.legorder",
    "dhanfast._core.chainday", "dhanfast.engine.engine", "dhanfast.engine.legs",
    "dhanfast.engine.research.legs_job", "dhanfast.engine.research.trial",
    "dhanfast.engine.research.memo", "dhanfast.engine.research.objective",
    "dhanfast.reports.metrics",
)  # fmt: skip
_MINE = threading.local()
_LOCKS: dict[Held, int] = {}  # of a worker: on what it needs


def identity() -> dict[str, str]:
    """What must be equal on all machines, and the name of this one."""
    code = hashlib.sha256()
    for name in DECIDES:
        origin = importlib.import_module(name).__file__
        code.update(Path(origin).read_bytes() if origin else b"")
    return {
        "host": socket.gethostname(),
        "dhanfast": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "code": code.hexdigest()[:16],
    }


def hold(held: Sequence[Held], raw: Sequence[bytes]) -> None:
    """Hold data on a worker's machine, as long as this worker lives or until `drop`."""
    swept()
    for one, data in zip(held, raw, strict=True):
        put(one, data)
    holds(held)


def holds(held: Sequence[Held]) -> bool:
    """Whether a worker's machine holds the data; if so, it does as long as this worker lives."""
    try:
        for one in held:
            if one not in _LOCKS:
                _LOCKS[one] = kept(one)
    except Missing:
        return False
    return all(present(one) for one in held)


def let_go(held: Sequence[Held]) -> None:
    """Need the data no more."""
    for one in held:
        lock = _LOCKS.pop(one, None)
        if lock is not None:
            os.close(lock)


def drop(held: Sequence[Held]) -> None:
    """Give the room back."""
    let_go(held)
    for one in held:
        with suppress(OSError):
            one.path.unlink()


def run_chunk(key: str, job: Work, chunk: Chunk) -> tuple[list[tuple[int, Row]], float]:
    """Run a chunk on a worker; each of its threads has a bench of its own.

    Raises:
        Missing: the worker's machine does not hold the bars.
    """
    if getattr(_MINE, "key", None) != key:
        _MINE.bench, _MINE.key = job.bench(), key
    return work(_MINE.bench, chunk)


class Cluster:
    """Runs trials on the workers of a dask scheduler.

    Args:
        job: what the trials have in common. arrays: its bars. address: tcp://host:port.
    Raises:
        UsageError: dask is not installed, nothing answers at the address, there are no workers,
            or one of them has other code.
    """

    def __init__(self, job: Work, arrays: Sequence[NDArray[Any]], address: str) -> None:
        self._job, self._address = job, address
        self._held = list(job.held)
        self._arrays = tuple(arrays)
        # A worker keeps its bench from message to message: any other job is another key.
        self._key = hashlib.sha256(pickle.dumps(job)).hexdigest()
        self._client: Any = None
        self._made: set[str] = set()  # hosts that had no bars before
        self._absent: list[Held] = []

    def __enter__(self) -> Self:
        """Connect, compare versions, bring the bars to every machine."""
        distributed = _distributed()
        self._absent = [held for held in self._held if not present(held)]
        try:
            self._client = distributed.Client(self._address, timeout=f"{CONNECT_S}s",
                                              set_as_default=False)  # fmt: skip
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(
                f"scheduler: nothing answers as a dask scheduler at {self._address} ({error}); "
                "start one by `dask scheduler`, and workers by `dask worker ADDRESS`"
            ) from error
        try:
            self._compare()
            self._bring()
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bars away that were brought, and leave the cluster as it was."""
        with suppress(Exception):  # what is lost cannot be tidied
            workers = [at for at in self._workers() if _host(at) in self._made]
            self._client.run(let_go, self._held)
            if workers:
                self._client.run(drop, self._held, workers=workers)
        self._client.close()
        drop(self._absent)  # a worker of this machine that brought them may be gone

    def _workers(self) -> dict[str, int]:
        """{address: threads} of those there are now."""
        return dict(self._client.nthreads())

    def _compare(self) -> None:
        """Refuse a worker that would run other code."""
        if not self._workers():
            raise UsageError(
                f"scheduler: {self._address} has no workers; start some by "
                f"`dask worker {self._address}`"
            )
        mine = identity()
        try:
            theirs = self._client.run(identity)
        except ModuleNotFoundError as error:
            raise UsageError(f"scheduler: a worker has no dhanfast: {error}") from error
        for address, its in sorted(theirs.items()):
            for name in ("dhanfast", "numpy", "code"):
                if its[name] != mine[name]:
                    raise UsageError(
                        f"scheduler: worker {address} on {its['host']} has {name} {its[name]}, "
                        f"this machine {mine[name]}: results would differ; install the same there"
                    )

    def _bring(self) -> None:
        """The bars to every machine that lacks them: by one of its workers."""
        answers = self._client.run(holds, self._held, on_error="ignore")
        lacking = {address for address, has in answers.items() if not has}
        by_host: dict[str, str] = {}
        for address in sorted(lacking):
            by_host.setdefault(_host(address), address)
        if by_host:
            raw = [np.ascontiguousarray(rows).tobytes() for rows in self._arrays]
            self._client.run(hold, self._held, raw, workers=list(by_host.values()))
            self._made |= set(by_host)

    def rows(self, asks: Sequence[Ask]) -> Done:
        """As they are done; what a lost worker had is run again by others.

        Raises:
            DhanfastError: all workers are gone, or a trial was lost again and again.
        """
        left: deque[tuple[int, Ask]] = deque(enumerate(asks))
        sizer = Sizer(1, CHUNK_S)
        running: dict[Any, Chunk] = {}
        deaths: dict[int, int] = {}
        self._more(left, running, sizer)
        while running:
            for future in self._ended(running):
                chunk = running.pop(future)
                answer, error = self._answer(future)
                if answer is None:
                    self._lost(error, chunk, deaths)
                    left.extendleft(reversed(chunk))
                else:
                    sizer.told(len(chunk), answer[1])
                    yield from answer[0]
            self._more(left, running, sizer)

    def _ended(self, running: dict[Any, Chunk]) -> list[Any]:
        """The messages that have ended, at least one.

        Raises:
            DhanfastError: there is nobody left to run them.
        """
        distributed = _distributed()
        while True:
            with self._client.as_current(), suppress(TimeoutError, CancelledError):
                distributed.wait(list(running), timeout=WAIT_S, return_when="FIRST_COMPLETED")
            ended = [future for future in running if future.done()]
            if ended:
                return ended
            if not self._workers():
                raise DhanfastError(
                    f"scheduler: {self._address} has no workers any more; start some by "
                    f"`dask worker {self._address}` and go on with --resume"
                )

    @staticmethod
    def _answer(future: Any) -> tuple[Any, Exception | None]:
        """What a message has given, or (None, why not)."""
        try:
            return future.result(timeout=WAIT_S), None  # who had it may have died since
        except (Exception, CancelledError) as error:
            return None, error if isinstance(error, Exception) else None

    def _more(self, left: deque[tuple[int, Ask]], running: dict[Any, Chunk],
              sizer: Sizer) -> None:  # fmt: skip
        """Keep every thread of every worker busy, with one message in hand."""
        threads = max(1, sum(self._workers().values()))
        sizer.workers = threads
        while left and len(running) < AHEAD * threads:
            chunk = [left.popleft() for _ in range(sizer.size(len(left)))]
            future = self._client.submit(run_chunk, self._key, self._job, chunk, pure=False)
            running[future] = chunk

    def _lost(self, error: Exception | None, chunk: Chunk, deaths: dict[int, int]) -> None:
        """A chunk that was not run: begin again, or say why not.

        Raises:
            StrategyError and others of ours: what the trial raised.
        """
        distributed = _distributed()
        first = chunk[0]
        deaths[first[0]] = deaths.get(first[0], 0) + 1
        again = error is None or isinstance(
            error, Missing | distributed.KilledWorker | CancelledError | TimeoutError
        )
        if not again or deaths[first[0]] > DEATHS_MAX:
            if isinstance(error, DhanfastError) and not isinstance(error, Missing):
                raise error
            raise DhanfastError(
                f"scheduler: trial {first[1].number} ({first[1].params}), or one soon after it, "
                f"could not be run: {error or 'it was lost again and again'}"
            ) from error
        self._bring()


def _host(address: str) -> str:
    """The machine in tcp://host:port."""
    return address.rpartition(":")[0]


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise UsageError(
            "engine dask needs dask.distributed, which is not installed: "
            "pip install 'dhanfast[cluster]'"
        ) from error
    return distributed
