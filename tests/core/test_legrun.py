"""Legs, run natively, against a plain model and against sums by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.chainday import ChainDay, Missing, StrikeRule
from dhanfast._core.legorder import Told
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.legrun import LegRun
from dhanfast._core.legs import Again, Leg, LegUnit
from dhanfast._core.match import Match
from dhanfast._core.portfolio import Portfolio
from dhanfast._core.risk import Gate
from dhanfast._core.runlog import RunLog
from dhanfast._core.types import SESSION_DTYPE, Reason
from dhanfast.errors import BadData, UsageError
from tests.core.leg_model import PlainLeg, PlainRun

MINUTE = 60_000_000_000
OPEN = 1_700_000_000_000_000_000
CAPITAL = 10**12
STRIKES = (100_000, 110_000, 120_000)
RULES: dict[str, Any] = {
    "strike": 1000.0,
    "stop": 0.0,
    "target": 0.0,
    "trail_every": 0.0,
    "trail_step": 0.0,
    "wait": 0.0,
    "lots": 1,
    "side": -1,
    "right": 1,
    "strike_rule": int(StrikeRule.EXACT),
    "premium_rule": 0,
    "stop_unit": 0,
    "target_unit": 0,
    "trail_unit": 0,
    "wait_unit": 0,
    "again_stop": 0,
    "again_stop_how": 1,
    "again_target": 0,
    "again_target_how": 1,
    "when": 0,
    "again_stop_turn": 0,
    "again_target_turn": 0,
    "again_stop_arms": 0,
    "again_target_arms": 0,
    "again_stop_pause": 0,
    "again_target_pause": 0,
    "lazy": 0,
    "range_side": 0,
    "range_index": 0,
    "range_ns": 0,
    "premium_least": 0.0,
}
PLAN: dict[str, Any] = {
    "stop": 0.0,
    "target": 0.0,
    "stop_unit": 0,
    "target_unit": 0,
    "to_cost": 0,
    "hold": 0,
    "settles": 0,
    "signals": 0,
    "repairs": 0,
    "deadline_ns": 0,
    "trail_every": 0.0,
    "trail_step": 0.0,
    "lock_at": 0.0,
    "lock_keep": 0.0,
    "lock_every": 0.0,
    "lock_step": 0.0,
    "lock_unit": 0,
    "complete": 0,
    "again_stop": 0,
    "again_stop_how": 0,
    "again_stop_turn": 0,
    "again_stop_pause": 0,
    "again_target": 0,
    "again_target_how": 0,
    "again_target_turn": 0,
    "again_target_pause": 0,
}


def session(rows: int, **more: Any) -> np.ndarray:
    record = np.zeros(1, SESSION_DTYPE)
    record["open_ns"], record["close_ns"] = OPEN, OPEN + (rows + 10) * MINUTE
    record["entry_from_ns"], record["entry_until_ns"] = OPEN, OPEN + (rows + 10) * MINUTE
    record["lot"], record["tick"] = 25, 5
    record["contract"], record["date"] = 20260127, 20260126
    for name, value in more.items():
        record[name] = value
    return record


def chain(
    rows: list[list[tuple[int, int, int, int]]],
    spot: int = 110_000,
    sessions: np.ndarray | None = None,
    puts: list[list[tuple[int, int, int, int]]] | None = None,
    **more: Any,
) -> ChainDay:
    """Rows of calls at STRIKES, one bar each; the puts have no quotes unless given."""
    n, count = len(rows), len(STRIKES)
    prices = np.zeros((4, n, 2 * count), np.int64)
    calls = np.array(rows, np.int64)
    for part in range(4):
        prices[part, :, : calls.shape[1]] = calls[:, :, part]
        if puts is not None:
            prices[part, :, count:] = np.array(puts, np.int64)[:, :, part]
    start = OPEN + MINUTE * np.arange(n)
    told = {"final_price": [0], "exercise_e9": [1_250_000], "exercise_full": [0], **more}
    return ChainDay(
        start_ns=start,
        end_ns=start + MINUTE,
        prices=tuple(prices),
        spot=np.full(n, spot),
        strike=np.array(STRIKES * 2),
        listed=np.arange(2 * count, dtype=np.uint32),
        first=[0],
        count=[count],
        sessions=session(n) if sessions is None else sessions,
        **told,
    )


def native(
    legs: list[dict[str, Any]],
    *,
    latency_ns: int = 0,
    slippage: int = 0,
    risk: LegRisk | None = None,
    **plan: Any,
) -> LegRun:
    gate, log = Gate(instruments=len(legs)), RunLog(8192, 65536, 65536)
    portfolio = Portfolio(CAPITAL, len(legs))
    made = []
    for place, rules in enumerate(legs):
        broker = Match(
            gate,
            instruments=len(legs),
            protection_e4=500,
            stop_market_ok=True,
            latency_ns=latency_ns,
            slippage=slippage,
        )
        made.append(Leg(RULES | rules, place, broker, portfolio, gate, log))
    return LegRun(made, PLAN | plan, portfolio, gate, log, risk=risk)


def flat(price: int) -> tuple[int, int, int, int]:
    return (price,) * 4


# ---- against the plain model --------------------------------------------------------------------

amounts = st.integers(1, 60).map(lambda ticks: ticks * 0.25)


@st.composite
def plain_legs(draw: st.DrawFn, column: int) -> PlainLeg:
    percent = draw(st.booleans())
    stop = draw(st.sampled_from([0.0, 20.0, 40.0, 60.0]) if percent else st.just(0.0) | amounts)
    target = draw(st.just(0.0) | amounts)
    again = st.tuples(st.sampled_from(["asap", "cost"]), st.integers(0, 2))
    return PlainLeg(
        column=column,
        strike=STRIKES[column],
        side=draw(st.sampled_from([1, -1])),
        stop=stop,
        target=target,
        stop_percent=percent,
        trail=draw(st.just((0.0, 0.0)) | st.tuples(amounts, amounts)) if stop else (0.0, 0.0),
        wait=draw(st.just(0.0) | amounts | amounts.map(lambda x: -x)),
        after_stop=draw(again) if stop else ("", 0),
        after_target=draw(again) if target else ("", 0),
    )


@st.composite
def bars(draw: st.DrawFn, count: int) -> list[list[tuple[int, int, int, int]]]:
    """Walks of three premiums; some rows have no quote, some bars jump."""
    level = [draw(st.integers(800, 1600)) for _ in STRIKES]  # ticks
    rows = []
    for _ in range(count):
        row = []
        for place in range(len(STRIKES)):
            if draw(st.integers(0, 9)) == 0:
                row.append(flat(0))
                continue
            gap, move = draw(st.integers(-35, 35)), draw(st.integers(-60, 60))
            opens = max(60, level[place] + gap)
            close = max(60, opens + move)
            high = max(opens, close) + draw(st.integers(0, 30))
            low = max(20, min(opens, close) - draw(st.integers(0, 30)))
            level[place] = close
            row.append(tuple(5 * ticks for ticks in (opens, high, low, close)))
        rows.append(row)
    return rows


@st.composite
def runs(draw: st.DrawFn) -> PlainRun:
    count = draw(st.integers(5, 30))
    columns = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    return PlainRun(
        legs=[draw(plain_legs(column)) for column in columns],
        rows=draw(bars(count)),
        entry_row=0,
        until_row=5,
        exit_row=draw(st.integers(3, count + 2)),
        stop=draw(st.just(0.0) | st.integers(50, 4000).map(float)),
        target=draw(st.just(0.0) | st.integers(50, 4000).map(float)),
        to_cost=draw(st.booleans()),
        deadline=draw(st.integers(0, 3)),
    )


def rules_of(leg: PlainLeg) -> dict[str, Any]:
    how = {"": Again.NEVER, "asap": Again.ASAP, "cost": Again.COST}
    points = LegUnit.POINTS
    return {
        "strike": leg.strike / 100,
        "side": leg.side,
        "stop": leg.stop,
        "target": leg.target,
        "stop_unit": int(LegUnit.PERCENT if leg.stop_percent else points) if leg.stop else 0,
        "target_unit": int(points) if leg.target else 0,
        "trail_every": leg.trail[0],
        "trail_step": leg.trail[1],
        "trail_unit": int(points) if leg.trail[0] else 0,
        "wait": leg.wait,
        "wait_unit": int(points) if leg.wait else 0,
        "again_stop": leg.after_stop[1],
        "again_stop_how": int(how[leg.after_stop[0]]),
        "again_target": leg.after_target[1],
        "again_target_how": int(how[leg.after_target[0]]),
    }


@settings(max_examples=300, deadline=None)
@given(plain=runs())
def test_trades_agree_with_the_plain_model(plain: PlainRun) -> None:
    """Every trade: its leg's contract, rows and prices of entry and exit; and the last equity."""
    n = len(plain.rows)
    run = native(
        [rules_of(leg) for leg in plain.legs],
        stop=plain.stop,
        target=plain.target,
        stop_unit=int(plain.stop > 0),
        target_unit=int(plain.target > 0),
        to_cost=int(plain.to_cost),
        deadline_ns=plain.deadline * MINUTE,
    )
    assert run.run_day(
        chain(plain.rows),
        slots=[0] * len(plain.legs),
        entry_ns=OPEN + MINUTE,
        until_ns=OPEN + 6 * MINUTE,
        exit_ns=OPEN + (plain.exit_row + 1) * MINUTE,
        trade=True,
        date=20260126,
    )
    run.finish()
    trades, _, _, equity = run.log.take()
    got = [
        (
            int(trade["instrument"]),
            int(trade["entry_ns"] - OPEN) // MINUTE,
            int(trade["entry_value"]) // 25,
            int(trade["exit_ns"] - OPEN) // MINUTE,
            int(trade["exit_value"]) // 25,
        )
        for trade in trades
    ]
    expected = plain.run()
    wanted = [(plain.legs[one[0]].column, *one[1:]) for one in expected]
    assert sorted(got) == sorted(wanted)
    made = sum(
        plain.legs[leg].side * (left - entered) * 25 for leg, _, entered, _, left in expected
    )
    assert equity["equity"][-1] == CAPITAL + made
    assert equity["position"][-1] == 0 and len(equity) == n


