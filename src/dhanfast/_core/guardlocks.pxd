"""Locks: what happened in the account, and which locks of entries it set.

Owner thread:  the engine thread only.   Memory: none after construction.

`Guards` extends it with what is asked about an entry; guards.pxd has the laws. Equity is watched
between two lines, `line_low` < equity <= `line_high`, inside of which no rule changes anything;
only outside of them is there work. A run of ticks whose prices keep equity between the lines may
therefore be taken in one pass (`guards_calm`).
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int32_t, int64_t, uint32_t, uint64_t

from dhanfast._core.portfolio cimport Portfolio
from dhanfast._core.runlog cimport Trade
from dhanfast._core.tradewindow cimport ClosedTrade, TradeRing
from dhanfast._core.types cimport RejectReason, ns_t, paise_t
from dhanfast._core.vixbands cimport VixRules, VixState

cdef enum:
    KINDS = 12               # of locks
    EVENTS_KEPT = 4096       # locks, alerts; the oldest not taken away are lost, and counted
    VETOES_KEPT = 64
    REASONS = 64


cpdef enum GuardKind:
    """What can lock entries; the bit of a lock, and its name for `unlock`."""

    OPERATOR = 0             # locked by hand
    DRAWDOWN = 1             # fall from the day's equity peak
    DAY_LOSS = 2             # loss since the day's opening equity
    PROFIT_LOCK = 3          # profit of the day fell to its floor
    MAX_TRADES = 4           # positions opened today
    CONSECUTIVE_LOSSES = 5
    COOLDOWN_PERIOD = 6      # after any exit
    STOPLOSS_GUARD = 7       # stops in a window, both sides together
    STOPLOSS_LONG = 8        # of long positions: long entries wait
    STOPLOSS_SHORT = 9
    LOW_PROFIT = 10          # result of the trades in a window
    MAX_DRAWDOWN = 11        # of the trades in a window


cpdef enum GuardNews:
    """What a row of `Guards.events` tells."""

    VETO = 0                 # an entry was refused
    LOCK = 1
    ALERT = 2                # near a limit
    UNLOCK = 3               # by command


# Every field is an int64, in the order of RULES in guards.pyx; 0 switches a rule off.
# A pause of -1 lasts until the next session.
cdef struct GuardRules:
    int64_t drawdown_e4      # of the day's equity peak, 1e-4
    int64_t drawdown_paise   # the same in paise; used when drawdown_e4 is 0
    int64_t drawdown_flat    # 1: also close what is open
    int64_t day_loss         # paise below the day's opening equity
    int64_t day_loss_flat
    int64_t alert_e4         # of a limit: an alert once a day, 1e-4
    int64_t profit_arm       # paise above the day's opening equity
    int64_t profit_floor     # paise kept once armed
    int64_t profit_step      # the floor rises by it for each it gains above `arm`; 0 = fixed floor
    int64_t profit_flat
    int64_t trades_max       # positions opened a day
    int64_t losses_max       # in a row
    int64_t losses_pause     # ns
    int64_t cooldown_pause   # ns after any exit
    int64_t stops_limit
    int64_t stops_lookback   # ns
    int64_t stops_pause
    int64_t stops_per_side   # 1: each side has its own count and lock
    int64_t low_limit        # trades in the window at least
    int64_t low_lookback
    int64_t low_pause
    int64_t low_required     # paise; a sum below it locks
    int64_t fall_allowed     # paise; a fall of the window's summed results at or above it locks
    int64_t fall_limit       # trades in the window at least
    int64_t fall_lookback
    int64_t fall_pause
    int64_t underlying_paise  # sum of |units| * mark over an underlying's instruments
    int64_t underlying_lots
    int64_t expiry_paise     # the same over one of its expiries
    int64_t expiry_lots
    int64_t correlated_paise  # |sum over instruments of correlation * signed units * mark|
    VixRules vix
    int64_t stale_ns         # oldest last tick at a decision
    int64_t expiry_day_off   # 1: no entries on the day a contract ends
    int64_t expiry_day_until  # ns of the day, IST: no entries at or after it on that day
    int64_t before_flat      # ns before the square-off time


cdef struct GuardLock:
    ns_t since_ns
    ns_t until_ns            # NEXT_SESSION or UNTIL_UNLOCK beside times
    int64_t value            # what was measured, the limit, and what it is a part of
    int64_t limit
    int64_t part_of


cdef struct GuardNote:       # one veto, lock, alert or unlock
    uint64_t seq
    ns_t time_ns
    ns_t until_ns
    int64_t value
    int64_t limit
    int64_t part_of
    int32_t news             # GuardNews
    int32_t kind             # GuardKind, or of a veto its RejectReason
    int32_t lock             # of a veto the GuardKind that held, -1 = none
    int32_t spare


cdef struct GuardState:
    ns_t now_ns              # newest time told
    ns_t data_ns             # of the last market data, told before each entry; 0 = unknown
    int64_t date             # of the day in progress, YYYYMMDD; 0 before the first
    paise_t equity           # last watched
    paise_t line_low
    paise_t line_high
    paise_t open             # equity the day began with
    paise_t peak             # of the day, or since drawdown was unlocked
    paise_t loss_base        # the day's opening equity, or that at which day_loss was unlocked
    int64_t profit_steps     # -1 = not armed; else steps gained since
    int64_t trades           # opened today, or since max_trades was unlocked
    int64_t streak           # losses in a row
    int64_t alerted          # bits by GuardKind
    int64_t forgotten[KINDS]  # trades that closed up to here do not count for it
    int64_t wish_flat        # 1: a rule asks to close what is open
    uint32_t locked          # bits by GuardKind


cdef class GuardLocks:
    cdef GuardRules rules
    cdef GuardState state
    cdef GuardLock locks_of[KINDS]
    cdef GuardNote last_veto[REASONS]
    cdef uint64_t vetoes[REASONS]
    cdef GuardNote *notes            # ring of EVENTS_KEPT, then one of VETOES_KEPT
    cdef uint64_t note_count, veto_count
    cdef uint64_t notes_taken, vetoes_taken
    cdef readonly uint64_t locks_made
    cdef readonly uint64_t alerts_made
    cdef readonly uint64_t events_lost
    cdef TradeRing ring
    cdef VixState vix_state
    cdef object _vix_owner
    cdef const int64_t *vix_times    # values handed in: known from these times on
    cdef const int64_t *vix_values
    cdef size_t vix_at, vix_len
    cdef readonly Portfolio portfolio
    cdef bint watches                # a rule looks at equity

    # A session begins: equity before anything happens in it. The same date again changes nothing.
    cdef void new_day(self, int64_t date, paise_t equity, ns_t now_ns) noexcept nogil
    # Equity left the lines; call `guards_watch`.
    cdef void watch(self, ns_t now_ns, paise_t equity) noexcept nogil
    # A position was opened; a trade is closed and flat.
    cdef void entered(self, ns_t now_ns) noexcept nogil
    cdef void trade_closed(self, const Trade *trade) noexcept nogil
    # India VIX, 1/100 points, as it became known.
    cdef void see_vix(self, ns_t now_ns, int64_t value) noexcept nogil
    # Commands. `until_ns` may be NEXT_SESSION or UNTIL_UNLOCK.
    cdef void lock_entries(self, int kind, ns_t now_ns, ns_t until_ns) noexcept nogil
    cdef bint unlock_entries(self, int kind, ns_t now_ns) noexcept nogil

    cdef object _hand_in(self, object vix)
    cdef object _take_over(self, dict carried)
    cdef void _lines(self) noexcept nogil
    cdef paise_t _fall_limit(self) noexcept nogil
    cdef void _clear(self, int kind) noexcept nogil
    cdef void _fell(self, int kind, ns_t now_ns, paise_t fall, paise_t limit, paise_t part_of,
                    bint flat) noexcept nogil
    cdef void _lock(self, int kind, ns_t now_ns, ns_t until_ns, int64_t value, int64_t limit,
                    int64_t part_of) noexcept nogil
    cdef void _note(self, int news, int kind, ns_t now_ns, ns_t until_ns, int64_t value,
                    int64_t limit, int64_t part_of) noexcept nogil
    cdef RejectReason _veto(self, RejectReason reason, ns_t now_ns, ns_t until_ns, int64_t value,
                            int64_t limit, int64_t part_of) noexcept nogil
    cdef void _count_closed(self, const ClosedTrade *trade) noexcept nogil
    cdef ns_t _since(self, int kind, ns_t now_ns, ns_t lookback) noexcept nogil
    cdef void _count_stops(self, ns_t now_ns, int kind, int side) noexcept nogil
    cdef void _count_results(self, ns_t now_ns) noexcept nogil
    cdef void _catch_up(self, ns_t now_ns) noexcept nogil


cdef inline void guards_watch(GuardLocks guards, ns_t now_ns, paise_t equity) noexcept nogil:
    """Tell the equity; a compare when nothing changes."""
    guards.state.now_ns, guards.state.equity = now_ns, equity
    if equity > guards.state.line_high or equity <= guards.state.line_low:
        guards.watch(now_ns, equity)


cdef inline int64_t floor_share(int64_t amount, int64_t by) noexcept nogil:
    """amount / by, rounded down; by > 0."""
    return amount // by if amount >= 0 else -((by - 1 - amount) // by)


cdef inline void guards_calm(GuardLocks guards, int64_t position, paise_t mark, paise_t equity,
                             paise_t *floor, paise_t *ceiling) noexcept nogil:
    """Prices strictly between which the equity of `position` units stays between the lines.

    `floor` and `ceiling` are only ever brought closer. `equity` is that at `mark`.
    """
    cdef int64_t size = position if position >= 0 else -position
    cdef int64_t up, down            # paise a unit to the line above, and to the one below
    if size == 0 or not guards.watches:
        return
    if guards.state.line_high != INT64_MAX:
        up = floor_share(guards.state.line_high - equity, size) + 1
        if position > 0:
            ceiling[0] = min(ceiling[0], mark + up)
        else:
            floor[0] = max(floor[0], mark - up)
    if guards.state.line_low != INT64_MIN:
        down = -floor_share(guards.state.line_low - equity, size)
        if position > 0:
            floor[0] = max(floor[0], mark - down)
        else:
            ceiling[0] = min(ceiling[0], mark + down)
