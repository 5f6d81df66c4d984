"""The order desk: the Remotes of one account, one a leg, as one broker that is far away.

Owner thread:  the engine thread only.   Memory: none after construction.
Deterministic: as lines.pxd says; what it does depends on its inputs alone, in their order.

Each leg of a structure has a Remote of its own, as each leg of a backtest has a Match of its own.
What they share is what the account has once: the numbers of orders and requests, the budget of
requests, the clock. What holds:
    one answer   goes to the one Remote that waits for it, an update to the one whose order it is;
                 what is nobody's is counted once
    in order     requests leave in the order in which they were made, over all legs
    way out      a burst of entries of one leg leaves every leg the budget's kept part to leave with
    own contract an order keeps the contract it was made for, whatever its leg trades since

    legs ──orders──▶ Remote 0 ┐                    ┌──answers, updates, by number──▶ Remote 0 ...
                     Remote 1 ┼─requests, by id──▶ courier
                     Remote n ┘   one Account: numbers, budget, clock
"""

from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

from dhanfast._core.live.budget cimport SharedAccount
from dhanfast._core.live.lines cimport ODDS
from dhanfast._core.live.records cimport Answer, Intent, Update
from dhanfast._core.types cimport ns_t, paise_t

cdef enum:
    PLACES_MAX = 16


# `state` of SharedAccount has the machine's time of the input in hand: state.wall_ns.
cdef class Desk(SharedAccount):
    cdef PyObject *at_place[PLACES_MAX]
    cdef list _remotes
    cdef readonly uint32_t places        # Remotes that have joined, at 0..places-1
    cdef uint64_t odd[ODDS]              # that belong to no Remote
    cdef bint begun                      # an input has come: nobody joins any more

    # As of Lines and Remote, which see, for all of them.
    cdef void at(self, ns_t now_ns, ns_t wall_ns, bint clock) noexcept nogil
    cdef void advance(self) noexcept nogil
    cdef void doubt_all(self) noexcept nogil
    cdef void spend(self, int64_t count) noexcept nogil
    cdef void skip_numbers(self) noexcept nogil
    cdef bint on_answer(self, const Answer *answer) noexcept nogil
    cdef bint on_update(self, const Update *update) noexcept nogil
    # Somebody else has closed units of this contract, at this price. Several legs that hold it are
    # closed in the order of their places. Returns units booked; 0 also when legs hold it on both
    # sides, for then nobody can say whose units went.
    cdef int64_t closed_elsewhere(self, uint32_t contract, int64_t qty,
                                  paise_t price) noexcept nogil
    # The machine's time at which `advance` has something to do.
    cdef ns_t due(self) noexcept nogil
    # Requests made and not yet taken.
    cdef uint32_t waiting(self) noexcept nogil
    # Copy the oldest requests, by Intent.id, and forget them; returns how many.
    cdef size_t take_out(self, Intent *out, size_t limit) noexcept nogil
