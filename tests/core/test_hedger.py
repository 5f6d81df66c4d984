"""A structure's hedge, run natively: against Black's formula, a plain model and the textbook."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.hedge import HedgeWhy
from dhanfast._core.hedger import HEDGE_DTYPE, Hedge, HedgeDone, hedge_leg
from dhanfast._core.legorder import Told
from dhanfast._core.legrun import LegRun
from dhanfast._core.legs import Leg
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import OrderFlag
from dhanfast.errors import UsageError
from tests.core.hedge_world import (
    CAPITAL,
    DAY,
    HEDGE,
    MINUTE,
    OPEN,
    YEAR,
    Market,
    delta,
    gamma,
    hedged,
    run_day,
    session,
)
from tests.core.test_hedge import DONE, PlainHedge
from tests.core.test_legrun import PLAN, RULES

STRIKES = (950.0, 1_000.0, 1_050.0)
SELL_CALL = {"side": -1, "right": 1, "strike": 1_000.0}
SELL_PUT = {"side": -1, "right": -1, "strike": 1_000.0}
BUY_CALL = {"side": 1, "right": 1, "strike": 1_050.0}


def wander(seed: int, rows: int, volatility: float, step: int, start: float = 1_000.0) -> Any:
    """A path of geometric Brownian motion without drift."""
    draw = np.random.default_rng(seed).standard_normal(rows)
    spread = volatility * np.sqrt(step / YEAR)
    return start * np.exp(np.concatenate([[0.0], np.cumsum(spread * draw - 0.5 * spread**2)]))


def market(seed: int, rows: int = 40, step: int = MINUTE * 20, **more: Any) -> Market:
    return Market(wander(seed, rows, 0.6, step), 0.6, step, 2 * DAY, STRIKES, **more)


def orders_of(run: LegRun, listed: int) -> Any:
    orders = run.log.take()[1]
    return orders[orders["instrument"] == listed]


# ---- decisions against a plain model ------------------------------------------------------------

shapes = st.sampled_from([[SELL_CALL, SELL_PUT], [SELL_CALL, BUY_CALL], [SELL_PUT]])
plans = st.sampled_from([
    {"band": 6.0},
    {"band_lots": 0.5, "to": 1},
    {"interval_ns": 60 * MINUTE},
    {"interval_ns": 40 * MINUTE, "band": 10.0},
    {"risk_aversion": 1e-3, "cost_points": 0.05},
    {"band": 3.0, "pause_ns": 90 * MINUTE, "hedges_max": 4},
    {"band": 3.0, "target": 8.0, "lots_max": 1},
])  # fmt: skip


def band_of(plain: PlainHedge, bend: float) -> float:
    """Half the width that counted, of a future in lots of 10."""
    rules, costs = plain.rules, 0.0
    if rules["risk_aversion"]:
        costs = (1.5 * rules["cost_points"] * bend**2 / rules["risk_aversion"]) ** (1 / 3)
    fixed = rules["band"] + 10 * rules["band_lots"]
    return float(max(fixed, costs, 10 * (0.5 + rules["hysteresis"])))


@given(shape=shapes, rules=plans, seed=st.integers(0, 10_000), lots=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_decisions_are_those_of_a_plain_model(
    shape: list[dict[str, Any]], rules: dict[str, Any], seed: int, lots: int
) -> None:
    """Black's delta of every leg at its known volatility, row by row, and the plain rule."""
    day = market(seed, lot=10)
    legs = [one | {"lots": lots} for one in shape]
    run = hedged(legs, rules)
    run_day(run, day)
    assert run.hedge is not None
    rows = run.hedge.take_rows()
    rows = rows[rows["why"] != HedgeWhy.EMPTY]
    plain = PlainHedge(HEDGE | rules)
    held, at = 0, 0
    for row in range(1, day.rows - 2):  # entered at the end of row 0, filled in row 1
        now = OPEN + (row + 1) * day.step
        level, years = day.path[row + 1], day.years(row)
        net = sum(one["side"] * lots * 10 * delta(level, one["strike"], years, 0.6, one["right"])
                  for one in legs)  # fmt: skip
        bend = sum(one["side"] * lots * 10 * gamma(level, one["strike"], years, 0.6)
                   for one in legs)  # fmt: skip
        here = rows[rows["time_ns"] == now]
        known = here[~np.isnan(here["before"])]
        slack = 0.05 * lots  # premiums are whole paise: what is read from them is a little off
        if len(known):
            assert known["before"][0] == pytest.approx(
                net + held - plain.rules["target"], abs=slack
            )
            assert known["gamma"][0] == pytest.approx(bend, rel=2e-2, abs=1e-3)
            net = known["before"][0] + plain.rules["target"] - held
            bend = known["gamma"][0]
        before = replace(plain)
        want, why = plain.look(now, net + held, bend, level, held, unit=1.0, lot=10, freeze=0,
                               hours=(0, 2**62), shut=False)  # fmt: skip
        if len(here) == 0 and why in DONE:  # on the band's very edge
            gap = abs(net + held - plain.rules["target"])
            plain = replace(before, look_at=plain.look_at)
            assert gap - band_of(plain, bend) < slack + 0.02 * gap
            continue
        if why not in DONE:
            assert not (here["done"] == HedgeDone.SENT).any()
            continue
        assert len(here) == 1
        told = here[0]
        assert (told["held"], told["units"]) == (held, want - held)
        assert HedgeWhy(told["why"]).name == why
        assert told["after"] == pytest.approx(told["before"] + want - held, abs=1e-9)
        held, at = want, at + 1
    assert run.counters()["hedges"] == (rows["done"] == HedgeDone.SENT).sum() >= at


