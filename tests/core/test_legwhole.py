"""A structure as one position: against a plain model, and sums by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.chainday import Missing, StrikeRule
from dhanfast._core.legorder import Told
from dhanfast._core.legrun import LegRun
from dhanfast._core.legs import Again, LegUnit
from dhanfast._core.types import Reason
from tests.core.leg_whole_model import IndexLeg, WholeRun
from tests.core.test_legrun import (
    MINUTE,
    OPEN,
    STRIKES,
    amounts,
    bars,
    begin,
    chain,
    flat,
    native,
    rules_of,
    session,
)  # fmt: skip

LOT = 25
POINTS, PERCENT = int(LegUnit.INDEX_POINTS), int(LegUnit.INDEX_PERCENT)


def day(run: LegRun, rows: list[list[tuple[int, int, int, int]]], index: list[int] | int = 110_000,
        exit_row: int = 100, again_row: int | None = None) -> Any:  # fmt: skip
    """One day, entered at the end of its first row; trades, sorted by their entry."""
    assert run.run_day(
        chain(rows, spot=np.array(index)), slots=[0] * len(run.legs_now()),
        entry_ns=OPEN + MINUTE, until_ns=OPEN + 6 * MINUTE,
        exit_ns=OPEN + (exit_row + 1) * MINUTE, trade=True, date=20260126,
        again_ns=0 if again_row is None else OPEN + (again_row + 1) * MINUTE,
    )  # fmt: skip
    run.finish()
    return np.sort(run.log.take()[0], order=["entry_ns", "instrument"])


def seen(trades: Any) -> list[tuple[int, int, int, int, int, int]]:
    """(contract, side, row and price of the entry, row and price of the exit)."""
    return [
        (int(one["instrument"]), int(one["side"]),
         int(one["entry_ns"] - OPEN) // MINUTE, int(one["entry_value"]) // LOT,
         int(one["exit_ns"] - OPEN) // MINUTE, int(one["exit_value"]) // LOT)
        for one in trades
    ]  # fmt: skip


def told(run: LegRun) -> list[tuple[Told, int]]:
    """(what, strike): of the whole a result in paise, of the index its level."""
    return [(Told(row["told"]), int(row["strike"])) for row in run.take_notes()]


def calls(*closes: int) -> list[list[tuple[int, int, int, int]]]:
    """Rows of one premium in all three columns; a row opens where it closes."""
    return [[flat(close)] * 3 for close in closes]


# ---- against the plain model --------------------------------------------------------------------


@st.composite
def index_legs(draw: st.DrawFn, column: int) -> IndexLeg:
    how = draw(st.sampled_from(["premium", "index", "none"]))
    trail = draw(st.just((0.0, 0.0)) | st.tuples(amounts, amounts))
    again = st.tuples(st.sampled_from(["asap", "cost"]), st.integers(0, 2))
    leg = IndexLeg(column=column, strike=STRIKES[column], side=draw(st.sampled_from([1, -1])),
                   wait=draw(st.just(0.0) | amounts))  # fmt: skip
    if how == "premium":
        leg.stop, leg.target = draw(amounts), draw(st.just(0.0) | amounts)
    elif how == "index":
        leg.index_stop = draw(amounts)
        leg.index_target = draw(st.just(0.0) | amounts)
        leg.index_trail = (max(trail), min(trail))
    if leg.stop or leg.index_stop:
        leg.after_stop = draw(again)
    if leg.target or leg.index_target:
        leg.after_target = draw(again)
    return leg


@st.composite
def whole_runs(draw: st.DrawFn) -> WholeRun:
    count = draw(st.integers(12, 30))
    columns = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    legs = [draw(index_legs(column)) for column in columns]
    complete = draw(st.integers(0, 3)) == 0 and any(leg.stop or leg.index_stop for leg in legs)
    if complete:
        for leg in legs:
            leg.after_stop = leg.after_target = ("", 0)
    rupees = st.just(0.0) | st.integers(20, 400).map(float)
    stop, step = draw(rupees), draw(st.integers(5, 100))
    at = draw(st.just(0.0) | st.integers(10, 200).map(float))
    again = st.tuples(
        st.sampled_from(["asap", "reverse", "momentum", "cost"]),
        st.integers(0, 3),
        st.integers(0, 4),
    )
    level = np.cumsum([draw(st.integers(-800, 800)) for _ in range(count)])
    return WholeRun(
        legs=list(legs), rows=draw(bars(count)), entry_row=0, until_row=5,
        exit_row=draw(st.integers(10, count + 2)), stop=stop, target=draw(rupees),
        index=[int(110_000 + one) for one in level], complete=complete,
        trail=(float(step + draw(st.integers(0, 200))), float(step))
        if stop and draw(st.booleans()) else (0.0, 0.0),
        lock=(at, at * draw(st.sampled_from([0.0, 0.5])),
              *((200.0, 100.0) if draw(st.booleans()) else (0.0, 0.0))) if at else (0.0,) * 4,
        again_stop=draw(again), again_target=draw(again),
    )  # fmt: skip


def whole_rules(leg: IndexLeg) -> dict[str, Any]:
    rules = rules_of(leg)
    if leg.index_stop:
        rules |= {"stop": leg.index_stop, "stop_unit": POINTS}
    if leg.index_target:
        rules |= {"target": leg.index_target, "target_unit": POINTS}
    if leg.index_trail[0]:
        rules |= {"trail_every": leg.index_trail[0], "trail_step": leg.index_trail[1],
                  "trail_unit": POINTS}  # fmt: skip
    return rules


def again_of(what: str, again: tuple[str, int, int]) -> dict[str, int]:
    how, times, pause = again
    way = {"momentum": Again.MOMENTUM, "cost": Again.COST}.get(how, Again.ASAP)
    return {
        f"again_{what}": times, f"again_{what}_how": int(way if times else Again.NEVER),
        f"again_{what}_turn": int(how == "reverse"), f"again_{what}_pause": pause * MINUTE,
    }  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(plain=whole_runs())
def test_trades_agree_with_the_plain_model(plain: WholeRun) -> None:
    """Every trade with its side, rows and prices; how often all were left and came again."""
    run = native(
        [whole_rules(leg) for leg in plain.legs if isinstance(leg, IndexLeg)],
        stop=plain.stop, stop_unit=int(plain.stop > 0), target=plain.target,
        target_unit=int(plain.target > 0), trail_every=plain.trail[0], trail_step=plain.trail[1],
        complete=int(plain.complete), lock_unit=int(plain.lock[0] > 0),
        **dict(zip(("lock_at", "lock_keep", "lock_every", "lock_step"), plain.lock, strict=True)),
        **again_of("stop", plain.again_stop), **again_of("target", plain.again_target),
    )  # fmt: skip
    columns = [leg.column for leg in plain.legs]
    got = seen(day(run, plain.rows, plain.index, plain.exit_row))
    sides: dict[tuple[int, int], int] = {}
    close = plain.close

    def closed(number: int, leg: Any, row: int, price: int, why: str) -> None:
        sides[number, leg.entry_row] = leg.side
        close(number, leg, row, price, why)

    plain.close = closed  # type: ignore[method-assign]
    wanted = [
        (columns[number], sides[number, entered], entered, paid, left, price)
        for number, entered, paid, left, price in plain.run()
    ]
    assert sorted(got) == sorted(wanted)
    assert run.restarts == plain.restarts
    assert run.combined_stops == plain.why.count("stop")
    assert run.combined_targets == plain.why.count("target")
    assert run.locks == plain.why.count("lock")
    assert run.with_leg == plain.why.count("with a leg")


# ---- by hand ------------------------------------------------------------------------------------


def test_a_stop_on_the_index_counts_from_its_level_at_the_entry() -> None:
    """A sold call goes in at 100.00 while the index stands at 1,100.00, the row before's level.

    Its stop is 10 points of the index: 1,109.95 is not there, 1,110.00 is. The premium may do what
    it likes. Decided at the end of row 4, bought back in row 5 at 103.00.
    """
    run = native([{"stop": 10.0, "stop_unit": POINTS}])
    trades = day(run, calls(100_00, 100_00, 250_00, 90_00, 95_00, 103_00),
                 [110_000, 105_000, 110_995, 110_500, 111_000, 111_000])  # fmt: skip
    assert seen(trades) == [(0, -1, 1, 100_00, 5, 103_00)]
    assert trades["exit_reason"][0] == Reason.STOP_LOSS
    assert told(run) == [(Told.INDEX_STOP, 111_000)]
    assert run.counters()["index_stops"] == 1


@pytest.mark.parametrize(
    ("side", "right", "stop_at", "target_at"),
    [(-1, 1, 111_100, 108_900), (1, 1, 108_900, 111_100)],
)
def test_percent_of_the_index_and_the_side_that_gains(
    side: int, right: int, stop_at: int, target_at: int
) -> None:
    """1 % of 1,100.00 is 11 points: against a sold call upwards, against a bought one downwards."""
    for level, reason in ((stop_at, Reason.STOP_LOSS), (target_at, Reason.TAKE_PROFIT)):
        near = level + (5 if level < 110_000 else -5)  # not there yet
        run = native([{"side": side, "right": right, "stop": 1.0, "stop_unit": PERCENT,
                       "target": 1.0, "target_unit": PERCENT}])  # fmt: skip
        trades = day(run, calls(*[100_00] * 6), [110_000, 110_000, near, level, level, level])
        assert [one[4] for one in seen(trades)] == [4]
        assert trades["exit_reason"][0] == reason


def test_a_stop_on_the_index_trails_with_its_best_level() -> None:
    """A bought call, stop 10 points, 5 for every 8: at +8 the stop is at -5, at +16 at 0.

    Best is +17 in row 3: the stop is at the entry's level. +0.05 in row 4 is above it, 0 is not.
    """
    rules = {"side": 1, "stop": 10.0, "stop_unit": POINTS, "trail_every": 8.0, "trail_step": 5.0,
             "trail_unit": POINTS}  # fmt: skip
    run = native([rules])
    trades = day(
        run,
        calls(*[100_00] * 8),
        [110_000, 110_000, 110_800, 111_700, 110_005, 110_000, 110_000, 110_000],
    )
    assert [one[4] for one in seen(trades)] == [6]
    assert told(run) == [(Told.INDEX_STOP, 110_000)]


def test_a_leg_waits_for_the_index() -> None:
    """+10 points from 1,100.00 at the entry's time: there in row 3, in at row 4's price."""
    run = native([{"wait": 10.0, "wait_unit": POINTS}])
    trades = day(
        run,
        calls(100_00, 200_00, 90_00, 95_00, 97_00, 97_00),
        [110_000, 110_995, 110_000, 111_000, 110_000, 110_000],
        exit_row=5,
    )
    assert [one[2:4] for one in seen(trades)] == [(4, 97_00)]


def test_all_go_in_again_after_a_stop_of_the_whole_and_the_other_way_round() -> None:
    """A sold call at 100.00, stop of the whole 250 rupees: 25 units, 10 rupees against it.

    row 2 closes at 110.00: -250.00, out in row 3 at 111.00, -275.00. All flat in row 3, decided at
    its end, in again in row 4 at 112.00, bought now. Row 6 is at 101.00: -275.00, out in row 7 at
    100.00. Twice was said: bought at the second time, sold again at the third, in row 8 at 99.00.
    """
    run = native([{}], stop=250.0, stop_unit=1, again_stop=2, again_stop_how=int(Again.ASAP),
                 again_stop_turn=1)  # fmt: skip
    prices = (100_00, 100_00, 110_00, 111_00, 112_00, 110_00, 101_00, 100_00, 99_00, 99_00, 130_00,
              131_00, 131_00)  # fmt: skip
    trades = day(run, calls(*prices))
    assert seen(trades) == [
        (0, -1, 1, 100_00, 3, 111_00), (0, 1, 4, 112_00, 7, 100_00), (0, -1, 8, 99_00, 11, 131_00),
    ]  # fmt: skip
    assert told(run) == [
        (Told.COMBINED_STOP, -250_00), (Told.AGAIN, 0), (Told.COMBINED_STOP, -275_00),
        (Told.AGAIN, 0), (Told.COMBINED_STOP, -775_00),
    ]  # fmt: skip
    assert run.counters()["structures_entered_again"] == 2
    assert int(trades["gross"].sum()) == LOT * (-11_00 - 12_00 - 32_00)


def test_a_pause_and_a_last_time_for_going_in_again() -> None:
    """Two minutes after the decision at the end of row 2: row 4's end, in at row 5."""
    words: dict[str, Any] = {"stop": 250.0, "stop_unit": 1, "again_stop": 1,
                             "again_stop_how": int(Again.ASAP),
                             "again_stop_pause": 2 * MINUTE}  # fmt: skip
    rows = calls(100_00, 100_00, 110_00, *[111_00] * 7)
    run = native([{}], **words)
    assert [one[2] for one in seen(day(run, rows))] == [1, 5]
    late = native([{}], **words)
    assert [one[2] for one in seen(day(late, rows, again_row=3))] == [1]
    assert told(late)[1:] == [(Told.TOO_LATE, 0)]


