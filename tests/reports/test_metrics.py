"""Metrics against empyrical, a plain slow model, and cases worked by hand."""

import dataclasses
import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast.reports import metrics
from dhanfast.reports.result import DAY_DTYPE, EQUITY_DTYPE, TRADE_DTYPE, RunResult

COMPONENTS = ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst")
DAY_NS = 86_400 * 10**9
Build = Callable[..., RunResult]


@pytest.fixture(scope="module")
def empyrical() -> Any:
    return pytest.importorskip("empyrical", reason="empyrical-reloaded is the oracle of this test")


def with_equity(result: RunResult, path: list[int]) -> RunResult:
    """The same run with one equity row and one day for each value of the path."""
    equity = np.zeros(len(path), EQUITY_DTYPE)
    equity["time_ns"] = DAY_NS * np.arange(19_000, 19_000 + len(path))
    equity["equity"] = path
    days = np.zeros(len(path), DAY_DTYPE)
    dates = np.arange(19_000, 19_000 + len(path)).astype("datetime64[D]").astype(str)
    days["date"] = [int(text.replace("-", "")) for text in dates]
    days["equity"] = path
    days["gross"] = np.diff(path, prepend=result.capital)
    return dataclasses.replace(result, equity=equity, days=days)


@pytest.mark.parametrize("risk_free", [0.0, 0.065])
@pytest.mark.parametrize("seed", range(5))
def test_ratios_equal_empyrical(
    make_result: Build, empyrical: Any, seed: int, risk_free: float
) -> None:
    result = make_result(seed=seed)
    got = metrics.measure(result, risk_free=risk_free)
    returns = metrics.daily_returns(result)
    daily = risk_free / 252
    assert got.sharpe == pytest.approx(empyrical.sharpe_ratio(returns, risk_free=daily), rel=1e-10)
    assert got.sortino == pytest.approx(
        empyrical.sortino_ratio(returns, required_return=daily), rel=1e-10
    )
    assert got.volatility == pytest.approx(empyrical.annual_volatility(returns), rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_drawdown_growth_and_calmar_equal_empyrical(
    make_result: Build, empyrical: Any, seed: int
) -> None:
    made = make_result(seed=seed, days=90, bars_a_day=7)
    path = made.days["equity"].tolist()
    result = with_equity(made, path)
    compounding = np.diff(np.array([made.capital, *path])) / np.array([made.capital, *path[:-1]])
    got = metrics.measure(result)
    assert got.drawdown is not None
    assert -got.drawdown.fraction == pytest.approx(empyrical.max_drawdown(compounding), rel=1e-10)
    # empyrical counts rows; the same years are len / annualization = 90 calendar days / 365.25
    same_years = len(path) / (90 / 365.25)
    growth = empyrical.cagr(compounding, annualization=same_years)
    assert got.cagr == pytest.approx(growth, rel=1e-9)
    assert got.calmar == pytest.approx(
        empyrical.calmar_ratio(compounding, annualization=same_years), rel=1e-9
    )


def slow_drawdown(path: list[int], capital: int) -> tuple[float, int]:
    """Every peak against every later point, written for reading."""
    fraction, amount = 0.0, 0
    points = [capital, *path]
    for start, peak in enumerate(points):
        for later in points[start:]:
            fraction = max(fraction, (peak - later) / peak)
            amount = max(amount, peak - later)
    return fraction, amount


@settings(max_examples=60, deadline=None)
@given(path=st.lists(st.integers(1, 10**9), min_size=1, max_size=30))
def test_drawdown_equals_every_pair(path: list[int]) -> None:
    result = with_equity(empty_run(10**8), path)
    fall, amount = metrics.deepest(result)
    want_fraction, want_amount = slow_drawdown(path, 10**8)
    assert amount == want_amount
    if fall is None:
        assert want_fraction == 0
        return
    assert fall.fraction == pytest.approx(want_fraction, rel=1e-12)
    times = result.equity["time_ns"].tolist()
    trough = times.index(fall.trough_ns)
    assert max([10**8, *path[: trough + 1]]) - path[trough] == fall.amount
    if fall.recovered_ns is None:
        assert max(path[trough:]) < path[trough] + fall.amount
    else:
        back = times.index(fall.recovered_ns)
        assert path[back] >= path[trough] + fall.amount
        assert all(value < path[trough] + fall.amount for value in path[trough:back])


def empty_run(capital: int) -> RunResult:
    """A run in which nothing at all happened."""
    return RunResult(
        strategy="s", symbol="X", traded="X", timeframe="1m", capital=capital,
        trades=np.zeros(0, TRADE_DTYPE), orders=np.zeros(0, "u1"),
        equity=np.zeros(0, EQUITY_DTYPE), days=np.zeros(0, DAY_DTYPE), bars=None, counters={},
        config={}, data={}, notes=(), digest="", kernel_ns=0,
    )  # fmt: skip


trade_rows = st.lists(
    st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 10**11), st.integers(1, 10**13)),
    max_size=40,
)


