"""Why two runs differ: parts known beforehand, and parts that add up whatever the runs are."""

import csv
import dataclasses
import datetime as dt
import io
import json
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dhanfast
from dhanfast._core.types import OrderFlag, OrderKind, Reason
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.errors import UsageError
from dhanfast.market.generate import generate_ticks
from dhanfast.reports import metrics
from dhanfast.reports.compare import (
    PARTS,
    Comparison,
    common_days,
    compare_runs,
    comparison_dict,
    rounded,
)
from dhanfast.reports.compare_text import comparison_text, write_csv
from dhanfast.reports.passing import tick_of, unslipped
from dhanfast.reports.result import (
    DAY_DTYPE,
    EQUITY_DTYPE,
    ORDER_ROW_DTYPE,
    PASSAGE_DTYPE,
    TRADE_DTYPE,
    RunResult,
)

OPEN = int(dt.datetime(2022, 1, 3, 3, 45, tzinfo=dt.UTC).timestamp()) * 10**9
MINUTE = 60 * 10**9
DAY = 86_400 * 10**9


@dataclasses.dataclass(frozen=True)
class Made:
    """One trade as it is to be: prices in paise, times in minutes after the open."""

    at: float = 10.0
    side: int = 1
    qty: int = 25
    decision: int = 3_500_000  # of the entry
    delay: int = 20  # what the market moved until it arrived, against it
    cost: int = 15  # what the market then took
    leave_at: float = 30.0
    leave_decision: int = 3_502_000
    leave_delay: int = 0
    leave_cost: int = 15
    reason: Reason = Reason.EXIT_SIGNAL
    charges: int = 40_123_456_789  # micro-paise
    day: int = 0
    quoted: bool = True

    @property
    def entry(self) -> int:
        return self.decision + self.side * (self.delay + self.cost)

    @property
    def exit(self) -> int:
        return self.leave_decision - self.side * (self.leave_delay + self.leave_cost)


def run_of(trades: list[Made], **more: Any) -> RunResult:
    """The run that made these trades."""
    rows = np.zeros(len(trades), TRADE_DTYPE)
    orders = np.zeros(2 * len(trades), ORDER_ROW_DTYPE)
    passages = np.zeros(2 * len(trades), PASSAGE_DTYPE)
    for number, made in enumerate(trades):
        opening = OPEN + made.day * DAY
        row = rows[number]
        row["side"], row["qty"], row["contract"] = made.side, made.qty, 20220127
        row["exit_reason"], row["brokerage"] = int(made.reason), made.charges
        for leave, at, price, which in (
            (False, made.at, made.entry, "entry"), (True, made.leave_at, made.exit, "exit"),
        ):  # fmt: skip
            order, passage = orders[2 * number + leave], passages[2 * number + leave]
            decided_ns = opening + round(at * MINUTE)
            filled_ns = decided_ns + 10**8
            row[f"{which}_ns"], row[f"{which}_value"] = filled_ns, price * made.qty
            side = -made.side if leave else made.side
            order["id"] = passage["id"] = 2 * number + leave + 1
            order["qty"] = order["filled"] = made.qty
            order["side"], order["value"], order["kind"] = side, price * made.qty, OrderKind.LIMIT
            order["flags"] = int(OrderFlag.EXIT) if leave else 0
            order["reason"] = int(made.reason) if leave else int(Reason.SIGNAL)
            passage["decided_ns"], passage["sent_ns"] = decided_ns, decided_ns
            passage["first_fill_ns"] = passage["last_fill_ns"] = filled_ns
            decision = made.leave_decision if leave else made.decision
            passage["decision"], passage["fills"] = decision, 1
            if made.quoted:
                mid = decision + side * (made.leave_delay if leave else made.delay)
                passage["bid"], passage["ask"] = mid - 5, mid + 5
        row["gross"] = made.side * (int(row["exit_value"]) - int(row["entry_value"]))
    first, last = (of((made.day for made in trades), default=0) for of in (min, max))
    days = np.zeros(1 + last - first, DAY_DTYPE)
    for number, day in enumerate(days, first):
        mine = np.array([made.day == number for made in trades], bool)
        day["date"] = int((dt.date(2022, 1, 3) + dt.timedelta(number)).strftime("%Y%m%d"))
        day["gross"] = int(rows["gross"][mine].sum())
        day["brokerage"] = day["charges"] = int(rows["brokerage"][mine].sum()) // metrics.UPAISE
    days["equity"] = 10**9 + np.cumsum(days["gross"] - days["charges"])
    given_ = {"strategy": "mine", "symbol": "BANKNIFTY", "traded": "BANKNIFTY FUT",
              "timeframe": "1m", "data": {"signals": {"sha256": "one"}},
              "config": {"slippage": {"ticks": 1, "paise": 0, "rate_e6": 0}}} | more  # fmt: skip
    return RunResult(
        capital=10**9, trades=rows, orders=orders, equity=np.zeros(0, EQUITY_DTYPE), days=days,
        bars=None, counters={}, notes=(), digest="", kernel_ns=0, passages=passages, **given_,
    )  # fmt: skip


