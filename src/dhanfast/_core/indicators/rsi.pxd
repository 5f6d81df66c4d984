"""Wilder's relative strength index.

Who may call what:   one owner thread for each state.
Memory:              none beyond the struct (`rsi_scratch` is 0).
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

cdef struct RsiState:
    double gain        # Wilder's average gain; before `ready` the sum of gains / period
    double loss        # Wilder's average loss, not negative; likewise
    double last        # the sample before; NaN before the first
    double keep        # (period - 1) / period; 1 until the seed is complete
    double share       # 1 / period
    double value       # NaN until ready
    int64_t seed_left  # changes still missing from the seed; 0 once ready
    int64_t period


cdef inline size_t rsi_scratch(int64_t period) noexcept nogil:
    return 0


cdef inline void rsi_init(RsiState *s, int64_t period, double *scratch) noexcept nogil:
    s.gain = 0.0
    s.loss = 0.0
    s.last = NAN
    s.keep = 1.0
    s.share = 1.0 / <double>period
    s.value = NAN
    s.seed_left = period
    s.period = period


# 100 when there were no losses; 0 when there was no movement at all, as TA-Lib (which calls less
# than 1e-14 none).
cdef inline double rsi_of(double gain, double loss) noexcept nogil:
    cdef double both = gain + loss
    return 0.0 if both < 1e-14 else 100.0 * (gain / both)


# The sample must be finite: a NaN would stay for ever. No branch depends on the prices: half of
# them would be mispredicted.
cdef inline double rsi_step(RsiState *s, double sample) noexcept nogil:
    cdef double change = sample - s.last
    cdef double up
    cdef double down
    if s.seed_left > 0:
        return rsi_seed(s, sample)
    up = change if change > 0.0 else 0.0
    down = up - change
    s.last = sample
    s.gain = s.gain * s.keep + up * s.share
    s.loss = s.loss * s.keep + down * s.share
    s.value = rsi_of(s.gain, s.loss)
    return s.value


# The first `period` changes count alike.
cdef inline double rsi_seed(RsiState *s, double sample) noexcept nogil:
    cdef double change = sample - s.last
    if change == change:
        if change > 0.0:
            s.gain += change * s.share
        else:
            s.loss -= change * s.share
        s.seed_left -= 1
        if s.seed_left == 0:
            s.keep = <double>(s.period - 1) * s.share
            s.value = rsi_of(s.gain, s.loss)
    s.last = sample
    return s.value


# out may be `samples` itself.
cdef void rsi_block(
    RsiState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class Rsi:
    cdef RsiState _state
    cdef int64_t _period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
