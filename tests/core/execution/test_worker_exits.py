"""An exit at work that is told to leave, at a broker that has other plans for its children."""

from typing import Any

import pytest

from dhanfast._core.execution.schedule import Algo
from dhanfast._core.live.records import Outcome, Seen
from dhanfast._core.types import OrderFlag, OrderKind, Reason, ReportKind

from ..live.desk import CANCEL, LOT, MODIFY, MS, PLACE, SECOND
from .test_worker_remote import WorkedDesk

BID, ASK = 10_000, 10_010
PASSIVE = 0
Placed = dict[str, Any]


class ExitDesk(WorkedDesk):
    """As the engine: what the broker says is heard at once. `said`: reports, oldest first."""

    entry: int

    def answer(self, *words: Any, **more: Any) -> bool:
        try:
            return super().answer(*words, **more)
        finally:
            self.hear()

    def update(self, *words: Any, **more: Any) -> bool:
        try:
            return super().update(*words, **more)
        finally:
            self.hear()

    def hear(self) -> None:
        self.said = [*getattr(self, "said", []), *self.worker.take_reports()]

    def left_of(self, number: int) -> int:
        """By the last report."""
        return int([row for row in self.said if row["order_id"] == number][-1]["left"])


def leaving(algo: Algo = Algo.SLICE) -> tuple[ExitDesk, int, Placed]:
    """A lot is held and its exit is worked: its child joins the offer. (desk, exit, its PLACE)"""
    desk = ExitDesk(
        {"algo": algo, "urgency": PASSIVE, "horizon_ns": 60 * SECOND, "interval_ns": 5 * SECOND,
         "reprice_ns": 0, "floor_e4": 10_000, "rate_e4": 100}
    )  # fmt: skip
    entry = desk.entry = desk.order(1, LOT, OrderKind.MARKET, reason=Reason.SIGNAL)
    placed = sent_within(desk, 10 * SECOND)
    desk.answer(placed)
    desk.update(placed, Seen.TRADED, filled=LOT, value=LOT * ASK)
    desk.position = LOT
    number = desk.order(-1, LOT, OrderKind.MARKET, flags=OrderFlag.EXIT, group=entry,
                        reason=Reason.EXIT_SIGNAL)  # fmt: skip
    made = sent_within(desk, 10 * SECOND)
    assert made["price"] == ASK, "it waits for its price"
    return desk, number, made


def press(desk: ExitDesk, number: int) -> None:
    desk.worker.hurry_order(number, flags=0, reason=Reason.OPERATOR, now_ns=desk.now)


def takes(made: Placed) -> bool:
    """Whether a request to sell is filled by the bid."""
    return 0 < made["price"] <= BID and made["trigger"] == 0 and made["qty"] == LOT


def sent_within(desk: ExitDesk, ns: int) -> Placed:
    """The next request, in so much time."""
    until = desk.now + ns
    while desk.now < until:
        made = desk.sent()
        if made:
            assert len(made) == 1
            return made[0]
        desk.wait(50 * MS)
    raise AssertionError("nothing was sent")


def fill(desk: ExitDesk, placed: Placed) -> None:
    desk.update(placed, Seen.TRADED, filled=LOT, value=LOT * BID)
    assert desk.worker.parents_now() == [] and desk.worker.parts_held() == []
    assert desk.worker.live == 0


def test_what_presses_is_sent_again_when_the_broker_ends_it() -> None:
    """The broker cancels the order that leaves: what then rests is not the child that waits."""
    desk, number, placed = leaving()
    desk.answer(placed)
    press(desk, number)
    changed = desk.one(MODIFY)
    assert takes(changed)
    desk.answer(changed)
    desk.update(changed, Seen.CANCELLED)
    again = sent_within(desk, 2 * SECOND)
    assert again["kind"] == PLACE and takes(again)
    desk.answer(again)
    fill(desk, again)


@pytest.mark.parametrize("algo", [Algo.SLICE, Algo.TWAP, Algo.ICEBERG])
def test_what_presses_takes_the_place_of_what_waits(algo: Algo) -> None:
    """Refused, it leaves nothing behind that waits: the kernel hears of it and asks again."""
    desk, number, placed = leaving(algo)
    press(desk, number)  # while its child is on its way
    desk.refuse(placed, 429)  # it never was there: the one that presses is placed instead
    again = sent_within(desk, 2 * SECOND)
    assert again["kind"] == PLACE and takes(again)
    desk.refuse(again)
    assert desk.worker.parents_now() == [] and desk.said[-1]["kind"] == ReportKind.REJECTED
    desk.order(-1, LOT, OrderKind.MARKET, flags=OrderFlag.EXIT, group=desk.entry,
               reason=Reason.OPERATOR)  # fmt: skip
    press(desk, desk.next_order)
    third = sent_within(desk, 2 * SECOND)
    assert third["kind"] == PLACE and takes(third)
    desk.answer(third)
    fill(desk, third)


def test_a_refused_child_that_waits_presses_no_other() -> None:
    """An exit of which nothing else is there ends, and the kernel asks again as it likes."""
    desk, number, placed = leaving()
    desk.refuse(placed)
    assert desk.said[-1]["order_id"] == number and desk.worker.parents_now() == []
    assert desk.said[-1]["kind"] == ReportKind.REJECTED


