"""Journal: see journal.pxd for layout, threads and promises; here is the how."""

cimport cython
from libc.errno cimport EEXIST
from libc.string cimport memcpy
from posix.mman cimport munmap
from posix.unistd cimport close

import fcntl
import os
import weakref
from contextlib import suppress
from dataclasses import dataclass

from dhanfast._core.live.journal_header import CLOSED, LIVE_AT, OPEN
from dhanfast._core.live.journal_scan import RECORD_MAX, JournalReader
from dhanfast._core.status cimport check
from dhanfast.errors import BadData, JournalFailed, UsageError


cdef extern from "df_crc32c.h" nogil:
    void df_crc32c_prepare()
    uint32_t df_crc32c(uint32_t crc, const unsigned char *at, size_t n)

cdef extern from "df_native.h" nogil:
    uint64_t df_load_acquire(const uint64_t *at)
    void df_store_release(uint64_t *at, uint64_t value)

cdef extern from "df_journal.h" nogil:
    int df_name_new(const char *source, const char *target)
    int df_journal_sync(df_journal *journal)
    int df_journal_prepare(df_journal *journal, uint64_t wanted)
    int df_journal_start(df_journal *journal)
    void df_journal_stop(df_journal *journal)
    int df_journal_map(df_journal *journal)

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(void *mutex, const void *attributes)
    int pthread_mutex_destroy(void *mutex)

cdef extern from *:
    """
    #define df_journal_lock_of(j) (&(j)->lock)
    """
    void *df_journal_lock_of(df_journal *journal) nogil

df_crc32c_prepare()

cdef enum:
    HEAD = 32
    VITAL_FLAG = 1
    MARKS = 144              # journal_header.LIVE_AT

PAYLOAD_MAX = RECORD_MAX
VITAL = VITAL_FLAG
_SEGMENT_MIN = 1 << 16
cdef uint32_t _PAYLOAD_MAX = RECORD_MAX


@dataclass(frozen=True)
class Recovery:
    """What was found in a journal that an earlier writer left.

    Args:
        records: whole records, all kept.
        end: offset behind the last of them, where writing goes on.
        at_ns: time of the last of them, UTC ns; 0 when there is none.
        cut_bytes: bytes behind it that were cut off: a record that was being written, or that
            was never synced when the power went.
        cut_records: whole records among the bytes cut off, out of reach behind a torn one.
        why: what was wrong with the first bytes cut off; empty when nothing was.
    """

    records: int
    end: int
    at_ns: int
    cut_bytes: int
    cut_records: int
    why: str


def _lock(fd, path):
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = int.from_bytes(os.pread(fd, 8, LIVE_AT + 16), "little")
        raise UsageError(f"{path}: process {pid} writes this journal: stop it first, or give the "
                         "run another name") from None


def _sync_folder(path):
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _create(path, header):
    # The whole header is on the disk before the name exists: nobody ever sees half of one.
    draft = f"{path}.{os.getpid()}.new"
    cdef bytes source = os.fsencode(draft), target = os.fsencode(path)
    cdef int error
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raw = header.pack()
        if os.pwrite(fd, raw, 0) != len(raw):
            raise JournalFailed(f"{path}: the disk took only a part of the header: free space")
        os.fsync(fd)
        error = df_name_new(source, target)
        if error == EEXIST:
            raise UsageError(f"{path}: there is a journal of this name already: go on with it (no "
                             "header given), or use another name")
        if error:
            raise OSError(error, os.strerror(error), path)
        _sync_folder(path)
    except BaseException:
        os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise
    return fd


