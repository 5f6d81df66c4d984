# cython: binding=False, always_allow_keywords=False
"""Stochastic oscillator: O(1) amortised an update."""

cimport cython
from libc.stdlib cimport free

from dhanfast._core.indicators.series cimport (
    is_wild,
    period_in,
    refuse_sample,
    scratch_new,
    series_apart,
    series_in,
    series_out,
    series_same,
)


cdef void stochastic_block(
    StochasticState *s, const double *high, const double *low, const double *close,
    double *k, double *d, size_t n
) noexcept nogil:
    # A local copy: the outputs may not alias it, so the compiler keeps it in registers.
    cdef StochasticState local = s[0]
    cdef size_t i
    for i in range(n):
        k[i] = stochastic_step(&local, high[i], low[i], close[i])
        d[i] = local.d
    s[0] = local


@cython.final
cdef class Stochastic:
    """Stochastic oscillator, slow (smooth > 1) or fast (smooth 1).

        raw = 100 * (close - least low) / (greatest high - least low),   0 when the range is zero
        k = mean(raw, smooth),   d = mean(k, signal)

    Args:
        period: bars of the range, 1..100_000.
        smooth: bars that %K is averaged over; 1 for the fast stochastic.
        signal: values of %K that %D is averaged over.

    Units:
        0..100 while the close is between low and high.

    Shape:
        `update`: three scalars in, %K out; `d` and `raw` are properties.
        `update_many`: float64[n] in, two of them out.

    Raises:
        UsageError: a period out of range; arrays that do not fit.
        BadData: a price is NaN or infinite (the state is unchanged).

    Source:
        Lane, G. (1984), "Lane's Stochastics", Technical Analysis of Stocks & Commodities; TA-Lib
        `TA_STOCH` and `TA_STOCHF`: %K and %D are NaN until both exist.
    """

    def __cinit__(self, object period=14, object smooth=3, object signal=3):
        self._period = period_in("period", period, 1)
        self._smooth = period_in("smooth", smooth, 1)
        self._signal = period_in("signal", signal, 1)
        self._scratch = scratch_new(stochastic_scratch(self._period, self._smooth, self._signal))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every bar."""
        stochastic_init(&self._state, self._period, self._smooth, self._signal, self._scratch)

    cpdef double update(self, double high, double low, double close) except? -1.0:
        """Take one bar; return %K (NaN until `ready`).

        Raises:
            BadData: a price is NaN or infinite.
        """
        if is_wild(high):
            refuse_sample("high", high)
        if is_wild(low):
            refuse_sample("low", low)
        if is_wild(close):
            refuse_sample("close", close)
        return stochastic_step(&self._state, high, low, close)

    def update_many(self, object high, object low, object close, object k=None, object d=None):
        """Take float64[n] prices; return (k, d), each made when None.

        Raises:
            BadData: a price is NaN or infinite; nothing was taken.
            UsageError: the arrays do not fit.
        """
        highs = series_in("high", high)
        lows = series_in("low", low)
        closes = series_in("close", close)
        length = series_same(("high", "low", "close"), (highs, lows, closes))
        ks = series_out("k", k, length)
        ds = series_out("d", d, length)
        series_apart((highs, lows, closes), (ks, ds))
        cdef const double[::1] high_at = highs
        cdef const double[::1] low_at = lows
        cdef const double[::1] close_at = closes
        cdef double[::1] k_places = ks
        cdef double[::1] d_places = ds
        cdef size_t count = k_places.shape[0]
        if count:
            with nogil:
                stochastic_block(
                    &self._state, &high_at[0], &low_at[0], &close_at[0],
                    &k_places[0], &d_places[0], count,
                )
        return ks, ds

    @property
    def period(self):
        """Samples in the window, as given."""
        return self._period

    @property
    def smooth(self):
        """Bars that %K is averaged over, as given."""
        return self._smooth

    @property
    def signal(self):
        """Values of %K that %D is averaged over, as given."""
        return self._signal

    @property
    def value(self):
        """The newest %K; NaN until `ready`."""
        return self._state.k

    @property
    def d(self):
        """The newest %D; NaN until `ready`."""
        return self._state.d

    @property
    def raw(self):
        """The newest unsmoothed %K; NaN until `period` bars were taken."""
        return self._state.raw

    @property
    def ready(self):
        """True once `period + smooth + signal - 2` bars were taken."""
        return self._state.d == self._state.d


def stochastic(
    object high, object low, object close, object period=14, object smooth=3, object signal=3
):
    """Stochastic oscillator of a whole series.

    Args:
        high: finite prices, float64[n].
        low: the same.
        close: the same.
        period: bars of the range, 1..100_000.
        smooth: bars that %K is averaged over; 1 for the fast stochastic.
        signal: values of %K that %D is averaged over.

    Shape:
        (k, d), each float64[n]; NaN at 0..period+smooth+signal-4.

    Raises:
        BadData: a price is NaN or infinite.
        UsageError: a period is not allowed; the arrays are not equally long.
    """
    return Stochastic(period, smooth, signal).update_many(high, low, close)
