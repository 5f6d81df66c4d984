"""HedgeRule: see hedge.pxd."""

cimport cython
from libc.math cimport isfinite
from libc.stdint cimport INT64_MAX, int64_t

from dhanfast.errors import ConfigError

LOTS_MOST = 10_000
HEDGES_MOST = 100_000
HOUR_NS = 3_600_000_000_000


cdef object _number(str name, double value, double low, double high):
    if not (isfinite(value) and low <= value <= high):
        raise ConfigError(f"hedge.{name} must be in {low:g}..{high:g}, was {value!r}")


def checked_rules(rules):
    """A mapping of every field of HedgeRules, or a refusal that names the field.

    Raises:
        ConfigError: a number out of range, or no rule at all.
    """
    cdef HedgeRules given = rules
    for name in ("band", "band_lots", "cost_points"):
        _number(name, rules[name], 0.0, 1e9)
    for name in ("target", "target_lots"):
        _number(name, rules[name], -1e9, 1e9)
    _number("risk_aversion", given.risk_aversion, 0.0, 1.0)
    _number("cost_rate", given.cost_rate, 0.0, 0.5)
    _number("hysteresis", given.hysteresis, 0.0, 10.0)
    for name, high in (("interval_ns", 24 * HOUR_NS), ("pause_ns", 24 * HOUR_NS)):
        _number(name, rules[name], 0.0, high)
    _number("lots_max", given.lots_max, 1.0, LOTS_MOST)
    _number("hedges_max", given.hedges_max, 1.0, HEDGES_MOST)
    for name in ("to", "dry", "right"):
        _number(name, rules[name], 0.0, 1.0)
    if not (given.band or given.band_lots or given.risk_aversion or given.interval_ns):
        raise ConfigError("hedge: there is no rule: give band, interval or risk_aversion")
    if given.risk_aversion and not (given.cost_points or given.cost_rate):
        raise ConfigError("hedge.cost: a cost-aware band needs what a unit costs")
    return rules


@cython.final
cdef class HedgeRule:
    """The rule of a hedge by itself: what a structure's hedge follows, row by row.

    Args:
        rules: a mapping of every field of HedgeRules (see hedge.pxd).
    Raises:
        ConfigError: a number out of range, or no rule at all.
    Source:
        Whalley and Wilmott (1997), Mathematical Finance 7(3), for the cost-aware band.
    """

    def __cinit__(self, rules):
        self.rules = checked_rules(rules)
        hedge_day(&self.state)

    def look(self, int64_t now_ns, double net, double gamma, double price, int64_t position, *,
             double unit=1.0, int64_t lot=1, int64_t freeze=0, int64_t from_ns=0,
             int64_t until_ns=INT64_MAX, bint shut=False):
        """Look at the gap and decide.

        Args:
            now_ns: UTC ns. net: delta of all in units of the underlying, the hedge's included.
            gamma: of all, units a rupee. price: of a unit of the hedge. position: units of it.
            unit: delta of one unit. lot, freeze: units; 0 = no freeze. from_ns, until_ns: hours.
            shut: entries are held back.
        Units:
            price in rupees.
        Returns:
            (units to hold, HedgeWhy, whether it is done, gap, band). What is done counts.
        """
        cdef HedgeView view = HedgeView(now_ns, from_ns, until_ns, net, gamma, unit, price,
                                        position, lot, freeze, shut)
        cdef HedgeMove move
        hedge_step(&self.rules, &self.state, &view, &move)
        return move.want, HedgeWhy(move.why), bool(move.go), move.gap, move.band

    def new_day(self):
        """Counts and pauses of a day begin again."""
        hedge_day(&self.state)

    def cost_band(self, double gamma, double price, double unit=1.0):
        """Half the width of the cost-aware band, units of delta; 0 without one.

        Args:
            gamma: units a rupee. price: of a unit of the hedge, rupees. unit: delta of one.
        Source:
            Whalley and Wilmott (1997), equation of the leading order.
        """
        return hedge_cost_band(&self.rules, gamma, unit, price)