def test_what_it_trades_is_what_it_decided_and_all_of_it_leaves() -> None:
    day = market(3, lot=10)
    run = hedged([SELL_CALL | {"lots": 5}, SELL_PUT | {"lots": 5}], {"band": 5.0})
    run_day(run, day, exit_row=35)
    assert run.hedge is not None
    rows = run.hedge.take_rows()
    sent = rows[(rows["done"] == HedgeDone.SENT)]
    orders = orders_of(run, 2 * len(STRIKES))
    assert len(sent) > 3
    assert sent[-1]["why"] == HedgeWhy.EMPTY
    assert (orders["filled"] == orders["qty"]).all()
    assert (orders["side"] * orders["filled"]).sum() == 0 == sent["units"].sum()
    assert run.legs_now()[-1]["position"] == 0
    # Every decision's units were dealt at the next row's open, where the last one has closed.
    for row in sent[:-1]:
        mine = orders[orders["created_ns"] == row["time_ns"]]
        place = (row["time_ns"] - OPEN) // day.step
        assert (mine["side"] * mine["filled"]).sum() in (row["units"], -row["held"])
        assert mine["value"].sum() == mine["filled"].sum() * round(100 * day.path[place])


def test_through_nothing_it_leaves_first_and_then_goes_in_on_the_other_side() -> None:
    """Two orders, one behind the other: an exit is never larger than what is held."""
    path = np.array([1_000.0] * 4 + [1_060.0] * 5 + [930.0] * 8)
    day = Market(path, 0.6, MINUTE * 20, 2 * DAY, STRIKES, lot=10)
    run = hedged([SELL_CALL | {"lots": 5}, SELL_PUT | {"lots": 5}], {"band": 5.0})
    run_day(run, day)
    orders = orders_of(run, 2 * len(STRIKES))
    turn = np.flatnonzero(np.diff(orders["side"]) != 0)
    assert len(turn)
    position = 0
    for order in orders:
        leaves = bool(order["flags"] & int(OrderFlag.EXIT))
        assert leaves == (position * order["side"] < 0)
        if leaves:
            assert order["filled"] <= abs(position)
        position += int(order["side"]) * int(order["filled"])
    assert position == 0
    assert run.hedge is not None
    assert any(row["held"] > 0 > row["held"] + row["units"] for row in run.hedge.take_rows())


