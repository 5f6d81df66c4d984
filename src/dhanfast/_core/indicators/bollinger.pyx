# cython: binding=False, always_allow_keywords=False
"""Bollinger bands (Bollinger 2001), as TA-Lib's BBANDS with its simple moving average."""

cimport cython
from libc.stdlib cimport free

from dhanfast._core.indicators.ohlc cimport (
    data_in,
    data_out,
    is_finite,
    not_negative,
    outputs,
    refuse_sample,
    samples_in,
)
from dhanfast._core.indicators.series cimport period_in, scratch_new, series_apart


cdef void bollinger_block(
    BollingerState *state, const double *samples,
    double *upper, double *middle, double *lower, size_t n
) noexcept nogil:
    cdef BollingerState local = state[0]      # a private copy lives in registers
    cdef size_t i
    for i in range(n):
        middle[i] = bollinger_step(&local, samples[i])
        if upper != NULL:
            upper[i] = local.upper
        if lower != NULL:
            lower[i] = local.lower
    state[0] = local


@cython.final
cdef class Bollinger:
    """Bollinger bands.

        middle = mean of the last `period` samples
        upper = middle + width_up * sd,  lower = middle - width_down * sd

    sd divides by `period` (population). TA-Lib subtracts squares of whole prices; here deviations
    are taken from a sample of the window, so bands around a flat price keep their digits and
    nothing drifts with the length of the run.

    Args:
        period: samples, 2..100_000.
        width_up, width_down: deviations between the middle and a band, zero or more.
    Units:
        In the unit of the samples.
    Shape:
        `update`: scalar in, the middle band out; NaN for the first period - 1 samples. The bands
        are properties.
        `update_many`: float64[n] in, three float64[n] out; an output may be the input.
    Raises:
        UsageError (a ValueError): a parameter out of range; arrays that do not fit.
        BadData (a ValueError): a sample is NaN or infinite; the state is unchanged.
    Source:
        Bollinger, J. (2001), Bollinger on Bollinger Bands. Warm-up is TA-Lib's BBANDS; values
        agree with it to the digits TA-Lib keeps.
    """

    def __cinit__(self, period=20, width_up=2.0, width_down=2.0):
        cdef int samples = period_in("period", period, 2)
        cdef double up = not_negative("width_up", width_up)
        cdef double down = not_negative("width_down", width_down)
        self._scratch = scratch_new(bollinger_scratch(samples, up, down))
        bollinger_init(&self._state, samples, up, down, self._scratch)

    def __dealloc__(self):
        free(self._scratch)

    cpdef double update(self, double sample) except? -1.0:
        """Take one sample; return the middle band, NaN during warm-up."""
        if not is_finite(sample):
            refuse_sample("sample", sample, -1, False)
        return bollinger_step(&self._state, sample)

    def update_many(self, values, upper=None, middle=None, lower=None):
        """Take n samples; return upper, middle and lower band after each.

        In the arrays given or in new ones; the same bits as n updates. Nothing is taken when
        anything is refused.
        """
        source = samples_in("values", values, False)
        cdef Py_ssize_t n = len(source)
        targets = outputs(
            ("upper", "middle", "lower"), (upper, middle, lower), n)
        series_apart((source,), targets)
        cdef const double *samples = data_in(source)
        cdef double *upper_out = data_out(targets[0])
        cdef double *middle_out = data_out(targets[1])
        cdef double *lower_out = data_out(targets[2])
        with nogil:
            bollinger_block(&self._state, samples, upper_out, middle_out, lower_out, n)
        return targets

    @property
    def period(self):
        """Length of the window, in samples."""
        return self._state.moments.period

    @property
    def width_up(self):
        """Deviations between the middle and the upper band."""
        return self._state.width_up

    @property
    def width_down(self):
        """Deviations between the middle and the lower band."""
        return self._state.width_down

    @property
    def value(self):
        """The middle band; NaN until `ready`."""
        return self._state.moments.mean

    @property
    def upper(self):
        """The upper band; NaN until `ready`."""
        return self._state.upper

    @property
    def middle(self):
        """The middle band; NaN until `ready`."""
        return self._state.moments.mean

    @property
    def lower(self):
        """The lower band; NaN until `ready`."""
        return self._state.lower

    @property
    def deviation(self):
        """Population standard deviation of the window; NaN until `ready`."""
        return self._state.moments.std

    @property
    def ready(self):
        """True once `period` samples have come."""
        return self._state.moments.mean == self._state.moments.mean

    def reset(self):
        """Forget every sample; keep the parameters."""
        bollinger_init(
            &self._state, self._state.moments.period, self._state.width_up,
            self._state.width_down, self._scratch)


def bollinger(values, period=20, width_up=2.0, width_down=2.0):
    """Upper, middle and lower band of each sample: a tuple of three float64[n].

    NaN before index period - 1. See `Bollinger`.

    Raises:
        UsageError: a parameter out of range; values not one-dimensional.
        BadData: a sample is NaN or infinite.
    """
    return Bollinger(period, width_up, width_down).update_many(values)
