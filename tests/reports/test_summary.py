"""The JSON form of a run: keys, both units, and what must never be missing."""

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest

from dhanfast.reports import metrics
from dhanfast.reports.result import RunResult
from dhanfast.reports.summary import summary, warnings

TEXT = """
schema strategy symbol traded timeframe from to generated modelled warnings capital
capital_paise final_equity final_equity_paise gross_pnl gross_pnl_paise charges charges_paise
net_pnl net_pnl_paise open_pnl open_pnl_paise rounding rounding_paise total_return_pct cagr_pct
sharpe sortino calmar risk_free volatility_pct max_drawdown max_drawdown_paise max_drawdown_pct
max_drawdown_from max_drawdown_to max_drawdown_recovered max_drawdown_days exposure_pct turnover
turnover_paise turnover_capitals trades wins losses draws longs shorts win_streak loss_streak
win_rate profit_factor payoff expectancy expectancy_paise win_mean win_mean_paise loss_mean
loss_mean_paise best_trade best_trade_paise worst_trade worst_trade_paise long_net
long_net_paise short_net short_net_paise held_mean_s held_median_s held_max_s held_win_mean_s
held_loss_mean_s days win_days loss_days draw_days best_day best_day_paise best_day_date
worst_day worst_day_paise worst_day_date orders orders_filled orders_refused
refused_limit_position by_exit_reason by_side by_hour by_weekday by_expiry by_month drawdowns
excursions slippage bars kernel_ns kernel_ms ns_per_bar digest counters notes data config versions
"""
KEYS = TEXT.split()


def test_the_keys_are_these_in_this_order(result: RunResult) -> None:
    assert list(summary(result)) == KEYS


def test_rupees_and_paise_say_the_same(result: RunResult) -> None:
    out = summary(result)
    names = [key for key in out if f"{key}_paise" in out and key != "charges"]
    assert len(names) == 17
    for name in names:
        assert out[name] == out[f"{name}_paise"] / 100
    assert out["charges"] == {key: value / 100 for key, value in out["charges_paise"].items()}
    measured = metrics.measure(result)
    assert out["net_pnl_paise"] == measured.net
    assert out["charges_paise"]["total"] == sum(
        value for key, value in out["charges_paise"].items() if key != "total"
    )
    assert sum(row["net_pnl_paise"] for row in out["by_month"]) == measured.net
    assert sum(row["trades"] for row in out["by_exit_reason"]) == out["trades"] == 180
    assert out["ns_per_bar"] == pytest.approx(1_234_567 / 4500, rel=1e-3)


def test_it_is_strict_json_with_and_without_trades(result: RunResult, idle: RunResult) -> None:
    for run in (
        result,
        idle,
        dataclasses.replace(idle, equity=idle.equity[:0], days=idle.days[:0]),
    ):
        out = summary(run)
        assert json.loads(json.dumps(out, allow_nan=False)) == out
    assert summary(idle)["sharpe"] is None
    assert summary(idle)["best_trade"] is None and summary(idle)["best_trade_paise"] is None


def test_generated_data_is_told_first(make_result: Callable[..., RunResult]) -> None:
    made = make_result(days=2, generated=True, notes=("future prices are modelled: spot + carry",))
    told = warnings(made)
    assert told[0].startswith("GENERATED DATA")
    assert told[1] == "future prices are modelled: spot + carry"
    out = summary(made)
    assert (out["generated"], out["modelled"]) == (True, True)
    plain = summary(make_result(days=2))
    assert (plain["generated"], plain["modelled"], plain["warnings"]) == (False, False, [])


def test_what_does_not_add_up_is_a_warning(result: RunResult) -> None:
    days = result.days.copy()
    days["charges"] += np.int64(1)
    out = summary(dataclasses.replace(result, days=days))
    assert any(text.startswith("DOES NOT ADD UP") for text in out["warnings"])
