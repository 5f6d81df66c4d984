"""Statistics of tick streams, recorded and generated alike: what `scripts/generator-stats` shows.

Each `recorded_*` and `generated_*` gives rows of figures, one dict a sample, under equal names.
"""

import csv
import math
from collections.abc import Callable, Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dhanfast._core.types import TICK_DTYPE
from dhanfast.market.tickday import TickDay, TickInstrument, tick_day

Row = dict[str, float]
Sample = dict[str, Row]
IST_NS = 19_800 * 10**9
MINUTE_NS = 60 * 10**9
FUTURES_DAY, FUTURES_SPAN = date(2025, 11, 17), (12 * 60 + 7, 12 * 60 + 24)  # minutes of the day
# Lot and tick (units, paise) of the recorded stock futures on that day.
STOCKS = {"RELIND": (500, 10), "MCX": (125, 50), "TCS": (175, 10), "TRENT": (100, 10)}
DEPTH_DAY, DEPTH_SPAN, DEPTH_LOT = date(2026, 7, 22), (9 * 60 + 15, 9 * 60 + 20), 65
CHAIN_DAYS = (date(2026, 1, 28), date(2026, 1, 29), date(2026, 1, 30))
STEPS = {"BANKNIFTY": (10_000, 50_000), "NIFTY": (5_000, 10_000)}  # strikes, round ones (paise)
WITHIN = (1, 3, 5, 10)  # strikes from the money
REACH = 15


def share(mask: Any) -> float:
    """Share of true values."""
    return float(np.mean(mask)) if len(mask) else math.nan


def gap_stats(times: Any) -> Row:
    """Inter-arrival: mean, spread over mean, and quantiles over the median."""
    gaps = np.diff(times) / 1e9
    median = float(np.median(gaps))
    return {
        "gap_mean_s": float(gaps.mean()), "gap_median_s": median,
        "gap_spread": float(gaps.std() / gaps.mean()),
    } | {f"gap_p{p}": float(np.quantile(gaps, p / 100)) / median for p in (10, 90, 99)}  # fmt: skip


def quantity_stats(name: str, lots: Any) -> Row:
    """Mean and quantiles of quantities in lots."""
    return {f"{name}_mean": float(lots.mean()), f"{name}_median": float(np.median(lots))} | {
        f"{name}_p{p}": float(np.quantile(lots, p / 100)) for p in (90, 99)
    }


def contract_stats(ticks: Any, tick: int, lot: int) -> Row:
    """What a feed of one quoted contract looks like.

    Args:
        ticks: TICK_DTYPE of one instrument, in order; a trade is a record whose volume rose.
        tick: price step, paise.
        lot: units a lot.
    """
    width = (ticks["ask"] - ticks["bid"]) / tick
    traded = np.diff(ticks["volume"].astype(np.int64))
    is_trade = traded > 0
    before, after, price = ticks[:-1][is_trade], ticks[1:][is_trade], ticks["price"][1:][is_trade]
    low, high = (np.minimum(before["bid"], after["bid"]), np.maximum(before["ask"], after["ask"]))
    moves = (np.diff(ticks["bid"]) != 0) | (np.diff(ticks["ask"]) != 0)
    interest = np.diff(ticks["oi"].astype(np.int64)) / lot
    minutes = float(ticks["recv_ns"][-1] - ticks["recv_ns"][0]) / MINUTE_NS
    return gap_stats(ticks["recv_ns"]) | {
        "spread_ticks": float(width.mean()),
        "spread_p10": float(np.quantile(width, 0.10) / np.median(width)),
        "spread_p90": float(np.quantile(width, 0.90) / np.median(width)),
        "spread_memory": float(np.corrcoef(width[1:], width[:-1])[0, 1]),
        "quote_moves": share(moves),
        "trades": share(is_trade),
        **quantity_stats("traded", traded[is_trade] / lot),
        "trade_at_bid": share(price == before["bid"]),
        "trade_at_ask": share(price == before["ask"]),
        "trade_inside": share((price > before["bid"]) & (price < before["ask"])),
        "trade_near": share((price >= low) & (price <= high)),
        **quantity_stats("shown", np.concatenate([ticks["bid_qty"], ticks["ask_qty"]]) / lot),
        "oi_steps_a_minute": float((interest != 0).sum() / minutes),
        "oi_step_lots": float(np.abs(interest[interest != 0]).mean()) if interest.any() else 0.0,
    }  # fmt: skip


# ---- futures -----------------------------------------------------------------------------------


