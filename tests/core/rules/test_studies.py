"""Every series of `Market` against the indicator's own batch form, TA-Lib and numpy."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from dhanfast._core.indicators.adx import adx
from dhanfast._core.indicators.atr import atr
from dhanfast._core.indicators.bollinger import bollinger
from dhanfast._core.indicators.cci import cci
from dhanfast._core.indicators.donchian import donchian
from dhanfast._core.indicators.ema import ema
from dhanfast._core.indicators.keltner import keltner
from dhanfast._core.indicators.linreg import linreg_slope
from dhanfast._core.indicators.macd import macd
from dhanfast._core.indicators.obv import obv
from dhanfast._core.indicators.opening_range import opening_minutes
from dhanfast._core.indicators.percentile import rolling_percentile
from dhanfast._core.indicators.pivots import pivots
from dhanfast._core.indicators.realised_volatility import realised_volatility
from dhanfast._core.indicators.roc import roc
from dhanfast._core.indicators.rolling import rolling_max, rolling_min, rolling_std, zscore
from dhanfast._core.indicators.rsi import rsi
from dhanfast._core.indicators.sma import sma
from dhanfast._core.indicators.stochastic import stochastic
from dhanfast._core.indicators.supertrend import supertrend
from dhanfast._core.indicators.vwap import rolling_vwap, vwap
from dhanfast._core.indicators.wma import wma
from dhanfast.strategies import Market

from .probe import MINUTE, SESSION_MINUTES, columns_of, firsts, walk

COUNT = 700  # more than two blocks of a program, more than nine sessions


class Bars:
    """A walk as the batch forms want it."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows = rows
        self.open, self.high, self.low, self.close = (
            rows[name] / 100.0 for name in ("open", "high", "low", "close")
        )
        self.volume = rows["volume"].astype(float)
        self.first = firsts(len(rows))
        self.since_open = np.arange(len(rows)) % SESSION_MINUTES * MINUTE


BARS = Bars(walk(COUNT, 11))
Oracle = Callable[[Bars], Any]

# Market method -> how a strategy declares it, and the batch form of the same.
STUDIES: dict[str, tuple[Callable[[Market], Any], Oracle]] = {
    "sma": (lambda m: m.sma(20), lambda b: sma(b.close, 20)),
    "mean": (lambda m: m.mean(7, m.open), lambda b: sma(b.open, 7)),
    "ema": (lambda m: m.ema(9), lambda b: ema(b.close, 9)),
    "wma": (lambda m: m.wma(11), lambda b: wma(b.close, 11)),
    "slope": (lambda m: m.slope(14), lambda b: linreg_slope(b.close, 14)),
    "rsi": (lambda m: m.rsi(14), lambda b: rsi(b.close, 14)),
    "macd": (lambda m: m.macd(12, 26, 9), lambda b: macd(b.close, 12, 26, 9)),
    "roc": (lambda m: m.roc(10), lambda b: roc(b.close, 10)),
    "stochastic": (
        lambda m: m.stochastic(14, 3, 5),
        lambda b: stochastic(b.high, b.low, b.close, 14, 3, 5),
    ),
    "cci": (lambda m: m.cci(20), lambda b: cci(b.high, b.low, b.close, 20)),
    "obv": (lambda m: m.obv(), lambda b: obv(b.close, b.volume)),
    "std": (lambda m: m.std(20, ddof=1), lambda b: rolling_std(b.close, 20, 1)),
    "zscore": (lambda m: m.zscore(20), lambda b: zscore(b.close, 20)),
    "highest": (lambda m: m.highest(15), lambda b: rolling_max(b.high, 15)),
    "lowest": (lambda m: m.lowest(15), lambda b: rolling_min(b.low, 15)),
    "percentile": (
        lambda m: m.percentile(50, 90),
        lambda b: rolling_percentile(b.close, 50, 90.0),
    ),
    "atr": (lambda m: m.atr(14), lambda b: atr(b.high, b.low, b.close, 14)),
    "adx": (lambda m: m.adx(14), lambda b: adx(b.high, b.low, b.close, 14)),
    "bollinger": (lambda m: m.bollinger(20, 2.5), lambda b: bollinger(b.close, 20, 2.5, 2.5)),
    "keltner": (
        lambda m: m.keltner(20, 1.5, 10),
        lambda b: keltner(b.high, b.low, b.close, 20, 10, 1.5),
    ),
    "donchian": (lambda m: m.donchian(20), lambda b: donchian(b.high, b.low, 20)),
    "supertrend": (
        lambda m: m.supertrend(10, 3.0),
        lambda b: supertrend(b.high, b.low, b.close, 10, 3.0),
    ),
    "realised_volatility": (
        lambda m: m.realised_volatility(20, 94_500.0),
        lambda b: realised_volatility(b.close, 20, 94_500.0),
    ),
    "vwap": (
        lambda m: m.vwap(2.0),
        lambda b: _upper_first(vwap(b.high, b.low, b.close, b.volume, b.first, 2.0)),
    ),
    "rolling_vwap": (
        lambda m: m.rolling_vwap(100),
        lambda b: rolling_vwap(b.high, b.low, b.close, b.volume, 100, 1.0),
    ),
    "opening_range": (
        lambda m: m.opening_range(15),
        lambda b: opening_minutes(b.high, b.low, b.since_open, b.first, 15, 1),
    ),
    "session_mean": (lambda m: m.session_mean(), lambda b: session_mean(b)),
    "session_count": (
        lambda m: m.session_count(m.close > m.open),
        lambda b: running(b, (b.close > b.open).astype(float)),
    ),
    "pivots": (
        lambda m: m.pivots(),
        lambda b: _seven(pivots(b.high, b.low, b.close, b.first)),
    ),
}
# vix: tests/strategies/test_vix_series; scaled: tests/strategies/test_score; chain:
# tests/core/test_chainfeed
NOT_STUDIES = {"scaled", "typical", "constant", "between", "vix", "chain"}


