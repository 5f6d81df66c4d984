"""Broadcast: see broadcast.pxd for layout, order of memory and promises; here is the how."""

cimport cython
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close

from dhanfast._core.timing cimport mono_ns

import fcntl
import os
import re
import stat
import struct
import weakref

import numpy as np

from dhanfast.errors import BadData, UsageError


cdef extern from "df_native.h" nogil:
    uint64_t df_load_acquire(const uint64_t *at)
    void df_store_release(uint64_t *at, uint64_t value)

cdef extern from "df_shared.h" nogil:
    uint64_t df_load_relaxed(const uint64_t *at)
    void df_store_relaxed(uint64_t *at, uint64_t value)
    void df_fence_release()
    void df_fence_acquire()
    void df_words_publish(uint64_t *to, const void *source, size_t words)
    void df_words_fetch(void *to, const uint64_t *source, size_t words)

cdef enum:
    EPOCH = 64
    PID = 72
    STARTED = 80
    STATE = 88
    HEAD = 128
    BEAT = 192
    SLOTS = 256
    OPEN = 1
    CLOSED = 2
    REMOVED = 3

_FIXED = struct.Struct("=8sIIIIQ16s16s")     # line 0
_MAGIC = b"DFBCAST1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RECORD_BYTES_MAX = 65_536
_BYTES_MAX = 1 << 34
FOLDER = "/dev/shm"


def _path_of(name, folder):
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"name must be 1..100 letters, digits, dots, dashes or underscores, was {name!r}")
    return os.path.join(folder, f"dhanfast-{name}")


def _tag_bytes(tag):
    raw = tag.encode()
    if not 1 <= len(raw) <= 16:
        raise UsageError(f"tag must be 1..16 bytes, was {tag!r}")
    return raw.ljust(16, b"\0")


def _started(pid):
    # Start time of a running process in clock ticks since boot; None when it is gone or a zombie.
    # A pid alone may have been given to somebody else.
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _check_file(fd, path):
    # Nothing is mapped before this: an ordinary file of ours, with a header that adds up.
    info = os.fstat(fd)
    if not stat.S_ISREG(info.st_mode):
        raise BadData(f"{path} is not an ordinary file: not a broadcast segment")
    if info.st_uid not in (os.geteuid(), 0):
        raise BadData(f"{path} belongs to user {info.st_uid}, not to us: refused; use another name")
    if info.st_size < SLOTS:
        raise BadData(
            f"{path} has {info.st_size} bytes, less than a header: not a broadcast segment")
    raw = os.pread(fd, _FIXED.size, 0)
    magic, order, version, record, slot, slots, tag, spare = _FIXED.unpack(raw)
    if magic != _MAGIC:
        raise BadData(f"{path} starts with {magic!r}, not {_MAGIC!r}: not a broadcast segment; "
                      "remove the file or use another name")
    if order != 0x01020304 or version != 1:
        raise BadData(f"{path} has layout version {version} (byte order {order:#010x}), this "
                      "program reads version 1: remove it and start the writer again")
    if (record % 8 or not 8 <= record <= _RECORD_BYTES_MAX or slot != record + 8
            or slots < 2 or slots & (slots - 1) or spare != bytes(16)
            or info.st_size != SLOTS + slot * slots):
        raise BadData(f"{path} has {info.st_size} bytes and says {slots} slots of {slot} bytes for "
                      f"records of {record}: damaged; remove it and start the writer again")
    return record, slots, tag, info.st_size


def _mismatch(path, what, found, wanted):
    return BadData(f"{path} has {what} {found}, wanted {wanted}: "
                   "use the program that wrote it, or remove it with broadcast.remove()")


def _lock(fd):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def remove(name, *, folder=FOLDER):
    """Remove a segment whose writer is gone; readers that hold it see `removed`.

    Raises:
        UsageError: a live writer holds it, or the name is not a name.
        BadData: the file is not a broadcast segment.
        FileNotFoundError: there is none of that name.
    """
    path = _path_of(name, folder)
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        _check_file(fd, path)
        if not _lock(fd):
            raise UsageError(f"{path} has a live writer: stop it first")
        os.pwrite(fd, struct.pack("=Q", REMOVED), STATE)
        os.unlink(path)
    finally:
        os.close(fd)


