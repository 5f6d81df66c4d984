"""Supertrend: a trailing line an ATR multiple away, which changes side when the close crosses it.

Owner thread: one at a time per state. Memory: none beyond the struct.
"""

from libc.math cimport NAN

from dhanfast._core.indicators.atr cimport AtrState, atr_init, atr_step


cdef struct SupertrendState:
    AtrState atr
    double value             # the line; NaN during warm-up, like the four below
    double direction         # +1 in an up-trend, -1 in a down-trend
    double upper             # final upper band: only falls while the close stays below it
    double lower             # final lower band: only rises while the close stays above it
    double prev_close
    double factor            # ATRs between the middle of the bar and a band


cdef inline size_t supertrend_scratch(int period, double factor) noexcept nogil:
    return 0


cdef inline void supertrend_init(
    SupertrendState *state, int period, double factor, double *scratch
) noexcept nogil:
    atr_init(&state.atr, period, scratch)
    state.value = NAN
    state.direction = NAN
    state.upper = NAN
    state.lower = NAN
    state.prev_close = NAN
    state.factor = factor


cdef inline double supertrend_step(
    SupertrendState *state, double high, double low, double close
) noexcept nogil:
    cdef double reach = state.factor * atr_step(&state.atr, high, low, close)
    cdef double middle = 0.5 * (high + low)
    cdef double upper = middle + reach
    cdef double lower = middle - reach
    if reach == reach:
        if state.direction == state.direction:
            # Rare first, so that the processor guesses it; then a minimum needs no guess.
            if not state.prev_close > state.upper:
                upper = upper if upper < state.upper else state.upper
            if not state.prev_close < state.lower:
                lower = lower if lower > state.lower else state.lower
            if close > upper:
                state.direction = 1.0
            elif close < lower:
                state.direction = -1.0
        else:
            state.direction = 1.0 if close >= middle else -1.0
        state.upper = upper
        state.lower = lower
        state.value = lower if state.direction > 0.0 else upper
    state.prev_close = close
    return state.value


# `direction` may be NULL: it is then not written.
cdef void supertrend_block(
    SupertrendState *state, const double *high, const double *low, const double *close,
    double *line, double *direction, size_t n
) noexcept nogil


cdef class Supertrend:
    cdef SupertrendState _state
    cpdef double update(self, double high, double low, double close) except? -1.0
