"""LegOrder: see legorder.pxd."""

from libc.stdint cimport INT64_MAX

from dhanfast._core.broker cimport Hold
from dhanfast._core.legs cimport Leg, Part, Phase
from dhanfast._core.types cimport OrderFlag, Reason

import numpy as np

NOTE_DTYPE = np.dtype([
    ("time_ns", "<i8"), ("strike", "<i8"), ("leg", "<u4"), ("told", "u1"), ("why", "u1"),
    ("spare", "u1", 2),
])
if NOTE_DTYPE.itemsize != sizeof(Note):
    raise ImportError(f"Note: the C struct has {sizeof(Note)} bytes, the dtype "
                      f"{NOTE_DTYPE.itemsize}")


# Out of its contract, now: what it holds is sold or bought back, what is on its way is cancelled.
cdef inline void _leave(Leg leg, int reason, ns_t now_ns) noexcept nogil:
    leg.phase, leg.part = Phase.DONE, Part.APART
    if leg.position != 0 or leg.entering != 0:
        leg.leave(reason, OrderFlag.SQUARE_OFF if reason == Reason.TIME_EXIT else 0, now_ns)
        leg.settle()


# A bought leg that has to stay until the sold ones are gone: it takes no more, and goes in no more.
cdef inline void _stay(Leg leg, ns_t now_ns) noexcept nogil:
    leg.phase, leg.part = Phase.DONE, Part.TO_LEAVE
    if leg.entering != 0:
        leg.cancel_entry(now_ns)
        leg.settle()


# Whether it ended without being whole, and nothing of it is on its way.
cdef inline bint _is_short(Leg leg) noexcept nogil:
    return leg.part == Part.SENT and leg.entering == 0


