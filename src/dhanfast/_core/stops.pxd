"""Stops: where a position's stop and target are set when the strategy does not say, how the stop
follows the market, and when a position has been held for long enough.

Owner thread:  the engine thread only.   Memory: none; a struct of rules and one of state.
Laws:          a stop only ever tightens; it never lies at or beyond the market; it never lies
               nearer than its rule's distance from the best price (rounding is away from it).

What moves a stop is the best price since the entry's first fill: a trail keeps its distance from
it, and move-to-cost puts the stop at what the position has cost. Both are rules of that one number,
so what was seen between two moves never depends on how the market was cut into events.

A move is throttled: by at least `step_ticks`, at most one in `every_ns`, and at most `changes_max`
changes of the order that rests; after these the stop goes on here (`local`), watched at every
price, while the order stays where it was. With `rest` off it is only watched here.
"""

from libc.math cimport NAN
from libc.stdint cimport INT64_MAX, int32_t, int64_t

from dhanfast._core.types cimport Session, ns_t, paise_t


cpdef enum DistanceUnit:
    """What the number of a distance counts."""

    NONE = 0                 # there is no distance
    POINTS = 1               # rupees of price
    PERCENT = 2              # of the price it is measured from
    ATR = 3                  # average true ranges of the signal bars, when the entry was decided


cdef struct Distance:
    double amount
    int32_t unit             # DistanceUnit
    int32_t spare


cdef struct StopRules:
    Distance stop            # first stop; from the price at the decision
    Distance target
    Distance trail           # kept from the best price
    Distance trail_from      # gain at which it begins; NONE = at once
    Distance cost_at         # gain at which the stop goes to cost; NONE = never
    Distance cost_plus       # beyond cost
    int32_t cost_charges     # 1: cost counts the charges of both sides
    int32_t override         # 1: instead of the strategy's own stop and target
    int32_t rest             # 1: the stop rests at the exchange; 0: it is watched here
    int32_t step_ticks       # least move
    ns_t every_ns            # least time between two moves
    int32_t changes_max      # of one order at rest
    int32_t atr_period       # 0: no rule counts in ATRs
    int64_t bars_max         # signal bars held; 0 = no limit
    ns_t time_max_ns         # since the first fill; 0 = no limit
    int32_t only_losing      # 1: over time leaves only without a profit
    int32_t moves            # 1: there is a trail or a move to cost
    int32_t watched          # 1: prices must be looked at: moves, or a stop that is watched here
    int32_t timed            # 1: bars_max or time_max_ns
    int32_t sets             # 1: stop or target


cdef struct StopState:       # of the open position
    paise_t entry            # price of the first fill
    paise_t best             # best price since
    paise_t cost             # where move-to-cost puts the stop, on the tick; 0 = nowhere
    paise_t trail            # distance in paise; 0: `trail_e6` of the best price
    int64_t trail_e6
    paise_t trail_from       # gain
    paise_t cost_from        # gain; INT64_MAX = never
    paise_t cost_plus
    paise_t local            # the stop that is watched here; 0 = none
    ns_t next_ns             # no move before
    int32_t side             # of the position
    int32_t changes          # made to the order at rest
    double atr               # rupees, when the entry was decided; NaN unknown


# A distance in rupees from a price in rupees; 0 without one, NaN when it is not known.
cdef inline double distance_points(const Distance *distance, double price,
                                   double atr) noexcept nogil:
    if distance.unit == DistanceUnit.POINTS:
        return distance.amount
    if distance.unit == DistanceUnit.PERCENT:
        return 0.01 * distance.amount * price if price > 0 else NAN
    if distance.unit == DistanceUnit.ATR:
        return distance.amount * atr if atr > 0 else NAN
    return 0.0


# Of two stops the one nearer to the market; 0 is none.
cdef inline paise_t stop_tighter(int32_t side, paise_t one, paise_t other) noexcept nogil:
    if one == 0 or other == 0:
        return one + other
    return max(one, other) if side > 0 else min(one, other)


# A price on the tick, rounded away from the market; 0 when there is none.
cdef inline paise_t stop_away(int32_t side, paise_t price, paise_t tick) noexcept nogil:
    if price < tick:
        return 0 if side > 0 else tick
    if side > 0:
        return price // tick * tick
    return (price + tick - 1) // tick * tick


