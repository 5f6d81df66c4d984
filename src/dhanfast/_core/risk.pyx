"""The risk gate: limits in, verdict out, a few nanoseconds, no way round it.

The order of the checks is part of the contract, because the first reason found is the one reported:
    1. shape      MALFORMED, QTY_LOT, PRICE_TICK           entries and exits
    2. state      STATE_HALTED, STATE_REDUCING, LIMIT_LOSS, then the guards' GUARD_...
                  entries only, from here on
    3. size       QTY_FREEZE, LIMIT_QTY, NO_MARKET, LIMIT_NOTIONAL, LIMIT_POSITION
    4. price      LIMIT_BAND
    5. money      LIMIT_MARGIN
    6. rate       LIMIT_RATE, last, so that a refused order uses up no room in the window
An order flagged WORKED does not leave itself: its children do. It may be above the freeze quantity
and uses up no room in the window; each child passes `approve_child` instead.
"""

import os

import numpy as np

from libc.stdint cimport INT64_MIN, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dhanfast._core.types cimport OrderFlag, OrderKind, Side, Validity

from dhanfast._core.records import record_of
from dhanfast._core.types import ORDER_DTYPE, SESSION_DTYPE
from dhanfast._core.types import RejectReason as RejectReasons
from dhanfast.errors import ConfigError, OrderRefused, UsageError

cdef extern from "df_wide.h" nogil:
    int64_t df_mul_div_up(int64_t a, int64_t b, int64_t c)
    uint64_t df_fold(uint64_t a, uint64_t b)

cdef enum:
    E9 = 1_000_000_000            # rates are in 1e-9; a constant of the C compiler

cdef ns_t SECOND = 1_000_000_000
# Larger numbers are a bug of the caller; below them no sum in this file can overflow.
cdef int64_t QTY_LARGEST = 1_000_000_000_000
cdef paise_t PRICE_LARGEST = 1_000_000_000_000
cdef object _MINT = object()      # the right to make an Approved; C-level, Python cannot reach it


cdef uint64_t order_seal(uint64_t key, const Order *order) noexcept nogil:
    cdef uint64_t words[8]
    cdef uint64_t a, b, c, d, seal
    memcpy(&words[0], order, 64)
    # Four folds side by side, then a tree over them: the multiplications do not wait in a row.
    a = df_fold(words[0] ^ key, words[1] ^ <uint64_t>0x9E3779B97F4A7C15 ^ (key >> 7))
    b = df_fold(words[2] ^ ~key, words[3] ^ <uint64_t>0xD1B54A32D192ED03 ^ (key << 9))
    c = df_fold(words[4] ^ (key >> 5), words[5] ^ <uint64_t>0x8CB92BA72F3D8DD7 ^ (key << 11))
    d = df_fold(words[6] ^ (key << 5), words[7] ^ <uint64_t>0xAAAAAAAAAAAAAAAB ^ (key >> 13))
    a = df_fold(a ^ key, b ^ <uint64_t>0xE7037ED1A0B428DB ^ (key << 3))
    c = df_fold(c ^ key, d ^ <uint64_t>0x589965CC75374CC3 ^ (key >> 3))
    seal = df_fold(a ^ <uint64_t>0x1D8E4E27C47D124F ^ key, c ^ <uint64_t>0xEB44ACCAB455D165 ^ ~key)
    return seal if seal != 0 else 1      # so that a record of zeros is never approved


cdef inline int64_t _larger(int64_t a, int64_t b) noexcept nogil:
    a = a if a >= 0 else -a
    b = b if b >= 0 else -b
    return a if a > b else b


# The price that a limit is measured at: what the order may pay, or the mark for a market order.
cdef inline paise_t _price_at_risk(const Order *order, paise_t mark) noexcept nogil:
    if order.kind == OrderKind.MARKET:
        return mark
    if order.kind == OrderKind.SLM:
        return order.trigger
    return order.price


