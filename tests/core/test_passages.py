"""How an order went: the kernel's passages against the slow model, and by hand on ticks."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.runlog import ORDER_ROW_DTYPE, PASSAGE_DTYPE, RunLog
from dhanfast._core.types import OrderFlag, OrderKind, Reason

from .slow_model import SlowModel, days_of
from .stand import MINUTE, OPEN, TICK, Wisher, bars_of, make, sessions
from .test_kernel import MINUTES, markets
from .tick_stand import LOT, SECOND, TickStand

REVERSE = 2
CRUMB = 1  # offered, and less than a lot: nothing fills


def taken(kernel: Any) -> tuple[Any, Any]:
    """(orders, passages) of what ran."""
    _, orders, passages, _ = kernel.log.take()
    assert (orders["id"] == passages["id"]).all()
    return orders, passages


def way(stand: TickStand, reason: Reason, filled: bool = True) -> tuple[Any, Any]:
    """The one order of a reason, and how it went; ends the run."""
    stand.loop.close_bars()
    stand.kernel.finish()
    orders, passages = taken(stand.kernel)
    (at,) = np.flatnonzero((orders["reason"] == int(reason)) & ((orders["filled"] > 0) == filled))
    return orders[at], passages[at]


@settings(max_examples=60, deadline=None)
@given(
    market=markets(),
    slip=st.integers(0, 3),
    square_off=st.sampled_from([0, 9]),
    opposite=st.sampled_from(["keep", "close", "reverse"]),
)
def test_passages_agree_with_the_slow_model(
    market: Any, slip: int, square_off: int, opposite: str
) -> None:
    prices, said = market
    said = [("", 0.0, 0.0) if i % MINUTES == MINUTES - 1 else w for i, w in enumerate(said)]
    table = sessions(
        -(-len(prices) // MINUTES), MINUTES, square_off=square_off, entry_until=MINUTES - 1
    )
    kernel = make(
        Wisher(said), table, slippage_ticks=slip,
        on_opposite={"keep": 0, "close": 1, "reverse": 2}[opposite],
    )  # fmt: skip
    bars = bars_of(prices, MINUTES)
    assert kernel.run(bars.view("u1"))
    orders, passages = taken(kernel)  # before the end of the data closes what is open
    model = SlowModel(days_of(table), tick=TICK, qty=25, slippage=slip * TICK,
                      interval_ns=MINUTE, opposite=opposite)  # fmt: skip
    trades = model.run(
        [tuple(int(b[n]) for n in ("start_ns", "open", "high", "low", "close")) for b in bars], said
    )
    expected = []
    for trade in [*trades, *([model.open] if model.open is not None else [])]:
        expected.append((*trade.entry_decided, trade.entry_ns, trade.entry))
        if trade.why:
            expected.append((*trade.exit_decided, trade.exit_ns, trade.exit))
    filled = orders["filled"] > 0
    got = [
        (int(p["decided_ns"]), int(p["decision"]), int(p["first_fill_ns"]), int(o["value"]) // 25)
        for o, p in zip(orders[filled], passages[filled], strict=True)
    ]
    assert got == expected
    done = passages[filled]
    assert (done["first_fill_ns"] == done["last_fill_ns"]).all() and (done["fills"] == 1).all()
    assert (done["sent_ns"] == orders[filled]["created_ns"]).all()
    assert (passages["bid"] == 0).all() and (passages["ask"] == 0).all(), "bars know no quotes"
    assert (passages[~filled]["first_fill_ns"] == 0).all()


# ---- on ticks ------------------------------------------------------------------------------------


def test_an_entry_has_the_mark_it_was_decided_on_and_the_quotes_it_left_into() -> None:
    stand = TickStand()
    stand.tick(10_010, bid=10_000, ask=10_020, ask_qty=40)
    stand.tick(10_015, wish=("long", 0.0, 0.0))  # the quotes are those of the tick before
    decided = stand.now
    stand.tick(10_030, bid=10_010, ask=10_025, ask_qty=50)
    first = stand.now
    stand.tick(10_035, bid=10_020, ask=10_030, ask_qty=50)
    order, passage = way(stand, Reason.SIGNAL)
    assert passage["decided_ns"] == passage["sent_ns"] == decided
    assert passage["decision"] == passage["signal"] == 10_015
    assert (passage["bid"], passage["ask"]) == (10_000, 10_020)
    assert (passage["first_fill_ns"], passage["last_fill_ns"]) == (first, stand.now)
    assert passage["fills"] == 2 and order["filled"] == 4 * LOT
    assert order["value"] == 50 * 10_025 + 50 * 10_030
    assert passage["end_mark"] == 10_030, "what fills sees the mark from before its tick"
    assert passage["sent_price"] == 0 and passage["route"] == 0 and passage["changes"] == 0


def test_a_stop_is_measured_from_its_trigger_and_the_market_that_triggered_it() -> None:
    stand = TickStand()
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100, wish=("long", 1.0, 2.0))
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100)
    set_ns = stand.now
    stand.tick(9_890, bid=9_880, bid_qty=100, ask=9_895)
    order, passage = way(stand, Reason.STOP_LOSS)
    assert passage["decision"] == order["trigger"] == 9_900
    assert passage["decided_ns"] == set_ns and passage["last_fill_ns"] == stand.now
    assert (passage["bid"], passage["ask"]) == (9_880, 9_895)
    assert order["value"] == 9_880 * 100


def test_a_target_is_measured_from_its_limit_and_has_no_arrival() -> None:
    stand = TickStand()
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100, wish=("long", 1.0, 2.0))
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100)
    stand.tick(10_210, bid=10_205, bid_qty=100, ask=10_215)
    order, passage = way(stand, Reason.TAKE_PROFIT)
    assert passage["decision"] == passage["sent_price"] == order["price"] == 10_200
    assert passage["bid"] == passage["ask"] == 0


def test_a_stop_that_follows_an_entry_in_parts_is_changed_and_keeps_its_decision() -> None:
    stand = TickStand()
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=50, wish=("long", 1.0, 0.0))
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=50)
    set_ns = stand.now
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=50)
    stand.tick(9_890, bid=9_890, bid_qty=100, ask=9_895)
    _, passage = way(stand, Reason.STOP_LOSS)
    assert passage["changes"] == 1
    assert (passage["decided_ns"], passage["decision"]) == (set_ns, 9_900)


def test_the_entry_of_a_reversal_counts_from_the_wish_and_not_from_when_it_was_flat() -> None:
    stand = TickStand(on_opposite=REVERSE)
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100, wish=("long", 1.0, 1.0))
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100)
    stand.tick(10_005, bid=9_995, bid_qty=25, ask=10_010, wish=("short", 0.0, 0.0))
    wished = stand.now
    stand.tick(9_990, bid=9_985, bid_qty=25, ask=9_995)
    stand.tick(9_980, bid=9_975, bid_qty=75, ask=9_985)
    left = stand.now
    stand.tick(9_970, bid=9_965, bid_qty=100, ask=9_975)
    stand.loop.close_bars()
    stand.kernel.finish()
    orders, passages = taken(stand.kernel)
    both = passages[orders["reason"] == int(Reason.REVERSAL)]
    leave, enter = both
    assert (leave["decided_ns"], leave["decision"], leave["sent_ns"]) == (wished, 10_005, wished)
    assert (enter["decided_ns"], enter["decision"], enter["sent_ns"]) == (wished, 10_005, left)
    assert (enter["bid"], enter["ask"]) == (9_975, 9_985), "the market it left into, not the wish's"


def test_what_the_gate_refuses_never_left() -> None:
    stand = TickStand(gate={"qty_max": LOT})
    stand.tick(10_000, bid=9_995, ask=10_000, wish=("long", 1.0, 1.0))
    order, passage = way(stand, Reason.SIGNAL, filled=False)
    assert order["refused"] and passage["sent_ns"] == passage["bid"] == 0
    assert passage["decision"] == passage["end_mark"] == 10_000


def test_an_entry_that_nothing_met_ends_at_the_mark() -> None:
    stand = TickStand()
    stand.tick(10_000, bid=9_995, ask=10_000, wish=("long", 0.0, 0.0))
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=CRUMB)
    stand.tick(10_040, bid=10_035, ask=10_045, ask_qty=CRUMB, wish=("flat", 0.0, 0.0))
    stand.tick(10_050, bid=10_045, ask=10_055, ask_qty=CRUMB)
    _, passage = way(stand, Reason.SIGNAL, filled=False)
    assert passage["decision"] == 10_000 and passage["end_mark"] in (10_040, 10_050)


def test_yesterdays_quotes_are_not_todays_market() -> None:
    stand = TickStand(minutes=12)
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100)
    stand.now = OPEN + 86_400 * SECOND
    stand.tick(10_100, wish=("long", 0.0, 0.0))
    stand.tick(10_100, qty=1000)
    _, passage = way(stand, Reason.SIGNAL)
    assert passage["decision"] == 10_100 and passage["bid"] == passage["ask"] == 0


def test_stops_may_slip_by_more_than_the_others() -> None:
    """0.10 on a market order, 0.10 + 0.35 on a stop; by hand."""
    wishes = [("long", 1.0, 0.0), ("", 0.0, 0.0), ("", 0.0, 0.0)]
    prices = [(10_000, 10_010, 9_990, 10_000), (10_000, 10_000, 9_950, 9_960),
              (9_960, 9_960, 9_800, 9_850)]  # fmt: skip
    kernel = make(Wisher(wishes), sessions(1, 12), slippage=10, stop_more=35)
    assert kernel.run(bars_of(prices, 12).view("u1"))
    orders, _ = taken(kernel)
    by_kind = {int(row["kind"]): int(row["value"]) // 25 for row in orders}
    assert by_kind == {OrderKind.MARKET: 10_010, OrderKind.SLM: 9_910 - 45}


def test_stops_do_not_slip_by_less_than_nothing() -> None:
    with pytest.raises(ValueError, match="stop_more must not take off more than slippage"):
        make(Wisher([]), sessions(1, 12), slippage=10, stop_more=-11)


# ---- the log -------------------------------------------------------------------------------------


def test_orders_of_any_run_have_a_passage_each_in_the_same_place() -> None:
    log = RunLog()
    trades, orders, passages, equity = log.take()
    assert orders.dtype == ORDER_ROW_DTYPE and passages.dtype == PASSAGE_DTYPE
    assert len(trades) == len(orders) == len(passages) == len(equity) == 0
    assert ORDER_ROW_DTYPE.itemsize == 80 and PASSAGE_DTYPE.itemsize == 104


def test_quiet_ticks_in_one_pass_leave_the_same_passages_as_one_by_one() -> None:
    """Entries on bars, so that ticks between them are quiet; quotes come with some of them."""
    from dhanfast._core.bars import TimeBars
    from dhanfast._core.loops import TickLoop
    from dhanfast._core.types import TICK_DTYPE

    random = np.random.default_rng(11)
    ticks = np.zeros(3000, TICK_DTYPE)
    ticks["exch_ns"] = ticks["recv_ns"] = OPEN + np.arange(1, 3001) * (12 * MINUTE // 3100)
    ticks["price"] = 10_000 + 5 * np.cumsum(random.integers(-2, 3, 3000))
    quoted = random.random(3000) < 0.3
    ticks["bid"], ticks["ask"] = ((ticks["price"] + d) * quoted for d in (-10, 10))
    said = [("long", 1.0, 1.0), ("", 0, 0), ("flat", 0, 0), ("short", 0.5, 2.0)] * 5

    def ways(singly: bool) -> bytes:
        table = sessions(1, 12)
        kernel = make(Wisher(list(said)), table, on_opposite=REVERSE)
        loop = TickLoop(kernel, TimeBars(MINUTE, table), singly=singly)
        assert loop.run(ticks.view("u1"))
        loop.close_bars()
        kernel.finish()
        orders, passages = taken(kernel)
        entries = (orders["flags"] & int(OrderFlag.EXIT)) == 0
        assert (passages["bid"][entries] > 0).sum() >= 3
        return bytes(passages.tobytes())

    assert ways(False) == ways(True)
