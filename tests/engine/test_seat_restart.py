"""What a restart makes of swaps and of strategies that failed. In virtual time."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.journal import Kind
from dhanfast.engine.seat import Misuse
from dhanfast.errors import BadData
from tests.engine.live_stage import Stage, records_of
from tests.engine.seat_stand import (
    FAILS,
    LOT,
    again,
    figures,
    inputs_of,
    strategy,
)  # fmt: skip

# ---- restarts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_a_restart_repeats_swaps_saved_states_stops_and_rollbacks(
    tmp_path: Path, live: bool
) -> None:
    first = strategy(tmp_path, "One", save="{'n': len(self.bars)}")
    two = strategy(tmp_path, "Two", save="{'n': len(self.bars), 'had': self.loaded}",
                   on_bar="if len(self.bars) == 4: raise ValueError('four')")  # fmt: skip
    bad = strategy(tmp_path, "Bad", on_bar="if ctx.can_enter: raise ValueError('first')")
    seat = {"misuse": Misuse("keep")}
    stage = Stage(tmp_path, first, live=live, params={"enter": 1}, seat=seat)
    seen: list[tuple[Any, ...]] = []

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.engine.command("swap", strategy=two, params='{"enter": 2}')
        await stage.wait(65)
        await stage.engine.command("swap", strategy=bad)
        await stage.until(lambda: stage.run.seat.rollbacks == 1, 90)
        await stage.until(lambda: stage.run.seat.stops == 1, 300)
        await stage.wait(2)
        await stage.engine.command("swap", strategy=first)
        Path(first).write_text("# it says something else now")
        await stage.wait(70)
        seen.append(figures(stage))
        stage.engine.stop(at_once=True)

    stage.engine.plan = type(stage.engine.plan)(flatten_on_stop=False)
    stage.play(act)
    assert [told["op"] for told in inputs_of(stage.path)] == [
        "swap", "swap", "stop", "stop", "swap"]  # fmt: skip
    source = stage.run.seat._sources
    stage.journal.close()
    text = next(text for text in source.values() if b"class One" in text)
    after = Stage(tmp_path, first, live=live, params={"enter": 1}, start="09:50",
                  broker=stage.broker, seat={**seat, "source": text})  # fmt: skip
    after.loop.close()
    assert figures(after) == seen[0]


def test_a_callback_that_hung_is_not_called_again_by_a_restart(tmp_path: Path) -> None:
    """What was stopped from outside would not stop by itself: the journal's word ends it."""
    first = strategy(tmp_path, "One", on_bar="import os; os.environ.get('X') or self.hang()")
    Path(first).write_text(
        Path(first).read_text() + "\n    def hang(self):\n        if len(self.bars) == 2:\n"
        "            raise CallbackOverdue('it ran longer than 1 s')\n"
    )
    Path(first).write_text(
        "from dhanfast.errors import CallbackOverdue\n" + Path(first).read_text()
    )
    stage = Stage(tmp_path, first, params={"enter": 1}, seat={"misuse": Misuse("flatten")})

    async def act() -> None:
        await stage.until(lambda: stage.run.seat.stops == 1, 200)

    stage.play(act)
    (told,) = inputs_of(stage.path)
    assert told["why"] == "hung" and told["call"] == 3, "bar, fill, bar"
    Path(first).write_text(
        Path(first).read_text().replace("raise Callback", "while True: Callback")
    )
    after = again(stage, tmp_path, first, params={"enter": 1}, seat={"misuse": Misuse("flatten")})
    after.loop.close()
    assert after.run.seat.stopped == "one ran too long: CallbackOverdue: it ran longer than 1 s"


def test_a_kill_between_a_failure_and_its_record(tmp_path: Path) -> None:
    """The journal ends with the input on which it raised: the restart finds it, and says so."""
    first = strategy(tmp_path, "One", on_bar=FAILS)
    stage = Stage(tmp_path, first, live=True, params={"enter": 1},
                  seat={"misuse": Misuse("flatten")})  # fmt: skip

    async def act() -> None:
        await stage.until(lambda: stage.run.seat.stops == 1, 300)
        await stage.until(lambda: stage.position == 0, 30)

    stage.play(act)
    records = records_of(stage.path)
    cut = next(at for at, (kind, _) in enumerate(records) if kind == Kind.STRATEGY)
    stage.journal.close()
    for name in ("short", "whole"):
        (tmp_path / name).mkdir()
    outcomes = []
    for name, until in (("short", cut), ("whole", cut + 1)):
        folder = tmp_path / name
        fresh = Stage(folder, first, live=True, params={"enter": 1},
                      seat={"misuse": Misuse("flatten")})  # fmt: skip
        fresh.run.recover(records[:until], fresh.clock.now_ns())
        fresh.loop.close()
        outcomes.append((fresh.run.seat.stopped, [told["way"] for told in inputs_of(fresh.path)],
                         fresh.run.kernel.orders_sent))  # fmt: skip
    assert outcomes[0][1] == ["flatten"] and outcomes[1][1] == []
    assert outcomes[0][0] == outcomes[1][0] == "one raised: RuntimeError: third"
    assert outcomes[0][2] == outcomes[1][2] == 4, "entry, stop, target, exit"


def test_a_strategy_of_the_journal_that_has_changed_is_told(tmp_path: Path) -> None:
    first = strategy(tmp_path, "One")
    stage = Stage(tmp_path, first)

    async def act() -> None:
        await stage.wait(6)
        await stage.engine.command("swap", strategy="momentum")

    stage.play(act)
    records = [
        (
            kind,
            payload.replace(b'"sha256": "', b'"sha256": "0') if kind == Kind.STRATEGY else payload,
        )
        for kind, payload in records_of(stage.path)
    ]
    stage.journal.close()
    (tmp_path / "b").mkdir()
    other = Stage(tmp_path / "b", first)
    with pytest.raises(BadData, match="momentum cannot be brought back: its code, or the program"):
        other.run.recover(records, other.clock.now_ns())
    other.loop.close()