def recorded_futures(folder: Path) -> Sample:
    """Four stock futures, 17 minutes of 2025-11-17, repeated rows left out."""
    import pyarrow.parquet as pq

    name = "nse_stock_futures_ticks_2025-11-17_1207_1224.parquet"
    table = pq.read_table(folder / "ticks" / name, use_threads=False)
    columns = {key: table.column(key).to_numpy() for key in table.column_names}
    found = {}
    for stock, (lot, tick) in STOCKS.items():
        mine = np.flatnonzero(columns["instrument"] == f"{stock}-FUT")
        rows = sorted({tuple(columns[key][i] for key in columns) for i in mine})
        ticks = np.zeros(len(rows), TICK_DTYPE)
        at = {key: [row[place] for row in rows] for place, key in enumerate(columns)}
        ticks["recv_ns"] = at["ts"]
        for ours, theirs in (("price", "ltp"), ("bid", "bid"), ("ask", "ask")):
            ticks[ours] = np.rint(np.array(at[theirs]) * 100)
        for key in ("bid_qty", "ask_qty", "volume", "oi"):
            ticks[key] = at[key]
        found[stock] = contract_stats(ticks, tick, lot)
    return found


def between(ticks: Any, span: tuple[int, int]) -> Any:
    """The records of some minutes of the day, IST."""
    minute = (ticks["recv_ns"] + IST_NS) // MINUTE_NS % 1440
    return ticks[(minute >= span[0]) & (minute < span[1])]


def all_ticks(day: TickDay) -> Any:
    """Every record of a day as one array."""
    return np.concatenate([batch.ticks for batch in day])


def generated_futures(seeds: tuple[int, ...]) -> Sample:
    """The index futures of the same date and minutes."""
    found = {}
    for symbol in ("BANKNIFTY", "NIFTY"):
        for seed in seeds:
            day = tick_day(symbol, FUTURES_DAY, seed=seed, instruments=["FUT"])
            future = day.instruments[0]
            ticks = between(all_ticks(day), FUTURES_SPAN)
            found[f"{symbol} {seed}"] = contract_stats(ticks, future.tick, future.lot)
    return found


# ---- the index ---------------------------------------------------------------------------------


