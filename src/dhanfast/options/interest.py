"""What open interest says: change and build-up of each option, and where it stands highest.

A build-up class reads the signs of two changes over one interval:

    price up,   open interest up     long build-up
    price down, open interest up     short build-up
    price up,   open interest down   short covering
    price down, open interest down   long unwinding

Changes within a dead band say nothing. Open interest reaches most feeds minutes late.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dhanfast.errors import UsageError
from dhanfast.storage.chains import Snapshot

Floats = NDArray[np.float64]
PRICE_BAND: Final = 0.001  # of the price before
INTEREST_BAND: Final = 0.005  # of the open interest before


class BuildUp(IntEnum):
    """What price and open interest did together."""

    NONE = 0
    LONG_BUILD_UP = 1
    SHORT_BUILD_UP = 2
    SHORT_COVERING = 3
    LONG_UNWINDING = 4

    @property
    def text(self) -> str:
        """As a table shows it."""
        return "" if self is BuildUp.NONE else self.name.lower().replace("_", " ")


class Level(NamedTuple):
    """A strike where much is open."""

    strike: float
    oi: float
    change: float  # since the earlier snapshot; NaN without one


@dataclass(frozen=True, slots=True)
class InterestChange:
    """What changed between two snapshots of one chain, at the strikes of both.

    Units:
        open interest units of the underlying, prices rupees.

    Shape:
        one number a strike; NaN where one of both is not known. Classes are `BuildUp` codes.
    """

    strike: Floats
    call_oi: Floats
    put_oi: Floats
    call_price: Floats
    put_price: Floats
    call_class: NDArray[np.int8]
    put_class: NDArray[np.int8]


def build_up(
    price_before: ArrayLike,
    price: ArrayLike,
    oi_before: ArrayLike,
    oi: ArrayLike,
    *,
    price_band: float = PRICE_BAND,
    oi_band: float = INTEREST_BAND,
) -> NDArray[np.int8]:
    """Class of each instrument over an interval.

    Args:
        price_before, price: 0 or NaN is not known.
        oi_before, oi: NaN is not known; from 0 any rise is one.
        price_band, oi_band: changes up to these shares say nothing.

    Returns:
        `BuildUp` codes; NONE within a band or where something is not known.

    Raises:
        UsageError: a band below 0; shapes that do not fit.
    """
    if not (price_band >= 0.0 and oi_band >= 0.0):
        raise UsageError(f"price_band {price_band}, oi_band {oi_band}: give 0 or more")
    try:
        old, new, held, holds = np.broadcast_arrays(
            *(np.asarray(one, dtype=np.float64) for one in (price_before, price, oi_before, oi))
        )
    except ValueError as error:
        raise UsageError(f"prices and open interest do not fit together: {error}") from None
    known = (old > 0.0) & (new > 0.0) & (held >= 0.0) & (holds >= 0.0)
    moved = known & (np.abs(new - old) > price_band * old)
    moved &= np.abs(holds - held) > oi_band * held
    up, more = new > old, holds > held
    code = np.where(more, np.where(up, BuildUp.LONG_BUILD_UP, BuildUp.SHORT_BUILD_UP),
                    np.where(up, BuildUp.SHORT_COVERING, BuildUp.LONG_UNWINDING))  # fmt: skip
    return np.where(moved, code, BuildUp.NONE).astype(np.int8)


def interest_change(
    before: Snapshot,
    after: Snapshot,
    *,
    price_band: float = PRICE_BAND,
    oi_band: float = INTEREST_BAND,
) -> InterestChange:
    """Changes of open interest and price from one snapshot to a later one, with their classes.

    Raises:
        UsageError: of different chains; not the earlier first; a band below 0.
    """
    if (before.underlying, before.expiry) != (after.underlying, after.expiry):
        raise UsageError(f"{before.underlying} {before.expiry} and {after.underlying} "
                         f"{after.expiry}: give two snapshots of one chain")  # fmt: skip
    if before.at_ns > after.at_ns:
        raise UsageError(f"{before.time_text} is after {after.time_text}: give the earlier first")
    strike, old, new = np.intersect1d(before.strike, after.strike, True, return_indices=True)
    classes = [
        build_up(price_before[old], price[new], oi_before[old], oi[new], price_band=price_band,
                 oi_band=oi_band)
        for price_before, price, oi_before, oi in (
            (before.call, after.call, before.call_oi, after.call_oi),
            (before.put, after.put, before.put_oi, after.put_oi),
        )
    ]  # fmt: skip
    return InterestChange(
        strike,
        after.call_oi[new] - before.call_oi[old],
        after.put_oi[new] - before.put_oi[old],
        after.call[new] - before.call[old],
        after.put[new] - before.put[old],
        classes[0],
        classes[1],
    )


class Levels(NamedTuple):
    """Where open interest stands highest, the highest first."""

    support: list[Level]  # of puts
    resistance: list[Level]  # of calls


def interest_levels(
    rows: Snapshot, before: Snapshot | None = None, *, count: int = 3, by: str = "oi"
) -> Levels:
    """Support and resistance: the strikes with most open puts and most open calls.

    Args:
        rows: of now. before: an earlier snapshot of the same chain, for changes.
        count: of levels a side, fewer where fewer are open; of equals the lower strike first.
        by: "oi", or "change": those to which most was added since `before`.

    Raises:
        UsageError: count below 1; another `by`; by change without `before`; different chains.
    """
    if count < 1 or by not in ("oi", "change"):
        raise UsageError(f"count {count}, by {by!r}: give 1 or more, and 'oi' or 'change'")
    if by == "change" and before is None:
        raise UsageError("levels by change need an earlier snapshot: give before=")
    moved = interest_change(before, rows) if before is not None else None
    sides = []
    for name in ("put_oi", "call_oi"):
        held = np.nan_to_num(getattr(rows, name))
        change = np.full(len(rows), np.nan)
        if moved is not None:
            change[np.isin(rows.strike, moved.strike)] = getattr(moved, name)
        rank = held if by == "oi" else np.nan_to_num(change)
        order = [i for i in np.argsort(-rank, kind="stable")[:count] if rank[i] > 0.0]
        sides.append([Level(float(rows.strike[i]), float(held[i]), float(change[i]))
                      for i in order])  # fmt: skip
    return Levels(*sides)
