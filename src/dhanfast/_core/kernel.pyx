"""Kernel: see kernel.pxd for the order of steps, here is the how."""

cimport cython
from libc.math cimport NAN
from libc.stdint cimport INT64_MAX

from dhanfast._core.broker cimport Broker, bar_is_quiet
from dhanfast._core.chainfeed cimport SETS_KEPT, ChainFeed, ChainRow
from dhanfast._core.guardlocks cimport guards_watch
from dhanfast._core.holding cimport time_stop, watch_price
from dhanfast._core.indicators.atr cimport atr_init, atr_step
from dhanfast._core.portfolio cimport portfolio_equity
from dhanfast._core.runlog cimport EquityRow
from dhanfast._core.sizing cimport SizeMethod, explained, size_bar
from dhanfast._core.status cimport check
from dhanfast._core.strategy cimport Action
from dhanfast._core.tradebook cimport bar_end, units
from dhanfast._core.types cimport OrderFlag, Reason

import numpy as np

from dhanfast._core.sizing import SizeReason as SizeReasons
from dhanfast._core.types import SESSION_DTYPE
from dhanfast.errors import OrderRefused, StrategyError, raised_at


cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)

cdef extern from *:
    """
    #define df_prefetch(at) __builtin_prefetch(at)
    """
    void df_prefetch(const void *at) noexcept nogil


