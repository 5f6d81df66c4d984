"""`dhanfast record` and `generate` into an archive: files, figures, stops, kills, refusals."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.broadcast import FOLDER, BroadcastWriter
from dhanfast._core.types import TICK_DTYPE
from dhanfast.app.cli import run
from dhanfast.app.cli_record import figures_text
from dhanfast.clock import SystemClock
from dhanfast.engine.recording import About, ProgressReader, forget, write_about
from dhanfast.market.tickday import tick_day
from dhanfast.storage.archive.reader import ArchiveReader

DAY = dt.date(2025, 11, 17)
GENERATE = ("record", "--generate", "BANKNIFTY", "--date", "2025-11-17", "--strikes", "2")


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = run([str(word) for word in words])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return code, printed.out, printed.err


def expected(ticks: int, seed: int = 1, **more: Any) -> Any:
    day = tick_day("BANKNIFTY", DAY, seed=seed, ticks=ticks, strikes=2, **more)
    return np.concatenate([batch.ticks for batch in day])


def rows_of(path: Path, stream: str = "ticks") -> Any:
    with ArchiveReader(path) as reader:
        return reader.to_numpy(stream)


# ---- the generator -------------------------------------------------------------------------------


def test_a_generated_day_is_recorded_sealed_and_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, *GENERATE, "--ticks", "50000", "--seed", "9", "--out", tmp_path)
    path = tmp_path / "ticks/2025-11-17.dfa"
    assert code == 0 and str(path) in out and "sealed" in out and "lost 0" in out, err
    assert "50,000 rows in" in out and "bytes a row" in out
    np.testing.assert_array_equal(rows_of(path), expected(50_000, 9))
    code, out, _ = said(
        capsys, "replay", "2025-11-17", "--catalog", tmp_path, "-s", "momentum", "--json"
    )
    assert code == 0 and json.loads(out)["replay"]["ticks"] > 0
    code, _, err = said(capsys, *GENERATE, "--ticks", "50000", "--out", tmp_path)
    assert code == 2 and "2025-11-17.dfa is there" in err


def test_one_file_books_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = tmp_path / "one.dfa"
    code, out, _ = said(capsys, *GENERATE, "--ticks", "5000", "--out", one, "--json")
    (figures,) = json.loads(out)
    assert code == 0 and figures["paths"] == [str(one)] and figures["lost"] == 0
    assert figures["rows"] == figures["rows_in_files"] == 5000
    assert figures["bytes"] == one.stat().st_size
    assert figures["bytes_a_row"] == round(one.stat().st_size / 5000, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["one.dfa"]
    code, out, _ = said(
        capsys, *GENERATE, "--ticks", "5000", "--depth", "5", "--out", tmp_path, "--json"
    )
    ticks, depth = json.loads(out)
    assert code == 0 and depth["paths"] == [str(tmp_path / "ticks/depth/2025-11-17.dfa")]
    day = tick_day("BANKNIFTY", DAY, seed=1, ticks=5000, strikes=2, depth_levels=5)
    books = np.concatenate([batch.depth for batch in day])
    np.testing.assert_array_equal(rows_of(Path(depth["paths"][0]), "depth"), books)
    np.testing.assert_array_equal(rows_of(Path(ticks["paths"][0])), rows_of(one))


def test_a_pace_and_a_duration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(
        capsys, *GENERATE, "--ticks", "400000", "--speed", "100x", "--duration", "20s",
        "--out", tmp_path, "--json",
    )  # fmt: skip
    (figures,) = json.loads(out)
    whole = expected(400_000)
    part = whole[whole["recv_ns"] < whole["recv_ns"][0] + 20 * 10**9]
    assert code == 0 and figures["sealed"] and figures["seconds"] >= 0.2
    np.testing.assert_array_equal(rows_of(tmp_path / "ticks/2025-11-17.dfa"), part)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_a_whole_file(tmp_path: Path, number: signal.Signals) -> None:
    ring = f"test-cli-{os.getpid()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "dhanfast", *GENERATE, "--ticks", "400000", "--speed", "1x",
         "--ring", ring, "--out", str(tmp_path), "--json"],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    line = ""
    while "rows" not in line:
        line = process.stderr.readline()
        assert line, process.communicate()
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "stopped" in err, err
    (figures,) = json.loads(out)
    assert figures["sealed"] and figures["lost"] == 0 and 0 < figures["rows"] < 400_000
    rows = rows_of(tmp_path / "ticks/2025-11-17.dfa")
    np.testing.assert_array_equal(rows, expected(400_000)[: len(rows)])
    assert not list(Path(FOLDER).glob(f"dhanfast-{ring}*"))


def test_generate_writes_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "day.dfa"
    words = ("generate", "BANKNIFTY", "--what", "chain", "--strikes", "2", "--ticks", "6000",
             "--from", "2025-11-17", "--to", "2025-11-17", "--depth", "5", "-o")  # fmt: skip
    code, _, err = said(capsys, *words, path)
    assert code == 0 and "6000" in err
    day = tick_day("BANKNIFTY", DAY, seed=1, ticks=6000, strikes=2, depth_levels=5)
    batches = list(day)
    np.testing.assert_array_equal(rows_of(path), np.concatenate([b.ticks for b in batches]))
    np.testing.assert_array_equal(
        rows_of(path, "depth"), np.concatenate([b.depth for b in batches])
    )
    with ArchiveReader(path) as reader:  # both streams in one order of arrival
        assert reader.sealed and reader.head["generated"]
        blocks = [(block.seq, block.rows["recv_ns"])
                  for stream in ("ticks", "depth") for block in reader.blocks(stream)]  # fmt: skip
    seq = np.concatenate([seq for seq, _ in blocks])
    recv = np.concatenate([recv for _, recv in blocks])
    assert sorted(seq.tolist()) == list(range(len(seq)))
    assert (np.diff(recv[np.argsort(seq)]) >= 0).all()
    code, _, err = said(capsys, *words, path)
    assert code == 2 and "exists" in err
    code, _, err = said(
        capsys, "generate", "NIFTY", "--from", "2025-11-17", "--to", "2025-11-17", "-o",
        tmp_path / "bars.dfa",
    )  # fmt: skip
    assert code == 2 and "an archive takes ticks" in err


# ---- a ring --------------------------------------------------------------------------------------


class Publisher:
    """A ring as a live feed would have it, with ticks of today's clock."""

    def __init__(self) -> None:
        self.name = f"test-live-{os.getpid()}"
        about = About("a test", False, ({"index": 0, "symbol": "NIFTY", "kind": "IDX"},))
        write_about(self.name, about)
        self.writer = BroadcastWriter(
            self.name, record_bytes=TICK_DTYPE.itemsize, slots=4096, tag="tick"
        )
        self.sent: list[Any] = []
        self.began_ns = SystemClock().now_ns()  # of today: files of days gone by are sealed at once

    def publish(self, count: int) -> None:
        rows = np.zeros(count, TICK_DTYPE)
        rows["recv_ns"] = rows["exch_ns"] = self.began_ns + np.arange(count)
        rows["recv_ns"] += sum(map(len, self.sent))
        rows["price"] = np.arange(count) + 1
        self.writer.put_many(rows)
        self.sent.append(rows)

    def taken(self, count: int) -> None:
        """Wait until a recorder has taken so many records."""
        progress = ProgressReader(self.name)
        while int(progress.read()["taken"]) < count:
            pass


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.writer.close()
    forget(made.name)


