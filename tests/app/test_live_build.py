"""What the day of `dhanfast trade` is started with, and what decides it."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from dhanfast._core.live.journal import Kind
from dhanfast.app.live_build import _started
from dhanfast.engine.live import GRACE_NS


def config(rupees: int = 10_00_000) -> Any:
    return SimpleNamespace(
        simulation=SimpleNamespace(capital=SimpleNamespace(paise=rupees * 100)),
    )


def market(speed: float) -> Any:
    return SimpleNamespace(speed=speed)


def test_a_day_begins_with_the_accounts_money_or_the_papers() -> None:
    assert _started([], None, config(7), market(1.0))["capital"] == 700
    assert _started([], 123, config(7), market(1.0))["capital"] == 123


@pytest.mark.parametrize("speed", [1.0, 40.0])
def test_a_restart_closes_bars_as_the_day_began_whatever_the_speed_now(speed: float) -> None:
    """A bar's grace decides what a journal repeats: it is the journal's, not the exchange's."""
    start = _started([], 5, config(), market(speed))
    assert start["grace_ns"] == round(GRACE_NS * speed)
    old = [(int(Kind.TICK), b""), (int(Kind.START), json.dumps(start).encode())]
    assert _started(old, 9, config(), market(7.0)) == start


def test_a_journal_that_does_not_tell_the_grace_was_written_with_the_usual_one() -> None:
    old = [(int(Kind.START), b'{"capital": 5}')]
    assert _started(old, 9, config(), market(40.0)) == {"capital": 5, "grace_ns": GRACE_NS}
