"""Engines that share an account's budget: what one is told is in its journal, and counts once."""

import struct
from pathlib import Path
from typing import Any

import pytest

from dhanfast._core.live.journal import Journal, Kind
from dhanfast._core.live.sharedbudget import SharedBudget
from dhanfast._core.types import OrderFlag
from dhanfast.brokers.dhan.limits import CallClass, Limits
from dhanfast.engine.account import AccountOrders
from dhanfast.engine.live import RunOrders
from dhanfast.errors import BadData
from dhanfast.storage.journal import fields_of
from tests.core.live.desk import CANCEL, LOT, PLACE, SECOND, Desk
from tests.engine.live_stage import PRICE, Stage, at, records_of

ACCOUNT = bytes(32)
MINUTE = 60 * SECOND


def shared(folder: Path, name: str, start: str = "09:30") -> SharedBudget:
    return SharedBudget(folder / "requests.budget", ACCOUNT, name=name, manual_ns=at(start))


class Two:
    """A stage, and another engine of its account, in one time."""

    def __init__(self, folder: Path, script: dict[int, str], start: str = "09:30") -> None:
        self.mine, self.other = (shared(folder, name, start) for name in ("mine", "other"))
        self.stage = Stage(folder, script, live=True, start=start, shared=self.mine,
                           price=self.price)  # fmt: skip

    def price(self, now_ns: int) -> int:
        self.mine.set_time(now_ns)
        self.other.set_time(now_ns)
        return PRICE

    def burst(self, *, all_of_it: bool) -> None:
        """The other engine sends what a minute allows to entries, or to anybody."""
        now = self.stage.clock.now_ns()
        self.price(now)
        self.other.spend(now, 240 if all_of_it else 192)

    def end(self) -> None:
        self.stage.journal.close()
        self.stage.loop.close()


def answers_of(path: Path) -> list[dict[str, Any]]:
    """What the shared budget has refused, as the journal has it."""
    return [fields_of(kind, payload) for kind, payload in records_of(path) if kind == Kind.BUDGET]


def entered_while_the_other_is_busy(two: Two) -> None:
    stage = two.stage

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        await stage.until(lambda: stage.clock.now_ns() > at("09:30:57"), 180)
        two.burst(all_of_it=False)
        await stage.wait(30)  # the entry at 09:31 finds no room, and is refused
        assert stage.position == 0
        await stage.until(lambda: stage.position, 180)  # that of 09:33 does
        await stage.until(lambda: stage.clock.now_ns() > at("09:34:57"), 180)
        two.burst(all_of_it=True)
        await stage.wait(20)  # the exit at 09:35 waits for the window, and for no longer
        assert stage.position
        await stage.until(lambda: not stage.position, 60)

    stage.play(act)


SCRIPT = {1: "buy", 3: "buy", 5: "exit"}


def test_what_the_shared_budget_refused_is_an_input_and_repeats(tmp_path: Path) -> None:
    two = Two(tmp_path, SCRIPT)
    entered_while_the_other_is_busy(two)
    refused = answers_of(two.stage.path)
    told = [one["urgent"] for one in refused]
    assert told[0] == 0 and set(told[1:]) == {1}, "the entry, then the exit until it may leave"
    assert refused[0]["question"] < refused[1]["question"]
    remote = two.stage.run.remote
    assert remote is not None
    sent, mine = remote.requests_today, two.mine.own(at("09:40"))
    assert sent == mine > 2
    two.end()
    for budget in (shared(tmp_path, "mine", "09:40"), None):  # the file there, and gone
        again = Stage(tmp_path, SCRIPT, live=True, start="09:40", shared=budget)
        assert again.recovered is not None and again.recovered.unmet == again.recovered.open == 0
        assert again.run.remote is not None and again.run.remote.requests_today == sent
        assert budget is None or budget.own(at("09:40")) == mine, "a restart counts nothing twice"
        again.journal.close()
        again.loop.close()


def test_without_its_answers_a_journal_does_not_repeat(tmp_path: Path) -> None:
    """The test above tests something: the answers decide."""
    two = Two(tmp_path, SCRIPT)
    entered_while_the_other_is_busy(two)
    records = [one for one in records_of(two.stage.path) if one[0] != Kind.BUDGET]
    two.end()
    (tmp_path / "other").mkdir()
    again = Stage(tmp_path / "other", SCRIPT, live=True)
    with pytest.raises(BadData, match="not made again"):
        again.run.recover(records, again.clock.now_ns())
    again.journal.close()
    again.loop.close()


@pytest.mark.parametrize("raw", [b"", bytes(23), bytes(25)])
def test_an_answer_that_is_none_is_refused(raw: bytes, tmp_path: Path) -> None:
    stage = Stage(tmp_path, {}, live=True)
    with pytest.raises(BadData, match="answer of the shared budget"):
        stage.run.recover([(int(Kind.BUDGET), raw)], stage.clock.now_ns())
    stage.loop.close()
    stage.journal.close()


