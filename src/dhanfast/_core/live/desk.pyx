"""Desk: see desk.pxd."""

from cpython.ref cimport PyObject
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t
from libc.string cimport memset

from dhanfast._core.live.budget cimport (
    account_catch_up, account_clock, account_spend, account_wait,
)
from dhanfast._core.live.lines cimport Line, Odd
from dhanfast._core.live.records cimport Answer, Intent, Update
from dhanfast._core.live.remote cimport NUMBERS_SKIPPED, Remote
from dhanfast._core.live.sharedbudget cimport SharedBudget
from dhanfast._core.types cimport ns_t, paise_t

import numpy as np

from dhanfast._core.live.lines import Odd as Odds
from dhanfast._core.live.records import ANSWER_DTYPE, INTENT_DTYPE, UPDATE_DTYPE
from dhanfast._core.records import record_of
from dhanfast.errors import ConfigError


cdef class Desk(SharedAccount):
    """The Remotes of one account, as one: `Remote(gate, desk=desk, place=i)` takes its place.

    Its Python door is that of `Remote`, over all of them; orders go to the Remotes themselves.

    Args:
        per_second, per_minute, per_hour, per_day, exits_kept_e2: requests the broker allows, of
            all legs together; see `Remote`.
    Attributes:
        places: Remotes that have joined.
    Raises:
        ConfigError: an unknown name, or a number out of range.
    """

    def __cinit__(self, **limits: object):
        memset(&self.odd[0], 0, sizeof(self.odd))
        self._remotes = []

    cdef int join(self, uint32_t place, object remote) except -1:
        if self.begun:
            raise ConfigError(f"remote.place {place}: the desk has begun, nobody joins any more")
        if self.places == PLACES_MAX:
            raise ConfigError(f"remote.place {place}: a desk has {PLACES_MAX} places at most")
        if place != self.places:
            raise ConfigError(f"remote.place must be {self.places}, the desk's next, was {place}")
        if not isinstance(remote, Remote):
            raise ConfigError(f"a desk takes in Remotes, not {type(remote).__name__}")
        self._remotes.append(remote)
        self.at_place[place] = <PyObject *>remote
        self.places += 1
        return 0

    # ---- inputs -------------------------------------------------------------------------------

    cdef void at(self, ns_t now_ns, ns_t wall_ns, bint clock) noexcept nogil:
        cdef ns_t back_ns = account_clock(&self.state, wall_ns, clock)
        cdef uint32_t i
        self.begun = True
        for i in range(self.places):
            (<Remote>self.at_place[i]).told(now_ns, back_ns)

    cdef void advance(self) noexcept nogil:
        cdef uint32_t i
        for i in range(self.places):
            (<Remote>self.at_place[i]).advance()

    cdef void doubt_all(self) noexcept nogil:
        cdef uint32_t i
        for i in range(self.places):
            (<Remote>self.at_place[i]).doubt_all()

    cdef void spend(self, int64_t count) noexcept nogil:
        account_spend(&self.state, count)

    cdef void skip_numbers(self) noexcept nogil:
        self.state.next_number += NUMBERS_SKIPPED

    cdef bint on_answer(self, const Answer *answer) noexcept nogil:
        cdef Line *line
        cdef uint32_t i
        for i in range(self.places):
            line = (<Remote>self.at_place[i]).asker(answer.intent)
            if line != NULL:
                (<Remote>self.at_place[i]).take_answer(line, answer)
                return True
        self.odd[<int>Odd.UNASKED] += 1
        return False

    cdef bint on_update(self, const Update *update) noexcept nogil:
        """Our own number says whose it is; the broker's counts when nobody has that."""
        cdef Line *line
        cdef Line *found = NULL
        cdef uint32_t i, place = 0
        for i in range(self.places):
            line = (<Remote>self.at_place[i]).shown(update)
            if line != NULL and (found == NULL or line.number == update.order):
                found, place = line, i
                if line.number == update.order:
                    break
        if found == NULL:
            self.odd[<int>Odd.FOREIGN] += 1
            return False
        (<Remote>self.at_place[place]).take_update(found, update)
        return True

    cdef int64_t closed_elsewhere(self, uint32_t contract, int64_t qty,
                                  paise_t price) noexcept nogil:
        cdef uint32_t i
        cdef int64_t booked = 0, bought = 0, sold = 0
        for i in range(self.places):
            if (<Remote>self.at_place[i]).contract == contract:
                bought += (<Remote>self.at_place[i]).leaving(1)
                sold += (<Remote>self.at_place[i]).leaving(-1)
        if bought and sold:
            return 0
        for i in range(self.places):
            if (<Remote>self.at_place[i]).contract == contract and booked < qty:
                booked += (<Remote>self.at_place[i]).closed_elsewhere(qty - booked, price)
        return booked

    # ---- what it has to do, and asks for ------------------------------------------------------

    cdef ns_t due(self) noexcept nogil:
        cdef ns_t due_ns = INT64_MAX
        cdef uint32_t i
        for i in range(self.places):
            due_ns = min(due_ns, (<Remote>self.at_place[i]).due_ns)
        return due_ns

    cdef uint32_t waiting(self) noexcept nogil:
        cdef uint32_t i, count = 0
        for i in range(self.places):
            count += (<Remote>self.at_place[i]).out_count
        return count

    cdef size_t take_out(self, Intent *out, size_t limit) noexcept nogil:
        cdef size_t count = 0
        cdef uint32_t i, first
        while count < limit:
            first = PLACES_MAX
            for i in range(self.places):
                if (<Remote>self.at_place[i]).out_count and (
                        first == PLACES_MAX or (<Remote>self.at_place[i]).out[0].id
                        < (<Remote>self.at_place[first]).out[0].id):
                    first = i
            if first == PLACES_MAX:
                break
            count += (<Remote>self.at_place[first]).take_out(&out[count], 1)
        return count

    # ---- the Python door ----------------------------------------------------------------------

    def tell(self, now_ns: int, wall_ns: int):
        """The times of the input that comes next, for all places.

        Args:
            now_ns: of the market. wall_ns: of the machine. UTC ns; neither runs back.
        """
        self.at(now_ns, wall_ns, True)

    def go_on(self):
        """Do what is due by the times told."""
        self.advance()

    def answer(self, answer: object):
        """An answer (mapping or ANSWER_DTYPE record); False when nobody waits for it."""
        cdef uint8_t[::1] raw = record_of(answer, ANSWER_DTYPE, "answer").view(np.uint8)
        return bool(self.on_answer(<const Answer *>&raw[0]))

    def update(self, update: object):
        """An update (mapping or UPDATE_DTYPE record); False when it is not of an order of ours."""
        cdef uint8_t[::1] raw = record_of(update, UPDATE_DTYPE, "update").view(np.uint8)
        return bool(self.on_update(<const Update *>&raw[0]))

    def intents(self):
        """Requests of all places since the last call, oldest first.

        Shape:
            INTENT_DTYPE[n].
        """
        rows = np.zeros(self.waiting(), INTENT_DTYPE)
        cdef uint8_t[::1] raw
        if len(rows):
            raw = rows.view(np.uint8)
            self.take_out(<Intent *>&raw[0], len(rows))
        return rows

    def read_all_again(self):
        """Ask the broker for the state of every order that works there."""
        self.doubt_all()

    def begin_life(self):
        """As `Remote.begin_life`, for all places."""
        self.skip_numbers()
        account_catch_up(&self.state)

    def spend_requests(self, count: int):
        """Count requests that went another way against the broker's limits, by the time told."""
        self.spend(count)

    def wait_of(self, wall_ns: int, *, urgent: bool = False):
        """How long the broker's limits hold a request, ns; 0 = it may leave now.

        Args:
            wall_ns: now, UTC ns of the machine. urgent: it closes a position or cancels.
        Returns:
            Nanoseconds; INT64_MAX: not today.
        """
        return account_wait(&self.state, wall_ns, urgent, False)

    def prepay(self, wall_ns: int, *, urgent: bool = False):
        """As `wait_of`; at 0 it is counted where all engines are: `spend_requests` must follow."""
        return account_wait(&self.state, wall_ns, urgent, True)

    def share(self, SharedBudget budget not None):
        """Ask the budget of all engines of the account as well, from now on."""
        self.shared, self.state.shared = budget, &budget.link

    def book_elsewhere(self, contract: int, qty: int, price: int):
        """Somebody else has closed units of a contract: legs that hold it shrink by them.

        Args:
            contract: the feed's number of it. qty: units, above 0. price: paise a unit.
        Returns:
            Units booked; 0 when no leg holds it, or legs on both sides do.
        """
        return self.closed_elsewhere(contract, qty, price)

    def orders_there(self):
        """Orders of all places that are, or may be, at the broker, as `Remote.orders_there` has
        them; by place."""
        return [order for remote in self._remotes for order in remote.orders_there()]

    def odd_events(self):
        """What no broker should say, and what came late: how often, by the name of its kind."""
        events = {kind.name: self.odd[<int>kind] for kind in Odds if self.odd[<int>kind]}
        for remote in self._remotes:
            for name, count in remote.odd_events().items():
                events[name] = events.get(name, 0) + count
        return {kind.name: events[kind.name] for kind in Odds if kind.name in events}

    @property
    def remotes(self):
        """The Remotes that have joined, by place."""
        return tuple(self._remotes)

    @property
    def odd_count(self):
        """Odd events of all kinds, those that belong to no place included."""
        return (self.odd[<int>Odd.FOREIGN] + self.odd[<int>Odd.UNASKED]
                + sum(remote.odd_count for remote in self._remotes))

    @property
    def out_count(self):
        """Requests made and not yet taken."""
        return self.waiting()

    @property
    def due_ns(self):
        """The machine's time at which `go_on` has something to do; INT64_MAX = nothing."""
        return self.due()

    @property
    def requests(self):
        """Requests made so far."""
        return sum(remote.requests for remote in self._remotes)

    @property
    def requests_today(self):
        """Requests that count against the broker's limits since the day began."""
        return self.state.budget.day_count

    @property
    def doubts(self):
        """Orders whose placing had no clear answer."""
        return sum(remote.doubts for remote in self._remotes)

    @property
    def lost(self):
        """Given up of those."""
        return sum(remote.lost for remote in self._remotes)

    @property
    def stray_qty(self):
        """Units filled on orders that no leg stands for: of every place, whatever the side."""
        return sum(abs(remote.stray_qty) for remote in self._remotes)