@settings(max_examples=100, deadline=None)
@given(
    plain=runs(),
    latency=st.sampled_from([0, 1_000_000, 250_000_000, 90 * 1_000_000_000]),
    slippage=st.sampled_from([0, 5, 40]),
)
def test_books_add_up_and_nothing_stays_open_with_latency_and_slippage(
    plain: PlainRun, latency: int, slippage: int
) -> None:
    """Cash is conserved, every trade is whole, and what was bought was sold."""
    legs = [rules_of(leg) for leg in plain.legs]
    run = native(
        legs,
        latency_ns=latency,
        slippage=slippage,
        stop=plain.stop,
        stop_unit=int(plain.stop > 0),
        to_cost=int(plain.to_cost),
        deadline_ns=plain.deadline * MINUTE,
    )
    assert run.run_day(
        chain(plain.rows),
        slots=[0] * len(legs),
        entry_ns=OPEN + MINUTE,
        until_ns=OPEN + 6 * MINUTE,
        exit_ns=OPEN + (plain.exit_row + 1) * MINUTE,
        trade=True,
        date=20260126,
    )
    run.finish()
    trades, orders, _, equity = run.log.take()
    assert equity["equity"][-1] == CAPITAL + trades["gross"].sum() and run.held() == []
    assert (
        trades["gross"] == trades["side"] * (trades["exit_value"] - trades["entry_value"])
    ).all()
    assert (trades["entry_ns"] <= trades["exit_ns"]).all()
    assert sorted(orders["id"].tolist()) == list(range(1, len(orders) + 1))
    bought = (orders["side"] * orders["filled"]).sum()
    assert bought == 0 and (orders["filled"] <= orders["qty"]).all()


