"""One leg of an option structure: a dealer with a contract of its own and the rules of its exits.

Owner thread:  the engine thread only.   Memory: none after construction.

A leg's orders, books and exits are the dealer's: stop and target rest at the exchange, one group.
What a leg adds: distances are counted from the price of its fill, its stop is moved (by steps, or
to cost), it says when a trade of it has ended, and an expired option is settled. A stop or target
that counts the index does not rest: whoever drives the leg looks at it once a row.

    IDLE ──entry──▶ ASKED ──fill──▶ (held) ──stop, target──▶ CHOOSE (as soon as possible)
      └──▶ WAIT (a premium, the index) ──▶ ASKED        ├──▶ COST (its entry price) ──▶ ASKED
                ▲                                       └──▶ DONE
                └── CHOOSE of one that waits again, or that another leg has armed
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from dhanfast._core.chainday cimport ChainDay
from dhanfast._core.dealer cimport Dealer
from dhanfast._core.portfolio cimport Bill
from dhanfast._core.types cimport Bar, Report, Session, Tick, ns_t, paise_t, upaise_t

cpdef enum LegUnit:
    """What the number of a leg's distance counts."""

    NONE = 0
    POINTS = 1               # rupees of premium
    PERCENT = 2              # of the premium it is measured from
    INDEX_POINTS = 3         # of the underlying
    INDEX_PERCENT = 4        # of the underlying's level it is measured from


cpdef enum Again:
    """How a leg is entered again."""

    NEVER = 0
    ASAP = 1                 # at once, at a strike chosen anew
    COST = 2                 # the same contract, when its premium is back at the entry's
    MOMENTUM = 3             # a strike chosen anew, and its wait from there
    ARM = 4                  # not itself: another leg goes in


cdef enum Repeat:            # why a leg goes in
    FIRST = 0
    ONCE_MORE = 1
    ARMED = 2                # by another leg


cdef enum Phase:
    IDLE = 0
    WAIT = 1                 # the contract is chosen, its premium has to move first
    ASKED = 2                # an order is on its way, or it is held
    CHOOSE = 3               # again, as soon as a strike has a quote
    COST_AGAIN = 4           # again, when the premium is back
    DONE = 5


cpdef enum Part:
    """Where a leg is in the order that enters or leaves them all (see legorder.pxd)."""

    APART = 0                # not of it
    TO_SEND = 1              # its contract is chosen, its order waits for others
    SENT = 2
    ALL_IN = 3               # all of it has filled
    TO_LEAVE = 4             # leaves when no sold leg is open any more


cdef struct LegRules:
    double strike            # of the strike rule
    double stop
    double target
    double trail_every       # a gain of so much ...
    double trail_step        # ... moves the stop by so much
    double wait              # + up, - down from the premium at the entry time; 0 = no wait
    int64_t lots
    int32_t side             # Side
    int32_t right            # +1 call, -1 put
    int32_t strike_rule      # StrikeRule
    int32_t premium_rule
    int32_t stop_unit        # LegUnit
    int32_t target_unit
    int32_t trail_unit
    int32_t wait_unit
    int32_t again_stop       # how often after a stop
    int32_t again_stop_how   # Again
    int32_t again_target
    int32_t again_target_how
    int32_t when             # 0 always; +1, -1: on signals of that side
    int32_t again_stop_turn  # 1: the other way round
    int32_t again_target_turn
    int32_t again_stop_arms  # with ARM: the place of the leg that goes in
    int32_t again_target_arms
    ns_t again_stop_pause    # not before so long after its end
    ns_t again_target_pause
    int32_t lazy             # 1: goes in only when another leg arms it
    int32_t range_side       # +1: waits for more than the highest of a range; -1: for less
    int32_t range_index      # 1: of the underlying, not of the premium
    ns_t range_ns            # its length from where the wait begins; 0 = there is none
    double premium_least     # a strike whose premium is less is none, rupees; 0 = any


