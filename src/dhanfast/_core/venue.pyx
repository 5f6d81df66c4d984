"""What the sim exchange does with one order; the contract is in venue.pxd.

Room for reports is promised before it is needed. Every live order may still say ACCEPTED, TRIGGERED
and its end; every request has one answer. That much is kept free always (`_promised`), so an end is
never lost; a fill, which may also shrink a whole group, waits when the room beyond is used up.
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memset

from dhanfast._core.fillprice cimport (
    far_limit, price_against, price_better, price_slipped, price_within,
)
from dhanfast._core.resting cimport (
    BUY_LIMIT, BUY_STOP, NOWHERE, QUEUE_UNKNOWN, SELL_LIMIT, SELL_STOP, PlaceState, list_insert,
    list_remove, pool_close, pool_find, pool_open, pool_release, pool_room, pool_take,
    report_order,
)
from dhanfast._core.slabs cimport slab_limit
from dhanfast._core.types cimport OrderFlag, OrderKind, RejectReason, ReportKind, Side, Validity

cdef enum:
    SUBMIT = 0
    CANCEL = 1
    MODIFY = 2


cdef int venue_open(Venue *venue, const MatchRules *rules, Quiet *quiet, uint32_t instruments,
                    uint32_t orders_max, uint64_t reports_min) noexcept nogil:
    cdef uint32_t at, which
    memset(venue, 0, sizeof(Venue))
    venue.rules = rules
    venue.quiet = quiet
    venue.instruments = instruments
    venue.requests_size = 4 * orders_max
    if pool_open(&venue.pool, orders_max, max(reports_min, 16 * <uint64_t>orders_max)) != 0:
        return -1
    venue.desks = <Desk *>calloc(instruments, sizeof(Desk))
    venue.requests = <Request *>calloc(venue.requests_size, sizeof(Request))
    if venue.desks == NULL or venue.requests == NULL:
        venue_close(venue)
        return -1
    for at in range(venue.requests_size):
        venue.requests[at].next = <int32_t>at + 1 if at + 1 < venue.requests_size else NOWHERE
    for at in range(instruments):
        for which in range(LISTS):
            venue.desks[at].heads[which] = NOWHERE
        venue.desks[at].first_request = venue.desks[at].last_request = NOWHERE
        venue.desks[at].due_ns = INT64_MIN
        quiet[at].low = INT64_MIN
        quiet[at].high = INT64_MAX
    return 0


cdef void venue_close(Venue *venue) noexcept nogil:
    pool_close(&venue.pool)
    free(venue.desks)
    free(venue.requests)
    venue.desks = NULL
    venue.requests = NULL


cdef inline uint64_t _promised(const Venue *venue) noexcept nogil:
    return 3 * <uint64_t>venue.pool.live + venue.requests_used


# Queue one request behind the others of its instrument. The caller has checked for a free one.
cdef void _send(Venue *venue, const Order *order, int kind, int refusal, ns_t now_ns,
                bint attached) noexcept nogil:
    cdef Desk *desk = &venue.desks[order.instrument]
    cdef int32_t at = venue.free_request
    cdef Request *request = &venue.requests[at]
    cdef Request here
    cdef ns_t due_ns = now_ns + venue.rules.latency_ns
    if not attached:
        # One connection: what was sent later cannot arrive earlier.
        desk.due_ns = due_ns if due_ns > desk.due_ns else desk.due_ns
    if attached or (venue.rules.latency_ns == 0 and desk.first_request == NOWHERE
                    and desk.due_ns == now_ns):
        # Nothing on its way before it: it is there.
        here.due_ns = now_ns
        here.order = order[0]
        here.kind = <uint8_t>kind
        here.refusal = <uint8_t>refusal
        _arrive(venue, desk, &here)
        venue_settle(venue, order.instrument)
        return
    venue.free_request = request.next
    venue.requests_used += 1
    request.due_ns = desk.due_ns
    request.order = order[0]
    request.kind = <uint8_t>kind
    request.refusal = <uint8_t>refusal
    request.next = NOWHERE
    if desk.last_request == NOWHERE:
        desk.first_request = at
    else:
        venue.requests[desk.last_request].next = at
    desk.last_request = at
    desk.dirty = 1
    if venue.rules.latency_ns == 0:
        venue_arrive(venue, desk, now_ns)
    venue_settle(venue, order.instrument)


cdef inline bint _no_room(const Venue *venue) noexcept nogil:
    return (venue.requests_used >= venue.requests_size
            or pool_room(&venue.pool) < _promised(venue) + venue.pool.live + 8)


# A stop whose trigger the market has passed is refused when it is sent; one that is overtaken on
# its way triggers on arrival. Known from ticks only: in bar mode the next open decides.
cdef inline int _trigger_refusal(const Desk *desk, const Order *order) noexcept nogil:
    if order.trigger > 0 and desk.last > 0 and (desk.last - order.trigger) * order.side > 0:
        return RejectReason.TRIGGER_SIDE
    return RejectReason.NONE


cdef Status venue_submit(Venue *venue, const Order *order, ns_t now_ns,
                         bint attached) noexcept nogil:
    cdef Desk *desk = &venue.desks[order.instrument]
    if _no_room(venue) or pool_take(&venue.pool, order) == NOWHERE:
        return Status.POOL_FULL
    desk.live += 1
    desk.iocs += order.validity == Validity.IOC
    _send(venue, order, SUBMIT, _trigger_refusal(desk, order), now_ns, attached)
    return Status.OK


cdef Status venue_cancel(Venue *venue, uint64_t order_id, ns_t now_ns) noexcept nogil:
    cdef int32_t at = pool_find(&venue.pool, order_id)
    if at == NOWHERE:
        return Status.UNKNOWN_ORDER
    if _no_room(venue):
        return Status.POOL_FULL
    _send(venue, &venue.pool.places[at].order, CANCEL, RejectReason.NONE, now_ns, False)
    return Status.OK


cdef Status venue_modify(Venue *venue, uint64_t order_id, paise_t price, paise_t trigger,
                         int64_t qty, ns_t now_ns, bint attached) noexcept nogil:
    cdef int32_t at = pool_find(&venue.pool, order_id)
    cdef Order wanted
    cdef int refusal = RejectReason.NONE
    if at == NOWHERE:
        return Status.UNKNOWN_ORDER
    if _no_room(venue):
        return Status.POOL_FULL
    wanted = venue.pool.places[at].order
    wanted.price = price
    wanted.trigger = trigger
    wanted.qty = qty
    if venue.pool.places[at].state != PlaceState.WORKING:
        refusal = _trigger_refusal(&venue.desks[wanted.instrument], &wanted)
    _send(venue, &wanted, MODIFY, refusal, now_ns, attached)
    return Status.OK


cdef inline bint _off_tick_or_band(const Session *day, paise_t price, int *reason) noexcept nogil:
    if day.tick > 1 and price % day.tick:
        reason[0] = RejectReason.PRICE_TICK
        return True
    if price and ((day.band_low and price < day.band_low)
                  or (day.band_high and price > day.band_high)):
        reason[0] = RejectReason.PRICE_BAND
        return True
    return False


# The exchange's own rules, at the time the order arrives.
cdef int _refusal(const Venue *venue, const Desk *desk, const Order *order,
                  ns_t now_ns) noexcept nogil:
    cdef const Session *day = &desk.session
    cdef int reason = RejectReason.NONE
    if not desk.known or not (day.open_ns <= now_ns < day.close_ns
                              or day.open2_ns <= now_ns < day.close2_ns):
        return RejectReason.CLOSED
    if day.expiry_ns and now_ns >= day.expiry_ns:
        return RejectReason.CLOSED
    if order.kind == OrderKind.SLM and not venue.rules.stop_market_ok:
        return RejectReason.KIND_REFUSED
    if order.qty <= 0 or (day.lot > 1 and order.qty % day.lot):
        return RejectReason.QTY_LOT
    if day.freeze and order.qty > day.freeze:
        return RejectReason.QTY_FREEZE
    if order.price < 0 or order.trigger < 0:
        return RejectReason.MALFORMED
    if _off_tick_or_band(day, order.price, &reason):
        return reason
    if _off_tick_or_band(day, order.trigger, &reason):
        return reason
    if order.kind == OrderKind.SL and (order.price - order.trigger) * order.side < 0:
        return RejectReason.TRIGGER_SIDE
    return RejectReason.NONE


# How much of others is ahead of an order that comes to rest now: the quantity displayed at the
# best when that is its price, nothing when it betters the best or no quote has been seen, and
# unknown behind the best. An order that the quote in force cannot fill rests at once.
cdef void _join_queue(Desk *desk, Place *place) noexcept nogil:
    cdef paise_t best = desk.bid if place.order.side == Side.BUY else desk.ask
    cdef paise_t opposite = desk.ask if place.order.side == Side.BUY else desk.bid
    place.taker = 1
    if desk.quoted and place.order.validity != Validity.IOC and not (
            opposite and price_within(opposite, place.limit, place.order.side, False)):
        venue_rest(desk, place)
    if not desk.quoted or best == 0 or price_within(best, place.limit, place.order.side, True):
        place.queue = 0
    elif best == place.limit:
        place.queue = desk.bid_qty if place.order.side == Side.BUY else desk.ask_qty
    else:
        place.queue = QUEUE_UNKNOWN


cdef inline void _work(Venue *venue, Desk *desk, int32_t at) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    place.state = PlaceState.WORKING
    _join_queue(desk, place)
    list_insert(&venue.pool, &desk.heads[0], at,
                BUY_LIMIT if place.order.side == Side.BUY else SELL_LIMIT)
    desk.dirty = 1


cdef void _put(Venue *venue, Desk *desk, int32_t at, ns_t now_ns) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    place.active_ns = now_ns
    venue.pool.arrivals += 1
    place.arrival = venue.pool.arrivals
    place.limit = place.order.price
    place.priced = 1
    if place.order.kind == OrderKind.SL or place.order.kind == OrderKind.SLM:
        place.state = PlaceState.WAITING
        list_insert(&venue.pool, &desk.heads[0], at,
                    BUY_STOP if place.order.side == Side.BUY else SELL_STOP)
        desk.dirty = 1
        return
    if place.order.kind == OrderKind.MARKET and place.order.price == 0:
        place.limit = far_limit(place.order.side)
        place.priced = 0
    _work(venue, desk, at)
    if not place.priced and desk.last > 0:
        venue_price(venue, desk, at, desk.last)


cdef void _arrive_new(Venue *venue, Desk *desk, const Request *request) noexcept nogil:
    cdef int32_t at = pool_find(&venue.pool, request.order.id)
    cdef Place *place
    cdef paise_t opposite = desk.ask if request.order.side == Side.BUY else desk.bid
    cdef int reason
    if at == NOWHERE:
        return                       # a fill in its group ended it on the way
    place = &venue.pool.places[at]
    reason = _refusal(venue, desk, &place.order, request.due_ns)
    if reason == RejectReason.NONE:
        reason = request.refusal
    if reason == RejectReason.NONE and place.order.kind == OrderKind.MARKET and desk.ticking \
            and desk.last == 0 and opposite == 0:
        reason = RejectReason.NO_MARKET
    if reason != RejectReason.NONE:
        venue_end(venue, desk, at, ReportKind.REJECTED, reason, request.due_ns)
        return
    report_order(&venue.pool, place, ReportKind.ACCEPTED, request.due_ns, 0, 0, 0)
    _put(venue, desk, at, request.due_ns)


# A request on an order that has ended: answered, so that the sender is never left waiting.
cdef void _report_stale(Venue *venue, const Request *request) noexcept nogil:
    cdef Place gone
    memset(&gone, 0, sizeof(Place))
    gone.order = request.order
    report_order(&venue.pool, &gone, ReportKind.REJECTED, request.due_ns, 0, 0,
                 RejectReason.STALE_ORDER)


cdef void _arrive_modify(Venue *venue, Desk *desk, int32_t at,
                         const Request *request) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    cdef Order wanted = request.order
    wanted.qty = wanted.qty if wanted.qty else place.order.qty     # 0: as it is
    cdef int reason = _refusal(venue, desk, &wanted, request.due_ns)
    cdef bint triggered = (place.state == PlaceState.WORKING and place.order.kind >= OrderKind.SL)
    cdef bint keeps
    if reason == RejectReason.NONE and not triggered:
        reason = request.refusal
    if reason == RejectReason.NONE and (
            (place.order.kind <= OrderKind.MARKET) != (wanted.trigger == 0)
            or (place.order.kind == OrderKind.SLM and wanted.price != 0)
            or (place.order.kind in (OrderKind.LIMIT, OrderKind.SL) and wanted.price == 0)):
        reason = RejectReason.MALFORMED
    if reason == RejectReason.NONE and wanted.qty <= place.gone:
        reason = RejectReason.STALE_ORDER
    if reason != RejectReason.NONE:
        report_order(&venue.pool, place, ReportKind.REJECTED, request.due_ns, 0, 0, reason)
        return
    keeps = (wanted.price == place.order.price and wanted.qty <= place.order.qty
             and (triggered or wanted.trigger == place.order.trigger))
    place.order.price = wanted.price
    place.order.trigger = wanted.trigger
    place.order.qty = wanted.qty
    place.left = wanted.qty - place.gone
    report_order(&venue.pool, place, ReportKind.ACCEPTED, request.due_ns, 0, 0, 0)
    if keeps:
        return
    list_remove(&venue.pool, &desk.heads[0], at)
    if triggered:
        venue.pool.arrivals += 1
        place.arrival = venue.pool.arrivals
        place.active_ns = request.due_ns
        place.limit = place.order.price if place.order.price else place.limit
        _work(venue, desk, at)
    else:
        _put(venue, desk, at, request.due_ns)


cdef void _arrive(Venue *venue, Desk *desk, const Request *request) noexcept nogil:
    cdef int32_t at
    desk.dirty = 1
    if request.kind == SUBMIT:
        _arrive_new(venue, desk, request)
        return
    at = pool_find(&venue.pool, request.order.id)
    if at == NOWHERE:
        _report_stale(venue, request)
    elif request.kind == CANCEL:
        venue_end(venue, desk, at, ReportKind.CANCELLED, 0, request.due_ns)
    else:
        _arrive_modify(venue, desk, at, request)


cdef void venue_arrive(Venue *venue, Desk *desk, ns_t until_ns) noexcept nogil:
    cdef int32_t index = desk.first_request
    cdef Request *request
    while index != NOWHERE and venue.requests[index].due_ns <= until_ns:
        request = &venue.requests[index]
        _arrive(venue, desk, request)
        desk.first_request = request.next
        if desk.first_request == NOWHERE:
            desk.last_request = NOWHERE
        request.next = venue.free_request
        venue.free_request = index
        venue.requests_used -= 1
        index = desk.first_request


cdef void venue_price(Venue *venue, Desk *desk, int32_t at, paise_t price) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    cdef int side = place.order.side
    cdef paise_t tick = desk.session.tick if desk.session.tick > 1 else 1
    cdef paise_t limit = far_limit(side)
    if venue.rules.protection_slab:
        limit = slab_limit(price, tick, desk.session.band_low, desk.session.band_high, side)
    elif venue.rules.protection_e4:
        # Rounded inwards: protection is never exceeded. Clipped to the day's range.
        limit = price + side * (price * venue.rules.protection_e4 // 10_000)
        limit = price_against(limit if limit > tick else tick, tick, -side)
        if desk.session.band_high and limit > desk.session.band_high:
            limit = desk.session.band_high
        if desk.session.band_low and limit < desk.session.band_low:
            limit = desk.session.band_low
    list_remove(&venue.pool, &desk.heads[0], at)
    place.limit = limit
    place.priced = 1
    _work(venue, desk, at)


cdef void venue_trigger(Venue *venue, Desk *desk, int32_t at, paise_t price,
                        ns_t time_ns) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    report_order(&venue.pool, place, ReportKind.TRIGGERED, time_ns, 0, 0, 0)
    list_remove(&venue.pool, &desk.heads[0], at)
    venue.pool.arrivals += 1
    place.arrival = venue.pool.arrivals
    place.limit = place.order.price
    if place.order.kind == OrderKind.SLM:
        venue_price(venue, desk, at, price)
    else:
        _work(venue, desk, at)


cdef void venue_end(Venue *venue, Desk *desk, int32_t at, int kind, int reason,
                    ns_t time_ns) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    place.left = 0
    report_order(&venue.pool, place, <ReportKind>kind, time_ns, 0, 0, reason)
    list_remove(&venue.pool, &desk.heads[0], at)
    desk.iocs -= place.order.validity == Validity.IOC
    pool_release(&venue.pool, at)
    desk.live -= 1
    desk.dirty = 1


# A fill of `qty` in a group: the others become that much smaller, and end when nothing is left. One
# that was made larger than the order that filled covers what is still held: it goes on.
cdef void _shrink_group(Venue *venue, Desk *desk, int32_t filled, int64_t qty,
                        ns_t time_ns) noexcept nogil:
    cdef uint64_t group = venue.pool.places[filled].order.group
    cdef uint32_t instrument = venue.pool.places[filled].order.instrument
    cdef uint32_t at
    cdef Place *place
    for at in range(venue.pool.top):
        place = &venue.pool.places[at]
        if (place.state == PlaceState.FREE or <int32_t>at == filled or place.order.group != group
                or place.order.instrument != instrument):
            continue
        if place.left <= qty:
            venue_end(venue, desk, <int32_t>at, ReportKind.CANCELLED, 0, time_ns)
        else:
            place.left -= qty
            place.gone += qty
            report_order(&venue.pool, place, ReportKind.ACCEPTED, time_ns, 0, 0, 0)


cdef int64_t venue_fill(Venue *venue, Desk *desk, int32_t at, int64_t qty, paise_t price,
                        ns_t time_ns) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    if qty >= place.left:
        qty = place.left
    elif desk.session.lot > 1:
        qty -= qty % desk.session.lot
    if qty <= 0:
        return 0
    if pool_room(&venue.pool) < _promised(venue) + venue.pool.live + 1:
        venue.stalls += 1
        return 0
    place.left -= qty
    place.gone += qty
    report_order(&venue.pool, place, ReportKind.FILLED, time_ns, price, qty, 0)
    if place.order.group:
        _shrink_group(venue, desk, at, qty, time_ns)
    desk.dirty = 1
    if place.left == 0:
        list_remove(&venue.pool, &desk.heads[0], at)
        desk.iocs -= place.order.validity == Validity.IOC
        pool_release(&venue.pool, at)
        desk.live -= 1
    return qty


cdef void venue_session(Venue *venue, uint32_t instrument, const Session *session) noexcept nogil:
    cdef Desk *desk = &venue.desks[instrument]
    cdef ns_t closed = max(desk.session.close_ns, desk.session.close2_ns) if desk.known else 0
    cdef uint32_t at
    cdef Place *place
    cdef int32_t index = desk.first_request
    # Requests still on their way are answered by the end of their order; those on orders that have
    # already ended are told so.
    while index != NOWHERE:
        if venue.requests[index].kind != SUBMIT \
                and pool_find(&venue.pool, venue.requests[index].order.id) == NOWHERE:
            _report_stale(venue, &venue.requests[index])
        desk.first_request = venue.requests[index].next
        venue.requests[index].next = venue.free_request
        venue.free_request = index
        venue.requests_used -= 1
        index = desk.first_request
    desk.last_request = NOWHERE
    if desk.live:
        for at in range(venue.pool.top):
            place = &venue.pool.places[at]
            if place.state != PlaceState.FREE and place.order.instrument == instrument:
                venue_end(venue, desk, <int32_t>at, ReportKind.EXPIRED, 0,
                          max(closed, place.active_ns, place.order.created_ns))
    desk.session = session[0]
    desk.known = 1
    desk.last = desk.bid = desk.ask = 0
    desk.bid_qty = desk.ask_qty = desk.bid_left = desk.ask_left = 0
    desk.quoted = desk.ticking = 0
    desk.due_ns = INT64_MIN
    desk.dirty = 1
    venue_settle(venue, instrument)


cdef void venue_settle(Venue *venue, uint32_t instrument) noexcept nogil:
    cdef Desk *desk = &venue.desks[instrument]
    cdef Quiet *quiet = &venue.quiet[instrument]
    cdef paise_t through = 1 if venue.rules.limit_through else 0
    cdef Place *places = venue.pool.places
    cdef int32_t at
    cdef int which
    if not desk.dirty:
        return
    desk.dirty = 0
    quiet.low = INT64_MIN
    quiet.high = INT64_MAX
    for which in range(BUY_LIMIT, SELL_LIMIT + 1):
        at = desk.heads[which]
        while at != NOWHERE:
            # The next bar decides about these whatever its range.
            if places[at].order.validity == Validity.IOC \
                    or (places[at].taker and places[at].order.kind != OrderKind.LIMIT):
                quiet.low = INT64_MAX
                return
            at = places[at].next
    if desk.first_request != NOWHERE:
        quiet.low = INT64_MAX
        return
    # A bar that touches a level is not quiet; one through a limit must go a paisa beyond it.
    if desk.heads[BUY_LIMIT] != NOWHERE:
        quiet.low = places[desk.heads[BUY_LIMIT]].limit - through
    if desk.heads[SELL_STOP] != NOWHERE:
        quiet.low = max(quiet.low, places[desk.heads[SELL_STOP]].order.trigger)
    if desk.heads[SELL_LIMIT] != NOWHERE:
        quiet.high = places[desk.heads[SELL_LIMIT]].limit + through
    if desk.heads[BUY_STOP] != NOWHERE:
        quiet.high = min(quiet.high, places[desk.heads[BUY_STOP]].order.trigger)


cdef bint venue_calm(const Venue *venue, uint32_t instrument, paise_t *floor,
                     paise_t *ceiling) noexcept nogil:
    cdef const Desk *desk = &venue.desks[instrument]
    cdef const Quiet *quiet = &venue.quiet[instrument]
    cdef int which
    cdef int32_t at
    if quiet.low >= quiet.high or desk.first_request != NOWHERE:
        return False
    for which in range(BUY_LIMIT, SELL_LIMIT + 1):
        at = desk.heads[which]
        while at != NOWHERE:
            if venue.pool.places[at].taker:
                return False             # not seen resting yet: the next record decides
            at = venue.pool.places[at].next
    # A quote at a limit's price tells its place in the queue, also when the limit must be traded
    # through to fill: one paisa nearer than the band of bars.
    floor[0] = max(quiet.low + (1 if venue.rules.limit_through else 0), 0)
    ceiling[0] = quiet.high - (1 if venue.rules.limit_through else 0)
    return True


cdef void venue_price_waiting(Venue *venue, Desk *desk, paise_t buy, paise_t sell,
                              ns_t now_ns) noexcept nogil:
    cdef int which
    cdef int32_t at, after
    cdef paise_t price
    for which in range(BUY_LIMIT, SELL_LIMIT + 1):
        price = buy if which == BUY_LIMIT else sell
        at = desk.heads[which]
        while at != NOWHERE:
            after = venue.pool.places[at].next
            if not venue.pool.places[at].priced:
                if price > 0:
                    venue_price(venue, desk, at, price)
                else:
                    venue_end(venue, desk, at, ReportKind.REJECTED,
                              RejectReason.NO_MARKET, now_ns)
            at = after


cdef void venue_end_ioc(Venue *venue, Desk *desk, ns_t time_ns) noexcept nogil:
    cdef int which
    cdef int32_t at, after
    if desk.iocs == 0:
        return
    for which in range(BUY_LIMIT, SELL_LIMIT + 1):
        at = desk.heads[which]
        while at != NOWHERE:
            after = venue.pool.places[at].next
            if venue.pool.places[at].order.validity == Validity.IOC:
                venue_end(venue, desk, at, ReportKind.EXPIRED, 0,
                          max(time_ns, venue.pool.places[at].active_ns))
            at = after


cdef paise_t venue_slipped(Venue *venue, const Desk *desk, const Place *place,
                           paise_t price) noexcept nogil:
    cdef int side = place.order.side
    cdef paise_t away = venue.rules.slippage
    if place.taker and (place.order.kind != OrderKind.LIMIT
                        or place.order.flags & OrderFlag.CROSSES):
        if place.order.kind == OrderKind.SL or place.order.kind == OrderKind.SLM:
            away = max(<paise_t>0, away + venue.rules.stop_more)
        price = price_slipped(price, away, venue.rules.slippage_e6, desk.session.tick, side)
    else:
        price = price_against(price, desk.session.tick, side)
    return price_better(price, place.limit, side)


cdef int64_t venue_share(Venue *venue, int64_t qty) noexcept nogil:
    if venue.rules.volume_share_e4 == 0 or qty == INT64_MAX:
        return INT64_MAX
    return qty // 10_000 * venue.rules.volume_share_e4 \
        + qty % 10_000 * venue.rules.volume_share_e4 // 10_000


cdef bint venue_through(Venue *venue, const Place *place) noexcept nogil:
    return venue.rules.limit_through and not (
        place.taker and (place.order.kind != OrderKind.LIMIT
                         or place.order.flags & OrderFlag.CROSSES))
