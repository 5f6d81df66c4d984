"""What the broker allows of orders in a second, a minute, an hour and a day, kept in one place.

Owner thread:  the engine thread only.   Memory: one ring of stamps at construction, none after.
An `Account` has beside the budget what else all orders of one account share: the source of their
numbers and the clock. A `Remote` keeps one of its own, or the one of its `Desk`.

Placing, changing and cancelling count, whoever asks. A window slides: no span of its length ever
holds more than its limit. What enters leaves the last part of each window (`kept`) to what closes a
position or cancels, so that a burst of entries cannot hold up a way out. Over a day's count a way
out is still asked for: the broker counts its day by its own clock, and a refusal costs no more than
the try.
"""

from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.types cimport ns_t

cdef enum:
    STAMPS_MAX = 8192        # a power of two, above the hour's limit
    WINDOWS = 3              # a second, a minute, an hour
    SET_BACK_NS = 1_000_000_000  # a clock that is so far behind its last reading was set back

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


# What the orders of one account share, whoever sends them.
cdef struct Account:
    uint64_t next_intent
    uint64_t next_number
    ns_t wall_ns             # the machine's, made steady
    ns_t shift_ns            # by how much the machine's clock was set back, in all
    int32_t date             # of the day that `budget.day_count` counts
    Budget budget            # what the broker's limits leave, by `wall_ns`


# The machine's time of the input that comes next; it does not run back. When somebody sets the
# clock back, waiting goes on. `clock`: it was read just now; only such a reading can tell that it
# was set back. Returns by how much it was, 0 = it was not.
cdef inline ns_t account_clock(Account *account, ns_t wall_ns, bint clock) noexcept nogil:
    cdef ns_t back_ns = account.wall_ns - (wall_ns + account.shift_ns)
    if clock and back_ns > SET_BACK_NS:
        account.shift_ns += back_ns
        return back_ns
    if back_ns < 0:
        account.wall_ns -= back_ns
    return 0


# How long the limits hold a request at a time of the machine; 0 = not, INT64_MAX = all day.
cdef inline ns_t account_wait(const Account *account, ns_t wall_ns, bint urgent) noexcept nogil:
    cdef ns_t now_ns = max(account.wall_ns, wall_ns + account.shift_ns)
    cdef ns_t held_ns = budget_held(&account.budget, now_ns, urgent)
    return held_ns if held_ns == INT64_MAX or held_ns == 0 else held_ns - now_ns


# Requests that leave now, whoever makes them.
cdef inline void account_spend(Account *account, int64_t count) noexcept nogil:
    cdef int64_t _
    for _ in range(count):
        budget_take(&account.budget, account.wall_ns)


# An account at its beginning: numbers from 1. As budget_begin, whose limits it takes.
cdef int account_begin(Account *account, dict limits) except -1
cdef void account_end(Account *account) noexcept


# What several `Remote`s may share; `Desk` is the one there is.
cdef class SharedAccount:
    cdef Account state
    # Take a Remote in at its place, for as long as both live.
    cdef int join(self, uint32_t place, object remote) except -1
