"""Show a strategy the bars of a run before it decides in it."""

from libc.math cimport NAN
from libc.stdint cimport int64_t, uint8_t, uint32_t

from dhanfast._core.kernel cimport CHUNK
from dhanfast._core.status cimport Status
from dhanfast._core.strategy cimport Action, NativeStrategy, Signal, View
from dhanfast._core.types cimport Bar

from dhanfast.errors import StrategyError


cdef void _show(NativeStrategy strategy, const Bar *bars, size_t n, bint fresh,
                int64_t interval_ns, int64_t position, double entry_price) noexcept nogil:
    """Up to CHUNK bars: its series, then its decisions, which nobody hears."""
    cdef uint32_t index[CHUNK]
    cdef uint8_t first[CHUNK]
    cdef Signal signal
    cdef View view
    cdef size_t i
    for i in range(n):
        index[i], first[i] = <uint32_t>i, 0
    first[0] = fresh
    view.position, view.entry_price = position, entry_price
    view.bars_held = view.can_enter = 0
    strategy.prepare(bars, &index[0], &first[0], n)
    for i in range(n):
        view.now_ns, view.session_start = bars[i].start_ns + interval_ns, first[i]
        signal.action, signal.share, signal.stop, signal.target = Action.HOLD, 0, 0.0, 0.0
        strategy.on_bar(&bars[i], &view, &signal)
        if strategy.failed:
            return


def warm_up(NativeStrategy strategy not None, const unsigned char[::1] bars, int64_t interval_ns,
            *, size_t shown=0, int64_t position=0, double entry_price=NAN):
    """Show a strategy the bars of one session; entries are not allowed in it.

    What it wishes is not heard. The GIL is let go between two bars, of a strategy that needs none
    for all of them.

    Args:
        strategy: as the kernel will run it; no kernel runs it now.
        bars: bytes of a BAR_DTYPE array, the session's bars from its first on.
        interval_ns: length of a bar. shown: so many of the first bars it has seen already.
        position, entry_price: units and rupees that it sees as held; NaN when nothing is.
    Raises:
        StrategyError: it raised; the cause is chained.
    """
    cdef size_t n = bars.shape[0] // sizeof(Bar)
    cdef size_t at = shown, count
    cdef const Bar *rows
    while at < n and strategy.failed == Status.OK:
        rows = <const Bar *>&bars[0] + at
        count = min(<size_t>CHUNK, n - at)
        with nogil:
            _show(strategy, rows, count, at == 0, interval_ns, position, entry_price)
        at += count
    if strategy.failed:
        raise StrategyError(f"on an earlier bar of the day: {type(strategy.error).__name__}: "
                            f"{strategy.error}") from strategy.error
