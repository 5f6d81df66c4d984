"""The merge loops against heapq and sorted."""

import heapq
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.archive.merge import DUE, ENDED, FULL, RUN_DTYPE, RowMerger, sequence_runs
from dhanfast.errors import UsageError

ROW = np.dtype([("time", "<i8"), ("who", "<u4"), ("source", "<u4"), ("place", "<u2")])
TIMES = st.one_of(st.integers(0, 12), st.sampled_from([-(2**63), 2**63 - 1]))


def rows_of(times: Sequence[int], source: int) -> NDArray[Any]:
    rows = np.zeros(len(times), ROW)
    rows["time"], rows["source"], rows["place"] = times, source, np.arange(len(times))
    rows["who"] = rows["place"] % 3
    return rows


def merged(
    sources: list[list[NDArray[Any]]], room: int, numbers: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Everything through a RowMerger: pieces as they are asked for, `room` rows at a time."""
    merger = RowMerger(ROW, "time", "who", len(sources))
    left = [list(pieces) for pieces in sources]
    for source in range(len(sources)):
        merger.start(source, numbers)
    taken, out, at = [], np.empty(room, ROW), 0
    while True:
        at, why = merger.take(out, at)
        if why >= 0:
            merger.feed(why, left[why].pop(0) if left[why] else np.empty(0, ROW))
        elif why == FULL:
            taken.append(out)
            out, at = np.empty(room, ROW), 0
        else:
            assert why == ENDED
            return np.concatenate([*taken, out[:at]])


@given(
    sources=st.lists(st.lists(st.lists(TIMES, min_size=1, max_size=9), max_size=4), min_size=1,
                     max_size=7),
    room=st.integers(1, 20),
)  # fmt: skip
def test_the_order_is_that_of_heapq(sources: list[list[list[int]]], room: int) -> None:
    pieces = [[np.empty(0, ROW)] * 0 for _ in sources]
    wanted = []
    for number, parts in enumerate(sources):
        whole = rows_of([time for part in parts for time in part], number)
        cuts = np.cumsum([len(part) for part in parts])[:-1] if parts else []
        pieces[number] = np.split(whole, cuts) if parts else []
        wanted.append([(row["time"], number, row["place"]) for row in whole])
    # heapq.merge too takes the next row of a source as it stands, sorted or not.
    answer = list(heapq.merge(*wanted, key=lambda row: (row[0], row[1])))
    got = merged(pieces, room)
    assert [(row["time"], row["source"], row["place"]) for row in got] == answer


@given(times=st.lists(st.lists(st.integers(0, 50), max_size=30).map(sorted), min_size=2,
                      max_size=4), until=st.integers(-1, 52))  # fmt: skip
def test_nothing_from_the_limit_on_is_given(times: list[list[int]], until: int) -> None:
    merger = RowMerger(ROW, "time", None, len(times))
    for source in range(len(times)):
        merger.start(source)
    out, at, fed = np.empty(200, ROW), 0, set()
    while True:
        at, why = merger.take(out, at, until)
        if why < 0:
            break
        merger.feed(why, rows_of(times[why], why) if why not in fed else np.empty(0, ROW))
        fed.add(why)
    early = sorted(time for source in times for time in source if time < until)
    assert out["time"][:at].tolist() == early
    rest = sum(map(len, times)) - len(early)
    assert why == (DUE if rest else ENDED)
    # The rest comes when the limit is lifted.
    while why != ENDED:
        at, why = merger.take(out, at)
        if why >= 0:
            merger.feed(why, np.empty(0, ROW))
    assert out["time"][:at].tolist() == sorted(time for source in times for time in source)


def test_instruments_are_renumbered_and_the_rows_given_are_not_touched() -> None:
    rows = rows_of([1, 2, 3, 4], 0)
    before = rows.copy()
    got = merged([[rows]], 3, np.array([7, 4_000_000_000, 9], np.uint32))
    assert got["who"].tolist() == [7, 4_000_000_000, 9, 7]
    assert (rows == before).all()


@pytest.mark.parametrize("numbers", [[], [1], [1, 2]])
def test_an_instrument_without_a_number_is_refused(numbers: list[int]) -> None:
    with pytest.raises(UsageError, match="instrument without a number"):
        merged([[rows_of([1, 2, 3], 0)]], 3, np.array(numbers, np.uint32))


def test_what_is_refused() -> None:
    with pytest.raises(UsageError, match="sources must be in"):
        RowMerger(ROW, "time", None, 0)
    for name, key in (("who", None), ("none", None), ("time", "time"), ("time", "none")):
        with pytest.raises(UsageError, match="must be a field of type"):
            RowMerger(ROW, name, key, 1)
    merger = RowMerger(ROW, "time", None, 2)
    with pytest.raises(UsageError, match=r"source must be in 0\.\.1"):
        merger.start(2)
    with pytest.raises(UsageError, match="no instrument"):
        merger.start(0, np.zeros(1, np.uint32))
    with pytest.raises(UsageError, match="not waiting"):
        merger.feed(0, rows_of([1], 0))
    merger.start(0)
    with pytest.raises(UsageError, match="begun before"):
        merger.start(0)
    for bad in (np.zeros(1), rows_of([1, 2, 3], 0)[::2], rows_of([1], 0).reshape(1, 1)):
        with pytest.raises(UsageError, match="contiguous array"):
            merger.feed(0, bad)
    with pytest.raises(UsageError, match="contiguous array"):
        merger.take(np.zeros(3), 0)
    with pytest.raises(UsageError, match="at must be in"):
        merger.take(np.empty(1, ROW), 2)


@given(parts=st.lists(st.integers(0, 3), min_size=1, max_size=60),
       starts=st.lists(st.integers(0, 2), min_size=4, max_size=4))  # fmt: skip
def test_runs_stand_in_the_order_of_the_numbers(parts: list[int], starts: list[int]) -> None:
    """Numbers 0..n-1 dealt to four streams: the runs, put together, count up."""
    streams = [np.flatnonzero(np.array(parts) == slot).astype(np.uint64) for slot in range(4)]
    held = [slot for slot in range(4) if len(streams[slot]) > starts[slot]]
    if not held:
        return
    sequences = [streams[slot] for slot in held]
    begun = [starts[slot] for slot in held]
    ends = list(begun)
    runs = sequence_runs(sequences, ends)
    assert runs.dtype == RUN_DTYPE
    given_out = [
        int(number)
        for slot, first, rows in runs.tolist()
        for number in sequences[slot][first : first + rows]
    ]
    left = sorted(int(n) for s, b in zip(sequences, begun, strict=True) for n in s[b:])
    assert given_out == left[: len(given_out)]
    # One stream is used up, and no row that had to come before it was left behind.
    used = [slot for slot in range(len(held)) if ends[slot] == len(sequences[slot])]
    assert len(used) == 1 and given_out[-1] == int(sequences[used[0]][-1])
    assert all(a[0] != b[0] for a, b in pairwise(runs)), "runs are as long as can be"


def test_equal_numbers_go_by_slot() -> None:
    """Only damage makes them; the answer must be the same each time all the same."""
    twice = np.array([5, 5, 6], np.uint64)
    assert sequence_runs([twice, twice.copy()], [0, 0]).tolist() == [
        (0, 0, 2),
        (1, 0, 2),
        (0, 2, 1),
    ]


@pytest.mark.parametrize(
    ("sequences", "starts"),
    [([], []), ([np.zeros(1, np.uint64)], []), ([np.zeros(0, np.uint64)], [0]),
     ([np.zeros(1, np.uint64)], [1]), ([np.zeros(1, np.uint64)], [-1])],
)  # fmt: skip
def test_runs_refuse_a_stream_without_rows(sequences: list[Any], starts: list[int]) -> None:
    with pytest.raises(UsageError):
        sequence_runs(sequences, starts)
