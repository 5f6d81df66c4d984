"""When a structure's delta is hedged, and by how much: the rule alone, without orders.

Owner thread:  the engine thread only.   Memory: none.
Units:         delta in units of the underlying, gamma in units a rupee, money in rupees.

The gap is the net delta (hedge included) less its target. Nothing is done while it is inside the
band, which is the widest of
    fixed       units of delta
    cost-aware  (3/2 cost gamma^2 / risk aversion)^(1/3) on either side, cost a unit of delta
    lots        (1/2 + hysteresis) of what one lot of the hedge changes
The last keeps rounding to lots from going to and fro: after a hedge the gap has to move by at least
`hysteresis` lots before one the other way. An interval says when the gap is looked at, a band how
far it may be off; with both, it is looked at then and hedged when it is outside.

Source:        Whalley, A. E. and Wilmott, P. (1997), "An asymptotic analysis of an optimal hedging
               model for option pricing with transaction costs", Mathematical Finance 7(3): cost
               proportional to what is traded, exponential utility, rate 0.
"""

from libc.math cimport cbrt, ceil, fabs
from libc.stdint cimport int32_t, int64_t, uint8_t

from dhanfast._core.types cimport ns_t

cpdef enum HedgeTo:
    """Where a hedge brings the gap."""

    CENTRE = 0               # as near to the target as lots allow
    EDGE = 1                 # inside the band by as few lots as do it


cpdef enum HedgeWhy:
    """Why a hedge was decided, or held back."""

    INSIDE = 0               # nothing to do
    BAND = 1                 # outside the fixed band
    COST_BAND = 2            # outside the cost-aware band
    INTERVAL = 3             # looked at by the clock: a lot makes it better
    EMPTY = 4                # the structure holds nothing any more: the hedge leaves
    WAITS = 5                # held back: too soon after the last one
    DAY_LIMIT = 6            # held back: as many today as may be
    AT_MOST = 7              # held back: as large as it may be
    HOURS = 8                # held back: outside its hours
    SHUT = 9                 # held back: entries are, and this would make the hedge larger
    BLIND = 10               # held back: a price that it takes is missing


cdef struct HedgeRules:
    double band              # units of delta; 0 = none
    double band_lots         # and lots of the hedge
    double risk_aversion     # a rupee; 0 = no cost-aware band
    double cost_points       # of trading one unit of the hedge, rupees
    double cost_rate         # and of its price
    double target            # units of delta
    double target_lots       # and lots of the hedge
    double hysteresis        # of a lot
    ns_t interval_ns         # 0 = looked at whenever there is news
    ns_t pause_ns            # between two hedges
    int64_t lots_max         # of the hedge
    int32_t hedges_max       # a day
    int32_t to               # HedgeTo
    int32_t dry              # 1: nothing is sent
    int32_t right            # 0: a future; 1: options, bought only
    int32_t strike_rule      # StrikeRule of those
    int32_t premium_rule
    double strike


cdef struct HedgeState:
    ns_t look_ns             # not looked at before
    ns_t last_ns             # of the last hedge; 0 = none today
    int32_t count            # hedges today
    uint8_t held             # HedgeWhy last told as held back; INSIDE = none


cdef struct HedgeView:
    ns_t now_ns
    ns_t from_ns             # its hours
    ns_t until_ns
    double net               # delta of all, the hedge included; NaN = not known
    double gamma             # of all
    double unit              # delta of one unit of the hedge
    double price             # of one unit
    int64_t position         # units of it held
    int64_t lot
    int64_t freeze           # 0 = no limit
    int32_t shut             # 1: entries are held back


cdef struct HedgeMove:
    int64_t want             # units to hold
    double gap
    double band              # that counted
    uint8_t why              # HedgeWhy
    uint8_t go               # 1: to be done
    uint8_t tell             # 1: to be written down


cdef inline double hedge_cost_band(const HedgeRules *rules, double gamma, double unit,
                                   double price) noexcept nogil:
    cdef double cost
    if rules.risk_aversion <= 0.0:
        return 0.0
    cost = (rules.cost_points + rules.cost_rate * price) / fabs(unit)
    return cbrt(1.5 * cost * gamma * gamma / rules.risk_aversion)


