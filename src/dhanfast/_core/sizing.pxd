"""Sizing: how many units an entry takes.

Owner thread:  the engine thread only.   Memory: none; a struct of rules and one of state.
Laws:          whole lots, rounded down; never more than the rule asks for; 0 = no entry, with its
               reason. Nothing is known here that the run did not see: trades that have closed, bars
               that are complete, equity now.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.indicators.atr cimport AtrState
from dhanfast._core.risk cimport Gate, RiskLimits
from dhanfast._core.types cimport Bar, Session, ns_t, paise_t

cdef enum:
    SIZE_REASONS = 16


cpdef enum SizeMethod:
    """What the size of an entry follows from."""

    LOTS = 0                 # a fixed number of lots
    RISK = 1                 # money that the stop may lose
    KELLY = 2                # a fraction of equity by the edge of the trades so far
    VOLATILITY = 3           # a day's swing of equity


cpdef enum SizeReason:
    """Why an entry has its size, or none."""

    SIZED = 0
    NO_STOP = 1              # the rule divides by the stop's distance, and there is no stop
    NO_PRICE = 2             # nothing has traded yet
    NO_EQUITY = 3            # equity is not above zero
    SMALL = 4                # the rule asks for less than one lot
    NO_EDGE = 5              # the trades so far do not pay
    FEW_TRADES = 6           # fewer trades than asked for, or none of them lost
    NO_VOLATILITY = 7        # not enough bars yet, or the market stands still
    LIMITS = 8               # a limit leaves no lot
    MARGIN = 9               # free margin leaves no lot


cpdef enum SizeCut:
    """Which limit made an entry smaller."""

    NOTHING = 0
    FREEZE = 1
    QTY_MAX = 2
    NOTIONAL_MAX = 3
    POSITION_MAX = 4
    FREE_MARGIN = 5


cdef struct SizeRules:
    int32_t method           # SizeMethod
    int32_t fit              # 1: cut to the limits; 0: the gate refuses what is above them
    int64_t lots             # LOTS; of KELLY the fall-back
    paise_t risk             # RISK: paise; 0: `risk_e6` of equity
    int64_t risk_e6
    double kelly_fraction    # of the shrunk Kelly fraction
    double kelly_cap         # largest share of equity at stake
    double kelly_trades_min
    int32_t kelly_fall_back  # 1: `lots` when there is no edge or too little is known; 0: no entry
    int32_t from_atr         # VOLATILITY: 1 by average true range, 0 by returns
    double target            # VOLATILITY: a day's, as a share of equity
    int32_t period           # bars that measure it
    int32_t active           # 1: not simply so many lots
    ns_t interval_ns         # of the signal bars


cdef struct SizeState:
    double wins              # trades that paid after charges
    double losses            # and that did not
    double won               # paise a unit, summed
    double lost
    AtrState atr             # rupees
    double close             # of the newest signal bar, rupees; NaN before the first
    double variance          # of one bar's return
    int64_t returns          # seen
    # The last decision:
    int32_t side
    int32_t reason           # SizeReason
    int32_t cut              # SizeCut
    int32_t fell_back
    double stop              # rupees; 0 = none
    paise_t price
    paise_t equity
    paise_t margin_free
    double edge              # KELLY: p - q / b
    double shrink
    double stake             # share of equity
    double at_risk           # paise a unit that the stake is divided by
    double day_sigma         # VOLATILITY: rupees a unit and day
    double wanted            # lots, before rounding
    int64_t asked            # lots, before limits
    int64_t lots
    uint64_t counts[SIZE_REASONS]


# Units, whole lots; 0 = no entry, and state.reason says why. `stop_points`: rupees to the stop,
# 0 = none. `price`: the market's, paise. `freezes`: freeze quantities that an entry may have.
cdef int64_t size_entry(const SizeRules *rules, SizeState *state, const RiskLimits *limits,
                        int side, double stop_points, paise_t price, const Session *session,
                        paise_t equity, paise_t margin_free, int freezes) noexcept nogil
# A signal bar is complete; `first` of its session: no return over night is counted.
cdef void size_bar(const SizeRules *rules, SizeState *state, const Bar *bar,
                   bint first) noexcept nogil
# A trade has closed with this result after charges, paise a unit.
cdef inline void size_trade(SizeState *state, double result) noexcept nogil:
    if result > 0.0:
        state.wins += 1.0
        state.won += result
    else:
        state.losses += 1.0
        state.lost -= result


cdef class Sizing:
    cdef SizeRules rules
    cdef SizeState start             # what a run begins with


cdef class Sizer:
    cdef SizeRules rules
    cdef SizeState state
    cdef Gate gate


# What `Kernel.size_explained` shows.
cdef object explained(const SizeRules *rules, const SizeState *state)
