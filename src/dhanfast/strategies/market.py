"""Market: every series a strategy can declare, in one place.

Prices are in rupees. A series is NaN until its indicator is warm; the reference page on indicators
gives the first bar with a value, the seeding and the source of each.
"""

from datetime import time
from math import isfinite
from numbers import Real
from typing import NamedTuple

from dhanfast._core.rules.graph import Expr, Graph
from dhanfast._core.rules.program import Field
from dhanfast.errors import UsageError
from dhanfast.strategies.chain_series import ChainSeries

PERIOD_MAX = 100_000


class Macd(NamedTuple):
    """A MACD: line = fast - slow, signal = EMA of line, hist = line - signal."""

    line: Expr
    signal: Expr
    hist: Expr


class Adx(NamedTuple):
    """Wilder's directional movement, all in 0..100."""

    adx: Expr
    plus_di: Expr
    minus_di: Expr
    dx: Expr


class Bands(NamedTuple):
    """A channel around a middle line, rupees."""

    upper: Expr
    middle: Expr
    lower: Expr


class Stochastic(NamedTuple):
    """%K (smoothed) and %D, 0..100."""

    k: Expr
    d: Expr


class Supertrend(NamedTuple):
    """The line in rupees and its direction: 1 in an up-trend, -1 in a down-trend."""

    line: Expr
    direction: Expr


class Range(NamedTuple):
    """High and low of a stretch of time, rupees."""

    high: Expr
    low: Expr


class Pivots(NamedTuple):
    """Floor pivots of the session before, rupees."""

    p: Expr
    r1: Expr
    r2: Expr
    r3: Expr
    s1: Expr
    s2: Expr
    s3: Expr


def _period(name: str, value: int, low: int = 1) -> int:
    whole = isinstance(value, Real) and not isinstance(value, bool) and low <= value <= PERIOD_MAX
    if not whole or int(value) != value:
        raise UsageError(f"{name} must be a whole number in {low}..{PERIOD_MAX}, was {value!r}")
    return int(value)


def _second_of_day(name: str, text: str) -> int:
    try:
        moment = time.fromisoformat(text)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is not None:
        raise UsageError(f"between: {name} must be a time of day HH:MM in IST, was {text!r}")
    return 3600 * moment.hour + 60 * moment.minute + moment.second


def _factor(name: str, value: float) -> float:
    if not 0 < value <= 1000:
        raise UsageError(f"{name} must be in 0..1000 and above 0, was {value}")
    return float(value)