def recorded_index(folder: Path) -> Sample:
    """Fifteen broadcasts each of three indices of NSE, 2026-07-22, before the open."""
    path = folder / "fixtures" / "optionvault_mit" / "tick_data_combined_indices_tick.csv"
    stamps: dict[str, list[Any]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            stamps.setdefault(row["tradingsymbol"], []).append(np.datetime64(row["timestamp"]))
    return {
        name: gap_stats(np.array(stamps[name], "datetime64[ns]").astype(np.int64))
        for name in ("NIFTY", "BANKNIFTY", "FINNIFTY")
    }


def generated_index(seeds: tuple[int, ...]) -> Sample:
    """A day of index records."""
    found = {}
    for seed in seeds:
        day = tick_day("NIFTY", DEPTH_DAY, seed=seed, strikes=0, instruments=["IDX"])
        found[f"NIFTY {seed}"] = gap_stats(all_ticks(day)["recv_ns"])
    return found


# ---- five levels of a cheap option -------------------------------------------------------------

Book = tuple[list[tuple[int, int]], list[tuple[int, int]]]  # bids and asks: (ticks, lots)


def book_stats(times: Any, books: list[Book]) -> Row:
    """Five levels a side at each record: widths, quantities, holes, changes."""
    changes = [
        sum(len(set(new) - set(old)) + len({p for p, _ in old} - {p for p, _ in new})
            for old, new in zip(before, after, strict=True))
        for before, after in pairwise(books)
    ]  # fmt: skip
    holes = [abs(b[0] - a[0]) for book in books for side in book
             for a, b in pairwise(side)]  # fmt: skip
    lots = np.array([quantity for book in books for side in book for _, quantity in side])
    width = np.array([book[1][0][0] - book[0][0][0] for book in books])
    gaps = gap_stats(times)
    return {
        "gap_mean_s": gaps["gap_mean_s"], "gap_spread": gaps["gap_spread"],
        "spread_ticks": float(width.mean()), "spread_median": float(np.median(width)),
        "level_lots_mean": float(lots.mean()), "level_lots_median": float(np.median(lots)),
        "hole_ticks_median": float(np.median(holes)),
        "hole_ticks_p90": float(np.quantile(holes, 0.9)),
        "changes_mean": float(np.mean(changes)),
    }  # fmt: skip


def recorded_books(folder: Path) -> Sample:
    """A NIFTY call near two rupees, the first minutes of 2026-07-22."""
    path = folder / "fixtures" / "optionvault_mit" / "level2_NIFTY_level2.csv"
    times, books = [], []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            stamp = np.datetime64(row["timestamp"], "ns")
            if stamp < np.datetime64("2026-07-22T09:15", "ns"):
                continue  # the book of the evening before
            times.append(stamp)
            bids, asks = (
                [(round(float(row[f"{side}_price{k}"]) * 20),
                  round(float(row[f"{side}_qty{k}"]) / DEPTH_LOT)) for k in range(1, 6)]
                for side in ("bid", "ask")
            )  # fmt: skip
            books.append((bids, asks))
    return {"26000 CE": book_stats(np.array(times).astype(np.int64), books)}


def replay_books(rows: Any, tick: int, lot: int) -> tuple[Any, list[Book]]:
    """The book after each message, in ticks and lots."""
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    times, books = [], []
    for recv, price, qty, side, op, flags in zip(
        *(rows[key].tolist() for key in ("recv_ns", "price", "qty", "side", "op", "flags")),
        strict=True,
    ):
        book = sides[0 if side > 0 else 1]
        if op == 1:
            book.clear()
        elif qty:
            book[price // tick] = qty // lot
        else:
            del book[price // tick]
        if flags & 1:
            times.append(recv)
            books.append((sorted(sides[0].items(), reverse=True), sorted(sides[1].items())))
    return np.array(times), books


def generated_books(seeds: tuple[int, ...]) -> Sample:
    """NIFTY options of the same morning that open between one and three rupees."""
    found = {}
    for seed in seeds:
        day = tick_day("NIFTY", DEPTH_DAY, seed=seed, strikes=101, depth_levels=5)
        depth = []
        for batch in day:
            part = between(batch.depth, DEPTH_SPAN)
            if not len(part):
                break
            depth.append(part)
        rows = np.concatenate(depth)
        for option in day.instruments[2:]:
            mine = rows[rows["instrument"] == option.index]
            best = mine["price"][mine["side"] > 0][1] if len(mine) else 0
            if not 100 <= best <= 300:
                continue
            times, books = replay_books(mine, option.tick, option.lot)
            if len(books) > 20:
                found[f"{option.symbol} {seed}"] = book_stats(times, books)
    return found


# ---- the chain ---------------------------------------------------------------------------------


def chain_stats(spot: float, volumes: dict[int, float], calls: float, symbol: str) -> Row:
    """Where the day's volume is: by distance from the money, round strikes, calls."""
    step, round_step = STEPS[symbol]
    middle = round(spot / step)
    near = {k: v for k, v in volumes.items() if abs(round(k / step) - middle) <= REACH}
    total = sum(near.values())
    row = {
        f"within_{reach}": sum(v for k, v in near.items() if abs(round(k / step) - middle) <= reach)
        / total
        for reach in WITHIN
    }
    round_ones = [v for k, v in near.items() if k % round_step == 0]
    others = [v for k, v in near.items() if k % round_step]
    row["round_ratio"] = float(np.mean(round_ones) / np.mean(others))
    row["calls"] = calls / total
    return row


def premium_of(forward: float, strike: float, deviation: float, call: bool) -> float:
    """Black-76 with the error function of libm."""
    d1 = math.log(forward / strike) / deviation + deviation / 2
    below = [0.5 * math.erfc(-d / math.sqrt(2)) for d in (d1, d1 - deviation)]
    value = forward * below[0] - strike * below[1]
    return value if call else value - (forward - strike)


def deviation_of(price: float, forward: float, strike: float, call: bool) -> float:
    """Implied volatility times root of time, by bisection."""
    low, high = 1e-5, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        if premium_of(forward, strike, middle, call) < price:
            low = middle
        else:
            high = middle
    return low


def smile_stats(strikes: Any, calls: Any, puts: Any, spot: float) -> Row:
    """Skew and curvature of volatility against standardised moneyness, from prices in rupees."""
    near = np.argsort(np.abs(strikes - spot))[:5]
    forward = float(np.median(strikes[near] + calls[near] - puts[near]))
    points = []
    for strike, call, put in zip(strikes.tolist(), calls.tolist(), puts.tolist(), strict=True):
        price = call if strike > forward else put
        if price >= 1.0:
            deviation = deviation_of(price, forward, strike, strike > forward)
            points.append((math.log(strike / forward), deviation))
    log, deviation = np.array(sorted(points)).T
    middle = float(np.interp(0.0, log, deviation))
    x = log / middle
    keep = np.abs(x) < 4
    sides = np.column_stack([x[keep], x[keep] ** 2])
    fit = np.linalg.lstsq(sides, deviation[keep] / middle - 1, rcond=None)[0]
    return {"skew": float(fit[0]), "curvature": float(fit[1])}


def recorded_chains(folder: Path) -> Sample:
    """Chains of BANKNIFTY and NIFTY on three days without expiry, January 2026."""
    import pyarrow.parquet as pq

    name = "index_option_chain_2026-01-22_2026-02-01.parquet"
    table = pq.read_table(folder / "options" / name, use_threads=False)
    chain = {key: table.column(key).to_numpy() for key in table.column_names if key != "expiry"}
    dates = (chain["ts"] + IST_NS) // (1440 * MINUTE_NS) + 719_163
    found = {}
    for symbol in STEPS:
        for day in CHAIN_DAYS:
            mine = (chain["underlying"] == symbol) & (dates == day.toordinal())
            last = mine & (chain["ts"] == chain["ts"][mine].max())
            spot = float(chain["spot"][mine & (chain["spot"] > 0)].mean())
            keys = np.rint(chain["strike"][last] * 100).astype(int).tolist()
            both = chain["ce_volume"][last] + chain["pe_volume"][last]
            near = np.abs(chain["strike"][last] * 100 - spot * 100) <= REACH * STEPS[symbol][0]
            row = chain_stats(spot * 100, dict(zip(keys, both.tolist(), strict=True)),
                              float(chain["ce_volume"][last][near].sum()), symbol)  # fmt: skip
            quoted = last & (chain["ce_ltp"] > 0) & (chain["pe_ltp"] > 0)
            quoted &= (chain["ce_volume"] > 1000) & (chain["pe_volume"] > 1000)
            row |= smile_stats(chain["strike"][quoted], chain["ce_ltp"][quoted],
                               chain["pe_ltp"][quoted], float(chain["spot"][last][0]))  # fmt: skip
            found[f"{symbol} {day}"] = row
    return found


def generated_chains(seeds: tuple[int, ...]) -> Sample:
    """The chains of the same days, 101 strikes."""
    found = {}
    for symbol in STEPS:
        for day, seed in zip(CHAIN_DAYS, seeds, strict=False):
            whole = tick_day(symbol, day, seed=seed, strikes=101)
            found[f"{symbol} {day}"] = _generated_chain(whole, symbol)
    return found


def _generated_chain(day: TickDay, symbol: str) -> Row:
    count = len(day.instruments)
    volume, middle = np.zeros(count), np.zeros(count)
    spots = []
    for ticks, _ in day:
        spots.append(float(ticks["price"][ticks["instrument"] == 0].mean()))
        volume[ticks["instrument"]] = ticks["volume"]  # the last one stays
        noon = between(ticks, (9 * 60 + 15, 12 * 60))
        middle[noon["instrument"]] = (noon["bid"] + noon["ask"]) / 200
    spot = float(np.mean(spots))
    calls, puts = day.instruments[2::2], day.instruments[3::2]
    strikes = np.array([option.strike / 100 for option in calls])
    both = {c.strike: volume[c.index] + volume[p.index] for c, p in zip(calls, puts, strict=True)}
    step = STEPS[symbol][0]
    near = [c for c in calls if abs(c.strike - spot) <= REACH * step]
    row = chain_stats(spot, both, float(sum(volume[c.index] for c in near)), symbol)
    return row | smile_stats(strikes, _of(middle, calls), _of(middle, puts), spot / 100)


def _of(values: Any, options: tuple[TickInstrument, ...]) -> Any:
    return np.array([values[option.index] for option in options])


Side = Callable[[Any], Sample]
GROUPS: dict[str, tuple[str, Side, Side]] = {
    "futures": ("a future, 17 minutes at noon", recorded_futures, generated_futures),
    "index": ("an index", recorded_index, generated_index),
    "books": ("five levels of an option near two rupees, first minutes", recorded_books,
              generated_books),
    "chains": ("a chain over a day", recorded_chains, generated_chains),
}  # fmt: skip


def spans(sample: Sample) -> Iterator[tuple[str, float, float, float]]:
    """Name, mean, lowest and highest of each statistic of a sample."""
    for name in next(iter(sample.values())):
        values = [row[name] for row in sample.values()]
        yield name, float(np.mean(values)), min(values), max(values)
