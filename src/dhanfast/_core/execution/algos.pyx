"""Algos: see algos.pxd for what holds, here is the how."""

from libc.stdint cimport INT64_MAX, uint32_t
from libc.string cimport memset

from dhanfast._core.execution.chase cimport Chase, ChaseDo, chase_open, chase_step
from dhanfast._core.execution.jobs cimport (
    NOBODY, PARTS_MAX, RETRY_NS, JobKind, JobState, child_left,
)
from dhanfast._core.execution.route cimport Route
from dhanfast._core.execution.schedule cimport (
    Algo, Remainder, cap_lots, display_lots, plan_begin, plan_lots, plan_time, pov_lots,
)
from dhanfast._core.risk cimport RiskState
from dhanfast._core.types cimport (
    OrderFlag, OrderKind, RejectReason, ReportKind, Validity, paise_t,
)


cdef class Algos(Jobs):
    """The deciding half of `Worker`, which see.

    Attributes:
        paused: nothing new is sent. parents: orders worked so far. reprices: changes of a resting
        child's price. hurried: exits whose algorithm was ended because they pressed.
    """

    # ---- one parent -----------------------------------------------------------------------------

    cdef Status begin(self, const ApprovedOrder *order, ns_t now_ns) noexcept nogil:
        cdef int32_t at
        cdef Job *job
        cdef ns_t end_ns
        cdef paise_t arrival
        cdef int64_t lot
        if not self.sealed(order):
            return Status.NOT_APPROVED
        at = self.new_job(order, JobKind.ALGO)
        if at == NOBODY:
            return Status.POOL_FULL
        job = &self.jobs[at]
        lot = max(self.day.lot, <int64_t>1)
        if self.mark > 0:
            self.view.last = self.mark           # on bars nothing was seen while nothing worked
        arrival = self.market()
        self.last_id = order.order.id
        self.parents += 1
        job.state = JobState.WORKING
        job.volume = self.volume if self.volume_known else -1
        if self.view.bid > 0 and self.view.ask > 0:
            arrival = (self.view.bid + self.view.ask) // 2
        if self.work.limit_e4 and arrival > 0:
            job.worst = arrival + order.order.side * (arrival * self.work.limit_e4 // 10_000)
            job.worst -= job.worst % self.view.tick
        end_ns = now_ns + self.work.horizon_ns
        if self.day.open2_ns and now_ns >= self.day.open2_ns:
            end_ns = min(end_ns, self.day.close2_ns)
        else:
            end_ns = min(end_ns, self.day.close_ns)
        if self.day.square_off_ns:
            end_ns = min(end_ns, self.day.square_off_ns)
        if not order.order.flags & OrderFlag.EXIT and self.day.entry_until_ns:
            end_ns = min(end_ns, self.day.entry_until_ns)
        self.say(job, ReportKind.ACCEPTED, NULL, 0)
        if not plan_begin(&job.plan, &self.work, &self.profile,
                          (order.order.qty + lot - 1) // lot, order.order.id, now_ns, end_ns):
            self.finish(at, ReportKind.REJECTED, RejectReason.NO_PROFILE)
        elif (self.held() + order.order.qty - 1) // PARTS_MAX >= self.freeze \
                and not order.order.flags & OrderFlag.EXIT:
            self.finish(at, ReportKind.REJECTED, RejectReason.QTY_FREEZE)
        else:
            self.step(at)
        return Status.OK

    cdef void changed(self, int32_t at) noexcept nogil:
        if self.in_bar:
            self.jobs[at].next_ns = self.bar_end_ns
        else:
            self.step(at)

    cdef void step(self, int32_t at) noexcept nogil:
        """Do what the state of a parent asks for now, and find when it asks next."""
        cdef Job *job = &self.jobs[at]
        cdef bint waits = False
        if job.retry_ns <= self.now_ns:
            job.retry_ns = INT64_MAX
        if job.state == JobState.WORKING and self.now_ns >= job.plan.end_ns:
            self.deadline(at)
        if job.state == JobState.WORKING:
            if self.paused and not job.whole.order.flags & OrderFlag.EXIT:
                self.take_back(at)
            elif not self.paused:
                self.slices(at)
        if job.state == JobState.SWEEPING:
            self.sweep(at)
        elif job.state == JobState.URGENT and job.left > 0 and self.held() > 0:
            if job.retry_ns == INT64_MAX:
                self.press(at)                   # an entry that filled on, or a child that ended
            waits = job.state == JobState.URGENT and job.retry_ns != INT64_MAX
        if job.state == JobState.ENDING:
            self.take_back(at)
        elif not self.paused and job.state == JobState.WORKING:
            self.reprice(at)
        if job.state >= JobState.RESTING and not waits and self.live_children(at) == 0:
            self.finish(at, ReportKind.REJECTED if job.refusal and job.filled == 0
                        else ReportKind.CANCELLED, job.refusal)
            return
        self.plan_next(at)

    cdef void slices(self, int32_t at) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        cdef int64_t out = self.out(at)
        cdef int64_t want = self.due_units(job, out)
        if want <= 0 or job.retry_ns != INT64_MAX:
            return
        if self.gate.state == RiskState.REDUCING and not job.whole.order.flags & OrderFlag.EXIT:
            job.retry_ns = self.now_ns + HELD_NS   # as behind a restart: it goes on with entries
        else:
            self.send_due(at, want, out)

    cdef int64_t due_units(self, Job *job, int64_t out) noexcept nogil:
        """What should be at the exchange now and is not."""
        cdef int64_t lot = max(self.day.lot, <int64_t>1)
        cdef int64_t volume = max(self.volume - job.volume, <int64_t>0) if job.volume >= 0 else 0
        cdef int64_t done = job.whole.order.qty - job.left
        cdef int64_t lots
        cdef uint32_t before = job.plan.at
        if self.work.algo == Algo.SLICE:
            return job.left - out
        if self.work.algo == Algo.ICEBERG:
            return 0 if out else min(
                job.left, display_lots(&job.plan, &self.work, job.ordinal) * lot)
        while job.plan.at < job.plan.slices \
                and plan_time(&job.plan, &self.work, job.plan.at) <= self.now_ns:
            job.plan.at += 1
        if job.plan.at != before:
            if self.work.algo == Algo.POV:
                lots = pov_lots(&job.plan, &self.work, lot, volume, self.now_ns)
            else:
                lots = min(plan_lots(&job.plan, &self.work, &self.profile, job.plan.at),
                           cap_lots(&job.plan, &self.work, lot, volume))
            job.due = min(lots * lot, job.whole.order.qty)
        return min(job.due - done, job.left) - out

    cdef void send_due(self, int32_t at, int64_t want, int64_t out) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        cdef int64_t lot = max(self.day.lot, <int64_t>1)
        cdef int64_t most = self.freeze
        cdef int64_t qty, rest
        cdef int32_t part = 0
        cdef int32_t many = self.live_children(at)
        if self.work.child_lots:
            most = min(most, self.work.child_lots * lot)
        while want > 0 and many < OUT_MAX:
            rest = job.left - out
            qty = min(min(want, rest), most)
            if job.whole.order.flags & OrderFlag.EXIT:
                part = self.free_part(at)
                if part == NOBODY:
                    return
                qty = min(qty, self.parts[part].held)
            if qty % lot and (not job.whole.order.flags & OrderFlag.EXIT or qty != self.held()):
                qty -= qty % lot                 # an odd rest leaves with the last of a position
                if rest < lot and not job.whole.order.flags & OrderFlag.EXIT:
                    job.state = JobState.ENDING
            if qty < rest and qty < self.work.least_lots * lot:
                return
            if qty <= 0 or not self.child_sent(at, qty, part):
                return
            want -= qty
            out += qty
            many += 1

    cdef int32_t free_part(self, int32_t at) noexcept nogil:
        """A part of the position that no child of this exit is closing."""
        cdef int32_t part, i
        for part in range(self.part_count):
            if self.parts[part].held == 0:
                continue
            for i in range(self.child_top):
                if self.children[i].live and self.children[i].job == at \
                        and self.children[i].part == part:
                    break
            else:
                return part
        return NOBODY

    cdef bint is_pressed(self, int32_t at, int32_t part) noexcept nogil:
        """A child is there that takes all of a part at once."""
        cdef int32_t i
        for i in range(self.child_top):
            if self.children[i].live and self.children[i].job == at \
                    and self.children[i].part == part and self.children[i].presses:
                return True
        return False

    cdef bint child_sent(self, int32_t at, int64_t qty, int32_t part) noexcept nogil:
        """Send one child now, priced by the market; False when none left."""
        cdef Job *job = &self.jobs[at]
        cdef Order order
        cdef RejectReason verdict
        cdef Chase chase
        cdef int32_t child
        memset(&order, 0, sizeof(Order))
        order.qty, order.flags = qty, job.whole.order.flags & ~OrderFlag.WORKED
        if order.flags & OrderFlag.EXIT:
            order.group = self.parts[part].group
        self.price_child(job, &order, &chase)
        verdict = self.send(at, &order, part, False)
        if verdict == RejectReason.NONE:
            child = self.find_child(order.id)
            if child != NOBODY:
                self.children[child].rests = (order.kind == OrderKind.LIMIT
                                              and order.validity == Validity.DAY)
                self.children[child].chase = chase
                self.children[child].presses = job.state == JobState.URGENT
            if job.ordinal == 1:
                job.left_as.route = chase.why
            if order.validity == Validity.IOC and job.state == JobState.WORKING:
                job.retry_ns = self.now_ns + self.route.interval_ns
            return True
        if verdict == RejectReason.LIMIT_RATE:
            job.retry_ns = self.now_ns + RETRY_NS
        else:
            job.state, job.refusal = JobState.ENDING, verdict
        return False

    cdef bint beyond(self, const Job *job, paise_t price) noexcept nogil:
        return job.worst > 0 and (price - job.worst) * job.whole.order.side > 0

    cdef void price_child(self, const Job *job, Order *order, Chase *chase) noexcept nogil:
        """Kind, price and validity of a new child. Without a quote, and when pressing, it is a
        MARKET order, which what executes it protects. A limit of the router's is flagged CROSSES:
        what it takes costs the same slippage as a market order."""
        cdef Route route
        cdef bint leaves = (job.whole.order.flags & OrderFlag.EXIT) != 0
        cdef bint quoted = self.view.bid > 0 or self.view.ask > 0
        memset(chase, 0, sizeof(Chase))
        order.kind, order.price, order.validity = OrderKind.MARKET, 0, Validity.DAY
        if job.state == JobState.URGENT:
            return
        if quoted and job.state != JobState.SWEEPING:
            route = chase_open(chase, &self.route, &self.view, job.whole.order.side, order.qty,
                               self.work.urgency, leaves, self.now_ns)
            if route.price > 0:
                order.kind, order.price, order.validity = route.kind, route.price, route.validity
                order.flags |= OrderFlag.CROSSES
        if job.worst > 0 and (order.kind == OrderKind.MARKET or self.beyond(job, order.price)):
            order.kind, order.price = OrderKind.LIMIT, job.worst
            order.flags |= OrderFlag.CROSSES
            if job.state == JobState.SWEEPING:
                order.validity = Validity.IOC    # what is not there at this price is let go

    # ---- its end --------------------------------------------------------------------------------

    cdef void deadline(self, int32_t at) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        cdef int64_t least = self.work.least_lots * max(self.day.lot, <int64_t>1)
        if job.whole.order.flags & OrderFlag.EXIT:
            self.press(at)
        elif self.paused or self.work.remainder == Remainder.CANCEL or job.left < least:
            job.state = JobState.ENDING
        elif self.work.remainder == Remainder.KEEP:
            job.state = JobState.RESTING
        else:
            job.state = JobState.SWEEPING

    cdef void sweep(self, int32_t at) noexcept nogil:
        """Take back what rests, then take what the market offers for all that is left."""
        cdef Job *job = &self.jobs[at]
        if self.live_children(at):
            self.take_back(at)
        elif job.retry_ns == INT64_MAX:
            self.send_due(at, job.left, 0)
            if job.state == JobState.SWEEPING and self.live_children(at) \
                    and self.out(at) == job.left:
                job.state = JobState.RESTING
            elif job.state == JobState.SWEEPING and job.retry_ns == INT64_MAX:
                job.state = JobState.RESTING     # more than fits at once: the rest is let go

    cdef void take_back(self, int32_t at) noexcept nogil:
        """Cancel the children; without room it is asked again."""
        cdef Job *job = &self.jobs[at]
        cdef int32_t i
        for i in range(self.child_top):
            if not self.children[i].live or self.children[i].job != at \
                    or self.children[i].cancelling:
                continue
            self.children[i].cancelling = \
                self.inner.cancel(self.children[i].id, self.now_ns) == Status.OK
            if not self.children[i].cancelling:
                job.retry_ns = min(job.retry_ns, self.now_ns + RETRY_NS)

    cdef void press(self, int32_t at) noexcept nogil:
        """All that is left of an exit leaves at once, one market order a part of the position.
        What still rests of it is taken back, and shrinks meanwhile as these fill: they are of one
        group. Should one of these end, no other is there that waits."""
        cdef Job *job = &self.jobs[at]
        cdef int64_t rest = job.left
        cdef int64_t qty
        cdef int32_t part
        if job.state != JobState.URGENT:
            self.hurried += 1
        job.state, job.refusal = JobState.URGENT, 0
        for part in range(self.part_count):
            qty = min(rest, self.parts[part].held)
            if self.is_pressed(at, part) or (qty > 0 and self.child_sent(at, qty, part)):
                rest -= qty
            if job.state != JobState.URGENT:
                break
        self.take_back_waiting(at)
        self.plan_next(at)

    cdef void take_back_waiting(self, int32_t at) noexcept nogil:
        """Cancel children beside which another takes all of their part."""
        cdef Child *child
        cdef int32_t i
        for i in range(self.child_top):
            child = &self.children[i]
            if child.live and child.job == at and not child.presses and not child.cancelling \
                    and self.is_pressed(at, child.part):
                child.cancelling = self.inner.cancel(child.id, self.now_ns) == Status.OK

    # ---- resting children -----------------------------------------------------------------------

    cdef void reprice(self, int32_t at) noexcept nogil:
        """What the router says to the price of children that rest. That it would give one up is
        not heard: the parent's deadline decides."""
        cdef Job *job = &self.jobs[at]
        cdef Child *child
        cdef Route route
        cdef int32_t i
        cdef paise_t price
        if self.work.reprice_ns == 0:
            return
        for i in range(self.child_top):
            child = &self.children[i]
            if not child.live or child.job != at or not child.rests or child.unanswered \
                    or child.cancelling or child.reprices >= REPRICES_MAX \
                    or child.chase.price == 0 \
                    or child.priced_ns + self.work.reprice_ns > self.now_ns:
                continue
            child.priced_ns = self.now_ns
            if chase_step(&child.chase, &self.route, &self.view, child_left(child), self.now_ns,
                          &route) != ChaseDo.CHANGE:
                continue
            price = job.worst if self.beyond(job, route.price) else route.price
            if price == child.price or price <= 0:
                continue
            if self.inner.modify(child.id, price, 0, child.asked, self.now_ns) == Status.OK:
                child.price = price
                child.unanswered += 1
                child.reprices += 1
                self.reprices += 1

    cdef void plan_next(self, int32_t at) noexcept nogil:
        """When `step` has something to do again, if nothing is heard before."""
        cdef Job *job = &self.jobs[at]
        cdef ns_t next_ns = job.retry_ns
        cdef int32_t i
        if job.kind != JobKind.ALGO:
            return
        if job.state == JobState.WORKING:
            next_ns = min(next_ns, job.plan.end_ns)
            if not self.paused and self.work.algo != Algo.SLICE \
                    and self.work.algo != Algo.ICEBERG and job.plan.at < job.plan.slices:
                next_ns = min(next_ns, plan_time(&job.plan, &self.work, job.plan.at))
        if self.work.reprice_ns and not self.paused and job.state == JobState.WORKING:
            for i in range(self.child_top):
                if self.children[i].live and self.children[i].job == at \
                        and self.children[i].rests and not self.children[i].cancelling \
                        and self.children[i].reprices < REPRICES_MAX:
                    next_ns = min(next_ns, max(
                        self.children[i].priced_ns + self.work.reprice_ns,
                        self.now_ns + RETRY_NS if self.children[i].unanswered else <ns_t>0))
        job.next_ns = next_ns if next_ns > self.now_ns else self.now_ns + 1_000_000
