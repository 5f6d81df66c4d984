"""Laws of the engine: no look-ahead, limits hold, streaming equals one array."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.types import OrderFlag, Reason, RejectReason
from dhanfast.engine.engine import Engine
from dhanfast.engine.runs import backtest, sessions_of
from dhanfast.engine.settings import RiskSettings, Settings, Slippage
from dhanfast.market.generate import generate_bars
from dhanfast.strategies import Context, Strategy
from dhanfast.strategies.plugins import find_strategy

from .conftest import drawn

MINUTE = 60_000_000_000
MARKET = drawn("BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 11), 3, "IDX")
DOORS = ("momentum", "momentum-python", "momentum-cython", "v1")


def engine(strategy: Any, bars: Any, given_: Settings, **more: Any) -> Engine:
    runner = find_strategy(strategy, {}).runner(lambda at, text: None, bars.interval_ns)
    table = sessions_of(bars, given_, bars.interval_ns)
    return Engine(runner, table, given_, interval_ns=bars.interval_ns, **more)


def decisions(orders: Any, until_ns: int) -> list[tuple[int, ...]]:
    """What was sent up to a time, as it was sent.

    Stops and targets sent at that very time belong to a fill at the next bar's first print.
    """
    bracket = (orders["flags"] & (OrderFlag.STOP | OrderFlag.TARGET)) != 0
    mine = (orders["created_ns"] < until_ns) | ((orders["created_ns"] == until_ns) & ~bracket)
    sent = np.sort(orders[mine & (orders["reason"] != Reason.END_OF_DATA)], order="id")
    names = ("id", "created_ns", "side", "kind", "qty", "price", "trigger", "reason", "flags")
    return [tuple(int(row[n]) for n in names) for row in sent]


@given(
    cut=st.integers(1, len(MARKET.bars) - 1),
    door=st.sampled_from(DOORS),
    opposite=st.sampled_from(["keep", "reverse"]),
)
@settings(max_examples=25)
def test_what_comes_later_never_changes_what_was_decided(
    cut: int, door: str, opposite: str
) -> None:
    chosen = Settings(on_opposite=opposite)
    whole, part = engine(door, MARKET, chosen), engine(door, MARKET, chosen)
    whole.feed(MARKET.bars)
    part.feed(MARKET.bars[:cut])
    end_ns = int(MARKET.bars["start_ns"][cut - 1]) + MINUTE
    orders, fewer = whole.finish(), part.finish()
    assert decisions(orders.orders, end_ns) == decisions(fewer.orders, end_ns)
    # What was booked before the cut stands as well.
    assert orders.equity[: cut - 1].tobytes() == fewer.equity[: cut - 1].tobytes()


@given(cut=st.integers(300, len(MARKET.bars) - 1), seed=st.integers(0, 99))
@settings(max_examples=10)
def test_another_future_never_changes_what_was_decided(cut: int, seed: int) -> None:
    """Not only less data: other data after the cut."""
    rows = MARKET.bars.copy()
    rng = np.random.default_rng(seed)
    shift = rng.integers(-50_000, 50_000)
    for name in ("open", "high", "low", "close"):
        rows[name][cut:] += shift
    told = []
    for bars in (MARKET.bars, rows):
        run = engine("momentum", MARKET, Settings())
        run.feed(bars)
        told.append(run.finish().orders)
    end_ns = int(rows["start_ns"][cut - 1]) + MINUTE
    assert decisions(told[0], end_ns) == decisions(told[1], end_ns)


def test_no_fill_is_earlier_than_the_end_of_the_bar_that_decided(draw: Any) -> None:
    result = backtest("momentum", draw(), settings=Settings(timeframe_ns=5 * MINUTE))
    orders = result.orders[result.orders["filled"] > 0]
    entries = orders[(orders["flags"] & OrderFlag.EXIT) == 0]
    assert (entries["done_ns"] >= entries["created_ns"]).all() and len(entries) > 20
    minutes = (entries["created_ns"] - MARKET.bars["start_ns"][0]) % (5 * MINUTE)
    assert (minutes == 0).all()


# ---- limits --------------------------------------------------------------------------------------


class Restless(Strategy):
    """Wants in whenever it is out, out whenever it is in."""

    def on_bar(self, ctx: Context, bar: Any) -> None:
        if ctx.position:
            ctx.exit()
        else:
            ctx.buy()


def ist_day(stamps: Any) -> Any:
    return (np.asarray(stamps) + 19_800_000_000_000) // (86_400 * 10**9)


def test_a_days_loss_locks_entries_until_the_next_day(draw: Any) -> None:
    limit = 300_000  # 3,000 rupees
    given_ = Settings(risk=RiskSettings(loss_day_max=limit), slippage=Slippage(paise=500))
    result = backtest(Restless, draw(), settings=given_)
    refused = result.orders[result.orders["refused"] == RejectReason.LIMIT_LOSS]
    filled = result.orders[(result.orders["reason"] == Reason.SIGNAL) & (
        result.orders["filled"] > 0)]  # fmt: skip
    locked = {int(day): int(refused["created_ns"][ist_day(refused["created_ns"]) == day].min())
              for day in np.unique(ist_day(refused["created_ns"]))}  # fmt: skip
    assert len(locked) > 10  # most days lose that much to slippage and charges
    for day, first_ns in locked.items():
        entered = filled["created_ns"][ist_day(filled["created_ns"]) == day]
        assert len(entered) > 0 and entered.max() < first_ns  # traded before, never after
    days = {int(row["date"]): int(row["gross"]) - int(row["charges"]) for row in result.days}
    # A locked day lost the limit and no more than one further trade's worth beyond it.
    worst_trade = int(-(result.trades["gross"]).min())
    for day in locked:
        date = dt.date(1970, 1, 1) + dt.timedelta(days=day)
        lost = -days[int(f"{date:%Y%m%d}")]
        assert 0.8 * limit < lost < 2 * limit + worst_trade
    assert result.counters["risk_limit_loss"] == len(refused)
    free = backtest(Restless, draw(), settings=replace(given_, risk=RiskSettings()))
    assert len(free.trades) > len(result.trades)


def test_position_max_refuses_entries_beyond_it(draw: Any) -> None:
    fits = backtest(Restless, draw(), settings=Settings(risk=RiskSettings(position_max=25)))
    assert "risk_limit_position" not in fits.counters and len(fits.trades) > 100
    tight = backtest(Restless, draw(), settings=Settings(risk=RiskSettings(position_max=24)))
    assert len(tight.trades) == 0 and tight.counters["risk_limit_position"] > 100
    assert set(tight.orders["refused"].tolist()) == {RejectReason.LIMIT_POSITION}


@pytest.mark.parametrize(
    "limit, refusal",
    [
        (RiskSettings(qty_max=24), RejectReason.LIMIT_QTY),
        (RiskSettings(notional_max=25 * 30_000_00), RejectReason.LIMIT_NOTIONAL),
    ],
)
def test_order_limits_refuse_and_count(draw: Any, limit: Any, refusal: Any) -> None:
    result = backtest(Restless, draw(), settings=Settings(risk=limit))
    assert len(result.trades) == 0
    assert set(result.orders["refused"].tolist()) == {refusal}
    assert result.counters[f"risk_{refusal.name.lower()}"] == len(result.orders)


def test_an_entry_needs_free_margin(draw: Any) -> None:
    poor = Settings(capital=5_000_000)  # 50,000 rupees: less than the margin of one lot
    result = backtest(Restless, draw(), settings=poor)
    assert len(result.trades) == 0 and result.counters["risk_limit_margin"] > 100
    unchecked = replace(poor, risk=RiskSettings(margin_check=False))
    assert len(backtest(Restless, draw(), settings=unchecked).trades) > 100


class Hasty(Strategy):
    """On ticks: in, out, in, out, as fast as they come."""

    def on_tick(self, ctx: Context, tick: Any) -> None:
        if ctx.position:
            ctx.exit()
        else:
            ctx.buy()


@pytest.mark.parametrize("most", [1, 2, 0])
def test_orders_a_second_are_limited_and_exits_pass(most: int) -> None:
    ticks = np.repeat(_second_of_ticks(), 1)
    given_ = Settings(
        slippage=Slippage(), risk=RiskSettings(orders_per_s_max=most), entry_from=dt.time(9, 15)
    )
    run = Engine(
        Hasty().runner(lambda at, text: None),
        sessions_of(MARKET, given_, MINUTE),
        given_,
        interval_ns=MINUTE,
    )
    run.feed_ticks(ticks)
    orders = run.finish().orders
    sent = np.sort(orders[orders["refused"] == 0], order="id")
    entries = sent["created_ns"][(sent["flags"] & OrderFlag.EXIT) == 0]
    if most == 0:
        assert "risk_limit_rate" not in run.counters() and len(entries) > 100
        return
    assert run.counters()["risk_limit_rate"] > 50
    for i in range(len(entries) - most):
        assert entries[i + most] - entries[i] >= 1_000_000_000
    exits = sent[(sent["flags"] & OrderFlag.EXIT) != 0]
    assert len(exits) in (len(entries), len(entries) - 1) and (exits["status"] == 2).all()


def _second_of_ticks() -> Any:
    """Twenty seconds of twenty ticks each, from 09:16."""
    from dhanfast._core.types import TICK_DTYPE

    rows = np.zeros(400, TICK_DTYPE)
    start = int(MARKET.bars["start_ns"][0]) + MINUTE
    rows["exch_ns"] = start + np.arange(400) * 50_000_000
    rows["recv_ns"] = rows["exch_ns"]
    rows["price"], rows["bid"], rows["ask"] = 4_000_000, 3_999_995, 4_000_005
    rows["volume"] = np.arange(400) * 25 + 25
    rows["qty"] = 25
    return rows


# ---- streaming -----------------------------------------------------------------------------------


def test_many_days_in_chunks_equal_one_array_and_equity_by_day() -> None:
    first, last = dt.date(2022, 1, 3), dt.date(2022, 3, 31)
    whole = drawn("BANKNIFTY", first, last, 9, "IDX")
    given_ = Settings(on_opposite="reverse")
    at_once = engine("momentum", whole, given_)
    at_once.feed(whole.bars)
    one = at_once.finish()
    streamed = engine("momentum", whole, given_, equity_each_bar=False)
    for day in generate_bars("BANKNIFTY", first, last, seed=9):
        streamed.feed(day)
    many = streamed.finish()
    assert many.trades.tobytes() == one.trades.tobytes()
    assert many.orders.tobytes() == one.orders.tobytes()
    assert many.days.tobytes() == one.days.tobytes()
    # One sample a session, after that day's bill is booked.
    dates = np.unique(ist_day(whole.bars["start_ns"]))
    assert len(many.equity) == len(dates) == len(one.days)
    np.testing.assert_array_equal(ist_day(many.equity["time_ns"]), dates)
    np.testing.assert_array_equal(many.equity["equity"], one.days["equity"])
    assert len(one.equity) == len(whole.bars)


def test_a_log_that_fills_up_loses_nothing(draw: Any) -> None:
    """More orders and bars than the buffers hold at once: drained on the way."""
    bars = draw("2022-01-03", "2022-06-30")
    result = backtest(Restless, bars, settings=Settings(capital=10**13))
    assert len(result.equity) == len(bars.bars)
    assert len(result.orders) > 32_768 and len(result.trades) > 8_192
    np.testing.assert_array_equal(
        np.sort(result.orders["id"]), np.arange(1, len(result.orders) + 1)
    )
    gross, charges = int(result.trades["gross"].sum()), int(result.days["charges"].sum())
    assert int(result.days["equity"][-1]) == result.capital + gross - charges


def test_an_engine_that_saw_nothing_has_nothing_to_tell(draw: Any) -> None:
    run = engine("momentum", draw(), Settings())
    written = run.finish()
    assert [len(written.trades), len(written.orders), len(written.equity), len(written.days)] == [
        0
    ] * 4
