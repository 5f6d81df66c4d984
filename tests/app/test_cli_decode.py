"""`dhanfast decode` as a user types it: golden frames, hostile files, exit codes."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dhanfast.app.cli import run as run_cli

FOLDER = Path(__file__).parents[1] / "fixtures" / "dhan"
TICKER = bytes.fromhex("02100001350500000080d44400000000")  # NSE_EQ 1333 at 1700.0
Run = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs `dhanfast decode ...`: exit code, lines of output, messages."""

    def call(*words: object) -> tuple[int, list[str], str]:
        code = run_cli(["decode", *(str(word) for word in words)])
        output, messages = capfdbinary.readouterr()
        return code, output.decode().splitlines(), messages.decode()

    return call


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((FOLDER / f"{name}.json").read_text())["cases"]
    return found


@pytest.mark.parametrize("name", ["ticker", "quote", "full", "oi", "prev_close", "market_status",
                                  "disconnect", "legacy_depth"])  # fmt: skip
def test_json_has_the_fields_of_the_fixtures(run: Run, name: str) -> None:
    code, lines, messages = run("dhan", FOLDER / f"{name}.bin", "--framed", "--json")
    assert code == 0 and messages == "240 packets in 240 messages\n"
    for line, case in zip(lines, cases(name), strict=True):
        packet = json.loads(line)
        assert (packet["i"], packet["off"], packet["kind"]) == (case["i"], 0, name)
        assert {field: packet[field] for field in case["fields"]} == case["fields"]


@pytest.mark.parametrize("name", ["depth20", "depth200"])
def test_json_of_depth_has_the_fields_of_the_fixtures(run: Run, name: str) -> None:
    code, lines, _ = run(f"dhan-{name}", FOLDER / f"{name}.bin", "--framed", "--json")
    expected = [packet["client"] for case in cases(name) for packet in case["packets"]]
    assert code == 0
    for line, fields in zip(lines, expected, strict=True):
        packet = json.loads(line)
        assert {field: packet[field] for field in fields} == fields


def test_stacked_packets_have_a_line_each(run: Run) -> None:
    code, lines, _ = run("dhan", FOLDER / "stream_mixed.bin", "--framed", "--json")
    found = [(p["i"], p["off"], p["len"], p["kind"]) for p in map(json.loads, lines)]
    assert code == 0
    assert found == [(case["i"], packet["off"], packet["len"], packet["kind"])
                     for case in cases("stream_mixed") for packet in case["packets"]]  # fmt: skip


def test_packets_back_to_back_need_no_frames(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(TICKER * 3)
    code, lines, _ = run("dhan", path, "--json")
    assert code == 0 and [json.loads(line)["off"] for line in lines] == [0, 16, 32]


def test_text_is_one_line_a_packet(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(TICKER)
    assert run("dhan", path)[1] == ["0:0 ticker NSE_EQ:1333 ltp=1700 ltt=0"]
    code, lines, _ = run("dhan", FOLDER / "full.bin", "--framed")
    assert code == 0 and len(lines) == 240 and "138569(4715)|" in lines[0]
    code, lines, _ = run("dhan-depth20", FOLDER / "depth20.bin", "--framed")
    assert code == 0 and " 5026.67x8094794(410) " in lines[0]


def test_what_is_skipped_is_reported_and_lost_bytes_are_an_exit_code(run: Run) -> None:
    code, lines, messages = run("dhan", FOLDER / "edge_cases.bin", "--framed", "--json")
    assert code == 6 and len(lines) == 59
    assert "message 4, offset 0: 15 bytes skipped: cut short (code 2)" in messages
    assert "message 5, offset 16: 3 bytes skipped: fewer bytes than a header" in messages
    assert "59 packets in 97 messages; 9 of unknown codes stepped over; 39 places lost" in messages
    assert messages.count("skipped") == 20  # and the rest only in the sum


def test_an_unknown_packet_alone_is_no_failure(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(bytes.fromhex("0008000000000000") + TICKER)
    code, lines, messages = run("dhan", path, "--json")
    assert code == 0 and len(lines) == 1
    assert "message 0, offset 0: 8 bytes skipped: unknown code (code 0)" in messages


@pytest.mark.parametrize(
    ("content", "packets", "text"),
    [
        (
            struct.pack("<I", 16) + TICKER + b"\x10",
            1,
            "message 1, offset 0: 1 bytes skipped: a torn",
        ),
        (struct.pack("<I", 48) + TICKER, 1, "message 0: the file ends 32 bytes early"),
        (struct.pack("<I", 2**31) + TICKER, 0, "a message of 2147483648 bytes cannot be"),
    ],
)
def test_torn_frames(run: Run, tmp_path: Path, content: bytes, packets: int, text: str) -> None:
    path = tmp_path / "raw"
    path.write_bytes(content)
    code, lines, messages = run("dhan", path, "--framed", "--json")
    assert code == 6 and len(lines) == packets and text in messages


def test_a_forgotten_framed_is_guessed(run: Run) -> None:
    code, lines, messages = run("dhan", FOLDER / "oi.bin", "--json")
    assert code == 6 and lines == [] and "the file looks framed: try --framed" in messages


def test_standard_input_is_a_file_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "raw"
    path.write_bytes(struct.pack("<I", 16) + TICKER)
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        code, lines, _ = run("dhan", "-", "--framed", "--json")
    assert code == 0 and json.loads(lines[0])["ltp"] == 1700.0


def test_a_value_that_json_cannot_say_is_null(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(TICKER[:8] + struct.pack("<fI", float("nan"), 0))
    assert json.loads(run("dhan", path, "--json")[1][0])["ltp"] is None


def test_wrong_words_are_refused(run: Run, tmp_path: Path) -> None:
    code, _, messages = run("dhan", tmp_path / "none.bin")
    assert code == 1 and "none.bin" in messages
    code, _, messages = run("kite-binary", FOLDER / "oi.bin")
    assert code == 2 and "dhan-depth200" in messages


def test_an_empty_file_is_an_empty_answer(run: Run, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"")
    assert run("dhan", tmp_path / "raw", "--framed") == (0, [], "0 packets in 0 messages\n")
    assert run("dhan", tmp_path / "raw", "--json") == (0, [], "0 packets in 1 messages\n")
