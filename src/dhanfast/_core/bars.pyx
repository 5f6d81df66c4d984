"""Bars: see bars.pxd for the contract and the states, here is the how."""

cimport cython
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

import numpy as np

from dhanfast._core.types import BAR_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast.errors import UsageError


cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)

cdef ns_t DAY_NS = 86_400_000_000_000
cdef ns_t INDIA_NS = 19_800_000_000_000      # IST is UTC+05:30, all year, since 1945

_VOLUMES = {
    "cumulative": <int>VolumeFrom.CUMULATIVE,
    "qty": <int>VolumeFrom.QTY,
    "none": <int>VolumeFrom.NOTHING,
}


cdef void bars_init(BarState *state, BarKind kind, int64_t size, const ns_t *windows,
                    size_t windows_count, uint32_t instrument, VolumeFrom volume_from,
                    bint flat) noexcept nogil:
    memset(state, 0, sizeof(BarState))
    state.bar.instrument = instrument
    state.kind = kind
    state.size = size
    state.windows = windows
    state.windows_count = windows_count
    state.volume_from = volume_from
    state.volume_day = -1
    state.flat = flat


cdef size_t _window_of(const BarState *state, ns_t at) noexcept nogil:
    # The session that holds `at`, or windows_count. Ticks come in order: look here and next door
    # before searching the years.
    cdef size_t low = state.window
    cdef size_t high = state.windows_count
    cdef size_t middle
    if low < high and state.windows[2 * low] <= at < state.windows[2 * low + 1]:
        return low
    if low + 1 < high and state.windows[2 * low + 2] <= at < state.windows[2 * low + 3]:
        return low + 1
    low = 0
    while low < high:                  # the first session that closes after `at`
        middle = (low + high) // 2
        if state.windows[2 * middle + 1] <= at:
            low = middle + 1
        else:
            high = middle
    if low < state.windows_count and state.windows[2 * low] <= at:
        return low
    return state.windows_count


cdef size_t bars_due(BarState *state, ns_t now_ns, Bar *out, size_t room) noexcept nogil:
    cdef size_t written = 0
    cdef ns_t end
    state.again = 0
    while True:
        if state.span:
            end = state.bar.start_ns + <ns_t>state.span
        elif state.flat and state.next_ns < state.close_ns:
            # `close_ns` belongs to a session that has traded: it is set by the first trade.
            end = min(state.next_ns + state.size, state.close_ns)
        else:
            return written
        if end > now_ns:
            return written
        if written == room:
            state.again = 1
            return written
        if not state.span:
            state.bar.start_ns = state.next_ns
            state.bar.open = state.bar.high = state.bar.low = state.bar.close
            state.bar.volume = 0
            state.bar.ticks = 0
        out[written] = state.bar
        written += 1
        state.span = 0
        state.next_ns = end


cdef size_t bars_idle(BarState *state, ns_t now_ns, Bar *out, size_t room) noexcept nogil:
    cdef size_t written = bars_due(state, now_ns, out, room)
    cdef size_t window
    cdef ns_t passed = now_ns
    if state.again or state.span or state.kind != BarKind.TIME or now_ns <= state.next_ns:
        return written
    # Whole intervals went by without a trade. They are over: a tick for them is late from now on.
    window = _window_of(state, now_ns)
    if window < state.windows_count:
        passed = state.windows[2 * window]
        passed += (now_ns - passed) // state.size * state.size
    if passed > state.next_ns:
        state.next_ns = passed
    return written


cdef size_t bars_flush(BarState *state, Bar *out) noexcept nogil:
    if state.span == 0:
        return 0
    out[0] = state.bar
    # Its interval is spoken for, even though it was cut short. An event bar has no end of its own.
    if state.kind == BarKind.TIME:
        state.next_ns = state.bar.start_ns + <ns_t>state.span
    elif state.bar.start_ns > state.next_ns:
        state.next_ns = state.bar.start_ns
    state.span = 0
    return 1


