"""Writing blocks: see encode.pxd, and docs/reference/archive-format.md for the bytes.

For each field the predictor is chosen on a sample of the block; differences are divided by what
divides them all (a price step, a lot, a microsecond); those few too wide for the column stand apart
as exceptions; zstd takes what is left.
"""

cimport cython
from libc.math cimport log2
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import numpy as np

from dhanfast._core.archive.columns cimport (
    BLOCK_ROWS_MAX, CODING_PLAIN, CODING_ZSTD, FIELD_BLOB, FIELD_CHANGES, FIELD_PRICE_SCALE,
    FIELD_SEQ, LOW_BITS_MAX, Entry, Head, Predictor,
)

from dhanfast._core.archive.decode import BLOCK_BYTES_MAX
from dhanfast._core.archive.schema import TICKS
from dhanfast.errors import UsageError


cdef extern from "df_columns.h":
    int df_zigzag_all(uint64_t *v, size_t n) noexcept nogil
    int df_count_zeros(const uint64_t *v, size_t n) noexcept nogil
    size_t df_compact(uint64_t *v, size_t n, uint8_t *changes, uint8_t mark) noexcept nogil
    void df_lengths(const uint64_t *v, size_t n, size_t *lengths) noexcept nogil
    int df_bits(uint64_t z) noexcept nogil
    void df_lows_split(uint64_t *z, size_t n, int bits, uint8_t *lows) noexcept nogil
    int df_any_negative(const uint64_t *v, size_t n) noexcept nogil
    int df_planes_split(const uint64_t *z, size_t n, int width, uint8_t *planes) noexcept nogil
    void df_gather(const char *rows, size_t row_bytes, int kind, size_t n,
                   uint64_t *out) noexcept nogil
    void df_divisor_set(df_divisor *to, uint64_t d) noexcept nogil
    int64_t df_quotient(const df_divisor *by, int64_t v) noexcept nogil
    void df_divisor_take(df_divisor *by, int64_t v) noexcept nogil

cdef enum:
    DIRECT = 65536               # instruments below have their slot in a table
    SAMPLE = 4096                # rows a predictor is chosen on
    EXCEPTION_BYTES = 8          # what one costs once compressed, about
    TICK_FLAGS = 11              # the field of a Tick that `tick_rows` reads unscaled


