"""The open end of an archive file: whole chunks go on, or nothing does.

    free ──open──▶ whole ──append──▶ whole            every byte before `end` is a whole chunk
                     │ the disk refuses                the file is cut back to `end`
                     ▼
                   torn ──next append: cut first──▶ whole
    sync fails ──▶ suspect: the system may have thrown pages away and called them clean, so the
                   next sync writes all that is not yet durable once more, from memory

One process at a time: the file itself is locked (flock) and the system lets go when the process
ends, however it ends. What a power cut may take is all behind `synced_end`.
"""

import fcntl
import os
import tempfile
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Final

from dhanfast.errors import DhanfastError
from dhanfast.storage.durable import TEMP_PREFIX, sync_folder

UNSYNCED_BYTES_MAX: Final = 64 << 20


class FileHeld(DhanfastError):
    """Another process writes the file."""


class Disk:
    """What a writer asks of the file system. Tests put one in its place that refuses."""

    def write(self, handle: int, data: memoryview, offset: int) -> int:
        """Write at an offset and return how many bytes the system took."""
        return os.pwrite(handle, data, offset)

    def sync(self, handle: int) -> None:
        """Return when the bytes of the file survive a power cut."""
        os.fdatasync(handle)

    def truncate(self, handle: int, size: int) -> None:
        """Cut the file to a size."""
        os.ftruncate(handle, size)


def holder_of(handle: int) -> int | None:
    """Process that holds the lock of a file; None when the system does not say."""
    info = os.fstat(handle)
    mark = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    with suppress(OSError), open("/proc/locks", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if "FLOCK" in words and mark in words:
                return int(words[words.index(mark) - 1])
    return None


def lock(handle: int, path: Path) -> None:
    """Take the lock of an open file for as long as it is open.

    Raises:
        FileHeld: another process has it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = holder_of(handle)
        named = "another process" if holder is None else f"process {holder}"
        raise FileHeld(
            f"{path}: {named} is writing it right now; a file has one writer. Stop that one, or "
            "record elsewhere"
        ) from None


def open_locked(path: Path) -> int:
    """Open an existing file for reading and writing, locked, and still under its name.

    Raises:
        FileHeld: another process has it.
        DhanfastError: the system refuses.
        FileNotFoundError: there is none.
    """
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DhanfastError(
                f"{path}: cannot be opened for writing ({error.strerror})"
            ) from error
        try:
            lock(handle, path)
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(handle).st_ino:
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # sealed or replaced between the two steps: look again


def create_locked(path: Path, first: bytes) -> int:
    """Make a file that begins with `first`, durable and locked before its name exists.

    Raises:
        FileExistsError: somebody was faster.
        OSError: the disk refuses; nothing is left behind.
        DhanfastError: the folder could not be synced; the file is there.
    """
    handle, draft = tempfile.mkstemp(prefix=TEMP_PREFIX, dir=path.parent)
    try:
        os.fchmod(handle, 0o644)
        done = 0
        while done < len(first):
            done += os.write(handle, first[done:])
        os.fsync(handle)
        lock(handle, path)
        os.link(draft, path)
    except BaseException:
        os.close(handle)
        raise
    finally:
        os.unlink(draft)
    sync_folder(path.parent)
    return handle


class ChunkFile:
    """The end of an open, locked file. One owner thread.

    Args:
        handle: of the file; closed by `close`.
        end: the byte after its last whole chunk; what follows is cut off before the first append.
        disk: how it is written.

    Attributes:
        end: bytes that are whole chunks.
        synced_end: bytes that a power cut leaves alone.
    """

    def __init__(self, handle: int, end: int, disk: Disk) -> None:
        self._handle = handle
        self._disk = disk
        self.end = end
        self.synced_end = 0
        self._torn = os.fstat(handle).st_size != end
        self._suspect = False
        self._unsynced: list[tuple[int, bytes]] = []
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None
        self._mark = (0, 0)
        _OPEN.add(self)

    @property
    def handle(self) -> int:
        """The file's descriptor."""
        return self._handle

    def append(self, chunk: bytes) -> int:
        """Put one whole chunk at the end and return its offset.

        Raises:
            OSError: the disk refused; the file is as long as before, or will be cut back first.
        """
        if self._torn:
            self._cut()
        offset = self.end
        try:
            self._put(chunk, offset)
        except OSError:
            self._torn = True
            with suppress(OSError):
                self._cut()
            raise
        self.end = offset + len(chunk)
        self._unsynced.append((offset, chunk))
        return offset

    def _put(self, chunk: bytes, offset: int) -> None:
        view, done = memoryview(chunk), 0
        while done < len(chunk):
            taken = self._disk.write(self._handle, view[done:], offset + done)
            if taken <= 0:
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            done += taken

    def _cut(self) -> None:
        self._disk.truncate(self._handle, self.end)
        self._torn = False

    @property
    def unsynced_bytes(self) -> int:
        """Bytes of chunks that a power cut may take."""
        return self.end - self.synced_end

    def sync(self) -> None:
        """Make every chunk durable; waits for a sync that is running.

        Raises:
            OSError: the disk refused; nothing more counts as durable, and all of it is kept.
        """
        with suppress(OSError):  # it is tried again right here
            self.end_sync(wait=True)
        self._rewrite_suspect()
        self._mark = (self.end, len(self._unsynced))
        try:
            self._disk.sync(self._handle)
        except OSError:
            self._suspect = True
            raise
        self._synced()

    def begin_sync(self) -> None:
        """Start to make the chunks durable in another thread, unless one is at it already."""
        if self._running is None and not self._suspect:
            self._mark = (self.end, len(self._unsynced))
            self._pool = self._pool or ThreadPoolExecutor(1, "archive-sync")
            self._running = self._pool.submit(self._disk.sync, self._handle)

    @property
    def syncing(self) -> bool:
        """True from `begin_sync` until `end_sync` has told its result."""
        return self._running is not None

    def end_sync(self, *, wait: bool = False) -> bool:
        """Take the result of `begin_sync`: True when its chunks became durable just now.

        Raises:
            OSError: the disk refused.
        """
        if self._running is None or not (wait or self._running.done()):
            return False
        running, self._running = self._running, None
        try:
            running.result()
        except OSError:
            self._suspect = True
            raise
        self._synced()
        return True

    def _rewrite_suspect(self) -> None:
        if self._suspect:
            for offset, chunk in self._unsynced:
                self._put(chunk, offset)

    def _synced(self) -> None:
        self._suspect = False
        self.synced_end, count = self._mark
        del self._unsynced[:count]

    def close(self) -> None:
        """Let the file and its lock go; nothing is written."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


_OPEN: "weakref.WeakSet[ChunkFile]" = weakref.WeakSet()


def _shut_in_child() -> None:
    # A forked child must not write beside its parent, nor keep the parent's lock alive.
    for file in list(_OPEN):
        file._pool = None
        file.close()


os.register_at_fork(after_in_child=_shut_in_child)
