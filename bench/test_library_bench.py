"""Every rule strategy of the library over a year of minutes: the engine, and the whole call."""

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from dhanfast.engine.engine import Engine
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.guard_build import recorded_guards
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.runs import backtest, sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.storage.bars import BarSet, write_parquet
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
SETTINGS = Settings(capital=10**13)
PARAMS: dict[str, dict[str, object]] = {
    "momentum": {},
    "v1": {},
    "mean-reversion": {},
    "breakout": {},
    "vwap": {"weight": "time"},
    "opening-range": {},
    "supertrend": {},
    "vix-regime": {},
}


@pytest.fixture(scope="module")
def year() -> BarSet:
    """A generated year of BANKNIFTY minutes."""
    return generated_bars("BANKNIFTY", dt.date(2022, 1, 1), dt.date(2022, 12, 31))


@pytest.fixture(scope="module")
def told(year: BarSet, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings with an India VIX a minute: the closes of the index, brought to 12 to 24 points."""
    bars = year.bars.copy()
    close = year.bars["close"]
    shown = 1_200 + (close - close.min()) * 1_200 // (close.max() - close.min())
    for name in ("open", "high", "low", "close"):
        bars[name] = shown
    path: Path = tmp_path_factory.mktemp("vix") / "vix.parquet"
    write_parquet(path, dataclasses.replace(year, symbol="INDIAVIX", bars=bars))
    return dataclasses.replace(SETTINGS, guards=GuardSettings(vix_told=1, vix_data=str(path)))


@pytest.mark.parametrize("name", PARAMS)
def test_engine_by_strategy(benchmark: Any, year: BarSet, told: Settings, name: str) -> None:
    """Bars to booked trades; ns a bar = median / bars_per_round."""
    benchmark.group = "library: engine"
    settings = told if name == "vix-regime" else SETTINGS
    sessions = sessions_of(year, settings, MINUTE)
    benchmark.extra_info["bars_per_round"] = len(year.bars)

    def run() -> Any:
        runner = find_strategy(name, PARAMS[name]).runner(lambda at_ns, text: None, MINUTE)
        guards, _ = recorded_guards(settings.guards)
        engine = Engine(
            runner, sessions, settings, interval_ns=MINUTE, bars=len(year.bars), guards=guards
        )
        engine.feed(year.bars)
        return engine.finish()

    assert len(benchmark(run).trades) > 100


@pytest.mark.parametrize("name", ["opening-range", "supertrend"])
def test_whole_backtest(benchmark: Any, year: BarSet, name: str) -> None:
    """The call a user makes, with sessions, digest and result."""
    benchmark.group = "library: whole call"
    result = benchmark(backtest, name, year, params=PARAMS[name], settings=SETTINGS)
    assert len(result.trades) > 100
