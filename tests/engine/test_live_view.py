"""What faces see of a live engine: words and figures that are true, on paper and at a broker."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.records import IntentKind
from dhanfast.engine.live_engine import DIFFERS, LivePlan
from dhanfast.engine.live_view import LiveView
from dhanfast.engine.status import EngineStatus, OrderLine, PositionLine, read_record
from dhanfast.errors import DhanfastError
from tests.engine.live_stage import PRICE, Stage

LOT = 30
COST = 120  # paise from the last price to a fill: half the spread, and one tick


def view_of(stage: Stage) -> LiveView:
    return LiveView(stage.engine, run="main", mode="live", strategy="mine", instrument="X",
                    timeframe="1m", day_loss_max=5)  # fmt: skip


def told(view: LiveView) -> EngineStatus:
    status: EngineStatus = read_record(view.status(), EngineStatus)
    return status


def test_a_status_tells_what_the_engine_is(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"})
    view = view_of(stage)

    async def act() -> None:
        first = told(view)
        assert (first.state, first.feed, first.feed_age_ms) == ("starting", "connected", -1)
        assert first.broker == "simulated" and first.notes == ("entries wait: no market data",)
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(2)
        now = told(view)
        assert (now.state, now.held, now.trades, now.bars) == ("trading", LOT, 0, 1)
        assert (now.orders_sent, now.orders_filled, now.orders_working) == (3, 1, 2)
        assert now.average == PRICE + COST and now.last == PRICE and now.day_loss_max == 5
        assert now.unrealised == -COST * LOT and now.charges > 0 and now.result < 0
        assert 1_000 <= now.feed_age_ms <= 5_000 and now.packets == stage.run.loop.inputs
        assert now.journal == str(stage.path) and now.journal_bytes == stage.journal.bytes
        (position,) = (read_record(one, PositionLine) for one in view.positions())
        assert position.qty == LOT and position.stop < PRICE < position.target

    stage.play(act)
    done = told(view)
    assert (done.state, done.held, done.trades, done.feed) == ("stopping", 0, 1, "off")
    assert done.realised == -2 * COST * LOT and done.unrealised == 0


@pytest.mark.parametrize(
    ("command", "state"), [("pause", "paused"), ("flatten", "paused"), ("panic", "closed")]
)
def test_a_command_shows_in_one_word(tmp_path: Path, command: str, state: str) -> None:
    stage = Stage(tmp_path, {})
    view = view_of(stage)

    async def act() -> None:
        await stage.wait(70)
        assert view.state == "trading"
        await view.command(command)
        assert view.state == state and told(view).notes == ()

    stage.play(act)


def test_a_lost_and_a_mute_feed_have_their_words(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {})
    view = view_of(stage)

    async def act() -> None:
        await stage.wait(70)
        stage.feed.stale = 1
        assert told(view).feed == "mute"
        stage.feed.stale, stage.feed.silent = 0, True
        stage.run.loop.tell_event(1, stage.clock.now_ns())
        await stage.wait(0.1)
        now = told(view)
        assert (now.feed, now.state) == ("lost", "exits only")
        assert now.notes == ("entries wait: no market data",)

    stage.play(act)


def test_a_broker_has_its_words_and_an_order_in_doubt_is_unknown(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True, plan=LivePlan(reconcile_s=5))
    view = view_of(stage)
    served = stage.broker.serve

    def lost(intent: dict[str, Any]) -> dict[str, Any]:
        fields = served(intent)
        stage.broker.take_said()  # nothing of it is told
        return {"outcome": 3, "code": -110} if intent["kind"] == IntentKind.PLACE else fields

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        assert told(view).broker == "connected"
        stage.broker.serve = lost  # type: ignore[method-assign]
        await stage.until(lambda: told(view).orders_unknown, 90)
        (order,) = (read_record(one, OrderLine) for one in view.orders())
        assert (order.state, order.side, order.kind, order.qty) == ("unknown", "BUY", "limit", LOT)
        stage.broker.serve = served  # type: ignore[method-assign]
        await stage.until(lambda: not told(view).orders_unknown, 30)
        stage.account.error = DhanfastError("502")
        await stage.until(lambda: told(view).broker == "lost", 20)
        stage.account.error = None
        stage.account.stray = 5 * LOT
        await stage.until(lambda: DIFFERS in stage.engine.holds, 30)
        notes = told(view).notes
        assert "entries wait: the broker's books differ" in notes
        assert any("the broker holds" in note for note in notes)
        stage.account.stray = 0

    stage.play(act)
    assert stage.position == stage.broker.position == 0
