"""The rules of a structure as one position, written for reading on top of the plain legs run.

What is added: stops and targets of legs on the index, a leg that takes all with it, a trailed stop
and a lock of the whole, and all legs in again.
"""

from dataclasses import dataclass, field

from tests.core.leg_model import PlainLeg, PlainRun


@dataclass
class IndexLeg(PlainLeg):
    """A leg that may look at the index; distances in points of it."""

    index_stop: float = 0.0
    index_target: float = 0.0
    index_trail: tuple[float, float] = (0.0, 0.0)
    index_entry: int = 0
    index_best: int = 0
    own: int = 0


@dataclass
class WholeRun(PlainRun):
    """A run over rows that have an index as well.

    Again is (how, times, pause in rows); how is asap, reverse, momentum or cost.
    """

    index: list[int] = field(default_factory=list)
    complete: bool = False
    trail: tuple[float, float] = (0.0, 0.0)
    lock: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    again_stop: tuple[str, int, int] = ("", 0, 0)
    again_target: tuple[str, int, int] = ("", 0, 0)
    best: int = 0
    pending: tuple[str, int] | None = None
    cost: int = 0
    above: bool = False  # in again at or above the cost
    been: list[PlainLeg] = field(default_factory=list)
    restarts: int = 0
    why: list[str] = field(default_factory=list)

    def match(self, number: int, leg: PlainLeg, row: int) -> None:
        held = leg.held
        super().match(number, leg, row)
        if leg.held and not held:  # by the row before: this one's index is not known yet
            assert isinstance(leg, IndexLeg)
            leg.index_entry, leg.index_best = self.index[row - 1], 0

    def follow(self, row: int) -> None:
        """All out with a leg that has ended."""
        for leg in self.legs:
            ended = leg.closed is not None and leg.closed[0] in ("stop", "target")
            if self.running and self.complete and ended and leg.closed:
                why, leg.closed, leg.phase = leg.closed[0], None, "done"
                self.why.append("with a leg")
                self.out(why, row)
        super().follow(row)

    def whole(self, row: int) -> None:
        self.by_index(row)
        total = sum(
            leg.realised + (leg.side * (leg.mark - leg.entry) * leg.qty if leg.held else 0)
            for leg in self.legs
        )
        if not (self.stop or self.target or self.lock[0]):
            return
        self.best = max(self.best, total)
        floor = -100 * self.stop
        if self.stop and self.trail[0]:
            floor += 100 * self.trail[1] * (self.best // round(100 * self.trail[0]))
        at, keep, every, step = (round(100 * one) for one in self.lock)
        kept = keep + (step * ((self.best - at) // every) if every else 0)
        if self.stop and total <= floor:
            self.why.append("stop")
            self.out("stop", row)
        elif at and self.best >= at and total <= kept:
            self.why.append("lock")
            self.out("stop", row)
        elif self.target and total >= 100 * self.target:
            self.why.append("target")
            self.out("target", row)

    def by_index(self, row: int) -> None:
        for leg in self.legs:
            assert isinstance(leg, IndexLeg)
            if not leg.held or leg.leaving:
                continue
            gain = leg.side * leg.right * (self.index[row] - leg.index_entry)
            floor = -round(100 * leg.index_stop)
            if leg.index_trail[0]:
                leg.index_best = max(leg.index_best, gain)
                every, step = (round(100 * one) for one in leg.index_trail)
                floor += step * (leg.index_best // every)
            if leg.index_stop and gain <= floor:
                leg.leaving, leg.leave_why = True, "stop"
            elif leg.index_target and gain >= round(100 * leg.index_target):
                leg.leaving, leg.leave_why = True, "target"

    def out(self, why: str, row: int) -> None:
        """All leave; they may come again."""
        self.been = [leg for leg in self.legs if leg.held or not leg.first]
        self.cost = sum(leg.side * leg.entry for leg in self.been)
        self.above = self.worth() < self.cost
        self.leave_all(row + 1)
        name = "again_stop" if why == "stop" else "again_target"
        how, left, pause = getattr(self, name)
        if left:
            setattr(self, name, (how, left - 1, pause))
            self.pending = (how, row + pause)

    def clock(self, row: int) -> None:
        if self.pending and row < self.exit_row:
            how, since = self.pending
            idle = not any(leg.held or leg.entering for leg in self.legs)
            again = self.been if how == "cost" else self.legs
            quoted = all(self.rows[row][leg.column][3] for leg in again)
            back = self.worth() >= self.cost if self.above else self.worth() <= self.cost
            ready = idle and quoted and (back or how != "cost")
            if row >= since and self.stage == "rest" and ready:
                self.pending = None
                self.restarts += 1
                for leg in self.legs:
                    leg.side *= -1 if how == "reverse" else 1
                    wait, leg.wait = leg.wait, leg.wait if how == "momentum" else 0.0
                    leg.realised, leg.first, leg.part, leg.phase = 0, True, "", "idle"
                    if leg in again:
                        self.begin_leg(leg, row)
                    leg.wait = wait
                self.running, self.best = True, 0
                self.stage, self.order_at = "hedges", row + 1
                self.send(1)
                self.step(row + 1)
            return
        super().clock(row)

    def worth(self) -> int:
        """What those that have been in would cost now."""
        return sum(leg.side * leg.mark for leg in self.been)

    def begin_leg(self, leg: PlainLeg, row: int) -> None:
        leg.stops_left, leg.targets_left = leg.after_stop[1], leg.after_target[1]
        if leg.wait:
            price = self.rows[row][leg.column][3]
            leg.phase, leg.since, leg.up = "wait", row, leg.wait > 0
            leg.level = price + round(100 * leg.wait)
        else:
            leg.part = "to send"
