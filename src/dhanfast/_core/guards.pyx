"""Guards: see guards.pxd for the laws, docs/reference/guards.md for each rule with its numbers."""

import numpy as np

from libc.math cimport fabs, llrint
from libc.stdint cimport INT64_MAX, uint64_t
from libc.stdlib cimport calloc, free

from dhanfast._core.guardlocks cimport (
    EVENTS_KEPT, KINDS, VETOES_KEPT, GuardKind, GuardLock, GuardNews, GuardNote, GuardRules,
)
from dhanfast._core.portfolio cimport Portfolio
from dhanfast._core.tradebook cimport units
from dhanfast._core.types cimport Side
from dhanfast._core.vixbands cimport VixBand, VixRules, VixState

from dhanfast._core.guard_rules import RULES, whole
from dhanfast._core.guard_text import GuardEvent, GuardLocked, told, why
from dhanfast._core.guardlocks import GuardKind as GuardKinds
from dhanfast._core.types import RejectReason as RejectReasons
from dhanfast.errors import ConfigError, UsageError

cdef extern from "df_wide.h" nogil:
    int64_t df_mul_div_up(int64_t a, int64_t b, int64_t c)

cdef ns_t _NEXT_SESSION = INT64_MAX - 1
cdef ns_t _UNTIL_UNLOCK = INT64_MAX
cdef ns_t _IST = 19_800_000_000_000
cdef ns_t _DAY = 86_400_000_000_000

cdef int _REASON_OF[KINDS]
_REASON_OF[:] = [
    RejectReason.GUARD_LOCKED, RejectReason.GUARD_DRAWDOWN, RejectReason.GUARD_DAY_LOSS,
    RejectReason.GUARD_PROFIT_LOCK, RejectReason.GUARD_TRADES, RejectReason.GUARD_LOSSES,
    RejectReason.GUARD_COOLDOWN, RejectReason.GUARD_STOPS, RejectReason.GUARD_STOPS,
    RejectReason.GUARD_STOPS, RejectReason.GUARD_LOW_PROFIT, RejectReason.GUARD_MAX_DRAWDOWN,
]


cdef inline int64_t _plus(int64_t a, int64_t b) noexcept nogil:
    """a + b of numbers that are not negative; the largest number when it does not fit."""
    return INT64_MAX if a > INT64_MAX - b else a + b


cdef inline int64_t _lots(int64_t qty, int64_t lot) noexcept nogil:
    """A part of a lot counts as one."""
    return (qty + lot - 1) // lot if lot > 1 else qty


