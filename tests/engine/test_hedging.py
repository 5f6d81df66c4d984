"""A hedged structure on a recorded chain: its future's fills, charges, margin, and its end."""

import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dhanfast._core.hedge import HedgeWhy
from dhanfast._core.hedger import HedgeDone
from dhanfast._core.runlog import ORDER_ROW_DTYPE, TRADE_DTYPE
from dhanfast._core.types import OrderFlag
from dhanfast.app.legs_file import plan_of, read_plan
from dhanfast.engine.chain_source import ModelledChains, RecordedChains
from dhanfast.engine.contracts import Contracts
from dhanfast.engine.leg_margin import margins_of
from dhanfast.engine.leg_settings import StructurePlan
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.premium_model import read_volatilities
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import BadData
from dhanfast.market import charges
from dhanfast.options import greeks, implied_volatility
from dhanfast.options.margin import margin_estimate
from dhanfast.options.payoff import Leg
from dhanfast.reports.metrics import contradictions
from dhanfast.reports.result import RunResult
from dhanfast.storage.bars import read_bars
from dhanfast.storage.chains import read_chains
from tests.core.hedge_world import black

DAY, EXPIRY = dt.date(2026, 1, 22), dt.date(2026, 1, 27)
STRIKES = tuple(range(58_000, 61_000, 100))
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
YEAR_NS = 365 * 86_400 * 10**9
SIGMA = 0.14
LEGS = """
name = "straddle"
underlying = "BANKNIFTY"
entry = "09:20"
late = "20m"
exit = "15:10"

[parameter.dry]
default = false
doc = "nothing is sent"

[hedge]
band = "12 units"
dry_run = "{dry}"

[[leg]]
side = "sell"
right = "CE"
strike = "59200"
lots = 4

[[leg]]
side = "sell"
right = "PE"
strike = "59200"
lots = 4
"""
PLAN: dict[str, Any] = {
    "name": "straddle", "underlying": "BANKNIFTY", "entry": "09:20", "late": "20m",
    "exit": "15:10", "leg": [
        {"side": "sell", "right": right, "strike": "59200", "lots": 4} for right in ("CE", "PE")
    ],
}  # fmt: skip


def ns(text: str, day: dt.date = DAY) -> int:
    stamp = dt.datetime.combine(day, dt.time.fromisoformat(text), IST)
    return int(stamp.timestamp()) * 10**9


def path(trend: bool = False) -> dict[int, float]:
    """The forward, every five minutes: down, and up again through the strike; or down only."""
    times = range(ns("09:20"), ns("15:25"), 300 * 10**9)
    if trend:
        return {at: 59_200.0 - 12 * place for place, at in enumerate(times)}
    return {at: round(59_200 - 420 * math.sin(2.3 * math.pi * place / 72) + 11 * (place % 3), 2)
            for place, at in enumerate(times)}  # fmt: skip


def premium(level: float, strike: float, at: int, right: int) -> float:
    years = (ns("15:30", EXPIRY) - at) / YEAR_NS
    return round(black(level, strike, years, SIGMA, right), 2)


def straddle_file(folder: Path, trend: bool = False) -> tuple[Path, Path]:
    """A day of snapshots, and a legs file."""
    folder.mkdir(exist_ok=True)
    rows = [
        {"ts": at, "underlying": "BANKNIFTY", "expiry": EXPIRY, "strike": float(strike),
         "ce_ltp": premium(level, strike, at, 1), "ce_oi": 1, "ce_volume": 1,
         "pe_ltp": premium(level, strike, at, -1), "pe_oi": 1, "pe_volume": 1,
         "spot": level - 20.0}
        for at, level in path(trend).items() for strike in STRIKES
    ]  # fmt: skip
    kinds = {"ts": pa.int64(), "underlying": pa.string(), "expiry": pa.date32(),
             "strike": pa.float64(), "ce_ltp": pa.float64(), "ce_oi": pa.int64(),
             "ce_volume": pa.int64(), "pe_ltp": pa.float64(), "pe_oi": pa.int64(),
             "pe_volume": pa.int64(), "spot": pa.float64()}  # fmt: skip
    data, legs = folder / "chain.parquet", folder / "straddle.toml"
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), data)
    legs.write_text(LEGS)
    return data, legs


def source(folder: Path, trend: bool = False) -> RecordedChains:
    return RecordedChains(read_chains(straddle_file(folder, trend)[0]), "BANKNIFTY")


