"""What a structure has to pass: sizes and guards against plain models, rules by hand."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.chainday import Missing
from dhanfast._core.guards import Guards
from dhanfast._core.legorder import Told
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.legrun import LegRun
from dhanfast._core.legs import Again, LegUnit
from dhanfast._core.types import Reason
from tests.core.leg_model import PlainRun
from tests.core.test_legrun import (
    CAPITAL,
    MINUTE,
    OPEN,
    begin,
    chain,
    flat,
    native,
    rules_of,
    runs,
    session,
)

DATE = 20260126
POINTS = int(LegUnit.POINTS)


@dataclass
class Says:
    """A judge that says what it was told to, and remembers what it was asked."""

    answers: list[int]
    readmit: int = 1
    wanted: int = 1
    asked: list[Any] = field(default_factory=list)
    results: list[tuple[int, int]] = field(default_factory=list)
    dropped: int = 0

    def begin(self, rows: Any, file_times: int, now_ns: int, spot: int, equity: int) -> int:
        self.asked.append((rows, file_times, now_ns, spot, equity))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.wanted = max(self.wanted, answer)
        return answer

    def again(self, row: Any, held: Any, now_ns: int, spot: int, equity: int) -> int:
        self.asked.append((row, held, now_ns, spot, equity))
        return self.readmit

    def closed(self, net: int, times: int) -> None:
        self.results.append((net, times))

    def drop(self) -> None:
        self.dropped += 1


def guards_of(legs: int, **rules: int) -> Guards:
    return Guards(instruments=legs, **rules)


def notes_of(run: LegRun) -> list[tuple[int, int]]:
    return [(int(row["told"]), int(row["why"])) for row in run.take_notes()]


def rows_of(prices: list[tuple[int, ...]]) -> Any:
    """Flat rows of calls at the three strikes."""
    return chain([[flat(price) for price in row] for row in prices])


# ---- sizes --------------------------------------------------------------------------------


def day_of(plain: PlainRun, run: LegRun) -> None:
    assert run.run_day(
        chain(plain.rows), slots=[0] * len(plain.legs), entry_ns=OPEN + MINUTE,
        until_ns=OPEN + 6 * MINUTE, exit_ns=OPEN + (plain.exit_row + 1) * MINUTE, trade=True,
        date=DATE,
    )  # fmt: skip
    run.finish()


@settings(max_examples=120, deadline=None)
@given(plain=runs(), times=st.integers(1, 5), lots=st.integers(1, 3))
def test_several_structures_are_one_of_them_so_many_times(
    plain: PlainRun, times: int, lots: int
) -> None:
    """The trades of the plain model, each of so many units; rupees of the stop go with them."""
    judge = Says([times])
    legs = [rules_of(leg) | {"lots": lots} for leg in plain.legs]
    rupees = {"stop": plain.stop * lots, "target": plain.target * lots}
    run = native(legs, risk=LegRisk(None, judge), stop_unit=int(plain.stop > 0),
                 target_unit=int(plain.target > 0), to_cost=int(plain.to_cost),
                 deadline_ns=plain.deadline * MINUTE, **rupees)  # fmt: skip
    day_of(plain, run)
    trades, _, _, equity = run.log.take()
    expected = plain.run()
    qty = 25 * times
    got = [
        (int(trade["instrument"]), int(trade["entry_ns"] - OPEN) // MINUTE,
         int(trade["entry_value"]) // qty, int(trade["exit_ns"] - OPEN) // MINUTE,
         int(trade["exit_value"]) // qty)
        for trade in trades
    ]  # fmt: skip
    assert sorted(got) == sorted((plain.legs[one[0]].column, *one[1:]) for one in expected)
    assert set(trades["qty"].tolist()) <= {qty}
    made = sum(plain.legs[leg].side * (left - paid) * qty for leg, _, paid, _, left in expected)
    assert equity["equity"][-1] == CAPITAL + made
    assert judge.results == ([(made, times)] if expected else [])
    if judge.asked:
        assert judge.asked[0][1] == lots and run.risk is not None and run.risk.file_times == lots
        assert [row[2] for row in judge.asked[0][0]] == [25 * leg.side for leg in plain.legs]


@settings(max_examples=60, deadline=None)
@given(plain=runs())
def test_rules_that_never_hold_change_nothing(plain: PlainRun) -> None:
    """Guards and a judge beside a run leave every row of it as it is."""
    legs = [rules_of(leg) for leg in plain.legs]
    more: dict[str, Any] = {"stop": plain.stop, "stop_unit": int(plain.stop > 0),
                            "to_cost": int(plain.to_cost)}  # fmt: skip
    alone = native(legs, **more)
    guards = guards_of(len(legs), day_loss=10**13, trades_max=100, drawdown_paise=10**13)
    beside = native(legs, risk=LegRisk(guards, Says([1])), **more)
    day_of(plain, alone)
    day_of(plain, beside)
    for one, other in zip(alone.log.take(), beside.log.take(), strict=True):
        assert one.tobytes() == other.tobytes()


def test_lots_keep_their_proportion() -> None:
    """Two bought beside one sold; the file has two of these, the judge sends three."""
    legs = [{"strike": 1000.0, "lots": 2}, {"strike": 1200.0, "lots": 4, "side": 1}]
    run = native(legs, risk=LegRisk(None, Says([3])))
    assert begin(run, rows_of([(3_000, 2_000, 1_000)] * 6), 2, 5)
    run.finish()
    trades = run.log.take()[0]
    assert sorted(trades["qty"].tolist()) == [75, 150]
    assert run.risk is not None and (run.risk.file_times, run.risk.times) == (2, 3)


# ---- the judge ---------------------------------------------------------------------------------


def test_a_refused_structure_is_not_asked_for_again_that_day() -> None:
    judge = Says([-int(Missing.MARGIN), 1])
    run = native([{}, {"strike": 1100.0}], risk=LegRisk(None, judge))
    assert begin(run, rows_of([(3_000, 2_000, 1_000)] * 6), 2, 5)
    assert (len(judge.asked), run.cycles, run.counters()["structures_refused"]) == (1, 0, 1)
    assert notes_of(run) == [(int(Told.NOT_ENTERED), int(Missing.MARGIN))]
    assert run.counters()["orders_sent"] == 0


def test_what_was_asked_about_is_what_is_sent() -> None:
    """The strike moves on while the answer is waited for: the contracts stay."""
    from dhanfast._core.chainday import StrikeRule

    judge = Says([0, 0, 1])
    rows = chain([[flat(3_000)] * 3] * 7)
    run = native([{"strike_rule": int(StrikeRule.PREMIUM), "strike": 30.0}],
                 risk=LegRisk(None, judge))  # fmt: skip
    assert begin(run, rows, 1, 6, until_ns=OPEN + 5 * MINUTE)
    run.finish()
    trades = run.log.take()[0]
    asked = [each[0][0][1] for each in judge.asked]
    assert len(asked) == 3 and set(asked) == {int(trades["instrument"][0])}
    assert int(trades["entry_ns"][0] - OPEN) // MINUTE == 3  # decided by row 2, not by row 0


def test_an_answer_that_does_not_come_before_the_last_entry_time_is_too_late() -> None:
    run = native([{}], risk=LegRisk(None, Says([0])))
    assert begin(run, rows_of([(3_000, 2_000, 1_000)] * 8), 1, 7)
    assert notes_of(run) == [(int(Told.NOT_ENTERED), int(Missing.ASKED))]
    assert run.cycles == 0


def test_a_judge_that_fails_lets_nothing_in_and_the_error_is_kept() -> None:
    class Fails(Says):
        def begin(self, *given: Any) -> int:
            raise ValueError("no rates")

    risk = LegRisk(None, Fails([1]))
    run = native([{}], risk=risk)
    assert begin(run, rows_of([(3_000, 2_000, 1_000)] * 6), 1, 5)
    assert isinstance(risk.error, ValueError) and run.cycles == 0
    assert notes_of(run) == [(int(Told.NOT_ENTERED), int(Missing.UNASKED))]


@pytest.mark.parametrize("readmit", [0, 1])
def test_a_leg_that_is_entered_again_is_asked_about_beside_the_others(readmit: int) -> None:
    """Sold at 30 with a stop of 5 and again at once; beside it one bought at 10."""
    again = {"stop": 5.0, "stop_unit": POINTS, "again_stop": 1, "again_stop_how": int(Again.ASAP)}
    judge = Says([2], readmit=readmit)
    run = native([again, {"strike": 1200.0, "side": 1}], risk=LegRisk(None, judge))
    prices = [(3_000, 2_000, 1_000)] * 3 + [(3_600, 2_000, 1_000)] * 4
    assert begin(run, rows_of(prices), 2, 6)
    run.finish()
    sold = [trade for trade in run.log.take()[0] if trade["side"] < 0]
    assert len(sold) == 1 + readmit
    row, held, *_ = judge.asked[-1]
    assert row[2] == -50 and [each[2] for each in held] == [50]
    assert run.counters()["reentries_refused"] == 1 - readmit


# ---- guards against a plain model --------------------------------------------------------------


@dataclass
class PlainGuards:
    """One structure at a time by signals, prices flat in each row, rules written for reading."""

    prices: list[tuple[int, int]]
    signals: list[tuple[int, int]]  # (row at whose end it is known, side)
    trades_max: int
    losses_max: int
    pause: int  # rows
    cooldown: int
    stop_day: int  # paise of loss of the day, 0 = off

    def run(self) -> list[tuple[int, int]]:
        """(row of its entry, row of its exit) of each structure."""
        found: list[tuple[int, int]] = []
        state, trades, streak = "flat", 0, 0
        wait: dict[str, int] = {}  # until the end of this row
        turn, paid, made, until, entered = 0, 0, 0, 0, 0
        for row in range(len(self.prices)):
            worth = sum(self.prices[row])
            if state == "in":
                state, paid, entered = "held", worth, row
                trades += 1
            elif state == "out":
                state, made = "flat", made + 25 * (paid - worth)
                found.append((entered, row))
                streak = streak + 1 if worth > paid else 0
                if self.losses_max and streak >= self.losses_max:
                    wait["losses"], streak = max(wait.get("losses", 0), row + self.pause), 0
                if self.cooldown:
                    wait["cooldown"] = max(wait.get("cooldown", 0), row + self.cooldown)
            open_now = 25 * (paid - worth) if state == "held" else 0
            if self.stop_day and -(made + open_now) >= self.stop_day:
                wait["day"] = 10**6
            for _, side in [one for one in self.signals if one[0] == row]:
                turn, until = side, row + 5
                if state == "held":
                    state = "out"
            if turn == 0 or state != "flat":
                continue
            if row > until:
                turn = 0
            elif not (self.trades_max and trades >= self.trades_max) and not any(
                end > row for end in wait.values()
            ):
                state, turn = "in", 0
        if state in ("held", "out"):
            found.append((entered, len(self.prices) - 1))
        return found


@st.composite
def guarded(draw: st.DrawFn) -> PlainGuards:
    count = draw(st.integers(8, 40))
    price = st.integers(200, 900).map(lambda ticks: 5 * ticks)
    rows = draw(st.lists(st.tuples(price, price), min_size=count, max_size=count))
    # None at the last row: what is on its way in at the day's end is another matter.
    at = draw(st.lists(st.integers(0, count - 3), min_size=2, max_size=10, unique=True))
    return PlainGuards(
        rows, [(row, draw(st.sampled_from([1, 1, 0]))) for row in sorted(at)],
        trades_max=draw(st.sampled_from([0, 0, 1, 2, 3])),
        losses_max=draw(st.sampled_from([0, 1, 2])), pause=draw(st.integers(1, 12)),
        cooldown=draw(st.sampled_from([0, 0, 1, 3, 8])),
        stop_day=draw(st.sampled_from([0, 0, 5_000, 40_000])),
    )  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(plain=guarded())
def test_guards_count_structures_as_the_plain_model_does(plain: PlainGuards) -> None:
    guards = guards_of(
        2, trades_max=plain.trades_max, losses_max=plain.losses_max,
        losses_pause=plain.pause * MINUTE if plain.losses_max else 0,
        cooldown_pause=plain.cooldown * MINUTE, day_loss=plain.stop_day,
    )  # fmt: skip
    run = native([{}, {"strike": 1100.0}], risk=LegRisk(guards), signals=1)
    n = len(plain.prices)
    rows = rows_of([(*row, 1_000) for row in plain.prices])
    assert run.run_day(
        rows, slots=[0, 0], entry_ns=OPEN, until_ns=OPEN + 5 * MINUTE,
        exit_ns=OPEN + (n + 5) * MINUTE, trade=True, date=DATE,
        signal_ns=np.array([OPEN + (row + 1) * MINUTE for row, _ in plain.signals]),
        signal_side=np.array([side for _, side in plain.signals], np.int8),
    )  # fmt: skip
    run.finish()
    trades = run.log.take()[0]
    got = sorted({(int(one["entry_ns"] - OPEN) // MINUTE, int(one["exit_ns"] - OPEN) // MINUTE)
                  for one in trades})  # fmt: skip
    wanted = plain.run()
    assert len(trades) == 2 * len(wanted)
    assert [entry for entry, _ in got] == [entry for entry, _ in wanted]
    assert guards.carry()["trades"] == len(wanted) and run.held() == []


# ---- guards by hand ----------------------------------------------------------------------------


def test_a_loss_of_the_day_closes_the_structure_when_that_is_asked_for() -> None:
    """Two sold at 30 and 20 rise by 6 each: 12 x 25 = 300 rupees, the limit."""
    guards = guards_of(2, day_loss=30_000, day_loss_flat=1)
    run = native([{}, {"strike": 1100.0}], risk=LegRisk(guards))
    prices = [(3_000, 2_000, 1_000)] * 3 + [(3_300, 2_300, 1_000), (3_600, 2_600, 1_000)]
    assert begin(run, rows_of(prices + [(3_600, 2_600, 1_000)] * 3), 2, 8)
    run.finish()
    trades = run.log.take()[0]
    assert (trades["exit_reason"] == int(Reason.RISK_EXIT)).all() and len(trades) == 2
    assert [(row - OPEN) // MINUTE for row in trades["exit_ns"].tolist()] == [5, 5]
    assert [lock.name for lock in guards.locks()] == ["day_loss"]


def test_a_leg_of_a_structure_goes_in_again_although_it_was_the_last_trade_of_the_day() -> None:
    again = {"stop": 5.0, "stop_unit": POINTS, "again_stop": 1, "again_stop_how": int(Again.ASAP)}
    guards = guards_of(2, trades_max=1)
    run = native([again, {"strike": 1200.0, "side": 1}], risk=LegRisk(guards))
    prices = [(3_000, 2_000, 1_000)] * 3 + [(3_600, 2_000, 1_000)] * 4
    assert begin(run, rows_of(prices), 2, 6)
    assert run.reentries == 1 and guards.carry()["trades"] == 1


def test_a_leg_does_not_go_in_again_while_an_operator_keeps_entries_out() -> None:
    again = {"stop": 5.0, "stop_unit": POINTS, "again_stop": 1, "again_stop_how": int(Again.ASAP)}
    guards = guards_of(1, trades_max=9, day_loss=100)
    run = native([again], risk=LegRisk(guards))
    prices = [(3_000, 2_000, 1_000)] * 3 + [(3_600, 2_000, 1_000)] * 4
    assert begin(run, rows_of(prices), 1, 6)
    assert run.reentries == 0 and guards.vetoed == {"GUARD_DAY_LOSS": 2}
    assert run.counters()["risk_guard_day_loss"] == 2


@pytest.mark.parametrize(
    ("rules", "entered"),
    [
        ({"expiry_day_off": 1}, 0),
        ({"underlying_paise": 2 * 25 * 5_000}, 1),  # (30 + 20) x 25 x 2 structures
        ({"underlying_paise": 2 * 25 * 5_000 - 1}, 0),
        ({"underlying_lots": 4}, 1),
        ({"underlying_lots": 3}, 0),
        ({"expiry_paise": 2 * 25 * 5_000 - 1}, 0),
        ({"expiry_lots": 3}, 0),
        ({"before_flat": 5 * MINUTE}, 0),
        ({"before_flat": 4 * MINUTE}, 1),
        ({"vix_high": 2_000, "vix_high_leave": 1_900}, 0),  # not known
    ],
)
def test_conditions_see_the_whole_structure(rules: dict[str, int], entered: int) -> None:
    """Two structures of two legs, decided at the end of row 0, all out at the end of row 5."""
    judge = Says([2])
    risk = LegRisk(guards_of(2, **rules), judge)
    run = native([{}, {"strike": 1100.0}], risk=risk)
    today = session(8, contract=DATE, date=DATE)
    rows = chain([[flat(price) for price in (3_000, 2_000, 1_000)]] * 8, sessions=today)
    assert begin(run, rows, 2, 6, until_ns=OPEN + MINUTE)
    assert run.cycles == entered
    assert (risk.guarded > 0) == (not entered)


def test_legs_are_not_asked_about_one_by_one() -> None:
    """The first leg's fill locks the day; the others belong to the same trade."""
    legs = [{}, {"strike": 1100.0}, {"strike": 1200.0, "side": 1}]
    guards = guards_of(3, trades_max=1, cooldown_pause=MINUTE)
    run = native(legs, risk=LegRisk(guards))
    assert begin(run, rows_of([(3_000, 2_000, 1_000)] * 8), 3, 7)
    run.finish()
    assert len(run.log.take()[0]) == 3 and guards.vetoed == {}
    assert [lock.name for lock in guards.locks()] == ["max_trades", "cooldown_period"]


