"""Bands of India VIX with hysteresis: by level, and by rank among the last days' closes.

Owner thread:  any; a state belongs to one.   Memory: `closes`, given at construction.
Units:         VIX in 1/100 points; ranks in 1e-4; times in UTC ns.
Laws:          a value counts from the time it is known, never earlier; the close of a day counts
               from the next IST day on. The rank of a value is the share of the last `rank_days`
               closes that lie below it.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memmove

from dhanfast._core.types cimport ns_t

cdef enum:
    VIX_DAYS_MAX = 1000
    VIX_LEAST = 300          # 3.00 and 150.00 points: a print beyond them is a fault
    VIX_MOST = 15_000


cdef enum VixBand:           # bits: which rules hold entries back now
    HIGH = 1
    LOW = 2
    RANK_HIGH = 4
    RANK_LOW = 8
    UNKNOWN = 16             # no value, too old, or too few days for a rank


cdef struct VixRules:        # 0 switches a rule off
    int64_t vix_high         # at or above it no entries, until below `leave`
    int64_t vix_high_leave
    int64_t vix_low          # at or below it no entries, until above `leave`
    int64_t vix_low_leave
    int64_t rank_high_e4
    int64_t rank_high_leave_e4
    int64_t rank_low_e4
    int64_t rank_low_leave_e4
    int64_t rank_days        # closes that count, the last ones
    int64_t rank_days_min    # with fewer the rank is unknown, and entries wait
    int64_t vix_age          # ns; an older value is unknown


cdef struct VixState:
    int64_t value            # 0 = none yet
    ns_t value_ns
    int64_t day              # IST days since 1970 of a value whose close is not kept yet; 0 = none
    int64_t bands            # VixBand bits
    int64_t rank_e4          # -1 = unknown
    uint64_t bad             # values beyond VIX_LEAST..VIX_MOST, ignored
    uint64_t close_count     # closes ever added
    int64_t *closes          # ring of `rank_days`
    int64_t *ordered         # the same, ascending


cdef inline int64_t ist_day(ns_t time_ns) noexcept nogil:
    return (time_ns // 1_000_000_000 + 19_800) // 86_400


cdef inline int64_t _band(int64_t bands, int bit, bint into, bint out) noexcept nogil:
    if into:
        return bands | bit
    return bands & ~<int64_t>bit if out else bands


cdef inline void vix_bands(const VixRules *rules, VixState *state) noexcept nogil:
    """A band is entered at its edge and left beyond another."""
    cdef int64_t value = state.value
    cdef int64_t days = min(<int64_t>state.close_count, rules.rank_days)
    cdef int64_t below = 0, beyond = days, middle
    if rules.vix_high:
        state.bands = _band(state.bands, VixBand.HIGH, value >= rules.vix_high,
                            value < rules.vix_high_leave)
    if rules.vix_low:
        state.bands = _band(state.bands, VixBand.LOW, value <= rules.vix_low,
                            value > rules.vix_low_leave)
    state.rank_e4 = -1
    if days == 0 or days < rules.rank_days_min:
        return
    while below < beyond:
        middle = (below + beyond) // 2
        if state.ordered[middle] < value:
            below = middle + 1
        else:
            beyond = middle
    state.rank_e4 = below * 10_000 // days
    if rules.rank_high_e4:
        state.bands = _band(state.bands, VixBand.RANK_HIGH, state.rank_e4 >= rules.rank_high_e4,
                            state.rank_e4 < rules.rank_high_leave_e4)
    if rules.rank_low_e4:
        state.bands = _band(state.bands, VixBand.RANK_LOW, state.rank_e4 <= rules.rank_low_e4,
                            state.rank_e4 > rules.rank_low_leave_e4)


cdef inline void vix_add_close(const VixRules *rules, VixState *state,
                               int64_t close) noexcept nogil:
    cdef size_t most = <size_t>rules.rank_days
    cdef size_t kept, at = 0
    if most == 0:
        return
    kept = min(<size_t>state.close_count, most)
    if kept == most:                     # the oldest makes room
        while state.ordered[at] != state.closes[state.close_count % most]:
            at += 1
        memmove(&state.ordered[at], &state.ordered[at + 1], (kept - at - 1) * sizeof(int64_t))
        kept -= 1
    state.closes[state.close_count % most] = close
    state.close_count += 1
    at = kept
    while at > 0 and state.ordered[at - 1] > close:
        at -= 1
    memmove(&state.ordered[at + 1], &state.ordered[at], (kept - at) * sizeof(int64_t))
    state.ordered[at] = close


cdef inline void vix_day_begins(const VixRules *rules, VixState *state,
                                int64_t today) noexcept nogil:
    """The last value of a day that is over is that day's close."""
    if state.day and state.day < today:
        state.day = 0
        vix_add_close(rules, state, state.value)
        vix_bands(rules, state)


cdef inline void vix_step(const VixRules *rules, VixState *state, ns_t now_ns,
                          int64_t value) noexcept nogil:
    if value < VIX_LEAST or value > VIX_MOST:
        state.bad += 1
        return
    vix_day_begins(rules, state, ist_day(now_ns))
    state.value, state.value_ns, state.day = value, now_ns, ist_day(now_ns)
    vix_bands(rules, state)
