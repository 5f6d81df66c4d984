"""What Kelly sizing knows of closed trades goes on from day to day."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.journal_header import JournalHeader
from dhanfast._core.sizing import Sizer, Sizing
from dhanfast.engine.kelly_history import HistoryKeeper, history_of_day, known_trades, told
from dhanfast.engine.sizing_settings import SizingSettings, TradeHistory

DAY = dt.date(2026, 11, 23)
BASE = TradeHistory()
OF = ("momentum", "BANKNIFTY")


def sizer(history: TradeHistory = BASE) -> Sizer:
    return Sizer(SizingSettings(method="kelly", history=history).native(1, 60 * 10**9))


def journal(folder: Path, day: dt.date, *records: tuple[int, object]) -> None:
    path = folder / f"{day:%Y%m%d}-main-paper.dfj"
    header = JournalHeader(epoch=7, date=int(f"{day:%Y%m%d}"), run="main",
                           config_digest=bytes(32), created_ns=1, text="")  # fmt: skip
    made = Journal(str(path), header, sync_ns=0)
    for kind, words in records:
        made.append_record(kind, json.dumps(words).encode(), 1, vital=True)
    made.close()


def began(folder: Path, base: TradeHistory = BASE, of: tuple[str, str] = OF) -> TradeHistory:
    return history_of_day(folder, "main", "paper", DAY, base, of)


def days_ago(count: int) -> dt.date:
    return DAY - dt.timedelta(days=count)


@given(st.lists(st.lists(st.integers(-5_000, 5_000), max_size=8), min_size=1, max_size=6))
def test_days_know_what_one_long_day_would(days: list[list[int]]) -> None:
    """Oracle: one sizer that lives through all of the days."""
    whole, history = sizer(), BASE
    for trades in days:
        day = sizer(history)
        for result in trades:
            day.closed(result)
            whole.closed(result)
        history = known_trades(day.explained)
    known = known_trades(whole.explained)
    assert history.trades == known.trades == sum(map(len, days))
    found = [history.win_rate, history.win, history.loss]
    assert found == pytest.approx([known.win_rate, known.win, known.loss], rel=1e-9, abs=0.01)
    Sizing(method="kelly", **asdict(history))  # is taken by the next day, whatever it was


def test_a_trade_is_noted_once_and_by_a_restart_that_finds_it_unsaid() -> None:
    notes: list[dict[str, Any]] = []
    note: Callable[..., None] = lambda **words: notes.append(words)  # noqa: E731
    known, start = sizer(), told(BASE, BASE, OF)
    keeper = HistoryKeeper(lambda: known.explained, start, note)
    keeper.look(0)
    keeper.look(30)
    assert notes == []
    known.closed(250.0)
    keeper.look(0)
    keeper.look(0)
    assert [one["history"]["known"]["trades"] for one in notes] == [1]
    HistoryKeeper(lambda: known.explained, start, note).look(0)
    assert [one["history"]["known"]["trades"] for one in notes] == [1, 1]
    assert notes[0]["history"]["known"]["win"] == pytest.approx(250.0)


def test_a_day_begins_with_the_newest_note_or_what_the_last_day_began_with(tmp_path: Path) -> None:
    assert began(tmp_path) == BASE
    first = TradeHistory(3, 1 / 3, 900.0, 300.0)
    second = TradeHistory(4, 0.5, 800.0, 300.0)
    note = {"history": told(first, BASE, OF)}, {"history": told(second, BASE, OF)}
    start = {"capital": 1, "history": told(BASE, BASE, OF)}
    journal(tmp_path, days_ago(9), (Kind.START, start), (Kind.NOTE, note[0]), (Kind.NOTE, note[1]))
    assert began(tmp_path) == second
    journal(tmp_path, days_ago(5), (Kind.START, {"capital": 1}), (Kind.NOTE, {"holds": []}))
    journal(tmp_path, days_ago(4), (Kind.START, {"capital": 1, "history": None}))
    assert began(tmp_path) == second, "days of another sizing are passed over"
    journal(tmp_path, days_ago(2), (Kind.START, {"history": told(first, BASE, OF)}))
    assert began(tmp_path) == first, "a day without a trade"
    journal(tmp_path, DAY, (Kind.START, {"history": told(second, BASE, OF)}))
    assert began(tmp_path) == first, "the day itself is repeated from its own journal"


def test_another_strategy_or_another_given_history_begins_anew(tmp_path: Path) -> None:
    known = TradeHistory(30, 0.5, 800.0, 300.0)
    journal(tmp_path, days_ago(1), (Kind.START, {"history": told(known, BASE, OF)}))
    given_by_hand = TradeHistory(60, 0.45, 4_000.0, 2_000.0)
    assert began(tmp_path, base=given_by_hand) == given_by_hand
    assert began(tmp_path, of=("v1", "BANKNIFTY")) == BASE
    assert began(tmp_path) == known


def test_an_average_that_rounding_made_nothing_of_is_still_one() -> None:
    assert known_trades({"trades": 1, "win_rate": 0.0, "win": np.nan, "loss": 0.0}).loss > 0.0
