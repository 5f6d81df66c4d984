"""Our orders against ticks and depth snapshots; the rules in words are in `match.pyx`."""

from libc.stdint cimport int64_t, uint32_t

from dhanfast._core.types cimport Tick, ns_t, paise_t
from dhanfast._core.venue cimport Venue

cdef enum:
    DEPTH_MAX = 200          # levels a side; deeper ones are not looked at


cdef void tick_apply(Venue *venue, const Tick *tick) noexcept nogil
cdef void depth_apply(Venue *venue, uint32_t instrument, const paise_t *bid_px,
                      const int64_t *bid_qty, size_t bids, const paise_t *ask_px,
                      const int64_t *ask_qty, size_t asks, ns_t now_ns) noexcept nogil
