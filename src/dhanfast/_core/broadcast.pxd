"""Shared-memory broadcast: one writer, any number of readers in other processes.

Owner thread:  a writer or a reader object has one owner thread; they share nothing but the mapping.
Memory:        one mapping at construction; `publish` and `read` allocate nothing.
Promise:       the writer never waits, for anybody; readers map the segment read-only, so that none
               can harm it. A reader that was lapped is told exactly how many records it lost.

The segment is one file of /dev/shm, mapped by name. Not multiprocessing.shared_memory: its
resource tracker removes a segment when any attached process ends, and a file can be locked.

    offset  0  line 0, written once            64  line 1, the writer's identity
            0  char[8] magic "DFBCAST1"        64  u64 epoch: writers so far, from 1
            8  u32  byte order 0x01020304      72  u64 pid of the writer
           12  u32  layout version, 1          80  u64 its start time, clock ticks since boot
           16  u32  record bytes, 8 x n        88  u64 state: 1 open, 2 closed, 3 removed
           20  u32  slot bytes = 8 + record   128  line 2
           24  u64  slots, a power of two     128  u64 head: records ever published
           32  char[16] tag: what it carries  192  line 3
           48  16 bytes of zero               192  u64 heartbeat, monotonic ns
                                              256  slots: { u64 stamp; record } ...

Record n goes to slot n & (slots - 1). Its stamp is 2n+1 while it is written and 2n+2 when whole.

    writer: stamp = 2n+1; release fence; words (relaxed); stamp = 2n+2 (release); head = n+1
            (release). The fence keeps the words behind the odd stamp: whoever sees one new word
            and then looks at the stamp again sees that it changed.
    reader: head (acquire) > n; stamp (acquire) == 2n+2 or lapped; words (relaxed); acquire fence;
            stamp again == 2n+2 or lapped. The fence keeps the second look behind the words.

So a record that was overwritten while it was read is never delivered: it counts as lost.

Writers: the file is locked (flock) for a writer's life; the kernel lets go when the process dies,
however it dies. Taking over needs the lock *and* the recorded process (pid and start time) to be
gone. A new writer goes on at `head` with the next epoch: a record that the old one left half
written was never counted in `head`, so nobody has read it. A forked child's copy is shut at once.
"""

from libc.stdint cimport int64_t, uint64_t

from dhanfast._core.types cimport ns_t


cdef class BroadcastWriter:
    cdef char *_map
    cdef size_t _bytes
    cdef uint64_t *_head              # in the mapping
    cdef uint64_t *_beat
    cdef char *_slots
    cdef uint64_t _next               # our own copy of head
    cdef uint64_t _mask
    cdef size_t _slot_bytes
    cdef size_t _words
    cdef int _fd
    cdef readonly str path
    cdef readonly uint64_t epoch
    cdef object __weakref__

    # Record of `record_bytes` bytes; never waits. Closed writers ignore it.
    cdef void publish(self, const void *record) noexcept nogil
    # "I am alive" at `now_ns`, monotonic; call it from the loop's timer.
    cdef void beat(self, ns_t now_ns) noexcept nogil
    cdef void _attach(self, int fd, size_t size) except *
    cdef void _detach(self) noexcept nogil
    cdef void _close(self) noexcept nogil


cdef class BroadcastReader:
    cdef const char *_map
    cdef size_t _bytes
    cdef const char *_slots
    cdef uint64_t _next               # the record wanted next
    cdef uint64_t _mask
    cdef size_t _slot_bytes
    cdef size_t _words
    cdef readonly str path
    cdef readonly uint64_t lost       # records overwritten before we came; exact
    cdef readonly uint64_t delivered
    cdef object _dtype

    # Up to `limit` records, oldest first; returns how many. `lost` grows by those that are gone.
    cdef size_t read_into(self, void *out, size_t limit) noexcept nogil
