"""What orders cost: the page's examples, laws of any orders, and old runs that do not know it."""

import csv
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dhanfast._core.runlog import ORDER_ROW_DTYPE, PASSAGE_DTYPE
from dhanfast._core.types import OrderFlag, OrderKind, Reason
from dhanfast.errors import UsageError
from dhanfast.reports import slippage
from dhanfast.reports.day import day_text
from dhanfast.reports.html import report_page
from dhanfast.reports.result import RunResult
from dhanfast.reports.rundir import read_run, read_summary, write_run
from dhanfast.reports.slippage import Costs, Slip
from dhanfast.reports.summary import summary
from dhanfast.reports.terminal import summary_text

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "slippage.md"
OLD = ROOT / "tests" / "fixtures" / "runs" / "before-passages.zip"
FLAGS = {"entry": 0, "exit": OrderFlag.EXIT, "stop": OrderFlag.EXIT | OrderFlag.STOP,
         "target": OrderFlag.EXIT | OrderFlag.TARGET}  # fmt: skip
KINDS = {"stop": OrderKind.SLM, "target": OrderKind.LIMIT}


def table_of(head: str) -> list[dict[str, str]]:
    """The rows of the page's table whose first column is called so."""
    lines = PAGE.read_text().splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith(f"| {head} |"))
    names = [cell.strip() for cell in lines[begin].strip("|").split("|")]
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows.append(dict(zip(names, cells, strict=True)))
    return rows


def paise(text: str) -> int:
    return round(float(text) * 100)


def examples() -> tuple[list[dict[str, str]], Any, Any]:
    """The page's orders as rows of the run log."""
    told = table_of("order")
    orders, passages = np.zeros(len(told), ORDER_ROW_DTYPE), np.zeros(len(told), PASSAGE_DTYPE)
    for at, row in enumerate(told):
        order, passage = orders[at], passages[at]
        order["id"] = passage["id"] = at + 1
        order["side"] = 1 if row["side"] == "buy" else -1
        order["qty"], order["filled"] = int(row["units"]), int(row["filled"])
        order["value"] = paise(row["value"])
        order["flags"] = int(FLAGS[row["order"]])
        order["kind"] = int(KINDS.get(row["order"], OrderKind.MARKET))
        passage["sent_ns"] = passage["decided_ns"] = 1_767_600_000_000_000_000
        for name, column in (("decision", "decision"), ("bid", "bid"), ("ask", "ask"),
                             ("end_mark", "end mark")):  # fmt: skip
            passage[name] = paise(row[column])
    return told, orders, passages


def costs_of(orders: Any, passages: Any, traded: str = "NIFTY FUT") -> Costs:
    return slippage.costs_of(orders, passages, strategy="mine", symbol="NIFTY", traded=traded)


# ---- the page's examples -------------------------------------------------------------------------


def test_each_worked_example_is_what_comes_out() -> None:
    told, orders, passages = examples()
    assert len(told) == 6
    costs = costs_of(orders, passages)
    for row, cost in zip(told, costs.rows, strict=True):
        assert cost["total2"] / 200 == float(row["total"])
        assert cost["delay2"] / 200 == float(row["delay"])
        assert cost["execution2"] / 200 == float(row["execution"])
        assert cost["opportunity"] / 100 == float(row["opportunity"])
        slip = slippage.measure(costs, costs.rows[costs.rows["id"] == cost["id"]])
        assert slip.weighted is not None and f"{slip.weighted:.4f}" == row["points"]
        assert slip.bps is not None and f"{slip.bps:.4f}" == row["bps"]


def test_all_worked_examples_together_are_what_comes_out() -> None:
    _, orders, passages = examples()
    whole = slippage.measure(costs_of(orders, passages))
    for row in table_of("of all"):
        got = getattr(whole, row["of all"])
        if row["of all"] in ("total", "delay", "execution", "opportunity"):
            assert got / 100 == float(row["figure"])
        else:
            assert got == pytest.approx(float(row["figure"]), abs=5e-5)
    assert (whole.arrived, whole.unfilled, whole.unfilled_units) == (4, 1, 75)


