"""Native time: monotonic and UTC nanoseconds, and a latency histogram of fixed memory.

Owner thread:  `mono_ns` and `utc_raw_ns` any thread; a ClockState or LatencyState has one owner.
Memory:        a histogram is one allocation at construction, none after.
Units:         nanoseconds throughout.

Two clocks, because each lies in its own way: CLOCK_REALTIME is stepped by operators and NTP,
CLOCK_MONOTONIC has no date. `clock_utc_ns` is monotonic time plus an offset measured once, so
that a stream of stamps never runs backwards; `clock_calibrate` measures the offset again and
says by how much the wall clock was stepped. Only `clock.py` (and the engine's native threads
on its behalf) may ask for UTC; everything else is given a time.

Histogram: log-linear buckets. With b bits, values below 2**b have a bucket each; above, every
power of two is cut into 2**b equal buckets. A bucket is at most 2**-b of its value wide, and a
percentile is reported as the middle of its bucket: relative error <= 2**-(b+1), 0.4 % at b = 7.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec

from dhanfast._core.types cimport ns_t


cdef extern from *:
    int __builtin_clzll(unsigned long long value) nogil


cdef inline ns_t mono_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <ns_t>now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef inline ns_t utc_raw_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return <ns_t>now.tv_sec * 1_000_000_000 + now.tv_nsec


cdef struct ClockState:
    ns_t offset_ns        # UTC - monotonic
    ns_t error_ns         # half the narrowest bracket it was measured in
    ns_t last_ns          # newest stamp given out; the next is never below it


# Measures the offset; returns by how much it moved (0 the first time).
cdef ns_t clock_calibrate(ClockState *clock) noexcept nogil


cdef inline ns_t clock_utc_ns(ClockState *clock) noexcept nogil:
    cdef ns_t now = mono_ns() + clock.offset_ns
    if now < clock.last_ns:        # a recalibration moved the offset back: stand still instead
        return clock.last_ns
    clock.last_ns = now
    return now


cdef struct LatencyState:
    uint64_t *counts
    uint64_t count        # samples recorded
    uint64_t negative     # samples below zero: a clock was stepped; not in `count`
    uint64_t sum_ns       # exact while count * mean < 2**64 (584 years)
    ns_t min_ns           # INT64_MAX while empty
    ns_t max_ns           # -1 while empty
    int32_t bits


cdef inline size_t latency_bucket(int32_t bits, uint64_t value) noexcept nogil:
    cdef int32_t shift
    if value < <uint64_t>1 << bits:
        return value
    shift = 63 - __builtin_clzll(value) - bits
    # (value >> shift) is in [2**bits, 2**(bits+1)): its top bit adds the one to `shift`.
    return (<size_t>shift << bits) + (value >> shift)


cdef inline void latency_record(LatencyState *state, ns_t sample_ns) noexcept nogil:
    if sample_ns < 0:
        state.negative += 1
        return
    state.counts[latency_bucket(state.bits, <uint64_t>sample_ns)] += 1
    state.count += 1
    state.sum_ns += <uint64_t>sample_ns
    if sample_ns < state.min_ns:
        state.min_ns = sample_ns
    if sample_ns > state.max_ns:
        state.max_ns = sample_ns


cdef class UtcClock:
    cdef ClockState state


cdef class LatencyHistogram:
    cdef LatencyState state
    cdef size_t _buckets

    cdef tuple _bounds(self, size_t bucket)
