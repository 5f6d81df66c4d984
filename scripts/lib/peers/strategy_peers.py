"""The momentum strategy in vectorbt, backtesting.py and backtrader, as close as each allows.

Same in all: long when close > EMA(9), RSI(14) > 60 and MACD(12, 26, 9) histogram > 0, short on the
mirror image, one position at a time, stop 1.5 ATR(14) and target 3 ATR(14), 25 units.
What differs is beside each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Subject = tuple[Callable[[], Any], int]
QTY = 25
FEE = 0.0003  # one flat rate instead of seven charges by date
DAY = 375


def frame(folder: Path, count: int, names: tuple[str, ...]) -> Any:
    """The first `count` bars as a pandas frame with a minute index."""
    import pandas

    table = np.load(folder / "ohlcv.npy")[:, :count]
    index = pandas.to_datetime(np.load(folder / "bars.npy", mmap_mode="r")["start_ns"][:count])
    return pandas.DataFrame(dict(zip(names, table, strict=True)), index=index)


def of_day(index: Any) -> tuple[Any, Any]:
    """Bars on which an entry may be sent, and those on or after the square-off, IST."""
    minute = (index.hour * 60 + index.minute + 330) % 1440
    return np.asarray((minute >= 560) & (minute < 900)), np.asarray(minute >= 914)


def vectorbt(folder: Path) -> Subject:
    """Indicators of TA-Lib's kind by vectorbt's own numba, then from_signals.

    Differs: signals are shifted a bar to fill at the next open; stops are fractions of the entry
    price; no risk gate, no lots or margin by date, one fee rate; equity on every bar as ours.
    """
    import pandas
    import vectorbt as library

    bars = frame(folder, 10**9, ("open", "high", "low", "close", "volume"))
    fields = {name: bars[name] for name in ("open", "high", "low", "close")}
    entry_time, leave_time = of_day(bars.index)

    def call() -> int:
        close = fields["close"]
        ema = library.MA.run(close, 9, ewm=True).ma.to_numpy()
        rsi = library.RSI.run(close, 14, ewm=True).rsi.to_numpy()
        macd = library.MACD.run(close, 12, 26, 9, macd_ewm=True, signal_ewm=True)
        hist = (macd.macd - macd.signal).to_numpy()
        atr = library.ATR.run(fields["high"], fields["low"], close, 14, ewm=True).atr.to_numpy()
        price = close.to_numpy()
        up = (price > ema) & (rsi > 60) & (hist > 0) & entry_time
        down = (price < ema) & (rsi < 40) & (hist < 0) & entry_time
        later = [
            pandas.Series(np.concatenate(([False], side[:-1])), close.index) for side in (up, down)
        ]
        share = pandas.Series(np.concatenate(([np.nan], (atr / price)[:-1])), close.index)
        leave = pandas.Series(leave_time, close.index)
        made = library.Portfolio.from_signals(
            **fields,
            price=fields["open"],
            entries=later[0],
            short_entries=later[1],
            exits=leave,
            short_exits=leave,
            sl_stop=1.5 * share,
            tp_stop=3.0 * share,
            size=QTY,
            init_cash=1e9,
            fees=FEE,
            slippage=0.00001,
            upon_opposite_entry="ignore",
            freq="1min",
        )
        made.value()
        return int(made.trades.count())

    return call, len(bars)


def indicators(bars: Any) -> dict[str, Any]:
    """The five columns by TA-Lib, for peers that only need to be given them."""
    import talib

    close = bars["Close"].to_numpy()
    return {
        "ema": talib.EMA(close, 9),
        "rsi": talib.RSI(close, 14),
        "hist": talib.MACD(close, 12, 26, 9)[2],
        "atr": talib.ATR(bars["High"].to_numpy(), bars["Low"].to_numpy(), close, 14),
    }


def backtesting(folder: Path) -> Subject:
    """Differs: fractional cash accounting, one fee rate, no risk gate; fewer bars."""
    import backtesting as library

    count = 100 * DAY
    bars = frame(folder, count, ("Open", "High", "Low", "Close", "Volume"))
    entry_time, leave_time = of_day(bars.index)

    class Momentum(library.Strategy):  # type: ignore[misc]
        """The rules above on every bar."""

        def init(self) -> None:
            """Declare the columns."""
            for name, column in indicators(bars).items():
                setattr(self, name, self.I(lambda column=column: column, name=name))

        def next(self) -> None:
            """One bar."""
            at = len(self.data) - 1
            if self.position:
                if leave_time[at]:
                    self.position.close()
                return
            if not entry_time[at]:
                return
            close, atr = self.data.Close[-1], self.atr[-1]
            if close > self.ema[-1] and self.rsi[-1] > 60 and self.hist[-1] > 0:
                self.buy(size=QTY, sl=close - 1.5 * atr, tp=close + 3 * atr)
            elif close < self.ema[-1] and self.rsi[-1] < 40 and self.hist[-1] < 0:
                self.sell(size=QTY, sl=close + 1.5 * atr, tp=close - 3 * atr)

    def call() -> int:
        made = library.Backtest(bars, Momentum, cash=1e9, commission=FEE, exclusive_orders=False)
        return int(made.run()["# Trades"])

    return call, count


def backtrader(folder: Path) -> Subject:
    """Differs: brackets from the signal's close, one fee rate, no risk gate; fewer bars."""
    import backtrader as library

    count = 20 * DAY
    bars = frame(folder, count, ("open", "high", "low", "close", "volume"))
    entry_time, leave_time = of_day(bars.index)

    class Momentum(library.Strategy):  # type: ignore[misc]
        """The rules above on every bar."""

        def __init__(self) -> None:
            self.ema = library.ind.EMA(period=9)
            self.rsi = library.ind.RSI(period=14)
            self.macd = library.ind.MACDHisto(period_me1=12, period_me2=26, period_signal=9)
            self.atr = library.ind.ATR(period=14)
            self.trades = 0

        def notify_trade(self, trade: Any) -> None:
            """Count what is closed."""
            self.trades += trade.isclosed

        def next(self) -> None:
            """One bar."""
            at = len(self) - 1
            if self.position:
                if leave_time[at]:
                    self.close()
                return
            if not entry_time[at]:
                return
            close, atr = self.data.close[0], self.atr[0]
            if close > self.ema[0] and self.rsi[0] > 60 and self.macd.histo[0] > 0:
                self.buy_bracket(
                    size=QTY,
                    exectype=library.Order.Market,
                    stopprice=close - 1.5 * atr,
                    limitprice=close + 3 * atr,
                )
            elif close < self.ema[0] and self.rsi[0] < 40 and self.macd.histo[0] < 0:
                self.sell_bracket(
                    size=QTY,
                    exectype=library.Order.Market,
                    stopprice=close + 1.5 * atr,
                    limitprice=close - 3 * atr,
                )

    def call() -> int:
        made = library.Cerebro()
        made.adddata(library.feeds.PandasData(dataname=bars))
        made.addstrategy(Momentum)
        made.broker.setcash(1e9)
        made.broker.setcommission(commission=FEE)
        return int(made.run()[0].trades)

    return call, count


SUBJECTS = {"vectorbt": vectorbt, "backtesting": backtesting, "backtrader": backtrader}
