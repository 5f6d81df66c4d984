"""Factors: what an entry was decided on, one row for each position that was opened.

Owner thread:  the engine thread only.
Memory:        the rows are allocated at construction; `take` makes others. A row is written when
               an entry's first fill is booked: row i is of trade i of the run, and the rows need
               no more room than its trades do.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.strategy cimport View
from dhanfast._core.types cimport ns_t


cdef packed struct FactorHead:   # 24 bytes; the values of the factors follow
    ns_t decided_ns          # end of the last bar that wanted it before the fill; 0 = nothing did
    double total             # what the thresholds were compared with
    int32_t side             # 1 or -1
    int32_t share            # of the sized lots, 1e-6; 0 = all of them


cdef class Factors:
    cdef readonly tuple names
    cdef readonly tuple weights
    cdef readonly size_t room
    cdef readonly size_t count       # rows written
    cdef readonly uint64_t lost      # rows there was no room for
    cdef object _dtype
    cdef object _kept                # the array that owns `rows`
    cdef unsigned char *rows
    cdef size_t size                 # bytes of a row
    cdef object _next                # one row: the decision that waits for its fill
    cdef FactorHead *waiting
    cdef bint asked                  # there is one
    cdef bint held                   # a position is open

    cdef object _make_rows(self)
    # Where the values of a decision's factors go, `names` long.
    cdef double *decide(self, ns_t at_ns, int side, double total, int32_t share) noexcept nogil
    # A fill was booked: the position's first one writes the row of its decision.
    cdef void filled(self, const View *view) noexcept nogil
