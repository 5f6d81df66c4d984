# cython: binding=False, always_allow_keywords=False
"""Donchian channel: what a breakout breaks out of. Bands equal TA-Lib's MAX and MIN."""

cimport cython
from libc.stdlib cimport free
from libc.string cimport memcpy

from dhanfast._core.indicators.ohlc cimport (
    bar_is_sound,
    data_in,
    data_out,
    outputs,
    ranges_in,
    refuse_bar,
)
from dhanfast._core.indicators.rolling cimport rolling_max_block, rolling_min_block
from dhanfast._core.indicators.series cimport period_in, scratch_new, series_apart

cdef enum:
    CHUNK = 1024             # bars whose bands stay in the first-level cache


cdef void donchian_block(
    DonchianState *state, const double *high, const double *low,
    double *upper, double *middle, double *lower, size_t n
) noexcept nogil:
    cdef double tops[CHUNK]           # an output may be one of the inputs: finish reading first
    cdef double bottoms[CHUNK]
    cdef size_t i, start = 0, count
    while start < n:
        count = min(n - start, <size_t>CHUNK)
        rolling_max_block(&state.upper, &high[start], &tops[0], count)
        rolling_min_block(&state.lower, &low[start], &bottoms[0], count)
        memcpy(&upper[start], &tops[0], count * sizeof(double))
        memcpy(&lower[start], &bottoms[0], count * sizeof(double))
        for i in range(count):
            middle[start + i] = 0.5 * (tops[i] + bottoms[i])
        state.middle = 0.5 * (tops[count - 1] + bottoms[count - 1])
        start += count


@cython.final
cdef class Donchian:
    """Donchian channel.

        upper = highest high, lower = lowest low of the last `period` bars
        middle = (upper + lower) / 2

    The newest bar is inside the window: a close cannot exceed `upper` of its own bar. Compare it
    with the channel of the bar before for a breakout.

    Args:
        period: bars, 1..100_000.
    Units:
        In the unit of the prices.
    Shape:
        `update`: two scalars in, the middle out; NaN for the first period - 1 bars. The bands
        are properties.
        `update_many`: float64[n] in, three float64[n] out; an output may be one of the inputs.
    Raises:
        UsageError (a ValueError): period out of range; arrays that do not fit.
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Donchian, R.D. (1960), "Commodities: high finance in copper", Financial Analysts
        Journal 16(6).
    """

    def __cinit__(self, period=20):
        cdef int bars = period_in("period", period, 1)
        self._scratch = scratch_new(donchian_scratch(bars))
        donchian_init(&self._state, bars, self._scratch)

    def __dealloc__(self):
        free(self._scratch)

    cpdef double update(self, double high, double low) except? -1.0:
        """Take one closed bar; return the middle of the channel, NaN during warm-up."""
        if not bar_is_sound(high, low, low):
            refuse_bar(high, low, low, -1)
        return donchian_step(&self._state, high, low)

    def update_many(self, high, low, upper=None, middle=None, lower=None):
        """Take n bars; return upper, middle and lower after each, in the arrays given or new ones.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        ranges = ranges_in(high, low)
        cdef Py_ssize_t n = len(ranges[0])
        targets = outputs(
            ("upper", "middle", "lower"), (upper, middle, lower), n)
        series_apart(ranges, targets)
        cdef const double *highs = data_in(ranges[0])
        cdef const double *lows = data_in(ranges[1])
        cdef double *upper_out = data_out(targets[0])
        cdef double *middle_out = data_out(targets[1])
        cdef double *lower_out = data_out(targets[2])
        with nogil:
            donchian_block(&self._state, highs, lows, upper_out, middle_out, lower_out, n)
        return targets

    @property
    def period(self):
        """Length of the window, in bars."""
        return self._state.upper.period

    @property
    def value(self):
        """The middle of the channel; NaN until `ready`."""
        return self._state.middle

    @property
    def upper(self):
        """Highest high of the window; NaN until `ready`."""
        return self._state.upper.value

    @property
    def middle(self):
        """The middle of the channel; NaN until `ready`."""
        return self._state.middle

    @property
    def lower(self):
        """Lowest low of the window; NaN until `ready`."""
        return self._state.lower.value

    @property
    def ready(self):
        """True once `period` bars have come."""
        return self._state.middle == self._state.middle

    def reset(self):
        """Forget every bar; keep the period."""
        donchian_init(&self._state, self._state.upper.period, self._scratch)


def donchian(high, low, period=20):
    """Upper, middle and lower of each bar: a tuple of three float64[n].

    NaN before index period - 1. See `Donchian`.

    Raises:
        UsageError: period out of range; arrays of different lengths or not one-dimensional.
        BadData: a price is NaN or infinite, or high < low.
    """
    return Donchian(period).update_many(high, low)
