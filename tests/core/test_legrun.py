"""Legs, run natively, against a plain model and against sums by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.chainday import ChainDay, Missing, StrikeRule
from dhanfast._core.legrun import LegRun, Told
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
    "strike": 1000.0, "stop": 0.0, "target": 0.0, "trail_every": 0.0, "trail_step": 0.0,
    "wait": 0.0, "lots": 1, "side": -1, "right": 1, "strike_rule": int(StrikeRule.EXACT),
    "premium_rule": 0, "stop_unit": 0, "target_unit": 0, "trail_unit": 0, "wait_unit": 0,
    "again_stop": 0, "again_stop_how": 1, "again_target": 0, "again_target_how": 1, "when": 0,
}  # fmt: skip
PLAN: dict[str, Any] = {"stop": 0.0, "target": 0.0, "stop_unit": 0, "target_unit": 0, "to_cost": 0,
                        "hold": 0, "settles": 0, "signals": 0}  # fmt: skip


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
        start_ns=start, end_ns=start + MINUTE, prices=tuple(prices), spot=np.full(n, spot),
        strike=np.array(STRIKES * 2), listed=np.arange(2 * count, dtype=np.uint32), first=[0],
        count=[count], sessions=session(n) if sessions is None else sessions, **told,
    )  # fmt: skip


def native(legs: list[dict[str, Any]], **plan: Any) -> LegRun:
    gate, log = Gate(instruments=len(legs)), RunLog(8192, 65536, 65536)
    portfolio = Portfolio(CAPITAL, len(legs))
    made = []
    for place, rules in enumerate(legs):
        broker = Match(gate, instruments=len(legs), protection_e4=500, stop_market_ok=True)
        made.append(Leg(RULES | rules, place, broker, portfolio, gate, log))
    return LegRun(made, PLAN | plan, portfolio, gate, log)


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
        column=column, strike=STRIKES[column], side=draw(st.sampled_from([1, -1])), stop=stop,
        target=target, stop_percent=percent,
        trail=draw(st.just((0.0, 0.0)) | st.tuples(amounts, amounts)) if stop else (0.0, 0.0),
        wait=draw(st.just(0.0) | amounts | amounts.map(lambda x: -x)),
        after_stop=draw(again) if stop else ("", 0), after_target=draw(again) if target else ("", 0),
    )  # fmt: skip


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
        entry_row=0, until_row=5, exit_row=draw(st.integers(3, count + 2)),
        stop=draw(st.just(0.0) | st.integers(50, 4000).map(float)),
        target=draw(st.just(0.0) | st.integers(50, 4000).map(float)),
        to_cost=draw(st.booleans()),
    )  # fmt: skip


def rules_of(leg: PlainLeg) -> dict[str, Any]:
    how = {"": Again.NEVER, "asap": Again.ASAP, "cost": Again.COST}
    points = LegUnit.POINTS
    return {
        "strike": leg.strike / 100, "side": leg.side, "stop": leg.stop, "target": leg.target,
        "stop_unit": int(LegUnit.PERCENT if leg.stop_percent else points) if leg.stop else 0,
        "target_unit": int(points) if leg.target else 0,
        "trail_every": leg.trail[0], "trail_step": leg.trail[1],
        "trail_unit": int(points) if leg.trail[0] else 0,
        "wait": leg.wait, "wait_unit": int(points) if leg.wait else 0,
        "again_stop": leg.after_stop[1], "again_stop_how": int(how[leg.after_stop[0]]),
        "again_target": leg.after_target[1], "again_target_how": int(how[leg.after_target[0]]),
    }  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(plain=runs())
def test_trades_agree_with_the_plain_model(plain: PlainRun) -> None:
    """Every trade: its leg's contract, rows and prices of entry and exit; and the last equity."""
    n = len(plain.rows)
    run = native([rules_of(leg) for leg in plain.legs], stop=plain.stop, target=plain.target,
                 stop_unit=int(plain.stop > 0), target_unit=int(plain.target > 0),
                 to_cost=int(plain.to_cost))  # fmt: skip
    assert run.run_day(
        chain(plain.rows), slots=[0] * len(plain.legs), entry_ns=OPEN + MINUTE,
        until_ns=OPEN + 6 * MINUTE, exit_ns=OPEN + (plain.exit_row + 1) * MINUTE, trade=True,
        date=20260126,
    )  # fmt: skip
    run.finish()
    trades, _, _, equity = run.log.take()
    got = [
        (int(trade["instrument"]), int(trade["entry_ns"] - OPEN) // MINUTE,
         int(trade["entry_value"]) // 25, int(trade["exit_ns"] - OPEN) // MINUTE,
         int(trade["exit_value"]) // 25)
        for trade in trades
    ]  # fmt: skip
    expected = plain.run()
    wanted = [(plain.legs[one[0]].column, *one[1:]) for one in expected]
    assert sorted(got) == sorted(wanted)
    made = sum(plain.legs[leg].side * (left - entered) * 25 for leg, _, entered, _, left in expected)
    assert equity["equity"][-1] == CAPITAL + made
    assert equity["position"][-1] == 0 and len(equity) == n
