"""LegLoop: see legloop.pxd."""

cimport cython
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.broker cimport Hold
from dhanfast._core.kernel cimport Kernel
from dhanfast._core.legorder cimport NOBODY, Stage, Unwind
from dhanfast._core.legrun cimport Hours
from dhanfast._core.legs cimport Leg
from dhanfast._core.live.budget cimport Account
from dhanfast._core.live.courier cimport Courier
from dhanfast._core.live.guardcmd cimport guard_command
from dhanfast._core.live.inputs cimport Command
from dhanfast._core.live.journal cimport Journal
from dhanfast._core.live.records cimport Answer, Intent, Update
from dhanfast._core.live.remote cimport Remote
from dhanfast._core.loops cimport TickLoop, loop_due, loop_ticks, loop_timer
from dhanfast._core.risk cimport RiskState
from dhanfast._core.status cimport Status
from dhanfast._core.strategy cimport NativeStrategy
from dhanfast._core.timing cimport latency_record, mono_ns, utc_raw_ns
from dhanfast._core.tradebook cimport units as count_of
from dhanfast._core.types cimport Reason, Tick
from dhanfast._core.wire.records cimport TickFlag

from dhanfast.errors import UsageError

cdef enum:
    ROOM = 512               # rows that one input may write into the run log
    BARS_KEPT = 4096         # of the strategy that is followed, until they are taken away
    SECOND_NS = 1_000_000_000


