"""A kernel whose orders are worked: stops and targets, exits that press, positions above freeze."""

from typing import Any

import numpy as np
import pytest

from dhanfast._core.broker import Hold
from dhanfast._core.execution.schedule import Algo, Remainder
from dhanfast._core.sizing import Sizing
from dhanfast._core.types import OrderFlag, Reason, ReportKind
from dhanfast.engine.stop_settings import StopSettings

from ..stand import Wisher, bars_of, make, run, sessions
from ..tick_stand import LOT, SECOND, TickStand

URGENT = 2
PRICE = 100_000
TWAP = {
    "algo": Algo.TWAP,
    "horizon_ns": 60 * SECOND,
    "interval_ns": 10 * SECOND,
    "urgency": URGENT,
    "reprice_ns": SECOND,
}


def stand(lots: int = 12, freeze: int = 0, **more: Any) -> TickStand:
    rules = TWAP | more.pop("rules", {})
    made = TickStand(lots=lots, freeze=freeze, worker=rules, **more)
    return made


def quote(made: TickStand, price: int = PRICE, **more: Any) -> None:
    made.tick(price, bid=price - 5, ask=price + 5, bid_qty=10**6, ask_qty=10**6, qty=LOT, **more)


def stops_and_targets(made: TickStand) -> tuple[int, int]:
    """Units that resting stops and targets at the exchange would take, all parts together."""
    match = made.kernel.broker.inner
    places = match.working().values()
    stop = sum(place["left"] for place in places if place["state"] == "WAITING")
    target = sum(
        place["left"] for place in places
        if place["state"] == "WORKING" and place["limit"] > 2 * PRICE
    )  # fmt: skip
    return stop, target


def test_stop_and_target_grow_with_each_child() -> None:
    made = stand()
    quote(made)
    quote(made, wish=("long", 900.0, 1_500.0))
    held = []
    for _ in range(70):
        quote(made)
        assert stops_and_targets(made) == (made.kernel.position, made.kernel.position)
        held.append(made.kernel.position)
    assert sorted(set(held)) == [2 * LOT * k for k in range(1, 7)]
    trades, orders = made.finish()
    entry = orders[orders["flags"] & OrderFlag.WORKED != 0][0]
    assert entry["qty"] == entry["filled"] == 12 * LOT and len(trades) == 1


def test_an_exit_by_signal_is_worked_and_shrinks_stop_and_target() -> None:
    made = stand()
    quote(made, wish=("long", 900.0, 1_500.0))
    for _ in range(62):
        quote(made)
    quote(made, wish=("flat", 0.0, 0.0))
    held = []
    for _ in range(70):
        quote(made)
        assert stops_and_targets(made) == (made.kernel.position, made.kernel.position)
        held.append(made.kernel.position)
    assert sorted(set(held)) == [2 * LOT * k for k in range(6)]
    trades, orders = made.finish()
    assert len(trades) == 1 and trades[0]["exit_reason"] == Reason.EXIT_SIGNAL
    assert sum(int(row["filled"]) for row in orders if row["flags"] & OrderFlag.WORKED) == 24 * LOT


def test_a_stop_that_fills_ends_the_exit_at_work() -> None:
    made = stand()
    quote(made, wish=("long", 100.0, 0.0))
    for _ in range(62):
        quote(made)
    quote(made, wish=("flat", 0.0, 0.0))
    quote(made)
    quote(made, PRICE - 15_000)
    for _ in range(3):
        quote(made, PRICE - 15_000)
    assert made.kernel.position == 0 and made.kernel.broker.live == 0
    trades, orders = made.finish()
    assert trades[0]["exit_reason"] == Reason.STOP_LOSS
    worked = [row for row in orders if row["flags"] & OrderFlag.WORKED and row["flags"] & 1]
    assert [row["status"] for row in worked] == [ReportKind.CANCELLED]
    assert int(trades[0]["qty"]) == 12 * LOT


def test_the_square_off_ends_an_exit_at_once() -> None:
    """Forty seconds before the square-off an exit of ten minutes begins: it has 39 s, and a child
    that rests. Then all that is left leaves, though the child still rests."""
    made = stand(square_off=5, rules={"entries": 0, "urgency": 0, "horizon_ns": 600 * SECOND})
    quote(made, wish=("long", 0.0, 0.0))
    quote(made)
    assert made.kernel.position == 12 * LOT
    made.now = int(made.table["square_off_ns"][0]) - 40 * SECOND
    quote(made, wish=("flat", 0.0, 0.0))
    quote(made)
    assert made.kernel.position == 12 * LOT and made.kernel.broker.inner.live == 1
    made.now = int(made.table["square_off_ns"][0]) - SECOND
    quote(made)
    assert made.kernel.broker.hurried == 1
    quote(made)
    assert made.kernel.position == 0 and made.kernel.broker.live == 0


