"""Locks of entries: see guardlocks.pxd; docs/reference/guards.md has each rule with its numbers."""

from libc.stdlib cimport calloc, free

from dhanfast._core.portfolio cimport portfolio_equity
from dhanfast._core.tradewindow cimport TRADES_KEPT, WindowSum, ring_add, window_stops, window_sum
from dhanfast._core.types cimport Reason, Side
from dhanfast._core.vixbands cimport VIX_DAYS_MAX, ist_day, vix_add_close, \
    vix_bands, vix_day_begins, vix_step

from dhanfast._core.guard_rules import (
    CARRY_VERSION, RULES, checked_carry, checked_rules, checked_vix,
)

cdef extern from "df_wide.h" nogil:
    int64_t df_mul_div_up(int64_t a, int64_t b, int64_t c)

cdef ns_t _NEXT_SESSION = INT64_MAX - 1
cdef enum:
    E4 = 10_000
if sizeof(GuardRules) != 8 * len(RULES):
    raise ImportError(f"guards: {len(RULES)} rules are named, the struct has {sizeof(GuardRules)} "
                      "bytes")


cdef inline ns_t _until(ns_t now_ns, ns_t pause) noexcept nogil:
    return _NEXT_SESSION if pause < 0 else now_ns + pause


cdef class GuardLocks:
    """What `Guards` knows of the account: equity of the day, closed trades, VIX, and the locks.

    Made as `Guards`, which has the arguments.

    Attributes:
        locks_made, alerts_made: since construction. events_lost: not taken away in time.
        portfolio: the books, when they are attached.
    """

    def __cinit__(self, *, carried: object = None, vix: object = None, instruments: int = 1,
                  **rules):
        cdef int64_t *fields = <int64_t *>&self.rules
        for at, number in enumerate(checked_rules(rules)):
            fields[at] = number
        self.notes = <GuardNote *>calloc(EVENTS_KEPT + VETOES_KEPT, sizeof(GuardNote))
        self.ring.trades = <ClosedTrade *>calloc(TRADES_KEPT, sizeof(ClosedTrade))
        self.vix_state.closes = <int64_t *>calloc(2 * VIX_DAYS_MAX, sizeof(int64_t))
        if self.notes == NULL or self.ring.trades == NULL or self.vix_state.closes == NULL:
            raise MemoryError("guards: no memory for events and trades")
        self.watches = (self.rules.drawdown_e4 or self.rules.drawdown_paise
                        or self.rules.day_loss or self.rules.profit_arm) != 0
        self.vix_state.ordered = self.vix_state.closes + VIX_DAYS_MAX
        self.state.profit_steps = self.vix_state.rank_e4 = -1
        self._hand_in(vix)
        if carried is not None:
            self._take_over(checked_carry(carried))
        self._lines()

    def __dealloc__(self):
        free(self.notes)
        free(self.ring.trades)
        free(self.vix_state.closes)

    cdef object _hand_in(self, object vix):
        cdef const int64_t[::1] times, values
        if vix is None:
            return
        self._vix_owner = checked_vix(vix)
        times, values = self._vix_owner
        self.vix_len = times.shape[0]
        if self.vix_len:
            self.vix_times, self.vix_values = &times[0], &values[0]

    # ---- the day and its equity ---------------------------------------------------------------

    cdef void new_day(self, int64_t date, paise_t equity, ns_t now_ns) noexcept nogil:
        cdef GuardState *state = &self.state
        cdef int kind
        if date == state.date:
            self._catch_up(now_ns)
            return
        state.date, state.now_ns = date, now_ns
        state.open = state.peak = state.loss_base = state.equity = equity
        state.profit_steps = -1
        state.trades = state.alerted = state.wish_flat = 0
        for kind in range(KINDS):
            if state.locked & (<uint32_t>1 << kind) and (
                    self.locks_of[kind].until_ns == _NEXT_SESSION
                    or self.locks_of[kind].until_ns <= now_ns):
                state.locked &= ~(<uint32_t>1 << kind)
        self._lines()
        self._catch_up(now_ns)
        vix_day_begins(&self.rules.vix, &self.vix_state, ist_day(now_ns))

    cdef paise_t _fall_limit(self) noexcept nogil:
        """The fall from the peak that locks; nothing may be lost when there is nothing."""
        if self.rules.drawdown_e4 == 0:
            return self.rules.drawdown_paise
        return df_mul_div_up(self.state.peak, self.rules.drawdown_e4, E4) if self.state.peak > 0 \
            else 0

    cdef void watch(self, ns_t now_ns, paise_t equity) noexcept nogil:
        cdef const GuardRules *rules = &self.rules
        cdef GuardState *state = &self.state
        cdef paise_t gain, floor
        cdef int64_t steps = 0
        if state.date == 0:
            return                     # no day has begun: there is nothing to measure from
        if (rules.drawdown_e4 or rules.drawdown_paise) \
                and not state.locked & (1 << GuardKind.DRAWDOWN):
            state.peak = max(state.peak, equity)
            self._fell(GuardKind.DRAWDOWN, now_ns, state.peak - equity, self._fall_limit(),
                       state.peak, rules.drawdown_flat)
        if rules.day_loss and not state.locked & (1 << GuardKind.DAY_LOSS):
            self._fell(GuardKind.DAY_LOSS, now_ns, state.loss_base - equity, rules.day_loss,
                       state.loss_base, rules.day_loss_flat)
        if rules.profit_arm and not state.locked & (1 << GuardKind.PROFIT_LOCK):
            gain = equity - state.open
            if gain >= rules.profit_arm:
                if rules.profit_step:
                    steps = (gain - rules.profit_arm) // rules.profit_step
                state.profit_steps = max(state.profit_steps, steps)
            floor = rules.profit_floor + state.profit_steps * rules.profit_step
            if state.profit_steps >= 0 and gain <= floor:
                self._lock(GuardKind.PROFIT_LOCK, now_ns, _NEXT_SESSION, gain, floor, state.open)
                state.wish_flat |= rules.profit_flat
        self._lines()

    cdef void _fell(self, int kind, ns_t now_ns, paise_t fall, paise_t limit, paise_t part_of,
                    bint flat) noexcept nogil:
        cdef GuardState *state = &self.state
        if fall >= limit:
            self._lock(kind, now_ns, _NEXT_SESSION, fall, limit, part_of)
            state.wish_flat |= flat
        elif self.rules.alert_e4 and not state.alerted & (1 << kind) \
                and fall >= df_mul_div_up(limit, self.rules.alert_e4, E4):
            state.alerted |= 1 << kind
            self.alerts_made += 1
            self._note(GuardNews.ALERT, kind, now_ns, 0, fall, limit, part_of)

    cdef void _lines(self) noexcept nogil:
        """Between which equity may move without changing anything."""
        cdef const GuardRules *rules = &self.rules
        cdef GuardState *state = &self.state
        cdef paise_t low = INT64_MIN, high = INT64_MAX
        cdef paise_t limit
        if self.watches and state.date:
            if (rules.drawdown_e4 or rules.drawdown_paise) \
                    and not state.locked & (1 << GuardKind.DRAWDOWN):
                limit = self._fall_limit()
                if rules.alert_e4 and not state.alerted & (1 << GuardKind.DRAWDOWN):
                    limit = df_mul_div_up(limit, rules.alert_e4, E4)
                low, high = state.peak - limit, state.peak
            if rules.day_loss and not state.locked & (1 << GuardKind.DAY_LOSS):
                limit = rules.day_loss
                if rules.alert_e4 and not state.alerted & (1 << GuardKind.DAY_LOSS):
                    limit = df_mul_div_up(limit, rules.alert_e4, E4)
                low = max(low, state.loss_base - limit)
            if rules.profit_arm and not state.locked & (1 << GuardKind.PROFIT_LOCK):
                if state.profit_steps < 0:
                    high = min(high, state.open + rules.profit_arm - 1)
                else:
                    low = max(low, state.open + rules.profit_floor
                              + state.profit_steps * rules.profit_step)
                    if rules.profit_step:
                        high = min(high, state.open + rules.profit_arm - 1
                                   + (state.profit_steps + 1) * rules.profit_step)
        state.line_low, state.line_high = low, high

    # ---- trades -------------------------------------------------------------------------------

    cdef void entered(self, ns_t now_ns) noexcept nogil:
        self.state.now_ns = now_ns
        self.state.trades += 1
        if self.rules.trades_max and self.state.trades >= self.rules.trades_max:
            self._lock(GuardKind.MAX_TRADES, now_ns, _NEXT_SESSION, self.state.trades,
                       self.rules.trades_max, 0)

    cdef void trade_closed(self, const Trade *trade) noexcept nogil:
        cdef ClosedTrade closed
        closed.exit_ns, closed.side = trade.exit_ns, trade.side
        closed.net = trade.gross - (trade.brokerage + trade.exchange + trade.sebi + trade.ipft
                                    + trade.stamp + trade.stt + trade.gst + 500_000) // 1_000_000
        closed.stopped = trade.exit_reason == Reason.STOP_LOSS and closed.net < 0
        self._count_closed(&closed)

    cdef void _count_closed(self, const ClosedTrade *trade) noexcept nogil:
        cdef const GuardRules *rules = &self.rules
        cdef GuardState *state = &self.state
        cdef ns_t now_ns = trade.exit_ns
        state.now_ns = now_ns
        ring_add(&self.ring, trade)
        state.streak = state.streak + 1 if trade.net < 0 else 0
        if rules.losses_max and state.streak >= rules.losses_max:
            self._lock(GuardKind.CONSECUTIVE_LOSSES, now_ns, _until(now_ns, rules.losses_pause),
                       state.streak, rules.losses_max, trade.net)
            state.streak = 0           # a new run is counted from here
        if rules.cooldown_pause:
            self._lock(GuardKind.COOLDOWN_PERIOD, now_ns, _until(now_ns, rules.cooldown_pause),
                       trade.net, 0, 0)
        if rules.stops_limit and trade.stopped:
            if not rules.stops_per_side:
                self._count_stops(now_ns, GuardKind.STOPLOSS_GUARD, 0)
            elif trade.side == Side.BUY:
                self._count_stops(now_ns, GuardKind.STOPLOSS_LONG, Side.BUY)
            else:
                self._count_stops(now_ns, GuardKind.STOPLOSS_SHORT, Side.SELL)
        if rules.low_limit or rules.fall_allowed:
            self._count_results(now_ns)

    cdef ns_t _since(self, int kind, ns_t now_ns, ns_t lookback) noexcept nogil:
        """Where the window of a rule begins: not before what was unlocked."""
        return max(now_ns - lookback, <ns_t>self.state.forgotten[kind])

    cdef void _count_stops(self, ns_t now_ns, int kind, int side) noexcept nogil:
        cdef const GuardRules *rules = &self.rules
        cdef int64_t stops = window_stops(
            &self.ring, self._since(kind, now_ns, rules.stops_lookback), side)
        if stops >= rules.stops_limit:
            self._lock(kind, now_ns, _until(now_ns, rules.stops_pause), stops, rules.stops_limit,
                       rules.stops_lookback)

    cdef void _count_results(self, ns_t now_ns) noexcept nogil:
        """What the trades of two windows brought together, and their deepest fall."""
        cdef const GuardRules *rules = &self.rules
        cdef WindowSum found
        if rules.low_limit:
            found = window_sum(&self.ring, self._since(GuardKind.LOW_PROFIT, now_ns,
                                                       rules.low_lookback))
            if found.trades >= rules.low_limit and found.total < rules.low_required:
                self._lock(GuardKind.LOW_PROFIT, now_ns, _until(now_ns, rules.low_pause),
                           found.total, rules.low_required, found.trades)
        if rules.fall_allowed:
            found = window_sum(&self.ring, self._since(GuardKind.MAX_DRAWDOWN, now_ns,
                                                       rules.fall_lookback))
            if found.trades >= rules.fall_limit and found.fall >= rules.fall_allowed:
                self._lock(GuardKind.MAX_DRAWDOWN, now_ns, _until(now_ns, rules.fall_pause),
                           found.fall, rules.fall_allowed, found.trades)

    # ---- India VIX ----------------------------------------------------------------------------

    cdef void see_vix(self, ns_t now_ns, int64_t value) noexcept nogil:
        vix_step(&self.rules.vix, &self.vix_state, now_ns, value)

    cdef void _catch_up(self, ns_t now_ns) noexcept nogil:
        """Values handed in that are known by now; none that becomes known later."""
        while self.vix_at < self.vix_len and self.vix_times[self.vix_at] <= now_ns:
            self.see_vix(self.vix_times[self.vix_at], self.vix_values[self.vix_at])
            self.vix_at += 1

    # ---- locks and what is told of them -------------------------------------------------------

    cdef void _lock(self, int kind, ns_t now_ns, ns_t until_ns, int64_t value, int64_t limit,
                    int64_t part_of) noexcept nogil:
        """An end that lies later than the new one stays."""
        cdef GuardLock *lock = &self.locks_of[kind]
        cdef bint is_on = (self.state.locked & (<uint32_t>1 << kind)) != 0 \
            and lock.until_ns > now_ns
        if not is_on:
            lock.since_ns, lock.until_ns = now_ns, until_ns
        lock.until_ns = max(lock.until_ns, until_ns)
        lock.value, lock.limit, lock.part_of = value, limit, part_of
        self.state.locked |= <uint32_t>1 << kind
        self.locks_made += 1
        self._note(GuardNews.LOCK, kind, now_ns, lock.until_ns, value, limit, part_of)

    cdef void lock_entries(self, int kind, ns_t now_ns, ns_t until_ns) noexcept nogil:
        if 0 <= kind < KINDS:
            self._lock(kind, now_ns, until_ns, 0, 0, 0)
            self._lines()

    cdef void _clear(self, int kind) noexcept nogil:
        """A lock is over. What it measured is measured again from the equity of now."""
        cdef GuardState *state = &self.state
        cdef paise_t equity = state.equity
        state.locked &= ~(<uint32_t>1 << kind)
        if kind > GuardKind.PROFIT_LOCK or kind < GuardKind.DRAWDOWN:
            return
        if self.portfolio is not None:
            equity = portfolio_equity(self.portfolio)
        state.alerted &= ~(<int64_t>1 << kind)
        if kind == GuardKind.DRAWDOWN:
            state.peak = equity
        elif kind == GuardKind.DAY_LOSS:
            state.loss_base = equity
        else:
            state.profit_steps = -1
        self._lines()
        if equity > state.line_high or equity <= state.line_low:
            self.watch(state.now_ns, equity)

    cdef bint unlock_entries(self, int kind, ns_t now_ns) noexcept nogil:
        cdef const GuardLock *lock
        if not 0 <= kind < KINDS or not self.state.locked & (<uint32_t>1 << kind):
            return False
        lock = &self.locks_of[kind]
        if lock.until_ns <= now_ns:
            return False                   # it has ended by itself, whether that was seen or not
        self.state.now_ns = max(self.state.now_ns, now_ns)
        self._note(GuardNews.UNLOCK, kind, now_ns, 0, lock.value, lock.limit, lock.part_of)
        self.state.forgotten[kind] = now_ns
        if kind == GuardKind.MAX_TRADES:
            self.state.trades = 0
        elif kind == GuardKind.CONSECUTIVE_LOSSES:
            self.state.streak = 0
        self._clear(kind)
        return True

    cdef void _note(self, int news, int kind, ns_t now_ns, ns_t until_ns, int64_t value,
                    int64_t limit, int64_t part_of) noexcept nogil:
        cdef GuardNote *note
        cdef uint64_t seq = self.note_count + self.veto_count
        if news == GuardNews.VETO:
            note = &self.notes[EVENTS_KEPT + self.veto_count % VETOES_KEPT]
            self.veto_count += 1
        else:
            note = &self.notes[self.note_count % EVENTS_KEPT]
            self.note_count += 1
        note.seq, note.time_ns, note.until_ns, note.value = seq, now_ns, until_ns, value
        note.limit, note.part_of, note.news, note.kind = limit, part_of, news, kind
        note.lock = -1

    cdef RejectReason _veto(self, RejectReason reason, ns_t now_ns, ns_t until_ns, int64_t value,
                            int64_t limit, int64_t part_of) noexcept nogil:
        cdef GuardNote *last = &self.last_veto[<int>reason]
        self.vetoes[<int>reason] += 1
        last.time_ns, last.until_ns, last.value = now_ns, until_ns, value
        last.limit, last.part_of, last.kind, last.lock = limit, part_of, <int>reason, -1
        self._note(GuardNews.VETO, <int>reason, now_ns, until_ns, value, limit, part_of)
        return reason

    # ---- the Python door ----------------------------------------------------------------------

    def start_day(self, int64_t date, int64_t equity, int64_t now_ns):
        """A session begins.

        Args:
            date: YYYYMMDD; the date of the day in progress again changes nothing.
            equity: before anything happens in it.
        """
        self.new_day(date, equity, now_ns)

    def mark(self, int64_t now_ns, int64_t equity):
        """Tell the account's equity, realised and open."""
        guards_watch(self, now_ns, equity)

    def enter(self, int64_t now_ns):
        """A position was opened."""
        self.entered(now_ns)

    def close_trade(self, int64_t exit_ns, int64_t net, int side, bint stopped):
        """A position was closed.

        Args:
            net: its result after charges.
            side: 1 long, -1 short.
            stopped: whether its stop closed it; counts as a stop when it also lost.
        """
        cdef ClosedTrade closed = ClosedTrade(exit_ns, net, side, stopped and net < 0)
        self._count_closed(&closed)

    def vix(self, int64_t now_ns, int64_t value):
        """India VIX as it became known, 1/100 points."""
        self.see_vix(now_ns, value)

    def carry(self):
        """What outlasts the day, for `carried` of the next `Guards`: plain numbers and lists.

        On the same date everything of the day is taken up where it was left: locks, the peak, the
        count of trades. On a later date what the day alone knows is forgotten.
        """
        cdef GuardState *state = &self.state
        cdef VixState *vix = &self.vix_state
        cdef uint64_t kept = min(vix.close_count, <uint64_t>self.rules.vix.rank_days)
        cdef const GuardLock *lock
        cdef const ClosedTrade *trade
        cdef uint64_t at
        cdef int kind
        locks, closed = [], []
        for kind in range(KINDS):
            lock = &self.locks_of[kind]
            locks += [lock.since_ns, lock.until_ns, lock.value, lock.limit, lock.part_of]
        for at in range(self.ring.count - min(self.ring.count, TRADES_KEPT), self.ring.count):
            trade = &self.ring.trades[at % TRADES_KEPT]
            closed += [trade.exit_ns, trade.net, trade.side, trade.stopped]
        return {
            "version": CARRY_VERSION, "date": state.date, "open": state.open, "peak": state.peak,
            "equity": state.equity if self.portfolio is None else self.portfolio.equity(),
            "loss_base": state.loss_base, "profit_steps": state.profit_steps,
            "trades": state.trades, "streak": state.streak, "alerted": state.alerted,
            "wish_flat": state.wish_flat, "locked": state.locked, "locks": locks,
            "forgotten": [state.forgotten[kind] for kind in range(KINDS)], "closed": closed,
            "vix": [vix.value, vix.value_ns, vix.day, vix.bands],
            "closes": [vix.closes[at % self.rules.vix.rank_days]
                       for at in range(vix.close_count - kept, vix.close_count)],
        }

    cdef object _take_over(self, dict carried):
        cdef GuardState *state = &self.state
        cdef VixState *vix = &self.vix_state
        cdef GuardLock *lock
        cdef ClosedTrade trade
        state.date, state.open, state.peak = carried["date"], carried["open"], carried["peak"]
        state.loss_base, state.profit_steps = carried["loss_base"], carried["profit_steps"]
        state.trades, state.streak = carried["trades"], carried["streak"]
        state.alerted, state.wish_flat = carried["alerted"], carried["wish_flat"]
        state.locked, state.equity = carried["locked"], carried["equity"]
        for kind in range(KINDS):
            state.forgotten[kind] = carried["forgotten"][kind]
            lock = &self.locks_of[kind]
            row = carried["locks"][slice(5 * kind, 5 * kind + 5)]
            lock.since_ns, lock.until_ns, lock.value, lock.limit, lock.part_of = row
        rows = carried["closed"]
        for at in range(0, len(rows), 4):
            row = rows[slice(at, at + 4)]
            trade.exit_ns, trade.net, trade.side, trade.stopped = row
            ring_add(&self.ring, &trade)
        vix.value, vix.value_ns, vix.day, vix.bands = carried["vix"]
        for close in carried["closes"]:
            vix_add_close(&self.rules.vix, vix, close)
        if vix.value:
            vix_bands(&self.rules.vix, vix)
