"""The words of a structure in the live loop: the same trades as a backtest, through deaths, and
at a broker whose every word is the test's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dhanfast._core.chainday import ChainDay
from dhanfast._core.legorder import Told
from dhanfast._core.legrun import LegRun
from dhanfast._core.legs import Again, Leg, LegUnit
from dhanfast._core.live.inputs import Command
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import Reason

from .leg_world import LOT, MINUTE, MS, OPEN, SECOND, SPOT, LegWorld, leg, straddle
from .test_legloop import settle, told, world

POINTS = int(LegUnit.INDEX_POINTS)
ASAP, MOMENTUM, ARM = (int(one) for one in (Again.ASAP, Again.MOMENTUM, Again.ARM))
PREMIUM = int(LegUnit.POINTS)
# Structures whose legs are all on one side: how those meet a second is not what is compared.
STRUCTURES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "index": (
        [leg(-1, 1, 110_000, stop=3.0, stop_unit=POINTS, target=4.0, target_unit=POINTS,
             trail_every=1.0, trail_step=0.5, trail_unit=POINTS, again_stop=2,
             again_stop_how=ASAP, again_target=2, again_target_how=int(Again.COST)),
         leg(-1, -1, 110_000, wait=1.5, wait_unit=POINTS, stop=2.0, stop_unit=POINTS,
             again_stop=2, again_stop_how=MOMENTUM)],
        {"to_cost": 2},
    ),
    "whole": (
        straddle(),
        {"stop": 120.0, "stop_unit": 1, "trail_every": 60.0, "trail_step": 50.0, "target": 250.0,
         "target_unit": 1, "lock_at": 100.0, "lock_keep": 40.0, "lock_unit": 1, "again_stop": 5,
         "again_stop_how": ASAP, "again_stop_turn": 1, "again_stop_pause": 3 * SECOND,
         "again_target": 5, "again_target_how": ASAP},
    ),
    "complete": (
        [leg(1, 1, 110_000, stop=2.0, stop_unit=PREMIUM, target=3.0, target_unit=POINTS),
         leg(1, -1, 100_000, wait=1.0, wait_unit=PREMIUM)],
        {"complete": 1, "again_stop": 4, "again_stop_how": MOMENTUM, "again_target": 4,
         "again_target_how": ASAP},
    ),
    "range": (
        [leg(-1, 1, 110_000, range_side=1, range_ns=10 * SECOND, stop=2.0, stop_unit=PREMIUM,
             again_stop=3, again_stop_how=MOMENTUM),
         leg(-1, -1, 110_000, range_side=-1, range_ns=8 * SECOND, range_index=1, stop=2.0,
             stop_unit=POINTS, again_stop=3, again_stop_how=MOMENTUM)],
        {},
    ),
    "armed": (
        [leg(-1, 1, 110_000, stop=3.0, stop_unit=PREMIUM, again_stop=1, again_stop_how=ARM,
             again_stop_arms=1),
         leg(1, 1, 120_000, lazy=1, stop=2.0, stop_unit=PREMIUM, again_stop=3,
             again_stop_how=ASAP, again_stop_pause=2 * SECOND)],
        {},
    ),
}  # fmt: skip


def walks(seed: int, seconds: int) -> tuple[list[int], list[list[int]]]:
    """The index, and the premium of every contract, at the end of each second."""
    draw = np.random.default_rng(seed)
    index = SPOT + 5 * np.cumsum(draw.integers(-30, 31, seconds))
    moves = 5 * np.cumsum(draw.integers(-30, 31, (seconds, 8)), axis=0)
    return index.tolist(), np.maximum(10_000 + moves, 500).tolist()


def backtested(made: LegWorld, index: list[int], prices: list[list[int]]) -> LegRun:
    """The same seconds as rows of a day."""
    rules, n = made.rules, len(index)
    gate, log = Gate(instruments=len(rules)), RunLog(4096, 65536, 65536)
    portfolio = Portfolio(10**12, len(rules))
    legs = [
        Leg(one, at, Match(gate, instruments=len(rules), protection_e4=500, stop_market_ok=True),
            portfolio, gate, log) for at, one in enumerate(rules)
    ]  # fmt: skip
    run = LegRun(legs, made.plan, portfolio, gate, log)
    rows = np.array(prices, np.int64)
    start = OPEN + SECOND * np.arange(n)
    chain = ChainDay(
        start_ns=start, end_ns=start + SECOND, prices=(rows,) * 4,
        spot=np.array(index, np.int64), strike=np.array([*made.strikes, *made.strikes]),
        listed=np.arange(1, 9, dtype=np.uint32), first=[0], count=[4], sessions=made.session,
        final_price=[0], exercise_e9=[0], exercise_full=[0],
    )  # fmt: skip
    assert run.run_day(
        chain,
        slots=[0] * len(rules),
        entry_ns=made.entry,
        until_ns=made.entry + 5 * MINUTE,
        exit_ns=OPEN + 300 * MINUTE,
        trade=True,
        date=int(made.session["date"][0]),
    )
    return run


def live_through(made: LegWorld, index: list[int], prices: list[list[int]], die: int) -> None:
    """Every second each contract is quoted twice, and what rests is met; killed in one of them."""
    for second, (level, row) in enumerate(zip(index, prices, strict=True)):
        made.now = OPEN + second * SECOND + 100 * MS
        made.tick(0, level)
        for _ in range(2):
            for number, price in enumerate(row, 1):
                made.tick(number, price, spread=0)
        if second == die:
            made.die()
        made.pass_time(900 * MS)


def books(log: RunLog) -> list[tuple[int, ...]]:
    """Trades by the second that ended them: of a row here, of a tick there."""
    return sorted(
        ((int(one["exit_ns"]) - OPEN) // SECOND, *(int(one[name]) for name in (
            "instrument", "side", "qty", "entry_value", "exit_value", "exit_reason")))
        for one in log.take()[0]
    )  # fmt: skip


def same_books(here: list[tuple[int, ...]], there: list[tuple[int, ...]]) -> bool:
    """Whether trades are the same. An exit that the index has asked for and the stop that rests may
    meet one price: either is filled then, for the same money, and is the trade's reason."""
    either = {int(Reason.STOP_LOSS), int(Reason.TAKE_PROFIT)}
    return len(here) == len(there) and all(
        one == two or (one[:-1] == two[:-1] and {one[-1], two[-1]} == either)
        for one, two in zip(here, there, strict=True)
    )


