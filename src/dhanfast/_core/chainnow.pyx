"""ChainNow: see chainnow.pxd."""

cimport cython
from libc.string cimport memset

import numpy as np

from dhanfast._core.types import SESSION_DTYPE
from dhanfast.errors import UsageError


@cython.final
cdef class ChainNow:
    """The chain of one day, one row long, that ticks keep.

    Args:
        strikes: int64[n] paise, ascending, of each expiry; its calls take n columns, its puts the
            next n.
        sessions: SESSION_DTYPE, one an expiry, `contract` its date.
        begin_ns: UTC ns; the first row begins then.
        more: columns after those, of contracts that are no options: a future that hedges.
    Attributes:
        day: the row, as a `LegRun` reads it.
    Raises:
        UsageError, BadData: as `ChainDay`.
    """

    def __cinit__(self, strikes, sessions, *, int64_t begin_ns, int64_t more=0):
        cdef ns_t[::1] starts, ends
        cdef paise_t[:, ::1] table
        cdef paise_t[::1] spots
        if len(strikes) != len(sessions):
            raise UsageError(f"{len(strikes)} lists of strikes for {len(sessions)} expiries")
        if not 0 <= more <= 16:
            raise UsageError(f"more must be in 0..16 columns, was {more}")
        counts = [len(each) for each in strikes]
        strike = np.concatenate([np.concatenate([each, each]) for each in strikes]
                                + [np.zeros(more)]).astype(np.int64)
        self.columns = len(strike)
        start_ns, end_ns = np.full(1, begin_ns), np.full(1, begin_ns + 1)
        rows = np.zeros((8, self.columns), np.int64)
        spot = np.zeros(1, np.int64)
        prices = [rows[at:at + 1] for at in range(4)]
        self.day = ChainDay(
            start_ns=start_ns, end_ns=end_ns, prices=prices, spot=spot, strike=strike,
            listed=np.arange(1, self.columns + 1, dtype=np.uint32),
            first=np.cumsum([0] + [2 * count for count in counts[:-1]]), count=counts,
            sessions=np.ascontiguousarray(sessions, SESSION_DTYPE),
            final_price=[0] * len(counts), exercise_e9=[0] * len(counts),
            exercise_full=[0] * len(counts))
        starts, ends, table, spots = start_ns, end_ns, rows, spot
        self._owner = (start_ns, end_ns, rows, spot)
        self.start_ns, self.end_ns, self.spot = &starts[0], &ends[0], &spots[0]
        self.open, self.high, self.low = &table[0, 0], &table[1, 0], &table[2, 0]
        self.close, self.bid, self.ask = &table[3, 0], &table[4, 0], &table[5, 0]
        self.last, self.seen_ns = &table[6, 0], &table[7, 0]
        if self.day.close != self.close or self.day.spot != self.spot \
                or self.day.end_ns != self.end_ns:
            raise UsageError("the chain of the day must use the row's own memory")

    cdef void see_spot(self, paise_t price, ns_t now_ns) noexcept nogil:
        if price > 0:
            self.spot[0], self.spot_ns = price, now_ns

    cdef bint see(self, const Tick *tick, size_t column) noexcept nogil:
        cdef paise_t price
        self.seen_ns[column] = tick.recv_ns
        if tick.price > 0:
            self.last[column] = tick.price
        if tick.bid > 0 or tick.ask > 0:
            self.bid[column], self.ask[column] = tick.bid, tick.ask
        price = self.last[column]
        if self.bid[column] > 0 and self.ask[column] >= self.bid[column]:
            price = (self.bid[column] + self.ask[column]) // 2
        if price <= 0:
            return False
        if self.close[column] == 0:
            self.open[column] = self.high[column] = self.low[column] = price
        self.close[column] = price
        self.high[column] = max(self.high[column], price)
        self.low[column] = min(self.low[column], price)
        return True

    cdef void end_row(self, ns_t now_ns) noexcept nogil:
        self.end_ns[0] = max(self.start_ns[0] + 1, now_ns)

    cdef void begin_row(self) noexcept nogil:
        cdef size_t i
        self.start_ns[0] = self.end_ns[0]
        for i in range(self.columns):
            self.open[i] = self.high[i] = self.low[i] = self.close[i]

    cdef void known(self, size_t column, ns_t now_ns, Tick *out) noexcept nogil:
        memset(out, 0, sizeof(Tick))
        out.recv_ns = out.exch_ns = now_ns
        out.bid, out.ask = self.bid[column], self.ask[column]
        if out.bid <= 0 and out.ask <= 0:
            out.price = self.last[column]

    # ---- the Python door ------------------------------------------------------------------------

    def quotes(self):
        """What is known of each column, paise.

        Shape:
            int64[4, columns]: price, bid, ask, last trade.
        """
        rows = self._owner[2]
        return rows[3:7].copy()

    @property
    def index(self):
        """The index, paise; 0 = unknown."""
        return self.spot[0]
