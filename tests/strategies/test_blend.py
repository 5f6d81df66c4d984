"""Blends as files and in Python: what is read, what is refused, what a result tells of members."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast.engine.explain import explain_bar
from dhanfast.engine.filter_settings import FilterSettings
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.research.prepare import prepared
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import Settings
from dhanfast.engine.tickruns import backtest_ticks
from dhanfast.errors import ConfigError, UsageError
from dhanfast.market.generate import generate_ticks
from dhanfast.reports.compare import compare_runs, comparison_dict
from dhanfast.reports.compare_text import comparison_text
from dhanfast.reports.metrics import trade_net
from dhanfast.reports.rundir import read_run, write_run
from dhanfast.reports.summary import summary
from dhanfast.reports.terminal import summary_text
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import Context, Strategy
from dhanfast.strategies.blend import Blend, Member
from dhanfast.strategies.described import describe
from dhanfast.strategies.plugins import find_strategy, is_legs, strategy_params
from dhanfast.strategies.shelf import lookup, shelf

RICH = Settings(capital=10**10)
TRIO = """
about = "Three that must agree."
hypothesis = "Two see more than one."
[parameter.ema]
default = 12
low = 5
high = 40
[blend]
mode = "vote"
votes = 2
[[member]]
use = "momentum"
params = {ema = "{ema}"}
[[member]]
use = "momentum"
name = "slow"
params = {ema = 30}
day_loss = 2500.50
[[member]]
use = "v1"
veto = "against"
"""


@cache
def bars() -> BarSet:
    import datetime as dt

    return generated_bars("BANKNIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 11), seed=2)


@pytest.mark.parametrize("mode", ["weights", "vote", "net"])
@pytest.mark.parametrize("name", ["momentum", "momentum-python", "momentum-cython", "supertrend",
                                  "opening-range", "mean-reversion"])  # fmt: skip
def test_one_member_alone_makes_the_same_trades(mode: str, name: str) -> None:
    alone = backtest(name, bars(), settings=RICH)
    blended = backtest(Blend([name], mode=mode), bars(), settings=RICH)
    assert alone.trades.tobytes() == blended.trades.tobytes()
    assert np.array_equal(alone.days["gross"], blended.days["gross"])
    told = blended.members[0]
    assert told["trades"] == len(alone.trades) and told["weight"] == 1.0
    assert told["net_paise"] == round(int(trade_net(alone.trades).sum()) / 1e6)


def test_on_ticks_over_a_month_s_end_books_have_the_sessions_of_the_run() -> None:
    import datetime as dt

    ticks = list(generate_ticks("BANKNIFTY", dt.date(2022, 2, 25), dt.date(2022, 3, 3), seed=5,
                                interval="5s", instrument="FUT"))  # fmt: skip
    alone = backtest_ticks("momentum", ticks, symbol="BANKNIFTY", settings=RICH)
    result = backtest_ticks(Blend(["momentum"]), ticks, symbol="BANKNIFTY", settings=RICH)
    assert {int(row["date"]) // 100 for row in result.days} == {202202, 202203}
    # A book meets bars and the run meets ticks: near, and not the same.
    for count in (len(result.trades), result.members[0]["trades"]):
        assert abs(count - len(alone.trades)) < 0.2 * len(alone.trades)


def test_a_file_is_a_strategy_of_the_shelf(tmp_path: Path) -> None:
    path = tmp_path / "trio.toml"
    path.write_text(TRIO)
    row = shelf(tmp_path)["trio"]
    assert not row.legs and row.place == str(path) and not is_legs(str(path))
    found = find_strategy(row.place, {"ema": "15"})
    assert found.door == "blend" and found.made.names == ["momentum", "slow", "v1"]
    told = found.settings()
    assert told["mode"] == "vote" and told["votes"] == 2
    assert told["members"][0]["params"]["ema"] == 15 and told["members"][1]["params"]["ema"] == 30
    assert told["members"][1]["day_loss_paise"] == 250_050
    assert told["members"][2] == {"name": "v1", "use": "v1", "door": "rules", "veto": "against",
                                  "params": told["members"][2]["params"]}  # fmt: skip
    assert list(strategy_params(row.place)) == ["ema"]
    shown = describe("trio", tmp_path)
    assert shown.door == "blend" and shown.about == "Three that must agree."
    assert [line.split(":")[0] for line in shown.members] == ["momentum", "slow", "v1"]
    assert lookup(str(path)).legs is False  # type: ignore[union-attr]


def test_a_member_of_the_same_folder_is_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dhanfast.strategies import RuleStrategy, Rules\n"
        "class Mine(RuleStrategy):\n"
        "    def rules(self, m):\n"
        "        return Rules(long=m.close > m.sma(5), stop=20.0)\n"
    )
    for use in ("mine", "mine.py", "mine.py:Mine"):
        path = tmp_path / "pair.toml"
        path.write_text(f'[blend]\n[[member]]\nuse = "{use}"\n')
        alone = backtest(str(tmp_path / "mine.py"), bars(), settings=RICH)
        assert backtest(str(path), bars(), settings=RICH).trades.tobytes() == alone.trades.tobytes()


def test_the_result_tells_what_each_member_made(tmp_path: Path) -> None:
    path = tmp_path / "trio.toml"
    path.write_text(TRIO)
    result = backtest(str(path), bars(), settings=RICH)
    assert [one["name"] for one in result.members] == ["momentum", "slow", "v1"]
    assert [one["weight"] for one in result.members] == [0.5, 0.5, 0.0]
    alone = backtest("momentum", bars(), params={"ema": 12}, settings=RICH)
    assert result.members[0]["net_paise"] == round(int(trade_net(alone.trades).sum()) / 1e6)
    assert result.members[0]["part_paise"] == round(result.members[0]["net_paise"] / 2)
    assert result.members[2]["blocked"] == result.counters["blend_blocked"]
    assert result.factors is not None and len(result.factors.rows) == len(result.trades)
    text = summary_text(result)
    assert "MEMBERS" in text and max(map(len, text.splitlines())) <= 80
    assert summary(result)["members"][1]["name"] == "slow"
    again = read_run(write_run(result, tmp_path / "run"))
    assert again.members == result.members
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "<h2>Members</h2>" in page and "<h2>Factors of the entries</h2>" in page
    assert "<h2>Entries taken back</h2>" not in page
    assert result.versions["strategy_sha256"] != replace_hash(path, result)


def replace_hash(path: Path, result: Any) -> str:
    """The hash when the file says something else."""
    path.write_text(TRIO.replace("votes = 2", "votes = 1"))
    return str(backtest(str(path), bars(), settings=RICH).versions["strategy_sha256"])


def test_a_comparison_shows_members_and_filters_of_both(tmp_path: Path) -> None:
    told = FilterSettings(times=("lunch",))
    one = backtest(Blend(["momentum"]), bars(), settings=RICH)
    two = backtest(Blend(["momentum", "v1"]), bars(), settings=replace(RICH, filters=told))
    got = compare_runs(one, two)
    text = comparison_text(got)
    assert "PARTS OF MEMBERS" in text and "ENTRIES TAKEN BACK" in text
    assert max(map(len, text.splitlines())) <= 80
    plain = comparison_dict(got)
    assert [one["name"] for one in plain["b"]["members"]] == ["momentum", "v1"]
    assert plain["b"]["vetoes"] == {"lunch": two.counters["vetoed_lunch"]}
    lunch = compare_runs(
        one, backtest(Blend(["momentum"]), bars(), settings=replace(RICH, filters=told))
    )
    assert lunch.reasons["only in A: taken back in B by filter lunch"][0] > 0


def test_explain_shows_the_nodes_of_every_member() -> None:
    import datetime as dt

    values = explain_bar(Blend(["momentum", "v1"]), bars(), dt.datetime(2022, 2, 2, 11, 0))
    assert {label.split(":")[0] for label in values} == {"momentum", "v1"}


def test_a_search_refuses_a_blend(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text('[blend]\n[[member]]\nuse = "momentum"\n')
    with pytest.raises(UsageError, match="search its members one by one"):
        prepared(str(path), bars())


class Ticks(Strategy):
    """Looks at ticks."""

    def on_tick(self, ctx: Context, tick: Any) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("words", "made"),
    [
        ("members must be 1..16", lambda: Blend([])),
        ("names that differ", lambda: Blend(["momentum", "momentum"])),
        ("blend.mode", lambda: Blend(["momentum"], mode="sum")),
        ("blend.stops", lambda: Blend(["momentum"], stops="near")),
        ("threshold must be", lambda: Blend(["momentum"], threshold=0)),
        ("leave must be in 0..0.5", lambda: Blend(["momentum"], leave=0.7)),
        ("leave must be in 0..1", lambda: Blend(["momentum"], mode="net", leave=1.0)),
        ("votes must be in 1..1", lambda: Blend(["momentum"], mode="vote", votes=2)),
        ("no member decides", lambda: Blend([Member("momentum", veto="against")])),
        ("veto of member momentum", lambda: Blend([Member("momentum", veto="no")])),
        ("weight of member", lambda: Blend([Member("momentum", weight=-1)])),
        ("must not be negative", lambda: Blend([Member("momentum", loss=-1)])),
        ("wants ticks", lambda: Blend([Ticks])),
        ("is a blend", lambda: Blend([Blend(["momentum"])])),
        ("no-such", lambda: Blend(["no-such"])),
        ("made of members", lambda: find_strategy(Blend, {})),
    ],
)
def test_what_cannot_be_blended_is_refused(words: str, made: Any) -> None:
    with pytest.raises((ConfigError, UsageError), match=words):
        made()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("key of a blend's file", '[blend]\nx=1\n[legs]\n'),
        (r"key of \[blend\]", '[blend]\nmod = "net"\n[[member]]\nuse = "v1"\n'),
        ("member 1: .*key", '[blend]\n[[member]]\nuse = "v1"\nsize = 3\n'),
        ("member 1: write use", "[blend]\n[[member]]\nweight = 1\n"),
        ("threshold must be a number", '[blend]\nthreshold = "1"\n[[member]]\nuse = "v1"\n'),
        ("votes must be a whole number", '[blend]\nvotes = 1.5\n[[member]]\nuse = "v1"\n'),
        ("scale must be true or false", '[blend]\nscale = 1\n[[member]]\nuse = "v1"\n'),
        ("file of legs or of a blend", '[blend]\n[[member]]\nuse = "other.toml"\n'),
        ("members must be 1..16", "[blend]\n"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_says_where(tmp_path: Path, words: str, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises((ConfigError, UsageError), match=words):
        find_strategy(str(path), {})


def test_without_a_table_blend_it_is_a_legs_file(tmp_path: Path) -> None:
    path = tmp_path / "condor.toml"
    path.write_text("underlying = 'NIFTY'\n")
    assert is_legs(str(path)) and shelf(tmp_path)["condor"].legs
    assert replace(shelf(tmp_path)["condor"], legs=False).place == str(path)


@pytest.mark.parametrize(("mode", "key"), [
    ("weights", "votes = 1"), ("weights", "stay = 1"), ("net", "threshold = 0.5"),
    ("net", "votes = 1"), ("vote", "threshold = 0.5"), ("vote", "leave = 0.1"),
])  # fmt: skip
def test_a_key_of_another_mode_is_refused(mode: str, key: str, tmp_path: Path) -> None:
    """It would say nothing: whoever wrote it believes that it decides."""
    path = tmp_path / "two.toml"
    members = '[[member]]\nuse = "momentum"\n[[member]]\nuse = "v1"\n'
    path.write_text(f'[blend]\nmode = "{mode}"\n{key}\n{members}')
    with pytest.raises(ConfigError, match=rf"{key.split()[0]} belongs to mode .*this is {mode}"):
        Blend.read(path)
