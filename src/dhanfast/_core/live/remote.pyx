"""Remote: see remote.pxd for what it hears, lines.pxd for what it asks."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from dhanfast._core.broker cimport Departure
from dhanfast._core.live.budget cimport account_catch_up, account_close, account_wait
from dhanfast._core.live.lines cimport (
    MILLISECOND, NOBODY, Leg, Line, LineState, Odd, leg_left, line_ended, pause_ns,
)
from dhanfast._core.live.records cimport Intent, IntentKind, Origin, Outcome, Seen
from dhanfast._core.live.sharedbudget cimport SharedBudget
from dhanfast._core.live.terms cimport Terms
from dhanfast._core.risk cimport Approved
from dhanfast._core.status cimport check
from dhanfast._core.types cimport OrderFlag, RejectReason, Report, ReportKind, Session, Tick, ns_t

import numpy as np

from dhanfast._core.live.lines import Odd as Odds
from dhanfast._core.live.records import ANSWER_DTYPE, INTENT_DTYPE, UPDATE_DTYPE
from dhanfast._core.records import record_of
from dhanfast._core.types import REPORT_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast._core.types import OrderKind as OrderKinds
from dhanfast.errors import ConfigError, UsageError


cdef enum:
    NOT_LISTED = 0xFFFFFFFF  # an update's instrument that is not in the run's table


# Turned away at the door (over a limit, not logged in, or it never left): that speaks neither
# against the request nor of the order.
cdef inline bint _unheard(const Answer *answer) noexcept nogil:
    return (answer.code < 0 or answer.code == 429 or answer.code == 401
            or answer.error == 904 or answer.error == 805 or answer.error == 901
            or (answer.error >= 807 and answer.error <= 809))


# An outcome that no question has, or not this one. It proves nothing.
cdef inline bint _is_meaningless(const Line *line, const Answer *answer) noexcept nogil:
    return (answer.outcome < Outcome.TAKEN or answer.outcome > Outcome.ABSENT
            or (answer.outcome == Outcome.ABSENT and line.asked_kind != IntentKind.QUERY))


# Of another contract than the order was made for. Alone there is one, and nothing to compare.
cdef inline bint _is_swapped(const Line *line, const Update *update) noexcept nogil:
    return line.instrument != 0 and update.instrument != NOT_LISTED \
        and update.instrument != line.instrument


cdef inline bint _same_terms(const Terms *have, const Update *update) noexcept nogil:
    return (have.qty == update.qty and have.kind == update.order_kind
            and have.price == update.price and have.trigger == update.trigger)


cdef class Remote(Lines):
    """Executes approved orders at a broker that is reached by requests.

    Args:
        gate: whose approvals are honoured.
        desk, place: the Desk that it shares numbers, limits and clock with, and its place there:
            `Order.instrument` of the orders it takes. None: it stands alone.
        protection_e4: how far beyond the market a marketable limit lies, 1e-4; 0 = by premium
            slab. stop_room_e4: how far beyond its trigger a stop's limit lies; 0 as well.
        lost_after_ns, absents_min: an order whose placing had no clear answer counts as never
            arrived after so long and so many answers that it is not there.
        per_second, per_minute, per_hour, per_day: requests the broker allows. An entry that would
            have to wait for long is refused; an exit waits for the first three and is asked for
            over the day's count as well, since the broker counts its day by its own clock. With a
            desk these, and `exits_kept_e2`, are the desk's.
        exits_kept_e2: percent of each that entries and their changes leave to exits and cancels.
        modifies_max: changes of one order before it is placed anew.
    Attributes:
        out_count: requests made and not yet taken. due_ns: when `advance` is due.
        place: as given. contract: `Intent.instrument` of new orders.
        odd_count, doubts, lost, requests: how often; `odd_events` says what was odd.
        stray_qty: signed units that filled on orders nobody waited for any more.
    Raises:
        ConfigError: a number out of range.
    """

    # ---- what the broker says -----------------------------------------------------------------

    cdef bint on_answer(self, const Answer *answer) noexcept nogil:
        cdef Line *line = self.asker(answer.intent)
        if line == NULL:
            self.count_odd(Odd.UNASKED)
            return False
        self.take_answer(line, answer)
        return True

    cdef Line *asker(self, uint64_t intent) noexcept nogil:
        cdef uint32_t at
        for at in range(self.line_top):
            if self.lines[at].asked == intent and intent:
                return &self.lines[at]
        return NULL

    cdef void take_answer(self, Line *line, const Answer *answer) noexcept nogil:
        line.asked = 0
        if _is_meaningless(line, answer):
            self.count_odd(Odd.MEANINGLESS)
        self._slow_down(line, answer)
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

    cdef void _slow_down(self, const Line *line, const Answer *answer) noexcept nogil:
        """The broker said that it was too fast: what enters waits, of whatever order it said so."""
        cdef ns_t pause_ms = 5_000 if answer.error == 805 else 1_000   # 805: going on may block us
        if answer.outcome == Outcome.REFUSED and (answer.error == 805 or (
                line.asked_kind != IntentKind.QUERY
                and (answer.code == 429 or answer.error == 904))):
            account_close(self.account, self.account.wall_ns
                          + max(pause_ms, <ns_t>answer.retry_after_s * 1000) * MILLISECOND)

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
        elif answer.outcome != Outcome.REFUSED:
            line.state, line.doubt_ns = LineState.DOUBT, self.account.wall_ns
            line.next_ns = self.account.wall_ns + pause_ns(0)
            line.tries = line.absents = 0
            self.doubts += 1
        elif line.is_exit and _unheard(answer):
            line.state = LineState.DRAFT       # proven not done: it may be asked again
            line.tries += 1
            line.next_ns = self.account.wall_ns + max(
                pause_ns(line.tries), <ns_t>answer.retry_after_s * 1000 * MILLISECOND)
        else:
            self._line_refused(line, RejectReason.LOST if answer.code < 0 else
                               RejectReason.LIMIT_RATE if answer.code == 429 else
                               RejectReason.BROKER)

    cdef void _change_answered(self, Line *line, const Answer *answer) noexcept nogil:
        if answer.outcome == Outcome.TAKEN:
            line.shut = 0
            if line.asked_kind == IntentKind.MODIFY:
                line.tries = 0
                line.have = line.sent
            else:
                line.unsure = 1                # a cancel may race a fill: its end must be seen
                line.next_ns = self.account.wall_ns + pause_ns(line.tries)
                line.tries += 1                # an update tells it sooner; asking costs requests
            return
        if answer.outcome == Outcome.REFUSED and _unheard(answer):
            line.next_ns = self.account.wall_ns + max(
                pause_ns(2 + line.shut), <ns_t>answer.retry_after_s * 1000 * MILLISECOND)
            line.shut = min(line.shut + 1, 3)
            return
        line.shut = 0
        # Refused: it may have filled or ended meanwhile. Not clear: either way it must be read.
        line.unsure = 1
        line.tries += 1
        line.next_ns = self.account.wall_ns + (pause_ns(line.tries) if line.tries > 1 else 0)
        if answer.outcome == Outcome.REFUSED:
            line.next_ns = max(line.next_ns,
                               self.account.wall_ns
                               + <ns_t>answer.retry_after_s * 1000 * MILLISECOND)
            if line.tries > 2 and line.asked_kind == IntentKind.MODIFY:
                line.replacing = 1             # it cannot be changed: take it away and place anew

    cdef void _query_answered(self, Line *line, const Answer *answer) noexcept nogil:
        if answer.outcome == Outcome.TAKEN:
            if line.state == LineState.DOUBT:  # an update came before, but not this order's
                line.next_ns = self.account.wall_ns + pause_ns(line.tries)
                line.tries += 1
            return
        line.unsure = line.state == LineState.WORKING
        line.tries += 1
        if answer.outcome == Outcome.ABSENT and line.state != LineState.OPENING:
            if line.absents == 0 and line.state == LineState.WORKING:
                line.doubt_ns = self.account.wall_ns       # it was there once
            line.absents += 1
            line.tries = line.absents              # the broker answers: soon it is known
            if line.absents >= <uint32_t>self.limits.absents_min \
                    and self.account.wall_ns - line.doubt_ns >= self.limits.lost_after_ns:
                self.lost += 1
                self._line_refused(line, RejectReason.LOST)
                return
        # What protects a position is not left unknown for long: reading has a wide limit.
        line.next_ns = self.account.wall_ns + max(
            pause_ns(min(line.tries, <uint32_t>3) if line.is_exit else line.tries),
            <ns_t>answer.retry_after_s * 1000 * MILLISECOND)

    cdef bint on_update(self, const Update *update) noexcept nogil:
        cdef Line *line = self.shown(update)
        if line == NULL:
            self.count_odd(Odd.FOREIGN)
            return False
        self.take_update(line, update)
        return True

    cdef Line *shown(self, const Update *update) noexcept nogil:
        """Our own number says whose it is; the broker's id does when it has none of ours."""
        cdef uint32_t at
        cdef Line *found = NULL
        for at in range(self.line_top):
            if self.lines[at].state <= LineState.DRAFT:
                continue
            if update.order and self.lines[at].number == update.order:
                return &self.lines[at]
            if found == NULL and update.broker_id[0] and memcmp(
                    &self.lines[at].broker_id[0], &update.broker_id[0], 24) == 0:
                found = &self.lines[at]
        return found

    cdef void take_update(self, Line *line, const Update *update) noexcept nogil:
        if update.side and update.side != line.side:
            self.count_odd(Odd.TURNED)
            self._read_again(line)
            return
        if _is_swapped(line, update):
            self.count_odd(Odd.SWAPPED)
            self._read_again(line)
            return
        if line.broker_id[0] == 0:
            memcpy(&line.broker_id[0], &update.broker_id[0], sizeof(line.broker_id))
        elif update.broker_id[0] and memcmp(&line.broker_id[0], &update.broker_id[0], 24) != 0:
            self.count_odd(Odd.TWIN)
        self._line_there(line)
        line.absents = 0
        if update.filled > line.filled:
            if not self._hear_fill(line, update):
                return
        elif update.filled < line.filled:
            self.count_odd(Odd.STALE)
            return
        self._hear_status(line, update)
        self._pump()

    cdef bint _hear_fill(self, Line *line, const Update *update) noexcept nogil:
        """More has filled. False: it is not said for how much, so it is read again."""
        if update.value <= line.value:
            self.count_odd(Odd.UNPRICED)
            self._read_again(line)
            return False
        if update.filled > max(line.sent.qty, line.have.qty):
            self.count_odd(Odd.OVERFILLED)
        if line.final:
            self.count_odd(Odd.FILLED_AFTER_END)
        self._fill(line, update.filled - line.filled, update.value - line.value)
        return True

    cdef void _read_again(self, Line *line) noexcept nogil:
        """What was said cannot be used: ask the broker, less often each time."""
        if not line_ended(line):
            line.unsure = 1
            line.next_ns = self.account.wall_ns + pause_ns(line.tries)
            line.tries += 1
        self._pump()

    cdef void _hear_status(self, Line *line, const Update *update) noexcept nogil:
        cdef bint ends = Seen.TRADED <= update.seen <= Seen.EXPIRED
        if line.state == LineState.DONE:
            if ends:
                line.final = 1
            elif line.final:
                self.count_odd(Odd.LATE)
            else:
                self.count_odd(Odd.REVIVED)
                self._revive(line)
        elif ends and (update.seen != Seen.TRADED or line.filled >= update.qty > 0):
            self._line_ended(line, update.seen)
        elif ends:
            self.count_odd(Odd.SHORT)          # traded, but not all of it
            self._read_again(line)
        elif update.seen != Seen.TRANSIT and update.seen != Seen.PENDING:
            self.count_odd(Odd.UNCLEAR)
            self._read_again(line)
        elif update.qty > 0:
            self._hear_terms(line, update)

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
        self.account.next_number += NUMBERS_SKIPPED

    cdef int64_t leaving(self, int side) noexcept nogil:
        cdef uint32_t at
        cdef Leg *leg
        cdef int64_t units = 0
        for at in range(self.leg_top):
            leg = &self.legs[at]
            if leg.live and leg.order.flags & OrderFlag.EXIT and leg.order.side == side:
                units = max(units, leg_left(leg))
        return units

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
        Raises:
            UsageError: it has a place at a desk, and the clock is the desk's.
        """
        if self.desk is not None:
            raise UsageError(f"the remote at place {self.place} has the desk's clock: tell that")
        self.at(now_ns, wall_ns, True)

    def trade(self, contract: int):
        """From here on new orders are for this contract; its session and ticks come next.

        Args:
            contract: the feed's number of it, `Intent.instrument` of what is asked for.
        Raises:
            ConfigError: it stands alone, and has one contract.
        """
        if self.desk is None:
            raise ConfigError(f"remote.contract needs a desk, was {contract} without one")
        self.trades(contract)

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

    def spend_requests(self, count: int):
        """Count requests that went another way against the broker's limits, by the time told."""
        self.spend(count)

    def wait_of(self, wall_ns: int, *, urgent: bool = False):
        """How long the broker's limits hold a request, ns; 0 = it may leave now.

        Args:
            wall_ns: now, UTC ns of the machine. urgent: it closes a position or cancels.
        Returns:
            Nanoseconds; INT64_MAX: not today.
        """
        return account_wait(self.account, wall_ns, urgent, False)

    def prepay(self, wall_ns: int, *, urgent: bool = False):
        """As `wait_of`; at 0 it is counted where all engines are: `spend_requests` must follow."""
        return account_wait(self.account, wall_ns, urgent, True)

    def share(self, SharedBudget budget not None):
        """Ask the budget of all engines of the account as well, from now on.

        Raises:
            UsageError: it is at a desk, whose that is.
        """
        if self.desk is not None:
            raise UsageError("all places of a desk have one budget: share it with the desk")
        self.shared, self.account.shared = budget, &budget.link

    @property
    def requests_today(self):
        """Requests that count against the broker's limits since the day began."""
        return self.account.budget.day_count

    def odd_events(self):
        """What no broker should say, and what came late: how often, by the name of its kind."""
        return {kind.name: self.odd[<int>kind] for kind in Odds if self.odd[<int>kind]}

    def begin_life(self):
        """Skip numbers that an earlier life may have used and its journal not kept, and count what
        it sent where all engines of the account are counted, if that does not know of it."""
        self.skip_numbers()
        account_catch_up(self.account)

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

    def departure_of(self, order_id: int):
        """How an order first left: (market time ns, limit, bid, ask) in paise; zeros = it has not.
        """
        cdef Departure left
        self.departure(order_id, &left)
        return left.at_ns, left.price, left.bid, left.ask

    def orders_there(self):
        """Orders that are, or may be, at the broker: one dict each, in paise and units.

        Returns:
            number, instrument (`Intent.instrument`), broker_id, state ("opening", "doubt",
            "working"), side, kind, price, trigger, qty, filled, and waits: True while a request
            has no answer.
        """
        names = {<int>LineState.OPENING: "opening", <int>LineState.DOUBT: "doubt",
                 <int>LineState.WORKING: "working"}
        found = []
        for at in range(self.line_top):
            line = self.lines[at]
            if line.state in names:
                found.append({
                    "number": line.number, "instrument": line.instrument,
                    "broker_id": line.broker_id.decode("ascii", "replace"),
                    "state": names[line.state], "side": "BUY" if line.side > 0 else "SELL",
                    "kind": OrderKinds(line.sent.kind).name, "price": line.sent.price,
                    "trigger": line.sent.trigger, "qty": line.sent.qty, "filled": line.filled,
                    "waits": bool(line.asked),
                })
        return found
