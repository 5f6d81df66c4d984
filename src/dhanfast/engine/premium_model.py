"""Option premiums where none were recorded: the level of volatility of a day, a smile, a rate.

    level = at_money x (India VIX at the close before) x (sigma of the underlying / sigma of NIFTY)
    volatility(x) = level (1 + slope x + bend x^2),  x = ln(K/F) / (level sqrt T)

Years are counted by the trading clock: a minute of a session weighs its share of the day, a night
0.4 of a day (the index's gaps of 2021 and 2022 have 0.35 to 0.70 of the variance of its sessions),
and a year is 252 of both. By the calendar an option would lose hardly any of its time value while
the market moves, and everything that is sold in the morning and bought back at night would lose.

sigma is the deviation of daily log returns over the 60 closes before: India VIX is NIFTY's, and a
wider index has dearer options. Nothing of the day itself is looked at but the index's bars, so a
model never knows more than a trader did. What it leaves out: how volatility moves within a day, its
slope over expiries, spreads, what an illiquid strike costs. `scripts/model-error` measures it
against recorded premiums; docs/reference/options-backtest.md has the figures.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from math import log
from pathlib import Path
from statistics import stdev
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dhanfast.errors import BadData, UsageError
from dhanfast.market.calendar import TradingDay
from dhanfast.storage.bars import BarSet, read_bars
from dhanfast.storage.stamps import DAY_NS, IST_OFFSET_NS

VIX: Final = "INDIAVIX"
NIGHT: Final = 0.4  # what a night weighs in variance, as a share of a trading day
DAYS_A_YEAR: Final = 252
VIX_OF: Final = "NIFTY"  # the index whose options it is made of
RETURNS: Final = 60
RATIO_LEAST: Final = 0.7
RATIO_MOST: Final = 2.5
STALE_DAYS: Final = 12  # calendar days that the last close may lie back

# Source: RBI's policy repo rate, a proxy of the overnight rate (spec section 8, confidence C).
REPO: Final = (
    ("2019-02-07", 6.25),
    ("2019-04-04", 6.00),
    ("2019-06-06", 5.75),
    ("2019-08-07", 5.40),
    ("2019-10-04", 5.15),
    ("2020-03-27", 4.40),
    ("2020-05-22", 4.00),
    ("2022-05-04", 4.40),
    ("2022-06-08", 4.90),
    ("2022-08-05", 5.40),
    ("2022-09-30", 5.90),
    ("2022-12-07", 6.25),
    ("2023-02-08", 6.50),
    ("2025-02-07", 6.25),
    ("2025-04-09", 6.00),
    ("2025-06-06", 5.50),
    ("2025-12-05", 5.25),
)


@dataclass(frozen=True, slots=True)
class SmileShape:
    """A smile that keeps its shape while its level moves.

    The numbers are of least squares on the closes of NSE's report of 2025-11-14, NIFTY and
    BANKNIFTY, seven expiries of 4 to 46 days: at the money 0.85 to 0.95 of the expiry's own
    volatility index, slope -0.02 to -0.07, bend 0.040 to 0.060.
    """

    at_money: float = 0.90
    slope: float = -0.045
    bend: float = 0.048


def rate_on(on: date) -> float:
    """The rate a year, continuous, that premiums are discounted at.

    Raises:
        UsageError: before the table.
    """
    at = bisect_right(REPO, (on.isoformat(), 1e9)) - 1
    if at < 0:
        raise UsageError(f"no interest rate is known on {on}: the table begins {REPO[0][0]}")
    return log(1.0 + REPO[at][1] / 100.0)


def years_left(day: TradingDay, days: int, at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Years by the trading clock from moments of a day to an expiry.

    Args:
        day: with its hours. days: trading days from it to the expiry.
        at_ns: moments of that day, UTC ns.

    Shape:
        float64, one a moment; 0 at the close of the expiry day.
    """
    left = np.zeros(len(at_ns))
    for opens, closes in day.windows:
        left += np.clip(closes - np.maximum(at_ns, opens), 0, None)
    share = left / sum(closes - opens for opens, closes in day.windows)
    years: NDArray[np.float64] = (share + days * (1.0 + NIGHT)) / (DAYS_A_YEAR * (1.0 + NIGHT))
    return years


@dataclass(frozen=True)
class Volatilities:
    """Daily closes that the level of a day follows from.

    Attributes:
        vix, index, base: close by date: India VIX in percent, the underlying and NIFTY in rupees.
        sources: what was read, as a result shows it.
    """

    underlying: str
    vix: Mapping[date, float]
    index: Mapping[date, float]
    base: Mapping[date, float]
    shape: SmileShape = field(default_factory=SmileShape)
    sources: tuple[dict[str, Any], ...] = ()

    def level(self, on: date) -> float:
        """Volatility at the forward on a day, by what was known before it; a fraction a year.

        Raises:
            BadData: no close of India VIX in the days before, or too few of an index.
        """
        vix = _before(self.vix, on, VIX)
        ratio = 1.0
        if self.underlying != VIX_OF:
            ratio = _deviation(self.index, on, self.underlying) / _deviation(self.base, on, VIX_OF)
        ratio = min(max(ratio, RATIO_LEAST), RATIO_MOST)
        return self.shape.at_money * vix / 100.0 * ratio


def read_volatilities(path: str | Path, underlying: str) -> Volatilities:
    """Daily bars of INDIAVIX, and for another index than NIFTY of it and of NIFTY, in one file.

    Raises:
        BadData, UsageError: see `read_bars`; bars that are not daily.
    """
    names = [VIX] if underlying == VIX_OF else [VIX, VIX_OF, underlying]
    sets = {name: read_bars(path, symbol=name) for name in names}
    for name, bars in sets.items():
        if bars.interval_ns != DAY_NS:
            raise BadData(
                f"{path}: {name} has bars of {bars.timeframe}; the level of a day follows "
                "from daily closes"
            )
    vix = _closes(sets[VIX])
    base = _closes(sets[VIX_OF]) if VIX_OF in sets else {}
    return Volatilities(
        underlying,
        vix,
        base if underlying == VIX_OF else _closes(sets[underlying]),
        base,
        sources=tuple(
            {
                "symbol": name,
                "rows": len(bars.bars),
                "sources": [{"name": one.name, "sha256": one.sha256} for one in bars.sources],
            }
            for name, bars in sets.items()
        ),
    )


def _closes(bars: BarSet) -> dict[date, float]:
    days = (bars.bars["start_ns"] + IST_OFFSET_NS) // DAY_NS
    dates = days.astype("datetime64[D]").astype(object)
    return dict(zip(dates.tolist(), (bars.bars["close"] / 100.0).tolist(), strict=True))


def _before(closes: Mapping[date, float], on: date, name: str) -> float:
    known = [day for day in closes if day < on]
    last = max(known, default=None)
    if last is None or (on - last).days > STALE_DAYS:
        raise BadData(
            f"{name}: no close within {STALE_DAYS} days before {on}; the last is of "
            f"{last}. Bring daily bars that reach it"
        )
    return closes[last]


def _deviation(closes: Mapping[date, float], on: date, name: str) -> float:
    known = sorted(day for day in closes if day < on)[-RETURNS - 1 :]
    if len(known) <= RETURNS // 2 or (on - known[-1]).days > STALE_DAYS:
        raise BadData(
            f"{name}: {len(known)} daily closes before {on}; {RETURNS // 2} recent ones are needed"
        )
    prices = [closes[day] for day in known]
    return stdev(log(b / a) for a, b in pairwise(prices))
