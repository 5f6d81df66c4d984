"""LiveEngine in virtual time: why entries wait, what an operator can do, and how a day ends."""

from itertools import pairwise
from pathlib import Path

import pytest

from dhanfast.engine.live_engine import (
    FEED,
    OPERATOR,
    PANIC,
    RECONCILE,
    UPDATES,
    LivePlan,
)  # fmt: skip
from dhanfast.errors import DhanfastError, JournalFailed, NotAuthenticated, StrategyError
from tests.engine.live_stage import MINUTE, PRICE, Stage, commands_of, holds_of

LOT = 30  # of BANKNIFTY since January 2026


# ---- holds ---------------------------------------------------------------------------------------


def test_entries_wait_for_the_first_tick_and_say_so(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {})

    async def act() -> None:
        assert stage.engine.holds == {FEED} and stage.run.loop.gate_state == 1
        await stage.wait(6)
        assert stage.engine.holds == set() and stage.run.loop.gate_state == 0

    stage.play(act)
    assert holds_of(stage.path) == [[FEED], []]
    assert commands_of(stage.path)[:2] == ["STOP_ENTRIES", "RESUME"]


def test_a_live_day_waits_for_everything_and_lets_go_one_by_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, live=True)

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)

    stage.play(act)
    told = holds_of(stage.path)
    assert told[0] == sorted([FEED, RECONCILE, UPDATES])
    assert [sorted(set(before) - set(after)) for before, after in pairwise(told)
            ] == [[RECONCILE], [UPDATES], [FEED]]  # fmt: skip


def test_a_lost_feed_holds_entries_and_a_tick_lets_go(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"})

    async def act() -> None:
        await stage.wait(30)
        stage.feed.silent = True
        stage.run.loop.tell_event(1, stage.clock.now_ns())
        await stage.wait(100)  # the bar ends by time; the script's entry is refused
        assert FEED in stage.engine.holds and stage.position == 0
        assert stage.run.kernel.bars_seen == 1 and stage.run.kernel.orders_refused == 1
        stage.feed.silent = False
        await stage.wait(6)
        assert FEED not in stage.engine.holds

    stage.play(act)


def test_silence_of_what_is_traded_holds_entries(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, plan=LivePlan(stale_s=15))

    async def act() -> None:
        await stage.wait(20)
        stage.feed.silent, stage.feed.stale = True, 1
        await stage.wait(14)
        assert FEED not in stage.engine.holds
        await stage.wait(8)
        assert FEED in stage.engine.holds
        stage.feed.silent, stage.feed.stale = False, 0
        await stage.wait(7)
        assert FEED not in stage.engine.holds

    stage.play(act)


def test_an_operators_pause_is_not_lifted_by_a_reconciliation(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, live=True, plan=LivePlan(reconcile_s=1))

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        await stage.engine.command("pause")
        await stage.engine.reread()
        await stage.wait(5)
        assert stage.engine.holds == {OPERATOR} and stage.run.loop.gate_state == 1
        said = await stage.engine.command("resume")
        assert said == {"text": "entries are allowed again"} and stage.run.loop.gate_state == 0

    stage.play(act)
    assert holds_of(stage.path)[-1] == []


def test_a_pause_outlives_a_restart(tmp_path: Path) -> None:
    first = Stage(tmp_path, {2: "buy"})

    async def pause() -> None:
        await first.wait(10)
        await first.engine.command("pause")

    first.play(pause)
    first.journal.close()
    assert holds_of(first.path)[-1] == [OPERATOR]
    again = Stage(tmp_path, {2: "buy"}, start="09:31", holds=(OPERATOR,))

    async def look() -> None:
        await again.wait(150)
        assert again.run.kernel.bars_seen >= 2 and again.position == 0
        assert again.engine.holds == {OPERATOR}
        assert (await again.engine.command("resume"))["text"] == "entries are allowed again"

    again.play(look)


# ---- commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_flatten_closes_and_pauses(tmp_path: Path, live: bool) -> None:
    stage = Stage(tmp_path, {1: "buy", 3: "buy"}, live=live)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        said = await stage.engine.command("flatten")
        assert said == {"text": "flat; entries are paused until `dhanfast resume`", "left": 0}
        assert stage.position == 0 and stage.broker.position == 0 and stage.engine.flat
        await stage.wait(180)
        assert stage.position == 0, "the third bar's entry is refused"

    stage.play(act)


@pytest.mark.parametrize("live", [False, True])
def test_panic_closes_and_the_day_is_over(tmp_path: Path, live: bool) -> None:
    stage = Stage(tmp_path, {1: "sell", 3: "buy"}, live=live)

    async def act() -> None:
        await stage.until(lambda: stage.position == -LOT, 90)
        said = await stage.engine.command("panic", broker_kill=True)
        assert said["left"] == 0 and stage.position == stage.broker.position == 0
        kill = "activated" if live else "not touched: orders are simulated"
        assert said["text"].startswith("everything is closed") and kill in said["text"]
        assert stage.account.killed == ([True] if live else [])
        assert PANIC in (await stage.engine.command("resume"))["text"]
        await stage.wait(180)
        assert stage.position == 0 and PANIC in stage.engine.holds

    stage.play(act)
    assert PANIC in holds_of(stage.path)[-1]


@pytest.mark.parametrize("error", [DhanfastError("refused: open orders (DH-906)"), None])
def test_a_kill_switch_that_was_not_thrown_is_a_failure(
    tmp_path: Path, error: DhanfastError | None
) -> None:
    stage = Stage(tmp_path, {}, live=True)

    async def never(on: bool) -> str:
        await stage.wait(60)
        return "late"

    async def act() -> None:
        await stage.wait(6)
        stage.account.kill_error = error
        if error is None:
            stage.account.kill_switch = never  # type: ignore[method-assign]
        want = "DH-906" if error else "no answer in 10 s"
        with pytest.raises(DhanfastError, match=f"closed.*BUT.*not thrown: .*{want}"):
            await stage.engine.command("panic", broker_kill=True)

    stage.play(act)


def test_a_command_that_is_none_is_refused(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {})

    async def act() -> None:
        with pytest.raises(DhanfastError, match="dance: no such command"):
            await stage.engine.command("dance")

    stage.play(act)


def test_flatten_says_when_it_cannot(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True, plan=LivePlan(flat_s=5, flatten_on_stop=False))

    async def act() -> None:
        await stage.until(lambda: stage.broker.position == LOT and stage.engine.flat is False, 90)
        await stage.wait(2)
        assert stage.courier is not None
        stage.courier.dead = True
        said = await stage.engine.command("flatten")
        assert said["left"] == LOT and f"{LOT:+} units are still held" in said["text"]
        assert "after 5 s" in said["text"]

    stage.play(act)


# ---- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [False, True])
def test_a_stop_closes_what_is_open(tmp_path: Path, live: bool) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=live)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)

    stage.play(act)
    assert stage.position == stage.broker.position == 0 and stage.feed.closed
    result = stage.run.finish()
    assert len(result.trades) == 1 and result.kernel_ns > 0