def recorder(publisher: Publisher, root: Path, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "dhanfast", "record", "--ring", publisher.name, "--out", str(root),
         "--json", *more],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_ring_is_recorded_through_stops_and_kills(publisher: Publisher, tmp_path: Path) -> None:
    """Stopped, killed, closed: three recorders, one file, every record once."""
    first = recorder(publisher, tmp_path)
    publisher.publish(1000)
    publisher.taken(1000)
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=120)
    assert first.returncode == 0, err
    (figures,) = json.loads(out)
    assert not figures["sealed"] and figures["rows"] == 1000
    second = recorder(publisher, tmp_path)
    publisher.publish(700)
    publisher.taken(1700)
    second.kill()
    second.communicate()
    publisher.publish(300)
    third = recorder(publisher, tmp_path)
    publisher.taken(2000)
    publisher.writer.close()
    out, err = third.communicate(timeout=120)
    (figures,) = json.loads(out)
    assert third.returncode == 0 and figures["sealed"] and figures["lost"] == 0, err
    (path,) = [Path(path) for path in figures["paths"]]
    assert sorted((tmp_path / "ticks").iterdir()) == [path]
    np.testing.assert_array_equal(rows_of(path), np.concatenate(publisher.sent))
    with ArchiveReader(path) as reader:
        assert reader.sealed and not reader.head["generated"]
        assert reader.head["source"] == "a test" and "NIFTY" in reader.instruments.by_symbol
        assert not [note for note in reader.notes if note["kind"] == "gap"]


