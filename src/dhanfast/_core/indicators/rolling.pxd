"""Statistics of the last n samples: mean with standard deviation, z-score, minimum, maximum.

All use the two blocks of `sma.pxd`: a tail of the last block, read from a table made when that
block was full, and a head of this block, kept by adding. Nothing is subtracted, so nothing drifts,
and there is no deque to walk and no branch that depends on the prices. Deviations are taken from
`shift`, a sample of the window itself, so that squares do not cancel; a flat window has exactly
zero deviation. Rolling mean alone is `sma`; rolling percentile is in `percentile`.

Error:               variance: 4 * period * period units in the last place at the very worst (one
                     outlier in an otherwise flat window), a few units on prices.
Who may call what:   one owner thread for each state.
Memory:              the caller's scratch, none after `*_init`.
Cost:                O(1) amortised; every period-th sample costs O(period).
"""

from libc.math cimport INFINITY, NAN, sqrt
from libc.stdint cimport int64_t

cdef struct MomentsState:
    double *slots      # [0, position): this block's samples; [position, period]: tail sums
    double *squares    # [position, period]: tail sums of squares
    double shift       # the first sample of this block
    double head        # sum of (sample - shift) over this block
    double head2       # sum of (sample - shift)**2 over this block
    double inverse     # 1 / period
    double inverse2    # 1 / (period - ddof)
    double mean        # NaN until ready
    double std         # NaN until ready
    int64_t period
    int64_t position   # samples in this block; period means it is full

cdef struct ZscoreState:
    MomentsState moments
    double value       # NaN until ready

cdef struct RollingMinState:
    double *slots      # [0, position): this block's samples; [position, period]: tail minima
    double *spare      # where `rolling_min_block` makes the next ones while it reads these
    double head        # minimum of this block
    double value       # NaN until ready
    int64_t period
    int64_t position

cdef struct RollingMaxState:
    double *slots      # [0, position): this block's samples; [position, period]: tail maxima
    double *spare      # where `rolling_max_block` makes the next ones while it reads these
    double head        # maximum of this block
    double value       # NaN until ready
    int64_t period
    int64_t position


# --- mean and standard deviation -----------------------------------------------------------------

cdef inline size_t moments_scratch(int64_t period) noexcept nogil:
    return 2 * (<size_t>period + 1)


# ddof 0 divides by period (TA-Lib, Bollinger), 1 by period - 1; period > ddof.
cdef inline void moments_init(
    MomentsState *s, int64_t period, int64_t ddof, double *scratch
) noexcept nogil:
    cdef int64_t i
    s.slots = scratch
    s.squares = scratch + period + 1
    s.shift = 0.0
    s.head = 0.0
    s.head2 = 0.0
    s.inverse = 1.0 / <double>period
    s.inverse2 = 1.0 / <double>(period - ddof)
    s.mean = NAN
    s.std = NAN
    s.period = period
    s.position = period
    for i in range(period):
        s.slots[i] = NAN
        s.squares[i] = NAN
    s.slots[period] = 0.0
    s.squares[period] = 0.0


cdef inline void moments_turn(
    double *slots, double *squares, int64_t period, double shift
) noexcept nogil:
    cdef double total = 0.0
    cdef double total2 = 0.0
    cdef double gap
    cdef int64_t i = period
    while i > 0:
        i -= 1
        gap = slots[i] - shift
        total += gap
        total2 += gap * gap
        slots[i] = total
        squares[i] = total2


# Leaves s.mean and s.std; returns s.std. The sample must be finite.
cdef inline double moments_step(MomentsState *s, double sample) noexcept nogil:
    cdef double gap
    cdef double total
    cdef double spread
    if s.position == s.period:
        moments_turn(s.slots, s.squares, s.period, sample)
        s.shift = sample
        s.head = 0.0
        s.head2 = 0.0
        s.position = 0
    s.slots[s.position] = sample
    s.position += 1
    gap = sample - s.shift
    s.head += gap
    s.head2 += gap * gap
    total = s.head + s.slots[s.position]
    gap = total * s.inverse
    s.mean = s.shift + gap
    spread = (s.head2 + s.squares[s.position]) - total * gap
    # Rounding can leave a tiny negative number; a NaN stays a NaN.
    s.std = sqrt(0.0 if spread < 0.0 else spread * s.inverse2)
    return s.std