def parts(got: Comparison) -> dict[str, int]:
    """What is not zero but the rounding of the bills."""
    return {name: value for name, value in got.totals.items() if value and name != "rounding"}


def adds_up(got: Comparison) -> bool:
    """To the paisa in all, and exactly in each trade."""
    nets = [metrics.trade_net(run.trades) for run in (got.a, got.b)]
    for one in got.pairs:
        mine = Fraction(0)
        if one.a is not None:
            mine -= Fraction(int(nets[0][one.a]), metrics.UPAISE)
        if one.b is not None:
            mine += Fraction(int(nets[1][one.b]), metrics.UPAISE)
        if one.total != mine:
            return False
    return sum(got.totals.values()) == got.difference == got.net_b - got.net_a


# What is changed in B, and what each unit, or the whole, must then be put to.
SINGLE: list[tuple[str, dict[str, Any], str, int]] = [
    ("entry filled worse", {"cost": 45}, "fill", -30 * 25),
    ("entry filled better", {"cost": -5}, "fill", 20 * 25),
    ("exit filled worse", {"leave_cost": 55}, "fill", -40 * 25),
    ("entry came later", {"delay": 120}, "latency", -100 * 25),
    ("exit came later", {"leave_delay": 70}, "latency", -70 * 25),
    ("the market stood higher at the entry", {"decision": 3_500_300}, "data", -300 * 25),
    ("the market stood higher at the exit", {"leave_decision": 3_502_300}, "data", 300 * 25),
    ("it left later", {"leave_at": 42.0, "leave_decision": 3_501_000}, "signal", -1000 * 25),
    ("it entered a bar later", {"at": 11.0, "decision": 3_500_500}, "signal", -500 * 25),
    ("other charges", {"charges": 50_123_456_789}, "charge", -10_000),
]


@pytest.mark.parametrize(("what", "change", "part", "paise"), SINGLE)
def test_one_cause_is_put_to_its_part_alone(
    what: str, change: dict[str, Any], part: str, paise: int
) -> None:
    got = compare_runs(run_of([Made()]), run_of([Made(**change)]))
    assert parts(got) == {part: paise}, what
    assert got.matched == 1 and got.pairs[0].cause == part and adds_up(got)
    back = compare_runs(run_of([Made(**change)]), run_of([Made()]))
    assert parts(back) == {part: -paise}


def test_a_simulated_fill_tells_what_it_met() -> None:
    """Of market orders on bars: the price before the slippage that the settings name."""
    slips = [{"ticks": 0, "paise": paise, "rate_e6": 0} for paise in (15, 45)]

    def simulated(made: Made, slip: dict[str, int], late_ns: int) -> RunResult:
        run = run_of([made], config={"slippage": slip})
        for name in ("bid", "ask"):
            run.passages[name] = 0
        run.orders["kind"] = int(OrderKind.MARKET)
        for which, row in (("entry_ns", 0), ("exit_ns", 1)):
            run.trades[which] += late_ns
            for name in ("first_fill_ns", "last_fill_ns"):
                run.passages[name][row] += late_ns
        return run

    a = simulated(Made(cost=15), slips[0], 0)
    b = simulated(Made(cost=45, delay=120, leave_cost=45), slips[1], 10**9)
    assert parts(compare_runs(a, b)) == {"latency": -100 * 25, "fill": (-30 - 30) * 25}
    slipped = simulated(Made(cost=45, leave_cost=45), slips[1], 0)
    assert parts(compare_runs(a, slipped)) == {"fill": (-30 - 30) * 25}


