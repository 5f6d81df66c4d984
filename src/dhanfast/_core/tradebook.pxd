"""Small sums that the kernel needs: whole paise, whole units, when a bar is complete.

Owner thread:  any; pure functions.   Memory: none.
"""

from libc.stdint cimport int64_t

from dhanfast._core.portfolio cimport Bill
from dhanfast._core.runlog cimport Trade
from dhanfast._core.types cimport Session, ns_t, paise_t


# The size of a signed quantity.
cdef inline int64_t units(int64_t qty) noexcept nogil:
    return qty if qty >= 0 else -qty


# The nearest multiple of the tick, halves up; never below one tick.
cdef inline paise_t price_on_tick(paise_t price, paise_t tick) noexcept nogil:
    return max(tick, (max(price, tick) + tick // 2) // tick * tick)


# Add a fill's charges to its trade's.
cdef inline void trade_charge(Trade *trade, const Bill *bill) noexcept nogil:
    trade.brokerage += bill.brokerage
    trade.exchange += bill.exchange
    trade.sebi += bill.sebi
    trade.ipft += bill.ipft
    trade.stamp += bill.stamp
    trade.stt += bill.stt
    trade.gst += bill.gst


# When a bar that starts at start_ns is complete: its length, cut at the window's close.
cdef inline ns_t bar_end(const Session *session, ns_t start_ns, ns_t interval_ns) noexcept nogil:
    cdef ns_t close_ns = session.close_ns
    if session.open2_ns and start_ns >= session.open2_ns:
        close_ns = session.close2_ns
    return min(start_ns + interval_ns, close_ns)
