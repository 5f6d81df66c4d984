"""What an order at the broker should say: prices that leave are made here and nowhere else.

Owner thread:  the engine thread only.   Memory: none.   Functions of their arguments.

Bare market orders never leave: MARKET is a limit at the market and `protection_e4` beyond it, SLM
is a stop-limit whose limit lies `stop_room_e4` beyond the trigger (0: both by premium slab). Prices
are paise, on the tick and inside the day's band.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t

from dhanfast._core.fillprice cimport price_against
from dhanfast._core.slabs cimport slab_limit
from dhanfast._core.types cimport Order, OrderKind, Session, ns_t, paise_t


cdef struct Terms:           # what an order at the broker says
    paise_t price
    paise_t trigger
    int64_t qty
    uint8_t kind             # LIMIT or SL
    uint8_t market           # 1: the price is a protection, not a wish


cdef struct RemoteRules:
    int64_t protection_e4    # of a marketable limit, 1e-4 of the market; 0 = by premium slab
    int64_t stop_room_e4     # limit of a stop beyond its trigger, 1e-4; 0 = by premium slab
    ns_t lost_after_ns       # an order in doubt is lost after this and `absents_min` answers
    int32_t absents_min
    int32_t modifies_max


cdef struct Market:          # of one contract, 0 = unknown
    paise_t last
    paise_t bid
    paise_t ask


# The price to trade at on this side now; 0 = none is known.
cdef inline paise_t market_at(const Market *market, int side) noexcept nogil:
    cdef paise_t quote = market.ask if side > 0 else market.bid
    return quote if quote > 0 else market.last


# Whether a stop's trigger has been reached.
cdef inline bint market_reached(const Market *market, const Order *order) noexcept nogil:
    return market.last > 0 and (market.last - order.trigger) * order.side >= 0


# A price no further out than the day's band; 0 = it has no such end.
cdef inline paise_t in_band(const Session *day, paise_t price) noexcept nogil:
    if day.band_high and price > day.band_high:
        price = day.band_high
    return day.band_low if day.band_low and price < day.band_low else price


# A limit at the market and some beyond it; 0 when no price is known.
cdef inline paise_t market_limit(const Market *market, const Session *day,
                                 const RemoteRules *rules, int side) noexcept nogil:
    cdef paise_t at = market_at(market, side)
    cdef paise_t limit
    if at <= 0:
        return 0
    if rules.protection_e4 == 0:
        return slab_limit(at, day.tick, day.band_low, day.band_high, side)
    limit = at + side * (at * rules.protection_e4 // 10_000)
    limit = price_against(max(limit, day.tick), day.tick, -side)
    return in_band(day, limit)


# The limit of a stop that must trade when its trigger is reached.
cdef inline paise_t stop_limit(const Order *order, const Session *day,
                               const RemoteRules *rules) noexcept nogil:
    cdef paise_t limit
    if rules.stop_room_e4 == 0:
        return slab_limit(order.trigger, day.tick, day.band_low, day.band_high, order.side)
    limit = order.trigger + order.side * (order.trigger * rules.stop_room_e4 // 10_000)
    return in_band(day, price_against(max(limit, day.tick), day.tick, order.side))


# Price, trigger and kind of an order; `chased`: a stop that the market has jumped past. False when
# that takes a price that is not known.
cdef inline bint terms_of(Terms *want, const Order *order, bint chased, const Market *market,
                          const Session *day, const RemoteRules *rules) noexcept nogil:
    want.price = want.trigger = 0
    want.market = 0
    if order.kind == OrderKind.LIMIT:
        want.kind, want.price = OrderKind.LIMIT, order.price
    elif order.kind != OrderKind.MARKET and not chased:
        want.kind, want.trigger, want.price = OrderKind.SL, order.trigger, order.price
        if order.kind == OrderKind.SLM:
            want.price = stop_limit(order, day, rules)
    else:
        want.kind, want.market = OrderKind.LIMIT, 1
        want.price = market_limit(market, day, rules, order.side)
    return want.price > 0


# Whether an order has to be changed. A protection is set once, and again when the market has gone
# beyond it.
cdef inline bint terms_differ(const Terms *have, const Terms *want, const Market *market,
                              int side) noexcept nogil:
    cdef paise_t quote = market.ask if side > 0 else market.bid
    if want.qty != have.qty or want.kind != have.kind or want.trigger != have.trigger:
        return True
    if not want.market:
        return want.price != have.price
    return not have.market or (quote > 0 and (quote - have.price) * side > 0)
