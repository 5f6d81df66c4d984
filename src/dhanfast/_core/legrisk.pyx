"""LegRisk: see legrisk.pxd."""

cimport cython
from libc.math cimport NAN
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memset

from dhanfast._core.chainday cimport NOWHERE
from dhanfast._core.guardlocks cimport GuardKind, guards_watch
from dhanfast._core.legs cimport Leg, Phase
from dhanfast._core.portfolio cimport portfolio_equity
from dhanfast._core.tradebook cimport units
from dhanfast._core.tradewindow cimport ClosedTrade
from dhanfast._core.types cimport Reason, RejectReason, Session

from math import gcd

cdef extern from "df_wide.h" nogil:
    int64_t df_mul_div_up(int64_t a, int64_t b, int64_t c)

cdef enum:
    WHOLE = -1               # place of a question about all legs


cdef inline bint _comes_again(Leg leg) noexcept nogil:
    return leg.phase == Phase.WAIT or leg.phase == Phase.CHOOSE or leg.phase == Phase.COST_AGAIN


cdef inline int64_t _lots(int64_t qty, int64_t lot) noexcept nogil:
    """A part of a lot counts as one."""
    return (qty + lot - 1) // lot if lot > 1 else qty


cdef Asked _asked(ChainDay chain, const Rung *rung, Py_ssize_t slot, size_t row,
                  int64_t signed_lots) noexcept nogil:
    cdef Asked asked
    cdef const Session *session = &chain.sessions[slot]
    asked.contract, asked.lot, asked.freeze = session.contract, session.lot, session.freeze
    asked.qty = signed_lots * session.lot
    asked.price = chain.close[row * chain.columns + rung.column]
    return asked


# When the oldest price was told that an entry rests on; rows of a backtest are as old as their end.
cdef ns_t _data_ns(ChainNow now, const Rung *rungs, size_t count, ns_t now_ns) noexcept nogil:
    cdef ns_t oldest = now_ns
    cdef size_t i
    if now is None:
        return now_ns
    oldest = min(oldest, now.spot_ns)
    for i in range(count):
        if rungs[i].column != NOWHERE:
            oldest = min(oldest, now.seen_ns[rungs[i].column])
    return oldest


# As `Guards.verdict` asks of one order; a structure has no side.
cdef RejectReason _vetoed(Guards guards, const Asked *asked, size_t count, ns_t data_ns,
                          bint within, const Moment *at) noexcept nogil:
    cdef RejectReason found = RejectReason.NONE
    cdef uint32_t counted = guards.state.locked & (1 << <int>GuardKind.MAX_TRADES)
    cdef Session session
    cdef size_t i
    guards.state.now_ns = max(guards.state.now_ns, at.now_ns)
    guards.state.data_ns = data_ns
    if guards.state.locked:
        if within:                       # the structure is one of the trades already
            guards.state.locked &= ~counted
        found = guards._locked(0, at.now_ns)
        if within:
            guards.state.locked |= counted
        if found != RejectReason.NONE:
            return found
    if guards.rules.before_flat or guards.rules.expiry_day_off \
            or guards.rules.expiry_day_until:
        memset(&session, 0, sizeof(Session))
        session.date, session.square_off_ns = at.date, at.flat_ns
        for i in range(count):
            if asked[i].contract == at.date:
                session.contract = at.date
        found = guards._timing(at.now_ns, &session)
        if found != RejectReason.NONE:
            return found
    if guards.rules.stale_ns and at.now_ns - data_ns > guards.rules.stale_ns:
        return guards._veto(RejectReason.GUARD_STALE, at.now_ns, 0, at.now_ns - data_ns,
                            guards.rules.stale_ns, data_ns)
    if guards.sees_vix:
        found = guards._volatility(at.now_ns)
        if found != RejectReason.NONE:
            return found
    return RejectReason.NONE

