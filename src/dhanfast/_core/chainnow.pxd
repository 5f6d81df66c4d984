"""The chain as it is now: one row of a `ChainDay`, kept by ticks.

Owner thread:  the engine thread only.   Memory: none after construction.

Column i of the chain is number i + 1 of the feed; number 0 is the index. A column's price is the
middle of its bid and ask when both are there, else its last trade; 0 = nobody has named one.
"""

from libc.stdint cimport int64_t

from dhanfast._core.chainday cimport ChainDay
from dhanfast._core.types cimport Tick, ns_t, paise_t


cdef class ChainNow:
    cdef readonly ChainDay day       # its one row
    cdef object _owner
    cdef size_t columns
    cdef ns_t *start_ns
    cdef ns_t *end_ns
    cdef paise_t *open
    cdef paise_t *high
    cdef paise_t *low
    cdef paise_t *close
    cdef paise_t *spot
    cdef paise_t *bid
    cdef paise_t *ask
    cdef paise_t *last
    cdef ns_t *seen_ns               # of each column: when it was last heard of; 0 = never
    cdef ns_t spot_ns                # the index

    # The index has traded.
    cdef void see_spot(self, paise_t price, ns_t now_ns) noexcept nogil
    # A tick of a column; False: it has no price and changes nothing.
    cdef bint see(self, const Tick *tick, size_t column) noexcept nogil
    # The row ends now; the next one begins with its prices.
    cdef void end_row(self, ns_t now_ns) noexcept nogil
    cdef void begin_row(self) noexcept nogil
    # What is known of a column, as a tick without a trade.
    cdef void known(self, size_t column, ns_t now_ns, Tick *out) noexcept nogil
