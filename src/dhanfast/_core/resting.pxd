"""Where simulated orders live: one fixed pool of places, four sorted lists an instrument, reports.

A place moves FREE -> SENT (on its way) -> WAITING (a stop before its trigger) or WORKING -> FREE.
The lists hold WAITING and WORKING places in priority order:
    BUY_LIMIT   highest limit first     SELL_LIMIT   lowest limit first     then first come
    BUY_STOP    lowest trigger first    SELL_STOP    highest trigger first  then first come

Owner thread:  the engine thread only.   Memory: two allocations by pool_open, none after.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.types cimport Order, Report, ReportKind, ns_t, paise_t


cdef enum:
    BUY_LIMIT = 0
    SELL_LIMIT = 1
    BUY_STOP = 2
    SELL_STOP = 3
    LISTS = 4
    NOWHERE = -1             # no place
    QUEUE_UNKNOWN = -1


cdef enum PlaceState:
    FREE = 0
    SENT = 1
    WAITING = 2
    WORKING = 3


cdef struct Place:
    Order order              # as sent, with modifications
    paise_t limit            # what it may pay once it works
    ns_t active_ns           # when it, or its last modification, reached the exchange
    int64_t left             # units still open
    int64_t gone             # units filled, or taken off by a fill in its group
    int64_t queue            # units of others ahead at its price; QUEUE_UNKNOWN
    uint64_t arrival         # time priority
    uint64_t visit           # the last pass that looked at it
    ns_t share_ns            # the bar that `share_used` counts for
    int64_t share_used
    int32_t next
    int32_t prev
    int32_t chain            # next place of the same hash bucket, or of the free list
    int32_t list
    uint8_t state            # PlaceState
    uint8_t taker            # 1: has not been seen resting yet, takes liquidity
    uint8_t priced           # 0: a market order that has not met a price yet


cdef struct Pool:
    Place *places
    int32_t *buckets         # order id -> first place
    uint64_t bucket_mask
    uint32_t size
    uint32_t live            # places not FREE
    uint32_t top             # places from here on have never been used
    int32_t first_free
    uint64_t arrivals
    Report *reports          # ring
    uint64_t report_mask
    uint64_t report_head     # next to write
    uint64_t report_tail     # next to read


# 0, or -1 without memory. `reports_min` is rounded up to a power of two.
cdef int pool_open(Pool *pool, uint32_t size, uint64_t reports_min) noexcept nogil
cdef void pool_close(Pool *pool) noexcept nogil
# The place of a new order (SENT, all of it left), NOWHERE when full.
cdef int32_t pool_take(Pool *pool, const Order *order) noexcept nogil
cdef int32_t pool_find(const Pool *pool, uint64_t order_id) noexcept nogil
# Free a place. It must be on no list.
cdef void pool_release(Pool *pool, int32_t at) noexcept nogil
# Put a place on a list by price and arrival; `heads` are the LISTS heads of its instrument.
cdef void list_insert(Pool *pool, int32_t *heads, int32_t at, int32_t which) noexcept nogil
cdef void list_remove(Pool *pool, int32_t *heads, int32_t at) noexcept nogil
# Append one report on an order. The caller has made sure of room.
cdef void report_order(Pool *pool, const Place *place, ReportKind kind, ns_t time_ns, paise_t price,
                       int64_t qty, int reason) noexcept nogil

cdef inline uint64_t pool_room(const Pool *pool) noexcept nogil:
    return pool.report_mask + 1 - (pool.report_head - pool.report_tail)
