"""Single-producer, single-consumer ring of Event: one source's way into the engine.

Who may call what:   push, offer -> the producer's thread only
                     drain, peek, release -> the engine thread only
                     the counters -> any thread (each is one aligned load; they may lag)
Memory:              one allocation at construction, none after.
Errors:              RING_FULL is a value; the record was not stored.

Sequence numbers: the ring stamps `source` and `seq` into each slot. `seq` counts what the
producer pushed, stored or not, so a consumer sees a drop as a gap of exactly that many. `offer`
is for a producer that will try again: a full ring counts nothing and leaves no gap.

Order of memory: the slot is written before `_head` is released; the consumer acquires `_head`
before it reads the slot, and releases `_tail` after; the producer acquires `_tail` before it
writes over the slot. Each side keeps a stale copy of the other's counter and looks again only
when the copy says full (or empty), so in steady state no cache line moves for a counter.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from dhanfast._core.status cimport Status
from dhanfast._core.types cimport Bar, Event, EventKind, Tick


cdef class Ring:
    cdef Event *_slots
    cdef uint64_t _mask            # capacity - 1; capacity is a power of two
    cdef uint8_t _source
    cdef char _pad0[128]           # two lines: the adjacent-line prefetcher pulls pairs
    cdef uint64_t _head            # next slot to write; owned by the producer
    cdef uint64_t _tail_seen       # the producer's cached copy of _tail
    cdef uint64_t _dropped         # pushes that found the ring full; owned by the producer
    cdef char _pad1[128]
    cdef uint64_t _tail            # next slot to read; owned by the consumer
    cdef uint64_t _head_seen       # the consumer's cached copy of _head
    cdef uint64_t _high_water      # most events ever waiting when the consumer looked
    cdef char _pad2[128]

    # RING_FULL: the event is lost, `dropped` and the sequence go up by one.
    cdef Status push(self, const Event *event) noexcept nogil
    # RING_FULL: nothing happened; the caller keeps the event and tries again.
    cdef Status offer(self, const Event *event) noexcept nogil
    # Copies up to `limit` oldest events; returns how many.
    cdef size_t drain(self, Event *out, size_t limit) noexcept nogil
    # The oldest events in place, without a copy: `count[0]` of them, contiguous (there may be more
    # after the ring's edge). Valid until `release(n)`, n <= count[0].
    cdef const Event *peek(self, size_t *count) noexcept nogil
    cdef void release(self, size_t count) noexcept nogil


# An Event around a record. Source and seq are stamped by the ring; a payload's unused tail is zero,
# so that equal events have equal bytes (the journal hashes them).
cdef inline void event_of_tick(Event *event, const Tick *tick) noexcept nogil:
    event.kind = EventKind.TICK
    event.source = 0
    event.size = <uint16_t>sizeof(Tick)
    event.seq = 0
    memcpy(&event.payload[0], tick, sizeof(Tick))


cdef inline void event_of_bar(Event *event, const Bar *bar) noexcept nogil:
    event.kind = EventKind.BAR
    event.source = 0
    event.size = <uint16_t>sizeof(Bar)
    event.seq = 0
    memcpy(&event.payload[0], bar, sizeof(Bar))
    (<uint64_t *>&event.payload[64])[0] = 0


cdef inline void tick_of_event(Tick *tick, const Event *event) noexcept nogil:
    memcpy(tick, &event.payload[0], sizeof(Tick))


cdef inline void bar_of_event(Bar *bar, const Event *event) noexcept nogil:
    memcpy(bar, &event.payload[0], sizeof(Bar))
