"""The command line as a user meets it: exit codes, messages, files, and never a traceback."""

import contextlib
import dataclasses
import datetime as dt
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dhanfast import __version__
from dhanfast.app.cli import COMMANDS, run
from dhanfast.engine.explain import explain_bar
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.runs import backtest
from dhanfast.engine.settings import RiskSettings, Settings, Slippage
from dhanfast.storage.bars import read_bars, write_parquet
from dhanfast.strategies.shelf import shelf

FIRST, LAST = dt.date(2022, 2, 1), dt.date(2022, 2, 4)


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Say = Callable[..., Said]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four generated days in a file."""
    path = tmp_path_factory.mktemp("market") / "bars.parquet"
    write_parquet(path, generated_bars("BANKNIFTY", FIRST, LAST, seed=1))
    return path


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, market: Path) -> Iterator[Say]:
    """Runs a command in a folder of its own that holds every kind of wrong file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    Path("bars.parquet").write_bytes(market.read_bytes())
    Path("folder").mkdir()
    Path("used").mkdir()
    Path("used/file").write_text("mine")
    Path("empty.parquet").touch()
    Path("empty.csv").touch()
    Path("junk.parquet").write_bytes(bytes(range(256)) * 8)
    Path("junk.csv").write_bytes(bytes(range(255, -1, -1)) * 8)
    Path("control.csv").write_bytes(bytes(range(64)) + b"\n1,2\n")
    Path("cut.parquet").write_bytes(market.read_bytes()[:5000])
    Path("header.csv").write_text("ts,open,high,low,close\n")
    Path("words.csv").write_text("ts,open,high,low,close\nyesterday,1,2,3,4\n")
    Path("note.txt").write_text("hello")
    Path("leaves.py").write_text("raise SystemExit(0)\n")
    Path("stops.py").write_text("raise KeyboardInterrupt\n")
    Path("raises.py").write_text(
        "from dhanfast import Strategy\n\n\nclass Raises(Strategy):\n"
        "    def on_bar(self, ctx, bar):\n        ctx.buy(stop='far')\n"
    )
    Path("minus.py").write_text(
        "from dhanfast import Rules, RuleStrategy\n\n\nclass Minus(RuleStrategy):\n"
        "    def rules(self, m):\n        return Rules(long=1, stop=-5)\n"
    )

    def call(*words: object) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([str(word) for word in words])
        said = Said(code, out.getvalue(), err.getvalue())
        assert "Traceback" not in said.err + said.out
        return said

    yield call


BACKTEST = ("backtest", "-s", "momentum", "--data", "bars.parquet")


