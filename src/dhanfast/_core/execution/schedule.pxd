"""How much of a parent order is due when: the schedules of the algorithms.

Who may call what:   the engine thread; pure functions of their arguments and of a `Plan`.
Memory:              none.

A plan divides the time from `start_ns` to `end_ns` into `slices` equal steps. Slice k (0, 1, ..) is
due at `plan_time(k)`: the start of step k, moved by at most `random_e4` of a step, the first one
not at all. When slices 0..k-1 have come, `plan_lots(k)` lots are due in all:
    TWAP      the same number of lots a step
    VWAP      as the profile's volume is spread over the time of the plan
each boundary moved by at most `random_e4` of its neighbouring slice. With random_e4 <= 5,000 both
rise and never cross; the last boundary is the whole order. POV asks the market instead (see
`pov_lots`), at the same times. Random numbers are a hash of seed, parent and place: what came
between does not change them, and a restart finds the same ones.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from dhanfast._core.types cimport ns_t

cdef extern from *:
    """
    #include <stdint.h>
    /* a * b / c rounded down, exact; a, b >= 0, c > 0, and the result fits. */
    static inline int64_t df_part_of(int64_t a, int64_t b, int64_t c) {
        return (int64_t)((__int128)a * b / c);
    }
    """
    int64_t df_part_of(int64_t a, int64_t b, int64_t c) noexcept nogil

cdef enum:
    SLICES_MAX = 10_000
    MINUTES = 1_440
    FINE = 10_000            # boundaries are worked out in 1e-4 lots


cpdef enum Algo:
    """How a parent order is divided into children."""

    NONE = 0
    SLICE = 1                # by the freeze quantity only, all at once
    TWAP = 2
    VWAP = 3
    POV = 4
    ICEBERG = 5


cpdef enum Remainder:
    """What becomes of what has not filled at the deadline of an entry."""

    CANCEL = 0               # it ends with what has filled
    REPRICE = 1              # the rest takes what the market offers
    KEEP = 2                 # children that rest go on resting, no new ones are sent


cdef struct AlgoRules:
    ns_t horizon_ns          # from the parent to its deadline
    ns_t interval_ns         # a step, about
    ns_t reprice_ns          # a resting child's price is looked at again after so long; 0 = never
    int64_t random_e4        # of sizes and times, 0..5,000
    int64_t child_lots       # no child is larger; 0 = only freeze
    int64_t least_lots       # no child is smaller, but for the last
    int64_t cap_e4           # TWAP, VWAP: no more than this share of the volume since the start
    int64_t rate_e4          # POV: share of the volume since the start
    int64_t floor_e4         # POV: at least this share of an even schedule
    int64_t display_lots     # iceberg
    int64_t limit_e4         # no child's price is beyond this from the arrival's, 1e-4; 0 = off
    uint64_t seed
    uint8_t algo             # Algo
    uint8_t remainder        # Remainder
    uint8_t entries          # entries are worked
    uint8_t exits            # exits by signal are worked
    uint8_t urgency          # route.Urgency of children


cdef struct Plan:
    ns_t start_ns
    ns_t end_ns
    int64_t lots
    uint64_t key             # of its random numbers
    uint32_t slices
    uint32_t at              # the next slice


# Volume by minute of the day, IST; cumulative: weight[i] = volume before minute i.
cdef struct Profile:
    int64_t before[MINUTES + 1]
    uint8_t known


# splitmix64 of a key and a place. Source: Steele, Lea, Flood (2014), "Fast splittable pseudorandom
# number generators", OOPSLA.
cdef inline uint64_t draw_bits(uint64_t key, uint64_t place) noexcept nogil:
    cdef uint64_t z = key + (place + 1) * <uint64_t>0x9E3779B97F4A7C15
    z = (z ^ (z >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * <uint64_t>0x94D049BB133111EB
    return z ^ (z >> 31)


# In -random_e4..random_e4.
cdef inline int64_t draw_e4(uint64_t key, uint64_t place, int64_t random_e4) noexcept nogil:
    return <int64_t>(draw_bits(key, place) % 20_001) * random_e4 // 10_000 - random_e4


# Volume of the profile from midnight to `at_ns`, in 1/60,000 of its unit.
cdef inline int64_t profile_until(const Profile *profile, ns_t at_ns) noexcept nogil:
    cdef int64_t ms = (at_ns // 1_000_000 + 19_800_000) % 86_400_000     # IST
    cdef int64_t minute = ms // 60_000
    cdef int64_t volume = profile.before[minute + 1] - profile.before[minute]
    return profile.before[minute] * 60_000 + volume * (ms % 60_000)


# False: a VWAP without volume in its time. `lots` > 0.
cdef bint plan_begin(Plan *plan, const AlgoRules *rules, const Profile *profile, int64_t lots,
                     uint64_t number, ns_t start_ns, ns_t end_ns) noexcept nogil
cdef ns_t plan_time(const Plan *plan, const AlgoRules *rules, int64_t k) noexcept nogil
# Lots due, of the whole parent, when the first `k` slices have come.
cdef int64_t plan_lots(const Plan *plan, const AlgoRules *rules, const Profile *profile,
                       int64_t k) noexcept nogil
# Lots due at `now_ns` when `volume` units have traded since the start.
cdef int64_t pov_lots(const Plan *plan, const AlgoRules *rules, int64_t lot, int64_t volume,
                      ns_t now_ns) noexcept nogil
# The most lots that TWAP and VWAP may have sent when `volume` units have traded since the start.
cdef int64_t cap_lots(const Plan *plan, const AlgoRules *rules, int64_t lot,
                      int64_t volume) noexcept nogil
# Lots that the iceberg's child number `ordinal` shows.
cdef int64_t display_lots(const Plan *plan, const AlgoRules *rules, int64_t ordinal) noexcept nogil

cdef int rules_take(AlgoRules *rules, dict given) except -1
cdef int profile_take(Profile *profile, object volumes) except -1
