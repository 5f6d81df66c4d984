"""Columns: see columns.pxd and docs/reference/archive-format.md."""

from libc.string cimport memcpy


cdef extern from "df_columns.h":
    int df_planes_join(const uint8_t *planes, size_t stride, int width, int plain, size_t n,
                       uint64_t *out) noexcept nogil
    void df_lows_join(const uint8_t *lows, int bits, int plain, size_t start, size_t n,
                      uint64_t *out) noexcept nogil
    int df_bit_count(const uint64_t *words, size_t n, int bit) noexcept nogil
    uint64_t df_unzigzag(uint64_t z) noexcept nogil

if sizeof(Head) != HEAD_BYTES or sizeof(Entry) != ENTRY_BYTES:
    raise ImportError("archive: the block's head or entry has another size than its format")


cdef void column_residuals(Column *column, size_t n, uint64_t *out) noexcept nogil:
    cdef uint32_t position = 0
    cdef uint64_t residual = 0
    cdef size_t start = column.used
    cdef bint plain = (column.entry.coding & CODING_PLAIN) != 0
    df_planes_join(column.planes + start, column.stride, column.entry.width,
                   plain or column.lows != NULL, n, out)
    if column.lows != NULL:
        df_lows_join(column.lows, column.entry.low_bits, plain, start, n, out)
    column.used = start + n
    while column.patched < column.entry.exceptions:
        memcpy(&position, column.positions + 4 * <size_t>column.patched, 4)
        if position >= start + n:
            return
        memcpy(&residual, column.residuals + 8 * <size_t>column.patched, 8)
        out[position - start] = residual if plain else df_unzigzag(residual)
        column.patched += 1


cdef void column_words(Column *column, size_t n, uint64_t *out) noexcept nogil:
    df_planes_join(column.planes + column.used, column.stride, column.entry.width, 1, n, out)
    column.used += n


cdef void column_rows(Column *column, const uint64_t *changes, size_t n, uint64_t *scratch,
                      uint64_t *out) noexcept nogil:
    cdef int bit = <int>column.entry.change_bit - 1
    cdef uint64_t changed
    cdef size_t i, taken = 0
    if bit < 0:
        column_residuals(column, n, out)
        return
    column_residuals(column, <size_t>df_bit_count(changes, n, bit), scratch)
    for i in range(n):
        changed = (changes[i] >> bit) & 1
        out[i] = scratch[taken] & (<uint64_t>0 - changed)
        taken += changed


cdef void _by_row(Column *column, const uint32_t *slots, size_t n, uint64_t *values) noexcept nogil:
    cdef uint64_t last = column.last
    cdef uint64_t scale = column.entry.scale
    cdef size_t i
    if column.scales != NULL:
        for i in range(n):
            last += values[i] * column.scales[slots[i]]
            values[i] = last
    else:
        for i in range(n):
            last += values[i] * scale
            values[i] = last
    column.last = last


cdef void _by_key(Column *column, const uint32_t *slots, size_t n, uint64_t *values) noexcept nogil:
    cdef uint64_t *lasts = column.by_key
    cdef uint64_t scale = column.entry.scale
    cdef uint64_t value
    cdef size_t i
    if column.scales != NULL:
        for i in range(n):
            value = lasts[slots[i]] + values[i] * column.scales[slots[i]]
            lasts[slots[i]] = value
            values[i] = value
    else:
        for i in range(n):
            value = lasts[slots[i]] + values[i] * scale
            lasts[slots[i]] = value
            values[i] = value


cdef void column_values(Column *column, const uint32_t *slots, const uint64_t *follows, size_t n,
                        uint64_t *values) noexcept nogil:
    cdef uint64_t scale = column.entry.scale
    cdef uint64_t base = column.entry.base
    cdef size_t i
    if column.entry.predictor == Predictor.CONST:
        for i in range(n):
            values[i] = base + values[i] * (column.scales[slots[i]] if column.scales != NULL
                                            else scale)
    elif column.by_key == NULL:
        _by_row(column, slots, n, values)
    else:
        _by_key(column, slots, n, values)
    if follows != NULL:
        for i in range(n):
            values[i] += follows[i]


cdef bint column_slots(Column *column, size_t n, uint32_t keys, uint32_t *slots) noexcept nogil:
    cdef const uint8_t *plane
    cdef uint32_t largest = 0
    cdef size_t i, k
    for i in range(n):
        slots[i] = 0
    for k in range(column.entry.width):
        plane = column.planes + k * column.stride + column.used
        for i in range(n):
            slots[i] |= <uint32_t>plane[i] << (8 * k)
    for i in range(n):
        largest = max(largest, slots[i])
    column.used += n
    return largest < keys