def _recover(path):
    # The lock first: what is found stays true. Returns descriptor, header, Recovery.
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        _lock(fd, path)
        with JournalReader(path) as reader:
            reader.skim()
            cut, records = reader.tail()
            marks = reader.marks
            if marks.synced_end > reader.end or marks.synced_seq > reader.seq:
                raise BadData(
                    f"{path}: damaged: record {reader.seq + 1} at byte {reader.end} cannot be read "
                    f"({reader.why or 'the bytes are gone'}), although records up to "
                    f"{marks.synced_seq} were on the disk; keep the file, begin a journal of "
                    "another name, and reconcile with the broker")
            found = Recovery(reader.seq, reader.end, reader.at_ns, cut, records,
                             (reader.why or "bytes behind an unfinished record") if cut else "")
            header = reader.header
        os.ftruncate(fd, found.end)                          # and what is behind reads as zero
        os.fsync(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd, header, found


_JOURNALS = weakref.WeakSet()


def _shut_in_child():
    # A forked child must not write beside its parent, nor keep the parent's lock alive.
    for journal in list(_JOURNALS):
        (<Journal>journal)._state.serving = 0                # its thread stayed with the parent
        (<Journal>journal)._detach()


os.register_at_fork(after_in_child=_shut_in_child)


@cython.final
cdef class Journal:
    """The one writer of a journal: begins it, or goes on behind its last whole record.

    Args:
        path: of the file.
        header: what a new journal says of itself; None goes on with the one that is there.
        sync_ns: a background thread writes to the disk this often (and makes room ahead); 0 for
            none: then call `sync` and `prepare`.
        segment_bytes: by how much the file grows, a multiple of 4,096 from 65,536.
        reserve_bytes: kept for vital records when nothing more is to be had.
        bytes_max: largest size of the file; addresses are reserved for it, not memory.
    Attributes:
        path: of the file.
        header: JournalHeader.
        recovery: Recovery when it goes on with an old file, else None.
    Units:
        bytes; ns.
    Raises:
        UsageError: an argument is out of range; another process writes the journal (its pid is
            named); a new one has a name that exists.
        BadData: the file is not a journal, or is damaged before what was known to be on the disk.
        JournalFailed: the disk has no room for the first segment.
        OSError: the file cannot be opened or written.
    """

    def __cinit__(self, path, header=None, *, sync_ns=50_000_000, segment_bytes=16 << 20,
                  reserve_bytes=1 << 20, bytes_max=1 << 36):
        self._state.fd = self._state.wake = -1
        self.path = os.fspath(path)
        if sync_ns != 0 and not 2_000_000 <= sync_ns <= 60_000_000_000:
            raise UsageError(f"sync_ns must be 0 or from 2 ms to 60 s, was {sync_ns}")
        if segment_bytes < _SEGMENT_MIN or segment_bytes % 4096:
            raise UsageError("segment_bytes must be a multiple of 4,096 from 65,536, was "
                             f"{segment_bytes}")
        if not 0 <= reserve_bytes <= segment_bytes // 2:
            raise UsageError(f"reserve_bytes must be from 0 to half a segment, was {reserve_bytes}")
        if header is None:
            self._state.fd, self.header, self.recovery = _recover(self.path)
        else:
            self._state.fd, self.header = _create(self.path, header), header
        cdef uint64_t end = self.header.first if self.recovery is None else self.recovery.end
        if bytes_max < end + 2 * segment_bytes or bytes_max % 4096:
            raise UsageError(f"bytes_max must be a multiple of 4,096 and leave room for two "
                             f"segments behind byte {end}, was {bytes_max}")
        self._attach(end, segment_bytes, reserve_bytes, bytes_max, sync_ns)
        _JOURNALS.add(self)

    def _attach(self, uint64_t end, uint64_t segment, uint64_t reserve, uint64_t bytes_max,
                sync_ns):
        cdef df_journal *state = &self._state
        cdef int error
        cdef uint64_t pid = os.getpid(), mark = OPEN
        state.epoch = self.header.epoch
        state.at = state.synced = end
        state.seq = state.synced_seq = 0 if self.recovery is None else self.recovery.records
        state.segment, state.reserve, state.bytes_max = segment, reserve, bytes_max
        state.limit = (end + segment + 4095) & ~<uint64_t>4095
        state.released = 4096
        try:
            os.posix_fallocate(state.fd, end, state.limit - end)
        except OSError as failed:
            raise self._failed("room for records", failed.errno) from None
        error = df_journal_map(state)
        if error:
            raise self._failed("memory to map it", error)
        os.fsync(state.fd)                                   # the room and the size, for good
        memcpy(state.base + MARKS, &state.synced, 8)
        memcpy(state.base + MARKS + 8, &state.synced_seq, 8)
        memcpy(state.base + MARKS + 16, &pid, 8)
        memcpy(state.base + MARKS + 24, &mark, 8)
        pthread_mutex_init(df_journal_lock_of(state), NULL)
        df_journal_prepare(state, 0)
        if sync_ns:
            state.period_ms = max(1, sync_ns // 2_000_000)
            error = df_journal_start(state)
            if error:
                raise self._failed("a thread that syncs it", error)

    def _failed(self, what, error):
        return JournalFailed(f"{self.path}: the journal cannot have {what}: {os.strerror(error)}; "
                             "free disk space or memory, or put journals elsewhere")

    cdef Status append(self, int kind, const void *payload, uint32_t size,
                       ns_t at_ns) noexcept nogil:
        return self._put(kind, 0, payload, size, at_ns, self._state.reserve)

    cdef Status append_vital(self, int kind, const void *payload, uint32_t size,
                             ns_t at_ns) noexcept nogil:
        return self._put(kind, VITAL_FLAG, payload, size, at_ns, 0)

    cdef Status _put(self, int kind, int flags, const void *payload, uint32_t size, ns_t at_ns,
                     uint64_t room) noexcept nogil:
        cdef df_journal *state = &self._state
        cdef uint64_t length, needed, seq = state.seq + 1
        cdef char *to
        if size > _PAYLOAD_MAX:
            return Status.BAD_PACKET
        length = HEAD + <uint64_t>size
        # Eight bytes more: the commit word behind this record must read as zero.
        needed = ((length + 7) & ~<uint64_t>7) + 8 + room
        if state.base == NULL:
            return Status.JOURNAL_FULL
        if state.at + needed > df_load_acquire(&state.limit):
            # Nobody made room ahead in time. Not tried again and again on a full disk: that is
            # for `prepare_now` and the thread.
            if state.full == 0:
                df_journal_prepare(state, needed)
            if state.at + needed > df_load_acquire(&state.limit):
                return Status.JOURNAL_FULL
        if state.broken != 0 and flags == 0:
            return Status.DISK_ERROR
        to = state.base + state.at
        memcpy(to + 8, &seq, 8)
        memcpy(to + 16, &at_ns, 8)
        (<uint32_t *>(to + 24))[0] = (<uint32_t>kind & 0xFFFF) | (<uint32_t>flags << 16)
        (<uint32_t *>(to + 28))[0] = state.epoch
        if size != 0:
            memcpy(to + HEAD, payload, size)
        df_store_release(<uint64_t *>to, length | (<uint64_t><uint32_t>~df_crc32c(
            0xFFFFFFFFu, <const unsigned char *>to + 8, length - 8) << 32))
        df_store_release(&state.at, state.at + ((length + 7) & ~<uint64_t>7))
        df_store_release(&state.seq, seq)
        return Status.OK

    cdef Status sync_now(self) noexcept nogil:
        if self._state.base == NULL:
            return Status.DISK_ERROR
        return Status.OK if df_journal_sync(&self._state) == 0 else Status.DISK_ERROR

    cdef Status prepare_now(self) noexcept nogil:
        if self._state.base == NULL:
            return Status.JOURNAL_FULL
        return Status.OK if df_journal_prepare(&self._state, 0) == 0 else Status.JOURNAL_FULL

    cdef void _detach(self) noexcept nogil:
        cdef char *base = self._state.base
        self._state.base = NULL
        if base != NULL:
            munmap(base, self._state.bytes_max)
        if self._state.wake >= 0:
            close(self._state.wake)
            self._state.wake = -1
        if self._state.fd >= 0:
            close(self._state.fd)                            # the lock goes with the last copy
            self._state.fd = -1

    def __dealloc__(self):
        # Not closed: as when the process dies, nothing that was appended is lost.
        df_journal_stop(&self._state)
        self._detach()

    def append_record(self, int kind, payload, ns_t at_ns, *, vital=False):
        """Append one record; it survives the death of the process when this returns.

        Args:
            kind: Kind, or any number up to 65,535. payload: bytes. at_ns: UTC ns.
            vital: may use the reserve.
        Returns:
            its sequence number.
        Raises:
            UsageError: the journal is closed, or kind or payload out of range.
            JournalFailed: no room, or an earlier record could not be written to the disk.
        """
        cdef bytes raw = bytes(payload)
        cdef const char *at = raw
        self._check_open()
        if not 0 <= kind <= 0xFFFF:
            raise UsageError(f"kind must be from 0 to 65,535, was {kind}")
        if len(raw) > PAYLOAD_MAX:
            raise UsageError(f"payload must be at most {PAYLOAD_MAX} bytes, had {len(raw)}")
        check(self.append_vital(kind, at, len(raw), at_ns) if vital
              else self.append(kind, at, len(raw), at_ns))
        return self._state.seq

    def _append_often(self, uint32_t size, int64_t times):
        # For the bench: nothing but appends.
        cdef bytes raw = bytes(size)
        cdef const char *at = raw
        cdef Status status = Status.OK
        cdef int64_t i
        self._check_open()
        with nogil:
            for i in range(times):
                status = self.append(Kind.TICK, at, size, i)
                if status != Status.OK:
                    break
        check(status)

    def sync(self):
        """Return when everything appended is on the disk.

        Raises:
            JournalFailed: the disk refused; from here on only vital records are taken.
        """
        cdef Status status
        self._check_open()
        with nogil:
            status = self.sync_now()
        check(status)

    def prepare(self):
        """Make room ahead; the background thread does it too.

        Raises:
            JournalFailed: there is none; `trouble` says why.
        """
        cdef Status status
        self._check_open()
        with nogil:
            status = self.prepare_now()
        check(status)

    def close(self):
        """Write everything to the disk, cut the room that was not used, let the file go.

        Raises:
            JournalFailed: the disk refused; the file is let go all the same.
        """
        cdef df_journal *state = &self._state
        cdef int error
        cdef uint64_t mark = CLOSED
        if state.base == NULL:
            return
        with nogil:
            df_journal_stop(state)
            error = df_journal_sync(state)
        try:
            if error:
                raise self._failed("its last records on the disk", error)
            memcpy(state.base + MARKS + 24, &mark, 8)
            os.ftruncate(state.fd, state.at)
            os.fsync(state.fd)
        finally:
            self._detach()
            pthread_mutex_destroy(df_journal_lock_of(state))

    def _check_open(self):
        if self._state.base == NULL:
            raise UsageError(
                f"{self.path}: this journal is closed (a forked child's copy always is)")

    @property
    def tag(self):
        """What correlation ids of this journal begin with."""
        return self.header.tag

    @property
    def seq(self):
        """Sequence number of the last record, of earlier writers too; 0 when there is none."""
        return self._state.seq

    @property
    def bytes(self):
        """Size of the journal: offset of the next record."""
        return self._state.at

    @property
    def synced_seq(self):
        """Records up to this one are known to be on the disk."""
        return df_load_acquire(&self._state.synced_seq)

    @property
    def synced_bytes(self):
        """Bytes up to this offset are known to be on the disk."""
        return df_load_acquire(&self._state.synced)

    @property
    def syncs(self):
        """How often something was written to the disk."""
        return self._state.syncs

    @property
    def room(self):
        """Bytes that records without `vital` may still take before the file must grow."""
        cdef uint64_t used = self._state.at + self._state.reserve + 8
        cdef uint64_t limit = df_load_acquire(&self._state.limit)
        return limit - used if limit > used and self._state.base != NULL else 0

    @property
    def trouble(self):
        """Empty when all is well, else what is wrong with the disk: send no entry."""
        if self._state.broken:
            return f"could not be written: {os.strerror(self._state.broken)}"
        if self._state.full:
            return f"cannot grow: {os.strerror(self._state.full)}"
        return ""

    @property
    def closed(self):
        """Whether this writer has let the file go."""
        return self._state.base == NULL
