"""Hedge: see hedger.pxd."""

cimport cython
from cpython.ref cimport PyObject
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint32_t, uint64_t

import numpy as np

from dhanfast._core.broker cimport Broker
from dhanfast._core.chainday cimport NOWHERE, Missing, Rung, StrikeRule
from dhanfast._core.hedge cimport HedgeView, HedgeWhy, hedge_day, hedge_step
from dhanfast._core.options.black cimport Greeks, OptionStatus, black_greeks, black_volatility
from dhanfast._core.portfolio cimport Bill, Portfolio, bill_fill, bill_total
from dhanfast._core.risk cimport Gate
from dhanfast._core.runlog cimport RunLog
from dhanfast._core.tradebook cimport units
from dhanfast._core.types cimport OrderFlag, OrderKind, Reason, Report, ReportKind

from dhanfast._core.hedge import checked_rules
from dhanfast._core.types import SESSION_DTYPE
from dhanfast.errors import UsageError

HEDGE_DTYPE = np.dtype([
    ("time_ns", "<i8"), ("price", "<i8"), ("held", "<i8"), ("units", "<i8"), ("cost", "<i8"),
    ("before", "<f8"), ("after", "<f8"), ("band", "<f8"), ("gamma", "<f8"), ("listed", "<u4"),
    ("why", "u1"), ("done", "u1"), ("spare", "u1", 2),
])
if HEDGE_DTYPE.itemsize != sizeof(HedgeRow):
    raise ImportError(f"HedgeRow: the C struct has {sizeof(HedgeRow)} bytes, the dtype "
                      f"{HEDGE_DTYPE.itemsize}")
_PLAIN = {                       # a leg without rules of its own
    "strike": 0.0, "stop": 0.0, "target": 0.0, "trail_every": 0.0, "trail_step": 0.0, "wait": 0.0,
    "lots": 1, "side": 1, "right": 0, "strike_rule": 0, "premium_rule": 0, "stop_unit": 0,
    "target_unit": 0, "trail_unit": 0, "wait_unit": 0, "again_stop": 0, "again_stop_how": 0,
    "again_target": 0, "again_target_how": 0, "when": 0, "again_stop_turn": 0,
    "again_target_turn": 0, "again_stop_arms": 0, "again_target_arms": 0, "again_stop_pause": 0,
    "again_target_pause": 0, "lazy": 0, "range_side": 0, "range_index": 0, "range_ns": 0,
    "premium_least": 0.0,
}


def hedge_leg(uint32_t instrument, Broker broker not None, Portfolio portfolio not None,
              Gate gate not None, RunLog log not None, *, bint ticking=False):
    """The contract that hedges, empty.

    Args:
        instrument: its index at broker, portfolio and gate: the one after those of the legs.
        broker: what executes its orders, and nobody else's.
        portfolio, gate, log: shared with the legs.
        ticking: its orders meet ticks, and may fill in parts.
    Returns:
        HedgeLeg.
    """
    return HedgeLeg(_PLAIN, instrument, broker, portfolio, gate, log, ticking=ticking)


