"""The order of several legs against a broker that is the truth, over wires that fail at random.

Hypothesis chooses the steps; `scripts/order-machine --legs` runs it often and says how often.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from dhanfast._core.legorder import Stage
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.legs import Again, LegUnit
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.records import IntentKind, Outcome, Seen
from dhanfast._core.types import OrderFlag, OrderKind
from dhanfast.engine.leg_judge import Question

from .leg_passes import risk_of
from .leg_world import LOT, MS, OWN, SECOND, SPOT, LegWorld, condor, leg, straddle
from .plain_broker import Held

picks = st.integers(0, 1 << 16)
FATES = ["ok"] * 4 + ["lost answer", "429", "906", "401"]
GATES = ["none", "guards", "refuse", "fewer", "fewer"]
FUNDS = ["", "enough", "enough", "enough", "one", "short", "unknown", "another"]
COMMANDS = ["FLATTEN", "STOP_ENTRIES", "RESUME", "READ_ALL", "PAUSE_ORDERS", "RESUME_ORDERS",
            "CANCEL_ORDERS"]  # fmt: skip
SHAPES = {
    "condor": condor(),
    "condor with stops": condor(stop=30.0),
    "straddle": straddle(stop=40.0),
    "spread": [leg(-1, 1, 110_000, lots=2), leg(1, 1, 120_000, lots=2)],
    "ratio": [leg(-1, -1, 100_000, lots=2), leg(1, -1, 90_000)],
    "strangle bought": [leg(1, 1, 110_000), leg(1, -1, 100_000)],
}


class LegMachine(RuleBasedStateMachine):
    """Faults at random; the invariants are the promise."""

    tally: ClassVar[Counter[str]] = Counter()

    @initialize(
        shape=st.sampled_from(sorted(SHAPES)),
        deadline=st.sampled_from([2, 10, 10, 60, 0]),
        repairs=st.integers(0, 3),
        per_second=st.sampled_from([3, 9, 9]),
        well=st.sampled_from([0, 0, 0, 0, 1, 2, 5]),
        gates=st.sampled_from(GATES),
        funds=st.sampled_from(FUNDS),
    )
    def begin(
        self, shape: str, deadline: int, repairs: int, per_second: int, well: int, gates: str,
        funds: str,
    ) -> None:  # fmt: skip
        self.gates, self.answered = gates, ""
        self.folder = Path(tempfile.mkdtemp(prefix="legs-"))
        plan = {"deadline_ns": deadline * SECOND, "repairs": repairs}
        self.rules = self.shapes()[shape]
        self.world = self.world_of(plan, per_second)
        self.checked, self.lot = 0, int(self.world.session["lot"][0])
        self.bound = sum(self.units(rules) for rules in self.rules if rules["side"] < 0) - sum(
            self.units(rules) for rules in self.rules if rules["side"] > 0
        )
        if shape == "straddle":
            self.bound //= 2  # calls and puts are counted apart
        self.world.quotes()
        self.world.pass_time(2 * SECOND + 500 * MS)
        if self.asks and funds:
            self.answer_margin(funds)
            self.world.pass_time(SECOND)
        for _ in range(well):  # many runs begin with some of it in
            self.world.deliver()
            self.world.meet()
        self.tally["runs"] += 1
        self.tally[shape] += 1

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        return SHAPES

    def world_of(self, plan: dict[str, int], per_second: int) -> LegWorld:
        return LegWorld(self.folder / "legs.dfj", self.rules, plan=plan, per_second=per_second,
                        passes=self.passes)  # fmt: skip

    def units(self, rules: dict[str, Any]) -> int:
        """Of the entry: what the judge has left of the file's lots."""
        risk = self.world.run.risk
        lots = int(rules["lots"])
        return lots * self.lot if risk is None else lots * risk.times // risk.file_times * self.lot

    # ---- what an entry has to pass --------------------------------------------------------------

    @property
    def passes(self) -> Callable[[], LegRisk] | None:
        return None if self.gates == "none" else partial(risk_of, self.rules, self.gates)

    @property
    def asks(self) -> bool:
        """Whether the judge asks the broker."""
        risk = self.world.run.risk
        return risk is not None and risk.judge is not None

    @property
    def question(self) -> Question | None:
        risk = self.world.run.risk
        return risk.judge.question if risk is not None and risk.judge is not None else None

    @precondition(lambda self: self.question is not None)
    @rule(funds=st.sampled_from([each for each in FUNDS if each]))
    def answer_margin(self, funds: str) -> None:
        """The broker says what is needed and what there is; or not; or to another question."""
        question = self.question
        if question is None:
            return
        required = 1_000_000 * question.times
        known = {"enough": required, "one": 1_500_000, "short": 999_999, "unknown": -1}
        number = question.number + (funds == "another")
        self.world.loop.command(Command.MARGIN, self.world.now, units=required,
                                price=known.get(funds, required), contract=number)  # fmt: skip
        self.world.collect()
        if funds != "another":
            self.answered = funds
        self.tally[f"margin: {funds}"] += 1

    @rule(lock=st.booleans(), chance=st.integers(0, 2))
    def lock(self, lock: bool, chance: int) -> None:
        """An operator locks entries, or lets them go."""
        if chance or self.world.run.risk is None or self.world.run.risk.guards is None:
            return
        self.world.loop.command(Command.LOCK if lock else Command.UNLOCK, self.world.now,
                                units=0, price=2**63 - 1)  # fmt: skip
        self.world.collect()
        self.tally["locked" if lock else "unlocked"] += 1

    @invariant()
    def nothing_enters_before_its_margin_is_known(self) -> None:
        entries = [made for made in self.world.wires.left if not made["flags"]
                   and made["kind"] == IntentKind.PLACE]  # fmt: skip
        if self.question is not None or self.answered in ("short", "unknown"):
            assert not entries
        for rules in self.rules if entries else ():
            assert self.world.entered(self.world.number(rules)) <= self.units(rules)
        if self.answered == "one" and entries:
            assert self.world.run.risk is not None and self.world.run.risk.times == 1

    # ---- the wires ------------------------------------------------------------------------------

    @precondition(lambda self: self.world.wires.requests)
    @rule(which=picks, proven=st.booleans())
    def lose(self, which: int, proven: bool) -> None:
        """A request never arrives; sometimes that is known."""
        requests = self.world.wires.requests
        made = requests.pop(which % len(requests))
        if made["id"] in self.world.open:
            self.world.answer(made, {"outcome": Outcome.REFUSED if proven else Outcome.UNKNOWN,
                                     "code": -111 if proven else -104})  # fmt: skip

    @precondition(lambda self: self.world.wires.requests)
    @rule(which=picks)
    def time_out(self, which: int) -> None:
        """The engine gives up waiting; the request may arrive yet."""
        requests = self.world.wires.requests
        made = requests[which % len(requests)]
        if made["id"] in self.world.open:
            self.world.answer(made, {"outcome": Outcome.UNKNOWN, "code": -110})

    @precondition(lambda self: self.world.answers)
    @rule(which=picks)
    def hear_answer(self, which: int) -> None:
        self.world.give_answer(which % len(self.world.answers))

    @precondition(lambda self: self.world.updates)
    @rule(which=picks, keep=st.booleans())
    def hear_update(self, which: int, keep: bool) -> None:
        """In any order; kept means that it comes again."""
        updates = self.world.updates
        at = which % len(updates)
        self.world.show(updates[at] if keep else updates.pop(at))

    @precondition(lambda self: self.world.updates)
    @rule(which=picks)
    def lose_update(self, which: int) -> None:
        self.world.updates.pop(which % len(self.world.updates))

    # ---- the exchange and the market ------------------------------------------------------------

    @rule()
    def go_well(self) -> None:
        """A moment in which nothing fails."""
        self.world.deliver()
        self.world.meet()

    @rule(ms=st.sampled_from([1, 50, 200, 1_000, 2_500, 11_000]))
    def wait(self, ms: int) -> None:
        self.world.pass_time(ms * MS)

    # ---- people and power -----------------------------------------------------------------------

    @rule(command=st.sampled_from(COMMANDS), chance=st.integers(0, 2))
    def command(self, command: str, chance: int) -> None:
        if chance:
            return
        self.world.command(Command[command])
        self.tally[command] += 1

    @rule(arrive=st.booleans(), chance=st.integers(0, 3))
    def die(self, arrive: bool, chance: int) -> None:
        """kill -9: what is under way arrives, or never left the machine."""
        world = self.world
        if chance:
            return
        while world.wires.requests:
            made = world.wires.requests.pop(0)
            if arrive:
                world.arrive(made)
        world.updates.clear()
        world.die()
        self.tally["deaths"] += 1

    @invariant()
    def a_step_is_counted(self) -> None:
        self.tally["steps"] += 1

    # ---- what holds at every step ---------------------------------------------------------------

    @invariant()
    def no_number_is_placed_twice(self) -> None:
        assert max(self.world.accepted().values(), default=0) <= 1

    @invariant()
    def sold_legs_go_in_behind_and_out_before_bought_ones(self) -> None:
        world = self.world
        for made in world.wires.left[self.checked :]:
            if made["kind"] in (IntentKind.CANCEL, IntentKind.QUERY):
                continue
            number, leaves = made["instrument"], bool(made["flags"])
            if number in world.sold() and not leaves:
                self.hedges_are_whole()
            elif number in world.bought() and leaves and not made["flags"] & OWN:
                self.sales_are_gone()
        self.checked = len(world.wires.left)

    def hedges_are_whole(self) -> None:
        for rules in self.rules:
            if rules["side"] > 0:
                number = self.world.number(rules)
                assert self.world.entered(number) >= self.units(rules)

    def sales_are_gone(self) -> None:
        world = self.world
        for number in world.sold():
            assert world.at_broker(number) == 0
            assert not [order for order in self.of(number) if order.live and not order.is_exit]

    def of(self, number: int) -> list[Held]:
        return [order for order in self.world.orders.values()
                if self.world.instrument[order.number] == number]  # fmt: skip

    @invariant()
    def no_more_is_uncovered_than_the_plan_has(self) -> None:
        assert self.world.uncovered() <= max(0, self.bound)

    @invariant()
    def nothing_is_booked_that_has_not_filled(self) -> None:
        for number, units in self.world.positions().items():
            filled = sum(order.filled for order in self.of(number))
            assert abs(units) <= filled
        assert self.world.desk is not None and self.world.desk.stray_qty == 0

    # ---- when all is well again -----------------------------------------------------------------

    @rule(chance=st.integers(0, 5))
    def heal(self, chance: int = 0) -> None:
        """The wires and the market work, everything is read again: the books are the broker's."""
        if chance:
            return
        for _ in range(80):
            self.world.command(Command.READ_ALL)
            self.world.deliver()
            self.world.meet()
            self.world.deliver()
            self.world.pass_time(7 * SECOND)
            self.sold_legs_go_in_behind_and_out_before_bought_ones()
            self.no_more_is_uncovered_than_the_plan_has()
            # A question that the budget let out late has timed out unheard: it is asked again.
            if self.quiet() and self.world.positions() == self.world.truth():
                break
        else:
            raise AssertionError(f"never quiet: {self.world.run.legs_now()}")
        self.agree()

    def quiet(self) -> bool:
        world = self.world
        assert world.desk is not None
        unsure = any(line["state"] != "working" or line["waits"]
                     for line in world.desk.orders_there())  # fmt: skip
        # Without a deadline an order that is held back waits for as long as it is.
        waits = world.run.paused or world.loop.gate_state != 0
        busy = world.run.stage != Stage.REST and not waits
        late = [order for order in world.working() if self.wants(order)]
        return not (unsure or busy or late or world.wires.requests or world.updates)

    def wants(self, order: Held) -> int:
        """Whether the market would fill it now."""
        bid = self.world.bids[self.world.instrument[order.number]]
        return self.world.broker.can_fill(order, bid, bid + 10, bid)

    def agree(self) -> None:
        world = self.world
        assert world.positions() == world.truth()
        if world.run.stage == Stage.REST and not self.stopped_out():
            held = [abs(units) for units in world.truth().values()]
            assert len(held) in (0, len(self.rules))  # whole or not at all
            if held:
                self.tally["whole"] += 1

    def stopped_out(self) -> bool:
        """A leg may have left by its own stop, or because that was refused."""
        return any(order.is_exit for order in self.world.orders.values())

    def teardown(self) -> None:
        """At the end everything is left: flat here and there."""
        if not hasattr(self, "world"):
            return
        try:
            self.leave_all()
        finally:
            self.world.journal.close()
            shutil.rmtree(self.folder)

    def leave_all(self) -> None:
        world = self.world
        self.heal()
        world.command(Command.RESUME_ORDERS)
        world.command(Command.HALT)
        for _ in range(30):
            self.heal()
            if world.loop.flat and not world.working():
                break
        assert world.truth() == world.positions() == {}
        assert world.loop.flat and world.working() == []
        self.tally["orders"] += len(world.orders)
        self.tally["unwound"] += world.run.counters()["orders_unwound"]
        self.tally["repaired"] += world.run.counters()["legs_repaired"]


