"""The trades of a run taken apart: by why they began and ended, side, hour, weekday, month, days to
expiry and level of India VIX at their entry.

Each table covers all trades once, so its rows add up to the run. Months come from the days'
mark-to-market equity, so they add up to final equity - capital.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dhanfast.reports import figures
from dhanfast.reports.metrics import UPAISE, daily_pnl, trade_net
from dhanfast.reports.result import RunResult

EXPIRY_EDGES = (0, 1, 2, 3, 5, 8, 15, 31)  # calendar days; each begins a band
VIX_EDGES = (0, 12, 15, 20, 25, 35)  # points; each begins a band


@dataclass(frozen=True)
class Group:
    """Trades that share something.

    Units:
        net (of unrounded charges) and expectancy in paise; win_rate and share as fractions.
    """

    name: str
    count: int
    wins: int
    losses: int
    win_rate: float
    net: float
    expectancy: float
    held_mean_ns: float


@dataclass(frozen=True)
class Month:
    """One calendar month of equity.

    Units:
        pnl and charges in paise; fraction of the equity the month began with, None when that
        was not positive.
    """

    year: int
    month: int
    days: int
    trades: int
    gross: int
    charges: int
    pnl: int
    fraction: float | None


def _grouped(result: RunResult, keys: NDArray[np.int64], names: dict[int, str]) -> list[Group]:
    net = trade_net(result.trades)
    held = result.trades["exit_ns"] - result.trades["entry_ns"]
    rows = []
    for key in np.unique(keys).tolist():
        mine = keys == key
        part = net[mine]
        count, total = len(part), int(part.sum())
        rows.append(
            Group(
                name=names[key],
                count=count,
                wins=int((part > 0).sum()),
                losses=int((part < 0).sum()),
                win_rate=float((part > 0).mean()),
                net=total / UPAISE,
                expectancy=total / UPAISE / count,
                held_mean_ns=float(held[mine].mean()),
            )
        )
    return rows


def by_exit_reason(result: RunResult) -> list[Group]:
    """Trades by why they ended, the most frequent reason first."""
    keys = result.trades["exit_reason"].astype(np.int64)
    names = {code: figures.reason_name(code) for code in np.unique(keys).tolist()}
    return sorted(_grouped(result, keys, names), key=lambda row: (-row.count, row.name))


def by_hour(result: RunResult) -> list[Group]:
    """Trades by the Indian hour of their entry: "09:00" holds 09:00:00 to 09:59:59."""
    keys = figures.ist_hours(result.trades["entry_ns"])
    return _grouped(result, keys, {hour: f"{hour:02d}:00" for hour in range(24)})


def by_weekday(result: RunResult) -> list[Group]:
    """Trades by the weekday of their entry, Monday first."""
    keys = (figures.ist_days(result.trades["entry_ns"]) + 3) % 7  # 1970-01-01 was a Thursday
    return _grouped(result, keys, dict(enumerate(figures.WEEKDAYS)))


def by_side(result: RunResult) -> list[Group]:
    """Trades by direction."""
    keys = result.trades["side"].astype(np.int64)
    return _grouped(result, keys, {1: "long", -1: "short", 0: "none"})


def by_entry_reason(result: RunResult) -> list[Group]:
    """Trades by why they began, the most frequent reason first."""
    keys = result.trades["entry_reason"].astype(np.int64)
    names = {code: figures.reason_name(code) for code in np.unique(keys).tolist()}
    return sorted(_grouped(result, keys, names), key=lambda row: (-row.count, row.name))


def by_expiry(result: RunResult) -> list[Group]:
    """Trades by calendar days from their entry to the expiry of their contract, the nearest first.

    What has no expiry comes last.
    """
    expiry = result.trades["contract"]
    known = expiry > 0
    dates = np.where(known, expiry, 19700101).astype(np.int32)
    away = figures.ordinal_days(dates) - figures.ist_days(result.trades["entry_ns"])
    keys = np.searchsorted(EXPIRY_EDGES, away, side="right") - 1
    keys = np.where(known & (away >= 0), keys, len(EXPIRY_EDGES)).astype(np.int64)
    names = dict(enumerate([*_ranges(EXPIRY_EDGES, " days"), "no expiry"]))
    names[0], names[1] = "expiry day", "1 day"
    return _grouped(result, keys, names)


def by_vix(
    result: RunResult, known_ns: NDArray[np.int64], levels: NDArray[np.float64]
) -> list[Group]:
    """Trades by the level of India VIX that was known when they began, the lowest first.

    Args:
        known_ns: UTC ns from when each level was known (the end of its bar), ascending.
        levels: India VIX, points.

    Raises:
        ValueError: times and levels are not of one length, or times do not ascend.
    """
    if len(known_ns) != len(levels) or (np.diff(known_ns) < 0).any():
        raise ValueError("levels need one ascending time each")
    at = np.searchsorted(known_ns, result.trades["entry_ns"], side="right") - 1
    level = np.where(at >= 0, levels[np.maximum(at, 0)] if len(levels) else np.nan, np.nan)
    keys = np.searchsorted(VIX_EDGES, level, side="right") - 1
    keys = np.where(np.isnan(level), len(VIX_EDGES), keys).astype(np.int64)
    bands = [f"{low} to {high}" for low, high in itertools.pairwise(VIX_EDGES)]
    names = dict(enumerate([*bands, f"{VIX_EDGES[-1]} and more", "not known"]))
    names[0] = f"below {VIX_EDGES[1]}"
    return _grouped(result, keys, names)


def _ranges(edges: tuple[int, ...], unit: str) -> list[str]:
    names = []
    for low, high in itertools.pairwise(edges):
        names.append(f"{low}{unit}" if high == low + 1 else f"{low} to {high - 1}{unit}")
    return [*names, f"{edges[-1]}{unit} and more"]


def by_month(result: RunResult) -> list[Month]:
    """Calendar months in order; the fraction is on the equity the month began with."""
    days = result.days
    pnl = daily_pnl(result)
    keys = days["date"].astype(np.int64) // 100
    rows: list[Month] = []
    start = result.capital
    for key in np.unique(keys).tolist():
        mine = keys == key
        gained = int(pnl[mine].sum())
        rows.append(
            Month(
                year=key // 100,
                month=key % 100,
                days=int(mine.sum()),
                trades=int(days["trades"][mine].sum()),
                gross=int(days["gross"][mine].sum()),
                charges=int(days["charges"][mine].sum()),
                pnl=gained,
                fraction=gained / start if start > 0 else None,
            )
        )
        start += gained
    return rows
