"""Wilder's directional movement: +DI, -DI, DX and ADX in one pass.

Owner thread: one at a time per state. Memory: none beyond the struct.
"""

from libc.math cimport NAN, fabs

from dhanfast._core.indicators.atr cimport true_range_of

# A market that stands still lets the sums decay for ever. Below this they have left the range of
# full precision and their ratios would be noise: they count as zero, and +DI and -DI with them.
# From any real price that takes 9,000 flat bars at period 14, and 900 at period 2.
cdef extern from *:
    """
    #define DF_ADX_STILL 1e-290
    """
    const double ADX_STILL "DF_ADX_STILL"


cdef struct AdxState:
    double adx               # NaN before index 2 * period - 1
    double plus_di           # NaN before index `period`, like minus_di and dx
    double minus_di
    double dx
    double prev_high
    double prev_low
    double prev_close
    double plus_sum          # Wilder sums of +DM, -DM and true range
    double minus_sum
    double range_sum
    double dx_sum            # of the first `period` DX values
    double keep              # (period - 1) / period
    double take              # 1 / period
    int period
    int bars                 # seen so far; stops counting at 2 * period


cdef inline size_t adx_scratch(int period) noexcept nogil:
    return 0


cdef inline void adx_init(AdxState *state, int period, double *scratch) noexcept nogil:
    state.adx = NAN
    state.plus_di = NAN
    state.minus_di = NAN
    state.dx = NAN
    state.prev_high = NAN
    state.prev_low = NAN
    state.prev_close = NAN
    state.plus_sum = 0.0
    state.minus_sum = 0.0
    state.range_sum = 0.0
    state.dx_sum = 0.0
    state.keep = (period - 1.0) / period
    state.take = 1.0 / period
    state.period = period
    state.bars = 0


cdef inline double adx_step(
    AdxState *state, double high, double low, double close
) noexcept nogil:
    cdef double up = high - state.prev_high
    cdef double down = state.prev_low - low
    cdef double newest, total, scale
    cdef bint moved
    if state.bars > 0:
        newest = true_range_of(high, low, state.prev_close)
        if state.bars >= state.period:
            state.plus_sum *= state.keep
            state.minus_sum *= state.keep
            state.range_sum *= state.keep
        # Times 0 or 1, not a jump: which side moved more is a coin toss no predictor can learn.
        state.plus_sum += up * <double>((up > down) & (up > 0.0))
        state.minus_sum += down * <double>((down > up) & (down > 0.0))
        state.range_sum += newest
    state.prev_high = high
    state.prev_low = low
    state.prev_close = close
    if state.bars < state.period:
        state.bars += 1
        return state.adx
    total = state.plus_sum + state.minus_sum
    scale = 0.0
    moved = False
    if state.range_sum > ADX_STILL:
        scale = 100.0 / state.range_sum
        moved = total > ADX_STILL
    else:
        state.plus_sum = 0.0
        state.minus_sum = 0.0
        state.range_sum = 0.0
    state.plus_di = scale * state.plus_sum
    state.minus_di = scale * state.minus_sum
    if moved:
        state.dx = 100.0 * (fabs(state.plus_sum - state.minus_sum) / total)
    elif state.bars == state.period:
        state.dx = 0.0
    if state.bars == 2 * state.period:
        if moved:
            state.adx = state.keep * state.adx + state.take * state.dx
        return state.adx
    if moved:
        state.dx_sum += state.dx
    state.bars += 1
    if state.bars == 2 * state.period:
        state.adx = state.dx_sum / state.period
    return state.adx


# Any output but `adx` may be NULL: it is then not written.
cdef void adx_block(
    AdxState *state, const double *high, const double *low, const double *close,
    double *adx, double *plus_di, double *minus_di, double *dx, size_t n
) noexcept nogil


cdef class Adx:
    cdef AdxState _state
    cpdef double update(self, double high, double low, double close) except? -1.0
