"""Legs files with parameters: values in their place, refusals, and the two of the library."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.chainday import ChainDay
from dhanfast._core.types import Reason
from dhanfast.app.legs_file import plan_of, read_plan
from dhanfast.engine import chain_source
from dhanfast.engine.chain_source import ModelledChains
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.premium_model import Volatilities
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.errors import ConfigError, UsageError
from dhanfast.reports.result import RunResult
from dhanfast.strategies.params import Range, search_space
from dhanfast.strategies.plugins import find_strategy, strategy_params
from dhanfast.strategies.shelf import STRUCTURES
from dhanfast.strategies.structures import read_structure, structure_of

from ..core.leg_model import PlainLeg, PlainRun

MINUTE = 60 * 10**9
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
TREE: dict[str, Any] = {
    "about": "A put.",
    "hypothesis": "It  falls,\n  now.",
    "underlying": "NIFTY",
    "entry": "{entry}",
    "parameter": {
        "entry": {"default": "09:30", "choices": ["09:30", "10:00"]},
        "lots": {"default": 2, "low": 1, "high": 9, "search": []},
        "far": {"default": 3, "low": 1, "high": 20, "search": [2, 6, 1]},
        "stop": {"default": 30.0, "low": 5, "high": 200, "step": 2.5, "doc": "percent"},
    },
    "leg": [
        {"side": "buy", "right": "PE", "strike": "otm{far}", "stop": "{stop}%", "lots": "{lots}"}
    ],
}


def test_values_stand_where_they_are_written_with_their_type() -> None:
    structure = structure_of(TREE)
    assert (structure.about, structure.hypothesis) == ("A put.", "It falls, now.")
    assert structure.filled({}) == {
        "underlying": "NIFTY",
        "entry": "09:30",
        "leg": [{"side": "buy", "right": "PE", "strike": "otm3", "stop": "30%", "lots": 2}],
    }
    filled = structure.filled({"stop": "42.5", "far": 12, "lots": "3", "entry": "10:00"})
    assert filled["entry"] == "10:00"
    assert filled["leg"][0] == {
        "side": "buy", "right": "PE", "strike": "otm12", "stop": "42.5%", "lots": 3,
    }  # fmt: skip
    assert TREE["leg"][0]["stop"] == "{stop}%"  # the file's own tree stays


def test_a_plan_with_values_is_the_plan_that_says_them() -> None:
    said = plan_of(structure_of(TREE).filled({"stop": 55}), "x")
    leg = {"side": "buy", "right": "PE", "strike": "otm3", "stop": "55%", "lots": 2}
    assert said == plan_of({"underlying": "NIFTY", "entry": "09:30", "leg": [leg]}, "x")


def test_search_spaces_are_those_of_any_strategy(tmp_path: Path) -> None:
    params = structure_of(TREE).params
    assert list(params) == ["entry", "lots", "far", "stop"]
    space = search_space("iron-condor")
    assert space["short"] == Range(2, 10, 1, whole=True)
    assert space["stop"].values()[:2] == (20.0, 25.0) and "lots" not in space
    assert space["entry"].values()[0] == "09:20" and "exit" not in space
    assert strategy_params("iron-condor")["long"].default == 8


@given(st.floats(5, 99), st.integers(1, 20))
def test_any_value_in_range_reads_back(stop: float, far: int) -> None:
    (leg,) = plan_of(structure_of(TREE).filled({"stop": stop, "far": far}), "x").legs
    assert leg.stop.value == pytest.approx(stop, rel=1e-11)
    assert leg.strike.amount == -far


def changed(**more: Any) -> dict[str, Any]:
    return TREE | {"parameter": TREE["parameter"] | more}


@pytest.mark.parametrize(
    "tree, text",
    [
        (TREE | {"exit": "{exti}"}, "no parameter is called 'exti'"),
        (TREE | {"exit": "{entri}"}, "did you mean entry"),
        (changed(more={"default": 1}), "parameter.more is not used: write {more}"),
        (TREE | {"parameter": [1]}, r"write a table for each, as \[parameter.stop\]"),
        (changed(stop=3), "parameter.stop: write a table with a default"),
        (changed(stop={"low": 3}), "parameter.stop: write a table with a default"),
        (changed(stop={"default": 3, "hihg": 4}), "stop: no key is called 'hihg'; did you mean"),
        (changed(stop={"default": [3]}), r"stop.default: \[3\] must be a number"),
        (changed(stop={"default": 3, "low": "1"}), "stop.low: '1' must be a number"),
        (changed(stop={"default": 3, "high": True}), "stop.high: True must be a number"),
        (changed(stop={"default": 3, "search": 4}), "stop.search: 4 must be a list"),
        (changed(stop={"default": "a", "choices": [1]}), r"stop.choices: \[1\] must be a list"),
        (changed(stop={"default": 3, "doc": 4}), "stop.doc: 4 must be text"),
        (changed(stop={"default": 3, "low": 5}), "stop: parameter stop must be in 5..inf, was 3"),
        (changed(stop={"default": 3, "low": 5, "high": 4}), "low 5 must not be above high 4"),
        (changed(stop={"default": "x", "choices": ["a", "b"]}), "must be one of a, b, was x"),
        (TREE | {"regime": 3}, "regime: 3 must be text"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tree: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        structure_of(tree)


def test_values_are_refused_by_name_and_range() -> None:
    structure = structure_of(TREE)
    with pytest.raises(UsageError, match=r"'stpo'; did you mean stop\?"):
        structure.filled({"stpo": 3})
    with pytest.raises(UsageError, match=r"stop must be in 5\.\.200, was 4"):
        structure.filled({"stop": 4})
    with pytest.raises(UsageError, match="must be one of 09:30, 10:00, was 9"):
        structure.filled({"entry": "9"})


def test_files_are_named_in_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    for text, message in (("x = ", "not TOML"), ("parameter = 3", "write a table for each")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=rf"bad\.toml: .*{message}"):
            read_structure(path)
    with pytest.raises(ConfigError, match="name a legs file"):
        read_structure(tmp_path / "absent.toml")


def test_a_legs_file_is_no_strategy_of_one_instrument() -> None:
    with pytest.raises(UsageError, match="iron-condor is a legs file: dhanfast backtest -s"):
        find_strategy("iron-condor", {})


# ---- the two of the library -------------------------------------------------------------------


def test_the_librarys_structures_say_what_they_are() -> None:
    straddle = read_plan(STRUCTURES["expiry-straddle"])
    assert [leg.text for leg in straddle.legs] == [
        "sell 1 CE atm nearest", "sell 1 PE atm nearest",
    ]  # fmt: skip
    assert straddle.dte == (0,) and straddle.entry == dt.time(9, 30)
    assert {leg.stop.value for leg in straddle.legs} == {30.0} and straddle.stop.value == 25.0
    condor = read_plan(STRUCTURES["iron-condor"], {"short": "5", "long": 9, "lots": 3})
    assert [leg.text for leg in condor.legs] == [
        "sell 3 CE otm5 nearest", "sell 3 PE otm5 nearest",
        "buy 3 CE otm9 nearest", "buy 3 PE otm9 nearest",
    ]  # fmt: skip
    assert [leg.stop.value for leg in condor.legs] == [50.0, 50.0, 0.0, 0.0]
    for path in STRUCTURES.values():
        told = read_structure(path)
        assert told.about and told.hypothesis and told.regime
        assert all(item.doc for item in told.params.values())


def source_of(seed: int) -> ModelledChains:
    """A generated month of BANKNIFTY, its premiums from a volatility of 14 to 22."""
    bars = generated_bars("BANKNIFTY", dt.date(2022, 3, 1), dt.date(2022, 3, 31), seed=seed)
    days = [dt.date(2021, 11, 1) + dt.timedelta(days=i) for i in range(160)]
    rng = np.random.default_rng(seed)
    moves = np.cumsum(rng.normal(0, 0.012, len(days)))
    index = dict(zip(days, (40_000 * np.exp(moves)).tolist(), strict=True))
    base = dict(zip(days, (17_000 * np.exp(moves * 0.8)).tolist(), strict=True))
    vix = {day: 14.0 + i % 9 for i, day in enumerate(days)}
    return ModelledChains(bars, Volatilities("BANKNIFTY", vix, index, base), ("nearest",))


def run(name: str, seed: int, **values: object) -> RunResult:
    plan = read_plan(STRUCTURES[name], values)
    settings = Settings(capital=10**12, slippage=Slippage())
    return backtest_legs(plan, source_of(seed), settings)


def clock(at_ns: int) -> str:
    return f"{dt.datetime.fromtimestamp(at_ns // 10**9, IST):%H:%M}"


def day_of(at_ns: int) -> dt.date:
    return dt.datetime.fromtimestamp(at_ns // 10**9, IST).date()


def test_the_straddle_trades_expiry_days_only_and_keeps_its_stops() -> None:
    """By hand from its trades: days, times, strikes, and what a stop is."""
    result = run("expiry-straddle", 4, whole=500)
    expiries = {dt.date(2022, 3, day) for day in (3, 10, 17, 24, 31)}
    trades = result.trades
    assert {day_of(int(at)) for at in trades["entry_ns"]} == expiries
    assert {clock(int(at)) for at in trades["entry_ns"]} == {"09:30"}
    for day in expiries:
        mine = [row for row in trades if day_of(int(row["entry_ns"])) == day]
        names = [str(result.contracts[int(row["instrument"])]) for row in mine]
        assert len(mine) == 2 and all(row["side"] == -1 for row in mine)
        assert {name.split()[-1] for name in names} == {"CE", "PE"}
        (strike,) = {name.split()[-2] for name in names}
        bars = generated_bars("BANKNIFTY", day, day, seed=4)
        assert str(day) in names[0] and int(strike) % 100 == 0
        assert bars.bars is not None
        for row in mine:
            entry, left = (row[key] / row["qty"] for key in ("entry_value", "exit_value"))
            if row["exit_reason"] == Reason.STOP_LOSS:
                assert left >= np.floor(1.3 * entry / 5) * 5  # at the trigger, or a gap beyond it
            else:
                assert clock(int(row["exit_ns"])) == "15:15"
    assert set(trades["exit_reason"].tolist()) >= {int(Reason.STOP_LOSS)}


def test_the_stop_of_both_together_ends_both() -> None:
    loose, tight = (
        run("expiry-straddle", 4, whole=500, stop=500),
        run("expiry-straddle", 4, whole=10, stop=500),
    )
    for day in {day_of(int(at)) for at in tight.trades["entry_ns"]}:
        mine = [row for row in tight.trades if day_of(int(row["entry_ns"])) == day]
        assert len({int(row["exit_ns"]) for row in mine}) == 1
    early = [row for row in tight.trades if clock(int(row["exit_ns"])) < "15:15"]
    assert len(early) >= 2
    assert all(clock(int(at)) == "15:15" for at in loose.trades["exit_ns"])


def test_the_condor_has_wings_beyond_what_it_sells_every_day() -> None:
    result = run("iron-condor", 7)
    days = {day_of(int(at)) for at in result.trades["entry_ns"]}
    assert len(days) == len(result.days) > 15
    for day in days:
        mine = [row for row in result.trades if day_of(int(row["entry_ns"])) == day]
        strikes: dict[tuple[str, int], int] = {}
        for row in mine:
            *_, strike, right = str(result.contracts[int(row["instrument"])]).split()
            strikes[right, int(row["side"])] = int(strike)
        assert len(mine) == 4
        # Four and eight steps of 100 from the same strike at the money.
        assert strikes["CE", 1] - strikes["CE", -1] == strikes["PE", -1] - strikes["PE", 1] == 400
        assert strikes["CE", -1] - strikes["PE", -1] == 800
        wings = [row for row in mine if row["side"] == 1]
        assert {clock(int(row["exit_ns"])) for row in wings} == {"15:15"}


def plain_day(day: dict[str, Any], name: str) -> list[tuple[int, int, int, int, int]]:
    """A day's trades by the plain model: (contract, entry row, price, exit row, price).

    Args:
        day: what the native chain was made of: rows a minute, columns of calls and then puts.
    """
    grid = day["strike"][: day["count"][0]].tolist()
    ends = [clock(int(at)) for at in day["end_ns"]]
    entry = next(row for row, at in enumerate(ends) if at >= ENTRY[name])
    leave = next(row for row, at in enumerate(ends) if at >= "15:15")
    spot = int(day["spot"][entry])
    money = min(range(len(grid)), key=lambda place: (abs(grid[place] - spot), grid[place]))
    legs, columns = [], []
    for side, right, steps, stop in LEGS_OF[name]:
        column = money + steps if right == "CE" else len(grid) + money - steps
        columns.append(column)
        legs.append(PlainLeg(len(columns) - 1, 0, side, stop=stop, stop_percent=True, right=1))
    rows = [
        [tuple(int(part[row, column]) for part in day["prices"]) for column in columns]
        for row in range(len(ends))
    ]
    run = PlainRun(legs, rows, entry, entry + 60, leave)  # type: ignore[arg-type]
    return [(int(day["listed"][columns[leg]]), *rest) for leg, *rest in run.run()]


ENTRY = {"expiry-straddle": "09:30", "iron-condor": "09:20"}
# side, right, steps out of the money, stop in percent
LEGS_OF: dict[str, list[tuple[int, str, int, float]]] = {
    "expiry-straddle": [(-1, "CE", 0, 30.0), (-1, "PE", 0, 30.0)],
    "iron-condor": [(-1, "CE", 4, 50.0), (-1, "PE", 4, 50.0), (1, "CE", 8, 0.0), (1, "PE", 8, 0.0)],
}


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_every_trade_is_that_of_the_plain_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strikes, rows and prices of every entry and exit, from the premiums that the run has seen."""
    days: list[dict[str, Any]] = []

    def kept(**parts: Any) -> ChainDay:
        days.append(parts)
        return ChainDay(**parts)

    monkeypatch.setattr(chain_source, "ChainDay", kept)
    # A stop of both together counts premiums of the first entries: by its own test.
    more = {"whole": 500} if name == "expiry-straddle" else {}
    result = run(name, 4, **more)
    got = {}
    for day in days:
        open_ns = int(day["start_ns"][0])
        close_ns = int(day["end_ns"][-1])
        mine = [row for row in result.trades if open_ns <= row["entry_ns"] < close_ns]
        if not mine:
            continue
        got[open_ns] = len(mine)
        assert sorted(
            (int(row["instrument"]), int(row["entry_ns"] - open_ns) // MINUTE,
             int(row["entry_value"] // row["qty"]), int(row["exit_ns"] - open_ns) // MINUTE,
             int(row["exit_value"] // row["qty"]))
            for row in mine
        ) == sorted(plain_day(day, name))  # fmt: skip
    assert sum(got.values()) == len(result.trades)
    assert len(got) == (5 if name == "expiry-straddle" else len(result.days))


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_what_comes_later_changes_no_earlier_trade(name: str) -> None:
    """Half the month gives the same trades as the whole one did in that half."""
    whole, source = run(name, 4), source_of(4)
    half = source.index.bars[: len(source.index.bars) // 2]
    end_ns = int(half["start_ns"][-1]) // (86_400 * 10**9) * 86_400 * 10**9
    source.index = type(source.index)(
        "BANKNIFTY", half, source.index.interval_ns, True, source.index.sources
    )
    settings = Settings(capital=10**12, slippage=Slippage())
    part = backtest_legs(read_plan(STRUCTURES[name]), source, settings)
    columns = ["side", "entry_ns", "exit_ns", "entry_value", "exit_value"]
    kept = [
        rows[rows["exit_ns"] < end_ns][columns].tolist() for rows in (whole.trades, part.trades)
    ]
    assert kept[0] == kept[1] and kept[0]
