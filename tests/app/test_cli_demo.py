"""`dhanfast demo`: a live day on paper by one command, that leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dhanfast.app.cli import run
from tests.app.live_process import LIMIT_S, STRATEGIES

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

FILL = re.compile(r"^\d\d:\d\d:\d\d  (BUY |SELL) +\d+ BANKNIFTY-Nov2026-FUT at [\d,.]+  \w+", re.M)


def exchanges(seed: int) -> list[int]:
    """Processes that serve the market of a seed."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"exchange" in words and str(seed).encode() in words:
            found.append(int(place.parent.name))
    return found


def demo(folder: Path, seed: int, *words: str) -> list[str]:
    (folder / "mine.py").write_text(STRATEGIES)
    return [sys.executable, "-m", "dhanfast", "demo", "--seed", str(seed), "-s",
            f"{folder / 'mine.py'}:Turner", *words]  # fmt: skip


def test_a_demo_trades_ends_and_leaves_a_report_and_nothing_else(tmp_path: Path) -> None:
    seed, home = 918_273, tmp_path / "home"
    started = time.monotonic()
    done = subprocess.run(
        demo(tmp_path, seed, "--until", "09:40", "--export", str(tmp_path / "out")),
        capture_output=True, text=True, timeout=2 * LIMIT_S,
        env=os.environ | {"DHANFAST_HOME": str(home)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 60
    assert FILL.search(done.stderr), done.stderr
    assert "PAPER: orders are simulated" in done.stderr
    assert done.stdout.startswith("2026-11-20 · paper") and "GENERATED DATA" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    told = [line for line in done.stderr.splitlines() if not line.startswith("report:")]
    assert max(map(len, told)) <= 80, told
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<html" in page and "GENERATED" in page and "BANKNIFTY" in page
    assert exchanges(seed) == [] and not home.exists()


@pytest.mark.slow
def test_ctrl_c_ends_a_demo_with_its_day(tmp_path: Path) -> None:
    seed = 918_274
    words = demo(tmp_path, seed, "--export", str(tmp_path / "out"))
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            said = ""
            while not FILL.search(said):
                line = process.stderr.readline()
                assert line, said
                said += line
            assert len(exchanges(seed)) == 1
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=LIMIT_S)
        finally:
            if process.poll() is None:
                process.kill()
    assert process.returncode == 0 and out.startswith("2026-11-20 · paper")
    assert exchanges(seed) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [(("-s", "no-such-one"), "no-such-one"), (("--export", "{taken}"), "not an empty directory")],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    given = [word.format(taken=tmp_path / "taken") for word in words]
    assert run(["demo", "--seed", "918275", *given]) == 2
    said = capsys.readouterr().err
    assert told in said and "starting the exchange" not in said and exchanges(918_275) == []