def test_a_turn_is_not_gone_on_with_once_the_structure_leaves() -> None:
    """Decided in row 8, through nothing in row 9, at whose end all is left: no other side."""
    path = np.array([1_000.0] * 4 + [1_060.0] * 5 + [930.0] * 8)
    day = Market(path, 0.6, MINUTE * 20, 2 * DAY, STRIKES, lot=10)
    run = hedged([SELL_CALL | {"lots": 5}, SELL_PUT | {"lots": 5}], {"band": 5.0})
    run_day(run, day, exit_row=9)
    orders = orders_of(run, 2 * len(STRIKES))
    assert run.hedge is not None
    rows = run.hedge.take_rows()
    assert rows[-1]["held"] > 0 > rows[-1]["held"] + rows[-1]["units"]
    entries = orders[orders["flags"] & int(OrderFlag.EXIT) == 0]
    assert entries["created_ns"].max() < OPEN + 10 * day.step
    assert int((orders["side"] * orders["filled"]).sum()) == 0


# ---- never alone --------------------------------------------------------------------------------


def test_it_leaves_when_the_last_leg_has_left_by_its_own_stop() -> None:
    path = np.array([1_000.0, 1_000.0, 1_000.0, 1_010.0, 1_010.0] + [1_200.0] * 6)
    day = Market(path, 0.6, MINUTE * 20, 2 * DAY, STRIKES, lot=10)
    call = SELL_CALL | {"lots": 5, "stop": 80.0, "stop_unit": 2}
    run = hedged([call], {"band": 5.0})
    run_day(run, day)
    assert run.hedge is not None
    rows = run.hedge.take_rows()
    assert rows[-1]["why"] == HedgeWhy.EMPTY
    assert rows[-1]["time_ns"] < OPEN + 7 * day.step  # in the row of the stop, not at the exit
    assert [now["position"] for now in run.legs_now()] == [0, 0]


def test_stop_and_target_of_the_whole_count_the_hedge() -> None:
    """A call whose loss the future makes good is not stopped for it; what fires is the equity."""
    call = SELL_CALL | {"lots": 5}
    for last, band, stops, targets in ((1_120.0, None, 1, 0), (1_120.0, 5.0, 0, 0),
                                       (940.0, None, 0, 1), (1_000.0, 5.0, 0, 1)):  # fmt: skip
        path = np.linspace(1_000.0, last, 31)
        day = Market(path, 0.6, MINUTE * 20, 2 * DAY, STRIKES, lot=10)
        run = hedged([call], None if band is None else {"band": band}, stop=1_500.0, stop_unit=1,
                     target=20.0, target_unit=1)  # fmt: skip
        run_day(run, day)
        counts = run.counters()
        assert (counts["combined_stops"], counts["combined_targets"]) == (stops, targets)
        told = [row for row in run.take_notes() if row["told"] in
                (Told.COMBINED_STOP, Told.COMBINED_TARGET)]  # fmt: skip
        equity = run.log.take()[3]
        for row in told:
            at = equity[equity["time_ns"] == row["time_ns"]][-1]
            assert int(row["strike"]) == int(at["equity"]) - CAPITAL


def test_it_stays_until_nothing_that_was_sold_is_left() -> None:
    """The sold call has no price for three rows after the exit was decided: both wait."""
    day = market(5, rows=20, lot=10)
    lost = frozenset((row, 1) for row in (16, 17, 18))
    run = hedged([SELL_CALL | {"lots": 5}], {"band": 5.0, "hedges_max": 1})
    run_day(run, day, day.chain(lost), exit_row=15)
    orders = orders_of(run, 6)
    assert orders["created_ns"][-1] >= OPEN + 19 * day.step
    assert run.legs_now()[-1]["position"] == 0


def test_a_day_that_ends_early_takes_the_hedge_with_it() -> None:
    day = market(5, rows=20, lot=10)
    run = hedged([SELL_CALL | {"lots": 5}], {"band": 5.0})
    run_day(run, day, exit_row=60)
    assert [now["position"] for now in run.legs_now()] == [0, 0]
    trades = run.log.take()[0]
    hedge = trades[trades["instrument"] == 6]
    assert len(hedge)
    assert hedge["exit_ns"].max() <= OPEN + 20 * day.step