# std may be `samples` itself; mean may be NULL when it is not wanted.
cdef void moments_block(
    MomentsState *s, const double *samples, double *mean, double *std, size_t n
) noexcept nogil


# --- z-score --------------------------------------------------------------------------------------

cdef inline size_t zscore_scratch(int64_t period) noexcept nogil:
    return moments_scratch(period)


cdef inline void zscore_init(
    ZscoreState *s, int64_t period, int64_t ddof, double *scratch
) noexcept nogil:
    moments_init(&s.moments, period, ddof, scratch)
    s.value = NAN


# Zero when the window is flat.
cdef inline double zscore_step(ZscoreState *s, double sample) noexcept nogil:
    moments_step(&s.moments, sample)
    if s.moments.std == 0.0:
        s.value = 0.0
    else:
        s.value = (sample - s.moments.mean) / s.moments.std
    return s.value


cdef void zscore_block(
    ZscoreState *s, const double *samples, double *out, size_t n
) noexcept nogil


# --- minimum and maximum --------------------------------------------------------------------------
# `a if a < b else b` compiles to one minsd, and gives b when either is NaN: the order of the
# operands is what keeps windows that reach before the first sample NaN.

cdef inline size_t rolling_min_scratch(int64_t period) noexcept nogil:
    return 2 * (<size_t>period + 1)


cdef inline void rolling_min_init(
    RollingMinState *s, int64_t period, double *scratch
) noexcept nogil:
    cdef int64_t i
    s.slots = scratch
    s.spare = scratch + period + 1
    s.head = INFINITY
    s.value = NAN
    s.period = period
    s.position = period
    for i in range(period):
        scratch[i] = NAN
    s.slots[period] = INFINITY
    s.spare[period] = INFINITY


cdef inline void rolling_min_turn(double *slots, int64_t period) noexcept nogil:
    cdef double least = INFINITY
    cdef int64_t i = period
    while i > 0:
        i -= 1
        least = least if least < slots[i] else slots[i]
        slots[i] = least


cdef inline double rolling_min_step(RollingMinState *s, double sample) noexcept nogil:
    if s.position == s.period:
        rolling_min_turn(s.slots, s.period)
        s.head = sample
        s.position = 0
    s.slots[s.position] = sample
    s.position += 1
    s.head = s.head if s.head < sample else sample
    s.value = s.head if s.head < s.slots[s.position] else s.slots[s.position]
    return s.value


cdef void rolling_min_block(
    RollingMinState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef inline size_t rolling_max_scratch(int64_t period) noexcept nogil:
    return 2 * (<size_t>period + 1)


cdef inline void rolling_max_init(
    RollingMaxState *s, int64_t period, double *scratch
) noexcept nogil:
    cdef int64_t i
    s.slots = scratch
    s.spare = scratch + period + 1
    s.head = -INFINITY
    s.value = NAN
    s.period = period
    s.position = period
    for i in range(period):
        scratch[i] = NAN
    s.slots[period] = -INFINITY
    s.spare[period] = -INFINITY


cdef inline void rolling_max_turn(double *slots, int64_t period) noexcept nogil:
    cdef double most = -INFINITY
    cdef int64_t i = period
    while i > 0:
        i -= 1
        most = most if most > slots[i] else slots[i]
        slots[i] = most


cdef inline double rolling_max_step(RollingMaxState *s, double sample) noexcept nogil:
    if s.position == s.period:
        rolling_max_turn(s.slots, s.period)
        s.head = sample
        s.position = 0
    s.slots[s.position] = sample
    s.position += 1
    s.head = s.head if s.head > sample else sample
    s.value = s.head if s.head > s.slots[s.position] else s.slots[s.position]
    return s.value


cdef void rolling_max_block(
    RollingMaxState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class RollingStd:
    cdef MomentsState _state
    cdef double *_scratch
    cdef int64_t _period
    cdef int64_t _ddof
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept


cdef class Zscore:
    cdef ZscoreState _state
    cdef double *_scratch
    cdef int64_t _period
    cdef int64_t _ddof
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept


cdef class RollingMin:
    cdef RollingMinState _state
    cdef double *_scratch
    cdef int64_t _period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept


cdef class RollingMax:
    cdef RollingMaxState _state
    cdef double *_scratch
    cdef int64_t _period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
