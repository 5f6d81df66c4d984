"""`dhanfast data` as a user types it: output, exit codes, and nothing half done."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dhanfast.app.cli_data import Progress, data

OPEN_S = 1_641_181_500  # 2022-01-03 09:15 IST
Make = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `dhanfast data ...` with a catalog of its own."""
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))

    def call(*words: object) -> Result:
        return CliRunner().invoke(data, [str(word) for word in words])

    return call


Run = Callable[..., Result]


@pytest.fixture
def full_day(tmp_path: Path) -> Make:
    """A maker of one whole session as CSV, less some minutes."""

    def make(*absent: int, name: str = "day.csv", price: float = 100.05) -> Path:
        rows = [f"{OPEN_S + 60 * n},{price},{price},{price},{price}"
                for n in range(375) if n not in absent]  # fmt: skip
        path = tmp_path / name
        path.write_text("\n".join(["date,o,h,l,c", *rows]))
        return path

    return make


COLUMNS = ("--columns", "ts=date,open=o,high=h,low=l,close=c", "--symbol", "NIFTY")


def test_import_list_verify(run: Run, full_day: Make) -> None:
    done = run("import", full_day(), *COLUMNS)
    assert (done.exit_code, done.stderr.count("read: stamps are integers")) == (0, 1)
    assert done.stdout.startswith("day.csv: NIFTY/1m: 375 bars added; 2022-01-03 to 2022-01-03")
    again = run("import", full_day(), *COLUMNS)
    assert again.exit_code == 0 and "held already" in again.stdout
    table = run("list").stdout.splitlines()
    assert table[1].split() == ["NIFTY", "1m", "375", "2022-01-03", "2022-01-03", "recorded"]
    clean = run("verify")
    assert clean.exit_code == 0 and "clean, 0 notes" in clean.stdout


def test_json_is_data_only(run: Run, full_day: Make, tmp_path: Path) -> None:
    imported = json.loads(run("import", full_day(7), *COLUMNS, "--json").stdout)
    (entry,) = imported["imported"]
    assert (entry["rows_added"], entry["unchanged"], entry["key"]) == (374, False, "NIFTY/1m")
    listed = json.loads(run("list", "--json").stdout)
    assert listed["catalog"] == str(tmp_path / "home" / "catalog")
    (series,) = listed["series"]
    assert (series["rows"], series["first"], series["last"]) == (
        374, "2022-01-03 09:15", "2022-01-03 15:29")  # fmt: skip
    assert series["sources"][0]["sha256"] == entry["sha256"]
    verified = run("verify", "NIFTY", "--json")
    assert verified.exit_code == 6
    (found,) = json.loads(verified.stdout)
    (finding,) = found["findings"]
    assert (finding["level"], finding["kind"], finding["count"]) == ("defect", "missing-minutes", 1)
    assert finding["detail"] == "absent: 09:22" and found["defects"] == 1


def test_defects_give_exit_code_6_and_are_named(run: Run, full_day: Make) -> None:
    found = run("verify", full_day(100, 101), *COLUMNS)
    assert found.exit_code == 6
    assert "DEFECT missing-minutes" in found.stdout
    assert "2022-01-03: 2; absent: 10:55 to 10:56" in found.stdout
    assert found.stderr == "error: 1 defects in 1 of 1 series; see above\n"


def test_a_bad_row_is_refused_or_left_out(run: Run, full_day: Make, tmp_path: Path) -> None:
    path = full_day()
    path.write_text(path.read_text().replace(",100.05", ",nan", 1))
    refused = run("import", path, *COLUMNS)
    assert refused.exit_code == 1 and refused.stdout == ""
    assert "line 2: o: 'nan' is not a finite number" in refused.stderr
    assert run("list").stdout == ""
    skipped = run("import", path, *COLUMNS, "--on-bad", "skip")
    assert skipped.exit_code == 0 and "1 bad rows left out" in skipped.stdout
    assert "left out: day.csv: line 2: o: 'nan'" in skipped.stderr


