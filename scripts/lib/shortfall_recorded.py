"""The shortfall study's market from a recording: depth changes and trades of a Bitcoin perpetual.

The file is one of `nkaz001/hftbacktest`'s samples as a table: one snapshot, depth changes, trades;
5.7 minutes of one day, not of NSE. Prices become hundredths and quantities thousandths, so that
the engine's exchange matches it like any contract. See `docs/reference/order-routing.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from shortfall import (
    HORIZON_NS,
    LEVELS,
    SECOND,
    WAYS,
    Contract,
    Outcome,
    bars_of,
    execute_all,
    parents_of,
    summaries,
)

from dhanfast._core.types import TICK_DTYPE

TICK = 10  # 0.1 of a dollar, in hundredths
UNITS = 1_000  # of a Bitcoin
BAR_NS = 5 * SECOND
HEAD_NS = 21 * BAR_NS  # what measures volatility
TAIL_NS = HORIZON_NS + 6 * SECOND
FREEZE = 10**6


def recorded_contract(file: Path) -> Contract:
    """The recording's ticks, and the best levels after each.

    A record is a trade or a whole message of depth changes, in the order of the file; the clock is
    the exchange's, and never falls back. What came before the snapshot is left out.
    Raises:
        ValueError: the file has no snapshot, or messages are missing.
    """
    table = pq.read_table(file)
    event = table["event"].to_numpy(zero_copy_only=False)
    buys = table["side"].to_numpy(zero_copy_only=False) == "B"
    price = np.rint(100 * table["price"].to_numpy()).astype(np.int64)
    qty = np.rint(UNITS * table["qty"].to_numpy()).astype(np.int64)
    number, before = table["update_id"].to_numpy(), table["prev_update_id"].to_numpy()
    clock = np.maximum.accumulate(table["ts"].to_numpy())
    (shot,) = (np.flatnonzero(event == "snapshot"),)
    if not len(shot):
        raise ValueError(f"{file} has no snapshot: there is no book to begin with")
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})  # sells, buys
    for row in shot.tolist():
        sides[int(buys[row])][int(price[row])] = int(qty[row])
    start = int(number[shot[0]])
    rows = np.flatnonzero(((event == "depth") & (number > start)) | (event == "trade"))
    depth = rows[event[rows] == "depth"]
    firsts = depth[np.flatnonzero(np.diff(number[depth], prepend=0))]
    if (before[firsts[1:]] != number[firsts[:-1]]).any():
        raise ValueError(f"{file}: messages of the depth are missing")
    return _replayed(rows[rows > shot[-1]], rows[rows <= shot[-1]], event, buys, price, qty, number,
                     clock, sides)  # fmt: skip


def _replayed(
    rows: NDArray[np.int64], early: NDArray[np.int64], event: NDArray[Any], buys: NDArray[Any],
    price: NDArray[np.int64], qty: NDArray[np.int64], number: NDArray[np.int64],
    clock: NDArray[np.int64], sides: tuple[dict[int, int], dict[int, int]],
) -> Contract:  # fmt: skip
    """Walk the rows; those of `early` stand before the snapshot in the file, and only change it."""

    def change(row: int) -> None:
        levels, at = sides[int(buys[row])], int(price[row])
        if qty[row]:
            levels[at] = int(qty[row])
        else:
            levels.pop(at, None)

    for row in early[event[early] == "depth"].tolist():
        change(row)
    ticks: list[tuple[int, int, int]] = []  # clock, price and quantity of a trade or zeros
    bids: list[NDArray[np.int64]] = []
    asks: list[NDArray[np.int64]] = []
    book = (_best(sides[1], -1), _best(sides[0], 1))
    listed = rows.tolist()
    for place, row in enumerate(listed):
        if event[row] == "trade":
            ticks.append((int(clock[row]), int(price[row]), int(qty[row])))
        else:
            change(row)
            if place + 1 < len(listed):
                after = listed[place + 1]
                if event[after] == "depth" and number[after] == number[row]:
                    continue
            book = (_best(sides[1], -1), _best(sides[0], 1))
            ticks.append((int(clock[row]), 0, 0))
        bids.append(book[0])
        asks.append(book[1])
    made = np.zeros(len(ticks), TICK_DTYPE)
    made["recv_ns"], made["price"], made["qty"] = np.array(ticks, np.int64).T
    made["exch_ns"], made["volume"] = made["recv_ns"], np.cumsum(made["qty"])
    for name, column, books in (("bid", 0, bids), ("ask", 0, asks), ("bid_qty", 1, bids),
                                ("ask_qty", 1, asks)):  # fmt: skip
        made[name] = [one[0, column] for one in books]
    return Contract("BTCUSDT", 1, TICK, made, bars_of(made, BAR_NS), bids, asks, bar_ns=BAR_NS,
                    head_ns=HEAD_NS, tail_ns=TAIL_NS, freeze=FREEZE, unit=1 / UNITS)  # fmt: skip


def _best(levels: dict[int, int], way: int) -> NDArray[np.int64]:
    prices = sorted(levels, reverse=way < 0)[:LEVELS]
    return np.array([(at, levels[at]) for at in prices], np.int64).reshape(-1, 2)


def recorded_study(file: Path, count: int, seed: int = 1) -> dict[str, dict[str, float]]:
    """`count` parents on the recording, every way for each."""
    outcomes: dict[str, list[Outcome]] = {way.name: [] for way in WAYS}
    execute_all(parents_of(recorded_contract(file), count, seed), outcomes)
    return summaries(outcomes)
