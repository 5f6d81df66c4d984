"""Jobs: see jobs.pxd for what holds, here is the how."""

from libc.stdint cimport INT64_MAX
from libc.string cimport memset

from dhanfast._core.risk cimport RiskView, order_seal
from dhanfast._core.types cimport OrderFlag, RejectReason, ReportKind


cdef extern from "df_native.h" nogil:
    void DF_ASSERT(bint condition)

cdef Job _NO_JOB
cdef Child _NO_CHILD
memset(&_NO_JOB, 0, sizeof(Job))
memset(&_NO_CHILD, 0, sizeof(Child))


cdef class Jobs(Broker):
    """The bookkeeping half of `Worker`, which see.

    Attributes:
        inner: what executes the children.
        children_sent: orders sent that the kernel did not send itself.
        children_refused: of them refused by the gate, the exchange or the broker.
    """

    # ---- places ---------------------------------------------------------------------------------

    cdef void count(self) noexcept nogil:
        """What the kernel reads of a broker without a call."""
        self.live = self.inner.live + <uint32_t>self.algos
        self.pending_reports = self.report_head - self.report_tail
        if self.algos:
            self.band.low = INT64_MAX            # no bar is quiet
        elif self.inner.quiet != NULL:
            self.band = self.inner.quiet[0]

    cdef int64_t held(self) noexcept nogil:
        cdef int64_t units = 0
        cdef int32_t at
        for at in range(self.part_count):
            units += self.parts[at].held
        return units

    cdef paise_t market(self) noexcept nogil:
        """The price there is: the last trade, else the quote's middle or its one side."""
        if self.view.last > 0:
            return self.view.last
        if self.view.bid > 0 and self.view.ask > 0:
            return (self.view.bid + self.view.ask) // 2
        return max(self.view.bid, self.view.ask)

    cdef uint64_t new_id(self) noexcept nogil:
        self.last_id += 1
        return self.last_id

    cdef int32_t find_job(self, uint64_t order_id) noexcept nogil:
        cdef int32_t at
        for at in range(self.job_top):
            if self.jobs[at].kind != JobKind.FREE and self.jobs[at].whole.order.id == order_id:
                return at
        return NOBODY

    cdef int32_t find_child(self, uint64_t order_id) noexcept nogil:
        cdef int32_t at
        for at in range(self.child_top):
            if self.children[at].live and self.children[at].id == order_id:
                return at
        return NOBODY

    cdef int32_t new_job(self, const ApprovedOrder *order, int kind) noexcept nogil:
        cdef int32_t at
        cdef Job *job
        for at in range(JOBS_MAX):
            if self.jobs[at].kind == JobKind.FREE:
                break
        else:
            return NOBODY
        self.job_top = max(self.job_top, at + 1)
        job = &self.jobs[at]
        job[0] = _NO_JOB
        job.whole, job.left, job.kind = order[0], order.order.qty, kind
        job.next_ns = job.retry_ns = INT64_MAX
        self.algos += kind == JobKind.ALGO
        return at

    cdef int32_t new_child(self, int32_t job, uint64_t order_id, int64_t qty,
                           int32_t part) noexcept nogil:
        cdef int32_t at
        cdef Child *child
        for at in range(CHILDREN_MAX):
            if not self.children[at].live:
                break
        else:
            return NOBODY
        self.child_top = max(self.child_top, at + 1)
        child = &self.children[at]
        child[0] = _NO_CHILD
        child.id, child.asked, child.job, child.part = order_id, qty, job, part
        child.live = child.unanswered = 1
        child.priced_ns = self.now_ns
        return at

    cdef int32_t live_children(self, int32_t job) noexcept nogil:
        cdef int32_t at, found = 0
        for at in range(self.child_top):
            if self.children[at].live and self.children[at].job == job:
                found += 1
        return found

    cdef int64_t out(self, int32_t job) noexcept nogil:
        """Units of a job that its children at the exchange may still fill."""
        cdef int32_t at
        cdef int64_t units = 0
        for at in range(self.child_top):
            if self.children[at].live and self.children[at].job == job:
                units += child_left(&self.children[at])
        return units

    # ---- reports to the kernel ------------------------------------------------------------------

    cdef void say(self, const Job *job, int kind, const Report *cause, int reason) noexcept nogil:
        """A report on a job; `cause` is what its child said, NULL when it is the job's own."""
        cdef Report *report = &self.reports[self.report_head & (REPORTS_MAX - 1)]
        cdef uint64_t child = 0
        DF_ASSERT(self.report_head - self.report_tail < REPORTS_MAX)
        memset(report, 0, sizeof(Report))
        report.order_id, report.time_ns = job.whole.order.id, self.now_ns
        if cause != NULL:
            report.time_ns = cause.time_ns
        if kind == ReportKind.FILLED:
            report.price, report.qty = cause.price, cause.qty
            child = cause.order_id - job.whole.order.id
            DF_ASSERT(child < 1 << 24)
            report.spare[0], report.spare[1] = child & 255, child >> 8 & 255
            report.spare[2] = child >> 16 & 255
        report.left = job.left
        report.instrument, report.strategy = job.whole.order.instrument, job.whole.order.strategy
        report.side, report.kind, report.reason = job.whole.order.side, kind, reason
        report.flags, report.why = job.whole.order.flags, job.whole.order.reason
        self.report_head += 1

    cdef void finish(self, int32_t at, int kind, int reason) noexcept nogil:
        """End a job with its one last report; after the last fill there is no other."""
        cdef Job *job = &self.jobs[at]
        cdef int32_t i
        if kind != ReportKind.FILLED:
            job.left = 0
            self.say(job, kind, NULL, reason)
        self.algos -= job.kind == JobKind.ALGO
        job.kind = JobKind.FREE
        for i in range(self.child_top):
            if self.children[i].job == at:
                self.children[i].job = NOBODY

    # ---- what the kernel asks for ---------------------------------------------------------------

    cdef bint sealed(self, const ApprovedOrder *order) noexcept nogil:
        return (order.seal == order_seal(self.gate.key, &order.order)
                and order.order.id > self.last_id and order.order.instrument == 0
                and self.day != NULL)

    cdef RejectReason send(self, int32_t job, Order *order, int32_t part,
                           bint attached) noexcept nogil:
        cdef ApprovedOrder approved
        cdef RiskView view
        cdef RejectReason verdict
        cdef Job *of = &self.jobs[job]
        cdef int32_t child = self.new_child(job, self.last_id + 1, order.qty, part)
        cdef Status taken
        if child == NOBODY:
            return RejectReason.LIMIT_RATE
        order.id = self.new_id()
        order.instrument, order.strategy = 0, of.whole.order.strategy
        order.side, order.reason = of.whole.order.side, of.whole.order.reason
        order.created_ns = self.now_ns
        if of.whole.order.flags & OrderFlag.EXIT:
            memset(&view, 0, sizeof(RiskView))
            view.position, view.mark = self.held_side * self.held(), self.market()
            view.now_ns = self.now_ns
            verdict = self.gate.approve(order, &view, self.day, &approved)
        else:
            verdict = self.gate.approve_child(
                &of.whole, of.whole.order.qty - of.left + self.out(job) - order.qty, order,
                self.market(), self.now_ns, self.day, &approved)
        if verdict == RejectReason.NONE:
            if attached:
                taken = self.inner.attach(&approved, self.now_ns)
            else:
                taken = self.inner.submit(&approved, self.now_ns)
            if taken == Status.OK:
                self.children_sent += 1
                of.ordinal += 1
                self.children[child].price = order.price
                if of.left_as.at_ns == 0:
                    of.left_as.at_ns, of.left_as.price = self.now_ns, order.price
                    of.left_as.bid, of.left_as.ask = self.view.bid, self.view.ask
                return RejectReason.NONE
            verdict = RejectReason.LIMIT_RATE if taken == Status.POOL_FULL \
                else RejectReason.MALFORMED
        self.children_refused += 1
        self.children[child].live = 0
        return verdict

    cdef Status whole(self, const ApprovedOrder *order, ns_t now_ns, bint attached) noexcept nogil:
        """As it is: no other id, no other words."""
        cdef int32_t job = self.new_job(order, JobKind.WHOLE)
        cdef int32_t child
        cdef Status taken
        if job == NOBODY:
            return Status.POOL_FULL
        child = self.new_child(job, order.order.id, order.order.qty, 0)
        if child == NOBODY:
            self.jobs[job].kind = JobKind.FREE
            return Status.POOL_FULL
        self.jobs[job].owed = 1
        if attached:
            taken = self.inner.attach(order, now_ns)
        else:
            taken = self.inner.submit(order, now_ns)
        if taken != Status.OK:
            self.children[child].live = 0
            self.jobs[job].kind = JobKind.FREE
            return taken
        self.last_id = order.order.id
        return Status.OK

    cdef Status pieces(self, const ApprovedOrder *order, ns_t now_ns, bint attached) noexcept nogil:
        cdef int32_t job
        if not self.sealed(order):
            return Status.NOT_APPROVED
        job = self.new_job(order, JobKind.PIECES)
        if job == NOBODY:
            return Status.POOL_FULL
        self.last_id = order.order.id
        self.jobs[job].owed = 1
        return self.spread(job, order.order.price, order.order.trigger, attached)

    cdef Status spread(self, int32_t at, paise_t price, paise_t trigger,
                       bint attached) noexcept nogil:
        """One child a part, each of as many units as the part holds."""
        cdef Job *job = &self.jobs[at]
        cdef Order order
        cdef Child *child
        cdef int32_t part, i
        cdef int64_t whole
        cdef bint asked = False
        cdef Status taken
        for part in range(self.part_count):
            if self.parts[part].held == 0:
                continue
            child = NULL
            for i in range(self.child_top):
                if self.children[i].live and self.children[i].job == at \
                        and self.children[i].part == part:
                    child = &self.children[i]
            if child == NULL:
                order = job.whole.order
                order.price, order.trigger = price, trigger
                order.qty, order.group = self.parts[part].held, self.parts[part].group
                if self.send(at, &order, part, attached) != RejectReason.NONE:
                    return Status.POOL_FULL
                asked = True
                continue
            whole = self.parts[part].held + child.gone
            if whole == child.asked and price == job.whole.order.price \
                    and trigger == job.whole.order.trigger:
                continue
            taken = self.inner.resize(child.id, price, trigger, whole, self.now_ns)
            if taken != Status.OK:
                return taken
            child.asked = whole
            child.unanswered += 1
            asked = True
        job.whole.order.price, job.whole.order.trigger = price, trigger
        job.left = self.out(at)
        if not asked:
            self.settle_pieces(at, NULL)
        return Status.OK

    cdef Status attach(self, const ApprovedOrder *order, ns_t at_ns) noexcept nogil:
        cdef Status taken
        self.now_ns = at_ns
        if self.part_count > 1:
            taken = self.pieces(order, at_ns, True)
        else:
            taken = self.whole(order, at_ns, True)
        self.hear()
        return taken

    cdef Status resize(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t at_ns) noexcept nogil:
        cdef int32_t at = self.find_job(order_id)
        cdef int32_t child
        cdef Status taken
        if at == NOBODY or self.jobs[at].kind == JobKind.ALGO:
            return Status.UNKNOWN_ORDER
        self.now_ns = at_ns
        if self.jobs[at].kind == JobKind.WHOLE and self.part_count <= 1:
            taken = self.inner.resize(order_id, price, trigger, qty, at_ns)
            child = self.find_child(order_id)
            if taken == Status.OK and child != NOBODY:
                self.children[child].asked = qty
                self.children[child].unanswered += 1
                self.jobs[at].owed += 1
                self.jobs[at].whole.order.price = price
                self.jobs[at].whole.order.trigger = trigger
        else:
            self.jobs[at].kind = JobKind.PIECES
            self.jobs[at].owed += 1
            taken = self.spread(at, price, trigger, True)
        self.hear()
        return taken

    cdef Status modify(self, uint64_t order_id, paise_t price, paise_t trigger, int64_t qty,
                       ns_t now_ns) noexcept nogil:
        cdef int32_t at = self.find_job(order_id)
        cdef int32_t child = self.find_child(order_id)
        cdef Status taken
        if at == NOBODY or child == NOBODY or self.jobs[at].kind != JobKind.WHOLE:
            return Status.UNKNOWN_ORDER
        self.now_ns = now_ns
        taken = self.inner.modify(order_id, price, trigger, qty, now_ns)
        if taken == Status.OK:
            if qty:                          # 0: as it is
                self.children[child].asked = qty
            self.jobs[at].whole.order.price, self.jobs[at].whole.order.trigger = price, trigger
            self.children[child].unanswered += 1
            self.jobs[at].owed += 1
        self.hear()
        return taken

    cdef bint departure(self, uint64_t order_id, Departure *out) noexcept nogil:
        """Also of a job that has ended, as long as its place is not another's."""
        cdef int32_t at
        for at in range(self.job_top):
            if self.jobs[at].whole.order.id == order_id and self.jobs[at].left_as.at_ns:
                out[0] = self.jobs[at].left_as
                return True
            if self.jobs[at].whole.order.id == order_id and self.jobs[at].kind == JobKind.ALGO:
                memset(out, 0, sizeof(Departure))
                return True
        return self.inner.departure(order_id, out)

    # ---- what the exchange says -----------------------------------------------------------------

    cdef void hear(self) noexcept nogil:
        """Every report there is, and then what they ask for: nothing is sent while something that
        the exchange has said is unheard, so that no size is stale."""
        cdef Report reports[32]
        cdef size_t i, many
        cdef int32_t at
        while True:
            while self.inner.pending_reports:
                many = self.inner.take(&reports[0], 32)
                for i in range(many):
                    self.on_report(&reports[i])
            for at in range(self.job_top):
                if self.jobs[at].kind == JobKind.ALGO and self.jobs[at].dirty:
                    self.jobs[at].dirty = 0
                    self.changed(at)
                    break
            else:
                break
        self.count()

    cdef size_t take(self, Report *out, size_t limit) noexcept nogil:
        cdef size_t many = 0
        while many < limit and self.report_tail != self.report_head:
            out[many] = self.reports[self.report_tail & (REPORTS_MAX - 1)]
            self.report_tail += 1
            many += 1
        self.pending_reports = self.report_head - self.report_tail
        return many

    cdef void on_report(self, const Report *report) noexcept nogil:
        cdef int32_t at = self.find_child(report.order_id)
        cdef Child *child = &self.children[at]
        cdef int32_t job = NOBODY if at == NOBODY else child.job
        cdef bint ended
        if not self.closing:                 # what expires says the end of the day
            self.now_ns = max(self.now_ns, report.time_ns)
        if at != NOBODY:
            if report.kind == ReportKind.FILLED:
                child.gone += report.qty
                self.book(child, report)
            elif report.kind == ReportKind.ACCEPTED:
                child.unanswered -= child.unanswered > 0
                if child.unanswered == 0:
                    child.gone = child.asked - report.left
            elif report.kind == ReportKind.REJECTED and report.left > 0:
                child.unanswered -= child.unanswered > 0
                child.asked, child.cancelling = child.gone + report.left, 0
            ended = report.kind in (ReportKind.CANCELLED, ReportKind.EXPIRED) or (
                report.left == 0 and report.kind in (ReportKind.FILLED, ReportKind.REJECTED))
            if ended:
                child.live = 0
        if at != NOBODY and job == NOBODY and report.kind != ReportKind.FILLED:
            return                               # its job has ended, and has said so
        if job == NOBODY or self.jobs[job].kind == JobKind.WHOLE:
            # Late words on an order that has ended go to the kernel, which knows what to do.
            DF_ASSERT(self.report_head - self.report_tail < REPORTS_MAX)
            self.reports[self.report_head & (REPORTS_MAX - 1)] = report[0]
            self.report_head += 1
            if job != NOBODY:
                if report.kind == ReportKind.ACCEPTED or report.left > 0:
                    self.jobs[job].owed -= self.jobs[job].owed > 0
                self.jobs[job].left = report.left
                if ended:
                    self.jobs[job].kind = JobKind.FREE
        elif self.jobs[job].kind == JobKind.PIECES:
            self.on_piece(job, at, report, ended)
        else:
            self.on_child(job, report, ended)
        if report.kind == ReportKind.FILLED and report.flags & OrderFlag.EXIT:
            self.group_filled(job, report)

    cdef void on_piece(self, int32_t at, int32_t child, const Report *report,
                       bint ended) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        cdef int32_t others = self.live_children(at)
        job.left = self.out(at)
        if report.kind == ReportKind.FILLED:
            job.filled += report.qty
            self.say(job, ReportKind.FILLED, report, 0)
            if others == 0:
                self.finish(at, ReportKind.FILLED, 0)
        elif ended and others == 0:
            self.finish(at, report.kind, report.reason)
        elif report.kind == ReportKind.REJECTED:
            job.owed -= job.owed > 0
            self.say(job, ReportKind.REJECTED, report, report.reason)
        elif report.kind == ReportKind.ACCEPTED or report.kind == ReportKind.CANCELLED:
            self.settle_pieces(at, report)

    cdef void settle_pieces(self, int32_t at, const Report *report) noexcept nogil:
        """When every child has answered, the kernel's requests are answered."""
        cdef Job *job = &self.jobs[at]
        cdef int32_t i
        for i in range(self.child_top):
            if self.children[i].live and self.children[i].job == at \
                    and self.children[i].unanswered:
                return
        self.say(job, ReportKind.ACCEPTED, report, 0)
        while job.owed > 1:
            job.owed -= 1
            self.say(job, ReportKind.ACCEPTED, report, 0)
        job.owed = 0

    cdef void on_child(self, int32_t at, const Report *report, bint ended) noexcept nogil:
        cdef Job *job = &self.jobs[at]
        if report.kind == ReportKind.FILLED:
            job.left -= report.qty
            job.filled += report.qty
            DF_ASSERT(job.left >= 0)
            self.say(job, ReportKind.FILLED, report, 0)
            if job.left <= 0:
                self.finish(at, ReportKind.FILLED, 0)
                return
        elif ended and report.kind == ReportKind.REJECTED:
            self.children_refused += 1
            if report.reason == RejectReason.LIMIT_RATE:
                job.retry_ns = self.now_ns + 1_000_000_000
            elif job.state == JobState.ENDING:
                pass
            elif job.whole.order.flags & OrderFlag.EXIT and self.live_children(at):
                # What still rests of it waits for a price: it is not left to that.
                job.state, job.retry_ns = JobState.URGENT, self.now_ns + RETRY_NS
            else:
                job.state, job.refusal = JobState.ENDING, report.reason
        elif not ended:
            return
        job.dirty = not self.closing

    cdef void changed(self, int32_t at) noexcept nogil:
        pass

    # ---- the position, in parts -----------------------------------------------------------------

    cdef void book(self, const Child *child, const Report *report) noexcept nogil:
        cdef uint64_t group = report.order_id
        if not report.flags & OrderFlag.EXIT:
            if child.job != NOBODY:
                group = self.jobs[child.job].whole.order.id
            if self.part_count == 0:
                self.held_side = report.side
            self.hold_more(group, report.qty)
            return
        if child.part < self.part_count:
            self.parts[child.part].held = max(self.parts[child.part].held - report.qty,
                                              <int64_t>0)
        while self.part_count and self.parts[self.part_count - 1].held == 0:
            self.part_count -= 1

    cdef void hold_more(self, uint64_t group, int64_t qty) noexcept nogil:
        cdef int32_t at = 0
        cdef int64_t more
        while qty > 0:
            if at == self.part_count:
                if at == PARTS_MAX:
                    self.parts[PARTS_MAX - 1].held += qty    # the gate keeps it from this
                    return
                self.parts[at].held = 0
                self.parts[at].group = group if at == 0 else self.new_id()
                self.part_count += 1
            more = min(qty, self.freeze - self.parts[at].held)
            if more > 0:
                self.parts[at].held += more
                qty -= more
            at += 1

    cdef void group_filled(self, int32_t except_job, const Report *report) noexcept nogil:
        """A stop or target has filled: an exit at work wants no more than what is still held. What
        an entry has brought since it was wished for is not the exit's, nor what left with that."""
        cdef int32_t at
        cdef int64_t held = self.held()
        cdef Job *job
        for at in range(self.job_top):
            job = &self.jobs[at]
            if job.kind != JobKind.ALGO or at == except_job \
                    or not job.whole.order.flags & OrderFlag.EXIT or job.left <= held:
                continue
            job.left = held
            if job.left == 0:
                self.finish(at, ReportKind.CANCELLED, 0)
            else:
                self.say(job, ReportKind.ACCEPTED, report, 0)
                job.dirty = not self.closing
