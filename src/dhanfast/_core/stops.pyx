"""Stops: see stops.pxd for what holds, here is the how."""

cimport cython
from libc.math cimport INFINITY, NAN, llrint
from libc.string cimport memset

from dhanfast.errors import ConfigError

_UNITS = {"points": DistanceUnit.POINTS, "percent": DistanceUnit.PERCENT, "atr": DistanceUnit.ATR}
_LARGEST = {DistanceUnit.POINTS: 1e9, DistanceUnit.PERCENT: 100.0, DistanceUnit.ATR: 1e4}
_DISTANCES = ("stop", "target", "trail", "trail_from", "cost_at", "cost_plus")


cdef inline paise_t _paise(const Distance *distance, paise_t entry, double atr) noexcept nogil:
    cdef double points = distance_points(distance, 0.01 * entry, atr)
    return llrint(100.0 * points) if points == points else 0


cdef void stops_set(const StopRules *rules, double price, double atr, double *stop,
                    double *target) noexcept nogil:
    if rules.stop.unit and (rules.override or stop[0] == 0.0):
        stop[0] = distance_points(&rules.stop, price, atr)
    if rules.target.unit and (rules.override or target[0] == 0.0):
        target[0] = distance_points(&rules.target, price, atr)


cdef bint stops_known(const StopRules *rules, double price, double atr) noexcept nogil:
    cdef double sum = (distance_points(&rules.trail, price, atr)
                       + distance_points(&rules.trail_from, price, atr)
                       + distance_points(&rules.cost_at, price, atr)
                       + distance_points(&rules.cost_plus, price, atr))
    return sum == sum and sum < INFINITY


cdef void stops_open(const StopRules *rules, StopState *state, int32_t side, paise_t entry,
                     double atr, paise_t tick) noexcept nogil:
    memset(state, 0, sizeof(StopState))
    state.side, state.entry, state.best, state.atr = side, entry, entry, atr
    if rules.trail.unit == DistanceUnit.PERCENT:
        state.trail_e6 = llrint(10_000.0 * rules.trail.amount)
    elif rules.trail.unit:
        state.trail = max(_paise(&rules.trail, entry, atr), tick)
    state.trail_from = _paise(&rules.trail_from, entry, atr)
    state.cost_from = INT64_MAX
    if rules.cost_at.unit:
        state.cost_from = max(_paise(&rules.cost_at, entry, atr), tick)
    state.cost_plus = _paise(&rules.cost_plus, entry, atr)


cdef paise_t stops_cost(const StopState *state, paise_t paid, int64_t qty, int64_t charges,
                        paise_t tick) noexcept nogil:
    # What a unit must be sold for at least, bought back for at most.
    cdef paise_t each, fee
    if qty <= 0:
        return 0
    fee = (charges + 1_000_000 * qty - 1) // (1_000_000 * qty)
    if state.side > 0:
        each = (paid + qty - 1) // qty + fee + state.cost_plus
        return (each + tick - 1) // tick * tick
    each = paid // qty - fee - state.cost_plus
    return each // tick * tick if each >= tick else 0


# The price at which the trail's level may reach `need`: a little early, never late.
cdef paise_t _trail_reaches(const StopState *state, paise_t need, paise_t tick) noexcept nogil:
    cdef double factor
    if state.trail_e6 == 0:
        return need + state.side * max(state.trail, tick)
    factor = 1.0 - state.side * 1e-6 * state.trail_e6
    if factor <= 0.0:
        return INT64_MAX
    # The distance is a whole number of paise, rounded down.
    return <paise_t>((need - 2 * state.side) / factor) - 2 * state.side