# Premium and lots of what is held and asked for, of all expiries and of each that is asked for.
cdef RejectReason _exposed(Guards guards, Portfolio books, const Asked *asked, size_t count,
                           ns_t now_ns) noexcept nogil:
    cdef int64_t paise, lots, value, size
    cdef int64_t contract = 0        # 0: of all expiries
    cdef size_t i, which
    if not (guards.rules.underlying_paise or guards.rules.underlying_lots
            or guards.rules.expiry_paise or guards.rules.expiry_lots):
        return RejectReason.NONE
    for which in range(count + 1):
        contract = 0 if which == 0 else asked[which - 1].contract
        paise = lots = 0
        for i in range(count):
            if contract == 0 or asked[i].contract == contract:
                paise += df_mul_div_up(units(asked[i].qty), asked[i].price, 1)
                lots += _lots(units(asked[i].qty), asked[i].lot)
        for i in range(guards.count):
            size = units(books.positions[i].qty)
            if size == 0 or (contract and guards.instruments[i].contract != contract):
                continue
            value = books.positions[i].mark
            paise += df_mul_div_up(size, value, 1)
            lots += _lots(size, guards.instruments[i].lot)
        value = guards.rules.expiry_paise if contract else guards.rules.underlying_paise
        size = guards.rules.expiry_lots if contract else guards.rules.underlying_lots
        if value and paise > value:
            return guards._veto(RejectReason.GUARD_EXPOSURE, now_ns, 0, paise, value,
                                2 if contract else 0)
        if size and lots > size:
            return guards._veto(RejectReason.GUARD_EXPOSURE, now_ns, 0, lots, size,
                                3 if contract else 1)
    return RejectReason.NONE


