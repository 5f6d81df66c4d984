"""Stops that move while an exit is worked: against plain Python, on ticks and on bars."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.execution.schedule import Algo
from dhanfast._core.stops import Stops
from dhanfast._core.types import Reason

from ..slow_model import Bar, Day, Wish, days_of
from ..slow_stops import SlowRules, SlowStop, SlowStopsModel
from ..stand import MINUTE, TICK, Wisher, bars_of, make, run, sessions
from ..test_kernel import MINUTES, WHY
from ..test_stops import native, rules_of, small
from ..tick_stand import LOT, SECOND, TickStand

PRICE = 10_000
# An exit that waits: nothing trades, so nothing is due, until its deadline.
WAITS = {"algo": Algo.POV, "entries": 0, "interval_ns": SECOND}


# ---- tick by tick -------------------------------------------------------------------------------


class Both:
    """One position in the kernel and the same stop in plain Python, price by price."""

    def __init__(self, rules: SlowRules, side: int, first: int) -> None:
        self.side, self.rules = side, rules
        self.stand = TickStand(lots=2, stops=native(rules),
                               worker=WAITS | {"horizon_ns": 600 * SECOND})  # fmt: skip
        self.kernel: Any = self.stand.kernel
        wish = ("long" if side > 0 else "short", first / 100, 0.0)
        self.stand.tick(PRICE, wish=wish)
        self.stand.tick(PRICE)
        assert self.kernel.position == side * 2 * LOT
        stop = PRICE - side * first if first else 0
        self.slow = SlowStop(rules, side, PRICE, TICK, stop, float("nan"))
        self.slow.see(PRICE, PRICE, PRICE, self.stand.now)

    @property
    def stop(self) -> int:
        """Where the kernel has it: of the order that rests and the one watched here the nearer."""
        found = [each for each in (self.kernel.stop_price, self.kernel.stop_local) if each]
        return self.slow.tighter(found)

    def see(self, price: int, seconds: int, wish: str = "") -> bool:
        """One price; False when it has touched the stop, and all is left."""
        touched = self.slow.stop and self.side * (price - self.slow.stop) <= 0
        self.stand.tick(price, step=seconds * SECOND, wish=(wish, 0.0, 0.0))
        if touched:
            self.stand.tick(price)
            assert self.kernel.position == 0 and self.kernel.broker.live == 0
            return False
        self.slow.see(price, price, price, self.stand.now)
        assert self.stop == self.slow.stop
        assert self.kernel.position == self.side * 2 * LOT
        return True


steps = st.lists(st.tuples(st.integers(-12, 12), st.integers(1, 9)), min_size=1, max_size=50)


@given(
    rules=rules_of(small),
    side=st.sampled_from([1, -1]),
    first=st.sampled_from([0, 40, 300]),
    moves=steps,
    flat_at=st.integers(0, 25),
)
def test_a_stop_moves_while_its_exit_is_worked_as_the_slow_one_does(
    rules: SlowRules, side: int, first: int, moves: Any, flat_at: int
) -> None:
    """And a price that touches it ends the algorithm: everything leaves with that price."""
    rules.stop = rules.target = None
    rules.bars_max = rules.time_max_ns = 0
    rules.every_ns //= 12
    rules.only_losing = False
    both, price = Both(rules, side, first), PRICE
    for at, (move, seconds) in enumerate(moves):
        price = max(50 * TICK, price + move * TICK)
        if not both.see(price, seconds, "flat" if at == flat_at else ""):
            return
        assert both.kernel.broker.hurried == 0
        assert (both.kernel.exit_id != 0) == (at >= flat_at)


@pytest.mark.parametrize("rest", [True, False])
@pytest.mark.parametrize("changes_max", [0, 20])
def test_a_trail_tightens_behind_an_exit_at_work_and_ends_it(rest: bool, changes_max: int) -> None:
    """Up by three points, and down by as many as the trail allows: it used to stand still."""
    rules = SlowRules(trail=(2, "points"), step_ticks=1, rest=rest, changes_max=changes_max)
    both = Both(rules, 1, 0)
    assert both.stop == 9_800
    assert both.see(PRICE, 1, "flat") and both.kernel.exit_id
    for price, stop in ((10_100, 9_900), (10_300, 10_100), (10_200, 10_100)):
        assert both.see(price, 1) and both.stop == stop
    resting = rest and changes_max > 0
    assert both.kernel.stop_price == (10_100 if resting else 9_800 if rest else 0)
    assert both.kernel.stop_local == (0 if resting else 10_100)
    assert both.kernel.stops_moved == 2 and both.kernel.broker.hurried == 0
    assert not both.see(10_100, 1)
    trades, _ = both.stand.finish()
    assert trades["exit_value"].tolist() == [10_100 * 2 * LOT]
    assert trades["exit_reason"][0] == (Reason.STOP_LOSS if resting else Reason.EXIT_SIGNAL)
    assert both.kernel.broker.hurried == (not resting)


def test_an_exit_that_leaves_at_once_needs_no_stop_that_moves() -> None:
    """The square-off presses: what is sent then is not followed by changes of a stop."""
    rules = Stops(trail=(2, "points"), step_ticks=1, every_ns=0)
    made = TickStand(lots=2, square_off=5, stops=rules, latency_ns=5 * SECOND,
                     worker=WAITS | {"horizon_ns": 600 * SECOND})  # fmt: skip
    made.tick(PRICE, wish=("long", 0.0, 0.0))
    made.tick(PRICE, step=6 * SECOND)
    made.tick(PRICE, wish=("flat", 0.0, 0.0))
    made.tick(PRICE + 100)
    assert made.kernel.stops_moved == 1
    made.now = int(made.table["square_off_ns"][0])
    made.tick(PRICE + 200)
    moved = made.kernel.stops_moved
    made.tick(PRICE + 300)
    made.tick(PRICE + 400)
    assert made.kernel.position and made.kernel.broker.hurried == 1, "it is on its way"
    assert made.kernel.stops_moved == moved
    made.tick(PRICE + 400, step=6 * SECOND)
    assert made.kernel.position == 0


# ---- bar by bar ---------------------------------------------------------------------------------


@dataclass
class SlowWorked(SlowStopsModel):
    """The slow backtest whose exits by signal wait for `horizon_ns`, and then leave at once."""

    horizon_ns: int = 0
    worked_until: int = 0  # 0 = no exit is worked

    def at_open(self, bar: Bar) -> None:
        new_day = self.fresh  # a day's orders end with it
        if self.worked_until and not new_day and bar[0] >= self.worked_until:
            self.leaving = "exit"
        super().at_open(bar)
        if self.open is None or new_day:
            self.worked_until = 0

    def inside(self, bar: Bar, end: int) -> None:
        super().inside(bar, end)
        if self.open is None:
            self.worked_until = 0
        elif self.worked_until and self.leaving:
            self.leaving = "exit"  # what the exit was wished for, sooner

    def decide(self, day: Day, end: int, wish: Wish, close: int) -> None:
        worked, was = self.worked_until, self.leaving
        super().decide(day, end, wish, close)
        if self.leaving and worked:
            # What presses ends the algorithm; asked for again by signal it goes on.
            self.leaving = "exit" if was or self.presses(day, end, close) else ""
        elif self.leaving == "exit":
            self.worked_until = min(end + self.horizon_ns, day.close_ns)
            self.leaving = ""

    def presses(self, day: Day, end: int, close: int) -> bool:
        trade, rules = self.open, self.rules
        assert trade is not None
        if day.square_off_ns and end >= day.square_off_ns:
            return True
        over = rules.time_max_ns and end - trade.entry_ns >= rules.time_max_ns
        over = over or (rules.bars_max and self.held >= rules.bars_max)
        kept = rules.only_losing and trade.side * (close - trade.entry) > 0
        return bool(over and not kept and end < day.close_ns)


@st.composite
def slow_markets(draw: st.DrawFn) -> tuple[list[tuple[int, int, int, int]], list[Wish]]:
    """A walk of small steps, so that a position outlives some bars, mostly being worked out of."""
    prices, said, price = [], [], 2_000
    for at in range(draw(st.integers(6, 3 * MINUTES))):
        opened = price + draw(st.integers(-3, 3))
        price = opened + draw(st.integers(-6, 9))
        high = max(opened, price) + draw(st.integers(0, 4))
        low = min(opened, price) - draw(st.integers(0, 4))
        prices.append((TICK * opened, TICK * high, TICK * low, TICK * price))
        wish = draw(st.sampled_from(["long", "short", "flat", ""]))
        if at % MINUTES == MINUTES - 1:
            wish = ""  # its order would find the exchange closed
        said.append((wish, draw(st.sampled_from([0.0, 0.5])), draw(st.sampled_from([0.0, 1.0]))))
    return prices, said


@given(
    market=slow_markets(),
    rules=rules_of(),
    square_off=st.sampled_from([0, 9]),
    opposite=st.sampled_from(["keep", "close"]),
    minutes=st.integers(1, 8),
    trail=st.one_of(small, st.just((0.2, "points"))),
)
def test_trades_with_worked_exits_agree_with_the_slow_model(
    market: Any, rules: SlowRules, square_off: int, opposite: str, minutes: int,
    trail: tuple[float, str],
) -> None:  # fmt: skip
    """Every one with a trail, which is near enough to be hit while an exit waits."""
    rows, said = market
    rules.trail, rules.step_ticks, rules.every_ns = trail, 1, 0
    table = sessions(-(-len(rows) // MINUTES), MINUTES, square_off=square_off,
                     entry_until=MINUTES - 1)  # fmt: skip
    kernel = make(
        Wisher(said), table, stops=native(rules),
        on_opposite={"keep": 0, "close": 1}[opposite],
        worker=WAITS | {"horizon_ns": minutes * MINUTE},
    )  # fmt: skip
    bars = bars_of(rows, MINUTES)
    trades, _, _ = run(kernel, bars)
    model = SlowWorked(
        days_of(table), tick=TICK, qty=25, slippage=0, interval_ns=MINUTE, opposite=opposite,
        rules=rules, horizon_ns=minutes * MINUTE,
    )  # fmt: skip
    model.run(
        [tuple(int(b[n]) for n in ("start_ns", "open", "high", "low", "close")) for b in bars], said
    )
    why = WHY | {Reason.TIME_STOP: "held"}
    got = [
        (t["side"], t["entry_value"] // 25, t["entry_ns"], t["exit_value"] // 25, t["exit_ns"],
         why.get(t["exit_reason"], "end"))
        for t in trades
    ]  # fmt: skip
    want = [(t.side, t.entry, t.entry_ns, t.exit, t.exit_ns, t.why) for t in model.trades]
    assert got[: len(want)] == want
    assert len(got) - len(want) == (model.open is not None)
