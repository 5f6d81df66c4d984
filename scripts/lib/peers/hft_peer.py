"""hftbacktest: level-2 changes through its hash-map depth, and ticks through its backtest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit

MINUTE = 60_000_000_000
DAY = 86_400_000_000_000


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


@njit
def order(backtest: Any, number: int) -> None:
    """Buy, sell, buy ...: limits through the book, filled on arrival."""
    backtest.clear_inactive_orders(0)
    depth = backtest.depth(0)
    if number % 2 == 0:
        backtest.submit_buy_order(0, number, depth.best_ask, 1.0, GTC, LIMIT, False)
    else:
        backtest.submit_sell_order(0, number, depth.best_bid, 1.0, GTC, LIMIT, False)


@njit
def each_tick(backtest: Any, orders: bool) -> float:
    """The strategy is woken by every tick, as `on_tick` is; an order a minute when asked."""
    sent, due = 0, 0
    while backtest.wait_next_feed(False, DAY) in (0, 2):
        if orders and backtest.current_timestamp >= due:
            order(backtest, sent)
            sent += 1
            due = backtest.current_timestamp + MINUTE
    return float(sent)


@njit
def each_minute(backtest: Any, orders: bool) -> float:
    """The strategy is woken once a minute and sees no tick and no bar: the least work there is."""
    sent = 0
    while backtest.elapse(MINUTE) == 0:
        if orders:
            order(backtest, sent)
            sent += 1
    return float(sent)


def ticks(walker: Any, orders: bool) -> Callable[[Path], tuple[Callable[[], Any], int]]:
    """Differs, in its favour: an event a tick, the trade alone; its book stands still."""

    def prepare(folder: Path) -> tuple[Callable[[], Any], int]:
        given = np.load(folder / "quotes.npy")
        first = given[:1]
        events = np.zeros(len(given) + 2, event_dtype)
        events["ev"] = TRADE_EVENT | EXCH_EVENT | LOCAL_EVENT | BUY_EVENT
        events["ev"][0] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | BUY_EVENT
        events["ev"][1] = DEPTH_EVENT | EXCH_EVENT | LOCAL_EVENT | SELL_EVENT
        for name, column in (("px", "price"), ("qty", "qty")):
            events[name][2:] = given[column]
        events["px"] /= 100.0
        events["px"][0], events["px"][1] = first["bid"][0] / 100.0, first["ask"][0] / 100.0
        events["qty"][:2] = 1e9
        times = np.concatenate([np.repeat(first["exch_ns"], 2), given["exch_ns"]])
        events["exch_ts"] = events["local_ts"] = times

        def call() -> float:
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
            sent = walker(backtest, orders)
            held = backtest.position(0)
            backtest.close()
            return float(sent + abs(held) / 10)  # the position alternates between 0 and 1

        return call, len(given)

    return prepare


SUBJECTS = {
    "hftbacktest.delta": deltas,
    "hftbacktest.ticks": ticks(each_tick, False),
    "hftbacktest.ticks_orders": ticks(each_tick, True),
    "hftbacktest.minutes": ticks(each_minute, False),
    "hftbacktest.minutes_orders": ticks(each_minute, True),
}