@cython.final
cdef class LegLoop(InputLoop):
    """One structure of legs, driven by journaled inputs.

    Args:
        run: of legs that tick. chain: the chain that it reads.
        journal: where inputs and requests are written before they count.
        desk: the broker of its legs when it is a real one; None when it is simulated.
        courier: carries requests; needed with `desk`.
        sync_each: True: a request leaves only when the disk has it.
        vix: India VIX comes by the feed, its number behind that of the chain's last column.
        lead: ticks of the index through the strategy that the legs follow; needed by a plan that
            follows signals. grace_ns: how long its bars wait after their end for late ticks.
    Attributes:
        guards: of the run; None: there are none.
        led: which side the legs were told last by the strategy that they follow: 1, -1, 0 = flat.
        uncovered: a bought leg was closed by another hand, and nothing has been left for it yet.
        watch: tells of a native strategy that does not return; None: nobody does.
    Raises:
        UsageError: a run whose legs meet rows, a desk without a courier, or a plan that follows
            signals without anybody who gives them.
    """

    def __cinit__(self, LegRun run not None, ChainNow chain not None, Journal journal not None, *,
                  Desk desk=None, Courier courier=None, bint sync_each=False,
                  TickLoop lead=None, int64_t grace_ns=300_000_000, bint vix=False):
        if (desk is None) != (courier is None):
            raise UsageError("desk and courier come together: requests need who carries them")
        if not run.ticking:
            raise UsageError("a legs run that is driven by ticks is made with ticking=True")
        if bool(run.plan.signals) != (lead is not None):
            raise UsageError("lead: a plan that follows signals needs one, and no other takes any")
        self.lead, self.grace_ns = lead, grace_ns
        self.run, self.chain, self.journal = run, chain, journal
        self.desk, self.courier, self.sync_each = desk, courier, sync_each
        self.numbers = <uint32_t>chain.columns + 1
        self.guards = None if run.risk is None else run.risk.guards
        self.vix = vix and self.guards is not None
        self.far = desk is not None

    def begin_day(self, *, slots, int64_t entry_ns, int64_t until_ns, int64_t exit_ns, bint trade,
                  int32_t date, int64_t open_ns, int64_t close_ns, int64_t again_ns=0):
        """Begin the day, once, before its first input or the repeating of its journal.

        Args:
            slots, entry_ns, until_ns, exit_ns, trade, date, again_ns: as of `LegRun.run_day`.
            open_ns, close_ns: of the market, UTC ns: decisions are taken between them.
        Raises:
            UsageError: it has begun; or as of `LegRun.run_day`.
        """
        if self.row_ns:
            raise UsageError("the day has begun already")
        self.run.now = self.chain
        self.run.set_day(self.chain.day, slots,
                         Hours(entry_ns, until_ns, exit_ns, trade, date, again_ns))
        self.row_ns = open_ns + SECOND_NS - open_ns % SECOND_NS
        self.close_ns = close_ns
        with nogil:
            self.run.begin_day()

    cdef void take(self, const Tick *ticks, size_t count, ns_t recv_ns) noexcept:
        cdef size_t at
        cdef Tick tick
        cdef uint64_t before = self.run.next_id
        cdef ns_t begun_ns = mono_ns()
        for at in range(count):
            if self.vix and ticks[at].instrument == self.numbers and not self.stopped \
                    and ticks[at].price > 0 and not ticks[at].flags & TickFlag.SEED:
                tick = ticks[at]             # a seed may be of yesterday
                tick.recv_ns = self.market_ns(recv_ns)
                self.use_tick(&tick, recv_ns)
                continue
            if (ticks[at].instrument >= self.numbers or self.stopped or self.row_ns == 0
                    or ticks[at].price < 0 or ticks[at].bid < 0 or ticks[at].ask < 0):
                self.skipped += 1
                continue
            tick = ticks[at]
            self.blind = False
            self.settle_tick(&tick, recv_ns)
            self.use_tick(&tick, recv_ns)
        if self.latency is not None and self.run.next_id != before:
            latency_record(&self.latency.state, utc_raw_ns() - recv_ns)
        self.used_ns += mono_ns() - begun_ns

    # ---- what this run brings -----------------------------------------------------------------

    cdef Status run_tick(self, const Tick *tick) noexcept:
        if tick.instrument == 0:
            self.chain.see_spot(tick.price, tick.recv_ns)
            if self.lead is not None:
                return self.lead_tick(tick)
        elif tick.instrument == self.numbers:
            self.guards.see_vix(tick.recv_ns, tick.price)    # paise of an index are 1/100 points
        else:
            self.chain.see(tick, tick.instrument - 1)
            self.run.take_tick(tick, tick.instrument - 1)
        return Status.OK

    cdef bint knows(self, const Tick *tick) noexcept:
        return tick.instrument < self.numbers + self.vix

    cdef Status run_timer(self, ns_t now_ns) noexcept:
        cdef Status led = Status.OK
        if self.lead is not None:
            led = self.lead_timer(now_ns)
        if self.row_ns and now_ns >= self.row_ns and self.row_ns <= self.close_ns:
            self.chain.end_row(now_ns)
            self.run.row(0)
            self.chain.begin_row()
            self.row_ns = now_ns + SECOND_NS - now_ns % SECOND_NS
        return led if led != Status.OK else self.run.status

    # ---- the strategy that is followed --------------------------------------------------------

    cdef Status lead_tick(self, const Tick *tick) noexcept:
        cdef Status status
        cdef bint watched = self.watch is not None and not self.lead.kernel.strategy.python
        self.lead.done = 0
        if watched:
            self.watch.enter_native()
        status = loop_ticks(self.lead, self.lead.kernel, tick, 1)
        if watched:
            self.watch.leave()
        return self.heed(status, tick.recv_ns)

    cdef Status lead_timer(self, ns_t now_ns) noexcept:
        cdef Status status
        cdef bint watched = self.watch is not None and not self.lead.kernel.strategy.python
        if watched:
            self.watch.enter_native()
        status = loop_timer(self.lead, self.lead.kernel, now_ns, now_ns - self.grace_ns)
        if watched:
            self.watch.leave()
        return self.heed(status, now_ns)

    cdef Status heed(self, Status status, ns_t now_ns) noexcept:
        """Tell the legs what it has become: out first, then in."""
        cdef Kernel kernel = self.lead.kernel
        cdef int side
        if status == Status.OK:
            kernel.broker.hear()
            kernel.settle()
            status = kernel.status
            if kernel.strategy.failed and status == Status.OK:
                status = Status.PYTHON_ERROR             # on a fill
        if status != Status.OK:
            return status
        side = (kernel.position > 0) - (kernel.position < 0)
        if side != self.led:
            if self.led:
                self.run.follow(0, now_ns, now_ns)
            if side:
                self.run.follow(side, now_ns, now_ns)
            self.led = side
        return Status.OK

    cdef void strategy_failed(self, ns_t now_ns) noexcept:
        """What becomes of it is an input of its own; a journal has it behind this one."""
        self.lead.kernel.status = Status.OK
        if self.replaying or self.on_failed is None:
            self.failing = True
        else:
            self._answer_failure(now_ns)

    def put_strategy(self, NativeStrategy strategy not None):
        """From here on the legs follow this one. What they hold is kept."""
        self.lead.kernel.strategy, self.lead.kernel.status = strategy, Status.OK

    def drop_strategy(self, str way not None):
        """The legs follow nobody any more. For `on_strategy` alone.

        Args:
            way: keep: no entries, and what is held stays with the stops, targets and the exit time
                of its legs, and is left when the strategy would have been stopped out on the index;
                an entry that is not whole is taken back. flatten: it is closed, as by any exit;
                stop: it is closed, and only exits pass for good.
        """
        cdef Kernel kernel = self.lead.kernel
        cdef ns_t now_ns = max(self.now_ns, self.lead.last_ns)
        self.put_strategy(NativeStrategy())
        self.run.gate.state = RiskState.HALTED if way == "stop" else <RiskState>max(
            <int>self.run.gate.state, <int>RiskState.REDUCING)
        self.run.shut = True
        self.run.turn = 0                        # a signal that waits for flat
        if self.run.risk is not None:
            self.run.risk.drop()
        if kernel.session_at != kernel.session_count:
            if way != "keep":
                kernel.leave(Reason.RISK_EXIT, 0, now_ns)
            else:
                kernel.turn_side = 0
                if kernel.entering != 0:
                    kernel.cancel_entry(now_ns)
        if way == "keep":
            if self.run.stage == Stage.HEDGES or self.run.stage == Stage.SALES:
                self.run.unwind(Unwind.UNLED, NOBODY, self.now_ns)
            return
        self.uncovered = False
        self.run.leave_all(Reason.RISK_EXIT, self.now_ns)
        self.run.hedge_on(self.now_ns)

    cdef ns_t run_due(self) noexcept:
        cdef ns_t due_ns = self.run.order_due()
        if self.lead is not None:
            due_ns = min(due_ns, loop_due(self.lead, self.lead.kernel, self.grace_ns))
        if self.row_ns and self.row_ns <= self.close_ns:
            due_ns = min(due_ns, self.row_ns)
        return due_ns

    cdef Status run_hear(self) noexcept:
        cdef Status status = self.run.status
        cdef size_t i
        for i in range(self.run.count):
            (<Leg>self.run.at[i]).settle()
        if self.run.hedge is not None:
            self.run.hedge.leg.settle()
        self.run.step(self.input_ns)
        self.run.hedge_on(self.input_ns)
        if self.run.hedge is not None and self.run.hedge.leg.status != Status.OK:
            status = self.run.hedge.leg.status
        for i in range(self.run.count):
            if (<Leg>self.run.at[i]).status != Status.OK:
                status = (<Leg>self.run.at[i]).status
        return status

    cdef bint exposed(self) noexcept:
        return self.run.busy()

    cdef bint log_full(self) noexcept:
        return self.run.log.nearly_full(ROOM) or (self.lead is not None and (
            self.lead.kernel.log.nearly_full(ROOM) or self.lead.bar_count + ROOM > BARS_KEPT))

    cdef void run_command(self, int command, int contract, int64_t units, int64_t price,
                          ns_t now_ns) noexcept:
        if command == Command.STOP_ENTRIES:
            self.run.gate.state = RiskState.REDUCING
        elif command == Command.HALT:
            self.run.gate.state = RiskState.HALTED
        elif command == Command.RESUME:
            self.run.gate.state = RiskState.ACTIVE
        elif command == Command.READ_ALL and self.far:
            self.desk.doubt_all()
        elif command == Command.CLOSED_ELSEWHERE and self.far:
            if self.closed_by_others(<uint32_t>contract, units, price, now_ns) \
                    and self.covers(<uint32_t>contract):
                self.uncovered = True
        elif command == Command.SPENT and self.far:
            self.desk.spend(units)
        elif command == Command.UNLOCK or command == Command.LOCK:
            guard_command(self.guards, command, units, price, now_ns)
        elif command == Command.MARGIN and self.run.risk is not None:
            self.run.risk.told(contract, units, price, now_ns)
        elif Command.PAUSE_ORDERS <= command <= Command.CANCEL_ORDERS:
            self.run.hold_order(Hold.PAUSE if command == Command.PAUSE_ORDERS else
                                Hold.RESUME if command == Command.RESUME_ORDERS else
                                Hold.CANCEL, now_ns)
        # What holds entries back holds the rest of an order back as well, until its deadline: a
        # repair that the gate is known to refuse is none.
        self.run.shut = self.run.gate.state != RiskState.ACTIVE
        if command == Command.RESUME:
            self.run.step(now_ns)
        if command == Command.FLATTEN or command == Command.HALT:
            self.uncovered = False
            self.run.leave_all(Reason.OPERATOR, now_ns)
            self.run.hedge_on(now_ns)

    cdef bint covers(self, uint32_t contract) noexcept:
        """Whether a bought leg trades it."""
        cdef size_t i
        for i in range(self.run.count):
            if (<Leg>self.run.at[i]).listed == contract and (<Leg>self.run.at[i]).rules.side > 0:
                return True
        return False

    cdef bint closed_by_others(self, uint32_t contract, int64_t units, int64_t price,
                               ns_t now_ns) noexcept:
        """Somebody has closed at the broker what a leg holds. An exit of it that is there is booked
        as filled. A leg without one, whose whole position is gone, gets one that never leaves.
        False: nothing was booked."""
        cdef Remote remote
        cdef Leg leg
        cdef size_t i
        if units <= 0 or price <= 0:
            return False
        if self.desk.closed_elsewhere(contract, units, price):
            return True
        for i in range(self.run.count + (self.run.hedge is not None)):
            leg = <Leg>self.run.at[i] if i < self.run.count else <Leg>self.run.hedge.leg
            if leg.listed != contract or count_of(leg.position) != units or leg.entering != 0 \
                    or leg.exit_id != 0:
                continue
            remote = <Remote>self.desk.at_place[i]
            remote.still = True
            leg.leave(Reason.OPERATOR, 0, now_ns)
            self.desk.closed_elsewhere(contract, units, price)
            remote.still = False
            remote._pump()
            return True
        return False

    # ---- its broker ---------------------------------------------------------------------------

    cdef void far_tell(self, ns_t now_ns, ns_t wall_ns, bint clock) noexcept:
        if self.far:
            self.desk.at(now_ns, wall_ns, clock)

    cdef void far_answer(self, const Answer *answer) noexcept:
        self.desk.on_answer(answer)

    cdef void far_update(self, const Update *update) noexcept:
        self.desk.on_update(update)

    cdef void far_advance(self) noexcept:
        self.desk.advance()

    cdef ns_t far_due(self) noexcept:
        return self.desk.due() if self.far else INT64_MAX

    cdef ns_t far_wall(self) noexcept:
        return self.desk.state.wall_ns

    cdef size_t far_out(self, Intent *out, size_t limit) noexcept:
        return self.desk.take_out(out, limit)

    cdef void far_skip(self) noexcept:
        if self.far:
            self.desk.skip_numbers()

    cdef Account *far_account(self) noexcept:
        return &self.desk.state if self.far else NULL

    # ---- the Python door ----------------------------------------------------------------------

    @property
    def gate_state(self):
        """What the gate lets through: 0 everything, 1 and 2 exits only."""
        return self.run.gate.state

    @property
    def works(self):
        """Orders that are not done, of all legs."""
        cdef Leg leg
        hedge = 0 if self.run.hedge is None else self.run.hedge.leg.broker.live
        return hedge + sum(leg.broker.live for leg in self.run._legs)

    @property
    def flat(self):
        """Nothing is held, nothing works, and no leg is on its way in or out."""
        return not self.run.busy()
