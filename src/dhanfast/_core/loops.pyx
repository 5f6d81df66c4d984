"""Loops: see loops.pxd for the order of steps."""

cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t

from dhanfast._core.bars cimport VolumeFrom, bars_advance, bars_tick
from dhanfast._core.dealer cimport quoted
from dhanfast._core.guardlocks cimport guards_calm, guards_watch
from dhanfast._core.holding cimport is_time_over, watch_price
from dhanfast._core.kernel cimport CHUNK, Selection
from dhanfast._core.portfolio cimport portfolio_equity
from dhanfast._core.stops cimport stop_tighter, stops_best, stops_quiet
from dhanfast._core.strategy cimport Action, Signal
from dhanfast._core.tradebook cimport bar_end, units
from dhanfast._core.types cimport Session, paise_t

import numpy as np

from dhanfast._core.bars import boundary_table
from dhanfast._core.types import BAR_DTYPE
from dhanfast.errors import BadData


cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)


cdef void _signals_until(Kernel kernel, const Bar *signal_bars, size_t m,
                         ns_t until_ns) noexcept nogil:
    """Show the strategy every signal bar that is complete at until_ns."""
    cdef Selection *chunk = &kernel.side
    cdef const Bar *bar
    cdef ns_t end_ns
    while kernel.status == Status.OK:
        if chunk.at == chunk.count:
            if chunk.base + chunk.taken >= m:
                return
            kernel.status = kernel.select(chunk, signal_bars, m)
            if kernel.status == Status.OK:
                kernel.strategy.prepare(&signal_bars[chunk.base], &chunk.index[0],
                                        &chunk.first[0], chunk.count)
            continue
        bar = &signal_bars[chunk.base + chunk.index[chunk.at]]
        end_ns = bar_end(&kernel.sessions[chunk.session_of[chunk.at]], bar.start_ns,
                         kernel.rules.interval_ns)
        if end_ns > until_ns:
            return
        if _is_later(kernel, chunk.session_of[chunk.at]):
            kernel.enter_session(chunk.session_of[chunk.at], bar.start_ns)
        kernel.signal_bar(bar, end_ns, chunk.first[chunk.at])
        chunk.at += 1


cdef inline bint _is_later(Kernel kernel, size_t session) noexcept nogil:
    return kernel.session_at == kernel.session_count or session > kernel.session_at


cdef Status _split(Kernel kernel, const Bar *bars, size_t n, const Bar *signal_bars,
                   size_t m) noexcept nogil:
    cdef Selection *chunk = &kernel.main
    cdef const Bar *bar
    cdef size_t i
    cdef ns_t end_ns
    while chunk.base + chunk.taken < n:
        if kernel.log.nearly_full(2 * CHUNK):
            return Status.LOG_FULL
        kernel.status = kernel.select(chunk, bars, n)
        if kernel.status != Status.OK:
            return kernel.status
        for i in range(chunk.count):
            bar = &bars[chunk.base + chunk.index[i]]
            _signals_until(kernel, signal_bars, m, bar.start_ns)
            if _is_later(kernel, chunk.session_of[i]):
                kernel.enter_session(chunk.session_of[i], bar.start_ns)
            end_ns = bar_end(&kernel.sessions[kernel.session_at], bar.start_ns,
                             kernel.rules.match_interval_ns)
            kernel.match_bar(bar, end_ns)
            if kernel.chain is not None and kernel.signal_level:
                kernel.chain_sets(end_ns, end_ns)
            _signals_until(kernel, signal_bars, m, end_ns)
            if kernel.status != Status.OK:
                return kernel.status
    _signals_until(kernel, signal_bars, m, <ns_t>0x7fffffffffffffff)
    return kernel.status