def test_a_short_counts_the_other_way() -> None:
    got = compare_runs(run_of([Made(side=-1)]), run_of([Made(side=-1, decision=3_500_300)]))
    assert parts(got) == {"data": 300 * 25}
    got = compare_runs(run_of([Made(side=-1)]), run_of([Made(side=-1, cost=45)]))
    assert parts(got) == {"fill": -30 * 25}


def test_all_causes_at_once_are_told_apart() -> None:
    a = run_of([Made()])
    b = run_of([Made(decision=3_500_100, delay=50, cost=22, leave_decision=3_502_070,
                     leave_delay=13, leave_cost=17, charges=41_123_456_789)])  # fmt: skip
    got = compare_runs(a, b)
    assert parts(got) == {
        "data": (-100 + 70) * 25, "latency": (-30 - 13) * 25, "fill": (-7 - 2) * 25,
        "charge": -1000,
    }  # fmt: skip
    assert adds_up(got)


def test_size_is_what_more_units_earn_as_the_first_did() -> None:
    gross = (3_502_000 - 15 - 3_500_035) * 25
    got = compare_runs(run_of([Made()]), run_of([Made(qty=75)]))
    assert parts(got) == {"size": 2 * gross}
    both = compare_runs(run_of([Made()]), run_of([Made(qty=75, cost=16)]))
    assert parts(both) == {"size": 2 * gross, "fill": -75}


@pytest.mark.parametrize("reason", [Reason.STOP_LOSS, Reason.TAKE_PROFIT])
def test_protection_moves_with_the_entry(reason: Reason) -> None:
    """Both left by the same stop, 50 points from their entries: the entry's cost comes back."""
    a = Made(reason=reason, leave_decision=3_500_035 - 5000)
    b = Made(reason=reason, cost=45, leave_decision=3_500_065 - 5000, leave_at=31.0)
    got = compare_runs(run_of([a]), run_of([b]))
    assert parts(got) == {}
    worse = dataclasses.replace(b, leave_cost=115)
    assert parts(compare_runs(run_of([a]), run_of([worse]))) == {"fill": -100 * 25}
    wider = dataclasses.replace(b, leave_decision=3_500_065 - 9000)
    got = compare_runs(run_of([a]), run_of([wider]))
    assert parts(got) == {"signal": -4000 * 25}
    assert "its stop loss was set elsewhere" in got.pairs[0].why or reason != Reason.STOP_LOSS


def test_one_stopped_and_the_other_not_is_put_to_what_moved_the_entry() -> None:
    a = Made(reason=Reason.TAKE_PROFIT, leave_decision=3_510_000)
    b = Made(reason=Reason.STOP_LOSS, leave_decision=3_495_000, delay=120)
    got = compare_runs(run_of([a]), run_of([b]))
    assert parts(got) == {"latency": (-100 - 15_000) * 25}
    assert got.pairs[0].why == "left by stop loss for take profit"
    same = dataclasses.replace(b, delay=20)
    assert set(parts(compare_runs(run_of([a]), run_of([same])))) == {"signal"}
    other = run_of([same], data={"signals": {"sha256": "two"}})
    assert set(parts(compare_runs(run_of([a]), other))) == {"data"}


def test_a_trade_of_one_run_alone_is_whole_and_says_why() -> None:
    one, two = Made(), Made(at=60.0, leave_at=80.0)
    got = compare_runs(run_of([one, two]), run_of([one]))
    net = int(metrics.trade_net(run_of([two]).trades)[0])
    assert parts(got) == {"missing": round(Fraction(-net, metrics.UPAISE))}
    assert set(got.reasons) == {"only in A: no order in B"}
    long = dataclasses.replace(one, leave_at=300.0)
    assert set(compare_runs(run_of([one, two]), run_of([long])).reasons) == {
        "only in A: B was in a position"}  # fmt: skip
    later = dataclasses.replace(two, day=1)
    assert set(compare_runs(run_of([one, later]), run_of([one])).reasons) == {
        "only in A: the day is not in B"}  # fmt: skip


