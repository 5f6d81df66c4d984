"""The risk gate: the one place that turns an Order into an ApprovedOrder.

Owner thread:  the engine thread only.   Memory: none after construction.
Law:           an order flagged EXIT that does reduce the position passes every limit and every
               state; it is refused only when malformed (quantity, tick, unknown instrument).
               An EXIT larger than the position is cut by the caller, not here: it is MALFORMED.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.guards cimport Guards
from dhanfast._core.types cimport ApprovedOrder, Order, RejectReason, Session, ns_t, paise_t


cpdef enum RiskState:
    """What the gate lets through, beside its limits."""

    ACTIVE = 0
    REDUCING = 1             # exits only
    HALTED = 2               # exits only, set by an operator or a limit that needs one


cdef struct RiskLimits:      # 0 switches a limit off
    int64_t qty_max          # units an order
    paise_t notional_max     # paise an order
    int64_t position_max     # |units| after the order
    paise_t loss_day_max     # paise; day P&L at or below -this sets REDUCING until the next day
    int64_t band_e4          # |limit - mark| <= mark * band_e4 / 10,000
    int32_t orders_per_s_max  # entries and exits are counted, only entries refused
    int32_t margin_check     # 1: an entry needs free margin


cdef struct RiskView:        # what the gate must know about the world, filled by the kernel
    int64_t position         # signed units held in the order's instrument
    int64_t pending          # signed units of working entry orders in it
    paise_t mark
    paise_t day_pnl
    paise_t margin_free
    ns_t now_ns


# The seal of an order under a key: a keyed 64-bit hash of all 64 bytes. ~2 ns.
cdef uint64_t order_seal(uint64_t key, const Order *order) noexcept nogil


cdef class Gate:
    cdef RiskLimits limits
    cdef readonly int32_t state      # RiskState as set by operator or caller
    cdef uint64_t key                # random, made at construction, never shown to Python
    cdef readonly Guards guards      # rules that entries wait for; None = none
    cdef uint64_t counts[64]         # verdicts so far by RejectReason
    cdef ns_t *rate_times            # ring of the last orders_per_s_max stamps
    cdef uint64_t rate_at
    cdef readonly bint day_locked    # the daily loss limit has been hit today
    cdef uint32_t rate_len           # places in `rate_times`; 0 when the rate is not limited
    cdef uint32_t instruments        # indexes below this are known; 0 = not checked

    # NONE (and a sealed `out`) or the reason. Never raises, never allocates.
    cdef RejectReason approve(self, const Order *order, const RiskView *view,
                              const Session *session, ApprovedOrder *out) noexcept nogil
    # A part of an entry that was approved as WORKED. What the whole has passed (position, margin,
    # size) is not asked again; seal, side, quantity (`used` of the whole is out or filled), state,
    # lot, freeze, tick, band and rate are.
    cdef RejectReason approve_child(self, const ApprovedOrder *whole, int64_t used,
                                    const Order *child, paise_t mark, ns_t now_ns,
                                    const Session *session, ApprovedOrder *out) noexcept nogil
    cdef RejectReason _child_verdict(self, const ApprovedOrder *whole, int64_t used,
                                     const Order *child, paise_t mark, ns_t now_ns,
                                     const Session *session) noexcept nogil
    cdef void new_day(self) noexcept nogil
    cdef RejectReason _verdict(self, const Order *order, const RiskView *view,
                               const Session *session) noexcept nogil
    cdef RejectReason _entry_verdict(self, const Order *order, const RiskView *view,
                                     const Session *session) noexcept nogil


# What Python holds of a verdict that was NONE. Cannot be made, copied or pickled from Python.
cdef class Approved:
    cdef ApprovedOrder value
