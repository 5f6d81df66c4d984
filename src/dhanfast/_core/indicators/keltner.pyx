# cython: binding=False, always_allow_keywords=False
"""Keltner channel in its ATR form (Keltner 1960; Raschke's variant with EMA and ATR)."""

cimport cython

from dhanfast._core.indicators.ohlc cimport (
    bar_is_sound,
    bars_in,
    data_in,
    data_out,
    outputs,
    positive,
    refuse_bar,
)
from dhanfast._core.indicators.series cimport period_in, series_apart


cdef void keltner_block(
    KeltnerState *state, const double *high, const double *low, const double *close,
    double *upper, double *middle, double *lower, size_t n
) noexcept nogil:
    cdef KeltnerState local = state[0]        # a private copy lives in registers
    cdef size_t i
    for i in range(n):
        middle[i] = keltner_step(&local, high[i], low[i], close[i])
        if upper != NULL:
            upper[i] = local.upper
        if lower != NULL:
            lower[i] = local.lower
    state[0] = local


@cython.final
cdef class Keltner:
    """Keltner channel.

        middle = EMA(close, period),  upper, lower = middle +- width * ATR(atr_period)

    The EMA is seeded with the mean of its first `period` closes and the ATR as in `Atr`, both as
    TA-Lib does; all three lines begin on the same bar.

    Args:
        period: bars of the EMA, 1..100_000.
        atr_period: bars of the ATR, 1..100_000.
        width: ATRs between the middle and a band, above zero.
    Units:
        In the unit of the prices.
    Shape:
        `update`: three scalars in, the middle out; NaN before index
        max(period - 1, atr_period). The bands are properties.
        `update_many`: float64[n] in, three float64[n] out; an output may be one of the inputs.
    Raises:
        UsageError (a ValueError): a parameter out of range; arrays that do not fit.
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Keltner, C. (1960), How to Make Money in Commodities; the EMA and ATR form is
        Raschke's (1990s), the usual one on charts.
    """

    def __cinit__(self, period=20, atr_period=10, width=2.0):
        keltner_init(
            &self._state, period_in("period", period, 1), period_in("atr_period", atr_period, 1),
            positive("width", width), NULL)

    cpdef double update(self, double high, double low, double close) except? -1.0:
        """Take one closed bar; return the middle line, NaN during warm-up."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        return keltner_step(&self._state, high, low, close)

    def update_many(self, high, low, close, upper=None, middle=None, lower=None):
        """Take n bars; return upper, middle and lower after each, in the arrays given or new ones.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        bars = bars_in(high, low, close)
        cdef Py_ssize_t n = len(bars[0])
        targets = outputs(
            ("upper", "middle", "lower"), (upper, middle, lower), n)
        series_apart(bars, targets)
        cdef const double *highs = data_in(bars[0])
        cdef const double *lows = data_in(bars[1])
        cdef const double *closes = data_in(bars[2])
        cdef double *upper_out = data_out(targets[0])
        cdef double *middle_out = data_out(targets[1])
        cdef double *lower_out = data_out(targets[2])
        with nogil:
            keltner_block(
                &self._state, highs, lows, closes, upper_out, middle_out, lower_out, n)
        return targets

    @property
    def period(self):
        """Length of the EMA, in bars."""
        return self._state.ema.seed_count

    @property
    def atr_period(self):
        """Length of the ATR, in bars."""
        return self._state.atr.period

    @property
    def width(self):
        """ATRs between the middle and a band."""
        return self._state.width

    @property
    def value(self):
        """The middle line; NaN until `ready`."""
        return self._state.middle

    @property
    def upper(self):
        """The upper band; NaN until `ready`."""
        return self._state.upper

    @property
    def middle(self):
        """The middle line; NaN until `ready`."""
        return self._state.middle

    @property
    def lower(self):
        """The lower band; NaN until `ready`."""
        return self._state.lower

    @property
    def ready(self):
        """True once both averages have a value."""
        return self._state.middle == self._state.middle

    def reset(self):
        """Forget every bar; keep the parameters."""
        keltner_init(
            &self._state, self._state.ema.seed_count, self._state.atr.period,
            self._state.width, NULL)


def keltner(high, low, close, period=20, atr_period=10, width=2.0):
    """Upper, middle and lower of each bar: a tuple of three float64[n].

    NaN before index max(period - 1, atr_period). See `Keltner`.

    Raises:
        UsageError: a parameter out of range; arrays of different lengths or not one-dimensional.
        BadData: a price is NaN or infinite, or high < low.
    """
    return Keltner(period, atr_period, width).update_many(high, low, close)
