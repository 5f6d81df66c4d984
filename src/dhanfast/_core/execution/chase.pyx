"""Steps of an order under way: see chase.pxd for what holds."""

from libc.stdint cimport INT64_MAX
from libc.string cimport memset

from dhanfast._core.execution.route cimport (
    Router, RouteStyle, RouteWhy, Urgency, check_order, price_protected, route_entry, route_exit,
    route_price, routed, view_of, view_taken,
)
from dhanfast._core.types cimport Validity

from dhanfast.errors import UsageError


# The market without this order's own price at the top of its side.
cdef inline MarketView _others(const Chase *chase, const MarketView *view) noexcept nogil:
    cdef MarketView seen = view[0]
    if chase.price > 0 and chase.near > 0:
        if chase.side > 0 and seen.bid == chase.price:
            seen.bid = chase.near
        elif chase.side < 0 and seen.ask == chase.price:
            seen.ask = chase.near
    return seen


cdef inline void _cap(const Chase *chase, Route *route) noexcept nogil:
    if chase.cap and route.price and (route.price - chase.cap) * chase.side > 0:
        route.price = chase.cap


# The route that market and age ask for, no more patient than the style in force.
cdef Route _wanted(const Chase *chase, const RouteRules *rules, const MarketView *view,
                   int64_t qty, ns_t now_ns) noexcept nogil:
    cdef Route route
    cdef int style = chase.style
    if chase.leaves:
        route = route_exit(rules, view, chase.side, qty, chase.urgency, now_ns - chase.since_ns)
        if chase.reprices >= rules.reprices_max and RouteStyle.JOIN <= style < RouteStyle.BAND \
                and route.style == style and now_ns >= chase.next_ns \
                and _moved(chase, view, &route):
            style += 1                       # followed long enough: press
    else:
        route = route_entry(rules, view, chase.side, qty, chase.urgency, now_ns - chase.since_ns)
    if route.style < style and route.style != RouteStyle.NOTHING:
        route.why = chase.why if style == chase.style else \
            <uint8_t>(RouteWhy.LADDER_JOIN + style - RouteStyle.JOIN)
        route.style = <uint8_t>style
        route_price(rules, view, chase.side, &route)
        if rules.ioc and style == RouteStyle.CROSS and not chase.leaves:
            route.validity = Validity.IOC
    _cap(chase, &route)
    return route


# Whether the price in force no longer serves its style.
cdef bint _moved(const Chase *chase, const MarketView *view, const Route *route) noexcept nogil:
    if route.style == RouteStyle.CROSS or route.style == RouteStyle.WIDE:
        return (view_taken(view, chase.side) - chase.price) * chase.side > 0 \
            and route.price != chase.price
    return route.price != chase.price


cdef void _say(Chase *chase, const RouteRules *rules, const MarketView *view, const Route *route,
               ns_t now_ns) noexcept nogil:
    if route.style != chase.style:
        chase.style, chase.style_ns, chase.reprices = route.style, now_ns, 0
    elif chase.price > 0:
        chase.reprices += 1
    chase.changes += chase.price > 0
    chase.price, chase.why, chase.held = route.price, route.why, 0
    chase.near = view.bid if chase.side > 0 else view.ask
    chase.next_ns = now_ns + rules.interval_ns


cdef Route chase_open(Chase *chase, const RouteRules *rules, const MarketView *view, int side,
                      int64_t qty, int urgency, bint leaves, ns_t now_ns) noexcept nogil:
    cdef Route route
    memset(chase, 0, sizeof(Chase))
    chase.since_ns = chase.style_ns = now_ns
    chase.side, chase.leaves, chase.urgency = <int8_t>side, leaves, <uint8_t>urgency
    chase_step(chase, rules, view, qty, now_ns, &route)
    return route


cdef ChaseDo chase_step(Chase *chase, const RouteRules *rules, const MarketView *view, int64_t qty,
                        ns_t now_ns, Route *out) noexcept nogil:
    cdef MarketView seen = _others(chase, view)
    cdef paise_t taken
    chase.seen_ns = now_ns
    out[0] = _wanted(chase, rules, &seen, qty, now_ns)
    if not chase.leaves and _over(chase, rules, now_ns):
        return ChaseDo.GIVE_UP
    if out.style == RouteStyle.NOTHING:
        out.price, out.style = chase.price, chase.style      # what is in force stays
        return ChaseDo.KEEP
    if chase.price == 0:
        taken = view_taken(&seen, chase.side)
        if not chase.leaves:
            chase.cap = price_protected(rules, &seen, taken, chase.side)
            _cap(chase, out)
        _say(chase, rules, &seen, out, now_ns)
        return ChaseDo.CHANGE
    if out.style != chase.style:
        if out.price != chase.price:
            _say(chase, rules, &seen, out, now_ns)
            return ChaseDo.CHANGE
        chase.style, chase.style_ns, chase.reprices = out.style, now_ns, 0
        chase.why = out.why
        return ChaseDo.KEEP
    chase.held = 0
    if _moved(chase, &seen, out):
        if not chase.leaves and chase.reprices >= rules.reprices_max:
            out.price = chase.price          # stays where it is until its patience is over
        elif now_ns >= chase.next_ns:
            _say(chase, rules, &seen, out, now_ns)
            return ChaseDo.CHANGE
        else:
            chase.held = 1
    out.price, out.why = chase.price, chase.why
    return ChaseDo.KEEP