@cython.final
cdef class HedgeLeg(Leg):
    """The contract that hedges: a dealer whose position is made larger and smaller; see
    `hedge_leg`.

    Attributes:
        given_up: orders that ended without filling whole.
    """

    # ---- its contract -----------------------------------------------------------------------

    cdef void future(self, ChainDay chain, Py_ssize_t column, const Session *day) noexcept nogil:
        """From here on it trades this future."""
        self.day = day[0]
        self.column, self.strike, self.rules.right = column, 0, 0
        self.listed = chain.listed[column]
        self.broker.trades(self.listed)
        self.broker.session(self.instrument, &self.day)
        self.settle()
        self.portfolio.session(self.instrument, &self.day)

    cdef bint calm(self) noexcept nogil:
        """Nothing of it is on its way."""
        return self.working_count == 0 and self.entering == 0 and self.exit_id == 0

    # ---- its size ---------------------------------------------------------------------------

    cdef void aim(self, int64_t want, ns_t now_ns) noexcept nogil:
        """Bring what is held to so many units."""
        self.want, self.aiming = want, 1
        self.chase(now_ns)

    cdef void chase(self, ns_t now_ns) noexcept nogil:
        """Send the order that comes next, when none is on its way. A refused one ends the aim."""
        cdef int64_t rest
        cdef uint64_t order_id
        cdef int side
        if not self.aiming or self.out or not self.calm():
            return
        rest = self.want - self.position
        if rest == 0:
            self.aiming = 0
            return
        side = 1 if rest > 0 else -1
        if self.position * side < 0:
            order_id = self.send(side, OrderKind.MARKET, min(units(rest), units(self.position)),
                                 0, 0, OrderFlag.EXIT, Reason.EXIT_SIGNAL, self.group, now_ns)
            self.exit_id = order_id
        else:
            self.stop_points = self.target_points = 0.0
            order_id = self.send(side, OrderKind.MARKET, units(rest), 0, 0, 0, Reason.SIGNAL, 0,
                                 now_ns)
            if order_id:
                self.entry_id, self.entering, self.entry_cancelled = order_id, rest, 0
        if order_id == 0:
            self.aiming = 0
            self.given_up += 1
        self.settle()

    cdef void order_done(self, size_t at, const Report *report) noexcept nogil:
        if report.kind != ReportKind.FILLED:
            self.aiming = 0                  # not sent again: the next decision is another one
            self.given_up += 1
        Leg.order_done(self, at, report)

    cdef void go(self, int reason, ns_t now_ns) noexcept nogil:
        """Out of it, until nothing is held and nothing on its way. A part that is leaving already
        is waited for; what it leaves behind leaves then."""
        self.out, self.aiming = 1, 0
        self.leave(reason, OrderFlag.SQUARE_OFF if reason == Reason.TIME_EXIT else 0, now_ns)
        self.settle()
        if self.exit_id and self.position != 0:
            self.leaving, self.leave_reason = 1, reason
        elif self.leaving and self.position != 0:
            self.again(now_ns)
        if self.position == 0 and self.entering == 0:
            self.out = 0


cdef inline bint _open(Leg leg) noexcept nogil:
    return leg.open_at_all()


cdef inline bint _sold(Leg leg) noexcept nogil:
    return leg.rules.side < 0


# Held, and nothing of it on its way in or out.
cdef inline bint _still(Leg leg) noexcept nogil:
    return leg.entering == 0 and leg.exit_id == 0 and not leg.leaving


cdef inline int64_t _held(Leg leg) noexcept nogil:
    return leg.position