def test_the_exit_and_an_operator_end_what_would_come_again() -> None:
    words: dict[str, Any] = {"stop": 250.0, "stop_unit": 1, "again_stop": 1,
                             "again_stop_how": int(Again.ASAP),
                             "again_stop_pause": 60 * MINUTE}  # fmt: skip
    run = native([{}], **words)
    trades = day(run, calls(100_00, 100_00, 110_00, *[111_00] * 4), exit_row=5)
    assert len(trades) == 1
    assert told(run) == [(Told.COMBINED_STOP, -250_00), (Told.DROPPED, 0)]


def test_all_go_in_again_at_their_cost() -> None:
    """Two calls sold at 100.00 and 60.00, stop of the whole 250: 160.00 together.

    Row 2 at 111.00 and 59.00, 170.00 together: out in row 3. Row 4 is 160.05 together, row 5 at
    140.00 and 20.00 is 160.00: in again in row 6, in the same contracts.
    """
    prices = [(100_00, 60_00), (100_00, 60_00), (111_00, 59_00), (110_00, 60_00),
              (100_05, 60_00), (140_00, 20_00), (139_00, 21_00), (139_00, 21_00)]  # fmt: skip
    rows = [[flat(one), flat(other), flat(0)] for one, other in prices]
    run = native([{}, {"strike": 1100.0}], stop=250.0, stop_unit=1, again_stop=1,
                 again_stop_how=int(Again.COST))  # fmt: skip
    assert [(*one[:1], *one[2:5]) for one in seen(day(run, rows, exit_row=6))] == [
        (0, 1, 100_00, 3), (1, 1, 60_00, 3), (0, 6, 139_00, 7), (1, 6, 21_00, 7),
    ]  # fmt: skip
    assert told(run) == [(Told.COMBINED_STOP, -250_00), (Told.AGAIN, 0)]


