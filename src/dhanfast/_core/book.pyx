"""Order book: see book.pxd for the layout and the contract, here is the how."""

cimport cython
from libc.math cimport NAN
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove

from dhanfast._core.status cimport check

import numpy as np

from dhanfast.errors import BadData, UsageError


cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)

LEVEL_DTYPE = np.dtype([("price", "<i8"), ("qty", "<u4"), ("orders", "<u4")])
DELTA_DTYPE = np.dtype([
    ("price", "<i8"), ("qty", "<u4"), ("orders", "<u4"), ("side", "<i4"), ("spare", "<i4"),
])

for _name, _dtype, _size in (("Level", LEVEL_DTYPE, sizeof(Level)),
                             ("Delta", DELTA_DTYPE, sizeof(Delta))):
    if _dtype.itemsize != _size:
        raise ImportError(f"{_name}: the C struct has {_size} bytes, the dtype {_dtype.itemsize}")


cdef inline int32_t _find(const BookSide *side, paise_t price, int sign) noexcept nogil:
    # Index of the first level that is as good as `price` or better; `hi` when none is. `sign` is
    # the side's: with it, better is always greater. First beside the change before (feeds send the
    # levels of a message in order of price), then by halves without a branch.
    cdef const Level *base = &side.levels[side.lo]
    cdef int32_t count = side.hi - side.lo
    cdef int32_t half, at, _step
    cdef paise_t key = sign * price
    if count == 0:
        return side.lo
    at = side.hint if side.lo <= side.hint < side.hi else side.hi - 1
    if sign * side.levels[at].price < key:
        for _step in range(3):
            at += 1
            if at == side.hi or sign * side.levels[at].price >= key:
                return at
    else:
        for _step in range(3):
            if at == side.lo or sign * side.levels[at - 1].price < key:
                return at
            at -= 1
    while count > 1:
        half = count >> 1
        base += half & -<int32_t>(sign * base[half - 1].price < key)
        count -= half
    base += sign * base.price < key
    return <int32_t>(base - side.levels)


cdef inline void _remove(BookSide *side, int32_t at) noexcept nogil:
    # Close the hole from the shorter part.
    if side.hi - 1 - at <= at - side.lo:
        memmove(&side.levels[at], &side.levels[at + 1], <size_t>(side.hi - 1 - at) * sizeof(Level))
        side.hi -= 1
    else:
        memmove(&side.levels[side.lo + 1], &side.levels[side.lo],
                <size_t>(at - side.lo) * sizeof(Level))
        side.lo += 1


cdef void _recentre(BookSide *side, int32_t size) noexcept nogil:
    # At most once in levels_max changes: the buffer has that much room on both sides.
    cdef int32_t count = side.hi - side.lo
    cdef int32_t lo = (size - count) // 2
    memmove(&side.levels[lo], &side.levels[side.lo], <size_t>count * sizeof(Level))
    side.lo = lo
    side.hi = lo + count


cdef inline void _insert(BookSide *side, int32_t at, const Level *level, int32_t levels_max,
                         int32_t size) noexcept nogil:
    if side.hi - side.lo == levels_max:
        side.truncated = 1
        if at == side.lo:
            return                        # worse than the worst one kept
        side.lo += 1
    if side.hi == size or side.lo == 0:
        at -= side.lo
        _recentre(side, size)
        at += side.lo
    # Open a hole before `at` from the shorter part.
    if side.hi - at <= at - side.lo:
        memmove(&side.levels[at + 1], &side.levels[at], <size_t>(side.hi - at) * sizeof(Level))
        side.hi += 1
    else:
        memmove(&side.levels[side.lo - 1], &side.levels[side.lo],
                <size_t>(at - side.lo) * sizeof(Level))
        side.lo -= 1
        at -= 1
    side.levels[at] = level[0]


cdef inline void _apply(BookSide *side, const Level *level, int sign, int32_t levels_max,
                        int32_t size) noexcept nogil:
    cdef int32_t at = _find(side, level.price, sign)
    cdef bint known = at < side.hi and side.levels[at].price == level.price
    side.hint = at
    if level.qty == 0:
        if known:
            _remove(side, at)
    elif known:
        side.levels[at] = level[0]
    else:
        _insert(side, at, level, levels_max, size)
    DF_ASSERT(0 <= side.lo <= side.hi <= size and side.hi - side.lo <= levels_max)


