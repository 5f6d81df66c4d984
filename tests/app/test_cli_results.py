"""Kept runs: `backtest --keep`, list, show, compare, analyse, and `dhanfast compare`."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from dhanfast.app.cli import run
from dhanfast.app.kept_runs import run_place
from dhanfast.errors import UsageError
from dhanfast.reports.rundir import read_run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("market") / "bars.parquet"
    words = ["generate", "BANKNIFTY", "--from", "2024-01-01", "--to", "2024-01-12"]
    assert run([*words, "--seed", "4", "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def made(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder with two kept runs."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DHANFAST_HOME", str(home))
        for more in ((), ("--slippage", "5pts")):
            words = ["backtest", "-s", "momentum", "--data", str(market), "--capital", "1e7"]
            assert run([*words, "--keep", "--json", *more]) == 0
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Path:
    """A copy of it for one test."""
    shutil.copytree(made, tmp_path / "home")
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    return tmp_path / "home"


def names(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "results").iterdir())


def test_keep_names_a_run_by_what_it_is(home: Path, market: Path, capsys: Capture) -> None:
    one, two = names(home)
    assert one.startswith("momentum-BANKNIFTY-240101-240112-") and one[:-8] == two[:-8]
    for name in (one, two):
        assert read_run(home / "results" / name).digest.startswith(name[-8:])
    words = ["backtest", "-s", "momentum", "--data", str(market), "--capital", "1e7", "--keep"]
    assert run(words) == 0
    assert "kept before as" in capsys.readouterr().err and names(home) == [one, two]


def test_list_shows_the_newest_first_and_fits(home: Path, capsys: Capture) -> None:
    assert run(["backtest", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and max(map(len, lines)) <= 80
    for name in names(home):
        result = read_run(home / "results" / name)
        (line,) = [line for line in lines if line.startswith(name)]
        assert f"{len(result.trades)}" in line
    assert run(["backtest", "list", "--json", "--limit", "1"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["name"] in names(home) and told["strategy"] == "momentum" and told["fault"] == ""
    assert run(["backtest", "list", "--limit", "1"]) == 0
    assert "and 1 older ones" in capsys.readouterr().out


def test_list_of_another_folder_and_of_nothing(home: Path, tmp_path: Path, capsys: Capture) -> None:
    assert run(["backtest", "list", "--dir", str(home / "results")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert run(["backtest", "list", "--dir", str(tmp_path)]) == 0
    assert f"`dhanfast backtest --export {tmp_path}/NAME` puts them" in capsys.readouterr().out
    assert run(["backtest", "list", "--dir", str(tmp_path / "none")]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_a_damaged_run_is_listed_with_its_fault(home: Path, capsys: Capture) -> None:
    (home / "results" / names(home)[0] / "result.json").write_text("{")
    assert run(["backtest", "list"]) == 0
    assert "cannot be read" in capsys.readouterr().out
    assert run(["backtest", "show", names(home)[0]]) == 1
    assert "damaged" in capsys.readouterr().err


def test_show_prints_what_the_run_printed(home: Path, market: Path, capsys: Capture) -> None:
    words = ["backtest", "-s", "momentum", "--data", str(market), "--capital", "1e7"]
    assert run(words) == 0
    first = capsys.readouterr().out.splitlines()
    name = next(n for n in names(home) if any(n[-8:] in line for line in first))
    assert run(["backtest", "show", name]) == 0
    again = capsys.readouterr().out.splitlines()
    timed = "kernel  "
    assert [x for x in again if timed not in x] == [x for x in first if timed not in x]


def test_show_as_json_and_as_a_page(home: Path, tmp_path: Path, capsys: Capture) -> None:
    name = names(home)[0]
    page = tmp_path / "page.html"
    words = ["backtest", "show", name, "--html", str(page)]
    assert run([*words, "--json", "--risk-free", "0.065"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["digest"].startswith(name[-8:]) and told["risk_free"] == 0.065
    assert page.read_text().startswith("<!doctype html>")
    assert run(words) == 2
    assert "exists; name a new file" in capsys.readouterr().err


def test_runs_are_found_by_path_name_and_beginning(home: Path) -> None:
    one, two = names(home)
    place = home / "results" / one
    assert run_place(str(place)) == place and run_place(one) == place and one != two
    assert run_place(one[:-2]) == place
    with pytest.raises(UsageError, match="is the beginning of 2 runs"):
        run_place("momentum")
    with pytest.raises(UsageError, match="did you mean"):
        run_place(one.replace("momentum", "momentun"))
    with pytest.raises(UsageError, match="is no run directory"):
        run_place("")


def test_compare_shows_runs_beside_each_other(home: Path, capsys: Capture) -> None:
    assert run(["backtest", "compare", *names(home)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for name in names(home):
        assert name in out
    assert run(["backtest", "compare", *names(home), "--json"]) == 0
    rows = {row["figure"]: row["runs"] for row in json.loads(capsys.readouterr().out)}
    trades = [len(read_run(home / "results" / name).trades) for name in names(home)]
    assert rows["trades"] == trades
    assert run(["backtest", "compare", names(home)[0]]) == 2
    assert "takes 2 to 4 runs, was given 1" in capsys.readouterr().err


def test_analyse_takes_apart_by_what_is_asked(home: Path, market: Path, capsys: Capture) -> None:
    name = names(home)[0]
    assert run(["backtest", "analyse", name]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for title in ("BY EXIT REASON", "BY HOUR", "BY DAYS TO EXPIRY", "DEEPEST FALLS", "HOW FAR"):
        assert title in out
    assert run(["backtest", "analyse", name, "--by", "month,entry", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "by_month" in told and "by_entry" in told and "by_hour" not in told


def test_analyse_by_vix(home: Path, tmp_path: Path, capsys: Capture) -> None:
    vix = tmp_path / "vix.csv"
    days = [f"2024-01-{day:02d}" for day in range(1, 13) if day not in (6, 7)]
    rows = [f"{day}T09:15:00+05:30,{level},{level},{level},{level},0,0" for day, level in
            zip(days, range(10, 30, 2), strict=True)]  # fmt: skip
    vix.write_text("\n".join(["ts,open,high,low,close,volume,oi", *rows]) + "\n")
    name = names(home)[0]
    assert run(["backtest", "analyse", name, "--by", "vix", "--vix", str(vix)]) == 0
    out = capsys.readouterr().out
    assert "BY INDIA VIX AT ENTRY" in out and "not known" in out and "20 to 25" in out
    assert run(["backtest", "analyse", name, "--by", "vix"]) == 2
    assert "give --vix FILE" in capsys.readouterr().err
    assert run(["backtest", "analyse", name, "--by", "hours"]) == 2
    assert "did you mean hour?" in capsys.readouterr().err


def test_a_look_at_runs_takes_no_strategy(home: Path, market: Path, capsys: Capture) -> None:
    assert run(["backtest", "-s", "momentum", "list"]) == 2
    assert "leave --strategy, --data, --generate and --legs out" in capsys.readouterr().err
    assert run(["backtest"]) == 2
    assert "Missing option '--data'" in capsys.readouterr().err


def test_dhanfast_compare_explains_the_difference(
    home: Path, tmp_path: Path, capsys: Capture
) -> None:
    one, two = names(home)
    lines = tmp_path / "lines.csv"
    assert run(["compare", one, two, "--csv", str(lines)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80 and "together" in out
    assert run(["compare", one, two, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    nets = [read_run(home / "results" / name) for name in (one, two)]
    difference = [int((run_.days["gross"] - run_.days["charges"]).sum()) for run_ in nets]
    assert told["difference_paise"] == difference[1] - difference[0] != 0
    assert sum(told["parts_paise"].values()) == told["difference_paise"]
    with lines.open() as stream:
        assert len(list(csv.DictReader(stream))) == len(told["trades"])


@pytest.mark.parametrize(("words", "code", "told"), [
    (["--window", "2"], 3, "is not a duration"),
    (["--trades", "-1"], 2, "--trades must not be negative"),
])  # fmt: skip
def test_refusals_of_compare(
    words: list[str], code: int, told: str, home: Path, capsys: Capture
) -> None:
    assert run(["compare", *names(home), *words]) == code
    assert told in capsys.readouterr().err
    assert run(["compare", names(home)[0], "nothing-of-this-name"]) == 2
    assert "is no run directory" in capsys.readouterr().err
