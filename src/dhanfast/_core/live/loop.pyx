"""LiveLoop: see loop.pxd."""

from libc.errno cimport ENOSPC
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from dhanfast._core.broker cimport Hold
from dhanfast._core.execution.worker cimport Worker
from dhanfast._core.guardlocks cimport KINDS
from dhanfast._core.live.journal cimport Kind
from dhanfast._core.live.records cimport IntentKind, Outcome
from dhanfast._core.live.sink cimport FeedEvent
from dhanfast._core.loops cimport loop_due, loop_ticks, loop_timer
from dhanfast._core.strategy cimport NativeStrategy
from dhanfast._core.timing cimport latency_record, mono_ns, utc_raw_ns
from dhanfast._core.types cimport OrderFlag, Reason
from dhanfast._core.wire.records cimport TickFlag

import numpy as np

from dhanfast._core.live.records import INTENT_DTYPE, UPDATE_DTYPE
from dhanfast._core.records import record_of
from dhanfast._core.status import Status as Statuses
from dhanfast.errors import BadData, DhanfastError, StrategyError

cdef enum:
    BATCH = 16
    ROOM = 256               # rows that one input may write into the run log
    REST_NS = 100_000_000    # of the market, between two tries of what a timer could not do
    SET_BACK_NS = 1_000_000_000  # a clock that is so far behind its last reading was set back


