"""v1: the rule that version 1 of the bot really ran: EMA, VWAP and RSI.

Its documents spoke of EMA + RSI + MACD (that is `momentum` here); its code had no MACD. Differences
that remain, on purpose: decisions are on the index, trades in its future with real charges, and a
position needs a fill. The VWAP is version 1's own: a rolling one over up to 100 bars, not anchored
at 09:15, and on an index, which has no volume, no more than the mean of typical prices. EMA and RSI
remember all bars; version 1 began both anew in the 100 candles it kept, which from the 101st candle
on moved its RSI by tenths of a point and its EMA by nothing that shows.
Hypothesis: price above both averages with an RSI above 60 goes on rising for 40 points before it
falls by 20.
Expected regime: strong intraday trends; levels, not crossings, so it re-enters at once.
"""

from dhanfast.strategies.rules import Market, Rules, RuleStrategy, param


class V1(RuleStrategy):
    """Long above EMA and rolling VWAP with RSI > 60; short below both with RSI < 40."""

    ema = param(9, low=2, high=200, search=(5, 30, 1), doc="EMA_PERIOD, bars")
    rsi = param(14, low=2, high=100, search=(7, 28, 1), doc="RSI_PERIOD, bars")
    rsi_long = param(
        60.0, low=0, high=100, search=(50, 75, 2.5),
        doc="RSI_OVERBOUGHT: long needs an RSI above this",
    )  # fmt: skip
    rsi_short = param(
        40.0, low=0, high=100, search=(25, 50, 2.5),
        doc="RSI_OVERSOLD: short needs an RSI below this",
    )  # fmt: skip
    vwap = param(100, low=2, high=1000, search=(20, 200, 20), doc="bars of the rolling VWAP")
    warmup = param(15, low=1, high=1000, doc="MIN_CANDLES_FOR_INDICATORS: bars before a decision")
    stop = param(
        20.0, low=0, high=10_000, search=(10, 100, 10),
        doc="STOP_LOSS_POINTS from the fill; 0 = none",
    )  # fmt: skip
    target = param(
        40.0, low=0, high=10_000, search=(20, 200, 20),
        doc="TARGET_POINTS from the fill; 0 = none",
    )  # fmt: skip

    def rules(self, m: Market) -> Rules:
        """The level rule of version 1."""
        ema, rsi, vwap = m.ema(self.ema), m.rsi(self.rsi), m.rolling_vwap(self.vwap)
        # A 1 since the first bar, `warmup` - 1 bars ago: known once so many bars have been seen.
        seen = m.constant(1.0) if self.warmup == 1 else (m.close > 0).shift(self.warmup - 1)
        return Rules(
            long=(m.close > ema) & (m.close > vwap) & (rsi > self.rsi_long) & seen,
            short=(m.close < ema) & (m.close < vwap) & (rsi < self.rsi_short) & seen,
            stop=self.stop,
            target=self.target,
        )