class Market:
    """Declares series over the bars of a run. Periods are in bars of the run's timeframe.

    Args:
        graph: where the expressions are written; made by the engine.
        interval_ns: length of the run's bars, nanoseconds.
    """

    def __init__(self, graph: Graph, interval_ns: int = 60_000_000_000) -> None:
        self._graph, self._interval_s = graph, interval_ns / 1e9
        self.open, self.high = graph.field(Field.OPEN), graph.field(Field.HIGH)
        self.low, self.close = graph.field(Field.LOW), graph.field(Field.CLOSE)
        self.volume, self.oi = graph.field(Field.VOLUME), graph.field(Field.OI)
        self.session_start = graph.field(Field.SESSION_START)
        self.bar_of_session = graph.field(Field.BAR_OF_SESSION)
        self.weekday = graph.field(Field.WEEKDAY)
        self.position = graph.field(Field.POSITION)
        self.entry_price = graph.field(Field.ENTRY_PRICE)
        self.bars_held = graph.field(Field.BARS_HELD)

    # ---- arithmetic over bars ------------------------------------------------------------------

    @property
    def typical(self) -> Expr:
        """(high + low + close) / 3."""
        return (self.high + self.low + self.close) / 3.0

    def scaled(self, series: Expr, low: float, high: float) -> Expr:
        """-1 at `low`, 1 at `high`, straight between them and cut to -1..1: a factor of a score.

        Raises:
            UsageError: the two are the same or not finite.
        """
        if not (isfinite(low) and isfinite(high)) or low == high:
            raise UsageError(f"scaled: low and high must differ, were {low} and {high}")
        middle, half = (low + high) / 2.0, (high - low) / 2.0
        return ((series - middle) / half).at_least(-1.0).at_most(1.0)

    def constant(self, value: float) -> Expr:
        """A series with the same value on every bar."""
        return self._graph.constant(value)

    def between(self, start: str, end: str) -> Expr:
        """1 on bars that start in [start, end), times of day in IST as HH:MM.

        Raises:
            UsageError: not a time of day, or start not before end.
        """
        second = self._graph.field(Field.SECOND)
        low, high = _second_of_day("start", start), _second_of_day("end", end)
        if low >= high:
            raise UsageError(f"between: start must be before end, was {start} and {end}")
        return (second >= low) & (second < high)

    def _study(
        self,
        name: str,
        inputs: tuple[Expr | float, ...],
        numbers: tuple[float, ...],
        outputs: int = 1,
    ) -> tuple[Expr, ...]:
        return self._graph.add(name, inputs, numbers, outputs)

    # ---- averages and lines ---------------------------------------------------------------------

    def sma(self, period: int, of: Expr | None = None) -> Expr:
        """Simple moving average."""
        return self._study("sma", (self._of(of),), (_period("period", period),))[0]

    def ema(self, period: int, of: Expr | None = None) -> Expr:
        """Exponential moving average, seeded with the mean of the first `period` values."""
        return self._study("ema", (self._of(of),), (_period("period", period),))[0]

    def wma(self, period: int, of: Expr | None = None) -> Expr:
        """Linearly weighted moving average."""
        return self._study("wma", (self._of(of),), (_period("period", period),))[0]

    def slope(self, period: int, of: Expr | None = None) -> Expr:
        """Slope of the least-squares line through the last `period` values, per bar."""
        return self._study("slope", (self._of(of),), (_period("period", period, 2),))[0]

    def _of(self, of: Expr | None) -> Expr:
        return self.close if of is None else of

    # ---- momentum -------------------------------------------------------------------------------

    def rsi(self, period: int = 14, of: Expr | None = None) -> Expr:
        """Wilder's relative strength index, 0..100."""
        return self._study("rsi", (self._of(of),), (_period("period", period, 2),))[0]

    def macd(self, fast: int = 12, slow: int = 26, signal: int = 9, of: Expr | None = None) -> Macd:
        """Moving average convergence divergence.

        Raises:
            UsageError: fast is not below slow.
        """
        if fast >= slow:
            raise UsageError(f"macd: fast must be below slow, was {fast} and {slow}")
        numbers = (_period("fast", fast, 2), _period("slow", slow, 2), _period("signal", signal))
        return Macd(*self._study("macd", (self._of(of),), numbers, 3))

    def roc(self, period: int = 10, of: Expr | None = None) -> Expr:
        """Rate of change in percent over `period` bars."""
        return self._study("roc", (self._of(of),), (_period("period", period),))[0]

    def stochastic(self, period: int = 14, smooth: int = 3, signal: int = 3) -> Stochastic:
        """Slow stochastic oscillator of high, low and close."""
        numbers = (_period("period", period), _period("smooth", smooth), _period("signal", signal))
        return Stochastic(*self._study("stochastic", (self.high, self.low, self.close), numbers, 2))

    def cci(self, period: int = 20) -> Expr:
        """Commodity channel index of the typical price."""
        bars = (self.high, self.low, self.close)
        return self._study("cci", bars, (_period("period", period, 2),))[0]

    def obv(self) -> Expr:
        """On-balance volume, units; a run over bars without volume is refused."""
        self._graph.needs.add("volume")
        return self._study("obv", (self.close, self.volume), ())[0]

    # ---- rolling statistics --------------------------------------------------------------------

    def mean(self, period: int, of: Expr | None = None) -> Expr:
        """Mean of the last `period` values; the same as `sma`."""
        return self.sma(period, of)

    def std(self, period: int, of: Expr | None = None, *, ddof: int = 0) -> Expr:
        """Standard deviation of the last `period` values, ddof 0 (population) or 1.

        Raises:
            UsageError: another ddof.
        """
        if ddof not in (0, 1):
            raise UsageError(f"ddof must be 0 or 1, was {ddof}")
        return self._study("std", (self._of(of),), (_period("period", period, 2), ddof))[0]

    def zscore(self, period: int, of: Expr | None = None) -> Expr:
        """(value - mean) / population standard deviation over the last `period` values."""
        return self._study("zscore", (self._of(of),), (_period("period", period, 2),))[0]

    def highest(self, period: int, of: Expr | None = None) -> Expr:
        """Largest of the last `period` values, this bar included; of the highs by default."""
        source = self.high if of is None else of
        return self._study("highest", (source,), (_period("period", period),))[0]

    def lowest(self, period: int, of: Expr | None = None) -> Expr:
        """Smallest of the last `period` values, this bar included; of the lows by default."""
        source = self.low if of is None else of
        return self._study("lowest", (source,), (_period("period", period),))[0]

    def percentile(self, period: int, percent: float, of: Expr | None = None) -> Expr:
        """The given percentile (0..100, linear between ranks) of the last `period` values.

        Raises:
            UsageError: percent outside 0..100.
        """
        if not 0 <= percent <= 100:
            raise UsageError(f"percent must be in 0..100, was {percent}")
        numbers = (_period("period", period), float(percent))
        return self._study("percentile", (self._of(of),), numbers)[0]

    # ---- volatility and channels ---------------------------------------------------------------

    def atr(self, period: int = 14) -> Expr:
        """Wilder's average true range, rupees."""
        bars = (self.high, self.low, self.close)
        return self._study("atr", bars, (_period("period", period),))[0]

    def adx(self, period: int = 14) -> Adx:
        """Wilder's average directional index with +DI, -DI and DX."""
        bars = (self.high, self.low, self.close)
        return Adx(*self._study("adx", bars, (_period("period", period, 2),), 4))

    def bollinger(self, period: int = 20, width: float = 2.0, of: Expr | None = None) -> Bands:
        """Bollinger bands: mean and `width` population standard deviations either side."""
        numbers = (_period("period", period, 2), _factor("width", width))
        return Bands(*self._study("bollinger", (self._of(of),), numbers, 3))

    def keltner(self, period: int = 20, width: float = 2.0, atr: int = 10) -> Bands:
        """Keltner channel: EMA of the close and `width` ATRs either side."""
        bars = (self.high, self.low, self.close)
        numbers = (_period("period", period), _period("atr", atr), _factor("width", width))
        return Bands(*self._study("keltner", bars, numbers, 3))

    def donchian(self, period: int = 20) -> Bands:
        """Donchian channel: highest high, lowest low and their mean over `period` bars."""
        return Bands(
            *self._study("donchian", (self.high, self.low), (_period("period", period),), 3)
        )

    def supertrend(self, period: int = 10, width: float = 3.0) -> Supertrend:
        """Supertrend line and direction."""
        bars = (self.high, self.low, self.close)
        numbers = (_period("period", period), _factor("width", width))
        return Supertrend(*self._study("supertrend", bars, numbers, 2))

    def realised_volatility(self, period: int = 20, bars_a_year: float = 252 * 375) -> Expr:
        """Annualised standard deviation of close-to-close log returns, a fraction."""
        numbers = (_period("period", period, 2), _factor_large("bars_a_year", bars_a_year))
        return self._study("realised_volatility", (self.close,), numbers)[0]

    # ---- within the session --------------------------------------------------------------------

    def vwap(self, width: float = 2.0) -> Bands:
        """Session volume-weighted average price with bands `width` deviations away.

        An index has no volume: a run over bars without any is refused. Use a future's bars, or
        `session_mean`, which says what it is.
        """
        self._graph.needs.add("volume")
        inputs = (self.high, self.low, self.close, self.volume, self.session_start)
        return Bands(*self._study("vwap", inputs, (_factor("width", width),), 3))

    def session_mean(self, of: Expr | None = None) -> Expr:
        """Mean since the session's first bar, this one included; of the typical price by default.

        The time-weighted average price: every bar weighs the same. Bars on which the series is
        unknown add nothing and are counted.
        """
        source = self.typical if of is None else of
        total = self._study("session_sum", (source, self.session_start), ())[0]
        return total / (self.bar_of_session + 1.0)

    def session_count(self, condition: Expr) -> Expr:
        """On how many bars of the session so far, this one included, the condition was true."""
        true = condition.where(1.0, 0.0)
        return self._study("session_sum", (true, self.session_start), ())[0]

    @property
    def vix(self) -> Expr:
        """India VIX in points, as it is known at the bar's end; NaN before it is known.

        A daily close counts from the next day on. A run tells it when `risk.guards.vix.told` is
        set, and is refused when it is not.
        """
        self._graph.needs.add("vix")
        return self._graph.field(Field.VIX)

    @property
    def chain(self) -> ChainSeries:
        """Figures of the option chain, as they are known at the bar's end: `m.chain.pcr`.

        NaN before the first, and when the last is older than the run's `chain.max_age`. A run
        without a chain is refused.
        """
        return ChainSeries(self._graph)

    def rolling_vwap(self, period: int = 100) -> Expr:
        """Volume-weighted typical price of the last (up to) `period` bars, from the first bar on.

        Not anchored to the session. Bars without volume weigh 1 each, so on an index it is a plain
        mean of typical prices: what version 1 of the bot called VWAP.
        """
        inputs = (self.high, self.low, self.close, self.volume)
        return self._study("rolling_vwap", inputs, (_period("period", period),))[0]

    def opening_range(self, minutes: int = 15) -> Range:
        """High and low of a session's first `minutes`, from its first bar; NaN before."""
        second = self._graph.field(Field.SECOND)
        inputs = (self.high, self.low, second, self.session_start)
        numbers = (60 * _period("minutes", minutes), self._interval_s)
        return Range(*self._study("opening_range", inputs, numbers, 2))

    def pivots(self) -> Pivots:
        """Floor pivots from high, low and close of the session before; NaN in the first session."""
        inputs = (self.high, self.low, self.close, self.session_start)
        return Pivots(*self._study("pivots", inputs, (), 7))


def _factor_large(name: str, value: float) -> float:
    if not 0 < value <= 1e9:
        raise UsageError(f"{name} must be above 0, was {value}")
    return float(value)
