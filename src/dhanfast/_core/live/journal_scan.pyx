"""JournalReader: see journal_scan.pxd; the layout is in docs/reference/journal-format.md."""

cimport cython
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove
from posix.types cimport off_t
from posix.unistd cimport close, pread

import os

from dhanfast._core.live.journal_header import PAGE, TEXT_AT, TEXT_MAX, unpack
from dhanfast.errors import UsageError


cdef extern from "df_crc32c.h" nogil:
    void df_crc32c_prepare()
    uint32_t df_crc32c(uint32_t crc, const uint8_t *at, size_t n)

df_crc32c_prepare()

cdef enum:
    HEAD = 32                # bytes before a payload
    BUFFER = 1 << 20
    LENGTH_MAX = HEAD + (16 << 20)
    STRAY_MAX = 1 << 16      # longer records are not looked for behind the end
    END = 0                  # nothing written here yet, or the end of the file
    CUT = 1                  # the file ends inside a record
    LENGTH = 2               # a length that no record has
    CHECKSUM = 3
    EPOCH = 4                # of another journal
    SEQUENCE = 5             # not one more than the record before

RECORD_MAX = LENGTH_MAX - HEAD
_WHY = {
    END: "",
    CUT: "the file ends inside a record",
    LENGTH: "a length that no record has",
    CHECKSUM: "the checksum does not match",
    EPOCH: "the record belongs to another journal",
    SEQUENCE: "the sequence number is not one more than the record's before it",
}


