# cython: binding=False, always_allow_keywords=False
"""Opening range (Crabel 1990): the levels an opening-range breakout trades."""

cimport cython

from dhanfast._core.indicators.ohlc cimport (
    bar_is_sound,
    data_in,
    data_out,
    flags_data,
    flags_in,
    outputs,
    ranges_in,
    refuse_bar,
    times_data,
    times_in,
)
from dhanfast._core.indicators.series cimport period_in, series_apart

from dhanfast.errors import UsageError

cdef enum:
    MINUTES_MAX = 1440

cdef int64_t NS_PER_MINUTE = 60_000_000_000


cdef void opening_range_block(
    OpeningRangeState *state, const double *high, const double *low,
    const unsigned char *session_start, double *high_out, double *low_out, size_t n
) noexcept nogil:
    cdef double bar_high, bar_low
    cdef size_t i
    for i in range(n):
        bar_high = high[i]                # an output may be one of the inputs: read first
        bar_low = low[i]
        high_out[i] = opening_range_step(state, bar_high, bar_low, session_start[i])
        low_out[i] = state.low


cdef void opening_minutes_block(
    OpeningMinutesState *state, const double *high, const double *low,
    const int64_t *since_open_ns, const unsigned char *session_start,
    double *high_out, double *low_out, size_t n
) noexcept nogil:
    cdef double bar_high, bar_low
    cdef size_t i
    for i in range(n):
        bar_high = high[i]
        bar_low = low[i]
        high_out[i] = opening_minutes_step(
            state, bar_high, bar_low, since_open_ns[i], session_start[i])
        low_out[i] = state.low


cdef int64_t _minutes(str name, object value) except -1:
    cdef int64_t minutes = period_in(name, value, 1)
    if minutes > MINUTES_MAX:
        raise UsageError(f"{name} must be 1..{<int>MINUTES_MAX}, got {minutes}")
    return minutes


@cython.final
cdef class OpeningRange:
    """Highest high and lowest low of the first `bars` bars of a session.

    There is no value while the range forms, so it cannot look ahead; it is complete at the close
    of its last bar and stays until the next session start. The caller says where a session
    starts; bars before the first start are ignored.

    Args:
        bars: length of the range, 1..100_000. Where minutes can be missing use `OpeningMinutes`.
    Units:
        In the unit of the prices.
    Shape:
        `update`: two scalars and a flag in, the range's high out.
        `update_many`: float64[n] each, `session_start` bool[n]; an output may be an input.
    Raises:
        UsageError (a ValueError): bars out of range; arrays of different lengths.
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Crabel, T. (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """

    def __cinit__(self, bars=15):
        opening_range_init(&self._state, period_in("bars", bars, 1), NULL)

    cpdef double update(
        self, double high, double low, bint session_start=False
    ) except? -1.0:
        """Take one closed bar; return the range's high, NaN while it forms."""
        if not bar_is_sound(high, low, low):
            refuse_bar(high, low, low, -1)
        return opening_range_step(&self._state, high, low, session_start)

    def update_many(self, high, low, session_start, high_out=None, low_out=None):
        """Take n bars; return the range's high and low, in the arrays given or in new ones.

        `session_start` is bool[n]. The same bits as n updates. Nothing is taken when anything is
        refused.
        """
        ranges = ranges_in(high, low)
        cdef Py_ssize_t n = len(ranges[0])
        session_start = flags_in("session_start", session_start, n)
        targets = outputs(
            ("high_out", "low_out"), (high_out, low_out), n)
        series_apart(ranges, targets)
        cdef const double *highs = data_in(ranges[0])
        cdef const double *lows = data_in(ranges[1])
        cdef const unsigned char *starts = flags_data(session_start)
        cdef double *highs_out = data_out(targets[0])
        cdef double *lows_out = data_out(targets[1])
        with nogil:
            opening_range_block(&self._state, highs, lows, starts, highs_out, lows_out, n)
        return targets

    @property
    def bars(self):
        """Length of the range, in bars."""
        return self._state.bars

    @property
    def value(self):
        """High of the range; NaN until `ready`."""
        return self._state.high

    @property
    def high(self):
        """High of the range; NaN until `ready`."""
        return self._state.high

    @property
    def low(self):
        """Low of the range; NaN until `ready`."""
        return self._state.low

    @property
    def ready(self):
        """True from the last bar of the range to the end of the session."""
        return self._state.bars_left == 0

    def reset(self):
        """Forget every bar; the next range begins at the next session start."""
        opening_range_init(&self._state, self._state.bars, NULL)


