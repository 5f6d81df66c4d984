"""LegRun: see legrun.pxd."""

cimport cython
from cpython.ref cimport PyObject

import numpy as np

from dhanfast._core.chainday cimport NOWHERE, Rung
from dhanfast._core.hedger cimport Hedge
from dhanfast._core.legasks cimport (
    leg_held as _held, leg_reset as _reset, leg_result as _result, leg_premium as _premium,
    leg_wait as _wait, leg_why as _why, leg_close as _close, leg_next as _next_phase,
    leg_waited as _waited, leg_picked as _picked,
)
from dhanfast._core.legorder cimport NOBODY, OrderRules, Stage, Told
from dhanfast._core.legrisk cimport Moment, is_final
from dhanfast._core.legs cimport Leg, Part, Phase
from dhanfast._core.portfolio cimport Position, portfolio_equity
from dhanfast._core.runlog cimport EquityRow
from dhanfast._core.risk cimport RiskState
from dhanfast._core.status cimport check
from dhanfast._core.tradebook cimport units
from dhanfast._core.types cimport Reason

from dhanfast.errors import UsageError


@cython.final
cdef class LegRun(LegOrder):
    """Drives the legs of one structure over days of a chain.

    Args:
        legs: Leg list, instrument i at place i, 1..10; each with a broker of its own.
        plan: a mapping of every field of PlanRules (see legrun.pxd).
        portfolio, gate, log: those of the legs.
        ticking: driven by ticks and seconds (see `live.LegLoop`), not by the rows of a day.
        hedge: keeps its delta; its contract has the index after those of the legs.
        risk: what an entry has to pass beside the gate; None: nothing.
    Attributes:
        fault: Fault that ended the run. fault_leg: whose. ticking: as given.
        rows_seen: rows run. cycles: structures entered. reentries: legs entered again.
        to_cost: stops moved to cost by another leg's stop. settled: legs that expired held.
        combined_stops, combined_targets: cycles that the whole's stop or target has ended.
    Raises:
        UsageError: no legs, too many, or a leg at another place than its instrument.
    """

    def __cinit__(self, list legs not None, plan, Portfolio portfolio not None, Gate gate not None,
                  RunLog log not None, *, Hedge hedge=None, bint ticking=False,
                  LegRisk risk=None):
        cdef Leg leg
        if not 1 <= len(legs) <= LEGS_MAX:
            raise UsageError(f"legs must be 1..{LEGS_MAX}, were {len(legs)}")
        self._legs, self.plan, self.count = legs, plan, len(legs)
        self.portfolio, self.gate, self.log = portfolio, gate, log
        self.order_rules = OrderRules(self.plan.deadline_ns, self.plan.repairs)
        self.next_id, self.ticking = 1, ticking
        for i, leg in enumerate(legs):
            if leg.instrument != <uint32_t>i or leg.portfolio is not portfolio:
                raise UsageError(f"leg {i} trades instrument {leg.instrument}, or has other books")
            leg.ids = &self.next_id
            self.at[i] = <PyObject *>leg
        self.hedge = hedge
        if hedge is not None:
            hedge.join(self.count, portfolio, &self.next_id)
        self.risk = risk
        if risk is not None:
            risk.attach(legs, portfolio)

    # ---- a day --------------------------------------------------------------------------------

    cdef Status day_loop(self) noexcept nogil:
        cdef size_t row
        self.begin_day()
        for row in range(self.chain.rows):
            if self.status != Status.OK or self.fault != Fault.WHOLE:
                return self.status
            self.row(row)
        self.end_day()
        self.tell_risk(self.now_ns, True)
        return self.status

    cdef void begin_day(self) noexcept nogil:
        cdef ns_t now_ns = self.chain.start_ns[0]
        cdef size_t i
        self.now_ns = now_ns
        self.signal_at = 0
        self.begun = self.running        # carried: nothing is begun today
        self.turn, self.last_missing = 0, Missing.FOUND
        for i in range(self.count):
            if _held(<Leg>self.at[i]) and (<Leg>self.at[i]).day.contract < self.hours.date:
                self.fault, self.fault_leg = Fault.EXPIRY_MISSED, i
                return
            (<Leg>self.at[i]).carry(self.chain, self.chain.slot_of((<Leg>self.at[i]).day.contract)
                                    if _held(<Leg>self.at[i]) else self.slot[i], now_ns)
        if self.hedge is not None:
            if not self.hedge.begin(self.chain, self.hours.date, now_ns):
                self.fault, self.fault_leg = Fault.EXPIRY_MISSED, self.count
                return
        self.gate.new_day()
        if self.risk is not None:
            self.risk.new_day(self.hours.date, now_ns)

    cdef void end_day(self) noexcept nogil:
        """What expired is settled; what should have left, and had no more prices, is closed."""
        cdef ns_t last_ns = self.now_ns
        cdef size_t i
        cdef Py_ssize_t slot
        cdef bint moved = False
        if not self.begun and self.hours.trade and not self.plan.signals and not self.running:
            self.give_up(last_ns)
        for i in range(self.count):
            if not _held(<Leg>self.at[i]):
                if (<Leg>self.at[i]).entering != 0:
                    self.note(last_ns, Told.UNFILLED, 0, i, (<Leg>self.at[i]).strike)
                    (<Leg>self.at[i]).close_at_last(Reason.END_OF_DATA)
                elif self.running and (<Leg>self.at[i]).phase == Phase.CHOOSE:
                    self.note(last_ns, Told.NOT_AGAIN, 0, i, 0)
                continue
            if self.plan.hold and (<Leg>self.at[i]).day.contract > self.hours.date:
                continue
            moved = True
            if self.plan.hold and self.plan.settles:
                slot = self.chain.slot_of(self.hours.date)
                if slot == NOWHERE or self.chain.final_price[slot] <= 0:
                    self.fault, self.fault_leg = Fault.NO_FINAL_PRICE, i
                    return
                (<Leg>self.at[i]).settle_final(
                    self.chain.final_price[slot], self.chain.exercise_e9[slot],
                    self.chain.exercise_full[slot], (<Leg>self.at[i]).day.expiry_ns)
                last_ns = max(last_ns, (<Leg>self.at[i]).day.expiry_ns)
                self.settled += 1
            else:
                self.note(last_ns, Told.CUT, 0, i, (<Leg>self.at[i]).strike)
                (<Leg>self.at[i]).close_at_last(Reason.END_OF_DATA)
        if self.hedge is not None:
            moved |= self.hedge.leg.open_at_all()
            self.hedge.end(self.at, self.count, self.plan.hold, self.hours.date)
        if moved:
            self.sample(last_ns, last_ns > self.now_ns)
        if not self.plan.hold:
            self.running = 0
            return
        for i in range(self.count):
            if _held(<Leg>self.at[i]):
                return
        self.running = 0

    # ---- a row --------------------------------------------------------------------------------

    cdef void row(self, size_t row) noexcept nogil:
        cdef ns_t now_ns = self.chain.end_ns[row]
        cdef int first = -1 if self.stage == Stage.LEAVE else 1
        cdef size_t i
        if not self.ticking:
            self.meet_side(row, first)
            self.step(self.now_ns)           # as of the decision: the row's own time is longer
            self.meet_side(row, -first)
            if self.hedge is not None:
                self.hedge_on(self.now_ns)     # with the bought legs, in the row of the sold ones
                self.hedge.meet(self.chain, row)
        self.now_ns = now_ns
        if self.hedge is not None:
            self.hedge.mark(self.chain, row, now_ns)
        for i in range(self.count):
            if (<Leg>self.at[i]).column != NOWHERE:
                (<Leg>self.at[i]).mark_row(self.chain, row)
                (<Leg>self.at[i]).again(now_ns)
        self.step(now_ns)
        self.closings(now_ns)
        if self.running:
            self.combined(now_ns)
        self.tell_risk(now_ns, False)
        self.clock(row, now_ns)
        if self.running and self.stage == Stage.REST and not self.paused \
                and not self.shut:
            self.waits(row, now_ns)
        if self.hedge is not None:
            self.hedge_on(now_ns)
            if self.running and self.stage == Stage.REST:
                self.hedge.decide(self.at, self.count, self.chain, self.now, row, self.paused
                                  or self.shut or self.gate.state != RiskState.ACTIVE)
        self.sample(now_ns, True)
        self.rows_seen += 1
        for i in range(self.count):
            if (<Leg>self.at[i]).status != Status.OK:
                self.status = (<Leg>self.at[i]).status
        if self.hedge is not None and self.hedge.leg.status != Status.OK:
            self.status = self.hedge.leg.status

    cdef void hedge_on(self, ns_t now_ns) noexcept nogil:
        if self.hedge is not None:
            self.hedge.follow(self.at, self.count, self.running, now_ns)

    cdef paise_t hedge_result(self) noexcept nogil:
        cdef const Position *books
        if self.hedge is None:
            return 0
        books = &self.portfolio.positions[self.hedge.leg.instrument]
        return books.realised + books.qty * books.mark - books.cost

    cdef void tell_risk(self, ns_t now_ns, bint last) noexcept nogil:
        cdef bint beside = self.hedge is not None and self.hedge.leg.open_at_all()
        if self.risk is not None and self.risk.follow(
                self.at, self.count, self.running, beside, last, now_ns) and self.busy():
            self.leave_all(Reason.RISK_EXIT, now_ns)

    cdef void meet_side(self, size_t row, int side) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).column != NOWHERE and (<Leg>self.at[i]).rules.side == side:
                (<Leg>self.at[i]).meet(self.chain, row)

    cdef void take_tick(self, const Tick *tick, Py_ssize_t column) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).column == column:
                (<Leg>self.at[i]).take_tick(tick)
        if self.hedge is not None and self.hedge.leg.column == column:
            self.hedge.leg.take_tick(tick)

    cdef bint busy(self) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            if not (<Leg>self.at[i]).idle():
                return True
        if self.hedge is not None and not self.hedge.leg.idle():
            return True
        return self.stage != Stage.REST

    cdef void closings(self, ns_t now_ns) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).closed:
                _close(<Leg>self.at[i])
                self.ended(i, now_ns)
        for i in range(self.count):
            if _held(<Leg>self.at[i]) and (<Leg>self.at[i]).rules.trail_unit \
                    and (<Leg>self.at[i]).last_ns == now_ns:
                (<Leg>self.at[i]).trail((<Leg>self.at[i]).last_bar.start_ns, now_ns)

    cdef void ended(self, size_t i, ns_t now_ns) noexcept nogil:
        """A leg's trade has ended: what that means to it and to the others."""
        cdef size_t other
        if not self.running:
            return
        if self.plan.to_cost and _why(<Leg>self.at[i]) == Reason.STOP_LOSS:
            for other in range(self.count):
                if other != i and _held(<Leg>self.at[other]):
                    (<Leg>self.at[other]).stop_to_cost(now_ns)
                    self.to_cost += 1
        _next_phase(<Leg>self.at[i], now_ns)

    cdef void combined(self, ns_t now_ns) noexcept nogil:
        """Stop and target of the whole, the hedge with it, by the marks. Rupees are of the file's
        own lots."""
        cdef double scale = 1.0 if self.risk is None else self.risk.scale
        cdef paise_t result = self.hedge_result() - self.hedge_before
        cdef paise_t premium = 0
        cdef double base
        cdef size_t i
        if self.plan.stop_unit == PlanUnit.UNSET and self.plan.target_unit == PlanUnit.UNSET:
            return
        for i in range(self.count):
            result += _result(<Leg>self.at[i])
            premium += _premium(<Leg>self.at[i])
        base = units(premium)
        if self.plan.stop_unit == PlanUnit.RUPEES or (
                self.plan.stop_unit == PlanUnit.PREMIUM and premium != 0):
            if -result >= self.plan.stop * (
                    100.0 * scale if self.plan.stop_unit == PlanUnit.RUPEES else 0.01 * base):
                self.combined_stops += 1
                self.note(now_ns, Told.COMBINED_STOP, 0, NOBODY, result)
                self.leave_all(Reason.STOP_LOSS, now_ns)
                return
        if self.plan.target_unit == PlanUnit.RUPEES or (
                self.plan.target_unit == PlanUnit.PREMIUM and premium != 0):
            if result >= self.plan.target * (
                    100.0 * scale if self.plan.target_unit == PlanUnit.RUPEES else 0.01 * base):
                self.combined_targets += 1
                self.note(now_ns, Told.COMBINED_TARGET, 0, NOBODY, result)
                self.leave_all(Reason.TAKE_PROFIT, now_ns)

    cdef void clock(self, size_t row, ns_t now_ns) noexcept nogil:
        cdef bint last
        if self.hours.exit_ns and now_ns >= self.hours.exit_ns:
            last = self.expires_today()
            if not self.plan.hold or last:
                self.leave_all(Reason.EXPIRY_EXIT if last else Reason.TIME_EXIT, now_ns)
            if not self.plan.hold:
                if not self.begun and self.hours.trade and not self.plan.signals:
                    self.give_up(now_ns)
                self.begun = 1
                return
        if self.plan.signals:
            self.by_signals(row, now_ns)
        else:
            self.by_time(row, now_ns)

    cdef void by_time(self, size_t row, ns_t now_ns) noexcept nogil:
        if (self.begun or self.running or not self.hours.trade or now_ns < self.hours.entry_ns
                or not self.all_idle()):
            return
        if now_ns > self.hours.until_ns:
            self.give_up(now_ns)
        elif self.begin(row, now_ns, 0):
            self.begun = 1

    cdef void by_signals(self, size_t row, ns_t now_ns) noexcept nogil:
        """The last signal of those that have come; an entry waits until all is flat."""
        while self.signal_at < self.signals_count and self.signal_ns[self.signal_at] <= now_ns:
            self.follow(self.signal_side[self.signal_at], self.signal_ns[self.signal_at], now_ns)
            self.signal_at += 1
        if self.turn == 0 or not self.all_idle():
            return
        if (not self.hours.trade or now_ns < self.hours.entry_ns or now_ns > self.turn_until):
            self.note(now_ns, Told.SIGNAL_DROPPED, self.last_missing, NOBODY, 0)
            self.turn = 0
        elif self.begin(row, now_ns, self.turn):
            self.turn = 0

    cdef void follow(self, int side, ns_t at_ns, ns_t now_ns) noexcept nogil:
        self.turn = side
        self.turn_until = at_ns + self.hours.until_ns - self.hours.entry_ns
        self.last_missing = Missing.FOUND
        if self.risk is not None:
            self.risk.another()
        if self.running:
            self.leave_all(Reason.EXIT_SIGNAL, now_ns)

    cdef void waits(self, size_t row, ns_t now_ns) noexcept nogil:
        """Premiums that have come to where a leg waits for them, and legs that go in again."""
        cdef Rung rung
        cdef size_t i
        for i in range(self.count):
            if not (<Leg>self.at[i]).idle():
                continue
            if (<Leg>self.at[i]).phase == Phase.CHOOSE:
                rung = _picked(<Leg>self.at[i], self.chain, row, self.slot[i])
                if rung.missing == Missing.FOUND and self.passes(i, row, rung.column, now_ns):
                    self.reentries += 1
                    self.take(i, row, rung.column, now_ns)
                    (<Leg>self.at[i]).ask(now_ns)
            elif _waited(<Leg>self.at[i], self.chain, row) \
                    and self.passes(i, row, (<Leg>self.at[i]).column, now_ns):
                self.reentries += (<Leg>self.at[i]).phase == Phase.COST_AGAIN
                (<Leg>self.at[i]).ask(now_ns)

    cdef bint passes(self, size_t i, size_t row, Py_ssize_t column, ns_t now_ns) noexcept nogil:
        """Whether a leg may go in by itself; refused for good it does not ask again."""
        cdef Moment at = Moment(row, now_ns, self.hours.exit_ns, self.hours.date, 0)
        cdef Missing found
        if self.risk is None:
            return True
        found = self.risk.add(self.at, self.count, i, self.chain, self.now, self.slot[i], column,
                              (<Leg>self.at[i]).phase != Phase.WAIT, &at)
        if is_final(found):
            (<Leg>self.at[i]).phase = Phase.DONE
            self.note(now_ns, Told.STAYS_OUT, found, i, self.chain.strike[column])
        return found == Missing.FOUND

    # ---- in and out ---------------------------------------------------------------------------

    cdef bint begin(self, size_t row, ns_t now_ns, int when) noexcept nogil:
        """Every leg's contract first, then their order. All or none: without a contract for one leg
        nothing is sent."""
        cdef Moment at = Moment(row, now_ns, self.hours.exit_ns, self.hours.date, when)
        cdef Rung rungs[LEGS_MAX]
        cdef size_t i
        if self.gate.state != RiskState.ACTIVE:
            self.last_missing, self.last_leg, self.last_strike = Missing.HELD, NOBODY, 0
            if self.risk is not None:
                self.risk.drop()
            return False
        for i in range(self.count):
            rungs[i].column = NOWHERE
            if (<Leg>self.at[i]).rules.when and (<Leg>self.at[i]).rules.when != when:
                continue
            rungs[i] = _picked(<Leg>self.at[i], self.chain, row, self.slot[i])
            if rungs[i].missing != Missing.FOUND:
                self.last_missing, self.last_leg = rungs[i].missing, i
                self.last_strike = rungs[i].strike
                return False
        if self.risk is not None:
            self.last_missing = self.risk.enter(self.at, self.count, self.chain, self.now,
                                                self.slot, rungs, &at)
            self.last_leg, self.last_strike = NOBODY, 0
            if is_final(self.last_missing):
                self.note(now_ns, Told.NOT_ENTERED, self.last_missing, NOBODY, 0)
                return True
            if self.last_missing != Missing.FOUND:
                return False
        self.running = 1
        self.hedge_before = self.hedge_result()
        self.last_missing = Missing.FOUND
        self.cycles += 1
        for i in range(self.count):
            _reset(<Leg>self.at[i])
            if rungs[i].column == NOWHERE:
                continue
            self.take(i, row, rungs[i].column, now_ns)
            if (<Leg>self.at[i]).rules.wait_unit:
                _wait(<Leg>self.at[i], self.chain, row)
            else:
                (<Leg>self.at[i]).part = Part.TO_SEND
                (<Leg>self.at[i]).repairs_left = self.order_rules.repairs
        self.begin_order(now_ns)
        return True

    cdef void take(self, size_t i, size_t row, Py_ssize_t column, ns_t now_ns) noexcept nogil:
        """A leg's contract; its exchange has to know the market before an order is priced."""
        cdef Tick known
        (<Leg>self.at[i]).take_contract(self.chain, self.slot[i], column, row)
        if self.ticking:
            self.now.known(column, now_ns, &known)
            (<Leg>self.at[i]).take_tick(&known)

    cdef void give_up(self, ns_t now_ns) noexcept nogil:
        """Today's entry is over: say why."""
        self.begun = 1
        if self.last_missing != Missing.FOUND:
            self.note(now_ns, Told.NOT_ENTERED, self.last_missing, self.last_leg, self.last_strike)
        else:
            self.note(now_ns, Told.LATE, 0, NOBODY, 0)

    cdef bint all_idle(self) noexcept nogil:
        cdef size_t i
        if self.stage != Stage.REST:
            return False
        for i in range(self.count):
            if not (<Leg>self.at[i]).idle():
                return False
        return True

    cdef bint expires_today(self) noexcept nogil:
        """Whether something that is held has its last day."""
        cdef size_t i
        for i in range(self.count):
            if _held(<Leg>self.at[i]) and (<Leg>self.at[i]).day.contract == self.hours.date:
                return True
        return False

    cdef void sample(self, ns_t now_ns, bint anew) noexcept nogil:
        """Equity and the units held; `anew` False mends the last row."""
        cdef EquityRow *place
        cdef size_t i
        cdef int64_t held = 0
        for i in range(self.count):
            held += units((<Leg>self.at[i]).position)
        if self.hedge is not None:
            held += units(self.hedge.leg.position)
        if anew or self.log.equity_count == 0:
            self.log.add_equity(now_ns, portfolio_equity(self.portfolio), held)
            return
        place = &self.log.equity[self.log.equity_count - 1]
        place.equity, place.position = portfolio_equity(self.portfolio), held

    # ---- the Python door ------------------------------------------------------------------------

    def run_day(self, ChainDay chain not None, *, slots, int64_t entry_ns, int64_t until_ns,
                int64_t exit_ns, bint trade, int32_t date, signal_ns=None, signal_side=None):
        """Run one day.

        Args:
            chain: its rows. slots: which of its expiries each leg takes; -1 = it has none.
            entry_ns, until_ns: the structure is entered at the end of the first row in
                [entry, until]. exit_ns: all leave at the end of the first row at or after; 0 = no.
            trade: whether it may be entered today. date: YYYYMMDD.
            signal_ns, signal_side: int64 ascending and int8 (+1, -1, 0 = flat), for a plan that
                follows signals; known at their times.
        Returns:
            True; False when `log.take()` must be called first, and nothing has been done.
        Raises:
            UsageError: one slot a leg, or signals of different lengths.
            DhanfastError: the books or the exchange refused what they never should.
        """
        cdef const int64_t[::1] times
        cdef const int8_t[::1] sides
        cdef Status status
        if self.log.nearly_full(chain.rows * (self.count + (self.hedge is not None))):
            return False
        self.set_day(chain, slots, Hours(entry_ns, until_ns, exit_ns, trade, date))
        self.signals_count = 0
        if signal_ns is not None and len(signal_ns):
            times = np.ascontiguousarray(signal_ns, np.int64)
            sides = np.ascontiguousarray(signal_side, np.int8)
            if times.shape[0] != sides.shape[0]:
                raise UsageError("signal_ns and signal_side must be of one length")
            self.signal_ns, self.signal_side = &times[0], &sides[0]
            self.signals_count = times.shape[0]
        with nogil:
            status = self.day_loop()
        self.signals_count = 0
        check(status)
        return True

    cdef object set_day(self, ChainDay chain, slots, Hours hours):
        if len(slots) != <Py_ssize_t>self.count:
            raise UsageError(f"slots: {len(slots)} for {self.count} legs")
        for i, slot in enumerate(slots):
            if not -1 <= slot < <Py_ssize_t>chain.expiries:
                raise UsageError(f"slot {slot} of leg {i} is not one of {chain.expiries} expiries")
            self.slot[i] = slot
        self.chain, self.hours = chain, hours

    def close_books(self):
        """The end of a day that ticks drove: it is billed; what is open stays so."""
        self.portfolio.close_day()
        self.sample(self.now_ns, False)

    def finish(self):
        """End of data: close what is open at the last price, bill the last day."""
        cdef size_t i
        if self.chain is None:
            return
        with nogil:
            for i in range(self.count):
                if _held(<Leg>self.at[i]):
                    self.note(self.now_ns, Told.CUT, 0, i, (<Leg>self.at[i]).strike)
                    (<Leg>self.at[i]).close_at_last(Reason.END_OF_DATA)
            if self.hedge is not None:
                self.hedge.end(self.at, self.count, False, self.hours.date)
            self.portfolio.close_day()
            self.sample(self.now_ns, False)
            self.tell_risk(self.now_ns, True)

    def held(self):
        """What the legs hold now.

        Returns:
            list of (expiry YYYYMMDD, strike in paise), one a leg that holds something; a hedge's
            too when it is an option.
        """
        cdef Leg leg
        found = []
        for leg in self._legs:
            if leg.position != 0:
                found.append((leg.day.contract, leg.strike))
        if self.hedge is not None and self.hedge.leg.position != 0 and self.hedge.leg.strike:
            found.append((self.hedge.leg.day.contract, self.hedge.leg.strike))
        return found

    def legs_now(self):
        """Every leg as it is now.

        Returns:
            list of dicts, one a leg, the hedge last: listed (the contract's number, 0 = none yet),
            strike, contract (expiry YYYYMMDD), side, right, position, entering (signed units), part
            (Part), phase, stop, target, mark (paise, 0 = none), works (orders that are not done).
        """
        cdef Leg leg
        legs = [*self._legs, self.hedge.leg] if self.hedge is not None else self._legs
        return [{
            "listed": leg.listed if leg.column != NOWHERE else 0, "strike": leg.strike,
            "contract": leg.day.contract, "side": leg.rules.side, "right": leg.rules.right,
            "position": leg.position, "entering": leg.entering, "part": <int>leg.part,
            "phase": <int>leg.phase, "stop": leg.stop_price, "target": leg.target_price,
            "mark": leg.portfolio.positions[leg.instrument].mark, "works": leg.working_count,
        } for leg in legs]

    def counters(self):
        """How often what happened in this run, by name."""
        cdef Leg leg
        legs = [<Leg>each for each in self._legs]
        if self.hedge is not None:
            legs.append(self.hedge.leg)
        found = {
            "bars": self.rows_seen, "structures": self.cycles, "reentries": self.reentries,
            "stops_to_cost": self.to_cost, "combined_stops": self.combined_stops,
            "combined_targets": self.combined_targets, "legs_settled": self.settled,
            "stops_moved": 0, "rows_without_quote_while_held": 0, "orders_sent": 0,
            "orders_refused": 0, "orders_unwound": self.unwound, "legs_repaired": self.repaired,
            "uncovered_units_max": self.uncovered_max,
        }
        for leg in legs:
            found["stops_moved"] += leg.stops_moved
            found["rows_without_quote_while_held"] += leg.unquoted
            found["orders_sent"] += leg.orders_sent
            found["orders_refused"] += leg.orders_refused
        if self.risk is not None:
            found |= self.risk.counters()
        return found if self.hedge is None else found | self.hedge.counters()
