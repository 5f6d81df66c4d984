"""An engine's inputs, one at a time: journal it, use it, let out what it asks for.

Owner thread:  the engine thread only; the GIL is held.   Memory: none after construction, but the
               journal's own growth and what Python makes of a drained log.

Every input is in the journal before it is used, every request before its bytes leave. What an input
causes depends on the inputs before it and on nothing else, so `replay` of a journal makes the same
requests, byte for byte, and leaves the engine as it was:

    TICK      Tick (recv_ns: the market's time), i64 wall
    TIMER     i64 market's time, i64 wall
    ANSWER    Answer, i64 market's time          (wall: at_ns)
    UPDATE    Update, i64 market's time          (wall: at_ns)
    COMMAND   i64 Command (and a contract's number << 32), i64 units, i64 price, i64 market's time,
              i64 wall
    CHAIN     ChainRow (at_ns: the market's time), i64 wall
    STRATEGY  i64 market's time, i64 wall, JSON: see `engine.swapping`
    BUDGET    BudgetAnswer, behind the input that asked, before what it caused
    INTENT    Intent, behind the input that caused it

What is done with an input is a run's: `LiveLoop` has one instrument and a strategy, `LegLoop` the
legs of a structure. They fill in the methods under "what a run brings".

The market's time is the machine's when the feed is; against an exchange that runs faster it is that
exchange's. Waiting and rates of requests go by the machine's.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.chainfeed cimport ChainRow
from dhanfast._core.live.budget cimport Account
from dhanfast._core.live.courier cimport Courier
from dhanfast._core.live.journal cimport Journal
from dhanfast._core.live.records cimport Answer, Intent, Update
from dhanfast._core.live.sink cimport TickSink
from dhanfast._core.status cimport Status
from dhanfast._core.timing cimport LatencyHistogram
from dhanfast._core.types cimport Tick, ns_t


cpdef enum Command:
    """What an operator, or the engine's own watch, tells it."""

    STOP_ENTRIES = 1         # exits only, until RESUME
    RESUME = 2               # entries again
    FLATTEN = 3              # close what is open; entries stay as they are
    HALT = 4                 # exits only, and close what is open
    READ_ALL = 5             # ask the broker for the state of every order
    CLOSED_ELSEWHERE = 6     # somebody closed units of ours at the broker, at this price
    UNLOCK = 7               # end a lock of the guards: units is its GuardKind, -1 ends all
    LOCK = 8                 # lock entries: units is a GuardKind, price the end, market's UTC ns
    PAUSE_ORDERS = 9         # algorithms and orders of legs send nothing more that enters
    RESUME_ORDERS = 10       # they go on
    CANCEL_ORDERS = 11       # entries end with what has filled, or are unwound; exits leave at once
    SPENT = 12               # so many requests went another way: the broker's limits count them
    MARGIN = 13              # of question `contract`: units = required, price = funds; -1 unknown


