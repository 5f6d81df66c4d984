"""Intakes: see intake.pxd for the contract."""

cimport cython
from libc.stdlib cimport calloc, free

from dhanfast._core.ring cimport event_of_tick
from dhanfast._core.timing cimport clock_utc_ns, latency_record
from dhanfast._core.types cimport Event, Side
from dhanfast._core.wire.dhan cimport dhan_decode, dhan_forget
from dhanfast._core.wire.dhan_depth cimport depth_decode, depth_forget
from dhanfast._core.wire.records cimport TickFlag
from dhanfast._core.wire.table cimport SLOT_NONE, table_slot

import numpy as np

from dhanfast._core.types import DEPTH_DTYPE, TICK_DTYPE
from dhanfast._core.wire.records import NOTICE_DTYPE
from dhanfast.clock import SystemClock
from dhanfast.errors import UsageError


cdef class Intake:
    """The base of both intakes: clocks, when each instrument was last heard of, notices.

    Args:
        decoder: whose table it shares; this class itself lets every message fall.
        clock, market_clock: see `FeedIntake`.
    Attributes:
        table: the instruments it knows.
        messages: taken so far.
        notices_dropped: of messages with more notices than fit.
    Raises:
        UsageError: not a decoder.
    """

    def __cinit__(self, decoder, *args, clock=None, market_clock=None, **kwargs):
        if not isinstance(decoder, (DhanDecoder, DhanDepthDecoder)):
            raise UsageError(f"an intake needs a decoder, was given {type(decoder).__name__}")
        self.table = decoder.table
        self._seen_ns = <ns_t *>calloc(self.table.state.count + 1, sizeof(ns_t))
        if self._seen_ns == NULL:
            raise MemoryError(f"times of {self.table.state.count} instruments")
        self._clock = _native_of(clock)
        one = market_clock is None or market_clock is clock or (
            isinstance(market_clock, SystemClock) and isinstance(self._clock, UtcClock))
        self._market_clock = self._clock if one else _native_of(market_clock)
        if self._market_clock is self._clock and isinstance(self._clock, UtcClock):
            self._native = self._clock
        self.out.notices = &self._notices[0]
        self.out.notice_max = NOTICES_MAX

    def __dealloc__(self):
        free(self._seen_ns)

    cdef int stamp(self, ns_t *recv_ns, ns_t *seen_ns) except -1:
        if self._native is not None:
            recv_ns[0] = seen_ns[0] = clock_utc_ns(&self._native.state)
        else:
            seen_ns[0] = self._clock.now_ns()
            recv_ns[0] = (seen_ns[0] if self._market_clock is self._clock
                          else self._market_clock.now_ns())
        return 0

    cdef void take(self, const uint8_t *payload, size_t size, ns_t recv_ns,
                   ns_t seen_ns) noexcept:
        pass

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        pass

    cdef void forget_slot(self, uint32_t slot) noexcept:
        pass

    cdef object take_notices(self):
        count, self.out.notice_count = self.out.notice_count, 0
        notices = np.empty(count, NOTICE_DTYPE)
        cdef size_t i
        for i in range(count):
            notice = self._notices[i]
            notices[i] = (notice.recv_ns, notice.code, notice.segment, notice.security_id,
                          notice.reason)
        return notices

    @property
    def counters(self):
        """What was counted, by name; zeros are left out."""
        return {}

    def receive(self, payload):
        """Take one whole binary message, as a socket's listener does natively.

        Args:
            payload: its bytes.
        Shape:
            returns what the feed says of itself in it: records.NOTICE_DTYPE[n], mostly empty.
        """
        cdef const uint8_t[::1] view = payload if len(payload) else b"\0"
        cdef ns_t recv_ns = 0
        cdef ns_t seen_ns = 0
        self.stamp(&recv_ns, &seen_ns)
        self.take(&view[0], len(payload), recv_ns, seen_ns)
        return self.take_notices()

    def now_ns(self):
        """The clock of silence, UTC ns."""
        cdef ns_t recv_ns = 0
        cdef ns_t seen_ns = 0
        self.stamp(&recv_ns, &seen_ns)
        return seen_ns

    def tell_event(self, event: int):
        """Tell the sink that the feed was lost or is back, now.

        Args:
            event: sink.FeedEvent.
        """
        cdef ns_t recv_ns = 0
        cdef ns_t seen_ns = 0
        self.stamp(&recv_ns, &seen_ns)
        self.feed_event(event, recv_ns)

    def forget(self, instruments):
        """Messages may have been missed: next records are seeds, books unknown until they come.

        Args:
            instruments: their indices; those that are not in the table are left alone.
        """
        cdef uint32_t slot
        for instrument in instruments:
            slot = table_slot(&self.table.state, instrument)
            if slot != SLOT_NONE:
                self.forget_slot(slot)

    def seen_ns(self, uint32_t instrument):
        """When the last packet of an instrument came, UTC ns; 0 when none has."""
        cdef uint32_t slot = table_slot(&self.table.state, instrument)
        return 0 if slot == SLOT_NONE else self._seen_ns[slot]

    def quiet(self, const uint32_t[::1] instruments, const long long[::1] since_ns):
        """Which instruments have not been heard of since a time of theirs.

        Args:
            instruments: their indices. since_ns: of each, UTC ns.
        Shape:
            returns places in `instruments`, rising, int64[n]. One not in the table is quiet.
        Raises:
            UsageError: the arrays differ in length.
        """
        if instruments.shape[0] != since_ns.shape[0]:
            raise UsageError(f"{instruments.shape[0]} instruments but {since_ns.shape[0]} times")
        found = np.empty(instruments.shape[0], np.int64)
        cdef long long[::1] places = found
        cdef Py_ssize_t i
        cdef Py_ssize_t count = 0
        cdef uint32_t slot
        for i in range(instruments.shape[0]):
            slot = table_slot(&self.table.state, instruments[i])
            if slot == SLOT_NONE or self._seen_ns[slot] < since_ns[i]:
                places[count] = i
                count += 1
        return found[:count]

    def calibrate(self):
        """Measure the native clocks against the wall clock again.

        Units:
            returns by how many ns the wall clock was stepped since the last time; 0 when no clock
            of this intake is native.
        """
        stepped = self._clock.calibrate() if isinstance(self._clock, UtcClock) else 0
        if self._market_clock is not self._clock and isinstance(self._market_clock, UtcClock):
            stepped = self._market_clock.calibrate()
        return stepped


