"""Monte-Carlo of a run's trades: how much of its result and its worst fall was their order."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

RUNS: Final = 2_000
RUNS_MAX: Final = 1_000_000
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
CHUNK: Final = 2_000_000  # trades drawn at once
KINDS: Final = ("bootstrap", "shuffle")


@dataclass(frozen=True)
class Resampled:
    """Distributions over resampled orders of the same trades.

    Attributes:
        kind: bootstrap draws trades with replacement; shuffle only changes their order, so the
            final net is the same in every run.
        runs: how many. trades: in each.
        net, drawdown: {quantile: paise}; a drawdown is a fall from the peak so far, >= 0.
        loss: share of the runs that end below 0.
        deeper: share of the runs with a deeper fall than the trades had in their own order.
    """

    kind: str
    runs: int
    trades: int
    seed: int
    net: dict[float, float]
    drawdown: dict[float, float]
    loss: float
    deeper: float


def resample(net: Any, *, kind: str, runs: int = RUNS, seed: int = 0) -> Resampled | None:
    """Resample the trades of a run.

    Args:
        net: of each trade in order, paise after charges.
        kind: bootstrap or shuffle.
        runs: 1..1,000,000.
        seed: equal seeds give equal figures.
    Returns:
        None when there are fewer than two trades.
    Raises:
        ValueError: an unknown kind, or too many runs.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, was {kind!r}")
    if not 1 <= runs <= RUNS_MAX:
        raise ValueError(f"runs must be in 1..{RUNS_MAX}, was {runs}")
    trades = np.rint(np.asarray(net, np.float64))  # whole paise: their sums are exact
    count = len(trades)
    if count < 2:
        return None
    random = np.random.Generator(np.random.PCG64(seed))
    step = max(1, CHUNK // count)
    ends, falls = [], []
    for at in range(0, runs, step):
        size = min(step, runs - at)
        if kind == "bootstrap":
            drawn = trades[random.integers(0, count, (size, count))]
        else:
            drawn = random.permuted(np.broadcast_to(trades, (size, count)), axis=1)
        end, fall = _walked(drawn)
        ends.append(end)
        falls.append(fall)
    end, fall = np.concatenate(ends), np.concatenate(falls)
    own = float(_walked(trades[None, :])[1][0])
    return Resampled(
        kind=kind,
        runs=runs,
        trades=count,
        seed=seed,
        net={q: float(np.quantile(end, q)) for q in QUANTILES},
        drawdown={q: float(np.quantile(fall, q)) for q in QUANTILES},
        loss=float((end < 0).mean()),
        deeper=float((fall > own).mean()),
    )


def _walked(
    drawn: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where each row ends, and its deepest fall from the peak so far, the start included."""
    path = np.cumsum(drawn, axis=1)
    peak = np.maximum(np.maximum.accumulate(path, axis=1), 0.0)
    return path[:, -1], (peak - path).max(axis=1)
