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
from dhanfast._core.wire.sides cimport SideKnown, side_take
from dhanfast._core.wire.table cimport (
    SLOT_NONE,
    WireEntry,
    f32_error,
    price_parts,
    table_find,
    table_slot,
)

import numpy as np

from dhanfast._core.book import LEVEL_DTYPE
from dhanfast._core.wire.records import count_names
from dhanfast.errors import BadData

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


cdef inline void _stats(Job *job, const StatsRow *fresh) noexcept nogil:
    # Everything behind the two times decides whether the row says something new.
    cdef FeedState *state = job.state
    if memcmp(&fresh.open, &state.stats.open, sizeof(StatsRow) - 16) == 0:
        return
    state.stats = fresh[0]
    if job.out.stat_max:
        job.out.stats[job.out.stat_count] = fresh[0]
        job.out.stat_count += 1


cdef bint _take_prev_close(Job *job, const DhanPrevClose *packet) noexcept nogil:
    cdef StatsRow fresh = job.state.stats
    if _price(job, packet.prev_close, &fresh.prev_close) < 0:
        return False
    fresh.prev_oi = packet.prev_oi
    fresh.exch_ns, fresh.recv_ns = job.state.exch_ns, job.recv_ns
    _stats(job, &fresh)
    return True


# The day's prices into `fresh`; the same bytes as before give what is there already.
cdef inline bint _day(Job *job, const DhanDay *day, StatsRow *fresh) noexcept nogil:
    cdef FeedState *state = job.state
    if state.has_day and memcmp(day, &state.day, sizeof(DhanDay)) == 0:
        return True
    return (_price(job, day.open, &fresh.open) >= 0 and _price(job, day.high, &fresh.high) >= 0
            and _price(job, day.low, &fresh.low) >= 0
            and _price(job, day.close, &fresh.close) >= 0)


# Five levels as sent into ten prices; False when one with a quantity cannot be a price.
cdef bint _levels(Job *job, const DhanLevel *sent, Level *bids, Level *asks) noexcept nogil:
    cdef bint good = True
    cdef int i
    for i in range(FEED_LEVELS):
        bids[i].qty, bids[i].orders = sent[i].bid_qty, sent[i].bid_orders
        asks[i].qty, asks[i].orders = sent[i].ask_qty, sent[i].ask_orders
        bids[i].price = asks[i].price = 0
        good &= _price(job, sent[i].bid_price, &bids[i].price) >= 0 or sent[i].bid_qty == 0
        good &= _price(job, sent[i].ask_price, &asks[i].price) >= 0 or sent[i].ask_qty == 0
    return good


cdef void _book(Job *job, const DhanLevel *sent, const Level *bids,
                const Level *asks) noexcept nogil:
    # Both sides of a packet are one message: its last row carries LAST.
    cdef FeedState *state = job.state
    cdef WireOut *out = job.out
    cdef DepthRow stamp
    cdef DepthRow *rows = NULL
    cdef bint raw = False
    cdef size_t written = 0
    memset(&stamp, 0, sizeof(DepthRow))
    stamp.exch_ns, stamp.recv_ns = state.exch_ns, job.recv_ns
    stamp.instrument = job.entry.instrument
    if out.row_max:
        rows = &out.rows[out.row_count]
    stamp.side = Side.BUY
    written = side_take(&state.bid, bids, FEED_LEVELS, &stamp, rows, &raw)
    job.feed.counters.counts[<int>WireCount.RAW_SIDE] += raw
    stamp.side = Side.SELL
    written += side_take(&state.ask, asks, FEED_LEVELS, &stamp,
                         rows + written if rows != NULL else NULL, &raw)
    job.feed.counters.counts[<int>WireCount.RAW_SIDE] += raw
    if written:
        rows[written - 1].flags |= DepthFlag.LAST
        out.row_count += written
    memcpy(&state.sent[0], sent, FEED_LEVELS * sizeof(DhanLevel))
    state.best[0], state.best[1] = bids[0], asks[0]
    state.has_book = 1


cdef inline bint _same_book(const FeedState *state, const DhanLevel *sent) noexcept nogil:
    return state.has_book and memcmp(sent, &state.sent[0], FEED_LEVELS * sizeof(DhanLevel)) == 0


# What quote and full share: the last trade with its volume. The caller has filled `fresh` but for it.
cdef inline void _last(Job *job, Tick *tick, const DhanLast *last, paise_t price,
                       StatsRow *fresh) noexcept nogil:
    cdef FeedState *state = job.state
    cdef uint64_t volume = last.volume
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
    fresh.exch_ns, fresh.recv_ns = tick.exch_ns, job.recv_ns
    fresh.total_buy_qty, fresh.total_sell_qty = last.total_buy_qty, last.total_sell_qty
    fresh.avg_price_bits = _bits(last.atp)


cdef bint _take_quote(Job *job, const DhanQuote *packet) noexcept nogil:
    cdef StatsRow fresh = job.state.stats
    cdef Tick spare
    cdef Tick *tick
    cdef paise_t price
    if _ltp(job, packet.last.ltp, &price) < 0 or not _day(job, &packet.day, &fresh):
        return False
    job.state.day = packet.day
    job.state.has_day = 1
    tick = _tick(job, &spare)
    _last(job, tick, &packet.last, price, &fresh)
    _stats(job, &fresh)
    return True


