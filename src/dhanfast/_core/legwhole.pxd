"""The structure as one position: stop, target and lock of its result, and its entry again.

Owner thread:  the engine thread only.   Memory: none after construction.

The result counts from the structure's beginning, every leg and the hedge, by the marks of a row:

    stop      the result is at or below -stop; with a trail it rises by `trail_step` for every whole
              `trail_every` of the best result, and never falls
    lock      from a best result of `lock_at` on, at least `lock_keep` is kept, and `lock_step` more
              for every whole `lock_every` beyond it. A lock is a stop that has come to a profit
    target    the result is at or above it

    running ──stop, lock, target, or a leg's with `complete`──▶ leaves ──flat, pause over──▶ again
                                                                  └─ none left, or all was left
                                                                     for another reason: over
Rupees are of the file's own lots, and grow with the structures that are sent.
"""

from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.hedger cimport Hedge
from dhanfast._core.legorder cimport LegOrder, Told
from dhanfast._core.legrisk cimport LegRisk
from dhanfast._core.portfolio cimport Portfolio
from dhanfast._core.tradebook cimport units
from dhanfast._core.types cimport ns_t, paise_t

cpdef enum PlanUnit:
    """What stop and target of the whole count."""

    UNSET = 0
    RUPEES = 1
    PREMIUM = 2              # percent of the net premium of the first entries


cdef struct PlanRules:
    double stop
    double target
    double trail_every       # in the unit of the stop
    double trail_step
    double lock_at
    double lock_keep
    double lock_every
    double lock_step
    int32_t stop_unit        # PlanUnit
    int32_t target_unit
    int32_t lock_unit
    int32_t to_cost          # 1: a stop moves the other legs' stops to cost; 2: of those with one
    int32_t complete         # 1: a leg's stop or target takes all legs with it
    int32_t hold             # 1: held to the expiry; 0: out every day
    int32_t settles          # 1: with hold: to the final settlement
    int32_t signals          # 1: entered and left on signals, not by the clock
    int32_t again_stop       # how often all are entered again after a stop of the whole
    int32_t again_stop_how   # Again
    int32_t again_stop_turn  # 1: the other way round
    int32_t again_target
    int32_t again_target_how
    int32_t again_target_turn
    ns_t again_stop_pause    # not before so long after the decision
    ns_t again_target_pause
    int32_t repairs          # of the order: see legorder.pxd
    ns_t deadline_ns


# Paise that one of a unit is; 0 = not known yet.
cdef inline double whole_factor(int unit, paise_t premium, double scale) noexcept nogil:
    cdef double base = units(premium)
    if unit == PlanUnit.RUPEES:
        return 100.0 * scale
    return 0.01 * base if unit == PlanUnit.PREMIUM else 0.0


# What a result asks for: COMBINED_STOP, TRAILED, LOCKED, COMBINED_TARGET; 0 = nothing.
cdef inline int whole_asks(const PlanRules *rules, paise_t result, paise_t best, paise_t premium,
                           double scale) noexcept nogil:
    cdef double factor = whole_factor(rules.stop_unit, premium, scale)
    cdef double steps
    if factor > 0.0:
        if -result >= rules.stop * factor:
            return Told.COMBINED_STOP
        if rules.trail_every > 0.0 and best > 0:
            steps = floor(best / (rules.trail_every * factor))
            if steps > 0.0 and result <= (steps * rules.trail_step - rules.stop) * factor:
                return Told.TRAILED
    factor = whole_factor(rules.lock_unit, premium, scale)
    if factor > 0.0 and best >= rules.lock_at * factor:
        steps = 0.0
        if rules.lock_every > 0.0:
            steps = floor((best - rules.lock_at * factor) / (rules.lock_every * factor))
        if result <= (rules.lock_keep + steps * rules.lock_step) * factor:
            return Told.LOCKED
    factor = whole_factor(rules.target_unit, premium, scale)
    if factor > 0.0 and result >= rules.target * factor:
        return Told.COMBINED_TARGET
    return 0


cdef class LegWhole(LegOrder):
    cdef PlanRules plan
    cdef readonly Portfolio portfolio
    cdef readonly LegRisk risk       # what an entry has to pass; None: the gate alone
    cdef readonly Hedge hedge        # None: the structure has none
    cdef paise_t hedge_before        # its result when the structure in hand began
    cdef paise_t best                # best result of the structure in hand
    cdef int32_t turned              # -1: every leg the other way round
    cdef int32_t stops_left          # entries again, of the day's structure
    cdef int32_t targets_left
    cdef readonly int restart        # Again: how all go in again; 0 = they do not
    cdef ns_t restart_ns             # not before
    cdef paise_t cost                # of the structure that has left, as `net_price` counts
    cdef int32_t cost_way            # with COST: +1 in again at or above it, -1 at or below
    cdef readonly uint64_t to_cost   # stops moved to cost
    cdef readonly uint64_t combined_stops
    cdef readonly uint64_t combined_targets
    cdef readonly uint64_t locks     # left to keep a profit
    cdef readonly uint64_t with_leg  # left with one of its legs
    cdef readonly uint64_t restarts  # entered again whole

    # What the hedge has made since the start, gross, its open quantity at the mark; 0 without one.
    cdef paise_t hedge_result(self) noexcept nogil
    # Legs whose trade has ended; stops of premium that trail.
    cdef void closings(self, ns_t now_ns) noexcept nogil
    cdef void ended(self, size_t i, ns_t now_ns) noexcept nogil
    cdef void arm(self, size_t i, size_t other, ns_t now_ns) noexcept nogil
    # Stops and targets of legs that count the underlying, by its level at the end of a row.
    cdef void by_index(self, paise_t index, ns_t now_ns) noexcept nogil
    # Stop, lock and target by the marks.
    cdef void combined(self, ns_t now_ns) noexcept nogil
    # A leg's trade has ended for this reason; True: all leave with it.
    cdef bint complete(self, size_t i, int reason, ns_t now_ns) noexcept nogil
    # All leave, for a stop or a target: they may go in again.
    cdef void out(self, int reason, ns_t now_ns) noexcept nogil
    # A structure that the clock begins: as the file says it, with every entry again to come.
    cdef void fresh_start(self) noexcept nogil
    # What the legs that have been in would be worth, bought and sold as they were: by what they
    # have paid, or by their marks.
    cdef paise_t net_price(self, bint paid) noexcept nogil
    # Whether all may go in again now, as far as time, price and what is still open go.
    cdef bint restart_due(self, ns_t now_ns) noexcept nogil
    # Every leg's side, before it is entered.
    cdef void set_sides(self) noexcept nogil
