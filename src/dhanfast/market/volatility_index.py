"""India VIX's formula on any chain: the variance that options of all strikes price together.

NSE computes India VIX from NIFTY's near and next monthly chains by CBOE's method with a future as
the forward, a filter on spreads, and a natural cubic spline over the quotes that fail it. Of
another underlying, or from last prices, the figure is not India VIX: call it something else.

Source:
    NSE, "India VIX: computation methodology" (white paper); CBOE, "VIX: volatility index" (2009).
"""

from dataclasses import dataclass
from math import exp, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dhanfast.errors import BadData, UsageError

SPREAD_MAX: Final = 0.30  # of the mid: a wider quote is not used
YEAR_MINUTES: Final = 525_600.0
MONTH_MINUTES: Final = 43_200.0  # 30 days
USABLE_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class Variance:
    """What one expiry's options say of its variance.

    Units:
        variance a year, as a fraction squared: 0.0225 is 15 %; years to the expiry.
    """

    variance: float  # never below 0
    years: float
    floor_strike: float  # the strike at or just below the forward
    used: int  # strikes in the sum
    filled: int  # of them, those that the spline had to give
    clamped: bool  # the formula gave less than 0


def model_free_variance(
    strike: ArrayLike,
    call_bid: ArrayLike,
    call_ask: ArrayLike,
    put_bid: ArrayLike,
    put_ask: ArrayLike,
    forward: float,
    years: float,
    rate: float = 0.0,
    *,
    spread_max: float = SPREAD_MAX,
) -> Variance:
    """Variance of one expiry from its options out of the money.

        (2/T) sum dK/K^2 e^(rate T) Q(K) - (F/K0 - 1)^2 / T

    Args:
        strike: ascending.
        call_bid, call_ask, put_bid, put_ask: best quotes, a strike; 0 where there is none. Last
            prices on both sides are taken as a quote without a spread.
        forward: the future of this expiry.
        years: to expiry; NSE counts minutes / 525,600.
        rate: continuous, of this tenor.
        spread_max: widest usable spread, as a share of the mid.

    Raises:
        UsageError: strikes that do not ascend; shapes that differ; forward, years or spread_max
            not positive.
        BadData: no strike at or below the forward, or too few usable quotes.
    """
    if not (0.0 < forward < 1e100 and 0.0 < years < 1e4 and spread_max > 0.0):
        raise UsageError(
            f"forward {forward}, years {years}, spread_max {spread_max}: all must be above 0"
        )
    k = _column("strike", strike, None)
    if not (np.diff(k) > 0.0).all() or (k <= 0.0).any():
        raise UsageError("strike does not ascend from above 0: sort the chain, one row a strike")
    call, call_fits = _mid("call", call_bid, call_ask, len(k), spread_max)
    put, put_fits = _mid("put", put_bid, put_ask, len(k), spread_max)
    at = int(np.searchsorted(k, forward, side="right")) - 1
    if at < 0:
        raise BadData(f"no strike at or below the forward {forward}: the chain begins too high")
    side = np.arange(len(k)) - at
    quote = np.where(side < 0, put, np.where(side > 0, call, 0.5 * (put + call)))
    fits = np.where(side < 0, put_fits, np.where(side > 0, call_fits, put_fits & call_fits))
    floor_strike, (k, quote, fits) = float(k[at]), _between_usable(k, quote, fits)
    if not fits.all():
        quote[~fits] = np.maximum(spline(k[fits], quote[fits], k[~fits]), 0.0)
    width = np.empty(len(k))
    width[1:-1] = 0.5 * (k[2:] - k[:-2])
    width[0], width[-1] = k[1] - k[0], k[-1] - k[-2]
    total = 2.0 / years * exp(rate * years) * float(np.sum(width / (k * k) * quote))
    total -= (forward / floor_strike - 1.0) ** 2 / years
    filled = int(np.count_nonzero(~fits))
    return Variance(max(total, 0.0), years, floor_strike, len(k), filled, total < 0.0)


def volatility_index(near: Variance, following: Variance) -> float:
    """The 30-day index of two expiries' variances, in percent.

    Interpolates total variance to 43,200 minutes; extrapolates when both lie on one side. Negative
    variance from extrapolation counts as 0.

    Args:
        near, following: of `model_free_variance`, the shorter first.

    Raises:
        UsageError: the second does not expire after the first.
    """
    minutes, later = near.years * YEAR_MINUTES, following.years * YEAR_MINUTES
    if not later > minutes:
        raise UsageError(
            f"following expires in {following.years:.6g} years, near in {near.years:.6g}: give the "
            "shorter first"
        )
    total = near.years * near.variance * (later - MONTH_MINUTES)
    total += following.years * following.variance * (MONTH_MINUTES - minutes)
    return 100.0 * sqrt(max(total / (later - minutes), 0.0) * YEAR_MINUTES / MONTH_MINUTES)


def spline(x: NDArray[Any], y: NDArray[Any], at: NDArray[Any]) -> NDArray[np.float64]:
    """Natural cubic spline through points, at places between the first and the last.

    Args:
        x: ascending, two at least.
        y: values there.
        at: where.

    Source:
        Second derivatives by the tridiagonal system of continuity, zero at both ends.
    """
    n, step = len(x), np.diff(x)
    slope = np.diff(y) / step
    bend, over = np.zeros(n), np.zeros(n)
    for i in range(1, n - 1):  # down the three diagonals, then up
        pivot = 2.0 * (step[i - 1] + step[i]) - step[i - 1] * over[i - 1]
        over[i] = step[i] / pivot
        bend[i] = (6.0 * (slope[i] - slope[i - 1]) - step[i - 1] * bend[i - 1]) / pivot
    for i in range(n - 2, 0, -1):
        bend[i] -= over[i] * bend[i + 1]
    place = np.clip(np.searchsorted(x, at) - 1, 0, n - 2)
    h = step[place]
    u, v = (x[place + 1] - at) / h, (at - x[place]) / h
    found: NDArray[np.float64] = (
        u * y[place]
        + v * y[place + 1]
        + h * h / 6.0 * ((u**3 - u) * bend[place] + (v**3 - v) * bend[place + 1])
    )
    return found


def _column(name: str, values: ArrayLike, length: int | None) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    if array.ndim != 1 or (length is not None and len(array) != length):
        raise UsageError(f"{name} has shape {array.shape}: give one number a strike")
    return array


def _between_usable(
    k: NDArray[np.float64], quote: NDArray[np.float64], fits: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """From the first usable quote to the last."""
    usable = np.flatnonzero(fits)
    if len(usable) < USABLE_MIN:
        raise BadData(f"{len(usable)} usable quotes: the formula needs {USABLE_MIN} at least")
    part = slice(usable[0], usable[-1] + 1)
    return k[part], quote[part], fits[part]


def _mid(
    name: str, bid: ArrayLike, ask: ArrayLike, length: int, spread_max: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mid prices, and which of them come from a usable quote."""
    low, high = _column(f"{name}_bid", bid, length), _column(f"{name}_ask", ask, length)
    mid = 0.5 * (low + high)
    fits = (low > 0.0) & (high >= low) & (high < 1e100) & (high - low <= spread_max * mid)
    return mid, fits
