"""The broker's own exit on profit or loss: set, read back, watched, and never set twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.journal import Kind
from dhanfast.brokers.base import Accepted, Refused, Unknown
from dhanfast.brokers.dhan.answers_account import PnlExitState
from dhanfast.engine.belt import BELT, NEVER, Belt, BeltPlan, BeltState, was_set
from dhanfast.engine.live_view import LiveView
from dhanfast.errors import DhanfastError
from tests.engine.live_stage import Stage, records_of

LOSS, PROFIT = 1_000_000, 2_500_000
PLAN = BeltPlan(LOSS, PROFIT)


class Broker:
    """An account with an exit that may be refused, cleared, or not answer."""

    def __init__(self) -> None:
        self.status, self.profit, self.loss = "DISABLED", 0, 0
        self.outcome: Any = Accepted()
        self.silent: DhanfastError | None = None
        self.asked: list[Any] = []

    async def set_pnl_exit(self, settings: Any) -> Any:
        self.asked.append(settings)
        if self.silent is not None:
            raise self.silent
        if not isinstance(self.outcome, Refused):
            self.status, self.profit, self.loss = "ACTIVE", settings.profit, settings.loss
        return self.outcome

    async def pnl_exit(self) -> Any:
        if self.silent is not None:
            raise self.silent
        return PnlExitState(status=self.status, profit=self.profit, loss=self.loss,
                            products=("INTRADAY",), kill_switch=False)  # fmt: skip


def stage_of(folder: Path, broker: Broker, plan: BeltPlan = PLAN, **given: Any) -> Stage:
    stage = Stage(folder, {}, live=True)
    stage.engine.belt = Belt(broker, stage.clock, plan, **given)
    return stage


def belt_of(stage: Stage) -> Belt:
    assert stage.engine.belt is not None
    return stage.engine.belt


def notes_of(stage: Stage) -> list[dict[str, Any]]:
    notes = (json.loads(words) for kind, words in records_of(stage.path) if kind == Kind.NOTE)
    return [note for note in notes if "belt" in note]


def refused() -> Refused:
    return Refused(code="DH-905", text="not for you")


def test_it_is_set_once_read_back_and_lets_entries_go(tmp_path: Path) -> None:
    broker = Broker()
    stage = stage_of(tmp_path, broker)

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        await stage.wait(300)
        assert belt_of(stage).state is BeltState.SET and stage.engine.notes == []

    stage.play(act)
    (asked,) = broker.asked
    assert (asked.loss, asked.profit, asked.products) == (LOSS, PROFIT, ("INTRADAY",))
    assert notes_of(stage) == [
        {"belt": "set", "wanted": "loss 10,000, profit 25,000", "said": ""}
    ]  # fmt: skip
    assert broker.status == "ACTIVE", "it is left on: it ends with the broker's day"


def test_an_amount_that_nobody_wants_is_out_of_reach(tmp_path: Path) -> None:
    broker = Broker()
    stage = stage_of(tmp_path, broker, BeltPlan(LOSS, 0, products=("DELIVERY",), kill=True))

    async def act() -> None:
        await stage.until(lambda: belt_of(stage).state is BeltState.SET, 10)

    stage.play(act)
    assert (broker.asked[0].profit, broker.asked[0].kill_switch) == (NEVER, True)
    assert broker.asked[0].products == ("DELIVERY",)


@pytest.mark.parametrize("holds", [True, False])
def test_what_is_refused_is_said_asked_again_and_holds_or_not(tmp_path: Path, holds: bool) -> None:
    broker = Broker()
    broker.outcome = refused()
    stage = stage_of(tmp_path, broker, BeltPlan(LOSS, PROFIT, holds=holds))

    async def act() -> None:
        await stage.wait(130)
        assert belt_of(stage).state is BeltState.REFUSED and len(broker.asked) == 3
        assert stage.engine.holds == ({BELT} if holds else set())
        assert stage.engine.notes == [
            "the broker's P&L exit: the broker refuses it: DH-905 not for you"
        ]  # fmt: skip
        broker.outcome = Accepted()
        await stage.wait(60)
        assert belt_of(stage).state is BeltState.SET
        assert stage.engine.holds == set() and stage.engine.notes == []

    stage.play(act)
    assert [note["belt"] for note in notes_of(stage)] == ["refused", "set"], "once a change"


def test_an_answer_that_says_nothing_is_settled_by_reading(tmp_path: Path) -> None:
    broker = Broker()
    broker.outcome = Unknown(cause="time-out")
    stage = stage_of(tmp_path, broker)

    async def act() -> None:
        await stage.until(lambda: belt_of(stage).state is BeltState.SET, 10)

    stage.play(act)
    assert len(broker.asked) == 1


@pytest.mark.parametrize("change", [{"status": "DISABLED"}, {"loss": 9 * LOSS}, {"profit": 5}])
def test_once_off_it_stays_off_and_nobody_trades_on(tmp_path: Path, change: dict[str, Any]) -> None:
    """It fired, or a person took it off: setting it anew might close everything again."""
    broker = Broker()
    stage = stage_of(tmp_path, broker)

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        for name, value in change.items():
            setattr(broker, name, value)
        await stage.wait(61)
        assert belt_of(stage).state is BeltState.OFF and stage.engine.holds == {BELT}
        await stage.wait(600)
        assert len(broker.asked) == 1 and len(stage.engine.notes) == 1

    stage.play(act)
    assert [note["belt"] for note in notes_of(stage)] == ["set", "off"]


def test_a_look_without_an_answer_does_not_let_go_nor_hold(tmp_path: Path) -> None:
    broker = Broker()
    stage = stage_of(tmp_path, broker)

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        broker.silent = DhanfastError("no route")
        await stage.wait(61)
        assert belt_of(stage).state is BeltState.SET and stage.engine.holds == set()
        assert "not confirmed: no route" in stage.engine.notes[0]
        broker.silent = None
        await stage.wait(61)
        assert stage.engine.notes == []

    stage.play(act)


def test_a_restart_does_not_set_what_was_set(tmp_path: Path) -> None:
    broker = Broker()
    assert was_set([{"holds": []}, {"belt": "refused"}]) is False
    assert was_set([{"belt": "set"}, {"belt": "off"}]) and was_set([{"belt": "off"}])
    stage = stage_of(tmp_path, broker, was_set=True)

    async def act() -> None:
        await stage.wait(130)
        assert belt_of(stage).state is BeltState.OFF and stage.engine.holds == {BELT}

    stage.play(act)
    assert broker.asked == []


def test_the_status_shows_it(tmp_path: Path) -> None:
    stage = stage_of(tmp_path, Broker())
    view = LiveView(stage.engine, run="main", mode="live", strategy="s", instrument="i",
                    timeframe="1m")  # fmt: skip

    async def act() -> None:
        assert view.status()["belt"].startswith("P&L exit not set yet")
        await stage.until(lambda: not stage.engine.holds, 10)
        assert view.status()["belt"] == "P&L exit set: loss 10,000, profit 25,000"

    stage.play(act)
