"""Figures of an option chain, one set after the other, as they became known to a run.

Owner thread:  the engine thread only.   Memory: none after construction.

A set is what one look at the chain gave. It is known from its `at_ns` on and never before: a bar
sees the last set at or before its end, `on_chain` each set when its time has come. A figure that
was not asked for, or that has no answer, is NaN.
"""

from libc.stdint cimport int64_t, uint64_t

from dhanfast._core.types cimport ns_t


cpdef enum ChainFigure:
    """Which figure; its place in `ChainRow.figures`."""

    FORWARD = 0              # rupees, of put-call parity near the money
    ATM_STRIKE = 1           # rupees, the listed strike nearest to the forward
    ATM_IV = 2               # a year, a fraction: volatility at the forward
    STRADDLE = 3             # rupees, call and put at the strike at the money
    RISK_REVERSAL = 4        # a fraction: 25 delta, call less put
    BUTTERFLY = 5            # a fraction: mean of both 25 deltas less at the money
    DAYS_TO_EXPIRY = 6       # days of 24 hours, with their parts
    IV_RANK_30 = 7           # 0..100, of ATM_IV among that many sessions before
    IV_RANK_90 = 8
    IV_RANK_252 = 9
    IV_PERCENTILE_30 = 10    # 0..100
    IV_PERCENTILE_90 = 11
    IV_PERCENTILE_252 = 12
    # From here on open interest or volume is needed, which no model has.
    PCR = 13                 # puts a call by open interest, all strikes
    PCR_NEAR = 14            # the same near the money
    CALL_OI = 15             # units open, all strikes
    PUT_OI = 16
    CALL_OI_CHANGE = 17      # units, since the end of the session before
    PUT_OI_CHANGE = 18
    CALL_BUILD_UP = 19       # BuildUp of the calls near the money since then, 0..4
    PUT_BUILD_UP = 20
    SUPPORT = 21             # rupees, the strike with most open puts
    RESISTANCE = 22          # rupees, the strike with most open calls
    MAX_PAIN = 23            # rupees
    GAMMA_EXPOSURE = 24      # rupees for a move of 1 %
    PCR_VOLUME = 25          # puts a call by volume, all strikes
    PCR_VOLUME_NEAR = 26     # the same near the money


cdef enum:
    CHAIN_FIGURES = 27
    SETS_KEPT = 256          # of a feed that is told set by set


cdef packed struct ChainRow:             # one set
    ns_t at_ns                           # known from then on, UTC
    double figures[CHAIN_FIGURES]


cdef class ChainFeed:
    cdef ChainRow *rows                  # set i is rows[i % room]
    cdef size_t room
    cdef object _owner
    cdef bint told                       # set by set; else all of them were handed in
    cdef readonly uint64_t count         # sets so far
    cdef readonly ns_t age_ns            # an older set counts as unknown; 0: however old
    cdef readonly object figures         # frozenset of the names that its sets may have

    # A new set; one that is not later than the last is dropped: False.
    cdef bint add(self, const ChainRow *row) noexcept nogil
    # Set `at`, or NULL when it is no longer kept.
    cdef const ChainRow *row(self, uint64_t at) noexcept nogil
    # `at` moved on past every set that is known at `now_ns`.
    cdef uint64_t known(self, uint64_t at, ns_t now_ns) noexcept nogil
    # The last set before `at`; NULL when there is none, or it is too old at `now_ns`.
    cdef const ChainRow *fresh(self, uint64_t at, ns_t now_ns) noexcept nogil
