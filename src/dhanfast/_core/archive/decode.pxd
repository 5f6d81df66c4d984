"""A block being read: compressed columns in, rows out, a step at a time.

Owner thread:  one at a time; several cursors run side by side, the GIL is not held.
Memory:        at construction: the decompressed columns, a state for each key, one step of values.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.archive.columns cimport STEP, Column, Entry, Head


cdef struct Place:               # where a column's values go in a row
    int32_t column
    uint32_t offset
    int32_t size


cdef struct TickState:           # the newest tick of one instrument, as the fused loop keeps it
    uint64_t price
    uint64_t bid
    uint64_t ask
    uint64_t volume
    uint64_t qty
    uint64_t bid_qty
    uint64_t ask_qty
    uint64_t oi
    uint64_t flags
    uint64_t price_scale
    uint64_t qty_scale
    uint64_t instrument


cdef class Cursor:
    cdef Head head
    cdef Column *columns
    cdef size_t count            # columns in use
    cdef Place *places
    cdef size_t placed
    cdef int32_t slot_column     # columns of the key field and of the sequence numbers, -1 for none
    cdef int32_t seq_column
    cdef int32_t change_column
    cdef int32_t ticks[12]       # columns of the twelve fields of a Tick, -1 where a field is 0
    cdef bint fused              # rows are Ticks and predicted the usual way
    cdef TickState *states
    cdef uint32_t *keys
    cdef uint32_t key_offset     # of the key in a row
    cdef uint8_t *wanted         # of each key; NULL when all are
    cdef uint64_t *memory        # state of every key in every column
    cdef uint64_t *work          # STEP values a column, STEP zeros, room for STEP and more
    cdef char *spare_rows        # a step of rows before they are chosen from
    cdef size_t row_bytes
    cdef size_t at               # rows decoded
    cdef uint32_t slots[STEP]
    cdef uint64_t changes[STEP]  # of the rows of this step
    cdef size_t changed[64]      # rows of the block that have each bit
    cdef list _buffers           # keeps the columns' bytes alive
    cdef bytes _blob
    cdef bint broken
    # Up to `limit` rows to `out`, and their numbers to `seq` unless it is NULL; those chosen only.
    cdef size_t read(self, char *out, uint64_t *seq, size_t limit) noexcept nogil
    cdef void _fill(self, char *out, uint64_t *seq, size_t n) noexcept nogil
    cdef void _scatter(self, char *out, size_t n) noexcept nogil
    cdef object _count_changes(self)
    cdef object _check_entry(self, object stream, const Entry *entry, size_t at, size_t count)
    cdef object _directory(self, object stream, const unsigned char[::1] body, object unpack)
    cdef object _column(self, object stream, size_t index, object data)
    cdef int _scales(self, Column *column, uint64_t *out) except -1
    cdef object _key_state(self, object stream)
    cdef object _fuse(self, object stream)