def test_a_run_that_had_ended_is_told() -> None:
    one, two = Made(), Made(at=60.0, leave_at=80.0)
    short = run_of([one])
    equity = np.zeros(2, EQUITY_DTYPE)
    equity["time_ns"] = OPEN, OPEN + 40 * MINUTE
    short = dataclasses.replace(short, equity=equity)
    assert set(compare_runs(run_of([one, two]), short).reasons) == {"only in A: B was not running"}


def test_a_refused_and_an_unfilled_entry_are_named() -> None:
    one, two = Made(), Made(at=60.0, leave_at=80.0)
    refused = run_of([one, two])
    trades, orders = refused.trades[:1], refused.orders.copy()
    orders["filled"][2:], orders["refused"][2] = 0, 22
    b = dataclasses.replace(refused, trades=trades, orders=orders)
    (why,) = compare_runs(run_of([one, two]), b).reasons
    assert why.startswith("only in A: refused in B: ")
    orders = orders.copy()
    orders["refused"][2] = 0
    b = dataclasses.replace(refused, trades=trades, orders=orders)
    assert set(compare_runs(run_of([one, two]), b).reasons) == {"only in A: did not fill in B"}


def test_the_window_decides_what_is_one_trade() -> None:
    a, b = run_of([Made()]), run_of([Made(at=12.0)])
    assert compare_runs(a, b).matched == 1
    assert compare_runs(a, b, window_ns=MINUTE).matched == 0
    near = run_of([Made(at=10.9), Made(at=11.1, leave_at=29.0)])
    got = compare_runs(a, near)
    assert [(one.a, one.b) for one in got.pairs] == [(0, 0), (None, 1)]


def test_other_contracts_and_sides_are_other_trades() -> None:
    assert compare_runs(run_of([Made()]), run_of([Made(side=-1)])).matched == 0


def test_legs_that_fill_together_are_told_apart_by_their_contract() -> None:
    """Two contracts, the same side and times: each trade finds its own orders."""

    def legs(*trades: Made) -> RunResult:
        run = run_of(list(trades), contracts={1: "NIFTY 25000 CE", 2: "NIFTY 25000 PE"})
        run.trades["instrument"] = (1, 2)
        run.orders["instrument"] = (1, 1, 2, 2)
        return run

    one, two = Made(), Made(decision=20_000, leave_decision=21_000)
    other = dataclasses.replace(two, decision=20_300)
    got = compare_runs(legs(one, two), legs(one, other))
    assert parts(got) == {"data": -300 * 25} and adds_up(got)
    assert {one.parts["data"] for one in got.pairs} == {Fraction(0), Fraction(-7500)}


def test_days_in_common() -> None:
    days = [Made(day=0), Made(day=1, cost=99), Made(day=2)]
    a, b = run_of(days), run_of([dataclasses.replace(one, cost=25) for one in days[1:]])
    got = compare_runs(a, b, common=True)
    assert got.matched == 2 and len(got.a.trades) == 2 and adds_up(got)
    assert parts(got) == {"fill": (74 - 10) * 25}
    elsewhere = run_of([Made(day=1)])
    with pytest.raises(UsageError, match="no day in common"):
        common_days(run_of([Made()]), elsewhere)


def test_without_passages_times_decide(make_result: Callable[..., RunResult]) -> None:
    a = make_result()
    plain = dataclasses.replace(a, passages=None)
    trades = a.trades.copy()
    trades["entry_value"] += 100 * trades["side"]
    trades["gross"] -= 100
    days = a.days.copy()
    days["gross"] -= 300
    worse = dataclasses.replace(plain, trades=trades, days=days)
    got = compare_runs(plain, worse)
    assert parts(got) == {"fill": -100 * len(trades)} and adds_up(got)
    assert any("written before decisions were kept" in note for note in got.notes)