def run_split(Kernel kernel not None, const unsigned char[::1] bars,
              const unsigned char[::1] signal_bars):
    """Run with orders meeting `bars` and the strategy seeing `signal_bars`.

    The two are merged by when a bar is complete; a decision meets `bars` that start at or after it.

    Args:
        bars, signal_bars: bytes of BAR_DTYPE arrays, each ascending.
    Returns:
        True when all were used; False when `kernel.log.drain()` must be called first, then call
        again with the same arrays.
    Raises:
        BadData, StrategyError: as `Kernel.run`.
    """
    cdef size_t n = bars.shape[0] // sizeof(Bar)
    cdef size_t m = signal_bars.shape[0] // sizeof(Bar)
    cdef Status status
    if n == 0 or m == 0:
        return True
    cdef const Bar *meets = <const Bar *>&bars[0]
    cdef const Bar *shown = <const Bar *>&signal_bars[0]
    if kernel.strategy.python:
        status = _split(kernel, meets, n, shown, m)
    else:
        with nogil:
            status = _split(kernel, meets, n, shown, m)
    return kernel.stopped(status)


cdef bint _in_session(Kernel kernel, ns_t at_ns) noexcept nogil:
    """Whether a session is open at a time, entering it when it is a later one."""
    cdef size_t at = kernel.main.scan
    cdef const Session *session
    while at + 1 < kernel.session_count and at_ns >= kernel.sessions[at + 1].open_ns:
        at += 1
    kernel.main.scan = at
    session = &kernel.sessions[at]
    return ((session.open_ns <= at_ns and at_ns < session.close_ns)
            or (session.open2_ns <= at_ns and at_ns < session.close2_ns))


cdef inline bint _open_now(Kernel kernel, ns_t at_ns) noexcept nogil:
    """Whether the session in force is open at a time."""
    cdef const Session *session = kernel.session
    return ((session.open_ns <= at_ns and at_ns < session.close_ns)
            or (session.open2_ns <= at_ns and at_ns < session.close2_ns))


cdef void _decide_on_bars(TickLoop loop, Kernel kernel, const Bar *bars,
                          size_t count) noexcept nogil:
    cdef size_t i
    cdef uint32_t zero = 0
    cdef uint8_t first
    cdef ns_t end_ns
    if count == 0:
        return
    _tell(loop, kernel)
    for i in range(count):
        first = kernel.fresh
        kernel.fresh = 0
        kernel.strategy.prepare(&bars[i], &zero, &first, 1)
        end_ns = bar_end(kernel.session, bars[i].start_ns, kernel.rules.interval_ns)
        if kernel.broker.wake_ns <= end_ns:
            kernel.broker.wake(end_ns)
            kernel.settle()
        kernel.sample(end_ns)
        kernel.signal_bar(&bars[i], end_ns, first)
        DF_ASSERT(loop.bar_count < BARS_KEPT)
        loop.bars[loop.bar_count] = bars[i]
        loop.bar_count += 1


# ---- what the exchange knows of the market -------------------------------------------------------

cdef inline void _show(TickLoop loop, const Tick *tick, const Tick *quote) noexcept nogil:
    """The last tick, and the last that carried a quote (NULL when none did)."""
    if not loop.unsaid:
        loop.shown.bid = loop.shown.ask = loop.shown.price = 0
        loop.unsaid = True
    loop.shown.exch_ns, loop.shown.recv_ns = tick.exch_ns, tick.recv_ns
    loop.shown.volume = tick.volume
    if tick.price > 0:
        loop.shown.price, loop.shown.qty = tick.price, tick.qty
    if quote != NULL:
        loop.shown.bid, loop.shown.bid_qty = quote.bid, quote.bid_qty
        loop.shown.ask, loop.shown.ask_qty = quote.ask, quote.ask_qty


cdef inline void _tell(TickLoop loop, Kernel kernel) noexcept nogil:
    """Tell the exchange the market as it is now. Nothing that works there is near it."""
    if loop.unsaid:
        loop.unsaid = False
        quoted(kernel, loop.shown.bid, loop.shown.ask)
        kernel.broker.tick(&loop.shown)
        kernel.settle()                  # at most late answers on orders that have ended


# ---- many ticks that change nothing but marks and the open bar -----------------------------------

