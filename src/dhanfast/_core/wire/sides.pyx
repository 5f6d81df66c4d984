"""Sides of a book as rows of changes: see sides.pxd."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from dhanfast._core.types cimport DepthFlag, DepthOp, Side, paise_t


# The same prices at the same places: only what is left of each level may differ.
cdef inline size_t _same_price_rows(const Level *old, const Level *new, int32_t count,
                                    const DepthRow *stamp, DepthRow *out) noexcept nogil:
    cdef size_t written = 0
    cdef int32_t i
    for i in range(count):
        if not _same(&old[i], &new[i]):
            _write(&out[written], stamp, &new[i], new[i].qty, new[i].orders, DepthOp.SET, 0)
            written += 1
    return written


cdef inline bint _same_prices(const Level *one, const Level *other, int32_t count) noexcept nogil:
    cdef int64_t differ = 0
    cdef int32_t i
    for i in range(count):
        differ |= one[i].price ^ other[i].price
    return differ == 0


cdef inline void _write(DepthRow *row, const DepthRow *stamp, const Level *level, uint32_t qty,
                        uint32_t orders, int op, int flags) noexcept nogil:
    row[0] = stamp[0]
    row.price = level.price
    row.qty = qty
    row.orders = orders
    row.op = op
    row.flags = flags


cdef inline bint _same(const Level *one, const Level *other) noexcept nogil:
    return one.price == other.price and one.qty == other.qty and one.orders == other.orders


cdef int32_t side_kept(const Level *sent, int32_t count, int sign, Level *kept) noexcept nogil:
    cdef int32_t i, used = 0
    cdef bint bad = False
    cdef paise_t last = 0
    for i in range(count):
        if sent[i].qty == 0:
            continue
        kept[used] = sent[i]
        bad |= sent[i].price <= 0 or (used > 0 and sign * sent[i].price >= sign * last)
        last = sent[i].price
        used += 1
    return -1 if bad else used


cdef size_t _raw_rows(const Level *sent, int32_t count, const DepthRow *stamp,
                      DepthRow *out) noexcept nogil:
    cdef size_t written = 0
    cdef int32_t i
    for i in range(count):
        if sent[i].price or sent[i].qty or sent[i].orders:
            _write(&out[written], stamp, &sent[i], sent[i].qty, sent[i].orders, DepthOp.RAW,
                   DepthFlag.SNAPSHOT | i << 2)
            written += 1
    return written


cdef size_t _snapshot_rows(const Level *kept, int32_t count, const DepthRow *stamp,
                           DepthRow *out) noexcept nogil:
    cdef Level none
    cdef int32_t i
    none.price, none.qty, none.orders = 0, 0, 0
    _write(&out[0], stamp, &none, 0, 0, DepthOp.CLEAR, DepthFlag.SNAPSHOT)
    for i in range(count):
        _write(&out[i + 1], stamp, &kept[i], kept[i].qty, kept[i].orders, DepthOp.SET,
               DepthFlag.SNAPSHOT)
    return <size_t>count + 1


# Deletions first, then what is new or changed, both best first: the side never holds more than its
# levels on the way.
cdef size_t _change_rows(const Level *old, int32_t olds, const Level *new, int32_t news, int sign,
                         const DepthRow *stamp, DepthRow *out) noexcept nogil:
    cdef size_t written = 0
    cdef int32_t start = 0
    cdef int32_t i, j
    if olds == news and _same_prices(old, new, news):
        return _same_price_rows(old, new, news, stamp, out)
    while start < olds and start < news and _same(&old[start], &new[start]):
        start += 1
    if news == 0:
        if olds:
            written = _snapshot_rows(new, 0, stamp, out)
            out[0].flags = 0
        return written
    j = start
    for i in range(start, olds):
        while j < news and sign * new[j].price > sign * old[i].price:
            j += 1
        if j == news or new[j].price != old[i].price:
            _write(&out[written], stamp, &old[i], 0, 0, DepthOp.SET, 0)
            written += 1
    j = start
    for i in range(start, news):
        while j < olds and sign * old[j].price > sign * new[i].price:
            j += 1
        if j == olds or not _same(&old[j], &new[i]):
            _write(&out[written], stamp, &new[i], new[i].qty, new[i].orders, DepthOp.SET, 0)
            written += 1
    return written


cdef size_t side_take(SideState *side, const Level *sent, int32_t count, const DepthRow *stamp,
                      DepthRow *out, bint *raw) noexcept nogil:
    cdef Level kept[SIDE_LEVELS_MAX]
    cdef int sign = 1 if stamp.side == Side.BUY else -1
    cdef int32_t used = side_kept(sent, count, sign, &kept[0])
    cdef size_t written = 0
    raw[0] = used < 0
    if used < 0:
        side.known, side.count = SideKnown.SIDE_RAW, 0
        return _raw_rows(sent, count, stamp, out) if out != NULL else 0
    if out != NULL:
        if side.known == SideKnown.SIDE_VALID:
            written = _change_rows(side.levels, side.count, &kept[0], used, sign, stamp, out)
        else:
            written = _snapshot_rows(&kept[0], used, stamp, out)
    memcpy(side.levels, &kept[0], <size_t>used * sizeof(Level))
    side.known, side.count = SideKnown.SIDE_VALID, used
    return written
