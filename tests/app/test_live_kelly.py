"""Kelly sizing of an engine whose days are killed: what it knows of trades is kept."""

import datetime as dt
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dhanfast._core.live.journal import Kind
from dhanfast._core.live.journal_scan import JournalReader
from dhanfast.app.config import load_config
from dhanfast.app.live_build import _started, settings_of_day
from tests.app.live_process import DAY, Trader, exchange

pytest.importorskip("picows")


@pytest.mark.slow
def test_a_killed_day_leaves_its_trades_to_the_next(tmp_path: Path) -> None:
    with exchange("--seed", "5", "--start", "09:12", "--speed", "60x") as told:
        trader = Trader(tmp_path / "home", told, strategy__use="mine.py:Turner",
                        risk__sizing__method="kelly",
                        risk__sizing__kelly_fall_back="lots")  # fmt: skip
        with trader.running() as engine:
            engine.until(lambda status: status["trades"] >= 2)
            engine.kill()
        with trader.running() as again:
            status = again.until(lambda status: status["trades"] >= 3)
            again.kill()
    (path,) = (trader.folder / "journal").glob("*.dfj")
    with JournalReader(str(path)) as reader:
        notes = [json.loads(bytes(words)) for kind, *_, words in reader if kind == Kind.NOTE]
    counts = [note["history"]["known"]["trades"] for note in notes if "history" in note]
    assert counts == sorted(counts)
    assert set(range(1, status["trades"])) <= set(counts), "each trade, the killed ones too"

    sets = [f"{key}={value}" for key, value in trader.sets.items()]
    config = load_config([], trader.folder, sets, trader.environ)
    market: Any = SimpleNamespace(
        speed=1.0, day=dt.date.fromisoformat(DAY) + dt.timedelta(days=3), generated=True
    )
    start = _started([], None, config, market, "paper")
    history = settings_of_day(config, start, "paper").sizing.history
    assert history.trades == counts[-1]
    assert history.win_rate * history.trades == pytest.approx(
        round(history.win_rate * history.trades)
    )
