"""Whether a result that was chosen among many is more than the luck of choosing.

Returns here are of days, not yearly, unless a name says so. Nothing here knows a strategy: it sees
the days of the trials that were run, and how many there were.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

EULER_GAMMA: Final = 0.5772156649015329
BLOCKS: Final = 16
BLOCKS_MAX: Final = 20
BLOCK_DAYS_MIN: Final = 2
CHUNK: Final = 500_000  # values of a table worked on at once
VALUES_MAX: Final = 30_000_000  # splits times trials; beyond it the days are cut into fewer blocks
DAYS_MIN: Final = 3

Floats = NDArray[np.float64]
_NORMAL: Final = NormalDist()


@dataclass(frozen=True)
class Moments:
    """What the luck of a Sharpe ratio depends on.

    Attributes:
        days: how many returns. sharpe: of a day, mean / stdev (ddof 1).
        skew, kurtosis: of the returns; a normal distribution has 0 and 3.
    """

    days: int
    sharpe: float
    skew: float
    kurtosis: float


@dataclass(frozen=True)
class Deflated:
    """A Sharpe ratio against the best that as many trials without any skill would have shown.

    Attributes:
        trials: how many were tried. spread: standard deviation of their daily Sharpe ratios.
        threshold: expected best daily Sharpe ratio of as many trials without skill.
        probabilistic: probability that the true ratio is above 0, had this been the only trial.
        deflated: probability that it is above the threshold; below 0.95 it may well be luck.
    """

    trials: int
    spread: float
    sharpe: float
    threshold: float
    probabilistic: float | None
    deflated: float | None


@dataclass(frozen=True)
class Overfitting:
    """Combinatorially symmetric cross-validation of a choice.

    Attributes:
        probability: share of the splits in which the trial that was best in one half of the days
            was below the median of all in the other half. None: too few days or trials, or trials
            that are all the same, among which nothing was chosen.
        loss: share of the splits in which it lost money there.
        splits, blocks: how many. trials: that took part.
        degradation: slope of its Sharpe ratio outside over that inside; below 0: the better it
            looked, the worse it did.
    """

    probability: float | None
    loss: float | None
    splits: int
    blocks: int
    trials: int
    degradation: float | None


def moments(returns: Any) -> Moments | None:
    """What a Sharpe ratio's luck depends on; None below three days or without variance."""
    values = np.asarray(returns, np.float64)
    if len(values) < DAYS_MIN or np.ptp(values) == 0:
        return None
    centred = values - values.mean()
    variance = float((centred**2).mean())
    if variance <= 0:
        return None
    return Moments(
        days=len(values),
        sharpe=float(values.mean() / values.std(ddof=1)),
        skew=float((centred**3).mean() / variance**1.5),
        kurtosis=float((centred**4).mean() / variance**2),
    )


def probabilistic_sharpe(of: Moments, threshold: float = 0.0) -> float | None:
    """Probability that the true Sharpe ratio is above a threshold.

    Args:
        of: the returns. threshold: Sharpe ratio of a day.
    Returns:
        0..1; None where the estimate has no error (returns of two values, a degenerate case).
    Source:
        Bailey, D.H. and Lopez de Prado, M. (2012), "The Sharpe Ratio Efficient Frontier",
        Journal of Risk 15(2), equation 9.
    """
    spread = 1.0 - of.skew * of.sharpe + (of.kurtosis - 1.0) / 4.0 * of.sharpe**2
    if spread <= 1e-12:
        return None
    return float(_NORMAL.cdf((of.sharpe - threshold) * math.sqrt(of.days - 1) / math.sqrt(spread)))


def expected_best(variance: float, trials: int) -> float:
    """Expected largest Sharpe ratio among independent trials whose true ratio is 0.

    Args:
        variance: of the trials' Sharpe ratios, in the unit of the answer squared.
        trials: at least 1; the best of one is expected at 0.
    Raises:
        ValueError: fewer than one trial, or a negative variance.
    Source:
        Bailey, D.H. and Lopez de Prado, M. (2014), "The Deflated Sharpe Ratio", Journal of
        Portfolio Management 40(5), equation 1 with E[SR] = 0.
    """
    if trials < 1 or not variance >= 0:
        raise ValueError(f"trials must be at least 1 and variance not negative, were {trials}, "
                         f"{variance}")  # fmt: skip
    if trials == 1:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return float(math.sqrt(variance) * ((1.0 - EULER_GAMMA) * first + EULER_GAMMA * second))


def deflated_sharpe(of: Moments, sharpes: Sequence[float], trials: int | None = None) -> Deflated:
    """The Sharpe ratio of a chosen trial, deflated by the number of trials it was chosen among.

    Args:
        of: returns of the chosen one.
        sharpes: daily Sharpe ratios of all trials that have one.
        trials: how many were tried; None: as many as have a ratio.
    Units:
        every ratio is of a day.
    Source:
        as `expected_best`, equation 2.
    """
    count = max(1, len(sharpes) if trials is None else trials)
    spread = float(np.std(np.asarray(sharpes, np.float64), ddof=1)) if len(sharpes) > 1 else 0.0
    threshold = expected_best(spread**2, count)
    return Deflated(
        trials=count,
        spread=spread,
        sharpe=of.sharpe,
        threshold=threshold,
        probabilistic=probabilistic_sharpe(of),
        deflated=probabilistic_sharpe(of, threshold),
    )