# ---- by hand ------------------------------------------------------------------------------------


def trades_of(run: LegRun) -> np.ndarray:
    run.finish()
    return run.log.take()[0]


def begin(run: LegRun, rows: ChainDay, legs: int, n: int, **more: Any) -> bool:
    told = {
        "slots": [0] * legs,
        "entry_ns": OPEN + MINUTE,
        "until_ns": OPEN + 3 * MINUTE,
        "exit_ns": OPEN + n * MINUTE,
        "trade": True,
        "date": 20260126,
        **more,
    }
    return run.run_day(rows, **told)


def test_a_straddle_is_settled_at_the_final_price_with_stt_on_exercise_alone() -> None:
    """Sold 1100 CE at 30, bought 1100 PE at 20; the index closes at 1080.35, the put has 19.65.

    Charges: brokerage 20 an order, STT 0.1 % of the premium sold, and 0.125 % of the put's worth:
    19.65 x 25 x 0.00125 = 0.6140625 rupees. No order and no brokerage at the end.
    """
    rates = np.zeros(1, SESSION_DTYPE)["charges"]
    rates["brokerage_flat"], rates["stt_sell_e9"] = 2_000, 1_000_000
    today = session(4, contract=20260126, expiry_ns=OPEN + 14 * MINUTE, charges=rates)
    calls = [[flat(0), flat(3_000), flat(0)]] * 4
    puts = [[flat(0), flat(2_000), flat(0)]] * 4
    rows = chain(calls, sessions=today, puts=puts, final_price=[108_035])
    run = native(
        [{"strike": 1100.0}, {"strike": 1100.0, "right": -1, "side": 1}], hold=1, settles=1
    )
    begin(run, rows, 2, 4, exit_ns=0)
    trades, orders, _, equity = (run.finish(), run.log.take())[1]
    put, call = sorted(trades, key=lambda trade: -int(trade["side"]))
    assert len(orders) == 2 and run.settled == 2
    assert (call["entry_value"], call["exit_value"], call["gross"]) == (75_000, 0, 75_000)
    assert (put["entry_value"], put["exit_value"], put["gross"]) == (50_000, 49_125, -875)
    assert put["exit_ns"] == OPEN + 14 * MINUTE and put["exit_reason"] == Reason.EXPIRY_EXIT
    assert put["stt"] == 61_406_250 and call["stt"] == 75_000_000  # micro-paise
    assert call["brokerage"] == put["brokerage"] == 2_000_000_000
    # 75_000 - 875 gross; 4_000 brokerage; STT 75 + 61.40625 paise = 1.36 rupees, to the rupee 1.
    assert equity["equity"][-1] == CAPITAL + 74_125 - 4_000 - 100
    assert run.portfolio.bills()[0]["stt"] == 100


