"""Plain C loops (loops.c) as subjects: the floor under every figure."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LIBRARY = ctypes.CDLL(os.environ["BENCH_PEERS_LOOPS"])
LIBRARY.loop_strategy.restype = ctypes.c_int64
LIBRARY.loop_bars.restype = ctypes.c_size_t
LIBRARY.loop_book.restype = ctypes.c_int64
SPAN = 1 << 16
Subject = tuple[Callable[[], Any], int]


def at(array: Any) -> ctypes.c_void_p:
    """Where an array's data begins."""
    return ctypes.c_void_p(array.ctypes.data)


def strategy(folder: Path) -> Subject:
    """EMA, RSI, MACD, ATR with stop and target; no orders, no charges."""
    table = np.load(folder / "ohlcv.npy")
    count, profit = table.shape[1], ctypes.c_double()
    return lambda: LIBRARY.loop_strategy(
        at(table), ctypes.c_size_t(count), ctypes.byref(profit)
    ), count


def indicator(name: str) -> Callable[[Path], Subject]:
    """One of loop_ema, loop_rsi, loop_macd over closes."""

    def prepare(folder: Path) -> Subject:
        close = np.load(folder / "ohlcv.npy", mmap_mode="r")[3].copy()
        out = np.zeros(3 * len(close))  # MACD writes three series
        call = getattr(LIBRARY, name)
        call.restype = None
        return lambda: call(at(close), at(out), ctypes.c_size_t(len(close))), len(close)

    return prepare


def atr(folder: Path) -> Subject:
    """Wilder's ATR, a division a bar as the formula says."""
    high, low, close = (
        np.load(folder / "ohlcv.npy", mmap_mode="r")[row].copy() for row in (1, 2, 3)
    )
    out, count = np.zeros(len(close)), ctypes.c_size_t(len(close))
    LIBRARY.loop_atr.restype = None
    return lambda: LIBRARY.loop_atr(at(high), at(low), at(close), at(out), count), len(close)


def bars(folder: Path) -> Subject:
    """Ticks to minute bars."""
    ticks = np.load(folder / "ticks.npy")
    out = np.zeros(400 * 6, np.int64)
    return lambda: LIBRARY.loop_bars(at(ticks), ctypes.c_size_t(len(ticks)), at(out)), len(ticks)


def book(folder: Path) -> Subject:
    """Deltas into an array indexed by price, best on both sides after each."""
    deltas = np.load(folder / "deltas.npy")
    bids, asks = np.zeros(SPAN, np.uint32), np.zeros(SPAN, np.uint32)
    base = ctypes.c_int64(int(deltas["price"].min()) - 5 * (SPAN // 4))
    return lambda: LIBRARY.loop_book(
        at(deltas), ctypes.c_size_t(len(deltas)), base, at(bids), at(asks)
    ), len(deltas)


SUBJECTS = {
    "c.strategy": strategy,
    "c.ema": indicator("loop_ema"),
    "c.rsi": indicator("loop_rsi"),
    "c.macd": indicator("loop_macd"),
    "c.atr": atr,
    "c.bars": bars,
    "c.book": book,
}
