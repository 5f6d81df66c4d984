"""One account, one budget: what the engine sends and what others send count in one place."""

import asyncio
from pathlib import Path

import pytest

from dhanfast._core.live.inputs import Command
from dhanfast.brokers.dhan.limits import CallClass, Limits
from dhanfast.engine.live import RunOrders
from tests.engine.live_stage import Stage, commands_of

DAY = 2**63 - 1


def test_calls_of_others_use_up_the_engines_budget_and_the_other_way_round(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)
    limits = Limits(stage.clock)
    limits.share(RunOrders(stage.run, stage.clock))

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        remote = stage.run.remote
        assert remote is not None and remote.requests_today == 0
        for _ in range(8):
            assert limits.take(CallClass.ORDER) == 0
        assert remote.requests_today == 8
        assert 0 < limits.take(CallClass.ORDER) <= 10**9, "the ninth is kept for a way out"
        assert limits.take(CallClass.ORDER, urgent=True) == 0
        assert 0 < limits.take(CallClass.ORDER, urgent=True) <= 10**9
        assert await limits.taken(CallClass.ORDER, urgent=True, patience_s=2) == 0
        assert limits.take(CallClass.OTHER) == 0 and remote.requests_today == 10
        await stage.until(lambda: stage.position, 90)
        assert remote.requests_today >= 12, "entry and stop"
        assert limits.used_today(CallClass.ORDER) == 10

    stage.play(act)
    assert commands_of(stage.path).count("SPENT") == 10


def test_what_others_spent_outlives_a_restart(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, live=True)

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        RunOrders(stage.run, stage.clock).spend(240)

    stage.play(act)
    stage.journal.close()
    again = Stage(tmp_path, {}, live=True, start="09:30:10")
    assert again.run.remote is not None and again.run.remote.requests_today == 240
    assert again.run.remote.wait_of(again.clock.now_ns(), urgent=True) > 40 * 10**9
    again.loop.close()
    again.journal.close()


def test_a_day_that_is_used_up_waits_for_midnight_and_no_longer(tmp_path: Path) -> None:
    class Nothing:
        spent = 0

        def wait_ns(self, *, urgent: bool) -> int:
            return DAY

        def prepay(self, *, urgent: bool) -> int:
            return DAY

        def spend(self, count: int) -> None:
            self.spent += count

    stage = Stage(tmp_path, {})
    limits, nothing = Limits(stage.clock), Nothing()
    limits.share(nothing)
    wait_ns = limits.take(CallClass.ORDER)
    assert wait_ns == pytest.approx(14.5 * 3_600 * 10**9) and nothing.spent == 0
    assert asyncio.run(limits.taken(CallClass.ORDER, patience_s=1)) == wait_ns
    limits.note(CallClass.ORDER, 3)
    assert nothing.spent == 3
    stage.loop.close()
    stage.journal.close()


def test_a_command_of_spending_has_no_effect_on_paper(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {})
    stage.run.loop.command(Command.SPENT, stage.clock.now_ns(), units=3)
    assert stage.run.loop.error is None
    stage.loop.close()
    stage.journal.close()