def _create(path, record, slots, tag):
    # The whole header exists before the name does: a reader never sees half of one. Returns a
    # locked descriptor, or None when somebody was faster.
    draft = f"{path}.{os.getpid()}.{mono_ns()}.new"
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, SLOTS + (record + 8) * slots)   # full disk: here, not as SIGBUS
        os.pwrite(fd, _FIXED.pack(_MAGIC, 0x01020304, 1, record, record + 8, slots, tag, bytes(16)),
                  0)
        _lock(fd)
        os.link(draft, path)
    except FileExistsError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    finally:
        os.unlink(draft)
    return fd


def _take_over(path, record, slots, tag):
    # An existing segment: ours to continue only when its writer is provably gone.
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found_record, found_slots, found_tag, _ = _check_file(fd, path)
        pid, started = struct.unpack("=QQ", os.pread(fd, 16, PID))
        if not _lock(fd):
            raise UsageError(f"{path} has a live writer (pid {pid}): stop it, or use another name")
        state, = struct.unpack("=Q", os.pread(fd, 8, STATE))
        if state == REMOVED:
            raise FileNotFoundError(path)                    # unlinked while we looked at it
        if state == OPEN and pid != os.getpid() and started and _started(pid) == started:
            raise UsageError(
                f"{path}: its writer (pid {pid}) still runs, although it lost the lock")
        for what, found, wanted in (("records of", found_record, record),
                                    ("slots", found_slots, slots), ("tag", found_tag, tag)):
            if found != wanted:
                raise _mismatch(path, what, found, wanted)
    except BaseException:
        os.close(fd)
        raise
    return fd


_WRITERS = weakref.WeakSet()


def _shut_in_child():
    # A forked child must not write beside its parent, nor keep the parent's lock alive.
    for writer in list(_WRITERS):
        (<BroadcastWriter>writer)._detach()


os.register_at_fork(after_in_child=_shut_in_child)


