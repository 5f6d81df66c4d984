"""`optimize` and `walk-forward` as a user meets them: tables, JSON, files, refusals, a kill."""

import contextlib
import datetime as dt
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dhanfast.app.cli import run
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import backtest
from dhanfast.reports import metrics
from dhanfast.storage.bars import write_parquet


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


Say = Callable[..., Said]
SEARCH = ("optimize", "-s", "momentum", "--data", "bars.parquet")
WALK = ("walk-forward", "-s", "momentum", "--data", "bars.parquet", "--param", "ema=5..20:5",
        "--train", "10d", "--test", "4d", "-j", "1", "--trials", "4")  # fmt: skip


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated days in a file."""
    path = tmp_path_factory.mktemp("market") / "bars.parquet"
    days = dt.date(2022, 2, 1), dt.date(2022, 2, 28)
    write_parquet(path, generated_bars("BANKNIFTY", *days, seed=1))
    return path


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, market: Path) -> Iterator[Say]:
    """Runs a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    Path("bars.parquet").symlink_to(market)

    def said(*words: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words)
        return Said(code, out.getvalue(), err.getvalue())

    yield said


def ok(said: Said) -> Any:
    """The JSON of a command that did what it was asked."""
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_a_search_prints_its_best_and_what_it_is_worth(say: Say) -> None:
    said = say(*SEARCH, "--param", "ema=5..20:5", "--param", "stop_atr=1,2", "-j", "1")
    assert said.code == 0, said.err
    assert "MOMENTUM ON BANKNIFTY: BEST BY SHARPE" in said.out
    assert "Deflated Sharpe" in said.out and "Probability of overfitting" in said.out
    assert "GENERATED" in said.out.upper() or "generated" in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_json_is_the_backtest_with_the_best_parameters(say: Say) -> None:
    found = ok(say(*SEARCH, "--param", "ema=5..20:5", "--objective", "net", "-j", "2", "--json"))
    best = found["best"]
    got = metrics.measure(backtest("momentum", "bars.parquet", params=best["params"]))
    assert best["net_paise"] == got.net and best["trades"] == got.trades.count
    assert found["trials"] == 4 and found["top"][0] == best
    assert found["search"]["data"]["signals"]["generated"] is True


def test_the_strategys_own_space_is_searched_and_set_leaves_out(say: Say) -> None:
    found = ok(say(*SEARCH, "--method", "random", "--trials", "3", "--seed", "5", "--json",
                   "--set", "ema=12", "-j", "1"))  # fmt: skip
    names = [axis["name"] for axis in found["search"]["space"]]
    assert names == ["rsi_long", "rsi_short", "stop_atr", "target_atr"]
    assert found["search"]["params"] == {"ema": 12} and found["search"]["seed"] == 5


def test_a_range_wins_over_the_files_value_and_not_over_set(say: Say) -> None:
    Path("my.toml").write_text(
        '[[strategy]]\nname = "mine"\nuse = "momentum"\nparams = { ema = 21, rsi = 7 }\n'
    )
    words = ("optimize", "-c", "my.toml", "--data", "bars.parquet", "-j", "1", "--json")
    found = ok(say(*words, "--param", "ema=5..20:5"))
    assert found["search"]["params"] == {"rsi": 7} and found["trials"] == 4
    assert "ema has both a value" in say(*words, "--param", "ema=5,9", "--set", "ema=3").err


def test_the_other_word_and_the_other_words_of_options(say: Say) -> None:
    one = ok(say("hyperopt", *SEARCH[1:], "--space", "ema=5..20:5", "--epochs", "3", "--method",
                 "random", "--loss", "sortino", "-j", "1", "--json"))  # fmt: skip
    two = ok(say(*SEARCH, "--param", "ema=5..20:5", "--trials", "3", "--method", "random",
                 "--objective", "sortino", "-j", "1", "--json"))  # fmt: skip
    assert one["digest"] == two["digest"]


