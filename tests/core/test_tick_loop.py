"""Quiet runs of ticks against the same ticks one by one, and the loop's refusals."""

import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dhanfast._core.bars import TimeBars
from dhanfast._core.loops import TickLoop
from dhanfast._core.types import TICK_DTYPE
from dhanfast.errors import BadData, OutOfCalendar
from dhanfast.strategies import Strategy

from .stand import DAY, MINUTE, OPEN, make, sessions
from .tick_stand import LOT, SECOND

MINUTES = 8


class Fickle(Strategy):
    """Enters on most bars, by a rule of the bar's own numbers; stop and target near."""

    def on_bar(self, ctx: Any, bar: Any) -> None:
        last = int(bar.close * 20)
        if last % 3 == 0:
            ctx.buy(stop=0.4, target=0.3)
        elif last % 3 == 1:
            ctx.sell(stop=0.4, target=0.3)
        elif last % 5 == 0:
            ctx.exit()


def walk(seed: int, count: int, days: int, quotes: str) -> NDArray[Any]:
    """Ticks that wander a little, a few of them late, outside, without a trade or with a gap."""
    rng = np.random.default_rng(seed)
    ticks = np.zeros(count, TICK_DTYPE)
    per_day = -(-count // days)
    for i in range(count):
        day, at = divmod(i, per_day)
        ticks[i]["exch_ns"] = OPEN + day * DAY + (at * (MINUTES + 1) * MINUTE) // per_day
    ticks["exch_ns"] -= np.where(rng.random(count) < 0.05, rng.integers(0, 90, count) * SECOND, 0)
    ticks["recv_ns"] = ticks["exch_ns"] + rng.integers(0, 20_000_000, count)
    jumps = np.where(rng.random(count) < 0.03, rng.integers(-8, 9, count), 0)
    price = 10_000 + 5 * np.cumsum(rng.integers(-1, 2, count) + jumps)
    ticks["price"] = np.where(rng.random(count) < 0.02, 0, price)
    ticks["qty"] = rng.integers(1, 9, count) * LOT
    if quotes != "none":
        # The last trade may lie outside the quote: it is older.
        ticks["bid"] = price + 5 * rng.integers(-3, 3, count)
        ticks["ask"] = ticks["bid"] + 5 * rng.integers(1, 4, count)
        ticks["bid_qty"] = rng.integers(0, 6, count) * LOT
        ticks["ask_qty"] = rng.integers(0, 6, count) * LOT
    if quotes == "some":
        for name in ("bid", "ask"):
            ticks[name][rng.random(count) < 0.3] = 0
    ticks["volume"] = np.cumsum(ticks["qty"])
    ticks["volume"] -= (
        np.where(rng.random(count) < 0.02, 500, 0).clip(0, ticks["volume"]).astype(np.uint64)
    )
    return ticks


def told(ticks: NDArray[Any], cuts: list[int], *, singly: bool, **more: Any) -> Any:
    """Everything written down, and every counter, of one run."""
    square_off = more.pop("square_off")
    table = sessions(3, MINUTES, square_off=square_off, lot=LOT)
    if square_off:
        table["square_off_ns"] += 25 * SECOND  # inside a bar
    kernel = make(Fickle(), table, lots=4, **more)
    loop = TickLoop(kernel, TimeBars(MINUTE, table), singly=singly)
    edges = [0, *sorted(cut % len(ticks) for cut in cuts), len(ticks)]
    for low, high in pairwise(edges):
        assert loop.run(ticks[low:high].view("u1"))
    loop.close_bars()
    kernel.finish()
    counters = [loop.ticks_seen, loop.ticks_late, loop.ticks_outside, kernel.signals,
                kernel.orders_sent, kernel.bars_seen, kernel.drawdown_max]  # fmt: skip
    rows = [part.tobytes() for part in (*kernel.log.drain(), kernel.portfolio.bills())]
    return [*rows, loop.take_bars().tobytes(), counters]


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(20, 700),
    days=st.integers(1, 3),
    quotes=st.sampled_from(["none", "some", "all"]),
    cuts=st.lists(st.integers(0, 700), max_size=4),
    latency=st.sampled_from([0, 2 * SECOND]),
    square_off=st.sampled_from([0, 6]),
    through=st.booleans(),
    opposite=st.sampled_from([0, 1, 2]),
)
def test_quiet_runs_and_cuts_change_nothing(
    seed: int,
    count: int,
    days: int,
    quotes: str,
    cuts: list[int],
    latency: int,
    square_off: int,
    through: bool,
    opposite: int,
) -> None:
    ticks = walk(seed, count, days, quotes)
    rules = {"latency_ns": latency, "square_off": square_off, "on_opposite": opposite,
             "match": {"limit_through": through, "protection_e4": 500}}  # fmt: skip
    one_by_one = told(ticks, list(range(count)), singly=True, **rules)
    assert told(ticks, [], singly=False, **rules) == one_by_one
    assert told(ticks, cuts, singly=False, **rules) == one_by_one


