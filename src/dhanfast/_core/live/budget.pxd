"""What the broker allows of orders in a second, a minute, an hour and a day, kept in one place.

Owner thread:  the engine thread only.   Memory: one ring of stamps at construction, none after.
An `Account` has beside the budget what else all orders of one account share: the source of their
numbers and the clock. A `Remote` keeps one of its own, or the one of its `Desk`.

Placing, changing and cancelling count, whoever asks. A window slides: no span of its length ever
holds more than its limit. What enters leaves the last part of each window (`kept`) to what closes a
position or cancels, so that a burst of entries cannot hold up a way out. Over a day's count a way
out is still asked for: the broker counts its day by its own clock, and a refusal costs no more than
the try.

Several engines of one account share what the broker allows: the `Account` of each then asks the
`SharedBudget` of all behind its own (`account_reserve`). What others do is none of an engine's
inputs: where the shared one says no, that answer is `told`, and goes to the journal (Kind.BUDGET)
before what it caused. A repeated journal has these answers `due`, and asks nobody.
"""

from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.live.budgetlink cimport (
    BudgetLink, link_ask, link_close, link_count,
)
from dhanfast._core.types cimport ns_t

cdef enum:
    STAMPS_MAX = 8192        # a power of two, above the hour's limit
    WINDOWS = 3              # a second, a minute, an hour
    SET_BACK_NS = 1_000_000_000  # a clock that is so far behind its last reading was set back
    TOLD_MAX = 8             # answers of one input: each kind of request is told once

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


# The shared budget said no: a payload of the journal.
cdef packed struct BudgetAnswer:
    uint64_t question        # which of the account's, from 1
    ns_t until_ns            # by the account's `wall_ns`; INT64_MAX: not today
    int32_t urgent
    int32_t spare


# What the orders of one account share, whoever sends them.
cdef struct Account:
    uint64_t next_intent
    uint64_t next_number
    ns_t wall_ns             # the machine's, made steady
    ns_t shift_ns            # by how much the machine's clock was set back, in all
    int32_t date             # of the day that `budget.day_count` counts
    Budget budget            # what the broker's limits leave, by `wall_ns`
    BudgetLink *shared       # of all engines of the account; NULL: there is but this one
    bint repeating           # a journal is: nothing is asked of the shared one, nothing counted
    uint64_t questions       # that its own budget would have let out
    ns_t barred_ns[2]        # the shared one lets nothing out before: entries, ways out
    int64_t prepaid          # requests of others that the shared one has counted already
    BudgetAnswer told[TOLD_MAX]      # not in the journal yet
    BudgetAnswer due[TOLD_MAX]       # of the journal, for the input that comes next
    uint32_t told_count
    uint32_t due_count


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


# Whether a request may leave now, as account_reserve, once its own budget has said yes.
cdef inline ns_t account_ask(Account *account, bint urgent) noexcept nogil:
    cdef ns_t until_ns = 0
    cdef uint32_t at
    account.questions += 1
    if account.shared != NULL and not account.repeating:
        until_ns = link_ask(account.shared, account.wall_ns - account.shift_ns, urgent, False)
        if until_ns == 0:
            return 0
        if until_ns != INT64_MAX:
            until_ns += account.wall_ns
        at = account.told_count
        if at < TOLD_MAX:                # nobody takes them away where there is no journal
            account.told[at].question, account.told[at].until_ns = account.questions, until_ns
            account.told[at].urgent, account.told[at].spare = urgent != 0, 0
            account.told_count += 1
    elif account.due_count and account.due[0].question == account.questions:
        until_ns = account.due[0].until_ns
        account.due_count -= 1
        for at in range(account.due_count):
            account.due[at] = account.due[at + 1]
    account.barred_ns[urgent != 0] = until_ns
    return until_ns


# 0: a request may leave now, and the shared budget has counted it: `budget_take` must follow. Else
# the time at which it may; INT64_MAX: not today.
cdef inline ns_t account_reserve(Account *account, bint urgent) noexcept nogil:
    cdef ns_t held_ns = budget_held(&account.budget, account.wall_ns, urgent)
    if held_ns == 0 and account.barred_ns[urgent != 0] > account.wall_ns:
        held_ns = account.barred_ns[urgent != 0]
    return held_ns if held_ns else account_ask(account, urgent)


# How long the limits hold a request at a time of the machine; 0 = not, INT64_MAX = all day.
# `prepay`: when it may leave it is counted by the shared budget; `account_spend` must follow.
cdef inline ns_t account_wait(Account *account, ns_t wall_ns, bint urgent,
                              bint prepay) noexcept nogil:
    cdef ns_t now_ns = max(account.wall_ns, wall_ns + account.shift_ns)
    cdef ns_t held_ns = budget_held(&account.budget, now_ns, urgent)
    if held_ns:
        return held_ns if held_ns == INT64_MAX else held_ns - now_ns
    if account.shared != NULL:
        held_ns = link_ask(account.shared, wall_ns, urgent, not prepay)
        account.prepaid += prepay and held_ns == 0
    return held_ns


# Requests that leave now, whoever makes them.
cdef inline void account_spend(Account *account, int64_t count) noexcept nogil:
    cdef int64_t paid, _
    for _ in range(count):
        budget_take(&account.budget, account.wall_ns)
    if account.shared != NULL and not account.repeating:
        paid = min(account.prepaid, count)
        account.prepaid -= paid
        link_count(account.shared, account.wall_ns - account.shift_ns, count - paid)


# The broker said that it was too fast: what enters waits until then, at every engine.
cdef inline void account_close(Account *account, ns_t until_ns) noexcept nogil:
    account.budget.closed_until_ns = max(account.budget.closed_until_ns, until_ns)
    if account.shared != NULL and not account.repeating:
        link_close(account.shared, until_ns - account.wall_ns)


# A day of this date begins: its count does, and nothing is barred any more.
cdef inline void account_begin_day(Account *account, int32_t date) noexcept nogil:
    account.budget.day_count, account.date = 0, date
    account.barred_ns[0] = account.barred_ns[1] = 0


# What this account has sent today and the shared budget does not know of is counted there: its
# file was lost, or this journal is of before there was one. In doubt a request is counted later
# than it left, never earlier.
cdef void account_catch_up(Account *account) noexcept nogil


# An account at its beginning: numbers from 1. As budget_begin, whose limits it takes.
cdef int account_begin(Account *account, dict limits) except -1
cdef void account_end(Account *account) noexcept


# What several `Remote`s may share; `Desk` is the one there is.
cdef class SharedAccount:
    cdef Account state
    cdef object shared       # SharedBudget of `state.shared`, kept alive
    # Take a Remote in at its place, for as long as both live.
    cdef int join(self, uint32_t place, object remote) except -1