cdef ns_t _quiet_until(TickLoop loop, Kernel kernel, const BarState *state) noexcept nogil:
    """The first time that a tick must be looked at alone; 0 = the next one must."""
    cdef ns_t until = state.bar.start_ns + <ns_t>state.span
    cdef ns_t square_off, over_ns
    if state.span == 0 or loop.singly or kernel.strategy.wants_ticks:
        return 0
    if kernel.chain_next() < until:      # the first tick after the next set is not quiet
        until = max(kernel.chain_next(), loop.last_ns) + 1
    if kernel.position != 0 or kernel.entering != 0:
        square_off = kernel.session.square_off_ns
        if kernel.leaving and kernel.exit_id == 0:
            return 0
        if kernel.gate.guards is not None and kernel.gate.guards.state.wish_flat:
            return 0
        if kernel.stop_rules.time_max_ns and kernel.position != 0:
            over_ns = kernel.trade.entry_ns + kernel.stop_rules.time_max_ns
            if loop.last_ns < over_ns:
                until = min(until, over_ns)
        if square_off:
            if loop.last_ns >= square_off:
                return 0
            until = min(until, square_off)
    return until


cdef ns_t _quiet_stops(TickLoop loop, Kernel kernel, ns_t until, paise_t *floor,
                       paise_t *ceiling) noexcept nogil:
    """Narrow a quiet run to where no stop moves or is touched, and no time runs out."""
    cdef paise_t paid
    cdef int64_t held
    if kernel.stop_rules.watched:
        stops_quiet(&kernel.stop_rules, &kernel.stop_state,
                    stop_tighter(kernel.stop_state.side, kernel.stop_price,
                                 kernel.stop_state.local),
                    kernel.session.tick, loop.last_ns, &until, floor, ceiling)
    if not kernel.stop_rules.timed or not is_time_over(kernel, loop.last_ns):
        return until
    if not kernel.stop_rules.only_losing or kernel.leaving:
        return 0
    # Held for long enough, and kept while it has a profit: the prices at which it has none.
    held = units(kernel.position)
    paid = kernel.trade.entry_value - kernel.trade.exit_value
    if kernel.trade.side > 0:
        floor[0] = max(floor[0], paid // held if paid > 0 else 0)
    else:
        ceiling[0] = min(ceiling[0], (paid + held - 1) // held if paid > 0 else 0)
    return until


cdef size_t _quiet_run(TickLoop loop, Kernel kernel, BarState *state, const Tick *ticks,
                       size_t n) noexcept nogil:
    """How many leading ticks are quiet; they are marked and merged. Prices live in registers."""
    cdef ns_t start = state.bar.start_ns
    cdef ns_t until = _quiet_until(loop, kernel, state)
    cdef uint64_t span
    cdef paise_t floor = 0, ceiling = INT64_MAX, low = INT64_MAX, high = 0
    cdef paise_t quote_floor = INT64_MIN, quote_ceiling = INT64_MAX
    cdef uint64_t seen = state.volume_seen, back = 0, late = 0
    cdef uint32_t instrument = state.bar.instrument
    cdef ns_t newest = loop.last_ns
    cdef size_t i = 0
    cdef const Tick *tick
    cdef const Tick *quote = NULL
    if until <= start:
        return 0
    if kernel.broker.live:
        if not kernel.broker.calm(&floor, &ceiling):
            return 0
        quote_floor, quote_ceiling = floor, ceiling
    if kernel.gate.guards is not None and kernel.position != 0:
        guards_calm(kernel.gate.guards, kernel.position, kernel.portfolio.positions[0].mark,
                    portfolio_equity(kernel.portfolio), &floor, &ceiling)
    if kernel.position != 0 and (kernel.stop_rules.watched or kernel.stop_rules.timed):
        until = _quiet_stops(loop, kernel, until, &floor, &ceiling)
    span = <uint64_t>max(until - start, <ns_t>0)
    while i < n:
        tick = &ticks[i]
        if (<uint64_t>(tick.exch_ns - start) >= span or tick.price <= floor
                or tick.price >= ceiling or tick.instrument != instrument):
            break
        if tick.bid | tick.ask:
            if (tick.bid <= quote_floor or tick.ask <= quote_floor
                    or tick.bid >= quote_ceiling or tick.ask >= quote_ceiling):
                break
            quote = tick
        low = tick.price if tick.price < low else low
        high = tick.price if tick.price > high else high
        back += tick.volume < seen
        seen = tick.volume if tick.volume > seen else seen
        late += tick.exch_ns < newest
        newest = tick.exch_ns if tick.exch_ns > newest else newest
        i += 1
    if i == 0:
        return 0
    tick = &ticks[i - 1]
    state.bar.high, state.bar.low = max(state.bar.high, high), min(state.bar.low, low)
    state.bar.close, state.bar.oi = tick.price, tick.oi
    state.bar.ticks += <uint32_t>i
    state.bar.volume += <int64_t>(seen - state.volume_seen)
    state.volume_seen, state.volume_back = seen, state.volume_back + back
    loop.ticks_seen += i
    loop.ticks_late += late
    loop.last_ns = kernel.last_ns = newest
    kernel.mark_price(low, high, tick.price)
    if kernel.stop_rules.watched and kernel.position != 0:
        stops_best(&kernel.stop_state, low, high)
    kernel.last_bar.close = tick.price
    _show(loop, tick, quote)
    return i


# ---- one tick ------------------------------------------------------------------------------------

cdef void _match(TickLoop loop, Kernel kernel, const Tick *tick) noexcept nogil:
    cdef Tick here
    if not kernel.broker.live and kernel.position == 0:
        _show(loop, tick, tick if tick.bid > 0 or tick.ask > 0 else NULL)
        return
    _tell(loop, kernel)
    here = tick[0]
    here.instrument = 0                  # the kernel's number of what it trades
    quoted(kernel, here.bid, here.ask)   # before what it fills or triggers
    kernel.broker.tick(&here)
    kernel.settle()


cdef inline void _sets_before(TickLoop loop, Kernel kernel, ns_t now_ns) noexcept nogil:
    """Sets of the option chain that came before a tick: what they ask for may meet it."""
    if kernel.chain_next() < now_ns:
        _tell(loop, kernel)
        kernel.chain_sets(now_ns - 1, kernel.last_ns)


cdef Status _step(TickLoop loop, Kernel kernel, BarState *state,
                  const Tick *tick) noexcept nogil:
    cdef Bar closed[BARS_A_TICK]
    cdef Signal signal
    cdef ns_t now_ns = tick.exch_ns
    cdef size_t count
    if now_ns < loop.last_ns:
        now_ns = loop.last_ns
    if tick.instrument != state.bar.instrument:
        loop.foreign = True
        return Status.BAD_PACKET
    if tick.price < 0 or tick.bid < 0 or tick.ask < 0:
        return Status.BAD_PRICE
    if loop.until_ns and now_ns >= loop.until_ns:
        loop.beyond_ns = now_ns
        return Status.OUT_OF_CALENDAR
    loop.ticks_late += tick.exch_ns < loop.last_ns
    loop.last_ns = now_ns
    loop.ticks_seen += 1
    while True:                          # 1 close
        count = bars_advance(state, now_ns, &closed[0], BARS_A_TICK)
        _decide_on_bars(loop, kernel, &closed[0], count)
        if not state.again:
            break
    if not _in_session(kernel, now_ns):
        loop.ticks_outside += 1
        return kernel.status
    if _is_later(kernel, kernel.main.scan):
        kernel.enter_session(kernel.main.scan, now_ns)
        kernel.fresh = 1
        loop.unsaid = False              # yesterday's market
    _sets_before(loop, kernel, now_ns)
    _match(loop, kernel, tick)           # 2 match
    kernel.last_ns = now_ns
    if tick.price > 0:                   # 3 mark
        kernel.mark_price(tick.price, tick.price, tick.price)
        kernel.last_bar.close = tick.price
        if kernel.gate.guards is not None:
            guards_watch(kernel.gate.guards, now_ns, portfolio_equity(kernel.portfolio))
        if kernel.stop_rules.watched and kernel.position != 0:
            # Nobody decides before the tick has arrived.
            watch_price(kernel, tick.price, tick.price, tick.price, now_ns,
                        max(now_ns, tick.recv_ns))
    kernel.time_rules(now_ns)
    bars_tick(state, tick, &closed[0], BARS_A_TICK)   # 4 merge: nothing can be due any more
    if kernel.strategy.wants_ticks and kernel.status == Status.OK:   # 5 decide
        signal.action, signal.share, signal.stop, signal.target = Action.HOLD, 0, 0.0, 0.0
        now_ns = max(now_ns, tick.recv_ns)  # nobody decides before the tick has arrived
        if tick.price > 0:
            kernel.signal_level = tick.price
        kernel.look(now_ns)
        kernel.strategy.on_tick(tick, &kernel.view, &signal)
        if kernel.strategy.failed:
            return Status.PYTHON_ERROR
        if signal.action != Action.HOLD:
            _tell(loop, kernel)
            kernel.act(&signal, now_ns)
            kernel.settle()
    return kernel.status


cdef Status loop_ticks(TickLoop loop, Kernel kernel, const Tick *ticks,
                       size_t n) noexcept nogil:
    cdef BarState *state = &loop.builder.state
    cdef Status status
    while loop.done < n:
        loop.done += _quiet_run(loop, kernel, state, ticks + loop.done, n - loop.done)
        if loop.done == n:
            return Status.OK
        if kernel.log.nearly_full(BARS_A_TICK) or loop.bar_count + BARS_A_TICK > BARS_KEPT:
            return Status.LOG_FULL
        status = _step(loop, kernel, state, &ticks[loop.done])
        if status != Status.OK:
            return status
        loop.done += 1
    return Status.OK


# ---- figures of the option chain -----------------------------------------------------------------

cdef Status loop_chain(TickLoop loop, Kernel kernel, ns_t now_ns) noexcept nogil:
    if kernel.chain is None or kernel.session_at == kernel.session_count:
        return kernel.status             # nobody asks, or no tick has come yet
    if _open_now(kernel, now_ns):
        _tell(loop, kernel)
        kernel.chain_sets(now_ns, loop.last_ns)
    else:
        kernel.chain_at = kernel.chain.known(kernel.chain_at, now_ns)
    return kernel.status


# ---- time without ticks --------------------------------------------------------------------------

cdef Status loop_timer(TickLoop loop, Kernel kernel, ns_t now_ns, ns_t bars_ns) noexcept nogil:
    cdef Bar closed[BARS_A_TICK]
    cdef size_t count
    if kernel.session_at == kernel.session_count:
        return Status.OK                 # no tick has come yet
    now_ns = max(now_ns, loop.last_ns)
    while True:
        count = bars_advance(&loop.builder.state, min(bars_ns, now_ns), &closed[0], BARS_A_TICK)
        _decide_on_bars(loop, kernel, &closed[0], count)
        if not loop.builder.state.again:
            break
    _tell(loop, kernel)
    kernel.broker.wake(now_ns)
    kernel.settle()
    kernel.time_rules(now_ns)
    kernel.settle()
    return kernel.status


cdef ns_t loop_due(TickLoop loop, Kernel kernel, ns_t grace_ns) noexcept nogil:
    cdef const BarState *state = &loop.builder.state
    cdef ns_t due_ns = INT64_MAX
    if kernel.session_at == kernel.session_count:
        return due_ns
    due_ns = kernel.broker.wake_ns
    if state.span:
        due_ns = min(due_ns, state.bar.start_ns + <ns_t>state.span + grace_ns)
    if (kernel.position != 0 or kernel.entering != 0) and kernel.session.square_off_ns:
        if kernel.session.square_off_ns > loop.last_ns:
            due_ns = min(due_ns, kernel.session.square_off_ns)
    if kernel.stop_rules.time_max_ns and kernel.position != 0:
        if kernel.trade.entry_ns + kernel.stop_rules.time_max_ns > loop.last_ns:
            due_ns = min(due_ns, kernel.trade.entry_ns + kernel.stop_rules.time_max_ns)
    if kernel.leaving and kernel.position != 0 and kernel.exit_id == 0:
        due_ns = min(due_ns, loop.last_ns + 100_000_000)     # its exit was refused: again
    return due_ns


@cython.final
cdef class TickLoop:
    """Runs ticks of the traded instrument through a kernel, making its signal bars on the way.

    Args:
        kernel: its rules say how long a signal bar is.
        builder: time bars of that length over the kernel's sessions, of the ticks' instrument.
        until_ns: the sessions are known before this time; a tick at or after it stops the loop.
            0 = for ever.
        singly: True takes every tick by itself, also those that change nothing: slower, the same.
    Attributes:
        ticks_seen: all of them. ticks_outside: outside every session, skipped.
        ticks_late: with an exchange time before the newest; used at the newest time.
        until_ns: as given. beyond_ns: time of the tick that stopped the loop there.
    Raises:
        ValueError: the builder makes flat bars, or counts volume otherwise than from the day's
            running total.
    """

    def __cinit__(self, Kernel kernel not None, TimeBars builder not None, *, int64_t until_ns=0,
                  bint singly=False):
        if builder.state.volume_from != VolumeFrom.CUMULATIVE:
            raise ValueError("builder must count volume='cumulative': it is what ticks carry")
        if builder.state.flat:
            raise ValueError("builder must not make flat bars: one tick could close any number")
        self.kernel, self.builder = kernel, builder
        self.until_ns, self.singly = until_ns, singly
        kernel.in_parts = True           # a tick offers a quantity, a bar does not
        self._make_bars()

    cdef object _make_bars(self):
        cdef unsigned char[::1] raw
        self._bar_rows = np.empty(BARS_KEPT, BAR_DTYPE)
        raw = self._bar_rows.view(np.uint8)
        self.bars, self.bar_count = <Bar *>&raw[0], 0

    def run(self, const unsigned char[::1] ticks):
        """Run over the bytes of a TICK_DTYPE array; call again with later ticks to go on.

        Returns:
            True when all were used; False when `kernel.log.drain()` and `take_bars()` must be
            called first, then call again with the same array.
        Raises:
            BadData: a tick of another instrument, or a price below zero.
            OutOfCalendar: a tick at or after `until_ns`; call again with the same array when
                `extend` has brought its sessions.
            StrategyError: as `Kernel.run`.
        """
        cdef size_t n = ticks.shape[0] // sizeof(Tick)
        cdef Status status
        if n == 0:
            return True
        if self.kernel.strategy.python:
            status = loop_ticks(self, self.kernel, <const Tick *>&ticks[0], n)
        else:
            with nogil:
                status = loop_ticks(self, self.kernel, <const Tick *>&ticks[0], n)
        if self.foreign:
            raise BadData(f"tick {self.ticks_seen} is not of instrument "
                          f"{self.builder.state.bar.instrument}: select one instrument's ticks")
        if self.kernel.stopped(status):
            self.done = 0
            return True
        return False

    def take_bars(self):
        """The bars made since the last call, as the strategy saw them.

        Shape:
            BAR_DTYPE[n].
        """
        made = self._bar_rows[:self.bar_count].copy()
        self.bar_count = 0
        return made

    def extend(self, sessions, int64_t until_ns):
        """More sessions after those the kernel has, known before `until_ns` (0 = for ever).

        Args:
            sessions: SESSION_DTYPE array that begins with the rows there are.
        Raises:
            ValueError: it does not.
        """
        cdef const int64_t[:, ::1] pairs
        table = boundary_table(sessions)
        self.kernel.extend(sessions)
        pairs = table
        self.builder._windows = table
        self.builder.state.windows, self.builder.state.windows_count = &pairs[0, 0], len(table)
        self.until_ns = until_ns

    def close_bars(self):
        """End of data: the strategy sees the bars that the session's end would have closed."""
        cdef Bar closed[BARS_A_TICK]
        cdef size_t count
        cdef Kernel kernel = self.kernel
        if kernel.session_at == kernel.session_count:
            return
        count = bars_advance(&self.builder.state,
                             max(kernel.session.close_ns, kernel.session.close2_ns),
                             &closed[0], BARS_A_TICK)
        _decide_on_bars(self, kernel, &closed[0], count)
        kernel.stopped(kernel.status)