def strict_json(text: str) -> Any:
    """JSON as the standard has it: NaN and Infinity are no numbers."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def fits(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


# ---- what works ----------------------------------------------------------------------------------


def test_every_verb_has_help_with_an_example_that_fits_the_terminal(say: Say) -> None:
    top = say("--help")
    assert top.code == 0 and all(name in top.out for name in COMMANDS) and fits(top.out)
    assert say().out.split() == top.out.split()
    assert say("--version").out.strip() == f"dhanfast, version {__version__}"
    for verb in COMMANDS:
        shown = say(verb, "-h")
        assert shown.code == 0 and fits(shown.out)
        if verb not in ("data", "journal"):  # groups: their verbs have them
            assert f"Example: dhanfast {verb}" in " ".join(shown.out.split()), verb


def test_backtest_prints_figures_that_fit_and_json_of_the_same(say: Say, market: Path) -> None:
    text, machine = say(*BACKTEST), say(*BACKTEST, "--json")
    assert (text.code, machine.code) == (0, 0) and fits(text.out)
    assert text.err == machine.err == ""
    figures = strict_json(machine.out)
    result = backtest("momentum", market)
    assert figures["digest"] == result.digest
    assert result.digest[:12] in text.out or result.digest in text.out
    assert "GENERATED" in text.out and "modelled" in text.out.lower()


def test_every_option_of_backtest_reaches_the_run(say: Say, market: Path) -> None:
    said = say(
        *("backtest", "-s", "momentum", "--data", "bars.parquet", "--json"),
        *("--from", "2022-02-02", "--to", "2022-02-03", "--timeframe", "5m"),
        *("--detail", "bars.parquet", "--capital", "20,00,000", "--lots", "2"),
        *("--slippage", "3bps", "--latency", "250ms", "--seed", "4"),
        *("--entry-from", "09:45", "--last-entry", "14:00", "--square-off", "14:30"),
        *("--on-opposite", "reverse", "--limit-through", "--set", "ema=12"),
        *("--set", "rsi_long=55", "--set", "risk.day_loss=90000"),
        *("--set", "risk.margin_check=false"),
    )
    expected = backtest(
        "momentum",
        market,
        params={"ema": 12, "rsi_long": 55},
        start=dt.date(2022, 2, 2),
        end=dt.date(2022, 2, 3),
        detail=market,
        settings=Settings(
            capital=200_000_000,
            lots=2,
            timeframe_ns=300_000_000_000,
            slippage=Slippage(rate_e6=300),
            latency_ns=250_000_000,
            seed=4,
            entry_from=dt.time(9, 45),
            entry_until=dt.time(14, 0),
            square_off=dt.time(14, 30),
            on_opposite="reverse",
            limit_through=True,
            risk=RiskSettings(loss_day_max=9_000_000, margin_check=False),
        ),
    )
    assert said.code == 0 and strict_json(said.out)["digest"] == expected.digest
    assert len(expected.trades) > 0


FILE = """
version = 2
[risk]
day_loss = "2%"
entry_from = "09:45"
[simulation]
capital = "2000000"
slippage = "3bps"
latency = "250ms"
[[strategy]]
name = "mine"
use = "momentum"
timeframe = "5m"
lots = 2
on_opposite = "reverse"
params = { ema = 12 }
"""


def test_a_file_says_what_the_options_do_not(
    say: Say, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.toml").write_text(FILE)
    settings = Settings(
        capital=200_000_000, lots=2, timeframe_ns=300_000_000_000, slippage=Slippage(rate_e6=300),
        latency_ns=250_000_000, entry_from=dt.time(9, 45), on_opposite="reverse",
        risk=RiskSettings(loss_day_max=4_000_000),
    )  # fmt: skip
    words = ("backtest", "--data", "bars.parquet", "--json", "-c", "mine.toml")

    def same(expected: Settings, ema: int, *more: str) -> None:
        figures = strict_json(say(*words, *more).out)
        result = backtest("momentum", market, params={"ema": ema}, settings=expected)
        assert figures["digest"] == result.digest and len(result.trades) > 0
        assert figures["config"]["risk"]["loss_day_max"] == expected.risk.loss_day_max

    same(settings, 12)
    same(settings, 12, "-s", "mine")
    same(dataclasses.replace(settings, lots=1), 9, "--lots", "1", "--set", "ema=9")
    half = RiskSettings(loss_day_max=2_000_000)
    same(dataclasses.replace(settings, capital=100_000_000, risk=half), 12, "--capital", "1000000")
    monkeypatch.setenv("DHANFAST__STRATEGY__LOTS", "1")
    same(dataclasses.replace(settings, lots=1), 12)


def test_guards_of_a_file_or_of_set_hold_in_a_backtest(say: Say, market: Path) -> None:
    """[risk.guards] means to a backtest what it means to `trade`, with or without a file."""
    Path("mine.toml").write_text("version = 2\n[risk.guards]\nmax_trades = 1\n")
    words = ("backtest", "-s", "momentum", "--data", "bars.parquet", "--json")
    by_set = strict_json(say(*words, "--set", "risk.guards.max_trades=1").out)
    by_file = strict_json(say(*words, "-c", "mine.toml", "--set", "risk.day_loss=0").out)
    free = strict_json(say(*words).out)
    assert by_set["digest"] == by_file["digest"] != free["digest"]
    settings = Settings(guards=GuardSettings(trades_max=1))
    result = backtest("momentum", market, settings=settings)
    assert by_set["digest"] == result.digest and result.counters["risk_guard_trades"] > 0
    assert by_set["trades"] == len(result.trades) < free["trades"]


def test_of_a_files_strategy_another_one_takes_nothing(say: Say, market: Path) -> None:
    Path("mine.toml").write_text(FILE)
    figures = strict_json(
        say("backtest", "--data", "bars.parquet", "--json", "-c", "mine.toml", "-s", "v1").out
    )
    settings = Settings(
        capital=200_000_000, slippage=Slippage(rate_e6=300), latency_ns=250_000_000,
        entry_from=dt.time(9, 45), risk=RiskSettings(loss_day_max=4_000_000),
    )  # fmt: skip
    assert figures["digest"] == backtest("v1", market, settings=settings).digest


def test_without_a_file_nothing_that_lies_about_changes_a_run(
    say: Say, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's own config.toml and variables are for trading."""
    Path("home").mkdir()
    Path("home/config.toml").write_text(FILE)
    monkeypatch.setenv("DHANFAST_HOME", "home")
    monkeypatch.setenv("DHANFAST__RISK__DAY_LOSS", "1")
    figures = strict_json(say("backtest", "-s", "momentum", "--data", "bars.parquet", "--json").out)
    assert figures["digest"] == backtest("momentum", market).digest


