"""[filters]: every key reaches the engine, from a file and from --set; what is wrong is refused."""

import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dhanfast.app.cli import cli
from dhanfast.engine.filter_settings import Event, FilterSettings, Span
from dhanfast.engine.generated import generated_bars
from dhanfast.storage.bars import write_parquet

from .test_config import load, refused

STRATEGY = '[[strategy]]\nname = "mine"\nuse = "v1"\n'
ALL = """
[filters]
times = ["open", "close"]
open = "20m"
lunch_from = "12:15"
lunch_until = "13:00"
close = "45m"
windows = ["fixing 11:30-12:00"]
expiry_day = "weekly"
expiry_from = "13:30"
events = ["2026-02-01 budget"]
events_file = "events.txt"
[filters.volume]
times = 1.5
bars = 30
[filters.momentum]
by = "both"
bars = 10
adx = 25
[filters.oi]
bars = 15
cover = true
[filters.spread]
ticks = 4
bps = 2.5
"""


def test_every_key_reaches_the_engine(tmp_path: Path) -> None:
    (tmp_path / "events.txt").write_text(
        "# what moves the market\n\n2026-02-06 policy 09:45-10:45  # the governor speaks\n"
    )
    told = load(tmp_path, ALL + STRATEGY).settings().filters
    assert told == FilterSettings(
        times=("open", "close"), open_ns=20 * 60 * 10**9, lunch_from=dt.time(12, 15),
        lunch_until=dt.time(13), close_ns=45 * 60 * 10**9,
        windows=(Span("fixing", dt.time(11, 30), dt.time(12)),), expiry="weekly",
        expiry_from=dt.time(13, 30),
        events=(Event(dt.date(2026, 2, 1), "budget"),
                Event(dt.date(2026, 2, 6), "policy", dt.time(9, 45), dt.time(10, 45))),
        volume=1.5, volume_bars=30, momentum="both", momentum_bars=10, adx=25.0, oi_bars=15,
        oi_cover=True, spread_ticks=4.0, spread_bps=2.5,
    )  # fmt: skip
    assert told.names == ("open", "close", "fixing", "expiry", "event", "volume", "momentum", "oi",
                          "spread")  # fmt: skip


def test_nothing_said_is_nothing_on(tmp_path: Path) -> None:
    assert load(tmp_path, STRATEGY).settings().filters == FilterSettings()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("filters.times", '[filters]\ntimes = ["brunch"]\n'),
        ("a name and two times", '[filters]\nwindows = ["11:30"]\n'),
        ("a date and a name", '[filters]\nevents = ["budget"]\n'),
        ("filters.events_file", '[filters]\nevents_file = "none.txt"\n'),
        ("filters.open", '[filters]\nopen = "0m"\n'),
        ("before filters.lunch_until", '[filters]\nlunch_from = "14:00"\n'),
        ("filters.volume.times", "[filters.volume]\ntimes = -1\n"),
        ("filters.expiry_from", '[filters]\nexpiry_from = "12:00"\n'),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, words: str, text: str) -> None:
    assert words in refused(tmp_path, text + STRATEGY)


def test_a_line_of_the_file_of_events_is_named(tmp_path: Path) -> None:
    (tmp_path / "events.txt").write_text("2026-02-01 budget\nsoon\n")
    assert "line 2" in refused(tmp_path, '[filters]\nevents_file = "events.txt"\n' + STRATEGY)


def test_set_turns_filters_on_in_a_backtest(tmp_path: Path) -> None:
    bars = generated_bars("BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 4), seed=3)
    path = tmp_path / "bars.parquet"
    write_parquet(path, bars)
    words = ["backtest", "-s", "momentum", "--data", str(path), "--json"]
    plain = CliRunner().invoke(cli, words)
    told = CliRunner().invoke(cli, [
        *words, "--set", "filters.times=open,lunch", "--set", "filters.momentum.by=roc",
        "--set", "filters.events=2022-02-02 budget"])  # fmt: skip
    assert plain.exit_code == told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert set(found["vetoes"]["names"]) == {"open", "lunch", "event", "momentum"}
    assert found["counters"]["vetoed_lunch"] > 0 and found["counters"]["vetoed_event"] > 0
    assert found["trades"] < json.loads(plain.stdout)["trades"]
    assert "vetoes" not in json.loads(plain.stdout)