def test_a_stop_that_cannot_close_says_what_is_held(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, plan=LivePlan(flat_s=4))

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        stage.feed.silent = True  # simulated orders need a market

    with pytest.raises(DhanfastError, match=r"\+30 units are still held.*\(simulated\)"):
        stage.play(act)
    assert stage.position == LOT


def test_a_second_stop_leaves_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, plan=LivePlan(flat_s=300))
    left = []

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        stage.feed.silent = True
        left.append(stage.clock.now_ns())
        stage.engine.stop()
        await stage.wait(2)
        stage.engine.stop(at_once=True)

    with pytest.raises(DhanfastError, match="units are still held"):
        stage.play(act)
    assert stage.clock.now_ns() - left[0] < 10_000_000_000, "not the 300 s of the plan"


def test_a_plan_may_leave_the_position(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, plan=LivePlan(flatten_on_stop=False))

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)

    stage.play(act)
    assert stage.position == LOT


def test_the_day_ends_by_the_markets_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"})
    stage.engine.plan = LivePlan(until_ns=stage.clock.now_ns() + 3 * MINUTE)
    started = stage.clock.now_ns()

    async def act() -> None:
        await stage.until(lambda: stage.engine.stopping, 400)

    stage.play(act)
    assert 3 * MINUTE <= stage.clock.now_ns() - started < 3 * MINUTE + 20_000_000_000
    assert stage.position == 0 and len(stage.run.finish().trades) == 1


@pytest.mark.parametrize("live", [False, True])
def test_a_strategy_that_raises_ends_flat(tmp_path: Path, live: bool) -> None:
    stage = Stage(tmp_path, {1: "buy", 3: "fail", 4: "buy"}, live=live)

    async def act() -> None:
        await stage.until(lambda: stage.engine.stopping, 300)

    with pytest.raises(StrategyError, match="RuntimeError: not in the script") as raised:
        stage.play(act)
    assert raised.value.exit_code == 1
    assert stage.position == stage.broker.position == 0
    assert "strategy stopped" in stage.engine.notes[0]


def test_a_feed_that_ends_for_good_closes_first(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(3)
        stage.feed.ends = NotAuthenticated("no token that the broker takes")
        await stage.until(lambda: stage.engine.stopping, 10)
        await stage.wait(1)
        stage.match(PRICE)  # the market goes on without us

    with pytest.raises(NotAuthenticated, match="no token that the broker takes"):
        stage.play(act)
    assert stage.position == stage.broker.position == 0


def test_a_bug_in_a_service_closes_first_and_stays_a_bug(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        await stage.wait(3)
        stage.feed.ends = ZeroDivisionError("a bug")
        await stage.until(lambda: stage.engine.stopping, 10)
        await stage.wait(1)
        stage.match(PRICE)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        stage.play(act)
    assert stage.position == stage.broker.position == 0


def test_a_service_that_ends_untold_is_an_error(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {})

    async def act() -> None:
        await stage.wait(6)
        stage.feed.closed = True
        await stage.wait(6)

    with pytest.raises(DhanfastError, match="the feed ended, and nobody had told it to"):
        stage.play(act)


@pytest.mark.parametrize("live", [False, True])
def test_a_full_journal_ends_the_day_flat(tmp_path: Path, live: bool) -> None:
    sizes = {"segment_bytes": 65_536, "reserve_bytes": 32_768, "bytes_max": 4_096 * 34}
    stage = Stage(tmp_path, {1: "buy"}, live=live, journal=sizes)
    stage.feed.step_s = 0.5

    async def act() -> None:
        await stage.until(lambda: stage.engine.stopping, 3_000)

    with pytest.raises(JournalFailed, match="no order may leave that it does not hold"):
        stage.play(act)
    assert stage.position == stage.broker.position == 0
    assert len(stage.run.finish().trades) == 1, "the exit passed, in the room kept for it"


# ---- what it says --------------------------------------------------------------------------------


def test_the_heartbeat_tells_everything_that_counts(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"})

    async def act() -> None:
        await stage.until(lambda: stage.position == LOT, 90)
        books = stage.run.portfolio.snapshot()
        result = (books["equity"] - books["capital"]) / 100
        assert stage.engine.heartbeat_text() == (
            f"bars 1, orders 3, position {LOT}, result {result:.2f} rupees, entries open"
        )
        await stage.engine.command("pause")
        assert stage.engine.heartbeat_text().endswith("entries held: operator")

    stage.play(act)
