"""Guards of a live run on paper: a restart of the same day finds its locks as they were."""

import json
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.guards import Guards
from dhanfast._core.live.journal import Kind
from dhanfast._core.types import RejectReason
from dhanfast.engine.guard_settings import GuardSettings
from dhanfast.engine.settings import Settings
from tests.engine.live_stage import PRICE, records_of
from tests.engine.test_live_run import Hand

MINUTE = 60 * 10**9
SCRIPT = {1: "buy", 3: "buy", 5: "buy", 7: "sell"}
GUARDS = GuardSettings(
    losses_max=1, losses_pause=3 * MINUTE, drawdown_e4=50, trades_max=2, stale_ns=30 * 10**9,
    vix_high=2_000, vix_high_leave=1_800,
)  # fmt: skip


def day(folder: Path, guards: Guards) -> Hand:
    return Hand(folder, SCRIPT, settings=Settings(guards=GUARDS), guards=guards)


def fresh(**more: Any) -> Guards:
    guards = Guards(**GUARDS.rules(), **more)
    guards.vix(1, 1_500)
    return guards


def trade(hand: Hand) -> None:
    """A loss, a refused entry, an entry after the lock, and a day that is over for entries."""
    for price in (PRICE, PRICE, PRICE - 10_000, PRICE - 10_000, PRICE - 10_000, PRICE - 10_000,
                  PRICE - 9_000, PRICE - 9_000):  # fmt: skip
        hand.minute(price)


def test_a_restart_does_not_reset_a_lock(tmp_path: Path) -> None:
    before = fresh()
    hand = day(tmp_path, before)
    trade(hand)
    locked = {lock.name for lock in before.locks()}
    refused = {RejectReason(int(row["refused"])).name for row in hand.run.rows_so_far()[1]}
    assert "GUARD_LOSSES" in refused and "max_trades" in locked
    hand.run.journal.close()

    old = records_of(hand.path)
    after = fresh()
    again = day(tmp_path, after)
    again.run.journal.append_record(Kind.RESUME, b"{}", hand.now, vital=True)
    again.run.recover(old, hand.now)
    assert after.locks() == before.locks() and after.carry() == before.carry()
    assert after.events() == before.events() and after.vetoed == before.vetoed
    orders = [each.run.rows_so_far()[1].tobytes() for each in (hand, again)]
    assert orders[0] == orders[1]


@pytest.mark.parametrize("same_day", [True, False])
def test_what_was_carried_holds_without_a_journal(tmp_path: Path, same_day: bool) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    before = fresh()
    hand = day(first, before)
    trade(hand)
    carried = json.loads(json.dumps(before.carry()))
    if not same_day:
        carried["date"] -= 1
    after = Guards(**GUARDS.rules(), carried=carried)
    again = day(second, after)
    again.now = hand.now
    again.tick()
    assert ("max_trades" in {lock.name for lock in after.locks()}) == same_day