def test_a_row_without_a_price_decides_nothing_and_says_so() -> None:
    day = market(7, rows=20, lot=10)
    lost = frozenset((row, 6) for row in range(4, 9))  # of the future
    run = hedged([SELL_CALL | {"lots": 5}], {"band": 1.0})
    run_day(run, day, day.chain(lost))
    assert run.hedge is not None
    rows = run.hedge.take_rows()
    inside = rows[
        (rows["time_ns"] > OPEN + 4 * day.step) & (rows["time_ns"] <= OPEN + 9 * day.step)
    ]
    assert inside["why"].tolist() == [HedgeWhy.BLIND]  # told once
    assert run.counters()["hedge_rows_blind"] == 5


def test_a_leg_without_a_price_keeps_its_last_volatility() -> None:
    path = np.array([1_000.0] * 4 + [1_030.0] * 4 + [960.0] * 4 + [1_050.0] * 4)
    day = Market(path, 0.6, MINUTE * 20, 2 * DAY, STRIKES, lot=10)
    lost = frozenset((row, 1) for row in range(2, 15))  # others still give the forward
    run = hedged([SELL_CALL | {"lots": 5}], {"band": 1.0, "hysteresis": 0.0})
    run_day(run, day, day.chain(lost))
    assert run.hedge is not None
    rows = run.hedge.take_rows()
    blind = rows[(rows["time_ns"] > OPEN + 5 * day.step) & (rows["done"] == HedgeDone.SENT)]
    assert len(blind)
    for row in blind[blind["why"] == HedgeWhy.BAND]:
        place = (row["time_ns"] - OPEN) // day.step - 1
        mine = -50 * delta(day.path[place + 1], 1_000.0, day.years(place), 0.6, 1)
        assert row["before"] == pytest.approx(mine + row["held"], abs=0.1)


def test_a_dry_run_sends_nothing_and_remembers_what_it_would_hold() -> None:
    day = market(11, lot=10)
    legs = [SELL_CALL | {"lots": 5}, SELL_PUT | {"lots": 5}]
    dry, wet, none = (
        hedged(legs, rules) for rules in ({"band": 5.0, "dry": 1}, {"band": 5.0}, None)
    )
    for run in (dry, wet, none):
        run_day(run, day)
    assert dry.hedge is not None
    assert wet.hedge is not None
    said, did = dry.hedge.take_rows(), wet.hedge.take_rows()
    assert set(said["done"]) == {HedgeDone.WOULD}
    for name in ("time_ns", "price", "held", "units", "why"):
        assert said[said["why"] != HedgeWhy.EMPTY][name].tolist() == (
            did[did["why"] != HedgeWhy.EMPTY][name].tolist()
        )
    for mine, plain in zip(dry.log.take(), none.log.take(), strict=True):
        assert mine.tobytes() == plain.tobytes()
    assert dry.counters()["orders_sent"] == none.counters()["orders_sent"]


def test_entries_that_are_held_back_hold_a_larger_hedge_back() -> None:
    day = market(3, lot=10)
    run = hedged([SELL_CALL | {"lots": 5}], {"band": 5.0})
    run.gate.reduce_only()
    run_day(run, day)
    assert run.hedge is not None
    assert len(run.hedge.take_rows()) == 0  # nothing was entered at all
    assert run.counters()["hedges"] == 0


# ---- options that hedge -------------------------------------------------------------------------


def test_options_that_hedge_are_bought_only_and_of_the_side_that_helps() -> None:
    path = np.array([1_000.0] * 3 + [1_060.0] * 6 + [930.0] * 9)
    day = Market(path, 0.6, MINUTE * 20, 2 * DAY, STRIKES, lot=10)
    legs = [SELL_CALL | {"lots": 5}, SELL_PUT | {"lots": 5}]
    run = hedged(legs, {"band": 8.0, "right": 1, "lots_max": 20})
    run_day(run, day, option=True)
    assert run.hedge is not None
    rows = run.hedge.take_rows()
    assert (rows["held"] >= 0).all()
    assert (rows["held"] + rows["units"] >= 0).all()
    bought = rows[(rows["units"] > 0) & (rows["done"] == HedgeDone.SENT)]
    calls = bought[bought["listed"] < len(STRIKES)]
    puts = bought[bought["listed"] >= len(STRIKES)]
    assert len(calls)
    assert len(puts)
    assert (calls["before"] < 0).all()
    assert (puts["before"] > 0).all()
    assert (np.abs(bought["after"]) < np.abs(bought["before"])).all()
    assert [now["position"] for now in run.legs_now()] == [0, 0, 0]


