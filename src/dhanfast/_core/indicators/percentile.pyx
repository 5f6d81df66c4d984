# cython: binding=False, always_allow_keywords=False
"""Rolling percentile: O(log period) an update."""

cimport cython
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free

from dhanfast._core.indicators.series cimport (
    is_wild,
    period_in,
    refuse_sample,
    scratch_new,
    series_apart,
    series_in,
    series_out,
)

from dhanfast.errors import UsageError


cdef void percentile_build(PercentileState *s) noexcept nogil:
    cdef int64_t last
    cdef int64_t at = s.period >> 1
    cdef double key
    cdef int32_t which
    while at > 0:
        at -= 1
        percentile_sink(s, 0, s.period, at)
    # Heap sort, least on top: afterwards the greatest comes first.
    last = s.period - 1
    while last > 0:
        key = s.keys[0]
        which = s.slot[0]
        percentile_set(s, 0, s.keys[last], s.slot[last])
        percentile_set(s, last, key, which)
        percentile_sink(s, 0, last, 0)
        last -= 1
    at = 0
    last = s.upper_count - 1
    while at < last:
        key = s.keys[at]
        which = s.slot[at]
        percentile_set(s, at, s.keys[last], s.slot[last])
        percentile_set(s, last, key, which)
        at += 1
        last -= 1
    for at in range(s.upper_count, s.period):
        s.keys[at] = -s.keys[at]


cdef void percentile_block(
    PercentileState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    # A local copy: `out` may not alias it, so the compiler keeps it in registers.
    cdef PercentileState local = s[0]
    cdef size_t i
    for i in range(n):
        out[i] = percentile_step(&local, samples[i])
    s[0] = local


@cython.final
cdef class RollingPercentile:
    """Percentile of the last `period` samples, between ranks by proportion.

        value = sorted[k] + f * (sorted[k + 1] - sorted[k]),   k + f = percent / 100 * (period - 1)

    Args:
        period: samples, 1..100_000.
        percent: 0..100; 50 is the median.

    Units:
        value is in the unit of the samples.

    Shape:
        `update`: scalar in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period or percent out of range; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        Two heaps with positions, after Hardle and Steiger (1995), algorithm AS 296; the
        interpolation is numpy's `percentile` (Hyndman and Fan's type 7).
    """

    def __cinit__(self, object period, double percent=50.0):
        if not 0.0 <= percent <= 100.0:
            raise UsageError(f"percent must be 0..100, got {percent}")
        self._percent = percent
        self._period = period_in("period", period, 1)
        self._scratch = scratch_new(percentile_scratch(self._period, self._percent))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        percentile_init(&self._state, self._period, self._percent, self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the percentile (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return percentile_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the percentile after each.

        Raises:
            BadData: a sample is NaN or infinite; nothing was taken.
            UsageError: `out` does not fit.
        """
        source = series_in("values", values)
        target = series_out("out", out, len(source))
        series_apart((source,), (target,))
        cdef const double[::1] samples = source
        cdef double[::1] places = target
        cdef size_t count = samples.shape[0]
        if count:
            with nogil:
                percentile_block(&self._state, &samples[0], &places[0], count)
        return target

    @property
    def period(self):
        """Samples in the window, as given."""
        return self._period

    @property
    def percent(self):
        """The wanted percentile, 0..100."""
        return self._percent

    @property
    def value(self):
        """The newest value; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True once `period` samples were taken."""
        return self._state.value == self._state.value


def rolling_percentile(object values, object period=100, double percent=50.0):
    """Rolling percentile of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 1..100_000.
        percent: 0..100; 50 is the median.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period or percent out of range.
    """
    return RollingPercentile(period, percent).update_many(values)
