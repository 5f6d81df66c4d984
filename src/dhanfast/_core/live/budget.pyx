"""OrderBudget, SharedAccount: see budget.pxd for what is kept."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from dhanfast._core.live.budgetlink cimport (
    DF_BUDGET_FORCE, df_budget_count_back, df_budget_take, link_counted, link_day, link_now,
    link_own,
)
from dhanfast._core.timing cimport utc_raw_ns
from dhanfast._core.types cimport ns_t

import numpy as np

from dhanfast.errors import ConfigError

BUDGET_DTYPE = np.dtype([("question", "<u8"), ("until_ns", "<i8"), ("urgent", "<i4"),
                         ("spare", "<i4")])
if BUDGET_DTYPE.itemsize != sizeof(BudgetAnswer):
    raise ImportError("BUDGET_DTYPE and BudgetAnswer differ: build the package again")

BUDGET_LIMITS = {                      # name: (default, least, most)
    "per_second": (9, 1, 1_000), "per_minute": (240, 1, 4_000), "per_hour": (960, 1, 8_000),
    "per_day": (6_900, 1, 100_000), "exits_kept_e2": (20, 0, 90),
}


cdef int _kept(int limit, int percent) noexcept:
    # At least one, when there is more than one: a way out is always left.
    return 0 if percent == 0 or limit == 1 else max(1, limit * percent // 100)


cdef int budget_begin(Budget *budget, dict limits) except -1:
    cdef int at
    budget.stamps = <ns_t *>calloc(STAMPS_MAX, sizeof(ns_t))
    if budget.stamps == NULL:
        raise MemoryError("no memory for the stamps of requests")
    for at, (name, seconds) in enumerate((("per_second", 1), ("per_minute", 60),
                                          ("per_hour", 3_600))):
        budget.span[at] = <ns_t>seconds * 1_000_000_000
        budget.limit[at] = limits[name]
        budget.kept[at] = _kept(limits[name], limits["exits_kept_e2"])
    budget.day_limit = limits["per_day"]
    budget.day_kept = _kept(budget.day_limit, limits["exits_kept_e2"])
    return 0


cdef void budget_end(Budget *budget) noexcept:
    free(budget.stamps)
    budget.stamps = NULL


cdef int account_begin(Account *account, dict limits) except -1:
    memset(account, 0, sizeof(Account))
    account.next_intent = account.next_number = 1
    return budget_begin(&account.budget, limits)


cdef void account_catch_up(Account *account) noexcept nogil:
    cdef ns_t utc_ns, now_ns, age_ns, hour_ns = account.budget.span[WINDOWS - 1]
    cdef uint64_t day, have, missing, at, old = 0
    if account.shared == NULL:
        return
    now_ns = link_now(account.shared)
    utc_ns = utc_raw_ns() if account.shared.manual_ns < 0 else now_ns
    day = link_day(utc_ns)
    have = link_own(account.shared, day)
    if account.budget.day_count <= have:
        return
    missing = account.budget.day_count - have
    for at in range(account.budget.count - missing, account.budget.count):
        if account.budget.count - at > STAMPS_MAX:
            old += 1
            continue
        age_ns = max(<ns_t>0, utc_ns - (account.budget.stamps[at & (STAMPS_MAX - 1)]
                                        - account.shift_ns))
        if age_ns >= hour_ns:
            old += 1
        else:
            df_budget_take(account.shared.file, &account.shared.rules, now_ns - age_ns, day,
                           <int>DF_BUDGET_FORCE)
    if old:
        df_budget_count_back(account.shared.file, day, old)
    link_counted(account.shared, day, missing)


cdef void account_end(Account *account) noexcept:
    budget_end(&account.budget)


def limits_of(owner: str, limits: dict, known: dict) -> dict:
    """Settings with those that are not given at their defaults.

    Args:
        owner: whose they are, for messages. limits: name to number.
        known: name to (default, least, most).
    Raises:
        ConfigError: an unknown name, or a number out of range.
    """
    values = {}
    for name in limits:
        if name not in known:
            raise ConfigError(f"{owner}.{name}: no such setting; known: {', '.join(known)}")
    for name, (usual, least, most) in known.items():
        value = limits.get(name, usual)
        if not isinstance(value, int) or not least <= value <= most:
            raise ConfigError(f"{owner}.{name} must be in {least}..{most}, was {value!r}")
        values[name] = value
    return values


cdef class SharedAccount:
    """What orders of one account share: limits, numbers, clock. Made as a `Desk`, which see.

    Args:
        per_second, per_minute, per_hour, per_day, exits_kept_e2: as of `OrderBudget`.
    Raises:
        ConfigError: an unknown name, or a number out of range.
    """

    def __cinit__(self, **limits: object):
        account_begin(&self.state, limits_of("desk", limits, BUDGET_LIMITS))

    def __dealloc__(self):
        account_end(&self.state)

    cdef int join(self, uint32_t place, object remote) except -1:
        raise ConfigError("remote.desk must be a Desk: this only counts")


cdef class OrderBudget:
    """What the broker's limits leave for orders: of any second, minute, hour, and of the day.

    `Remote` keeps one of its own; this is the same for whoever wants to look at it alone.

    Args:
        per_second, per_minute, per_hour, per_day: requests allowed.
        exits_kept_e2: percent of each that entries leave to exits and cancels; at least one.

    Units:
        UTC ns; times given must not run back.

    Raises:
        ConfigError: an unknown name, or a number out of range.

    Source:
        Dhan, API v2 documentation, "Rate limit": 10 a second, 250 a minute, 1,000 an hour, 7,000 a
        day for order APIs; a little less is kept.
    """

    def __cinit__(self, **limits: object):
        budget_begin(&self.state, limits_of("budget", limits, BUDGET_LIMITS))

    def __dealloc__(self):
        budget_end(&self.state)

    def held_until(self, now_ns: int, *, urgent: bool = False):
        """When the next request may leave; 0 = now, INT64_MAX = not today.

        Args:
            urgent: it closes a position or cancels.
        """
        return budget_held(&self.state, now_ns, urgent)

    def take(self, now_ns: int):
        """Count a request that leaves now."""
        budget_take(&self.state, now_ns)

    def close_until(self, until_ns: int):
        """The broker said that it was too fast: what is not urgent waits."""
        self.state.closed_until_ns = max(self.state.closed_until_ns, <ns_t>until_ns)

    def new_day(self):
        """The day's count begins anew; the windows go on."""
        self.state.day_count = 0

    @property
    def used_today(self):
        """Requests counted since the day began."""
        return self.state.day_count