def test_trade_data_changes_the_fills(say: Say) -> None:
    future = generated_bars("BANKNIFTY", FIRST, LAST, seed=1, kind="FUT")
    write_parquet(Path("future.parquet"), future)
    said = say(*BACKTEST, "--trade-data", "future.parquet", "--json")
    assert said.code == 0
    assert strict_json(said.out)["digest"] != strict_json(say(*BACKTEST, "--json").out)["digest"]


def test_a_run_without_trades_is_told_and_is_json(say: Say) -> None:
    words = (*BACKTEST, "--set", "rsi_long=100", "--set", "rsi_short=0")
    assert say(*words).code == 0 and fits(say(*words).out)
    assert say(*words, "--json").code == 0
    strict_json(say(*words, "--json").out)


def test_export_writes_the_run_directory_and_says_where(say: Say) -> None:
    said = say(*BACKTEST, "--export", "runs/first")
    assert said.code == 0 and "report.html" in said.err and "report" not in said.out.split(":")[0]
    files = {path.name for path in Path("runs/first").iterdir()}
    assert {"report.html", "result.json"} <= files and len(files) >= 5
    result = strict_json(Path("runs/first/result.json").read_text())
    assert result["digest"] == strict_json(say(*BACKTEST, "--json").out)["digest"]
    Path("given").mkdir()
    assert say(*BACKTEST, "--export", "given").code == 0  # an empty folder is free to use


def test_generate_writes_a_marked_file_that_reads_back(say: Say) -> None:
    words = ("generate", "NIFTY", "--from", "2022-02-01", "--to", "2022-02-02", "--seed", "3")
    said = say(*words, "-o", "nifty.parquet")
    assert said.code == 0 and "750 generated bars of NIFTY IDX, seed 3" in said.err
    bars = read_bars("nifty.parquet")
    assert (bars.symbol, bars.generated) == ("NIFTY", True)
    again = generated_bars("NIFTY", dt.date(2022, 2, 1), dt.date(2022, 2, 2), seed=3)
    assert bars.bars.tobytes() == again.bars.tobytes()
    future = say(*words, "--kind", "FUT", "-o", "future.parquet")
    assert future.code == 0 and (read_bars("future.parquet").bars["volume"] > 0).any()


