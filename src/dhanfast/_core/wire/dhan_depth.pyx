"""Dhan's depth feeds: see dhan_depth.pxd for layouts and rules, here is the how."""

cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from dhanfast._core.types cimport DepthFlag, DepthRow, paise_t
from dhanfast._core.wire.dhan cimport DhanCode
from dhanfast._core.wire.records cimport Notice, WireCount, WireVerdict, wire_count
from dhanfast._core.wire.sides cimport SIDE_LEVELS_MAX, SideKnown, side_rows_max, side_take
from dhanfast._core.wire.table cimport (
    SLOT_NONE,
    WireEntry,
    f64_error,
    price_parts,
    table_find,
    table_slot,
)

import numpy as np

from dhanfast._core.book import LEVEL_DTYPE
from dhanfast._core.wire.records import count_names
from dhanfast.errors import BadData

for _name, _want, _size in (("DhanDepthHead", 12, sizeof(DhanDepthHead)),
                            ("DhanRow", 16, sizeof(DhanRow)),
                            ("DhanDepthEnd", 14, sizeof(DhanDepthEnd))):
    if _want != _size:
        raise ImportError(f"{_name}: the C struct has {_size} bytes, the wire {_want}")


cdef WireStep depth_step(const uint8_t *frame, size_t size) noexcept nogil:
    cdef WireStep found
    cdef const DhanDepthHead *head = <const DhanDepthHead *>frame
    cdef size_t length
    found.mismatch = False
    found.step = found.size = size
    found.verdict = WireVerdict.TAIL
    if size < sizeof(DhanDepthHead):
        return found
    length = head.length
    if length < sizeof(DhanDepthHead):
        found.verdict = WireVerdict.NO_LENGTH
        return found
    if length > size:
        found.verdict = WireVerdict.CUT_OFF
        return found
    found.step = found.size = length
    if head.code == DhanCode.BID or head.code == DhanCode.ASK:
        found.verdict = WireVerdict.GOOD
        found.mismatch = (length - sizeof(DhanDepthHead)) % sizeof(DhanRow) != 0
    elif head.code == DhanCode.DISCONNECT:
        found.verdict = WireVerdict.GOOD
    else:
        found.verdict = WireVerdict.UNKNOWN
    return found


cdef size_t depth_rows(const DhanDepthHead *head, size_t size, int32_t level_max) noexcept nogil:
    cdef size_t rows = (size - sizeof(DhanDepthHead)) // sizeof(DhanRow)
    # With 20 levels the head's last field is a sequence number, with 200 a count.
    if level_max > 20 and rows > head.rows:
        rows = head.rows
    return rows if rows < <size_t>level_max else <size_t>level_max


cdef uint32_t depth_reason(const DhanDepthHead *head, size_t size) noexcept nogil:
    if size >= sizeof(DhanDepthEnd):
        return (<const DhanDepthEnd *>head).reason
    return head.rows


# The rows of a packet as levels; False when one with a quantity cannot have a price.
cdef bint _levels(DepthFeed *feed, const WireEntry *entry, const DhanRow *sent, size_t count,
                  Level *levels) noexcept nogil:
    cdef bint good = True
    cdef paise_t price
    cdef uint64_t off_tick = 0
    cdef int verdict
    cdef size_t i
    for i in range(count):
        verdict = price_parts(entry, sent[i].price, f64_error(), &price)
        levels[i].price, levels[i].qty, levels[i].orders = price, sent[i].qty, sent[i].orders
        good &= verdict >= 0 or sent[i].qty == 0
        off_tick += verdict > 0
    feed.counters.counts[<int>WireCount.OFF_TICK] += off_tick
    return good


cdef void _notice(const DhanDepthHead *head, size_t size, ns_t recv_ns,
                  WireOut *out) noexcept nogil:
    cdef Notice *notice
    if out.notice_max == 0:
        return
    notice = &out.notices[out.notice_count]
    notice.recv_ns = recv_ns
    notice.code, notice.segment, notice.security_id = head.code, head.segment, head.security_id
    notice.reason = depth_reason(head, size)
    out.notice_count += 1


cdef void _packet(DepthFeed *feed, const uint8_t *at, size_t size, ns_t recv_ns,
                  WireOut *out) noexcept nogil:
    # A whole packet of a known code lies at `at`.
    cdef const DhanDepthHead *head = <const DhanDepthHead *>at
    cdef Level levels[SIDE_LEVELS_MAX]
    cdef DepthRow stamp
    cdef DepthRow *rows = NULL
    cdef uint64_t *counts = &feed.counters.counts[0]
    cdef bint raw = False
    cdef size_t count, written
    cdef uint32_t slot
    counts[<int>WireCount.PACKETS] += 1
    if head.code == DhanCode.DISCONNECT:
        _notice(head, size, recv_ns, out)
        return
    count = depth_rows(head, size, feed.level_max)
    counts[<int>WireCount.ROWS_CUT] += (size - sizeof(DhanDepthHead)) // sizeof(DhanRow) - count
    slot = table_find(feed.table, head.segment, head.security_id)
    if slot == SLOT_NONE:
        counts[<int>WireCount.UNKNOWN_INSTRUMENT] += 1
        counts[<int>WireCount.UNKNOWN_SEGMENT] += head.segment > 8 or head.segment == 6
        return
    if not _levels(feed, &feed.table.entries[slot], <const DhanRow *>(at + sizeof(DhanDepthHead)),
                   count, &levels[0]):
        counts[<int>WireCount.BAD_PRICE] += 1
        return
    memset(&stamp, 0, sizeof(DepthRow))
    stamp.recv_ns = recv_ns
    stamp.instrument = feed.table.entries[slot].instrument
    stamp.side = Side.BUY if head.code == DhanCode.BID else Side.SELL
    if out.row_max:
        rows = &out.rows[out.row_count]
    written = side_take(&feed.sides[2 * <size_t>slot + (head.code == DhanCode.ASK)], &levels[0],
                        <int32_t>count, &stamp, rows, &raw)
    counts[<int>WireCount.RAW_SIDE] += raw
    if written:
        rows[written - 1].flags |= DepthFlag.LAST
        out.row_count += written


