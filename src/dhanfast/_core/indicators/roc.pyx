# cython: binding=False, always_allow_keywords=False
"""Rate of change: O(1) an update."""

cimport cython
from libc.stdlib cimport free
from libc.string cimport memcpy

from dhanfast._core.indicators.series cimport (
    is_wild,
    period_in,
    refuse_sample,
    scratch_new,
    series_apart,
    series_in,
    series_out,
)


cdef void roc_block(
    RocState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    cdef RocState local = s[0]
    cdef size_t period = <size_t>s.period
    cdef size_t first = n
    cdef size_t i
    if samples != out and n > period:
        first = period
    for i in range(first):
        out[i] = roc_step(&local, samples[i])
    if first < n:
        # The old samples are still in place: no ring needed until the end.
        for i in range(first, n):
            out[i] = roc_of(samples[i], samples[i - period])
        memcpy(local.ring, samples + (n - period), period * sizeof(double))
        local.position = 0
        local.value = out[n - 1]
    s[0] = local


@cython.final
cdef class Roc:
    """Rate of change: percent against the sample `period` before.

        value = (sample / old - 1) * 100,   0 when old is 0

    Args:
        period: samples, 1..100_000.

    Units:
        value is in percent.

    Shape:
        `update`: scalar in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period out of range; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        TA-Lib `TA_ROC`.
    """

    def __cinit__(self, object period):
        self._period = period_in("period", period, 1)
        self._scratch = scratch_new(roc_scratch(self._period))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        roc_init(&self._state, self._period, self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the change (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return roc_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the change after each.

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
                roc_block(&self._state, &samples[0], &places[0], count)
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
        """True once `period` + 1 samples were taken."""
        return self._state.value == self._state.value


def roc(object values, object period=10):
    """Rate of change of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 1..100_000.

    Shape:
        float64[n]; NaN at 0..period-1.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period out of range.
    """
    return Roc(period).update_many(values)
