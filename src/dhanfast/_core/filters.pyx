"""Filters: see filters.pxd for what holds, here is the how."""

cimport cython
from libc.math cimport NAN, fabs
from libc.stdint cimport int32_t, uint8_t, uint32_t

from dhanfast._core.chainfeed cimport ChainRow
from dhanfast._core.dealer cimport Dealer, Opposite
from dhanfast._core.rules.graph cimport Expr, Graph
from dhanfast._core.strategy cimport Action, NativeStrategy, Signal, View
from dhanfast._core.types cimport Bar, Report, Tick, ns_t

import numpy as np

WINDOW_DTYPE = np.dtype([("from_ns", "<i8"), ("until_ns", "<i8"), ("filter", "<i8")])
VETO_DTYPE = np.dtype([
    ("from_ns", "<i8"), ("until_ns", "<i8"), ("count", "<i8"), ("value", "<f8"),
    ("limit", "<f8"), ("side", "<i4"), ("filter", "<i4"),
])
assert WINDOW_DTYPE.itemsize == sizeof(Window) and VETO_DTYPE.itemsize == sizeof(Veto)
ROOM_MIN = 1024


@cython.final
cdef class Filters(NativeStrategy):
    """Runs in a strategy's place and takes back the entries that a filter objects to.

    Args:
        inner: the strategy, as the kernel runs it.
        names: of the filters, in the order in which they are asked.
        graph: of the series that filters look at; None without any.
        checks: (place in `names`, long_ok, short_ok, value, limit) of each filter that looks at
            bars: two series that say whether it lets a side pass, one to show, and a number.
        windows: WINDOW_DTYPE[n], when which filter objects.
        spread: place of the filter of the spread, -1 without one.
        spread_ticks, spread_bps: largest distance of bid and ask; 0 = no limit.
        room: rows of vetoes between two `take`, at least 1024.
    Attributes:
        graph_own: of what looks at bars, None without any. inner, names: as given.
        row_count: rows since the last `take`. lost: rows there was no room for.
    Units:
        times UTC ns; spread in ticks of the contract, and 1e-4 of the middle.
    Shape:
        `take`: VETO_DTYPE[n]: vetoes of one filter and side without a break are one row.
    Raises:
        ValueError: no filter or too many, a name twice, a place that none has, a window that ends
            before it begins.
    """

    def __cinit__(self, NativeStrategy inner not None, names, *, Graph graph=None, checks=(),
                  windows=None, int spread=-1, double spread_ticks=0.0, double spread_bps=0.0,
                  size_t room=8192):
        cdef Expr long_ok, short_ok, value
        cdef Check *check
        self.names = tuple(names)
        if not 0 < len(self.names) <= FILTERS_MAX or len(set(self.names)) != len(self.names):
            raise ValueError(f"names must be 1..{FILTERS_MAX}, each once, were {self.names}")
        if not -1 <= spread < <int>len(self.names) or len(checks) > FILTERS_MAX:
            raise ValueError(f"spread must be a place in names, was {spread}")
        if room < ROOM_MIN:
            raise ValueError(f"room must be at least {ROOM_MIN} rows, was {room}")
        self.spread, self.spread_ticks, self.spread_bps = spread, spread_ticks, spread_bps
        self.graph_own = graph
        if graph is not None:
            self.program = graph.compile()
        for place, long_ok, short_ok, value, limit in checks:
            if graph is None or not 0 <= place < len(self.names):
                raise ValueError(f"a check needs a graph and a place in names, was {place}")
            for expr in (long_ok, short_ok, value):
                self.program.read_field(expr.column)
            check = &self.checks[self.check_count]
            check.long_ok = self.program.column(long_ok.column)
            check.short_ok = self.program.column(short_ok.column)
            check.value, check.limit = self.program.column(value.column), limit
            check.filter = place
            self.check_count += 1
        self.room = room
        self._make_rows()
        self.put(inner)
        self.see(np.empty(0, WINDOW_DTYPE) if windows is None else windows)

    cdef object _make_rows(self):
        self._kept = np.empty(self.room, VETO_DTYPE)
        cdef unsigned char[::1] raw = self._kept.view(np.uint8)
        self.rows, self.row_count = <Veto *><void *>&raw[0], 0

    def see(self, windows):
        """Other windows of time, as when more sessions are known; between two events.

        Args:
            windows: WINDOW_DTYPE[n] in any order.
        Raises:
            ValueError: another dtype, a window that ends before it begins, a place that none has.
        """
        cdef const unsigned char[::1] raw
        if windows.dtype != WINDOW_DTYPE or windows.ndim != 1:
            raise ValueError("windows must be one-dimensional of WINDOW_DTYPE")
        if (windows["until_ns"] <= windows["from_ns"]).any():
            raise ValueError("a window must end after it begins")
        places = windows["filter"]
        if ((places < 0) | (places >= len(self.names))).any():
            raise ValueError(f"windows must be of a filter in 0..{len(self.names) - 1}")
        rows = np.sort(windows, order=("from_ns", "until_ns", "filter"))
        self._window_rows, self.window_count, self.window_at = rows, len(rows), 0
        if self.window_count:
            raw = rows.view(np.uint8)
            self.windows = <const Window *><const void *>&raw[0]

    def put(self, NativeStrategy inner not None):
        """Stand around another strategy from here on, between two events.

        Args:
            inner: warmed up; what filters know of bars and have vetoed stays.
        """
        self.inner, self.failed, self.error = inner, 0, None
        self.wants_ticks, self.python = inner.wants_ticks, inner.python
        self.wants_chain = inner.wants_chain

    def attach(self, Dealer dealer not None):
        """Whose strategy this is: its quotes, and what it does with an opposite wish."""
        self.dealer = dealer

    @property
    def conflicts(self):
        """Bars on which the rules said both long and short."""
        return getattr(self.inner, "conflicts", 0)

    @property
    def vetoed(self):
        """{name: entries taken back} of the filters that had a veto."""
        return {name: self.counts[i] for i, name in enumerate(self.names) if self.counts[i]}

    def take(self):
        """The rows of vetoes since the last call; there is room for others then."""
        rows = self._kept[:self.row_count]
        if self.row_count:
            self._make_rows()
            self.asked_at = 0
        return rows

    cdef void fail(self) noexcept nogil:
        with gil:
            self.failed, self.error = self.inner.failed, self.inner.error

    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil:
        self.row = 0
        if self.check_count:
            self.program.run(bars, index, first, n)
        self.inner.prepare(bars, index, first, n)

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        self.row += 1
        self.seen = True
        self.asked += 1
        self.inner.on_bar(bar, view, signal)
        if self.inner.failed:
            self.fail()
        elif signal.action == Action.GO_LONG or signal.action == Action.GO_SHORT:
            self.consider(view, signal)

    cdef void on_tick(self, const Tick *tick, const View *view, Signal *signal) noexcept nogil:
        self.asked += 1
        self.inner.on_tick(tick, view, signal)
        if self.inner.failed:
            self.fail()
        elif signal.action == Action.GO_LONG or signal.action == Action.GO_SHORT:
            self.consider(view, signal)

    cdef void on_chain(self, const ChainRow *chain, const View *view,
                       Signal *signal) noexcept nogil:
        self.asked += 1
        self.inner.on_chain(chain, view, signal)
        if self.inner.failed:
            self.fail()
        elif signal.action == Action.GO_LONG or signal.action == Action.GO_SHORT:
            self.consider(view, signal)

    cdef void on_fill(self, const Report *report, const View *view) noexcept nogil:
        self.inner.on_fill(report, view)
        if self.inner.failed:
            self.fail()

    cdef void consider(self, const View *view, Signal *signal) noexcept nogil:
        """Take back the entry that a wish would make, when a filter objects to it."""
        cdef int side = signal.action
        cdef double value = NAN, limit = NAN
        cdef int32_t place
        if not view.can_enter or view.position * side > 0:
            return
        if self.dealer is not None:
            if view.position != 0 and self.dealer.on_opposite != Opposite.REVERSE:
                return
            if view.position == 0 and self.dealer.entering != 0:
                return
        place = self.objection(view.now_ns, side, &value, &limit)
        if place < 0:
            return
        self.counts[place] += 1
        self.note(view.now_ns, side, place, value, limit)
        # A reversal's exit stays: only the entry behind it is taken back.
        signal.action = Action.GO_FLAT if view.position != 0 else Action.HOLD
        signal.stop = signal.target = 0.0
        signal.share = 0

    cdef int32_t objection(self, ns_t now_ns, int side, double *value,
                           double *limit) noexcept nogil:
        """Place of the first filter that objects; -1 when none does."""
        cdef int32_t place = self.window(now_ns)
        cdef size_t i, row = self.row - 1
        cdef const Check *check
        cdef double passes
        if place >= 0:
            return place
        for i in range(self.check_count):
            check = &self.checks[i]
            passes = NAN
            if self.seen:
                passes = check.long_ok[row] if side > 0 else check.short_ok[row]
            if not fabs(passes) > 0.0:               # neither 0 nor NaN
                value[0], limit[0] = check.value[row] if self.seen else NAN, check.limit
                return check.filter
        if self.spread >= 0 and not self.narrow(value, limit):
            return self.spread
        return -1

    cdef int32_t window(self, ns_t now_ns) noexcept nogil:
        """Place of the first filter in whose window this time is; -1 when in none."""
        cdef int32_t place = -1
        cdef size_t i
        cdef const Window *each
        while self.window_at < self.window_count \
                and self.windows[self.window_at].until_ns <= now_ns:
            self.window_at += 1
        for i in range(self.window_at, self.window_count):
            each = &self.windows[i]
            if each.from_ns > now_ns:
                break
            if now_ns < each.until_ns and (place < 0 or each.filter < place):
                place = <int32_t>each.filter
        return place

    cdef bint narrow(self, double *value, double *limit) noexcept nogil:
        """Whether bid and ask are known and near enough to one another."""
        cdef double bid, ask, ticks, bps
        if self.dealer is None or self.dealer.quote_bid <= 0 \
                or self.dealer.quote_ask < self.dealer.quote_bid:
            return False
        bid, ask = <double>self.dealer.quote_bid, <double>self.dealer.quote_ask
        ticks = (ask - bid) / <double>self.dealer.session.tick
        bps = 20_000.0 * (ask - bid) / (ask + bid)
        if self.spread_ticks > 0.0 and ticks > self.spread_ticks:
            value[0], limit[0] = ticks, self.spread_ticks
            return False
        if self.spread_bps > 0.0 and bps > self.spread_bps:
            value[0], limit[0] = bps, self.spread_bps
            return False
        return True

    cdef void note(self, ns_t now_ns, int side, int32_t filter, double value,
                   double limit) noexcept nogil:
        """Write a veto down: another of the same, or a row of its own."""
        cdef Veto *row
        if self.row_count and self.asked_at + 1 == self.asked:
            row = &self.rows[self.row_count - 1]
            if row.side == side and row.filter == filter:
                row.until_ns = now_ns
                row.count += 1
                self.asked_at = self.asked
                return
        if self.row_count == self.room:
            self.lost += 1
            return
        row = &self.rows[self.row_count]
        row.from_ns = row.until_ns = now_ns
        row.count, row.value, row.limit = 1, value, limit
        row.side, row.filter = side, filter
        self.row_count += 1
        self.asked_at = self.asked
