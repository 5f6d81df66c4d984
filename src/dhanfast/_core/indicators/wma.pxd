"""Linearly weighted moving average, without drift.

Two blocks as in `sma.pxd`. The tail of the last block keeps its weights 1, 2, .. in its table of
sums of sums; the head of this block needs its plain sum and its sum weighted by place.

Error:               at most 2 * period units in the last place of the window's range.
Who may call what:   one owner thread for each state.
Memory:              2 * (period + 1) doubles of the caller's, none after `wma_init`.
Cost:                O(1) amortised; every period-th sample costs O(period).
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

cdef struct WmaState:
    double *slots      # [0, position): this block's samples; [position, period]: weighted tail sums
    double *spare      # where `wma_block` makes the next tail sums while it reads these
    double shift       # the first sample of this block
    double head        # sum of (sample - shift) over this block
    double ramp        # the same with the weights that these samples have in the window
    double weight      # period: the newest sample's weight
    double inverse     # 1 / (1 + 2 + .. + period)
    double value       # NaN until ready
    int64_t period
    int64_t position   # samples in this block; period means it is full


cdef inline size_t wma_scratch(int64_t period) noexcept nogil:
    return 2 * (<size_t>period + 1)


cdef inline void wma_init(WmaState *s, int64_t period, double *scratch) noexcept nogil:
    cdef int64_t i
    s.slots = scratch
    s.spare = scratch + period + 1
    s.shift = 0.0
    s.head = 0.0
    s.ramp = 0.0
    s.weight = <double>period
    s.inverse = 2.0 / (<double>period * (<double>period + 1.0))
    s.value = NAN
    s.period = period
    s.position = period
    for i in range(period):
        scratch[i] = NAN
    s.slots[period] = 0.0
    s.spare[period] = 0.0


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
    if s.position == s.period:
        wma_turn(s.slots, s.period, sample)
        s.shift = sample
        s.head = 0.0
        s.ramp = 0.0
        s.position = 0
    gap = sample - s.shift
    s.slots[s.position] = sample
    # Every sample of this block has one less weight than before, and the new one has all of it.
    s.ramp += gap * s.weight - s.head
    s.head += gap
    s.position += 1
    s.value = s.shift + (s.ramp + s.slots[s.position]) * s.inverse
    return s.value


# out may be `samples` itself (then slower); it must not overlap them otherwise.
cdef void wma_block(
    WmaState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class Wma:
    cdef WmaState _state
    cdef double *_scratch
    cdef int64_t _period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