def test_the_walks_of_that_law_trade_and_have_quiet_runs() -> None:
    """A law about nothing would hold too."""
    ticks = walk(3, 700, 2, "all")
    table = sessions(3, MINUTES, lot=LOT)
    kernel = make(Fickle(), table, lots=4)
    TickLoop(kernel, TimeBars(MINUTE, table)).run(ticks.view("u1"))
    assert kernel.orders_sent > 20


def looped(until_ns: int = 0, days: int = 1) -> TickLoop:
    table = sessions(days, MINUTES, lot=LOT)
    return TickLoop(make(Fickle(), table), TimeBars(MINUTE, table), until_ns=until_ns)


def test_an_order_meets_the_market_as_it_is_not_as_it_was_when_one_last_worked() -> None:
    """From 100 to 200 rupees while nothing worked: the protection of 5 % is of 200."""
    ticks = np.zeros(4, TICK_DTYPE)
    ticks["exch_ns"] = OPEN + np.array([0, 61, 62, 63]) * SECOND
    ticks["price"] = [10_000, 20_000, 20_000, 20_000]
    table = sessions(1, MINUTES, lot=LOT)

    class BuyOnTick(Strategy):
        def on_tick(self, ctx: Any, tick: Any) -> None:
            if tick.price == 200.0 and ctx.position == 0:
                ctx.buy()

    kernel = make(BuyOnTick(), table, match={"protection_e4": 500})
    loop = TickLoop(kernel, TimeBars(MINUTE, table))
    assert loop.run(ticks[:2].view("u1"))
    (order,) = kernel.broker.working().values()
    assert order["limit"] == 21_000
    assert loop.run(ticks[2:].view("u1")) and kernel.position == LOT


def test_ticks_of_another_instrument_are_refused() -> None:
    ticks = walk(1, 50, 1, "all")
    ticks["instrument"][20] = 7
    with pytest.raises(BadData, match="instrument 0: select"):
        looped().run(ticks.view("u1"))


def test_a_price_below_zero_is_refused() -> None:
    ticks = walk(1, 50, 1, "all")
    ticks["bid"][20] = -5
    loop = looped()
    with pytest.raises(BadData, match="price"):
        loop.run(ticks.view("u1"))


def test_beyond_the_sessions_known_the_loop_stops_and_goes_on_when_there_are_more() -> None:
    ticks = walk(5, 600, 3, "all")
    whole = looped(days=3)
    assert whole.run(ticks.view("u1"))
    parts = looped(until_ns=OPEN + DAY - 1)
    with pytest.raises(OutOfCalendar):
        parts.run(ticks.view("u1"))
    assert OPEN + DAY - 1 <= parts.beyond_ns < OPEN + DAY + MINUTE
    with pytest.raises(ValueError, match="begin with"):
        parts.extend(sessions(3, MINUTES, lot=2 * LOT), 0)
    parts.extend(sessions(3, MINUTES, lot=LOT), 0)
    assert parts.run(ticks.view("u1"))
    for loop in (whole, parts):
        loop.close_bars()
        loop.kernel.finish()
    for one, other in zip(whole.kernel.log.drain(), parts.kernel.log.drain(), strict=True):
        assert one.tobytes() == other.tobytes() and len(one) > 0
    assert whole.take_bars().tobytes() == parts.take_bars().tobytes()


@pytest.mark.parametrize(
    ("wrong", "text"), [({"volume": "qty"}, "cumulative"), ({"flat": True}, "flat")]
)
def test_a_builder_of_another_kind_is_refused(wrong: dict[str, Any], text: str) -> None:
    table = sessions(1, MINUTES)
    with pytest.raises(ValueError, match=text):
        TickLoop(make(Fickle(), table), TimeBars(MINUTE, table, **wrong))


def test_a_python_strategy_is_shown_one_tick_object_and_nothing_piles_up() -> None:
    seen: set[int] = set()
    blocks: list[int] = []

    class Looks(Strategy):
        def on_tick(self, ctx: Any, tick: Any) -> None:
            seen.add(id(tick))
            if tick.exch_ns in edges:
                blocks.append(sys.getallocatedblocks())

    ticks = walk(3, 4000, 1, "all")
    ticks["exch_ns"] = OPEN + np.arange(4000) * SECOND // 100
    edges = {int(ticks["exch_ns"][100]), int(ticks["exch_ns"][-1])}
    table = sessions(1, MINUTES, lot=LOT)
    loop = TickLoop(make(Looks(), table), TimeBars(MINUTE, table))
    assert loop.run(ticks.view("u1"))
    assert len(seen) == 1
    assert blocks[1] - blocks[0] < 50, "3,900 ticks later"
