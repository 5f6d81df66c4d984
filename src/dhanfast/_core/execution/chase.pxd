"""One routed order from its first price to its end: when to change it, to what, when to give up.

Who may call what:   the owner of the Chase; pure functions of it, the rules and the market.
Memory:              none.
Deterministic:       the next step depends on the Chase, the market and the time handed in alone,
                     so a journal of them repeats every change.

    entry   JOIN, MID ──patience, entry_cross──▶ CROSS ──patience──▶ given up
                      ──patience──▶ given up
    exit    JOIN ─▶ MID ─▶ CROSS ─▶ WIDE ─▶ BAND, by age, or sooner when its price was changed
            `reprices_max` times; never given up

What holds:
    a style never falls back to a more patient one
    a change of style leaves at once when its price is another; a price follows the market not
    before `interval_ns` after the change before, and only by a tick or more
    a price that takes is set once, and again when the market has gone beyond it
    an entry never says more than the protection of the market it first saw (`cap`)
    a peg does not follow itself: a best price of the own side that is its own is not looked at
"""

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

from dhanfast._core.execution.route cimport MarketView, Route, RouteRules
from dhanfast._core.types cimport ns_t, paise_t


cpdef enum ChaseDo:
    """What an order under way needs."""

    KEEP = 0
    CHANGE = 1               # say the new route's price
    GIVE_UP = 2              # cancel what is left


cdef struct Chase:
    ns_t since_ns            # first sent
    ns_t seen_ns             # of the last step
    ns_t style_ns            # the style in force since
    ns_t next_ns             # no change of price before
    paise_t price            # said last; 0 = nothing could be sent yet
    paise_t near             # own side's best when it was said, without this order
    paise_t cap              # an entry's limit of limits; 0 = none
    int32_t reprices         # in this style
    int32_t changes          # in all, to be held against a broker's limit of changes an order
    int8_t side
    uint8_t leaves           # 1: an exit
    uint8_t urgency
    uint8_t style            # RouteStyle in force
    uint8_t why
    uint8_t held             # a change waits for `next_ns`


# The first route. Price 0: nothing can be sent; step again when there is a market.
cdef Route chase_open(Chase *chase, const RouteRules *rules, const MarketView *view, int side,
                      int64_t qty, int urgency, bint leaves, ns_t now_ns) noexcept nogil
# What to do now, `qty` units being left; `out` is the route in force. CHANGE of an order of which
# nothing was sent is its first sending.
cdef ChaseDo chase_step(Chase *chase, const RouteRules *rules, const MarketView *view, int64_t qty,
                        ns_t now_ns, Route *out) noexcept nogil
# When to step again should the market stand still; INT64_MAX: never.
cdef ns_t chase_wake(const Chase *chase, const RouteRules *rules) noexcept nogil
# More urgent from now on, e.g. an exit that a stop overtakes; never less.
cdef void chase_press(Chase *chase, int urgency) noexcept nogil
