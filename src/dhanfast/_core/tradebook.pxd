"""Small sums that booking a trade needs: whole paise, whole units.

Owner thread:  any; pure functions.   Memory: none.
"""

from libc.stdint cimport int64_t

from dhanfast._core.portfolio cimport Bill
from dhanfast._core.runlog cimport Trade
from dhanfast._core.types cimport paise_t


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