def running(bars: Bars, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum since each session's first bar, added one by one."""
    starts = np.flatnonzero(bars.first)
    return np.concatenate([np.cumsum(part) for part in np.split(values, starts[1:])])


def session_mean(bars: Bars) -> NDArray[np.float64]:
    """The mean of the typical prices since each session's first bar."""
    place = np.arange(len(bars.rows)) % SESSION_MINUTES
    return running(bars, (bars.high + bars.low + bars.close) / 3.0) / (place + 1.0)


def _upper_first(lines: Any) -> Any:
    """The batch form gives (value, upper, lower), Market's bands (upper, middle, lower)."""
    return lines[1], lines[0], lines[2]


def _seven(levels: Any) -> Any:
    return (*levels[:4], *levels[5:8])


def _listed(found: Any) -> list[Any]:
    return list(found) if isinstance(found, tuple) else [found]


def test_every_series_of_market_is_listed_here() -> None:
    methods = {name for name, _ in inspect.getmembers(Market) if not name.startswith("_")}
    assert methods - NOT_STUDIES == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_series_equals_the_batch_form_to_the_bit(name: str) -> None:
    declare, oracle = STUDIES[name]
    got = columns_of(lambda m: _listed(declare(m)), BARS.rows)
    expected = _listed(oracle(BARS))
    assert len(got) == len(expected)
    for column, batch in zip(got, expected, strict=True):
        np.testing.assert_array_equal(column, batch)
        assert np.isfinite(column).any()


@pytest.mark.parametrize("piece", [1, 100])
def test_blocks_and_single_bars_give_the_same_bits(piece: int) -> None:
    def declare(m: Market) -> list[Any]:
        return [line for make, _ in STUDIES.values() for line in _listed(make(m))]

    whole = columns_of(declare, BARS.rows)
    for one, other in zip(whole, columns_of(declare, BARS.rows, piece), strict=True):
        assert one.tobytes() == other.tobytes()


OF = ("sma", "ema", "wma", "slope", "rsi", "roc", "zscore", "highest", "lowest")


def _of_something(m: Market, x: Any) -> list[Any]:
    lines = [getattr(m, name)(9, of=x) for name in OF]
    lines += [*m.macd(5, 9, 4, of=x), m.std(9, x), m.percentile(9, 30, x), *m.bollinger(9, of=x)]
    basic = [x + 1, x - 1, x * 2, x / 3, x < 50_000, x <= 1, x.equals(1), x & 1, x | 0, ~x, abs(x)]
    kept = [x.at_least(50_000), x.at_most(50_000), (x > 50_000).where(x, 0.0), x.shift(5)]
    crossing = [x.crosses_above(50_000), x.crosses_below(50_000)]
    return lines + basic + kept + crossing


def test_operations_run_row_by_row_give_the_bits_of_the_block() -> None:
    """A series that reads the position is evaluated one bar at a time, when that is known."""
    block = columns_of(lambda m: _of_something(m, m.close), BARS.rows)
    rows = columns_of(lambda m: _of_something(m, m.close + m.position), BARS.rows)  # always flat
    for one, other in zip(block, rows, strict=True):
        assert one.tobytes() == other.tobytes()


def _after(values: Any, warm: Any) -> Any:
    """A TA-Lib answer over the known part of a series, put back in its place."""
    out = np.full(len(warm), np.nan)
    known = ~np.isnan(warm)
    out[known] = values(warm[known])
    return out


CHAINED: dict[str, tuple[Callable[[Market], Any], Callable[[Bars], Any]]] = {
    "ema of rsi": (
        lambda m: m.ema(5, of=m.rsi(14)),
        lambda b: _after(lambda x: talib.EMA(x, 5), talib.RSI(b.close, 14)),
    ),
    "sma of ema of close": (
        lambda m: m.sma(8, of=m.ema(21)),
        lambda b: _after(lambda x: talib.SMA(x, 8), talib.EMA(b.close, 21)),
    ),
    "ema of the bar's range": (
        lambda m: m.ema(10, of=m.high - m.low),
        lambda b: talib.EMA(b.high - b.low, 10),
    ),
    "rsi of typical price": (
        lambda m: m.rsi(14, of=m.typical),
        lambda b: talib.RSI((b.high + b.low + b.close) / 3.0, 14),
    ),
    "highest of wma": (
        lambda m: m.highest(12, of=m.wma(5)),
        lambda b: _after(lambda x: talib.MAX(x, 12), talib.WMA(b.close, 5)),
    ),
    "std of roc": (
        lambda m: m.std(10, of=m.roc(3)),
        lambda b: _after(lambda x: talib.STDDEV(x, 10), talib.ROC(b.close, 3)),
    ),
    "ema of a shifted close": (
        lambda m: m.ema(5, of=m.close.shift(4)),
        lambda b: _after(
            lambda x: talib.EMA(x, 5), np.concatenate((np.full(4, np.nan), b.close[:-4]))
        ),
    ),
}


@pytest.mark.parametrize("name", CHAINED)
def test_chained_series_equals_talib_on_what_is_known(name: str) -> None:
    declare, oracle = CHAINED[name]
    (got,) = columns_of(lambda m: [declare(m)], BARS.rows)
    np.testing.assert_allclose(got, oracle(BARS), rtol=1e-9, atol=1e-7)
    assert np.isfinite(got[-100:]).all()


def test_a_hole_in_the_input_is_a_hole_in_the_output_and_nothing_more() -> None:
    """Bars without volume make the ratio unknown; the average goes on over the known ones."""
    ratio = BARS.close / np.where(BARS.volume == 0, np.nan, BARS.volume)
    known = ~np.isnan(ratio)
    expected = np.full(COUNT, np.nan)
    expected[known] = sma(ratio[known], 6)
    (got,) = columns_of(lambda m: [m.sma(6, of=m.close / m.volume)], BARS.rows)
    np.testing.assert_array_equal(got, expected)
    assert 0 < (~known).sum() < COUNT // 2


def test_session_vwap_of_an_index_is_unknown() -> None:
    got = columns_of(lambda m: list(m.vwap()), walk(100, 3, volume=False))
    assert all(np.isnan(column).all() for column in got)


def test_opening_range_counts_minutes_of_longer_bars() -> None:
    """Range of the first 15 minutes on 5-minute bars: known from the third bar on."""
    from dhanfast.strategies import Strategy

    from ..stand import make, sessions
    from .probe import stamped

    rows = walk(30, 5)
    rows["start_ns"] = stamped(150)["start_ns"][::5]
    seen: list[tuple[float, float]] = []

    class Seer(Strategy):
        def on_start(self, m: Market) -> None:
            self.range = m.opening_range(15)

        def on_bar(self, ctx: Any, bar: Any) -> None:
            seen.append((self.range.high.value, self.range.low.value))

    runner = Seer().runner(lambda at, text: None, 5 * MINUTE)
    kernel = make(runner, sessions(2, SESSION_MINUTES), interval_ns=5 * MINUTE)
    kernel.run(rows.view("u1"))
    for day in (0, 15):
        high, low = rows["high"][day : day + 3].max(), rows["low"][day : day + 3].min()
        assert np.isnan(seen[day]).all() and np.isnan(seen[day + 1]).all()
        assert seen[day + 2 : day + 15] == [(high / 100.0, low / 100.0)] * 13


def test_a_session_sum_counts_what_is_unknown_as_nothing() -> None:
    """In warm-up a mean of an indicator is low, not unknown: it says how much there was."""
    series, count = columns_of(
        lambda m: [m.session_mean(m.sma(10)), m.session_count(m.close > m.sma(10))], BARS.rows[:30]
    )
    known = np.nan_to_num(sma(BARS.close[:30], 10))
    np.testing.assert_allclose(series, np.cumsum(known) / np.arange(1, 31), rtol=1e-12)
    assert (count[:9] == 0).all()
    np.testing.assert_array_equal(
        count, np.cumsum((BARS.close[:30] > known) & (known > 0)).astype(float)
    )
