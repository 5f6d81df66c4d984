"""`dhanfast journal show` and `verify`, as a user sees them."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.live.records import ANSWER_DTYPE, UPDATE_DTYPE
from dhanfast._core.types import TICK_DTYPE
from dhanfast.app.cli import run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of four records."""
    header = JournalHeader(0xC0FFEE, 20261123, "morning", bytes(32), 0, "")
    journal = Journal(str(tmp_path / "a.dfj"), header, sync_ns=0)
    journal.append_record(Kind.START, b'{"engine": 1}', 10)
    for number in (20, 21):
        journal.append_record(Kind.TICK, bytes(72), number)
    journal.append_record(Kind.INTENT, bytes(104), 30)
    journal.close()
    return tmp_path / "a.dfj"


def test_show_prints_a_line_a_record(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(["journal", "show", str(path), "--json"]) == 0
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [row["record"] for row in rows] == ["START", "TICK", "TICK", "INTENT"]
    assert rows[0]["data"] == {"engine": 1} and rows[3]["qty"] == 0
    assert run(["journal", "show", str(path), "--kind", "tick", "--limit", "1"]) == 0
    (line,) = capfdbinary.readouterr().out.splitlines()
    assert line.startswith(b"2 20 TICK exch_ns=0 ")


def test_an_unknown_kind_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journal", "show", str(path), "--kind", "TOCK"]) == 2
    assert "--kind TOCK" in capsys.readouterr().err


def test_verify_says_what_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["journal", "verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "run morning, 20261123, orders df00c0ffee-*" in out and "closed in order" in out
    assert "4 records" in out and "1 INTENT, 1 START, 2 TICK" in out
    assert run(["journal", "verify", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["whole"] and found["records"] == 4 and len(found["decisions"]) == 64


def test_damage_is_a_failed_check(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(path.read_bytes())
    data[4_096 + 60] ^= 1
    path.write_bytes(data)
    assert run(["journal", "verify", str(path)]) == 6
    assert "record 2 at byte" in capsys.readouterr().err
    path.write_bytes(b"no journal")
    assert run(["journal", "verify", str(path)]) == 1
    assert "not a journal" in capsys.readouterr().err


def test_the_inputs_of_a_live_run_are_shown_by_name(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    header = JournalHeader(0xC0FFEE, 20261123, "live", bytes(32), 0, "")
    journal = Journal(str(tmp_path / "b.dfj"), header, sync_ns=0)
    tick = np.zeros(1, TICK_DTYPE)
    tick["price"] = 5_000_000
    times = struct.pack("<2q", 77, 88)
    for kind, payload in (
        (Kind.TICK, tick.tobytes() + struct.pack("<q", 99)),
        (Kind.TIMER, times),
        (Kind.ANSWER, np.zeros(1, ANSWER_DTYPE).tobytes() + struct.pack("<q", 66)),
        (Kind.UPDATE, np.zeros(1, UPDATE_DTYPE).tobytes() + struct.pack("<q", 55)),
        (Kind.COMMAND, struct.pack("<3q", Command.CLOSED_ELSEWHERE, 30, 5_000) + times),
        (Kind.COMMAND, struct.pack("<3q", 99, 0, 0) + times),
        (Kind.FEED, struct.pack("<I", 1)),
        (Kind.STRATEGY, times + b'{"op":"swap","name":"mended"}'),
    ):
        journal.append_record(kind, payload, 1)
    journal.close()
    assert run(["journal", "show", str(tmp_path / "b.dfj"), "--json"]) == 0
    rows = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert rows[0]["price"] == 5_000_000 and rows[0]["wall_ns"] == 99
    assert (rows[1]["market_ns"], rows[1]["wall_ns"]) == (77, 88)
    assert rows[2]["market_ns"] == 66 and rows[2]["outcome"] == 0
    assert rows[3]["market_ns"] == 55 and rows[3]["filled"] == 0
    assert rows[4] | {"seq": 0, "time_ns": 0} == {
        "seq": 0, "time_ns": 0, "record": "COMMAND", "command": "CLOSED_ELSEWHERE", "units": 30,
        "price": 5_000, "market_ns": 77, "wall_ns": 88,
    }  # fmt: skip
    assert rows[5]["command"] == 99 and rows[6]["event"] == 1
    assert rows[7]["record"] == "STRATEGY" and (rows[7]["market_ns"], rows[7]["wall_ns"]) == (
        77,
        88,
    )
    assert rows[7]["data"] == {"op": "swap", "name": "mended"}