def test_a_study_is_listed_shown_and_gone_on_with(say: Say) -> None:
    words = (*SEARCH, "--param", "ema=5..20:5", "-j", "1", "--study", "a.study", "--json")
    first = ok(say(*words))
    refused = say(*words)
    assert refused.code == 2 and "go on with it by --resume" in refused.err
    again = ok(say(*words, "--resume"))
    assert again["run_now"] == 0 and again["digest"] == first["digest"]
    listed = ok(say("optimize", "--study", "a.study", "--list", "--json"))
    assert listed["best"] == first["best"]["trial"] and len(listed["trials"]) == 4
    shown = ok(say("optimize", "--study", "a.study", "--show", "2", "--json"))
    assert shown == listed["trials"][2]
    assert "Trial" in say("optimize", "--study", "a.study", "--show", "2").out
    assert "Trials of a.study by sharpe" in say("optimize", "--study", "a.study", "--list").out


def test_export_writes_the_run_of_the_best(say: Say) -> None:
    found = ok(say(*SEARCH, "--param", "ema=5,9", "-j", "1", "--export", "best", "--json"))
    result = json.loads(Path("best/result.json").read_text())
    assert result["net_pnl_paise"] == found["best"]["net_paise"]
    assert Path("best/report.html").is_file()


def test_walk_forward_prints_windows_and_what_is_left(say: Say) -> None:
    said = say(*WALK)
    assert said.code == 0, said.err
    for title in ("WINDOWS", "OUT OF SAMPLE", "HOW STEADY", "MONTE-CARLO", "WORTH"):
        assert title in said.out
    assert max(map(len, said.out.splitlines())) <= 80


def test_walk_forward_json_and_export_agree(say: Say) -> None:
    found = ok(say(*WALK, "--json", "--export", "out", "--purge", "1d"))
    result = json.loads(Path("out/result.json").read_text())
    assert found["out_of_sample"]["net_pnl_paise"] == result["net_pnl_paise"]
    assert result["net_pnl_paise"] == sum(window["net_paise"] for window in found["windows"])
    assert any("Out of sample" in note for note in result["notes"])
    assert found["search"]["windows"] == {
        "kind": "rolling", "train": 10, "test": 4, "windows": 0, "purge": 1, "embargo": 0,
        "warmup": 5,
    }  # fmt: skip


@pytest.mark.parametrize("split", ["anchored", "purged", "combinatorial"])
def test_every_split_runs(say: Say, split: str) -> None:
    folds, days = ("--folds", "4"), ("--train", "10d", "--test", "4d")
    words = [one for one in WALK if one not in days]
    words += days if split == "anchored" else folds
    found = ok(say(*words, "--json", "--split", split, "--embargo", "1d"))
    count = {"anchored": 2, "purged": 4, "combinatorial": 6}[split]
    assert len(found["windows"]) == count
    assert len(found["paths_sharpe"]) == (3 if split == "combinatorial" else 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--anchored --split purged", "--anchored is --split anchored, and --split purged"),
        ("--split purged --train 10d", "--train belongs to --split rolling or anchored"),
        ("--split combinatorial --test 4d", "--test belongs to --split rolling or anchored"),
        ("--split purged --windows 3", "--windows belongs to --split rolling or anchored"),
        ("--folds 4", "--folds belongs to --split purged or combinatorial, and this is rolling"),
        ("--split purged --tested 1", "--tested belongs to --split combinatorial"),
        ("--anchored --tested 1", "and this is anchored: leave it out"),
        ("--split purge", "split must be one of"),
    ],
)
def test_an_option_of_another_split_is_refused(say: Say, words: str, said: str) -> None:
    """Silently it would be taken for a choice that was made."""
    got = say(*WALK[: WALK.index("--train")], "-j", "1", "--trials", "4", *words.split())
    assert got.code == 2 and said in got.err and not got.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--param", "emma=1..2"), 2, "did you mean ema"),
        (("--param", "ema=1..20"), 2, "parameter ema must be in 2..200"),
        (("--param", "ema=20..5"), 2, "parameter ema: the low end 20"),
        (("--set", "ema=9", "--param", "ema=5..20"), 2, "ema has both a value"),
        (("--method", "guess"), 2, "method must be one of"),
        (("--trials", "5"), 2, "a grid tries each of its points"),
        (("--objective", "sharp"), 2, "did you mean sharpe"),
        (("--jobs", "0"), 2, "jobs must be in 1..1024"),
        (("--engine", "ray"), 2, "--engine must be local or dask"),
        (("--engine", "dask"), 2, "needs --scheduler"),
        (("--scheduler", "tcp://127.0.0.1:1"), 2, "belongs to --engine dask"),
        (("--resume",), 2, "name the file to go on with"),
        (("--list",), 2, "name it by --study"),
        (("--top", "0"), 2, "--top must be in"),
        (("--lots", "0"), 3, "lots must be"),
    ],
)
def test_refusals(say: Say, words: tuple[str, ...], code: int, said: str) -> None:
    got = say(*SEARCH, *words)
    assert got.code == code and said in got.err


