"""Feed packets from what an exchange shows; the contract is in feedout.pxd.

A packet that tells of a price before the first trade repeats the previous close, with no time of a
trade: so does the broker.
"""

cimport cython
from libc.stdint cimport uint16_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset

from dhanfast._core.book cimport BookSide
from dhanfast._core.types cimport Side
from dhanfast._core.wire.dhan cimport (
    FEED_LEVELS,
    IST_S,
    DhanCode,
    DhanDay,
    DhanDisconnect,
    DhanFull,
    DhanHead,
    DhanLast,
    DhanOi,
    DhanPrevClose,
    DhanQuote,
    DhanTicker,
)
from dhanfast._core.wire.dhan_depth cimport DhanDepthEnd, DhanDepthHead, DhanRow

import numpy as np

from dhanfast.errors import UsageError

FACE_DTYPE = np.dtype([
    ("ltt_ns", "<i8"), ("seen_ns", "<i8"), ("last", "<i8"), ("open", "<i8"), ("high", "<i8"),
    ("low", "<i8"), ("prev_close", "<i8"), ("bid", "<i8"), ("ask", "<i8"), ("value", "<i8"),
    ("volume", "<u8"), ("floor", "<i8"), ("ceiling", "<i8"), ("prev_volume", "<u8"),
    ("security_id", "<u4"), ("ltq", "<u4"), ("bid_qty", "<u4"), ("ask_qty", "<u4"), ("oi", "<u4"),
    ("oi_high", "<u4"), ("oi_low", "<u4"), ("prev_oi", "<u4"), ("oi_sent", "<u4"),
    ("bars", "<u4"), ("segment", "u1"), ("deep", "u1"), ("spare", "V14"),
])
if FACE_DTYPE.itemsize != sizeof(Face):
    raise ImportError(f"Face: the C struct has {sizeof(Face)} bytes, "
                      f"the dtype {FACE_DTYPE.itemsize}")

cdef enum:
    SECOND = 1_000_000_000
    START_ROOM = 4096
    TOP20 = 20
    TOP200 = 200
    ALL_MODES = 31


# ---- frames --------------------------------------------------------------------------------------


# Room for one frame of `size` bytes of payload; NULL when the lane is full or closed to it.
cdef uint8_t *_frame(LaneState *lane, size_t size) noexcept nogil:
    cdef size_t head = 2 if size < 126 else 4
    cdef size_t wanted = lane.used + head + size
    cdef size_t room = lane.room
    cdef uint8_t *at
    if lane.overflow or lane.muted:
        return NULL
    if wanted > room:
        while room < wanted:
            room *= 2
        if room > lane.room_max:
            lane.overflow = 1
            return NULL
        at = <uint8_t *>realloc(lane.buffer, room)
        if at == NULL:
            lane.overflow = 1
            return NULL
        lane.buffer = at
        lane.room = room
    at = lane.buffer + lane.used
    at[0] = 0x82                         # one whole binary message
    if size < 126:
        at[1] = <uint8_t>size
    else:
        at[1] = 126
        at[2] = <uint8_t>(size >> 8)     # big endian, unlike all that follows
        at[3] = <uint8_t>(size & 0xFF)
    lane.used = wanted
    lane.packets += 1
    return at + head


cdef inline float _rupees(paise_t price) noexcept nogil:
    return <float>(<double>price / 100.0)


cdef inline void _head(DhanHead *head, int code, size_t size, const Face *face) noexcept nogil:
    head.code = <uint8_t>code
    head.length = <uint16_t>size
    head.segment = face.segment
    head.security_id = face.security_id


cdef inline paise_t _shown(const Face *face) noexcept nogil:
    return face.last if face.last else face.prev_close


