"""Order requests as HTTP/1.1 bytes from prepared templates, and the plain answer to them.

Owner thread:  the engine's.   Memory: templates at construction and when the token changes.
Writing a request and reading a plain answer allocate nothing.

A place is five pieces put side by side, two of which hold digits:

    head + `Content-Length: ddd` + the account's and the order type's part of the body
    + the instrument's part + quantity, price, trigger, order id + closing brace

Prices are paise and leave as rupees with exactly two decimals; no float is ever made.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from dhanfast._core.live.records cimport Answer, Intent

cdef enum:
    REQUEST_MAX = 12288      # bytes of any request: a token may be long


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


# Whether a body is {"orderId":"<id>","orderStatus":"<word>"} to the letter, the answer that nearly
# every order call gets; `out` is then all of it but `at_ns`. Whatever differs is judged at leisure.
cdef bint plain_answer(const Intent *intent, int status, const char *body, size_t size,
                       Answer *out) noexcept nogil
