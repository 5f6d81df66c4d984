"""What a structure of legs has to pass before it is sent: guards, its size, its margin.

Owner thread:  the engine thread only.   Memory: none after construction, but what a judge keeps.

    begin ──▶ filters ─object──▶ not now: the next row asks again
                │ pass
              guards ──vetoed──▶ not now: the next row asks again
                │ pass
                ▼
              judge ──0 not yet──▶ the same contracts are asked for in the next row
                │ └──below 0──▶ this entry is over; the reason is a Missing
                ▼ above 0
              so many structures are sent: a whole number for all legs alike

Guards are told of a structure as of one trade: opened by its first fill, closed when nothing of it
is held and nothing of it will come. An exit is never asked about, and neither is what completes an
entry that was let through. A leg that is entered again is asked about: guards first, then the judge
(all but the count of trades, of which the structure is one). Filters look at windows of time, and
at the entry of a structure alone: what goes in again is of one that was begun.

The judge is Python, asked once a structure and once for each leg that goes in again; never for a
row without an entry. It may depend on what it was told and on nothing else, so that a repeated
journal asks and answers the same.
"""

from cpython.ref cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.chainday cimport ChainDay, Missing, Rung
from dhanfast._core.chainnow cimport ChainNow
from dhanfast._core.filters cimport Filters
from dhanfast._core.guards cimport Guards
from dhanfast._core.legorder cimport LEGS_MAX
from dhanfast._core.portfolio cimport Portfolio
from dhanfast._core.types cimport Session, ns_t, paise_t


cdef struct Moment:          # of a row
    size_t row
    ns_t now_ns
    ns_t flat_ns             # all leave then; 0 = never today
    int64_t date             # YYYYMMDD
    int32_t when             # side of the signal; 0 = by the clock


cdef struct Asked:           # a contract that would be entered
    int64_t contract         # its expiry, YYYYMMDD
    int64_t lot
    int64_t freeze
    int64_t qty              # signed units of one structure
    paise_t price


cdef class LegRisk:
    cdef readonly Guards guards          # None: none of them
    cdef readonly object judge           # None: what the file says is sent
    cdef readonly Filters filters        # None: none is on
    cdef uint64_t objected               # filters that have a veto of the entry in hand, by place
    cdef readonly object error           # what the judge raised; the entry is then over
    cdef Portfolio portfolio
    cdef int64_t parts[LEGS_MAX]         # lots of each leg in one structure
    cdef readonly int64_t file_times     # structures that the file asks for
    cdef readonly int64_t times          # of the structure in hand
    cdef double scale                    # times / file_times
    cdef Rung rungs[LEGS_MAX]            # that the judge has not answered for yet
    cdef bint frozen                     # `rungs` are
    cdef int32_t frozen_when             # for a signal of this side
    cdef bint fresh                      # a structure was begun, and nothing of it has filled yet
    cdef bint counted                    # it has
    cdef bint stopped                    # a stop has closed something of it
    cdef paise_t equity_before           # when it was begun
    cdef readonly uint64_t guarded       # entries that a guard let wait, rows counted
    cdef readonly uint64_t refused       # structures that the judge refused
    cdef readonly uint64_t smaller       # structures that it made smaller than wanted
    cdef readonly uint64_t told_closed   # structures that were told of as closed
    cdef readonly uint64_t not_again     # legs that were not entered again

    # Once, by who drives the legs.
    cdef object attach(self, list legs, Portfolio portfolio)
    cdef void new_day(self, int64_t date, ns_t now_ns) noexcept nogil
    # FOUND: send `times` structures; GUARDED, ASKED: not now; others (`is_final`): it is over.
    cdef Missing enter(self, PyObject **legs, size_t count, ChainDay chain, ChainNow now,
                       const Py_ssize_t *slots, Rung *rungs, const Moment *at) noexcept nogil
    # Whether leg `i` may go in now, at a contract of its own; `again`: a second time.
    cdef Missing add(self, PyObject **legs, size_t count, size_t i, ChainDay chain, ChainNow now,
                     Py_ssize_t slot, Py_ssize_t column, bint again,
                     const Moment *at) noexcept nogil
    # What has happened since the last row: trades opened and closed, equity. True: a guard wants
    # everything closed. `running`: more of the structure may come. `beside`: something is held
    # beside the legs. `last`: of the day's data.
    cdef bint follow(self, PyObject **legs, size_t count, bint running, bint beside, bint last,
                     ns_t now_ns) noexcept nogil
    # Contracts that wait for an answer are let go.
    cdef void drop(self) noexcept nogil
    # Another entry than the one before: by the clock of another day, or of another signal.
    cdef void another(self) noexcept nogil
    # Whether a filter objects to the entry in hand; counted once an entry and filter.
    cdef bint filtered(self, const Moment *at) noexcept nogil
    cdef void trades(self, uint32_t place, const Session *session) noexcept nogil
    cdef void tell_closed(self, paise_t net) noexcept nogil
    cdef int64_t judged(self, PyObject **legs, size_t count, const Rung *rungs, ChainDay chain,
                        const Py_ssize_t *slots, int32_t place, const Moment *at) noexcept nogil
    cdef object _said(self, PyObject **legs, size_t count, const Rung *rungs, ChainDay chain,
                      const Py_ssize_t *slots, int32_t place, const Moment *at, paise_t equity)


# Whether an answer of `enter` ends this entry.
cdef inline bint is_final(Missing missing) noexcept nogil:
    return missing >= Missing.MARGIN and missing != Missing.FILTERED