# ---- the textbook -------------------------------------------------------------------------------


def replication(rows: int, paths: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Profit of a sold call hedged at every row, and its variance by Boyle and Emanuel."""
    life, sigma, size = 30 * DAY, 0.25, 10_000
    step = life // (rows + 4)
    made, expected = np.empty(paths), np.empty(paths)
    for at in range(paths):
        path = wander(seed + at, rows, sigma, step)
        day = Market(path, sigma, step, life, STRIKES, lot=size)
        run = hedged([SELL_CALL], {"interval_ns": 1, "hysteresis": 0.0, "lots_max": 10_000,
                                   "hedges_max": 1_000})  # fmt: skip
        run_day(run, day, future={"lot": 1})
        equity = run.log.take()[3]["equity"]
        made[at] = (equity[-1] - CAPITAL) / 100 / size
        # In at the open of row 1, known whole at its end, hedged from the open of row 2 on, out at
        # that of the last one. What the option did in row 1 is nobody's error.
        made[at] += (day.price(1, 1_000.0, 1) - day.price(0, 1_000.0, 1)) / 100
        steps = range(2, rows - 1)
        expected[at] = sum(
            0.5 * (gamma(path[row], 1_000.0, day.years(row - 1), sigma) * path[row] ** 2
                   * sigma**2 * step / YEAR) ** 2
            for row in steps
        )  # fmt: skip
    return made, expected


def test_a_hedged_option_is_worth_what_black_says_within_the_textbook_error() -> None:
    """Hedged at N moments the profit has mean 0 and the variance of Boyle and Emanuel (1980),
    "Discretely adjusted option hedges", J. Financial Economics 8: sum of (gamma S^2 sigma^2 dt)^2
    / 2, so twice as many hedges halve it. Without a hedge it is a hundred times as much."""
    made, expected = replication(64, 120, 1)
    assert abs(made.mean()) < 3.0 * made.std() / np.sqrt(len(made))
    assert 0.65 < made.var() / expected.mean() < 1.5
    rare, once = replication(16, 120, 1)
    assert 0.6 < rare.var() / once.mean() < 1.6
    fewer = once.mean() / expected.mean()  # 16 hedges instead of 64
    assert fewer > 2.0
    assert 0.6 < rare.var() / made.var() / fewer < 1.7
    premium = 28.6  # of the option itself: the error is a small part of it
    assert made.std() < 0.15 * premium


# ---- refusals -----------------------------------------------------------------------------------


def test_a_hedge_has_a_future_or_options() -> None:
    gate, log = Gate(instruments=1), RunLog(1024, 8192, 1024)
    leg = hedge_leg(0, Match(gate, instruments=1), Portfolio(CAPITAL, 1), gate, log)
    hedge = Hedge(leg, HEDGE | {"band": 1.0})
    with pytest.raises(UsageError, match=r"a future .* or options"):
        hedge.set_day(from_ns=0, until_ns=1)
    with pytest.raises(UsageError, match=r"a future .* or options"):
        hedge.set_day(from_ns=0, until_ns=1, slot=0, column=3, session=session(1, OPEN))
    with pytest.raises(UsageError, match="slippage of a hedge"):
        Hedge(leg, HEDGE | {"band": 1.0}, slippage=-1)
    books = Portfolio(CAPITAL, 1)
    only = Leg(RULES, 0, Match(gate, instruments=1), books, gate, log)
    with pytest.raises(UsageError, match="the hedge trades instrument 0, not 1"):
        LegRun([only], PLAN, books, gate, log, hedge=hedge)
    assert HEDGE_DTYPE.itemsize == 80
