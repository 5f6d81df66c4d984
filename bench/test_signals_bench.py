"""What filters, a score and a blend add to a bar, in the block path; bar: 10 ns for the first two.

Time a bar = min / bars_per_round. Each case drives a strategy over the same recorded year with the
whole kernel around it; what a part adds is its case less the one without. Filters and scores run
with entries for a minute a day only: the orders that one case makes and another does not cost more
than what is measured.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.strategy import NativeStrategy
from dhanfast.engine.engine import Engine
from dhanfast.engine.filter_settings import FilterSettings
from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.storage.bars import BarSet, read_bars
from dhanfast.strategies import Market, Rules, RuleStrategy, Score
from dhanfast.strategies.blend import Blend
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
NONE = FilterSettings()
TIMES = FilterSettings(times=("open", "lunch", "close"), expiry="any")
CONFIRMED = FilterSettings(times=("open", "lunch", "close"), expiry="any", momentum="roc",
                           volume=1.2)  # fmt: skip
EVERY = FilterSettings(times=("open", "lunch", "close"), expiry="any", momentum="both", volume=1.2,
                       oi_bars=15)  # fmt: skip


def factors(m: Market) -> dict[str, tuple[Any, float]]:
    """The series of both strategies below: what a score adds is what is done with them."""
    return {
        "trend": (m.scaled(m.close - m.ema(50), -40, 40), 2.0),
        "rsi": (m.scaled(m.rsi(14), 30, 70), 1.0),
        "macd": (m.scaled(m.macd().hist, -10, 10), 1.0),
    }


class Factors(RuleStrategy):
    """The factors with a threshold each, and no score."""

    def rules(self, m: Market) -> Rules:
        """All of them for a side."""
        made = [series for series, _ in factors(m).values()]
        return Rules(
            long=(made[0] >= 0.5) & (made[1] >= 0.5) & (made[2] >= 0.5),
            short=(made[0] <= -0.5) & (made[1] <= -0.5) & (made[2] <= -0.5),
            stop=1.5 * m.atr(14),
            target=3.0 * m.atr(14),
        )


class Weighed(RuleStrategy):
    """The same factors, weighed."""

    def rules(self, m: Market) -> Rules:
        """A score with hysteresis that trades about as often."""
        score = Score(factors(m), 0.75, -0.75, 0.1, -0.1, exits=False)
        return Rules(score=score, stop=1.5 * m.atr(14), target=3.0 * m.atr(14))


@pytest.fixture(scope="module")
def year(data_dir: Path) -> BarSet:
    """A recorded year of minutes."""
    return read_bars(data_dir / "index_1m" / "BANKNIFTY_1m_2022.parquet")


def timed(
    benchmark: Any,
    bars: BarSet,
    make: Any,
    told: FilterSettings,
    until: dt.time = dt.time(9, 21),
) -> Engine:
    """Time the kernel over the bars; every round has an engine of its own."""
    settings = Settings(capital=10**11, filters=told, entry_until=until)
    sessions = sessions_of(bars, settings, MINUTE)
    made: list[Engine] = []

    def fresh() -> tuple[tuple[Engine], dict[str, Any]]:
        runner: NativeStrategy = find_strategy(make(), {}).runner(lambda at, text: None, MINUTE)
        made[:] = [Engine(runner, sessions, settings, interval_ns=MINUTE, bars=len(bars.bars),
                          equity_each_bar=False)]  # fmt: skip
        return (made[0],), {}

    benchmark.extra_info["bars_per_round"] = len(bars.bars)
    benchmark.pedantic(lambda engine: engine.feed(bars.bars), setup=fresh, rounds=40,
                       warmup_rounds=3)  # fmt: skip
    return made[0]


@pytest.mark.parametrize("told", [NONE, TIMES, CONFIRMED, EVERY],
                         ids=["plain", "times", "confirmed", "every"])  # fmt: skip
def test_filters(benchmark: Any, year: BarSet, told: FilterSettings) -> None:
    """Momentum without filters, with those of time, with two that look at bars, with all."""
    from dhanfast.strategies.library.momentum import Momentum

    engine = timed(benchmark, year, Momentum, told)
    assert engine.decisions.filters is None or engine.decisions.filters.names == told.names
    assert engine.counters()["signals"] > 1000


@pytest.mark.parametrize("kind", [Factors, Weighed])
def test_score(benchmark: Any, year: BarSet, kind: type) -> None:
    """The same factors as conditions and as a score."""
    engine = timed(benchmark, year, kind, NONE)
    assert engine.counters()["signals"] > 1000


@pytest.mark.parametrize("members", [0, 1, 2], ids=["alone", "one", "two"])
def test_blend(benchmark: Any, year: BarSet, members: int) -> None:
    """A strategy alone, as a blend of itself, and with another; each member has a kernel."""
    from dhanfast.strategies.library.momentum import Momentum

    names = ["momentum", "supertrend"][:members]
    engine = timed(benchmark, year, (lambda: Blend(names)) if members else Momentum, NONE,
                   dt.time(15))  # fmt: skip
    assert engine.counters()["orders_sent"] > 0
