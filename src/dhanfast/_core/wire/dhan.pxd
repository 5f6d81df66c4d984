"""Dhan's live market feed, protocol version 2: one WebSocket message to records.

Who may call what:  one thread a decoder, the one that reads its connection.
Memory:             all of it at construction; the message is read where it lies.
Errors:             none are raised. Whatever bytes come, they are decoded, stepped over or dropped,
                    and counted (WireCount); nothing outside [frame, frame + size) is read.

A message holds packets back to back, little endian, each with this head:

    0  u1  code   1  u2  length of the packet with its head   3  u1  segment   4  u4  security id

The structs below are the layouts; a packet is read through a pointer to one of them. Stepping: a
known code by its own size; if the length field says another size, the field wins unless the
message ends after the known size or the field cannot be (below 8, or beyond the message). An
unknown code by its length field if that can be, else the rest of the message is dropped.

What becomes of a packet whose security is in the table:

    2 ticker        Tick
    3 legacy depth  Tick with best bid and ask, DepthRows
    4 quote         Tick, StatsRow when it changed
    5 open interest Tick without a trade
    6 previous close StatsRow when it changed
    8 full          Tick with best bid and ask, DepthRows, StatsRow when it changed
    7 market status, 50 disconnect   Notice, in the table or not

A Tick has a price only when its packet tells of a trade: Dhan repeats the last trade in every
packet. A trade is new when the volume rose or price, time or quantity of the last trade differ
from those seen before. The first packet of an instrument has the price and TickFlag.SEED. Volume
and open interest are carried forward when a packet has none; bid and ask are not (0: unknown).

Time: LTT is the wall clock of India counted as an epoch, in whole seconds; exch_ns is UTC. A record
without a time of its own has the instrument's last one, 0 when there was none.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from dhanfast._core.book cimport Level
from dhanfast._core.types cimport Side, Tick, ns_t, paise_t
from dhanfast._core.wire.records cimport StatsRow, WireCounters, WireOut, WireSink, WireStep
from dhanfast._core.wire.sides cimport SideState
from dhanfast._core.wire.table cimport WireTable, WireTableState


cpdef enum DhanCode:
    """Codes of packets, of the live feed and of both depth feeds."""

    TICKER = 2
    LEGACY_DEPTH = 3
    QUOTE = 4
    OI = 5
    PREV_CLOSE = 6
    MARKET_STATUS = 7
    FULL = 8
    BID = 41                 # depth feeds only
    DISCONNECT = 50
    ASK = 51                 # depth feeds only


cdef enum:
    IST_S = 19800            # LTT is this far ahead of UTC
    SEGMENT_INDEX = 0
    FEED_LEVELS = 5
    FEED_ROWS_MAX = 22       # two sides of side_rows_max(5)


cdef packed struct DhanHead:         # 8 bytes
    uint8_t code
    uint16_t length
    uint8_t segment
    uint32_t security_id


cdef packed struct DhanTicker:       # 16
    DhanHead head
    float ltp
    uint32_t ltt


cdef packed struct DhanPrevClose:    # 16
    DhanHead head
    float prev_close
    uint32_t prev_oi


cdef packed struct DhanOi:           # 12
    DhanHead head
    uint32_t oi


cdef packed struct DhanLast:         # 26: what quote and full begin with
    float ltp
    uint16_t ltq                     # 16 bits: wraps
    uint32_t ltt
    float atp
    uint32_t volume
    uint32_t total_sell_qty          # sells come before buys
    uint32_t total_buy_qty


cdef packed struct DhanDay:          # 16
    float open
    float close                      # before high and low
    float high
    float low


cdef packed struct DhanQuote:        # 50
    DhanHead head
    DhanLast last
    DhanDay day


cdef packed struct DhanLevel:        # 20
    uint32_t bid_qty
    uint32_t ask_qty
    uint16_t bid_orders
    uint16_t ask_orders
    float bid_price
    float ask_price


cdef packed struct DhanFull:         # 162
    DhanHead head
    DhanLast last
    uint32_t oi
    uint32_t oi_day_high
    uint32_t oi_day_low
    DhanDay day
    DhanLevel depth[5]


cdef packed struct DhanLegacyDepth:  # 112, protocol version 1
    DhanHead head
    float ltp
    DhanLevel depth[5]


cdef packed struct DhanDisconnect:   # 10
    DhanHead head
    uint16_t reason


cdef struct FeedState:               # one instrument: what its last packets said
    ns_t exch_ns
    paise_t price                    # of the last trade
    uint64_t volume
    uint32_t ltp_bits
    uint32_t ltt
    uint32_t ltq
    uint32_t oi
    int32_t seen                     # a packet with a last trade has come
    int32_t has_volume
    int32_t has_book
    int32_t has_day
    DhanDay day                      # the day's prices as they came
    DhanLevel sent[5]                # the book as it came
    int32_t given_whole              # `given` has all levels, else the best of each side only
    Level given[10]                  # the same in paise: 5 bids, 5 asks
    StatsRow stats
    SideState bid                    # the sides that the rows written so far make
    SideState ask
    Level levels[10]                 # of `bid` and `ask`


cdef struct DhanFeed:
    const WireTableState *table
    FeedState *states                # by slot of the table
    WireCounters counters


# Decode a message, or the rest of one. Returns the bytes it is done with: `size`, or less when
# `out` is full; empty it and call again with what is left. Each array that is wanted has room for
# one packet at least: 1 tick, FEED_ROWS_MAX rows, 1 stat, 1 notice.
cdef size_t dhan_decode(DhanFeed *feed, const uint8_t *frame, size_t size, ns_t recv_ns,
                        WireOut *out) noexcept nogil
# One look at the packet that begins at `frame`; size > 0.
cdef WireStep dhan_step(const uint8_t *frame, size_t size) noexcept nogil
# A side of an instrument's five levels, best first, into `levels`; how many: 0 as well when the
# side is not known, -1 when it is not a valid one (sides.pxd).
cdef int32_t dhan_side(const DhanFeed *feed, uint32_t instrument, Side side,
                       Level levels[5]) noexcept nogil
# Messages of this instrument may have been missed: its next trade is a SEED and its next book a
# snapshot; `dhan_side` knows nothing until then. Volume and open interest stay: they are totals.
cdef void dhan_forget(DhanFeed *feed, uint32_t slot) noexcept nogil


# UTC from LTT; 0 stays 0: no trade yet.
cdef inline ns_t dhan_utc(uint32_t ltt) noexcept nogil:
    return (<ns_t>ltt - IST_S) * 1_000_000_000 if ltt else 0


cdef class DhanDecoder:
    cdef DhanFeed feed
    cdef readonly WireTable table
    cdef WireSink _sink
