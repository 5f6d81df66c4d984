"""The worst and the best that a run went through: falls of equity, and how far trades went.

A fall begins at a peak of equity and ends when equity is back at it; two falls do not overlap, and
the first of the list is the maximum drawdown of `metrics`. How far a trade went against its holder
(MAE) and for him (MFE) is the worst and best open result while it was held, before charges.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dhanfast.reports.metrics import Drawdown, trade_net
from dhanfast.reports.result import RunResult

FALLS_SHOWN = 5


def falls(result: RunResult, most: int = FALLS_SHOWN) -> list[Drawdown]:
    """The deepest falls of equity by fraction, the deepest first.

    Args:
        most: how many; there may be fewer.

    Units:
        as `Drawdown`.
    """
    equity = result.equity["equity"].astype(np.int64)
    if len(equity) == 0 or most < 1:
        return []
    times = result.equity["time_ns"]
    peak = np.maximum(np.maximum.accumulate(equity), result.capital)
    below = equity < peak
    edges = np.diff(np.concatenate(([False], below, [False])).astype(np.int8))
    starts, ends = (np.flatnonzero(edges == edge).tolist() for edge in (1, -1))
    found = []
    for start, end in zip(starts, ends, strict=True):
        top = int(peak[start])
        trough = int(start + np.argmin(equity[start:end]))
        back = int(times[end]) if end < len(equity) else None
        first = int(times[max(start - 1, 0)])
        last = int(times[-1]) if back is None else back
        amount = top - int(equity[trough])
        found.append(Drawdown(amount, amount / top, first, int(times[trough]), back, last - first))
    return sorted(found, key=lambda fall: (-fall.fraction, fall.peak_ns))[:most]


@dataclass(frozen=True)
class Excursion:
    """How far some trades went against and for their holder.

    Units:
        money in paise, mae <= 0 <= mfe; captured: gross of these trades / their MFE, a fraction.
        None without trades.
    """

    name: str
    count: int
    mae_mean: float | None
    mae_median: float | None
    mae_worst: float | None
    mfe_mean: float | None
    mfe_median: float | None
    mfe_best: float | None
    captured: float | None


def excursions(result: RunResult) -> list[Excursion]:
    """Of all trades, of those that won and of those that lost, net of charges."""
    net = trade_net(result.trades)
    chosen = (("all", np.ones(len(net), bool)), ("won", net > 0), ("lost", net < 0))
    return [_excursion(name, result.trades[mask]) for name, mask in chosen]


def _excursion(name: str, trades: NDArray[np.void]) -> Excursion:
    if len(trades) == 0:
        return Excursion(name, 0, None, None, None, None, None, None, None)
    mae, mfe = trades["mae"].astype(np.float64), trades["mfe"].astype(np.float64)
    best = float(mfe.sum())
    return Excursion(
        name=name, count=len(trades),
        mae_mean=float(mae.mean()), mae_median=float(np.median(mae)), mae_worst=float(mae.min()),
        mfe_mean=float(mfe.mean()), mfe_median=float(np.median(mfe)), mfe_best=float(mfe.max()),
        captured=float(trades["gross"].sum()) / best if best > 0 else None,
    )  # fmt: skip
