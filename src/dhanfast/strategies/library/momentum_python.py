"""Momentum through the Python door: the same decisions as `momentum`, written as callbacks.

Kept as the worked example of the Python door and as the proof that the doors agree.
"""

from dhanfast.strategies.base import BarView, Context, Market, Strategy
from dhanfast.strategies.library.momentum import Momentum


class MomentumPython(Strategy):
    """EMA, RSI and MACD agree; decided in Python on every bar."""

    ema: int = Momentum.param_like("ema")
    rsi: int = Momentum.param_like("rsi")
    rsi_long: float = Momentum.param_like("rsi_long")
    rsi_short: float = Momentum.param_like("rsi_short")
    macd_fast: int = Momentum.param_like("macd_fast")
    macd_slow: int = Momentum.param_like("macd_slow")
    macd_signal: int = Momentum.param_like("macd_signal")
    atr: int = Momentum.param_like("atr")
    stop_atr: float = Momentum.param_like("stop_atr")
    target_atr: float = Momentum.param_like("target_atr")

    def on_start(self, m: Market) -> None:
        """Declare the four indicators."""
        self.ema_line, self.rsi_line, self.atr_line = (
            m.ema(self.ema),
            m.rsi(self.rsi),
            m.atr(self.atr),
        )
        self.hist = m.macd(self.macd_fast, self.macd_slow, self.macd_signal).hist

    def on_bar(self, ctx: Context, bar: BarView) -> None:
        """Enter when all three agree; stop and target do the rest."""
        close, ema = bar.close, self.ema_line.value
        rsi, hist = self.rsi_line.value, self.hist.value
        if close > ema and rsi > self.rsi_long and hist > 0:
            atr = self.atr_line.value
            ctx.buy(stop=self.stop_atr * atr, target=self.target_atr * atr)
        elif close < ema and rsi < self.rsi_short and hist < 0:
            atr = self.atr_line.value
            ctx.sell(stop=self.stop_atr * atr, target=self.target_atr * atr)