class HedgedLegs(LegMachine):
    """What holds besides, when a future keeps the delta of the legs."""

    HEDGE: ClassVar[dict[str, Any]] = {
        "band": 3.0, "lots_max": 6, "pause_ns": SECOND, "hedges_max": 60,
    }  # fmt: skip

    @invariant()
    def a_hedge_goes_in_beside_whole_legs_only(self) -> None:
        world = self.world
        for made in world.wires.left[self.hedge_checked :]:
            if made["instrument"] != world.future or made["kind"] != IntentKind.PLACE:
                continue
            if not made["flags"] & OrderFlag.EXIT:
                for rules in self.rules:
                    assert world.entered(world.number(rules)) >= self.units(rules)
            self.tally["hedge orders"] += 1
        self.hedge_checked = len(world.wires.left)

    hedge_checked = 0

    @invariant()
    def a_hedge_is_never_larger_than_it_may_be(self) -> None:
        held = self.world.at_broker(self.world.future)
        lot = int(self.world.future_session()["lot"][0])
        working = [order for order in self.of(self.world.future) if order.live]
        entering = sum(order.side * order.open for order in working if not order.is_exit)
        assert abs(held) <= self.HEDGE["lots_max"] * lot
        assert abs(held + entering) <= self.HEDGE["lots_max"] * lot
        assert sum(order.is_exit for order in working) <= 1

    def agree(self) -> None:
        """The books are the broker's; and the hedge does not outlive the legs."""
        world = self.world
        truth = world.truth()
        assert world.positions() == truth
        hedge = truth.pop(world.future, 0)
        if world.run.stage == Stage.REST and not self.stopped_out():
            assert len(truth) in (0, len(self.rules))
            self.tally["whole"] += bool(truth)
        if not truth:
            assert hedge == 0
        self.tally["hedged"] += bool(hedge)

    def stopped_out(self) -> bool:
        return any(order.is_exit for order in self.world.orders.values()
                   if self.world.instrument[order.number] != self.world.future)  # fmt: skip