def test_more_refusals(say: Say) -> None:
    assert "--data is missing" in say("optimize", "-s", "momentum").err
    assert "must be a number of trading days" in say(*WALK, "--purge", "soon").err
    assert "the data have" in say(*WALK, "--train", "400d").err
    assert "runs must be in 1..1,000,000" in say(*WALK, "--runs", "0").err
    assert "seed must be in" in say(*WALK, "--seed", "-3").err
    Path("a.study").write_text("nonsense that is no study\n")
    got = say(*SEARCH, "--param", "ema=5,9", "--study", "a.study", "--resume")
    assert got.code == 1 and "line 1: its checksum does not fit" in got.err


def test_a_search_that_was_killed_goes_on(say: Say) -> None:
    """kill -9 in the middle; what was done is not done again, and the result is the same."""
    words = [*SEARCH, "--param", "ema=5..104:1", "--param", "stop_atr=1..3:0.5", "-j", "2",
             "--study", "k.study", "--json"]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "dhanfast", *words],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        while process.poll() is None:
            if Path("k.study").exists() and Path("k.study").read_bytes().count(b"\n") > 10:
                os.kill(process.pid, signal.SIGKILL)
                break
    finally:
        process.kill()
        process.wait()
    kept = Path("k.study").read_bytes().count(b"\n") - 1
    assert 10 <= kept < 500
    again = ok(say(*words, "--resume"))
    assert again["run_now"] == 500 - kept
    whole = ok(say(*(word for word in words if word not in ("--study", "k.study"))))
    assert again["digest"] == whole["digest"]


TICKS = ("-s", "momentum", "--generate", "BANKNIFTY", "--from", "2022-02-22", "--to", "2022-03-04",
         "--ticks", "20000", "--seed", "3", "--capital", "100000000")  # fmt: skip
LEGS = """
name = "straddle"
underlying = "BANKNIFTY"
entry = "09:30"
[parameter.stop]
default = 30.0
low = 5
high = 500
search = [10, 50, 20]
[[leg]]
side = "sell"
right = "CE"
strike = "atm"
stop = "{stop}%"
[[leg]]
side = "sell"
right = "PE"
strike = "atm"
stop = "{stop}%"
"""


def test_a_search_over_ticks_and_its_export(say: Say) -> None:
    words = ("optimize", *TICKS, "--param", "ema=5..15:5", "--objective", "net", "--json")
    found = [ok(say(*words, "-j", jobs)) for jobs in ("1", "2")]
    assert found[0]["digest"] == found[1]["digest"]
    assert found[0]["search"]["ticks"] == "FUT"
    assert found[0]["search"]["data"]["signals"]["rows"] == 160_000
    said = say(*words, "-j", "1", "--export", "best")
    assert said.code == 0, said.err
    result = json.loads(Path("best/result.json").read_text())
    assert result["net_pnl_paise"] == found[0]["best"]["net_paise"]


