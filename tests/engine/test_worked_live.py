"""Worked orders in a live engine: what presses goes on pressing, whatever the broker does."""

from pathlib import Path

import pytest

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.records import Seen
from dhanfast.engine.execution_settings import ExecutionSettings
from dhanfast.engine.settings import Settings

from .live_stage import SECOND, Stage

LOT = 30  # of BANKNIFTY since January 2026
WAITS = ExecutionSettings(
    algo="slice", entries=False, style="passive", reprice_ns=0, horizon_ns=600 * SECOND
)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("seen", [Seen.REJECTED, Seen.CANCELLED])
def test_an_exit_that_the_broker_ends_presses_again(seen: Seen, times: int, tmp_path: Path) -> None:
    """By signal it waits for its price; an operator says out, and the broker ends the order. The
    next one does not wait for a price again."""
    stage = Stage(tmp_path, {1: "buy", 2: "exit"}, live=True, settings=Settings(execution=WAITS))
    kernel = stage.run.kernel

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.until(lambda: bool(kernel.broker.parents_now()), 90)
        await stage.wait(1)
        assert [one["state"] for one in kernel.broker.parents_now()] == ["working"]
        stage.feed.silent = True
        stage.run.loop.command(Command.FLATTEN, stage.clock.now_ns())
        for _ in range(times):
            await stage.wait(0.3)
            for order in [one for one in stage.broker.orders.values() if one.live]:
                stage.broker.end(order, seen)
            stage.deliver()
        await stage.wait(4)
        states = [one["state"] for one in kernel.broker.parents_now()]
        assert "working" not in states, "told to leave, it waits for its price again"
        stage.feed.silent = False
        await stage.until(lambda: stage.position == 0, 12)

    stage.play(act)
    assert stage.position == 0 and kernel.position == 0