class PlainLegMachine(LegMachine):
    """At a broker that does with orders what hypothesis wants."""

    @precondition(lambda self: self.world.wires.requests)
    @rule(which=picks, fate=st.sampled_from(FATES))
    def serve(self, which: int, fate: str) -> None:
        """A request arrives at the broker."""
        self.world.serve(which % len(self.world.wires.requests), fate)
        self.tally[f"request: {fate}"] += 1

    @precondition(lambda self: self.world.working())
    @rule(which=picks, part=st.sampled_from([1, 1, LOT, 7, 1000, 1000]), better=st.integers(0, 9))
    def fill(self, which: int, part: int, better: int) -> None:
        orders = self.world.working()
        order = orders[which % len(orders)]
        if order.kind == OrderKind.LIMIT or order.triggered or better < 3:
            self.world.fill(order, part, better)
            self.tally["fills"] += 1

    @precondition(lambda self: self.world.working())
    @rule(which=picks, seen=st.sampled_from([Seen.CANCELLED, Seen.REJECTED]))
    def end(self, which: int, seen: Seen) -> None:
        orders = self.world.working()
        self.world.broker.end(orders[which % len(orders)], seen)
        self.world.updates += self.world.broker.take_said()

    @rule(number=st.integers(1, 8), move=st.sampled_from([-3_000, -100, 0, 100, 3_000]))
    def tick(self, number: int, move: int) -> None:
        world = self.world
        world.tick(number, max(2_000, min(30_000, world.bids[number] + move)))