@cython.final
cdef class JournalReader:
    """Reads a journal's records up to the first that is not whole; reads on when more were added.

    Iterating gives (kind, at_ns, seq, payload) a record. A journal that is being written may be
    read: what its writer has committed is seen whole.

    Args:
        path: of the file.
    Attributes:
        path: of the file.
        header: JournalHeader.
        marks: LiveMarks, what the writer last said was on the disk, when the file was opened.
        end: offset behind the last whole record that was read; from here a writer goes on.
        seq: of that record, 0 before the first.
        at_ns: of that record.
    Raises:
        BadData: the file is not a journal or its header is damaged.
        OSError: it cannot be read.
    """

    def __cinit__(self, path):
        self._fd = -1
        self._room = BUFFER
        self._buffer = <unsigned char *>malloc(self._room)
        if self._buffer == NULL:
            raise MemoryError("no buffer for a journal")
        self.path = os.fspath(path)
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        raw = os.pread(self._fd, PAGE, 0)
        if len(raw) == PAGE:
            size = min(int.from_bytes(raw[36:40], "little"), TEXT_MAX)
            raw += os.pread(self._fd, max(0, TEXT_AT + size - PAGE), PAGE)
        self.header, self.marks = unpack(raw, self.path)
        self._epoch = self.header.epoch
        self.end = self._base = self.header.first

    def __dealloc__(self):
        free(self._buffer)
        if self._fd >= 0:
            close(self._fd)

    cdef size_t _hold(self, uint64_t offset, size_t wanted) noexcept nogil:
        # Have `wanted` bytes of the file from `offset` on at the buffer's start, or what there is.
        cdef size_t kept = 0
        cdef ssize_t got
        cdef unsigned char *larger
        if self._base <= offset <= self._base + self._have:
            kept = self._base + self._have - offset
            if kept >= wanted:
                return kept
            memmove(self._buffer, self._buffer + (offset - self._base), kept)
        self._base = offset
        self._have = kept
        if wanted > self._room:
            larger = <unsigned char *>realloc(self._buffer, wanted)
            if larger == NULL:
                self._errno = 12                             # ENOMEM
                return kept
            self._buffer = larger
            self._room = wanted
        while self._have < wanted:
            got = pread(self._fd, self._buffer + self._have, self._room - self._have,
                        <off_t>(offset + self._have))
            if got < 0 and errno == EINTR:
                continue
            if got <= 0:
                self._errno = errno if got < 0 else 0
                break
            self._have += got
        return self._have

    cdef int step(self, JournalRecord *out) noexcept nogil:
        cdef size_t have
        cdef uint64_t seq = 0
        cdef uint32_t length = 0, crc = 0, epoch = 0
        cdef const unsigned char *at
        self._errno = 0
        have = self._hold(self.end, HEAD)
        if have >= 8:
            at = self._buffer + (self.end - self._base)
            memcpy(&length, at, 4)
            if length == 0 or self._errno != 0:
                self._have = 0                               # look at the file again next time
                self._why = END
                return -1 if self._errno != 0 else 0
        if have < HEAD:
            self._have = 0
            self._why = CUT if have > 0 else END
            return -1 if self._errno != 0 else 0
        if not HEAD <= length <= LENGTH_MAX:
            return self._stop(LENGTH)
        have = self._hold(self.end, length)
        if have < length:
            return self._stop(CUT)
        at = self._buffer + (self.end - self._base)
        memcpy(&crc, at + 4, 4)
        if <uint32_t>~df_crc32c(0xFFFFFFFFu, at + 8, length - 8) != crc:
            return self._stop(CHECKSUM)
        memcpy(&seq, at + 8, 8)
        memcpy(&epoch, at + 28, 4)
        if epoch != self._epoch:
            return self._stop(EPOCH)
        if seq != self.seq + 1:
            return self._stop(SEQUENCE)
        out.offset = self.end
        out.seq = seq
        memcpy(&out.at_ns, at + 16, 8)
        memcpy(&out.kind, at + 24, 2)
        memcpy(&out.flags, at + 26, 2)
        out.size = length - HEAD
        out.payload = at + HEAD
        self.seq = seq
        self.at_ns = out.at_ns
        self.end += (<uint64_t>length + 7) & ~<uint64_t>7
        self._why = END
        return 1

    cdef int _stop(self, int why) noexcept nogil:
        self._have = 0                                       # look at the file again next time
        self._why = why
        return -1 if self._errno != 0 else 0

    def __iter__(self):
        """The reader itself: a second loop goes on where the first one ended."""
        return self

    def __next__(self):
        """The next record: kind, at_ns, seq, payload.

        Raises:
            StopIteration: no further whole record, for now.
            OSError: the file cannot be read.
        """
        cdef JournalRecord record
        cdef int found
        self._check_open()
        with nogil:
            found = self.step(&record)
        if found < 0:
            raise OSError(self._errno, os.strerror(self._errno), self.path)
        if found == 0:
            raise StopIteration
        return record.kind, record.at_ns, record.seq, record.payload[:record.size]

    def skim(self):
        """Read to the end without looking at payloads; returns how many records there were.

        Raises:
            OSError: the file cannot be read.
        """
        cdef JournalRecord record
        cdef uint64_t count = 0
        cdef int found
        self._check_open()
        with nogil:
            found = self.step(&record)
            while found > 0:
                count += 1
                found = self.step(&record)
        if found < 0:
            raise OSError(self._errno, os.strerror(self._errno), self.path)
        return count

    def tail(self):
        """What lies behind the last whole record: bytes up to the last that is not zero, and how
        many whole records are among them. None should be: they are out of reach, lost by damage
        or by a power cut that came before they were synced.

        Returns:
            bytes, records.
        """
        cdef uint64_t offset = self.end, last = self.end, stuck
        cdef uint64_t records = 0
        cdef size_t have
        cdef uint32_t length = 0, crc = 0, epoch = 0
        cdef const unsigned char *at
        self._check_open()
        stuck = self.end
        with nogil:
            self._have = 0
            while True:
                have = self._hold(offset, HEAD)
                if have == 0:
                    break
                at = self._buffer + (offset - self._base)
                if have < HEAD:
                    last = _last_of(at, have, offset, last)
                    break
                memcpy(&length, at, 4)
                memcpy(&epoch, at + 28, 4)
                if HEAD <= length <= STRAY_MAX and epoch == self._epoch and offset != stuck:
                    if self._hold(offset, length) >= length:
                        at = self._buffer + (offset - self._base)
                        memcpy(&crc, at + 4, 4)
                        if <uint32_t>~df_crc32c(0xFFFFFFFFu, at + 8, length - 8) == crc:
                            records += 1
                            offset += (<uint64_t>length + 7) & ~<uint64_t>7
                            last = offset
                            continue
                at = self._buffer + (offset - self._base)
                last = _last_of(at, 8, offset, last)
                offset += 8
            self._have = 0
        return last - self.end, records

    def _check_open(self):
        if self._fd < 0:
            raise UsageError(f"{self.path}: this reader is closed")

    @property
    def why(self):
        """Why reading stopped: empty at a clean end, else what is wrong with the next bytes."""
        return _WHY[self._why]

    def __enter__(self):
        """The reader."""
        return self

    def __exit__(self, *exc):
        """Close."""
        self.close()

    def close(self):
        """Let the file go; closing twice is closing once."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


cdef uint64_t _last_of(const unsigned char *at, size_t size, uint64_t offset,
                       uint64_t last) noexcept nogil:
    # Offset behind the last byte that is not zero.
    cdef size_t i
    for i in range(size):
        if at[i] != 0:
            last = offset + i + 1
    return last
