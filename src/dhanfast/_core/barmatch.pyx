"""Our orders against bars."""

from libc.stdint cimport int32_t, int64_t

from dhanfast._core.fillprice cimport price_better, price_inside, price_within, price_worse
from dhanfast._core.resting cimport (
    BUY_LIMIT,
    BUY_STOP,
    NOWHERE,
    SELL_LIMIT,
    SELL_STOP,
    Place,
    PlaceState,
)
from dhanfast._core.types cimport OrderKind, Validity, paise_t
from dhanfast._core.venue cimport (
    Desk,
    venue_arrive,
    venue_end_ioc,
    venue_fill,
    venue_price,
    venue_price_waiting,
    venue_rest,
    venue_settle,
    venue_share,
    venue_slipped,
    venue_through,
    venue_trigger,
)


cdef void bar_apply_open(Venue *venue, const Bar *bar, ns_t end_ns) noexcept nogil:
    cdef Desk *desk
    if bar.instrument >= venue.instruments:
        return
    desk = &venue.desks[bar.instrument]
    if desk.live == 0 and desk.first_request == NOWHERE:
        return
    venue_arrive(venue, desk, bar.start_ns)
    venue_price_waiting(venue, desk, bar.open, bar.open, bar.start_ns)
    _bar_stops(venue, desk, BUY_STOP, bar, True, bar.start_ns)
    _bar_stops(venue, desk, SELL_STOP, bar, True, bar.start_ns)
    _bar_limits_open(venue, desk, BUY_LIMIT, bar)
    _bar_limits_open(venue, desk, SELL_LIMIT, bar)
    if desk.iocs:
        venue_end_ioc(venue, desk, bar.start_ns)
    venue_arrive(venue, desk, end_ns - 1)
    _bar_inside(venue, desk, BUY_LIMIT, bar, end_ns)
    _bar_inside(venue, desk, SELL_LIMIT, bar, end_ns)
    if desk.iocs:
        venue_end_ioc(venue, desk, bar.start_ns)
    venue_settle(venue, bar.instrument)


cdef void bar_apply_range(Venue *venue, const Bar *bar, ns_t end_ns) noexcept nogil:
    cdef Desk *desk
    if bar.instrument >= venue.instruments:
        return
    desk = &venue.desks[bar.instrument]
    if desk.live == 0 and desk.first_request == NOWHERE:
        return
    venue_arrive(venue, desk, end_ns - 1)
    _bar_inside(venue, desk, BUY_LIMIT, bar, end_ns)
    _bar_inside(venue, desk, SELL_LIMIT, bar, end_ns)
    if desk.iocs:
        venue_end_ioc(venue, desk, bar.start_ns)
    _bar_stops(venue, desk, BUY_STOP, bar, False, end_ns - 1)
    _bar_stops(venue, desk, SELL_STOP, bar, False, end_ns - 1)
    _bar_limits(venue, desk, BUY_LIMIT, bar, end_ns - 1)
    _bar_limits(venue, desk, SELL_LIMIT, bar, end_ns - 1)
    if desk.iocs:
        venue_end_ioc(venue, desk, end_ns - 1)
    venue_settle(venue, bar.instrument)


cdef int64_t _bar_fill(Venue *venue, Desk *desk, int32_t at, paise_t price, const Bar *bar,
                       ns_t time_ns) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    cdef int64_t qty = place.left
    cdef int64_t used = place.share_used if place.share_ns == bar.start_ns else 0
    cdef int64_t got
    if venue.rules.volume_share_e4 and bar.volume > 0:
        qty = min(qty, venue_share(venue, bar.volume) - used)
    if qty <= 0:
        return 0
    # Noted before the fill: afterwards the place may be free.
    place.share_ns = bar.start_ns
    got = venue_fill(venue, desk, at, qty, venue_slipped(venue, desk, place, price), time_ns)
    if place.state != PlaceState.FREE:
        place.share_used = used + got
    return got


