"""Data in one memory-mapped file: however many processes of a machine run, they hold it once.

A file is named by the SHA-256 of its bytes and checked against it when it is mapped, so that
whoever finds one may use it, and nobody can pass off another. Who needs a file has a shared lock on
it, which the system takes off the dead: a file without one was left by a kill, and the next search
of the machine takes it away (`swept`).
"""

import fcntl
import hashlib
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import BAR_DTYPE, TICK_DTYPE
from dhanfast.errors import BadData, DhanfastError

KINDS: Final = {"bars": BAR_DTYPE, "ticks": TICK_DTYPE, "chains": np.dtype(np.int64)}
NEW: Final = "new"  # of a file that is being written


class Missing(DhanfastError):
    """A worker does not have the data it was to run on."""


def _place(name: str) -> Path:
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()) / f"dhanfast-{user}-{name}"


@dataclass(frozen=True, slots=True)
class Held:
    """Rows that are held in a file.

    Attributes:
        sha256: of the file's bytes. rows: how many. kind: what they are, of `KINDS`.
    """

    sha256: str
    rows: int
    kind: str = "bars"

    @property
    def path(self) -> Path:
        """Where this machine holds them."""
        return _place(f"{self.sha256[:40]}.{self.kind}")


def held_of(rows: NDArray[Any]) -> Held:
    """How rows are named.

    Raises:
        BadData: they are of no dtype that is held.
    """
    kind = next((kind for kind, dtype in KINDS.items() if rows.dtype == dtype), None)
    if kind is None:
        raise BadData(f"rows must be BAR_DTYPE, TICK_DTYPE or int64, were {rows.dtype}")
    raw = np.ascontiguousarray(rows).view(np.uint8).data
    return Held(hashlib.sha256(raw).hexdigest(), len(rows), kind)


def put(held: Held, raw: Any) -> None:
    """Hold rows on this machine, unless it does already.

    Raises:
        DhanfastError: the disk refuses.
    """
    if present(held):
        return
    with _new(held.kind) as (file, path):
        file.write(raw)
        file.flush()
        os.replace(path, held.path)


@contextmanager
def _new(kind: str) -> Iterator[tuple[Any, str]]:
    """A file to be filled and given its name, locked so that nobody sweeps it away meanwhile.

    Raises:
        DhanfastError: the disk refuses.
    """
    place = _place(NEW)
    try:
        while True:
            handle, path = tempfile.mkstemp(f".{kind}", f"{place.name}-", place.parent)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is(handle, path):
                break
            os.close(handle)  # taken for one that a kill had left, before it was locked
        with os.fdopen(handle, "wb") as file:
            try:
                yield file, path
            except BaseException:
                with suppress(OSError):
                    os.unlink(path)
                raise
    except OSError as error:
        raise DhanfastError(
            f"{place.parent}: the {kind} of the search cannot be held there ({error.strerror}); "
            "free some space, or name another folder in TMPDIR"
        ) from error


def _is(handle: int, path: str | Path) -> bool:
    """Whether a path still names an open file."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


class Gathered:
    """Rows of any number, written to the file that holds them; taken away when nobody needs it.

    Args:
        batches: arrays of the kind's dtype, each used before the next is asked for.
        kind: of `KINDS`.
    Attributes:
        held: their name. rows: the file, mapped: memory of the page cache, shared with everybody.
    Raises:
        BadData: there are none. DhanfastError: the disk refuses.
    """

    def __init__(self, batches: Iterable[NDArray[Any]], kind: str) -> None:
        swept()
        dtype, total, size = KINDS[kind], hashlib.sha256(), 0
        with _new(kind) as (file, path):
            for batch in batches:
                raw = np.ascontiguousarray(batch, dtype).view(np.uint8).data
                total.update(raw)
                file.write(raw)
                size += len(batch)
            if size == 0:
                raise BadData(f"the data has no {kind}")
            file.flush()
            self.held = Held(total.hexdigest(), size, kind)
            if present(self.held):
                os.unlink(path)
                lock = _locked(self.held, None)
            else:
                os.replace(path, self.held.path)
                lock = os.dup(file.fileno())  # the lock stays on what it is a copy of
                fcntl.flock(lock, fcntl.LOCK_SH)
        self.rows = mapped(self.held)
        weakref.finalize(self, _released, self.held, lock)


def _released(held: Held, lock: int) -> None:
    """Give a lock back; the last one takes the file away."""
    with suppress(OSError):  # another process holds it too
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.path.unlink()
    os.close(lock)


def swept() -> int:
    """Take away what searches that were killed have left on this machine: files without a lock.

    Returns:
        How many there were.
    """
    found = 0
    place = _place("")
    for path in sorted(place.parent.glob(f"{place.name}*")):
        if path.suffix[1:] not in KINDS:
            continue
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue  # just taken away, or not ours
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(handle, path):
                path.unlink()
                found += 1
        except OSError:
            pass  # a living process has it
        finally:
            os.close(handle)
    return found


def present(held: Held) -> bool:
    """Whether this machine holds the rows, whole."""
    try:
        mapped(held)
    except Missing:
        return False
    return True


def mapped(held: Held) -> NDArray[Any]:
    """The rows, read-only, in memory that all processes of the machine share.

    Shape:
        [rows] of the kind's dtype.
    Raises:
        Missing: this machine does not hold them, or what it holds is something else.
    """
    try:
        with open(held.path, "rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise Missing(f"{held.path}: the {held.kind} of the search are gone ({error})") from error
    if hashlib.sha256(memory).hexdigest() != held.sha256:
        raise Missing(f"{held.path} does not hold the {held.kind} of the search")
    return np.frombuffer(memory, KINDS[held.kind])


@contextmanager
def holding(arrays: Sequence[NDArray[Any]]) -> Iterator[None]:
    """Hold rows while a block runs; the last process that does takes them away."""
    swept()
    locks: list[tuple[Held, int]] = []
    try:
        for rows in arrays:
            held = held_of(rows)
            locks.append((held, _locked(held, np.ascontiguousarray(rows).view(np.uint8).data)))
        yield
    finally:
        for held, lock in locks:
            _released(held, lock)


def kept(held: Held) -> int:
    """A lock on rows that this machine holds, for who is to keep them from being swept.

    Raises:
        Missing: it does not.
    """
    return _locked(held, None)


def _locked(held: Held, raw: Any) -> int:
    """Hold rows under a lock that others may share; the system frees it when we die.

    Args:
        raw: their bytes, when they may have to be written; None when they are there.
    """
    while True:
        if raw is not None:
            put(held, raw)
        try:
            lock = os.open(held.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            if raw is None:
                raise Missing(f"{held.path}: the {held.kind} of the search are gone") from error
            continue  # the one that held them has just ended
        fcntl.flock(lock, fcntl.LOCK_SH)
        if _is(lock, held.path):
            return lock
        os.close(lock)
