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
    From then on it rests, and fills at its own limit. An order that the quote in force when it
    arrives cannot fill rests at once.
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

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free

from dhanfast._core.barmatch cimport bar_apply_open, bar_apply_range
from dhanfast._core.resting cimport PlaceState
from dhanfast._core.risk cimport Approved, Gate, order_seal
from dhanfast._core.status cimport Status, check
from dhanfast._core.tickmatch cimport DEPTH_MAX, depth_apply, tick_apply
from dhanfast._core.types cimport ApprovedOrder, Bar, Report, Session, Tick
from dhanfast._core.venue cimport (
    Quiet,
    venue_calm,
    venue_cancel,
    venue_close,
    venue_modify,
    venue_open,
    venue_session,
    venue_submit,
)

from dhanfast._core.records import record_of
from dhanfast._core.types import BAR_DTYPE, REPORT_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast.errors import BadData, ConfigError, UsageError

_RULES = {                       # name: largest value
    "latency_ns": 3_600_000_000_000, "slippage": 1_000_000_000, "slippage_e6": 1_000_000,
    "protection_e4": 10_000, "volume_share_e4": 10_000, "limit_through": 1, "stop_market_ok": 1,
}


cdef inline void _count(Match match) noexcept nogil:
    match.live = match.venue.pool.live
    match.pending_reports = match.venue.pool.report_head - match.venue.pool.report_tail


cdef Status _submit(Match match, const ApprovedOrder *order, ns_t now_ns,
                    bint attached) noexcept nogil:
    cdef Status status
    if order.seal != order_seal(match.gate.key, &order.order):
        return Status.NOT_APPROVED
    if order.order.id <= match.last_id or order.order.instrument >= match.instruments:
        return Status.NOT_APPROVED
    status = venue_submit(&match.venue, &order.order, now_ns, attached)
    if status == Status.OK:
        match.last_id = order.order.id
    _count(match)
    return status


cdef class Match(Broker):
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

    Attributes:
        live: orders not yet done.
        pending_reports: reports not taken yet.

    Raises:
        ConfigError: a number out of range, or slippage_e6 beyond the protection.
        MemoryError: no room for the pools.
    """

    def __cinit__(self, Gate gate not None, *, instruments: object = 1, orders_max: object = 256,
                  reports_max: object = 0, **rules: object):
        self.gate = gate
        for name in rules:
            if name not in _RULES:
                raise ConfigError(f"match.{name}: no such rule; known: {', '.join(_RULES)}")
        values = {name: _number(name, rules.get(name, 0), 0, most)
                  for name, most in _RULES.items()}
        self.rules = values | {"stop_more": 0}
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
        return _submit(self, order, now_ns, False)

    cdef Status attach(self, const ApprovedOrder *order, ns_t at_ns) noexcept nogil:
        return _submit(self, order, at_ns, True)

    cdef Status cancel(self, uint64_t order_id, ns_t now_ns) noexcept nogil:
        cdef Status status = venue_cancel(&self.venue, order_id, now_ns)
        _count(self)
        return status

    cdef Status modify(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t now_ns) noexcept nogil:
        cdef Status status = venue_modify(&self.venue, order_id, price, trigger, qty, now_ns, False)
        _count(self)
        return status

    cdef Status resize(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t at_ns) noexcept nogil:
        cdef Status status = venue_modify(&self.venue, order_id, price, trigger, qty, at_ns, True)
        _count(self)
        return status

    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil:
        if instrument < self.instruments:
            venue_session(&self.venue, instrument, session)
            _count(self)

    cdef size_t take(self, Report *out, size_t limit) noexcept nogil:
        cdef size_t count = 0
        cdef uint64_t tail = self.venue.pool.report_tail
        while count < limit and tail != self.venue.pool.report_head:
            out[count] = self.venue.pool.reports[tail & self.venue.pool.report_mask]
            count += 1
            tail += 1
        if tail == self.venue.pool.report_head:
            tail = self.venue.pool.report_head = 0      # start over where the cache is warm
        self.venue.pool.report_tail = tail
        _count(self)
        return count

    cdef void _count(self) noexcept nogil:
        _count(self)

    cdef void bar_open(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        bar_apply_open(&self.venue, bar, end_ns)
        _count(self)

    cdef void bar_range(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        bar_apply_range(&self.venue, bar, end_ns)
        _count(self)

    cdef void tick(self, const Tick *tick) noexcept nogil:
        tick_apply(&self.venue, tick)
        _count(self)

    cdef bint calm(self, paise_t *floor, paise_t *ceiling) noexcept nogil:
        return venue_calm(&self.venue, 0, floor, ceiling)

    cdef void depth(self, uint32_t instrument, const paise_t *bid_px, const int64_t *bid_qty,
                    size_t bids, const paise_t *ask_px, const int64_t *ask_qty, size_t asks,
                    ns_t now_ns) noexcept nogil:
        depth_apply(&self.venue, instrument, bid_px, bid_qty, bids, ask_px, ask_qty, asks, now_ns)
        _count(self)

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
            TypeError: not an Approved.
        """
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
