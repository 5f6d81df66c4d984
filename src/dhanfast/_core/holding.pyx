"""Holding: see holding.pxd."""

from dhanfast._core.dealer cimport Working
from dhanfast._core.status cimport Status
from dhanfast._core.stops cimport (
    StopRules, StopState, session_open, stop_tighter, stops_best, stops_step, stops_touched,
)
from dhanfast._core.tradebook cimport units
from dhanfast._core.types cimport OrderFlag, Reason


cdef void watch_price(Dealer dealer, paise_t low, paise_t high, paise_t last, ns_t now_ns,
                      ns_t at_ns) noexcept nogil:
    cdef StopState *state = &dealer.stop_state
    cdef paise_t price
    cdef bint touched = stops_touched(state, low, high)
    stops_best(state, low, high)
    if dealer.leaving or dealer.exit_id:
        if touched:                      # an exit that is worked does not wait any longer
            dealer.press(Reason.STOP_LOSS, 0, at_ns)
            dealer.settle()
            return
        if not _waits(dealer):
            return                       # it leaves at once: no stop is quicker
    if not session_open(dealer.session, at_ns + dealer.broker.rules.latency_ns):
        return                           # an order would find the exchange closed
    if touched:
        dealer.leave(Reason.STOP_LOSS, 0, at_ns)
        dealer.settle()
        return
    price = stops_step(&dealer.stop_rules, state,
                       stop_tighter(state.side, dealer.stop_price, state.local), last, now_ns,
                       dealer.session.tick)
    if price:
        _move_stop(dealer, price, now_ns, at_ns)
        dealer.settle()


cdef bint _waits(Dealer dealer) noexcept nogil:
    """Whether the exit that is wished for may wait for its price: what is held still needs its
    stop, as near as the rules want it."""
    return dealer.broker.works(OrderFlag.EXIT | dealer.leave_flags, dealer.leave_reason)


cdef void _move_stop(Dealer dealer, paise_t price, ns_t now_ns, ns_t at_ns) noexcept nogil:
    """At the exchange while its order may be changed, then here."""
    cdef StopState *state = &dealer.stop_state
    cdef Working *order
    state.next_ns = now_ns + dealer.stop_rules.every_ns
    dealer.stops_moved += 1
    if not dealer.stop_rules.rest or (
            dealer.stop_id and state.changes >= dealer.stop_rules.changes_max):
        state.local = price
        return
    if dealer.stop_id == 0:
        dealer.stop_price = price
        dealer.protect(at_ns)
        return
    order = &dealer.working[dealer.find(dealer.stop_id)]
    if dealer.broker.modify(dealer.stop_id, 0, price, 0, at_ns) != Status.OK:
        state.local = price              # what executes it cannot change it: it goes on here
        return
    dealer.stop_price = price
    order.row.trigger = price
    order.unanswered += 1
    order.passage.changes += 1
    order.passage.decided_ns, order.passage.decision = at_ns, price
    state.changes += 1


cdef bint is_time_over(Dealer dealer, ns_t now_ns) noexcept nogil:
    cdef const StopRules *rules = &dealer.stop_rules
    return ((rules.bars_max and dealer.trade.bars >= rules.bars_max)
            or (rules.time_max_ns and now_ns - dealer.trade.entry_ns >= rules.time_max_ns))


cdef paise_t _result_at(Dealer dealer, paise_t price) noexcept nogil:
    """The open trade's result before charges if what is left were closed at a price."""
    return dealer.trade.side * (dealer.trade.exit_value + price * units(dealer.position)
                                - dealer.trade.entry_value)


cdef void time_stop(Dealer dealer, ns_t now_ns) noexcept nogil:
    if dealer.position == 0 or not is_time_over(dealer, now_ns) \
            or (dealer.leaving and dealer.exit_id == 0):
        return
    if dealer.stop_rules.only_losing \
            and _result_at(dealer, dealer.portfolio.positions[dealer.instrument].mark) > 0:
        return
    if dealer.exit_id:
        dealer.press(Reason.TIME_STOP, 0, now_ns)
        dealer.settle()
    elif session_open(dealer.session, now_ns + dealer.broker.rules.latency_ns):
        dealer.leave(Reason.TIME_STOP, 0, now_ns)
        dealer.settle()