cdef Status book_delta(BookState *book, Side side, const Level *level) noexcept nogil:
    if level.price <= 0 or level.price > PRICE_MAX:
        return Status.BAD_PRICE
    if side == Side.BUY:
        _apply(&book.bid, level, 1, book.levels_max, book.size)
    else:
        _apply(&book.ask, level, -1, book.levels_max, book.size)
    return Status.OK


cdef inline int32_t _usable(const Level *levels, size_t count, int sign) noexcept nogil:
    # How many leading entries are levels; -1 when they are out of order or out of range.
    cdef int32_t i = 0
    cdef paise_t last = PRICE_MAX + 1 if sign > 0 else 0
    while <size_t>i < count and levels[i].price != 0 and levels[i].qty != 0:
        if sign * levels[i].price >= sign * last:
            return -1
        last = levels[i].price
        i += 1
    # The bids fall, the asks rise: the last one is the extreme of each.
    if i and (last <= 0 or last > PRICE_MAX):
        return -1
    return i


cdef inline void _load(BookSide *side, const Level *levels, int32_t count, int32_t levels_max,
                       int32_t size) noexcept nogil:
    cdef int32_t i
    cdef int32_t keep = count if count < levels_max else levels_max
    cdef Level *best
    side.lo = (size - keep) // 2
    side.hi = side.lo + keep
    side.truncated = count > keep
    best = &side.levels[side.hi - 1]
    for i in range(keep):
        (best - i)[0] = levels[i]


cdef Status book_snapshot(BookState *book, const Level *bids, size_t bid_count, const Level *asks,
                          size_t ask_count, uint64_t seq) noexcept nogil:
    cdef int32_t bid_levels = _usable(bids, bid_count, 1)
    cdef int32_t ask_levels = _usable(asks, ask_count, -1)
    if bid_levels < 0 or ask_levels < 0:
        return Status.BAD_PRICE
    _load(&book.bid, bids, bid_levels, book.levels_max, book.size)
    _load(&book.ask, asks, ask_levels, book.levels_max, book.size)
    book.seq = seq
    book.gap = 0
    return Status.OK


cdef Status book_message(BookState *book, uint64_t previous_seq, uint64_t seq) noexcept nogil:
    if seq <= book.seq:
        return Status.OUT_OF_ORDER
    if book.seq and previous_seq != book.seq:
        # A message that starts at or before ours and ends after it overlaps: nothing is missing.
        if previous_seq > book.seq:
            book.gap = 1
            book.gaps += 1
    book.seq = seq
    return Status.OK


cdef void book_clear(BookState *book) noexcept nogil:
    book.bid.lo = book.bid.hi = book.ask.lo = book.ask.hi = book.size // 2
    book.bid.truncated = book.ask.truncated = 0
    book.seq = 0
    book.gap = 0


cdef TakeCost book_take(const BookState *book, Side side, int64_t units) noexcept nogil:
    cdef const BookSide *against = &book.ask if side == Side.BUY else &book.bid
    cdef TakeCost cost
    cdef int32_t i = against.hi
    cdef int64_t part
    cost.filled = cost.cost = cost.worst = 0
    while cost.filled < units and i > against.lo:
        i -= 1
        part = units - cost.filled
        if part > against.levels[i].qty:
            part = against.levels[i].qty
        cost.filled += part
        cost.cost += part * against.levels[i].price
        cost.worst = against.levels[i].price
    return cost


cdef double book_imbalance(const BookState *book, int32_t levels) noexcept nogil:
    cdef int64_t bids = 0, asks = 0
    cdef int32_t i
    for i in range(min(levels, book.bid.hi - book.bid.lo)):
        bids += book.bid.levels[book.bid.hi - 1 - i].qty
    for i in range(min(levels, book.ask.hi - book.ask.lo)):
        asks += book.ask.levels[book.ask.hi - 1 - i].qty
    if bids + asks == 0:
        return NAN
    return <double>(bids - asks) / <double>(bids + asks)


cdef const unsigned char[::1] _raw(object records, object dtype, str name):
    given = np.asarray(records)
    if given.dtype != dtype or given.ndim != 1:
        raise UsageError(f"{name} must be a one-dimensional array of {dtype.names}, had dtype "
                         f"{given.dtype} and shape {given.shape}")
    if len(given) == 0:
        return None
    return np.ascontiguousarray(given).view(np.uint8)


cdef Side _side_of(object side) except? Side.SELL:
    if side not in (1, -1):
        raise UsageError(f"side must be Side.BUY (1) or Side.SELL (-1), was {side!r}")
    return Side.BUY if side == 1 else Side.SELL


