"""Several timeframes at once, and longer bars from shorter ones; by the rules of bars.pxd."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from dhanfast._core.bars cimport (
    BarKind,
    BarSink,
    BarState,
    VolumeFrom,
    bars_feed,
    bars_flush,
    bars_fold,
    bars_init,
    bars_pass_time,
    raw_of,
    size_of,
    volume_of,
)
from dhanfast._core.types cimport Bar, Tick, ns_t

import numpy as np

from dhanfast._core.bars import boundary_table
from dhanfast._core.types import BAR_DTYPE, TICK_DTYPE
from dhanfast.errors import BadData, UsageError

cdef ns_t DAY_NS = 86_400_000_000_000

cdef enum:
    BLOCK_TICKS = 256                 # 18 KB: stays in the first-level cache for every timeframe


@cython.final
cdef class BarSet:
    """Several timeframes of several instruments from one pass over the ticks.

    Args:
        intervals_ns: the timeframes, nanoseconds, 1..32 of them.
        sessions: as for TimeBars; one table for all instruments.
        instruments: ticks carry an instrument index in 0..instruments - 1; others are `foreign`.
        volume, flat: as for TimeBars.
    Shape:
        each call returns a tuple of BAR_DTYPE arrays, one a timeframe, in the order of
        `intervals_ns`; inside one, bars stand in the order in which they closed.
    Raises:
        UsageError: an argument is out of range; the message names it.
    """

    def __cinit__(self, intervals_ns, sessions, *, instruments=1, volume="cumulative", flat=False):
        cdef const int64_t[:, ::1] pairs
        cdef size_t i, f
        sizes = [size_of(size, "interval_ns", 7 * DAY_NS) for size in intervals_ns]
        if not 1 <= len(sizes) <= 32:
            raise UsageError(f"intervals_ns must hold 1..32 timeframes, had {len(sizes)}")
        self.timeframes = len(sizes)
        self.instruments = size_of(instruments, "instruments", 1 << 20)
        table = boundary_table(sessions)
        pairs = table
        self._windows = table
        self.states = <BarState *>calloc(self.instruments * self.timeframes, sizeof(BarState))
        if self.states == NULL:
            raise MemoryError(f"bars of {instruments} instruments in {len(sizes)} timeframes")
        for i in range(self.instruments):
            for f in range(self.timeframes):
                bars_init(&self.states[i * self.timeframes + f], BarKind.TIME, sizes[f],
                          &pairs[0, 0], pairs.shape[0], <uint32_t>i, volume_of(volume), flat)

    def __dealloc__(self):
        free(self.states)

    cdef bint _frame(self, size_t frame, const Tick *ticks, size_t count,
                     BarSink sink) noexcept nogil:
        # One timeframe over one block; a run of ticks of one instrument goes in one call.
        cdef size_t i = 0
        cdef size_t run
        cdef uint32_t instrument
        cdef BarState *state
        while i < count:
            instrument = ticks[i].instrument
            run = 1
            while i + run < count and ticks[i + run].instrument == instrument:
                run += 1
            if instrument >= self.instruments:
                self.foreign += run if frame == 0 else 0
                i += run
                continue
            state = &self.states[instrument * self.timeframes + frame]
            if not bars_feed(state, ticks + i, run, sink):
                return False
            i += run
        return True

    def update_many(self, ticks):
        """Take ticks in order of arrival; return the bars they closed, one array a timeframe.

        Args:
            ticks: TICK_DTYPE[n].
        Raises:
            UsageError: not an array of TICK_DTYPE.
        """
        cdef const unsigned char[::1] raw = raw_of(ticks, TICK_DTYPE, "ticks")
        cdef list sinks = [BarSink() for _ in range(self.timeframes)]
        cdef size_t count = 0 if raw is None else raw.shape[0] // sizeof(Tick)
        cdef size_t at = 0
        cdef size_t block, frame
        while at < count:
            block = min(count - at, <size_t>BLOCK_TICKS)
            for frame in range(self.timeframes):
                if not self._frame(frame, <const Tick *>&raw[0] + at, block, <BarSink>sinks[frame]):
                    raise MemoryError("bars of update_many")
            at += block
        return tuple([(<BarSink>sink).array() for sink in sinks])

    def advance(self, int64_t now_ns):
        """Close what is over at `now_ns`; return the bars closed, one array a timeframe."""
        cdef list sinks = [BarSink() for _ in range(self.timeframes)]
        cdef size_t i, frame
        cdef BarState *state
        for i in range(self.instruments):
            for frame in range(self.timeframes):
                state = &self.states[i * self.timeframes + frame]
                if not bars_pass_time(state, now_ns, <BarSink>sinks[frame]):
                    raise MemoryError("bars of advance")
        return tuple([(<BarSink>sink).array() for sink in sinks])

    @property
    def late(self):
        """Late ticks, summed over instruments and timeframes."""
        cdef uint64_t total = 0
        cdef size_t i
        for i in range(self.instruments * self.timeframes):
            total += self.states[i].late
        return total

    @property
    def outside(self):
        """Ticks outside every session, as the first timeframe counts them."""
        cdef uint64_t total = 0
        cdef size_t i
        for i in range(self.instruments):
            total += self.states[i * self.timeframes].outside
        return total


cdef object _check_source(object bars):
    # The first row that breaks a rule, by number; nothing is guessed or repaired.
    start = bars["start_ns"]
    rules = (
        (np.flatnonzero(bars["instrument"] != bars["instrument"][0]), "instrument",
         "differs from the first row's: aggregate one instrument at a time"),
        (np.flatnonzero(np.diff(start) <= 0) + 1, "start_ns",
         "is not after the row before: sort the bars and remove duplicates"),
        (np.flatnonzero((bars["low"] <= 0) | (bars["open"] <= 0) | (bars["close"] <= 0)), "low",
         "or open or close is not positive"),
        (np.flatnonzero(bars["low"] > bars["high"]), "low", "is above high"),
    )
    for rows, column, fault in rules:
        if len(rows):
            raise BadData(f"bars[{rows[0]}].{column} = {bars[column][rows[0]]} {fault}")


def aggregate(bars, interval_ns, sessions, *, source_ns=60_000_000_000):
    """Longer bars from shorter ones, by the same boundary rules as TimeBars.

    A target interval with missing source bars is made of those there are; one with none is absent.

    Args:
        bars: BAR_DTYPE[n] of one instrument, ascending by start.
        interval_ns: length of the result, a multiple of source_ns.
        sessions: as for TimeBars.
        source_ns: length of the given bars, nanoseconds; one minute unless told.
    Shape:
        (BAR_DTYPE[m], count of source bars outside every session, which are left out).
    Raises:
        UsageError: interval_ns is no multiple of source_ns, or `bars` has another type.
        BadData: unsorted, mixed instruments, a price not positive, low above high, or a source bar
            that crosses a boundary of the result; the message names row, field and value.
    """
    cdef BarState state
    cdef const int64_t[:, ::1] pairs
    cdef const unsigned char[::1] raw = raw_of(bars, BAR_DTYPE, "bars")
    cdef const Bar *source
    cdef BarSink sink = BarSink()
    cdef ns_t step = size_of(source_ns, "source_ns", DAY_NS)
    cdef int64_t size = size_of(interval_ns, "interval_ns", 7 * DAY_NS)
    cdef size_t i, count
    if size % step:
        raise UsageError(f"interval_ns = {size} must be a multiple of source_ns = {step}")
    table = boundary_table(sessions)
    pairs = table
    if raw is None:
        return sink.array(), 0
    _check_source(bars)
    count = raw.shape[0] // sizeof(Bar)
    source = <const Bar *>&raw[0]
    bars_init(&state, BarKind.TIME, size, &pairs[0, 0], pairs.shape[0], source[0].instrument,
              VolumeFrom.NOTHING, False)
    for i in range(count):
        if not sink.reserve():
            raise MemoryError("bars of aggregate")
        sink.count += bars_fold(&state, &source[i], step, sink.bars + sink.count, 64)
        if state.straddle:
            raise BadData(
                f"bars[{i}].start_ns = {source[i].start_ns}: the bar of {step} ns crosses a "
                f"boundary of {size} ns bars that start at the session's open")
    sink.reserve()
    sink.count += bars_flush(&state, sink.bars + sink.count)
    return sink.array(), state.outside
