"""Every golden frame against the official client 2.3.0, from recorded answers and from itself."""

import json
import subprocess
import sys
from collections import Counter
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.wire.dhan_packets import depth_packets, feed_packets
from tests.core.wire.client_view import depth_view, feed_view
from tests.core.wire.frames import DEPTH, FEED, FOLDER, SINGLE, cases, frames
from tests.core.wire.golden import REASONS, tally

EXPECTED = {
    **{name: {"equal": 240} for name in SINGLE},
    "market_status": {"status": 240},
    "disconnect": {"reason lost": 240},
}


@pytest.mark.parametrize("name", [*FEED, *DEPTH])
def test_equal_to_the_client_or_different_for_a_named_reason(
    name: str, tallies: dict[str, Counter[str]]
) -> None:
    found = tallies[name] = tally(name)
    assert sum(found.values()) == len(frames(name)) > 0
    assert set(found) <= {"equal", *REASONS}
    if name in EXPECTED:
        assert found == EXPECTED[name]


def test_every_reason_is_needed() -> None:
    """The table of the client's bugs has no entry that no frame shows."""
    assert set().union(*(tally(name) for name in (*FEED, *DEPTH))) == {"equal", *REASONS}


def test_stacked_packets_are_all_there() -> None:
    stacked = [case for case in cases("stream_mixed") if len(case["packets"]) > 1]
    assert len(stacked) > 200
    assert sum(len(feed_packets(f)[0]) for f in frames("stream_mixed")) == sum(
        len(case["packets"]) for case in cases("stream_mixed")
    )


def test_a_packet_behind_an_unknown_one_is_found() -> None:
    by_name = {c["what"]: f for c, f in zip(cases("edge_cases"), frames("edge_cases"), strict=True)}
    for what, kind in (("code 0 packet of 8 bytes then a ticker", "ticker"),
                       ("code 1 packet of 16 bytes then a quote", "quote")):  # fmt: skip
        packets, skipped = feed_packets(by_name[what])
        assert [p["kind"] for p in packets] == [kind]
        assert [gap.lost for gap in skipped] == [False]


def test_the_wire_samples_of_the_specification() -> None:
    """spec/dhan.md 19.5: a worked ticker, and the start of a recorded full packet."""
    ticker = bytes.fromhex("0210000135050000" "0080d444" "00000000")  # fmt: skip
    (packet,), _ = feed_packets(ticker)
    assert (packet["segment"], packet["security_id"], packet["ltp"]) == (1, 1333, 1700.0)
    full = bytes.fromhex("08a20002f4d90000cd4c18434b00589a").ljust(162, b"\0")
    (packet,), _ = feed_packets(full)
    assert (packet["kind"], packet["segment"], packet["security_id"]) == ("full", 2, 55796)
    assert (round(packet["ltp"], 2), packet["ltq"], packet["ltt"]) == (152.3, 75, 0x9A58)


def installed_client(name: str) -> list[Any]:
    """What the installed client makes of a golden file; in its own process, it changes asyncio."""
    if find_spec("dhanhq") is None or version("dhanhq") != "2.3.0":
        pytest.skip("the live oracle is not installed: pip install dhanhq==2.3.0")
    script = Path(__file__).parent / "client_oracle.py"
    call = [sys.executable, str(script), name, str(FOLDER / f"{name}.bin")]
    answer = subprocess.run(call, capture_output=True, text=True, check=True, timeout=120)
    found: list[Any] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("name", [name for name in SINGLE if name != "disconnect"])
def test_equal_to_the_installed_client(name: str) -> None:
    ours = [[feed_view(packet) for packet in feed_packets(frame)[0]] for frame in frames(name)]
    assert ours == installed_client(name)


@pytest.mark.parametrize("levels", [20, 200])
def test_equal_to_the_installed_client_in_depth(levels: int) -> None:
    name = f"depth{levels}"
    ours = [[depth_view(p) for p in depth_packets(frame, levels)[0]] for frame in frames(name)]
    assert ours == installed_client(name)