@pytest.mark.parametrize(("quotes", "column"), [(False, "on bars"), (True, "on quotes")])
def test_what_a_simulation_must_lose_is_what_the_page_says(quotes: bool, column: str) -> None:
    told, orders, passages = examples()
    market, stops = slippage.model_points(orders, passages, quotes=quotes)
    want = {name: [float(row[column]) for row in told if row["order"] in names]
            for name, names in (("market", ("entry", "exit")), ("stops", ("stop",)))}  # fmt: skip
    assert np.round(market, 4).tolist() == want["market"]
    assert np.round(stops, 4).tolist() == want["stops"]


# ---- laws ----------------------------------------------------------------------------------------

price = st.integers(100, 10**7)


@st.composite
def some_orders(draw: st.DrawFn) -> tuple[Any, Any]:
    """Any orders: filled or not, entries and exits, with and without a market at arrival."""
    count = draw(st.integers(0, 12))
    orders, passages = np.zeros(count, ORDER_ROW_DTYPE), np.zeros(count, PASSAGE_DTYPE)
    for at in range(count):
        qty = draw(st.integers(1, 2_000))
        filled = draw(st.sampled_from([0, qty, qty // 2]))
        orders[at]["id"] = passages[at]["id"] = at + 1
        orders[at]["qty"], orders[at]["filled"] = qty, filled
        orders[at]["side"] = draw(st.sampled_from([1, -1]))
        orders[at]["value"] = draw(price) * filled + draw(st.integers(0, 100)) * (filled > 0)
        orders[at]["kind"] = draw(st.integers(0, 3))
        orders[at]["reason"] = draw(st.integers(0, 9))
        orders[at]["flags"] = int(draw(st.sampled_from(list(FLAGS.values()))))
        passages[at]["sent_ns"] = draw(st.sampled_from([0, 1]))
        passages[at]["decided_ns"] = draw(st.integers(1, 10**18))
        passages[at]["decision"] = draw(st.one_of(st.just(0), price))
        passages[at]["end_mark"] = draw(st.one_of(st.just(0), price))
        passages[at]["signal"] = draw(st.one_of(st.just(0), price))
        bid = draw(st.one_of(st.just(0), price))
        passages[at]["bid"], passages[at]["ask"] = bid, bid + draw(st.integers(-3, 500))
        passages[at]["route"] = draw(st.integers(0, 3))
    return orders, passages


def plain(orders: Any, passages: Any) -> list[tuple[float, float, float]]:
    """(total, delay, execution) in paise of each order that filled and has a decision."""
    found = []
    for order, way in zip(orders.tolist(), passages.tolist(), strict=True):
        o = dict(zip(ORDER_ROW_DTYPE.names or (), order, strict=True))
        p = dict(zip(PASSAGE_DTYPE.names or (), way, strict=True))
        if not o["filled"] or not p["decision"]:
            continue
        total = o["side"] * (o["value"] - p["decision"] * o["filled"])
        if p["bid"] > 0 and p["ask"] >= p["bid"]:
            mid = (p["bid"] + p["ask"]) / 2
            delay = o["side"] * (mid - p["decision"]) * o["filled"]
            found.append((total, delay, o["side"] * (o["value"] - mid * o["filled"])))
        else:
            found.append((total, 0, total))
    return found


@settings(max_examples=150, deadline=None)
@given(made=some_orders())
def test_delay_and_execution_are_the_total_and_equal_a_plain_model(made: Any) -> None:
    orders, passages = made
    costs = costs_of(orders, passages)
    rows = costs.rows
    assert (rows["delay2"] + rows["execution2"] == rows["total2"]).all()
    got = [(int(r["total2"]) / 2, int(r["delay2"]) / 2, int(r["execution2"]) / 2)
           for r in costs.measured]  # fmt: skip
    assert got == plain(orders, passages)


@settings(max_examples=100, deadline=None)
@given(made=some_orders())
def test_the_groups_of_any_dimension_add_up_to_all(made: Any) -> None:
    orders, passages = made
    costs = costs_of(orders, passages, "NIFTY-Jul2026-25000-CE")
    whole = slippage.measure(costs)
    sums = ("orders", "units", "arrived", "total", "delay", "execution", "unfilled",
            "unfilled_units", "opportunity")  # fmt: skip
    for name in slippage.DIMENSIONS:
        groups = slippage.by(costs, name)
        for field in sums:
            assert sum(getattr(one, field) for one in groups) == getattr(whole, field), name
        assert len({one.name for one in groups}) == len(groups)


@settings(max_examples=60, deadline=None)
@given(first=some_orders(), second=some_orders())
def test_two_runs_joined_are_both(first: Any, second: Any) -> None:
    one = slippage.costs_of(*first, strategy="a", symbol="NIFTY")
    other = slippage.costs_of(*second, strategy="b", symbol="BANKNIFTY")
    both = slippage.joined([one, other])
    by_strategy = {slip.name: slip for slip in slippage.by(both, "strategy")}
    for name, costs in (("a", one), ("b", other)):
        if len(costs.rows):
            assert by_strategy[name] == slippage.measure(costs, name=name)
    assert (
        slippage.measure(both).total == slippage.measure(one).total + slippage.measure(other).total
    )


# ---- names and refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("traded", "strike"),
    [("NIFTY-Jul2026-25000-CE", (2_500_000, 1)), ("NIFTY 24950.50 PE", (2_495_050, -1)),
     ("BANKNIFTY FUT", None), ("NIFTY-Jul2026-FUT", None), ("PRICE", None)],
)  # fmt: skip
def test_strikes_are_read_from_names_of_options_only(traded: str, strike: Any) -> None:
    assert slippage.strike_of(traded) == strike


@pytest.mark.parametrize(
    ("traded", "level", "name"),
    [("N 25000 CE", 25_000, "at the money"), ("N 25000 CE", 24_800, "out, 0.5 to 1 %"),
     ("N 25000 CE", 24_000, "out, over 2 %"), ("N 25000 PE", 24_000, "in, over 2 %"),
     ("N 25000 PE", 25_300, "out, 1 to 2 %"), ("N 25000 CE", 25_200, "in, 0.5 to 1 %"),
     ("N 25000 CE", 0, "unknown")],
)  # fmt: skip
def test_the_distance_of_a_strike_counts_from_the_money(traded: str, level: int, name: str) -> None:
    _, orders, passages = examples()
    passages["signal"] = level * 100
    assert [slip.name for slip in slippage.by(costs_of(orders, passages, traded), "strike")] == [
        name
    ]


def test_futures_have_no_strike() -> None:
    _, orders, passages = examples()
    costs = costs_of(orders, passages)
    with pytest.raises(UsageError, match="NIFTY was traded in futures, which have no strike"):
        slippage.by(costs, "strike")
    assert not {"strike", "date"} & set(slippage.tables(costs))


@pytest.mark.parametrize("text", ["hours", "hour,nothing", "", " , "])
def test_a_dimension_that_is_none_is_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(UsageError, match=r"choose from strategy, symbol, date, hour, strike"):
        slippage.dimensions(text)


def test_orders_and_passages_of_different_runs_are_refused() -> None:
    _, orders, passages = examples()
    with pytest.raises(ValueError, match="are not of the same orders"):
        costs_of(orders, passages[:-1])
    passages["id"][2] = 99
    with pytest.raises(ValueError, match="are not of the same orders"):
        costs_of(orders, passages)


def test_nothing_filled_is_no_figure_and_not_zero() -> None:
    _, orders, passages = examples()
    orders["filled"] = orders["value"] = 0
    whole = slippage.measure(costs_of(orders, passages))
    assert whole == Slip("all", 0, 0, 0, None, None, None, None, None, 0, 0, 0,
                         whole.unfilled, whole.unfilled_units, whole.opportunity)  # fmt: skip
    assert whole.unfilled == 3 and whole.unfilled_units == 375
    json.dumps(slippage.summary_of(costs_of(orders, passages)), allow_nan=False)


# ---- where it is shown ---------------------------------------------------------------------------


def test_every_report_shows_the_same_total(result: RunResult, tmp_path: Path) -> None:
    """360 orders of 20 paise a unit, by the fixture."""
    costs = slippage.run_costs(result)
    assert costs is not None
    whole = slippage.measure(costs)
    units = int(result.orders["filled"].sum())
    assert whole.orders == 360 and whole.total == 20 * units and whole.median == 0.20
    assert whole.total == whole.delay + whole.execution
    shown = f"{units * 20 / 100:,.2f}"
    assert summary(result)["slippage"]["all"]["total_rupees"] == units * 20 / 100
    lines = summary_text(result).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("SLIPPAGE (against"))
    assert lines[at + 2].split()[:3] == ["all", "360", shown]
    assert any(line.startswith("SLIPPAGE BY REASON") for line in lines)
    page = report_page(result).split('<section id="slippage">')[1].split("</section>")[0]
    assert f"₹{shown}" in page.split("<tfoot>")[1] and "By hour" in page
    assert "SLIPPAGE BY REASON" in day_text(result)
    with open(write_run(result, tmp_path / "run") / "slippage.csv", newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == 360 and {row["points"] for row in listed} == {"0.2"}
    assert sum(float(row["total_rupees"]) for row in listed) == pytest.approx(units / 5)


def test_reasons_and_types_have_their_names(result: RunResult) -> None:
    assert result.passages is not None
    costs = slippage.run_costs(result)
    assert costs is not None
    assert [slip.name for slip in slippage.by(costs, "type")] == ["market"]
    assert [slip.name for slip in slippage.by(costs, "reason")] == [Reason.SIGNAL.name.lower()]
    assert [slip.name for slip in slippage.by(costs, "route")] == ["unrouted"]
    assert {slip.name for slip in slippage.by(costs, "side")} == {"buy", "sell"}


# ---- runs that were written before ---------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A run directory as it was written before decisions were kept."""
    with zipfile.ZipFile(OLD) as packed:
        packed.extractall(tmp_path / "old")
    return tmp_path / "old"


def test_a_run_that_was_written_before_is_read_and_says_that_it_does_not_know(old: Path) -> None:
    assert not (old / "passages.parquet").exists()
    result = read_run(old)
    assert len(result.orders) == 133 and len(result.trades) == 44 and result.passages is None
    assert slippage.run_costs(result) is None and summary(result)["slippage"] is None
    assert "SLIPPAGE (" not in summary_text(result)
    assert 'id="slippage"' not in report_page(result)
    assert "SLIPPAGE" not in day_text(result)


def test_its_digest_is_what_the_same_run_gives_today(old: Path, tmp_path: Path) -> None:
    import datetime as dt

    import dhanfast
    from dhanfast.engine.generated import generated_bars

    bars = generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 3), seed=7)
    today = dhanfast.backtest("momentum", bars)
    before = read_run(old)
    assert today.digest == before.digest == read_summary(old)["digest"]
    assert today.orders.tobytes() == before.orders.tobytes()
    assert today.passages is not None and len(today.passages) == 133
    again = read_run(write_run(today, tmp_path / "new"))
    assert again.passages is not None and again.passages.tobytes() == today.passages.tobytes()


def test_an_old_run_is_written_again_as_it_was(old: Path, tmp_path: Path) -> None:
    again = write_run(read_run(old), tmp_path / "again")
    names = sorted(path.name for path in again.iterdir())
    assert names == sorted(path.name for path in old.iterdir())
    assert read_run(again).passages is None


def test_a_run_of_no_orders_has_an_empty_csv(
    make_result: Callable[..., RunResult], tmp_path: Path
) -> None:
    idle = make_result(trades_a_day=0)
    assert idle.passages is not None
    empty = replace(idle, orders=idle.orders[:0], passages=idle.passages[:0])
    lines = (write_run(empty, tmp_path / "run") / "slippage.csv").read_text().splitlines()
    assert len(lines) == 1 and lines[0].startswith('"id","strategy"')
    assert "SLIPPAGE (" not in summary_text(empty)
