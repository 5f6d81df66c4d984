"""`backtest` over days of ticks as a user meets it: folders, --generate, --jobs, refusals."""

import contextlib
import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run

GENERATED = ("backtest", "-s", "momentum", "--generate", "BANKNIFTY", "--from", "2022-02-24",
             "--to", "2022-02-28", "--ticks", "40000", "--seed", "5")  # fmt: skip
Said = tuple[int, str, str]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Runs a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))

    def said(*words: str) -> Said:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(words)
        return code, out.getvalue(), err.getvalue()

    return said


def told(said: Said) -> Any:
    code, out, err = said
    assert code == 0, err
    return json.loads(out)


def test_one_process_and_two_print_the_same(say: Callable[..., Said]) -> None:
    one = told(say(*GENERATED, "--json", "-j", "1"))
    code, out, err = say(*GENERATED, "--json", "-j", "2")
    assert (code, json.loads(out)["digest"]) == (0, one["digest"])
    assert "3 days of ticks, made by 2 processes in at most 360 MiB" in err
    assert one["data"]["ticks"] == {"kind": "FUT", "rows": 120_000, "days": 3}
    source = one["data"]["signals"]["sources"][0]["name"]
    assert source.endswith("2022-02-24 to 2022-02-28, seed 5, 40,000 ticks a day")


def test_a_folder_of_archives_is_one_run(say: Callable[..., Said]) -> None:
    Path("days").mkdir()
    for day in (24, 25, 28):
        code, _, err = say("generate", "BANKNIFTY", "--from", f"2022-02-{day}", "--to",
                           f"2022-02-{day}", "--what", "ticks", "--kind", "FUT", "--ticks",
                           "40000", "--seed", "5", "-o", f"days/{day}.dfa")  # fmt: skip
        assert code == 0, err
    words = ("backtest", "-s", "momentum", "--data", "days", "--json")
    runs = [told(say(*words, "-j", jobs)) for jobs in ("1", "2")]
    made = told(say(*GENERATED, "--json", "-j", "1"))
    assert {found["digest"] for found in runs} == {made["digest"]}
    part = told(say(*words, "-j", "1", "--from", "2022-02-25", "--to", "2022-02-25"))
    assert part["data"]["ticks"]["rows"] == 40_000


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--data bars.parquet --ticks 5", "--ticks: is of a run of --generate"),
        ("--data bars.parquet --kind IDX", "--kind: is of a run of --generate"),
        ("--data x --generate NIFTY", "leave --data out"),
        ("--generate NIFTY", "give the first and the last day"),
        ("--generate NIFTI --from 2022-02-24 --to 2022-02-24", "NIFTI"),
        ("--generate NIFTY --from 2022-02-24 --to 2022-02-24 --ticks 0", "ticks is 0"),
        ("--generate NIFTY --from 2022-02-24 --to 2022-02-24 --jobs 0", "jobs must be in 1..1024"),
        ("--generate NIFTY --from 2022-02-24 --to 2022-02-24 --detail x", "leave it out"),
        ("--generate NIFTY --from 2022-02-24 --to 2022-02-24 --symbols NIFTY", "--kind chooses"),
        ("--generate NIFTY --legs x.toml", "--generate: does not go with --legs"),
        ("--data bars.parquet --jobs 2", "--jobs: is of a folder of tick archives"),
        ("", "--data"),
    ],
)
def test_what_does_not_fit_is_refused(say: Callable[..., Said], words: str, error: str) -> None:
    code, out, err = say("backtest", "-s", "momentum", *words.split())
    assert code != 0
    assert error in err
    assert not out


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dhanfast", *GENERATED[:8], "2022-12-30", "--ticks", "2000000",
             "-j", "2"]  # fmt: skip
    run_ = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            cwd=tmp_path)  # fmt: skip
    assert run_.stderr is not None
    for line in run_.stderr:
        if "  day " in line:  # at work
            break
    children = Path(f"/proc/{run_.pid}/task/{run_.pid}/children").read_text().split()
    handles = [os.pidfd_open(int(pid)) for pid in children]
    run_.send_signal(signal.SIGINT)
    said = run_.stderr.read()
    run_.stderr.close()
    assert run_.wait() == 130
    assert "Traceback" not in said
    assert len(handles) == 2
    for handle in handles:
        assert select.select([handle], [], [], 30.0)[0]
        os.close(handle)
    assert not [path for path in tmp_path.iterdir() if path.name != "home"]
