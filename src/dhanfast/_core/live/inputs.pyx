"""InputLoop: see inputs.pxd."""

from libc.errno cimport ENOSPC
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy, memset

from dhanfast._core.chainfeed cimport ChainRow
from dhanfast._core.live.budget cimport TOLD_MAX, Account, BudgetAnswer
from dhanfast._core.live.journal cimport Kind
from dhanfast._core.live.records cimport IntentKind, Outcome
from dhanfast._core.live.sink cimport FeedEvent
from dhanfast._core.timing cimport latency_record, mono_ns, utc_raw_ns
from dhanfast._core.types cimport OrderFlag
from dhanfast._core.wire.records cimport TickFlag

import numpy as np

from dhanfast._core.chainfeed import CHAIN_DTYPE
from dhanfast._core.live.journal_ahead import INPUTS, ahead, differs
from dhanfast._core.live.records import INTENT_DTYPE, UPDATE_DTYPE
from dhanfast._core.records import record_of
from dhanfast._core.status import Status as Statuses
from dhanfast.errors import BadData, DhanfastError

cdef enum:
    BATCH = 16
    REST_NS = 100_000_000    # of the market, between two tries of what a timer could not do
    SET_BACK_NS = 1_000_000_000  # a clock that is so far behind its last reading was set back
    CONTRACT_SHIFT = 32      # of a command's number: which contract it is about