def test_a_day_that_begins_none_enters_none_again_and_a_new_day_is_anew() -> None:
    """Held over night; stopped on a day of no entries, and on one with them."""
    words: dict[str, Any] = {"stop": 250.0, "stop_unit": 1, "again_stop": 1, "hold": 1,
                             "again_stop_how": int(Again.ASAP), "settles": 1}  # fmt: skip
    for trade, wanted in ((False, [Told.COMBINED_STOP, Told.DROPPED]),
                          (True, [Told.COMBINED_STOP, Told.AGAIN])):  # fmt: skip
        run = native([{}], **words)
        begin(run, chain(calls(*[100_00] * 3)), 1, 3, exit_ns=0)
        next_day = chain(calls(111_00, 111_00, 111_00, 111_00),
                         sessions=session(4, date=20260127), final_price=[100_000])  # fmt: skip
        begin(run, next_day, 1, 3, exit_ns=0, date=20260127, trade=trade)
        assert [what for what, _ in told(run)] == wanted


def test_momentum_waits_again_and_asap_does_not() -> None:
    """The wait of +5 points counts from the price at which all may go in again."""
    rules = {"wait": 5.0, "wait_unit": int(LegUnit.POINTS)}
    rows = calls(100_00, 105_00, 105_00, 115_00, 120_00, 120_00, 124_95, 125_00, 126_00, 126_00)
    for how, wanted in ((Again.MOMENTUM, (8, 126_00)), (Again.ASAP, (5, 120_00))):
        run = native([rules], stop=250.0, stop_unit=1, again_stop=1, again_stop_how=int(how))
        got = seen(day(run, rows))
        assert got[0] == (0, -1, 2, 105_00, 4, 120_00)
        assert got[1][2:4] == wanted