@settings(max_examples=80, deadline=None)
@given(rows=trade_rows)
def test_trade_figures_equal_a_plain_model(rows: list[tuple[int, int, int]]) -> None:
    trades = np.zeros(len(rows), TRADE_DTYPE)
    for trade, (gross, upaise, held) in zip(trades, rows, strict=True):
        trade["gross"], trade["stt"], trade["gst"] = gross, upaise, 7
        trade["exit_ns"], trade["side"] = held, 1
    got = metrics.measure(dataclasses.replace(empty_run(10**8), trades=trades)).trades
    nets = [gross * 10**6 - upaise - 7 for gross, upaise, _ in rows]
    wins, losses = [n for n in nets if n > 0], [n for n in nets if n < 0]
    streak = longest = 0
    for net in nets:
        streak = streak + 1 if net < 0 else 0
        longest = max(longest, streak)
    assert (got.count, got.wins, got.losses) == (len(nets), len(wins), len(losses))
    assert got.draws == len(nets) - len(wins) - len(losses)
    assert got.loss_streak == longest
    assert got.long_net == sum(nets) / 10**6
    if not nets:
        assert got.win_rate is got.expectancy is got.best is got.held_mean_ns is None
        return
    assert got.win_rate == pytest.approx(len(wins) / len(nets))
    assert got.expectancy == pytest.approx(sum(nets) / len(nets) / 10**6)
    assert (got.best, got.worst) == (max(nets) / 10**6, min(nets) / 10**6)
    assert got.held_median_ns == statistics.median([held for *_, held in rows])
    assert got.held_mean_ns == pytest.approx(statistics.fmean([held for *_, held in rows]))
    assert got.profit_factor == (pytest.approx(sum(wins) / -sum(losses)) if losses else None)
    if wins and losses:
        assert got.payoff == pytest.approx(statistics.fmean(wins) / -statistics.fmean(losses))


def test_money_adds_up_to_the_paisa(result: RunResult) -> None:
    got = metrics.measure(result)
    by_hand = sum(int(row["gross"]) - sum(int(row[name]) for name in COMPONENTS)
                  for row in result.days)  # fmt: skip
    assert got.net == by_hand == got.final_equity - got.capital
    assert got.open_pnl == 0
    assert sum(got.charges.values()) == got.charges_total
    unrounded = sum(
        int(trade["gross"]) * 10**6 - sum(int(trade[name]) for name in COMPONENTS)
        for trade in result.trades
    )
    assert got.rounding == pytest.approx((unrounded - by_hand * 10**6) / 10**6, abs=1e-6)
    assert abs(got.rounding) < 60 * 103  # at most half a rupee twice and half a paisa five times
    assert got.turnover == sum(
        int(trade["entry_value"]) + int(trade["exit_value"]) for trade in result.trades
    )
    assert metrics.contradictions(result) == ()


def test_exposure_counts_bars_held(result: RunResult) -> None:
    held = sum(int(trade["bars"]) for trade in result.trades)
    assert metrics.measure(result).exposure == held / len(result.bars)
    rows = dataclasses.replace(result, counters={})
    share = np.count_nonzero(result.equity["position"]) / len(result.equity)
    assert metrics.measure(rows).exposure == share


def test_a_run_without_trades_has_no_ratios(idle: RunResult) -> None:
    got = metrics.measure(idle)
    assert (got.net, got.charges_total, got.trades.count) == (0, 0, 0)
    assert got.sharpe is got.sortino is got.calmar is got.drawdown is None
    assert got.trades.win_rate is got.trades.profit_factor is got.trades.payoff is None
    assert got.cagr == 0.0
    assert got.days.draws == 60