WAITING = {"entries": 0, "urgency": 0, "horizon_ns": 600 * SECOND, "reprice_ns": 0}


def at_work(stop: float, **rules: Any) -> TickStand:
    """A position that is being worked out of, by a child that waits for its price."""
    made = stand(rules=WAITING, stops=StopSettings(**rules).native())
    quote(made, wish=("long", stop, 0.0))
    quote(made)
    quote(made, wish=("flat", 0.0, 0.0))
    quote(made)
    assert made.kernel.position == 12 * LOT and made.kernel.broker.hurried == 0
    return made


def test_a_stop_that_is_watched_here_ends_the_exit_at_work() -> None:
    """No stop rests at the exchange, so nobody else would look at it while the exit waits."""
    made = at_work(10.0, rest=False)
    quote(made, PRICE - 900)
    assert made.kernel.broker.hurried == 0
    quote(made, PRICE - 1_010)
    assert made.kernel.broker.hurried == 1
    quote(made, PRICE - 1_010)
    assert made.kernel.position == 0 and made.kernel.broker.live == 0


def test_a_time_stop_ends_the_exit_at_work() -> None:
    made = at_work(0.0, time_max_ns=30 * SECOND)
    for _ in range(26):
        quote(made)
    assert made.kernel.position == 12 * LOT and made.kernel.broker.hurried == 0
    for _ in range(4):
        quote(made)
    assert made.kernel.broker.hurried == 1
    assert made.kernel.position == 0 and made.kernel.broker.live == 0


def test_panic_sends_what_is_left_at_once() -> None:
    made = stand()
    quote(made, wish=("long", 0.0, 0.0))
    for _ in range(62):
        quote(made)
    quote(made, wish=("flat", 0.0, 0.0))
    quote(made)
    left = made.kernel.position
    assert 0 < left < 12 * LOT
    made.kernel.broker.hurry_order(
        made.kernel.exit_id, flags=0, reason=Reason.OPERATOR, now_ns=made.now
    )
    assert made.kernel.broker.hurried == 1
    quote(made)
    assert made.kernel.position == 0 and made.kernel.broker.live == 0


def test_orders_that_are_cancelled_leave_what_has_filled_covered() -> None:
    made = stand()
    quote(made, wish=("long", 900.0, 0.0))
    for _ in range(15):
        quote(made)
    made.kernel.broker.hold_orders(Hold.CANCEL, made.now)
    quote(made)
    held = made.kernel.position
    for _ in range(60):
        quote(made)
    assert made.kernel.position == held == 4 * LOT == stops_and_targets(made)[0]
    assert made.kernel.entry_id == 0


@pytest.mark.parametrize("ending", ["stop", "target", "flat", "square-off"])
def test_a_position_above_freeze_is_covered_in_parts(ending: str) -> None:
    """12 lots of 25 with a freeze quantity of 5 lots: parts of 125, 125 and 50 units."""
    made = stand(freeze=5 * LOT, square_off=10, rules={"algo": Algo.SLICE, "interval_ns": SECOND})
    quote(made)
    quote(made, wish=("long", 100.0, 1_100.0))
    quote(made)
    worker = made.kernel.broker
    assert made.kernel.position == 12 * LOT and worker.parts_held() == [125, 125, 50]
    stops = [place for place in worker.inner.working().values() if place["state"] == "WAITING"]
    assert sorted(place["left"] for place in stops) == [50, 125, 125]
    if ending == "stop":
        quote(made, PRICE - 15_000)
    elif ending == "target":
        quote(made, PRICE + 120_000)
    elif ending == "flat":
        quote(made, wish=("flat", 0.0, 0.0))
    else:
        made.now = int(made.table["square_off_ns"][0])
    quote(made, PRICE - 15_000 if ending == "stop" else PRICE)
    quote(made, PRICE - 15_000 if ending == "stop" else PRICE)
    quote(made, PRICE - 15_000 if ending == "stop" else PRICE)
    assert made.kernel.position == 0 and worker.parts_held() == [] and worker.inner.working() == {}
    trades, orders = made.finish()
    assert len(trades) == 1 and int(trades[0]["qty"]) == 12 * LOT
    assert trades[0]["exit_reason"] == {
        "stop": Reason.STOP_LOSS, "target": Reason.TAKE_PROFIT, "flat": Reason.EXIT_SIGNAL,
        "square-off": Reason.TIME_EXIT,
    }[ending]  # fmt: skip
    assert not (orders["status"] == ReportKind.REJECTED).any()