def notes(run: LegRun) -> list[tuple[int, int]]:
    at_the_end = (Told.CUT, Told.UNFILLED, Told.NOT_AGAIN)
    return [(int(row["told"]), int(row["strike"])) for row in run.take_notes()
            if row["told"] not in at_the_end]  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10_000), die=st.integers(0, 59))
@example(seed=1690, die=0)  # an index target and the stop meet one price: of "complete"
@example(seed=678, die=0)  # the same of "index"
def test_the_live_loop_trades_as_a_backtest_does_also_when_it_is_killed(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int, die: int
) -> None:
    legs, plan = STRUCTURES[name]
    made = LegWorld(tmp_path_factory.mktemp("legs") / "legs.dfj", legs, live=False,
                    plan={"deadline_ns": 0, "repairs": 0} | plan)  # fmt: skip
    index, prices = walks(seed, 60)
    live_through(made, index, prices, die)
    past = backtested(made, index, prices)
    rows = books(past.log)  # what is open when the rows end is closed there, and held here
    cut = [row for row in rows if row[-1] == Reason.END_OF_DATA]
    ended = [row for row in rows if row[-1] != Reason.END_OF_DATA]
    here = books(made.log)
    assert same_books(here, ended), (here, ended)
    assert made.positions() == {row[1]: row[2] * row[3] for row in cut}
    assert notes(made.run) == notes(past)
    now, then = made.run.counters(), past.counters()
    for key in then.keys() - {"bars", "rows_without_quote_while_held", "orders_sent"}:
        assert now[key] == then[key], key


