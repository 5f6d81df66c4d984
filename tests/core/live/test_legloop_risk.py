"""A structure live, with what it has to pass: old data, India VIX, questions, a kill in between."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dhanfast._core.chainday import Missing
from dhanfast._core.guards import Guards
from dhanfast._core.legorder import Told
from dhanfast._core.legrisk import LegRisk
from dhanfast._core.live.inputs import Command
from dhanfast._core.live.legloop import LegLoop
from dhanfast._core.types import TICK_DTYPE
from dhanfast.errors import BadData

from .leg_passes import risk_of
from .leg_world import LOT, MS, SECOND, STRIKES, LegWorld, condor
from .test_legloop import places, settle

VIX = 2 * len(STRIKES) + 1  # the feed's number behind the last column


class Guarded(LegWorld):
    """A world whose feed has India VIX."""

    def build(self) -> None:
        super().build()
        self.loop = LegLoop(self.run, self.chain, self.journal, desk=self.desk,
                            courier=self.wires if self.live else None, vix=True)  # fmt: skip
        self.wires.on_answer = self.loop.use_answer
        opens, closes = (int(self.session[name][0]) for name in ("open_ns", "close_ns"))
        self.loop.begin_day(slots=[0] * len(self.rules), entry_ns=self.entry,
                            until_ns=self.entry + 300 * SECOND, exit_ns=opens + 18_000 * SECOND,
                            trade=True, date=int(self.session["date"][0]),
                            open_ns=max(opens, self.begins - SECOND), close_ns=closes)  # fmt: skip


def guarded(path: Path, **rules: int) -> Guarded:
    made = Guarded(path / "legs.dfj", condor(),
                   passes=lambda: LegRisk(Guards(instruments=4, **rules)))  # fmt: skip
    made.quotes()
    return made


def vix(made: LegWorld, value: int) -> None:
    tick = np.zeros(1, TICK_DTYPE)
    tick["instrument"], tick["price"] = VIX, value
    tick["recv_ns"] = tick["exch_ns"] = made.now
    made.loop.take_ticks(tick, made.now)
    made.collect()


def test_a_structure_waits_while_a_price_of_its_legs_is_old(tmp_path: Path) -> None:
    """Quoted when the day begins; the entry is due 2 s later, and a price of 1 s is old."""
    made = guarded(tmp_path, stale_ns=SECOND)
    made.pass_time(3 * SECOND)
    assert made.wires.left == [] and made.run.risk is not None
    for number in range(9):
        made.tick(number, 10_000 if number else 105_000)
    made.tick(1, 10_000)
    made.pass_time(SECOND)
    assert len(made.wires.left) == 2, "bought legs"
    assert made.loop.guards is not None and made.loop.guards.vetoed == {"GUARD_STALE": 2}


def test_one_leg_of_four_that_is_old_is_enough(tmp_path: Path) -> None:
    made = guarded(tmp_path, stale_ns=SECOND)
    made.pass_time(1_900 * MS)
    for number in (0, 1, 2, 3, 4, 6, 7, 8):  # not 5, the bought put
        made.tick(number, 10_000 if number else 105_000)
    made.pass_time(200 * MS)
    assert made.wires.left == []


def test_india_vix_comes_by_the_feed_and_is_repeated_from_the_journal(tmp_path: Path) -> None:
    made = guarded(tmp_path, vix_high=2_000, vix_high_leave=1_900)
    vix(made, 2_050)
    made.pass_time(3 * SECOND)
    assert made.wires.left == [] and made.loop.guards is not None
    assert made.loop.guards.vix_now[0] == 2_050
    made.die()
    assert made.loop.guards is not None and made.loop.guards.vix_now[0] == 2_050
    vix(made, 1_899)
    made.pass_time(SECOND)
    assert len(made.wires.left) == 2


def test_a_journal_with_india_vix_is_not_of_a_run_without(tmp_path: Path) -> None:
    made = guarded(tmp_path, vix_high=2_000, vix_high_leave=1_900)
    vix(made, 1_500)
    made.journal.close()
    records = made.records()
    other = LegWorld(tmp_path / "other.dfj", condor())
    with pytest.raises(BadData, match="ticks of instrument 9"):
        other.loop.replay(records)


# ---- the broker is asked ------------------------------------------------------------------------


def asking(path: Path, gates: str = "fewer", lots: int = 2) -> LegWorld:
    rules = [each | {"lots": lots} for each in condor()]
    made = LegWorld(path / "legs.dfj", rules, passes=partial(risk_of, rules, gates))
    made.quotes()
    made.pass_time(2_500 * MS)
    return made


def answer(made: LegWorld, required: int, funds: int) -> None:
    assert made.run.risk is not None
    question = made.run.risk.judge.question
    made.loop.command(Command.MARGIN, made.now, units=required, price=funds,
                      contract=question.number)  # fmt: skip
    made.collect()


def test_no_leg_leaves_before_the_answer_and_then_those_it_allows(tmp_path: Path) -> None:
    made = asking(tmp_path)
    made.pass_time(1_800 * MS)
    assert made.wires.left == []
    answer(made, 2_000_000, 1_999_999)
    made.pass_time(SECOND)
    settle(made)
    assert {abs(units) for units in made.truth().values()} == {LOT}
    assert made.positions() == made.truth() and len(made.truth()) == 4


@pytest.mark.parametrize("when", ["asked", "answered", "sent", "whole"])
def test_a_death_at_any_moment_asks_nothing_twice_and_sends_the_same(
    tmp_path: Path, when: str
) -> None:
    made = asking(tmp_path)
    if when == "asked":
        made.die()
        assert made.run.risk is not None and made.run.risk.judge.question.number == 1
    answer(made, 2_000_000, 1_000_000)
    if when == "answered":
        made.die()
    made.pass_time(SECOND)
    if when == "sent":
        made.deliver()
        made.die()
    settle(made)
    if when == "whole":
        made.die()
        settle(made)
    assert made.run.risk is not None
    assert made.run.risk.times == 1 and made.run.risk.judge.question is None
    assert {abs(units) for units in made.truth().values()} == {LOT}
    assert max(made.accepted().values()) == 1 and made.positions() == made.truth()


def test_no_answer_in_time_sends_nothing_that_day(tmp_path: Path) -> None:
    made = asking(tmp_path, "refuse")
    made.pass_time(4 * SECOND)
    answers = [(row["told"], row["why"]) for row in made.run.take_notes()]
    assert answers == [(Told.NOT_ENTERED, Missing.UNASKED)]
    made.pass_time(20 * SECOND)
    assert made.wires.left == [] and places(made) == []


def test_entries_that_are_held_drop_the_question_and_ask_anew(tmp_path: Path) -> None:
    made = asking(tmp_path)
    made.command(Command.STOP_ENTRIES)
    made.pass_time(SECOND)
    assert made.run.risk is not None and made.run.risk.judge.question is None
    made.command(Command.RESUME)
    made.pass_time(SECOND)
    assert made.run.risk.judge.question.number == 2
    answer(made, 1, 10**9)
    made.pass_time(SECOND)
    assert len(made.wires.left) == 2


def test_an_operators_lock_and_its_end_are_repeated(tmp_path: Path) -> None:
    made = LegWorld(tmp_path / "legs.dfj", condor(), passes=partial(risk_of, condor(), "guards"))
    made.quotes()
    made.loop.command(Command.LOCK, made.now, units=0, price=2**63 - 1)
    made.pass_time(4 * SECOND)
    assert made.wires.left == []
    made.die()
    assert made.loop.guards is not None
    assert [lock.name for lock in made.loop.guards.locks()] == ["operator"]
    made.loop.command(Command.UNLOCK, made.now, units=-1)
    made.die()
    assert made.loop.guards.locks() == []
    made.quotes()
    made.pass_time(SECOND)
    assert len(made.wires.left) == 2