def test_a_run_without_anything_is_described() -> None:
    got = metrics.measure(empty_run(10**8))
    assert got.first_date is got.cagr is got.exposure is got.volatility is got.days.best is None
    assert got.final_equity == 10**8


def test_one_day_has_a_return_but_no_ratio(make_result: Build) -> None:
    result = make_result(days=1)
    got = metrics.measure(result)
    assert len(metrics.daily_returns(result)) == 1
    assert got.sharpe is got.volatility is got.cagr is None
    assert got.days.count == 1


def test_equal_days_have_no_variance() -> None:
    steady = with_equity(empty_run(10**8), [10**8 + 1000 * day for day in range(1, 41)])
    got = metrics.measure(steady)
    assert got.sharpe is got.sortino is got.drawdown is got.calmar is None
    assert got.cagr is not None and got.cagr > 0


def test_all_losses(make_result: Build) -> None:
    made = make_result()
    trades = made.trades.copy()
    trades["gross"] = -np.abs(trades["gross"]) - 1
    got = metrics.measure(dataclasses.replace(made, trades=trades)).trades
    assert (got.wins, got.win_rate, got.profit_factor) == (0, 0.0, 0.0)
    assert got.payoff is got.win_mean is None
    assert got.loss_streak == got.count == 180


def test_all_wins_have_no_profit_factor(make_result: Build) -> None:
    made = make_result()
    trades = made.trades.copy()
    trades["gross"] = 10**9
    got = metrics.measure(dataclasses.replace(made, trades=trades)).trades
    assert got.profit_factor is got.payoff is None
    assert (got.win_rate, got.win_streak, got.loss_streak) == (1.0, 180, 0)


def test_losing_everything_has_no_growth_rate() -> None:
    ruined = with_equity(empty_run(10**8), [10**8 - 3 * 10**6 * day for day in range(40)])
    got = metrics.measure(ruined)
    assert got.final_equity < 0
    assert got.cagr is got.calmar is None
    assert got.drawdown is not None and got.drawdown.fraction > 1
    assert got.sharpe is not None and math.isfinite(got.sharpe)


def test_a_short_run_is_not_extrapolated() -> None:
    path = [10**8 + 10**6 * day for day in range(27)]
    assert metrics.measure(with_equity(empty_run(10**8), path)).cagr is None
    path.append(10**8)
    assert metrics.measure(with_equity(empty_run(10**8), path)).cagr == 0.0


@pytest.mark.parametrize("capital", [0, -5])
def test_capital_must_be_positive(capital: int) -> None:
    with pytest.raises(ValueError, match=f"capital is {capital} paise"):
        metrics.measure(empty_run(capital))


@pytest.mark.parametrize("rate", [math.nan, math.inf])
def test_risk_free_must_be_a_number(result: RunResult, rate: float) -> None:
    with pytest.raises(ValueError, match="risk_free is"):
        metrics.measure(result, risk_free=rate)


def test_what_does_not_add_up_is_told(result: RunResult) -> None:
    days = result.days.copy()
    days["stt"][3] += 100
    assert "2022-01-06" in metrics.contradictions(dataclasses.replace(result, days=days))[0]
    equity = result.equity.copy()
    equity["equity"][-1] += 104  # an equity row before the day's bill is rounded
    assert metrics.contradictions(dataclasses.replace(result, equity=equity)) == ()
    equity["equity"][-1] += 1
    assert (
        "equity curve ends" in metrics.contradictions(dataclasses.replace(result, equity=equity))[0]
    )
    fewer = dataclasses.replace(result, trades=result.trades[:-1])
    assert "left open" in metrics.contradictions(fewer)[0]
    gap = np.delete(result.days, 5)
    assert any("covers 60 days, the day table 59" in text for text in metrics.contradictions(
        dataclasses.replace(result, days=gap)))  # fmt: skip
    trades = result.trades.copy()
    trades["exit_ns"][0] = trades["entry_ns"][0] - 1
    assert "end before" in metrics.contradictions(dataclasses.replace(result, trades=trades))[0]