made = st.builds(
    Made,
    at=st.floats(0, 300), side=st.sampled_from([-1, 1]), qty=st.integers(1, 500),
    decision=st.integers(3_400_000, 3_600_000), delay=st.integers(-500, 500),
    cost=st.integers(-300, 300), leave_at=st.floats(301, 370),
    leave_decision=st.integers(3_400_000, 3_600_000), leave_delay=st.integers(-500, 500),
    leave_cost=st.integers(-300, 300), charges=st.integers(0, 10**12), day=st.integers(0, 2),
    quoted=st.booleans(),
    reason=st.sampled_from([Reason.STOP_LOSS, Reason.TAKE_PROFIT, Reason.EXIT_SIGNAL,
                            Reason.TIME_EXIT]),
)  # fmt: skip


@given(a=st.lists(made, max_size=8), b=st.lists(made, max_size=8), window=st.integers(0, 400))
@settings(max_examples=120, deadline=None)
def test_parts_add_up_whatever_the_runs_are(a: list[Made], b: list[Made], window: int) -> None:
    one, two = run_of(a), run_of(b)
    got = compare_runs(one, two, window_ns=window * MINUTE)
    assert adds_up(got)
    assert sorted(each.a for each in got.pairs if each.a is not None) == list(range(len(a)))
    assert sorted(each.b for each in got.pairs if each.b is not None) == list(range(len(b)))
    back = compare_runs(two, one, window_ns=window * MINUTE)
    assert adds_up(back) and back.difference == -got.difference


@given(values=st.lists(st.fractions(-1000, 1000, max_denominator=97), min_size=7, max_size=7))
def test_rounding_loses_no_paisa(values: list[Fraction]) -> None:
    sums = dict(zip(PARTS[:-1], values, strict=True))
    whole = round(sum(values, Fraction(0)))
    sums["rounding"] = whole - sum(values, Fraction(0))
    got = rounded(sums, whole)
    assert sum(got.values()) == whole
    assert all(abs(got[name] - sums[name]) < 1 for name in PARTS)
    with pytest.raises(ValueError, match="do not sum"):
        rounded(sums, whole + 1)


def test_what_a_fill_met_before_its_slippage() -> None:
    price = Fraction(3_500_505)
    assert unslipped(price, 1, {"ticks": 1, "paise": 500, "rate_e6": 0}, 5) == 3_500_000
    assert unslipped(price, -1, {"ticks": 1, "paise": 0, "rate_e6": 0}, 5) == 3_500_510
    assert unslipped(Fraction(1_000_300), 1, {"rate_e6": 300}, 5) == 1_000_000
    assert unslipped(price, 1, {"ticks": 1}, None) is None
    assert unslipped(price, 1, {"paise": 1, "sessions": 20, "measured": {"days": 3}}, 5) is None
    assert unslipped(price, 1, None, 5) is None


# ---- real runs -----------------------------------------------------------------------------------


