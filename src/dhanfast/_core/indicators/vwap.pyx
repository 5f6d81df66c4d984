# cython: binding=False, always_allow_keywords=False
"""Volume-weighted average price (Berkowitz, Logue and Noser 1988) with bands."""

cimport cython
from libc.stdlib cimport free

from dhanfast._core.indicators.ohlc cimport (
    bar_is_sound,
    bars_in,
    data_in,
    data_out,
    flags_data,
    flags_in,
    is_finite,
    not_negative,
    outputs,
    refuse_bar,
    refuse_sample,
    volumes_in,
)
from dhanfast._core.indicators.series cimport period_in, scratch_new, series_apart, series_out

import numpy as np


cdef void vwap_block(
    VwapState *state, const double *high, const double *low, const double *close,
    const double *volume, const unsigned char *session_start,
    double *out, double *upper, double *lower, size_t n
) noexcept nogil:
    cdef VwapState local = state[0]           # a private copy lives in registers
    cdef size_t i
    for i in range(n):
        out[i] = vwap_step(&local, high[i], low[i], close[i], volume[i], session_start[i])
        if upper != NULL:
            upper[i] = local.upper
        if lower != NULL:
            lower[i] = local.lower
    state[0] = local


cdef void rolling_vwap_block(
    RollingVwapState *state, const double *high, const double *low, const double *close,
    const double *volume, double *out, size_t n
) noexcept nogil:
    cdef RollingVwapState local = state[0]
    cdef size_t i
    for i in range(n):
        out[i] = rolling_vwap_step(&local, high[i], low[i], close[i], volume[i])
    state[0] = local


cdef inline int _refuse_volume(double volume) except -1:
    if not (is_finite(volume) and volume >= 0.0):
        refuse_sample("volume", volume, -1, False)
    return 0


@cython.final
cdef class Vwap:
    """Volume-weighted average price since the session began, with bands.

        VWAP = sum(v * p) / sum(v),  p = (high + low + close) / 3
        upper, lower = VWAP +- width * sqrt(sum(v * (p - VWAP)**2) / sum(v))

    The caller says where a session starts; before the first start there is no value, because the
    anchor is unknown. Sums are kept as distances from the session's first price, so a band keeps
    its digits however far the price lies from zero.

    Args:
        width: sigmas between the average and a band, zero or more.
        empty_weight: weight of a bar whose volume is 0. With the default 0 such a bar does not
            count, and a session without volume (an index has none: use its future's bars) has no
            value. With 1 every bar of an index counts alike: then it is a mean price, not a VWAP.
    Units:
        In the unit of the prices; the unit of the volume cancels.
    Shape:
        `update`: four scalars and a flag in, VWAP out.
        `update_many`: float64[n] each, `session_start` bool[n]; an output may be one of the
        inputs.
    Raises:
        UsageError (a ValueError): a parameter out of range; arrays of different lengths.
        BadData (a ValueError): a price is NaN or infinite, high < low, or a volume is negative,
            NaN or infinite; the state is unchanged.
    Source:
        Berkowitz, Logue and Noser (1988), "The total cost of transactions on the NYSE", Journal
        of Finance 43(1).
    """

    def __cinit__(self, width=1.0, empty_weight=0.0):
        vwap_init(
            &self._state, not_negative("width", width),
            not_negative("empty_weight", empty_weight), NULL)

    cpdef double update(
        self, double high, double low, double close, double volume, bint session_start=False
    ) except? -1.0:
        """Take one closed bar; return VWAP. `session_start`: true on a session's first bar."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        _refuse_volume(volume)
        return vwap_step(&self._state, high, low, close, volume, session_start)

    def update_many(
        self, high, low, close, volume, session_start, out=None, upper=None, lower=None
    ):
        """Take n bars; return VWAP and both bands after each, in the arrays given or in new ones.

        `session_start` is bool[n]. The same bits as n updates. Nothing is taken when anything is
        refused.
        """
        bars = bars_in(high, low, close)
        cdef Py_ssize_t n = len(bars[0])
        volume = volumes_in(volume, n)
        session_start = flags_in("session_start", session_start, n)
        targets = outputs(
            ("out", "upper", "lower"), (out, upper, lower), n)
        series_apart((*bars, volume), targets)
        cdef const double *highs = data_in(bars[0])
        cdef const double *lows = data_in(bars[1])
        cdef const double *closes = data_in(bars[2])
        cdef const double *volumes = data_in(volume)
        cdef const unsigned char *starts = flags_data(session_start)
        cdef double *value_out = data_out(targets[0])
        cdef double *upper_out = data_out(targets[1])
        cdef double *lower_out = data_out(targets[2])
        with nogil:
            vwap_block(
                &self._state, highs, lows, closes, volumes, starts,
                value_out, upper_out, lower_out, n)
        return targets

    @property
    def width(self):
        """Sigmas between the average and a band."""
        return self._state.width

    @property
    def empty_weight(self):
        """Weight of a bar whose volume is 0."""
        return self._state.empty_weight

    @property
    def value(self):
        """The newest VWAP; NaN until `ready`."""
        return self._state.value

    @property
    def sigma(self):
        """Volume-weighted standard deviation of the session's prices; NaN until `ready`."""
        return self._state.sigma

    @property
    def upper(self):
        """The upper band; NaN until `ready`."""
        return self._state.upper

    @property
    def lower(self):
        """The lower band; NaN until `ready`."""
        return self._state.lower

    @property
    def ready(self):
        """True once the running session has seen some volume."""
        return self._state.weight_sum > 0.0

    def reset(self):
        """Forget every bar; the next value comes with the next session start."""
        vwap_init(&self._state, self._state.width, self._state.empty_weight, NULL)


