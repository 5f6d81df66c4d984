"""Orders as the kernel sees them and orders at the broker, and what is asked of the broker.

Owner thread:  the engine thread only.   Memory: none after construction.
Deterministic: what it does depends on its inputs alone (orders, ticks, answers, updates, the times
               it is told), so a journal of them repeats every request.

A *leg* is an order as the kernel sees it, a *line* an order at the broker. What holds:
    one line a group   stop, target and exit of a position are legs of one group, and a group has at
                       most one line that is not done: the line is the stop at rest, is changed into
                       the target's limit when the market is there, and into a marketable limit to
                       leave. Two orders that both close the position never exist.
    one request a line no second request leaves before the first has its answer; the line is then
                       compared with what its leg wants, and asked to change when it differs
    doubt              a line whose placing has no clear answer stays in doubt: it is queried by its
                       number until the broker shows it, or has said often and long enough that it
                       is not there. Nothing else is placed for its group meanwhile.
    fills count        from cumulative quantity and value, whoever told them and how often
    overdue            an order that the market should have filled and of which nothing is heard is
                       read by itself: its update may have been lost

    leg ──▶ DRAFT ──PLACE──▶ OPENING ──taken──▶ WORKING ──filled, cancelled, expired──▶ DONE
              ▲ refused, may be          │ unknown    ▲ seen            │ MODIFY, CANCEL, QUERY
              └── asked again            ▼            │                 └──▶ WORKING
                                       DOUBT ─────────┘ ──absent──▶ DONE (leg refused: LOST)

What a line should say is in terms.pxd; when the market jumps past a stop's limit the line is
changed into a marketable one.

Lines stand alone, or at a place of a `Desk`: then numbers, limits and the clock are the desk's, and
what is traded may change in the day (`trades`). A line keeps the contract that it was made for.
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.broker cimport Broker, Departure
from dhanfast._core.live.budget cimport Account, SharedAccount
from dhanfast._core.live.records cimport Intent
from dhanfast._core.live.terms cimport Market, RemoteRules, Terms
from dhanfast._core.types cimport Order, Report, Session, ns_t, paise_t

cdef enum:
    LEGS_MAX = 32
    LINES_MAX = 64           # done ones are kept until their place is needed, for late updates
    OUT_MAX = 64             # requests made and not yet taken
    REPORTS_MAX = 512        # a power of two
    PATIENCE_MS = 1_000      # an entry that the budget holds for longer is refused
    MILLISECOND = 1_000_000
    NOBODY = -1
    ODDS = 14                # kinds of Odd


cdef enum LineState:
    FREE = 0
    DRAFT = 1
    OPENING = 2
    DOUBT = 3
    WORKING = 4
    DONE = 5


# What no broker should say, and what may be said late: survived, counted, told of once.
cpdef enum Odd:
    """Kinds of odd events."""

    FOREIGN = 0              # an update of an order that is not of this journal
    STALE = 1                # an update: less has filled than is known
    LATE = 2                 # an update: an order works whose end was told
    UNASKED = 3              # an answer that nobody waits for
    MEANINGLESS = 4          # an answer whose outcome does not fit the question
    UNCLEAR = 5              # an update with a status that no document lists
    UNPRICED = 6             # an update: more has filled, and not for how much
    OVERFILLED = 7           # an update: more has filled than was asked for
    SHORT = 8                # an update: traded, and not all of it
    TURNED = 9               # an update: the order is of the other side; has no effect
    TWIN = 10                # an update: the order has another number of the broker's
    FILLED_AFTER_END = 11    # an update: filled after the broker told its end; booked
    REVIVED = 12             # an order given up, as refused or lost, that is there after all
    SWAPPED = 13             # an update: the order is of another contract; has no effect


cdef struct Leg:
    Order order              # as asked last
    int64_t gone             # of its quantity: filled, or taken off by a fill in its group
    uint32_t unanswered      # requests of the kernel not answered yet
    uint32_t contract        # that it trades
    uint8_t live
    uint8_t cancelling
    uint8_t chased           # a stop that the market has jumped past: marketable from now on
    Departure left           # how it was first asked for at the broker


cdef struct Line:
    uint64_t number          # Intent.order
    uint64_t group           # 0: of one leg
    uint64_t asked           # Intent.id in flight, 0 = none
    Terms have               # at the broker, as far as known
    Terms sent               # asked for
    int64_t filled
    paise_t value            # of what has filled
    ns_t next_ns             # no request before
    ns_t held_ns             # the broker's limits hold its next request until then; 0 = they do not
    ns_t check_ns            # it should have filled: read it then; 0 = it should not
    ns_t doubt_ns            # in doubt since
    int32_t leg              # that its fills count for; -1 = none
    uint32_t tries           # requests in a row without progress
    uint32_t modifies
    uint32_t absents
    uint32_t instrument
    int8_t side
    uint8_t state            # LineState
    uint8_t asked_kind       # IntentKind in flight
    uint8_t unsure           # its state must be read again
    uint8_t replacing        # is cancelled to be placed anew
    uint8_t touched          # the market was at the target
    uint8_t is_exit
    uint8_t final            # DONE by the broker's own word
    uint8_t shut             # changes in a row that were turned away at the door
    uint8_t quiet            # how often it was read without news
    uint8_t orphan           # given up, and yet it was there: to be taken away, serves no leg
    char broker_id[24]


cdef inline int64_t leg_left(const Leg *leg) noexcept nogil:
    return leg.order.qty - leg.gone


cdef inline bint line_ended(const Line *line) noexcept nogil:
    return line.state == LineState.FREE or line.state == LineState.DONE


# The pause before request number `tries` + 1 of the same kind: 200 ms doubling to 6.4 s.
cdef inline ns_t pause_ns(uint32_t tries) noexcept nogil:
    return <ns_t>200 * MILLISECOND << min(tries, <uint32_t>5)


cdef class Lines(Broker):
    cdef RemoteRules limits
    cdef Leg legs[LEGS_MAX]
    cdef Line lines[LINES_MAX]
    cdef uint32_t leg_top    # places from here on were never used
    cdef uint32_t line_top
    cdef Report reports[REPORTS_MAX]
    cdef uint64_t report_head
    cdef uint64_t report_tail
    cdef Intent out[OUT_MAX]
    cdef readonly uint32_t out_count
    cdef SharedAccount desk          # None: it stands alone
    cdef Account own                 # used when it does
    cdef object shared               # SharedBudget of `own.shared`, kept alive
    cdef Account *account            # in force
    cdef readonly uint32_t place     # Order.instrument of the orders it takes
    cdef readonly uint32_t contract  # Intent.instrument of its new lines
    cdef bint still                  # nothing is asked for, whatever is wanted
    cdef ns_t now_ns         # the market's time of the input in hand
    cdef readonly ns_t due_ns        # the machine's time at which `advance` has something to do
    cdef ns_t exit_hold_ns   # no exit is placed before: the last one was refused
    cdef uint32_t exit_refusals
    cdef const Session *day
    cdef Session day_copy
    cdef Market market       # of `contract`
    cdef uint64_t odd[ODDS]
    cdef readonly uint64_t odd_count         # of all kinds
    cdef readonly uint64_t requests
    cdef readonly int64_t stray_qty          # signed units filled that no leg stands for
    cdef readonly uint64_t doubts
    cdef readonly uint64_t lost

    # `clock`: the wall time was read just now; only such a one can tell that it was set back.
    # On a desk: the desk's is the one to call.
    cdef void at(self, ns_t now_ns, ns_t wall_ns, bint clock) noexcept nogil
    cdef void told(self, ns_t now_ns, ns_t back_ns) noexcept nogil
    # On a desk: from here on new orders are for this contract, whose `session` and ticks come next.
    # What is still at the broker for another one is taken away when its `session` comes.
    cdef void trades(self, uint32_t contract) noexcept nogil
    # What is due by `wall_ns` of `at`.
    cdef void advance(self) noexcept nogil
    # Read every line again, e.g. after the order-update socket was away.
    cdef void doubt_all(self) noexcept nogil
    # Requests that went another way count as well: those of the account's REST client.
    cdef void spend(self, int64_t count) noexcept nogil
    cdef void count_odd(self, int kind) noexcept nogil
    # Copy the oldest requests and forget them; returns how many.
    cdef size_t take_out(self, Intent *out, size_t limit) noexcept nogil

    cdef void _report(self, Leg *leg, int kind, paise_t price, int64_t qty,
                      int reason) noexcept nogil
    cdef void _end_leg(self, int32_t at, int kind, int reason) noexcept nogil
    cdef void _let_go(self, int32_t at) noexcept nogil
    cdef void _answer_leg(self, int32_t at) noexcept nogil
    cdef int32_t _find_leg(self, uint64_t order_id) noexcept nogil
    cdef int32_t _choose(self, Line *line) noexcept nogil
    cdef bint _terms(self, const Line *line, Leg *leg, Terms *want) noexcept nogil
    cdef ns_t _held_until(self, const Line *line, int kind) noexcept nogil
    cdef void _ask(self, Line *line, int kind, const Leg *leg) noexcept nogil
    cdef void _pump(self) noexcept nogil
    cdef bint _is_overdue(self, Line *line) noexcept nogil
    cdef void _pump_line(self, Line *line) noexcept nogil
    cdef void _take_away(self, Line *line, const Leg *leg) noexcept nogil
    cdef void _work(self, Line *line, Leg *leg, const Terms *want) noexcept nogil
    cdef bint _has_company(self, const Leg *leg) noexcept nogil
    cdef void _cover_legs(self) noexcept nogil
    cdef int32_t _new_line(self, const Leg *leg) noexcept nogil
    cdef void _note_departure(self, const Line *line, Leg *leg) noexcept nogil
    cdef void _held_legs(self, const Line *line) noexcept nogil
    cdef void _shrink(self, uint64_t group, int32_t filled, int64_t qty) noexcept nogil
    cdef void _line_refused(self, Line *line, int reason) noexcept nogil
    cdef void _watch(self) noexcept nogil
