"""The risk gate: its verdicts against a plain model, its seal, its refusals to be bypassed."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.match import Match
from dhanfast._core.risk import Approved, Gate, RiskState
from dhanfast._core.types import ORDER_DTYPE, OrderFlag, OrderKind, RejectReason, Side
from dhanfast.errors import ConfigError, OrderRefused, UsageError

SECOND = 1_000_000_000
SESSION = {"lot": 15, "tick": 5, "freeze": 900, "margin_rate_e9": 100_000_000}


def order(**fields: Any) -> dict[str, Any]:
    """A lot of 15 bought at 100 rupees, unless said otherwise."""
    return {"id": 1, "qty": 15, "side": 1, "kind": int(OrderKind.LIMIT), "price": 10_000} | fields


def verdict(gate: Gate, fields: dict[str, Any], **view: Any) -> RejectReason:
    try:
        gate.check(fields, **{"session": SESSION, "mark": 10_000, **view})
    except OrderRefused as refusal:
        return refusal.reason  # type: ignore[attr-defined]
    return RejectReason.NONE


@pytest.mark.parametrize(
    ("limits", "fields", "view", "want"),
    [
        ({"qty_max": 30}, {"qty": 30}, {}, "NONE"),
        ({"qty_max": 30}, {"qty": 45}, {}, "LIMIT_QTY"),
        ({"notional_max": 150_000}, {}, {}, "NONE"),
        ({"notional_max": 149_999}, {}, {}, "LIMIT_NOTIONAL"),
        ({"notional_max": 149_999}, {"kind": 1, "price": 0}, {}, "LIMIT_NOTIONAL"),
        ({"notional_max": 149_999}, {"kind": 1, "price": 0}, {"mark": 9_995}, "NONE"),
        ({"position_max": 30}, {}, {"position": 15}, "NONE"),
        ({"position_max": 30}, {}, {"position": 30}, "LIMIT_POSITION"),
        ({"position_max": 30}, {"side": -1}, {"position": -30}, "LIMIT_POSITION"),
        ({"position_max": 30}, {}, {"position": 15, "pending": 15}, "LIMIT_POSITION"),
        # The other side's working entry may never fill: it makes no room.
        ({"position_max": 30}, {}, {"position": 30, "pending": -30}, "LIMIT_POSITION"),
        ({"loss_day_max": 500}, {}, {"day_pnl": -499}, "NONE"),
        ({"loss_day_max": 500}, {}, {"day_pnl": -500}, "LIMIT_LOSS"),
        ({"band_e4": 100}, {"price": 10_100}, {}, "NONE"),
        ({"band_e4": 100}, {"price": 10_105}, {}, "LIMIT_BAND"),
        ({"band_e4": 100}, {"price": 9_895}, {}, "LIMIT_BAND"),
        ({"band_e4": 100}, {}, {"mark": 0}, "NO_MARKET"),
        ({}, {"kind": 1, "price": 0}, {"mark": 0}, "NO_MARKET"),
        ({"margin_check": True}, {}, {"margin_free": 15_000}, "NONE"),
        ({"margin_check": True}, {}, {"margin_free": 14_999}, "LIMIT_MARGIN"),
        # Turning 15 long into 15 short adds no exposure.
        ({"margin_check": True}, {"qty": 30, "side": -1}, {"position": 15}, "NONE"),
        ({}, {"qty": 20}, {}, "QTY_LOT"),
        ({}, {"qty": 915}, {}, "QTY_FREEZE"),
        ({}, {"price": 10_003}, {}, "PRICE_TICK"),
        ({}, {"kind": 2, "price": 10_010, "trigger": 10_003}, {}, "PRICE_TICK"),
    ],
)
def test_each_limit_at_its_edge(
    limits: dict[str, Any], fields: dict[str, Any], view: dict[str, Any], want: str
) -> None:
    gate = Gate(**limits)
    assert verdict(gate, order(**fields), **view).name == want
    assert gate.verdicts == {want: 1}


@pytest.mark.parametrize(
    "fields",
    [
        {"id": 0},
        {"qty": 0},
        {"qty": -15},
        {"qty": 10**12 + 5},
        {"side": 0},
        {"side": 2},
        {"kind": 4},
        {"validity": 2},
        {"price": 0},
        {"price": -5},
        {"trigger": 10_000},
        {"instrument": 3},
        {"kind": 1},
        {"kind": 2, "trigger": 0},
        {"kind": 2, "price": 0, "trigger": 10_000},
        {"kind": 2, "price": 9_995, "trigger": 10_000},
        {"kind": 2, "side": -1, "price": 10_005, "trigger": 10_000},
        {"kind": 3, "trigger": 10_000},
        {"kind": 3, "price": 0},
        # An exit must reduce the position and no more than that.
        {"flags": 1},
        {"flags": 1, "side": -1, "qty": 45},
    ],
)
def test_malformed_orders_are_refused(fields: dict[str, Any]) -> None:
    position = 30 if fields.get("flags") else 0
    assert verdict(Gate(instruments=3), order(**fields), position=position).name == "MALFORMED"


def strict_gate() -> Gate:
    return Gate(qty_max=1, notional_max=1, position_max=1, loss_day_max=1, band_e4=1,
                orders_per_s_max=1, margin_check=True)  # fmt: skip


@given(
    side=st.sampled_from([1, -1]),
    lots=st.integers(1, 100),
    held_more=st.integers(0, 100),
    state=st.sampled_from(["halt", "reduce_only", "activate"]),
    mark=st.integers(0, 10**7),
    kind=st.sampled_from([0, 1, 3]),
)
@settings(max_examples=60, deadline=None)
def test_no_limit_and_no_state_ever_blocks_an_exit(
    side: int, lots: int, held_more: int, state: str, mark: int, kind: int
) -> None:
    gate = strict_gate()
    getattr(gate, state)()
    prices = {0: {"price": 10_000}, 1: {"price": 0}, 3: {"price": 0, "trigger": 10_000}}[kind]
    fields = order(side=side, qty=15 * lots, flags=int(OrderFlag.EXIT), kind=kind, **prices)
    position = -side * 15 * (lots + held_more)
    view = {"position": position, "mark": mark, "day_pnl": -(10**15), "margin_free": -(10**15)}
    for _ in range(3):
        assert verdict(gate, fields, **view) is RejectReason.NONE


def test_an_odd_rest_may_leave_whole() -> None:
    gate = Gate()
    assert verdict(gate, order(side=-1, flags=1, qty=7), position=7) is RejectReason.NONE
    assert verdict(gate, order(side=-1, flags=1, qty=7), position=8) is RejectReason.QTY_LOT


def test_states_refuse_entries_until_activated() -> None:
    gate = Gate()
    gate.halt()
    assert gate.state == RiskState.HALTED
    assert verdict(gate, order()) is RejectReason.STATE_HALTED
    gate.reduce_only()
    assert gate.state == RiskState.REDUCING
    assert verdict(gate, order()) is RejectReason.STATE_REDUCING
    gate.activate()
    assert gate.state == RiskState.ACTIVE
    assert verdict(gate, order()) is RejectReason.NONE


def test_the_daily_loss_locks_entries_until_the_next_day() -> None:
    gate = Gate(loss_day_max=1_000)
    assert verdict(gate, order(), day_pnl=-1_000) is RejectReason.LIMIT_LOSS
    assert gate.day_locked
    gate.activate()  # an operator cannot talk the day's loss away
    assert verdict(gate, order(), day_pnl=50_000) is RejectReason.LIMIT_LOSS
    gate.start_day()
    assert verdict(gate, order(), day_pnl=0) is RejectReason.NONE


def test_an_exit_at_the_loss_limit_locks_too() -> None:
    gate = Gate(loss_day_max=1_000)
    assert verdict(gate, order(side=-1, flags=1), position=15, day_pnl=-2_000).name == "NONE"
    assert verdict(gate, order(), day_pnl=0) is RejectReason.LIMIT_LOSS


@given(
    gaps=st.lists(st.integers(0, 400), min_size=1, max_size=60),
    exits=st.lists(st.booleans(), min_size=60, max_size=60),
    most=st.integers(1, 5),
)
@settings(max_examples=80, deadline=None)
def test_rate_is_a_sliding_second_over_approved_orders(
    gaps: list[int], exits: list[bool], most: int
) -> None:
    gate, approved, now = Gate(orders_per_s_max=most), [], 5 * SECOND
    for gap, is_exit in zip(gaps, exits, strict=False):
        now += gap * 1_000_000
        in_window = sum(now - SECOND < stamp <= now for stamp in approved)
        want = RejectReason.NONE if is_exit or in_window < most else RejectReason.LIMIT_RATE
        fields = order(side=-1, flags=1) if is_exit else order()
        assert verdict(gate, fields, position=15, now_ns=now) is want
        if want is RejectReason.NONE:
            approved.append(now)


def test_an_approval_cannot_be_made_copied_or_pickled() -> None:
    approved = Gate().check(order())
    for attempt in (
        Approved,
        lambda: Approved(object()),
        lambda: Approved.__new__(Approved),
        lambda: copy.copy(approved),
        lambda: copy.deepcopy(approved),
        lambda: pickle.dumps(approved),
    ):
        with pytest.raises(TypeError):
            attempt()
    assert not hasattr(approved, "seal") and not hasattr(Gate(), "key")


def test_changing_the_shown_order_changes_nothing() -> None:
    approved = Gate().check(order())
    approved.order["qty"] = 999
    assert approved.order["qty"][0] == 15


def test_another_gates_approval_is_worth_nothing() -> None:
    mine, other = Gate(), Gate()
    match = Match(mine)
    with pytest.raises(OrderRefused, match="approval"):
        match.submit_order(other.check(order()), 0)
    match.submit_order(mine.check(order()), 0)


def test_an_approval_is_good_for_one_order() -> None:
    gate = Gate()
    match, approved = Match(gate), gate.check(order())
    match.submit_order(approved, 0)
    with pytest.raises(OrderRefused):
        match.submit_order(approved, 0)


def test_many_agrees_with_one_at_a_time() -> None:
    rng = np.random.default_rng(11)
    orders = np.zeros(400, dtype=ORDER_DTYPE)
    orders["id"] = np.arange(1, 401)
    orders["qty"] = rng.choice([0, 7, 15, 30, 60], 400)
    orders["side"] = rng.choice([int(Side.BUY), int(Side.SELL)], 400)
    orders["price"] = rng.choice([0, 10_000, 10_003, 10_500], 400)
    orders["flags"] = rng.choice([0, 1], 400)
    orders["created_ns"] = np.cumsum(rng.integers(0, SECOND // 5, 400))
    limits = {"qty_max": 30, "position_max": 45, "band_e4": 200, "orders_per_s_max": 4}
    one, many = Gate(**limits), Gate(**limits)
    view = {"position": 15, "mark": 10_000, "session": SESSION}
    want = [int(verdict(one, row.copy(), now_ns=int(row["created_ns"][0]), **view))
            for row in (orders[at : at + 1] for at in range(400))]  # fmt: skip
    assert many.check_many(orders, **view).tolist() == want
    assert one.verdicts == many.verdicts and len(one.verdicts) >= 6


@pytest.mark.parametrize("bad", [-1, 1.5, "many", float("nan"), 10**30])
def test_bad_limits_are_refused_by_name(bad: Any) -> None:
    with pytest.raises(ConfigError, match="qty_max"):
        Gate(qty_max=bad)


def test_bad_records_are_refused_by_field() -> None:
    for fields, says in (
        ({"quantity": 1}, "quantity.*no such field"),
        ({"price": 1.5}, "price.*whole number"),
        ({"qty": 2**70}, "qty.*does not fit"),
        ({"price": float("nan")}, "price"),
    ):
        with pytest.raises(UsageError, match=says):
            Gate().check(fields)
    with pytest.raises(UsageError, match="one record"):
        Gate().check(np.zeros(2, dtype=ORDER_DTYPE))
    with pytest.raises(UsageError, match="ORDER_DTYPE"):
        Gate().check_many(np.zeros(2))
