"""The sim exchange's kernel: our orders against recorded or generated market events.

Each order meets the market, never another of our own. What a market event offers is shared by our
orders on one side in price-time priority. Every price is rounded to the tick against the order, and
no order ever fills outside its limit. An order never fills inside `submit`: the first event at or
after its arrival is the first that can fill it.

Ticks and depth
    Clock: `recv_ns`, or `exch_ns` when that is 0. A trade changes the last price, triggers stops
    and fills resting orders; then the quote of the same record is taken by marketable orders.
    A newly arrived marketable order takes the opposite best at its displayed price, up to the
    displayed quantity; the rest follows the next record, until it is once seen not marketable.
    From then on it rests, and fills at its own limit.
    Queue: the displayed quantity of the best when the order joined at that price; nothing when it
    bettered the best or no quote has been seen; unknown behind the best, until its price becomes
    the best (then all that is displayed is ahead) or depth shows its level. Trades at its price
    shorten the queue, as does a smaller displayed quantity. Unknown: filled only when the market
    trades through. Traded through: filled at its limit whatever the trade's size.
    A quantity of 0 in a record means not carried: it limits nothing and shortens no queue.
    Before the first quote, trades alone decide: a marketable order pays the trade's price.
Bars
    `bar_open`: orders active at or before the start meet the open. Then requests due inside the bar
    take effect in the order sent; market orders among them fill at once, see `price_inside`.
    `bar_range`: stops, then limits. An order that became active inside the bar: a stop fills on the
    whole range, a limit only when the close satisfies it. Fills carry `end_ns - 1`.
    Volume share: a bar without volume limits nothing.
"""

import numpy as np

from libc.stdint cimport INT64_MAX, int32_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from dhanfast._core.fillprice cimport (
    price_against,
    price_better,
    price_inside,
    price_slipped,
    price_within,
    price_worse,
)
from dhanfast._core.resting cimport (
    BUY_LIMIT,
    BUY_STOP,
    LISTS,
    NOWHERE,
    QUEUE_UNKNOWN,
    SELL_LIMIT,
    SELL_STOP,
    Place,
    PlaceState,
)
from dhanfast._core.risk cimport Approved, order_seal
from dhanfast._core.status cimport check
from dhanfast._core.types cimport OrderKind, RejectReason, ReportKind, Validity
from dhanfast._core.venue cimport (
    venue_arrive,
    venue_cancel,
    venue_close,
    venue_end,
    venue_fill,
    venue_modify,
    venue_open,
    venue_price,
    venue_session,
    venue_settle,
    venue_submit,
    venue_trigger,
)

from dhanfast._core.records import record_of
from dhanfast._core.types import BAR_DTYPE, REPORT_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast.errors import BadData, ConfigError, UsageError

cdef enum:
    DEPTH_MAX = 200

_RULES = {                       # name: largest value
    "latency_ns": 3_600_000_000_000, "slippage": 1_000_000_000, "slippage_e6": 1_000_000,
    "protection_e4": 10_000, "volume_share_e4": 10_000, "limit_through": 1, "stop_market_ok": 1,
}


