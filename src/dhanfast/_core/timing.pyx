"""Monotonic and UTC time, and latency histograms: see timing.pxd for the contract."""

cimport cython
from libc.stdint cimport INT64_MAX, int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

from dhanfast.errors import UsageError


cdef ns_t clock_calibrate(ClockState *clock) noexcept nogil:
    # The wall clock is read between two monotonic reads; the narrowest of several brackets is
    # the one no interrupt fell into, and the truth lies within half its width.
    cdef ns_t before, wall, after, width
    cdef ns_t best = INT64_MAX
    cdef ns_t old = clock.offset_ns
    cdef bint first = old == 0
    cdef int _i
    for _i in range(16):
        before = mono_ns()
        wall = utc_raw_ns()
        after = mono_ns()
        width = after - before
        if width < best:
            best = width
            clock.offset_ns = wall - before - width // 2
    clock.error_ns = best // 2 + 1
    return 0 if first else clock.offset_ns - old


def monotonic_ns():
    """Nanoseconds of the machine's monotonic clock: for durations and deadlines, not for dates.

    Units:
        nanoseconds since an arbitrary point; the same for every process of one boot.
    """
    return mono_ns()


@cython.final
cdef class UtcClock:
    """UTC nanoseconds that never run backwards: monotonic time plus a measured offset.

    Units:
        int64 nanoseconds since the Unix epoch, UTC.
    Shape:
        one owner thread; no allocation after construction.
    """

    def __cinit__(self):
        clock_calibrate(&self.state)

    def now_ns(self):
        """Nanoseconds since the Unix epoch, UTC; never below the one before."""
        return clock_utc_ns(&self.state)

    def calibrate(self):
        """Measure the offset again; return by how many nanoseconds the wall clock was stepped."""
        return clock_calibrate(&self.state)

    @property
    def error_ns(self):
        """Bound of the offset's error, nanoseconds."""
        return self.state.error_ns


@cython.final
cdef class LatencyHistogram:
    """Counts of durations in log-linear buckets: O(1) a sample, fixed memory, mergeable.

    Args:
        bits: buckets per power of two are 2**bits; 1..12. Memory: (64 - bits) * 2**bits * 8 bytes.
    Units:
        nanoseconds, 0..2**63 - 1. A negative sample is counted in `negative` and left out.
    Shape:
        `record`: a scalar. `record_many`: int64[n], C-contiguous.
        `percentile`: scalar in, scalar out; relative error at most `relative_error`.
    Raises:
        UsageError: bits or a percentile out of range; merging histograms of different bits.
    Source:
        Gil Tene's HdrHistogram for the idea; written from the bucket formula in timing.pxd.
    """

    def __cinit__(self, int bits=7):
        if bits < 1 or bits > 12:
            raise UsageError(f"bits must be in 1..12, was {bits}")
        self._buckets = <size_t>(64 - bits) << bits
        self.state.counts = <uint64_t *>calloc(self._buckets, sizeof(uint64_t))
        if self.state.counts == NULL:
            raise MemoryError(f"latency histogram of {self._buckets} buckets")
        self.state.bits = bits
        self.state.min_ns = INT64_MAX
        self.state.max_ns = -1

    def __dealloc__(self):
        free(self.state.counts)

    def record(self, int64_t sample_ns):
        """Count one duration in nanoseconds."""
        latency_record(&self.state, sample_ns)

    def record_many(self, const int64_t[::1] samples_ns):
        """Count each duration of an int64 array, without the GIL."""
        cdef Py_ssize_t i
        with nogil:
            for i in range(samples_ns.shape[0]):
                latency_record(&self.state, samples_ns[i])

    def merge(self, LatencyHistogram other not None):
        """Add another histogram's counts to this one; `other` is unchanged."""
        cdef size_t i
        if other.state.bits != self.state.bits:
            raise UsageError(
                f"cannot merge a histogram of bits={other.state.bits} into one of "
                f"bits={self.state.bits}: build both with the same bits")
        for i in range(self._buckets):
            self.state.counts[i] += other.state.counts[i]
        self.state.count += other.state.count
        self.state.negative += other.state.negative
        self.state.sum_ns += other.state.sum_ns
        self.state.min_ns = min(self.state.min_ns, other.state.min_ns)
        self.state.max_ns = max(self.state.max_ns, other.state.max_ns)

    def reset(self):
        """Forget every sample."""
        memset(self.state.counts, 0, self._buckets * sizeof(uint64_t))
        self.state.count = self.state.negative = self.state.sum_ns = 0
        self.state.min_ns = INT64_MAX
        self.state.max_ns = -1

    def percentile(self, double percent):
        """The smallest duration that at least `percent` of the samples do not exceed.

        Args:
            percent: 0..100; 50 is the median, 99.9 the usual tail.
        Units:
            nanoseconds; None when no sample was recorded.
        Raises:
            UsageError: percent is not in 0..100.
        """
        cdef uint64_t seen = 0, rank
        cdef size_t i
        cdef ns_t low, width
        if not 0.0 <= percent <= 100.0:
            raise UsageError(f"percent must be in 0..100, was {percent}")
        if self.state.count == 0:
            return None
        # Nearest rank. The small term keeps 0.29 * 100 = 28.999999999999996 at rank 29.
        exact = percent / 100.0 * self.state.count
        rank = max(1, <uint64_t>np.ceil(exact - 1e-9 * max(1.0, exact)))
        if rank >= self.state.count:
            return self.state.max_ns                 # the largest is known exactly
        for i in range(self._buckets):
            seen += self.state.counts[i]
            if seen >= rank:
                low, width = self._bounds(i)
                return min(max(low + width // 2, self.state.min_ns), self.state.max_ns)
        return self.state.max_ns

    cdef tuple _bounds(self, size_t bucket):
        # Inverse of latency_bucket: (lowest value, width).
        cdef int bits = self.state.bits
        cdef size_t shift = bucket >> bits
        if shift == 0:
            return bucket, 1
        shift -= 1
        low = (<uint64_t>bucket - (<uint64_t>shift << bits)) << shift
        return low, <uint64_t>1 << shift

    def buckets(self):
        """Occupied buckets: (lowest value, width, count), each an int64 array, ascending."""
        cdef size_t i
        rows = [(*self._bounds(i), self.state.counts[i])
                for i in range(self._buckets) if self.state.counts[i]]
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()

    @property
    def count(self):
        """Samples recorded, negative ones left out."""
        return self.state.count

    @property
    def negative(self):
        """Samples below zero that were left out: a clock was stepped."""
        return self.state.negative

    @property
    def min_ns(self):
        """Smallest sample, exact; None when empty."""
        return self.state.min_ns if self.state.count else None

    @property
    def max_ns(self):
        """Largest sample, exact; None when empty."""
        return self.state.max_ns if self.state.count else None

    @property
    def mean_ns(self):
        """Mean of the samples, exact but for the division; None when empty."""
        return <double>self.state.sum_ns / self.state.count if self.state.count else None

    @property
    def relative_error(self):
        """Bound of a percentile's relative error: 2**-(bits + 1)."""
        return 2.0 ** -(self.state.bits + 1)
