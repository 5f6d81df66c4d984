"""nautilus_trader, in an environment of its own: it needs an older pandas than vectorbt."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.common.component import TestClock
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.data.aggregation import TimeBarAggregator
from nautilus_trader.indicators.averages import ExponentialMovingAverage, MovingAverageType
from nautilus_trader.indicators.momentum import RelativeStrengthIndex
from nautilus_trader.indicators.trend import MovingAverageConvergenceDivergence
from nautilus_trader.indicators.volatility import AverageTrueRange, BollingerBands
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import (
    AccountType,
    AggressorSide,
    OmsType,
    OrderSide,
    OrderType,
    TimeInForce,
)
from nautilus_trader.model.identifiers import TradeId, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy

Subject = tuple[Callable[[], Any], int]
Prepare = Callable[[Path], Subject]
MINUTE = 60_000_000_000
BARS = 20 * 375
WILDER = MovingAverageType.WILDER


class MomentumConfig(StrategyConfig, frozen=True):  # type: ignore[call-arg,misc]
    """What the strategy trades."""

    bar_type: BarType


class Momentum(Strategy):  # type: ignore[misc]
    """EMA, RSI and MACD agree; market entry with stop and target as a bracket."""

    def __init__(self, config: MomentumConfig) -> None:
        super().__init__(config)
        self.ema = ExponentialMovingAverage(9)
        self.rsi = RelativeStrengthIndex(14, WILDER)
        self.macd = MovingAverageConvergenceDivergence(12, 26, MovingAverageType.EXPONENTIAL)
        self.trail = ExponentialMovingAverage(9)
        self.atr = AverageTrueRange(14, WILDER)

    def on_start(self) -> None:
        """Subscribe; the indicators are fed by the engine."""
        self.instrument = self.cache.instrument(self.config.bar_type.instrument_id)
        for study in (self.ema, self.rsi, self.macd, self.atr):
            self.register_indicator_for_bars(self.config.bar_type, study)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar) -> None:
        """One bar."""
        self.trail.update_raw(self.macd.value)
        name = self.config.bar_type.instrument_id
        minute = (bar.ts_event // MINUTE + 330) % 1440
        if not self.portfolio.is_flat(name):
            if minute >= 914:
                self.cancel_all_orders(name)
                self.close_all_positions(name)
            return
        close, hist = bar.close.as_double(), self.macd.value - self.trail.value
        if not 560 <= minute < 900 or not self.rsi.initialized:
            return
        if close > self.ema.value and self.rsi.value > 0.6 and hist > 0:
            self.enter(OrderSide.BUY, close, 1)
        elif close < self.ema.value and self.rsi.value < 0.4 and hist < 0:
            self.enter(OrderSide.SELL, close, -1)

    def enter(self, side: OrderSide, close: float, sign: int) -> None:
        """Market order with its bracket."""
        make, atr = self.instrument.make_price, self.atr.value
        self.submit_order_list(
            self.order_factory.bracket(
                instrument_id=self.config.bar_type.instrument_id,
                order_side=side,
                quantity=self.instrument.make_qty(25),
                entry_order_type=OrderType.MARKET,
                sl_trigger_price=make(close - sign * 1.5 * atr),
                tp_price=make(close + sign * 3 * atr),
                time_in_force=TimeInForce.GTC,
                tp_post_only=False,
            )
        )


def strategy(folder: Path) -> Subject:
    """Differs: fills inside the bar at once, fees of its equity model, its own risk engine on."""
    table = np.load(folder / "ohlcv.npy", mmap_mode="r")[:, :BARS]
    stamps = np.load(folder / "bars.npy", mmap_mode="r")["start_ns"][:BARS] + MINUTE
    instrument = TestInstrumentProvider.equity("BANKNIFTY", "SIM")
    bar_type = BarType.from_str("BANKNIFTY.SIM-1-MINUTE-LAST-EXTERNAL")
    bars = [
        Bar(bar_type, Price(o, 2), Price(h, 2), Price(lo, 2), Price(c, 2), Quantity(v, 0), at, at)
        for o, h, lo, c, v, at in zip(*table.tolist(), stamps.tolist(), strict=True)
    ]
    closed: list[int] = []

    def build() -> BacktestEngine:
        quiet = LoggingConfig(bypass_logging=True)
        engine = BacktestEngine(BacktestEngineConfig(logging=quiet))
        engine.add_venue(
            Venue("SIM"),
            OmsType.NETTING,
            AccountType.MARGIN,
            [Money(1_000_000_000, USD)],
            base_currency=USD,
            default_leverage=Decimal(10),
        )
        engine.add_instrument(instrument)
        engine.add_data(bars)
        engine.add_strategy(Momentum(MomentumConfig(bar_type=bar_type)))
        return engine

    def call() -> int:
        engine = build()
        engine.run()
        closed.append(len(engine.cache.orders_closed()))
        engine.dispose()
        return closed[-1]

    return call, BARS


def scalar(make: Callable[[], Any], *rows: int) -> Prepare:
    """One update_raw after another from a Python loop."""

    def prepare(folder: Path) -> Subject:
        table = np.load(folder / "ohlcv.npy", mmap_mode="r")
        series = [table[row][:100_000].tolist() for row in rows]
        update = make().update_raw

        def one() -> None:
            for sample in series[0]:
                update(sample)

        def three() -> None:
            for high, low, close in zip(*series, strict=True):
                update(high, low, close)

        return (one if len(rows) == 1 else three), 100_000

    return prepare


def bars(folder: Path) -> Subject:
    """Trade ticks through its aggregator, with the timers its clock fires."""
    count = 200_000
    ticks = np.load(folder / "ticks.npy")[:count]
    instrument = TestInstrumentProvider.equity("BANKNIFTY", "SIM")
    bar_type = BarType.from_str("BANKNIFTY.SIM-1-MINUTE-LAST-INTERNAL")
    trade = TradeId("1")
    made = [
        TradeTick(
            instrument.id,
            Price(price / 100.0, 2),
            Quantity(qty, 0),
            AggressorSide.BUYER,
            trade,
            at,
            at,
        )
        for price, qty, at in zip(
            ticks["price"].tolist(), ticks["qty"].tolist(), ticks["exch_ns"].tolist(), strict=True
        )
    ]
    first = int(ticks["exch_ns"][0])

    def call() -> int:
        clock, done = TestClock(), []
        clock.set_time(first)
        aggregator = TimeBarAggregator(instrument, bar_type, done.append, clock)
        start = getattr(aggregator, "start_timer", None)
        if start is not None:
            start()
        timer = clock.timer_names[0]
        due = clock.next_time_ns(timer)
        for tick in made:
            if tick.ts_event >= due:
                for event in clock.advance_time(tick.ts_event):
                    event.handle()
                due = clock.next_time_ns(timer)
            aggregator.handle_trade_tick(tick)
        return len(done)

    return call, count


class MinuteTrader(Strategy):  # type: ignore[misc]
    """Handles every trade tick; with orders, buys on one minute and sells on the next."""

    def __init__(self, instrument: Any, orders: bool) -> None:
        super().__init__()
        self.instrument, self.orders, self.due, self.sent = instrument, orders, 0, 0

    def on_start(self) -> None:
        """Ask for the ticks."""
        self.subscribe_trade_ticks(self.instrument.id)

    def on_trade_tick(self, tick: TradeTick) -> None:
        """One tick."""
        if self.orders and tick.ts_event >= self.due:
            self.due = tick.ts_event + MINUTE
            side = OrderSide.SELL if self.sent % 2 else OrderSide.BUY
            self.sent += 1
            self.submit_order(
                self.order_factory.market(self.instrument.id, side, self.instrument.make_qty(25))
            )

    def on_reset(self) -> None:
        """Another run over the same ticks."""
        self.due = self.sent = 0


def on_ticks(orders: bool) -> Prepare:
    """Ticks, engine and strategy made beforehand: only its run over them is timed."""

    def prepare(folder: Path) -> Subject:
        count = 200_000
        ticks = np.load(folder / "quotes.npy")[:count]
        instrument = TestInstrumentProvider.equity("BANKNIFTY", "SIM")
        made = [
            TradeTick(
                instrument.id,
                Price(price / 100.0, 2),
                Quantity(qty, 0),
                AggressorSide.BUYER,
                TradeId(str(at)),
                at,
                at,
            )
            for price, qty, at in zip(
                ticks["price"].tolist(),
                ticks["qty"].tolist(),
                ticks["exch_ns"].tolist(),
                strict=True,
            )
        ]
        engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
        engine.add_venue(
            Venue("SIM"),
            OmsType.NETTING,
            AccountType.MARGIN,
            [Money(1_000_000_000, USD)],
            base_currency=USD,
            default_leverage=Decimal(10),
            trade_execution=True,
        )
        engine.add_instrument(instrument)
        engine.add_data(made)
        engine.add_strategy(MinuteTrader(instrument, orders))

        def call() -> int:
            engine.reset()
            engine.run()
            return len(engine.cache.orders_closed())

        return call, count

    return prepare


SUBJECTS: dict[str, Prepare] = {
    "nautilus": strategy,
    "nautilus.bars": bars,
    "nautilus.ticks": on_ticks(False),
    "nautilus.ticks_orders": on_ticks(True),
    "nautilus.ema": scalar(lambda: ExponentialMovingAverage(21), 3),
    "nautilus.rsi": scalar(lambda: RelativeStrengthIndex(14, WILDER), 3),
    "nautilus.macd": scalar(lambda: MovingAverageConvergenceDivergence(12, 26), 3),
    "nautilus.atr": scalar(lambda: AverageTrueRange(14, WILDER), 1, 2, 3),
    "nautilus.bollinger": scalar(lambda: BollingerBands(20, 2.0), 1, 2, 3),
}
