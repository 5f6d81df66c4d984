"""Write the inputs that all sides of the comparison read, from seeds: the same on any machine.

    inputs.py FOLDER

bars.npy, sessions.npy   ten seeded years of BANKNIFTY minutes with the rules of 2022's dates, each
                         year 364 days after the one before (weekdays stay weekdays)
ohlcv.npy                the same bars as float64[5, n], rupees
ticks.npy                a million ticks of one day
quotes.npy, quote_sessions.npy   a million ticks of one day of 2022 with best bid and ask, and the
                         rules of that date
deltas.npy, depth_*.npy  changes and snapshots of a 20-level book
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import numpy as np

from dhanfast._core.book import DELTA_DTYPE, LEVEL_DTYPE
from dhanfast._core.types import TICK_DTYPE
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings

YEARS = 10
MINUTE = 60_000_000_000
YEAR_NS = 364 * 86_400 * 1_000_000_000
SEED = 20260401


def write_bars(folder: Path) -> None:
    """Ten generated years after one another, and their sessions."""
    bars, sessions = [], []
    for year in range(YEARS):
        made = generated_bars(
            "BANKNIFTY", dt.date(2022, 1, 1), dt.date(2022, 12, 31), seed=SEED + year
        )
        rows = made.bars.copy()
        rows["start_ns"] += year * YEAR_NS
        bars.append(rows)
        table = sessions_of(made, Settings(), MINUTE)
        for name in table.dtype.names or ():
            if name.endswith("_ns"):
                table[name][table[name] > 0] += year * YEAR_NS
        table["date"] += year * 10_000
        table["contract"] += year * 10_000
        sessions.append(table)
    np.save(folder / "bars.npy", np.concatenate(bars))
    np.save(folder / "sessions.npy", np.concatenate(sessions))
    whole = np.concatenate(bars)
    columns = [whole[name] / 100.0 for name in ("open", "high", "low", "close")]
    volume = np.random.default_rng(SEED).integers(1, 5_000, len(whole)).astype(np.float64)
    np.save(folder / "ohlcv.npy", np.ascontiguousarray([*columns, volume]))


def write_ticks(folder: Path) -> None:
    """A million ticks of one session, prices a walk on the 5-paisa grid."""
    count, opened = 1_000_000, 1_767_584_700_000_000_000  # 2026-01-05 09:15 IST
    rng = np.random.default_rng(SEED)
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["exch_ns"] = np.sort(opened + (rng.random(count) * 375 * MINUTE).astype(np.int64))
    ticks["recv_ns"] = ticks["exch_ns"]
    ticks["price"] = 5_000_000 + 5 * np.cumsum(rng.integers(-4, 5, count))
    ticks["qty"] = rng.integers(1, 500, count)
    ticks["volume"] = np.cumsum(ticks["qty"])
    np.save(folder / "ticks.npy", ticks)
    np.save(folder / "tick_sessions.npy", np.array([[opened, opened + 375 * MINUTE]]))


def write_quotes(folder: Path) -> None:
    """A million ticks of one session with a spread of 5 to 15 paise around the last price."""
    count, day = 1_000_000, dt.date(2022, 2, 1)
    bars = generated_bars("BANKNIFTY", day, day, seed=SEED, kind="FUT")
    sessions = sessions_of(bars, Settings(), MINUTE)
    rng = np.random.default_rng(SEED)
    ticks = np.zeros(count, TICK_DTYPE)
    length = 375 * MINUTE
    ticks["exch_ns"] = np.sort(
        int(sessions["open_ns"][0]) + (rng.random(count) * length).astype(np.int64)
    )
    ticks["recv_ns"] = ticks["exch_ns"]
    ticks["price"] = 3_800_000 + 5 * np.cumsum(rng.integers(-1, 2, count))
    ticks["bid"] = ticks["price"] - 5 * rng.integers(0, 2, count)
    ticks["ask"] = ticks["bid"] + 5 * rng.integers(1, 4, count)
    ticks["qty"] = 25 * rng.integers(1, 20, count)
    ticks["bid_qty"], ticks["ask_qty"] = ticks["qty"] + 25, ticks["qty"] + 50
    ticks["volume"] = np.cumsum(ticks["qty"])
    np.save(folder / "quotes.npy", ticks)
    np.save(folder / "quote_sessions.npy", sessions)


def write_book(folder: Path) -> None:
    """200,000 changes around a slowly moving middle, and 50,000 snapshots of 20 levels a side."""
    rng = np.random.default_rng(SEED)
    count, levels = 200_000, 20
    middle = 5_000_000 + 5 * np.cumsum(rng.integers(-1, 2, count) * (rng.random(count) < 0.05))
    side = np.where(rng.random(count) < 0.5, 1, -1)
    deep = rng.integers(1, levels + 1, count)
    deltas = np.zeros(count, DELTA_DTYPE)
    deltas["side"], deltas["price"] = side, middle - side * 5 * deep
    deltas["qty"] = np.where(rng.random(count) < 0.2, 0, 15 * rng.integers(1, 100, count))
    deltas["orders"] = np.where(deltas["qty"] > 0, 3, 0)
    np.save(folder / "deltas.npy", deltas)
    snapshots = 50_000
    for name, sign in (("bids", -1), ("asks", 1)):
        rows = np.zeros((snapshots, levels), LEVEL_DTYPE)
        rows["price"] = middle[:snapshots, None] + sign * 5 * np.arange(1, levels + 1)
        rows["qty"] = 15 * rng.integers(1, 100, (snapshots, levels))
        rows["orders"] = 3
        np.save(folder / f"depth_{name}.npy", rows)


def main() -> None:
    """Write them all."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_bars(folder)
    write_ticks(folder)
    write_quotes(folder)
    write_book(folder)


if __name__ == "__main__":
    main()
