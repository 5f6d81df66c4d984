"""Snapshots to changes and back: the books are the ones that were sent, level by level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.archive.depth import DepthSides
from dhanfast._core.book import LEVEL_DTYPE, Book
from dhanfast._core.types import DepthFlag, DepthOp
from dhanfast.errors import BadData, UsageError

LEVELS = 6


def side_of(levels: list[tuple[int, int, int]]) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(levels, LEVEL_DTYPE)


prices = st.lists(st.integers(1, 12), max_size=LEVELS, unique=True)
sizes = st.tuples(st.integers(1, 9), st.integers(0, 3))
books = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([1, -1]), prices, st.lists(sizes, min_size=6)),
    min_size=1, max_size=30,
)  # fmt: skip
anything = st.lists(
    st.tuples(st.integers(-2, 4), st.integers(0, 3), st.integers(0, 2)), max_size=LEVELS
)


@given(messages=books)
def test_books_come_back(messages: list[tuple[int, int, list[int], list[tuple[int, int]]]]) -> None:
    sent, rebuilt = DepthSides(2, LEVELS), DepthSides(2, LEVELS)
    rows_kept = 0
    for instrument, side, quoted, amounts in messages:
        ordered = sorted(quoted, reverse=side == 1)
        levels = side_of([(p, *amounts[i]) for i, p in enumerate(ordered)])
        rows = sent.changes(instrument, side, levels, exch_ns=5, recv_ns=6, seq=7)
        rows_kept += len(rows)
        assert rebuilt.apply_rows(rows.view(np.uint8)) == 1
        assert rebuilt.snapshot(instrument, side).tobytes() == levels.tobytes()
        assert set(rows["exch_ns"]) == {5} and set(rows["recv_ns"]) == {6}
        assert (rows["flags"] & DepthFlag.LAST).tolist() == [0] * (len(rows) - 1) + [1]
    assert rows_kept <= sum(2 * LEVELS + 1 for _ in messages)


@given(sides=st.lists(anything, min_size=1, max_size=12))
def test_what_is_no_book_comes_back_as_it_came(sides: list[list[tuple[int, int, int]]]) -> None:
    sent, rebuilt = DepthSides(1, LEVELS), DepthSides(1, LEVELS)
    for side in sides:
        rows = sent.changes(0, 1, side_of(side))
        rebuilt.apply_rows(rows.view(np.uint8))
        while side and side[-1] == (0, 0, 0):
            side = side[:-1]
        assert rebuilt.snapshot(0, 1).tobytes() == side_of(side).tobytes()


def test_only_what_changed_is_kept() -> None:
    sides = DepthSides(1, LEVELS)
    first = sides.changes(0, 1, side_of([(100, 5, 1), (99, 6, 2), (98, 7, 3)]))
    assert first["op"].tolist() == [DepthOp.CLEAR, *[DepthOp.SET] * 3]
    assert all(first["flags"] & DepthFlag.SNAPSHOT)
    second = sides.changes(0, 1, side_of([(101, 1, 1), (100, 5, 1), (99, 4, 2)]))
    kept = [(row["price"], row["qty"]) for row in second]
    assert kept == [(101, 1), (99, 4), (98, 0)]
    assert len(sides.changes(0, 1, side_of([(101, 1, 1), (100, 5, 1), (99, 4, 2)]))) == 1


def test_the_rows_also_drive_the_engine_s_book() -> None:
    """An independent oracle: `_core.book` fed with the rows shows the same best levels."""
    random, sides, book = np.random.default_rng(2), DepthSides(1, 20), Book(20)
    quoted: dict[int, list[int]] = {1: [], -1: []}
    for _ in range(300):
        side = int(random.choice([1, -1]))
        quoted[side] = sorted({int(p) for p in random.integers(1, 60, 20)}, reverse=side == 1)
        middle = 1_000 - 60 * side
        levels = side_of([(middle + p, 10 + p, 1) for p in quoted[side]])
        for row in sides.changes(0, side, levels):
            if row["op"] == DepthOp.SET:
                book.delta(side, int(row["price"]), int(row["qty"]), int(row["orders"]))
        held = sides.snapshot(0, side)
        best = book.best_bid if side == 1 else book.best_ask
        assert best == tuple(held[0].tolist())


def test_refused_input() -> None:
    sides = DepthSides(2, LEVELS)
    with pytest.raises(UsageError, match="instrument is 2"):
        sides.changes(2, 1, side_of([]))
    with pytest.raises(UsageError, match="side is 0"):
        sides.changes(0, 0, side_of([]))
    with pytest.raises(UsageError, match="at most 6"):
        sides.changes(0, 1, side_of([(1, 1, 1)] * 7))
    with pytest.raises(UsageError, match="levels_max is 201"):
        DepthSides(1, 201)
    rows = sides.changes(0, 1, side_of([(5, 1, 1), (4, 1, 1)]))
    with pytest.raises(BadData, match="depth row 0"):
        DepthSides(1, 1).apply_rows(bytes([9] * 48))
    rows["qty"][1] = 0
    with pytest.raises(BadData, match=r"row 1: op 0 .* begin at a snapshot"):
        DepthSides(1, LEVELS).apply_rows(rows.view(np.uint8))
