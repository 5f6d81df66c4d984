"""The gate with every guard armed (bar: 300 ns an order), and what guards cost a tick."""

from typing import Any

import numpy as np
import pytest

from dhanfast._core.bars import TimeBars
from dhanfast._core.guards import Guards
from dhanfast._core.kernel import Kernel
from dhanfast._core.loops import TickLoop
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import ORDER_DTYPE, SESSION_DTYPE, TICK_DTYPE
from dhanfast.strategies import find_strategy

ORDERS = 100_000
TICKS = 400_000
DAY = 86_400 * 10**9
MINUTE = 60 * 10**9
OPEN = 1_641_181_500 * 10**9  # 2022-01-03 09:15 IST
CAPITAL = 10**10
SESSION = {"lot": 15, "tick": 5, "freeze": 900, "margin_rate_e9": 120_000_000,
           "contract": 20220127, "date": 20220103, "square_off_ns": OPEN + DAY}  # fmt: skip
EVERY = {
    "drawdown_e4": 500, "day_loss": CAPITAL // 20, "alert_e4": 8_000,
    "profit_arm": CAPITAL // 2, "profit_floor": 10**6, "profit_step": 10**6, "trades_max": 10**6,
    "losses_max": 10**6, "losses_pause": MINUTE, "cooldown_pause": 1,
    "stops_limit": 512, "stops_lookback": DAY, "stops_pause": MINUTE,
    "low_limit": 512, "low_lookback": DAY, "low_pause": MINUTE, "low_required": -(10**9),
    "fall_allowed": 10**9, "fall_limit": 512, "fall_lookback": DAY, "fall_pause": MINUTE,
    "underlying_paise": 10**15, "underlying_lots": 10**9, "expiry_paise": 10**15,
    "expiry_lots": 10**9, "correlated_paise": 10**15,
    "vix_high": 3_000, "vix_high_leave": 2_800, "vix_low": 500, "vix_low_leave": 600,
    "rank_high_e4": 9_900, "rank_high_leave_e4": 9_000, "rank_low_e4": 1,
    "rank_low_leave_e4": 1, "rank_days": 252, "rank_days_min": 60, "vix_age": 10 * DAY,
    "stale_ns": 10**17, "expiry_day_until": 13 * 3600 * 10**9, "before_flat": 15 * MINUTE,
}  # fmt: skip


def every_guard() -> Guards:
    """All rules on, a year of VIX known, 512 trades remembered; nothing refuses."""
    days = np.arange(-260, 1, dtype=np.int64)
    values = 1_500 + 300 * np.sin(days / 9.0)
    guards = Guards(vix=(OPEN + days * DAY, values.astype(np.int64)), **EVERY)
    guards.start_day(20220103, CAPITAL, OPEN)
    for at in range(512):
        guards.close_trade(OPEN + at, 1_000 - 10 * (at % 7), 1 - 2 * (at % 2), False)
    assert set(guards.rules_in_force) >= set(EVERY) - {"rank_low_e4"}
    return guards


@pytest.mark.parametrize("armed", ["none", "every"])
def test_gate_with_guards(benchmark: Any, armed: str) -> None:
    """Time an order = median / orders_per_round. Every limit and guard is on; all orders pass."""
    gate = Gate(qty_max=900, notional_max=10**12, position_max=10**6, loss_day_max=10**9,
                band_e4=500, orders_per_s_max=10, margin_check=True, instruments=4,
                guards=every_guard() if armed == "every" else None)  # fmt: skip
    orders = np.zeros(ORDERS, dtype=ORDER_DTYPE)
    orders["id"] = np.arange(1, ORDERS + 1)
    orders["qty"], orders["price"], orders["side"] = 15, 5_000_000, 1
    view = {"mark": 5_000_000, "margin_free": 10**12, "session": SESSION}
    start = [OPEN + MINUTE]
    benchmark.extra_info["orders_per_round"] = ORDERS

    def later() -> tuple[tuple[Any], dict[str, Any]]:
        # 0.11 s apart: the rate limit passes, and a round is three hours of the same day's clock.
        orders["created_ns"] = start[0] + 110_000_000 * np.arange(ORDERS)
        orders["created_ns"] = OPEN + MINUTE + (orders["created_ns"] - OPEN) % (3 * 3600 * 10**9)
        orders["created_ns"].sort()
        start[0] += 10**9
        return (orders,), view

    verdicts = benchmark.pedantic(gate.check_many, setup=later, rounds=30, warmup_rounds=2)
    assert (verdicts[-ORDERS // 2 :] == 0).mean() > 0.0
    assert set(np.unique(verdicts)) <= {0, 23}  # the rate limit alone
