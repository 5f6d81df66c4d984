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

from libc.stdint cimport int64_t, uint32_t, uint64_t

from dhanfast._core.risk cimport Gate
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ApprovedOrder, Bar, Report, Session, Tick, ns_t, paise_t
from dhanfast._core.venue cimport MatchRules, Quiet, Venue


cdef class Match:
    cdef MatchRules rules
    cdef Gate gate                   # whose seals are honoured
    cdef Quiet *quiet                # per instrument
    cdef readonly uint32_t instruments
    cdef readonly uint32_t live      # orders not yet done
    cdef readonly uint64_t pending_reports
    cdef Venue venue
    cdef uint64_t last_id            # ids must increase: an approval is good for one submit

    # OK: taken in (REJECTED may still follow as a report). POOL_FULL: no place, or reports must be
    # taken first. NOT_APPROVED: bad seal, or an id that is not above all ids before it.
    cdef Status submit(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil
    # As submit and modify, of what belongs to an order that is there already (its stop and target):
    # no latency, and not behind what is on its way.
    cdef Status attach(self, const ApprovedOrder *order, ns_t at_ns) noexcept nogil
    cdef Status resize(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t at_ns) noexcept nogil
    # OK or UNKNOWN_ORDER. A cancel is subject to the same latency; CANCELLED follows as a report.
    cdef Status cancel(self, uint64_t order_id, ns_t now_ns) noexcept nogil
    # Price, trigger and quantity of a working order; keeps priority only if just the quantity
    # falls.
    # `qty` is the order's whole quantity, fills included, so that a fill on the way cannot add up.
    cdef Status modify(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t now_ns) noexcept nogil
    # A new day or contract: DAY orders left over EXPIRE first, then the new rules hold.
    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil
    cdef void bar_open(self, const Bar *bar, ns_t end_ns) noexcept nogil
    cdef void bar_range(self, const Bar *bar, ns_t end_ns) noexcept nogil
    cdef void tick(self, const Tick *tick) noexcept nogil
    # True when every order of instrument 0 rests at the exchange: a tick whose prices, trade and
    # both quotes, all lie strictly between floor and ceiling then changes none of them.
    cdef bint calm(self, paise_t *floor, paise_t *ceiling) noexcept nogil
    # A snapshot of the book, best first, quantities in units. Marketable orders walk the levels.
    cdef void depth(self, uint32_t instrument, const paise_t *bid_px, const int64_t *bid_qty,
                    size_t bids, const paise_t *ask_px, const int64_t *ask_qty, size_t asks,
                    ns_t now_ns) noexcept nogil
    # Copy up to `limit` reports, oldest first; returns how many.
    cdef size_t take(self, Report *out, size_t limit) noexcept nogil
    cdef void _count(self) noexcept nogil
    cdef uint32_t _index(self, object instrument) except? 0xFFFFFFFF


cdef inline bint match_is_quiet(const Quiet *quiet, const Bar *bar) noexcept nogil:
    return bar.low > quiet.low and bar.high < quiet.high
