"""A generated book behind a generated quote. See ladder.pxd for what is promised."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from dhanfast._core.draws cimport draw_word
from dhanfast._core.types cimport DepthFlag, DepthOp, DepthRow, Side


cdef inline Rung *_at(Ladder *ladder, int side, uint32_t depth) noexcept nogil:
    return &ladder.rungs[side][(ladder.head[side] + depth) & (LADDER_SLOTS - 1)]


cdef inline void _write(Scribe *scribe, int side, int64_t price, uint32_t lots, uint32_t orders,
                        DepthOp op) noexcept nogil:
    cdef DepthRow *row = &scribe.rows[scribe.used]
    row[0] = scribe.stamp
    row.price = price * scribe.tick
    row.qty = <uint32_t>(<int64_t>lots * scribe.lot)
    row.orders = orders
    row.side = Side.SELL if side else Side.BUY
    row.op = <uint8_t>op
    scribe.used += 1


# Quantity of a deeper level: one to three times the scale, one level in sixteen four times that.
cdef inline uint32_t _lots(Scribe *scribe, uint64_t word) noexcept nogil:
    cdef uint32_t lots = ((16 + <uint32_t>(word & 31)) * scribe.lots_scale) >> 8
    if not (word >> 5) & 15:
        lots *= 4
    return lots if lots else 1


cdef inline uint32_t _orders(uint32_t lots, uint64_t word) noexcept nogil:
    return 1 + <uint32_t>((<uint64_t>(lots - 1) * ((word >> 40) & 15)) >> 4)


# Ticks between two levels: half the time the next tick, now and then a hole.
cdef inline int64_t _gap(Scribe *scribe, uint64_t word) noexcept nogil:
    cdef uint32_t gap = 1
    if word & 0x10000:
        gap = 2
        if not word & 0x60000:
            gap += <uint32_t>((word >> 19) & 7)
    gap = (gap * scribe.gap_scale) >> 4
    return gap if gap else 1


cdef void _remove(Ladder *ladder, Scribe *scribe, int side, int64_t best) noexcept nogil:
    cdef Rung *rung
    while ladder.size[side]:
        rung = _at(ladder, side, 0)
        if (rung.price >= best) if side else (rung.price <= best):
            return
        _write(scribe, side, rung.price, 0, 0, DepthOp.SET)
        ladder.head[side] = (ladder.head[side] + 1) & (LADDER_SLOTS - 1)
        ladder.size[side] -= 1


cdef void _place(Ladder *ladder, Scribe *scribe, uint64_t *state, int side, int64_t best,
                 uint32_t lots) noexcept nogil:
    cdef Rung *rung = _at(ladder, side, 0)
    cdef int64_t price
    cdef uint64_t word
    if ladder.size[side] == 0 or rung.price != best:
        if ladder.size[side] == scribe.levels:
            rung = _at(ladder, side, scribe.levels - 1)
            _write(scribe, side, rung.price, 0, 0, DepthOp.SET)
            ladder.size[side] -= 1
        ladder.head[side] = (ladder.head[side] - 1) & (LADDER_SLOTS - 1)
        ladder.size[side] += 1
        rung = _at(ladder, side, 0)
        rung.price = best
        rung.lots = 0                              # so that it is written below
    if rung.lots != lots:
        rung.lots = lots
        rung.orders = _orders(lots, draw_word(state))
        _write(scribe, side, best, lots, rung.orders, DepthOp.SET)
    while ladder.size[side] < scribe.levels:
        word = draw_word(state)
        price = _at(ladder, side, ladder.size[side] - 1).price
        price = price + _gap(scribe, word) if side else price - _gap(scribe, word)
        if price < 1:
            return                                 # no bid below one tick
        rung = _at(ladder, side, ladder.size[side])
        rung.price = price
        rung.lots = _lots(scribe, word)
        rung.orders = _orders(rung.lots, word)
        ladder.size[side] += 1
        _write(scribe, side, price, rung.lots, rung.orders, DepthOp.SET)


# One deeper level, nearer ones more often, takes another quantity.
cdef void _stir(Ladder *ladder, Scribe *scribe, uint64_t word) noexcept nogil:
    cdef int side = <int>(word & 1)
    cdef uint32_t deeper = ladder.size[side] - 1
    cdef uint64_t place = (word >> 1) & 0xFFF
    cdef uint32_t lots
    cdef Rung *rung
    if deeper == 0:
        return
    rung = _at(ladder, side, 1 + <uint32_t>((place * place * deeper) >> 24))
    lots = _lots(scribe, word >> 13)
    if lots != rung.lots:
        rung.lots = lots
        rung.orders = _orders(lots, word)
        _write(scribe, side, rung.price, lots, rung.orders, DepthOp.SET)


cdef size_t ladder_quote(Ladder *ladder, Scribe *scribe, uint64_t *state, int64_t bid,
                         uint32_t bid_lots, int64_t ask, uint32_t ask_lots) noexcept nogil:
    cdef size_t first = scribe.used
    cdef uint64_t word
    scribe.stamp.flags = 0
    if ladder.size[0] == 0:
        scribe.stamp.flags = <uint16_t>DepthFlag.SNAPSHOT
        _write(scribe, 0, 0, 0, 0, DepthOp.CLEAR)
        _write(scribe, 1, 0, 0, 0, DepthOp.CLEAR)
    _remove(ladder, scribe, 0, bid)
    _remove(ladder, scribe, 1, ask)
    _place(ladder, scribe, state, 0, bid, bid_lots)
    _place(ladder, scribe, state, 1, ask, ask_lots)
    if scribe.stamp.flags == 0:
        word = draw_word(state)
        if word >> 62:                             # three messages of four
            _stir(ladder, scribe, word)
    if scribe.used > first:
        scribe.rows[scribe.used - 1].flags |= <uint16_t>DepthFlag.LAST
    return scribe.used - first
