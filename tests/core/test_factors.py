"""Factors: a row for each position that was opened, whatever was decided meanwhile."""

import datetime as dt
import math

import numpy as np
import pytest

from dhanfast._core.factors import Factors, factor_dtype
from dhanfast._core.runlog import RunLog
from dhanfast.engine.decisions import Decisions
from dhanfast.engine.engine import Engine
from dhanfast.engine.generated import generated_bars
from dhanfast.engine.runs import sessions_of
from dhanfast.engine.settings import Settings
from dhanfast.strategies import Market, Rules, RuleStrategy, Score

MINUTE = 60_000_000_000


class Often(RuleStrategy):
    """In and out on nearly every bar."""

    def rules(self, m: Market) -> Rules:
        up = m.scaled(m.close - m.open, -0.05, 0.05)
        return Rules(score=Score({"up": (up, 1.0)}, 0.1, -0.1), exit_long=1.0, exit_short=1.0)


def test_rows_stay_with_their_trades_when_the_log_is_handed_over_again_and_again() -> None:
    bars = generated_bars("BANKNIFTY", dt.date(2022, 1, 3), dt.date(2022, 3, 31), seed=5)
    settings = Settings(capital=10**10, entry_until=dt.time(15, 10))
    log = RunLog(trades_max=1024, orders_max=8192, equity_max=1024)  # drained on every block
    engine = Engine(Often().runner(lambda at, text: None, MINUTE),
                    sessions_of(bars, settings, MINUTE), settings, interval_ns=MINUTE,
                    log=log)  # fmt: skip
    engine.feed(bars.bars)
    written = engine.finish()
    rows = engine.decisions.told(len(written.trades))["factors"].rows
    assert len(rows) == len(written.trades) > 5_000
    assert (rows["side"] == written.trades["side"]).all()
    assert (np.diff(rows["decided_ns"]) > 0).all()
    late = written.trades["entry_ns"] - rows["decided_ns"]
    assert (late >= 0).all() and np.median(late) < MINUTE
    values = rows["values"][:, 0]
    assert (values * rows["side"] >= 0.1 - 1e-12).all() and np.allclose(rows["total"], values)


def test_there_is_room_for_as_many_entries_as_trades() -> None:
    runner = Often().runner(lambda at, text: None, MINUTE)
    bars = generated_bars("BANKNIFTY", dt.date(2022, 1, 3), dt.date(2022, 1, 3), seed=5)
    Decisions(runner, sessions_of(bars, Settings(), MINUTE), Settings(), MINUTE, 0, 100_000)
    assert runner.factors.room == 100_001  # type: ignore[attr-defined]


def test_what_cannot_be_is_refused() -> None:
    for words, names, weights, room in (
        ("names must be given", [], [], 2048),
        ("each once", ["a", "a"], [1, 1], 2048),
        ("as many weights", ["a"], [1, 2], 2048),
        ("room must be at least 1024", ["a"], [1], 10),
    ):
        with pytest.raises(ValueError, match=words):
            Factors(names, weights, room)
    made = Factors(["a", "b"], [0.25, 0.75])
    assert made.take().dtype == factor_dtype(2) and len(made.take()) == 0 == made.lost
    assert math.isclose(sum(made.weights), 1.0)
