"""Dhan's live market feed: see dhan.pxd for layouts and rules, here is the how."""

cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from dhanfast._core.types cimport DepthFlag, DepthRow
from dhanfast._core.wire.records cimport (
    Notice,
    TickFlag,
    WireCount,
    WireSink,
    WireVerdict,
    wire_count,
)
from dhanfast._core.wire.sides cimport SideKnown, side_kept, side_take
from dhanfast._core.wire.table cimport (
    SLOT_NONE,
    WireEntry,
    f32_error,
    price_parts,
    table_find,
    table_slot,
)

import numpy as np


cdef extern from "df_wire.h" nogil:
    int df_five_levels(const uint8_t *sent, double per_tick, double tick, double ticks_max,
                       double relative, int64_t *prices, int rows)
    int df_same_book(const uint8_t *one, const uint8_t *other)

from dhanfast._core.book import LEVEL_DTYPE
from dhanfast._core.wire.records import count_names

for _name, _want, _size in (
    ("DhanHead", 8, sizeof(DhanHead)), ("DhanTicker", 16, sizeof(DhanTicker)),
    ("DhanPrevClose", 16, sizeof(DhanPrevClose)), ("DhanOi", 12, sizeof(DhanOi)),
    ("DhanQuote", 50, sizeof(DhanQuote)), ("DhanFull", 162, sizeof(DhanFull)),
    ("DhanLegacyDepth", 112, sizeof(DhanLegacyDepth)),
    ("DhanDisconnect", 10, sizeof(DhanDisconnect)), ("DhanLevel", 20, sizeof(DhanLevel)),
):
    if _want != _size:
        raise ImportError(f"{_name}: the C struct has {_size} bytes, the wire {_want}")

# Bytes of a packet by its code; 0: unknown.
cdef uint8_t SIZES[256]
memset(&SIZES[0], 0, 256)
SIZES[<int>DhanCode.TICKER] = sizeof(DhanTicker)
SIZES[<int>DhanCode.LEGACY_DEPTH] = sizeof(DhanLegacyDepth)
SIZES[<int>DhanCode.QUOTE] = sizeof(DhanQuote)
SIZES[<int>DhanCode.OI] = sizeof(DhanOi)
SIZES[<int>DhanCode.PREV_CLOSE] = sizeof(DhanPrevClose)
SIZES[<int>DhanCode.MARKET_STATUS] = sizeof(DhanHead)
SIZES[<int>DhanCode.FULL] = sizeof(DhanFull)
SIZES[<int>DhanCode.DISCONNECT] = sizeof(DhanDisconnect)


# Everything the steps of one packet share.
cdef struct Job:
    DhanFeed *feed
    const WireEntry *entry
    FeedState *state
    WireOut *out
    ns_t recv_ns
    uint32_t segment


cdef WireStep dhan_step(const uint8_t *frame, size_t size) noexcept nogil:
    cdef WireStep found
    cdef const DhanHead *head = <const DhanHead *>frame
    cdef size_t known, length
    found.mismatch = False
    if size < sizeof(DhanHead):
        found.step = found.size = size
        found.verdict = WireVerdict.TAIL
        return found
    known = SIZES[head.code]
    length = head.length
    found.step = found.size = known
    found.verdict = WireVerdict.GOOD
    if known and known == length and known <= size:
        return found
    if length < sizeof(DhanHead) or length > size:       # the length field cannot be
        found.mismatch = known != 0
        if known == 0 or known > size:
            found.step = found.size = size
            found.verdict = WireVerdict.NO_LENGTH if known == 0 else WireVerdict.CUT_OFF
    elif known == 0:
        found.step = found.size = length
        found.verdict = WireVerdict.UNKNOWN
    elif known != size:
        found.mismatch = True
        found.step = found.size = length
        if length < known:
            found.verdict = WireVerdict.TOO_SHORT
    else:
        found.mismatch = True
    return found


cdef inline int _price(Job *job, float price, paise_t *parts) noexcept nogil:
    cdef int verdict = price_parts(job.entry, <double>price, f32_error(), parts)
    if verdict > 0:
        job.feed.counters.counts[<int>WireCount.OFF_TICK] += 1
    return verdict


