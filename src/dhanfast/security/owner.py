"""One process owns a token: making a new one kills the old one, on every machine.

The owner is who may mint and renew. Others read what the owner has stored. Ownership is a lock on
a file that the system gives up when the process ends, however it ends; what stands in the file is
for people.
"""

import fcntl
import json
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from dhanfast.clock import Clock
from dhanfast.errors import DhanfastError

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_FLOCK: Final = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux


class Holder(NamedTuple):
    """Who owns a token."""

    pid: int
    since_ns: int  # UTC ns
    purpose: str
    started: int  # of the process, in ticks since the machine's start; tells reuse of a pid

    def __str__(self) -> str:
        """For a message."""
        return f"{self.purpose or 'a process'} (pid {self.pid})"


class Owned(DhanfastError):
    """Another process owns the token; the message names it."""


class TokenOwner:
    """The right to mint and renew, while the block runs or until `release`.

    Args:
        path: the lock file; its folder is made, for the user alone.
        purpose: what this process does, for the others' messages.
        clock: tells since when.
    """

    def __init__(self, path: Path, purpose: str, clock: Clock) -> None:
        self._path = path
        self._purpose = purpose
        self._clock = clock
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object owns the token now."""
        return self._handle is not None

    def acquire(self) -> None:
        """Become the owner; owning already is fine.

        Raises:
            Owned: another process (or another object of this one) is the owner.
            DhanfastError: the file cannot be made.
        """
        if self._handle is not None:
            return
        try:
            self._path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            handle = os.open(self._path, flags, FILE_MODE)
        except OSError as error:
            raise DhanfastError(
                f"{self._path}: the owner's file cannot be made ({error.strerror}); look at the "
                "folder's owner and mode"
            ) from error
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _lock(fcntl.F_WRLCK))
        except OSError:
            os.close(handle)
            who = _read(self._path)
            raise Owned(
                f"the token is owned by {who or 'another process'}; a new token would cut it off. "
                "Stop it first, or let it renew"
            ) from None
        about = {
            "pid": os.getpid(),
            "since_ns": self._clock.now_ns(),
            "purpose": self._purpose,
            "started": started_ticks(os.getpid()),
        }
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(about).encode(), 0)
        self._handle = handle

    def release(self) -> None:
        """Stop being the owner; not owning is fine."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        """Acquire."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release."""
        self.release()


def holder(path: Path) -> Holder | None:
    """Who owns the token; None when nobody does. Asks only: it never stands in an owner's way."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        said = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, _lock(fcntl.F_RDLCK))
    finally:
        os.close(handle)
    if _FLOCK.unpack(said)[0] == fcntl.F_UNLCK:
        return None
    return _read(path) or Holder(0, 0, "a process that is just starting", 0)


def _lock(kind: int) -> bytes:
    """A lock of the whole file that belongs to the open file, not to the process."""
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


def started_ticks(pid: int) -> int:
    """When a process started, in clock ticks since the machine's start; 0 when not known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def _read(path: Path) -> Holder | None:
    """What the owner wrote, as far as it can be read."""
    try:
        about = json.loads(path.read_text())
        return Holder(
            int(about["pid"]), int(about["since_ns"]), str(about["purpose"]), int(about["started"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
