"""Many sources of rows in one order: the inner loops of reading many files, or many streams."""

cimport cython
from libc.stddef cimport size_t
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import numpy as np

from dhanfast.errors import UsageError


cdef enum:
    SOURCES_MAX = 65_536

FULL = -1
DUE = -2
ENDED = -3
RUN_DTYPE = np.dtype([("slot", "<u4"), ("first", "<u4"), ("rows", "<u4")])


cdef struct Source:
    const char *row              # the next one; NULL before the first piece and after the last
    size_t left                  # rows of the piece from there on
    int64_t time                 # of the next row
    uint32_t rank                # order among equal times
    bint waiting                 # its piece is used up: it must be fed or ended
    const uint32_t *numbers      # the row's instrument -> the common one; NULL: as it is
    size_t numbers_n


cdef inline bint _before(const Source *a, const Source *b) noexcept nogil:
    return a.time < b.time or (a.time == b.time and a.rank < b.rank)


@cython.final
cdef class RowMerger:
    """Rows of several sources by (time, rank of the source), each source's own order kept.

    A source is fed piece by piece; nothing is given out while one that has not ended is without
    rows, since its next row may be the earliest. A row that is earlier than the row before it in
    its own source follows that row at once.

    Args:
        dtype: of the rows, packed; the same for all sources.
        time: name of an i8 field, the order.
        key: name of a u4 field to be renumbered, or None.
        sources: how many, at most 65,536; a lower number goes first at equal times.

    Raises:
        UsageError: there is no such field, or it has another type.
    """

    cdef Source *_sources
    cdef uint32_t *_heap             # numbers of the sources with rows, the earliest on top
    cdef size_t _heap_n, _n, _row_bytes, _time_at, _key_at
    cdef bint _keyed
    cdef Py_ssize_t _waiting_n
    cdef object _dtype
    cdef list _pieces                # keep what the pointers point into
    cdef list _numbers

    def __cinit__(self, dtype, str time not None, key, Py_ssize_t sources):
        if not 1 <= sources <= SOURCES_MAX:
            raise UsageError(f"sources must be in 1..{SOURCES_MAX}, was {sources}")
        self._dtype = np.dtype(dtype)
        self._row_bytes = self._dtype.itemsize
        self._time_at = _place_of(self._dtype, time, "<i8")
        self._keyed = key is not None
        self._key_at = _place_of(self._dtype, key, "<u4") if self._keyed else 0
        self._sources = <Source *>calloc(sources, sizeof(Source))
        self._heap = <uint32_t *>calloc(sources, sizeof(uint32_t))
        if self._sources == NULL or self._heap == NULL:
            raise MemoryError(f"merge of {sources} sources")
        self._n = sources
        self._pieces = [None] * sources
        self._numbers = [None] * sources
        for rank in range(sources):
            self._sources[rank].rank = <uint32_t>rank

    def __dealloc__(self):
        free(self._sources)
        free(self._heap)

    def start(self, Py_ssize_t source, numbers=None):
        """Let a source take part: from now on its rows are waited for.

        Args:
            source: its number.
            numbers: uint32[n], the common number of each of its instruments; None leaves them.

        Raises:
            UsageError: there is no such source, or it has begun before.
        """
        cdef Source *at = self._at(source)
        cdef const uint32_t[::1] table
        if at.waiting or at.left:
            raise UsageError(f"source {source} has begun before")
        if numbers is not None:
            if not self._keyed:
                raise UsageError("numbers: the rows have no instrument")
            at.numbers_n = len(numbers)
            table = np.append(np.asarray(numbers, dtype=np.uint32), np.uint32(0))   # never empty
            at.numbers = &table[0]
            self._numbers[source] = table
        at.waiting = True
        self._waiting_n += 1

    def feed(self, Py_ssize_t source, rows):
        """Give the next piece of a source; an empty one ends it.

        Args:
            source: a number that `take` answered.
            rows: array of the dtype, C-contiguous; not changed while its rows are being taken.

        Raises:
            UsageError: the source is not waiting, the rows are of another dtype, or an instrument
                in them has no number.
        """
        cdef Source *at = self._at(source)
        cdef const unsigned char[::1] raw
        if not at.waiting:
            raise UsageError(f"source {source} is not waiting for rows")
        if rows.dtype != self._dtype or rows.ndim != 1 or not rows.flags.c_contiguous:
            raise UsageError(f"rows must be a contiguous array of {self._dtype}")
        if len(rows):
            raw = rows.view(np.uint8)
            at.row = <const char *>&raw[0]
            at.left = len(rows)
            if not self._numbered(at):
                at.row = NULL
                at.left = 0
                raise UsageError(f"source {source} has rows of an instrument without a number")
            at.time = self._time(at.row)
            self._push(<uint32_t>source)
        self._pieces[source] = rows if len(rows) else None
        at.waiting = False
        self._waiting_n -= 1

    def take(self, out, Py_ssize_t at, until=None):
        """Write rows in order until there is no more to do.

        Args:
            out: array of the dtype, C-contiguous and writeable.
            at: first place to write to.
            until: give no row of this time or later; None for no such limit.

        Returns:
            (the place after the last row written, why it stopped): FULL, DUE (the next row is not
            before `until`), ENDED (no source has rows), or the number of a source to be fed.

        Raises:
            UsageError: `out` is of another dtype or `at` outside it.
        """
        cdef unsigned char[::1] raw
        cdef Py_ssize_t end = len(out)
        cdef int64_t limit = INT64_MAX
        cdef bint limited = until is not None
        cdef Py_ssize_t why
        if out.dtype != self._dtype or out.ndim != 1 or not out.flags.c_contiguous:
            raise UsageError(f"out must be a contiguous array of {self._dtype}")
        if not 0 <= at <= end:
            raise UsageError(f"at must be in 0..{end}, was {at}")
        if limited:
            limit = until
        if at == end:
            return at, FULL
        raw = out.view(np.uint8)
        with nogil:
            why = self._take(<char *>&raw[0], &at, end, limit, limited)
        return at, why

    cdef Source *_at(self, Py_ssize_t source) except NULL:
        if not 0 <= source < <Py_ssize_t>self._n:
            raise UsageError(f"source must be in 0..{self._n - 1}, was {source}")
        return &self._sources[source]

    cdef inline int64_t _time(self, const char *row) noexcept nogil:
        cdef int64_t time
        memcpy(&time, row + self._time_at, sizeof(time))
        return time

    cdef bint _numbered(self, const Source *at) noexcept nogil:
        cdef uint32_t key
        cdef size_t i
        if at.numbers == NULL:
            return True
        for i in range(at.left):
            memcpy(&key, at.row + i * self._row_bytes + self._key_at, sizeof(key))
            if key >= at.numbers_n:
                return False
        return True

    cdef Py_ssize_t _take(self, char *out, Py_ssize_t *at, Py_ssize_t end, int64_t limit,
                          bint limited) noexcept nogil:
        cdef Source *top
        cdef size_t rows
        cdef size_t i
        while True:
            if self._waiting_n:                        # seldom: a piece is thousands of rows
                for i in range(self._n):
                    if self._sources[i].waiting:
                        return <Py_ssize_t>i
            if at[0] == end:
                return -1                              # FULL
            if self._heap_n == 0:
                return -3                              # ENDED
            top = &self._sources[self._heap[0]]
            if limited and top.time >= limit:
                return -2                              # DUE
            rows = self._run(top, <size_t>(end - at[0]), limit, limited)
            self._copy(out + at[0] * self._row_bytes, top, rows)
            at[0] += rows
            top.row += rows * self._row_bytes
            top.left -= rows
            if top.left:
                top.time = self._time(top.row)
                self._sink()
            else:
                top.row = NULL
                top.waiting = True
                self._waiting_n += 1
                self._heap_n -= 1
                self._heap[0] = self._heap[self._heap_n]
                self._sink()

    # How many rows of the earliest source come before the next row of every other one; at least 1.
    cdef size_t _run(self, const Source *top, size_t room, int64_t limit,
                     bint limited) noexcept nogil:
        cdef const Source *other = NULL
        cdef const char *row = top.row
        cdef size_t rows = 1
        cdef int64_t last = INT64_MAX                  # the last time that still goes first
        cdef int64_t time
        if self._heap_n > 1:
            other = &self._sources[self._heap[1]]
            if self._heap_n > 2 and _before(&self._sources[self._heap[2]], other):
                other = &self._sources[self._heap[2]]
            # top is before other, so its time is above INT64_MIN where one is taken off.
            last = other.time if top.rank < other.rank else other.time - 1
        if limited and limit - 1 < last:
            last = limit - 1
        if room > top.left:
            room = top.left
        while rows < room:
            row += self._row_bytes
            time = self._time(row)
            if time > last:
                break
            rows += 1
        return rows

    cdef void _copy(self, char *out, const Source *source, size_t rows) noexcept nogil:
        cdef uint32_t key
        cdef size_t _row
        memcpy(out, source.row, rows * self._row_bytes)
        if source.numbers != NULL:
            out += self._key_at
            for _row in range(rows):
                memcpy(&key, out, sizeof(key))
                memcpy(out, &source.numbers[key], sizeof(key))
                out += self._row_bytes

    cdef void _push(self, uint32_t source) noexcept nogil:
        cdef size_t place = self._heap_n
        cdef size_t above
        self._heap_n += 1
        while place:
            above = (place - 1) >> 1
            if not _before(&self._sources[source], &self._sources[self._heap[above]]):
                break
            self._heap[place] = self._heap[above]
            place = above
        self._heap[place] = source

    # The source on top has another time: let it sink to its place.
    cdef void _sink(self) noexcept nogil:
        cdef size_t place = 0
        cdef size_t below
        cdef uint32_t source
        if self._heap_n == 0:
            return
        source = self._heap[0]
        while True:
            below = 2 * place + 1
            if below >= self._heap_n:
                break
            if below + 1 < self._heap_n and _before(&self._sources[self._heap[below + 1]],
                                                    &self._sources[self._heap[below]]):
                below += 1
            if not _before(&self._sources[self._heap[below]], &self._sources[source]):
                break
            self._heap[place] = self._heap[below]
            place = below
        self._heap[place] = source


