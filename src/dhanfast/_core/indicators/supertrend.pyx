# cython: binding=False, always_allow_keywords=False
"""Supertrend (O. Seban): the trailing stop line that Indian traders read first."""

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


cdef void supertrend_block(
    SupertrendState *state, const double *high, const double *low, const double *close,
    double *line, double *direction, size_t n
) noexcept nogil:
    cdef SupertrendState local = state[0]     # a private copy lives in registers
    cdef size_t i
    for i in range(n):
        line[i] = supertrend_step(&local, high[i], low[i], close[i])
        if direction != NULL:
            direction[i] = local.direction
    state[0] = local


@cython.final
cdef class Supertrend:
    """Supertrend.

        bu, bl = (high + low) / 2 +- factor * ATR
        upper = bu if bu < upper1 or close1 > upper1 else upper1      (1: of the bar before)
        lower = bl if bl > lower1 or close1 < lower1 else lower1
        up-trend once close > upper, down-trend once close < lower
        line = lower in an up-trend, upper in a down-trend

    The first trend, where no earlier band exists, is up when the close is at or above the middle
    of the bar, else down; `upper` and `lower` are then bu and bl.

    Args:
        period: bars of the ATR, 1..100_000.
        factor: ATRs between the middle and a band, above zero.
    Units:
        The line in the unit of the prices; direction is +1 (up) or -1 (down).
    Shape:
        `update`: three scalars in, the line out; NaN for the first `period` bars.
        `update_many`: float64[n] each, C-contiguous; `line` may be one of the inputs.
    Raises:
        UsageError (a ValueError): a parameter out of range; arrays of different lengths.
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Seban, O., as practitioners use it; a close is compared with the band of its own bar. The
        ATR is Wilder's (see `Atr`).
    """

    def __cinit__(self, period=10, factor=3.0):
        supertrend_init(
            &self._state, period_in("period", period, 1), positive("factor", factor), NULL)

    cpdef double update(self, double high, double low, double close) except? -1.0:
        """Take one closed bar; return the line, NaN during warm-up."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        return supertrend_step(&self._state, high, low, close)

    def update_many(self, high, low, close, line=None, direction=None):
        """Take n bars; return line and direction after each, in the arrays given or in new ones.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        bars = bars_in(high, low, close)
        cdef Py_ssize_t n = len(bars[0])
        targets = outputs(
            ("line", "direction"), (line, direction), n)
        series_apart(bars, targets)
        cdef const double *highs = data_in(bars[0])
        cdef const double *lows = data_in(bars[1])
        cdef const double *closes = data_in(bars[2])
        cdef double *line_out = data_out(targets[0])
        cdef double *direction_out = data_out(targets[1])
        with nogil:
            supertrend_block(
                &self._state, highs, lows, closes, line_out, direction_out, n)
        return targets

    @property
    def period(self):
        """Length of the ATR, in bars."""
        return self._state.atr.period

    @property
    def factor(self):
        """ATRs between the middle of the bar and a band."""
        return self._state.factor

    @property
    def value(self):
        """The newest line; NaN until `ready`."""
        return self._state.value

    @property
    def direction(self):
        """+1.0 in an up-trend, -1.0 in a down-trend; NaN until `ready`."""
        return self._state.direction

    @property
    def upper(self):
        """The final upper band; NaN until `ready`."""
        return self._state.upper

    @property
    def lower(self):
        """The final lower band; NaN until `ready`."""
        return self._state.lower

    @property
    def ready(self):
        """True once `period` + 1 bars have come."""
        return self._state.value == self._state.value

    def reset(self):
        """Forget every bar; keep the parameters."""
        supertrend_init(&self._state, self._state.atr.period, self._state.factor, NULL)


def supertrend(high, low, close, period=10, factor=3.0):
    """Line and direction (+1 up, -1 down) of each bar: a tuple of two float64[n].

    NaN before index `period`. See `Supertrend`.

    Raises:
        UsageError: a parameter out of range; arrays of different lengths or not one-dimensional.
        BadData: a price is NaN or infinite, or high < low.
    """
    return Supertrend(period, factor).update_many(high, low, close)
