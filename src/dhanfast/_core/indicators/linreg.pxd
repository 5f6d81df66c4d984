"""Least-squares line through the last n samples, without drift: slope, value at the newest sample,
intercept at the oldest.

Two blocks as in `sma.pxd`, with plain sums and sums weighted by place; the line needs no other.

Error:               slope: a few * period units in the last place of the window's range / period.
Who may call what:   one owner thread for each state.
Memory:              4 * (period + 1) doubles of the caller's, none after `linreg_init`.
Cost:                O(1) amortised; every period-th sample costs O(period).
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

cdef struct LinregState:
    double *slots      # [0, position): this block's samples; [position, period]: tail sums
    double *ramps      # [position, period]: tail sums weighted 1, 2, .. from there
    double *spare      # where blocks make the next two tables while they read these
    double shift       # the first sample of this block
    double head        # sum of (sample - shift) over this block
    double ramp        # the same with each sample's place in the window, from 1 at the oldest
    double weight      # period: the newest sample's place
    double middle      # (period - 1) / 2: from the mean place to the newest
    double scale       # 1 / sum((place - middle)**2)
    double inverse     # 1 / period
    double slope       # per sample; NaN until ready
    double mean        # of the window; NaN until ready
    int64_t period
    int64_t position   # samples in this block; period means it is full


cdef inline size_t linreg_scratch(int64_t period) noexcept nogil:
    return 4 * (<size_t>period + 1)


# period >= 2: one point has no slope.
cdef inline void linreg_init(LinregState *s, int64_t period, double *scratch) noexcept nogil:
    cdef int64_t i
    cdef double n = <double>period
    s.slots = scratch
    s.ramps = scratch + period + 1
    s.spare = scratch + 2 * (period + 1)
    s.shift = 0.0
    s.head = 0.0
    s.ramp = 0.0
    s.middle = 0.5 * (n - 1.0)
    s.scale = 12.0 / (n * (n * n - 1.0))
    s.inverse = 1.0 / n
    s.weight = n
    s.slope = NAN
    s.mean = NAN
    s.period = period
    s.position = period
    for i in range(period):
        s.slots[i] = NAN
        s.ramps[i] = NAN
    s.slots[period] = 0.0
    s.ramps[period] = 0.0
    s.spare[period] = 0.0
    s.spare[2 * period + 1] = 0.0


cdef inline void linreg_turn(
    double *slots, double *ramps, int64_t period, double shift
) noexcept nogil:
    cdef double total = 0.0
    cdef double weighted = 0.0
    cdef int64_t i = period
    while i > 0:
        i -= 1
        total += slots[i] - shift
        weighted += total
        slots[i] = total
        ramps[i] = weighted


# Leaves s.slope and s.mean; returns s.slope. The sample must be finite.
cdef inline double linreg_step(LinregState *s, double sample) noexcept nogil:
    cdef double gap
    cdef double total
    cdef double weighted
    if s.position == s.period:
        linreg_turn(s.slots, s.ramps, s.period, sample)
        s.shift = sample
        s.head = 0.0
        s.ramp = 0.0
        s.position = 0
    gap = sample - s.shift
    s.slots[s.position] = sample
    # Every sample of this block is one place nearer to the oldest than before.
    s.ramp += gap * s.weight - s.head
    s.head += gap
    s.position += 1
    weighted = s.ramp + s.ramps[s.position]
    total = s.head + s.slots[s.position]
    s.slope = (weighted - (s.middle + 1.0) * total) * s.scale
    s.mean = s.shift + total * s.inverse
    return s.slope


# The line at the newest sample (TA-Lib `TA_LINEARREG`) and at the oldest (`.._INTERCEPT`).
cdef inline double linreg_value(const LinregState *s) noexcept nogil:
    return s.mean + s.slope * s.middle


cdef inline double linreg_intercept(const LinregState *s) noexcept nogil:
    return s.mean - s.slope * s.middle


# out may be `samples` itself (then slower); it must not overlap them otherwise. Only the slopes are
# written.
cdef void linreg_block(
    LinregState *s, const double *samples, double *out, size_t n
) noexcept nogil


# The same, but the line's value at each newest sample is written.
cdef void linreg_value_block(
    LinregState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class Linreg:
    cdef LinregState _state
    cdef double *_scratch
    cdef int64_t _period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