@cython.final
cdef class RollingVwap:
    """Volume-weighted average price of the last `period` bars; sessions are ignored.

        sum(v * p) / sum(v) over the last `period` bars,  p = (high + low + close) / 3

    Before the window is full it covers the bars seen so far, as the first version of this program
    did with its 100 candles. NaN while the window holds no volume. Sums are rebuilt from the bars
    once per lap of the window, never by subtraction: the error does not grow with the run and
    stays below `period` roundings.

    Args:
        period: bars, 1..100_000.
        empty_weight: weight of a bar whose volume is 0; see `Vwap`.
    Units:
        In the unit of the prices; the unit of the volume cancels.
    Shape:
        `update`: four scalars in, one out.
        `update_many`: float64[n] each, C-contiguous; `out` may be one of the inputs.
    Raises:
        UsageError (a ValueError): a parameter out of range; arrays of different lengths.
        BadData (a ValueError): a price is NaN or infinite, high < low, or a volume is negative,
            NaN or infinite; the state is unchanged.
    Source:
        The first version's `calculate_vwap`.
    """

    def __cinit__(self, period=100, empty_weight=0.0):
        cdef int bars = period_in("period", period, 1)
        cdef double weight = not_negative("empty_weight", empty_weight)
        self._scratch = scratch_new(rolling_vwap_scratch(bars, weight))
        rolling_vwap_init(&self._state, bars, weight, self._scratch)

    def __dealloc__(self):
        free(self._scratch)

    cpdef double update(
        self, double high, double low, double close, double volume
    ) except? -1.0:
        """Take one closed bar; return the average of the window."""
        if not bar_is_sound(high, low, close):
            refuse_bar(high, low, close, -1)
        _refuse_volume(volume)
        return rolling_vwap_step(&self._state, high, low, close, volume)

    def update_many(self, high, low, close, volume, out=None):
        """Take n bars; return `out` (made when None) with the average after each.

        The same bits as n updates. Nothing is taken when anything is refused.
        """
        bars = bars_in(high, low, close)
        volume = volumes_in(volume, len(bars[0]))
        target = series_out("out", out, len(bars[0]))
        series_apart((*bars, volume), (target,))
        cdef const double *highs = data_in(bars[0])
        cdef const double *lows = data_in(bars[1])
        cdef const double *closes = data_in(bars[2])
        cdef const double *volumes = data_in(volume)
        cdef double *places = data_out(target)
        cdef size_t n = len(target)
        with nogil:
            rolling_vwap_block(&self._state, highs, lows, closes, volumes, places, n)
        return target

    @property
    def period(self):
        """Length of the window, in bars."""
        return self._state.period

    @property
    def empty_weight(self):
        """Weight of a bar whose volume is 0."""
        return self._state.empty_weight

    @property
    def value(self):
        """The newest average; NaN while the window holds no volume."""
        return self._state.value

    @property
    def ready(self):
        """True once the window is full."""
        return self._state.warmup_left == 0

    def reset(self):
        """Forget every bar; keep the parameters."""
        rolling_vwap_init(
            &self._state, self._state.period, self._state.empty_weight, self._scratch)


def vwap(high, low, close, volume, session_start=None, width=1.0, empty_weight=0.0):
    """VWAP, upper and lower band of each bar: a tuple of three float64[n]. See `Vwap`.

    Args:
        session_start: bool[n], true on each session's first bar; None: one session, anchored at
            index 0.

    Raises:
        UsageError: a parameter out of range; arrays of different lengths or not one-dimensional.
        BadData: a price or volume is NaN or infinite, high < low, or a volume is negative.
    """
    if session_start is None:
        session_start = np.arange(len(high)) == 0
    return Vwap(width, empty_weight).update_many(high, low, close, volume, session_start)


def rolling_vwap(high, low, close, volume, period=100, empty_weight=0.0):
    """Volume-weighted average price of the last `period` bars, float64[n]. See `RollingVwap`.

    Raises:
        UsageError: a parameter out of range; arrays of different lengths or not one-dimensional.
        BadData: a price or volume is NaN or infinite, high < low, or a volume is negative.
    """
    return RollingVwap(period, empty_weight).update_many(high, low, close, volume)
