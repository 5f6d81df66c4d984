"""Small questions that a run asks of a leg at a place, and small things it does to one.

Owner thread:  the engine thread only.   Memory: none.
"""

from dhanfast._core.chainday cimport NOWHERE, ChainDay, Rung
from dhanfast._core.legs cimport Again, Leg, Part, Phase, distance_of
from dhanfast._core.types cimport Reason, ns_t, paise_t


cdef inline bint leg_held(Leg leg) noexcept nogil:
    return leg.position != 0


cdef inline void leg_reset(Leg leg) noexcept nogil:
    leg.phase = Phase.IDLE
    leg.realised = leg.premium = 0
    leg.entered = leg.closed = 0
    leg.part = Part.APART
    leg.stops_left, leg.targets_left = leg.rules.again_stop, leg.rules.again_target


cdef inline paise_t leg_result(Leg leg) noexcept nogil:
    return leg.realised + leg.open_result()


cdef inline paise_t leg_premium(Leg leg) noexcept nogil:
    return leg.premium


# Whether the row's prices reach the level that it waits for; False without a price.
cdef inline bint leg_reached(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    cdef size_t at
    if leg.column == NOWHERE:
        return False
    at = row * chain.columns + leg.column
    if chain.close[at] <= 0:
        return False
    return (chain.high[at] >= leg.level) if leg.direction > 0 else (chain.low[at] <= leg.level)


cdef inline void leg_wait(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    cdef paise_t price = chain.close[row * chain.columns + leg.column]
    cdef double way = distance_of(leg.rules.wait, leg.rules.wait_unit, price)
    leg.phase, leg.since_ns = Phase.WAIT, chain.end_ns[row]
    leg.direction = 1 if way > 0 else -1
    leg.level = price + <paise_t>(way + (0.5 if way > 0 else -0.5))


cdef inline int leg_why(Leg leg) noexcept nogil:
    return leg.closed_why


cdef inline void leg_close(Leg leg) noexcept nogil:
    leg.closed, leg.phase = 0, Phase.DONE


# Its trade has ended by its own stop or target: whether it is entered again, and when.
cdef inline void leg_next(Leg leg, ns_t now_ns) noexcept nogil:
    cdef int how = Again.NEVER
    if leg.closed_why == Reason.STOP_LOSS and leg.stops_left > 0:
        leg.stops_left -= 1
        how = leg.rules.again_stop_how
    elif leg.closed_why == Reason.TAKE_PROFIT and leg.targets_left > 0:
        leg.targets_left -= 1
        how = leg.rules.again_target_how
    leg.since_ns = now_ns
    if how == Again.ASAP:
        leg.phase = Phase.CHOOSE
    elif how == Again.COST:
        leg.phase = Phase.COST_AGAIN
        leg.level, leg.direction = leg.paid, (1 if leg.closed_at < leg.paid else -1)


# Whether it waits for a premium, and this row has come to it.
cdef inline bint leg_waited(Leg leg, ChainDay chain, size_t row) noexcept nogil:
    return (leg.since_ns < chain.end_ns[row]
            and (leg.phase == Phase.WAIT or leg.phase == Phase.COST_AGAIN)
            and leg_reached(leg, chain, row))


cdef inline Rung leg_picked(Leg leg, ChainDay chain, size_t row, Py_ssize_t slot) noexcept nogil:
    return chain.pick(row, slot, leg.rules.right, leg.rules.strike_rule, leg.rules.strike,
                      leg.rules.premium_rule)
