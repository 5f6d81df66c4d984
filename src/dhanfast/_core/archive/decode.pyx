"""Reading blocks: see decode.pxd, and docs/reference/archive-format.md for the bytes."""

cimport cython
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

import numpy as np

from dhanfast._core.archive.columns cimport (
    BLOCK_ROWS_MAX, CODING_ZSTD, COLUMNS_MAX, ENTRY_BYTES, FIELD_BLOB, FIELD_CHANGES,
    FIELD_PRICE_SCALE, FIELD_QTY_SCALE, FIELD_SEQ, HEAD_BYTES, LOW_BITS_MAX, Predictor,
    column_residuals, column_rows, column_slots, column_values, column_words,
)
from dhanfast._core.archive.fused cimport tick_rows

from dhanfast._core.types import TICK_DTYPE
from dhanfast.errors import BadData


cdef extern from "df_columns.h":
    int df_bit_count(const uint64_t *words, size_t n, int bit) noexcept nogil
    void df_scatter(char *rows, size_t row_bytes, int size, size_t n,
                    const uint64_t *values) noexcept nogil

BLOCK_BYTES_MAX = 1 << 29    # of one block, decompressed: no file makes a reader ask for more


def _refuse(at, why):
    return BadData(f"byte {at} of the block: {why}")