cdef size_t depth_decode(DepthFeed *feed, const uint8_t *frame, size_t size, ns_t recv_ns,
                         WireOut *out) noexcept nogil:
    cdef WireCounters *counters = &feed.counters
    cdef size_t rows = side_rows_max(<size_t>feed.level_max)
    cdef WireStep found
    cdef size_t at = 0
    while at < size:
        if (out.row_max and out.row_count + rows > out.row_max) or (
                out.notice_max and out.notice_count == out.notice_max):
            break
        found = depth_step(frame + at, size - at)
        if found.verdict == WireVerdict.GOOD:
            counters.codes[(<const DhanDepthHead *>(frame + at)).code] += 1
            counters.counts[<int>WireCount.LENGTH_FIELD] += found.mismatch
            _packet(feed, frame + at, found.size, recv_ns, out)
        else:
            # A tail may be too short to have a code; it is counted as none.
            wire_count(counters, &found, (<const DhanDepthHead *>(frame + at)).code
                       if found.verdict == WireVerdict.UNKNOWN else 0)
        at += found.step
    counters.counts[<int>WireCount.MESSAGES] += at == size
    counters.counts[<int>WireCount.BYTES] += at
    return at


cdef const Level *depth_side(const DepthFeed *feed, uint32_t instrument, Side side,
                             size_t *count) noexcept nogil:
    cdef uint32_t slot = table_slot(feed.table, instrument)
    cdef const SideState *found
    count[0] = 0
    if slot == SLOT_NONE:
        return NULL
    found = &feed.sides[2 * <size_t>slot + (side == Side.SELL)]
    if found.known != SideKnown.SIDE_VALID:
        return NULL
    count[0] = <size_t>found.count
    return found.levels


cdef void depth_forget(DepthFeed *feed, uint32_t slot) noexcept nogil:
    cdef SideState *sides = &feed.sides[2 * <size_t>slot]
    sides[0].known = sides[1].known = SideKnown.SIDE_UNKNOWN
    sides[0].count = sides[1].count = 0


@cython.final
cdef class DhanDepthDecoder:
    """Dhan's 20- or 200-level depth feed to rows of changes and whole sides.

    It remembers each side, so messages must come in the order they arrived. Native code calls
    `depth_decode`; this door is for tests, tools and recorded frames.

    Args:
        instruments: a `WireTable`, or what it is made of.
        levels: 20 or 200, as the feed.
    Raises:
        BadData: levels is neither; the table is refused, see `WireTable`.
        MemoryError: no room for the books.
    """

    def __cinit__(self, instruments, int levels):
        cdef size_t i, sides
        if levels != 20 and levels != 200:
            raise BadData(f"levels is {levels}; Dhan's depth feeds have 20 or 200")
        table = instruments if isinstance(instruments, WireTable) else WireTable(instruments)
        self.table = table
        self.feed.table = &self.table.state
        self.feed.level_max = levels
        sides = 2 * <size_t>self.table.state.count
        self.feed.sides = <SideState *>calloc(sides + 1, sizeof(SideState))
        self.feed.levels = <Level *>calloc((sides + 1) * <size_t>levels, sizeof(Level))
        if self.feed.sides == NULL or self.feed.levels == NULL:
            raise MemoryError(f"books of {self.table.state.count} instruments, {levels} levels")
        for i in range(sides):
            self.feed.sides[i].levels = self.feed.levels + i * <size_t>levels
        self._sink = WireSink(4096)

    def __dealloc__(self):
        free(self.feed.sides)
        free(self.feed.levels)

    def decode(self, frame, ns_t recv_ns):
        """Decode one message; return its rows as `Decoded` (no ticks, no stats).

        Args:
            frame: the payload of a binary WebSocket message: bytes, or another flat buffer.
            recv_ns: when it arrived, UTC ns.
        """
        cdef const uint8_t[::1] view = frame if len(frame) else b"\0"
        cdef size_t size = len(frame)
        cdef size_t at = 0
        cdef WireSink sink = self._sink
        while True:
            with nogil:
                at += depth_decode(&self.feed, &view[0] + at, size - at, recv_ns, &sink.out)
            if at == size:
                return sink.take()
            sink.flush()

    def levels(self, uint32_t instrument, Side side):
        """A side of an instrument's book, best first; empty when not known or not valid.

        Shape:
            array of book.LEVEL_DTYPE, a copy.
        """
        cdef size_t count = 0
        cdef const Level *levels = depth_side(&self.feed, instrument, side, &count)
        found = np.empty(count, LEVEL_DTYPE)
        cdef unsigned char[::1] raw
        if count:
            raw = found.view(np.uint8)
            memcpy(&raw[0], levels, count * sizeof(Level))
        return found

    @property
    def counters(self):
        """What was counted since construction, by `WireCount` name; zeros are left out."""
        cdef int i
        return count_names([self.feed.counters.counts[i] for i in range(<int>WireCount.COUNTS)])

    @property
    def codes(self):
        """Packets seen by code, decoded or stepped over."""
        cdef int i
        return {i: self.feed.counters.codes[i] for i in range(256) if self.feed.counters.codes[i]}