cdef bint _open_at(BarState *state, ns_t at) noexcept nogil:
    # Place an empty bar around `at`; False when no session holds it. The caller fills the prices.
    cdef size_t window = _window_of(state, at)
    cdef ns_t start = at
    cdef ns_t end
    if window == state.windows_count:
        state.outside += 1
        return False
    state.window = window
    state.open_ns = state.windows[2 * window]
    state.close_ns = end = state.windows[2 * window + 1]
    if state.kind == BarKind.TIME:
        start = state.open_ns + (at - state.open_ns) // state.size * state.size
        if end - start > state.size:
            end = start + state.size
    state.bar.start_ns = start
    state.bar.volume = 0
    state.bar.ticks = 0
    state.span = <uint64_t>(end - start)
    return True


cdef void _new_day(BarState *state, const Tick *tick) noexcept nogil:
    # Where the running total of the day starts from, for us; see bars.pxd.
    cdef int64_t day = (state.open_ns + INDIA_NS) // DAY_NS
    cdef bint first_bar
    if day == state.volume_day:
        return
    first_bar = state.kind == BarKind.TIME and state.bar.start_ns == state.open_ns and (
        state.window == 0
        or (state.windows[2 * state.window - 2] + INDIA_NS) // DAY_NS != day)
    state.volume_day = day
    state.volume_seen = 0
    if not first_bar and tick.volume > tick.qty:
        state.volume_seen = tick.volume - tick.qty


cdef size_t bars_roll(BarState *state, const Tick *tick, Bar *out, size_t room) noexcept nogil:
    cdef size_t written
    DF_ASSERT(room >= 2)
    state.again = 0
    if tick.instrument != state.bar.instrument:
        state.foreign += 1
        return 0
    written = bars_due(state, tick.exch_ns, out, room)
    if state.again:
        return written
    if tick.price <= 0:
        state.empty += 1
        return written
    if state.span or tick.exch_ns < state.next_ns:
        state.late += 1
        return written
    if not _open_at(state, tick.exch_ns):
        return written
    _new_day(state, tick)
    state.bar.open = state.bar.high = state.bar.low = tick.price
    bars_merge(state, tick)
    if state.kind != BarKind.TIME and bars_full(state):
        # A one-trade bar. Only a session's last bar can have closed before it: there is room.
        if tick.exch_ns > state.next_ns:
            state.next_ns = tick.exch_ns
        out[written] = state.bar
        state.span = 0
        written += 1
    return written


cdef size_t _run_inside(BarState *state, const Tick *ticks, size_t count) noexcept nogil:
    # How many leading ticks lie inside the open bar; they are merged. Prices live in registers.
    cdef paise_t high = state.bar.high
    cdef paise_t low = state.bar.low
    cdef ns_t start = state.bar.start_ns
    cdef uint64_t span = state.span
    cdef uint64_t seen = state.volume_seen
    cdef uint64_t qty = 0
    cdef uint64_t back = 0
    cdef uint32_t instrument = state.bar.instrument
    cdef paise_t price
    cdef size_t i = 0
    while i < count:
        price = ticks[i].price
        if <uint64_t>(ticks[i].exch_ns - start) >= span or price <= 0 or (
                ticks[i].instrument != instrument):
            break
        high = price if price > high else high
        low = price if price < low else low
        back += ticks[i].volume < seen
        seen = ticks[i].volume if ticks[i].volume > seen else seen
        qty += ticks[i].qty
        i += 1
    if i == 0:
        return 0
    if state.volume_from == VolumeFrom.CUMULATIVE:
        state.bar.volume += <int64_t>(seen - state.volume_seen)
        state.volume_seen = seen
        state.volume_back += back
    elif state.volume_from == VolumeFrom.QTY:
        state.bar.volume += <int64_t>qty
    state.bar.high = high
    state.bar.low = low
    state.bar.close = ticks[i - 1].price
    state.bar.oi = ticks[i - 1].oi
    state.bar.ticks += <uint32_t>i
    return i


cdef size_t bars_block(BarState *state, const Tick *ticks, size_t count, Bar *out, size_t room,
                       size_t *taken) noexcept nogil:
    cdef size_t written = 0
    cdef size_t i = 0
    while i < count and room - written >= 2:
        if state.kind == BarKind.TIME and state.span:
            i += _run_inside(state, ticks + i, count - i)
            if i == count:
                break
        written += bars_tick(state, ticks + i, out + written, room - written)
        i += not state.again
    taken[0] = i
    return written


cdef size_t bars_fold(BarState *state, const Bar *bar, ns_t source_ns, Bar *out,
                      size_t room) noexcept nogil:
    cdef size_t written = 0
    cdef ns_t end
    DF_ASSERT(state.kind == BarKind.TIME)
    state.again = 0
    if bar.instrument != state.bar.instrument:
        state.foreign += 1
        return 0
    if <uint64_t>(bar.start_ns - state.bar.start_ns) >= state.span:
        written = bars_due(state, bar.start_ns, out, room)
        if state.again:
            return written
        if state.span or bar.start_ns < state.next_ns:
            state.late += 1
            return written
        if not _open_at(state, bar.start_ns):
            return written
        state.bar.open = bar.open
        state.bar.high = bar.high
        state.bar.low = bar.low
    end = state.bar.start_ns + <ns_t>state.span
    if bar.start_ns + source_ns > end and end != state.close_ns:
        state.straddle += 1
        return written
    state.bar.high = max(state.bar.high, bar.high)
    state.bar.low = min(state.bar.low, bar.low)
    state.bar.close = bar.close
    state.bar.oi = bar.oi
    state.bar.volume += bar.volume
    state.bar.ticks += bar.ticks
    return written


cdef class BarSink:
    """A growing array of bars behind the Python doors; the engine brings its own array."""
    def __dealloc__(self):
        free(self.bars)

    cdef bint reserve(self) noexcept nogil:
        cdef Bar *grown
        cdef size_t capacity
        if self.capacity - self.count >= 64:
            return True
        capacity = 2 * self.capacity + 128
        grown = <Bar *>realloc(self.bars, capacity * sizeof(Bar))
        if grown == NULL:
            return False
        self.bars = grown
        self.capacity = capacity
        return True

    cdef object array(self):
        made = np.empty(self.count, dtype=BAR_DTYPE)
        cdef unsigned char[::1] raw
        if self.count:
            raw = made.view(np.uint8)
            memcpy(&raw[0], self.bars, self.count * sizeof(Bar))
        return made


cdef bint bars_feed(BarState *state, const Tick *ticks, size_t count, BarSink sink) noexcept nogil:
    cdef size_t taken = 0
    cdef size_t i = 0
    while i < count:
        if not sink.reserve():
            return False
        sink.count += bars_block(state, ticks + i, count - i, sink.bars + sink.count,
                                 sink.capacity - sink.count, &taken)
        i += taken
    return True


cdef bint bars_pass_time(BarState *state, ns_t now_ns, BarSink sink) noexcept nogil:
    while True:
        if not sink.reserve():
            return False
        sink.count += bars_advance(state, now_ns, sink.bars + sink.count,
                                   sink.capacity - sink.count)
        if not state.again:
            return True


cdef bint _step(BarState *state, const Tick *tick, BarSink sink) noexcept nogil:
    # Time first, then the tick, as the engine does; two places stay free for the tick's bars.
    while True:
        if not sink.reserve():
            return False
        sink.count += bars_advance(state, tick.exch_ns, sink.bars + sink.count, 62)
        if not state.again:
            break
    sink.count += bars_tick(state, tick, sink.bars + sink.count, 2)
    return True


def boundary_table(sessions):
    """The sorted [open, close) pairs that bars are aligned to.

    Args:
        sessions: SESSION_DTYPE rows (a split day gives two pairs), or int64[n, 2] pairs.
    Units:
        UTC nanoseconds.
    Shape:
        int64[m, 2], C-contiguous, ascending, not overlapping; a copy.
    Raises:
        UsageError: empty, of another shape or type, a close not after its open, or overlapping.
    """
    given = np.asarray(sessions)
    if given.dtype == SESSION_DTYPE:
        rows = given.ravel()
        second = rows[rows["close2_ns"] > 0]
        given = np.concatenate([
            np.column_stack([rows["open_ns"], rows["close_ns"]]),
            np.column_stack([second["open2_ns"], second["close2_ns"]]),
        ])
        given = np.unique(given, axis=0)           # several instruments share one day
    if given.ndim != 2 or given.shape[1] != 2 or given.shape[0] == 0 or given.dtype.kind != "i":
        raise UsageError(
            "sessions must be int64 pairs [open_ns, close_ns), at least one, "
            f"had dtype {given.dtype} and shape {given.shape}")
    table = np.array(given, dtype=np.int64, order="C")
    wrong = np.flatnonzero(table[:, 0] >= table[:, 1])
    if len(wrong):
        raise UsageError(
            f"sessions[{wrong[0]}] closes at {table[wrong[0], 1]}, not after its open "
            f"{table[wrong[0], 0]}")
    wrong = np.flatnonzero(table[1:, 0] < table[:-1, 1])
    if len(wrong) or table[0, 0] < 0:
        row = wrong[0] + 1 if len(wrong) else 0
        raise UsageError(
            f"sessions[{row}] opens at {table[row, 0]}, before the one before it closes: "
            "sort them and remove overlaps")
    return table


cdef int64_t size_of(object size, str name, int64_t most) except -1:
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or not 1 <= size <= most:
        raise UsageError(f"{name} must be a whole number in 1..{most}, was {size!r}")
    return size


cdef uint32_t _instrument_of(object instrument) except? 0xFFFFFFFF:
    if not 0 <= instrument < 2**32:
        raise UsageError(f"instrument must be in 0..2**32 - 1, was {instrument}")
    return instrument


cdef VolumeFrom volume_of(object volume) except *:
    if volume not in _VOLUMES:
        raise UsageError(f"volume must be one of {', '.join(_VOLUMES)}, was {volume!r}")
    return <VolumeFrom><int>_VOLUMES[volume]


cdef const unsigned char[::1] raw_of(object records, object dtype, str name):
    given = np.asarray(records)
    if given.dtype != dtype or given.ndim != 1:
        raise UsageError(f"{name} must be a one-dimensional array of the record type of that name, "
                         f"had dtype {given.dtype} and shape {given.shape}")
    if len(given) == 0:
        return None
    return np.ascontiguousarray(given).view(np.uint8)


cdef class BarBuilder:
    """One series of bars from one instrument's ticks: what the four kinds have in common.

    Make a `TimeBars`, `TickBars`, `VolumeBars` or `RangeBars`.

    Shape:
        one owner thread; bars come back as BAR_DTYPE arrays, oldest first, each bar once.
    """

    def __init__(self, *args, **kwargs):
        if self.state.size == 0:
            raise TypeError("BarBuilder is a base: make TimeBars, TickBars, VolumeBars, RangeBars")

    cdef object _setup(self, BarKind kind, object size, object sessions, object instrument,
                       object volume, bint flat):
        cdef const int64_t[:, ::1] pairs
        table = boundary_table(sessions)
        pairs = table
        self._windows = table
        bars_init(&self.state, kind, size, &pairs[0, 0], pairs.shape[0],
                  _instrument_of(instrument), volume_of(volume), flat)

    def update_many(self, ticks):
        """Take ticks in order of arrival; return the bars they closed.

        Args:
            ticks: TICK_DTYPE[n]. Other instruments, late ones and those outside the sessions are
                counted and left out.
        Shape:
            BAR_DTYPE[m], m may be 0. The bar that is still open is not among them.
        Raises:
            UsageError: not an array of TICK_DTYPE.
        """
        cdef const unsigned char[::1] raw = raw_of(ticks, TICK_DTYPE, "ticks")
        cdef BarSink sink = BarSink()
        cdef bint held
        if raw is not None:
            with nogil:
                held = bars_feed(&self.state, <const Tick *>&raw[0], raw.shape[0] // sizeof(Tick),
                                 sink)
            if not held:
                raise MemoryError("bars of update_many")
        return sink.array()

    def replay(self, ticks):
        """As update_many, but one tick at a time with the clock moved before each: the live path.

        Args:
            ticks: TICK_DTYPE[n].
        Shape:
            BAR_DTYPE[m]; the same bars as update_many when the ticks are in order.
        Raises:
            UsageError: not an array of TICK_DTYPE.
        """
        cdef const unsigned char[::1] raw = raw_of(ticks, TICK_DTYPE, "ticks")
        cdef BarSink sink = BarSink()
        cdef size_t i
        cdef bint held = True
        if raw is not None:
            with nogil:
                for i in range(raw.shape[0] // sizeof(Tick)):
                    held = _step(&self.state, <const Tick *>&raw[0] + i, sink)
                    if not held:
                        break
            if not held:
                raise MemoryError("bars of replay")
        return sink.array()

    def advance(self, int64_t now_ns):
        """Close what is over at `now_ns` although no tick came; return the bars closed.

        Args:
            now_ns: UTC nanoseconds. A tick for an interval that is over is late from then on, so
                pass `now - grace` when ticks may arrive after their time.
        """
        cdef BarSink sink = BarSink()
        if not bars_pass_time(&self.state, now_ns, sink):
            raise MemoryError("bars of advance")
        return sink.array()

    def flush(self):
        """Emit the open bar now, cut short; at the end of data. Returns 0 or 1 bars."""
        cdef BarSink sink = BarSink()
        if not sink.reserve():
            raise MemoryError("bars of flush")
        sink.count = bars_flush(&self.state, sink.bars)
        return sink.array()

    @property
    def current(self):
        """A copy of the open bar as BAR_DTYPE[1], or None."""
        if self.state.span == 0:
            return None
        cdef BarSink sink = BarSink()
        if not sink.reserve():
            raise MemoryError("the open bar")
        sink.bars[0] = self.state.bar
        sink.count = 1
        return sink.array()

    @property
    def late(self):
        """Ticks older than what was already closed, left out."""
        return self.state.late

    @property
    def outside(self):
        """Ticks outside every session, left out."""
        return self.state.outside

    @property
    def empty(self):
        """Records without a trade (price 0 or less), left out."""
        return self.state.empty

    @property
    def foreign(self):
        """Records of another instrument, left out."""
        return self.state.foreign

    @property
    def volume_back(self):
        """Ticks whose running total was below one seen before: they added no volume."""
        return self.state.volume_back


@cython.final
cdef class TimeBars(BarBuilder):
    """Bars of fixed length, aligned to the session's open, closed by time.

    Args:
        interval_ns: length in nanoseconds, 1..7 days; one that is longer than the session gives
            one bar a session.
        sessions: int64[n, 2] pairs [open_ns, close_ns) or SESSION_DTYPE rows; see boundary_table.
        instrument: index of the instrument whose ticks these are.
        volume: "cumulative" (differences of the day's total), "qty" or "none".
        flat: emit a flat bar for an interval without a trade, from the session's first trade on.
    Units:
        prices paise, volume units, times UTC nanoseconds.
    Raises:
        UsageError: an argument is out of range; the message names it.
    """

    def __cinit__(self, interval_ns, sessions, *, instrument=0, volume="cumulative", flat=False):
        self._setup(BarKind.TIME, size_of(interval_ns, "interval_ns", 7 * DAY_NS), sessions,
                    instrument, volume, flat)


@cython.final
cdef class TickBars(BarBuilder):
    """Bars of a fixed number of trades; the session's last one may hold fewer.

    Args:
        ticks: trades a bar, 1..2**31.
        sessions, instrument, volume: as for TimeBars; with "cumulative" the first tick of a day
            counts for its own quantity.
    Raises:
        UsageError: an argument is out of range; the message names it.
    """

    def __cinit__(self, ticks, sessions, *, instrument=0, volume="cumulative"):
        self._setup(BarKind.TICKS, size_of(ticks, "ticks", 2**31), sessions, instrument, volume,
                    False)


@cython.final
cdef class VolumeBars(BarBuilder):
    """Bars that close with the trade that brings them to `units`; a trade is never split.

    Args:
        units: quantity a bar, 1..2**53.
        sessions, instrument, volume: as for TickBars; "none" is refused.
    Raises:
        UsageError: an argument is out of range; the message names it.
    """

    def __cinit__(self, units, sessions, *, instrument=0, volume="cumulative"):
        if volume == "none":
            raise UsageError("volume bars need volume='cumulative' or 'qty', was 'none'")
        self._setup(BarKind.VOLUME, size_of(units, "units", 2**53), sessions, instrument, volume,
                    False)


@cython.final
cdef class RangeBars(BarBuilder):
    """Bars that close with the trade that brings high - low to `paise` or beyond.

    Args:
        paise: the range, 1..10**10.
        sessions, instrument, volume: as for TickBars.
    Raises:
        UsageError: an argument is out of range; the message names it.
    """

    def __cinit__(self, paise, sessions, *, instrument=0, volume="cumulative"):
        self._setup(BarKind.RANGE, size_of(paise, "paise", 10**10), sessions, instrument, volume,
                    False)
