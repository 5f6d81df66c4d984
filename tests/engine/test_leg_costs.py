"""What fills of options cost: by contract, with the strike's distance, apart from a future's."""

from dataclasses import replace
from pathlib import Path

import pytest

from dhanfast.app.legs_file import plan_of
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.measured import measured_slippage, session_of, store_day
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import ConfigError
from dhanfast.reports import slippage
from dhanfast.reports.result import RunResult
from dhanfast.storage.slippage import SlippageStore
from tests.engine.test_legs import CREDIT, recorded


@pytest.fixture
def result(tmp_path: Path) -> RunResult:
    """Decided at 58,744.30: sold 59100 CE at 72.30, filled at 76.00 less a tick; bought 59200 CE at
    52.35, filled at 55.35 and a tick."""
    return backtest_legs(
        plan_of(CREDIT), recorded(tmp_path), Settings(slippage=Slippage(paise=5))
    )  # fmt: skip


def test_each_order_has_the_distance_of_its_own_strike(result: RunResult) -> None:
    """(59,100 - 58,744.3) / 58,744.3 = 0.605 %, (59,200 - 58,744.3) / 58,744.3 = 0.776 %.

    Sold 3.65 above the decision, a gain; bought 3.05 above it, a cost.
    """
    costs = slippage.run_costs(result)
    assert costs is not None and costs.options
    rows = {int(row["side"]): row for row in costs.rows}
    assert (int(rows[-1]["strike"]), int(rows[1]["strike"])) == (61, 78)
    points = dict(zip(costs.rows["side"].tolist(), slippage.points_of(costs.rows), strict=True))
    assert points == {-1: pytest.approx(-3.65), 1: pytest.approx(3.05)}
    assert sorted(costs.rows["id"].tolist()) == costs.rows["id"].tolist()


def test_a_day_is_stored_contract_by_contract_and_again_in_its_place(
    result: RunResult, tmp_path: Path
) -> None:
    store = SlippageStore(tmp_path / "slippage.sqlite")
    session = session_of(result, date=20260127, run="main", mode="paper", tag="T")
    assert store_day(store, result, session) == store_day(store, result, session) == 2
    found = store.sessions(date=20260127)
    assert [one.traded for one in found] == [
        "BANKNIFTY 2026-01-27 59100 CE", "BANKNIFTY 2026-01-27 59200 CE",
    ]  # fmt: skip
    assert {one.symbol for one in found} == {"BANKNIFTY options"}
    parts = [
        slippage.costs_of(*store.rows(one.source), strategy=one.strategy, symbol=one.symbol,
                          traded=one.traded)
        for one in found
    ]  # fmt: skip
    whole = slippage.joined(parts)
    mine = slippage.run_costs(result)
    assert mine is not None
    for name in ("id", "strike", "total2", "filled"):
        assert sorted(whole.rows[name].tolist()) == sorted(mine.rows[name].tolist())


def test_a_future_is_not_measured_by_fills_of_options(result: RunResult, tmp_path: Path) -> None:
    """They used to be stored under the future's name."""
    store = SlippageStore(tmp_path / "slippage.sqlite")
    for day in range(20):
        session = session_of(result, date=20260101 + day, run="main", mode="live", tag="T")
        store_day(store, result, session)
    with pytest.raises(ConfigError, match="BANKNIFTY has 0 of live days"):
        measured_slippage(store, "BANKNIFTY", 20, generated=False, ticks=False)
    measured_slippage(store, "BANKNIFTY options", 20, generated=False, ticks=False)


def test_a_structure_does_not_run_on_a_measured_median(tmp_path: Path) -> None:
    given = replace(Settings(), slippage=Slippage.parse("measured"))
    with pytest.raises(ConfigError, match="depends on strike and premium"):
        backtest_legs(plan_of(CREDIT), recorded(tmp_path), given)