cdef void _bar_stops(Venue *venue, Desk *desk, int which, const Bar *bar, bint at_open,
                     ns_t time_ns) noexcept nogil:
    cdef int side = 1 if which == BUY_STOP else -1
    cdef paise_t reach = bar.open if at_open else (bar.high if side > 0 else bar.low)
    cdef int32_t at = desk.heads[which]
    cdef Place *place
    cdef paise_t price
    while at != NOWHERE:
        place = &venue.pool.places[at]
        if not price_within(place.order.trigger, reach, side, False):
            return                       # nearest trigger first: none behind is reached
        if at_open and place.active_ns > bar.start_ns:
            at = place.next
            continue
        price = bar.open if at_open else price_worse(place.order.trigger, bar.open, side)
        venue_trigger(venue, desk, at, price, time_ns)
        if not at_open:
            if price_within(price, place.limit, side, False):
                _bar_fill(venue, desk, at, price, bar, time_ns)
            else:
                venue_rest(desk, place)      # gone past its limit
        at = desk.heads[which]


cdef void _bar_limits_open(Venue *venue, Desk *desk, int which, const Bar *bar) noexcept nogil:
    cdef int side = 1 if which == BUY_LIMIT else -1
    cdef int32_t at = desk.heads[which]
    cdef Place *place
    cdef bint rested
    venue.visits += 1
    while at != NOWHERE:
        place = &venue.pool.places[at]
        if place.visit == venue.visits or place.active_ns > bar.start_ns:
            at = place.next
            continue
        place.visit = venue.visits
        if price_within(bar.open, place.limit, side, venue_through(venue, place)):
            # One that comes in takes the open; one that rested before is hit at its own price
            # when the market jumps past it. Not `taker`: quiet bars are skipped and clear nothing.
            rested = place.order.kind == OrderKind.LIMIT and place.active_ns < bar.start_ns
            _bar_fill(venue, desk, at, place.limit if rested else bar.open, bar, bar.start_ns)
            at = desk.heads[which]
        else:
            venue_rest(desk, place)
            at = place.next


# Market orders and IOCs that reach the exchange inside the bar.
cdef void _bar_inside(Venue *venue, Desk *desk, int which, const Bar *bar,
                      ns_t end_ns) noexcept nogil:
    cdef int side = 1 if which == BUY_LIMIT else -1
    cdef int32_t at = desk.heads[which]
    cdef Place *place
    cdef paise_t price
    venue.visits += 1
    while at != NOWHERE:
        place = &venue.pool.places[at]
        if place.visit == venue.visits or not place.taker or (
                place.order.kind != OrderKind.MARKET
                and place.order.validity != Validity.IOC):
            at = place.next
            continue
        place.visit = venue.visits
        price = price_inside(bar, end_ns, place.active_ns, side)
        if not place.priced:
            venue_price(venue, desk, at, price)
        if price_within(price, place.limit, side, venue_through(venue, place)):
            _bar_fill(venue, desk, at, price, bar, max(place.active_ns, bar.start_ns))
        else:
            venue_rest(desk, place)
        at = desk.heads[which]


cdef void _bar_limits(Venue *venue, Desk *desk, int which, const Bar *bar,
                      ns_t time_ns) noexcept nogil:
    cdef int side = 1 if which == BUY_LIMIT else -1
    cdef paise_t best = bar.low if side > 0 else bar.high
    cdef paise_t worst = bar.high if side > 0 else bar.low
    cdef int32_t at = desk.heads[which]
    cdef bint from_start, through
    cdef Place *place
    cdef paise_t price
    venue.visits += 1
    while at != NOWHERE:
        place = &venue.pool.places[at]
        if place.visit == venue.visits:
            at = place.next
            continue
        place.visit = venue.visits
        through = venue_through(venue, place)
        from_start = place.active_ns <= bar.start_ns
        if not price_within(best if from_start else bar.close, place.limit, side, through):
            at = place.next
            continue
        if not from_start:
            price = price_better(place.limit, worst, side)
        elif price_within(bar.open, place.limit, side, through):
            price = bar.open             # marketable at the open, sent since
        else:
            price = place.limit
        _bar_fill(venue, desk, at, price, bar, time_ns)
        at = desk.heads[which]
