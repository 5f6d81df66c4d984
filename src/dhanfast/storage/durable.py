"""Files that are either old or new, never half: temporary name, fsync, rename, fsync the folder."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from dhanfast.errors import DhanfastError

TEMP_PREFIX: Final = ".new-"  # what a killed writer may leave behind; never read, safe to delete


def replace_file(path: Path, *parts: Any) -> None:
    """Put bytes under a name, at once and for good.

    Args:
        path: its folder must exist; a file of that name is replaced.
        parts: buffers, written one after the other.

    Raises:
        DhanfastError: the disk is full or refuses. Either the old file stands unchanged, or the
            new one is whole but may be undone by a power cut; the message says which.
    """
    with replacing(path) as file:
        for part in parts:
            file.write(part)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to that takes the name when the block ends, and is gone when it raises.

    Raises:
        DhanfastError: as for `replace_file`.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=TEMP_PREFIX, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), 0o644)
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise DhanfastError(
            f"{path}: cannot be written ({error.strerror}); nothing was changed. "
            "Free some space or choose another folder"
        ) from error
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, durable before anything is named in it.

    Raises:
        DhanfastError: it cannot be made, or not be made durable.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise DhanfastError(f"{folder}: cannot be made: {error.strerror}") from error
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable: a rename alone may be lost with the power.

    Raises:
        DhanfastError: the system refuses; the names are there, but a power cut may undo them.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise DhanfastError(
            f"{folder}: not made durable ({error.strerror}); what was just written there is whole, "
            "but a power cut may undo it. Check the disk and do it again"
        ) from error


@contextmanager
def exclusive(path: Path, doing: str, what: Path | None = None) -> Iterator[None]:
    """Hold a lock file while the block runs; the system frees it when the process dies.

    Args:
        path: of the lock file, made when missing.
        doing: what the holder does, for the message to the one that comes second.
        what: that is held, in its words; the folder of the lock unless given.

    Raises:
        DhanfastError: another process holds it.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DhanfastError(f"{path}: cannot be opened ({error.strerror})") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise DhanfastError(
                f"{what or path.parent}: process {holder} is {doing} right now; wait for it and "
                "try again"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
