"""Schedules: see schedule.pxd for the laws, here is the how, and a door to look at one."""

from libc.string cimport memset

import numpy as np

from dhanfast.errors import ConfigError


cdef bint plan_begin(Plan *plan, const AlgoRules *rules, const Profile *profile, int64_t lots,
                     uint64_t number, ns_t start_ns, ns_t end_ns) noexcept nogil:
    cdef int64_t span = max(end_ns - start_ns, <ns_t>1)
    cdef int64_t step = max(rules.interval_ns, <ns_t>1)
    cdef int64_t slices = (span - 1) // step + 1
    cdef int64_t least = max(rules.least_lots, <int64_t>1)
    slices = min(slices, <int64_t>SLICES_MAX)
    if rules.algo != Algo.POV:
        slices = min(slices, max(lots // least, <int64_t>1))
    plan.start_ns, plan.end_ns, plan.lots = start_ns, start_ns + span, lots
    plan.key = draw_bits(rules.seed, number)
    plan.slices, plan.at = <uint32_t>slices, 0
    if rules.algo != Algo.VWAP:
        return True
    return profile.known and (profile_until(profile, plan.end_ns)
                              > profile_until(profile, plan.start_ns))


# Where step k begins, before it is moved.
cdef inline ns_t _grid(const Plan *plan, int64_t k) noexcept nogil:
    return plan.start_ns + df_part_of(plan.end_ns - plan.start_ns, k, plan.slices)


cdef ns_t plan_time(const Plan *plan, const AlgoRules *rules, int64_t k) noexcept nogil:
    cdef ns_t step = (plan.end_ns - plan.start_ns) // plan.slices
    if k <= 0:
        return plan.start_ns
    if k >= plan.slices:
        return plan.end_ns
    return _grid(plan, k) + step // FINE * draw_e4(plan.key, 2 * k, rules.random_e4)


# The boundary behind k slices in 1e-4 lots, before it is moved.
cdef int64_t _even(const Plan *plan, const AlgoRules *rules, const Profile *profile,
                   int64_t k) noexcept nogil:
    cdef int64_t begun, whole
    if rules.algo != Algo.VWAP:
        return df_part_of(plan.lots * FINE, k, plan.slices)
    begun = profile_until(profile, plan.start_ns)
    whole = profile_until(profile, plan.end_ns) - begun
    return df_part_of(plan.lots * FINE, profile_until(profile, _grid(plan, k)) - begun, whole)


cdef int64_t plan_lots(const Plan *plan, const AlgoRules *rules, const Profile *profile,
                       int64_t k) noexcept nogil:
    cdef int64_t here, moved
    if k <= 0:
        return 0
    if k >= plan.slices:
        return plan.lots
    here = _even(plan, rules, profile, k)
    moved = draw_e4(plan.key, 2 * k + 1, rules.random_e4)
    if moved > 0:
        here += (_even(plan, rules, profile, k + 1) - here) * moved // FINE
    else:
        here -= (here - _even(plan, rules, profile, k - 1)) * -moved // FINE
    # To the nearest lot: rounding down would put the whole of a small order at its end.
    return (here + FINE // 2) // FINE


cdef int64_t pov_lots(const Plan *plan, const AlgoRules *rules, int64_t lot, int64_t volume,
                      ns_t now_ns) noexcept nogil:
    cdef int64_t due = df_part_of(volume, rules.rate_e4, 10_000 * lot)
    cdef ns_t gone = min(max(now_ns - plan.start_ns, <ns_t>0), plan.end_ns - plan.start_ns)
    cdef int64_t least = df_part_of(plan.lots * rules.floor_e4, gone,
                                    (plan.end_ns - plan.start_ns)) // 10_000
    return min(max(due, least), plan.lots)


cdef int64_t cap_lots(const Plan *plan, const AlgoRules *rules, int64_t lot,
                      int64_t volume) noexcept nogil:
    if rules.cap_e4 == 0:
        return plan.lots
    return max(rules.least_lots, <int64_t>1) + df_part_of(volume, rules.cap_e4, 10_000 * lot)


cdef int64_t display_lots(const Plan *plan, const AlgoRules *rules, int64_t ordinal) noexcept nogil:
    cdef int64_t moved = draw_e4(plan.key, ordinal, rules.random_e4)
    return max((rules.display_lots * (FINE + moved) + FINE // 2) // FINE, <int64_t>1)


_LIMITS = {                      # name: (default, least, most)
    "horizon_ns": (300_000_000_000, 1_000_000, 86_400_000_000_000),
    "interval_ns": (30_000_000_000, 1_000_000, 86_400_000_000_000),
    "reprice_ns": (5_000_000_000, 0, 86_400_000_000_000),
    "random_e4": (0, 0, 5_000), "child_lots": (0, 0, 100_000), "least_lots": (1, 1, 100_000),
    "cap_e4": (0, 0, 10_000), "rate_e4": (1_000, 1, 10_000), "floor_e4": (0, 0, 10_000),
    "display_lots": (1, 1, 100_000), "limit_e4": (0, 0, 5_000), "seed": (0, 0, (1 << 63) - 1),
    "algo": (1, 1, 5), "remainder": (1, 0, 2), "entries": (1, 0, 1), "exits": (1, 0, 1),
    "urgency": (1, 0, 2),
}


cdef int rules_take(AlgoRules *rules, dict given) except -1:
    """Defaults and what was given instead of them, checked."""
    values = {}
    for name in given:
        if name not in _LIMITS:
            raise ConfigError(f"execution.{name}: no such rule; known: {', '.join(_LIMITS)}")
    for name, (usual, least, most) in _LIMITS.items():
        value = given.get(name, usual)
        if not isinstance(value, (int, np.integer)) or not least <= value <= most:
            raise ConfigError(f"execution.{name} must be a whole number in {least}..{most}, "
                              f"was {value!r}")
        values[name] = int(value)
    rules[0] = values
    return 0


cdef int profile_take(Profile *profile, object volumes) except -1:
    """Volume by minute of the day; None: unknown."""
    cdef int64_t total = 0
    cdef int at
    memset(profile, 0, sizeof(Profile))
    if volumes is None:
        return 0
    table = np.asarray(volumes)
    if table.shape != (MINUTES,) or table.dtype.kind not in "iu" or (table < 0).any() \
            or not 0 < int(table.sum(dtype=object)) <= 10**13:
        raise ConfigError(f"execution.profile must be {MINUTES} whole numbers of 0 or more, one a "
                          "minute of the day (IST), with a sum of 1..10**13")
    for at in range(MINUTES):
        profile.before[at] = total
        total += table[at]
    profile.before[MINUTES] = total
    profile.known = 1
    return 0


def schedule(lots: int, start_ns: int, end_ns: int, *, number: int = 1, profile: object = None,
             **rules: object):
    """What a TWAP or VWAP of so many lots sends when: for documents, tests and what-if.

    Args:
        lots: of the parent. start_ns, end_ns: its time, UTC ns.
        number: the parent's id, which its random numbers hang on.
        profile: int[1440], volume by minute of the day in IST; for VWAP.
        rules: as `Worker`.
    Returns:
        list of (time ns, lots due in all from then on).
    Raises:
        ConfigError: a rule out of range; VWAP without volume in this time.
    """
    cdef AlgoRules taken
    cdef Profile known
    cdef Plan plan
    rules_take(&taken, rules)
    profile_take(&known, profile)
    if not 0 < lots <= 100_000_000 or not 0 <= start_ns < end_ns:
        raise ConfigError(f"a schedule needs lots in 1..100000000 and a start before its end, was "
                          f"{lots} from {start_ns} to {end_ns}")
    if not plan_begin(&plan, &taken, &known, lots, number, start_ns, end_ns):
        raise ConfigError("VWAP: the profile has no volume in this time")
    return [(plan_time(&plan, &taken, k), plan_lots(&plan, &taken, &known, k + 1))
            for k in range(plan.slices)]
