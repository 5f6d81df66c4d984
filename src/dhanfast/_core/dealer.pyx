"""Dealer: see dealer.pxd for what holds, here is the how."""

from libc.math cimport INFINITY, NAN, llrint
from libc.string cimport memset

from dhanfast._core.broker cimport WORKED_FREEZES
from dhanfast._core.guardlocks cimport guards_watch
from dhanfast._core.portfolio cimport bill_fill, bill_total, portfolio_equity
from dhanfast._core.risk cimport RiskView
from dhanfast._core.sizing cimport SizeMethod, size_entry, size_trade
from dhanfast._core.stops cimport (
    stop_tighter, stops_cost, stops_known, stops_level, stops_open, stops_set,
)
from dhanfast._core.strategy cimport Action
from dhanfast._core.tradebook cimport price_on_tick, trade_charge, units
from dhanfast._core.types cimport (
    ApprovedOrder, Order, OrderFlag, OrderKind, Reason, RejectReason, ReportKind, Side, Validity,
)


cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)


# Copied from where memset would do: the compiler copies with vectors, but clears with `rep stos`.
cdef Order _NO_ORDER
cdef Working _NO_WORKING
cdef Trade _NO_TRADE
memset(&_NO_ORDER, 0, sizeof(Order))
memset(&_NO_WORKING, 0, sizeof(Working))
memset(&_NO_TRADE, 0, sizeof(Trade))


