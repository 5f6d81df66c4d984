"""Every rule strategy of the library against the same rules in plain Python; no look-ahead."""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dhanfast
from dhanfast._core.types import BAR_DTYPE
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import BadData, ConfigError, UsageError
from dhanfast.storage.bars import BarSet, Source, write_parquet
from dhanfast.strategies import Market, Strategy
from dhanfast.strategies.library.breakout import Breakout
from dhanfast.strategies.library.mean_reversion import MeanReversion
from dhanfast.strategies.library.momentum import Momentum
from dhanfast.strategies.library.opening_range import OpeningRange
from dhanfast.strategies.library.supertrend import SupertrendTrend
from dhanfast.strategies.library.v1 import V1
from dhanfast.strategies.library.vix_regime import VixRegime
from dhanfast.strategies.library.vwap import Vwap
from dhanfast.strategies.rules import RuleStrategy

from . import plain
from .plain import Candles, Say

DAY_NS = 86_400 * 10**9
IST_NS = 19_800 * 10**9
FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 1, 16)
SETTINGS = Settings(capital=10**13, slippage=Slippage())
FIELDS = ("long", "short", "exit_long", "exit_short", "stop", "target")
VIX = (14.0, 15.5, 16.0, 19.99, 20.0, 23.0)  # closes of the days, over and over

# strategy, what is set, how many trades there are at least over both markets
Case = tuple[type[RuleStrategy], dict[str, Any], Callable[..., list[Say]], dict[str, Any], int]
CASES: list[Case] = [
    (MeanReversion, {}, plain.mean_reversion, {}, 40),
    (MeanReversion, {"period": 20, "width": 1.5, "adx": 14, "adx_max": 40.0, "stop_atr": 0.0},
     plain.mean_reversion, {"period": 20, "width": 1.5, "adx": 14, "adx_max": 40.0, "stop": 0.0},
     150),
    (Breakout, {}, plain.breakout, {}, 20),
    (Breakout, {"lookback": 30, "buffer_atr": 0.0, "adx_min": 0.0, "leave": 10, "target_atr": 0.0},
     plain.breakout, {"lookback": 30, "buffer": 0.0, "adx_min": 0.0, "leave": 10, "target": 0.0},
     60),
    (Vwap, {"weight": "time"}, plain.vwap, {"weight": "time"}, 30),
    (OpeningRange, {}, plain.opening_range, {}, 10),
    (OpeningRange, {"minutes": 5, "height_min": 0.0, "buffer": 0.0, "target_heights": 0.0},
     plain.opening_range, {"minutes": 5, "height_min": 0.0, "buffer": 0.0, "target": 0.0}, 15),
    (SupertrendTrend, {}, plain.supertrend, {}, 10),
    (SupertrendTrend, {"period": 10, "width": 3.0, "adx_min": 20.0, "target_widths": 1.0},
     plain.supertrend, {"period": 10, "width": 3.0, "adx_min": 20.0, "target": 1.0}, 40),
]  # fmt: skip


@pytest.fixture(scope="module")
def markets() -> list[BarSet]:
    """Two generated markets of eleven days, quiet and not."""
    return [generated_bars("BANKNIFTY", FIRST, LAST, seed=seed) for seed in (5, 11)]


@pytest.fixture(scope="module")
def vix_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Daily bars of India VIX, from a day before the first market's."""
    days = [dt.date(2023, 12, 29) + dt.timedelta(days=i) for i in range(20)]
    days = [day for day in days if day.weekday() < 5]
    rows = np.zeros(len(days), BAR_DTYPE)
    for row, day, value in zip(rows, days, VIX * 5, strict=False):
        row["start_ns"] = (day - dt.date(1970, 1, 1)).days * DAY_NS - IST_NS
        for name in ("open", "high", "low", "close"):
            row[name] = round(100 * value)
    path = tmp_path_factory.mktemp("vix") / "vix.parquet"
    write_parquet(path, BarSet("INDIAVIX", rows, DAY_NS, False, (Source("made", "", len(rows)),)))
    return path


