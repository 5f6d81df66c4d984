"""A legs run written for reading: one day, fixed strikes, no slippage, no latency."""

from dataclasses import dataclass, field

TICK = 5
DAY_MINUTES = 375


@dataclass
class PlainLeg:
    """Rules as the native ones, and what is held."""

    column: int
    strike: int
    side: int
    right: int = 1
    qty: int = 25
    stop: float = 0.0  # points
    target: float = 0.0
    stop_percent: bool = False
    trail: tuple[float, float] = (0.0, 0.0)
    wait: float = 0.0
    after_stop: tuple[str, int] = ("", 0)
    after_target: tuple[str, int] = ("", 0)

    phase: str = "idle"
    part: str = ""  # of the order of the legs
    since: int = -1
    level: int = 0
    up: bool = False
    entering: bool = False
    held: bool = False
    leaving: bool = False
    leave_why: str = "exit"
    entry: int = 0
    entry_row: int = 0
    stop_at: int = 0
    first_stop: int = 0
    target_at: int = 0
    best: int = 0
    mark: int = 0
    mark_row: int = 0
    realised: int = 0
    premium: int = 0
    first: bool = True
    stops_left: int = 0
    targets_left: int = 0
    closed: tuple[str, int] | None = None


@dataclass
class PlainRun:
    """The structure over one day: rows of (open, high, low, close) a column."""

    legs: list[PlainLeg]
    rows: list[list[tuple[int, int, int, int]]]
    entry_row: int
    until_row: int
    exit_row: int
    stop: float = 0.0  # of the whole, rupees
    target: float = 0.0
    to_cost: bool = False
    deadline: int = 0  # rows after the decision; 0 = none
    stage: str = "rest"
    order_at: int = 0
    unwound: int = 0
    running: bool = False
    begun: bool = False
    trades: list[tuple[int, int, int, int, int]] = field(default_factory=list)

    def run(self) -> list[tuple[int, int, int, int, int]]:
        """Trades: (leg, entry row, entry price, exit row, exit price), as they ended."""
        for row in range(len(self.rows)):
            first = -1 if self.stage == "leave" else 1
            self.match_side(first, row)
            self.step(row)
            self.match_side(-first, row)
            self.step(row + 1)
            self.follow(row)
            if self.running:
                self.whole(row)
            self.clock(row)
            if self.running and self.stage == "rest":
                self.waits(row)
        for number, leg in enumerate(self.legs):
            leg.entering = False
            if leg.held:
                self.close(number, leg, leg.mark_row, leg.mark, "end")
        return self.trades

    # ---- the order of the legs, one line a rule -------------------------------------------------

    def step(self, now: int) -> None:
        """Sold legs go in behind bought ones that are whole, and out before them."""
        ordered = [leg for leg in self.legs if leg.part in ("to send", "sent", "in")]
        missing = [leg for leg in ordered if leg.part != "in"]
        if self.stage == "leave":
            if not any(leg.held or leg.entering for leg in self.legs if leg.side < 0):
                self.stage = "rest"
                for leg in self.legs:
                    if leg.part == "to leave":
                        leg.part = ""
                        self.go(leg)
        elif self.stage in ("hedges", "sales"):
            gone = [leg for leg in ordered if leg.side > 0 and leg.part == "in" and not leg.held]
            if gone and any(leg.side < 0 for leg in ordered):
                self.unwind(now)
            elif not missing:
                self.stage = "rest"
            else:
                if self.stage == "hedges" and not any(leg.side > 0 for leg in missing):
                    self.stage = "sales"
                    self.send(-1)
                if self.deadline and now - self.order_at >= self.deadline:
                    self.unwind(now)

    def send(self, side: int) -> None:
        for leg in self.legs:
            if leg.part == "to send" and leg.side == side:
                leg.part, leg.phase, leg.entering = "sent", "asked", True

    def unwind(self, now: int) -> None:
        self.unwound += 1
        self.leave_all(now)

    # ---- prices -----------------------------------------------------------------------------

    def match_side(self, side: int, row: int) -> None:
        for number, leg in enumerate(self.legs):
            if leg.side == side:
                self.match(number, leg, row)

    def match(self, number: int, leg: PlainLeg, row: int) -> None:
        opens, high, low, close = self.rows[row][leg.column]
        if close == 0:
            return
        rested = leg.held
        if leg.entering:
            leg.entering, leg.held, leg.leaving = False, True, False
            leg.part = "in" if leg.part == "sent" else leg.part
            leg.entry, leg.entry_row, leg.best = opens, row, opens
            points = leg.stop * leg.entry / 100 if leg.stop_percent else leg.stop * 100
            leg.stop_at = on_tick(opens - leg.side * round(points)) if points else 0
            leg.target_at = on_tick(opens + leg.side * round(100 * leg.target)) if leg.target else 0
            leg.first_stop = leg.stop_at
            if leg.first:
                leg.premium -= leg.side * opens * leg.qty
        if rested:
            self.at_open(number, leg, row, opens)
        if leg.held:
            self.inside(number, leg, row, high, low)
        leg.mark, leg.mark_row = close, row

    def at_open(self, number: int, leg: PlainLeg, row: int, opens: int) -> None:
        side = leg.side
        if leg.stop_at and side * (opens - leg.stop_at) <= 0:
            self.close(number, leg, row, opens, "stop")
        elif leg.target_at and side * (opens - leg.target_at) >= 0:
            # Better than its limit at the open: a limit that rested gets its own price. An exit on
            # its way is behind it only when the limit is beyond the exit's protection of 5 %.
            ahead = side * (leg.target_at - opens * (1 - side * 0.05)) < 0
            if leg.leaving and not ahead:
                self.close(number, leg, row, opens, leg.leave_why)
            else:
                self.close(number, leg, row, leg.target_at, "target")
        elif leg.leaving:
            self.close(number, leg, row, opens, leg.leave_why)

    def inside(self, number: int, leg: PlainLeg, row: int, high: int, low: int) -> None:
        worst, best = (low, high) if leg.side > 0 else (high, low)
        if leg.stop_at and leg.side * (worst - leg.stop_at) <= 0:
            self.close(number, leg, row, leg.stop_at, "stop")
        elif leg.target_at and leg.side * (best - leg.target_at) >= 0:
            self.close(number, leg, row, leg.target_at, "target")

    def close(self, number: int, leg: PlainLeg, row: int, price: int, why: str) -> None:
        self.trades.append((number, leg.entry_row, leg.entry, row, price))
        leg.realised += leg.side * (price - leg.entry) * leg.qty
        leg.held = leg.leaving = leg.first = False
        leg.closed = (why, price)

    # ---- decisions ----------------------------------------------------------------------------

    def follow(self, row: int) -> None:
        for leg in self.legs:
            if leg.closed is None:
                continue
            why, price = leg.closed
            leg.closed, leg.phase = None, "done"
            if not self.running:
                continue
            if why == "stop" and self.to_cost:
                for other in self.legs:
                    if other is not leg and other.held:
                        self.cost(other)
            how = ""
            if why == "stop" and leg.stops_left:
                leg.stops_left -= 1
                how = leg.after_stop[0]
            elif why == "target" and leg.targets_left:
                leg.targets_left -= 1
                how = leg.after_target[0]
            leg.since = row
            if how == "asap":
                leg.phase = "choose"
            elif how == "cost":
                leg.phase, leg.level, leg.up = "wait", leg.entry, price < leg.entry
        for leg in self.legs:
            if leg.held and leg.trail[0] and self.rows[row][leg.column][3]:
                self.trailed(leg, row)

    def cost(self, leg: PlainLeg) -> None:
        if leg.leaving:
            return
        if leg.side * (leg.mark - leg.entry) <= 0:
            leg.leaving, leg.leave_why = True, "stop"
        else:
            self.tighten(leg, leg.entry)

    def trailed(self, leg: PlainLeg, row: int) -> None:
        _, high, low, close = self.rows[row][leg.column]
        leg.best = max(leg.best, high) if leg.side > 0 else min(leg.best, low)
        every, step = (round(100 * each) for each in leg.trail)
        steps = int(max(0, leg.side * (leg.best - leg.entry)) // every)
        if steps < 1:
            return
        price = on_tick(leg.first_stop + leg.side * steps * step)
        nearest = (close - 1) // TICK * TICK if leg.side > 0 else (close + TICK) // TICK * TICK
        price = min(price, nearest) if leg.side > 0 else max(price, nearest)
        if price >= TICK:
            self.tighten(leg, price)

    def tighten(self, leg: PlainLeg, price: int) -> None:
        if not leg.leaving and (not leg.stop_at or leg.side * (price - leg.stop_at) > 0):
            leg.stop_at = price

    def whole(self, row: int) -> None:
        total = sum(
            leg.realised + (leg.side * (leg.mark - leg.entry) * leg.qty if leg.held else 0)
            for leg in self.legs
        )
        if (self.stop and total <= -100 * self.stop) or (
            self.target and total >= 100 * self.target
        ):
            self.leave_all(row + 1)

    def leave_all(self, now: int) -> None:
        self.running, self.stage = False, "leave"
        for leg in self.legs:
            leg.phase, leg.entering = "done", False
            leg.part = "to leave" if leg.side > 0 else ""
            if leg.side < 0:
                self.go(leg)
        self.step(now)

    def go(self, leg: PlainLeg) -> None:
        if leg.held and not leg.leaving:
            leg.leaving, leg.leave_why = True, "exit"

    def clock(self, row: int) -> None:
        if row >= self.exit_row:
            self.leave_all(row + 1)
            self.begun = True
        elif not self.begun and row >= self.entry_row:
            if row > self.until_row:
                self.begun = True
            elif all(self.rows[row][leg.column][3] for leg in self.legs):
                self.begun = self.running = True
                for leg in self.legs:
                    leg.stops_left, leg.targets_left = leg.after_stop[1], leg.after_target[1]
                    if leg.wait:
                        price = self.rows[row][leg.column][3]
                        leg.phase, leg.since, leg.up = "wait", row, leg.wait > 0
                        leg.level = price + round(100 * leg.wait)
                    else:
                        leg.part = "to send"
                self.stage, self.order_at = "hedges", row + 1
                self.send(1)
                self.step(row + 1)

    def waits(self, row: int) -> None:
        for leg in self.legs:
            if leg.held or leg.entering:
                continue
            _, high, low, close = self.rows[row][leg.column]
            if not close:
                continue
            if leg.phase == "choose" or (
                leg.phase == "wait"
                and leg.since < row
                and (high >= leg.level if leg.up else low <= leg.level)
            ):
                leg.phase, leg.entering = "asked", True


def on_tick(price: int) -> int:
    """The nearest price on the tick, halves up; one tick at least."""
    return max(TICK, (max(price, TICK) + TICK // 2) // TICK * TICK)
