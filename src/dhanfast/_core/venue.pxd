"""What the sim exchange does with one order: arrival, rules, trigger, fill, group, end of day.

`match` decides when these happen; here is what they do. See `match.pyx` for the rules in words.

Reports on a request that is refused while its order lives on (a modify or cancel that came too
late or broke a rule) are REJECTED with `left` > 0; REJECTED with `left` == 0 ends the order or
answers a request on an order that has already ended (STALE_ORDER). A modification that is taken,
and a fill in the group that makes an order smaller, are answered by ACCEPTED with the new `left`.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.fillprice cimport far_limit
from dhanfast._core.resting cimport LISTS, Place, Pool
from dhanfast._core.status cimport Status
from dhanfast._core.types cimport Order, Session, ns_t, paise_t


cdef struct MatchRules:
    ns_t latency_ns          # from submit to working at the exchange
    paise_t slippage         # paise, against the order, on market fills and triggered stops
    int64_t slippage_e6      # in addition, 1e-6 of the price
    paise_t stop_more        # in addition (or less) on triggered stops, paise
    int64_t protection_e4    # a MARKET order's limit: market price +- this, 1e-4
    int64_t volume_share_e4  # share of a bar's or tick's quantity one order may take; 0 = all
    int32_t limit_through    # 1: a limit fills only when the price trades through it; 0: at touch
    int32_t stop_market_ok   # 1: SL-M accepted (before 2021-09-27, or futures)


# Per instrument: a bar with low > `low` and high < `high` changes no order. Wide open when there
# are no working orders; never quiet (low = INT64_MAX) while an order waits to become active.
cdef struct Quiet:
    paise_t low
    paise_t high


cdef struct Request:         # on its way to the exchange
    ns_t due_ns
    Order order              # new values; of a cancel the id, side and origin only
    int32_t next
    uint8_t kind             # 0 submit, 1 cancel, 2 modify
    uint8_t refusal          # RejectReason found when it was sent


cdef struct Desk:            # one instrument at the exchange
    Session session
    paise_t last             # last trade of a tick; 0 in bar mode and before the first
    paise_t bid
    paise_t ask
    int64_t bid_qty          # displayed; 0 = not known
    int64_t ask_qty
    int64_t bid_left         # displayed less what our own orders have taken since
    int64_t ask_left
    ns_t due_ns              # of the last request: requests arrive in the order they were sent
    int32_t heads[LISTS]
    int32_t first_request
    int32_t last_request
    uint32_t live            # orders of this instrument not yet done, SENT ones included
    uint32_t iocs            # of them IOC
    uint8_t known            # a session has been set
    uint8_t quoted           # a quote has been seen this session
    uint8_t ticking          # a tick or depth has been seen this session
    uint8_t dirty            # the quiet band must be worked out again


cdef struct Venue:
    Pool pool
    Desk *desks
    Quiet *quiet
    Request *requests
    const MatchRules *rules
    uint32_t instruments
    uint32_t requests_size
    uint32_t requests_used
    int32_t free_request
    uint64_t visits
    uint64_t stalls          # fills put off because reports were not taken


cdef int venue_open(Venue *venue, const MatchRules *rules, Quiet *quiet, uint32_t instruments,
                    uint32_t orders_max, uint64_t reports_min) noexcept nogil
cdef void venue_close(Venue *venue) noexcept nogil
# `attached`: belongs to an order that is at the exchange already, and is there at once.
cdef Status venue_submit(Venue *venue, const Order *order, ns_t now_ns,
                         bint attached) noexcept nogil
cdef Status venue_cancel(Venue *venue, uint64_t order_id, ns_t now_ns) noexcept nogil
cdef Status venue_modify(Venue *venue, uint64_t order_id, paise_t price, paise_t trigger,
                         int64_t qty, ns_t now_ns, bint attached) noexcept nogil
# Seen not marketable: from now on the order rests at its limit. A market order without protection
# has no limit to rest at, and goes on taking what comes.
cdef inline void venue_rest(Desk *desk, Place *place) noexcept nogil:
    if place.taker and place.limit != far_limit(place.order.side):
        place.taker = 0
        desk.dirty = 1


# Everything of this instrument that is due at or before `until_ns` reaches the exchange.
cdef void venue_arrive(Venue *venue, Desk *desk, ns_t until_ns) noexcept nogil
# A market order meets its first price: its limit is `price` +- protection.
cdef void venue_price(Venue *venue, Desk *desk, int32_t at, paise_t price) noexcept nogil
# A stop's trigger has been reached at `price`: it works from now on.
cdef void venue_trigger(Venue *venue, Desk *desk, int32_t at, paise_t price,
                        ns_t time_ns) noexcept nogil
# Fill up to `qty`, whole lots, at `price`; returns the units filled (0 when reports are not taken).
cdef int64_t venue_fill(Venue *venue, Desk *desk, int32_t at, int64_t qty, paise_t price,
                        ns_t time_ns) noexcept nogil
# End an order with one report: CANCELLED, EXPIRED or REJECTED.
cdef void venue_end(Venue *venue, Desk *desk, int32_t at, int kind, int reason,
                    ns_t time_ns) noexcept nogil
cdef void venue_session(Venue *venue, uint32_t instrument, const Session *session) noexcept nogil
# Bring the quiet band of an instrument up to date.
cdef void venue_settle(Venue *venue, uint32_t instrument) noexcept nogil
# Whether every order rests, and between which prices a tick changes none of them.
cdef bint venue_calm(const Venue *venue, uint32_t instrument, paise_t *floor,
                     paise_t *ceiling) noexcept nogil
# Market orders that arrived before any price get their limit now, or are refused (0 = no price).
cdef void venue_price_waiting(Venue *venue, Desk *desk, paise_t buy, paise_t sell,
                              ns_t now_ns) noexcept nogil
# What an IOC has not filled by now expires.
cdef void venue_end_ioc(Venue *venue, Desk *desk, ns_t time_ns) noexcept nogil
# What a fill at a market price of `price` costs this order: slipped when it takes, on the tick,
# never outside its limit.
cdef paise_t venue_slipped(Venue *venue, const Desk *desk, const Place *place,
                           paise_t price) noexcept nogil
# The most that one order may take of an event's quantity; INT64_MAX: no such limit.
cdef int64_t venue_share(Venue *venue, int64_t qty) noexcept nogil
# A limit may have to be traded through; a market order or triggered stop never waits for that.
cdef bint venue_through(Venue *venue, const Place *place) noexcept nogil
