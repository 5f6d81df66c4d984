"""`dhanfast exchange`: what it prints, how it ends, what it refuses."""

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run
from dhanfast.storage.bars import read_bars

pytest.importorskip("aiohttp")
GENERATE = ["exchange", "--generate", "--symbol", "NIFTY", "--date", "2025-11-17", "--strikes", "3"]
LIMIT_S = 30


def start(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-m", "dhanfast", *words], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


def line(process: "subprocess.Popen[str]") -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_listens_and_ends_cleanly(number: signal.Signals) -> None:
    process = start(*GENERATE, "--json", "--speed", "100x")
    facts = line(process)
    assert facts["client_id"] == "1000000001" and facts["generated"] is True
    request = urllib.request.Request(f"http://127.0.0.1:{facts['port']}/v2/fundlimit",
                                     headers={"access-token": facts["token"]})  # fmt: skip
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        assert json.load(answer)["sodLimit"] == 10_000_000
    process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out, err) == (0, "", "")


def test_seeds_make_the_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for seed in ("1", "1", "2"):
        assert run([*GENERATE, "--json", "--duration", "1s", "--seed", seed]) == 0
        facts = json.loads(capsys.readouterr().out)
        found.append([facts[name] for name in ("totp_secret", "app_id", "app_secret")])
    assert found[0] == found[1] != found[2]


def test_files_of_a_folder_are_its_history(tmp_path: Path) -> None:
    (tmp_path / "bars").mkdir()
    assert run(["generate", "NIFTY", "--from", "2025-11-13", "--to", "2025-11-14",
                "-o", str(tmp_path / "bars" / "day.parquet")]) == 0  # fmt: skip
    empty = start(*GENERATE, "--history", str(tmp_path))
    assert "no file of minute bars in it" in empty.communicate(timeout=LIMIT_S)[1]
    assert empty.returncode == 2
    process = start(*GENERATE, "--json", "--history", str(tmp_path / "bars"))
    facts = line(process)
    body = {"securityId": "13", "exchangeSegment": "IDX_I", "instrument": "INDEX", "interval": 1,
            "fromDate": "2025-11-10", "toDate": "2025-11-14"}  # fmt: skip
    request = urllib.request.Request(
        f"http://127.0.0.1:{facts['port']}/v2/charts/intraday", data=json.dumps(body).encode(),
        headers={"access-token": facts["token"], "client-id": facts["client_id"]},
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
        said = json.load(answer)
    bars = read_bars(tmp_path / "bars" / "day.parquet").bars
    assert said["timestamp"] == (bars["start_ns"] // 10**9).tolist()
    assert [round(100 * price) for price in said["close"]] == bars["close"].tolist()
    process.terminate()
    assert process.communicate(timeout=LIMIT_S) == ("", "")


def test_an_archive_is_a_market(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "day.dfa"
    assert run(["generate", "NIFTY", "--what", "chain", "--from", "2025-11-17",
                "--to", "2025-11-17", "--ticks", "20000", "--strikes", "3", "-o",
                str(path)]) == 0  # fmt: skip
    capsys.readouterr()
    assert run(["exchange", "--data", str(path), "--json", "--duration", "1s"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["date"], facts["instruments"], facts["generated"]) == ("2025-11-17", 8, True)


def test_text_names_the_account(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*GENERATE, "--duration", "1s"]) == 0
    text = capsys.readouterr().out
    assert "exchange on http://127.0.0.1:" in text and "account 1000000001, PIN 123456" in text


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "--generate, or --data"),
        (["--generate", "--data", __file__], 2, "--generate, or --data"),
        (["--data", __file__, "--symbol", "NIFTY"], 2, "--symbol goes with --generate"),
        (["--generate", "--date", "2025-11-16"], 2, "no trading on 2025-11-16"),
        (["--generate", "--symbol", "NIFFTY"], 2, "NIFFTY"),
        (["--generate", "--set", "colour=red"], 3, "colour"),
        (["--generate", "--set", "key=x"], 3, "key"),
        (["--generate", "--set", "casing=upper"], 3, "casing"),
        (["--generate", "--set", "token_life_s=x"], 3, "token_life_s"),
        (["--generate", "--set", "limits"], 2, "NAME=VALUE"),
        (["--generate", "--speed", "0x"], 3, "speed"),
    ],
)
def test_refusals(words: list[str], code: int, text: str,
                  capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert run(["exchange", *words]) == code
    assert text in capsys.readouterr().err


def test_a_file_of_faults_is_read_and_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "faults.toml"
    path.write_text('[[fault]]\nkind = "slow"\n')
    assert run([*GENERATE, "--duration", "1s", "--faults", str(path)]) == 0
    path.write_text('[[fault]]\nkind = "slower"\n')
    assert run([*GENERATE, "--duration", "1s", "--faults", str(path)]) == 3
    assert "slower" in capsys.readouterr().err
