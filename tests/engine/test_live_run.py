"""LiveRun and LiveLoop: refusals, what time does to them, how a journal brings them back."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.live.records import INTENT_DTYPE, IntentKind, Outcome
from dhanfast._core.live.remote import Remote
from dhanfast._core.types import TICK_DTYPE, OrderFlag, RejectReason, ReportKind
from dhanfast._core.wire.records import TickFlag
from dhanfast.engine.live import GRACE_NS, LiveRun, trading_day
from dhanfast.errors import BadData, StrategyError, UsageError
from tests.core.live.plain_broker import PlainBroker
from tests.engine.live_stage import (
    DAY,
    FUTURE,
    MINUTE,
    PRICE,
    SECOND,
    Stage,
    at,
    journal_of,
    records_of,
    scripted,
    tick_at,
)

LOT = 30


class Hand:
    """A run on paper whose ticks and time come by hand."""

    def __init__(self, folder: Path, script: dict[int, str] | None = None, **given: Any) -> None:
        self.path = folder / "day.dfj"
        self.now, self.volume = at("09:30"), 0
        self.run = LiveRun(
            scripted(script or {}), symbol="BANKNIFTY", journal=journal_of(self.path),
            instrument=FUTURE, first_ns=self.now, **given,
        )  # fmt: skip
        self.loop = self.run.loop

    def tick(self, price: int = PRICE, *, after_s: float = 1.0, **fields: Any) -> None:
        self.now += int(after_s * SECOND)
        self.volume += 30
        tick = tick_at(self.now, price, self.volume)
        for name, value in fields.items():
            tick[name] = value
        self.loop.take_ticks(tick, self.now)

    def minute(self, price: int = PRICE) -> None:
        """A tick that ends the bar before, and some more."""
        for _ in range(6):
            self.tick(price, after_s=10)

    @property
    def position(self) -> int:
        return int(self.run.kernel.position)


# ---- refusals ------------------------------------------------------------------------------------


def test_a_broker_needs_who_carries_its_requests(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="remote_of and courier come together"):
        Hand(tmp_path, remote_of=lambda gate: Remote(gate))


def test_a_journal_of_another_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"is the journal of 20261120.* is 20261119"):
        LiveRun(
            scripted({}), symbol="BANKNIFTY", journal=journal_of(tmp_path / "a.dfj"),
            instrument=FUTURE, first_ns=at("09:30", DAY.replace(day=19)),
        )  # fmt: skip


def test_a_live_run_is_not_fed_as_a_backtest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes its ticks through `loop`"):
        Hand(tmp_path).run.feed(tick_at(at("09:30"), PRICE, 1))


def test_a_day_without_a_bar_has_no_result(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    assert hand.run.so_far() is None
    with pytest.raises(BadData, match="no tick with a price lies inside a session"):
        hand.run.finish()


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_time_that_stands_or_runs_back_is_refused(tmp_path: Path, speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        Hand(tmp_path).loop.set_market(1, 1, speed)


def test_the_trading_day_is_indias() -> None:
    assert trading_day(at("00:00")) == DAY
    assert trading_day(at("00:00") - 1) == DAY.replace(day=19)


# ---- ticks ---------------------------------------------------------------------------------------


def test_a_seed_never_trades_at_its_old_price(tmp_path: Path) -> None:
    """The first packet after a connection carries the last trade, which may be hours old."""
    hand = Hand(tmp_path, {1: "buy"})
    hand.minute()
    hand.tick(after_s=2)
    assert hand.position == LOT
    stop = hand.run.kernel.stop_price
    hand.tick(PRICE // 2, flags=TickFlag.SEED, bid=PRICE - 100, ask=PRICE + 100, exch_ns=1)
    assert hand.position == LOT and stop > PRICE // 2
    assert hand.run.portfolio.position(0)["mark"] == PRICE
    hand.tick(PRICE // 2, bid=PRICE // 2, ask=PRICE // 2 + 100)
    assert hand.position == 0, "the same price in a trade of now hits the stop"


def test_a_seeds_quote_is_of_now(tmp_path: Path) -> None:
    hand = Hand(tmp_path, {1: "buy"})
    hand.minute()
    hand.tick(after_s=2)
    far = PRICE - 20_000  # beyond the stop
    hand.tick(PRICE, flags=TickFlag.SEED, bid=far, ask=far + 100)
    bars = hand.run.kernel.bars_seen
    hand.minute(far)
    assert hand.position == 0 and hand.run.kernel.bars_seen >= bars


@pytest.mark.parametrize(
    "fields", [{"instrument": FUTURE + 1}, {"price": -1}, {"bid": -5}, {"ask": -5}]
)
def test_other_and_impossible_ticks_are_skipped(tmp_path: Path, fields: dict[str, int]) -> None:
    hand = Hand(tmp_path)
    hand.tick()
    hand.tick(**fields)
    hand.tick()
    assert (hand.loop.skipped, hand.loop.inputs, hand.loop.stopped) == (1, 2, False)
    assert [kind for kind, _ in records_of(hand.path)] == [Kind.TICK] * 2


def test_blind_until_a_tick_comes_and_when_the_feed_is_lost(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    assert hand.loop.blind
    hand.loop.tell_event(2, hand.now)
    assert hand.loop.blind, "a connection is no market data"
    hand.tick(instrument=FUTURE + 1)
    assert hand.loop.blind
    hand.tick()
    assert not hand.loop.blind
    hand.loop.tell_event(1, hand.now)
    assert hand.loop.blind
    kinds = [(kind, payload) for kind, payload in records_of(hand.path) if kind == Kind.FEED]
    assert kinds == [(Kind.FEED, b"\2\0\0\0"), (Kind.FEED, b"\1\0\0\0")]


# ---- time ----------------------------------------------------------------------------------------


def test_time_never_runs_back(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.tick(after_s=30)
    late = hand.now
    hand.now -= 20 * SECOND  # somebody set the clock
    hand.tick(after_s=1)
    assert hand.loop.market_time(hand.now) == late
    stamps = [int.from_bytes(payload[8:16], "little") for _, payload in records_of(hand.path)]
    assert stamps == [late, late], "recv_ns of the records"


def test_market_time_runs_at_its_speed(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    wall = 10**18
    hand.loop.set_market(wall, hand.now, 300.0)
    assert hand.loop.market_time(wall + SECOND) == hand.now + 300 * SECOND
    hand.loop.take_ticks(tick_at(hand.now + 300 * SECOND, PRICE, 30), wall + SECOND)
    due = hand.loop.poll(wall + SECOND)
    bar_ends = hand.now + 6 * MINUTE + GRACE_NS
    assert abs(due - (wall + SECOND + (bar_ends - hand.now - 300 * SECOND) / 300)) < 2_000_000


def test_a_bar_closes_by_time_after_its_grace(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.tick(after_s=1)
    end = at("09:31")
    assert hand.loop.poll(end - 1) == end + GRACE_NS
    assert hand.run.kernel.bars_seen == 0
    hand.loop.poll(end + GRACE_NS - 1)
    assert hand.run.kernel.bars_seen == 0
    hand.loop.poll(end + GRACE_NS)
    assert hand.run.kernel.bars_seen == 1
    hand.now = end + GRACE_NS
    hand.tick(after_s=0, exch_ns=end - SECOND)
    assert hand.loop.late == 1 and hand.run.kernel.bars_seen == 1
    assert [kind for kind, _ in records_of(hand.path)] == [Kind.TICK, Kind.TIMER, Kind.TICK]


def test_looking_at_the_time_costs_no_record(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.tick()
    for _ in range(100):
        hand.loop.poll(hand.now)
    assert len(records_of(hand.path)) == 1


def test_what_a_timer_cannot_do_is_not_tried_all_the_time(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: "buy"}, live=True)
    refused = []
    served = stage.broker.serve

    def serve(intent: dict[str, Any]) -> dict[str, Any]:
        if intent["kind"] == IntentKind.PLACE and intent["flags"] & OrderFlag.EXIT:
            refused.append(stage.clock.now_ns())
            return {"outcome": Outcome.REFUSED, "code": 400, "error": 906}
        return served(intent)

    async def act() -> None:
        stage.broker.serve = serve  # type: ignore[method-assign]
        await stage.until(lambda: stage.position == LOT, 90)
        stage.feed.silent = True
        stage.run.loop.command(Command.FLATTEN, stage.clock.now_ns())
        await stage.wait(1)
        before = Counter(kind for kind, _ in records_of(stage.path))
        begun = len(refused)
        await stage.wait(10)
        after = Counter(kind for kind, _ in records_of(stage.path))
        assert 1 <= len(refused) - begun <= 50, "asked again, and not as fast as it can"
        assert after[Kind.TIMER] - before[Kind.TIMER] <= 150
        stage.broker.serve = served  # type: ignore[method-assign]
        stage.feed.silent = False

    stage.play(act)
    assert stage.position == 0


# ---- what is seen of it --------------------------------------------------------------------------


def test_who_only_looks_leaves_no_trace(tmp_path: Path) -> None:
    hand = Hand(tmp_path, {1: "buy", 2: "exit"})
    for _ in range(4):
        hand.minute()
    first = hand.run.rows_so_far()
    assert len(first[0]) == 1
    for _ in range(50):
        again = hand.run.rows_so_far()
        assert again[0] is first[0] and again[1] is first[1]
    for _ in range(2):
        hand.minute()
    assert [len(rows) for rows in hand.run.rows_so_far()] == [len(rows) for rows in first]
    result = hand.run.finish()
    assert len(result.trades) == 1 and len(result.equity) >= 5


def test_time_inside_the_engine_is_counted(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.minute()
    used = hand.loop.used_ns
    assert 0 < used < 10 * SECOND
    hand.minute()
    assert hand.loop.used_ns > used
    assert hand.run.finish().kernel_ns == hand.loop.used_ns


def test_a_strategy_that_raises_is_silenced_and_closed(tmp_path: Path) -> None:
    hand = Hand(tmp_path, {1: "buy", 2: "fail", 3: "buy"})
    for _ in range(3):
        hand.minute()
    assert isinstance(hand.loop.error, StrategyError) and not hand.loop.stopped
    assert hand.position == 0 and hand.loop.gate_state == 2
    hand.minute()
    assert hand.position == 0 and len(hand.run.rows_so_far()[0]) == 1


# ---- recovery ------------------------------------------------------------------------------------


def cut(path: Path, target: Path, keep: int, *, torn: bool = False) -> None:
    """The first records of a journal, as a kill would leave them.

    Args:
        torn: the last one lost some bytes.
    """
    journal = journal_of(target)
    with JournalReader(str(path)) as reader:
        for _, (kind, at_ns, _, payload) in zip(range(keep), reader, strict=False):
            journal.append_record(kind, payload, at_ns, vital=True)
    end = journal.bytes
    del journal  # not closed: as when the process dies
    if torn:
        data = bytearray(target.read_bytes())
        data[end - 20] ^= 0xFF
        target.write_bytes(data)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journal of a live day: an entry, its stop and target, a reversal of mood, the end."""
    folder = tmp_path_factory.mktemp("day")
    stage = Stage(folder, {1: "buy", 3: "exit", 5: "sell"}, live=True)

    async def act() -> None:
        await stage.wait(400)

    stage.play(act)
    stage.journal.close()
    return folder / "day.dfj"


