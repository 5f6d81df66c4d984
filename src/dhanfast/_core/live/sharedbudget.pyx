"""SharedBudget: see sharedbudget.pxd, and budgetlink.pxd for what holds."""

cimport cython
from libc.stdint cimport uint64_t
from libc.string cimport memset

from dhanfast._core.live.budget cimport Budget, budget_begin, budget_end
from dhanfast._core.live.budgetlink cimport (
    DF_BUDGET_BASE, DF_BUDGET_DAY_SHIFT, DF_BUDGET_SEATS, DF_BUDGET_STAMPS, DF_BUDGET_WINDOWS,
    df_budget_map, df_budget_rules, df_budget_unmap, link_ask, link_close, link_count, link_day,
    link_now, link_own,
)
from dhanfast._core.timing cimport mono_ns, utc_raw_ns
from dhanfast._core.types cimport ns_t

import os

from dhanfast._core.live.budget import BUDGET_LIMITS, limits_of
from dhanfast._core.live.budget_file import FILE_BYTES, open_budget
from dhanfast.errors import DhanfastError

WINDOW_NAMES = ("second", "minute", "hour")


cdef df_budget_rules _rules_of(dict limits) except *:
    """The windows as an engine's own budget has them, so that both count the same."""
    cdef Budget own
    cdef df_budget_rules rules
    cdef int at
    memset(&own, 0, sizeof(Budget))
    budget_begin(&own, limits)
    for at in range(<int>DF_BUDGET_WINDOWS):
        rules.span[at], rules.limit[at], rules.kept[at] = own.span[at], own.limit[at], own.kept[at]
    rules.day_limit, rules.day_kept = own.day_limit, own.day_kept
    budget_end(&own)
    return rules


@cython.final
cdef class SharedBudget:
    """What the broker's limits leave for orders of one account, whichever engine sends them.

    `Remote.share` and `Desk.share` have an engine ask it; this is its door for all others.

    Args:
        path: of the file, in a folder of this machine's; it is made when it is not there.
        account: 32 bytes that tell the account from others.
        name: of the engine, whose requests are then counted apart as well; "": not an engine.
        manual_ns: the time, UTC ns, for who runs on a time of its own; -1: the machine's.
        per_second, per_minute, per_hour, per_day, exits_kept_e2: as of `OrderBudget`.
    Attributes:
        path: as given.
    Raises:
        BadData: the file is damaged, of another account or of another version.
        DhanfastError: it cannot be made or written, or every seat of the day is taken.
        ConfigError: a limit.
    """

    def __cinit__(self, path: object, account: bytes, *, str name="", ns_t manual_ns=-1,
                  **limits: object):
        self._fd = -1
        self.path = os.fspath(path)
        self.link.rules = _rules_of(limits_of("budget", limits, BUDGET_LIMITS))
        self.link.manual_ns = manual_ns
        utc_ns = utc_raw_ns() if manual_ns < 0 else manual_ns
        mono = mono_ns() if manual_ns < 0 else manual_ns
        self._fd, self.link.seat, self.link.offset_ns = open_budget(
            self.path, account, name, utc_ns=utc_ns, mono_ns=mono)
        self.link.file = df_budget_map(self._fd)
        if self.link.file == NULL:
            raise DhanfastError(f"{self.path}: the file of requests cannot be mapped into memory")

    def __dealloc__(self):
        if self.link.file != NULL:
            df_budget_unmap(self.link.file)
        if self._fd >= 0:
            os.close(self._fd)

    def reserve(self, wall_ns: int, *, urgent: bool = False):
        """Count a request, if the limits let it leave.

        Args:
            wall_ns: now, UTC ns of the machine; it says which day it is. urgent: it closes a
                position or cancels.
        Returns:
            0: it was counted and may leave; else nanoseconds to wait; INT64_MAX: not today.
        """
        return link_ask(&self.link, wall_ns, urgent, False)

    def wait_of(self, wall_ns: int, *, urgent: bool = False):
        """As `reserve`, and nothing is counted."""
        return link_ask(&self.link, wall_ns, urgent, True)

    def spend(self, wall_ns: int, count: int = 1):
        """Count requests that leave now, whatever the limits say."""
        link_count(&self.link, wall_ns, count)

    def close_for(self, wait_ns: int):
        """The broker said that we were too fast: what is not urgent waits so long."""
        link_close(&self.link, wait_ns)

    def own(self, wall_ns: int):
        """Requests of this engine's name that the file has of the day."""
        return link_own(&self.link, link_day(wall_ns))

    def used(self, wall_ns: int):
        """What is counted of each window, and of the day.

        Returns:
            second, minute, hour, day: requests of all engines.
        """
        cdef uint64_t head = self.link.file.head
        cdef ns_t now_ns = link_now(&self.link)
        cdef uint64_t day = self.link.file.day
        cdef uint64_t back
        cdef int at
        found = {}
        for at in range(<int>DF_BUDGET_WINDOWS):
            back = 0
            while back < <uint64_t>DF_BUDGET_STAMPS - 1 and self.link.file.stamps[
                    (head - back - 1) & (<uint64_t>DF_BUDGET_STAMPS - 1)
            ] > now_ns - self.link.rules.span[at]:
                back += 1
            found[WINDOW_NAMES[at]] = back
        today = day >> <int>DF_BUDGET_DAY_SHIFT == link_day(wall_ns)
        found["day"] = (head - (day & <uint64_t>DF_BUDGET_BASE)) if today else 0
        return found

    def limits(self):
        """The limits by the same names as `used`."""
        rules = self.link.rules
        return {name: rules.limit[at] for at, name in enumerate(WINDOW_NAMES)} | {
            "day": rules.day_limit}

    def by_engine(self, wall_ns: int):
        """Requests of the day by the name of the engine that made them."""
        cdef uint64_t day = link_day(wall_ns)
        cdef int at
        found = {}
        for at in range(<int>DF_BUDGET_SEATS):
            seat = self.link.file.seats[at]
            if seat.key and seat.counted >> <int>DF_BUDGET_DAY_SHIFT == day:
                name = bytes(seat.name[:64]).rstrip(b"\0").decode("utf-8", "replace")
                found[name] = seat.counted & <uint64_t>DF_BUDGET_BASE
        return found

    def trouble(self):
        """What is wrong with the file, and what to do; "" = nothing."""
        told = os.fstat(self._fd)
        remedy = "end this engine and start it again; its journal has what it has sent"
        try:
            there = os.stat(self.path)
        except OSError:
            return f"{self.path}, which counts the account's requests, was removed: {remedy}"
        if (there.st_dev, there.st_ino) != (told.st_dev, told.st_ino):
            return f"{self.path}, which counts the account's requests, was replaced: {remedy}"
        if told.st_size != FILE_BYTES or self.link.broken:
            return (f"{self.path}, which counts the account's requests, was damaged: entries wait, "
                    "exits leave; end all engines of the account, remove the file, and start them "
                    "again; their journals have what they have sent")
        return ""

    def set_time(self, now_ns: int):
        """The time, for who made it with `manual_ns`; it must not run back."""
        self.link.manual_ns = now_ns

    @property
    def broken(self):
        """Questions that the file could not answer."""
        return self.link.broken
