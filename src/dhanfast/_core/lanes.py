"""What the tick stream of a generated day is made of: one row an instrument, and its checks.

The loop in flow.pyx trusts shapes and signs; nothing reaches it that has not passed here.
"""

from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

LANES_MAX: Final = 4096
DEPTH_LEVELS_MAX: Final = 200
DAY_NS_MAX: Final = 9 * 3600 * 1_000_000_000
MINUTE_NS: Final = 60_000_000_000
LEVEL_MAX: Final = 1e12
UINT32_MAX: Final = 2**32 - 1


class LaneKind(IntEnum):
    """What the prices of an instrument are made of."""

    INDEX = 0
    FUTURE = 1
    CALL = 2
    PUT = 3


# strike and tick in paise, volatility a year, lot in units, oi in lots; spread (ticks), size, trade
# (lots) and gap (ticks) in sixteenths. Weights by minute come beside it.
LANE_DTYPE: Final = np.dtype([
    ("strike", "<f8"), ("volatility", "<f8"), ("tick", "<i8"), ("lot", "<i8"), ("count", "<i8"),
    ("oi", "<i8"), ("kind", "<u4"), ("spread", "<u4"), ("size", "<u4"), ("trade", "<u4"),
    ("gap", "<u4"), ("spare", "<u4"),
])  # fmt: skip


def knots(points: tuple[tuple[float, float], ...], unit: float) -> tuple[int, ...]:
    """Values at probability 0, 1/64, ..., 1 of straight lines between (probability, value).

    Shape:
        65 whole numbers, each value times `unit`, rounded.
    """
    found = []
    at = 0
    for step in range(65):
        while points[at + 1][0] < step / 64:
            at += 1
        (low, below), (high, above) = points[at], points[at + 1]
        value = below + (step / 64 - low) / (high - low) * (above - below)
        found.append(int(value * unit + 0.5))
    return tuple(found)


# What a record draws from. The first five follow the recorded samples, the last is assumed.
QUANTILES: Final = {
    # between two records of a contract, of the median, 1/65536; a broker's feed has a beat
    "gap": knots(((0, 0.01), (0.03, 0.08), (0.10, 0.47), (0.25, 0.89), (0.5, 1.0), (0.75, 1.04),
                  (0.90, 1.13), (0.97, 1.6), (0.985, 3.5), (1, 13.0)), 65536),
    # the same of an index, which is broadcast at a finer beat
    "broadcast": knots(((0, 0.34), (0.03, 0.48), (0.30, 0.54), (0.34, 0.95), (0.60, 1.0),
                        (0.96, 1.04), (1, 1.3)), 65536),
    # width of a quote, of its mean, 1/4096
    "width": knots(((0, 0.5), (0.10, 0.64), (0.25, 0.80), (0.5, 0.97), (0.75, 1.20), (0.90, 1.42),
                    (1, 1.95)), 4096),
    # lots at the best price, 1/256
    "shown": knots(((0, 1.0), (0.53, 1.4), (0.55, 1.6), (0.80, 2.4), (0.89, 3.6), (0.94, 5.0),
                    (0.98, 7.5), (1, 14.0)), 256),
    # lots traded between two records, 1/256
    "traded": knots(((0, 1.0), (0.62, 1.4), (0.70, 1.7), (0.80, 3.0), (0.90, 5.3), (0.96, 7.5),
                     (0.99, 12.5), (1, 22.0)), 256),
    # from the exchange to us, microseconds
    "latency": knots(((0, 1800), (0.25, 2600), (0.5, 3200), (0.75, 4200), (0.9, 6000),
                      (0.97, 9000), (1, 16000)), 1),
}  # fmt: skip


def require_day(
    lanes: NDArray[Any],
    weights: NDArray[Any],
    odds: NDArray[Any],
    wide: NDArray[Any],
    minutes: NDArray[Any],
    index: NDArray[Any],
    future: NDArray[Any],
    heat: NDArray[Any],
    forward_ratio: float,
    discount: float,
    depth_levels: int,
) -> None:
    """Refuse what the loop could not bear.

    Raises:
        ValueError: naming the argument, its value and what to give instead.
    """
    count, many = len(lanes), len(minutes)
    if lanes.dtype != LANE_DTYPE or not 1 <= count <= LANES_MAX:
        raise ValueError(f"lanes: {count} of {lanes.dtype}; give 1 to {LANES_MAX} of LANE_DTYPE")
    shapes: tuple[tuple[str, NDArray[Any], tuple[int, ...], type[np.generic]], ...] = (
        ("weights", weights, (count, many), np.float64),
        ("odds", odds, (count, many), np.uint16),
        ("wide", wide, (many,), np.uint16),
        ("minutes", minutes, (many,), np.int64),
        ("index", index, (60 * many + 1,), np.float64),
        ("future", future, (60 * many + 1,), np.float64),
        ("heat", heat, (60 * many,), np.float64),
    )
    for name, array, shape, dtype in shapes:
        if array.shape != shape or array.dtype != dtype or not array.flags.c_contiguous:
            raise ValueError(
                f"{name}: {array.dtype}{array.shape}; give C-contiguous {np.dtype(dtype)}{shape}"
            )
        if dtype is np.float64 and not (np.isfinite(array).all() and (array >= 0).all()):
            raise ValueError(f"{name}: every value must be a number of 0 or more")
    if many == 0 or not (minutes[0] > 0 and (np.diff(minutes) >= MINUTE_NS).all()):
        raise ValueError("minutes: give the starts of one minute or more, in order")
    if minutes[-1] - minutes[0] >= DAY_NS_MAX:
        raise ValueError("minutes: the day is longer than nine hours")
    for name, levels in (("index", index), ("future", future)):
        if not ((levels > 0).all() and (levels < LEVEL_MAX).all()):
            raise ValueError(f"{name}: every level must be positive and below {LEVEL_MAX:g} paise")
    for name, factor in (("forward_ratio", forward_ratio), ("discount", discount)):
        if not 0.01 <= factor <= 100.0:
            raise ValueError(f"{name} is {factor}; give a factor near 1")
    if not 0 <= depth_levels <= DEPTH_LEVELS_MAX:
        raise ValueError(f"depth_levels is {depth_levels}; give 0 to {DEPTH_LEVELS_MAX}")
    _require_lanes(lanes)


def _require_lanes(lanes: NDArray[Any]) -> None:
    options = lanes["kind"] >= LaneKind.CALL
    quoted = lanes["kind"] != LaneKind.INDEX
    fine = {
        "kind": lanes["kind"] <= LaneKind.PUT,
        "count": (lanes["count"] >= 1) & (lanes["count"] <= 2**53),
        "tick": (lanes["tick"] >= 1) & (lanes["tick"] <= 1_000_000),
        "lot": ~quoted | ((lanes["lot"] >= 1) & (lanes["lot"] <= 100_000)),
        "strike": ~options | ((lanes["strike"] > 0) & (lanes["strike"] < LEVEL_MAX)),
        "volatility": ~options | ((lanes["volatility"] >= 0) & (lanes["volatility"] < 10)),
        "spread": ~quoted | ((lanes["spread"] >= 1) & (lanes["spread"] <= 1_000_000)),
        "size": lanes["size"] <= 4096,
        "trade": lanes["trade"] <= 4096,
        "gap": lanes["gap"] <= 4096,
    }
    fine["oi"] = ~quoted | (
        (lanes["oi"] >= 0) & (lanes["oi"] <= UINT32_MAX // np.maximum(lanes["lot"], 1))
    )
    for name, good in fine.items():
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise ValueError(f"lanes[{row}]: {name} is {lanes[name][row]}, which no market has")
