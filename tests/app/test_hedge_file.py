"""[hedge] of a legs file: every key understood, every mistake named; what a run says of it."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from dhanfast._core.chainday import StrikeRule
from dhanfast._core.hedge import HedgeTo
from dhanfast.app.cli import cli
from dhanfast.app.legs_file import plan_of, read_plan
from dhanfast.engine.hedge_settings import Cost, Delta, HedgePlan
from dhanfast.errors import ConfigError
from tests.engine.test_hedging import straddle_file

LEGS = {"underlying": "NIFTY", "leg": [{"side": "sell", "right": "CE", "strike": "atm", "lots": 3},
                                       {"side": "sell", "right": "PE", "strike": "atm",
                                        "lots": 2}]}  # fmt: skip
WHOLE = """
underlying = "NIFTY"
[hedge]
instrument = "future"
band = "0.5 lots"
interval = "15m"
risk_aversion = 1e-6
cost = "0.02%"
target = "-10 units"
to = "edge"
hysteresis = 0.5
pause = "2m"
hedges_max = 12
lots_max = 4
from = "09:45"
until = "15:00"
dry_run = true
[[leg]]
side = "sell"
right = "CE"
strike = "atm"
"""


def hedge_of(**table: Any) -> HedgePlan:
    found = plan_of(LEGS | {"hedge": table}).hedge
    assert found is not None
    return found


def test_every_key_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(WHOLE)
    plan = read_plan(path)
    assert plan.hedge == HedgePlan(
        instrument="future",
        band=Delta(0.5, lots=True),
        interval_ns=900 * 10**9,
        risk_aversion=1e-6,
        cost=Cost(rate=0.0002),
        target=Delta(-10.0),
        to="edge",
        hysteresis=0.5,
        pause_ns=120 * 10**9,
        hedges_max=12,
        lots_max=4,
        start=dt.time(9, 45),
        end=dt.time(15, 0),
        dry_run=True,
    )
    native = plan.hedge.native(1)
    assert (native["band"], native["band_lots"], native["target"]) == (0.0, 0.5, -10.0)
    assert (native["to"], native["dry"], native["lots_max"]) == (HedgeTo.EDGE, 1, 4)


def test_what_is_not_said_is_stated(tmp_path: Path) -> None:
    hedge = hedge_of(band=20)
    assert hedge == HedgePlan(band=Delta(20.0))
    assert hedge.native(5)["lots_max"] == 5  # as many as the legs have together
    assert (hedge.to, hedge.hysteresis, hedge.pause_ns) == ("centre", 0.25, 30 * 10**9)
    assert plan_of(LEGS).hedge is None


def test_an_option_is_chosen_by_a_rule_that_both_rights_have() -> None:
    hedge = hedge_of(band="1 lot", instrument="option", strike="otm2", expiry="next")
    assert hedge.strike is not None
    assert (hedge.strike.rule, hedge.strike.amount) == (StrikeRule.STEPS, 2.0)
    plan = plan_of(LEGS | {"hedge": {"band": 5, "instrument": "option", "strike": "0.3d",
                                     "expiry": "monthly"}})  # fmt: skip
    assert plan.expiries == ("nearest", "monthly")
    assert plan_of(LEGS | {"hedge": {"band": 5}}).expiries == ("nearest",)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, "there is no rule: give band, interval or risk_aversion"),
        ({"bands": 5}, "bands.*band"),
        ({"band": "5 delta"}, "band: '5 delta' is not an amount of delta"),
        ({"band": -5}, r"hedge\.band must be in 0"),
        ({"band": True}, "band: True is not an amount"),
        ({"instrument": "futures", "band": 5}, "instrument.*futures.*future"),
        ({"instrument": "option", "band": 5}, r"hedge\.strike: an option needs one"),
        ({"band": 5, "strike": "atm"}, r"hedge\.strike: .* a future has none"),
        ({"instrument": "option", "band": 5, "strike": "25000"}, "calls and puts take turns"),
        ({"instrument": "option", "band": 5, "strike": "atm+1"}, "calls and puts take turns"),
        ({"instrument": "option", "band": 5, "strike": "+1%"}, "calls and puts take turns"),
        (
            {"instrument": "option", "band": 5, "strike": "atm", "target": "1 lot"},
            r"hedge\.target: .* write units",
        ),
        ({"band": 5, "to": "middle"}, "to.*middle.*centre"),
        ({"risk_aversion": 1e-6}, r"hedge\.cost: a cost-aware band needs"),
        ({"band": 5, "cost": "1pts"}, "only the cost-aware band uses it"),
        ({"risk_aversion": 1e-6, "cost": "free"}, "cost: 'free' is not understood"),
        ({"band": 5, "interval": "soon"}, "interval: 'soon' is not a duration"),
        ({"band": 5, "pause": "2d"}, r"hedge\.pause_ns must be in"),
        ({"band": 5, "hedges_max": 0}, r"hedge\.hedges_max must be in 1"),
        ({"band": 5, "lots_max": 0}, "lots_max must be 1 or more"),
        ({"band": 5, "hysteresis": "much"}, "hysteresis: 'much' must be a number"),
        ({"band": 5, "from": "15:00", "until": "10:00"}, r"hedge\.until: 10:00:00 must come after"),
        ({"band": 5, "dry_run": "yes"}, "dry_run: 'yes' must be true or false"),
    ],
)
def test_a_mistake_names_key_value_and_remedy(table: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        hedge_of(**table)


def test_a_stock_is_hedged_with_its_options_only() -> None:
    stock = LEGS | {"underlying": "RELIANCE", "lot": 500}
    with pytest.raises(ConfigError, match=r"hedge\.instrument: RELIANCE is a stock"):
        plan_of(stock | {"hedge": {"band": 5}})
    table = {"band": 5, "instrument": "option", "strike": "atm"}
    assert plan_of(stock | {"hedge": table}).hedge is not None


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, [*words], catch_exceptions=False)


def test_a_run_keeps_and_reports_every_decision(tmp_path: Path) -> None:
    data, legs = straddle_file(tmp_path)
    place = tmp_path / "run"
    made = run("backtest", "--legs", str(legs), "--data", str(data), "--json",
               "--export", str(place))  # fmt: skip
    assert made.exit_code == 0, made.output
    told = json.loads(made.stdout)["hedge"]
    assert told["dealt"] > 0
    shown = run("report", "hedge", str(place), "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    rows = found.pop("rows")
    assert found == {"source": str(place), **told}
    assert len(rows) == told["decisions"]
    assert sum(abs(row["units"]) for row in rows) == told["units"]
    assert {row["contract"] for row in rows} == {"BANKNIFTY 2026-01-27 FUT"}
    for row in rows:
        if row["outcome"] == "sent" and row["before"] is not None:
            assert row["after"] == pytest.approx(row["before"] + row["units"])
    text = run("report", "hedge", str(place))
    assert "HEDGE DECISIONS" in text.output
    assert text.output.count("01-22 ") == len(rows)
    dry = run("backtest", "--legs", str(legs), "--data", str(data), "--set", "dry=true")
    assert "HEDGE (dry run: nothing was sent)" in dry.output
    assert "would be sent" in dry.output


def test_a_run_without_a_hedge_has_nothing_to_report(tmp_path: Path) -> None:
    data, legs = straddle_file(tmp_path)
    text = legs.read_text()
    plain = tmp_path / "plain.toml"
    head, rest = text.split("[hedge]")
    plain.write_text(head.split("[parameter")[0] + "[[leg]]" + rest.split("[[leg]]", 1)[1])
    place = tmp_path / "run"
    made = run("backtest", "--legs", str(plain), "--data", str(data), "--export", str(place))
    assert made.exit_code == 0, made.output
    assert not (place / "hedges.parquet").exists()
    shown = CliRunner().invoke(cli, ["report", "hedge", str(place)])
    assert shown.exit_code != 0
    assert "the run had no hedge" in shown.output


def test_rows_are_read_back_to_the_bit(tmp_path: Path) -> None:
    from dhanfast.reports.rundir import read_run, write_run
    from tests.engine.test_hedging import hedged_result

    result = hedged_result(tmp_path)
    back = read_run(write_run(result, tmp_path / "run"))
    assert result.hedges is not None
    assert back.hedges is not None
    for name in result.hedges.dtype.names or ():
        np.testing.assert_array_equal(back.hedges[name], result.hedges[name])
