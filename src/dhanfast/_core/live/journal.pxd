"""Append-only journal in a memory-mapped file: a killed process loses nothing that `append` took.

Owner thread:  `append`, `append_vital` the engine's only; `sync_now`, `prepare_now` any.
Memory:        one reservation of addresses at construction; `append` allocates nothing.
Promise:       when `append` returns OK the record survives the death of the process, at once; it
               survives a power cut once `synced_seq` has reached it: within `sync_ns` and the time
               of two writes to the disk, or after `sync_now`.

A record, at a multiple of 8:

    0  u32  length: 32 + payload      together the commit word, stored last and at once
    4  u32  CRC-32C of bytes 8..length
    8  u64  sequence number: 1, 2, 3 ...
   16  i64  time, UTC ns
   24  u16  kind
   26  u16  flags: 1 = vital
   28  u32  epoch of the journal
   32       payload, then zeros up to a multiple of 8

A commit word of zero is the end. Recovery cuts the file behind the last whole record.
"""

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ns_t


cpdef enum Kind:
    """What a record of a journal holds."""

    START = 1                # the engine starts: JSON of what it was started with
    SESSIONS = 2             # Session[n]
    TICK = 3                 # Tick
    TICKS = 4                # Tick[n] of one message
    TIMER = 5                # time passed, and something was due
    ANSWER = 6               # Answer
    UPDATE = 7               # Update
    COMMAND = 8              # what an operator, or the engine's own watch, told it
    INTENT = 9               # Intent: a decision, written before its bytes leave
    REPORT = 10              # Report: what the dealer was told
    NOTE = 11                # JSON for whoever reads
    FEED = 12                # FeedEvent: u32, or JSON
    RESUME = 13              # the engine goes on with a journal: JSON
    STRATEGY = 14            # another strategy from here on, or none: i64 times, JSON
    CHAIN = 15               # ChainRow: figures of the option chain
    BUDGET = 16              # BudgetAnswer: what the input before it asked was held back


cdef extern from "df_journal.h" nogil:
    ctypedef struct df_journal:
        char *base
        uint64_t at
        uint64_t seq
        uint64_t limit
        uint64_t reserve
        uint32_t epoch
        int32_t broken
        uint64_t synced
        uint64_t synced_seq
        int32_t full
        int32_t fd
        int32_t wake
        int32_t serving
        int32_t period_ms
        uint64_t segment
        uint64_t bytes_max
        uint64_t released
        uint64_t syncs


cdef class Journal:
    cdef df_journal _state
    cdef readonly str path
    cdef readonly object header      # JournalHeader
    cdef readonly object recovery    # Recovery when it goes on with an old file, else None
    cdef object __weakref__

    # One record. JOURNAL_FULL in the reserve, DISK_ERROR once a sync has failed: nothing written.
    cdef Status append(self, int kind, const void *payload, uint32_t size,
                       ns_t at_ns) noexcept nogil
    # The same for what must be written while there is any room: exits, answers, what filled.
    cdef Status append_vital(self, int kind, const void *payload, uint32_t size,
                             ns_t at_ns) noexcept nogil
    # Everything appended is on the disk when it answers OK.
    cdef Status sync_now(self) noexcept nogil
    # Room ahead, outside the hot path; needed only without the background thread.
    cdef Status prepare_now(self) noexcept nogil
    cdef Status _put(self, int kind, int flags, const void *payload, uint32_t size, ns_t at_ns,
                     uint64_t room) noexcept nogil
    cdef void _detach(self) noexcept nogil