def hedged_result(folder: Path, slippage: Slippage | None = None, **table: Any) -> RunResult:
    """A hedged day; without slippage unless it is given."""
    plan: StructurePlan = plan_of(PLAN | {"hedge": {"band": "12 units"} | table})
    settings = Settings(slippage=slippage or Slippage(ticks=0))
    return backtest_legs(plan, source(folder), settings)


def future_of(result: RunResult) -> int:
    return next(number for number, name in result.contracts.items() if name.endswith("FUT"))


def test_the_future_trades_at_the_forward_and_its_charges_are_a_futures(tmp_path: Path) -> None:
    result = hedged_result(tmp_path)
    number = future_of(result)
    assert result.contracts[number] == "BANKNIFTY 2026-01-27 FUT"
    orders = result.orders[result.orders["instrument"] == number]
    assert len(orders) > 3
    assert (orders["filled"] == orders["qty"]).all()
    assert (orders["qty"] % 30 == 0).all()
    levels = path()
    bought = sold = 0
    for order in orders:
        # Decided at one snapshot, filled at the next one, at its forward on the tick of 0.20.
        at = min(one for one in levels if one > order["created_ns"])
        price = round(levels[at] / 0.2) * 20
        assert abs(order["value"] / order["filled"] - price) <= 20
        if order["side"] > 0:
            bought += int(order["value"])
        else:
            sold += int(order["value"])
    trades = result.trades[result.trades["instrument"] == number]
    assert int(trades["gross"].sum()) == sold - bought
    rates = charges.rates("FUT_IDX", DAY)
    paid = {name: int(trades[name].sum()) for name in ("brokerage", "stamp", "stt", "exchange")}
    assert paid["brokerage"] == 20_00 * 10**6 * len(orders)
    assert paid["stt"] == pytest.approx(sold * rates.stt_sell_e9 / 1000, rel=1e-9)
    assert paid["stamp"] == pytest.approx(bought * rates.stamp_buy_e9 / 1000, rel=1e-9)


def test_every_decision_has_the_delta_of_an_independent_look(tmp_path: Path) -> None:
    """The public greeks on the chain as it was written, and what the orders have brought."""
    result = hedged_result(tmp_path)
    assert result.hedges is not None
    number, levels = future_of(result), path()
    orders = result.orders[result.orders["instrument"] == number]
    entry = int(result.trades["entry_ns"].min())
    assert entry == ns("09:25")
    for row in result.hedges:
        if row["why"] == HedgeWhy.EMPTY:
            continue
        at = int(row["time_ns"]) - 1  # a snapshot ends a nanosecond after it was taken
        assert row["price"] / 100 == pytest.approx(levels[at], abs=0.21)
        held = sum(int(one["side"] * one["filled"]) for one in orders if one["done_ns"] <= at)
        assert held == row["held"]
        years = (ns("15:30", EXPIRY) - at) / YEAR_NS
        delta = 0.0
        for right, name in ((1, "CE"), (-1, "PE")):
            price = premium(levels[at], 59_200, at, right)
            volatility = implied_volatility(price, levels[at], 59_200, years, name)
            delta -= 120 * greeks(volatility, levels[at], 59_200, years, name).delta
        assert row["before"] == pytest.approx(delta + held, abs=0.1)
        assert row["after"] == pytest.approx(row["before"] + row["units"])
        assert abs(row["after"]) <= 15.0 + 1e-9  # half a lot of 30
        assert abs(row["before"]) > row["band"] == 22.5


def test_a_day_that_goes_one_way_costs_a_hedged_straddle_less(tmp_path: Path) -> None:
    exact = Settings(slippage=Slippage(ticks=0))
    plain = backtest_legs(plan_of(PLAN), source(tmp_path, trend=True), exact)
    plan = plan_of(PLAN | {"hedge": {"band": "12 units"}})
    found = backtest_legs(plan, source(tmp_path, trend=True), exact)
    assert plain.trades["gross"].sum() < 2 * found.trades["gross"].sum() < 0
    assert found.days["charges"].sum() > plain.days["charges"].sum()
    assert found.digest != plain.digest
    assert plain.hedges is None


def test_nothing_of_it_is_left_and_it_leaves_with_the_structure(tmp_path: Path) -> None:
    result = hedged_result(tmp_path)
    number = future_of(result)
    orders = result.orders[result.orders["instrument"] == number]
    legs = result.trades[result.trades["instrument"] != number]
    assert int((orders["side"] * orders["filled"]).sum()) == 0
    mine = result.trades[result.trades["instrument"] == number]
    assert mine["exit_ns"].max() <= legs["exit_ns"].max()
    assert result.equity["position"][-1] == 0


