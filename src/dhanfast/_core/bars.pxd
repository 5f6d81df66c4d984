"""Bars from ticks: time, tick, volume and range; and longer bars from shorter ones.

Owner thread:  one; a BarState is touched by the thread that feeds it and by no other.
Memory:        BarState is a plain struct; the boundary table belongs to the caller and must live
               as long as the state. Nothing is allocated here.
Units:         paise, units, UTC nanoseconds. A bar covers [start, end) and is stamped `start`.

The boundary table is int64 pairs [open, close), ascending, not overlapping: the trading sessions.
A time bar starts at open + k * size, never reaches past its session's close (the last one may be
short), and a tick outside every session is counted in `outside` and left out.

    no bar open --tick in a session--> open --(time >= end: a tick's or `advance`'s)--> closed, out
         ^                               |  ^                                             |
         |                               |  +-- tick inside [start, end): merged          |
         +-------------------------------+------------------------------------------------+

What holds: bars leave in order of start, and none twice. `next_ns` is the end of the newest time
that is spoken for; a tick older than that, or older than the open bar, is counted in `late` and
changes nothing. Ticks inside the open bar are taken in order of arrival.

Volume "cumulative" takes the difference of the day's running total, which falls back to zero over
night. A day's first tick counts from zero if it falls into the first bar of the day; else we joined
late, what was traded before is not ours, and it counts for its own quantity. A total that falls
inside a day (a late quote) adds nothing and is counted in `volume_back`.

Flat bars (optional) stand for intervals without a trade, at the last close, from a session's first
trade to its end; never before its first trade, for then there is no price of that session.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.types cimport Bar, Tick, ns_t, paise_t


cpdef enum BarKind:
    """What closes a bar."""

    TIME = 0              # size in nanoseconds
    TICKS = 1             # closes with the size-th trade
    VOLUME = 2            # closes with the trade that brings it to `size` units or beyond; no split
    RANGE = 3             # closes with the trade that brings high - low to `size` paise or beyond


cpdef enum VolumeFrom:
    """Where a bar's volume comes from."""

    CUMULATIVE = 0        # Tick.volume, the day's running total
    QTY = 1               # Tick.qty, each record is one trade
    NOTHING = 2           # an index: 0


cdef struct BarState:
    Bar bar               # the open bar; the last one (for its close) when `span` is 0
    uint64_t span         # end - start of the open bar; 0 when none is open
    ns_t next_ns          # no bar may start before this any more
    int64_t size
    const ns_t *windows   # open, close, open, close, ...
    size_t windows_count  # pairs
    size_t window         # the pair that [open_ns, close_ns) is
    ns_t open_ns
    ns_t close_ns
    uint64_t volume_seen  # newest running total taken
    int64_t volume_day    # the day it belongs to, days since the epoch in India
    int32_t kind          # BarKind
    int32_t volume_from   # VolumeFrom
    int32_t flat          # 1: emit flat bars
    int32_t again         # 1 after a call: `out` was full, call again with the same argument
    uint64_t late
    uint64_t outside
    uint64_t empty        # records without a trade (price 0)
    uint64_t foreign      # records of another instrument
    uint64_t volume_back
    uint64_t straddle     # source bars that cross a boundary (bars_fold only)


cdef void bars_init(BarState *state, BarKind kind, int64_t size, const ns_t *windows,
                    size_t windows_count, uint32_t instrument, VolumeFrom volume_from,
                    bint flat) noexcept nogil

# Close what is due at `now_ns`; returns bars written. Slow path of bars_advance.
cdef size_t bars_due(BarState *state, ns_t now_ns, Bar *out, size_t room) noexcept nogil
# A tick that is not inside the open bar; slow path of bars_tick.
cdef size_t bars_roll(BarState *state, const Tick *tick, Bar *out, size_t room) noexcept nogil
# Emit the open bar now, whatever the time; at the end of data.
cdef size_t bars_flush(BarState *state, Bar *out) noexcept nogil
# Many ticks of one time-bar state, with the open bar in registers. `taken[0]` says how many were
# used; fewer than `count` when `out` filled up.
cdef size_t bars_block(BarState *state, const Tick *ticks, size_t count, Bar *out, size_t room,
                       size_t *taken) noexcept nogil
