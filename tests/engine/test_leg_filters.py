"""Filters of a structure: windows in which it is not begun, alike in every run."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast.app.cli import run
from dhanfast.app.legs_file import plan_of
from dhanfast.engine.filter_settings import Event, FilterSettings, Span
from dhanfast.engine.legs import backtest_legs
from dhanfast.engine.legs_replay import StructureReplay
from dhanfast.engine.settings import Settings
from dhanfast.errors import ConfigError
from dhanfast.reports.rundir import read_run, write_run
from dhanfast.reports.terminal import veto_lines
from tests.engine.legs_life import Life, World, world_in
from tests.engine.test_legs import EXPIRY, chain_file, ns
from tests.engine.test_legs_signals import plan

BUYS = '''
from dhanfast.strategies import Strategy


class Buys(Strategy):
    """Buys whenever it is flat, and leaves after six bars."""

    def on_bar(self, ctx, bar):
        if ctx.bars_held >= 6:
            ctx.exit()
        else:
            ctx.buy()
'''
LEG = [{"side": "buy", "right": "CE", "strike": "59100"}]


def window(text: str) -> FilterSettings:
    return FilterSettings(windows=(Span.parse(text),))


def chained(tmp_path: Path, filters: FilterSettings, **more: Any) -> Any:
    """One call on four snapshots of an expiry day, as a backtest makes it."""
    from dhanfast.engine.chain_source import RecordedChains
    from dhanfast.storage.chains import read_chains

    shots = [(ns(at), 59_000.0, {59_100: (price, 1.0)}) for at, price in
             (("10:00:10", 50.0), ("10:05:10", 51.0), ("10:10:10", 52.0), ("10:15:10", 53.0),
              ("15:00:10", 54.0), ("15:20:10", 55.0))]  # fmt: skip
    source = RecordedChains(read_chains(chain_file(tmp_path / "c.parquet", shots)), "BANKNIFTY")
    told = {"underlying": "BANKNIFTY", "entry": "10:00", "late": "12m", "exit": "15:00",
            "leg": LEG} | more  # fmt: skip
    return backtest_legs(plan_of(told), source, Settings(filters=filters))


def test_an_entry_waits_for_the_end_of_a_window(tmp_path: Path) -> None:
    """Decided at 10:10:10, the first row behind the window, and filled on the next."""
    free = chained(tmp_path, FilterSettings())
    held = chained(tmp_path, window("fixing 10:00-10:07"))
    assert free.trades["entry_ns"].tolist() == [ns("10:05:10")]
    assert held.trades["entry_ns"].tolist() == [ns("10:15:10")]
    assert held.trades["exit_ns"].tolist() == free.trades["exit_ns"].tolist()
    assert held.vetoes.counts == {"fixing": 1}  # one entry, though two rows asked
    (row,) = held.vetoes.rows
    assert (row["from_ns"], row["count"], row["side"]) == (ns("10:00:10") + 1, 1, 0)  # its end
    assert held.counters["entries_vetoed"] == held.counters["vetoed_fixing"] == 1
    assert any("Filters kept structures out, entries counted: fixing 1." in note
               for note in held.notes)  # fmt: skip
    assert free.vetoes is None and "filters" not in free.config and "filters" in held.config


@pytest.mark.parametrize(
    ("filters", "name"),
    [
        (window("fixing 10:00-10:20"), "fixing"),
        (FilterSettings(times=("open",), open_ns=3_600 * 10**9), "open"),
        (FilterSettings(times=("close",), close_ns=6 * 3_600 * 10**9), "close"),
        (FilterSettings(expiry="monthly"), "expiry"),
        (FilterSettings(expiry="any", expiry_from=dt.time(10, 0)), "expiry"),
        (FilterSettings(events=(Event.parse(f"{EXPIRY} budget"),)), "event"),
        (FilterSettings(events=(Event.parse(f"{EXPIRY} policy 09:50-10:30"),)), "event"),
    ],
)
def test_what_objects_until_it_is_late_keeps_it_out(
    tmp_path: Path, filters: FilterSettings, name: str
) -> None:
    result = chained(tmp_path, filters)
    assert len(result.trades) == len(result.orders) == 0
    assert result.vetoes.counts == {name: 1}
    assert any("structure: not entered: a filter kept it out" in text for _, text in result.log)


@pytest.mark.parametrize(
    "filters",
    [
        FilterSettings(expiry="weekly"),  # it is the monthly one
        FilterSettings(expiry="any", expiry_from=dt.time(11, 0)),
        FilterSettings(times=("lunch",)),
        FilterSettings(events=(Event.parse("2026-01-28 budget"),)),
        window("evening 14:55-15:29"),  # exits never
    ],
)
def test_what_does_not_object_changes_nothing(tmp_path: Path, filters: FilterSettings) -> None:
    free, held = chained(tmp_path, FilterSettings()), chained(tmp_path, filters)
    assert held.trades.tobytes() == free.trades.tobytes() and len(free.trades) == 1
    assert held.vetoes.counts == {} and held.digest == free.digest


def test_two_that_object_one_after_the_other_are_counted_each(tmp_path: Path) -> None:
    both = FilterSettings(windows=(Span.parse("one 10:00-10:02"), Span.parse("two 10:04-10:07")))
    result = chained(tmp_path, both)
    assert result.vetoes.counts == {"one": 1, "two": 1}
    assert result.trades["entry_ns"].tolist() == [ns("10:15:10")]


def test_the_rows_come_back_from_a_folder(tmp_path: Path) -> None:
    result = chained(tmp_path, window("fixing 10:00-10:07"))
    write_run(result, tmp_path / "run")
    back = read_run(tmp_path / "run")
    assert back.vetoes is not None and back.vetoes.counts == {"fixing": 1}
    assert np.array_equal(back.vetoes.rows["from_ns"], result.vetoes.rows["from_ns"])
    assert any("fixing" in line for line in veto_lines(result, 80))


# ---- live ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_in(tmp_path_factory.mktemp("filters"), BUYS)


def clocked(**more: Any) -> Any:
    return plan_of({"underlying": "BANKNIFTY", "entry": "09:30", "late": "30m", "exit": "15:00",
                    "leg": [{"side": "buy", "right": "CE", "strike": "atm"}]} | more)  # fmt: skip


def first_ns(text: str) -> int:
    return ns(text, dt.date(2025, 11, 17))


def replayed(world: World, made: Any, filters: FilterSettings) -> Any:
    replay = StructureReplay(made, world.ticks, Settings(filters=filters))
    for batch in world.ticks.open(0):
        replay.feed(batch)
    return replay.finish()


def test_paper_replay_and_a_restart_wait_alike(world: World, tmp_path: Path) -> None:
    filters = window("fixing 09:25-09:40")
    made = clocked()
    life = Life(world, tmp_path / "day.dfj", "", made=made, settings=Settings(filters=filters))
    life.on(lambda: bool(life.run.vetoed))
    assert life.run.vetoed == {"fixing": 1} and life.run.flat
    before = life.figures
    life = life.again()
    assert life.figures == before
    paper = life.on().run.finish()
    (trade,) = paper.trades
    assert first_ns("09:40:00") < trade["entry_ns"] < first_ns("09:42:00")
    assert paper.vetoes.counts == {"fixing": 1} and len(paper.vetoes.rows) == 1
    replay = replayed(world, made, filters)
    assert replay.trades.tobytes() == paper.trades.tobytes()
    assert replay.vetoes.rows.tobytes() == paper.vetoes.rows.tobytes()
    unheld = replayed(world, made, FilterSettings())
    assert unheld.trades["entry_ns"][0] < first_ns("09:32:00") and unheld.vetoes is None


def test_signals_are_not_followed_inside_a_window(world: World, tmp_path: Path) -> None:
    made = plan(world.path, "Buys")
    whole = replayed(world, made, FilterSettings())
    held = replayed(world, made, window("noon 11:00-13:00"))
    entries = held.trades["entry_ns"]
    assert not ((first_ns("11:00:00") <= entries) & (entries < first_ns("13:00:00"))).any()
    kept_out = held.vetoes.counts["noon"]
    rows = held.vetoes.rows
    assert kept_out >= 2 and rows["side"].tolist() == [1] * kept_out
    assert (first_ns("11:00:00") <= rows["from_ns"]).all()
    assert (rows["from_ns"] < first_ns("13:00:00")).all()
    before = [run.trades[run.trades["exit_ns"] < first_ns("11:00:00")] for run in (whole, held)]
    assert len(before[0]) >= 1 and before[0].tobytes() == before[1].tobytes()
    said = [text for _, text in held.log if "not followed: a filter kept it out" in text]
    assert len(said) == kept_out
    # What was entered before the window is left inside it.
    exits = held.trades["exit_ns"]
    assert ((first_ns("11:00:00") <= exits) & (exits < first_ns("13:00:00"))).any()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"volume": 1.5}, "filters.volume.times: a legs run does not follow it: an index has no"),
        ({"momentum": "roc"}, "filters.momentum.by"),
        ({"oi_bars": 3}, "filters.oi.bars"),
        ({"spread_ticks": 4.0}, "filters.spread"),
    ],
)
def test_what_looks_at_a_contract_is_refused(
    tmp_path: Path, told: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        chained(tmp_path, FilterSettings(**told))


def test_a_configuration_file_brings_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`dhanfast backtest --legs FILE -c CONFIG`: the counts are in what is printed."""
    chain, legs, config = (tmp_path / name for name in ("c.parquet", "legs.toml", "c.toml"))
    shots = [(ns(at), 59_000.0, {59_100: (50.0, 1.0)}) for at in
             ("10:00:10", "10:05:10", "10:10:10", "15:00:10", "15:20:10")]  # fmt: skip
    chain_file(chain, shots)
    legs.write_text(
        'underlying = "BANKNIFTY"\nentry = "10:00"\nlate = "12m"\nexit = "15:00"\n'
        '[[leg]]\nside = "buy"\nright = "CE"\nstrike = "59100"\n'
    )
    config.write_text('[filters]\nwindows = ["fixing 10:00-10:07"]\n')
    words = ["backtest", "--legs", str(legs), "--data", str(chain), "--json"]
    assert run(words) == 0
    free = json.loads(capsys.readouterr().out)
    assert run([*words, "-c", str(config)]) == 0
    held = json.loads(capsys.readouterr().out)
    assert "vetoes" not in free and held["vetoes"]["counts"] == {"fixing": 1}
    assert held["counters"]["vetoed_fixing"] == 1 and held["digest"] != free["digest"]
    config.write_text("[filters.volume]\ntimes = 2.0\n")
    assert run([*words, "-c", str(config)]) == 3
    assert "filters.volume.times: a legs run does not follow it" in capsys.readouterr().err