@cython.final
cdef class Encoder:
    """Makes ROWS bodies of one stream.

    Args:
        stream: the Stream.
        pack: called with bytes, gives a zstd frame of them.
    """

    def __cinit__(self, stream, pack):
        self.stream, self._pack = stream, pack
        self._dtype = stream.dtype
        self.row_bytes = stream.dtype.itemsize
        self._tried = [self._candidates(name) for name in stream.fields]
        self._ordered = self._order()
        self.slot_of = <uint32_t *>calloc(DIRECT, 4)
        if self.slot_of == NULL:
            raise MemoryError("no memory for the encoder")

    def __dealloc__(self):
        self._release()
        free(self.slot_of)
        free(self.scales)
        free(self.lasts)

    cdef void _release(self) noexcept:
        free(self.values)
        free(self.other)
        free(self.slots)
        free(self.planes)
        free(self.lows)
        free(self.changes)
        self.values = self.other = NULL
        self.slots = NULL
        self.planes = self.lows = self.changes = NULL
        self.room = 0

    cdef object _reserve(self, size_t rows):
        if rows <= self.room:
            return
        self._release()
        self.values = <uint64_t *>calloc(rows, 8)
        self.other = <uint64_t *>calloc(rows, 8)
        self.slots = <uint32_t *>calloc(rows, 4)
        self.planes = <uint8_t *>calloc(rows, 20)
        self.lows = <uint8_t *>calloc(rows + 4, 4)
        self.changes = <uint8_t *>calloc(rows, 1)
        if (self.values == NULL or self.other == NULL or self.slots == NULL
                or self.planes == NULL or self.lows == NULL or self.changes == NULL):
            self._release()
            raise MemoryError(f"no memory for a block of {rows} rows")
        self.room = rows

    cdef object _reserve_keys(self, size_t keys):
        if keys > self.scale_room:
            free(self.scales)
            free(self.lasts)
            self.scale_room = 0
            self.scales = <df_divisor *>calloc(2 * keys, sizeof(df_divisor))
            self.lasts = <uint64_t *>calloc(keys, 8)
            if self.scales == NULL or self.lasts == NULL:
                raise MemoryError(f"no memory for {keys} instruments")
            self.scale_room = keys
        self.keys = keys

    cdef object _slots(self, object rows, size_t n):
        """Number the instruments of the block, ascending."""
        cdef size_t i, found = 0
        cdef uint32_t key
        cdef const uint32_t[:] column = rows[self.stream.key]
        cdef bint direct = True
        for i in range(n):
            key = column[i]
            if key >= DIRECT:
                direct = False
                break
            if self.slot_of[key] == 0:
                self.slot_of[key] = 1
                self.slots[found] = key
                found += 1
        cdef const uint32_t[::1] keys
        cdef const int64_t[::1] inverse
        if direct:
            self._keys = np.sort(np.asarray(<uint32_t[:found]>self.slots))
            keys = self._keys
            for i in range(found):
                self.slot_of[keys[i]] = <uint32_t>i
            for i in range(n):
                self.slots[i] = self.slot_of[column[i]]
            for i in range(found):
                self.slot_of[keys[i]] = 0
        else:
            for i in range(found):
                self.slot_of[self.slots[i]] = 0
            self._keys, numbers = np.unique(np.asarray(column), return_inverse=True)
            inverse = numbers.astype(np.int64, copy=False)
            for i in range(n):
                self.slots[i] = <uint32_t>inverse[i]
        self._reserve_keys(len(self._keys))

    cdef object _scales(self, const char *rows, size_t n):
        """What divides every price, and every quantity, of each instrument."""
        cdef size_t i
        cdef int kind, group
        cdef df_divisor *scales
        memset(self.scales, 0, 2 * self.keys * sizeof(df_divisor))
        for name in self.stream.scaling:
            dtype, offset = self._dtype.fields[name][:2]
            group = self.stream.scaling[name] == "qty"
            kind = -dtype.itemsize if dtype.kind == "i" else dtype.itemsize
            df_gather(rows + <size_t>offset, self.row_bytes, kind, n, self.values)
            scales = self.scales + <size_t>group * self.keys
            with nogil:
                for i in range(n):
                    df_divisor_take(&scales[self.slots[i]], <int64_t>self.values[i])
        for i in range(2 * self.keys):
            if self.scales[i].d == 0:
                df_divisor_set(&self.scales[i], 1)

    cdef uint64_t _differences(self, const char *rows, size_t n, int field,
                               Choice choice) noexcept:
        """Fill `values` with what the predictor leaves of a field, unscaled; returns the base."""
        cdef size_t i
        cdef uint64_t base = 0, last, value
        self._gather(rows, n, field, self.values)
        if choice.refers >= 0:
            self._gather(rows, n, choice.refers, self.other)
            for i in range(n):
                self.values[i] -= self.other[i]
        by_key = choice.predictor in (Predictor.KEY, Predictor.KEY_FOLLOW)
        if choice.predictor == Predictor.CONST:
            return 0
        if not by_key or self.keys == 1:
            base = last = self.values[0]
            for i in range(n):
                value = self.values[i]
                self.values[i] = value - last
                last = value
            return base
        memset(self.lasts, 0, 8 * self.keys)
        for i in range(n):
            value = self.values[i]
            self.values[i] = value - self.lasts[self.slots[i]]
            self.lasts[self.slots[i]] = value
        return base

    cdef void _gather(self, const char *rows, size_t n, int field, uint64_t *out) noexcept:
        dtype, offset = self._dtype.fields[self.stream.fields[field]][:2]
        kind = -dtype.itemsize if dtype.kind == "i" else dtype.itemsize
        df_gather(rows + <size_t>offset, self.row_bytes, kind, n, out)

    cdef Choice _choose(self, const char *rows, size_t n, int field):
        """The predictor whose differences are shortest on a sample of the block."""
        cdef Choice best, choice
        cdef double cost, least = -1.0
        cdef size_t sample
        name = self.stream.fields[field]
        best.change_bit = choice.change_bit = 0
        shared = {"price": 1, "qty": 2}.get(self.stream.scaling.get(name), 0)
        best.scaling = shared
        candidates = self._tried[field]
        best.predictor, best.refers = candidates[0]
        if len(candidates) == 1:
            return best
        for predictor, refers in candidates:
            choice.predictor, choice.refers = predictor, refers
            # The step of one instrument does not divide what lies between it and another.
            choice.scaling = 0 if predictor == Predictor.ROW else shared
            sample = min(n, <size_t>SAMPLE)
            self._differences(rows, sample, field, choice)
            self._divide(sample, choice.scaling)
            cost = _cost(self.values, sample)
            if least < 0 or cost < least:
                least, best = cost, choice
        return best

    def _candidates(self, name):
        """(predictor, field referred to) worth trying for a field; ticks keep to what the fused
        loop reads."""
        stream = self.stream
        fields = stream.fields
        time = -1 if stream.time is None else fields.index(stream.time)
        keyed = stream.key is not None
        if name == stream.time:
            return [(Predictor.ROW, -1)]
        if name == stream.event:
            found = [(Predictor.ROW, -1)]
            found += [(Predictor.ROW_FOLLOW, time)] if time >= 0 else []
            if keyed:
                found.append((Predictor.KEY, -1))
                found += [(Predictor.KEY_FOLLOW, time)] if time >= 0 else []
            return found
        found = [(Predictor.KEY, -1)] if keyed else []
        if stream.scaling.get(name) == "price":
            before = [one for one in fields[:fields.index(name)]
                      if stream.scaling.get(one) == "price"]
            found += [(Predictor.KEY_FOLLOW, fields.index(one)) for one in reversed(before)][:1]
        if fields != TICKS.fields:
            found += [(Predictor.ROW, -1), (Predictor.CONST, -1)]
        return found

    cdef uint64_t _divide(self, size_t n, int scaling) noexcept nogil:
        """Divide the differences by what divides them all; returns that, 1 for keys' scales."""
        cdef size_t i
        cdef df_divisor own
        cdef df_divisor *scales
        own.d = 0
        if scaling:
            scales = self.scales + <size_t>(scaling - 1) * self.keys
            for i in range(n):
                self.values[i] = <uint64_t>df_quotient(&scales[self.slots[i]],
                                                       <int64_t>self.values[i])
            return 1
        for i in range(n):
            df_divisor_take(&own, <int64_t>self.values[i])
            if own.d == 1:
                return 1
        if own.d == 0:
            return 1
        for i in range(n):
            self.values[i] = <uint64_t>df_quotient(&own, <int64_t>self.values[i])
        return own.d

    cdef object _field(self, const char *rows, size_t n, int field, list entries, list parts):
        """One field's column."""
        cdef Choice choice = self._choose(rows, n, field)
        cdef uint64_t base = self._differences(rows, n, field, choice)
        cdef uint64_t scale = 1
        if self.stream.fields != TICKS.fields or field != TICK_FLAGS:
            scale = self._divide(n, choice.scaling)
        self._entry(field, choice, base, scale, n, entries, parts)

    cdef object _entry(self, int field, Choice choice, uint64_t base, uint64_t scale, size_t n,
                       list entries, list parts):
        """Differences in `values` to a directory entry and bytes; nothing when all is 0."""
        cdef size_t[65] bits
        cdef size_t i, zeros, beyond = 0
        cdef uint32_t exceptions = 0
        cdef uint8_t *at
        choice.plain = not df_any_negative(self.values, n)
        if not choice.plain:
            df_zigzag_all(self.values, n)
        if choice.refers >= 0:
            base += <uint64_t>self._base_of(entries, choice.refers)
        zeros = <size_t>df_count_zeros(self.values, n)
        if zeros == n and base == 0 and choice.refers < 0:
            return
        choice.change_bit = self._change_bit(field, n, zeros)
        if choice.change_bit:
            n = df_compact(self.values, n, self.changes,
                           <uint8_t>(1 << (choice.change_bit - 1)))
        df_lengths(self.values, n, &bits[0])
        cdef int low_bits = _low_bits(self.values, bits, n)
        cdef int width = _width(bits, n, low_bits)
        for i in range(8 * width + low_bits + 1, 65):
            beyond += bits[i]
        at = self.planes + <size_t>width * n
        if beyond:
            for i in range(n):
                if df_bits(self.values[i]) > 8 * width + low_bits:
                    _store4(at + 4 * <size_t>exceptions, <uint32_t>i)
                    memcpy(at + 4 * beyond + 8 * <size_t>exceptions, &self.values[i], 8)
                    self.values[i] = 0
                    exceptions += 1
        if low_bits:
            memset(self.lows, 0, (n * low_bits + 7) // 8 + 8)
            df_lows_split(self.values, n, low_bits, self.lows)
        df_planes_split(self.values, n, width, self.planes)
        self._finish(field, choice, width, exceptions, base, scale,
                     <size_t>width * n + 12 * beyond, low_bits, n, entries, parts)

    cdef int _change_bit(self, int field, size_t n, size_t zeros):
        """The bit of a field whose differences stand only where there are any; 0 for none."""
        if self.stream.fields == TICKS.fields:
            # As `tick_rows` has them: price 1, bid 2, ask 3, volume 4, qty 5 ... oi 8.
            return field - 1 - (field > 6) if 2 <= field <= 10 else 0
        if field >= FIELD_CHANGES or self.bits_used == 8 or zeros * 4 < n or zeros == n:
            return 0
        self.bits_used += 1
        return self.bits_used

    def _base_of(self, entries, field):
        """Base of an earlier entry."""
        for one in entries:
            if one["field"] == field:
                return one["base"]
        return 0

    cdef object _finish(self, int field, Choice choice, int width, uint32_t exceptions,
                        uint64_t base, uint64_t scale, size_t raw, int low_bits, size_t n,
                        list entries, list parts):
        low_bytes = (n * low_bits + 7) // 8 + 8 if low_bits else 0
        self._append(entries, parts, (<char *>self.planes)[:raw], dict(
            field=field, predictor=choice.predictor, refers=max(choice.refers, 0), width=width,
            scaling=choice.scaling, exceptions=exceptions, base=base, scale=scale,
            low_bits=low_bits, change_bit=choice.change_bit, low_bytes=low_bytes,
            coding=CODING_PLAIN if choice.plain else 0))
        if low_bits:
            parts.append((<char *>self.lows)[:low_bytes])

    def _append(self, entries, parts, plain, entry):
        """Compress a column when that pays, and list it."""
        packed = self._pack(plain) if len(plain) > 32 else plain
        packs = CODING_ZSTD if len(packed) < len(plain) - len(plain) // 64 else 0
        part = packed if packs else plain
        entries.append(entry | dict(coding=entry["coding"] | packs, stored=len(part),
                                    raw=len(plain)))
        parts.append(part)

    cdef object _change_entry(self, size_t n, list entries, list parts):
        """Which fields of each row have a residual."""
        cdef size_t i
        for i in range(n):
            self.values[i] = self.changes[i]
        df_planes_split(self.values, n, 1, self.planes)
        self._finish(FIELD_CHANGES, Choice(Predictor.CONST, -1, 0, 0, 0), 1, 0, 0, 1, n, 0, n,
                     entries, parts)

    cdef object _slot_entry(self, int field, size_t n, list entries, list parts):
        """Which row is whose; nothing when there is one instrument."""
        cdef size_t i
        cdef int width = 1 if self.keys <= 256 else 2 if self.keys <= 65536 else 3
        cdef Choice choice = Choice(Predictor.CONST, -1, 0, 0, 0)
        if self.keys == 1:
            return
        for i in range(n):
            self.values[i] = self.slots[i]
        df_planes_split(self.values, n, width, self.planes)
        self._finish(field, choice, width, 0, 0, 1, <size_t>width * n, 0, n, entries, parts)

    cdef object _numbers(self, int field, const uint64_t *numbers, size_t n, list entries,
                         list parts):
        """A column of plain numbers, each against the one before."""
        cdef size_t i
        cdef uint64_t last = numbers[0]
        for i in range(n):
            self.values[i] = numbers[i] - last
            last = numbers[i]
        self._entry(field, Choice(Predictor.ROW, -1, 0, 0, 0), numbers[0], 1, n, entries, parts)

    def encode(self, rows, uint64_t first_seq, seq=None, blob=b""):
        """Rows to a ROWS body.

        Args:
            rows: array of the stream's dtype, 1 to 1,048,576 of them.
            first_seq: sequence number of the first row.
            seq: uint64, the number of each row when they are not consecutive.
            blob: bytes of all rows, one after another.
        Raises:
            UsageError: another dtype, no rows or too many, lengths that do not fit.
        """
        cdef size_t n = len(rows)
        if rows.dtype != self._dtype or rows.ndim != 1:
            raise UsageError(f"rows are {rows.dtype}, the stream's are {self._dtype}")
        if not 0 < n <= BLOCK_ROWS_MAX:
            raise UsageError(f"{n} rows; a block has 1 to {BLOCK_ROWS_MAX}")
        if seq is not None and len(seq) != n:
            raise UsageError(f"{len(seq)} sequence numbers for {n} rows")
        sizes = int(rows[self.stream.blob].sum(dtype=np.uint64)) if self.stream.blob else 0
        if sizes != len(blob):
            raise UsageError(f"the rows' bytes are {sizes} long, {len(blob)} were given")
        if n * self.row_bytes + len(blob) > <size_t>BLOCK_BYTES_MAX // 4:
            raise UsageError(
                f"{n} rows of {self.row_bytes} bytes and {len(blob)} more are too large for one "
                f"block of {BLOCK_BYTES_MAX // 4} bytes; give fewer rows"
            )
        rows = np.ascontiguousarray(rows)
        cdef const unsigned char[::1] view = rows.view(np.uint8)
        cdef const char *data = <const char *>&view[0]
        cdef const uint64_t[::1] numbers
        entries, parts = [], []
        self._reserve(n)
        self.keys, self._keys = 0, np.zeros(0, np.uint32)
        key = -1
        if self.stream.key is not None:
            key = self.stream.fields.index(self.stream.key)
            self._slots(rows, n)
            self._scales(data, n)
            self._scale_entries(entries, parts)
            self._slot_entry(key, n, entries, parts)
        memset(self.changes, 0, n)
        self.bits_used = 0
        columns, bodies = [], []
        for field in self._ordered:
            if field != key:
                self._field(data, n, field, columns, bodies)
        if any(entry["change_bit"] for entry in columns):
            self._change_entry(n, entries, parts)
        entries += columns
        parts += bodies
        if seq is not None:
            numbers = np.ascontiguousarray(seq, np.uint64)
            first_seq = numbers[0]
            if int(numbers[n - 1]) - int(numbers[0]) != n - 1 or np.any(np.diff(seq) != 1):
                self._numbers(FIELD_SEQ, &numbers[0], n, entries, parts)
        if blob:
            self._append(entries, parts, bytes(blob), dict(
                field=FIELD_BLOB, predictor=1, refers=0, width=0, scaling=0, exceptions=0, base=0,
                scale=1, low_bits=0, change_bit=0, low_bytes=0, coding=0))
        return self._body(rows, n, first_seq, entries, parts)

    def _order(self):
        """Fields in the order of the directory: the time first, others may follow it."""
        fields = self.stream.fields
        first = [] if self.stream.time is None else [fields.index(self.stream.time)]
        return first + [index for index in range(len(fields)) if index not in first]

    def _scale_entries(self, entries, parts):
        """The keys' scales, where any is not 1."""
        cdef size_t k, group
        cdef uint64_t[::1] scales = np.ones(self.keys, np.uint64)
        for group in range(2):
            for k in range(self.keys):
                scales[k] = self.scales[group * self.keys + k].d
            if any(scale != 1 for scale in scales):
                self._numbers(FIELD_PRICE_SCALE + group, &scales[0], self.keys, entries, parts)

    def _body(self, rows, n, first_seq, entries, parts):
        """Head, keys, directory and columns in one."""
        cdef Head head
        cdef Entry line
        memset(&head, 0, sizeof(Head))
        head.rows, head.keys, head.first_seq = n, len(self._keys), first_seq
        head.columns = len(entries)
        if self.stream.time is not None:
            times = rows[self.stream.time]
            head.time_min, head.time_max = times.min(), times.max()
        if self.stream.event is not None:
            times = rows[self.stream.event]
            head.event_min, head.event_max = times.min(), times.max()
        pieces = [(<char *>&head)[:sizeof(Head)], self._keys.astype("<u4").tobytes()]
        if len(self._keys) % 2:
            pieces.append(bytes(4))
        for entry in entries:
            memset(&line, 0, sizeof(Entry))
            line.field, line.predictor, line.refers = (
                entry["field"], entry["predictor"], entry["refers"])
            line.width, line.coding, line.scaling = (
                entry["width"], entry["coding"], entry["scaling"])
            line.exceptions, line.stored, line.raw = (
                entry["exceptions"], entry["stored"], entry["raw"])
            line.base, line.scale = entry["base"], entry["scale"]
            line.low_bits, line.change_bit, line.low_bytes = (
                entry["low_bits"], entry["change_bit"], entry["low_bytes"])
            pieces.append((<char *>&line)[:sizeof(Entry)])
        return b"".join(pieces + parts)


cdef inline void _store4(uint8_t *at, uint32_t value) noexcept nogil:
    memcpy(at, &value, 4)


cdef double _cost(uint64_t *differences, size_t n) noexcept nogil:
    """Bits a row, about: the length of each number, and the entropy of the lengths."""
    cdef size_t[65] lengths
    cdef size_t i
    cdef double total = 0.0
    df_zigzag_all(differences, n)
    df_lengths(differences, n, &lengths[0])
    for i in range(65):
        if lengths[i]:
            total += lengths[i] * (<double>i + log2(<double>n / <double>lengths[i]))
    return total


cdef int _low_bits(const uint64_t *z, const size_t *bits, size_t n) noexcept nogil:
    """How many low bits of long numbers are as good as random: they are not worth compressing."""
    cdef uint32_t[256] seen
    cdef size_t i, below = 0, sample = min(n, <size_t>SAMPLE)
    cdef int top = 0, low
    cdef double entropy = 0.0
    if n < SAMPLE:
        return 0
    while top < 64 and below * 64 < n * 63:      # so long are all but one in 64
        below += bits[top]
        top += 1
    low = min(top - 1 - 8, <int>LOW_BITS_MAX)
    if low < 3:
        return 0
    memset(seen, 0, sizeof(seen))
    for i in range(sample):
        seen[z[i] & 255 if low >= 8 else (z[i] & ((<uint64_t>1 << low) - 1))] += 1
    for i in range(256):
        if seen[i]:
            entropy += seen[i] * log2(<double>sample / <double>seen[i])
    # A sample of 4,096 finds 7.955 of 8 random bits.
    return low if entropy > 0.985 * min(low, 8) * sample else 0


cdef int _width(const size_t *bits, size_t n, int low_bits) noexcept nogil:
    """The fewest bytes that leave few exceptions."""
    cdef int width
    cdef size_t i, beyond
    for width in range(8):
        beyond = 0
        for i in range(8 * width + low_bits + 1, 65):
            beyond += bits[i]
        if beyond * EXCEPTION_BYTES * 16 <= n:
            return width
    return 8