@cython.final
cdef class OpeningMinutes:
    """Highest high and lowest low of the first `minutes` minutes of a session, by the clock.

    A bar counts when it starts in [0, minutes) after the open: bars before the open are ignored
    and a missing bar does not lengthen the range. Complete at the close of the bar that reaches
    the end of the range, or at the first later bar; without any bar inside it stays NaN that day.

    Args:
        minutes: length of the range, 1..1440.
        bar_minutes: length of one bar, 1..1440.
    Units:
        In the unit of the prices; `since_open_ns` in nanoseconds.
    Shape:
        `update`: two prices, a time and a flag in, the range's high out.
        `update_many`: float64[n], int64[n] and bool[n]; an output may be a price input.
    Raises:
        UsageError (a ValueError): a parameter out of range; arrays of different lengths.
        BadData (a ValueError): a price is NaN or infinite, or high < low; the state is unchanged.
    Source:
        Crabel, T. (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout.
    """

    def __cinit__(self, minutes=15, bar_minutes=1):
        opening_minutes_init(
            &self._state, _minutes("minutes", minutes) * NS_PER_MINUTE,
            _minutes("bar_minutes", bar_minutes) * NS_PER_MINUTE, NULL)

    cpdef double update(
        self, double high, double low, int64_t since_open_ns, bint session_start=False
    ) except? -1.0:
        """Take one closed bar that began `since_open_ns` after the open; return the high."""
        if not bar_is_sound(high, low, low):
            refuse_bar(high, low, low, -1)
        return opening_minutes_step(&self._state, high, low, since_open_ns, session_start)

    def update_many(
        self, high, low, since_open_ns, session_start, high_out=None, low_out=None
    ):
        """Take n bars; return the range's high and low, in the arrays given or in new ones.

        `since_open_ns` is int64[n], `session_start` bool[n]. The same bits as n updates. Nothing
        is taken when anything is refused.
        """
        ranges = ranges_in(high, low)
        cdef Py_ssize_t n = len(ranges[0])
        since_open_ns = times_in("since_open_ns", since_open_ns, n)
        session_start = flags_in("session_start", session_start, n)
        targets = outputs(
            ("high_out", "low_out"), (high_out, low_out), n)
        series_apart(ranges, targets)
        cdef const double *highs = data_in(ranges[0])
        cdef const double *lows = data_in(ranges[1])
        cdef const int64_t *times = times_data(since_open_ns)
        cdef const unsigned char *starts = flags_data(session_start)
        cdef double *highs_out = data_out(targets[0])
        cdef double *lows_out = data_out(targets[1])
        with nogil:
            opening_minutes_block(
                &self._state, highs, lows, times, starts, highs_out, lows_out, n)
        return targets

    @property
    def minutes(self):
        """Length of the range, in minutes."""
        return self._state.span_ns // NS_PER_MINUTE

    @property
    def bar_minutes(self):
        """Length of one bar, in minutes."""
        return self._state.bar_ns // NS_PER_MINUTE

    @property
    def value(self):
        """High of the range; NaN until `ready`."""
        return self._state.high

    @property
    def high(self):
        """High of the range; NaN until `ready`."""
        return self._state.high

    @property
    def low(self):
        """Low of the range; NaN until `ready`."""
        return self._state.low

    @property
    def ready(self):
        """True once today's range is complete and holds at least one bar."""
        return self._state.high == self._state.high

    def reset(self):
        """Forget every bar; the next range begins at the next session start."""
        opening_minutes_init(&self._state, self._state.span_ns, self._state.bar_ns, NULL)


def opening_range(high, low, session_start, bars=15):
    """High and low of the first `bars` bars of each session: a tuple of two float64[n].

    NaN while a range forms and before the first session start. See `OpeningRange`.

    Raises:
        UsageError: bars out of range; arrays of different lengths or not one-dimensional.
        BadData: a price is NaN or infinite, or high < low.
    """
    return OpeningRange(bars).update_many(high, low, session_start)


def opening_minutes(high, low, since_open_ns, session_start, minutes=15, bar_minutes=1):
    """High and low of the first `minutes` minutes of each session: a tuple of two float64[n].

    NaN while a range forms and before the first session start. See `OpeningMinutes`.

    Raises:
        UsageError: a parameter out of range; arrays of different lengths or not one-dimensional;
            `since_open_ns` not of an integer type.
        BadData: a price is NaN or infinite, or high < low.
    """
    return OpeningMinutes(minutes, bar_minutes).update_many(
        high, low, since_open_ns, session_start)
