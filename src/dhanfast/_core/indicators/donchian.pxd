"""Donchian channel: the highest high and the lowest low of the last n bars.

Owner thread: one at a time per state. Memory: the caller's scratch, 4 * (period + 1) doubles.
"""

from libc.math cimport NAN

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


cdef struct DonchianState:
    RollingMaxState upper    # upper.value: highest high; NaN during warm-up
    RollingMinState lower    # lower.value: lowest low; NaN during warm-up
    double middle            # half-way between the two


cdef inline size_t donchian_scratch(int period) noexcept nogil:
    return rolling_max_scratch(period) + rolling_min_scratch(period)


cdef inline void donchian_init(
    DonchianState *state, int period, double *scratch
) noexcept nogil:
    rolling_max_init(&state.upper, period, scratch)
    rolling_min_init(&state.lower, period, scratch + rolling_max_scratch(period))
    state.middle = NAN


# Returns the middle of the channel.
cdef inline double donchian_step(
    DonchianState *state, double high, double low
) noexcept nogil:
    cdef double top = rolling_max_step(&state.upper, high)
    cdef double bottom = rolling_min_step(&state.lower, low)
    state.middle = 0.5 * (top + bottom)
    return state.middle


cdef void donchian_block(
    DonchianState *state, const double *high, const double *low,
    double *upper, double *middle, double *lower, size_t n
) noexcept nogil


cdef class Donchian:
    cdef DonchianState _state
    cdef double *_scratch
    cpdef double update(self, double high, double low) except? -1.0
