"""The dealer: what is wanted becomes orders, and what the exchange says becomes books.

Owner thread:  the engine thread only.   Memory: none after construction.

One instrument, at one index of broker, books and gate. What holds whenever a call into the dealer
has returned and the exchange has been heard out (`settle`):
    covered   a position has exactly one stop and one target at the exchange, each of as many units
              as are held, when its entry asked for them; a change of the position changes them at
              once, before the next market event
    one out   stop, target and exit of a position are one group: a unit that one of them takes is
              taken off the others, so together they never take more than is held
    flat      a wish to be flat holds until nothing is held and no entry is on its way: what an
              entry still brings leaves too
Orders are sent only when nothing the exchange has said is unheard, so their size is never stale.

    wish ──▶ act ──▶ enter / leave ──▶ send ──▶ gate ──▶ exchange
                                                            │ reports
      mend (cover, leave again, turn round) ◀── settle ◀────┘
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.broker cimport Broker, Departure
from dhanfast._core.indicators.atr cimport AtrState
from dhanfast._core.portfolio cimport Bill, Portfolio
from dhanfast._core.risk cimport Gate
from dhanfast._core.runlog cimport OrderRow, Passage, RunLog, Trade
from dhanfast._core.sizing cimport SizeRules, SizeState
from dhanfast._core.status cimport Status
from dhanfast._core.stops cimport StopRules, StopState
from dhanfast._core.strategy cimport NativeStrategy, Signal, View
from dhanfast._core.types cimport Order, Report, Session, ns_t, paise_t

cdef enum:
    WORKING_MAX = 32         # orders in flight at once for one instrument
    REPORTS_A_TAKE = 32


cpdef enum Opposite:
    """What an entry signal against the open position does."""

    KEEP = 0                 # is ignored until the position is closed by its own exits
    CLOSE = 1                # closes the position
    REVERSE = 2              # closes it and enters the other side


cdef enum Todo:              # bits: what reports ask for, done when all of them are heard
    COVER = 1                # stop and target no longer match what is held
    LEAVE = 2                # something is held that was wished away


# One order from its sending to its end. `asked` - `gone` is what it will still take when every
# request is answered; `left` is what the exchange last said.
cdef struct Working:
    OrderRow row
    Passage passage
    int64_t asked            # whole quantity last asked for, what has gone included
    int64_t gone             # of it filled, or taken off by a fill in its group
    int64_t left             # units, by the last report
    int64_t unanswered       # requests that the exchange has not answered yet
    uint8_t away             # how it left is known


# What was known when something was decided: an order's cost is counted from here.
cdef struct Decision:
    ns_t at_ns
    paise_t price            # the mark; of a stop its trigger, of a target its limit
    paise_t signal           # last level of what gives the signals


cdef class Dealer:
    cdef readonly Broker broker
    cdef readonly Portfolio portfolio
    cdef readonly Gate gate
    cdef readonly NativeStrategy strategy
    cdef readonly RunLog log
    cdef uint32_t instrument         # its index at broker, books and gate
    cdef uint32_t listed             # what is traded, as trades and orders name it
    cdef const Session *session      # in force; NULL before the first
    cdef Status status

    cdef int64_t lots                # an entry's size, unless `size_rules` say otherwise
    cdef SizeRules size_rules
    cdef SizeState size_state
    cdef StopRules stop_rules
    cdef StopState stop_state        # of the open position
    cdef AtrState atr                # of the signal bars, rupees; when a stop rule counts in it
    cdef double entry_atr            # when the entry on its way was decided
    cdef int32_t on_opposite         # Opposite
    cdef uint8_t in_parts            # orders may fill in parts (ticks)

    cdef Working working[WORKING_MAX]
    cdef size_t working_count
    cdef uint64_t next_id
    cdef uint64_t *ids               # the next order's number: its own, or that of dealers together
    cdef View view
    cdef Trade trade                 # in progress when trade.qty != 0
    cdef readonly int64_t position   # signed units
    cdef int64_t entering            # signed units of the entry order on its way
    cdef readonly uint64_t entry_id  # that order, 0 = none
    cdef readonly uint64_t exit_id   # the exit order on its way, 0 = none
    cdef readonly uint64_t stop_id
    cdef readonly uint64_t target_id
    cdef uint64_t group              # of the open trade's exits
    cdef readonly paise_t stop_price     # 0 = none
    cdef readonly paise_t target_price
    cdef double stop_points          # of the entry on its way, rupees
    cdef double target_points

    cdef uint8_t entry_cancelled     # a cancel of the entry is on its way
    cdef uint8_t leaving             # a wish to be flat that is not fulfilled yet
    cdef uint8_t leave_reason
    cdef uint8_t leave_flags
    cdef int32_t todo                # Todo bits
    cdef ns_t last_ns                # of the last event: time never goes back
    cdef ns_t todo_ns                # of the report that asked last
    cdef ns_t cover_ns               # of the one that asked for stop and target
    cdef int32_t turn_side           # 0 = none: the entry of a reversal that waits to be flat
    cdef double turn_stop
    cdef double turn_target
    cdef int32_t turn_share

    cdef paise_t quote_bid           # the market as last quoted this session, 0 = unknown
    cdef paise_t quote_ask
    cdef readonly bint quoted        # a quote was seen in this run
    cdef paise_t signal_level        # close of the last signal bar, or price of the last tick
    cdef Decision decision           # of the order that is sent next; at_ns 0 = as it is sent
    cdef Decision leave_decision     # of the wish to be flat
    cdef Decision turn_decision      # of the reversal that waits
    cdef uint8_t route               # of the order that is sent next: a router's reason

    cdef readonly uint64_t signals
    cdef readonly uint64_t signals_late      # outside the entry window
    cdef readonly uint64_t signals_unready   # stop or target not a number: no entry
    cdef readonly uint64_t signals_held      # against or with a position that is kept
    cdef readonly uint64_t signals_unsized   # sizing left no lot: no entry
    cdef readonly uint64_t stops_moved       # by a trail or to cost
    cdef readonly uint64_t orders_sent
    cdef readonly uint64_t orders_refused

    cdef void look(self, ns_t now_ns) noexcept nogil
    cdef void decide(self, Decision *out, ns_t now_ns) noexcept nogil
    cdef void act(self, const Signal *signal, ns_t now_ns) noexcept nogil
    cdef void reverse(self, int side, const Signal *signal, ns_t now_ns) noexcept nogil
    # `share` is a signal's: 1e-6 of the sized lots, 0 = all of them.
    cdef void enter(self, int side, double stop, double target, int32_t share, ns_t now_ns,
                    int reason) noexcept nogil
    cdef void leave(self, int reason, int flags, ns_t now_ns) noexcept nogil
    cdef void close_out(self, int reason, int flags, ns_t now_ns) noexcept nogil
    cdef bint relents(self, int reason, int flags) noexcept nogil
    # The exit on its way is now wished for this reason, too; what presses is not forgotten.
    cdef void press(self, int reason, int flags, ns_t now_ns) noexcept nogil
    cdef void wish_flat(self, int reason, ns_t now_ns) noexcept nogil
    cdef void cancel_entry(self, ns_t now_ns) noexcept nogil
    cdef void forget_wishes(self) noexcept nogil
    cdef void protect(self, ns_t now_ns) noexcept nogil
    cdef paise_t cost_price(self) noexcept nogil
    cdef void resize(self, uint64_t order_id, paise_t price, paise_t trigger,
                     ns_t now_ns) noexcept nogil
    cdef uint64_t send(self, int side, int kind, int64_t qty, paise_t trigger, paise_t price,
                       int flags, int reason, uint64_t group, ns_t now_ns) noexcept nogil
    cdef void set_out(self, Working *place, const Order *order) noexcept nogil
    cdef void note_departure(self, Working *order) noexcept nogil
    cdef void settle(self) noexcept nogil
    cdef void mend(self) noexcept nogil
    cdef size_t find(self, uint64_t order_id) noexcept nogil
    cdef void on_report(self, const Report *report) noexcept nogil
    cdef bint on_fill(self, size_t at, const Report *report) noexcept nogil
    cdef void on_refused_change(self, size_t at, const Report *report) noexcept nogil
    cdef void book_entry(self, const Report *report, const Bill *bill) noexcept nogil
    cdef void open_trade(self, const Report *report) noexcept nogil
    cdef void book_exit(self, const Report *report, const Bill *bill) noexcept nogil
    cdef void order_done(self, size_t at, const Report *report) noexcept nogil


# The market's best prices, as a tick brings them.
cdef inline void quoted(Dealer dealer, paise_t bid, paise_t ask) noexcept nogil:
    if bid > 0 or ask > 0:
        dealer.quote_bid, dealer.quote_ask, dealer.quoted = bid, ask, True
