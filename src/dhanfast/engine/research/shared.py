"""Bars in one memory-mapped file: however many processes of a machine run, they hold them once.

A file is named by the SHA-256 of its bytes and checked against it when it is mapped, so that
whoever finds one may use it, and nobody can pass off another.
"""

import fcntl
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast._core.types import BAR_DTYPE
from dhanfast.errors import BadData, DhanfastError


class Missing(DhanfastError):
    """A worker does not have the bars it was to run on."""


@dataclass(frozen=True, slots=True)
class Held:
    """Bars that are held in a file.

    Attributes:
        sha256: of the file's bytes, rows of BAR_DTYPE. rows: how many.
    """

    sha256: str
    rows: int

    @property
    def path(self) -> Path:
        """Where this machine holds them."""
        user = os.getuid() if hasattr(os, "getuid") else 0
        return Path(tempfile.gettempdir()) / f"dhanfast-{user}-{self.sha256[:40]}.bars"


def held_of(bars: NDArray[Any]) -> Held:
    """How bars are named.

    Raises:
        BadData: they are not BAR_DTYPE.
    """
    if bars.dtype != BAR_DTYPE:
        raise BadData(f"bars must be BAR_DTYPE, were {bars.dtype}")
    raw = np.ascontiguousarray(bars).view(np.uint8).data
    return Held(hashlib.sha256(raw).hexdigest(), len(bars))


def put(held: Held, raw: Any) -> None:
    """Hold bars on this machine, unless it does already.

    Raises:
        DhanfastError: the disk refuses.
    """
    if present(held):
        return
    try:
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=held.path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
            os.replace(temporary, held.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise DhanfastError(
            f"{held.path}: the bars of the search cannot be held there ({error.strerror}); free "
            "some space, or name another folder in TMPDIR"
        ) from error


def present(held: Held) -> bool:
    """Whether this machine holds the bars, whole."""
    try:
        return hashlib.sha256(held.path.read_bytes()).hexdigest() == held.sha256
    except OSError:
        return False


def mapped(held: Held) -> NDArray[Any]:
    """The bars, read-only, in memory that all processes of this machine share.

    Shape:
        BAR_DTYPE[rows].
    Raises:
        Missing: this machine does not hold them, or what it holds is something else.
    """
    try:
        with open(held.path, "rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise Missing(f"{held.path}: the bars of the search are gone ({error})") from error
    if hashlib.sha256(memory).hexdigest() != held.sha256:
        raise Missing(f"{held.path} does not hold the bars of the search")
    return np.frombuffer(memory, BAR_DTYPE)


@contextmanager
def holding(arrays: Sequence[NDArray[Any]]) -> Iterator[None]:
    """Hold bars while a block runs; the last process that does takes them away."""
    locks: list[tuple[Held, int]] = []
    try:
        for bars in arrays:
            held = held_of(bars)
            locks.append((held, _locked(held, np.ascontiguousarray(bars).view(np.uint8).data)))
        yield
    finally:
        for held, lock in locks:
            with suppress(OSError):  # another process holds them too
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.path.unlink()
            os.close(lock)


def _locked(held: Held, raw: Any) -> int:
    """Hold bars under a lock that others may share; the system frees it when we die."""
    while True:
        put(held, raw)
        try:
            lock = os.open(held.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # the one that held them has just ended
        fcntl.flock(lock, fcntl.LOCK_SH)
        try:
            if os.path.samestat(os.fstat(lock), os.stat(held.path)):
                return lock
        except FileNotFoundError:
            pass
        os.close(lock)
