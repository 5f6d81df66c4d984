"""How one order leaves: its type, price and validity, from the market, its size and its urgency.

Who may call what:   any thread; pure functions of their arguments, no state.
Memory:              none.

What holds of every route with a price above 0:
    tick        price and trigger are multiples of the tick, at least one tick
    band        inside the operating range, as far as the contract has one
    never more  a buy's price is rounded down and a sell's up: it never costs more than was decided
    bounded     CROSS is at most the protection of its premium slab (one tick at least) beyond the
                price to be taken, WIDE at most `wide_e4` of that
    waits       JOIN and MID do not take: a buy stays below the ask (unless that is the lowest
                price there is), a sell above the bid; the operating range goes before that
    order       for one market, more urgency and more age never give a price that is easier to miss
A bare MARKET never leaves: what must trade now is a limit. Of the book the best prices and their
quantities decide (docs/decisions/0015-routes-by-the-best.md); a stop is not routed, what executes
it makes a stop-limit of it.
A price of 0 means that nothing can be sent, and `why` says so.

Styles, from patient to pressing; a ladder only goes up:
    JOIN ─▶ MID ─▶ CROSS ─▶ WIDE ─▶ BAND
"""

from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t

from dhanfast._core.slabs cimport Slabs, slab_room_of
from dhanfast._core.types cimport OrderFlag, OrderKind, Reason, Side, Validity, ns_t, paise_t

cdef enum:
    SECOND = 1_000_000_000


cpdef enum Urgency:
    """How much an order would rather pay than wait."""

    PASSIVE = 0              # waits at its own side
    NORMAL = 1               # looks at spread, size and volatility
    URGENT = 2               # takes what is there
    EMERGENCY = 3            # takes it further away too


cpdef enum RouteStyle:
    """Where a routed order's price stands."""

    NOTHING = 0              # no price is known: not sent
    JOIN = 1                 # at the best price of its own side
    MID = 2                  # between the sides, follows them
    CROSS = 3                # marketable, protected by the premium slab
    WIDE = 4                 # marketable, protection widened
    BAND = 5                 # at the end of the operating range


cpdef enum RouteWhy:
    """Why an order left as it did; kept with the order."""

    UNROUTED = 0             # sent as it was asked
    JOIN_PASSIVE = 1         # it may wait
    JOIN_EMPTY = 2           # nobody stands on the other side
    MID_SPREAD = 3           # the spread is worth a wait
    MID_WIDE = 4             # the spread is too wide to take, urgent or not
    MID_THIN = 5             # the order is larger than what stands at the other side
    CROSS_TIGHT = 6          # the spread costs less than a wait
    CROSS_VOLATILE = 7       # the market moves further in a wait than the spread is wide
    CROSS_URGENT = 8
    CROSS_LAST = 9           # no quote: from the last trade
    CROSS_PATIENCE = 10      # an entry waited long enough
    LADDER_JOIN = 11         # an exit, by its age
    LADDER_MID = 12
    LADDER_CROSS = 13
    LADDER_WIDE = 14
    LADDER_BAND = 15
    # 16 was never written down; results keep the number of the next one
    NO_MARKET = 17           # neither quote nor trade is known


# What is known of one instrument's market. 0 = not known, in every field but `tick`.
cdef struct MarketView:
    paise_t bid
    paise_t ask
    paise_t last
    int64_t bid_qty          # displayed at the best, units
    int64_t ask_qty
    double volatility        # rupees: standard deviation of the price's move in one second
    paise_t tick
    paise_t band_low         # operating range
    paise_t band_high


cdef struct RouteRules:
    Slabs slabs                  # protection of options, by premium
    int64_t future_e4            # protection where slabs do not hold
    int64_t wide_e4              # WIDE = protection x this, 1e-4
    int64_t tight_ticks          # a spread of so many ticks is tight,
    int64_t tight_e6             # or of so much of the mid, 1e-6
    int64_t loose_e6             # beyond this an entry does not take, 1e-6 of the mid
    int64_t share_e4             # an order of at most this share of the other best fits, 1e-4
    double swing                 # volatile: move in `patience_ns` > swing x half spread; 0 = off
    ns_t interval_ns             # between changes of price of a pegged order
    int32_t reprices_max         # of them, before the next style
    ns_t patience_ns             # an entry waits so long
    ns_t join_ns                 # an exit's rungs, how long each
    ns_t mid_ns
    ns_t cross_ns
    ns_t wide_ns
    uint8_t option               # 1: premium slabs hold
    uint8_t ioc                  # 1: entries that take are IOC
    uint8_t entry_cross          # 1: an entry takes when its patience is over; 0: it is given up
    uint8_t entry_urgency        # Urgency of an entry by signal
    uint8_t exit_urgency         # Urgency of an exit that is not pressing


