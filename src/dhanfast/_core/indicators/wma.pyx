# cython: binding=False, always_allow_keywords=False
"""Linearly weighted moving average: O(1) amortised an update, no drift."""

cimport cython
from libc.stdint cimport int64_t
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


# One whole block: its averages, and the tail sums for the block after it (see `sma.pyx`).
cdef inline void _whole(
    WmaState *s, const double *samples, double *out
) noexcept nogil:
    cdef int64_t period = s.period
    cdef double *tail = s.slots
    cdef double *made = s.spare
    cdef double shift = samples[0]
    cdef double shift_next = samples[period]
    cdef double inverse = s.inverse
    cdef double head = 0.0
    cdef double ramp = 0.0
    cdef double total = 0.0
    cdef double weighted = 0.0
    cdef double weight = s.weight
    cdef double gap
    cdef int64_t k
    for k in range(period):
        gap = samples[k] - shift
        ramp += gap * weight - head
        head += gap
        out[k] = shift + (ramp + tail[k + 1]) * inverse
        total += samples[period - 1 - k] - shift_next
        weighted += total
        made[period - 1 - k] = weighted
    s.slots = made
    s.spare = tail


cdef void wma_block(
    WmaState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    # A local copy: `out` may not alias it, so the compiler keeps it in registers.
    cdef WmaState local = s[0]
    cdef size_t i = 0
    cdef size_t period = <size_t>s.period
    while i < n:
        if local.position == local.period and n - i > period and samples != out:
            wma_turn(local.slots, local.period, samples[i])
            while n - i > period:
                _whole(&local, samples + i, out + i)
                i += period
            local.shift = samples[i]
            local.head = 0.0
            local.ramp = 0.0
            local.position = 0
        out[i] = wma_step(&local, samples[i])
        i += 1
    s[0] = local


@cython.final
cdef class Wma:
    """Linearly weighted moving average of the last `period` samples.

        value = sum(weight * sample) / sum(weight),   weights 1 (oldest) .. period (newest)

    Args:
        period: samples, 1..100_000.

    Units:
        value is in the unit of the samples.

    Shape:
        `update`: scalar in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period out of range; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        TA-Lib `TA_WMA`; kept in two blocks so that it cannot drift.
    """

    def __cinit__(self, object period):
        self._period = period_in("period", period, 1)
        self._scratch = scratch_new(wma_scratch(self._period))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        wma_init(&self._state, self._period, self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the average (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return wma_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the average after each.

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
                wma_block(&self._state, &samples[0], &places[0], count)
        return target

    @property
    def period(self):
        """Samples in the window, as given."""
        return self._period

    @property
    def value(self):
        """The newest value; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True once `period` samples were taken."""
        return self._state.value == self._state.value


def wma(object values, object period=20):
    """Linearly weighted moving average of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 1..100_000.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period out of range.
    """
    return Wma(period).update_many(values)