def with_the_file_lost(folder: Path, start: str) -> tuple[int, Stage, SharedBudget]:
    """A day whose file of requests was removed: what it had sent, its next life, the new file."""
    two = Two(folder, SCRIPT)
    entered_while_the_other_is_busy(two)
    sent = two.mine.own(at("09:40"))
    two.end()
    (folder / "requests.budget").unlink()
    budget = shared(folder, "mine", start)
    return sent, Stage(folder, SCRIPT, live=True, start=start, shared=budget), budget


def test_a_lost_file_is_told_again_what_the_journal_has(tmp_path: Path) -> None:
    sent, again, budget = with_the_file_lost(tmp_path, "09:40")
    assert budget.own(at("09:40")) == sent == budget.used(at("09:40"))["day"]
    assert budget.used(at("09:40"))["hour"] == sent, "as old as they are"
    assert budget.used(at("09:40"))["second"] == 0
    budget.set_time(at("11:00"))
    assert budget.used(at("11:00"))["hour"] == 0
    again.journal.close()
    again.loop.close()


def test_requests_that_are_older_than_an_hour_count_for_the_day_alone(tmp_path: Path) -> None:
    sent, again, budget = with_the_file_lost(tmp_path, "13:00")
    assert budget.used(at("13:00")) == {"second": 0, "minute": 0, "hour": 0, "day": sent}
    again.journal.close()
    again.loop.close()


def test_calls_beside_the_engine_count_once_where_all_engines_do(tmp_path: Path) -> None:
    two = Two(tmp_path, {})
    stage = two.stage
    limits, others = Limits(stage.clock), Limits(stage.clock)
    limits.share(RunOrders(stage.run, stage.clock))
    others.share(AccountOrders(two.other, stage.clock))

    async def act() -> None:
        await stage.until(lambda: not stage.engine.holds, 10)
        two.price(stage.clock.now_ns())
        for _ in range(4):
            assert limits.take(CallClass.ORDER) == 0 == others.take(CallClass.ORDER)
        assert two.mine.used(stage.clock.now_ns())["second"] == 8
        assert 0 < limits.take(CallClass.ORDER) <= SECOND
        assert 0 < others.take(CallClass.ORDER) <= SECOND
        assert others.take(CallClass.ORDER, urgent=True) == 0
        assert 0 < limits.take(CallClass.ORDER, urgent=True) <= SECOND
        limits.note(CallClass.ORDER, 2)
        others.note(CallClass.ORDER, 3)
        assert two.mine.by_engine(stage.clock.now_ns()) == {"mine": 6, "other": 8}

    stage.play(act)
    two.end()


# ---- two order desks -----------------------------------------------------------------------------


def desks(folder: Path) -> tuple[Desk, Desk]:
    """Two engines' order desks, a long position each."""
    made = Desk(position=LOT), Desk(position=LOT)
    for desk, name in zip(made, "ab", strict=True):
        desk.budget = SharedBudget(folder / "b", ACCOUNT, name=name, manual_ns=desk.now)
        desk.remote.share(desk.budget)
    return made


def test_a_burst_of_entries_leaves_the_other_engines_exits_their_room(tmp_path: Path) -> None:
    one, two = desks(tmp_path)
    for _ in range(12):
        one.enter()
    assert len(one.sent()) == 8
    two.enter()
    assert two.sent() == []
    two.exit()
    assert two.one(PLACE)["flags"] & OrderFlag.EXIT
    assert two.remote.requests_today == 1, "what others send is not of its own day"


def test_an_engine_that_is_told_too_fast_slows_the_others_entries_and_no_exit(
    tmp_path: Path,
) -> None:
    one, two = desks(tmp_path)
    one.enter()
    one.refuse(one.one(PLACE), 429)
    assert two.remote.wait_of(two.now) == SECOND
    two.enter()
    assert two.sent() == []
    two.exit()
    two.one(PLACE)


def test_a_cancel_takes_the_kept_place(tmp_path: Path) -> None:
    one, two = desks(tmp_path)
    entry = two.enter()
    made = two.one(PLACE)
    two.answer(made)
    for _ in range(12):
        one.enter()
    assert len(one.sent()) == 7
    two.cancel(entry)
    assert two.one(CANCEL)["order"] == made["order"]


def test_a_file_without_sense_holds_entries_and_no_exit(tmp_path: Path) -> None:
    one, _ = desks(tmp_path)
    with open(tmp_path / "b", "r+b") as file:
        file.seek(128)
        file.write(struct.pack("<Q", 1))
    one.enter()
    assert one.sent() == []
    one.exit()
    assert one.one(PLACE)["flags"] & OrderFlag.EXIT


def test_the_journal_says_what_was_answered_before_what_it_caused(tmp_path: Path) -> None:
    two = Two(tmp_path, SCRIPT)
    entered_while_the_other_is_busy(two)
    kinds = [Kind(kind) for kind, _ in records_of(two.stage.path)]
    two.end()
    inputs = {Kind.TICK, Kind.TIMER, Kind.ANSWER, Kind.UPDATE, Kind.COMMAND}
    for at_, kind in enumerate(kinds):
        if kind is Kind.BUDGET:
            assert kinds[at_ - 1] in inputs
    assert isinstance(two.stage.journal, Journal)
