"""What people write by mistake: refused in one short line that names the place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dhanfast.app.cli import run
from dhanfast.app.config import load_config
from dhanfast.engine.settings import duration_ns
from dhanfast.errors import ConfigError

SETTINGS = ["risk.stops.time_max", "feed.stale_after", "strategy.timeframe", "simulation.latency"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path))
    return tmp_path


def written(home: Path, text: str) -> str:
    """A configuration file of the test."""
    path = home / "config.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("key", SETTINGS)
def test_a_duration_of_hundreds_of_digits(key: str, home: Path) -> None:
    with pytest.raises(ConfigError, match="longer than 290 years") as caught:
        load_config([], home, [f"{key}={'9' * 400}s"], {})
    assert key in str(caught.value) and len(str(caught.value)) < 200
    assert duration_ns("9223372036s", "it") == 9_223_372_036 * 10**9  # just below


@pytest.mark.parametrize("key", ["risk.day_loss", "risk.band", "risk.entry_from", "log.level"])
def test_a_value_is_repeated_in_short(key: str, home: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([], home, [f"{key}={'9' * 5_000}"], {})
    assert key in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("key", ["log.file", "filters.events_file", "preset", "strategy.use"])
def test_bytes_that_are_no_text(key: str, home: Path) -> None:
    for text, words in (("a\udcff", "is not UTF-8"), ("a\0b", "NUL")):
        with pytest.raises(ConfigError, match=rf"{key}: .*{words}"):
            load_config([], home, [f"{key}={text}"], {})
    name = "DHANFAST__" + key.upper().replace(".", "__")
    with pytest.raises(ConfigError, match=f"environment {name}"):
        load_config([], home, [], {name: "a\udcff"})


def test_a_nul_in_a_file(home: Path) -> None:
    path = written(home, '[log]\nfile = "a\\u0000b"\n')
    with pytest.raises(ConfigError, match=r"config\.toml: log\.file: holds a NUL"):
        load_config([path], home, [], {})


def test_limits_are_judged_without_a_strategy(home: Path) -> None:
    wrong = "[risk.guards.vix]\non = true\nhigh = 20\nhigh_leave = 30\n"
    told = set()
    for more in ("", '[[strategy]]\nname = "a"\nuse = "momentum"\n'):
        with pytest.raises(ConfigError) as caught:
            load_config([written(home, wrong + more)], home, [], {})
        told.add(str(caught.value))
    assert len(told) == 1 and "high_leave" in told.pop()


@pytest.mark.parametrize(
    ("use", "params", "key", "words"),
    [
        ("nosuch", "{}", "strategy.use", "no strategy is called 'nosuch'"),
        ("gone.py", "{}", "strategy.use", "does not exist|no strategy is called"),
        ("bad.py", "{}", "strategy.use", "SyntaxError"),
        ("empty.py", "{}", "strategy.use", "exactly one strategy class"),
        ("momentum", "{ nope = 1 }", "strategy.params", "nope"),
        ("momentum", '{ ema = "x" }', "strategy.params", "ema must be int"),
    ],
)
def test_validate_says_3_of_a_strategy_that_cannot_be_made(
    use: str, params: str, key: str, words: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "strategies").mkdir()
    for name, text in (("bad.py", "def ("), ("empty.py", "x = 1")):
        (home / "strategies" / name).write_text(text)
    place = home / "strategies" / use if use.endswith(".py") else use
    written(home, f'[[strategy]]\nname = "a"\nuse = "{place}"\nparams = {params}\n')
    assert run(["config", "validate"]) == 3
    told = capsys.readouterr().err
    assert f"config.toml: {key}: " in told
    assert any(one in told for one in words.split("|"))


def test_init_that_nobody_answers(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import io

    before, sys.stdin = sys.stdin, io.StringIO("")
    try:
        assert run(["init", str(home / "new")]) == 2
    finally:
        sys.stdin = before
    assert "--no-input" in capsys.readouterr().err
    assert not (home / "new").exists()
    assert run(["init", str(home / "new"), "--no-input"]) == 0
    assert run(["config", "validate", "--user-dir", str(home / "new")]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams(closed: tuple[int, ...], home: Path) -> None:
    """No traceback, and no file that the program opens gets what was meant for a stream."""
    (home / "one.bin").write_bytes(bytes.fromhex("07080001" + "35050000"))
    kept = (home / "kept").open("w+b")
    target = kept.fileno()
    program = (
        "import os, sys\n"
        f"os.dup2({target}, 9)\n"
        f"for one in {closed}: os.close(one)\n"
        f"if 1 not in {closed}: os.dup2(9, 1)\n"
        f"if 2 not in {closed}: os.dup2(9, 2)\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'dhanfast', 'decode', 'dhan', "
        "'one.bin', '--json'])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=home, pass_fds=(target,), env=dict(os.environ),
        timeout=60, check=False,
    )  # fmt: skip
    told = (home / "kept").read_text()
    kept.close()
    assert ended.returncode == 0
    assert "Traceback" not in told
    assert ('"market_status"' in told) is (1 not in closed)
    assert ("1 packets" in told) is (2 not in closed)
    assert (home / "one.bin").read_bytes() == bytes.fromhex("0708000135050000")
