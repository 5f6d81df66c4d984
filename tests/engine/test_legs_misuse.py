"""A strategy that legs follow and that fails: it is stopped alone, the legs by the policy."""

import asyncio
from pathlib import Path

import pytest

from dhanfast._core.callwatch import CallWatch
from dhanfast._core.legorder import Stage
from dhanfast._core.types import Reason
from dhanfast.engine import seat as seats
from dhanfast.engine.legs_replay import StructureReplay
from dhanfast.engine.seat import STOPPED, Misuse
from dhanfast.engine.settings import Settings
from dhanfast.errors import BadData, StrategyError, UsageError
from tests.engine.legs_life import Life, World, world_in
from tests.engine.live_stage import now_and_here
from tests.engine.test_legs_signals import plan

STRATEGIES = '''
from dhanfast.strategies import Strategy, param


class Fails(Strategy):
    """Buys on the second bar of the entry time, and raises so many bars later."""

    after = param(4, low=1)

    def on_start(self, m):
        self.seen = 0

    def on_bar(self, ctx, bar):
        self.seen += 1
        if ctx.bars_held >= self.after:
            self.misbehave(ctx)
        ctx.buy(stop=900.0)

    def misbehave(self, ctx):
        raise ArithmeticError("bars enough")


class Hangs(Fails):
    """The same, and does not return."""

    def misbehave(self, ctx):
        while True:
            pass


class Early(Strategy):
    """Buys, and raises on a tick after that: before the structure is whole, or soon after."""

    after = param(1, low=1)

    def on_start(self, m):
        self.ticks = 0

    def on_tick(self, ctx, tick):
        if ctx.position:
            self.ticks += 1
            if self.ticks == self.after:
                raise ArithmeticError("too early")
        else:
            ctx.buy()


class Filled(Strategy):
    """Raises on its own fill."""

    def on_bar(self, ctx, bar):
        ctx.buy()

    def on_fill(self, ctx, fill):
        raise ArithmeticError("filled")


class Calm(Strategy):
    """Keeps what it finds, and leaves on its third bar."""

    def on_start(self, m):
        self.seen = 0

    def on_bar(self, ctx, bar):
        self.seen += ctx.position != 0
        if self.seen == 3:
            ctx.exit()


class Mends(Strategy):
    """Buys whenever it is flat."""

    def on_bar(self, ctx, bar):
        ctx.buy()
'''


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_in(tmp_path_factory.mktemp("misuse"), STRATEGIES)


def test_flatten_closes_the_legs_and_the_engine_lives(world: World, tmp_path: Path) -> None:
    life = Life(world, tmp_path / "day.dfj", "Fails")
    life.on(lambda: not life.run.flat).on(lambda: bool(life.seat.stopped))
    assert "Fails raised: ArithmeticError: bars enough" in life.seat.stopped
    assert life.run.barred == STOPPED and life.run.loop.gate_state == 1
    assert any("mend it" in note for note in life.run.notes_now())
    life.on()
    assert life.run.flat and life.run.loop.error is None and not life.run.loop.stopped
    assert life.run.loop.led == 0
    (stop,) = life.words
    assert (stop["op"], stop["why"], stop["way"]) == ("stop", "raised", "flatten")
    result = life.run.finish()
    assert [int(row["exit_reason"]) for row in result.trades] == [Reason.RISK_EXIT]
    assert any("more than one strategy decided" in note for note in result.notes)
    assert any("what was held is closed" in text for _, text in result.log)


def test_keep_leaves_the_legs_to_their_own_exits(world: World, tmp_path: Path) -> None:
    life = Life(world, tmp_path / "day.dfj", "Fails", "keep")
    life.on(lambda: not life.run.flat).on(lambda: bool(life.seat.stopped))
    held, orders = life.run.positions(), life.run.kernel.orders_sent
    assert held and life.run.loop.gate_state == 1
    life.on(lambda: life.run.flat)
    assert life.run.kernel.orders_sent == orders + 1  # the exit at its time, and nothing else
    life.on()
    (trade,) = life.run.finish().trades
    assert int(trade["exit_reason"]) == Reason.TIME_EXIT


def test_stop_ends_the_engine_with_the_legs_closed(world: World, tmp_path: Path) -> None:
    life = Life(world, tmp_path / "day.dfj", "Fails", "stop")
    life.on()
    assert isinstance(life.run.loop.error, StrategyError) and life.run.flat
    assert life.run.loop.gate_state == 2 and not life.run.loop.stopped


@pytest.mark.parametrize("way", ["flatten", "keep"])
@pytest.mark.parametrize("of", ["Fails", "Early", "Filled"])
def test_a_restart_at_any_time_is_the_same_day(
    world: World, tmp_path: Path, of: str, way: str
) -> None:
    whole = Life(world, tmp_path / "whole.dfj", of, way).on()
    assert whole.seat.stops == 1
    half = Life(world, tmp_path / "half.dfj", of, way)
    half.on(lambda: bool(half.seat.stopped), step=1)
    before = half.figures
    for step in (1, 7, 400, 3_000):
        half = half.again()
        assert half.figures == before
        end = half.at + step
        half.on(lambda end=end, life=half: life.at >= end, step=1)  # type: ignore[misc]
        before = half.figures
    assert half.on().figures == whole.figures


