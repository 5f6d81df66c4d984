"""Guards inside the kernel: on bars, on ticks in one pass and one by one, and closing positions."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.bars import TimeBars
from dhanfast._core.guards import Guards
from dhanfast._core.loops import TickLoop
from dhanfast._core.types import TICK_DTYPE, OrderFlag, Reason, RejectReason

from .guards_model import Model
from .stand import DAY, MINUTE, OPEN, Wisher, bars_of, make, run, sessions
from .test_tick_loop import MINUTES, Fickle, walk
from .tick_stand import LOT, SECOND, TickStand

CAPITAL = 10**8


def told(seed: int, count: int, rules: dict[str, int], cuts: list[int], *, singly: bool) -> Any:
    """What a run over ticks wrote down, and all that its guards know and told."""
    ticks = walk(seed, count, 3, "all")
    table = sessions(3, MINUTES, square_off=7, lot=LOT)
    guards = Guards(**rules)
    kernel = make(Fickle(), table, lots=4, capital=CAPITAL, gate={"guards": guards})
    loop = TickLoop(kernel, TimeBars(MINUTE, table), singly=singly)
    edges = [0, *sorted(cut % len(ticks) for cut in cuts), len(ticks)]
    for low, high in pairwise(edges):
        assert loop.run(ticks[low:high].view("u1"))
    loop.close_bars()
    kernel.finish()
    trades, orders, equity = kernel.log.drain()
    rows = [each.tobytes() for each in (trades, orders, equity)]
    return rows, guards.events(), guards.carry(), guards.vetoed, kernel.gate.verdicts


tight = st.fixed_dictionaries(
    {"drawdown_paise": st.integers(100, 4_000), "alert_e4": st.just(6_000)},
    optional={
        "drawdown_flat": st.just(1),
        "day_loss": st.integers(100, 4_000),
        "day_loss_flat": st.just(1),
        "cooldown_pause": st.sampled_from([SECOND, 2 * MINUTE]),
        "losses_max": st.just(2), "losses_pause": st.just(MINUTE),
        "profit_arm": st.just(1_000), "profit_floor": st.integers(0, 900),
        "profit_step": st.just(100), "profit_flat": st.integers(0, 1),
        "stale_ns": st.sampled_from([SECOND, 3 * SECOND]),
    },
)  # fmt: skip


@given(
    seed=st.integers(0, 10**6),
    count=st.integers(50, 900),
    rules=tight,
    cuts=st.lists(st.integers(0, 10**6), max_size=3),
)
@settings(max_examples=80, deadline=None)
def test_ticks_in_one_pass_are_guarded_as_one_by_one(
    seed: int, count: int, rules: dict[str, int], cuts: list[int]
) -> None:
    assert told(seed, count, rules, cuts, singly=False) == told(seed, count, rules, [], singly=True)


prices = st.lists(st.integers(-60, 60), min_size=40, max_size=120)


@given(
    moves=prices,
    wishes=st.lists(st.sampled_from(["", "long", "short", "flat", "long", "short"]),
                    min_size=120, max_size=120),
    rules=st.fixed_dictionaries({
        "trades_max": st.integers(0, 4), "losses_max": st.integers(0, 2),
        "losses_pause": st.sampled_from([-1, 5 * MINUTE]),
        "cooldown_pause": st.sampled_from([0, 3 * MINUTE, -1]),
        "stops_limit": st.integers(0, 2), "stops_lookback": st.just(20 * MINUTE),
        "stops_pause": st.sampled_from([-1, 10 * MINUTE]), "stops_per_side": st.integers(0, 1),
        "low_limit": st.integers(0, 3), "low_lookback": st.just(30 * MINUTE),
        "low_pause": st.just(7 * MINUTE), "low_required": st.just(-1_000),
    }),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_each_refused_entry_of_a_run_is_one_that_the_model_refuses(
    moves: list[int], wishes: list[str], rules: dict[str, int]
) -> None:
    """The model hears of the run's own trades and judges the run's own entries."""
    minutes = 30
    closes = (100_000 + 5 * np.cumsum(moves)).tolist()
    bars = bars_of([(at, at + 20, at - 20, at) for at in closes], minutes)
    table = sessions(5, minutes, square_off=28)
    guards = Guards(**rules)
    strategy = Wisher([(wish, 1.0, 1.5) for wish in wishes])
    trades, orders, _ = run(make(strategy, table, gate={"guards": guards}), bars)
    model, day = Model(rules), -1
    # In order: what is decided at a bar's end meets the open of the next, at the same instant.
    told = [(int(row["entry_ns"]), 2, row) for row in trades]
    told += [(int(row["exit_ns"]), 1, row) for row in trades]
    told += [(int(row["created_ns"]), 0, row) for row in orders
             if not int(row["flags"]) & int(OrderFlag.EXIT)]  # fmt: skip
    for now, kind, row in sorted(told, key=lambda one: one[:2]):
        if (now - OPEN) // DAY > day:
            day = (now - OPEN) // DAY
            model.start_day(20220103 + day, 10**12, now)
        if kind == 2:
            model.enter(now)
        elif kind == 1:
            charges = sum(
                int(row[name])
                for name in ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst")
            )
            net = int(row["gross"]) - (charges + 500_000) // 1_000_000
            stopped = int(row["exit_reason"]) == int(Reason.STOP_LOSS)
            model.close_trade(now, net, int(row["side"]), stopped)
        else:
            assert RejectReason(int(row["refused"])).name == model.verdict(int(row["side"]), now)


def test_a_profit_that_fell_to_its_floor_is_taken() -> None:
    guards = Guards(profit_arm=4_000, profit_floor=2_000, profit_flat=1)
    stand = TickStand(capital=CAPITAL, gate={"guards": guards})
    stand.tick(10_000, qty=500, wish=("long", 0.0, 0.0))
    stand.tick(10_000, qty=500)  # four lots of 25 at 100 rupees
    assert stand.kernel.position == 100
    stand.tick(10_035, qty=500)
    stand.tick(10_020, qty=500)  # 20 rupees, but it never was armed
    assert guards.locks() == [] and stand.kernel.position == 100
    stand.tick(10_045, qty=500)
    stand.tick(10_025, qty=500)
    assert guards.locks() == [] and stand.kernel.position == 100
    stand.tick(10_020, qty=500)
    assert [lock.name for lock in guards.locks()] == ["profit_lock"]
    assert stand.kernel.exit_id != 0
    stand.tick(10_020, qty=500, wish=("long", 0.0, 0.0))
    assert stand.kernel.position == 0
    trades, orders = stand.finish()
    assert [Reason(int(row["exit_reason"])) for row in trades] == [Reason.RISK_EXIT]
    assert int(trades["gross"][0]) == 2_000
    refused = orders[orders["refused"] != 0]
    assert [RejectReason(int(row["refused"])).name for row in refused] == ["GUARD_PROFIT_LOCK"]


def test_a_stop_is_kept_and_an_exit_leaves_under_every_lock() -> None:
    guards = Guards(drawdown_paise=1_000, day_loss=1_000)
    stand = TickStand(capital=CAPITAL, gate={"guards": guards})
    stand.tick(10_000, qty=500, wish=("long", 1.0, 0.0))
    stand.tick(10_000, qty=500)
    guards.lock("operator", now_ns=stand.now)
    stand.tick(9_985, qty=500)
    assert {lock.name for lock in guards.locks()} == {"operator", "drawdown", "day_loss"}
    assert stand.kernel.position == 100 and stand.covered() == (100, 0)
    stand.tick(9_985, qty=500, wish=("flat", 0.0, 0.0))
    stand.tick(9_985, qty=500)
    assert stand.kernel.position == 0
    stand.tick(9_985, qty=500, wish=("long", 1.0, 0.0))
    assert stand.kernel.gate.verdicts["GUARD_LOCKED"] == 1
    _, orders = stand.finish()
    assert RejectReason(int(orders["refused"][-1])) is RejectReason.GUARD_LOCKED


def test_a_wish_on_old_data_waits() -> None:
    guards = Guards(stale_ns=2 * SECOND)
    stand = TickStand(capital=CAPITAL, gate={"guards": guards})
    stand.tick(10_000, qty=500)
    for late, want in ((2 * SECOND, 0), (2 * SECOND + 1, 1)):
        tick = np.zeros(1, TICK_DTYPE)
        stand.now += SECOND
        tick["exch_ns"], tick["recv_ns"] = stand.now, stand.now + late
        tick["price"], tick["qty"] = 10_000, 0
        stand.strategy.wish = ("long", 0.0, 0.0)
        assert stand.loop.run(tick.view("u1"))
        assert guards.vetoed.get("GUARD_STALE", 0) == want
        stand.tick(10_000, qty=500)
        stand.tick(10_000, qty=500, wish=("flat", 0.0, 0.0))
        stand.tick(10_000, qty=500)
    assert guards.explain("GUARD_STALE") == "the last market data is 2s old, the limit is 2s"
