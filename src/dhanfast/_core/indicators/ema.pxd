"""Exponential moving average.

Who may call what:   one owner thread for each state.
Memory:              none beyond the struct (`ema_scratch` is 0).
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

cdef struct EmaState:
    double alpha         # weight of the newest sample, in (0, 1]
    double keep          # 1 - alpha: weight of everything before it
    double value         # NaN until ready
    double seed_total    # sum of the samples that will seed it
    int64_t seed_left    # samples still missing from the seed; 0 once ready
    int64_t seed_count   # samples in the seed: the period, or 1


cdef inline size_t ema_scratch(int64_t period) noexcept nogil:
    return 0


# TA-Lib's seeding: the simple mean of the first `period` samples.
cdef inline void ema_init(EmaState *s, int64_t period, double *scratch) noexcept nogil:
    s.alpha = 2.0 / (<double>period + 1.0)
    s.keep = 1.0 - s.alpha
    s.value = NAN
    s.seed_total = 0.0
    s.seed_left = period
    s.seed_count = period


# pandas' `ewm(adjust=False)`: the first sample is the first value.
cdef inline void ema_init_first(EmaState *s, int64_t period, double *scratch) noexcept nogil:
    ema_init(s, period, scratch)
    s.seed_left = 1
    s.seed_count = 1


# The samples must be finite: a NaN would stay for ever. Two weights instead of TA-Lib's
# `value + alpha * (sample - value)`: the chain from value to value is one multiplication and one
# addition, a quarter shorter, and equal to within a few units in the last place.
cdef inline double ema_step(EmaState *s, double sample) noexcept nogil:
    if s.seed_left == 0:
        s.value = sample * s.alpha + s.value * s.keep
        return s.value
    s.seed_total += sample
    s.seed_left -= 1
    if s.seed_left == 0:
        s.value = s.seed_total / <double>s.seed_count
    return s.value


# out may be `samples` itself.
cdef void ema_block(
    EmaState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class Ema:
    cdef EmaState _state
    cdef int64_t _period
    cdef str _seed
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