cdef void stops_quiet(const StopRules *rules, const StopState *state, paise_t stop, paise_t tick,
                      ns_t last_ns, ns_t *until_ns, paise_t *floor,
                      paise_t *ceiling) noexcept nogil:
    cdef paise_t want, need, at = 0
    cdef bint never = True
    if state.local:
        if state.side > 0:
            floor[0] = max(floor[0], state.local)
        else:
            ceiling[0] = min(ceiling[0], state.local)
    if not rules.moves:
        return
    want = stops_level(state, tick)
    need = stop + state.side * max(<paise_t>rules.step_ticks, 1) * tick
    if want and (stop == 0 or state.side * (want - need) >= 0):
        if last_ns < state.next_ns:
            until_ns[0] = min(until_ns[0], state.next_ns)      # time alone holds it
            return
        if stop == 0:                # only the last price holds it: the next one decides
            until_ns[0] = 0
            return
        at, never = need + state.side, False                   # as far as the last price allows
    else:
        if state.trail or state.trail_e6:
            at = state.entry + state.side * state.trail_from
            if stop:
                want = _trail_reaches(state, need, tick)
                at = max(at, want) if state.side > 0 else min(at, want)
            never = at == INT64_MAX
        if state.cost and state.side * (state.best - state.entry) < state.cost_from < INT64_MAX:
            want = state.entry + state.side * state.cost_from
            if never:
                at = want
            else:
                at = min(at, want) if state.side > 0 else max(at, want)
            never = False
    if never:
        return
    if state.side > 0:
        ceiling[0] = min(ceiling[0], at)
    else:
        floor[0] = max(floor[0], at)


@cython.final
cdef class Stops:
    """Rules of stops, targets and how long a position is held; with none given all are off.

    Args:
        stop, target: distances that are set when the strategy gives none, each a pair of a number
            and "points" (rupees), "percent" or "atr"; None = not set.
        trail: distance that the stop keeps from the best price. trail_from: gain at which that
            begins; None = at once.
        cost_at: gain at which the stop is moved to what the position has cost, and `cost_plus`
            beyond it; cost_charges: cost counts the charges of both sides.
        override: True: stop and target hold also when the strategy gives its own.
        rest: False: the stop is not sent; it is watched here, and the position is left when a
            price touches it.
        step_ticks, every_ns: least move, and least time between two. changes_max: changes of one
            order; after these the stop goes on here.
        atr_period: signal bars of the average true range.
        bars_max, time_max_ns: signal bars and time after which the position is left; 0 = never.
        only_losing: True: and only while it has no profit.
    Units:
        ns, ticks, bars; distances as they say.
    Raises:
        ConfigError: a value out of range, or one without what it belongs to.
    """

    def __cinit__(self, *, stop: object = None, target: object = None, trail: object = None,
                  trail_from: object = None, cost_at: object = None, cost_plus: object = None,
                  cost_charges: bool = False, override: bool = False, rest: bool = True,
                  step_ticks: int = 20, every_ns: int = 5_000_000_000, changes_max: int = 15,
                  atr_period: int = 14, bars_max: int = 0, time_max_ns: int = 0,
                  only_losing: bool = False):
        given = (stop, target, trail, trail_from, cost_at, cost_plus)
        made = {name: _distance(name, value)
                for name, value in zip(_DISTANCES, given, strict=True)}
        for name, value, least, most in (
            ("step_ticks", step_ticks, 1, 100_000), ("every_ns", every_ns, 0, 86_400 * 10**9),
            ("changes_max", changes_max, 0, 20), ("atr_period", atr_period, 1, 10_000),
            ("bars_max", bars_max, 0, 10**9), ("time_max_ns", time_max_ns, 0, 10**17),
        ):
            if not least <= value <= most:
                raise ConfigError(f"stops.{name} must be in {least}..{most}, was {value}")
        if trail_from is not None and trail is None:
            raise ConfigError("stops.trail_from: nothing trails from there; set stops.trail as "
                              "well")
        if (cost_plus is not None or cost_charges) and cost_at is None:
            raise ConfigError("stops.cost_plus and cost_charges belong to stops.cost_at, which is "
                              "not set")
        if only_losing and not (bars_max or time_max_ns):
            raise ConfigError("stops.only_losing belongs to stops.bars_max or stops.time_max, "
                              "which are not set")
        self.rules.stop, self.rules.target = made["stop"], made["target"]
        self.rules.trail, self.rules.trail_from = made["trail"], made["trail_from"]
        self.rules.cost_at, self.rules.cost_plus = made["cost_at"], made["cost_plus"]
        self.rules.cost_charges, self.rules.override, self.rules.rest = cost_charges, override, rest
        self.rules.step_ticks, self.rules.every_ns = step_ticks, every_ns
        self.rules.changes_max, self.rules.bars_max = changes_max, bars_max
        self.rules.time_max_ns, self.rules.only_losing = time_max_ns, only_losing
        counted = any(one["unit"] == DistanceUnit.ATR for one in made.values())
        self.rules.atr_period = atr_period if counted else 0
        self.rules.moves = trail is not None or cost_at is not None
        self.rules.watched = self.rules.moves or not rest
        self.rules.timed = bool(bars_max or time_max_ns)
        self.rules.sets = stop is not None or target is not None


