"""Simple moving average, without drift.

The window is the tail of one block of `period` samples and the head of the next. When a block is
full its samples are replaced, in place, by the sums from each place to the block's end; the head
has a running sum. So the window's sum is always one addition, `head + tail[position + 1]`, and
nothing is ever subtracted: a sample that left the window leaves no rounding error behind, however
long the run. All samples are taken relative to `shift`, the first sample of the block, which is
itself in the window: a flat window gives exactly its price.

Error:               at most 2 * period units in the last place of the window's range.
Who may call what:   one owner thread for each state.
Memory:              2 * (period + 1) doubles of the caller's, none after `sma_init`.
Cost:                O(1) amortised; every period-th sample costs O(period).
"""

from libc.math cimport NAN
from libc.stdint cimport int64_t

cdef struct SmaState:
    double *slots      # [0, position): this block's samples; [position, period]: sums of the last
    double *spare      # where `sma_block` makes the next tail sums while it reads these
    double shift       # the first sample of this block
    double head        # sum of (sample - shift) over this block
    double inverse     # 1 / period
    double value       # NaN until ready
    int64_t period
    int64_t position   # samples in this block; period means it is full


cdef inline size_t sma_scratch(int64_t period) noexcept nogil:
    return 2 * (<size_t>period + 1)


cdef inline void sma_init(SmaState *s, int64_t period, double *scratch) noexcept nogil:
    cdef int64_t i
    s.slots = scratch
    s.spare = scratch + period + 1
    s.shift = 0.0
    s.head = 0.0
    s.inverse = 1.0 / <double>period
    s.value = NAN
    s.period = period
    s.position = period
    # The samples before the first are NaN, so that every window that reaches them is NaN.
    for i in range(period):
        scratch[i] = NAN
    s.slots[period] = 0.0
    s.spare[period] = 0.0


# Turns the full block into its tail sums, relative to `shift`, the first sample of the next block.
cdef inline void sma_turn(double *slots, int64_t period, double shift) noexcept nogil:
    cdef double total = 0.0
    cdef int64_t i = period
    while i > 0:
        i -= 1
        total += slots[i] - shift
        slots[i] = total


# The sample must be finite: another one stays for up to two periods.
cdef inline double sma_step(SmaState *s, double sample) noexcept nogil:
    if s.position == s.period:
        sma_turn(s.slots, s.period, sample)
        s.shift = sample
        s.head = 0.0
        s.position = 0
    s.slots[s.position] = sample
    s.position += 1
    s.head += sample - s.shift
    s.value = s.shift + (s.head + s.slots[s.position]) * s.inverse
    return s.value


# The same results as stepping, bit for bit, however the samples are cut into calls. out may be
# `samples` itself (then slower); it must not overlap them otherwise.
cdef void sma_block(
    SmaState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class Sma:
    cdef SmaState _state
    cdef double *_scratch
    cdef int64_t _period
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