# A shorter bar instead of a tick: it must lie in one target bar (else `straddle`), TIME only.
cdef size_t bars_fold(BarState *state, const Bar *bar, ns_t source_ns, Bar *out,
                      size_t room) noexcept nogil
# Slow path of bars_advance: nothing is open, but time has passed.
cdef size_t bars_idle(BarState *state, ns_t now_ns, Bar *out, size_t room) noexcept nogil


cdef inline int64_t bars_volume(BarState *state, const Tick *tick) noexcept nogil:
    cdef uint64_t seen = state.volume_seen
    if state.volume_from == VolumeFrom.CUMULATIVE:
        if tick.volume < seen:
            state.volume_back += 1
            return 0
        state.volume_seen = tick.volume
        return <int64_t>(tick.volume - seen)
    return <int64_t>tick.qty if state.volume_from == VolumeFrom.QTY else 0


cdef inline bint bars_full(const BarState *state) noexcept nogil:
    if state.kind == BarKind.TICKS:
        return state.bar.ticks >= <uint64_t>state.size
    if state.kind == BarKind.VOLUME:
        return state.bar.volume >= state.size
    return state.kind == BarKind.RANGE and state.bar.high - state.bar.low >= state.size


cdef inline void bars_merge(BarState *state, const Tick *tick) noexcept nogil:
    if tick.price > state.bar.high:
        state.bar.high = tick.price
    if tick.price < state.bar.low:
        state.bar.low = tick.price
    state.bar.close = tick.price
    state.bar.oi = tick.oi
    state.bar.ticks += 1
    state.bar.volume += bars_volume(state, tick)


# Take one tick. `room` is at least 2. Returns the bars written to `out`: 0 or 1, 2 when a session's
# last bar and a one-trade bar close together, more with flat bars; see `again`.
cdef inline size_t bars_tick(BarState *state, const Tick *tick, Bar *out,
                             size_t room) noexcept nogil:
    if <uint64_t>(tick.exch_ns - state.bar.start_ns) >= state.span or tick.price <= 0 or (
            tick.instrument != state.bar.instrument):
        return bars_roll(state, tick, out, room)
    bars_merge(state, tick)
    if state.kind != BarKind.TIME and bars_full(state):
        if tick.exch_ns > state.next_ns:
            state.next_ns = tick.exch_ns
        out[0] = state.bar
        state.span = 0
        return 1
    return 0


# Close by time alone. Cheap when nothing is due: call it with every event and timer.
cdef inline size_t bars_advance(BarState *state, ns_t now_ns, Bar *out,
                                size_t room) noexcept nogil:
    state.again = 0
    if state.span and now_ns < state.bar.start_ns + <ns_t>state.span:
        return 0
    return bars_idle(state, now_ns, out, room)


cdef class BarBuilder:
    cdef BarState state
    cdef object _windows              # keeps the boundary table alive
    cdef object _setup(self, BarKind kind, object size, object sessions, object instrument,
                       object volume, bint flat)


cdef class TimeBars(BarBuilder):
    pass


cdef class TickBars(BarBuilder):
    pass


cdef class VolumeBars(BarBuilder):
    pass


cdef class RangeBars(BarBuilder):
    pass


# For the Python doors of this module and of `timeframes`; the engine needs none of it.
cdef class BarSink:
    cdef Bar *bars
    cdef size_t count
    cdef size_t capacity
    cdef bint reserve(self) noexcept nogil       # room for 64 more; False: no memory
    cdef object array(self)                      # a copy as BAR_DTYPE


cdef bint bars_feed(BarState *state, const Tick *ticks, size_t count, BarSink sink) noexcept nogil
cdef bint bars_pass_time(BarState *state, ns_t now_ns, BarSink sink) noexcept nogil
cdef const unsigned char[::1] raw_of(object records, object dtype, str name)
cdef int64_t size_of(object size, str name, int64_t most) except -1
cdef VolumeFrom volume_of(object volume) except *
