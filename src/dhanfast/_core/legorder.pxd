"""The order of several legs: entered and left as one, so that no sold leg is ever left alone.

Owner thread:  the engine thread only.   Memory: none after construction.

    REST ──begin──▶ HEDGES ──bought legs whole──▶ SALES ──all whole──▶ REST (held)
                       │ bought legs are sent        │ sold legs are sent
                       └────────────┬────────────────┘
             the deadline, a leg that cannot be had, an operator's cancel
                                    ▼                    sold legs flat
    REST (held) ──leave_all──▶ LEAVE: sold legs first ──────────────────▶ REST: bought legs follow

What holds whenever an input has been used:
    covered   going in, no order of a sold leg leaves before every bought leg is whole and held;
              going out, no bought leg is sold before every sold one is flat, nothing on its way.
              Units sold without bought ones beside them are never more than the whole has
    whole     what is not whole at the deadline is unwound; a leg that was refused or lost is asked
              again before that, `repairs` times, a second apart
A leg that waits for a premium, and one that is entered again, go alone.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.types cimport ns_t, paise_t

cdef enum:
    LEGS_MAX = 10
    NOTES_MAX = 4096
    NOBODY = 0xFFFF
    REPAIR_PAUSE_NS = 1_000_000_000


cpdef enum Stage:
    """What the order of the legs is at."""

    REST = 0
    HEDGES = 1
    SALES = 2
    LEAVE = 3


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
    UNWOUND = 9              # why is an Unwind
    REPAIRED = 10            # a leg that was refused or lost is asked again
    STAYS_OUT = 11           # a leg that was to go in by itself; why is a Missing


cpdef enum Unwind:
    """Why an order of legs was taken back."""

    DEADLINE = 1             # not whole in time
    REFUSED = 2              # a leg was refused or lost as often as it may be
    PARTLY = 3               # a leg ended with a part of it, or left by its own stop meanwhile
    CANCELLED = 4            # an operator said so
    UNLED = 5                # the strategy that it followed was stopped


cdef struct OrderRules:
    ns_t deadline_ns         # after its beginning; 0 = none
    int32_t repairs


cdef packed struct Note:     # 24 bytes
    ns_t time_ns
    paise_t strike           # 0 = none
    uint32_t leg             # NOBODY = all
    uint8_t told             # Told
    uint8_t why              # Missing; Unwind
    uint8_t spare[2]


cdef class LegOrder:
    cdef PyObject *at[LEGS_MAX]
    cdef list _legs
    cdef size_t count
    cdef OrderRules order_rules
    cdef readonly Stage stage
    cdef ns_t order_ns               # when it was begun
    cdef int32_t out_reason          # of the leaving in hand
    cdef uint8_t running             # a cycle has begun and is not over
    cdef readonly bint paused        # an operator's: no leg is sent
    cdef bint shut                   # the gate lets no entry through: no leg is sent, none is tried
    cdef Note notes[NOTES_MAX]
    cdef size_t notes_count
    cdef readonly uint64_t notes_lost
    cdef readonly uint64_t unwound   # orders taken back
    cdef readonly uint64_t repaired  # legs asked again
    cdef readonly int64_t uncovered_max      # most units sold without bought ones, calls or puts

    # Every leg's `part` is set: send the bought ones, or the sold ones when there are none.
    cdef void begin_order(self, ns_t now_ns) noexcept nogil
    # Bring the order on after something was heard, or time has passed.
    cdef void step(self, ns_t now_ns) noexcept nogil
    # The next time at which `step` has something to do; INT64_MAX.
    cdef ns_t order_due(self) noexcept nogil
    cdef void entry_step(self, ns_t now_ns) noexcept nogil
    cdef bint has_sales(self) noexcept nogil
    cdef void late(self, ns_t now_ns) noexcept nogil
    cdef bint mend_leg(self, size_t i, ns_t now_ns) noexcept nogil
    cdef void send_side(self, int side, ns_t now_ns) noexcept nogil
    cdef void exit_step(self, ns_t now_ns) noexcept nogil
    cdef void unwind(self, int why, size_t leg, ns_t now_ns) noexcept nogil
    cdef void leave_all(self, int reason, ns_t now_ns) noexcept nogil
    # What an operator says: PAUSE, RESUME, CANCEL of `Hold`.
    cdef void hold_order(self, int what, ns_t now_ns) noexcept nogil
    cdef void see_cover(self) noexcept nogil
    cdef void note(self, ns_t now_ns, int told, int why, size_t leg, paise_t strike) noexcept nogil