def effective_trials(table: Any) -> float | None:
    """How many independent trials correlated ones amount to, by their mean correlation.

    Args:
        table: returns, one row a day, one column a trial.
    Returns:
        1..trials; None when fewer than two trials have variance.
    Source:
        as `expected_best`, appendix A.3: N = mean correlation + (1 - mean correlation) * M.
    """
    values = np.asarray(table, np.float64)
    values = values[:, np.ptp(values, axis=0) > 0] if values.size else values
    if values.ndim != 2 or values.shape[0] < DAYS_MIN or values.shape[1] < 2:
        return None
    count = int(values.shape[1])
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    # The sum of all correlations is the variance of the sum of the scaled columns.
    total = float((scaled.sum(axis=1) ** 2).mean())
    mean = (total - count) / (count * (count - 1))
    return min(float(count), max(1.0, mean + (1.0 - mean) * count))


def overfitting_probability(table: Any, blocks: int = BLOCKS) -> Overfitting:
    """Probability that choosing the best trial by its Sharpe ratio chose noise.

    The days are cut into blocks. For every way to take half of them, the trial with the best
    Sharpe ratio in that half is ranked among all trials in the other half.

    Args:
        table: profit, one row a day in order, one column a trial.
        blocks: even, 2..20; fewer when there are too few days for two in each, or when there are
            so many trials that it would take long (3,432 splits above 2,331 trials, 924 above
            8,741).
    Raises:
        ValueError: blocks out of range.
    Source:
        Bailey, D.H., Borwein, J., Lopez de Prado, M. and Zhu, Q.J. (2017), "The Probability of
        Backtest Overfitting", Journal of Computational Finance 20(4), section 2.3. Trials with
        equal ratios share their mean rank.
    """
    if blocks % 2 or not 2 <= blocks <= BLOCKS_MAX:
        raise ValueError(f"blocks must be even and in 2..{BLOCKS_MAX}, was {blocks}")
    values = np.asarray(table, np.float64)
    days, trials = values.shape
    blocks = min(blocks, days // BLOCK_DAYS_MIN // 2 * 2)
    if blocks < 2 or trials < 2 or (values == values[:, :1]).all():
        return Overfitting(None, None, 0, 0, trials, None)
    while blocks > 12 and math.comb(blocks, blocks // 2) * trials > VALUES_MAX:
        blocks -= 2
    halves = _halves(blocks)
    parts = np.array_split(values, blocks)
    sums = np.array([part.sum(axis=0) for part in parts])
    squares = np.array([(part**2).sum(axis=0) for part in parts])
    counts = np.array([float(len(part)) for part in parts])
    whole = (counts.sum(), sums.sum(axis=0), squares.sum(axis=0))
    step = max(1, CHUNK // trials)
    ranks, inside, outside = [], [], []
    for at in range(0, len(halves), step):
        mine = halves[at : at + step]
        n, total, square = (mine @ counts)[:, None], mine @ sums, mine @ squares
        best_out = _ratios(whole[0] - n, whole[1] - total, whole[2] - square)
        best_in = _ratios(n, total, square)
        chosen = np.argmax(best_in, axis=1)
        rows = np.arange(len(mine))
        got = best_out[rows, chosen]
        below = (best_out < got[:, None]).sum(axis=1)
        equal = (best_out == got[:, None]).sum(axis=1)
        ranks.append((below + (equal + 1) / 2.0) / (trials + 1.0))
        inside.append(best_in[rows, chosen])
        outside.append(got)
    return _judged(np.concatenate(ranks), np.concatenate(inside), np.concatenate(outside),
                   blocks, trials)  # fmt: skip


def _judged(
    ranks: Floats, inside: Floats, outside: Floats, blocks: int, trials: int
) -> Overfitting:
    slope = None
    if np.ptp(inside) > 0:
        centred = inside - inside.mean()
        slope = float((centred * outside).sum() / (centred**2).sum())
    return Overfitting(
        probability=float((ranks <= 0.5).mean()),
        loss=float((outside < 0).mean()),
        splits=len(ranks),
        blocks=blocks,
        trials=trials,
        degradation=slope,
    )


def _halves(blocks: int) -> Floats:
    """Every choice of half of the blocks: one row a choice, 1 where a block is taken."""
    chosen = list(itertools.combinations(range(blocks), blocks // 2))
    mask = np.zeros((len(chosen), blocks))
    mask[np.arange(len(chosen))[:, None], np.array(chosen)] = 1.0
    return mask


def _ratios(n: Floats, total: Floats, spread: Floats) -> Floats:
    """Sharpe ratio of each trial from how many days, their sum and the sum of their squares; 0
    without variance. The sums are used up."""
    mean = np.divide(total, n, out=total)
    square = mean**2
    spread -= square * n
    spread /= n - 1.0
    # What is left of cancellation where every day is the same is not a variance.
    square *= 1e-12
    square += 1e-12
    flat = spread <= square
    spread[flat] = 1.0
    np.sqrt(spread, out=spread)
    mean /= spread
    mean[flat] = 0.0
    return mean
