"""One column of a block: its directory entry, its bytes, and the state that predicts its values.

Owner thread:  whoever owns the Encoder or Cursor around it.   Memory: none of its own.
The meaning of every field is in docs/reference/archive-format.md.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef enum:
    STEP = 512                   # rows predicted at a time: the columns of a step stay in L1 and L2
    BLOCK_ROWS_MAX = 1 << 20
    COLUMNS_MAX = 256
    HEAD_BYTES = 56
    ENTRY_BYTES = 40
    FIELD_CHANGES = 251          # pseudo-fields of the directory from here on
    FIELD_BLOB = 252
    LOW_BITS_MAX = 32
    CODING_ZSTD = 1              # bits of Entry.coding
    CODING_PLAIN = 2
    FIELD_PRICE_SCALE = 253
    FIELD_QTY_SCALE = 254
    FIELD_SEQ = 255


cpdef enum Predictor:
    """How a value is foretold from those before it."""

    CONST = 0
    ROW = 1
    KEY = 2
    ROW_FOLLOW = 3
    KEY_FOLLOW = 4


cdef packed struct Head:         # 56 bytes: the beginning of a ROWS body
    uint32_t rows
    uint32_t keys
    uint64_t first_seq
    int64_t time_min
    int64_t time_max
    int64_t event_min
    int64_t event_max
    uint16_t columns
    uint16_t flags
    uint32_t spare


cdef packed struct Entry:        # 40 bytes: one line of the directory
    uint8_t field
    uint8_t predictor
    uint8_t refers
    uint8_t width
    uint8_t coding
    uint8_t scaling
    uint8_t low_bits
    uint8_t change_bit
    uint32_t exceptions
    uint32_t stored
    uint32_t raw
    uint32_t low_bytes
    uint64_t base
    uint64_t scale


cdef struct Column:              # a column being decoded
    Entry entry
    const uint8_t *planes        # width x count bytes
    const uint8_t *lows          # the low bits, NULL when there are none
    size_t stride                # count: residuals a plane
    size_t used                  # residuals already taken
    const uint8_t *positions     # u32 each, not aligned
    const uint8_t *residuals     # u64 each, not aligned
    uint32_t patched             # exceptions already used
    int32_t reference            # column of the field it follows, -1 for none
    uint64_t last                # ROW: the value (FOLLOW: the difference) before
    uint64_t *by_key             # KEY: the same for each key
    const uint64_t *scales       # of each key; NULL when the entry's own holds


# The next n residuals as signed numbers, exceptions put in their places.
cdef void column_residuals(Column *column, size_t n, uint64_t *out) noexcept nogil
# The same for the next n rows, of which only those with the column's change bit have a residual.
# `changes`: of these rows; `scratch`: STEP words.
cdef void column_rows(Column *column, const uint64_t *changes, size_t n, uint64_t *scratch,
                      uint64_t *out) noexcept nogil
# Residuals to values, in place. `follows`: values of the field it refers to, or NULL.
cdef void column_values(Column *column, const uint32_t *slots, const uint64_t *follows, size_t n,
                        uint64_t *values) noexcept nogil
# The keys' numbers of the next n rows. False when one is not below `keys`.
cdef bint column_slots(Column *column, size_t n, uint32_t keys, uint32_t *slots) noexcept nogil
# The next n numbers as they stand, not zig-zag: changes.
cdef void column_words(Column *column, size_t n, uint64_t *out) noexcept nogil
