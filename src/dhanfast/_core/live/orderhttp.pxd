"""Order requests as HTTP/1.1 bytes from prepared templates, and answers read with bounds.

Owner thread:  the engine's.   Memory: templates at construction and when the token changes; one
answer buffer a reader. Writing a request allocates nothing.

A place is five pieces put side by side, two of which hold digits:

    head + `Content-Length: ddd` + the account's and the order type's part of the body
    + the instrument's part + quantity, price, trigger, order id + closing brace

Prices are paise and leave as rupees with exactly two decimals; no float is ever made.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from dhanfast._core.live.records cimport Intent

cdef enum:
    REQUEST_MAX = 12288      # bytes of any request: a token may be long
    ANSWER_MAX = 262144      # bytes of an answer, head and body
    HEAD_MAX = 16384         # bytes of an answer's head


cpdef enum Reading:
    """Where an AnswerReader stands."""

    MORE = 0                 # bytes are missing
    WHOLE = 1                # status and body are there
    BAD = -1                 # no answer, or one beyond a bound: the connection is of no use


cdef struct Piece:
    char *at
    uint32_t size


cdef class RequestBook:
    cdef Piece _place[8]     # side x kind x validity: head and first part of the body
    cdef uint32_t _length_at[8]      # where Content-Length's digits are
    cdef uint32_t _body_at[8]
    cdef Piece _modify       # head up to the path's order id
    cdef Piece _modify_rest  # from there to Content-Length's digits
    cdef Piece _modify_body
    cdef Piece _cancel
    cdef Piece _read
    cdef Piece _plain_rest   # what follows the path of a request without a body
    cdef Piece _tag
    cdef Piece *_instruments
    cdef uint32_t _count
    cdef object _parts       # keep what the pieces point into
    cdef object _fixed
    cdef readonly str base
    cdef readonly str client_id
    cdef readonly str tag
    cdef object _host
    cdef object _leg

    # Bytes written to `out` (REQUEST_MAX of room), or -EINVAL: no such request can be made.
    cdef int64_t write(self, const Intent *intent, char *out) noexcept nogil
    cdef int64_t _write_place(self, const Intent *intent, char *out) noexcept nogil
    cdef int64_t _write_modify(self, const Intent *intent, char *out) noexcept nogil


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
