"""Momentum: EMA, RSI and MACD agree on a direction.

Hypothesis: when price, strength and trend of the last minutes point the same way, the move goes on
long enough to pay for the costs of a trade with a target twice as far as its stop.
Expected regime: trending sessions; it pays in charges for every false start of a quiet one.
"""

from dhanfast.strategies.rules import Market, Rules, RuleStrategy, param


class Momentum(RuleStrategy):
    """Long above the EMA with RSI > 60 and a rising MACD histogram; short on the mirror image."""

    ema = param(9, low=2, high=200, search=(5, 50, 5), doc="period of the moving average, bars")
    rsi = param(14, low=2, high=100, doc="period of the RSI, bars")
    rsi_long = param(60.0, low=0, high=100, search=(55, 75, 5), doc="long needs an RSI above this")
    rsi_short = param(
        40.0, low=0, high=100, search=(25, 45, 5), doc="short needs an RSI below this"
    )
    macd_fast = param(12, low=2, high=100, doc="fast period of the MACD, bars")
    macd_slow = param(26, low=3, high=200, doc="slow period of the MACD, bars")
    macd_signal = param(9, low=1, high=100, doc="period of the MACD's signal line, bars")
    atr = param(14, low=1, high=100, doc="period of the ATR that sizes stop and target, bars")
    stop_atr = param(1.5, low=0, high=20, search=(1, 3, 0.5), doc="stop distance in ATRs; 0 = none")
    target_atr = param(
        3.0, low=0, high=40, search=(2, 6, 1), doc="target distance in ATRs; 0 = none"
    )

    def rules(self, m: Market) -> Rules:
        """The three conditions as one rule a side."""
        ema, rsi, atr = m.ema(self.ema), m.rsi(self.rsi), m.atr(self.atr)
        macd = m.macd(self.macd_fast, self.macd_slow, self.macd_signal)
        return Rules(
            long=(m.close > ema) & (rsi > self.rsi_long) & (macd.hist > 0),
            short=(m.close < ema) & (rsi < self.rsi_short) & (macd.hist < 0),
            stop=self.stop_atr * atr,
            target=self.target_atr * atr,
        )
