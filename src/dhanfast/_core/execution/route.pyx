"""Rules of routing with their checks, and routes from Python; the functions are in route.pxd."""

from collections import namedtuple

from libc.stdint cimport int64_t
from libc.string cimport memset

from dhanfast._core.slabs cimport SLABS

from dhanfast.errors import ConfigError, UsageError

Routed = namedtuple("Routed", "price kind validity style why")

_DAY_NS = 86_400_000_000_000
_PRICE_MAX = 10_000_000_000
_RULES = {                           # name: (default, least, most)
    "future_e4": (100, 1, 2_000), "wide_e4": (20_000, 10_000, 100_000),
    "tight_ticks": (2, 0, 1_000), "tight_e6": (100, 0, 100_000),
    "loose_e6": (20_000, 0, 1_000_000), "share_e4": (10_000, 1, 1_000_000),
    "interval_ns": (1_000_000_000, 1_000_000, _DAY_NS), "reprices_max": (3, 0, 100),
    "patience_ns": (5_000_000_000, 1_000_000, _DAY_NS), "join_ns": (2_000_000_000, 0, _DAY_NS),
    "mid_ns": (2_000_000_000, 0, _DAY_NS), "cross_ns": (2_000_000_000, 0, _DAY_NS),
    "wide_ns": (2_000_000_000, 0, _DAY_NS), "option": (1, 0, 1), "ioc": (0, 0, 1),
    "entry_cross": (1, 0, 1), "entry_urgency": (1, 0, 3), "exit_urgency": (1, 0, 3),
}
_VIEW = ("bid", "ask", "last", "bid_qty", "ask_qty", "tick", "band_low", "band_high")


cdef class Router:
    """Rules of routing, and the routes that they give.

    Args:
        slabs: (premium below this, paise; protection, 1e-4) from low to high; the last one's
            premium is 0 for no end. Exactly four.
        swing: an order takes when the market moves further in its patience (one standard
            deviation) than this many times half the spread; 0 = never for that.
        future_e4: protection where `option` is False, 1e-4. wide_e4: WIDE is this times the
            protection.
        tight_ticks, tight_e6: spreads that are taken at once, in ticks or 1e-6 of the mid.
        loose_e6: spreads beyond it no entry takes; 0 = no such spread.
        share_e4: of the other side's best quantity an order may ask for and be taken to fit, 1e-4.
        interval_ns, reprices_max: of a pegged price. patience_ns: of an entry.
        join_ns, mid_ns, cross_ns, wide_ns: how long an exit stands on each rung.
        option: premium slabs hold. ioc: entries that take are IOC. entry_cross: an entry takes
            when its patience is over, else it is given up.
        entry_urgency, exit_urgency: of orders by signal, 0..3.

    Raises:
        ConfigError: a rule that is not known or out of range.
    """

    def __cinit__(self, *, object slabs=((10_00, 500), (100_00, 300), (500_00, 200), (0, 100)),
                  object swing=4.0, **rules: object):
        values = {}
        for name in rules:
            if name not in _RULES:
                raise ConfigError(f"routing.{name}: no such rule; known: slabs, swing, "
                                  f"{', '.join(_RULES)}")
        for name, (usual, least, most) in _RULES.items():
            value = rules.get(name, usual)
            if not isinstance(value, int) or not least <= value <= most:
                raise ConfigError(f"routing.{name} must be a whole number in {least}..{most}, "
                                  f"was {value!r}")
            values[name] = value
        if isinstance(swing, bool) or not isinstance(swing, int | float) or not 0 <= swing <= 1e3:
            raise ConfigError(f"routing.swing must be a number in 0..1000, was {swing!r}")
        memset(&self.rules, 0, sizeof(RouteRules))
        self._set_slabs(slabs)
        self.rules.swing = swing
        self.rules.future_e4, self.rules.wide_e4 = values["future_e4"], values["wide_e4"]
        self.rules.share_e4, self.rules.tight_ticks = values["share_e4"], values["tight_ticks"]
        self.rules.tight_e6, self.rules.loose_e6 = values["tight_e6"], values["loose_e6"]
        self.rules.interval_ns = values["interval_ns"]
        self.rules.patience_ns = values["patience_ns"]
        self.rules.reprices_max = values["reprices_max"]
        self.rules.join_ns, self.rules.mid_ns = values["join_ns"], values["mid_ns"]
        self.rules.cross_ns, self.rules.wide_ns = values["cross_ns"], values["wide_ns"]
        self.rules.option, self.rules.ioc = values["option"], values["ioc"]
        self.rules.entry_cross = values["entry_cross"]
        self.rules.entry_urgency = values["entry_urgency"]
        self.rules.exit_urgency = values["exit_urgency"]

    cdef int _set_slabs(self, object slabs) except -1:
        cdef int at
        cdef paise_t floor = 0
        try:
            table = [(below, e4) for below, e4 in slabs]
        except (TypeError, ValueError):
            table = []
        good = len(table) == SLABS and table[SLABS - 1][0] == 0
        for below, e4 in table:
            good = good and isinstance(below, int) and isinstance(e4, int) and 1 <= e4 <= 5_000
        if good:
            for at in range(SLABS - 1):
                good = good and floor < table[at][0] <= _PRICE_MAX
                floor = table[at][0] if good else 0
        if not good:
            raise ConfigError(f"routing.slabs must be four pairs (premium below, paise; protection "
                              f"in 1..5000, 1e-4), rising, the last one's premium 0; was {slabs!r}")
        for at in range(SLABS):
            self.rules.slabs.below[at], self.rules.slabs.e4[at] = table[at]
        return 0

    def entry(self, market: object, side: int, qty: int, urgency: int, age_ns: int = 0):
        """How an entry leaves, or goes on after `age_ns`.

        Args:
            market: mapping of bid, ask, last, bid_qty, ask_qty, tick, band_low, band_high and
                volatility; what is left out is not known. `tick` is needed.
            side: 1 buys, -1 sells. qty: units. urgency: an `Urgency`.

        Units:
            paise and units; volatility rupees, one standard deviation in a second.

        Returns:
            Routed: a price of 0 says that nothing can be sent.

        Raises:
            UsageError: a field that is not known or out of range.
        """
        cdef MarketView view
        cdef Route route
        check_order(side, qty, urgency)
        view_of(market, &view)
        route = route_entry(&self.rules, &view, side, qty, urgency, age_ns)
        return routed(&route)

    def exit(self, market: object, side: int, qty: int, urgency: int, age_ns: int = 0):
        """How an exit leaves, or goes on after `age_ns`; arguments as in `entry`.

        Raises:
            UsageError: a field that is not known or out of range.
        """
        cdef MarketView view
        cdef Route route
        check_order(side, qty, urgency)
        view_of(market, &view)
        route = route_exit(&self.rules, &view, side, qty, urgency, age_ns)
        return routed(&route)

    def urgency(self, reason: int, flags: int):
        """The urgency of an order by its Reason and OrderFlag bits, as an `Urgency`."""
        return Urgency(urgency_of(&self.rules, reason, flags))

    def many(self, market: object, side: int, qty: int, urgency: int, count: int,
             leaves: bool = False):
        """`count` decisions in one native loop, their sum of prices: for timing.

        Args:
            leaves: exits, else entries; the others as in `entry`.

        Raises:
            UsageError: a field that is not known or out of range.
        """
        cdef MarketView view
        cdef Route route
        cdef int64_t total = 0, n = count, at, units = qty
        cdef int way = side, haste = urgency
        cdef bint out = leaves
        check_order(side, qty, urgency)
        view_of(market, &view)
        with nogil:
            for at in range(n):
                # Another market each time, so that nothing can be worked out once.
                view.ask += (at & 1) * 2 * view.tick - view.tick
                if out:
                    route = route_exit(&self.rules, &view, way, units, haste, at)
                else:
                    route = route_entry(&self.rules, &view, way, units, haste, at)
                total += route.price
        return total


