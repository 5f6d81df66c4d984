"""Order book: a change and the best prices after it; a twenty-level snapshot."""

import numpy as np
import pytest

from dhanfast._core.book import DELTA_DTYPE, LEVEL_DTYPE, Book

COUNT = 20_000


def changes_near_the_top(levels: int) -> np.ndarray:
    """Prices as in recorded depth: most changes within a few levels of a moving best price."""
    rng = np.random.default_rng(5)
    changes = np.zeros(COUNT, dtype=DELTA_DTYPE)
    side = rng.choice([1, -1], COUNT)
    mid = 50_000 + np.cumsum(rng.integers(-1, 2, COUNT)) // 8
    depth = np.minimum(rng.geometric(4 / levels if levels > 8 else 0.5, COUNT), 2 * levels)
    changes["price"] = mid - side * depth
    changes["qty"] = np.where(rng.random(COUNT) < 0.25, 0, rng.integers(1, 500, COUNT))
    changes["side"] = side
    return changes


@pytest.mark.parametrize("levels", [5, 20, 200])
def test_delta_and_best(benchmark, levels: int) -> None:
    """ns a change = median / 20,000; the doors' own cost is in it."""
    book, changes = Book(levels), changes_near_the_top(levels)
    benchmark.extra_info["changes_per_round"] = COUNT
    assert len(benchmark(book.deltas, changes)) == COUNT


@pytest.mark.parametrize("levels", [5, 20, 200])
def test_snapshot(benchmark, levels: int) -> None:
    """ns a snapshot = median / 1,000, both sides full and checked."""
    bids, asks = (np.zeros((1000, levels), dtype=LEVEL_DTYPE) for _ in range(2))
    bids["price"] = 50_000 - np.arange(levels)
    asks["price"] = 50_001 + np.arange(levels)
    bids["qty"] = asks["qty"] = 75
    book = Book(levels)
    assert len(benchmark(book.snapshots, bids, asks)) == 1000
