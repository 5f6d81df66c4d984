"""The sim exchange's kernel: price-time priority for simulated orders against market events.

Owner thread:  the engine thread only.
Memory:        one allocation at construction (order pool, report queue), none after.
Flow:          submit/cancel/modify -> (latency) -> working -> market events -> reports, in order.

Market events come as ticks, depth snapshots or bars. A bar is two events, so that the caller can
react to what the open did before the rest of the bar is applied:
    bar_open    what happens at the bar's first print: orders that became active fill or trigger
    bar_range   what happens inside the bar, in the pessimistic order: of one group, stops first
Order ids are the caller's; `group` links a stop and a target: a fill of one reduces or cancels the
others.
"""

from libc.stdint cimport int64_t, uint32_t

from dhanfast._core.broker cimport Broker
from dhanfast._core.types cimport ns_t, paise_t
from dhanfast._core.venue cimport Venue


cdef class Match(Broker):
    cdef Venue venue

    # A snapshot of the book, best first, quantities in units. Marketable orders walk the levels.
    cdef void depth(self, uint32_t instrument, const paise_t *bid_px, const int64_t *bid_qty,
                    size_t bids, const paise_t *ask_px, const int64_t *ask_qty, size_t asks,
                    ns_t now_ns) noexcept nogil
    cdef void _count(self) noexcept nogil
    cdef uint32_t _index(self, object instrument) except? 0xFFFFFFFF
