"""Blend: see blend.pxd for what holds, here is the how."""

cimport cython
from libc.math cimport NAN, fabs, llrint
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from dhanfast._core.factors cimport Factors
from dhanfast._core.kernel cimport CHUNK, Kernel
from dhanfast._core.portfolio cimport portfolio_equity
from dhanfast._core.status cimport Status
from dhanfast._core.strategy cimport Action, NativeStrategy, Signal, View
from dhanfast._core.tradebook cimport bar_end
from dhanfast._core.types cimport Bar, Reason, Report, ns_t

import numpy as np

from dhanfast._core.runlog import TRADE_DTYPE

cdef double NOTHING = 1e-12              # sums of weights are not exact


@cython.final
cdef class Seat(NativeStrategy):
    """A member of a blend, in its own book.

    Args:
        inner: the member, as a kernel runs it.
    Attributes:
        book: the kernel that keeps its book; None before the run begins.
    Raises:
        ValueError: it wants ticks, which books do not see.
    """

    def __cinit__(self, NativeStrategy inner not None):
        if inner.wants_ticks:
            raise ValueError("a member must not want ticks: its book meets bars")
        if inner.wants_chain:
            raise ValueError("a member must not want sets of the option chain (on_chain): its book "
                             "meets bars; figures in rules are seen")
        self.inner, self.python = inner, inner.python
        self._parts = []

    def trades(self):
        """TRADE_DTYPE[n]: trades of its book so far, oldest first."""
        self._parts.append(self.book.log.take_trades()[0])
        self._parts = [np.concatenate([np.empty(0, TRADE_DTYPE), *self._parts])]
        return self._parts[0]

    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil:
        if self.book.log.nearly_full(CHUNK):
            self.make_room()
        self.inner.prepare(bars, index, first, n)
        if self.after is not None:
            self.after.prepare(bars, index, first, n)

    cdef void make_room(self) noexcept nogil:
        with gil:
            self._parts.append(self.book.log.take_trades()[0])

    cdef void step(self, const Bar *bar, int first) noexcept nogil:
        """The book meets a bar, and the member decides on it."""
        cdef size_t at = self.book.session_at
        cdef bint fresh = at == self.book.session_count
        cdef ns_t end_ns
        if fresh:
            at = 0
        while at + 1 < self.book.session_count \
                and bar.start_ns >= self.book.sessions[at + 1].open_ns:
            at += 1
        self.member.asks = 0
        if fresh or at != self.book.session_at:
            self.book.enter_session(at, bar.start_ns)
            if self.member.off == Off.DAY:
                self.member.off = Off.NO
        end_ns = bar_end(&self.book.sessions[at], bar.start_ns, self.book.rules.interval_ns)
        self.book.match_bar(bar, end_ns)
        self.budget(end_ns)
        self.book.signal_bar(bar, end_ns, first)
        if self.book.status != Status.OK and not self.inner.failed:
            with gil:                                # a full pool, or a fill that cannot be booked
                self.failed = Status.PYTHON_ERROR
                self.error = RuntimeError(f"the book of a member stopped: {self.book.status}")
        if self.failed:
            self.failures[0] = True
        self.member.stance = self.stance()
        if self.after is not None:
            self.after.step(bar, first)

    cdef void budget(self, ns_t now_ns) noexcept nogil:
        """One whose book has lost what it may is off, and its book leaves."""
        cdef Member *member = self.member
        cdef int64_t equity
        cdef int32_t off = Off.NO
        if (member.loss == 0 and member.day_loss == 0) or member.off == Off.GOOD:
            return
        equity = portfolio_equity(self.book.portfolio)
        if member.loss and equity - self.book.portfolio.capital <= -member.loss:
            off = Off.GOOD
        elif member.day_loss and member.off == Off.NO \
                and equity - self.book.portfolio.equity_day_open <= -member.day_loss:
            off = Off.DAY
        if off == Off.NO:
            return
        if member.off == Off.NO:
            member.days_off += 1
        member.off = off
        self.book.leave(Reason.RISK_EXIT, 0, now_ns)
        self.book.settle()

    cdef int32_t stance(self) noexcept nogil:
        """The side it holds or is about to hold; 0 when flat or on its way out."""
        if self.book.entering != 0 and not self.book.entry_cancelled:
            return 1 if self.book.entering > 0 else -1
        if self.book.turn_side:
            return self.book.turn_side
        if self.book.position == 0 or self.book.leaving or self.book.exit_id != 0:
            return 0
        return 1 if self.book.position > 0 else -1

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        self.inner.on_bar(bar, view, signal)
        if self.inner.failed:
            with gil:
                self.failed, self.error = self.inner.failed, self.inner.error
            return
        if signal.action != Action.GO_LONG and signal.action != Action.GO_SHORT:
            return
        if self.member.off != Off.NO:
            signal.action = Action.HOLD
            return
        self.member.asks = signal.action
        self.member.stop, self.member.target = signal.stop, signal.target

    cdef void on_fill(self, const Report *report, const View *view) noexcept nogil:
        self.inner.on_fill(report, view)
        if self.inner.failed:
            with gil:
                self.failed, self.error = self.inner.failed, self.inner.error


