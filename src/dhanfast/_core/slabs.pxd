"""Protection by premium: how far beyond the market an order that must trade may pay.

Cheap options have wide quotes, dear ones narrow ones: one share for all would be too much for these
or too little for those. The table is the one that Indian brokers use for the limit that they make
of a market order:

    premium below 10 rupees  5 %       below 500 rupees  2 %
            below 100        3 %       from 500 on       1 %

A limit so protected lies one tick beyond the market at least, is rounded so that it never costs
more than that, and stays inside the operating range.

Who may call what:   any thread; pure functions.   Memory: none.
"""

from libc.stdint cimport int64_t

from dhanfast._core.types cimport paise_t

cdef enum:
    SLABS = 4


cdef struct Slabs:
    paise_t below[SLABS]     # upper end of a slab, exclusive; of the last one not looked at
    int64_t e4[SLABS]        # protection in it, 1e-4 of the price


# Protection of a price, paise, rounded down.
cdef inline paise_t slab_room_of(const Slabs *slabs, paise_t price) noexcept nogil:
    cdef int at = 0
    while at < SLABS - 1 and price >= slabs.below[at]:
        at += 1
    return price * slabs.e4[at] // 10_000


# The same by the usual table.
cdef inline paise_t slab_room_usual(paise_t price) noexcept nogil:
    return price * (500 if price < 10_00 else 300 if price < 100_00 else 200 if price < 500_00
                    else 100) // 10_000


# The limit of an order that must trade at about `price`; 0 of a range = no such end.
cdef inline paise_t slab_limit(paise_t price, paise_t tick, paise_t band_low, paise_t band_high,
                               int side) noexcept nogil:
    cdef paise_t step = tick if tick > 1 else 1
    cdef paise_t room = slab_room_usual(price)
    cdef paise_t limit = price + side * (room if room > step else step)
    if limit < step:
        limit = step
    limit = limit // step * step if side > 0 else (limit + step - 1) // step * step
    if limit < step:
        limit = step
    if band_high and limit > band_high:
        limit = band_high // step * step
    if band_low and limit < band_low:
        limit = (band_low + step - 1) // step * step
    return limit
