"""The worker's algorithms one by one, over the simulated exchange."""

import numpy as np
import pytest

from dhanfast._core.broker import Hold
from dhanfast._core.execution.schedule import Algo, Remainder
from dhanfast._core.execution.worker import Worker
from dhanfast._core.match import Match
from dhanfast._core.risk import Gate
from dhanfast._core.types import RejectReason
from dhanfast.errors import ConfigError, OrderRefused

from .plain_schedule import plain_schedule
from .worked import DAY, FREEZE, LOT, SECOND, WorkedOrder, child_of

URGENT = 2


def twap(**more: object) -> WorkedOrder:
    rules = {"algo": Algo.TWAP, "horizon_ns": 60 * SECOND, "interval_ns": 10 * SECOND}
    return WorkedOrder(**(rules | {"urgency": URGENT} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("random_e4", [0, 2_500, 5_000])
@pytest.mark.parametrize("woken", [False, True])
def test_a_twap_sends_what_its_plan_says(random_e4: int, woken: bool) -> None:
    """In a market that fills at once, what has filled is the plan, tick by tick."""
    stand = twap(random_e4=random_e4, seed=11)
    stand.tick(1)
    number = stand.parent(30)
    plan = plain_schedule(
        30, SECOND, 61 * SECOND, interval=10 * SECOND, random_e4=random_e4, seed=11, number=number
    )
    for second in range(2, 70):
        if woken:
            stand.wake(second - 0.001)
        stand.tick(second)
        # What was due by this tick has been sent before it, and it fills that.
        due = max(lots for at, lots in plan if at <= second * SECOND)
        assert stand.filled() == due * LOT
    assert stand.last() == ("FILLED", 0, 0) and stand.worker.parents_now() == []


def test_the_first_child_leaves_at_once() -> None:
    stand = twap()
    stand.tick(1)
    stand.parent(30)
    assert [order["left"] for order in stand.match.working().values()] == [5 * LOT]


def test_a_vwap_sends_by_the_profile() -> None:
    profile = np.zeros(1440, np.int64)
    profile[330:332] = 300, 100  # midnight UTC is 05:30 IST
    stand = WorkedOrder(
        algo=Algo.VWAP, horizon_ns=120 * SECOND, interval_ns=60 * SECOND, urgency=URGENT,
        profile=profile, day={"entry_until_ns": 121 * SECOND},
    )  # fmt: skip
    stand.tick(0.000001)
    stand.parent(8)
    stand.tick(1)
    assert stand.filled() == 6 * LOT
    stand.tick(62)
    assert stand.filled() == 8 * LOT


def test_a_vwap_outside_its_profile_is_refused() -> None:
    profile = np.zeros(1440, np.int64)
    profile[600] = 100
    stand = WorkedOrder(algo=Algo.VWAP, horizon_ns=60 * SECOND, profile=profile)
    stand.tick(1)
    stand.parent(8)
    assert stand.last() == ("REJECTED", RejectReason.NO_PROFILE, 0)
    assert stand.match.working() == {} and stand.worker.live == 0


def test_a_pov_follows_the_volume() -> None:
    """A tenth of what trades since the start, in whole lots, looked at every ten seconds."""
    stand = WorkedOrder(
        algo=Algo.POV, rate_e4=1_000, horizon_ns=600 * SECOND, interval_ns=10 * SECOND,
        urgency=URGENT,
    )  # fmt: skip
    stand.tick(1, volume=50_000)
    stand.parent(30)
    for second in range(2, 60):
        volume = 50_000 + 300 * (second - 1)
        stand.tick(second, volume=volume)
        looked = (second - 1) // 10 * 10 + 1  # the last look
        seen = 300 * (looked - 2) if looked > 1 else 0  # its tick had not come yet
        assert stand.filled() == seen // 10 // LOT * LOT


def test_a_pov_keeps_its_floor_in_a_dead_market() -> None:
    stand = WorkedOrder(
        algo=Algo.POV, rate_e4=1_000, floor_e4=5_000, horizon_ns=100 * SECOND,
        interval_ns=10 * SECOND, urgency=URGENT, remainder=Remainder.CANCEL,
    )  # fmt: skip
    stand.tick(1, volume=50_000)
    stand.parent(20)
    for second in range(2, 101):
        stand.tick(second, volume=50_000)
    assert stand.filled() == 9 * LOT  # half of 20 lots in even steps; the last look was at 90 s
    stand.tick(102)
    stand.tick(103)
    assert stand.last() == ("CANCELLED", 0, 0)


def test_the_volume_cap_holds_a_twap_back() -> None:
    stand = twap(cap_e4=1_000, remainder=Remainder.CANCEL)
    stand.tick(1, volume=10_000)
    stand.parent(60)
    for second in range(2, 65):
        volume = 10_000 + 100 * (second - 1)
        stand.tick(second, volume=volume)
        assert stand.filled() <= LOT + (volume - 10_000) // 10
    assert stand.filled() == LOT + 100 * 49 // 10 // LOT * LOT  # the look at 51 s, 49 ticks in


def test_an_iceberg_shows_one_child() -> None:
    stand = WorkedOrder(algo=Algo.ICEBERG, display_lots=4, random_e4=2_500, seed=3, urgency=0)
    stand.tick(1)
    stand.parent(40)
    seen = []
    for second in range(2, 200):
        working = list(stand.match.working().values())
        if not working:
            break
        assert len(working) == 1 and working[0]["left"] <= 5 * LOT
        seen.append(working[0]["left"])
        stand.tick(second, bid=9_995, ask=10_000, last=9_990)  # trades through what rests
    assert sum(seen) == stand.filled() == 40 * LOT
    assert set(seen[:-1]) <= {3 * LOT, 4 * LOT, 5 * LOT} and len(set(seen)) > 1


def test_slices_leave_together_and_none_is_above_freeze() -> None:
    stand = WorkedOrder(algo=Algo.SLICE, urgency=URGENT)
    stand.tick(1)
    stand.parent(60)  # 4,500 units
    assert sorted(order["left"] for order in stand.match.working().values()) == [900, 1800, 1800]
    stand.tick(2)
    assert stand.filled() == 4_500 and stand.worker.parts_held() == [1800, 1800, 900]


def test_a_freeze_that_is_no_multiple_of_the_lot_is_rounded_down() -> None:
    stand = WorkedOrder(algo=Algo.SLICE, urgency=URGENT, day={"freeze": 1_000})
    stand.tick(1)
    stand.parent(20)
    assert sorted(order["left"] for order in stand.match.working().values()) == [525, 975]


def test_more_than_eight_parts_is_refused() -> None:
    stand = WorkedOrder(algo=Algo.SLICE)
    stand.tick(1)
    stand.parent(8 * FREEZE // LOT + 1)
    assert stand.last() == ("REJECTED", RejectReason.QTY_FREEZE, 0)


def test_fills_name_their_child() -> None:
    """Brokerage is charged by the order at the exchange."""
    stand = twap()
    stand.tick(1)
    stand.parent(30)
    for second in range(2, 65):
        stand.tick(second)
    children = {int(row["order_id"]) + child_of(row) for row in stand.all() if row["qty"]}
    assert len(children) == 6 and {int(row["order_id"]) for row in stand.all()} == {1}


# ---- its end -------------------------------------------------------------------------------------


def resting(**more: object) -> WorkedOrder:
    """Children that join the best of their side in a market that never trades there."""
    stand = twap(urgency=0, **more)
    stand.tick(1)
    stand.parent(30)
    for second in range(2, 61):
        stand.tick(second)
    assert stand.filled() == 0
    return stand


def test_a_rest_takes_what_the_market_offers() -> None:
    stand = resting(remainder=Remainder.REPRICE, route={"entry_cross": 0})
    stand.tick(61)
    stand.tick(62)
    assert stand.filled() == 30 * LOT and stand.last() == ("FILLED", 0, 0)


def test_a_rest_is_let_go() -> None:
    stand = resting(remainder=Remainder.CANCEL, route={"entry_cross": 0})
    stand.tick(61)
    assert stand.last() == ("CANCELLED", 0, 0) and stand.match.working() == {}
    stand.tick(100, bid=9_000, ask=9_005)
    assert stand.filled() == 0


def test_a_rest_stays_where_it_rests() -> None:
    stand = resting(remainder=Remainder.KEEP, route={"entry_cross": 0})
    sent = stand.worker.children_sent
    for second in range(61, 120):
        stand.tick(second)
    assert sum(order["left"] for order in stand.match.working().values()) == 30 * LOT
    stand.tick(120, bid=9_980, ask=9_990)
    assert stand.filled() == 30 * LOT and stand.worker.children_sent == sent


def test_a_small_rest_is_not_followed() -> None:
    """27 of 30 lots are had when the market leaves; three are fewer than the least five."""
    stand = twap(remainder=Remainder.REPRICE, least_lots=5, limit_e4=10)
    stand.tick(1)
    stand.parent(30)
    for second in range(2, 70):
        far = 1_000 if second != 52 else 0
        stand.tick(second, bid=10_000 + far, ask=10_010 + far, qty=27 * LOT)
    assert stand.filled() == 27 * LOT and stand.last() == ("CANCELLED", 0, 0)
    assert all(time == 52 for time, _ in stand.fills())


def test_no_child_pays_more_than_the_limit() -> None:
    stand = twap(limit_e4=10)  # 10.01 and a tick down from 10,005
    stand.tick(1)
    stand.parent(30)
    for second in range(2, 70):
        stand.tick(second, bid=10_000 + 5 * second, ask=10_005 + 5 * second)
    prices = [int(row["price"]) for row in stand.all() if row["qty"]]
    assert prices and max(prices) <= 10_015 and stand.filled() < 30 * LOT
    assert stand.last() == ("CANCELLED", 0, 0)


def test_nothing_is_sent_after_a_cancel() -> None:
    stand = twap(urgency=0, route={"entry_cross": 0})
    stand.tick(1)
    number = stand.parent(30)
    stand.tick(15)
    stand.worker.cancel_order(number, stand.now)
    stand.listen()
    sent = stand.worker.children_sent
    assert stand.last() == ("CANCELLED", 0, 0) and stand.match.working() == {}
    for second in range(16, 100):
        stand.tick(second, bid=9_000, ask=9_005)
    assert stand.worker.children_sent == sent and stand.filled() == 0
    with pytest.raises(OrderRefused):
        stand.worker.cancel_order(number, stand.now)


def test_a_pause_takes_children_back_and_a_resume_goes_on() -> None:
    stand = twap(urgency=0, route={"entry_cross": 0})
    stand.tick(1)
    stand.parent(30)
    stand.tick(5)
    stand.worker.hold_orders(Hold.PAUSE, stand.now)
    assert stand.match.working() == {} and stand.worker.paused
    stand.tick(25)
    assert stand.match.working() == {}
    stand.worker.hold_orders(Hold.RESUME, stand.now)
    stand.tick(26)
    assert sum(order["left"] for order in stand.match.working().values()) == 15 * LOT


def test_a_deadline_in_a_pause_ends_an_entry() -> None:
    stand = twap(urgency=0)
    stand.tick(1)
    stand.parent(30)
    stand.worker.hold_orders(Hold.PAUSE, stand.now)
    stand.tick(62)
    assert stand.last() == ("CANCELLED", 0, 0)


def test_the_day_ends_a_parent() -> None:
    stand = twap(urgency=0)
    stand.tick(1)
    stand.parent(30)
    stand.worker.start_session(DAY)
    stand.listen()
    assert stand.last()[0] == "EXPIRED" and stand.worker.live == 0
    assert stand.worker.wake_ns == 2**63 - 1


def test_a_deadline_is_not_after_the_last_entry() -> None:
    stand = twap(day={"entry_until_ns": 31 * SECOND})
    stand.tick(1)
    stand.parent(30)
    for second in range(2, 33):
        stand.tick(second)
    assert stand.filled() == 30 * LOT  # three steps of ten seconds instead of six


# ---- the gate ------------------------------------------------------------------------------------


def held_back(**more: object) -> WorkedOrder:
    """A TWAP of thirty lots in a minute; entries are held back when five have filled."""
    stand = twap(**more)
    stand.tick(1)
    stand.parent(30)
    stand.tick(2)
    stand.gate.reduce_only()
    return stand


def test_a_parent_waits_while_entries_are_held_back() -> None:
    """As behind a restart, until the books are compared; then it sends what has become due."""
    stand = held_back()
    for second in range(3, 25):
        stand.tick(second)
    assert stand.filled() == 5 * LOT and "STATE_REDUCING" not in stand.gate.verdicts
    stand.gate.activate()
    stand.tick(26)
    stand.tick(27)
    assert stand.filled() == 15 * LOT
    for second in range(28, 63):
        stand.tick(second)
    assert stand.filled() == 30 * LOT and stand.last() == ("FILLED", 0, 0)


@pytest.mark.parametrize("remainder", list(Remainder))
def test_what_is_held_back_until_its_deadline_is_let_go(remainder: Remainder) -> None:
    stand = held_back(remainder=remainder)
    for second in range(3, 63):
        stand.tick(second)
    assert stand.last()[0] == "CANCELLED" and stand.worker.parents_now() == []
    stand.gate.activate()
    stand.tick(64)
    assert stand.filled() == 5 * LOT


def test_a_halt_ends_a_parent() -> None:
    stand = twap()
    stand.tick(1)
    stand.parent(30)
    stand.tick(2)
    stand.gate.halt()
    stand.tick(12)
    assert stand.last() == ("CANCELLED", RejectReason.STATE_HALTED, 0)
    assert stand.filled() == 5 * LOT and stand.gate.verdicts["STATE_HALTED"] == 1


def test_children_count_in_the_rate_and_wait_for_room() -> None:
    stand = WorkedOrder(algo=Algo.SLICE, child_lots=1, gate={"orders_per_s_max": 3}, urgency=URGENT)
    stand.tick(1)
    stand.parent(8)
    assert len(stand.match.working()) == 3  # the parent itself uses up no room
    for tenth in range(11, 60):
        stand.tick(tenth / 10)
    assert stand.filled() == 8 * LOT
    sent: dict[int, int] = {}
    for row in stand.all():
        if row["qty"]:
            sent.setdefault(child_of(row), int(row["time_ns"]))
    times = sorted(sent.values())
    assert all(b - a >= 0.9 * SECOND for a, b in zip(times, times[3:], strict=False))


def test_a_refused_first_child_refuses_the_parent() -> None:
    stand = twap(day={"band_low": 10_020, "band_high": 11_000}, gate={"band_e4": 5})
    stand.tick(1)
    stand.parent(30)
    kind, reason, left = stand.last()
    assert (kind, left) == ("REJECTED", 0) and reason == RejectReason.LIMIT_BAND


def test_an_order_of_another_gate_is_refused() -> None:
    stand, other = twap(), Gate(instruments=1)
    approved = other.check(
        {"id": 1, "qty": LOT, "side": 1, "kind": 1, "flags": 16}, mark=1, now_ns=1
    )
    with pytest.raises(OrderRefused):
        stand.worker.submit_order(approved, 1)


def test_what_a_worker_cannot_be_is_refused() -> None:
    gate = Gate(instruments=1)
    with pytest.raises(ConfigError, match="vwap needs a volume profile"):
        Worker(Match(gate), gate, algo=Algo.VWAP)
    with pytest.raises(ConfigError, match="cannot be a worker"):
        Worker(Worker(Match(gate), gate), gate)
    with pytest.raises(ConfigError, match="the broker has 2"):
        Worker(Match(Gate(instruments=2), instruments=2), gate)
    with pytest.raises(ConfigError, match=r"routing\.speed: no such rule"):
        Worker(Match(gate), gate, route={"speed": 1})
    with pytest.raises(ConfigError, match=r"execution\.algo must be a whole number in 1\.\.5"):
        Worker(Match(gate), gate, algo=0)