def numbers_of(path: Path, kind: int) -> list[int]:
    return [at for at, (found, _) in enumerate(records_of(path), 1) if found == kind]


def test_the_days_journal_is_worth_cutting(day: Path) -> None:
    kinds = Counter(kind for kind, _ in records_of(day))
    assert kinds[Kind.INTENT] >= 6 and kinds[Kind.ANSWER] >= 6 and kinds[Kind.UPDATE] >= 6


def test_a_request_that_is_not_in_the_journal_never_left(day: Path, tmp_path: Path) -> None:
    first = numbers_of(day, Kind.INTENT)[0]
    cut(day, tmp_path / "day.dfj", first - 1)
    stage = Stage(tmp_path, {1: "buy", 3: "exit", 5: "sell"}, live=True, start="09:31:30")
    try:
        assert stage.recovered is not None
        assert (stage.recovered.unmet, stage.recovered.open) == (1, 0)
        (order,) = stage.run.rows_so_far()[1]
        assert order["status"] == ReportKind.REJECTED and order["refused"] == RejectReason.LOST
        assert stage.courier is not None and stage.courier.sent == [], "it is not sent now either"
    finally:
        stage.loop.close()


def test_a_request_without_an_answer_is_asked_for_not_sent_again(day: Path, tmp_path: Path) -> None:
    first = numbers_of(day, Kind.INTENT)[0]
    cut(day, tmp_path / "day.dfj", first)
    stage = Stage(tmp_path, {1: "buy", 3: "exit", 5: "sell"}, live=True, start="09:31:30")
    placed = np.frombuffer(records_of(day)[first - 1][1], INTENT_DTYPE)[0]

    async def act() -> None:
        assert stage.recovered is not None
        assert (stage.recovered.unmet, stage.recovered.open) == (0, 1)
        assert stage.courier is not None
        await stage.until(lambda: stage.courier.sent, 5)  # type: ignore[union-attr]
        asked = stage.courier.sent[0]
        assert asked["kind"] == IntentKind.QUERY and asked["order"] == placed["order"]
        await stage.until(lambda: stage.engine.flat, 60)
        sent = [one for one in stage.courier.sent if one["order"] == placed["order"]]
        assert {one["kind"] for one in sent} == {IntentKind.QUERY}

    stage.play(act)
    assert stage.position == stage.broker.position == 0


