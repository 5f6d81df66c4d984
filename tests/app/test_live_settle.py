"""A day that a kill -9 ended between a lock and its note is repeated from its inputs."""

import datetime as dt
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.guards import Guards
from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.app import live_build
from dhanfast.app.config import Config, load_config
from dhanfast.app.live_settle import left_over
from dhanfast.engine.locks import LockFile, carried_over
from tests.app.live_process import DAY, Trader, exchange

pytest.importorskip("picows")

AFTER = dt.date.fromisoformat(DAY) + dt.timedelta(days=3)


def config_of(trader: Trader) -> Config:
    sets = [f"{key}={value}" for key, value in trader.sets.items()]
    return load_config([], trader.folder, sets, trader.environ)


def without_notes(path: Path) -> None:
    """The journal as a kill left it that came before any note of the guards."""
    with JournalReader(str(path)) as reader:
        header = reader.header
        records = [(kind, wall, bytes(words)) for kind, _, wall, words in reader]
    path.unlink()
    made = Journal(str(path), header, sync_ns=0)
    for kind, wall, words in records:
        if kind == Kind.NOTE and not {"carry", "guard"}.isdisjoint(json.loads(words)):
            continue
        made.append_record(kind, words, wall, vital=True)
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["paper", "live"])
def test_no_lock_is_lost_between_its_input_and_its_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    caplog.set_level(logging.INFO, "dhanfast.guards")
    with exchange("--seed", "5", "--start", "09:12", "--speed", "60x") as told:
        client = told["client_id"]
        words = ("--live", "--confirm-live", client) if mode == "live" else ()
        trader = Trader(tmp_path / "home", told, strategy__use="mine.py:Turner",
                        broker__client_id=client,
                        risk__guards__max_trades="1",
                        risk__guards__consecutive_losses__on="true")  # fmt: skip
        with trader.running(*words) as engine:
            engine.until(lambda status: status["locks"] and status["trades"] == 1)
            engine.kill()
    config = config_of(trader)
    folder = trader.folder / "journal"
    noted = carried_over(folder, "main", mode, AFTER)
    assert noted is not None and noted.source.endswith(".dfj")
    (path,) = folder.glob("*.dfj")
    without_notes(path)
    LockFile(folder, "main", mode).path.unlink(missing_ok=True)
    assert carried_over(folder, "main", mode, AFTER) is None, "no note, no file"

    found = left_over(config, mode, AFTER)
    assert found is not None and found.whole and found.day == dt.date.fromisoformat(DAY)
    assert locks(found.state) == locks(noted.state) == ["max_trades"]
    assert found.state["trades"] == 1 and len(found.state["closed"]) == 4, "one trade, whole"
    # The kill may have come before the note of the trade: then only the inputs know of it.
    assert noted.state["closed"] in ([], found.state["closed"])
    assert "taken from its inputs" in caplog.text

    (trader.folder / "mine.py").write_text("# another strategy\n")
    again = left_over(config, mode, AFTER)
    assert again is not None and again.state == found.state, "the journal has what it said"
    monkeypatch.setattr(live_build, "CODE", -1)  # another program
    assert left_over(config, mode, AFTER) is None
    LockFile(folder, "main", mode).write(dt.date.fromisoformat(DAY), 5, noted.state)
    kept = left_over(config, mode, AFTER)
    assert kept is not None and kept.state == noted.state


def locks(state: dict[str, Any]) -> list[str]:
    return [lock.name for lock in Guards(carried=state).locks()]
