"""The hedge of a structure: its net delta, row by row, and the one contract that brings it back.

Owner thread:  the engine thread only.   Memory: none after construction.

A hedge is one more leg beside those of the plan: a future, or an option that is bought. It is not
entered and left once, but made larger and smaller; one order of it is on its way at a time.

    EMPTY ──a decision──▶ held ──larger: an entry; smaller: a part of an exit──▶ held
                            │ through nothing: all of it leaves, then the other side goes in
                            └─ no leg is open, or the sold ones have left ──▶ leaves, until flat

What holds:
    never alone   it is only made larger while legs are held, whole, and nothing of them is on its
                  way. It leaves with the bought legs: when nothing that was sold is left
    once          a decision is one order (two when it turns round), and none is taken before that
                  has ended. An order that was refused or lost is not sent again: the next decision
                  is another one, `pause_ns` later
    at most       never more than `lots_max`, nor more hedges a day than `hedges_max`
Greeks are those of Black (1976) on the forward of each expiry by put-call parity, each leg's
volatility its own price's. A leg without a price keeps the volatility it had last; without any, or
without a forward or a price of the hedge, the row is blind and nothing is decided.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.chainday cimport EXPIRIES_MAX, ChainDay
from dhanfast._core.chainnow cimport ChainNow
from dhanfast._core.hedge cimport HedgeMove, HedgeRules, HedgeState
from dhanfast._core.legorder cimport LEGS_MAX
from dhanfast._core.legs cimport Leg
from dhanfast._core.portfolio cimport Portfolio
from dhanfast._core.types cimport Session, Tick, ns_t, paise_t

cdef enum:
    HEDGE_ROWS_MAX = 8192


cpdef enum HedgeDone:
    """What became of a decision."""

    HELD_BACK = 0
    SENT = 1
    WOULD = 2                # a dry run: nothing was sent


# A decision. The layout of a row of RunResult.hedges (80 bytes).
cdef packed struct HedgeRow:
    ns_t time_ns
    paise_t price            # of the hedge, as decided on; 0 = unknown
    int64_t held             # units of the hedge before
    int64_t units            # of it bought (+) or sold
    paise_t cost             # its charges by the rates of the day, as one order
    double before            # net delta less its target, units; NaN = unknown
    double after             # the same, once it has filled
    double band              # that counted
    double gamma             # of all, units a rupee
    uint32_t listed          # the contract's number
    uint8_t why              # HedgeWhy
    uint8_t done             # HedgeDone
    uint8_t spare[2]


cdef class HedgeLeg(Leg):
    cdef int64_t want                # units to hold, while an order for it is on its way
    cdef uint8_t aiming
    cdef uint8_t out                 # it leaves, until it is flat
    cdef readonly uint64_t given_up  # orders that ended without filling

    cdef void future(self, ChainDay chain, Py_ssize_t column, const Session *day) noexcept nogil
    cdef bint calm(self) noexcept nogil
    cdef void aim(self, int64_t want, ns_t now_ns) noexcept nogil
    cdef void chase(self, ns_t now_ns) noexcept nogil
    cdef void go(self, int reason, ns_t now_ns) noexcept nogil


cdef class Hedge:
    cdef readonly HedgeLeg leg
    cdef HedgeRules rules
    cdef HedgeState state
    cdef ns_t from_ns                # its hours today
    cdef ns_t until_ns
    cdef Py_ssize_t slot             # of its options; NOWHERE = a future
    cdef Py_ssize_t column           # of the future
    cdef Session future              # its day
    cdef int64_t slippage            # of a simulated exchange: paise
    cdef int64_t slippage_ticks      # and ticks of the contract in hand
    cdef double forwards[EXPIRIES_MAX]
    cdef uint8_t forwards_known[EXPIRIES_MAX]
    cdef double volatility[LEGS_MAX + 1]     # last of each leg, the hedge's at the end; 0 = none
    cdef uint32_t volatility_of[LEGS_MAX + 1]
    cdef double gamma                # of the last look
    cdef int64_t dry_held            # units that a dry run would hold
    cdef HedgeRow rows[HEDGE_ROWS_MAX]
    cdef size_t rows_count
    cdef readonly uint64_t rows_lost
    cdef readonly uint64_t hedges            # decided and sent, or in a dry run decided
    cdef readonly uint64_t held_back         # decisions that a limit has stopped, told once each
    cdef readonly uint64_t blind_rows
    cdef readonly int64_t units_max          # most held

    # It is the hedge of so many legs, with their books and their source of order numbers.
    cdef object join(self, size_t count, Portfolio portfolio, uint64_t *ids)
    # False: it was held past its expiry.
    cdef bint begin(self, ChainDay chain, int date, ns_t now_ns) noexcept nogil
    cdef void meet(self, ChainDay chain, size_t row) noexcept nogil
    cdef void mark(self, ChainDay chain, size_t row, ns_t now_ns) noexcept nogil
    # The legs have moved: the hedge leaves when it has to, and its order goes on.
    cdef void follow(self, PyObject **at, size_t count, bint running, ns_t now_ns) noexcept nogil
    cdef void decide(self, PyObject **at, size_t count, ChainDay chain, ChainNow live, size_t row,
                     bint shut) noexcept nogil
    # The day's rows are over: what must not be carried is closed at the last price.
    cdef void end(self, PyObject **at, size_t count, bint carries, int date) noexcept nogil
    cdef bint read(self, Leg leg, size_t place, ChainDay chain, size_t row, double *delta,
                   double *gamma) noexcept nogil
    cdef double net(self, PyObject **at, size_t count, ChainDay chain,
                    size_t row) noexcept nogil
    cdef bint choose(self, ChainDay chain, ChainNow live, size_t row, double gap,
                     ns_t now_ns) noexcept nogil
    cdef void note(self, const HedgeMove *move, double unit, paise_t price, int64_t held,
                   int done, ns_t now_ns) noexcept nogil
    cdef void cost_of_fills(self) noexcept nogil
    cdef int64_t held_units(self) noexcept nogil
