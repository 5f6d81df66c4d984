"""Orders of the kernel and the orders at the exchange that serve them.

Owner thread:  the engine thread only.   Memory: none after construction.
Deterministic: what it does depends on its inputs alone, so a journal of them repeats it.

A *job* is an order as the kernel sees it, a *child* an order at the exchange:
    WHOLE     one child, the order itself: same id, same seal, reports as they come
    PIECES    an order on a position above the freeze quantity: one child a part (see below)
    ALGO      worked by an algorithm: children are sent over time (`Worker`)
What holds:
    counted      a fill of a child is a fill of its job, once; filled + left = the job's quantity,
                 less what its group has taken off
    billed       a fill names its child (`report_child`): brokerage is the exchange's, by child
    numbered     children's ids come from the kernel's own sequence and rise with it
    one end      a job ends with one report: its last fill, CANCELLED, EXPIRED or REJECTED

A position above the freeze quantity is held in *parts* of at most that much. Stop, target and exit
of part k form a group of their own, so at the exchange a part is what a whole position is below
freeze: one stop, one target, each of as many units as the part holds, and a fill of one makes the
others smaller. Part 0 has the group that the kernel gave.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.broker cimport WORKED_FREEZES, Broker, Departure
from dhanfast._core.execution.chase cimport Chase
from dhanfast._core.execution.route cimport MarketView
from dhanfast._core.execution.schedule cimport Plan
from dhanfast._core.risk cimport RejectReason
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport ApprovedOrder, Order, Report, Session, ns_t, paise_t
from dhanfast._core.venue cimport Quiet

cdef enum:
    JOBS_MAX = 32
    CHILDREN_MAX = 64
    PARTS_MAX = WORKED_FREEZES
    REPORTS_MAX = 1_024      # a power of two
    NOBODY = -1
    RETRY_NS = 100_000_000   # a request that found no room is made again after this


cdef enum JobKind:
    FREE = 0
    WHOLE = 1
    PIECES = 2
    ALGO = 3


# Of an ALGO job:
#
#                     deadline, REPRICE          all children gone
#     WORKING ─┬──────────────────────▶ SWEEPING ────────────────▶ (market children) ──▶ RESTING
#              ├── deadline, KEEP ─────────────────────────────────────────────────────▶ RESTING
#              ├── deadline, CANCEL; cancel; a child refused ──▶ ENDING (children are taken back)
#              └── exits: deadline, hurry ──▶ URGENT (all that is left leaves at once)
# The last fill ends it in every state; ENDING, RESTING and URGENT end when no child is left.
cdef enum JobState:
    WORKING = 1
    SWEEPING = 2
    RESTING = 3
    ENDING = 4
    URGENT = 5


cdef struct Job:
    ApprovedOrder whole
    Plan plan
    int64_t left             # units still wanted
    int64_t filled
    int64_t due              # units due by the schedule, of the whole
    int64_t volume           # traded before it began; -1: not known yet
    paise_t worst            # no child's price is beyond it; 0 = none
    Departure left_as        # how its first child left; of a WHOLE not looked at
    ns_t next_ns             # when it has something to do
    ns_t retry_ns            # a request found no room: again then; INT64_MAX = no
    uint32_t owed            # requests of the kernel not answered yet
    uint32_t ordinal         # children sent
    uint8_t kind             # JobKind
    uint8_t state            # JobState
    uint8_t refusal          # RejectReason that ends it
    uint8_t dirty            # something of it was heard: `changed` when all is heard


cdef struct Child:
    uint64_t id
    int64_t asked            # whole quantity last asked for, what has gone included
    int64_t gone             # filled, or taken off by a fill in its group
    paise_t price
    Chase chase              # of one that rests: what its price does
    ns_t priced_ns
    int32_t job              # NOBODY: its job has ended
    int32_t part
    uint32_t unanswered
    uint32_t reprices
    uint8_t live
    uint8_t cancelling
    uint8_t rests            # a limit whose price may be changed
    uint8_t presses          # takes all that its part of the position holds, at once


cdef struct Part:
    uint64_t group
    int64_t held             # units


cdef inline int64_t child_left(const Child *child) noexcept nogil:
    return child.asked - child.gone


cdef class Jobs(Broker):
    cdef readonly Broker inner
    cdef Job jobs[JOBS_MAX]
    cdef Child children[CHILDREN_MAX]
    cdef Part parts[PARTS_MAX]
    cdef int32_t job_top     # places from here on were never used
    cdef int32_t child_top
    cdef int32_t part_count
    cdef int32_t algos       # jobs of that kind
    cdef int32_t held_side
    cdef int64_t freeze      # largest order: the freeze quantity in whole lots
    cdef Report reports[REPORTS_MAX]
    cdef uint64_t report_head
    cdef uint64_t report_tail
    cdef Quiet band
    cdef Session day_copy
    cdef const Session *day  # NULL before the first session
    cdef ns_t now_ns
    cdef bint closing        # a session ends: what expires is not sent again
    cdef MarketView view
    cdef readonly uint64_t children_sent
    cdef readonly uint64_t children_refused

    # An ALGO job changed: a child filled or ended, or its group took some. To be extended.
    cdef void changed(self, int32_t at) noexcept nogil
    cdef void count(self) noexcept nogil
    cdef int64_t held(self) noexcept nogil
    cdef paise_t market(self) noexcept nogil
    cdef uint64_t new_id(self) noexcept nogil
    cdef int32_t find_job(self, uint64_t order_id) noexcept nogil
    cdef int32_t find_child(self, uint64_t order_id) noexcept nogil
    cdef int32_t new_job(self, const ApprovedOrder *order, int kind) noexcept nogil
    cdef int32_t new_child(self, int32_t job, uint64_t order_id, int64_t qty,
                           int32_t part) noexcept nogil
    cdef int32_t live_children(self, int32_t job) noexcept nogil
    cdef int64_t out(self, int32_t job) noexcept nogil
    cdef void say(self, const Job *job, int kind, const Report *cause, int reason) noexcept nogil
    cdef void finish(self, int32_t at, int kind, int reason) noexcept nogil
    cdef bint sealed(self, const ApprovedOrder *order) noexcept nogil
    # Send one child of a job; NONE, or why not. POOL_FULL of the exchange is LIMIT_RATE: later.
    cdef RejectReason send(self, int32_t job, Order *order, int32_t part,
                           bint attached) noexcept nogil
    cdef Status whole(self, const ApprovedOrder *order, ns_t now_ns, bint attached) noexcept nogil
    cdef Status pieces(self, const ApprovedOrder *order, ns_t now_ns, bint attached) noexcept nogil
    cdef Status spread(self, int32_t at, paise_t price, paise_t trigger,
                       bint attached) noexcept nogil
    cdef void on_report(self, const Report *report) noexcept nogil
    cdef void on_piece(self, int32_t at, int32_t child, const Report *report,
                       bint ended) noexcept nogil
    cdef void on_child(self, int32_t at, const Report *report, bint ended) noexcept nogil
    cdef void settle_pieces(self, int32_t at, const Report *report) noexcept nogil
    cdef void book(self, const Child *child, const Report *report) noexcept nogil
    cdef void group_filled(self, int32_t except_job, const Report *report) noexcept nogil
    cdef void hold_more(self, uint64_t group, int64_t qty) noexcept nogil
