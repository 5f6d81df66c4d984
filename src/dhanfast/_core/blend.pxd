"""Blend: several strategies that decide together, each with a book of its own.

Owner thread:  the engine thread only.
Memory:        books and rows are allocated before the first event; a book's log is handed over when
               it is nearly full, between two blocks of bars.
Book:          a member trades on paper beside the run: a kernel, a gate and an exchange with the
               settings of the run, which meet the signal bars. It sees its own position and no
               other. What it decides on a bar is filled at the next one's open at the earliest.

On each bar, in this order: every book meets the bar, every member sees it and says what it wants,
its book makes orders of it; then the blend looks at where the members stand and says what it wants.

    stance   of a member: the side it holds or is about to hold, 0 when flat or on its way out
    asks     the side it wished to enter on this very bar, whether its book holds it already or not

An entry needs a member that asks: after a stop the blend is not at once back where it was. An exit
needs only that the members' stances carry the side no longer.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.factors cimport Factors
from dhanfast._core.kernel cimport Kernel
from dhanfast._core.strategy cimport NativeStrategy, Signal, View
from dhanfast._core.types cimport Bar, ns_t, paise_t

cdef enum:
    MEMBERS_MAX = 16


cpdef enum Mode:
    """How members decide together."""

    WEIGHTS = 0              # the weighted sum of their stances against a threshold
    VOTE = 1                 # so many of them on one side
    NET = 2                  # the sign of the weighted sum; sizes follow it


cpdef enum Role:
    """What a member has to say."""

    DECIDES = 0
    AGAINST = 1              # only blocks: entries against its own stance
    UNLESS = 2               # only blocks: entries that are not of its own stance


cpdef enum Off:
    """Whether a member has spent its budget."""

    NO = 0
    DAY = 1                  # until the next session
    GOOD = 2


cdef struct Member:
    double weight            # as a part of all weights; 0 of one that only blocks
    int32_t role             # Role
    int32_t stance
    int32_t asks
    int32_t off              # Off
    double stop              # rupees from the fill, of what it asks
    double target
    paise_t day_loss         # most its book may lose in a session; 0 = any
    paise_t loss             # in the run
    int64_t days_off         # sessions in which it was off
    int64_t blocked          # entries it kept out


# A member in its book: stands between the book's kernel and the strategy.
cdef class Seat(NativeStrategy):
    cdef readonly NativeStrategy inner
    cdef readonly Kernel book        # None before `Blend.begin`
    cdef Seat after                  # the next member
    cdef Member *member
    cdef bint *failures              # the blend's: some member has failed
    cdef object _parts               # trades of the book so far

    cdef void step(self, const Bar *bar, int first) noexcept nogil
    cdef void budget(self, ns_t now_ns) noexcept nogil
    cdef int32_t stance(self) noexcept nogil
    cdef void make_room(self) noexcept nogil


cdef class Blend(NativeStrategy):
    cdef readonly tuple names
    cdef readonly Factors factors    # stances of the members at each entry
    cdef readonly uint64_t conflicts     # bars with enough votes for both sides
    cdef readonly uint64_t kept_out      # entries that a member blocked
    cdef Member members[MEMBERS_MAX]
    cdef size_t count
    cdef Seat first
    cdef list _seats
    cdef bint any_failed
    cdef bint begun                  # it has its books
    cdef int32_t mode                # Mode
    cdef double threshold
    cdef double leave                # a side is kept while the sum is above it
    cdef int32_t votes
    cdef int32_t stay                # a side is kept while so many are on it
    cdef bint scale                  # the size of an entry is the sum's share of the sized lots
    cdef bint widest                 # of stops and targets; else the nearest
    cdef bint reverses               # an opposite wish turns the position round
    cdef int32_t wished              # the entry that was asked for and not seen yet

    cdef void collect(self) noexcept nogil
    cdef int32_t want(self, double *total) noexcept nogil
    cdef bint carried(self, int side, double total) noexcept nogil
    cdef bint asked(self, int side) noexcept nogil
    cdef bint wishes(self, int side) noexcept nogil
    cdef bint blocked(self, int side) noexcept nogil
    cdef void enter(self, int side, double total, ns_t now_ns, Signal *signal) noexcept nogil
