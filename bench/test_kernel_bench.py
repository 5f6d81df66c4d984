"""The kernel by door, rules by block and by row, the whole backtest call, and its figures."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from dhanfast._core.types import BAR_DTYPE
from dhanfast.engine.engine import Engine
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import backtest, sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.reports.summary import summary
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Rules, RuleStrategy
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
# So much capital that the run trades to its end: a year of 1 lot loses a million in charges.
SETTINGS = Settings(capital=10**13)


@pytest.fixture(scope="module")
def year() -> BarSet:
    """A generated year of BANKNIFTY minutes."""
    return generated_bars("BANKNIFTY", dt.date(2022, 1, 1), dt.date(2022, 12, 31))


def run_once(strategy: Any, year: BarSet, sessions: Any) -> Any:
    """Bars to booked results, without reading, hashing or reports."""
    runner = find_strategy(strategy, {}).runner(lambda at_ns, text: None, MINUTE)
    bars = year.bars
    engine = Engine(runner, sessions, SETTINGS, interval_ns=MINUTE, bars=len(bars))
    engine.feed(bars)
    return engine.finish()


@pytest.mark.parametrize("door", ["momentum", "momentum-cython", "momentum-python"])
def test_kernel_by_door(benchmark: Any, year: BarSet, door: str) -> None:
    """ns a bar with fills, charges, risk gate and equity = median / bars_per_round."""
    benchmark.group = "kernel by door"
    sessions = sessions_of(year, SETTINGS, MINUTE)
    benchmark.extra_info["bars_per_round"] = len(year.bars)
    written = benchmark(run_once, door, year, sessions)
    assert len(written.trades) > 1_000 and len(written.equity) > 90_000


class Quiet(RuleStrategy):
    """Momentum's indicators, and a rule that is never true: the kernel without orders."""

    def rules(self, m: Any) -> Rules:
        """All of momentum's series, none of its trades."""
        ema, rsi, macd = m.ema(9), m.rsi(14), m.macd(12, 26, 9)
        never = (m.close > ema) & (rsi > 200) & (macd.hist > 0)
        return Rules(long=never, stop=m.atr(14))


class QuietRow(RuleStrategy):
    """The same, held down to one row at a time because it asks for the position."""

    def rules(self, m: Any) -> Rules:
        """As Quiet; `position` is known only row by row."""
        ema, rsi, macd = m.ema(9), m.rsi(14), m.macd(12, 26, 9)
        never = (m.close > ema) & (rsi > 200) & (macd.hist > 0)
        return Rules(long=never & (m.position < 1), stop=m.atr(14))


@pytest.mark.parametrize("strategy", [Quiet, QuietRow])
def test_rules_by_block_and_by_row(benchmark: Any, year: BarSet, strategy: type) -> None:
    """No order is sent: what is left is rules, equity and the loop."""
    benchmark.group = "rules without orders"
    sessions = sessions_of(year, SETTINGS, MINUTE)
    benchmark.extra_info["bars_per_round"] = len(year.bars)
    assert len(benchmark(run_once, strategy, year, sessions).orders) == 0


def test_split_bars(benchmark: Any, year: BarSet) -> None:
    """Five-minute decisions that meet one-minute bars, the aggregation included."""
    settings = Settings(capital=10**13, timeframe_ns=5 * MINUTE)
    benchmark.extra_info["bars_per_round"] = len(year.bars)
    result = benchmark(backtest, "momentum", year, settings=settings, detail=year)
    assert len(result.trades) > 500


def test_backtest_call(benchmark: Any, year: BarSet) -> None:
    """`dhanfast.backtest` on bars in memory: sessions, engine, hashes, result."""
    benchmark.extra_info["bars_per_round"] = len(year.bars)
    assert len(benchmark(backtest, "momentum", year, settings=SETTINGS).bars) == len(year.bars)


def test_summary_of_a_year(benchmark: Any, year: BarSet) -> None:
    """Every figure that `--json` prints, from a year's result."""
    result = backtest("momentum", year, settings=SETTINGS)
    assert benchmark(summary, result)["trades"] == len(result.trades)


def test_a_session_of_nothing_to_do(benchmark: Any, year: BarSet) -> None:
    """An engine made, fed one bar and finished: what every small run pays before its first bar."""
    sessions = sessions_of(year, SETTINGS, MINUTE)[:1]
    one = np.ascontiguousarray(year.bars[:1])
    assert one.dtype == BAR_DTYPE

    def call() -> Any:
        runner = find_strategy("momentum", {}).runner(lambda at_ns, text: None, MINUTE)
        engine = Engine(runner, sessions, SETTINGS, interval_ns=MINUTE, bars=1)
        engine.feed(one)
        return engine.finish()

    assert len(benchmark(call).trades) == 0
