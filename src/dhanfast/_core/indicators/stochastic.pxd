"""Stochastic oscillator: where the close is in the range of the last n bars, smoothed.

Who may call what:   one owner thread for each state.
Memory:              the caller's scratch, none after `stochastic_init`.
Cost:                O(1) amortised.
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

from dhanfast._core.indicators.rolling cimport (
    RollingMaxState,
    RollingMinState,
    rolling_max_init,
    rolling_max_scratch,
    rolling_max_step,
    rolling_min_init,
    rolling_min_scratch,
    rolling_min_step,
)
from dhanfast._core.indicators.sma cimport SmaState, sma_init, sma_scratch, sma_step

cdef struct StochasticState:
    RollingMinState least
    RollingMaxState most
    SmaState smooth    # %K from raw %K
    SmaState trail     # %D from %K
    double raw         # unsmoothed %K; NaN until `period` bars
    double k           # NaN until ready, as d
    double d           # NaN until ready


cdef inline size_t stochastic_scratch(
    int64_t period, int64_t smooth, int64_t signal
) noexcept nogil:
    return (
        rolling_min_scratch(period) + rolling_max_scratch(period)
        + sma_scratch(smooth) + sma_scratch(signal)
    )


# smooth 1 is the fast stochastic.
cdef inline void stochastic_init(
    StochasticState *s, int64_t period, int64_t smooth, int64_t signal, double *scratch
) noexcept nogil:
    rolling_min_init(&s.least, period, scratch)
    scratch += rolling_min_scratch(period)
    rolling_max_init(&s.most, period, scratch)
    scratch += rolling_max_scratch(period)
    sma_init(&s.smooth, smooth, scratch)
    scratch += sma_scratch(smooth)
    sma_init(&s.trail, signal, scratch)
    s.raw = NAN
    s.k = NAN
    s.d = NAN


# From the unsmoothed %K on. A NaN must not enter the averages: it would stay for a while.
cdef inline double stochastic_smooth(StochasticState *s, double raw) noexcept nogil:
    cdef double k
    s.raw = raw
    if raw == raw:
        k = sma_step(&s.smooth, raw)
        if k == k:
            s.d = sma_step(&s.trail, k)
            if s.d == s.d:
                s.k = k
    return s.k


# Zero when the range is zero, as TA-Lib.
cdef inline double stochastic_of(double least, double most, double close) noexcept nogil:
    cdef double unit = (most - least) * 0.01
    return 0.0 if unit == 0.0 else (close - least) / unit


# Leaves s.raw, s.k and s.d; returns s.k. The samples must be finite.
cdef inline double stochastic_step(
    StochasticState *s, double high, double low, double close
) noexcept nogil:
    cdef double least = rolling_min_step(&s.least, low)
    cdef double most = rolling_max_step(&s.most, high)
    return stochastic_smooth(s, stochastic_of(least, most, close))


# An output may be one of the inputs itself; the outputs must not overlap one another.
cdef void stochastic_block(
    StochasticState *s, const double *high, const double *low, const double *close,
    double *k, double *d, size_t n
) noexcept nogil


cdef class Stochastic:
    cdef StochasticState _state
    cdef double *_scratch
    cdef int64_t _period
    cdef int64_t _smooth
    cdef int64_t _signal
    cpdef double update(self, double high, double low, double close) except? -1.0
    cpdef void reset(self) noexcept
