"""A broker far away: what it answers and says becomes reports. What is asked of it: lines.pxd.

Owner thread:  the engine thread only.   Memory: none after construction.

Updates may come late, twice, in any order and from several sources; cumulative quantity and value
decide what is new. A price is the difference of values by the difference of quantities: two fills
of whole paise whose sum is exact. A status that ends an order is believed with its quantity.
"""

from libc.stdint cimport int64_t, uint64_t

from dhanfast._core.live.lines cimport Line, Lines
from dhanfast._core.live.records cimport Answer, Update
from dhanfast._core.types cimport paise_t

cdef enum:
    NUMBERS_SKIPPED = 1_000  # a life makes fewer requests in the time that the disk lags behind


cdef class Remote(Lines):
    # An answer to a request of ours; one that nobody waits for is let fall (False).
    cdef bint on_answer(self, const Answer *answer) noexcept nogil
    # The state of an order, however learnt; False when it is not of an order of ours.
    cdef bint on_update(self, const Update *update) noexcept nogil

    # Somebody else has closed units of the open position, at this price: its legs shrink as if one
    # of them had filled, and what rests for them at the broker is taken away. Returns units booked.
    cdef int64_t closed_elsewhere(self, int64_t qty, paise_t price) noexcept nogil

    # The two halves of each: whose it is, NULL = nobody's; and what it means.
    cdef Line *asker(self, uint64_t intent) noexcept nogil
    cdef void take_answer(self, Line *line, const Answer *answer) noexcept nogil
    cdef Line *shown(self, const Update *update) noexcept nogil
    cdef void take_update(self, Line *line, const Update *update) noexcept nogil
    # Units that exits of either side stand for, by side of the exit.
    cdef int64_t leaving(self, int side) noexcept nogil

    cdef bint _hear_fill(self, Line *line, const Update *update) noexcept nogil
    cdef void _hear_status(self, Line *line, const Update *update) noexcept nogil
    cdef void _hear_terms(self, Line *line, const Update *update) noexcept nogil
    cdef void _read_again(self, Line *line) noexcept nogil
    cdef void _slow_down(self, const Line *line, const Answer *answer) noexcept nogil
    cdef void _revive(self, Line *line) noexcept nogil
    # A new life of the engine: what the disk had not kept when the power went may have used
    # numbers.
    cdef void skip_numbers(self) noexcept nogil

    cdef void _fill(self, Line *line, int64_t qty, paise_t value) noexcept nogil
    cdef void _fill_leg(self, Line *line, int64_t qty, paise_t price) noexcept nogil
    cdef void _line_ended(self, Line *line, int seen) noexcept nogil
    cdef void _line_there(self, Line *line) noexcept nogil
    cdef void _place_answered(self, Line *line, const Answer *answer) noexcept nogil
    cdef void _change_answered(self, Line *line, const Answer *answer) noexcept nogil
    cdef void _query_answered(self, Line *line, const Answer *answer) noexcept nogil
