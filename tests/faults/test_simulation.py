"""Seeds of the fault simulation: no promise is broken, and broken ones would be seen."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dhanfast._core.live.records import IntentKind, Outcome
from dhanfast.exchange.faults import Fault

from .orders import with_orders, worked
from .plan import CALM, Plan
from .wires import SimCourier
from .world import World, run_seed

BLOCK = 50
QUICK, ALL = 300, 1_200  # `scripts/simulate-faults` runs any number
BUSY = 11  # a seed that trades a good deal


def require_none(
    seeds: range, folder: Path, change: Callable[[Plan], Plan] | None = None
) -> Counter[str]:
    counts: Counter[str] = Counter()
    broken = {}
    for seed in seeds:
        outcome = run_seed(seed, folder, change)
        counts.update(outcome.counts)
        if outcome.violations:
            broken[seed] = outcome.violations
    more = " --with orders" if change else ""
    assert not broken, f"repeat with scripts/simulate-faults --first SEED --seeds 1{more}: {broken}"
    return counts


@pytest.mark.parametrize("first", range(0, QUICK, BLOCK))
def test_no_promise_is_broken(first: int, tmp_path: Path) -> None:
    require_none(range(first, first + BLOCK), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, ALL, 2 * BLOCK))
def test_no_promise_is_broken_by_many_more(first: int, tmp_path: Path) -> None:
    require_none(range(first, min(first + 2 * BLOCK, ALL)), tmp_path)


@pytest.mark.parametrize("first", range(0, QUICK, 3 * BLOCK))
def test_no_promise_is_broken_when_orders_are_worked(first: int, tmp_path: Path) -> None:
    counts = require_none(range(first, first + 3 * BLOCK), tmp_path, with_orders)
    for name in ("child order", "entry kept out by a guard", "stop moved", "exit that was hurried",
                 "entry without a size", "PAUSE_ORDERS", "death", "MID_WIDE",
                 "order above the freeze quantity"):  # fmt: skip
        assert counts[name], f"no {name}: what the seeds draw has lost its teeth"


@pytest.mark.slow
@pytest.mark.parametrize("first", range(QUICK, ALL, 2 * BLOCK))
def test_no_promise_is_broken_by_many_more_when_orders_are_worked(
    first: int, tmp_path: Path
) -> None:
    require_none(range(first, min(first + 2 * BLOCK, ALL)), tmp_path, with_orders)


class Forgetful(SimCourier):
    """Takes a late refusal of the token before for one of the token in force."""

    def is_of(self, token: str) -> bool:
        return True


class Forgetting(World):
    courier_type = Forgetful


def without_logins(plan: Plan) -> Plan:
    """As a seed was drawn when it broke a promise."""
    return replace(plan, logins=())


@pytest.mark.parametrize(
    ("seed", "world", "change"),
    [(11_993, World, with_orders),  # an exit ended when a later lot left by its target
     (14_105, World, with_orders),  # what a slow reading led to was counted as of its question
     (302_155, Forgetting, without_logins),  # a token renewed twice during one question
     (200_085, World, without_logins),
     (404_599, World, None),  # a stop in doubt was read too seldom when the broker was back
     (503_152, World, worked),  # an exit that pressed was not sent again beside a child that waits
     (510_706, World, worked)],  # an operator's exit was refused, and a patient one came after it
)  # fmt: skip
def test_what_broke_a_promise_once(
    seed: int, world: type[World], change: Callable[[Plan], Plan] | None, tmp_path: Path
) -> None:
    assert run_seed(seed, tmp_path, change, world).violations == []


def quiet(plan: Plan, *kills: int) -> Plan:
    """Nothing breaks but the engine."""
    return replace(plan, mood=CALM, faults=(), events=(), logins=(), slow_part=0.0, lose_part=0.0,
                   refuse_part=0.0, kills=kills, down_s=(0.7,), busy_s=20.0, act_part=0.4,
                   strategy="wisher", latency_ns=0)  # fmt: skip


def dying(record: int, plan: Plan) -> Plan:
    """Nothing breaks but the engine, at this record."""
    return quiet(plan, record)


def records_of(folder: Path) -> int:
    """How many records a busy seed writes until it is told to stop."""

    class Counting(World):
        def _close(self) -> None:
            counted.append(self.lives[-1].run.journal.seq)
            super()._close()

    counted: list[int] = []
    assert run_seed(BUSY, folder, quiet, Counting).violations == []
    return counted[0]


@pytest.mark.parametrize("part", range(4))
def test_death_at_every_record(part: int, tmp_path: Path) -> None:
    """Every fourth record each: together all of them."""
    last = records_of(tmp_path)
    assert last > 60
    deaths = 0
    for record in range(1 + part, last, 4):
        outcome = run_seed(BUSY, tmp_path, partial(dying, record))
        assert outcome.violations == [], f"died at record {record}"
        deaths += outcome.counts["death"]
    assert deaths > last // 8


def test_a_seed_repeats_itself(tmp_path: Path) -> None:
    for seed in (3, BUSY, 42):
        first, second = run_seed(seed, tmp_path), run_seed(seed, tmp_path)
        assert first.digest == second.digest != ""
        assert first.counts == second.counts


def test_seeds_differ(tmp_path: Path) -> None:
    digests = {run_seed(seed, tmp_path).digest for seed in range(8)}
    assert len(digests) == 8


# ---- broken parts are seen -----------------------------------------------------------------------


class Twice(SimCourier):
    """Sends every new order twice."""

    def _arrive(self, intent: Any, raw: bytes) -> None:
        if intent["kind"] == IntentKind.PLACE:
            super()._arrive(intent, raw)
        super()._arrive(intent, raw)


class Liar(SimCourier):
    """Says that cancels were done, and does nothing; knows of no order."""

    def carry_intent(self, intent: Any) -> None:
        if intent["kind"] == IntentKind.PLACE:
            super().carry_intent(intent)
        else:
            self.waiting[int(intent["id"])] = intent
            asyncio.get_running_loop().call_later(0.01, self._answer, intent, Outcome.ABSENT, 404)


class Silent(SimCourier):
    """Forgets to answer now and then."""

    def _answer(self, intent: Any, *words: Any, **more: Any) -> None:
        if int(intent["id"]) % 3:
            super()._answer(intent, *words, **more)
        else:
            self.waiting.pop(int(intent["id"]), None)


class Early(SimCourier):
    """Sends what is not yet in the journal: an order of its own."""

    def carry_intent(self, intent: Any) -> None:
        super().carry_intent(intent)
        ahead = intent.copy()
        ahead["id"] += 100_000
        ahead["order"] += 100_000
        super().carry_intent(ahead)


class Hasty(SimCourier):
    """Takes every time-out for a proof that nothing was done."""

    def _answer(self, intent: Any, outcome: Outcome, code: int, **more: Any) -> None:
        if outcome == Outcome.UNKNOWN:
            outcome, code = Outcome.REFUSED, 400
        super()._answer(intent, outcome, code, **more)


def lossy(plan: Plan) -> Plan:
    """Half of the answers and most of the updates never come, and messages are slow."""
    menu = (Fault("timeout-after", probability=0.5), Fault("update-drop", probability=0.9))
    return replace(plan, faults=menu, kills=(), slow_part=0.5, strategy="wisher", act_part=0.4)


@pytest.mark.parametrize(
    ("courier", "words"),
    [(Twice, "placed twice"), (Liar, ""), (Silent, "never: ["),
     (Early, "journal does not hold"), (Hasty, "")],
)  # fmt: skip
def test_a_broken_courier_is_found_out(
    courier: type[SimCourier], words: str, tmp_path: Path
) -> None:
    class Broken(World):
        courier_type = courier

    found: list[str] = []
    for seed in range(BUSY, BUSY + 12):
        found += run_seed(seed, tmp_path, lossy, world=Broken).violations
    assert any(words in text for text in found), found


class Sluggish(SimCourier):
    """New orders take longer than anybody waits for their answers."""

    def _arrive(self, intent: Any, raw: bytes) -> None:
        if intent["kind"] == IntentKind.PLACE:
            asyncio.get_running_loop().call_later(2.6, super()._arrive, intent, raw)
        else:
            super()._arrive(intent, raw)


@pytest.mark.parametrize("patient", [True, False])
def test_giving_orders_up_too_soon_is_found_out(patient: bool, tmp_path: Path) -> None:
    """Without patience an order under way is lost, and comes all the same."""

    class Slow(World):
        courier_type = Sluggish
        remote_rules: ClassVar[dict[str, int]] = (
            {} if patient else {"lost_after_ns": 0, "absents_min": 1}
        )

    def unheard(plan: Plan) -> Plan:
        return replace(quiet(plan), faults=(Fault("update-drop"),))

    found: list[str] = []
    for seed in range(BUSY, BUSY + 6):
        found += run_seed(seed, tmp_path, unheard, world=Slow).violations
    assert bool(found) is not patient, found


def test_all_this_loss_alone_breaks_nothing(tmp_path: Path) -> None:
    for seed in range(BUSY, BUSY + 12):
        assert run_seed(seed, tmp_path, lossy).violations == []
