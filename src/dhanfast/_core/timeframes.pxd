"""Several timeframes of several instruments from one pass over the ticks.

Owner thread:  one.
Memory:        the states are one allocation at construction; the Python doors allocate results.
"""

from libc.stdint cimport uint64_t

from dhanfast._core.bars cimport BarSink, BarState
from dhanfast._core.types cimport Tick


cdef class BarSet:
    cdef BarState *states             # [instrument][timeframe]
    cdef readonly size_t timeframes
    cdef readonly size_t instruments
    cdef readonly uint64_t foreign    # records of an instrument that is not in the set
    cdef object _windows
    cdef bint _frame(self, size_t frame, const Tick *ticks, size_t count,
                     BarSink sink) noexcept nogil
