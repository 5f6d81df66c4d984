"""Depth as changes: see depth.pxd."""

cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove

import numpy as np

from dhanfast._core.types cimport DepthFlag, DepthOp, Side

from dhanfast._core.book import LEVEL_DTYPE
from dhanfast._core.types import DEPTH_DTYPE
from dhanfast.errors import BadData, UsageError


cdef inline bint _better(int8_t side, int64_t a, int64_t b) noexcept nogil:
    return a > b if side == Side.BUY else a < b


cdef inline void _row(DepthRow *row, const Message *message, DepthOp op, const Level *level,
                      uint32_t flags) noexcept nogil:
    row.exch_ns, row.recv_ns, row.seq = message.exch_ns, message.recv_ns, message.seq
    row.instrument, row.side, row.op = message.instrument, message.side, <uint8_t>op
    row.flags = <uint16_t>flags
    row.price, row.qty, row.orders = level.price, level.qty, level.orders


cdef bint _is_book(int8_t side, const Level *levels, size_t count) noexcept nogil:
    cdef size_t i
    for i in range(count):
        if levels[i].qty == 0 or levels[i].price <= 0:
            return False
        if i and not _better(side, levels[i - 1].price, levels[i].price):
            return False
    return True


# The prices that are gone, new or of another quantity, best first: differences between prices that
# follow each other are short and of one sign.
cdef size_t _changes(const Message *message, const Level *held, size_t held_count,
                     const Level *levels, size_t count, uint32_t flags, DepthRow *out,
                     size_t n) noexcept nogil:
    cdef Level gone = Level(0, 0, 0)
    cdef size_t i = 0, old = 0
    while i < count or old < held_count:
        if i == count or (old < held_count
                          and _better(message.side, held[old].price, levels[i].price)):
            gone.price = held[old].price
            _row(&out[n], message, DepthOp.SET, &gone, 0)
            n, old = n + 1, old + 1
            continue
        if old < held_count and held[old].price == levels[i].price:
            old += 1
            if held[old - 1].qty == levels[i].qty and held[old - 1].orders == levels[i].orders:
                i += 1
                continue
        _row(&out[n], message, DepthOp.SET, &levels[i], flags)
        n, i = n + 1, i + 1
    return n


