"""Packets of Dhan's feeds, written: what an exchange shows, as the frames a client reads.

The opposite of `wire.dhan` and `wire.dhan_depth`, whose structs are the layouts. A `FeedLane` is
one client: which packets it wants of each instrument, and the frames that wait for it, each a
whole unmasked WebSocket frame of a server, back to back, so that they leave with one write.

Owner thread:  the exchange's only.
Memory:        a lane's buffer grows by doubling up to `room_max`; beyond it the lane is `overflow`
               and takes nothing more: its client is too slow and must be dropped.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.book cimport BookState, Level
from dhanfast._core.types cimport ns_t, paise_t


cpdef enum FeedMode:         # bits of a lane's mode of an instrument
    """What a client asked for of an instrument; several may be set."""

    TICKER = 1
    QUOTE = 2
    FULL = 4
    DEPTH20 = 8
    DEPTH200 = 16


cdef packed struct Face:     # 168 bytes: what the exchange shows of one instrument
    ns_t ltt_ns              # of the last trade, UTC; 0 before the first
    ns_t seen_ns             # of the last record of any kind
    paise_t last             # 0 before the first trade
    paise_t open
    paise_t high
    paise_t low
    paise_t prev_close       # 0 when not known
    paise_t bid
    paise_t ask
    int64_t value            # traded today, paise x units
    uint64_t volume          # traded today, units
    paise_t floor            # a trade at or below stops the tape; 0 = none
    paise_t ceiling          # at or above; 0 = none
    uint64_t prev_volume     # of the day before
    uint32_t security_id
    uint32_t ltq
    uint32_t bid_qty
    uint32_t ask_qty
    uint32_t oi
    uint32_t oi_high
    uint32_t oi_low
    uint32_t prev_oi
    uint32_t oi_sent         # open interest of the last packet that told it
    uint32_t bars            # minutes of the day that have one, the open one included
    uint8_t segment          # number of the exchange segment
    uint8_t deep             # 1: books come as depth, not with the ticks
    uint8_t spare[14]


cdef struct LaneState:
    uint8_t *modes           # FeedMode bits by instrument
    uint8_t *buffer
    size_t used
    size_t room
    size_t room_max
    uint64_t packets
    uint32_t instruments
    int32_t overflow
    int32_t muted            # frames are made for nobody


# One side of what is shown, best first, into `out`; how many.
cdef int32_t face_side(const Face *face, const BookState *book, int side, Level *out,
                       int32_t limit) noexcept nogil
# The packets that a record of this instrument makes for a lane, in its modes.
cdef void lane_tick(LaneState *lane, uint32_t instrument, const Face *face,
                    const BookState *book) noexcept nogil
# The book of this instrument, in the depth modes of a lane.
cdef void lane_depth(LaneState *lane, uint32_t instrument, const Face *face,
                     const BookState *book) noexcept nogil
# What a lane gets on subscribing: the previous close, then a packet of each of `modes`.
cdef void lane_seed(LaneState *lane, uint32_t instrument, const Face *face, const BookState *book,
                    int modes, bint close_packet) noexcept nogil


cdef class FeedLane:
    cdef LaneState state
    cdef object _check(self, object instrument, object modes)
