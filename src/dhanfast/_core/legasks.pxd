"""Small questions that a run asks of a leg at a place, and small things it does to one.

Owner thread:  the engine thread only.   Memory: none.
"""

from dhanfast._core.chainday cimport NOWHERE, ChainDay, Missing, Rung
from dhanfast._core.legs cimport (
    Again, Leg, Part, Phase, Repeat, distance_of, on_index, plain_unit,
)
from dhanfast._core.types cimport Reason, ns_t, paise_t


cdef inline bint leg_held(Leg leg) noexcept nogil:
    return leg.position != 0


cdef inline void leg_reset(Leg leg) noexcept nogil:
    leg.phase = Phase.IDLE
    leg.realised = leg.premium = 0
    leg.entered = leg.closed = 0
    leg.part = Part.APART
    leg.stops_left, leg.targets_left = leg.rules.again_stop, leg.rules.again_target
    leg.side_next, leg.repeat = leg.rules.side, Repeat.FIRST
    leg.again_ns = 0
    leg.momentum = leg.waits_index = 0


cdef inline paise_t leg_result(Leg leg) noexcept nogil:
    return leg.realised + leg.open_result()


cdef inline paise_t leg_premium(Leg leg) noexcept nogil:
    return leg.premium


# Where the row was furthest on the side that it looks to, of its premium or of the index; its own
# level without a price.
cdef inline paise_t leg_edge(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    cdef paise_t edge = chain.spot[row]
    cdef size_t at
    if not leg.waits_index:
        at = row * chain.columns + leg.column
        edge = chain.high[at] if leg.direction > 0 else chain.low[at]
        if chain.close[at] <= 0:
            return leg.level
    return edge if edge > 0 else leg.level


# The range that it waits to be broken goes on.
cdef inline void leg_range(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    cdef paise_t edge
    if leg.phase != Phase.WAIT or chain.end_ns[row] > leg.range_until \
            or chain.end_ns[row] <= leg.since_ns:
        return
    edge = leg_edge(leg, chain, row)
    leg.level = max(leg.level, edge) if leg.direction > 0 else min(leg.level, edge)


# Whether it waits before it goes in.
cdef inline bint leg_has_wait(Leg leg) noexcept nogil:
    return leg.rules.wait_unit != 0 or leg.rules.range_ns != 0


# Whether the row's prices, or its index, reach the level that it waits for; False without a price.
cdef inline bint leg_reached(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    cdef size_t at
    if leg.column == NOWHERE:
        return False
    at = row * chain.columns + leg.column
    if chain.close[at] <= 0:
        return False
    if leg.range_until:                      # it has to be broken, not to be touched
        return chain.end_ns[row] > leg.range_until \
            and leg.direction * (leg_edge(leg, chain, row) - leg.level) > 0
    if leg.waits_index:
        return chain.spot[row] > 0 and leg.direction * (chain.spot[row] - leg.level) >= 0
    return (chain.high[at] >= leg.level) if leg.direction > 0 else (chain.low[at] <= leg.level)


cdef inline void leg_wait(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    cdef bint index = on_index(leg.rules.wait_unit) or leg.rules.range_index
    cdef paise_t price = (chain.spot[row] if index
                          else chain.close[row * chain.columns + leg.column])
    cdef double way = distance_of(leg.rules.wait, plain_unit(leg.rules.wait_unit), price)
    leg.waits_index, leg.range_until = index, 0
    leg.phase, leg.since_ns = Phase.WAIT, chain.end_ns[row]
    if leg.rules.range_ns:
        leg.direction, leg.level = leg.rules.range_side, price
        leg.range_until = leg.since_ns + leg.rules.range_ns
        return
    leg.direction = 1 if way > 0 else -1
    leg.level = price + <paise_t>(way + (0.5 if way > 0 else -0.5))


cdef inline int leg_why(Leg leg) noexcept nogil:
    return leg.closed_why


cdef inline void leg_close(Leg leg) noexcept nogil:
    leg.closed, leg.phase = 0, Phase.DONE


# Its trade has ended by its own stop or target: whether it is entered again (Again), and when.
cdef inline int leg_next(Leg leg, ns_t now_ns) noexcept nogil:
    cdef int how = Again.NEVER
    cdef bint turn = False
    if leg.closed_why == Reason.STOP_LOSS and leg.stops_left > 0:
        leg.stops_left -= 1
        how, turn = leg.rules.again_stop_how, leg.rules.again_stop_turn
        leg.again_ns = now_ns + leg.rules.again_stop_pause
    elif leg.closed_why == Reason.TAKE_PROFIT and leg.targets_left > 0:
        leg.targets_left -= 1
        how, turn = leg.rules.again_target_how, leg.rules.again_target_turn
        leg.again_ns = now_ns + leg.rules.again_target_pause
    if how == Again.NEVER or how == Again.ARM:
        return how
    leg.since_ns, leg.repeat, leg.momentum = now_ns, Repeat.ONCE_MORE, how == Again.MOMENTUM
    if turn:
        leg.side_next = -leg.rules.side
    if how == Again.COST:
        leg.phase, leg.waits_index, leg.range_until = Phase.COST_AGAIN, 0, 0
        leg.level, leg.direction = leg.paid, (1 if leg.closed_at < leg.paid else -1)
    else:
        leg.phase = Phase.CHOOSE
    return how


# Another leg has let it in: it chooses its strike, and waits from there when it has a wait.
cdef inline void leg_arm(Leg leg, ns_t now_ns, ns_t again_ns) noexcept nogil:
    leg.phase, leg.repeat, leg.momentum = Phase.CHOOSE, Repeat.ARMED, leg_has_wait(leg)
    leg.since_ns, leg.again_ns = now_ns, again_ns


# Whether it waits to go in by itself.
cdef inline bint leg_waits(Leg leg) noexcept nogil:
    return (leg.phase == Phase.WAIT or leg.phase == Phase.CHOOSE
            or leg.phase == Phase.COST_AGAIN)


# Whether it waits for a level, and this row has come to it.
cdef inline bint leg_waited(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    return (leg.since_ns < chain.end_ns[row] and leg.again_ns <= chain.end_ns[row]
            and (leg.phase == Phase.WAIT or leg.phase == Phase.COST_AGAIN)
            and leg_reached(leg, chain, row))


# The contract that it had, if it has a price.
cdef inline Rung leg_same(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    cdef Rung rung
    rung.missing, rung.column, rung.strike = Missing.FOUND, leg.column, leg.strike
    if leg.column == NOWHERE or chain.close[row * chain.columns + leg.column] <= 0:
        rung.missing, rung.column = Missing.NO_QUOTE, NOWHERE
    return rung


cdef inline Rung leg_picked(Leg leg, ChainDay chain, size_t row, Py_ssize_t slot) noexcept nogil:
    cdef Rung rung = chain.pick(row, slot, leg.rules.right, leg.rules.strike_rule,
                                leg.rules.strike, leg.rules.premium_rule)
    if rung.missing == Missing.FOUND and leg.rules.premium_least > 0.0 \
            and chain.close[row * chain.columns + rung.column] < 100.0 * leg.rules.premium_least:
        rung.missing, rung.column = Missing.NO_STRIKE, NOWHERE
    return rung
