"""Bollinger bands: a moving average with bands `width` standard deviations away.

Owner thread: one at a time per state. Memory: the caller's scratch, 2 * (period + 1) doubles.
"""

from libc.math cimport NAN

from dhanfast._core.indicators.rolling cimport (
    MomentsState,
    moments_init,
    moments_scratch,
    moments_step,
)


cdef struct BollingerState:
    MomentsState moments     # mean and population deviation of the window
    double upper             # NaN during warm-up
    double lower
    double width_up          # deviations between the average and the upper band
    double width_down


cdef inline size_t bollinger_scratch(
    int period, double width_up, double width_down
) noexcept nogil:
    return moments_scratch(period)


cdef inline void bollinger_init(
    BollingerState *state, int period, double width_up, double width_down, double *scratch
) noexcept nogil:
    moments_init(&state.moments, period, 0, scratch)
    state.upper = NAN
    state.lower = NAN
    state.width_up = width_up
    state.width_down = width_down


# Returns the middle band, the mean.
cdef inline double bollinger_step(BollingerState *state, double sample) noexcept nogil:
    cdef double deviation = moments_step(&state.moments, sample)
    state.upper = state.moments.mean + state.width_up * deviation
    state.lower = state.moments.mean - state.width_down * deviation
    return state.moments.mean


# Any output but `middle` may be NULL: it is then not written.
cdef void bollinger_block(
    BollingerState *state, const double *samples,
    double *upper, double *middle, double *lower, size_t n
) noexcept nogil


cdef class Bollinger:
    cdef BollingerState _state
    cdef double *_scratch
    cpdef double update(self, double sample) except? -1.0
