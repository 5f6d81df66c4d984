"""Leg: see legs.pxd."""

from libc.math cimport floor, llrint
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from dhanfast._core.broker cimport Broker, bar_is_quiet
from dhanfast._core.chainday cimport NOWHERE
from dhanfast._core.dealer cimport Working, quoted
from dhanfast._core.portfolio cimport Portfolio
from dhanfast._core.risk cimport Gate
from dhanfast._core.runlog cimport RunLog, Trade
from dhanfast._core.status cimport Status
from dhanfast._core.stops cimport Stops, stop_limit, stop_tighter
from dhanfast._core.strategy cimport NativeStrategy
from dhanfast._core.tradebook cimport price_on_tick, units
from dhanfast._core.types cimport OrderFlag, Reason


# A distance of the index in whole paise from its level.
cdef inline paise_t _index_distance(double amount, int unit, paise_t index) noexcept nogil:
    return llrint(distance_of(amount, plain_unit(unit), index))


cdef class Leg(Dealer):
    """One leg: a dealer of one option contract at a time, with the rules of its entry and exits.

    Args:
        rules: a mapping of every field of LegRules (see legs.pxd).
        instrument: its index at broker, portfolio and gate.
        broker: what executes its orders, and nobody else's.
        portfolio, gate, log: shared by the legs of a run.
        ticking: its orders meet ticks, and may fill in parts.

    Attributes:
        unquoted: rows without a price while it was held. index_stops, index_targets: times that it
            was left because of where the index stood.
    """

    def __cinit__(self, rules, uint32_t instrument, Broker broker not None,
                  Portfolio portfolio not None, Gate gate not None, RunLog log not None, *,
                  bint ticking=False):
        cdef Stops stops = Stops()         # those that rest at the exchange and do not move
        self.rules, self.stop_rules = rules, stops.rules
        self.instrument, self.broker, self.portfolio = instrument, broker, portfolio
        self.gate, self.log = gate, log
        self.strategy = NativeStrategy()
        self.in_parts = broker.in_parts or ticking
        self.lots = self.rules.lots
        self.next_id = 1
        self.column = NOWHERE
        self.session = &self.day
        self.own_side = self.side_next = self.rules.side

    cdef bint idle(self) noexcept nogil:
        """Nothing held and nothing at work: another contract may be taken."""
        return self.position == 0 and self.working_count == 0

    cdef bint open_at_all(self) noexcept nogil:
        """Something is held, or may come to be."""
        return self.position != 0 or self.entering != 0

    cdef paise_t open_result(self) noexcept nogil:
        """The open trade's result before charges at the mark; 0 when flat."""
        if self.position == 0:
            return 0
        return self.trade.side * (
            self.trade.exit_value - self.trade.entry_value
            + self.portfolio.positions[self.instrument].mark * units(self.position))

    # ---- its contract -----------------------------------------------------------------------

    cdef void take_contract(self, ChainDay chain, Py_ssize_t slot, Py_ssize_t column,
                            size_t row) noexcept nogil:
        """From here on it trades this option; its last price is the row's."""
        self.day = chain.sessions[slot]
        self.column, self.strike = column, chain.strike[column]
        self.listed = chain.listed[column]
        self.broker.trades(self.listed)
        self.broker.session(self.instrument, &self.day)
        self.settle()
        self.portfolio.session(self.instrument, &self.day)
        self.portfolio.positions[self.instrument].mark = chain.close[row * chain.columns + column]
        self.signal_level = chain.spot[row]

    cdef void carry(self, ChainDay chain, Py_ssize_t slot, ns_t now_ns) noexcept nogil:
        """A new day: what worked has expired, and stop and target of what is held rest again."""
        cdef Session mine = self.day
        self.forget_wishes()
        self.day = chain.sessions[slot if slot != NOWHERE else 0]
        self.column = NOWHERE
        if self.position != 0 and slot != NOWHERE:
            self.column = chain.find(slot, self.strike, self.rules.right)
        elif self.position != 0:             # the day's chain lacks it: only its hours are today's
            self.day.contract, self.day.expiry_ns = mine.contract, mine.expiry_ns
            self.day.lot = mine.lot
        self.broker.session(self.instrument, &self.day)
        self.settle()
        self.portfolio.session(self.instrument, &self.day)
        if self.position != 0:
            self.protect(now_ns)
            self.settle()

    # ---- a row ------------------------------------------------------------------------------

    cdef Bar bar_of(self, ChainDay chain, size_t row) noexcept nogil:
        cdef size_t at = row * chain.columns + self.column
        cdef Bar bar
        memset(&bar, 0, sizeof(Bar))
        bar.start_ns, bar.instrument = chain.start_ns[row], self.instrument
        bar.open, bar.high, bar.low = chain.open[at], chain.high[at], chain.low[at]
        bar.close = chain.close[at]
        return bar

    cdef void meet(self, ChainDay chain, size_t row) noexcept nogil:
        cdef Bar bar = self.bar_of(chain, row)
        cdef ns_t end_ns = chain.end_ns[row]
        if bar.close <= 0 or self.broker.live == 0 \
                or bar_is_quiet(&self.broker.quiet[self.instrument], &bar):
            return
        self.broker.bar_open(&bar, end_ns)
        self.settle()
        if self.broker.live and not bar_is_quiet(&self.broker.quiet[self.instrument], &bar):
            self.broker.bar_range(&bar, end_ns)
            self.settle()

    cdef void mark_row(self, ChainDay chain, size_t row) noexcept nogil:
        cdef Bar bar = self.bar_of(chain, row)
        cdef paise_t worst, best
        self.signal_level = chain.spot[row]          # an order's cost is told by its distance
        if bar.close <= 0:
            self.unquoted += self.position != 0
            return
        self.last_ns, self.last_bar = max(self.last_ns, chain.end_ns[row]), bar
        self.portfolio.positions[self.instrument].mark = bar.close
        if self.position == 0:
            return
        self.trade.bars += 1
        worst = self.trade.exit_value + bar.low * units(self.position) - self.trade.entry_value
        best = self.trade.exit_value + bar.high * units(self.position) - self.trade.entry_value
        if self.trade.side < 0:
            worst, best = -best, -worst
        self.trade.mae, self.trade.mfe = min(self.trade.mae, worst), max(self.trade.mfe, best)

    cdef void take_tick(self, const Tick *tick) noexcept nogil:
        cdef Tick mine = tick[0]
        mine.instrument = self.instrument
        self.last_ns = max(self.last_ns, tick.recv_ns)
        quoted(self, tick.bid, tick.ask)
        self.broker.tick(&mine)
        self.settle()

    cdef void ask(self, ns_t now_ns) noexcept nogil:
        """Send its entry; its distances are set when it fills."""
        self.phase = Phase.ASKED
        self.want = self.lots * self.session.lot
        self.enter(self.rules.side, 0.0, 0.0, 0, now_ns, Reason.SIGNAL)
        self.settle()

    cdef void open_trade(self, const Report *report) noexcept nogil:
        self.stop_points = 0.01 * distance_of(self.rules.stop, self.rules.stop_unit, report.price)
        self.target_points = 0.01 * distance_of(self.rules.target, self.rules.target_unit,
                                                report.price)
        Dealer.open_trade(self, report)
        self.best, self.first_stop = report.price, self.stop_price
        self.index_entry, self.index_best = self.signal_level, 0     # as the row before had it
        self.index_why = 0
        self.side_was = report.side

    cdef void book_entry(self, const Report *report, const Bill *bill) noexcept nogil:
        Dealer.book_entry(self, report, bill)
        self.paid = self.trade.entry_value // max(<int64_t>1, self.trade.qty)
        if self.part == Part.SENT and self.trade.qty >= self.want:
            self.part = Part.ALL_IN
        if self.entered <= 1:
            self.premium -= report.side * report.price * report.qty
            self.entered = 1

    cdef void book_exit(self, const Report *report, const Bill *bill) noexcept nogil:
        cdef int64_t qty = self.trade.qty
        Dealer.book_exit(self, report, bill)
        self.entered = 2                       # what is entered again is not its first premium
        if self.position == 0:
            self.realised += self.trade.gross
            # The exit that the index asked for and the stop that rests may meet one price: either
            # may be filled, and what comes next must not hang on which.
            self.closed, self.closed_why = 1, self.index_why or self.trade.exit_reason
            self.closed_at = self.trade.exit_value // qty

    # ---- its stop ---------------------------------------------------------------------------

    cdef void trail(self, ns_t start_ns, ns_t now_ns) noexcept nogil:
        """Every whole gain of `trail_every` has moved the stop by `trail_step` from its first."""
        cdef bint whole = self.trade.entry_ns <= start_ns     # it was held all through the row
        cdef paise_t price, limit
        cdef double every, step
        if self.trade.side > 0:
            self.best = max(self.best, self.last_bar.high if whole else self.last_bar.close)
        else:
            self.best = min(self.best, self.last_bar.low if whole else self.last_bar.close)
        every = distance_of(self.rules.trail_every, self.rules.trail_unit, self.paid)
        step = distance_of(self.rules.trail_step, self.rules.trail_unit, self.paid)
        step *= floor(self.trade.side * (self.best - self.paid) / every)
        if step <= 0.0:
            return
        price = price_on_tick(self.first_stop + self.trade.side * llrint(step), self.day.tick)
        limit = stop_limit(self.trade.side, self.last_bar.close, self.day.tick)
        price = min(price, limit) if self.trade.side > 0 else max(price, limit)
        if price >= self.day.tick:
            self.move_stop(price, now_ns)

    cdef int index_exit(self, paise_t index) noexcept nogil:
        """Its stop moves as `trail` moves one of premium; what is gained counts its own side."""
        cdef paise_t gain, level, every
        if index <= 0 or self.leaving or self.exit_id:
            return 0
        if self.index_entry == 0:
            self.index_entry = index
        gain = self.trade.side * self.rules.right * (index - self.index_entry)
        if on_index(self.rules.stop_unit):
            level = -_index_distance(self.rules.stop, self.rules.stop_unit, self.index_entry)
            if on_index(self.rules.trail_unit):
                self.index_best = max(self.index_best, gain)
                every = _index_distance(self.rules.trail_every, self.rules.trail_unit,
                                        self.index_entry)
                level += self.index_best // max(<paise_t>1, every) * _index_distance(
                    self.rules.trail_step, self.rules.trail_unit, self.index_entry)
            if gain <= level:
                self.index_stops += 1
                self.index_why = Reason.STOP_LOSS
                return Reason.STOP_LOSS
        if on_index(self.rules.target_unit) and gain >= _index_distance(
                self.rules.target, self.rules.target_unit, self.index_entry):
            self.index_targets += 1
            self.index_why = Reason.TAKE_PROFIT
        return self.index_why

    cdef void stop_to_cost(self, ns_t now_ns) noexcept nogil:
        """Its stop goes to what it has paid; beyond that already, it leaves."""
        cdef paise_t price = price_on_tick(self.paid, self.day.tick)
        if self.leaving or self.exit_id:
            return
        if self.trade.side * (self.last_bar.close - price) <= 0:
            self.leave(Reason.STOP_LOSS, 0, now_ns)
            self.settle()
        else:
            self.move_stop(price, now_ns)

    cdef void again(self, ns_t now_ns) noexcept nogil:
        """A wish to be flat whose order was refused is sent again."""
        if self.leaving and self.position != 0 and self.exit_id == 0:
            self.close_out(self.leave_reason, self.leave_flags, now_ns)
            self.settle()

    cdef void move_stop(self, paise_t price, ns_t now_ns) noexcept nogil:
        """Tighten the stop that rests at the exchange; a wider one is left as it is."""
        cdef Working *order
        if self.leaving or self.exit_id or price == self.stop_price:
            return
        if self.stop_price and stop_tighter(self.trade.side, self.stop_price, price) != price:
            return
        self.stops_moved += 1
        self.stop_price = price
        if self.stop_id == 0:
            self.protect(now_ns)
            self.settle()
            return
        if self.broker.modify(self.stop_id, 0, price, 0, now_ns) != Status.OK:
            self.status = Status.POOL_FULL
            return
        order = &self.working[self.find(self.stop_id)]
        order.row.trigger = price
        order.unanswered += 1
        order.passage.changes += 1
        order.passage.decided_ns, order.passage.decision = now_ns, price
        self.settle()

    # ---- its end ----------------------------------------------------------------------------

    cdef void close_at_last(self, int reason) noexcept nogil:
        """No later price will come: what waits expires, what is held goes at the last price."""
        cdef Bar bar = self.last_bar
        cdef ns_t at_ns = max(self.day.open_ns, self.last_ns - 1)
        self.forget_wishes()
        self.broker.session(self.instrument, &self.day)
        self.settle()
        if self.position == 0:
            return
        bar.open = bar.high = bar.low = bar.close
        bar.start_ns = at_ns
        self.leave(reason, OrderFlag.SQUARE_OFF, at_ns - self.broker.rules.latency_ns)
        self.settle()
        self.broker.bar_open(&bar, at_ns + 1)
        self.settle()

    cdef void settle_final(self, paise_t index, int64_t stt_e9, bint full,
                           ns_t now_ns) noexcept nogil:
        """Expired: paid at what exercise is worth. The holder of a call or put in the money pays
        STT on exercise; nobody pays brokerage or the exchange."""
        cdef Trade *trade = &self.trade
        cdef paise_t worth = max(<paise_t>0, self.rules.right * (index - self.strike))
        cdef upaise_t stt = 0
        self.forget_wishes()
        self.broker.session(self.instrument, &self.day)
        self.settle()
        if self.position == 0:
            return
        if self.position > 0 and worth > 0:
            stt = (index if full else worth) * self.position * stt_e9 // 1000
        self.portfolio.settle(self.instrument, worth, stt)
        trade.exit_ns, trade.exit_reason = now_ns, Reason.EXPIRY_EXIT
        trade.exit_value += worth * units(self.position)
        trade.stt += stt
        trade.gross = trade.side * (trade.exit_value - trade.entry_value)
        trade.mae, trade.mfe = min(trade.mae, trade.gross), max(trade.mfe, trade.gross)
        self.log.add_trade(trade)
        self.realised += trade.gross
        self.closed, self.closed_why = 1, Reason.EXPIRY_EXIT
        self.position = self.view.position = 0
        trade.qty = 0
        self.stop_price = self.target_price = 0
        self.group = 0
