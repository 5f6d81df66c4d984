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

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.risk cimport Gate
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ApprovedOrder, Bar, Order, Report, Session, Tick, ns_t, paise_t


cdef struct MatchRules:
    ns_t latency_ns          # from submit to working at the exchange
    paise_t slippage         # paise, against the order, on market fills and triggered stops
    int64_t slippage_e6      # in addition, 1e-6 of the price
    int64_t protection_e4    # a MARKET order's limit: market price +- this, 1e-4
    int64_t volume_share_e4  # share of a bar's or tick's quantity one order may take; 0 = all
    int32_t limit_through    # 1: a limit fills only when the price trades through it; 0: at touch
    int32_t stop_market_ok   # 1: SL-M accepted (before 2021-09-27, or futures)


# Per instrument: a bar with low > `low` and high < `high` changes no order. Wide open when there
# are no working orders; never quiet (low = INT64_MAX) while an order waits to become active.
cdef struct Quiet:
    paise_t low
    paise_t high


cdef class Match:
    cdef MatchRules rules
    cdef Gate gate                   # whose seals are honoured
    cdef Quiet *quiet                # per instrument
    cdef readonly uint32_t instruments
    cdef readonly uint32_t live      # orders not yet done
    cdef readonly uint64_t pending_reports

    # OK: taken in (REJECTED may still follow as a report). POOL_FULL. NOT_APPROVED: bad seal.
    cdef Status submit(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil
    # OK or UNKNOWN_ORDER. A cancel is subject to the same latency; CANCELLED follows as a report.
    cdef Status cancel(self, uint64_t order_id, ns_t now_ns) noexcept nogil
    # Price, trigger and quantity of a working order; priority stays if only the quantity falls.
    cdef Status modify(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t now_ns) noexcept nogil
    # A new day or contract: DAY orders left over EXPIRE first, then the new rules hold.
    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil
    cdef void bar_open(self, const Bar *bar, ns_t end_ns) noexcept nogil
    cdef void bar_range(self, const Bar *bar, ns_t end_ns) noexcept nogil
    cdef void tick(self, const Tick *tick) noexcept nogil
    # Copy up to `limit` reports, oldest first; returns how many.
    cdef size_t take(self, Report *out, size_t limit) noexcept nogil


cdef inline bint match_is_quiet(const Quiet *quiet, const Bar *bar) noexcept nogil:
    return bar.low > quiet.low and bar.high < quiet.high
