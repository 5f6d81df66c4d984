"""`dhanfast trade --legs` with guards and margin: at the exchange, killed in between."""

import json
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.inputs import Command
from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from tests.app.live_process import DAY, exchange
from tests.app.test_trade_legs import MARKET, asking, faults, held, live, orders, trader_of, whole

pytest.importorskip("picows")
pytest.importorskip("uvloop")
pytest.importorskip("aiohttp")

# The market runs 20 times as fast as the broker answers.
ASKED = {"risk__margin__short": "refuse", "risk__margin__answer": "60s"}


def commands(folder: Path, mode: str) -> list[tuple[int, ...]]:
    """Commands of the day's journal: what, units, price."""
    path = folder / "journal" / f"{DAY.replace('-', '')}-main-{mode}.dfj"
    found = []
    with JournalReader(str(path)) as reader:
        for kind, _, _, payload in reader:
            if kind == Kind.COMMAND:
                words = memoryview(bytes(payload)).cast("q")
                found.append((words[0] & 0xFFFF_FFFF, words[1], words[2]))
    return found


@pytest.mark.slow
def test_the_broker_is_asked_once_and_a_restart_asks_nothing(tmp_path: Path) -> None:
    """Its margin and funds are an input of the journal; the next life knows them from there."""
    with exchange(*MARKET) as told:
        trader, path = trader_of(tmp_path, told, **ASKED)
        with trader.running(*live(told, path)) as first:
            first.until(whole)
            first.kill()
        answers = [one for one in commands(trader.folder, "live") if one[0] == Command.MARGIN]
        assert len(answers) == 1 and 0 < answers[0][1] <= answers[0][2] == 10**9
        with trader.running(*live(told, path)) as second:
            second.until(lambda status: whole(status) and status["state"] == "trading")
            assert second.interrupt() == 0
            said = second.said
        again = [one for one in commands(trader.folder, "live") if one[0] == Command.MARGIN]
        assert again == answers and held(told) == {}
        assert "Margin was asked before 1 entries" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("funds", "menu", "words"),
    [("30000", [], "and 30,000.00 may be used: none is sent"),
     ("10000000", [{"kind": "http-5xx", "path": "/v2/margincalculator/multi"}],
      "the broker did not say the margin")],
)  # fmt: skip
def test_nothing_is_sent_without_funds_or_without_an_answer(
    tmp_path: Path, funds: str, menu: list[dict[str, Any]], words: str
) -> None:
    with exchange(*MARKET, "--funds", funds) as told:
        if menu:
            faults(told, *menu)  # until the test ends
        trader, path = trader_of(tmp_path, told, **ASKED)
        with trader.running(*live(told, path), "--json") as engine:
            journal = trader.folder
            rows = engine.until(lambda status: _answered(journal))["bars"]
            engine.until(lambda status: status["bars"] > rows + 2)
            assert engine.interrupt() == 0
            text = engine.said
        found = json.loads(text[text.index("\n{") + 1 : text.rindex("\n}") + 2])
        assert words in text
        assert found["counters"]["structures_refused"] == 1 and orders(told) == []


def _answered(folder: Path) -> bool:
    return any(one[0] == Command.MARGIN for one in commands(folder, "live"))


def test_a_lock_of_a_structure_outlives_a_kill_and_is_ended_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with exchange(*MARKET) as told:
        trader, path = trader_of(tmp_path, told, risk__guards__max_trades="1")

        def locked() -> list[str]:
            return [one["name"] for one in asking(trader, monkeypatch, capsys, "locks")]

        with trader.running("--legs", path) as first:
            first.until(whole)
            first.until(lambda status: status["locks"])
            first.kill()
        with trader.running("--legs", path) as second:
            second.until(lambda status: status["state"] == "trading")
            assert locked() == ["max_trades"]
            asking(trader, monkeypatch, capsys, "unlock", "max_trades", "--yes")
            assert locked() == []
            assert second.interrupt() == 0
            said = second.said
        assert "guards: 1 position opened today" in said or "max_trades" in said