cdef inline uint32_t _bits(float value) noexcept nogil:
    cdef uint32_t bits
    memcpy(&bits, &value, 4)
    return bits


# The best level of a side for a Tick: none when it has no quantity or no price.
cdef inline void _best(const Level *level, paise_t *price, uint32_t *qty) noexcept nogil:
    cdef bint there = level.qty > 0 and level.price > 0
    price[0] = level.price if there else 0
    qty[0] = level.qty if there else 0


cdef inline Tick *_tick(Job *job, Tick *spare) noexcept nogil:
    # A tick of this instrument that carries no trade and no quote; `spare` when none is wanted.
    cdef bint wanted = job.out.tick_max > 0
    cdef Tick *tick = &job.out.ticks[job.out.tick_count] if wanted else spare
    cdef FeedState *state = job.state
    job.out.tick_count += wanted
    tick.exch_ns = state.exch_ns
    tick.recv_ns = job.recv_ns
    tick.price = tick.bid = tick.ask = 0
    tick.volume = state.volume
    tick.instrument = job.entry.instrument
    tick.qty = tick.bid_qty = tick.ask_qty = 0
    tick.oi = state.oi
    tick.flags = 0
    return tick


# The last trade of a packet: is it new? Sets the tick's price, qty and flags, and the state.
cdef inline void _trade(Job *job, Tick *tick, paise_t price, uint32_t ltp_bits, uint32_t ltt,
                        uint32_t ltq, bint rose) noexcept nogil:
    cdef FeedState *state = job.state
    cdef bint index = job.segment == SEGMENT_INDEX
    cdef bint fresh = (rose or not state.seen or ltp_bits != state.ltp_bits or ltt != state.ltt
                       or (ltq != state.ltq and ltq != 0))
    if price > 0 and fresh and (ltt != 0 or index):
        tick.price = price
        tick.qty = ltq
        if not state.seen:
            tick.flags |= TickFlag.SEED
    else:
        job.feed.counters.counts[<int>WireCount.NO_TRADE] += 1
    state.seen = 1
    state.price, state.ltp_bits, state.ltt = price, ltp_bits, ltt
    if ltq:
        state.ltq = ltq


cdef inline void _clock(Job *job, Tick *tick, uint32_t ltt) noexcept nogil:
    cdef ns_t exch_ns = dhan_utc(ltt)
    if ltt == 0 and job.segment == SEGMENT_INDEX:
        exch_ns = job.recv_ns
        tick.flags |= TickFlag.TIME_RECEIVED
    job.state.exch_ns = tick.exch_ns = exch_ns


# The price of a packet's last trade: unchanged bits need no arithmetic.
cdef inline int _ltp(Job *job, float ltp, paise_t *price) noexcept nogil:
    if job.state.seen and _bits(ltp) == job.state.ltp_bits:
        price[0] = job.state.price
        return 0
    return _price(job, ltp, price)


cdef bint _take_ticker(Job *job, const DhanTicker *packet) noexcept nogil:
    cdef paise_t price
    cdef Tick spare
    cdef Tick *tick
    if _ltp(job, packet.ltp, &price) < 0:
        return False
    tick = _tick(job, &spare)
    _clock(job, tick, packet.ltt)
    _trade(job, tick, price, _bits(packet.ltp), packet.ltt, 0, False)
    return True


cdef bint _take_oi(Job *job, const DhanOi *packet) noexcept nogil:
    cdef Tick spare
    job.state.oi = packet.oi
    _tick(job, &spare)
    return True


cdef inline void _stats(Job *job) noexcept nogil:
    # The state's row has changed.
    cdef StatsRow *row = &job.state.stats
    row.exch_ns, row.recv_ns = job.state.exch_ns, job.recv_ns
    if job.out.stat_max:
        job.out.stats[job.out.stat_count] = row[0]
        job.out.stat_count += 1


