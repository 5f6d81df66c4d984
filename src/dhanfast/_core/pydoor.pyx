"""PythonRunner, and what a Python strategy sees: Context, BarView, TickView, ChainView."""

cimport cython
from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t, uint32_t

from dhanfast._core.rules.program cimport Field
from dhanfast._core.status cimport Status
from dhanfast._core.strategy cimport Action
from dhanfast._core.types cimport Report

import datetime

from dhanfast._core.chainfeed import FIGURES
from dhanfast.errors import StrategyError

_IST = datetime.timezone(datetime.timedelta(hours=5, minutes=30), "IST")


@cython.final
cdef class BarView:
    """The bar being handled. Prices in rupees. Valid only inside the callback that received it.

    Raises:
        StrategyError: read after that callback has returned.
    """

    cdef const Bar *_now(self) except NULL:
        if self.bar == NULL:
            raise StrategyError("a bar is gone when on_bar returns: keep its numbers, not the bar")
        return self.bar

    @property
    def start_ns(self):
        """Start of the bar, UTC nanoseconds; the bar covers [start, end)."""
        return self._now().start_ns

    @property
    def open(self):
        """First price, rupees."""
        return self._now().open / 100.0

    @property
    def high(self):
        """Highest price, rupees."""
        return self._now().high / 100.0

    @property
    def low(self):
        """Lowest price, rupees."""
        return self._now().low / 100.0

    @property
    def close(self):
        """Last price, rupees."""
        return self._now().close / 100.0

    @property
    def volume(self):
        """Units traded inside the bar; 0 for an index."""
        return self._now().volume

    @property
    def oi(self):
        """Open interest at the close, units."""
        return self._now().oi


@cython.final
cdef class TickView:
    """The tick being handled. Prices in rupees. Valid only inside the callback that received it.

    Raises:
        StrategyError: read after that callback has returned.
    """

    cdef const Tick *_now(self) except NULL:
        if self.tick == NULL:
            raise StrategyError(
                "a tick is gone when on_tick returns: keep its numbers, not the tick")
        return self.tick

    @property
    def exch_ns(self):
        """Exchange time, UTC nanoseconds."""
        return self._now().exch_ns

    @property
    def price(self):
        """Last traded price, rupees; 0 when the record carries no trade."""
        return self._now().price / 100.0

    @property
    def bid(self):
        """Best bid, rupees; 0 when unknown."""
        return self._now().bid / 100.0

    @property
    def ask(self):
        """Best ask, rupees; 0 when unknown."""
        return self._now().ask / 100.0

    @property
    def qty(self):
        """Last traded quantity, units."""
        return self._now().qty

    @property
    def volume(self):
        """Units traded today."""
        return self._now().volume


@cython.final
cdef class ChainView:
    """The set of figures being handled: `chain.pcr`, `chain.atm_iv` and so on, see `ChainFigure`.

    A figure is NaN where the chain has no answer. Valid only inside the callback that received it.

    Raises:
        StrategyError: read after that callback has returned; a figure that was not declared.
        AttributeError: there is no such figure.
    """

    cdef const ChainRow *_now(self) except NULL:
        if self.chain == NULL:
            raise StrategyError(
                "a set of figures is gone when on_chain returns: keep its numbers, not the set")
        return self.chain

    def __getattr__(self, str name):
        if name not in self.asked:
            if name in FIGURES:
                raise StrategyError(f"nobody asked for the chain's {name}: say m.chain.{name} in "
                                    "on_start")
            raise AttributeError(f"a chain has no figure {name!r}: {', '.join(FIGURES)}")
        return self._now().figures[<int>self.asked[name]]

    @property
    def at_ns(self):
        """When the chain was looked at, UTC nanoseconds."""
        return self._now().at_ns


