"""Our orders against ticks and depth snapshots."""

from libc.stdint cimport INT64_MAX, int32_t
from libc.string cimport memcpy

from dhanfast._core.fillprice cimport price_within
from dhanfast._core.resting cimport (
    BUY_LIMIT,
    BUY_STOP,
    NOWHERE,
    QUEUE_UNKNOWN,
    SELL_LIMIT,
    SELL_STOP,
    Place,
)
from dhanfast._core.venue cimport (
    Desk,
    venue_arrive,
    venue_end_ioc,
    venue_fill,
    venue_price_waiting,
    venue_rest,
    venue_settle,
    venue_share,
    venue_slipped,
    venue_trigger,
)


cdef void tick_apply(Venue *venue, const Tick *tick) noexcept nogil:
    cdef ns_t now_ns = tick.recv_ns if tick.recv_ns else tick.exch_ns
    cdef bint quotes = (tick.bid > 0 or tick.ask > 0) and not venue.rules.depth_only
    cdef Desk *desk
    if tick.instrument >= venue.instruments:
        return
    desk = &venue.desks[tick.instrument]
    venue_arrive(venue, desk, now_ns)
    desk.ticking = 1
    if tick.price > 0:
        desk.last = tick.price
    if desk.live:
        venue_price_waiting(venue, desk,
                            desk.last if desk.last else (tick.ask if tick.ask else desk.ask),
                            desk.last if desk.last else (tick.bid if tick.bid else desk.bid),
                            now_ns)
        if tick.price > 0:
            _tick_stops(venue, desk, now_ns)
            _tick_trade(venue, desk, BUY_LIMIT, tick, quotes or desk.quoted, now_ns)
            _tick_trade(venue, desk, SELL_LIMIT, tick, quotes or desk.quoted, now_ns)
    if quotes:
        desk.quoted = 1
        desk.bid = tick.bid
        desk.ask = tick.ask
        desk.bid_qty = tick.bid_qty
        desk.ask_qty = tick.ask_qty
        desk.bid_left = tick.bid_qty if tick.bid_qty else INT64_MAX
        desk.ask_left = tick.ask_qty if tick.ask_qty else INT64_MAX
        _queue(venue, desk, BUY_LIMIT, &desk.bid, &desk.bid_qty, desk.bid > 0)
        _queue(venue, desk, SELL_LIMIT, &desk.ask, &desk.ask_qty, desk.ask > 0)
    if desk.live and not venue.rules.depth_only:
        if desk.quoted:
            _take_levels(venue, desk, BUY_LIMIT, &desk.ask, &desk.ask_left, desk.ask > 0, now_ns)
            _take_levels(venue, desk, SELL_LIMIT, &desk.bid, &desk.bid_left, desk.bid > 0, now_ns)
        venue_end_ioc(venue, desk, now_ns)
    venue_settle(venue, tick.instrument)


cdef void depth_apply(Venue *venue, uint32_t instrument, const paise_t *bid_px,
                      const int64_t *bid_qty, size_t bids, const paise_t *ask_px,
                      const int64_t *ask_qty, size_t asks, ns_t now_ns) noexcept nogil:
    cdef int64_t left[DEPTH_MAX]
    cdef Desk *desk
    if instrument >= venue.instruments:
        return
    desk = &venue.desks[instrument]
    bids = bids if bids < DEPTH_MAX else DEPTH_MAX
    asks = asks if asks < DEPTH_MAX else DEPTH_MAX
    venue_arrive(venue, desk, now_ns)
    desk.ticking = desk.quoted = 1
    desk.bid = bid_px[0] if bids else 0
    desk.ask = ask_px[0] if asks else 0
    desk.bid_qty = desk.bid_left = bid_qty[0] if bids else 0
    desk.ask_qty = desk.ask_left = ask_qty[0] if asks else 0
    if desk.live:
        venue_price_waiting(venue, desk, desk.last if desk.last else desk.ask,
                            desk.last if desk.last else desk.bid, now_ns)
        _queue(venue, desk, BUY_LIMIT, bid_px, bid_qty, bids)
        _queue(venue, desk, SELL_LIMIT, ask_px, ask_qty, asks)
        if asks:                             # an empty side may come as a null pointer
            memcpy(&left[0], ask_qty, asks * sizeof(int64_t))
        _take_levels(venue, desk, BUY_LIMIT, ask_px, &left[0], asks, now_ns)
        desk.ask_left = left[0] if asks else 0
        if bids:
            memcpy(&left[0], bid_qty, bids * sizeof(int64_t))
        _take_levels(venue, desk, SELL_LIMIT, bid_px, &left[0], bids, now_ns)
        desk.bid_left = left[0] if bids else 0
        venue_end_ioc(venue, desk, now_ns)
    venue_settle(venue, instrument)