cdef struct Route:
    paise_t price
    uint8_t kind             # OrderKind: LIMIT
    uint8_t validity         # Validity
    uint8_t style            # RouteStyle
    uint8_t why              # RouteWhy


# ---- prices ------------------------------------------------------------------------------------

# The next price on the tick that costs the order no more: a buy's down, a sell's up. price > 0.
cdef inline paise_t price_for(paise_t price, paise_t tick, int side) noexcept nogil:
    cdef paise_t over
    if tick <= 1:
        return price
    over = price % tick
    if over == 0:
        return price
    return price - over if side > 0 else price + tick - over


# Protection of a price in paise: by its premium slab, or the futures' share.
cdef inline paise_t slab_room(const RouteRules *rules, paise_t price) noexcept nogil:
    if rules.option:
        return slab_room_of(&rules.slabs, price)
    return price * rules.future_e4 // 10_000


# On the tick and inside the operating range.
cdef inline paise_t price_in_band(const MarketView *view, paise_t price, int side) noexcept nogil:
    cdef paise_t least = view.tick if view.tick > 1 else 1
    if price < least:
        price = least
    price = price_for(price, view.tick, side)
    if price < least:
        price = least
    if view.band_high and price > view.band_high:
        price = price_for(view.band_high, view.tick, Side.BUY)
    if view.band_low and price < view.band_low:
        price = price_for(view.band_low, view.tick, Side.SELL)
    return price


# `room` beyond `price`, one tick at least, for an order that must trade.
cdef inline paise_t price_beyond(const MarketView *view, paise_t price, paise_t room,
                                 int side) noexcept nogil:
    cdef paise_t least = view.tick if view.tick > 1 else 1
    return price_in_band(view, price + side * (room if room > least else least), side)


# What a marketable limit for this price to be taken says: the price, and its slab beyond it.
cdef inline paise_t price_protected(const RouteRules *rules, const MarketView *view, paise_t price,
                                    int side) noexcept nogil:
    return price_beyond(view, price, slab_room(rules, price), side)


# The price to be taken: the other side's best, else the last trade, but no better than the own
# side's best, which was not taken. 0 when nothing is known.
cdef inline paise_t view_taken(const MarketView *view, int side) noexcept nogil:
    cdef paise_t far = view.ask if side > 0 else view.bid
    cdef paise_t near = view.bid if side > 0 else view.ask
    if far > 0:
        return far
    if view.last <= 0 or (near > 0 and (near - view.last) * side > 0):
        return near
    return view.last


# Waits at its own side's best, never takes.
cdef inline paise_t _join(const MarketView *view, int side) noexcept nogil:
    cdef paise_t near = view.bid if side > 0 else view.ask
    cdef paise_t far = view.ask if side > 0 else view.bid
    cdef paise_t step = view.tick if view.tick > 1 else 1
    if far > 0 and (far - near) * side < step:
        near = far - side * step             # locked or crossed quotes
    return price_in_band(view, near, side)