@pytest.mark.parametrize("share", [0.2, 0.4, 0.6, 0.8, 0.95])
def test_cut_anywhere_it_comes_back_to_what_the_broker_has(
    day: Path, tmp_path: Path, share: float
) -> None:
    """The broker kept everything that had left; the engine is killed, and comes back."""
    keep = int(len(records_of(day)) * share)
    cut(day, tmp_path / "day.dfj", keep)
    broker = rebuilt(records_of(tmp_path / "day.dfj"))
    stage = Stage(
        tmp_path, {1: "buy", 3: "exit", 5: "sell"}, live=True, start="09:37", broker=broker
    )

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 60)
        assert stage.position == broker.position
        assert all(count == 1 for count in broker.accepted.values()), "nothing is sent twice"
        assert await stage.engine.reconcile()

    stage.play(act)
    assert stage.position == broker.position == 0


def rebuilt(records: list[tuple[int, bytes]]) -> PlainBroker:
    """The broker as the requests that left have made it; what had rested may have filled since."""
    broker = PlainBroker()
    for kind, payload in records:
        if kind == Kind.INTENT:
            row = np.frombuffer(payload, INTENT_DTYPE)[0]
            made = {name: row[name].item() for name in row.dtype.names if name != "spare"}
            made["broker_id"] = made["broker_id"].rstrip(b"\0").decode()
            broker.serve(made)
        elif kind == Kind.TICK:
            price = int(np.frombuffer(payload[: TICK_DTYPE.itemsize], TICK_DTYPE)["price"][0])
            for order in list(broker.orders.values()):
                met = broker.can_fill(order, price - 100, price + 100, price)
                if met:
                    broker.fill(order, order.open, met)
    broker.take_said()
    return broker