cdef inline int64_t hedge_within(int64_t value, int64_t low, int64_t high) noexcept nogil:
    return low if value < low else high if value > high else value


# What holds a hedge of `move.want` back; INSIDE = nothing.
cdef inline int hedge_held(const HedgeRules *rules, const HedgeState *state, const HedgeView *view,
                           int64_t want) noexcept nogil:
    cdef bint grows = want * view.position < 0 or (
        (want if want > 0 else -want) > (view.position if view.position > 0 else -view.position))
    if view.now_ns < view.from_ns or view.now_ns >= view.until_ns:
        return HedgeWhy.HOURS
    if want == view.position:
        return HedgeWhy.AT_MOST
    if view.shut and grows:
        return HedgeWhy.SHUT
    if state.last_ns and view.now_ns - state.last_ns < rules.pause_ns:
        return HedgeWhy.WAITS
    if state.count >= rules.hedges_max:
        return HedgeWhy.DAY_LIMIT
    return HedgeWhy.INSIDE


# Look at the gap; `state` keeps what was done. Rules are checked by who made them.
cdef inline void hedge_step(const HedgeRules *rules, HedgeState *state, const HedgeView *view,
                            HedgeMove *move) noexcept nogil:
    cdef double step = fabs(view.unit) * view.lot
    cdef double fixed, costs, lots
    cdef int64_t size, most
    cdef int held
    move.want, move.gap, move.band = view.position, 0.0, 0.0
    move.why, move.go, move.tell = HedgeWhy.INSIDE, 0, 0
    if not (view.net - view.net == 0.0 and step > 0.0 and step - step == 0.0
            and view.gamma - view.gamma == 0.0 and view.price > 0.0):
        move.why = HedgeWhy.BLIND
        move.tell = state.held != HedgeWhy.BLIND
        state.held = HedgeWhy.BLIND
        return
    if rules.interval_ns and view.now_ns < state.look_ns:
        return
    state.look_ns = view.now_ns + rules.interval_ns
    move.gap = view.net - (rules.target + rules.target_lots * step)
    fixed = rules.band + rules.band_lots * step
    costs = hedge_cost_band(rules, view.gamma, view.unit, view.price)
    move.band = max(max(fixed, costs), (0.5 + rules.hysteresis) * step)
    if fabs(move.gap) <= move.band:
        state.held = HedgeWhy.INSIDE
        return
    if rules.band == 0.0 and rules.band_lots == 0.0 and rules.risk_aversion == 0.0:
        move.why = HedgeWhy.INTERVAL
    else:
        move.why = HedgeWhy.COST_BAND if costs > fixed else HedgeWhy.BAND
    lots = ceil(fabs(move.gap) / step - 0.5)
    if rules.to == HedgeTo.EDGE:
        lots = ceil((fabs(move.gap) - move.band) / step)
    most = rules.lots_max * view.lot
    # More than there may ever be is as much as there may be, also for a double beyond an integer.
    size = <int64_t>min(lots, <double>(2 * rules.lots_max + 1)) * view.lot
    if view.freeze:
        size = min(size, view.freeze // view.lot * view.lot)
    if (move.gap > 0.0) == (view.unit > 0.0):
        size = -size
    move.want = hedge_within(view.position + size, 0 if rules.right else -most, most)
    if view.shut and (move.want > 0) != (view.position > 0) and view.position != 0:
        move.want = 0                        # not to the other side: that would be an entry
    held = hedge_held(rules, state, view, move.want)
    if held != HedgeWhy.INSIDE:
        move.why = held
        move.tell = state.held != held
        state.held = held
        return
    move.go = move.tell = 1
    state.held = HedgeWhy.INSIDE
    state.last_ns = view.now_ns
    state.count += 1


# A new day: counts begin again.
cdef inline void hedge_day(HedgeState *state) noexcept nogil:
    state.look_ns = state.last_ns = 0
    state.count = 0
    state.held = HedgeWhy.INSIDE


cdef class HedgeRule:
    cdef HedgeRules rules
    cdef HedgeState state
