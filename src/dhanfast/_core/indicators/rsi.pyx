# cython: binding=False, always_allow_keywords=False
"""Wilder's relative strength index: O(1) an update, no memory."""

cimport cython

from dhanfast._core.indicators.series cimport (
    is_wild,
    period_in,
    refuse_sample,
    series_apart,
    series_in,
    series_out,
)


cdef void rsi_block(
    RsiState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    # A local copy: `out` may not alias it, so the compiler keeps it in registers.
    cdef RsiState local = s[0]
    cdef size_t i
    for i in range(n):
        out[i] = rsi_step(&local, samples[i])
    s[0] = local


@cython.final
cdef class Rsi:
    """Wilder's relative strength index.

        value = 100 * gain / (gain + loss)

        gain and loss are Wilder averages of rises and falls, each moved by (change - average) /
        period, seeded with the mean of the first `period` changes. No falls give 100; no movement
        at all gives 0, as TA-Lib.

    Args:
        period: samples, 1..100_000.

    Units:
        value is 0..100.

    Shape:
        `update`: scalar in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period out of range; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        Wilder, J.W. (1978), "New Concepts in Technical Trading Systems"; TA-Lib `TA_RSI`.
    """

    def __cinit__(self, object period):
        self._period = period_in("period", period, 1)
        self.reset()

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        rsi_init(&self._state, self._period, NULL)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the index (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return rsi_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the index after each.

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
                rsi_block(&self._state, &samples[0], &places[0], count)
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


def rsi(object values, object period=14):
    """Relative strength index of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 1..100_000.

    Shape:
        float64[n]; NaN at 0..period-1.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period out of range.
    """
    return Rsi(period).update_many(values)