# An entry's patience: with waiting, and once more with taking.
cdef inline bint _over(const Chase *chase, const RouteRules *rules, ns_t now_ns) noexcept nogil:
    if chase.style >= RouteStyle.CROSS:
        return now_ns - chase.style_ns >= rules.patience_ns
    return now_ns - chase.since_ns >= rules.patience_ns * (2 if rules.entry_cross else 1)


cdef ns_t chase_wake(const Chase *chase, const RouteRules *rules) noexcept nogil:
    cdef ns_t wake = chase.next_ns if chase.held else INT64_MAX
    cdef ns_t at
    cdef int rung
    if not chase.leaves:
        at = rules.patience_ns + (chase.style_ns if chase.style >= RouteStyle.CROSS
                                  else chase.since_ns)
        return min(wake, at if at > chase.seen_ns else at + rules.patience_ns)
    at = chase.since_ns
    for rung in range(RouteStyle.JOIN, RouteStyle.BAND):
        at += _rung_ns(rules, chase.urgency, rung)
        if rung >= chase.style and at > chase.seen_ns:
            return min(wake, at)
    return wake


cdef inline ns_t _rung_ns(const RouteRules *rules, int urgency, int rung) noexcept nogil:
    if rung == RouteStyle.JOIN:
        return rules.join_ns if urgency < Urgency.NORMAL else 0
    if rung == RouteStyle.MID:
        return rules.mid_ns if urgency < Urgency.URGENT else 0
    if rung == RouteStyle.CROSS:
        return rules.cross_ns if urgency < Urgency.EMERGENCY else 0
    return rules.wide_ns


cdef void chase_press(Chase *chase, int urgency) noexcept nogil:
    chase.urgency = <uint8_t>max(<int>chase.urgency, urgency)


cdef class Chaser:
    """One order that is worked after a router's rules, from Python.

    Args:
        router: whose rules hold.
        market: as in `Router.entry`.
        side: 1 buys, -1 sells.
        qty: units.
        urgency: an `Urgency`.
        leaves: True: an exit, which climbs and is never given up.
        now_ns: UTC ns.

    Attributes:
        route: the first route, a `Routed`.

    Raises:
        UsageError: a field of the market, the side, the quantity or the urgency is out of range.
    """

    cdef Chase chase
    cdef Router router
    cdef readonly object route

    def __cinit__(self, Router router not None, object market, *, int side, object qty,
                  int urgency, bint leaves, object now_ns):
        cdef MarketView view
        cdef Route route
        self.router = router
        check_order(side, qty, urgency)
        view_of(market, &view)
        route = chase_open(&self.chase, &router.rules, &view, side, qty, urgency, leaves, now_ns)
        self.route = routed(&route)

    def step(self, market: object, qty: int, now_ns: int):
        """What to do now: (ChaseDo, Routed in force).

        Args:
            market: as in `Router.entry`. qty: units left. now_ns: UTC ns, never less than before.

        Raises:
            UsageError: a field is out of range, or time runs back.
        """
        cdef MarketView view
        cdef Route route
        cdef ChaseDo what
        check_order(self.chase.side, qty, self.chase.urgency)
        if now_ns < self.chase.seen_ns:
            raise UsageError(f"now_ns: {now_ns} is before the last step at {self.chase.seen_ns}")
        view_of(market, &view)
        what = chase_step(&self.chase, &self.router.rules, &view, qty, now_ns, &route)
        return what, routed(&route)

    def press(self, urgency: int):
        """More urgent from now on; less than before changes nothing.

        Raises:
            UsageError: not an urgency.
        """
        check_order(1, 1, urgency)
        chase_press(&self.chase, urgency)

    @property
    def wake_ns(self):
        """When to step again should the market stand still; None: never."""
        cdef ns_t wake = chase_wake(&self.chase, &self.router.rules)
        return None if wake == INT64_MAX else wake

    @property
    def state(self):
        """The fields of the native state, by name: what a restart repeats."""
        return dict(self.chase)
