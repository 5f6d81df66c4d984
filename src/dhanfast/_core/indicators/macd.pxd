"""Moving average convergence and divergence.

Who may call what:   one owner thread for each state.
Memory:              none beyond the struct (`macd_scratch` is 0).
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

from dhanfast._core.indicators.ema cimport EmaState, ema_init, ema_step

cdef struct MacdState:
    EmaState fast
    EmaState slow
    EmaState trail     # the signal line: an average of the line
    double line        # fast - slow; NaN until ready
    double signal      # NaN until ready
    double hist        # line - signal; NaN until ready
    int64_t seen       # samples taken, until all three averages run (then it stays)
    int64_t fast_from  # samples before the first that seeds the fast average


cdef inline size_t macd_scratch(int64_t fast, int64_t slow, int64_t signal) noexcept nogil:
    return 0


# fast < slow. TA-Lib's alignment: the fast average is seeded with the last `fast` of the first
# `slow` samples, so that both averages have their first value at the same sample.
cdef inline void macd_init(
    MacdState *s, int64_t fast, int64_t slow, int64_t signal, double *scratch
) noexcept nogil:
    ema_init(&s.fast, fast, NULL)
    ema_init(&s.slow, slow, NULL)
    ema_init(&s.trail, signal, NULL)
    s.line = NAN
    s.signal = NAN
    s.hist = NAN
    s.seen = 0
    s.fast_from = slow - fast


# The seeds. Kept apart so that the running form has one branch.
cdef inline double macd_seed(MacdState *s, double sample) noexcept nogil:
    cdef double line
    if s.seen >= s.fast_from:
        ema_step(&s.fast, sample)
    ema_step(&s.slow, sample)
    s.seen += 1
    if s.slow.seed_left == 0:
        line = s.fast.value - s.slow.value
        s.signal = ema_step(&s.trail, line)
        if s.trail.seed_left == 0:
            s.line = line
            s.hist = line - s.signal
    return s.line


# Leaves s.line, s.signal and s.hist; returns s.line. The sample must be finite.
cdef inline double macd_step(MacdState *s, double sample) noexcept nogil:
    if s.trail.seed_left > 0:
        return macd_seed(s, sample)
    s.fast.value = sample * s.fast.alpha + s.fast.value * s.fast.keep
    s.slow.value = sample * s.slow.alpha + s.slow.value * s.slow.keep
    s.line = s.fast.value - s.slow.value
    s.trail.value = s.line * s.trail.alpha + s.trail.value * s.trail.keep
    s.signal = s.trail.value
    s.hist = s.line - s.signal
    return s.line


# line may be `samples` itself; the outputs must not overlap one another.
cdef void macd_block(
    MacdState *s, const double *samples, double *line, double *signal, double *hist, size_t n
) noexcept nogil


cdef class Macd:
    cdef MacdState _state
    cdef int64_t _fast
    cdef int64_t _slow
    cdef int64_t _signal_period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