cdef inline uint32_t _ltt(const Face *face) noexcept nogil:
    return <uint32_t>(face.ltt_ns // SECOND + IST_S) if face.ltt_ns > 0 else 0


# ---- packets of the live feed --------------------------------------------------------------------


cdef void _ticker(LaneState *lane, const Face *face) noexcept nogil:
    cdef DhanTicker *packet = <DhanTicker *>_frame(lane, sizeof(DhanTicker))
    if packet == NULL:
        return
    _head(&packet.head, DhanCode.TICKER, sizeof(DhanTicker), face)
    packet.ltp = _rupees(_shown(face))
    packet.ltt = _ltt(face)


cdef void _last(DhanLast *last, const Face *face, const BookState *book) noexcept nogil:
    cdef uint64_t buys = 0, sells = 0
    cdef int32_t at
    last.ltp = _rupees(_shown(face))
    last.ltq = <uint16_t>(face.ltq & 0xFFFF)
    last.ltt = _ltt(face)
    last.atp = <float>(<double>face.value / <double>face.volume / 100.0) if face.volume \
        else <float>0.0
    last.volume = <uint32_t>face.volume
    if book != NULL and book.bid.hi + book.ask.hi > book.bid.lo + book.ask.lo:
        for at in range(book.bid.lo, book.bid.hi):
            buys += book.bid.levels[at].qty
        for at in range(book.ask.lo, book.ask.hi):
            sells += book.ask.levels[at].qty
    else:
        buys = face.bid_qty if face.bid else 0
        sells = face.ask_qty if face.ask else 0
    last.total_buy_qty = <uint32_t>buys
    last.total_sell_qty = <uint32_t>sells


cdef inline void _day(DhanDay *day, const Face *face) noexcept nogil:
    day.open = _rupees(face.open)
    day.close = _rupees(face.prev_close)     # the previous day's, all day long
    day.high = _rupees(face.high)
    day.low = _rupees(face.low)


cdef void _quote(LaneState *lane, const Face *face, const BookState *book) noexcept nogil:
    cdef DhanQuote *packet = <DhanQuote *>_frame(lane, sizeof(DhanQuote))
    if packet == NULL:
        return
    _head(&packet.head, DhanCode.QUOTE, sizeof(DhanQuote), face)
    _last(&packet.last, face, book)
    _day(&packet.day, face)


cdef void _interest(LaneState *lane, const Face *face) noexcept nogil:
    cdef DhanOi *packet = <DhanOi *>_frame(lane, sizeof(DhanOi))
    if packet == NULL:
        return
    _head(&packet.head, DhanCode.OI, sizeof(DhanOi), face)
    packet.oi = face.oi


cdef void _previous(LaneState *lane, const Face *face) noexcept nogil:
    cdef DhanPrevClose *packet = <DhanPrevClose *>_frame(lane, sizeof(DhanPrevClose))
    if packet == NULL:
        return
    _head(&packet.head, DhanCode.PREV_CLOSE, sizeof(DhanPrevClose), face)
    packet.prev_close = _rupees(face.prev_close)
    packet.prev_oi = face.prev_oi


cdef inline uint16_t _orders(uint32_t orders) noexcept nogil:
    return <uint16_t>(orders if orders < 0xFFFF else 0xFFFF)


cdef void _full(LaneState *lane, const Face *face, const BookState *book) noexcept nogil:
    cdef Level levels[FEED_LEVELS]
    cdef DhanFull *packet = <DhanFull *>_frame(lane, sizeof(DhanFull))
    cdef int32_t count, at
    if packet == NULL:
        return
    memset(packet, 0, sizeof(DhanFull))
    _head(&packet.head, DhanCode.FULL, sizeof(DhanFull), face)
    _last(&packet.last, face, book)
    _day(&packet.day, face)
    packet.oi = face.oi
    packet.oi_day_high = face.oi_high
    packet.oi_day_low = face.oi_low
    count = face_side(face, book, Side.BUY, &levels[0], FEED_LEVELS)
    for at in range(count):
        packet.depth[at].bid_price = _rupees(levels[at].price)
        packet.depth[at].bid_qty = levels[at].qty
        packet.depth[at].bid_orders = _orders(levels[at].orders)
    count = face_side(face, book, Side.SELL, &levels[0], FEED_LEVELS)
    for at in range(count):
        packet.depth[at].ask_price = _rupees(levels[at].price)
        packet.depth[at].ask_qty = levels[at].qty
        packet.depth[at].ask_orders = _orders(levels[at].orders)


# ---- depth ---------------------------------------------------------------------------------------


cdef int32_t face_side(const Face *face, const BookState *book, int side, Level *out,
                       int32_t limit) noexcept nogil:
    cdef const BookSide *from_side
    cdef int32_t count = 0
    if book != NULL:
        from_side = &book.bid if side == Side.BUY else &book.ask
        while count < limit and from_side.hi - 1 - count >= from_side.lo:
            out[count] = from_side.levels[from_side.hi - 1 - count]
            count += 1
    if count == 0 and limit > 0 and not face.deep:
        out[0].price = face.bid if side == Side.BUY else face.ask
        out[0].qty = face.bid_qty if side == Side.BUY else face.ask_qty
        out[0].orders = 1
        count = 1 if out[0].price and out[0].qty else 0
    return count


cdef void _depth_packet(uint8_t *at, const Face *face, int code, const Level *levels,
                        int32_t count, int32_t rows, uint32_t third) noexcept nogil:
    cdef DhanDepthHead *head = <DhanDepthHead *>at
    cdef DhanRow *row = <DhanRow *>(at + sizeof(DhanDepthHead))
    cdef int32_t which
    head.length = <uint16_t>(sizeof(DhanDepthHead) + <size_t>rows * sizeof(DhanRow))
    head.code = <uint8_t>code
    head.segment = face.segment
    head.security_id = face.security_id
    head.rows = third
    for which in range(rows):
        if which < count:
            row[which].price = <double>levels[which].price / 100.0
            row[which].qty = levels[which].qty
            row[which].orders = levels[which].orders
        else:
            memset(&row[which], 0, sizeof(DhanRow))


# Bid and ask stacked in one message. 20 levels: unused rows are zero, the third word counts
# messages; 200 levels: only rows that are there, the third word says how many.
cdef void _depth(LaneState *lane, const Face *face, const BookState *book,
                 int32_t limit) noexcept nogil:
    cdef Level bids[TOP200]
    cdef Level asks[TOP200]
    cdef int32_t n_bid = face_side(face, book, Side.BUY, &bids[0], limit)
    cdef int32_t n_ask = face_side(face, book, Side.SELL, &asks[0], limit)
    cdef int32_t bid_rows = TOP20 if limit == TOP20 else n_bid
    cdef int32_t ask_rows = TOP20 if limit == TOP20 else n_ask
    cdef size_t bid_size = sizeof(DhanDepthHead) + <size_t>bid_rows * sizeof(DhanRow)
    cdef size_t ask_size = sizeof(DhanDepthHead) + <size_t>ask_rows * sizeof(DhanRow)
    cdef uint8_t *at = _frame(lane, bid_size + ask_size)
    cdef uint32_t third
    if at == NULL:
        return
    third = <uint32_t>lane.packets if limit == TOP20 else <uint32_t>n_bid
    _depth_packet(at, face, DhanCode.BID, &bids[0], n_bid, bid_rows, third)
    third = <uint32_t>lane.packets if limit == TOP20 else <uint32_t>n_ask
    _depth_packet(at + bid_size, face, DhanCode.ASK, &asks[0], n_ask, ask_rows, third)


cdef void lane_depth(LaneState *lane, uint32_t instrument, const Face *face,
                     const BookState *book) noexcept nogil:
    cdef int modes = lane.modes[instrument]
    if modes & FeedMode.DEPTH20:
        _depth(lane, face, book, TOP20)
    if modes & FeedMode.DEPTH200:
        _depth(lane, face, book, TOP200)


cdef inline void _packets(LaneState *lane, int modes, const Face *face, const BookState *book,
                          bint interest) noexcept nogil:
    if modes & FeedMode.TICKER:
        _ticker(lane, face)
    if modes & FeedMode.QUOTE:
        _quote(lane, face, book)
        if interest:
            _interest(lane, face)
    if modes & FeedMode.FULL:
        _full(lane, face, book)


cdef void lane_tick(LaneState *lane, uint32_t instrument, const Face *face,
                    const BookState *book) noexcept nogil:
    _packets(lane, lane.modes[instrument], face, book, face.oi != face.oi_sent)


cdef void lane_seed(LaneState *lane, uint32_t instrument, const Face *face, const BookState *book,
                    int modes, bint close_packet) noexcept nogil:
    if close_packet and face.prev_close:
        _previous(lane, face)
    if face.seen_ns == 0 and face.prev_close == 0:
        return                           # nothing is known of it yet
    _packets(lane, modes, face, book, face.oi != 0)
    if modes & FeedMode.DEPTH20:
        _depth(lane, face, book, TOP20)
    if modes & FeedMode.DEPTH200:
        _depth(lane, face, book, TOP200)


# ---- the Python door -----------------------------------------------------------------------------


@cython.final
cdef class FeedLane:
    """One client of the feeds: what it wants, and the frames that wait for it.

    Args:
        instruments: their indexes are 0..instruments-1.
        room_max: bytes that may wait; a client that falls further behind is `overflow`.

    Raises:
        UsageError: a number out of range.
        MemoryError: no room.
    """

    def __cinit__(self, instruments: int, room_max: int = 1 << 22):
        if not 1 <= instruments <= 1 << 20:
            raise UsageError(f"instruments: {instruments} is not in 1..{1 << 20}")
        if not START_ROOM <= room_max <= 1 << 30:
            raise UsageError(f"room_max: {room_max} bytes are not in {<int>START_ROOM}..{1 << 30}")
        self.state.instruments = <uint32_t>instruments
        self.state.room_max = <size_t>room_max
        self.state.room = START_ROOM
        self.state.modes = <uint8_t *>calloc(instruments, 1)
        self.state.buffer = <uint8_t *>calloc(START_ROOM, 1)
        if self.state.modes == NULL or self.state.buffer == NULL:
            raise MemoryError(f"feed lane of {instruments} instruments")

    def __dealloc__(self):
        free(self.state.modes)
        free(self.state.buffer)

    def subscribe(self, instrument: int, modes: int):
        """Ask for packets of an instrument, besides those asked for already.

        Args:
            instrument: index. modes: FeedMode bits.
        Raises:
            UsageError: no such instrument or mode.
        """
        self._check(instrument, modes)
        self.state.modes[<uint32_t>instrument] |= <uint8_t>modes

    def unsubscribe(self, instrument: int, modes: int):
        """End some modes of an instrument; those that are not on stay off.

        Raises:
            UsageError: no such instrument or mode.
        """
        self._check(instrument, modes)
        self.state.modes[<uint32_t>instrument] &= <uint8_t>(~modes & ALL_MODES)

    def modes(self, instrument: int):
        """FeedMode bits of an instrument.

        Raises:
            UsageError: no such instrument.
        """
        self._check(instrument, 0)
        return self.state.modes[<uint32_t>instrument]

    def take(self):
        """The frames that wait, back to back, ready for the socket; then none wait."""
        cdef bytes frames = self.state.buffer[:self.state.used]
        self.state.used = 0
        return frames

    def messages(self):
        """The payloads that wait, one a message; then none wait."""
        cdef size_t at = 0, size, head
        found = []
        while at < self.state.used:
            size, head = self.state.buffer[at + 1], 2
            if size == 126:
                size = (<size_t>self.state.buffer[at + 2] << 8) | self.state.buffer[at + 3]
                head = 4
            found.append(self.state.buffer[at + head:at + head + size])
            at += head + size
        self.state.used = 0
        return found

    def end(self, reason: int, *, deep: bool = False):
        """Append a disconnect packet, also to a lane that is full; nothing follows it.

        Args:
            reason: 800 to 814. deep: of a depth feed.
        """
        cdef DhanDisconnect *packet
        cdef DhanDepthEnd *last
        if self.state.overflow:
            self.state.used = 0          # the client will not read that much any more
        self.state.overflow = self.state.muted = 0
        if deep:
            last = <DhanDepthEnd *>_frame(&self.state, sizeof(DhanDepthEnd))
            if last != NULL:
                memset(last, 0, sizeof(DhanDepthEnd))
                last.head.length = sizeof(DhanDepthEnd)
                last.head.code = DhanCode.DISCONNECT
                last.reason = <uint16_t>reason
        else:
            packet = <DhanDisconnect *>_frame(&self.state, sizeof(DhanDisconnect))
            if packet != NULL:
                memset(packet, 0, sizeof(DhanDisconnect))
                packet.head.code = DhanCode.DISCONNECT
                packet.head.length = sizeof(DhanDisconnect)
                packet.reason = <uint16_t>reason
        self.state.muted = 1

    @property
    def waiting(self):
        """Bytes that wait."""
        return self.state.used

    @property
    def packets(self):
        """Frames made so far."""
        return self.state.packets

    @property
    def overflow(self):
        """Whether more wanted to wait than may: the client is too slow."""
        return bool(self.state.overflow)

    @property
    def muted(self):
        """While set, nothing is written for this client: connected, and silent."""
        return bool(self.state.muted)

    @muted.setter
    def muted(self, on: bool):
        self.state.muted = 1 if on else 0

    cdef object _check(self, object instrument, object modes):
        if not 0 <= instrument < self.state.instruments:
            raise UsageError(f"instrument: {instrument} is not in 0..{self.state.instruments - 1}")
        if not 0 <= modes <= ALL_MODES:
            raise UsageError(f"modes: {modes} are not FeedMode bits")