cdef bint _take_prev_close(Job *job, const DhanPrevClose *packet) noexcept nogil:
    cdef StatsRow *row = &job.state.stats
    cdef paise_t price
    if _price(job, packet.prev_close, &price) < 0:
        return False
    if price != row.prev_close or packet.prev_oi != row.prev_oi:
        row.prev_close, row.prev_oi = price, packet.prev_oi
        _stats(job)
    return True


cdef inline bint _same_day(const FeedState *state, const DhanDay *day) noexcept nogil:
    return state.has_day and memcmp(day, &state.day, sizeof(DhanDay)) == 0


# The day's prices in the order of StatsRow; False when one of them cannot be a price.
cdef bint _day(Job *job, const DhanDay *day, paise_t *prices) noexcept nogil:
    return (_price(job, day.open, &prices[0]) >= 0 and _price(job, day.high, &prices[1]) >= 0
            and _price(job, day.low, &prices[2]) >= 0 and _price(job, day.close, &prices[3]) >= 0)


cdef void _set_day(FeedState *state, const DhanDay *day, const paise_t *prices) noexcept nogil:
    state.day = day[0]
    state.has_day = 1
    state.stats.open, state.stats.high = prices[0], prices[1]
    state.stats.low, state.stats.close = prices[2], prices[3]


cdef bint _levels_slowly(Job *job, const DhanLevel *sent, paise_t *prices) noexcept nogil:
    cdef bint good = True
    cdef int i
    for i in range(FEED_LEVELS):
        good &= _price(job, sent[i].bid_price, &prices[2 * i]) >= 0 or sent[i].bid_qty == 0
        good &= _price(job, sent[i].ask_price, &prices[2 * i + 1]) >= 0 or sent[i].ask_qty == 0
    return good


# The ten prices of a book, bids at even places; False when one with a quantity cannot be a price.
# Where nobody wants rows only the best two are written, and `whole` says so: the others are made
# when they are asked for.
cdef inline bint _levels(Job *job, const DhanLevel *sent, paise_t *prices,
                         bint *whole) noexcept nogil:
    cdef const WireEntry *entry = job.entry
    whole[0] = True
    if job.out.row_max == 0:
        if df_five_levels(<const uint8_t *>sent, entry.per_tick, <double>entry.tick,
                          entry.ticks_max, f32_error(), prices, 1):
            whole[0] = False
            return True
    elif df_five_levels(<const uint8_t *>sent, entry.per_tick, <double>entry.tick,
                        entry.ticks_max, f32_error(), prices, FEED_LEVELS):
        return True
    return _levels_slowly(job, sent, prices)


cdef void _rows(Job *job) noexcept nogil:
    # Both sides of a packet are one message: its last row carries LAST.
    cdef FeedState *state = job.state
    cdef WireOut *out = job.out
    cdef DepthRow stamp
    cdef DepthRow *rows = &out.rows[out.row_count]
    cdef bint raw = False
    cdef size_t written
    memset(&stamp, 0, sizeof(DepthRow))
    stamp.exch_ns, stamp.recv_ns = state.exch_ns, job.recv_ns
    stamp.instrument = job.entry.instrument
    stamp.side = Side.BUY
    written = side_take(&state.bid, &state.given[0], FEED_LEVELS, &stamp, rows, &raw)
    job.feed.counters.counts[<int>WireCount.RAW_SIDE] += raw
    stamp.side = Side.SELL
    written += side_take(&state.ask, &state.given[FEED_LEVELS], FEED_LEVELS, &stamp,
                         rows + written, &raw)
    job.feed.counters.counts[<int>WireCount.RAW_SIDE] += raw
    if written:
        rows[written - 1].flags |= DepthFlag.LAST
        out.row_count += written


# The first `count` levels of both sides, prices at even and odd places, as our own.
cdef inline void _give(Level *given, const DhanLevel *sent, const paise_t *prices,
                       int count) noexcept nogil:
    cdef Level *bids = given
    cdef Level *asks = given + FEED_LEVELS
    cdef int i
    for i in range(count):
        bids[i].price, asks[i].price = prices[2 * i], prices[2 * i + 1]
        bids[i].qty, asks[i].qty = sent[i].bid_qty, sent[i].ask_qty
        bids[i].orders, asks[i].orders = sent[i].bid_orders, sent[i].ask_orders


