"""Sets of figures: known from their time on, the last ones kept, too old ones unknown."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.chainfeed import CHAIN_DTYPE, FIGURES, OF_INTEREST, ChainFeed, ChainFigure
from dhanfast._core.rules.graph import Graph
from dhanfast._core.rules.replay import node_values
from dhanfast._core.types import BAR_DTYPE
from dhanfast.errors import StrategyError, UsageError

from .stand import MINUTE, OPEN, sessions

SECOND = 10**9


def rows_of(times: list[int], name: str = "pcr") -> NDArray[Any]:
    """One set a time, its figure the place of the set."""
    rows = np.zeros(len(times), CHAIN_DTYPE)
    rows["at_ns"] = times
    rows[name] = np.arange(len(times), dtype=float)
    return rows


def seen(feed: ChainFeed, bars: NDArray[Any], name: str = "pcr") -> list[float]:
    """The figure on every bar, by running the program anew up to each."""
    found = []
    for last in range(1, len(bars) + 1):
        graph = Graph()
        graph.chain(name)
        graph.compile().see_chain(feed, MINUTE)
        found.append(node_values(graph, bars[:last], sessions(2, 375))[f"chain.{name}"])
    return found


def bars_of(count: int) -> NDArray[Any]:
    bars = np.zeros(count, BAR_DTYPE)
    bars["start_ns"] = OPEN + MINUTE * np.arange(count)
    for name in ("open", "high", "low", "close"):
        bars[name] = 10_000
    return bars


@given(
    offsets=st.lists(st.integers(-100, 12 * 60), max_size=30, unique=True).map(sorted),
    age=st.sampled_from([0, 30, 90, 400]),
)
def test_a_bar_sees_the_last_set_at_or_before_its_end(offsets: list[int], age: int) -> None:
    times = [OPEN + second * SECOND for second in offsets]
    feed = ChainFeed(rows_of(times), age_ns=age * SECOND)
    bars = bars_of(12)
    got = seen(feed, bars)
    for bar, value in zip(bars, got, strict=True):
        end = int(bar["start_ns"]) + MINUTE
        known = [i for i, at in enumerate(times) if at <= end]
        fresh = known and (age == 0 or end - times[known[-1]] <= age * SECOND)
        np.testing.assert_equal(value, float(known[-1]) if fresh else np.nan)


def test_a_set_after_the_last_bars_end_changes_nothing() -> None:
    bars = bars_of(5)
    end = int(bars["start_ns"][-1]) + MINUTE
    before = seen(ChainFeed(rows_of([OPEN, end])), bars)
    after = seen(ChainFeed(rows_of([OPEN, end, end + 1, end + MINUTE])), bars)
    assert before == after == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_told_one_by_one_is_as_handed_in_and_keeps_the_last() -> None:
    feed = ChainFeed()
    for at in range(300):
        assert feed.tell({"at_ns": OPEN + at, "pcr": at / 4})
    assert not feed.tell({"at_ns": OPEN + 299}), "one that is not later is dropped"
    assert feed.count == 300
    kept = feed.sets
    assert len(kept) == 256
    assert kept["pcr"].tolist() == [at / 4 for at in range(44, 300)]
    assert seen(feed, bars_of(1)) == [299 / 4]


def test_sets_that_are_no_longer_kept_are_unknown_and_not_the_next_ones() -> None:
    feed = ChainFeed()
    for at in range(300):
        feed.tell({"at_ns": OPEN + MINUTE + at, "pcr": 1.0})
    first, second = seen(feed, bars_of(2))
    assert np.isnan(first), "all that were known then have gone"
    assert second == 1.0


def test_figures_are_named_as_the_record_and_the_enumeration() -> None:
    assert CHAIN_DTYPE.names == ("at_ns", *FIGURES)
    assert [one.name.lower() for one in ChainFigure] == list(FIGURES)
    assert OF_INTEREST[0] == "pcr" and "straddle" not in OF_INTEREST


def test_refusals() -> None:
    with pytest.raises(UsageError, match="no chain figure 'pcrr'"):
        ChainFeed(figures=["pcrr"])
    with pytest.raises(UsageError, match="age_ns is -1"):
        ChainFeed(age_ns=-1)
    with pytest.raises(UsageError, match="do not ascend"):
        ChainFeed(rows_of([5, 5]))
    with pytest.raises(UsageError, match="CHAIN_DTYPE"):
        ChainFeed(np.zeros(3))
    with pytest.raises(UsageError, match="handed in"):
        ChainFeed(rows_of([5])).tell({"at_ns": 9})
    with pytest.raises(UsageError, match="no such field"):
        ChainFeed().tell({"at_ns": 9, "pcrr": 1.0})
    graph = Graph()
    with pytest.raises(ValueError, match="no chain figure is called 'pcrr'"):
        graph.chain("pcrr")
    with pytest.raises(ValueError, match="interval_ns must be above 0"):
        graph.compile().see_chain(ChainFeed(), 0)
    with pytest.raises(ValueError, match="cannot be filled"):
        graph.compile().fill_with(3, 0)
    with pytest.raises(StrategyError, match="declared in on_start"):
        graph.chain("pcr")