def test_what_a_ring_overwrote_is_counted_and_fails_the_command(
    publisher: Publisher, tmp_path: Path
) -> None:
    first = recorder(publisher, tmp_path)
    publisher.publish(100)
    publisher.taken(100)
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=120)
    publisher.publish(10_000)  # more than the ring has room for, nobody looking
    second = recorder(publisher, tmp_path)
    publisher.taken(10_100)
    publisher.writer.close()
    out, _ = second.communicate(timeout=120)
    (figures,) = json.loads(out)
    assert second.returncode == 1
    assert figures["lost"] == 10_100 - 100 - figures["rows"] > 5_000
    with ArchiveReader(figures["paths"][0]) as reader:
        (gap,) = [note for note in reader.notes if note["kind"] == "gap"]
        assert gap["lost"] == figures["lost"]


def test_a_second_recorder_of_a_ring_is_refused(publisher: Publisher, tmp_path: Path) -> None:
    first = recorder(publisher, tmp_path)
    publisher.publish(10)
    publisher.taken(10)
    second = recorder(publisher, tmp_path / "other")
    _, err = second.communicate(timeout=120)
    assert second.returncode == 1 and "is being recorded already" in err
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=120)
    assert first.returncode == 0


def test_a_duration_ends_the_recording_of_a_ring(
    publisher: Publisher, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher.publish(10)
    code, out, _ = said(
        capsys, "record", "--ring", publisher.name, "--duration", "50ms", "--out", tmp_path
    )
    assert code == 0 and "10 rows in" in out and "the next recorder goes on with it" in out
    code, out, _ = said(
        capsys, "record", "--ring", "nobody", "--duration", "1ms", "--out", tmp_path / "none"
    )
    assert code == 0 and "nothing came" in out
    forget("nobody")


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say what to record: --ring NAME, or --generate SYMBOL"),
        (("--ring", "x", "--date", "2025-11-17"), "--date goes with --generate"),
        (("--ring", "x", "--speed", "1x"), "--speed goes with --generate"),
        (("--ring", "x", "--out", "file.dfa"), "a ring is recorded into a folder"),
        (("--generate", "BANKNIFTY"), "--date: which day"),
        (("--generate", "BANKNIFTY", "--date", "17.11.2025"), "--date '17.11.2025' is not a date"),
        (("--generate", "BANKNIFTY", "--date", "2025-11-16"), "2025-11-16"),
        (("--generate", "BANKNIFTI", "--date", "2025-11-17"), "BANKNIFTY"),
        (("--generate", "BANKNIFTY", "--date", "2025-11-17", "--out", "no/x.dfa"), "folder"),
        (
            ("--generate", "BANKNIFTY", "--date", "2025-11-17", "--depth", "5", "--out", "x.dfa"),
            "ticks and books are two files",
        ),
    ],
)
def test_bad_words_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, _, err = said(capsys, "record", *words)
    assert code == 2 and message in err, err
    assert not list(tmp_path.iterdir())


def test_the_figures_name_what_went_wrong() -> None:
    text = figures_text({
        "paths": ["a.dfa"], "sealed": False, "rows": 5, "rows_in_files": 7, "bytes": 70,
        "bytes_a_row": 10.0, "seconds": 2.0, "rows_a_second": 2, "lost": 3, "late": 2,
        "error": "disk full",
    })  # fmt: skip
    assert text.splitlines() == [
        "a.dfa",
        "  not sealed: the next recorder goes on with it",
        "  7 rows in 70 bytes, 10.00 bytes a row",
        "  recorded 5 rows in 2.0 s, 2/s, lost 3",
        "  2 rows came after their day's file was closed",
        "  last error: disk full",
    ]
