"""Any sequence of frames, hostile ones too, against a plain model of messages in parts."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSMsgType
from picows.picows import _make_test_ws_frame

from dhanfast._core.live.intake import FeedIntake
from dhanfast._core.live.listener import FeedListener
from dhanfast._core.live.sink import TickCall
from dhanfast._core.wire.dhan import DhanDecoder
from dhanfast.clock import ManualClock
from tests.brokers.dhan.feed_server import disconnect_packet, ticker
from tests.core.wire.frames import FEED, frames

NOW = 1_753_000_000_000_000_000
GOLDEN = [frame for name in FEED for frame in frames(name)][::37]
TABLE = [(1, 7, 0, 5), (1, 8, 1, 5)]


class Silent:
    """A receiver that counts notices."""

    def __init__(self) -> None:
        self.reasons: list[int] = []
        self.texts: list[str] = []

    def connected(self, transport: object) -> None:
        """Not called here."""

    def notices(self, notices: Any) -> None:
        self.reasons += [int(each) for each in notices["reason"]]

    def text(self, text: str) -> None:
        self.texts.append(text)

    def gone(self, code: int, reason: str) -> None:
        """Not called here."""


@dataclass
class Model:
    """RFC 6455 section 5.4, written for reading."""

    messages: list[bytes] = field(default_factory=list)
    texts: int = 0
    dropped: int = 0
    joined: int = 0
    begun: bytes | None = None  # a binary message in parts
    skipping: bool = False  # parts that belong to a text, or to what was dropped

    def take(self, kind: WSMsgType, payload: bytes, fin: bool, compressed: bool) -> None:
        if compressed:
            self.dropped += 1
            self.begun, self.skipping = None, not fin
        elif kind is WSMsgType.CONTINUATION:
            self._part(payload, fin)
        else:
            self.dropped += self.begun is not None
            self.begun, self.skipping = None, False
            if kind is WSMsgType.TEXT:
                self.texts, self.skipping = self.texts + 1, not fin
            elif fin:
                self.messages.append(payload)
            else:
                self.begun = payload

    def _part(self, payload: bytes, fin: bool) -> None:
        if self.begun is None:
            self.dropped += not self.skipping
            self.skipping = self.skipping and not fin
            return
        self.begun += payload
        if fin:
            self.messages.append(self.begun)
            self.begun = None
            self.joined += 1


payloads = st.one_of(
    st.sampled_from(GOLDEN),
    st.builds(ticker, st.just(1), st.sampled_from([7, 8, 9]), st.floats(1, 500, width=32),
              st.integers(0, 2**32 - 1)),
    st.builds(disconnect_packet, st.integers(0, 65_535)),
    st.binary(max_size=40),
)  # fmt: skip
kinds = st.sampled_from([WSMsgType.BINARY] * 3 + [WSMsgType.CONTINUATION] * 2 + [WSMsgType.TEXT])
several = st.lists(st.tuples(kinds, payloads, st.booleans(), st.integers(0, 9)), max_size=30)


@settings(max_examples=150)
@given(sent=several)
def test_any_sequence_of_frames(sent: list[tuple[Any, bytes, bool, int]]) -> None:
    got: list[Any] = []
    silent, model = Silent(), Model()
    clock = ManualClock(NOW)
    intake = FeedIntake(DhanDecoder(TABLE), TickCall(lambda t, _: got.append(t)), clock=clock)
    listener = FeedListener(intake, silent)
    for kind, payload, fin, chance in sent:
        compressed = chance == 0
        frame = _make_test_ws_frame(kind, payload, fin, compressed)
        listener.on_ws_frame(None, frame)  # type: ignore[arg-type]
        model.take(kind, payload, fin, compressed)
    assert listener.messages == intake.messages == len(model.messages)
    assert listener.bytes == sum(map(len, model.messages))
    assert (listener.texts, listener.joined) == (model.texts, model.joined)
    assert listener.dropped_frames == model.dropped
    oracle = DhanDecoder(TABLE, depth=False, stats=False)
    found = [oracle.decode(message, NOW) for message in model.messages]
    ticks = np.concatenate([each.ticks for each in found]) if found else []
    if len(ticks):
        np.testing.assert_array_equal(np.concatenate(got), ticks)
    else:
        assert got == []
    assert silent.reasons == [int(n) for each in found for n in each.notices["reason"]]
    assert intake.counters == oracle.counters


def test_the_model_sees_what_it_must() -> None:
    model = Model()
    for kind, payload, fin in (
        (WSMsgType.CONTINUATION, b"a", True), (WSMsgType.BINARY, b"b", False),
        (WSMsgType.CONTINUATION, b"c", True), (WSMsgType.BINARY, b"d", False),
        (WSMsgType.TEXT, b"e", False), (WSMsgType.CONTINUATION, b"f", True),
    ):  # fmt: skip
        model.take(kind, payload, fin, False)
    assert model.messages == [b"bc"] and (model.dropped, model.texts, model.joined) == (2, 1, 1)


def test_an_intake_needs_a_decoder() -> None:
    with pytest.raises((TypeError, ValueError), match="decoder"):
        FeedIntake(5)  # type: ignore[arg-type]
