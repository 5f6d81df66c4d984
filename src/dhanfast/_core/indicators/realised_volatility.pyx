# cython: binding=False, always_allow_keywords=False
"""Realised volatility, close to close and Parkinson, per year."""

cimport cython
from libc.stdlib cimport free

from dhanfast._core.indicators.ohlc cimport (
    bar_is_sound,
    data_in,
    data_out,
    is_finite,
    positive,
    ranges_in,
    refuse_bar,
    refuse_sample,
    samples_in,
)
from dhanfast._core.indicators.series cimport period_in, scratch_new, series_apart, series_out


cdef void realised_volatility_block(
    RealisedVolatilityState *state, const double *close, double *out, size_t n
) noexcept nogil:
    cdef RealisedVolatilityState local = state[0]     # a private copy lives in registers
    cdef size_t i
    for i in range(n):
        out[i] = realised_volatility_step(&local, close[i])
    state[0] = local


cdef void parkinson_block(
    ParkinsonState *state, const double *high, const double *low, double *out, size_t n
) noexcept nogil:
    cdef ParkinsonState local = state[0]
    cdef size_t i
    for i in range(n):
        out[i] = parkinson_step(&local, high[i], low[i])
    state[0] = local


@cython.final
cdef class RealisedVolatility:
    """Close-to-close volatility per year.

        sqrt(per_year) * standard deviation of the last `period` log returns

    The deviation divides by period - 1 and subtracts the mean return. A return spans two closes
    in a row, whatever lies between them: over a night it is an overnight return.

    Args:
        period: returns, 2..100_000.
        per_year: returns in a year, above zero; no default, because a wrong one is a wrong answer.
            252 for daily bars; 252 * 375 for the minutes of a 09:15-15:30 day.
    Units:
        A fraction per year: 0.15 is 15 %. Free of the unit of the prices.
    Shape:
        `update`: scalar in, scalar out; NaN for the first `period` closes.
        `update_many`: float64[n] in and out; `out` may be the input.
    Raises:
        UsageError (a ValueError): a parameter out of range; arrays that do not fit.
        BadData (a ValueError): a close is NaN, infinite, zero or negative; the state is unchanged.
    Source:
        Hull, J.C., Options, Futures, and Other Derivatives, "Estimating volatility from
        historical data".
    """

    def __cinit__(self, period, per_year):
        cdef int returns = period_in("period", period, 2)
        self._per_year = positive("per_year", per_year)
        self._scratch = scratch_new(realised_volatility_scratch(returns, self._per_year))
        realised_volatility_init(&self._state, returns, self._per_year, self._scratch)

    def __dealloc__(self):
        free(self._scratch)

    cpdef double update(self, double close) except? -1.0:
        """Take one close; return the volatility, NaN during warm-up."""
        if not (is_finite(close) and close > 0.0):
            refuse_sample("close", close, -1, True)
        return realised_volatility_step(&self._state, close)

    def update_many(self, close, out=None):
        """Take n closes; return `out` (made when None) with the volatility after each.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        source = samples_in("close", close, True)
        target = series_out("out", out, len(source))
        series_apart((source,), (target,))
        cdef const double *closes = data_in(source)
        cdef double *places = data_out(target)
        cdef size_t n = len(target)
        with nogil:
            realised_volatility_block(&self._state, closes, places, n)
        return target

    @property
    def period(self):
        """Length of the window, in returns."""
        return self._state.returns.period

    @property
    def per_year(self):
        """Returns in a year."""
        return self._per_year

    @property
    def value(self):
        """The newest volatility, a fraction per year; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True once `period` + 1 closes have come."""
        return self._state.value == self._state.value

    def reset(self):
        """Forget every close; keep the parameters."""
        realised_volatility_init(
            &self._state, self._state.returns.period, self._per_year, self._scratch)


@cython.final
cdef class Parkinson:
    """Parkinson's range volatility per year.

        sqrt(per_year / (4 log 2) * mean of log(high / low)**2 over the last `period` bars)

    It needs a fifth of the bars that closes need, and sees no gap between bars: not the night.

    Args:
        period: bars, 1..100_000.
        per_year: bars in a year, above zero; no default, as in `RealisedVolatility`.
    Units:
        A fraction per year: 0.15 is 15 %. Free of the unit of the prices.
    Shape:
        `update`: two scalars in, one out; NaN for the first period - 1 bars.
        `update_many`: float64[n] in and out; `out` may be one of the inputs.
    Raises:
        UsageError (a ValueError): a parameter out of range; arrays that do not fit.
        BadData (a ValueError): a price is NaN, infinite, zero or negative, or high < low; the
            state is unchanged.
    Source:
        Parkinson, M. (1980), "The extreme value method for estimating the variance of the rate
        of return", Journal of Business 53(1).
    """

    def __cinit__(self, period, per_year):
        cdef int bars = period_in("period", period, 1)
        self._per_year = positive("per_year", per_year)
        self._scratch = scratch_new(parkinson_scratch(bars, self._per_year))
        parkinson_init(&self._state, bars, self._per_year, self._scratch)

    def __dealloc__(self):
        free(self._scratch)

    cpdef double update(self, double high, double low) except? -1.0:
        """Take one closed bar; return the volatility, NaN during warm-up."""
        if not bar_is_sound(high, low, low):
            refuse_bar(high, low, low, -1)
        if not low > 0.0:
            refuse_sample("low", low, -1, True)
        return parkinson_step(&self._state, high, low)

    def update_many(self, high, low, out=None):
        """Take n bars; return `out` (made when None) with the volatility after each.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        ranges = ranges_in(high, low)
        samples_in("low", ranges[1], True)
        target = series_out("out", out, len(ranges[0]))
        series_apart(ranges, (target,))
        cdef const double *highs = data_in(ranges[0])
        cdef const double *lows = data_in(ranges[1])
        cdef double *places = data_out(target)
        cdef size_t n = len(target)
        with nogil:
            parkinson_block(&self._state, highs, lows, places, n)
        return target

    @property
    def period(self):
        """Length of the window, in bars."""
        return self._state.squares.period

    @property
    def per_year(self):
        """Bars in a year."""
        return self._per_year

    @property
    def value(self):
        """The newest volatility, a fraction per year; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True once `period` bars have come."""
        return self._state.value == self._state.value

    def reset(self):
        """Forget every bar; keep the parameters."""
        parkinson_init(&self._state, self._state.squares.period, self._per_year, self._scratch)


def realised_volatility(close, period, per_year):
    """Close-to-close volatility per year of each close, float64[n]; NaN before index `period`.

    See `RealisedVolatility`.

    Raises:
        UsageError: a parameter out of range; close not one-dimensional.
        BadData: a close is NaN, infinite, zero or negative.
    """
    return RealisedVolatility(period, per_year).update_many(close)


def parkinson(high, low, period, per_year):
    """Parkinson's volatility per year of each bar, float64[n]; NaN before index period - 1.

    See `Parkinson`.

    Raises:
        UsageError: a parameter out of range; arrays of different lengths or not one-dimensional.
        BadData: a price is NaN, infinite, zero or negative, or high < low.
    """
    return Parkinson(period, per_year).update_many(high, low)