cdef class InputLoop(TickSink):
    """What drives a run: journaled inputs. See `LiveLoop` and `LegLoop`.

    Attributes:
        journal: where inputs and requests are written before they count.
        inputs: used so far. input_ns: market time of the last. skipped: ticks of other
        instruments, and impossible ones.
        stopped: nothing is used any more, `error` says why. latency, answered: frame to order bytes
        and request to answer, when a histogram is given. entries_lost: the journal is full, exits
        only. blind: no tick has come since the start, or since the feed was lost. unjournaled:
        inputs that found no room in the journal. used_ns: time spent on inputs. on_drain: called
        when the run log should be taken away.
        failing: the strategy failed, and no input has told of it yet. wall_ns: the machine's time
        of the last input. now_ns: the market's of the last STRATEGY input.
        on_strategy, on_failed, on_ahead: who exchanges strategies, see `engine.swapping`; None: a
        run that has none.
    """

    def __cinit__(self, *_, **__):
        self.speed = 1.0
        self.blind = True
        self._later, self._made = [], []

    # ---- what a run brings --------------------------------------------------------------------

    cdef Status run_tick(self, const Tick *tick) noexcept:
        return Status.OK

    cdef bint knows(self, const Tick *tick) noexcept:
        return False

    cdef Status run_chain(self, const ChainRow *row) noexcept:
        return Status.OK

    cdef bint knows_chain(self) noexcept:
        return False

    cdef Status run_timer(self, ns_t now_ns) noexcept:
        return Status.OK

    cdef ns_t run_due(self) noexcept:
        return INT64_MAX

    cdef Status run_hear(self) noexcept:
        return Status.OK

    cdef bint exposed(self) noexcept:
        return False

    cdef void run_command(self, int command, int contract, int64_t units, int64_t price,
                          ns_t now_ns) noexcept:
        pass

    cdef void strategy_failed(self, ns_t now_ns) noexcept:
        pass

    cdef bint log_full(self) noexcept:
        return False

    cdef void far_tell(self, ns_t now_ns, ns_t wall_ns, bint clock) noexcept:
        pass

    cdef void far_answer(self, const Answer *answer) noexcept:
        pass

    cdef void far_update(self, const Update *update) noexcept:
        pass

    cdef void far_advance(self) noexcept:
        pass

    cdef ns_t far_due(self) noexcept:
        return INT64_MAX

    cdef ns_t far_wall(self) noexcept:
        return 0

    cdef size_t far_out(self, Intent *out, size_t limit) noexcept:
        return 0

    cdef void far_skip(self) noexcept:
        pass

    cdef Account *far_account(self) noexcept:
        return NULL

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

    cdef void settle_tick(self, Tick *tick, ns_t recv_ns) noexcept:
        """Its times, and of a seed only what is of now: its trade may be hours old."""
        tick.recv_ns = self.market_ns(recv_ns)
        if tick.flags & TickFlag.SEED:
            tick.price = 0
            tick.exch_ns = tick.recv_ns
        elif tick.exch_ns <= 0:
            tick.exch_ns = tick.recv_ns

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        cdef uint32_t said = <uint32_t>event
        if event == FeedEvent.LOST:
            self.blind = True
        self.journal.append(Kind.FEED, &said, sizeof(said), at_ns)

    cdef bint write_input(self, int kind, const void *head, size_t size, const int64_t *tail,
                          size_t words, ns_t wall_ns, bint vital) noexcept:
        """One record of a struct and some numbers. False when it could not be written."""
        cdef uint8_t payload[256]
        cdef Status status
        self.wall_ns = wall_ns
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

    cdef bint use_tick(self, Tick *tick, ns_t wall_ns) noexcept:
        """False: the journal had no room, and it was not used."""
        cdef int64_t wall = wall_ns
        cdef Status status
        if not self.write_input(Kind.TICK, tick, sizeof(Tick), &wall, 1, wall_ns,
                                self.entries_lost and self.exposed()):
            self.unjournaled += 1
            if not self.entries_lost:
                self.entries_lost = True
                self._use_command(Command.STOP_ENTRIES, 0, 0, tick.recv_ns, wall_ns)
            return False
        self.far_tell(tick.recv_ns, wall_ns, False)
        self.busy = True
        status = self.run_tick(tick)
        self.end_input(status, tick.recv_ns)
        return True

    cdef void _use_timer(self, ns_t now_ns, ns_t wall_ns) noexcept:
        cdef int64_t times[2]
        times[0], times[1] = now_ns, wall_ns
        if not self.write_input(Kind.TIMER, &times[0], 0, &times[0], 2, wall_ns, True):
            self.unjournaled += 1
            return
        self.busy = True
        if self.far:
            self.far_tell(now_ns, wall_ns, True)
            self.far_advance()
            self.run_hear()
        self.end_input(self.run_timer(now_ns), now_ns)

    cdef void _use_answer(self, const Answer *answer, ns_t now_ns) noexcept:
        cdef int64_t now = now_ns
        if not self.write_input(Kind.ANSWER, answer, sizeof(Answer), &now, 1, answer.at_ns, True):
            self.unjournaled += 1
        self.busy = True
        self.far_tell(now_ns, answer.at_ns, False)
        self.far_answer(answer)
        self.end_input(Status.OK, now_ns)

    cdef void _use_update(self, const Update *update, ns_t now_ns) noexcept:
        cdef int64_t now = now_ns
        if not self.write_input(Kind.UPDATE, update, sizeof(Update), &now, 1, update.at_ns, True):
            self.unjournaled += 1
        self.busy = True
        self.far_tell(now_ns, update.at_ns, False)
        self.far_update(update)
        self.end_input(Status.OK, now_ns)

    cdef bint _use_chain(self, const ChainRow *row, ns_t wall_ns) noexcept:
        cdef int64_t wall = wall_ns
        if not self.write_input(Kind.CHAIN, row, sizeof(ChainRow), &wall, 1, wall_ns, False):
            self.unjournaled += 1
            return False
        self.busy = True
        self.far_tell(row.at_ns, wall_ns, True)
        self.end_input(self.run_chain(row), row.at_ns)
        return True

    cdef void _use_command(self, int64_t command, int64_t units, int64_t price, ns_t now_ns,
                           ns_t wall_ns) noexcept:
        cdef int64_t said[5]
        said[0], said[1], said[2], said[3], said[4] = command, units, price, now_ns, wall_ns
        if not self.write_input(Kind.COMMAND, &said[0], 0, &said[0], 5, wall_ns, True):
            self.unjournaled += 1
        self.busy = True
        self.far_tell(now_ns, wall_ns, True)
        self.run_command(<int>(command & 0xFFFFFFFF), <int>(command >> CONTRACT_SHIFT), units,
                         price, now_ns)
        self.end_input(Status.OK, now_ns)

    cdef bint _use_strategy(self, bytes words, ns_t now_ns, ns_t wall_ns, bint vital) except -1:
        """Another strategy decides from here on, or none. False: there was no room to write it."""
        cdef bytes record
        cdef const char *at
        cdef int64_t times[2]
        cdef Status status
        if not self.replaying:
            times[0], times[1] = now_ns, wall_ns
            record = (<char *>&times[0])[:16] + words
            at = record
            if vital:
                status = self.journal.append_vital(Kind.STRATEGY, at, <uint32_t>len(record),
                                                   wall_ns)
            else:
                status = self.journal.append(Kind.STRATEGY, at, <uint32_t>len(record), wall_ns)
            if status != Status.OK and not vital:
                return False
            self.unjournaled += status != Status.OK
        self.wall_ns, self.now_ns, self.busy, self.failing = wall_ns, now_ns, True, False
        self.far_tell(now_ns, wall_ns, True)
        try:
            self.on_strategy(words)
        except BaseException:
            self.busy = False
            self.stopped = True
            raise
        self.end_input(Status.OK, now_ns)
        return True

    # ---- after an input -----------------------------------------------------------------------

    cdef void end_input(self, Status status, ns_t now_ns) noexcept:
        """Hear what came of it, let requests out, and see whether the engine may go on."""
        self.inputs += 1
        self.input_ns = max(self.input_ns, now_ns)
        if status == Status.OK:
            status = self.run_hear()
        self._flush()
        self.busy = False
        if status == Status.PYTHON_ERROR:
            self.strategy_failed(now_ns)
        elif status != Status.OK:
            self.stopped = True
            self.error = DhanfastError(
                f"the engine stopped: {Statuses(<int>status).name} after input {self.inputs}")
        elif self.log_full():
            self._drain()
        while self._later and not self.busy:
            self._hear(self._later.pop(0))

    cdef void _drain(self) noexcept:
        if self.on_drain is not None:
            self.on_drain()

    cdef void _flush(self) noexcept:
        cdef Intent made[BATCH]
        cdef size_t at, count
        if not self.far:
            return
        self._write_answers()
        count = self.far_out(&made[0], BATCH)
        while count:
            for at in range(count):
                self._let_out(&made[at])
            count = self.far_out(&made[0], BATCH)

    cdef void _write_answers(self) noexcept:
        """Where the shared budget said no goes to the journal before what it caused."""
        cdef Account *account = self.far_account()
        cdef uint32_t at
        if account == NULL or account.told_count == 0:
            return
        for at in range(account.told_count):
            self.unjournaled += self.journal.append_vital(
                Kind.BUDGET, &account.told[at], sizeof(BudgetAnswer), self.wall_ns) != Status.OK
        account.told_count = 0

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
        answer.intent, answer.at_ns = intent.id, self.far_wall()
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
        if self.stopped or not self.far:
            return
        raw = record_of(update, UPDATE_DTYPE, "update").view(np.uint8)
        begun_ns = mono_ns()
        self._use_update(<const Update *>&raw[0],
                         self.market_ns((<const Update *>&raw[0]).at_ns))
        self.used_ns += mono_ns() - begun_ns

    def use_chain(self, row, wall_ns: int):
        """A set of figures of the option chain, known from now on.

        Args:
            row: a record of CHAIN_DTYPE; its `at_ns` becomes the market's time of now.
            wall_ns: of the machine, UTC ns.
        Returns:
            False when it was not used: nobody asks for it, or the journal has no room for it.
        Raises:
            UsageError: not one record.
        """
        cdef uint8_t[::1] raw
        cdef ns_t begun_ns
        cdef bint used
        if self.stopped or not self.knows_chain():
            return False
        raw = record_of(row, CHAIN_DTYPE, "chain set").view(np.uint8)
        (<ChainRow *>&raw[0]).at_ns = self.market_ns(wall_ns)
        begun_ns = mono_ns()
        used = self._use_chain(<const ChainRow *>&raw[0], wall_ns)
        self.used_ns += mono_ns() - begun_ns
        return used

    def poll(self, wall_ns: int):
        """Let time pass: what is due by now is done. Cheap when nothing is.

        Args:
            wall_ns: of the machine, UTC ns.
        Returns:
            When to come again at the latest, UTC ns of the machine.
        """
        cdef ns_t now_ns = self.market_ns(wall_ns)
        cdef ns_t due_ns = self.run_due()
        cdef ns_t far_due = self.far_due()
        cdef ns_t begun_ns
        cdef bint set_back = wall_ns + SET_BACK_NS < self.polled_ns
        self.polled_ns = wall_ns
        if self.stopped:
            return INT64_MAX
        due_ns = max(due_ns, self.rest_until_ns)
        if now_ns >= due_ns or wall_ns >= far_due or (set_back and self.far):
            begun_ns = mono_ns()
            self._use_timer(now_ns, wall_ns)
            self.used_ns += mono_ns() - begun_ns
            due_ns = self.run_due()
            if due_ns <= now_ns:                 # it could not be done: not again at once
                due_ns = self.rest_until_ns = now_ns + REST_NS
            far_due = self.far_due()
        if due_ns < INT64_MAX:
            far_due = min(far_due, wall_ns + max(<ns_t>((due_ns - now_ns) / self.speed),
                                                 <ns_t>1_000_000))
        return far_due

    def command(self, command: int, wall_ns: int, *, units: int = 0, price: int = 0,
                contract: int = 0):
        """Do what an operator says, now.

        Args:
            command: Command. wall_ns: of the machine, UTC ns.
            contract: the feed's number of what it is about, of a run that has several.
            units, price: of CLOSED_ELSEWHERE: how many units, at how many paise each; of SPENT:
                how many requests; of LOCK and UNLOCK: see Command.
        """
        cdef ns_t begun_ns
        if not self.stopped:
            begun_ns = mono_ns()
            self._use_command(<int64_t>command | (<int64_t>contract << CONTRACT_SHIFT), units,
                              price, self.market_ns(wall_ns), wall_ns)
            self.used_ns += mono_ns() - begun_ns

    def use_strategy(self, bytes words not None, wall_ns: int, *, bint vital=False):
        """Have the strategy changed, now: journaled, then done by `on_strategy`.

        Args:
            words: JSON, for `on_strategy`. wall_ns: of the machine, UTC ns.
            vital: it is done also when the journal has no room for it.
        Returns:
            False: the journal has no room, or the engine has stopped: nothing was done.
        """
        if self.stopped:
            return False
        return self._use_strategy(words, self.market_ns(wall_ns), wall_ns, vital)

    def settle_failure(self):
        """A strategy that failed on the last input of a journal, which does not tell of it."""
        if self.failing:
            self._answer_failure(self.input_ns)

    cdef object _answer_failure(self, ns_t now_ns):
        self.failing = False
        try:
            self.on_failed()
        except BaseException as error:
            self.stopped, self.error = True, error

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
        self._repeats(True)
        if self.on_ahead is not None:
            self.on_ahead(None, False)
        for kind, payload, stop, last in ahead(records):
            raw = payload
            if self.on_ahead is not None and (stop is not None or last or kind == Kind.STRATEGY):
                self.on_ahead(stop, last)
            if self.failing and kind in INPUTS and kind != Kind.STRATEGY:
                raise BadData("the strategy fails where the journal does not say that it did: it "
                              "was written by other code, another strategy or other settings")
            if kind == Kind.INTENT:
                self._meet(raw)
                waiting[int(np.frombuffer(raw, INTENT_DTYPE)["id"][0])] = raw
            elif kind == Kind.ANSWER:
                answered.add(int.from_bytes(raw[:8], "little"))
                waiting.pop(int.from_bytes(raw[:8], "little"), None)
                self._again(kind, raw)
            elif kind in INPUTS:
                self._again(kind, raw)
            elif kind == Kind.RESUME:
                self.far_skip()
            elif kind == Kind.BUDGET:
                self._expect(raw)
        self._repeats(False)
        unmet = np.frombuffer(b"".join(made for made in self._made
                                       if int.from_bytes(made[:8], "little") not in answered),
                              INTENT_DTYPE)
        self._made = []
        return unmet, np.frombuffer(b"".join(waiting.values()), INTENT_DTYPE)

    cdef object _repeats(self, bint so):
        cdef Account *account = self.far_account()
        self.replaying = so
        if account != NULL:
            account.repeating, account.due_count = so, 0

    cdef object _expect(self, bytes raw):
        # What the shared budget will answer in the input that comes next.
        cdef Account *account = self.far_account()
        if len(raw) != sizeof(BudgetAnswer) or account == NULL or account.due_count == TOLD_MAX:
            raise BadData("the journal has an answer of the shared budget that this run does not "
                          "ask for: it was written by other code or with other settings")
        memcpy(&account.due[account.due_count], <const char *>raw, sizeof(BudgetAnswer))
        account.due_count += 1

    cdef object _meet(self, bytes raw):
        # Requests that found no room in the journal were not sent, and are not in it.
        while len(self._made) > 1 and self._made[0][7::-1] < raw[7::-1]:
            self._made.pop(0)
        made = self._made.pop(0) if self._made else b""
        if made != raw:
            raise differs(made, raw)

    cdef object _again(self, int kind, bytes payload):
        """One input of a journal; its tail holds the times."""
        cdef const char *at = payload
        cdef size_t size = len(payload)
        cdef const int64_t *tail
        cdef Tick tick
        if kind == Kind.STRATEGY:
            if size < 16 or self.on_strategy is None:
                raise BadData("the journal exchanges a strategy, which this run does not have: it "
                              "was written with other settings")
            tail = <const int64_t *>at
            self.market_last_ns = max(self.market_last_ns, tail[0])
            self._use_strategy(payload[16:], tail[0], tail[1], True)
            return
        if size != self._size_of(kind):
            raise BadData(f"a record of kind {kind} has {size} bytes, not {self._size_of(kind)}")
        if kind == Kind.TICK:
            memcpy(&tick, at, sizeof(Tick))
            self.market_last_ns = max(self.market_last_ns, tick.recv_ns)
            if not self.knows(&tick):
                raise BadData(f"the journal has ticks of instrument {tick.instrument}, which this "
                              "run does not have: it was written with other settings")
            self.use_tick(&tick, (<const int64_t *>(at + sizeof(Tick)))[0])
            return
        if kind == Kind.CHAIN:
            if not self.knows_chain():
                raise BadData("the journal has figures of an option chain, which this run does not "
                              "ask for: it was written with other settings")
            self.market_last_ns = max(self.market_last_ns, (<const ChainRow *>at).at_ns)
            self._use_chain(<const ChainRow *>at, (<const int64_t *>(at + sizeof(ChainRow)))[0])
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
        if kind == Kind.CHAIN:
            return sizeof(ChainRow) + 8
        return 40 if kind == Kind.COMMAND else 16

    def market_time(self, wall_ns: int):
        """The market's time at a time of the machine, UTC ns."""
        return self.market_ns(wall_ns)
