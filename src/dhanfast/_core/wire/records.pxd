"""What every decoder writes: rows of fixed size into arrays that the caller owns.

A decoder never allocates and never waits. It stops in front of a packet when an array that is
wanted may be too short for it; the caller empties the arrays and calls again with the rest of the
message.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dhanfast._core.types cimport DepthRow, Tick, ns_t, paise_t


cpdef enum TickFlag:         # bits of Tick.flags
    """Bits of Tick.flags that a decoder sets; 0 for a normal record."""

    SEED = 1                 # first record of its instrument: the trade may be old
    QTY_WRAPPED = 2          # volume rose by more than qty can say (16 bits on the wire)
    TIME_RECEIVED = 4        # exch_ns is the receive time: the source gave none


cdef packed struct StatsRow:     # 112 bytes: archive.schema.STATS_DTYPE
    ns_t exch_ns
    ns_t recv_ns
    paise_t open
    paise_t high
    paise_t low
    paise_t close            # the wire's field: Dhan sends the previous day's close all day
    paise_t prev_close
    paise_t band_low
    paise_t band_high
    uint64_t total_buy_qty
    uint64_t total_sell_qty
    uint32_t avg_price_bits  # float32 as it came
    uint32_t prev_oi
    uint32_t oi_high
    uint32_t oi_low
    uint32_t instrument
    uint32_t flags


cdef packed struct Notice:       # 24 bytes: what a feed says about itself
    ns_t recv_ns
    uint32_t code            # the protocol's packet code
    uint32_t segment
    uint32_t security_id     # as sent; need not be in the table
    uint32_t reason          # of a disconnect; 0 otherwise


# A max of 0 says that rows of this kind are not wanted. The counts grow; the caller resets them.
cdef struct WireOut:
    Tick *ticks
    DepthRow *rows
    StatsRow *stats
    Notice *notices
    size_t tick_max
    size_t row_max
    size_t stat_max
    size_t notice_max
    size_t tick_count
    size_t row_count
    size_t stat_count
    size_t notice_count


cpdef enum WireCount:        # places of the counters that decoders share
    """What a decoder counts; `COUNT_NAMES` holds their names."""

    MESSAGES = 0
    BYTES = 1
    PACKETS = 2              # decoded, whether or not their instrument is known
    UNKNOWN_CODE = 3         # stepped over by their own length
    CUT = 4                  # the message ended inside a packet
    SHORT = 5                # the length field leaves no room for the fields: stepped over
    LOST = 6                 # no length to step by: the rest of the message was dropped
    TRAILING = 7             # fewer bytes than a header at the end of a message
    DROPPED_BYTES = 8        # in all of the above but UNKNOWN_CODE
    LENGTH_FIELD = 9         # decoded although the length field says another size
    UNKNOWN_SEGMENT = 10
    UNKNOWN_INSTRUMENT = 11  # not in the table: decoded, no record made
    BAD_PRICE = 12           # negative, not a number, or absurd: packet refused
    OFF_TICK = 13            # prices that are not on the tick: kept to the price unit
    NO_TRADE = 14            # ticks that repeat the last trade, or never traded
    VOLUME_BACK = 15         # the day's volume fell: a new day or a correction
    QTY_WRAP = 16            # see TickFlag.QTY_WRAPPED
    RAW_SIDE = 17            # sides that were not a valid book
    ROWS_CUT = 18            # depth rows beyond the levels of the feed
    COUNTS = 19


cdef struct WireCounters:
    uint64_t counts[19]
    uint64_t codes[256]      # packets seen by code, decoded or stepped over


# What one look at a message found. `step` is never 0: dropping the rest steps to its end.
cdef enum WireVerdict:
    GOOD
    UNKNOWN
    TOO_SHORT
    CUT_OFF
    NO_LENGTH
    TAIL


cdef struct WireStep:
    size_t step              # bytes to the next packet
    size_t size              # bytes that belong to this one; enough for its fields when GOOD
    WireVerdict verdict
    bint mismatch            # GOOD, but the length field says another size


# Count a step over bytes that were not decoded.
cdef inline void wire_count(WireCounters *counters, const WireStep *found,
                            uint8_t code) noexcept nogil:
    cdef int what
    if found.verdict == WireVerdict.UNKNOWN:
        counters.codes[code] += 1
        counters.counts[<int>WireCount.UNKNOWN_CODE] += 1
        return
    if found.verdict == WireVerdict.CUT_OFF:
        what = WireCount.CUT
    elif found.verdict == WireVerdict.TOO_SHORT:
        what = WireCount.SHORT
    elif found.verdict == WireVerdict.NO_LENGTH:
        what = WireCount.LOST
    else:
        what = WireCount.TRAILING
    counters.counts[what] += 1
    counters.counts[<int>WireCount.DROPPED_BYTES] += found.step


# The arrays of a Python door, one row a packet is always possible.
cdef class WireSink:
    cdef WireOut out
    cdef object _ticks
    cdef object _depth
    cdef object _stats
    cdef object _notices
    cdef list _parts
    cdef void flush(self)
    cdef object take(self)