@cython.final
cdef class Book:
    """Price levels of one instrument: replaced by snapshots, changed by deltas.

    Args:
        levels: kept a side, 1..1024; 5, 20 and 200 are what the feeds send.
    Units:
        prices paise, 1..10**10; quantities units; mid and microprice paise as float.
    Shape:
        one owner thread; no allocation after construction but for what the doors return.
    Raises:
        UsageError: levels out of range.
        BadData: a price out of range, or a snapshot whose prices do not get strictly worse.
    """

    def __cinit__(self, int levels):
        if levels < 1 or levels > LEVELS_MAX:
            raise UsageError(f"levels must be in 1..{<int>LEVELS_MAX}, was {levels}")
        self.state.levels_max = levels
        self.state.size = 3 * levels + 2
        self.state.bid.levels = <Level *>calloc(2 * <size_t>self.state.size, sizeof(Level))
        if self.state.bid.levels == NULL:
            raise MemoryError(f"book of {levels} levels")
        self.state.ask.levels = self.state.bid.levels + self.state.size
        book_clear(&self.state)

    def __dealloc__(self):
        free(self.state.bid.levels)

    def snapshot(self, bids, asks, seq=0):
        """Replace both sides.

        Args:
            bids, asks: LEVEL_DTYPE[n], best first; an entry of price or qty 0 ends the side.
            seq: number of the message that the snapshot includes; 0 when the feed has none.
        Raises:
            BadData: prices not strictly getting worse, or out of range; the book is unchanged.
        """
        cdef const unsigned char[::1] bid_raw = _raw(bids, LEVEL_DTYPE, "bids")
        cdef const unsigned char[::1] ask_raw = _raw(asks, LEVEL_DTYPE, "asks")
        cdef const Level *bid_levels = NULL
        cdef const Level *ask_levels = NULL
        if bid_raw is not None:
            bid_levels = <const Level *>&bid_raw[0]
        if ask_raw is not None:
            ask_levels = <const Level *>&ask_raw[0]
        check(book_snapshot(&self.state, bid_levels, len(bids), ask_levels, len(asks), seq))

    def delta(self, side, price, qty, orders=0):
        """Set one level, or delete it with qty 0.

        Raises:
            UsageError: side is neither Side.BUY (bids) nor Side.SELL (asks).
            BadData: price out of range.
        """
        cdef Level level = Level(price, qty, orders)
        check(book_delta(&self.state, _side_of(side), &level))

    def deltas(self, changes):
        """Apply changes in order, without the GIL; return the best prices after each.

        Args:
            changes: DELTA_DTYPE[n].
        Shape:
            int64[n, 2]: best bid and best ask in paise, 0 for an empty side.
        Raises:
            BadData: a price out of range, or a side that is neither 1 nor -1; the changes before
                it are applied, the message names the row.
        """
        cdef const unsigned char[::1] raw = _raw(changes, DELTA_DTYPE, "changes")
        cdef const Delta *delta
        cdef size_t i, count = len(changes)
        cdef int64_t[:, ::1] best
        cdef Status status = Status.OK
        made = np.empty((count, 2), dtype=np.int64)
        if count == 0:
            return made
        best = made
        delta = <const Delta *>&raw[0]
        with nogil:
            for i in range(count):
                if delta[i].side != Side.BUY and delta[i].side != Side.SELL:
                    status = Status.BAD_PACKET
                    break
                status = book_delta(&self.state, <Side>delta[i].side, &delta[i].level)
                if status != Status.OK:
                    break
                best[i, 0] = book_bid(&self.state)
                best[i, 1] = book_ask(&self.state)
        if status != Status.OK:
            raise BadData(f"changes[{i}]: side {delta[i].side}, price {delta[i].level.price}: "
                          f"side must be 1 or -1, price in 1..{<int64_t>PRICE_MAX}")
        return made

    def snapshots(self, bids, asks):
        """Load many snapshots in turn, without the GIL; return the best prices after each.

        Args:
            bids, asks: LEVEL_DTYPE[n, levels], best first.
        Shape:
            int64[n, 2]: best bid and best ask in paise, 0 for an empty side.
        Raises:
            UsageError: the arrays have different shapes or another type.
            BadData: a snapshot is refused; those before it are applied.
        """
        if np.shape(bids) != np.shape(asks) or np.ndim(bids) != 2:
            raise UsageError(f"bids and asks must have one shape [n, levels], had {np.shape(bids)} "
                             f"and {np.shape(asks)}")
        cdef const unsigned char[::1] bid_raw = _raw(np.ravel(bids), LEVEL_DTYPE, "bids")
        cdef const unsigned char[::1] ask_raw = _raw(np.ravel(asks), LEVEL_DTYPE, "asks")
        cdef size_t i, count = np.shape(bids)[0], levels = np.shape(bids)[1]
        cdef size_t stride = levels * sizeof(Level)
        cdef Status status = Status.OK
        cdef int64_t[:, ::1] best
        made = np.zeros((count, 2), dtype=np.int64)
        if count == 0 or levels == 0:
            return made
        best = made
        with nogil:
            for i in range(count):
                status = book_snapshot(&self.state, <const Level *>&bid_raw[i * stride], levels,
                                       <const Level *>&ask_raw[i * stride], levels, 0)
                if status != Status.OK:
                    break
                best[i, 0] = book_bid(&self.state)
                best[i, 1] = book_ask(&self.state)
        check(status)
        return made

    def message(self, previous_seq, seq):
        """Announce a message's number before its deltas; False when it is old: drop it.

        Args:
            previous_seq: the number it follows. Above the newest one seen: a gap.
            seq: its own number, positive.
        """
        return book_message(&self.state, previous_seq, seq) == Status.OK

    def clear(self):
        """Forget everything, the message number too."""
        book_clear(&self.state)

    def levels(self, side):
        """A side's levels as LEVEL_DTYPE[n], best first; Side.BUY gives the bids."""
        cdef const BookSide *chosen = (
            &self.state.bid if _side_of(side) == Side.BUY else &self.state.ask)
        cdef size_t count = chosen.hi - chosen.lo
        cdef unsigned char[::1] raw
        made = np.empty(count, dtype=LEVEL_DTYPE)
        if count:
            raw = made.view(np.uint8)
            memcpy(&raw[0], &chosen.levels[chosen.lo], count * sizeof(Level))
        return made[::-1].copy()

    def cost_to_take(self, side, units):
        """What taking `units` from the book costs now: BUY takes asks, SELL hits bids.

        Args:
            units: 1..100,000,000.
        Shape:
            (filled units, average price in paise or NaN, worst price in paise or None).
        Raises:
            UsageError: side or units out of range.
        """
        if not 1 <= units <= UNITS_MAX:
            raise UsageError(f"units must be in 1..{<int64_t>UNITS_MAX}, was {units}")
        cdef TakeCost cost = book_take(&self.state, _side_of(side), units)
        if cost.filled == 0:
            return 0, NAN, None
        return cost.filled, <double>cost.cost / <double>cost.filled, cost.worst

    def imbalance(self, int levels=5):
        """(bid - ask) / (bid + ask) of the quantities of the best `levels`; NaN when empty."""
        if levels < 1:
            raise UsageError(f"levels must be positive, was {levels}")
        return book_imbalance(&self.state, levels)

    @property
    def best_bid(self):
        """(price, qty, orders) of the highest bid, or None."""
        cdef const Level *level = book_best(&self.state.bid)
        return None if level == NULL else (level.price, level.qty, level.orders)

    @property
    def best_ask(self):
        """(price, qty, orders) of the lowest ask, or None."""
        cdef const Level *level = book_best(&self.state.ask)
        return None if level == NULL else (level.price, level.qty, level.orders)

    @property
    def mid(self):
        """Middle of best bid and ask, paise; NaN when a side is empty."""
        if not book_bid(&self.state) or not book_ask(&self.state):
            return NAN
        return 0.5 * (book_bid(&self.state) + book_ask(&self.state))

    @property
    def spread(self):
        """Best ask less best bid, paise: 0 when locked, negative when crossed; None when empty."""
        if not book_bid(&self.state) or not book_ask(&self.state):
            return None
        return book_ask(&self.state) - book_bid(&self.state)

    @property
    def microprice(self):
        """Best prices weighted by the other side's quantity, paise; NaN when a side is empty."""
        return book_microprice(&self.state)

    @property
    def crossed(self):
        """Is the best bid above the best ask?"""
        return book_crossed(&self.state)

    @property
    def locked(self):
        """Is the best bid equal to the best ask?"""
        return book_locked(&self.state)

    @property
    def truncated(self):
        """(bids, asks): may there be levels beyond the worst one kept?"""
        return bool(self.state.bid.truncated), bool(self.state.ask.truncated)

    @property
    def seq(self):
        """Number of the newest message; 0 before the first."""
        return self.state.seq

    @property
    def gap(self):
        """True from a hole in the message numbers to the next snapshot."""
        return bool(self.state.gap)

    @property
    def gaps(self):
        """Holes in the message numbers, ever."""
        return self.state.gaps
