"""`dhanfast locks`, `lock`, `unlock`: of a running engine, and of one that was killed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast._core.types import TICK_DTYPE
from dhanfast.app.cli import run
from dhanfast.app.cli_locks import locks_text
from dhanfast.engine.status import LockLine
from dhanfast.storage.journal import examine
from tests.app.live_process import DAY, Trader, exchange

from .test_cli_control import STATUS, Engine, Say, engine, home, say  # noqa: F401

FOLLOWING = "2026-11-23"
Told = Callable[..., tuple[int, Any]]


# ---- what is shown and told ----------------------------------------------------------------------


def test_locks_are_listed_with_their_reasons(say: Say, engine: Engine) -> None:  # noqa: F811
    code, out, _ = say("locks")
    assert code == 0 and out == locks_text(list(STATUS.locks)) + "\n"
    assert max(map(len, out.splitlines())) <= 80
    for words in ("consecutive_losses", "2026-11-23 15:01:00", "3 losing trades", "unlocked"):
        assert words in out
    assert json.loads(say("locks", "--json")[1]) == engine.locks()
    assert locks_text([]) == "nothing is locked"
    assert locks_text([LockLine(name="day_loss")]).endswith("-                     ")


def test_unlock_and_lock_reach_the_engine(say: Say, engine: Engine) -> None:  # noqa: F811
    assert say("unlock", "day_loss", "--yes")[:2] == (0, "did unlock\n")
    assert say("lock")[0] == 0 and say("lock", "--until", "session")[0] == 0
    assert engine.told == [
        ("unlock", {"lock": "day_loss"}),
        ("lock", {"lock": "operator", "until": ""}),
        ("lock", {"lock": "operator", "until": "session"}),
    ]  # fmt: skip


def test_unlock_asks_a_person(say: Say, engine: Engine) -> None:  # noqa: F811
    code, _, err = say("unlock", "all")
    assert code == 2 and "add --yes where nobody can ask" in err and engine.told == []


def test_without_an_engine_only_locks_answers(say: Say, home: Path) -> None:  # noqa: F811
    code, out, err = say("locks")
    assert code == 0 and "nothing is kept of engine main" in out and "no engine is running" in err
    assert json.loads(say("locks", "--json")[1]) == []
    for words in (("unlock", "all", "--yes"), ("lock",)):
        code, out, err = say(*words)
        assert code == 1 and f"no engine is running in {home}" in err


# ---- a killed engine, and the day after ----------------------------------------------------------


@pytest.fixture
def told() -> Iterator[dict[str, Any]]:
    pytest.importorskip("picows")
    with exchange("--seed", "5", "--start", "09:12", "--speed", "60x") as said:
        yield said


def asked(trader: Trader, monkeypatch: pytest.MonkeyPatch,
          capsys: pytest.CaptureFixture[str], *words: str) -> Any:  # fmt: skip
    monkeypatch.setenv("DHANFAST_HOME", str(trader.folder))
    for name in ("clock.source", "broker.exchange"):
        words += ("--set", f"{name}={trader.sets[name]}")
    capsys.readouterr()
    code = run([*words, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out)


@pytest.mark.slow
def test_a_lock_outlives_kills_and_the_day(
    told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Locked, killed, still locked; unlocked, killed, still unlocked; locked into the next day."""

    def say(*words: str) -> Any:  # noqa: F811
        return asked(trader, monkeypatch, capsys, *words)

    def named(found: Any) -> list[str]:
        return [lock["name"] for lock in found]

    sets = {"strategy__use": "mine.py:Turner", "risk__guards__max_trades": "1",
            "risk__guards__vix__on": "true", "risk__guards__vix__high": "60",
            "risk__guards__vix__high_leave": "55"}  # fmt: skip
    trader = Trader(tmp_path / "home", told, **sets)
    with trader.running() as first:
        first.until(lambda status: status["locks"] and status["trades"] == 1)
        assert named(say("locks")) == ["max_trades"]
        first.kill()
    assert named(say("locks")) == ["max_trades"], "from the journal"

    with trader.running() as second:
        status = second.until(lambda status: status["state"] == "trading")
        assert named(status["locks"]) == ["max_trades"] and status["trades"] == 1
        second.until(lambda status: status["orders_refused"] >= 1)
        assert say("unlock", "max_trades", "--yes")["text"] == "unlocked: max_trades"
        second.until(lambda status: status["trades"] == 2)
        assert say("unlock", "all", "--yes")["locks"] == []
        assert say("lock")["locks"] == ["operator"]
        second.kill()

    with trader.running() as third:
        status = third.until(lambda status: status["state"] == "trading")
        assert named(status["locks"]) == ["operator"] and status["trades"] >= 2
        assert third.interrupt() == 0
        said = third.said
    assert "operator" in said or "went on with today's journal" in said
    found = examine(next((trader.folder / "journal").glob(f"{DAY.replace('-', '')}*.dfj")))
    assert found.whole and found.kinds["START"] == 1 and found.kinds["RESUME"] == 2
    assert named(say("locks")) == ["operator"]
    with JournalReader(str(next((trader.folder / "journal").glob("*.dfj")))) as records:
        ticks = [np.frombuffer(bytes(words)[:72], TICK_DTYPE)[0] for kind, _, _, words in records
                 if kind == Kind.TICK]  # fmt: skip
    vix = [int(tick["price"]) for tick in ticks if tick["instrument"] == 1]
    assert len(vix) > 20 and 1_000 < min(vix) <= max(vix) < 2_000, "the day's India VIX"

    words = ("--seed", "6", "--date", FOLLOWING, "--start", "09:12", "--speed", "60x")
    with exchange(*words) as next_:
        after = Trader(trader.folder, next_, **sets)
        with after.running() as fourth:
            status = fourth.until(lambda status: status["orders_refused"] >= 1)
            assert named(status["locks"]) == ["operator"] and status["trades"] == 0
            assert say("unlock", "operator", "--yes")["locks"] == []
            fourth.until(lambda status: status["trades"] == 1)
            fourth.kill()