def test_explain_shows_the_nodes_and_says_what_is_unknown(say: Say, market: Path) -> None:
    words = ("explain", "-s", "momentum", "--data", "bars.parquet", "--at")
    text = say(*words, "2022-02-02 10:15")
    assert text.code == 0 and fits(text.out) and "rsi(close, 14)" in text.out
    told = strict_json(say(*words, "2022-02-02 10:15", "--json").out)
    assert told == explain_bar("momentum", market, dt.datetime(2022, 2, 2, 10, 15))
    early = say(*words, "2022-02-01 09:16")
    assert "unknown (warm-up)" in early.out
    assert strict_json(say(*words, "2022-02-01 09:16", "--json").out)["ema(close, 9)"] is None
    assert "ema(close, 30)" in say(*words, "2022-02-02 10:15", "--set", "ema=30").out


def test_strategies_lists_all_and_one_with_its_parameters(say: Say) -> None:
    listed = say("strategies")
    assert listed.code == 0 and fits(listed.out)
    rows = strict_json(say("strategies", "--json").out)
    assert [row["name"] for row in rows] == [*shelf()]
    assert {row["door"] for row in rows} == {"rules", "python", "cython", "legs"}
    one = say("strategies", "v1")
    assert one.code == 0 and fits(one.out) and "STOP_LOSS_POINTS" in one.out
    (row,) = strict_json(say("strategies", "v1", "--json").out)
    assert row["params"]["rsi_long"] == {
        "default": 60.0,
        "range": "0..100",
        "search": "50..75 by 2.5",
        "doc": "RSI_OVERBOUGHT: long needs an RSI above this",
    }
    minus = say("strategies", "minus.py")
    assert minus.code == 0 and minus.out.split() == ["minus.py", "rules"]


def test_demo_shows_a_report_without_data_or_questions(say: Say) -> None:
    said = say("demo", "--export", "first-run", "--seed", "3")
    assert said.code == 0 and fits(said.out) and "GENERATED" in said.out
    assert Path("first-run/report.html").stat().st_size > 10_000
    assert "seed 3" in said.err
    assert say("demo", "--export", "first-run").code == 2


def test_verify_of_defects_is_exit_code_6(say: Say) -> None:
    assert say("data", "verify", "bars.parquet").code == 0
    bars = generated_bars("BANKNIFTY", FIRST, FIRST, seed=1)
    names = ("open", "high", "low", "close")
    lines = [
        ",".join([str(b["start_ns"]), *(f"{b[n] / 100:.2f}" for n in names)])
        for i, b in enumerate(bars.bars)
        if not 100 <= i < 130
    ]
    Path("gap.csv").write_text("\n".join(["ts,open,high,low,close", *lines]))
    said = say("data", "verify", "gap.csv", "--symbol", "BANKNIFTY", "--tz", "UTC")
    assert said.code == 6 and "defects" in said.err


# ---- what is refused -----------------------------------------------------------------------------

