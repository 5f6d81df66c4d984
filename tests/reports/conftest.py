"""Runs made by hand and by chance, whose figures every report test must get right."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import BAR_DTYPE
from dhanfast.reports.result import (
    DAY_DTYPE,
    EQUITY_DTYPE,
    ORDER_ROW_DTYPE,
    PASSAGE_DTYPE,
    TRADE_DTYPE,
    RunResult,
)

MINUTE_NS = 60_000_000_000
COMPONENTS = ("brokerage", "exchange", "sebi", "ipft", "stamp", "stt", "gst")
CAPITAL = 50_000_000  # 5 lakh rupees in paise


def open_ns(day: dt.date) -> int:
    """09:15 Indian time of a day as UTC ns."""
    return int(dt.datetime(day.year, day.month, day.day, 3, 45, tzinfo=dt.UTC).timestamp()) * 10**9


def weekdays(first: dt.date, count: int) -> list[dt.date]:
    """The first `count` Mondays to Fridays from `first`."""
    days: list[dt.date] = []
    while len(days) < count:
        if first.weekday() < 5:
            days.append(first)
        first += dt.timedelta(days=1)
    return days


class Sheet:
    """Keeps the books of a made-up run: prices, trades, bills and equity that agree."""

    def __init__(self, seed: int, days: int, bars_a_day: int, trades_a_day: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.dates = weekdays(dt.date(2022, 1, 3), days)
        self.bars = np.zeros(days * bars_a_day, BAR_DTYPE)
        self.equity = np.zeros(days * bars_a_day, EQUITY_DTYPE)
        self.days = np.zeros(days, DAY_DTYPE)
        self.trades = np.zeros(days * trades_a_day, TRADE_DTYPE)
        self.bars_a_day, self.trades_a_day = bars_a_day, trades_a_day
        self.cash = CAPITAL
        self._prices()
        for day in range(days):
            self._day(day)

    def _prices(self) -> None:
        count = len(self.bars)
        close = 3_500_000 + 5 * np.cumsum(self.rng.integers(-300, 301, count))
        self.bars["close"] = close
        self.bars["open"] = np.concatenate(([3_500_000], close[:-1]))
        top = np.maximum(self.bars["open"], close)
        low = np.minimum(self.bars["open"], close)
        self.bars["high"] = top + 5 * self.rng.integers(0, 100, count)
        self.bars["low"] = low - 5 * self.rng.integers(0, 100, count)
        for day, date in enumerate(self.dates):
            part = self.bars[day * self.bars_a_day : (day + 1) * self.bars_a_day]
            part["start_ns"] = open_ns(date) + MINUTE_NS * np.arange(self.bars_a_day)

    def _day(self, day: int) -> None:
        first = day * self.bars_a_day
        position = np.zeros(self.bars_a_day, np.int64)
        pnl = np.zeros(self.bars_a_day, np.int64)
        upaise = dict.fromkeys(COMPONENTS, 0)
        gross = 0
        close = self.bars["close"][first : first + self.bars_a_day]
        cuts = np.linspace(0, self.bars_a_day - 1, 2 * self.trades_a_day + 1).astype(int)
        for number in range(self.trades_a_day):
            start, end = int(cuts[2 * number]), int(cuts[2 * number + 1])
            trade = self.trades[day * self.trades_a_day + number]
            self._fill(trade, first + start, first + end)
            signed = int(trade["side"]) * int(trade["qty"])
            position[start:end] = signed
            pnl[start:end] += signed * (close[start:end] - close[start])
            pnl[end:] += int(trade["gross"])
            gross += int(trade["gross"])
            for name in COMPONENTS:
                upaise[name] += int(trade[name])
        row = self.days[day]
        row["date"] = int(self.dates[day].strftime("%Y%m%d"))
        row["trades"], row["gross"] = self.trades_a_day, gross
        for name in COMPONENTS:
            unit = 100 if name in ("stamp", "stt") else 1
            row[name] = (upaise[name] + unit * 500_000) // (unit * 1_000_000) * unit
        row["charges"] = sum(int(row[name]) for name in COMPONENTS)
        part = self.equity[first : first + self.bars_a_day]
        part["time_ns"] = self.bars["start_ns"][first : first + self.bars_a_day] + MINUTE_NS
        part["equity"], part["position"] = self.cash + pnl, position
        self.cash += gross - int(row["charges"])
        part["equity"][-1] = self.cash
        row["equity"] = self.cash

    def _fill(self, trade: Any, start: int, end: int) -> None:
        side = 1 if self.rng.random() < 0.6 else -1
        qty = 25 * int(self.rng.integers(1, 4))
        entry, exit_ = int(self.bars["close"][start]), int(self.bars["close"][end])
        trade["side"], trade["qty"], trade["bars"] = side, qty, end - start
        trade["entry_ns"] = self.bars["start_ns"][start] + MINUTE_NS
        trade["exit_ns"] = self.bars["start_ns"][end] + MINUTE_NS
        trade["entry_value"], trade["exit_value"] = entry * qty, exit_ * qty
        trade["gross"] = side * (exit_ - entry) * qty
        path = side * (self.bars["close"][start : end + 1] - entry) * qty
        trade["mae"], trade["mfe"] = min(0, int(path.min())), max(0, int(path.max()))
        trade["stop"], trade["contract"] = entry - side * 5000, 20220127
        trade["exit_reason"] = int(self.rng.choice([1, 2, 3, 4, 6]))
        turnover = (entry + exit_) * qty
        trade["brokerage"] = 4000 * 1_000_000
        trade["exchange"], trade["sebi"] = turnover * 19, turnover
        trade["stamp"], trade["stt"] = entry * qty * 20, exit_ * qty * 100
        trade["gst"] = (trade["brokerage"] + trade["exchange"] + trade["sebi"]) * 18 // 100


def passages_of(orders: Any) -> Any:
    """Each filled order was decided at 0.20 better than its price, and met a market 0.30 wide."""
    rows = np.zeros(len(orders), PASSAGE_DTYPE)
    price = orders["value"] // np.maximum(orders["filled"], 1)
    rows["id"] = orders["id"]
    rows["decided_ns"] = rows["sent_ns"] = np.where(orders["refused"], 0, orders["created_ns"])
    rows["first_fill_ns"] = rows["last_fill_ns"] = np.where(orders["filled"], orders["done_ns"], 0)
    rows["decision"] = np.where(orders["filled"], price - 20 * orders["side"], 0)
    rows["bid"] = np.where(orders["filled"], price - 15 - 15 * (orders["side"] > 0), 0)
    rows["ask"] = np.where(rows["bid"] > 0, rows["bid"] + 30, 0)
    rows["end_mark"], rows["fills"] = price, orders["filled"] > 0
    return rows


@pytest.fixture(scope="session")
def make_result() -> Callable[..., RunResult]:
    """Builder of a consistent made-up run."""

    def build(
        *,
        seed: int = 7,
        days: int = 60,
        bars_a_day: int = 75,
        trades_a_day: int = 3,
        notes: tuple[str, ...] = (),
        generated: bool = False,
    ) -> RunResult:
        sheet = Sheet(seed, days, bars_a_day, trades_a_day)
        orders = np.zeros(2 * len(sheet.trades) + 1, ORDER_ROW_DTYPE)
        orders["id"] = np.arange(1, len(orders) + 1)
        orders["created_ns"][:-1:2] = sheet.trades["entry_ns"]
        orders["created_ns"][1::2] = sheet.trades["exit_ns"]
        orders["done_ns"] = orders["created_ns"]
        orders["qty"][:-1] = orders["filled"][:-1] = np.repeat(sheet.trades["qty"], 2)
        orders["side"][:-1:2] = sheet.trades["side"]
        orders["side"][1::2] = -sheet.trades["side"]
        orders["kind"], orders["status"] = 1, 2
        orders["refused"][-1], orders["status"][-1] = 22, 1
        orders["price"][:-1:2] = sheet.trades["entry_value"] // np.maximum(sheet.trades["qty"], 1)
        orders["value"][:-1:2] = sheet.trades["entry_value"]
        orders["value"][1::2] = sheet.trades["exit_value"]
        return RunResult(
            strategy="momentum",
            symbol="BANKNIFTY",
            traded="BANKNIFTY FUT",
            timeframe="1m",
            capital=CAPITAL,
            trades=sheet.trades,
            orders=orders,
            equity=sheet.equity,
            days=sheet.days,
            bars=sheet.bars,
            counters={"bars": len(sheet.bars), "bars_outside_session": 2, "signals": 9},
            config={"strategy": "momentum", "lots": 1, "slippage": {"ticks": 1}},
            data={"files": [{"name": "bars.parquet", "sha256": "0" * 64, "generated": generated}]},
            notes=notes,
            digest="ab" * 32,
            kernel_ns=1_234_567,
            versions={"dhanfast": "0.1.0"},
            passages=passages_of(orders),
        )

    return build


@pytest.fixture
def result(make_result: Callable[..., RunResult]) -> RunResult:
    """Sixty days, three trades a day."""
    return make_result()


@pytest.fixture
def idle(make_result: Callable[..., RunResult]) -> RunResult:
    """Sixty days without a single trade."""
    return make_result(trades_a_day=0)
