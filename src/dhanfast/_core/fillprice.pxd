"""What a simulated fill costs: pure functions of prices, always rounded against the order.

`side` is +1 for a buy and -1 for a sell. A buy pays more when a price is rounded against it.
"""

from libc.stdint cimport int64_t

from dhanfast._core.types cimport Bar, ns_t, paise_t


cdef extern from *:
    """
    #include <stdint.h>
    /* from + (to - from) * part / whole, away from `from`; 0 <= part <= whole, whole > 0. */
    static inline int64_t df_between(int64_t from, int64_t to, int64_t part, int64_t whole) {
        __int128 way = (__int128)(to >= from ? to - from : from - to) * part;
        int64_t step = (int64_t)((way + whole - 1) / whole);
        return to >= from ? from + step : from - step;
    }
    """
    int64_t df_between(int64_t start, int64_t end, int64_t part, int64_t whole) noexcept nogil


# The limit of a market order without protection: any price is inside it. Never a fill price.
cdef enum:
    FAR_SELL = 0
cdef inline paise_t far_limit(int side) noexcept nogil:
    return (<paise_t>1 << 62) if side > 0 else FAR_SELL


# The next price on the tick that is no better for the order. Prices are positive.
cdef inline paise_t price_against(paise_t price, paise_t tick, int side) noexcept nogil:
    cdef paise_t over
    if tick <= 1:
        return price
    over = price % tick
    if over == 0:
        return price
    if side > 0:
        return price + tick - over
    return price - over if price > over else tick


# `price` moved against the order by slippage, on the tick, at least one tick.
cdef inline paise_t price_slipped(paise_t price, paise_t slippage, int64_t slippage_e6,
                                  paise_t tick, int side) noexcept nogil:
    cdef paise_t away = slippage
    cdef paise_t least = tick if tick > 1 else 1
    if slippage_e6:
        away += (price * slippage_e6 + 999_999) // 1_000_000
    if side < 0 and away >= price:
        return least
    return price_against(price + side * away, tick, side)


# Does `price` satisfy a limit? `through`: only when strictly better.
cdef inline bint price_within(paise_t price, paise_t limit, int side, bint through) noexcept nogil:
    if side > 0:
        return price < limit if through else price <= limit
    return price > limit if through else price >= limit


cdef inline paise_t price_worse(paise_t a, paise_t b, int side) noexcept nogil:
    if side > 0:
        return a if a > b else b
    return a if a < b else b


cdef inline paise_t price_better(paise_t a, paise_t b, int side) noexcept nogil:
    return price_worse(a, b, -side)


# What a market order that becomes active at `active_ns` inside a bar pays: the open, moved towards
# the bar's worst price for it in proportion to the part of the bar that has gone by.
cdef inline paise_t price_inside(const Bar *bar, ns_t end_ns, ns_t active_ns,
                                 int side) noexcept nogil:
    if active_ns <= bar.start_ns or end_ns <= bar.start_ns:
        return bar.open
    return df_between(bar.open, bar.high if side > 0 else bar.low,
                      (active_ns if active_ns < end_ns else end_ns) - bar.start_ns,
                      end_ns - bar.start_ns)
