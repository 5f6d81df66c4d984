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
from dhanfast.strategies import Strategy

ORDERS = 9_000
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
    "stale_ns": 10**9, "expiry_day_until": 13 * 3600 * 10**9, "before_flat": 15 * MINUTE,
}  # fmt: skip


def every_guard() -> Guards:
    """All rules on, a year of VIX known, 512 trades remembered; nothing refuses."""
    days = np.arange(-260, 1, dtype=np.int64)
    values = 1_500 + 300 * np.sin(days / 9.0)
    guards = Guards(vix=(OPEN + days * DAY, values.astype(np.int64)), **EVERY)
    guards.start_day(20220103, CAPITAL, OPEN)
    for at in range(512):
        guards.close_trade(OPEN + at, 1_000 - 10 * (at % 7), 1 - 2 * (at % 2), False)
    assert set(guards.rules_in_force) == set(EVERY)
    return guards


@pytest.mark.parametrize("armed", ["none", "every"])
def test_gate_with_guards(benchmark: Any, armed: str) -> None:
    """Time an order = median / orders_per_round. Every limit and guard is on; all orders pass."""
    orders = np.zeros(ORDERS, dtype=ORDER_DTYPE)
    orders["id"] = np.arange(1, ORDERS + 1)
    orders["qty"], orders["price"], orders["side"] = 15, 5_000_000, 1
    orders["created_ns"] = OPEN + MINUTE + 10**9 * np.arange(ORDERS)  # the rate limit passes
    view = {"mark": 5_000_000, "margin_free": 10**12, "session": SESSION}
    benchmark.extra_info["orders_per_round"] = ORDERS

    def fresh() -> tuple[tuple[Gate], dict[str, Any]]:
        return (Gate(qty_max=900, notional_max=10**12, position_max=10**6, loss_day_max=10**9,
                     band_e4=500, orders_per_s_max=10, margin_check=True, instruments=4,
                     guards=every_guard() if armed == "every" else None),), {}  # fmt: skip

    verdicts = benchmark.pedantic(
        lambda gate: gate.check_many(orders, **view), setup=fresh, rounds=60, warmup_rounds=3
    )
    assert (verdicts == 0).all()


class Holds(Strategy):
    """Long from the first bar on: every tick moves the equity that the guards watch."""

    def on_bar(self, ctx: Any, bar: Any) -> None:
        """One wish a bar, kept out while the position is held."""
        ctx.buy()


def market() -> Any:
    """One day of ticks: a walk of the last price with its quote."""
    rng = np.random.default_rng(7)
    sessions = np.zeros(1, SESSION_DTYPE)
    for name, value in SESSION.items():
        sessions[name] = value
    sessions["open_ns"] = sessions["entry_from_ns"] = OPEN
    sessions["close_ns"] = sessions["entry_until_ns"] = OPEN + 375 * MINUTE
    ticks = np.zeros(TICKS, TICK_DTYPE)
    ticks["exch_ns"] = np.sort(OPEN + (rng.random(TICKS) * 374 * MINUTE).astype(np.int64))
    ticks["recv_ns"] = ticks["exch_ns"] + 10_000_000
    ticks["price"] = 3_800_000 + 5 * np.cumsum(rng.integers(-1, 2, TICKS))
    ticks["bid"], ticks["ask"] = ticks["price"] - 5, ticks["price"] + 5
    ticks["qty"] = ticks["bid_qty"] = ticks["ask_qty"] = 900
    ticks["volume"] = np.cumsum(ticks["qty"])
    return ticks, sessions


@pytest.mark.parametrize("singly", [False, True], ids=["in_one_pass", "one_by_one"])
@pytest.mark.parametrize("armed", ["none", "every"])
def test_ticks_with_guards(benchmark: Any, armed: str, singly: bool) -> None:
    """Time a tick = median / ticks_per_round, a position held; none and every in one run."""
    ticks, sessions = market()
    raw = ticks.view(np.uint8)
    benchmark.extra_info["ticks_per_round"] = TICKS

    def fresh() -> tuple[tuple[TickLoop], dict[str, Any]]:
        gate = Gate(instruments=1, guards=every_guard() if armed == "every" else None)
        runner = Holds().runner(lambda at_ns, text: None)
        books = Portfolio(CAPITAL, 1)
        kernel = Kernel(runner, Match(gate, stop_market_ok=True), books, gate, RunLog(), sessions)
        return (TickLoop(kernel, TimeBars(MINUTE, sessions), singly=singly),), {}

    def run(loop: TickLoop) -> Kernel:
        while not loop.run(raw):
            loop.kernel.log.drain()
            loop.take_bars()
        return loop.kernel

    kernel = benchmark.pedantic(run, setup=fresh, rounds=15, warmup_rounds=1)
    assert kernel.position == 15
