"""Remote when nobody knows: doubt, orders that turn up again, lost updates, clocks set back."""

from dhanfast._core.live.records import Origin, Outcome, Seen
from dhanfast._core.types import OrderKind

from .desk import CANCEL, LOT, MODIFY, MS, PLACE, QUERY, SECOND, Desk, doubtful, held

# ---- doubt ---------------------------------------------------------------------------------------


def test_an_order_in_doubt_is_queried_by_number_and_found() -> None:
    desk, order, made = doubtful()
    asked = desk.one(QUERY)
    assert asked["order"] == made["order"] and asked["broker_id"] == ""
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000, origin=Origin.REST)
    desk.answer(asked)
    assert desk.reports() == [("FILLED", order, LOT, 10_000, 0)]
    desk.wait(30 * SECOND)
    assert desk.sent() == [] and desk.remote.doubts == 1 and desk.remote.lost == 0


def test_an_order_in_doubt_is_lost_only_when_absent_often_and_long_enough() -> None:
    desk, order, _ = doubtful(lost_after_ns=5 * SECOND, absents_min=3)
    doubted_at, absents, reports = desk.now - SECOND, 0, desk.reports()
    while not reports:
        assert desk.now - doubted_at < 60 * SECOND
        for asked in desk.sent():
            assert asked["kind"] == QUERY
            desk.answer(asked, Outcome.ABSENT, code=404)
            absents += 1
        reports = desk.reports()
        desk.wait(100 * MS)
    assert reports == [("REJECTED", order, 0, 0, 0)] and desk.remote.lost == 1
    assert absents >= 3 and desk.now - doubted_at >= 5 * SECOND
    desk.wait(60 * SECOND)
    assert desk.there() == [] and desk.sent() == []


def test_answers_that_say_nothing_never_lose_an_order() -> None:
    desk, _, _ = doubtful(lost_after_ns=0, absents_min=1)
    for _ in range(40):
        for asked in desk.sent():
            desk.answer(asked, Outcome.UNKNOWN, code=503)
        desk.wait(7 * SECOND)
    assert desk.remote.lost == 0 and desk.there()[0]["state"] == "doubt"
    assert len(desk.sent()) == 1  # and it still asks


def test_an_exit_waits_while_the_stop_of_its_position_is_in_doubt() -> None:
    desk = Desk(position=LOT)
    desk.stop(9_900)
    made = desk.one(PLACE)
    desk.answer(made, Outcome.UNKNOWN, code=-110)
    desk.exit()
    desk.wait(SECOND)
    asked = desk.one(QUERY)  # nothing else is placed for the position
    desk.update(made, origin=Origin.REST)
    desk.answer(asked)
    changed = desk.one(MODIFY)
    assert changed["order"] == made["order"] and changed["order_kind"] == OrderKind.LIMIT


def test_an_order_that_turns_up_after_it_was_given_up_is_cancelled() -> None:
    desk, _, made = doubtful(lost_after_ns=0, absents_min=1)
    desk.answer(desk.one(QUERY), Outcome.ABSENT)
    assert desk.reports()[0][0] == "REJECTED" and desk.remote.lost == 1
    desk.update(made)
    asked = desk.one(CANCEL)
    assert asked["broker_id"] == "B1"
    desk.answer(asked)
    desk.update(made, Seen.CANCELLED)
    assert desk.reports() == [] and desk.there() == [] and desk.remote.stray_qty == 0


def test_what_an_entry_given_up_still_fills_is_counted_as_stray() -> None:
    desk, _, made = doubtful(lost_after_ns=0, absents_min=1)
    desk.answer(desk.one(QUERY), Outcome.ABSENT)
    desk.reports()
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000)
    assert desk.remote.stray_qty == LOT and desk.reports() == []


def test_a_stop_that_turns_up_again_closes_its_position_and_no_more() -> None:
    """Given up, replaced by an exit, and then it is there: both together take what is held."""
    desk = Desk(position=LOT, lost_after_ns=0, absents_min=1)
    stop = desk.stop(9_900)
    first = desk.one(PLACE)
    desk.answer(first, Outcome.UNKNOWN, code=-110)
    desk.wait(SECOND)
    desk.answer(desk.one(QUERY), Outcome.ABSENT)
    assert desk.reports() == [("REJECTED", stop, 0, 0, 0)]
    leaving = desk.exit()
    desk.wait(SECOND)
    second = desk.one(PLACE)
    desk.resting(second)
    desk.update(first)  # the stop rests after all
    assert desk.one(CANCEL)["order"] == first["order"]
    desk.update(first, Seen.TRADED, filled=LOT, value=LOT * 9_900)  # and filled before the cancel
    assert desk.reports() == [("FILLED", leaving, LOT, 9_900, 0)]
    assert desk.one(CANCEL)["order"] == second["order"] and desk.remote.stray_qty == 0