class PlainHedgedMachine(HedgedLegs, PlainLegMachine):
    """The same with a hedge, and a future that moves."""

    def world_of(self, plan: dict[str, int], per_second: int) -> LegWorld:
        return LegWorld(self.folder / "legs.dfj", self.rules, plan=plan, hedge=self.HEDGE,
                        per_second=per_second)  # fmt: skip

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        """Some with much delta of their own."""
        return SHAPES | {
            "spread": [leg(-1, 1, 110_000, lots=2)],
            "ratio": [leg(-1, -1, 110_000), leg(1, -1, 90_000)],
        }

    @rule()
    def a_second_goes_well(self) -> None:
        self.go_well()
        self.world.deliver()
        self.world.pass_time(1_100 * MS)

    @rule(move=st.sampled_from([-9_000, -500, 500, 9_000]))
    def tick_future(self, move: int) -> None:
        world = self.world
        world.tick(world.future, max(60_000, min(150_000, world.bids[world.future] + move)))


class CoveredWorld(LegWorld):
    """Looks at the broker in the moment in which a sold leg's entry is sent: what an earlier entry
    had brought does not cover this one."""

    def collect(self) -> None:
        for made in self.wires.left[self.collected :]:
            if (
                made["kind"] != IntentKind.PLACE
                or made["flags"]
                or made["instrument"] not in self.sold()
            ):
                continue
            for rules in self.rules:
                if rules["side"] > 0:
                    assert self.at_broker(self.number(rules)) >= rules["lots"] * LOT
        super().collect()


