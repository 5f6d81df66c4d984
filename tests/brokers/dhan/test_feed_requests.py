"""Requests against what the official client sends; addresses against the specification."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dhanfast.brokers.dhan.feed import LiveSpeech
from dhanfast.brokers.dhan.feed_depth import DepthSettings, DepthSpeech
from dhanfast.brokers.dhan.feed_requests import (
    DISCONNECT,
    SEGMENT_NAMES,
    SEGMENTS,
    Mode,
    Security,
    address,
    requests,
)
from dhanfast.errors import ConfigError, UsageError
from tests.brokers.dhan.feed_net import SECRET, FakeToken

FIXTURE = Path(__file__).parents[2] / "fixtures" / "dhan" / "client_requests" / "websocket.json"
CASES = [case for case in json.loads(FIXTURE.read_text()) if "client_raises" not in case]
CONNECTIONS = [case for case in CASES if case["class"] == "MarketFeed"]


def entries(request: dict[str, Any]) -> list[tuple[str, str]]:
    """Segment and id of all that a request names."""
    return [(each["ExchangeSegment"], each["SecurityId"]) for each in request["InstrumentList"]]


def ours(securities: list[list[Any]], *, leave: bool = False) -> list[dict[str, Any]]:
    """Our requests for what the client was given: mode by mode, each security once."""
    said = []
    for mode in (Mode.TICKER, Mode.QUOTE, Mode.FULL):
        rows = [row if len(row) == 3 else [*row, Mode.TICKER] for row in securities]
        wanted = dict.fromkeys(Security(s, int(i)) for s, i, m in rows if m == mode)
        code = mode.leave if leave else int(mode)
        said += [json.loads(text) for text in requests(code, list(wanted))]
    return said


@pytest.mark.parametrize("case", CONNECTIONS, ids=lambda case: str(case["action"]))
def test_requests_are_those_of_the_official_client(case: dict[str, Any]) -> None:
    """Same codes, counts and members; ours keep the order, the client's set has none."""
    if case["action"] == "disconnect":
        assert json.loads(DISCONNECT) == case["sent"][-1]
        return
    given = case["symbols"] if case["action"] != "subscribe_instruments" else case["instruments"]
    said = ours(given, leave=case["action"] == "unsubscribe_symbols")
    if "message_sizes" in case["sent"][0]:
        (sent,) = case["sent"]
        assert {each["RequestCode"] for each in said} == {sent["RequestCode"]}
        assert [each["InstrumentCount"] for each in said] == sent["message_sizes"]
        named = [entry for each in said for entry in entries(each)]
        assert sorted(named) == sorted(
            (each["ExchangeSegment"], each["SecurityId"]) for each in sent["union_of_all_messages"]
        )
        assert all(int(b[1]) == int(a[1]) + 1 for a, b in pairwise(named))
        return
    assert len(said) == len(case["sent"])
    for mine, theirs in zip(said, case["sent"], strict=True):
        assert {**mine, "InstrumentList": 0} == {**theirs, "InstrumentList": 0}
        assert sorted(entries(mine)) == sorted(entries(theirs))


@pytest.mark.parametrize("case", [c for c in CASES if c["class"] == "FullDepth"],
                         ids=lambda case: f"{case['level']} {case['action']}")  # fmt: skip
def test_depth_requests_are_those_of_the_official_client(case: dict[str, Any]) -> None:
    """But that additions to 200 levels are flat, as its first request and the broker's pages."""
    speech = DepthSpeech("wss://x/", DepthSettings(case["level"]))
    named = case["sent"][0].get("InstrumentList") or case["sent"]
    wanted = [Security.of(each["ExchangeSegment"], each["SecurityId"]) for each in named]
    if case["action"] == "unsubscribe_symbols":
        said = speech.leave(Mode.DEPTH, wanted)
    else:
        said = speech.ask(Mode.DEPTH, wanted)
    if case["level"] == 200 and case["action"] == "subscribe_symbols":
        assert [json.loads(text) for text in said] == [{"RequestCode": 23, **named[0]}]
    else:
        assert [json.loads(text) for text in said] == case["sent"]


def test_the_code_that_leaves_depth_is_a_setting() -> None:
    speech = DepthSpeech("wss://x/", DepthSettings(leave_code=25))
    assert json.loads(speech.leave(Mode.DEPTH, [Security(1, 1333)])[0])["RequestCode"] == 25


@pytest.mark.parametrize(
    ("base", "live", "want"),
    [("wss://api-feed.dhan.co", True, ("wss", "api-feed.dhan.co", "/")),
     ("ws://127.0.0.1:8080", True, ("ws", "127.0.0.1:8080", "/")),
     ("wss://depth-api-feed.dhan.co/twentydepth", False,
      ("wss", "depth-api-feed.dhan.co", "/twentydepth"))],
)  # fmt: skip
def test_addresses_have_every_parameter_once(
    base: str, live: bool, want: tuple[str, str, str]
) -> None:
    parts = urlsplit(address(base, FakeToken(1), live=live))
    assert (parts.scheme, parts.netloc, parts.path) == want
    asked = {"token": [SECRET + "1"], "clientId": ["1000000001"], "authType": ["2"]}
    assert parse_qs(parts.query) == (asked | {"version": ["2"]} if live else asked)
    assert LiveSpeech(base).address(FakeToken(1), 3) == address(base, FakeToken(1), live=True)


def test_200_levels_alternate_between_the_two_paths() -> None:
    for first, second in (("/", "/twohundreddepth"), ("/twohundreddepth", "/")):
        speech = DepthSpeech(f"wss://full{first}", DepthSettings(200))
        paths = [urlsplit(speech.address(FakeToken(1), n)).path for n in range(4)]
        assert paths == [first, second, first, second]
    speech = DepthSpeech("wss://own/path", DepthSettings(200))
    assert urlsplit(speech.address(FakeToken(1), 1)).path == "/path"


def test_segments_are_the_numbers_of_the_wire() -> None:
    assert SEGMENTS["IDX_I"] == 0 and SEGMENTS["BSE_FNO"] == 8 and 6 not in SEGMENT_NAMES
    assert str(Security.of("NSE_FNO", "49081")) == "NSE_FNO:49081"
    assert Security.of("NSE_FNO", "49081") == (2, 49_081)


@pytest.mark.parametrize(
    ("segment", "security", "word"),
    [("NSE", "1", "IDX_I, NSE_EQ"), ("NSE_EQ", -1, "from 0"), ("NSE_EQ", 1 << 32, "4294967295")],
)
def test_refuses_what_is_no_security(segment: str, security: Any, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Security.of(segment, security)


@pytest.mark.parametrize(
    "wrong", [{"levels": 50}, {"connections": 0}, {"connections": 6}, {"leave_code": 23}]
)
def test_refuses_depth_that_there_is_not(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        DepthSettings(**wrong)  # type: ignore[arg-type]
