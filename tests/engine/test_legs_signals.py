"""Structures that follow a strategy on ticks of the index: what it does alone, and what legs do."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.app.legs_file import plan_of
from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.leg_signals import settings_of
from dhanfast.engine.legs_live import LegsRun
from dhanfast.engine.legs_replay import (
    RecordedStructure,
    StructureReplay,
    recorded_structure,
    replay_structure,
)
from dhanfast.engine.settings import Settings
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.errors import ConfigError, StrategyError, UsageError
from dhanfast.market.tickday import tick_day

DAY = dt.date(2025, 11, 17)
SECOND = 1_000_000_000
STRATEGY = '''
from dhanfast.strategies import Rules, RuleStrategy, Strategy


class Turns(RuleStrategy):
    """In with two rising bars, out with one that falls; the other way round as well."""

    def rules(self, m):
        up, down = m.close > m.close.shift(1), m.close < m.close.shift(1)
        return Rules(
            long=up & (m.close.shift(1) > m.close.shift(2)),
            short=down & (m.close.shift(1) < m.close.shift(2)),
            exit_long=down, exit_short=up, stop=80.0,
        )


class Fails(Strategy):
    """Buys at once, and raises ten bars later."""

    def on_bar(self, ctx, bar):
        if ctx.bars_held >= 10:
            raise ArithmeticError("ten bars")
        ctx.log(f"held {ctx.bars_held}")
        ctx.buy()


class Fearful(RuleStrategy):
    """Looks at India VIX."""

    def rules(self, m):
        return Rules(long=m.vix < 20)
'''
LEGS = [
    {"side": "buy", "right": "CE", "strike": "atm", "when": "long"},
    {"side": "buy", "right": "PE", "strike": "atm", "when": "short"},
]


class World(NamedTuple):
    path: Path
    ticks: RecordedStructure
    plan: StructurePlan


def plan(folder: Path, of: str = "Turns", **more: Any) -> StructurePlan:
    return plan_of({
        "underlying": "BANKNIFTY", "entry": "09:30", "late": "1m", "exit": "15:00",
        "signals": f"{folder / 'own.py'}:{of}", "timeframe": "5m", "leg": LEGS,
        "order": {"deadline": "5m"},
    } | more)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("signals")
    (folder / "own.py").write_text(STRATEGY)
    path = folder / "generated.dfa"
    day = tick_day("BANKNIFTY", DAY, seed=5, ticks=60_000, strikes=21)
    with archive_writer(path, day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    made = plan(folder)
    return World(folder, recorded_structure(made, [path]), made)


def replayed(world: World, made: StructurePlan | None = None, cut: int = 0) -> Any:
    run = StructureReplay(made or world.plan, world.ticks, Settings())
    for batch in world.ticks.open(0):
        step = cut or len(batch)
        for first in range(0, len(batch), step):
            run.feed(batch[first : first + step])
    return run.finish()


def index_ticks(world: World) -> Iterator[NDArray[Any]]:
    for batch in world.ticks.open(0):
        yield batch[batch["instrument"] == 0]


def alone(world: World) -> NDArray[Any]:
    """Trades of the strategy by itself on the index, as a run on ticks makes them."""
    result = backtest_ticks(
        world.plan.signals, index_ticks(world), symbol="BANKNIFTY", kind="IDX",
        settings=settings_of(world.plan), interval="5m",
    )  # fmt: skip
    return result.trades


def test_legs_do_what_the_strategy_does_alone_on_the_next_quotes(world: World) -> None:
    """A call while it is long, a put while it is short: in and out on the next quotes, which are
    half a minute apart."""
    trades, result = alone(world), replayed(world)
    assert len(trades) >= 6 and {1, -1} == {int(side) for side in trades["side"]}
    rights = {number: name[-2:] for number, name in result.contracts.items()}
    followed = 0
    for row in result.trades:
        before = trades[trades["entry_ns"] <= row["entry_ns"]][-1]
        assert rights[int(row["instrument"])] == ("CE" if before["side"] > 0 else "PE")
        assert int(row["side"]) == 1
        assert 0 <= row["entry_ns"] - before["entry_ns"] <= 90 * SECOND
        assert 0 <= row["exit_ns"] - before["exit_ns"] <= 90 * SECOND
        followed += 1
    assert followed == len(trades)
    told = next(note for note in result.notes if "The legs follow" in note)
    assert f"{len(trades)} trades" in told and "5m" in told


def test_batches_change_nothing(world: World) -> None:
    whole, parts = replayed(world), replayed(world, cut=997)
    assert whole.digest == parts.digest
    assert np.array_equal(whole.trades, parts.trades)


# ---- journaled, and repeated ---------------------------------------------------------------------


def run_of(world: World, path: Path, made: StructurePlan | None = None) -> LegsRun:
    header = JournalHeader(epoch=1, date=20251117, run="legs", config_digest=bytes(32),
                           created_ns=world.ticks.first_ns, text="")  # fmt: skip
    journal = Journal(str(path), sync_ns=0) if path.exists() else Journal(
        str(path), header, sync_ns=0
    )  # fmt: skip
    return LegsRun(made or world.plan, Settings(), world.ticks.universe, world.ticks.hours,
                   journal, generated=True)  # fmt: skip


def drive(run: LegsRun, ticks: NDArray[Any], second_ns: int) -> int:
    """Ticks, and every second of the market between them; the second that is next."""
    for at, now in enumerate(ticks["recv_ns"].tolist()):
        while second_ns <= now:
            run.loop.poll(second_ns)
            second_ns += SECOND
        run.loop.poll(now)
        run.loop.take_ticks(ticks[at : at + 1], now)
    return second_ns


def test_a_new_life_goes_on_with_the_same_signals(world: World, tmp_path: Path) -> None:
    ticks = np.concatenate(list(world.ticks.open(0)))
    first_ns = int(ticks["recv_ns"][0]) // SECOND * SECOND + SECOND
    whole = run_of(world, tmp_path / "whole.dfj")
    drive(whole, ticks, first_ns)
    expected = whole.finish()
    half = run_of(world, tmp_path / "half.dfj")
    at, second_ns = 0, first_ns
    for cut in (len(ticks) // 3, len(ticks) // 2):
        second_ns = drive(half, ticks[at:cut], second_ns)
        led, at = half.loop.led, cut
        half.journal.close()
        with JournalReader(str(tmp_path / "half.dfj")) as reader:
            records = [(kind, bytes(payload)) for kind, _, _, payload in reader]
        half = run_of(world, tmp_path / "half.dfj")
        half.journal.append_record(Kind.RESUME, b"{}", second_ns, vital=True)
        half.recover([*records, (Kind.RESUME, b"{}")], second_ns)
        assert half.loop.led == led
    drive(half, ticks[at:], second_ns)
    found = half.finish()
    assert len(expected.trades) >= 6
    assert found.trades.tobytes() == expected.trades.tobytes()
    assert found.orders.tobytes() == expected.orders.tobytes()


def test_what_an_operator_closes_waits_for_the_next_signal(world: World, tmp_path: Path) -> None:
    ticks = np.concatenate(list(world.ticks.open(0)))
    run = run_of(world, tmp_path / "day.dfj")
    second_ns = int(ticks["recv_ns"][0]) // SECOND * SECOND + SECOND
    at = 0
    while run.flat:
        second_ns = drive(run, ticks[at : at + 200], second_ns)
        at += 200
    led = run.loop.led
    assert led != 0 and any("is long" in note or "is short" in note for note in run.notes_now())
    run.loop.command(Command.FLATTEN, second_ns)
    sent = None
    while run.loop.led == led:
        second_ns = drive(run, ticks[at : at + 50], second_ns)
        at += 50
        if run.flat and sent is None:
            sent = run.kernel.orders_sent
        assert sent is None or run.kernel.orders_sent == sent
    assert sent is not None
    drive(run, ticks[at:], second_ns)
    assert run.kernel.orders_sent > sent


# ---- what goes wrong -----------------------------------------------------------------------------


def test_a_strategy_that_raises_is_followed_no_more(world: World) -> None:
    run = StructureReplay(plan(world.path, "Fails"), world.ticks, Settings())
    with pytest.raises(StrategyError, match="ArithmeticError: ten bars"):
        for batch in world.ticks.open(0):
            run.feed(batch)
    run.close()


def test_what_the_legs_hold_is_closed_when_it_raises(world: World, tmp_path: Path) -> None:
    ticks = np.concatenate(list(world.ticks.open(0)))
    run = run_of(world, tmp_path / "day.dfj", plan(world.path, "Fails"))
    drive(run, ticks, int(ticks["recv_ns"][0]) // SECOND * SECOND + SECOND)
    assert isinstance(run.loop.error, StrategyError) and run.flat and not run.loop.stopped
    assert run.loop.gate_state == 2
    result = run.finish()
    assert len(result.trades) == 1 and any("held 3" in text for _, text in result.log)


def test_refusals(world: World) -> None:
    with pytest.raises(ConfigError, match="India VIX, and nothing tells it"):
        StructureReplay(plan(world.path, "Fearful"), world.ticks, Settings())
    with pytest.raises(UsageError, match="nosuch"):
        StructureReplay(plan_of({"underlying": "BANKNIFTY", "signals": "nosuch", "leg": LEGS}),
                        world.ticks, Settings())  # fmt: skip
    with pytest.raises(ConfigError, match="timeframe: needs signals"):
        plan_of({"underlying": "BANKNIFTY", "timeframe": "5m",
                 "leg": [{"side": "buy", "right": "CE", "strike": "atm"}]})  # fmt: skip
    with pytest.raises(ConfigError, match="timeframe"):
        plan(world.path, timeframe="soon")


def test_the_pace_changes_nothing(world: World) -> None:
    found = replay_structure(world.plan, world.ticks, Settings(), clock=ManualClock()).run()
    assert found.digest == replayed(world).digest
