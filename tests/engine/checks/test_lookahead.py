"""Cheats are caught, each by a net that is meant for it; honest strategies pass."""

import builtins
import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dhanfast._core.strategy import Action
from dhanfast.engine.checks import Lookahead, check_lookahead
from dhanfast.engine.checks.blind import CLIP, clipped, followed, random_walk, tie
from dhanfast.engine.checks.lookahead import another_market
from dhanfast.engine.settings import Settings
from dhanfast.errors import BadData, UsageError
from dhanfast.storage.bars import BarSet
from dhanfast.strategies import RuleStrategy
from tests.engine.checks.cheats import CHEATS, HEAD, HONEST
from tests.engine.checks.peeking import Ahead

MINUTE_NS = 60_000_000_000
Write = Callable[[str], str]


def codes(got: Lookahead) -> set[str]:
    return {one.code for one in got.findings}


@pytest.fixture(autouse=True)
def forget() -> Any:
    yield
    builtins.__dict__.pop("_dhanfast_cheat", None)


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_caught(name: str, write: Write, bars: BarSet) -> None:
    source, expected = CHEATS[name]
    got = check_lookahead(write(source), bars, cuts=8)
    assert not got.passed
    assert expected <= codes(got), got.findings


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_strategy_passes(name: str, write: Write, bars: BarSet) -> None:
    got = check_lookahead(write(HONEST[name]), bars, cuts=12)
    assert got.passed and not got.findings, got.findings
    assert got.signals > 20 and got.cuts >= 12


@pytest.mark.parametrize("name", ["momentum", "momentum-python", "momentum-cython", "v1"])
def test_the_library_passes_through_all_doors(name: str, bars: BarSet) -> None:
    got = check_lookahead(name, bars, cuts=10)
    assert not got.findings
    assert got.blind is not None and got.blind.entries > 1000


def test_a_difference_is_named_with_its_bar(write: Write, short: BarSet) -> None:
    source, _ = CHEATS["an array found by walking up the engine's frames"]
    got = check_lookahead(write(source), short, cuts=5)
    starts = set(short.bars["start_ns"].tolist())
    decided = [one for one in got.differences if one.what in ("entry", "exit")]
    assert decided
    for one in decided:
        assert one.bar_ns in starts and one.bar_ns <= one.cut_ns
        assert one.whole != one.cut and {one.whole, one.cut} <= {"hold", "long", "short", "exit"}
    assert any(one.bar_ns == one.cut_ns for one in decided)


def test_peeking_through_a_global_is_caught_by_its_knowledge(bars: BarSet) -> None:
    close = bars.bars["close"].astype(float)
    Ahead.table = dict(zip(bars.bars["start_ns"][:-5].tolist(),
                           (close[5:] - close[:-5]).tolist(), strict=True))  # fmt: skip
    try:
        got = check_lookahead(Ahead, bars, cuts=4)
    finally:
        Ahead.table = {}
    assert codes(got) == {"knows-record"}
    assert not got.differences  # no cut reaches a table


def test_the_days_high_before_it_happened_is_caught(bars: BarSet) -> None:
    rows = bars.bars
    day = (rows["start_ns"] + 19_800 * 10**9) // (86_400 * 10**9)
    table: dict[int, float] = {}
    for number in np.unique(day):
        mine = rows[day == number]
        opening = mine[:30]
        room = float(mine["high"].max() - opening["close"][-1])
        fall = float(opening["close"][-1] - mine["low"].min())
        table[int(opening["start_ns"][-1])] = room - fall
    Ahead.table = table
    try:
        got = check_lookahead(Ahead, bars, cuts=4)
    finally:
        Ahead.table = {}
    assert codes(got) == {"knows-record"}
    assert got.blind is not None and got.blind.strongest.what == "to the end of the day"


def test_the_past_of_the_record_is_not_the_future(bars: BarSet) -> None:
    close = bars.bars["close"].astype(float)
    Ahead.table = dict(zip(bars.bars["start_ns"][5:].tolist(),
                           (close[5:] - close[:-5]).tolist(), strict=True))  # fmt: skip
    try:
        got = check_lookahead(Ahead, bars, cuts=4)
    finally:
        Ahead.table = {}
    assert got.passed, got.findings


