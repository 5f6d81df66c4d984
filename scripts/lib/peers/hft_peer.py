"""hftbacktest: level-2 changes through its hash-map depth, best bid and ask read after each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit


@njit
def walk(backtest: Any) -> int:
    """Every feed event in turn; the sum keeps the reads alive."""
    total = 0
    while backtest.wait_next_feed(False, 1_000_000_000) in (0, 2):
        depth = backtest.depth(0)
        total += depth.best_bid_tick + depth.best_ask_tick
    return total


def deltas(folder: Path) -> tuple[Callable[[], Any], int]:
    """The changes as its event array; building the backtest is part of the call, as it is once."""
    given = np.load(folder / "deltas.npy")
    events = np.zeros(len(given), event_dtype)
    side = np.where(given["side"] > 0, BUY_EVENT, SELL_EVENT)
    events["ev"] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | side
    events["exch_ts"] = events["local_ts"] = 1_000_000 * np.arange(1, len(given) + 1)
    events["px"], events["qty"] = given["price"] / 100.0, given["qty"]

    def call() -> int:
        asset = (
            BacktestAsset()
            .data(events)
            .linear_asset(1.0)
            .constant_order_latency(0, 0)
            .risk_adverse_queue_model()
            .no_partial_fill_exchange()
            .trading_value_fee_model(0.0, 0.0)
            .tick_size(0.05)
            .lot_size(1.0)
        )
        backtest = HashMapMarketDepthBacktest([asset])
        total = walk(backtest)
        backtest.close()
        return int(total)

    return call, len(given)


SUBJECTS = {"hftbacktest.delta": deltas}
