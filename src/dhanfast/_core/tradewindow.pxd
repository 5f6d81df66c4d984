"""The last closed trades, and what a window of time holds of them.

Owner thread:  any; a ring belongs to one.   Memory: `trades`, given at construction.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.types cimport ns_t, paise_t

cdef enum:
    TRADES_KEPT = 512        # a window never reaches farther back


cdef struct ClosedTrade:
    ns_t exit_ns
    paise_t net              # after charges
    int32_t side             # Side it was held on
    int32_t stopped          # 1: closed by its stop, at a loss


cdef struct TradeRing:
    ClosedTrade *trades      # TRADES_KEPT of them
    uint64_t count           # ever added


cdef struct WindowSum:
    int64_t trades
    paise_t total
    paise_t fall             # deepest fall of the running total from its highest, 0 at the start


cdef inline void ring_add(TradeRing *ring, const ClosedTrade *trade) noexcept nogil:
    ring.trades[ring.count % TRADES_KEPT] = trade[0]
    ring.count += 1


cdef inline uint64_t window_first(const TradeRing *ring, ns_t after_ns) noexcept nogil:
    """The number of the oldest trade that closed after a time."""
    cdef uint64_t at = ring.count
    cdef uint64_t oldest = at - TRADES_KEPT if at > TRADES_KEPT else 0
    while at > oldest and ring.trades[(at - 1) % TRADES_KEPT].exit_ns > after_ns:
        at -= 1
    return at


cdef inline int64_t window_stops(const TradeRing *ring, ns_t after_ns, int side) noexcept nogil:
    """Stops among them, of one side or (0) of both."""
    cdef const ClosedTrade *trade
    cdef int64_t stops = 0
    cdef uint64_t at = window_first(ring, after_ns)
    while at < ring.count:
        trade = &ring.trades[at % TRADES_KEPT]
        if trade.stopped and (side == 0 or trade.side == side):
            stops += 1
        at += 1
    return stops


cdef inline WindowSum window_sum(const TradeRing *ring, ns_t after_ns) noexcept nogil:
    cdef WindowSum found
    cdef paise_t peak = 0
    cdef uint64_t at = window_first(ring, after_ns)
    found.trades, found.total, found.fall = <int64_t>(ring.count - at), 0, 0
    while at < ring.count:
        found.total += ring.trades[at % TRADES_KEPT].net
        peak = max(peak, found.total)
        found.fall = max(found.fall, peak - found.total)
        at += 1
    return found
