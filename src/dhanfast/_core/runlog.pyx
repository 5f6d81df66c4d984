"""RunLog: see runlog.pxd for the contract."""

cimport cython
from libc.string cimport memset

import numpy as np


cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)


TRADE_DTYPE = np.dtype([
    ("entry_ns", "<i8"), ("exit_ns", "<i8"), ("qty", "<i8"), ("entry_value", "<i8"),
    ("exit_value", "<i8"), ("gross", "<i8"), ("mae", "<i8"), ("mfe", "<i8"), ("stop", "<i8"),
    ("target", "<i8"), ("brokerage", "<i8"), ("exchange", "<i8"), ("sebi", "<i8"),
    ("ipft", "<i8"), ("stamp", "<i8"), ("stt", "<i8"), ("gst", "<i8"), ("contract", "<i8"),
    ("instrument", "<u4"), ("bars", "<u4"), ("side", "i1"), ("entry_reason", "u1"),
    ("exit_reason", "u1"), ("spare", "u1", 5),
])
ORDER_ROW_DTYPE = np.dtype([
    ("id", "<u8"), ("created_ns", "<i8"), ("done_ns", "<i8"), ("price", "<i8"), ("trigger", "<i8"),
    ("qty", "<i8"), ("filled", "<i8"), ("value", "<i8"), ("instrument", "<u4"), ("side", "i1"),
    ("kind", "u1"), ("flags", "u1"), ("reason", "u1"), ("status", "u1"), ("refused", "u1"),
    ("spare", "u1", 6),
])
PASSAGE_DTYPE = np.dtype([
    ("id", "<u8"), ("decided_ns", "<i8"), ("sent_ns", "<i8"), ("first_fill_ns", "<i8"),
    ("last_fill_ns", "<i8"), ("decision", "<i8"), ("signal", "<i8"), ("bid", "<i8"),
    ("ask", "<i8"), ("sent_price", "<i8"), ("end_mark", "<i8"), ("changes", "<u4"),
    ("fills", "<u4"), ("route", "u1"), ("spare", "u1", 7),
])
EQUITY_DTYPE = np.dtype([("time_ns", "<i8"), ("equity", "<i8"), ("position", "<i8")])

for _name, _dtype, _size in (
    ("Trade", TRADE_DTYPE, sizeof(Trade)),
    ("OrderRow", ORDER_ROW_DTYPE, sizeof(OrderRow)),
    ("Passage", PASSAGE_DTYPE, sizeof(Passage)),
    ("EquityRow", EQUITY_DTYPE, sizeof(EquityRow)),
):
    if _dtype.itemsize != _size:
        raise ImportError(f"{_name}: the C struct has {_size} bytes, the dtype {_dtype.itemsize}")


cdef void *_memory(rows) except NULL:
    """Where an array of records begins."""
    cdef unsigned char[::1] raw = rows.view(np.uint8)
    return &raw[0]


cdef object _taken(rows, size_t count):
    """The first `count` rows: the array's own memory when it is half full, else a copy."""
    return rows[:count] if 2 * count >= <size_t>len(rows) else rows[:count].copy()


@cython.final
cdef class RunLog:
    """Buffers of a run's trades, orders and equity samples.

    Args:
        trades_max, orders_max, equity_max: rows, at least 1024 (orders 8192).
    Raises:
        ValueError: a capacity is too small.
        MemoryError: the buffers could not be allocated.
    """

    def __cinit__(self, size_t trades_max=8192, size_t orders_max=32768, size_t equity_max=131072):
        if min(trades_max, orders_max // 8, equity_max) < 1024:
            raise ValueError("capacities must be at least 1024 rows (orders 8192), were "
                             f"{trades_max}, {orders_max}, {equity_max}")
        self.trades_max, self.orders_max = trades_max, orders_max
        self.equity_max = equity_max
        self._make_trades()
        self._make_orders()
        self._make_equity()
        # Every bar writes a row: touched now, so that the loop meets no page fault on the way.
        memset(self.equity, 0, equity_max * sizeof(EquityRow))

    cdef object _make_trades(self):
        self._trade_rows = np.empty(self.trades_max, TRADE_DTYPE)
        self.trades = <Trade *>_memory(self._trade_rows)
        self.trade_count = 0

    cdef object _make_orders(self):
        self._order_rows = np.empty(self.orders_max, ORDER_ROW_DTYPE)
        self.orders = <OrderRow *>_memory(self._order_rows)
        self._passage_rows = np.empty(self.orders_max, PASSAGE_DTYPE)
        self.passages = <Passage *>_memory(self._passage_rows)
        self.order_count = 0

    cdef object _make_equity(self):
        self._equity_rows = np.empty(self.equity_max, EQUITY_DTYPE)
        self.equity = <EquityRow *>_memory(self._equity_rows)
        self.equity_count = 0

    cdef bint nearly_full(self, size_t bars) noexcept nogil:
        return (self.equity_count + bars + LOG_MARGIN > self.equity_max
                or self.order_count + bars * ORDERS_A_BAR_MAX + LOG_MARGIN > self.orders_max
                or self.trade_count + bars * 2 + LOG_MARGIN > self.trades_max)

    cdef void add_trade(self, const Trade *row) noexcept nogil:
        DF_ASSERT(self.trade_count < self.trades_max)
        self.trades[self.trade_count] = row[0]
        self.trade_count += 1

    cdef void add_order(self, const OrderRow *row, const Passage *passage) noexcept nogil:
        DF_ASSERT(self.order_count < self.orders_max and row.id == passage.id)
        self.orders[self.order_count] = row[0]
        self.passages[self.order_count] = passage[0]
        self.order_count += 1

    cdef void add_equity(self, ns_t time_ns, paise_t equity, int64_t position) noexcept nogil:
        DF_ASSERT(self.equity_count < self.equity_max)
        cdef EquityRow *row = &self.equity[self.equity_count]
        row.time_ns, row.equity, row.position = time_ns, equity, position
        self.equity_count += 1

    def drain(self):
        """As `take`, without the passages of the orders.

        Returns:
            (trades, orders, equity).
        """
        trades, orders, _, equity = self.take()
        return trades, orders, equity

    def take(self):
        """Hand over everything written since the last time, and empty the buffers.

        Returns:
            (trades, orders, passages, equity), arrays of their dtypes; passage i is of order i.
        """
        return self._handed(self.order_count)

    def take_trades(self):
        """As `take`, for a run whose orders nobody reads: they are forgotten.

        Returns:
            (trades, orders, passages, equity); orders and passages are empty.
        """
        return self._handed(0)

    def _handed(self, size_t orders):
        """What `take` gives, with so many of the orders."""
        rows = (
            _taken(self._trade_rows, self.trade_count),
            _taken(self._order_rows, orders),
            _taken(self._passage_rows, orders),
            _taken(self._equity_rows, self.equity_count),
        )
        if rows[0].base is self._trade_rows:
            self._make_trades()
        if rows[1].base is self._order_rows:
            self._make_orders()
        if rows[3].base is self._equity_rows:
            self._make_equity()
        self.trade_count = self.order_count = self.equity_count = 0
        return rows
