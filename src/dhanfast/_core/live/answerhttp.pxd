"""One HTTP/1.1 answer from bytes as they come; everything about it has a bound.

Owner thread:  the engine's.   Memory: one buffer a reader, made at construction.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

cdef enum:
    ANSWER_MAX = 262144      # bytes of an answer, head and body
    HEAD_MAX = 16384         # bytes of an answer's head


cpdef enum Reading:
    """Where an AnswerReader stands."""

    MORE = 0                 # bytes are missing
    WHOLE = 1                # status and body are there
    BAD = -1                 # no answer, or one beyond a bound: the connection is of no use


cdef class AnswerReader:
    cdef char *_buffer
    cdef size_t _have
    cdef size_t _body_at
    cdef int64_t _length     # of the body; -1 unknown until the end, -2 in chunks
    cdef size_t _body_size   # of what has been put together
    cdef size_t _chunk_at    # where the next chunk's size is
    cdef readonly int status
    cdef readonly bint keeps         # the connection may be used again
    cdef readonly int retry_after_s  # 0 = not said
    cdef readonly int keep_s         # the server's idle limit; 0 = not said
    cdef readonly size_t spare       # bytes behind the answer, which nobody asked for
    cdef bint _headed

    # Take bytes; Reading.
    cdef int feed(self, const char *data, size_t size) noexcept nogil
    # The connection has ended; Reading.
    cdef int end(self) noexcept nogil
    cdef void reset(self) noexcept nogil
    cdef int _head(self) noexcept nogil
    cdef int _header(self, const char *line, size_t size) noexcept nogil
    cdef int _chunks(self) noexcept nogil
    cdef int _progress(self) noexcept nogil
