"""Worker: see worker.pxd for what holds, here is the how."""

from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from dhanfast._core.broker cimport Broker, Hold
from dhanfast._core.execution.jobs cimport NOBODY, Job, JobKind, Jobs, JobState, child_left
from dhanfast._core.execution.route cimport MarketView, Router, volatility_of_range
from dhanfast._core.execution.schedule cimport Algo, profile_take, rules_take
from dhanfast._core.indicators.atr cimport atr_init, atr_step
from dhanfast._core.risk cimport Approved, Gate
from dhanfast._core.status cimport Status, check
from dhanfast._core.types cimport (
    ApprovedOrder, Bar, Order, OrderFlag, Reason, Report, ReportKind, Session, Tick, ns_t, paise_t,
)

import numpy as np

from dhanfast._core.execution.schedule import Algo as AlgoNames
from dhanfast._core.records import record_of
from dhanfast._core.types import BAR_DTYPE, REPORT_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast.errors import ConfigError, UsageError


cdef enum:
    SWINGS = 14                      # signal bars whose true range is averaged


cdef inline bint _pressing(int flags, int reason) noexcept nogil:
    """Exits that wait for nothing: all but those that a strategy's signal asks for."""
    return (flags & (OrderFlag.SQUARE_OFF | OrderFlag.STOP | OrderFlag.TARGET) != 0
            or (reason != Reason.EXIT_SIGNAL and reason != Reason.REVERSAL))


cdef class Worker(Algos):
    """Works orders of the kernel by an algorithm: children over time instead of one order.

    Args:
        inner: what executes the children: a `Match`, or a `Remote`.
        gate: whose approvals `inner` honours; it seals the children.
        profile: int[1440], volume by minute of the day in IST; VWAP needs it.
        route: rules of `Router` that price children, by name.
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
        cdef Router router
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
        router = Router(**(route or {}))
        self.route = router.rules
        self.measures = self.route.swing > 0.0
        atr_init(&self.swings, SWINGS, NULL)
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
        self.now_ns = now_ns
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
        self.now_ns = now_ns
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
        self.inner.rules.stop_more = self.rules.stop_more
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
        self.view.volatility = volatility_of_range(self.swings.value, self.swings_ns)
        self.volume, self.volume_known = 0, False
        self.wake_ns = INT64_MAX
        self.count()

    # ---- events ---------------------------------------------------------------------------------

    cdef void tick(self, const Tick *tick) noexcept nogil:
        cdef ns_t now_ns = tick.recv_ns if tick.recv_ns else tick.exch_ns
        if self.wake_ns <= now_ns:
            self.wake(now_ns)
        self.now_ns = max(self.now_ns, now_ns)
        if tick.price > 0:
            self.view.last = tick.price
        if tick.bid > 0 or tick.ask > 0:
            self.view.bid, self.view.bid_qty = tick.bid, tick.bid_qty
            self.view.ask, self.view.ask_qty = tick.ask, tick.ask_qty
        if tick.volume > 0:
            self.volume_known = True
            self.volume = max(self.volume, <int64_t>tick.volume)
            if self.algos:
                self.know_volume()
        self.inner.tick(tick)
        self.hear()
        if self.algos:
            self.watch_stop()

    cdef void know_volume(self) noexcept nogil:
        """A parent that began before the first volume counts from there."""
        cdef int32_t at
        for at in range(self.job_top):
            if self.jobs[at].kind == JobKind.ALGO and self.jobs[at].volume < 0:
                self.jobs[at].volume = self.volume

    cdef bint calm(self, paise_t *floor, paise_t *ceiling) noexcept nogil:
        return not self.algos and (not self.inner.live or self.inner.calm(floor, ceiling))

    cdef void bar_open(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        self.wake(bar.start_ns)
        self.in_bar, self.bar_end_ns, self.volume_known = True, end_ns, True
        self.know_volume()
        self.inner.bar_open(bar, end_ns)
        self.view.last = bar.open
        self.hear()
        self.in_bar = False

    cdef void bar_range(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        self.in_bar, self.bar_end_ns = True, end_ns
        self.inner.bar_range(bar, end_ns)
        self.view.last = bar.close
        self.volume += bar.volume
        self.hear()
        if self.algos:
            self.watch_stop()
        self.in_bar = False

    cdef void measure(self, const Bar *bar, ns_t interval_ns, bint first) noexcept nogil:
        if first and self.swings.warmup_left <= self.swings.period:
            self.swings.prev_close = 0.01 * bar.open     # what a night moves, no second does
        atr_step(&self.swings, 0.01 * bar.high, 0.01 * bar.low, 0.01 * bar.close)
        self.swings_ns = interval_ns
        self.view.volatility = volatility_of_range(self.swings.value, interval_ns)

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

    cdef void watch_stop(self) noexcept nogil:
        """The market is at the stop of a position that is being worked out of: out at once."""
        cdef int32_t at, stop
        cdef const Order *order
        if self.view.last <= 0:
            return
        for at in range(self.job_top):
            if self.jobs[at].kind != JobKind.ALGO or self.jobs[at].state == JobState.URGENT \
                    or not self.jobs[at].whole.order.flags & OrderFlag.EXIT:
                continue
            for stop in range(self.job_top):
                order = &self.jobs[stop].whole.order
                if self.jobs[stop].kind != JobKind.FREE and order.flags & OrderFlag.STOP \
                        and (self.view.last - order.trigger) * order.side >= 0:
                    self.press(at)
                    self.hear()
                    return

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

    def resize_order(self, order_id: int, *, price: int, trigger: int, qty: int, now_ns: int):
        """Ask for a new price, trigger and whole quantity of a stop or target.

        Raises:
            OrderRefused: no live order has this id, or it is worked.
        """
        check(self.resize(order_id, price, trigger, qty, now_ns))

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

    def on_signal_bar(self, bar: object, interval_ns: int, first: bool = False):
        """A bar (mapping or BAR_DTYPE record) by which volatility is measured, as the kernel says.

        Args:
            interval_ns: its length. first: of its session: the gap before it is no volatility.
        """
        cdef uint8_t[::1] raw = record_of(bar, BAR_DTYPE, "bar").view(np.uint8)
        self.measure(<const Bar *>&raw[0], interval_ns, first)

    @property
    def volatility(self):
        """One standard deviation of a second's move, rupees; 0 = not known yet."""
        return self.view.volatility

    def take_reports(self):
        """Reports since the last call, oldest first.

        Shape:
            REPORT_DTYPE[n].
        """
        self.hear()
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
                "id": job.whole.order.id, "algo": AlgoNames(self.work.algo).name.lower(),
                "state": states[job.state], "side": job.whole.order.side,
                "qty": job.whole.order.qty, "filled": job.filled, "left": job.left,
                "out": self.out(at), "due": job.due, "until_ns": job.plan.end_ns,
                "next_ns": job.next_ns, "children": children,
            })
        return found

    def parts_held(self):
        """Units held in each part of the position, none when it is flat."""
        return [self.parts[at].held for at in range(self.part_count)]
