"""Realised volatility: from closes (close to close) and from ranges (Parkinson).

Owner thread: one at a time per state. Memory: the caller's scratch.
"""

from libc.math cimport NAN, log, sqrt

from dhanfast._core.indicators.rolling cimport (
    MomentsState,
    moments_init,
    moments_scratch,
    moments_step,
)
from dhanfast._core.indicators.sma cimport SmaState, sma_init, sma_scratch, sma_step


cdef struct RealisedVolatilityState:
    MomentsState returns     # of the log returns, with divisor period - 1
    double prev_close        # NaN before the first bar
    double scale             # sqrt(returns per year)
    double value             # per year; NaN during warm-up


cdef inline size_t realised_volatility_scratch(int period, double per_year) noexcept nogil:
    return moments_scratch(period)


cdef inline void realised_volatility_init(
    RealisedVolatilityState *state, int period, double per_year, double *scratch
) noexcept nogil:
    moments_init(&state.returns, period, 1, scratch)
    state.prev_close = NAN
    state.scale = sqrt(per_year)
    state.value = NAN


# The close must be above zero.
cdef inline double realised_volatility_step(
    RealisedVolatilityState *state, double close
) noexcept nogil:
    if state.prev_close == state.prev_close:
        state.value = state.scale * moments_step(&state.returns, log(close / state.prev_close))
    state.prev_close = close
    return state.value


cdef void realised_volatility_block(
    RealisedVolatilityState *state, const double *close, double *out, size_t n
) noexcept nogil


cdef struct ParkinsonState:
    SmaState squares         # mean of log(high / low) ** 2
    double scale             # bars per year / (4 log 2)
    double value             # per year; NaN during warm-up


cdef inline size_t parkinson_scratch(int period, double per_year) noexcept nogil:
    return sma_scratch(period)


cdef inline void parkinson_init(
    ParkinsonState *state, int period, double per_year, double *scratch
) noexcept nogil:
    sma_init(&state.squares, period, scratch)
    state.scale = per_year / (4.0 * log(2.0))
    state.value = NAN


# Both prices must be above zero.
cdef inline double parkinson_step(ParkinsonState *state, double high, double low) noexcept nogil:
    cdef double span = log(high / low)
    cdef double mean = sma_step(&state.squares, span * span)
    # Rounding can leave a tiny negative number; a NaN stays a NaN.
    state.value = sqrt(0.0 if mean < 0.0 else mean * state.scale)
    return state.value


cdef void parkinson_block(
    ParkinsonState *state, const double *high, const double *low, double *out, size_t n
) noexcept nogil


cdef class RealisedVolatility:
    cdef RealisedVolatilityState _state
    cdef double *_scratch
    cdef double _per_year
    cpdef double update(self, double close) except? -1.0


cdef class Parkinson:
    cdef ParkinsonState _state
    cdef double *_scratch
    cdef double _per_year
    cpdef double update(self, double high, double low) except? -1.0
