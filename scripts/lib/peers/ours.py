"""dhanfast's side of the comparison, from the installed release wheel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.bars import TimeBars
from dhanfast._core.book import Book
from dhanfast._core.indicators import (
    adx,
    atr,
    bollinger,
    bundle,
    cci,
    ema,
    linreg,
    macd,
    obv,
    roc,
    rolling,
    rsi,
    sma,
    stochastic,
    wma,
)
from dhanfast._core.ring import Ring
from dhanfast._core.risk import Gate
from dhanfast._core.types import EVENT_DTYPE, ORDER_DTYPE
from dhanfast.engine.engine import Engine
from dhanfast.engine.settings import Settings
from dhanfast.strategies import Rules, RuleStrategy, Strategy
from dhanfast.strategies.plugins import find_strategy

MINUTE = 60_000_000_000
Subject = tuple[Callable[[], Any], int]
Prepare = Callable[[Path], Subject]


def door(name: str) -> Prepare:
    """A strategy over ten years of minutes, from bars to booked trades, orders and equity."""

    def prepare(folder: Path) -> Subject:
        bars, sessions = np.load(folder / "bars.npy"), np.load(folder / "sessions.npy")
        # So much capital that the run trades to its end; every limit of the gate stays on.
        settings = Settings(capital=10**14)

        def call() -> int:
            runner = find_strategy(name, {}).runner(lambda at_ns, text: None, MINUTE)
            engine = Engine(runner, sessions, settings, interval_ns=MINUTE, bars=len(bars))
            engine.feed(bars)
            return len(engine.finish().trades)

        return call, len(bars)

    return prepare


def whole(make: Callable[..., Any], *rows: int) -> Prepare:
    """An indicator of the whole series, state and output made inside the call."""

    def prepare(folder: Path) -> Subject:
        table = np.load(folder / "ohlcv.npy", mmap_mode="r")
        series = [table[row].copy() for row in rows]
        return lambda: make(*series), len(series[0])

    return prepare


def filled(make: Callable[[], Any], *rows: int, outputs: int = 1) -> Prepare:
    """An indicator into memory that is there: what is left is the loop."""

    def prepare(folder: Path) -> Subject:
        table = np.load(folder / "ohlcv.npy", mmap_mode="r")
        series = [table[row].copy() for row in rows]
        out = np.zeros(len(series[0])) if outputs == 1 else np.zeros((outputs, len(series[0])))
        given = (out,) if outputs == 1 else tuple(out)
        return lambda: make().update_many(*series, *given) is None, len(series[0])

    return prepare


def scalar(make: Callable[[], Any], *rows: int) -> Prepare:
    """One update after another from a Python loop."""

    def prepare(folder: Path) -> Subject:
        table = np.load(folder / "ohlcv.npy", mmap_mode="r")
        series = [table[row][:100_000].tolist() for row in rows]
        one = make()
        if len(series) == 1:
            return lambda: alone(one.update, series[0]), 100_000
        return lambda: beside(one.update, *series), 100_000

    return prepare


def alone(update: Callable[[float], object], samples: list[float]) -> None:
    """The loop around updates of one number."""
    for sample in samples:
        update(sample)


def beside(update: Callable[..., object], *series: list[float]) -> None:
    """The loop around updates of three numbers."""
    for high, low, close in zip(*series, strict=True):
        update(high, low, close)


class Never(RuleStrategy):
    """One comparison a bar that is never true."""

    def rules(self, m: Any) -> Rules:
        """No trade."""
        return Rules(long=m.close < 0.0)


class InAndOut(RuleStrategy):
    """In on one minute, out on the next: the same orders as the peers send."""

    def rules(self, m: Any) -> Rules:
        """Long whenever flat, flat after a bar."""
        return Rules(long=m.close > 0.0, exit_long=m.bars_held > 0)


class SeesTicks(Strategy):
    """Reads the price of every tick."""

    def on_tick(self, ctx: Any, tick: Any) -> None:
        """One attribute and one comparison."""
        if tick.price > 1e9:
            ctx.exit()


def on_ticks(strategy: Any) -> Prepare:
    """A million ticks in memory, from the first to booked trades, orders and equity."""

    def prepare(folder: Path) -> Subject:
        ticks, sessions = np.load(folder / "quotes.npy"), np.load(folder / "quote_sessions.npy")
        settings = Settings(capital=10**14)

        def call() -> int:
            runner = find_strategy(strategy, {}).runner(lambda at_ns, text: None, MINUTE)
            engine = Engine(runner, sessions, settings, interval_ns=MINUTE)
            engine.feed_ticks(ticks)
            return len(engine.finish().trades)

        return call, len(ticks)

    return prepare


def bars_streaming(folder: Path) -> Subject:
    """Each tick advances time and then merges, as the engine calls it."""
    ticks, sessions = np.load(folder / "ticks.npy"), np.load(folder / "tick_sessions.npy")
    return lambda: len(TimeBars(MINUTE, sessions).replay(ticks)), len(ticks)


def bars_batch(folder: Path) -> Subject:
    """A block of ticks at once."""
    ticks, sessions = np.load(folder / "ticks.npy"), np.load(folder / "tick_sessions.npy")
    return lambda: len(TimeBars(MINUTE, sessions).update_many(ticks)), len(ticks)


def book_deltas(folder: Path) -> Subject:
    """A change, then best bid and ask, 200,000 times."""
    deltas = np.load(folder / "deltas.npy")
    return lambda: len(Book(20).deltas(deltas)), len(deltas)


def book_snapshots(folder: Path) -> Subject:
    """A 20-level snapshot of both sides, then best bid and ask."""
    bids, asks = np.load(folder / "depth_bids.npy"), np.load(folder / "depth_asks.npy")
    return lambda: len(Book(20).snapshots(bids, asks)), len(bids)


def gate(folder: Path) -> Subject:
    """Entries through every limit and the seal."""
    count = 100_000
    made = Gate(
        qty_max=900,
        notional_max=10**12,
        position_max=10**6,
        loss_day_max=10**9,
        band_e4=500,
        orders_per_s_max=10,
        margin_check=True,
        instruments=4,
    )
    orders = np.zeros(count, ORDER_DTYPE)
    orders["id"] = np.arange(1, count + 1)
    orders["qty"], orders["price"], orders["side"] = 15, 5_000_000, 1
    orders["created_ns"] = 10**9 * np.arange(1, count + 1)
    session = {"lot": 15, "tick": 5, "freeze": 900, "margin_rate_e9": 120_000_000}

    def call() -> int:
        orders["created_ns"] += 10**9 * count
        return int(
            made.check_many(orders, mark=5_000_000, margin_free=10**12, session=session).sum()
        )

    return call, count


def ring(folder: Path) -> Subject:
    """Push 2,048 events and drain them, through the native loops."""
    made, events = Ring(4096), np.zeros(2048, EVENT_DTYPE)

    def call() -> int:
        made.put_many(events)
        return len(made.take(2048))

    return call, 2048


SUBJECTS: dict[str, Prepare] = {
    "rules": door("momentum"),
    "cython": door("momentum-cython"),
    "python": door("momentum-python"),
    "sma": whole(lambda x: sma.sma(x, 21), 3),
    "ema": whole(lambda x: ema.ema(x, 21), 3),
    "wma": whole(lambda x: wma.wma(x, 21), 3),
    "rsi": whole(lambda x: rsi.rsi(x, 14), 3),
    "macd": whole(lambda x: macd.macd(x, 12, 26, 9), 3),
    "bollinger": whole(lambda x: bollinger.bollinger(x, 20, 2.0, 2.0), 3),
    "roc": whole(lambda x: roc.roc(x, 10), 3),
    "slope": whole(lambda x: linreg.linreg_slope(x, 14), 3),
    "zscore": whole(lambda x: rolling.zscore(x, 20), 3),
    "std": whole(lambda x: rolling.rolling_std(x, 20), 3),
    "min": whole(lambda x: rolling.rolling_min(x, 20), 3),
    "max": whole(lambda x: rolling.rolling_max(x, 20), 3),
    "atr": whole(lambda h, lo, c: atr.atr(h, lo, c, 14), 1, 2, 3),
    "adx": whole(lambda h, lo, c: adx.adx(h, lo, c, 14), 1, 2, 3),
    "cci": whole(lambda h, lo, c: cci.cci(h, lo, c, 20), 1, 2, 3),
    "stochastic": whole(lambda h, lo, c: stochastic.stochastic(h, lo, c, 14, 3, 3), 1, 2, 3),
    "obv": whole(lambda c, v: obv.obv(c, v), 3, 4),
    "five": whole(bundle.bundle, 3),
    "loop.ema": filled(lambda: ema.Ema(21), 3),
    "loop.rsi": filled(lambda: rsi.Rsi(14), 3),
    "loop.macd": filled(lambda: macd.Macd(12, 26, 9), 3, outputs=3),
    "loop.atr": filled(lambda: atr.Atr(14), 1, 2, 3),
    "scalar.ema": scalar(lambda: ema.Ema(21), 3),
    "scalar.rsi": scalar(lambda: rsi.Rsi(14), 3),
    "scalar.macd": scalar(lambda: macd.Macd(12, 26, 9), 3),
    "scalar.atr": scalar(lambda: atr.Atr(14), 1, 2, 3),
    "scalar.bollinger": scalar(lambda: bollinger.Bollinger(20, 2.0), 3),
    "ticks.never": on_ticks(Never),
    "ticks.orders": on_ticks(InAndOut),
    "ticks.momentum": on_ticks("momentum"),
    "ticks.python": on_ticks(SeesTicks),
    "bars.streaming": bars_streaming,
    "bars.batch": bars_batch,
    "book.delta": book_deltas,
    "book.snapshot": book_snapshots,
    "gate": gate,
    "ring": ring,
}
