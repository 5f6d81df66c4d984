# cython: binding=False, always_allow_keywords=False
"""True range and Wilder's average true range (Wilder 1978), as TA-Lib's TRANGE and ATR."""

cimport cython
from libc.string cimport memcpy

from dhanfast._core.indicators.ohlc cimport (
    bar_is_sound,
    bars_in,
    data_in,
    data_out,
    refuse_bar,
)
from dhanfast._core.indicators.series cimport period_in, series_apart, series_out


cdef extern from "df_bars.h" nogil:
    int df_range(
        const double *high, const double *low, const double *close, double *out, size_t n)
    int df_average4(
        const double *x, const double *weights, double keep4, double *last, double *out, size_t n)

cdef enum:
    CHUNK = 512              # bars whose true ranges stay in the first-level cache


cdef void true_range_block(
    TrueRangeState *state, const double *high, const double *low, const double *close,
    double *out, size_t n
) noexcept nogil:
    cdef double ranges[CHUNK]
    cdef double last_close
    cdef size_t start = 0, count
    if n > 1 and out != high and out != low and out != close:
        out[0] = true_range_step(state, high[0], low[0], close[0])
        df_range(&high[1], &low[1], &close[1], &out[1], n - 1)
        state.value = out[n - 1]
        state.prev_close = close[n - 1]
        return
    # `out` is one of the inputs: finish reading a chunk before writing it.
    while start < n:
        count = min(n - start, <size_t>CHUNK)
        last_close = close[start + count - 1]
        ranges[0] = true_range_step(state, high[start], low[start], close[start])
        if count > 1:
            df_range(&high[start + 1], &low[start + 1], &close[start + 1], &ranges[1], count - 1)
            state.value = ranges[count - 1]
        memcpy(&out[start], &ranges[0], count * sizeof(double))
        state.prev_close = last_close
        start += count


cdef void atr_block(
    AtrState *state, const double *high, const double *low, const double *close,
    double *out, size_t n
) noexcept nogil:
    cdef double ranges[3 + CHUNK]
    cdef double last_close
    cdef size_t i = 0, count
    while i < n and (state.warmup_left > 0 or state.chain_left > 0):
        out[i] = atr_step(state, high[i], low[i], close[i])
        i += 1
    while n - i >= 4:
        count = min(n - i, <size_t>CHUNK) & ~<size_t>3
        last_close = close[i + count - 1]
        memcpy(&ranges[0], &state.ranges[0], 3 * sizeof(double))
        ranges[3] = true_range_of(high[i], low[i], state.prev_close)
        df_range(&high[i + 1], &low[i + 1], &close[i + 1], &ranges[4], count - 1)
        # Only now is `out` written, which may be one of the inputs: these bars have been read.
        df_average4(&ranges[3], &state.weights[0], state.keep4, &state.values[0], &out[i], count)
        memcpy(&state.ranges[0], &ranges[count], 3 * sizeof(double))
        state.prev_close = last_close
        state.true_range = ranges[2 + count]
        state.value = state.values[3]
        i += count
    while i < n:
        out[i] = atr_step(state, high[i], low[i], close[i])
        i += 1


@cython.final
cdef class TrueRange:
    """The range of a bar including the gap from the bar before.

        TR = max(high, previous close) - min(low, previous close)

    Units:
        In the unit of the prices (feed rupees, get rupees).
    Shape:
        `update`: three scalars in, one out; NaN on the first bar.
        `update_many`: float64[n] each, C-contiguous; `out` may be one of the inputs.
    Raises:
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Wilder, J.W. (1978), New Concepts in Technical Trading Systems. Equal to TA-Lib TRANGE.
    """

    def __cinit__(self):
        true_range_init(&self._state, NULL)

    cpdef double update(self, double high, double low, double close) except? -1.0:
        """Take one closed bar; return its true range, NaN for the first bar."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        return true_range_step(&self._state, high, low, close)

    def update_many(self, high, low, close, out=None):
        """Take n bars; return `out` (made when None) with the true range after each.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        bars = bars_in(high, low, close)
        target = series_out("out", out, len(bars[0]))
        series_apart(bars, (target,))
        cdef const double *highs = data_in(bars[0])
        cdef const double *lows = data_in(bars[1])
        cdef const double *closes = data_in(bars[2])
        cdef double *places = data_out(target)
        cdef size_t n = len(target)
        with nogil:
            true_range_block(&self._state, highs, lows, closes, places, n)
        return target

    @property
    def value(self):
        """The newest true range; NaN until `ready`."""
        return self._state.value

    @property
    def ready(self):
        """True from the second bar on."""
        return self._state.value == self._state.value

    def reset(self):
        """Forget every bar."""
        true_range_init(&self._state, NULL)


@cython.final
cdef class Atr:
    """Wilder's average true range.

        ATR += (TR - ATR) / period,   seeded with the mean of the first `period` true ranges

    Args:
        period: bars, 1..100_000.
    Units:
        In the unit of the prices (feed rupees, get rupees).
    Shape:
        `update`: three scalars in, one out; NaN for the first `period` bars.
        `update_many`: float64[n] each, C-contiguous; `out` may be one of the inputs.
    Raises:
        UsageError (a ValueError): period out of range; arrays of different lengths.
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Wilder, J.W. (1978), New Concepts in Technical Trading Systems. Seeding and warm-up are
        TA-Lib's ATR; values agree to a relative 1e-12 (one multiplication replaces a division).
    """

    def __cinit__(self, period=14):
        atr_init(&self._state, period_in("period", period, 1), NULL)

    cpdef double update(self, double high, double low, double close) except? -1.0:
        """Take one closed bar; return the average, NaN during warm-up."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        return atr_step(&self._state, high, low, close)

    def update_many(self, high, low, close, out=None):
        """Take n bars; return `out` (made when None) with the average after each.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        bars = bars_in(high, low, close)
        target = series_out("out", out, len(bars[0]))
        series_apart(bars, (target,))
        cdef const double *highs = data_in(bars[0])
        cdef const double *lows = data_in(bars[1])
        cdef const double *closes = data_in(bars[2])
        cdef double *places = data_out(target)
        cdef size_t n = len(target)
        with nogil:
            atr_block(&self._state, highs, lows, closes, places, n)
        return target

    @property
    def period(self):
        """Length of the average, in bars."""
        return self._state.period

    @property
    def value(self):
        """The newest average; NaN until `ready`."""
        return self._state.value

    @property
    def true_range(self):
        """True range of the newest bar; NaN before the second bar."""
        return self._state.true_range

    @property
    def ready(self):
        """True once `period` + 1 bars have come."""
        return self._state.warmup_left == 0

    def reset(self):
        """Forget every bar; keep the period."""
        atr_init(&self._state, self._state.period, NULL)


def true_range(high, low, close):
    """True range of each bar, float64[n]; NaN at index 0. See `TrueRange`.

    Raises:
        UsageError: arrays of different lengths or not one-dimensional.
        BadData: a price is NaN or infinite, or high < low.
    """
    return TrueRange().update_many(high, low, close)


def atr(high, low, close, period=14):
    """Wilder's average true range of each bar, float64[n]; NaN before index `period`. See `Atr`.

    Raises:
        UsageError: period out of range; arrays of different lengths or not one-dimensional.
        BadData: a price is NaN or infinite, or high < low.
    """
    return Atr(period).update_many(high, low, close)