def test_its_margin_is_estimated_with_that_of_the_legs(tmp_path: Path) -> None:
    """At the first hedge: the two sold options and the bought future as one position."""
    result = hedged_result(tmp_path, hedges_max=1)
    number = future_of(result)
    trade = result.trades[result.trades["instrument"] == number][0]
    at = int(trade["entry_ns"])
    level = path()[at] - 20.0
    legs = []
    for each in result.trades[result.trades["instrument"] != number]:
        name = result.contracts[int(each["instrument"])]
        paid = each["entry_value"] / each["qty"] / 100
        years = (ns("15:30", EXPIRY) - at) / YEAR_NS
        volatility = implied_volatility(round(paid, 2), level, 59_200.0, years, name[-2:])
        legs.append(Leg(name[-2:], 59_200.0, -120, round(paid, 2), EXPIRY, volatility))
    alone = margin_estimate(legs, "BANKNIFTY", at, level).required
    units = int(trade["side"] * trade["qty"])
    price = round(trade["entry_value"] / trade["qty"]) / 100
    synthetic = [
        Leg("CE", price, units, 0.0, EXPIRY, 0.15),
        Leg("PE", price, -units, 0.0, EXPIRY, 0.15),
    ]
    both = margin_estimate([*legs, *synthetic], "BANKNIFTY", at, level).required
    assert result.margin["entries"] == 2
    assert result.margin["mean"] == pytest.approx((alone + both) / 2, rel=0.02)


def test_a_contract_of_leg_and_hedge_counts_once_in_the_margin() -> None:
    """120 sold by a leg, 30 bought by the hedge: 90 are written. What leaves later is no entry."""
    contracts = Contracts("BANKNIFTY")
    number, at, level = contracts.number(EXPIRY, 59_200 * 100, "CE"), ns("10:00"), 59_200.0
    trades, orders = np.zeros(2, TRADE_DTYPE), np.zeros(3, ORDER_ROW_DTYPE)
    trades["instrument"] = orders["instrument"] = number
    trades["entry_ns"], trades["exit_ns"] = (at, at + 60), at + 10**12
    trades["side"], trades["qty"] = (-1, 1), (120, 30)
    trades["entry_value"] = trades["qty"] * 450_00
    orders["side"], orders["filled"] = (-1, 1, -1), (120, 30, 10)
    orders["done_ns"], orders["flags"] = (at, at + 60, at + 120), (0, 0, int(OrderFlag.EXIT))
    found = margins_of(trades, contracts, np.array([at]), np.array([5_920_000]), orders)
    volatility = implied_volatility(
        450.0, level, 59_200.0, (ns("15:30", EXPIRY) - at) / YEAR_NS, "CE"
    )
    wanted = [
        margin_estimate([Leg("CE", 59_200.0, units, 450.0, EXPIRY, volatility)], "BANKNIFTY", at,
                        level).required
        for units in (-120, -90)
    ]  # fmt: skip
    assert found.required == pytest.approx(wanted, rel=1e-6)


def test_the_modelled_price_of_the_future_is_said(tmp_path: Path) -> None:
    result = hedged_result(tmp_path)
    assert any("future is modelled: it trades at the forward" in note for note in result.notes)
    dry = hedged_result(tmp_path, dry_run=True)
    assert any("The hedge is a dry run" in note for note in dry.notes)


def test_a_dry_run_changes_nothing_but_its_rows(tmp_path: Path) -> None:
    plain = backtest_legs(plan_of(PLAN), source(tmp_path), Settings(slippage=Slippage(ticks=0)))
    dry = hedged_result(tmp_path, dry_run=True)
    for name in ("trades", "orders", "equity", "days"):
        assert getattr(dry, name).tobytes() == getattr(plain, name).tobytes()
    assert dry.hedges is not None
    assert set(dry.hedges["done"]) == {HedgeDone.WOULD}


def test_slippage_counts_in_the_ticks_of_the_future(tmp_path: Path) -> None:
    whole = hedged_result(tmp_path)
    ticks = hedged_result(tmp_path, Slippage(ticks=1))
    number = future_of(whole)
    values = []
    for result in (whole, ticks):
        orders = result.orders[result.orders["instrument"] == number]
        values.append(orders["side"] * orders["value"] / orders["filled"])
    assert (values[1] - values[0]).tolist() == [20.0] * len(values[0])  # paise a unit, each


