"""A few minutes of one future, cut from generated days."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast.exchange.contracts import Contract, Contracts
from dhanfast.exchange.history import History
from dhanfast.exchange.market import NO_ROWS, GeneratedMarket, Records, trading_day
from dhanfast.market.calendar import midnight_ns
from dhanfast.market.tickday import tick_day

SYMBOL = "BANKNIFTY"
DAY = dt.date(2026, 11, 20)
SECOND = 1_000_000_000
PACE, LOT = 3, 30
FROM_NS = midnight_ns(DAY) + (9 * 3600 + 21 * 60) * SECOND  # entries are allowed
UNTIL_NS = midnight_ns(DAY) + (14 * 3600 + 50 * 60) * SECOND


@lru_cache(maxsize=4)
def future_of(seed: int) -> tuple[Contract, NDArray[Any]]:
    """The front future and its ticks of a day, numbered 1 as its feed numbers it."""
    day = tick_day(SYMBOL, DAY, seed=seed, strikes=0, instruments=["FUT"])
    ticks = np.concatenate([batch.ticks for batch in day])
    ticks["instrument"] = 1
    listed = GeneratedMarket(SYMBOL, DAY, seed=seed, strikes=1).contracts
    future = next(one for one in listed if one.kind == "FUT")
    ticks.flags.writeable = False
    return replace(future, index=0), ticks


def window(seed: int, first: float, seconds: float) -> NDArray[Any]:
    """Ticks of so many seconds, beginning at a part of the day."""
    _, ticks = future_of(seed)
    start_ns = FROM_NS + int(first * (UNTIL_NS - FROM_NS - seconds * 1e9))
    at = int(np.searchsorted(ticks["recv_ns"], start_ns))
    end = int(np.searchsorted(ticks["recv_ns"], start_ns + int(seconds * 1e9)))
    return ticks[at:end]


def lively(seed: int, first: float, seconds: float) -> NDArray[Any]:
    """As `window`, of a market in which PACE times as much happens and every quote is hit."""
    ticks = window(seed, first, seconds * PACE).copy()
    begin_ns = ticks["recv_ns"][0]
    for name in ("recv_ns", "exch_ns"):
        ticks[name] = begin_ns + (ticks[name] - begin_ns) // PACE
    rng = np.random.default_rng(seed)
    hit = np.where(rng.random(len(ticks)) < 0.5, ticks["bid"], ticks["ask"])
    silent = (ticks["price"] == 0) & (hit > 0)
    ticks["price"][silent] = hit[silent]
    ticks["qty"][silent] = LOT
    ticks["volume"] += (LOT * np.cumsum(silent)).astype(ticks["volume"].dtype)
    ticks.flags.writeable = False
    return ticks


def thinned(seed: int, ticks: NDArray[Any], seconds: float) -> NDArray[Any]:
    """Ticks in which now and then, for some seconds, a side or both are not quoted.

    Args:
        seconds: after so many of them everything is quoted again.
    """
    ticks = ticks.copy()
    rng = np.random.default_rng(seed)
    at_s = 0.0 if rng.random() < 0.5 else rng.uniform(0, 10)
    since_s = (ticks["recv_ns"] - ticks["recv_ns"][0]) / 1e9
    while at_s < seconds:
        for_s = rng.uniform(1, 6)
        gone = (since_s >= at_s) & (since_s < min(at_s + for_s, seconds))
        for side in (("bid",), ("ask",), ("bid", "ask"))[rng.integers(3)]:
            ticks[side][gone] = ticks[f"{side}_qty"][gone] = 0
        at_s += for_s + rng.uniform(2, 15)
    ticks.flags.writeable = False
    return ticks


def vix_walk(seed: int, ticks: NDArray[Any], start: int) -> NDArray[Any]:
    """India VIX beside the ticks of a future, numbered 2, walking about its start."""
    rng = np.random.default_rng(seed)
    walk = ticks.copy()
    for name in ("bid", "ask", "volume", "flags"):
        walk[name] = 0
    walk["instrument"] = 2
    walk["price"] = np.maximum(start + np.cumsum(rng.integers(-3, 4, len(ticks))), 100)
    return walk


class OneFuture:
    """A `Market` of the exchange: one contract, some minutes."""

    def __init__(self, contract: Contract, ticks: NDArray[Any]) -> None:
        self.label, self.generated, self.levels = "a window of a generated day", True, 0
        self.day = trading_day(DAY)
        self.contracts = Contracts([contract])
        self.history: History | None = None
        self._ticks = ticks.copy()
        self._ticks["instrument"] = 0

    def __iter__(self) -> Iterator[Records]:
        yield Records(self._ticks, NO_ROWS)
