"""Where a volatility stands in its own past: rank and percentile.

    rank       = 100 (v - least) / (most - least)     of the past days and today
    percentile = 100 (count of past days below v) / days

Two different figures: one spike years ago makes a rank low for long, and moves a percentile by one
day. Neither is given for a history shorter than asked for.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from dhanfast.errors import BadData, UsageError

WINDOWS: Final = (30, 90, 252)  # sessions


class Standing(NamedTuple):
    """Rank and percentile of a volatility among the past `days` sessions, 0 to 100."""

    days: int
    rank: float  # NaN where nothing ever moved
    percentile: float
    least: float
    most: float


def standing(history: ArrayLike, value: float, days: int = 252) -> Standing:
    """Rank and percentile of today's volatility.

    Args:
        history: one volatility a session, oldest first, today's not among them.
        value: today's.
        days: sessions that count, the last ones.

    Raises:
        BadData: fewer sessions than `days`.
        UsageError: days below 2, or not whole; a volatility that is not above 0.
    """
    past = np.asarray(history, dtype=np.float64)
    if days < 2 or days != int(days) or past.ndim != 1:
        raise UsageError(f"days is {days}, history of shape {past.shape}: give 2 days or more, "
                         "and one volatility a session")  # fmt: skip
    if len(past) < days:
        raise BadData(f"the history has {len(past)} sessions: rank and percentile over {days} need "
                      f"{days - len(past)} more")  # fmt: skip
    days = int(days)
    past = past[-days:]
    if not (value > 0.0 and np.isfinite(value) and (past > 0.0).all() and np.isfinite(past).all()):
        raise UsageError("a volatility is not a number above 0")
    least, most = min(float(past.min()), value), max(float(past.max()), value)
    rank = 100.0 * ((value - least) / (most - least)) if most > least else float("nan")
    below = 100.0 * int(np.count_nonzero(past < value)) / days
    return Standing(days, rank, below, least, most)