def test_another_strategy_does_not_go_on_with_the_journal(day: Path, tmp_path: Path) -> None:
    cut(day, tmp_path / "day.dfj", len(records_of(day)))
    with pytest.raises(BadData, match=r"is not made again.*another strategy or other settings"):
        Stage(tmp_path, {1: "sell", 3: "exit", 5: "sell"}, live=True)


def test_the_same_strategy_with_another_stop_does_not_either(day: Path, tmp_path: Path) -> None:
    cut(day, tmp_path / "day.dfj", len(records_of(day)))
    with pytest.raises(BadData, match="is not made again"):
        Stage(tmp_path, scripted({1: "buy", 3: "exit", 5: "sell"}, stop=20.0), live=True)


def test_a_record_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    with pytest.raises(BadData, match="a record of kind 3 has 10 bytes, not 80"):
        hand.run.recover([(Kind.TICK, bytes(10))], hand.now)


def test_a_torn_record_is_cut_off_and_the_rest_counts(day: Path, tmp_path: Path) -> None:
    ticks = numbers_of(day, Kind.TICK)
    cut(day, tmp_path / "day.dfj", ticks[4], torn=True)
    stage = Stage(tmp_path, {1: "buy", 3: "exit", 5: "sell"}, live=True)
    try:
        assert stage.recovered is not None
        assert stage.recovered.records == ticks[4] - 1
        assert stage.journal.recovery is not None and stage.journal.recovery.cut_bytes > 0
    finally:
        stage.loop.close()


def test_a_replay_is_not_counted_as_work(day: Path, tmp_path: Path) -> None:
    cut(day, tmp_path / "day.dfj", len(records_of(day)))
    stage = Stage(tmp_path, {1: "buy", 3: "exit", 5: "sell"}, live=True, start="09:40")
    try:
        assert stage.run.loop.used_ns < SECOND and stage.run.kernel.bars_seen > 4
    finally:
        stage.loop.close()
