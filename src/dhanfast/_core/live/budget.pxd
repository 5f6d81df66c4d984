"""What the broker allows of orders in a second, a minute, an hour and a day, kept in one place.

Owner thread:  the engine thread only.   Memory: one ring of stamps at construction, none after.

Placing, changing and cancelling count, whoever asks. A window slides: no span of its length ever
holds more than its limit. What enters leaves the last part of each window (`kept`) to what closes a
position or cancels, so that a burst of entries cannot hold up a way out. Over a day's count a way
out is still asked for: the broker counts its day by its own clock, and a refusal costs no more than
the try.
"""

from libc.stdint cimport INT64_MAX, int32_t, uint64_t

from dhanfast._core.types cimport ns_t

cdef enum:
    STAMPS_MAX = 8192        # a power of two, above the hour's limit
    WINDOWS = 3              # a second, a minute, an hour

cdef struct Budget:
    ns_t *stamps             # when the last ones left, machine time
    uint64_t count           # of all
    uint64_t day_count
    ns_t closed_until_ns     # the broker said that it was too fast
    ns_t span[WINDOWS]             # a second, a minute, an hour
    int32_t limit[WINDOWS]         # of each
    int32_t kept[WINDOWS]          # of it for ways out
    int32_t day_limit
    int32_t day_kept


# 0: one may leave now; else the time at which it may; INT64_MAX: not today.
cdef inline ns_t budget_held(const Budget *budget, ns_t now_ns, bint urgent) noexcept nogil:
    cdef ns_t until_ns = 0, oldest_ns
    cdef uint64_t room
    cdef int at
    if not urgent:
        if budget.day_count + <uint64_t>budget.day_kept >= <uint64_t>budget.day_limit:
            return INT64_MAX
        if budget.closed_until_ns > now_ns:
            until_ns = budget.closed_until_ns
    for at in range(WINDOWS):
        room = <uint64_t>(budget.limit[at] if urgent else budget.limit[at] - budget.kept[at])
        if budget.count >= room:
            oldest_ns = budget.stamps[(budget.count - room) & (STAMPS_MAX - 1)]
            if oldest_ns > now_ns - budget.span[at]:
                until_ns = max(until_ns, oldest_ns + budget.span[at])
    return until_ns


cdef inline void budget_take(Budget *budget, ns_t now_ns) noexcept nogil:
    budget.stamps[budget.count & (STAMPS_MAX - 1)] = now_ns
    budget.count += 1
    budget.day_count += 1


# Memory for the stamps and the limits of a mapping: per_second ... per_day, exits_kept_e2. Raises
# MemoryError.
cdef int budget_begin(Budget *budget, dict limits) except -1
cdef void budget_end(Budget *budget) noexcept


cdef class OrderBudget:
    cdef Budget state
