"""Remote: see remote.pxd for what it hears, lines.pxd for what it asks."""

from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

from dhanfast._core.live.lines cimport (
    MILLISECOND, NOBODY, Leg, Line, LineState, Terms, leg_left, line_ended, pause_ns,
)
from dhanfast._core.live.records cimport Intent, IntentKind, Origin, Outcome, Seen
from dhanfast._core.risk cimport Approved
from dhanfast._core.status cimport check
from dhanfast._core.types cimport OrderFlag, RejectReason, Report, ReportKind, Session, Tick, ns_t

import numpy as np

from dhanfast._core.live.records import ANSWER_DTYPE, INTENT_DTYPE, UPDATE_DTYPE
from dhanfast._core.records import record_of
from dhanfast._core.types import REPORT_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast._core.types import OrderKind as OrderKinds


# Turned away at the door (over a limit, not logged in, or it never left): that speaks neither
# against the request nor of the order.
cdef inline bint _unheard(const Answer *answer) noexcept nogil:
    return (answer.code < 0 or answer.code == 429 or answer.code == 401
            or answer.error == 904 or answer.error == 805 or answer.error == 901
            or (answer.error >= 807 and answer.error <= 809))


cdef inline bint _same_terms(const Terms *have, const Update *update) noexcept nogil:
    return (have.qty == update.qty and have.kind == update.order_kind
            and have.price == update.price and have.trigger == update.trigger)


cdef enum:
    NUMBERS_SKIPPED = 1_000  # a life makes fewer requests in the time that the disk lags behind


