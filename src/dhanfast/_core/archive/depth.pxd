"""Depth snapshots to rows of changes, and back: what the depth stream of an archive holds.

Owner thread:  one.   Memory: one allocation at construction, none after.

A feed sends whole sides of a book, best price first. Kept are the levels that differ from the side
before: SET with the new quantity, or quantity 0 where a price is gone. A side that comes for the
first time is CLEAR and then all its levels. A side that is no book (prices not strictly getting
worse, a quantity of 0 before the end) is kept level by level as it came: RAW. A side that came
again unchanged leaves one row, so that every message is in the archive with its times.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from dhanfast._core.book cimport Level
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport DepthRow, ns_t


cdef enum:
    SIDE_LEVELS_MAX = 200
    POSITION_SHIFT = 2           # of a RAW level's position in DepthRow.flags


cdef struct SideState:
    int32_t count                # levels held, best first
    uint8_t known                # a whole side has come
    uint8_t raw                  # and it was no book


cdef struct Message:             # what the rows of one message have in common
    ns_t exch_ns
    ns_t recv_ns
    uint64_t seq
    uint32_t instrument
    int8_t side


cdef class DepthSides:
    cdef SideState *sides
    cdef Level *levels
    cdef readonly uint32_t instruments
    cdef readonly uint32_t levels_max
    # Rows that lead from the side as it was to `levels` (zeros at the end are padding), at most
    # 2 * levels_max + 1; `last`: they end the message.
    cdef size_t change(self, const Message *message, const Level *levels, size_t count, bint last,
                       DepthRow *out) noexcept nogil
    # Put one row into its side. BAD_PRICE: it does not fit what came before.
    cdef Status apply(self, const DepthRow *row) noexcept nogil
    cdef Level *_side(self, uint32_t instrument, int8_t side, SideState **state) noexcept nogil
