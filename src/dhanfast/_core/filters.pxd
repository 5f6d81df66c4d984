"""Filters: a strategy around a strategy, which takes back entries that a filter objects to.

Owner thread:  the engine thread only.
Memory:        rows of vetoes are allocated at construction; `take` makes others.
Law:           what is inside decides as if nobody listened: the same calls in the same order with
               the same arguments. An exit always passes. A wish to enter that would be no entry (a
               position is kept, an entry is on its way, the entry window is shut) is not looked at.
Time:          a filter looks at the last complete bar and at the time of the decision. What it does
               not know, as an average in warm-up, is an objection.

The first filter that objects has the veto, in the order in which they were given: windows of time,
then what looks at bars, then the spread.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.dealer cimport Dealer
from dhanfast._core.rules.graph cimport Graph
from dhanfast._core.rules.program cimport Program
from dhanfast._core.strategy cimport NativeStrategy, Signal, View
from dhanfast._core.types cimport ns_t

cdef enum:
    FILTERS_MAX = 32


cdef packed struct Window:       # 24 bytes: no entry in [from_ns, until_ns)
    ns_t from_ns
    ns_t until_ns
    int64_t filter               # its place


# What one filter took back without a break: entries of one side that nothing else came between.
cdef packed struct Veto:         # 48 bytes
    ns_t from_ns                 # time of the first
    ns_t until_ns                # of the last
    int64_t count
    double value                 # at the first: what it looks at
    double limit                 # what that was compared with
    int32_t side                 # 1 or -1
    int32_t filter               # its place


cdef struct Check:               # a filter that looks at bars
    double *long_ok              # its columns; neither 0 nor NaN: no objection
    double *short_ok
    double *value
    double limit
    int32_t filter


cdef class Filters(NativeStrategy):
    cdef readonly NativeStrategy inner
    cdef readonly tuple names
    cdef readonly Graph graph_own    # of what looks at bars; None without any
    cdef readonly size_t row_count
    cdef readonly uint64_t lost      # rows there was no room for; their entries are counted
    cdef Program program
    cdef Check checks[FILTERS_MAX]
    cdef size_t check_count
    cdef object _window_rows
    cdef const Window *windows       # ascending by from_ns
    cdef size_t window_count, window_at
    cdef Dealer dealer               # whose wishes these are; None before `attach`
    cdef int32_t spread              # its place; -1 without one
    cdef double spread_ticks         # 0 = no limit
    cdef double spread_bps
    cdef uint64_t counts[FILTERS_MAX]
    cdef object _kept                # the array that owns `rows`
    cdef Veto *rows
    cdef size_t room
    cdef uint64_t asked              # events the strategy was asked on
    cdef uint64_t asked_at           # when the last row was written to
    cdef size_t row                  # of the block that `prepare` began
    cdef bint seen                   # a bar is complete

    cdef object _make_rows(self)
    cdef void consider(self, const View *view, Signal *signal) noexcept nogil
    cdef int32_t objection(self, ns_t now_ns, int side, double *value,
                           double *limit) noexcept nogil
    cdef int32_t window(self, ns_t now_ns) noexcept nogil
    cdef bint narrow(self, double *value, double *limit) noexcept nogil
    cdef void note(self, ns_t now_ns, int side, int32_t filter, double value,
                   double limit) noexcept nogil
    cdef void fail(self) noexcept nogil