@cache
def on_bars(**changed: Any) -> RunResult:
    bars = generated_bars("BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 25), seed=5)
    slip = Slippage.parse(changed.pop("slippage", "1tick"))
    chosen = Settings(capital=10**9, slippage=slip, **changed)
    return dhanfast.backtest("momentum", bars, settings=chosen)


@cache
def on_ticks(latency_ns: int = 0, slippage: str = "1tick") -> RunResult:
    ticks = generate_ticks("BANKNIFTY", dt.date(2022, 2, 25), dt.date(2022, 3, 3), seed=5,
                           interval="5s", instrument="FUT")  # fmt: skip
    chosen = Settings(capital=10**9, latency_ns=latency_ns, slippage=Slippage.parse(slippage))
    return backtest_ticks("momentum", list(ticks), symbol="BANKNIFTY", generated=True,
                          settings=chosen)  # fmt: skip


def test_a_run_against_itself_has_no_difference() -> None:
    got = compare_runs(on_bars(), on_bars())
    assert got.difference == 0 and not any(got.totals.values())
    assert got.matched == len(on_bars().trades) > 50 and not got.settings


def test_slippage_alone_is_fill_and_what_follows_from_it() -> None:
    got = compare_runs(on_bars(), on_bars(slippage="5pts"))
    assert adds_up(got) and got.difference < 0
    assert got.totals["data"] == got.totals["latency"] == got.totals["size"] == 0
    same_path = [one for one in got.pairs if one.a is not None and one.b is not None and
                 got.a.trades[one.a]["exit_reason"] == got.b.trades[one.b]["exit_reason"] and
                 "apart" not in one.why]  # fmt: skip
    assert len(same_path) > 30
    for one in same_path:  # entries pay 4.95 points more a unit; stops give that back, and pay it
        assert one.a is not None and one.b is not None
        qty = int(got.b.trades[one.b]["qty"])
        assert abs(one.parts["signal"]) <= 10 * qty
    assert ("slippage.paise", "0", "500") in got.settings


def test_latency_on_bars_is_latency() -> None:
    got = compare_runs(on_bars(), on_bars(latency_ns=61 * 10**9))
    assert adds_up(got) and got.totals["latency"] != 0
    assert abs(got.totals["latency"]) > abs(got.totals["fill"])
    assert got.totals["data"] == got.totals["size"] == 0


def test_lots_are_size_and_charges() -> None:
    got = compare_runs(on_bars(), on_bars(lots=2))
    assert adds_up(got) and got.matched == len(got.a.trades) == len(got.b.trades)
    assert set(parts(got)) == {"size", "charge"}
    assert got.totals["size"] == int(got.a.trades["gross"].sum())


def test_an_earlier_end_of_entries_is_missing_trades() -> None:
    got = compare_runs(on_bars(), on_bars(entry_until=dt.time(12, 0)))
    assert adds_up(got) and set(parts(got)) == {"missing"}
    assert set(got.reasons) == {"only in A: no order in B"}


def test_replayed_ticks_with_latency_against_the_backtest() -> None:
    got = compare_runs(on_ticks(), on_ticks(latency_ns=7 * 10**9))
    assert adds_up(got) and got.matched > 10 and got.totals["latency"] != 0
    slipped = compare_runs(on_ticks(), on_ticks(slippage="4pts"))
    assert adds_up(slipped) and slipped.totals["latency"] == 0 and slipped.totals["fill"] < 0


def test_bars_against_ticks_of_the_same_days_add_up() -> None:
    got = compare_runs(on_bars(), on_ticks(), common=True)
    assert adds_up(got) and got.same_data is not True


# ---- how it is told ------------------------------------------------------------------------------


def test_text_fits_80_columns_and_says_all() -> None:
    got = compare_runs(on_bars(), on_bars(slippage="5pts", latency_ns=61 * 10**9))
    text = comparison_text(got)
    assert max(len(line) for line in text.splitlines()) <= 80
    for words in ("B less A", "together", "latency_ns", "TRADES OF ONE RUN ALONE", "mostly"):
        assert words in text
    assert "! The market data is generated" in text or "GENERATED" in text
    assert comparison_text(got, trades_max=0).count("\n") < text.count("\n")


def test_csv_and_json_hold_every_trade() -> None:
    got = compare_runs(on_bars(), on_bars(slippage="5pts"))
    stream = io.StringIO()
    write_csv(got, stream)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert len(rows) == len(got.pairs)
    for row, one in zip(rows, got.pairs, strict=True):
        shown = sum(float(row[name]) for name in PARTS[:-1])
        assert shown == pytest.approx(float(row["difference"]), abs=5e-4)
        assert float(row["difference"]) == pytest.approx(float(one.total) / 100, abs=5e-5)
    told = json.loads(json.dumps(comparison_dict(got)))
    assert sum(told["parts_paise"].values()) == told["difference_paise"] == got.difference
    assert len(told["trades"]) == len(got.pairs) and told["matched"] == got.matched


def test_refusals() -> None:
    a = run_of([Made()])
    with pytest.raises(UsageError, match="A is of BANKNIFTY and B of NIFTY"):
        compare_runs(a, dataclasses.replace(a, symbol="NIFTY"))
    with pytest.raises(UsageError, match="window must not be negative"):
        compare_runs(a, a, window_ns=-1)


def test_the_tick_is_told_by_the_prices_of_the_orders() -> None:
    assert tick_of(on_bars()) == 5
    assert tick_of(run_of([])) is None