cdef bint _well_formed(const Order *order, uint32_t instruments) noexcept nogil:
    if order.id == 0 or order.qty <= 0 or order.qty > QTY_LARGEST:
        return False
    if order.side != Side.BUY and order.side != Side.SELL:
        return False
    if order.validity != Validity.DAY and order.validity != Validity.IOC:
        return False
    if instruments != 0 and order.instrument >= instruments:
        return False
    if order.price < 0 or order.price > PRICE_LARGEST:
        return False
    if order.trigger < 0 or order.trigger > PRICE_LARGEST:
        return False
    if order.kind == OrderKind.LIMIT:
        return order.price > 0 and order.trigger == 0
    if order.kind == OrderKind.MARKET:
        return order.price == 0 and order.trigger == 0
    if order.kind == OrderKind.SLM:
        return order.price == 0 and order.trigger > 0
    if order.kind != OrderKind.SL or order.price == 0 or order.trigger == 0:
        return False
    # A stop-limit whose limit is on the near side of its trigger could never fill at the trigger.
    return (order.price - order.trigger) * order.side >= 0


cdef class Approved:
    """An order that a gate has passed, with that gate's seal. Brokers accept nothing else.

    Only `Gate.check` makes one. It shows the order and keeps the seal to itself.

    Raises:
        TypeError: on any attempt to construct, copy or pickle one.
    """

    def __cinit__(self, token: object = None):
        if token is not _MINT:
            raise TypeError("Approved cannot be constructed; Gate.check(order) makes one")

    @property
    def order(self):
        """A copy of the order as it was approved.

        Shape:
            ORDER_DTYPE[1].
        """
        record = np.zeros(1, dtype=ORDER_DTYPE)
        cdef uint8_t[::1] raw = record.view(np.uint8)
        memcpy(&raw[0], &self.value.order, sizeof(Order))
        return record

    def __reduce__(self):
        raise TypeError("Approved cannot be copied or pickled: an approval is good for one order")


