"""What a report costs for a year of minutes: figures, page, and the whole run directory."""

import datetime as dt
import itertools
from pathlib import Path

import numpy as np
import pytest

from dhanfast.market.generate import generate_bars
from dhanfast.reports import html, metrics, rundir, slippage, summary, terminal
from dhanfast.reports.result import (
    DAY_DTYPE,
    EQUITY_DTYPE,
    ORDER_ROW_DTYPE,
    PASSAGE_DTYPE,
    TRADE_DTYPE,
    RunResult,
)


@pytest.fixture(scope="module")
def year() -> RunResult:
    """Four trades a day on a generated year: enter and leave at fixed minutes."""
    days = list(generate_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 12, 31), seed=1))
    days = [bars for bars in days if len(bars) == 375]
    bars = np.concatenate(days)
    equity = np.zeros(len(bars), EQUITY_DTYPE)
    rows = np.zeros(len(days), DAY_DTYPE)
    trades = np.zeros(4 * len(days), TRADE_DTYPE)
    enter = (np.arange(len(days))[:, None] * 375 + [5, 95, 185, 275]).ravel()
    leave = enter + 60
    trades["entry_ns"], trades["exit_ns"] = bars["start_ns"][enter], bars["start_ns"][leave]
    trades["side"], trades["qty"], trades["bars"] = 1, 15, 60
    trades["entry_value"], trades["exit_value"] = (15 * bars["close"][at] for at in (enter, leave))
    trades["gross"] = trades["exit_value"] - trades["entry_value"]
    trades["exit_reason"] = 1 + np.arange(len(trades)) % 4
    equity["time_ns"], equity["equity"] = bars["start_ns"], 50_000_000
    np.add.at(equity["equity"], leave, trades["gross"])
    equity["equity"] = 50_000_000 + np.cumsum(equity["equity"] - 50_000_000)
    dates = [dt.datetime.fromtimestamp(part["start_ns"][0] / 1e9, dt.UTC) for part in days]
    rows["date"] = [int(date.strftime("%Y%m%d")) for date in dates]
    rows["gross"] = trades["gross"].reshape(-1, 4).sum(axis=1)
    rows["equity"], rows["trades"] = equity["equity"][374::375], 4
    return RunResult(
        strategy="bench", symbol="BANKNIFTY", traded="BANKNIFTY", timeframe="1m",
        capital=50_000_000, trades=trades, orders=np.zeros(2 * len(trades), ORDER_ROW_DTYPE),
        equity=equity, days=rows, bars=bars, counters={"bars": len(bars)}, config={},
        data={"generated": True}, notes=(), digest="0" * 64, kernel_ns=1,
    )  # fmt: skip


def test_measure(benchmark, year: RunResult) -> None:
    """Every figure of the run."""
    benchmark.group = "report"
    benchmark(metrics.measure, year)


def test_summary_and_text(benchmark, year: RunResult) -> None:
    """What `dhanfast backtest` prints, as JSON and as tables."""
    benchmark.group = "report"
    benchmark(lambda: (summary.summary(year), terminal.summary_text(year)))


def test_page(benchmark, year: RunResult) -> None:
    """The HTML page."""
    benchmark.group = "report"
    benchmark.extra_info["bytes"] = len(html.report_page(year))
    benchmark(html.report_page, year)


def test_run_directory(benchmark, year: RunResult, tmp_path: Path) -> None:
    """All files of a run, pyarrow being loaded already."""
    benchmark.group = "report"
    count = itertools.count()
    rundir.write_run(year, tmp_path / "warm")
    benchmark(lambda: rundir.write_run(year, tmp_path / str(next(count))))


def test_slippage(benchmark) -> None:
    """What 100,000 orders cost, in all and taken apart by every dimension."""
    random, count = np.random.default_rng(5), 100_000
    orders, passages = np.zeros(count, ORDER_ROW_DTYPE), np.zeros(count, PASSAGE_DTYPE)
    orders["id"] = passages["id"] = np.arange(1, count + 1)
    orders["qty"] = orders["filled"] = 15
    orders["side"] = random.choice([1, -1], count)
    orders["kind"], orders["reason"] = random.integers(0, 4, count), random.integers(0, 6, count)
    passages["decision"] = 5_000_000 + random.integers(-10_000, 10_000, count)
    passages["bid"], passages["ask"] = passages["decision"] - 100, passages["decision"] + 100
    passages["decided_ns"] = passages["sent_ns"] = 10**18 + np.arange(count) * 10**9
    orders["value"] = 15 * (passages["decision"] + random.integers(-200, 200, count))
    benchmark.group = "report"
    benchmark.extra_info["orders"] = count

    def report() -> None:
        costs = slippage.costs_of(orders, passages, strategy="bench", symbol="BANKNIFTY")
        slippage.summary_of(costs)

    benchmark(report)