cdef inline void _book(Job *job, const DhanLevel *sent, const paise_t *prices,
                       bint whole) noexcept nogil:
    cdef FeedState *state = job.state
    if whole:
        _give(&state.given[0], sent, prices, FEED_LEVELS)
    else:
        _give(&state.given[0], sent, prices, 1)
    memcpy(&state.sent[0], sent, FEED_LEVELS * sizeof(DhanLevel))
    state.has_book, state.given_whole = 1, whole
    if job.out.row_max:
        _rows(job)


cdef inline void _bests(const FeedState *state, Tick *tick) noexcept nogil:
    _best(&state.given[0], &tick.bid, &tick.bid_qty)
    _best(&state.given[FEED_LEVELS], &tick.ask, &tick.ask_qty)


cdef inline bint _same_book(const FeedState *state, const DhanLevel *sent) noexcept nogil:
    return state.has_book and df_same_book(<const uint8_t *>sent, <const uint8_t *>&state.sent[0])


# What quote and full share: the last trade with its volume. True when the day's row has changed.
cdef inline bint _last(Job *job, Tick *tick, const DhanLast *last, paise_t price) noexcept nogil:
    cdef FeedState *state = job.state
    cdef StatsRow *row = &state.stats
    cdef uint64_t volume = last.volume
    cdef uint32_t average = _bits(last.atp)
    cdef bint rose = state.has_volume and volume > state.volume
    if state.has_volume:
        if volume < state.volume:
            job.feed.counters.counts[<int>WireCount.VOLUME_BACK] += 1
        elif volume - state.volume > 0xFFFF:
            job.feed.counters.counts[<int>WireCount.QTY_WRAP] += 1
            tick.flags |= TickFlag.QTY_WRAPPED
    state.volume = tick.volume = volume
    state.has_volume = 1
    _clock(job, tick, last.ltt)
    _trade(job, tick, price, _bits(last.ltp), last.ltt, last.ltq, rose)
    if (last.total_buy_qty == row.total_buy_qty and last.total_sell_qty == row.total_sell_qty
            and average == row.avg_price_bits):
        return False
    row.total_buy_qty, row.total_sell_qty = last.total_buy_qty, last.total_sell_qty
    row.avg_price_bits = average
    return True


cdef bint _take_quote(Job *job, const DhanQuote *packet) noexcept nogil:
    cdef FeedState *state = job.state
    cdef paise_t prices[4]
    cdef bint same_day = _same_day(state, &packet.day)
    cdef bint changed = not same_day
    cdef Tick spare
    cdef Tick *tick
    cdef paise_t price
    if _ltp(job, packet.last.ltp, &price) < 0 or not (
            same_day or _day(job, &packet.day, &prices[0])):
        return False
    if not same_day:
        _set_day(state, &packet.day, &prices[0])
    tick = _tick(job, &spare)
    changed |= _last(job, tick, &packet.last, price)
    if changed:
        _stats(job)
    return True


cdef bint _take_full(Job *job, const DhanFull *packet) noexcept nogil:
    cdef FeedState *state = job.state
    cdef StatsRow *row = &state.stats
    cdef paise_t book[10]
    cdef bint whole = True
    cdef paise_t prices[4]
    cdef bint same_day = _same_day(state, &packet.day)
    cdef bint same_book = _same_book(state, &packet.depth[0])
    cdef bint changed = not same_day
    cdef Tick spare
    cdef Tick *tick
    cdef paise_t price
    if _ltp(job, packet.last.ltp, &price) < 0 or not (
            same_day or _day(job, &packet.day, &prices[0])) or not (
            same_book or _levels(job, &packet.depth[0], &book[0], &whole)):
        return False
    if not same_day:
        _set_day(state, &packet.day, &prices[0])
    state.oi = packet.oi
    tick = _tick(job, &spare)
    changed |= _last(job, tick, &packet.last, price)
    if not same_book:
        _book(job, &packet.depth[0], &book[0], whole)
    _bests(state, tick)
    if packet.oi_day_high != row.oi_high or packet.oi_day_low != row.oi_low:
        row.oi_high, row.oi_low = packet.oi_day_high, packet.oi_day_low
        changed = True
    if changed:
        _stats(job)
    return True


