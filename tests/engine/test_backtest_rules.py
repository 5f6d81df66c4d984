"""Sizing and stops through the whole backtest call: counters, the settings told, and nothing else
changed where they are off."""

import datetime as dt
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import Reason
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import Settings
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory
from dhanfast.engine.stop_settings import Distance, StopSettings

USUAL = Settings(capital=10**9)


@cache
def month() -> Any:
    return generated_bars("BANKNIFTY", dt.date(2022, 3, 1), dt.date(2022, 3, 31), kind="FUT")


def run(**rules: Any) -> Any:
    return backtest("momentum", month(), settings=replace(USUAL, **rules))


def test_rules_that_are_off_change_nothing_and_are_not_told() -> None:
    plain = backtest("momentum", month(), settings=USUAL)
    assert run(sizing=SizingSettings(), stops=StopSettings()).digest == plain.digest
    assert not {"sizing", "stops"} & set(plain.config)
    assert not {name for name in plain.counters if name.startswith(("size_", "stops_"))}
    # Points of a stop that is never nearer than the strategy's own, and has nothing to do.
    idle = run(stops=StopSettings(stop=Distance(5, "points"), atr_period=3))
    assert idle.trades.tobytes() == plain.trades.tobytes() and idle.digest == plain.digest
    assert idle.config["stops"]["stop"] == "5pts"


def test_risk_never_loses_more_at_the_stop_than_it_may() -> None:
    found = run(sizing=SizingSettings(method="risk", risk=1_000_000, fit=True))
    trades = found.trades
    at_stop = np.abs(trades["entry_value"] / trades["qty"] - trades["stop"]) * trades["qty"]
    assert len(trades) > 20 and len(np.unique(trades["qty"])) > 5
    # The stop is set from the fill and put on the tick; the size from the distance itself.
    assert (at_stop <= 1_000_000 + 5 * trades["qty"]).all()
    assert found.counters["size_sized"] >= len(trades)
    small = run(sizing=SizingSettings(method="risk", risk=10_000))
    assert len(small.trades) == 0
    assert small.counters["signals_without_size"] == small.counters["size_small"] > 20


def test_kelly_without_an_edge_does_not_trade() -> None:
    losing = TradeHistory(trades=100, win_rate=0.3, win=1_000.0, loss=1_000.0)
    found = run(sizing=SizingSettings(method="kelly", history=losing))
    assert len(found.trades) == 0 and found.counters["size_no_edge"] > 20
    few = run(sizing=SizingSettings(method="kelly"))
    assert len(few.trades) == 0 and few.counters["size_few_trades"] > 20
    lots = run(sizing=SizingSettings(method="kelly", history=losing, kelly_fall_back=True))
    assert lots.trades.tobytes() == run().trades.tobytes()


@pytest.mark.parametrize("rest", [True, False])
def test_a_trail_on_bars(rest: bool) -> None:
    found = run(stops=StopSettings(trail=Distance(1, "atr"), step_ticks=1, every_ns=0, rest=rest))
    stopped = found.trades[found.trades["exit_reason"] == Reason.STOP_LOSS]
    assert found.counters["stops_moved"] > 50 and len(stopped) > 10
    rested = (found.orders["flags"] & 2) != 0
    assert rested.any() == rest


def test_a_time_stop_bounds_how_long_a_trade_is_held() -> None:
    found = run(stops=StopSettings(time_max_ns=600 * 10**9, bars_max=7))
    held = found.trades["exit_ns"] - found.trades["entry_ns"]
    assert (found.trades["exit_reason"] == Reason.TIME_STOP).sum() > 5
    assert (held <= 601 * 10**9).all() and (found.trades["bars"] <= 8).all()
