"""The ticks that all formats are given.

Narrow, 34 bytes: one instrument, both clocks, price, bid and ask in ticks of 5 paise (u4 each),
last, bid and ask quantity in lots (u2 each). The model, stated here and fitted to nothing: receive
times with exponential gaps in whole microseconds, five million of them in a day's 22,500 seconds;
exchange times in whole milliseconds, 0.3 to 3 ms before; a level that moves by up to two ticks in
30 % of the updates; quotes taken over from it in 40 %, with a spread of one to three ticks; a trade
in a quarter, of a geometric number of lots; each side's quantity new in half of the updates.

Wide, 72 bytes: our Tick, of the 44 instruments of a generated day (dhanfast.market.tickday: index,
future and option chain, fitted to recorded samples; receive times to the nanosecond).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

NARROW = np.dtype([
    ("exch_ns", "<i8"), ("recv_ns", "<i8"), ("price", "<u4"), ("bid", "<u4"), ("ask", "<u4"),
    ("qty", "<u2"), ("bid_qty", "<u2"), ("ask_qty", "<u2"),
])  # fmt: skip
DAY_S = 22_500
NINE_FIFTEEN = 1_709_523_900_000_000_000


def held(values: np.ndarray[Any, Any], when: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Each value until the next row where `when` is true."""
    return values[np.maximum.accumulate(np.where(when, np.arange(len(values)), 0))]


def narrow_ticks(count: int) -> np.ndarray[Any, Any]:
    """The 34-byte ticks."""
    random = np.random.default_rng(20260401)
    rows = np.zeros(count, NARROW)
    gaps = random.exponential(DAY_S * 1e6 / 5_000_000, count).astype(np.int64)
    rows["recv_ns"] = NINE_FIFTEEN + 1_000 * np.cumsum(gaps)
    sent = rows["recv_ns"] - random.integers(300_000, 3_000_000, count)
    rows["exch_ns"] = np.maximum.accumulate(sent // 1_000_000 * 1_000_000)
    moves = np.where(random.random(count) < 0.3, random.integers(-2, 3, count), 0)
    level = 100_000 + np.cumsum(moves)
    quoted, traded = random.random(count) < 0.4, random.random(count) < 0.25
    rows["bid"] = held(level - 1, quoted)
    rows["ask"] = held(level - 1 + random.choice([1, 2, 3], count, p=[0.6, 0.3, 0.1]), quoted)
    rows["price"], rows["qty"] = held(level, traded), held(random.geometric(0.3, count), traded)
    for side in ("bid_qty", "ask_qty"):
        rows[side] = held(random.geometric(0.1, count), random.random(count) < 0.5)
    return rows


def wide_ticks(count: int) -> np.ndarray[Any, Any]:
    """The 72-byte ticks."""
    from dhanfast.market.tickday import tick_day

    day = tick_day("BANKNIFTY", dt.date(2024, 3, 4), seed=1, ticks=count, repeat_last=True)
    return np.concatenate([batch.ticks for batch in day])


def as_ticks(narrow: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The 34-byte ticks as our Tick records: paise and units, the other fields 0."""
    from dhanfast._core.types import TICK_DTYPE

    rows = np.zeros(len(narrow), TICK_DTYPE)
    for name in ("exch_ns", "recv_ns"):
        rows[name] = narrow[name]
    for name in ("price", "bid", "ask"):
        rows[name] = 5 * narrow[name].astype(np.int64)
    for name in ("qty", "bid_qty", "ask_qty"):
        rows[name] = 75 * narrow[name].astype(np.uint32)
    return rows