def test_an_allowed_file_is_the_users_word(write: Write, bars: BarSet, record: Path) -> None:
    source = (
        HEAD
        + """
with open(RECORD) as lines:
    LINES = len(lines.readlines())

class Mine(Strategy):
    def on_bar(self, ctx, bar):
        if ctx.position == 0 and bar.close > bar.open:
            ctx.buy(stop=50, target=50)
"""
    )
    path = write(source)
    refused = check_lookahead(path, bars, cuts=3)
    (one,) = [found for found in refused.findings if found.code == "outside"]
    assert str(record) in one.text and one.where == "mine.py:3"
    assert check_lookahead(path, bars, cuts=3, allow=(str(record),)).passed


def test_an_attribute_that_changes_with_the_cut_is_named(write: Write, short: BarSet) -> None:
    source = (
        HEAD
        + """
import sys

class Mine(Strategy):
    def on_start(self, m):
        self.level = 0.0

    def on_bar(self, ctx, bar):
        frame = sys._getframe(0)
        while "bars" not in frame.f_locals:
            frame = frame.f_back
        self.level = float(frame.f_locals["bars"]["close"].mean())
        if ctx.position == 0 and bar.close > bar.open:
            ctx.buy(stop=50, target=50)
"""
    )
    got = check_lookahead(write(source), short, cuts=4)
    assert "lookahead-state" in codes(got)
    assert {one.name for one in got.differences} == {"self.level"}


def test_no_signal_is_no_proof(write: Write, short: BarSet) -> None:
    source = (
        HEAD
        + """
class Mine(Strategy):
    def on_bar(self, ctx, bar):
        pass
"""
    )
    got = check_lookahead(write(source), short)
    assert codes(got) == {"no-signals"} and not got.passed


def test_one_that_raises_is_told_with_its_bar(write: Write, short: BarSet) -> None:
    source = (
        HEAD
        + """
class Mine(Strategy):
    def on_start(self, m):
        self.left = 100

    def on_bar(self, ctx, bar):
        self.left -= 1
        if self.left == 0:
            raise ValueError("no more")
"""
    )
    got = check_lookahead(write(source), short)
    (one,) = got.findings
    assert (
        one.code == "raised" and "no more" in one.text and one.where.startswith("2024-01-01 10:5")
    )


def test_rules_cannot_write_a_shift_into_the_future() -> None:
    class Mine(RuleStrategy):
        """Asks for the next close."""

        def rules(self, m: Any) -> Any:
            return m.close.shift(-1)

    with pytest.raises(ValueError, match="look into the future"):
        Mine().runner(lambda at_ns, text: None)


def test_refusals(bars: BarSet, short: BarSet) -> None:
    with pytest.raises(UsageError, match=r"cuts must be in 1\.\.100,000, was 0"):
        check_lookahead("momentum", short, cuts=0)
    with pytest.raises(UsageError, match="give the class Ahead and its params, not an instance"):
        check_lookahead(Ahead(), short)  # type: ignore[arg-type]
    few = BarSet("BANKNIFTY", short.bars[:8], MINUTE_NS, True, short.sources)
    with pytest.raises(BadData, match=r"8 bars are too few, this check needs 10"):
        check_lookahead("momentum", few)


def test_a_longer_timeframe_is_cut_at_its_own_bars(bars: BarSet) -> None:
    got = check_lookahead("momentum", bars, cuts=6, settings=Settings(timeframe_ns=5 * MINUTE_NS))
    assert got.passed and got.bars == pytest.approx(len(bars.bars) / 5, rel=0.02)


def test_another_market_shares_no_price_but_the_stamps(short: BarSet) -> None:
    rows = short.bars
    other = another_market(rows)
    assert np.array_equal(other["start_ns"], rows["start_ns"])
    assert (other["close"] != rows["close"]).mean() > 0.99
    assert (other["high"] >= np.maximum(other["open"], other["close"])).all()