# (arguments after `backtest -s momentum --data bars.parquet`, exit code, part of the message)
REFUSED: list[tuple[str, int, str]] = [
    ("--from 2022-02-03 --to 2022-02-01", 2, "lies before"),
    ("--from 2022-13-01", 2, "--from '2022-13-01' is not a date; write YYYY-MM-DD"),
    ("--to 1st", 2, "--to '1st' is not a date"),
    ("--from 2022-02-05 --to 2022-02-06", 1, "no bar from 2022-02-05 to 2022-02-06"),
    ("--to 2022-02-10", 1, "no bars for 2022-02-05 to 2022-02-10"),
    ("--from 2022-01-31", 1, "choose --from and --to inside it"),
    ("--to 2099-01-01", 1, "outside the market calendar"),
    ("--from 0001-01-01", 1, "outside the market calendar"),
    ("--lots 0", 3, "lots must be in 1..100000, was 0"),
    ("--lots -3", 3, "lots must be in 1..100000, was -3"),
    ("--lots 99999999999999999999", 3, "lots must be"),
    ("--lots 37", 3, "lots must be at most 36 on 2022-02-01"),
    ("--lots many", 2, "'many' is not a valid integer"),
    ("--lots 1.5", 2, "'1.5' is not a valid integer"),
    ("--capital 0", 3, "capital must be in 1.."),
    ("--capital -5", 3, "was -5.0"),
    ("--capital nan", 3, "capital must be an amount in rupees, was 'nan'"),
    ("--capital inf", 3, "was 'inf'"),
    ("--capital 1e400", 3, "was '1e400'"),
    ("--capital lots", 3, "was 'lots'"),
    ("--capital 1e14", 3, "capital must be in"),
    ("--latency -1", 3, "latency: '-1' is not a duration"),
    ("--latency 5", 3, "write a number and a unit"),
    ("--latency 2h", 3, "latency must be in 0ns..1h, was 2h"),
    ("--timeframe 30s", 3, "timeframe must be a multiple of the data's 1m, was 30s"),
    ("--timeframe 90s", 3, "was 90s"),
    ("--timeframe 0m", 3, "timeframe must be longer than nothing"),
    ("--timeframe 8d", 3, "at most 7d"),
    ("--timeframe 5", 3, "timeframe: '5' is not a duration"),
    ("--timeframe 99999999999999d", 3, "longer than 290 years"),
    ("--slippage little", 3, "slippage: 'little' is not understood"),
    ("--slippage -1tick", 3, "write for example 1tick"),
    ("--slippage 1.5ticks", 3, "must be whole ticks"),
    ("--slippage 99999999999999999999tick", 3, "slippage must be in 0..10000 ticks"),
    ("--slippage 99%", 3, "slippage must be in 0..5%"),
    ("--entry-from 25:00", 3, "entry-from: '25:00' is not a time of day"),
    ("--entry-from none", 3, "entry-from must be a time of day"),
    ("--entry-from 15:30", 3, "entry-from must be before the last-entry time"),
    ("--last-entry 15:15Z", 3, "write HH:MM in IST"),
    ("--square-off 09:00", 3, "last-entry must be at or before the square-off time"),
    ("--on-opposite revers", 3, "did you mean reverse?"),
    ("--set ema", 2, "write KEY=VALUE, for example --set ema=12"),
    ("--set =3", 2, "write KEY=VALUE"),
    ("--set emma=3", 2, "did you mean ema?"),
    ("--set ema=nine", 2, "parameter ema must be int, was 'nine'"),
    ("--set ema=1e999", 2, "parameter ema must be int"),
    ("--set ema=1000", 2, "parameter ema must be in 2..200, was 1000"),
    ("--set macd_fast=50", 2, "macd: fast must be below slow, was 50 and 26"),
    ("--set risk.qty_maks=1", 3, "did you mean qty_max?"),
    ("--set risk.qty_max=few", 3, "risk.qty_max: must be of type int"),
    ("--set risk.qty_max=-1", 3, "risk.qty_max: must be a whole number >= 0"),
    ("--set risk.qty_max=9999999999999999999999", 3, "risk.qty_max: must be a whole number <="),
    ("--set risk.margin_check=maybe", 3, "risk.margin_check: must be of type bool"),
    ("--set risk.loss_day_max=5", 3, "no setting is called 'loss_day_max'"),
    ("--set riks.day_loss=5", 3, "did you mean risk?"),
    ("--seed x", 2, "'x' is not a valid integer"),
    ("--slipage 1tick", 2, "Did you mean '--slippage'?"),
    ("extra", 2, "No such command"),
    ("--detail bars.parquet --trade-data bars.parquet", 3, "give one of them"),
    ("--detail absent.parquet", 2, "no such file"),
    ("--trade-data folder", 2, "folder"),
    ("--detail junk.csv", 1, "not UTF-8"),
    ("--export used", 2, "export: used exists and is not an empty directory"),
    ("--export note.txt", 2, "exists and is not an empty directory"),
    ("--export note.txt/run", 2, "note.txt is not a folder to write in"),
]


@pytest.mark.parametrize("words, code, text", REFUSED)
def test_backtest_refuses(say: Say, words: str, code: int, text: str) -> None:
    before = sorted(Path().rglob("*"))
    said = say(*BACKTEST, *words.split())
    assert said.code == code and text in said.err and said.out == ""
    assert sorted(Path().rglob("*")) == before, "nothing is written by a refused run"