@pytest.mark.parametrize("side", [1, -1])
def test_what_expires_out_of_the_money_pays_nothing(side: int) -> None:
    today = session(3, contract=20260126, expiry_ns=OPEN + 13 * MINUTE)
    rows = chain([[flat(500)] * 3] * 3, sessions=today, final_price=[99_999])
    run = native([{"side": side}], hold=1, settles=1)
    begin(run, rows, 1, 3, exit_ns=0)
    trade = trades_of(run)[0]
    assert (trade["exit_value"], trade["gross"], trade["stt"]) == (0, -side * 12_500, 0)


def test_held_to_the_end_without_a_final_price_stops_the_run() -> None:
    today = session(3, contract=20260126)
    run = native([{}], hold=1, settles=1)
    begin(run, chain([[flat(500)] * 3] * 3, sessions=today), 1, 3, exit_ns=0)
    assert (run.fault, run.fault_leg) == (1, 0)


def test_held_past_an_expiry_that_the_data_lacks_stops_the_run() -> None:
    run = native([{}], hold=1, settles=1)
    begin(run, chain([[flat(500)] * 3] * 3), 1, 3, exit_ns=0)
    assert run.fault == 0 and run.held() == [(20260127, 100_000)]
    late = session(3, contract=20260203, date=20260128)
    begin(run, chain([[flat(500)] * 3] * 3, sessions=late), 1, 3, exit_ns=0, date=20260128)
    assert run.fault == 2


def test_a_stop_rests_again_on_the_next_day_and_its_gap_is_paid() -> None:
    """Sold at 5.00 with a stop at 7.50; the next day opens at 9.00 and the stop pays that."""
    run = native([{"stop": 50.0, "stop_unit": int(LegUnit.PERCENT)}], hold=1, settles=1)
    begin(run, chain([[flat(500)] * 3] * 3), 1, 3, exit_ns=0)
    following = session(3, date=20260127)
    gap = chain([[flat(900)] * 3] * 3, sessions=following, final_price=[100_000])
    begin(run, gap, 1, 3, exit_ns=0, date=20260127, trade=False)
    trade = trades_of(run)[0]
    assert (trade["entry_value"], trade["exit_value"], trade["stop"]) == (12_500, 22_500, 750)
    assert trade["exit_reason"] == Reason.STOP_LOSS


