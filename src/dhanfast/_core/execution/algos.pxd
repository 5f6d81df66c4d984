"""The algorithms: what a parent order does next.

Owner thread:  the engine thread only.   Memory: none after construction.

A parent's children are sent when its plan (`schedule`) says so, priced by `route`, each sealed by
the gate. `jobs.pxd` draws the states, `worker.pxd` says what holds.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from dhanfast._core.execution.jobs cimport Child, Job, Jobs
from dhanfast._core.execution.chase cimport Chase
from dhanfast._core.execution.route cimport RouteRules
from dhanfast._core.execution.schedule cimport AlgoRules, Profile
from dhanfast._core.indicators.atr cimport AtrState
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ApprovedOrder, Order, ns_t, paise_t

cdef enum:
    OUT_MAX = 8              # children of one parent at the exchange at once
    REPRICES_MAX = 20        # of one child: a broker allows 25 changes of an order
    HELD_NS = 1_000_000_000  # while entries are held back, an entry looks so often


cdef class Algos(Jobs):
    cdef AlgoRules work
    cdef AtrState swings     # true range of the signal bars, rupees; without the night's gap
    cdef ns_t swings_ns      # their length
    cdef RouteRules route
    cdef Profile profile
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
    cdef bint is_pressed(self, int32_t at, int32_t part) noexcept nogil
    cdef void price_child(self, const Job *job, Order *order, Chase *chase) noexcept nogil
    cdef bint beyond(self, const Job *job, paise_t price) noexcept nogil
    cdef void deadline(self, int32_t at) noexcept nogil
    cdef void sweep(self, int32_t at) noexcept nogil
    cdef void take_back(self, int32_t at) noexcept nogil
    cdef void reprice(self, int32_t at) noexcept nogil
    cdef void take_back_waiting(self, int32_t at) noexcept nogil
    cdef void press(self, int32_t at) noexcept nogil
    cdef void plan_next(self, int32_t at) noexcept nogil
