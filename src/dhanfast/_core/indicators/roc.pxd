"""Rate of change in percent.

Who may call what:   one owner thread for each state.
Memory:              period doubles of the caller's, none after `roc_init`.
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

cdef struct RocState:
    double *ring       # the last `period` samples; `position` is the oldest
    double value       # NaN until ready
    int64_t period
    int64_t position


cdef inline size_t roc_scratch(int64_t period) noexcept nogil:
    return <size_t>period


cdef inline void roc_init(RocState *s, int64_t period, double *scratch) noexcept nogil:
    cdef int64_t i
    s.ring = scratch
    s.value = NAN
    s.period = period
    s.position = 0
    for i in range(period):
        scratch[i] = NAN


# Zero when the old sample is zero, as TA-Lib.
cdef inline double roc_of(double sample, double old) noexcept nogil:
    return 0.0 if old == 0.0 else (sample / old - 1.0) * 100.0


cdef inline double roc_step(RocState *s, double sample) noexcept nogil:
    s.value = roc_of(sample, s.ring[s.position])
    s.ring[s.position] = sample
    s.position += 1
    if s.position == s.period:
        s.position = 0
    return s.value


# out may be `samples` itself.
cdef void roc_block(
    RocState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class Roc:
    cdef RocState _state
    cdef double *_scratch
    cdef int64_t _period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