@pytest.mark.parametrize(
    "file, code, text",
    [
        ("absent.parquet", 2, "absent.parquet: no such file"),
        ("folder", 2, "folder without manifest.json"),
        ("empty.parquet", 1, "empty.parquet: the file is empty"),
        ("empty.csv", 1, "empty.csv: the file is empty"),
        ("junk.parquet", 1, "junk.parquet: not a Parquet file"),
        ("junk.csv", 1, "junk.csv: line 1 is not UTF-8"),
        ("cut.parquet", 1, "cut.parquet: not a Parquet file we can read"),
        ("header.csv", 1, "header.csv: a header but no rows"),
        ("control.csv", 1, "control.csv: no column ts, open"),
        ("words.csv", 2, "import the file, then run on its symbol"),
        ("note.txt", 1, "note.txt"),
        ("BANKNIFTY", 2, "no such file, and the catalog"),
        ("", 2, ""),
    ],
)
@pytest.mark.parametrize("verb", ["backtest", "explain"])
def test_wrong_data_is_named(say: Say, verb: str, file: str, code: int, text: str) -> None:
    at = ("--at", "2022-02-02 10:15") if verb == "explain" else ()
    said = say(verb, "-s", "momentum", "--data", file, *at)
    assert said.code == code and said.out == "" and text in said.err
    assert said.err.startswith("error: ") and said.err.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    "strategy, code, text",
    [
        ("momentun", 2, "did you mean momentum?"),
        ("", 2, "no strategy is called ''"),
        ("absent.py", 2, "strategy file absent.py does not exist"),
        ("folder", 2, "no strategy is called 'folder'"),
        ("bars.parquet", 2, "no strategy is called 'bars.parquet'"),
        ("minus.py:Minsu", 2, "did you mean Minus?"),
        ("leaves.py", 1, "leaves.py cannot be imported: SystemExit: 0"),
        ("raises.py", 1, "strategy stopped: TypeError"),
        ("raises.py", 1, "(raises.py:"),
        ("minus.py", 1, "Minus: stop is a distance in rupees from the fill price"),
    ],
)
def test_wrong_strategies_are_named(say: Say, strategy: str, code: int, text: str) -> None:
    said = say("backtest", "-s", strategy, "--data", "bars.parquet")
    assert (said.code, said.out) == (code, "") and text in said.err


def test_ctrl_c_is_130(say: Say) -> None:
    assert say("backtest", "-s", "stops.py", "--data", "bars.parquet")[::2] == (130, "\nstopped\n")


