"""LegWhole: see legwhole.pxd."""

from dhanfast._core.chainday cimport NOWHERE
from dhanfast._core.legasks cimport (
    leg_arm, leg_close, leg_held, leg_next, leg_premium, leg_result, leg_waits, leg_why,
)
from dhanfast._core.legorder cimport NOBODY, LegOrder, Told
from dhanfast._core.legs cimport Again, Leg, LegUnit, on_index
from dhanfast._core.portfolio cimport Position
from dhanfast._core.types cimport Reason


cdef class LegWhole(LegOrder):
    """A structure as one position; see `LegRun`, which drives it.

    Attributes:
        portfolio, risk, hedge: of the run.
        restart: how all legs go in again, an `Again`; 0: they do not. to_cost: stops moved to cost
            by another leg's stop.
        combined_stops, combined_targets: structures that the whole's stop or target has ended.
        locks: that were left to keep a profit. with_leg: that were left with one of their legs.
        restarts: that were entered again whole.
    """

    cdef paise_t hedge_result(self) noexcept nogil:
        cdef const Position *books
        if self.hedge is None:
            return 0
        books = &self.portfolio.positions[self.hedge.leg.instrument]
        return books.realised + books.qty * books.mark - books.cost

    # ---- its legs -----------------------------------------------------------------------------

    cdef void closings(self, ns_t now_ns) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).closed:
                leg_close(<Leg>self.at[i])
                self.ended(i, now_ns)
        for i in range(self.count):
            if leg_held(<Leg>self.at[i]) and (<Leg>self.at[i]).last_ns == now_ns \
                    and 0 < (<Leg>self.at[i]).rules.trail_unit <= LegUnit.PERCENT:
                (<Leg>self.at[i]).trail((<Leg>self.at[i]).last_bar.start_ns, now_ns)

    cdef void by_index(self, paise_t index, ns_t now_ns) noexcept nogil:
        cdef size_t i
        cdef int why
        for i in range(self.count):
            if not leg_held(<Leg>self.at[i]) or not (
                    on_index((<Leg>self.at[i]).rules.stop_unit)
                    or on_index((<Leg>self.at[i]).rules.target_unit)):
                continue
            why = (<Leg>self.at[i]).index_exit(index)
            if why:
                self.note(now_ns, Told.INDEX_STOP if why == Reason.STOP_LOSS
                          else Told.INDEX_TARGET, 0, i, index)
                (<Leg>self.at[i]).leave(why, 0, now_ns)
                (<Leg>self.at[i]).settle()

    cdef void ended(self, size_t i, ns_t now_ns) noexcept nogil:
        """A leg's trade has ended: what that means to it and to the others."""
        cdef int why = leg_why(<Leg>self.at[i])
        cdef size_t other
        if not self.running or self.complete(i, why, now_ns):
            return
        if self.plan.to_cost and why == Reason.STOP_LOSS:
            for other in range(self.count):
                if other != i and leg_held(<Leg>self.at[other]) and (
                        self.plan.to_cost == 1 or (<Leg>self.at[other]).rules.stop_unit):
                    (<Leg>self.at[other]).stop_to_cost(now_ns)
                    self.to_cost += 1
        if leg_next(<Leg>self.at[i], now_ns) == Again.ARM:
            self.arm(i, (<Leg>self.at[i]).rules.again_stop_arms if why == Reason.STOP_LOSS
                     else (<Leg>self.at[i]).rules.again_target_arms, now_ns)

    cdef void arm(self, size_t i, size_t other, ns_t now_ns) noexcept nogil:
        """Leg `i` has ended, and lets another one in."""
        if (<Leg>self.at[other]).idle() and not leg_waits(<Leg>self.at[other]):
            leg_arm(<Leg>self.at[other], now_ns, (<Leg>self.at[i]).again_ns)
            self.note(now_ns, Told.ARMED, 0, other, 0)
        else:
            self.note(now_ns, Told.NOT_ARMED, 0, other, 0)

    # ---- why it is left -----------------------------------------------------------------------

    cdef void combined(self, ns_t now_ns) noexcept nogil:
        cdef double scale = 1.0 if self.risk is None else self.risk.scale
        cdef paise_t result = self.hedge_result() - self.hedge_before
        cdef paise_t premium = 0
        cdef int told
        cdef size_t i
        if self.plan.stop_unit == PlanUnit.UNSET and self.plan.target_unit == PlanUnit.UNSET \
                and self.plan.lock_unit == PlanUnit.UNSET:
            return
        for i in range(self.count):
            result += leg_result(<Leg>self.at[i])
            premium += leg_premium(<Leg>self.at[i])
        self.best = max(self.best, result)
        told = whole_asks(&self.plan, result, self.best, premium, scale)
        if told == 0:
            return
        self.note(now_ns, told, 0, NOBODY, result)
        if told == Told.COMBINED_TARGET:
            self.combined_targets += 1
            self.out(Reason.TAKE_PROFIT, now_ns)
            return
        if told == Told.LOCKED:
            self.locks += 1
        else:
            self.combined_stops += 1
        self.out(Reason.STOP_LOSS, now_ns)

    cdef bint complete(self, size_t i, int reason, ns_t now_ns) noexcept nogil:
        if not self.plan.complete \
                or (reason != Reason.STOP_LOSS and reason != Reason.TAKE_PROFIT):
            return False
        self.with_leg += 1
        self.note(now_ns, Told.WITH_LEG, reason, i, 0)
        self.out(reason, now_ns)
        return True

    # ---- in again -----------------------------------------------------------------------------

    cdef void leave_all(self, int reason, ns_t now_ns) noexcept nogil:
        """Whoever else leaves them, an operator or the clock: that is the end of entries again."""
        if self.restart != Again.NEVER:
            self.restart = Again.NEVER
            self.note(now_ns, Told.DROPPED, 0, NOBODY, 0)
        LegOrder.leave_all(self, reason, now_ns)

    cdef void out(self, int reason, ns_t now_ns) noexcept nogil:
        cdef int how = Again.NEVER
        cdef bint turn = False
        cdef ns_t pause_ns = 0
        self.leave_all(reason, now_ns)
        if reason == Reason.STOP_LOSS and self.stops_left > 0:
            self.stops_left -= 1
            how, turn = self.plan.again_stop_how, self.plan.again_stop_turn
            pause_ns = self.plan.again_stop_pause
        elif reason == Reason.TAKE_PROFIT and self.targets_left > 0:
            self.targets_left -= 1
            how, turn = self.plan.again_target_how, self.plan.again_target_turn
            pause_ns = self.plan.again_target_pause
        self.restart, self.restart_ns = how, now_ns + pause_ns
        if self.risk is not None:
            self.risk.another()              # what comes again is an entry of its own
        if how == Again.COST:
            self.cost = self.net_price(True)
            self.cost_way = 1 if self.net_price(False) < self.cost else -1
        if turn:
            self.turned = -self.turned

    cdef void fresh_start(self) noexcept nogil:
        self.turned, self.restart = 1, Again.NEVER
        self.stops_left, self.targets_left = self.plan.again_stop, self.plan.again_target

    cdef paise_t net_price(self, bint paid) noexcept nogil:
        cdef paise_t price, total = 0
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).entered:
                price = ((<Leg>self.at[i]).paid if paid
                         else self.portfolio.positions[i].mark)
                total += (<Leg>self.at[i]).side_was * price * (<Leg>self.at[i]).want
        return total

    cdef bint restart_due(self, ns_t now_ns) noexcept nogil:
        return (now_ns >= self.restart_ns and not self.paused and not self.shut
                and (self.hedge is None or self.hedge.leg.idle())
                and (self.restart != Again.COST
                     or self.cost_way * (self.net_price(False) - self.cost) >= 0))

    cdef void set_sides(self) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            (<Leg>self.at[i]).rules.side = (<Leg>self.at[i]).own_side * self.turned

    # ---- the Python door ----------------------------------------------------------------------

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

    def whole_counters(self):
        """How often what happened to the whole, by name: of what the plan asks for.

        Returns:
            dict; empty when it asks for no lock, no leaving with a leg, no entry again and nothing
            that counts the index.
        """
        cdef Leg leg
        found = {}
        if self.plan.lock_unit:
            found["profits_locked"] = self.locks
        if self.plan.complete:
            found["structures_left_with_a_leg"] = self.with_leg
        if self.plan.again_stop or self.plan.again_target:
            found["structures_entered_again"] = self.restarts
        for leg in self._legs:
            if on_index(leg.rules.stop_unit):
                found["index_stops"] = found.get("index_stops", 0) + leg.index_stops
            if on_index(leg.rules.target_unit):
                found["index_targets"] = found.get("index_targets", 0) + leg.index_targets
        return found