# The nearest that a stop may lie to a last price; 0: nowhere.
cdef inline paise_t stop_limit(int32_t side, paise_t last, paise_t tick) noexcept nogil:
    if side > 0:
        return (last - 1) // tick * tick
    return (last + tick) // tick * tick


# The distance that the trail keeps from a best price.
cdef inline paise_t trail_distance(const StopState *state, paise_t best,
                                   paise_t tick) noexcept nogil:
    cdef paise_t distance = state.trail
    if state.trail_e6:
        distance = best // 1_000_000 * state.trail_e6 + best % 1_000_000 * state.trail_e6 \
            // 1_000_000
    return max(distance, tick)


# Where the rules want the stop by the best price so far; 0 = nowhere yet.
cdef inline paise_t stops_level(const StopState *state, paise_t tick) noexcept nogil:
    cdef paise_t gain = state.side * (state.best - state.entry)
    cdef paise_t level = 0
    if (state.trail or state.trail_e6) and gain >= state.trail_from:
        level = stop_away(state.side,
                          state.best - state.side * trail_distance(state, state.best, tick), tick)
    if gain >= state.cost_from:
        level = stop_tighter(state.side, level, state.cost)
    return level


cdef inline void stops_best(StopState *state, paise_t low, paise_t high) noexcept nogil:
    if state.side > 0:
        state.best = max(state.best, high)
    else:
        state.best = min(state.best, low)


# Whether prices between these have touched the stop that is watched here.
cdef inline bint stops_touched(const StopState *state, paise_t low, paise_t high) noexcept nogil:
    if state.local == 0:
        return False
    return low <= state.local if state.side > 0 else high >= state.local


# Where the stop in force at `stop` (0 = none) moves now that the last price is `last`; 0 = it
# stays.
cdef inline paise_t stops_step(const StopRules *rules, const StopState *state, paise_t stop,
                               paise_t last, ns_t now_ns, paise_t tick) noexcept nogil:
    cdef paise_t want = stops_level(state, tick)
    cdef paise_t limit
    if want == 0 or now_ns < state.next_ns:
        return 0
    limit = stop_limit(state.side, last, tick)
    if limit < tick:
        return 0
    want = min(want, limit) if state.side > 0 else max(want, limit)
    if stop and state.side * (want - stop) < max(<paise_t>rules.step_ticks, 1) * tick:
        return 0
    return want


# The rules' stop and target in rupees, in place of the strategy's where they hold.
cdef void stops_set(const StopRules *rules, double price, double atr, double *stop,
                    double *target) noexcept nogil
# Whether every distance that the rules need is known.
cdef bint stops_known(const StopRules *rules, double price, double atr) noexcept nogil
# A position has opened at `entry`.
cdef void stops_open(const StopRules *rules, StopState *state, int32_t side, paise_t entry,
                     double atr, paise_t tick) noexcept nogil
# Between which prices, and before which time, no event moves the stop or touches one that is
# watched here. Never too wide; what is given is only narrowed.
cdef void stops_quiet(const StopRules *rules, const StopState *state, paise_t stop, paise_t tick,
                      ns_t last_ns, ns_t *until_ns, paise_t *floor, paise_t *ceiling) noexcept nogil
# Where one trade's stop would stand at cost: `paid` paise for `qty` units, and charges of both
# sides in micro-paise, rounded so that they are covered.
cdef paise_t stops_cost(const StopState *state, paise_t paid, int64_t qty, int64_t charges,
                        paise_t tick) noexcept nogil
# Whether an order that arrives at this time finds the exchange open.
cdef inline bint session_open(const Session *session, ns_t at_ns) noexcept nogil:
    return ((session.open_ns <= at_ns and at_ns < session.close_ns)
            or (session.open2_ns <= at_ns and at_ns < session.close2_ns))


cdef class Stops:
    cdef StopRules rules


cdef class StopWatch:
    cdef StopRules rules
    cdef StopState state
    cdef paise_t tick
    cdef readonly paise_t stop       # where it rests; 0 = nowhere
