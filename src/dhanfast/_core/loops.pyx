"""Loops: see loops.pxd for the order of steps."""

cimport cython
from libc.stdint cimport uint8_t, uint32_t

from dhanfast._core.bars cimport bars_advance, bars_tick
from dhanfast._core.kernel cimport CHUNK, Selection
from dhanfast._core.strategy cimport Action, Signal
from dhanfast._core.tradebook cimport bar_end
from dhanfast._core.types cimport Session


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


cdef void _decide_on_bars(Kernel kernel, const Bar *bars, size_t count) noexcept nogil:
    cdef size_t i
    cdef uint32_t zero = 0
    cdef uint8_t first
    cdef ns_t end_ns
    for i in range(count):
        first = kernel.fresh
        kernel.fresh = 0
        kernel.strategy.prepare(&bars[i], &zero, &first, 1)
        end_ns = bar_end(&kernel.sessions[kernel.session_at], bars[i].start_ns,
                         kernel.rules.interval_ns)
        kernel.sample(end_ns)
        kernel.signal_bar(&bars[i], end_ns, first)


cdef Status _step(TickLoop loop, Kernel kernel, BarState *state,
                  const Tick *tick) noexcept nogil:
    cdef Bar closed[BARS_A_TICK]
    cdef Signal signal
    cdef ns_t now_ns = tick.exch_ns
    cdef size_t count
    if now_ns < loop.last_ns:
        loop.ticks_late += 1
        now_ns = loop.last_ns
    loop.last_ns = now_ns
    loop.ticks_seen += 1
    while True:                          # 1 close
        count = bars_advance(state, now_ns, &closed[0], BARS_A_TICK)
        _decide_on_bars(kernel, &closed[0], count)
        if not state.again:
            break
    if not _in_session(kernel, now_ns):
        loop.ticks_outside += 1
        return kernel.status
    if _is_later(kernel, kernel.main.scan):
        kernel.enter_session(kernel.main.scan, now_ns)
        kernel.fresh = 1
    if kernel.match.live:                # 2 match
        kernel.match.tick(tick)
        kernel.settle()
    kernel.last_ns = now_ns
    if tick.price > 0:                   # 3 mark
        kernel.mark_price(tick.price, tick.price, tick.price)
        kernel.last_bar.close = tick.price
    kernel.time_rules(now_ns)
    bars_tick(state, tick, &closed[0], BARS_A_TICK)   # 4 merge: nothing can be due any more
    if kernel.strategy.wants_ticks and kernel.status == Status.OK:   # 5 decide
        signal.action, signal.spare, signal.stop, signal.target = Action.HOLD, 0, 0.0, 0.0
        now_ns = max(now_ns, tick.recv_ns)  # nobody decides before the tick has arrived
        kernel.look(now_ns)
        kernel.strategy.on_tick(tick, &kernel.view, &signal)
        if kernel.strategy.failed:
            return Status.PYTHON_ERROR
        if signal.action != Action.HOLD:
            kernel.act(&signal, now_ns)
            kernel.settle()
    return kernel.status


cdef Status _run_ticks(TickLoop loop, Kernel kernel, const Tick *ticks, size_t n) noexcept nogil:
    cdef Status status
    while loop.done < n:
        if kernel.log.nearly_full(BARS_A_TICK):
            return Status.LOG_FULL
        status = _step(loop, kernel, &loop.builder.state, &ticks[loop.done])
        loop.done += 1
        if status != Status.OK:
            return status
    return Status.OK


@cython.final
cdef class TickLoop:
    """Runs ticks of the traded instrument through a kernel, making its signal bars on the way.

    Args:
        kernel: its rules say how long a signal bar is.
        builder: time bars of that length over the kernel's sessions.
    Attributes:
        ticks_seen: all of them. ticks_outside: outside every session, skipped.
        ticks_late: with an exchange time before the newest; used at the newest time.
    """

    def __cinit__(self, Kernel kernel not None, TimeBars builder not None):
        self.kernel, self.builder = kernel, builder
        kernel.in_parts = True           # a tick offers a quantity, a bar does not

    def run(self, const unsigned char[::1] ticks):
        """Run over the bytes of a TICK_DTYPE array; call again with later ticks to go on.

        Returns:
            True when all were used; False when `kernel.log.drain()` must be called first, then call
            again with the same array.
        Raises:
            BadData, StrategyError: as `Kernel.run`.
        """
        cdef size_t n = ticks.shape[0] // sizeof(Tick)
        cdef Status status
        if n == 0:
            return True
        if self.kernel.strategy.python:
            status = _run_ticks(self, self.kernel, <const Tick *>&ticks[0], n)
        else:
            with nogil:
                status = _run_ticks(self, self.kernel, <const Tick *>&ticks[0], n)
        if self.kernel.stopped(status):
            self.done = 0
            return True
        return False

    def close_bars(self):
        """End of data: the strategy sees the bars that the session's end would have closed."""
        cdef Bar closed[BARS_A_TICK]
        cdef size_t count
        cdef Kernel kernel = self.kernel
        cdef const Session *session
        if kernel.session_at == kernel.session_count:
            return
        session = &kernel.sessions[kernel.session_at]
        count = bars_advance(&self.builder.state, max(session.close_ns, session.close2_ns),
                             &closed[0], BARS_A_TICK)
        _decide_on_bars(kernel, &closed[0], count)
        kernel.stopped(kernel.status)