def test_a_random_walk_is_legal_and_says_nothing(bars: BarSet) -> None:
    rows = bars.bars
    walk = random_walk(rows, np.random.default_rng(5))
    assert np.array_equal(walk["start_ns"], rows["start_ns"])
    assert (walk["low"] > 0).all() and (walk["high"] >= walk["low"]).all()
    for name in ("open", "close"):
        assert (walk[name] <= walk["high"]).all() and (walk[name] >= walk["low"]).all()
    one, two = (np.diff(np.log(each["close"])) for each in (rows, walk))
    assert np.sort(two) == pytest.approx(np.sort(one), abs=2e-5)
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03


def test_followed_stays_within_its_day() -> None:
    close = np.array([[1.0, 2.0, 4.0], [7.0, np.nan, 3.0]])
    assert followed(close, 1).tolist() == [[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]
    assert followed(close, 0).tolist() == [[3.0, 2.0, 0.0], [-4.0, 0.0, 0.0]]


def test_one_wild_day_of_the_record_counts_no_more_than_others() -> None:
    follows = np.random.default_rng(8).normal(size=(30, 4))
    follows[3, 2] = 400.0
    held = clipped(follows)
    assert held.max() == CLIP * np.median(np.abs(follows)) < 10
    mild = np.abs(follows) < 2
    assert np.array_equal(held[mild], follows[mild])
    assert np.array_equal(clipped(np.zeros((2, 2))), np.zeros((2, 2)))


def test_entries_on_few_days_are_not_judged(write: Write, bars: BarSet) -> None:
    source = (
        HEAD
        + """
class Mine(Strategy):
    def on_bar(self, ctx, bar):
        if ctx.now.day == 5 and ctx.position == 0:
            ctx.buy(stop=50, target=50)
"""
    )
    got = check_lookahead(write(source), bars, cuts=3)
    assert got.passed and got.blind is None
    assert got.blind_why == "on random bars it entered on 3 days, 15 are needed"


@pytest.mark.parametrize("seed", range(6))
def test_honest_entries_are_never_tied_to_the_record(seed: int, write: Write, bars: BarSet) -> None:
    got = check_lookahead(write(HONEST["rules"]), bars, cuts=1, seed=seed)
    assert got.blind is not None and not got.blind.knows
    assert abs(got.blind.strongest.z) < 5


def test_a_tie_is_the_z_of_its_shifts() -> None:
    rng = np.random.default_rng(2)
    follows = rng.normal(size=(30, 4))
    blind, knowing = rng.choice([-1.0, 1.0], (30, 4)), np.sign(follows)
    table = [float((knowing * np.roll(follows, -shift, axis=0)).sum()) for shift in range(30)]
    expected = (table[0] - np.mean(table[1:])) / np.std(table[1:], ddof=1)
    got = tie(knowing, follows, "")
    assert got.z == pytest.approx(expected) and got.beats_all and got.z > 6
    assert abs(tie(blind, follows, "").z) < 4
    assert tie(np.ones((30, 4)), np.tile(follows[0], (30, 1)), "").z == 0.0


def test_what_is_watched_decides_as_if_nobody_watched(short: BarSet) -> None:
    import dhanfast
    from dhanfast.engine.checks.stage import Stage

    plain = dhanfast.backtest("momentum", short)
    stage = Stage("momentum", short)
    watched = stage.run(stage.bars)
    assert watched.net == int(plain.days["gross"].sum() - plain.days["charges"].sum())
    asked = watched.decisions["action"] != Action.HOLD
    assert int(asked.sum()) == plain.counters["signals"] and plain.counters["signals"] > 50


def test_the_result_is_told_as_plain_data(short: BarSet) -> None:
    told = check_lookahead("momentum", short, cuts=3).as_dict()
    assert told["check"] == "lookahead" and told["passed"] is True and told["findings"] == []
    assert told["blind"] is None and "needs 20 trading days" in told["blind_why"]
    assert dt.datetime.fromisoformat(told["title"].split()[-1])