@pytest.mark.parametrize(
    "words, code, text",
    [
        ("bactest", 2, "no command is called 'bactest'; did you mean backtest?"),
        ("sing", 2, "no command is called 'sing'"),
        ("--versoin", 2, "Did you mean '--version'?"),
        ("backtest", 2, "Missing option '--data'"),
        ("backtest --data bars.parquet", 2, "no strategy: name one with -s"),
        ("backtest -c absent.toml --data bars.parquet", 3, "absent.toml: cannot be read"),
        ("data lst", 2, "Did you mean 'list'?"),
        ("data import absent.csv", 2, "absent.csv: cannot be read"),
        ("generate", 2, "Missing argument 'SYMBOL'"),
        ("generate NIFTI --from 2022-02-01 --to 2022-02-01 -o x.parquet", 2, "NIFTY"),
        ("generate NIFTY --from 2022-02-02 --to 2022-02-01 -o x.parquet", 2, "after last"),
        ("generate NIFTY --from 2022-02-05 --to 2022-02-06 -o x.parquet", 2, "no trading day"),
        ("generate NIFTY --from 1990-01-01 --to 1990-01-02 -o x.parquet", 1, "calendar"),
        ("generate NIFTY --from soon --to later -o x.parquet", 2, "'soon' is not a date"),
        ("generate NIFTY --from 2022-02-01 --to 2022-02-01 -o bars.parquet", 2, "exists"),
        ("generate NIFTY --from 2022-02-01 --to 2022-02-01 -o folder", 2, "exists"),
        ("generate NIFTY --from 2022-02-01 --to 2022-02-01 -o no/x.parquet", 1, "cannot be writ"),
        ("generate NIFTY --from 2022-02-01 --to 2022-02-01 -o x.parquet --seed -1", 2, "seed"),
        ("generate NIFTY --from 2022-02-01 --to 2022-02-01 -o x --kind OPT", 2, "'OPT'"),
        ("explain -s momentum --data bars.parquet --at noon", 2, "'noon' is not a time"),
        ("explain -s momentum --data bars.parquet --at 2022-02-05", 2, "no bar of BANKNIFTY"),
        ("explain -s momentum --data bars.parquet --at 0001-01-01", 2, "no bar of BANKNIFTY"),
        ("explain -s momentum --data bars.parquet --at 2022-02-02 --set ema", 2, "KEY=VALUE"),
        ("explain -s momentum-cython --data bars.parquet --at 2022-02-02T10:15", 2, "native"),
        ("strategies momentun", 2, "did you mean momentum?"),
        ("strategies leaves.py", 1, "SystemExit"),
        ("strategies a b", 2, "unexpected extra argument"),
        ("demo -s momentun", 2, "did you mean momentum?"),
        ("demo --seed x", 2, "'x' is not a valid integer"),
        ("demo --seed -1", 2, "-1 is not in the range"),
        ("demo --export used", 2, "not an empty directory"),
        ("demo --export note.txt", 2, "not an empty directory"),
    ],
)
def test_other_verbs_refuse(say: Say, words: str, code: int, text: str) -> None:
    before = set(Path().rglob("*"))
    said = say(*words.split())
    assert said.code == code and text in said.err and said.out == ""
    made = {path for path in set(Path().rglob("*")) - before if path.parts[0] != "home"}
    assert not made and not list(Path("home").rglob("*.parquet"))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_may_not_be_written_is_refused_before_the_run(say: Say) -> None:
    Path("folder").chmod(0o500)
    said = say(*BACKTEST, "--export", "folder/run")
    assert said.code == 2 and "not a folder to write in" in said.err


def test_a_full_disk_is_a_message(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    from dhanfast.reports import rundir

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "run/trades.parquet")

    monkeypatch.setattr(rundir, "write_run", full)
    said = say(*BACKTEST, "--export", "run")
    assert said.code == 1
    assert said.err == "error: No space left on device: run/trades.parquet\n"


# ---- as its own process --------------------------------------------------------------------------


def process(*words: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dhanfast", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        **more,
    )


@pytest.mark.parametrize(
    "words, code",
    [
        (("strategies", "--json"), 0),
        (("backtest", "-s", "momentum", "--data", "bars.parquet", "--json"), 0),
        (("backtest", "-s", "momentum", "--data", "bars.parquet", "--lots", "0"), 3),
        (("backtest", "-s", "momentum", "--data", "absent.parquet"), 2),
        (("backtest", "-s", "raises.py", "--data", "bars.parquet"), 1),
    ],
)
def test_the_process_exits_with_the_code_and_keeps_the_streams_apart(
    say: Say, tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    done = process(*words, cwd=tmp_path)
    assert done.returncode == code and "Traceback" not in done.stderr
    if code == 0:
        strict_json(done.stdout)
        assert done.stderr == ""
    else:
        assert done.stdout == "" and done.stderr.startswith("error: ")


def test_a_closed_pipe_is_no_error_to_shout_about(say: Say, tmp_path: Path) -> None:
    command = f"{sys.executable} -m dhanfast backtest -s momentum --data bars.parquet --json"
    done = subprocess.run(
        ["sh", "-c", f"{command} | head -c 1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stderr == "" and done.stdout == "{"