def test_a_lock_keeps_a_profit_and_more_as_it_grows() -> None:
    """A sold call at 100.00; from 500 rupees on 200 are kept, and 100 more for every 250.

    Row 2 at 80.00: +500, the lock is on. Row 3 at 69.00: +775, one step: 300 are kept. Row 4 at
    87.95: +301.25 is above, row 5 at 88.00: +300.00 is not.
    """
    run = native([{}], lock_at=500.0, lock_keep=200.0, lock_every=250.0, lock_step=100.0,
                 lock_unit=1)  # fmt: skip
    trades = day(run, calls(100_00, 100_00, 80_00, 69_00, 87_95, 88_00, 87_00, 87_00))
    assert seen(trades) == [(0, -1, 1, 100_00, 6, 87_00)]
    assert told(run) == [(Told.LOCKED, 300_00)] and run.counters()["profits_locked"] == 1
    below = native([{}], lock_at=500.0, lock_keep=200.0, lock_unit=1)
    day(below, calls(100_00, 100_00, 80_05, 99_00, 99_00, 99_00), exit_row=4)
    assert told(below) == []


def test_a_stop_of_the_whole_trails() -> None:
    """Stop 500, 200 for every 250 of the best result: at +500 it stands at -100.

    Row 2 at 80.00 is +500.00; row 3 at 103.95 is -98.75, row 4 at 104.00 is -100.00.
    """
    run = native([{}], stop=500.0, stop_unit=1, trail_every=250.0, trail_step=200.0)
    trades = day(run, calls(100_00, 100_00, 80_00, 103_95, 104_00, 101_00, 101_00))
    assert seen(trades) == [(0, -1, 1, 100_00, 5, 101_00)]
    assert told(run) == [(Told.TRAILED, -100_00)] and run.combined_stops == 1