def test_a_differing_day_needs_replace(run: Run, full_day: Make) -> None:
    run("import", full_day(), *COLUMNS)
    other = full_day(name="other.csv", price=200.05)
    assert "1 day differs from NIFTY/1m" in run("import", other, *COLUMNS).stderr
    done = run("import", other, *COLUMNS, "--replace")
    assert done.exit_code == 0 and "1 days replaced" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("import",), 2, "Missing argument"),
        (("import", "absent.csv"), 2, "absent.csv: cannot be read"),
        (("import", "x.csv", "--on-bad", "widen"), 2, "'widen' is not one of"),
        (("import", "x.csv", "--columns", "open"), 2, "not a pair"),
        (("verify", "absent.csv"), 2, "no such file"),
        (("verify", "NIFTY"), 2, "has no NIFTY"),
        (("list", "--csv"), 2, "No such option"),
    ],
)
def test_wrong_words(run: Run, words: tuple[str, ...], code: int, says: str) -> None:
    result = run(*words)
    assert result.exit_code == code and says in result.stderr and result.stdout == ""


def test_an_empty_catalog_says_how_to_fill_it(run: Run) -> None:
    for words in (("list",), ("verify",)):
        result = run(*words)
        assert result.exit_code == 0 and "dhanfast data import FILE" in result.stderr
    assert json.loads(run("list", "--json").stdout)["series"] == []


def test_another_catalog_folder(run: Run, full_day: Make, tmp_path: Path) -> None:
    where = ("--catalog", tmp_path / "mine")
    assert run("import", full_day(), *COLUMNS, *where).exit_code == 0
    assert "NIFTY" in run("list", *where).stdout and run("list").stdout == ""
    assert "clean" in run("verify", "NIFTY", *where).stdout


def test_every_command_has_an_example(run: Run) -> None:
    for words in (("import",), ("list",), ("verify",)):
        text = run(*words, "--help").stdout
        assert "Example" in text and f"dhanfast data {words[0]}" in text


def test_progress_speaks_only_of_long_work(capsys: pytest.CaptureFixture[str]) -> None:
    class Later:
        """A clock that says three seconds have passed at each look."""

        def __init__(self) -> None:
            self.ns = 0

        def now_ns(self) -> int:
            self.ns += 3_000_000_000
            return self.ns

    quick = Progress(2, "importing")
    quick(0, "a.csv")
    slow = Progress(2, "importing")
    slow._clock, slow._start_ns = Later(), 0  # type: ignore[assignment]
    slow(1, "b.csv")
    assert capsys.readouterr().err == "importing 2 of 2: b.csv\n"


def narrow(text: str) -> bool:
    return all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.data
def test_the_nine_recorded_files_in_a_process_of_its_own(tmp_path: Path) -> None:
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("DHANFAST_DATA", beside)) / "index_1m"
    if not folder.is_dir():
        pytest.skip(f"no recorded data at {folder}: set DHANFAST_DATA")
    files = sorted(str(path) for path in folder.glob("*.parquet"))
    assert len(files) == 9

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        code = "from dhanfast.app.cli_data import data; data()"
        environ = os.environ | {"DHANFAST_HOME": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environ
        )

    done = call("import", *files)
    assert done.returncode == 0, done.stderr
    listed: list[dict[str, Any]] = json.loads(call("list", "--json").stdout)["series"]
    assert {one["key"]: one["rows"] for one in listed} == {
        "BANKNIFTY/1m": 205_268, "INDIAVIX/1m": 10_875, "NIFTY/1m": 271_320}  # fmt: skip
    again = call("import", *files)
    assert again.stdout.count("nothing") == 9
    verified = call("verify")
    assert verified.returncode == 6
    assert narrow(verified.stdout) and narrow(call("list").stdout)
    plain = " ".join(verified.stdout.split())
    for says in (
        "2021-07-23: 41; absent: 11:42 to 11:57",
        "2022-01-21: 13; absent: 14:32 to 14:44",
        "2022-03-07: 77; absent: 09:37 to 09:44, 09:47 to 10:55",
        "2022-03-07: 40;",
        "2021-02-24: 128; exchange outage",
        "2009-05-18: 2; market-wide circuit breaker",
        "2009-12-07 to 2009-12-18: 10; 10 trading days",
        "2023-02-01 to 2023-03-31: 41; 41 trading days",
        "INDIAVIX 1m 10,875 bars on 29 days, 2023-04-03 to 2023-05-17 clean, 0 notes",
    ):
        assert says in plain, says