cdef class Gate:
    """The one place that turns an order into an approved order.

    An order flagged EXIT that reduces the position passes every limit and every state. An entry
    must pass all of them; a limit of 0 is off.

    Args:
        qty_max: units an order.
        notional_max: paise an order, at its limit (MARKET: the mark; SLM: the trigger).
        position_max: |units| after the order, whether or not the working entries fill.
        loss_day_max: paise. Day P&L at or below minus this refuses entries until `new_day`.
        band_e4: distance of the price from the mark, 1e-4 of the mark.
        orders_per_s_max: an entry at t is refused when that many approved orders, entries and
            exits, carry a stamp in (t - 1 s, t]. Refused orders do not count.
        margin_check: True: the exposure an entry adds, at the session's margin rate, must be free.
        instruments: indexes at or above this are unknown; 0 = do not check.
        guards: rules that keep entries out for a while; None = none.

    Attributes:
        day_locked: the daily loss limit has been hit today. guards: as given.

    Units:
        Prices and cash in paise, quantities in units (never lots), times in UTC ns.

    Raises:
        ConfigError: a limit is negative, not a whole number or too large.
    """

    def __cinit__(self, *, qty_max: object = 0, notional_max: object = 0,
                  position_max: object = 0, loss_day_max: object = 0, band_e4: object = 0,
                  orders_per_s_max: object = 0, margin_check: bool = False,
                  instruments: object = 0, Guards guards=None):
        self.guards = guards
        self.limits.qty_max = _limit("qty_max", qty_max, QTY_LARGEST)
        self.limits.notional_max = _limit("notional_max", notional_max, 1 << 62)
        self.limits.position_max = _limit("position_max", position_max, QTY_LARGEST)
        self.limits.loss_day_max = _limit("loss_day_max", loss_day_max, 1 << 62)
        self.limits.band_e4 = _limit("band_e4", band_e4, 1_000_000)
        self.limits.orders_per_s_max = _limit("orders_per_s_max", orders_per_s_max, 1_000_000)
        self.limits.margin_check = _limit("margin_check", margin_check, 1)
        self.instruments = _limit("instruments", instruments, 1 << 31)
        self.key = int.from_bytes(os.urandom(8), "little") | 1
        self.rate_len = <uint32_t>self.limits.orders_per_s_max
        if self.rate_len:
            self.rate_times = <ns_t *>calloc(self.rate_len, sizeof(ns_t))
            if self.rate_times == NULL:
                raise MemoryError(f"gate: no memory for {self.rate_len} stamps")
            for place in range(self.rate_len):
                self.rate_times[place] = INT64_MIN

    def __dealloc__(self):
        free(self.rate_times)

    cdef RejectReason approve(self, const Order *order, const RiskView *view,
                              const Session *session, ApprovedOrder *out) noexcept nogil:
        cdef RejectReason verdict = self._verdict(order, view, session)
        self.counts[<int>verdict] += 1
        if verdict != RejectReason.NONE:
            return verdict
        if self.rate_len and not order.flags & OrderFlag.WORKED:
            self.rate_times[self.rate_at] = view.now_ns
            self.rate_at = self.rate_at + 1 if self.rate_at + 1 < self.rate_len else 0
        out.order = order[0]
        out.seal = order_seal(self.key, order)
        return RejectReason.NONE

    cdef RejectReason _verdict(self, const Order *order, const RiskView *view,
                               const Session *session) noexcept nogil:
        cdef bint is_exit = (order.flags & OrderFlag.EXIT) != 0
        if not _well_formed(order, self.instruments) or session == NULL:
            return RejectReason.MALFORMED
        if session.tick > 1 and (order.price % session.tick or order.trigger % session.tick):
            return RejectReason.PRICE_TICK
        if is_exit:
            # Exact opposite of the position, and no larger: otherwise it would open a new one.
            if order.side * view.position >= 0 or order.qty > _larger(view.position, 0):
                return RejectReason.MALFORMED
            # An odd rest (a lot size that changed) may leave whole, however small.
            if session.lot > 1 and order.qty % session.lot \
                    and order.qty != _larger(view.position, 0):
                return RejectReason.QTY_LOT
            if self.limits.loss_day_max and view.day_pnl <= -self.limits.loss_day_max:
                self.day_locked = True
            return RejectReason.NONE
        if session.lot > 1 and order.qty % session.lot:
            return RejectReason.QTY_LOT
        return self._entry_verdict(order, view, session)

    cdef RejectReason _entry_verdict(self, const Order *order, const RiskView *view,
                                     const Session *session) noexcept nogil:
        cdef paise_t price = _price_at_risk(order, view.mark)
        cdef paise_t gap = price - view.mark if price >= view.mark else view.mark - price
        cdef int64_t after = view.position + order.side * order.qty
        # Working entries may or may not fill; the worst of both counts.
        cdef int64_t worst = _larger(after, after + view.pending)
        cdef int64_t added = worst - _larger(view.position, 0)
        cdef RejectReason waits
        if self.limits.loss_day_max and view.day_pnl <= -self.limits.loss_day_max:
            self.day_locked = True
        if self.state == RiskState.HALTED:
            return RejectReason.STATE_HALTED
        if self.state == RiskState.REDUCING:
            return RejectReason.STATE_REDUCING
        if self.day_locked:
            return RejectReason.LIMIT_LOSS
        if self.guards is not None:
            waits = self.guards.verdict(order, view.position, view.pending, view.mark,
                                        view.now_ns, session)
            if waits != RejectReason.NONE:
                return waits
        if session.freeze and order.qty > session.freeze and not order.flags & OrderFlag.WORKED:
            return RejectReason.QTY_FREEZE
        if self.limits.qty_max and order.qty > self.limits.qty_max:
            return RejectReason.LIMIT_QTY
        # Without a mark neither the value of a market order nor the band is known: refuse.
        if view.mark <= 0 and (order.kind == OrderKind.MARKET or self.limits.band_e4):
            return RejectReason.NO_MARKET
        if self.limits.notional_max and price > self.limits.notional_max // order.qty:
            return RejectReason.LIMIT_NOTIONAL
        if self.limits.position_max and worst > self.limits.position_max:
            return RejectReason.LIMIT_POSITION
        if self.limits.band_e4 and gap * 10_000 > view.mark * self.limits.band_e4:
            return RejectReason.LIMIT_BAND
        if self.limits.margin_check and added > 0 and view.margin_free < df_mul_div_up(
                df_mul_div_up(added, price, 1), session.margin_rate_e9, E9):
            return RejectReason.LIMIT_MARGIN
        # rate_at holds the oldest of the last `rate_len` approved stamps.
        if self.rate_len and not order.flags & OrderFlag.WORKED and \
                self.rate_times[self.rate_at] > view.now_ns - SECOND:
            return RejectReason.LIMIT_RATE
        return RejectReason.NONE

    cdef RejectReason approve_child(self, const ApprovedOrder *whole, int64_t used,
                                    const Order *child, paise_t mark, ns_t now_ns,
                                    const Session *session, ApprovedOrder *out) noexcept nogil:
        cdef RejectReason verdict = self._child_verdict(whole, used, child, mark, now_ns, session)
        self.counts[<int>verdict] += 1
        if verdict != RejectReason.NONE:
            return verdict
        if self.rate_len:
            self.rate_times[self.rate_at] = now_ns
            self.rate_at = self.rate_at + 1 if self.rate_at + 1 < self.rate_len else 0
        out.order = child[0]
        out.seal = order_seal(self.key, child)
        return RejectReason.NONE

    cdef RejectReason _child_verdict(self, const ApprovedOrder *whole, int64_t used,
                                     const Order *child, paise_t mark, ns_t now_ns,
                                     const Session *session) noexcept nogil:
        cdef const Order *order = &whole.order
        cdef paise_t price = _price_at_risk(child, mark)
        cdef paise_t gap = price - mark if price >= mark else mark - price
        if not _well_formed(child, self.instruments) or session == NULL \
                or whole.seal != order_seal(self.key, order) \
                or not order.flags & OrderFlag.WORKED or order.flags & OrderFlag.EXIT \
                or child.side != order.side or child.instrument != order.instrument \
                or child.id <= order.id or used < 0 or child.qty > order.qty - used:
            return RejectReason.MALFORMED
        if session.tick > 1 and (child.price % session.tick or child.trigger % session.tick):
            return RejectReason.PRICE_TICK
        if session.lot > 1 and child.qty % session.lot:
            return RejectReason.QTY_LOT
        if self.state == RiskState.HALTED:
            return RejectReason.STATE_HALTED
        if self.state == RiskState.REDUCING:
            return RejectReason.STATE_REDUCING
        if self.day_locked:
            return RejectReason.LIMIT_LOSS
        if session.freeze and child.qty > session.freeze:
            return RejectReason.QTY_FREEZE
        if mark <= 0 and (child.kind == OrderKind.MARKET or self.limits.band_e4):
            return RejectReason.NO_MARKET
        if self.limits.band_e4 and gap * 10_000 > mark * self.limits.band_e4:
            return RejectReason.LIMIT_BAND
        if self.rate_len and self.rate_times[self.rate_at] > now_ns - SECOND:
            return RejectReason.LIMIT_RATE
        return RejectReason.NONE

    cdef void new_day(self) noexcept nogil:
        self.day_locked = False

    def check(self, order: object, *, position: int = 0, pending: int = 0, mark: int = 0,
              day_pnl: int = 0, margin_free: int = 0, now_ns: int = 0, session: object = None,
              data_ns: int = 0):
        """Pass one order or say why not.

        Args:
            order: a mapping of order fields or an ORDER_DTYPE record.
            position: signed units held in the order's instrument.
            pending: signed units of working entry orders in it.
            mark: last price; 0 when there is none.
            day_pnl: of the whole account.
            margin_free: what an entry may use.
            now_ns: time of the decision.
            session: a SESSION_DTYPE record or mapping; None: any quantity on any paisa.
            data_ns: when the last market data came, for guards; 0 = now.

        Units:
            paise, units, UTC ns.

        Returns:
            Approved: what a broker takes.

        Raises:
            OrderRefused: the verdict, with the RejectReason in `reason`.
            UsageError: the order or session is not a record.
        """
        cdef uint8_t[::1] raw = record_of(order, ORDER_DTYPE, "order").view(np.uint8)
        cdef uint8_t[::1] day = record_of(session if session is not None else {},
                                          SESSION_DTYPE, "session").view(np.uint8)
        cdef RiskView view = RiskView(position, pending, mark, day_pnl, margin_free, now_ns)
        cdef Approved approved = Approved.__new__(Approved, _MINT)
        if self.guards is not None:
            self.guards.state.data_ns = data_ns or now_ns
        cdef RejectReason verdict = self.approve(
            <const Order *>&raw[0], &view, <const Session *>&day[0], &approved.value)
        if verdict != RejectReason.NONE:
            reason = RejectReasons(<int>verdict)
            refusal = OrderRefused(
                f"order {(<const Order *>&raw[0]).id} refused by the risk gate: {reason.name}")
            refusal.reason = reason
            raise refusal
        return approved

    def check_many(self, orders: object, *, position: int = 0, pending: int = 0, mark: int = 0,
                   day_pnl: int = 0, margin_free: int = 0, session: object = None):
        """Verdicts on many orders against one view of the world, in one native loop.

        Each order is judged at its own `created_ns`, on market data of then. For benches,
        tests and what-if questions: the approvals themselves are discarded.

        Args:
            orders: ORDER_DTYPE[n], C-contiguous; the rest as in `check`.

        Shape:
            uint8[n]: RejectReason of each order.

        Raises:
            UsageError: not a C-contiguous ORDER_DTYPE array.
        """
        if getattr(orders, "dtype", None) != ORDER_DTYPE or not orders.flags.c_contiguous:
            raise UsageError("orders: expected a C-contiguous array of ORDER_DTYPE")
        cdef Py_ssize_t at, count = orders.size
        verdicts = np.zeros(count, dtype=np.uint8)
        if count == 0:
            return verdicts
        cdef const uint8_t[::1] raw = orders.reshape(-1).view(np.uint8)
        cdef uint8_t[::1] out = verdicts
        cdef uint8_t[::1] day = record_of(session if session is not None else {},
                                          SESSION_DTYPE, "session").view(np.uint8)
        cdef RiskView view = RiskView(position, pending, mark, day_pnl, margin_free, 0)
        cdef ApprovedOrder approved
        cdef const Order *order = <const Order *>&raw[0]
        with nogil:
            for at in range(count):
                view.now_ns = order[at].created_ns
                if self.guards is not None:
                    self.guards.state.data_ns = view.now_ns
                out[at] = <uint8_t>self.approve(&order[at], &view, <const Session *>&day[0],
                                                &approved)
        return verdicts

    def halt(self):
        """Refuse every entry until `activate`: an operator's stop."""
        self.state = RiskState.HALTED

    def reduce_only(self):
        """Let positions shrink only, until `activate`."""
        self.state = RiskState.REDUCING

    def activate(self):
        """Accept entries again. A daily loss lock stays until the next day."""
        self.state = RiskState.ACTIVE

    def start_day(self):
        """A new exchange day: the daily loss lock opens."""
        self.new_day()

    @property
    def verdicts(self):
        """Orders judged so far by RejectReason name, those that occurred only; NONE = approved."""
        return {reason.name: self.counts[int(reason)] for reason in RejectReasons
                if self.counts[int(reason)]}


cdef object _limit(str name, object value, object largest):
    try:
        whole = value == int(value)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise ConfigError(f"risk limit {name}: {value!r} is not a whole number; 0 switches it off")
    if not 0 <= value <= largest:
        raise ConfigError(f"risk limit {name}: {value!r} is not in 0..{largest}; 0 switches it off")
    return int(value)
