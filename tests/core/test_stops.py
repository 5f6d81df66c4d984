"""Stops that move: against plain Python, by themselves, on bars, and tick by tick."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.stops import Stops, StopWatch
from dhanfast._core.types import Reason
from dhanfast.errors import ConfigError

from .slow_model import days_of
from .slow_stops import SlowRules, SlowStop, SlowStopsModel
from .stand import DAY, MINUTE, OPEN, TICK, Wisher, bars_of, make, run, sessions
from .test_kernel import MINUTES, WHY, markets
from .test_tick_loop import SECOND, told, walk
from .tick_stand import LOT, TickStand

small = st.sampled_from([(0.3, "points"), (1.0, "points"), (0.4, "percent"), (1.5, "percent")])
distances = st.one_of(small, st.sampled_from([(0.7, "atr"), (2.0, "atr")]))
maybe = st.one_of(st.none(), distances)


@st.composite
def rules_of(draw: st.DrawFn, each: Any = maybe) -> SlowRules:
    """Rules that belong together; times short, so that a short run meets them."""
    trail, cost_at = draw(each), draw(each)
    bars_max, time_max = draw(st.sampled_from([0, 0, 3])), draw(st.sampled_from([0, 0, 4]))
    return SlowRules(
        stop=draw(each),
        target=draw(each),
        trail=trail,
        trail_from=None if trail is None else draw(each),
        cost_at=cost_at,
        cost_plus=None if cost_at is None else draw(st.one_of(st.none(), small)),
        override=draw(st.booleans()),
        rest=draw(st.booleans()),
        step_ticks=draw(st.sampled_from([1, 4])),
        every_ns=draw(st.sampled_from([0, 2 * MINUTE])),
        changes_max=draw(st.sampled_from([0, 1, 20])),
        bars_max=bars_max,
        time_max_ns=time_max * MINUTE,
        only_losing=bool(bars_max or time_max) and draw(st.booleans()),
    )


def native(rules: SlowRules) -> Stops:
    return Stops(**vars(rules))


prices = st.lists(
    st.tuples(st.integers(-60, 60), st.integers(0, 30), st.integers(0, 30), st.integers(1, 90)),
    min_size=1,
    max_size=40,
)


def path(moves: list[tuple[int, int, int, int]], entry: int) -> list[tuple[int, int, int, int]]:
    """(low, high, last, now_ns) of a walk in paise, ticks or not."""
    last, now, found = entry, 0, []
    for step, under, over, seconds in moves:
        last, now = max(40, last + step), now + seconds * SECOND
        found.append((max(1, last - under), last + over, last, now))
    return found


@given(
    rules=rules_of(small),
    side=st.sampled_from([1, -1]),
    tick=st.sampled_from([1, 5, 20]),
    first=st.sampled_from([0, 40, 300]),
    moves=prices,
)
def test_one_stop_moves_as_the_slow_one_and_only_ever_tightens(
    rules: SlowRules, side: int, tick: int, first: int, moves: Any
) -> None:
    entry = 10_000
    stop = (entry - side * first) if first else 0
    slow = SlowStop(rules, side, entry, tick, stop, float("nan"))
    watch = StopWatch(native(rules), side=side, entry=entry, tick=tick, stop=stop)
    assert watch.stop == slow.stop
    for low, high, last, now in path(moves, entry):
        before = watch.stop
        moved = slow.see(low, high, last, now)
        after = watch.see(low, high, last, now)
        assert after == slow.stop
        if moved:
            assert side * (last - after) > 0, "never at or beyond the market"
            assert before == 0 or side * (after - before) >= rules.step_ticks * tick
        else:
            assert after == before
        if moved and rules.trail is not None and rules.cost_at is None:
            away = rules.trail[0] * 100
            away = away if rules.trail[1] == "points" else rules.trail[0] / 100 * slow.best - 1
            assert side * (slow.best - after) >= away, "never nearer than the distance"


@given(
    rules=rules_of(small),
    side=st.sampled_from([1, -1]),
    first=st.sampled_from([0, 40, 300]),
    moves=prices,
    next_price=st.integers(9_000, 11_000),
    wait=st.integers(0, 200),
)
def test_nothing_moves_where_it_is_said_to_be_quiet(
    rules: SlowRules, side: int, first: int, moves: Any, next_price: int, wait: int
) -> None:
    stop = (10_000 - side * first) if first else 0
    watch = StopWatch(native(rules), side=side, entry=10_000, tick=TICK, stop=stop)
    now = 0
    for low, high, last, at in path(moves, 10_000):
        watch.see(low, high, last, at)
        now = at
    floor, ceiling, until = watch.quiet(now)
    before = watch.stop
    if floor < next_price < ceiling and now + wait * SECOND < until:
        assert watch.see(next_price, next_price, next_price, now + wait * SECOND) == before


def test_quiet_is_wide_enough_to_be_of_use() -> None:
    """A law about nothing would hold too: between two moves of a trail there is room."""
    watch = StopWatch(Stops(trail=(5, "points"), step_ticks=20), side=1, entry=10_000, tick=5)
    assert watch.stop == 9_500
    assert watch.quiet(0) == (0, 10_100, 2**63 - 1)
    assert watch.see(10_100, 10_100, 10_100, SECOND) == 9_600
    assert watch.see(10_300, 10_300, 10_300, 2 * SECOND) == 9_600, "too soon"
    assert watch.quiet(2 * SECOND) == (0, 2**63 - 1, 6 * SECOND)
    assert watch.see(10_290, 10_290, 10_290, 6 * SECOND) == 9_800


@given(
    market=markets(),
    rules=rules_of(),
    slip=st.integers(0, 3),
    square_off=st.sampled_from([0, 9]),
    opposite=st.sampled_from(["keep", "close", "reverse"]),
)
def test_trades_on_bars_agree_with_the_slow_model(
    market: Any, rules: SlowRules, slip: int, square_off: int, opposite: str
) -> None:
    rows, said = market
    said = [("", 0.0, 0.0) if i % MINUTES == MINUTES - 1 else w for i, w in enumerate(said)]
    table = sessions(-(-len(rows) // MINUTES), MINUTES, square_off=square_off,
                     entry_until=MINUTES - 1)  # fmt: skip
    kernel = make(
        Wisher(said),
        table,
        slippage_ticks=slip,
        on_opposite={"keep": 0, "close": 1, "reverse": 2}[opposite],
        stops=native(rules),
    )
    bars = bars_of(rows, MINUTES)
    trades, _, _ = run(kernel, bars)
    model = SlowStopsModel(
        days_of(table),
        tick=TICK,
        qty=25,
        slippage=slip * TICK,
        interval_ns=MINUTE,
        opposite=opposite,
        rules=rules,
    )
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


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(100, 700),
    quotes=st.sampled_from(["none", "some", "all"]),
    latency=st.sampled_from([0, 2 * SECOND]),
    square_off=st.sampled_from([0, 6]),
    through=st.booleans(),
    rules=rules_of(),
    fast=st.booleans(),
)
def test_quiet_runs_change_nothing_with_stops(
    seed: int, count: int, quotes: str, latency: int, square_off: int, through: bool,
    rules: SlowRules, fast: bool,
) -> None:  # fmt: skip
    ticks = walk(seed, count, 2, quotes)
    rules.every_ns = 0 if fast else 5 * SECOND
    more = {"latency_ns": latency, "square_off": square_off, "stops": native(rules),
            "match": {"limit_through": through, "protection_e4": 500}}  # fmt: skip
    one_by_one = told(ticks, list(range(count)), singly=True, **more)
    assert told(ticks, [], singly=False, **more) == one_by_one
    assert told(ticks, [17, 230], singly=False, **more) == one_by_one


def test_those_walks_move_stops_and_touch_the_ones_watched_here() -> None:
    """Or the law above would be about nothing."""
    from dhanfast._core.bars import TimeBars
    from dhanfast._core.loops import TickLoop

    from .test_tick_loop import Fickle

    ticks = walk(3, 700, 2, "all")
    table = sessions(3, 8, lot=LOT)
    for rest in (True, False):
        rules = Stops(trail=(0.3, "points"), step_ticks=1, every_ns=0, rest=rest)
        kernel = make(Fickle(), table, lots=4, stops=rules)
        TickLoop(kernel, TimeBars(MINUTE, table)).run(ticks.view("u1"))
        assert kernel.stops_moved > 8
        trades, orders, _ = kernel.log.drain()
        stopped = trades[trades["exit_reason"] == Reason.STOP_LOSS]
        assert len(stopped) > 3
        assert ((orders["flags"] & 2) != 0).any() == rest, "a stop that is watched is never sent"


def test_a_trailed_stop_leaves_at_its_new_price_and_the_order_says_so() -> None:
    rules = Stops(trail=(2, "points"), step_ticks=4, every_ns=0)
    stand = TickStand(lots=1, stops=rules)
    stand.tick(10_000, wish=("long", 5.0, 0.0))
    stand.tick(10_000)
    assert stand.kernel.position == LOT and stand.kernel.stop_price == 9_800
    for price in (10_010, 10_019, 10_020, 10_100, 10_050):
        stand.tick(price)
    assert stand.kernel.stop_price == 9_900 and stand.kernel.stops_moved == 2
    stand.tick(9_900)
    stand.tick(9_900)
    trades, orders = stand.finish()
    assert trades["stop"][0] == 9_800 and trades["exit_value"][0] == 9_900 * LOT
    assert orders["trigger"][orders["flags"] & 2 != 0].tolist() == [9_900]


def test_a_move_travels_as_long_as_an_order() -> None:
    """The stop of before holds until the change is at the exchange."""
    rules = Stops(trail=(2, "points"), step_ticks=1, every_ns=0)
    stand = TickStand(lots=1, stops=rules, latency_ns=3 * SECOND)
    stand.tick(10_000, wish=("long", 2.0, 0.0))
    for _ in range(4):
        stand.tick(10_000)
    assert stand.kernel.position == LOT
    stand.tick(10_100)  # asks for 9,900
    stand.tick(9_890)  # through it, but it is not there yet
    assert stand.kernel.position == LOT
    stand.tick(9_890, step=3 * SECOND)  # it arrives, and is touched
    stand.tick(9_890)
    assert stand.kernel.position == 0


def test_a_change_on_its_way_does_not_undo_what_an_entry_still_brings() -> None:
    """The trail's change travels while the entry fills on: the stop covers all of it."""
    rules = Stops(trail=(2, "points"), step_ticks=1, every_ns=0)
    stand = TickStand(lots=4, stops=rules, latency_ns=2 * SECOND)
    stand.tick(10_000, wish=("long", 2.0, 0.0))
    stand.tick(10_000, qty=LOT, step=2 * SECOND)
    assert stand.kernel.position == LOT
    stand.tick(10_050, qty=LOT)  # fills one lot more, and asks for 9,850
    stand.tick(10_050, qty=LOT, step=SECOND // 2)
    held = stand.kernel.position
    assert held == 3 * LOT
    stand.tick(10_040, qty=LOT, step=3 * SECOND)
    assert stand.kernel.position == 4 * LOT
    assert stand.left(stand.kernel.stop_id) == 4 * LOT
    stand.tick(9_855)
    assert stand.left(stand.kernel.stop_id) == 4 * LOT
    stand.tick(9_850)
    stand.tick(9_850)
    assert stand.kernel.position == 0, "all of it leaves at the new trigger"


def test_after_the_changes_of_one_order_the_stop_goes_on_here() -> None:
    rules = Stops(trail=(2, "points"), step_ticks=1, every_ns=0, changes_max=2)
    stand = TickStand(lots=1, stops=rules)
    stand.tick(10_000, wish=("long", 2.0, 0.0))
    for price in (10_000, 10_010, 10_020, 10_030, 10_040):
        stand.tick(price)
    assert (stand.kernel.stop_price, stand.kernel.stop_local) == (9_820, 9_840)
    stand.tick(9_839)
    stand.tick(9_839)
    trades, _ = stand.finish()
    assert trades["exit_reason"].tolist() == [Reason.STOP_LOSS]


def test_a_change_that_is_refused_closes_the_position() -> None:
    """The band of the day refuses the new trigger: better out than with a stop nobody knows."""
    rules = Stops(trail=(2, "points"), step_ticks=1, every_ns=0)
    stand = TickStand(lots=1, stops=rules)
    stand.table["band_high"] = 9_850
    stand.kernel.extend(stand.table)
    stand.tick(9_800, wish=("long", 2.0, 0.0))
    stand.tick(9_800)
    stand.tick(10_100)  # the trail asks for 9,900, above the band
    for _ in range(2):
        stand.tick(10_100)
    trades, _ = stand.finish()
    assert trades["exit_reason"][0] == Reason.RISK_EXIT


def test_cost_counts_the_charges_of_both_sides() -> None:
    """Stopped at cost, the trade ends with nothing lost; without charges it would lose them."""
    for charged in (True, False):
        rules = Stops(cost_at=(3, "points"), cost_charges=charged, step_ticks=1, every_ns=0)
        stand = TickStand(lots=1, stops=rules)
        stand.table["charges"]["brokerage_flat"] = 2_000
        stand.table["charges"]["stt_sell_e9"] = 200_000
        stand.kernel.extend(stand.table)
        stand.tick(10_000, wish=("long", 5.0, 0.0))
        for price in (10_000, 10_300):
            stand.tick(price)
        cost = stand.kernel.stop_price
        for _ in range(2):
            stand.tick(cost)
        trades, _ = stand.finish()
        fees = sum(int(trades[n][0]) for n in ("brokerage", "stt")) / 1e6
        assert trades["stop"][0] == 9_500 and fees > 4_000
        net = float(trades["gross"][0]) - fees
        assert cost > 10_000 if charged else cost == 10_000
        assert 0 <= net < 2 * TICK * LOT if charged else net == -fees


@pytest.mark.parametrize(("minutes", "bars"), [(3, 0), (0, 3)])
@pytest.mark.parametrize("only_losing", [False, True])
def test_a_time_stop(minutes: int, bars: int, only_losing: bool) -> None:
    rules = Stops(time_max_ns=minutes * MINUTE, bars_max=bars, only_losing=only_losing)
    flat = [(2_000, 2_000, 2_000, 2_000)] * 2
    up = [(2_000, 2_100, 2_000, 2_050)] * 4
    down = [(2_050, 2_050, 1_900, 1_950), (1_950, 1_950, 1_950, 1_950)]
    wishes = [("long", 0.0, 0.0)] + [("", 0.0, 0.0)] * 7
    trades, orders, _ = run(make(Wisher(wishes), sessions(1, 12), stops=rules),
                            bars_of(flat + up + down, 12))  # fmt: skip
    assert trades["exit_reason"].tolist() == [Reason.TIME_STOP]
    # Entered at the start of bar 1: three minutes later is the end of bar 3.
    assert trades["exit_ns"][0] == OPEN + (7 if only_losing else 4) * MINUTE
    assert len(orders) == 2


def test_a_stop_carried_over_night_rests_where_it_had_got_to() -> None:
    rules = Stops(trail=(2, "points"), step_ticks=1, every_ns=0, changes_max=1)
    stand = TickStand(lots=1, stops=rules)
    stand.tick(10_000, wish=("long", 2.0, 0.0))
    for price in (10_000, 10_050, 10_100):
        stand.tick(price)
    assert (stand.kernel.stop_price, stand.kernel.stop_local) == (9_850, 9_900)
    stand.now = OPEN + DAY
    stand.tick(10_050)
    assert (stand.kernel.stop_price, stand.kernel.stop_local) == (9_900, 0)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"stop": (0, "points")}, "stops.stop must be above 0"),
        ({"trail": (101, "percent")}, "stops.trail must be above 0 and at most 100, was 101"),
        ({"trail": (1, "miles")}, "'miles' is not points"),
        ({"trail_from": (1, "atr")}, "stops.trail_from: nothing trails"),
        ({"cost_plus": (1, "atr")}, "belong to stops.cost_at"),
        ({"cost_charges": True}, "belong to stops.cost_at"),
        ({"only_losing": True}, "stops.only_losing belongs to"),
        ({"changes_max": 21}, "stops.changes_max must be in 0..20, was 21"),
        ({"step_ticks": 0}, "stops.step_ticks"),
        ({"every_ns": -1}, "stops.every_ns"),
        ({"atr_period": 0}, "stops.atr_period"),
    ],
)
def test_what_cannot_be_a_rule_is_refused_by_name(wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Stops(**wrong)


def test_a_watch_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="side must be"):
        StopWatch(Stops(), side=0, entry=100, tick=5)


def test_a_change_without_a_quantity_keeps_the_one_there_is() -> None:
    stand = TickStand(lots=1)
    stand.tick(10_000, wish=("long", 2.0, 0.0))
    stand.tick(10_000)
    stop = stand.kernel.stop_id
    stand.kernel.broker.modify_order(stop, price=0, trigger=9_900, qty=0, now_ns=stand.now)
    assert stand.left(stop) == LOT
    stand.tick(9_900)
    stand.tick(9_900)
    assert stand.kernel.position == 0