@cython.final
cdef class FeedIntake(Intake):
    """Messages of Dhan's live feed to ticks, and ticks to the engine, a ring and a broadcast.

    Args:
        decoder: made for it; its depth and day rows are not made here, its levels are.
        sink: who trades on them; None: nobody.
        ring: another thread of this process that wants them; None: nobody.
        writer: of a broadcast of Tick records, for recorder and dashboards; None: nobody.
        clock: of silence: a `timing.UtcClock`, or anything with `now_ns()`; None, and
            `clock.SystemClock`: a native UTC clock of its own.
        market_clock: of the records; None: the same.
    Attributes:
        decoder: as given. lag: receive time less exchange time of every new trade; exchange times
            are whole seconds.
    Raises:
        UsageError: the writer's records are not ticks.
    """

    def __cinit__(self, DhanDecoder decoder not None, TickSink sink=None, *, Ring ring=None,
                  BroadcastWriter writer=None, clock=None, market_clock=None):
        _check_writer(writer, TICK_DTYPE)
        self.decoder, self._sink, self._ring, self._writer = decoder, sink, ring, writer
        self.lag = LatencyHistogram()
        self.out.ticks = &self._ticks[0]
        self.out.tick_max = TICKS_MAX

    cdef void take(self, const uint8_t *payload, size_t size, ns_t recv_ns,
                   ns_t seen_ns) noexcept:
        cdef size_t at = 0
        self.messages += 1
        while True:
            at += dhan_decode(&self.decoder.feed, payload + at, size - at, recv_ns, &self.out)
            if self.out.tick_count:
                self._hand_over(recv_ns, seen_ns)
            if at >= size:
                return
            if self.out.notice_count == NOTICES_MAX:
                self.out.notice_count -= 1
                self.notices_dropped += 1

    cdef void _hand_over(self, ns_t recv_ns, ns_t seen_ns) noexcept:
        cdef size_t count = self.out.tick_count
        cdef const Tick *tick = &self._ticks[0]
        cdef const Tick *end = tick + count
        self.out.tick_count = 0
        if self._sink is not None:
            self._sink.take(tick, count, recv_ns)
        if self._writer is not None:
            self._publish(tick, count)
        if self._ring is not None:
            self._to_ring(count)
        while tick != end:
            self._seen_ns[self.table.state.slot_of[tick.instrument]] = seen_ns
            if tick.price and not tick.flags & (TickFlag.SEED | TickFlag.TIME_RECEIVED):
                latency_record(&self.lag.state, recv_ns - tick.exch_ns)
            tick += 1

    cdef void _publish(self, const Tick *ticks, size_t count) noexcept:
        cdef Tick tick
        cdef size_t at
        for at in range(count):
            if self._speed == 0.0:
                self._writer.publish(&ticks[at])
                continue
            tick = ticks[at]
            tick.recv_ns = self._market_ns + <ns_t>((tick.recv_ns - self._wall_ns) * self._speed)
            if tick.flags & TickFlag.TIME_RECEIVED:
                tick.exch_ns = tick.recv_ns
            self._writer.publish(&tick)

    def set_market(self, wall_ns: int, market_ns: int, speed: float = 1.0):
        """The broadcast's records carry the time of a market that runs on a clock of its own.

        Args:
            wall_ns, market_ns: one moment by the clock and by the market, UTC ns.
            speed: market seconds a second, above 0.
        Raises:
            UsageError: a speed that is none.
        """
        if not speed > 0:
            raise UsageError(f"speed must be above 0, was {speed}")
        self._wall_ns, self._market_ns = wall_ns, market_ns
        self._speed = 0.0 if wall_ns == market_ns and speed == 1.0 else speed

    cdef void _to_ring(self, size_t count) noexcept:
        cdef Event event
        cdef size_t i
        for i in range(count):
            event_of_tick(&event, &self._ticks[i])
            self._ring.push(&event)

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        if self._sink is not None:
            self._sink.feed_event(event, at_ns)

    cdef void forget_slot(self, uint32_t slot) noexcept:
        dhan_forget(&self.decoder.feed, slot)

    def levels(self, uint32_t instrument, Side side):
        """A side of an instrument's five levels; see `DhanDecoder.levels`."""
        return self.decoder.levels(instrument, side)

    @property
    def counters(self):
        """What was counted, by name: the decoder's `WireCount`, and `ring_dropped`."""
        counters = self.decoder.counters
        if self._ring is not None and self._ring.dropped:
            counters["ring_dropped"] = self._ring.dropped
        return counters


