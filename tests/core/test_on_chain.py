"""Sets of a chain between bars and ticks: shown once, in time, and never before their time."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.bars import TimeBars
from dhanfast._core.chainfeed import CHAIN_DTYPE, ChainFeed
from dhanfast._core.loops import TickLoop
from dhanfast._core.types import TICK_DTYPE
from dhanfast.errors import StrategyError
from dhanfast.strategies import Market, Strategy

from .stand import DAY, MINUTE, OPEN, bars_of, make, run, sessions
from .test_tick_loop import walk
from .tick_stand import LOT, SECOND

MINUTES = 8
FLAT = (10_000, 10_000, 10_000, 10_000)


class Reader(Strategy):
    """Writes down what it is shown, and does what the set's pcr says: 2 buy, -2 sell, 0 exit."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Any, ...]] = []

    def on_start(self, m: Market) -> None:
        self.pcr = m.chain.pcr
        self.iv = m.chain.atm_iv

    def on_chain(self, ctx: Any, chain: Any) -> None:
        self.seen.append(("set", chain.at_ns, ctx.now_ns, chain.pcr, ctx.position))
        if chain.pcr == 2:
            ctx.buy(stop=0.4, target=0.6)
        elif chain.pcr == -2:
            ctx.sell(stop=0.4, target=0.6)
        elif chain.pcr == 0:
            ctx.exit()


class BarReader(Reader):
    """Sees bars too."""

    def on_bar(self, ctx: Any, bar: Any) -> None:
        self.seen.append(("bar", bar.start_ns, ctx.now_ns, self.pcr.value, ctx.position))


def feed_of(times: list[int], values: list[float]) -> ChainFeed:
    rows = np.zeros(len(times), CHAIN_DTYPE)
    rows["at_ns"], rows["pcr"], rows["atm_iv"] = times, values, np.nan
    return ChainFeed(rows)


def watched(strategy: Reader, table: NDArray[Any], feed: ChainFeed, **rules: Any) -> Any:
    runner = strategy.runner(lambda at_ns, text: None)
    runner.context.graph.compile().see_chain(feed, MINUTE)
    kernel = make(runner, table, **rules)
    kernel.see_chain(feed)
    return kernel


def test_on_bars_a_set_comes_at_the_end_of_its_bar_before_the_strategy_sees_it() -> None:
    reader = BarReader()
    times = [OPEN + 30 * SECOND, OPEN + MINUTE, OPEN + 150 * SECOND]
    kernel = watched(reader, sessions(1, MINUTES), feed_of(times, [1.0, 5.0, 7.0]))
    run(kernel, bars_of([FLAT] * 4, MINUTES))
    ends = [OPEN + MINUTE * n for n in range(1, 5)]
    assert [(kind, now, pcr) for kind, _, now, pcr, _ in reader.seen] == [
        ("set", ends[0], 1.0), ("set", ends[0], 5.0), ("bar", ends[0], 5.0),
        ("bar", ends[1], 5.0), ("set", ends[2], 7.0), ("bar", ends[2], 7.0),
        ("bar", ends[3], 7.0),
    ]  # fmt: skip
    assert kernel.chain_seen == 3


def test_a_wish_on_a_set_meets_the_next_bar_at_the_earliest() -> None:
    prices = [(10_000 + 100 * n,) * 4 for n in range(5)]
    kernel = watched(Reader(), sessions(1, MINUTES), feed_of([OPEN + 90 * SECOND], [2.0]))
    trades, orders, _ = run(kernel, bars_of(prices, MINUTES))
    assert (trades["entry_value"] / trades["qty"]).tolist() == [10_200], "the open of the third bar"
    assert orders["created_ns"].min() == OPEN + 2 * MINUTE


def test_sets_of_another_session_or_before_the_open_are_passed_over() -> None:
    reader = Reader()
    times = [OPEN - SECOND, OPEN + MINUTE, OPEN + MINUTES * MINUTE + 1, OPEN + DAY + MINUTE]
    kernel = watched(reader, sessions(2, MINUTES), feed_of(times, [1.0, 2.5, 3.0, 4.0]))
    run(kernel, bars_of([FLAT] * (2 * MINUTES), MINUTES))
    assert [seen[3] for seen in reader.seen] == [2.5, 4.0]


