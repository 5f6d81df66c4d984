"""Pivot levels of the previous session: classic floor pivots and Camarilla.

Owner thread: one at a time per state. Memory: none beyond the struct.
"""

from libc.math cimport NAN

cdef enum:
    PIVOT_OUTPUTS = 9        # pivot, r1..r4, s1..s4: the order of every array of outputs

cdef enum PivotKind:
    PIVOT_CLASSIC = 0
    PIVOT_CAMARILLA = 1


cdef struct PivotsState:
    double levels[9]         # pivot, r1..r4, s1..s4; NaN until a whole session has passed
    double high              # of the running session; NaN before the first session start
    double low
    double close
    int kind                 # PivotKind


cdef inline size_t pivots_scratch(int kind) noexcept nogil:
    return 0


cdef inline void pivots_init(PivotsState *state, int kind, double *scratch) noexcept nogil:
    cdef int i
    for i in range(PIVOT_OUTPUTS):
        state.levels[i] = NAN
    state.high = NAN
    state.low = NAN
    state.close = NAN
    state.kind = kind


cdef inline void pivots_turn(PivotsState *state) noexcept nogil:
    """The session that just ended becomes the levels of the one that begins."""
    cdef double span = state.high - state.low
    cdef double pivot = (state.high + state.low + state.close) / 3.0
    state.levels[0] = pivot
    if state.kind == PIVOT_CAMARILLA:
        state.levels[1] = state.close + span * 1.1 / 12.0
        state.levels[2] = state.close + span * 1.1 / 6.0
        state.levels[3] = state.close + span * 1.1 / 4.0
        state.levels[4] = state.close + span * 1.1 / 2.0
        state.levels[5] = state.close - span * 1.1 / 12.0
        state.levels[6] = state.close - span * 1.1 / 6.0
        state.levels[7] = state.close - span * 1.1 / 4.0
        state.levels[8] = state.close - span * 1.1 / 2.0
    else:
        state.levels[1] = 2.0 * pivot - state.low
        state.levels[2] = pivot + span
        state.levels[3] = state.high + 2.0 * (pivot - state.low)
        state.levels[5] = 2.0 * pivot - state.high
        state.levels[6] = pivot - span
        state.levels[7] = state.low - 2.0 * (state.high - pivot)


cdef inline double pivots_step(
    PivotsState *state, double high, double low, double close, int session_start
) noexcept nogil:
    if session_start:
        if state.high == state.high:
            pivots_turn(state)
        state.high = high
        state.low = low
        state.close = close
    elif state.high == state.high:
        if high > state.high:
            state.high = high
        if low < state.low:
            state.low = low
        state.close = close
    return state.levels[0]


# `outs`: PIVOT_OUTPUTS pointers, each NULL (not written) or n doubles.
cdef void pivots_block(
    PivotsState *state, const double *high, const double *low, const double *close,
    const unsigned char *session_start, double **outs, size_t n
) noexcept nogil


cdef class Pivots:
    cdef PivotsState _state
    cpdef double update(
        self, double high, double low, double close, bint session_start=*
    ) except? -1.0
