"""Loops of the kernel beside its own: bars of two lengths, and ticks.

Owner thread:  the engine thread only.   Memory: none after construction.

With ticks, a signal bar is complete when time says so, not when the next tick comes; the tick that
reveals it is matched after the decision on it:
    1  close     signal bars that are due at this tick's time; the strategy decides on each
    2  match     what the tick does to working orders
    3  mark      its price is the new mark
    4  merge     it enters the open bar
    5  decide    the strategy sees the tick itself, if it wants ticks

Most ticks change nothing but marks and the open bar: they lie inside that bar, before every time
rule, and no resting order is near. Such a run of ticks is taken in one pass (`_quiet_run`) with the
same result, to the byte, as one by one. What the exchange would have seen of it is kept in `shown`
and told to it before anything can depend on it: an order, or a tick that is not quiet.
"""

from libc.stdint cimport uint64_t

from dhanfast._core.bars cimport BarState, TimeBars
from dhanfast._core.kernel cimport Kernel
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport Bar, Tick, ns_t

cdef enum:
    BARS_A_TICK = 64         # bars that one tick may close; more are taken in turns
    BARS_KEPT = 4096         # of them until they must be taken away


cdef class TickLoop:
    cdef readonly Kernel kernel
    cdef TimeBars builder
    cdef bint singly                     # no quiet runs
    cdef size_t done                     # ticks of the array in hand that are used
    cdef ns_t last_ns                    # time never goes back
    cdef readonly ns_t until_ns          # the sessions are known before this; 0 = for ever
    cdef readonly ns_t beyond_ns         # of the tick that stopped the loop there
    cdef readonly uint64_t ticks_seen
    cdef readonly uint64_t ticks_outside
    cdef readonly uint64_t ticks_late    # exchange time before the newest: used at the newest time
    cdef Tick shown                      # market that the exchange has not been told of yet
    cdef bint unsaid                     # there is one
    cdef bint foreign                    # a tick of another instrument stopped the loop
    cdef object _bar_rows                # the array that owns `bars`
    cdef Bar *bars                       # made and shown to the strategy, not taken away yet
    cdef size_t bar_count

    cdef object _make_bars(self)


# Ticks from `loop.done` on; LOG_FULL between two of them, else when all are used. No Python object
# is made unless the strategy is one.
cdef Status loop_ticks(TickLoop loop, Kernel kernel, const Tick *ticks,
                       size_t n) noexcept nogil
# Time has passed without a tick: bars that ended by `bars_ns` close, then time rules at `now_ns`.
cdef Status loop_timer(TickLoop loop, Kernel kernel, ns_t now_ns, ns_t bars_ns) noexcept nogil
# A set of figures of the option chain has come: the strategy is shown it inside a session.
cdef Status loop_chain(TickLoop loop, Kernel kernel, ns_t now_ns) noexcept nogil
# The next time at which `loop_timer` has something to do; INT64_MAX when only a tick can change
# anything. A bar is due `grace_ns` after its end.
cdef ns_t loop_due(TickLoop loop, Kernel kernel, ns_t grace_ns) noexcept nogil