cdef bint _take_full(Job *job, const DhanFull *packet) noexcept nogil:
    cdef FeedState *state = job.state
    cdef StatsRow fresh = state.stats
    cdef Level bids[FEED_LEVELS]
    cdef Level asks[FEED_LEVELS]
    cdef bint same = _same_book(state, &packet.depth[0])
    cdef Tick spare
    cdef Tick *tick
    cdef paise_t price
    if _ltp(job, packet.last.ltp, &price) < 0 or not _day(job, &packet.day, &fresh) or not (
            same or _levels(job, &packet.depth[0], &bids[0], &asks[0])):
        return False
    state.day = packet.day
    state.has_day = 1
    state.oi = packet.oi
    tick = _tick(job, &spare)
    _last(job, tick, &packet.last, price, &fresh)
    if not same:
        _book(job, &packet.depth[0], &bids[0], &asks[0])
    _best(&state.best[0], &tick.bid, &tick.bid_qty)
    _best(&state.best[1], &tick.ask, &tick.ask_qty)
    fresh.oi_high, fresh.oi_low = packet.oi_day_high, packet.oi_day_low
    _stats(job, &fresh)
    return True


cdef bint _take_legacy(Job *job, const DhanLegacyDepth *packet) noexcept nogil:
    cdef FeedState *state = job.state
    cdef Level bids[FEED_LEVELS]
    cdef Level asks[FEED_LEVELS]
    cdef bint same = _same_book(state, &packet.depth[0])
    cdef Tick spare
    cdef Tick *tick
    cdef paise_t price
    if _ltp(job, packet.ltp, &price) < 0 or not (
            same or _levels(job, &packet.depth[0], &bids[0], &asks[0])):
        return False
    tick = _tick(job, &spare)
    if not same:
        _book(job, &packet.depth[0], &bids[0], &asks[0])
    _best(&state.best[0], &tick.bid, &tick.bid_qty)
    _best(&state.best[1], &tick.ask, &tick.ask_qty)
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
        feed.counters.counts[<int>WireCount.UNKNOWN_SEGMENT] += head.segment > 8 or head.segment == 6
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


cdef const Level *dhan_side(const DhanFeed *feed, uint32_t instrument, Side side,
                            size_t *count) noexcept nogil:
    cdef uint32_t slot = table_slot(feed.table, instrument)
    cdef const SideState *found
    count[0] = 0
    if slot == SLOT_NONE:
        return NULL
    found = &feed.states[slot].bid if side == Side.BUY else &feed.states[slot].ask
    if found.known != SideKnown.SIDE_VALID:
        return NULL
    count[0] = <size_t>found.count
    return found.levels


@cython.final
cdef class DhanDecoder:
    """Dhan's live market feed to records: ticks, changes of the book, day fields, notices.

    It remembers each instrument's last packet, so messages must come in the order they arrived, those
    of one connection or of several. Native code calls `dhan_decode`; this door is for tests, tools
    and recorded frames.

    Args:
        instruments: a `WireTable`, or what it is made of.
    Raises:
        BadData: the table is refused; see `WireTable`.
        MemoryError: no room for the states.
    """

    def __cinit__(self, instruments):
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

    def decode_many(self, frames, size_t frame_size, ns_t recv_ns):
        """Decode messages of one size that lie one after another; return the packets decoded.

        The records are dropped: this is the hot path without its caller, to be timed.

        Args:
            frames: the bytes.
            frame_size: bytes of a message, a divisor of their number.
            recv_ns: of all of them, UTC ns.

        Raises:
            BadData: frame_size does not divide the bytes.
        """
        cdef const uint8_t[::1] view = frames
        cdef size_t size = len(frames)
        cdef size_t at = 0
        cdef size_t done
        cdef WireSink sink = self._sink
        cdef WireOut *out = &sink.out
        before = self.feed.counters.counts[<int>WireCount.PACKETS]
        if frame_size == 0 or size % frame_size:
            raise BadData(f"frame_size {frame_size} does not divide {size} bytes")
        with nogil:
            while at < size:
                done = 0
                while done < frame_size:
                    done += dhan_decode(&self.feed, &view[0] + at + done, frame_size - done,
                                        recv_ns, out)
                    if done < frame_size or out.tick_count > 128:
                        out.tick_count = out.row_count = out.stat_count = out.notice_count = 0
                at += frame_size
        out.tick_count = out.row_count = out.stat_count = out.notice_count = 0
        return self.feed.counters.counts[<int>WireCount.PACKETS] - before

    def levels(self, uint32_t instrument, Side side):
        """A side of an instrument's five levels, best first; empty when not known or not valid.

        Shape:
            array of book.LEVEL_DTYPE, a copy.
        """
        cdef size_t count = 0
        cdef const Level *levels = dhan_side(&self.feed, instrument, side, &count)
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