cdef class InputLoop(TickSink):
    cdef readonly Journal journal
    cdef Courier courier
    cdef public LatencyHistogram latency     # frame to order bytes; None: not measured
    cdef public LatencyHistogram answered    # request to answer; None: not measured
    cdef ns_t sent_ns[256]               # when request id & 255 was handed over
    cdef ns_t wall_base_ns               # market = market_base + (wall - wall_base) * speed
    cdef ns_t market_base_ns
    cdef double speed
    cdef ns_t market_last_ns
    cdef ns_t polled_ns                  # wall time of the last `poll`
    cdef bint sync_each                  # the disk has an intent before its bytes leave
    cdef bint replaying
    cdef bint busy                       # an input is being used
    cdef bint far                        # orders go to a real broker
    cdef readonly bint stopped           # no input is used any more: see `error`
    cdef readonly bint entries_lost      # the journal is full: exits only
    cdef readonly bint blind             # no tick since the start, or since the feed was lost
    cdef public object error             # what stopped it
    cdef public object on_drain          # called when the run log should be taken away
    cdef public object on_strategy       # given the words of a STRATEGY input: does what they say
    cdef public object on_failed         # the strategy failed: to make a STRATEGY input of it
    cdef public object on_ahead          # replay: given the next input's (stop behind it, is last)
    cdef readonly bint failing           # replay: the strategy failed, and no input has told of it
    cdef readonly ns_t wall_ns           # of the machine, of the last input
    cdef readonly ns_t now_ns            # market's time of the STRATEGY input being used
    cdef list _later                     # answers that came inside an input
    cdef list _made                      # replay: intents made and not yet met in the journal
    cdef readonly uint64_t inputs
    cdef readonly ns_t input_ns          # the market's, of the last input
    cdef readonly uint64_t skipped       # ticks of others, impossible ones, or after the end
    cdef readonly uint64_t unjournaled   # ticks that found no room in the journal: not used
    cdef readonly ns_t used_ns           # time spent on inputs, those of a replay left out
    cdef ns_t rest_until_ns              # the market's: a timer left something due, not before

    # ---- what a run brings: its market, its orders, its broker; most do nothing here ----
    cdef Status run_tick(self, const Tick *tick) noexcept
    # Whether a journaled tick may be of this run.
    cdef bint knows(self, const Tick *tick) noexcept
    # A set of figures of the option chain. `knows_chain`: this run takes them.
    cdef Status run_chain(self, const ChainRow *row) noexcept
    cdef bint knows_chain(self) noexcept
    # Time has come to `now_ns`; the broker, if it is a real one, has been told already.
    cdef Status run_timer(self, ns_t now_ns) noexcept
    # The next time at which `run_timer` has something to do; INT64_MAX.
    cdef ns_t run_due(self) noexcept
    # Hear what the exchange or broker has said, and do what it asks for.
    cdef Status run_hear(self) noexcept
    # Whether something is held or works: inputs are then worth the last room of the journal.
    cdef bint exposed(self) noexcept
    cdef void run_command(self, int command, int contract, int64_t units, int64_t price,
                          ns_t now_ns) noexcept
    cdef void strategy_failed(self, ns_t now_ns) noexcept
    cdef bint log_full(self) noexcept
    cdef void far_tell(self, ns_t now_ns, ns_t wall_ns, bint clock) noexcept
    cdef void far_answer(self, const Answer *answer) noexcept
    cdef void far_update(self, const Update *update) noexcept
    cdef void far_advance(self) noexcept
    cdef ns_t far_due(self) noexcept
    cdef ns_t far_wall(self) noexcept
    cdef size_t far_out(self, Intent *out, size_t limit) noexcept
    cdef void far_skip(self) noexcept
    # What all orders of the run share; NULL: they are simulated.
    cdef Account *far_account(self) noexcept

    # ---- what all runs share ----
    cdef ns_t market_ns(self, ns_t wall_ns) noexcept nogil
    cdef void settle_tick(self, Tick *tick, ns_t recv_ns) noexcept
    cdef bint use_tick(self, Tick *tick, ns_t wall_ns) noexcept
    cdef void _use_answer(self, const Answer *answer, ns_t now_ns) noexcept
    cdef void _use_update(self, const Update *update, ns_t now_ns) noexcept
    cdef void _use_timer(self, ns_t now_ns, ns_t wall_ns) noexcept
    cdef bint _use_chain(self, const ChainRow *row, ns_t wall_ns) noexcept
    cdef void _use_command(self, int64_t command, int64_t units, int64_t price, ns_t now_ns,
                           ns_t wall_ns) noexcept
    cdef bint _use_strategy(self, bytes words, ns_t now_ns, ns_t wall_ns, bint vital) except -1
    cdef object _answer_failure(self, ns_t now_ns)
    cdef bint write_input(self, int kind, const void *head, size_t size, const int64_t *tail,
                          size_t words, ns_t wall_ns, bint vital) noexcept
    cdef void end_input(self, Status status, ns_t now_ns) noexcept
    cdef void _drain(self) noexcept
    cdef object _repeats(self, bint so)
    cdef object _expect(self, bytes raw)
    cdef object _meet(self, bytes raw)
    cdef object _again(self, int kind, bytes payload)
    cdef size_t _size_of(self, int kind) noexcept
    cdef void _flush(self) noexcept
    cdef void _write_answers(self) noexcept
    cdef void _let_out(self, Intent *intent) noexcept
    cdef void _hear(self, bytes raw) noexcept
