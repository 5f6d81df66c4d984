"""What becomes of a broker's messages: bytes to records, and records to whoever wants them.

    socket ──▶ FeedListener ──▶ Intake.take ──▶ decoder ──▶ sink (the engine), then ring, broadcast

One intake serves all connections of a feed: the decoder's state is by instrument, wherever its
packets come from. Nothing here knows of sockets, so that a simulated network, a recording and a
real one go through the same code.

Owner thread:  the engine thread only; the GIL is held, no Python object is made for a message
               (but for the integer of a clock that is not native).
Memory:        all of it at construction.
Order:         the sink first, as an order may hang on it; then the broadcast and the ring, which
               never wait for their readers, and statistics. A full ring drops and counts.

Times: `recv_ns` is what records carry, the market's time; `seen_ns` is for silence and staleness.
They are one unless a market runs on a clock of its own (an accelerated exchange).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from dhanfast._core.broadcast cimport BroadcastWriter
from dhanfast._core.live.sink cimport DepthSink, TickSink
from dhanfast._core.ring cimport Ring
from dhanfast._core.timing cimport LatencyHistogram, UtcClock
from dhanfast._core.types cimport DepthRow, Tick, ns_t
from dhanfast._core.wire.dhan cimport DhanDecoder
from dhanfast._core.wire.dhan_depth cimport DhanDepthDecoder
from dhanfast._core.wire.records cimport Notice, WireOut
from dhanfast._core.wire.table cimport WireTable


cdef enum:
    TICKS_MAX = 512          # handed over at a time; a message may make more
    ROWS_MAX = 2_048
    NOTICES_MAX = 32         # of one message; those beyond are counted


cdef class Intake:
    cdef WireOut out
    cdef Notice _notices[32]
    cdef ns_t *_seen_ns              # by slot of the table: when its last packet came; 0 = never
    cdef UtcClock _native            # of both times, when they are one and native
    cdef object _clock
    cdef object _market_clock
    cdef readonly WireTable table
    cdef readonly uint64_t messages
    cdef readonly uint64_t notices_dropped

    # Both times, now.
    cdef int stamp(self, ns_t *recv_ns, ns_t *seen_ns) except -1
    # One message; afterwards `out` holds its notices, which the caller takes.
    cdef void take(self, const uint8_t *payload, size_t size, ns_t recv_ns,
                   ns_t seen_ns) noexcept
    cdef void feed_event(self, int event, ns_t at_ns) noexcept
    cdef void forget_slot(self, uint32_t slot) noexcept
    cdef object take_notices(self)


cdef class FeedIntake(Intake):
    cdef readonly DhanDecoder decoder
    cdef readonly LatencyHistogram lag
    cdef TickSink _sink
    cdef Ring _ring
    cdef BroadcastWriter _writer
    cdef Tick _ticks[512]
    cdef ns_t _wall_ns               # of the broadcast's times: see `set_market`
    cdef ns_t _market_ns
    cdef double _speed               # 0: they are the clock's own

    cdef void _hand_over(self, ns_t recv_ns, ns_t seen_ns) noexcept
    cdef void _publish(self, const Tick *tick, size_t count) noexcept
    cdef void _to_ring(self, size_t count) noexcept


cdef class DepthIntake(Intake):
    cdef readonly DhanDepthDecoder decoder
    cdef DepthSink _sink
    cdef BroadcastWriter _writer
    cdef DepthRow _rows[2048]

    cdef void _hand_over(self, ns_t recv_ns, ns_t seen_ns) noexcept
