"""[risk.sizing] and [risk.stops]: every key reaches the engine, and what contradicts is refused."""

from pathlib import Path

import numpy as np
import pytest

from dhanfast.app.config_fields import Sizing, Stops
from dhanfast.engine.settings import Settings, checked
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory, daily_e6
from dhanfast.engine.stop_settings import Distance, StopSettings
from dhanfast.errors import ConfigError
from dhanfast.reports.result import TRADE_DTYPE

from .test_config import load, refused

STRATEGY = '[[strategy]]\nname = "mine"\nuse = "v1"\nlots = 2\n'
ALL_STOPS = """
[risk.stops]
stop = "1.5atr"
target = "2%"
override = true
trail = "20pts"
trail_from = "0.5atr"
cost_at = "15pts"
cost_plus = "0.05%"
cost_charges = true
rest = false
step_ticks = 4
every = "250ms"
changes_max = 3
atr_period = 7
bars_max = 30
time_max = "45m"
only_losing = true
"""
KELLY = """
[risk.sizing]
method = "kelly"
kelly_fraction = "25%"
kelly_cap = "1.5%"
kelly_trades_min = 12
kelly_fall_back = "lots"
fit = true
[risk.sizing.history]
trades = 60
win_rate = "45%"
win = "40"
loss = "20.50"
"""


def test_every_stop_key_reaches_the_engine(tmp_path: Path) -> None:
    stops = load(tmp_path, ALL_STOPS + STRATEGY).settings().stops
    assert stops == StopSettings(
        stop=Distance(1.5, "atr"), target=Distance(2, "percent"), override=True,
        trail=Distance(20, "points"), trail_from=Distance(0.5, "atr"),
        cost_at=Distance(15, "points"), cost_plus=Distance(0.05, "percent"), cost_charges=True,
        rest=False, step_ticks=4, every_ns=250_000_000, changes_max=3, atr_period=7, bars_max=30,
        time_max_ns=45 * 60 * 10**9, only_losing=True,
    )  # fmt: skip
    usual = StopSettings()
    assert all(getattr(stops, name) != getattr(usual, name) for name in StopSettings.__slots__)
    assert stops.as_dict()["stop"] == "1.5atr" and stops.as_dict()["target"] == "2%"


def test_every_sizing_key_reaches_the_engine(tmp_path: Path) -> None:
    assert load(tmp_path, KELLY + STRATEGY).settings().sizing == SizingSettings(
        method="kelly", kelly_fraction=0.25, kelly_cap_e6=15_000, kelly_trades_min=12,
        kelly_fall_back=True, fit=True, history=TradeHistory(60, 0.45, 4_000.0, 2_050.0),
    )  # fmt: skip
    text = '[risk.sizing]\nmethod = "volatility"\nvolatility = "16%"\nvolatility_per = "year"\n'
    text += 'measure = "returns"\nperiod = 30\n'
    found = load(tmp_path, text + STRATEGY).settings().sizing
    assert found == SizingSettings(
        method="volatility", target_e6=10_079, measure="returns", period=30
    )
    for risk, expected in (("1.25%", (0, 12_500)), ("5000", (500_000, 0))):
        text = f'[risk.sizing]\nmethod = "risk"\nrisk = "{risk}"\n'
        found = load(tmp_path, text + STRATEGY).settings().sizing
        assert (found.risk, found.risk_e6) == expected


def test_as_they_come_both_are_off(tmp_path: Path) -> None:
    settings = load(tmp_path, STRATEGY).settings()
    assert (settings.sizing, settings.stops) == (SizingSettings(), StopSettings())
    assert not {"sizing", "stops"} & set(settings.as_dict())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[risk.stops]\ntrail = "20"\n', "risk.stops.trail: '20' is not a distance; write for"),
        ("[risk.stops]\ntrail = 20\n", 'must be text in quotes, for example "1.5atr"'),
        ("[risk.stops]\nchanges_max = 25\n", "stops.changes_max: must be a whole number <= 20"),
        ('[risk.stops]\ntrail_from = "1atr"\n', "stops.trail_from: nothing trails from there"),
        ("[risk.stops]\nonly_losing = true\n", "stops.only_losing belongs to"),
        ("[risk.stops]\ntrailing = 1\n", "no setting is called 'trailing'; did you mean trail"),
        ('[risk.sizing]\nmethod = "risk"\n', "sizing.risk: say how much a stop may lose"),
        ('[risk.sizing]\nmethod = "volatility"\n', "sizing.volatility: say which"),
        ('[risk.sizing]\nrisk = "1%"\n',
         'risk.sizing.risk is of method = "risk", and risk.sizing.method is "lots"'),
        ('[risk.sizing]\nmethod = "kelly"\nperiod = 20\n', 'is of method = "volatility"'),
        ('[risk.sizing]\nmethod = "kelly"\n[risk.sizing.history]\ntrades = 9\nwin_rate = "50%"\n',
         "sizing.history: a history with wins needs their average"),
        ('[risk.sizing]\nmethod = "luck"\n', "must be one of lots, risk, kelly, volatility"),
    ],
)  # fmt: skip
def test_what_contradicts_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text + STRATEGY)


def test_settings_are_checked_without_a_file_too() -> None:
    with pytest.raises(ConfigError, match=r"stops\.stop must be above 0"):
        checked(Settings(stops=StopSettings(stop=Distance(-1, "points"))))
    with pytest.raises(ConfigError, match=r"sizing\.kelly_fraction"):
        checked(Settings(sizing=SizingSettings(kelly_fraction=2.0)))


def test_the_defaults_of_the_file_are_those_of_the_engine() -> None:
    from dhanfast.app.config_risk import sizing_settings, stop_settings

    assert stop_settings(Stops()) == StopSettings()
    assert sizing_settings(Sizing()) == SizingSettings()


def test_a_years_volatility_is_that_of_252_days() -> None:
    assert daily_e6(1_600, "day") == 160_000
    assert daily_e6(1_600, "year") == round(160_000 / 252**0.5)


def test_a_history_of_a_runs_trades() -> None:
    assert TradeHistory.of(np.zeros(0, TRADE_DTYPE)) == TradeHistory()
    trades = np.zeros(4, TRADE_DTYPE)
    trades["qty"], trades["gross"] = 10, [5_000, -1_000, 1_000, 0]
    trades["stt"] = 1_000 * 1_000_000
    # Net a unit: 400, -200, 0, -100.
    assert TradeHistory.of(trades) == TradeHistory(4, 0.25, 400.0, 100.0)


@pytest.mark.parametrize(
    ("text", "distance"),
    [("20pts", Distance(20, "points")), (" 0.5 % ", Distance(0.5, "percent")),
     ("1.5atr", Distance(1.5, "atr")), ("1point", Distance(1, "points")), ("none", None),
     ("0", None)],
)  # fmt: skip
def test_distances(text: str, distance: Distance | None) -> None:
    assert Distance.parse(text) == distance
    assert distance is None or Distance.parse(str(distance)) == distance