@cython.final
cdef class Context:
    """All that a Python strategy may know and do: position, time, wishes, log.

    Wishes (`buy`, `sell`, `exit`) name what the strategy wants; lots, order types, limits and
    retries are decided below it. The last wish of a callback counts.

    Args:
        graph: where the strategy's series are declared.
        log: called with (now_ns, text) for `log`.
    """

    def __cinit__(self, Graph graph not None, log):
        self.graph, self._log = graph, log

    @property
    def position(self):
        """Signed units held; 0 when flat."""
        return self.view.position if self.view != NULL else 0

    @property
    def entry_price(self):
        """Average entry price in rupees; NaN when flat."""
        return self.view.entry_price if self.view != NULL else NAN

    @property
    def bars_held(self):
        """Bars since the entry filled; 0 when flat."""
        return self.view.bars_held if self.view != NULL else 0

    @property
    def can_enter(self):
        """True inside the entry window; outside it a wish to enter is counted and dropped."""
        return self.view != NULL and self.view.can_enter != 0

    @property
    def session_start(self):
        """True on the first bar of a session."""
        return self.view != NULL and self.view.session_start != 0

    @property
    def now_ns(self):
        """Time of the event, UTC nanoseconds: the end of a bar, the receipt of a tick."""
        return self.view.now_ns if self.view != NULL else 0

    @property
    def now(self):
        """Time of the event as a datetime in IST."""
        seconds, rest = divmod(self.now_ns, 1_000_000_000)
        return (datetime.datetime.fromtimestamp(seconds, _IST)
                + datetime.timedelta(microseconds=rest // 1000))

    cdef int _wish(self, int action, double stop, double target) except -1:
        if self.signal == NULL:
            raise StrategyError("buy, sell and exit are for on_bar, on_tick and on_chain only")
        if stop < 0 or target < 0:
            raise StrategyError("stop and target are distances in rupees from the fill price, not "
                                f"prices: they cannot be negative, were {stop} and {target}")
        self.signal.action, self.signal.stop, self.signal.target = action, stop, target
        return 0

    def buy(self, *, double stop=0.0, double target=0.0):
        """Want to be long, with a protective stop and a target so many rupees from the fill."""
        self._wish(Action.GO_LONG, stop, target)

    def sell(self, *, double stop=0.0, double target=0.0):
        """Want to be short, with a protective stop and a target so many rupees from the fill."""
        self._wish(Action.GO_SHORT, stop, target)

    def exit(self):
        """Want to be flat."""
        self._wish(Action.GO_FLAT, 0.0, 0.0)

    def log(self, str text not None):
        """Write a line beside the run's decisions, stamped with the event's time."""
        self._log(self.now_ns, text)


@cython.final
cdef class PythonRunner(NativeStrategy):
    """Calls a Python strategy's callbacks; one that is not defined costs nothing.

    Args:
        target: the strategy, `on_start` already called.
        context: the one `on_start` was called with.
        on_bar, on_tick, on_fill, on_chain: bound methods, or None where not defined.
    Attributes:
        watch: ends calls that take too long; None: nobody does. quiet: series go on, and nothing
        of the strategy is called. calls: made so far; of one that has failed, its last is the one.
    """

    def __cinit__(self, target, Context context not None, on_bar, on_tick, on_fill,
                  on_chain=None):
        self.target, self.context = target, context
        self._on_bar, self._on_tick, self._on_fill = on_bar, on_tick, on_fill
        self._on_chain = on_chain
        self.program = context.graph.compile()
        # Any field may be asked for its `.value`, also one that no operation reads.
        for field in range(<int>Field.FIELDS):
            self.program.read_field(field)
        self.python = True
        self.wants_ticks, self.wants_chain = on_tick is not None, on_chain is not None
        self._bar, self._tick, self._chain = BarView(), TickView(), ChainView()
        self._chain.asked = {name: FIGURES.index(name) for name in context.graph.chain_figures}

    def begin_count(self):
        """Count its calls from here on."""
        self.calls = 0

    def fail_call(self, call: int, text: str):
        """Have a call fail without being made: a journal says that it has, and with what words.

        Args:
            call: its number, counted as `calls` is; 0 = none.
        """
        self.fail_at, self.fail_text = call, text

    cdef bint _begin(self) noexcept:
        """Whether a call may be made: not by what has failed."""
        if self.failed or self.quiet:
            return False
        self.calls += 1
        if self.calls == self.fail_at:
            self.fail(StrategyError(self.fail_text))
            return False
        if self.watch is not None:
            self.watch.enter()
        return True

    cdef void _end(self) noexcept:
        if self.watch is not None:
            self.watch.leave()

    cdef void fail(self, object error):
        if self.error is None:               # what follows from the first one hides it
            self.error = error
        self.failed = Status.PYTHON_ERROR

    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil:
        self.program.run(bars, index, first, n)
        self.row = 0

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        cdef size_t row = self.row
        self.row = row + 1
        self.program.run_row(row, view)
        with gil:
            self.context.graph.row = row
            if self._on_bar is None or not self._begin():
                return
            self.context.view, self.context.signal = view, signal
            self._bar.bar = bar
            try:
                self._on_bar(self.context, self._bar)
            except BaseException as error:   # also Ctrl-C and exit(): nothing may pass unseen
                self.fail(error)
            self._end()
            self.context.view, self.context.signal = NULL, NULL
            self._bar.bar = NULL

    cdef void on_tick(self, const Tick *tick, const View *view, Signal *signal) noexcept nogil:
        with gil:
            if not self._begin():
                return
            self.context.view, self.context.signal = view, signal
            self._tick.tick = tick
            try:
                self._on_tick(self.context, self._tick)
            except BaseException as error:
                self.fail(error)
            self._end()
            self.context.view, self.context.signal = NULL, NULL
            self._tick.tick = NULL

    cdef void on_chain(self, const ChainRow *chain, const View *view,
                       Signal *signal) noexcept nogil:
        cdef Py_ssize_t row
        with gil:
            if self._on_chain is None or not self._begin():
                return
            # Bars may be evaluated ahead of this set: showing one would show the future.
            row, self.context.graph.row = self.context.graph.row, -1
            self.context.view, self.context.signal = view, signal
            self._chain.chain = chain
            try:
                self._on_chain(self.context, self._chain)
            except BaseException as error:
                self.fail(error)
            self._end()
            self.context.view, self.context.signal = NULL, NULL
            self._chain.chain = NULL
            self.context.graph.row = row

    cdef void on_fill(self, const Report *report, const View *view) noexcept nogil:
        cdef Py_ssize_t row
        with gil:
            if self._on_fill is None or not self._begin():
                return
            # Bars may be evaluated ahead of this fill: showing one would show the future.
            row, self.context.graph.row = self.context.graph.row, -1
            self.context.view = view
            try:
                self._on_fill(self.context, FillView.of(report))
            except BaseException as error:
                self.fail(error)
            self._end()
            self.context.view = NULL
            self.context.graph.row = row


@cython.final
cdef class FillView:
    """One fill of one of the strategy's orders.

    Attributes:
        time_ns: when it filled, UTC nanoseconds.
        price: rupees.
        qty: units, signed: positive when bought.
        left: units of the order still open.
        reason: why the order was sent, a `Reason`.
    """

    cdef readonly int64_t time_ns
    cdef readonly double price
    cdef readonly int64_t qty
    cdef readonly int64_t left
    cdef readonly int reason

    @staticmethod
    cdef FillView of(const Report *report):
        cdef FillView view = FillView.__new__(FillView)
        view.time_ns, view.price = report.time_ns, report.price / 100.0
        view.qty, view.left = report.side * report.qty, report.left
        view.reason = report.why
        return view
