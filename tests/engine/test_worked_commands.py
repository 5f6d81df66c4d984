"""Pausing, resuming and cancelling what an algorithm works, on a paper engine in virtual time."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast.engine.execution_settings import ExecutionSettings
from dhanfast.engine.live_engine import LivePlan
from dhanfast.engine.live_view import LiveView
from dhanfast.engine.settings import Settings
from dhanfast.engine.status import EngineStatus, read_record
from dhanfast.errors import DhanfastError
from tests.engine.live_stage import SECOND, Stage, commands_of

LOT = 30
LOTS = 12
# A lot every ten seconds, at the market.
TWAP = Settings(
    lots=LOTS,
    capital=10**12,
    execution=ExecutionSettings(
        algo="twap", horizon_ns=120 * SECOND, interval_ns=10 * SECOND, style="urgent", exits=True
    ),
)


def parents(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stage.run.kernel.broker.parents_now()
    return found


def notes(stage: Stage) -> tuple[str, ...]:
    view = LiveView(stage.engine, run="main", mode="paper", strategy="mine", instrument="X",
                    timeframe="1m", day_loss_max=5)  # fmt: skip
    status: EngineStatus = read_record(view.status(), EngineStatus)
    return status.notes


def test_a_pause_stops_the_schedule_and_a_resume_catches_up(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, settings=TWAP)

    async def act() -> None:
        await stage.until(lambda: stage.position >= 2 * LOT, 120)
        said = await stage.engine.command("pause-orders")
        assert said["worked"] == 1 and "paused, 1 order at work" in said["text"]
        assert notes(stage) == ("algorithms are paused, 1 order at work: `dhanfast orders resume`",)
        await stage.wait(6)
        held = stage.position
        await stage.wait(40)
        assert stage.position == held and parents(stage)[0]["out"] == 0
        said = await stage.engine.command("resume-orders")
        assert said == {"text": "algorithms go on, 1 order at work", "worked": 1}
        assert notes(stage) == ()
        await stage.wait(6)  # what four steps of ten seconds missed is sent at once
        assert stage.position >= held + 4 * LOT
        await stage.until(lambda: stage.position == LOTS * LOT, 120)
        assert parents(stage) == []

    stage.play(act)
    assert [one for one in commands_of(stage.path) if one.endswith("_ORDERS")] == [
        "PAUSE_ORDERS",
        "RESUME_ORDERS",
    ]


def test_a_cancel_ends_an_entry_with_what_it_has(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, settings=TWAP)

    async def act() -> None:
        await stage.until(lambda: stage.position >= 3 * LOT, 120)
        said = await stage.engine.command("cancel-orders")
        assert said["text"].startswith("1 order told to end, ")
        await stage.wait(6)
        held = stage.position
        assert parents(stage) == [] and 3 * LOT <= held < LOTS * LOT
        assert stage.run.kernel.stop_id != 0, "what is held keeps its stop"
        await stage.wait(150)
        assert stage.position == held

    stage.play(act)


def test_a_cancel_lets_an_exit_leave_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy", 5: "exit"}, settings=TWAP)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOTS * LOT, 200)
        await stage.until(lambda: 0 < stage.position <= (LOTS - 2) * LOT, 200)
        assert parents(stage)[0]["side"] == -1
        await stage.engine.command("cancel-orders")
        await stage.wait(6)  # the next tick
        assert stage.position == 0 and parents(stage) == []

    stage.play(act)


def test_a_pause_outlives_a_restart(tmp_path: Path) -> None:
    """The journal repeats the command: the next life holds the same, is paused and can go on."""
    stays = LivePlan(flatten_on_stop=False)
    first = Stage(tmp_path, {1: "buy"}, settings=TWAP, plan=stays)

    async def act() -> None:
        await first.until(lambda: first.position >= 2 * LOT, 120)
        await first.engine.command("pause-orders")
        await first.wait(12)

    first.play(act)
    first.journal.close()
    again = Stage(tmp_path, {1: "buy"}, settings=TWAP, plan=stays, start="09:32")
    assert again.run.kernel.broker.paused and again.position == first.position >= 2 * LOT

    async def go_on() -> None:
        assert any(note.startswith("algorithms are paused") for note in notes(again))
        assert (await again.engine.command("resume-orders"))["text"].startswith("algorithms go on")
        assert not again.run.kernel.broker.paused

    again.play(go_on)


@pytest.mark.parametrize("name", ["pause-orders", "resume-orders", "cancel-orders"])
def test_without_an_algorithm_the_words_are_refused(tmp_path: Path, name: str) -> None:
    stage = Stage(tmp_path, {})

    async def act() -> None:
        with pytest.raises(DhanfastError, match=f"{name}: no algorithm works orders"):
            await stage.engine.command(name)

    stage.play(act)
    assert not [one for one in commands_of(stage.path) if one.endswith("_ORDERS")]
