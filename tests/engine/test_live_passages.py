"""How orders went on a live day: at a broker, held back, on paper, and after a restart."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.remote import Remote
from dhanfast._core.risk import Gate
from dhanfast._core.types import OrderFlag, Reason
from dhanfast.reports import slippage
from tests.core.stand import OPEN, TICK, sessions
from tests.engine.live_stage import PRICE, SECOND, Stage
from tests.engine.test_live_run import Hand

SPREAD = 100


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live day: in, and out by a wish; the price rises with time."""
    folder = tmp_path_factory.mktemp("day")
    result = played(folder)
    np.save(folder / "orders.npy", result.orders)
    np.save(folder / "passages.npy", result.passages)
    return folder


def played(folder: Path) -> Any:
    stage = Stage(folder, {1: "buy", 3: "exit"}, live=True)

    async def act() -> None:
        await stage.wait(300)

    stage.play(act)
    result = stage.run.finish()
    stage.journal.close()
    return result


def of_reason(folder: Path, reason: Reason) -> tuple[Any, Any]:
    orders, passages = np.load(folder / "orders.npy"), np.load(folder / "passages.npy")
    (at,) = np.flatnonzero(orders["reason"] == int(reason))
    return orders[at], passages[at]


def test_an_entry_left_with_its_protection_into_the_market_of_the_time(day: Path) -> None:
    order, passage = of_reason(day, Reason.SIGNAL)
    assert order["filled"] > 0 and passage["decision"] == PRICE
    assert (passage["bid"], passage["ask"]) == (PRICE - SPREAD, PRICE + SPREAD)
    limit = (PRICE + SPREAD) * 10_100 // 10_000  # 1 % beyond the ask: the broker's side's rule
    assert abs(int(passage["sent_price"]) - limit) <= TICK and order["price"] == 0
    assert passage["decided_ns"] <= passage["sent_ns"] <= passage["first_fill_ns"]
    costs = slippage.costs_of(
        *(np.load(day / f"{name}.npy") for name in ("orders", "passages")),
        strategy="s", symbol="BANKNIFTY",
    )  # fmt: skip
    entry = costs.rows[costs.rows["id"] == order["id"]][0]
    filled = int(order["value"]) // int(order["filled"])
    assert entry["delay2"] == 0 and entry["total2"] == 2 * 30 * (filled - PRICE)


def test_an_exit_leaves_as_a_change_of_the_order_that_rests(day: Path) -> None:
    order, passage = of_reason(day, Reason.EXIT_SIGNAL)
    assert order["filled"] > 0 and passage["sent_ns"] >= passage["decided_ns"] > 0
    assert 0 < passage["sent_price"] < PRICE - SPREAD, "a protection below the bid"
    assert passage["bid"] == PRICE - SPREAD


def test_a_resting_stop_left_and_its_arrival_is_not_known(day: Path) -> None:
    orders, passages = np.load(day / "orders.npy"), np.load(day / "passages.npy")
    stops = (orders["flags"] & int(OrderFlag.STOP)) != 0
    (passage,) = passages[stops]
    assert passage["sent_ns"] > 0 and passage["decision"] == orders[stops]["trigger"][0]
    assert passage["bid"] == passage["ask"] == 0


def test_a_restart_brings_back_the_same_passages(day: Path, tmp_path: Path) -> None:
    shutil.copy(day / "day.dfj", tmp_path / "day.dfj")
    stage = Stage(tmp_path, {1: "buy", 3: "exit"}, live=True, start="09:35:30")
    try:
        result = stage.run.so_far()
        assert result is not None
        assert result.orders.tobytes() == np.load(day / "orders.npy").tobytes()
        assert result.passages.tobytes() == np.load(day / "passages.npy").tobytes()
    finally:
        stage.loop.close()


def test_an_order_that_is_held_back_left_when_it_was_let_go() -> None:
    """One request a second: the second order waits, and meets the market of a second later."""
    gate = Gate(instruments=1)
    remote = Remote(gate, per_second=1)
    remote.start_session(sessions(1, 12)[0])

    def market(second: int, bid: int) -> None:
        now = OPEN + second * SECOND
        remote.tell(now, now)
        remote.on_tick({"exch_ns": now, "recv_ns": now, "price": bid, "bid": bid, "ask": bid + 10})

    def send(number: int, second: int) -> None:
        now = OPEN + second * SECOND
        order = {"id": number, "side": 1, "qty": 25, "kind": 1, "created_ns": now}
        approved = gate.check(order, mark=10_000, session={"lot": 25, "tick": TICK})
        remote.submit_order(approved, now)

    market(0, 10_000)
    send(1, 0)
    send(2, 0)
    market(2, 10_500)
    remote.go_on()
    assert remote.departure_of(1) == (OPEN, 10_110, 10_000, 10_010)
    assert remote.departure_of(2) == (OPEN + 2 * SECOND, 10_615, 10_500, 10_510)
    assert remote.departure_of(3) == (0, 0, 0, 0)


# ---- the end of a day ----------------------------------------------------------------------------


def test_the_last_sample_is_of_when_the_run_was_stopped(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.minute()
    last_tick = hand.now
    stop = hand.now + 17 * SECOND
    hand.loop.command(Command.FLATTEN, stop)
    assert hand.loop.input_ns == stop
    equity = hand.run.finish().equity
    assert int(equity["time_ns"][-1]) == stop > last_tick


def test_without_a_later_input_it_is_of_the_last_tick(tmp_path: Path) -> None:
    hand = Hand(tmp_path)
    hand.minute()
    assert int(hand.run.finish().equity["time_ns"][-1]) == hand.now