@cython.final
cdef class LegRisk:
    """What a structure has to pass before it is sent; see legrisk.pxd.

    Args:
        filters: windows of time in which no structure is begun; None: there are none.
        guards: rules that entries wait for; None: there are none.
        judge: `engine.leg_judge.Judge`, or anything with its `begin`, `again`, `closed`, `told` and
            `drop`; None: every entry is of the file's size.
    Attributes:
        guards, judge, filters: as given. error: what the judge raised. file_times: structures that
        the file's lots are: their largest common divisor. times: structures of the entry in hand.
        guarded: entries that a guard let wait, counted by row. refused: structures that the judge
        refused. smaller: that it made smaller. not_again: legs that were not entered again.
        told_closed: structures that guards and judge know as closed.
    """

    def __cinit__(self, Guards guards=None, judge=None, Filters filters=None):
        self.guards, self.judge, self.filters = guards, judge, filters
        self.file_times = self.times = 1
        self.scale = 1.0

    cdef object attach(self, list legs, Portfolio portfolio):
        cdef Leg leg
        self.portfolio = portfolio
        self.file_times = self.times = gcd(*[int((<Leg>each).rules.lots) for each in legs])
        for i, leg in enumerate(legs):
            self.parts[i] = leg.rules.lots // self.file_times
            if self.guards is not None:
                self.guards.describe(i, 0, 0, 0)
        if self.guards is not None:
            self.guards.attach(portfolio)

    # ---- the day and its equity ---------------------------------------------------------------

    cdef void new_day(self, int64_t date, ns_t now_ns) noexcept nogil:
        self.another()
        if self.guards is not None:
            self.guards.new_day(date, portfolio_equity(self.portfolio), now_ns)

    cdef bint follow(self, PyObject **legs, size_t count, bint running, bint beside, bint last,
                     ns_t now_ns) noexcept nogil:
        cdef paise_t equity = portfolio_equity(self.portfolio)
        cdef ClosedTrade closed
        cdef bint over = not beside
        cdef bint flat
        cdef size_t i
        for i in range(count):
            # 2: a trade of it has ended in this structure, for that reason if it is the last.
            if (<Leg>legs[i]).entered == 2 and (<Leg>legs[i]).closed_why == Reason.STOP_LOSS:
                self.stopped = True
            over &= not (<Leg>legs[i]).open_at_all() and (last or not (
                (<Leg>legs[i]).closed or (running and _comes_again(<Leg>legs[i]))))
            if self.fresh and (<Leg>legs[i]).entered:
                self.fresh, self.counted = False, True
                if self.guards is not None:
                    self.guards.entered(now_ns)
        if self.counted and over:
            self.counted = False
            self.told_closed += 1
            closed.exit_ns, closed.net, closed.side = now_ns, equity - self.equity_before, 0
            closed.stopped = self.stopped and closed.net < 0
            if self.guards is not None:
                self.guards._count_closed(&closed)
            if self.judge is not None:
                self.tell_closed(closed.net)
        if self.guards is None:
            return False
        guards_watch(self.guards, now_ns, equity)
        flat = self.guards.state.wish_flat != 0
        self.guards.state.wish_flat = 0
        return flat

    cdef void tell_closed(self, paise_t net) noexcept nogil:
        with gil:
            try:
                self.judge.closed(net, self.times)
            except Exception as error:
                self.error = error

    # ---- an entry -------------------------------------------------------------------------------

    cdef Missing enter(self, PyObject **legs, size_t count, ChainDay chain, ChainNow now,
                       const Py_ssize_t *slots, Rung *rungs, const Moment *at) noexcept nogil:
        cdef Asked asked[LEGS_MAX]
        cdef size_t i, wanted = 0
        cdef int64_t times
        if self.frozen_when != at.when:
            self.drop()
        if self.filters is not None and self.filtered(at):
            self.drop()
            return Missing.FILTERED
        for i in range(count):
            if self.frozen:                  # what was asked about is what is sent
                rungs[i] = self.rungs[i]
            if rungs[i].column != NOWHERE:
                asked[wanted] = _asked(chain, &rungs[i], slots[i], at.row,
                                       (<Leg>legs[i]).rules.side * self.parts[i])
                wanted += 1
        if self.guards is not None and _vetoed(
                self.guards, &asked[0], wanted, _data_ns(now, rungs, count, at.now_ns), False,
                at) != RejectReason.NONE:
            self.guarded += 1
            self.drop()
            return Missing.GUARDED
        times = self.file_times
        if self.judge is not None:
            times = self.judged(legs, count, rungs, chain, slots, WHOLE, at)
        if times == 0:
            for i in range(count):
                self.rungs[i] = rungs[i]
            self.frozen, self.frozen_when = True, at.when
            return Missing.ASKED
        self.frozen = False
        if times < 0:
            self.refused += 1
            return <Missing>(-times)
        for i in range(wanted):
            asked[i].qty *= times
        if self.guards is not None and _exposed(self.guards, self.portfolio, &asked[0], wanted,
                                                at.now_ns) != RejectReason.NONE:
            self.guarded += 1
            return Missing.EXPOSED
        self.times, self.scale = times, <double>times / self.file_times
        for i in range(count):
            (<Leg>legs[i]).lots = self.parts[i] * times
            if rungs[i].column != NOWHERE:
                self.trades(<uint32_t>i, &chain.sessions[slots[i]])
        self.fresh, self.stopped = True, False
        self.equity_before = portfolio_equity(self.portfolio)
        return Missing.FOUND

    cdef Missing add(self, PyObject **legs, size_t count, size_t i, ChainDay chain, ChainNow now,
                     Py_ssize_t slot, Py_ssize_t column, bint again,
                     const Moment *at) noexcept nogil:
        cdef Rung rung
        cdef Asked asked
        rung.column, rung.missing, rung.strike = column, Missing.FOUND, chain.strike[column]
        asked = _asked(chain, &rung, slot, at.row,
                       (<Leg>legs[i]).rules.side * (<Leg>legs[i]).lots)
        if self.guards is not None and (
                _vetoed(self.guards, &asked, 1, _data_ns(now, &rung, 1, at.now_ns), True,
                        at) != RejectReason.NONE
                or _exposed(self.guards, self.portfolio, &asked, 1,
                            at.now_ns) != RejectReason.NONE):
            self.guarded += 1
            return Missing.GUARDED
        if again and self.judge is not None \
                and self.judged(legs, count, &rung, chain, &slot, <int32_t>i, at) <= 0:
            self.not_again += 1
            return Missing.MARGIN
        self.trades(<uint32_t>i, &chain.sessions[slot])
        return Missing.FOUND

    cdef void trades(self, uint32_t place, const Session *session) noexcept nogil:
        """What a leg trades from here on."""
        if self.guards is not None:
            self.guards.instrument(place, session.contract, session.lot)

    cdef void another(self) noexcept nogil:
        self.drop()
        self.objected = 0

    cdef bint filtered(self, const Moment *at) noexcept nogil:
        cdef int32_t place = self.filters.window(at.now_ns)
        if place < 0:
            return False
        if not self.objected >> place & 1:
            self.objected |= <uint64_t>1 << place
            self.filters.counts[place] = self.filters.counts[place] + 1
            self.filters.asked += 2              # a row of its own
            self.filters.note(at.now_ns, at.when, place, NAN, NAN)
        return True

    cdef void drop(self) noexcept nogil:
        if self.frozen:
            self.frozen = False
            with gil:
                self.judge.drop()

    cdef int64_t judged(self, PyObject **legs, size_t count, const Rung *rungs, ChainDay chain,
                        const Py_ssize_t *slots, int32_t place, const Moment *at) noexcept nogil:
        """What the judge says of all legs, or of the one at `place` beside those that are held."""
        cdef paise_t equity = portfolio_equity(self.portfolio)
        cdef int64_t said
        with gil:
            try:
                said = self._said(legs, count, rungs, chain, slots, place, at, equity)
            except Exception as error:
                self.error = error
                said = -<int64_t>Missing.UNASKED
        return said

    cdef object _said(self, PyObject **legs, size_t count, const Rung *rungs, ChainDay chain,
                      const Py_ssize_t *slots, int32_t place, const Moment *at, paise_t equity):
        cdef Asked asked
        cdef Leg leg
        cdef size_t i
        rows, held = [], []
        if place != WHOLE:
            leg = <Leg>legs[place]
            asked = _asked(chain, &rungs[0], slots[0], at.row, leg.rules.side * leg.lots)
            row = (place, chain.listed[rungs[0].column], asked.qty, asked.lot, asked.freeze,
                   asked.price)
            for i in range(count):
                leg = <Leg>legs[i]
                if leg.position != 0:
                    held.append((i, leg.listed, leg.position, leg.day.lot, leg.day.freeze,
                                 self.portfolio.positions[i].mark))
            return self.judge.again(row, held, at.now_ns, chain.spot[at.row], equity)
        for i in range(count):
            if rungs[i].column == NOWHERE:
                continue
            leg = <Leg>legs[i]
            asked = _asked(chain, &rungs[i], slots[i], at.row, leg.rules.side * self.parts[i])
            rows.append((i, chain.listed[rungs[i].column], asked.qty, asked.lot, asked.freeze,
                         asked.price))
        said = self.judge.begin(rows, self.file_times, at.now_ns, chain.spot[at.row], equity)
        self.smaller += 0 < said < self.judge.wanted
        return said

    # ---- the Python door ----------------------------------------------------------------------

    def told(self, number: int, required: int, funds: int, now_ns: int):
        """The broker has answered a question of the judge.

        Args:
            number: of the question. required, funds: paise, below 0 = not known.
        """
        if self.judge is not None:
            self.judge.told(number, required, funds, now_ns)

    def counters(self):
        """How often what happened, by name; of guards those that vetoed."""
        found = {}
        if self.filters is not None:
            vetoed = self.filters.vetoed
            found["entries_vetoed"] = sum(vetoed.values())
            found |= {f"vetoed_{name}": count for name, count in vetoed.items()}
        if self.judge is not None:
            found |= {"structures_refused": self.refused, "structures_made_smaller": self.smaller,
                      "reentries_refused": self.not_again}
        if self.guards is not None:
            found |= {"entries_guarded": self.guarded, "guard_locks": self.guards.locks_made,
                      "guard_alerts": self.guards.alerts_made}
            found |= {f"risk_{name.lower()}": count for name, count in self.guards.vetoed.items()}
        return found
