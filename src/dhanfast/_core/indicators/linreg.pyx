# cython: binding=False, always_allow_keywords=False
"""Moving least-squares line: O(1) amortised an update, no drift."""

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


# One whole block: its slopes (or values), and the tail sums for the block after it (see `sma.pyx`).
cdef inline void _whole(
    LinregState *s, const double *samples, double *out, bint want_value
) noexcept nogil:
    cdef int64_t period = s.period
    cdef LinregState local = s[0]
    cdef double *made = s.spare
    cdef double *made_ramps = s.spare + period + 1
    cdef double shift_next = samples[period]
    cdef double total = 0.0
    cdef double weighted = 0.0
    cdef double window
    cdef double window_ramp
    cdef double gap
    cdef int64_t k
    local.shift = samples[0]
    local.head = 0.0
    local.ramp = 0.0
    for k in range(period):
        gap = samples[k] - local.shift
        local.ramp += gap * local.weight - local.head
        local.head += gap
        window_ramp = local.ramp + local.ramps[k + 1]
        window = local.head + local.slots[k + 1]
        local.slope = (window_ramp - (local.middle + 1.0) * window) * local.scale
        local.mean = local.shift + window * local.inverse
        out[k] = linreg_value(&local) if want_value else local.slope
        total += samples[period - 1 - k] - shift_next
        weighted += total
        made[period - 1 - k] = total
        made_ramps[period - 1 - k] = weighted
    # The two old tables lie side by side as well: `slots` is always the first of a pair.
    s.spare = s.slots
    s.slots = made
    s.ramps = made_ramps


cdef inline void _run(
    LinregState *s, const double *samples, double *out, size_t n, bint want_value
) noexcept nogil:
    # A local copy: `out` may not alias it, so the compiler keeps it in registers.
    cdef LinregState local = s[0]
    cdef size_t i = 0
    cdef size_t period = <size_t>s.period
    while i < n:
        if local.position == local.period and n - i > period and samples != out:
            linreg_turn(local.slots, local.ramps, local.period, samples[i])
            while n - i > period:
                _whole(&local, samples + i, out + i, want_value)
                i += period
            local.shift = samples[i]
            local.head = 0.0
            local.ramp = 0.0
            local.position = 0
        linreg_step(&local, samples[i])
        out[i] = linreg_value(&local) if want_value else local.slope
        i += 1
    s[0] = local


cdef void linreg_block(
    LinregState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    _run(s, samples, out, n, False)


cdef void linreg_value_block(
    LinregState *s, const double *samples, double *out, size_t n
) noexcept nogil:
    _run(s, samples, out, n, True)


@cython.final
cdef class Linreg:
    """Least-squares line through the last `period` samples.

        value = slope of the line,   in units per sample

    Args:
        period: samples, 2..100_000.

    Units:
        value is in the unit of the samples for each sample; line and intercept in their unit.

    Shape:
        `update`: scalar in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period out of range; arrays that do not fit.
        BadData: a sample is NaN or infinite (the state is unchanged).

    Source:
        TA-Lib `TA_LINEARREG_SLOPE`, `TA_LINEARREG`, `TA_LINEARREG_INTERCEPT`; kept in two blocks
        so that it cannot drift.
    """

    def __cinit__(self, object period):
        self._period = period_in("period", period, 2)
        self._scratch = scratch_new(linreg_scratch(self._period))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every sample."""
        linreg_init(&self._state, self._period, self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the slope (NaN until `ready`).

        Raises:
            BadData: the sample is NaN or infinite.
        """
        if is_wild(sample):
            refuse_sample("sample", sample)
        return linreg_step(&self._state, sample)

    def update_many(self, object values, object out=None):
        """Take float64[n] samples; return `out` (made when None) with the slope after each.

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
                linreg_block(&self._state, &samples[0], &places[0], count)
        return target

    @property
    def period(self):
        """Samples in the window, as given."""
        return self._period

    @property
    def line(self):
        """The line at the newest sample; NaN until `ready`."""
        return linreg_value(&self._state)

    @property
    def intercept(self):
        """The line at the oldest sample of the window; NaN until `ready`."""
        return linreg_intercept(&self._state)

    @property
    def value(self):
        """The newest value; NaN until `ready`."""
        return self._state.slope

    @property
    def ready(self):
        """True once `period` samples were taken."""
        return self._state.slope == self._state.slope


def linreg_slope(object values, object period=14):
    """Slope of the moving least-squares line of a whole series.

    Args:
        values: finite samples, float64[n].
        period: samples, 2..100_000.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period out of range.
    """
    return Linreg(period).update_many(values)


def linreg(object values, object period=14):
    """Moving linear regression of a whole series: the line at each newest sample.

    Args:
        values: finite samples, float64[n].
        period: samples, 2..100_000.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a sample is NaN or infinite.
        UsageError: period out of range.
    """
    cdef Linreg line = Linreg(period)
    source = series_in("values", values)
    target = series_out("out", None, len(source))
    cdef const double[::1] samples = source
    cdef double[::1] places = target
    cdef size_t count = samples.shape[0]
    if count:
        with nogil:
            linreg_value_block(&line._state, &samples[0], &places[0], count)
    return target
