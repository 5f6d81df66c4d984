# cython: binding=False, always_allow_keywords=False
"""Wilder's directional movement (Wilder 1978), as TA-Lib's ADX, PLUS_DI, MINUS_DI and DX."""

cimport cython

from dhanfast._core.indicators.ohlc cimport (
    bar_is_sound,
    bars_in,
    data_in,
    data_out,
    outputs,
    refuse_bar,
)
from dhanfast._core.indicators.series cimport period_in, series_apart


cdef void adx_block(
    AdxState *state, const double *high, const double *low, const double *close,
    double *adx, double *plus_di, double *minus_di, double *dx, size_t n
) noexcept nogil:
    cdef AdxState local = state[0]        # a private copy lives in registers
    cdef double bar_high, bar_low, bar_close
    cdef size_t i
    for i in range(n):
        bar_high = high[i]                # an output may be one of the inputs: read first
        bar_low = low[i]
        bar_close = close[i]
        adx[i] = adx_step(&local, bar_high, bar_low, bar_close)
        if plus_di != NULL:
            plus_di[i] = local.plus_di
        if minus_di != NULL:
            minus_di[i] = local.minus_di
        if dx != NULL:
            dx[i] = local.dx
    state[0] = local


@cython.final
cdef class Adx:
    """Average directional index: how much of the movement goes one way.

        +DI = 100 * W(+DM) / W(TR),  -DI = 100 * W(-DM) / W(TR)
        DX = 100 * |+DI - -DI| / (+DI + -DI),  ADX = Wilder mean of DX

    +DM is high - previous high when that is positive and above previous low - low, else 0; -DM the
    mirror image. W is Wilder's running sum. When there is no movement either way, DX and ADX keep
    their last value, as in TA-Lib; after thousands of flat bars, when every sum has decayed to
    nothing (1e-290), the DIs are 0.

    Args:
        period: bars, 2..100_000.
    Units:
        0..100, free of the unit of the prices.
    Shape:
        `update`: three scalars in, ADX out; NaN for the first 2 * period - 1 bars. The other
        three are properties, NaN for the first `period` bars.
        `update_many`: float64[n] each, C-contiguous; an output may be one of the inputs.
    Raises:
        UsageError (a ValueError): period out of range; arrays of different lengths.
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Wilder, J.W. (1978), New Concepts in Technical Trading Systems. Seeding and warm-up are
        TA-Lib's (the first sums hold period - 1 bars); values agree to a relative 1e-10.
    """

    def __cinit__(self, period=14):
        adx_init(&self._state, period_in("period", period, 2), NULL)

    cpdef double update(self, double high, double low, double close) except? -1.0:
        """Take one closed bar; return ADX, NaN during warm-up."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        return adx_step(&self._state, high, low, close)

    def update_many(self, high, low, close, adx=None, plus_di=None, minus_di=None, dx=None):
        """Take n bars; return ADX, +DI, -DI and DX after each, in the arrays given or in new ones.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        bars = bars_in(high, low, close)
        cdef Py_ssize_t n = len(bars[0])
        targets = outputs(
            ("adx", "plus_di", "minus_di", "dx"), (adx, plus_di, minus_di, dx), n)
        series_apart(bars, targets)
        cdef const double *highs = data_in(bars[0])
        cdef const double *lows = data_in(bars[1])
        cdef const double *closes = data_in(bars[2])
        cdef double *adx_out = data_out(targets[0])
        cdef double *plus_out = data_out(targets[1])
        cdef double *minus_out = data_out(targets[2])
        cdef double *dx_out = data_out(targets[3])
        with nogil:
            adx_block(
                &self._state, highs, lows, closes, adx_out, plus_out, minus_out, dx_out, n)
        return targets

    @property
    def period(self):
        """Length of every average, in bars."""
        return self._state.period

    @property
    def value(self):
        """The newest ADX, 0..100; NaN until `ready`."""
        return self._state.adx

    @property
    def plus_di(self):
        """The newest +DI, 0..100; NaN for the first `period` bars."""
        return self._state.plus_di

    @property
    def minus_di(self):
        """The newest -DI, 0..100; NaN for the first `period` bars."""
        return self._state.minus_di

    @property
    def dx(self):
        """The newest DX, 0..100; NaN for the first `period` bars."""
        return self._state.dx

    @property
    def ready(self):
        """True once 2 * `period` bars have come."""
        return self._state.bars == 2 * self._state.period

    def reset(self):
        """Forget every bar; keep the period."""
        adx_init(&self._state, self._state.period, NULL)


def adx(high, low, close, period=14):
    """ADX, +DI, -DI and DX of each bar: a tuple of four float64[n]. See `Adx`.

    NaN before index 2 * period - 1 (ADX) and index `period` (the others).

    Raises:
        UsageError: period out of range; arrays of different lengths or not one-dimensional.
        BadData: a price is NaN or infinite, or high < low.
    """
    return Adx(period).update_many(high, low, close)
