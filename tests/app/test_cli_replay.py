"""`dhanfast replay` and `backtest` on an archive: results, options, labels, keys and signals."""

import datetime as dt
import json
import math
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run
from dhanfast.app.cli_replay import progress_text
from dhanfast.app.run_options import moment, one_symbol
from dhanfast.app.tick_files import archives_of, is_archive, speed_of
from dhanfast.clock import ManualClock
from dhanfast.engine.generated_ticks import archive_writer, generated_writer
from dhanfast.engine.recorded import recorded
from dhanfast.engine.replay import ReplayStatus
from dhanfast.engine.settings import Settings, Slippage
from dhanfast.engine.tick_replay import replay_ticks
from dhanfast.errors import ConfigError, UsageError
from dhanfast.market.tickday import tick_day

DAY = dt.date(2025, 11, 17)
FUTURE = "BANKNIFTY25NOVFUT"
SECOND = 10**9


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive folder of one generated day, and a file that was never sealed."""
    root = tmp_path_factory.mktemp("archive")
    day = tick_day("BANKNIFTY", DAY, seed=5, ticks=60_000, strikes=2)
    (root / "ticks").mkdir()
    with archive_writer(root / "ticks/2025-11-17.dfa", day, clock=ManualClock()) as write:
        for batch in day:
            write(batch)
    with generated_writer(root / "open.dfa", day, clock=ManualClock()) as writer:
        writer.append("ticks", next(iter(day)).ticks[:40_000])
        writer.note({"kind": "gap", "stream": "ticks", "from_ns": 1_763_352_000 * SECOND,
                     "to_ns": 1_763_352_060 * SECOND, "lost": 1234,
                     "reason": "unplugged"})  # fmt: skip
    return root


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = run([str(word) for word in words])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.out, printed.err


def summary_of(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    code, out, err = said(capsys, *words, "--json")
    assert code == 0, err
    return json.loads(out)


# ---- one run by two names ------------------------------------------------------------------------


def test_backtest_and_replay_of_a_file_are_one_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, common = folder / "ticks/2025-11-17.dfa", ("-s", "momentum", "--set", "ema=12")
    first = summary_of(capsys, "backtest", "--data", path, *common)
    again = summary_of(capsys, "replay", path, *common, "--speed", "max")
    fast = summary_of(capsys, "replay", path, *common, "--speed", "1000000x")
    ticks = recorded([path], symbol=FUTURE)
    expected = replay_ticks("momentum", ticks, params={"ema": 12}, clock=ManualClock()).run()
    assert first["digest"] == again["digest"] == fast["digest"] == expected.digest
    assert "replay" not in first
    assert again["replay"]["lateness_ns"] is None
    late = fast["replay"]["lateness_ns"]
    assert fast["replay"]["ticks"] == late["events"] == expected.counters["ticks"] > 1_000
    assert 0 <= late["p50"] <= late["p99"] <= late["max"]
    assert any("GENERATED" in warning for warning in first["warnings"])


def test_the_page_is_that_of_a_backtest_and_says_generated(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "ticks/2025-11-17.dfa"
    code, out, err = said(
        capsys, "replay", path, "-s", "momentum", "--export", tmp_path / "run", "--seed", "3"
    )
    assert code == 0 and (tmp_path / "run/report.html").is_file()
    assert out.startswith("! GENERATED") and "BANKNIFTY FUT" in out and "digest" in out
    assert max(map(len, out.splitlines())) <= 80
    assert f"{FUTURE}, generated 2025-11-17 09:15:00 to 15:29:59 IST, max" in err
    kept = json.loads((tmp_path / "run/result.json").read_text())
    assert kept["config"]["seed"] == 3


def test_a_day_is_found_in_the_archive_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    by_path = summary_of(capsys, "replay", folder / "ticks/2025-11-17.dfa", "-s", "momentum")
    by_day = summary_of(capsys, "replay", "2025-11-17", "--catalog", folder, "-s", "momentum")
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path))
    (tmp_path / "catalog").symlink_to(folder)
    at_home = summary_of(capsys, "replay", "2025-11-17", "-s", "momentum")
    assert by_path["digest"] == by_day["digest"] == at_home["digest"]


def test_every_option_reaches_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "ticks/2025-11-17.dfa"
    options = ("--symbols", "BANKNIFTY", "--from", "09:30", "--to", "2025-11-17T14:00",
               "--timeframe", "2m", "--lots", "2", "--slippage", "3ticks", "--latency", "250ms",
               "--capital", "50,00,000")  # fmt: skip
    got = summary_of(capsys, "replay", path, "-s", "momentum", *options)
    ticks = recorded(
        [path], symbol="BANKNIFTY", start=dt.time(9, 30), end=dt.datetime(2025, 11, 17, 14)
    )
    settings = Settings(capital=500_000_000, lots=2, slippage=Slippage(ticks=3),
                        latency_ns=250_000_000, timeframe_ns=120 * SECOND)  # fmt: skip
    expected = replay_ticks("momentum", ticks, settings=settings, clock=ManualClock()).run()
    assert got["digest"] == expected.digest and len(expected.trades) > 0
    assert got["timeframe"] == "2m"
    assert any("modelled" in warning for warning in got["warnings"])  # index: no future's prices


def test_what_a_file_lacks_is_in_the_notes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got = summary_of(capsys, "backtest", "--data", folder / "open.dfa", "-s", "momentum")
    notes = "\n".join(got["warnings"])
    assert (
        "open.dfa: 1,234 rows are missing between 2025-11-17 09:30:00 and 2025-11-17 09:31:00 IST "
        "(unplugged)" in notes
    )
    assert "open.dfa is not sealed" in notes
    late = ("--from", "09:45")
    got = summary_of(capsys, "replay", folder / "open.dfa", "-s", "momentum", *late)
    assert "1,234" not in "\n".join(got["warnings"])  # the gap is not in this stretch


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (("--speed", "fast"), "--speed 'fast': write 1x, 10x", 2),
        (("--speed", "0x"), "speed must be from 0.001", 3),
        (("--from", "noon"), "--from 'noon' is not a moment", 2),
        (("--from", "14:00", "--to", "10:00"), "to 10:00:00 lies before from 14:00:00", 2),
        (("--from", "16:00"), "no tick of BANKNIFTY25NOVFUT from 16:00:00", 2),
        (("--symbols", "BANKNIFTY25NOVFU"), "near: BANKNIFTY25NOVFUT", 2),
        (("--symbols", "A,B"), "a run trades one instrument", 2),
        (("--symbols", "BANKNIFTY25NOV52500CE"), "cannot be traded by a run", 2),
        (("--set", "emma=3"), "did you mean ema", 2),
        (("--timeframe", "soon"), "timeframe: 'soon' is not a duration", 3),
    ],
)
def test_bad_words_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str,
    code: int,
) -> None:  # fmt: skip
    got, _, err = said(capsys, "replay", folder / "ticks/2025-11-17.dfa", "-s", "momentum", *words)
    assert (got, message in err) == (code, True), err


def test_bad_sources_are_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "junk.dfa").write_bytes(b"DFARCH1\n" + bytes(64))
    (tmp_path / "text").write_text("hello")
    for source, message in (
        ("nowhere.dfa", "no such file"),
        (tmp_path / "junk.dfa", "junk.dfa: byte 8"),
        (tmp_path / "text", "not a dhanfast archive"),
        ("2025-11-18", "no tick archive of 2025-11-18; it has 2025-11-17 to 2025-11-17"),
    ):
        code, _, err = said(capsys, "replay", source, "-s", "momentum", "--catalog", folder)
        assert code in (1, 2) and message in err, err
    code, _, err = said(
        capsys, "replay", "2025-11-18", "-s", "momentum", "--catalog", tmp_path / "none"
    )
    assert code == 2 and "it has none at all" in err


def test_options_of_bars_and_of_ticks_are_told_apart(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "ticks/2025-11-17.dfa"
    code, _, err = said(capsys, "backtest", "-s", "momentum", "--data", path, "--detail", "x")
    assert code == 2 and "--detail: orders meet the ticks" in err
    code, _, err = said(
        capsys, "backtest", "-s", "momentum", "--data", "x.parquet", "--symbols", "A"
    )
    assert code == 2 and "--symbols chooses from a tick archive" in err


# ---- words ---------------------------------------------------------------------------------------


def test_speeds_and_moments() -> None:
    assert [speed_of(text) for text in ("1x", "10X", "2.5", " max ")] == [1.0, 10.0, 2.5, math.inf]
    for text in ("", "x", "inf", "nan", "1y"):
        with pytest.raises(UsageError, match="--speed"):
            speed_of(text)
    with pytest.raises(ConfigError):
        speed_of("-1x")
    assert moment(None, "to") is None
    assert moment("2026-01-02", "to") == dt.date(2026, 1, 2)
    assert moment("09:15:30", "to") == dt.time(9, 15, 30)
    assert moment("2026-01-02 09:15", "to") == dt.datetime(2026, 1, 2, 9, 15)
    for text in ("9am", "09", "09:15+05:30", ""):
        with pytest.raises(UsageError, match="--to"):
            moment(text, "to")
    assert one_symbol(" NIFTY ") == "NIFTY" and one_symbol(None) is None
    with pytest.raises(UsageError, match="name one"):
        one_symbol(",")


def test_archives_are_known_by_suffix_or_by_their_beginning(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "ticks.bin"
    other.write_bytes((folder / "ticks/2025-11-17.dfa").read_bytes()[:100])
    assert is_archive(str(other)) and is_archive("absent.dfa")
    assert not is_archive(str(tmp_path)) and not is_archive("BANKNIFTY")
    assert archives_of(str(other), None) == [other]


class Stub:
    def __init__(self, **more: Any) -> None:
        told = {"state": "running", "ticks": 4_500_000, "position_ns": 1_763_361_000 * SECOND,
                "speed": 10.0, "behind_ns": 0, "restarts": 0}  # fmt: skip
        self.told = ReplayStatus(**(told | more))

    def status(self) -> ReplayStatus:
        return self.told


def test_the_progress_line_fits_and_says_what_it_should() -> None:
    first, last = 1_763_351_100 * SECOND, 1_763_373_600 * SECOND  # 09:15 to 15:30
    text = progress_text(Stub(), first, last, 990.0)  # type: ignore[arg-type]
    assert text == "replay 12:00:00   44%  4.50M ticks  4.55k/s  10x  21:00 left"
    text = progress_text(Stub(speed=math.inf), first, last, 0.5)  # type: ignore[arg-type]
    assert text == "replay 12:00:00   44%  4.50M ticks  9.00M/s  max  0:01 left"
    text = progress_text(Stub(state="paused"), first, last, 990.0)  # type: ignore[arg-type]
    assert "paused" in text
    text = progress_text(Stub(behind_ns=3 * SECOND), first, last, 990.0)  # type: ignore[arg-type]
    assert "3 s behind" in text and len(text) < 80
    text = progress_text(Stub(ticks=0), first, last, 1.0)  # type: ignore[arg-type]
    assert text == "replay: reading"


# ---- keys and signals, in a process of its own ---------------------------------------------------


def until(handle: int, said: Callable[[str], bool]) -> str:
    """Read a terminal until what it shows fits; its last line of progress."""
    seen = ""
    while True:
        assert select.select([handle], [], [], 120.0)[0], seen
        seen += os.read(handle, 4096).decode()
        shown = [line for line in seen.split("\r") if line.startswith("replay ")]
        if shown and said(shown[-1]):
            return shown[-1]


def started(folder: Path, *words: str, **more: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "dhanfast", "replay", str(folder / "ticks/2025-11-17.dfa"),
         "-s", "momentum", "--from", "09:30", *words],
        text=True, stdout=subprocess.PIPE, **more,
    )  # fmt: skip


def test_keys_pause_go_ahead_and_stop(folder: Path) -> None:
    host, guest = pty.openpty()
    process = started(folder, "--speed", "1x", "--json", stdin=guest, stderr=guest)
    os.close(guest)
    until(host, lambda line: "1x" in line and " left" in line)
    os.write(host, b" ")
    before = until(host, lambda line: "paused" in line)
    os.write(host, b"\x1b[C")  # a minute ahead, still paused
    after = until(host, lambda line: line[7:15] > "09:30:30")
    assert "paused" in before and "paused" in after and before[7:15] < "09:30:30"
    os.write(host, b" ")
    until(host, lambda line: "1x" in line)
    os.write(host, b"\x1b[C\x1b[C")
    until(host, lambda line: line[7:15] > "09:32:30")
    os.write(host, b"q")
    out, _ = process.communicate(timeout=120)
    os.close(host)
    result = json.loads(out)
    assert process.returncode == 0 and result["replay"]["stopped"]
    assert any(w.startswith("PARTIAL: the replay was stopped after") for w in result["warnings"])
    assert result["counters"]["bars"] >= 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_with_the_result_so_far(folder: Path, number: signal.Signals) -> None:
    process = started(folder, "--speed", "60x", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    line = ""
    while "replay 09:3" not in line:  # the first line of progress comes after two seconds
        line = process.stderr.readline()
        assert line, process.communicate()
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "stopped after" in err, err
    assert "PARTIAL" in out and "digest" in out


# ---- option structures ---------------------------------------------------------------------------

STRUCTURE = """
underlying = "BANKNIFTY"
entry = "09:20"
exit = "15:00"
[order]
deadline = "5m"
[[leg]]
side = "sell"
right = "CE"
strike = "atm"
[[leg]]
side = "sell"
right = "PE"
strike = "atm"
"""


def test_a_structure_is_replayed_and_one_of_an_instrument_is_refused_beside_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, day = tmp_path / "straddle.toml", folder / "ticks/2025-11-17.dfa"
    file.write_text(STRUCTURE)
    told = summary_of(capsys, "replay", day, "--legs", file)
    assert told["counters"]["structures"] == 1 and told["replay"]["ticks"] > 10_000
    assert any("Grade replay" in note for note in told["notes"])
    part = summary_of(capsys, "replay", day, "--legs", file, "--to", "10:00")
    assert "PARTIAL" in part["notes"][0]
    for word, value in (("-s", "momentum"), ("--timeframe", "5m"), ("--symbols", "BANKNIFTY")):
        code, _, err = said(capsys, "replay", day, "--legs", file, word, value)
        assert code == 2 and "does not go with --legs" in err
