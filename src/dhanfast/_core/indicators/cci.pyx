# cython: binding=False, always_allow_keywords=False
"""Commodity channel index."""

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


cdef void cci_block(
    CciState *s, const double *high, const double *low, const double *close, double *out, size_t n
) noexcept nogil:
    # A local copy: `out` may not alias it, so the compiler keeps it in registers.
    cdef CciState local = s[0]
    cdef size_t i
    for i in range(n):
        out[i] = cci_step(&local, high[i], low[i], close[i])
    s[0] = local


@cython.final
cdef class Cci:
    """Commodity channel index.

        value = (typical - mean) / (0.015 * mean(|typical - mean|)),   typical = (high+low+close)/3

        Zero when the window is flat.

    Args:
        period: bars, 1..100_000. An update costs time in proportion to it.

    Units:
        value has no unit.

    Shape:
        `update`: three scalars in, scalar out. `update_many`: float64[n] in and out.

    Raises:
        UsageError: period out of range; arrays that do not fit.
        BadData: a price is NaN or infinite (the state is unchanged).

    Source:
        Lambert, D. (1980), "Commodity Channel Index", Commodities magazine; TA-Lib `TA_CCI`.
    """

    def __cinit__(self, object period=20):
        self._period = period_in("period", period, 1)
        self._scratch = scratch_new(cci_scratch(self._period))
        self.reset()

    def __dealloc__(self):
        free(self._scratch)

    cpdef void reset(self) noexcept:
        """Forget every bar."""
        cci_init(&self._state, self._period, self._scratch)

    cpdef double update(self, double high, double low, double close) except? -1.0:
        """Take one bar; return the index (NaN until `ready`).

        Raises:
            BadData: a price is NaN or infinite.
        """
        if is_wild(high):
            refuse_sample("high", high)
        if is_wild(low):
            refuse_sample("low", low)
        if is_wild(close):
            refuse_sample("close", close)
        return cci_step(&self._state, high, low, close)

    def update_many(self, object high, object low, object close, object out=None):
        """Take float64[n] prices; return `out` (made when None) with the index after each bar.

        Raises:
            BadData: a price is NaN or infinite; nothing was taken.
            UsageError: the arrays do not fit.
        """
        highs = series_in("high", high)
        lows = series_in("low", low)
        closes = series_in("close", close)
        length = series_same(("high", "low", "close"), (highs, lows, closes))
        target = series_out("out", out, length)
        series_apart((highs, lows, closes), (target,))
        cdef const double[::1] high_at = highs
        cdef const double[::1] low_at = lows
        cdef const double[::1] close_at = closes
        cdef double[::1] places = target
        cdef size_t count = places.shape[0]
        if count:
            with nogil:
                cci_block(
                    &self._state, &high_at[0], &low_at[0], &close_at[0], &places[0], count
                )
        return target

    @property
    def period(self):
        """Samples in the window, as given."""
        return self._period

    @property
    def value(self):
        """The newest index; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True once `period` bars were taken."""
        return self._state.value == self._state.value


def cci(object high, object low, object close, object period=20):
    """Commodity channel index of a whole series.

    Args:
        high: finite prices, float64[n].
        low: the same.
        close: the same.
        period: bars, 1..100_000.

    Shape:
        float64[n]; NaN at 0..period-2.

    Raises:
        BadData: a price is NaN or infinite.
        UsageError: period is not allowed; the arrays are not equally long.
    """
    return Cci(period).update_many(high, low, close)