def test_a_lock_in_percent_of_the_premium() -> None:
    """25 units at 100.00 are 2,500 rupees: 20 % are 500, 8 % are 200."""
    run = native([{}], lock_at=20.0, lock_keep=8.0, lock_unit=2)
    day(run, calls(100_00, 100_00, 80_00, 91_95, 92_00, 92_00, 92_00))
    assert told(run) == [(Told.LOCKED, 200_00)]


def test_with_square_off_complete_a_leg_takes_all_out() -> None:
    """The first leg's stop of 10 % is 110.00, paid in row 2; both are out by row 3."""
    rows = [[flat(price)] * 3 for price in (100_00, 100_00, 110_00, 111_00, 111_00, 111_00)]
    first = {"stop": 10.0, "stop_unit": int(LegUnit.PERCENT)}
    run = native([first, {"strike": 1100.0}], complete=1, again_stop=1,
                 again_stop_how=int(Again.ASAP))  # fmt: skip
    assert [one[:1] + one[4:] for one in seen(day(run, rows))[:2]] == [
        (0, 2, 110_00), (1, 3, 111_00),
    ]  # fmt: skip
    assert told(run)[:2] == [(Told.WITH_LEG, 0), (Told.AGAIN, 0)]
    apart = native([first, {"strike": 1100.0}])
    assert [one[4] for one in seen(day(apart, rows, exit_row=4))] == [2, 5]


def test_a_leg_lets_another_one_in() -> None:
    """The second leg is lazy: in at row 3, behind the stop of the first in row 2."""
    first = {"stop": 10.0, "stop_unit": int(LegUnit.PERCENT), "again_stop": 1,
             "again_stop_how": int(Again.ARM), "again_stop_arms": 1}  # fmt: skip
    rows = [[flat(price)] * 3 for price in (100_00, 100_00, 110_00, 111_00, 112_00, 112_00)]
    lazy = {"strike": 1100.0, "side": 1, "lazy": 1}
    run = native([first, lazy])
    assert seen(day(run, rows, exit_row=4)) == [
        (0, -1, 1, 100_00, 2, 110_00), (1, 1, 3, 111_00, 5, 112_00),
    ]  # fmt: skip
    assert told(run) == [(Told.ARMED, 0)]
    assert run.counters()["legs_armed"] == 1 and run.counters()["reentries"] == 0
    never = native([first | {"stop": 60.0}, lazy])
    assert len(day(never, rows, exit_row=4)) == 1


