# cython: binding=False, always_allow_keywords=False
"""Rolling standard deviation, z-score, minimum and maximum: O(1) amortised, no drift."""

cimport cython
from libc.math cimport INFINITY
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

from dhanfast.errors import UsageError


cdef int64_t ddof_in(object ddof) except -1:
    if ddof not in (0, 1):
        raise UsageError(f"ddof must be 0 or 1, got {ddof!r}")
    return ddof


cdef void moments_block(
    MomentsState *s, const double *samples, double *mean, double *std, size_t n
) noexcept nogil:
    # A local copy: the outputs may not alias it, so the compiler keeps it in registers.
    cdef MomentsState local = s[0]
    cdef size_t i
    if mean == NULL:
        for i in range(n):
            std[i] = moments_step(&local, samples[i])
    else:
        for i in range(n):
            std[i] = moments_step(&local, samples[i])
            mean[i] = local.mean
    s[0] = local


cdef void zscore_block(
    ZscoreState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    cdef ZscoreState local = s[0]
    cdef size_t i
    for i in range(n):
        out[i] = zscore_step(&local, samples[i])
    s[0] = local


# One whole block, and the tail minima for the block after it.
cdef inline void _whole_min(
    RollingMinState *s, const double *samples, double *out
) noexcept nogil:
    cdef int64_t period = s.period
    cdef double *tail = s.slots
    cdef double *made = s.spare
    cdef double head = samples[0]
    cdef double extreme = INFINITY
    cdef double sample
    cdef int64_t k
    for k in range(period):
        sample = samples[k]
        head = head if head < sample else sample
        sample = tail[k + 1]
        out[k] = head if head < sample else sample
        sample = samples[period - 1 - k]
        extreme = extreme if extreme < sample else sample
        made[period - 1 - k] = extreme
    s.slots = made
    s.spare = tail


cdef void rolling_min_block(
    RollingMinState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    cdef RollingMinState local = s[0]
    cdef size_t i = 0
    cdef size_t period = <size_t>s.period
    while i < n:
        if local.position == local.period and n - i > period and samples != out:
            rolling_min_turn(local.slots, local.period)
            while n - i > period:
                _whole_min(&local, samples + i, out + i)
                i += period
            local.head = samples[i]
            local.position = 0
        out[i] = rolling_min_step(&local, samples[i])
        i += 1
    s[0] = local


# One whole block, and the tail maxima for the block after it.
cdef inline void _whole_max(
    RollingMaxState *s, const double *samples, double *out
) noexcept nogil:
    cdef int64_t period = s.period
    cdef double *tail = s.slots
    cdef double *made = s.spare
    cdef double head = samples[0]
    cdef double extreme = -INFINITY
    cdef double sample
    cdef int64_t k
    for k in range(period):
        sample = samples[k]
        head = head if head > sample else sample
        sample = tail[k + 1]
        out[k] = head if head > sample else sample
        sample = samples[period - 1 - k]
        extreme = extreme if extreme > sample else sample
        made[period - 1 - k] = extreme
    s.slots = made
    s.spare = tail


cdef void rolling_max_block(
    RollingMaxState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    cdef RollingMaxState local = s[0]
    cdef size_t i = 0
    cdef size_t period = <size_t>s.period
    while i < n:
        if local.position == local.period and n - i > period and samples != out:
            rolling_max_turn(local.slots, local.period)
            while n - i > period:
                _whole_max(&local, samples + i, out + i)
                i += period
            local.head = samples[i]
            local.position = 0
        out[i] = rolling_max_step(&local, samples[i])
        i += 1
    s[0] = local


@cython.final
cdef class RollingStd:
    """Standard deviation of the last `period` samples.

        value = sqrt(sum((sample - mean)**2) / (period - ddof))

    Args:
        period: samples, 2..100_000 (1 is allowed when ddof is 0).
        ddof: 0 divides by period (TA-Lib), 1 by period - 1.

    Units:
        value is in the unit of the samples.

    Shape:
        `update`: scalar in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period or ddof out of range; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance"; TA-Lib
        `TA_STDDEV` for ddof 0.
    """

    def __cinit__(self, object period, object ddof=0):
        self._ddof = ddof_in(ddof)
        self._period = period_in("period", period, self._ddof + 1)
        self._scratch = scratch_new(moments_scratch(self._period))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        moments_init(&self._state, self._period, self._ddof, self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the deviation (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return moments_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the deviation after each.

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
                moments_block(&self._state, &samples[0], NULL, &places[0], count)
        return target

    @property
    def period(self):
        """Samples in the window, as given."""
        return self._period

    @property
    def ddof(self):
        """What is taken from the period in the divisor: 0 or 1."""
        return self._ddof

    @property
    def mean(self):
        """The mean of the same window; NaN until `ready`."""
        return self._state.mean

    @property
    def value(self):
        """The newest value; NaN until `ready`."""
        return self._state.std

    @property
    def ready(self):
        """True once `period` samples were taken."""
        return self._state.std == self._state.std


@cython.final
cdef class Zscore:
    """How many deviations the newest sample is above the mean of the last `period`.

        value = (sample - mean) / std,   0 when the window is flat

    Args:
        period: samples, 2..100_000 (1 is allowed when ddof is 0).
        ddof: 0 divides by period (TA-Lib), 1 by period - 1.

    Units:
        value has no unit.

    Shape:
        `update`: scalar in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period or ddof out of range; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        The standard score; window and deviation as `RollingStd`.
    """

    def __cinit__(self, object period, object ddof=0):
        self._ddof = ddof_in(ddof)
        self._period = period_in("period", period, self._ddof + 1)
        self._scratch = scratch_new(zscore_scratch(self._period))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        zscore_init(&self._state, self._period, self._ddof, self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the z-score (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return zscore_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the z-score after each.

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
                zscore_block(&self._state, &samples[0], &places[0], count)
        return target

    @property
    def period(self):
        """Samples in the window, as given."""
        return self._period

    @property
    def ddof(self):
        """What is taken from the period in the divisor: 0 or 1."""
        return self._ddof

    @property
    def mean(self):
        """The mean of the window; NaN until `ready`."""
        return self._state.moments.mean

    @property
    def std(self):
        """The standard deviation of the window; NaN until `ready`."""
        return self._state.moments.std

    @property
    def value(self):
        """The newest value; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True once `period` samples were taken."""
        return self._state.value == self._state.value


@cython.final
cdef class RollingMin:
    """Least of the last `period` samples.

        value = min(samples)

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
        van Herk (1992), Gil and Werman (1993); TA-Lib `TA_MIN`.
    """

    def __cinit__(self, object period):
        self._period = period_in("period", period, 1)
        self._scratch = scratch_new(rolling_min_scratch(self._period))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        rolling_min_init(&self._state, self._period, self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the minimum (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return rolling_min_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the minimum after each.

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
                rolling_min_block(&self._state, &samples[0], &places[0], count)
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


@cython.final
cdef class RollingMax:
    """Greatest of the last `period` samples.

        value = max(samples)

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
        van Herk (1992), Gil and Werman (1993); TA-Lib `TA_MAX`.
    """

    def __cinit__(self, object period):
        self._period = period_in("period", period, 1)
        self._scratch = scratch_new(rolling_max_scratch(self._period))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        rolling_max_init(&self._state, self._period, self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the maximum (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return rolling_max_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the maximum after each.

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
                rolling_max_block(&self._state, &samples[0], &places[0], count)
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


def rolling_std(object values, object period=20, object ddof=0):
    """Rolling standard deviation of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 2..100_000 (1 is allowed when ddof is 0).
        ddof: 0 divides by period (TA-Lib), 1 by period - 1.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period or ddof out of range.
    """
    return RollingStd(period, ddof).update_many(values)


def zscore(object values, object period=20, object ddof=0):
    """Rolling z-score of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 2..100_000 (1 is allowed when ddof is 0).
        ddof: 0 divides by period (TA-Lib), 1 by period - 1.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period or ddof out of range.
    """
    return Zscore(period, ddof).update_many(values)


def rolling_min(object values, object period=14):
    """Rolling minimum of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 1..100_000.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period out of range.
    """
    return RollingMin(period).update_many(values)


def rolling_max(object values, object period=14):
    """Rolling maximum of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 1..100_000.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period out of range.
    """
    return RollingMax(period).update_many(values)