def _place_of(dtype, name, kind):
    if name not in (dtype.names or ()) or dtype[name].str != kind:
        raise UsageError(f"{name!r} must be a field of type {kind} of {dtype}")
    return dtype.fields[name][1]


def sequence_runs(sequences, starts):
    """Cut rows of several streams into runs that stand in the order of their numbers.

    It ends when one of the streams is used up: its next row may be the next of all.

    Args:
        sequences: a list of uint64[n], ascending, C-contiguous: the numbers of each stream's rows.
        starts: for each the first row that is not given out yet; moved to the new one.

    Returns:
        RUN_DTYPE[n]: slot of the stream, its first row, how many rows. At equal numbers the lower
        slot goes first.

    Raises:
        UsageError: a stream has no row left, or there are none.
    """
    cdef Py_ssize_t k = len(sequences)
    cdef Py_ssize_t slot, best, room, n = 0
    cdef const uint64_t[::1] sequence
    cdef const uint64_t **at
    cdef uint64_t *left
    cdef uint64_t bound
    cdef uint32_t[:, ::1] runs
    if k == 0 or k != len(starts):
        raise UsageError("sequences and starts must be lists of one length, not empty")
    room = 0
    for slot in range(k):
        if not 0 <= starts[slot] < len(sequences[slot]):
            raise UsageError(f"stream {slot} has no row left")
        room += len(sequences[slot]) - starts[slot]
    found = np.empty((room, 3), dtype=np.uint32)
    runs = found
    pointers = np.empty(2 * k, dtype=np.uint64)
    cdef uint64_t[::1] raw = pointers
    at = <const uint64_t **>&raw[0]
    left = &raw[k]
    for slot in range(k):
        sequence = sequences[slot]
        at[slot] = &sequence[starts[slot]]
        left[slot] = len(sequence) - starts[slot]
    with nogil:
        while True:
            best = _lowest(at, k, -1)
            slot = _lowest(at, k, best)
            bound = at[slot][0] if slot >= 0 else 0
            runs[n, 0] = <uint32_t>best
            runs[n, 2] = _run_of(at, left, best, bound, slot < 0, best < slot)
            n += 1
            if left[best] == 0:
                break
    return _finish(found[:n], starts, k)