def test_a_set_before_a_tick_is_shown_before_it_and_its_order_meets_that_tick() -> None:
    reader = Reader()
    ticks = np.zeros(4, TICK_DTYPE)
    ticks["exch_ns"] = ticks["recv_ns"] = OPEN + np.array([1, 10, 20, 30]) * SECOND
    ticks["price"], ticks["qty"] = [10_000, 10_100, 10_110, 10_120], LOT
    ticks["volume"] = np.cumsum(ticks["qty"])
    table = sessions(1, MINUTES, lot=LOT)
    # At 20 s the set comes with the tick: it is shown after it, and meets the one after.
    feed = feed_of([OPEN + 5 * SECOND, OPEN + 20 * SECOND], [2.0, 0.0])
    kernel = watched(reader, table, feed)
    TickLoop(kernel, TimeBars(MINUTE, table)).run(ticks.view("u1"))
    kernel.finish()
    trades = kernel.log.drain()[0]
    assert (trades["entry_value"] / trades["qty"]).tolist() == [10_100]
    assert (trades["exit_value"] / trades["qty"]).tolist() == [10_120]
    assert [seen[1:3] for seen in reader.seen] == [
        (OPEN + 5 * SECOND,) * 2,
        (OPEN + 20 * SECOND,) * 2,
    ]


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(20, 400),
    offsets=st.lists(st.integers(-20, 1_200), max_size=25, unique=True).map(sorted),
    wishes=st.integers(0, 10_000),
    cuts=st.lists(st.integers(0, 400), max_size=3),
    latency=st.sampled_from([0, 2 * SECOND]),
)
def test_quiet_runs_and_cuts_change_nothing_with_sets_between(
    seed: int, count: int, offsets: list[int], wishes: int, cuts: list[int], latency: int
) -> None:
    rng = np.random.default_rng(wishes)
    values = rng.choice([-2.0, 0.0, 1.0, 2.0], len(offsets)).tolist()
    times = [OPEN + (second // 600) * DAY + second % 600 * SECOND for second in offsets]
    feed = feed_of(times, values)
    ticks = walk(seed, count, 2, "some")

    def told(edges: list[int], singly: bool) -> Any:
        reader = BarReader() if seed % 2 else Reader()
        table = sessions(3, MINUTES, lot=LOT)
        kernel = watched(reader, table, feed, latency_ns=latency, on_opposite=2)
        loop = TickLoop(kernel, TimeBars(MINUTE, table), singly=singly)
        for low, high in pairwise([0, *sorted(edge % count for edge in edges), count]):
            loop.run(ticks[low:high].view("u1"))
        loop.close_bars()
        kernel.finish()
        rows = [part.tobytes() for part in kernel.log.drain()]
        return rows, repr(reader.seen), kernel.chain_seen

    one_by_one = told(list(range(count)), True)
    assert told([], False) == one_by_one
    assert told(cuts, False) == one_by_one


def test_a_set_is_never_shown_before_its_time_and_never_twice() -> None:
    reader, rng = Reader(), np.random.default_rng(5)
    times = np.unique(OPEN + rng.integers(0, MINUTES * 60, 60) * SECOND).tolist()
    feed = feed_of(times, [1.0] * len(times))
    ticks = walk(5, 300, 1, "none")
    table = sessions(1, MINUTES, lot=LOT)
    kernel = watched(reader, table, feed)
    TickLoop(kernel, TimeBars(MINUTE, table)).run(ticks.view("u1"))
    shown = [seen[1] for seen in reader.seen]
    assert shown == sorted(set(shown)) and set(shown) <= set(times) and len(shown) > 40
    assert all(at <= now for _, at, now, _, _ in reader.seen)


class Wrong(Reader):
    """Reads what may not be read."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def on_chain(self, ctx: Any, chain: Any) -> None:
        if self.what == "later":
            self.kept = chain
        elif self.what == "series":
            self.pcr.value  # noqa: B018
        else:
            getattr(chain, self.what)

    def on_bar(self, ctx: Any, bar: Any) -> None:
        if self.what == "later":
            self.kept.pcr  # noqa: B018


@pytest.mark.parametrize(("what", "words"), [
    ("max_pain", "nobody asked for the chain's max_pain: say m.chain.max_pain in on_start"),
    ("pcrr", "a chain has no figure 'pcrr'"),
    ("later", "a set of figures is gone when on_chain returns"),
    ("series", "cannot be read in on_fill or on_chain"),
])  # fmt: skip
def test_what_may_not_be_read_in_on_chain_says_why(what: str, words: str) -> None:
    kernel = watched(Wrong(what), sessions(1, MINUTES), feed_of([OPEN + SECOND], [1.0]))
    with pytest.raises(StrategyError, match=words):
        run(kernel, bars_of([FLAT] * 2, MINUTES))


def test_on_chain_without_a_figure_is_refused() -> None:
    class Nothing(Strategy):
        def on_chain(self, ctx: Any, chain: Any) -> None:
            """Asks for nothing."""

    with pytest.raises(StrategyError, match="on_chain asks for no figure"):
        Nothing().runner(lambda at_ns, text: None)


def test_a_figure_that_was_not_computed_is_not_a_number() -> None:
    found: list[float] = []

    class Both(Reader):
        def on_chain(self, ctx: Any, chain: Any) -> None:
            found.append(chain.atm_iv)

    run(watched(Both(), sessions(1, MINUTES), feed_of([OPEN + SECOND], [1.0])),
        bars_of([FLAT] * 2, MINUTES))  # fmt: skip
    assert len(found) == 1 and math.isnan(found[0])