def test_brokerage_is_charged_by_child() -> None:
    """Six children of an entry are six orders at the exchange: six flat fees."""
    fees = {}
    for worked in (True, False):
        made = stand() if worked else TickStand(lots=12)
        rates = made.table["charges"]
        rates["brokerage_flat"] = 2_000
        made.kernel.extend(made.table)
        quote(made, wish=("long", 0.0, 0.0))
        for _ in range(70):
            quote(made)
        trades, _ = made.finish()
        fees[worked] = int(trades[0]["brokerage"]) // 1_000_000
    assert fees[False] == 2 * 2_000  # in and out
    assert fees[True] == 7 * 2_000  # six children in; the end of data is not worked


def test_bars_are_worked_child_by_child() -> None:
    """Five bars, a step a bar: two lots at the open of each, and the mark is every bar's close."""
    table = sessions(1, 20)
    wishes = [("long", 0.0, 0.0)] + [("", 0.0, 0.0)] * 19
    kernel = make(
        Wisher(wishes), table, lots=10,
        worker={"algo": Algo.TWAP, "horizon_ns": 300 * SECOND, "interval_ns": 60 * SECOND},
    )  # fmt: skip
    prices = [(PRICE + 100 * k, PRICE + 100 * k + 50, PRICE + 100 * k - 50, PRICE + 100 * k)
              for k in range(20)]  # fmt: skip
    trades, orders, _ = run(kernel, bars_of(prices, 20))
    assert orders[0]["filled"] == 10 * LOT and orders[0]["qty"] == 10 * LOT
    opens = [PRICE + 100 * k for k in range(1, 6)]
    assert int(orders[0]["value"]) == sum(2 * LOT * price for price in opens)
    assert int(trades[0]["entry_value"]) == int(orders[0]["value"])


def test_a_worker_without_work_changes_nothing() -> None:
    """Entries and exits left alone: the same trades, orders and equity, to the byte."""
    table = sessions(2, 30, square_off=25, entry_until=20)
    rng = np.random.default_rng(5)
    closes = PRICE + np.cumsum(rng.integers(-40, 41, 60)) * 5
    prices = [(int(c), int(c) + 60, int(c) - 60, int(c)) for c in closes]
    wishes = [[("long", 2.0, 3.0), ("short", 2.0, 3.0), ("", 0.0, 0.0), ("flat", 0.0, 0.0)][i]
              for i in rng.integers(0, 4, 60)]  # fmt: skip
    found = []
    for worker in (None, {"entries": 0, "exits": 0}):
        kernel = make(Wisher(list(wishes)), table, worker=worker, slippage_ticks=1)
        rows = run(kernel, bars_of(prices, 30))
        found.append([each.tobytes() for each in rows])
    assert found[0] == found[1] and len(found[0][0]) > 0


def test_what_an_entry_has_not_filled_at_its_deadline_ends_with_its_average() -> None:
    made = stand(
        rules={
            "remainder": Remainder.CANCEL, "urgency": 0, "route": {"entry_cross": 0},
            "reprice_ns": 0,
        }
    )  # fmt: skip
    quote(made)
    quote(made, wish=("long", 900.0, 0.0))
    for second in range(70):
        quote(made, PRICE - 5 * second if second < 20 else PRICE)
    position = made.kernel.position
    trades, orders = made.finish()
    entry = orders[orders["flags"] & OrderFlag.WORKED != 0][0]
    assert entry["status"] == ReportKind.CANCELLED and 0 < entry["filled"] < entry["qty"]
    assert position == entry["filled"] == trades[0]["qty"]
    assert trades[0]["entry_value"] == entry["value"]


@pytest.mark.parametrize(("worked", "held"), [(True, 40), (False, 5)])
def test_a_size_that_is_to_fit_may_have_eight_freezes_when_it_is_worked(
    worked: bool, held: int
) -> None:
    """The worker takes no more than eight: one lot above them would be refused whole."""
    rules = {"algo": Algo.SLICE, "entries": worked, "interval_ns": SECOND}
    made = stand(freeze=5 * LOT + 1, sizing=Sizing(lots=100, fit=True), rules=rules)
    quote(made)
    quote(made, wish=("long", 900.0, 1_500.0))
    for _ in range(20):
        quote(made)
    assert made.kernel.position == held * LOT
    assert made.kernel.size_explained()["cut"] == "FREEZE"
    assert made.kernel.orders_refused == 0