@pytest.mark.parametrize("after", [1, 2, 3, 40])
def test_kept_legs_are_whole_or_not_there(world: World, tmp_path: Path, after: int) -> None:
    """A condor whose leader fails on the way in: what is not whole is taken back."""
    legs = [
        {"side": side, "right": right, "strike": strike, "when": "long"}
        for side, right, strike in (
            ("buy", "CE", "atm+4"),
            ("sell", "CE", "atm+1"),
            ("buy", "PE", "atm-4"),
            ("sell", "PE", "atm-1"),
        )
    ]
    made = plan(world.path, "Early", leg=legs, params={"after": after})
    life = Life(world, tmp_path / "day.dfj", "Early", "keep", made=made)
    life.on(lambda: bool(life.seat.stopped), step=1)
    assert life.seat.stopped
    life.on(lambda: life.run._run.stage == Stage.REST and not life.run.loop.works, step=1)
    assert len(life.run.positions()) in (0, 4)
    life.on()
    assert life.run.flat and life.run._run.uncovered_max == 0


def test_what_hangs_is_ended_and_does_not_hang_again(world: World, tmp_path: Path) -> None:
    with CallWatch(30_000_000, "test", -1) as watch:
        life = Life(world, tmp_path / "day.dfj", "Hangs", watch=watch)
        life.on(lambda: bool(life.seat.stopped))
        assert "Hangs ran too long" in life.seat.stopped and watch.signals == 1
        before = life.figures
        life = life.again()
        assert watch.signals == 1 and life.figures == before
    assert life.on().run.flat and life.words[0]["why"] == "hung"


def test_what_eats_memory_is_stopped(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(world, tmp_path / "day.dfj", "Mends")
    life.seat.misuse = Misuse("flatten", 1 << 20)
    life.on(lambda: not life.run.flat)
    monkeypatch.setattr(seats, "own_bytes", lambda: 10 << 20)
    life.seat.look()
    monkeypatch.setattr(seats, "own_bytes", lambda: 20 << 20)
    life.seat.look()
    assert "took too much memory" in life.seat.stopped
    before = life.figures
    life = life.again()
    assert life.figures == before
    assert life.on().run.flat and life.words[0]["why"] == "memory"


def test_another_strategy_takes_the_legs_over(world: World, tmp_path: Path) -> None:
    life = Life(world, tmp_path / "day.dfj", "Mends")
    life.on(lambda: bool(life.run.positions()))
    held, sent = life.run.positions(), life.run.kernel.orders_sent
    said = life.swap("Calm")
    assert "Calm decides from here on" in said["text"] and life.run.positions() == held
    assert life.run.decider("condor") == "condor after Calm"
    assert life.run.kernel.orders_sent == sent and life.run.loop.led == 1
    before = life.figures
    life = life.again()
    assert life.figures == before
    life.on(lambda: life.run.loop.led == 0)
    life.on(lambda: life.run.flat)
    assert life.run.kernel.orders_sent == sent + 1
    trades, _ = life.run.rows_so_far()
    assert [int(row["exit_reason"]) for row in trades] == [Reason.EXIT_SIGNAL]


def test_a_newcomer_that_fails_at_once_gives_the_legs_back(world: World, tmp_path: Path) -> None:
    life = Life(world, tmp_path / "day.dfj", "Mends")
    life.on(lambda: bool(life.run.positions()))
    held = life.run.positions()
    life.swap("Early")
    life.on(lambda: life.seat.rollbacks == 1)
    assert life.seat.now.name == "Mends" and not life.seat.stopped
    assert life.run.positions() == held and life.run.loop.gate_state == 0
    before = life.figures
    life = life.again()
    assert life.figures == before
    life.on()
    (trade,) = life.run.finish().trades
    assert int(trade["exit_reason"]) == Reason.TIME_EXIT


def test_one_that_is_mended_enters_again(world: World, tmp_path: Path) -> None:
    life = Life(world, tmp_path / "day.dfj", "Fails")
    life.on(lambda: bool(life.seat.stopped)).on(lambda: life.run.flat)
    life.swap("Mends")
    assert life.run.barred == "" and not life.seat.stopped
    life.resume()
    life.on(lambda: not life.run.flat)
    assert not life.run.flat
    life.on()
    assert [int(row["exit_reason"]) for row in life.run.finish().trades] == [
        Reason.RISK_EXIT, Reason.TIME_EXIT]  # fmt: skip


def test_a_replay_by_the_same_policy_is_the_paper_day(world: World, tmp_path: Path) -> None:
    paper = Life(world, tmp_path / "day.dfj", "Fails").on().run.finish()
    replay = StructureReplay(plan(world.path, "Fails"), world.ticks, Settings(), Misuse("flatten"))
    for batch in world.ticks.open(0):
        replay.feed(batch)
    found = replay.finish()
    assert len(paper.trades) == 1
    assert found.trades.tobytes() == paper.trades.tobytes()
    assert found.orders.tobytes() == paper.orders.tobytes()


def test_refused_newcomers_change_nothing(world: World, tmp_path: Path) -> None:
    life = Life(world, tmp_path / "day.dfj", "Mends")
    life.on(lambda: bool(life.run.positions()))
    before = life.figures
    with pytest.raises(UsageError, match="Nobody"):
        life.swap("Nobody")
    (world.path / "volume.py").write_text(
        "from dhanfast.strategies import Rules, RuleStrategy\n\n\nclass Loud(RuleStrategy):\n"
        "    def rules(self, m):\n        return Rules(long=m.obv() > 0)\n"
    )
    with pytest.raises(BadData, match="volume"):
        asyncio.run(life.seat.swap(str(world.path / "volume.py"), {}, wall_ns=lambda: 0,
                                   beside=now_and_here))  # fmt: skip
    assert life.figures == before and life.words == []
