"""`dhanfast report slippage`: run directories, days, what it refuses, and a day end to end."""

import csv
import datetime as dt
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

import dhanfast
from dhanfast.app.cli import run
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.measured import session_of, store_day
from dhanfast.reports.rundir import write_run
from dhanfast.storage.slippage import SlippageStore

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def result() -> Any:
    bars = generated_bars("BANKNIFTY", dt.date(2024, 1, 1), dt.date(2024, 1, 3), seed=7)
    return dhanfast.backtest("momentum", bars)


@pytest.fixture(scope="module")
def folder(result: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(result, tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture
def home(result: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with two sessions of one day."""
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    store = SlippageStore(tmp_path / "home" / "slippage.sqlite")
    for mode in ("paper", "live"):
        store_day(store, result, session_of(result, date=20240103, run="main", mode=mode, tag="x"))
    return tmp_path / "home"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(["report", "slippage", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_run_directory_as_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, str(folder))
    lines = out.splitlines()
    assert (code, err) == (0, "") and lines[0].startswith("momentum on BANKNIFTY")
    assert "GENERATED DATA" in lines[1]
    assert [line.split(" ─")[0] for line in lines if line.startswith("SLIPPAGE BY")] == [
        "SLIPPAGE BY TYPE", "SLIPPAGE BY REASON", "SLIPPAGE BY HOUR"
    ]  # fmt: skip
    assert max(map(len, lines[1:])) <= 80


def test_json_is_the_summary_taken_apart_as_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(capsys, str(folder), "--by", "hour,side", "--json")
    found = json.loads(out)
    assert code == 0 and list(found["by"]) == ["hour", "side"]
    told = json.loads((folder / "result.json").read_text())["slippage"]
    assert found["all"] == told["all"] and found["by"]["hour"] == told["by"]["hour"]
    assert sum(one["orders"] for one in found["by"]["side"]) == found["all"]["orders"] == 88
    assert found["generated"] is True and found["symbols"] == ["BANKNIFTY"]


def test_a_line_an_order_as_csv(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "costs.csv"
    assert said(capsys, str(folder), "--csv", str(file))[0] == 0
    with open(file, newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert file.read_bytes() == (folder / "slippage.csv").read_bytes() and len(rows) == 133
    code, _, err = said(capsys, str(folder), "--csv", str(file))
    assert code == 2 and f"{file}: exists; name another file" in err


def test_a_day_is_all_of_its_sessions(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "2024-01-03", "--by", "strategy", "--json")
    found = json.loads(out)
    assert code == 0 and [one["mode"] for one in found["sessions"]] == ["live", "paper"]
    assert found["all"]["orders"] == 2 * 88 and found["generated"] is True
    code, out, _ = said(capsys, "2024-01-03")
    assert out.startswith("momentum on BANKNIFTY, 2024-01-03: main (live), main (paper)")


def test_another_users_folder(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away = home.parent / "away"
    code, _, err = said(capsys, "2024-01-03", "--user-dir", str(away))
    assert code == 1 and f"{away / 'slippage.sqlite'}: nothing is stored of 2024-01-03" in err
    assert said(capsys, "2024-01-03", "--user-dir", str(home))[0] == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [(("2024-01-04",), 1, "nothing is stored of 2024-01-04; a day is stored when"),
     (("2024-13-41",), 2, "'2024-13-41' is not a date"),
     (("no-such-run",), 1, "no-such-run is not a run directory"),
     (("2024-01-03", "--by", "minute"), 2, "slippage by 'minute': choose from strategy, symbol"),
     (("2024-01-03", "--by", "strike"), 2, "traded in futures, which have no strike")],
)  # fmt: skip
def test_what_is_refused(
    home: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, told: str
) -> None:
    got, out, err = said(capsys, *words)
    assert (got, out) == (code, "") and told in err


def test_a_run_that_was_written_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(ROOT / "tests/fixtures/runs/before-passages.zip") as packed:
        packed.extractall(tmp_path / "old")
    code, out, err = said(capsys, str(tmp_path / "old"))
    assert (code, out) == (1, "") and "written before decisions were kept" in err


def test_a_backtest_on_measured_slippage_and_without_enough_of_it(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(tmp_path / "bars.parquet")
    words = ["BANKNIFTY", "--from", "2024-01-01", "--to", "2024-01-03", "--seed", "7", "-o", data]
    assert run(["generate", *words]) == 0
    capsys.readouterr()
    backtest = ["backtest", "-s", "momentum", "--data", data, "--slippage", "measured", "--json"]
    assert run(backtest) == 0
    found = json.loads(capsys.readouterr().out)
    of = found["config"]["slippage"]["measured"]
    assert (of["mode"], of["market_fills"], of["stop_fills"]) == ("live", 45, 29)
    assert any(note.startswith("Slippage is measured") for note in found["warnings"])
    configured = [*backtest[:-3], "--set", "simulation.slippage=measured:20", "--json"]
    assert run(configured) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == found["digest"]
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "nobody"))
    assert run(backtest) == 3
    assert "BANKNIFTY has 0 of live days and 0 of paper days" in capsys.readouterr().err
