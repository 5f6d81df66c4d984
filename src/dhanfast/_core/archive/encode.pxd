"""A block being written: rows in, columns out.

Owner thread:  one at a time.   Memory: grows to the largest block seen, none after.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t


cdef extern from "df_columns.h":
    ctypedef struct df_divisor:
        uint64_t d


cdef struct Choice:              # how one column is predicted
    int predictor
    int refers                   # field, -1 for none
    int scaling                  # 0 own, 1 price, 2 quantity
    int change_bit               # 0: every row has a residual
    int plain                    # no difference is negative: no zig-zag


cdef class Encoder:
    cdef object stream
    cdef object _dtype
    cdef object _pack
    cdef list _tried             # of each field: predictors worth trying
    cdef list _ordered           # fields in the order of the directory
    cdef size_t row_bytes
    cdef size_t room             # rows the arrays below have room for
    cdef uint64_t *values        # a field, then its residuals
    cdef uint64_t *other         # the field it follows
    cdef uint32_t *slots         # number of each row's instrument in the block
    cdef uint8_t *planes         # a column as it goes to the compressor
    cdef uint8_t *lows           # the low bits of one
    cdef uint8_t *changes        # which fields of a row have a residual, a bit each
    cdef int bits_used
    cdef size_t keys
    cdef object _keys            # uint32[keys], ascending
    cdef uint32_t *slot_of       # by instrument: 1 + its number while a block is made, else 0
    cdef df_divisor *scales      # price scales of the keys, then quantity scales
    cdef size_t scale_room
    cdef uint64_t *lasts         # newest value of each key
    cdef void _release(self) noexcept
    cdef object _reserve(self, size_t rows)
    cdef object _slots(self, object rows, size_t n)
    cdef object _reserve_keys(self, size_t keys)
    cdef object _scales(self, const char *rows, size_t n)
    cdef object _entry(self, int field, Choice choice, uint64_t base, uint64_t scale, size_t n,
                       list entries, list parts)
    cdef int _change_bit(self, int field, size_t n, size_t zeros)
    cdef void _gather(self, const char *rows, size_t n, int field, uint64_t *out) noexcept
    cdef object _finish(self, int field, Choice choice, int width, uint32_t exceptions,
                        uint64_t base, uint64_t scale, size_t raw, int low_bits, size_t n,
                        list entries, list parts)
    cdef object _change_entry(self, size_t n, list entries, list parts)
    cdef object _numbers(self, int field, const uint64_t *numbers, size_t n, list entries,
                         list parts)
    cdef uint64_t _divide(self, size_t n, int scaling) noexcept nogil
    cdef object _field(self, const char *rows, size_t n, int field, list entries, list parts)
    cdef object _slot_entry(self, int field, size_t n, list entries, list parts)
    cdef Choice _choose(self, const char *rows, size_t n, int field)
    cdef uint64_t _differences(self, const char *rows, size_t n, int field, Choice choice) noexcept
