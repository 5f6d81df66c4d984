"""Legs files: every key understood, every mistake named; the command that runs them."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dhanfast._core.chainday import StrikeRule
from dhanfast._core.legrun import PlanUnit
from dhanfast._core.legs import LegUnit
from dhanfast.app.cli import cli
from dhanfast.app.legs_file import plan_of, read_plan
from dhanfast.engine.leg_settings import Amount, Reentry, Strike, Whole
from dhanfast.errors import ConfigError
from tests.engine.test_legs import CREDIT, chain_file, ns

LEG = {"side": "sell", "right": "CE", "strike": "atm"}
WHOLE = """
name = "strangle"
underlying = "NIFTY"
entry = "09:30"
late = "2m"
exit = "15:10"
weekdays = ["Mon", "THU"]
dte = [0, 1]
stop = "5,000"
target = "40%"
move_to_cost = true

[[leg]]
side = "sell"
right = "pe"
strike = "otm3"
expiry = "next"
lots = 2
stop = "30%"
target = "50pts"
trail = { every = "10pts", step = "5pts" }
wait = "-5%"
after_stop = { again = "cost", times = 2 }
after_target = { again = "asap" }
"""


def test_every_key_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "strangle.toml"
    path.write_text(WHOLE)
    plan = read_plan(path)
    assert (plan.name, plan.underlying, plan.entry, plan.until, plan.exit) == (
        "strangle",
        "NIFTY",
        dt.time(9, 30),
        dt.time(9, 32),
        dt.time(15, 10),
    )
    assert (plan.weekdays, plan.dte, plan.move_to_cost) == (("MON", "THU"), (0, 1), True)
    assert plan.stop == Whole(5000.0, PlanUnit.RUPEES)
    assert plan.target == Whole(40.0, PlanUnit.PREMIUM)
    leg = plan.legs[0]
    assert leg.strike == Strike("otm3", StrikeRule.STEPS, -3.0)
    assert (leg.expiry, leg.lots, leg.right) == ("next", 2, "PE")
    assert leg.stop == Amount(30.0, LegUnit.PERCENT) and leg.target == Amount(50.0, LegUnit.POINTS)
    assert leg.trail == (Amount(10.0, LegUnit.POINTS), Amount(5.0, LegUnit.POINTS))
    assert leg.wait == Amount(-5.0, LegUnit.PERCENT)
    assert (leg.after_stop, leg.after_target) == (Reentry("cost", 2), Reentry("asap", 1))


@pytest.mark.parametrize(
    ("text", "right", "rule", "amount", "bound"),
    [
        ("atm", "CE", StrikeRule.STEPS, 0, 0),
        ("ATM+2", "PE", StrikeRule.STEPS, 2, 0),
        ("atm-1", "CE", StrikeRule.STEPS, -1, 0),
        ("otm2", "CE", StrikeRule.STEPS, 2, 0),
        ("otm2", "PE", StrikeRule.STEPS, -2, 0),
        ("itm1", "CE", StrikeRule.STEPS, -1, 0),
        ("0.25d", "CE", StrikeRule.DELTA, 0.25, 0),
        ("100rs", "CE", StrikeRule.PREMIUM, 100, 0),
        (">=80.5rs", "CE", StrikeRule.PREMIUM, 80.5, 1),
        ("<=80rs", "CE", StrikeRule.PREMIUM, 80, 2),
        ("-1.5%", "PE", StrikeRule.PERCENT, -1.5, 0),
        ("+1w", "CE", StrikeRule.STRADDLE, 1, 0),
        ("52000", "CE", StrikeRule.EXACT, 52_000, 0),
    ],
)
def test_strikes_by_their_words(
    text: str, right: str, rule: StrikeRule, amount: float, bound: int
) -> None:
    assert Strike.parse(text, right, "strike") == Strike(text, rule, float(amount), bound)


def with_leg(**more: Any) -> dict[str, Any]:
    return {"underlying": "NIFTY", "leg": [LEG | more]}


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        ({}, "leg: there is none"),
        ({"leg": [LEG]}, "underlying: is missing"),
        ({"underlying": "NIFTY", "exits": "15:00", "leg": [LEG]}, "did you mean exit"),
        (with_leg(stops="30%"), "leg 1: no key is called 'stops'; did you mean stop"),
        (with_leg(strike="money"), "leg 1: strike: 'money' names no strike; write atm, atm"),
        (with_leg(strike="otm"), "write otm1"),
        (with_leg(side="hold"), "leg 1: no side is called 'hold'"),
        (with_leg(right="CALL"), "leg 1: no right is called 'CALL'"),
        (with_leg(expiry="weekly"), "leg 1: no expiry is called 'weekly'"),
        (with_leg(lots=0), "leg 1: lots must be in 1..10000, was 0"),
        (with_leg(lots="2"), "lots: '2' must be a whole number"),
        (with_leg(stop="30"), "stop: '30' is not understood; write for example 20pts or 30%"),
        (with_leg(stop="-3%"), "must be above 0"),
        (with_leg(target="100%"), "leg 1: target of 100% lies at or below a premium of 0"),
        (with_leg(side="buy", stop="120%"), "leg 1: stop of 120% lies at or below"),
        (with_leg(wait="5%"), r"wait: '5%' is not understood; write for example \+10% or -5pts"),
        (with_leg(wait="-100%"), "never comes"),
        (with_leg(trail={"every": "10pts", "step": "5pts"}), "trail needs a stop"),
        (with_leg(stop="9pts", trail={"every": "10pts"}), "trail: write both"),
        (with_leg(stop="9pts", trail={"every": "10pts", "step": "5%"}), "must both be points"),
        (with_leg(after_stop={"again": "cost"}), "after_stop needs a stop"),
        (with_leg(stop="9pts", after_stop={"again": "later"}), "after_stop.how is called 'later'"),
        (with_leg(stop="9pts", after_stop={"times": 21}), "after_stop.times must be in 0..20"),
        (with_leg(when="long"), "needs signals"),
        (with_leg() | {"leg": [LEG] * 11}, "1 to 10 legs, this one 11"),
        (with_leg() | {"hold": "week"}, "no hold is called 'week'"),
        (with_leg() | {"exit": "settlement"}, 'needs hold = "expiry"'),
        (with_leg() | {"exit": "09:22"}, "must come after the last entry"),
        (with_leg() | {"exit": "soon"}, "exit: 'soon' is not a time of day"),
        (with_leg() | {"late": "5"}, "late: '5' is not a duration"),
        (with_leg() | {"weekdays": ["FUNDAY"]}, "no weekday is called 'FUNDAY'"),
        (with_leg() | {"weekdays": ["MONTH"]}, "no weekday is called 'MONTH'; did you mean MON?"),
        (with_leg() | {"dte": [61]}, "dte: 61 is not in 0..60"),
        (with_leg() | {"dte": 1}, "dte: 1 must be a list"),
        (with_leg() | {"stop": "0"}, "stop: '0' is not understood; write rupees"),
        (with_leg() | {"move_to_cost": 1}, "must be true or false"),
    ],
)
def test_mistakes_are_named(tree: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        plan_of(tree)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.toml: No such file"):
        read_plan(tmp_path / "absent.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("leg = [")
    with pytest.raises(ConfigError, match=r"bad.toml: not TOML"):
        read_plan(bad)


# ---- the command --------------------------------------------------------------------------------


def legs_toml(tmp_path: Path) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in CREDIT.items() if key != "leg"]
    for leg in CREDIT["leg"]:
        lines += ["[[leg]]", *(f"{key} = {json.dumps(value)}" for key, value in leg.items())]
    path = tmp_path / "credit.toml"
    path.write_text("\n".join(lines))
    return str(path)


def chains(tmp_path: Path) -> str:
    quotes = {59_100: (76.0, 400.0), 59_200: (55.35, 500.0)}
    times = ("10:19:21", "10:23:10", "15:29:26", "15:35:21")
    return str(chain_file(tmp_path / "c.parquet", [(ns(at), 59_205.45, quotes) for at in times]))


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, ["backtest", *words])


def test_the_command_prints_the_result_with_its_grade(tmp_path: Path) -> None:
    words = ("--legs", legs_toml(tmp_path), "--data", chains(tmp_path), "--slippage", "0")
    shown = run(*words)
    assert shown.exit_code == 0, shown.output
    assert "GRADE OF PREMIUMS: recorded" in shown.output and "MARGIN (estimated)" in shown.output
    out = json.loads(run(*words, "--json").output)
    assert out["grade"] == "recorded" and out["trades"] == 2
    assert out["config"]["legs"]["name"] == CREDIT["name"]
    folder = tmp_path / "out"
    assert run(*words, "--export", str(folder)).exit_code == 0
    assert (folder / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-s", "momentum"), "--strategy: does not go with --legs; use signals"),
        (("--lots", "2"), "--lots: does not go with --legs; use lots of each leg"),
        (("--set", "ema=3"), "no parameter of this legs file is called 'ema'"),
        (("--set", "risk.day_loss=1"), "[filters] and [simulation] come with -c"),
        (("--entry-from", "09:30"), "--entry-from: does not go with --legs"),
        (("--volatility", "v.parquet"), "never mix"),
        (("--final-price", "2026=1"), "write DATE=VALUE"),
        (("--from", "2027-01-01"), "no snapshot of BANKNIFTY"),
    ],
)
def test_options_that_do_not_apply_are_refused(
    words: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    shown = run("--legs", legs_toml(tmp_path), "--data", chains(tmp_path), *words)
    assert shown.exit_code != 0 and text in f"{shown.output}{shown.exception}"


def test_bars_are_modelled_only_when_that_is_said(tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("ts,open,high,low,close\n")
    shown = run("--legs", legs_toml(tmp_path), "--data", str(bars))
    assert "say so with --volatility FILE" in f"{shown.output}{shown.exception}"
    shown = run("-s", "momentum", "--data", str(bars), "--volatility", "v")
    assert "looks at no option chain (m.chain); leave it out" in f"{shown.output}{shown.exception}"
    shown = run("-s", "legs", "--data", str(bars))
    assert "dhanfast backtest --legs FILE.toml" in f"{shown.output}{shown.exception}"


def test_trade_wants_the_file_of_legs_before_anything_else(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text('version = 2\n[[strategy]]\nname = "x"\nuse = "legs"\n')
    shown = CliRunner().invoke(cli, ["trade", "-c", str(config)])
    assert shown.exit_code != 0
    assert "strategy.legs names no file" in f"{shown.output}{shown.exception}"