cdef bint _take_legacy(Job *job, const DhanLegacyDepth *packet) noexcept nogil:
    cdef FeedState *state = job.state
    cdef paise_t book[10]
    cdef bint whole = True
    cdef bint same_book = _same_book(state, &packet.depth[0])
    cdef Tick spare
    cdef Tick *tick
    cdef paise_t price
    if _ltp(job, packet.ltp, &price) < 0 or not (
            same_book or _levels(job, &packet.depth[0], &book[0], &whole)):
        return False
    tick = _tick(job, &spare)
    if not same_book:
        _book(job, &packet.depth[0], &book[0], whole)
    _bests(state, tick)
    # It has no time: the last one stands, and a price that moved is a trade of an unknown second.
    _trade(job, tick, price, _bits(packet.ltp), state.ltt if state.ltt else 1, 0, False)
    return True


cdef void _notice(DhanFeed *feed, const DhanHead *head, uint32_t reason, ns_t recv_ns,
                  WireOut *out) noexcept nogil:
    cdef Notice *notice
    if out.notice_max == 0:
        return
    notice = &out.notices[out.notice_count]
    notice.recv_ns = recv_ns
    notice.code, notice.segment, notice.security_id = head.code, head.segment, head.security_id
    notice.reason = reason
    out.notice_count += 1


cdef void _packet(DhanFeed *feed, const uint8_t *at, ns_t recv_ns, WireOut *out) noexcept nogil:
    # A whole packet of a known code lies at `at`.
    cdef const DhanHead *head = <const DhanHead *>at
    cdef Job job
    cdef uint32_t slot
    cdef uint8_t code = head.code
    cdef bint good = True
    feed.counters.counts[<int>WireCount.PACKETS] += 1
    if code == DhanCode.MARKET_STATUS or code == DhanCode.DISCONNECT:
        _notice(feed, head, (<const DhanDisconnect *>at).reason
                if code == DhanCode.DISCONNECT else 0, recv_ns, out)
        return
    slot = table_find(feed.table, head.segment, head.security_id)
    if slot == SLOT_NONE:
        feed.counters.counts[<int>WireCount.UNKNOWN_INSTRUMENT] += 1
        feed.counters.counts[<int>WireCount.UNKNOWN_SEGMENT] += (
            head.segment > 8 or head.segment == 6)
        return
    job.feed, job.out, job.recv_ns, job.segment = feed, out, recv_ns, head.segment
    job.entry, job.state = &feed.table.entries[slot], &feed.states[slot]
    if code == DhanCode.FULL:
        good = _take_full(&job, <const DhanFull *>at)
    elif code == DhanCode.QUOTE:
        good = _take_quote(&job, <const DhanQuote *>at)
    elif code == DhanCode.TICKER:
        good = _take_ticker(&job, <const DhanTicker *>at)
    elif code == DhanCode.OI:
        good = _take_oi(&job, <const DhanOi *>at)
    elif code == DhanCode.PREV_CLOSE:
        good = _take_prev_close(&job, <const DhanPrevClose *>at)
    else:
        good = _take_legacy(&job, <const DhanLegacyDepth *>at)
    feed.counters.counts[<int>WireCount.BAD_PRICE] += not good


cdef inline bint _room(const WireOut *out) noexcept nogil:
    return ((out.tick_max == 0 or out.tick_count < out.tick_max)
            and (out.row_max == 0 or out.row_count + FEED_ROWS_MAX <= out.row_max)
            and (out.stat_max == 0 or out.stat_count < out.stat_max)
            and (out.notice_max == 0 or out.notice_count < out.notice_max))


