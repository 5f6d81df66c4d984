"""Keltner channel: an exponential average of the close with bands some ATRs away.

Owner thread: one at a time per state. Memory: none beyond the struct.
"""

from libc.math cimport NAN

from dhanfast._core.indicators.atr cimport AtrState, atr_init, atr_step
from dhanfast._core.indicators.ema cimport EmaState, ema_init, ema_step


cdef struct KeltnerState:
    EmaState ema
    AtrState atr
    double middle            # the three: NaN until both averages have a value
    double upper
    double lower
    double width             # ATRs between the middle and a band


cdef inline size_t keltner_scratch(int period, int atr_period, double width) noexcept nogil:
    return 0


cdef inline void keltner_init(
    KeltnerState *state, int period, int atr_period, double width, double *scratch
) noexcept nogil:
    ema_init(&state.ema, period, scratch)
    atr_init(&state.atr, atr_period, scratch)
    state.middle = NAN
    state.upper = NAN
    state.lower = NAN
    state.width = width


# Returns the middle line.
cdef inline double keltner_step(
    KeltnerState *state, double high, double low, double close
) noexcept nogil:
    cdef double middle = ema_step(&state.ema, close)
    cdef double average = atr_step(&state.atr, high, low, close)
    cdef double reach = state.width * average
    # All three begin on the same bar, so a rule never sees a middle without its bands.
    state.middle = middle if average == average else NAN
    state.upper = middle + reach
    state.lower = middle - reach
    return state.middle


# Any output but `middle` may be NULL: it is then not written.
cdef void keltner_block(
    KeltnerState *state, const double *high, const double *low, const double *close,
    double *upper, double *middle, double *lower, size_t n
) noexcept nogil


cdef class Keltner:
    cdef KeltnerState _state
    cpdef double update(self, double high, double low, double close) except? -1.0