cdef void _tick_stops(Venue *venue, Desk *desk, ns_t now_ns) noexcept nogil:
    cdef int32_t at = desk.heads[BUY_STOP]
    while at != NOWHERE and venue.pool.places[at].order.trigger <= desk.last:
        venue_trigger(venue, desk, at, desk.last, now_ns)
        at = desk.heads[BUY_STOP]
    at = desk.heads[SELL_STOP]
    while at != NOWHERE and venue.pool.places[at].order.trigger >= desk.last:
        venue_trigger(venue, desk, at, desk.last, now_ns)
        at = desk.heads[SELL_STOP]


# What one trade does to resting orders; to takers too while no quote has been seen.
cdef void _tick_trade(Venue *venue, Desk *desk, int which, const Tick *tick, bint quoted,
                      ns_t now_ns) noexcept nogil:
    cdef int side = 1 if which == BUY_LIMIT else -1
    cdef int64_t offered = tick.qty if tick.qty else INT64_MAX
    cdef int64_t ahead, open_to_us
    cdef int32_t at = desk.heads[which]
    cdef Place *place
    cdef paise_t price
    venue.visits += 1
    while at != NOWHERE:
        place = &venue.pool.places[at]
        if place.visit == venue.visits or (place.taker and quoted):
            at = place.next
            continue
        place.visit = venue.visits
        price = place.limit
        open_to_us = offered
        if not price_within(tick.price, place.limit, side, False):
            if quoted:
                return                       # best limit first: none behind is reached
            open_to_us = 0
            venue_rest(desk, place)
        elif place.taker:
            price = venue_slipped(venue, desk, place, tick.price)
        elif tick.price != place.limit:
            open_to_us = INT64_MAX       # through our price: everything there has traded
        else:
            ahead = place.queue
            if tick.qty and ahead > 0:
                place.queue = max(0, ahead - <int64_t>tick.qty)
            if ahead == QUEUE_UNKNOWN or venue.rules.limit_through:
                open_to_us = 0
            elif ahead:
                open_to_us = max(0, offered - ahead) if tick.qty else 0
        if open_to_us > 0:
            open_to_us = min(open_to_us, venue_share(venue, tick.qty if tick.qty else INT64_MAX))
            open_to_us = venue_fill(venue, desk, at, open_to_us, price, now_ns)
            if offered != INT64_MAX:
                offered = max(0, offered - open_to_us)
            at = desk.heads[which]       # a group may have taken neighbours off the list
        else:
            at = place.next


# Bring queue positions up to a displayed side of the book, best first.
cdef void _queue(Venue *venue, Desk *desk, int which, const paise_t *price, const int64_t *qty,
                 size_t levels) noexcept nogil:
    cdef int side = 1 if which == BUY_LIMIT else -1
    cdef int32_t at = desk.heads[which]
    cdef size_t level = 0
    cdef Place *place
    while at != NOWHERE:                 # priority order: levels are passed once
        place = &venue.pool.places[at]
        at = place.next
        while level < levels and price_within(place.limit, price[level], side, False) \
                and place.limit != price[level]:
            level += 1
        if level < levels and place.limit == price[level]:
            if qty[level] > 0 and (place.queue == QUEUE_UNKNOWN or place.queue > qty[level]):
                place.queue = qty[level]
        elif level < levels or levels == 0:
            place.queue = 0              # betters the best, or stands where nobody else does
        else:
            return                       # beyond what is shown, like all that follow


cdef void _take_levels(Venue *venue, Desk *desk, int which, const paise_t *price, int64_t *qty,
                       size_t levels, ns_t now_ns) noexcept nogil:
    cdef int side = 1 if which == BUY_LIMIT else -1
    cdef int32_t at = desk.heads[which]
    cdef Place *place
    venue.visits += 1
    while at != NOWHERE:
        place = &venue.pool.places[at]
        if place.visit == venue.visits:
            at = place.next
            continue
        place.visit = venue.visits
        if levels and price_within(price[0], place.limit, side,
                                   venue.rules.limit_through and not place.taker):
            _sweep(venue, desk, at, price, qty, levels, now_ns)
            at = desk.heads[which]
        else:
            venue_rest(desk, place)
            at = place.next


# One marketable order walks the opposite side: a taker pays each level, a resting order was
# there first and gets its own limit.
cdef void _sweep(Venue *venue, Desk *desk, int32_t at, const paise_t *price, int64_t *qty,
                 size_t levels, ns_t now_ns) noexcept nogil:
    cdef Place *place = &venue.pool.places[at]
    cdef bint through = venue.rules.limit_through and not place.taker
    cdef int64_t want, got
    cdef size_t level
    for level in range(levels):
        if not price_within(price[level], place.limit, place.order.side, through):
            return
        if qty[level] <= 0:
            continue
        want = place.left
        got = venue_fill(venue, desk, at, min(qty[level], venue_share(venue, qty[level])),
                         venue_slipped(venue, desk, place, price[level]) if place.taker
                         else place.limit, now_ns)
        if qty[level] != INT64_MAX:
            qty[level] -= got
        if got >= want:
            return                       # done: its place may already be another's