@cython.final
cdef class DepthIntake(Intake):
    """Messages of a depth feed to rows of changes and whole sides.

    Args:
        decoder: made for it, of 20 or 200 levels.
        sink: who wants the rows on this thread; None: nobody.
        writer: of a broadcast of DepthRow records; None: nobody.
        clock, market_clock: as `FeedIntake`.
    Attributes:
        decoder: as given.
    Raises:
        UsageError: the writer's records are not depth rows.
    """

    def __cinit__(self, DhanDepthDecoder decoder not None, DepthSink sink=None, *,
                  BroadcastWriter writer=None, clock=None, market_clock=None):
        _check_writer(writer, DEPTH_DTYPE)
        self.decoder, self._sink, self._writer = decoder, sink, writer
        self.out.rows = &self._rows[0]
        self.out.row_max = ROWS_MAX

    cdef void take(self, const uint8_t *payload, size_t size, ns_t recv_ns,
                   ns_t seen_ns) noexcept:
        cdef size_t at = 0
        self.messages += 1
        while True:
            at += depth_decode(&self.decoder.feed, payload + at, size - at, recv_ns, &self.out)
            if self.out.row_count:
                self._hand_over(recv_ns, seen_ns)
            if at >= size:
                return
            if self.out.notice_count == NOTICES_MAX:
                self.out.notice_count -= 1
                self.notices_dropped += 1

    cdef void _hand_over(self, ns_t recv_ns, ns_t seen_ns) noexcept:
        cdef size_t count = self.out.row_count
        cdef size_t i
        self.out.row_count = 0
        for i in range(count):
            self._seen_ns[self.table.state.slot_of[self._rows[i].instrument]] = seen_ns
        if self._sink is not None:
            self._sink.take(&self._rows[0], count, recv_ns)
        if self._writer is not None:
            for i in range(count):
                self._writer.publish(&self._rows[i])

    cdef void feed_event(self, int event, ns_t at_ns) noexcept:
        if self._sink is not None:
            self._sink.feed_event(event, at_ns)

    cdef void forget_slot(self, uint32_t slot) noexcept:
        depth_forget(&self.decoder.feed, slot)

    def levels(self, uint32_t instrument, Side side):
        """A side of an instrument's book; see `DhanDepthDecoder.levels`."""
        return self.decoder.levels(instrument, side)

    @property
    def counters(self):
        """What was counted, by name: the decoder's `WireCount`."""
        return self.decoder.counters


cdef object _native_of(clock):
    # The machine's wall clock is read natively; any other clock is asked.
    if clock is None or isinstance(clock, SystemClock):
        return UtcClock()
    return clock


cdef int _check_writer(BroadcastWriter writer, dtype) except -1:
    if writer is not None and writer._words * 8 != <size_t>dtype.itemsize:
        raise UsageError(f"broadcast {writer.path}: records of {writer._words * 8} bytes, needs "
                         f"{dtype.itemsize}: make it with record_bytes={dtype.itemsize}")
    return 0
