"""Ring: see ring.pxd for the contract, here is the how."""

cimport cython
from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport memset

from dhanfast._core.status cimport check
from dhanfast._core.timing cimport mono_ns
from dhanfast._core.types cimport ns_t

import numpy as np

from dhanfast._core.types import BAR_DTYPE, EVENT_DTYPE, TICK_DTYPE
from dhanfast.errors import UsageError


cdef extern from "df_native.h" nogil:
    uint64_t df_load_acquire(const uint64_t *at)
    void df_store_release(uint64_t *at, uint64_t value)
    void DF_ASSERT(bint condition)

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **at, size_t alignment, size_t size)

cdef extern from "<sched.h>" nogil:
    int sched_yield()


@cython.final
cdef class Ring:
    """Bounded queue of events between one source and the engine.

    Args:
        capacity: slots of 80 bytes, a power of two in 2..2**24.
        source: stamped into each event; the second key of the merge order, 0..255.
    Shape:
        one producer thread and one consumer thread; no allocation after construction.
    Raises:
        UsageError: capacity is out of range or not a power of two; source is out of range.
        MemoryError: the slots could not be allocated.
        RingFull: `put` found no free slot (the event is not stored and counts as dropped).
    """

    def __cinit__(self, size_t capacity, int source=0):
        cdef void *slots = NULL
        if capacity < 2 or capacity > 1 << 24 or capacity & (capacity - 1):
            raise UsageError(f"capacity must be a power of two in 2..2**24, was {capacity}")
        if source < 0 or source > 255:
            raise UsageError(f"source must be in 0..255, was {source}")
        if posix_memalign(&slots, 64, capacity * sizeof(Event)):
            raise MemoryError(f"ring of {capacity} events")
        # Touch every page now: the first lap must not pay for page faults.
        memset(slots, 0, capacity * sizeof(Event))
        self._slots = <Event *>slots
        self._mask = capacity - 1
        self._source = <uint8_t>source

    def __dealloc__(self):
        free(self._slots)

    cdef Status offer(self, const Event *event) noexcept nogil:
        cdef uint64_t head = self._head
        cdef Event *slot
        if head - self._tail_seen > self._mask:
            self._tail_seen = df_load_acquire(&self._tail)   # pairs with release()
            if head - self._tail_seen > self._mask:
                return Status.RING_FULL
        slot = &self._slots[head & self._mask]
        slot[0] = event[0]
        slot.source = self._source
        slot.seq = <uint32_t>(head + self._dropped)
        df_store_release(&self._head, head + 1)              # pairs with peek()
        return Status.OK

    cdef Status push(self, const Event *event) noexcept nogil:
        cdef Status status = self.offer(event)
        if status == Status.RING_FULL:
            df_store_release(&self._dropped, self._dropped + 1)
        return status

    cdef const Event *peek(self, size_t *count) noexcept nogil:
        cdef uint64_t tail = self._tail
        cdef uint64_t at = tail & self._mask
        cdef uint64_t waiting
        self._head_seen = df_load_acquire(&self._head)       # pairs with offer()
        waiting = self._head_seen - tail
        DF_ASSERT(waiting <= self._mask + 1)
        if waiting > self._high_water:
            self._high_water = waiting
        if waiting > self._mask + 1 - at:
            waiting = self._mask + 1 - at
        count[0] = waiting
        return &self._slots[at]

    cdef void release(self, size_t count) noexcept nogil:
        DF_ASSERT(count <= self._head_seen - self._tail)
        df_store_release(&self._tail, self._tail + count)    # pairs with offer()

    cdef size_t drain(self, Event *out, size_t limit) noexcept nogil:
        cdef size_t taken = 0
        cdef size_t run
        cdef const Event *oldest
        while taken < limit:                                 # a run ends at the edge of the slots
            oldest = self.peek(&run)
            if run == 0:
                break
            if run > limit - taken:
                run = limit - taken
            memcpy(out + taken, oldest, run * sizeof(Event))
            self.release(run)
            taken += run
        return taken

    def __len__(self):
        """Events waiting, as far as this thread can see."""
        # Tail first: it can only have grown by the time head is read, so the result is never < 0.
        cdef uint64_t tail = df_load_acquire(&self._tail)
        return min(df_load_acquire(&self._head) - tail, self._mask + 1)

    def put(self, event):
        """Store one event (tests and tools; native sources call `push`).

        Args:
            event: EVENT_DTYPE, TICK_DTYPE or BAR_DTYPE array or scalar of one record.
        Raises:
            RingFull: no free slot; the event is counted as dropped.
            UsageError: not exactly one record of these types.
        """
        cdef const unsigned char[::1] raw = _as_events(event, 1).view(np.uint8)
        cdef Status status
        with nogil:
            status = self.push(<const Event *>&raw[0])
        check(status)

    def put_many(self, events, int64_t wait_ns=0):
        """Store events in order until the ring stays full; return how many were stored.

        Args:
            events: array of EVENT_DTYPE, TICK_DTYPE or BAR_DTYPE.
            wait_ns: keep trying for so long before giving up, nanoseconds.
        Raises:
            UsageError: events of another type.
        """
        batch = _as_events(events, 0)
        cdef const unsigned char[::1] raw = batch.view(np.uint8)
        cdef size_t total = len(batch)
        cdef size_t stored = 0
        cdef ns_t deadline = mono_ns() + wait_ns
        if total == 0:
            return 0
        with nogil:
            while stored < total:
                if self.offer(<const Event *>&raw[0] + stored) == Status.OK:
                    stored += 1
                elif mono_ns() >= deadline:
                    break
                else:
                    sched_yield()
        return stored

    def take(self, Py_ssize_t limit, int64_t wait_ns=0):
        """Return up to `limit` oldest events as an array of EVENT_DTYPE (may be empty).

        Args:
            limit: the most to return, positive.
            wait_ns: keep looking for so long until `limit` are there, nanoseconds.
        Raises:
            UsageError: limit is not positive.
        """
        if limit <= 0:
            raise UsageError(f"limit must be positive, was {limit}")
        batch = np.empty(limit, dtype=EVENT_DTYPE)
        cdef unsigned char[::1] raw = batch.view(np.uint8)
        cdef size_t count = 0
        cdef size_t fresh
        cdef ns_t deadline = mono_ns() + wait_ns
        with nogil:
            while True:
                fresh = self.drain(<Event *>&raw[0] + count, <size_t>limit - count)
                count += fresh
                if count == <size_t>limit or (fresh == 0 and mono_ns() >= deadline):
                    break
                if fresh == 0:
                    sched_yield()
        return batch[:count]

    @property
    def capacity(self):
        """Slots."""
        return self._mask + 1

    @property
    def source(self):
        """The number stamped into each event."""
        return self._source

    @property
    def pushed(self):
        """Events stored since construction."""
        return df_load_acquire(&self._head)

    @property
    def drained(self):
        """Events taken since construction."""
        return df_load_acquire(&self._tail)

    @property
    def dropped(self):
        """Events lost because the ring was full."""
        return df_load_acquire(&self._dropped)

    @property
    def high_water(self):
        """Most events that were waiting when the consumer looked; capacity means it was full."""
        return df_load_acquire(&self._high_water)


cdef object _as_events(records, Py_ssize_t want):
    # An array of EVENT_DTYPE around ticks, bars or events; `want` records exactly, 0 = any number.
    given = np.atleast_1d(np.asarray(records))
    if given.ndim != 1 or (want and len(given) != want):
        raise UsageError(f"events must be {want or 'a row of'} records, had shape {given.shape}")
    if given.dtype == EVENT_DTYPE:
        return np.ascontiguousarray(given)
    wrapped = np.zeros(len(given), dtype=EVENT_DTYPE)
    if given.dtype == TICK_DTYPE:
        wrapped["kind"] = <int>EventKind.TICK
    elif given.dtype == BAR_DTYPE:
        wrapped["kind"] = <int>EventKind.BAR
    else:
        raise UsageError(
            f"events must be of EVENT_DTYPE, TICK_DTYPE or BAR_DTYPE, were {given.dtype}")
    size = given.dtype.itemsize
    wrapped["size"] = size
    wrapped["payload"][:, :size] = np.ascontiguousarray(given).view(np.uint8).reshape(-1, size)
    return wrapped
