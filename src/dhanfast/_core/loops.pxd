"""Loops of the kernel beside its own: bars of two lengths, and ticks.

Owner thread:  the engine thread only.   Memory: none after construction.

With ticks, a signal bar is complete when time says so, not when the next tick comes; the tick that
reveals it is matched after the decision on it:
    1  close     signal bars that are due at this tick's time; the strategy decides on each
    2  match     what the tick does to working orders
    3  mark      its price is the new mark
    4  merge     it enters the open bar
    5  decide    the strategy sees the tick itself, if it wants ticks
"""

from libc.stdint cimport uint64_t

from dhanfast._core.bars cimport BarState, TimeBars
from dhanfast._core.kernel cimport Kernel
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport Bar, Tick, ns_t

cdef enum:
    BARS_A_TICK = 64         # bars that one tick may close; more are taken in turns


cdef class TickLoop:
    cdef readonly Kernel kernel
    cdef TimeBars builder
    cdef size_t done                     # ticks of the array in hand that are used
    cdef ns_t last_ns                    # time never goes back
    cdef readonly uint64_t ticks_seen
    cdef readonly uint64_t ticks_outside
    cdef readonly uint64_t ticks_late    # exchange time before the newest: used at the newest time
