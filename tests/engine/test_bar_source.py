"""Recorded bars of options under a structure: fills where something traded, and nowhere else."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dhanfast.app.legs_file import plan_of
from dhanfast.engine.bar_source import RecordedBars
from dhanfast.engine.leg_signals import signals_of
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import BadData
from dhanfast.storage.option_bars import read_option_bars
from tests.engine.test_legs import EXPIRY, ns
from tests.storage.test_option_bars import ROW, written

SPOT = (("spot", pa.float64()),)
PLAN = {
    "underlying": "BANKNIFTY", "entry": "10:00", "exit": "10:04",
    "late": "1m",
    "leg": [{"side": "sell", "right": "CE", "strike": "atm"}],
}  # fmt: skip


def bar(at: str, price: float, **more: Any) -> dict[str, Any]:
    flat = dict.fromkeys(("open", "high", "low", "close"), price)
    return ROW | flat | {"ts": ns(at), "spot": 59_120.0} | more


def source(tmp_path: Path, rows: list[dict[str, Any]], **more: Any) -> RecordedBars:
    path = written(tmp_path / "o.parquet", rows, SPOT)
    return RecordedBars(read_option_bars(path, "BANKNIFTY"), "BANKNIFTY", **more)


def test_a_minute_without_volume_fills_nothing(tmp_path: Path) -> None:
    """In at the end of 09:59's bar; 10:00 and 10:01 have not traded, 10:02 has, at 31.00 less a
    tick; out is decided at the end of 10:03 and filled at 10:04's open."""
    rows = [bar("09:59", 30.0), bar("10:00", 30.0, volume=0), bar("10:01", 30.0, volume=0),
            bar("10:02", 31.0), bar("10:03", 32.0), bar("10:04", 33.0)]  # fmt: skip
    patient = PLAN | {"order": {"deadline": "none"}}
    result = backtest_legs(plan_of(patient), source(tmp_path, rows))
    trade = result.trades[0]
    assert (trade["entry_ns"], trade["entry_value"]) == (ns("10:02"), 30_95 * 30)
    assert (trade["exit_ns"], trade["exit_value"]) == (ns("10:04"), 33_05 * 30)
    assert result.grade == "recorded" and result.notes[0].startswith("Grade recorded: fills are at")
    assert result.counters["rows_without_quote_while_held"] == 0


def test_an_entry_that_meets_no_price_is_taken_back_at_its_deadline(tmp_path: Path) -> None:
    rows = [bar("09:59", 30.0), bar("10:00", 30.0, volume=0), bar("10:01", 31.0)]
    result = backtest_legs(plan_of(PLAN), source(tmp_path, rows))
    assert len(result.trades) == 0 and result.counters["orders_unwound"] == 1
    assert any("taken back: not whole at the deadline" in text for _, text in result.log)


def test_without_an_index_strikes_go_by_put_call_parity(tmp_path: Path) -> None:
    """C - P = 60 at 59,100: the forward is 59,160, so 59,200 is at the money."""
    prices = {59_100.0: (90.0, 30.0), 59_200.0: (40.0, 80.0)}
    rows = [bar(at, price, strike=strike, right=right)
            for at in ("09:59", "10:00", "10:04", "10:05")
            for strike, pair in prices.items()
            for right, price in zip(("CE", "PE"), pair, strict=True)]  # fmt: skip
    path = written(tmp_path / "o.parquet", rows)
    bars = read_option_bars(path, "BANKNIFTY")
    result = backtest_legs(plan_of(PLAN), RecordedBars(bars, "BANKNIFTY"))
    assert list(result.contracts.values()) == ["BANKNIFTY 2026-01-27 59200 CE"]
    assert any("forward of put-call parity" in note for note in result.notes)


def test_a_settlement_needs_its_closing_value(tmp_path: Path) -> None:
    rows = [bar("09:59", 30.0), bar("10:00", 30.0), bar("15:29", 105.0)]
    plan = plan_of(PLAN | {"hold": "expiry", "exit": "settlement"})
    with pytest.raises(BadData, match="--final-price 2026-01-27=VALUE"):
        backtest_legs(plan, source(tmp_path, rows))
    result = backtest_legs(plan, source(tmp_path, rows, finals={EXPIRY: 5_920_545}))
    assert result.trades["exit_value"].tolist() == [105_45 * 30]


def test_two_prices_of_one_minute_and_days_outside_are_refused(tmp_path: Path) -> None:
    rows = [bar("09:59", 30.0), bar("09:59", 31.0), bar("10:00", 30.0)]
    with pytest.raises(BadData, match="two bars of strike 59100 at one time"):
        backtest_legs(plan_of(PLAN), source(tmp_path, rows))
    with pytest.raises(BadData, match="no bar from 2026-02-01"):
        source(tmp_path, rows, first=dt.date(2026, 2, 1))
    one = source(tmp_path, [bar("09:59", 30.0), bar("10:00", 30.0)])
    with pytest.raises(BadData, match="no index to run a strategy on"):
        signals_of(plan_of(PLAN | {"signals": "momentum"}), one)


@pytest.mark.data
def test_recorded_bars_that_name_a_moved_expiry_are_traded(data_dir: Path) -> None:
    """June 2023's contracts were listed for the 29th, which became a holiday two days before.

    Sold 150 at 180.00, bought back at 185.05; bought 100 at 142.75, sold at 138.70:
    turnover 82,902.50 at 0.05 %, STT 0.0625 % of 27,000 and 13,870, stamp 0.003 % of
    27,757.50 and 14,275, GST 18 % of brokerage, exchange charge and SEBI fee.
    """
    path = data_dir / "options/NIFTY_options_1m_2023-06-05.parquet"
    tree = {
        "name": "moved", "underlying": "NIFTY", "entry": "09:40", "exit": "10:10",
        "leg": [
            {"side": "sell", "right": "CE", "strike": "atm", "expiry": "monthly", "lots": 3},
            {"side": "buy", "right": "PE", "strike": "otm2", "expiry": "monthly", "lots": 2},
        ],
    }  # fmt: skip
    settings = Settings(capital=100_000_000, slippage=Slippage(rate_e6=5_000))
    result = backtest_legs(
        plan_of(tree), RecordedBars(read_option_bars(path, "NIFTY"), "NIFTY"), settings
    )
    trades = result.trades
    assert trades["contract"].tolist() == [20230628] * 2
    assert trades["gross"].tolist() == [-75_750, -40_500]
    day = result.days[0]
    assert [int(day[name]) for name in ("brokerage", "exchange", "stt", "stamp", "gst")] == [
        8_000, 4_145, 2_600, 100, 2_188,
    ]  # fmt: skip
