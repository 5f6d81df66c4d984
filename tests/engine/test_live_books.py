"""LiveEngine beside the broker's books: what agrees, what differs, a broker that is away."""

from pathlib import Path

import pytest

from dhanfast._core.live.lines import Odd
from dhanfast._core.live.records import Seen
from dhanfast.engine.live_engine import (
    DIFFERS,
    LOGIN,
    UNANSWERED,
    UPDATES,
    LivePlan,
)  # fmt: skip
from dhanfast.engine.odd_events import ODD_WORDS, USUAL
from dhanfast.errors import DhanfastError, NotAuthenticated
from tests.core.live.plain_broker import Held, PlainBroker
from tests.engine.live_stage import PRICE, Stage

LOT = 30  # of BANKNIFTY since January 2026


def test_comparing_twice_changes_nothing_more(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(3)
        sent = len(stage.courier.sent)  # type: ignore[union-attr]
        rows = [one.tobytes() for one in stage.run.rows_so_far()]
        for _ in range(3):
            assert await stage.engine.reconcile()
        assert len(stage.courier.sent) == sent  # type: ignore[union-attr]
        assert [one.tobytes() for one in stage.run.rows_so_far()] == rows
        assert stage.position == LOT and not stage.engine.holds

    stage.play(act)


def test_nothing_is_compared_while_a_request_has_no_answer(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True, plan=LivePlan(reconcile_s=1, flat_s=2))

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        assert stage.courier is not None
        stage.courier.dead = True
        await stage.until(lambda: stage.courier.sent, 90)  # type: ignore[union-attr]
        stage.account.stray = LOT
        before = stage.engine.reconciled_ns
        for _ in range(5):
            assert not await stage.engine.reconcile()
        assert stage.engine.reconciled_ns == before and DIFFERS not in stage.engine.holds

    with pytest.raises(DhanfastError, match="1 of its orders still work"):
        stage.play(act)


def test_units_closed_elsewhere_are_booked_at_their_price(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(3)
        stage.account.trade(-1, LOT, PRICE + 2_000)
        await stage.engine.reconcile()
        assert stage.position == LOT, "one look is not believed"
        await stage.engine.reconcile()
        assert stage.position == 0 and DIFFERS not in stage.engine.holds
        await stage.until(lambda: not any(o.live for o in stage.broker.orders.values()), 10)
        assert await stage.engine.reconcile() and not stage.engine.notes

    stage.play(act)
    (trade,) = stage.run.rows_so_far()[0]
    assert trade["exit_value"] == LOT * (PRICE + 2_000)


@pytest.mark.parametrize(
    ("trades", "stray"),
    [([(1, LOT, 0)], -2 * LOT),  # bought, which closes no long position
     ([(-1, LOT, 60)], 0),  # sold before the books last agreed
     ([(-1, 2 * LOT, 0)], LOT),  # more than what is missing
     ([(-1, LOT, 0), (-1, LOT, 0)], LOT)],
)  # fmt: skip
def test_trades_of_others_that_do_not_explain_the_difference_are_not_booked(
    tmp_path: Path, trades: list[tuple[int, int, float]], stray: int
) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(3)
        for side, units, ago_s in trades:
            stage.account.trade(side, units, PRICE + 2_000, ago_s=ago_s)
        stage.account.stray = stray
        assert await stage.account.position() == 0
        for _ in range(3):
            assert not await stage.engine.reconcile()
        assert stage.position == LOT and DIFFERS in stage.engine.holds
        stage.account.others, stage.account.stray = [], 0

    stage.play(act)


def test_what_closed_a_short_position_elsewhere_was_bought(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "sell"}, live=True)

    async def act() -> None:
        await stage.until(lambda: stage.position == -LOT, 90)
        await stage.wait(3)
        stage.account.trade(1, LOT - 10, PRICE - 1_000)
        stage.account.trade(1, 10, PRICE - 2_000)
        await stage.engine.reconcile()
        await stage.engine.reconcile()
        assert stage.position == 0

    stage.play(act)
    (trade,) = stage.run.rows_so_far()[0]
    price = ((LOT - 10) * (PRICE - 1_000) + 10 * (PRICE - 2_000)) // LOT
    assert trade["exit_value"] == LOT * price


@pytest.mark.parametrize("stray", [LOT, -LOT, -2 * LOT])
def test_another_position_at_the_broker_holds_until_they_agree(tmp_path: Path, stray: int) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(3)
        stage.account.stray = stray
        for _ in range(3):
            assert not await stage.engine.reconcile()
        assert DIFFERS in stage.engine.holds and stage.position == LOT
        assert stage.engine.notes == [
            f"the broker holds {LOT + stray:+} units, this engine {LOT:+}: entries wait until they "
            "agree; close the difference in the broker's terminal, or `dhanfast panic`"
        ]
        stage.account.stray = 0
        assert await stage.engine.reconcile()
        assert DIFFERS not in stage.engine.holds and stage.engine.notes == []

    stage.play(act)


def test_an_order_of_the_journal_that_nobody_knows_is_told_of(tmp_path: Path) -> None:
    broker = PlainBroker()
    broker.orders[99] = Held(99, "B99", 1, 1, PRICE - 90_000, 0, LOT, 0, False, Seen.PENDING)
    stage = Stage(tmp_path, {}, live=True, broker=broker)

    async def act() -> None:
        await stage.until(lambda: DIFFERS in stage.engine.holds, 10)
        assert "order 99 of this journal works at the broker" in stage.engine.notes[0]
        broker.end(broker.orders[99], Seen.CANCELLED)
        await stage.until(lambda: not stage.engine.holds, 40)
        assert stage.engine.notes == []

    stage.play(act)


def test_a_silent_broker_holds_entries_and_does_not_end_the_engine(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, live=True, plan=LivePlan(reconcile_s=5))

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        stage.account.error = DhanfastError("502")
        await stage.until(lambda: UNANSWERED in stage.engine.holds, 10)
        asked = stage.account.asked
        await stage.wait(10)
        assert 8 <= stage.account.asked - asked <= 11, "once a second"
        stage.account.error = None
        await stage.until(lambda: not stage.engine.holds, 5)

    stage.play(act)


def test_a_lost_login_holds_entries_lets_exits_try_and_ends_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy", 3: "exit"}, live=True, plan=LivePlan(reconcile_s=5))

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        stage.account.error = NotAuthenticated("token refused")
        await stage.until(lambda: LOGIN in stage.engine.holds, 10)
        assert stage.engine.notes == ["no login at the broker: token refused"]
        await stage.until(lambda: stage.position == 0, 180)  # the script's exit went its way
        asked = stage.account.asked
        await stage.wait(120)
        assert 4 <= stage.account.asked - asked <= 5, "every 30 s by now"
        assert not stage.engine.stopping and stage.run.loop.gate_state != 0
        stage.account.error = NotAuthenticated("another token refused")
        await stage.wait(40)
        assert stage.engine.notes == ["no login at the broker: another token refused"]
        stage.account.error = None  # somebody has logged in
        await stage.until(lambda: not stage.engine.holds, 31)
        assert stage.engine.notes == [] and stage.run.loop.gate_state == 0

    stage.play(act)
    assert stage.position == stage.broker.position == 0


def test_each_kind_of_odd_event_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dhanfast.engine")
    stage = Stage(tmp_path, {1: "buy"}, live=True)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(1)
        stop = next(order for order in stage.broker.orders.values() if order.live)
        stage.broker._say(stop)
        (told,) = stage.broker.take_said()
        for _ in range(3):
            stage.run.loop.use_update(stage.update(told | {"seen": 77}))
            stage.run.loop.use_update(stage.update(told | {"order": 0, "broker_id": b"X"}))
        await stage.wait(3)
        odd = stage.run.remote.odd_events()  # type: ignore[union-attr]
        assert odd["UNCLEAR"] == 3 and odd["FOREIGN"] == 3
        assert "UNCLEAR 3" in stage.engine.heartbeat_text()
        assert "FOREIGN" not in stage.engine.heartbeat_text()

    stage.play(act)
    told = [(one.levelname, one.message) for one in caplog.records if "desk" in one.message]
    assert [level for level, words in told if "FOREIGN" in words] == ["INFO"]
    assert [level for level, words in told if "UNCLEAR" in words] == ["WARNING"]


def test_every_kind_of_odd_event_has_words() -> None:
    assert set(ODD_WORDS) == {kind.name for kind in Odd} >= set(USUAL)


def test_a_lost_login_is_asked_for_at_a_growing_distance(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, live=True, plan=LivePlan(reconcile_s=5))

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        stage.account.error = NotAuthenticated("token refused")
        await stage.until(lambda: LOGIN in stage.engine.holds, 10)
        tries = []
        for _ in range(6):
            asked, began = stage.account.asked, stage.clock.now_ns()
            await stage.until(lambda asked=asked: stage.account.asked > asked, 40)
            tries.append(round((stage.clock.now_ns() - began) / 1e9))
        assert tries == [1, 2, 4, 8, 16, 30]
        stage.account.error = None

    stage.play(act)


def test_updates_that_are_away_hold_entries_and_quicken_the_comparison(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        await stage.until(lambda: stage.courier.sent, 90)  # type: ignore[union-attr]
        stage.updates.online = False  # the fill is not told
        await stage.until(lambda: stage.broker.position == LOT, 10)
        await stage.wait(0.1)
        assert UPDATES in stage.engine.holds
        await stage.until(lambda: stage.position == LOT, 2.5)  # read by REST
        stage.updates.online = True
        await stage.until(lambda: not stage.engine.holds, 5)

    stage.play(act)