@cython.final
cdef class DepthSides:
    """Both sides of many books: changes between snapshots, or snapshots out of changes.

    Args:
        instruments: how many, 1 to 100,000; rows name them 0 to instruments - 1.
        levels_max: levels of a side, 1 to 200.
    Attributes:
        instruments, levels_max: as given.
    """

    def __cinit__(self, uint32_t instruments, uint32_t levels_max=20):
        if not 1 <= instruments <= 100_000:
            raise UsageError(f"instruments is {instruments}; 1 to 100,000")
        if not 1 <= levels_max <= SIDE_LEVELS_MAX:
            raise UsageError(f"levels_max is {levels_max}; 1 to {SIDE_LEVELS_MAX}")
        self.instruments, self.levels_max = instruments, levels_max
        self.sides = <SideState *>calloc(2 * <size_t>instruments, sizeof(SideState))
        # Twice the levels: inside a message new prices come before worse ones that go.
        self.levels = <Level *>calloc(4 * <size_t>instruments * levels_max, sizeof(Level))
        if self.sides == NULL or self.levels == NULL:
            raise MemoryError(f"no memory for {instruments} books of {levels_max} levels")

    def __dealloc__(self):
        free(self.sides)
        free(self.levels)

    cdef Level *_side(self, uint32_t instrument, int8_t side, SideState **state) noexcept nogil:
        cdef size_t at = 2 * <size_t>instrument + (side != Side.BUY)
        state[0] = &self.sides[at]
        return self.levels + 2 * at * self.levels_max

    cdef size_t change(self, const Message *message, const Level *levels, size_t count, bint last,
                       DepthRow *out) noexcept nogil:
        cdef SideState *state
        cdef Level *held = self._side(message.instrument, message.side, &state)
        cdef Level gone = Level(0, 0, 0)
        cdef size_t n = 0, i
        cdef uint32_t whole
        cdef bint book
        while count > 0 and levels[count - 1].price == 0 and levels[count - 1].qty == 0 \
                and levels[count - 1].orders == 0:
            count -= 1                       # padding behind the last level
        book = _is_book(message.side, levels, count)
        whole = <uint32_t>DepthFlag.SNAPSHOT if not (state.known and book and not state.raw) else 0
        if whole:
            _row(&out[n], message, DepthOp.CLEAR, &gone, whole)
            n, state.count = 1, 0
        if not book:
            for i in range(count):
                _row(&out[n], message, DepthOp.RAW, &levels[i],
                     whole | <uint32_t>(i << POSITION_SHIFT))
                n += 1
        else:
            n = _changes(message, held, <size_t>state.count, levels, count, whole, out, n)
        if n == 0:
            if count:
                _row(&out[0], message, DepthOp.SET, &levels[0], 0)
            else:
                _row(&out[0], message, DepthOp.CLEAR, &gone, 0)
            n = 1
        if last:
            out[n - 1].flags |= <uint16_t>DepthFlag.LAST
        memcpy(held, levels, count * sizeof(Level))
        state.count, state.known, state.raw = <int32_t>count, 1, not book
        return n

    cdef Status apply(self, const DepthRow *row) noexcept nogil:
        cdef SideState *state
        cdef Level *held
        cdef int32_t low = 0, high, at
        cdef bint found
        if row.instrument >= self.instruments or row.op > DepthOp.RAW:
            return Status.BAD_PRICE
        if row.side != Side.BUY and row.side != Side.SELL:
            return Status.BAD_PRICE
        held = self._side(row.instrument, row.side, &state)
        if row.op == DepthOp.CLEAR:
            state.count, state.known, state.raw = 0, 1, 0
            return Status.OK
        if row.op == DepthOp.RAW:
            at = row.flags >> POSITION_SHIFT
            if at != state.count or at >= <int32_t>self.levels_max:
                return Status.BAD_PRICE
            held[at] = Level(row.price, row.qty, row.orders)
            state.count, state.raw = at + 1, 1
            return Status.OK
        if state.raw:
            return Status.BAD_PRICE              # a book begins with CLEAR
        high = state.count
        while low < high:
            at = (low + high) // 2
            if _better(row.side, held[at].price, row.price):
                low = at + 1
            else:
                high = at
        found = low < state.count and held[low].price == row.price
        if row.qty == 0:
            if not found:
                return Status.BAD_PRICE
            state.count -= 1
            memmove(&held[low], &held[low + 1], <size_t>(state.count - low) * sizeof(Level))
            return Status.OK
        if not found:
            if state.count == 2 * <int32_t>self.levels_max:
                return Status.BAD_PRICE
            memmove(&held[low + 1], &held[low], <size_t>(state.count - low) * sizeof(Level))
            state.count += 1
        held[low] = Level(row.price, row.qty, row.orders)
        return Status.OK

    def changes(self, uint32_t instrument, int side, levels, *, int64_t exch_ns=0,
                int64_t recv_ns=0, uint64_t seq=0, bint last=True):
        """The rows that lead from a side as it was to a side as it is now.

        Args:
            instrument: below `instruments`.
            side: 1 bid, -1 ask.
            levels: LEVEL_DTYPE, best first, at most levels_max; zeros at the end are padding.
            exch_ns, recv_ns, seq: times and number of the message.
            last: these rows end the message.
        Shape:
            DEPTH_DTYPE, at least one row.
        Raises:
            UsageError: no such instrument or side, too many levels, another dtype.
        """
        self._check(instrument, side)
        given = np.ascontiguousarray(levels)
        if given.dtype != LEVEL_DTYPE or given.ndim != 1 or len(given) > self.levels_max:
            raise UsageError(f"levels: {given.dtype}[{given.shape}]; LEVEL_DTYPE, at most "
                             f"{self.levels_max}")
        rows = np.zeros(2 * self.levels_max + 1, DEPTH_DTYPE)
        cdef unsigned char[::1] out = rows.view(np.uint8)
        cdef const unsigned char[::1] data = given.view(np.uint8)
        cdef Message message = Message(exch_ns, recv_ns, seq, instrument, <int8_t>side)
        cdef Level none
        cdef const Level *first = &none
        if len(given):
            first = <const Level *>&data[0]
        return rows[:self.change(&message, first, len(given), last, <DepthRow *>&out[0])]

    def apply_rows(self, const unsigned char[::1] rows not None):
        """Put rows of changes into the books, in their order.

        Args:
            rows: bytes of a DEPTH_DTYPE array.
        Returns:
            how many messages ended (rows with LAST).
        Raises:
            BadData: a row that does not follow from those before; the rows before it are in.
        """
        cdef size_t n = rows.shape[0] // sizeof(DepthRow), i = 0, messages = 0
        cdef const DepthRow *row = NULL
        cdef Status status = Status.OK
        if n == 0:
            return 0
        with nogil:
            for i in range(n):
                row = <const DepthRow *>&rows[0] + i
                status = self.apply(row)
                if status != Status.OK:
                    break
                messages += row.flags & DepthFlag.LAST
        if status != Status.OK:
            raise BadData(
                f"depth row {i}: op {row.op} of instrument {row.instrument}, side {row.side}, "
                f"price {row.price}, qty {row.qty} does not follow from the rows before; "
                "begin at a snapshot"
            )
        return messages

    def snapshot(self, uint32_t instrument, int side):
        """A side as it is now.

        Args:
            instrument: below `instruments`. side: 1 bid, -1 ask.
        Shape:
            LEVEL_DTYPE, best first.
        Raises:
            UsageError: no such instrument or side.
        """
        self._check(instrument, side)
        cdef SideState *state
        cdef Level *held = self._side(instrument, <int8_t>side, &state)
        data = (<char *>held)[:state.count * sizeof(Level)] if state.count else b""
        return np.frombuffer(data, LEVEL_DTYPE).copy()

    def _check(self, instrument, side):
        """Refuse what is not there."""
        if instrument >= self.instruments:
            raise UsageError(f"instrument is {instrument}; below {self.instruments}")
        if side not in (1, -1):
            raise UsageError(f"side is {side}; 1 for bids, -1 for asks")