cdef class LiveLoop(TickSink):
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
    Attributes:
        inputs: used so far. input_ns: market time of the last. skipped: ticks of other
        instruments, and impossible ones.
        stopped: nothing is used any more, `error` says why. latency, answered: frame to order bytes
        and request to answer, when a histogram is given. entries_lost: the journal is full, exits
        only. blind: no tick has come since the start, or since the feed was lost. unjournaled:
        inputs that found no room in the journal. used_ns: time spent on inputs. on_drain: called
        when the run log should be taken away.
    """

    def __cinit__(self, TickLoop ticks not None, Journal journal not None, *, int instrument,
                  Remote remote=None, Courier courier=None, int64_t grace_ns=300_000_000,
                  bint sync_each=False, Guards guards=None, vix=None):
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
        self.speed = 1.0
        self.blind = True
        self._later, self._made = [], []

    # ---- time ---------------------------------------------------------------------------------

    def set_market(self, wall_ns: int, market_ns: int, speed: float = 1.0):
        """The market's time at a time of the machine, and how fast it runs.

        Args:
            wall_ns, market_ns: UTC ns. speed: market seconds a second, above 0.
        """
        if not speed > 0:
            raise ValueError(f"speed must be above 0, was {speed}")
        self.wall_base_ns, self.market_base_ns, self.speed = wall_ns, market_ns, speed

    cdef ns_t market_ns(self, ns_t wall_ns) noexcept nogil:
        cdef ns_t now_ns
        if self.wall_base_ns == 0:
            now_ns = wall_ns
        else:
            now_ns = self.market_base_ns + <ns_t>((wall_ns - self.wall_base_ns) * self.speed)
        self.market_last_ns = max(self.market_last_ns, now_ns)   # never back, whoever set the clock
        return self.market_last_ns

    # ---- inputs -------------------------------------------------------------------------------

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
                self._use_vix(&tick, recv_ns)
                continue
            if (ticks[at].instrument != self.instrument or self.stopped
                    or ticks[at].price < 0 or ticks[at].bid < 0 or ticks[at].ask < 0):
                self.skipped += 1
                continue
            tick = ticks[at]
            self.blind = False
            tick.instrument = 0
            tick.recv_ns = self.market_ns(recv_ns)
            if tick.flags & TickFlag.SEED:
                tick.price = 0               # its trade may be hours old; the quote is of now
                tick.exch_ns = tick.recv_ns
            elif tick.exch_ns <= 0:
                tick.exch_ns = tick.recv_ns
            self._use_tick(&tick, recv_ns)
        if self.latency is not None and self.kernel.orders_sent != before:
            latency_record(&self.latency.state, utc_raw_ns() - recv_ns)
        self.used_ns += mono_ns() - begun_ns

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        cdef uint32_t said = <uint32_t>event
        if event == FeedEvent.LOST:
            self.blind = True
        self.journal.append(Kind.FEED, &said, sizeof(said), at_ns)

    cdef bint _write(self, int kind, const void *head, size_t size, const int64_t *tail,
                     size_t words, ns_t wall_ns, bint vital) noexcept:
        """One record of a struct and some numbers. False when it could not be written."""
        cdef uint8_t payload[256]
        cdef Status status
        if self.replaying:
            return True
        memcpy(&payload[0], head, size)
        memcpy(&payload[size], tail, words * sizeof(int64_t))
        size += words * sizeof(int64_t)
        if vital:
            status = self.journal.append_vital(kind, &payload[0], <uint32_t>size, wall_ns)
        else:
            status = self.journal.append(kind, &payload[0], <uint32_t>size, wall_ns)
        return status == Status.OK

    cdef void _use_tick(self, Tick *tick, ns_t wall_ns) noexcept:
        cdef int64_t wall = wall_ns
        cdef bint vital = self.kernel.position != 0 or self.kernel.broker.live != 0
        cdef Status status
        if not self._write(Kind.TICK, tick, sizeof(Tick), &wall, 1, wall_ns,
                           vital and self.entries_lost):
            self.unjournaled += 1
            if not self.entries_lost:
                self.entries_lost = True
                self._use_command(Command.STOP_ENTRIES, 0, 0, tick.recv_ns, wall_ns)
            return
        if self.remote is not None:
            self.remote.at(tick.recv_ns, wall_ns, False)
        self.busy = True
        self.ticks.done = 0
        status = loop_ticks(self.ticks, self.kernel, tick, 1)
        self._end(status, tick.recv_ns)

    cdef void _use_vix(self, Tick *tick, ns_t wall_ns) noexcept:
        cdef int64_t wall = wall_ns
        if not self._write(Kind.TICK, tick, sizeof(Tick), &wall, 1, wall_ns, False):
            self.unjournaled += 1
            return
        self.busy = True
        if self.remote is not None:
            self.remote.at(tick.recv_ns, wall_ns, False)
        self.guards.see_vix(tick.recv_ns, tick.price)    # paise of an index are 1/100 points
        self._end(Status.OK, tick.recv_ns)

    cdef void _use_timer(self, ns_t now_ns, ns_t wall_ns) noexcept:
        cdef int64_t times[2]
        times[0], times[1] = now_ns, wall_ns
        if not self._write(Kind.TIMER, &times[0], 0, &times[0], 2, wall_ns, True):
            self.unjournaled += 1
            return
        self.busy = True
        if self.remote is not None:
            self.remote.at(now_ns, wall_ns, True)
            self.remote.advance()
            self.kernel.broker.hear()
            self.kernel.settle()
        self._end(loop_timer(self.ticks, self.kernel, now_ns, now_ns - self.grace_ns), now_ns)

    cdef void _use_answer(self, const Answer *answer, ns_t now_ns) noexcept:
        cdef int64_t now = now_ns
        if not self._write(Kind.ANSWER, answer, sizeof(Answer), &now, 1, answer.at_ns, True):
            self.unjournaled += 1
        self.busy = True
        self.remote.at(now_ns, answer.at_ns, False)
        self.remote.on_answer(answer)
        self._end(Status.OK, now_ns)

    cdef void _use_update(self, const Update *update, ns_t now_ns) noexcept:
        cdef int64_t now = now_ns
        if not self._write(Kind.UPDATE, update, sizeof(Update), &now, 1, update.at_ns, True):
            self.unjournaled += 1
        self.busy = True
        self.remote.at(now_ns, update.at_ns, False)
        self.remote.on_update(update)
        self._end(Status.OK, now_ns)

    cdef void _use_command(self, int64_t command, int64_t units, int64_t price, ns_t now_ns,
                           ns_t wall_ns) noexcept:
        cdef int64_t said[5]
        said[0], said[1], said[2], said[3], said[4] = command, units, price, now_ns, wall_ns
        if not self._write(Kind.COMMAND, &said[0], 0, &said[0], 5, wall_ns, True):
            self.unjournaled += 1
        self.busy = True
        if self.remote is not None:
            self.remote.at(now_ns, wall_ns, True)
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
            self._guard_command(command, units, price, now_ns)
        if command == Command.FLATTEN or command == Command.HALT:
            if self.kernel.session_at != self.kernel.session_count:
                self.kernel.leave(Reason.OPERATOR, 0, max(now_ns, self.ticks.last_ns))
        self._end(Status.OK, now_ns)

    cdef void _guard_command(self, int64_t command, int64_t kind, ns_t until_ns,
                             ns_t now_ns) noexcept:
        cdef int each
        if self.guards is None or kind >= KINDS:
            return
        if command == Command.LOCK and kind >= 0:
            self.guards.lock_entries(<int>kind, now_ns, until_ns)
        elif command == Command.UNLOCK:
            for each in range(KINDS):
                if kind < 0 or each == kind:
                    self.guards.unlock_entries(each, now_ns)

    # ---- after an input -----------------------------------------------------------------------

    cdef void _end(self, Status status, ns_t now_ns) noexcept:
        """Hear what came of it, let requests out, and see whether the engine may go on."""
        self.inputs += 1
        self.input_ns = max(self.input_ns, now_ns)
        if status == Status.OK:
            self.kernel.broker.hear()
            self.kernel.settle()
            status = self.kernel.status
        self._flush()
        self.busy = False
        if status == Status.PYTHON_ERROR:
            self._strategy_failed(now_ns)
        elif status != Status.OK:
            self.stopped = True
            self.error = DhanfastError(
                f"the engine stopped: {Statuses(<int>status).name} after input {self.inputs}")
        elif self.kernel.log.nearly_full(ROOM) or self.ticks.bar_count + ROOM > 4096:
            self._drain()
        while self._later and not self.busy:
            self._hear(self._later.pop(0))

    cdef void _drain(self) noexcept:
        if self.on_drain is not None:
            self.on_drain()

    cdef void _strategy_failed(self, ns_t now_ns) noexcept:
        """A strategy that raised decides nothing any more; what it holds is closed."""
        raised = self.kernel.strategy.error
        self.error = StrategyError(f"strategy stopped: {type(raised).__name__}: {raised}")
        self.kernel.strategy = NativeStrategy()
        self.kernel.status = Status.OK
        self.kernel.gate.state = 2           # RiskState.HALTED
        self.busy = True
        self.kernel.leave(Reason.RISK_EXIT, 0, max(now_ns, self.ticks.last_ns))
        self._end(Status.OK, now_ns)

    cdef void _flush(self) noexcept:
        cdef Intent made[BATCH]
        cdef size_t at, count
        if self.remote is None:
            return
        while self.remote.out_count:
            count = self.remote.take_out(&made[0], BATCH)
            for at in range(count):
                self._let_out(&made[at])

    cdef void _let_out(self, Intent *intent) noexcept:
        """Journal a request, then let its bytes leave; in that order or not at all."""
        cdef Answer answer
        cdef Status status
        if self.replaying:
            self._made.append((<char *>intent)[:sizeof(Intent)])
            return
        if intent.kind == IntentKind.PLACE and not intent.flags & OrderFlag.EXIT:
            status = self.journal.append(Kind.INTENT, intent, sizeof(Intent), intent.at_ns)
        else:
            status = self.journal.append_vital(Kind.INTENT, intent, sizeof(Intent), intent.at_ns)
        if status == Status.OK and self.sync_each and intent.kind != IntentKind.QUERY:
            status = self.journal.sync_now()
        if status == Status.OK:
            self.sent_ns[intent.id & 255] = utc_raw_ns()
            self.courier.carry(intent)
            return
        memset(&answer, 0, sizeof(Answer))
        answer.intent, answer.at_ns = intent.id, self.remote.wall_ns
        answer.outcome, answer.code = Outcome.REFUSED, -ENOSPC
        self._later.append((<char *>&answer)[:sizeof(Answer)])

    # ---- the Python door ----------------------------------------------------------------------

    def use_answer(self, answer):
        """An answer of the courier (ANSWER_DTYPE record or its bytes); set it as `on_answer`.

        One that comes while an input is being used waits until that is done.
        """
        cdef ns_t begun_ns = mono_ns()
        cdef bytes raw = answer if isinstance(answer, bytes) else answer.tobytes()
        if self.busy:
            self._later.append(raw)
            return
        self._hear(raw)
        self.used_ns += mono_ns() - begun_ns

    cdef void _hear(self, bytes raw) noexcept:
        cdef Answer record
        if self.stopped or len(raw) != sizeof(Answer):
            return
        memcpy(&record, <const char *>raw, sizeof(Answer))
        if self.answered is not None and record.code > 0:
            latency_record(&self.answered.state, utc_raw_ns() - self.sent_ns[record.intent & 255])
        self._use_answer(&record, self.market_ns(record.at_ns))

    def use_update(self, update):
        """The state of an order, an UPDATE_DTYPE record. No effect when orders are simulated."""
        cdef uint8_t[::1] raw
        cdef ns_t begun_ns
        if self.stopped or self.remote is None:
            return
        raw = record_of(update, UPDATE_DTYPE, "update").view(np.uint8)
        begun_ns = mono_ns()
        self._use_update(<const Update *>&raw[0],
                         self.market_ns((<const Update *>&raw[0]).at_ns))
        self.used_ns += mono_ns() - begun_ns

    def poll(self, wall_ns: int):
        """Let time pass: what is due by now is done. Cheap when nothing is.

        Args:
            wall_ns: of the machine, UTC ns.
        Returns:
            When to come again at the latest, UTC ns of the machine.
        """
        cdef ns_t now_ns = self.market_ns(wall_ns)
        cdef ns_t due_ns = loop_due(self.ticks, self.kernel, self.grace_ns)
        cdef ns_t remote_due = self.remote.due_ns if self.remote is not None else INT64_MAX
        cdef ns_t begun_ns
        cdef bint set_back = wall_ns + SET_BACK_NS < self.polled_ns
        self.polled_ns = wall_ns
        if self.stopped:
            return INT64_MAX
        due_ns = max(due_ns, self.rest_until_ns)
        if now_ns >= due_ns or wall_ns >= remote_due or (set_back and self.remote is not None):
            begun_ns = mono_ns()
            self._use_timer(now_ns, wall_ns)
            self.used_ns += mono_ns() - begun_ns
            due_ns = loop_due(self.ticks, self.kernel, self.grace_ns)
            if due_ns <= now_ns:                 # it could not be done: not again at once
                due_ns = self.rest_until_ns = now_ns + REST_NS
            remote_due = self.remote.due_ns if self.remote is not None else INT64_MAX
        if due_ns < INT64_MAX:
            remote_due = min(remote_due, wall_ns + max(<ns_t>((due_ns - now_ns) / self.speed),
                                                       <ns_t>1_000_000))
        return remote_due

    def command(self, command: int, wall_ns: int, *, units: int = 0, price: int = 0):
        """Do what an operator says, now.

        Args:
            command: Command. wall_ns: of the machine, UTC ns.
            units, price: of CLOSED_ELSEWHERE: how many units, at how many paise each; of SPENT:
                how many requests; of LOCK and UNLOCK: see Command.
        """
        cdef ns_t begun_ns
        if not self.stopped:
            begun_ns = mono_ns()
            self._use_command(command, units, price, self.market_ns(wall_ns), wall_ns)
            self.used_ns += mono_ns() - begun_ns

    def replay(self, records):
        """Repeat a journal: the engine is then as it was behind the last record.

        Args:
            records: (kind, payload) of the journal in order; kinds that are not inputs or requests
                are let fall.
        Returns:
            (unmet, open): requests made again that the journal does not hold: they never left; and
            requests in the journal without an answer: nobody knows. Both INTENT_DTYPE[n].
        Raises:
            BadData: a request differs from the journal's: other code, strategy or settings made it.
        """
        cdef dict waiting = {}
        cdef set answered = set()
        cdef bytes raw
        self.replaying = True
        for kind, payload in records:
            raw = payload
            if kind == Kind.INTENT:
                self._meet(raw)
                waiting[int(np.frombuffer(raw, INTENT_DTYPE)["id"][0])] = raw
            elif kind == Kind.ANSWER:
                answered.add(int.from_bytes(raw[:8], "little"))
                waiting.pop(int.from_bytes(raw[:8], "little"), None)
                self._again(kind, raw)
            elif kind in (Kind.TICK, Kind.TIMER, Kind.UPDATE, Kind.COMMAND):
                self._again(kind, raw)
            elif kind == Kind.RESUME and self.remote is not None:
                self.remote.skip_numbers()
        self.replaying = False
        unmet = np.frombuffer(b"".join(made for made in self._made
                                       if int.from_bytes(made[:8], "little") not in answered),
                              INTENT_DTYPE)
        self._made = []
        return unmet, np.frombuffer(b"".join(waiting.values()), INTENT_DTYPE)

    cdef object _meet(self, bytes raw):
        # Requests that found no room in the journal were not sent, and are not in it.
        while len(self._made) > 1 and self._made[0][7::-1] < raw[7::-1]:
            self._made.pop(0)
        made = self._made.pop(0) if self._made else b""
        if made != raw:
            want = np.frombuffer(raw, INTENT_DTYPE)[0]
            got = np.frombuffer(made, INTENT_DTYPE)[0] if made else "nothing"
            raise BadData(f"the journal's request {want['id']} is not made again: the journal has "
                          f"{want}, the engine made {got}; it was written by other code, another "
                          "strategy or other settings")

    cdef object _again(self, int kind, bytes payload):
        """One input of a journal; its tail holds the times."""
        cdef const char *at = payload
        cdef size_t size = len(payload)
        cdef const int64_t *tail
        cdef Tick tick
        if size != self._size_of(kind):
            raise BadData(f"a record of kind {kind} has {size} bytes, not {self._size_of(kind)}")
        if kind == Kind.TICK:
            memcpy(&tick, at, sizeof(Tick))
            self.market_last_ns = max(self.market_last_ns, tick.recv_ns)
            if tick.instrument != VIX_TICK:
                self._use_tick(&tick, (<const int64_t *>(at + sizeof(Tick)))[0])
            elif self.guards is not None:
                self._use_vix(&tick, (<const int64_t *>(at + sizeof(Tick)))[0])
            else:
                raise BadData("the journal has ticks of India VIX, and no guard looks at it: it "
                              "was written with other settings")
            return
        tail = <const int64_t *>(at + size - 8 * (5 if kind == Kind.COMMAND else
                                                  2 if kind == Kind.TIMER else 1))
        if kind == Kind.TIMER:
            self.market_last_ns = max(self.market_last_ns, tail[0])
            self._use_timer(tail[0], tail[1])
        elif kind == Kind.COMMAND:
            self.market_last_ns = max(self.market_last_ns, tail[3])
            self._use_command(tail[0], tail[1], tail[2], tail[3], tail[4])
        elif kind == Kind.ANSWER:
            self.market_last_ns = max(self.market_last_ns, tail[0])
            self._use_answer(<const Answer *>at, tail[0])
        else:
            self.market_last_ns = max(self.market_last_ns, tail[0])
            self._use_update(<const Update *>at, tail[0])

    cdef size_t _size_of(self, int kind) noexcept:
        if kind == Kind.TICK:
            return sizeof(Tick) + 8
        if kind == Kind.ANSWER:
            return sizeof(Answer) + 8
        if kind == Kind.UPDATE:
            return sizeof(Update) + 8
        return 40 if kind == Kind.COMMAND else 16

    def market_time(self, wall_ns: int):
        """The market's time at a time of the machine, UTC ns."""
        return self.market_ns(wall_ns)

    @property
    def late(self):
        """Ticks that came when time had closed their bar: they count for no bar."""
        return self.ticks.builder.state.late

    @property
    def gate_state(self):
        """What the gate lets through: 0 everything, 1 and 2 exits only."""
        return self.kernel.gate.state