cdef object _distance(str name, object value):
    """A pair as a `Distance`."""
    if value is None:
        return {"amount": 0.0, "unit": DistanceUnit.NONE, "spare": 0}
    amount, unit = value
    if unit not in _UNITS:
        raise ConfigError(f"stops.{name}: {unit!r} is not points, percent or atr")
    unit = _UNITS[unit]
    if not 0.0 < amount <= _LARGEST[unit]:
        raise ConfigError(f"stops.{name} must be above 0 and at most {_LARGEST[unit]:g}, "
                          f"was {amount}")
    return {"amount": float(amount), "unit": unit, "spare": 0}


@cython.final
cdef class StopWatch:
    """One position's stop by itself, without orders: what the rules make of prices.

    Args:
        stops: the rules. side: 1 long, -1 short. entry: price of the fill. tick: of the contract.
        stop: where it is first, 0 = nowhere. atr: rupees, when the entry was decided.
        paid, qty, charges: of the whole entry, for the move to cost: paise, units, micro-paise.
    Units:
        Prices in paise, times in ns.
    Raises:
        ValueError: a price, quantity or tick that is not above 0, or another side.
    """

    def __cinit__(self, Stops stops not None, *, int side, int64_t entry, int64_t tick,
                  int64_t stop=0, double atr=NAN, int64_t paid=0, int64_t qty=1,
                  int64_t charges=0):
        if side not in (1, -1) or entry <= 0 or tick <= 0 or qty <= 0 or stop < 0:
            raise ValueError("side must be 1 or -1, and entry, tick and qty above 0")
        self.rules = stops.rules
        self.tick = tick
        stops_open(&self.rules, &self.state, side, entry, atr, tick)
        if stops.rules.cost_at.unit:
            self.state.cost = stops_cost(&self.state, paid or entry * qty, qty, charges, tick)
        self.stop = stop_tighter(side, stop, stops_level(&self.state, tick))

    def see(self, int64_t low, int64_t high, int64_t last, int64_t now_ns):
        """Prices have been between low and high, the last of them `last`.

        Returns:
            Where the stop is after it, 0 = nowhere.
        """
        cdef paise_t want
        stops_best(&self.state, low, high)
        want = stops_step(&self.rules, &self.state, self.stop, last, now_ns, self.tick)
        if want:
            self.state.next_ns = now_ns + self.rules.every_ns
            self.stop = want
        return self.stop

    def quiet(self, int64_t last_ns):
        """Between which prices, and before which time, nothing moves: (floor, ceiling, until)."""
        cdef ns_t until_ns = INT64_MAX
        cdef paise_t floor = 0, ceiling = INT64_MAX
        stops_quiet(&self.rules, &self.state, self.stop, self.tick, last_ns, &until_ns, &floor,
                    &ceiling)
        return floor, ceiling, until_ns
