"""The market's tape at an exchange: ticks and books applied to what it shows, matches and sends.

One pass over records in the order they were received:
    a tick      its trade changes what is shown, the open minute and the matching kernel; then the
                book rows of the same instant; then packets for the clients
    book rows   change the book; of a whole message the kernel gets all levels when orders
                work, else the best
The tape stops after a record that made reports or reached a watched price, so that what must follow
from it (a stop that rests after its entry filled, an order that waited for a price) happens at that
time of the market and not later.

A record with the last price and a volume that has not risen tells of no trade: feeds and recorders
repeat the last trade with every quote.

Where books come as depth the kernel takes quotes from them alone: the same displayed quantity is
not offered twice.

Owner thread:  the exchange's only.   Memory: at construction, but for lanes.
"""

from libc.stdint cimport uint8_t, uint32_t

from dhanfast._core.book cimport BookState
from dhanfast._core.feedout cimport Face, LaneState
from dhanfast._core.match cimport Match
from dhanfast._core.types cimport Bar, DepthRow, Tick, ns_t

cdef enum:
    LANES_MAX = 64


cdef enum:                   # why a step stopped, bits
    END = 0                  # everything up to the time asked for was taken
    REPORTS = 1              # the kernel has something to say
    WATCH = 2                # a watched price was reached, by `watched`


cdef class Tape:
    cdef Match match
    cdef Face *faces
    cdef Bar *bars
    cdef BookState **books
    cdef LaneState *lanes[LANES_MAX]
    cdef uint32_t lane_count
    cdef readonly uint32_t instruments
    cdef readonly uint32_t minutes
    cdef readonly ns_t now_ns
    cdef readonly uint32_t watched
    cdef ns_t open_ns
    cdef object _faces
    cdef object _bars
    cdef list _books
    cdef list _lanes
    cdef int _step(self, const Tick *ticks, size_t n_ticks, size_t *at_tick, const DepthRow *rows,
                   size_t n_rows, size_t *at_row, ns_t until_ns) noexcept nogil
    cdef int _tick(self, const Tick *tick, ns_t now_ns) noexcept nogil
    cdef void _rows(self, const DepthRow *rows, size_t count, size_t *at, ns_t until_ns,
                    bint through) noexcept nogil
    cdef void _book(self, uint32_t instrument, ns_t now_ns) noexcept nogil
    cdef void _minute(self, const Tick *tick, Face *face, uint32_t traded,
                      ns_t now_ns) noexcept nogil
    cdef uint32_t _index(self, object instrument) except? 0xFFFFFFFF
