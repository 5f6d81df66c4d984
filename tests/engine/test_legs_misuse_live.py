"""A strategy that legs follow fails while orders work at a broker, and answers are out."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.records import IntentKind, Outcome
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.errors import DhanfastError
from tests.core.live.plain_broker import Held
from tests.engine.legs_far import FarLife, StormLife
from tests.engine.legs_life import World, world_in
from tests.engine.test_legs_misuse import STRATEGIES
from tests.engine.test_legs_signals import plan


def exits(life: FarLife) -> Iterator[Held]:
    return (order for order in life.broker.orders.values() if order.is_exit)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_in(tmp_path_factory.mktemp("far"), STRATEGIES, ticks=12_000)


def condor(world: World, of: str, *, deadline: str = "5m", **params: Any) -> StructurePlan:
    legs = [{"side": side, "right": right, "strike": strike, "when": "long"}
            for side, right, strike in (("buy", "CE", "atm+4"), ("sell", "CE", "atm+1"),
                                        ("buy", "PE", "atm-4"), ("sell", "PE", "atm-1"))
            ]  # fmt: skip
    return plan(world.path, of, leg=legs, params=params, order={"deadline": deadline})


def once(life: FarLife) -> None:
    """No number was placed twice, and the books are the broker's."""
    assert all(count == 1 for count in life.broker.accepted.values())
    assert life.run.positions() == life.truth


def test_flatten_sells_at_the_broker_once_though_it_dies_on_the_way(
    world: World, tmp_path: Path
) -> None:
    life = FarLife(world, tmp_path / "day.dfj", "Fails", made=condor(world, "Fails", after=1))
    life.on(lambda: len(life.run.positions()) == 4)
    life.on(lambda: bool(life.seat.stops))
    assert life.seat.stops == 1 and life.run.loop.gate_state == 1
    sold = [made for made in life.wires.left if made["kind"] == IntentKind.PLACE][4:]
    assert len(sold) == 2, "sold legs first"
    life.deaf = True  # nobody has heard of it when the process dies
    life = life.again()
    assert life.seat.stopped and life.run.loop.gate_state == 1
    life.on(lambda: life.run.flat)
    once(life)
    assert life.truth == {} and len(list(exits(life))) == 4
    orders = life.broker.orders
    life.on()
    assert len(orders) == 8 and life.run.flat


def test_keep_leaves_whole_legs_where_they_are(world: World, tmp_path: Path) -> None:
    life = FarLife(world, tmp_path / "day.dfj", "Fails", "keep",
                   made=condor(world, "Fails", after=1))  # fmt: skip
    life.on(lambda: bool(life.seat.stops))
    assert len(life.truth) == 4 and not list(exits(life))
    life = life.again()
    end = life.at + 300
    life.on(lambda: life.at >= end)
    once(life)
    assert len(life.truth) == 4 and not list(exits(life))
    life.on(lambda: life.run.flat)
    once(life)
    assert life.truth == {}


@pytest.mark.parametrize("missing", [1, -1])
def test_keep_takes_back_what_is_not_whole(world: World, tmp_path: Path, missing: int) -> None:
    """Bought legs that meet nobody, or sold ones: the strategy fails meanwhile, the engine dies."""
    made = condor(world, "Fails", after=1, deadline="none")
    life = FarLife(world, tmp_path / "day.dfj", "Fails", "keep", made=made)
    life.unfilled = {missing}
    life.on(lambda: bool(life.seat.stops))
    assert life.run.positions() == life.truth and len(life.truth) == (0 if missing > 0 else 2)
    life = life.again()
    life.on(lambda: life.run.flat)
    once(life)
    assert life.truth == {} and life.run._run.uncovered_max == 0
    result = life.on().run.finish()
    assert any("taken back: the strategy that it follows was stopped" in text
               for _, text in result.log)  # fmt: skip


def test_an_answer_that_is_lost_is_asked_for_and_not_sent_again(
    world: World, tmp_path: Path
) -> None:
    life = FarLife(world, tmp_path / "day.dfj", "Fails", made=condor(world, "Fails", after=1))
    life.on(lambda: bool(life.seat.stops))
    for made in life.wires.requests:
        life.broker.serve(made)
        life.answer(made["id"], {"outcome": Outcome.UNKNOWN, "code": 503})
    life.wires.requests.clear()
    life.broker.take_said()
    life.on(lambda: life.run.flat)
    once(life)
    assert life.truth == {} and len(list(exits(life))) == 4


# ---- anything, at any time -----------------------------------------------------------------------


def play(world: World, folder: Path, seed: int) -> tuple[int, ...]:
    """A day of failures, swaps, deaths and a bad broker; how often what happened."""
    rng = random.Random(f"legs {seed}")
    of = rng.choice(["Fails", "Early", "Filled", "Mends"])
    params = {"after": rng.choice([1, 2, 5, 30])} if of in ("Fails", "Early") else {}
    made = condor(world, of, deadline=rng.choice(["10s", "2m", "none"]), **params)
    way = rng.choice(["flatten", "keep"])
    life = StormLife(world, folder / f"{seed}.dfj", of, way, made=made, rng=rng)
    deaths = 0
    for _ in range(rng.randint(3, 14)):
        end = life.at + rng.randint(1, 900)
        life.on(lambda end=end, life=life: life.at >= end)  # type: ignore[misc]
        seat, held = life.seat, life.run.positions()
        if rng.random() < 0.4:
            sent = life.run.kernel.orders_sent
            with contextlib.suppress(DhanfastError):
                life.swap(rng.choice(["Mends", "Calm", "Early", "Fails"]))
                assert (life.run.positions(), life.run.kernel.orders_sent) == (held, sent)
                life.resume()
            continue
        who = (seat.now.name, seat.stopped, seat.swaps, seat.stops, seat.rollbacks, seat.changes)
        life, deaths = life.again(), deaths + 1
        seat = life.seat
        assert who == (seat.now.name, seat.stopped, seat.swaps, seat.stops, seat.rollbacks,
                       seat.changes), "a restart"  # fmt: skip
    life.calm = True
    life.on()
    assert all(count == 1 for count in life.broker.accepted.values())
    assert life.run.loop.error is None and not life.run.loop.stopped
    assert life.run.positions() == life.truth == {} and life.run.flat
    assert life.worst == 0, "sold, and not covered"
    seat = life.seat
    return deaths, seat.swaps, seat.stops, seat.rollbacks, len(life.broker.orders)


def played(world: World, folder: Path, seeds: range) -> None:
    sums = [0] * 5
    for seed in seeds:
        try:
            sums = [a + b for a, b in zip(sums, play(world, folder, seed), strict=True)]
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    assert all(sums), f"deaths, swaps, stops, put back, orders: {sums}"


def test_anything_at_any_time(world: World, tmp_path: Path) -> None:
    played(world, tmp_path, range(12))


@pytest.mark.slow
def test_much_more_of_it(world: World, tmp_path: Path) -> None:
    played(world, tmp_path, range(100, 160))
