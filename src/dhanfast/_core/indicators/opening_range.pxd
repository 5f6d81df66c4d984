"""Opening range: highest and lowest price of the first bars, or minutes, of a session.

Owner thread: one at a time per state. Memory: none beyond the structs.
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t


cdef struct OpeningRangeState:
    double high              # NaN until the range is complete, and again from a session start
    double low
    double high_so_far
    double low_so_far
    int bars                 # length of the range
    int bars_left            # of this session's range; 0 = complete; -1 = no session seen yet


cdef inline size_t opening_range_scratch(int bars) noexcept nogil:
    return 0


cdef inline void opening_range_init(
    OpeningRangeState *state, int bars, double *scratch
) noexcept nogil:
    state.high = NAN
    state.low = NAN
    state.high_so_far = NAN
    state.low_so_far = NAN
    state.bars = bars
    state.bars_left = -1


cdef inline double opening_range_step(
    OpeningRangeState *state, double high, double low, int session_start
) noexcept nogil:
    if session_start:
        state.high = NAN
        state.low = NAN
        state.high_so_far = high
        state.low_so_far = low
        state.bars_left = state.bars
    if state.bars_left > 0:
        if high > state.high_so_far:
            state.high_so_far = high
        if low < state.low_so_far:
            state.low_so_far = low
        state.bars_left -= 1
        if state.bars_left == 0:
            state.high = state.high_so_far
            state.low = state.low_so_far
    return state.high


cdef void opening_range_block(
    OpeningRangeState *state, const double *high, const double *low,
    const unsigned char *session_start, double *high_out, double *low_out, size_t n
) noexcept nogil


cdef struct OpeningMinutesState:
    double high              # NaN until the range is complete, and again from a session start
    double low
    double high_so_far       # NaN until a bar of the range has come
    double low_so_far
    int64_t span_ns          # length of the range
    int64_t bar_ns           # length of a bar
    int state                # -1 = no session seen yet, 0 = forming, 1 = closed


cdef inline size_t opening_minutes_scratch(int64_t span_ns, int64_t bar_ns) noexcept nogil:
    return 0


cdef inline void opening_minutes_init(
    OpeningMinutesState *state, int64_t span_ns, int64_t bar_ns, double *scratch
) noexcept nogil:
    state.high = NAN
    state.low = NAN
    state.high_so_far = NAN
    state.low_so_far = NAN
    state.span_ns = span_ns
    state.bar_ns = bar_ns
    state.state = -1


# `since_open_ns`: start of the bar minus the session's opening time; negative before the open.
cdef inline double opening_minutes_step(
    OpeningMinutesState *state, double high, double low, int64_t since_open_ns, int session_start
) noexcept nogil:
    if session_start:
        state.high = NAN
        state.low = NAN
        state.high_so_far = NAN
        state.low_so_far = NAN
        state.state = 0
    if state.state == 0:
        if 0 <= since_open_ns < state.span_ns:
            if not high <= state.high_so_far:           # also true while it is NaN
                state.high_so_far = high
            if not low >= state.low_so_far:
                state.low_so_far = low
        # Known at the close of this bar: nothing inside the range can still come.
        if since_open_ns + state.bar_ns >= state.span_ns:
            state.high = state.high_so_far
            state.low = state.low_so_far
            state.state = 1
    return state.high


cdef void opening_minutes_block(
    OpeningMinutesState *state, const double *high, const double *low,
    const int64_t *since_open_ns, const unsigned char *session_start,
    double *high_out, double *low_out, size_t n
) noexcept nogil


cdef class OpeningRange:
    cdef OpeningRangeState _state
    cpdef double update(self, double high, double low, bint session_start=*) except? -1.0


cdef class OpeningMinutes:
    cdef OpeningMinutesState _state
    cpdef double update(
        self, double high, double low, int64_t since_open_ns, bint session_start=*
    ) except? -1.0
