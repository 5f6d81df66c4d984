"""LiveLoop: see loop.pxd."""

from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from dhanfast._core.broker cimport Hold
from dhanfast._core.chainfeed cimport ChainFeed, ChainRow
from dhanfast._core.execution.worker cimport Worker
from dhanfast._core.filters cimport Filters
from dhanfast._core.live.budget cimport Account
from dhanfast._core.live.courier cimport Courier
from dhanfast._core.live.guardcmd cimport guard_command
from dhanfast._core.live.inputs cimport Command
from dhanfast._core.live.journal cimport Journal
from dhanfast._core.live.records cimport Answer, Intent, Update
from dhanfast._core.loops cimport loop_chain, loop_due, loop_ticks, loop_timer
from dhanfast._core.status cimport Status
from dhanfast._core.strategy cimport NativeStrategy
from dhanfast._core.timing cimport latency_record, mono_ns, utc_raw_ns
from dhanfast._core.types cimport Reason, Tick
from dhanfast._core.wire.records cimport TickFlag

cdef enum:
    ROOM = 256               # rows that one input may write into the run log


cdef class LiveLoop(InputLoop):
    """One strategy on one instrument, driven by journaled inputs.

    Args:
        ticks: the tick loop over the kernel.
        journal: where inputs and requests are written before they count.
        instrument: the feed's number of what is traded.
        remote: the kernel's broker when it is a real one; None when it is simulated.
        courier: carries requests; needed with `remote`.
        grace_ns: how long after its end a bar waits for late ticks.
        sync_each: True: a request leaves only when the disk has it.
        guards: of the gate; None: there are none. vix: the feed's number of India VIX, whose ticks
        the guards see; None: none of it is used.
        chain: what tells the strategy of the option chain; None: nobody asks.
    Attributes:
        watch: tells of a native strategy that does not return; None: nobody does.
    """

    def __cinit__(self, TickLoop ticks not None, Journal journal not None, *, int instrument,
                  Remote remote=None, Courier courier=None, int64_t grace_ns=300_000_000,
                  bint sync_each=False, Guards guards=None, vix=None, ChainFeed chain=None):
        if (remote is None) != (courier is None):
            raise ValueError("remote and courier come together: requests need who carries them")
        if remote is not None and ticks.kernel.broker is not remote and not (
                isinstance(ticks.kernel.broker, Worker)
                and (<Worker>ticks.kernel.broker).inner is remote):
            raise ValueError("remote must be the kernel's broker, or that of its Worker")
        self.ticks, self.kernel, self.journal = ticks, ticks.kernel, journal
        self.remote, self.courier = remote, courier
        self.instrument, self.grace_ns, self.sync_each = instrument, grace_ns, sync_each
        self.guards, self.vix = guards, NO_VIX if vix is None or guards is None else vix
        if self.vix == self.instrument:
            raise ValueError("vix must not be the instrument that is traded")
        self.far, self.chain = remote is not None, chain

    cdef void take(self, const Tick *ticks, size_t count, ns_t recv_ns) noexcept:
        cdef size_t at
        cdef Tick tick
        cdef uint64_t before = self.kernel.orders_sent
        cdef ns_t begun_ns = mono_ns()
        for at in range(count):
            if ticks[at].instrument == self.vix and not self.stopped and ticks[at].price > 0 \
                    and not ticks[at].flags & TickFlag.SEED:     # a seed may be of yesterday
                tick = ticks[at]
                tick.instrument, tick.recv_ns = VIX_TICK, self.market_ns(recv_ns)
                self.use_tick(&tick, recv_ns)
                continue
            if (ticks[at].instrument != self.instrument or self.stopped
                    or ticks[at].price < 0 or ticks[at].bid < 0 or ticks[at].ask < 0):
                self.skipped += 1
                continue
            tick = ticks[at]
            self.blind = False
            tick.instrument = 0
            self.settle_tick(&tick, recv_ns)
            self.use_tick(&tick, recv_ns)
        if self.latency is not None and self.kernel.orders_sent != before:
            latency_record(&self.latency.state, utc_raw_ns() - recv_ns)
        self.used_ns += mono_ns() - begun_ns

    # ---- what this run brings -----------------------------------------------------------------

    cdef Status run_tick(self, const Tick *tick) noexcept:
        if tick.instrument == VIX_TICK:
            self.guards.see_vix(tick.recv_ns, tick.price)    # paise of an index are 1/100 points
            return Status.OK
        cdef Status status
        cdef bint watched = self.watch is not None and not self.kernel.strategy.python
        self.ticks.done = 0
        if watched:
            self.watch.enter_native()
        status = loop_ticks(self.ticks, self.kernel, tick, 1)
        if watched:
            self.watch.leave()
        return status

    cdef Status run_chain(self, const ChainRow *row) noexcept:
        if not self.chain.add(row):
            return Status.OK                 # two of one instant: the first stands
        return loop_chain(self.ticks, self.kernel, row.at_ns)

    cdef bint knows_chain(self) noexcept:
        return self.chain is not None

    cdef bint knows(self, const Tick *tick) noexcept:
        return tick.instrument == 0 or (tick.instrument == VIX_TICK and self.guards is not None)

    cdef Status run_timer(self, ns_t now_ns) noexcept:
        cdef Status status
        cdef bint watched = self.watch is not None and not self.kernel.strategy.python
        if watched:
            self.watch.enter_native()
        status = loop_timer(self.ticks, self.kernel, now_ns, now_ns - self.grace_ns)
        if watched:
            self.watch.leave()
        return status

    cdef ns_t run_due(self) noexcept:
        return loop_due(self.ticks, self.kernel, self.grace_ns)

    cdef Status run_hear(self) noexcept:
        self.kernel.broker.hear()
        self.kernel.settle()
        if self.kernel.strategy.failed and self.kernel.status == Status.OK:
            return Status.PYTHON_ERROR           # on a fill
        return self.kernel.status

    cdef bint exposed(self) noexcept:
        return self.kernel.position != 0 or self.kernel.broker.live != 0

    cdef bint log_full(self) noexcept:
        return self.kernel.log.nearly_full(ROOM) or self.ticks.bar_count + ROOM > 4096

    cdef void run_command(self, int command, int contract, int64_t units, int64_t price,
                          ns_t now_ns) noexcept:
        if command == Command.STOP_ENTRIES:
            self.kernel.gate.state = 1       # RiskState.REDUCING
        elif command == Command.HALT:
            self.kernel.gate.state = 2       # RiskState.HALTED
        elif command == Command.RESUME:
            self.kernel.gate.state = 0       # RiskState.ACTIVE
        elif command == Command.READ_ALL and self.remote is not None:
            self.remote.doubt_all()
        elif command == Command.CLOSED_ELSEWHERE and self.remote is not None:
            self.remote.closed_elsewhere(units, price)
        elif command == Command.SPENT and self.remote is not None:
            self.remote.spend(units)
        elif Command.PAUSE_ORDERS <= command <= Command.CANCEL_ORDERS:
            self.kernel.broker.hold(Hold.PAUSE if command == Command.PAUSE_ORDERS else
                                    Hold.RESUME if command == Command.RESUME_ORDERS else
                                    Hold.CANCEL, now_ns)
        elif command == Command.UNLOCK or command == Command.LOCK:
            guard_command(self.guards, command, units, price, now_ns)
        if command == Command.FLATTEN or command == Command.HALT:
            if self.kernel.session_at != self.kernel.session_count:
                self.kernel.leave(Reason.OPERATOR, 0, max(now_ns, self.ticks.last_ns))

    cdef void strategy_failed(self, ns_t now_ns) noexcept:
        """What becomes of it is an input of its own; a journal has it behind this one."""
        self.kernel.status = Status.OK
        if self.replaying or self.on_failed is None:
            self.failing = True
        else:
            self._answer_failure(now_ns)

    def put_strategy(self, NativeStrategy strategy not None):
        """From here on this one decides, behind the filters that there are. What is held, its stop
        and target stay as they are."""
        if isinstance(self.kernel.strategy, Filters):
            (<Filters>self.kernel.strategy).put(strategy)
        else:
            self.kernel.strategy = strategy
        self.kernel.status = Status.OK

    def drop_strategy(self, str way not None):
        """Nobody decides any more. For `on_strategy` alone.

        Args:
            way: keep: no entries, and what is held stays with its stop, target and square-off;
                flatten: it is closed; stop: it is closed, and only exits pass for good.
        """
        cdef ns_t now_ns = max(self.now_ns, self.ticks.last_ns)
        self.put_strategy(NativeStrategy())
        self.kernel.gate.state = 2 if way == "stop" else max(self.kernel.gate.state, 1)
        if self.kernel.session_at == self.kernel.session_count:
            return
        if way != "keep":
            self.kernel.leave(Reason.RISK_EXIT, 0, now_ns)
            return
        self.kernel.turn_side = 0                # a reversal ends with its exit
        if self.kernel.entering != 0:
            self.kernel.cancel_entry(now_ns)

    # ---- its broker ---------------------------------------------------------------------------

    cdef void far_tell(self, ns_t now_ns, ns_t wall_ns, bint clock) noexcept:
        if self.far:
            self.remote.at(now_ns, wall_ns, clock)

    cdef void far_answer(self, const Answer *answer) noexcept:
        self.remote.on_answer(answer)

    cdef void far_update(self, const Update *update) noexcept:
        self.remote.on_update(update)

    cdef void far_advance(self) noexcept:
        self.remote.advance()

    cdef ns_t far_due(self) noexcept:
        return self.remote.due_ns if self.far else INT64_MAX

    cdef ns_t far_wall(self) noexcept:
        return self.remote.wall_ns

    cdef size_t far_out(self, Intent *out, size_t limit) noexcept:
        return self.remote.take_out(out, limit)

    cdef void far_skip(self) noexcept:
        if self.far:
            self.remote.skip_numbers()

    cdef Account *far_account(self) noexcept:
        return self.remote.account if self.far else NULL

    # ---- the Python door ----------------------------------------------------------------------

    @property
    def late(self):
        """Ticks that came when time had closed their bar: they count for no bar."""
        return self.ticks.builder.state.late

    @property
    def gate_state(self):
        """What the gate lets through: 0 everything, 1 and 2 exits only."""
        return self.kernel.gate.state
