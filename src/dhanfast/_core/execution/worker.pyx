"""Worker: see worker.pxd for what holds, here is the how."""

from libc.stdint cimport INT64_MAX, uint8_t
from libc.string cimport memset

from dhanfast._core.broker cimport Broker, Hold
from dhanfast._core.execution.jobs cimport NOBODY, JobKind, JobState, child_left
from dhanfast._core.execution.route cimport Route, route_entry, route_exit
from dhanfast._core.execution.schedule cimport (
    Algo, Remainder, cap_lots, display_lots, plan_begin, plan_lots, plan_time, pov_lots,
    profile_take, rules_take,
)
from dhanfast._core.risk cimport Approved, Gate
from dhanfast._core.status cimport check
from dhanfast._core.types cimport (
    Bar, OrderFlag, OrderKind, Reason, RejectReason, Report, ReportKind, Session, Validity,
)

import numpy as np

from dhanfast._core.execution.route import route_rules
from dhanfast._core.execution.schedule import Algo as Algos
from dhanfast._core.records import record_of
from dhanfast._core.types import BAR_DTYPE, REPORT_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast.errors import ConfigError, UsageError


cdef inline bint _pressing(int flags, int reason) noexcept nogil:
    """Exits that wait for nothing: all but those that a strategy's signal asks for."""
    return (flags & (OrderFlag.SQUARE_OFF | OrderFlag.STOP | OrderFlag.TARGET) != 0
            or (reason != Reason.EXIT_SIGNAL and reason != Reason.REVERSAL))


