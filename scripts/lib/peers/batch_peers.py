"""TA-Lib, polars and order-book: indicators of whole series, ticks to bars, a book in C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Subject = tuple[Callable[[], Any], int]
Prepare = Callable[[Path], Subject]


def talib(name: str, *rows: int, **numbers: float) -> Prepare:
    """One TA-Lib function over the whole series."""

    def prepare(folder: Path) -> Subject:
        import talib as library

        table = np.load(folder / "ohlcv.npy", mmap_mode="r")
        series = [table[row].copy() for row in rows]
        function = getattr(library, name)
        return lambda: function(*series, **numbers), len(series[0])

    return prepare


def talipp(name: str, *rows: int, **numbers: float) -> Prepare:
    """A talipp indicator fed one value (or bar) after another; its history is part of it."""

    def prepare(folder: Path) -> Subject:
        import talipp.indicators as library
        from talipp.ohlcv import OHLCV

        count, table = 20_000, np.load(folder / "ohlcv.npy")
        kind = getattr(library, name)
        if len(rows) == 1:
            samples: list[Any] = table[rows[0]][:count].tolist()
        else:
            samples = [OHLCV(*map(float, bar)) for bar in table[:, :count].T]

        def call() -> None:
            add = kind(**numbers).add
            for sample in samples:
                add(sample)

        return call, count

    return prepare


def polars_bars(folder: Path) -> Subject:
    """group_by_dynamic over columns of the day, its own threads."""
    import polars

    ticks = np.load(folder / "ticks.npy")
    frame = polars.DataFrame(
        {"ts": ticks["exch_ns"], "price": ticks["price"], "qty": ticks["qty"]}
    ).with_columns(polars.col("ts").cast(polars.Datetime("ns")).set_sorted())
    price = polars.col("price")
    columns = [
        price.first().alias("open"),
        price.max().alias("high"),
        price.min().alias("low"),
        price.last().alias("close"),
        polars.col("qty").sum().alias("volume"),
    ]
    return lambda: len(frame.group_by_dynamic("ts", every="1m").agg(columns)), len(ticks)


def order_book_deltas(folder: Path) -> Subject:
    """A change, then best bid and ask; prices and quantities are ints, as ours."""
    from order_book import OrderBook

    deltas = np.load(folder / "deltas.npy")[:50_000]
    rows = list(
        zip(deltas["side"].tolist(), deltas["price"].tolist(), deltas["qty"].tolist(), strict=True)
    )

    def call() -> int:
        book, seen = OrderBook(max_depth=20), 0
        bids, asks = book.bids, book.asks
        for side, price, qty in rows:
            levels = bids if side > 0 else asks
            if qty:
                levels[price] = qty
            elif price in levels:
                del levels[price]
            if len(bids):
                seen += bids.index(0)[0] > 0
            if len(asks):
                seen += asks.index(0)[0] > 0
        return seen

    return call, len(rows)


def order_book_snapshots(folder: Path) -> Subject:
    """Both sides given as dicts that are made beforehand, then best bid and ask."""
    from order_book import OrderBook

    count = 5_000
    sides = [np.load(folder / f"depth_{name}.npy")[:count] for name in ("bids", "asks")]
    dicts = [
        [dict(zip(row["price"].tolist(), row["qty"].tolist(), strict=True)) for row in side]
        for side in sides
    ]

    def call() -> int:
        book, seen = OrderBook(), 0
        for bids, asks in zip(*dicts, strict=True):
            book.bids, book.asks = bids, asks
            seen += book.bids.index(0)[0] < book.asks.index(0)[0]
        return seen

    return call, count


SUBJECTS: dict[str, Prepare] = {
    "talib.sma": talib("SMA", 3, timeperiod=21),
    "talib.ema": talib("EMA", 3, timeperiod=21),
    "talib.wma": talib("WMA", 3, timeperiod=21),
    "talib.rsi": talib("RSI", 3, timeperiod=14),
    "talib.macd": talib("MACD", 3, fastperiod=12, slowperiod=26, signalperiod=9),
    "talib.bollinger": talib("BBANDS", 3, timeperiod=20, nbdevup=2.0, nbdevdn=2.0),
    "talib.roc": talib("ROC", 3, timeperiod=10),
    "talib.slope": talib("LINEARREG_SLOPE", 3, timeperiod=14),
    "talib.std": talib("STDDEV", 3, timeperiod=20, nbdev=1.0),
    "talib.min": talib("MIN", 3, timeperiod=20),
    "talib.max": talib("MAX", 3, timeperiod=20),
    "talib.atr": talib("ATR", 1, 2, 3, timeperiod=14),
    "talib.adx": talib("ADX", 1, 2, 3, timeperiod=14),
    "talib.cci": talib("CCI", 1, 2, 3, timeperiod=20),
    "talib.stochastic": talib("STOCH", 1, 2, 3, fastk_period=14, slowk_period=3, slowd_period=3),
    "talib.obv": talib("OBV", 3, 4),
    "talipp.ema": talipp("EMA", 3, period=21),
    "talipp.rsi": talipp("RSI", 3, period=14),
    "talipp.macd": talipp("MACD", 3, fast_period=12, slow_period=26, signal_period=9),
    "talipp.atr": talipp("ATR", 0, 1, 2, 3, period=14),
    "talipp.bollinger": talipp("BB", 3, period=20, std_dev_mult=2.0),
    "polars.bars": polars_bars,
    "order_book.delta": order_book_deltas,
    "order_book.snapshot": order_book_snapshots,
}
