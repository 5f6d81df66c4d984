"""Wilder's directional movement (Wilder 1978), as TA-Lib's ADX, PLUS_DI, MINUS_DI and DX."""

cimport cython

from dhanfast._core.indicators.ohlc cimport (
    PERIOD_MAX,
    bar_is_sound,
    check_bars,
    check_length,
    refuse_bar,
    series,
    whole,
)

import numpy as np


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
    mirror image. W is Wilder's running sum. When nothing moved (a sum below 1e-14) the DIs are 0
    and DX and ADX keep their last value, as in TA-Lib.

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
        adx_init(&self._state, whole("period", period, 2, PERIOD_MAX), NULL)

    cpdef double update(self, double high, double low, double close) except? -1.0:
        """Take one closed bar; return ADX, NaN during warm-up."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        return adx_step(&self._state, high, low, close)

    def update_many(
        self, const double[::1] high not None, const double[::1] low not None,
        const double[::1] close not None, double[::1] adx not None,
        double[::1] plus_di=None, double[::1] minus_di=None, double[::1] dx=None,
    ):
        """Take n bars and write n values to each output given; the same bits as n updates."""
        cdef Py_ssize_t n = high.shape[0]
        cdef double *plus_out = NULL
        cdef double *minus_out = NULL
        cdef double *dx_out = NULL
        check_length("low", low.shape[0], n)
        check_length("close", close.shape[0], n)
        check_length("adx", adx.shape[0], n)
        if plus_di is not None:
            check_length("plus_di", plus_di.shape[0], n)
        if minus_di is not None:
            check_length("minus_di", minus_di.shape[0], n)
        if dx is not None:
            check_length("dx", dx.shape[0], n)
        if n == 0:
            return
        if plus_di is not None:
            plus_out = &plus_di[0]
        if minus_di is not None:
            minus_out = &minus_di[0]
        if dx is not None:
            dx_out = &dx[0]
        check_bars(&high[0], &low[0], &close[0], n)
        with nogil:
            adx_block(
                &self._state, &high[0], &low[0], &close[0],
                &adx[0], plus_out, minus_out, dx_out, n)

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
    high = series("high", high)
    outs = tuple(np.empty(len(high), dtype=np.float64) for _ in range(4))
    Adx(period).update_many(high, series("low", low), series("close", close), *outs)
    return outs
