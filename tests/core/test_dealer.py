"""The dealer on ticks: stop and target cover what is held, whatever fills in whatever order."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from dhanfast._core.types import OrderFlag, Reason, RejectReason, ReportKind
from dhanfast.errors import OrderRefused

from .stand import DAY, MINUTE, OPEN, Wisher, bars_of, make, run, sessions
from .tick_stand import LOT, QUIET, SECOND, TickStand

MINUTES = 12
KEEP, CLOSE, REVERSE = 0, 1, 2
CRUMB = 1  # units on offer: less than a lot, so an entry that goes on working takes nothing
# 1: less than a lot, nothing fills. 0: not carried, everything does.
some_units = st.sampled_from([1, LOT, LOT, LOT, 2 * LOT, 4 * LOT, 0])
near = st.sampled_from([-6, -2, -2, -1, 0, 0, 1, 2, 2, 6])
wishes = st.tuples(
    st.sampled_from([""] * 12 + ["long", "long", "short", "short", "flat"]),
    st.sampled_from([0.5, 0.1, 1.0]),
    st.sampled_from([0.2, 0.1, 0.5]),
)


class Covered(RuleBasedStateMachine):
    """Random ticks with small quantities and random wishes, against a ledger kept by hand.

    The ledger knows fills and wishes only. From them follows what must be at the exchange: a stop
    and a target of exactly the units held, nothing that is not named, an exit while something is
    held that was wished away; and what can never happen: an exit that adds or turns round.
    """

    @initialize(
        latency=st.sampled_from([0, 1, 3 * SECOND]),
        opposite=st.sampled_from([KEEP, CLOSE, REVERSE]),
        square_off=st.sampled_from([0, 9]),
        first=st.sampled_from(["long", "short"]),
    )
    def begin(self, latency: int, opposite: int, square_off: int, first: str) -> None:
        self.stand = TickStand(
            lots=10,
            latency_ns=latency,
            on_opposite=opposite,
            square_off=square_off,
            minutes=MINUTES,
        )
        self.kernel = self.stand.kernel
        self.opposite = opposite
        self.price, self.held, self.heard = 10_000, 0, 0
        self.entry = 0  # the last one sent: what is held is its
        self.going: set[int] = set()  # entries whose units were wished away
        self.stand.tick(self.price, wish=(first, 1.0, 0.2))
        self.hear((first, 1.0, 0.2))

    def wished(self, action: str) -> None:
        side = {"long": 1, "short": -1}.get(action, 0)
        against = side * self.held < 0 and self.opposite != KEEP
        if (action == "flat" and (self.held or self.kernel.entry_id)) or against:
            self.going.add(self.entry)

    @rule(
        move=near,
        lag=st.integers(0, 3),
        qty=some_units,
        spread=st.integers(1, 3),
        bid_qty=some_units,
        ask_qty=some_units,
        shown=st.booleans(),
        wish=wishes,
        step=st.sampled_from([0, 1, SECOND, SECOND, 10 * SECOND]),
    )
    def tick(self, move: int, lag: int, qty: int, spread: int, bid_qty: int, ask_qty: int,
             shown: bool, wish: Any, step: int) -> None:  # fmt: skip
        self.price = max(9_000, self.price + 5 * move)
        quote = {"bid": self.price, "ask": self.price + 5 * spread,
                 "bid_qty": bid_qty, "ask_qty": ask_qty}  # fmt: skip
        if self.stand.now + step >= self.last_moment():
            wish = QUIET
        # The last trade lags behind the quote, so that a quote may reach a target bit by bit.
        last = self.price - 5 * lag * (1 if move > 0 else -1)
        self.stand.tick(last, qty=qty, wish=wish, step=step, **(quote if shown else {}))
        self.hear(wish)

    @rule()
    def next_day(self) -> None:
        day = (self.stand.now - OPEN) // DAY
        if day < 2:
            self.going.clear()  # a wish holds for its day
            self.stand.tick(self.price, step=OPEN + (day + 1) * DAY - self.stand.now)
            self.hear(QUIET)

    def last_moment(self) -> int:
        return OPEN + (self.stand.now - OPEN) // DAY * DAY + (MINUTES - 1) * MINUTE

    def hear(self, wish: Any) -> None:
        """Write new fills into the ledger; an exit takes from what is held and no more."""
        for qty, reason, _ in self.stand.strategy.fills[self.heard :]:
            was, self.held = self.held, self.held + qty
            if reason == Reason.SIGNAL:
                assert was * qty >= 0, f"an entry of {qty} while {was} held"
            elif reason != Reason.REVERSAL or was * qty < 0:  # or the entry that turns round
                assert was * qty < 0 and abs(qty) <= abs(was), f"an exit of {qty} while {was} held"
        self.heard = len(self.stand.strategy.fills)
        self.wished(wish[0])
        self.entry = self.kernel.entry_id or self.entry

    @invariant()
    def covered(self) -> None:
        if not hasattr(self, "stand"):
            return
        kernel = self.kernel
        assert kernel.position == self.held == kernel.portfolio.position(0)["qty"]
        there = kernel.broker.working()
        named = {kernel.entry_id, kernel.exit_id, kernel.stop_id, kernel.target_id} - {0}
        assert set(there) == named, "an order at the exchange that nobody minds, or the other way"
        if self.held == 0:
            assert kernel.stop_id == kernel.target_id == kernel.exit_id == 0
            return
        if kernel.stop_id:
            assert there[kernel.stop_id]["left"] == abs(self.held)
        else:
            assert kernel.exit_id, "held without a stop and not on the way out"
        if kernel.target_id:
            assert there[kernel.target_id]["left"] == abs(self.held)
        if kernel.exit_id:
            assert there[kernel.exit_id]["left"] <= abs(self.held)
        assert kernel.exit_id or self.entry not in self.going, "wished away and not on the way out"

    def teardown(self) -> None:
        if not hasattr(self, "stand"):
            return
        trades, orders = self.stand.finish()
        self.hear(QUIET)
        assert self.kernel.position == self.held == 0
        assert self.kernel.equity - 10**12 == int(trades["gross"].sum())
        assert (orders["filled"] <= orders["qty"]).all()
        bought = int((orders["filled"] * orders["side"]).sum())
        assert bought == 0 and int(orders["filled"].sum()) == 2 * int(trades["qty"].sum())


TestCovered = Covered.TestCase
TestCovered.settings = settings(stateful_step_count=40, deadline=None)


# ---- one by one ------------------------------------------------------------------------------


def half_in(**more: Any) -> TickStand:
    """Long 50 of 100 at 100.00, stop 99.00, target 101.00; the entry goes on working."""
    stand = TickStand(**more)
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=50, wish=("long", 1.0, 1.0))
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=50, step=more.get("latency_ns", 0) or SECOND)
    assert stand.kernel.position == 50 and stand.covered() == (50, 50)
    return stand


def test_an_entry_that_fills_on_after_its_target_began_is_covered_to_the_unit() -> None:
    stand = half_in()
    # 25 of the target go; the exchange takes them off the stop.
    stand.tick(10_100, bid=10_100, bid_qty=25, ask=10_105, ask_qty=CRUMB)
    assert stand.kernel.position == 25 and stand.covered() == (25, 25)
    # The rest of the entry, resting at its protection price, fills in two parts.
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=25)
    assert stand.kernel.position == 50 and stand.covered() == (50, 50)
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=25)
    assert stand.kernel.position == 75 and stand.covered() == (75, 75)
    stand.tick(9_900, bid=9_900, bid_qty=1000, ask=10_105, ask_qty=CRUMB)
    assert stand.kernel.position == 0 and stand.kernel.broker.working() == {}
    trades, orders = stand.finish()
    assert [(int(t["qty"]), int(t["exit_value"])) for t in trades] == [
        (100, 25 * 10_100 + 75 * 9_900)
    ]
    by_flag = {int(row["flags"]) & ~1: row for row in orders}
    # Of the whole quantity asked for last, what its group took is part.
    assert int(by_flag[OrderFlag.STOP]["qty"]) == 100
    assert int(by_flag[OrderFlag.STOP]["filled"]) == 75
    assert int(by_flag[OrderFlag.TARGET]["filled"]) == 25


def test_an_entry_that_fills_on_after_its_stop_began_is_covered_to_the_unit() -> None:
    stand = half_in()
    stand.tick(9_900, bid=9_900, bid_qty=25, ask=9_905, ask_qty=CRUMB)
    assert stand.kernel.position == 25 and stand.covered() == (25, 25)
    stand.tick(9_950, bid=9_945, bid_qty=CRUMB, ask=9_950, ask_qty=25)
    assert stand.kernel.position == 50 and stand.covered() == (50, 50)
    stand.tick(9_950, bid=9_945, bid_qty=1000, ask=9_950, ask_qty=CRUMB)  # triggered: takes it all
    assert stand.kernel.position == 0 and stand.kernel.entry_id == 0


def test_with_latency_what_is_asked_of_stop_and_target_is_there_at_once() -> None:
    """The exit is on its way for three seconds; fills of the entry enlarge the stop meanwhile."""
    stand = half_in(latency_ns=3 * SECOND)
    stand.tick(10_000, bid=9_995, ask=10_105, ask_qty=CRUMB, wish=("flat", 0.0, 0.0))
    assert stand.kernel.exit_id and stand.left(stand.kernel.exit_id) == 50
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=25)  # the cancel has not arrived
    assert stand.kernel.position == 75 and stand.covered() == (75, 75)
    # Exit and cancel arrive: 50 go, the 25 that came in since are covered and leave next.
    stand.tick(10_000, bid=9_995, bid_qty=50, ask=10_105, ask_qty=CRUMB, step=3 * SECOND)
    assert stand.kernel.position == 25 and stand.covered() == (25, 25)
    assert stand.left(stand.kernel.exit_id) == 25
    stand.tick(10_000, bid=9_995, bid_qty=50, ask=10_105, ask_qty=CRUMB, step=3 * SECOND)
    assert stand.kernel.position == 0 and stand.kernel.broker.working() == {}
    trades, orders = stand.finish()
    assert len(trades) == 1 and int(trades[0]["qty"]) == 75
    entry = orders[orders["flags"] == 0][0]
    assert ReportKind(entry["status"]) == ReportKind.CANCELLED and int(entry["filled"]) == 75


def test_a_refused_change_of_the_stop_does_not_end_it_and_the_position_leaves() -> None:
    stand = half_in()
    stop, target = stand.kernel.stop_id, stand.kernel.target_id
    stand.kernel.broker.modify_order(stop, price=0, trigger=9_902, qty=50, now_ns=stand.now)
    stand.tick(10_000, bid=9_995, ask=10_105, ask_qty=CRUMB)  # 99.02 is not on the tick
    assert stand.covered() == (50, 50)
    assert (stand.kernel.stop_id, stand.kernel.target_id) == (stop, target)
    assert stand.left(stand.kernel.exit_id) == 50
    stand.tick(10_000, bid=9_995, bid_qty=1000, ask=10_105, ask_qty=CRUMB)
    trades, orders = stand.finish()
    assert [Reason(t["exit_reason"]) for t in trades] == [Reason.RISK_EXIT]
    kinds = {int(row["id"]): ReportKind(row["status"]) for row in orders}
    assert kinds[stop] == kinds[target] == ReportKind.CANCELLED


def test_a_refused_change_of_the_target_changes_nothing() -> None:
    stand = half_in()
    stand.kernel.broker.modify_order(
        stand.kernel.target_id, price=10_102, trigger=0, qty=50, now_ns=stand.now
    )
    stand.tick(10_000, bid=9_995, ask=10_105, ask_qty=CRUMB)
    assert stand.covered() == (50, 50) and stand.kernel.exit_id == 0
    # The entry fills on: the target that was refused a change follows all the same.
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=25)
    assert stand.covered() == (75, 75)


def test_a_stop_that_somebody_cancels_is_sent_again() -> None:
    stand = half_in()
    stop = stand.kernel.stop_id
    stand.kernel.broker.cancel_order(stop, stand.now)
    stand.tick(10_000, bid=9_995, ask=10_105, ask_qty=CRUMB)
    assert stand.kernel.stop_id not in (0, stop) and stand.covered() == (50, 50)


def test_a_stop_that_the_market_has_passed_is_refused_and_the_position_leaves() -> None:
    stand = TickStand()
    stand.tick(9_800, bid=9_995, ask=10_000, ask_qty=100, wish=("long", 1.0, 0.0))
    stand.tick(9_800, bid=9_995, ask=10_000, ask_qty=100)
    assert stand.kernel.position == 100 and stand.kernel.stop_id == 0
    assert stand.left(stand.kernel.exit_id) == 100
    stand.tick(9_800, bid=9_995, bid_qty=100, ask=10_000)
    trades, orders = stand.finish()
    assert Reason(trades[0]["exit_reason"]) == Reason.RISK_EXIT
    stop = orders[(orders["flags"] & OrderFlag.STOP) != 0][0]
    assert RejectReason(stop["refused"]) == RejectReason.TRIGGER_SIDE


def test_the_entry_of_a_reversal_waits_until_nothing_is_held() -> None:
    stand = TickStand(on_opposite=REVERSE)
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100, wish=("long", 1.0, 1.0))
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100)
    stand.tick(10_000, bid=9_995, bid_qty=25, ask=10_000, wish=("short", 1.0, 1.0))
    stand.tick(10_000, bid=9_995, bid_qty=25, ask=10_000)
    assert stand.kernel.position == 75 and stand.kernel.entry_id == 0
    stand.tick(10_000, bid=9_995, bid_qty=75, ask=10_000)
    assert stand.kernel.position == 0 and stand.left(stand.kernel.entry_id) == 100
    stand.tick(10_000, bid=9_995, bid_qty=100, ask=10_000)
    assert stand.kernel.position == -100 and stand.covered() == (100, 100)
    trades, _ = stand.finish()
    assert [int(t["side"]) for t in trades] == [1, -1]
    assert Reason(trades[1]["entry_reason"]) == Reason.REVERSAL


def test_a_wish_to_be_flat_takes_back_the_entry_of_a_reversal() -> None:
    stand = TickStand(on_opposite=REVERSE)
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100, wish=("long", 1.0, 1.0))
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100)
    stand.tick(10_000, bid=9_995, bid_qty=25, ask=10_000, wish=("short", 1.0, 1.0))
    stand.tick(10_000, bid=9_995, bid_qty=25, ask=10_000, wish=("flat", 0.0, 0.0))
    stand.tick(10_000, bid=9_995, bid_qty=75, ask=10_000)
    assert stand.kernel.position == 0 and stand.kernel.entry_id == 0


def test_a_fill_of_an_order_nobody_sent_stops_the_run() -> None:
    stand = TickStand()
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100)
    order = {"id": 999, "side": 1, "qty": LOT, "kind": 1, "created_ns": stand.now}
    approved = stand.kernel.gate.check(order, mark=10_000, session={"lot": LOT, "tick": 5})
    stand.kernel.broker.submit_order(approved, stand.now)
    with pytest.raises(OrderRefused, match="no working order"):
        stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100)


def test_an_entry_that_fills_against_an_open_position_stops_the_run() -> None:
    """Bars that fill orders in parts can let a reversal's entry in before its exit is done."""
    said = [("long", 0.0, 0.0), QUIET, QUIET, ("short", 0.0, 0.0)] + [QUIET] * 8
    table = sessions(1, MINUTES)
    bars = bars_of([(10_000, 10_005, 9_995, 10_000)] * MINUTES, MINUTES)
    bars["volume"] = 50
    kernel = make(Wisher(said), table, on_opposite=REVERSE, lots=2, match={"volume_share_e4": 5000})
    with pytest.raises(OrderRefused, match="still open"):
        run(kernel, bars)


def test_square_off_asks_once_for_the_cancel_of_an_entry_on_its_way() -> None:
    stand = TickStand(latency_ns=30 * SECOND, square_off=1)
    stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=100, step=50 * SECOND,
               wish=("long", 1.0, 1.0))  # fmt: skip
    for _ in range(2000):
        stand.tick(10_000, bid=9_995, ask=10_000, ask_qty=25, step=SECOND // 100 + 1)
    assert stand.now < OPEN + 80 * SECOND and stand.kernel.broker.pending_reports == 0
    stand.tick(10_000, bid=9_995, bid_qty=200, ask=10_000, ask_qty=25, step=30 * SECOND)
    stand.tick(10_000, bid=9_995, bid_qty=200, ask=10_000, step=40 * SECOND)
    stand.tick(10_000, bid=9_995, bid_qty=200, ask=10_000, step=40 * SECOND)
    assert stand.kernel.position == 0 and stand.kernel.broker.working() == {}
