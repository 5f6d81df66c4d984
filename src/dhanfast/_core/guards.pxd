"""Guards: rules that keep entries out for a while. They belong to the gate and know no orders.

Owner thread:  the engine thread only.   Memory: none after construction.
Laws:          an exit is never asked about: only `Gate._entry_verdict` calls `verdict`.
               A lock ends: at a time, with the next session, or by `unlock`.
               The state depends on what the hooks were told and on nothing else: the same calls
               give the same bytes.

Two kinds of rule:
    lock      something happened (a fall of equity, a run of losses): entries wait until the end of
              the lock. `locked` has one bit a GuardKind.
    condition what is so at the decision: VIX bands, age of the data, time, exposure.
"""

from libc.stdint cimport int64_t, uint32_t

from dhanfast._core.guardlocks cimport GuardLocks
from dhanfast._core.types cimport Order, RejectReason, Session, ns_t, paise_t


cdef struct GuardInstrument:
    int64_t contract         # expiry YYYYMMDD, 0 = none
    int64_t lot
    uint32_t underlying


cdef class Guards(GuardLocks):
    cdef readonly uint32_t count     # instruments
    cdef GuardInstrument *instruments
    cdef double *correlations        # count * count
    cdef bint sees_vix               # a rule looks at VIX

    # What an instrument is now: its expiry and lot.
    cdef void instrument(self, uint32_t index, int64_t contract, int64_t lot) noexcept nogil
    # NONE, or why an entry has to wait. `pending`: signed units of working entries in it.
    cdef RejectReason verdict(self, const Order *order, int64_t position, int64_t pending,
                              paise_t mark, ns_t now_ns, const Session *session) noexcept nogil

    cdef RejectReason _locked(self, int side, ns_t now_ns) noexcept nogil
    cdef RejectReason _timing(self, ns_t now_ns, const Session *session) noexcept nogil
    cdef RejectReason _volatility(self, ns_t now_ns) noexcept nogil
    cdef RejectReason _exposure(self, const Order *order, int64_t position, int64_t pending,
                                paise_t mark, ns_t now_ns) noexcept nogil