@cython.final
cdef class BroadcastWriter:
    """The one writer of a segment: creates it, or takes over from a writer that died.

    Args:
        name: of the segment; the file is FOLDER/dhanfast-NAME, readable by this user only.
        record_bytes: size of every record, a multiple of 8 in 8..65,536.
        slots: records kept, a power of two; a reader may fall that far behind.
        tag: what the records are, 1..16 bytes; readers must ask for the same.
        folder: where the file lies; a memory file system.
    Attributes:
        path: of the file.
        epoch: how often the segment has been taken over; readers notice a new writer by it.
    Shape:
        one owner thread; nothing is allocated after construction.
    Raises:
        UsageError: an argument is out of range, or another writer lives.
        BadData: a file of that name is foreign, damaged or of another layout.
    """

    def __cinit__(self, name, *, record_bytes, slots, tag, folder=FOLDER):
        self._fd = -1
        if not 8 <= record_bytes <= _RECORD_BYTES_MAX or record_bytes % 8:
            raise UsageError(f"record_bytes must be a multiple of 8 in 8..{_RECORD_BYTES_MAX}, "
                             f"was {record_bytes}")
        if slots < 2 or slots & (slots - 1) or (record_bytes + 8) * slots > _BYTES_MAX:
            raise UsageError(f"slots must be a power of two from 2 and the segment at most "
                             f"{_BYTES_MAX} bytes, was {slots}")
        tag = _tag_bytes(tag)
        self.path = _path_of(name, folder)
        fd = None
        while fd is None:
            # A file that vanishes or appears between the two steps sends us round again.
            try:
                fd = _take_over(self.path, record_bytes, slots, tag)
            except FileNotFoundError:
                fd = _create(self.path, record_bytes, slots, tag)
        self._words = record_bytes // 8
        self._slot_bytes = record_bytes + 8
        self._mask = slots - 1
        self._attach(fd, SLOTS + (record_bytes + 8) * slots)
        _WRITERS.add(self)

    cdef void _attach(self, int fd, size_t size) except *:
        cdef char *at = <char *>mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        self._fd = fd
        if at == <char *>MAP_FAILED:
            os.close(fd)
            self._fd = -1
            raise MemoryError(f"{self.path}: {size} bytes could not be mapped")
        self._map = at
        self._bytes = size
        self._head = <uint64_t *>(at + HEAD)
        self._beat = <uint64_t *>(at + BEAT)
        self._slots = at + SLOTS
        self._next = df_load_acquire(self._head)
        df_store_relaxed(<uint64_t *>(at + PID), os.getpid())
        df_store_relaxed(<uint64_t *>(at + STARTED), _started(os.getpid()) or 0)
        df_store_relaxed(<uint64_t *>(at + STATE), OPEN)
        df_store_relaxed(self._beat, mono_ns())
        # The epoch last: who sees it sees the identity that belongs to it.
        self.epoch = df_load_relaxed(<uint64_t *>(at + EPOCH)) + 1
        df_store_release(<uint64_t *>(at + EPOCH), self.epoch)

    cdef void _detach(self) noexcept nogil:
        cdef char *at = self._map
        self._map = NULL
        if at != NULL:
            munmap(at, self._bytes)
        if self._fd >= 0:
            close(self._fd)                                  # the lock goes with the last copy
            self._fd = -1

    cdef void _close(self) noexcept nogil:
        if self._map != NULL:
            df_store_release(<uint64_t *>(self._map + STATE), CLOSED)
            self._detach()

    def __dealloc__(self):
        self._close()

    cdef void publish(self, const void *record) noexcept nogil:
        cdef uint64_t number = self._next
        cdef uint64_t *slot
        if self._map == NULL:
            return
        slot = <uint64_t *>(self._slots + (number & self._mask) * self._slot_bytes)
        df_store_relaxed(slot, 2 * number + 1)
        df_fence_release()                                   # odd stamp before any new word
        df_words_publish(slot + 1, record, self._words)
        df_store_release(slot, 2 * number + 2)               # all words before the even stamp
        self._next = number + 1
        df_store_release(self._head, number + 1)

    cdef void beat(self, ns_t now_ns) noexcept nogil:
        if self._map != NULL:
            df_store_release(self._beat, <uint64_t>now_ns)

    def put_many(self, records):
        """Publish every record of a C-contiguous array whose items have `record_bytes` bytes.

        Raises:
            UsageError: the items have another size, or the writer is closed.
        """
        given = np.ascontiguousarray(records).reshape(-1)
        cdef const unsigned char[::1] raw
        cdef size_t i, count = len(given)
        if self._map == NULL:
            raise UsageError(
                f"{self.path}: this writer is closed (a forked child's copy always is)")
        if given.dtype.itemsize != 8 * self._words:
            raise UsageError(f"records must have {8 * self._words} bytes each, had "
                             f"{given.dtype.itemsize}")
        if count == 0:
            return
        raw = given.view(np.uint8)
        with nogil:
            for i in range(count):
                self.publish(&raw[i * 8 * self._words])
        self.beat(mono_ns())

    def heartbeat(self):
        """Tell readers that this writer is alive; call it about every second when idle."""
        self.beat(mono_ns())

    def close(self):
        """Say so to the readers and let the segment go; it stays for them until `remove`."""
        self._close()

    @property
    def published(self):
        """Records ever published into the segment, by this writer and those before it."""
        return self._next

    @property
    def closed(self):
        """True after `close`, and in a forked child from the start."""
        return self._map == NULL


