"""Stops that move, against the faulty world: no promise of the simulation is broken by them."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.records import INTENT_DTYPE, IntentKind
from dhanfast._core.types import Reason
from dhanfast.engine.stop_settings import Distance, StopSettings

from .plan import Plan
from .test_simulation import quiet
from .wisher import Eager
from .world import World, run_seed

SEEDS = 60
TRAIL = Distance(20.0, "points")


class Moving(World):
    """Counts what the rules did in the last life of each run, and how orders were changed."""

    moved: ClassVar[Counter[str]] = Counter()
    changed: ClassVar[Counter[tuple[int, int]]] = Counter()

    def strategy(self) -> Any:
        return Eager(self.plan.seed, self.plan.stop)

    def _close(self) -> None:
        run = self.lives[-1].run
        self.moved["stops"] += run.kernel.stops_moved
        trades, _ = run.rows_so_far()
        self.moved.update(Reason(int(why)).name for why in trades["exit_reason"])
        had: dict[int, int] = {}
        for kind, _, _, payload in JournalReader(str(self.path)):
            if kind == Kind.INTENT:
                intent = np.frombuffer(payload, INTENT_DTYPE)[0]
                order, trigger = int(intent["order"]), int(intent["trigger"])
                if intent["kind"] == IntentKind.MODIFY and trigger and trigger != had[order]:
                    self.changed[self.plan.seed, order] += 1
                had[order] = trigger
        super()._close()


class Trailing(Moving):
    """The stop follows at every step; after some changes it goes on here."""

    stops: ClassVar[StopSettings] = StopSettings(
        trail=TRAIL, step_ticks=1, every_ns=0, changes_max=3, time_max_ns=15_000_000_000
    )


class Patient(Moving):
    """A trail far enough away to move more often than its order may be changed."""

    stops: ClassVar[StopSettings] = StopSettings(
        trail=Distance(60.0, "points"), step_ticks=1, every_ns=0, changes_max=2
    )


class Watching(Moving):
    """No stop is sent: it is watched here."""

    stops: ClassVar[StopSettings] = StopSettings(
        trail=TRAIL, step_ticks=1, every_ns=0, rest=False,
        cost_at=Distance(15.0, "points"), cost_charges=True,
    )  # fmt: skip


@pytest.mark.parametrize("world", [Trailing, Watching])
def test_no_promise_is_broken_when_stops_move(tmp_path: Path, world: type[Moving]) -> None:
    world.moved.clear()
    world.changed.clear()
    broken = {}
    for seed in range(SEEDS):
        outcome = run_seed(seed, tmp_path, world=world)
        if outcome.violations:
            broken[seed] = outcome.violations
    assert not broken
    # Most records of these days are quotes; a stop moves with trades.
    assert world.moved["stops"] > 10 and world.moved["STOP_LOSS"] > 10
    assert (world.moved["TIME_STOP"] > 0) == (world is Trailing)


def test_a_trail_leaves_changes_of_an_order_for_the_exit(tmp_path: Path) -> None:
    """Counted in the journal, order by order, with nothing else that changes a trigger."""
    Patient.changed.clear()
    for seed in range(8):
        assert run_seed(seed, tmp_path, calm, Patient).violations == []
    assert max(Patient.changed.values()) == 2, "all of the budget is used, and no more"
    assert Patient.moved["stops"] > Patient.changed.total(), "and the stop has gone on here"


def calm(plan: Plan) -> Plan:
    """Nothing breaks, and a broker that allows as many changes as the real one."""
    return replace(quiet(plan), modifies_max=22, busy_s=150.0, stop=60.0)
