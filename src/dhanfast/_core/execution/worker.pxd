"""The worker: works parent orders by an algorithm, between the kernel and what executes orders.

Owner thread:  the engine thread only.   Memory: none after construction.

Orders flagged WORKED become parents (`Jobs`: ALGO). A parent's children are sent when its plan
(`schedule`) says so, priced by `route`, each sealed by the gate. Everything else passes through as
it is, but for positions above the freeze quantity (`jobs.pxd`). What holds:
    never more   what has filled and what children may still fill is never above the parent
    legal        every child is whole lots (an odd rest leaves whole), at most freeze, on the tick
    pressing     a square-off, a stop, panic: `hurry` sends all that is left of an exit at once
    bounded      after the deadline no child is sent but what the remainder policy asks for; an exit
                 leaves at once at its deadline, whatever the policy
    ended        nothing is sent after a cancel; the parent ends when its children have
Time is the market's. What is due between two events is done as of when it was due, so that a run
that is woken in time and one that only sees ticks send the same children. On bars a child is sent
between two bars: it meets the next one's open.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.execution.jobs cimport Child, Job, Jobs
from dhanfast._core.execution.route cimport MarketView, RouteRules
from dhanfast._core.execution.schedule cimport AlgoRules, Profile
from dhanfast._core.risk cimport RejectReason
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ApprovedOrder, Order, Tick, ns_t, paise_t

cdef enum:
    OUT_MAX = 8              # children of one parent at the exchange at once
    REPRICES_MAX = 20        # of one child: a broker allows 25 changes of an order
    RETRY_NS = 100_000_000   # a request that found no room is made again after this


cdef class Worker(Jobs):
    cdef AlgoRules work
    cdef RouteRules route
    cdef Profile profile
    cdef MarketView view
    cdef int64_t volume      # traded today, units
    cdef bint volume_known
    cdef readonly bint paused
    cdef bint in_bar         # what a bar's fills cause waits for its end
    cdef ns_t bar_end_ns
    cdef readonly uint64_t parents
    cdef readonly uint64_t reprices
    cdef readonly uint64_t hurried

    cdef Status begin(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil
    cdef void step(self, int32_t at) noexcept nogil
    cdef void slices(self, int32_t at) noexcept nogil
    cdef int64_t due_units(self, Job *job, int64_t out) noexcept nogil
    cdef void send_due(self, int32_t at, int64_t want, int64_t out) noexcept nogil
    cdef bint child_sent(self, int32_t at, int64_t qty, int32_t part) noexcept nogil
    cdef int32_t free_part(self, int32_t at) noexcept nogil
    cdef int children_price(self, const Job *job, Order *order, ns_t age_ns) noexcept nogil
    cdef void deadline(self, int32_t at) noexcept nogil
    cdef void sweep(self, int32_t at) noexcept nogil
    cdef void take_back(self, int32_t at) noexcept nogil
    cdef void reprice(self, int32_t at) noexcept nogil
    cdef void press(self, int32_t at) noexcept nogil
    cdef void watch_stop(self) noexcept nogil
    cdef void plan_next(self, int32_t at) noexcept nogil