@cython.final
cdef class BroadcastReader:
    """One reader of a segment, in any process of the same user; it cannot harm the writer.

    Args:
        name: of the segment.
        dtype: numpy dtype of a record; its size must be the segment's.
        tag: what the records must be.
        oldest: start with the oldest record still there, not with the next one to come.
        folder: where the file lies.
    Attributes:
        path: of the file.
        delivered: records handed out so far.
        lost: records overwritten before they were read; exact.
    Raises:
        FileNotFoundError: no such segment.
        BadData: the file is foreign, damaged, of another size or tag.
    """

    def __cinit__(self, name, *, dtype, tag, bint oldest=False, folder=FOLDER):
        cdef uint64_t head
        cdef char *at
        self.path = _path_of(name, folder)
        self._dtype = np.dtype(dtype)
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            record, slots, found_tag, size = _check_file(fd, self.path)
            if record != self._dtype.itemsize:
                raise _mismatch(self.path, "records of", record, self._dtype.itemsize)
            if found_tag != _tag_bytes(tag):
                raise _mismatch(self.path, "tag", found_tag, _tag_bytes(tag))
            at = <char *>mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0)
            if at == <char *>MAP_FAILED:
                raise MemoryError(f"{self.path}: {size} bytes could not be mapped")
        finally:
            os.close(fd)
        self._map = at
        self._bytes = size
        self._slots = self._map + SLOTS
        self._words = record // 8
        self._slot_bytes = record + 8
        self._mask = slots - 1
        head = df_load_acquire(<const uint64_t *>(self._map + HEAD))
        self._next = head
        if oldest:
            self._next = head - slots if head > slots else 0

    def __dealloc__(self):
        if self._map != NULL:
            munmap(<void *>self._map, self._bytes)

    cdef size_t read_into(self, void *out, size_t limit) noexcept nogil:
        cdef size_t taken = 0
        cdef uint64_t head, resume
        cdef const uint64_t *slot
        while True:
            head = df_load_acquire(<const uint64_t *>(self._map + HEAD))
            while self._next < head and taken < limit:
                slot = <const uint64_t *>(
                    self._slots + (self._next & self._mask) * self._slot_bytes)
                if df_load_acquire(slot) != 2 * self._next + 2:
                    break
                df_words_fetch(<char *>out + taken * 8 * self._words, slot + 1, self._words)
                df_fence_acquire()                           # the words before the second look
                if df_load_relaxed(slot) != 2 * self._next + 2:
                    break
                self._next += 1
                taken += 1
            if self._next >= head or taken:
                break                    # caught up, full, or a hole ahead: that is the next call's
            # Lapped. Go on an eighth of the ring behind the edge, or the writer laps us again
            # before the copy is done; all that is skipped is counted.
            head = df_load_acquire(<const uint64_t *>(self._map + HEAD))
            resume = head - self._mask + (self._mask >> 3) if head > self._mask else 0
            if resume <= self._next:
                resume = self._next + 1                      # the very slot that is being written
            self.lost += resume - self._next
            self._next = resume
        self.delivered += taken
        return taken

    def read(self, Py_ssize_t limit=1024):
        """Take what has come since the last call.

        Args:
            limit: the most records to return, 1..2**24.
        Shape:
            (records, lost): an array of `dtype`, oldest first and without a hole, and how many
            records before the first of them were overwritten before we came. Delivered and lost
            together are every record since the reader's start, exactly.
        Raises:
            UsageError: limit out of range.
        """
        if not 1 <= limit <= 1 << 24:
            raise UsageError(f"limit must be in 1..2**24, was {limit}")
        batch = np.empty(limit, dtype=self._dtype)
        cdef unsigned char[::1] raw = batch.view(np.uint8)
        cdef uint64_t lost = self.lost
        cdef size_t count
        with nogil:
            count = self.read_into(&raw[0], limit)
        return batch[:count], self.lost - lost

    @property
    def position(self):
        """Number of the record wanted next; records count from 0 over all writers."""
        return self._next

    @property
    def behind(self):
        """Records published and not yet read (or lost); above the slots we have been lapped."""
        return max(df_load_acquire(<const uint64_t *>(self._map + HEAD)), self._next) - self._next

    @property
    def epoch(self):
        """Number of the present writer, from 1; a change means that another one took over."""
        return df_load_acquire(<const uint64_t *>(self._map + EPOCH))

    @property
    def state(self):
        """'live', 'dead' (its process is gone without a word), 'closed' or 'removed'.

        Reads /proc: from another process namespace ask `silent_ns` instead.
        """
        epoch = self.epoch
        state = df_load_acquire(<const uint64_t *>(self._map + STATE))
        if state != OPEN:
            return "removed" if state == REMOVED else "closed"
        pid = df_load_relaxed(<const uint64_t *>(self._map + PID))
        started = df_load_relaxed(<const uint64_t *>(self._map + STARTED))
        alive = _started(pid) == started
        return "live" if alive or self.epoch != epoch else "dead"

    @property
    def writer_pid(self):
        """Process id of the present or the last writer."""
        return df_load_relaxed(<const uint64_t *>(self._map + PID))

    @property
    def silent_ns(self):
        """Nanoseconds since the writer's last sign of life; large when it hangs or is gone."""
        return max(0, mono_ns() - <ns_t>df_load_acquire(<const uint64_t *>(self._map + BEAT)))