cdef class Match:
    """The sim exchange. Takes only orders that its gate has sealed; answers with reports.

    Args:
        gate: whose approvals are honoured.
        instruments: their indexes are 0..instruments-1.
        orders_max: orders not yet done, all instruments together.
        reports_max: least room for reports between two `reports` (raised to 16 an order).
        latency_ns: from submit, cancel or modify to the exchange.
        slippage: paise against the order, on market fills and triggered stops.
        slippage_e6: in addition, 1e-6 of the price.
        protection_e4: a market order's limit is the market price +- this, 1e-4; 0 = no limit.
        volume_share_e4: share of an event's quantity that one order may take, 1e-4; 0 = all.
        limit_through: True: a limit fills only when the price trades through it.
        stop_market_ok: True: SL-M accepted.

    Raises:
        ConfigError: a number out of range, or slippage_e6 beyond the protection.
        MemoryError: no room for the pools.
    """

    def __cinit__(self, Gate gate not None, *, instruments: object = 1, orders_max: object = 1024,
                  reports_max: object = 0, **rules: object):
        self.gate = gate
        for name in rules:
            if name not in _RULES:
                raise ConfigError(f"match.{name}: no such rule; known: {', '.join(_RULES)}")
        values = {name: _number(name, rules.get(name, 0), 0, most)
                  for name, most in _RULES.items()}
        self.rules = values
        if self.rules.protection_e4 and \
                self.rules.slippage_e6 > self.rules.protection_e4 * 100:
            raise ConfigError(f"match.slippage_e6: {self.rules.slippage_e6} is beyond the "
                              f"protection of {self.rules.protection_e4}e-4: no market order "
                              "would pay it in full; raise protection_e4 or lower slippage_e6")
        self.instruments = _number("instruments", instruments, 1, 1 << 20)
        self.quiet = <Quiet *>calloc(self.instruments, sizeof(Quiet))
        if self.quiet == NULL or venue_open(
                &self.venue, &self.rules, self.quiet, self.instruments,
                _number("orders_max", orders_max, 1, 1 << 22),
                _number("reports_max", reports_max, 0, 1 << 24)) != 0:
            raise MemoryError(f"match: no memory for {orders_max} orders")

    def __dealloc__(self):
        venue_close(&self.venue)
        free(self.quiet)

    cdef Status submit(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil:
        cdef Status status
        if order.seal != order_seal(self.gate.key, &order.order):
            return Status.NOT_APPROVED
        if order.order.id <= self.last_id or order.order.instrument >= self.instruments:
            return Status.NOT_APPROVED
        status = venue_submit(&self.venue, &order.order, now_ns)
        if status == Status.OK:
            self.last_id = order.order.id
        self._finish(order.order.instrument)
        return status

    cdef Status cancel(self, uint64_t order_id, ns_t now_ns) noexcept nogil:
        cdef Status status = venue_cancel(&self.venue, order_id, now_ns)
        self._count()
        return status

    cdef Status modify(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t now_ns) noexcept nogil:
        cdef Status status = venue_modify(&self.venue, order_id, price, trigger, qty, now_ns)
        self._count()
        return status

    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil:
        if instrument < self.instruments:
            venue_session(&self.venue, instrument, session)
            self._count()

    cdef size_t take(self, Report *out, size_t limit) noexcept nogil:
        cdef size_t count = 0
        cdef uint64_t tail = self.venue.pool.report_tail
        while count < limit and tail != self.venue.pool.report_head:
            out[count] = self.venue.pool.reports[tail & self.venue.pool.report_mask]
            count += 1
            tail += 1
        self.venue.pool.report_tail = tail
        self._count()
        return count

    cdef void _count(self) noexcept nogil:
        self.live = self.venue.pool.live
        self.pending_reports = self.venue.pool.report_head - self.venue.pool.report_tail

    cdef void _finish(self, uint32_t instrument) noexcept nogil:
        venue_settle(&self.venue, instrument)
        self._count()

    # ---- shared by all kinds of event ----

    cdef void _price_waiting(self, Desk *desk, paise_t buy, paise_t sell,
                             ns_t now_ns) noexcept nogil:
        """Market orders that arrived before any price get their limit now, or are refused."""
        cdef int which
        cdef int32_t at, after
        cdef paise_t price
        for which in range(BUY_LIMIT, SELL_LIMIT + 1):
            price = buy if which == BUY_LIMIT else sell
            at = desk.heads[which]
            while at != NOWHERE:
                after = self.venue.pool.places[at].next
                if not self.venue.pool.places[at].priced:
                    if price > 0:
                        venue_price(&self.venue, desk, at, price)
                    else:
                        venue_end(&self.venue, desk, at, ReportKind.REJECTED,
                                  RejectReason.NO_MARKET, now_ns)
                at = after

    cdef void _end_ioc(self, Desk *desk, ns_t time_ns) noexcept nogil:
        """What an IOC has not filled by now expires."""
        cdef int which
        cdef int32_t at, after
        for which in range(BUY_LIMIT, SELL_LIMIT + 1):
            at = desk.heads[which]
            while at != NOWHERE:
                after = self.venue.pool.places[at].next
                if self.venue.pool.places[at].order.validity == Validity.IOC:
                    venue_end(&self.venue, desk, at, ReportKind.EXPIRED, 0,
                              max(time_ns, self.venue.pool.places[at].active_ns))
                at = after

    # What a fill at a market price of `price` costs this order: slipped when it takes, on the tick,
    # never outside its limit.
    cdef paise_t _slipped(self, const Desk *desk, const Place *place,
                          paise_t price) noexcept nogil:
        cdef int side = place.order.side
        if place.taker and place.order.kind != OrderKind.LIMIT:
            price = price_slipped(price, self.rules.slippage, self.rules.slippage_e6,
                                  desk.session.tick, side)
        else:
            price = price_against(price, desk.session.tick, side)
        return price_better(price, place.limit, side)

    cdef int64_t _share(self, int64_t qty) noexcept nogil:
        if self.rules.volume_share_e4 == 0 or qty == INT64_MAX:
            return qty
        return qty // 10_000 * self.rules.volume_share_e4 \
            + qty % 10_000 * self.rules.volume_share_e4 // 10_000

    # ---- ticks and depth ----

    cdef void tick(self, const Tick *tick) noexcept nogil:
        cdef ns_t now_ns = tick.recv_ns if tick.recv_ns else tick.exch_ns
        cdef bint quotes = tick.bid > 0 or tick.ask > 0
        cdef Desk *desk
        if tick.instrument >= self.instruments:
            return
        desk = &self.venue.desks[tick.instrument]
        venue_arrive(&self.venue, desk, now_ns)
        desk.ticking = 1
        if tick.price > 0:
            desk.last = tick.price
        if desk.live:
            self._price_waiting(desk, desk.last if desk.last else tick.ask,
                                desk.last if desk.last else tick.bid, now_ns)
            if tick.price > 0:
                self._tick_stops(desk, now_ns)
                self._tick_trade(desk, BUY_LIMIT, tick, quotes or desk.quoted, now_ns)
                self._tick_trade(desk, SELL_LIMIT, tick, quotes or desk.quoted, now_ns)
        if quotes:
            desk.quoted = 1
            desk.bid = tick.bid
            desk.ask = tick.ask
            desk.bid_qty = tick.bid_qty
            desk.ask_qty = tick.ask_qty
            desk.bid_left = tick.bid_qty if tick.bid_qty else INT64_MAX
            desk.ask_left = tick.ask_qty if tick.ask_qty else INT64_MAX
            self._queue(desk, BUY_LIMIT, &desk.bid, &desk.bid_qty, desk.bid > 0)
            self._queue(desk, SELL_LIMIT, &desk.ask, &desk.ask_qty, desk.ask > 0)
        if desk.live:
            if desk.quoted:
                self._take_levels(desk, BUY_LIMIT, &desk.ask, &desk.ask_left, desk.ask > 0, now_ns)
                self._take_levels(desk, SELL_LIMIT, &desk.bid, &desk.bid_left, desk.bid > 0, now_ns)
            self._end_ioc(desk, now_ns)
        self._finish(tick.instrument)

    cdef void depth(self, uint32_t instrument, const paise_t *bid_px, const int64_t *bid_qty,
                    size_t bids, const paise_t *ask_px, const int64_t *ask_qty, size_t asks,
                    ns_t now_ns) noexcept nogil:
        cdef int64_t left[DEPTH_MAX]
        cdef Desk *desk
        if instrument >= self.instruments:
            return
        desk = &self.venue.desks[instrument]
        bids = bids if bids < DEPTH_MAX else DEPTH_MAX
        asks = asks if asks < DEPTH_MAX else DEPTH_MAX
        venue_arrive(&self.venue, desk, now_ns)
        desk.ticking = desk.quoted = 1
        desk.bid = bid_px[0] if bids else 0
        desk.ask = ask_px[0] if asks else 0
        desk.bid_qty = desk.bid_left = bid_qty[0] if bids else 0
        desk.ask_qty = desk.ask_left = ask_qty[0] if asks else 0
        if desk.live:
            self._price_waiting(desk, desk.last if desk.last else desk.ask,
                                desk.last if desk.last else desk.bid, now_ns)
            self._queue(desk, BUY_LIMIT, bid_px, bid_qty, bids)
            self._queue(desk, SELL_LIMIT, ask_px, ask_qty, asks)
            memcpy(&left[0], ask_qty, asks * sizeof(int64_t))
            self._take_levels(desk, BUY_LIMIT, ask_px, &left[0], asks, now_ns)
            desk.ask_left = left[0] if asks else 0
            memcpy(&left[0], bid_qty, bids * sizeof(int64_t))
            self._take_levels(desk, SELL_LIMIT, bid_px, &left[0], bids, now_ns)
            desk.bid_left = left[0] if bids else 0
            self._end_ioc(desk, now_ns)
        self._finish(instrument)

    cdef void _tick_stops(self, Desk *desk, ns_t now_ns) noexcept nogil:
        cdef int32_t at = desk.heads[BUY_STOP]
        while at != NOWHERE and self.venue.pool.places[at].order.trigger <= desk.last:
            venue_trigger(&self.venue, desk, at, desk.last, now_ns)
            at = desk.heads[BUY_STOP]
        at = desk.heads[SELL_STOP]
        while at != NOWHERE and self.venue.pool.places[at].order.trigger >= desk.last:
            venue_trigger(&self.venue, desk, at, desk.last, now_ns)
            at = desk.heads[SELL_STOP]

    # What one trade does to resting orders; to takers too while no quote has been seen.
    cdef void _tick_trade(self, Desk *desk, int which, const Tick *tick, bint quoted,
                          ns_t now_ns) noexcept nogil:
        cdef int side = 1 if which == BUY_LIMIT else -1
        cdef int64_t offered = tick.qty if tick.qty else INT64_MAX
        cdef int64_t ahead, open_to_us
        cdef int32_t at = desk.heads[which]
        cdef Place *place
        cdef paise_t price
        self.venue.visits += 1
        while at != NOWHERE:
            place = &self.venue.pool.places[at]
            if place.visit == self.venue.visits or (place.taker and quoted):
                at = place.next
                continue
            place.visit = self.venue.visits
            price = place.limit
            open_to_us = offered
            if not price_within(tick.price, place.limit, side, False):
                open_to_us = 0
                desk.dirty = 1
                place.taker = 0
            elif place.taker:
                price = self._slipped(desk, place, tick.price)
            elif tick.price != place.limit:
                open_to_us = INT64_MAX       # through our price: everything there has traded
            else:
                ahead = place.queue
                if tick.qty and ahead > 0:
                    place.queue = max(0, ahead - <int64_t>tick.qty)
                if ahead == QUEUE_UNKNOWN or self.rules.limit_through:
                    open_to_us = 0
                elif ahead:
                    open_to_us = max(0, offered - ahead) if tick.qty else 0
            if open_to_us > 0:
                open_to_us = min(open_to_us, self._share(tick.qty if tick.qty else INT64_MAX))
                open_to_us = venue_fill(&self.venue, desk, at, open_to_us, price, now_ns)
                if offered != INT64_MAX:
                    offered = max(0, offered - open_to_us)
                at = desk.heads[which]       # a group may have taken neighbours off the list
            else:
                at = place.next

    # Bring queue positions up to a displayed side of the book, best first.
    cdef void _queue(self, Desk *desk, int which, const paise_t *price, const int64_t *qty,
                     size_t levels) noexcept nogil:
        cdef int side = 1 if which == BUY_LIMIT else -1
        cdef int32_t at = desk.heads[which]
        cdef size_t level = 0
        cdef Place *place
        while at != NOWHERE:                 # priority order: levels are passed once
            place = &self.venue.pool.places[at]
            at = place.next
            while level < levels and price_within(place.limit, price[level], side, False) \
                    and place.limit != price[level]:
                level += 1
            if level < levels and place.limit == price[level]:
                if qty[level] > 0 and (place.queue == QUEUE_UNKNOWN or place.queue > qty[level]):
                    place.queue = qty[level]
            elif level < levels or levels == 0:
                place.queue = 0              # betters the best, or stands where nobody else does

    cdef void _take_levels(self, Desk *desk, int which, const paise_t *price, int64_t *qty,
                           size_t levels, ns_t now_ns) noexcept nogil:
        cdef int side = 1 if which == BUY_LIMIT else -1
        cdef int32_t at = desk.heads[which]
        cdef Place *place
        self.venue.visits += 1
        while at != NOWHERE:
            place = &self.venue.pool.places[at]
            if place.visit == self.venue.visits:
                at = place.next
                continue
            place.visit = self.venue.visits
            if levels and price_within(price[0], place.limit, side,
                                       self.rules.limit_through and not place.taker):
                self._sweep(desk, at, price, qty, levels, now_ns)
                at = desk.heads[which]
            else:
                desk.dirty |= place.taker
                place.taker = 0
                at = place.next

    # One marketable order walks the opposite side: a taker pays each level, a resting order was
    # there first and gets its own limit.
    cdef void _sweep(self, Desk *desk, int32_t at, const paise_t *price, int64_t *qty,
                     size_t levels, ns_t now_ns) noexcept nogil:
        cdef Place *place = &self.venue.pool.places[at]
        cdef bint through = self.rules.limit_through and not place.taker
        cdef int64_t want, got
        cdef size_t level
        for level in range(levels):
            if not price_within(price[level], place.limit, place.order.side, through):
                return
            if qty[level] <= 0:
                continue
            want = place.left
            got = venue_fill(&self.venue, desk, at, min(qty[level], self._share(qty[level])),
                             self._slipped(desk, place, price[level]) if place.taker
                             else place.limit, now_ns)
            if qty[level] != INT64_MAX:
                qty[level] -= got
            if got >= want:
                return                       # done: its place may already be another's

    # ---- bars ----

    cdef void bar_open(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        cdef Desk *desk
        if bar.instrument >= self.instruments:
            return
        desk = &self.venue.desks[bar.instrument]
        if desk.live == 0 and desk.first_request == NOWHERE:
            return
        venue_arrive(&self.venue, desk, bar.start_ns)
        self._price_waiting(desk, bar.open, bar.open, bar.start_ns)
        self._bar_stops(desk, BUY_STOP, bar, True, bar.start_ns)
        self._bar_stops(desk, SELL_STOP, bar, True, bar.start_ns)
        self._bar_limits_open(desk, BUY_LIMIT, bar)
        self._bar_limits_open(desk, SELL_LIMIT, bar)
        self._end_ioc(desk, bar.start_ns)
        venue_arrive(&self.venue, desk, end_ns - 1)
        self._bar_inside(desk, BUY_LIMIT, bar, end_ns)
        self._bar_inside(desk, SELL_LIMIT, bar, end_ns)
        self._end_ioc(desk, bar.start_ns)
        self._finish(bar.instrument)

    cdef void bar_range(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        cdef Desk *desk
        if bar.instrument >= self.instruments:
            return
        desk = &self.venue.desks[bar.instrument]
        if desk.live == 0 and desk.first_request == NOWHERE:
            return
        venue_arrive(&self.venue, desk, end_ns - 1)
        self._bar_inside(desk, BUY_LIMIT, bar, end_ns)
        self._bar_inside(desk, SELL_LIMIT, bar, end_ns)
        self._end_ioc(desk, bar.start_ns)
        self._bar_stops(desk, BUY_STOP, bar, False, end_ns - 1)
        self._bar_stops(desk, SELL_STOP, bar, False, end_ns - 1)
        self._bar_limits(desk, BUY_LIMIT, bar, end_ns - 1)
        self._bar_limits(desk, SELL_LIMIT, bar, end_ns - 1)
        self._end_ioc(desk, end_ns - 1)
        self._finish(bar.instrument)

    cdef int64_t _bar_fill(self, Desk *desk, int32_t at, paise_t price, const Bar *bar,
                           ns_t time_ns) noexcept nogil:
        cdef Place *place = &self.venue.pool.places[at]
        cdef int64_t qty = place.left
        cdef int64_t used = place.share_used if place.share_ns == bar.start_ns else 0
        cdef int64_t got
        if self.rules.volume_share_e4 and bar.volume > 0:
            qty = min(qty, self._share(bar.volume) - used)
        if qty <= 0:
            return 0
        # Noted before the fill: afterwards the place may be free.
        place.share_ns = bar.start_ns
        got = venue_fill(&self.venue, desk, at, qty, self._slipped(desk, place, price), time_ns)
        if place.state != PlaceState.FREE:
            place.share_used = used + got
        return got

    cdef void _bar_stops(self, Desk *desk, int which, const Bar *bar, bint at_open,
                         ns_t time_ns) noexcept nogil:
        cdef int side = 1 if which == BUY_STOP else -1
        cdef paise_t reach = bar.open if at_open else (bar.high if side > 0 else bar.low)
        cdef int32_t at = desk.heads[which]
        cdef Place *place
        cdef paise_t price
        while at != NOWHERE:
            place = &self.venue.pool.places[at]
            if not price_within(place.order.trigger, reach, side, False):
                return                       # nearest trigger first: none behind is reached
            if at_open and place.active_ns > bar.start_ns:
                at = place.next
                continue
            price = bar.open if at_open else price_worse(place.order.trigger, bar.open, side)
            venue_trigger(&self.venue, desk, at, price, time_ns)
            if not at_open:
                if price_within(price, place.limit, side, False):
                    self._bar_fill(desk, at, price, bar, time_ns)
                else:
                    place.taker = 0          # gone past its limit: it rests
            at = desk.heads[which]

    cdef void _bar_limits_open(self, Desk *desk, int which, const Bar *bar) noexcept nogil:
        cdef int side = 1 if which == BUY_LIMIT else -1
        cdef int32_t at = desk.heads[which]
        cdef Place *place
        self.venue.visits += 1
        while at != NOWHERE:
            place = &self.venue.pool.places[at]
            if place.visit == self.venue.visits or place.active_ns > bar.start_ns:
                at = place.next
                continue
            place.visit = self.venue.visits
            if price_within(bar.open, place.limit, side, self._through(place)):
                self._bar_fill(desk, at, bar.open, bar, bar.start_ns)
                at = desk.heads[which]
            else:
                desk.dirty |= place.taker
                place.taker = 0
                at = place.next

    # Market orders and IOCs that reach the exchange inside the bar.
    cdef void _bar_inside(self, Desk *desk, int which, const Bar *bar, ns_t end_ns) noexcept nogil:
        cdef int side = 1 if which == BUY_LIMIT else -1
        cdef int32_t at = desk.heads[which]
        cdef Place *place
        cdef paise_t price
        self.venue.visits += 1
        while at != NOWHERE:
            place = &self.venue.pool.places[at]
            if place.visit == self.venue.visits or not place.taker or (
                    place.order.kind != OrderKind.MARKET
                    and place.order.validity != Validity.IOC):
                at = place.next
                continue
            place.visit = self.venue.visits
            price = price_inside(bar, end_ns, place.active_ns, side)
            if not place.priced:
                venue_price(&self.venue, desk, at, price)
            if price_within(price, place.limit, side, self._through(place)):
                self._bar_fill(desk, at, price, bar, max(place.active_ns, bar.start_ns))
            else:
                desk.dirty |= place.taker
                place.taker = 0
            at = desk.heads[which]

    cdef void _bar_limits(self, Desk *desk, int which, const Bar *bar,
                          ns_t time_ns) noexcept nogil:
        cdef int side = 1 if which == BUY_LIMIT else -1
        cdef paise_t best = bar.low if side > 0 else bar.high
        cdef paise_t worst = bar.high if side > 0 else bar.low
        cdef int32_t at = desk.heads[which]
        cdef bint from_start, through
        cdef Place *place
        cdef paise_t price
        self.venue.visits += 1
        while at != NOWHERE:
            place = &self.venue.pool.places[at]
            if place.visit == self.venue.visits:
                at = place.next
                continue
            place.visit = self.venue.visits
            through = self._through(place)
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
            self._bar_fill(desk, at, price, bar, time_ns)
            at = desk.heads[which]

    # A limit may have to be traded through; a market order or triggered stop never waits for that.
    cdef bint _through(self, const Place *place) noexcept nogil:
        return self.rules.limit_through and not (
            place.taker and place.order.kind != OrderKind.LIMIT)

    # ---- the Python door ----

    def submit_order(self, approved: Approved, now_ns: int):
        """Send an approved order; REJECTED may still follow as a report.

        Args:
            approved: from this match's gate; each approval can be sent once, in order of id.
            now_ns: time of sending, UTC ns.

        Raises:
            OrderRefused: not this gate's approval, an id not above all earlier ones, or an unknown
                instrument.
            PoolFull: too many live orders, or reports that nobody has taken.
        """
        if approved is None:
            raise UsageError("approved: None is not an approved order; Gate.check makes one")
        check(self.submit(&approved.value, now_ns))

    def cancel_order(self, order_id: int, now_ns: int):
        """Ask for a cancel; CANCELLED, or REJECTED when it came too late, follows as a report.

        Raises:
            OrderRefused: no live order has this id.
            PoolFull: reports that nobody has taken.
        """
        check(self.cancel(order_id, now_ns))

    def modify_order(self, order_id: int, *, price: int, trigger: int, qty: int, now_ns: int):
        """Ask for a new price, trigger and whole quantity; ACCEPTED or REJECTED follows.

        Args:
            qty: of the whole order, what has filled included.

        Raises:
            OrderRefused: no live order has this id.
            PoolFull: reports that nobody has taken.
        """
        check(self.modify(order_id, price, trigger, qty, now_ns))

    def start_session(self, instrument: int, session: object):
        """A new day or contract: what is left of DAY orders expires, then its rules hold.

        Args:
            session: a mapping of session fields or a SESSION_DTYPE record.

        Raises:
            UsageError: unknown instrument, or not a session.
        """
        cdef uint8_t[::1] raw = record_of(session, SESSION_DTYPE, "session").view(np.uint8)
        self.session(self._index(instrument), <const Session *>&raw[0])

    def on_bar(self, bar: object, end_ns: int, *, part: str = "both"):
        """Apply a bar: its open, its range, or both.

        Args:
            bar: a mapping of bar fields or a BAR_DTYPE record.
            end_ns: the bar covers [start_ns, end_ns).
            part: "open", "range" or "both".

        Raises:
            BadData: a price not positive, open or close outside low..high, or an empty time span.
            UsageError: unknown instrument or part.
        """
        cdef uint8_t[::1] raw = record_of(bar, BAR_DTYPE, "bar").view(np.uint8)
        cdef const Bar *record = <const Bar *>&raw[0]
        self._index(record.instrument)
        if part not in ("open", "range", "both"):
            raise UsageError(f"part: {part!r} is not 'open', 'range' or 'both'")
        if not (0 < record.low <= record.open <= record.high
                and record.low <= record.close <= record.high):
            raise BadData(f"bar at {record.start_ns}: open {record.open}, high {record.high}, low "
                          f"{record.low}, close {record.close} are not one bar's prices in paise")
        if end_ns <= record.start_ns:
            raise BadData(f"bar at {record.start_ns}: ends at {end_ns}, not after its start")
        if part != "range":
            self.bar_open(record, end_ns)
        if part != "open":
            self.bar_range(record, end_ns)

    def on_tick(self, tick: object):
        """Apply one tick, a mapping of tick fields or a TICK_DTYPE record.

        Raises:
            BadData: a negative price.
            UsageError: unknown instrument, or not a tick.
        """
        cdef uint8_t[::1] raw = record_of(tick, TICK_DTYPE, "tick").view(np.uint8)
        cdef const Tick *record = <const Tick *>&raw[0]
        self._index(record.instrument)
        if record.price < 0 or record.bid < 0 or record.ask < 0:
            raise BadData(f"tick at {record.recv_ns}: price {record.price}, bid {record.bid}, ask "
                          f"{record.ask}: a price is never negative; 0 means not carried")
        self.tick(record)

    def on_ticks(self, ticks: object):
        """Apply many ticks in one native loop; stops early when reports must be taken first.

        Args:
            ticks: TICK_DTYPE[n], C-contiguous, valid as in `on_tick`.

        Returns:
            int: how many were applied. Take the reports and go on with the rest.

        Raises:
            UsageError: not a C-contiguous TICK_DTYPE array.
        """
        if getattr(ticks, "dtype", None) != TICK_DTYPE or not ticks.flags.c_contiguous:
            raise UsageError("ticks: expected a C-contiguous array of TICK_DTYPE")
        cdef size_t at = 0, count = ticks.size
        if count == 0:
            return 0
        cdef const uint8_t[::1] raw = ticks.reshape(-1).view(np.uint8)
        cdef const Tick *record = <const Tick *>&raw[0]
        with nogil:
            while at < count and 2 * self.pending_reports <= self.venue.pool.report_mask:
                self.tick(&record[at])
                at += 1
        return at

    def on_depth(self, instrument: int, bids: object, asks: object, now_ns: int):
        """Apply a snapshot of the book.

        Args:
            bids, asks: int64[n, 2], price in paise and quantity in units, best first.
            now_ns: UTC ns.

        Raises:
            BadData: prices not positive, not from best to worst, or a crossed book.
            UsageError: unknown instrument, or more than 200 levels.
        """
        cdef int64_t[:, ::1] buy = _levels(bids, "bids", -1)
        cdef int64_t[:, ::1] sell = _levels(asks, "asks", 1)
        cdef size_t n_buy = buy.shape[1], n_sell = sell.shape[1]
        if n_buy and n_sell and buy[0, 0] >= sell[0, 0]:
            raise BadData(f"book: best bid {buy[0, 0]} is not below best ask {sell[0, 0]}")
        self.depth(self._index(instrument), &buy[0, 0] if n_buy else NULL,
                   &buy[1, 0] if n_buy else NULL, n_buy, &sell[0, 0] if n_sell else NULL,
                   &sell[1, 0] if n_sell else NULL, n_sell, now_ns)

    def reports(self):
        """Take all reports, oldest first.

        Shape:
            REPORT_DTYPE[n].
        """
        rows = np.zeros(self.pending_reports, dtype=REPORT_DTYPE)
        cdef uint8_t[::1] raw
        if len(rows):
            raw = rows.view(np.uint8)
            self.take(<Report *>&raw[0], <size_t>len(rows))
        return rows

    def quiet_band(self, instrument: int):
        """A bar with low above the first and high below the second changes no order.

        Units:
            paise.

        Raises:
            UsageError: unknown instrument.
        """
        cdef uint32_t at = self._index(instrument)
        return self.quiet[at].low, self.quiet[at].high

    def working(self):
        """The orders not yet done, by id: each with its left, limit, queue, active_ns and state
        (SENT, WAITING for its trigger, WORKING). A queue of -1 is unknown.
        """
        orders = {}
        for at in range(self.venue.pool.top):
            place = self.venue.pool.places[at]
            if place.state != PlaceState.FREE:
                orders[place.order.id] = {
                    "left": place.left, "limit": place.limit, "queue": place.queue,
                    "active_ns": place.active_ns,
                    "state": ("FREE", "SENT", "WAITING", "WORKING")[place.state]}
        return dict(sorted(orders.items()))

    @property
    def stalls(self):
        """Fills put off because reports were not taken; 0 in a healthy run."""
        return self.venue.stalls

    cdef uint32_t _index(self, object instrument) except? 0xFFFFFFFF:
        if not 0 <= instrument < self.instruments:
            raise UsageError(f"instrument: {instrument} is not in 0..{self.instruments - 1}")
        return instrument


cdef object _number(str name, object value, object least, object most):
    if not isinstance(value, (int, np.integer)) or not least <= value <= most:
        raise ConfigError(f"match.{name}: {value!r} is not a whole number in {least}..{most}")
    return int(value)


cdef object _levels(object levels, str what, int step):
    table = np.asarray(levels, dtype=np.int64).reshape(-1, 2).T.copy()
    if table.shape[1] > DEPTH_MAX:
        raise UsageError(f"{what}: {table.shape[1]} levels; at most {DEPTH_MAX}")
    if (table[0] <= 0).any() or (table[1] < 0).any() or (np.diff(table[0]) * step <= 0).any():
        raise BadData(f"{what}: prices must be positive paise from best to worst, "
                      f"quantities 0 or more: {table.T.tolist()[:5]}")
    return table