# The slot with the lowest number, `but` left out; -1 when there is no other.
cdef Py_ssize_t _lowest(const uint64_t **at, Py_ssize_t k, Py_ssize_t but) noexcept nogil:
    cdef Py_ssize_t best = -1
    cdef Py_ssize_t slot
    for slot in range(k):
        if slot != but and (best < 0 or at[slot][0] < at[best][0]):
            best = slot
    return best


cdef uint32_t _run_of(const uint64_t **at, uint64_t *left, Py_ssize_t slot, uint64_t bound,
                      bint alone, bint first) noexcept nogil:
    cdef const uint64_t *sequence = at[slot]
    cdef uint64_t most = left[slot]
    cdef uint64_t rows = 1
    while rows < most and (alone or sequence[rows] < bound
                           or (first and sequence[rows] == bound)):
        rows += 1
    at[slot] = sequence + rows
    left[slot] = most - rows
    return <uint32_t>rows


def _finish(found, starts, k):
    # First rows: what the runs before took of the same stream.
    for slot in range(k):
        mine = found[:, 0] == slot
        rows = found[mine, 2].astype(np.uint64)
        ends = np.cumsum(rows) + np.uint64(starts[slot])
        found[mine, 1] = ends - rows
        if len(ends):
            starts[slot] = int(ends[-1])
    return np.ascontiguousarray(found).view(RUN_DTYPE).reshape(-1)
