"""What executes approved orders, as the kernel sees it: the simulated exchange or a real broker.

Owner thread:  the engine thread only.   Memory: the implementation's, none after construction.

`Match` fills orders itself from market events; `live.Remote` makes requests to a broker of them.
Both answer with reports, which are taken in order. A kernel cannot tell which one it has.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.risk cimport Gate
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ApprovedOrder, Bar, Report, Session, Tick, ns_t, paise_t
from dhanfast._core.venue cimport MatchRules, Quiet


cpdef enum Hold:
    """What an operator says to the algorithms at work."""

    RESUME = 0
    PAUSE = 1                # entries' children are taken back, no new ones are sent
    CANCEL = 2               # entries end with what has filled, exits leave at once


cdef enum:
    WORKED_FREEZES = 8       # freeze quantities that a worked entry may have


# How an order left, and the market it left into.
cdef struct Departure:
    ns_t at_ns               # 0 = it has not left yet
    paise_t price            # limit it left with
    paise_t bid              # 0 = unknown
    paise_t ask
    uint8_t route            # why with this price; 0 = by no router


cdef class Broker:
    cdef MatchRules rules
    cdef Gate gate                   # whose seals are honoured
    cdef Quiet *quiet                # per instrument; bars only
    cdef readonly uint32_t instruments
    cdef readonly uint32_t live      # orders not yet done
    cdef readonly uint64_t pending_reports
    cdef uint64_t last_id            # ids must increase: an approval is good for one submit
    cdef readonly ns_t wake_ns       # market's time at which `wake` has something to do; INT64_MAX
    cdef paise_t mark                # the kernel's, when it sent its last order
    cdef readonly bint measures      # `measure` wants to know each signal bar
    cdef readonly bint in_parts      # an order may fill in parts where the market would not ask it

    # OK: taken in (REJECTED may still follow as a report). POOL_FULL: no place, or reports must be
    # taken first. NOT_APPROVED: bad seal, or an id that is not above all ids before it.
    cdef Status submit(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil
    # As submit and modify, of what belongs to an order that is there already (its stop and target):
    # in simulation without latency, and not behind what is on its way.
    cdef Status attach(self, const ApprovedOrder *order, ns_t at_ns) noexcept nogil
    cdef Status resize(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t at_ns) noexcept nogil
    # OK or UNKNOWN_ORDER. CANCELLED follows as a report, unless it was too late.
    cdef Status cancel(self, uint64_t order_id, ns_t now_ns) noexcept nogil
    # Price, trigger and quantity of a working order. `qty` is the order's whole quantity, fills
    # included, so that a fill on the way cannot add up; 0 = as it is when the request arrives.
    cdef Status modify(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t now_ns) noexcept nogil
    # A new day or contract: DAY orders left over EXPIRE first, then the new rules hold.
    cdef void session(self, uint32_t instrument, const Session *session) noexcept nogil
    # From here on what is traded has this number in the feed and in requests; brokers that reach
    # out want to know. Orders that are there keep theirs.
    cdef void trades(self, uint32_t contract) noexcept nogil
    cdef void bar_open(self, const Bar *bar, ns_t end_ns) noexcept nogil
    cdef void bar_range(self, const Bar *bar, ns_t end_ns) noexcept nogil
    cdef void tick(self, const Tick *tick) noexcept nogil
    # True when a tick of instrument 0 whose prices, trade and both quotes, all lie strictly between
    # floor and ceiling changes no order.
    cdef bint calm(self, paise_t *floor, paise_t *ceiling) noexcept nogil
    # For brokers that send an order later, or with another price, than it was submitted: how it
    # left. False: it left as it was submitted.
    cdef bint departure(self, uint64_t order_id, Departure *out) noexcept nogil
    # Copy up to `limit` reports, oldest first; returns how many.
    cdef size_t take(self, Report *out, size_t limit) noexcept nogil

    # ---- what only an algorithm between kernel and exchange (`execution.Worker`) does ----
    # Time has come to `now_ns` without an event: what was due by then is done as of when it was.
    cdef void wake(self, ns_t now_ns) noexcept nogil
    # A signal bar of instrument 0 is complete; `first` of its session. Only when `measures`.
    cdef void measure(self, const Bar *bar, ns_t interval_ns, bint first) noexcept nogil
    # Collect what the exchange said since the last call: another than the kernel moved it.
    cdef void hear(self) noexcept nogil
    # Whether an order of these flags and this reason is worked; it is then flagged WORKED.
    cdef bint works(self, int flags, int reason) noexcept nogil
    # An order wished for one reason is now wished for another; a pressing one ends its algorithm.
    cdef void hurry(self, uint64_t order_id, int flags, int reason, ns_t now_ns) noexcept nogil
    # What an operator says to all algorithms: see Hold.
    cdef void hold(self, int what, ns_t now_ns) noexcept nogil

cdef inline bint bar_is_quiet(const Quiet *quiet, const Bar *bar) noexcept nogil:
    return bar.low > quiet.low and bar.high < quiet.high
