"""A blend in a live run on paper: a restart repeats it, its entries are told in the journal."""

from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.journal import Kind
from dhanfast.engine.veto_notes import VetoNotes
from dhanfast.strategies.blend import Blend, Member
from tests.engine import test_live_run
from tests.engine.live_stage import PRICE, records_of, scripted

SCRIPT = {1: "buy", 3: "buy", 5: "exit", 7: "sell"}
PRICES = (PRICE, PRICE, PRICE - 1000, PRICE - 6000, PRICE - 6000, PRICE - 6000, PRICE, PRICE, PRICE)


@pytest.fixture
def hand_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run by hand whose strategy is a blend of two scripts."""

    def blended(script: dict[int, str]) -> Blend:
        other = {at + 1: wish for at, wish in script.items()}
        members = [Member(scripted(script), name="first", day_loss=2_000_00),
                   Member(scripted(other), name="second")]  # fmt: skip
        return Blend(members, mode="net", scale=False)

    monkeypatch.setattr(test_live_run, "scripted", blended)
    return lambda folder: test_live_run.Hand(folder, SCRIPT)


def test_a_restart_repeats_books_and_decisions(tmp_path: Path, hand_of: Any) -> None:
    hand = hand_of(tmp_path)
    noted: list[dict[str, Any]] = []
    notes = VetoNotes(hand.run, lambda **words: noted.append(words))
    notes.look()
    for price in PRICES:
        hand.minute(price)
        notes.look()
    trades, orders = hand.run.rows_so_far()
    assert len(orders) >= 3 and len(trades) >= 1
    entered = [one["entry"] for one in noted]
    assert entered and entered[0].startswith("long at +0.500: first +1.000 x 0.500")
    off = [note for note in hand.run.notes_now() if "member" in note]
    assert off == ["member first is off until the next session: its book has lost its budget"]
    hand.run.journal.close()

    old = records_of(hand.path)
    again = hand_of(tmp_path)
    again.run.journal.append_record(Kind.RESUME, b"{}", hand.now, vital=True)
    again.run.recover(old, hand.now)
    assert again.run.rows_so_far()[0].tobytes() == trades.tobytes()
    assert again.run.rows_so_far()[1].tobytes() == orders.tobytes()
    blends = [each.run._live_engine.decisions.blend for each in (hand, again)]
    assert blends[0].members_now() == blends[1].members_now()
    for at in (0, 1):
        books = [blend.seat(at).trades().tobytes() for blend in blends]
        assert books[0] == books[1]
    result = again.run.so_far()
    assert [one["name"] for one in result.members] == ["first", "second"]
