"""The figures of one expiry's chain that somebody asked for, as a `ChainRow`; nothing else is done.

Units:               as of `ChainFigure`; NaN for what was not asked for or has no answer.
Memory:              one allocation at construction, none after.
Who may call what:   one thread.

What a figure compares with is handed in: the chain at the end of the session before (`before`), and
the volatilities of the sessions before (`past`).
"""

from libc.stdint cimport int64_t, uint32_t

from dhanfast._core.chainfeed cimport ChainRow
from dhanfast._core.options.livechain cimport LiveChain

cdef enum:
    PAST_MAX = 252
    WINDOWS = 3             # 30, 90 and 252 sessions


cdef class ChainMeter:
    cdef readonly LiveChain chain
    cdef uint32_t _asked                # bit of each ChainFigure
    cdef bint _oi_known                 # open interest of every option is known
    cdef bint _volume_known
    cdef int64_t _interest_of           # `_interest_changes` of the chain that these are of:
    cdef double[2] _changed             # change of open interest: calls, puts
    cdef double[2] _levels              # where most is open: calls, puts
    cdef double *_data
    cdef double *_call_before           # premium and open interest of then; NaN unknown
    cdef double *_put_before
    cdef double *_call_oi_before
    cdef double *_put_oi_before
    cdef double *_past[WINDOWS]         # volatilities of the last sessions, ascending
    cdef Py_ssize_t _past_count         # of all that are known; a window that is longer is empty

    # The figures now; the chain has settled.
    cdef void read(self, ChainRow *row) noexcept nogil
    cdef void _interest(self, ChainRow *row) noexcept nogil
    cdef void _side(self, ChainRow *row, bint put) noexcept nogil
    cdef void _weigh(self) noexcept nogil
    cdef double _change(self, const double *held, const double *before) noexcept nogil
    cdef double _build_up(self, const double *price, const double *price_before,
                          const double *held, const double *held_before) noexcept nogil
    cdef void _standing(self, ChainRow *row) noexcept nogil
    cdef object _take_past(self, past)