def test_an_order_that_was_taken_and_is_absent_for_long_is_given_up() -> None:
    """The broker took the stop and knows nothing of it any more: the position is not left alone."""
    desk, stop, _ = held(lost_after_ns=5 * SECOND, absents_min=3)
    desk.remote.read_all_again()
    for _ in range(200):
        for asked in desk.sent():
            assert asked["kind"] == QUERY
            desk.answer(asked, Outcome.ABSENT, code=404)
        desk.wait(100 * MS)
    assert desk.reports() == [("REJECTED", stop, 0, 0, 0)] and desk.remote.lost == 1


def asked_at(desk: Desk, outcome: Outcome, count: int, **fields: int) -> list[int]:
    """Tenths of a second between queries that are all answered alike."""
    gaps, last = [], desk.now
    while len(gaps) < count:
        for asked in desk.sent():
            assert asked["kind"] == QUERY
            gaps.append((desk.now - last) // (100 * MS))
            last = desk.now
            desk.answer(asked, outcome, **fields)
        desk.wait(100 * MS)
    return gaps


def test_an_entry_in_doubt_is_asked_for_less_and_less_an_exit_every_two_seconds_at_least() -> None:
    desk, _, _ = doubtful()
    assert asked_at(desk, Outcome.UNKNOWN, 8, code=503)[1:] == [4, 8, 16, 32, 64, 64, 64]
    desk = Desk(position=LOT)
    desk.stop(9_900)
    desk.answer(desk.one(PLACE), Outcome.UNKNOWN, code=-110)
    assert asked_at(desk, Outcome.UNKNOWN, 8, code=503)[1:] == [4, 8, 16, 16, 16, 16, 16]


def test_once_the_broker_answers_that_it_is_not_there_it_is_soon_known() -> None:
    desk, _, _ = doubtful(lost_after_ns=5 * SECOND, absents_min=3)
    asked_at(desk, Outcome.UNKNOWN, 8, code=503)
    began = desk.now
    gaps = asked_at(desk, Outcome.ABSENT, 3, code=404)
    assert gaps[1:] == [4, 8] and desk.reports()[0][0] == "REJECTED"
    assert desk.now - began < 9 * SECOND


# ---- what is overdue, and clocks that are set back ----------------------------------------------


def test_an_order_that_should_have_filled_is_read_when_nothing_is_heard_of_it() -> None:
    desk = Desk()
    order = desk.enter()
    made = desk.one(PLACE)
    desk.resting(made)
    desk.wait(1_990 * MS)
    assert desk.sent() == []
    desk.wait(10 * MS)
    asked = desk.one(QUERY)
    desk.update(made, origin=Origin.REST)
    desk.answer(asked)
    gaps = []
    for _ in range(3):
        began = desk.now
        while not (asked_again := desk.sent()):
            desk.wait(100 * MS)
        gaps.append((desk.now - began) // (100 * MS))
        desk.update(made, origin=Origin.REST)
        desk.answer(asked_again[0])
    assert gaps == [40, 40, 40]  # tenths of a second
    desk.update(made, Seen.TRADED, filled=LOT, value=LOT * 10_000)
    assert desk.reports()[-1] == ("FILLED", order, LOT, 10_000, 0)
    desk.wait(60 * SECOND)
    assert desk.sent() == []


def test_a_stop_is_overdue_once_the_market_was_at_its_trigger() -> None:
    desk, _, placed = held()
    desk.wait(60 * SECOND)
    assert desk.sent() == []  # it rests, and nothing is to be heard
    desk.quote(9_890, 9_895)
    desk.wait(2 * SECOND)
    asked = desk.one(QUERY)
    desk.update(placed, Seen.TRADED, filled=LOT, value=LOT * 9_890, origin=Origin.REST)
    desk.answer(asked)
    assert desk.reports()[-1][:2] == ("FILLED", 1)


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    desk, _, _ = doubtful(lost_after_ns=5 * SECOND, absents_min=3)
    desk.answer(desk.one(QUERY), Outcome.UNKNOWN, code=503)
    due_ns = desk.remote.due_ns
    assert due_ns == desk.now + 400 * MS
    desk.now -= 3_600 * SECOND  # an hour back
    desk.remote.tell(desk.now, desk.now)
    assert desk.remote.due_ns == due_ns - 3_600 * SECOND
    desk.wait(399 * MS)
    assert desk.sent() == []
    desk.wait(1 * MS)
    desk.one(QUERY)


def test_stamps_a_little_out_of_order_do_not_move_the_clock() -> None:
    desk, _, _ = doubtful()
    desk.answer(desk.one(QUERY), Outcome.UNKNOWN, code=503)
    for _ in range(50):
        desk.remote.tell(desk.now - 900 * MS, desk.now - 900 * MS)
        desk.remote.tell(desk.now, desk.now)
        desk.remote.go_on()
    assert desk.sent() == [] and desk.remote.due_ns == desk.now + 400 * MS
