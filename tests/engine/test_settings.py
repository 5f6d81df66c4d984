"""Settings: the texts people write, and every value that is refused."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dhanfast
from dhanfast.engine.chain_settings import ChainSettings
from dhanfast.engine.execution_settings import ExecutionSettings
from dhanfast.engine.filter_settings import FilterSettings
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.margin_settings import MarginSettings
from dhanfast.engine.settings import (
    RiskSettings,
    Settings,
    Slippage,
    checked,
    clock_time,
    duration_ns,
    timeframe_text,
)
from dhanfast.engine.sizing_settings import SizingSettings
from dhanfast.engine.stop_settings import StopSettings
from dhanfast.errors import ConfigError

S = 1_000_000_000


@pytest.mark.parametrize(
    "text, ns",
    [
        ("1ns", 1),
        ("250ms", 250_000_000),
        ("0ms", 0),
        ("1.5s", 1_500_000_000),
        (" 5 m ", 300 * S),
        ("15us", 15_000),
        ("1h", 3600 * S),
        ("1d", 86_400 * S),
    ],
)
def test_durations(text: str, ns: int) -> None:
    assert duration_ns(text, "latency") == ns


@pytest.mark.parametrize(
    "text", ["", "5", "ms", "-1ms", "1 minute", "1M", "1e3ms", "nan s", "1m5s", "٣s s", "1m\n1m"]
)
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"latency: .*write a number and a unit"):
        duration_ns(text, "latency")


def test_a_duration_that_no_clock_can_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match="longer than 290 years"):
        duration_ns("9" * 30 + "d", "timeframe")


@given(st.integers(1, 10**5), st.sampled_from(["us", "ms", "s", "m", "h", "d"]))
def test_a_timeframes_text_reads_back_as_itself(count: int, unit: str) -> None:
    ns = duration_ns(f"{count}{unit}", "timeframe")
    assert duration_ns(timeframe_text(ns), "timeframe") == ns


def test_an_odd_length_is_told_in_nanoseconds() -> None:
    assert timeframe_text(1_000_001) == "1000001ns" and timeframe_text(90 * S) == "90s"


@pytest.mark.parametrize(
    "text, slippage",
    [
        ("0", Slippage()),
        ("none", Slippage()),
        ("1tick", Slippage(ticks=1)),
        ("3 ticks", Slippage(ticks=3)),
        ("2pts", Slippage(paise=200)),
        ("1.5 points", Slippage(paise=150)),
        ("0.05pt", Slippage(paise=5)),
        ("3bps", Slippage(rate_e6=300)),
        ("0.02%", Slippage(rate_e6=200)),
        ("0.5bps", Slippage(rate_e6=50)),
    ],
)
def test_slippage(text: str, slippage: Slippage) -> None:
    assert Slippage.parse(text) == slippage


@pytest.mark.parametrize("text", ["", "1", "-1tick", "tick", "2pct", "nan%", "1tick 2pts"])
def test_what_is_no_slippage_is_refused_with_examples(text: str) -> None:
    examples = r"write for example 1tick, 2pts, 3bps, 0\.02% or measured"
    with pytest.raises(ConfigError, match=examples):
        Slippage.parse(text)


def test_part_of_a_tick_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be whole ticks"):
        Slippage.parse("1.5ticks")


@pytest.mark.parametrize(
    "text, time",
    [
        ("09:20", dt.time(9, 20)),
        (" 15:15 ", dt.time(15, 15)),
        ("15:15:30", dt.time(15, 15, 30)),
        ("none", None),
        ("None", None),
        (None, None),
        (dt.time(9, 1), dt.time(9, 1)),
    ],
)
def test_times_of_day(text: Any, time: Any) -> None:
    assert clock_time(text, "square-off") == time


@pytest.mark.parametrize(
    "text", ["", "25:00", "9:2x", "noon", "15:15+05:30", "15:15Z", "2022-01-01"]
)
def test_what_is_no_time_of_day_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=r"square-off: .*write HH:MM in IST, or none"):
        clock_time(text, "square-off")


@pytest.mark.parametrize(
    "wrong, text",
    [
        ({"capital": 0}, r"capital must be in 1\.\.10,000,000,000,000 rupees, was 0.0"),
        ({"capital": -100}, "capital .*was -1.0"),
        ({"capital": 10**15 + 1}, "capital must be"),
        ({"lots": 0}, r"lots must be in 1\.\.100000, was 0"),
        ({"lots": 100_001}, "lots must be"),
        ({"timeframe_ns": -1}, "timeframe must be at most 7d"),
        ({"timeframe_ns": 8 * 86_400 * S}, "timeframe must be at most 7d, was 8d"),
        ({"latency_ns": -1}, r"latency must be in 0ns\.\.1h, was -1ns"),
        ({"latency_ns": 3601 * S}, "latency .*was 3601s"),
        ({"slippage": Slippage(ticks=-1)}, "slippage .*was -1 ticks"),
        ({"slippage": Slippage(ticks=10**20)}, r"slippage must be in 0\.\.10000 ticks"),
        ({"slippage": Slippage(paise=-5)}, "slippage .*was -0.05 pts"),
        ({"slippage": Slippage(paise=10**20)}, r"slippage must be in 0\.\.100000 pts"),
        ({"entry_from": dt.time(15, 0)}, "entry-from must be before the last-entry time 15:00"),
        ({"entry_until": dt.time(15, 16)}, "last-entry must be at or before the square-off time"),
        ({"square_off": dt.time(9, 0)}, "last-entry must be at or before the square-off"),
        ({"on_opposite": "reverze"}, "did you mean reverse"),
        ({"risk": RiskSettings(qty_max=-1)}, r"risk.qty_max must be in 0\..*was -1"),
        ({"risk": RiskSettings(loss_day_max=10**30)}, "risk.loss_day_max must be in"),
        ({"risk": RiskSettings(orders_per_s_max=-9)}, "risk.orders_per_s_max"),
    ],
)
def test_values_out_of_range_name_field_value_and_range(wrong: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        checked(Settings(**wrong))


def test_settings_as_they_stand_in_a_result() -> None:
    plain = Settings(
        timeframe_ns=300 * S,
        square_off=None,
        entry_from=dt.time(9, 20, 30),
        slippage=Slippage(rate_e6=200),
    ).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["timeframe"], plain["square_off"], plain["entry_from"]) == (
        "5m",
        None,
        "09:20:30",
    )
    assert plain["slippage"] == {"ticks": 0, "paise": 0, "rate_e6": 200}
    assert list(plain["risk"]) == list(RiskSettings.__slots__)
    assert checked(Settings()) == Settings() and Settings().as_dict()["timeframe"] == "data"


def test_every_setting_stands_in_the_result() -> None:
    in_use = Settings(
        sizing=SizingSettings(fit=True),
        stops=StopSettings(bars_max=1),
        guards=GuardSettings(trades_max=1),
        execution=ExecutionSettings(algo="slice"),
        margin=MarginSettings(short="refuse"),
        filters=FilterSettings(momentum="roc"),
        protection_slab=True,
        chain=ChainSettings(near=3),
    )
    names = set(in_use.as_dict())
    more = {"sizing", "stops", "margin", "filters", "guards", "execution", "protection_slab"}
    more.add("chain")
    assert names - set(Settings().as_dict()) == more, "told only when in use"
    told = {"capital": "capital_paise", "timeframe_ns": "timeframe"}
    assert {told.get(name, name) for name in Settings.__slots__} == names


def test_margin_of_structures_is_refused_for_one_instrument() -> None:
    """It would be ignored: the gate asks for free margin by itself."""
    settings, day = Settings(margin=MarginSettings(short="refuse")), dt.date(2025, 11, 17)
    with pytest.raises(ConfigError, match=r"risk\.margin\.short: is of structures of legs"):
        dhanfast.backtest("momentum", generated_bars("BANKNIFTY", day, day), settings=settings)