def test_what_is_compared_does_happen(tmp_path: Path) -> None:
    found: dict[str, int] = {}
    for name, (legs, plan) in STRUCTURES.items():
        made = LegWorld(tmp_path / f"{name}.dfj", legs, live=False,
                        plan={"deadline_ns": 0, "repairs": 0} | plan)  # fmt: skip
        for seed in range(12):
            for key, count in backtested(made, *walks(seed, 60)).counters().items():
                found[key] = found.get(key, 0) + count
    for key in ("index_stops", "index_targets", "combined_stops", "combined_targets",
                "profits_locked", "structures_entered_again", "structures_left_with_a_leg",
                "legs_armed", "reentries", "stops_to_cost"):  # fmt: skip
        assert found[key] > 0, key


# ---- at a broker --------------------------------------------------------------------------------

AGAIN = {"stop": 500.0, "stop_unit": 1, "again_stop": 1, "again_stop_how": ASAP}


def test_a_stop_on_the_index_leaves_at_the_broker(tmp_path: Path) -> None:
    """Nothing rests for it: the engine looks at the index once a second, and sends the exit."""
    legs = straddle()
    legs[0] |= {"stop": 10.0, "stop_unit": POINTS}
    made = world(tmp_path, legs)
    settle(made)
    assert made.truth() == {3: -LOT, 7: -LOT} and not made.working()
    made.tick(0, SPOT + 995)
    made.pass_time(SECOND)
    assert made.wires.requests == []
    made.tick(0, SPOT + 1_000)
    made.pass_time(SECOND)
    assert told(made) == [(Told.INDEX_STOP, 0)]
    settle(made)
    assert made.truth() == made.positions() == {7: -LOT}
    assert made.run.counters()["index_stops"] == 1


def test_after_a_stop_of_the_whole_all_go_in_again_at_the_broker(tmp_path: Path) -> None:
    made = world(tmp_path, plan=AGAIN)
    settle(made)
    made.tick(3, 12_500)
    made.pass_time(SECOND)
    settle(made, 20)
    assert told(made) == [(Told.COMBINED_STOP, 0), (Told.AGAIN, 0)]
    assert made.truth() == made.positions() == {3: -LOT, 6: -LOT, 4: LOT, 5: LOT}
    assert made.run.counters()["structures"] == 2
    assert made.run.counters()["uncovered_units_max"] == 0
    made.tick(3, 16_000)
    made.pass_time(SECOND)
    settle(made, 20)  # it was the last time
    assert made.truth() == {} and made.loop.flat


@pytest.mark.parametrize("when", range(2, 60, 4))
def test_killed_while_all_leave_and_come_again_nothing_is_doubled(
    tmp_path: Path, when: int
) -> None:
    made = world(tmp_path, plan=AGAIN)
    settle(made)
    made.tick(3, 12_500)
    steps = 0
    for _ in range(15):
        for act in (lambda: made.pass_time(300 * MS), made.deliver, made.meet, made.deliver):
            act()
            steps += 1
            if steps == when:
                made.die()
            assert made.uncovered() == 0
    settle(made, 20)
    assert made.truth() == made.positions() == {3: -LOT, 6: -LOT, 4: LOT, 5: LOT}
    assert made.run.counters()["structures_entered_again"] == 1
    assert max(made.accepted().values()) == 1


def test_an_operator_ends_what_would_come_again_and_holds_it_back(tmp_path: Path) -> None:
    made = world(tmp_path, plan=AGAIN | {"again_stop_pause": 5 * SECOND})
    settle(made)
    made.tick(3, 12_500)
    made.pass_time(SECOND)
    settle(made, 8)
    assert made.truth() == {} and made.run.restart == ASAP
    made.command(Command.STOP_ENTRIES)
    made.pass_time(10 * SECOND)
    assert made.wires.requests == []
    made.command(Command.FLATTEN)
    made.command(Command.RESUME)
    made.pass_time(10 * SECOND)
    assert made.wires.requests == [] and made.run.restart == 0
    assert told(made) == [(Told.COMBINED_STOP, 0), (Told.DROPPED, 0)]
