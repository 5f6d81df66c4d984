"""The charts' data: thinned where it must be, never so that a fall disappears, and packed.

Equity is thinned by buckets of rows; of each bucket its first and last rows, its highest and
lowest equity and its deepest drawdown are kept, so every extreme of the curve is drawn. Prices
keep every bar up to BARS_MAX; beyond, whole bars are merged (highest high, lowest low, last close).
Numbers travel as base64 of little-endian arrays: half the size of digits, and no time to print.
"""

import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dhanfast.reports import metrics
from dhanfast.reports.result import RunResult

EQUITY_BUCKETS = 1_500
BARS_MAX = 120_000
TRADES_MAX = 3_000


def packed(values: NDArray[Any]) -> dict[str, Any]:
    """Pack an array for the page: its type ("i2", "i4", "f4", "f8") and base64 of its bytes."""
    wire = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    text = binascii.b2a_base64(wire.tobytes(), newline=False).decode("ascii")
    return {"t": wire.dtype.str[1:], "b": text}


def steps(values: NDArray[np.int64]) -> dict[str, Any]:
    """Pack whole numbers as differences from the one before, in the narrowest type that holds them.

    Args:
        values: int64; the first difference is from 0.
    """
    return narrow(np.diff(values, prepend=np.int64(0)))


def narrow(values: NDArray[np.int64]) -> dict[str, Any]:
    """Pack whole numbers in the narrowest of int16, int32 and float64 that holds them all.

    A wide outlier (the first price, an overnight gap) does not widen the rest: up to 1 % of the
    values, and 16 at least, travel apart as positions and values.
    """
    small = values.astype(np.int16)
    wide = np.flatnonzero(small != values)
    if len(wide) <= max(16, len(values) // 100):
        small[wide] = 0
        out = packed(small)
        out["at"], out["is"] = wide.tolist(), values[wide].tolist()
        return out
    fits = np.abs(values).max(initial=0) < 2**31
    return packed(values.astype(np.int32 if fits else np.float64))


def kept_rows(equity: NDArray[np.int64], falls: NDArray[np.float64], buckets: int) -> Any:
    """Rows of an equity curve to draw: all of a short one, the extremes of each bucket of a long.

    Args:
        equity: paise.
        falls: drawdown at each row.
        buckets: how many; up to five rows are kept of each.

    Shape:
        sorted int64 indices without repetition; the first and last row are always in.
    """
    count = len(equity)
    if count <= 5 * buckets:
        return np.arange(count)
    size = -(-count // buckets)
    whole = count // size
    body = slice(0, whole * size)
    base = np.arange(whole) * size
    high, low = equity[body].reshape(whole, size), falls[body].reshape(whole, size)
    rows = [base, base + size - 1, base + high.argmax(1), base + high.argmin(1)]
    rows.append(base + low.argmax(1))
    if whole * size < count:
        tail = np.arange(whole * size, count)
        ends = [tail[0], tail[-1], tail[equity[tail].argmax()], tail[equity[tail].argmin()]]
        rows.append(np.array([*ends, tail[falls[tail].argmax()]]))
    return np.unique(np.concatenate(rows))


def equity_series(result: RunResult) -> dict[str, Any]:
    """The equity curve and its drawdown for the page.

    Units:
        `row` number of the row in equity.parquet, `time` UTC seconds, `value` paise, `fall`
        fraction.
    """
    equity = result.equity["equity"].astype(np.int64)
    falls = metrics.drawdowns(result)
    kept = kept_rows(equity, falls, EQUITY_BUCKETS)
    return {
        "rows": len(equity),
        "row": packed(kept.astype(np.int32)),
        "time": packed((result.equity["time_ns"][kept] // 1_000_000_000).astype(np.float64)),
        "value": packed(equity[kept].astype(np.float64)),
        "fall": packed(falls[kept].astype(np.float32)),
        "capital": result.capital,
    }


def time_runs(seconds: NDArray[np.int64]) -> list[list[int]]:
    """Write stamps as runs of equal steps: [first, step, count], a day of minutes being one run."""
    if len(seconds) == 0:
        return []
    gaps = np.diff(seconds)
    step = int(np.median(gaps[:1000])) if len(gaps) else 60
    starts = np.concatenate(([0], np.flatnonzero(gaps != step) + 1))
    counts = np.diff(np.append(starts, len(seconds)))
    runs: list[list[int]] = [
        [first, step, count]
        for first, count in zip(seconds[starts].tolist(), counts.tolist(), strict=True)
    ]
    return runs


def merged_bars(bars: NDArray[Any], most: int) -> tuple[NDArray[Any], int]:
    """Merge whole bars until at most `most` are left; returns them and how many make one."""
    size = -(-len(bars) // most) if len(bars) else 1
    if size <= 1:
        return bars, 1
    firsts = np.arange(0, len(bars), size)
    lasts = np.append(firsts[1:], len(bars)) - 1
    merged = bars[firsts].copy()
    merged["close"] = bars["close"][lasts]
    merged["high"] = np.maximum.reduceat(bars["high"], firsts)
    merged["low"] = np.minimum.reduceat(bars["low"], firsts)
    return merged, size


def price_series(result: RunResult) -> dict[str, Any] | None:
    """High, low and close of the traded instrument for the page; None when there are no bars.

    Units:
        paise: `close` as steps, `up` = high - close, `down` = close - low; `runs` of bar starts in
        UTC seconds.
    """
    if result.bars is None or len(result.bars) == 0:
        return None
    bars, size = merged_bars(result.bars, BARS_MAX)
    close, high, low = (bars[name].astype(np.int64) for name in ("close", "high", "low"))
    up, down = high - close, close - low
    return {
        "merged": size,
        "runs": time_runs(bars["start_ns"] // 1_000_000_000),
        "close": steps(close),
        "up": narrow(up),
        "down": narrow(down),
    }


def trade_rows(result: RunResult) -> dict[str, Any]:
    """The first TRADES_MAX trades by column, for the list and the marks on the price.

    Units:
        times UTC seconds, money in paise (charges and net rounded to the paisa), `from` and `to`
        number of the bar on the price chart.
    """
    trades = result.trades[:TRADES_MAX]
    net = metrics.trade_net(trades)
    charges = metrics.trade_charges(trades)
    qty = np.maximum(trades["qty"], 1)
    out = {
        "total": len(result.trades),
        "side": trades["side"].tolist(),
        "enter": (trades["entry_ns"] // 1_000_000_000).tolist(),
        "leave": (trades["exit_ns"] // 1_000_000_000).tolist(),
        "qty": trades["qty"].tolist(),
        "entry": np.rint(trades["entry_value"] / qty).astype(np.int64).tolist(),
        "exit": np.rint(trades["exit_value"] / qty).astype(np.int64).tolist(),
        "gross": trades["gross"].tolist(),
        "charges": np.rint(charges / metrics.UPAISE).astype(np.int64).tolist(),
        "net": np.rint(net / metrics.UPAISE).astype(np.int64).tolist(),
        "contract": trades["contract"].tolist(),
        "why": trades["exit_reason"].tolist(),
    }
    if result.contracts:
        out["name"] = [result.contracts.get(number, "") for number in trades["instrument"].tolist()]
    if result.bars is not None and len(result.bars):
        starts = merged_bars(result.bars, BARS_MAX)[0]["start_ns"]
        for name, field in (("from", "entry_ns"), ("to", "exit_ns")):
            # a fill at a bar's very end belongs to that bar and not to the next day's first
            at = np.searchsorted(starts, trades[field] - 1, side="right") - 1
            out[name] = np.clip(at, 0, len(starts) - 1).tolist()
    return out