def test_a_price_of_0_fills_nothing_and_a_leg_without_a_quote_keeps_all_out() -> None:
    rows = [[flat(500), flat(0), flat(0)] for _ in range(6)]
    run = native([{}, {"strike": 1100.0}])
    begin(run, chain(rows), 2, 6)
    notes = run.take_notes()
    assert run.cycles == 0 and len(trades_of(run)) == 0
    assert [(note["told"], note["why"], note["leg"], note["strike"]) for note in notes] == [
        (Told.NOT_ENTERED, Missing.NO_QUOTE, 1, 110_000)
    ]


def test_an_exit_without_a_quote_waits_for_one_and_then_for_the_end_of_the_day() -> None:
    rows = [[flat(price)] * 3 for price in (500, 500, 0, 0, 450)]
    run = native([{}])
    begin(run, chain(rows), 1, 2)  # in at row 1, out is decided at its end
    late = trades_of(run)[0]
    assert (late["exit_ns"] - OPEN) // MINUTE == 4 and late["exit_value"] == 450 * 25
    run = native([{}])
    begin(run, chain(rows[:4]), 1, 2)
    cut = trades_of(run)[0]
    assert cut["exit_value"] == 500 * 25 and cut["exit_reason"] == Reason.END_OF_DATA
    assert [note["told"] for note in run.take_notes()] == [Told.CUT]


def test_a_stop_of_the_whole_counts_percent_of_the_net_premium() -> None:
    """Sold at 10 and bought at 4: net 6 x 25 received. 50 % of it, 75 rupees, is lost when the sold
    one stands at 13 and the bought one at 4: that row's end decides, the next row fills."""
    rows = [[flat(1000), flat(400), flat(0)]] * 2 + [
        [flat(1295), flat(400), flat(0)],
        [flat(1300), flat(400), flat(0)],
        [flat(1310), flat(390), flat(0)],
    ]
    run = native([{}, {"strike": 1100.0, "side": 1}], stop=50.0, stop_unit=2)
    begin(run, chain(rows), 2, 50)
    trades = trades_of(run)
    assert run.combined_stops == 1
    assert sorted(trades["exit_value"].tolist()) == [390 * 25, 1310 * 25]
    assert {(int(at) - OPEN) // MINUTE for at in trades["exit_ns"]} == {4}


def test_signals_enter_their_legs_and_a_reversal_waits_until_all_is_flat() -> None:
    rows = [[flat(500), flat(600), flat(0)]] * 8
    run = native([{"when": 1, "side": 1}, {"strike": 1100.0, "when": -1, "side": 1}], signals=1)
    at = OPEN + np.array([2, 4, 6]) * MINUTE
    begin(run, chain(rows), 2, 50, signal_ns=at, signal_side=np.array([1, -1, 0], np.int8))
    trades = trades_of(run)
    assert [
        (
            int(t["instrument"]),
            (int(t["entry_ns"]) - OPEN) // MINUTE,
            (int(t["exit_ns"]) - OPEN) // MINUTE,
        )
        for t in trades
    ] == [(0, 2, 4), (1, 5, 6)]


def test_order_numbers_are_of_one_source_and_bought_legs_go_first() -> None:
    run = native([{}, {"strike": 1100.0, "side": 1}])
    begin(run, chain([[flat(500)] * 3] * 4), 2, 3)
    run.finish()
    orders = run.log.take()[1]
    assert sorted(orders["id"].tolist()) == [1, 2, 3, 4]
    first = orders[orders["id"] == 1][0]
    assert (first["side"], first["instrument"]) == (1, 1)


def test_refusals_name_what_does_not_fit() -> None:
    run = native([{}])
    rows = chain([[flat(500)] * 3] * 2)
    with pytest.raises(UsageError, match="slots: 2 for 1 legs"):
        begin(run, rows, 2, 2)
    with pytest.raises(UsageError, match="slot 1 of leg 0"):
        begin(run, rows, 1, 2, slots=[1])
    with pytest.raises(UsageError, match=r"legs must be 1\.\.10"):
        LegRun([], PLAN, run.portfolio, run.gate, run.log)
    with pytest.raises(BadData, match="row 0, column 0: open 500, high 400"):
        chain([[(500, 400, 300, 350), flat(0), flat(0)]])