cdef class Remote(Lines):
    """Executes approved orders at a broker that is reached by requests.

    Args:
        gate: whose approvals are honoured.
        protection_e4: how far beyond the market a marketable limit lies, 1e-4.
        stop_room_e4: how far beyond its trigger a stop's limit lies, 1e-4.
        lost_after_ns, absents_min: an order whose placing had no clear answer counts as never
            arrived after so long and so many answers that it is not there.
        per_second, per_minute, per_hour, per_day: requests the broker allows; the last three keep
            entries out and let exits pass.
        modifies_max: changes of one order before it is placed anew.
    Attributes:
        out_count: requests made and not yet taken. due_ns: when `advance` is due.
        foreign_updates, stale_updates, doubts, lost, requests: how often.
        stray_qty: signed units that filled on orders nobody waited for any more.
    Raises:
        ConfigError: a number out of range.
    """

    # ---- what the broker says -----------------------------------------------------------------

    cdef bint on_answer(self, const Answer *answer) noexcept nogil:
        cdef uint32_t at
        cdef Line *line = NULL
        for at in range(self.line_top):
            if self.lines[at].asked == answer.intent and answer.intent:
                line = &self.lines[at]
                break
        if line == NULL:
            return False
        line.asked = 0
        if answer.broker_id[0] and line.broker_id[0] == 0:
            memcpy(&line.broker_id[0], &answer.broker_id[0], sizeof(line.broker_id))
        if not line_ended(line):
            if line.asked_kind == IntentKind.PLACE:
                self._place_answered(line, answer)
            elif line.asked_kind == IntentKind.QUERY:
                self._query_answered(line, answer)
            else:
                self._change_answered(line, answer)
        self._pump()
        return True

    cdef void _line_there(self, Line *line) noexcept nogil:
        """The broker has the order: it was placed, whatever the answer to that was."""
        if line.state == LineState.OPENING or line.state == LineState.DOUBT:
            line.state, line.have = LineState.WORKING, line.sent
            line.tries = line.absents = 0
            if line.is_exit:
                self.exit_refusals = 0

    cdef void _place_answered(self, Line *line, const Answer *answer) noexcept nogil:
        if answer.outcome == Outcome.TAKEN:
            self._line_there(line)
            line.unsure = answer.seen == Seen.REJECTED
        elif line.state == LineState.WORKING:
            pass                               # an update has shown it since
        elif answer.outcome == Outcome.UNKNOWN or answer.outcome == Outcome.ABSENT:
            line.state, line.doubt_ns = LineState.DOUBT, self.wall_ns
            line.next_ns = self.wall_ns + pause_ns(0)
            line.tries = line.absents = 0
            self.doubts += 1
        elif line.is_exit and _unheard(answer):
            line.state = LineState.DRAFT       # proven not done: it may be asked again
            line.tries += 1
            line.next_ns = self.wall_ns + max(
                pause_ns(line.tries), <ns_t>answer.retry_after_s * 1000 * MILLISECOND)
        else:
            self._line_refused(line, RejectReason.LOST if answer.code < 0 else
                               RejectReason.LIMIT_RATE if answer.code == 429 else
                               RejectReason.BROKER)

    cdef void _change_answered(self, Line *line, const Answer *answer) noexcept nogil:
        if answer.outcome == Outcome.TAKEN:
            if line.asked_kind == IntentKind.MODIFY:
                line.tries = 0
                line.have = line.sent
            else:
                line.unsure = 1                # a cancel may race a fill: its end must be seen
                line.next_ns = self.wall_ns + pause_ns(line.tries)
                line.tries += 1                # an update tells it sooner; asking costs requests
            return
        if answer.outcome == Outcome.REFUSED and _unheard(answer):
            line.next_ns = self.wall_ns + max(
                pause_ns(2), <ns_t>answer.retry_after_s * 1000 * MILLISECOND)
            return
        # Refused: it may have filled or ended meanwhile. Not clear: either way it must be read.
        line.unsure = 1
        line.tries += 1
        line.next_ns = self.wall_ns + (pause_ns(line.tries) if line.tries > 1 else 0)
        if answer.outcome == Outcome.REFUSED:
            line.next_ns = max(line.next_ns,
                               self.wall_ns + <ns_t>answer.retry_after_s * 1000 * MILLISECOND)
            if line.tries > 2 and line.asked_kind == IntentKind.MODIFY:
                line.replacing = 1             # it cannot be changed: take it away and place anew

    cdef void _query_answered(self, Line *line, const Answer *answer) noexcept nogil:
        if answer.outcome == Outcome.TAKEN:
            if line.state == LineState.DOUBT:  # an update came before, but not this order's
                line.next_ns = self.wall_ns + pause_ns(line.tries)
                line.tries += 1
            return
        line.unsure = line.state == LineState.WORKING
        line.tries += 1
        line.next_ns = self.wall_ns + max(
            pause_ns(line.tries), <ns_t>answer.retry_after_s * 1000 * MILLISECOND)
        if answer.outcome == Outcome.ABSENT and line.state != LineState.OPENING:
            if line.absents == 0 and line.state == LineState.WORKING:
                line.doubt_ns = self.wall_ns       # it was there once
            line.absents += 1
            if line.absents >= <uint32_t>self.limits.absents_min \
                    and self.wall_ns - line.doubt_ns >= self.limits.lost_after_ns:
                self.lost += 1
                self._line_refused(line, RejectReason.LOST)

    cdef bint on_update(self, const Update *update) noexcept nogil:
        cdef uint32_t at
        cdef Line *line = NULL
        for at in range(self.line_top):
            if self.lines[at].state > LineState.DRAFT and (
                    (update.order and self.lines[at].number == update.order)
                    or (update.broker_id[0] and memcmp(&self.lines[at].broker_id[0],
                                                       &update.broker_id[0], 24) == 0)):
                line = &self.lines[at]
                break
        if line == NULL:
            self.foreign_updates += 1
            return False
        if line.broker_id[0] == 0:
            memcpy(&line.broker_id[0], &update.broker_id[0], sizeof(line.broker_id))
        self._line_there(line)
        line.absents = 0
        if update.filled > line.filled:
            if update.value > line.value:
                self._fill(line, update.filled - line.filled, update.value - line.value)
            else:
                line.unsure = 1                # filled, but at what price is not said
                line.next_ns = self.wall_ns + pause_ns(line.tries)
                self._pump()
                return True
        elif update.filled < line.filled:
            self.stale_updates += 1
            return True
        if line.state == LineState.DONE:
            if not line.final and update.seen <= Seen.PENDING:
                self._revive(line)
            elif update.seen >= Seen.TRADED:
                line.final = 1
        elif update.seen >= Seen.TRADED and (update.seen != Seen.TRADED
                                             or line.filled >= update.qty > 0):
            self._line_ended(line, update.seen)
        elif update.seen == Seen.TRADED:
            line.unsure = 1                    # traded, but not all of it: read it again
            line.next_ns = self.wall_ns + pause_ns(line.tries)
            line.tries += 1
        elif update.qty > 0:
            self._hear_terms(line, update)
        self._pump()
        return True

    cdef void _hear_terms(self, Line *line, const Update *update) noexcept nogil:
        """Terms count when they are the answer to our own question, which nothing of ours can have
        overtaken; when others tell of other ones, the question is asked."""
        if line.asked == 0:
            line.unsure |= not _same_terms(&line.have, update)
        elif line.asked_kind == IntentKind.QUERY and update.origin == Origin.REST:
            line.have.qty, line.have.kind = update.qty, update.order_kind
            line.have.trigger, line.have.price = update.trigger, update.price
            line.have.market = line.sent.market and update.price == line.sent.price
            line.unsure = 0

    cdef void _revive(self, Line *line) noexcept nogil:
        """Given up as refused or lost, and yet it is there. It serves its group again when nothing
        else does; else it is taken away, and what it still fills counts for its group."""
        cdef uint32_t at
        cdef Line *other
        line.state, line.leg, line.have = LineState.WORKING, NOBODY, line.sent
        line.next_ns, line.tries = 0, 0
        line.orphan |= line.group == 0
        for at in range(self.line_top):
            other = &self.lines[at]
            if other != line and other.group == line.group and not line_ended(other) \
                    and other.state != LineState.DRAFT:
                line.orphan = 1
        for at in range(self.line_top):
            other = &self.lines[at]
            if not line.orphan and other != line and other.group == line.group \
                    and other.state == LineState.DRAFT:
                other.state = LineState.DONE
        line.unsure = not line.orphan              # what it says is read before it is relied on

    cdef void _line_ended(self, Line *line, int seen) noexcept nogil:
        """Nothing more will fill on it. Its leg ends with it, unless it is to be placed anew."""
        cdef int32_t at = line.leg
        cdef bint again = line.replacing
        line.state, line.unsure, line.final = LineState.DONE, 0, 1
        if at == NOBODY or line.orphan or not self.legs[at].live \
                or (again and seen == Seen.CANCELLED):
            return
        if seen == Seen.TRADED:
            return                             # its leg was made larger meanwhile: another line
        if seen == Seen.REJECTED:
            self._line_refused(line, RejectReason.BROKER)
        elif seen == Seen.CANCELLED:
            self._end_leg(at, ReportKind.CANCELLED, RejectReason.NONE)
        else:
            self._end_leg(at, ReportKind.EXPIRED, RejectReason.NONE)

    cdef void _fill(self, Line *line, int64_t qty, paise_t value) noexcept nogil:
        """Book what has newly filled. Prices are whole paise: two fills make the value exact."""
        cdef paise_t price = value // qty
        cdef int64_t dearer = value - price * qty
        line.filled += qty
        line.value += value
        line.tries = 0
        if qty > dearer:
            self._fill_leg(line, qty - dearer, price)
        if dearer:
            self._fill_leg(line, dearer, price + 1)

    cdef void _fill_leg(self, Line *line, int64_t qty, paise_t price) noexcept nogil:
        cdef int32_t at
        cdef int64_t part
        cdef Leg *leg
        while qty > 0:
            at = line.leg
            if at == NOBODY or not self.legs[at].live:
                at = self._choose(line) if line.group else NOBODY
            if at == NOBODY or price <= 0:
                self.stray_qty += line.side * qty
                return
            leg = &self.legs[at]
            line.leg = at
            part = min(qty, leg_left(leg))
            leg.gone += part
            self._report(leg, ReportKind.FILLED, price, part, RejectReason.NONE)
            self._shrink(leg.order.group, at, part)
            if leg_left(leg) == 0:
                self._let_go(at)
            qty -= part

    cdef void skip_numbers(self) noexcept nogil:
        self.next_number += NUMBERS_SKIPPED

    cdef int64_t closed_elsewhere(self, int64_t qty, paise_t price) noexcept nogil:
        cdef uint32_t at
        cdef int64_t part
        cdef Leg *leg
        for at in range(self.leg_top):
            leg = &self.legs[at]
            if not leg.live or not leg.order.flags & OrderFlag.EXIT or price <= 0 or qty <= 0:
                continue
            part = min(qty, leg_left(leg))
            leg.gone += part
            self._report(leg, ReportKind.FILLED, price, part, RejectReason.NONE)
            self._shrink(leg.order.group, <int32_t>at, part)
            if leg_left(leg) == 0:
                self._let_go(<int32_t>at)
            self._pump()
            return part
        return 0

    # ---- the Python door ----------------------------------------------------------------------

    def tell(self, now_ns: int, wall_ns: int):
        """The times of the input that comes next.

        Args:
            now_ns: of the market. wall_ns: of the machine. UTC ns; neither runs back.
        """
        self.at(now_ns, wall_ns, True)

    def submit_order(self, approved: Approved, now_ns: int):
        """Send an approved order; reports follow.

        Raises:
            OrderRefused: not this gate's approval, an id not above those before, or no session yet.
            PoolFull: too many live orders, or reports that nobody has taken.
        """
        check(self.submit(&approved.value, now_ns))

    def resize_order(self, order_id: int, *, price: int, trigger: int, qty: int, now_ns: int):
        """Ask for a new price, trigger and whole quantity, fills included.

        Raises:
            OrderRefused: no live order has this id, or `qty` is not above what has gone.
        """
        check(self.resize(order_id, price, trigger, qty, now_ns))

    def cancel_order(self, order_id: int, now_ns: int):
        """Ask for a cancel.

        Raises:
            OrderRefused: no live order has this id.
        """
        check(self.cancel(order_id, now_ns))

    def start_session(self, session: object):
        """A new day: what is left of the old one expires.

        Args:
            session: a mapping of session fields or a SESSION_DTYPE record.
        """
        cdef uint8_t[::1] raw = record_of(session, SESSION_DTYPE, "session").view(np.uint8)
        self.session(0, <const Session *>&raw[0])

    def on_tick(self, tick: object):
        """The market, as a mapping of tick fields or a TICK_DTYPE record."""
        cdef uint8_t[::1] raw = record_of(tick, TICK_DTYPE, "tick").view(np.uint8)
        self.tick(<const Tick *>&raw[0])

    def answer(self, answer: object):
        """An answer (mapping or ANSWER_DTYPE record); False when nobody waits for it."""
        cdef uint8_t[::1] raw = record_of(answer, ANSWER_DTYPE, "answer").view(np.uint8)
        return bool(self.on_answer(<const Answer *>&raw[0]))

    def update(self, update: object):
        """An update (mapping or UPDATE_DTYPE record); False when it is not of an order of ours."""
        cdef uint8_t[::1] raw = record_of(update, UPDATE_DTYPE, "update").view(np.uint8)
        return bool(self.on_update(<const Update *>&raw[0]))

    def go_on(self):
        """Do what is due by the times told."""
        self.advance()

    def begin_life(self):
        """Skip numbers that an earlier life may have used and its journal not kept."""
        self.skip_numbers()

    def read_all_again(self):
        """Ask the broker for the state of every order that works there."""
        self.doubt_all()

    def intents(self):
        """Requests made since the last call, oldest first.

        Shape:
            INTENT_DTYPE[n].
        """
        rows = np.zeros(self.out_count, INTENT_DTYPE)
        cdef uint8_t[::1] raw
        if self.out_count:
            raw = rows.view(np.uint8)
            self.take_out(<Intent *>&raw[0], self.out_count)
        return rows

    def take_reports(self):
        """Reports since the last call, oldest first.

        Shape:
            REPORT_DTYPE[n].
        """
        rows = np.zeros(self.pending_reports, REPORT_DTYPE)
        cdef uint8_t[::1] raw
        if len(rows):
            raw = rows.view(np.uint8)
            self.take(<Report *>&raw[0], len(rows))
        return rows

    def orders_there(self):
        """Orders that are, or may be, at the broker: one dict each, in paise and units.

        Returns:
            number, broker_id, state ("opening", "doubt", "working"), side, kind, price, trigger,
            qty, filled, and waits: True while a request has no answer.
        """
        names = {<int>LineState.OPENING: "opening", <int>LineState.DOUBT: "doubt",
                 <int>LineState.WORKING: "working"}
        found = []
        for at in range(self.line_top):
            line = self.lines[at]
            if line.state in names:
                found.append({
                    "number": line.number, "broker_id": line.broker_id.decode("ascii", "replace"),
                    "state": names[line.state], "side": "BUY" if line.side > 0 else "SELL",
                    "kind": OrderKinds(line.sent.kind).name, "price": line.sent.price,
                    "trigger": line.sent.trigger, "qty": line.sent.qty, "filled": line.filled,
                    "waits": bool(line.asked),
                })
        return found