cdef class LegOrder:
    """The legs of one structure, entered and left as one order; see `LegRun`.

    Attributes:
        stage: Stage. paused: an operator keeps legs from being sent. unwound: orders that were
            taken back. repaired: legs that were asked again. notes_lost: notes beyond the buffer.
        uncovered_max: most units of calls, or of puts, that were sold and had no bought ones beside
            them.
    """

    # ---- in -----------------------------------------------------------------------------------

    cdef void begin_order(self, ns_t now_ns) noexcept nogil:
        self.stage, self.order_ns = Stage.HEDGES, now_ns
        if not self.paused and not self.shut:
            self.send_side(1, now_ns)
        self.step(now_ns)

    cdef void send_side(self, int side, ns_t now_ns) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).part == Part.TO_SEND and (<Leg>self.at[i]).rules.side == side:
                (<Leg>self.at[i]).part, (<Leg>self.at[i]).repair_ns = Part.SENT, 0
                (<Leg>self.at[i]).ask(now_ns)

    cdef void step(self, ns_t now_ns) noexcept nogil:
        self.see_cover()
        if self.stage == Stage.LEAVE:
            self.exit_step(now_ns)
        elif self.stage != Stage.REST:
            self.entry_step(now_ns)

    cdef void entry_step(self, ns_t now_ns) noexcept nogil:
        cdef size_t i
        cdef size_t hedges = 0               # bought legs that are not whole
        cdef size_t open_ones = 0            # of all
        cdef bint covers = self.has_sales()
        for i in range(self.count):
            if covers and (<Leg>self.at[i]).part == Part.ALL_IN \
                    and (<Leg>self.at[i]).rules.side > 0 and (<Leg>self.at[i]).position == 0:
                self.unwind(Unwind.PARTLY, i, now_ns)     # its own stop was quicker
                return
            if _is_short(<Leg>self.at[i]) and not self.mend_leg(i, now_ns):
                return
        if self.paused or self.shut:
            self.late(now_ns)
            return
        self.send_side(1, now_ns)            # what a pause had held
        for i in range(self.count):
            if (<Leg>self.at[i]).part == Part.TO_SEND or (<Leg>self.at[i]).part == Part.SENT:
                open_ones += 1
                hedges += (<Leg>self.at[i]).rules.side > 0
        if self.stage == Stage.HEDGES and hedges == 0 and open_ones:
            self.stage = Stage.SALES
            self.send_side(-1, now_ns)
            for i in range(self.count):      # the gate may have refused one: that is known now
                if _is_short(<Leg>self.at[i]) and not self.mend_leg(i, now_ns):
                    return
        elif open_ones == 0:
            self.stage = Stage.REST
            return
        self.late(now_ns)

    cdef bint has_sales(self) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).part != Part.APART and (<Leg>self.at[i]).rules.side < 0:
                return True
        return False

    cdef void late(self, ns_t now_ns) noexcept nogil:
        if self.order_rules.deadline_ns \
                and now_ns - self.order_ns >= self.order_rules.deadline_ns:
            self.unwind(Unwind.DEADLINE, NOBODY, now_ns)

    cdef bint mend_leg(self, size_t i, ns_t now_ns) noexcept nogil:
        """A leg that is short: asked again, or all are taken back (False)."""
        if (<Leg>self.at[i]).position != 0 or (<Leg>self.at[i]).closed \
                or (<Leg>self.at[i]).phase != Phase.ASKED:
            self.unwind(Unwind.PARTLY, i, now_ns)
            return False
        if (<Leg>self.at[i]).repairs_left <= 0:
            self.unwind(Unwind.REFUSED, i, now_ns)
            return False
        if (<Leg>self.at[i]).repair_ns == 0:
            (<Leg>self.at[i]).repair_ns = now_ns + REPAIR_PAUSE_NS
        elif now_ns >= (<Leg>self.at[i]).repair_ns and not self.paused and not self.shut:
            (<Leg>self.at[i]).repairs_left = (<Leg>self.at[i]).repairs_left - 1
            (<Leg>self.at[i]).repair_ns = 0
            self.repaired += 1
            self.note(now_ns, Told.REPAIRED, 0, i, (<Leg>self.at[i]).strike)
            (<Leg>self.at[i]).ask(now_ns)
            if (<Leg>self.at[i]).entering == 0 and (<Leg>self.at[i]).part == Part.SENT:
                (<Leg>self.at[i]).repair_ns = now_ns + REPAIR_PAUSE_NS
        return True

    cdef ns_t order_due(self) noexcept nogil:
        cdef ns_t due_ns = INT64_MAX
        cdef size_t i
        if self.stage != Stage.HEDGES and self.stage != Stage.SALES:
            return due_ns
        if self.order_rules.deadline_ns:
            due_ns = self.order_ns + self.order_rules.deadline_ns
        for i in range(self.count):
            if (<Leg>self.at[i]).part == Part.SENT and (<Leg>self.at[i]).repair_ns \
                    and not self.paused and not self.shut:
                due_ns = min(due_ns, (<Leg>self.at[i]).repair_ns)
        return due_ns

    # ---- out ----------------------------------------------------------------------------------

    cdef void unwind(self, int why, size_t leg, ns_t now_ns) noexcept nogil:
        self.unwound += 1
        self.note(now_ns, Told.UNWOUND, why, leg,
                  0 if leg == NOBODY else (<Leg>self.at[leg]).strike)
        self.leave_all(Reason.RISK_EXIT, now_ns)

    cdef void leave_all(self, int reason, ns_t now_ns) noexcept nogil:
        cdef size_t i
        self.running = 0
        for i in range(self.count):
            if (<Leg>self.at[i]).rules.side > 0:
                _stay(<Leg>self.at[i], now_ns)
            else:
                _leave(<Leg>self.at[i], reason, now_ns)
        self.stage, self.out_reason = Stage.LEAVE, reason
        self.exit_step(now_ns)

    cdef void exit_step(self, ns_t now_ns) noexcept nogil:
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).rules.side < 0 and (<Leg>self.at[i]).open_at_all():
                return
        self.stage = Stage.REST
        for i in range(self.count):
            if (<Leg>self.at[i]).part == Part.TO_LEAVE:
                _leave(<Leg>self.at[i], self.out_reason, now_ns)

    # ---- beside it ----------------------------------------------------------------------------

    cdef void hold_order(self, int what, ns_t now_ns) noexcept nogil:
        if what == Hold.CANCEL:
            if self.stage == Stage.HEDGES or self.stage == Stage.SALES:
                self.unwind(Unwind.CANCELLED, NOBODY, now_ns)
            return
        self.paused = what == Hold.PAUSE
        self.step(now_ns)

    cdef void see_cover(self) noexcept nogil:
        """Units sold and not bought, of calls and of puts, whatever their strikes."""
        cdef int64_t calls = 0, puts = 0
        cdef size_t i
        for i in range(self.count):
            if (<Leg>self.at[i]).rules.right > 0:
                calls += (<Leg>self.at[i]).position
            else:
                puts += (<Leg>self.at[i]).position
        self.uncovered_max = max(self.uncovered_max, -calls, -puts)

    cdef void note(self, ns_t now_ns, int told, int why, size_t leg,
                   paise_t strike) noexcept nogil:
        cdef Note *place
        if self.notes_count == NOTES_MAX:
            self.notes_lost += 1
            return
        place = &self.notes[self.notes_count]
        place.time_ns, place.strike, place.leg = now_ns, strike, <uint32_t>leg
        place.told, place.why = <uint8_t>told, <uint8_t>why
        self.notes_count += 1

    def take_notes(self):
        """What was written down since the last call.

        Shape:
            NOTE_DTYPE[n].
        """
        rows = np.zeros(self.notes_count, NOTE_DTYPE)
        cdef unsigned char[::1] raw
        cdef size_t i
        if self.notes_count:
            raw = rows.view(np.uint8)
            for i in range(self.notes_count):
                (<Note *>&raw[0])[i] = self.notes[i]
        self.notes_count = 0
        return rows