cdef class Worker(Jobs):
    """Works orders of the kernel by an algorithm: children over time instead of one order.

    Args:
        inner: what executes the children: a `Match`, or a `Remote`.
        gate: whose approvals `inner` honours; it seals the children.
        profile: int[1440], volume by minute of the day in IST; VWAP needs it.
        route: rules of `dhanfast._core.execution.route` that price children, by name.
        rules: algo (schedule.Algo), remainder (schedule.Remainder), horizon_ns, interval_ns,
            reprice_ns, random_e4, child_lots, least_lots, cap_e4, rate_e4, floor_e4,
            display_lots, limit_e4, seed, entries, exits, urgency: see `schedule.AlgoRules`.
    Attributes:
        parents: orders worked so far. children_sent, children_refused: for them, and for parts of
        positions above the freeze quantity. reprices: changes of a resting child's price.
        hurried: exits whose algorithm was ended because they pressed. paused: see `hold`.
        inner: as given. wake_ns: the market's time at which something is due.
    Raises:
        ConfigError: a rule out of range; VWAP without a profile; an iceberg that shows no less
            than it may send.
    """

    def __cinit__(self, Broker inner not None, Gate gate not None, *, profile: object = None,
                  route: dict | None = None, **rules: object):
        if isinstance(inner, Jobs):
            raise ConfigError("execution: a worker's broker cannot be a worker")
        if inner.instruments != 1:
            raise ConfigError(f"execution: algorithms work one instrument, the broker has "
                              f"{inner.instruments}; several are a matter of `legs`")
        rules_take(&self.work, rules)
        profile_take(&self.profile, profile)
        if self.work.algo == Algo.VWAP and not self.profile.known:
            raise ConfigError("execution.algo vwap needs a volume profile (execution.profile): "
                              "learn one from recorded volume with scripts/volume-profile")
        self.route = route_rules(**(route or {}))
        self.inner, self.gate, self.instruments = inner, gate, 1
        self.rules = inner.rules
        self.in_parts = True
        self.quiet = &self.band
        self.count()

    # ---- what the kernel asks for ---------------------------------------------------------------

    cdef bint works(self, int flags, int reason) noexcept nogil:
        if flags & OrderFlag.EXIT:
            return self.work.exits and not _pressing(flags, reason)
        return self.work.entries

    cdef Status submit(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil:
        cdef Status taken
        self.now_ns = max(self.now_ns, now_ns)
        if order.order.flags & OrderFlag.WORKED:
            taken = self.begin(order, now_ns)
        elif order.order.flags & OrderFlag.EXIT and self.part_count > 1:
            taken = self.pieces(order, now_ns, False)
        else:
            taken = self.whole(order, now_ns, False)
        self.hear()
        return taken

    cdef Status cancel(self, uint64_t order_id, ns_t now_ns) noexcept nogil:
        cdef int32_t i, at = self.find_job(order_id)
        cdef Status taken = Status.UNKNOWN_ORDER
        if at == NOBODY:
            return taken
        self.now_ns = max(self.now_ns, now_ns)
        if self.jobs[at].kind == JobKind.WHOLE:
            taken = self.inner.cancel(order_id, now_ns)
        elif self.jobs[at].kind == JobKind.ALGO:
            self.jobs[at].state, taken = JobState.ENDING, Status.OK
            self.step(at)
        else:
            for i in range(self.child_top):
                if self.children[i].live and self.children[i].job == at:
                    taken = self.inner.cancel(self.children[i].id, now_ns)
        self.hear()
        return taken

    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil:
        cdef int32_t at
        cdef int64_t lot = max(session.lot, <int64_t>1)
        cdef int64_t held
        cdef uint64_t group
        self.inner.rules.slippage = self.rules.slippage
        self.closing = True
        self.inner.session(instrument, session)
        self.hear()
        for at in range(self.job_top):
            if self.jobs[at].kind == JobKind.ALGO:
                self.finish(at, ReportKind.EXPIRED, 0)
        self.closing = False
        self.day_copy = session[0]
        self.day = &self.day_copy
        self.freeze = max(session.freeze - session.freeze % lot, lot) if session.freeze \
            else INT64_MAX
        if self.part_count:                      # carried over night: parts of the new freeze
            held, group = self.held(), self.parts[0].group
            self.part_count = 0
            self.hold_more(group, held)
        memset(&self.view, 0, sizeof(MarketView))
        self.view.tick = max(session.tick, <paise_t>1)
        self.view.band_low, self.view.band_high = session.band_low, session.band_high
        self.last, self.volume, self.volume_known = 0, 0, False
        self.wake_ns = INT64_MAX
        self.count()

    # ---- events ---------------------------------------------------------------------------------

    cdef void tick(self, const Tick *tick) noexcept nogil:
        cdef ns_t now_ns = tick.recv_ns if tick.recv_ns else tick.exch_ns
        cdef int32_t at
        if self.wake_ns <= now_ns:
            self.wake(now_ns)
        self.now_ns = max(self.now_ns, now_ns)
        if tick.price > 0:
            self.last = self.view.last = tick.price
        if tick.bid > 0 or tick.ask > 0:
            self.view.bid, self.view.bid_qty = tick.bid, tick.bid_qty
            self.view.ask, self.view.ask_qty = tick.ask, tick.ask_qty
        if tick.volume > 0:
            self.volume_known = True
            self.volume = max(self.volume, <int64_t>tick.volume)
            if self.algos:
                for at in range(self.job_top):
                    if self.jobs[at].kind == JobKind.ALGO and self.jobs[at].volume < 0:
                        self.jobs[at].volume = self.volume
        self.inner.tick(tick)
        self.hear()
        if self.algos:
            self.watch_stop()

    cdef bint calm(self, paise_t *floor, paise_t *ceiling) noexcept nogil:
        return not self.algos and (not self.inner.live or self.inner.calm(floor, ceiling))

    cdef void bar_open(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        self.wake(bar.start_ns)
        self.in_bar, self.bar_end_ns, self.volume_known = True, end_ns, True
        self.inner.bar_open(bar, end_ns)
        self.last = self.view.last = bar.open
        self.hear()
        self.in_bar = False

    cdef void bar_range(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        self.in_bar, self.bar_end_ns = True, end_ns
        self.inner.bar_range(bar, end_ns)
        self.last = self.view.last = bar.close
        self.volume += bar.volume
        self.hear()
        if self.algos:
            self.watch_stop()
        self.in_bar = False

    cdef void wake(self, ns_t now_ns) noexcept nogil:
        cdef ns_t due_ns
        cdef int32_t at
        while self.wake_ns <= now_ns:
            due_ns = self.wake_ns
            self.now_ns = max(self.now_ns, due_ns)
            for at in range(self.job_top):
                if self.jobs[at].kind == JobKind.ALGO and self.jobs[at].next_ns <= due_ns:
                    self.step(at)
            self.hear()

    cdef void hear(self) noexcept nogil:
        cdef int32_t at
        Jobs.hear(self)
        self.wake_ns = INT64_MAX
        if self.algos:
            for at in range(self.job_top):
                if self.jobs[at].kind == JobKind.ALGO:
                    self.wake_ns = min(self.wake_ns, self.jobs[at].next_ns)

    cdef void hold(self, int what, ns_t now_ns) noexcept nogil:
        cdef int32_t at
        cdef Job *job
        self.now_ns = max(self.now_ns, now_ns)
        if what != Hold.CANCEL:
            self.paused = what == Hold.PAUSE
        for at in range(self.job_top):
            job = &self.jobs[at]
            if job.kind != JobKind.ALGO:
                continue
            if what == Hold.CANCEL and job.whole.order.flags & OrderFlag.EXIT:
                self.press(at)
            elif what == Hold.CANCEL:
                job.state = JobState.ENDING
            if job.kind == JobKind.ALGO:
                self.step(at)
        self.hear()

    cdef void hurry(self, uint64_t order_id, int flags, int reason, ns_t now_ns) noexcept nogil:
        cdef int32_t at
        if not _pressing(flags, reason):
            return
        at = self.find_job(order_id)
        if at == NOBODY or self.jobs[at].kind != JobKind.ALGO \
                or self.jobs[at].state == JobState.URGENT:
            return
        self.now_ns = max(self.now_ns, now_ns)
        self.press(at)
        self.hear()

    # ---- one parent -----------------------------------------------------------------------------

    cdef Status begin(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil:
        cdef int32_t at
        cdef Job *job
        cdef ns_t end_ns
        cdef paise_t arrival = self.view.last
        cdef int64_t lot
        if not self.sealed(order):
            return Status.NOT_APPROVED
        at = self.new_job(order, JobKind.ALGO)
        if at == NOBODY:
            return Status.POOL_FULL
        job = &self.jobs[at]
        lot = max(self.day.lot, <int64_t>1)
        self.last_id = order.order.id
        self.parents += 1
        job.state = JobState.WORKING
        job.volume = self.volume if self.volume_known else -1
        if self.view.bid > 0 and self.view.ask > 0:
            arrival = (self.view.bid + self.view.ask) // 2
        if self.work.limit_e4 and arrival > 0:
            job.worst = arrival + order.order.side * (arrival * self.work.limit_e4 // 10_000)
            job.worst -= job.worst % self.view.tick
        end_ns = now_ns + self.work.horizon_ns
        if self.day.open2_ns and now_ns >= self.day.open2_ns:
            end_ns = min(end_ns, self.day.close2_ns)
        else:
            end_ns = min(end_ns, self.day.close_ns)
        if self.day.square_off_ns:
            end_ns = min(end_ns, self.day.square_off_ns)
        if not order.order.flags & OrderFlag.EXIT and self.day.entry_until_ns:
            end_ns = min(end_ns, self.day.entry_until_ns)
        self.say(job, ReportKind.ACCEPTED, NULL, 0)
        if not plan_begin(&job.plan, &self.work, &self.profile,
                          (order.order.qty + lot - 1) // lot, order.order.id, now_ns, end_ns):
            self.finish(at, ReportKind.REJECTED, RejectReason.NO_PROFILE)
        elif self.held() + order.order.qty > self.freeze * 8 > 0 \
                and not order.order.flags & OrderFlag.EXIT:
            self.finish(at, ReportKind.REJECTED, RejectReason.QTY_FREEZE)   # PARTS_MAX
        else:
            self.step(at)
        return Status.OK

    cdef void changed(self, int32_t at) noexcept nogil:
        if self.in_bar:
            self.jobs[at].next_ns = self.bar_end_ns
        else:
            self.step(at)

    cdef void step(self, int32_t at) noexcept nogil:
        """Do what the state of a parent asks for now, and find when it asks next."""
        cdef Job *job = &self.jobs[at]
        cdef bint waits = False
        if job.retry_ns <= self.now_ns:
            job.retry_ns = INT64_MAX
        if job.state == JobState.WORKING and self.now_ns >= job.plan.end_ns:
            self.deadline(at)
        if job.state == JobState.WORKING:
            if self.paused and not job.whole.order.flags & OrderFlag.EXIT:
                self.take_back(at)
            elif not self.paused:
                self.slices(at)
        if job.state == JobState.SWEEPING:
            self.sweep(at)
        elif job.state == JobState.URGENT and self.live_children(at) == 0:
            waits = job.retry_ns != INT64_MAX
            if not waits and job.refusal == 0 and job.left > 0 and self.held() > 0:
                self.press(at)                   # an entry that filled on, or a child that ended
        if job.state == JobState.ENDING:
            self.take_back(at)
        elif not self.paused and (job.state == JobState.WORKING
                                  or job.state == JobState.RESTING):
            self.reprice(at)
        if job.state >= JobState.RESTING and not waits and self.live_children(at) == 0:
            self.finish(at, ReportKind.REJECTED if job.refusal and job.filled == 0
                        else ReportKind.CANCELLED, job.refusal)
            return
        self.plan_next(at)

    cdef void slices(self, int32_t at) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        cdef int64_t out = self.out(at)
        cdef int64_t want = self.due_units(job, out)
        if want > 0 and job.retry_ns == INT64_MAX:
            self.send_due(at, want, out)

    cdef int64_t due_units(self, Job *job, int64_t out) noexcept nogil:
        """What should be at the exchange now and is not."""
        cdef int64_t lot = max(self.day.lot, <int64_t>1)
        cdef int64_t volume = max(self.volume - job.volume, <int64_t>0) if job.volume >= 0 else 0
        cdef int64_t done = job.whole.order.qty - job.left
        cdef int64_t lots
        cdef uint32_t before = job.plan.at
        if self.work.algo == Algo.SLICE:
            return job.left - out
        if self.work.algo == Algo.ICEBERG:
            return 0 if out else min(
                job.left, display_lots(&job.plan, &self.work, job.ordinal) * lot)
        while job.plan.at < job.plan.slices \
                and plan_time(&job.plan, &self.work, job.plan.at) <= self.now_ns:
            job.plan.at += 1
        if job.plan.at != before:
            if self.work.algo == Algo.POV:
                lots = pov_lots(&job.plan, &self.work, lot, volume, self.now_ns)
            else:
                lots = min(plan_lots(&job.plan, &self.work, &self.profile, job.plan.at),
                           cap_lots(&job.plan, &self.work, lot, volume))
            job.due = min(lots * lot, job.whole.order.qty)
        return min(job.due - done, job.left) - out

    cdef void send_due(self, int32_t at, int64_t want, int64_t out) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        cdef int64_t lot = max(self.day.lot, <int64_t>1)
        cdef int64_t most = self.freeze
        cdef int64_t qty, rest
        cdef int32_t part = 0
        cdef int32_t many = self.live_children(at)
        if self.work.child_lots:
            most = min(most, self.work.child_lots * lot)
        while want > 0 and many < OUT_MAX:
            rest = job.left - out
            qty = min(min(want, rest), most)
            if job.whole.order.flags & OrderFlag.EXIT:
                part = self.free_part(at)
                if part == NOBODY:
                    return
                qty = min(qty, self.parts[part].held)
            if qty < rest and (qty < self.work.least_lots * lot or qty % lot):
                qty -= qty % lot
                if qty < self.work.least_lots * lot:
                    return
            if qty <= 0 or not self.child_sent(at, qty, part):
                return
            want -= qty
            out += qty
            many += 1

    cdef int32_t free_part(self, int32_t at) noexcept nogil:
        """A part of the position that no child of this exit is closing."""
        cdef int32_t part, i
        for part in range(self.part_count):
            if self.parts[part].held == 0:
                continue
            for i in range(self.child_top):
                if self.children[i].live and self.children[i].job == at \
                        and self.children[i].part == part:
                    break
            else:
                return part
        return NOBODY

    cdef bint child_sent(self, int32_t at, int64_t qty, int32_t part) noexcept nogil:
        """Send one child now, priced by the market; False when none left."""
        cdef Job *job = &self.jobs[at]
        cdef Order order
        cdef RejectReason verdict
        cdef int why
        cdef int32_t child
        memset(&order, 0, sizeof(Order))
        order.qty, order.flags = qty, job.whole.order.flags & ~OrderFlag.WORKED
        if order.flags & OrderFlag.EXIT:
            order.group = self.parts[part].group
        why = self.children_price(job, &order, 0)
        verdict = self.send(at, &order, part, False)
        if verdict == RejectReason.NONE:
            child = self.find_child(order.id)
            if child != NOBODY:
                self.children[child].rests = (order.kind == OrderKind.LIMIT
                                              and order.validity == Validity.DAY)
                self.children[child].why = <uint8_t>why
            return True
        if verdict == RejectReason.LIMIT_RATE:
            job.retry_ns = self.now_ns + RETRY_NS
        else:
            job.state, job.refusal = JobState.ENDING, verdict
        return False

    cdef int children_price(self, const Job *job, Order *order, ns_t age_ns) noexcept nogil:
        """Kind, price and validity of a child; returns why. Without a quote, and when pressing, it
        is a MARKET order, which what executes it protects. A limit that takes is flagged CROSSES,
        so that it costs the same slippage as a market order."""
        cdef Route route
        cdef int side = job.whole.order.side
        cdef bint quoted = self.view.bid > 0 or self.view.ask > 0
        order.kind, order.price, order.validity = OrderKind.MARKET, 0, Validity.DAY
        if job.state == JobState.URGENT:
            return 0
        if quoted and job.state != JobState.SWEEPING:
            if job.whole.order.flags & OrderFlag.EXIT:
                route = route_exit(&self.route, &self.view, side, order.qty, self.work.urgency,
                                   age_ns)
            else:
                route = route_entry(&self.route, &self.view, side, order.qty, self.work.urgency,
                                    age_ns)
            if route.price > 0:
                order.kind, order.price = OrderKind.LIMIT, route.price
                order.validity = route.validity
                order.flags |= OrderFlag.CROSSES
        else:
            route.why = 0
        if job.worst > 0 and (order.kind == OrderKind.MARKET
                              or (order.price - job.worst) * side > 0):
            order.kind, order.price = OrderKind.LIMIT, job.worst
            order.flags |= OrderFlag.CROSSES
            if job.state == JobState.SWEEPING:
                order.validity = Validity.IOC    # what is not there at this price is let go
        return route.why

    # ---- its end --------------------------------------------------------------------------------

    cdef void deadline(self, int32_t at) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        cdef int64_t least = self.work.least_lots * max(self.day.lot, <int64_t>1)
        if job.whole.order.flags & OrderFlag.EXIT:
            self.press(at)
        elif self.paused or self.work.remainder == Remainder.CANCEL or job.left < least:
            job.state = JobState.ENDING
        elif self.work.remainder == Remainder.KEEP:
            job.state = JobState.RESTING
        else:
            job.state = JobState.SWEEPING

    cdef void sweep(self, int32_t at) noexcept nogil:
        """Take back what rests, then take what the market offers for all that is left."""
        cdef Job *job = &self.jobs[at]
        if self.live_children(at):
            self.take_back(at)
        elif job.retry_ns == INT64_MAX:
            self.send_due(at, job.left, 0)
            if job.state == JobState.SWEEPING and self.live_children(at) \
                    and self.out(at) == job.left:
                job.state = JobState.RESTING
            elif job.state == JobState.SWEEPING and job.retry_ns == INT64_MAX:
                job.state = JobState.RESTING     # more than fits at once: the rest is let go

    cdef void take_back(self, int32_t at) noexcept nogil:
        """Cancel the children of an entry; without room it is asked again. An exit's child stays:
        its group has one order at a broker, which is there to leave."""
        cdef Job *job = &self.jobs[at]
        cdef int32_t i
        for i in range(self.child_top):
            if not self.children[i].live or self.children[i].job != at \
                    or self.children[i].cancelling:
                continue
            self.children[i].cancelling = \
                self.inner.cancel(self.children[i].id, self.now_ns) == Status.OK
            if not self.children[i].cancelling:
                job.retry_ns = min(job.retry_ns, self.now_ns + RETRY_NS)

    cdef void press(self, int32_t at) noexcept nogil:
        """All that is left of an exit leaves at once, one market order a part of the position.
        What still rests of it shrinks as these fill: they are of one group."""
        cdef Job *job = &self.jobs[at]
        cdef int64_t rest = job.left
        cdef int64_t qty
        cdef int32_t part
        if job.state != JobState.URGENT:
            self.hurried += 1
        job.state, job.refusal = JobState.URGENT, 0
        for part in range(self.part_count):
            qty = min(rest, self.parts[part].held)
            if qty > 0 and self.child_sent(at, qty, part):
                rest -= qty
            if job.state != JobState.URGENT:
                break
        self.plan_next(at)

    cdef void watch_stop(self) noexcept nogil:
        """The market is at the stop of a position that is being worked out of: out at once."""
        cdef int32_t at, stop
        cdef const Order *order
        if self.last <= 0:
            return
        for at in range(self.job_top):
            if self.jobs[at].kind != JobKind.ALGO or self.jobs[at].state == JobState.URGENT \
                    or not self.jobs[at].whole.order.flags & OrderFlag.EXIT:
                continue
            for stop in range(self.job_top):
                order = &self.jobs[stop].whole.order
                if self.jobs[stop].kind != JobKind.FREE and order.flags & OrderFlag.STOP \
                        and (self.last - order.trigger) * order.side >= 0:
                    self.press(at)
                    self.hear()
                    return

    # ---- resting children -----------------------------------------------------------------------

    cdef void reprice(self, int32_t at) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        cdef Child *child
        cdef Order order
        cdef int32_t i
        cdef int why
        if self.work.reprice_ns == 0:
            return
        for i in range(self.child_top):
            child = &self.children[i]
            if not child.live or child.job != at or not child.rests or child.unanswered \
                    or child.cancelling or child.reprices >= REPRICES_MAX \
                    or child.priced_ns + self.work.reprice_ns > self.now_ns:
                continue
            child.priced_ns = self.now_ns
            memset(&order, 0, sizeof(Order))
            order.qty = child_left(child)
            why = self.children_price(job, &order, self.now_ns - child.sent_ns)
            if order.kind != OrderKind.LIMIT or order.price == child.price:
                continue
            if self.inner.modify(child.id, order.price, 0, child.asked, self.now_ns) == Status.OK:
                child.price, child.why = order.price, <uint8_t>why
                child.unanswered += 1
                child.reprices += 1
                self.reprices += 1

    cdef void plan_next(self, int32_t at) noexcept nogil:
        """When `step` has something to do again, if nothing is heard before."""
        cdef Job *job = &self.jobs[at]
        cdef ns_t next_ns = job.retry_ns
        cdef int32_t i
        if job.kind != JobKind.ALGO:
            return
        if job.state == JobState.WORKING:
            next_ns = min(next_ns, job.plan.end_ns)
            if not self.paused and self.work.algo != Algo.SLICE \
                    and self.work.algo != Algo.ICEBERG and job.plan.at < job.plan.slices:
                next_ns = min(next_ns, plan_time(&job.plan, &self.work, job.plan.at))
        if self.work.reprice_ns and not self.paused and (job.state == JobState.WORKING
                                                         or job.state == JobState.RESTING):
            for i in range(self.child_top):
                if self.children[i].live and self.children[i].job == at \
                        and self.children[i].rests and not self.children[i].cancelling \
                        and self.children[i].reprices < REPRICES_MAX:
                    next_ns = min(next_ns, max(
                        self.children[i].priced_ns + self.work.reprice_ns,
                        self.now_ns + RETRY_NS if self.children[i].unanswered else <ns_t>0))
        job.next_ns = next_ns if next_ns > self.now_ns else self.now_ns + 1_000_000

    # ---- the Python door ------------------------------------------------------------------------

    def submit_order(self, approved: Approved, now_ns: int):
        """Send an approved order: worked when it is flagged WORKED, as it is otherwise.

        Raises:
            OrderRefused: not this gate's approval, an id not above those before, or no session yet.
            PoolFull: too many orders at once.
        """
        check(self.submit(&approved.value, now_ns))

    def cancel_order(self, order_id: int, now_ns: int):
        """Ask for a cancel; a parent ends when its children have.

        Raises:
            OrderRefused: no live order has this id.
        """
        check(self.cancel(order_id, now_ns))

    def hurry_order(self, order_id: int, *, flags: int, reason: int, now_ns: int):
        """A worked exit is now wished for another reason; a pressing one ends its algorithm."""
        self.hurry(order_id, flags, reason, now_ns)

    def hold_orders(self, what: int, now_ns: int):
        """Pause, resume or cancel what is worked; see `broker.Hold`."""
        if what not in (Hold.RESUME, Hold.PAUSE, Hold.CANCEL):
            raise UsageError(f"hold: {what!r} is not 0 (resume), 1 (pause) or 2 (cancel)")
        self.hold(what, now_ns)

    def wake_up(self, now_ns: int):
        """Do what is due by a time of the market, UTC ns."""
        self.wake(now_ns)

    def start_session(self, session: object):
        """A new day: parents expire, what is held is divided by the new freeze quantity.

        Args:
            session: a mapping of session fields or a SESSION_DTYPE record.
        """
        cdef uint8_t[::1] raw = record_of(session, SESSION_DTYPE, "session").view(np.uint8)
        self.session(0, <const Session *>&raw[0])

    def on_tick(self, tick: object):
        """The market, as a mapping of tick fields or a TICK_DTYPE record."""
        cdef uint8_t[::1] raw = record_of(tick, TICK_DTYPE, "tick").view(np.uint8)
        self.tick(<const Tick *>&raw[0])

    def on_ticks(self, ticks: object):
        """Many ticks (TICK_DTYPE[n]) in one native loop, for benches."""
        cdef const uint8_t[::1] raw = np.ascontiguousarray(ticks).view(np.uint8)
        cdef size_t at, many = raw.shape[0] // sizeof(Tick)
        with nogil:
            for at in range(many):
                self.tick(<const Tick *>&raw[at * sizeof(Tick)])

    def on_bar(self, bar: object, end_ns: int):
        """A bar (mapping or BAR_DTYPE record): its open, then its range."""
        cdef uint8_t[::1] raw = record_of(bar, BAR_DTYPE, "bar").view(np.uint8)
        self.bar_open(<const Bar *>&raw[0], end_ns)
        self.bar_range(<const Bar *>&raw[0], end_ns)

    def take_reports(self):
        """Reports since the last call, oldest first.

        Shape:
            REPORT_DTYPE[n].
        """
        rows = np.zeros(self.pending_reports, REPORT_DTYPE)
        cdef uint8_t[::1] raw
        if len(rows):
            raw = rows.view(np.uint8)
            self.take(<Report *>&raw[0], <size_t>len(rows))
        return rows

    def parents_now(self):
        """What is being worked: one dict a parent, in units, paise and UTC ns.

        Returns:
            id, algo, state, side, qty, filled, left, out (at the exchange), due (by the schedule),
            until_ns (its deadline), next_ns, children (id, left, price each).
        """
        states = {<int>JobState.WORKING: "working", <int>JobState.SWEEPING: "sweeping",
                  <int>JobState.RESTING: "resting", <int>JobState.ENDING: "ending",
                  <int>JobState.URGENT: "urgent"}
        found = []
        for at in range(self.job_top):
            job = self.jobs[at]
            if job.kind != JobKind.ALGO:
                continue
            children = [(child.id, child_left(&child), child.price)
                        for child in self.children[:self.child_top]
                        if child.live and child.job == at]
            found.append({
                "id": job.whole.order.id, "algo": Algos(self.work.algo).name.lower(),
                "state": states[job.state], "side": job.whole.order.side,
                "qty": job.whole.order.qty, "filled": job.filled, "left": job.left,
                "out": self.out(at), "due": job.due, "until_ns": job.plan.end_ns,
                "next_ns": job.next_ns, "children": children,
            })
        return found

    def parts_held(self):
        """Units held in each part of the position, none when it is flat."""
        return [self.parts[at].held for at in range(self.part_count)]