cdef int check_order(object side, object qty, object urgency) except -1:
    if side not in (1, -1):
        raise UsageError(f"side: {side!r} is not 1 (buy) or -1 (sell)")
    if not isinstance(qty, int) or not 0 < qty <= 1_000_000_000:
        raise UsageError(f"qty: {qty!r} is not a whole number of units in 1..1000000000")
    if urgency not in (0, 1, 2, 3):
        raise UsageError(f"urgency: {urgency!r} is not in 0..3; see Urgency")
    return 0


cdef int view_of(object market, MarketView *view) except -1:
    for name in market:
        if name not in _VIEW and name != "volatility":
            raise UsageError(f"market.{name}: no such field; known: {', '.join(_VIEW)}, volatility")
    for name in _VIEW:
        value = market.get(name, 0)
        least = 1 if name == "tick" else 0
        if not isinstance(value, int) or not least <= value <= _PRICE_MAX:
            raise UsageError(f"market.{name}: {value!r} is not a whole number in "
                             f"{least}..{_PRICE_MAX}")
    volatility = market.get("volatility", 0.0)
    if not 0.0 <= volatility <= 1e8:
        raise UsageError(f"market.volatility: {volatility!r} is not in 0..1e8 rupees")
    view.bid, view.ask = market.get("bid", 0), market.get("ask", 0)
    view.last = market.get("last", 0)
    view.bid_qty, view.ask_qty = market.get("bid_qty", 0), market.get("ask_qty", 0)
    view.tick, view.volatility = market["tick"], volatility
    view.band_low, view.band_high = market.get("band_low", 0), market.get("band_high", 0)
    return 0


cdef object routed(const Route *route):
    return Routed(route.price, route.kind, route.validity,
                  RouteStyle(route.style), RouteWhy(route.why))


def volatility(average_range: float, bar_ns: int):
    """One standard deviation of a second's move, from the average true range of bars.

    Args:
        average_range: rupees. bar_ns: length of a bar.

    Units:
        rupees.

    Source:
        Feller, W. (1951), "The asymptotic distribution of the range of sums of independent random
        variables", Annals of Mathematical Statistics 22(3).
    """
    return volatility_of_range(average_range, bar_ns)