def test_a_leg_comes_back_the_other_way_round_and_by_its_own_wait() -> None:
    """Stopped at 110.00 in row 2; bought in row 3; or when it has risen 5 points from 111.00."""
    base = {"stop": 10.0, "stop_unit": int(LegUnit.PERCENT), "again_stop": 1}
    rows = calls(100_00, 100_00, 110_00, 111_00, 112_00, 117_00, 118_00, 118_00)
    turned = native([base | {"again_stop_how": int(Again.ASAP), "again_stop_turn": 1}])
    assert seen(day(turned, rows, exit_row=6)) == [
        (0, -1, 1, 100_00, 2, 110_00), (0, 1, 3, 111_00, 7, 118_00),
    ]  # fmt: skip
    moved = native([base | {"again_stop_how": int(Again.MOMENTUM), "wait": 5.0,
                            "wait_unit": int(LegUnit.POINTS)}])  # fmt: skip
    # Its first entry waits for 105.00, there in row 2; stopped at 121.00, which never comes.
    assert [one[2] for one in seen(day(moved, rows, exit_row=6))] == [3]
    waits = calls(100_00, 105_00, 105_00, 115_50, 116_00, 120_45, 120_50, 122_00, 122_00)
    again = native([base | {"again_stop_how": int(Again.MOMENTUM), "wait": 5.0,
                            "wait_unit": int(LegUnit.POINTS)}])  # fmt: skip
    # In at 105.00 in row 2, out at 115.50 in row 3, from where 120.50 is 5 points: row 6.
    assert [one[2:4] for one in seen(day(again, waits, exit_row=7))] == [(2, 105_00), (7, 122_00)]


def test_stops_to_cost_may_be_of_legs_with_a_stop_alone() -> None:
    """The first leg is stopped: the second has a stop and goes to cost, the third has none."""
    rows = [[flat(first), flat(90_00), flat(90_00)]
            for first in (100_00, 100_00, 110_00, 110_00, 110_00)]  # fmt: skip
    stop = {"stop": 10.0, "stop_unit": int(LegUnit.PERCENT)}
    legs = [stop, {"strike": 1100.0} | stop, {"strike": 1200.0}]
    for which, wanted in ((1, 2), (2, 1)):
        run = native(legs, to_cost=which)
        day(run, rows, exit_row=4)
        assert run.counters()["stops_to_cost"] == wanted


def test_without_a_level_of_the_index_a_leg_that_counts_it_stays_out() -> None:
    run = native([{"stop": 10.0, "stop_unit": POINTS}])
    assert len(day(run, calls(*[100_00] * 5), 0)) == 0
    assert [what for what, _ in told(run)] == [Told.NOT_ENTERED]


def test_a_leg_waits_until_a_range_is_broken() -> None:
    """Three minutes from the end of row 0: rows 1 to 3, highest 107.00, lowest 94.00.

    Touching it is not enough: row 5's high is 107.00. Row 6's is 107.05: in at row 7's open.
    """
    bars_ = [(100_00,) * 4, (101_00, 104_00, 100_00, 103_00), (103_00, 107_00, 99_00, 100_00),
             (100_00, 101_00, 94_00, 99_00), (99_00, 100_00, 95_00, 96_00),
             (96_00, 107_00, 96_00, 106_00), (106_00, 107_05, 100_00, 101_00),
             (102_00, 102_00, 93_95, 95_00), (96_00,) * 4, (96_00,) * 4]  # fmt: skip
    rows = [[bar] * 3 for bar in bars_]
    for side, wanted in ((1, (7, 102_00)), (-1, (8, 96_00))):
        run = native([{"range_side": side, "range_ns": 3 * MINUTE}])
        assert [one[2:4] for one in seen(day(run, rows, exit_row=8))] == [wanted]


def test_a_premium_within_a_range_is_the_largest_of_it() -> None:
    """Calls at 150.00, 119.95 and 80.00: of 80 to 120 it is the second, of 100 to 110 none."""
    rows = [[flat(150_00), flat(119_95), flat(80_00)]] * 4
    by_premium = {"strike_rule": int(StrikeRule.PREMIUM), "premium_rule": 2}
    run = native([by_premium | {"strike": 120.0, "premium_least": 80.0}])
    assert [one[0] for one in seen(day(run, rows, exit_row=2))] == [1]
    exact = native([by_premium | {"strike": 119.95, "premium_least": 119.95}])
    assert [one[0] for one in seen(day(exact, rows, exit_row=2))] == [1]
    none = native([by_premium | {"strike": 110.0, "premium_least": 100.0}])
    assert len(day(none, rows, exit_row=2)) == 0
    (note,) = none.take_notes()
    assert (note["told"], note["why"]) == (Told.NOT_ENTERED, Missing.NO_STRIKE)


def test_a_range_of_the_index_is_of_its_levels() -> None:
    run = native([{"range_side": 1, "range_ns": 2 * MINUTE, "range_index": 1}])
    trades = day(
        run,
        calls(*[100_00] * 7),
        [110_000, 110_500, 110_300, 110_500, 110_505, 110_505, 110_505],
        exit_row=5,
    )
    assert [one[2] for one in seen(trades)] == [5]
