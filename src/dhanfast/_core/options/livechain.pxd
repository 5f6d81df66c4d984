"""The chain of one expiry, kept true tick by tick: what a strategy asks of it is there after each.

A tick changes one option. Sums of open interest and volume follow it; the forward is that of parity
near the money; volatilities and greeks are those of the option out of the money at each strike,
seeded by the last ones. Nothing is done that was not asked for.

Units:               rupees; open interest and volume in units; ns UTC; greeks by the forward.
Memory:              one allocation at construction, none after.
Errors:              a tick of no place, or of an earlier time, is dropped and counted; what has no
                     answer is NaN.
Who may call what:   one thread.
"""

from libc.stdint cimport int64_t

from dhanfast._core.options.chain cimport Columns

cdef enum:
    WANT_VOLATILITY = 1     # at the money, skew; volatility and greeks a strike
    WANT_EXPOSURE = 2       # gamma exposure; needs volatility
    WANT_PAIN = 4
    WANT_RATIOS = 8
    WANT_MONEY = 16         # at the money only: volatilities of the strikes around the forward
    STRIKES_MAX = 1024
    TABLES = 20             # columns of doubles a strike

cdef struct ChainFigures:
    int64_t at_ns           # of the last tick; 0 before the first
    double years
    double forward          # NaN while no strike has both quotes
    Py_ssize_t money        # place of the strike nearest to it; -1 without one
    double at_money         # volatility at the forward
    double straddle
    double risk_reversal    # 25 delta, call less put
    double butterfly        # mean of both less at the money
    double max_pain
    double ratio_oi         # puts a call, all strikes
    double ratio_volume
    double ratio_oi_near    # `near` strikes on each side of the money
    double ratio_volume_near
    double gamma_exposure   # rupees for 1 %, all strikes


cdef class LiveChain:
    cdef readonly int64_t ticks         # taken
    cdef readonly int64_t dropped       # refused
    cdef ChainFigures now
    cdef double *_data
    cdef double *_strike
    cdef double *_call
    cdef double *_put
    cdef double *_call_oi
    cdef double *_put_oi
    cdef double *_call_volume
    cdef double *_put_volume
    cdef double *_chosen                # premium of the option out of the money
    cdef double *_sign
    cdef double *_seed
    cdef double *_volatility
    cdef double *_table[9]              # greeks in the order of black.Greeks
    cdef double _rate
    cdef double _forward_seeded         # of the volatilities and greeks that are there
    cdef int64_t _expiry_ns
    cdef Py_ssize_t _n
    cdef Py_ssize_t _near
    cdef Py_ssize_t _window
    cdef Py_ssize_t _low                # rows with a volatility: _low to _high
    cdef Py_ssize_t _high
    cdef int _wanted
    cdef int64_t _interest_changes      # how often open interest has changed
    cdef int64_t _pain_of               # of them, those that max pain knows
    cdef double _open_calls             # sums of the columns: whole numbers, so they are exact
    cdef double _open_puts
    cdef double _traded_calls
    cdef double _traded_puts
    cdef int _nearest
    cdef Columns _columns

    # One option's tick; price 0 or NaN is no quote, oi or volume below 0 leaves what there was.
    cdef void tick(self, Py_ssize_t place, bint put, double price, int64_t oi, int64_t volume,
                   int64_t at_ns) noexcept nogil

    # The sums of whole columns, anew.
    cdef void _add_up(self) noexcept nogil

    # Everything that is wanted, anew.
    cdef void settle(self, int64_t at_ns) noexcept nogil

    cdef void _volatilities(self) noexcept nogil
    cdef void _seeds(self, Py_ssize_t low, Py_ssize_t high) noexcept nogil
    cdef void _middle(self) noexcept nogil
    cdef void _wings(self) noexcept nogil
    cdef void _sums(self) noexcept nogil
    cdef double _spare(self, Py_ssize_t i) noexcept nogil
    cdef void _place(self) noexcept
    cdef void _point(self) noexcept
    cdef void _forget(self) noexcept nogil
    cdef object _known(self, int which)
    cdef object _copied(self, const double *column)