cdef object _head_of(const unsigned char[::1] body, Head *head):
    """Copy and check the head; the length that the keys and the directory end at."""
    cdef size_t size = body.shape[0], i
    cdef uint32_t key = 0, before = 0
    if size < HEAD_BYTES:
        raise _refuse(0, f"{size} bytes are no block")
    memcpy(head, &body[0], HEAD_BYTES)
    if not 0 < head.rows <= BLOCK_ROWS_MAX:
        raise _refuse(0, f"{head.rows} rows; a block has 1 to {BLOCK_ROWS_MAX}")
    if head.keys > head.rows:
        raise _refuse(4, f"{head.keys} instruments in {head.rows} rows")
    if head.time_min > head.time_max or head.event_min > head.event_max:
        raise _refuse(16, "the smallest time is above the largest")
    if head.columns > COLUMNS_MAX:
        raise _refuse(48, f"{head.columns} columns; at most {COLUMNS_MAX}")
    if HEAD_BYTES + 8 * ((head.keys + 1) // 2) + ENTRY_BYTES * head.columns > size:
        raise _refuse(4, "the list of instruments or the directory passes the end")
    for i in range(head.keys):
        memcpy(&key, &body[HEAD_BYTES + 4 * i], 4)
        if i and key <= before:
            raise _refuse(HEAD_BYTES + 4 * i, f"instrument {key} after {before}: not ascending")
        before = key
    return None


def block_head(const unsigned char[::1] body not None):
    """Facts of a ROWS body, without decompressing anything.

    Args:
        body: the bytes of the chunk's body.
    Returns:
        rows, first_seq, time_min, time_max, event_min, event_max, keys (uint32[k], ascending).
    Raises:
        BadData: it cannot be a block; the message names the byte.
    """
    cdef Head head
    _head_of(body, &head)
    keys = np.frombuffer(body[HEAD_BYTES:HEAD_BYTES + 4 * head.keys], np.uint32)
    return (head.rows, head.first_seq, head.time_min, head.time_max, head.event_min,
            head.event_max, keys)


@cython.final
cdef class Cursor:
    """Reads the rows of one block from its first to its last.

    Args:
        stream: the Stream that the block belongs to.
        body: the bytes of the chunk's body, not needed afterwards.
        unpack: called with (compressed bytes, length once decompressed), gives the bytes.
        keys: instruments wanted; None for all.
    Attributes:
        blob: bytes of all rows, for streams that have them.
        left: rows not yet decoded, chosen or not.
    Raises:
        BadData: damage; the message names the byte of the body.
    """

    def __cinit__(self, stream, const unsigned char[::1] body not None, unpack, keys=None):
        _head_of(body, &self.head)
        self._buffers, self._blob = [], b""
        self.row_bytes = stream.dtype.itemsize
        self.slot_column = self.seq_column = self.change_column = -1
        if (stream.key is None) != (self.head.keys == 0):
            raise _refuse(4, f"{self.head.keys} instruments in a stream whose key is {stream.key}")
        self.columns = <Column *>calloc(self.head.columns + 1, sizeof(Column))
        self.places = <Place *>calloc(self.head.columns + 1, sizeof(Place))
        self.work = <uint64_t *>calloc((self.head.columns + 3) * STEP, 8)
        self.keys = <uint32_t *>calloc(self.head.keys + 1, 4)
        self.spare_rows = <char *>calloc(STEP, self.row_bytes)
        if (self.columns == NULL or self.places == NULL or self.work == NULL or self.keys == NULL
                or self.spare_rows == NULL):
            raise MemoryError("no memory for the columns of a block")
        if self.head.keys:
            memcpy(self.keys, &body[HEAD_BYTES], 4 * self.head.keys)
            self.key_offset = stream.dtype.fields[stream.key][1]
        self._directory(stream, body, unpack)
        self._key_state(stream)
        self._fuse(stream)
        if keys is not None and self.head.keys:
            self._choose(keys)

    def __dealloc__(self):
        for pointer in (<size_t>self.columns, <size_t>self.places, <size_t>self.work,
                        <size_t>self.keys, <size_t>self.memory, <size_t>self.states,
                        <size_t>self.wanted, <size_t>self.spare_rows):
            free(<void *><size_t>pointer)

    cdef object _directory(self, object stream, const unsigned char[::1] body, object unpack):
        """Check every entry before a byte of it is trusted."""
        cdef size_t at = HEAD_BYTES + 8 * ((self.head.keys + 1) // 2)
        cdef size_t data = at + ENTRY_BYTES * self.head.columns
        cdef size_t size = body.shape[0]
        cdef size_t _index, count, total = 0
        cdef Entry entry
        seen = set()
        for _index in range(self.head.columns):
            memcpy(&entry, &body[at], ENTRY_BYTES)
            count = self.head.rows
            if entry.field == FIELD_PRICE_SCALE or entry.field == FIELD_QTY_SCALE:
                count = self.head.keys
            elif entry.change_bit:
                if self.change_column < 0 or entry.change_bit > 64:
                    raise _refuse(at + 7, "a change bit without changes before it")
                count = self.changed[entry.change_bit - 1]
            if entry.field in seen:
                raise _refuse(at, f"field {entry.field} is there twice")
            seen.add(entry.field)
            self._check_entry(stream, &entry, at, count)
            total += <size_t>entry.raw + entry.low_bytes
            if total > <size_t>BLOCK_BYTES_MAX:
                raise _refuse(at + 16, f"more than {BLOCK_BYTES_MAX} bytes once decompressed")
            if data + entry.stored + entry.low_bytes > size:
                raise _refuse(at + 12, f"{entry.stored} + {entry.low_bytes} bytes pass the end")
            part = body[data:data + entry.stored] if entry.stored else b""
            try:
                # Stored bytes are copied too: the body is not needed once a cursor stands.
                unpacked = unpack(part, entry.raw) if entry.coding & CODING_ZSTD else bytes(part)
            except BadData as error:
                raise _refuse(data, str(error)) from error
            data += entry.stored
            if entry.field == FIELD_BLOB:
                self._blob = unpacked
            else:
                self.columns[self.count].entry = entry
                self.columns[self.count].stride = count
                self._column(stream, at, unpacked)
                if entry.low_bytes:
                    self._lows(bytes(body[data:data + entry.low_bytes]))
                self.count += 1
            data += entry.low_bytes
            at += ENTRY_BYTES

    cdef object _check_entry(self, object stream, const Entry *entry, size_t at, size_t count):
        """Whether the numbers of an entry fit each other and `count` residuals."""
        cdef size_t filled = <size_t>entry.width * count + 12 * <size_t>entry.exceptions
        cdef size_t lows = (count * entry.low_bits + 7) // 8 + 8 if entry.low_bits else 0
        if FIELD_CHANGES > entry.field >= len(stream.fields):
            raise _refuse(at, f"field {entry.field} is unknown")
        if entry.predictor > Predictor.KEY_FOLLOW or entry.scaling > 2 or entry.coding > 3:
            raise _refuse(at, "unknown predictor, scale or coding")
        if entry.width > 8 or entry.exceptions > count or entry.scale == 0:
            raise _refuse(at, "width above 8, more exceptions than rows, or a scale of 0")
        if entry.field >= FIELD_CHANGES and (entry.change_bit or entry.scaling):
            raise _refuse(at, f"field {entry.field} has a change bit or an instrument's scale")
        if entry.low_bits > LOW_BITS_MAX or entry.low_bytes != lows:
            raise _refuse(at + 20, f"{entry.low_bytes} bytes of low bits where {lows} are needed")
        if not entry.coding & CODING_ZSTD and entry.stored != entry.raw:
            raise _refuse(at + 12, f"{entry.stored} bytes stored of {entry.raw}")
        if entry.field == FIELD_BLOB:
            if stream.blob is None or entry.low_bits:
                raise _refuse(at, "bytes in a stream without them")
        elif filled != entry.raw:
            raise _refuse(at + 16, f"{entry.raw} bytes where {filled} are needed")
        if entry.field == FIELD_CHANGES and (entry.exceptions or entry.low_bits
                                             or entry.predictor != Predictor.CONST):
            raise _refuse(at, "the changes have a predictor, exceptions or low bits")

    cdef object _column(self, object stream, size_t at, object data):
        """Point a column at its bytes and check what can be checked of them."""
        cdef Column *column = &self.columns[self.count]
        cdef const unsigned char[::1] view
        cdef uint32_t i, position = 0
        cdef int64_t before = -1
        cdef size_t field = column.entry.field, planes = column.entry.width * column.stride
        self._buffers.append(data)
        column.planes = <const uint8_t *>&self.head      # nothing is read there, but never NULL
        if len(data):
            view = data
            column.planes = &view[0]
        column.positions = column.planes + planes
        column.residuals = column.positions + 4 * <size_t>column.entry.exceptions
        for i in range(column.entry.exceptions):
            memcpy(&position, column.positions + 4 * <size_t>i, 4)
            if position <= before or position >= column.stride:
                raise _refuse(at, f"exception {i} stands at {position} of {column.stride}")
            before = position
        column.reference = -1
        if column.entry.predictor >= Predictor.ROW_FOLLOW:
            for i in range(self.count):
                if self.columns[i].entry.field == column.entry.refers:
                    column.reference = <int32_t>i
            if (column.reference < 0 or field >= FIELD_CHANGES
                    or column.reference == self.slot_column):       # keys are numbers, not values
                raise _refuse(at, f"follows field {column.entry.refers}, which is not before it")
        if field == FIELD_SEQ:
            self.seq_column = <int32_t>self.count
        elif field == FIELD_CHANGES:
            self.change_column = <int32_t>self.count
            self._count_changes()
            return
        elif field < FIELD_CHANGES:
            dtype, offset = stream.dtype.fields[stream.fields[field]][:2]
            if stream.fields[field] == stream.key:
                if (column.entry.exceptions or column.entry.width > 4 or column.entry.low_bits
                        or column.entry.change_bit or column.reference >= 0):
                    raise _refuse(at, "the key's column has exceptions or is too wide")
                self.slot_column = <int32_t>self.count
                return
            self.places[self.placed] = Place(self.count, offset, dtype.itemsize)
            self.placed += 1
        if field >= FIELD_BLOB and column.entry.predictor != Predictor.ROW:
            raise _refuse(at, f"field {field} is predicted by its row before, nothing else")

    cdef object _count_changes(self):
        """How many rows have each bit: so many residuals has a column of that bit."""
        cdef Column column = self.columns[self.count]
        cdef size_t done = 0, n
        cdef int bit
        while done < self.head.rows:
            n = min(<size_t>STEP, self.head.rows - done)
            column_words(&column, n, self.changes)
            for bit in range(8 * column.entry.width):
                self.changed[bit] += <size_t>df_bit_count(self.changes, n, bit)
            done += n

    def _lows(self, bytes data):
        """Point the newest column at its low bits."""
        cdef const unsigned char[::1] view = data
        self._buffers.append(data)
        self.columns[self.count].lows = &view[0]

    cdef object _key_state(self, object stream):
        """Allocate what is kept of every key, and read the keys' scales."""
        cdef size_t i, k, keys = self.head.keys
        cdef Column *column
        cdef uint64_t *scales[2]
        if keys > 1 and self.slot_column < 0:
            raise _refuse(4, f"{keys} instruments, but no column says which row is whose")
        if (self.count + 2) * keys * 8 > <size_t>BLOCK_BYTES_MAX:
            raise _refuse(4, f"{keys} instruments in {self.count} columns are too many")
        self.memory = <uint64_t *>calloc((self.count + 2) * keys + 1, 8)
        if self.memory == NULL:
            raise MemoryError("no memory for the state of a block's instruments")
        scales[0], scales[1] = self.memory, self.memory + keys
        for i in range(2 * keys):
            self.memory[i] = 1
        for i in range(self.count):
            column = &self.columns[i]
            column.last = column.entry.base
            if column.reference >= 0:
                column.last -= self.columns[column.reference].entry.base
            if column.entry.field in (FIELD_PRICE_SCALE, FIELD_QTY_SCALE):
                self._scales(column, scales[column.entry.field - FIELD_PRICE_SCALE])
            if column.entry.scaling:
                if keys == 0:
                    raise _refuse(0, "a scale by instrument in a stream without instruments")
                column.scales = scales[column.entry.scaling - 1]
            if keys > 1 and column.entry.predictor in (Predictor.KEY, Predictor.KEY_FOLLOW):
                column.by_key = self.memory + (i + 2) * keys
                for k in range(keys):
                    column.by_key[k] = column.last

    cdef int _scales(self, Column *column, uint64_t *out) except -1:
        """A column with one scale a key."""
        cdef size_t done = 0, n
        while done < self.head.keys:
            n = min(<size_t>STEP, self.head.keys - done)
            column_residuals(column, n, out + done)
            column_values(column, NULL, NULL, n, out + done)
            done += n
        return 0

    cdef object _fuse(self, object stream):
        """Whether the rows are Ticks whose columns the fused loop knows."""
        cdef size_t i, k
        cdef Column *column
        for i in range(12):
            self.ticks[i] = -1
        if stream.fields != TICK_DTYPE.names or self.head.keys == 0:
            return
        for i in range(self.count):
            if self.columns[i].entry.field < 12:
                self.ticks[self.columns[i].entry.field] = <int32_t>i
        for i in range(2, 12):
            if i == 6 or self.ticks[i] < 0:
                continue
            column = &self.columns[self.ticks[i]]
            follows = column.reference >= 0
            if column.entry.predictor not in (Predictor.KEY, Predictor.KEY_FOLLOW):
                return
            if column.entry.scaling != (1 if i < 5 else 0 if i == 11 else 2):
                return
            if i == 11 and column.entry.scale != 1:
                return
            if follows and not (3 <= i <= 4 and column.entry.refers == i - 1):
                return
            if column.entry.change_bit != (0 if i == 11 else i - 1 - (i > 6)):
                return                   # price 1, bid 2 ... oi 8, as `tick_rows` has them
        for i in range(2):
            if self.ticks[i] < 0:
                continue
            column = &self.columns[self.ticks[i]]
            if column.entry.change_bit:
                return
            if column.reference >= 0 and (i == 1 or column.entry.refers != 1):
                return                   # the receive time stands alone, the other may follow it
        self.states = <TickState *>calloc(self.head.keys, sizeof(TickState))
        if self.states == NULL:
            raise MemoryError("no memory for the state of a block's instruments")
        for k in range(self.head.keys):
            self.states[k].price_scale, self.states[k].qty_scale = (
                self.memory[k], self.memory[self.head.keys + k])
            self.states[k].instrument = self.keys[k]
            for i in range(2, 12):
                if i != 6 and self.ticks[i] >= 0:
                    (&self.states[k].price)[i - 2 - (i > 6)] = self.columns[self.ticks[i]].last
        self.fused = True

    def _choose(self, keys):
        """Keep the rows of some instruments only."""
        chosen = {int(key) for key in keys}
        self.wanted = <uint8_t *>calloc(self.head.keys, 1)
        if self.wanted == NULL:
            raise MemoryError("no memory for the choice of instruments")
        for index in range(self.head.keys):
            self.wanted[index] = self.keys[index] in chosen

    cdef void _scatter(self, char *out, size_t n) noexcept nogil:
        cdef size_t i, c
        cdef Column *column
        cdef uint64_t *values
        memset(out, 0, n * self.row_bytes)
        for c in range(self.count):
            column = &self.columns[c]
            if <int32_t>c == self.slot_column or column.entry.field >= FIELD_CHANGES:
                continue
            values = self.work + c * STEP
            column_rows(column, self.changes, n, self.work + (self.count + 1) * STEP, values)
            column_values(column, self.slots, self.work + column.reference * STEP
                          if column.reference >= 0 else NULL, n, values)
        for c in range(self.placed):
            df_scatter(out + self.places[c].offset, self.row_bytes, self.places[c].size, n,
                       self.work + self.places[c].column * STEP)
        if self.head.keys:
            for i in range(n):
                memcpy(out + i * self.row_bytes + self.key_offset, &self.keys[self.slots[i]], 4)

    cdef void _fill(self, char *out, uint64_t *seq, size_t n) noexcept nogil:
        """The next n rows, all of them."""
        cdef size_t i
        cdef Column *column
        if self.slot_column >= 0 and not column_slots(&self.columns[self.slot_column], n,
                                                      self.head.keys, self.slots):
            self.broken = True
            return
        if self.change_column >= 0:
            column_words(&self.columns[self.change_column], n, self.changes)
        if self.fused:
            tick_rows(self.columns, self.ticks, self.states, self.slots, self.changes, self.work,
                      self.work + self.count * STEP, n, out)
        else:
            self._scatter(out, n)
        if seq == NULL:
            return
        if self.seq_column < 0:
            for i in range(n):
                seq[i] = self.head.first_seq + self.at + i
            return
        column = &self.columns[self.seq_column]
        column_residuals(column, n, seq)
        column_values(column, NULL, NULL, n, seq)

    cdef size_t read(self, char *out, uint64_t *seq, size_t limit) noexcept nogil:
        cdef size_t done = 0, i, n, kept
        cdef char *rows
        while done < limit and self.at < self.head.rows and not self.broken:
            n = min(<size_t>STEP, min(limit - done, self.head.rows - self.at))
            rows = out + done * self.row_bytes
            self._fill(rows, seq + done if seq != NULL else NULL, n)
            if self.broken:
                return done
            self.at += n
            kept = n
            if self.wanted != NULL:
                kept = 0
                for i in range(n):
                    if not self.wanted[self.slots[i]]:
                        continue
                    if kept != i:
                        memcpy(rows + kept * self.row_bytes, rows + i * self.row_bytes,
                               self.row_bytes)
                        if seq != NULL:
                            seq[done + kept] = seq[done + i]
                    kept += 1
            done += kept
        return done

    def read_into(self, unsigned char[::1] out not None, uint64_t[::1] seq=None):
        """Decode the next rows into a buffer; the GIL is released meanwhile.

        Args:
            out: room for whole rows.
            seq: uint64, as many as `out` has rows, for their sequence numbers; may be left out.
        Returns:
            how many rows were written; 0 when the block has ended.
        Raises:
            BadData: a row names an instrument that the block does not list.
        """
        cdef size_t limit = out.shape[0] // self.row_bytes, done
        cdef uint64_t *numbers = NULL
        if limit == 0:
            return 0
        if seq is not None:
            limit = min(limit, <size_t>seq.shape[0])
            numbers = &seq[0] if limit else NULL
        with nogil:
            done = self.read(<char *>&out[0], numbers, limit)
        if self.broken:
            raise _refuse(HEAD_BYTES, f"a row near {self.at} names an instrument beyond the list")
        return done

    @property
    def blob(self):
        """Bytes of all rows, one after another."""
        return self._blob

    @property
    def left(self):
        """Rows not yet decoded, chosen or not."""
        return self.head.rows - self.at