@cython.final
cdef class Hedge:
    """What keeps a structure's delta near its target.

    Args:
        leg: the contract that hedges. rules: a mapping of every field of HedgeRules.
        slippage, slippage_ticks: paise and ticks of its contract that fills lose at a simulated
            exchange.
    Attributes:
        hedges: decisions that were sent, or in a dry run taken. held_back: stopped by a limit.
        blind_rows: rows in which a price was missing. units_max: most units held.
        rows_lost: decisions beyond the buffer.
    Raises:
        ConfigError: a number out of range, or no rule at all.
    """

    def __cinit__(self, HedgeLeg leg not None, rules, *, int64_t slippage=0,
                  int64_t slippage_ticks=0):
        self.leg, self.rules = leg, checked_rules(rules)
        if slippage < 0 or slippage_ticks < 0:
            raise UsageError(f"slippage of a hedge must not be negative, was {slippage} paise, "
                             f"{slippage_ticks} ticks")
        self.slippage, self.slippage_ticks = slippage, slippage_ticks
        self.slot = self.column = NOWHERE

    # ---- a day --------------------------------------------------------------------------------

    def set_day(self, *, int64_t from_ns, int64_t until_ns, int64_t slot=-1, int64_t column=-1,
                session=None):
        """What it may trade today, before the day begins.

        Args:
            from_ns, until_ns: its hours, UTC ns. slot: of the day's expiries that of its options.
            column, session: of the future in the day's chain, and its SESSION_DTYPE record.
        Raises:
            UsageError: neither options nor a future, or both.
        """
        cdef const unsigned char[::1] raw
        if (slot < 0) == (column < 0) or (column >= 0) != (session is not None):
            raise UsageError("a hedge has a future (column and session) or options (slot)")
        self.from_ns, self.until_ns = from_ns, until_ns
        self.slot, self.column = slot, column
        if session is not None:
            raw = np.ascontiguousarray(session, SESSION_DTYPE).reshape(1).view(np.uint8)
            self.future = (<const Session *>&raw[0])[0]

    cdef object join(self, size_t count, Portfolio portfolio, uint64_t *ids):
        if self.leg.instrument != <uint32_t>count or self.leg.portfolio is not portfolio:
            raise UsageError(f"the hedge trades instrument {self.leg.instrument}, not {count}, or "
                             "has other books")
        self.leg.ids = ids

    cdef bint begin(self, ChainDay chain, int date, ns_t now_ns) noexcept nogil:
        if self.leg.position != 0 and self.leg.day.contract < date:
            return False
        hedge_day(&self.state)
        if self.column != NOWHERE:
            self.leg.forget_wishes()
            self.leg.future(chain, self.column, &self.future)
        else:
            self.leg.carry(chain, chain.slot_of(self.leg.day.contract)
                           if self.leg.position != 0 else self.slot, now_ns)
        self.leg.out = self.leg.aiming = 0
        self.cost_of_fills()
        return True

    cdef void cost_of_fills(self) noexcept nogil:
        self.leg.broker.rules.slippage = self.slippage + self.slippage_ticks * self.leg.day.tick

    cdef void end(self, PyObject **at, size_t count, bint carries, int date) noexcept nogil:
        cdef bint alone = True
        cdef size_t i
        for i in range(count):
            alone &= not _open(<Leg>at[i])
        if alone or not carries:
            self.dry_held = 0
        if self.leg.open_at_all() and (alone or not carries or self.leg.day.contract <= date):
            self.leg.close_at_last(Reason.EXPIRY_EXIT if self.leg.day.contract <= date
                                   else Reason.END_OF_DATA)

    # ---- a row --------------------------------------------------------------------------------

    cdef void meet(self, ChainDay chain, size_t row) noexcept nogil:
        if self.leg.column != NOWHERE:
            self.leg.meet(chain, row)

    cdef void mark(self, ChainDay chain, size_t row, ns_t now_ns) noexcept nogil:
        if self.leg.column != NOWHERE:
            self.leg.mark_row(chain, row)
        self.units_max = max(self.units_max, units(self.leg.position))
        self.leg.again(now_ns)

    cdef int64_t held_units(self) noexcept nogil:
        return self.dry_held if self.rules.dry else self.leg.position

    cdef void follow(self, PyObject **at, size_t count, bint running, ns_t now_ns) noexcept nogil:
        cdef bint open_ones = False, sold_ones = False
        cdef HedgeMove move
        cdef size_t i
        if self.leg.out and not self.leg.open_at_all():
            self.leg.out = 0
        for i in range(count):
            if _open(<Leg>at[i]):
                open_ones = True
                sold_ones |= _sold(<Leg>at[i])
        if open_ones and running:
            self.leg.chase(now_ns)
            return
        self.leg.aiming = 0                  # what was begun is not gone on with while legs leave
        if open_ones and sold_ones:
            return
        move.why, move.want, move.gap, move.band = HedgeWhy.EMPTY, 0, NAN, 0.0
        if self.rules.dry:
            if self.dry_held != 0:
                self.note(&move, NAN, self.leg.last_bar.close, self.dry_held, HedgeDone.WOULD,
                          now_ns)
                self.dry_held = 0
        elif self.leg.open_at_all():
            if not self.leg.out:
                self.note(&move, NAN, self.leg.last_bar.close, self.leg.position, HedgeDone.SENT,
                          now_ns)
            self.leg.go(Reason.EXIT_SIGNAL, now_ns)

    cdef bint read(self, Leg leg, size_t place, ChainDay chain, size_t row, double *delta,
                   double *gamma) noexcept nogil:
        """Delta and gamma of a unit of a leg's contract; False when they are not known."""
        cdef Py_ssize_t slot = chain.slot_of(leg.day.contract)
        cdef double price = 0.0, strike = 0.01 * leg.strike
        cdef double years, found
        cdef Greeks greeks
        cdef int status = 0
        if leg.rules.right == 0:
            delta[0], gamma[0] = 1.0, 0.0
            return True
        if slot == NOWHERE:
            return False
        if not self.forwards_known[slot]:
            self.forwards[slot], self.forwards_known[slot] = chain.forward(row, slot), 1
        if self.forwards[slot] != self.forwards[slot]:
            return False
        years = chain.years(row, slot)
        if years <= 0.0:
            delta[0] = leg.rules.right if leg.rules.right * (self.forwards[slot] - strike) > 0 \
                else 0.0
            gamma[0] = 0.0
            return True
        if self.volatility_of[place] != leg.listed:
            self.volatility[place], self.volatility_of[place] = 0.0, leg.listed
        if leg.column != NOWHERE:
            price = 0.01 * chain.close[row * chain.columns + leg.column]
        if price > 0.0:
            found = black_volatility(price, self.forwards[slot], strike, years, 0.0,
                                     leg.rules.right, &status)
            if status == OptionStatus.PRICED:
                self.volatility[place] = found
        if self.volatility[place] <= 0.0 and status != OptionStatus.AT_INTRINSIC \
                and status != OptionStatus.BELOW_INTRINSIC:
            return False                     # no price, and none before
        black_greeks(self.volatility[place], self.forwards[slot], strike, years, 0.0,
                     leg.rules.right, &greeks)
        delta[0], gamma[0] = greeks.delta, greeks.gamma
        return True

    cdef double net(self, PyObject **at, size_t count, ChainDay chain,
                    size_t row) noexcept nogil:
        """Delta of the legs, and `gamma` of them; NaN when one of them is not known."""
        cdef double delta = 0.0, gamma = 0.0, total = 0.0
        cdef size_t i
        self.gamma = 0.0
        for i in range(EXPIRIES_MAX):
            self.forwards_known[i] = 0
        for i in range(count):
            if _held(<Leg>at[i]) == 0:
                continue
            if not self.read(<Leg>at[i], i, chain, row, &delta, &gamma):
                return NAN
            total += delta * _held(<Leg>at[i])
            self.gamma += gamma * _held(<Leg>at[i])
        return total

    cdef bint choose(self, ChainDay chain, ChainNow live, size_t row, double gap,
                     ns_t now_ns) noexcept nogil:
        """The option that would bring the gap back: a put against too much delta, else a call.
        False: there is none."""
        cdef Rung rung
        cdef Tick known
        cdef int right = -1 if gap > 0.0 else 1
        cdef double amount = self.rules.strike
        if self.rules.strike_rule == StrikeRule.STEPS:
            amount *= right                  # out of (into) the money, of either right
        rung = chain.pick(row, self.slot, right, self.rules.strike_rule, amount,
                          self.rules.premium_rule)
        if rung.missing != Missing.FOUND:
            return False
        if rung.column == self.leg.column:
            return True
        self.leg.rules.right = right
        self.leg.take_contract(chain, self.slot, rung.column, row)
        self.cost_of_fills()
        if live is not None:
            live.known(rung.column, now_ns, &known)
            self.leg.take_tick(&known)
        return True

    cdef void decide(self, PyObject **at, size_t count, ChainDay chain, ChainNow live, size_t row,
                     bint shut) noexcept nogil:
        cdef double delta = 0.0, gamma = 0.0
        cdef bint any_held = False
        cdef HedgeView view
        cdef HedgeMove move
        cdef paise_t price = 0
        cdef size_t i
        for i in range(count):
            any_held |= _held(<Leg>at[i]) != 0
            if not _still(<Leg>at[i]):
                return
        if not any_held or not self.leg.calm() or self.leg.out or self.leg.leaving:
            return
        view.now_ns, view.from_ns, view.until_ns = chain.end_ns[row], self.from_ns, self.until_ns
        view.position, view.shut, view.unit = self.held_units(), shut, NAN
        view.net = self.net(at, count, chain, row)
        if view.net == view.net:
            if self.slot != NOWHERE and view.position == 0 \
                    and not self.choose(chain, live, row, view.net - self.rules.target,
                                        view.now_ns):
                view.net = NAN
            elif self.read(<Leg>self.leg, LEGS_MAX, chain, row, &delta, &gamma):
                view.unit = delta
                view.net += delta * view.position
                self.gamma += gamma * view.position
        view.gamma, view.lot, view.freeze = self.gamma, self.leg.day.lot, self.leg.day.freeze
        if self.leg.column != NOWHERE:
            price = chain.close[row * chain.columns + self.leg.column]
        view.price = 0.01 * price
        hedge_step(&self.rules, &self.state, &view, &move)
        self.blind_rows += move.why == HedgeWhy.BLIND
        if not move.tell:
            return
        if move.why == HedgeWhy.BLIND:
            move.gap = NAN
        self.held_back += not move.go
        self.note(&move, view.unit, price, view.position,
                  HedgeDone.HELD_BACK if not move.go
                  else HedgeDone.WOULD if self.rules.dry else HedgeDone.SENT, view.now_ns)
        if not move.go:
            return
        self.hedges += 1
        if self.rules.dry:
            self.dry_held = move.want
        else:
            self.leg.aim(move.want, view.now_ns)

    cdef void note(self, const HedgeMove *move, double unit, paise_t price, int64_t held,
                   int done, ns_t now_ns) noexcept nogil:
        cdef HedgeRow *row
        cdef Bill bill
        cdef int64_t change = 0 if done == HedgeDone.HELD_BACK else move.want - held
        if self.rows_count == HEDGE_ROWS_MAX:
            self.rows_lost += 1
            return
        row = &self.rows[self.rows_count]
        self.rows_count += 1
        row.time_ns, row.price, row.held, row.units = now_ns, price, held, change
        row.cost = 0
        if change and price > 0:
            bill_fill(&self.leg.portfolio.rates[self.leg.instrument], 1 if change > 0 else -1,
                      price * units(change), 0, &bill)
            row.cost = (bill_total(&bill) + 500_000) // 1_000_000
        row.before = row.after = move.gap
        if change:
            row.after = move.gap + change * unit
        row.band, row.gamma = move.band, self.gamma
        row.listed, row.why, row.done = self.leg.listed, move.why, <uint8_t>done
        row.spare[0] = row.spare[1] = 0

    # ---- the Python door ------------------------------------------------------------------------

    def take_rows(self):
        """Decisions since the last call, those that a limit held back too.

        Shape:
            HEDGE_DTYPE[n].
        """
        rows = np.zeros(self.rows_count, HEDGE_DTYPE)
        cdef unsigned char[::1] raw
        cdef size_t i
        if self.rows_count:
            raw = rows.view(np.uint8)
            for i in range(self.rows_count):
                (<HedgeRow *>&raw[0])[i] = self.rows[i]
        self.rows_count = 0
        return rows

    def counters(self):
        """How often what happened, by name."""
        return {
            "hedges": self.hedges, "hedges_held_back": self.held_back,
            "hedge_orders_given_up": self.leg.given_up, "hedge_rows_blind": self.blind_rows,
            "hedge_units_max": self.units_max, "hedge_rows_lost": self.rows_lost,
        }
