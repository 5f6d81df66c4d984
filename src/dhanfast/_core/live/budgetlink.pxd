"""The budget of requests that all engines of one broker account have in common, on one machine.

`SharedBudget` opens it, and is its door to Python.

Owner thread:  one thread of a process; any number of processes.
Memory:        the file's mapping at construction, none after.   System calls: none after.
Kill -9:       of anybody at any moment loses no count and stops nobody; see native/df_budget.h.

What it says depends on what others do, so it is no function of an engine's inputs: an `Account`
(budget.pxd) asks its own budget first, and writes into its journal where this one said otherwise.
"""

from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint64_t

from dhanfast._core.timing cimport mono_ns
from dhanfast._core.types cimport ns_t


cdef extern from "df_budget.h" nogil:
    enum:
        DF_BUDGET_STAMPS
        DF_BUDGET_SEATS
        DF_BUDGET_FIRST
        DF_BUDGET_DAY_SHIFT
        DF_BUDGET_BASE
        DF_BUDGET_WINDOWS
        DF_BUDGET_URGENT
        DF_BUDGET_FORCE
        DF_BUDGET_LOOK
    ctypedef struct df_budget_seat:
        uint64_t key
        uint64_t counted
        int64_t since_ns
        char name[64]
    ctypedef struct df_budget:
        int64_t offset_ns
        uint64_t head
        uint64_t day
        int64_t closed_until_ns
        df_budget_seat seats[1]
        int64_t stamps[1]
    ctypedef struct df_budget_rules:
        int64_t span[3]
        int32_t limit[3]
        int32_t kept[3]
        int32_t day_limit
        int32_t day_kept
    int64_t df_budget_take(df_budget *b, const df_budget_rules *rules, int64_t now_ns,
                           uint64_t day, int how)
    void df_budget_close(df_budget *b, int64_t until_ns)
    void df_budget_count_back(df_budget *b, uint64_t day, uint64_t count)
    df_budget *df_budget_map(int fd)
    void df_budget_unmap(df_budget *b)

cdef enum:
    NO_SEAT = -1
    IST_NS = 19_800_000_000_000
    DAY_NS = 86_400_000_000_000
    DOUBT_NS = 1_000_000_000     # what enters waits so long when the file makes no sense

cdef struct BudgetLink:
    df_budget *file
    df_budget_rules rules
    ns_t offset_ns           # to be added to CLOCK_MONOTONIC
    ns_t manual_ns           # the time, when somebody sets it; -1: the machine's
    int32_t seat             # of this engine; NO_SEAT: it is counted, and has no count of its own
    uint64_t broken          # questions that the file could not answer


cdef inline ns_t link_now(const BudgetLink *link) noexcept nogil:
    return mono_ns() + link.offset_ns if link.manual_ns < 0 else link.manual_ns


# The number of the day in India, by the machine's time.
cdef inline uint64_t link_day(ns_t wall_ns) noexcept nogil:
    return <uint64_t>((wall_ns + <ns_t>IST_NS) // <ns_t>DAY_NS)


cdef inline void link_counted(BudgetLink *link, uint64_t day, uint64_t count) noexcept nogil:
    cdef uint64_t *counted
    if link.seat != NO_SEAT:
        counted = &link.file.seats[link.seat].counted
        if counted[0] >> <int>DF_BUDGET_DAY_SHIFT != day:
            counted[0] = day << <int>DF_BUDGET_DAY_SHIFT
        counted[0] += count


# Ask for a request, and count it when it may leave; `look`: only ask. Nanoseconds to wait, 0 = it
# may, INT64_MAX = not today. A file without sense lets out what is urgent, and nothing else.
cdef inline ns_t link_ask(BudgetLink *link, ns_t wall_ns, bint urgent, bint look) noexcept nogil:
    cdef ns_t now_ns = link_now(link)
    cdef uint64_t day = link_day(wall_ns)
    cdef int how = (<int>DF_BUDGET_URGENT if urgent else 0) | (<int>DF_BUDGET_LOOK if look else 0)
    cdef int64_t until_ns = df_budget_take(link.file, &link.rules, now_ns, day, how)
    if until_ns < 0:                 # or we slept since the clock was read
        now_ns = link_now(link)
        until_ns = df_budget_take(link.file, &link.rules, now_ns, day, how)
    if until_ns == 0:
        if not look:
            link_counted(link, day, 1)
        return 0
    if until_ns < 0:
        link.broken += 1
        return 0 if urgent else <ns_t>DOUBT_NS
    return until_ns if until_ns == INT64_MAX else max(<ns_t>1, until_ns - now_ns)


# Count requests that leave now, whatever the limits say.
cdef inline void link_count(BudgetLink *link, ns_t wall_ns, int64_t count) noexcept nogil:
    cdef uint64_t day = link_day(wall_ns)
    cdef ns_t now_ns = link_now(link)
    cdef int64_t _
    for _ in range(count):
        link.broken += df_budget_take(link.file, &link.rules, now_ns, day,
                                      <int>DF_BUDGET_FORCE) != 0
    link_counted(link, day, <uint64_t>count)


# The broker said that we were too fast: what enters waits for so long, of whatever engine.
cdef inline void link_close(BudgetLink *link, ns_t wait_ns) noexcept nogil:
    df_budget_close(link.file, link_now(link) + wait_ns)


# Requests of this engine that the file has, of a day.
cdef inline uint64_t link_own(const BudgetLink *link, uint64_t day) noexcept nogil:
    cdef uint64_t counted = 0 if link.seat == NO_SEAT else link.file.seats[link.seat].counted
    if counted >> <int>DF_BUDGET_DAY_SHIFT != day:
        return 0
    return counted & <uint64_t>DF_BUDGET_BASE