def told(vix_file: Path) -> Settings:
    return replace(SETTINGS, guards=GuardSettings(vix_told=1, vix_data=str(vix_file)))


class Heard(Strategy):
    """Takes down what a rule strategy says on every bar, and never trades."""

    def __init__(self, made: RuleStrategy) -> None:
        super().__init__()
        self.made = made
        self.rows: list[list[float]] = []

    def on_start(self, m: Market) -> None:
        rules = self.made.rules(m)
        constant = [getattr(rules, name) for name in FIELDS]
        self.series = [m.constant(one) if isinstance(one, int | float) else one for one in constant]

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.rows.append([one.value for one in self.series])


def heard(made: RuleStrategy, bars: BarSet, settings: Settings = SETTINGS) -> Any:
    listener = Heard(made)
    dhanfast.backtest(listener, bars, settings=settings)
    return np.array(listener.rows)


def assert_says(got: Any, says: list[Say]) -> None:
    expected = np.array(says, float)
    assert got.shape == expected.shape
    for at, name in enumerate(FIELDS[:4]):
        wrong = np.flatnonzero(got[:, at] != expected[:, at])
        assert not len(wrong), f"{name} differs on bars {wrong[:5]}"
    # Distances are read where there is an entry.
    entries = (expected[:, 0] + expected[:, 1]) == 1
    np.testing.assert_allclose(got[entries, 4:], expected[entries, 4:], rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize(
    "kind, params, model, words, least",
    CASES,
    ids=[f"{case[0].__name__}-{len(case[1])}" for case in CASES],
)
def test_signals_and_trades_are_those_of_plain_rules(
    kind: type[RuleStrategy],
    params: dict[str, Any],
    model: Callable[..., list[Say]],
    words: dict[str, Any],
    least: int,
    markets: list[BarSet],
) -> None:
    trades = 0
    for bars in markets:
        says = model(Candles.of(bars), **words)
        assert_says(heard(kind(**params), bars), says)
        result = dhanfast.backtest(kind, bars, params=params, settings=SETTINGS)
        assert plain.booked(result.trades) == plain.trades_of(bars, says, SETTINGS)
        trades += len(result.trades)
    assert trades >= least


def test_vwap_of_volume_is_that_of_plain_rules_on_bars_of_a_future() -> None:
    bars = generated_bars("BANKNIFTY", FIRST, LAST, seed=5, kind="FUT")
    assert bars.bars["volume"].any()
    says = plain.vwap(Candles.of(bars))
    assert_says(heard(Vwap(), bars), says)
    result = dhanfast.backtest(Vwap, bars, settings=SETTINGS)
    assert plain.booked(result.trades) == plain.trades_of(bars, says, SETTINGS)
    assert len(result.trades) >= 10
    assert plain.booked(result.trades) != plain.booked(
        dhanfast.backtest(Vwap, bars, params={"weight": "time"}, settings=SETTINGS).trades
    )


def test_vwap_of_volume_is_refused_where_there_is_none(markets: list[BarSet]) -> None:
    with pytest.raises(BadData, match=r"BANKNIFTY 1m: .*have none.*weight=time"):
        dhanfast.backtest("vwap", markets[0])
    with pytest.raises(BadData, match="declares series of volume"):
        dhanfast.backtest(OnVolume, markets[0])


class OnVolume(Strategy):
    """Looks at volume in Python."""

    def on_start(self, m: Market) -> None:
        self.obv = m.obv()

    def on_bar(self, ctx: Any, bar: Any) -> None:
        pass


def known_vix(bars: BarSet) -> list[float]:
    """The close of the last day with one before the bar's day, from the made file."""
    days = [dt.date(2023, 12, 29) + dt.timedelta(days=i) for i in range(20)]
    closes = dict(zip([day for day in days if day.weekday() < 5], VIX * 5, strict=False))
    shown = []
    for at in bars.bars["start_ns"].tolist():
        today = dt.date(1970, 1, 1) + dt.timedelta(days=(at + IST_NS) // DAY_NS)
        shown.append(closes[max(day for day in closes if day < today)])
    return shown


def test_vix_regime_is_that_of_plain_rules(markets: list[BarSet], vix_file: Path) -> None:
    settings, kinds = told(vix_file), set()
    for bars in markets:
        vix = known_vix(bars)
        says = plain.vix_regime(Candles.of(bars), vix)
        assert_says(heard(VixRegime(), bars, settings), says)
        result = dhanfast.backtest("vix-regime", bars, settings=settings)
        assert plain.booked(result.trades) == plain.trades_of(bars, says, SETTINGS)
        places = np.searchsorted(bars.bars["start_ns"], result.trades["entry_ns"])
        kinds |= {vix[int(at)] for at in places}
    assert any(value < 16 for value in kinds) and any(value >= 20 for value in kinds)
    assert not any(16 <= value < 20 for value in kinds)


def test_vix_regime_needs_to_be_told_and_two_regimes_apart(
    markets: list[BarSet], vix_file: Path
) -> None:
    with pytest.raises(ConfigError, match=r"risk\.guards\.vix\.told = true"):
        dhanfast.backtest("vix-regime", markets[0])
    with pytest.raises(ConfigError, match=r"risk\.guards\.vix\.data"):
        dhanfast.backtest(
            "vix-regime", markets[0], settings=replace(SETTINGS, guards=GuardSettings(vix_told=1))
        )
    with pytest.raises(UsageError, match="calm must not be above storm, was 21 and 20"):
        dhanfast.backtest("vix-regime", markets[0], params={"calm": 21}, settings=told(vix_file))


EVERY: list[RuleStrategy] = [
    Momentum(), V1(), MeanReversion(), Breakout(), Vwap(weight="time"), OpeningRange(),
    SupertrendTrend(), VixRegime(),
]  # fmt: skip


@pytest.mark.parametrize("made", EVERY, ids=lambda made: type(made).__name__)
def test_what_comes_later_changes_nothing(
    made: RuleStrategy, markets: list[BarSet], vix_file: Path
) -> None:
    """Signals of a prefix are those of the whole; so are the trades that ended in it."""
    bars, settings = markets[1], told(vix_file)
    whole = heard(made, bars, settings)
    trades = plain.booked(dhanfast.backtest(made, bars, settings=settings).trades)
    for count in (1, 374, 375, 376, 1000, 2049, len(bars.bars) - 1):
        part = replace(bars, bars=bars.bars[:count].copy())
        np.testing.assert_array_equal(heard(made, part, settings), whole[:count])
        end_ns = int(part.bars["start_ns"][-1])
        got = [
            trade
            for trade in plain.booked(dhanfast.backtest(made, part, settings=settings).trades)
            if trade[2] < end_ns
        ]
        assert got == [trade for trade in trades if trade[2] < end_ns]


@pytest.mark.parametrize("made", EVERY, ids=lambda made: type(made).__name__)
def test_what_comes_later_may_be_anything(
    made: RuleStrategy, markets: list[BarSet], vix_file: Path
) -> None:
    """A market that falls apart after bar 1,200 has said nothing different before."""
    bars, settings = markets[0], told(vix_file)
    other = bars.bars.copy()
    for name in ("open", "high", "low", "close"):
        other[name][1200:] = (other[name][1200:] * 0.7).astype(np.int64)
    np.testing.assert_array_equal(
        heard(made, bars, settings)[:1200],
        heard(made, replace(bars, bars=other), settings)[:1200],
    )


def test_a_cross_needs_a_bar_before_it() -> None:
    assert not plain.crossed([2.0], [1.0], 0) and plain.crossed([1.0, 2.0], [1.0, 1.0], 1)
    assert not plain.crossed([math.nan, 2.0], [1.0, 1.0], 1)