def test_an_exit_can_be_cancelled_and_its_stop_rests_again() -> None:
    """A group has one order at the broker: it serves the stop as soon as the exit is over."""
    desk, number, placed = leaving()
    desk.answer(placed)
    stop = desk.order(-1, LOT, OrderKind.SLM, trigger=9_900, group=desk.entry,
                      flags=OrderFlag.EXIT | OrderFlag.STOP, reason=Reason.STOP_LOSS)  # fmt: skip
    assert desk.there()[0]["trigger"] == 0, "the exit is at the broker, the stop behind it"
    assert desk.sent() == []
    desk.worker.cancel_order(number, desk.now)
    changed = desk.one(MODIFY)
    assert changed["trigger"] == 9_900 and changed["order"] == placed["order"]
    assert desk.worker.parents_now() == []
    # What the order still took as the exit's counts for the stop: flat is flat.
    desk.answer(changed)
    desk.update(changed, Seen.TRADED, filled=LOT, value=LOT * ASK)
    assert desk.left_of(stop) == 0 and desk.worker.parts_held() == [] and desk.there() == []


def test_the_last_leg_of_a_group_is_taken_away_when_it_is_cancelled() -> None:
    desk, number, placed = leaving()
    desk.answer(placed)
    desk.worker.cancel_order(number, desk.now)
    asked = desk.one(CANCEL)
    assert desk.worker.parents_now()[0]["state"] == "ending", "it may yet fill"
    desk.answer(asked)
    desk.update(placed, Seen.CANCELLED)
    assert desk.worker.parents_now() == [] and desk.there() == []
    assert desk.worker.parts_held() == [LOT]


def test_a_cancel_that_comes_too_late_is_a_fill() -> None:
    desk, number, placed = leaving()
    desk.answer(placed)
    desk.worker.cancel_order(number, desk.now)
    asked = desk.one(CANCEL)
    desk.answer(asked, Outcome.REFUSED, code=400)
    fill(desk, placed)


def in_parts() -> tuple[ExitDesk, int, int, list[Placed], Placed]:
    """Two of an entry's three lots are held, each lot a part of its own, and an exit by signal has
    taken the orders of both parts' targets: (desk, exit, target, those orders, entry's third)."""
    desk = ExitDesk(
        {"algo": Algo.SLICE, "urgency": 2, "horizon_ns": 60 * SECOND, "interval_ns": SECOND,
         "reprice_ns": 0}, session={"freeze": LOT},
    )  # fmt: skip
    entry = desk.entry = desk.order(1, 3 * LOT, OrderKind.MARKET, reason=Reason.SIGNAL)
    lots = desk.sent()
    for placed in lots:
        desk.answer(placed)
    for placed in lots[:2]:
        desk.update(placed, Seen.TRADED, filled=LOT, value=LOT * ASK)
    desk.position = 2 * LOT
    target = desk.order(-1, 2 * LOT, OrderKind.LIMIT, price=10_500, group=entry,
                        flags=OrderFlag.EXIT | OrderFlag.TARGET,
                        reason=Reason.TAKE_PROFIT)  # fmt: skip
    resting = desk.sent()
    for placed in resting:
        desk.answer(placed)
    desk.worker.cancel_order(entry, desk.now)
    desk.one(CANCEL)  # its answer gets lost: the third lot is quicker
    number = desk.order(-1, 2 * LOT, OrderKind.MARKET, flags=OrderFlag.EXIT, group=entry,
                        reason=Reason.EXIT_SIGNAL)  # fmt: skip
    changed = desk.sent()
    assert [made["broker_id"] for made in changed] == [f"B{made['order']}" for made in resting]
    for made in changed:
        assert takes(made)
        desk.answer(made)
    return desk, number, target, changed, lots[2]


def test_an_exit_goes_on_when_what_an_entry_brought_later_leaves_by_its_target() -> None:
    """A target's fill takes off the exit what is held no longer, and nothing that never was the
    exit's: its order in the other part would fill for nobody, and the engine would stop."""
    desk, number, target, (first, second), third = in_parts()
    desk.update(first, Seen.TRADED, filled=LOT, value=LOT * BID)
    assert desk.left_of(number) == LOT and desk.worker.parts_held() == [0, LOT]
    desk.update(third, Seen.TRADED, filled=LOT, value=LOT * ASK)
    assert desk.worker.parts_held() == [LOT, LOT]
    desk.resize(target, 3 * LOT, price=10_500)  # as the kernel: two are held, one has gone
    again = desk.one(PLACE)
    assert (again["price"], again["qty"], again["group"]) == (10_500, LOT, first["group"])
    desk.answer(again)
    desk.update(again, Seen.TRADED, filled=LOT, value=LOT * 10_500)
    (parent,) = [one for one in desk.worker.parents_now() if one["id"] == number]
    assert (parent["left"], parent["out"]) == (LOT, LOT), "of the other part"
    desk.update(second, Seen.TRADED, filled=LOT, value=LOT * BID)
    assert desk.worker.parents_now() == [] and desk.worker.parts_held() == []
    assert {int(row["order_id"]) for row in desk.said} == {desk.entry, target, number}
    assert desk.left_of(number) == 0


def test_an_exit_takes_no_more_than_a_target_leaves() -> None:
    """The target of a part is quicker than the exit's order there: the exit has that much less."""
    desk, number, target, (first, second), third = in_parts()
    desk.update(third, Seen.CANCELLED)
    desk.update(first, Seen.TRADED, filled=LOT, value=LOT * 10_500)
    assert desk.left_of(number) == LOT and desk.worker.parts_held() == [0, LOT]
    desk.update(second, Seen.TRADED, filled=LOT, value=LOT * BID)
    assert desk.worker.parents_now() == [] and desk.worker.parts_held() == []
    assert desk.left_of(target) == 0 and desk.left_of(number) == 0
