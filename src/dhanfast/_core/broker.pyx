"""Broker: see broker.pxd. The class itself refuses everything; what executes orders extends it."""

from libc.stdint cimport INT64_MAX


cdef class Broker:
    """What executes approved orders; see `Match` and `live.Remote`.

    Attributes:
        instruments: their indexes are 0..instruments-1.
        live: orders not yet done.
        pending_reports: reports not taken yet.
        wake_ns: when an algorithm has something to do, UTC ns of the market; INT64_MAX = nothing.
        in_parts: True when orders may fill in parts on bars too.
        measures: True when it wants to know each signal bar.
    """

    def __cinit__(self):
        self.wake_ns = INT64_MAX

    cdef Status submit(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil:
        return Status.NOT_APPROVED

    cdef Status attach(self, const ApprovedOrder *order, ns_t at_ns) noexcept nogil:
        return Status.NOT_APPROVED

    cdef Status resize(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t at_ns) noexcept nogil:
        return Status.UNKNOWN_ORDER

    cdef Status cancel(self, uint64_t order_id, ns_t now_ns) noexcept nogil:
        return Status.UNKNOWN_ORDER

    cdef Status modify(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t now_ns) noexcept nogil:
        return Status.UNKNOWN_ORDER

    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil:
        pass

    cdef void trades(self, uint32_t contract) noexcept nogil:
        pass

    cdef void bar_open(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        pass

    cdef void bar_range(self, const Bar *bar, ns_t end_ns) noexcept nogil:
        pass

    cdef void tick(self, const Tick *tick) noexcept nogil:
        pass

    cdef bint calm(self, paise_t *floor, paise_t *ceiling) noexcept nogil:
        return False

    cdef bint departure(self, uint64_t order_id, Departure *out) noexcept nogil:
        return False

    cdef size_t take(self, Report *out, size_t limit) noexcept nogil:
        return 0

    cdef void wake(self, ns_t now_ns) noexcept nogil:
        pass

    cdef void measure(self, const Bar *bar, ns_t interval_ns, bint first) noexcept nogil:
        pass

    cdef void hear(self) noexcept nogil:
        pass

    cdef bint works(self, int flags, int reason) noexcept nogil:
        return False

    cdef void hurry(self, uint64_t order_id, int flags, int reason, ns_t now_ns) noexcept nogil:
        pass

    cdef void hold(self, int what, ns_t now_ns) noexcept nogil:
        pass