cdef size_t dhan_decode(DhanFeed *feed, const uint8_t *frame, size_t size, ns_t recv_ns,
                        WireOut *out) noexcept nogil:
    cdef WireCounters *counters = &feed.counters
    cdef WireStep found
    cdef size_t at = 0
    while at < size:
        if not _room(out):
            break
        found = dhan_step(frame + at, size - at)
        if found.verdict == WireVerdict.GOOD:
            counters.codes[frame[at]] += 1
            counters.counts[<int>WireCount.LENGTH_FIELD] += found.mismatch
            _packet(feed, frame + at, recv_ns, out)
        else:
            wire_count(counters, &found, frame[at])
        at += found.step
    counters.counts[<int>WireCount.MESSAGES] += at == size
    counters.counts[<int>WireCount.BYTES] += at
    return at


cdef int32_t dhan_side(const DhanFeed *feed, uint32_t instrument, Side side,
                       Level levels[5]) noexcept nogil:
    cdef uint32_t slot = table_slot(feed.table, instrument)
    cdef const FeedState *state
    cdef const WireEntry *entry
    cdef Level given[10]
    cdef paise_t prices[10]
    cdef size_t first = 0 if side == Side.BUY else FEED_LEVELS
    if slot == SLOT_NONE:
        return 0
    state = &feed.states[slot]
    if not state.has_book or state.given_whole:
        return side_kept(&state.given[first], FEED_LEVELS if state.has_book else 0, side,
                         &levels[0])
    # Every price was found good when the book came, so they are again.
    entry = &feed.table.entries[slot]
    df_five_levels(<const uint8_t *>&state.sent[0], entry.per_tick, <double>entry.tick,
                   entry.ticks_max, f32_error(), &prices[0], FEED_LEVELS)
    _give(&given[0], &state.sent[0], &prices[0], FEED_LEVELS)
    return side_kept(&given[first], FEED_LEVELS, side, &levels[0])


cdef void dhan_forget(DhanFeed *feed, uint32_t slot) noexcept nogil:
    cdef FeedState *state = &feed.states[slot]
    state.seen = state.has_book = 0
    state.bid.known = state.ask.known = SideKnown.SIDE_UNKNOWN
    state.bid.count = state.ask.count = 0


@cython.final
cdef class DhanDecoder:
    """Dhan's live market feed to records: ticks, changes of the book, day fields, notices.

    It remembers each instrument's last packet, so messages must come in the order they arrived,
    those of one connection or of several. Native code calls `dhan_decode`; this door is for tests,
    tools and recorded frames.

    Args:
        instruments: a `WireTable`, or what it is made of.
        depth: make rows of the book's changes; `levels` works without.
        stats: make rows of the day fields.
    Raises:
        BadData: the table is refused; see `WireTable`.
        MemoryError: no room for the states.
    """

    def __cinit__(self, instruments, *, bint depth=True, bint stats=True):
        cdef size_t i
        cdef FeedState *state
        table = instruments if isinstance(instruments, WireTable) else WireTable(instruments)
        self.table = table
        self.feed.table = &self.table.state
        self.feed.states = <FeedState *>calloc(self.table.state.count + 1, sizeof(FeedState))
        if self.feed.states == NULL:
            raise MemoryError(f"decoder of {self.table.state.count} instruments")
        for i in range(self.table.state.count):
            state = &self.feed.states[i]
            state.bid.levels = &state.levels[0]
            state.ask.levels = &state.levels[FEED_LEVELS]
            state.stats.instrument = self.table.state.entries[i].instrument
        self._sink = WireSink(256)
        if not depth:
            self._sink.out.row_max = 0
        if not stats:
            self._sink.out.stat_max = 0

    def __dealloc__(self):
        free(self.feed.states)

    def decode(self, frame, ns_t recv_ns):
        """Decode one message; return its rows as `Decoded`.

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
                at += dhan_decode(&self.feed, &view[0] + at, size - at, recv_ns, &sink.out)
            if at == size:
                return sink.take()
            sink.flush()

    def levels(self, uint32_t instrument, Side side):
        """A side of an instrument's five levels, best first; empty when not known or not valid.

        Shape:
            array of book.LEVEL_DTYPE, a copy.
        """
        found = np.empty(FEED_LEVELS, LEVEL_DTYPE)
        cdef unsigned char[::1] raw = found.view(np.uint8)
        cdef int32_t count = dhan_side(&self.feed, instrument, side, <Level *>&raw[0])
        return found[:max(0, count)]

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