def test_an_archive_of_ticks_is_searched_and_walked(say: Say) -> None:
    Path("days").mkdir()
    for day in (22, 23, 24, 25, 28):
        on = f"2022-02-{day}"
        said = say("generate", "BANKNIFTY", "--from", on, "--to", on, "--what", "ticks", "--kind",
                   "FUT", "--ticks", "20000", "--seed", "3", "-o", f"days/{day}.dfa")  # fmt: skip
        assert said.code == 0, said.err
    words = ("-s", "momentum", "--capital", "100000000", "--param", "ema=5,9", "--method", "grid",
             "-j", "1", "--json")  # fmt: skip
    one = ok(say("optimize", *words, "--data", "days/22.dfa"))
    assert one["search"]["data"]["signals"]["rows"] == 20_000
    made = ok(say("optimize", *TICKS, *words[4:], "--to", "2022-02-28", "-s", "momentum"))
    assert ok(say("optimize", *words, "--data", "days"))["best"] == made["best"]
    walked = ok(say("walk-forward", *words, "--data", "days", "--train", "2d", "--test", "1d",
                    "--warmup", "1d"))  # fmt: skip
    assert len(walked["windows"]) == 3


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--data days --legs a.toml --generate NIFTY", "leave --data out"),
        ("--generate NIFTY --legs a.toml", "--legs takes its prices from --data alone"),
        ("--data bars.parquet --legs a.toml", "say so with --volatility"),
        ("--data bars.parquet --legs a.toml -s momentum", "--strategy: does not go with --legs"),
        ("--data bars.parquet --legs a.toml --lots 2", "lots"),
        ("--data bars.parquet -s momentum --strikes 9", "--strikes: is of a run of --legs"),
        ("--data bars.parquet -s momentum --symbols NIFTY", "--symbols chooses from tick archives"),
        ("-s momentum --generate NIFTY --from 2022-02-22 --to 2022-02-22 --detail x", "leave it"),
    ],
)
def test_what_does_not_go_together_is_refused(say: Say, words: str, error: str) -> None:
    Path("a.toml").write_text(LEGS)
    said = say("optimize", *words.split())
    assert said.code != 0
    assert error in said.err
    assert not said.out


@pytest.mark.data
def test_the_parameters_of_a_legs_file_are_searched_and_graded(say: Say, data_dir: Path) -> None:
    Path("a.toml").write_text(LEGS)
    words = ("--legs", "a.toml", "--data", str(data_dir / "index_1m/BANKNIFTY_1m_2022.parquet"),
             "--volatility", str(data_dir / "index_daily/index_daily_2015_2023.parquet"),
             "--from", "2022-02-01", "--to", "2022-03-31", "--capital", "100000000")  # fmt: skip
    found = [ok(say("optimize", *words, "-j", jobs, "--json", "--objective", "net"))
             for jobs in ("1", "2")]  # fmt: skip
    assert found[0]["digest"] == found[1]["digest"]
    assert found[0]["grade"] == "modelled" and found[0]["trials"] == 3
    said = say("optimize", *words, "-j", "1", "--objective", "net", "--export", "best")
    assert said.code == 0, said.err
    assert "Grade modelled" in said.out
    result = json.loads(Path("best/result.json").read_text())
    assert result["grade"] == "modelled"
    assert result["net_pnl_paise"] == found[0]["best"]["net_paise"]
    walked = ok(say("walk-forward", *words, "--method", "grid", "--train", "20d", "--test", "5d",
                    "-j", "1", "--json"))  # fmt: skip
    assert walked["grade"] == walked["out_of_sample"]["grade"] == "modelled"
