"""Commodity channel index.

The mean is the drift-free one of `sma.pxd`. The mean absolute deviation from a mean that moves has
no recurrence: it is read from the ring, four samples at a time, in ring order whatever the calls.

Who may call what:   one owner thread for each state.
Memory:              3 * period + 2 doubles of the caller's, none after `cci_init`.
Cost:                O(period) a sample, about a quarter of a nanosecond for each sample of the
                     window.
"""

from libc.math cimport NAN, fabs
from libc.stdint cimport int64_t

from dhanfast._core.indicators.sma cimport SmaState, sma_init, sma_scratch, sma_step

cdef struct CciState:
    SmaState mean
    double *ring       # the last `period` typical prices
    double scale       # period / 0.015
    double value       # NaN until ready
    int64_t period
    int64_t position   # ring position of the oldest


cdef inline size_t cci_scratch(int64_t period) noexcept nogil:
    return sma_scratch(period) + <size_t>period


cdef inline void cci_init(CciState *s, int64_t period, double *scratch) noexcept nogil:
    cdef int64_t i
    sma_init(&s.mean, period, scratch)
    s.ring = scratch + sma_scratch(period)
    s.scale = <double>period / 0.015
    s.value = NAN
    s.period = period
    s.position = 0
    for i in range(period):
        s.ring[i] = NAN


cdef inline double cci_spread(const double *ring, int64_t period, double mean) noexcept nogil:
    cdef double a = 0.0
    cdef double b = 0.0
    cdef double c = 0.0
    cdef double d = 0.0
    cdef int64_t i = 0
    while i + 4 <= period:
        a += fabs(ring[i] - mean)
        b += fabs(ring[i + 1] - mean)
        c += fabs(ring[i + 2] - mean)
        d += fabs(ring[i + 3] - mean)
        i += 4
    while i < period:
        a += fabs(ring[i] - mean)
        i += 1
    return (a + b) + (c + d)


# Zero when the window is flat, as TA-Lib. The samples must be finite.
cdef inline double cci_step(CciState *s, double high, double low, double close) noexcept nogil:
    cdef double typical = (high + low + close) / 3.0
    cdef double gap
    cdef double spread
    s.ring[s.position] = typical
    s.position += 1
    if s.position == s.period:
        s.position = 0
    gap = typical - sma_step(&s.mean, typical)
    if gap != gap:
        return s.value
    spread = cci_spread(s.ring, s.period, s.mean.value)
    s.value = 0.0 if gap == 0.0 or spread == 0.0 else gap / spread * s.scale
    return s.value


# out may be one of the inputs itself.
cdef void cci_block(
    CciState *s, const double *high, const double *low, const double *close, double *out, size_t n
) noexcept nogil


cdef class Cci:
    cdef CciState _state
    cdef double *_scratch
    cdef int64_t _period
    cpdef double update(self, double high, double low, double close) except? -1.0
    cpdef void reset(self) noexcept
