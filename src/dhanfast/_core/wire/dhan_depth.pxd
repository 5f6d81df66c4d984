"""Dhan's 20- and 200-level depth feeds: one WebSocket message to rows of changes.

Threads, memory, errors: as in dhan.pxd. A message holds packets back to back, each one side of one
instrument; the head has another order than the live feed's:

    0  u2  length with the head   2  u1  code   3  u1  segment   4  u4  security id
    8  u4  20 levels: a sequence number, not used; 200 levels: how many rows follow

    41 bid, 51 ask   rows of DhanRow, best first, unused ones zero
    50 disconnect    reason at 12 when the packet has 14 bytes or more, else in bytes 8 to 11

Stepping is by the length field alone; one that cannot be (below 12, or beyond the message) drops
the rest. A packet that promises more rows than it holds is read as far as it goes. There is no
exchange time: exch_ns of the rows is 0. Bid and ask do not belong together, so crossed books
occur; each side is whole at its LAST row.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

from dhanfast._core.book cimport Level
from dhanfast._core.types cimport Side, ns_t
from dhanfast._core.wire.records cimport WireCounters, WireOut, WireSink, WireStep
from dhanfast._core.wire.sides cimport SideState
from dhanfast._core.wire.table cimport WireTable, WireTableState


cdef packed struct DhanDepthHead:    # 12 bytes
    uint16_t length
    uint8_t code
    uint8_t segment
    uint32_t security_id
    uint32_t rows


cdef packed struct DhanRow:          # 16
    double price
    uint32_t qty
    uint32_t orders


cdef packed struct DhanDepthEnd:     # 14: a disconnect as documented
    DhanDepthHead head
    uint16_t reason


cdef struct DepthFeed:
    const WireTableState *table
    SideState *sides                 # two a slot: bid, ask
    Level *levels                    # their room
    int32_t level_max                # 20 or 200
    WireCounters counters


# As dhan_decode. Room for one packet: side_rows_max(level_max) rows, 1 notice.
cdef size_t depth_decode(DepthFeed *feed, const uint8_t *frame, size_t size, ns_t recv_ns,
                         WireOut *out) noexcept nogil
cdef WireStep depth_step(const uint8_t *frame, size_t size) noexcept nogil
# Rows of a bid or ask packet that are there and wanted.
cdef size_t depth_rows(const DhanDepthHead *head, size_t size, int32_t level_max) noexcept nogil
cdef uint32_t depth_reason(const DhanDepthHead *head, size_t size) noexcept nogil
# A side, best first; NULL and 0 when it is not known or not valid.
cdef const Level *depth_side(const DepthFeed *feed, uint32_t instrument, Side side,
                             size_t *count) noexcept nogil
# Messages of this instrument may have been missed: both sides are unknown until they come again,
# as snapshots.
cdef void depth_forget(DepthFeed *feed, uint32_t slot) noexcept nogil


cdef class DhanDepthDecoder:
    cdef DepthFeed feed
    cdef readonly WireTable table
    cdef WireSink _sink
