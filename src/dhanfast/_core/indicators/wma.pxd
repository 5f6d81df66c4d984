"""Linearly weighted moving average, without drift.

Two blocks as in `sma.pxd`. The tail of the last block keeps its weights 1, 2, .. in its table of
sums of sums; the head of this block needs its plain sum and its sum weighted by place.

Error:               at most 2 * period units in the last place of the window's range.
Who may call what:   one owner thread for each state.
Memory:              period + 1 doubles of the caller's, none after `wma_init`.
Cost:                O(1) amortised; every period-th sample costs O(period).
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

cdef struct WmaState:
    double *slots      # [0, position): this block's samples; [position, period]: weighted tail sums
    double shift       # the first sample of this block
    double head        # sum of (sample - shift) over this block
    double ramp        # the same with weights 0, 1, 2, .. from the block's start
    double inverse     # 1 / (1 + 2 + .. + period)
    double value       # NaN until ready
    int64_t period
    int64_t position   # samples in this block; period means it is full


cdef inline size_t wma_scratch(int64_t period) noexcept nogil:
    return <size_t>period + 1


cdef inline void wma_init(WmaState *s, int64_t period, double *scratch) noexcept nogil:
    cdef int64_t i
    s.slots = scratch
    s.shift = 0.0
    s.head = 0.0
    s.ramp = 0.0
    s.inverse = 2.0 / (<double>period * (<double>period + 1.0))
    s.value = NAN
    s.period = period
    s.position = period
    for i in range(period):
        scratch[i] = NAN
    scratch[period] = 0.0


# slots[i] becomes 1 * slots[i] + 2 * slots[i + 1] + .., each relative to `shift`.
cdef inline void wma_turn(double *slots, int64_t period, double shift) noexcept nogil:
    cdef double total = 0.0
    cdef double weighted = 0.0
    cdef int64_t i = period
    while i > 0:
        i -= 1
        total += slots[i] - shift
        weighted += total
        slots[i] = weighted


# The sample must be finite: another one stays for up to two periods.
cdef inline double wma_step(WmaState *s, double sample) noexcept nogil:
    cdef double gap
    cdef double weighted
    if s.position == s.period:
        wma_turn(s.slots, s.period, sample)
        s.shift = sample
        s.head = 0.0
        s.ramp = 0.0
        s.position = 0
    gap = sample - s.shift
    s.slots[s.position] = sample
    s.head += gap
    s.ramp += gap * <double>s.position
    # This block's samples weigh period - position, and one more for each place after the first.
    weighted = s.ramp + s.head * <double>(s.period - s.position)
    s.position += 1
    s.value = s.shift + (weighted + s.slots[s.position]) * s.inverse
    return s.value


# out may be `samples` itself.
cdef void wma_block(
    WmaState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class Wma:
    cdef WmaState _state
    cdef double *_scratch
    cdef readonly int64_t period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
