"""Percentile of the last n samples.

The window is two heaps with one array of keys: `lower` holds the samples up to the wanted rank,
its greatest on top (as negated keys, so that both are least-on-top), `upper` the rest, its least
on top. A new sample takes the place of the oldest one in whichever heap that is, sinks or rises
there, and at most one exchange of the two tops restores the order. `place` finds the oldest.

    keys:  [0, upper_count) upper heap    [upper_count, period) lower heap, negated
    always: every lower sample <= every upper sample; slot[place[x]] == x for each x

Who may call what:   one owner thread for each state.
Memory:              2 * period doubles of the caller's, none after `percentile_init`.
Cost:                O(log period) a sample; the sample that completes the first window costs
                     O(period * log period).
"""

from libc.math cimport NAN
from libc.stdint cimport int32_t, int64_t

cdef struct PercentileState:
    double *keys         # heap order; see above
    int32_t *slot        # slot[i]: which sample of the ring keys[i] is
    int32_t *place       # place[x]: where in keys sample x of the ring is
    double fraction      # of the way from the rank below to the rank above
    double value         # NaN until ready
    int64_t period
    int64_t upper_count  # samples above the wanted rank
    int64_t position     # ring position of the oldest sample
    int64_t fill_left    # samples still missing from the first window


cdef inline size_t percentile_scratch(int64_t period, double percent) noexcept nogil:
    return 2 * <size_t>period


# percent in 0..100.
cdef inline void percentile_init(
    PercentileState *s, int64_t period, double percent, double *scratch
) noexcept nogil:
    cdef double rank = 0.01 * percent * <double>(period - 1)
    cdef int64_t below = <int64_t>rank
    s.keys = scratch
    s.slot = <int32_t *>(scratch + period)
    s.place = s.slot + period
    s.fraction = rank - <double>below
    s.value = NAN
    s.period = period
    s.upper_count = period - 1 - below
    s.position = 0
    s.fill_left = period


cdef inline void percentile_set(
    PercentileState *s, int64_t at, double key, int32_t which
) noexcept nogil:
    s.keys[at] = key
    s.slot[at] = which
    s.place[which] = <int32_t>at


# Moves keys[base + at] down its heap of `count` until no child is less.
cdef inline void percentile_sink(
    PercentileState *s, int64_t base, int64_t count, int64_t at
) noexcept nogil:
    cdef double key = s.keys[base + at]
    cdef int32_t which = s.slot[base + at]
    cdef int64_t child = 2 * at + 1
    while child < count:
        if child + 1 < count and s.keys[base + child + 1] < s.keys[base + child]:
            child += 1
        if not s.keys[base + child] < key:
            break
        percentile_set(s, base + at, s.keys[base + child], s.slot[base + child])
        at = child
        child = 2 * at + 1
    percentile_set(s, base + at, key, which)


# Moves keys[base + at] up its heap until its parent is not greater.
cdef inline void percentile_rise(PercentileState *s, int64_t base, int64_t at) noexcept nogil:
    cdef double key = s.keys[base + at]
    cdef int32_t which = s.slot[base + at]
    cdef int64_t parent
    while at > 0:
        parent = (at - 1) >> 1
        if not key < s.keys[base + parent]:
            break
        percentile_set(s, base + at, s.keys[base + parent], s.slot[base + parent])
        at = parent
    percentile_set(s, base + at, key, which)


# Splits the first full window: a heap sort, then each half is in order, and so is a heap.
cdef void percentile_build(PercentileState *s) noexcept nogil


cdef inline double percentile_read(const PercentileState *s) noexcept nogil:
    cdef double below = -s.keys[s.upper_count]
    if s.fraction == 0.0:
        return below
    return below + s.fraction * (s.keys[0] - below)


# The oldest sample gives its place to the new one.
cdef inline void percentile_replace(PercentileState *s, double sample) noexcept nogil:
    cdef int64_t at = s.place[s.position]
    cdef int64_t base = 0
    cdef int64_t count = s.upper_count
    cdef double key = sample
    cdef double top
    cdef int32_t which
    if at >= s.upper_count:
        base = s.upper_count
        count = s.period - base
        key = -sample
    if key < s.keys[at]:
        s.keys[at] = key
        percentile_rise(s, base, at - base)
    else:
        s.keys[at] = key
        percentile_sink(s, base, count, at - base)
    base = s.upper_count
    if base > 0 and s.keys[0] < -s.keys[base]:
        top = s.keys[0]
        which = s.slot[0]
        percentile_set(s, 0, -s.keys[base], s.slot[base])
        percentile_set(s, base, -top, which)
        percentile_sink(s, 0, base, 0)
        percentile_sink(s, base, s.period - base, 0)


# The sample must be finite: comparisons with NaN would break the heaps' order.
cdef inline double percentile_step(PercentileState *s, double sample) noexcept nogil:
    if s.fill_left > 0:
        percentile_set(s, s.position, sample, <int32_t>s.position)
        s.fill_left -= 1
        if s.fill_left == 0:
            percentile_build(s)
            s.value = percentile_read(s)
    else:
        percentile_replace(s, sample)
        s.value = percentile_read(s)
    s.position += 1
    if s.position == s.period:
        s.position = 0
    return s.value


# out may be `samples` itself.
cdef void percentile_block(
    PercentileState *s, const double *samples, double *out, size_t n
) noexcept nogil


cdef class RollingPercentile:
    cdef PercentileState _state
    cdef double *_scratch
    cdef int64_t _period
    cdef double _percent
    cpdef double update(self, double sample) except? -1.0
    cpdef void reset(self) noexcept
