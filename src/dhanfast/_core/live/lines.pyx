"""Legs and lines: see lines.pxd for what holds, here is what is asked of the broker."""

from libc.stdint cimport INT64_MAX
from libc.string cimport memcpy, memset

from dhanfast._core.live.budget cimport (
    SharedAccount, account_begin, account_begin_day, account_clock, account_end, account_reserve,
    account_spend, budget_take,
)
from dhanfast._core.live.records cimport IntentKind
from dhanfast._core.live.terms cimport (
    Terms, market_at, market_reached, terms_differ, terms_of,
)
from dhanfast._core.risk cimport Gate, order_seal
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport (
    ApprovedOrder, OrderFlag, OrderKind, RejectReason, ReportKind, Tick,
)

from dhanfast._core.live.budget import BUDGET_LIMITS, limits_of
from dhanfast.errors import ConfigError


cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)

cdef Line _NO_LINE
memset(&_NO_LINE, 0, sizeof(Line))

_RULES = {                       # name: (default, least, most)
    "protection_e4": (100, 0, 2_000), "stop_room_e4": (100, 0, 5_000),
    "lost_after_ns": (5_000_000_000, 0, 600_000_000_000), "absents_min": (3, 1, 100),
    "modifies_max": (22, 1, 1_000),
}


cdef class Lines(Broker):
    """The sending half of `Remote`, which see: what orders at the broker should say.

    Attributes:
        out_count: requests made and not yet taken. due_ns: wall time of the next `advance`.
        requests: made so far. odd_count: events that no broker should make, or that came late.
        stray_qty: signed units filled that nobody waited for. doubts: orders whose placing had no
        clear answer. lost: given up of them. place: at its desk. contract: of new orders there.
    """

    def __cinit__(self, Gate gate not None, *, SharedAccount desk=None, uint32_t place=0,
                  **limits: object):
        if desk is None and place:
            raise ConfigError(f"remote.place needs a desk, was {place} without one")
        for name in BUDGET_LIMITS:
            if desk is not None and name in limits:
                raise ConfigError(f"remote.{name}: all places of a desk share it, set desk.{name}")
        values = limits_of("remote", limits, _RULES if desk is not None else _RULES | BUDGET_LIMITS)
        self.limits = {name: values[name] for name in _RULES}
        self.gate, self.instruments = gate, 1
        self.due_ns = INT64_MAX
        self.desk, self.place = desk, place
        if desk is None:
            self.account = &self.own
            account_begin(self.account, values)
        else:
            desk.join(place, self)
            self.account = &desk.state

    def __dealloc__(self):
        account_end(&self.own)

    # ---- what the kernel asks for -------------------------------------------------------------

    cdef void at(self, ns_t now_ns, ns_t wall_ns, bint clock) noexcept nogil:
        self.told(now_ns, account_clock(self.account, wall_ns, clock))

    cdef void told(self, ns_t now_ns, ns_t back_ns) noexcept nogil:
        """The market's time of the input that comes next, and by how much the machine's clock was
        set back: what was asked for is not held up by the hour."""
        self.now_ns = max(self.now_ns, now_ns)
        if back_ns and self.due_ns != INT64_MAX:
            self.due_ns -= back_ns

    cdef void trades(self, uint32_t contract) noexcept nogil:
        if contract != self.contract:
            self.contract = contract
            self.market.last = self.market.bid = self.market.ask = 0   # were the other one's

    cdef Status submit(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil:
        cdef uint32_t at
        cdef Leg *leg = NULL
        if (order.seal != order_seal(self.gate.key, &order.order) or self.day == NULL
                or order.order.id <= self.last_id or order.order.instrument != self.place):
            return Status.NOT_APPROVED
        for at in range(LEGS_MAX):
            if not self.legs[at].live:
                leg = &self.legs[at]
                break
        if leg == NULL or REPORTS_MAX - self.pending_reports < 4 * LEGS_MAX:
            return Status.POOL_FULL
        self.leg_top = max(self.leg_top, at + 1)
        memset(leg, 0, sizeof(Leg))
        leg.order, leg.contract = order.order, self.contract
        leg.live, leg.unanswered = 1, 1
        self.live += 1
        self.last_id = order.order.id
        self.now_ns = max(self.now_ns, now_ns)
        self._pump()
        return Status.OK

    cdef Status attach(self, const ApprovedOrder *order, ns_t at_ns) noexcept nogil:
        return self.submit(order, at_ns)

    cdef Status resize(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t at_ns) noexcept nogil:
        cdef int32_t at = self._find_leg(order_id)
        if at == NOBODY:
            return Status.UNKNOWN_ORDER
        if qty <= self.legs[at].gone:
            return Status.UNKNOWN_ORDER
        self.legs[at].order.price, self.legs[at].order.trigger = price, trigger
        self.legs[at].order.qty = qty
        self.legs[at].unanswered += 1
        self.now_ns = max(self.now_ns, at_ns)
        self._pump()
        return Status.OK

    cdef Status modify(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t now_ns) noexcept nogil:
        cdef int32_t at = self._find_leg(order_id)
        if qty == 0 and at != NOBODY:
            qty = self.legs[at].order.qty        # as it is
        return self.resize(order_id, price, trigger, qty, now_ns)

    cdef Status cancel(self, uint64_t order_id, ns_t now_ns) noexcept nogil:
        cdef int32_t at = self._find_leg(order_id)
        if at == NOBODY:
            return Status.UNKNOWN_ORDER
        self.legs[at].cancelling = 1
        self.now_ns = max(self.now_ns, now_ns)
        self._pump()
        return Status.OK

    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil:
        """The broker's day is over: DAY orders are gone, and so are yesterday's prices. On a desk
        it may also be another contract of the same day: what rests for the old one is taken away.
        """
        cdef uint32_t at
        cdef bint same_day = (self.desk is not None and self.day != NULL
                              and self.day.date == session.date)
        for at in range(self.leg_top):
            if self.legs[at].live:
                self._end_leg(<int32_t>at, ReportKind.EXPIRED, RejectReason.NONE)
        for at in range(self.line_top):
            if same_day:
                break
            if not line_ended(&self.lines[at]):
                self.lines[at].state = LineState.DONE
            self.lines[at].orphan = 1          # should it show up again, it is taken away
        self.day_copy = session[0]
        self.day = &self.day_copy
        self.market.last = self.market.bid = self.market.ask = 0
        self.exit_refusals, self.exit_hold_ns = 0, 0
        if self.desk is None or self.account.date != session.date:
            account_begin_day(self.account, session.date)
        if same_day:
            self._pump()

    cdef void tick(self, const Tick *tick) noexcept nogil:
        if tick.price > 0:
            self.market.last = tick.price
        if tick.bid > 0 or tick.ask > 0:
            self.market.bid, self.market.ask = tick.bid, tick.ask
        self.now_ns = max(self.now_ns, tick.recv_ns if tick.recv_ns else tick.exch_ns)
        if self.live:
            self._watch()
            self._pump()

    cdef bint calm(self, paise_t *floor, paise_t *ceiling) noexcept nogil:
        return False                 # while an order is live every tick is looked at

    cdef bint departure(self, uint64_t order_id, Departure *out) noexcept nogil:
        """Also of a leg that has ended, as long as its place is not another's."""
        cdef uint32_t at
        memset(out, 0, sizeof(Departure))
        for at in range(self.leg_top):
            if self.legs[at].order.id == order_id:
                out[0] = self.legs[at].left
        return True

    cdef size_t take(self, Report *out, size_t limit) noexcept nogil:
        cdef size_t count = 0
        while count < limit and self.report_tail != self.report_head:
            out[count] = self.reports[self.report_tail & (REPORTS_MAX - 1)]
            self.report_tail += 1
            count += 1
        self.pending_reports = self.report_head - self.report_tail
        return count

    cdef size_t take_out(self, Intent *out, size_t limit) noexcept nogil:
        cdef size_t count = min(limit, <size_t>self.out_count)
        cdef size_t at
        memcpy(out, &self.out[0], count * sizeof(Intent))
        for at in range(count, self.out_count):
            self.out[at - count] = self.out[at]
        self.out_count -= <uint32_t>count
        return count

    # ---- legs ---------------------------------------------------------------------------------

    cdef int32_t _find_leg(self, uint64_t order_id) noexcept nogil:
        cdef uint32_t at
        for at in range(self.leg_top):
            if self.legs[at].live and self.legs[at].order.id == order_id:
                return <int32_t>at
        return NOBODY

    cdef void _report(self, Leg *leg, int kind, paise_t price, int64_t qty,
                      int reason) noexcept nogil:
        cdef Report *report = &self.reports[self.report_head & (REPORTS_MAX - 1)]
        DF_ASSERT(self.report_head - self.report_tail < REPORTS_MAX)
        memset(report, 0, sizeof(Report))
        report.order_id, report.time_ns = leg.order.id, max(self.now_ns, leg.order.created_ns)
        report.price, report.qty, report.left = price, qty, leg_left(leg)
        report.instrument, report.strategy = leg.order.instrument, leg.order.strategy
        report.side, report.kind, report.reason = leg.order.side, kind, reason
        report.flags, report.why = leg.order.flags, leg.order.reason
        self.report_head += 1
        self.pending_reports = self.report_head - self.report_tail

    cdef void _end_leg(self, int32_t at, int kind, int reason) noexcept nogil:
        cdef Leg *leg = &self.legs[at]
        leg.order.qty = leg.gone               # nothing of it is left
        self._report(leg, kind, 0, 0, reason)
        self._let_go(at)

    cdef void _let_go(self, int32_t at) noexcept nogil:
        """A leg has ended: no line serves it any more, for its place may be another's next."""
        cdef uint32_t i
        self.legs[at].live = 0
        self.live -= 1
        for i in range(self.line_top):
            if self.lines[i].leg == at:
                self.lines[i].leg = NOBODY

    cdef void _answer_leg(self, int32_t at) noexcept nogil:
        """The broker has what the leg asked for: each of its requests is answered."""
        cdef Leg *leg = &self.legs[at]
        while leg.unanswered:
            leg.unanswered -= 1
            self._report(leg, ReportKind.ACCEPTED, 0, 0, RejectReason.NONE)

    cdef void _shrink(self, uint64_t group, int32_t filled, int64_t qty) noexcept nogil:
        """A fill in a group: the others take that much less, and end when nothing is left."""
        cdef uint32_t at
        cdef Leg *leg
        if group == 0:
            return
        for at in range(self.leg_top):
            leg = &self.legs[at]
            if not leg.live or <int32_t>at == filled or leg.order.group != group:
                continue
            if leg_left(leg) <= qty:
                self._end_leg(<int32_t>at, ReportKind.CANCELLED, RejectReason.NONE)
                continue
            leg.gone += qty
            leg.unanswered = max(leg.unanswered, <uint32_t>1)
            self._answer_leg(<int32_t>at)      # whoever sizes it anew must know what has gone

    cdef int32_t _choose(self, Line *line) noexcept nogil:
        """Which leg of its group a line serves now: the exit, else the stop when the market is at
        it, else the target when the market is there, else the stop."""
        cdef int32_t at, exit_at = NOBODY, stop_at = NOBODY, target_at = NOBODY
        cdef int32_t last_at = NOBODY
        cdef Leg *leg
        if line.group == 0:
            return line.leg
        for at in range(<int32_t>self.leg_top):
            leg = &self.legs[at]
            if not leg.live or leg.order.group != line.group:
                continue
            if leg.cancelling:
                last_at = at                   # the others of its group have been dropped
            elif leg.order.flags & OrderFlag.STOP:
                stop_at = at
            elif leg.order.flags & OrderFlag.TARGET:
                target_at = at
            elif exit_at == NOBODY or leg.order.kind == OrderKind.MARKET:
                exit_at = at                   # of two exits the one that does not wait
        if exit_at != NOBODY:
            return exit_at
        if stop_at == NOBODY:
            return target_at if target_at != NOBODY else last_at
        if target_at != NOBODY and line.touched and not self.legs[stop_at].chased:
            return target_at
        return stop_at

    # ---- what a line should say ---------------------------------------------------------------

    cdef bint _terms(self, const Line *line, Leg *leg, Terms *want) noexcept nogil:
        """What the order should say to serve this leg; False when that takes a price that is not
        known."""
        memset(want, 0, sizeof(Terms))
        want.qty = line.filled + leg_left(leg)
        if leg.contract != self.contract:
            return False                       # the market is another contract's
        if line.state == LineState.DRAFT and market_reached(&self.market, &leg.order) \
                and (leg.order.kind == OrderKind.SLM or leg.order.kind == OrderKind.SL):
            leg.chased = 1                     # the market is there already
        return terms_of(want, &leg.order, leg.chased, &self.market, self.day, &self.limits)

    cdef void _watch(self) noexcept nogil:
        """What the market's new price means for lines at rest."""
        cdef uint32_t at
        cdef Line *line
        cdef Leg *leg
        cdef int32_t i
        cdef paise_t market, gap
        for at in range(self.line_top):
            line = &self.lines[at]
            if line_ended(line) or line.group == 0 or line.instrument != self.contract:
                continue
            market = market_at(&self.market, line.side)
            if market <= 0:
                continue
            for i in range(<int32_t>self.leg_top):
                leg = &self.legs[i]
                if not leg.live or leg.order.group != line.group:
                    continue
                if leg.order.flags & OrderFlag.TARGET:
                    gap = (market - leg.order.price) * line.side
                    if gap <= 0:
                        line.touched = 1
                    elif gap > max(4 * self.day.tick, leg.order.price // 1_000):
                        line.touched = 0       # gone again: rest as the stop
                elif leg.order.flags & OrderFlag.STOP and not leg.chased \
                        and market_reached(&self.market, &leg.order) and (
                            line.have.kind != OrderKind.SL
                            or (market - line.have.price) * line.side > 0):
                    leg.chased = 1             # its limit cannot be had any more

    # ---- requests -----------------------------------------------------------------------------

    cdef ns_t _held_until(self, const Line *line, int kind) noexcept nogil:
        """0 when a request may leave now, and then it does, else when; INT64_MAX: not today (never
        a way out)."""
        if line.is_exit and line.state == LineState.DRAFT \
                and self.exit_hold_ns > self.account.wall_ns:
            return self.exit_hold_ns
        return account_reserve(self.account, line.is_exit or kind == IntentKind.CANCEL)

    cdef void spend(self, int64_t count) noexcept nogil:
        account_spend(self.account, count)

    cdef void count_odd(self, int kind) noexcept nogil:
        self.odd[kind] += 1
        self.odd_count += 1

    cdef void _ask(self, Line *line, int kind, const Leg *leg) noexcept nogil:
        cdef Intent *intent = &self.out[self.out_count]
        DF_ASSERT(self.out_count < OUT_MAX and line.asked == 0)
        memset(intent, 0, sizeof(Intent))
        intent.id, intent.order, intent.at_ns = self.account.next_intent, line.number, self.now_ns
        intent.price, intent.trigger = line.sent.price, line.sent.trigger
        intent.qty = line.sent.qty
        memcpy(&intent.broker_id[0], &line.broker_id[0], sizeof(line.broker_id))
        intent.instrument, intent.group = line.instrument, <uint32_t>line.group
        intent.kind, intent.side, intent.order_kind = kind, line.side, line.sent.kind
        intent.tries = <uint8_t>min(line.tries, <uint32_t>255)
        if leg != NULL:
            intent.validity, intent.flags = leg.order.validity, leg.order.flags
            intent.reason = leg.order.reason
        self.out_count += 1
        self.account.next_intent += 1
        self.requests += 1
        line.asked, line.asked_kind = intent.id, kind
        if kind != IntentKind.QUERY:
            line.check_ns, line.quiet = 0, 0
            budget_take(&self.account.budget, self.account.wall_ns)

    cdef int32_t _new_line(self, const Leg *leg) noexcept nogil:
        """A place for a line: never used, or the oldest one that is done."""
        cdef uint32_t at, best = LINES_MAX
        cdef Line *line
        for at in range(LINES_MAX):
            if self.lines[at].state == LineState.FREE:
                best = at
                break
            if self.lines[at].state == LineState.DONE and self.lines[at].asked == 0 and (
                    best == LINES_MAX or self.lines[at].number < self.lines[best].number):
                best = at
        if best == LINES_MAX:
            return NOBODY
        self.line_top = max(self.line_top, best + 1)
        line = &self.lines[best]
        line[0] = _NO_LINE
        line.number, line.group = self.account.next_number, leg.order.group
        line.instrument, line.side = leg.contract, leg.order.side
        line.is_exit = (leg.order.flags & OrderFlag.EXIT) != 0
        line.leg, line.state = NOBODY, LineState.DRAFT
        self.account.next_number += 1
        return <int32_t>best

    cdef bint _has_company(self, const Leg *leg) noexcept nogil:
        """Its group has a leg that stays: their line serves that one, and fills count for it."""
        cdef uint32_t i
        for i in range(self.leg_top):
            if self.legs[i].live and self.legs[i].order.group == leg.order.group != 0 \
                    and not self.legs[i].cancelling:
                return True
        return False

    cdef void _cover_legs(self) noexcept nogil:
        """Every live leg has a line that is not done, its own or its group's."""
        cdef uint32_t at, i
        cdef Leg *leg
        cdef int32_t place
        cdef bint covered
        for at in range(self.leg_top):
            leg = &self.legs[at]
            if leg.live and leg.cancelling and self._has_company(leg):
                self._end_leg(<int32_t>at, ReportKind.CANCELLED, RejectReason.NONE)
            if not leg.live:
                continue
            covered = False
            for i in range(self.line_top):
                if line_ended(&self.lines[i]) or self.lines[i].orphan:
                    continue
                if self.lines[i].leg == <int32_t>at or (
                        leg.order.group and self.lines[i].group == leg.order.group):
                    covered = True
                    break
            if covered:
                continue
            place = self._new_line(leg)
            if place == NOBODY:
                self._end_leg(<int32_t>at, ReportKind.REJECTED, RejectReason.LOST)
            else:
                self.lines[place].leg = <int32_t>at

    cdef void _pump(self) noexcept nogil:
        """Bring every line nearer to what its leg wants, exits first; say when there is more to
        do."""
        cdef uint32_t at
        cdef int entries
        cdef Line *line
        cdef ns_t due_ns = INT64_MAX
        if self.still:
            return
        self._cover_legs()
        for entries in range(2):
            for at in range(self.line_top):
                line = &self.lines[at]
                if line_ended(line) or line.is_exit == entries:
                    continue
                line.held_ns = 0
                if line.asked == 0:
                    if line.next_ns <= self.account.wall_ns:
                        line.next_ns = 0
                        self._pump_line(line)
                    if not line_ended(line) and line.asked == 0:
                        if line.next_ns:
                            due_ns = min(due_ns, line.next_ns)
                        if line.held_ns:
                            due_ns = min(due_ns, line.held_ns)
                if line.state == LineState.WORKING and line.asked == 0 and self._is_overdue(line):
                    due_ns = min(due_ns, line.check_ns)
        self.due_ns = due_ns if due_ns == INT64_MAX else due_ns - self.account.shift_ns

    cdef bint _is_overdue(self, Line *line) noexcept nogil:
        """Whether the market is where it should fill. When nothing is heard of it all the same, it
        is read, 2 s later, then 4 s, then every 8 s: its update may have been lost."""
        cdef const Terms *have = &line.have
        cdef paise_t market = market_at(&self.market, line.side)
        if market <= 0 or line.instrument != self.contract \
                or (have.kind == OrderKind.LIMIT and (market - have.price) * line.side > 0) \
                or (have.kind == OrderKind.SL
                    and (self.market.last - have.trigger) * line.side < 0):
            line.check_ns = 0
        elif line.check_ns == 0:
            line.check_ns = self.account.wall_ns + (<ns_t>2000 * MILLISECOND << line.quiet)
        elif line.check_ns <= self.account.wall_ns:
            line.check_ns, line.quiet = 0, 1
            self._ask(line, IntentKind.QUERY, NULL)
        return line.check_ns != 0

    cdef void _pump_line(self, Line *line) noexcept nogil:
        cdef Leg *leg
        cdef Terms want
        cdef bint known
        if line.state == LineState.DOUBT or line.unsure:
            line.unsure = 0
            self._ask(line, IntentKind.QUERY, NULL)
            return
        line.leg = NOBODY if line.orphan else self._choose(line)
        if line.leg == NOBODY:
            if line.state == LineState.DRAFT:
                line.state = LineState.DONE
            elif line.state == LineState.WORKING:
                self._take_away(line, NULL)
            return
        leg = &self.legs[line.leg]
        if leg.cancelling:
            if line.state == LineState.DRAFT:
                line.state = LineState.DONE
                self._end_leg(line.leg, ReportKind.CANCELLED, RejectReason.NONE)
            else:
                self._take_away(line, leg)
            return
        known = self._terms(line, leg, &want)
        if known:
            self._work(line, leg, &want)
        elif line.state == LineState.DRAFT:
            self._line_refused(line, RejectReason.NO_MARKET)

    cdef void _take_away(self, Line *line, const Leg *leg) noexcept nogil:
        line.held_ns = self._held_until(line, IntentKind.CANCEL)
        if line.held_ns == 0:
            self._ask(line, IntentKind.CANCEL, leg)

    cdef void _work(self, Line *line, Leg *leg, const Terms *want) noexcept nogil:
        cdef int kind = IntentKind.MODIFY
        if line.state == LineState.WORKING and not line.replacing \
                and not terms_differ(&line.have, want, &self.market, line.side):
            if line.group:
                self._held_legs(line)
            self._answer_leg(line.leg)
            return
        if line.state == LineState.DRAFT:
            kind = IntentKind.PLACE
        elif line.replacing or line.modifies >= <uint32_t>self.limits.modifies_max:
            kind, line.replacing = IntentKind.CANCEL, 1
        line.held_ns = self._held_until(line, kind)
        if line.held_ns:
            if kind == IntentKind.PLACE and not line.is_exit \
                    and line.held_ns - self.account.wall_ns > <ns_t>PATIENCE_MS * MILLISECOND:
                self._line_refused(line, RejectReason.LIMIT_RATE)
            return
        if kind == IntentKind.PLACE:
            line.sent, line.state = want[0], LineState.OPENING
        elif kind == IntentKind.MODIFY:
            line.sent = want[0]
            line.modifies += 1
        if kind != IntentKind.CANCEL:
            self._note_departure(line, leg)
        self._ask(line, kind, leg)

    cdef void _note_departure(self, const Line *line, Leg *leg) noexcept nogil:
        """A leg's terms leave for the first time, in an order of its own or as a change."""
        if leg.left.at_ns == 0:
            leg.left.at_ns, leg.left.price = self.now_ns, line.sent.price
            leg.left.bid, leg.left.ask = self.market.bid, self.market.ask

    cdef void _held_legs(self, const Line *line) noexcept nogil:
        """Legs of a group that wait behind its line have what they asked for: it is held here."""
        cdef uint32_t at
        for at in range(self.leg_top):
            if self.legs[at].live and self.legs[at].order.group == line.group \
                    and <int32_t>at != line.leg:
                self._answer_leg(<int32_t>at)

    cdef void _line_refused(self, Line *line, int reason) noexcept nogil:
        """It is not at the broker and will not be: its leg ends."""
        cdef int32_t at = line.leg
        line.state = LineState.DONE
        if line.orphan:
            return
        if line.is_exit and reason != RejectReason.NO_MARKET:
            self.exit_refusals += 1
            self.exit_hold_ns = self.account.wall_ns + pause_ns(self.exit_refusals)
        if at == NOBODY or not self.legs[at].live:
            at = self._choose(line) if line.group else NOBODY
        if at != NOBODY:
            self._end_leg(at, ReportKind.REJECTED, reason)

    cdef void advance(self) noexcept nogil:
        self._pump()

    cdef void doubt_all(self) noexcept nogil:
        cdef uint32_t at
        for at in range(self.line_top):
            if self.lines[at].state == LineState.WORKING:
                self.lines[at].unsure = 1
        self._pump()
