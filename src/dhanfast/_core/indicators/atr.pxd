"""True range and Wilder's average true range.

Owner thread: one at a time per state. Memory: none beyond the struct. Prices in any one unit.
"""

from libc.math cimport NAN


cdef inline double true_range_of(
    double high, double low, double prev_close
) noexcept nogil:
    # Equals max(high - low, |high - prev_close|, |low - prev_close|) to the last bit: rounding
    # is monotonic, and the widest of the three is this one difference.
    cdef double top = high if high > prev_close else prev_close
    cdef double bottom = low if low < prev_close else prev_close
    return top - bottom


cdef struct TrueRangeState:
    double prev_close        # NaN before the first bar
    double value             # NaN until the second bar


cdef inline size_t true_range_scratch() noexcept nogil:
    return 0


cdef inline void true_range_init(TrueRangeState *state, double *scratch) noexcept nogil:
    state.prev_close = NAN
    state.value = NAN


cdef inline double true_range_step(
    TrueRangeState *state, double high, double low, double close
) noexcept nogil:
    if state.prev_close == state.prev_close:
        state.value = true_range_of(high, low, state.prev_close)
    state.prev_close = close
    return state.value


cdef void true_range_block(
    TrueRangeState *state, const double *high, const double *low, const double *close,
    double *out, size_t n
) noexcept nogil


cdef struct AtrState:
    double value             # NaN during warm-up
    double true_range        # of the newest bar; NaN before the second bar
    double prev_close
    double keep              # (period - 1) / period: weight of the past
    double keep4             # keep ** 4
    double weights[4]        # keep ** j / period: weight of the true range j bars ago
    double ranges[3]         # true ranges of the three newest bars, oldest first
    double values[4]         # the four newest averages, oldest first
    double seed_sum          # true ranges seen during warm-up
    int period
    int warmup_left          # bars still to come before `value`; period + 1 at the start
    int chain_left           # averages still to come before the step may reach four bars back


cdef inline size_t atr_scratch(int period) noexcept nogil:
    return 0


cdef inline void atr_init(AtrState *state, int period, double *scratch) noexcept nogil:
    cdef int j
    state.value = NAN
    state.true_range = NAN
    state.prev_close = NAN
    state.keep = (period - 1.0) / period
    state.keep4 = (state.keep * state.keep) * (state.keep * state.keep)
    state.weights[0] = 1.0 / period
    for j in range(1, 4):
        state.weights[j] = state.weights[j - 1] * state.keep
    for j in range(3):
        state.ranges[j] = 0.0
    for j in range(4):
        state.values[j] = NAN
    state.seed_sum = 0.0
    state.period = period
    state.warmup_left = period + 1
    state.chain_left = 4


cdef inline double atr_step(
    AtrState *state, double high, double low, double close
) noexcept nogil:
    """Wilder's recursion unrolled over four bars: the same average, with a quarter of the wait.

    value[t] = keep**4 * value[t-4] + sum of keep**j / period * range[t-j] for j = 0..3 makes
    four independent chains of one multiplication and one addition, which atr_block runs side by
    side. The first four averages, which have no such past, use the plain form.
    """
    cdef double newest
    if state.warmup_left == 0:
        newest = true_range_of(high, low, state.prev_close)
        if state.chain_left == 0:
            state.value = state.keep4 * state.values[0] + (
                (state.weights[0] * newest + state.weights[1] * state.ranges[2])
                + (state.weights[2] * state.ranges[1] + state.weights[3] * state.ranges[0]))
        else:
            state.value = state.keep * state.value + state.weights[0] * newest
            state.chain_left -= 1
        atr_shift(state, newest)
    else:
        if state.warmup_left <= state.period:           # not the very first bar
            newest = true_range_of(high, low, state.prev_close)
            state.seed_sum += newest
            if state.warmup_left == 1:
                state.value = state.seed_sum / state.period
                state.chain_left = 3
            atr_shift(state, newest)
        state.warmup_left -= 1
    state.prev_close = close
    return state.value


cdef inline void atr_shift(AtrState *state, double newest) noexcept nogil:
    state.true_range = newest
    state.ranges[0] = state.ranges[1]
    state.ranges[1] = state.ranges[2]
    state.ranges[2] = newest
    state.values[0] = state.values[1]
    state.values[1] = state.values[2]
    state.values[2] = state.values[3]
    state.values[3] = state.value


cdef void atr_block(
    AtrState *state, const double *high, const double *low, const double *close,
    double *out, size_t n
) noexcept nogil


cdef class TrueRange:
    cdef TrueRangeState _state
    cpdef double update(self, double high, double low, double close) except? -1.0


cdef class Atr:
    cdef AtrState _state
    cpdef double update(self, double high, double low, double close) except? -1.0