@cython.final
cdef class Kernel(Dealer):
    """One strategy on one traded instrument, from market events to booked fills.

    Args:
        strategy: what decides.
        broker: what executes orders; on bars, a `Match`.
        portfolio: books for at least one instrument; index 0 is traded.
        gate: the risk gate whose approvals `broker` honours.
        log: where trades, orders and equity are written.
        sessions: SESSION_DTYPE array, one row a trading day, ascending; kept, not copied.
        lots: size of an entry, 1..1_000_000.
        interval_ns: of a signal bar. match_interval_ns: of bars that orders meet; 0 = the same.
        on_opposite: an entry signal against the open position: Opposite.KEEP, CLOSE or REVERSE.
        slippage, slippage_ticks: paise and ticks that market fills and triggered stops lose.
        stop_more: paise that a triggered stop loses beside (or less, at most `slippage`).
        equity_each_bar: True samples equity on every bar, False once a session.
        sizing: how large an entry is; None: `lots`. stops: rules of stops; None: the strategy's.
    Attributes:
        bars_seen: shown to the strategy. bars_matched: met by orders. bars_outside: skipped.
        chain_seen: sets of figures of an option chain that the strategy was shown.
        equity_peak: highest equity sampled, paise. drawdown_max: deepest fall from it, paise.
    Raises:
        ValueError: an argument is out of range; sessions are empty, unsorted or of another dtype.
    """

    def __cinit__(self, NativeStrategy strategy not None, Broker broker not None,
                  Portfolio portfolio not None, Gate gate not None, RunLog log not None,
                  sessions, *, int64_t lots=1, int64_t interval_ns=60_000_000_000,
                  int64_t match_interval_ns=0, int on_opposite=Opposite.KEEP,
                  int64_t slippage=0, int64_t slippage_ticks=0, int64_t stop_more=0,
                  bint equity_each_bar=True, Sizing sizing=None, Stops stops=None):
        if lots < 1 or lots > 1_000_000:
            raise ValueError(f"lots must be in 1..1000000, was {lots}")
        if interval_ns < 1 or match_interval_ns < 0:
            raise ValueError(f"interval_ns must be above 0, was {interval_ns}, {match_interval_ns}")
        if on_opposite not in (Opposite.KEEP, Opposite.CLOSE, Opposite.REVERSE):
            raise ValueError(f"on_opposite must be 0 (keep), 1 (close) or 2 (reverse), "
                             f"was {on_opposite}")
        if slippage < 0 or slippage_ticks < 0:
            raise ValueError(f"slippage must not be negative, was {slippage}, {slippage_ticks}")
        if stop_more < -slippage:
            raise ValueError(f"stop_more must not take off more than slippage ({slippage}), "
                             f"was {stop_more}")
        self.strategy, self.broker, self.portfolio = strategy, broker, portfolio
        self.in_parts = broker.in_parts
        self.gate, self.log = gate, log
        if gate.guards is not None:
            gate.guards.attach(portfolio)
        self._take_sessions(sessions)
        self.session_at = self.session_count
        self.lots, self.on_opposite, self.rules.interval_ns = lots, on_opposite, interval_ns
        self.rules.match_interval_ns = match_interval_ns if match_interval_ns else interval_ns
        self.rules.slippage, self.rules.slippage_ticks = slippage, slippage_ticks
        self.rules.stop_more = stop_more
        self.rules.equity_each_bar = equity_each_bar
        self._take_rules(sizing, stops)
        self.status = Status.OK
        self.next_id = 1
        self.equity_peak = portfolio.equity()
        self.view.entry_price = NAN

    cdef object _take_rules(self, Sizing sizing, Stops stops):
        """Copies: what one run learns is not another's."""
        stops = Stops() if stops is None else stops
        sizing = Sizing(lots=self.lots) if sizing is None else sizing
        self.stop_rules, self.size_rules = stops.rules, sizing.rules
        self.size_state, self.entry_atr = sizing.start, NAN
        if self.stop_rules.atr_period:
            atr_init(&self.atr, self.stop_rules.atr_period, NULL)
        self.measures = (self.stop_rules.atr_period != 0
                         or self.size_rules.method == SizeMethod.VOLATILITY
                         or self.broker.measures)

    cdef object _take_sessions(self, sessions):
        cdef const unsigned char[::1] raw
        sessions = np.ascontiguousarray(sessions)
        if sessions.dtype != SESSION_DTYPE or sessions.ndim != 1 or len(sessions) == 0:
            raise ValueError("sessions must be a non-empty one-dimensional SESSION_DTYPE array")
        if (np.diff(sessions["open_ns"]) <= 0).any():
            raise ValueError("sessions must be in ascending order of open_ns without repeats")
        raw = sessions.view(np.uint8)
        self._sessions_owner = sessions
        self.sessions, self.session_count = <const Session *>&raw[0], len(sessions)

    def extend(self, sessions):
        """More sessions after those there are; between two events.

        Args:
            sessions: SESSION_DTYPE array that begins with the rows there are.
        Raises:
            ValueError: it does not, or is not ascending.
        """
        cdef bint begun = self.session_at != self.session_count
        known = self._sessions_owner
        if sessions[:len(known)].tobytes() != known.tobytes():
            raise ValueError("sessions must begin with the rows that the kernel already has")
        self._take_sessions(sessions)
        if begun:
            self.session = &self.sessions[self.session_at]
        else:
            self.session_at = self.session_count

    # ---- choosing the bars that count -------------------------------------------------------

    cdef Status select(self, Selection *chunk, const Bar *bars, size_t n) noexcept nogil:
        """Fill `chunk` with the next bars of the array that lie inside sessions."""
        cdef size_t i, count = 0
        cdef size_t at = chunk.scan
        cdef const Bar *bar
        cdef const Session *session = &self.sessions[at]
        cdef bint fresh = chunk.last_start_ns < session.open_ns
        chunk.base += chunk.taken
        chunk.taken = min(<size_t>CHUNK, n - chunk.base)
        chunk.count = chunk.at = 0
        for i in range(chunk.taken):
            bar = &bars[chunk.base + i]
            if bar.start_ns <= chunk.last_start_ns:
                return Status.OUT_OF_ORDER
            if bar.low <= 0 or bar.high < bar.low:
                return Status.BAD_PRICE
            chunk.last_start_ns = bar.start_ns
            while at + 1 < self.session_count and bar.start_ns >= self.sessions[at + 1].open_ns:
                at += 1
                session = &self.sessions[at]
                fresh = True
            if not ((session.open_ns <= bar.start_ns < session.close_ns)
                    or (session.open2_ns <= bar.start_ns < session.close2_ns)):
                self.bars_outside += 1
                continue
            chunk.index[count] = <uint32_t>i
            chunk.session_of[count] = <uint32_t>at
            chunk.first[count] = fresh
            fresh = False
            count += 1
        chunk.scan, chunk.count = at, count
        return Status.OK

    # ---- days -------------------------------------------------------------------------------

    cdef void enter_session(self, size_t at, ns_t now_ns) noexcept nogil:
        cdef const Session *session = &self.sessions[at]
        cdef bint overdue = False
        if self.position != 0:
            # Both happen only where the data lack the last bars of a day, or whole days.
            if session.contract != self.sessions[self.session_at].contract:
                self.close_at_last(Reason.EXPIRY_EXIT)
            overdue = self.sessions[self.session_at].square_off_ns != 0
        self.broker.rules.slippage = self.rules.slippage + self.rules.slippage_ticks * session.tick
        self.broker.rules.stop_more = self.rules.stop_more
        self.forget_wishes()
        self.broker.session(0, session)
        self.settle()                      # DAY orders of the day before have expired
        self.portfolio.session(0, session)  # and its bill is closed
        if not self.rules.equity_each_bar and self.session_at != self.session_count:
            self.log.add_equity(self.last_ns, self.portfolio.equity(), self.position)
        self.session_at, self.session = at, session
        self.quote_bid = self.quote_ask = 0    # yesterday's market
        self.gate.new_day()
        if self.gate.guards is not None:
            self.gate.guards.instrument(0, session.contract, session.lot)
            self.gate.guards.new_day(session.date, portfolio_equity(self.portfolio), now_ns)
        if self.position != 0:
            self.protect(now_ns)           # carried over night: its stop and target rest again
            if overdue:
                self.leave(Reason.TIME_EXIT, OrderFlag.SQUARE_OFF, now_ns)

    cdef void close_at_last(self, int reason) noexcept nogil:
        """No later price will come for what is held: what waits expires, and it is closed at the
        last price there was."""
        cdef Bar bar
        cdef ns_t at_ns
        self.forget_wishes()
        self.broker.session(0, self.session)
        self.settle()
        if self.position == 0:
            return
        # A nanosecond before the end of the last event, but not before its window opened.
        at_ns = self.session.open_ns
        if self.session.open2_ns and self.last_ns >= self.session.open2_ns:
            at_ns = self.session.open2_ns
        at_ns = max(at_ns, self.last_ns - 1)
        bar = self.last_bar
        bar.open = bar.high = bar.low = bar.close
        bar.start_ns = at_ns
        self.leave(reason, 0, at_ns - self.broker.rules.latency_ns)
        self.settle()
        self.broker.bar_open(&bar, at_ns + 1)
        self.settle()
        self.portfolio.mark(0, bar.close)

    # ---- one bar ----------------------------------------------------------------------------

    cdef void match_bar(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        if self.broker.live and not bar_is_quiet(&self.broker.quiet[0], bar):
            self.broker.bar_open(bar, end_ns)
            self.settle()
            # What the open has brought may rest where the bar does not reach.
            if self.broker.live and not bar_is_quiet(&self.broker.quiet[0], bar):
                self.broker.bar_range(bar, end_ns)
                self.settle()
        self.bars_matched += 1
        self.last_ns = end_ns
        self.last_bar = bar[0]
        self.mark_price(bar.low, bar.high, bar.close)
        if self.stop_rules.watched and self.position != 0:
            # A bar that began before the entry filled: its extremes may have been before, too.
            if self.trade.entry_ns <= bar.start_ns:
                watch_price(self, bar.low, bar.high, bar.close, end_ns, end_ns)
            else:
                watch_price(self, bar.close, bar.close, bar.close, end_ns, end_ns)
        self.sample(end_ns)
        self.time_rules(end_ns)

    cdef void mark_price(self, paise_t low, paise_t high, paise_t close) noexcept nogil:
        """The market was at these prices: value what is held, remember the trade's extremes."""
        cdef paise_t worst, best
        if close > 0:
            self.portfolio.positions[0].mark = close
        if self.position != 0:
            # The whole trade's result if what is left were closed at the extremes.
            worst = self.trade.exit_value + low * units(self.position) - self.trade.entry_value
            best = self.trade.exit_value + high * units(self.position) - self.trade.entry_value
            if self.trade.side < 0:
                worst, best = -best, -worst
            self.trade.mae = min(self.trade.mae, worst)
            self.trade.mfe = max(self.trade.mfe, best)

    cdef void sample(self, ns_t now_ns) noexcept nogil:
        """Equity now: its peak, the deepest fall from it, and a row when every bar is kept."""
        cdef paise_t equity = portfolio_equity(self.portfolio)
        cdef EquityRow *row
        if self.gate.guards is not None:
            guards_watch(self.gate.guards, now_ns, equity)
        if equity > self.equity_peak:
            self.equity_peak = equity
        elif self.equity_peak - equity > self.drawdown_max:
            self.drawdown_max = self.equity_peak - equity
        if self.rules.equity_each_bar:
            DF_ASSERT(self.log.equity_count < self.log.equity_max)
            row = &self.log.equity[self.log.equity_count]
            row.time_ns, row.equity, row.position = now_ns, equity, self.position
            self.log.equity_count += 1

    cdef void time_rules(self, ns_t now_ns) noexcept nogil:
        """Square-off: at or after the session's time nothing may stay open or on its way in."""
        cdef const Session *session = self.session
        if self.leaving and self.position != 0 and self.exit_id == 0:
            self.close_out(self.leave_reason, self.leave_flags, now_ns)   # its exit was refused
            self.settle()
        if self.gate.guards is not None and self.gate.guards.state.wish_flat:
            self.gate.guards.state.wish_flat = 0
            self.leave(Reason.RISK_EXIT, 0, now_ns)
            self.settle()
        if session.square_off_ns == 0 or now_ns < session.square_off_ns:
            if self.stop_rules.timed:
                time_stop(self, now_ns)
            return
        if self.position == 0 and self.entering == 0:
            return
        if session.contract == session.date:
            self.leave(Reason.EXPIRY_EXIT, OrderFlag.SQUARE_OFF, now_ns)
        else:
            self.leave(Reason.TIME_EXIT, OrderFlag.SQUARE_OFF, now_ns)
        self.settle()

    cdef void measure(self, const Bar *bar, bint first) noexcept nogil:
        """What sizes and distances count in, by a bar that is complete."""
        if self.stop_rules.atr_period:
            atr_step(&self.atr, 0.01 * bar.high, 0.01 * bar.low, 0.01 * bar.close)
        if self.size_rules.method == SizeMethod.VOLATILITY:
            size_bar(&self.size_rules, &self.size_state, bar, first)
        if self.broker.measures:
            self.broker.measure(bar, self.rules.interval_ns, first)

    cdef void signal_bar(self, const Bar *bar, ns_t end_ns, int first) noexcept nogil:
        cdef View *view = &self.view
        cdef Signal signal
        self.bars_seen += 1
        if self.position != 0:
            self.trade.bars += 1
            view.bars_held = self.trade.bars
            if self.stop_rules.timed:
                time_stop(self, end_ns)
        if self.measures:
            self.measure(bar, first)
        view.session_start = first
        self.signal_level = bar.close
        if self.chain is not None:
            self.chain_sets(end_ns, end_ns)
            if self.status != Status.OK:
                return
        self.look(end_ns)
        signal.action, signal.share, signal.stop, signal.target = Action.HOLD, 0, 0.0, 0.0
        self.strategy.on_bar(bar, view, &signal)
        if self.strategy.failed:
            self.status = Status.PYTHON_ERROR
            return
        if signal.action != Action.HOLD:
            self.act(&signal, end_ns)
            self.settle()

    cdef void chain_sets(self, ns_t until_ns, ns_t now_ns) noexcept nogil:
        cdef const ChainRow *row
        cdef Signal signal
        cdef ns_t at_ns
        while self.status == Status.OK:
            row = self.chain.row(self.chain_at)
            if row == NULL and self.chain_at < self.chain.count:
                self.chain_at = self.chain.count - SETS_KEPT     # it is no longer kept
                continue
            if row == NULL or row.at_ns > until_ns:
                return
            self.chain_at += 1
            if row.at_ns < self.session.open_ns:
                continue
            at_ns = max(row.at_ns, now_ns)
            signal.action, signal.share, signal.stop, signal.target = Action.HOLD, 0, 0.0, 0.0
            self.chain_seen += 1
            self.look(at_ns)
            self.strategy.on_chain(row, &self.view, &signal)
            if self.strategy.failed:
                self.status = Status.PYTHON_ERROR
                return
            if signal.action != Action.HOLD:
                self.act(&signal, at_ns)
                self.settle()

    cdef ns_t chain_next(self) noexcept nogil:
        cdef const ChainRow *row
        if self.chain is None:
            return INT64_MAX
        row = self.chain.row(self.chain_at)
        return INT64_MAX if row == NULL else row.at_ns

    # ---- the loops ----------------------------------------------------------------------------

    cdef Status run_same(self, const Bar *bars, size_t n) noexcept nogil:
        """Signals and fills on one array; LOG_FULL stops between chunks and may be called again."""
        cdef Selection *chunk = &self.main
        cdef const Bar *bar
        cdef const Bar *ahead
        cdef size_t i, coming
        cdef ns_t end_ns
        while chunk.base + chunk.taken < n:
            if self.log.nearly_full(CHUNK):
                return Status.LOG_FULL
            self.status = self.select(chunk, bars, n)
            if self.status != Status.OK:
                return self.status
            self.strategy.prepare(&bars[chunk.base], &chunk.index[0], &chunk.first[0], chunk.count)
            ahead = &bars[chunk.base + chunk.taken]
            coming = min(<size_t>CHUNK, n - chunk.base - chunk.taken)
            for i in range(chunk.count):
                bar = &bars[chunk.base + chunk.index[i]]
                if i < coming:
                    df_prefetch(&ahead[i])     # memory would stand idle while bars are worked on
                if chunk.session_of[i] != self.session_at:
                    self.enter_session(chunk.session_of[i], bar.start_ns)
                end_ns = bar_end(&self.sessions[self.session_at], bar.start_ns,
                                 self.rules.interval_ns)
                self.match_bar(bar, end_ns)
                self.signal_bar(bar, end_ns, chunk.first[i])
                if self.status != Status.OK:
                    return self.status
        return Status.OK

    # ---- the Python door ------------------------------------------------------------------------

    def run(self, const unsigned char[::1] bars):
        """Run over bars; call again with later bars to go on. Returns False when the log is full.

        Args:
            bars: the bytes of a BAR_DTYPE array in ascending order (`array.view("u1")`): what
                orders meet and what the strategy sees. `_core.loops` runs ticks, or bars of two
                lengths.
        Returns:
            True when every bar was used; False when `log.drain()` must be called first. Then call
            `run` again with the same array.
        Raises:
            BadData: bars out of order, a price of zero or less, high below low.
            StrategyError: the strategy raised; the cause is chained.
        """
        cdef size_t n = bars.shape[0] // sizeof(Bar)
        cdef Status status
        if n == 0:
            return True
        if self.strategy.python:
            status = self.run_same(<const Bar *>&bars[0], n)
        else:
            with nogil:
                status = self.run_same(<const Bar *>&bars[0], n)
        return self.stopped(status)

    cdef bint stopped(self, Status status) except -1:
        """What a loop's end means: True all used, False the log is full; else an exception."""
        if status == Status.LOG_FULL:
            return False
        if status == Status.PYTHON_ERROR:
            if isinstance(self.strategy.error, KeyboardInterrupt):
                raise self.strategy.error
            raise StrategyError(
                f"strategy stopped: {type(self.strategy.error).__name__}: {self.strategy.error}"
                f"{raised_at(self.strategy.error)}") from self.strategy.error
        check(status)
        self.main.base = self.main.taken = self.main.count = self.main.at = 0
        self.side.base = self.side.taken = self.side.count = self.side.at = 0
        return True

    def finish(self):
        """End of data: close what is open at the last price, bill the last day.

        Raises:
            DhanfastError: the closing order was refused. StrategyError: on_fill raised.
        """
        cdef Status status = Status.OK
        if self.session_at == self.session_count:
            return
        with nogil:
            self.close_at_last(Reason.END_OF_DATA)
            self.portfolio.close_day()
            if not self.rules.equity_each_bar:
                self.log.add_equity(self.last_ns, self.portfolio.equity(), self.position)
            self.session_at = self.session_count
            status = Status.PYTHON_ERROR if self.strategy.failed else self.status
        self.stopped(status)
        if self.position != 0:
            raise OrderRefused(f"the order that closes {self.position} units at the end of the "
                               "data was refused: see the last rows of the orders")

    def end_day(self, int64_t now_ns=0):
        """Bill the day in progress and sample equity after it; nothing is closed for it.

        Args:
            now_ns: when the run was stopped, UTC ns; 0, or a time before the last event: that
                event's.
        """
        if self.session_at != self.session_count:
            self.portfolio.close_day()
            self.log.add_equity(max(self.last_ns, now_ns), self.portfolio.equity(), self.position)

    def see_chain(self, ChainFeed chain not None):
        """Have the strategy shown the sets of a feed, if it wants them.

        Args:
            chain: whose sets the run is told.
        """
        if self.strategy.wants_chain:
            self.chain, self.chain_at = chain, 0

    @property
    def equity(self):
        """Capital plus realised and open profit less charges, paise."""
        return self.portfolio.equity()

    @property
    def stop_local(self):
        """The stop that is watched here and not at the exchange, paise; 0 = none."""
        return self.stop_state.local

    def size_explained(self):
        """The last decision on a size: what it was made of, in rupees and lots, and its reason.

        Returns:
            dict; lots is 0 for an entry that was not sent, `reason` says why and `cut` which limit
            made it smaller.
        """
        return explained(&self.size_rules, &self.size_state)

    @property
    def sizes(self):
        """Sizes decided so far by SizeReason name, those that occurred only."""
        return {reason.name: self.size_state.counts[<int>reason] for reason in SizeReasons
                if self.size_state.counts[<int>reason]}