def test_options_hedge_too_and_only_bought_ones(tmp_path: Path) -> None:
    result = hedged_result(tmp_path, instrument="option", strike="atm", lots_max=12)
    assert result.hedges is not None
    dealt = result.hedges[result.hedges["done"] == HedgeDone.SENT]
    assert len(dealt) > 2
    used = {result.contracts[number][-2:] for number in dealt["listed"].tolist()}
    assert used <= {"CE", "PE"}
    assert (result.hedges["held"] + result.hedges["units"] >= 0).all()
    assert result.equity["position"][-1] == 0
    assert not any("future" in note for note in result.notes)


def test_a_hedge_whose_expiry_the_data_lack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"hedge\.expiry: the data have no next expiry"):
        hedged_result(tmp_path, instrument="option", strike="atm", expiry="next")


def test_a_file_with_parameters_hedges_as_its_table_does(tmp_path: Path) -> None:
    data, legs = straddle_file(tmp_path)
    chains = RecordedChains(read_chains(data), "BANKNIFTY")
    found = backtest_legs(read_plan(legs), chains, Settings(slippage=Slippage(ticks=0)))
    same = hedged_result(tmp_path)
    assert found.hedges is not None
    assert same.hedges is not None
    assert found.hedges.tobytes() == same.hedges.tobytes()


# ---- recorded data ------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("exit_at", "table"),
    [
        ("settlement", {"band": "1 lot"}),
        ("settlement", {"band": "1 lot", "instrument": "option", "strike": "atm"}),
        ("15:15", {"interval": "30m", "target": "-2 lots"}),
    ],
)
def test_a_structure_carried_to_its_expiry_takes_its_hedge_along(
    data_dir: Path, exit_at: str, table: dict[str, Any]
) -> None:
    """Over nights and expiries of the future, six weeks: never without a leg, flat at the end."""
    index = read_bars(data_dir / "index_1m/BANKNIFTY_1m_2022.parquet", end="2022-02-15")
    told = read_volatilities(data_dir / "index_daily/index_daily_2015_2023.parquet", "BANKNIFTY")
    legs = [
        {"side": "sell", "right": right, "strike": "atm", "lots": 5, "expiry": "next"}
        for right in ("CE", "PE")
    ]
    plan = plan_of({"underlying": "BANKNIFTY", "entry": "09:20", "hold": "expiry", "exit": exit_at,
                    "leg": legs, "hedge": table})  # fmt: skip
    result = backtest_legs(plan, ModelledChains(index, told, plan.expiries))
    assert contradictions(result) == ()
    assert result.hedges is not None
    assert result.counters["hedges"] > 20
    mine = np.isin(result.trades["instrument"], result.hedges["listed"])
    held = result.trades[~mine]
    for trade in result.trades[mine]:
        beside = held[(held["entry_ns"] <= trade["entry_ns"])
                      & (held["exit_ns"] >= trade["entry_ns"])]  # fmt: skip
        assert len(beside)
        assert trade["exit_ns"] <= beside["exit_ns"].max() + 60 * 10**9
    assert result.equity["position"][-1] == 0
    nights = {int(row["contract"]) for row in result.trades[mine]}
    assert len(nights) > 1  # more than one expiry


@pytest.mark.data
def test_the_recorded_chain_days_are_hedged_at_their_own_forward(data_dir: Path) -> None:
    path = data_dir / "options/index_option_chain_2026-01-22_2026-02-01.parquet"
    plan = plan_of(PLAN | {"late": "60m", "exit": "15:15", "hedge": {"band": "1 lot"}, "leg": [
        {"side": "sell", "right": right, "strike": "atm", "lots": 10} for right in ("CE", "PE")
    ]})  # fmt: skip
    chains = read_chains(path)
    result = backtest_legs(plan, RecordedChains(chains, "BANKNIFTY"))
    assert contradictions(result) == ()
    assert result.hedges is not None
    sent = result.hedges[result.hedges["done"] == HedgeDone.SENT]
    assert len(sent) > 20
    mine = chains.places("BANKNIFTY")
    spot = dict(zip(chains.at_ns[mine].tolist(), chains.spot[mine].tolist(), strict=True))
    apart = [row["price"] / 100 - spot[int(row["time_ns"]) - 1]
             for row in sent if int(row["time_ns"]) - 1 in spot]  # fmt: skip
    # A month's future stands a little above its index: carry of a week to a month.
    assert 0 < np.median(apart) < 600