cdef class Guards(GuardLocks):
    """Rules that keep entries out for a while; `Gate(guards=...)` asks them about each entry.

    Args:
        carried: what `carry` gave at the end of an earlier day; None = nothing is known.
        vix: (times, values) of India VIX, int64 arrays in ascending order of time, each value in
            1/100 points and known from its time on; None = values come one by one.
        instruments: how many there are, at most 1,024; exposure looks at all of them.
        rules: fields of `GuardRules` by name; those left out are off.

    Attributes:
        count: instruments.

    Units:
        Money in paise, quantities in units, times in UTC ns, VIX in 1/100 points, shares in 1e-4.

    Raises:
        ConfigError: an unknown rule, a number out of its range, `carried` or `vix` that is
            malformed.
    """

    def __cinit__(self, *, carried: object = None, vix: object = None, instruments: int = 1,
                  **rules):
        cdef const VixRules *levels = &self.rules.vix
        self.count = whole("instruments", instruments, 1, 1024)
        self.instruments = <GuardInstrument *>calloc(self.count, sizeof(GuardInstrument))
        self.correlations = <double *>calloc(<size_t>self.count * self.count, sizeof(double))
        if self.instruments == NULL or self.correlations == NULL:
            raise MemoryError(f"guards: no memory for {self.count} instruments")
        for at in range(self.count):
            self.instruments[at].underlying = at
            self.correlations[at * self.count + at] = 1.0
        self.sees_vix = (levels.vix_high or levels.vix_low or levels.rank_high_e4
                         or levels.rank_low_e4) != 0

    def __dealloc__(self):
        free(self.instruments)
        free(self.correlations)

    cdef void instrument(self, uint32_t index, int64_t contract, int64_t lot) noexcept nogil:
        if index < self.count:
            self.instruments[index].contract, self.instruments[index].lot = contract, lot

    # ---- an entry -----------------------------------------------------------------------------

    cdef RejectReason verdict(self, const Order *order, int64_t position, int64_t pending,
                              paise_t mark, ns_t now_ns, const Session *session) noexcept nogil:
        cdef const GuardRules *rules = &self.rules
        cdef RejectReason found
        self.state.now_ns = max(self.state.now_ns, now_ns)
        if self.state.locked:
            found = self._locked(order.side, now_ns)
            if found != RejectReason.NONE:
                return found
        if rules.before_flat or rules.expiry_day_off or rules.expiry_day_until:
            found = self._timing(now_ns, session)
            if found != RejectReason.NONE:
                return found
        if rules.stale_ns and now_ns - self.state.data_ns > rules.stale_ns:
            return self._veto(RejectReason.GUARD_STALE, now_ns, 0, now_ns - self.state.data_ns,
                              rules.stale_ns, self.state.data_ns)
        if self.sees_vix:
            found = self._volatility(now_ns)
            if found != RejectReason.NONE:
                return found
        if (rules.underlying_paise or rules.underlying_lots or rules.expiry_paise
                or rules.expiry_lots or rules.correlated_paise) \
                and order.instrument < self.count:
            return self._exposure(order, position, pending, mark, now_ns)
        return RejectReason.NONE

    cdef RejectReason _locked(self, int side, ns_t now_ns) noexcept nogil:
        cdef const GuardLock *lock
        cdef int kind
        for kind in range(KINDS):
            if not self.state.locked & (<uint32_t>1 << kind):
                continue
            lock = &self.locks_of[kind]
            if lock.until_ns <= now_ns:
                self._clear(kind)
                continue
            if (kind == GuardKind.STOPLOSS_LONG and side != Side.BUY) \
                    or (kind == GuardKind.STOPLOSS_SHORT and side != Side.SELL):
                continue
            self._veto(<RejectReason>_REASON_OF[kind], now_ns, lock.until_ns, lock.value,
                       lock.limit, lock.part_of)
            self.last_veto[_REASON_OF[kind]].lock = kind
            self.notes[EVENTS_KEPT + (self.veto_count - 1) % VETOES_KEPT].lock = kind
            return <RejectReason>_REASON_OF[kind]
        return RejectReason.NONE

    cdef RejectReason _timing(self, ns_t now_ns, const Session *session) noexcept nogil:
        cdef const GuardRules *rules = &self.rules
        cdef ns_t of_day = (now_ns + _IST) % _DAY
        if session.contract and session.contract == session.date:
            if rules.expiry_day_off:
                return self._veto(RejectReason.GUARD_EXPIRY, now_ns, _NEXT_SESSION, of_day, 0,
                                  session.contract)
            if rules.expiry_day_until and of_day >= rules.expiry_day_until:
                return self._veto(RejectReason.GUARD_EXPIRY, now_ns, _NEXT_SESSION, of_day,
                                  rules.expiry_day_until, session.contract)
        if rules.before_flat and session.square_off_ns \
                and now_ns >= session.square_off_ns - rules.before_flat:
            return self._veto(RejectReason.GUARD_FLAT_BY, now_ns, _NEXT_SESSION,
                              session.square_off_ns - now_ns, rules.before_flat,
                              session.square_off_ns)
        return RejectReason.NONE

    cdef RejectReason _volatility(self, ns_t now_ns) noexcept nogil:
        cdef const VixRules *rules = &self.rules.vix
        cdef const VixState *state = &self.vix_state
        cdef RejectReason vix = RejectReason.GUARD_VIX
        self._catch_up(now_ns)
        if state.value == 0 or (rules.vix_age and now_ns - state.value_ns > rules.vix_age):
            return self._veto(vix, now_ns, 0, state.value, state.value_ns, VixBand.UNKNOWN)
        if state.bands & VixBand.HIGH:
            return self._veto(vix, now_ns, 0, state.value, rules.vix_high_leave, VixBand.HIGH)
        if state.bands & VixBand.LOW:
            return self._veto(vix, now_ns, 0, state.value, rules.vix_low_leave, VixBand.LOW)
        if rules.rank_high_e4 == 0 and rules.rank_low_e4 == 0:
            return RejectReason.NONE
        if state.rank_e4 < 0:
            return self._veto(vix, now_ns, 0, state.value, state.value_ns, VixBand.UNKNOWN)
        if state.bands & VixBand.RANK_HIGH:
            return self._veto(vix, now_ns, 0, state.rank_e4, rules.rank_high_leave_e4,
                              VixBand.RANK_HIGH)
        if state.bands & VixBand.RANK_LOW:
            return self._veto(vix, now_ns, 0, state.rank_e4, rules.rank_low_leave_e4,
                              VixBand.RANK_LOW)
        return RejectReason.NONE

    cdef RejectReason _exposure(self, const Order *order, int64_t position, int64_t pending,
                                paise_t mark, ns_t now_ns) noexcept nogil:
        """Working entries may or may not fill: the worst of both counts."""
        cdef const GuardRules *rules = &self.rules
        cdef const GuardInstrument *own = &self.instruments[order.instrument]
        cdef const GuardInstrument *other
        cdef paise_t price = mark if mark > 0 else max(order.price, order.trigger)
        cdef int64_t after = position + order.side * order.qty
        cdef int64_t worst = max(units(after), units(after + pending))
        cdef int64_t paise = df_mul_div_up(worst, price, 1)
        cdef int64_t lots = _lots(worst, own.lot)
        cdef int64_t all_paise = paise, all_lots = lots
        cdef int64_t size, held
        cdef double others = 0.0, weighted
        cdef const double *row = &self.correlations[<size_t>order.instrument * self.count]
        cdef uint32_t at
        if self.portfolio is not None:
            for at in range(self.portfolio.open_count):
                size = self.portfolio.open_list[at]
                if size == order.instrument or size >= self.count:
                    continue
                other = &self.instruments[size]
                held = self.portfolio.positions[size].qty
                others += row[size] * held * self.portfolio.positions[size].mark
                if other.underlying != own.underlying:
                    continue
                size = df_mul_div_up(units(held), self.portfolio.positions[size].mark, 1)
                held = _lots(units(held), other.lot)
                all_paise, all_lots = _plus(all_paise, size), _plus(all_lots, held)
                if other.contract == own.contract:
                    paise, lots = _plus(paise, size), _plus(lots, held)
        if rules.underlying_paise and all_paise > rules.underlying_paise:
            return self._veto(RejectReason.GUARD_EXPOSURE, now_ns, 0, all_paise,
                              rules.underlying_paise, 0)
        if rules.underlying_lots and all_lots > rules.underlying_lots:
            return self._veto(RejectReason.GUARD_EXPOSURE, now_ns, 0, all_lots,
                              rules.underlying_lots, 1)
        if rules.expiry_paise and paise > rules.expiry_paise:
            return self._veto(RejectReason.GUARD_EXPOSURE, now_ns, 0, paise, rules.expiry_paise, 2)
        if rules.expiry_lots and lots > rules.expiry_lots:
            return self._veto(RejectReason.GUARD_EXPOSURE, now_ns, 0, lots, rules.expiry_lots, 3)
        if rules.correlated_paise:
            weighted = max(fabs(others + row[order.instrument] * after * price),
                           fabs(others + row[order.instrument] * (after + pending) * price))
            if weighted > rules.correlated_paise:
                return self._veto(RejectReason.GUARD_CORRELATION, now_ns, 0,
                                  llrint(min(weighted, 9e18)), rules.correlated_paise,
                                  self.portfolio.open_count if self.portfolio is not None else 0)
        return RejectReason.NONE

    # ---- the Python door ----------------------------------------------------------------------

    def describe(self, uint32_t index, uint32_t underlying, int64_t contract, int64_t lot):
        """What an instrument is.

        Args:
            underlying: a number that its contracts share. contract: expiry YYYYMMDD.
            lot: units.

        Raises:
            UsageError: there is no such instrument.
        """
        if index >= self.count:
            raise UsageError(f"guards: instrument must be in 0..{self.count - 1}, was {index}")
        self.instruments[index].underlying = underlying
        self.instrument(index, contract, lot)

    def attach(self, Portfolio portfolio not None):
        """The books that exposure is read from; the kernel attaches its own.

        Raises:
            UsageError: they have fewer instruments than the guards.
        """
        if portfolio.count < self.count:
            raise UsageError(f"guards: {self.count} instruments, but the portfolio has "
                             f"{portfolio.count}")
        self.portfolio = portfolio

    def correlate(self, matrix):
        """Correlations of the instruments' returns.

        Args:
            matrix: float64[count, count], symmetric, 1 on the diagonal, all in -1..1.

        Raises:
            ConfigError: it is not.
        """
        cdef const double[:, ::1] values
        given = np.ascontiguousarray(matrix, dtype=np.float64)
        if given.shape != (self.count, self.count) or not np.isfinite(given).all():
            raise ConfigError(f"guards: correlations must be {self.count} x {self.count} finite "
                              f"numbers, had the shape {given.shape}")
        if (np.abs(given) > 1.0).any() or (given != given.T).any() or (given.diagonal() != 1).any():
            raise ConfigError("guards: correlations must be symmetric, in -1..1, and 1 of each "
                              "instrument with itself")
        values = given
        for i in range(self.count):
            for j in range(self.count):
                self.correlations[i * self.count + j] = values[i, j]

    def lock(self, name, *, int64_t now_ns, int64_t until_ns=_UNTIL_UNLOCK):
        """Lock entries by command.

        Args:
            name: of a lock, in general operator.
            until_ns: a time, NEXT_SESSION or UNTIL_UNLOCK.

        Raises:
            UsageError: no lock has this name; an end that is not after now.
        """
        if until_ns <= now_ns:
            raise UsageError(f"guards: until_ns must be after now {now_ns}, was {until_ns}")
        self.lock_entries(_kind(name), now_ns, until_ns)

    def unlock(self, name, *, int64_t now_ns):
        """End a lock by command. What it measured is measured again from the equity of now.

        Returns:
            Whether it was locked.

        Raises:
            UsageError: no lock has this name.
        """
        return bool(self.unlock_entries(_kind(name), now_ns))

    def locks(self):
        """The locks that hold now, as of the last event told.

        Returns:
            list[GuardLocked]: (name, since_ns, until_ns, value, limit) each.
        """
        return [GuardLocked(kind.name.lower(), lock.since_ns, lock.until_ns, lock.value, lock.limit)
                for kind in GuardKinds for lock in (self.locks_of[<int>kind],)
                if self.state.locked >> <int>kind & 1 and lock.until_ns > self.state.now_ns]

    def events(self):
        """Vetoes, locks, alerts and unlocks since the last call, oldest first.

        The last 4,096 of the others and the last 64 vetoes are kept; `events_lost` counts the
        others that nobody took, `vetoed` has all vetoes.

        Returns:
            list[GuardEvent]
        """
        cdef GuardNote note
        cdef uint64_t first
        rows = []
        first = max(self.notes_taken, self.note_count - min(self.note_count, EVENTS_KEPT))
        self.events_lost += first - self.notes_taken
        for at in range(first, self.note_count):
            rows.append(self.notes[at % EVENTS_KEPT])
        first = max(self.vetoes_taken, self.veto_count - min(self.veto_count, VETOES_KEPT))
        for at in range(first, self.veto_count):
            rows.append(self.notes[EVENTS_KEPT + at % VETOES_KEPT])
        self.notes_taken, self.vetoes_taken = self.note_count, self.veto_count
        made = []
        for row in sorted(rows, key=_seq):
            note = row
            made.append(_event(&note))
        return made

    def explain(self, reason):
        """Why the last entry was refused for a reason, or why a lock holds, in one line.

        Args:
            reason: a RejectReason, its name, or the name of a lock.

        Raises:
            UsageError: no guard has this name.
        """
        cdef const GuardLock *lock
        cdef const GuardNote *last
        name = str(getattr(reason, "name", reason)).upper()
        if name in RejectReasons.__members__ and name.startswith("GUARD_"):
            if not self.vetoes[<int>RejectReasons[name]]:
                return f"no entry was refused for {name.lower()}"
            last = &self.last_veto[<int>RejectReasons[name]]
            held = "" if last.lock < 0 else GuardKinds(last.lock).name.lower()
            return why(name, held, last.value, last.limit, last.part_of, last.until_ns)
        kind = _kind(reason)
        lock = &self.locks_of[<int>kind]
        if not self.state.locked >> <int>kind & 1 or lock.until_ns <= self.state.now_ns:
            return f"{kind.name.lower()} is not locked"
        return told("lock", kind.name.lower(), lock.value, lock.limit, lock.part_of, lock.until_ns)

    @property
    def vetoed(self):
        """Entries refused so far by RejectReason name, those that occurred only."""
        return {reason.name: self.vetoes[<int>reason] for reason in RejectReasons
                if self.vetoes[<int>reason]}

    @property
    def rules_in_force(self):
        """{field of GuardRules: its number}, those that are not 0."""
        cdef const int64_t *fields = <const int64_t *>&self.rules
        return {name: fields[at] for at, name in enumerate(RULES) if fields[at]}

    @property
    def wish_flat(self):
        """Whether a rule asks to close what is open, and nobody has done it yet."""
        return bool(self.state.wish_flat)

    @property
    def lines(self):
        """(low, high): while low < equity <= high no rule changes anything, paise."""
        return self.state.line_low, self.state.line_high

    @property
    def vix_now(self):
        """India VIX: (value, rank among the last closes in 1e-4 or -1, bits of VixBand)."""
        return self.vix_state.value, self.vix_state.rank_e4, self.vix_state.bands

    @property
    def vix_bad(self):
        """Values of India VIX outside 3..150 points, which were ignored."""
        return self.vix_state.bad


def _kind(name):
    """The lock of a name."""
    wanted = str(getattr(name, "name", name)).upper()
    if wanted not in GuardKinds.__members__:
        raise UsageError(f"guards: no lock is called {name!r}; locks: "
                         f"{', '.join(kind.name.lower() for kind in GuardKinds)}")
    return GuardKinds[wanted]


def _seq(row):
    return row["seq"]


cdef object _event(const GuardNote *note):
    cdef str what = ("veto", "lock", "alert", "unlock")[note.news]
    if note.news == GuardNews.VETO:
        name = RejectReasons(note.kind).name
        held = "" if note.lock < 0 else GuardKinds(note.lock).name.lower()
        text = why(name, held, note.value, note.limit, note.part_of, note.until_ns)
    else:
        name = GuardKinds(note.kind).name
        text = told(what, name.lower(), note.value, note.limit, note.part_of, note.until_ns)
    return GuardEvent(note.time_ns, what, name.lower(), note.value, note.limit, note.part_of,
                      note.until_ns, text)