cdef class Leg(Dealer):
    cdef LegRules rules
    cdef Session day                 # of its contract
    cdef Bar last_bar
    cdef Phase phase
    cdef ns_t since_ns               # of the row in which its phase began
    cdef Part part
    cdef int32_t repairs_left
    cdef ns_t repair_ns              # asked again at the earliest then; 0 = nothing to repair
    cdef int64_t want                # units of its entry
    cdef Py_ssize_t column           # in today's chain; NOWHERE
    cdef paise_t strike              # of its contract
    cdef paise_t level               # what a wait or a re-entry at cost waits for
    cdef int32_t direction           # +1: at or above it
    cdef int32_t stops_left
    cdef int32_t targets_left
    cdef paise_t realised            # gross, of the trades that have ended in this cycle
    cdef paise_t premium             # of its first entry in this cycle, received +, paid -
    cdef uint8_t entered             # `premium` is known
    cdef paise_t best                # best price since the entry
    cdef paise_t first_stop          # as the entry set it
    cdef paise_t paid                # average price of the last entry
    cdef uint8_t closed              # a trade has ended since this was last cleared
    cdef uint8_t closed_why          # Reason
    cdef uint8_t index_why           # Reason for which the index has closed it; 0: it has not
    cdef paise_t closed_at           # average price of its exit
    cdef readonly uint64_t unquoted  # rows without a price while held
    cdef int32_t own_side            # as the file says it; `rules.side` may be turned
    cdef int32_t side_next           # of its next entry
    cdef int32_t side_was            # of its last one
    cdef ns_t again_ns               # its next entry is not before
    cdef Repeat repeat               # of its next entry, or of the one that is held
    cdef uint8_t momentum            # its next entry waits first
    cdef uint8_t waits_index         # `level` is the index's
    cdef ns_t range_until            # until then `level` goes with the market; 0 = it stays
    cdef paise_t index_entry         # the index when it went in; 0 = not known
    cdef paise_t index_best          # its best gain since, paise of the index
    cdef readonly uint64_t index_stops
    cdef readonly uint64_t index_targets

    cdef bint idle(self) noexcept nogil
    cdef paise_t open_result(self) noexcept nogil
    cdef void take_contract(self, ChainDay chain, Py_ssize_t slot, Py_ssize_t column,
                            size_t row) noexcept nogil
    cdef void carry(self, ChainDay chain, Py_ssize_t slot, ns_t now_ns) noexcept nogil
    # Its orders meet the row; and what it holds is marked by it.
    cdef Bar bar_of(self, ChainDay chain, size_t row) noexcept nogil
    cdef void meet(self, ChainDay chain, size_t row) noexcept nogil
    cdef void mark_row(self, ChainDay chain, size_t row) noexcept nogil
    # A tick of its contract meets its orders; rows mark it later.
    cdef void take_tick(self, const Tick *tick) noexcept nogil
    cdef bint open_at_all(self) noexcept nogil
    cdef void ask(self, ns_t now_ns) noexcept nogil
    cdef void trail(self, ns_t start_ns, ns_t now_ns) noexcept nogil
    # Whether the index has come to its stop or target: a Reason; 0 = neither.
    cdef int index_exit(self, paise_t index) noexcept nogil
    cdef void stop_to_cost(self, ns_t now_ns) noexcept nogil
    cdef void again(self, ns_t now_ns) noexcept nogil
    cdef void move_stop(self, paise_t price, ns_t now_ns) noexcept nogil
    cdef void close_at_last(self, int reason) noexcept nogil
    cdef void settle_final(self, paise_t index, int64_t stt_e9, bint full,
                           ns_t now_ns) noexcept nogil


# Whether a distance counts the underlying.
cdef inline bint on_index(int unit) noexcept nogil:
    return unit >= LegUnit.INDEX_POINTS


# The same distance as one of premium would be: points, or percent.
cdef inline int plain_unit(int unit) noexcept nogil:
    return unit - 2 if on_index(unit) else unit


# A distance of premium in paise from a price; 0 without one.
cdef inline double distance_of(double amount, int unit, paise_t price) noexcept nogil:
    if unit == LegUnit.POINTS:
        return 100.0 * amount
    if unit == LegUnit.PERCENT:
        return 0.01 * amount * price
    return 0.0