@cython.final
cdef class Blend(NativeStrategy):
    """Several strategies that decide together.

    Args:
        inners: the members, as kernels run them, 1..16.
        names: of the members, each once. weights: above 0 of those that decide.
        roles: a `Role` each. mode: a `Mode`.
        threshold: of WEIGHTS, part of all weights in 0..1: an entry needs a sum as large.
        leave: a side is kept while the sum is above it, in 0..threshold.
        votes: of VOTE: an entry needs so many members on its side. stay: it is kept with so many.
        scale: an entry takes the sum's share of the sized lots, rounded down.
        widest: stop and target of an entry are the farthest of those who ask; else the nearest.
        day_losses, losses: paise each, 0 = any: what a book may lose before its member is off.
    Attributes:
        factors: stances of the members at each entry. conflicts: bars with enough votes for both
            sides. kept_out: entries that a member blocked.
    Raises:
        ValueError: a number out of its range, none that decides, a member that wants ticks.
    """

    def __cinit__(self, inners, names, weights, roles, *, int mode=Mode.WEIGHTS,
                  double threshold=0.5, double leave=0.0, int votes=1, int stay=1,
                  bint scale=False, bint widest=True, day_losses=(), losses=()):
        cdef Member *member
        cdef Seat seat, before = None
        cdef double sum_ = 0.0
        cdef size_t i
        self.names, self.count, self._seats = tuple(names), len(inners), []
        if not 1 <= len(inners) <= MEMBERS_MAX:
            raise ValueError(f"members must be 1..{MEMBERS_MAX}, were {len(inners)}")
        if not len(self.names) == len(weights) == len(roles) == len(inners):
            raise ValueError(f"{len(inners)} members need as many names, weights and roles")
        if not (0.0 <= leave <= threshold <= 1.0 and (threshold > 0.0 or mode != Mode.WEIGHTS)):
            raise ValueError(f"threshold must be in 0..1 and above 0, and leave in 0..threshold, "
                             f"were {threshold} and {leave}")
        deciders = sum([role == Role.DECIDES for role in roles])
        if not (1 <= stay <= votes <= deciders or mode != Mode.VOTE) or deciders == 0:
            raise ValueError(f"votes must be in 1..{deciders}, those that decide, and stay in "
                             f"1..votes, were {votes} and {stay}")
        for i in range(self.count):
            if roles[i] == Role.DECIDES and not 0.0 < weights[i] < 1e12:
                raise ValueError(f"the weight of {names[i]} must be above 0, was {weights[i]}")
            sum_ += weights[i] if roles[i] == Role.DECIDES else 0.0
        for i in range(self.count):
            member = &self.members[i]
            member.role, member.weight = roles[i], 0.0
            if member.role == Role.DECIDES:
                member.weight = weights[i] / sum_
            member.day_loss = day_losses[i] if len(day_losses) else 0
            member.loss = losses[i] if len(losses) else 0
            seat = Seat(inners[i])
            seat.member, seat.failures = member, &self.any_failed
            if before is None:
                self.first = seat
            else:
                before.after = seat
            before = seat
            self._seats.append(seat)
            self.python = self.python or seat.python
        self.mode, self.threshold, self.leave = mode, threshold, leave
        self.votes, self.stay, self.scale, self.widest = votes, stay, scale, widest
        self.factors = Factors(self.names, [self.members[i].weight for i in range(self.count)])

    @property
    def inners(self):
        """The members, as they were given."""
        return tuple([(<Seat>seat).inner for seat in self._seats])

    @property
    def books(self):
        """The kernels of the books, one a member; None each before `begin`."""
        return tuple([(<Seat>seat).book for seat in self._seats])

    def seat(self, size_t at):
        """What stands in the book of a member: the strategy its kernel is made with."""
        return self._seats[at]

    def begin(self, books, *, bint reverses=False):
        """Take the books; once, before the first event.

        Args:
            books: a `Kernel` a member, made with its `seat`.
            reverses: whether an opposite wish turns the position of the run round.
        Raises:
            ValueError: another number of books, or a kernel of another strategy.
        """
        cdef Seat seat
        cdef Kernel book
        if len(books) != self.count:
            raise ValueError(f"{self.count} members need as many books, were {len(books)}")
        for seat, book in zip(self._seats, books):
            if book.strategy is not seat:
                raise ValueError("a book must be made with the seat of its member")
            seat.book = book
        self.reverses, self.begun = reverses, True

    def extend(self, sessions):
        """More sessions after those there are; see `Kernel.extend`."""
        for book in self.books:
            book.extend(sessions)

    def finish(self):
        """End of data: every book closes what it holds and bills its last day."""
        if not self.begun:
            return
        for book in self.books:
            book.finish()

    def members_now(self):
        """[{stance, off, days_off, blocked, position}] of the members, in their order.

        Units:
            position in units of its own book; off is a name of `Off`.
        """
        cdef size_t i
        return [{"stance": self.members[i].stance, "off": Off(self.members[i].off).name.lower(),
                 "days_off": self.members[i].days_off, "blocked": self.members[i].blocked,
                 "position": (<Seat>self._seats[i]).book.position}
                for i in range(self.count)]

    cdef void prepare(self, const Bar *bars, const uint32_t *index, const uint8_t *first,
                      size_t n) noexcept nogil:
        if self.begun:
            self.first.prepare(bars, index, first, n)

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        cdef double total = 0.0
        cdef int32_t want
        cdef int32_t held = (view.position > 0) - (view.position < 0)
        if not self.begun:
            with gil:
                self.failed = Status.PYTHON_ERROR
                self.error = ValueError("a blend runs in an Engine, which gives it its books")
            return
        self.first.step(bar, view.session_start)
        self.collect()
        if self.failed:
            return
        want = self.want(&total)
        if held != 0:
            self.wished = 0
            if want == -held and self.reverses and self.asked(want) and not self.blocked(want):
                self.enter(want, total, view.now_ns, signal)
            elif want == -held or not self.carried(held, total):
                signal.action = Action.GO_FLAT
                if self.reverses and not view.can_enter and self.wishes(-held):
                    signal.action = -held            # no entry any more, but it leaves to reverse
            return
        if want != 0 and self.asked(want):
            if not self.blocked(want):
                self.enter(want, total, view.now_ns, signal)
        elif self.wished and not self.carried(self.wished, total):
            signal.action = Action.GO_FLAT           # an entry that has not filled yet
            self.wished = 0

    cdef void collect(self) noexcept nogil:
        """A member that failed stops the run."""
        if not self.any_failed:
            return
        with gil:
            for seat in self._seats:
                if (<Seat>seat).failed:
                    self.failed, self.error = (<Seat>seat).failed, (<Seat>seat).error
                    return

    cdef int32_t want(self, double *total) noexcept nogil:
        """The side that enough members are on; 0 when on neither."""
        cdef size_t i
        cdef int32_t longs = 0, shorts = 0
        cdef double sum_ = 0.0
        for i in range(self.count):
            if self.members[i].role == Role.DECIDES:
                sum_ += self.members[i].weight * self.members[i].stance
                longs += self.members[i].stance > 0
                shorts += self.members[i].stance < 0
        total[0] = sum_
        if self.mode == Mode.VOTE:
            if longs >= self.votes and shorts >= self.votes:
                self.conflicts += 1
                return 0
            return (longs >= self.votes) - (shorts >= self.votes)
        if self.mode == Mode.NET:
            return (sum_ > NOTHING) - (sum_ < -NOTHING)
        return (sum_ >= self.threshold - NOTHING) - (sum_ <= NOTHING - self.threshold)

    cdef bint carried(self, int side, double total) noexcept nogil:
        """Whether the members still carry a side that is held."""
        cdef size_t i
        cdef int32_t on = 0
        if self.mode != Mode.VOTE:
            return total * side > self.leave + NOTHING
        for i in range(self.count):
            on += self.members[i].role == Role.DECIDES and self.members[i].stance == side
        return on >= self.stay

    cdef bint asked(self, int side) noexcept nogil:
        """Whether a member that decides wishes to enter this side now."""
        cdef size_t i
        for i in range(self.count):
            if self.members[i].role == Role.DECIDES and self.members[i].asks == side \
                    and self.members[i].stance == side:
                return True
        return False

    cdef bint wishes(self, int side) noexcept nogil:
        """As `asked`, whatever its book made of it."""
        cdef size_t i
        for i in range(self.count):
            if self.members[i].role == Role.DECIDES and self.members[i].asks == side:
                return True
        return False

    cdef bint blocked(self, int side) noexcept nogil:
        """Whether a member that only blocks is against; each of them counts it."""
        cdef size_t i
        cdef Member *member
        cdef bint found = False
        for i in range(self.count):
            member = &self.members[i]
            if (member.role == Role.AGAINST and member.stance == -side) \
                    or (member.role == Role.UNLESS and member.stance != side):
                member.blocked += 1
                found = True
        self.kept_out += found
        return found

    cdef void enter(self, int side, double total, ns_t now_ns, Signal *signal) noexcept nogil:
        cdef size_t i
        cdef Member *member
        cdef double *stances
        cdef double stop = 0.0, target = 0.0
        cdef bint open_ended = False, unknown = False
        cdef int32_t share = 0
        for i in range(self.count):
            member = &self.members[i]
            if member.role != Role.DECIDES or member.asks != side or member.stance != side:
                continue
            if not (member.stop >= 0.0 and member.target >= 0.0):
                unknown = True                       # never in without the stop that was asked for
                continue
            if member.stop > 0.0 and (stop == 0.0 or (member.stop > stop) == self.widest):
                stop = member.stop
            if member.target == 0.0:
                open_ended = True
            elif target == 0.0 or (member.target > target) == self.widest:
                target = member.target
        if open_ended and self.widest:
            target = 0.0                             # one of them has none: its own exit tells
        if unknown:
            stop = target = NAN
        if self.scale:
            share = <int32_t>llrint(min(fabs(total), 1.0) * 1e6)
            if share == 1_000_000:
                share = 0                            # all of them
            elif share == 0:
                share = 1
        signal.action, signal.stop, signal.target, signal.share = side, stop, target, share
        self.wished = side
        stances = self.factors.decide(now_ns, side, total, share)
        for i in range(self.count):
            stances[i] = self.members[i].stance

    cdef void on_fill(self, const Report *report, const View *view) noexcept nogil:
        self.factors.filled(view)