cdef class Dealer:
    """Wishes into orders, reports into books; the `Kernel` is one that also runs the events.

    Attributes:
        strategy: what decides. broker: what executes orders. gate: the risk gate.
        portfolio: the books. log: where trades, orders and equity are written.
        signals: wishes to enter. signals_late: outside the entry window. signals_held: while a
            position, or an entry on its way, was kept. signals_unready: stop or target unknown.
            signals_unsized: sizing left no lot. stops_moved: by a trail or to cost.
        quoted: a quote was seen in this run.
        orders_sent: orders the gate passed. orders_refused: by the gate or the exchange.
        position: signed units held. entry_id, exit_id, stop_id, target_id: the orders that now
            work for it, 0 = none. stop_price, target_price: what they are at, paise, 0 = none.
    """

    def __cinit__(self):
        self.ids = &self.next_id

    # ---- what the strategy wants, made into orders --------------------------------------------

    cdef void look(self, ns_t now_ns) noexcept nogil:
        """What the strategy may know of time: now, and whether entries are allowed."""
        cdef const Session *session = self.session
        self.view.now_ns = now_ns
        self.view.can_enter = (session.flags == 0 and session.entry_from_ns <= now_ns
                               and now_ns < session.entry_until_ns
                               and (session.square_off_ns == 0 or now_ns < session.square_off_ns))

    cdef void decide(self, Decision *out, ns_t now_ns) noexcept nogil:
        """The market that a decision is taken in."""
        out.at_ns, out.price = now_ns, self.portfolio.positions[self.instrument].mark
        out.signal = self.signal_level

    cdef void act(self, const Signal *signal, ns_t now_ns) noexcept nogil:
        """Make orders of a wish; `look` has been called for the same instant."""
        cdef int side
        if signal.action == Action.GO_FLAT:
            self.leave(Reason.EXIT_SIGNAL, 0, now_ns)
            return
        side = 1 if signal.action == Action.GO_LONG else -1
        self.signals += 1
        if self.position * side < 0 and self.on_opposite != Opposite.KEEP:
            self.reverse(side, signal, now_ns)
        elif not self.view.can_enter:
            self.signals_late += 1
        elif self.position != 0 or self.entering != 0:
            self.signals_held += 1
        else:
            self.decide(&self.decision, now_ns)
            self.enter(side, signal.stop, signal.target, signal.share, now_ns, Reason.SIGNAL)

    cdef void reverse(self, int side, const Signal *signal, ns_t now_ns) noexcept nogil:
        """A wish against the open position: close it, and turn round when that was asked for."""
        if self.exit_id != 0:
            return                     # already on its way out
        if self.on_opposite == Opposite.CLOSE:
            self.leave(Reason.EXIT_SIGNAL, 0, now_ns)
            return
        self.leave(Reason.REVERSAL, 0, now_ns)
        if not self.view.can_enter:
            self.signals_late += 1
        elif self.in_parts or self.entering != 0:
            # Its entry waits for flat: a part of it could fill before the exit has.
            self.turn_side, self.turn_stop, self.turn_target = side, signal.stop, signal.target
            self.turn_share = signal.share
            self.decide(&self.turn_decision, now_ns)
        else:
            self.decide(&self.decision, now_ns)
            self.enter(side, signal.stop, signal.target, signal.share, now_ns, Reason.REVERSAL)

    cdef void enter(self, int side, double stop, double target, int32_t share, ns_t now_ns,
                    int reason) noexcept nogil:
        cdef int64_t qty = self.lots * self.session.lot
        cdef uint64_t order_id
        cdef paise_t mark = self.portfolio.positions[self.instrument].mark
        cdef paise_t equity
        if self.stop_rules.sets or self.stop_rules.moves:
            self.entry_atr = self.atr.value
            stops_set(&self.stop_rules, 0.01 * mark, self.entry_atr, &stop, &target)
            if not stops_known(&self.stop_rules, 0.01 * mark, self.entry_atr):
                stop = NAN
        if not (0.0 <= stop < INFINITY and 0.0 <= target < INFINITY):
            self.signals_unready += 1      # never in without the stop that was asked for
            self.decision.at_ns = 0
            return
        if self.size_rules.active:
            equity = portfolio_equity(self.portfolio)
            qty = size_entry(&self.size_rules, &self.size_state, &self.gate.limits, side, stop,
                             mark, self.session, equity, equity - self.portfolio.margin_used(),
                             WORKED_FREEZES if self.broker.works(0, reason) else 1)
            if qty == 0:
                self.signals_unsized += 1
                self.decision.at_ns = 0
                return
        if share:
            qty = qty // self.session.lot * share // 1_000_000 * self.session.lot
            if qty == 0:
                self.signals_unsized += 1
                self.decision.at_ns = 0
                return
        self.stop_points, self.target_points = stop, target
        order_id = self.send(side, OrderKind.MARKET, qty, 0, 0, 0, reason, 0, now_ns)
        if order_id:
            self.entry_id, self.entering, self.entry_cancelled = order_id, side * qty, 0

    cdef void leave(self, int reason, int flags, ns_t now_ns) noexcept nogil:
        """A wish to be flat, which also takes back the entry of a reversal that waits."""
        self.turn_side = 0
        self.close_out(reason, flags, now_ns)

    cdef void close_out(self, int reason, int flags, ns_t now_ns) noexcept nogil:
        """Cancel what is on its way in and close what is open; once is enough."""
        if self.entering != 0:
            self.cancel_entry(now_ns)
        if self.exit_id != 0:
            self.press(reason, flags, now_ns)
            return
        if self.position == 0 and self.entering == 0:
            return
        if not self.leaving:
            self.decide(&self.leave_decision, now_ns)   # asked for again, it is the same wish
        if self.relents(reason, flags):
            reason, flags = self.leave_reason, self.leave_flags
        self.leaving, self.leave_reason, self.leave_flags = 1, reason, flags
        if self.position == 0:
            return
        self.decision = self.leave_decision
        self.exit_id = self.send(Side.SELL if self.position > 0 else Side.BUY, OrderKind.MARKET,
                                 units(self.position), 0, 0, OrderFlag.EXIT | flags, reason,
                                 self.group, now_ns)

    cdef bint relents(self, int reason, int flags) noexcept nogil:
        """Whether an exit for this reason would be worked, and the one that is wished would not."""
        return (self.leaving and self.broker.works(OrderFlag.EXIT | flags, reason)
                and not self.broker.works(OrderFlag.EXIT | self.leave_flags, self.leave_reason))

    cdef void press(self, int reason, int flags, ns_t now_ns) noexcept nogil:
        """What one exit leaves behind leaves as that one was wished last: should an entry fill on,
        an operator's exit is not followed by one that is worked."""
        self.broker.hurry(self.exit_id, flags, reason, now_ns)
        if self.leaving and self.broker.works(OrderFlag.EXIT | self.leave_flags,
                                              self.leave_reason):
            self.leave_reason, self.leave_flags = reason, flags

    cdef void wish_flat(self, int reason, ns_t now_ns) noexcept nogil:
        """As `leave`, when there may be more to hear before the order can be sized."""
        if not self.leaving:
            self.decide(&self.leave_decision, now_ns)
        self.leaving, self.leave_reason, self.leave_flags = 1, reason, 0
        self.todo |= Todo.LEAVE
        self.todo_ns = now_ns

    cdef void cancel_entry(self, ns_t now_ns) noexcept nogil:
        """Ask once; without room for the request it is asked again later."""
        if not self.entry_cancelled:
            self.entry_cancelled = self.broker.cancel(self.entry_id, now_ns) == Status.OK

    cdef void forget_wishes(self) noexcept nogil:
        """A session ends: what was wished in it does not hold any more."""
        self.leaving = self.turn_side = self.todo = 0

    cdef void protect(self, ns_t now_ns) noexcept nogil:
        """Rest the trade's stop and target at the exchange, or bring them to what is held."""
        cdef int64_t qty = units(self.position)
        cdef int side = Side.SELL if self.position > 0 else Side.BUY
        if self.stop_price:
            if self.stop_id == 0 and self.stop_rules.moves:      # a new order: it may move again
                self.stop_price = stop_tighter(-side, self.stop_price, self.stop_state.local)
                self.stop_state.local = self.stop_state.changes = 0
            if self.stop_id:
                self.resize(self.stop_id, 0, self.stop_price, now_ns)
            else:
                self.decide(&self.decision, now_ns)
                self.decision.price = self.stop_price
                self.stop_id = self.send(side, OrderKind.SLM, qty, self.stop_price, 0,
                                         OrderFlag.EXIT | OrderFlag.STOP, Reason.STOP_LOSS,
                                         self.group, now_ns)
        if self.target_price:
            if self.target_id:
                self.resize(self.target_id, self.target_price, 0, now_ns)
            else:
                self.decide(&self.decision, now_ns)
                self.decision.price = self.target_price
                self.target_id = self.send(side, OrderKind.LIMIT, qty, 0, self.target_price,
                                           OrderFlag.EXIT | OrderFlag.TARGET, Reason.TAKE_PROFIT,
                                           self.group, now_ns)

    cdef paise_t cost_price(self) noexcept nogil:
        """Where move-to-cost puts the stop: what the entry has paid, and what both sides cost."""
        cdef Trade *trade = &self.trade
        cdef Bill bill
        cdef int64_t charges = 0
        if self.stop_rules.cost_charges:
            bill_fill(&self.portfolio.rates[self.instrument], -trade.side, trade.entry_value, 0,
                      &bill)
            charges = (bill_total(&bill) + trade.brokerage + trade.exchange + trade.sebi
                       + trade.ipft + trade.stamp + trade.stt + trade.gst)
        return stops_cost(&self.stop_state, trade.entry_value, trade.qty, charges,
                          self.session.tick)

    cdef void resize(self, uint64_t order_id, paise_t price, paise_t trigger,
                     ns_t now_ns) noexcept nogil:
        """Let a stop or target take exactly what is held. An order's quantity counts what has gone
        from it, also what a fill in its group took off: only reports tell how much that is."""
        cdef Working *order = &self.working[self.find(order_id)]
        cdef int64_t whole = units(self.position) + order.gone
        cdef paise_t at = trigger if trigger else price
        cdef Status taken
        DF_ASSERT(order.unanswered != 0 or order.left == order.asked - order.gone)
        if order.asked == whole:
            return
        taken = self.broker.resize(order_id, price, trigger, whole, now_ns)
        if taken != Status.OK:
            self.status = taken
            return
        order.asked = order.row.qty = whole
        order.unanswered += 1
        order.passage.changes += 1
        if at != order.passage.decision:
            order.passage.decided_ns, order.passage.decision = now_ns, at

    cdef uint64_t send(self, int side, int kind, int64_t qty, paise_t trigger, paise_t price,
                       int flags, int reason, uint64_t group, ns_t now_ns) noexcept nogil:
        """Pass the gate and hand to the exchange; 0 when refused (written down either way)."""
        cdef Order order
        cdef ApprovedOrder approved
        cdef RiskView view
        cdef Working *place
        cdef RejectReason verdict
        cdef Status taken
        cdef paise_t equity
        order = _NO_ORDER
        if kind == OrderKind.MARKET and self.broker.works(flags, reason):
            flags |= OrderFlag.WORKED
        self.ids[0] = max(self.ids[0], self.broker.last_id + 1)     # children have ids too
        order.id, order.created_ns, order.price = self.ids[0], now_ns, price
        order.trigger, order.qty, order.group = trigger, qty, group
        order.side, order.kind, order.validity = side, kind, Validity.DAY
        order.flags, order.reason, order.instrument = flags, reason, self.instrument
        self.ids[0] += 1
        view.position, view.pending = self.position, self.entering
        view.mark = self.portfolio.positions[self.instrument].mark
        equity = portfolio_equity(self.portfolio)
        view.day_pnl = equity - self.portfolio.equity_day_open
        # Only an entry is asked for margin.
        view.margin_free = 0 if flags & OrderFlag.EXIT else equity - self.portfolio.margin_used()
        view.now_ns = now_ns
        if self.working_count == WORKING_MAX:
            self.status = Status.POOL_FULL
            return 0
        place = &self.working[self.working_count]
        self.set_out(place, &order)
        if self.gate.guards is not None:
            self.gate.guards.state.data_ns = self.last_ns
        self.broker.mark = view.mark
        verdict = self.gate.approve(&order, &view, self.session, &approved)
        if verdict != RejectReason.NONE:
            place.row.status, place.row.refused = ReportKind.REJECTED, verdict
            place.passage.end_mark = view.mark
            self.log.add_order(&place.row, &place.passage)
            self.orders_refused += 1
            return 0
        if flags & (OrderFlag.STOP | OrderFlag.TARGET):
            taken = self.broker.attach(&approved, now_ns)
        else:
            taken = self.broker.submit(&approved, now_ns)
        if taken != Status.OK:
            self.status = taken
            return 0
        self.note_departure(place)
        self.working_count += 1
        self.orders_sent += 1
        return order.id

    cdef void set_out(self, Working *place, const Order *order) noexcept nogil:
        """What is written down of an order, as it is before anybody has seen it."""
        cdef OrderRow *row = &place.row
        cdef Passage *passage = &place.passage
        place[0] = _NO_WORKING
        place.asked = place.left = order.qty
        place.unanswered = 1
        row.id, row.created_ns, row.done_ns = order.id, order.created_ns, order.created_ns
        row.price, row.trigger, row.qty = order.price, order.trigger, order.qty
        row.side, row.kind, row.instrument = order.side, order.kind, self.listed
        row.flags, row.reason = order.flags, order.reason
        if self.decision.at_ns == 0:
            self.decide(&self.decision, order.created_ns)
        passage.id, passage.route = order.id, self.route
        passage.decided_ns, passage.decision = self.decision.at_ns, self.decision.price
        passage.signal = self.decision.signal
        self.route, self.decision.at_ns = 0, 0

    cdef void note_departure(self, Working *order) noexcept nogil:
        """How it left, once it has; a stop meets its market later, when it triggers."""
        cdef Departure left
        cdef Passage *passage = &order.passage
        if not self.broker.departure(order.row.id, &left):
            left.at_ns, left.price = order.row.created_ns, order.row.price
            left.bid, left.ask, left.route = self.quote_bid, self.quote_ask, passage.route
        if left.at_ns == 0:
            return
        order.away = 1
        passage.sent_ns, passage.sent_price, passage.route = left.at_ns, left.price, left.route
        if not order.row.flags & (OrderFlag.STOP | OrderFlag.TARGET):
            passage.bid, passage.ask = left.bid, left.ask

    # ---- what the exchange says ---------------------------------------------------------------

    cdef void settle(self) noexcept nogil:
        """Hear every report there is, then do what they ask for, until there is nothing more."""
        cdef Report reports[REPORTS_A_TAKE]
        cdef size_t i, count
        while self.broker.pending_reports or self.todo:
            while self.broker.pending_reports:
                count = self.broker.take(&reports[0], REPORTS_A_TAKE)
                for i in range(count):
                    self.on_report(&reports[i])
            if self.status != Status.OK:
                self.todo = 0          # the run stops here: nothing more is sent
            elif self.todo:
                self.mend()

    cdef void mend(self) noexcept nogil:
        """Everything is heard: cover what is held, leave what was wished away, turn round."""
        cdef int32_t todo = self.todo
        cdef int side = self.turn_side
        self.todo = 0
        if self.position != 0:
            if todo & Todo.COVER:
                self.protect(self.cover_ns)
            if todo & Todo.LEAVE and self.leaving and self.exit_id == 0:
                self.close_out(self.leave_reason, self.leave_flags, self.todo_ns)
            elif todo & Todo.LEAVE and self.leaving:
                self.broker.hurry(self.exit_id, self.leave_flags, self.leave_reason, self.todo_ns)
        elif side and self.entering == 0:
            self.turn_side = 0
            self.look(self.todo_ns)
            if self.view.can_enter:
                self.decision = self.turn_decision
                self.enter(side, self.turn_stop, self.turn_target, self.turn_share, self.todo_ns,
                           Reason.REVERSAL)
            else:
                self.signals_late += 1

    cdef size_t find(self, uint64_t order_id) noexcept nogil:
        """The place of a working order; `working_count` when there is none of this id."""
        cdef size_t at
        for at in range(self.working_count):
            if self.working[at].row.id == order_id:
                return at
        return self.working_count

    cdef void on_report(self, const Report *report) noexcept nogil:
        cdef size_t at = self.find(report.order_id)
        cdef Working *order = &self.working[at]
        if at == self.working_count:
            # A late answer to an order that ended. But a fill would be missing from the books.
            if report.kind == ReportKind.FILLED:
                self.status = Status.UNKNOWN_ORDER
            return
        order.left = report.left
        if not order.away:
            self.note_departure(order)
        if report.kind == ReportKind.TRIGGERED:
            if order.row.flags & OrderFlag.STOP:
                order.passage.bid, order.passage.ask = self.quote_bid, self.quote_ask
            return
        if report.kind == ReportKind.ACCEPTED:
            if order.unanswered:
                order.unanswered -= 1
            if order.unanswered == 0:
                order.gone = order.asked - report.left   # fills, and what its group took off
            return
        if report.kind == ReportKind.REJECTED and report.left > 0:
            self.on_refused_change(at, report)
            return
        if report.kind == ReportKind.FILLED and (
                not self.on_fill(at, report) or report.left > 0):
            return
        self.order_done(at, report)

    cdef bint on_fill(self, size_t at, const Report *report) noexcept nogil:
        """Book a fill; False when the books did not take it and the run stops."""
        cdef Working *order = &self.working[at]
        cdef Bill bill
        cdef paise_t mark
        order.row.filled += report.qty
        order.row.value += report.price * report.qty
        if order.passage.fills == 0:
            order.passage.first_fill_ns = report.time_ns
        order.passage.fills += 1
        order.passage.last_fill_ns = report.time_ns
        order.gone += report.qty
        if self.portfolio.apply(report, &bill) != Status.OK:
            self.status = Status.BAD_PRICE
            return False
        if report.flags & OrderFlag.EXIT:
            self.book_exit(report, &bill)
        else:
            self.book_entry(report, &bill)
        if self.gate.guards is not None:
            # What is held is worth what was just paid: the mark may be older.
            mark = self.portfolio.positions[self.instrument].mark
            guards_watch(self.gate.guards, report.time_ns, portfolio_equity(self.portfolio)
                         + self.position * (report.price - mark))
        self.view.now_ns = report.time_ns
        self.strategy.on_fill(report, &self.view)
        return True

    cdef void on_refused_change(self, size_t at, const Report *report) noexcept nogil:
        """Its order lives on as it was. A stop may then cover too little: better out."""
        cdef Working *order = &self.working[at]
        if order.unanswered:
            order.unanswered -= 1
        order.asked = order.row.qty = order.gone + report.left
        if report.order_id == self.stop_id and self.position != 0:
            self.wish_flat(Reason.RISK_EXIT, report.time_ns)

    cdef void book_entry(self, const Report *report, const Bill *bill) noexcept nogil:
        cdef Trade *trade = &self.trade
        if trade.qty == 0:
            self.open_trade(report)
        elif trade.side != report.side:
            self.status = Status.TANGLED_FILLS   # never booked as if it were one position
            return
        trade.qty += report.qty
        trade.entry_value += report.price * report.qty
        trade_charge(trade, bill)
        if self.stop_rules.cost_at.unit:
            self.stop_state.cost = self.cost_price()
        self.position += report.side * report.qty
        self.entering -= report.side * report.qty
        self.view.position = self.position
        self.view.entry_price = 0.01 * trade.entry_value / trade.qty
        self.todo |= Todo.COVER | Todo.LEAVE
        self.todo_ns = self.cover_ns = report.time_ns

    cdef void open_trade(self, const Report *report) noexcept nogil:
        """The first fill of an entry sets the prices of its stop and target."""
        cdef Trade *trade = &self.trade
        cdef paise_t tick = self.session.tick
        cdef paise_t distance
        trade[0] = _NO_TRADE
        if self.gate.guards is not None:
            self.gate.guards.entered(report.time_ns)
        trade.entry_ns, trade.side = report.time_ns, report.side
        trade.entry_reason, trade.contract = report.why, self.session.contract
        trade.instrument = self.listed
        self.group = report.order_id
        self.stop_price = self.target_price = 0
        if self.stop_points > 0:
            distance = max(llrint(self.stop_points * 100.0), tick)
            self.stop_price = price_on_tick(report.price - report.side * distance, tick)
        if self.target_points > 0:
            distance = max(llrint(self.target_points * 100.0), tick)
            self.target_price = price_on_tick(report.price + report.side * distance, tick)
        if self.stop_rules.watched:
            stops_open(&self.stop_rules, &self.stop_state, report.side, report.price,
                       self.entry_atr, tick)
            # A trail that begins at once may be nearer than the first stop, or all there is.
            self.stop_price = stop_tighter(report.side, self.stop_price,
                                           stops_level(&self.stop_state, tick))
        trade.stop, trade.target = self.stop_price, self.target_price
        if not self.stop_rules.rest:
            self.stop_state.local, self.stop_price = self.stop_price, 0

    cdef void book_exit(self, const Report *report, const Bill *bill) noexcept nogil:
        cdef Trade *trade = &self.trade
        cdef paise_t result
        trade.exit_ns, trade.exit_reason = report.time_ns, report.why
        trade.exit_value += report.price * report.qty
        trade_charge(trade, bill)
        self.position += report.side * report.qty
        DF_ASSERT(self.position * trade.side >= 0)   # its own exits never turn a position round
        self.view.position = self.position
        result = (trade.exit_value + report.price * units(self.position) - trade.entry_value)
        result *= trade.side
        trade.mae, trade.mfe = min(trade.mae, result), max(trade.mfe, result)
        if self.position != 0:
            return
        trade.gross = trade.side * (trade.exit_value - trade.entry_value)
        if self.gate.guards is not None:
            self.gate.guards.trade_closed(trade)
        self.log.add_trade(trade)
        if self.size_rules.method == SizeMethod.KELLY:
            size_trade(&self.size_state, (trade.gross - 1e-6 * (
                trade.brokerage + trade.exchange + trade.sebi + trade.ipft + trade.stamp
                + trade.stt + trade.gst)) / trade.qty)
        trade.qty = 0
        self.stop_state.local = 0
        self.stop_price = self.target_price = 0
        self.view.entry_price, self.view.bars_held = NAN, 0
        if self.entry_id == self.group and self.entering != 0:
            self.cancel_entry(report.time_ns)      # the rest of a half-filled entry
        elif not self.entry_cancelled:
            self.leaving = 0
        self.group = 0
        if self.turn_side:
            self.todo |= Todo.LEAVE
            self.todo_ns = report.time_ns

    cdef void order_done(self, size_t at, const Report *report) noexcept nogil:
        cdef OrderRow *row = &self.working[at].row
        cdef uint64_t order_id = row.id
        row.done_ns, row.status, row.refused = report.time_ns, report.kind, report.reason
        if report.kind == ReportKind.REJECTED:
            self.orders_refused += 1
        self.working[at].passage.end_mark = self.portfolio.positions[self.instrument].mark
        self.log.add_order(row, &self.working[at].passage)
        self.working_count -= 1
        self.working[at] = self.working[self.working_count]
        if order_id == self.entry_id:
            self.entry_id, self.entering, self.entry_cancelled = 0, 0, 0
            if self.position == 0:
                self.leaving = 0
            self.todo |= Todo.LEAVE if self.turn_side else 0
        elif order_id == self.exit_id:
            self.exit_id = 0
            if report.kind == ReportKind.FILLED or report.kind == ReportKind.CANCELLED:
                self.todo |= Todo.LEAVE      # an entry that filled on has left some
        elif order_id == self.stop_id or order_id == self.target_id:
            if order_id == self.stop_id:
                self.stop_id = 0
            else:
                self.target_id = 0
            if report.kind == ReportKind.CANCELLED:
                self.todo |= Todo.COVER      # nothing, when its position has gone too
                self.cover_ns = report.time_ns
            elif report.kind == ReportKind.REJECTED and self.position != 0 \
                    and report.flags & OrderFlag.STOP:
                # Never hold without the stop that was asked for.
                self.wish_flat(Reason.RISK_EXIT, report.time_ns)
        self.todo_ns = report.time_ns
