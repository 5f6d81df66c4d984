"""An option structure over days of a chain: legs, entered together, watched together.

Owner thread:  the engine thread only.   Memory: none after construction.

A row (a minute bar, or a snapshot) of all contracts is one event, in this order:
    1  match     every leg's orders meet its contract's prices; fills change its position and rest
                 its stop and target. Bought legs first, and sold ones sent then meet the same row
                 (left: sold ones first): a row is longer than that takes
    2  mark      the closes value what is held; equity is sampled after step 4
    3  follow    legs that ended: all out with it, other stops to cost, entries again; stops that
                 trail; stops and targets of legs on the index
    4  decide    stop, lock and target of the whole (legwhole.pxd); the exit time; signals; all in
                 again; the entry time; waits; last the hedge (hedger.pxd), whose orders meet a row
                 after those of the legs
What is decided in a row meets prices of the next row at the earliest.

Live, rows are seconds of a chain that ticks keep (`ChainNow`): step 1 is then done tick by tick, by
`take_tick`, and the order of the legs goes on after every input (`step`).
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.chainday cimport EXPIRIES_MAX, ChainDay, Missing
from dhanfast._core.chainnow cimport ChainNow
from dhanfast._core.legorder cimport LEGS_MAX
from dhanfast._core.legwhole cimport LegWhole
from dhanfast._core.risk cimport Gate
from dhanfast._core.runlog cimport RunLog
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport Tick, ns_t, paise_t

cpdef enum Fault:
    """Why a run cannot go on."""

    WHOLE = 0
    NO_FINAL_PRICE = 1       # held to the end, and the index's closing value is not known
    EXPIRY_MISSED = 2        # held past its expiry: that day is not in the data


cdef struct Hours:           # of a day
    ns_t entry_ns
    ns_t until_ns            # last moment to begin
    ns_t exit_ns
    int32_t trade            # 1: may begin today
    int32_t date
    ns_t again_ns            # nothing is entered again after it; 0 = no limit


cdef class LegRun(LegWhole):
    cdef readonly bint ticking       # orders meet ticks, rows only mark and decide
    cdef readonly Gate gate
    cdef readonly RunLog log
    cdef uint64_t next_id            # one source of order numbers
    cdef ChainDay chain
    cdef ChainNow now                # of which `chain` is the row; None: rows of a day
    cdef Hours hours
    cdef Py_ssize_t slot[LEGS_MAX]   # which of the day's expiries each leg takes
    cdef const ns_t *signal_ns
    cdef const int8_t *signal_side
    cdef size_t signals_count
    cdef size_t signal_at
    cdef int32_t turn                # side of the signal that waits for flat
    cdef ns_t turn_until
    cdef uint8_t begun               # today's entry has been, or is over
    cdef Missing last_missing        # of today's attempts to begin
    cdef size_t last_leg
    cdef paise_t last_strike
    cdef ns_t now_ns
    cdef Status status
    cdef readonly int fault          # Fault
    cdef readonly size_t fault_leg
    cdef readonly uint64_t rows_seen
    cdef readonly uint64_t cycles    # structures entered
    cdef readonly uint64_t reentries
    cdef readonly uint64_t settled   # legs that expired held
    cdef readonly uint64_t armed     # legs that another leg has let in

    cdef Status day_loop(self) noexcept nogil
    cdef void begin_day(self) noexcept nogil
    cdef void end_day(self) noexcept nogil
    cdef void row(self, size_t row) noexcept nogil
    cdef void clock(self, size_t row, ns_t now_ns) noexcept nogil
    cdef void by_time(self, size_t row, ns_t now_ns) noexcept nogil
    cdef void by_signals(self, size_t row, ns_t now_ns) noexcept nogil
    cdef void begin_again(self, size_t row, ns_t now_ns) noexcept nogil
    # A signal of a side (0 = flat) that was known at `at_ns`: what runs is left, an entry waits for
    # the next row on which all is flat.
    cdef void follow(self, int side, ns_t at_ns, ns_t now_ns) noexcept nogil
    cdef void waits(self, size_t row, ns_t now_ns) noexcept nogil
    cdef void choose(self, size_t i, size_t row, Py_ssize_t column, ns_t now_ns) noexcept nogil
    cdef bint too_late(self, size_t i, ns_t now_ns) noexcept nogil
    cdef void count_entry(self, size_t i) noexcept nogil
    cdef bint begin(self, size_t row, ns_t now_ns, int when) noexcept nogil
    cdef void give_up(self, ns_t now_ns) noexcept nogil
    cdef bint all_idle(self) noexcept nogil
    cdef bint expires_today(self) noexcept nogil
    cdef void sample(self, ns_t now_ns, bint anew) noexcept nogil
    cdef void take(self, size_t i, size_t row, Py_ssize_t column, ns_t now_ns) noexcept nogil
    cdef object set_day(self, ChainDay chain, slots, Hours hours)
    # The legs have moved: so does the hedge, when it has to.
    cdef void hedge_on(self, ns_t now_ns) noexcept nogil
    cdef void meet_side(self, size_t row, int side) noexcept nogil
    # A tick of a contract (its column) meets the orders of the legs that trade it.
    cdef void take_tick(self, const Tick *tick, Py_ssize_t column) noexcept nogil
    # Whether anything works or is held.
    cdef bint busy(self) noexcept nogil
    # Guards and judge hear of what has happened; a guard may want everything closed.
    cdef void tell_risk(self, ns_t now_ns, bint last) noexcept nogil
    cdef bint passes(self, size_t i, size_t row, Py_ssize_t column, ns_t now_ns) noexcept nogil
