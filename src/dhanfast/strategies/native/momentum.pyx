"""Momentum through the Cython door: the same decisions as `momentum`, no Python in the loop.

Kept as the worked example of the Cython door and as the proof that the doors agree.
"""

cimport cython

from dhanfast._core.indicators.atr cimport AtrState, atr_init, atr_step
from dhanfast._core.indicators.ema cimport EmaState, ema_init, ema_step
from dhanfast._core.indicators.macd cimport MacdState, macd_init, macd_step
from dhanfast._core.indicators.rsi cimport RsiState, rsi_init, rsi_step
from dhanfast._core.strategy cimport Action, NativeStrategy, Signal, View
from dhanfast._core.types cimport Bar

from dhanfast.strategies.library.momentum import Momentum


@cython.final
cdef class MomentumCython(NativeStrategy):
    """EMA, RSI and MACD agree; decided natively on every bar."""

    cdef EmaState ema
    cdef RsiState rsi
    cdef MacdState macd
    cdef AtrState atr
    cdef double rsi_long, rsi_short, stop_atr, target_atr
    cdef object _settings

    def __init__(self, **values):
        made = Momentum(**values)
        self._settings = made.settings()
        ema_init(&self.ema, made.ema, NULL)
        rsi_init(&self.rsi, made.rsi, NULL)
        macd_init(&self.macd, made.macd_fast, made.macd_slow, made.macd_signal, NULL)
        atr_init(&self.atr, made.atr, NULL)
        self.rsi_long, self.rsi_short = made.rsi_long, made.rsi_short
        self.stop_atr, self.target_atr = made.stop_atr, made.target_atr

    @classmethod
    def params(cls):
        """{name: Param}: those of `momentum`."""
        return Momentum.params()

    def settings(self):
        """{name: value in force}."""
        return dict(self._settings)

    cdef void on_bar(self, const Bar *bar, const View *view, Signal *signal) noexcept nogil:
        cdef double close = bar.close / 100.0
        cdef double ema = ema_step(&self.ema, close)
        cdef double rsi = rsi_step(&self.rsi, close)
        cdef double atr = atr_step(&self.atr, bar.high / 100.0, bar.low / 100.0, close)
        macd_step(&self.macd, close)
        # `&`, not `and`: one branch to mispredict instead of six.
        cdef bint up = (close > ema) & (rsi > self.rsi_long) & (self.macd.hist > 0)
        cdef bint down = (close < ema) & (rsi < self.rsi_short) & (self.macd.hist < 0)
        if not up | down:
            return
        signal.action = Action.GO_LONG if up else Action.GO_SHORT
        signal.stop, signal.target = self.stop_atr * atr, self.target_atr * atr
