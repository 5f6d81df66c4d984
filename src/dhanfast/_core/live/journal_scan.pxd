"""Records of a journal, read in order with every byte distrusted.

Owner thread:  one.   Memory: one buffer of at least 1 MiB, larger only for larger records.
Why pread and not a mapping: a file that is cut while it is mapped kills its reader with SIGBUS,
and a writer that closes cuts its file.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from dhanfast._core.types cimport ns_t


cdef struct JournalRecord:
    const unsigned char *payload     # in the reader's buffer: gone at the next `step`
    uint64_t seq
    ns_t at_ns
    uint64_t offset                  # of the record in the file
    uint32_t size                    # of the payload
    uint16_t kind                    # journal.Kind
    uint16_t flags


cdef class JournalReader:
    cdef readonly str path
    cdef readonly object header      # JournalHeader
    cdef readonly object marks       # LiveMarks, as they were when the file was opened
    cdef readonly uint64_t end       # offset behind the last whole record read
    cdef readonly uint64_t seq       # of that record; 0 before the first
    cdef readonly ns_t at_ns         # of that record
    cdef int _fd
    cdef uint32_t _epoch
    cdef int _why
    cdef unsigned char *_buffer
    cdef size_t _room                # of the buffer
    cdef size_t _have                # bytes in it
    cdef uint64_t _base              # offset in the file of its first byte
    cdef int64_t _errno

    # 1: `out` is the next record; 0: none (yet); -1: reading failed, see check_read.
    cdef int step(self, JournalRecord *out) noexcept nogil
    cdef size_t _hold(self, uint64_t offset, size_t wanted) noexcept nogil
    cdef int _stop(self, int why) noexcept nogil
