"""One day of an option chain as a legs run reads it: rows of time, columns of contracts.

Owner thread:  the engine thread only.   Memory: none; the arrays are the caller's, kept alive.

A row is a minute bar, or a snapshot: a bar of one price. The columns of an expiry are its calls,
strikes ascending, then its puts, the same strikes. A close of 0 is no quote: nothing fills there.
"""

from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint32_t

from dhanfast._core.types cimport Session, ns_t, paise_t

cdef enum:
    EXPIRIES_MAX = 4
    STRIKES_MAX = 1024
    NOWHERE = -1


cpdef enum StrikeRule:
    """How a leg finds its strike."""

    STEPS = 0                # so many listed strikes above (or below) the one nearest to the index
    PREMIUM = 1              # by its own premium, rupees
    PERCENT = 2              # nearest to the index + percent, where the listing reaches so far
    DELTA = 3                # nearest to a delta, by size
    STRADDLE = 4             # nearest to the index + so many prices of the straddle
    EXACT = 5                # this one, rupees


cpdef enum Missing:
    """Why a leg could not be entered."""

    FOUND = 0
    NO_SPOT = 1              # the index is not known at that row
    NO_EXPIRY = 2            # the day has no such expiry
    NO_STRIKE = 3            # the chain does not reach so far, or no premium or delta fits
    NO_QUOTE = 4             # the strike is there, a price of it is not
    HELD = 5                 # entries were held back all the time
    GUARDED = 6              # a guard let it wait
    ASKED = 7                # what it needs was asked for, and not answered yet
    MARGIN = 8               # the funds fall short
    UNASKED = 9              # what it needs could not be had
    NO_SIZE = 10             # its size comes to nothing
    EXPOSED = 11             # too much would be held
    FILTERED = 12            # a filter kept it out


cdef struct Rung:            # what was chosen
    Missing missing
    Py_ssize_t column        # NOWHERE unless there is a quote
    paise_t strike           # 0 when none was chosen


cdef class ChainDay:
    cdef object _owner               # the arrays
    cdef size_t rows
    cdef size_t columns
    cdef const ns_t *start_ns
    cdef const ns_t *end_ns
    cdef const paise_t *open         # rows x columns
    cdef const paise_t *high
    cdef const paise_t *low
    cdef const paise_t *close
    cdef const paise_t *spot         # 0 = unknown
    cdef const paise_t *strike       # of each column
    cdef const uint32_t *listed      # of each column: the contract's number in the run
    cdef const Session *sessions     # of each expiry
    cdef size_t expiries
    cdef size_t first[EXPIRIES_MAX]  # column of the lowest call
    cdef size_t count[EXPIRIES_MAX]  # strikes
    cdef paise_t final_price[EXPIRIES_MAX]   # of the index; 0: does not expire today, or unknown
    cdef int64_t exercise_e9[EXPIRIES_MAX]   # STT on exercise
    cdef int32_t exercise_full[EXPIRIES_MAX]  # 1: of the whole settlement value
    cdef double *_strikes            # scratch, STRIKES_MAX each
    cdef double *_calls
    cdef double *_puts
    cdef double *_deltas

    # Column of a contract, NOWHERE when the day does not have it.
    cdef Py_ssize_t find(self, size_t slot, paise_t strike, int right) noexcept nogil
    # The day's expiry of a date (YYYYMMDD), NOWHERE when it has none.
    cdef Py_ssize_t slot_of(self, int64_t contract) noexcept nogil
    # The contract that a rule asks for by the closes of one row.
    cdef Rung pick(self, size_t row, Py_ssize_t slot, int right, int rule, double amount,
                   int premium_rule) noexcept nogil
    # The forward of an expiry by put-call parity of one row's closes; NaN without both quotes.
    cdef double forward(self, size_t row, size_t slot) noexcept nogil
    # Years from the end of a row to an expiry, ACT/365; not above 0 when it is over.
    cdef double years(self, size_t row, size_t slot) noexcept nogil
    cdef void _load(self, size_t row, size_t slot) noexcept nogil
    cdef Py_ssize_t _by_delta(self, size_t row, size_t slot, int right,
                              double target) noexcept nogil
