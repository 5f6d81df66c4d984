"""An option structure over days of a chain: legs, entered together, watched together.

Owner thread:  the engine thread only.   Memory: none after construction.

A row (a minute bar, or a snapshot) of all contracts is one event, in this order:
    1  match     every leg's orders meet its contract's prices; fills change its position and rest
                 its stop and target
    2  mark      the closes value what is held; equity is sampled after step 4
    3  follow    legs that ended: other stops to cost, entries again; stops that trail
    4  decide    stop and target of the whole; the exit time; signals; the entry time; waits
What is decided in a row meets prices of the next row at the earliest.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.chainday cimport EXPIRIES_MAX, ChainDay, Missing
from dhanfast._core.portfolio cimport Portfolio
from dhanfast._core.risk cimport Gate
from dhanfast._core.runlog cimport RunLog
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ns_t, paise_t

cdef enum:
    LEGS_MAX = 10
    NOTES_MAX = 4096
    NOBODY = 0xFFFF


cpdef enum PlanUnit:
    """What stop and target of the whole count."""

    UNSET = 0
    RUPEES = 1
    PREMIUM = 2              # percent of the net premium of the first entries


cpdef enum Told:
    """What a run writes down beside orders and trades."""

    NOT_ENTERED = 1          # why is a Missing
    LATE = 2                 # the entry's time had passed when the first row came
    CUT = 3                  # the day's rows end before the exit: closed at the last price
    NOT_AGAIN = 4            # entered again, but no strike had a quote until the end
    COMBINED_STOP = 5
    COMBINED_TARGET = 6
    SIGNAL_DROPPED = 7
    UNFILLED = 8             # the entry met no price all day


cpdef enum Fault:
    """Why a run cannot go on."""

    WHOLE = 0
    NO_FINAL_PRICE = 1       # held to the end, and the index's closing value is not known
    EXPIRY_MISSED = 2        # held past its expiry: that day is not in the data


cdef struct PlanRules:
    double stop
    double target
    int32_t stop_unit        # PlanUnit
    int32_t target_unit
    int32_t to_cost          # 1: a stop moves the other legs' stops to cost
    int32_t hold             # 1: held to the expiry; 0: out every day
    int32_t settles          # 1: with hold: to the final settlement
    int32_t signals          # 1: entered and left on signals, not by the clock


cdef packed struct Note:     # 24 bytes
    ns_t time_ns
    paise_t strike           # 0 = none
    uint32_t leg             # NOBODY = all
    uint8_t told             # Told
    uint8_t why              # Missing
    uint8_t spare[2]


cdef struct Hours:           # of a day
    ns_t entry_ns
    ns_t until_ns            # last moment to begin
    ns_t exit_ns
    int32_t trade            # 1: may begin today
    int32_t date


cdef class LegRun:
    cdef PyObject *at[LEGS_MAX]
    cdef list _legs
    cdef size_t count
    cdef PlanRules plan
    cdef readonly Portfolio portfolio
    cdef readonly Gate gate
    cdef readonly RunLog log
    cdef uint64_t next_id            # one source of order numbers
    cdef ChainDay chain
    cdef Hours hours
    cdef Py_ssize_t slot[LEGS_MAX]   # which of the day's expiries each leg takes
    cdef const ns_t *signal_ns
    cdef const int8_t *signal_side
    cdef size_t signals_count
    cdef size_t signal_at
    cdef int32_t turn                # side of the signal that waits for flat
    cdef ns_t turn_until
    cdef uint8_t running             # a cycle has begun and is not over
    cdef uint8_t begun               # today's entry has been, or is over
    cdef Missing last_missing        # of today's attempts to begin
    cdef size_t last_leg
    cdef paise_t last_strike
    cdef ns_t now_ns
    cdef Status status
    cdef readonly int fault          # Fault
    cdef readonly size_t fault_leg
    cdef Note notes[NOTES_MAX]
    cdef size_t notes_count
    cdef readonly uint64_t notes_lost
    cdef readonly uint64_t rows_seen
    cdef readonly uint64_t cycles    # structures entered
    cdef readonly uint64_t reentries
    cdef readonly uint64_t to_cost   # stops moved to cost
    cdef readonly uint64_t settled   # legs that expired held
    cdef readonly uint64_t combined_stops
    cdef readonly uint64_t combined_targets

    cdef Status day_loop(self) noexcept nogil
    cdef void begin_day(self) noexcept nogil
    cdef void end_day(self) noexcept nogil
    cdef void row(self, size_t row) noexcept nogil
    cdef void closings(self, size_t row, ns_t now_ns) noexcept nogil
    cdef void ended(self, size_t i, size_t row, ns_t now_ns) noexcept nogil
    cdef void combined(self, ns_t now_ns) noexcept nogil
    cdef void clock(self, size_t row, ns_t now_ns) noexcept nogil
    cdef void by_time(self, size_t row, ns_t now_ns) noexcept nogil
    cdef void by_signals(self, size_t row, ns_t now_ns) noexcept nogil
    cdef void waits(self, size_t row, ns_t now_ns) noexcept nogil
    cdef bint begin(self, size_t row, ns_t now_ns, int when) noexcept nogil
    cdef void give_up(self, ns_t now_ns) noexcept nogil
    cdef void enter_leg(self, size_t i, size_t row, Py_ssize_t column, ns_t now_ns) noexcept nogil
    cdef void leave_all(self, int reason, ns_t now_ns) noexcept nogil
    cdef bint all_idle(self) noexcept nogil
    cdef bint expires_today(self) noexcept nogil
    cdef void sample(self, ns_t now_ns, bint anew) noexcept nogil
    cdef void note(self, ns_t now_ns, int told, int why, size_t leg, paise_t strike) noexcept nogil