cdef inline paise_t _mid(const MarketView *view, int side) noexcept nogil:
    cdef paise_t twice = view.bid + view.ask
    # A buy's half is rounded down, a sell's up, before the tick does the same.
    return price_in_band(view, max(twice // 2 if side > 0 else (twice + 1) // 2, 1), side)


# ---- styles ------------------------------------------------------------------------------------

cdef inline bint spread_tight(const RouteRules *rules, const MarketView *view) noexcept nogil:
    cdef paise_t spread = view.ask - view.bid
    cdef paise_t step = view.tick if view.tick > 1 else 1
    return (spread <= rules.tight_ticks * step
            or 2 * spread * 1_000_000 <= rules.tight_e6 * (view.bid + view.ask))


cdef inline bint spread_loose(const RouteRules *rules, const MarketView *view) noexcept nogil:
    return rules.loose_e6 > 0 and \
        2 * (view.ask - view.bid) * 1_000_000 > rules.loose_e6 * (view.bid + view.ask)


# Whether the other side has this much at its best; a size that is not carried limits nothing.
cdef inline bint order_fits(const RouteRules *rules, const MarketView *view, int side,
                            int64_t qty) noexcept nogil:
    cdef int64_t shown = view.ask_qty if side > 0 else view.bid_qty
    return shown <= 0 or qty <= shown * rules.share_e4 // 10_000


# Squares are compared, so that no root is taken: sd^2 x seconds > (swing x half the spread)^2.
cdef inline bint view_volatile(const RouteRules *rules, const MarketView *view) noexcept nogil:
    cdef double half = 0.005 * <double>(view.ask - view.bid) * rules.swing
    return (rules.swing > 0.0 and view.volatility > 0.0
            and view.volatility * view.volatility * (<double>rules.patience_ns / SECOND)
            > half * half)


cdef inline Route _route(int style, int why) noexcept nogil:
    cdef Route route
    route.price = 0
    route.kind, route.validity = OrderKind.LIMIT, Validity.DAY
    route.style, route.why = <uint8_t>style, <uint8_t>why
    return route


# What spread, size, urgency and volatility ask for; prices follow.
cdef inline Route style_of(const RouteRules *rules, const MarketView *view, int side, int64_t qty,
                           int urgency, bint leaves) noexcept nogil:
    cdef paise_t near = view.bid if side > 0 else view.ask
    cdef paise_t far = view.ask if side > 0 else view.bid
    if near <= 0 and far <= 0:
        if view.last <= 0:
            return _route(RouteStyle.NOTHING, RouteWhy.NO_MARKET)
        return _route(RouteStyle.CROSS, RouteWhy.CROSS_LAST)
    if far <= 0:
        if urgency >= Urgency.URGENT and leaves:
            return _route(RouteStyle.CROSS, RouteWhy.CROSS_URGENT)
        return _route(RouteStyle.JOIN, RouteWhy.JOIN_EMPTY)
    if urgency >= Urgency.EMERGENCY:
        return _route(RouteStyle.WIDE if leaves else RouteStyle.CROSS, RouteWhy.CROSS_URGENT)
    if urgency <= Urgency.PASSIVE:
        return _route(RouteStyle.JOIN, RouteWhy.JOIN_PASSIVE)
    if not leaves and near > 0 and spread_loose(rules, view):
        return _route(RouteStyle.MID, RouteWhy.MID_WIDE)
    if urgency >= Urgency.URGENT:
        return _route(RouteStyle.CROSS, RouteWhy.CROSS_URGENT)
    if near <= 0:
        return _route(RouteStyle.MID, RouteWhy.MID_SPREAD)   # alone on its side: no spread known
    if not order_fits(rules, view, side, qty):
        return _route(RouteStyle.MID, RouteWhy.MID_THIN)
    if spread_tight(rules, view):
        return _route(RouteStyle.CROSS, RouteWhy.CROSS_TIGHT)
    if view_volatile(rules, view):
        return _route(RouteStyle.CROSS, RouteWhy.CROSS_VOLATILE)
    return _route(RouteStyle.MID, RouteWhy.MID_SPREAD)


# The price of a style. MID without both sides waits at the side that is there.
cdef inline void route_price(const RouteRules *rules, const MarketView *view, int side,
                             Route *route) noexcept nogil:
    cdef paise_t taken = view_taken(view, side)
    cdef paise_t near = view.bid if side > 0 else view.ask
    cdef paise_t far = view.ask if side > 0 else view.bid
    cdef paise_t room
    if taken <= 0:
        route.style, route.why = RouteStyle.NOTHING, RouteWhy.NO_MARKET
        return
    room = slab_room(rules, taken)
    if route.style == RouteStyle.JOIN or route.style == RouteStyle.MID:
        if near <= 0:
            # Alone on its side: one tick inside the other's best.
            route.price = price_in_band(view, far - side * max(view.tick, <paise_t>1), side)
        elif far <= 0 or (far - near) * side <= 0 or route.style == RouteStyle.JOIN:
            route.price = _join(view, side)
        else:
            route.price = _mid(view, side)
    elif route.style == RouteStyle.CROSS:
        route.price = price_beyond(view, taken, room, side)
    elif route.style == RouteStyle.WIDE:
        route.price = price_beyond(view, taken, room * rules.wide_e4 // 10_000, side)
    elif side > 0 and view.band_high > 0:
        route.price = price_in_band(view, view.band_high, side)
    elif side < 0 and view.band_low > 0:
        route.price = price_in_band(view, view.band_low, side)
    else:
        # No operating range is known: widened once more.
        route.price = price_beyond(view, taken, room * rules.wide_e4 // 10_000
                                   * rules.wide_e4 // 10_000, side)


# ---- what is asked from outside ----------------------------------------------------------------

# An entry of `qty` units that was first sent `age_ns` ago. PATIENCE over and `entry_cross` 0: the
# caller gives it up; the route is the one it has.
cdef inline Route route_entry(const RouteRules *rules, const MarketView *view, int side,
                              int64_t qty, int urgency, ns_t age_ns) noexcept nogil:
    cdef Route route = style_of(rules, view, side, qty, urgency, False)
    if rules.entry_cross and age_ns >= rules.patience_ns and (
            route.style == RouteStyle.MID or route.style == RouteStyle.JOIN) \
            and route.why != RouteWhy.JOIN_EMPTY and (
                view.bid <= 0 or view.ask <= 0 or not spread_loose(rules, view)):
        route.style, route.why = RouteStyle.CROSS, RouteWhy.CROSS_PATIENCE
    route_price(rules, view, side, &route)
    if rules.ioc and route.style == RouteStyle.CROSS:
        route.validity = Validity.IOC
    return route


# The rung of an exit by its age. The more urgent it is, the higher it starts.
cdef inline int ladder_style(const RouteRules *rules, int urgency, ns_t age_ns) noexcept nogil:
    cdef ns_t at = age_ns if age_ns > 0 else 0
    if urgency >= Urgency.NORMAL:
        at += rules.join_ns
    if urgency >= Urgency.URGENT:
        at += rules.mid_ns
    if urgency >= Urgency.EMERGENCY:
        at += rules.cross_ns
    if at < rules.join_ns:
        return RouteStyle.JOIN
    at -= rules.join_ns
    if at < rules.mid_ns:
        return RouteStyle.MID
    at -= rules.mid_ns
    if at < rules.cross_ns:
        return RouteStyle.CROSS
    return RouteStyle.WIDE if at - rules.cross_ns < rules.wide_ns else RouteStyle.BAND


# An exit of `qty` units that was first sent `age_ns` ago: what the market asks for, or the rung of
# its age when that is higher. Exits stay until they are done: never IOC, never given up.
cdef inline Route route_exit(const RouteRules *rules, const MarketView *view, int side,
                             int64_t qty, int urgency, ns_t age_ns) noexcept nogil:
    cdef Route route = style_of(rules, view, side, qty, urgency, True)
    cdef int rung = ladder_style(rules, urgency, age_ns)
    if route.style != RouteStyle.NOTHING and rung > route.style:
        route.style = <uint8_t>rung
        route.why = <uint8_t>(RouteWhy.LADDER_JOIN + rung - RouteStyle.JOIN)
    route_price(rules, view, side, &route)
    return route


# How urgent an order is, by what it is for: a stop or an operator does not wait.
cdef inline int urgency_of(const RouteRules *rules, int reason, int flags) noexcept nogil:
    if reason == Reason.RISK_EXIT or reason == Reason.OPERATOR:
        return Urgency.EMERGENCY
    if reason == Reason.STOP_LOSS or reason == Reason.TIME_STOP or reason == Reason.TIME_EXIT \
            or reason == Reason.EXPIRY_EXIT \
            or reason == Reason.END_OF_DATA or flags & OrderFlag.SQUARE_OFF:
        return Urgency.URGENT
    return rules.exit_urgency if flags & OrderFlag.EXIT else rules.entry_urgency


# Volatility of a MarketView from an average range of bars, rupees. The range of a random walk of
# standard deviation s a second over T seconds is s * sqrt(8 T / pi) on average.
# Source: Feller, W. (1951), "The asymptotic distribution of the range of sums of independent
# random variables", Annals of Mathematical Statistics 22(3).
cdef inline double volatility_of_range(double average, ns_t bar_ns) noexcept nogil:
    if not average > 0.0 or bar_ns <= 0:
        return 0.0
    return average / sqrt(2.5464790894703255 * <double>bar_ns / SECOND)


# One set of rules with their checks, and routes from Python.
cdef class Router:
    cdef RouteRules rules
    cdef int _set_slabs(self, object slabs) except -1


# A mapping of market fields as a view; names unknown or out of range are refused.
cdef int view_of(object market, MarketView *view) except -1
cdef object routed(const Route *route)
# Side, units and urgency of an order, or a refusal.
cdef int check_order(object side, object qty, object urgency) except -1
