"""The loop: take an event, update state, ask the strategy, check risk, send the order.

Owner thread:  the engine thread only.   Memory: none after construction.

One traded instrument (index 0). A bar event of the traded instrument goes through these steps, and
nothing else happens between two events:
    1  match     what working orders do at the bar's first print, then inside the bar
    2  book      fills change the position; an entry's fill attaches its stop and target
    3  mark      the close is the new mark; equity is sampled
    4  decide    the strategy sees the bar (a bar is known only at its end) and says what it wants
    5  act       time rules first, then the signal; each order passes the risk gate
A decision taken in step 4 cannot meet a price of the same bar: its order is first looked at in
step 1 of the next event.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.chainfeed cimport ChainFeed
from dhanfast._core.dealer cimport Dealer, Opposite
from dhanfast._core.portfolio cimport Portfolio
from dhanfast._core.risk cimport Gate
from dhanfast._core.runlog cimport RunLog
from dhanfast._core.sizing cimport Sizing
from dhanfast._core.status cimport Status
from dhanfast._core.stops cimport Stops
from dhanfast._core.strategy cimport NativeStrategy, Signal, View
from dhanfast._core.types cimport Bar, Session, ns_t, paise_t

cdef enum:
    CHUNK = 256              # bars prepared ahead: columns of 2 KiB, a program stays inside L1


cdef struct KernelRules:
    ns_t interval_ns         # of the signal bars
    ns_t match_interval_ns   # of the bars that orders meet
    paise_t slippage         # paise on market fills and triggered stops, beside
    int64_t slippage_ticks   # so many ticks of the session in force
    paise_t stop_more        # in addition (or less) on triggered stops
    int32_t equity_each_bar  # 1: one sample a bar; 0: one a session


# The bars of one array that lie inside sessions, up to CHUNK at a time.
cdef struct Selection:
    size_t base              # the chunk's first bar in its array
    size_t taken             # bars of the array the chunk covers
    size_t count             # of them inside sessions
    size_t at                # next to be used
    size_t scan              # session of the last bar looked at
    ns_t last_start_ns       # start of the last bar looked at
    uint32_t index[CHUNK]    # from base
    uint32_t session_of[CHUNK]
    uint8_t first[CHUNK]     # 1 on the first bar of a session


cdef class Kernel(Dealer):
    cdef object _sessions_owner      # keeps the array alive
    cdef const Session *sessions
    cdef size_t session_count
    cdef size_t session_at           # session in force; == session_count before the first
    cdef KernelRules rules
    cdef bint measures               # sizing or stops measure the signal bars

    cdef ChainFeed chain             # whose sets the strategy is shown; None = none
    cdef uint64_t chain_at           # the first that it has not been shown
    cdef readonly uint64_t chain_seen

    cdef Bar last_bar
    cdef uint8_t fresh               # the next bar made from ticks is its session's first

    cdef readonly uint64_t bars_seen
    cdef readonly uint64_t bars_outside
    cdef readonly uint64_t bars_matched
    cdef readonly paise_t equity_peak
    cdef readonly paise_t drawdown_max       # paise, >= 0, over every bar

    cdef Selection main              # of the bars that orders meet
    cdef Selection side              # of the signal bars, when they are others

    cdef object _take_sessions(self, sessions)
    cdef object _take_rules(self, Sizing sizing, Stops stops)
    cdef Status select(self, Selection *chunk, const Bar *bars, size_t n) noexcept nogil
    cdef void match_bar(self, const Bar *bar, ns_t end_ns) noexcept nogil
    cdef void signal_bar(self, const Bar *bar, ns_t end_ns, int first) noexcept nogil
    cdef void enter_session(self, size_t at, ns_t now_ns) noexcept nogil
    cdef void close_at_last(self, int reason) noexcept nogil
    cdef void mark_price(self, paise_t low, paise_t high, paise_t close) noexcept nogil
    cdef void sample(self, ns_t now_ns) noexcept nogil
    cdef void time_rules(self, ns_t now_ns) noexcept nogil
    cdef void measure(self, const Bar *bar, bint first) noexcept nogil
    # Show the strategy every set that is known by `until_ns`, each at its own time but not before
    # `now_ns`. A set from outside the session in force is passed over.
    cdef void chain_sets(self, ns_t until_ns, ns_t now_ns) noexcept nogil
    # When the next set comes; INT64_MAX when there is none to show.
    cdef ns_t chain_next(self) noexcept nogil
    cdef Status run_same(self, const Bar *bars, size_t n) noexcept nogil
    cdef bint stopped(self, Status status) except -1