def test_a_day_that_is_gone_on_with_has_the_locks_of_before() -> None:
    first = guards_of(1, trades_max=1)
    run = native([{}], risk=LegRisk(first))
    rows = rows_of([(3_000, 2_000, 1_000)] * 6)
    assert begin(run, rows, 1, 5)
    second = Guards(instruments=1, trades_max=1, carried=first.carry())
    again = native([{}], risk=LegRisk(second))
    assert begin(again, rows, 1, 5)
    assert again.cycles == 0 and second.vetoed["GUARD_TRADES"] > 0
    tomorrow = Guards(instruments=1, trades_max=1, carried=first.carry())
    other = native([{}], risk=LegRisk(tomorrow))
    assert begin(other, rows, 1, 5, date=DATE + 1)
    assert other.cycles == 1


@pytest.mark.parametrize(("rise", "locked"), [(600, True), (-600, False)])
def test_a_stop_of_any_leg_counts_once_when_the_structure_has_lost(rise: int, locked: bool) -> None:
    """Two sold, one with a stop of 5 that is hit; the whole has lost, or won all the same."""
    stops = {"stop": 5.0, "stop_unit": POINTS}
    guards = guards_of(
        2, stops_limit=1, stops_lookback=3_600 * 10**9, stops_pause=3_600 * 10**9
    )  # fmt: skip
    run = native([stops, {"strike": 1100.0}], risk=LegRisk(guards))
    end = [(3_600, 2_000 + 2 * rise, 1_000)] * 5
    assert begin(run, rows_of([(3_000, 2_000, 1_000)] * 3 + end), 2, 6)
    run.finish()
    trades = run.log.take()[0]
    assert sorted(trades["exit_reason"].tolist()) == sorted(
        [int(Reason.STOP_LOSS), int(Reason.TIME_EXIT)]
    )
    assert (trades["gross"].sum() < 0) == locked
    assert [lock.name for lock in guards.locks()] == (["stoploss_guard"] if locked else [])