class PlainAgainMachine(PlainLegMachine):
    """All legs leave for a stop or a target of the whole and go in again; sold ones look at the
    index as well. Nothing is asked before an entry: what passes is another machine's."""

    WORDS: ClassVar[dict[str, Any]] = {
        "stop": 700.0, "stop_unit": 1, "target": 700.0, "target_unit": 1, "again_stop": 9,
        "again_stop_how": int(Again.ASAP), "again_stop_pause": SECOND, "again_target": 9,
        "again_target_how": int(Again.ASAP), "lock_at": 400.0, "lock_keep": 200.0, "lock_unit": 1,
    }  # fmt: skip

    @property
    def passes(self) -> None:
        return None

    def shapes(self) -> dict[str, list[dict[str, Any]]]:
        by_index = {"stop": 20.0, "stop_unit": int(LegUnit.INDEX_POINTS), "again_stop": 3,
                    "again_stop_how": int(Again.ASAP)}  # fmt: skip
        return {
            name: [rules | (by_index if rules["side"] < 0 and not rules["stop"] else {})
                   for rules in legs]
            for name, legs in SHAPES.items()
        }  # fmt: skip

    def world_of(self, plan: dict[str, int], per_second: int) -> LegWorld:
        return CoveredWorld(self.folder / "legs.dfj", self.rules, plan=self.WORDS | plan,
                            per_second=per_second)  # fmt: skip

    @invariant()
    def nothing_enters_before_its_margin_is_known(self) -> None:
        """Not asked here."""

    @rule(move=st.sampled_from([-2_500, -500, 500, 2_500]))
    def tick_index(self, move: int) -> None:
        self.level = max(90_000, min(120_000, getattr(self, "level", SPOT) + move))
        self.world.tick(0, self.level)

    @rule()
    def a_second_goes_well(self) -> None:
        self.go_well()
        self.world.deliver()
        self.world.pass_time(1_100 * MS)

    def leave_all(self) -> None:
        super().leave_all()
        for name in ("structures_entered_again", "index_stops", "reentries", "profits_locked"):
            self.tally[name] += self.world.run.counters().get(name, 0)
